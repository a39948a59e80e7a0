/* SPDX-License-Identifier: MIT */
/*
 * scope_misuse_test.c - scopes that are none, or not any more, or that cannot
 * do what is asked of them: each call says so, and nothing else changes.
 */
#include <pthread.h>

#include "stage.h"

static shunt_scope *scope_in(shunt_pool *pool,
                             const shunt_scope_options *options)
{
    shunt_scope *scope = NULL;

    assert_ok(shunt_scope_open(&scope, pool, options));
    assert_non_null(scope);
    return scope;
}

/* ---- what is refused ---- */

static void assert_no_scope(shunt_scope *scope)
{
    shunt_results all = { .count = 3 };

    assert_status(shunt_scope_cancel(scope), SHUNT_EINVAL);
    assert_status(shunt_scope_close(scope, &all), SHUNT_EINVAL);
    assert_long((long)all.count, 0);
    assert_status(shunt_last_error()->code, SHUNT_EINVAL);
    assert_joins(shunt_scope_submit(scope, stage_nothing, NULL), SHUNT_EINVAL);
}

static void what_is_no_scope_is_refused(void)
{
    shunt_pool *pool = harness_pool(1), *other = harness_pool(1);
    shunt_scope *scope = scope_in(pool, NULL), *gone = scope_in(other, NULL);
    struct stage_promise made = stage_promise(pool);

    harness_free(other);
    assert_no_scope(gone);
    assert_no_scope(NULL);
    for (unsigned i = 0; i < STAGE_GARBAGE; i++)
        assert_no_scope((shunt_scope *)stage_garbage(i));
    assert_no_scope((shunt_scope *)made.future);
    assert_no_scope((shunt_scope *)made.promise);
    assert_no_scope((shunt_scope *)pool);
    assert_stale((shunt_future *)scope);
    assert_status(shunt_promise_drop((shunt_promise *)scope), SHUNT_EINVAL);
    assert_ok(shunt_promise_drop(made.promise));
    assert_ok(shunt_release(made.future));
    assert_ok(shunt_scope_close(scope, NULL));
    assert_no_scope(scope);
    harness_free(pool);
}

static void a_scope_says_why_it_cannot_be_opened(void)
{
    shunt_pool *pool = harness_pool(1), *gone = harness_pool(1);
    shunt_scope *const none = (shunt_scope *)(uintptr_t)99;
    shunt_scope *scope = none;

    harness_free(gone);
    assert_status(shunt_scope_open(NULL, pool, NULL), SHUNT_EINVAL);
    assert_status(shunt_scope_open(&scope, NULL, NULL), SHUNT_EINVAL);
    assert_status(shunt_scope_open(&scope, gone, NULL), SHUNT_EINVAL);
    assert_status(shunt_scope_open(&scope, pool,
                                   &(shunt_scope_options){ .deadline_ns = -1 }),
                  SHUNT_ETIMEDOUT);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    assert_status(shunt_scope_open(&scope, pool, NULL), SHUNT_ECLOSED);
    assert_ptr_equal(scope, none);
    harness_free(pool);
}

/* Method: options of a program that was built with other headers, and values
 * as large as can be. */
static void options_may_be_cut_or_huge(void)
{
    shunt_pool *pool = harness_pool(1);
    const shunt_scope_options o = { .deadline_ns = SHUNT_FOREVER,
                                    .keep_going = true,
                                    .forget = true };
    struct {
        shunt_scope_options known;
        char more[64];
    } larger = { o, { 1 } };
    const size_t sizes[] = { 0, sizeof(int64_t), sizeof o, sizeof larger };

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        shunt_scope *scope;

        assert_ok(
            shunt_scope_open_sized(&scope, pool, sizes[i], &larger.known));
        (void)shunt_scope_submit(scope, stage_fail, &(int){ 1 });
        assert_status(shunt_scope_close(scope, NULL), SHUNT_EFAILED);
    }
    harness_free(pool);
}

static int step(const long *in, const long *ctx, long *out)
{
    *out = *in + *ctx;
    return 0;
}
SHUNT_STEP(step, long, long, long)

static int never(const shunt_none *in, shunt_none *out)
{
    (void)in;
    (void)out;
    return 1;
}
SHUNT_TASK(never, shunt_none, shunt_none, .untrusted = true)

static void a_task_that_is_refused_is_no_child(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_scope *scope = scope_in(pool, NULL);
    shunt_results all;

    assert_joins(shunt_scope_submit_here(scope, NULL, NULL, NULL),
                 SHUNT_EINVAL);
    assert_joins(
        shunt_scope_submit_here(scope, &shunt_task_step, &(long){ 1 }, NULL),
        SHUNT_EINVAL);
    assert_joins(
        shunt_scope_submit_here(scope, &shunt_task_stage_same, NULL, NULL),
        SHUNT_EINVAL);
    if (!harness_isolated())
        assert_joins(shunt_scope_submit(scope, never, NULL), SHUNT_ENOTSUP);
    (void)shunt_scope_submit(scope, stage_same, &(long){ 1 });
    assert_ok(shunt_scope_close(scope, &all));
    assert_long((long)all.count, 1);
    assert_ok(shunt_results_release(&all));
    harness_free(pool);
}

/* Method: a queue of four, and a worker that is held. */
static void what_finds_no_room_is_no_child_and_may_come_again(void)
{
    shunt_pool *pool;
    struct stage_hold hold;
    struct tally *ran = stage_tally();
    shunt_results all;
    long accepted = 0;

    assert_ok(shunt_pool_new(&pool,
                             &(shunt_options){ .workers = 1, .queue_max = 4 }));
    hold = stage_hold(pool);
    shunt_scope *scope = scope_in(pool, NULL);
    for (int i = 0; i < 1000; i++) {
        shunt_future *f =
            shunt_scope_submit(scope, stage_job, &(struct job){ .ran = ran });

        if (shunt_status(f) == SHUNT_PENDING)
            accepted++;
        else
            assert_joins(f, SHUNT_EAGAIN);
    }
    assert_long(accepted, 4);
    stage_let(hold);
    while (tally_of(ran) < accepted)
        (void)shunt_join(shunt_submit(pool, stage_nothing, NULL));
    assert_settles(shunt_scope_submit(scope, stage_same, &(long){ 77 }), 0);
    assert_ok(shunt_scope_close(scope, &all));
    assert_long((long)all.count, accepted + 1);
    assert_long(*shunt_peek(all.futures[accepted], long), 77);
    assert_ok(shunt_results_release(&all));
    harness_free(pool);
}

/* ---- pools that end ---- */

static void a_pool_that_is_shut_down_does_not_wait_for_a_scope(void)
{
    static const enum shunt_how hows[] = { SHUNT_DRAIN, SHUNT_CANCEL,
                                           SHUNT_KILL };

    for (int i = 0; i < 3; i++) {
        shunt_pool *pool = harness_pool(1);
        shunt_scope *empty = scope_in(pool, NULL);
        shunt_scope *scope = scope_in(pool, NULL);
        struct stage_hold hold = stage_hold(pool);
        shunt_future *f = shunt_scope_submit(scope, stage_nothing, NULL);
        size_t left = 9;
        int status;

        if (i == 0)
            stage_let(hold);
        else
            latch_raise(hold.go);
        assert_ok(shunt_pool_shutdown(pool, hows[i], SHUNT_FOREVER, &left));
        assert_long((long)left, 0);
        assert_true(shunt_status(f) == 0 ||
                    (i > 0 && shunt_status(f) == SHUNT_ECANCELED));
        assert_joins(shunt_scope_submit(scope, stage_nothing, NULL),
                     SHUNT_ECLOSED);
        assert_ok(shunt_scope_close(empty, NULL));
        status = shunt_status(f);
        assert_status(shunt_scope_close(scope, NULL), status);
        harness_free(pool);
    }
}

/* ---- who may not close it ---- */

struct closing {
    shunt_scope *scope;
    struct latch *go;
};

static int close_own(const struct closing *in, long *out)
{
    *out = shunt_scope_close(in->scope, NULL);
    return shunt_last_error()->code == *out ? 0 : 1;
}
SHUNT_TASK(close_own, struct closing, long)

/* A member of the outer scope, which waits for a member of its own. */
static int close_outer(const struct closing *in, long *out)
{
    shunt_scope *inner;
    int rc = shunt_scope_open(&inner, NULL, NULL);
    shunt_future *f;

    if (rc != 0)
        return rc;
    f = shunt_scope_submit(inner, close_own, in);
    if (shunt_await(f) != 0)
        return 1;
    *out = *shunt_peek(f, long);
    return shunt_scope_close(inner, NULL);
}
SHUNT_TASK(close_outer, struct closing, long)

/* Either would wait for itself. */
static void a_member_cannot_close_its_scope_nor_one_around_it(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_scope *scope = scope_in(pool, NULL);
    const struct closing in = { scope, NULL };

    assert_takes(shunt_scope_submit(scope, close_own, &in), SHUNT_EDEADLK);
    assert_takes(shunt_scope_submit(scope, close_outer, &in), SHUNT_EDEADLK);
    assert_takes(shunt_scope_submit(scope, stage_same, &(long){ 3 }), 3);
    assert_ok(shunt_scope_close(scope, NULL));
    /* Who is no member may. */
    scope = scope_in(pool, NULL);
    assert_takes(
        shunt_submit(pool, close_own, &(struct closing){ scope, NULL }), 0);
    harness_free(pool);
}

static void *close_in_thread(void *closing)
{
    const struct closing *in = closing;
    static _Thread_local shunt_results all;
    int rc = shunt_scope_close(in->scope, &all);

    latch_raise(in->go);
    if (rc == 0 && (all.count != 1 || shunt_results_release(&all) != 0))
        rc = 1;
    return (void *)(intptr_t)rc;
}

/* Method: the child ends when one of them has been turned away. */
static void of_two_that_close_a_scope_one_does(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int i = 0; i < 200 / (int)harness_slowness() + 1; i++) {
        struct closing in = { scope_in(pool, NULL), stage_latch() };
        pthread_t threads[2];
        void *one, *two;

        (void)shunt_scope_submit(in.scope, stage_job,
                                 &(struct job){ .go = in.go });
        for (int j = 0; j < 2; j++)
            assert_int_equal(
                pthread_create(&threads[j], NULL, close_in_thread, &in), 0);
        pthread_join(threads[0], &one);
        pthread_join(threads[1], &two);
        assert_long((long)(intptr_t)one + (long)(intptr_t)two, SHUNT_EINVAL);
    }
    harness_free(pool);
}

/* Method: a child that runs, and a close that waits for it, since nobody else
 * may submit any more. */
static void while_a_scope_is_closed_others_may_not_submit(void)
{
    shunt_pool *pool = harness_pool(2);
    struct closing in = { scope_in(pool, NULL), stage_latch() };
    struct latch *go = stage_latch();
    shunt_future *f =
        shunt_scope_submit(in.scope, stage_job, &(struct job){ .go = go });
    pthread_t thread;
    int status = 0;
    void *rc;

    assert_int_equal(pthread_create(&thread, NULL, close_in_thread, &in), 0);
    for (int i = 0; i < 1000000 && status != SHUNT_ECLOSED; i++)
        status = shunt_join(shunt_scope_submit(
            shunt_status(f) == SHUNT_PENDING ? in.scope : NULL, stage_nothing,
            NULL));
    assert_status(status, SHUNT_ECLOSED);
    assert_status(shunt_scope_close(in.scope, NULL), SHUNT_EINVAL);
    assert_long(shunt_scope_cancel(in.scope), 1);
    latch_raise(go);
    pthread_join(thread, &rc);
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(what_is_no_scope_is_refused),
    CLAIM(a_scope_says_why_it_cannot_be_opened),
    CLAIM(options_may_be_cut_or_huge),
    CLAIM(a_task_that_is_refused_is_no_child),
    CLAIM(what_finds_no_room_is_no_child_and_may_come_again),
    CLAIM(a_pool_that_is_shut_down_does_not_wait_for_a_scope),
    CLAIM(a_member_cannot_close_its_scope_nor_one_around_it),
    CLAIM(of_two_that_close_a_scope_one_does),
    CLAIM(while_a_scope_is_closed_others_may_not_submit),
};

HARNESS_MAIN(claims)
