/* SPDX-License-Identifier: MIT */
/*
 * retry_test.c - a retry tries again until an attempt succeeds or there is
 * enough, pauses in between, and says what came of all of them. How it ends
 * otherwise: retry_end_test.c.
 */
#include <stdlib.h>
#include <string.h>

#include "trial.h"

/* Without pauses, nothing need be waited for. */
#define AT_ONCE .first_ns = -1

/* What came of a future that is given back: its error stays. */
static const shunt_error *why(shunt_future *f, int code)
{
    assert_status(shunt_join(f), code);
    return shunt_last_error();
}

/* ---- attempts ---- */

static void a_retry_succeeds_with_the_first_attempt_that_does(void)
{
    shunt_pool *pool = harness_pool(2);

    for (long good = 1; good <= 5; good++) {
        struct trial sent = trial(good);
        shunt_future *f =
            shunt_retry(pool, trial_attempt, &sent, .attempts = 5, AT_ONCE);
        assert_takes(f, good);
        trial_over(&sent, good);
    }
    harness_free(pool);
}

static void three_attempts_are_made_if_nobody_says_how_many(void)
{
    shunt_pool *pool = harness_pool(1);
    struct trial sent = trial(0), once = trial(0);

    assert_status(shunt_join(shunt_retry(pool, trial_attempt, &sent)),
                  SHUNT_EFAILED);
    trial_over(&sent, 3);
    assert_status(
        shunt_join(shunt_retry(pool, trial_attempt, &once, .attempts = 1)),
        SHUNT_EFAILED);
    trial_over(&once, 1);
    harness_free(pool);
}

static void a_retry_that_fails_says_why_each_attempt_did(void)
{
    shunt_pool *pool = harness_pool(2);
    struct trial sent = trial(0);
    shunt_future *f =
        shunt_retry(pool, trial_attempt, &sent, .attempts = 4, AT_ONCE);

    assert_fails_with(f, 4);
    const shunt_error *e = shunt_error_of(f);
    assert_string_equal(e->task, "trial_attempt");
    assert_string_equal(e->message,
                        "trial_attempt failed with code 4: number 4");
    assert_non_null(strstr(e->where, "retry_test.c:"));
    assert_long(e->attempts, 4);
    assert_long((long)e->cause_count, 4);
    for (int i = 0; i < 4; i++) {
        assert_long(e->causes[i]->code, SHUNT_EFAILED);
        assert_long(e->causes[i]->task_code, i + 1);
        assert_long(e->causes[i]->attempts, i + 1);
    }
    assert_ok(shunt_release(f));
    trial_over(&sent, 4);
    harness_free(pool);
}

static void of_many_failures_the_last_eight_are_told(void)
{
    shunt_pool *pool = harness_pool(2);
    struct trial sent = trial(0);
    shunt_future *f =
        shunt_retry(pool, trial_attempt, &sent, .attempts = 30, AT_ONCE);
    const shunt_error *e = why(f, SHUNT_EFAILED);

    assert_long(e->task_code, 30);
    assert_long(e->attempts, 30);
    assert_long((long)e->cause_count, 8);
    assert_long(e->causes[0]->task_code, 23);
    assert_long(e->causes[7]->task_code, 30);
    trial_over(&sent, 30);
    harness_free(pool);
}

static void the_failure_of_a_single_attempt_is_as_that_of_a_submit(void)
{
    shunt_pool *pool = harness_pool(1);
    struct trial sent = trial(0);
    shunt_future *f = shunt_retry(pool, trial_attempt, &sent, .attempts = 1);
    const shunt_error *e = why(f, SHUNT_EFAILED);

    assert_long(e->task_code, 1);
    assert_long(e->attempts, 1);
    assert_long((long)e->cause_count, 0);
    trial_over(&sent, 1);
    harness_free(pool);
}

/* ---- whether ---- */

struct decider {
    struct tally *asked, *asked_inside;
    long enough;
};

static bool until_enough(const shunt_error *error)
{
    const struct decider *d = stage_shown(STAGE_OF_TEST);

    tally_add(d->asked, 1);
    if (shunt_pool_current() != NULL)
        tally_add(d->asked_inside, 1);
    return error->task_code < d->enough &&
           error->task_code == (int)error->attempts;
}

static void again_decides_after_every_failure_but_the_last(void)
{
    shunt_pool *pool = harness_pool(2);
    struct decider *d = stage_bytes(sizeof *d);

    stage_show(STAGE_OF_TEST, d);
    for (long enough = 1; enough <= 5; enough++) {
        struct trial sent = trial(0);
        shunt_future *f;
        *d = (struct decider){ stage_tally(), stage_tally(), enough };
        f = shunt_retry(pool, trial_attempt, &sent, .attempts = 4, AT_ONCE,
                        .again = until_enough);
        long made = enough < 4 ? enough : 4;
        const shunt_error *e = why(f, SHUNT_EFAILED);
        assert_long(e->task_code, made);
        assert_long(e->attempts, made);
        assert_long((long)e->cause_count, made == 1 ? 0 : made);
        assert_long(tally_of(d->asked), enough < 4 ? enough : 3);
        assert_long(tally_of(d->asked_inside), 0);
        trial_over(&sent, made);
    }
    harness_free(pool);
}

struct code {
    int code;
    struct tally *ran;
};

/* A promise is the one thing that fails with any code. */
static int fail_with(const struct code *in, shunt_future **out)
{
    shunt_promise *promise;

    tally_add(in->ran, 1);
    if (shunt_promise_new(NULL, long, &promise, out) != 0)
        return 1;
    return shunt_promise_fail(promise, in->code, "as asked");
}
SHUNT_TASK(fail_with, struct code, shunt_future *)

static bool always(const shunt_error *error)
{
    return error->code != 0;
}

static void by_default_what_is_final_is_not_tried_again(void)
{
    static const struct {
        int code;
        long ran;
    } rows[] = {
        { SHUNT_ECANCELED, 1 }, { SHUNT_EINVAL, 1 },  { SHUNT_ENOTSUP, 1 },
        { SHUNT_ECLOSED, 1 },   { SHUNT_EFORKED, 1 }, { SHUNT_EDEADLK, 1 },
        { SHUNT_EBROKEN, 1 },   { SHUNT_EFAILED, 3 }, { SHUNT_ETIMEDOUT, 3 },
        { SHUNT_ECRASHED, 3 },  { SHUNT_ENOMEM, 3 },  { SHUNT_EAGAIN, 3 },
    };
    shunt_pool *pool = harness_pool(2);

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct code sent = { rows[i].code, stage_tally() };
        shunt_future *f = shunt_retry(pool, fail_with, &sent, AT_ONCE);
        const shunt_error *e = why(f, rows[i].code);
        assert_long(e->attempts, rows[i].ran == 1 ? 0 : 3);
        assert_long(tally_of(sent.ran), rows[i].ran);
        /* The caller may know better. */
        f = shunt_retry(pool, fail_with, &sent, AT_ONCE, .again = always);
        assert_status(shunt_join(f), rows[i].code);
        assert_long(tally_of(sent.ran), rows[i].ran + 3);
    }
    harness_free(pool);
}

/* ---- pauses ---- */

/* Method: the clock stands still, so the next attempt begins when it is moved
 * by the longest pause that there may be, and not before it is moved. */
static void a_pause_doubles_up_to_its_cap(void)
{
    static const int64_t most[] = { 1, 2, 4, 5, 5, 5, 5 };
    enum {
        PAUSES = sizeof most / sizeof most[0]
    };
    shunt_pool *pool = trial_pool(1);
    struct trial sent = trial(PAUSES + 1);
    shunt_future *f = shunt_retry(pool, trial_attempt, &sent, .attempts = 100,
                                  .first_ns = SHUNT_S(1), .cap_ns = SHUNT_S(5),
                                  .again = trial_again);

    for (unsigned i = 0; i < PAUSES; i++) {
        trial_turn(pool, i + 1);
        assert_long(tally_of(sent.ran), i + 1);
        trial_advance(pool, SHUNT_S(most[i]));
    }
    assert_takes(f, PAUSES + 1);
    trial_over(&sent, PAUSES + 1);
    harness_free(pool);
}

static void a_cap_below_the_first_pause_bounds_that(void)
{
    shunt_pool *pool = trial_pool(1);
    struct trial sent = trial(2);
    shunt_future *f = shunt_retry(pool, trial_attempt, &sent,
                                  .first_ns = SHUNT_FOREVER,
                                  .cap_ns = SHUNT_S(1), .again = trial_again);

    trial_turn(pool, 1);
    assert_long(tally_of(sent.ran), 1);
    trial_advance(pool, SHUNT_S(1));
    assert_takes(f, 2);
    harness_free(pool);
}

static void pauses_have_defaults(void)
{
    shunt_pool *pool = trial_pool(1);
    struct trial sent = trial(15);
    shunt_future *f = shunt_retry(pool, trial_attempt, &sent, .attempts = 15,
                                  .again = trial_again);

    /* 10 ms, 20 ms, ..., 5.12 s, 10 s, 10 s ... */
    for (unsigned i = 0; i < 14; i++) {
        trial_turn(pool, i + 1);
        assert_long(tally_of(sent.ran), i + 1);
        trial_advance(pool, i < 10 ? SHUNT_MS(10) << i : SHUNT_S(10));
    }
    assert_takes(f, 15);
    harness_free(pool);
}

/* Assert that of so many retries about so many have begun another attempt. */
static void assert_begun(const struct trial *sent, long before, double share,
                         long retries)
{
    long begun = tally_of(sent->ran) - before;
    double wanted = share * (double)retries, slack = (double)retries / 10;

    if ((double)begun < wanted - slack || (double)begun > wanted + slack)
        fail_msg("%ld of %ld have begun, not about %.0f", begun, retries,
                 wanted);
}

/* Goal: pauses are spread evenly over all of 0 to the longest.
 * Method: of many, the share that has ended by a part of it. By chance that is
 * off by a tenth once in 10^18 runs. */
static void pauses_are_drawn_from_all_of_their_length(void)
{
    enum {
        RETRIES = 2000
    };
    static const struct {
        int64_t most, part; /* in seconds */
    } rows[] = { { 8, 2 }, { 8, 4 }, { 8, 6 }, { 1000, 500 } };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        shunt_pool *pool = trial_pool(1);
        struct trial sent = trial(0);
        for (int j = 0; j < RETRIES; j++)
            (void)shunt_retry(pool, trial_attempt, &sent, .attempts = 2,
                              .first_ns = SHUNT_S(rows[i].most),
                              .cap_ns = SHUNT_FOREVER, .again = trial_again);
        trial_turn(pool, RETRIES);
        assert_long(tally_of(sent.ran), RETRIES);
        trial_advance(pool, SHUNT_S(rows[i].part));
        trial_rest(pool, RETRIES);
        assert_ok(shunt_pool_shutdown(pool, SHUNT_CANCEL, SHUNT_FOREVER, NULL));
        harness_free(pool);
        assert_long(tally_of(sent.dropped), RETRIES);
        assert_begun(&sent, RETRIES,
                     (double)rows[i].part / (double)rows[i].most, RETRIES);
    }
}

/* ---- values ---- */

struct large {
    _Alignas(64) unsigned char bytes[4096];
    struct tally *ran;
};

static int carry(const struct large *in, struct large *out)
{
    if ((uintptr_t)in % 64 != 0 || (uintptr_t)out % 64 != 0)
        return 100;
    *out = *in;
    for (size_t i = 0; i < sizeof in->bytes; i++)
        if (in->bytes[i] != (unsigned char)(i * 7))
            return 101;
    return tally_add(in->ran, 1) == 1 ? 0 : 1;
}
SHUNT_TASK(carry, struct large, struct large)

static void values_of_any_size_go_in_and_out(void)
{
    shunt_pool *pool = harness_pool(2);
    struct large sent = { .ran = stage_tally() }, got = { .ran = NULL };

    for (size_t i = 0; i < sizeof sent.bytes; i++)
        sent.bytes[i] = (unsigned char)(i * 7);
    assert_ok(shunt_take(shunt_retry(pool, carry, &sent, AT_ONCE), &got));
    assert_memory_equal(got.bytes, sent.bytes, sizeof sent.bytes);
    assert_long(tally_of(sent.ran), 2);
    assert_ok(shunt_join(shunt_retry(pool, stage_nothing, NULL)));
    harness_free(pool);
}

static int give_memory(const struct tally *const *in, char **out)
{
    struct tally *ran = (struct tally *)(uintptr_t)*in;

    *out = shunt_alloc(100);
    if (*out == NULL)
        return 100;
    memset(*out, 'x', 100);
    return tally_add(ran, 1) == 2 ? 0 : 1;
}
SHUNT_TASK(give_memory, const struct tally *, char *)

static void a_value_is_taken_with_the_memory_of_its_attempt(void)
{
    shunt_pool *pool = harness_pool(2);
    const struct tally *ran = stage_tally();
    char *bytes = NULL;

    assert_ok(
        shunt_take(shunt_retry(pool, give_memory, &ran, AT_ONCE), &bytes));
    assert_long(bytes[0] + bytes[99], 2 * 'x');
    assert_ok(shunt_free(bytes));
    harness_free(pool);
}

static int later(const struct trial *in, shunt_future **out)
{
    *out = shunt_submit(NULL, trial_attempt, in);
    return 0;
}
SHUNT_TASK(later, struct trial, shunt_future *)

static void an_attempt_that_returns_a_future_is_flattened(void)
{
    shunt_pool *pool = harness_pool(1);
    struct trial sent = trial(3), bad = trial(0);

    assert_takes(shunt_retry(pool, later, &sent, AT_ONCE), 3);
    const shunt_error *e =
        why(shunt_retry(pool, later, &bad, AT_ONCE), SHUNT_EFAILED);
    assert_string_equal(e->task, "trial_attempt");
    assert_long(e->attempts, 3);
    assert_long(e->task_code, 3);
    harness_free(pool);
}

static int retry_inside(const struct trial *in, long *out)
{
    return shunt_take(shunt_retry(NULL, trial_attempt, in, AT_ONCE), out);
}
SHUNT_TASK(retry_inside, struct trial, long)

static void a_task_waits_for_a_retry_on_the_only_worker(void)
{
    shunt_pool *pool = harness_pool(1);
    struct trial sent = trial(3);

    assert_takes(shunt_submit(pool, retry_inside, &sent), 3);
    trial_over(&sent, 3);
    harness_free(pool);
}

/* ---- composed ---- */

static void retries_are_futures_like_others(void)
{
    shunt_pool *pool = harness_pool(2);
    struct trial good = trial(2), bad = trial(0);
    shunt_future *f = shunt_retry(pool, trial_attempt, &good, AT_ONCE);

    assert_takes(shunt_then(f, stage_add_one), 3);
    f = shunt_retry(pool, trial_attempt, &bad, AT_ONCE);
    f = shunt_then(shunt_finally(f, stage_look_on), stage_add_one);
    assert_takes(shunt_recover(f, stage_task_code), 3);
    trial_over(&good, 2);
    trial_over(&bad, 3);
    harness_free(pool);
}

static void combinators_gather_retries(void)
{
    enum {
        N = 40
    };
    shunt_pool *pool = harness_pool(2);
    shunt_future *fs[N], *all;

    for (int i = 0; i < N; i++) {
        struct trial sent = trial(1 + i % 3);
        fs[i] = shunt_retry(pool, trial_attempt, &sent, AT_ONCE);
    }
    assert_takes(shunt_then(shunt_when_all(fs, N), stage_sum),
                 13 * (1 + 2 + 3) + 1);
    for (int i = 0; i < N; i++) {
        struct trial sent = trial(i == N - 1 ? 3 : 0);
        fs[i] = shunt_retry(pool, trial_attempt, &sent, AT_ONCE);
    }
    all = shunt_when_any(fs, N);
    assert_settles(all, 0);
    assert_long((long)shunt_peek(all, shunt_winner)->index, N - 1);
    assert_ok(shunt_release(all));
    for (int i = 0; i < 2; i++) {
        struct trial sent = trial(0);
        fs[i] = shunt_retry(pool, trial_attempt, &sent, AT_ONCE);
    }
    all = shunt_when_any(fs, 2);
    assert_fails_with(all, 3);
    const shunt_error *e = shunt_error_of(all);
    assert_long((long)e->cause_count, 2);
    assert_long((long)e->causes[1]->cause_count, 3);
    assert_long(e->causes[1]->causes[0]->task_code, 1);
    assert_ok(shunt_release(all));
    harness_free(pool);
}

/* ---- many attempts ---- */

static int waste(const struct tally *const *in, shunt_none *out)
{
    struct tally *left = (struct tally *)(uintptr_t)*in;
    char *bytes = shunt_alloc(4096);

    (void)out;
    if (bytes == NULL)
        return shunt_fail(2, "the pool has no memory left");
    bytes[0] = 1;
    return tally_add(left, -1) == 1 ? 0 : shunt_fail(1, "not yet");
}
SHUNT_TASK(waste, const struct tally *, shunt_none)

static bool while_wanting(const shunt_error *error)
{
    return error->task_code == 1;
}

/* Method: if attempts left anything behind, a pool of 16 MiB would not do. */
static void any_number_of_attempts_takes_the_memory_of_a_few(void)
{
    long attempts = harness_million() ? 1000000 : 100000;
    const struct tally *left = stage_tally();
    shunt_pool *pool = NULL;

    if (harness_slowness() > 1)
        attempts /= 10;
    harness_limit(300);
    assert_ok(shunt_pool_new(
        &pool,
        &(shunt_options){ .workers = 1, .arena_bytes = (size_t)16 << 20 }));
    tally_add((struct tally *)(uintptr_t)left, attempts);
    assert_ok(shunt_join(shunt_retry(pool, waste, &left, .attempts = 2000000,
                                     AT_ONCE, .again = while_wanting)));
    assert_long(tally_of((struct tally *)(uintptr_t)left), 0);
    harness_free(pool);
}

static void many_retries_at_a_time(void)
{
    int retries = harness_slowness() > 1 ? 1000 : 20000;
    shunt_pool *pool = harness_pool(2);
    struct trial sent = trial(0);
    shunt_future **fs = calloc((size_t)retries, sizeof(*fs));

    harness_limit(300);
    harness_footprint((size_t)64 << 20);
    assert_non_null(fs);
    for (int i = 0; i < retries; i++)
        fs[i] =
            shunt_retry(pool, trial_attempt, &sent, .first_ns = SHUNT_US(9));
    assert_settles(fs[0], SHUNT_EFAILED);
    shunt_future *all = shunt_when_all_settled(fs, (size_t)retries);
    assert_settles(all, 0);
    assert_ok(shunt_release(all));
    harness_free(pool);
    assert_long(tally_of(sent.ran), 3L * retries);
    assert_long(tally_of(sent.dropped), retries);
    free(fs);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_retry_succeeds_with_the_first_attempt_that_does),
    CLAIM(three_attempts_are_made_if_nobody_says_how_many),
    CLAIM(a_retry_that_fails_says_why_each_attempt_did),
    CLAIM(of_many_failures_the_last_eight_are_told),
    CLAIM(the_failure_of_a_single_attempt_is_as_that_of_a_submit),
    CLAIM(again_decides_after_every_failure_but_the_last),
    CLAIM(by_default_what_is_final_is_not_tried_again),
    CLAIM(a_pause_doubles_up_to_its_cap),
    CLAIM(a_cap_below_the_first_pause_bounds_that),
    CLAIM(pauses_have_defaults),
    CLAIM(pauses_are_drawn_from_all_of_their_length),
    CLAIM(values_of_any_size_go_in_and_out),
    CLAIM(a_value_is_taken_with_the_memory_of_its_attempt),
    CLAIM(an_attempt_that_returns_a_future_is_flattened),
    CLAIM(a_task_waits_for_a_retry_on_the_only_worker),
    CLAIM(retries_are_futures_like_others),
    CLAIM(combinators_gather_retries),
    CLAIM(any_number_of_attempts_takes_the_memory_of_a_few),
    CLAIM(many_retries_at_a_time),
};

HARNESS_MAIN(claims)
