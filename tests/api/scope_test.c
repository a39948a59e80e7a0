/* SPDX-License-Identifier: MIT */
/*
 * scope_test.c - scopes as a user sees them: what closing one waits for, what
 * it returns, and whose the handles are. What is refused: scope_misuse_test.c;
 * how scopes are cancelled: scope_cancel_test.c; with many at once:
 * scope_race_test.c.
 */
#include <string.h>

#include "stage.h"

static shunt_scope *scope_in(shunt_pool *pool,
                             const shunt_scope_options *options)
{
    shunt_scope *scope = NULL;

    assert_ok(shunt_scope_open(&scope, pool, options));
    assert_non_null(scope);
    return scope;
}

static const shunt_scope_options going_on = { .keep_going = true };

/* ---- waiting ---- */

static void closing_waits_for_every_child(void)
{
    enum {
        CHILDREN = 200
    };

    for (int workers = 1; workers <= 4; workers *= 2) {
        shunt_pool *pool = harness_pool(workers);
        struct tally *ran = stage_tally();
        shunt_scope *scope = scope_in(pool, NULL);

        for (int i = 0; i < CHILDREN; i++)
            (void)shunt_scope_submit(scope, stage_job,
                                     &(struct job){ .ran = ran });
        assert_ok(shunt_scope_close(scope, NULL));
        assert_long(tally_of(ran), CHILDREN);
        assert_status(shunt_scope_close(scope, NULL), SHUNT_EINVAL);
        harness_free(pool);
    }
}

struct fan {
    long children;
    struct tally *ran;
};

/* Out: how many have run when the scope is closed. */
static int fan_out(const struct fan *in, long *out)
{
    shunt_scope *scope;
    int rc = shunt_scope_open(&scope, NULL, NULL);

    for (long i = 0; rc == 0 && i < in->children; i++)
        (void)shunt_scope_submit(scope, stage_job,
                                 &(struct job){ .ran = in->ran });
    if (rc == 0)
        rc = shunt_scope_close(scope, NULL);
    *out = tally_of(in->ran);
    return rc;
}
SHUNT_TASK(fan_out, struct fan, long)

/* Method: one worker, and many tasks that close scopes at once. A close that
 * kept its thread would keep it from the children. */
static void closing_in_a_task_parks_it(void)
{
    enum {
        PARENTS = 20,
        CHILDREN = 30
    };
    shunt_future *parents[PARENTS];

    for (int workers = 1; workers <= 2; workers++) {
        shunt_pool *pool = harness_pool(workers);

        for (int i = 0; i < PARENTS; i++)
            parents[i] = shunt_submit(
                pool, fan_out, &(struct fan){ CHILDREN, stage_tally() });
        for (int i = 0; i < PARENTS; i++)
            assert_takes(parents[i], CHILDREN);
        harness_free(pool);
    }
}

static void an_empty_scope_closes_at_once(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_hold hold = stage_hold(pool);
    shunt_results all = { .count = 9 };

    assert_ok(shunt_scope_close(scope_in(pool, NULL), NULL));
    assert_ok(shunt_scope_close(scope_in(pool, NULL), &all));
    assert_long((long)all.count, 0);
    assert_null(all.futures);
    assert_ok(shunt_results_release(&all));
    stage_let(hold);
    harness_free(pool);
}

/* Method: what has settled leaves, so the first children are long gone when
 * the last are submitted. */
static void children_may_come_one_after_the_other(void)
{
    shunt_pool *pool = harness_pool(2);
    shunt_scope *scope = scope_in(pool, NULL);
    shunt_results all;

    for (long i = 0; i < 20; i++)
        assert_settles(shunt_scope_submit(scope, stage_same, &i), 0);
    assert_ok(shunt_scope_close(scope, &all));
    assert_long((long)all.count, 20);
    for (long i = 0; i < 20; i++)
        assert_long(*shunt_peek(all.futures[i], long), i);
    assert_ok(shunt_results_release(&all));
    harness_free(pool);
}

/* ---- what it returns ---- */

static void the_first_failure_in_order_is_what_closing_returns(void)
{
    shunt_pool *pool = harness_pool(2);
    shunt_scope *scope = scope_in(pool, &going_on);
    struct latch *go = stage_latch();

    (void)shunt_scope_submit(scope, stage_same, &(long){ 1 });
    (void)shunt_scope_submit(scope, stage_job,
                             &(struct job){ .rc = 7, .go = go });
    /* Fails before the one that was submitted before. */
    assert_settles(shunt_scope_submit(scope, stage_fail, &(int){ 8 }),
                   SHUNT_EFAILED);
    latch_raise(go);
    assert_status(shunt_scope_close(scope, NULL), SHUNT_EFAILED);

    const shunt_error *e = shunt_last_error();
    assert_status(e->code, SHUNT_EFAILED);
    assert_long(e->task_code, 7);
    assert_string_equal(e->task, "stage_job");
    assert_non_null(strstr(e->message, "stage_job failed with code 7"));
    assert_non_null(strstr(e->where, "scope_test.c:"));
    assert_long((long)e->cause_count, 2);
    assert_long(e->causes[0]->task_code, 7);
    assert_string_equal(e->causes[1]->task, "stage_fail");
    assert_long(e->causes[1]->task_code, 8);
    assert_long((long)e->causes[1]->cause_count, 0);
    harness_free(pool);
}

static void every_failure_is_a_cause_in_order(void)
{
    enum {
        CHILDREN = 300
    };
    shunt_pool *pool = harness_pool(4);
    shunt_scope *scope = scope_in(pool, &going_on);

    for (int i = 0; i < CHILDREN; i++)
        (void)shunt_scope_submit(scope, stage_fail, &(int){ i + 1 });
    assert_status(shunt_scope_close(scope, NULL), SHUNT_EFAILED);

    const shunt_error *e = shunt_last_error();
    assert_long((long)e->cause_count, CHILDREN);
    for (int i = 0; i < CHILDREN; i++)
        assert_long(e->causes[i]->task_code, i + 1);
    harness_free(pool);
}

/* Method: the only worker is held, so that all but the first are queued when
 * it fails. */
static void a_failure_cancels_the_siblings(void)
{
    shunt_pool *pool = harness_pool(1);
    struct tally *ran = stage_tally();
    shunt_scope *scope = scope_in(pool, NULL);
    struct stage_hold hold = stage_hold(pool);
    shunt_results all;

    for (int i = 0; i < 50; i++)
        (void)shunt_scope_submit(
            scope, stage_job,
            &(struct job){ .rc = i == 0 ? 3 : 0, .ran = i == 0 ? NULL : ran });
    stage_let(hold);
    assert_status(shunt_scope_close(scope, &all), SHUNT_EFAILED);
    assert_long(shunt_last_error()->task_code, 3);
    /* The cancelled ones are not among the causes ... */
    assert_long((long)shunt_last_error()->cause_count, 1);
    /* ... but among the results. */
    assert_long((long)all.count, 50);
    assert_fails_with(all.futures[0], 3);
    assert_long(tally_of(ran), 0);
    for (int i = 1; i < 50; i++)
        assert_settles(all.futures[i], SHUNT_ECANCELED);
    assert_ok(shunt_results_release(&all));
    harness_free(pool);
}

static void with_keep_going_the_siblings_run_on(void)
{
    shunt_pool *pool = harness_pool(1);
    struct tally *ran = stage_tally();
    shunt_scope *scope = scope_in(pool, &going_on);
    struct stage_hold hold = stage_hold(pool);

    for (int i = 0; i < 50; i++)
        (void)shunt_scope_submit(
            scope, stage_job,
            &(struct job){ .rc = i % 10 == 5 ? i : 0, .ran = ran });
    stage_let(hold);
    assert_status(shunt_scope_close(scope, NULL), SHUNT_EFAILED);
    assert_long(tally_of(ran), 50);
    assert_long(shunt_last_error()->task_code, 5);
    assert_long((long)shunt_last_error()->cause_count, 5);
    harness_free(pool);
}

static void after_a_failure_a_scope_takes_no_more(void)
{
    for (int i = 0; i < 2; i++) {
        shunt_pool *pool = harness_pool(1);
        shunt_scope *scope = scope_in(pool, i == 0 ? NULL : &going_on);
        struct tally *ran = stage_tally();
        shunt_results all;

        assert_settles(shunt_scope_submit(scope, stage_fail, &(int){ 1 }),
                       SHUNT_EFAILED);
        assert_joins(shunt_scope_submit(scope, stage_job,
                                        &(struct job){ .ran = ran }),
                     i == 0 ? SHUNT_ECANCELED : 0);
        assert_status(shunt_scope_close(scope, &all), SHUNT_EFAILED);
        /* What was turned away is no child. */
        assert_long((long)all.count, 1 + i);
        assert_long(tally_of(ran), i);
        assert_ok(shunt_results_release(&all));
        harness_free(pool);
    }
}

/* ---- whose the handles are ---- */

static void closing_gives_back_the_handles_of_its_submits(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_scope *scope = scope_in(pool, NULL);
    shunt_future *f = shunt_scope_submit(scope, stage_same, &(long){ 4 });
    shunt_future *kept = shunt_retain(f);
    shunt_results all;

    assert_ok(shunt_scope_close(scope, &all));
    assert_stale(f);
    assert_takes(kept, 4);
    assert_takes(all.futures[0], 4); /* ours; and the array may stay */
    assert_ok(shunt_results_release(&all));
    assert_null(all.futures);
    assert_long((long)all.count, 0);
    assert_ok(shunt_results_release(&all));
    harness_free(pool);
}

static void the_handle_of_a_submit_is_the_callers_until_then(void)
{
    shunt_pool *pool = harness_pool(2);
    shunt_scope *scope = scope_in(pool, NULL);
    struct tally *ran = stage_tally();
    const struct job job = { .value = 5, .ran = ran };
    shunt_future *then, *all_three;

    assert_takes(shunt_scope_submit(scope, stage_job, &job), 5);
    assert_ok(shunt_release(shunt_scope_submit(scope, stage_job, &job)));
    then = shunt_then(shunt_scope_submit(scope, stage_job, &job),
                      stage_add_one);
    all_three = shunt_when_all(
        (shunt_future *[]){ shunt_scope_submit(scope, stage_job, &job),
                            shunt_scope_submit(scope, stage_job, &job) },
        2);
    assert_ok(shunt_scope_close(scope, NULL));
    assert_long(tally_of(ran), 5);
    assert_takes(then, 6); /* a step is no child, and waited for by us */
    assert_takes(shunt_then(all_three, stage_sum), 10);
    harness_free(pool);
}

static int leave_some(const struct tally *const *in, shunt_none *out)
{
    shunt_scope *scope;
    shunt_results all;
    int rc = shunt_scope_open(&scope, NULL, NULL);

    (void)in;
    (void)out;
    for (long i = 0; rc == 0 && i < 10; i++)
        (void)shunt_scope_submit(scope, stage_same, &i);
    if (rc == 0)
        rc = shunt_scope_close(scope, &all);
    for (long i = 0; rc == 0 && i < 10; i++)
        rc = *shunt_peek(all.futures[i], long) == i ? 0 : 1;
    return rc; /* handles and array go with the task */
}
SHUNT_TASK(leave_some, const struct tally *, shunt_none)

/* Method: a pool whose memory would not last if each scope left a little. */
static void what_is_ignored_leaks_nothing(void)
{
    shunt_pool *pool;
    int rc = shunt_pool_new(&pool, &(shunt_options){ .workers = 2,
                                                     .arena_bytes = 1 << 20 });
    const struct tally *none = NULL;

    assert_ok(rc);
    for (long i = 0; i < 3000; i++) {
        shunt_scope *scope = scope_in(pool, NULL);
        shunt_future *f = shunt_submit(pool, leave_some, &none);

        for (long j = 0; j < 10; j++)
            (void)shunt_scope_submit(scope, stage_same, &j);
        assert_ok(shunt_scope_close(scope, NULL));
        assert_joins(f, 0);
    }
    harness_free(pool);
}

static int make_text(const shunt_none *in, char **out)
{
    (void)in;
    *out = shunt_alloc(100);
    if (*out == NULL)
        return 1;
    memset(*out, 'x', 99);
    (*out)[99] = '\0';
    return 0;
}
SHUNT_TASK(make_text, shunt_none, char *)

static int take_text(const shunt_none *in, long *out)
{
    shunt_scope *scope;
    char *text = NULL;
    int rc = shunt_scope_open(&scope, NULL, NULL);

    (void)in;
    if (rc == 0)
        rc = shunt_take(shunt_scope_submit(scope, make_text, NULL), &text);
    if (rc == 0)
        rc = shunt_scope_close(scope, NULL);
    if (rc == 0)
        *out = (long)strlen(text);
    return rc;
}
SHUNT_TASK(take_text, shunt_none, long)

/* That the scope waits for a child is no reason for its memory to stay there
 * when its value is taken; AddressSanitizer would see it. */
static void a_value_that_was_taken_outlives_the_scope(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_scope *scope = scope_in(pool, NULL);
    char *text = NULL;

    assert_ok(shunt_take(shunt_scope_submit(scope, make_text, NULL), &text));
    assert_ok(shunt_scope_close(scope, NULL));
    assert_long((long)strlen(text), 99);
    assert_ok(shunt_free(text));
    assert_takes(shunt_submit(pool, take_text, NULL), 99);
    harness_free(pool);
}

static int spin(const shunt_none *in, long *out)
{
    (void)in;
    (void)out;
    while (!shunt_cancelled())
        continue;
    return SHUNT_ECANCELED;
}
SHUNT_TASK(spin, shunt_none, long)

/* Nor is it a reason to let the loser of a race run on; if it did, the scope
 * would never end. */
static void the_loser_of_a_race_is_cancelled_in_a_scope_too(void)
{
    shunt_pool *pool = harness_pool(2);
    shunt_scope *scope = scope_in(pool, NULL);
    shunt_future *race = shunt_race(
        (shunt_future *[]){ shunt_scope_submit(scope, spin, NULL),
                            shunt_scope_submit(scope, stage_same,
                                               &(long){ 1 }) },
        2);

    assert_settles(race, 0);
    assert_status(shunt_scope_close(scope, NULL), SHUNT_ECANCELED);
    assert_long((long)shunt_peek(race, shunt_winner)->index, 1);
    assert_ok(shunt_release(race));
    harness_free(pool);
}

static void results_of_a_combinator_are_not_given_back_so(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *fs[] = { stage_given(pool, 1), stage_given(pool, 2) };
    shunt_future *all = shunt_when_all(fs, 2);
    shunt_results lent;

    assert_settles(all, 0);
    lent = *shunt_peek(all, shunt_results);
    assert_status(shunt_results_release(&lent), SHUNT_EINVAL);
    assert_status(shunt_results_release(NULL), SHUNT_EINVAL);
    assert_long(*shunt_peek(lent.futures[1], long), 2);
    assert_ok(shunt_release(all));
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(closing_waits_for_every_child),
    CLAIM(closing_in_a_task_parks_it),
    CLAIM(an_empty_scope_closes_at_once),
    CLAIM(children_may_come_one_after_the_other),
    CLAIM(the_first_failure_in_order_is_what_closing_returns),
    CLAIM(every_failure_is_a_cause_in_order),
    CLAIM(a_failure_cancels_the_siblings),
    CLAIM(with_keep_going_the_siblings_run_on),
    CLAIM(after_a_failure_a_scope_takes_no_more),
    CLAIM(closing_gives_back_the_handles_of_its_submits),
    CLAIM(the_handle_of_a_submit_is_the_callers_until_then),
    CLAIM(what_is_ignored_leaks_nothing),
    CLAIM(a_value_that_was_taken_outlives_the_scope),
    CLAIM(the_loser_of_a_race_is_cancelled_in_a_scope_too),
    CLAIM(results_of_a_combinator_are_not_given_back_so),
};

HARNESS_MAIN(claims)
