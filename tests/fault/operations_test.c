/* SPDX-License-Identifier: MIT */
/*
 * fault/operations_test.c - each function that may need memory, with every of
 * its requests refused: it works, or says SHUNT_ENOMEM; nothing hangs, leaks,
 * or is left half done.
 */
#include "fault_each.h"

#include <string.h>

enum {
    LARGE = 4096
};

struct large {
    struct stage *stage;
    unsigned char bytes[LARGE];
};

static void count_drop(void *in)
{
    struct stage *const *stage = in;

    atomic_fetch_add(&(*stage)->drops, 1);
}

/* Accepted tasks and steps run, so each run has its drop. */
static int small_task(struct stage *const *in, long *out)
{
    atomic_fetch_add(&(*in)->runs, 1);
    *out = 7;
    return 0;
}
SHUNT_TASK(small_task, struct stage *, long, .drop = count_drop)

static int large_task(const struct large *in, struct large *out)
{
    atomic_fetch_add(&in->stage->runs, 1);
    *out = *in;
    return 0;
}
SHUNT_TASK(large_task, struct large, struct large, .drop = count_drop)

static int failing_task(struct stage *const *in, long *out)
{
    (void)out;
    atomic_fetch_add(&(*in)->runs, 1);
    return shunt_fail(5, "it has a text");
}
SHUNT_TASK(failing_task, struct stage *, long, .drop = count_drop)

static int large_step(const long *in, const struct large *ctx,
                      struct large *out)
{
    atomic_fetch_add(&ctx->stage->runs, 1);
    *out = *ctx;
    out->bytes[0] = (unsigned char)*in;
    return 0;
}
SHUNT_STEP(large_step, long, struct large, struct large, .drop = count_drop)

static int flat_task(struct stage *const *in, shunt_future **out)
{
    *out = shunt_submit(NULL, small_task, in);
    return 0;
}
SHUNT_TASK(flat_task, struct stage *, shunt_future *)

/* Fails once, and counts the run that does not. */
static int flaky_task(struct stage *const *in, long *out)
{
    if (atomic_fetch_add(&(*in)->inside, 1) == 0)
        return shunt_fail(5, "not at once");
    return small_task(in, out);
}
SHUNT_TASK(flaky_task, struct stage *, long, .drop = count_drop)

/* ---- acts and checks that several stories share ---- */

/* The future that the act made has worked or has failed for lack of memory. */
static void check_out(struct stage *s)
{
    fault_keep(s);
    (void)fault_worked(s, fault_await(s->out));
    assert_int_equal(shunt_release(s->out), 0);
}

/* The inputs were consumed, whatever became of the result. */
static void check_consumed(struct stage *s)
{
    for (size_t i = 0; i < s->story->n; i++)
        assert_int_equal(shunt_status(s->in[i]), SHUNT_EINVAL);
    check_out(s);
}

static void prepare_settled(struct stage *s)
{
    fault_promises(s, s->story->n);
    fault_keep(s);
}

static void prepare_failed(struct stage *s)
{
    fault_promises(s, s->story->n);
    for (size_t i = 0; i < s->count; i++) {
        assert_int_equal(shunt_promise_fail(s->promise[i], 5, "number %zu", i),
                         0);
        s->promise[i] = NULL;
    }
}

/* ---- the acts ---- */

static void submit_small(struct stage *s)
{
    s->out = shunt_submit(s->pool, small_task, &s);
    fault_stay(s->out);
}

static void submit_large(struct stage *s)
{
    struct large in = { s, { 1 } };

    s->out = shunt_submit(s->pool, large_task, &in);
    fault_stay(s->out);
}

static void submit_wait(struct stage *s)
{
    s->out = shunt_submit_wait(s->pool, small_task, &s);
    fault_stay(s->out);
}

static void submit_failing(struct stage *s)
{
    s->out = shunt_submit(s->pool, failing_task, &s);
    fault_stay(s->out);
}

static void check_failing(struct stage *s)
{
    int rc = fault_await(s->out);

    if (rc != SHUNT_EFAILED)
        (void)fault_worked(s, rc);
    /* If there was no memory for a record of it, there is the constant. */
    assert_int_equal(shunt_error_of(s->out)->code, rc);
    assert_int_equal(shunt_release(s->out), 0);
}

static void submit_flat(struct stage *s)
{
    s->out = shunt_submit(s->pool, flat_task, &s);
    fault_stay(s->out);
}

static void then_small(struct stage *s)
{
    s->out = shunt_then(s->in[0], fault_add_one);
}

static void then_at_once(struct stage *s)
{
    then_small(s);
    fault_stay(s->out);
}

static void then_large(struct stage *s)
{
    struct large ctx = { s, { 1 } };

    s->out = shunt_then_with(s->in[0], large_step, &ctx);
}

static void recover(struct stage *s)
{
    s->out = shunt_recover(s->in[0], fault_mend);
}

static void recover_at_once(struct stage *s)
{
    recover(s);
    fault_stay(s->out);
}

static void finally(struct stage *s)
{
    s->out = shunt_finally(s->in[0], fault_look_on);
}

static void via_same(struct stage *s)
{
    s->out = shunt_via(s->pool, s->in[0]);
}

static void via_other(struct stage *s)
{
    s->out = shunt_via(s->other, s->in[0]);
}

static void combine(struct stage *s)
{
    s->out = s->story->combine(s->in, s->story->n);
}

static void combine_half(struct stage *s)
{
    s->out = shunt_when_some(s->in, s->story->n, (s->story->n + 1) / 2);
}

/* The last one is of another pool: the combinator is reached by a bridge. */
static void prepare_foreign(struct stage *s)
{
    fault_promises(s, s->story->n);
    s->in[s->count - 1] = shunt_via(s->other, s->in[s->count - 1]);
}

static void check_failed_combinator(struct stage *s)
{
    int rc = fault_await(s->out);

    assert_true(rc == SHUNT_EFAILED || rc == SHUNT_ENOMEM);
    assert_int_equal(shunt_error_of(s->out)->code, rc);
    assert_int_equal(shunt_release(s->out), 0);
}

static void map(struct stage *s)
{
    long ins[300] = { 0 };

    s->out = shunt_map(s->pool, fault_add_one, ins, s->story->n);
    fault_stay(s->out);
}

static void map_large(struct stage *s)
{
    static const struct large none;
    struct large ins[3] = { none, none, none };

    for (int i = 0; i < 3; i++)
        ins[i].stage = s;
    s->out = shunt_map_settled(s->pool, large_task, ins, 3);
    fault_stay(s->out);
}

/* Elements of a map that failed are cancelled and dropped; some may run. */
static void check_map_large(struct stage *s)
{
    check_out(s);
    assert_true(atomic_load(&s->runs) <= 3);
}

static void retry_at_once(struct stage *s)
{
    s->out = shunt_retry(s->pool, flaky_task, &s, .first_ns = -1);
    fault_stay(s->out);
}

static void retry_after_pauses(struct stage *s)
{
    s->out = shunt_retry(s->pool, flaky_task, &s, .first_ns = SHUNT_US(1),
                         .attempt_ns = SHUNT_S(100));
    fault_stay(s->out);
}

static void retry_large(struct stage *s)
{
    struct large in = { s, { 1 } };

    s->out = shunt_retry(s->pool, large_task, &in, .first_ns = -1);
    fault_stay(s->out);
}

/* ---- the stories ---- */

static void submitting_works_or_says_that_memory_is_out(void **state)
{
    FAULT_EACH({ "submit", NULL, submit_small, check_out, 0, NULL });
    FAULT_EACH({ "submit, large", NULL, submit_large, check_out, 0, NULL });
    FAULT_EACH({ "submit_wait", NULL, submit_wait, check_out, 0, NULL });
    FAULT_EACH(
        { "submit, failing", NULL, submit_failing, check_failing, 0, NULL });
    FAULT_EACH({ "submit, flattened", NULL, submit_flat, check_out, 0, NULL });
}

static void a_step_works_or_fails_and_consumes_its_input(void **state)
{
    FAULT_EACH({ "then", fault_prepare, then_small, check_consumed, 1, NULL });
    FAULT_EACH({ "then, settled", prepare_settled, then_at_once, check_consumed,
                 1, NULL });
    FAULT_EACH({ "recover at once", prepare_failed, recover_at_once,
                 check_consumed, 1, NULL });
    FAULT_EACH(
        { "then, large", fault_prepare, then_large, check_consumed, 1, NULL });
    FAULT_EACH({ "recover", prepare_failed, recover, check_consumed, 1, NULL });
    FAULT_EACH({ "finally", fault_prepare, finally, check_consumed, 1, NULL });
    FAULT_EACH({ "via", fault_prepare, via_same, check_consumed, 1, NULL });
    FAULT_EACH(
        { "via another", fault_prepare, via_other, check_consumed, 1, NULL });
}

static void a_combinator_works_or_fails_and_consumes_its_inputs(void **state)
{
    FAULT_EACH({ "all of 1", fault_prepare, combine, check_consumed, 1,
                 shunt_when_all });
    FAULT_EACH({ "all of 28", fault_prepare, combine, check_consumed, 28,
                 shunt_when_all });
    FAULT_EACH({ "all of 29", fault_prepare, combine, check_consumed, 29,
                 shunt_when_all });
    FAULT_EACH({ "settled of 28", prepare_settled, combine, check_consumed, 28,
                 shunt_when_all_settled });
    FAULT_EACH({ "any of 29", fault_prepare, combine, check_consumed, 29,
                 shunt_when_any });
    FAULT_EACH(
        { "race of 5", fault_prepare, combine, check_consumed, 5, shunt_race });
    FAULT_EACH({ "some of 29", fault_prepare, combine_half, check_consumed, 29,
                 NULL });
    FAULT_EACH({ "all of 3, one foreign", prepare_foreign, combine,
                 check_consumed, 3, shunt_when_all });
    FAULT_EACH({ "any of 29 failures", prepare_failed, combine,
                 check_failed_combinator, 29, shunt_when_any });
    FAULT_EACH({ "some of 29 failures", prepare_failed, combine_half,
                 check_failed_combinator, 29, NULL });
}

static void a_combinator_of_785_works_or_fails(void **state)
{
    FAULT_EACH({ "all of 785", fault_prepare, combine, check_consumed, 785,
                 shunt_when_all });
    FAULT_EACH({ "settled of 785", prepare_settled, combine, check_consumed,
                 785, shunt_when_all_settled });
}

static void a_map_works_or_fails(void **state)
{
    FAULT_EACH({ "map of 1", NULL, map, check_out, 1, NULL });
    FAULT_EACH({ "map of 300", NULL, map, check_out, 300, NULL });
    FAULT_EACH(
        { "map of large values", NULL, map_large, check_map_large, 3, NULL });
}

/* An attempt that finds no memory has failed, as one that ran and failed. */
static void a_retry_works_or_fails_as_its_last_attempt(void **state)
{
    FAULT_EACH({ "retry", NULL, retry_at_once, check_out, 0, NULL });
    FAULT_EACH(
        { "retry, pauses", NULL, retry_after_pauses, check_out, 0, NULL });
    FAULT_EACH({ "retry, large", NULL, retry_large, check_out, 0, NULL });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(submitting_works_or_says_that_memory_is_out),
        cmocka_unit_test(a_step_works_or_fails_and_consumes_its_input),
        cmocka_unit_test(a_combinator_works_or_fails_and_consumes_its_inputs),
        cmocka_unit_test(a_combinator_of_785_works_or_fails),
        cmocka_unit_test(a_map_works_or_fails),
        cmocka_unit_test(a_retry_works_or_fails_as_its_last_attempt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
