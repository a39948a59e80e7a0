/* SPDX-License-Identifier: MIT */
/* task/stamp.c - when something began: see stamp.h. */
#include "task/stamp.h"

#include <stdbool.h>
#include <time.h>

uint32_t sh_stamp_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (uint32_t)((uint64_t)t.tv_sec * 1000 +
                      (uint64_t)t.tv_nsec / 1000000);
}

SH_HOT void sh_stamp_renew(struct sh_stamp *s)
{
    uint32_t now_ms = sh_stamp_now();
    bool quick = now_ms - s->ms <= SH_STAMP_QUICK_MS;

    SH_ASSERT(s->left < 0);
    /* Twice as many as the last time, as long as it goes on like that. */
    if (!quick || s->most == 0)
        s->most = 1;
    else if (s->most < SH_STAMP_USES)
        s->most *= 2;
    s->left = (int32_t)s->most - 1;
    s->ms = now_ms;
}
