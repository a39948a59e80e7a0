/* SPDX-License-Identifier: MIT */
/*
 * shutdown_test.c - the three ways to end a pool, each by its deadline, and
 * the count of what is left.
 */
#include <pthread.h>
#include <time.h>

#include "stage.h"

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return SHUNT_S(now.tv_sec) + now.tv_nsec;
}

static const enum shunt_how hows[] = { SHUNT_DRAIN, SHUNT_CANCEL, SHUNT_KILL };
enum {
    HOWS = 3,
    QUEUED = 50
};

/* A task that waits for its latch and then says whether it was asked. */
struct watched {
    struct latch *started, *go;
};

static int watch(const struct watched *in, long *out)
{
    latch_raise(in->started);
    if (!latch_reaches(in->go, 1))
        return STAGE_LATE;
    *out = shunt_cancelled();
    return shunt_cancelled() ? SHUNT_ECANCELED : 0;
}
SHUNT_TASK(watch, struct watched, long)

static struct watched new_watched(void)
{
    return (struct watched){ stage_latch(), stage_latch() };
}

/* ---- nothing left ---- */

static void an_idle_pool_shuts_down_at_once_in_every_way(void)
{
    for (int i = 0; i < HOWS; i++) {
        for (int j = 0; j < HOWS; j++) {
            shunt_pool *pool = harness_pool(2);
            size_t left = 77;
            assert_ok(shunt_pool_shutdown(pool, hows[i], 0, &left));
            assert_long((long)left, 0);
            left = 77;
            assert_ok(shunt_pool_shutdown(pool, hows[j], SHUNT_FOREVER, &left));
            assert_long((long)left, 0);
            assert_ok(shunt_pool_shutdown(pool, hows[i], SHUNT_S(1), NULL));
            harness_free(pool);
        }
    }
}

static void values_stay_readable_until_the_pool_is_freed(void)
{
    for (int i = 0; i < HOWS; i++) {
        shunt_pool *pool = harness_pool(1);
        shunt_future *f = shunt_submit(pool, stage_same, &(long){ 4 });
        shunt_future *bad = shunt_submit(pool, stage_fail, &(int){ 5 });
        assert_settles(f, 0);
        assert_settles(bad, SHUNT_EFAILED);
        assert_ok(shunt_pool_shutdown(pool, hows[i], SHUNT_FOREVER, NULL));
        assert_long(*shunt_peek(f, long), 4);
        assert_string_equal(shunt_error_of(bad)->task, "stage_fail");
        assert_takes(f, 4);
        harness_free(pool);
        assert_stale(bad);
    }
}

/* A step may be attached after the end: it passes a failure on, and what it
 * would have to run for fails. */
static void steps_of_a_stopped_pool_do_not_run(void)
{
    shunt_pool *pool = harness_pool(1), *other = harness_pool(1);
    struct stage_promise far = stage_promise(other);
    shunt_future *done = shunt_submit(pool, stage_same, &(long){ 4 });
    shunt_future *bad = shunt_submit(pool, stage_fail, &(int){ 5 });
    shunt_future *pending;

    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    assert_joins(shunt_then(done, stage_add_one), SHUNT_ECLOSED);
    assert_joins(shunt_then(bad, stage_add_one), SHUNT_EFAILED);
    pending = shunt_via(pool, far.future);
    assert_status(shunt_status(pending), SHUNT_PENDING);
    pending = shunt_then(pending, stage_add_one);
    stage_give(far.promise, 1);
    assert_joins(pending, SHUNT_ECLOSED);
    /* What is still attached ends with the pool. */
    far = stage_promise(other);
    (void)shunt_via(pool, shunt_retain(far.future));
    harness_free(pool);
    stage_give(far.promise, 2);
    assert_takes(far.future, 2);
    harness_free(other);
}

/* ---- drain ---- */

static void drain_runs_everything_that_was_accepted(void)
{
    for (int workers = 1; workers <= 3; workers++) {
        shunt_pool *pool = harness_pool(workers);
        struct tally *ran = stage_tally();
        shunt_future *queued[QUEUED];
        size_t left = 77;

        for (long i = 0; i < QUEUED; i++)
            queued[i] = shunt_then(
                shunt_submit(pool, stage_job,
                             &(struct job){ .value = i, .ran = ran }),
                stage_add_one);
        assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, &left));
        assert_long((long)left, 0);
        assert_long(tally_of(ran), QUEUED);
        for (long i = 0; i < QUEUED; i++) {
            assert_ok(shunt_status(queued[i]));
            assert_takes(queued[i], i + 1);
        }
        harness_free(pool);
    }
}

/* Method: one task runs and five wait behind it on the only worker. */
static void a_drain_that_runs_out_counts_what_is_left(void)
{
    static const int64_t waits[] = { 0, SHUNT_MS(5) };

    for (int i = 0; i < 2; i++) {
        shunt_pool *pool = harness_pool(1);
        struct stage_hold hold = stage_hold(pool);
        shunt_future *queued[5];
        size_t left = 77;
        for (int j = 0; j < 5; j++)
            queued[j] = shunt_submit(pool, stage_nothing, NULL);
        int64_t begin = now_ns();
        assert_status(shunt_pool_shutdown(pool, SHUNT_DRAIN, waits[i], &left),
                      SHUNT_ETIMEDOUT);
        assert_true(now_ns() - begin >= waits[i]);
        assert_true(now_ns() - begin < harness_patience());
        assert_long((long)left, 6);
        assert_joins(shunt_submit(pool, stage_nothing, NULL), SHUNT_ECLOSED);
        stage_let(hold);
        for (int j = 0; j < 5; j++)
            assert_joins(queued[j], 0);
        assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, &left));
        assert_long((long)left, 0);
        harness_free(pool);
    }
}

static int use_promise(shunt_future *const *in, long *out)
{
    const long *value;
    int rc = shunt_await(*in);

    value = shunt_peek(*in, long);
    *out = value != NULL ? *value : rc;
    return 0;
}
SHUNT_TASK(use_promise, shunt_future *, long)

/* Method: a task that is parked on a promise is not the pool's to run; when
 * nothing else is left, the promise is void and the task goes on. */
static void drain_ends_promises_that_only_parked_tasks_wait_for(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);
    shunt_future *parked[3];
    shunt_future *all = NULL;

    for (int i = 0; i < 3; i++)
        parked[i] = shunt_submit(pool, use_promise, &made.future);
    assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
    shunt_future *again = shunt_retain(made.future);
    all = shunt_when_all(&again, 1);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    for (int i = 0; i < 3; i++)
        assert_takes(parked[i], SHUNT_ECANCELED);
    assert_joins(all, SHUNT_ECANCELED);
    assert_joins(made.future, SHUNT_ECANCELED);
    harness_free(pool);
}

static int keep_promise(shunt_promise *const *in, long *out)
{
    (void)out;
    return shunt_promise_give(*in, &(long){ 6 });
}
SHUNT_TASK(keep_promise, shunt_promise *, long)

static void drain_waits_for_tasks_that_keep_a_promise(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_hold hold = stage_hold(pool);
    struct stage_promise made = stage_promise(pool);
    shunt_future *later = shunt_then(made.future, stage_same);
    shunt_future *keeper = shunt_submit(pool, keep_promise, &made.promise);

    assert_status(shunt_pool_shutdown(pool, SHUNT_DRAIN, 0, NULL),
                  SHUNT_ETIMEDOUT);
    stage_let(hold);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    assert_joins(keeper, 0);
    assert_takes(later, 6);
    harness_free(pool);
}

/* ---- cancel ---- */

static void cancel_starts_nothing_more_and_asks_what_runs(void)
{
    shunt_pool *pool = harness_pool(1);
    struct watched watched = new_watched();
    struct tally *ran = stage_tally();
    shunt_future *queued[QUEUED];
    size_t left = 77;

    shunt_future *running = shunt_submit(pool, watch, &watched);
    assert_true(latch_reaches(watched.started, 1));
    for (int i = 0; i < QUEUED; i++)
        queued[i] = shunt_submit(pool, stage_job, &(struct job){ .ran = ran });
    assert_status(shunt_pool_shutdown(pool, SHUNT_CANCEL, 0, &left),
                  SHUNT_ETIMEDOUT);
    assert_long((long)left, 1);
    for (int i = 0; i < QUEUED; i++)
        assert_joins(queued[i], SHUNT_ECANCELED);
    assert_status(shunt_status(running), SHUNT_PENDING);
    latch_raise(watched.go);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_CANCEL, SHUNT_FOREVER, &left));
    assert_long((long)left, 0);
    assert_joins(running, SHUNT_ECANCELED);
    assert_long(tally_of(ran), 0);
    harness_free(pool);
}

/* A worker process knows no other pool, and says so at once. */
static void cancel_wakes_tasks_that_wait(void)
{
    shunt_pool *pool = harness_pool(1), *other = harness_pool(1);
    struct stage_promise near = stage_promise(pool), far = stage_promise(other);
    shunt_future *one = shunt_submit(pool, use_promise, &near.future);
    shunt_future *two = shunt_submit(pool, use_promise, &far.future);

    assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_CANCEL, SHUNT_FOREVER, NULL));
    assert_takes(one, SHUNT_ECANCELED);
    assert_takes(two, harness_isolated() ? SHUNT_EINVAL : SHUNT_ECANCELED);
    stage_give(far.promise, 1);
    assert_takes(far.future, 1);
    harness_free(pool);
    harness_free(other);
}

static void cancel_settles_combinators_and_continuations(void)
{
    for (int i = 1; i < HOWS; i++) {
        shunt_pool *pool = harness_pool(1);
        shunt_future *f = stage_promise(pool).future;
        f = shunt_then(shunt_when_all(&f, 1), stage_nothing);
        shunt_future *g = shunt_then(stage_promise(pool).future, stage_same);
        assert_ok(shunt_pool_shutdown(pool, hows[i], SHUNT_FOREVER, NULL));
        assert_true(shunt_status(f) < 0);
        assert_status(shunt_status(g), SHUNT_ECANCELED);
        harness_free(pool);
    }
}

/* ---- kill ---- */

/* What so many tasks that look neither left nor right come to: the code of a
 * thread runs on, that of a process is about to end, or has. */
static void kill_running(shunt_pool *pool, int64_t ns, size_t running)
{
    size_t left = 77;
    int rc = shunt_pool_shutdown(pool, SHUNT_KILL, ns, &left);

    assert_status(rc, left == 0 ? 0 : SHUNT_ETIMEDOUT);
    if (!harness_isolated()) {
        assert_long((long)left, (long)running);
        return;
    }
    assert_true(left <= running);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_KILL, SHUNT_FOREVER, &left));
    assert_long((long)left, 0);
}

/* Method: the code of the task goes on until its latch is raised, which is
 * after the pool has been freed; the thread is then gone by itself. A process
 * is gone when the pool is. */
static void kill_gives_up_what_still_runs_at_the_deadline(void)
{
    static const int64_t waits[] = { 0, SHUNT_MS(5) };

    for (int i = 0; i < 2; i++) {
        shunt_pool *pool = harness_pool(2);
        struct watched watched = new_watched();
        shunt_future *running = shunt_submit(pool, watch, &watched);
        shunt_future *later = shunt_then(shunt_retain(running), stage_same);
        assert_true(latch_reaches(watched.started, 1));
        int64_t begin = now_ns();
        kill_running(pool, waits[i], 1);
        assert_true(now_ns() - begin >= waits[i]);
        assert_true(now_ns() - begin < harness_patience());
        assert_joins(running, SHUNT_ECANCELED);
        assert_joins(later, SHUNT_ECANCELED);
        assert_ok(shunt_pool_free(pool));
        assert_stale(running);
        latch_raise(watched.go);
    }
}

static void kill_waits_until_its_deadline(void)
{
    shunt_pool *pool = harness_pool(1);
    struct watched watched = new_watched();
    size_t left = 77;

    shunt_future *running = shunt_submit(pool, watch, &watched);
    assert_true(latch_reaches(watched.started, 1));
    assert_status(shunt_pool_shutdown(pool, SHUNT_CANCEL, 0, &left),
                  SHUNT_ETIMEDOUT);
    latch_raise(watched.go);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_KILL, SHUNT_FOREVER, &left));
    assert_long((long)left, 0);
    assert_joins(running, SHUNT_ECANCELED);
    harness_free(pool);
}

static int alloc_and_watch(const struct watched *in, char **out)
{
    char *block = shunt_alloc(100000);

    latch_raise(in->started);
    if (!latch_reaches(in->go, 1))
        return STAGE_LATE;
    for (int i = 0; i < 100000; i++)
        block[i] = (char)i;
    *out = block;
    return shunt_await(shunt_submit(NULL, stage_nothing, NULL));
}
SHUNT_TASK(alloc_and_watch, struct watched, char *)

/* Goal: what was given up keeps its memory, its stack and an answer for every
 * call that it still makes. AddressSanitizer would see otherwise. */
static void what_was_given_up_may_go_on_using_its_memory(void)
{
    enum {
        TASKS = 4
    };
    shunt_pool *pool = harness_pool(TASKS);
    struct watched watched = new_watched();
    size_t left = 77;

    for (int i = 0; i < TASKS; i++)
        (void)shunt_submit(pool, alloc_and_watch, &watched);
    assert_true(latch_reaches(watched.started, TASKS));
    assert_status(shunt_pool_shutdown(pool, SHUNT_KILL, 0, &left),
                  SHUNT_ETIMEDOUT);
    assert_long((long)left, TASKS);
    assert_ok(shunt_pool_free(pool));
    assert_status(shunt_pool_free(pool), SHUNT_EINVAL);
    latch_raise(watched.go);
}

struct visitor {
    shunt_pool *pool;
    struct latch *used, *freed;
};

static void *use_and_end(void *user)
{
    struct visitor *v = user;

    (void)shunt_submit(v->pool, stage_nothing, NULL);
    latch_raise(v->used);
    (void)latch_reaches(v->freed, 1);
    return NULL;
}

/* Method: the thread ends between the free and the end of the code, which
 * frees the pool in truth. AddressSanitizer would see what it left behind. */
static void a_thread_may_end_after_a_pool_was_left_to_its_code(void)
{
    shunt_pool *pool = harness_pool(1);
    struct watched watched = new_watched();
    struct visitor visitor = { pool, stage_latch(), stage_latch() };
    pthread_t thread;

    (void)shunt_submit(pool, watch, &watched);
    assert_true(latch_reaches(watched.started, 1));
    assert_int_equal(pthread_create(&thread, NULL, use_and_end, &visitor), 0);
    assert_true(latch_reaches(visitor.used, 1));
    assert_status(shunt_pool_shutdown(pool, SHUNT_KILL, 0, NULL),
                  SHUNT_ETIMEDOUT);
    assert_ok(shunt_pool_free(pool));
    latch_raise(visitor.freed);
    pthread_join(thread, NULL);
    assert_joins(shunt_submit(pool, stage_nothing, NULL), SHUNT_EINVAL);
    latch_raise(watched.go);
}

/* ---- one after the other ---- */

static void a_harder_way_may_follow_a_softer_one(void)
{
    shunt_pool *pool = harness_pool(1);
    struct watched watched = new_watched();
    struct tally *ran = stage_tally();
    size_t left = 77;

    shunt_future *running = shunt_submit(pool, watch, &watched);
    assert_true(latch_reaches(watched.started, 1));
    shunt_future *queued =
        shunt_submit(pool, stage_job, &(struct job){ .ran = ran });
    assert_status(shunt_pool_shutdown(pool, SHUNT_DRAIN, 0, &left),
                  SHUNT_ETIMEDOUT);
    assert_long((long)left, 2);
    assert_status(shunt_status(queued), SHUNT_PENDING);
    assert_status(shunt_pool_shutdown(pool, SHUNT_CANCEL, 0, &left),
                  SHUNT_ETIMEDOUT);
    assert_long((long)left, 1);
    assert_joins(queued, SHUNT_ECANCELED);
    kill_running(pool, 0, 1);
    assert_joins(running, SHUNT_ECANCELED);
    assert_ok(shunt_pool_free(pool));
    latch_raise(watched.go);
    assert_long(tally_of(ran), 0);
}

struct closer {
    shunt_pool *pool;
    enum shunt_how how;
    int rc;
};

static void *close_in_thread(void *user)
{
    struct closer *closer = user;

    closer->rc =
        shunt_pool_shutdown(closer->pool, closer->how, SHUNT_FOREVER, NULL);
    return NULL;
}

static void several_threads_may_shut_a_pool_down(void)
{
    enum {
        THREADS = 4
    };

    for (long round = harness_pools(50); round > 0; round--) {
        shunt_pool *pool = harness_pool(2);
        struct closer closers[THREADS];
        pthread_t threads[THREADS];
        for (long i = 0; i < QUEUED; i++)
            (void)shunt_submit(pool, stage_same, &i);
        for (int i = 0; i < THREADS; i++) {
            closers[i] = (struct closer){ pool, hows[i % 2], -1 };
            assert_int_equal(
                pthread_create(&threads[i], NULL, close_in_thread, &closers[i]),
                0);
        }
        for (int i = 0; i < THREADS; i++) {
            pthread_join(threads[i], NULL);
            assert_status(closers[i].rc, 0);
        }
        harness_free(pool);
    }
}

static void a_shutdown_wakes_threads_that_wait(void)
{
    for (long round = harness_pools(60); round > 0; round--) {
        shunt_pool *pool = harness_pool(1);
        struct stage_waiter waiter = { stage_promise(pool).future,
                                       SHUNT_FOREVER, stage_latch(), -1 };
        pthread_t thread;
        assert_int_equal(
            pthread_create(&thread, NULL, stage_wait_in_thread, &waiter), 0);
        assert_true(latch_reaches(waiter.ready, 1));
        assert_ok(
            shunt_pool_shutdown(pool, hows[round % HOWS], SHUNT_FOREVER, NULL));
        pthread_join(thread, NULL);
        assert_status(waiter.status, SHUNT_ECANCELED);
        harness_free(pool);
    }
}

static void an_unknown_way_is_refused(void)
{
    shunt_pool *pool = harness_pool(1);
    size_t left = 77;

    assert_status(shunt_pool_shutdown(pool, (enum shunt_how)3, 0, &left),
                  SHUNT_EINVAL);
    assert_status(shunt_pool_shutdown(pool, (enum shunt_how)99, 0, &left),
                  SHUNT_EINVAL);
    assert_long((long)left, 77);
    assert_takes(shunt_submit(pool, stage_same, &(long){ 1 }), 1);
    harness_free(pool);
}

/* ---- free ---- */

static void free_runs_everything_that_was_accepted(void)
{
    for (int workers = 1; workers <= 3; workers++) {
        shunt_pool *pool = harness_pool(workers);
        struct tally *ran = stage_tally();
        for (int i = 0; i < 10 * QUEUED; i++)
            (void)shunt_submit(pool, stage_job, &(struct job){ .ran = ran });
        harness_free(pool);
        assert_long(tally_of(ran), 10 * QUEUED);
    }
}

static void free_ends_promises_that_nobody_kept(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int i = 0; i < QUEUED; i++) {
        shunt_future *f = stage_promise(pool).future;
        (void)shunt_then(shunt_retain(f), stage_same);
        (void)shunt_submit(pool, use_promise, &f);
    }
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(an_idle_pool_shuts_down_at_once_in_every_way),
    CLAIM(values_stay_readable_until_the_pool_is_freed),
    CLAIM(steps_of_a_stopped_pool_do_not_run),
    CLAIM(drain_runs_everything_that_was_accepted),
    CLAIM(a_drain_that_runs_out_counts_what_is_left),
    CLAIM(drain_ends_promises_that_only_parked_tasks_wait_for),
    CLAIM(drain_waits_for_tasks_that_keep_a_promise),
    CLAIM(cancel_starts_nothing_more_and_asks_what_runs),
    CLAIM(cancel_wakes_tasks_that_wait),
    CLAIM(cancel_settles_combinators_and_continuations),
    CLAIM(kill_gives_up_what_still_runs_at_the_deadline),
    CLAIM(kill_waits_until_its_deadline),
    CLAIM_OF_THREADS(what_was_given_up_may_go_on_using_its_memory),
    CLAIM_OF_THREADS(a_thread_may_end_after_a_pool_was_left_to_its_code),
    CLAIM(a_harder_way_may_follow_a_softer_one),
    CLAIM(several_threads_may_shut_a_pool_down),
    CLAIM(a_shutdown_wakes_threads_that_wait),
    CLAIM(an_unknown_way_is_refused),
    CLAIM(free_runs_everything_that_was_accepted),
    CLAIM(free_ends_promises_that_nobody_kept),
};

HARNESS_MAIN(claims)
