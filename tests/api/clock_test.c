/* SPDX-License-Identifier: MIT */
/*
 * clock_test.c - the clock of a pool, moved by hand or going by itself; waits
 * that run out by it; and pools that end while time is still to pass.
 *
 * Method. Most claims have a clock that stands still but for stage_advance.
 * Those about the real clock say so: that it is never early, how late it is,
 * and that nothing wakes for nothing cannot be seen on another.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "census.h"
#include "stage.h"

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return SHUNT_S(now.tv_sec) + now.tv_nsec;
}

/* ---- by hand ---- */

struct listed {
    struct tally *place, *count;
};

static void take_place(void *user)
{
    struct listed *l = user;

    tally_add(l->place, tally_add(l->count, 1));
}

/* Method: what runs out asks its promise to cancel, on the thread that lets
 * things happen; so each is told in its turn. All are due at one advance. */
static void what_is_due_happens_in_the_order_of_the_moments(void)
{
    enum {
        N = 500
    };
    static struct listed listed[N];
    static struct stage_promise made[N];
    shunt_pool *pool = stage_manual_pool(1, 0);
    struct tally *count = stage_tally();
    shunt_future *fs[N];
    size_t order[N];

    stage_shuffle(order, N);
    for (int i = 0; i < N; i++) {
        made[i] = stage_promise(pool);
        listed[i] = (struct listed){ stage_tally(), count };
        assert_ok(
            shunt_promise_on_cancel(made[i].promise, take_place, &listed[i]));
        fs[i] = shunt_timeout(made[i].future,
                              1 + (int64_t)(order[i] * order[i]) * 1000);
    }
    stage_advance(pool, SHUNT_S(1));
    for (int i = 0; i < N; i++) {
        assert_long(tally_of(listed[i].place), (long)order[i]);
        assert_joins(fs[i], SHUNT_ETIMEDOUT);
        assert_ok(shunt_promise_drop(made[i].promise));
    }
    harness_free(pool);
}

static int delay_from_now(const int64_t *in, shunt_future **out)
{
    *out = shunt_delay(NULL, *in);
    return 0;
}
SHUNT_TASK(delay_from_now, int64_t, shunt_future *)

/* Goal: also what is due at this very moment has happened, by 0 ns. */
static void an_advance_ends_when_all_that_is_due_has_happened(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);

    for (int i = 0; i < 1000; i++) {
        struct stage_promise made = stage_promise(pool);
        shunt_future *f = shunt_timeout(made.future, 3);
        stage_advance(pool, 0);
        assert_status(shunt_status(f), SHUNT_PENDING);
        stage_advance(pool, 3);
        assert_status(shunt_status(f), SHUNT_ETIMEDOUT);
        stage_advance(pool, 0);
        assert_joins(f, SHUNT_ETIMEDOUT);
        assert_ok(shunt_promise_drop(made.promise));
        f = shunt_submit(pool, delay_from_now, &(int64_t){ 2 });
        assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
        stage_advance(pool, 2);
        assert_joins(f, 0);
    }
    harness_free(pool);
}

struct told {
    shunt_pool *pool;
    struct tally *advance, *shutdown, *free;
};

static void misbehave(void *user)
{
    struct told *told = user;

    tally_add(told->advance, shunt_pool_advance(told->pool, 1));
    tally_add(told->shutdown,
              shunt_pool_shutdown(told->pool, SHUNT_DRAIN, 0, NULL));
    tally_add(told->free, shunt_pool_free(told->pool));
}

static int advance_inside(const struct told *in, shunt_none *out)
{
    (void)out;
    misbehave((void *)(uintptr_t)in);
    return 0;
}
SHUNT_TASK(advance_inside, struct told, shunt_none)

/* Method: the hook is called by the pool's own thread, as its clock is moved.
 */
static void who_is_needed_for_it_cannot_move_the_clock(void)
{
    for (int inside = 0; inside < 2; inside++) {
        shunt_pool *pool = stage_manual_pool(1, 0);
        struct stage_promise made = stage_promise(pool);
        struct told told = { pool, stage_tally(), stage_tally(),
                             stage_tally() };
        if (inside) {
            assert_joins(shunt_submit(pool, advance_inside, &told), 0);
        } else {
            assert_ok(shunt_promise_on_cancel(made.promise, misbehave, &told));
            shunt_future *f = shunt_timeout(shunt_retain(made.future), 5);
            assert_ok(shunt_release(made.future));
            stage_advance(pool, 5);
            assert_joins(f, SHUNT_ETIMEDOUT);
        }
        assert_long(tally_of(told.advance), SHUNT_EDEADLK);
        assert_long(tally_of(told.shutdown), SHUNT_EDEADLK);
        assert_long(tally_of(told.free), SHUNT_EDEADLK);
        assert_ok(shunt_promise_drop(made.promise));
        harness_free(pool);
    }
}

static void a_clock_that_goes_by_itself_is_not_moved(void)
{
    shunt_pool *real = harness_pool(1), *pool = stage_manual_pool(1, 0);

    assert_status(shunt_pool_advance(real, 1), SHUNT_EINVAL);
    assert_status(shunt_pool_advance(real, 0), SHUNT_EINVAL);
    assert_status(shunt_pool_advance(NULL, 1), SHUNT_EINVAL);
    assert_status(shunt_pool_advance(pool, -1), SHUNT_EINVAL);
    assert_status(shunt_pool_advance(pool, INT64_MIN), SHUNT_EINVAL);
    assert_ok(shunt_pool_advance(pool, 0));
    harness_free(real);
    harness_free(pool);
    assert_status(shunt_pool_advance(pool, 1), SHUNT_EINVAL);
}

struct mover {
    shunt_pool *pool;
    long steps;
    int wrong;
};

static void *move_in_thread(void *user)
{
    struct mover *m = user;

    for (long i = 0; i < m->steps; i++)
        m->wrong += shunt_pool_advance(m->pool, 1) != 0;
    return NULL;
}

static void several_threads_may_move_a_clock(void)
{
    enum {
        THREADS = 3,
        STEPS = 300
    };
    shunt_pool *pool = stage_manual_pool(1, 0);
    shunt_future *f = shunt_delay(pool, THREADS * STEPS);
    shunt_future *later = shunt_delay(pool, THREADS * STEPS + 1);
    struct mover movers[THREADS];
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++) {
        movers[i] = (struct mover){ pool, STEPS, 0 };
        assert_int_equal(
            pthread_create(&threads[i], NULL, move_in_thread, &movers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_long(movers[i].wrong, 0);
    }
    assert_joins(f, 0);
    assert_status(shunt_status(later), SHUNT_PENDING);
    stage_advance(pool, 1);
    assert_joins(later, 0);
    harness_free(pool);
}

/* ---- waits that run out ---- */

struct waits {
    shunt_future *pending;
    int64_t ns;
    struct latch *started;
};

static int wait_for_it(const struct waits *in, long *out)
{
    latch_raise(in->started);
    *out = shunt_await_for(in->pending, in->ns);
    return 0;
}
SHUNT_TASK(wait_for_it, struct waits, long)

/* Method: the only worker has run another task, so the first one waits. */
static void a_tasks_wait_runs_out_at_its_moment(void)
{
    static const int64_t waits[] = { 1, 1000, SHUNT_MS(10), SHUNT_S(100) };
    shunt_pool *pool = stage_manual_pool(1, 0);

    for (int round = 0; round < 100; round++) {
        struct stage_promise made = stage_promise(pool);
        struct waits in = { made.future, waits[round % 4], stage_latch() };
        shunt_future *f = shunt_submit(pool, wait_for_it, &in);
        bool in_time = round % 3 == 0;
        assert_true(latch_reaches(in.started, 1));
        assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
        stage_advance(pool, in.ns - 1);
        assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
        assert_status(shunt_status(f), SHUNT_PENDING);
        if (in_time)
            stage_give(made.promise, 1);
        else
            stage_advance(pool, 1);
        assert_takes(f, in_time ? 0 : SHUNT_PENDING);
        if (!in_time)
            stage_give(made.promise, 1);
        assert_takes(made.future, 1);
    }
    harness_free(pool);
}

struct outside {
    shunt_future *pending;
    int64_t ns;
    struct latch *done;
    int status;
};

static void *wait_outside(void *user)
{
    struct outside *o = user;

    o->status = shunt_await_for(o->pending, o->ns);
    latch_raise(o->done);
    return NULL;
}

/* Method: when the thread began to wait is not known; but the clock has moved
 * by as much as it waited for, at least, when it is back. */
static void a_threads_wait_runs_out_by_the_clock_of_the_pool(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);

    for (int round = 0; round < 50; round++) {
        struct stage_promise made = stage_promise(pool);
        struct outside o = { made.future, 20, stage_latch(), 77 };
        pthread_t thread;
        long moved = 0;
        assert_int_equal(pthread_create(&thread, NULL, wait_outside, &o), 0);
        while (latch_level(o.done) == 0) {
            stage_advance(pool, 1);
            moved++;
            sched_yield();
        }
        pthread_join(thread, NULL);
        assert_status(o.status, SHUNT_PENDING);
        assert_true(moved >= 20);
        stage_give(made.promise, 1);
        assert_takes(made.future, 1);
    }
    harness_free(pool);
}

/* ---- pools that end ---- */

static void a_drain_waits_for_delays_but_not_without_end(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);
    struct stage_promise made = stage_promise(pool);
    shunt_future *near = shunt_delay(pool, 10), *far = shunt_delay(pool, 20);
    shunt_future *endless = shunt_delay(pool, SHUNT_FOREVER);
    shunt_future *step = shunt_then(shunt_retain(near), stage_nothing);
    shunt_future *bounded = shunt_timeout(made.future, 15);
    size_t left = 0;

    /* One that nobody waits for is over. */
    assert_ok(shunt_release(shunt_delay(pool, 1000)));
    assert_status(shunt_pool_shutdown(pool, SHUNT_DRAIN, 0, &left),
                  SHUNT_ETIMEDOUT);
    assert_true(left >= 4);
    assert_joins(shunt_delay(pool, 1), SHUNT_ECLOSED);
    stage_advance(pool, 10);
    assert_joins(near, 0);
    assert_joins(step, 0);
    stage_advance(pool, 5);
    assert_joins(bounded, SHUNT_ETIMEDOUT);
    assert_status(shunt_pool_shutdown(pool, SHUNT_DRAIN, 0, &left),
                  SHUNT_ETIMEDOUT);
    stage_advance(pool, 5);
    assert_joins(far, 0);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, &left));
    assert_joins(endless, SHUNT_ECANCELED);
    assert_status(shunt_promise_drop(made.promise), 0);
    harness_free(pool);
}

static void cancel_and_kill_end_delays_and_timeouts_at_once(void)
{
    for (int kill = 0; kill < 2; kill++) {
        shunt_pool *pool = stage_manual_pool(1, 0);
        struct stage_promise made = stage_promise(pool);
        shunt_future *fs[4] = { shunt_delay(pool, 10),
                                shunt_delay(pool, SHUNT_FOREVER),
                                shunt_timeout(made.future, 10),
                                shunt_timeout(shunt_delay(pool, 10), 5) };
        assert_ok(shunt_pool_shutdown(pool, kill ? SHUNT_KILL : SHUNT_CANCEL,
                                      SHUNT_FOREVER, NULL));
        stage_advance(pool, 100);
        for (int i = 0; i < 4; i++)
            assert_joins(fs[i], SHUNT_ECANCELED);
        harness_free(pool);
    }
}

/* On the real clock, since nobody could move another while shunt_pool_free
 * waits. */
static void a_pool_is_freed_when_its_delays_have_ended(void)
{
    for (int i = 0; i < 10; i++) {
        shunt_pool *pool = harness_pool(1);
        int64_t begin = now_ns();
        struct tally *ran = stage_tally();
        shunt_future *f = shunt_delay(pool, SHUNT_MS(3));
        (void)shunt_delay(pool, SHUNT_FOREVER);
        (void)shunt_timeout(stage_promise(pool).future, SHUNT_MS(2));
        (void)shunt_submit_with(pool, stage_job, &(struct job){ .ran = ran },
                                .deadline_ns = SHUNT_S(100));
        harness_free(pool);
        assert_true(now_ns() - begin >= SHUNT_MS(3));
        assert_stale(f);
        assert_long(tally_of(ran), 1);
    }
}

static int delay_and_step(const int64_t *in, shunt_future **out)
{
    *out = shunt_then(shunt_delay(NULL, *in), stage_nothing);
    return 0;
}
SHUNT_TASK(delay_and_step, int64_t, shunt_future *)

/* Method: the task runs while the pool drains, and may still take its time. */
static void a_task_of_a_pool_that_drains_may_delay(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_hold hold = stage_hold(pool);
    shunt_future *f =
        shunt_submit(pool, delay_and_step, &(int64_t){ SHUNT_MS(2) });

    assert_status(shunt_pool_shutdown(pool, SHUNT_DRAIN, 0, NULL),
                  SHUNT_ETIMEDOUT);
    stage_let(hold);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    assert_joins(f, 0);
    harness_free(pool);
}

/* ---- the real clock ---- */

/* Method: delays, timeouts, deadlines and both kinds of wait, each a few ms
 * long at most; and the best of many is late by less than two milliseconds. */
static void the_real_clock_is_never_early_and_rarely_late(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);
    int64_t least_late = INT64_MAX;

    for (int i = 0; i < 200; i++) {
        int64_t ns = 1 + (int64_t)(stage_random() % 3000000);
        int64_t begin = now_ns();
        struct waits in = { made.future, ns, stage_latch() };
        shunt_future *f;
        int expected = 0;
        switch (i % 4) {
        case 0:
            f = shunt_delay(pool, ns);
            break;
        case 1:
            f = shunt_timeout(shunt_retain(made.future), ns);
            expected = SHUNT_ETIMEDOUT;
            break;
        case 2:
            f = shunt_submit(pool, wait_for_it, &in);
            break;
        default:
            assert_status(shunt_await_for(made.future, ns), SHUNT_PENDING);
            f = shunt_delay(pool, 0);
            break;
        }
        assert_settles(f, expected);
        int64_t late = now_ns() - begin - ns;
        assert_true(late >= 0);
        least_late = late < least_late ? late : least_late;
        assert_ok(shunt_release(f));
    }
    assert_true(least_late < SHUNT_MS(2));
    stage_give(made.promise, 1);
    assert_takes(made.future, 1);
    harness_free(pool);
}

/* How often a thread of that name has slept; its number too. */
static long times_slept(const char *thread, long *tid_out)
{
    static struct census census;
    char path[64], line[128];
    long slept = -1;

    census_take(&census);
    for (size_t i = 0; i < census.threads.count && slept < 0; i++) {
        bool its = false;
        snprintf(path, sizeof path, "/proc/self/task/%ld/status",
                 census.threads.ids[i]);
        FILE *file = fopen(path, "r");
        while (file != NULL && fgets(line, sizeof line, file) != NULL) {
            line[strcspn(line, "\n")] = '\0';
            if (strncmp(line, "Name:\t", 6) == 0)
                its = strcmp(line + 6, thread) == 0;
            if (its && strncmp(line, "voluntary_ctxt_switches:", 24) == 0)
                slept = strtol(line + 24, NULL, 10);
        }
        if (file != NULL)
            fclose(file);
        *tid_out = census.threads.ids[i];
    }
    return slept;
}

/* Method: on the real clock, with a timer far ahead, timeouts are set and
 * dropped again and tasks run, a thousand times; the thread that keeps the time
 * has not been woken for any of it. */
static void nobody_wakes_while_no_timer_is_due(void)
{
    shunt_pool *pool = NULL;
    shunt_future *far;
    long tid = 0, before;

    /* Of an auto pool the same thread steers, if tasks have run. */
    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = 1,
                                 .name = "clock",
                                 .mode = harness_isolated() ? SHUNT_PROCESSES
                                                            : SHUNT_THREADS }));
    far = shunt_delay(pool, SHUNT_S(1000));
    assert_joins(shunt_timeout(stage_given(pool, 1), SHUNT_S(2000)), 0);
    for (int i = 0; i < 10; i++) /* those that are kept to be set again */
        (void)shunt_cancel(shunt_delay(pool, SHUNT_S(2000)));
    assert_true(times_slept("clock-time", &tid) >= 0);
    census_sleeps(tid);
    before = times_slept("clock-time", &tid);
    for (int i = 0; i < 1000; i++) {
        struct stage_promise made = stage_promise(pool);
        shunt_future *f = shunt_timeout(made.future, SHUNT_S(3000));
        stage_give(made.promise, i);
        assert_ok(shunt_await(f));
        assert_ok(shunt_release(f));
        f = shunt_submit_with(pool, stage_nothing, NULL,
                              .deadline_ns = SHUNT_S(3000));
        assert_ok(shunt_await(f));
        assert_ok(shunt_release(f));
    }
    assert_long(times_slept("clock-time", &tid), before);
    assert_long(shunt_cancel(far), 1);
    harness_free(pool);
}

/* ---- many ---- */

/* A million in the long form: each ends, at its moment or cancelled. */
static void a_million_delays_end(void)
{
    long n = harness_million() ? 1000000 : 20000 / (long)harness_slowness();
    shunt_pool *pool = stage_manual_pool(2, 0);
    shunt_future **fs = calloc((size_t)n, sizeof(*fs));
    int64_t *when = calloc((size_t)n, sizeof(*when)), now = 0;

    assert_true(fs != NULL && when != NULL);
    harness_limit(300);
    harness_footprint((size_t)1 << 30);
    for (long i = 0; i < n; i++) {
        when[i] = 1 + (int64_t)(stage_random() >> (2 + stage_random() % 40));
        fs[i] = i % 2 == 0
                    ? shunt_delay(pool, when[i])
                    : shunt_timeout(shunt_delay(pool, SHUNT_FOREVER), when[i]);
    }
    for (long i = 0; i < n; i += 5)
        assert_long(shunt_cancel(fs[i]), 1);
    for (int bits = 0; bits <= 60; bits += 6) {
        stage_advance(pool, (int64_t)1 << bits);
        now += (int64_t)1 << bits;
        for (long i = 0; i < n; i++) {
            int status = i % 5 == 0      ? SHUNT_ECANCELED
                         : when[i] > now ? SHUNT_PENDING
                         : i % 2 == 0    ? 0
                                         : SHUNT_ETIMEDOUT;
            if (shunt_status(fs[i]) != status)
                fail_msg("timer %ld of %lld at %lld: %d", i, (long long)when[i],
                         (long long)now, shunt_status(fs[i]));
        }
    }
    stage_advance(pool, SHUNT_FOREVER);
    for (long i = 0; i < n; i++)
        assert_joins(fs[i], i % 5 == 0   ? SHUNT_ECANCELED
                            : i % 2 == 0 ? 0
                                         : SHUNT_ETIMEDOUT);
    harness_free(pool);
    free(fs);
    free(when);
}

static const struct CMUnitTest claims[] = {
    CLAIM(what_is_due_happens_in_the_order_of_the_moments),
    CLAIM(an_advance_ends_when_all_that_is_due_has_happened),
    CLAIM(who_is_needed_for_it_cannot_move_the_clock),
    CLAIM(a_clock_that_goes_by_itself_is_not_moved),
    CLAIM(several_threads_may_move_a_clock),
    CLAIM(a_tasks_wait_runs_out_at_its_moment),
    CLAIM(a_threads_wait_runs_out_by_the_clock_of_the_pool),
    CLAIM(a_drain_waits_for_delays_but_not_without_end),
    CLAIM(cancel_and_kill_end_delays_and_timeouts_at_once),
    CLAIM(a_pool_is_freed_when_its_delays_have_ended),
    CLAIM(a_task_of_a_pool_that_drains_may_delay),
    CLAIM(the_real_clock_is_never_early_and_rarely_late),
    CLAIM(nobody_wakes_while_no_timer_is_due),
    CLAIM(a_million_delays_end),
};

HARNESS_MAIN(claims)
