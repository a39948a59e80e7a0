/* SPDX-License-Identifier: MIT */
/*
 * retry_pool_test.c - retries in pools that end, are full, or never worked;
 * what is refused; and the memory that attempts read.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "trial.h"

#define AT_ONCE .first_ns = -1
/* Longer than any claim moves the clock. */
#define LONG .first_ns = SHUNT_S(1000000), .cap_ns = SHUNT_FOREVER

/* ---- pools that end ---- */

static void a_pool_that_is_freed_makes_all_attempts_first(void)
{
    shunt_pool *pool = harness_pool(2);
    struct trial sent = trial(0);
    shunt_future *f =
        shunt_retry(pool, trial_attempt, &sent, .attempts = 1000, AT_ONCE);

    harness_free(pool);
    assert_stale(f);
    trial_over(&sent, 1000);
}

static void a_drain_waits_for_pauses(void)
{
    shunt_pool *pool = trial_pool(1);
    struct trial sent = trial(2);
    shunt_future *f = shunt_retry(pool, trial_attempt, &sent,
                                  .first_ns = SHUNT_S(1), .again = trial_again);
    size_t left = 0;

    trial_turn(pool, 1);
    assert_status(shunt_pool_shutdown(pool, SHUNT_DRAIN, 0, &left),
                  SHUNT_ETIMEDOUT);
    assert_long((long)left, 1);
    trial_advance(pool, SHUNT_S(1));
    assert_takes(f, 2);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, &left));
    assert_long((long)left, 0);
    trial_over(&sent, 2);
    assert_joins(shunt_retry(pool, trial_attempt, &sent), SHUNT_ECLOSED);
    harness_free(pool);
    trial_over(&sent, 2);
}

/* Method: of three retries one pauses, one has an attempt that runs, and one is
 * queued. */
static void a_pool_that_is_cancelled_ends_its_retries(void)
{
    static const enum shunt_how hows[] = { SHUNT_CANCEL, SHUNT_KILL };

    for (int i = 0; i < 2; i++) {
        shunt_pool *pool = trial_pool(1);
        struct trial pauses = trial(2), runs = trial(2), queued = trial(2);
        shunt_future *fs[3];
        fs[0] = shunt_retry(pool, trial_attempt, &pauses, LONG,
                            .again = trial_again);
        trial_turn(pool, 1);
        runs.held = 1;
        fs[1] = shunt_retry(pool, trial_attempt, &runs, AT_ONCE);
        assert_true(latch_reaches(runs.begun, 1));
        fs[2] = shunt_retry(pool, trial_attempt, &queued, AT_ONCE);
        assert_status(shunt_pool_shutdown(pool, SHUNT_CANCEL, 0, NULL),
                      SHUNT_ETIMEDOUT);
        for (int j = 0; j < 3; j++)
            assert_joins(fs[j], SHUNT_ECANCELED);
        latch_raise(runs.go);
        assert_ok(shunt_pool_shutdown(pool, hows[i], SHUNT_FOREVER, NULL));
        trial_advance(pool, SHUNT_S(2000000));
        harness_free(pool);
        trial_over(&pauses, 1);
        trial_over(&runs, 1);
        trial_over(&queued, 0);
    }
}

static void a_kill_gives_up_the_attempt_of_a_retry(void)
{
    shunt_pool *pool = harness_pool(1);
    struct trial sent = trial(0);
    size_t left = 0;

    sent.held = 1;
    shunt_future *f = shunt_retry(pool, trial_attempt, &sent, AT_ONCE);
    assert_true(latch_reaches(sent.begun, 1));
    /* To the user a retry and its attempt are one. */
    assert_status(shunt_pool_shutdown(pool, SHUNT_DRAIN, 0, &left),
                  SHUNT_ETIMEDOUT);
    assert_long((long)left, 1);
    (void)shunt_pool_shutdown(pool, SHUNT_KILL, 0, &left);
    /* The attempt; the retry itself has ended. */
    assert_true(left == 1 || (left == 0 && harness_isolated()));
    assert_joins(f, SHUNT_ECANCELED);
    trial_not_over(&sent);
    if (!harness_isolated())
        latch_raise(sent.go);
    trial_over(&sent, 1);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_KILL, SHUNT_FOREVER, &left));
    harness_free(pool);
}

struct thought {
    struct latch *asked, *answer;
};

static bool think(const shunt_error *error)
{
    const struct thought *t = stage_shown(STAGE_OF_TEST);

    latch_raise(t->asked);
    return latch_reaches(t->answer, 1) && error->code != 0;
}

static void a_kill_gives_up_a_retry_that_is_being_decided(void)
{
    for (int pauses = 0; pauses < 2; pauses++) {
        shunt_pool *pool = harness_pool(1);
        struct trial sent = trial(2);
        struct thought *t = stage_bytes(sizeof *t);
        size_t left = 0;
        *t = (struct thought){ stage_latch(), stage_latch() };
        stage_show(STAGE_OF_TEST, t);
        shunt_future *f = shunt_retry(pool, trial_attempt, &sent,
                                      .first_ns = pauses ? SHUNT_S(9) : -1,
                                      .again = think);
        assert_true(latch_reaches(t->asked, 1));
        assert_ok(shunt_pool_shutdown(pool, SHUNT_KILL, 0, &left));
        assert_long((long)left, 0);
        assert_status(shunt_status(f), SHUNT_ECANCELED);
        latch_raise(t->answer);
        harness_free(pool);
        trial_over(&sent, 1);
    }
}

static int fail_init(void *arg)
{
    (void)arg;
    return 1;
}

static void a_retry_in_a_pool_that_never_worked_is_broken(void)
{
    shunt_pool *pool = NULL;
    struct trial sent = trial(1);

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = 2, .init = fail_init }));
    assert_joins(shunt_retry(pool, trial_attempt, &sent, AT_ONCE),
                 SHUNT_EBROKEN);
    harness_free(pool);
    trial_over(&sent, 0);
}

struct ender {
    shunt_pool *pool;
    enum shunt_how how;
};

static void *end_pool(void *user)
{
    const struct ender *ender = user;

    (void)shunt_pool_shutdown(ender->pool, ender->how, 0, NULL);
    return NULL;
}

/* Goal: whenever a shutdown comes, every retry settles, and is dropped once; at
 * most once where it kills processes. */
static void a_shutdown_at_any_moment_ends_all_retries(void)
{
    enum {
        RETRIES = 20
    };
    int rounds = harness_slowness() > 1 ? 30 : (int)harness_pools(500);

    for (int i = 0; i < rounds; i++) {
        shunt_pool *pool = harness_pool(2);
        struct ender ender = { pool, i % 2 == 0 ? SHUNT_CANCEL : SHUNT_KILL };
        struct trial sent = trial(0);
        shunt_future *fs[RETRIES];
        long accepted = 0;
        pthread_t thread;

        for (int j = 0; j < RETRIES; j++)
            fs[j] = shunt_retry(pool, trial_attempt, &sent, .attempts = 1000000,
                                .first_ns = j % 2 == 0 ? -1 : SHUNT_US(20),
                                .cap_ns = SHUNT_US(20));
        assert_true(latch_reaches(sent.begun, (unsigned)(i % 50)));
        assert_int_equal(pthread_create(&thread, NULL, end_pool, &ender), 0);
        for (int j = 0; j < RETRIES; j++) {
            (void)harness_await(fs[j]);
            accepted += shunt_release(fs[j]) == 0;
        }
        pthread_join(thread, NULL);
        harness_free(pool);
        /* A process that is killed may just have begun to drop: then nobody
         * does, since that may have been called. */
        if (ender.how == SHUNT_KILL && harness_isolated()) {
            assert_true(tally_of(sent.dropped) <= accepted);
            continue;
        }
        /* Code that a kill gave up may run on for a moment. */
        assert_true(latch_reaches(sent.gone, (unsigned)accepted));
        assert_long(tally_of(sent.dropped), accepted);
    }
}

/* ---- what is refused ---- */

static int follow_time(const shunt_none *in, const shunt_none *ctx,
                       shunt_none *out)
{
    (void)in, (void)ctx, (void)out;
    return 0;
}
SHUNT_STEP(follow_time, shunt_none, shunt_none, shunt_none)

static void drop_trial(void *in)
{
    const struct trial *trial = in;

    tally_add(trial->dropped, 1);
    latch_raise(trial->gone);
}

static void a_full_queue_counts_as_a_failed_attempt(void)
{
    shunt_pool *pool = NULL;
    struct trial sent = trial(1), other = trial(1);

    assert_ok(shunt_pool_new(&pool, &(shunt_options){ .workers = 1,
                                                      .queue_max = 1,
                                                      .manual_clock = true }));
    struct stage_hold hold = stage_hold(pool);
    shunt_future *first = shunt_submit(pool, stage_nothing, NULL);
    shunt_future *f =
        shunt_retry(pool, trial_attempt, &sent, .attempts = 2, AT_ONCE);
    assert_status(shunt_status(f), SHUNT_PENDING);
    /* Where there is to be no other, it is refused. */
    shunt_future *g = shunt_retry(pool, trial_attempt, &other, .attempts = 1);
    assert_joins(g, SHUNT_EAGAIN);
    stage_let(hold);
    assert_takes(f, 1);
    assert_joins(first, 0);
    harness_free(pool);
    trial_over(&sent, 1);
    assert_long(tally_of(other.dropped), 0);
}

static int leave_one_behind(const struct trial *in, long *out)
{
    (void)out;
    tally_add(in->ran, 1);
    return shunt_release(shunt_then(shunt_delay(NULL, SHUNT_S(1)),
                                    follow_time)) == 0
               ? shunt_fail(1, "left something at work")
               : 0;
}
SHUNT_TASK(leave_one_behind, struct trial, long, .drop = drop_trial)

static void no_more_than_63_attempts_are_there_at_a_time(void)
{
    shunt_pool *pool = trial_pool(1);
    struct trial sent = trial(0);
    shunt_future *f = shunt_retry(pool, leave_one_behind, &sent, AT_ONCE,
                                  .attempts = 65);

    assert_settles(f, SHUNT_EAGAIN);
    assert_long(shunt_error_of(f)->attempts, 65);
    assert_status(shunt_error_of(f)->causes[5]->code, SHUNT_EFAILED);
    assert_status(shunt_error_of(f)->causes[6]->code, SHUNT_EAGAIN);
    assert_ok(shunt_release(f));
    assert_true(latch_reaches(sent.gone, 1));
    trial_advance(pool, SHUNT_S(1));
    harness_free(pool);
    assert_long(tally_of(sent.ran), 63);
    assert_long(tally_of(sent.dropped), 1);
}

static bool never(const shunt_error *error)
{
    return error->code == 0;
}

static void a_retry_can_end_with_a_refusal(void)
{
    shunt_pool *pool = NULL;
    struct trial sent = trial(1);

    assert_ok(shunt_pool_new(&pool,
                             &(shunt_options){ .workers = 1, .queue_max = 1 }));
    struct stage_hold hold = stage_hold(pool);
    shunt_future *first = shunt_submit(pool, stage_nothing, NULL);
    shunt_future *f = shunt_retry(pool, trial_attempt, &sent, .again = never);
    assert_status(shunt_status(f), SHUNT_PENDING);
    stage_let(hold);
    assert_joins(f, SHUNT_EAGAIN);
    assert_joins(first, 0);
    harness_free(pool);
    trial_over(&sent, 0);
}

static int step(const long *in, const long *ctx, long *out)
{
    *out = *in + *ctx;
    return 0;
}
SHUNT_STEP(step, long, long, long)

static int unsafe(const long *in, long *out)
{
    *out = *in;
    return 0;
}
SHUNT_TASK(unsafe, long, long, .thread_unsafe = true)

static void bad_arguments_are_refused_at_once(void)
{
    shunt_pool *pool = harness_pool(1), *gone = harness_pool(1);
    const shunt_task *task = &shunt_task_trial_attempt;
    struct trial sent = trial(1);

    harness_free(gone);
    assert_joins(shunt_retry(NULL, trial_attempt, &sent), SHUNT_EINVAL);
    assert_joins(shunt_retry(gone, trial_attempt, &sent), SHUNT_EINVAL);
    assert_joins(shunt_retry(pool, trial_attempt, NULL), SHUNT_EINVAL);
    assert_joins(shunt_retry(pool, trial_attempt, &sent, .cap_ns = -1),
                 SHUNT_EINVAL);
    assert_joins(shunt_retry(pool, trial_attempt, &sent, .attempt_ns = -1),
                 SHUNT_EINVAL);
    assert_joins(shunt_retry_task(pool, NULL, &sent, NULL), SHUNT_EINVAL);
    assert_joins(shunt_retry_task(pool, &shunt_task_step, &sent, NULL),
                 SHUNT_EINVAL);
    if (!harness_isolated())
        assert_joins(shunt_retry(pool, unsafe, &(long){ 1 }), SHUNT_ENOTSUP);
    trial_not_over(&sent);
    assert_long(tally_of(sent.ran), 0);
    assert_takes(shunt_retry_task(pool, task, &sent, NULL), 1);
    trial_over(&sent, 1);
    harness_free(pool);
}

/* Goal: a program that was compiled when there were fewer options works. */
static void options_that_the_caller_does_not_know_are_defaults(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_retry_options o = { .attempts = 2, AT_ONCE, .again = never };
    struct trial sent = trial(0);

    assert_joins(shunt_retry_sized(pool, &shunt_task_trial_attempt, &sent, NULL,
                                   offsetof(shunt_retry_options, cap_ns), &o),
                 SHUNT_EFAILED);
    trial_over(&sent, 2);
    harness_free(pool);
}

/* ---- memory ---- */

struct lent {
    const char *bytes;
    struct latch *begun, *go, *done;
    struct tally *sum;
};

static int read_lent(const struct lent *in, shunt_none *out)
{
    (void)out;
    latch_raise(in->begun);
    if (!latch_reaches(in->go, 1))
        return STAGE_LATE;
    tally_add(in->sum, in->bytes[0] + in->bytes[999]);
    latch_raise(in->done);
    return 1;
}
SHUNT_TASK(read_lent, struct lent, shunt_none, .grace_ns = -1)

/* How the task that lends the memory parts with its retry. */
enum parting {
    LETS_GO,
    CANCELS,
    TIMES_OUT
};

struct lender {
    struct lent lent;
    enum parting parting;
};

static int lend(const struct lender *in, shunt_none *out)
{
    struct lent lent = in->lent;
    char *bytes = shunt_alloc(1000);
    shunt_future *f;

    (void)out;
    if (bytes == NULL)
        return 1;
    memset(bytes, 'y', 1000);
    lent.bytes = bytes;
    f = shunt_retry(NULL, read_lent, &lent, .attempts = 1,
                    .attempt_ns = in->parting == TIMES_OUT ? SHUNT_S(1) : 0);
    if (!latch_reaches(lent.begun, 1))
        return STAGE_LATE;
    if (in->parting == CANCELS)
        (void)shunt_cancel(f);
    return shunt_release(f);
}
SHUNT_TASK(lend, struct lender, shunt_none)

/* Goal: the memory of a task outlives the attempts that it asked for, also when
 * the retry has settled long since. A build with a sanitizer sees if not. A
 * process that is too late is killed, and reads no more. */
static void attempts_may_read_memory_of_the_task_that_asked_for_them(void)
{
    enum parting last = harness_isolated() ? CANCELS : TIMES_OUT;

    for (enum parting how = LETS_GO; how <= last; how++) {
        shunt_pool *pool = trial_pool(2);
        struct lender sent = { { NULL, stage_latch(), stage_latch(),
                                 stage_latch(), stage_tally() },
                               how };
        assert_joins(shunt_submit(pool, lend, &sent), 0);
        if (how == TIMES_OUT)
            trial_advance(pool, SHUNT_S(1));
        latch_raise(sent.lent.go);
        assert_true(latch_reaches(sent.lent.done, 1));
        assert_long(tally_of(sent.lent.sum), 2 * 'y');
        harness_free(pool);
    }
}

static bool not_for_pointers(const shunt_error *error)
{
    return error->code != SHUNT_EINVAL;
}

static int follow(char *const *in, long *out)
{
    *out = **in;
    return 0;
}
SHUNT_TASK(follow, char *, long)

static void an_attempt_whose_in_points_to_private_memory_fails(void)
{
    shunt_pool *pool;
    char *mine = malloc(8);

    harness_env("SHUNT_CHECK", "pointers");
    pool = harness_pool(1);
    assert_non_null(mine);
    mine[0] = 7;
    shunt_future *f =
        shunt_retry(pool, follow, &mine, AT_ONCE, .again = not_for_pointers);
    assert_settles(f, SHUNT_EINVAL);
    assert_non_null(
        strstr(shunt_error_of(f)->message, "in holds, at offset 0, a pointer"));
    assert_ok(shunt_release(f));
    char *ours = shunt_pool_alloc(pool, 8);
    assert_non_null(ours);
    ours[0] = 8;
    assert_takes(shunt_retry(pool, follow, &ours, AT_ONCE), 8);
    harness_free(pool);
    free(mine);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_pool_that_is_freed_makes_all_attempts_first),
    CLAIM(a_drain_waits_for_pauses),
    CLAIM(a_pool_that_is_cancelled_ends_its_retries),
    CLAIM(a_kill_gives_up_the_attempt_of_a_retry),
    CLAIM(a_kill_gives_up_a_retry_that_is_being_decided),
    CLAIM(a_retry_in_a_pool_that_never_worked_is_broken),
    CLAIM(a_shutdown_at_any_moment_ends_all_retries),
    CLAIM(a_full_queue_counts_as_a_failed_attempt),
    CLAIM(no_more_than_63_attempts_are_there_at_a_time),
    CLAIM(a_retry_can_end_with_a_refusal),
    CLAIM(bad_arguments_are_refused_at_once),
    CLAIM(options_that_the_caller_does_not_know_are_defaults),
    CLAIM(attempts_may_read_memory_of_the_task_that_asked_for_them),
    CLAIM(an_attempt_whose_in_points_to_private_memory_fails),
};

HARNESS_MAIN(claims)
