/* SPDX-License-Identifier: MIT */
/*
 * retry_end_test.c - however a retry ends, it does so at once, no attempt
 * starts afterwards, and what it was given is dropped once, when none runs.
 */
#include <sched.h>
#include <string.h>

#include "trial.h"

#define AT_ONCE .first_ns = -1
/* Longer than any claim moves the clock. */
#define LONG .first_ns = SHUNT_S(1000000), .cap_ns = SHUNT_FOREVER

/* ---- cancelled ---- */

static void a_retry_that_is_cancelled_during_a_pause_ends_there(void)
{
    shunt_pool *pool = trial_pool(1);
    struct trial sent = trial(2);
    shunt_future *f =
        shunt_retry(pool, trial_attempt, &sent, LONG, .again = trial_again);

    trial_turn(pool, 1);
    trial_not_over(&sent);
    assert_long(shunt_cancel(f), 1);
    assert_status(shunt_status(f), SHUNT_ECANCELED);
    const shunt_error *e = shunt_error_of(f);
    assert_string_equal(e->task, "trial_attempt");
    assert_long(e->attempts, 1);
    assert_long((long)e->cause_count, 1);
    assert_long(e->causes[0]->task_code, 1);
    assert_ok(shunt_release(f));
    trial_advance(pool, SHUNT_S(2000000));
    trial_rest(pool, 1);
    trial_over(&sent, 1);
    harness_free(pool);
}

static void a_retry_that_is_cancelled_before_its_first_attempt_makes_none(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_hold hold = stage_hold(pool);
    struct trial sent = trial(1);
    shunt_future *f = shunt_retry(pool, trial_attempt, &sent);

    assert_long(shunt_cancel(f), 1);
    assert_joins(f, SHUNT_ECANCELED);
    trial_over(&sent, 0);
    stage_let(hold);
    harness_free(pool);
    trial_over(&sent, 0);
}

/* Method: the attempt does not look, and is waited for. */
static void a_retry_that_is_cancelled_leaves_its_attempt_behind(void)
{
    shunt_pool *pool = harness_pool(2);
    struct trial sent = trial(0);

    sent.held = 1;
    shunt_future *f = shunt_retry(pool, trial_attempt, &sent, AT_ONCE);
    assert_true(latch_reaches(sent.begun, 1));
    assert_long(shunt_cancel(f), 1);
    assert_joins(f, SHUNT_ECANCELED);
    trial_not_over(&sent);
    latch_raise(sent.go);
    trial_over(&sent, 1);
    harness_free(pool);
    trial_over(&sent, 1);
}

static int until_cancelled(struct latch *const *in, shunt_none *out)
{
    (void)out;
    latch_raise(*in);
    while (!shunt_cancelled())
        sched_yield();
    latch_raise(*in);
    return SHUNT_ECANCELED;
}
SHUNT_TASK(until_cancelled, struct latch *, shunt_none)

static void the_attempt_under_way_is_asked_to_cancel(void)
{
    shunt_pool *pool = harness_pool(1);
    struct latch *latch = stage_latch();
    shunt_future *f = shunt_retry(pool, until_cancelled, &latch);

    assert_true(latch_reaches(latch, 1));
    assert_long(shunt_cancel(f), 1);
    assert_true(latch_reaches(latch, 2));
    assert_joins(f, SHUNT_ECANCELED);
    /* So it is when a combinator does not want it any more. */
    shunt_future *fs[2] = { shunt_retry(pool, until_cancelled, &latch) };
    assert_true(latch_reaches(latch, 3));
    fs[1] = stage_given(pool, 1);
    assert_joins(shunt_race(fs, 2), 0);
    assert_true(latch_reaches(latch, 4));
    harness_free(pool);
}

static bool cancel_it(const shunt_error *error)
{
    return shunt_cancel(stage_shown(STAGE_OF_TEST)) == 1 && error->code != 0;
}

/* Method: the request comes while a worker looks at the first failure. */
static void a_request_between_two_attempts_is_heeded(void)
{
    for (int pauses = 0; pauses < 2; pauses++) {
        shunt_pool *pool = trial_pool(1);
        struct stage_hold hold = stage_hold(pool);
        struct trial sent = trial(2);
        shunt_future *f = shunt_retry(pool, trial_attempt, &sent,
                                      .first_ns = pauses ? SHUNT_S(1) : -1,
                                      .again = cancel_it);
        stage_show(STAGE_OF_TEST, f);
        stage_let(hold);
        assert_joins(f, SHUNT_ECANCELED);
        trial_over(&sent, 1);
        trial_advance(pool, SHUNT_S(1));
        harness_free(pool);
        trial_over(&sent, 1);
    }
}

/* Method: the retry fails as fast as it can while another thread cancels it.
 * Bounded by the rounds. */
static void no_attempt_starts_after_a_request(void)
{
    long rounds = harness_slowness() > 1 ? 200 : 3000;
    shunt_pool *pool = harness_pool(2);

    for (long i = 0; i < rounds; i++) {
        struct trial sent = trial(0);
        shunt_future *f = shunt_retry(pool, trial_attempt, &sent,
                                      .attempts = 1000000000, AT_ONCE);
        assert_true(latch_reaches(sent.begun, 1 + (unsigned)i % 4));
        assert_long(shunt_cancel(f), 1);
        long ran = tally_of(sent.ran);
        assert_joins(f, SHUNT_ECANCELED);
        assert_true(latch_reaches(sent.gone, 1));
        /* One may have started that had not counted itself. */
        assert_true(tally_of(sent.ran) <= ran + 1);
        trial_over(&sent, tally_of(sent.ran));
    }
    harness_free(pool);
}

static void a_retry_whose_handle_is_released_goes_on(void)
{
    shunt_pool *pool = harness_pool(1);
    struct trial sent = trial(3);

    assert_ok(shunt_release(shunt_retry(pool, trial_attempt, &sent, AT_ONCE)));
    trial_over(&sent, 3);
    harness_free(pool);
}

/* ---- in time ---- */

static void a_timeout_names_the_task_of_a_retry(void)
{
    shunt_pool *pool = trial_pool(1);
    struct trial sent = trial(2);
    shunt_future *f =
        shunt_retry(pool, trial_attempt, &sent, LONG, .again = trial_again);

    f = shunt_timeout(f, SHUNT_S(5));
    trial_turn(pool, 1);
    trial_advance(pool, SHUNT_S(5));
    assert_settles(f, SHUNT_ETIMEDOUT);
    assert_string_equal(shunt_error_of(f)->task, "trial_attempt");
    trial_over(&sent, 1);
    harness_free(pool);
}

/* Method: the first attempt stays on the only worker, past its deadline; the
 * second runs meanwhile, or in the process that replaces it. */
static void an_attempt_that_is_stuck_is_given_up_for_the_next(void)
{
    shunt_pool *pool = trial_pool(1);
    struct trial sent = trial(2);

    sent.held = 1;
    shunt_future *f = shunt_retry(pool, trial_attempt, &sent, AT_ONCE,
                                  .attempt_ns = SHUNT_S(1));
    assert_true(latch_reaches(sent.begun, 1));
    trial_advance(pool, SHUNT_S(1) - 1);
    assert_status(shunt_status(f), SHUNT_PENDING);
    trial_advance(pool, 1);
    assert_takes(f, 2);
    trial_not_over(&sent);
    if (!sent.killed)
        latch_raise(sent.go);
    trial_over(&sent, 2);
    harness_free(pool);
}

static void attempts_that_are_all_late_are_told(void)
{
    shunt_pool *pool = trial_pool(1);
    struct trial sent = trial(0);

    sent.held = 3;
    shunt_future *f = shunt_retry(pool, trial_attempt, &sent, AT_ONCE,
                                  .attempt_ns = SHUNT_S(1));
    for (unsigned i = 1; i <= 2; i++) {
        assert_true(latch_reaches(sent.begun, i));
        trial_advance(pool, SHUNT_S(1));
    }
    /* There is one worker and one who stands in for it: the third attempt is
     * queued until its deadline, but if the others were killed. */
    assert_status(shunt_status(f), SHUNT_PENDING);
    latch_raise(sent.go);
    assert_fails_with(f, 3);
    const shunt_error *e = shunt_error_of(f);
    assert_long((long)e->cause_count, 3);
    for (int i = 0; i < 2; i++) {
        assert_status(e->causes[i]->code, SHUNT_ETIMEDOUT);
        assert_string_equal(e->causes[i]->task, "trial_attempt");
    }
    assert_ok(shunt_release(f));
    trial_over(&sent, 3);
    harness_free(pool);
}

/* What came of a retry whose handle is out of reach. */
struct note {
    struct latch *made;
    long status, attempts, causes;
};

static int write_down(const shunt_outcome *in, struct note *const *ctx,
                      shunt_none *out)
{
    struct note *note = *ctx;

    (void)out;
    note->status = in->status;
    note->attempts = in->error->attempts;
    note->causes = (long)in->error->cause_count;
    latch_raise(note->made);
    return 0;
}
SHUNT_STEP(write_down, shunt_outcome, struct note *, shunt_none)

struct errand {
    struct trial trial;
    struct note *note;
    bool (*again)(const shunt_error *error);
};

/* A task that has a deadline asks for a retry and does not wait for it. */
static int run_errand(const struct errand *in, shunt_none *out)
{
    shunt_future *f =
        shunt_retry(NULL, trial_attempt, &in->trial, LONG, .again = in->again);

    (void)out;
    return shunt_release(shunt_finally_with(f, write_down, &in->note));
}
SHUNT_TASK(run_errand, struct errand, shunt_none)

static struct errand errand(long good)
{
    struct errand made = { trial(good), stage_bytes(sizeof(struct note)),
                           trial_again };

    made.note->made = stage_latch();
    return made;
}

static void the_deadline_of_a_task_ends_its_retry_during_a_pause(void)
{
    shunt_pool *pool = trial_pool(1);
    struct errand sent = errand(2);

    assert_joins(
        shunt_submit_with(pool, run_errand, &sent, .deadline_ns = SHUNT_S(3)),
        0);
    trial_turn(pool, 1);
    trial_advance(pool, SHUNT_S(3) - 1);
    assert_long(latch_level(sent.note->made), 0);
    trial_advance(pool, 1);
    assert_true(latch_reaches(sent.note->made, 1));
    assert_status((int)sent.note->status, SHUNT_ETIMEDOUT);
    assert_long(sent.note->attempts, 1);
    assert_long(sent.note->causes, 1);
    trial_over(&sent.trial, 1);
    harness_free(pool);
}

static void the_deadline_of_a_task_ends_its_retry_during_an_attempt(void)
{
    shunt_pool *pool = trial_pool(2);
    struct errand sent = errand(1);

    sent.trial.held = 1;
    assert_joins(
        shunt_submit_with(pool, run_errand, &sent, .deadline_ns = SHUNT_S(3)),
        0);
    assert_true(latch_reaches(sent.trial.begun, 1));
    trial_advance(pool, SHUNT_S(3));
    assert_true(latch_reaches(sent.note->made, 1));
    assert_status((int)sent.note->status, SHUNT_ETIMEDOUT);
    trial_not_over(&sent.trial);
    if (!sent.trial.killed)
        latch_raise(sent.trial.go);
    trial_over(&sent.trial, 1);
    harness_free(pool);
}

struct question {
    struct latch *asked, *answered;
};

static bool let_time_pass(const shunt_error *error)
{
    const struct question *q = stage_shown(STAGE_OF_TEST);

    latch_raise(q->asked);
    return latch_reaches(q->answered, 1) && error->code != 0;
}

static void a_deadline_that_comes_between_two_attempts_ends_the_retry(void)
{
    shunt_pool *pool = trial_pool(1);
    struct errand sent = errand(2);
    struct question *q = stage_bytes(sizeof *q);

    *q = (struct question){ stage_latch(), stage_latch() };
    stage_show(STAGE_OF_TEST, q);
    sent.again = let_time_pass;
    assert_joins(
        shunt_submit_with(pool, run_errand, &sent, .deadline_ns = SHUNT_S(3)),
        0);
    assert_true(latch_reaches(q->asked, 1));
    trial_advance(pool, SHUNT_S(3));
    latch_raise(q->answered);
    assert_true(latch_reaches(sent.note->made, 1));
    assert_status((int)sent.note->status, SHUNT_ETIMEDOUT);
    assert_long(sent.note->attempts, 1);
    trial_over(&sent.trial, 1);
    harness_free(pool);
}

static int time_left(const shunt_none *in, int64_t *out)
{
    (void)in;
    *out = shunt_time_left_ns();
    return 0;
}
SHUNT_TASK(time_left, shunt_none, int64_t)

static int time_left_in_retry(const int64_t *in, int64_t *out)
{
    return shunt_take(shunt_retry(NULL, time_left, NULL, .attempt_ns = *in),
                      out);
}
SHUNT_TASK(time_left_in_retry, int64_t, int64_t)

static void an_attempt_has_the_earlier_of_two_deadlines(void)
{
    static const int64_t rows[][2] = { { 0, SHUNT_S(5) },
                                       { SHUNT_S(9), SHUNT_S(5) },
                                       { SHUNT_S(2), SHUNT_S(2) } };
    shunt_pool *pool = trial_pool(1);
    int64_t left = 0;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_ok(
            shunt_take(shunt_submit_with(pool, time_left_in_retry, &rows[i][0],
                                         .deadline_ns = SHUNT_S(5)),
                       &left));
        assert_long(left, rows[i][1]);
    }
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_retry_that_is_cancelled_during_a_pause_ends_there),
    CLAIM(a_retry_that_is_cancelled_before_its_first_attempt_makes_none),
    CLAIM(a_retry_that_is_cancelled_leaves_its_attempt_behind),
    CLAIM(the_attempt_under_way_is_asked_to_cancel),
    CLAIM(a_request_between_two_attempts_is_heeded),
    CLAIM(no_attempt_starts_after_a_request),
    CLAIM(a_retry_whose_handle_is_released_goes_on),
    CLAIM(a_timeout_names_the_task_of_a_retry),
    CLAIM(an_attempt_that_is_stuck_is_given_up_for_the_next),
    CLAIM(attempts_that_are_all_late_are_told),
    CLAIM(the_deadline_of_a_task_ends_its_retry_during_a_pause),
    CLAIM(the_deadline_of_a_task_ends_its_retry_during_an_attempt),
    CLAIM(a_deadline_that_comes_between_two_attempts_ends_the_retry),
    CLAIM(an_attempt_has_the_earlier_of_two_deadlines),
};

HARNESS_MAIN(claims)
