/* SPDX-License-Identifier: MIT */
/*
 * scope_cancel_test.c - how scopes are given up: by name, with the task that
 * opened them, at a deadline. Whatever the way, nothing outlives its scope, but
 * what its opener could not wait for.
 */
#include <pthread.h>
#include <sched.h>

#include "stage.h"

static shunt_scope *scope_in(shunt_pool *pool,
                             const shunt_scope_options *options)
{
    shunt_scope *scope = NULL;

    assert_ok(shunt_scope_open(&scope, pool, options));
    return scope;
}

/* A child that runs until it is asked to cancel, and then takes its time. */
struct slow {
    struct latch *started;
    struct tally *ended;
};

static int end_slowly(const struct slow *in, long *out)
{
    (void)out;
    latch_raise(in->started);
    while (!shunt_cancelled())
        sched_yield();
    for (int i = 0; i < 100; i++)
        sched_yield();
    tally_add(in->ended, 1);
    return SHUNT_ECANCELED;
}
SHUNT_TASK(end_slowly, struct slow, long)

/* ---- by name ---- */

/* Method: two run, and the others are queued behind them. */
static void cancelling_a_scope_asks_every_child(void)
{
    shunt_pool *pool = harness_pool(2);
    shunt_scope *scope = scope_in(pool, NULL);
    const struct slow slow = { stage_latch(), stage_tally() };
    struct tally *ran = stage_tally();
    shunt_future *f = NULL;

    for (int i = 0; i < 2; i++)
        f = shunt_scope_submit(scope, end_slowly, &slow);
    assert_true(latch_reaches(slow.started, 2));
    for (int i = 0; i < 50; i++)
        (void)shunt_scope_submit(scope, stage_job, &(struct job){ .ran = ran });
    assert_long(shunt_scope_cancel(scope), 1);
    assert_joins(shunt_scope_submit(scope, stage_nothing, NULL),
                 SHUNT_ECANCELED);
    assert_settles(f, SHUNT_ECANCELED);
    assert_status(shunt_scope_close(scope, NULL), SHUNT_ECANCELED);
    assert_long(tally_of(slow.ended), 2);
    assert_long(tally_of(ran), 0);
    assert_status(shunt_last_error()->code, SHUNT_ECANCELED);
    /* There is nothing else to be told. */
    assert_long((long)shunt_last_error()->cause_count, 52);
    harness_free(pool);
}

static void cancelling_helps_nobody_when_all_have_settled(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_scope *scope = scope_in(pool, NULL);

    assert_long(shunt_scope_cancel(scope), 0);
    assert_ok(shunt_scope_close(scope, NULL));
    scope = scope_in(pool, NULL);
    assert_settles(shunt_scope_submit(scope, stage_nothing, NULL), 0);
    assert_long(shunt_scope_cancel(scope), 0);
    assert_ok(shunt_scope_close(scope, NULL));
    harness_free(pool);
}

/* Who ignores what a submit returns still learns that it did not run. */
static void a_cancelled_scope_that_turned_a_task_away_says_so(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_scope *scope = scope_in(pool, NULL);
    shunt_results all;

    assert_takes(shunt_scope_submit(scope, stage_same, &(long){ 1 }), 1);
    assert_long(shunt_scope_cancel(scope), 0);
    assert_joins(shunt_scope_submit(scope, stage_nothing, NULL),
                 SHUNT_ECANCELED);
    assert_status(shunt_scope_close(scope, &all), SHUNT_ECANCELED);
    assert_status(shunt_last_error()->code, SHUNT_ECANCELED);
    assert_long((long)all.count, 1);
    assert_ok(shunt_results_release(&all));
    harness_free(pool);
}

/* A cancel of one child means that child, as shunt_cancel says. */
static void a_child_that_is_cancelled_alone_leaves_its_siblings(void)
{
    for (int failing = 0; failing < 2; failing++) {
        shunt_pool *pool = harness_pool(1);
        shunt_scope *scope = scope_in(pool, NULL);
        struct stage_hold hold = stage_hold(pool);
        struct tally *ran = stage_tally();
        shunt_future *f = shunt_scope_submit(scope, stage_nothing, NULL);

        (void)shunt_scope_submit(scope, stage_job,
                                 &(struct job){ .ran = ran, .rc = failing });
        assert_long(shunt_cancel(f), 1);
        stage_let(hold);
        assert_status(shunt_scope_close(scope, NULL),
                      failing ? SHUNT_EFAILED : SHUNT_ECANCELED);
        assert_long(tally_of(ran), 1);
        assert_long((long)shunt_last_error()->cause_count, 1);
        harness_free(pool);
    }
}

static int commit_then(const struct job *in, long *out)
{
    int rc = shunt_commit();

    return rc != 0 ? rc : stage_job(in, out);
}
SHUNT_TASK(commit_then, struct job, long)

static void a_child_that_has_committed_is_waited_for(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_scope *scope = scope_in(pool, NULL);
    struct job job = { .started = stage_latch(), .go = stage_latch() };

    (void)shunt_scope_submit(scope, commit_then, &job);
    assert_true(latch_reaches(job.started, 1));
    assert_long(shunt_scope_cancel(scope), 0);
    latch_raise(job.go);
    assert_ok(shunt_scope_close(scope, NULL));
    harness_free(pool);
}

/* ---- with the task that closes it ---- */

struct parent {
    struct latch *opened, *go;
    struct slow slow;
    int children;
    bool waits;
};

/* Out: how many children had ended when the scope was closed. */
static int have_slow_children(const struct parent *in, long *out)
{
    shunt_scope *scope;
    int rc = shunt_scope_open(&scope, NULL, NULL);

    for (int i = 0; rc == 0 && i < in->children; i++)
        (void)shunt_scope_submit(scope, end_slowly, &in->slow);
    latch_raise(in->opened);
    if (in->waits && !latch_reaches(in->go, 1))
        return STAGE_LATE;
    if (rc == 0)
        rc = shunt_scope_close(scope, NULL);
    *out = tally_of(in->slow.ended);
    return rc == SHUNT_ECANCELED ? 0 : 1;
}
SHUNT_TASK(have_slow_children, struct parent, long)

static struct parent parent_of(int children, bool waits)
{
    return (struct parent){ .opened = stage_latch(),
                            .go = stage_latch(),
                            .slow = { stage_latch(), stage_tally() },
                            .children = children,
                            .waits = waits };
}

/* Method: asked before it closes, and again and again while it waits. */
static void closing_in_a_cancelled_task_cancels_and_still_waits(void)
{
    for (int waits = 0; waits < 2; waits++) {
        shunt_pool *pool = harness_pool(4);
        struct parent in = parent_of(3, waits);
        shunt_future *f = shunt_submit(pool, have_slow_children, &in);

        assert_true(latch_reaches(in.opened, 1));
        assert_true(latch_reaches(in.slow.started, 3));
        for (int i = 0; i < 20; i++) {
            (void)shunt_cancel(f);
            sched_yield();
        }
        latch_raise(in.go);
        assert_takes(f, 3);
        harness_free(pool);
    }
}

/* Method: with one worker the children have not even started. */
static void what_is_queued_in_a_cancelled_tasks_scope_never_starts(void)
{
    shunt_pool *pool = harness_pool(1);
    struct parent in = parent_of(30, true);
    shunt_future *f = shunt_submit(pool, have_slow_children, &in);

    assert_true(latch_reaches(in.opened, 1));
    assert_long(shunt_cancel(f), 1);
    latch_raise(in.go);
    assert_takes(f, 0);
    harness_free(pool);
}

struct nested {
    int depth, width;
    struct slow slow;
    struct tally *open;
};

/* Scopes in tasks in scopes, down to children that end slowly. Fails if
 * something below has not ended when its scope was closed. */
static int nest(const struct nested *in, long *out);
SHUNT_TASK(nest, struct nested, long, .grace_ns = -1)

static int nest(const struct nested *in, long *out)
{
    shunt_scope *scope;
    int rc = shunt_scope_open(&scope, NULL, NULL);
    shunt_results all;

    if (rc != 0)
        return rc;
    tally_add(in->open, 1);
    for (int i = 0; i < in->width; i++) {
        struct nested below = *in;

        below.depth--;
        if (in->depth > 1)
            (void)shunt_scope_submit(scope, nest, &below);
        else
            (void)shunt_scope_submit(scope, end_slowly, &in->slow);
    }
    rc = shunt_scope_close(scope, &all);
    for (size_t i = 0; i < all.count; i++)
        if (shunt_status(all.futures[i]) != SHUNT_ECANCELED)
            return shunt_fail(1, "%s", shunt_error_of(all.futures[i])->message);
    tally_add(in->open, -1);
    (void)out;
    return rc;
}

static void a_cancel_goes_down_through_scopes_and_they_end_from_below(void)
{
    for (int workers = 1; workers <= 8; workers *= 8) {
        shunt_pool *pool = harness_pool(workers);
        const struct nested in = {
            3, 2, { stage_latch(), stage_tally() }, stage_tally()
        };
        shunt_scope *scope = scope_in(pool, NULL);

        (void)shunt_scope_submit(scope, nest, &in);
        /* Eight leaves, if there is a worker for each. */
        assert_true(latch_reaches(in.slow.started, workers == 1 ? 1 : 8));
        assert_long(shunt_scope_cancel(scope), 1);
        assert_status(shunt_scope_close(scope, NULL), SHUNT_ECANCELED);
        assert_long(tally_of(in.open), 0);
        assert_long(tally_of(in.slow.ended), workers == 1 ? 1 : 8);
        harness_free(pool);
    }
}

/* Method: so deep that a stack which grew with it would not last. */
static void a_cancel_goes_down_through_any_number_of_scopes(void)
{
    shunt_pool *pool = harness_pool(2);
    const int depth = 4000 / (int)harness_slowness();
    const struct nested in = {
        depth, 1, { stage_latch(), stage_tally() }, stage_tally()
    };
    shunt_future *f = shunt_submit(pool, nest, &in);

    assert_true(latch_reaches(in.slow.started, 1));
    assert_long(tally_of(in.open), depth);
    assert_long(shunt_cancel(f), 1);
    assert_joins(f, SHUNT_ECANCELED);
    assert_long(tally_of(in.open), 0);
    assert_long(tally_of(in.slow.ended), 1);
    harness_free(pool);
}

/* ---- a task that ends without closing it ---- */

struct left {
    struct slow slow;
    shunt_scope **at;
    int rc;
};

static int leave_open(const struct left *in, long *out)
{
    int rc = shunt_scope_open(in->at, NULL, NULL);

    (void)out;
    for (int i = 0; rc == 0 && i < 3; i++)
        (void)shunt_scope_submit(*in->at, end_slowly, &in->slow);
    return rc == 0 && latch_reaches(in->slow.started, 3) ? in->rc : STAGE_LATE;
}
SHUNT_TASK(leave_open, struct left, long)

/* The opener does not wait; the pool's end does. */
static void a_task_that_ends_cancels_the_scopes_that_it_left_open(void)
{
    for (int rc = 0; rc < 2; rc++) {
        shunt_pool *pool = harness_pool(4);
        struct left in = { { stage_latch(), stage_tally() },
                           stage_bytes(sizeof *in.at),
                           rc };
        shunt_future *f = shunt_submit(pool, leave_open, &in);

        assert_settles(f, rc == 0 ? 0 : SHUNT_EFAILED);
        assert_status(shunt_scope_close(*in.at, NULL), SHUNT_EINVAL);
        assert_joins(shunt_scope_submit(*in.at, stage_nothing, NULL),
                     SHUNT_EINVAL);
        assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
        assert_long(tally_of(in.slow.ended), 3);
        assert_ok(shunt_release(f));
        harness_free(pool);
    }
}

/* ---- deadlines ---- */

static shunt_pool *by_hand(int workers)
{
    shunt_pool *pool = NULL;

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = workers, .manual_clock = true }));
    return pool;
}

static int left_of(const shunt_none *in, long *out)
{
    (void)in;
    *out = (long)(shunt_time_left_ns() / SHUNT_MS(1));
    return 0;
}
SHUNT_TASK(left_of, shunt_none, long)

/* Out: what is left for a child of a scope that is passed in, or of one that
 * is opened here. */
static int ask_child(shunt_scope *const *in, long *out)
{
    shunt_scope *scope = *in;
    int rc = 0;

    if (scope == NULL)
        rc = shunt_scope_open(
            &scope, NULL, &(shunt_scope_options){ .deadline_ns = SHUNT_S(5) });
    if (rc == 0)
        rc = shunt_take(shunt_scope_submit(scope, left_of, NULL), out);
    if (*in == NULL && rc == 0)
        rc = shunt_scope_close(scope, NULL);
    return rc;
}
SHUNT_TASK(ask_child, shunt_scope *, long)

static void deadlines_come_from_where_the_scope_was_opened(void)
{
    shunt_pool *pool = by_hand(1);
    shunt_scope *scope =
        scope_in(pool, &(shunt_scope_options){ .deadline_ns = SHUNT_S(3) });
    shunt_scope *endless = scope_in(pool, NULL), *none = NULL;

    assert_ok(shunt_pool_advance(pool, SHUNT_S(1)));
    assert_takes(shunt_scope_submit(scope, left_of, NULL), 2000);
    /* A member has the scope's, and so has a scope that it opens, if its own
     * is not earlier. */
    assert_takes(shunt_scope_submit(scope, ask_child, &none), 2000);
    assert_takes(shunt_submit(pool, ask_child, &none), 5000);
    /* Who submits does not matter. */
    assert_takes(shunt_submit_with(pool, ask_child, &scope,
                                   .deadline_ns = SHUNT_MS(500)),
                 2000);
    assert_takes(shunt_submit_with(pool, ask_child, &endless,
                                   .deadline_ns = SHUNT_MS(500)),
                 (long)(SHUNT_FOREVER / SHUNT_MS(1)));
    assert_ok(shunt_scope_close(scope, NULL));
    assert_ok(shunt_scope_close(endless, NULL));
    harness_free(pool);
}

/* Method: one waits for a promise, one is queued behind a held worker. */
static void children_that_are_late_time_out(void)
{
    shunt_pool *pool = by_hand(1);
    shunt_scope *scope =
        scope_in(pool, &(shunt_scope_options){ .deadline_ns = SHUNT_S(3) });
    struct stage_hold hold = stage_hold(pool);

    for (int i = 0; i < 3; i++)
        (void)shunt_scope_submit(scope, stage_nothing, NULL);
    assert_ok(shunt_pool_advance(pool, SHUNT_S(2)));
    assert_ok(shunt_pool_advance(pool, SHUNT_S(2)));
    assert_joins(shunt_scope_submit(scope, stage_nothing, NULL),
                 SHUNT_ECANCELED);
    assert_status(shunt_scope_close(scope, NULL), SHUNT_ETIMEDOUT);
    assert_string_equal(shunt_last_error()->task, "stage_nothing");
    stage_let(hold);
    /* One whose time is up before the first child is submitted. */
    scope = scope_in(pool, &(shunt_scope_options){ .deadline_ns = 1 });
    assert_ok(shunt_pool_advance(pool, SHUNT_S(1)));
    assert_joins(shunt_scope_submit(scope, stage_nothing, NULL),
                 SHUNT_ETIMEDOUT);
    assert_status(shunt_scope_close(scope, NULL), SHUNT_ETIMEDOUT);
    harness_free(pool);
}

struct late {
    shunt_scope *scope; /* without a deadline */
    shunt_future *gate;
    struct latch *opened;
    struct tally *codes;
    struct latch *ended;
};

static int wait_for_gate(const struct late *in, long *out)
{
    (void)out;
    return shunt_await(in->gate);
}
SHUNT_TASK(wait_for_gate, struct late, long)

/* Closes a scope whose child waits; its deadline comes meanwhile. */
static int be_given_up(const struct late *in, long *out)
{
    int rc;

    (void)out;
    (void)shunt_scope_submit(in->scope, wait_for_gate, in);
    latch_raise(in->opened);
    rc = shunt_scope_close(in->scope, NULL);
    tally_add(in->codes, rc);
    rc = shunt_scope_close(in->scope, NULL); /* it was taken all the same */
    tally_add(in->codes, rc);
    latch_raise(in->ended);
    return rc;
}
SHUNT_TASK(be_given_up, struct late, long)

static void a_task_that_was_given_up_does_not_wait_for_its_scope(void)
{
    shunt_pool *pool = by_hand(1);
    struct stage_promise gate = stage_promise(pool);
    struct late in = { scope_in(pool, NULL), gate.future, stage_latch(),
                       stage_tally(), stage_latch() };
    shunt_future *f =
        shunt_submit_with(pool, be_given_up, &in, .deadline_ns = SHUNT_S(1));

    assert_true(latch_reaches(in.opened, 1));
    stage_asleep(pool, 1); /* it waits: else its process would be killed */
    assert_ok(shunt_pool_advance(pool, SHUNT_S(2)));
    assert_joins(f, SHUNT_ETIMEDOUT);
    assert_true(latch_reaches(in.ended, 1));
    assert_long(tally_of(in.codes), SHUNT_ECANCELED + SHUNT_EINVAL);
    stage_give(gate.promise, 1);
    assert_ok(shunt_release(gate.future));
    harness_free(pool);
}

static void cancelling_a_pool_cancels_through_scopes(void)
{
    shunt_pool *pool = harness_pool(4);
    struct parent in = parent_of(3, false);
    shunt_future *f = shunt_submit(pool, have_slow_children, &in);

    assert_true(latch_reaches(in.slow.started, 3));
    assert_ok(shunt_pool_shutdown(pool, SHUNT_CANCEL, SHUNT_FOREVER, NULL));
    assert_takes(f, 3);
    harness_free(pool);
}

/* Method: a child that looks neither left nor right. */
static int close_over_deaf_child(const struct job *in, long *out)
{
    shunt_scope *scope;
    int rc = shunt_scope_open(&scope, NULL, NULL);

    (void)out;
    if (rc == 0)
        (void)shunt_scope_submit(scope, stage_job, in);
    return rc != 0 ? rc : shunt_scope_close(scope, NULL);
}
SHUNT_TASK(close_over_deaf_child, struct job, long)

static void killing_a_pool_gives_up_who_closes_and_who_is_waited_for(void)
{
    shunt_pool *pool = harness_pool(2);
    const struct job in = { .started = stage_latch(), .go = stage_latch() };
    shunt_future *f = shunt_submit(pool, close_over_deaf_child, &in);
    size_t left = 0;

    assert_true(latch_reaches(in.started, 1));
    int rc = shunt_pool_shutdown(pool, SHUNT_KILL, SHUNT_MS(20), &left);
    assert_true(rc == SHUNT_ETIMEDOUT || (rc == 0 && harness_isolated()));
    assert_joins(f, SHUNT_ECANCELED);
    if (!harness_isolated())
        latch_raise(in.go);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_KILL, SHUNT_FOREVER, &left));
    assert_long((long)left, 0);
    harness_free(pool);
}

/* ---- another pool's scope ---- */

static int use_foreign(shunt_pool *const *in, long *out)
{
    shunt_scope *scope;
    shunt_results all;
    int rc = shunt_scope_open(&scope, *in, NULL);

    for (long i = 0; rc == 0 && i < 50; i++)
        (void)shunt_scope_submit(scope, stage_same, &i);
    if (rc == 0)
        rc = shunt_scope_close(scope, &all);
    for (size_t i = 0; rc == 0 && i < all.count; i++)
        *out += *shunt_peek(all.futures[i], long);
    return rc;
}
SHUNT_TASK(use_foreign, shunt_pool *, long)

static void a_task_may_close_a_scope_of_another_pool(void)
{
    shunt_pool *pool = harness_pool(1), *other = harness_pool(1);

    for (int i = 0; i < 50; i++)
        assert_takes(shunt_submit(pool, use_foreign, &other), 49 * 50 / 2);
    harness_free(pool);
    harness_free(other);
}

static const struct CMUnitTest claims[] = {
    CLAIM(cancelling_a_scope_asks_every_child),
    CLAIM(cancelling_helps_nobody_when_all_have_settled),
    CLAIM(a_cancelled_scope_that_turned_a_task_away_says_so),
    CLAIM(a_child_that_is_cancelled_alone_leaves_its_siblings),
    CLAIM(a_child_that_has_committed_is_waited_for),
    CLAIM(closing_in_a_cancelled_task_cancels_and_still_waits),
    CLAIM(what_is_queued_in_a_cancelled_tasks_scope_never_starts),
    CLAIM(a_cancel_goes_down_through_scopes_and_they_end_from_below),
    CLAIM(a_cancel_goes_down_through_any_number_of_scopes),
    CLAIM(a_task_that_ends_cancels_the_scopes_that_it_left_open),
    CLAIM(deadlines_come_from_where_the_scope_was_opened),
    CLAIM(children_that_are_late_time_out),
    CLAIM(a_task_that_was_given_up_does_not_wait_for_its_scope),
    CLAIM(cancelling_a_pool_cancels_through_scopes),
    CLAIM(killing_a_pool_gives_up_who_closes_and_who_is_waited_for),
    CLAIM_OF_THREADS(a_task_may_close_a_scope_of_another_pool),
};

HARNESS_MAIN(claims)
