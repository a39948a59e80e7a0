/* SPDX-License-Identifier: MIT */
/*
 * task/stamp.h - when something began, for whoever may ask much later.
 *
 * Idea. Every record and every run has a stamp, and hardly any of them is ever
 * read: so it must cost next to nothing. Even the coarse clock takes a tenth of
 * a submit. So a stamp is used again, some times, by a thread that was quick so
 * far. What tells of time that may have passed, and is known without asking a
 * clock, makes it look again: the thread slept, its worker began another task,
 * it submits to a pool that has a worker asleep. And a promise always does.
 * What remains is a thread that is quick for a while, then busy with its own
 * affairs, and then begins a few things more: those seem to have begun before
 * the pause. After at most SH_STAMP_USES of them it looks, and one that is not
 * quick looks each time. docs/decisions/0022.
 */
#ifndef SH_TASK_STAMP_H
#define SH_TASK_STAMP_H

#include <stdint.h>

#include "base/assert.h"

#define SH_STAMP_USES 64u
/* So many uses within that time, some ticks of the coarse clock, are quick. */
#define SH_STAMP_QUICK_MS 10u

/* One thread's own. */
struct sh_stamp {
    uint32_t ms;   /* of the coarse clock; comes round after 49 days */
    int32_t left;  /* uses until the clock is looked at again, */
    uint32_t most; /* of so many */
};

/* The moment by the coarse clock. */
uint32_t sh_stamp_now(void);

/* The part of take that is rarely needed. */
void sh_stamp_renew(struct sh_stamp *s);

/* The moment, or one shortly before. */
static inline uint32_t sh_stamp_take(struct sh_stamp *s)
{
    if (SH_UNLIKELY(--s->left < 0))
        sh_stamp_renew(s);
    return s->ms;
}

/* Time has passed: look at the clock when the stamp is next used. */
static inline void sh_stamp_forget(struct sh_stamp *s)
{
    s->left = 0;
}

#endif /* SH_TASK_STAMP_H */
