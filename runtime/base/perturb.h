/* SPDX-License-Identifier: MIT */
/*
 * base/perturb.h - a thread loses a moment, at random; for tests only.
 *
 * Most often nothing happens, else a short loop, a sched_yield, or a sleep
 * that is long enough for others to do much meanwhile. The random numbers are
 * a thread's own and begin with the time: what a run showed, its seed may not
 * show again, but it shows that there is something to find.
 */
#ifndef SH_BASE_PERTURB_H
#define SH_BASE_PERTURB_H

#include <sched.h>
#include <stdint.h>
#include <time.h>

#define SH_PERTURB_EVERY 256u   /* operations, about */
#define SH_PERTURB_LOOP 1024u   /* turns, less than */
#define SH_PERTURB_SLEEP_US 128 /* less than */

static inline void sh_perturb(void)
{
    static _Thread_local uint32_t x;
    struct timespec t;

    if (x == 0) {
        clock_gettime(CLOCK_MONOTONIC, &t);
        x = (uint32_t)t.tv_nsec * 2654435761u | 1;
    }
    /* Marsaglia's xorshift, "Xorshift RNGs", 2003. */
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    if (x % SH_PERTURB_EVERY != 0)
        return;
    switch (x >> 8 & 3) {
    case 0:
        t = (struct timespec){
            .tv_nsec = (long)((x >> 10) % SH_PERTURB_SLEEP_US) * 1000
        };
        nanosleep(&t, NULL);
        break;
    case 1:
        sched_yield();
        break;
    default:
        for (volatile uint32_t i = 0; i < (x >> 10) % SH_PERTURB_LOOP; i++)
            continue;
        break;
    }
}

#endif /* SH_BASE_PERTURB_H */
