/* SPDX-License-Identifier: MIT */
/*
 * timeout.h - one timer of a wait, and who lets it happen: for clients that are
 * about what it reaches. future/timer.c itself has timer_client.h.
 */
#ifndef SH_MODEL_TIMEOUT_H
#define SH_MODEL_TIMEOUT_H

#include "settle_client.h"

#include "future/timer.h"

static _Atomic uint64_t timed_out; /* the target; 0: not set */

/* The checker would stumble over what is made of a function that returns a
 * bool, where that is one of two. */
#define sh_timer_set(p, index, generation, when_ns) \
    (set_timeout(p, index, generation, when_ns), true)

static void set_timeout(struct sh_pool *p, uint32_t index,
                        uint32_t generation, int64_t when_ns)
{
    uint32_t records = p->records.capacity;

    assert(when_ns != INT64_MAX && index >= records);
    /* release: timer */
    sh_store_rel(&timed_out,
                 index < 2 * records
                     ? sh_target(SH_TARGET_RECORD, index - records,
                                 SH_BIT_TIME, generation)
                     : sh_target(SH_TARGET_CELL, index - 2 * records,
                                 SH_BIT_TIME, generation));
}

/* Its moment has come. Where nothing else ends the wait, not before it is
 * set. */
static inline void *let_happen(void *alone)
{
    uint64_t target = sh_load_acq(&timed_out); /* acquire: timer */
    struct sh_work work = { 0 };

    if (alone != NULL && target == 0)
        give_up();
    if (target != 0)
        sh_deliver_to(&work, &pool, target, SHUNT_PENDING);
    sh_work_do(&work);
    return NULL;
}

#endif /* SH_MODEL_TIMEOUT_H */
