/* SPDX-License-Identifier: MIT */
/*
 * unit/jemalloc_host_test.c - the program's malloc under jemalloc's interface.
 *
 * Goal: -Dallocator=host keeps what the callers in runtime/ rely on: size,
 * alignment, zeros, contents over a move. Method: this program links host.c
 * alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above. */
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "memory/jemalloc/jemalloc_private.h"

static void blocks_have_the_size_alignment_and_zeros_asked_for(void **state)
{
    (void)state;
    for (size_t size = 1; size <= (size_t)1 << 20; size = size * 3 + 1) {
        for (int lg = 0; lg <= 12; lg++) {
            int flags = MALLOCX_LG_ALIGN(lg) | MALLOCX_ZERO;
            unsigned char *p = sh_je_mallocx(size, flags);

            assert_non_null(p);
            assert_int_equal((uintptr_t)p % ((size_t)1 << lg), 0);
            assert_true(sh_je_sallocx(p, flags) >= size);
            assert_true(sh_je_nallocx(size, flags) >= size);
            for (size_t i = 0; i < size; i += 61)
                assert_int_equal(p[i], 0);
            sh_je_sdallocx(p, size, flags);
        }
    }
}

static void a_block_that_grows_or_shrinks_keeps_contents_and_alignment(
    void **state)
{
    (void)state;
    int flags = MALLOCX_ALIGN(512);
    unsigned char *p = sh_je_mallocx(100, flags);

    assert_non_null(p);
    memset(p, 7, 100);
    p = sh_je_rallocx(p, 100000, flags);
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % 512, 0);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(p[i], 7);
    p = sh_je_rallocx(p, 10, flags);
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % 512, 0);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(p[i], 7);
    p = sh_je_rallocx(p, 5000, 0);
    assert_non_null(p);
    assert_int_equal(p[9], 7);
    sh_je_dallocx(p, 0);
}

static void what_is_too_large_fails_and_leaves_the_block(void **state)
{
    (void)state;
    unsigned char *p = sh_je_mallocx(10, 0);

    assert_non_null(p);
    p[9] = 7;
    assert_null(sh_je_rallocx(p, SIZE_MAX / 2, 0));
    assert_null(sh_je_rallocx(p, SIZE_MAX / 2, MALLOCX_ALIGN(512)));
    assert_null(sh_je_mallocx(SIZE_MAX / 2, MALLOCX_ZERO));
    assert_int_equal(sh_je_nallocx(SIZE_MAX, MALLOCX_ALIGN(64)), 0);
    assert_int_equal(p[9], 7);
    sh_je_dallocx(p, 0);
}

static void there_are_no_arenas(void **state)
{
    (void)state;
    unsigned arena = 0;
    size_t size = sizeof(arena);
    size_t length = 4;
    size_t mib[4];

    assert_false(sh_je_has_arenas);
    assert_int_equal(sh_je_mallctl("arenas.create", &arena, &size, NULL, 0),
                     ENOENT);
    assert_int_equal(sh_je_mallctlnametomib("arenas.create", mib, &length),
                     ENOENT);
    assert_int_equal(sh_je_mallctlbymib(mib, 0, &arena, &size, NULL, 0),
                     ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_have_the_size_alignment_and_zeros_asked_for),
        cmocka_unit_test(
            a_block_that_grows_or_shrinks_keeps_contents_and_alignment),
        cmocka_unit_test(what_is_too_large_fails_and_leaves_the_block),
        cmocka_unit_test(there_are_no_arenas),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
