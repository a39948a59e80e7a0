/* SPDX-License-Identifier: MIT */
/*
 * unobserved_kin_test.c - unobserved failures among kin: the inputs of
 * combinators, what was given up, and the ends of pools. Method: told.h.
 */
#include <sched.h>

#include "told.h"

enum {
    INPUTS = 3
};

/* Inputs that have failed, with the codes 100, 101, ... */
static void failed_inputs(shunt_pool *pool, shunt_future *fs[INPUTS])
{
    for (int i = 0; i < INPUTS; i++)
        fs[i] = stage_failed(pool, 100 + i);
}

/* ---- combinators ---- */

static shunt_future *some_two(shunt_future *const *fs, size_t n)
{
    return shunt_when_some(fs, n, 2);
}

static stage_combine *const failing[] = { shunt_when_all, shunt_race,
                                          shunt_when_any, some_two };

static void a_combinator_that_failed_is_one_report(void)
{
    for (size_t i = 0; i < sizeof failing / sizeof failing[0]; i++) {
        struct told *told = told_pool(1);
        shunt_future *fs[INPUTS];

        harness_note("combinator %zu", i);
        failed_inputs(told->pool, fs);
        assert_ok(shunt_release(failing[i](fs, INPUTS)));
        assert_told(told, 1);
        assert_long(told->codes[0], 100);
    }
}

static void a_combinator_that_was_looked_at_is_none(void)
{
    for (size_t i = 0; i < sizeof failing / sizeof failing[0]; i++) {
        struct told *told = told_pool(1);
        shunt_future *fs[INPUTS];

        harness_note("combinator %zu", i);
        failed_inputs(told->pool, fs);
        assert_status(shunt_join(failing[i](fs, INPUTS)), SHUNT_EFAILED);
        assert_told(told, 0);
    }
}

static void the_report_of_when_any_has_all_causes(void)
{
    struct told *told = told_pool(1);
    shunt_future *fs[INPUTS];

    failed_inputs(told->pool, fs);
    assert_ok(shunt_release(shunt_when_any(fs, INPUTS)));
    assert_told(told, 1);
    assert_long((long)told->causes[0], INPUTS);
}

static void a_cause_that_is_held_elsewhere_is_not_reported_again(void)
{
    struct told *told = told_pool(1);
    shunt_future *fs[INPUTS], *kept;

    failed_inputs(told->pool, fs);
    kept = shunt_retain(fs[1]);
    assert_ok(shunt_release(shunt_when_any(fs, INPUTS)));
    assert_long(told_count(told), 1);
    assert_ok(shunt_release(kept));
    assert_told(told, 1);
}

/* A success, and the failures that did not matter for it. */
static void losers_are_not_reported(void)
{
    static stage_combine *const combines[] = { shunt_when_any, stage_some_one };

    for (size_t i = 0; i < sizeof combines / sizeof combines[0]; i++) {
        struct told *told = told_pool(1);
        shunt_future *fs[INPUTS];

        harness_note("combinator %zu", i);
        failed_inputs(told->pool, fs);
        assert_ok(shunt_release(fs[1]));
        fs[1] = stage_given(told->pool, 1);
        assert_joins(combines[i](fs, INPUTS), 0);
        assert_told(told, 1); /* the one that was released above */
    }
}

static void siblings_of_a_failure_are_not_reported(void)
{
    struct told *told = told_pool(1);
    struct stage_promise made = stage_promise(told->pool);
    shunt_future *fs[] = { made.future, stage_failed(told->pool, 101),
                           stage_failed(told->pool, 102) };

    assert_joins(shunt_when_all(fs, 3), SHUNT_EFAILED);
    assert_status(shunt_promise_fail(made.promise, 100, "later"),
                  SHUNT_ECANCELED);
    assert_told(told, 0);
}

/* A loser that runs is asked to cancel; what it says then is its affair. */
static int fail_when_cancelled(struct latch *const *in, long *out)
{
    (void)out;
    latch_raise(*in);
    while (!shunt_cancelled())
        sched_yield();
    return shunt_fail(50, "in a bad moment");
}
SHUNT_TASK(fail_when_cancelled, struct latch *, long)

static void a_loser_that_fails_when_asked_to_cancel_is_not_reported(void)
{
    struct told *told = told_pool(2);
    struct latch *started = stage_latch();
    shunt_future *fs[2];

    fs[0] = shunt_submit(told->pool, fail_when_cancelled, &started);
    assert_true(latch_reaches(started, 1));
    fs[1] = stage_given(told->pool, 1);
    assert_joins(shunt_race(fs, 2), 0);
    assert_told(told, 0);
}

/* ---- results ---- */

static void failures_among_results_are_reported_if_nobody_looked(void)
{
    struct told *told = told_pool(1);
    shunt_future *fs[INPUTS], *all;

    failed_inputs(told->pool, fs);
    all = shunt_when_all_settled(fs, INPUTS);
    assert_status(shunt_await(all), 0);
    assert_long(told_count(told), 0);
    assert_ok(shunt_release(all));
    assert_told(told, INPUTS);
}

static void only_those_that_nobody_looked_at(void)
{
    struct told *told = told_pool(1);
    shunt_future *fs[INPUTS], *all;

    failed_inputs(told->pool, fs);
    all = shunt_when_all_settled(fs, INPUTS);
    assert_status(shunt_await(all), 0);
    const shunt_results *r = shunt_peek(all, shunt_results);
    assert_null(shunt_peek(r->futures[0], long));
    assert_status(shunt_status(r->futures[2]), SHUNT_EFAILED);
    assert_ok(shunt_release(all));
    assert_told(told, 1);
    assert_long(told->codes[0], 101);
}

static int look_at_all(const shunt_results *in, long *out)
{
    for (size_t i = 0; i < in->count; i++)
        *out += shunt_status(in->futures[i]) == SHUNT_EFAILED;
    return 0;
}
SHUNT_TASK(look_at_all, shunt_results, long)

static void a_step_that_looks_at_results_has_looked(void)
{
    struct told *told = told_pool(1);
    const int codes[INPUTS] = { 100, 101, 102 };
    shunt_future *all;

    all = shunt_map_settled(told->pool, stage_fail, codes, INPUTS);
    assert_takes(shunt_then(all, look_at_all), INPUTS);
    assert_told(told, 0);
}

static void a_map_is_reported_as_what_it_is_made_of(void)
{
    struct told *told = told_pool(1);
    const int codes[INPUTS] = { 100, 101, 102 };

    assert_ok(shunt_release(
        shunt_map_settled(told->pool, stage_fail, codes, INPUTS)));
    told_drain(told);
    assert_long(told_count(told), INPUTS);
    assert_told(told, INPUTS);
    told = told_pool(1);
    assert_joins(shunt_map(told->pool, stage_fail, codes, INPUTS),
                 SHUNT_EFAILED);
    assert_told(told, 0);
}

/* ---- what was given up ---- */

static void what_was_cancelled_is_not_reported(void)
{
    struct told *told = told_pool(1);
    struct stage_hold hold = stage_hold(told->pool);
    struct stage_promise made = stage_promise(told->pool);
    shunt_future *queued = shunt_submit(told->pool, stage_fail, &(int){ 7 });

    assert_long(shunt_cancel(queued), 1);
    assert_ok(shunt_release(shunt_then(queued, stage_add_one)));
    assert_long(shunt_cancel(made.future), 1);
    assert_ok(shunt_release(made.future));
    assert_ok(shunt_release(stage_cancelled(told->pool)));
    stage_let(hold);
    assert_ok(shunt_promise_drop(made.promise));
    assert_told(told, 0);
}

static void what_was_asked_to_cancel_may_fail_in_silence(void)
{
    struct told *told = told_pool(1);
    struct latch *started = stage_latch();
    shunt_future *f = shunt_submit(told->pool, fail_when_cancelled, &started);

    assert_true(latch_reaches(started, 1));
    assert_long(shunt_cancel(f), 1);
    assert_ok(shunt_release(f));
    assert_told(told, 0);
}

/* ---- ends ---- */

static void what_a_shutdown_ended_is_not_reported(void)
{
    static const enum shunt_how hows[] = { SHUNT_CANCEL, SHUNT_KILL };

    for (int i = 0; i < 2; i++) {
        struct told *told = told_pool(1);
        struct latch *started = stage_latch();
        struct stage_promise made = stage_promise(told->pool);
        shunt_future *running, *queued, *step;

        running = shunt_submit(told->pool, fail_when_cancelled, &started);
        queued = shunt_submit(told->pool, stage_fail, &(int){ 7 });
        step = shunt_then(made.future, stage_add_one);
        assert_true(latch_reaches(started, 1));
        assert_ok(
            shunt_pool_shutdown(told->pool, hows[i], harness_patience(), NULL));
        assert_ok(shunt_release(running));
        assert_ok(shunt_release(queued));
        assert_ok(shunt_release(step));
        assert_ok(shunt_promise_drop(made.promise));
        assert_told(told, 0);
    }
}

static int fail_behind_latch(const struct job *in, long *out)
{
    int rc = stage_job(in, out);

    return rc == STAGE_LATE ? 0 : shunt_fail(60, "after the pool was freed");
}
SHUNT_TASK(fail_behind_latch, struct job, long)

/* The hook's arg may be gone by then. */
static void nothing_is_reported_behind_a_pool_that_left_code_running(void)
{
    struct told *told = told_pool(1);
    struct latch *started = stage_latch(), *go = stage_latch();
    size_t left;

    (void)stage_failed(told->pool, 7);
    assert_ok(shunt_release(
        shunt_submit(told->pool, fail_behind_latch,
                     &(struct job){ .started = started, .go = go })));
    assert_true(latch_reaches(started, 1));
    assert_status(shunt_pool_shutdown(told->pool, SHUNT_KILL, 0, &left),
                  SHUNT_ETIMEDOUT);
    assert_long((long)left, 1);
    assert_told(told, 0);
    latch_raise(go);
}

/* ---- what was given up at its deadline ---- */

struct late {
    shunt_future *gate;
    struct latch *started, *ended;
};

static int wait_at_gate(const struct late *in, shunt_future **out)
{
    latch_raise(in->started);
    if (shunt_await(in->gate) != SHUNT_ECANCELED)
        return STAGE_LATE;
    latch_raise(in->ended);
    *out = shunt_retain(in->gate);
    return 0;
}
SHUNT_TASK(wait_at_gate, struct late, shunt_future *)

/* Method: its code cannot go on before somebody has looked, since its worker is
 * held. It then waits no more, and returns a future for which it does not wait
 * either. */
static void a_look_counts_though_the_code_goes_on_after_it(void)
{
    struct told *told = told_manual_pool(1);
    struct stage_promise gate = stage_promise(told->pool);
    struct late in = { gate.future, stage_latch(), stage_latch() };
    shunt_future *f = shunt_submit_with(told->pool, wait_at_gate, &in,
                                        .deadline_ns = SHUNT_MS(50));
    struct stage_hold hold;

    assert_true(latch_reaches(in.started, 1));
    stage_asleep(told->pool, 1);
    hold = stage_hold(told->pool);
    stage_advance(told->pool, SHUNT_MS(50));
    assert_status(shunt_await(f), SHUNT_ETIMEDOUT);
    stage_let(hold);
    assert_true(latch_reaches(in.ended, 1));
    stage_give(gate.promise, 1);
    assert_ok(shunt_release(f));
    assert_ok(shunt_release(gate.future));
    assert_told(told, 0);
}

/* ---- other pools ---- */

/* Method: the causes of a failure lie in a pool that is freed first. Pools of
 * processes have copied them. */
static void causes_in_another_pool_are_left_out(void)
{
    struct told *told = told_pool(1), *other = told_pool(1);
    shunt_future *fs[] = { stage_failed(told->pool, 7),
                           stage_failed(other->pool, 8) };
    shunt_future *any = shunt_when_any(fs, 2);

    /* The same, one deeper. */
    any = shunt_when_any(&any, 1);
    assert_told(other, 0);
    assert_ok(shunt_release(any));
    assert_told(told, 1);
    assert_long(told->codes[0], 7);
    assert_long((long)told->causes[0], harness_isolated() ? 1 : 0);
}

/* Or here, if it was copied. */
static void a_failure_of_another_pool_is_reported_there(void)
{
    struct told *told = told_pool(1), *other = told_pool(1);
    shunt_future *f = stage_failed(other->pool, 8);

    f = shunt_via(told->pool, f);
    assert_told(other, harness_isolated() ? 0 : 1);
    assert_ok(shunt_release(f));
    assert_told(told, harness_isolated() ? 1 : 0);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_combinator_that_failed_is_one_report),
    CLAIM(a_combinator_that_was_looked_at_is_none),
    CLAIM(the_report_of_when_any_has_all_causes),
    CLAIM(a_cause_that_is_held_elsewhere_is_not_reported_again),
    CLAIM(losers_are_not_reported),
    CLAIM(siblings_of_a_failure_are_not_reported),
    CLAIM(a_loser_that_fails_when_asked_to_cancel_is_not_reported),
    CLAIM(failures_among_results_are_reported_if_nobody_looked),
    CLAIM(only_those_that_nobody_looked_at),
    CLAIM(a_step_that_looks_at_results_has_looked),
    CLAIM(a_map_is_reported_as_what_it_is_made_of),
    CLAIM(what_was_cancelled_is_not_reported),
    CLAIM(what_was_asked_to_cancel_may_fail_in_silence),
    CLAIM(what_a_shutdown_ended_is_not_reported),
    CLAIM_OF_THREADS(nothing_is_reported_behind_a_pool_that_left_code_running),
    CLAIM(a_look_counts_though_the_code_goes_on_after_it),
    CLAIM(causes_in_another_pool_are_left_out),
    CLAIM(a_failure_of_another_pool_is_reported_there),
};

HARNESS_MAIN(claims)
