/* SPDX-License-Identifier: MIT */
/*
 * clock.h - in the place of base/clock.h: a clock that stands still. Where time
 * matters a client moves that of its pool (.manual_clock), or has each look
 * find it CLOCK_STEP_NS later. Then only one thread may look.
 */
#ifndef SH_BASE_CLOCK_H
#define SH_BASE_CLOCK_H

#include <stdint.h>

#ifndef CLOCK_STEP_NS
#define CLOCK_STEP_NS 0
#endif

static int64_t clock_now_ns;

static inline int64_t sh_clock_ns(void)
{
    return CLOCK_STEP_NS == 0 ? 0 : (clock_now_ns += CLOCK_STEP_NS);
}

static inline int64_t sh_clock_after(int64_t ns)
{
    return ns;
}

#endif /* SH_BASE_CLOCK_H */
