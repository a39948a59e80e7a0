/* SPDX-License-Identifier: MIT */
/*
 * unit/heap_test.c - blocks, whose they are, and how many bytes they may be.
 *
 * Goal: a block is found by its bytes, and the bytes in use are exact, when it
 * is refused too. Method: a heap without a pool, with and without a limit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/fault.h"
#include "memory/heap.h"

enum {
    LIMIT = 10000
};

static struct sh_heap heap;

static void begin(size_t limit, bool tracks)
{
    assert_true(sh_heap_init(&heap, limit, tracks));
}

static size_t in_use(void)
{
    return atomic_load(&heap.bytes);
}

static void a_block_is_found_by_its_bytes(void **state)
{
    struct sh_block *b;
    unsigned char *bytes;

    (void)state;
    begin(0, false);
    b = sh_block_new(&heap, 100, SH_BLOCK_USER);
    assert_non_null(b);
    bytes = sh_block_bytes(b);
    assert_int_equal((uintptr_t)bytes % 16, 0);
    memset(bytes, 1, 100);
    assert_ptr_equal(sh_block_of(bytes), b);
    assert_null(sh_block_of(bytes + 1));
    assert_null(sh_block_of(bytes + 64)); /* no mark before it */
    sh_block_free(b);
    sh_heap_fini(&heap);
}

static void a_block_may_have_no_bytes(void **state)
{
    struct sh_block *b;

    (void)state;
    begin(LIMIT, false);
    b = sh_block_new(&heap, 0, SH_BLOCK_USER);
    assert_non_null(b);
    sh_block_free(b);
    assert_int_equal(in_use(), 0);
    sh_heap_fini(&heap);
}

static void sizes_that_no_machine_has_are_refused(void **state)
{
    (void)state;
    begin(0, false);
    assert_null(sh_block_new(&heap, SIZE_MAX, SH_BLOCK_USER));
    assert_null(sh_block_new(&heap, PTRDIFF_MAX, SH_BLOCK_USER));
    assert_null(sh_heap_get(&heap, (size_t)PTRDIFF_MAX + 1));
    sh_heap_fini(&heap);
}

static void a_limit_holds_to_the_byte(void **state)
{
    void *all, *rest;

    (void)state;
    begin(LIMIT, false);
    assert_null(sh_heap_get(&heap, LIMIT + 1));
    all = sh_heap_get(&heap, LIMIT);
    assert_non_null(all);
    assert_null(sh_heap_get(&heap, 1));
    sh_heap_put(&heap, all, LIMIT);
    all = sh_heap_get(&heap, LIMIT - 10);
    assert_null(sh_heap_get(&heap, 11));
    rest = sh_heap_get(&heap, 10);
    assert_non_null(rest);
    sh_heap_put(&heap, rest, 10);
    sh_heap_put(&heap, all, LIMIT - 10);
    sh_heap_put(&heap, NULL, 10); /* nothing */
    assert_int_equal(in_use(), 0);
    sh_heap_fini(&heap);
}

static void what_is_refused_is_not_counted(void **state)
{
    (void)state;
    begin(LIMIT, true);
    sh_fault_set(1);
    assert_null(sh_block_new(&heap, 100, SH_BLOCK_USER));
    sh_fault_clear();
    assert_null(sh_block_new(&heap, LIMIT, SH_BLOCK_USER));
    assert_int_equal(in_use(), 0);
    sh_heap_fini(&heap);
}

static void blocks_leave_a_list_from_anywhere(void **state)
{
    struct sh_blocks list = { NULL };
    struct sh_block *b[3];

    (void)state;
    begin(0, false);
    for (int i = 0; i < 3; i++) {
        b[i] = sh_block_new(&heap, 8, SH_BLOCK_USER);
        sh_blocks_add(&list, b[i]);
    }
    assert_ptr_equal(list.first, b[2]);
    sh_blocks_remove(&list, b[1]);
    assert_ptr_equal(b[2]->next, b[0]);
    assert_ptr_equal(b[0]->prev, b[2]);
    sh_blocks_remove(&list, b[2]);
    assert_ptr_equal(list.first, b[0]);
    sh_blocks_remove(&list, b[0]);
    assert_null(list.first);
    for (int i = 0; i < 3; i++)
        sh_block_free(b[i]);
    sh_heap_fini(&heap);
}

static void only_a_loose_block_can_be_fastened_and_only_once(void **state)
{
    struct sh_block *b, *owned;

    (void)state;
    begin(0, false);
    b = sh_block_new(&heap, 8, SH_BLOCK_USER);
    owned = sh_block_new(&heap, 8, SH_BLOCK_USER);
    owned->owner = 5;
    assert_false(sh_heap_fasten(&heap, b));
    sh_heap_loosen(&heap, b);
    assert_false(sh_heap_fasten(&heap, owned));
    assert_true(sh_heap_fasten(&heap, b));
    assert_false(sh_heap_fasten(&heap, b));
    sh_block_free(b);
    sh_block_free(owned);
    sh_heap_fini(&heap);
}

static void the_end_of_a_heap_frees_what_is_loose(void **state)
{
    (void)state;
    begin(LIMIT, true);
    for (int i = 0; i < 3; i++)
        sh_heap_loosen(&heap, sh_block_new(&heap, 100, SH_BLOCK_USER));
    sh_heap_fini(&heap); /* asserts that nothing is left */
    assert_int_equal(in_use(), 0);
}

static void a_heap_that_tracks_knows_every_byte_of_its_blocks(void **state)
{
    struct sh_block *b[20];
    char other;

    (void)state;
    begin(0, true);
    for (int i = 0; i < 20; i++)
        b[i] = sh_block_new(&heap, (size_t)i * 10 + 1, SH_BLOCK_USER);
    for (int i = 0; i < 20; i++) {
        char *bytes = sh_block_bytes(b[i]);

        assert_true(sh_heap_knows(&heap, bytes));
        assert_true(sh_heap_knows(&heap, bytes + i * 10));
        assert_true(sh_heap_knows(&heap, bytes + i * 10 + 1)); /* its end */
        assert_false(sh_heap_knows(&heap, bytes + i * 10 + 2));
        assert_false(sh_heap_knows(&heap, bytes - 1));
    }
    assert_false(sh_heap_knows(&heap, &other));
    for (int i = 0; i < 20; i++) {
        char *bytes = sh_block_bytes(b[i]);

        sh_block_free(b[i]);
        assert_false(sh_heap_knows(&heap, bytes));
    }
    sh_heap_fini(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_is_found_by_its_bytes),
        cmocka_unit_test(a_block_may_have_no_bytes),
        cmocka_unit_test(sizes_that_no_machine_has_are_refused),
        cmocka_unit_test(a_limit_holds_to_the_byte),
        cmocka_unit_test(what_is_refused_is_not_counted),
        cmocka_unit_test(blocks_leave_a_list_from_anywhere),
        cmocka_unit_test(only_a_loose_block_can_be_fastened_and_only_once),
        cmocka_unit_test(the_end_of_a_heap_frees_what_is_loose),
        cmocka_unit_test(a_heap_that_tracks_knows_every_byte_of_its_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
