/* SPDX-License-Identifier: MIT */
/* base/clock.h - the monotonic clock, in nanoseconds. */
#ifndef SH_BASE_CLOCK_H
#define SH_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t sh_clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The moment that lies ns from now; INT64_MAX stands for never. */
static inline int64_t sh_clock_after(int64_t ns)
{
    int64_t now = sh_clock_ns();

    if (ns <= 0)
        return now;
    return ns > INT64_MAX - now ? INT64_MAX : now + ns;
}

#endif /* SH_BASE_CLOCK_H */
