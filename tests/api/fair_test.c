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

/* ---- a chain ---- */

enum {
    LINKS = 2000,
    WAKES_AT = 500
};

struct chain {
    struct latch *go;
    struct tally *ran;
    shunt_promise *wake;
    shunt_future *woken;
};

static int begin_chain(struct chain *const *in, struct chain **out)
{
    *out = *in;
    return latch_reaches((*in)->go, 1) ? 0 : 1;
}
SHUNT_TASK(begin_chain, struct chain *, struct chain *)

static int link_chain(struct chain *const *in, struct chain **out)
{
    *out = *in;
    tally_add((*in)->ran, 1);
    return tally_of((*in)->ran) == WAKES_AT
               ? shunt_promise_give((*in)->wake, &(long){ 1 })
               : 0;
}
SHUNT_TASK(link_chain, struct chain *, struct chain *)

/* How many links have run when this does. */
static int see_chain(struct chain *const *in, long *out)
{
    *out = tally_of((*in)->ran);
    return 0;
}
SHUNT_TASK(see_chain, struct chain *, long)

static int wake_in_chain(struct chain *const *in, long *out)
{
    int rc = shunt_join((*in)->woken);

    return rc == 0 ? see_chain(in, out) : rc;
}
SHUNT_TASK(wake_in_chain, struct chain *, long)

/* Goal: a worker that goes from link to link looks at what else there is.
 * Method: one worker, which cannot begin before all is there; the links are
 * counted as the others run. */
static void a_chain_of_steps_leaves_turns_to_others(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise wake = stage_promise(pool);
    struct chain *c = stage_bytes(sizeof *c);
    shunt_future *sleeper, *last, *other;
    long at = 0;

    *c = (struct chain){ stage_latch(), stage_tally(), wake.promise,
                         wake.future };
    sleeper = shunt_submit(pool, wake_in_chain, &c);
    last = shunt_submit(pool, begin_chain, &c);
    for (int i = 0; i < LINKS; i++)
        last = shunt_then(last, link_chain);
    other = shunt_submit(pool, see_chain, &c);
    latch_raise(c->go);
    assert_ok(shunt_take(other, &at));
    assert_in_range(at, 0, LINKS / 4);
    assert_ok(shunt_take(sleeper, &at));
    assert_in_range(at, WAKES_AT, WAKES_AT + LINKS / 4);
    assert_joins(last, 0);
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(tasks_that_wake_each_other_leave_room_for_others),
    CLAIM(a_chain_of_steps_leaves_turns_to_others),
};

HARNESS_MAIN(claims)
