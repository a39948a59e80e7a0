/* SPDX-License-Identifier: MIT */
/*
 * await_test.c - waiting, from threads and from tasks: a task that waits
 * parks, and its worker goes on, so that nesting never blocks a pool of one.
 */
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "stage.h"

/* ---- outside ---- */

static void await_gives_the_status_as_often_as_asked(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *good = shunt_submit(pool, stage_same, &(long){ 3 });
    shunt_future *bad = shunt_submit(pool, stage_fail, &(int){ 3 });

    for (int i = 0; i < 3; i++) {
        assert_ok(shunt_await(good));
        assert_status(shunt_await(bad), SHUNT_EFAILED);
        assert_ok(shunt_await_for(good, SHUNT_FOREVER));
        assert_status(shunt_await_for(bad, 0), SHUNT_EFAILED);
    }
    assert_takes(good, 3);
    assert_ok(shunt_release(bad));
    harness_free(pool);
}

static void a_wait_that_runs_out_changes_nothing(void)
{
    static const int64_t waits[] = { 0, -1,           INT64_MIN,
                                     1, SHUNT_US(10), SHUNT_MS(2) };
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);

    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++)
        assert_status(shunt_await_for(made.future, waits[i]), SHUNT_PENDING);
    assert_status(shunt_status(made.future), SHUNT_PENDING);
    stage_give(made.promise, 8);
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++)
        assert_ok(shunt_await_for(made.future, waits[i]));
    assert_takes(made.future, 8);
    harness_free(pool);
}

/* Method: all threads are about to wait when the promise is kept; each round
 * some of them already sleep and some do not. */
static void every_thread_that_waits_is_woken(void)
{
    enum {
        THREADS = 8,
        ROUNDS = 40
    };
    shunt_pool *pool = harness_pool(1);

    for (int round = 0; round < ROUNDS; round++) {
        struct stage_promise made = stage_promise(pool);
        struct latch *ready = stage_latch();
        struct stage_waiter waiters[THREADS];
        pthread_t threads[THREADS];

        for (int i = 0; i < THREADS; i++) {
            waiters[i] = (struct stage_waiter){ made.future,
                                                i % 2 == 0 ? SHUNT_FOREVER
                                                           : harness_patience(),
                                                ready, -1 };
            assert_int_equal(pthread_create(&threads[i], NULL,
                                            stage_wait_in_thread, &waiters[i]),
                             0);
        }
        assert_true(latch_reaches(ready, THREADS));
        if (round % 2 == 0)
            stage_give(made.promise, round);
        else
            assert_ok(shunt_promise_fail(made.promise, 9, NULL));
        for (int i = 0; i < THREADS; i++) {
            pthread_join(threads[i], NULL);
            assert_status(waiters[i].status,
                          round % 2 == 0 ? 0 : SHUNT_EFAILED);
        }
        assert_ok(shunt_release(made.future));
    }
    harness_free(pool);
}

/* ---- nesting, on a pool of one ---- */

static int descend(const long *in, long *out);
SHUNT_TASK(descend, long, long)

static int descend(const long *in, long *out)
{
    long below = 0;

    if (*in == 0)
        return 0;
    int rc =
        shunt_take(shunt_submit(NULL, descend, &(long){ *in - 1 }), &below);
    *out = below + 1;
    return rc;
}

static void one_worker_nests_awaits_a_thousand_deep(void)
{
    shunt_pool *pool = harness_pool(1);
    long depth = harness_slowness() > 1 ? 300 : 1000;

    harness_footprint((size_t)1200 * (256 << 10));
    for (int round = 0; round < 3; round++)
        assert_takes(shunt_submit(pool, descend, &depth), depth);
    harness_free(pool);
}

static int fibonacci(const long *in, long *out);
SHUNT_TASK(fibonacci, long, long)

static int fibonacci(const long *in, long *out)
{
    long one = 0, two = 0;

    *out = *in;
    if (*in < 2)
        return 0;
    shunt_future *first = shunt_submit(NULL, fibonacci, &(long){ *in - 1 });
    shunt_future *second = shunt_submit(NULL, fibonacci, &(long){ *in - 2 });
    int rc = shunt_take(first, &one) | shunt_take(second, &two);
    *out = one + two;
    return rc;
}

static void tasks_that_await_their_children_finish_on_any_pool(void)
{
    bool slow = harness_slowness() > 1;

    for (int workers = 1; workers <= 4; workers++) {
        shunt_pool *pool = harness_pool(workers);

        harness_footprint((size_t)64 << 20);
        assert_takes(shunt_submit(pool, fibonacci, &(long){ slow ? 12 : 18 }),
                     slow ? 144 : 2584);
        harness_free(pool);
    }
}

/* The children are awaited in the order in which a pool of one would run
 * them last. */
static int await_backwards(const long *in, long *out)
{
    enum {
        CHILDREN = 100
    };
    shunt_future *children[CHILDREN];
    int rc = 0;

    for (long i = 0; i < CHILDREN; i++)
        children[i] = shunt_submit(NULL, descend, &(long){ *in });
    for (long i = CHILDREN - 1; i >= 0; i--) {
        long depth = 0;
        rc |= shunt_take(children[i], &depth);
        *out += depth;
    }
    return rc;
}
SHUNT_TASK(await_backwards, long, long)

static void children_may_be_awaited_in_any_order(void)
{
    shunt_pool *pool = harness_pool(1);

    harness_footprint((size_t)512 * (256 << 10));
    assert_takes(shunt_submit(pool, await_backwards, &(long){ 5 }), 500);
    harness_free(pool);
}

struct await_one {
    shunt_future *future;
    shunt_promise *promise;
    struct latch *started;
};

static int await_it(const struct await_one *in, long *out)
{
    latch_raise(in->started);
    int rc = shunt_await(in->future);
    const long *value = shunt_peek(in->future, long);
    *out = value != NULL ? *value : -1;
    return rc;
}
SHUNT_TASK(await_it, struct await_one, long)

static int give_it(const struct await_one *in, long *out)
{
    (void)out;
    return shunt_promise_give(in->promise, &(long){ 11 });
}
SHUNT_TASK(give_it, struct await_one, long)

/* Method: if the waiting task held its worker, the giving one never ran. */
static void a_waiting_task_leaves_its_worker_to_others(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);
    struct await_one one = { made.future, made.promise, stage_latch() };

    shunt_future *waiting = shunt_submit(pool, await_it, &one);
    assert_true(latch_reaches(one.started, 1));
    assert_joins(shunt_submit(pool, give_it, &one), 0);
    assert_takes(waiting, 11);
    assert_takes(made.future, 11);
    harness_free(pool);
}

/* Method: every stack is parked before the promise is kept: a task behind
 * them on the only worker has run. */
static void thousands_of_tasks_park_on_one_promise(void)
{
    enum {
        PARKED = 4000
    };
    static shunt_future *waiting[PARKED];
    int count = harness_slowness() > 1 ? PARKED / 8 : PARKED;
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);
    struct await_one one = { made.future, NULL, stage_latch() };

    harness_footprint((size_t)PARKED * (260 << 10));
    for (int i = 0; i < count; i++)
        waiting[i] = shunt_submit(pool, await_it, &one);
    assert_true(latch_reaches(one.started, (unsigned)count));
    assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
    stage_give(made.promise, 5);
    for (int i = 0; i < count; i++)
        assert_takes(waiting[i], 5);
    assert_ok(shunt_release(made.future));
    harness_free(pool);
}

/* ---- what a task keeps across a wait ---- */

static int stay(const struct await_one *in, long *out)
{
    unsigned char local[32 << 10];
    long before = syscall(SYS_gettid);

    memset(local, (int)(before & 0x7f), sizeof local);
    latch_raise(in->started);
    int rc = shunt_await(in->future);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < sizeof local; i++) {
        if (local[i] != (before & 0x7f))
            return 1;
    }
    *out = before - syscall(SYS_gettid);
    return 0;
}
SHUNT_TASK(stay, struct await_one, long)

static void a_task_keeps_its_stack_and_thread_across_a_wait(void)
{
    enum {
        TASKS = 64
    };
    shunt_pool *pool = harness_pool(4);
    struct stage_promise made = stage_promise(pool);
    struct await_one one = { made.future, NULL, stage_latch() };
    shunt_future *tasks[TASKS];

    for (int i = 0; i < TASKS; i++)
        tasks[i] = shunt_submit(pool, stay, &one);
    assert_true(latch_reaches(one.started, TASKS));
    stage_give(made.promise, 1);
    for (int i = 0; i < TASKS; i++)
        assert_takes(tasks[i], 0);
    assert_ok(shunt_release(made.future));
    harness_free(pool);
}

/* ---- waits with an end, in tasks ---- */

static int run_out(const struct await_one *in, long *out)
{
    if (shunt_await_for(in->future, 0) != SHUNT_PENDING)
        return 1;
    if (shunt_await_for(in->future, -5) != SHUNT_PENDING)
        return 2;
    if (shunt_await_for(in->future, SHUNT_MS(2)) != SHUNT_PENDING)
        return 3;
    latch_raise(in->started);
    if (shunt_await_for(in->future, harness_patience()) != 0)
        return 4;
    return shunt_await(in->future) | shunt_await_for(in->future, 0) |
           (int)(*out = 0);
}
SHUNT_TASK(run_out, struct await_one, long)

static void a_tasks_wait_runs_out_and_can_be_repeated(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int round = 0; round < 10; round++) {
        struct stage_promise made = stage_promise(pool);
        struct await_one one = { made.future, NULL, stage_latch() };
        shunt_future *f = shunt_submit(pool, run_out, &one);

        assert_true(latch_reaches(one.started, 1));
        stage_give(made.promise, 1);
        assert_takes(f, 0);
        assert_ok(shunt_release(made.future));
    }
    harness_free(pool);
}

/* Method: waits of about the time that the promise takes, so that giving and
 * running out race; neither may be lost. */
static int race_the_clock(const struct await_one *in, long *out)
{
    for (int i = 0; i < 1000000; i++) {
        int status = shunt_await_for(in->future, SHUNT_US(i % 50));
        if (status == 0)
            return 0;
        if (status != SHUNT_PENDING)
            return status;
        if (i == 0)
            latch_raise(in->started);
    }
    *out = 1;
    return 1;
}
SHUNT_TASK(race_the_clock, struct await_one, long)

static void a_wait_that_races_its_end_loses_nothing(void)
{
    enum {
        ROUNDS = 200,
        TASKS = 4
    };
    shunt_pool *pool = harness_pool(2);

    for (int round = 0; round < ROUNDS; round++) {
        struct stage_promise made = stage_promise(pool);
        struct await_one one = { made.future, NULL, stage_latch() };
        shunt_future *tasks[TASKS];

        for (int i = 0; i < TASKS; i++)
            tasks[i] = shunt_submit(pool, race_the_clock, &one);
        assert_true(latch_reaches(one.started, 1));
        stage_give(made.promise, 1);
        for (int i = 0; i < TASKS; i++)
            assert_takes(tasks[i], 0);
        assert_ok(shunt_release(made.future));
    }
    harness_free(pool);
}

/* ---- waits that can never end, and waits across pools ---- */

struct own {
    struct latch *go;
    shunt_future *volatile *self;
};

static int await_own_future(const struct own *in, long *out)
{
    if (!latch_reaches(in->go, 1))
        return STAGE_LATE;
    *out = shunt_await(*in->self);
    return shunt_await_for(*in->self, SHUNT_FOREVER) != *out ||
           shunt_await_for(*in->self, 0) != *out;
}
SHUNT_TASK(await_own_future, struct own, long)

static void awaiting_the_own_future_is_a_deadlock_that_is_refused(void)
{
    shunt_pool *pool = harness_pool(1);
    struct own own = { stage_latch(), stage_bytes(sizeof(shunt_future *)) };

    shunt_future *f = shunt_submit(pool, await_own_future, &own);
    *own.self = f;
    latch_raise(own.go);
    assert_takes(f, SHUNT_EDEADLK);
    harness_free(pool);
}

struct bounce {
    shunt_pool *here, *there;
    long depth;
};

static int bounce(const struct bounce *in, long *out);
SHUNT_TASK(bounce, struct bounce, long)

static int bounce(const struct bounce *in, long *out)
{
    struct bounce next = { in->there, in->here, in->depth - 1 };
    long below = 0;

    if (shunt_pool_current() != in->here)
        return 1;
    if (in->depth == 0)
        return 0;
    int rc = shunt_take(shunt_submit(in->there, bounce, &next), &below);
    *out = below + 1;
    return rc;
}

/* Method: a wait chain that goes to and fro between two pools of one. */
static void tasks_wait_for_futures_of_other_pools(void)
{
    shunt_pool *a = harness_pool(1), *b = harness_pool(1);
    struct bounce first = { a, b, 200 };

    harness_footprint((size_t)256 * (256 << 10));
    assert_takes(shunt_submit(a, bounce, &first), 200);
    harness_free(a);
    harness_free(b);
}

/* Method: task i waits for tasks i-1 and i/2, which the others hold too. */
struct knot {
    shunt_future *near, *far;
};

static int knot(const struct knot *in, long *out)
{
    int rc = 0;

    if (in->near != NULL)
        rc |= shunt_await(in->near);
    if (in->far != NULL)
        rc |= shunt_await(in->far);
    *out = 1 + (in->near != NULL ? *shunt_peek(in->near, long) : 0);
    return rc;
}
SHUNT_TASK(knot, struct knot, long)

static void a_graph_of_waits_unravels(void)
{
    enum {
        KNOTS = 500
    };
    static shunt_future *knots[KNOTS];
    int count = harness_slowness() > 1 ? KNOTS / 5 : KNOTS;

    for (int workers = 1; workers <= 3; workers++) {
        shunt_pool *pool = harness_pool(workers);

        harness_footprint((size_t)KNOTS * (256 << 10));
        for (int i = 0; i < count; i++)
            knots[i] =
                shunt_submit(pool, knot,
                             &(struct knot){ i > 0 ? knots[i - 1] : NULL,
                                             i > 1 ? knots[i / 2] : NULL });
        assert_settles(knots[count - 1], 0);
        for (int i = 0; i < count; i++)
            assert_takes(knots[i], i + 1);
        harness_free(pool);
    }
}

struct far {
    shunt_future *future;
    struct latch *started;
    int64_t ns;
};

static int wait_far(const struct far *in, long *out)
{
    latch_raise(in->started);
    *out = shunt_await_for(in->future, in->ns);
    return 0;
}
SHUNT_TASK(wait_far, struct far, long)

/* Method: the only worker is held, so that the task that waited gets it back
 * when the other pool, its future settled, has been freed. */
static void a_task_outlives_the_pool_that_it_waits_for(void)
{
    enum {
        GIVEN,
        DROPPED,
        CANCELLED,
        RUN_OUT,
        WAYS
    };

    for (int way = 0; way < WAYS; way++) {
        shunt_pool *pool, *other = harness_pool(1);
        struct stage_promise made = stage_promise(other);
        struct far far = { made.future, stage_latch(),
                           way == RUN_OUT ? SHUNT_MS(1) : SHUNT_FOREVER };
        shunt_future *f;

        assert_ok(shunt_pool_new(
            &pool, &(shunt_options){ .workers = 1, .manual_clock = true }));
        f = shunt_submit(pool, wait_far, &far);
        assert_true(latch_reaches(far.started, 1));
        struct stage_hold hold = stage_hold(pool);
        if (way == GIVEN)
            stage_give(made.promise, 1);
        if (way == CANCELLED)
            assert_long(shunt_cancel(f), 1);
        if (way == RUN_OUT)
            assert_ok(shunt_pool_advance(pool, SHUNT_MS(1)));
        harness_free(other);
        stage_let(hold);
        assert_takes(f, SHUNT_ECLOSED);
        harness_free(pool);
    }
}

struct foreign {
    shunt_pool *pool;
    shunt_future *pending, *settled;
};

/* 0, or which call did not refuse what is another pool's. */
static int use_foreign(const struct foreign *in, long *out)
{
    shunt_future *fs[2] = { shunt_submit(NULL, stage_same, &(long){ 1 }),
                            in->settled };
    long value;

    *out = shunt_status(in->settled) != SHUNT_EINVAL         ? 1
           : shunt_await(in->pending) != SHUNT_EINVAL        ? 2
           : shunt_await_for(in->pending, 0) != SHUNT_EINVAL ? 3
           : shunt_peek(in->settled, long) != NULL           ? 4
           : shunt_take(in->settled, &value) != SHUNT_EINVAL ? 5
           : shunt_join(in->pending) != SHUNT_EINVAL         ? 6
           : shunt_cancel(in->pending) != SHUNT_EINVAL       ? 7
           : shunt_release(in->settled) != SHUNT_EINVAL      ? 8
           : shunt_status(shunt_retain(in->settled)) >= 0    ? 9
           : shunt_join(shunt_submit(in->pool, stage_nothing, NULL)) !=
                   SHUNT_EINVAL
               ? 10
           : shunt_pool_workers(in->pool) != SHUNT_EINVAL ? 11
           : shunt_join(shunt_then(in->settled, stage_same)) != SHUNT_EINVAL
               ? 12
           : shunt_join(shunt_when_all(fs, 2)) != SHUNT_EINVAL ? 13
                                                               : 0;
    return 0;
}
SHUNT_TASK(use_foreign, struct foreign, long)

/* Method: a pool that is older, one that is younger, and threads. What was
 * refused is as it was. */
static void a_worker_process_knows_no_other_pool(void)
{
    for (int which = 0; which < 3; which++) {
        shunt_pool *other = which == 0 ? harness_pool(1) : NULL;
        shunt_pool *pool = harness_pool(1);

        if (which == 1)
            other = harness_pool(1);
        if (which == 2)
            other = stage_named_pool("threads", 1);
        struct stage_promise made = stage_promise(other);
        struct foreign in = { other, made.future, stage_given(other, 4) };
        assert_takes(shunt_submit(pool, use_foreign, &in), 0);
        assert_status(shunt_status(made.future), SHUNT_PENDING);
        assert_takes(in.settled, 4);
        stage_give(made.promise, 5);
        assert_takes(made.future, 5);
        harness_free(pool);
        harness_free(other);
    }
}

static const struct CMUnitTest claims[] = {
    CLAIM(await_gives_the_status_as_often_as_asked),
    CLAIM(a_wait_that_runs_out_changes_nothing),
    CLAIM(every_thread_that_waits_is_woken),
    CLAIM(one_worker_nests_awaits_a_thousand_deep),
    CLAIM(tasks_that_await_their_children_finish_on_any_pool),
    CLAIM(children_may_be_awaited_in_any_order),
    CLAIM(a_waiting_task_leaves_its_worker_to_others),
    CLAIM(thousands_of_tasks_park_on_one_promise),
    CLAIM(a_task_keeps_its_stack_and_thread_across_a_wait),
    CLAIM(a_tasks_wait_runs_out_and_can_be_repeated),
    CLAIM(a_wait_that_races_its_end_loses_nothing),
    CLAIM(awaiting_the_own_future_is_a_deadlock_that_is_refused),
    CLAIM_OF_THREADS(tasks_wait_for_futures_of_other_pools),
    CLAIM(a_graph_of_waits_unravels),
    CLAIM_OF_THREADS(a_task_outlives_the_pool_that_it_waits_for),
    CLAIM_OF_PROCESSES(a_worker_process_knows_no_other_pool),
};

HARNESS_MAIN(claims)
