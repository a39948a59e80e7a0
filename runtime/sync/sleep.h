/* SPDX-License-Identifier: MIT */
/*
 * sync/sleep.h - which workers sleep, and whom to wake. The protocol and its
 * proof sketch are in sync/README.md.
 *
 * Edges.
 *   sleep    sleep.c
 *   more     sleep.c
 *   blocking worker/blocking.c
 */
#ifndef SH_SYNC_SLEEP_H
#define SH_SYNC_SLEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/atomic.h"

#ifndef SH_SLEEP_GROUPS
#define SH_SLEEP_GROUPS 133 /* for as many workers as have an owner's number */
#endif
#define SH_SLEEP_GROUP 31u /* so many workers each */
/* In the first group: somebody stands by, who is called when nobody searches
 * and no worker is idle. */
#define SH_SLEEP_STANDBY ((uint64_t)1 << 31)

struct sh_bell {
    _Alignas(SH_LINE) _Atomic uint32_t rung;
};

struct sh_sleep {
    /* Two bits a worker: IDLE i at bit i, SEARCHING i at bit 32 + i. */
    _Alignas(SH_LINE) _Atomic uint64_t group[SH_SLEEP_GROUPS];
    _Alignas(SH_LINE) struct sh_bell *bells; /* one a worker */
    unsigned first;                          /* the number of the first one */
    _Atomic uint32_t workers;                /* that may have a bit; it grows */
    bool shared;
    void (*called)(void *arg); /* who stands by; NULL: nobody ever does */
    void *called_arg;
};

/* For so many workers, numbered from first on, who have these bells. */
void sh_sleep_init(struct sh_sleep *s, struct sh_bell *bells, unsigned first,
                   unsigned workers, bool shared);

/* Before worker n - 1 is started, who has a bell. */
void sh_sleep_admit(struct sh_sleep *s, unsigned n);

/* The part of notify that is rarely needed. */
void sh_sleep_wake_some(struct sh_sleep *s);

/* Any thread, after it made work visible: wake one idle worker, unless one is
 * searching already. */
static inline void sh_sleep_notify(struct sh_sleep *s)
{
    /* seq_cst: sleep. One that we do not know of has not said yet that it is
     * idle, and will look. */
    if (SH_LIKELY(sh_load_sc(&s->workers) <= SH_SLEEP_GROUP)) {
        uint64_t v = sh_load_sc(&s->group[0]); /* seq_cst: sleep, more */

        /* Somebody searches, or nobody is idle or stands by. */
        if (v >> 32 != 0 || (uint32_t)v == 0)
            return;
    }
    sh_sleep_wake_some(s);
}

/* Whether notify would wake a worker now; a guess, of the first group. */
static inline bool sh_sleep_will_wake(struct sh_sleep *s)
{
    /* relaxed: a guess */
    uint64_t v = sh_load_rlx(&s->group[0]) & ~SH_SLEEP_STANDBY;

    /* Nobody searches, and somebody is idle: not 0, and below 1 << 32. */
    return v - 1 < UINT32_MAX;
}

/* Whether any worker is idle; a guess, of the first group. */
static inline bool sh_sleep_has_idle(struct sh_sleep *s)
{
    /* relaxed: a guess */
    uint64_t v = sh_load_rlx(&s->group[0]) & ~SH_SLEEP_STANDBY;

    return (uint32_t)v != 0;
}

/* Somebody stands by from now on; who says so looks at everything after that,
 * and calls notify if there is work that is to be noticed. Who is called does
 * not stand by any more. */
static inline void sh_sleep_stand_by(struct sh_sleep *s)
{
    sh_or_sc(&s->group[0], SH_SLEEP_STANDBY); /* seq_cst: sleep */
}

/* Whether somebody does. */
static inline bool sh_sleep_stands_by(struct sh_sleep *s)
{
    /* seq_cst: blocking */
    return (sh_load_sc(&s->group[0]) & SH_SLEEP_STANDBY) != 0;
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
