/* SPDX-License-Identifier: MIT */
/*
 * blocking_end_test.c - tasks that wait in the kernel, and do not say so; and
 * what becomes of those that do when their time, or that of the pool, is over.
 *
 * Method. As in blocking_test.c. What the pool is to notice has as long as it
 * takes; that it notices nothing is looked at for a while.
 */
#include "section.h"

/* ---- deadlines, and the end of a pool ---- */

static void a_deadline_may_come_in_a_section(void)
{
    for (int spares = -1; spares <= 1; spares += 2) {
        shunt_pool *pool = NULL;
        struct section in = new_section();
        assert_ok(shunt_pool_new(&pool, &(shunt_options){ .workers = 1,
                                                          .spares = spares,
                                                          .manual_clock = true,
                                                          .blocking_max = 2 }));
        in.over = stage_latch();
        shunt_future *f = shunt_submit_with(pool, wait_in_section, &in,
                                            .deadline_ns = SHUNT_MS(1));
        assert_true(latch_reaches(in.in, 1));
        assert_works(pool);
        stage_advance(pool, SHUNT_MS(1));
        assert_joins(f, SHUNT_ETIMEDOUT);
        for (int i = 0; i < 10; i++)
            assert_works(pool);
        latch_raise(in.go);
        /* A process has been killed. */
        if (shunt_pool_mode(pool) == SHUNT_THREADS)
            assert_true(latch_reaches(in.over, 1));
        for (int i = 0; i < 10; i++)
            assert_works(pool);
        harness_free(pool);
    }
}

static const enum shunt_how hows[] = { SHUNT_DRAIN, SHUNT_CANCEL, SHUNT_KILL };

static void a_shutdown_waits_for_those_who_block(void)
{
    for (int i = 0; i < 3; i++) {
        shunt_pool *pool = pool_of(1, 0);
        struct section in = new_section();
        size_t left = 77;
        for (unsigned k = 0; k < 5; k++) {
            assert_ok(shunt_release(shunt_submit(pool, wait_in_section, &in)));
            assert_true(latch_reaches(in.in, k + 1));
        }
        assert_status(shunt_pool_shutdown(pool, hows[i], 0, &left),
                      SHUNT_ETIMEDOUT);
        assert_long((long)left, 5);
        latch_raise(in.go);
        assert_ok(shunt_pool_shutdown(pool, hows[i], SHUNT_FOREVER, &left));
        assert_long((long)left, 0);
        harness_free(pool);
    }
}

/* What is behind them runs, though all have begun to block. */
static void a_drain_runs_what_is_behind_those_who_block(void)
{
    shunt_pool *pool = pool_of(1, 1);
    struct section in = new_section();
    struct job job = { .ran = stage_tally(), .started = in.go };

    assert_ok(shunt_release(shunt_submit(pool, wait_in_section, &in)));
    assert_ok(shunt_release(shunt_submit(pool, stage_job, &job)));
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    assert_long(tally_of(job.ran), 1);
    harness_free(pool);
}

static void a_pool_is_freed_though_tasks_that_were_given_up_block(void)
{
    for (int i = 0; i < 4; i++) {
        shunt_pool *pool = pool_of(1 + i % 2, i < 2 ? 0 : 1);
        struct section in = new_section();
        shunt_future *fs[2];
        for (unsigned k = 0; k < 2; k++) {
            fs[k] = shunt_submit(pool, wait_in_section, &in);
            assert_true(latch_reaches(in.in, k + 1));
        }
        assert_status(shunt_pool_shutdown(pool, SHUNT_KILL, 0, NULL),
                      SHUNT_ETIMEDOUT);
        for (unsigned k = 0; k < 2; k++)
            assert_joins(fs[k], SHUNT_ECANCELED);
        assert_ok(shunt_pool_free(pool));
        latch_raise(in.go);
    }
}

/* ---- the monitor ---- */

static int sleep_unsaid(const struct section *in, shunt_none *out)
{
    (void)out;
    latch_raise(in->in);
    return latch_reaches(in->go, 1) ? 0 : STAGE_LATE;
}
SHUNT_TASK(sleep_unsaid, struct section, shunt_none)

/* Method: one after the other they keep each thread that there is, and none
 * ends before all have begun. */
static void tasks_that_do_not_say_that_they_wait_are_noticed(void)
{
    shunt_pool *pool = pool_of(1, 0);

    run_at_once(pool, 4, &shunt_task_sleep_unsaid);
    assert_true(stats_of(pool).blocking_noticed >= 3);
    assert_true(stood_in_reaches(pool, 3));
    assert_long(stats_of(pool).blocked, 0);
    harness_free(pool);
}

static int sleep_for_long(const shunt_none *in, shunt_none *out)
{
    (void)in;
    (void)out;
    return nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL);
}
SHUNT_TASK(sleep_for_long, shunt_none, shunt_none)

/* A task behind one that sleeps for 200 ms ends before it, once in some tries:
 * the machine may have kept the pool from looking. */
static void a_sleep_of_200_ms_is_noticed(void)
{
    bool overtaken = false;

    for (int i = 0; i < 20 && !overtaken; i++) {
        shunt_pool *pool = pool_of(1, 1);
        shunt_future *f = shunt_submit(pool, sleep_for_long, NULL);
        assert_works(pool);
        overtaken = shunt_status(f) == SHUNT_PENDING;
        assert_joins(f, 0);
        harness_free(pool);
    }
    assert_true(overtaken);
}

static int compute(const struct section *in, shunt_none *out)
{
    (void)out;
    latch_raise(in->in);
    /* Bounded by the limit of the claim. */
    while (latch_level(in->go) == 0)
        continue;
    return 0;
}
SHUNT_TASK(compute, struct section, shunt_none)

static void a_task_that_computes_is_left_alone(void)
{
    shunt_pool *pool = pool_of(1, 1);
    struct section in = new_section();
    shunt_future *f = shunt_submit(pool, compute, &in);
    shunt_future *behind = shunt_submit(pool, stage_same, &(long){ 3 });

    assert_true(latch_reaches(in.in, 1));
    for (int i = 0; i < 5; i++)
        wait_a_while();
    assert_status(shunt_status(behind), SHUNT_PENDING);
    assert_long((long)stats_of(pool).blocking_noticed, 0);
    latch_raise(in.go);
    assert_joins(f, 0);
    assert_takes(behind, 3);
    harness_free(pool);
}

/* Goal: no polling. Method: of a pool that is idle, and of one that waits with
 * nothing queued, the threads take next to no CPU time. */
static void an_idle_pool_takes_no_cpu_time(void)
{
    shunt_pool *pool = pool_of(1, 1);
    struct section in = new_section();
    struct timespec before, after;
    shunt_future *f;

    run_at_once(pool, 2, &shunt_task_wait_in_section);
    f = shunt_submit(pool, sleep_unsaid, &in);
    assert_true(latch_reaches(in.in, 1));
    wait_a_while();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    for (int i = 0; i < 10; i++)
        wait_a_while();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    assert_true((after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec -
                    before.tv_nsec <
                3000000L * (long)harness_slowness());
    latch_raise(in.go);
    assert_joins(f, 0);
    harness_free(pool);
}

static const struct CMUnitTest blocking_end[] = {
    CLAIM(a_deadline_may_come_in_a_section),
    CLAIM(a_shutdown_waits_for_those_who_block),
    CLAIM(a_drain_runs_what_is_behind_those_who_block),
    CLAIM(a_pool_is_freed_though_tasks_that_were_given_up_block),
    CLAIM(tasks_that_do_not_say_that_they_wait_are_noticed),
    CLAIM(a_sleep_of_200_ms_is_noticed),
    CLAIM(a_task_that_computes_is_left_alone),
    CLAIM(an_idle_pool_takes_no_cpu_time),
};
HARNESS_MAIN(blocking_end)
