/* SPDX-License-Identifier: MIT */
/*
 * block_test.c - blocks of a pool: the caller's until freed or adopted, a
 * future's from then on.
 *
 * Method. That of text.h: a limited pool runs out if rounds keep their blocks.
 */
#include <string.h>

#include "text.h"

/* ---- outside ---- */

static void a_block_of_the_pool_is_the_callers_until_freed(void)
{
    shunt_pool *pool = limited_pool();

    for (int i = 0; i < text_rounds(); i++) {
        char *block = shunt_pool_alloc(pool, BLOCK);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % 16, 0);
        memset(block, i, BLOCK);
        assert_ok(shunt_free(block));
    }
    void *empty = shunt_pool_alloc(pool, 0);
    assert_non_null(empty);
    assert_ok(shunt_free(empty));
    assert_ok(shunt_free(NULL));
    harness_free(pool);
}

static void what_is_no_block_is_refused(void)
{
    shunt_pool *pool = harness_pool(1);
    long *in_the_middle = stage_bytes(4096);
    shunt_future *f = shunt_submit(pool, make_text, &(struct order){ 64, 0 });

    assert_settles(f, 0);
    /* Zeroes, not a mark, lie before it. */
    assert_status(shunt_free(&in_the_middle[256]), SHUNT_EINVAL);
    assert_status(shunt_adopt(f, &in_the_middle[256]), SHUNT_EINVAL);
    assert_status(shunt_adopt(f, NULL), SHUNT_EINVAL);
    /* A block, but the future's. */
    const struct text *text = shunt_peek(f, struct text);
    assert_status(shunt_free(text->chars), SHUNT_EINVAL);
    assert_status(shunt_adopt(f, text->chars), SHUNT_EINVAL);
    assert_int_equal(text->chars[63], 'a');
    assert_ok(shunt_release(f));
    assert_null(shunt_pool_alloc(NULL, 16));
    harness_free(pool);
    assert_null(shunt_pool_alloc(pool, 16));
}

/* ---- adopt ---- */

static struct text adoptable(shunt_pool *pool)
{
    struct text text = { shunt_pool_alloc(pool, BLOCK), BLOCK };

    assert_non_null(text.chars);
    memset(text.chars, 'a', BLOCK);
    return text;
}

static void memory_behind_an_input_can_be_given_to_the_task(void)
{
    shunt_pool *pool = limited_pool();

    for (int i = 0; i < text_rounds() / 5; i++) {
        struct text text = adoptable(pool);
        shunt_future *f = shunt_submit(pool, measure, &text);
        assert_ok(shunt_adopt(f, text.chars));
        assert_status(shunt_free(text.chars), SHUNT_EINVAL);
        assert_takes(f, BLOCK);
    }
    harness_free(pool);
}

/* Method: the future is released while its task is still queued; the task
 * reads the block afterwards. */
static void an_adopted_block_lives_until_its_task_has_run(void)
{
    shunt_pool *pool = limited_pool();

    for (int i = 0; i < text_rounds() / 5; i++) {
        struct stage_hold hold = stage_hold(pool);
        struct text text = adoptable(pool);
        shunt_future *f = shunt_submit(pool, measure, &text);
        shunt_future *sum = shunt_then(shunt_retain(f), stage_same);
        assert_ok(shunt_adopt(f, text.chars));
        assert_ok(shunt_release(f));
        stage_let(hold);
        assert_takes(sum, BLOCK);
    }
    harness_free(pool);
}

static void a_settled_future_adopts_until_it_is_released(void)
{
    shunt_pool *pool = limited_pool();

    for (int i = 0; i < text_rounds(); i++) {
        struct text text = adoptable(pool);
        shunt_future *f = stage_given(pool, 1);
        assert_ok(shunt_adopt(f, text.chars));
        assert_int_equal(text.chars[BLOCK - 1], 'a');
        assert_ok(shunt_release(f));
    }
    harness_free(pool);
}

static void a_future_that_was_refused_adopts_nothing(void)
{
    shunt_pool *pool = NULL;

    assert_ok(shunt_pool_new(&pool,
                             &(shunt_options){ .workers = 1, .queue_max = 1 }));
    struct stage_hold hold = stage_hold(pool);
    shunt_future *queued = shunt_submit(pool, stage_nothing, NULL);
    struct text text = adoptable(pool);
    shunt_future *f = shunt_submit(pool, measure, &text);
    assert_status(shunt_status(f), SHUNT_EAGAIN);
    assert_status(shunt_adopt(f, text.chars), SHUNT_EINVAL);
    assert_ok(shunt_free(text.chars));
    stage_let(hold);
    assert_joins(queued, 0);
    harness_free(pool);
}

static void a_block_that_came_with_a_value_can_be_given_on(void)
{
    shunt_pool *pool = limited_pool();

    for (int i = 0; i < text_rounds() / 5; i++) {
        struct text text;
        assert_ok(
            shunt_take(shunt_submit(pool, make_text, &large_order), &text));
        shunt_future *f = shunt_submit(pool, measure, &text);
        assert_ok(shunt_adopt(f, text.chars));
        assert_takes(f, BLOCK);
    }
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_block_of_the_pool_is_the_callers_until_freed),
    CLAIM(what_is_no_block_is_refused),
    CLAIM(memory_behind_an_input_can_be_given_to_the_task),
    CLAIM(an_adopted_block_lives_until_its_task_has_run),
    CLAIM(a_settled_future_adopts_until_it_is_released),
    CLAIM(a_future_that_was_refused_adopts_nothing),
    CLAIM(a_block_that_came_with_a_value_can_be_given_on),
};

HARNESS_MAIN(claims)
