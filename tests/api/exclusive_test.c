/* SPDX-License-Identifier: MIT */
/*
 * exclusive_test.c - tasks that are alone in their process.
 *
 * Goal: whichever task dies takes along no exclusive one, and an exclusive one
 * takes along nobody; and nothing hangs, with one worker neither. Method: tasks
 * tell their process, wait there, and die beside each other.
 */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "death.h"

static int alone(const long *in, long *out)
{
    (void)in;
    *out = stage_process();
    return 0;
}
SHUNT_TASK(alone, long, long, .exclusive = true)

static int die_alone(const struct mortal *in, long *out)
{
    return mortal(in, out);
}
SHUNT_TASK(die_alone, struct mortal, long, .exclusive = true)

struct wait {
    shunt_future *until;
    struct latch *started;
};

static int wait_alone(const struct wait *in, long *out)
{
    *out = stage_process();
    latch_raise(in->started);
    if (shunt_await(in->until) != 0)
        return 1;
    return *out == stage_process() ? 0 : 2;
}
SHUNT_TASK(wait_alone, struct wait, long, .exclusive = true)

static int wait_among(const struct wait *in, long *out)
{
    return wait_alone(in, out);
}
SHUNT_TASK(wait_among, struct wait, long)

static shunt_future *start(shunt_pool *pool, const shunt_task *task,
                           shunt_future *until)
{
    struct wait in = { until, stage_latch() };
    shunt_future *f = shunt_submit_task(pool, task, &in, NULL);

    assert_true(latch_reaches(in.started, 1));
    return f;
}

static void it_has_a_process_that_runs_nothing_else(void)
{
    for (int workers = 1; workers <= 2; workers++) {
        shunt_pool *pool = harness_pool(workers);

        for (int i = 0; i < 20; i++) {
            struct stage_promise p = stage_promise(pool);
            shunt_future *f = start(pool, &shunt_task_wait_alone, p.future);
            long others[10];

            for (int j = 0; j < 10; j++)
                others[j] = death_next_process(pool);
            stage_give(p.promise, 1);
            long pid = death_process_of(f);
            for (int j = 0; j < 10; j++)
                assert_true(others[j] != pid);
            assert_ok(shunt_release(p.future));
        }
        harness_free(pool);
    }
}

static void its_death_is_nobody_elses(void)
{
    for (int workers = 1; workers <= 2; workers++) {
        shunt_pool *pool = harness_pool(workers);
        struct stage_promise p = stage_promise(pool);
        shunt_future *fs[8];

        for (int i = 0; i < 8; i++)
            fs[i] = start(pool, &shunt_task_wait_among, p.future);
        for (enum death how = 0; how < DEATHS; how++) {
            struct mortal in = { .how = how };

            assert_dies(shunt_submit(pool, die_alone, &in));
        }
        stage_give(p.promise, 1);
        for (int i = 0; i < 8; i++)
            assert_joins(fs[i], 0);
        assert_ok(shunt_release(p.future));
        harness_free(pool);
    }
}

static void nobody_elses_death_is_its(void)
{
    for (int workers = 1; workers <= 2; workers++) {
        shunt_pool *pool = harness_pool(workers);
        struct stage_promise p = stage_promise(pool);
        shunt_future *f = start(pool, &shunt_task_wait_alone, p.future);

        for (enum death how = 0; how < DEATHS; how++)
            assert_dies(death_in(pool, how));
        stage_give(p.promise, 1);
        assert_joins(f, 0);
        assert_ok(shunt_release(p.future));
        harness_free(pool);
    }
}

/* ---- nothing hangs ---- */

struct nest {
    long depth;
    bool alternates; /* every other one is an ordinary task */
};

static int nest_alone(const struct nest *in, long *out);
static int nest_among(const struct nest *in, long *out);
SHUNT_TASK(nest_alone, struct nest, long, .exclusive = true)
SHUNT_TASK(nest_among, struct nest, long)

static int nest_alone(const struct nest *in, long *out)
{
    struct nest below = { in->depth - 1, in->alternates };
    long n = 0;
    shunt_future *f;

    if (in->depth > 0) {
        f = in->alternates ? shunt_submit(NULL, nest_among, &below)
                           : shunt_submit(NULL, nest_alone, &below);
        if (shunt_take(f, &n) != 0)
            return shunt_fail(1, "%s", shunt_last_error()->message);
    }
    *out = n + 1;
    return 0;
}

static int nest_among(const struct nest *in, long *out)
{
    struct nest below = { in->depth - 1, true };
    long n = 0;

    if (in->depth > 0 &&
        shunt_take(shunt_submit(NULL, nest_alone, &below), &n) != 0)
        return shunt_fail(1, "%s", shunt_last_error()->message);
    *out = n + 1;
    return 0;
}

/* Method: deeper than there can be processes. */
static void exclusive_tasks_may_wait_for_exclusive_ones(void)
{
    for (int workers = 1; workers <= 3; workers++) {
        shunt_pool *pool = harness_pool(workers);

        for (long depth = 0; depth < 12; depth++) {
            harness_note("%d workers, depth %ld", workers, depth);
            assert_takes(
                shunt_submit(pool, nest_alone, &(struct nest){ depth, false }),
                depth + 1);
            assert_takes(
                shunt_submit(pool, nest_among, &(struct nest){ depth, true }),
                depth + 1);
        }
        harness_free(pool);
    }
}

static int have_many(const long *in, long *out)
{
    shunt_future *fs[32];
    long n = 0;

    for (long i = 0; i < *in; i++)
        fs[i] = i % 2 == 0 ? shunt_submit(NULL, alone, &i)
                           : shunt_submit(NULL, death_process, &i);
    for (long i = 0; i < *in; i++)
        n += shunt_join(fs[i]) == 0;
    *out = n;
    return 0;
}
SHUNT_TASK(have_many, long, long, .exclusive = true)

static void many_at_a_time_come_to_their_ends(void)
{
    static shunt_future *fs[64];

    for (int workers = 1; workers <= 3; workers++) {
        shunt_pool *pool = harness_pool(workers);

        for (int i = 0; i < 64; i++)
            fs[i] = shunt_submit(pool, have_many, &(long){ 16 });
        for (int i = 0; i < 64; i++)
            assert_takes(fs[i], 16);
        harness_free(pool);
    }
}

static void it_is_killed_at_its_deadline(void)
{
    shunt_pool *pool = harness_pool(1);
    struct mortal in = { .go = stage_latch() };

    for (int i = 0; i < 5; i++) {
        assert_joins(shunt_submit_with(pool, die_alone, &in,
                                       .deadline_ns = SHUNT_MS(20)),
                     SHUNT_ETIMEDOUT);
        assert_true(death_process_of(shunt_submit(pool, alone, &(long){ 0 })) !=
                    stage_process());
    }
    harness_free(pool);
}

static void a_pool_ends_while_one_waits(void)
{
    static const enum shunt_how hows[] = { SHUNT_DRAIN, SHUNT_CANCEL,
                                           SHUNT_KILL };

    for (int i = 0; i < 3; i++) {
        shunt_pool *pool = harness_pool(2);
        struct stage_promise p = stage_promise(pool);
        shunt_future *f = start(pool, &shunt_task_wait_alone, p.future);

        assert_ok(shunt_pool_shutdown(pool, hows[i], harness_patience(), NULL));
        assert_true(shunt_status(f) < 0);
        assert_joins(p.future, SHUNT_ECANCELED);
        assert_ok(shunt_release(f));
        harness_free(pool);
    }
}

/* With .worker_tasks_max, too. */
static void its_processes_are_replaced_as_workers_are(void)
{
    shunt_pool *pool = NULL;
    long before = 0;

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = 1, .worker_tasks_max = 1 }));
    for (int i = 0; i < 20; i++) {
        long pid = death_process_of(shunt_submit(pool, alone, &(long){ 0 }));

        assert_true(pid != before);
        before = pid;
    }
    assert_takes(shunt_submit(pool, have_many, &(long){ 16 }), 16);
    harness_free(pool);
}

static int die_if_told(void *arg)
{
    struct tally *told = arg;

    return tally_of(told) == 0
               ? 0
               : mortal(&(struct mortal){ .how = BY_ABORT }, &(long){ 0 });
}

/* Goal: that a process for exclusive tasks lives keeps no task pending, where
 * no worker can be started any more. */
static void a_pool_without_workers_is_broken_for_all_its_tasks(void)
{
    for (int workers = 1; workers <= 2; workers++) {
        struct tally *told = stage_tally();
        struct mortal last = { .how = BY_ABORT,
                               .started = stage_latch(),
                               .go = stage_latch() };
        shunt_pool *pool;
        shunt_future *fs[3];

        assert_ok(shunt_pool_new(
            &pool, &(shunt_options){ .workers = workers,
                                     .init = die_if_told,
                                     .init_arg = told,
                                     .unobserved = shunt_unobserved_ignore }));
        assert_joins(shunt_submit(pool, alone, &(long){ 0 }), 0);
        for (int i = 0; i < workers; i++)
            fs[i] = shunt_submit(pool, mortal, &last);
        assert_true(latch_reaches(last.started, (unsigned)workers));
        tally_add(told, 1);
        latch_raise(last.go);
        for (int i = 0; i < workers; i++)
            assert_dies(fs[i]);
        fs[0] = shunt_submit(pool, stage_nothing, NULL);
        fs[1] = shunt_submit(pool, alone, &(long){ 0 });
        fs[2] = shunt_submit(pool, stage_nothing, NULL);
        assert_joins(fs[0], SHUNT_EBROKEN);
        /* It may have begun before, in a process that was killed then. */
        assert_true(shunt_await_for(fs[1], harness_patience()) !=
                    SHUNT_PENDING);
        assert_ok(shunt_release(fs[1]));
        assert_joins(fs[2], SHUNT_EBROKEN);
        assert_joins(shunt_submit(pool, alone, &(long){ 0 }), SHUNT_EBROKEN);
        harness_free(pool);
    }
}

static const struct CMUnitTest exclusive[] = {
    CLAIM_OF_PROCESSES(it_has_a_process_that_runs_nothing_else),
    CLAIM_OF_PROCESSES(its_death_is_nobody_elses),
    CLAIM_OF_PROCESSES(nobody_elses_death_is_its),
    CLAIM(exclusive_tasks_may_wait_for_exclusive_ones),
    CLAIM(many_at_a_time_come_to_their_ends),
    CLAIM_OF_PROCESSES(it_is_killed_at_its_deadline),
    CLAIM(a_pool_ends_while_one_waits),
    CLAIM_OF_PROCESSES(a_pool_without_workers_is_broken_for_all_its_tasks),
    CLAIM_OF_PROCESSES(its_processes_are_replaced_as_workers_are),
};

HARNESS_MAIN(exclusive)
