/* SPDX-License-Identifier: MIT */
/*
 * given_up_test.c - a task that is asked to cancel or given up, and what its
 * cancel future says of that.
 */
#include <string.h>

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
            assert_joins(shunt_finally_with(shunt_retain(failure), fail_again,
                                            &w),
                         status);
        else
            assert_joins(shunt_submit(pool, hand_on, &w), status);
        assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
        assert_long(tally_of(w.said), 1 - SHUNT_ECANCELED);
        harness_free(pool);
    }
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_cancel_future_does_not_take_anothers_failure_for_its_tasks),
};

HARNESS_MAIN(claims)
