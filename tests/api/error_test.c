/* SPDX-License-Identifier: MIT */
/*
 * error_test.c - an error names the task that failed first, says why in a
 * sentence, and keeps saying it however far the failure has travelled.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>

#include "stage.h"

#define TEXT__(x) #x
#define TEXT_(x) TEXT__(x)
/* The place of this line, as the library should report it. */
#define THIS_LINE "error_test.c:" TEXT_(__LINE__)

static void assert_ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), wanted = strlen(end);

    if (length < wanted || strcmp(text + length - wanted, end) != 0)
        fail_msg("\"%s\" does not end with \"%s\"", text, end);
}

/* ---- codes ---- */

static void every_code_has_a_name_and_a_sentence_of_its_own(void)
{
    struct code {
        int value;
        const char *name;
    };
#define ROW(name, value, sentence) { name, #name },
    static const struct code codes[] = { SHUNT_ERRORS(ROW) };
#undef ROW

    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        assert_string_equal(shunt_code_name(codes[i].value), codes[i].name);
        assert_true(codes[i].value < -10000);
        assert_true(strlen(shunt_code_text(codes[i].value)) > 5);
        for (size_t j = 0; j < i; j++) {
            assert_true(codes[i].value != codes[j].value);
            assert_string_not_equal(shunt_code_text(codes[i].value),
                                    shunt_code_text(codes[j].value));
        }
    }
    assert_string_equal(shunt_code_name(0), "success");
    assert_string_equal(shunt_code_name(SHUNT_PENDING), "SHUNT_PENDING");
}

static void what_is_no_code_is_called_unknown(void)
{
    static const int others[] = { 2,       -1,      -10000, -10013,
                                  INT_MAX, INT_MIN, -EINVAL };

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_string_equal(shunt_code_name(others[i]), "unknown");
        assert_non_null(shunt_code_text(others[i]));
    }
}

/* ---- records ---- */

static void a_future_that_has_not_failed_has_an_empty_error(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise pending = stage_promise(pool);
    shunt_future *const good[] = { pending.future, stage_given(pool, 1) };

    for (int i = 0; i < 2; i++) {
        const shunt_error *error = shunt_error_of(good[i]);
        assert_non_null(error);
        assert_long(error->code, 0);
        assert_long(error->task_code, 0);
        assert_non_null(error->task);
        assert_non_null(error->message);
        assert_non_null(error->where);
        assert_long((long)error->cause_count, 0);
        assert_ok(shunt_release(good[i]));
    }
    assert_ok(shunt_promise_drop(pending.promise));
    harness_free(pool);
}

static int refuse(const long *in, long *out)
{
    (void)out;
    return (int)*in;
}
SHUNT_TASK(refuse, long, long)

static int renamed(const long *in, long *out)
{
    return refuse(in, out);
}
SHUNT_TASK(renamed, long, long, .name = "the renamed task")

static void a_failed_task_has_a_complete_record(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *f = shunt_submit(pool, refuse, &(long){ 7 });

    assert_fails_with(f, 7);
    const shunt_error *error = shunt_error_of(f);
    assert_string_equal(error->task, "refuse");
    assert_true(strlen(error->message) > 5);
    assert_non_null(strstr(error->where, "error_test.c:"));
    assert_long(error->signal, 0);
    assert_long(error->exit_status, 0);
    assert_null(error->address);
    assert_long(error->attempts, 1);
    assert_long((long)error->cause_count, 0);
    assert_ptr_equal(shunt_error_of(f), error);
    assert_ok(shunt_release(f));
    harness_free(pool);
}

static void where_is_the_line_of_the_call(void)
{
    shunt_pool *pool = harness_pool(1);
    long in = 7;
    const char *line;
    shunt_future *f;

    f = shunt_submit(pool, refuse, &in), line = THIS_LINE;
    assert_fails_with(f, 7);
    assert_ends_with(shunt_error_of(f)->where, line);
    assert_ok(shunt_release(f));
    f = stage_given(pool, 8);
    f = shunt_then(f, refuse), line = THIS_LINE;
    f = shunt_then(f, stage_add_one);
    assert_fails_with(f, 8);
    assert_ends_with(shunt_error_of(f)->where, line);
    assert_ok(shunt_release(f));
    f = shunt_map(pool, refuse, &in, 1), line = THIS_LINE;
    assert_fails_with(f, 7);
    assert_ends_with(shunt_error_of(f)->where, line);
    assert_ok(shunt_release(f));
    f = shunt_submit_here(pool, &shunt_task_refuse, &in, NULL);
    assert_fails_with(f, 7);
    assert_non_null(shunt_error_of(f)->where);
    assert_ok(shunt_release(f));
    harness_free(pool);
}

static void a_name_trait_is_what_errors_show(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *f = shunt_submit(pool, renamed, &(long){ 7 });

    assert_fails_with(f, 7);
    assert_string_equal(shunt_error_of(f)->task, "the renamed task");
    assert_ok(shunt_release(f));
    harness_free(pool);
}

/* ---- shunt_fail ---- */

struct say {
    int code;
    unsigned times, length;
    bool without_text, then_succeed;
};

static int say(const struct say *in, long *out)
{
    char text[4000];

    *out = 1;
    if (in->without_text)
        return shunt_fail(in->code, NULL);
    if (in->length > 0) {
        memset(text, 'x', sizeof text);
        text[in->length] = '\0';
        return shunt_fail(in->code, "long: %s", text);
    }
    for (unsigned i = 1; i < in->times; i++)
        shunt_fail(in->code, "text %u of %u", i, in->times);
    int rc = shunt_fail(in->code, "text %u of %u", in->times, in->times);
    return in->then_succeed ? 0 : rc;
}
SHUNT_TASK(say, struct say, long)

static void shunt_fail_attaches_a_text(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *f =
        shunt_submit(pool, say, &(struct say){ .code = -3, .times = 1 });

    assert_fails_with(f, -3);
    assert_non_null(strstr(shunt_error_of(f)->message, "text 1 of 1"));
    assert_ok(shunt_release(f));
    harness_free(pool);
}

static void the_last_text_counts(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *f =
        shunt_submit(pool, say, &(struct say){ .code = 3, .times = 9 });

    assert_fails_with(f, 3);
    assert_non_null(strstr(shunt_error_of(f)->message, "text 9 of 9"));
    assert_ok(shunt_release(f));
    f = shunt_submit(pool, say,
                     &(struct say){ .code = 3, .without_text = true });
    assert_fails_with(f, 3);
    assert_true(strlen(shunt_error_of(f)->message) > 5);
    assert_ok(shunt_release(f));
    harness_free(pool);
}

static void a_text_without_a_failure_is_forgotten(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *f = shunt_submit(
        pool, say,
        &(struct say){ .code = 3, .times = 1, .then_succeed = true });

    assert_settles(f, 0);
    assert_null(strstr(shunt_error_of(f)->message, "text"));
    assert_takes(f, 1);
    f = shunt_submit(pool, refuse, &(long){ 7 });
    assert_fails_with(f, 7);
    assert_null(strstr(shunt_error_of(f)->message, "text"));
    assert_ok(shunt_release(f));
    harness_free(pool);
}

static void a_long_text_is_kept_at_least_in_part(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *f =
        shunt_submit(pool, say, &(struct say){ .code = 3, .length = 3999 });

    assert_fails_with(f, 3);
    assert_non_null(strstr(shunt_error_of(f)->message, "long: xxxxxxxxxx"));
    assert_ok(shunt_release(f));
    harness_free(pool);
}

static void outside_a_task_shunt_fail_returns_its_code(void)
{
    int before = shunt_last_error()->code;

    assert_long(shunt_fail(17, "%s", "nobody reads this"), 17);
    assert_long(shunt_fail(0, NULL), 0);
    assert_long(shunt_last_error()->code, before);
}

/* ---- shunt_fail_as ---- */

struct as {
    shunt_future *lent;
    struct tally *seen;
    bool then_more;
};

static int fail_as(const struct as *in, long *out)
{
    int rc = shunt_fail_as(in->lent);

    *out = rc;
    tally_add(in->seen, rc);
    if (shunt_status(in->lent) == SHUNT_EINVAL && rc != SHUNT_EINVAL)
        return 1000;
    return in->then_more && rc > 0 ? 0 : rc;
}
SHUNT_TASK(fail_as, struct as, long)

static void failing_as_another_future_keeps_the_origin(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *origin = shunt_submit(pool, stage_fail, &(int){ 14 });
    struct as as = { origin, stage_tally(), false };

    assert_settles(origin, SHUNT_EFAILED);
    shunt_future *f = shunt_submit(pool, fail_as, &as);
    assert_fails_with(f, 14);
    assert_long(tally_of(as.seen), SHUNT_EFAILED);
    const shunt_error *error = shunt_error_of(f);
    assert_string_equal(error->task, "stage_fail");
    assert_string_equal(error->where, shunt_error_of(origin)->where);
    assert_non_null(strstr(error->message, "failed with 14 as asked"));
    /* Not consumed, and not needed any more. */
    assert_ok(shunt_release(origin));
    assert_string_equal(shunt_error_of(f)->task, "stage_fail");
    assert_ok(shunt_release(f));
    harness_free(pool);
}

static int fail_otherwise(shunt_future *const *in, long *out)
{
    *out = shunt_fail_as(*in);
    return shunt_fail(SHUNT_EFAILED, "for a reason of its own");
}
SHUNT_TASK(fail_otherwise, shunt_future *, long)

static void a_failure_with_a_text_takes_the_place_of_another_futures(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *origin = stage_failed(pool, 3);
    shunt_future *f = shunt_submit(pool, fail_otherwise, &origin);

    assert_settles(f, SHUNT_EFAILED);
    assert_string_equal(shunt_error_of(f)->task, "fail_otherwise");
    assert_non_null(strstr(shunt_error_of(f)->message, "of its own"));
    assert_ok(shunt_release(f));
    assert_ok(shunt_release(origin));
    harness_free(pool);
}

static void failing_as_a_cancelled_future_is_its_status(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *origin = stage_cancelled(pool);
    struct as as = { origin, stage_tally(), false };

    assert_joins(shunt_submit(pool, fail_as, &as), SHUNT_ECANCELED);
    assert_ok(shunt_release(origin));
    harness_free(pool);
}

static void failing_as_what_has_not_failed_attaches_nothing(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *good = stage_given(pool, 1);
    struct stage_promise pending = stage_promise(pool);
    struct as as = { good, stage_tally(), true };

    assert_takes(shunt_submit(pool, fail_as, &as), 0);
    as.lent = pending.future;
    assert_takes(shunt_submit(pool, fail_as, &as), SHUNT_PENDING);
    as.lent = stage_garbage(1);
    shunt_future *f = shunt_submit(pool, fail_as, &as);
    assert_fails_with(f, SHUNT_EINVAL);
    assert_string_equal(shunt_error_of(f)->task, "fail_as");
    assert_ok(shunt_release(f));
    assert_ok(shunt_promise_drop(pending.promise));
    assert_ok(shunt_release(pending.future));
    assert_ok(shunt_release(good));
    harness_free(pool);
}

/* ---- origins ---- */

static void a_long_chain_names_the_first_that_failed(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise head = stage_promise(pool);
    shunt_future *f = head.future;

    for (int i = 0; i < 1000; i++)
        f = i == 500 ? shunt_then(f, refuse) : shunt_then(f, stage_add_one);
    stage_give(head.promise, 0);
    assert_settles(f, SHUNT_EFAILED);
    const shunt_error *error = shunt_error_of(f);
    assert_string_equal(error->task, "refuse");
    assert_long(error->task_code, 500);
    assert_ok(shunt_release(f));
    harness_free(pool);
}

static void an_origin_survives_combinators_and_other_pools(void)
{
    shunt_pool *pool = harness_pool(1), *other = harness_pool(1);
    shunt_future *f = shunt_submit(pool, stage_fail, &(int){ 14 });

    f = shunt_when_all(&f, 1);
    f = shunt_via(other, f);
    f = shunt_race(&f, 1);
    f = shunt_when_any(&f, 1);
    f = shunt_when_some(&f, 1, 1);
    assert_fails_with(f, 14);
    const shunt_error *error = shunt_error_of(f);
    assert_string_equal(error->task, "stage_fail");
    assert_non_null(strstr(error->message, "failed with 14 as asked"));
    assert_ok(shunt_release(f));
    harness_free(pool);
    harness_free(other);
}

static void every_failure_of_when_any_is_a_cause_in_order(void)
{
    enum {
        INPUTS = 40
    };
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made[INPUTS];
    shunt_future *fs[INPUTS];
    size_t order[INPUTS];

    for (int i = 0; i < INPUTS; i++) {
        made[i] = stage_promise(pool);
        fs[i] = made[i].future;
    }
    shunt_future *any = shunt_when_any(fs, INPUTS);
    stage_shuffle(order, INPUTS);
    for (int i = 0; i < INPUTS; i++)
        assert_ok(shunt_promise_fail(made[order[i]].promise,
                                     100 + (int)order[i], "input %zu",
                                     order[i]));
    assert_fails_with(any, 100);
    const shunt_error *error = shunt_error_of(any);
    assert_long((long)error->cause_count, INPUTS);
    for (int i = 0; i < INPUTS; i++) {
        char text[32];
        snprintf(text, sizeof text, "input %d", i);
        assert_long(error->causes[i]->task_code, 100 + i);
        assert_non_null(strstr(error->causes[i]->message, text));
    }
    assert_ok(shunt_release(any));
    harness_free(pool);
}

/* ---- the last error ---- */

static void *ask_in_thread(void *user)
{
    long *codes = user;

    codes[0] = shunt_last_error()->code;
    return NULL;
}

static void the_last_error_is_that_of_this_thread(void)
{
    shunt_pool *pool = harness_pool(1);
    long codes[1] = { 7 }, value;
    pthread_t thread;

    assert_status(shunt_join(shunt_submit(pool, stage_fail, &(int){ 14 })),
                  SHUNT_EFAILED);
    assert_long(shunt_last_error()->task_code, 14);
    assert_string_equal(shunt_last_error()->task, "stage_fail");
    /* A success does not change it. */
    assert_ok(shunt_take(stage_given(pool, 1), &value));
    assert_long(shunt_last_error()->task_code, 14);
    assert_status(shunt_take(stage_failed(pool, 15), &value), SHUNT_EFAILED);
    assert_long(shunt_last_error()->task_code, 15);
    assert_int_equal(pthread_create(&thread, NULL, ask_in_thread, codes), 0);
    pthread_join(thread, NULL);
    assert_long(codes[0], 0);
    /* Nor does it need the pool of the future. */
    harness_free(pool);
    assert_long(shunt_last_error()->task_code, 15);
    assert_non_null(strstr(shunt_last_error()->message, "failed with 15"));
    assert_status(shunt_join(NULL), SHUNT_EINVAL);
    assert_long(shunt_last_error()->code, SHUNT_EINVAL);
}

struct remember {
    struct latch *parked;
    shunt_future *go;
    int code;
};

static int remember(const struct remember *in, long *out)
{
    if (shunt_last_error()->code != 0)
        return 1;
    int rc = shunt_join(shunt_submit(NULL, stage_fail, &in->code));
    if (rc != SHUNT_EFAILED || shunt_last_error()->task_code != in->code)
        return 2;
    latch_raise(in->parked);
    if (shunt_await(in->go) != 0)
        return 3;
    *out = shunt_last_error()->task_code;
    return 0;
}
SHUNT_TASK(remember, struct remember, long)

/* Method: three tasks share the one worker's thread and park in between. */
static void the_last_error_is_that_of_this_task(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise go = stage_promise(pool);
    struct latch *parked = stage_latch();
    shunt_future *tasks[3];

    for (int i = 0; i < 3; i++)
        tasks[i] = shunt_submit(
            pool, remember, &(struct remember){ parked, go.future, 50 + i });
    assert_true(latch_reaches(parked, 3));
    stage_give(go.promise, 1);
    for (int i = 0; i < 3; i++)
        assert_takes(tasks[i], 50 + i);
    assert_ok(shunt_release(go.future));
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(every_code_has_a_name_and_a_sentence_of_its_own),
    CLAIM(what_is_no_code_is_called_unknown),
    CLAIM(a_future_that_has_not_failed_has_an_empty_error),
    CLAIM(a_failed_task_has_a_complete_record),
    CLAIM(where_is_the_line_of_the_call),
    CLAIM(a_name_trait_is_what_errors_show),
    CLAIM(shunt_fail_attaches_a_text),
    CLAIM(the_last_text_counts),
    CLAIM(a_text_without_a_failure_is_forgotten),
    CLAIM(a_long_text_is_kept_at_least_in_part),
    CLAIM(outside_a_task_shunt_fail_returns_its_code),
    CLAIM(failing_as_another_future_keeps_the_origin),
    CLAIM(a_failure_with_a_text_takes_the_place_of_another_futures),
    CLAIM(failing_as_a_cancelled_future_is_its_status),
    CLAIM(failing_as_what_has_not_failed_attaches_nothing),
    CLAIM(a_long_chain_names_the_first_that_failed),
    CLAIM(an_origin_survives_combinators_and_other_pools),
    CLAIM(every_failure_of_when_any_is_a_cause_in_order),
    CLAIM(the_last_error_is_that_of_this_thread),
    CLAIM(the_last_error_is_that_of_this_task),
};

HARNESS_MAIN(claims)
