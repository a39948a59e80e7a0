/* SPDX-License-Identifier: MIT */
/*
 * commit_test.c - from shunt_commit on, neither a cancel nor a deadline ends a
 * task; before it, they do; and it is one or the other when they meet.
 *
 * Method. A latch holds the task on this or that side of its commit; the clock
 * stands still but for stage_advance. The races at the end need a clock that
 * goes, and a partner thread.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "stage.h"

struct stubborn {
    struct latch *started, *go, *committed, *end;
    shunt_future *pending; /* if it is to be awaited after the commit */
};

/* Out: what the commit said, or 100 and what the wait said after it. */
static int commit_between(const struct stubborn *in, long *out)
{
    latch_raise(in->started);
    if (in->go != NULL && !latch_reaches(in->go, 1))
        return STAGE_LATE;
    *out = shunt_commit();
    latch_raise(in->committed);
    if (in->pending != NULL)
        *out = 100 + shunt_await(in->pending);
    if (in->end != NULL && !latch_reaches(in->end, 1))
        return STAGE_LATE;
    return shunt_cancelled() ? 1 : 0;
}
SHUNT_TASK(commit_between, struct stubborn, long)

static struct stubborn stubborn(bool held, shunt_future *pending)
{
    return (struct stubborn){ stage_latch(), held ? stage_latch() : NULL,
                              stage_latch(),
                              pending == NULL ? stage_latch() : NULL, pending };
}

/* Submit one that has committed. */
static shunt_future *committed(shunt_pool *pool, struct stubborn in)
{
    shunt_future *f = shunt_submit_with(pool, commit_between, &in,
                                        .deadline_ns = SHUNT_MS(1));

    assert_true(latch_reaches(in.committed, 1));
    return f;
}

/* ---- after ---- */

static void what_has_committed_cannot_be_cancelled(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);
    struct stubborn in = stubborn(false, NULL);
    shunt_future *f = committed(pool, in);

    for (int i = 0; i < 3; i++)
        assert_long(shunt_cancel(f), 0);
    assert_status(shunt_status(f), SHUNT_PENDING);
    latch_raise(in.end);
    assert_takes(f, 0);
    harness_free(pool);
}

static void what_has_committed_outlives_its_deadline(void)
{
    shunt_pool *pool = stage_manual_pool(1, -1);
    struct stubborn in = stubborn(false, NULL);
    shunt_future *f = committed(pool, in);

    stage_advance(pool, SHUNT_S(1));
    assert_status(shunt_status(f), SHUNT_PENDING);
    latch_raise(in.end);
    assert_takes(f, 0);
    harness_free(pool);
}

/* Method: the only worker has run another task, so the first is parked. */
static void a_wait_after_the_commit_is_not_cut_short(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);
    struct stage_promise made = stage_promise(pool);
    struct stubborn in = stubborn(false, made.future);
    shunt_future *f = committed(pool, in);

    assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
    assert_long(shunt_cancel(f), 0);
    stage_advance(pool, SHUNT_S(1));
    assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
    assert_status(shunt_status(f), SHUNT_PENDING);
    stage_give(made.promise, 1);
    assert_takes(f, 100);
    assert_takes(made.future, 1);
    harness_free(pool);
}

static int commit_and_submit(const shunt_none *in, int64_t *out)
{
    long value = 0;

    (void)in;
    if (shunt_commit() != 0 || shunt_commit() != 0)
        return 1;
    *out = shunt_time_left_ns();
    /* It would be past its deadline. */
    return shunt_take(shunt_submit(NULL, stage_same, &(long){ 4 }), &value);
}
SHUNT_TASK(commit_and_submit, shunt_none, int64_t)

/* Goal: what is begun is done whole, by whomsoever. */
static void what_a_task_submits_after_its_commit_has_no_deadline(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);
    int64_t left = 0;

    assert_ok(shunt_take(
        shunt_submit_with(pool, commit_and_submit, NULL, .deadline_ns = 1),
        &left));
    assert_true(left == SHUNT_FOREVER);
    harness_free(pool);
}

/* ---- before ---- */

static void what_was_cancelled_cannot_commit(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);
    struct stubborn in = stubborn(true, NULL);
    shunt_future *f = shunt_submit(pool, commit_between, &in);

    assert_true(latch_reaches(in.started, 1));
    assert_long(shunt_cancel(f), 1);
    latch_raise(in.end);
    latch_raise(in.go);
    assert_fails_with(f, 1); /* it was cancelled all the while */
    assert_ok(shunt_release(f));
    harness_free(pool);
}

static void outside_a_task_there_is_nothing_to_commit(void)
{
    assert_status(shunt_commit(), SHUNT_EINVAL);
}

static void commit_in_hook(void *in)
{
    tally_add(*(struct tally **)in, shunt_commit());
}

static int with_hook(struct tally *const *in, shunt_none *out)
{
    (void)in;
    (void)out;
    return 0;
}
SHUNT_TASK(with_hook, struct tally *, shunt_none, .drop = commit_in_hook)

static void a_hook_is_outside_of_a_task(void)
{
    shunt_pool *pool = harness_pool(1);
    struct tally *said = stage_tally();

    assert_joins(shunt_submit(pool, with_hook, &said), 0);
    assert_long(tally_of(said), SHUNT_EINVAL);
    harness_free(pool);
}

/* ---- races and shutdowns ---- */

static void a_loser_that_has_committed_is_not_asked(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);
    struct stubborn in = stubborn(false, NULL);
    struct stage_promise made = stage_promise(pool);
    shunt_future *fs[2] = { committed(pool, in), made.future };
    shunt_future *race = shunt_race(fs, 2);

    stage_give(made.promise, 1);
    assert_joins(race, 0);
    latch_raise(in.end);
    /* It would have failed otherwise, and the drain would have seen it. */
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    harness_free(pool);
}

/* Method: one runs, and the other is parked and waits for it. A cancel leaves
 * both alone, and counts them. */
static void a_shutdown_waits_for_what_has_committed(void)
{
    shunt_pool *pool = stage_manual_pool(2, 0);
    struct stubborn runs = stubborn(false, NULL);
    shunt_future *f = committed(pool, runs);
    struct stubborn waits = stubborn(false, f);
    shunt_future *g = committed(pool, waits);
    size_t left = 77;

    assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
    assert_status(shunt_pool_shutdown(pool, SHUNT_CANCEL, 0, &left),
                  SHUNT_ETIMEDOUT);
    assert_long((long)left, 2);
    assert_status(shunt_status(f), SHUNT_PENDING);
    assert_status(shunt_status(g), SHUNT_PENDING);
    latch_raise(runs.end);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_CANCEL, SHUNT_FOREVER, NULL));
    assert_takes(f, 0);
    assert_takes(g, 100);
    harness_free(pool);
}

/* Method: what is parked waits for another pool, so that nothing but the kill
 * ends it; a worker process knows no other pool. */
static void only_kill_is_stronger(void)
{
    int ways = harness_isolated() ? 1 : 2;

    for (int parked = 0; parked < ways; parked++) {
        shunt_pool *pool = stage_manual_pool(1, 0);
        shunt_pool *other = harness_pool(1);
        struct stage_promise made = stage_promise(other);
        struct stubborn in = stubborn(false, parked ? made.future : NULL);
        shunt_future *f = committed(pool, in);
        size_t left = 77;
        if (parked)
            assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
        int rc = shunt_pool_shutdown(pool, SHUNT_KILL, 0, &left);
        assert_true(rc == SHUNT_ETIMEDOUT ||
                    ((parked || harness_isolated()) && rc == 0));
        assert_joins(f, SHUNT_ECANCELED);
        if (!parked && !harness_isolated())
            latch_raise(in.end);
        assert_ok(shunt_pool_shutdown(pool, SHUNT_KILL, SHUNT_FOREVER, &left));
        assert_long((long)left, 0);
        harness_free(pool);
        harness_free(other);
    }
}

struct meets {
    atomic_int *begun, *go;
};

/* Out: whether it committed; then it is not cancelled. */
static int meet(const struct meets *in, long *out)
{
    atomic_store(in->begun, 1);
    for (long i = 0; i < 100000 && atomic_load(in->go) == 0; i++)
        sched_yield();
    *out = shunt_commit() == 0;
    return shunt_cancelled() == (*out == 0) ? 0 : 1;
}
SHUNT_TASK(meet, struct meets, long)

static void a_cancel_and_a_commit_end_one_way_or_the_other(void)
{
    shunt_pool *pool = harness_pool(1);
    long rounds = harness_rounds(20000);
    atomic_int *words = stage_bytes(2 * sizeof *words);
    struct meets in = { &words[0], &words[1] };

    for (long i = 0; i < rounds; i++) {
        long did = -1;
        atomic_store(in.begun, 0);
        atomic_store(in.go, 0);
        shunt_future *f = shunt_submit(pool, meet, &in);
        while (atomic_load(in.begun) == 0)
            sched_yield();
        atomic_store(in.go, 1);
        for (volatile long j = 0; j < i % 64; j++)
            continue;
        int asked = shunt_cancel(f);
        assert_ok(shunt_take(f, &did));
        assert_long(asked, did == 0);
    }
    harness_free(pool);
}

static void a_deadline_and_a_commit_end_one_way_or_the_other(void)
{
    shunt_pool *pool = harness_pool(1);
    long rounds = harness_rounds(5000);
    atomic_int *words = stage_bytes(2 * sizeof *words);
    struct meets in = { &words[0], &words[1] };

    atomic_store(in.go, 1);
    for (long i = 0; i < rounds; i++) {
        long did = -1;
        shunt_future *f = shunt_submit_with(pool, meet, &in,
                                            .deadline_ns = 1 + i % 600 * 1000);
        int status = shunt_take(f, &did);
        assert_true((status == 0 && did == 1) ||
                    (status == SHUNT_ETIMEDOUT && did == -1));
    }
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(what_has_committed_cannot_be_cancelled),
    CLAIM(what_has_committed_outlives_its_deadline),
    CLAIM(a_wait_after_the_commit_is_not_cut_short),
    CLAIM(what_a_task_submits_after_its_commit_has_no_deadline),
    CLAIM(what_was_cancelled_cannot_commit),
    CLAIM(outside_a_task_there_is_nothing_to_commit),
    CLAIM(a_hook_is_outside_of_a_task),
    CLAIM(a_loser_that_has_committed_is_not_asked),
    CLAIM(a_shutdown_waits_for_what_has_committed),
    CLAIM(only_kill_is_stronger),
    CLAIM(a_cancel_and_a_commit_end_one_way_or_the_other),
    CLAIM(a_deadline_and_a_commit_end_one_way_or_the_other),
};

HARNESS_MAIN(claims)
