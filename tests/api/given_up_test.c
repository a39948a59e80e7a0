/* SPDX-License-Identifier: MIT */
/*
 * given_up_test.c - a task that is asked to cancel or given up, and what its
 * cancel future says of that.
 */
#include <unistd.h>

#include "stage.h"

/* What became of a cancel future: 1 + its status, negated. */
struct watched {
    shunt_future *failure; /* that is passed on */
    struct tally *said;
};

static int note(const shunt_outcome *in, const struct watched *ctx,
                shunt_none *out)
{
    (void)out;
    tally_add(ctx->said, 1 - in->status);
    return 0;
}
SHUNT_STEP(note, shunt_outcome, struct watched, shunt_none)

static void watch(const struct watched *w)
{
    (void)shunt_finally_with(shunt_cancel_future(), note, w);
}

static int pass_on(const struct watched *in, long *out)
{
    (void)out;
    watch(in);
    return shunt_fail_as(in->failure);
}
SHUNT_TASK(pass_on, struct watched, long)

static int fail_again(const shunt_outcome *in, const struct watched *ctx,
                      shunt_none *out)
{
    (void)in;
    (void)out;
    watch(ctx);
    return 9;
}
SHUNT_STEP(fail_again, shunt_outcome, struct watched, shunt_none)

static int hand_on(const struct watched *in, shunt_future **out)
{
    watch(in);
    *out = shunt_retain(in->failure);
    return 0;
}
SHUNT_TASK(hand_on, struct watched, shunt_future *)

/* Method: the failure that a task passes on is a cancel or a timeout of
 * another's: by shunt_fail_as, as a finally that fails itself, as the future
 * that it returns. Nobody has asked the task. */
static void a_cancel_future_does_not_take_anothers_failure_for_its_tasks(void)
{
    for (int i = 0; i < 6; i++) {
        shunt_pool *pool = harness_pool(2);
        struct stage_promise never = stage_promise(pool);
        shunt_future *failure = i % 2 == 0 ? stage_cancelled(pool)
                                           : shunt_timeout(never.future, 1);
        struct watched w = { failure, stage_tally() };
        int status = i % 2 == 0 ? SHUNT_ECANCELED : SHUNT_ETIMEDOUT;

        assert_settles(failure, status);
        if (i / 2 == 0)
            assert_joins(shunt_submit(pool, pass_on, &w), status);
        else if (i / 2 == 1)
            assert_joins(
                shunt_finally_with(shunt_retain(failure), fail_again, &w),
                status);
        else
            assert_joins(shunt_submit(pool, hand_on, &w), status);
        assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
        assert_long(tally_of(w.said), 1 - SHUNT_ECANCELED);
        harness_free(pool);
    }
}

static int wait_in_task(shunt_future *const *in, long *out)
{
    (void)out;
    return shunt_await(*in);
}
SHUNT_TASK(wait_in_task, shunt_future *, long)

/* Method: many tasks wait for a promise that nobody gives, and the clock is
 * moved to their deadline. Their workers go on with them at that moment. */
static void a_task_that_waits_at_its_deadline_is_too_late_and_not_cancelled(
    void)
{
    enum {
        WAITERS = 50
    };
    shunt_pool *pool;

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = 4, .manual_clock = true }));
    for (int i = 0; i < 40; i++) {
        struct stage_promise never = stage_promise(pool);
        shunt_future *fs[WAITERS];

        for (int k = 0; k < WAITERS; k++)
            fs[k] = shunt_submit_with(pool, wait_in_task, &never.future,
                                      .deadline_ns = SHUNT_S(1));
        for (int k = 0; k < WAITERS; k += 7)
            assert_status(shunt_await_for(fs[k], 0), SHUNT_PENDING);
        assert_ok(shunt_pool_advance(pool, SHUNT_S(1)));
        for (int k = 0; k < WAITERS; k++)
            assert_joins(fs[k], SHUNT_ETIMEDOUT);
        assert_ok(shunt_promise_drop(never.promise));
        assert_ok(shunt_release(never.future));
    }
    harness_free(pool);
}

struct committer {
    struct latch *committed;
    shunt_future *gate;
};

static int commit_and_wait(const struct committer *in, long *out)
{
    (void)out;
    if (shunt_commit() != 0)
        return 1;
    latch_raise(in->committed);
    return shunt_await(in->gate);
}
SHUNT_TASK(commit_and_wait, struct committer, long)

/* Method: it waits for another pool, which is not shut down, so that nothing
 * but the kill ends it. */
static void a_kill_ends_a_task_that_has_committed_and_waits(void)
{
    shunt_pool *pool = harness_pool(1), *other = harness_pool(1);
    struct stage_promise never = stage_promise(other);
    struct committer c = { stage_latch(), never.future };
    shunt_future *f = shunt_submit(pool, commit_and_wait, &c);
    size_t left = 99;

    assert_true(latch_reaches(c.committed, 1));
    assert_long(shunt_cancel(f), 0);
    assert_status(shunt_pool_shutdown(pool, SHUNT_CANCEL, SHUNT_MS(10), &left),
                  SHUNT_ETIMEDOUT);
    assert_long((long)left, 1);
    /* At its deadline; where the code has not returned by then, once more. */
    for (int i = 0; i < 1000 && left > 0; i++)
        (void)shunt_pool_shutdown(pool, SHUNT_KILL, SHUNT_MS(10), &left);
    assert_long((long)left, 0);
    assert_status(shunt_status(f), SHUNT_ECANCELED);
    assert_ok(shunt_release(f));
    harness_free(pool);
    assert_ok(shunt_promise_drop(never.promise));
    assert_ok(shunt_release(never.future));
    harness_free(other);
}

static int wait_for_a_child(const shunt_none *in, long *out)
{
    pid_t child = vfork();

    (void)in;
    /* It shares this memory, and the parent waits in the kernel for its end. */
    while (child == 0)
        (void)pause();
    *out = 1;
    return 0;
}
SHUNT_TASK(wait_for_a_child, shunt_none, long)

/* Method: no signal but SIGKILL ends a vfork whose child does not, so that its
 * process does not stop when it is told to. */
static void a_task_in_a_call_that_nothing_interrupts_is_killed_at_its_deadline(
    void)
{
    shunt_pool *pool = harness_pool(1);

    assert_joins(shunt_submit_with(pool, wait_for_a_child, NULL,
                                   .deadline_ns = SHUNT_MS(1)),
                 SHUNT_ETIMEDOUT);
    assert_takes(shunt_submit(pool, stage_add_one, &(long){ 1 }), 2);
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_cancel_future_does_not_take_anothers_failure_for_its_tasks),
    CLAIM(a_task_that_waits_at_its_deadline_is_too_late_and_not_cancelled),
    CLAIM_OF_THREADS(a_kill_ends_a_task_that_has_committed_and_waits),
    CLAIM_OF_PROCESSES(
        a_task_in_a_call_that_nothing_interrupts_is_killed_at_its_deadline),
};

HARNESS_MAIN(claims)
