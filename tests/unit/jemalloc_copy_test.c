/* SPDX-License-Identifier: MIT */
/*
 * unit/jemalloc_copy_test.c - the private copy of jemalloc, by itself.
 *
 * Goal: the copy works, leaves the program's malloc alone, takes no orders
 * that were meant for another jemalloc, and survives fork. Method: this
 * program links the copy and not shunt. It runs with a $MALLOC_CONF that
 * would abort it if the copy read it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above. */
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memory/jemalloc/jemalloc_private.h"

enum {
    FORKS = 100,
    THREADS = 3,
    CHILD_SECONDS = 30
};

/* Bytes that this thread has ever got from the copy. */
static uint64_t allocated(void)
{
    uint64_t bytes = 0;
    size_t size = sizeof(bytes);

    assert_int_equal(sh_je_mallctl("thread.allocated", &bytes, &size, NULL, 0),
                     0);
    return bytes;
}

static void the_programs_malloc_is_not_replaced(void **state)
{
    (void)state;
    uint64_t before = allocated();
    void *theirs = malloc(100);

    assert_non_null(theirs);
    assert_int_equal(allocated(), before);

    void *ours = sh_je_mallocx(100, 0);

    assert_non_null(ours);
    assert_true(allocated() >= before + 100);
    free(theirs);
    sh_je_dallocx(ours, 0);
}

static void blocks_have_the_size_alignment_and_zeros_asked_for(void **state)
{
    (void)state;
    for (size_t size = 1; size <= (size_t)1 << 22; size = size * 3 + 1) {
        int flags = MALLOCX_ALIGN(256) | MALLOCX_ZERO;
        unsigned char *p = sh_je_mallocx(size, flags);

        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 256, 0);
        assert_true(sh_je_sallocx(p, flags) >= size);
        assert_int_equal(sh_je_sallocx(p, flags), sh_je_nallocx(size, flags));
        for (size_t i = 0; i < size; i++)
            assert_int_equal(p[i], 0);
        memset(p, 7, size);

        p = sh_je_rallocx(p, 2 * size, MALLOCX_ALIGN(256));
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 256, 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(p[i], 7);
        sh_je_sdallocx(p, 2 * size, MALLOCX_ALIGN(256));
    }
}

static void an_arena_of_its_own_can_be_made(void **state)
{
    (void)state;
    unsigned arena = 0;
    unsigned found = 0;
    size_t size = sizeof(arena);

    assert_true(sh_je_has_arenas);
    assert_int_equal(sh_je_mallctl("arenas.create", &arena, &size, NULL, 0), 0);

    int flags = MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE;
    void *p = sh_je_mallocx(1000, flags);

    assert_non_null(p);
    assert_int_equal(
        sh_je_mallctl("arenas.lookup", &found, &size, &p, sizeof(p)), 0);
    assert_int_equal(found, arena);
    sh_je_dallocx(p, flags);
}

static void only_our_configuration_is_read(void **state)
{
    (void)state;
    const char *dss = NULL;
    size_t size = sizeof(dss);
    unsigned arenas = 0;
    size_t arenas_size = sizeof(arenas);

    assert_non_null(getenv("MALLOC_CONF"));
    assert_int_equal(sh_je_mallctl("opt.dss", &dss, &size, NULL, 0), 0);
    assert_string_equal(dss, "disabled");
    assert_int_equal(
        sh_je_mallctl("opt.narenas", &arenas, &arenas_size, NULL, 0), 0);
    assert_int_not_equal(arenas, 77);
}

static _Atomic bool stop;

/* Keeps the copy's locks busy: sizes beyond the thread's cache. */
static void *allocate_until_told(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        void *blocks[8];

        for (size_t i = 0; i < 8; i++)
            blocks[i] = sh_je_mallocx((size_t)20000 << i % 4, 0);
        for (size_t i = 0; i < 8; i++) {
            if (blocks[i] != NULL)
                sh_je_dallocx(blocks[i], 0);
        }
    }
    return NULL;
}

/* Reaches every arena, since the child's only thread uses one by itself. */
static int allocate_everywhere(void)
{
    unsigned arenas = 0;
    size_t size = sizeof(arenas);

    if (sh_je_mallctl("arenas.narenas", &arenas, &size, NULL, 0) != 0)
        return 1;
    for (unsigned i = 0; i < arenas; i++) {
        int flags = MALLOCX_ARENA(i) | MALLOCX_TCACHE_NONE;
        char *p = sh_je_mallocx(20000, flags);

        if (p == NULL)
            return 2;
        p[19999] = 1;
        sh_je_dallocx(p, flags);
    }
    return 0;
}

static void a_forked_child_allocates_while_the_parents_threads_do(void **state)
{
    (void)state;
    pthread_t threads[THREADS];

    atomic_store(&stop, false);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, allocate_until_told, NULL), 0);
    for (int i = 0; i < FORKS; i++) {
        pid_t child = fork();
        int status = -1;

        assert_true(child >= 0);
        if (child == 0) {
            /* A lock that was left held ends here, by a signal. */
            alarm(CHILD_SECONDS);
            _exit(allocate_everywhere());
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        assert_int_equal(allocate_everywhere(), 0);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_programs_malloc_is_not_replaced),
        cmocka_unit_test(blocks_have_the_size_alignment_and_zeros_asked_for),
        cmocka_unit_test(an_arena_of_its_own_can_be_made),
        cmocka_unit_test(only_our_configuration_is_read),
        cmocka_unit_test(a_forked_child_allocates_while_the_parents_threads_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
