/* SPDX-License-Identifier: MIT */
/*
 * memory_test.c - memory of a task lives as long as its future, moves with a
 * taken value, and is not lost on any way out.
 *
 * Method. That of text.h: a limited pool runs out if rounds keep their memory.
 * AddressSanitizer sees the opposite mistake.
 */
#include <stdlib.h>
#include <string.h>

#include "text.h"

/* ---- inside ---- */

static void memory_of_a_task_is_released_with_its_future(void)
{
    shunt_pool *pool = limited_pool();

    for (int i = 0; i < text_rounds(); i++) {
        shunt_future *f = shunt_submit(pool, make_text, &large_order);
        assert_settles(f, 0);
        const struct text *text = shunt_peek(f, struct text);
        assert_int_equal(text->chars[0], 'a');
        assert_int_equal(text->chars[BLOCK - 1], 'a');
        assert_ok(shunt_release(f));
    }
    harness_free(pool);
}

static void memory_of_a_task_that_fails_is_released_too(void)
{
    shunt_pool *pool = limited_pool();
    struct order failing = { BLOCK, 7 };

    for (int i = 0; i < text_rounds(); i++)
        assert_joins(shunt_submit(pool, make_text, &failing), SHUNT_EFAILED);
    harness_free(pool);
}

static int probe(const long *in, long *out)
{
    static const size_t sizes[] = { 0, 1, 7, 16, 17, 100, 4096, 5000, 100000 };

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        unsigned char *block = shunt_alloc(sizes[i]);
        if (block == NULL || (uintptr_t)block % 16 != 0)
            return (int)i + 1;
        memset(block, (int)i, sizes[i]);
        if (*in > 0 && shunt_free(block) != 0)
            return 100;
    }
    *out = *in;
    return 0;
}
SHUNT_TASK(probe, long, long)

static void blocks_are_aligned_and_of_any_size(void)
{
    shunt_pool *pool = harness_pool(1);

    for (long early = 0; early < 2; early++) {
        for (int i = 0; i < 200; i++)
            assert_takes(shunt_submit(pool, probe, &early), early);
    }
    harness_free(pool);
}

static int churn(const long *in, long *out)
{
    for (long i = 0; i < *in; i++) {
        void *block = shunt_alloc(BLOCK);
        if (block == NULL || shunt_free(block) != 0)
            return 1;
    }
    *out = *in;
    return 0;
}
SHUNT_TASK(churn, long, long)

static void a_task_may_free_its_memory_early(void)
{
    shunt_pool *pool = limited_pool();

    assert_takes(shunt_submit(pool, churn, &(long){ text_rounds() }),
                 text_rounds());
    harness_free(pool);
}

static int exhaust(const long *in, long *out)
{
    /* Bounded by the pool's limit. */
    for (long i = 0; i < *in; i++) {
        if (shunt_alloc(BLOCK) == NULL) {
            *out = i;
            return 0;
        }
    }
    return shunt_fail(1, "%ld MiB of a pool of %d", *in, ARENA >> 20);
}
SHUNT_TASK(exhaust, long, long)

static void no_memory_is_an_answer_and_passes(void)
{
    shunt_pool *pool = limited_pool();

    for (int i = 0; i < 10; i++) {
        shunt_future *f =
            shunt_submit(pool, exhaust, &(long){ 2 * (ARENA / BLOCK) });
        assert_settles(f, 0);
        assert_in_range(*shunt_peek(f, long), 1, ARENA / BLOCK);
        assert_ok(shunt_release(f));
    }
    assert_joins(shunt_submit(pool, make_text, &large_order), 0);
    harness_free(pool);
}

static int ask_too_much(const size_t *in, long *out)
{
    *out = shunt_alloc(*in) == NULL;
    return 0;
}
SHUNT_TASK(ask_too_much, size_t, long)

static void impossible_sizes_are_refused(void)
{
    static const size_t sizes[] = { SIZE_MAX, SIZE_MAX - 15, SIZE_MAX / 2,
                                    PTRDIFF_MAX };
    shunt_pool *pool = harness_pool(1);

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        volatile size_t size = sizes[i];
        assert_null(shunt_pool_alloc(pool, size));
        assert_takes(shunt_submit(pool, ask_too_much, &sizes[i]), 1);
    }
    harness_free(pool);
}

static void outside_a_task_shunt_alloc_gives_nothing(void)
{
    assert_null(shunt_alloc(16));
}

/* ---- moving with a taken value ---- */

static void a_taken_value_brings_its_memory_to_the_caller(void)
{
    shunt_pool *pool = limited_pool();

    for (int i = 0; i < text_rounds(); i++) {
        struct text text;
        assert_ok(
            shunt_take(shunt_submit(pool, make_text, &large_order), &text));
        assert_int_equal(text.chars[BLOCK - 1], 'a');
        assert_ok(shunt_free(text.chars));
    }
    harness_free(pool);
}

static void memory_that_is_not_freed_goes_with_the_pool(void)
{
    for (int i = 0; i < 20; i++) {
        shunt_pool *pool = limited_pool();
        struct text text;
        assert_ok(
            shunt_take(shunt_submit(pool, make_text, &large_order), &text));
        assert_int_equal(text.chars[0], 'a');
        assert_non_null(shunt_pool_alloc(pool, BLOCK));
        harness_free(pool);
    }
}

static int take_and_return(const struct order *in, struct text *out)
{
    return shunt_take(shunt_submit(NULL, make_text, in), out);
}
SHUNT_TASK(take_and_return, struct order, struct text)

static int take_twice(const struct order *in, struct text *out)
{
    return shunt_take(shunt_submit(NULL, take_and_return, in), out);
}
SHUNT_TASK(take_twice, struct order, struct text)

static void a_value_taken_in_a_task_brings_its_memory_to_that_task(void)
{
    shunt_pool *pool = limited_pool();

    for (int i = 0; i < text_rounds(); i++) {
        shunt_future *f = shunt_submit(pool, take_twice, &large_order);
        assert_settles(f, 0);
        const struct text *text = shunt_peek(f, struct text);
        assert_int_equal(text->chars[0], 'a');
        assert_int_equal(text->chars[BLOCK - 1], 'a');
        if (i % 2 == 0) {
            assert_ok(shunt_release(f));
        } else {
            struct text taken;
            assert_ok(shunt_take(f, &taken));
            assert_int_equal(taken.chars[BLOCK - 1], 'a');
            assert_ok(shunt_free(taken.chars));
        }
    }
    harness_free(pool);
}

/* Method: the value is taken by one of two handles; the memory is then not
 * the caller's to free, and good until the other one is released. */
static void memory_stays_with_a_future_that_others_hold(void)
{
    shunt_pool *pool = limited_pool();

    for (int i = 0; i < text_rounds(); i++) {
        struct text text;
        shunt_future *f = shunt_submit(pool, make_text, &large_order);
        shunt_future *other = shunt_retain(f);
        assert_ok(shunt_take(f, &text));
        assert_status(shunt_free(text.chars), SHUNT_EINVAL);
        assert_int_equal(text.chars[BLOCK - 1], 'a');
        assert_ok(shunt_release(other));
    }
    harness_free(pool);
}

static void the_values_of_results_keep_their_memory_while_they_are_lent(void)
{
    shunt_pool *pool = limited_pool();
    int rounds = harness_slowness() > 1 ? 20 : 100;

    for (int i = 0; i < rounds; i++) {
        shunt_future *fs[5];
        for (int j = 0; j < 5; j++)
            fs[j] = shunt_submit(pool, make_text, &large_order);
        shunt_future *all = shunt_when_all(fs, 5);
        assert_settles(all, 0);
        const shunt_results *results = shunt_peek(all, shunt_results);
        for (int j = 0; j < 5; j++) {
            const struct text *text =
                shunt_peek(results->futures[j], struct text);
            assert_int_equal(text->chars[BLOCK - 1], 'a');
        }
        assert_ok(shunt_release(all));
    }
    harness_free(pool);
}

/* ---- continuations ---- */

static void a_continuation_reads_memory_that_nobody_else_holds(void)
{
    shunt_pool *pool = limited_pool();

    for (int i = 0; i < text_rounds() / 5; i++)
        assert_takes(
            shunt_then(shunt_submit(pool, make_text, &large_order), measure),
            BLOCK);
    harness_free(pool);
}

static int second_half(const struct text *in, struct text *out)
{
    out->chars = in->chars + in->length / 2;
    out->length = in->length - in->length / 2;
    return 0;
}
SHUNT_TASK(second_half, struct text, struct text, .inherits = true)

static void a_step_that_inherits_may_point_into_its_predecessor(void)
{
    shunt_pool *pool = limited_pool();

    for (int i = 0; i < text_rounds(); i++) {
        shunt_future *f = shunt_submit(pool, make_text, &large_order);
        f = shunt_then(f, second_half);
        f = shunt_then(f, second_half);
        assert_settles(f, 0);
        const struct text *text = shunt_peek(f, struct text);
        assert_long((long)text->length, BLOCK / 4);
        assert_int_equal(text->chars[text->length - 1], 'a');
        assert_ok(shunt_release(f));
    }
    harness_free(pool);
}

static int no_text(const shunt_error *in, struct text *out)
{
    (void)in;
    (void)out;
    return 0;
}
SHUNT_TASK(no_text, shunt_error, struct text)

/* What passes a value on keeps the memory behind it. */
static void a_value_that_passes_through_keeps_its_memory(void)
{
    shunt_pool *pool = limited_pool();

    for (int i = 0; i < text_rounds(); i++) {
        shunt_future *f = shunt_submit(pool, make_text, &large_order);
        f = shunt_finally(f, stage_look_on);
        f = shunt_recover(f, no_text);
        f = shunt_via(pool, f);
        assert_settles(f, 0);
        const struct text *text = shunt_peek(f, struct text);
        assert_int_equal(text->chars[BLOCK - 1], 'a');
        if (i % 2 == 0) {
            assert_ok(shunt_release(f));
        } else {
            struct text taken;
            assert_ok(shunt_take(f, &taken));
            assert_int_equal(taken.chars[0], 'a');
            assert_ok(shunt_free(taken.chars));
        }
    }
    harness_free(pool);
}

static int same_text(const struct text *in, struct text *out)
{
    *out = *in;
    return 0;
}
SHUNT_TASK(same_text, struct text, struct text)

static int later_text(const struct order *in, shunt_future **out)
{
    *out = shunt_submit(NULL, make_text, in);
    return 0;
}
SHUNT_TASK(later_text, struct order, shunt_future *)

static void a_flattened_value_keeps_its_memory(void)
{
    shunt_pool *pool = limited_pool();

    for (int i = 0; i < text_rounds(); i++) {
        shunt_future *f = shunt_submit(pool, later_text, &large_order);
        assert_settles(f, 0);
        assert_int_equal(shunt_peek(f, struct text)->chars[BLOCK - 1], 'a');
        assert_ok(shunt_release(f));
    }
    harness_free(pool);
}

static int later_half(const struct text *in, shunt_future **out)
{
    struct text half;

    (void)second_half(in, &half);
    *out = shunt_submit(NULL, same_text, &half);
    return 0;
}
SHUNT_TASK(later_half, struct text, shunt_future *, .inherits = true)

static int pass_on(const struct text *in, shunt_future **out)
{
    shunt_future *f =
        shunt_submit(NULL, make_text, &(struct order){ in->length, 0 });

    *out = shunt_then(f, later_half);
    return 0;
}
SHUNT_TASK(pass_on, struct text, shunt_future *)

/* Method: what is seen at the end lies in memory of the task before the one
 * whose future was flattened; every other round takes it. */
static void a_flattened_step_that_inherits_keeps_what_it_inherits(void)
{
    shunt_pool *pool = limited_pool();

    for (int i = 0; i < text_rounds() / 2; i++) {
        shunt_future *f = shunt_submit(pool, make_text, &large_order);
        f = shunt_then(f, pass_on);
        f = shunt_then(f, later_half);
        assert_settles(f, 0);
        const struct text *text = shunt_peek(f, struct text);
        assert_long((long)text->length, BLOCK / 4);
        assert_int_equal(text->chars[text->length - 1], 'a');
        if (i % 2 == 0) {
            assert_ok(shunt_release(f));
        } else {
            struct text taken;
            assert_ok(shunt_take(f, &taken));
            assert_int_equal(taken.chars[0], 'a');
            assert_ok(shunt_free(taken.chars - (BLOCK - taken.length)));
        }
    }
    harness_free(pool);
}

/* ---- a task's memory and its children ---- */

struct family {
    struct latch *go;
    struct tally *sum;
};

struct child {
    const struct family *parents_in;
    const char *block;
};

static int read_parent(const struct child *in, shunt_none *out)
{
    (void)out;
    if (!latch_reaches(in->parents_in->go, 1))
        return STAGE_LATE;
    for (int i = 0; i < 1000; i++)
        tally_add(in->parents_in->sum, in->block[i]);
    return 0;
}
SHUNT_TASK(read_parent, struct child, shunt_none)

static int leave_children(const struct family *in, shunt_none *out)
{
    char *block = shunt_alloc(1000);

    (void)out;
    memset(block, 1, 1000);
    for (int i = 0; i < 4; i++)
        (void)shunt_submit(NULL, read_parent, &(struct child){ in, block });
    return 0;
}
SHUNT_TASK(leave_children, struct family, shunt_none)

/* Method: the parent and its future are gone before its children read its in
 * and its block; other tasks have used memory in between. */
static void a_tasks_memory_outlives_its_children(void)
{
    for (int workers = 1; workers <= 2; workers++) {
        shunt_pool *pool = harness_pool(workers);
        struct stage_hold hold = stage_hold(pool);
        struct family family = { stage_latch(), stage_tally() };
        shunt_future *f = shunt_submit(pool, leave_children, &family);

        if (workers == 1)
            stage_let(hold);
        assert_ok(shunt_join(f));
        if (workers == 2)
            stage_let(hold);
        latch_raise(family.go);
        for (int i = 0; i < 100; i++)
            assert_joins(
                shunt_submit(pool, make_text, &(struct order){ 1000, 0 }), 0);
        assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
        assert_long(tally_of(family.sum), 4000);
        harness_free(pool);
    }
}

static const struct CMUnitTest claims[] = {
    CLAIM(memory_of_a_task_is_released_with_its_future),
    CLAIM(memory_of_a_task_that_fails_is_released_too),
    CLAIM(blocks_are_aligned_and_of_any_size),
    CLAIM(a_task_may_free_its_memory_early),
    CLAIM(no_memory_is_an_answer_and_passes),
    CLAIM(impossible_sizes_are_refused),
    CLAIM(outside_a_task_shunt_alloc_gives_nothing),
    CLAIM(a_taken_value_brings_its_memory_to_the_caller),
    CLAIM(memory_that_is_not_freed_goes_with_the_pool),
    CLAIM(a_value_taken_in_a_task_brings_its_memory_to_that_task),
    CLAIM(memory_stays_with_a_future_that_others_hold),
    CLAIM(the_values_of_results_keep_their_memory_while_they_are_lent),
    CLAIM(a_continuation_reads_memory_that_nobody_else_holds),
    CLAIM(a_step_that_inherits_may_point_into_its_predecessor),
    CLAIM(a_value_that_passes_through_keeps_its_memory),
    CLAIM(a_flattened_value_keeps_its_memory),
    CLAIM(a_flattened_step_that_inherits_keeps_what_it_inherits),
    CLAIM(a_tasks_memory_outlives_its_children),
};

HARNESS_MAIN(claims)
