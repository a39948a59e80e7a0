/* SPDX-License-Identifier: MIT */
/*
 * deadline_test.c - a task's deadline, wherever the task is when it comes:
 * queued, running, parked, behind another future, settled.
 *
 * Method. The clock stands still but for stage_advance, so no time passes in
 * these claims; but for the races at the end, which need a clock that does not
 * wait for them. What a deadline does to the workers is in standin_test.c, who
 * inherits it in inherit_test.c, and what memory it leaves in kept_test.c.
 */
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "stage.h"

/* ---- a task that looks neither left nor right ---- */

struct stubborn {
    struct latch *started, *go;
    struct tally *asked, *ran, *dropped;
    int rc;
};

static void drop_stubborn(void *in)
{
    tally_add(((struct stubborn *)in)->dropped, 1);
}

static int be_stubborn(const struct stubborn *in, long *out)
{
    tally_add(in->ran, 1);
    latch_raise(in->started);
    if (!latch_reaches(in->go, 1))
        return STAGE_LATE;
    tally_add(in->asked, shunt_cancelled());
    *out = 5;
    return in->rc == 0 ? 0 : shunt_fail(in->rc, "it failed later");
}
SHUNT_TASK(be_stubborn, struct stubborn, long, .drop = drop_stubborn)

static struct stubborn stubborn(int rc)
{
    return (struct stubborn){ stage_latch(), stage_latch(), stage_tally(),
                              stage_tally(), stage_tally(), rc };
}

static void assert_counts(struct stubborn s, long ran, long asked, long dropped)
{
    assert_long(tally_of(s.ran), ran);
    assert_long(tally_of(s.asked), asked);
    assert_long(tally_of(s.dropped), dropped);
}

/* What became of code that was given up: on a thread it went on, and knew that
 * it had been asked to cancel; a process was killed. */
static void assert_given_up(struct stubborn s)
{
    long dropped = tally_of(s.dropped);

    if (harness_isolated())
        assert_counts(s, 1, 0, dropped <= 1 ? dropped : 1);
    else
        assert_counts(s, 1, 1, 1);
}

/* ---- queued ---- */

/* Method: the only worker is held, so nobody but the clock can settle it. */
static void a_queued_task_whose_deadline_passes_never_starts(void)
{
    shunt_pool *pool = stage_manual_pool(1, -1);
    struct stage_hold hold = stage_hold(pool);
    struct stubborn in = stubborn(0);
    shunt_future *f =
        shunt_submit_with(pool, be_stubborn, &in, .deadline_ns = SHUNT_MS(10));

    stage_advance(pool, SHUNT_MS(10) - 1);
    assert_status(shunt_status(f), SHUNT_PENDING);
    stage_advance(pool, 1);
    assert_status(shunt_status(f), SHUNT_ETIMEDOUT);
    assert_counts(in, 0, 0, 1);
    const shunt_error *error = shunt_error_of(f);
    assert_long(error->code, SHUNT_ETIMEDOUT);
    assert_long(error->attempts, 0);
    assert_string_equal(error->task, "be_stubborn");
    assert_non_null(strstr(error->message, "before it started"));
    assert_long(shunt_cancel(f), 0);
    stage_let(hold);
    assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
    assert_joins(f, SHUNT_ETIMEDOUT);
    harness_free(pool);
    assert_counts(in, 0, 0, 1);
}

static void queued_tasks_end_each_at_its_own_deadline(void)
{
    enum {
        QUEUED = 200
    };
    shunt_pool *pool = stage_manual_pool(1, -1);
    struct stage_hold hold = stage_hold(pool);
    struct stubborn in = stubborn(0);
    shunt_future *fs[QUEUED];
    size_t order[QUEUED];

    stage_shuffle(order, QUEUED);
    for (int i = 0; i < QUEUED; i++)
        fs[order[i]] = shunt_submit_with(pool, be_stubborn, &in,
                                         .deadline_ns = 1 + (int64_t)order[i]);
    for (int now = 0; now < QUEUED; now++) {
        assert_status(shunt_status(fs[now]), SHUNT_PENDING);
        stage_advance(pool, 1);
        assert_status(shunt_status(fs[now]), SHUNT_ETIMEDOUT);
    }
    stage_let(hold);
    for (int i = 0; i < QUEUED; i++)
        assert_joins(fs[i], SHUNT_ETIMEDOUT);
    harness_free(pool);
    assert_counts(in, 0, 0, QUEUED);
}

/* Method: none of them is accepted, so none is dropped. */
static void a_deadline_of_the_past_refuses_the_task(void)
{
    static const int64_t past[] = { -1, -SHUNT_S(1000), INT64_MIN };
    shunt_pool *pool = stage_manual_pool(1, 0);
    struct stubborn in = stubborn(0);

    for (int i = 0; i < 3; i++) {
        shunt_future *f =
            shunt_submit_with(pool, be_stubborn, &in, .deadline_ns = past[i]);
        assert_status(shunt_status(f), SHUNT_ETIMEDOUT);
        assert_long(shunt_error_of(f)->code, SHUNT_ETIMEDOUT);
        assert_joins(shunt_then(f, stage_same), SHUNT_ETIMEDOUT);
    }
    harness_free(pool);
    assert_counts(in, 0, 0, 0);
}

static int tell_time_left(const shunt_none *in, int64_t *out)
{
    (void)in;
    *out = shunt_time_left_ns();
    return 0;
}
SHUNT_TASK(tell_time_left, shunt_none, int64_t)

static int64_t time_left(shunt_pool *pool, int64_t deadline_ns)
{
    int64_t left = -1;

    assert_ok(shunt_take(shunt_submit_with(pool, tell_time_left, NULL,
                                           .deadline_ns = deadline_ns),
                         &left));
    return left;
}

static void a_deadline_may_lie_as_far_ahead_as_there_is_time(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0), *real = harness_pool(1);

    assert_true(time_left(pool, 0) == SHUNT_FOREVER);
    assert_true(time_left(pool, SHUNT_FOREVER) == SHUNT_FOREVER);
    assert_true(time_left(pool, SHUNT_FOREVER - 1) == SHUNT_FOREVER - 1);
    assert_true(time_left(pool, 77) == 77);
    stage_advance(pool, 1000);
    assert_true(time_left(pool, SHUNT_FOREVER - 1) == SHUNT_FOREVER);
    assert_true(time_left(pool, 77) == 77);
    stage_advance(pool, SHUNT_FOREVER);
    assert_true(time_left(pool, 77) == SHUNT_FOREVER);
    /* A clock that goes by itself was at some moment before. */
    assert_true(time_left(real, SHUNT_FOREVER - 1) == SHUNT_FOREVER);
    int64_t left = time_left(real, SHUNT_S(1000));
    assert_true(left > 0 && left <= SHUNT_S(1000));
    assert_true(shunt_time_left_ns() == SHUNT_FOREVER);
    harness_free(pool);
    harness_free(real);
}

/* Method: what is refused for want of room has a deadline, and so has what is
 * queued: when that has ended there is room again. */
static void tasks_that_end_in_a_full_queue_make_room(void)
{
    enum {
        ROUNDS = 50
    };
    shunt_pool *pool = NULL;
    struct stubborn in = stubborn(0);

    assert_ok(shunt_pool_new(&pool, &(shunt_options){ .workers = 1,
                                                      .queue_max = 2,
                                                      .manual_clock = true }));
    struct stage_hold hold = stage_hold(pool);
    for (int i = 0; i < ROUNDS; i++) {
        shunt_future *fs[3];
        for (int j = 0; j < 3; j++)
            fs[j] = shunt_submit_with(pool, be_stubborn, &in,
                                      .deadline_ns = SHUNT_MS(1));
        assert_status(shunt_status(fs[1]), SHUNT_PENDING);
        assert_joins(fs[2], SHUNT_EAGAIN);
        stage_advance(pool, SHUNT_MS(1));
        assert_joins(fs[0], SHUNT_ETIMEDOUT);
        assert_joins(fs[1], SHUNT_ETIMEDOUT);
    }
    stage_let(hold);
    harness_free(pool);
    assert_counts(in, 0, 0, 2 * ROUNDS);
}

static void a_task_that_ends_in_time_has_no_deadline_any_more(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);
    struct stubborn in = stubborn(0);

    latch_raise(in.go);
    for (int i = 0; i < 300; i++) {
        shunt_future *f = shunt_submit_with(pool, be_stubborn, &in,
                                            .deadline_ns = SHUNT_MS(1));
        assert_settles(f, 0);
        stage_advance(pool, SHUNT_S(1));
        assert_takes(f, 5);
    }
    harness_free(pool);
    assert_counts(in, 300, 0, 300);
}

/* ---- running ---- */

static shunt_future *start(shunt_pool *pool, struct stubborn in)
{
    shunt_future *f =
        shunt_submit_with(pool, be_stubborn, &in, .deadline_ns = SHUNT_MS(10));

    assert_true(latch_reaches(in.started, 1));
    return f;
}

/* Method: what its code does later, with success or failure, changes nothing
 * of what became of the future. The only worker is there for another task, in
 * processes without anything that lets the code end. */
static void a_running_task_is_given_up_at_its_deadline(void)
{
    static const int rcs[] = { 0, 7, SHUNT_ECANCELED };

    for (int i = 0; i < 3; i++) {
        shunt_pool *pool = stage_manual_pool(1, -1);
        struct stubborn in = stubborn(rcs[i]);
        shunt_future *f = start(pool, in);
        stage_advance(pool, SHUNT_MS(10) - 1);
        assert_status(shunt_status(f), SHUNT_PENDING);
        stage_advance(pool, 1);
        assert_status(shunt_status(f), SHUNT_ETIMEDOUT);
        if (!harness_isolated()) {
            assert_counts(in, 1, 0, 0);
            latch_raise(in.go);
        }
        assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
        assert_given_up(in);
        const shunt_error *error = shunt_error_of(f);
        assert_long(error->code, SHUNT_ETIMEDOUT);
        assert_long(error->task_code, 0);
        assert_long(error->attempts, 1);
        assert_string_equal(error->task, "be_stubborn");
        assert_non_null(strstr(error->message, "while it ran"));
        assert_null(shunt_peek(f, long));
        assert_joins(f, SHUNT_ETIMEDOUT);
        harness_free(pool);
        assert_given_up(in);
    }
}

static int see(const shunt_outcome *in, struct tally *const *ctx,
               shunt_none *out)
{
    (void)out;
    tally_add(*ctx, in->status);
    return 0;
}
SHUNT_STEP(see, shunt_outcome, struct tally *, shunt_none)

/* Method: the code that runs on keeps the first worker all the while. */
static void dependants_go_on_while_the_code_runs(void)
{
    shunt_pool *pool = stage_manual_pool(2, 0);
    struct stubborn in = stubborn(0);
    struct tally *seen = stage_tally();
    shunt_future *f = start(pool, in);
    shunt_future *pending = stage_promise(pool).future;
    shunt_future *fs[2] = { shunt_retain(f), pending };
    shunt_future *then = shunt_then(shunt_retain(f), stage_same);
    shunt_future *recover = shunt_recover(shunt_retain(f), stage_code);
    shunt_future *finally = shunt_finally_with(shunt_retain(f), see, &seen);
    shunt_future *all = shunt_when_all(fs, 2);

    stage_advance(pool, SHUNT_MS(10));
    assert_joins(then, SHUNT_ETIMEDOUT);
    assert_takes(recover, SHUNT_ETIMEDOUT);
    assert_joins(finally, SHUNT_ETIMEDOUT);
    assert_long(tally_of(seen), SHUNT_ETIMEDOUT);
    assert_joins(all, SHUNT_ETIMEDOUT);
    assert_joins(f, SHUNT_ETIMEDOUT);
    if (!harness_isolated()) {
        assert_counts(in, 1, 0, 0);
        latch_raise(in.go);
        /* shunt_pool_free would not wait for it. */
        while (tally_of(in.dropped) == 0)
            sched_yield();
    }
    harness_free(pool);
    assert_given_up(in);
}

struct busy {
    struct latch *started, *go;
    shunt_pool *other;
    shunt_future *settled, *pending;
    struct tally *ran;
};

static int refused(shunt_future *f)
{
    int rc = shunt_status(f);

    return shunt_release(f) != 0 || rc == SHUNT_ETIMEDOUT;
}

/* What a task that was given up may still do: 0, or where it went wrong. */
static int keep_busy(const struct busy *in, long *out)
{
    static const long ins[2] = { 1, 2 };
    struct job job = { .ran = in->ran };
    shunt_future *f = shunt_retain(in->settled);

    latch_raise(in->started);
    *out = !latch_reaches(in->go, 1)                            ? 1
           : !shunt_cancelled() || shunt_time_left_ns() != 0    ? 2
           : !refused(shunt_submit(NULL, stage_job, &job))      ? 3
           : !refused(shunt_submit(in->other, stage_job, &job)) ? 4
           : !refused(shunt_submit_wait(NULL, stage_job, &job)) ? 5
           : !refused(shunt_submit_with(NULL, stage_job, &job,
                                        .deadline_ns = SHUNT_S(9)))
               ? 6
           : !refused(shunt_then(f, stage_same))                      ? 7
           : !refused(shunt_map(NULL, stage_same, ins, 2))            ? 8
           : shunt_await(in->pending) != SHUNT_ECANCELED              ? 9
           : shunt_await_for(in->pending, 1) != SHUNT_ECANCELED       ? 10
           : shunt_join(shunt_retain(in->pending)) != SHUNT_ECANCELED ? 11
           : shunt_await(in->settled) != 0                            ? 12
           : shunt_commit() != SHUNT_ECANCELED                        ? 13
                                                                      : 0;
    tally_add(in->ran, *out == 0 ? 1000 : *out);
    return 0;
}
SHUNT_TASK(keep_busy, struct busy, long)

static void code_that_was_given_up_gets_nothing_done_any_more(void)
{
    shunt_pool *pool = stage_manual_pool(1, -1), *other = harness_pool(1);
    struct stage_promise pending = stage_promise(pool);
    struct busy in = { stage_latch(),        stage_latch(),  other,
                       stage_given(pool, 1), pending.future, stage_tally() };
    shunt_future *f =
        shunt_submit_with(pool, keep_busy, &in, .deadline_ns = SHUNT_MS(1));

    assert_true(latch_reaches(in.started, 1));
    stage_advance(pool, SHUNT_MS(1));
    assert_joins(f, SHUNT_ETIMEDOUT);
    latch_raise(in.go);
    assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
    harness_free(other);
    assert_long(tally_of(in.ran), 1000);
    assert_takes(in.settled, 1);
    stage_give(pending.promise, 1);
    assert_takes(pending.future, 1);
    harness_free(pool);
}

struct makes {
    struct latch *started, *go;
    shunt_future **future;
    shunt_promise **promise;
};

static int make_a_promise(const struct makes *in, long *out)
{
    (void)out;
    if (shunt_promise_new(NULL, long, in->promise, in->future) != 0)
        return 1;
    latch_raise(in->started);
    return latch_reaches(in->go, 1) ? 0 : STAGE_LATE;
}
SHUNT_TASK(make_a_promise, struct makes, long)

/* Goal: a promise is its maker's as long as the code runs, and no longer. */
static void a_promise_of_code_that_was_given_up_ends_with_the_code(void)
{
    shunt_pool *pool = stage_manual_pool(1, -1);
    struct makes in = { stage_latch(), stage_latch(),
                        stage_bytes(sizeof(shunt_future *)),
                        stage_bytes(sizeof(shunt_promise *)) };
    shunt_future *f = shunt_submit_with(pool, make_a_promise, &in,
                                        .deadline_ns = SHUNT_MS(1));

    assert_true(latch_reaches(in.started, 1));
    shunt_future *of_promise = shunt_retain(*in.future);
    stage_advance(pool, SHUNT_MS(1));
    assert_joins(f, SHUNT_ETIMEDOUT);
    if (!harness_isolated()) {
        assert_status(shunt_status(of_promise), SHUNT_PENDING);
        latch_raise(in.go);
    }
    assert_joins(of_promise, SHUNT_ECANCELED);
    assert_status(shunt_promise_drop(*in.promise), SHUNT_EINVAL);
    harness_free(pool);
}

/* ---- parked ---- */

enum {
    BY_AWAIT,
    BY_AWAIT_FOR,
    BY_JOIN,
    BY_TAKE,
    WAYS
};

struct waits {
    shunt_future *pending;
    struct latch *started, *done;
    struct tally *saw;
    int how;
};

static int wait_by(shunt_future *f, int how)
{
    long value;

    switch (how) {
    case BY_AWAIT:
        return shunt_await(f);
    case BY_AWAIT_FOR:
        return shunt_await_for(f, SHUNT_S(1000));
    case BY_JOIN:
        return shunt_join(shunt_retain(f));
    default:
        return shunt_take(shunt_retain(f), &value);
    }
}

static int wait_in_vain(const struct waits *in, long *out)
{
    (void)out;
    latch_raise(in->started);
    tally_add(in->saw, wait_by(in->pending, in->how));
    latch_raise(in->done);
    return SHUNT_ECANCELED;
}
SHUNT_TASK(wait_in_vain, struct waits, long)

/* Goal: the future fails with SHUNT_ETIMEDOUT, though its code is back before
 * anybody else, and says that it was cancelled. Method: the only worker has run
 * another task, so the first is parked. */
static void a_parked_task_is_given_up_and_its_wait_is_cancelled(void)
{
    enum {
        ROUNDS = 1000
    };
    shunt_pool *pool = stage_manual_pool(1, 0);

    for (int i = 0; i < ROUNDS; i++) {
        struct stage_promise made = stage_promise(pool);
        struct waits in = { made.future, stage_latch(), stage_latch(),
                            stage_tally(), i % WAYS };
        shunt_future *f = shunt_submit_with(pool, wait_in_vain, &in,
                                            .deadline_ns = SHUNT_MS(1));
        assert_true(latch_reaches(in.started, 1));
        assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
        stage_advance(pool, SHUNT_MS(1));
        assert_status(shunt_status(f), SHUNT_ETIMEDOUT);
        assert_joins(f, SHUNT_ETIMEDOUT);
        assert_true(latch_reaches(in.done, 1));
        assert_long(tally_of(in.saw), SHUNT_ECANCELED);
        stage_give(made.promise, 1);
        assert_takes(made.future, 1);
    }
    harness_free(pool);
}

static void a_wait_that_ends_in_time_is_not_cut_short(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);

    for (int how = 0; how < WAYS; how++) {
        struct stage_promise made = stage_promise(pool);
        struct waits in = { made.future, stage_latch(), stage_latch(),
                            stage_tally(), how };
        shunt_future *f = shunt_submit_with(pool, wait_in_vain, &in,
                                            .deadline_ns = SHUNT_MS(1));
        assert_true(latch_reaches(in.started, 1));
        stage_advance(pool, SHUNT_MS(1) - 1);
        stage_give(made.promise, 1);
        assert_fails_with(f, SHUNT_ECANCELED); /* unasked, so a failure */
        assert_ok(shunt_release(f));
        stage_advance(pool, 1);
        assert_long(tally_of(in.saw), 0);
        assert_takes(made.future, 1);
    }
    harness_free(pool);
}

/* ---- races ---- */

struct brief {
    struct tally *ran, *dropped;
};

static void drop_brief(void *in)
{
    tally_add(((struct brief *)in)->dropped, 1);
}

static int be_brief(const struct brief *in, long *out)
{
    tally_add(in->ran, 1);
    *out = 3;
    return 0;
}
SHUNT_TASK(be_brief, struct brief, long, .drop = drop_brief)

/* Goal: a task whose deadline is far away never misses it, whoever is faster:
 * its worker, or the thread that submits it. */
static void a_task_that_is_done_at_once_does_not_miss_its_deadline(void)
{
    shunt_pool *pool = harness_pool(2);
    struct brief in = { stage_tally(), stage_tally() };
    long rounds = 100000 / (long)harness_slowness();

    for (long i = 0; i < rounds; i++)
        assert_takes(shunt_submit_with(pool, be_brief, &in,
                                       .deadline_ns = SHUNT_S(1000)),
                     3);
    harness_free(pool);
    assert_long(tally_of(in.ran), rounds);
    assert_long(tally_of(in.dropped), rounds);
}

/* Method: deadlines of about the time that a task takes to start, on a clock
 * that goes; and a cancel beside them. */
static void a_task_ends_one_way_or_the_other(void)
{
    shunt_pool *pool = harness_pool(2);
    struct brief in = { stage_tally(), stage_tally() };
    long rounds = 10000 / (long)harness_slowness(), good = 0;

    for (long i = 0; i < rounds; i++) {
        shunt_future *f = shunt_submit_with(pool, be_brief, &in,
                                            .deadline_ns = 1 + i % 700 * 1000);
        long value = 0;
        if (i % 3 == 0)
            (void)shunt_cancel(f);
        int status = harness_await(f);
        assert_true(status == 0 || status == SHUNT_ETIMEDOUT ||
                    (status == SHUNT_ECANCELED && i % 3 == 0));
        good += status == 0;
        assert_status(shunt_take(f, &value), status);
        assert_long(value, status == 0 ? 3 : 0);
    }
    harness_free(pool);
    /* A process that is killed as it calls a .drop does not call it again. */
    long cut = harness_isolated() ? rounds / 1000 : 0;
    assert_true(tally_of(in.dropped) <= rounds);
    assert_true(tally_of(in.dropped) >= rounds - cut);
    assert_true(tally_of(in.ran) >= good);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_queued_task_whose_deadline_passes_never_starts),
    CLAIM(queued_tasks_end_each_at_its_own_deadline),
    CLAIM(a_deadline_of_the_past_refuses_the_task),
    CLAIM(a_deadline_may_lie_as_far_ahead_as_there_is_time),
    CLAIM(tasks_that_end_in_a_full_queue_make_room),
    CLAIM(a_task_that_ends_in_time_has_no_deadline_any_more),
    CLAIM(a_running_task_is_given_up_at_its_deadline),
    CLAIM(dependants_go_on_while_the_code_runs),
    CLAIM_OF_THREADS(code_that_was_given_up_gets_nothing_done_any_more),
    CLAIM(a_promise_of_code_that_was_given_up_ends_with_the_code),
    CLAIM(a_parked_task_is_given_up_and_its_wait_is_cancelled),
    CLAIM(a_wait_that_ends_in_time_is_not_cut_short),
    CLAIM(a_task_that_is_done_at_once_does_not_miss_its_deadline),
    CLAIM(a_task_ends_one_way_or_the_other),
};

HARNESS_MAIN(claims)
