/* SPDX-License-Identifier: MIT */
/*
 * worker/find.c - where a worker looks for something to run, in which order.
 *
 *   1. its own deque, newest first: depth first, so that a tree of tasks takes
 *      memory as deep as it is, and not as wide
 *   2. the ring of tasks from outside, a batch at a time, in their order
 *   3. the side ring: what became ready outside the workers
 *      of threads in an auto pool: what its processes have queued for them
 *   4. the task table, if something is READY there and in no queue
 *   5. the other deques, oldest first: as much as half of one
 *   6. what others have spawned: frames.c
 *
 * Fairness. Every 61st turn begins with the rings, by turns with either, and
 * every 61st with the oldest entry of the own deque, so that neither a task
 * that always submits another nor a busy pool starves the rest (the numbers are
 * Go's and Tokio's: a prime, so that no pattern of the program keeps step with
 * it).
 *
 * Holding back. A worker that keeps up with a thread outside would meet it at
 * the end of the ring, task by task, and each look there takes lines from it
 * that it is about to write. So who has taken SH_FLOW of them since it was last
 * idle finds nothing, but for the turns above, where the rings have less than a
 * batch. It is idle then: it looks away for a moment (loop.c), and takes what
 * there is.
 *
 * Edges.
 *   accepted task/handle.c: here state is read
 *   room     future/submit.c: here taken is written
 *   sleep    sync/sleep.c: what is read in sees_work
 */
#include "worker/worker.h"

#define BATCH 32u

SH_HOT void sh_worker_took(struct sh_worker *w)
{
    _Atomic uint64_t *taken = &w->post->taken;

    /* relaxed: only we write it */
    sh_store_sc(taken, sh_load_rlx(taken) + 1); /* seq_cst: room */
    sh_room_ring(w->pool);
}

/* Take a batch from a ring, a share for each worker that can run now: the first
 * is returned, the rest is pushed. */
static SH_HOT uint64_t from_ring(struct sh_worker *w, struct sh_ring *ring)
{
    uint64_t hints[BATCH];
    uint64_t size = sh_ring_size(ring);
    uint64_t share;
    unsigned n;

    if (size == 0)
        return 0;
    share = size / w->pool->cpus + 1;
    n = sh_ring_pop(ring, hints, share < BATCH ? (unsigned)share : BATCH);
    if (n == 0)
        return 0;
    w->flow += n;
    for (unsigned i = 1; i < n; i++)
        sh_table_prefetch(&w->pool->records, sh_hint_index(hints[i]));
    if (n > 1) {
        unsigned put = sh_deque_push_many(&w->post->deque, hints + 1, n - 1);

        /* What does not fit is READY: the table has it. */
        if (put < n - 1)
            sh_add_sc(&w->camp->rescan, 1); /* seq_cst: sleep */
        sh_sleep_notify(&w->camp->sleep);
    }
    return hints[0];
}

/* Queue what is READY from record `at` on, as much as half a deque; where that
 * ended. */
static uint32_t queue_ready(struct sh_worker *w, uint32_t at, uint32_t used,
                            unsigned *found)
{
    struct sh_pool *pool = w->pool;

    for (; at < used && *found < SH_DEQUE_SLOTS / 2; at++) {
        struct sh_record *r = sh_record_at(pool, at);
        uint64_t word = sh_load_acq(&r->state); /* acquire: accepted */

        if (sh_phase_of(word) != SH_READY || sh_camp_of(pool, r) != w->camp)
            continue;
        if (!sh_deque_push(&w->post->deque,
                           sh_hint(at, sh_generation_of(word))))
            break;
        ++*found;
    }
    return at;
}

/* Look through the table for what is READY. */
static uint64_t from_table(struct sh_worker *w)
{
    struct sh_pool *pool = w->pool;
    uint64_t epoch = sh_load_sc(&w->camp->rescan); /* seq_cst: sleep */
    uint32_t used = sh_table_used(&pool->records);
    uint32_t at = sh_load_rlx(&w->rescan_at); /* relaxed: ours */
    unsigned found = 0;
    uint64_t hint;

    if (at == 0) {
        if (epoch == sh_load_rlx(&w->rescan_done)) /* relaxed: ours */
            return 0;
        w->rescan_now = epoch;
        at = 1;
    }
    at = queue_ready(w, at, used, &found);
    if (at >= used) {
        at = 0;
        sh_store_rlx(&w->rescan_done, w->rescan_now); /* relaxed: a shutdown
                                                       * looks twice */
    }
    sh_store_rlx(&w->rescan_at, at); /* relaxed: as above */
    if (found > 1)
        sh_sleep_notify(&w->camp->sleep);
    return found > 0 && sh_deque_pop(&w->post->deque, &hint) ? hint : 0;
}

static uint32_t next_random(struct sh_worker *w)
{
    /* Marsaglia's xorshift. */
    w->random ^= w->random << 13;
    w->random ^= w->random >> 17;
    w->random ^= w->random << 5;
    return w->random;
}

/* Steal from another worker: one to run, and up to half of the rest. */
static uint64_t steal(struct sh_worker *w)
{
    unsigned n = sh_camp_end(w->pool, w->camp) - w->camp->first;
    unsigned first = next_random(w) % n;

    for (unsigned i = 0; i < n; i++) {
        unsigned v = w->camp->first + (first + i) % n;
        struct sh_deque *d = &w->pool->posts[v].deque;
        uint64_t got, more;
        enum sh_steal how;
        unsigned rest, moved;

        if (v == w->index)
            continue;
        while ((how = sh_deque_steal(d, &got)) == SH_STEAL_LOST)
            sh_count(&w->post->counts.lost, 1);
        if (how == SH_STEAL_EMPTY)
            continue;
        rest = sh_deque_size(d) / 2;
        if (rest > BATCH)
            rest = BATCH;
        for (moved = 0; moved < rest; moved++) {
            if (sh_deque_steal(d, &more) != SH_STEAL_GOT)
                break;
            if (!sh_deque_push(&w->post->deque, more)) {
                sh_add_sc(&w->camp->rescan, 1); /* seq_cst: sleep */
                break;
            }
        }
        /* While a hint was in our hands, another may have looked in vain and
         * gone to sleep. */
        if (rest > 0)
            sh_sleep_notify(&w->camp->sleep);
        sh_count(&w->post->counts.stolen, moved + 1);
        return got;
    }
    return 0;
}

/* A thread of an auto pool: what processes have queued for it. */
static SH_COLD uint64_t from_processes(struct sh_worker *w)
{
    unsigned n = sh_camp_end(w->pool, &w->pool->camps[SH_OWN_CAMP]);
    unsigned first = next_random(w) % n;
    uint64_t hint;

    for (unsigned i = 0; i < n; i++) {
        struct sh_deque *d = &w->pool->posts[(first + i) % n].away;
        enum sh_steal how;

        while ((how = sh_deque_steal(d, &hint)) == SH_STEAL_LOST)
            sh_count(&w->post->counts.lost, 1);
        if (how == SH_STEAL_EMPTY)
            continue;
        /* While it was in our hands, another may have looked in vain. */
        sh_sleep_notify(&w->camp->sleep);
        return hint;
    }
    return 0;
}

/* Of what others have: in their deques, or spawned. */
static uint64_t search(struct sh_worker *w)
{
    struct sh_pool *pool = w->pool;
    bool spawned = sh_frames_may_steal(w) &&
                   sh_load_rlx(&pool->splits_used) != 0; /* relaxed: a look */
    uint64_t hint = 0;

    if (sh_camp_end(pool, w->camp) - w->camp->first > 1)
        hint = steal(w);
    else if (!spawned)
        return 0;
    if (hint == 0 && spawned)
        hint = sh_frames_steal(w, next_random(w));
    sh_count(&w->post->counts.searched, 1);
    if (hint == 0)
        sh_count(&w->post->counts.missed, 1);
    return hint;
}

/* In a flow: whether what is in the rings is not worth meeting a producer. */
static SH_HOT bool holds_back(const struct sh_worker *w)
{
    uint64_t n;

    if (SH_LIKELY(w->flow < SH_FLOW))
        return false;
    n = sh_ring_size(&w->camp->ring) + sh_ring_size(&w->camp->side);
    return n > 0 && n < BATCH;
}

SH_HOT uint64_t sh_worker_find(struct sh_worker *w)
{
    struct sh_camp *camp = w->camp;
    uint32_t round = w->tick / SH_FAIR, turn = w->tick++ % SH_FAIR;
    uint64_t hint = 0;

    if (turn == 0) {
        /* One that is never empty shall not keep the other waiting. */
        hint = from_ring(w, round % 2 == 0 ? &camp->ring : &camp->side);
        if (hint == 0)
            hint = from_ring(w, round % 2 == 0 ? &camp->side : &camp->ring);
    } else if (turn == SH_FAIR / 2) {
        if (sh_deque_steal(&w->post->deque, &hint) != SH_STEAL_GOT)
            hint = 0;
    }
    if (hint != 0 || sh_deque_pop(&w->post->deque, &hint))
        return hint;
    if (holds_back(w))
        return 0; /* idle looks away, and then takes it */
    hint = from_ring(w, &camp->ring);
    if (hint == 0)
        hint = from_ring(w, &camp->side);
    if (hint == 0 && SH_UNLIKELY(sh_is_of_host_camp(w)))
        hint = from_processes(w);
    if (hint == 0)
        hint = from_table(w);
    return hint != 0 ? hint : search(w);
}

SH_HOT bool sh_worker_sees_work(struct sh_worker *w)
{
    struct sh_camp *camp = w->camp;

    /* seq_cst: sleep */
    if (sh_load_sc(&w->post->resumed) != SH_NONE || sh_is_handed(w->post))
        return true;
    /* relaxed: ours, or a shutdown's, which looks twice; seq_cst: sleep */
    if (sh_load_rlx(&w->rescan_at) != 0 ||
        sh_load_sc(&camp->rescan) != sh_load_rlx(&w->rescan_done))
        return true;
    if (sh_camp_is_queued(w->pool, camp))
        return true;
    return sh_frames_may_steal(w) && sh_frames_offered(w->pool, camp);
}
