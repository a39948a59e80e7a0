/* SPDX-License-Identifier: MIT */
/*
 * recover_test.c - recover replaces a failure, finally looks at every
 * outcome; what they do not change passes through.
 */
#include <string.h>

#include "stage.h"

struct seen {
    long status, code, task_code, attempts;
    char task[32], message[96], where[96];
};

struct look {
    struct seen *seen;
    struct tally *ran;
    long value;
    int rc;
};

static void note(struct seen *seen, const shunt_error *error)
{
    seen->code = error->code;
    seen->task_code = error->task_code;
    seen->attempts = (long)error->attempts;
    snprintf(seen->task, sizeof seen->task, "%s", error->task);
    snprintf(seen->message, sizeof seen->message, "%s", error->message);
    snprintf(seen->where, sizeof seen->where, "%s", error->where);
}

static int mend(const shunt_error *in, const struct look *ctx, long *out)
{
    tally_add(ctx->ran, 1);
    note(ctx->seen, in);
    *out = ctx->value;
    return ctx->rc;
}
SHUNT_STEP(mend, shunt_error, struct look, long)

static int look_on(const shunt_outcome *in, const struct look *ctx,
                   shunt_none *out)
{
    (void)out;
    tally_add(ctx->ran, 1);
    ctx->seen->status = in->status;
    note(ctx->seen, in->error);
    return ctx->rc != 0 ? shunt_fail(ctx->rc, "finally failed too") : 0;
}
SHUNT_STEP(look_on, shunt_outcome, struct look, shunt_none)

static struct look new_look(long value, int rc)
{
    return (struct look){ stage_bytes(sizeof(struct seen)), stage_tally(),
                          value, rc };
}

/* ---- recover ---- */

static void recover_replaces_a_failure(void)
{
    shunt_pool *pool = harness_pool(1);

    shunt_future *f = shunt_submit(pool, stage_fail, &(int){ 14 });
    f = shunt_recover(f, stage_task_code);
    f = shunt_then(f, stage_add_one);
    assert_takes(f, 15);
    harness_free(pool);
}

static void recover_is_told_what_failed(void)
{
    shunt_pool *pool = harness_pool(1);
    struct look look = new_look(8, 0);

    shunt_future *f = shunt_submit(pool, stage_fail, &(int){ 14 });
    f = shunt_then(f, stage_add_one);
    f = shunt_recover_with(f, mend, &look);
    assert_takes(f, 8);
    assert_long(tally_of(look.ran), 1);
    assert_long(look.seen->code, SHUNT_EFAILED);
    assert_long(look.seen->task_code, 14);
    assert_long(look.seen->attempts, 1);
    assert_string_equal(look.seen->task, "stage_fail");
    assert_non_null(strstr(look.seen->message, "failed with 14 as asked"));
    assert_non_null(strstr(look.seen->where, "recover_test.c:"));
    harness_free(pool);
}

static void a_success_passes_recover_by(void)
{
    shunt_pool *pool = harness_pool(1);
    struct look look = new_look(8, 0);

    assert_takes(shunt_recover_with(stage_given(pool, 3), mend, &look), 3);
    struct stage_promise made = stage_promise(pool);
    shunt_future *f = shunt_recover_with(made.future, mend, &look);
    stage_give(made.promise, 4);
    assert_takes(f, 4);
    assert_long(tally_of(look.ran), 0);
    harness_free(pool);
}

static void a_cancellation_passes_recover_by(void)
{
    shunt_pool *pool = harness_pool(1);
    struct look look = new_look(8, 0);

    assert_joins(shunt_recover_with(stage_cancelled(pool), mend, &look),
                 SHUNT_ECANCELED);
    struct stage_promise made = stage_promise(pool);
    shunt_future *f = shunt_recover_with(made.future, mend, &look);
    assert_ok(shunt_promise_drop(made.promise));
    assert_joins(f, SHUNT_ECANCELED);
    assert_long(tally_of(look.ran), 0);
    harness_free(pool);
}

static void a_recovery_that_fails_is_the_new_origin(void)
{
    shunt_pool *pool = harness_pool(1);
    struct look look = new_look(8, 99);

    shunt_future *f = shunt_submit(pool, stage_fail, &(int){ 14 });
    f = shunt_recover_with(f, mend, &look);
    assert_fails_with(f, 99);
    assert_string_equal(shunt_error_of(f)->task, "mend");
    f = shunt_recover(f, stage_task_code);
    assert_takes(f, 99);
    harness_free(pool);
}

static void recover_whose_result_is_not_the_inputs_is_refused(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *f = shunt_submit(pool, stage_nothing, NULL);

    assert_joins(shunt_recover(f, stage_task_code), SHUNT_EINVAL);
    assert_stale(f);
    harness_free(pool);
}

static int mend_later(const shunt_error *in, shunt_future **out)
{
    *out = shunt_submit(NULL, stage_same, &(long){ in->task_code });
    return 0;
}
SHUNT_TASK(mend_later, shunt_error, shunt_future *)

static void a_recovery_may_return_a_future(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *f = stage_failed(pool, 21);

    assert_takes(shunt_recover(f, mend_later), 21);
    harness_free(pool);
}

/* Method: the failure is one that has no record: the submit was refused. */
static void recover_and_finally_run_for_a_refused_submit(void)
{
    shunt_pool *pool = NULL;
    struct look mended = new_look(5, 0), looked = new_look(0, 0);

    assert_ok(shunt_pool_new(&pool,
                             &(shunt_options){ .workers = 1, .queue_max = 1 }));
    struct stage_hold hold = stage_hold(pool);
    shunt_future *queued = shunt_submit(pool, stage_nothing, NULL);
    shunt_future *refused = shunt_submit(pool, stage_same, &(long){ 1 });
    assert_status(shunt_status(refused), SHUNT_EAGAIN);
    shunt_future *f = shunt_then(refused, stage_add_one);
    f = shunt_finally_with(f, look_on, &looked);
    f = shunt_recover_with(f, mend, &mended);
    stage_let(hold);
    assert_takes(f, 5);
    assert_long(looked.seen->status, SHUNT_EAGAIN);
    assert_long(mended.seen->code, SHUNT_EAGAIN);
    assert_ok(shunt_join(queued));
    f = shunt_submit_with(pool, stage_same, &(long){ 1 }, .retries = 1);
    assert_takes(shunt_recover_with(f, mend, &mended), 5);
    f = stage_given(pool, 1);
    assert_takes(shunt_recover_with(shunt_when_some(&f, 1, 2), mend, &mended),
                 5);
    harness_free(pool);
}

static void a_refusal_by_a_closed_pool_passes_through(void)
{
    shunt_pool *pool = harness_pool(1);
    struct look mended = new_look(5, 0), looked = new_look(0, 0);

    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    shunt_future *f = shunt_submit(pool, stage_same, &(long){ 1 });
    f = shunt_finally_with(f, look_on, &looked);
    f = shunt_recover_with(f, mend, &mended);
    assert_joins(f, SHUNT_ECLOSED);
    assert_long(tally_of(mended.ran) + tally_of(looked.ran), 0);
    harness_free(pool);
}

/* ---- finally ---- */

static void finally_runs_on_success_and_passes_the_value(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int round = 0; round < 2; round++) {
        struct look look = new_look(0, 0);
        struct stage_promise made = stage_promise(pool);
        if (round == 0)
            stage_give(made.promise, 6);
        shunt_future *f = shunt_finally_with(made.future, look_on, &look);
        f = shunt_finally(f, stage_look_on);
        if (round == 1)
            stage_give(made.promise, 6);
        assert_takes(f, 6);
        assert_long(tally_of(look.ran), 1);
        assert_long(look.seen->status, 0);
        assert_long(look.seen->code, 0);
    }
    harness_free(pool);
}

static void finally_runs_on_failure_and_passes_it(void)
{
    shunt_pool *pool = harness_pool(1);
    struct look look = new_look(0, 0);

    shunt_future *f = shunt_submit(pool, stage_fail, &(int){ 14 });
    f = shunt_finally_with(f, look_on, &look);
    assert_fails_with(f, 14);
    const shunt_error *error = shunt_error_of(f);
    assert_string_equal(error->task, "stage_fail");
    assert_non_null(strstr(error->message, "failed with 14 as asked"));
    assert_long((long)error->cause_count, 0);
    assert_long(look.seen->status, SHUNT_EFAILED);
    assert_long(look.seen->task_code, 14);
    assert_ok(shunt_release(f));
    harness_free(pool);
}

static void finally_runs_on_cancellation_and_passes_it(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int round = 0; round < 2; round++) {
        struct look look = new_look(0, 0);
        struct stage_promise made = stage_promise(pool);
        if (round == 0)
            assert_ok(shunt_promise_drop(made.promise));
        shunt_future *f = shunt_finally_with(made.future, look_on, &look);
        if (round == 1)
            assert_ok(shunt_promise_drop(made.promise));
        assert_joins(f, SHUNT_ECANCELED);
        assert_long(tally_of(look.ran), 1);
        assert_long(look.seen->status, SHUNT_ECANCELED);
        assert_long(look.seen->code, SHUNT_ECANCELED);
    }
    harness_free(pool);
}

/* Ways in which a waiting finally is given up; each ends its input, which
 * nobody else wants. */
static void cancel_it(shunt_pool *pool, shunt_future *f)
{
    (void)pool;
    assert_long(shunt_cancel(f), 1);
    assert_joins(f, SHUNT_ECANCELED);
}

static void have_it_lose_a_race(shunt_pool *pool, shunt_future *f)
{
    shunt_future *first = stage_given(pool, 1);

    assert_joins(shunt_race((shunt_future *[]){ f, first }, 2), 0);
}

static void have_its_sibling_fail(shunt_pool *pool, shunt_future *f)
{
    shunt_future *other = stage_failed(pool, 3);

    assert_joins(shunt_when_all((shunt_future *[]){ f, other }, 2),
                 SHUNT_EFAILED);
}

static void cancel_its_pool(shunt_pool *pool, shunt_future *f)
{
    assert_ok(shunt_pool_shutdown(pool, SHUNT_CANCEL, SHUNT_FOREVER, NULL));
    assert_joins(f, SHUNT_ECANCELED);
}

static void a_finally_that_is_given_up_runs_all_the_same(void)
{
    void (*const ways[])(shunt_pool *, shunt_future *) = {
        cancel_it, have_it_lose_a_race, have_its_sibling_fail, cancel_its_pool
    };

    for (int i = 0; i < 4; i++) {
        shunt_pool *pool = harness_pool(1);
        struct look look = new_look(0, 0);
        struct look after = new_look(0, 0);
        struct stage_promise made = stage_promise(pool);
        shunt_future *f = shunt_finally_with(made.future, look_on, &look);

        ways[i](pool, shunt_finally_with(f, look_on, &after));
        harness_free(pool);
        assert_long(tally_of(look.ran), 1);
        assert_long(look.seen->status, SHUNT_ECANCELED);
        assert_long(tally_of(after.ran), 1);
        (void)shunt_promise_drop(made.promise);
    }
}

/* Goal: what others want is not taken from them; the finally waits for it. */
static void a_cancelled_finally_leaves_an_input_that_others_hold(void)
{
    shunt_pool *pool = harness_pool(1);
    struct look look = new_look(0, 0);
    struct stage_promise made = stage_promise(pool);
    shunt_future *held = shunt_retain(made.future);
    shunt_future *f = shunt_finally_with(made.future, look_on, &look);

    assert_long(shunt_cancel(f), 1);
    assert_status(shunt_status(f), SHUNT_PENDING);
    stage_give(made.promise, 6);
    assert_takes(f, 6);
    assert_takes(held, 6);
    assert_long(tally_of(look.ran), 1);
    harness_free(pool);
}

static void a_finally_that_fails_replaces_a_success(void)
{
    shunt_pool *pool = harness_pool(1);
    struct look look = new_look(0, 77);

    shunt_future *f = shunt_finally_with(stage_given(pool, 1), look_on, &look);
    assert_fails_with(f, 77);
    assert_string_equal(shunt_error_of(f)->task, "look_on");
    assert_null(shunt_peek(f, long));
    assert_ok(shunt_release(f));
    harness_free(pool);
}

static void a_finally_that_fails_joins_the_causes_of_a_failure(void)
{
    shunt_pool *pool = harness_pool(1);
    struct look look = new_look(0, 77);

    shunt_future *f = shunt_submit(pool, stage_fail, &(int){ 14 });
    f = shunt_finally_with(f, look_on, &look);
    assert_fails_with(f, 14);
    const shunt_error *error = shunt_error_of(f);
    assert_string_equal(error->task, "stage_fail");
    assert_true(error->cause_count >= 1);
    const shunt_error *last = error->causes[error->cause_count - 1];
    assert_long(last->task_code, 77);
    assert_string_equal(last->task, "look_on");
    assert_non_null(strstr(last->message, "finally failed too"));
    assert_ok(shunt_release(f));

    f = shunt_finally_with(stage_cancelled(pool), look_on, &look);
    assert_settles(f, SHUNT_ECANCELED);
    assert_true(shunt_error_of(f)->cause_count >= 1);
    assert_ok(shunt_release(f));
    harness_free(pool);
}

struct pair {
    long a, b[9];
};

static int make_pair(const shunt_none *in, struct pair *out)
{
    (void)in;
    *out = (struct pair){ 1, { 2, 3 } };
    return 0;
}
SHUNT_TASK(make_pair, shunt_none, struct pair)

static void finally_passes_a_value_of_any_type(void)
{
    shunt_pool *pool = harness_pool(1);
    struct pair pair;

    assert_ok(shunt_take(
        shunt_finally(shunt_submit(pool, make_pair, NULL), stage_look_on),
        &pair));
    assert_long(pair.a + pair.b[1], 4);
    assert_joins(
        shunt_finally(shunt_submit(pool, stage_nothing, NULL), stage_look_on),
        0);
    shunt_future *input = stage_given(pool, 11);
    shunt_future *all = shunt_finally(shunt_when_all(&input, 1), stage_look_on);
    assert_settles(all, 0);
    const shunt_results *results = shunt_peek(all, shunt_results);
    assert_non_null(results);
    assert_long(*shunt_peek(results->futures[0], long), 11);
    assert_ok(shunt_release(all));
    harness_free(pool);
}

/* Goal: what an error lends lives as long as the future that passed it on,
 * though the one that failed is long gone. */
static void a_failure_that_passed_through_keeps_its_text(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *f = shunt_submit(pool, stage_fail, &(int){ 14 });

    f = shunt_finally(shunt_then(f, stage_add_one), stage_look_on);
    assert_settles(f, SHUNT_EFAILED);
    const shunt_error *error = shunt_error_of(f);
    for (int i = 0; i < 1000; i++)
        assert_joins(shunt_submit(pool, stage_fail, &(int){ i + 100 }),
                     SHUNT_EFAILED);
    assert_ptr_equal(shunt_error_of(f), error);
    assert_string_equal(error->task, "stage_fail");
    assert_non_null(strstr(error->message, "failed with 14 as asked"));
    assert_ok(shunt_release(f));
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(recover_replaces_a_failure),
    CLAIM(recover_is_told_what_failed),
    CLAIM(a_success_passes_recover_by),
    CLAIM(a_cancellation_passes_recover_by),
    CLAIM(a_recovery_that_fails_is_the_new_origin),
    CLAIM(recover_whose_result_is_not_the_inputs_is_refused),
    CLAIM(a_recovery_may_return_a_future),
    CLAIM(recover_and_finally_run_for_a_refused_submit),
    CLAIM(a_refusal_by_a_closed_pool_passes_through),
    CLAIM(finally_runs_on_success_and_passes_the_value),
    CLAIM(finally_runs_on_failure_and_passes_it),
    CLAIM(finally_runs_on_cancellation_and_passes_it),
    CLAIM(a_finally_that_is_given_up_runs_all_the_same),
    CLAIM(a_cancelled_finally_leaves_an_input_that_others_hold),
    CLAIM(a_finally_that_fails_replaces_a_success),
    CLAIM(a_finally_that_fails_joins_the_causes_of_a_failure),
    CLAIM(finally_passes_a_value_of_any_type),
    CLAIM(a_failure_that_passed_through_keeps_its_text),
};

HARNESS_MAIN(claims)
