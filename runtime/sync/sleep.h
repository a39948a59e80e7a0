/* SPDX-License-Identifier: MIT */
/*
 * sync/sleep.h - which workers sleep, and whom to wake. The protocol and its
 * proof sketch are in sync/README.md.
 *
 * Edges.
 *   sleep    sleep.c
 *   more     sleep.c
 */
#ifndef SH_SYNC_SLEEP_H
#define SH_SYNC_SLEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/atomic.h"

#ifndef SH_SLEEP_GROUPS
#define SH_SLEEP_GROUPS 64 /* of 32 workers each */
#endif

struct sh_bell {
    _Alignas(SH_LINE) _Atomic uint32_t rung;
};

struct sh_sleep {
    /* Two bits a worker: IDLE i at bit i, SEARCHING i at bit 32 + i. */
    _Alignas(SH_LINE) _Atomic uint64_t group[SH_SLEEP_GROUPS];
    _Alignas(SH_LINE) struct sh_bell *bells; /* one a worker */
    unsigned workers;
    bool shared;
};

void sh_sleep_init(struct sh_sleep *s, struct sh_bell *bells, unsigned workers,
                   bool shared);

/* The part of notify that is rarely needed. */
void sh_sleep_wake_some(struct sh_sleep *s);

/* Any thread, after it made work visible: wake one idle worker, unless one is
 * searching already. */
static inline void sh_sleep_notify(struct sh_sleep *s)
{
    if (SH_LIKELY(s->workers <= 32)) {
        uint64_t v = sh_load_sc(&s->group[0]); /* seq_cst: sleep, more */

        /* Somebody searches, or nobody is idle. */
        if (v >> 32 != 0 || (uint32_t)v == 0)
            return;
    }
    sh_sleep_wake_some(s);
}

/* Whether notify would wake somebody now; a guess, of 32 workers at most. */
static inline bool sh_sleep_will_wake(struct sh_sleep *s)
{
    uint64_t v = sh_load_rlx(&s->group[0]); /* relaxed: a guess */

    /* Nobody searches, and somebody is idle: not 0, and below 1 << 32. */
    return v - 1 < UINT32_MAX;
}

/* Whether anybody is idle; a guess, of 32 workers at most. */
static inline bool sh_sleep_has_idle(struct sh_sleep *s)
{
    return (uint32_t)sh_load_rlx(&s->group[0]) != 0; /* relaxed: a guess */
}

/* Any thread, after it made something visible that only worker w can do. */
void sh_sleep_wake(struct sh_sleep *s, unsigned w);

/* The same; and if somebody has marked it as woken, and died before its bell
 * was rung, that is made good. */
void sh_sleep_rouse(struct sh_sleep *s, unsigned w);

/* Worker w, busy until now, begins to search. */
void sh_sleep_search(struct sh_sleep *s, unsigned w);

/* Worker w, searching, found something to do. True if somebody else might
 * have to be woken: the caller then looks at all queues, and calls notify if
 * there is more to do. */
bool sh_sleep_found(struct sh_sleep *s, unsigned w);

/* Worker w, searching, found nothing and will look once more before it
 * sleeps: from now on it can be woken. */
void sh_sleep_announce(struct sh_sleep *s, unsigned w);

/* Worker w, after announce, found something after all: it searches again. */
void sh_sleep_withdraw(struct sh_sleep *s, unsigned w);

/* Worker w, after announce and a second look: sleep until woken or until the
 * moment deadline_ns (INT64_MAX: never). It then searches again. True if it
 * was woken. */
bool sh_sleep_wait(struct sh_sleep *s, unsigned w, int64_t deadline_ns);

/* Worker w has died: it neither sleeps nor searches, and somebody else looks
 * around in its stead. */
void sh_sleep_bury(struct sh_sleep *s, unsigned w);

/* Whether worker w is idle, or searches, at this moment. */
bool sh_sleep_is_idle(struct sh_sleep *s, unsigned w);
bool sh_sleep_is_searching(struct sh_sleep *s, unsigned w);

#endif /* SH_SYNC_SLEEP_H */
