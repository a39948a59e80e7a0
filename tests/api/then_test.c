/* SPDX-License-Identifier: MIT */
/*
 * then_test.c - a continuation runs on success with the value, never on
 * failure, wherever its input is when it is attached; and a step that
 * returns a future is flattened.
 */
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "stage.h"

struct scale {
    long factor;
    struct tally *ran, *dropped;
};

static int scale(const long *in, const struct scale *ctx, long *out)
{
    if (ctx->ran != NULL)
        tally_add(ctx->ran, 1);
    *out = *in * ctx->factor;
    return 0;
}
SHUNT_STEP(scale, long, struct scale, long)

static int fail_step(const long *in, const struct scale *ctx, long *out)
{
    tally_add(ctx->ran, 1);
    *out = *in;
    return 23;
}
SHUNT_STEP(fail_step, long, struct scale, long)

/* ---- success ---- */

static void a_continuation_gets_the_value_of_its_input(void)
{
    shunt_pool *pool = harness_pool(1);

    shunt_future *f = shunt_submit(pool, stage_same, &(long){ 20 });
    f = shunt_then(f, stage_add_one);
    f = shunt_then_with(f, scale, &(struct scale){ .factor = 2 });
    assert_takes(f, 42);
    harness_free(pool);
}

/* Method: attached to a settled future, to one whose task is held, and to one
 * that settles at about the same time. */
static void it_does_not_matter_when_a_continuation_is_attached(void)
{
    shunt_pool *pool = harness_pool(2);
    struct tally *ran = stage_tally();
    struct scale ctx = { 3, ran, NULL };

    assert_takes(shunt_then_with(stage_given(pool, 2), scale, &ctx), 6);
    struct stage_promise made = stage_promise(pool);
    shunt_future *later = shunt_then_with(made.future, scale, &ctx);
    assert_status(shunt_status(later), SHUNT_PENDING);
    stage_give(made.promise, 3);
    assert_takes(later, 9);
    for (long i = 0; i < 5000; i++)
        assert_takes(
            shunt_then_with(shunt_submit(pool, stage_same, &i), scale, &ctx),
            3 * i);
    assert_long(tally_of(ran), 5002);
    harness_free(pool);
}

static void the_context_is_copied_when_the_step_is_attached(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);
    struct scale ctx = { .factor = 2 };

    shunt_future *f = shunt_then_with(made.future, scale, &ctx);
    ctx.factor = 1000;
    stage_give(made.promise, 4);
    assert_takes(f, 8);
    harness_free(pool);
}

/* Method: all handles are of one future; some continuations are attached
 * before it settles and some after. */
static void one_future_may_have_many_continuations(void)
{
    enum {
        MANY = 1000
    };
    static shunt_future *made_of_it[MANY];
    shunt_pool *pool = harness_pool(2);
    struct stage_promise made = stage_promise(pool);
    struct tally *ran = stage_tally();

    for (long i = 0; i < MANY; i++) {
        if (i == MANY / 2)
            stage_give(made.promise, 7);
        made_of_it[i] =
            shunt_then_with(shunt_retain(made.future), scale,
                            &(struct scale){ .factor = i, .ran = ran });
    }
    for (long i = 0; i < MANY; i++)
        assert_takes(made_of_it[i], 7 * i);
    assert_long(tally_of(ran), MANY);
    assert_takes(made.future, 7);
    harness_free(pool);
}

static int count_nothing(const shunt_none *in, struct tally *const *ctx,
                         shunt_none *out)
{
    (void)in;
    (void)out;
    tally_add(*ctx, 1);
    return 0;
}
SHUNT_STEP(count_nothing, shunt_none, struct tally *, shunt_none)

static void a_task_without_result_can_be_continued(void)
{
    shunt_pool *pool = harness_pool(1);
    struct tally *ran = stage_tally();

    shunt_future *f = shunt_submit(pool, stage_nothing, NULL);
    f = shunt_then(f, stage_nothing);
    f = shunt_then_with(f, count_nothing, &ran);
    assert_joins(f, 0);
    assert_long(tally_of(ran), 1);
    harness_free(pool);
}

static void a_continuation_runs_in_the_pool_of_its_input(void)
{
    shunt_pool *a = harness_pool(1), *b = harness_pool(1), *where = NULL;

    assert_ok(
        shunt_take(shunt_then(stage_given(a, 1), stage_this_pool), &where));
    assert_ptr_equal(where, a);
    assert_ok(
        shunt_take(shunt_then(stage_given(b, 1), stage_this_pool), &where));
    assert_ptr_equal(where, b);
    harness_free(a);
    harness_free(b);
}

/* Method: the thread that keeps the promise would be the one to run the step
 * if settling ran continuations. */
static int tell_thread(const long *in, long *out)
{
    (void)in;
    *out = syscall(SYS_gettid);
    return 0;
}
SHUNT_TASK(tell_thread, long, long)

static void a_continuation_runs_on_a_worker_not_on_who_settles(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);
    long thread;

    shunt_future *f = shunt_then(made.future, tell_thread);
    stage_give(made.promise, 1);
    assert_ok(shunt_take(f, &thread));
    assert_true(thread != syscall(SYS_gettid));
    f = shunt_then(stage_given(pool, 1), tell_thread);
    assert_ok(shunt_take(f, &thread));
    assert_true(thread != syscall(SYS_gettid));
    harness_free(pool);
}

/* ---- failure ---- */

static void a_failure_passes_through_and_the_step_never_runs(void)
{
    shunt_pool *pool = harness_pool(1);
    struct scale ctx = { 1, stage_tally(), NULL };

    for (int round = 0; round < 2; round++) {
        struct stage_promise made = stage_promise(pool);
        if (round == 0)
            assert_ok(shunt_promise_fail(made.promise, 31, "no luck"));
        shunt_future *f = shunt_then_with(made.future, scale, &ctx);
        f = shunt_then_with(f, scale, &ctx);
        if (round == 1)
            assert_ok(shunt_promise_fail(made.promise, 31, "no luck"));
        assert_fails_with(f, 31);
        assert_non_null(strstr(shunt_error_of(f)->message, "no luck"));
        assert_ok(shunt_release(f));
    }
    assert_joins(shunt_then_with(stage_cancelled(pool), scale, &ctx),
                 SHUNT_ECANCELED);
    assert_long(tally_of(ctx.ran), 0);
    harness_free(pool);
}

static void a_failing_step_fails_its_own_future_only(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *f = stage_given(pool, 5);
    struct scale ctx = { 2, stage_tally(), NULL };

    shunt_future *bad = shunt_then_with(shunt_retain(f), fail_step, &ctx);
    shunt_future *good = shunt_then_with(shunt_retain(f), scale, &ctx);
    assert_fails_with(bad, 23);
    assert_string_equal(shunt_error_of(bad)->task, "fail_step");
    assert_takes(good, 10);
    assert_takes(f, 5);
    assert_ok(shunt_release(bad));
    assert_long(tally_of(ctx.ran), 2);
    harness_free(pool);
}

struct two_longs {
    long a, b;
};
struct long_wide {
    _Alignas(2 * sizeof(long)) char bytes[2 * sizeof(long)];
};

static int use_two(const struct two_longs *in, long *out)
{
    *out = in->a + in->b;
    return 0;
}
SHUNT_TASK(use_two, struct two_longs, long)

static int make_two(const shunt_none *in, struct two_longs *out)
{
    (void)in;
    *out = (struct two_longs){ 1, 2 };
    return 0;
}
SHUNT_TASK(make_two, shunt_none, struct two_longs)

static int use_wide(const struct long_wide *in, long *out)
{
    *out = in->bytes[0];
    return 0;
}
SHUNT_TASK(use_wide, struct long_wide, long)

static void a_step_whose_input_is_not_the_value_is_refused(void)
{
    shunt_pool *pool = harness_pool(1);

    assert_joins(shunt_then(stage_given(pool, 1), use_two), SHUNT_EINVAL);
    assert_joins(shunt_then(stage_given(pool, 1), stage_nothing), SHUNT_EINVAL);
    assert_joins(
        shunt_then(shunt_submit(pool, stage_nothing, NULL), stage_same),
        SHUNT_EINVAL);
    /* The same size, but another alignment. */
    assert_joins(shunt_then(shunt_submit(pool, make_two, NULL), use_wide),
                 SHUNT_EINVAL);
    assert_takes(shunt_then(shunt_submit(pool, make_two, NULL), use_two), 3);
    harness_free(pool);
}

static void a_step_without_its_context_is_refused(void)
{
    shunt_pool *pool = harness_pool(1);

    assert_joins(
        shunt_then_task(stage_given(pool, 1), &shunt_task_scale, NULL, NULL),
        SHUNT_EINVAL);
    assert_joins(shunt_submit_task(pool, &shunt_task_scale, &(long){ 1 }, NULL),
                 SHUNT_EINVAL);
    harness_free(pool);
}

/* ---- flattening ---- */

static int later_add_one(const long *in, shunt_future **out)
{
    *out = shunt_submit(NULL, stage_add_one, in);
    return 0;
}
SHUNT_TASK(later_add_one, long, shunt_future *)

static int later_fail(const long *in, shunt_future **out)
{
    *out = shunt_submit(NULL, stage_fail, &(int){ (int)*in });
    return 0;
}
SHUNT_TASK(later_fail, long, shunt_future *)

static int later_later(const long *in, shunt_future **out)
{
    *out = shunt_submit(NULL, later_add_one, in);
    return 0;
}
SHUNT_TASK(later_later, long, shunt_future *)

static int later_by_ctx(const long *in, const long *ctx, shunt_future **out)
{
    *out = shunt_submit(NULL, stage_same, &(long){ *in * *ctx });
    return 0;
}
SHUNT_STEP(later_by_ctx, long, long, shunt_future *)

static void a_returned_future_is_flattened(void)
{
    shunt_pool *pool = harness_pool(1);

    shunt_future *f = shunt_then(stage_given(pool, 1), later_add_one);
    f = shunt_then(f, stage_add_one);
    assert_takes(f, 3);
    assert_takes(shunt_submit(pool, later_add_one, &(long){ 1 }), 2);
    assert_takes(shunt_submit(pool, later_later, &(long){ 1 }), 2);
    assert_takes(shunt_then(stage_given(pool, 1), later_later), 2);
    assert_takes(
        shunt_then_with(stage_given(pool, 6), later_by_ctx, &(long){ 7 }), 42);
    harness_free(pool);
}

static void a_returned_future_that_fails_fails_the_outer_one(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *f = shunt_submit(pool, later_fail, &(long){ 12 });

    assert_fails_with(f, 12);
    assert_string_equal(shunt_error_of(f)->task, "stage_fail");
    assert_null(shunt_peek(f, long));
    assert_ok(shunt_release(f));
    harness_free(pool);
}

static int fail_and_leave(const long *in, shunt_future **out)
{
    *out = shunt_submit(NULL, stage_add_one, in);
    return 3;
}
SHUNT_TASK(fail_and_leave, long, shunt_future *)

static void a_task_that_fails_is_not_flattened(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *f = shunt_submit(pool, fail_and_leave, &(long){ 1 });

    assert_fails_with(f, 3);
    assert_string_equal(shunt_error_of(f)->task, "fail_and_leave");
    assert_ok(shunt_release(f));
    harness_free(pool);
}

struct returned {
    unsigned garbage;
    shunt_future *given;
    bool use_given, release_first;
};

static int return_this(const struct returned *in, shunt_future **out)
{
    *out = in->use_given ? in->given : stage_garbage(in->garbage);
    if (in->release_first) {
        *out = shunt_submit(NULL, stage_nothing, NULL);
        (void)shunt_release(*out);
    }
    return 0;
}
SHUNT_TASK(return_this, struct returned, shunt_future *)

static void a_returned_handle_that_is_not_valid_is_a_failure(void)
{
    shunt_pool *pool = harness_pool(1);

    for (unsigned i = 0; i < STAGE_GARBAGE; i++)
        assert_joins(
            shunt_submit(pool, return_this, &(struct returned){ .garbage = i }),
            SHUNT_EINVAL);
    assert_joins(shunt_submit(pool, return_this,
                              &(struct returned){ .release_first = true }),
                 SHUNT_EINVAL);
    harness_free(pool);
}

static void a_returned_handle_is_consumed(void)
{
    shunt_pool *pool = harness_pool(1), *other = harness_pool(1);
    struct stage_promise near = stage_promise(pool);
    struct stage_promise far = stage_promise(other);

    shunt_future *f = shunt_submit(
        pool, return_this,
        &(struct returned){ .given = near.future, .use_given = true });
    shunt_future *g = shunt_submit(
        pool, return_this,
        &(struct returned){ .given = far.future, .use_given = true });
    stage_give(near.promise, 4);
    stage_give(far.promise, 5);
    assert_takes(f, 4);
    assert_stale(near.future);
    if (harness_isolated()) {
        assert_joins(g, SHUNT_EINVAL);
        assert_takes(far.future, 5);
    } else {
        assert_takes(g, 5);
        assert_stale(far.future);
    }
    harness_free(pool);
    harness_free(other);
}

struct knot {
    struct latch *go;
    shunt_future *volatile *self;
};

static int return_self(const struct knot *in, shunt_future **out)
{
    if (!latch_reaches(in->go, 1))
        return STAGE_LATE;
    *out = *in->self;
    return 0;
}
SHUNT_TASK(return_self, struct knot, shunt_future *)

/* What it fails with is not promised, that it ends is. */
static void a_task_that_returns_its_own_future_fails(void)
{
    shunt_pool *pool = harness_pool(1);
    struct knot knot = { stage_latch(), stage_bytes(sizeof(shunt_future *)) };

    shunt_future *f = shunt_submit(pool, return_self, &knot);
    shunt_future *kept = shunt_retain(f);
    *knot.self = f;
    latch_raise(knot.go);
    int status = harness_await(kept);
    assert_true(status == SHUNT_EDEADLK || status == SHUNT_EINVAL);
    assert_ok(shunt_release(kept));
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_continuation_gets_the_value_of_its_input),
    CLAIM(it_does_not_matter_when_a_continuation_is_attached),
    CLAIM(the_context_is_copied_when_the_step_is_attached),
    CLAIM(one_future_may_have_many_continuations),
    CLAIM(a_task_without_result_can_be_continued),
    CLAIM(a_continuation_runs_in_the_pool_of_its_input),
    CLAIM(a_continuation_runs_on_a_worker_not_on_who_settles),
    CLAIM(a_failure_passes_through_and_the_step_never_runs),
    CLAIM(a_failing_step_fails_its_own_future_only),
    CLAIM(a_step_whose_input_is_not_the_value_is_refused),
    CLAIM(a_step_without_its_context_is_refused),
    CLAIM(a_returned_future_is_flattened),
    CLAIM(a_returned_future_that_fails_fails_the_outer_one),
    CLAIM(a_task_that_fails_is_not_flattened),
    CLAIM(a_returned_handle_that_is_not_valid_is_a_failure),
    CLAIM(a_returned_handle_is_consumed),
    CLAIM(a_task_that_returns_its_own_future_fails),
};

HARNESS_MAIN(claims)
