/* SPDX-License-Identifier: MIT */
/*
 * clock.h - in the place of base/clock.h: a clock that stands still. Where time
 * matters a client moves that of its pool (.manual_clock).
 */
#ifndef SH_BASE_CLOCK_H
#define SH_BASE_CLOCK_H

#include <stdint.h>

static inline int64_t sh_clock_ns(void)
{
    return 0;
}

static inline int64_t sh_clock_after(int64_t ns)
{
    return ns;
}

#endif /* SH_BASE_CLOCK_H */
