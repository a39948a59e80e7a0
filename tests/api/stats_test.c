/* SPDX-License-Identifier: MIT */
/*
 * stats_test.c - what a pool says of itself in numbers.
 *
 * Method. Counts are compared when the pool has come to rest; what it is at,
 * while tasks hold it there.
 */
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "stage.h"

enum {
    MANY = 1000
};

static shunt_pool_stats stats_of(shunt_pool *pool)
{
    shunt_pool_stats stats;

    assert_ok(shunt_stats(pool, &stats, NULL, 0));
    return stats;
}

/* Look until so many of the workers sleep. */
static shunt_pool_stats when_asleep(shunt_pool *pool, unsigned sleeping)
{
    stage_asleep(pool, sleeping);
    return stats_of(pool);
}

static int begin(void *arg)
{
    (void)arg;
    return 0;
}

/* One whose tasks stay where they are: with an .init an auto pool has no threads
 * of its own accord. */
static shunt_pool *steady_pool(int workers)
{
    shunt_pool *pool = NULL;

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = workers, .init = begin }));
    return pool;
}

/* ---- counts ---- */

static void a_new_pool_has_done_nothing(void)
{
    shunt_pool *pool = harness_pool(3);
    shunt_pool_stats stats = stats_of(pool);

    assert_long(stats.workers, 3);
    assert_long((long)stats.submitted, 0);
    assert_long((long)stats.refused, 0);
    assert_long((long)stats.run, 0);
    assert_long((long)stats.parked, 0);
    assert_long((long)stats.stolen, 0);
    harness_free(pool);
}

static void every_task_and_step_is_counted(void)
{
    shunt_pool *pool = steady_pool(2);

    for (long i = 0; i < MANY; i++) {
        shunt_future *f = shunt_submit(pool, stage_same, &i);
        assert_takes(shunt_then(f, stage_add_one), i + 1);
    }
    shunt_pool_stats stats = when_asleep(pool, 2);
    assert_long((long)stats.submitted, MANY);
    assert_long((long)stats.run, 2 * MANY);
    assert_long((long)stats.refused, 0);
    assert_long((long)(stats.queued_outside + stats.queued_ready +
                       stats.queued_workers),
                0);
    harness_free(pool);
}

static void the_sums_are_those_of_the_workers(void)
{
    shunt_pool *pool = steady_pool(3);
    shunt_worker_stats workers[3];
    shunt_pool_stats stats;
    uint64_t run = 0, slept = 0, woken = 0;

    for (long i = 0; i < MANY; i++)
        assert_takes(shunt_submit(pool, stage_same, &i), i);
    (void)when_asleep(pool, 3);
    assert_ok(shunt_stats(pool, &stats, workers, 3));
    for (int i = 0; i < 3; i++) {
        assert_long(workers[i].doing, SHUNT_SLEEPS);
        assert_long((long)workers[i].queued, 0);
        run += workers[i].run;
        slept += workers[i].slept;
        woken += workers[i].woken;
    }
    assert_long((long)run, (long)stats.run);
    assert_long((long)run, MANY);
    assert_long((long)slept, (long)stats.slept);
    assert_long((long)woken, (long)stats.woken);
    assert_true(stats.slept >= 3 && stats.woken >= 1);
    assert_true(stats.woken <= stats.slept);
    harness_free(pool);
}

static void refused_submits_are_counted_and_waits_for_room_are_not(void)
{
    shunt_pool *pool = NULL;

    assert_ok(shunt_pool_new(&pool,
                             &(shunt_options){ .workers = 1, .queue_max = 2 }));
    struct stage_hold hold = stage_hold(pool);
    shunt_future *queued[2];
    for (long i = 0; i < 2; i++)
        queued[i] = shunt_submit(pool, stage_same, &i);
    for (long i = 0; i < 5; i++)
        assert_joins(shunt_submit(pool, stage_same, &i), SHUNT_EAGAIN);
    assert_joins(shunt_submit_here(pool, NULL, NULL, NULL), SHUNT_EINVAL);
    assert_long((long)stats_of(pool).refused, 6);
    assert_long((long)stats_of(pool).queued_outside, 2);
    stage_let(hold);
    assert_takes(shunt_submit_wait(pool, stage_same, &(long){ 7 }), 7);
    for (long i = 0; i < 2; i++)
        assert_takes(queued[i], i);
    assert_long((long)stats_of(pool).refused, 6);
    assert_long((long)stats_of(pool).submitted, 4);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    assert_joins(shunt_submit_wait(pool, stage_same, &(long){ 7 }),
                 SHUNT_ECLOSED);
    assert_long((long)stats_of(pool).refused, 7);
    harness_free(pool);
}

static int await_it(shunt_future *const *in, long *out)
{
    *out = shunt_await(*in);
    return 0;
}
SHUNT_TASK(await_it, shunt_future *, long)

static void a_task_that_waits_parks_once_and_goes_on_once(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);
    shunt_future *f = shunt_submit(pool, await_it, &made.future);

    (void)when_asleep(pool, 1);
    assert_long((long)stats_of(pool).parked, 1);
    assert_long((long)stats_of(pool).resumed, 0);
    stage_give(made.promise, 1);
    assert_takes(f, 0);
    assert_long((long)stats_of(pool).parked, 1);
    assert_long((long)stats_of(pool).resumed, 1);
    assert_long((long)stats_of(pool).run, 1);
    assert_ok(shunt_release(made.future));
    harness_free(pool);
}

/* Keeps its worker until others have run its children. */
static int be_robbed(struct tally *const *in, long *out)
{
    shunt_future *children[10];

    for (int i = 0; i < 10; i++)
        children[i] =
            shunt_submit(NULL, stage_job, &(struct job){ .ran = *in });
    while (tally_of(*in) < 10)
        sched_yield();
    for (int i = 0; i < 10; i++)
        *out += shunt_join(children[i]);
    return 0;
}
SHUNT_TASK(be_robbed, struct tally *, long)

static void what_was_stolen_is_counted(void)
{
    shunt_pool *pool = harness_pool(2);
    struct tally *ran = stage_tally();

    assert_takes(shunt_submit(pool, be_robbed, &ran), 0);
    shunt_pool_stats stats = when_asleep(pool, 2);
    assert_true(stats.stolen >= 10);
    assert_long((long)stats.run, 11);
    assert_long((long)stats.submitted, 1);
    assert_long((long)stats.calls, 0);
    /* A round that finds something takes one hint at least. */
    assert_true(stats.searched > stats.missed);
    assert_true(stats.stolen >= stats.searched - stats.missed);
    harness_free(pool);
}

/* Nobody has anything: each worker has looked before it slept. */
static void rounds_that_find_nothing_are_counted(void)
{
    shunt_pool *pool = harness_pool(3);
    shunt_worker_stats workers[3];
    shunt_pool_stats stats;

    (void)when_asleep(pool, 3);
    assert_ok(shunt_stats(pool, &stats, workers, 3));
    for (int i = 0; i < 3; i++) {
        assert_true(workers[i].missed >= 1);
        assert_long((long)workers[i].searched, (long)workers[i].missed);
    }
    assert_long((long)stats.lost, 0);
    assert_long((long)stats.stolen, 0);
    assert_long((long)stats.offered, 0);
    harness_free(pool);
}

/* Who is alone has nobody to look at. */
static void a_worker_that_is_alone_searches_nowhere(void)
{
    shunt_pool *pool = harness_pool(1);

    for (long i = 0; i < 10; i++)
        assert_takes(shunt_submit(pool, stage_same, &i), i);
    shunt_pool_stats stats = when_asleep(pool, 1);
    assert_long((long)stats.searched, 0);
    assert_long((long)stats.missed, 0);
    assert_true(stats.slept > 0);
    harness_free(pool);
}

/* Whenever the other one sleeps, wake it for a task that its waker runs itself
 * meanwhile, more often than not. */
static int ask_for_nothing(const shunt_none *in, long *out)
{
    shunt_pool_stats stats = { 0 };
    long value = 0;

    (void)in;
    for (int i = 0; i < 10000 * MANY && stats.vain == 0; i++) {
        if (stats.sleeping == 1 &&
            shunt_take(shunt_submit(NULL, stage_same, &(long){ 1 }), &value))
            return 1;
        if (shunt_stats(NULL, &stats, NULL, 0) != 0)
            return 2;
        sched_yield();
    }
    *out = stats.vain > 0;
    return 0;
}
SHUNT_TASK(ask_for_nothing, shunt_none, long)

static void who_is_woken_for_nothing_is_counted(void)
{
    shunt_pool *pool = harness_pool(2);

    assert_takes(shunt_submit(pool, ask_for_nothing, NULL), 1);
    shunt_pool_stats stats = when_asleep(pool, 2);
    assert_true(stats.vain >= 1);
    assert_true(stats.vain <= stats.woken);
    assert_true(stats.vain <= stats.missed);
    harness_free(pool);
}

/* ---- what it is at ---- */

static void workers_say_what_they_do(void)
{
    shunt_pool *pool = harness_pool(2);
    struct stage_hold hold = stage_hold(pool);
    shunt_worker_stats workers[2];
    shunt_pool_stats stats = when_asleep(pool, 1);

    assert_long(stats.running, 1);
    assert_long(stats.sleeping, 1);
    assert_ok(shunt_stats(pool, &stats, workers, 2));
    assert_long(workers[0].doing + workers[1].doing, SHUNT_RUNS + SHUNT_SLEEPS);
    stage_let(hold);
    stats = when_asleep(pool, 2);
    assert_long(stats.running, 0);
    harness_free(pool);
}

static int fill_and_count(const shunt_none *in, long *out)
{
    shunt_future *children[20];
    shunt_pool_stats stats;

    (void)in;
    for (int i = 0; i < 20; i++)
        children[i] = shunt_submit(NULL, stage_nothing, NULL);
    if (shunt_stats(NULL, &stats, NULL, 0) != 0)
        return 1;
    *out = (long)stats.queued_workers * 10 + (long)stats.running;
    for (int i = 0; i < 20; i++)
        if (shunt_join(children[i]) != 0)
            return 2;
    return 0;
}
SHUNT_TASK(fill_and_count, shunt_none, long)

static void a_task_may_ask_for_its_own_pool(void)
{
    shunt_pool *pool = harness_pool(1);

    assert_takes(shunt_submit(pool, fill_and_count, NULL), 201);
    harness_free(pool);
}

static void pending_futures_are_counted_whatever_they_wait_for(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);
    shunt_future *waits = shunt_submit(pool, await_it, &made.future);

    (void)when_asleep(pool, 1);
    struct stage_hold hold = stage_hold(pool);
    shunt_future *queued = shunt_submit(pool, stage_same, &(long){ 1 });
    shunt_future *step = shunt_then(shunt_retain(made.future), stage_add_one);
    shunt_future *settled = stage_given(pool, 1);

    /* Promise, parked, running, queued, step; and then a combinator. */
    assert_long(shunt_pool_pending(pool), 5);
    shunt_future *all = shunt_when_all(&step, 1);
    assert_long(shunt_pool_pending(pool), 6);
    stage_let(hold);
    stage_give(made.promise, 4);
    assert_takes(waits, 0);
    assert_takes(queued, 1);
    assert_joins(all, 0);
    (void)when_asleep(pool, 1);
    assert_long(shunt_pool_pending(pool), 0);
    assert_takes(settled, 1);
    assert_takes(made.future, 4);
    harness_free(pool);
}

/* ---- while it works ---- */

struct busy {
    shunt_pool *pool;
    struct latch *over;
    long rounds;
};

static void *submit_on(void *user)
{
    struct busy *busy = user;

    while (latch_level(busy->over) == 0) {
        long value;
        if (shunt_take(shunt_submit(busy->pool, stage_same, &busy->rounds),
                       &value) != 0)
            break;
        busy->rounds++;
    }
    return NULL;
}

static void counts_never_go_back(void)
{
    shunt_pool *pool = steady_pool(2);
    struct busy busy = { .pool = pool, .over = stage_latch() };
    shunt_pool_stats before = stats_of(pool), now;
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, submit_on, &busy), 0);
    for (int i = 0; i < 20 * MANY; i++) {
        now = stats_of(pool);
        assert_true(now.run >= before.run);
        assert_true(now.submitted >= before.submitted);
        assert_true(now.slept >= before.slept);
        assert_true(now.sleeping + now.searching + now.running <= 2);
        before = now;
    }
    latch_raise(busy.over);
    pthread_join(thread, NULL);
    now = when_asleep(pool, 2);
    assert_long((long)now.run, busy.rounds);
    assert_long((long)now.submitted, busy.rounds);
    harness_free(pool);
}

/* ---- the structs ---- */

static void only_so_many_workers_are_written(void)
{
    shunt_pool *pool = harness_pool(2);
    shunt_worker_stats workers[4];
    shunt_pool_stats stats;

    memset(workers, 0x5a, sizeof workers);
    assert_ok(shunt_stats(pool, &stats, workers, 1));
    assert_true(workers[0].doing <= SHUNT_BETWEEN);
    assert_long(workers[1].doing, 0x5a5a5a5a);
    assert_ok(shunt_stats(pool, &stats, workers, 4));
    assert_true(workers[1].doing <= SHUNT_BETWEEN);
    assert_long(workers[2].doing, 0x5a5a5a5a);
    harness_free(pool);
}

/* A program built with an older header, and one with a newer one. */
static void structs_of_other_sizes_are_filled_as_far_as_they_go(void)
{
    shunt_pool *pool = harness_pool(2);
    struct {
        shunt_pool_stats known;
        long more;
    } longer;
    struct {
        int doing;
        int guard;
    } shorter[2] = { { 99, 77 }, { 99, 77 } };
    unsigned count[2] = { 0, 77 };

    (void)when_asleep(pool, 2);
    assert_ok(shunt_stats_sized(pool, (shunt_pool_stats *)(void *)count,
                                sizeof count[0], NULL, 0, 0));
    assert_long(count[0], 2);
    assert_long(count[1], 77);
    memset(&longer, 0x5a, sizeof longer);
    assert_ok(shunt_stats_sized(pool, &longer.known, sizeof longer,
                                (shunt_worker_stats *)(void *)shorter,
                                sizeof shorter[0], 2));
    assert_long(longer.known.workers, 2);
    assert_long(longer.more, 0);
    assert_long(shorter[0].doing, SHUNT_SLEEPS);
    assert_long(shorter[1].doing, SHUNT_SLEEPS);
    harness_free(pool);
}

static void bad_arguments_are_refused(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_pool_stats stats = { .workers = 77 };

    assert_status(shunt_stats(NULL, &stats, NULL, 0), SHUNT_EINVAL);
    assert_status(shunt_stats(pool, NULL, NULL, 0), SHUNT_EINVAL);
    assert_status(shunt_stats(pool, &stats, NULL, 1), SHUNT_EINVAL);
    assert_long(shunt_pool_pending(NULL), SHUNT_EINVAL);
    harness_free(pool);
    assert_status(shunt_stats(pool, &stats, NULL, 0), SHUNT_EINVAL);
    assert_long(shunt_pool_pending(pool), SHUNT_EINVAL);
    assert_long(stats.workers, 77);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_new_pool_has_done_nothing),
    CLAIM(every_task_and_step_is_counted),
    CLAIM(the_sums_are_those_of_the_workers),
    CLAIM(refused_submits_are_counted_and_waits_for_room_are_not),
    CLAIM(a_task_that_waits_parks_once_and_goes_on_once),
    CLAIM(what_was_stolen_is_counted),
    CLAIM(rounds_that_find_nothing_are_counted),
    CLAIM(a_worker_that_is_alone_searches_nowhere),
    CLAIM(who_is_woken_for_nothing_is_counted),
    CLAIM(workers_say_what_they_do),
    CLAIM(a_task_may_ask_for_its_own_pool),
    CLAIM(pending_futures_are_counted_whatever_they_wait_for),
    CLAIM(counts_never_go_back),
    CLAIM(only_so_many_workers_are_written),
    CLAIM(structs_of_other_sizes_are_filled_as_far_as_they_go),
    CLAIM(bad_arguments_are_refused),
};

HARNESS_MAIN(claims)
