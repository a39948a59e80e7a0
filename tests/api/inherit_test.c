/* SPDX-License-Identifier: MIT */
/*
 * inherit_test.c - what a task submits and attaches has the task's deadline, or
 * an earlier one of its own; and what has none.
 *
 * Method. The clock stands still but for stage_advance, so what is left can be
 * told to the nanosecond.
 */
#include "stage.h"

enum {
    LEFT = 1000
};

static int tell_time_left(const shunt_none *in, int64_t *out)
{
    (void)in;
    *out = shunt_time_left_ns();
    return 0;
}
SHUNT_TASK(tell_time_left, shunt_none, int64_t)

static int tell_after(const long *in, int64_t *out)
{
    (void)in;
    *out = shunt_time_left_ns();
    return 0;
}
SHUNT_TASK(tell_after, long, int64_t)

static int tell_of_error(const shunt_error *in, int64_t *out)
{
    (void)in;
    *out = shunt_time_left_ns();
    return 0;
}
SHUNT_TASK(tell_of_error, shunt_error, int64_t)

static int fail_now(const shunt_none *in, int64_t *out)
{
    (void)in;
    (void)out;
    return 3;
}
SHUNT_TASK(fail_now, shunt_none, int64_t)

/* What a task submits or attaches. */
enum {
    CHILD,
    OWN_EARLIER,
    OWN_LATER,
    WAITED_FOR,
    THEN,
    RECOVER,
    ELEMENT,
    ELSEWHERE,
    WAYS
};

struct asks {
    shunt_pool *other;
    int way;
};

static shunt_future *made(const struct asks *in)
{
    static const shunt_none nothing[1];

    switch (in->way) {
    case OWN_EARLIER:
        return shunt_submit_with(NULL, tell_time_left, NULL,
                                 .deadline_ns = LEFT / 2);
    case OWN_LATER:
        return shunt_submit_with(NULL, tell_time_left, NULL,
                                 .deadline_ns = LEFT * 2);
    case WAITED_FOR:
        return shunt_submit_wait(NULL, tell_time_left, NULL);
    case THEN:
        return shunt_then(shunt_submit(NULL, stage_same, &(long){ 1 }),
                          tell_after);
    case RECOVER:
        return shunt_recover(shunt_submit(NULL, fail_now, NULL), tell_of_error);
    case ELEMENT:
        return shunt_map(NULL, tell_time_left, nothing, 1);
    case ELSEWHERE:
        return shunt_submit(in->other, tell_time_left, NULL);
    default:
        return shunt_submit(NULL, tell_time_left, NULL);
    }
}

static int ask(const struct asks *in, int64_t *out)
{
    shunt_future *f = made(in);
    int rc;

    if (in->way != ELEMENT)
        return shunt_take(f, out);
    rc = shunt_await(f);
    if (rc == 0)
        *out = *shunt_peek(shunt_peek(f, shunt_results)->futures[0], int64_t);
    return rc;
}
SHUNT_TASK(ask, struct asks, int64_t)

static int64_t asked(shunt_pool *pool, struct asks in, int64_t deadline_ns)
{
    int64_t left = -1;

    assert_ok(shunt_take(
        shunt_submit_with(pool, ask, &in, .deadline_ns = deadline_ns), &left));
    return left;
}

/* Method: the clocks of the two pools do not show the same. A worker process
 * knows no other pool. */
static void whatever_a_task_submits_has_what_is_left_to_it(void)
{
    int ways = harness_isolated() ? ELSEWHERE : WAYS;
    shunt_pool *pool = stage_manual_pool(1, 0);
    shunt_pool *other = stage_manual_pool(1, 0);

    stage_advance(other, SHUNT_S(7));
    for (int way = 0; way < ways; way++) {
        struct asks in = { other, way };
        int64_t own = way == OWN_EARLIER ? LEFT / 2 : LEFT;
        assert_true(asked(pool, in, LEFT) == own);
        stage_advance(pool, SHUNT_S(1));
        own = way == OWN_EARLIER ? LEFT / 2
              : way == OWN_LATER ? LEFT * 2
                                 : SHUNT_FOREVER;
        assert_true(asked(pool, in, 0) == own);
    }
    harness_free(pool);
    harness_free(other);
}

static int descend(const long *in, int64_t *out);
SHUNT_TASK_DECLARE(descend, long, int64_t)

static int descend(const long *in, int64_t *out)
{
    if (*in == 0) {
        *out = shunt_time_left_ns();
        return 0;
    }
    return shunt_take(shunt_submit(NULL, descend, &(long){ *in - 1 }), out);
}
SHUNT_TASK_DEFINE(descend)

static void a_deadline_goes_down_to_the_last_child(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);
    int64_t left = -1;

    assert_ok(shunt_take(
        shunt_submit_with(pool, descend, &(long){ 50 }, .deadline_ns = LEFT),
        &left));
    assert_true(left == LEFT);
    harness_free(pool);
}

/* ---- what a task leaves behind ---- */

struct leaves {
    shunt_future *pending;
    shunt_future **out; /* for the test */
    struct latch *left, *go;
    struct tally *ran;
    int how;
};

static int count(const long *in, struct tally *const *ctx, long *out)
{
    *out = *in;
    tally_add(*ctx, 1);
    return 0;
}
SHUNT_STEP(count, long, struct tally *, long)

static int look(const shunt_outcome *in, struct tally *const *ctx,
                shunt_none *out)
{
    (void)in;
    (void)out;
    tally_add(*ctx, shunt_time_left_ns() == SHUNT_FOREVER ? 1 : 1000);
    return 0;
}
SHUNT_STEP(look, shunt_outcome, struct tally *, shunt_none)

enum {
    A_STEP,
    A_FINALLY,
    A_COMBINATOR,
    A_DELAY,
    A_TIMEOUT
};

static int leave(const struct leaves *in, shunt_none *out)
{
    shunt_future *f = in->pending;

    (void)out;
    if (in->how == A_STEP)
        f = shunt_then_with(f, count, &in->ran);
    else if (in->how == A_FINALLY)
        f = shunt_finally_with(f, look, &in->ran);
    else if (in->how == A_COMBINATOR)
        f = shunt_when_all(&f, 1);
    else if (in->how == A_TIMEOUT)
        f = shunt_timeout(f, 2 * LEFT);
    else
        f = shunt_delay(NULL, 2 * LEFT);
    *in->out = f;
    latch_raise(in->left);
    return latch_reaches(in->go, 1) ? 0 : STAGE_LATE;
}
SHUNT_TASK(leave, struct leaves, shunt_none)

/* A task leaves something behind and ends in time; the test gets it. */
static shunt_future *left_behind(shunt_pool *pool, struct leaves *in, int how,
                                 shunt_future *pending)
{
    shunt_future *f, *made;

    *in = (struct leaves){ pending,       stage_bytes(sizeof made),
                           stage_latch(), stage_latch(),
                           stage_tally(), how };
    f = shunt_submit_with(pool, leave, in, .deadline_ns = LEFT);
    assert_true(latch_reaches(in->left, 1));
    made = shunt_retain(*in->out);
    assert_non_null(made);
    latch_raise(in->go);
    assert_joins(f, 0);
    return made;
}

static void hear(void *user)
{
    latch_raise(user);
}

/* Goal: what it waits for is asked to cancel, since nobody wants it. */
static void a_step_that_waits_ends_at_the_deadline_of_who_attached_it(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);
    struct stage_promise made = stage_promise(pool);
    struct latch *heard = stage_latch();
    struct leaves in;
    shunt_future *f;

    assert_ok(shunt_promise_on_cancel(made.promise, hear, heard));
    f = left_behind(pool, &in, A_STEP, made.future);
    stage_advance(pool, LEFT - 1);
    assert_status(shunt_status(f), SHUNT_PENDING);
    assert_long(latch_level(heard), 0);
    stage_advance(pool, 1);
    assert_status(shunt_status(f), SHUNT_ETIMEDOUT);
    assert_string_equal(shunt_error_of(f)->task, "count");
    assert_long(latch_level(heard), 1);
    assert_ok(shunt_promise_drop(made.promise));
    assert_joins(f, SHUNT_ETIMEDOUT);
    harness_free(pool);
    assert_long(tally_of(in.ran), 0);
}

static void a_finally_has_no_deadline(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);
    struct stage_promise made = stage_promise(pool);
    struct leaves in;
    shunt_future *f = left_behind(pool, &in, A_FINALLY, made.future);

    stage_advance(pool, 10 * LEFT);
    assert_status(shunt_status(f), SHUNT_PENDING);
    stage_give(made.promise, 2);
    assert_takes(f, 2);
    assert_long(tally_of(in.ran), 1);
    harness_free(pool);
}

/* A combinator ends with its inputs, a delay and a timeout at their time. */
static void combinators_delays_and_timeouts_have_none(void)
{
    for (int how = A_COMBINATOR; how <= A_TIMEOUT; how++) {
        shunt_pool *pool = stage_manual_pool(1, 0);
        struct stage_promise made = stage_promise(pool);
        struct leaves in;
        shunt_future *f = left_behind(pool, &in, how, made.future);
        stage_advance(pool, 2 * LEFT - 1);
        assert_status(shunt_status(f), SHUNT_PENDING);
        stage_advance(pool, 1);
        assert_status(shunt_status(f), how == A_COMBINATOR ? SHUNT_PENDING
                                       : how == A_DELAY    ? 0
                                                           : SHUNT_ETIMEDOUT);
        (void)shunt_promise_give(made.promise, &(long){ 1 });
        assert_ok(shunt_release(f));
        harness_free(pool);
    }
}

static void a_step_that_is_attached_outside_has_none(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);
    int64_t left = -1;
    shunt_future *f =
        shunt_submit_with(pool, stage_same, &(long){ 1 }, .deadline_ns = LEFT);

    assert_ok(shunt_take(shunt_then(f, tell_after), &left));
    assert_true(left == SHUNT_FOREVER);
    harness_free(pool);
}

/* ---- elements ---- */

static int map_jobs(const struct job *in, shunt_none *out)
{
    struct job ins[20];

    (void)out;
    for (int i = 0; i < 20; i++)
        ins[i] = *in;
    return shunt_join(shunt_map(NULL, stage_job, ins, 20));
}
SHUNT_TASK(map_jobs, struct job, shunt_none)

/* Method: the workers are held by the first of them; none of the others starts
 * when the deadline has come. */
static void the_elements_of_a_map_end_at_its_tasks_deadline(void)
{
    shunt_pool *pool = stage_manual_pool(2, -1);
    struct job job = { .started = stage_latch(),
                       .go = stage_latch(),
                       .ran = stage_tally() };
    shunt_future *f =
        shunt_submit_with(pool, map_jobs, &job, .deadline_ns = LEFT);

    assert_true(latch_reaches(job.started, 1));
    stage_advance(pool, LEFT);
    assert_joins(f, SHUNT_ETIMEDOUT);
    latch_raise(job.go);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    assert_true(tally_of(job.ran) <= 2);
    harness_free(pool);
}

/* ---- other pools ---- */

struct sends {
    shunt_pool *other;
    shunt_future **out;
    struct latch *left, *go;
    struct tally *ran;
};

static int submit_there(const struct sends *in, shunt_none *out)
{
    struct job job = { .ran = in->ran };

    (void)out;
    *in->out = shunt_submit(in->other, stage_job, &job);
    latch_raise(in->left);
    return latch_reaches(in->go, 1) ? 0 : STAGE_LATE;
}
SHUNT_TASK(submit_there, struct sends, shunt_none)

/* Method: the other pool's only worker is held. What is left is the same there,
 * but passes by the other clock. */
static void a_deadline_holds_in_another_pool_by_its_clock(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);
    shunt_pool *other = stage_manual_pool(1, 0);
    struct sends in = { other, stage_bytes(sizeof(shunt_future *)),
                        stage_latch(), stage_latch(), stage_tally() };
    struct stage_hold hold = stage_hold(other);
    shunt_future *f, *there;

    stage_advance(other, SHUNT_S(3));
    f = shunt_submit_with(pool, submit_there, &in, .deadline_ns = LEFT);
    assert_true(latch_reaches(in.left, 1));
    there = shunt_retain(*in.out);
    stage_advance(pool, LEFT);
    assert_joins(f, SHUNT_ETIMEDOUT);
    assert_status(shunt_status(there), SHUNT_PENDING);
    stage_advance(other, LEFT - 1);
    assert_status(shunt_status(there), SHUNT_PENDING);
    stage_advance(other, 1);
    assert_joins(there, SHUNT_ETIMEDOUT);
    latch_raise(in.go);
    stage_let(hold);
    harness_free(pool);
    harness_free(other);
    assert_long(tally_of(in.ran), 0);
}

/* ---- a task that returns a future ---- */

struct returns {
    shunt_future *future;
    struct latch *started, *go;
};

static int return_it(const struct returns *in, shunt_future **out)
{
    latch_raise(in->started);
    if (in->go != NULL && !latch_reaches(in->go, 1))
        return STAGE_LATE;
    *out = in->future;
    return 0;
}
SHUNT_TASK(return_it, struct returns, shunt_future *)

/* Method: at its deadline the task follows what it returned, or is about to:
 * either way nobody wants that any more, unless there is another handle. What
 * is killed before it returns has returned nothing. */
static void what_a_task_returned_is_let_go_of_at_its_deadline(void)
{
    for (int i = 0; i < 4; i++) {
        bool follows = i % 2 == 0, wanted = i >= 2;
        if (!follows && harness_isolated())
            continue;
        shunt_pool *pool = stage_manual_pool(1, 0);
        struct stage_promise made = stage_promise(pool);
        struct latch *heard = stage_latch();
        struct returns in = { made.future, stage_latch(),
                              follows ? NULL : stage_latch() };
        shunt_future *also = wanted ? shunt_retain(made.future) : NULL;
        assert_ok(shunt_promise_on_cancel(made.promise, hear, heard));
        shunt_future *f =
            shunt_submit_with(pool, return_it, &in, .deadline_ns = LEFT);
        assert_true(latch_reaches(in.started, 1));
        if (follows)
            assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
        stage_advance(pool, LEFT);
        assert_joins(f, SHUNT_ETIMEDOUT);
        if (!follows)
            latch_raise(in.go);
        if (wanted) {
            assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
            assert_long(latch_level(heard), 0);
            (void)shunt_promise_give(made.promise, &(long){ 4 });
            assert_ok(shunt_release(also));
        } else {
            assert_true(latch_reaches(heard, 1));
            assert_ok(shunt_promise_drop(made.promise));
        }
        harness_free(pool);
    }
}

static const struct CMUnitTest claims[] = {
    CLAIM(whatever_a_task_submits_has_what_is_left_to_it),
    CLAIM(a_deadline_goes_down_to_the_last_child),
    CLAIM(a_step_that_waits_ends_at_the_deadline_of_who_attached_it),
    CLAIM(a_finally_has_no_deadline),
    CLAIM(combinators_delays_and_timeouts_have_none),
    CLAIM(a_step_that_is_attached_outside_has_none),
    CLAIM(the_elements_of_a_map_end_at_its_tasks_deadline),
    CLAIM_OF_THREADS(a_deadline_holds_in_another_pool_by_its_clock),
    CLAIM(what_a_task_returned_is_let_go_of_at_its_deadline),
};

HARNESS_MAIN(claims)
