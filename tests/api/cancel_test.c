/* SPDX-License-Identifier: MIT */
/*
 * cancel_test.c - cancelling one future: queued, running, waiting, settled.
 * What that does to those behind and before it is in propagate_test.c.
 */
#include <pthread.h>
#include <string.h>

#include "stage.h"

/* ---- queued ---- */

/* Method: the only worker is held, so the task cannot have started. */
static void a_queued_task_that_is_cancelled_never_starts(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_hold hold = stage_hold(pool);
    struct tally *ran = stage_tally();

    shunt_future *f =
        shunt_submit(pool, stage_job, &(struct job){ .ran = ran });
    assert_long(shunt_cancel(f), 1);
    stage_let(hold);
    assert_settles(f, SHUNT_ECANCELED);
    assert_long(shunt_cancel(f), 0);
    const shunt_error *error = shunt_error_of(f);
    assert_true(strlen(error->message) > 5);
    assert_long(error->attempts, 0);
    assert_joins(f, SHUNT_ECANCELED);
    assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
    assert_long(tally_of(ran), 0);
    harness_free(pool);
}

/* Its waiters do not wait for a worker to come by. */
static void a_queued_task_settles_when_it_is_cancelled(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_hold hold = stage_hold(pool);

    shunt_future *f = shunt_submit(pool, stage_nothing, NULL);
    assert_long(shunt_cancel(f), 1);
    assert_joins(f, SHUNT_ECANCELED);
    stage_let(hold);
    harness_free(pool);
}

static void only_the_cancelled_ones_of_many_queued_tasks_do_not_run(void)
{
    enum {
        QUEUED = 3000
    };
    static shunt_future *queued[QUEUED];
    shunt_pool *pool = harness_pool(2);
    struct stage_hold one = stage_hold(pool), two = stage_hold(pool);
    struct tally *ran = stage_tally();

    for (long i = 0; i < QUEUED; i++)
        queued[i] = shunt_submit(pool, stage_job,
                                 &(struct job){ .value = i, .ran = ran });
    for (int i = 0; i < QUEUED; i += 3)
        assert_long(shunt_cancel(queued[i]), 1);
    stage_let(one);
    stage_let(two);
    for (long i = 0; i < QUEUED; i++) {
        if (i % 3 == 0)
            assert_joins(queued[i], SHUNT_ECANCELED);
        else
            assert_takes(queued[i], i);
    }
    assert_long(tally_of(ran), QUEUED - QUEUED / 3);
    harness_free(pool);
}

/* ---- running ---- */

struct watched {
    struct latch *started, *go;
    int rc_if_cancelled;
};

/* Out: whether it was asked, before and after it was let go on. */
static int watch(const struct watched *in, long *out)
{
    long before = shunt_cancelled();

    latch_raise(in->started);
    if (!latch_reaches(in->go, 1))
        return STAGE_LATE;
    *out = 2 * before + shunt_cancelled();
    return shunt_cancelled() ? in->rc_if_cancelled : 0;
}
SHUNT_TASK(watch, struct watched, long)

static shunt_future *watched_then(shunt_pool *pool, int rc, bool cancel)
{
    struct watched watched = { stage_latch(), stage_latch(), rc };
    shunt_future *f = shunt_submit(pool, watch, &watched);

    assert_true(latch_reaches(watched.started, 1));
    for (int i = 0; cancel && i < 3; i++)
        assert_long(shunt_cancel(f), 1);
    assert_status(shunt_status(f), SHUNT_PENDING);
    latch_raise(watched.go);
    return f;
}

static void a_running_task_sees_that_it_was_asked(void)
{
    shunt_pool *pool = harness_pool(1);

    assert_takes(watched_then(pool, 0, false), 0);
    assert_takes(watched_then(pool, 0, true), 1);
    assert_takes(watched_then(pool, 0, false), 0);
    harness_free(pool);
}

static void a_running_task_decides_how_a_cancel_ends(void)
{
    shunt_pool *pool = harness_pool(1);

    shunt_future *f = watched_then(pool, SHUNT_ECANCELED, true);
    assert_settles(f, SHUNT_ECANCELED);
    assert_long(shunt_error_of(f)->attempts, 1);
    assert_long(shunt_cancel(f), 0);
    assert_ok(shunt_release(f));
    f = watched_then(pool, 5, true);
    assert_fails_with(f, 5);
    assert_ok(shunt_release(f));
    harness_free(pool);
}

struct later {
    struct latch *started, *go;
    shunt_future *inner;
};

static int leave_it_to_another(const struct later *in, shunt_future **out)
{
    latch_raise(in->started);
    if (!latch_reaches(in->go, 1))
        return STAGE_LATE;
    *out = in->inner;
    return 0;
}
SHUNT_TASK(leave_it_to_another, struct later, shunt_future *)

/* As it would be if it had been asked a moment later. */
static void what_a_cancelled_task_leaves_to_another_is_cancelled(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);
    struct later in = { stage_latch(), stage_latch(), made.future };
    shunt_future *f = shunt_submit(pool, leave_it_to_another, &in);

    assert_true(latch_reaches(in.started, 1));
    assert_long(shunt_cancel(f), 1);
    latch_raise(in.go);
    assert_joins(f, SHUNT_ECANCELED);
    assert_status(shunt_promise_give(made.promise, &(long){ 1 }),
                  SHUNT_ECANCELED);
    harness_free(pool);
}

static void returning_cancelled_unasked_is_a_failure(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *f =
        shunt_submit(pool, stage_job, &(struct job){ .rc = SHUNT_ECANCELED });

    assert_fails_with(f, SHUNT_ECANCELED);
    assert_ok(shunt_release(f));
    harness_free(pool);
}

static void outside_a_task_nothing_is_cancelled(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *f = stage_promise(pool).future;

    assert_false(shunt_cancelled());
    assert_long(shunt_cancel(f), 1);
    assert_false(shunt_cancelled());
    assert_ok(shunt_release(f));
    harness_free(pool);
}

/* ---- waiting ---- */

struct waits {
    struct latch *started, *go;
    shunt_future *pending, *settled;
    int how;
};

enum {
    BY_AWAIT,
    BY_AWAIT_FOR,
    BY_JOIN,
    BY_TAKE,
    WAYS
};

static int wait_by(shunt_future *f, int how)
{
    long value;

    switch (how) {
    case BY_AWAIT:
        return shunt_await(f);
    case BY_AWAIT_FOR:
        return shunt_await_for(f, harness_patience());
    case BY_JOIN:
        return shunt_join(shunt_retain(f));
    default:
        return shunt_take(shunt_retain(f), &value);
    }
}

static int wait_and_be_cancelled(const struct waits *in, long *out)
{
    latch_raise(in->started);
    if (in->go != NULL && !latch_reaches(in->go, 1))
        return STAGE_LATE;
    if (wait_by(in->pending, in->how) != SHUNT_ECANCELED)
        return 1;
    /* So do all further waits, but for what has settled. */
    if (wait_by(in->pending, in->how) != SHUNT_ECANCELED)
        return 2;
    if (wait_by(in->settled, in->how) != 0)
        return 3;
    if (!shunt_cancelled())
        return 4;
    *out = 10;
    return 0;
}
SHUNT_TASK(wait_and_be_cancelled, struct waits, long)

/* Method: with a latch, the task is asked before it waits; without, it is
 * parked by then: the worker has run another task. */
static void cancel_a_waiting_task(bool parked)
{
    shunt_pool *pool = harness_pool(1);

    for (int how = 0; how < WAYS; how++) {
        struct stage_promise made = stage_promise(pool);
        shunt_future *settled = stage_given(pool, 1);
        struct waits waits = { stage_latch(), parked ? NULL : stage_latch(),
                               made.future, settled, how };
        shunt_future *f = shunt_submit(pool, wait_and_be_cancelled, &waits);
        assert_true(latch_reaches(waits.started, 1));
        if (parked)
            assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
        assert_long(shunt_cancel(f), 1);
        if (!parked)
            latch_raise(waits.go);
        assert_takes(f, 10);
        assert_status(shunt_status(made.future), SHUNT_PENDING);
        stage_give(made.promise, 1);
        assert_takes(made.future, 1);
        assert_ok(shunt_release(settled));
    }
    harness_free(pool);
}

static void a_parked_task_is_woken_when_it_is_cancelled(void)
{
    cancel_a_waiting_task(true);
}

static void a_cancelled_task_does_not_wait_any_more(void)
{
    cancel_a_waiting_task(false);
}

/* ---- settled, and not valid ---- */

static void what_has_settled_cannot_be_cancelled(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *const settled[] = { stage_given(pool, 1),
                                      stage_failed(pool, 2),
                                      stage_cancelled(pool) };
    static const int statuses[] = { 0, SHUNT_EFAILED, SHUNT_ECANCELED };

    for (int i = 0; i < 3; i++) {
        assert_long(shunt_cancel(settled[i]), 0);
        assert_long(shunt_cancel(settled[i]), 0);
        assert_joins(settled[i], statuses[i]);
        assert_true(shunt_cancel(settled[i]) < 0);
    }
    harness_free(pool);
}

/* ---- by whom ---- */

static void any_handle_will_do(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_hold hold = stage_hold(pool);
    shunt_future *f = shunt_submit(pool, stage_nothing, NULL);
    shunt_future *other = shunt_retain(f);

    assert_long(shunt_cancel(other), 1);
    assert_ok(shunt_release(other));
    stage_let(hold);
    assert_joins(f, SHUNT_ECANCELED);
    harness_free(pool);
}

struct own {
    struct latch *go;
    shunt_future *volatile *self;
};

static int cancel_own(const struct own *in, long *out)
{
    if (!latch_reaches(in->go, 1))
        return STAGE_LATE;
    *out = shunt_cancelled();
    if (shunt_cancel(*in->self) != 1 || !shunt_cancelled())
        return 1;
    return SHUNT_ECANCELED;
}
SHUNT_TASK(cancel_own, struct own, long)

static void a_task_may_cancel_itself(void)
{
    shunt_pool *pool = harness_pool(1);
    struct own own = { stage_latch(), stage_bytes(sizeof(shunt_future *)) };
    shunt_future *f = shunt_submit(pool, cancel_own, &own);

    *own.self = f;
    latch_raise(own.go);
    assert_joins(f, SHUNT_ECANCELED);
    harness_free(pool);
}

static int cancel_child(const shunt_none *in, long *out)
{
    (void)in;
    shunt_future *child = shunt_submit(NULL, stage_same, &(long){ 1 });
    *out = shunt_cancel(child);
    return shunt_join(child) == SHUNT_ECANCELED ? 0 : 1;
}
SHUNT_TASK(cancel_child, shunt_none, long)

/* Method: one worker, on which the child is still queued behind its parent. */
static void a_task_may_cancel_its_child(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int i = 0; i < 100; i++)
        assert_takes(shunt_submit(pool, cancel_child, NULL), 1);
    harness_free(pool);
}

/* Releasing after asking is the usual way to give something up. */
static void a_cancelled_future_may_be_released_at_once(void)
{
    shunt_pool *pool = harness_pool(1);
    struct tally *ran = stage_tally();

    for (int round = 0; round < 300; round++) {
        struct stage_hold hold = stage_hold(pool);
        shunt_future *f =
            shunt_submit(pool, stage_job, &(struct job){ .ran = ran });
        assert_long(shunt_cancel(f), 1);
        assert_ok(shunt_release(f));
        stage_let(hold);
    }
    assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
    assert_long(tally_of(ran), 0);
    harness_free(pool);
}

/* ---- races ---- */

struct canceller {
    shunt_future *volatile *target;
    pthread_barrier_t *barrier;
    int rounds;
    int wrong;
};

static void *cancel_in_thread(void *user)
{
    struct canceller *canceller = user;

    for (int i = 0; i < canceller->rounds; i++) {
        pthread_barrier_wait(canceller->barrier);
        int rc = shunt_cancel(*canceller->target);
        canceller->wrong += rc != 0 && rc != 1;
        pthread_barrier_wait(canceller->barrier);
    }
    return NULL;
}

/* Method: the task is submitted and cancelled at about the same time; it ran
 * and succeeded, or never started, and nothing in between. */
static void a_cancel_that_races_the_task_ends_one_way_or_the_other(void)
{
    enum {
        ROUNDS = 5000
    };
    shunt_pool *pool = harness_pool(1);
    shunt_future *volatile target = NULL;
    pthread_barrier_t barrier;
    struct canceller canceller = { &target, &barrier, ROUNDS, 0 };
    pthread_t thread;

    pthread_barrier_init(&barrier, NULL, 2);
    assert_int_equal(
        pthread_create(&thread, NULL, cancel_in_thread, &canceller), 0);
    struct tally *ran = stage_tally();
    for (long i = 0; i < ROUNDS; i++) {
        long ran_before = tally_of(ran), value = -1;
        target = shunt_submit(pool, stage_job,
                              &(struct job){ .value = i, .ran = ran });
        pthread_barrier_wait(&barrier);
        int status = harness_await(target);
        pthread_barrier_wait(&barrier);
        assert_true(status == 0 || status == SHUNT_ECANCELED);
        assert_status(shunt_take(target, &value), status);
        assert_long(value, status == 0 ? i : -1);
        assert_long(tally_of(ran) - ran_before, status == 0);
    }
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&barrier);
    assert_long(canceller.wrong, 0);
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_queued_task_that_is_cancelled_never_starts),
    CLAIM(a_queued_task_settles_when_it_is_cancelled),
    CLAIM(only_the_cancelled_ones_of_many_queued_tasks_do_not_run),
    CLAIM(a_running_task_sees_that_it_was_asked),
    CLAIM(a_running_task_decides_how_a_cancel_ends),
    CLAIM(what_a_cancelled_task_leaves_to_another_is_cancelled),
    CLAIM(returning_cancelled_unasked_is_a_failure),
    CLAIM(outside_a_task_nothing_is_cancelled),
    CLAIM(a_parked_task_is_woken_when_it_is_cancelled),
    CLAIM(a_cancelled_task_does_not_wait_any_more),
    CLAIM(what_has_settled_cannot_be_cancelled),
    CLAIM(any_handle_will_do),
    CLAIM(a_task_may_cancel_itself),
    CLAIM(a_task_may_cancel_its_child),
    CLAIM(a_cancelled_future_may_be_released_at_once),
    CLAIM(a_cancel_that_races_the_task_ends_one_way_or_the_other),
};

HARNESS_MAIN(claims)
