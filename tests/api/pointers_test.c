/* SPDX-License-Identifier: MIT */
/*
 * pointers_test.c - SHUNT_CHECK=pointers finds what works on threads by luck:
 * a word of in, context or result that points into the host's private heap or
 * stacks fails the task, and names it and the offset.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "stage.h"

struct letter {
    long number;
    const void *sealed; /* at offset 8 */
    struct tally *ran;
};
_Static_assert(offsetof(struct letter, sealed) == 8, "see assert_found");

static int post(const struct letter *in, struct letter *out)
{
    tally_add(in->ran, 1);
    *out = *in;
    out->sealed = NULL;
    return 0;
}
SHUNT_TASK(post, struct letter, struct letter)

static int post_on(const long *in, const struct letter *ctx, struct letter *out)
{
    (void)in;
    return post(ctx, out);
}
SHUNT_STEP(post_on, long, struct letter, struct letter)

struct answer {
    const void *const *cell; /* what the result shall point to */
    struct tally *ran;
};

static int answer(const struct answer *in, struct letter *out)
{
    tally_add(in->ran, 1);
    out->sealed = *in->cell;
    return 0;
}
SHUNT_TASK(answer, struct answer, struct letter)

static int own_memory(const shunt_none *in, struct letter *out)
{
    (void)in;
    out->sealed = shunt_alloc(64);
    return 0;
}
SHUNT_TASK(own_memory, shunt_none, struct letter)

static int own_stack(const shunt_none *in, struct letter *out)
{
    static const void *volatile local;
    long word = 0;

    (void)in;
    local = &word;
    out->sealed = local;
    return 0;
}
SHUNT_TASK(own_stack, shunt_none, struct letter)

static shunt_pool *checking_pool(void)
{
    harness_env("SHUNT_CHECK", "pointers");
    return harness_pool(1);
}

/* f failed because of the word at offset 8 of its in, ctx or out. */
static void assert_found(shunt_future *f, const char *task, const char *where)
{
    assert_settles(f, SHUNT_EINVAL);
    const shunt_error *error = shunt_error_of(f);
    assert_string_equal(error->task, task);
    assert_non_null(strstr(error->message, task));
    assert_non_null(strstr(error->message, where));
    assert_non_null(strstr(error->message, "8"));
    assert_ok(shunt_release(f));
}

static void *stack_of_another_thread(void *user)
{
    struct latch **latches = user;
    long local = 0;

    *(const void **)latches[2] = &local;
    latch_raise(latches[0]);
    (void)latch_reaches(latches[1], 1);
    return NULL;
}

static void a_pointer_to_a_stack_in_the_input_is_found(void)
{
    shunt_pool *pool = checking_pool();
    long local = 0;
    struct letter letter = { 1, &local, stage_tally() };

    assert_found(shunt_submit(pool, post, &letter), "post", "in");
    struct latch *latches[3] = { stage_latch(), stage_latch(),
                                 stage_bytes(sizeof(void *)) };
    pthread_t thread;
    assert_int_equal(
        pthread_create(&thread, NULL, stack_of_another_thread, latches), 0);
    assert_true(latch_reaches(latches[0], 1));
    letter.sealed = *(const void **)latches[2];
    assert_found(shunt_submit(pool, post, &letter), "post", "in");
    latch_raise(latches[1]);
    pthread_join(thread, NULL);
    assert_long(tally_of(letter.ran), 0);
    harness_free(pool);
}

static void a_pointer_to_the_heap_in_the_input_is_found(void)
{
    static const size_t sizes[] = { 16, 4096, 100000, 4 << 20 };
    shunt_pool *pool = checking_pool();
    struct tally *ran = stage_tally();

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char *block = malloc(sizes[i]);
        struct letter letter = { 1, block + sizes[i] / 2, ran };
        assert_found(shunt_submit(pool, post, &letter), "post", "in");
        assert_found(shunt_map(pool, post, &letter, 1), "post", "in");
        free(block);
    }
    assert_long(tally_of(ran), 0);
    harness_free(pool);
}

static void a_pointer_in_a_context_is_found(void)
{
    shunt_pool *pool = checking_pool();
    long local = 0;
    struct letter letter = { 1, &local, stage_tally() };

    assert_found(shunt_then_with(stage_given(pool, 1), post_on, &letter),
                 "post_on", "ctx");
    assert_long(tally_of(letter.ran), 0);
    harness_free(pool);
}

static int read_letters(size_t from, size_t to, const struct letter *letter)
{
    tally_add(letter->ran, (long)(to - from));
    return 0;
}

static int merge_letters(const struct letter *a, const struct letter *b,
                         struct letter *out)
{
    (void)b;
    *out = *a;
    return 0;
}

static int by_number(const long *a, const long *b)
{
    return (*a > *b) - (*a < *b);
}

static void assert_found_in_loop(shunt_future *f, const char *where)
{
    assert_settles(f, SHUNT_EINVAL);
    assert_non_null(strstr(shunt_error_of(f)->message, where));
    assert_non_null(strstr(shunt_error_of(f)->message, "private memory"));
    assert_ok(shunt_release(f));
}

static void a_pointer_that_a_loop_is_given_is_found(void)
{
    shunt_pool *pool = checking_pool();
    long local[2] = { 2, 1 };
    struct letter letters[2] = { { 1, NULL, stage_tally() },
                                 { 2, local, stage_tally() } };

    assert_found_in_loop(shunt_for(pool, 0, 10, read_letters, &letters[1]),
                         "shunt_for is given, at offset 8");
    assert_found_in_loop(shunt_reduce(pool, post, merge_letters, letters, 2),
                         "post is given, at offset 32");
    assert_found_in_loop(shunt_sort(pool, local, 2, by_number), "shunt_sort");
    assert_long(tally_of(letters[1].ran), 0);
    assert_long(local[0], 2);
    assert_joins(shunt_for(pool, 0, 10, read_letters, &letters[0]), 0);
    assert_long(tally_of(letters[0].ran), 10);
    harness_free(pool);
}

static void a_pointer_in_a_result_is_found(void)
{
    shunt_pool *pool = checking_pool();
    long local = 0;
    void *heap = malloc(64);
    const void **cell = stage_bytes(sizeof *cell);
    struct answer what = { cell, stage_tally() };

    *cell = &local;
    assert_found(shunt_submit(pool, answer, &what), "answer", "out");
    *cell = heap;
    assert_found(shunt_submit(pool, answer, &what), "answer", "out");
    *cell = &what.ran;
    assert_found(shunt_submit(pool, answer, &what), "answer", "out");
    assert_found(shunt_submit(pool, own_stack, NULL), "own_stack", "out");
    *cell = cell;
    assert_joins(shunt_submit(pool, answer, &what), 0);
    assert_joins(shunt_submit(pool, own_memory, NULL), 0);
    assert_long(tally_of(what.ran), 4);
    free(heap);
    harness_free(pool);
}

static void pointers_that_every_mode_understands_are_let_through(void)
{
    static long in_static_data;
    shunt_pool *pool = checking_pool();
    void *block = shunt_pool_alloc(pool, 64);
    const void *const good[] = {
        NULL,         block,      &in_static_data,
        "a literal",  stdout,     stage_bytes(64),
        (void *)4096, (void *)-1, (const void *)&shunt_task_post,
    };
    struct letter letter = { 1, NULL, stage_tally() };

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        letter.sealed = good[i];
        assert_joins(shunt_submit(pool, post, &letter), 0);
    }
    assert_long(tally_of(letter.ran), (long)(sizeof good / sizeof good[0]));
    assert_ok(shunt_free(block));
    harness_free(pool);
}

static void without_the_switch_nothing_is_checked(void)
{
    static const char *const values[] = { NULL, "" };
    long local = 0;
    struct letter letter = { 1, &local, stage_tally() };

    for (int i = 0; i < 2; i++) {
        harness_env("SHUNT_CHECK", values[i]);
        shunt_pool *pool = harness_pool(1);
        /* Nor does the switch reach a pool that exists. */
        harness_env("SHUNT_CHECK", "pointers");
        assert_joins(shunt_submit(pool, post, &letter), 0);
        harness_free(pool);
    }
    assert_long(tally_of(letter.ran), 2);
}

static void a_switch_that_is_not_understood_is_refused(void)
{
    static const char *const values[] = { "nothing", "pointer", "pointers " };
    shunt_pool *pool = NULL;

    for (int i = 0; i < 3; i++) {
        harness_env("SHUNT_CHECK", values[i]);
        assert_status(shunt_pool_new(&pool, NULL), SHUNT_EINVAL);
        assert_null(pool);
    }
}

static int chain(const long *in, long *out)
{
    long value = 0;
    int rc = shunt_take(shunt_submit(NULL, stage_add_one, in), &value);

    *out = value;
    return rc;
}
SHUNT_TASK(chain, long, long)

/* Goal: nothing of the library's own is mistaken for a stray pointer. */
static void ordinary_work_passes_the_check(void)
{
    shunt_pool *pool = checking_pool();

    for (long i = 0; i < 100; i++) {
        shunt_future *fs[3];
        for (int j = 0; j < 3; j++)
            fs[j] = shunt_then(shunt_submit(pool, chain, &i), stage_add_one);
        assert_joins(shunt_when_all(fs, 3), 0);
    }
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_pointer_to_a_stack_in_the_input_is_found),
    CLAIM(a_pointer_to_the_heap_in_the_input_is_found),
    CLAIM(a_pointer_in_a_context_is_found),
    CLAIM(a_pointer_that_a_loop_is_given_is_found),
    CLAIM(a_pointer_in_a_result_is_found),
    CLAIM(pointers_that_every_mode_understands_are_let_through),
    CLAIM(without_the_switch_nothing_is_checked),
    CLAIM(a_switch_that_is_not_understood_is_refused),
    CLAIM(ordinary_work_passes_the_check),
};

HARNESS_MAIN(claims)
