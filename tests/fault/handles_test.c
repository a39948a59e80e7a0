/* SPDX-License-Identifier: MIT */
/*
 * fault/handles_test.c - promises, handles, waits, blocks and pools, with each
 * request for memory refused in turn. What only gives back, keeps or cancels
 * never fails.
 */
#include "fault_each.h"

#include <string.h>

enum {
    LARGE = 4096
};

struct large {
    unsigned char bytes[LARGE];
};

static void prepare_failed(struct stage *s)
{
    fault_promises(s, 1);
    assert_int_equal(shunt_promise_fail(s->promise[0], 5, "one"), 0);
    s->promise[0] = NULL;
}

static void prepare_alias(struct stage *s)
{
    fault_promises(s, 1);
    s->out = shunt_retain(s->in[0]);
    assert_non_null(s->out);
}

static void promise_small(struct stage *s)
{
    s->rc = shunt_promise_new(s->pool, long, &s->out_promise, &s->out);
}

static void promise_large(struct stage *s)
{
    s->rc = shunt_promise_new(s->pool, struct large, &s->out_promise, &s->out);
}

static void check_promise(struct stage *s)
{
    if (!fault_worked(s, s->rc)) {
        assert_null(s->out);
        assert_null(s->out_promise);
        return;
    }
    assert_int_equal(shunt_promise_drop(s->out_promise), 0);
    assert_int_equal(shunt_join(s->out), SHUNT_ECANCELED);
}

static void ignore(void *user)
{
    (void)user;
}

static void on_cancel(struct stage *s)
{
    s->rc = shunt_promise_on_cancel(s->promise[0], ignore, NULL);
}

/* The promise is as good as it was. */
static void check_on_cancel(struct stage *s)
{
    long value = 3;

    (void)fault_worked(s, s->rc);
    assert_int_equal(shunt_promise_give(s->promise[0], &value), 0);
    assert_int_equal(shunt_join(s->in[0]), 0);
}

static void give(struct stage *s)
{
    long value = 3;

    s->rc = shunt_promise_give(s->promise[0], &value);
}

static void check_give(struct stage *s)
{
    long value = 0;

    assert_int_equal(s->rc, 0);
    assert_int_equal(shunt_take(s->in[0], &value), 0);
    assert_int_equal(value, 3);
}

static void give_failure(struct stage *s)
{
    s->rc = shunt_promise_fail(s->promise[0], 5, "a long text %200d", 1);
}

static void check_give_failure(struct stage *s)
{
    assert_int_equal(s->rc, 0);
    assert_int_equal(shunt_status(s->in[0]), SHUNT_EFAILED);
    assert_int_equal(shunt_error_of(s->in[0])->code, SHUNT_EFAILED);
    assert_int_equal(shunt_release(s->in[0]), 0);
}

static void await_a_little(struct stage *s)
{
    s->rc = shunt_await_for(s->in[0], SHUNT_MS(2));
}

static void check_await(struct stage *s)
{
    assert_true(s->rc == SHUNT_PENDING || s->rc == SHUNT_ENOMEM);
    fault_keep(s);
    assert_int_equal(shunt_join(s->in[0]), 0);
}

static void take_failure(struct stage *s)
{
    long value;

    s->rc = shunt_take(s->in[0], &value);
}

static void check_take_failure(struct stage *s)
{
    assert_int_equal(s->rc, SHUNT_EFAILED);
    assert_int_equal(shunt_status(s->in[0]), SHUNT_EINVAL);
}

static void retain(struct stage *s)
{
    s->out = shunt_retain(s->in[0]);
}

static void check_retain(struct stage *s)
{
    fault_keep(s);
    if (s->out != NULL)
        assert_int_equal(shunt_join(s->out), 0);
    assert_int_equal(shunt_join(s->in[0]), 0);
}

/* To give back needs memory in no way that the caller could see. */
static void release_alias(struct stage *s)
{
    s->rc = shunt_release(s->out);
}

static void release_primary(struct stage *s)
{
    s->rc = shunt_release(s->in[0]);
    if (s->rc == 0)
        s->in[0] = s->out;
}

static void check_release(struct stage *s)
{
    assert_int_equal(s->rc, 0);
    fault_keep(s);
    assert_int_equal(shunt_join(s->in[0]), 0);
}

static void cancel(struct stage *s)
{
    s->rc = shunt_cancel(s->in[0]);
}

static void check_cancel(struct stage *s)
{
    assert_int_equal(s->rc, 1);
    assert_int_equal(shunt_join(s->in[0]), SHUNT_ECANCELED);
    fault_keep(s);
}

static void pool_alloc(struct stage *s)
{
    s->block = shunt_pool_alloc(s->pool, LARGE);
}

static void check_pool_alloc(struct stage *s)
{
    if (s->block != NULL)
        memset(s->block, 1, LARGE);
    assert_int_equal(shunt_free(s->block), 0);
}

static void prepare_block(struct stage *s)
{
    fault_promises(s, 1);
    s->block = shunt_pool_alloc(s->pool, LARGE);
    assert_non_null(s->block);
}

static void adopt(struct stage *s)
{
    s->rc = shunt_adopt(s->in[0], s->block);
}

static void check_adopt(struct stage *s)
{
    assert_int_equal(s->rc, 0);
    fault_keep(s);
    assert_int_equal(shunt_join(s->in[0]), 0);
}

static void shut_down(struct stage *s)
{
    s->rc = shunt_pool_shutdown(s->pool, SHUNT_CANCEL, SHUNT_S(60), NULL);
}

static void check_shut_down(struct stage *s)
{
    assert_int_equal(s->rc, 0);
    assert_int_equal(shunt_join(s->in[0]), SHUNT_ECANCELED);
    assert_int_equal(shunt_pool_free(s->pool), 0);
    assert_int_equal(shunt_pool_new(&s->pool, NULL), 0);
}

static void new_pool(struct stage *s)
{
    shunt_pool *pool = NULL;
    shunt_options options = { .workers = 3, .arena_bytes = 1 << 20 };

    s->rc = shunt_pool_new(&pool, &options);
    s->block = pool;
}

static void check_new_pool(struct stage *s)
{
    shunt_pool *pool = s->block;

    if (fault_worked(s, s->rc)) {
        assert_int_equal(shunt_join(shunt_submit(pool, fault_nothing, NULL)),
                         0);
        assert_int_equal(shunt_pool_free(pool), 0);
    } else {
        assert_null(pool);
    }
}

/* ---- the stories ---- */

static void a_promise_is_made_whole_or_not_at_all(void **state)
{
    FAULT_EACH({ "promise_new", NULL, promise_small, check_promise, 0, NULL });
    FAULT_EACH(
        { "promise_new, large", NULL, promise_large, check_promise, 0, NULL });
    FAULT_EACH(
        { "on_cancel", fault_prepare, on_cancel, check_on_cancel, 1, NULL });
}

static void a_promise_can_always_be_kept(void **state)
{
    FAULT_EACH({ "give", fault_prepare, give, check_give, 1, NULL });
    FAULT_EACH(
        { "fail", fault_prepare, give_failure, check_give_failure, 1, NULL });
}

static void waiting_and_taking_need_memory_but_lose_nothing(void **state)
{
    FAULT_EACH(
        { "await_for", fault_prepare, await_a_little, check_await, 1, NULL });
    FAULT_EACH({ "take of a failure", prepare_failed, take_failure,
                 check_take_failure, 1, NULL });
    FAULT_EACH({ "retain", fault_prepare, retain, check_retain, 1, NULL });
}

static void a_handle_can_always_be_given_back(void **state)
{
    FAULT_EACH({ "release of an alias", prepare_alias, release_alias,
                 check_release, 0, NULL });
    FAULT_EACH({ "release of a primary handle", prepare_alias, release_primary,
                 check_release, 0, NULL });
}

static void cancelling_and_shutting_down_need_no_memory(void **state)
{
    FAULT_EACH({ "cancel", fault_prepare, cancel, check_cancel, 1, NULL });
    FAULT_EACH(
        { "shutdown", fault_prepare, shut_down, check_shut_down, 1, NULL });
}

static void blocks_are_got_or_not(void **state)
{
    FAULT_EACH({ "pool_alloc", NULL, pool_alloc, check_pool_alloc, 0, NULL });
    FAULT_EACH({ "adopt", prepare_block, adopt, check_adopt, 0, NULL });
}

static void a_pool_is_made_whole_or_not_at_all(void **state)
{
    FAULT_EACH({ "pool_new", NULL, new_pool, check_new_pool, 0, NULL });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_promise_is_made_whole_or_not_at_all),
        cmocka_unit_test(a_promise_can_always_be_kept),
        cmocka_unit_test(waiting_and_taking_need_memory_but_lose_nothing),
        cmocka_unit_test(a_handle_can_always_be_given_back),
        cmocka_unit_test(cancelling_and_shutting_down_need_no_memory),
        cmocka_unit_test(blocks_are_got_or_not),
        cmocka_unit_test(a_pool_is_made_whole_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
