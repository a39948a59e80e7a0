/* SPDX-License-Identifier: MIT */
/*
 * fair_test.c - a worker is shared: what goes on for long leaves turns to the
 * rest.
 */
#include "stage.h"

enum {
    TURNS_MAX = 300000
};

struct rally {
    shunt_promise *to[2];
    struct tally *seen;
};

struct player {
    struct rally *rally;
    shunt_future *ball;
    int me;
};

/* Wait for the ball and give it back, until two others were seen. */
static int rally(const struct player *in, long *out)
{
    struct rally *r = in->rally;
    shunt_future *ball = in->ball;
    bool last = false;

    for (*out = 0; !last; ++*out) {
        int rc = shunt_join(ball);

        last = *out >= TURNS_MAX || tally_of(r->seen) >= 2;
        if (rc == 0 && !last)
            rc = shunt_promise_new(NULL, long, &r->to[in->me], &ball);
        if (rc != 0)
            return rc;
        /* Whoever stops last has nobody to give it to. */
        rc = shunt_promise_give(r->to[1 - in->me], &(long){ 1 });
        if (rc != 0 && !last)
            return rc;
    }
    return 0;
}
SHUNT_TASK(rally, struct player, long)

struct onlooker {
    shunt_future *never;
    struct tally *seen;
};

static int look_on(const struct onlooker *in, shunt_none *out)
{
    (void)out;
    if (in->never != NULL &&
        shunt_await_for(in->never, SHUNT_MS(1)) != SHUNT_PENDING)
        return 1;
    tally_add(in->seen, 1);
    return 0;
}
SHUNT_TASK(look_on, struct onlooker, shunt_none)

static void tasks_that_wake_each_other_leave_room_for_others(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise ball[2] = { stage_promise(pool), stage_promise(pool) };
    struct stage_promise never = stage_promise(pool);
    struct rally *r = stage_bytes(sizeof *r);
    shunt_future *play[2], *look[2];

    *r = (struct rally){ { ball[0].promise, ball[1].promise }, stage_tally() };
    for (int i = 0; i < 2; i++)
        play[i] =
            shunt_submit(pool, rally, &(struct player){ r, ball[i].future, i });
    stage_give(ball[0].promise, 1);
    for (int i = 0; i < 2; i++)
        look[i] = shunt_submit(
            pool, look_on,
            &(struct onlooker){ i == 0 ? NULL : never.future, r->seen });
    for (int i = 0; i < 2; i++) {
        long turns = 0;

        assert_ok(shunt_take(play[i], &turns));
        assert_in_range(turns, 1, TURNS_MAX);
        assert_joins(look[i], 0);
    }
    stage_give(never.promise, 1);
    assert_takes(never.future, 1);
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(tasks_that_wake_each_other_leave_room_for_others),
};

HARNESS_MAIN(claims)
