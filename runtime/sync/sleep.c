/* SPDX-License-Identifier: MIT */
/*
 * sync/sleep.c - busy, searching, idle: three states of a worker, in two bits
 * of a word that 31 workers share.
 *
 *                search                    announce
 *        BUSY ------------> SEARCHING --------------------> IDLE
 *         ^   <------------     ^  ^    withdraw (self)      |
 *                found          |  +-------------------------+
 *                               +------ notify, wake (other) -+
 *
 * Idea. Whoever makes work looks at the word: if a worker searches, that one
 * will find it; else an idle one is made searching by one CAS and its bell is
 * rung. Waking is the dearest thing here (tens of microseconds across CPUs),
 * so one searcher is enough at a time, and the one that finds something wakes
 * the next if there is more. Why no wake-up is lost: sync/README.md.
 *
 * The timekeeper is a sleeper of last resort: it stands by with a bit of its
 * own, is called only if no worker is idle, and never searches. It has others
 * do that: worker/blocking.c.
 *
 * Bits and not counts: a bit can be set or cleared twice without harm, and
 * after a death it is known whose it was.
 *
 * Edges.
 *   sleep     push: make work visible, then read the word || announce: set
 *             idle, then look at all work; all seq_cst: one sees the other
 *   more      found: clear searching, then look at all work || push: make
 *             work visible, then read the word; all seq_cst
 *   ring      notify: write rung -> wait: read rung       the state was moved
 *   stale     wait: reset rung, then read the word || notify: move the state,
 *             then ring; all seq_cst: a reset does not wipe out a ring for a
 *             state that wait does not see yet
 *   blocking worker/blocking.c
 *
 * Crash. A worker that dies leaves its bits. A stale SEARCHING bit would keep
 * others from being woken, a stale IDLE bit would swallow a wake-up: recovery
 * clears both and notifies once. Who dies between marking another as searching
 * and ringing its bell leaves it asleep: recovery rings all bells.
 */
#include "sync/sleep.h"

#include "sync/futex.h"

/* Here w counts from the first one that shares the words. */

static _Atomic uint64_t *group(struct sh_sleep *s, unsigned w)
{
    return &s->group[w / SH_SLEEP_GROUP];
}

static uint64_t idle_bit(unsigned w)
{
    return (uint64_t)1 << (w % SH_SLEEP_GROUP);
}

static uint64_t search_bit(unsigned w)
{
    return (uint64_t)1 << (32 + w % SH_SLEEP_GROUP);
}

static unsigned groups(const struct sh_sleep *s)
{
    /* seq_cst: sleep. As in notify. */
    return (sh_load_sc(&s->workers) + SH_SLEEP_GROUP - 1) / SH_SLEEP_GROUP;
}

void sh_sleep_init(struct sh_sleep *s, struct sh_bell *bells, unsigned first,
                   unsigned workers, bool shared)
{
    SH_ASSERT(workers <= SH_SLEEP_GROUPS * SH_SLEEP_GROUP);
    s->bells = bells;
    s->first = first;
    sh_store_rlx(&s->workers, workers); /* relaxed: as below */
    s->shared = shared;
    for (unsigned g = 0; g < groups(s); g++)
        sh_store_rlx(&s->group[g], 0); /* relaxed: nobody else has it yet */
}

void sh_sleep_admit(struct sh_sleep *s, unsigned n)
{
    uint32_t now = sh_load_sc(&s->workers); /* seq_cst: sleep */

    n -= s->first;
    SH_ASSERT(n <= SH_SLEEP_GROUPS * SH_SLEEP_GROUP);
    while (now < n && !sh_cas_sc(&s->workers, &now, n)) /* seq_cst: sleep */
        continue;
}

/* Only asserted, hence perhaps unused. */
__attribute__((unused)) static bool is_admitted(const struct sh_sleep *s,
                                                unsigned w)
{
    return w < sh_load_rlx(&s->workers); /* relaxed: it runs, or it is we who
                                          * have started it */
}

static void ring(struct sh_sleep *s, unsigned w)
{
    sh_store_sc(&s->bells[w].rung, 1); /* seq_cst: ring, stale */
    sh_futex_wake(&s->bells[w].rung, 1, s->shared);
}

/* Its idle workers. */
static uint32_t idle_in(uint64_t v)
{
    return (uint32_t)(v & ~SH_SLEEP_STANDBY);
}

/* IDLE -> SEARCHING for the lowest idle worker of group g. True if done or if
 * nobody is needed any more. */
static bool wake_one(struct sh_sleep *s, unsigned g)
{
    uint64_t v = sh_load_sc(&s->group[g]); /* seq_cst: sleep, more */

    while (idle_in(v) != 0) {
        unsigned i = (unsigned)__builtin_ctz((uint32_t)v);
        uint64_t next = (v & ~idle_bit(i)) | search_bit(i);

        if (v >> 32 != 0)
            return true;
        if (sh_cas_sc(&s->group[g], &v, next)) { /* seq_cst: sleep */
            ring(s, g * SH_SLEEP_GROUP + i);
            return true;
        }
    }
    return v >> 32 != 0;
}

/* No worker is idle: call who stands by, unless one searches now. */
static void call(struct sh_sleep *s)
{
    uint64_t v = sh_load_sc(&s->group[0]); /* seq_cst: sleep, more */

    while ((v & SH_SLEEP_STANDBY) != 0) {
        if (v >> 32 != 0)
            return;
        /* seq_cst: sleep, blocking */
        if (sh_cas_sc(&s->group[0], &v, v & ~SH_SLEEP_STANDBY)) {
            s->called(s->called_arg);
            return;
        }
    }
}

SH_HOT void sh_sleep_wake_some(struct sh_sleep *s)
{
    if (groups(s) > 1)
        for (unsigned g = 0; g < groups(s); g++)
            if (sh_load_sc(&s->group[g]) >> 32 != 0) /* seq_cst: sleep, more */
                return;
    for (unsigned g = 0; g < groups(s); g++)
        if (wake_one(s, g))
            return;
    call(s);
}

void sh_sleep_wake(struct sh_sleep *s, unsigned w)
{
    uint64_t v;

    w -= s->first;
    SH_ASSERT(is_admitted(s, w));
    v = sh_load_sc(group(s, w)); /* seq_cst: sleep */
    while (v & idle_bit(w)) {
        uint64_t next = (v & ~idle_bit(w)) | search_bit(w);

        if (sh_cas_sc(group(s, w), &v, next)) { /* seq_cst: sleep */
            ring(s, w);
            return;
        }
    }
}

void sh_sleep_rouse(struct sh_sleep *s, unsigned w)
{
    sh_sleep_wake(s, w);
    ring(s, w - s->first);
}

SH_HOT void sh_sleep_search(struct sh_sleep *s, unsigned w)
{
    w -= s->first;
    SH_ASSERT(is_admitted(s, w));
    sh_or_sc(group(s, w), search_bit(w)); /* seq_cst: sleep */
}

SH_HOT bool sh_sleep_found(struct sh_sleep *s, unsigned w)
{
    w -= s->first;
    SH_ASSERT(is_admitted(s, w));
    /* seq_cst: more */
    uint64_t v = sh_and_sc(group(s, w), ~search_bit(w)) & ~search_bit(w);

    if (groups(s) > 1)
        return true;
    return v >> 32 == 0 && (uint32_t)v != 0;
}

SH_HOT void sh_sleep_announce(struct sh_sleep *s, unsigned w)
{
    uint64_t v, next;

    w -= s->first;
    SH_ASSERT(is_admitted(s, w));
    v = sh_load_rlx(group(s, w)); /* relaxed: the CAS validates it */
    SH_ASSERT(v & search_bit(w));
    do {
        next = (v & ~search_bit(w)) | idle_bit(w);
    } while (!sh_cas_sc(group(s, w), &v, next)); /* seq_cst: sleep */
}

void sh_sleep_withdraw(struct sh_sleep *s, unsigned w)
{
    uint64_t v;

    w -= s->first;
    SH_ASSERT(is_admitted(s, w));
    v = sh_load_rlx(group(s, w)); /* relaxed: the CAS validates it */
    /* If the idle bit is gone, a waker was first: its ring is stale then, and
     * wait below does not mind stale rings. */
    while (v & idle_bit(w)) {
        uint64_t next = (v & ~idle_bit(w)) | search_bit(w);

        if (sh_cas_sc(group(s, w), &v, next)) /* seq_cst: sleep */
            return;
    }
}

SH_HOT bool sh_sleep_wait(struct sh_sleep *s, unsigned w, int64_t deadline_ns)
{
    _Atomic uint32_t *rung;

    w -= s->first;
    rung = &s->bells[w].rung;
    SH_ASSERT(is_admitted(s, w));
    for (;;) {
        if (sh_load_acq(rung) != 0) /* acquire: ring */
            sh_store_sc(rung, 0);   /* seq_cst: stale */
        if (!(sh_load_sc(group(s, w)) & idle_bit(w))) /* seq_cst: sleep */
            return true;
        if (!sh_futex_wait(rung, 0, deadline_ns, s->shared)) {
            sh_sleep_withdraw(s, s->first + w);
            return false;
        }
    }
}

void sh_sleep_bury(struct sh_sleep *s, unsigned w)
{
    w -= s->first;
    /* seq_cst: sleep. Whoever woke it, and nobody else, has us. */
    sh_and_sc(group(s, w), ~(idle_bit(w) | search_bit(w)));
    sh_sleep_wake_some(s);
}

bool sh_sleep_is_idle(struct sh_sleep *s, unsigned w)
{
    w -= s->first;
    /* seq_cst: sleep */
    return (sh_load_sc(group(s, w)) & idle_bit(w)) != 0;
}

bool sh_sleep_is_searching(struct sh_sleep *s, unsigned w)
{
    w -= s->first;
    /* seq_cst: sleep */
    return (sh_load_sc(group(s, w)) & search_bit(w)) != 0;
}
