/* SPDX-License-Identifier: MIT */
/*
 * crash_again_test.c - what runs again when its process has died, and what is
 * killed since it does not heed a cancel.
 */
#include <stdlib.h>
#include <time.h>

#include "death.h"

/* ---- again ---- */

static int again(const struct mortal *in, long *out)
{
    return mortal(in, out);
}
SHUNT_TASK(again, struct mortal, long, .idempotent = true, .retries = 3)

static void what_is_idempotent_runs_again(void)
{
    shunt_pool *pool = harness_pool(2);

    for (enum death how = 0; how < DEATHS; how++) {
        struct mortal in = { .how = how, .ran = stage_tally(), .lives = 3 };

        harness_note("%s", death_name(how));
        assert_takes(shunt_submit(pool, again, &in), 4);
        assert_long(tally_of(in.ran), 4);
        in.ran = stage_tally();
        in.lives = 0;
        shunt_future *f = shunt_submit(pool, again, &in);
        assert_settles(f, SHUNT_ECRASHED);
        assert_long(shunt_error_of(f)->attempts, 4);
        assert_ok(shunt_release(f));
        assert_long(tally_of(in.ran), 4);
    }
    harness_free(pool);
}

/* Follow the future that tells of a cancel, give that up, and die; the second
 * time end well. */
struct followed {
    struct tally *runs, *notes, *asked;
};

static int note_end(const shunt_outcome *in, const struct followed *ctx,
                    shunt_none *out)
{
    (void)out;
    tally_add(ctx->notes, 1);
    tally_add(ctx->asked, in->status == 0);
    return 0;
}
SHUNT_STEP(note_end, shunt_outcome, struct followed, shunt_none)

static int dies_followed(const struct followed *in, long *out)
{
    shunt_future *f = shunt_finally_with(shunt_cancel_future(), note_end, in);

    *out = tally_add(in->runs, 1);
    (void)shunt_release(f);
    if (*out == 0)
        abort();
    return 0;
}
SHUNT_TASK(dies_followed, struct followed, long, .idempotent = true,
           .retries = 1)

/* What follows it waits for the end of the run, and the next run for that. */
static void what_follows_its_cancel_future_does_not_keep_it_from_running_again(
    void)
{
    shunt_pool *pool = harness_pool(1);
    struct followed in = { stage_tally(), stage_tally(), stage_tally() };

    assert_takes(shunt_submit(pool, dies_followed, &in), 1);
    harness_free(pool);
    assert_long(tally_of(in.notes), 2);
    assert_long(tally_of(in.asked), 0);
}

static void a_retry_tries_again_after_a_death(void)
{
    shunt_pool *pool = harness_pool(1);
    struct mortal in = { .how = BY_NULL, .ran = stage_tally(), .lives = 2 };

    assert_takes(shunt_retry(pool, mortal, &in, .first_ns = -1), 3);
    in.ran = stage_tally();
    in.lives = 0;
    shunt_future *f = shunt_retry(pool, mortal, &in, .first_ns = -1);
    assert_settles(f, SHUNT_ECRASHED);
    assert_long(shunt_error_of(f)->attempts, 3);
    assert_long((long)shunt_error_of(f)->cause_count, 3);
    assert_ok(shunt_release(f));
    harness_free(pool);
}

/* ---- what does not heed a cancel ---- */

static int deaf(const struct job *in, long *out)
{
    return stage_job(in, out);
}
SHUNT_TASK(deaf, struct job, long, .grace_ns = SHUNT_MS(1))

static int deaf_and_spared(const struct job *in, long *out)
{
    return stage_job(in, out);
}
SHUNT_TASK(deaf_and_spared, struct job, long, .grace_ns = -1)

static void what_does_not_heed_a_cancel_is_killed_after_its_grace(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int i = 0; i < 10; i++) {
        struct job in = { .started = stage_latch(), .go = stage_latch() };
        shunt_future *f = shunt_submit(pool, deaf, &in);

        assert_true(latch_reaches(in.started, 1));
        assert_long(shunt_cancel(f), 1);
        assert_joins(f, SHUNT_ECANCELED);
        assert_takes(shunt_submit(pool, stage_same, &(long){ i }), i);
    }
    harness_free(pool);
}

/* Method: it goes on for longer than another one's grace. */
static void so_it_is_never_if_its_grace_has_no_end(void)
{
    const struct timespec moment = { 0, 20000000 };
    shunt_pool *pool = harness_pool(1);
    struct job in = { .value = 3,
                      .started = stage_latch(),
                      .go = stage_latch() };
    shunt_future *f = shunt_submit(pool, deaf_and_spared, &in);

    assert_true(latch_reaches(in.started, 1));
    assert_long(shunt_cancel(f), 1);
    nanosleep(&moment, NULL);
    latch_raise(in.go);
    assert_takes(f, 3);
    harness_free(pool);
}

/* A combinator asks, and goes no further. */
static void losers_are_asked_and_not_killed(void)
{
    const struct timespec moment = { 0, 20000000 };
    shunt_pool *pool = harness_pool(1);
    struct job in = { .started = stage_latch(),
                      .go = stage_latch(),
                      .ran = stage_tally() };
    struct stage_promise made = stage_promise(pool);
    shunt_future *fs[2] = { shunt_submit(pool, deaf, &in), made.future };

    assert_true(latch_reaches(in.started, 1));
    shunt_future *race = shunt_race(fs, 2);
    stage_give(made.promise, 1);
    assert_joins(race, 0);
    nanosleep(&moment, NULL);
    shunt_future *next = shunt_submit(pool, stage_same, &(long){ 1 });
    assert_status(shunt_status(next), SHUNT_PENDING);
    latch_raise(in.go);
    assert_takes(next, 1);
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM_OF_PROCESSES(what_is_idempotent_runs_again),
    CLAIM_OF_PROCESSES(
        what_follows_its_cancel_future_does_not_keep_it_from_running_again),
    CLAIM_OF_PROCESSES(a_retry_tries_again_after_a_death),
    CLAIM_OF_PROCESSES(what_does_not_heed_a_cancel_is_killed_after_its_grace),
    CLAIM_OF_PROCESSES(so_it_is_never_if_its_grace_has_no_end),
    CLAIM_OF_PROCESSES(losers_are_asked_and_not_killed),
};

HARNESS_MAIN(claims)
