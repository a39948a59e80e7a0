/* SPDX-License-Identifier: MIT */
/*
 * future/edge.c - the dependants of a record, and the arrivals of one.
 *
 *     record  edge0: target
 *             edges -> [target] -> [DEAD] -> [target]
 *             dead ------------------^
 *
 * Idea. Most futures have one dependant: it needs no memory, edge0 is a word
 * of the record. Others go to a list that only grows. A dependant that stops
 * waiting turns its edge DEAD by CAS, and the next one to come reuses it, so
 * that racing a million requests against one shutdown future takes no more
 * edges than were waiting at one time.
 *
 * The future settles: its state is COMPLETE before the first edge is closed.
 * Each edge is delivered and then turned CLOSED by CAS; if it changed
 * meanwhile, once more. Whoever comes after that finds CLOSED and delivers to
 * itself. A delivery sets a bit that is tagged with a generation, so doing it
 * twice, or too late, is harmless, and so is doing the whole walk again.
 *
 * Edges.
 *   accept   future/deliver.c
 *   watch    attach: set WATCHED -> settle: CAS of state    then walks edges
 *   hang     attach: write target -> close: read target     the dependant is
 *            set up
 *   closed   close: write CLOSED -> attach: read CLOSED     the outcome
 *   list     attach: push -> close, detach: read the list   the edge is set
 *   dead     detach: push -> attach: pop                    the next link
 *   cell     future/combine.c
 *   arrive   arrive: set the bit -> whoever finds it set    the outcome
 *
 * Crash. Between two stores of attach: the edge is not in the list yet, but in
 * hand (memory/table.h), and its dependant was never accepted. Between close's
 * delivery and CLOSED: recovery closes again. An edge that is DEAD but not in
 * the dead list is not reused; it goes with the record.
 */
#include "future/edge.h"

#define DEAD_TRIES 8 /* edges that turn out to live, before a new one */

SH_HOT enum sh_arrived sh_arrive(_Atomic uint64_t *word, uint32_t generation,
                                 unsigned bit, uint64_t *word_out)
{
    uint64_t old = sh_load_acq(word); /* acquire: arrive */
    uint64_t with;

    SH_ASSERT(bit < 32);
    do {
        if ((uint32_t)(old >> 32) != generation)
            return SH_ARRIVED_STALE;
        with = old | (uint64_t)1 << bit;
        if (with == old)
            break;
    } while (!sh_cas_sc(word, &old, with)); /* seq_cst: arrive, accept */
    if (word_out != NULL)
        *word_out = with;
    return with == old ? SH_ARRIVED_AGAIN : SH_ARRIVED_NEW;
}

SH_HOT uint32_t sh_arrivals_renew(_Atomic uint64_t *word)
{
    /* relaxed: only stale targets could change it, and they do not */
    uint32_t generation = (uint32_t)(sh_load_rlx(word) >> 32) + 1;

    sh_store_rel(word, (uint64_t)generation << 32); /* release: arrive */
    return generation;
}

uint32_t sh_deps_renew(struct sh_record *r)
{
    uint64_t seen = (uint64_t)1 << SH_BIT_SEEN;
    uint64_t old = sh_load_rlx(&r->deps); /* relaxed: the CAS validates it */
    uint64_t next;

    /* Only what has a deadline fails while its code runs, and is looked at. */
    if (SH_LIKELY(!sh_is_bound(r)))
        return sh_arrivals_renew(&r->deps);
    do {
        next = ((old >> 32) + 1) << 32 | (old & seen);
    } while (!sh_cas_rel(&r->deps, &old, next)); /* release: arrive */
    return (uint32_t)(next >> 32);
}

/* Take an edge out of the dead list; it may have been reused meanwhile. */
static uint32_t pop_dead(struct sh_pool *pool, struct sh_record *r)
{
    uint32_t head = sh_load_acq(&r->dead); /* acquire: dead */

    while ((head & 0xffffff) != SH_NONE) {
        struct sh_edge *e = sh_edge_at(pool, head & 0xffffff);
        uint32_t rest = sh_load_rlx(&e->dead_next); /* relaxed: CAS validates */
        uint32_t next = ((head >> 24) + 1) << 24 | (rest & 0xffffff);

        /* A tag of 8 bits may come round: then an edge is forgotten, or one
         * that lives is returned, which the caller's CAS finds out; again and
         * again, if the list has become a ring. */
        if (sh_cas_acqrel(&r->dead, &head, next)) /* acquire: dead */
            return head & 0xffffff;
    }
    return SH_NONE;
}

static void push_dead(struct sh_pool *pool, struct sh_record *r, uint32_t index)
{
    uint32_t head = sh_load_rlx(&r->dead); /* relaxed: the CAS validates it */
    uint32_t next;

    do {
        sh_store_rlx(&sh_edge_at(pool, index)->dead_next,
                     head & 0xffffff); /* relaxed: published by the CAS */
        next = ((head >> 24) + 1) << 24 | index;
    } while (!sh_cas_rel(&r->dead, &head, next)); /* release: dead */
}

/* Add an edge to the list. */
static enum sh_attached push_edge(struct sh_pool *pool, struct sh_record *r,
                                  uint64_t target, sh_hook *hook_out)
{
    struct sh_seat *seat = sh_seat_of(pool);
    uint32_t index = seat == NULL
                         ? SH_NONE
                         : sh_table_take_in_hand(&pool->edges, &seat->edges,
                                                 sh_index_of(pool, r));
    uint32_t head = sh_load_acq(&r->edges); /* acquire: list */

    if (index == SH_NONE)
        return SH_ATTACH_NOMEM;
    /* relaxed: the CAS below publishes both */
    sh_store_rlx(&sh_edge_at(pool, index)->target, target);
    do {
        if ((head & SH_EDGES_CLOSED) != 0) {
            sh_table_give_in_hand(&pool->edges, &seat->edges);
            return SH_ATTACH_SETTLED;
        }
        /* relaxed: the CAS below publishes it */
        sh_store_rlx(&sh_edge_at(pool, index)->next, head);
    } while (!sh_cas_acqrel(&r->edges, &head, index)); /* release: list, hang */
    sh_table_unhand(&seat->edges);
    *hook_out = index;
    return SH_ATTACHED;
}

/* Say in the state that there are dependants. False if it is too late. */
static bool watch(struct sh_record *r, uint32_t generation)
{
    uint64_t w = sh_load_acq(&r->state); /* acquire: closed */

    do {
        if (sh_is_settled(w) || sh_generation_of(w) != generation)
            return false;
        if ((w & SH_WATCHED) != 0)
            return true;
    } while (!sh_cas_acqrel(&r->state, &w, w | SH_WATCHED)); /* acq_rel: watch
                                                              */
    return true;
}

SH_HOT enum sh_attached sh_edge_attach(struct sh_pool *pool,
                                       struct sh_record *r, uint32_t generation,
                                       uint64_t target, sh_hook *hook_out)
{
    uint64_t e = SH_EDGE_EMPTY;
    uint32_t index;

    SH_ASSERT(sh_target_kind(target) != 0);
    if (!watch(r, generation))
        return SH_ATTACH_SETTLED;
    *hook_out = 0;
    do {
        if (e == SH_EDGE_CLOSED)
            return SH_ATTACH_SETTLED;
        if (e != SH_EDGE_EMPTY && e != SH_EDGE_DEAD)
            break;
        if (sh_cas_acqrel(&r->edge0, &e, target)) /* acq_rel: hang, closed */
            return SH_ATTACHED;
    } while (true);
    for (int tries = 0; tries < DEAD_TRIES; tries++) {
        index = pop_dead(pool, r);
        if (index == SH_NONE)
            break;
        e = SH_EDGE_DEAD;
        *hook_out = index;
        /* acq_rel: hang, closed */
        if (sh_cas_acqrel(&sh_edge_at(pool, index)->target, &e, target))
            return SH_ATTACHED;
        if (e == SH_EDGE_CLOSED)
            return SH_ATTACH_SETTLED;
    }
    return push_edge(pool, r, target, hook_out);
}

SH_HOT bool sh_edge_detach(struct sh_pool *pool, struct sh_record *r,
                           sh_hook hook, uint64_t target)
{
    _Atomic uint64_t *at = hook == 0 ? &r->edge0
                                     : &sh_edge_at(pool, hook)->target;

    if (!sh_cas_acqrel(at, &target, SH_EDGE_DEAD)) /* acq_rel: hang, closed */
        return false;
    if (hook != 0)
        push_dead(pool, r, hook);
    return true;
}

static bool is_waiting(uint64_t e)
{
    return e != SH_EDGE_EMPTY && e != SH_EDGE_DEAD && e != SH_EDGE_CLOSED;
}

static bool wants(uint64_t e)
{
    return is_waiting(e) && !sh_is_heed(e) && !sh_is_child(e);
}

bool sh_edge_any(struct sh_pool *pool, struct sh_record *r)
{
    uint32_t i = sh_load_acq(&r->edges); /* acquire: list */

    if (wants(sh_load_acq(&r->edge0))) /* acquire: hang */
        return true;
    for (i &= ~SH_EDGES_CLOSED; i != SH_NONE;) {
        struct sh_edge *e = sh_edge_at(pool, i);

        if (wants(sh_load_acq(&e->target))) /* acquire: hang */
            return true;
        i = sh_load_rlx(&e->next); /* relaxed: never changes in the list */
    }
    return false;
}

SH_HOT uint64_t sh_edge_sole(struct sh_pool *pool, struct sh_record *r,
                             uint64_t word)
{
    uint64_t e = sh_load_acq(&r->edge0); /* acquire: hang */

    if (pool->shared || (word & (SH_ODD | SH_LENT)) != SH_LENT ||
        sh_load_acq(&r->edges) != SH_NONE) /* acquire: list */
        return 0;
    /* A step, or a combinator, holds on to what it waits for. */
    if (sh_target_kind(e) == SH_TARGET_RECORD)
        return sh_target_bit(e) < SH_FANOUT ? e : 0;
    return sh_target_kind(e) == SH_TARGET_CELL &&
                   /* acquire: cell. It waits, so it is of this use. */
                   sh_load_acq(&sh_cell_at(pool, sh_target_index(e))->kind) ==
                       SH_CELL_NODE
               ? e
               : 0;
}

static bool close_edge(struct sh_pool *pool, _Atomic uint64_t *at,
                       sh_deliver *deliver, void *to)
{
    uint64_t e = sh_load_acq(at); /* acquire: hang */

    while (e != SH_EDGE_CLOSED) {
        if (is_waiting(e) && !deliver(to, pool, e))
            return false;
        /* acq_rel: closed, hang */
        if (sh_cas_acqrel(at, &e, SH_EDGE_CLOSED))
            break;
    }
    return true;
}

SH_HOT bool sh_edge_close(struct sh_pool *pool, struct sh_record *r,
                          sh_deliver *deliver, void *to)
{
    uint32_t i = sh_load_acq(&r->edges); /* acquire: list */
    bool all = close_edge(pool, &r->edge0, deliver, to);

    while ((i & SH_EDGES_CLOSED) == 0 &&
           !sh_cas_acqrel(&r->edges, &i, i | SH_EDGES_CLOSED)) /* acq_rel:
                                                                * list */
        continue;
    for (i &= ~SH_EDGES_CLOSED; i != SH_NONE;) {
        struct sh_edge *e = sh_edge_at(pool, i);

        all &= close_edge(pool, &e->target, deliver, to);
        i = sh_load_rlx(&e->next); /* relaxed: never changes in the list */
    }
    return all;
}

SH_HOT void sh_edge_free(struct sh_pool *pool, struct sh_record *r)
{
    struct sh_seat *seat = sh_seat_of(pool);
    uint32_t i = sh_load_acq(&r->edges); /* acquire: list */

    for (i &= ~SH_EDGES_CLOSED; i != SH_NONE && seat != NULL;) {
        /* relaxed: never changes in the list, and the record is ours */
        uint32_t next = sh_load_rlx(&sh_edge_at(pool, i)->next);

        sh_table_hand(&seat->edges, i, sh_index_of(pool, r));
        /* First, so that who repeats this gives nothing back twice.
         * release: list; the record is ours */
        sh_store_rel(&r->edges, next | SH_EDGES_CLOSED);
        sh_table_give_in_hand(&pool->edges, &seat->edges);
        i = next;
    }
}
