/* SPDX-License-Identifier: MIT */
/*
 * worker/shutdown.c - bringing a pool to its end, in three ways.
 *
 * Idea. No count of unfinished tasks is kept, since it would cost every task
 * and a death could leave it wrong. When all workers are idle and no queue
 * holds anything, whatever has not settled waits for something outside: a
 * promise, or another pool. So a shutdown sleeps until the workers are idle,
 * looks at the task table, and does what its kind of end asks:
 *
 *   drain    fails the promises that nobody has kept
 *   cancel   asks everything to cancel, at once and whenever it looks
 *   kill     the same, and gives up what runs at the deadline
 *
 * Edges.
 *   room     future/submit.c
 *   sleep    sync/sleep.c
 *   guests   future/notice.c
 *   quiet    future/settle.c, worker/loop.c: the state moved, then quiet ||
 *            here: read quiet, then the states; all seq_cst
 *   closing  future/submit.c, settle.c: READY and queued, then read the gate
 *            || here: write STOPPED, read the queues, then the states. The
 *            queues and the gate are seq_cst: a task whose gate was read too
 *            early is in a queue that we have read, so we see it READY
 *   settled  future/settle.c
 *   rest     worker/standin.c
 */
#include "base/clock.h"
#include "future/timer.h"
#include "sync/futex.h"
#include "worker/worker.h"

/* Whether a record has a future that has not settled, or somebody is at work
 * on it, who may be of another pool. A keeper ends by itself, but whoever
 * brings that about may not have begun. A scope that is open has no future. */
static bool is_pending(struct sh_record *r, uint64_t w)
{
    unsigned kind = sh_load_rlx(&r->kind); /* relaxed: a look, repeated */

    return sh_phase_of(w) >= SH_PROMISE && sh_phase_of(w) != SH_DONE &&
           kind != SH_KIND_DEAL &&
           (kind != SH_KIND_SCOPE || sh_phase_of(w) != SH_WAIT);
}

/* Whether it is one of those that a shutdown may leave: not settled. */
static bool is_left(struct sh_record *r, uint64_t w)
{
    unsigned kind = sh_load_rlx(&r->kind); /* relaxed: a report */

    /* Of a retry that waits for an attempt, that one counts. */
    if (kind == SH_KIND_RETRY && sh_phase_of(w) == SH_WAIT &&
        sh_load_rlx(&r->input) != 0) /* relaxed: a report */
        return false;
    return is_pending(r, w) && sh_phase_of(w) <= SH_SETTLING &&
           kind != SH_KIND_KEEP;
}

/* What to do with each record that has not settled. */
enum end {
    COUNT,         /* nothing */
    REPORT,        /* nothing; only what the user is told of counts as left */
    DROP_PROMISES, /* fail those that are doomed: nobody will keep them */
    CANCEL_ALL,    /* fail all, and ask everything to cancel */
    GIVE_UP,       /* and settle what runs, over its code */
    CLOSE          /* fail promises, and what has not started: it never will */
};

/* A delay that no timer ends. */
static bool is_endless(struct sh_record *r, uint64_t w)
{
    /* relaxed: as w, validated by the CAS of a state */
    return sh_phase_of(w) == SH_WAIT &&
           sh_load_rlx(&r->kind) == SH_KIND_DELAY && sh_is_bound(r) &&
           sh_bound_of(r)->deadline_ns == INT64_MAX;
}

/* The code of a record that was given up runs, or goes on, in a process. */
static void kill_worker_of(struct sh_pool *pool, struct sh_record *r,
                           uint64_t w)
{
    struct sh_post *post = &pool->posts[sh_owner_of(w) - SH_OWNER_WORKER(0)];

    sh_time_stuck(pool, post,
                  sh_hint(sh_index_of(pool, r), sh_generation_of(w)), 0);
}

static void end_one(struct sh_work *work, struct sh_pool *pool,
                    struct sh_record *r, uint64_t w, enum end end)
{
    unsigned cancelled = sh_outcome_from(SHUNT_ECANCELED);
    enum sh_phase phase = sh_phase_of(w);
    /* relaxed: as w, validated by the CAS of a state */
    unsigned kind = sh_load_rlx(&r->kind);

    /* A keeper waits for what it keeps memory for, however that ends; and what
     * heeds a task is told of it when that is asked, or has ended. */
    if (kind == SH_KIND_KEEP || kind == SH_KIND_HEED)
        return;
    if (end == DROP_PROMISES && (w & SH_DOOMED) == 0)
        return;
    if (end == CANCEL_ALL || end == GIVE_UP)
        (void)sh_cancel_ask(work, pool, r, sh_generation_of(w));
    /* Whatever the end, a promise fails; where everything is asked to cancel,
     * its listener has been told. */
    if ((phase == SH_PROMISE || is_endless(r, w)) &&
        sh_settle_begin(r, w, cancelled))
        sh_work_settle(work, pool, r);
    if (end == GIVE_UP && (phase == SH_RUNNING || phase == SH_PARKED)) {
        uint64_t now = sh_load_acq(&r->state); /* acquire: settled */

        if (sh_generation_of(now) == sh_generation_of(w) &&
            sh_settle_over(work, pool, r, now, SHUNT_ECANCELED) !=
                SH_OVER_NOT &&
            pool->shared)
            kill_worker_of(pool, r, now);
    }
    if (end == CLOSE && (phase == SH_READY || phase == SH_WAIT) &&
        sh_settle_begin(r, w, sh_outcome_from(SHUNT_ECLOSED)))
        sh_work_settle(work, pool, r);
    sh_work_do(work);
}

static size_t look_at_all(struct sh_pool *pool, enum end end)
{
    uint32_t used = sh_table_used(&pool->records);
    struct sh_work work = { 0 };
    size_t left = 0;

    for (uint32_t i = 1; i < used; i++) {
        struct sh_record *r = sh_record_at(pool, i);
        uint64_t w = sh_load_sc(&r->state); /* seq_cst: quiet, closing */

        if (!is_pending(r, w))
            continue;
        if (end == REPORT) {
            left += is_left(r, w);
            continue;
        }
        if (end != COUNT)
            end_one(&work, pool, r, w, end);
        w = sh_load_sc(&r->state); /* seq_cst: quiet, closing */
        left += is_pending(r, w);
    }
    return left;
}

/* Tasks that were given up and whose code still runs. */
static size_t count_busy(struct sh_pool *pool)
{
    uint32_t used = sh_table_used(&pool->records);
    size_t busy = 0;

    for (uint32_t i = 1; i < used; i++) {
        struct sh_record *r = sh_record_at(pool, i);

        /* acquire: settled. A promise is BUSY while its listener runs, a retry
         * while an attempt does. */
        busy += (sh_load_acq(&r->state) & SH_BUSY) != 0 &&
                sh_load_rlx(&r->kind) != SH_KIND_PROMISE && /* relaxed: as it */
                sh_load_rlx(&r->kind) != SH_KIND_RETRY;     /* relaxed: as it */
    }
    return busy;
}

/* Workers whose .init has not returned. It may submit, so nothing has come to
 * its end before; but it may also never return. */
static size_t count_starting(struct sh_pool *pool)
{
    size_t starting = 0;

    if (pool->team->init == NULL)
        return 0;
    for (unsigned i = 0; i < sh_pool_active(pool); i = sh_pool_next(pool, i))
        starting += sh_post_is_starting(pool, &pool->posts[i]);
    return starting;
}

/* Whether all workers are idle, but for those that nobody counts on. */
static bool all_idle(struct sh_pool *pool)
{
    for (unsigned i = 0; i < sh_pool_active(pool); i = sh_pool_next(pool, i))
        if (!sh_post_is_off(&pool->posts[i]) &&
            !sh_sleep_is_idle(&sh_camp_at(pool, i)->sleep, i))
            return false;
    return true;
}

static bool is_host_asked(struct sh_pool *pool)
{
    return pool->shared && sh_is_left_to_host(pool);
}

/* Whether something waits for a worker that nobody counts on, and that will be
 * back. */
static bool is_awaited(struct sh_post *post)
{
    return sh_load_sc(&post->resumed) != SH_NONE || /* seq_cst: sleep */
           (sh_is_handed(post) &&
            sh_load_sc(&post->rests) != SH_UNFIT); /* seq_cst: rest */
}

/* Whether all workers are idle, and have nothing to do. One that has slept
 * through a change of the table would find nothing there, but only it knows
 * how far it has looked: it is woken to look, and rings quiet afterwards. */
static bool is_stalled(struct sh_pool *pool)
{
    /* What workers leave to the host, they leave before they are idle. */
    bool stalled =
        all_idle(pool) && !is_host_asked(pool) && !sh_timers_any(pool);
    /* By one that sees what all of its camp can do, and sees nothing. */
    bool looked[SH_CAMPS] = {
        false, sh_load_sc(&pool->guests) == SH_GUESTS_NONE /* seq_cst: guests */
    };

    for (unsigned i = 0; i < sh_pool_active(pool) && stalled;
         i = sh_pool_next(pool, i)) {
        struct sh_post *post = &pool->posts[i];
        bool sees = sh_worker_sees_work(&pool->team->workers[i]);

        if (!sees)
            looked[sh_camp_at(pool, i) - pool->camps] = true;
        /* What it alone can do it will do when it is back. */
        if (sh_post_is_off(post)) {
            stalled = !is_awaited(post);
        } else if (sees) {
            sh_sleep_wake(&sh_camp_at(pool, i)->sleep, i);
            stalled = false;
        }
    }
    return stalled && looked[SH_OWN_CAMP] && looked[SH_HOST_CAMP] &&
           all_idle(pool);
}

/* Mark what a drain ends when nothing else is left to go on. What is made by
 * those whom that sets going, while it is still at it, is not meant. False if
 * something is to run, runs, or is on its way, although nobody seems to be at
 * work: behind a worker that is stuck, and has nobody to stand in for it. */
/* Whether a task that is RUNNING lies beneath one that has parked, which it
 * awaits (inline.c), now that nobody is at work. */
static bool lies_beneath(struct sh_pool *pool, uint64_t word)
{
    unsigned owner = sh_owner_of(word), w = owner - SH_OWNER_WORKER(0);

    return sh_phase_of(word) == SH_RUNNING && owner >= SH_OWNER_WORKER(0) &&
           !sh_post_is_off(&pool->posts[w]) &&
           sh_sleep_is_idle(&sh_camp_at(pool, w)->sleep, w);
}

static bool doom(struct sh_pool *pool)
{
    uint32_t used = sh_table_used(&pool->records);

    for (uint32_t i = 1; i < used; i++) {
        struct sh_record *r = sh_record_at(pool, i);
        uint64_t w = sh_load_sc(&r->state); /* seq_cst: quiet, closing */
        uint32_t generation = sh_generation_of(w);

        if (is_pending(r, w) && sh_phase_of(w) >= SH_READY &&
            sh_phase_of(w) != SH_PARKED && !lies_beneath(pool, w))
            return false;
        while ((sh_phase_of(w) == SH_PROMISE || is_endless(r, w)) &&
               sh_generation_of(w) == generation &&
               /* relaxed: a mark that only a drain looks at */
               !sh_cas_rlx(&r->state, &w, w | SH_DOOMED))
            continue;
    }
    return true;
}

/* One look, after quiet was read; what is left. *moved_out: tasks ran
 * meanwhile, which may have submitted others where we had looked already. A
 * worker rings quiet when it becomes idle. */
static size_t look_once(struct sh_pool *pool, enum shunt_how how,
                        uint32_t quiet, bool *moved_out)
{
    bool stalled = is_stalled(pool);
    enum end end = COUNT;
    size_t left;

    /* Nor has anybody begun to do anything since quiet was read. */
    if (stalled && doom(pool) &&
        sh_load_sc(&pool->quiet) == quiet) /* seq_cst: quiet */
        end = DROP_PROMISES;
    if (how != SHUNT_DRAIN)
        end = CANCEL_ALL;
    else if (sh_load_sc(&pool->gate) == SH_STOPPED) /* seq_cst: quiet */
        end = CLOSE; /* what was attached after the end */
    left = look_at_all(pool, end);

    *moved_out = !(stalled && is_stalled(pool) &&
                   sh_load_sc(&pool->quiet) == quiet); /* seq_cst: quiet */
    /* Code that was given up never becomes idle; but then nothing is taken
     * on any more. */
    if (sh_load_sc(&pool->gate) == SH_STOPPED || /* seq_cst: quiet */
        sh_load_sc(&pool->gave_up) != 0)         /* seq_cst: quiet */
        *moved_out = false;
    return left;
}

/* Look until nothing is left or the deadline has come; what has not settled
 * then, or has not even started to work. */
static size_t bring_to_end(struct sh_pool *pool, enum shunt_how how,
                           int64_t deadline_ns)
{
    size_t left, starting;

    sh_add_sc(&pool->quiet_waiters, 1); /* seq_cst: quiet */
    for (;;) {
        uint32_t quiet = sh_load_sc(&pool->quiet); /* seq_cst: quiet */
        bool moved;

        left = look_once(pool, how, quiet, &moved);
        if (left == 0 && !moved)
            break;
        starting = count_starting(pool);
        if (left + starting > 0 && sh_clock_ns() >= deadline_ns) {
            if (left > 0)
                left = look_at_all(pool, REPORT);
            if (left == 0)
                left = starting;
            if (left > 0)
                break;
        }
        /* With nothing left to settle, the rest is done in a moment. */
        if (sh_load_sc(&pool->quiet) == quiet) /* seq_cst: quiet */
            sh_futex_wait(&pool->quiet, quiet,
                          left + starting == 0 ? INT64_MAX : deadline_ns,
                          pool->shared);
    }
    sh_sub_sc(&pool->quiet_waiters, 1); /* seq_cst: quiet */
    return left;
}

/* Code that was given up and runs: of tasks, and of .init. Before a kill, or
 * once all workers have started, there is none of the latter. */
static size_t count_given_up(struct sh_pool *pool)
{
    size_t busy = count_busy(pool), starting = count_starting(pool);

    if (starting > 0 && sh_load_sc(&pool->gave_up) != 0) /* seq_cst: quiet */
        busy += starting;
    return busy;
}

/* Wait for code that was given up; how much of it runs on. */
static size_t wait_for_busy(struct sh_pool *pool, int64_t deadline_ns)
{
    size_t busy;

    sh_add_sc(&pool->quiet_waiters, 1); /* seq_cst: quiet */
    for (;;) {
        uint32_t quiet = sh_load_sc(&pool->quiet); /* seq_cst: quiet */

        busy = count_given_up(pool);
        if (busy == 0 || sh_clock_ns() >= deadline_ns)
            break;
        sh_futex_wait(&pool->quiet, quiet, deadline_ns, pool->shared);
    }
    sh_sub_sc(&pool->quiet_waiters, 1); /* seq_cst: quiet */
    return busy;
}

/* After all was given up: what others are about to settle is settled in a
 * moment. */
static void wait_for_settlers(struct sh_pool *pool)
{
    sh_add_sc(&pool->quiet_waiters, 1); /* seq_cst: quiet */
    for (;;) {
        uint32_t quiet = sh_load_sc(&pool->quiet); /* seq_cst: quiet */

        if (look_at_all(pool, REPORT) == 0)
            break;
        sh_futex_wait(&pool->quiet, quiet, INT64_MAX, pool->shared);
    }
    sh_sub_sc(&pool->quiet_waiters, 1); /* seq_cst: quiet */
}

/* Raise the gate to at least this. */
static void close_gate(struct sh_pool *pool, uint32_t gate)
{
    uint32_t now = sh_load_sc(&pool->gate); /* seq_cst: closing, quiet */

    while (now < gate &&
           !sh_cas_sc(&pool->gate, &now, gate)) /* seq_cst: closing, quiet */
        continue;
    /* Whoever waits for room learns that there will be none. */
    sh_add_sc(&pool->room, 1); /* seq_cst: room */
    sh_futex_wake(&pool->room, INT32_MAX, pool->shared);
}

void sh_see_queues(struct sh_pool *pool)
{
    for (unsigned c = 0; c <= pool->mixed; c++) {
        struct sh_camp *camp = &pool->camps[c];

        (void)sh_ring_size(&camp->ring);
        (void)sh_ring_size(&camp->side);
        (void)sh_load_sc(&camp->rescan); /* seq_cst: closing, guests */
    }
    for (unsigned i = 0; i < sh_pool_active(pool); i = sh_pool_next(pool, i)) {
        (void)sh_deque_size(&pool->posts[i].deque);
        (void)sh_deque_size(&pool->posts[i].away);
    }
}

/* Bring the pool to its end: how many futures have not settled by then. */
static size_t shut_down(struct sh_pool *pool, enum shunt_how how,
                        int64_t deadline_ns)
{
    size_t left;

    close_gate(pool, how == SHUNT_DRAIN ? SH_DRAINING : SH_CANCELLING);
    left = bring_to_end(pool, how, deadline_ns);
    if (left > 0 && how == SHUNT_KILL) {
        sh_store_sc(&pool->gave_up, 1); /* seq_cst: quiet */
        (void)look_at_all(pool, GIVE_UP);
        if (pool->shared) /* processes that are at .init are killed */
            sh_time_recruit(pool);
        left = 0;
    }
    if (left > 0)
        return left;
    close_gate(pool, SH_STOPPED);
    /* Others who shut it down need not wait for the workers any more. */
    sh_quiet_ring(pool);
    sh_see_queues(pool);
    (void)look_at_all(pool, CLOSE);
    /* A finally may have started between the two looks. seq_cst: quiet */
    if (sh_load_sc(&pool->gave_up) != 0) {
        (void)look_at_all(pool, GIVE_UP);
        wait_for_settlers(pool);
    }
    return 0;
}

size_t sh_pool_drain(struct sh_pool *pool)
{
    (void)shut_down(pool, SHUNT_DRAIN, INT64_MAX);
    return count_given_up(pool);
}

int shunt_pool_shutdown(shunt_pool *name, enum shunt_how how,
                        int64_t timeout_ns, size_t *left_out)
{
    struct sh_pool *pool;
    int64_t deadline_ns =
        timeout_ns == SHUNT_FOREVER ? INT64_MAX : sh_clock_after(timeout_ns);
    unsigned id;
    size_t left;
    int rc = sh_pool_find(name, &pool);

    if (rc != 0)
        return rc;
    id = pool->id;
    if (how != SHUNT_DRAIN && how != SHUNT_CANCEL && how != SHUNT_KILL)
        return SHUNT_EINVAL;
    if (sh_is_of_team(pool))
        return SHUNT_EDEADLK;
    /* A guest, whom shunt_pool_free waits for. */
    if (!sh_pool_enter(id))
        return SHUNT_EINVAL;
    left = shut_down(pool, how, deadline_ns);
    if (left == 0)
        left = wait_for_busy(pool, deadline_ns);
    sh_pool_exit(id);
    if (left_out != NULL)
        *left_out = left;
    return left == 0 ? 0 : SHUNT_ETIMEDOUT;
}
