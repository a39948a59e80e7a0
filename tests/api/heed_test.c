/* SPDX-License-Identifier: MIT */
/*
 * heed_test.c - the future of shunt_cancel_future: it succeeds when its task is
 * asked to cancel or given up, and fails when the task ends without that.
 *
 * Method. The task leaves a handle where the test finds it, or hangs something
 * on it; latches hold the task before and after. The clock stands still but for
 * stage_advance.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "stage.h"

/* How a task ends that heeds. */
enum ending {
    WELL,
    BADLY,
    CANCELLED_UNASKED,
    AS_TIMED_OUT,
    AS_CANCELLED,
    COMMITTED,
    PARKED
};

struct heeds {
    shunt_future **out; /* the handle, for the test to retain */
    struct latch *before, *started, *go;
    shunt_future *other; /* to fail as, or to wait for */
    enum ending how;
};

static int end_as(const struct heeds *in)
{
    switch (in->how) {
    case BADLY:
        return 7;
    case CANCELLED_UNASKED:
        return SHUNT_ECANCELED;
    case AS_TIMED_OUT:
    case AS_CANCELLED:
        return shunt_fail_as(in->other);
    case PARKED:
        return shunt_await(in->other);
    default:
        return 0;
    }
}

static int heed(const struct heeds *in, long *out)
{
    (void)out;
    if (in->how == COMMITTED && shunt_commit() != 0)
        return 1;
    if (in->before != NULL && !latch_reaches(in->before, 1))
        return STAGE_LATE;
    *in->out = shunt_cancel_future();
    latch_raise(in->started);
    if (in->go != NULL && !latch_reaches(in->go, 1))
        return STAGE_LATE;
    return end_as(in);
}
SHUNT_TASK(heed, struct heeds, long)

static struct heeds heeds(enum ending how, shunt_future *other)
{
    return (struct heeds){ .out = stage_bytes(sizeof(shunt_future *)),
                           .started = stage_latch(),
                           .go = stage_latch(),
                           .other = other,
                           .how = how };
}

/* The future of a task that has got that far; a handle of the test's own. */
static shunt_future *its_future(struct heeds in)
{
    shunt_future *c;

    assert_true(latch_reaches(in.started, 1));
    c = shunt_retain(*in.out);
    assert_non_null(c);
    return c;
}

static shunt_future *timed_out(shunt_pool *pool)
{
    return shunt_timeout(stage_promise(pool).future, 0);
}

/* ---- never asked ---- */

/* Goal: how it ends does not matter, not even if it is with the failure of
 * something that was cancelled or timed out itself. */
static void it_fails_when_the_task_ends_unasked(void)
{
    for (int how = WELL; how <= COMMITTED; how++) {
        shunt_pool *pool = stage_manual_pool(1, 0);
        shunt_future *other = how == AS_TIMED_OUT ? timed_out(pool)
                                                  : stage_cancelled(pool);
        struct heeds in = heeds((enum ending)how, other);
        shunt_future *f = shunt_submit(pool, heed, &in);
        shunt_future *c = its_future(in);
        if (how == COMMITTED)
            assert_long(shunt_cancel(f), 0);
        assert_status(shunt_status(c), SHUNT_PENDING);
        latch_raise(in.go);
        assert_joins(c, SHUNT_ECANCELED);
        assert_joins(f, how == WELL || how == COMMITTED ? 0
                        : how == AS_TIMED_OUT           ? SHUNT_ETIMEDOUT
                        : how == AS_CANCELLED           ? SHUNT_ECANCELED
                                                        : SHUNT_EFAILED);
        assert_ok(shunt_release(other));
        harness_free(pool);
    }
}

static void outside_a_task_there_is_none(void)
{
    assert_joins(shunt_cancel_future(), SHUNT_EINVAL);
}

static void heed_in_hook(void *in)
{
    shunt_future *c = shunt_cancel_future();

    tally_add(*(struct tally **)in, shunt_status(c));
}

static int with_hook(struct tally *const *in, shunt_none *out)
{
    (void)in;
    (void)out;
    return 0;
}
SHUNT_TASK(with_hook, struct tally *, shunt_none, .drop = heed_in_hook)

static void a_hook_has_none(void)
{
    shunt_pool *pool = harness_pool(1);
    struct tally *said = stage_tally();

    assert_joins(shunt_submit(pool, with_hook, &said), 0);
    assert_long(tally_of(said), SHUNT_EINVAL);
    harness_free(pool);
}

/* ---- asked ---- */

static void it_succeeds_when_the_task_is_asked(void)
{
    for (int committed_late = 0; committed_late < 2; committed_late++) {
        shunt_pool *pool = harness_pool(1);
        struct heeds in = heeds(WELL, NULL);
        shunt_future *f = shunt_submit(pool, heed, &in);
        shunt_future *c = its_future(in);
        for (int i = 0; i < 3; i++)
            assert_long(shunt_cancel(f), 1);
        assert_ok(shunt_status(c));
        assert_non_null(shunt_peek(c, shunt_none));
        latch_raise(in.go);
        assert_joins(f, 0);
        assert_joins(c, 0);
        harness_free(pool);
    }
}

static void it_has_succeeded_if_the_task_was_asked_before(void)
{
    shunt_pool *pool = harness_pool(1);
    struct heeds in = heeds(WELL, NULL);

    in.before = stage_latch();
    shunt_future *f = shunt_submit(pool, heed, &in);
    assert_long(shunt_cancel(f), 1);
    latch_raise(in.before);
    int rc = 0;
    /* It may have been queued still when it was asked. */
    if (latch_reaches(in.started, shunt_status(f) == SHUNT_PENDING)) {
        shunt_future *c = shunt_retain(*in.out);
        rc = c == NULL ? SHUNT_ECANCELED : shunt_join(c);
    }
    latch_raise(in.go);
    assert_true(rc == 0 || shunt_join(shunt_retain(f)) == SHUNT_ECANCELED);
    assert_ok(shunt_release(f));
    harness_free(pool);
}

/* Method: the only worker has run another task, so the first is parked. */
static void it_succeeds_when_a_parked_task_is_asked(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int i = 0; i < 100; i++) {
        struct stage_promise made = stage_promise(pool);
        struct heeds in = heeds(PARKED, made.future);
        shunt_future *f;
        in.go = NULL;
        f = shunt_submit(pool, heed, &in);
        shunt_future *c = its_future(in);
        assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
        assert_long(shunt_cancel(f), 1);
        assert_joins(c, 0);
        assert_joins(f, SHUNT_ECANCELED);
        stage_give(made.promise, 1);
        assert_takes(made.future, 1);
    }
    harness_free(pool);
}

/* Goal: heeding is no reason to keep a task that nobody wants. */
static void a_loser_that_heeds_is_asked(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);
    struct heeds in = heeds(WELL, NULL);
    shunt_future *fs[2] = { shunt_submit(pool, heed, &in), made.future };
    shunt_future *c = its_future(in);
    shunt_future *race = shunt_race(fs, 2);

    assert_status(shunt_status(c), SHUNT_PENDING);
    stage_give(made.promise, 1);
    assert_joins(race, 0);
    assert_joins(c, 0);
    latch_raise(in.go);
    harness_free(pool);
}

static void it_succeeds_when_the_task_is_given_up_at_its_deadline(void)
{
    for (int parked = 0; parked < 2; parked++) {
        shunt_pool *pool = stage_manual_pool(1, 0);
        struct stage_promise made = stage_promise(pool);
        struct heeds in = heeds(parked ? PARKED : WELL, made.future);
        if (parked)
            in.go = NULL;
        shunt_future *f =
            shunt_submit_with(pool, heed, &in, .deadline_ns = SHUNT_MS(1));
        shunt_future *c = its_future(in);
        if (parked)
            assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
        stage_advance(pool, SHUNT_MS(1));
        assert_ok(shunt_status(c));
        assert_joins(f, SHUNT_ETIMEDOUT);
        assert_joins(c, 0);
        if (!parked)
            latch_raise(in.go);
        harness_free(pool);
    }
}

static int use_a_record(const shunt_none *in, long *out)
{
    (void)in;
    *out = shunt_status(shunt_cancel_future());
    return 0;
}
SHUNT_TASK(use_a_record, shunt_none, long)

/* Method: a shutdown looks at all records in their order. The worker gets some
 * before the test takes many, so its lie before or behind that of the task. */
static void it_succeeds_when_the_pool_is_cancelled_or_killed(void)
{
    enum {
        MANY = 300
    };

    for (int i = 0; i < 4; i++) {
        bool kill = i % 2 == 1;
        shunt_pool *pool = harness_pool(1);
        struct heeds in = heeds(WELL, NULL);
        shunt_future *given[MANY];
        if (i < 2)
            assert_takes(shunt_submit(pool, use_a_record, NULL), SHUNT_PENDING);
        for (long j = 0; j < MANY; j++)
            given[j] = stage_given(pool, j);
        shunt_future *f = shunt_submit(pool, heed, &in);
        shunt_future *c = its_future(in);
        assert_status(shunt_pool_shutdown(
                          pool, kill ? SHUNT_KILL : SHUNT_CANCEL, 0, NULL),
                      SHUNT_ETIMEDOUT);
        assert_joins(c, 0);
        latch_raise(in.go);
        assert_joins(f, kill ? SHUNT_ECANCELED : 0);
        assert_takes(given[MANY - 1], MANY - 1);
        harness_free(pool);
    }
}

struct flat {
    shunt_future **out;
    shunt_future *inner;
    struct latch *started;
};

static int heed_and_return(const struct flat *in, shunt_future **out)
{
    *in->out = shunt_cancel_future();
    latch_raise(in->started);
    *out = shunt_retain(in->inner);
    return 0;
}
SHUNT_TASK(heed_and_return, struct flat, shunt_future *)

/* Method: the task has returned a future and waits for what becomes of it. */
static void it_heeds_a_task_that_follows_what_it_returned(void)
{
    for (int asked = 0; asked < 2; asked++) {
        shunt_pool *pool = harness_pool(1);
        struct stage_promise made = stage_promise(pool);
        struct stage_hold hold = stage_hold(pool);
        struct flat in = { stage_bytes(sizeof(shunt_future *)), made.future,
                           stage_latch() };
        shunt_future *f = shunt_submit(pool, heed_and_return, &in);
        shunt_future *next = shunt_submit(pool, stage_nothing, NULL);
        stage_let(hold);
        assert_true(latch_reaches(in.started, 1));
        shunt_future *c = shunt_retain(*in.out);
        assert_joins(next, 0);
        if (asked)
            assert_long(shunt_cancel(f), 1);
        else
            stage_give(made.promise, 3);
        if (c != NULL)
            assert_joins(c, asked ? 0 : SHUNT_ECANCELED);
        assert_joins(f, asked ? SHUNT_ECANCELED : 0);
        if (asked)
            stage_give(made.promise, 3);
        assert_takes(made.future, 3);
        harness_free(pool);
    }
}

/* ---- what hangs on it ---- */

static int count(const shunt_none *in, struct tally *const *ctx, long *out)
{
    (void)in;
    *out = tally_add(*ctx, 1);
    return 0;
}
SHUNT_STEP(count, shunt_none, struct tally *, long)

struct hangs {
    struct heeds heeds;
    struct tally *told;
    shunt_future *never;
    shunt_future **race;
};

static int hang_on_it(const struct hangs *in, long *out)
{
    shunt_future *fs[2] = { in->never, shunt_cancel_future() };

    *in->race = shunt_race(fs, 2);
    (void)shunt_then_with(shunt_cancel_future(), count, &in->told);
    return heed(&in->heeds, out);
}
SHUNT_TASK(hang_on_it, struct hangs, long)

static void a_step_and_a_race_are_told(void)
{
    for (int asked = 0; asked < 2; asked++) {
        shunt_pool *pool = harness_pool(2);
        struct hangs in = { heeds(WELL, NULL), stage_tally(),
                            stage_promise(pool).future,
                            stage_bytes(sizeof(shunt_future *)) };
        shunt_future *f = shunt_submit(pool, hang_on_it, &in);
        shunt_future *c = its_future(in.heeds);
        shunt_future *race = shunt_retain(*in.race);
        if (asked)
            assert_long(shunt_cancel(f), 1);
        if (asked)
            assert_settles(race, 0);
        assert_status(shunt_status(f), SHUNT_PENDING);
        latch_raise(in.heeds.go);
        assert_joins(f, 0);
        assert_joins(race, asked ? 0 : SHUNT_ECANCELED);
        assert_joins(c, asked ? 0 : SHUNT_ECANCELED);
        assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
        assert_long(tally_of(in.told), asked);
        harness_free(pool);
    }
}

static int ask_often(const struct heeds *in, long *out)
{
    shunt_future *first = shunt_cancel_future();

    for (int i = 0; i < 1000; i++) {
        shunt_future *c = shunt_cancel_future();
        *out += c == first || shunt_status(c) != SHUNT_PENDING ||
                shunt_release(c) != 0 || shunt_release(c) != SHUNT_EINVAL;
    }
    *in->out = first;
    latch_raise(in->started);
    return latch_reaches(in->go, 1) ? 0 : STAGE_LATE;
}
SHUNT_TASK(ask_often, struct heeds, long)

static void each_call_gives_another_handle(void)
{
    shunt_pool *pool = harness_pool(1);
    struct heeds in = heeds(WELL, NULL);
    shunt_future *f = shunt_submit(pool, ask_often, &in);
    shunt_future *c = its_future(in);

    assert_long(shunt_cancel(f), 1);
    assert_joins(c, 0);
    latch_raise(in.go);
    assert_takes(f, 0);
    harness_free(pool);
}

/* To cancel it is not to cancel its task. */
static void it_can_be_cancelled_itself(void)
{
    shunt_pool *pool = harness_pool(1);
    struct heeds in = heeds(WELL, NULL);
    shunt_future *f = shunt_submit(pool, heed, &in);
    shunt_future *c = its_future(in);

    assert_long(shunt_cancel(c), 1);
    assert_joins(c, SHUNT_ECANCELED);
    assert_status(shunt_status(f), SHUNT_PENDING);
    assert_long(shunt_cancel(f), 1);
    latch_raise(in.go);
    assert_joins(f, 0);
    harness_free(pool);
}

/* A handle that is the test's keeps what becomes of it, not the task. */
static void it_outlives_its_task(void)
{
    shunt_pool *pool = harness_pool(1);
    struct heeds in = heeds(WELL, NULL);
    shunt_future *f = shunt_submit(pool, heed, &in);
    shunt_future *c = shunt_via(pool, its_future(in));

    latch_raise(in.go);
    assert_joins(f, 0);
    for (int i = 0; i < 100; i++)
        assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
    assert_stale(*in.out);
    assert_joins(c, SHUNT_ECANCELED);
    harness_free(pool);
}

/* ---- races ---- */

struct brief {
    atomic_int *begun;
    shunt_future *_Atomic *out;
};

static int heed_briefly(const struct brief *in, long *out)
{
    shunt_future *c = shunt_cancel_future();

    atomic_store(in->out, c);
    atomic_store(in->begun, 1);
    *out = shunt_status(c) == 0;
    return shunt_cancelled() ? SHUNT_ECANCELED : 0;
}
SHUNT_TASK(heed_briefly, struct brief, long)

/* Method: the test asks as the task begins to heed, or ends. Whether the task
 * ended cancelled is what its future says, in the end. */
static void asking_as_a_task_begins_to_heed_is_not_lost(void)
{
    shunt_pool *pool = harness_pool(1);
    struct brief in = { stage_bytes(sizeof(atomic_int)),
                        stage_bytes(sizeof(shunt_future *)) };
    long rounds = 20000 / (long)harness_slowness();

    for (long i = 0; i < rounds; i++) {
        atomic_store(in.begun, 0);
        shunt_future *f = shunt_submit(pool, heed_briefly, &in);
        for (long j = 0; j < i % 100; j++)
            if (atomic_load(in.begun) != 0)
                break;
        int asked = shunt_cancel(f);
        shunt_future *c = atomic_load(in.begun) != 0
                              ? shunt_retain(atomic_load(in.out))
                              : NULL;
        int status = harness_await(f);
        assert_true(status == 0 || (asked == 1 && status == SHUNT_ECANCELED));
        if (c != NULL && status == SHUNT_ECANCELED)
            assert_joins(c, 0);
        else if (c != NULL)
            assert_true(shunt_join(c) == (asked == 1 ? 0 : SHUNT_ECANCELED));
        assert_ok(shunt_release(f));
    }
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(it_fails_when_the_task_ends_unasked),
    CLAIM(outside_a_task_there_is_none),
    CLAIM(a_hook_has_none),
    CLAIM(it_succeeds_when_the_task_is_asked),
    CLAIM(it_has_succeeded_if_the_task_was_asked_before),
    CLAIM(it_succeeds_when_a_parked_task_is_asked),
    CLAIM(a_loser_that_heeds_is_asked),
    CLAIM(it_succeeds_when_the_task_is_given_up_at_its_deadline),
    CLAIM(it_succeeds_when_the_pool_is_cancelled_or_killed),
    CLAIM(it_heeds_a_task_that_follows_what_it_returned),
    CLAIM(a_step_and_a_race_are_told),
    CLAIM(each_call_gives_another_handle),
    CLAIM(it_can_be_cancelled_itself),
    CLAIM(it_outlives_its_task),
    CLAIM(asking_as_a_task_begins_to_heed_is_not_lost),
};

HARNESS_MAIN(claims)
