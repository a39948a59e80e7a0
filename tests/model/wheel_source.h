/* SPDX-License-Identifier: MIT */
/*
 * wheel_source.h - queue/wheel.c with one level: moments up to 63. A client may
 * say that it has two.
 *
 * The checker has no memset of words of several sizes.
 */
#ifndef SH_MODEL_WHEEL_SOURCE_H
#define SH_MODEL_WHEEL_SOURCE_H

#ifndef SH_WHEEL_LEVELS
#define SH_WHEEL_LEVELS 1u
#endif
#include <string.h>

#include "queue/wheel.h"

static inline void clear_wheel(struct sh_wheel *w)
{
    for (unsigned level = 0; level < SH_WHEEL_LEVELS; level++) {
        w->full[level] = 0;
        for (unsigned i = 0; i < SH_WHEEL_SLOTS; i++)
            w->heads[level][i] = SH_TIMER_NONE;
    }
}

#define memset(wheel, zero, size) clear_wheel(wheel)
#include "../../runtime/queue/wheel.c"
#undef memset

#endif /* SH_MODEL_WHEEL_SOURCE_H */
