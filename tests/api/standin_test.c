/* SPDX-License-Identifier: MIT */
/*
 * standin_test.c - code that runs past its deadline keeps its worker, and
 * somebody runs in that worker's stead meanwhile: how many, how long, and what
 * becomes of all of them when the pool ends.
 *
 * Method. The clock stands still but for stage_advance. A task is stuck until
 * its latch is raised; what it costs is counted in threads.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>

#include "census.h"
#include "stage.h"

/* ---- a task that is stuck ---- */

/* Submit a task that waits for the latch, whatever happens; it runs. */
static shunt_future *occupy(shunt_pool *pool, struct latch *go)
{
    struct job job = { .started = stage_latch(), .go = go };
    shunt_future *f =
        shunt_submit_with(pool, stage_job, &job, .deadline_ns = SHUNT_MS(1));

    assert_true(latch_reaches(job.started, 1));
    return f;
}

/* Have n tasks get stuck, one after the other. */
static void stick(shunt_pool *pool, struct latch *go, int n)
{
    for (int i = 0; i < n; i++) {
        shunt_future *f = occupy(pool, go);
        stage_advance(pool, SHUNT_MS(1));
        assert_joins(f, SHUNT_ETIMEDOUT);
    }
}

static void assert_works(shunt_pool *pool)
{
    assert_takes(shunt_submit(pool, stage_same, &(long){ 8 }), 8);
}

/* Whether the pools have so many threads soon: one that has just been started
 * has no name yet, and one that has ended is seen for a moment. */
static bool threads_become(long n)
{
    for (int i = 0; i < 100000; i++) {
        if (census_threads_named("shunt-") == n)
            return true;
        sched_yield();
    }
    return false;
}

/* Whether nobody takes up a task: its deadline finds it queued. */
static bool is_nobody_there(shunt_pool *pool)
{
    struct tally *ran = stage_tally();
    shunt_future *f = shunt_submit_with(pool, stage_job,
                                        &(struct job){ .ran = ran },
                                        .deadline_ns = SHUNT_MS(1));

    for (int i = 0; i < 100; i++)
        sched_yield();
    stage_advance(pool, SHUNT_MS(1));
    assert_joins(f, SHUNT_ETIMEDOUT);
    return tally_of(ran) == 0;
}

/* ---- how many ---- */

static void a_pool_goes_on_while_its_only_worker_is_stuck(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);
    struct latch *go = stage_latch();

    assert_joins(shunt_delay(pool, 0), 0);
    assert_true(threads_become(1)); /* no time was measured yet */
    stick(pool, go, 1);
    for (int i = 0; i < 100; i++)
        assert_works(pool);
    /* The worker, its stand-in, and the timekeeper. */
    assert_true(threads_become(3));
    latch_raise(go);
    assert_works(pool);
    harness_free(pool);
}

static int tell_slack(const shunt_none *in, long *out)
{
    (void)in;
    *out = prctl(PR_GET_TIMERSLACK);
    return 0;
}
SHUNT_TASK(tell_slack, shunt_none, long)

/* It is started by a thread that has another. */
static void a_stand_in_has_the_timer_slack_of_a_worker(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);
    struct latch *go = stage_latch();

    stick(pool, go, 1);
    assert_takes(shunt_submit(pool, tell_slack, NULL),
                 prctl(PR_GET_TIMERSLACK));
    latch_raise(go);
    harness_free(pool);
}

static void no_more_stand_in_than_spares_says(void)
{
    for (int spares = 1; spares <= 3; spares++) {
        shunt_pool *pool = stage_manual_pool(1, spares);
        struct latch *go = stage_latch();
        stick(pool, go, 1 + spares);
        assert_true(is_nobody_there(pool));
        assert_true(threads_become(2 + spares));
        shunt_future *queued = shunt_submit(pool, stage_same, &(long){ 3 });
        latch_raise(go);
        assert_takes(queued, 3);
        harness_free(pool);
    }
}

static void nobody_stands_in_if_spares_is_negative(void)
{
    shunt_pool *pool = stage_manual_pool(1, -1);
    struct latch *go = stage_latch();

    stick(pool, go, 1);
    assert_true(is_nobody_there(pool));
    assert_true(threads_become(2));
    shunt_future *queued = shunt_submit(pool, stage_same, &(long){ 3 });
    latch_raise(go);
    assert_takes(queued, 3);
    harness_free(pool);
}

static void more_spares_than_there_can_be_are_refused(void)
{
    shunt_pool *pool = NULL;

    assert_status(
        shunt_pool_new(
            &pool,
            &(shunt_options){ .workers = 1, .spares = SHUNT_WORKERS_MAX + 1 }),
        SHUNT_EINVAL);
    assert_null(pool);
}

/* Method: all get stuck at one moment; then as many as there are workers run at
 * one time, which their common latch shows. */
static void as_many_run_as_there_are_workers_though_all_are_stuck(void)
{
    enum {
        WORKERS = 4
    };
    shunt_pool *pool = stage_manual_pool(WORKERS, 0);
    struct latch *go = stage_latch();
    struct job job = { .started = stage_latch(), .go = stage_latch() };
    shunt_future *stuck[WORKERS], *running[WORKERS];

    for (int i = 0; i < WORKERS; i++)
        stuck[i] = occupy(pool, go);
    stage_advance(pool, SHUNT_MS(1));
    for (int i = 0; i < WORKERS; i++)
        assert_joins(stuck[i], SHUNT_ETIMEDOUT);
    for (int i = 0; i < WORKERS; i++)
        running[i] = shunt_submit(pool, stage_job, &job);
    assert_true(latch_reaches(job.started, WORKERS));
    latch_raise(job.go);
    for (int i = 0; i < WORKERS; i++)
        assert_joins(running[i], 0);
    latch_raise(go);
    harness_free(pool);
}

struct gauge {
    struct tally *running, *most;
};

static int be_counted(const struct gauge *in, shunt_none *out)
{
    (void)out;
    tally_max(in->most, tally_add(in->running, 1) + 1);
    sched_yield();
    tally_add(in->running, -1);
    return 0;
}
SHUNT_TASK(be_counted, struct gauge, shunt_none)

/* How many of some tasks ran at one time. */
static long most_at_a_time(shunt_pool *pool)
{
    struct gauge gauge = { stage_tally(), stage_tally() };
    shunt_future *fs[50];

    for (int i = 0; i < 50; i++)
        fs[i] = shunt_submit(pool, be_counted, &gauge);
    assert_joins(shunt_when_all(fs, 50), 0);
    return tally_of(gauge.most);
}

/* Method: soon after the code has returned, tasks run one at a time again, and
 * from then on; and the same stand-in serves the next time. */
static void a_stand_in_rests_when_the_code_has_returned(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);

    for (int round = 0; round < 20; round++) {
        struct latch *go = stage_latch();
        int alone = 0;
        stick(pool, go, 1);
        assert_works(pool);
        latch_raise(go);
        for (int i = 0; i < 100000 && alone < 20; i++)
            alone = most_at_a_time(pool) == 1 ? alone + 1 : 0;
        assert_long(alone, 20);
    }
    assert_true(threads_become(3));
    harness_free(pool);
}

/* Method: on a clock that goes, the deadline comes before the task starts, as
 * it starts, or after that. Then it stays where it is, and another must run. */
static void a_pool_goes_on_whenever_the_deadline_comes(void)
{
    shunt_pool *pool = harness_pool(1);

    for (long i = 3000 / (long)harness_slowness(); i > 0; i--) {
        struct job job = { .go = stage_latch() };
        shunt_future *f = shunt_submit_with(pool, stage_job, &job,
                                            .deadline_ns = 1 + i % 400 * 1000);
        assert_works(pool);
        latch_raise(job.go);
        assert_ok(shunt_release(f));
    }
    harness_free(pool);
}

/* ---- what they run ---- */

/* Method: a worker takes a batch of what was queued from outside into its own
 * deque, and the first of it gets stuck. */
static void what_is_queued_behind_stuck_code_is_run_by_others(void)
{
    enum {
        BEHIND = 30
    };
    shunt_pool *pool = stage_manual_pool(1, 0);
    struct stage_hold hold = stage_hold(pool);
    struct job job = { .started = stage_latch(), .go = stage_latch() };
    shunt_future *stuck =
        shunt_submit_with(pool, stage_job, &job, .deadline_ns = SHUNT_MS(1));
    shunt_future *behind[BEHIND];

    for (long i = 0; i < BEHIND; i++)
        behind[i] = shunt_submit(pool, stage_same, &i);
    stage_let(hold);
    assert_true(latch_reaches(job.started, 1));
    stage_advance(pool, SHUNT_MS(1));
    assert_joins(stuck, SHUNT_ETIMEDOUT);
    for (long i = 0; i < BEHIND; i++)
        assert_takes(behind[i], i);
    latch_raise(job.go);
    harness_free(pool);
}

struct parks {
    shunt_future *pending;
    struct latch *started, *woken, *go;
};

static int park_then_stick(const struct parks *in, long *out)
{
    latch_raise(in->started);
    *out = shunt_await(in->pending);
    if (in->woken != NULL)
        latch_raise(in->woken);
    return in->go == NULL || latch_reaches(in->go, 1) ? 0 : STAGE_LATE;
}
SHUNT_TASK(park_then_stick, struct parks, long)

/* Submit a task that parks and, when it was given up, goes on for long. The
 * only worker has run something else since, so it is parked. */
static struct latch *leave_parked(shunt_pool *pool, shunt_future *pending,
                                  shunt_future **out)
{
    struct parks in = { pending, stage_latch(), stage_latch(), stage_latch() };

    *out = shunt_submit_with(pool, park_then_stick, &in,
                             .deadline_ns = SHUNT_MS(1));
    assert_true(latch_reaches(in.started, 1));
    assert_works(pool);
    stage_advance(pool, SHUNT_MS(1));
    assert_joins(*out, SHUNT_ETIMEDOUT);
    assert_true(latch_reaches(in.woken, 1));
    return in.go;
}

static void code_that_was_given_up_while_it_was_parked_may_get_stuck(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);
    struct stage_promise made = stage_promise(pool);

    for (int round = 0; round < 20; round++) {
        shunt_future *f;
        struct latch *go = leave_parked(pool, made.future, &f);
        assert_works(pool);
        latch_raise(go);
        assert_works(pool);
    }
    stage_give(made.promise, 1);
    assert_takes(made.future, 1);
    harness_free(pool);
}

/* A task keeps its thread for life, so it goes on when that is back. */
static void what_is_parked_on_a_stuck_worker_waits_for_it(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);
    struct stage_promise made = stage_promise(pool);
    struct parks in = { made.future, stage_latch(), NULL, NULL };
    struct latch *go = stage_latch();
    shunt_future *parked = shunt_submit(pool, park_then_stick, &in);

    assert_true(latch_reaches(in.started, 1));
    assert_works(pool);
    stick(pool, go, 1);
    stage_give(made.promise, 1);
    assert_works(pool);
    assert_status(shunt_status(parked), SHUNT_PENDING);
    latch_raise(go);
    assert_takes(parked, 0);
    assert_takes(made.future, 1);
    harness_free(pool);
}

static int count_blocked(const shunt_none *in, long *out)
{
    sigset_t now;

    (void)in;
    if (pthread_sigmask(SIG_SETMASK, NULL, &now) != 0)
        return 1;
    for (int i = 1; i < 32; i++)
        *out += sigismember(&now, i) == 1;
    return 0;
}
SHUNT_TASK(count_blocked, shunt_none, long)

/* Goal: who starts them has all signals blocked, and they have not. */
static void a_stand_in_blocks_the_signals_that_a_worker_blocks(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);
    struct latch *go = stage_latch();

    assert_takes(shunt_submit(pool, count_blocked, NULL), 0);
    stick(pool, go, 1);
    assert_takes(shunt_submit(pool, count_blocked, NULL), 0);
    latch_raise(go);
    harness_free(pool);
}

/* ---- .init ---- */

struct init {
    struct tally *calls;
    long fails; /* which call */
};

static int count_init(void *arg)
{
    struct init *init = arg;

    return tally_add(init->calls, 1) + 1 == init->fails;
}

static shunt_pool *pool_with_init(struct init *init, int spares)
{
    shunt_pool *pool = NULL;

    assert_ok(shunt_pool_new(&pool, &(shunt_options){ .workers = 1,
                                                      .spares = spares,
                                                      .manual_clock = true,
                                                      .init = count_init,
                                                      .init_arg = init }));
    return pool;
}

static void init_runs_on_every_stand_in(void)
{
    struct init *init = stage_bytes(sizeof *init);
    struct latch *go = stage_latch();
    shunt_pool *pool;

    *init = (struct init){ stage_tally(), -1 };
    pool = pool_with_init(init, 3);
    assert_works(pool);
    assert_long(tally_of(init->calls), 1);
    stick(pool, go, 3);
    assert_works(pool);
    assert_long(tally_of(init->calls), 4);
    latch_raise(go);
    harness_free(pool);
    assert_long(tally_of(init->calls), 4);
}

/* Method: it fails on the first stand-in, so another one has its turn. If that
 * was the only one, the pool is as good as without it. */
static void init_that_fails_on_a_stand_in_does_not_break_the_pool(void)
{
    for (int spares = 1; spares <= 2; spares++) {
        struct init *init = stage_bytes(sizeof *init);
        struct latch *go = stage_latch();
        shunt_pool *pool;
        *init = (struct init){ stage_tally(), 2 };
        pool = pool_with_init(init, spares);
        stick(pool, go, 1);
        shunt_future *f = shunt_submit(pool, stage_same, &(long){ 3 });
        if (spares == 1)
            assert_true(is_nobody_there(pool));
        else
            assert_settles(f, 0);
        latch_raise(go);
        assert_takes(f, 3);
        harness_free(pool);
        assert_long(tally_of(init->calls), 1 + spares);
    }
}

/* ---- the end of a pool ---- */

static const enum shunt_how hows[] = { SHUNT_DRAIN, SHUNT_CANCEL, SHUNT_KILL };

static void a_shutdown_counts_the_code_that_runs_on(void)
{
    for (int i = 0; i < 3; i++) {
        for (int spares = -1; spares <= 1; spares++) {
            shunt_pool *pool = stage_manual_pool(2, spares);
            struct latch *go = stage_latch();
            size_t left = 77;
            stick(pool, go, 2);
            assert_status(shunt_pool_shutdown(pool, hows[i], 0, &left),
                          SHUNT_ETIMEDOUT);
            assert_long((long)left, 2);
            latch_raise(go);
            assert_ok(shunt_pool_shutdown(pool, hows[i], SHUNT_FOREVER, &left));
            assert_long((long)left, 0);
            harness_free(pool);
        }
    }
}

/* Method: the latch is raised when the pool is gone; the harness sees what is
 * left of its threads. */
static void a_pool_is_freed_though_its_code_runs_on(void)
{
    for (int stuck = 1; stuck <= 4; stuck++) {
        for (int spares = -1; spares <= 3; spares += 2) {
            shunt_pool *pool = stage_manual_pool(4, spares);
            struct latch *go = stage_latch();
            shunt_future *f = shunt_submit(pool, stage_same, &(long){ 1 });
            stick(pool, go, stuck);
            assert_ok(shunt_pool_free(pool));
            assert_stale(f);
            assert_status(shunt_pool_free(pool), SHUNT_EINVAL);
            latch_raise(go);
        }
    }
}

static void a_pool_is_freed_though_code_went_on_when_it_was_given_up(void)
{
    for (int spares = -1; spares <= 1; spares++) {
        shunt_pool *pool = stage_manual_pool(1, spares);
        struct stage_promise made = stage_promise(pool);
        shunt_future *f;
        struct latch *go = leave_parked(pool, made.future, &f);
        assert_ok(shunt_pool_free(pool));
        assert_stale(made.future);
        latch_raise(go);
    }
}

/* Method: some rest, some are unfit, some are stuck, when the pool goes. */
static void a_pool_is_freed_with_stand_ins_in_every_state(void)
{
    struct init *init = stage_bytes(sizeof *init);
    struct latch *one = stage_latch(), *two = stage_latch();
    shunt_pool *pool;

    *init = (struct init){ stage_tally(), 3 };
    pool = pool_with_init(init, 5);
    stick(pool, one, 2); /* the second stand-in is unfit */
    latch_raise(one);
    assert_works(pool);
    stick(pool, two, 3);
    assert_works(pool);
    assert_ok(shunt_pool_free(pool));
    latch_raise(two);
}

struct keeps {
    shunt_promise *promise;
};

static int keep(const struct keeps *in, long *out)
{
    (void)out;
    return shunt_promise_give(in->promise, &(long){ 6 });
}
SHUNT_TASK(keep, struct keeps, long)

/* Goal: that nobody is at work does not mean that nobody will be. Method: the
 * drain looks while the only worker is stuck, and again when it is back. */
static void a_drain_breaks_no_promise_that_a_queued_task_will_keep(void)
{
    for (int round = 0; round < 20; round++) {
        shunt_pool *pool = stage_manual_pool(1, -1);
        struct stage_promise made = stage_promise(pool);
        struct latch *go = stage_latch();
        stick(pool, go, 1);
        shunt_future *f =
            shunt_submit(pool, keep, &(struct keeps){ made.promise });
        assert_status(shunt_pool_shutdown(pool, SHUNT_DRAIN, 0, NULL),
                      SHUNT_ETIMEDOUT);
        latch_raise(go);
        assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
        assert_joins(f, 0);
        assert_takes(made.future, 6);
        harness_free(pool);
    }
}

/* Method: on a clock that goes, stand-ins start while a drain looks. */
static void a_drain_may_look_while_stand_ins_start(void)
{
    for (long i = 200 / (long)harness_slowness(); i > 0; i--) {
        shunt_pool *pool = harness_pool(2);
        struct job job = { .started = stage_latch(), .go = stage_latch() };
        shunt_future *f = shunt_submit_with(pool, stage_job, &job,
                                            .deadline_ns = SHUNT_US(i * 5));
        shunt_future *g = shunt_submit_with(pool, stage_job, &job,
                                            .deadline_ns = SHUNT_US(i * 7));
        int rc = shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_MS(2), NULL);
        assert_true(rc == SHUNT_ETIMEDOUT ||
                    (rc == 0 && latch_level(job.started) == 0));
        assert_true(rc != 0 || shunt_status(f) == SHUNT_ETIMEDOUT);
        assert_true(rc != 0 || shunt_status(g) == SHUNT_ETIMEDOUT);
        latch_raise(job.go);
        assert_ok(shunt_pool_free(pool));
    }
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_pool_goes_on_while_its_only_worker_is_stuck),
    CLAIM(a_stand_in_has_the_timer_slack_of_a_worker),
    CLAIM(no_more_stand_in_than_spares_says),
    CLAIM(nobody_stands_in_if_spares_is_negative),
    CLAIM(more_spares_than_there_can_be_are_refused),
    CLAIM(as_many_run_as_there_are_workers_though_all_are_stuck),
    CLAIM(a_stand_in_rests_when_the_code_has_returned),
    CLAIM(a_pool_goes_on_whenever_the_deadline_comes),
    CLAIM(what_is_queued_behind_stuck_code_is_run_by_others),
    CLAIM(code_that_was_given_up_while_it_was_parked_may_get_stuck),
    CLAIM(what_is_parked_on_a_stuck_worker_waits_for_it),
    CLAIM(a_stand_in_blocks_the_signals_that_a_worker_blocks),
    CLAIM(init_runs_on_every_stand_in),
    CLAIM(init_that_fails_on_a_stand_in_does_not_break_the_pool),
    CLAIM(a_shutdown_counts_the_code_that_runs_on),
    CLAIM(a_pool_is_freed_though_its_code_runs_on),
    CLAIM(a_pool_is_freed_though_code_went_on_when_it_was_given_up),
    CLAIM(a_pool_is_freed_with_stand_ins_in_every_state),
    CLAIM(a_drain_breaks_no_promise_that_a_queued_task_will_keep),
    CLAIM(a_drain_may_look_while_stand_ins_start),
};

HARNESS_MAIN(claims)
