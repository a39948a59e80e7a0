/* SPDX-License-Identifier: MIT */
/*
 * promise_test.c - the writing end: kept once, by whoever holds it, or void
 * when its maker is gone.
 */
#include <pthread.h>
#include <string.h>

#include "stage.h"

/* ---- kept, failed, dropped ---- */

static void a_promise_that_is_kept_settles_its_future(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);

    assert_status(shunt_status(made.future), SHUNT_PENDING);
    assert_null(shunt_peek(made.future, long));
    stage_give(made.promise, 12);
    assert_ok(shunt_status(made.future));
    assert_long(*shunt_peek(made.future, long), 12);
    assert_takes(made.future, 12);
    harness_free(pool);
}

static void a_promise_fails_with_a_code_and_a_text(void)
{
    static const int own[] = { 7, -1, -22, 2, INT32_MAX, INT32_MIN };
    shunt_pool *pool = harness_pool(1);

    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        struct stage_promise made = stage_promise(pool);
        assert_ok(shunt_promise_fail(made.promise, own[i], "no %s", "luck"));
        assert_fails_with(made.future, own[i]);
        const shunt_error *error = shunt_error_of(made.future);
        assert_non_null(strstr(error->message, "no luck"));
        assert_string_equal(error->task, "");
        assert_ok(shunt_release(made.future));
    }
    harness_free(pool);
}

static void a_code_of_shunts_is_the_status_itself(void)
{
#define VALUE(name, value, sentence) name,
    static const int codes[] = { SHUNT_ERRORS(VALUE) };
#undef VALUE
    shunt_pool *pool = harness_pool(1);

    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        struct stage_promise made = stage_promise(pool);
        assert_ok(shunt_promise_fail(made.promise, codes[i], NULL));
        assert_settles(made.future, codes[i]);
        assert_true(strlen(shunt_error_of(made.future)->message) > 5);
        assert_ok(shunt_release(made.future));
    }
    harness_free(pool);
}

static void what_is_no_failure_cannot_fail_a_promise(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);

    assert_status(shunt_promise_fail(made.promise, 0, NULL), SHUNT_EINVAL);
    assert_status(shunt_promise_fail(made.promise, SHUNT_PENDING, "x"),
                  SHUNT_EINVAL);
    assert_status(shunt_status(made.future), SHUNT_PENDING);
    stage_give(made.promise, 2);
    assert_takes(made.future, 2);
    harness_free(pool);
}

static void a_promise_that_is_dropped_is_cancelled(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);

    assert_ok(shunt_promise_drop(made.promise));
    assert_joins(made.future, SHUNT_ECANCELED);
    harness_free(pool);
}

/* Whatever consumed it first: the outcome stays, and every later use of the
 * promise is refused. */
static void a_promise_is_consumed_once(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int first = 0; first < 3; first++) {
        struct stage_promise made = stage_promise(pool);
        if (first == 0)
            stage_give(made.promise, 1);
        else if (first == 1)
            assert_ok(shunt_promise_fail(made.promise, 5, NULL));
        else
            assert_ok(shunt_promise_drop(made.promise));
        int status = shunt_status(made.future);
        assert_status(shunt_promise_give(made.promise, &(long){ 2 }),
                      SHUNT_EINVAL);
        assert_status(shunt_promise_fail(made.promise, 6, NULL), SHUNT_EINVAL);
        assert_status(shunt_promise_drop(made.promise), SHUNT_EINVAL);
        assert_status(shunt_promise_on_cancel(made.promise, NULL, NULL),
                      SHUNT_EINVAL);
        assert_status(shunt_status(made.future), status);
        if (first == 0)
            assert_long(*shunt_peek(made.future, long), 1);
        assert_ok(shunt_release(made.future));
    }
    harness_free(pool);
}

static void a_value_of_the_wrong_size_leaves_the_promise_good(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);
    long pair[2] = { 1, 2 };
    short small = 3;

    assert_status(shunt_promise_give(made.promise, &small), SHUNT_EINVAL);
    assert_status(shunt_promise_give_sized(made.promise, pair, sizeof pair),
                  SHUNT_EINVAL);
    assert_status(shunt_promise_give_sized(made.promise, NULL, sizeof(long)),
                  SHUNT_EINVAL);
    assert_status(shunt_promise_give(made.promise, NULL), SHUNT_EINVAL);
    assert_status(shunt_status(made.future), SHUNT_PENDING);
    stage_give(made.promise, 4);
    assert_takes(made.future, 4);
    harness_free(pool);
}

struct large {
    _Alignas(64) char bytes[100000];
};

static void a_promise_may_be_of_any_type(void)
{
    static struct large large, taken;
    shunt_pool *pool = harness_pool(1);
    shunt_promise *promise;
    shunt_future *future;

    memset(&large, 0x5a, sizeof large);
    assert_ok(shunt_promise_new(pool, struct large, &promise, &future));
    assert_ok(shunt_promise_give(promise, &large));
    const struct large *peeked = shunt_peek(future, struct large);
    assert_non_null(peeked);
    assert_int_equal((uintptr_t)peeked % 64, 0);
    assert_ok(shunt_take(future, &taken));
    assert_memory_equal(&taken, &large, sizeof large);
    assert_ok(shunt_promise_new(pool, shunt_none, &promise, &future));
    assert_ok(shunt_promise_give(promise, NULL));
    assert_joins(future, 0);
    assert_ok(shunt_promise_new(pool, const char *, &promise, &future));
    assert_ok(shunt_promise_give(promise, &(const char *){ "text" }));
    const char *text = NULL;
    assert_ok(shunt_take(future, &text));
    assert_string_equal(text, "text");
    harness_free(pool);
}

/* ---- who holds what ---- */

static void a_promise_is_kept_for_a_future_that_nobody_holds(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);

    assert_ok(shunt_release(made.future));
    assert_ok(shunt_promise_give(made.promise, &(long){ 1 }));
    assert_status(shunt_promise_drop(made.promise), SHUNT_EINVAL);
    harness_free(pool);
}

struct keep {
    shunt_promise *promise;
    long value;
    struct tally *accepted;
};

static int keep(const struct keep *in, shunt_none *out)
{
    (void)out;
    int rc = shunt_promise_give(in->promise, &in->value);
    if (rc == 0)
        tally_add(in->accepted, 1);
    return rc == 0 || rc == SHUNT_EINVAL ? 0 : 1;
}
SHUNT_TASK(keep, struct keep, shunt_none)

static void one_of_many_tasks_keeps_a_promise(void)
{
    enum {
        TASKS = 8,
        ROUNDS = 300
    };
    shunt_pool *pool = harness_pool(3);

    for (int round = 0; round < ROUNDS; round++) {
        struct stage_promise made = stage_promise(pool);
        struct tally *accepted = stage_tally();
        shunt_future *tasks[TASKS];
        for (long i = 0; i < TASKS; i++)
            tasks[i] = shunt_submit(
                pool, keep, &(struct keep){ made.promise, 10 + i, accepted });
        for (int i = 0; i < TASKS; i++)
            assert_joins(tasks[i], 0);
        assert_long(tally_of(accepted), 1);
        assert_ok(shunt_await(made.future));
        assert_in_range(*shunt_peek(made.future, long), 10, 9 + TASKS);
        assert_ok(shunt_release(made.future));
    }
    harness_free(pool);
}

/* ---- makers ---- */

struct maker {
    bool give;
};

static int make_and_leave(const struct maker *in, shunt_future **out)
{
    shunt_promise *promise;
    int rc = shunt_promise_new(NULL, long, &promise, out);

    if (rc == 0 && in->give)
        rc = shunt_promise_give(promise, &(long){ 3 });
    return rc;
}
SHUNT_TASK(make_and_leave, struct maker, shunt_future *)

static void a_promise_ends_with_the_task_that_made_it(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int i = 0; i < 100; i++) {
        assert_joins(shunt_submit(pool, make_and_leave,
                                  &(struct maker){ .give = false }),
                     SHUNT_ECANCELED);
        assert_takes(
            shunt_submit(pool, make_and_leave, &(struct maker){ .give = true }),
            3);
    }
    harness_free(pool);
}

static int make_and_wait(struct tally *const *in, long *out)
{
    shunt_promise *promise;
    shunt_future *future;
    int rc = shunt_promise_new(NULL, long, &promise, &future);

    if (rc != 0)
        return rc;
    shunt_future *child =
        shunt_submit(NULL, keep, &(struct keep){ promise, 8, *in });
    rc = shunt_take(future, out);
    return rc | shunt_join(child);
}
SHUNT_TASK(make_and_wait, struct tally *, long)

static void a_child_may_keep_its_parents_promise(void)
{
    shunt_pool *pool = harness_pool(1);

    struct tally *kept = stage_tally();

    for (int i = 0; i < 100; i++)
        assert_takes(shunt_submit(pool, make_and_wait, &kept), 8);
    assert_long(tally_of(kept), 100);
    harness_free(pool);
}

struct noted {
    shunt_promise *volatile *promise;
};

static int make_note_and_leave(const struct noted *in, shunt_none *out)
{
    shunt_promise *promise = NULL;
    shunt_future *future;

    (void)out;
    int rc = shunt_promise_new(NULL, long, &promise, &future);
    *in->promise = promise;
    return rc;
}
SHUNT_TASK(make_note_and_leave, struct noted, shunt_none)

/* Method: the promise's place is used again by the next one. */
static void the_promise_of_a_task_that_ended_is_refused(void)
{
    shunt_pool *pool = harness_pool(1);
    struct noted noted = { stage_bytes(sizeof(shunt_promise *)) };

    assert_joins(shunt_submit(pool, make_note_and_leave, &noted), 0);
    assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
    struct stage_promise next = stage_promise(pool);
    assert_non_null(*noted.promise);
    int rc = shunt_promise_give(*noted.promise, &(long){ 1 });
    assert_true(rc == SHUNT_EINVAL || rc == SHUNT_ECANCELED);
    assert_status(shunt_status(next.future), SHUNT_PENDING);
    stage_give(next.promise, 2);
    assert_takes(next.future, 2);
    harness_free(pool);
}

static void a_promise_that_nobody_keeps_ends_with_the_pool(void)
{
    static const enum shunt_how hows[] = { SHUNT_DRAIN, SHUNT_CANCEL,
                                           SHUNT_KILL };

    for (int i = 0; i < 3; i++) {
        shunt_pool *pool = harness_pool(1);
        struct stage_promise made = stage_promise(pool);
        shunt_future *later = shunt_then(shunt_retain(made.future), stage_same);
        assert_ok(shunt_pool_shutdown(pool, hows[i], SHUNT_FOREVER, NULL));
        assert_settles(made.future, SHUNT_ECANCELED);
        assert_settles(later, SHUNT_ECANCELED);
        assert_true(shunt_promise_give(made.promise, &(long){ 1 }) < 0);
        harness_free(pool);
    }
}

/* ---- cancelling ---- */

static void count_call(void *user)
{
    tally_add(user, 1);
}

static void cancelling_an_unheard_promise_settles_it(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);
    struct tally *calls = stage_tally();

    assert_long(shunt_cancel(made.future), 1);
    assert_status(shunt_status(made.future), SHUNT_ECANCELED);
    assert_long(shunt_cancel(made.future), 0);
    assert_status(shunt_promise_on_cancel(made.promise, count_call, calls),
                  SHUNT_ECANCELED);
    assert_long(tally_of(calls), 0);
    assert_status(shunt_promise_give(made.promise, &(long){ 1 }),
                  SHUNT_ECANCELED);
    assert_status(shunt_promise_give(made.promise, &(long){ 1 }), SHUNT_EINVAL);
    assert_joins(made.future, SHUNT_ECANCELED);
    harness_free(pool);
}

static void a_listening_promise_decides_itself_what_a_cancel_does(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int answer = 0; answer < 3; answer++) {
        struct stage_promise made = stage_promise(pool);
        struct tally *calls = stage_tally();
        assert_ok(shunt_promise_on_cancel(made.promise, count_call, calls));
        assert_long(tally_of(calls), 0);
        assert_long(shunt_cancel(made.future), 1);
        assert_long(tally_of(calls), 1);
        assert_status(shunt_status(made.future), SHUNT_PENDING);
        assert_long(shunt_cancel(made.future), 1);
        assert_long(tally_of(calls), 1);
        if (answer == 0)
            stage_give(made.promise, 7);
        else if (answer == 1)
            assert_ok(shunt_promise_fail(made.promise, 9, NULL));
        else
            assert_ok(shunt_promise_drop(made.promise));
        assert_joins(made.future, answer == 0   ? 0
                                  : answer == 1 ? SHUNT_EFAILED
                                                : SHUNT_ECANCELED);
        assert_long(tally_of(calls), 1);
    }
    harness_free(pool);
}

static void a_promise_that_was_kept_is_not_told_of_cancels(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);
    struct tally *calls = stage_tally();

    assert_ok(shunt_promise_on_cancel(made.promise, count_call, calls));
    stage_give(made.promise, 7);
    assert_long(shunt_cancel(made.future), 0);
    assert_long(tally_of(calls), 0);
    assert_takes(made.future, 7);
    harness_free(pool);
}

/* ---- bad arguments ---- */

static void a_promise_with_bad_arguments_is_not_made(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_promise *promise = (void *)1;
    shunt_future *future = (void *)1;

    assert_status(shunt_promise_new(NULL, long, &promise, &future),
                  SHUNT_EINVAL);
    assert_status(shunt_promise_new(pool, long, NULL, &future), SHUNT_EINVAL);
    assert_status(shunt_promise_new(pool, long, &promise, NULL), SHUNT_EINVAL);
    assert_status(
        shunt_promise_new_typed(pool, 8, 0, "long", NULL, &promise, &future),
        SHUNT_EINVAL);
    assert_status(
        shunt_promise_new_typed(pool, 8, 3, "long", NULL, &promise, &future),
        SHUNT_EINVAL);
    int rc = shunt_promise_new_typed(pool, SIZE_MAX, 8, "huge", NULL, &promise,
                                     &future);
    assert_true(rc == SHUNT_EINVAL || rc == SHUNT_ENOMEM);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    assert_status(shunt_promise_new(pool, long, &promise, &future),
                  SHUNT_ECLOSED);
    assert_ptr_equal(promise, (void *)1);
    assert_ptr_equal(future, (void *)1);
    harness_free(pool);
}

static void what_is_no_promise_is_refused(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *future = stage_given(pool, 1);
    shunt_promise *bad[STAGE_GARBAGE + 1];

    for (unsigned i = 0; i < STAGE_GARBAGE; i++)
        bad[i] = (shunt_promise *)stage_garbage(i);
    bad[STAGE_GARBAGE] = (shunt_promise *)future;
    for (unsigned i = 0; i <= STAGE_GARBAGE; i++) {
        assert_status(shunt_promise_give(bad[i], &(long){ 1 }), SHUNT_EINVAL);
        assert_status(shunt_promise_fail(bad[i], 1 << 4, NULL), SHUNT_EINVAL);
        assert_status(shunt_promise_drop(bad[i]), SHUNT_EINVAL);
        assert_status(shunt_promise_on_cancel(bad[i], count_call, NULL),
                      SHUNT_EINVAL);
    }
    struct stage_promise made = stage_promise(pool);
    assert_status(shunt_status((shunt_future *)made.promise), SHUNT_EINVAL);
    assert_ok(shunt_promise_drop(made.promise));
    assert_ok(shunt_release(made.future));
    assert_takes(future, 1);
    harness_free(pool);
}

/* ---- threads ---- */

struct giver {
    struct stage_promise *made;
    struct latch *turn;
    int wrong;
};
enum {
    GIVEN = 2000
};

static void *give_from_thread(void *user)
{
    struct giver *giver = user;

    latch_raise(giver->turn);
    for (long i = 0; i < GIVEN; i++) {
        if (shunt_promise_give(giver->made[i].promise, &i) != 0)
            giver->wrong++;
    }
    return NULL;
}

static void a_value_given_by_a_thread_reaches_who_waits_for_it(void)
{
    static struct stage_promise made[GIVEN];
    shunt_pool *pool = harness_pool(1);
    struct giver giver = { made, stage_latch(), 0 };
    pthread_t thread;

    for (int i = 0; i < GIVEN; i++)
        made[i] = stage_promise(pool);
    assert_int_equal(pthread_create(&thread, NULL, give_from_thread, &giver),
                     0);
    assert_true(latch_reaches(giver.turn, 1));
    for (long i = 0; i < GIVEN; i++)
        assert_takes(made[i].future, i);
    pthread_join(thread, NULL);
    assert_long(giver.wrong, 0);
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_promise_that_is_kept_settles_its_future),
    CLAIM(a_promise_fails_with_a_code_and_a_text),
    CLAIM(a_code_of_shunts_is_the_status_itself),
    CLAIM(what_is_no_failure_cannot_fail_a_promise),
    CLAIM(a_promise_that_is_dropped_is_cancelled),
    CLAIM(a_promise_is_consumed_once),
    CLAIM(a_value_of_the_wrong_size_leaves_the_promise_good),
    CLAIM(a_promise_may_be_of_any_type),
    CLAIM(a_promise_is_kept_for_a_future_that_nobody_holds),
    CLAIM(one_of_many_tasks_keeps_a_promise),
    CLAIM(a_promise_ends_with_the_task_that_made_it),
    CLAIM(a_child_may_keep_its_parents_promise),
    CLAIM(the_promise_of_a_task_that_ended_is_refused),
    CLAIM(a_promise_that_nobody_keeps_ends_with_the_pool),
    CLAIM(cancelling_an_unheard_promise_settles_it),
    CLAIM(a_listening_promise_decides_itself_what_a_cancel_does),
    CLAIM(a_promise_that_was_kept_is_not_told_of_cancels),
    CLAIM(a_promise_with_bad_arguments_is_not_made),
    CLAIM(what_is_no_promise_is_refused),
    CLAIM(a_value_given_by_a_thread_reaches_who_waits_for_it),
};

HARNESS_MAIN(claims)
