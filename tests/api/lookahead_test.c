/* SPDX-License-Identifier: MIT */
/*
 * lookahead_test.c - a map over a sequence that is made on demand: never more
 * than so many elements ahead, results in order, failures in their place, and
 * an end at any time.
 */
#include <errno.h>

#include "stage.h"

struct range {
    long at, end;
    int code; /* of next, after the last one */
    struct tally *made;
};

static int next_number(struct range *r, long *in)
{
    if (r->at == r->end)
        return r->code;
    if (r->made != NULL)
        tally_add(r->made, 1);
    *in = r->at++;
    return 1;
}
SHUNT_SEQUENCE(next_number, struct range, long)

static shunt_lookahead *open_numbers(shunt_pool *pool, struct range *r,
                                     size_t ahead)
{
    shunt_lookahead *l = NULL;

    assert_ok(
        shunt_lookahead_open(&l, pool, stage_same, next_number, r, ahead));
    assert_non_null(l);
    return l;
}

static void assert_next(shunt_lookahead *l, long expected)
{
    long value = -1;

    assert_ok(shunt_lookahead_take_for(l, &value, harness_patience()));
    assert_long(value, expected);
}

/* ---- the sequence ---- */

static void results_come_in_the_order_of_the_sequence(void)
{
    static const size_t aheads[] = { 1, 2, 3, 16, 17, 100, SIZE_MAX };

    for (int workers = 1; workers <= 2; workers++) {
        shunt_pool *pool = harness_pool(workers);
        for (size_t i = 0; i < sizeof aheads / sizeof aheads[0]; i++) {
            struct range r = { .end = 1000 };
            shunt_lookahead *l = open_numbers(pool, &r, aheads[i]);

            for (long j = 0; j < 1000; j++) {
                assert_true(shunt_lookahead_size(l) > 0);
                assert_next(l, j);
            }
            assert_long((long)shunt_lookahead_size(l), 0);
            assert_ok(shunt_lookahead_close(l));
        }
        harness_free(pool);
    }
}

/* Goal: one element more for every result that is taken, and not before. */
static void at_most_so_many_are_ahead(void)
{
    enum {
        N = 50
    };
    shunt_pool *pool = harness_pool(2);

    for (long ahead = 1; ahead <= N + 5; ahead += 6) {
        struct range r = { .end = N, .made = stage_tally() };
        shunt_lookahead *l = open_numbers(pool, &r, (size_t)ahead);

        for (long taken = 0; taken < N; taken++) {
            long most = taken + ahead < N ? taken + ahead : N;

            assert_long(tally_of(r.made), most);
            assert_long((long)shunt_lookahead_size(l), most - taken);
            assert_next(l, taken);
        }
        assert_ok(shunt_lookahead_close(l));
    }
    harness_free(pool);
}

static void the_elements_ahead_run_while_nobody_takes(void)
{
    shunt_pool *pool = harness_pool(2);
    struct range r = { .end = 5 };
    shunt_lookahead *l = open_numbers(pool, &r, 3);

    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    for (long i = 0; i < 3; i++)
        assert_next(l, i);
    /* What was made after the end has failed, each in its place. */
    for (int i = 0; i < 2; i++) {
        long value;

        assert_status(shunt_lookahead_take(l, &value), SHUNT_ECLOSED);
    }
    assert_long((long)shunt_lookahead_size(l), 0);
    assert_ok(shunt_lookahead_close(l));
    harness_free(pool);
}

static void a_sequence_may_be_empty(void)
{
    shunt_pool *pool = harness_pool(1);
    struct range r = { .end = 0 };
    shunt_lookahead *l = open_numbers(pool, &r, 4);
    long value = 7;

    assert_long((long)shunt_lookahead_size(l), 0);
    assert_status(shunt_lookahead_take(l, &value), SHUNT_EINVAL);
    assert_status(shunt_lookahead_take_for(l, &value, 0), SHUNT_EINVAL);
    assert_long(value, 7);
    assert_ok(shunt_lookahead_close(l));
    harness_free(pool);
}

/* ---- failures ---- */

static int divide(const long *in, long *out)
{
    if (*in % 5 == 3)
        return shunt_fail(EDOM, "not %ld", *in);
    *out = *in * 2;
    return 0;
}
SHUNT_TASK(divide, long, long)

static void a_failure_comes_in_its_place_and_the_rest_behind_it(void)
{
    shunt_pool *pool = harness_pool(2);
    struct range r = { .end = 100 };
    shunt_lookahead *l = NULL;

    assert_ok(shunt_lookahead_open(&l, pool, divide, next_number, &r, 7));
    for (long i = 0; i < 100; i++) {
        long value = -1;
        int rc = shunt_lookahead_take(l, &value);

        if (i % 5 == 3) {
            assert_status(rc, SHUNT_EFAILED);
            assert_long(shunt_last_error()->task_code, EDOM);
            assert_long(value, -1);
        } else {
            assert_ok(rc);
            assert_long(value, i * 2);
        }
    }
    assert_long((long)shunt_lookahead_size(l), 0);
    assert_ok(shunt_lookahead_close(l));
    harness_free(pool);
}

static void a_sequence_that_fails_does_so_behind_its_elements(void)
{
    shunt_pool *pool = harness_pool(1);
    static const int codes[] = { -EIO, SHUNT_EFAILED, SHUNT_ECANCELED };

    for (int i = 0; i < 3; i++) {
        for (long n = 0; n < 5; n++) {
            struct range r = { .end = n, .code = codes[i] };
            shunt_lookahead *l = open_numbers(pool, &r, 3);
            long value = 7;

            for (long j = 0; j < n; j++)
                assert_next(l, j);
            assert_long((long)shunt_lookahead_size(l), 1);
            assert_status(shunt_lookahead_take(l, &value), codes[i]);
            assert_long(value, 7);
            assert_long((long)shunt_lookahead_size(l), 0);
            assert_status(shunt_lookahead_take(l, &value), SHUNT_EINVAL);
            assert_ok(shunt_lookahead_close(l));
        }
    }
    harness_free(pool);
}

/* ---- time ---- */

struct jobs {
    const struct job *job;
    long at, end;
};

static int next_job(struct jobs *j, struct job *in)
{
    if (j->at == j->end)
        return 0;
    *in = j->job[j->at++];
    return 1;
}
SHUNT_SEQUENCE(next_job, struct jobs, struct job)

static void a_wait_that_runs_out_takes_nothing(void)
{
    shunt_pool *pool = harness_pool(1);
    struct latch *go = stage_latch();
    struct job job[3] = { { .value = 1 },
                          { .value = 2, .go = go },
                          { .value = 3 } };
    struct jobs jobs = { job, 0, 3 };
    shunt_lookahead *l = NULL;
    long value = 7;

    assert_ok(shunt_lookahead_open(&l, pool, stage_job, next_job, &jobs, 2));
    assert_next(l, 1);
    for (int i = 0; i < 3; i++) {
        assert_status(
            shunt_lookahead_take_for(l, &value, i == 0 ? 0 : SHUNT_MS(2)),
            SHUNT_PENDING);
        assert_long((long)shunt_lookahead_size(l), 2);
    }
    assert_long(value, 7);
    latch_raise(go);
    assert_next(l, 2);
    assert_next(l, 3);
    assert_ok(shunt_lookahead_close(l));
    harness_free(pool);
}

/* ---- giving up ---- */

static void what_has_not_started_never_does_when_it_is_closed(void)
{
    enum {
        N = 20
    };
    shunt_pool *pool = harness_pool(1);
    struct stage_hold hold = stage_hold(pool);
    struct tally *ran = stage_tally();
    struct job job[N];
    struct jobs jobs = { job, 0, N };
    shunt_lookahead *l = NULL;

    for (int i = 0; i < N; i++)
        job[i] = (struct job){ .ran = ran };
    assert_ok(shunt_lookahead_open(&l, pool, stage_job, next_job, &jobs, 10));
    assert_ok(shunt_lookahead_close(l));
    stage_let(hold);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    assert_long(tally_of(ran), 0);
    assert_long(jobs.at, 10);
    harness_free(pool);
}

static int run_until_asked(const struct job *in, long *out)
{
    (void)out;
    latch_raise(in->started);
    while (!shunt_cancelled())
        continue;
    tally_add(in->ran, 1);
    return SHUNT_ECANCELED;
}
SHUNT_TASK(run_until_asked, struct job, long)

static void what_runs_is_asked_to_cancel_when_it_is_closed(void)
{
    shunt_pool *pool = harness_pool(1);
    struct job job = { .started = stage_latch(), .ran = stage_tally() };
    struct jobs jobs = { &job, 0, 1 };
    shunt_lookahead *l = NULL;

    assert_ok(
        shunt_lookahead_open(&l, pool, run_until_asked, next_job, &jobs, 1));
    assert_true(latch_reaches(job.started, 1));
    assert_ok(shunt_lookahead_close(l));
    harness_free(pool);
    assert_long(tally_of(job.ran), 1);
}

static void it_may_be_closed_when_its_pool_has_gone(void)
{
    shunt_pool *pool = harness_pool(1);
    struct range r = { .end = 1000 };
    shunt_lookahead *l = open_numbers(pool, &r, 30);
    long value;

    assert_next(l, 0);
    harness_free(pool);
    for (int i = 0; i < 50; i++)
        assert_status(shunt_lookahead_take(l, &value), SHUNT_EINVAL);
    assert_ok(shunt_lookahead_close(l));
}

/* ---- inside tasks ---- */

struct inner {
    long n, ahead;
    bool closes;
};

static int add_up(const struct inner *in, long *out)
{
    struct range r = { .end = in->n };
    shunt_lookahead *l;
    int rc = shunt_lookahead_open(&l, NULL, stage_same, next_number, &r,
                                  (size_t)in->ahead);

    while (rc == 0 && shunt_lookahead_size(l) > 0) {
        long value = 0;

        rc = shunt_lookahead_take(l, &value);
        *out += value;
        if (!in->closes && value == in->n / 2)
            return 0;
    }
    return rc == 0 ? shunt_lookahead_close(l) : rc;
}
SHUNT_TASK(add_up, struct inner, long)

/* Method: a pool of one, whose worker the waits must leave. */
static void it_works_inside_a_task_of_a_pool_of_one(void)
{
    shunt_pool *pool = harness_pool(1);
    struct inner in = { 1000, 10, true };

    for (; in.ahead > 0; in.ahead -= 3)
        assert_takes(shunt_submit(pool, add_up, &in), 499500);
    harness_free(pool);
}

static void one_that_a_task_leaves_open_ends_with_the_task(void)
{
    shunt_pool *pool = harness_pool(2);
    struct inner in = { 200, 20, false };

    for (int i = 0; i < 50; i++)
        assert_takes(shunt_submit(pool, add_up, &in), 5050);
    harness_free(pool);
}

/* Waits without keeping a worker. */
static int wait_for_gate(shunt_future *const *in, long *out)
{
    *out = 5;
    return shunt_await(*in);
}
SHUNT_TASK(wait_for_gate, shunt_future *, long)

struct gates {
    shunt_future *gate;
    struct latch *started;
};

static int next_gate(struct gates *g, shunt_future **in)
{
    *in = g->gate;
    return g->gate != NULL;
}
SHUNT_SEQUENCE(next_gate, struct gates, shunt_future *)

static int wait_for_the_first(const struct gates *in, long *out)
{
    struct gates gates = *in;
    shunt_lookahead *l;
    int rc;

    if (shunt_lookahead_open(&l, NULL, wait_for_gate, next_gate, &gates, 1) !=
        0)
        return 1;
    latch_raise(in->started);
    rc = shunt_lookahead_take(l, out);
    /* The wait failed, and the element is still there. */
    if (rc != SHUNT_ECANCELED || shunt_lookahead_size(l) != 1)
        return 2;
    return shunt_lookahead_close(l) == 0 ? SHUNT_ECANCELED : 3;
}
SHUNT_TASK(wait_for_the_first, struct gates, long)

static void a_task_that_is_cancelled_waits_no_more(void)
{
    shunt_pool *pool = harness_pool(2);
    struct stage_promise made = stage_promise(pool);
    struct gates gates = { made.future, stage_latch() };
    shunt_future *f = shunt_submit(pool, wait_for_the_first, &gates);

    assert_true(latch_reaches(gates.started, 1));
    assert_long(shunt_cancel(f), 1);
    assert_joins(f, SHUNT_ECANCELED);
    stage_give(made.promise, 1);
    harness_free(pool);
}

/* ---- next ---- */

struct nested {
    shunt_pool *pool;
    shunt_lookahead *l;
    int rc_take, rc_close;
    long at;
};

/* Uses the pool, and the lookahead that calls it. */
static int next_nested(struct nested *n, long *in)
{
    long value;

    if (n->at == 20)
        return 0;
    *in = n->at++;
    if (n->l != NULL) {
        n->rc_take = shunt_lookahead_take(n->l, &value);
        n->rc_close = shunt_lookahead_close(n->l);
    }
    return shunt_take(shunt_submit(n->pool, stage_add_one, in), in) == 0;
}
SHUNT_SEQUENCE(next_nested, struct nested, long)

static void next_may_wait_but_not_use_what_calls_it(void)
{
    shunt_pool *pool = harness_pool(1);
    struct nested n = { .pool = pool };
    shunt_lookahead *l = NULL;

    assert_ok(shunt_lookahead_open(&l, pool, stage_same, next_nested, &n, 3));
    n.l = l;
    for (long i = 0; i < 20; i++)
        assert_next(l, i + 1);
    assert_status(n.rc_take, SHUNT_EDEADLK);
    assert_status(n.rc_close, SHUNT_EDEADLK);
    assert_ok(shunt_lookahead_close(l));
    harness_free(pool);
}

/* Goal: backpressure of the pool's queue holds the sequence, and loses none. */
static void a_full_queue_holds_the_sequence_back(void)
{
    shunt_pool *pool = NULL;
    struct range r = { .end = 2000 };
    shunt_lookahead *l;

    assert_ok(shunt_pool_new(&pool,
                             &(shunt_options){ .workers = 1, .queue_max = 3 }));
    l = open_numbers(pool, &r, 100);
    for (long i = 0; i < 2000; i++)
        assert_next(l, i);
    assert_ok(shunt_lookahead_close(l));
    harness_free(pool);
}

/* ---- what cannot be ---- */

static int a_step(const long *in, const long *ctx, long *out)
{
    *out = *in + *ctx;
    return 0;
}
SHUNT_STEP(a_step, long, long, long)

static void what_cannot_be_opened_is_refused(void)
{
    shunt_pool *pool = harness_pool(1);
    struct range r = { .end = 5, .made = stage_tally() };
    shunt_lookahead *l = NULL;
    long value = 7;

    assert_status(
        shunt_lookahead_open(&l, pool, stage_same, next_number, &r, 0),
        SHUNT_EINVAL);
    assert_status(
        shunt_lookahead_open(&l, NULL, stage_same, next_number, &r, 1),
        SHUNT_EINVAL);
    assert_status(
        shunt_lookahead_open(NULL, pool, stage_same, next_number, &r, 1),
        SHUNT_EINVAL);
    assert_status(shunt_lookahead_open_task(
                      &l, pool, NULL, shunt_next_next_number, &r, 1, NULL),
                  SHUNT_EINVAL);
    assert_status(shunt_lookahead_open_task(&l, pool, &shunt_task_stage_same,
                                            NULL, &r, 1, NULL),
                  SHUNT_EINVAL);
    assert_status(shunt_lookahead_open_task(&l, pool, &shunt_task_a_step,
                                            shunt_next_next_number, &r, 1,
                                            NULL),
                  SHUNT_EINVAL);
    assert_null(l);
    assert_long(tally_of(r.made), 0);
    assert_status(shunt_lookahead_take(NULL, &value), SHUNT_EINVAL);
    assert_status(shunt_lookahead_close(NULL), SHUNT_EINVAL);
    assert_long((long)shunt_lookahead_size(NULL), 0);
    harness_free(pool);
}

static void a_value_is_not_taken_into_another_size(void)
{
    shunt_pool *pool = harness_pool(1);
    struct range r = { .end = 2 };
    shunt_lookahead *l = open_numbers(pool, &r, 2);
    char small;

    assert_status(shunt_lookahead_take(l, &small), SHUNT_EINVAL);
    assert_status(shunt_lookahead_take_sized(l, NULL, 0, SHUNT_FOREVER),
                  SHUNT_EINVAL);
    assert_next(l, 0); /* nothing was taken */
    assert_ok(shunt_lookahead_close(l));
    harness_free(pool);
}

/* An element's result is a future, which is flattened. */
static int later(const long *in, shunt_future **out)
{
    *out = shunt_submit(NULL, stage_add_one, in);
    return 0;
}
SHUNT_TASK(later, long, shunt_future *)

static void a_task_that_returns_a_future_is_flattened(void)
{
    shunt_pool *pool = harness_pool(1);
    struct range r = { .end = 50 };
    shunt_lookahead *l = NULL;

    assert_ok(shunt_lookahead_open(&l, pool, later, next_number, &r, 4));
    for (long i = 0; i < 50; i++)
        assert_next(l, i + 1);
    assert_ok(shunt_lookahead_close(l));
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(results_come_in_the_order_of_the_sequence),
    CLAIM(at_most_so_many_are_ahead),
    CLAIM(the_elements_ahead_run_while_nobody_takes),
    CLAIM(a_sequence_may_be_empty),
    CLAIM(a_failure_comes_in_its_place_and_the_rest_behind_it),
    CLAIM(a_sequence_that_fails_does_so_behind_its_elements),
    CLAIM(a_wait_that_runs_out_takes_nothing),
    CLAIM(what_has_not_started_never_does_when_it_is_closed),
    CLAIM(what_runs_is_asked_to_cancel_when_it_is_closed),
    CLAIM(it_may_be_closed_when_its_pool_has_gone),
    CLAIM(it_works_inside_a_task_of_a_pool_of_one),
    CLAIM(one_that_a_task_leaves_open_ends_with_the_task),
    CLAIM(a_task_that_is_cancelled_waits_no_more),
    CLAIM(next_may_wait_but_not_use_what_calls_it),
    CLAIM(a_full_queue_holds_the_sequence_back),
    CLAIM(what_cannot_be_opened_is_refused),
    CLAIM(a_value_is_not_taken_into_another_size),
    CLAIM(a_task_that_returns_a_future_is_flattened),
};

HARNESS_MAIN(claims)
