/* SPDX-License-Identifier: MIT */
/*
 * auto_buried_test.c - a task that waits for one which runs on its stack, and
 * waits itself: what becomes of the one below.
 *
 * Method. Both wait for a promise that is given last, or never. Without .place,
 * or with any other, all of it holds.
 */
#include <sched.h>

#include "sides.h"

struct wait {
    shunt_future *for_it;
    struct latch *waits;
};

static int wait_for_it(const struct wait *in, long *out)
{
    const long *value;
    int rc;

    latch_raise(in->waits);
    rc = shunt_await(in->for_it);
    value = shunt_peek(in->for_it, long);
    *out = value != NULL ? *value : 0;
    return rc;
}
SHUNT_TASK(wait_for_it, struct wait, long)

static int wait_for_one_that_waits(const struct wait *in, long *out)
{
    return shunt_take(
        shunt_submit_with(NULL, wait_for_it, in, .place = SHUNT_PLACE_INLINE),
        out);
}
SHUNT_TASK(wait_for_one_that_waits, struct wait, long)

static void a_pool_is_drained_while_one_waits_below_it(void)
{
    for (int mode = SHUNT_THREADS; mode <= SHUNT_AUTO; mode++) {
        shunt_pool *pool = pool_in_mode(mode, 1);
        struct stage_promise p = stage_promise(pool);
        struct wait in = { p.future, stage_latch() };
        shunt_future *f = shunt_submit(pool, wait_for_one_that_waits, &in);

        harness_note("mode %d", mode);
        assert_true(latch_reaches(in.waits, 1));
        assert_ok(
            shunt_pool_shutdown(pool, SHUNT_DRAIN, harness_patience(), NULL));
        assert_true(shunt_status(f) < 0);
        assert_ok(shunt_release(f));
        assert_ok(shunt_release(p.future));
        harness_free(pool);
    }
}

static const struct CMUnitTest claims[] = {
    CLAIM_OF_BOTH(a_pool_is_drained_while_one_waits_below_it),
};

HARNESS_MAIN(claims)
