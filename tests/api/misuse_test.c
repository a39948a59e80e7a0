/* SPDX-License-Identifier: MIT */
/*
 * misuse_test.c - every function that takes a pool, a task or a type, given
 * what it cannot use: an answer, nothing changed, and nothing worse. What
 * handles, promises, blocks and combinators refuse is in their own tests.
 */
#include <string.h>

#include "stage.h"

/* ---- pools that are none ---- */

static void assert_no_pool(shunt_pool *pool, int code)
{
    shunt_promise *promise = NULL;
    shunt_future *future = NULL;
    shunt_pool *good = harness_pool(1);
    size_t left = 77;
    long in = 1;

    assert_status(shunt_pool_workers(pool), code);
    assert_status(shunt_pool_mode(pool), code);
    assert_status(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, &left),
                  code);
    assert_long((long)left, 77);
    assert_status(shunt_pool_free(pool), code);
    assert_null(shunt_pool_alloc(pool, 16));
    assert_joins(shunt_submit(pool, stage_same, &in), code);
    assert_joins(shunt_submit_wait(pool, stage_same, &in), code);
    assert_joins(shunt_submit_with(pool, stage_same, &in, .retries = 0), code);
    assert_joins(shunt_submit_task(pool, &shunt_task_stage_same, &in, NULL),
                 code);
    assert_joins(shunt_map(pool, stage_same, &in, 1), code);
    assert_joins(shunt_map_settled(pool, stage_same, &in, 1), code);
    assert_status(shunt_promise_new(pool, long, &promise, &future), code);
    assert_null(promise);
    assert_null(future);
    shunt_future *input = stage_given(good, 1);
    assert_joins(shunt_via(pool, input), code);
    assert_stale(input);
    harness_free(good);
}

static void what_never_was_a_pool_is_refused(void)
{
    static long zeroes[4096];

    assert_no_pool(NULL, SHUNT_EINVAL);
    assert_no_pool((shunt_pool *)(void *)zeroes, SHUNT_EINVAL);
    assert_no_pool((shunt_pool *)(void *)((char *)zeroes + 1), SHUNT_EINVAL);
    for (unsigned i = 1; i < STAGE_GARBAGE; i++)
        assert_no_pool((shunt_pool *)stage_garbage(i), SHUNT_EINVAL);
}

static void a_freed_pool_is_refused(void)
{
    shunt_pool *pool = harness_pool(1);

    harness_free(pool);
    assert_no_pool(pool, SHUNT_EINVAL);
    /* The place may be that of the next pool, but this one is not it. */
    shunt_pool *next = harness_pool(1);
    if (next != pool)
        assert_no_pool(pool, SHUNT_EINVAL);
    harness_free(next);
}

static void a_future_is_no_pool(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *f = stage_given(pool, 1);

    assert_no_pool((shunt_pool *)f, SHUNT_EINVAL);
    assert_takes(f, 1);
    harness_free(pool);
}

static void a_pool_needs_a_place_to_be_put(void)
{
    assert_status(shunt_pool_new(NULL, NULL), SHUNT_EINVAL);
    assert_status(shunt_pool_new(NULL, &(shunt_options){ .workers = 1 }),
                  SHUNT_EINVAL);
}

/* ---- tasks that are none ---- */

static int to_be_damaged(const long *in, long *out)
{
    return stage_same(in, out);
}
SHUNT_TASK(to_be_damaged, long, long)

static int a_step(const long *in, const long *ctx, long *out)
{
    *out = *in + *ctx;
    return 0;
}
SHUNT_STEP(a_step, long, long, long)

static void what_is_no_task_is_refused(void)
{
    shunt_pool *pool = harness_pool(1);
    long in = 1;
    shunt_task damaged = shunt_task_to_be_damaged;
    const shunt_task zeroes = { .size_ = 0 };

    assert_joins(shunt_submit_task(pool, NULL, &in, NULL), SHUNT_EINVAL);
    assert_joins(shunt_submit_here(pool, NULL, &in, NULL), SHUNT_EINVAL);
    assert_joins(shunt_submit_wait_here(pool, NULL, &in, NULL), SHUNT_EINVAL);
    assert_joins(shunt_submit_task(pool, &shunt_task_a_step, &in, NULL),
                 SHUNT_EINVAL);
    assert_joins(shunt_map_task(pool, &shunt_task_a_step, &in, 1, false, NULL),
                 SHUNT_EINVAL);
    assert_joins(shunt_submit_task(pool, &zeroes, &in, NULL), SHUNT_EINVAL);
    damaged.call_ = NULL;
    assert_joins(shunt_submit_task(pool, &damaged, &in, NULL), SHUNT_EINVAL);
    harness_free(pool);
}

static void an_input_that_is_needed_is_asked_for(void)
{
    shunt_pool *pool = harness_pool(1);

    assert_joins(shunt_submit(pool, stage_same, NULL), SHUNT_EINVAL);
    assert_joins(shunt_submit_wait(pool, stage_same, NULL), SHUNT_EINVAL);
    assert_joins(shunt_submit_with(pool, stage_same, NULL, .retries = 0),
                 SHUNT_EINVAL);
    assert_joins(
        shunt_then_task(stage_given(pool, 1), &shunt_task_a_step, NULL, NULL),
        SHUNT_EINVAL);
    harness_free(pool);
}

/* Recover and finally take a function of their own kinds of input. */
static void a_step_of_the_wrong_kind_is_refused(void)
{
    shunt_pool *pool = harness_pool(1);

    assert_joins(shunt_recover_task(stage_failed(pool, 2),
                                    &shunt_task_stage_same, NULL, NULL),
                 SHUNT_EINVAL);
    assert_joins(shunt_finally_task(stage_given(pool, 1),
                                    &shunt_task_stage_same, NULL, NULL),
                 SHUNT_EINVAL);
    harness_free(pool);
}

/* ---- values of another type ---- */

struct pair {
    long a, b;
};
struct wide_pair {
    _Alignas(2 * sizeof(long)) char bytes[2 * sizeof(long)];
};

static int make_pair(const shunt_none *in, struct pair *out)
{
    (void)in;
    *out = (struct pair){ 1, 2 };
    return 0;
}
SHUNT_TASK(make_pair, shunt_none, struct pair)

static void a_value_is_not_peeked_as_another_type(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *f = shunt_submit(pool, make_pair, NULL);

    assert_settles(f, 0);
    assert_null(shunt_peek(f, char));
    assert_null(shunt_peek(f, long));
    assert_null(shunt_peek(f, shunt_none));
    assert_null(shunt_peek(f, struct wide_pair));
    assert_null(shunt_peek(f, long[3]));
    assert_null(shunt_peek_typed(f, 0, 1, "nothing"));
    assert_null(shunt_peek_typed(f, sizeof(struct pair), 0, "struct pair"));
    assert_null(shunt_peek_typed(f, SIZE_MAX, 8, "huge"));
    assert_non_null(shunt_peek(f, struct pair));
    assert_ok(shunt_release(f));
    harness_free(pool);
}

static void a_value_is_not_taken_into_another_size(void)
{
    shunt_pool *pool = harness_pool(1);
    struct pair pairs[2] = { { 7, 7 }, { 7, 7 } };

    shunt_future *f = shunt_submit(pool, make_pair, NULL);
    assert_status(shunt_take(f, &pairs[0].a), SHUNT_EINVAL);
    assert_stale(f);
    f = shunt_submit(pool, make_pair, NULL);
    assert_status(shunt_take(f, &pairs), SHUNT_EINVAL);
    assert_stale(f);
    f = shunt_submit(pool, make_pair, NULL);
    assert_status(shunt_take_sized(f, pairs, SIZE_MAX), SHUNT_EINVAL);
    assert_stale(f);
    for (int i = 0; i < 2; i++)
        assert_long(pairs[i].a + pairs[i].b, 14);
    harness_free(pool);
}

static void a_take_without_a_place_consumes_the_future_all_the_same(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *f = shunt_submit(pool, make_pair, NULL);
    int rc = shunt_take_sized(f, NULL, sizeof(struct pair));

    assert_true(rc == 0 || rc == SHUNT_EINVAL);
    assert_stale(f);
    harness_free(pool);
}

/* ---- inside a task ---- */

struct inside {
    shunt_pool *own, *other;
    bool knows_other;
};

static int end_pools(const struct inside *in, long *out)
{
    size_t left = 77;

    if (shunt_pool_free(in->own) != SHUNT_EDEADLK)
        return 1;
    if (shunt_pool_free(NULL) != SHUNT_EDEADLK)
        return 2;
    for (int how = SHUNT_DRAIN; how <= SHUNT_KILL; how++) {
        if (shunt_pool_shutdown(in->own, (enum shunt_how)how, 0, &left) !=
            SHUNT_EDEADLK)
            return 3;
    }
    if (left != 77)
        return 4;
    /* It is unchanged, and still takes tasks. */
    int rc = shunt_take(shunt_submit(in->own, stage_same, &(long){ 5 }), out);
    if (rc != 0)
        return rc;
    rc = shunt_pool_shutdown(in->other, SHUNT_DRAIN, SHUNT_FOREVER, &left);
    if (!in->knows_other)
        return rc == SHUNT_EINVAL && left == 77 ? 0 : 6;
    if (rc != 0 || left != 0)
        return 5;
    return shunt_pool_free(in->other);
}
SHUNT_TASK(end_pools, struct inside, long)

/* A worker process knows no other pool. */
static void a_task_cannot_end_its_own_pool_but_others(void)
{
    shunt_pool *pool = harness_pool(1);
    struct inside inside = { pool, harness_pool(1), !harness_isolated() };

    assert_takes(shunt_submit(pool, end_pools, &inside), 5);
    if (harness_isolated())
        harness_free(inside.other);
    assert_takes(shunt_submit(pool, stage_same, &(long){ 6 }), 6);
    harness_free(pool);
}

static int make_pool(const shunt_none *in, long *out)
{
    shunt_pool *pool = NULL;

    (void)in;
    int rc = shunt_pool_new(&pool, &(shunt_options){ .workers = 1 });
    if (rc != 0)
        return rc;
    rc = shunt_take(shunt_submit(pool, stage_same, &(long){ 8 }), out);
    return rc != 0 ? rc : shunt_pool_free(pool);
}
SHUNT_TASK(make_pool, shunt_none, long)

static void a_task_may_make_a_pool_of_its_own(void)
{
    shunt_pool *pool = harness_pool(2);

    for (int i = 0; i < 20; i++)
        assert_takes(shunt_submit(pool, make_pool, NULL), 8);
    harness_free(pool);
}

static int ask_for_pools(const shunt_none *in, long *out)
{
    static const int modes[] = { SHUNT_MODE_DEFAULT, SHUNT_THREADS,
                                 SHUNT_PROCESSES };
    shunt_pool *pool = NULL;

    (void)in;
    for (int i = 0; i < 3; i++)
        *out += shunt_pool_new(&pool, &(shunt_options){ .mode = modes[i] }) ==
                    SHUNT_ENOTSUP &&
                pool == NULL;
    return shunt_take(shunt_submit(NULL, stage_same, &(long){ 8 }),
                      &(long){ 0 });
}
SHUNT_TASK(ask_for_pools, shunt_none, long)

static void a_worker_process_makes_no_pools(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int i = 0; i < 3; i++)
        assert_takes(shunt_submit(pool, ask_for_pools, NULL), 3);
    harness_free(pool);
}

/* ---- after the end ---- */

static void a_pool_that_was_shut_down_answers_but_takes_nothing(void)
{
    shunt_pool *pool = harness_pool(2);
    shunt_future *f = stage_given(pool, 4);
    shunt_promise *promise = NULL;
    shunt_future *future = NULL;
    long in = 1;

    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    assert_long(shunt_pool_workers(pool), 2);
    assert_true(shunt_pool_mode(pool) > 0);
    assert_joins(shunt_submit(pool, stage_same, &in), SHUNT_ECLOSED);
    assert_joins(shunt_submit_wait(pool, stage_same, &in), SHUNT_ECLOSED);
    assert_joins(shunt_submit_with(pool, stage_same, &in, .retries = 0),
                 SHUNT_ECLOSED);
    assert_joins(shunt_map(pool, stage_same, &in, 1), SHUNT_ECLOSED);
    assert_status(shunt_promise_new(pool, long, &promise, &future),
                  SHUNT_ECLOSED);
    assert_null(promise);
    assert_null(future);
    assert_ok(shunt_status(f));
    assert_long(*shunt_peek(f, long), 4);
    assert_takes(f, 4);
    harness_free(pool);
}

static void the_version_of_the_library_is_that_of_the_headers(void)
{
    assert_string_equal(shunt_version(), SHUNT_VERSION);
}

static void processes_may_be_prepared_as_often_as_one_likes(void)
{
    for (int i = 0; i < 3; i++)
        assert_ok(shunt_init());
}

static int add_pair(const struct pair *in, long *out)
{
    *out = in->a + in->b;
    return 0;
}
SHUNT_TASK(add_pair, struct pair, long)

/* Goal: the error of a continuation that does not fit says which one it is,
 * and what did not fit. */
static void a_continuation_of_another_type_is_told_so(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *f = shunt_submit(pool, make_pair, NULL);

    f = shunt_then(shunt_then(f, add_pair), add_pair);
    assert_settles(f, SHUNT_EINVAL);
    const shunt_error *e = shunt_error_of(f);
    assert_string_equal(e->task, "add_pair");
    assert_non_null(strstr(e->where, "misuse_test.c:"));
    assert_non_null(strstr(e->message, "struct pair (16 bytes)"));
    assert_non_null(strstr(e->message, "long (8 bytes)"));
    assert_ok(shunt_release(f));
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(what_never_was_a_pool_is_refused),
    CLAIM(a_freed_pool_is_refused),
    CLAIM(a_future_is_no_pool),
    CLAIM(a_pool_needs_a_place_to_be_put),
    CLAIM(what_is_no_task_is_refused),
    CLAIM(an_input_that_is_needed_is_asked_for),
    CLAIM(a_step_of_the_wrong_kind_is_refused),
    CLAIM(a_value_is_not_peeked_as_another_type),
    CLAIM(a_value_is_not_taken_into_another_size),
    CLAIM(a_continuation_of_another_type_is_told_so),
    CLAIM(a_take_without_a_place_consumes_the_future_all_the_same),
    CLAIM(a_task_cannot_end_its_own_pool_but_others),
    CLAIM_OF_THREADS(a_task_may_make_a_pool_of_its_own),
    CLAIM_OF_PROCESSES(a_worker_process_makes_no_pools),
    CLAIM(a_pool_that_was_shut_down_answers_but_takes_nothing),
    CLAIM(the_version_of_the_library_is_that_of_the_headers),
    CLAIM_OF_BOTH(processes_may_be_prepared_as_often_as_one_likes),
};

HARNESS_MAIN(claims)
