/* SPDX-License-Identifier: MIT */
/*
 * forkjoin_taken_test.c - spawned calls that another worker takes: what they
 * get, and what they are asked, is their task's.
 *
 * Whether a call is taken is the pool's to decide. So a spawner waits until the
 * call has begun, which it only can elsewhere.
 */
#include <sched.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NDEBUG
#include <shunt/forkjoin.h>

#include "stage.h"

struct taken {
    struct latch *begun, *go;
    shunt_future *given;
    int what;
};

enum {
    WAITS,
    SUBMITS,
    ALLOCATES,
    FAILS,
    PROMISES,
    FAILS_AS,
    HEEDS
};

struct taken_out {
    long value;
    char *block;
    shunt_future *future;
    shunt_promise *promise;
    int status;
};

SHUNT_FORK(struct taken_out, do_taken, struct taken, in)
{
    struct taken_out out = { 0, NULL, NULL, NULL, 0 };
    long value = 21;

    latch_raise(in.begun);
    if (in.what == HEEDS) {
        out.status = shunt_await(in.given);
        out.value = shunt_cancelled();
        return out;
    }
    (void)latch_reaches(in.go, 1);
    switch (in.what) {
    case WAITS:
        out.status = shunt_await(in.given);
        break;
    case SUBMITS:
        out.future = shunt_submit(NULL, stage_add_one, &value);
        break;
    case ALLOCATES:
        out.block = shunt_alloc(100);
        if (out.block != NULL)
            strcpy(out.block, "from a call");
        break;
    case FAILS:
        out.status = shunt_fail(7, "said in a %s", "call");
        break;
    case FAILS_AS:
        out.status = shunt_fail_as(in.given);
        break;
    case PROMISES:
        out.status = shunt_promise_new(NULL, long, &out.promise, &out.future);
        break;
    default:
        break;
    }
    out.value = shunt_pool_current() != NULL;
    return out;
}

SHUNT_FORK(struct taken_out, spawn_one, struct taken, in)
{
    shunt_frame(do_taken) frame;
    bool begun;
    struct taken_out out;

    shunt_spawn(do_taken, frame, in);
    begun = latch_reaches(in.begun, 1);
    latch_raise(in.go);
    out = shunt_sync(do_taken, frame);
    if (!begun)
        out.value = STAGE_LATE;
    return out;
}

static int taken_task(const struct taken *in, long *out)
{
    struct taken_out got = shunt_fork(spawn_one, *in);
    long more = 0;

    if (got.value == STAGE_LATE)
        return STAGE_LATE;
    *out = got.value;
    switch (in->what) {
    case SUBMITS:
        if (shunt_take(got.future, &more) != 0)
            return 1;
        *out += more;
        return 0;
    case ALLOCATES:
        if (got.block == NULL || strcmp(got.block, "from a call") != 0)
            return 2;
        return shunt_free(got.block);
    case PROMISES:
        if (got.status != 0 ||
            shunt_promise_give(got.promise, &(long){ 5 }) != 0 ||
            shunt_take(got.future, &more) != 0)
            return 3;
        *out += more;
        return 0;
    case HEEDS:
        return got.status == SHUNT_ECANCELED && got.value == 1 ? 8 : 9;
    default:
        return got.status;
    }
}
SHUNT_TASK(taken_task, struct taken, long)

static shunt_future *begin_taken(shunt_pool *pool, int what,
                                 shunt_future *given, struct latch **begun)
{
    struct taken in = { stage_latch(), stage_latch(), given, what };

    if (begun != NULL)
        *begun = in.begun;
    return shunt_submit(pool, taken_task, &in);
}

static void a_taken_call_may_wait_and_its_spawner_too(void)
{
    shunt_pool *pool = harness_pool(2);
    struct stage_promise gate = stage_promise(pool);
    struct latch *begun;
    shunt_future *f = begin_taken(pool, WAITS, gate.future, &begun);

    assert_true(latch_reaches(begun, 1));
    /* Both are parked, so that both workers do other things. */
    for (long i = 0; i < 100; i++)
        assert_takes(shunt_submit(pool, stage_same, &i), i);
    stage_give(gate.promise, 3);
    assert_takes(f, 1);
    assert_takes(gate.future, 3);
    harness_free(pool);
}

static void what_a_taken_call_gets_is_its_tasks(void)
{
    shunt_pool *pool = harness_pool(2);

    for (long round = harness_rounds(80); round > 0; round--) {
        assert_takes(begin_taken(pool, SUBMITS, NULL, NULL), 1 + 22);
        assert_takes(begin_taken(pool, ALLOCATES, NULL, NULL), 1);
        assert_takes(begin_taken(pool, PROMISES, NULL, NULL), 1 + 5);
    }
    harness_free(pool);
}

/* One call each, which is published by itself, and which nobody else runs. */
static void calls_that_were_taken_are_counted(void)
{
    shunt_pool *pool = harness_pool(2);
    shunt_pool_stats stats;

    for (int round = 0; round < 10; round++)
        assert_takes(begin_taken(pool, SUBMITS, NULL, NULL), 1 + 22);
    stage_asleep(pool, 2);
    assert_ok(shunt_stats(pool, &stats, NULL, 0));
    assert_long((long)stats.calls, 10);
    assert_long((long)stats.offered, 10);
    assert_true(stats.stolen >= stats.calls);
    assert_true(stats.searched - stats.missed >= stats.calls);
    harness_free(pool);
}

static void what_a_taken_call_says_of_a_failure_is_told(void)
{
    shunt_pool *pool = harness_pool(2);
    struct stage_promise gate = stage_promise(pool);
    shunt_future *f = begin_taken(pool, FAILS, NULL, NULL);

    assert_fails_with(f, 7);
    assert_non_null(strstr(shunt_error_of(f)->message, "said in a call"));
    assert_ok(shunt_release(f));
    assert_ok(shunt_promise_fail(gate.promise, 12, "the first"));
    f = begin_taken(pool, FAILS_AS, gate.future, NULL);
    assert_settles(f, SHUNT_EFAILED);
    assert_long(shunt_error_of(f)->task_code, 12);
    assert_non_null(strstr(shunt_error_of(f)->message, "the first"));
    assert_ok(shunt_release(f));
    assert_joins(gate.future, SHUNT_EFAILED);
    harness_free(pool);
}

/* Goal: who is asked to cancel passes that on to what was taken of it, also to
 * a call that waits. */
static void a_taken_call_is_cancelled_with_its_task(void)
{
    shunt_pool *pool = harness_pool(2);
    struct stage_promise gate = stage_promise(pool);

    for (long round = harness_rounds(120); round > 0; round--) {
        struct latch *begun;
        shunt_future *f = begin_taken(pool, HEEDS, gate.future, &begun);

        assert_true(latch_reaches(begun, 1));
        for (long i = 0; i < round % 10; i++)
            sched_yield();
        assert_status(shunt_cancel(f), 1);
        assert_fails_with(f, 8);
        assert_ok(shunt_release(f));
    }
    stage_give(gate.promise, 1);
    assert_takes(gate.future, 1);
    harness_free(pool);
}

/* ---- the end of a task, while its calls run ---- */

struct held {
    struct latch *begun, *go;
    struct tally *ran;
};

SHUNT_FORK(int, hold, struct held, in)
{
    latch_raise(in.begun);
    (void)latch_reaches(in.go, 1);
    return (int)tally_add(in.ran, 1);
}

SHUNT_FORK(int, spawn_held, struct held, in)
{
    shunt_frame(hold) frame;
    int before;

    shunt_spawn(hold, frame, in);
    if (!latch_reaches(in.begun, 1))
        latch_raise(in.go);
    before = shunt_sync(hold, frame);
    (void)tally_add(in.ran, 10);
    return before;
}

static int held_task(const struct held *in, long *out)
{
    *out = shunt_fork(spawn_held, *in);
    return 0;
}
SHUNT_TASK(held_task, struct held, long)

/* Goal: a task whose deadline passes while it waits for a call that was taken
 * has timed out, and comes to its end in order when the call does. */
static void at_its_deadline_a_task_waits_for_its_calls_all_the_same(void)
{
    struct held in = { stage_latch(), stage_latch(), stage_tally() };
    shunt_pool *pool = NULL;
    shunt_future *f;

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = 2, .manual_clock = true }));
    f = shunt_submit_with(pool, held_task, &in, .deadline_ns = SHUNT_S(1));
    assert_true(latch_reaches(in.begun, 1));
    assert_ok(shunt_pool_advance(pool, SHUNT_S(2)));
    assert_joins(f, SHUNT_ETIMEDOUT);
    assert_long(tally_of(in.ran), 0);
    /* The pool goes on. */
    for (long i = 0; i < 20; i++)
        assert_takes(shunt_submit(pool, stage_same, &i), i);
    latch_raise(in.go);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    harness_free(pool);
    assert_long(tally_of(in.ran), 11);
}

static void a_kill_leaves_calls_that_run_to_come_to_their_end(void)
{
    struct held in = { stage_latch(), stage_latch(), stage_tally() };
    shunt_pool *pool = harness_pool(2);
    shunt_future *f = shunt_submit(pool, held_task, &in);
    size_t left = 0;

    assert_true(latch_reaches(in.begun, 1));
    assert_status(shunt_pool_shutdown(pool, SHUNT_KILL, SHUNT_MS(1), &left),
                  SHUNT_ETIMEDOUT);
    assert_joins(f, SHUNT_ECANCELED);
    latch_raise(in.go);
    while (tally_of(in.ran) != 11)
        sched_yield();
    harness_free(pool);
}

/* ---- who waits for whom ---- */

struct chain {
    struct latch *begun, *inner_begun;
    shunt_future *gate;
    struct tally *ran;
};

SHUNT_FORK(int, inner, struct chain, in)
{
    latch_raise(in.inner_begun);
    if (shunt_await(in.gate) == 0)
        return 1;
    (void)tally_add(in.ran, 1);
    return 0;
}

SHUNT_FORK(int, mid, struct chain, in)
{
    shunt_frame(inner) frame;

    latch_raise(in.begun);
    shunt_spawn(inner, frame, in);
    (void)latch_reaches(in.inner_begun, 1);
    (void)shunt_sync(inner, frame);
    return (int)tally_add(in.ran, 10);
}

SHUNT_FORK(int, top, struct chain, in)
{
    shunt_frame(mid) frame;

    shunt_spawn(mid, frame, in);
    (void)latch_reaches(in.begun, 1);
    (void)shunt_sync(mid, frame);
    return (int)tally_add(in.ran, 100);
}

static int chain_task(const struct chain *in, long *out)
{
    *out = shunt_fork(top, *in);
    return 0;
}
SHUNT_TASK(chain_task, struct chain, long)

/* Method: of two workers the first one's task waits for a call on the second,
 * which waits for a call that is parked on the first. */
static void chain_ends(bool kill)
{
    shunt_pool *pool = NULL;
    struct chain in = { stage_latch(), stage_latch(), NULL, stage_tally() };
    struct stage_promise gate;
    shunt_future *f;

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = 2, .manual_clock = true }));
    gate = stage_promise(pool);
    in.gate = gate.future;
    f = shunt_submit_with(pool, chain_task, &in, .deadline_ns = SHUNT_S(1));
    assert_true(latch_reaches(in.inner_begun, 1));
    if (kill) {
        int status = shunt_pool_shutdown(pool, SHUNT_KILL, 1, NULL);
        assert_true(status == 0 || status == SHUNT_ETIMEDOUT);
        status = shunt_join(f);
        assert_true(status == 0 || status == SHUNT_ECANCELED);
        /* What was given up runs on. */
        while (tally_of(in.ran) != 111)
            sched_yield();
    } else {
        assert_ok(shunt_pool_advance(pool, SHUNT_S(2)));
        assert_joins(f, SHUNT_ETIMEDOUT);
        assert_ok(shunt_promise_drop(gate.promise));
        assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    }
    harness_free(pool);
    assert_long(tally_of(in.ran), 111);
}

static void a_task_that_was_given_up_leaves_its_thread_to_its_calls(void)
{
    for (long round = harness_rounds(80); round > 0; round--)
        chain_ends(false);
}

static void so_does_one_that_was_killed(void)
{
    for (long round = harness_rounds(80); round > 0; round--)
        chain_ends(true);
}

/* ---- a child of a call ---- */

SHUNT_FORK(long, fib, int, n)
{
    shunt_frame(fib) rest;
    long below;

    if (n < 2)
        return n;
    shunt_spawn(fib, rest, n - 1);
    below = shunt_call(fib, n - 2);
    return below + shunt_sync(fib, rest);
}

static long fib_of(int n)
{
    long a = 0, b = 1;

    for (; n > 0; n--) {
        long sum = a + b;
        a = b;
        b = sum;
    }
    return a;
}

SHUNT_FORK(long, fork_inside, int, n)
{
    shunt_frame(fib) frame;
    int status = 1;
    pid_t child;
    long value;

    shunt_spawn(fib, frame, n);
    if (n % 2 == 0)
        sched_yield();
    child = fork();
    value = shunt_sync(fib, frame);
    if (child == 0)
        _exit(value == fib_of(n) ? 0 : 1);
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        return -1;
    return value;
}

static int fork_inside_task(const int *n, long *out)
{
    *out = shunt_fork(fork_inside, *n);
    return 0;
}
SHUNT_TASK(fork_inside_task, int, long)

/* Goal: in a child, who has taken a call is not there; the child has its value
 * all the same. */
static void a_child_that_is_forked_beside_a_call_has_its_value_too(void)
{
    shunt_pool *pool = harness_pool(2);

    for (int n = 1; n < 24; n++)
        assert_takes(shunt_submit(pool, fork_inside_task, &n), fib_of(n));
    harness_free(pool);
}

/* In worker processes nothing is taken of code whose locals are not on its
 * stack, as those of an address sanitizer are not. */
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define CLAIM_OF_CALLS CLAIM_OF_THREADS
#else
#define CLAIM_OF_CALLS CLAIM
#endif

static const struct CMUnitTest claims[] = {
    CLAIM_OF_CALLS(a_taken_call_may_wait_and_its_spawner_too),
    CLAIM_OF_CALLS(what_a_taken_call_gets_is_its_tasks),
    CLAIM_OF_CALLS(calls_that_were_taken_are_counted),
    CLAIM_OF_CALLS(what_a_taken_call_says_of_a_failure_is_told),
    CLAIM_OF_CALLS(a_taken_call_is_cancelled_with_its_task),
    CLAIM_OF_THREADS(at_its_deadline_a_task_waits_for_its_calls_all_the_same),
    CLAIM_OF_THREADS(a_kill_leaves_calls_that_run_to_come_to_their_end),
    CLAIM_OF_CALLS(a_task_that_was_given_up_leaves_its_thread_to_its_calls),
    CLAIM_OF_THREADS(so_does_one_that_was_killed),
    CLAIM_OF_THREADS(a_child_that_is_forked_beside_a_call_has_its_value_too),
};

HARNESS_MAIN(claims)
