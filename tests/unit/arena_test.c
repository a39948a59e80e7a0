/* SPDX-License-Identifier: MIT */
/*
 * arena_test.c - the range of addresses, arenas in it, and that another process
 * has them at the same place.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fault.h"
#include "memory/arena.h"

#define MIB ((size_t)1 << 20)

static struct sh_arena *arena(void)
{
    struct sh_arena *a = sh_arena_new(MIB, 64 * MIB);

    assert_non_null(a);
    assert_true(a->bytes >= MIB);
    return a;
}

static long blocks_of(const struct sh_arena *a)
{
    struct stat s;

    assert_int_equal(fstat(a->fd, &s), 0);
    return (long)s.st_blocks;
}

static void pages_are_fresh_and_apart(void **state)
{
    struct sh_arena *a = arena();
    char *p = sh_arena_map(a, 100, SH_PAGES_RW);
    char *q = sh_arena_map(a, 3 * sh_pages_size(), SH_PAGES_RESERVE);

    (void)state;
    assert_non_null(p);
    assert_true(q >= p + sh_pages_size());
    assert_true(sh_arena_has(a, p) && sh_arena_has(a, q));
    assert_true(sh_range_has(p) && !sh_range_has(&a));
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(p[i], 0);
    memset(p, 1, sh_pages_size());
    assert_int_equal(q[0], 0);
    sh_arena_free(a);
}

static void an_arena_ends_somewhere(void **state)
{
    struct sh_arena *a = arena();

    (void)state;
    assert_null(sh_arena_map(a, a->bytes, SH_PAGES_RW));
    assert_null(sh_arena_map(a, SIZE_MAX, SH_PAGES_RW));
    assert_non_null(sh_arena_map(a, a->bytes / 2, SH_PAGES_RW));
    assert_null(sh_arena_map(a, a->bytes / 2, SH_PAGES_RW));
    assert_non_null(sh_arena_map(a, 1, SH_PAGES_RW));
    sh_arena_free(a);
}

static void too_much_is_refused(void **state)
{
    (void)state;
    assert_null(sh_arena_new(SIZE_MAX / 2, SIZE_MAX / 2));
    assert_int_equal(errno, ENOMEM);
}

static void what_is_discarded_takes_no_memory(void **state)
{
    struct sh_arena *a = arena();
    long before = blocks_of(a);
    char *p = sh_arena_map(a, MIB, SH_PAGES_RW);

    (void)state;
    memset(p, 7, MIB);
    assert_true(blocks_of(a) >= before + (long)(MIB / 512));
    sh_arena_discard(a, p, MIB);
    assert_int_equal(blocks_of(a), before);
    assert_int_equal(p[5], 0);
    memset(p, 7, MIB);
    sh_arena_unmap(a, p, MIB);
    assert_int_equal(blocks_of(a), before);
    sh_arena_free(a);
}

static void windows_are_used_again(void **state)
{
    struct sh_arena *first = arena(), *second;
    char *where = (char *)first;

    (void)state;
    strcpy(sh_arena_map(first, 10, SH_PAGES_RW), "old");
    sh_arena_free(first);
    second = arena();
    assert_ptr_equal(second, where);
    assert_int_equal(*(char *)sh_arena_map(second, 10, SH_PAGES_RW), 0);
    sh_arena_free(second);
}

static void a_file_cannot_be_cut(void **state)
{
    struct sh_arena *a = arena();

    (void)state;
    assert_int_equal(ftruncate(a->fd, 0), -1);
    assert_int_equal(ftruncate(a->fd, (off_t)(2 * a->bytes)), -1);
    assert_true((fcntl(a->fd, F_GETFD) & FD_CLOEXEC) != 0);
    sh_arena_free(a);
}

/* A process that was forked before there was an arena, as workers are. */
static void another_process_has_it_at_the_same_address(void **state)
{
    struct sh_arena *a = arena();
    size_t bytes = a->bytes;
    int status, fd = a->fd, *word = sh_arena_map(a, sizeof *word, SH_PAGES_RW);
    pid_t pid = fork();

    (void)state;
    assert_true(pid >= 0);
    if (pid == 0) {
        /* As if it had come before the arena. */
        if (mmap(a, bytes, PROT_NONE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
                 0) == MAP_FAILED ||
            !sh_arena_attach(fd, a, bytes))
            _exit(1);
        *word = 4711;
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(*word, 4711);
    sh_arena_free(a);
}

static void a_child_has_a_range_of_its_own(void **state)
{
    struct sh_arena *a = arena();
    int status;
    pid_t pid = fork();

    (void)state;
    assert_true(pid >= 0);
    if (pid == 0) {
        struct sh_arena *own = sh_arena_new(MIB, MIB);

        _exit(own == NULL || sh_arena_has(a, own));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    sh_arena_free(a);
}

static void every_refusal_is_an_error(void **state)
{
    struct sh_arena *a = NULL;
    int64_t n = 1;

    (void)state;
    for (; a == NULL && n < 100; n++) {
        sh_fault_set(n);
        a = sh_arena_new(MIB, MIB);
        sh_fault_clear();
    }
    assert_non_null(a);
    assert_true(n > 4);
    sh_fault_set(1);
    assert_null(sh_arena_map(a, 1, SH_PAGES_RW));
    sh_fault_clear();
    sh_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_are_fresh_and_apart),
        cmocka_unit_test(an_arena_ends_somewhere),
        cmocka_unit_test(too_much_is_refused),
        cmocka_unit_test(what_is_discarded_takes_no_memory),
        cmocka_unit_test(windows_are_used_again),
        cmocka_unit_test(a_file_cannot_be_cut),
        cmocka_unit_test(another_process_has_it_at_the_same_address),
        cmocka_unit_test(a_child_has_a_range_of_its_own),
        cmocka_unit_test(every_refusal_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
