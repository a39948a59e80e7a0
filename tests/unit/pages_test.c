/* SPDX-License-Identifier: MIT */
/*
 * unit/pages_test.c - pages from the kernel, and the faults that tests inject.
 *
 * Goal: pages are what was asked for, or refused without harm. Method: the
 * kernel is asked which pages are in memory; children touch what they must not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "memory/pages.h"
#include "resident.h"

enum {
    PAGES = 8
};

static int clear_faults(void **state)
{
    (void)state;
    sh_fault_clear();
    return 0;
}

/* The status of a child that writes to p. */
static int status_of_a_write(volatile char *p)
{
    pid_t child = fork();
    if (child == 0) {
        /* A sanitizer's handler would print and exit instead. */
        signal(SIGSEGV, SIG_DFL);
        *p = 1;
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void sizes_are_rounded_up_to_whole_pages(void **state)
{
    (void)state;
    size_t page = sh_pages_size();

    assert_int_equal(page, (size_t)sysconf(_SC_PAGESIZE));
    assert_int_equal(sh_pages_round(0), 0);
    assert_int_equal(sh_pages_round(1), page);
    assert_int_equal(sh_pages_round(page), page);
    assert_int_equal(sh_pages_round(page + 1), 2 * page);
    assert_true(sh_pages_round(SIZE_MAX) == SIZE_MAX - (page - 1));
    assert_true(sh_pages_round(SIZE_MAX - page + 2) == SIZE_MAX - (page - 1));
}

/* Goal: whatever they are for, pages are aligned, zero, writable, and gone
 * after unmap. Method: look at each byte, write each page, ask the kernel. */
static void mapped_pages_are_zero_and_writable_until_unmapped(void **state)
{
    (void)state;
    static const enum sh_pages_how hows[] = { SH_PAGES_RW, SH_PAGES_RESERVE,
                                              SH_PAGES_TABLE, SH_PAGES_STACK };
    size_t page = sh_pages_size();

    for (size_t i = 0; i < sizeof(hows) / sizeof(hows[0]); i++) {
        char *p = sh_pages_map(PAGES * page, hows[i]);

        assert_non_null(p);
        assert_int_equal((uintptr_t)p % page, 0);
        for (size_t at = 0; at < PAGES * page; at++)
            assert_int_equal(p[at], 0);
        memset(p, 0x5a, PAGES * page);
        assert_int_equal(resident(p + page), 1);
        sh_pages_unmap(p, PAGES * page);
        assert_int_equal(resident(p), -1);
        assert_int_equal(errno, ENOMEM);
    }
}

/* Goal: a table may be reserved that is larger than the machine's memory, as
 * long as little of it is touched. */
static void a_reservation_costs_only_what_is_touched(void **state)
{
    (void)state;
    size_t memory = (size_t)sysconf(_SC_PHYS_PAGES) * sh_pages_size();
    size_t bytes = memory + ((size_t)1 << 30);
    char *table = sh_pages_map(bytes, SH_PAGES_RESERVE);

    assert_non_null(table);
    table[0] = 1;
    table[bytes - 1] = 1;
    assert_int_equal(resident(table), 1);
    assert_int_equal(resident(table + bytes / 2), 0);
    sh_pages_unmap(table, bytes);
}

/* Whether the kernel may give huge pages there: hg among its flags. */
static bool is_huge_asked(const void *at)
{
    FILE *maps = fopen("/proc/self/smaps", "re");
    char line[512];
    uintptr_t from, to;
    bool here = false, asked = false;

    assert_non_null(maps);
    while (fgets(line, sizeof line, maps) != NULL) {
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2)
            here = from <= (uintptr_t)at && (uintptr_t)at < to;
        else if (here && strncmp(line, "VmFlags:", 8) == 0)
            asked = strstr(line, " hg") != NULL;
    }
    (void)fclose(maps);
    return asked;
}

/* Whether it says so: not where there are none, nor in an emulator. */
static bool is_huge_told(void)
{
    size_t bytes = (size_t)4 << 20;
    char *p = sh_pages_map(bytes, SH_PAGES_RW);
    bool told;

    assert_non_null(p);
    told = madvise(p, bytes, MADV_HUGEPAGE) == 0 && is_huge_asked(p);
    sh_pages_unmap(p, bytes);
    return told;
}

/* Goal: a large table is in huge pages where it is used much, and a small one
 * is not. Method: what the kernel was asked. */
static void a_table_may_have_huge_pages_behind_its_beginning(void **state)
{
    (void)state;
    size_t mib = (size_t)1 << 20;
    char *table = sh_pages_map(16 * mib, SH_PAGES_TABLE);
    char *small = sh_pages_map(4 * mib, SH_PAGES_TABLE);
    char *reserved = sh_pages_map(16 * mib, SH_PAGES_RESERVE);
    char *stack = sh_pages_map(16 * mib, SH_PAGES_STACK);

    assert_non_null(table);
    assert_non_null(small);
    assert_non_null(reserved);
    assert_non_null(stack);
    if (is_huge_told())
        assert_true(is_huge_asked(table + 8 * mib));
    assert_false(is_huge_asked(table + 4 * mib - 1));
    assert_false(is_huge_asked(small + 4 * mib - 1));
    assert_false(is_huge_asked(reserved + 8 * mib));
    assert_false(is_huge_asked(stack + 8 * mib));
    sh_pages_unmap(table, 16 * mib);
    sh_pages_unmap(small, 4 * mib);
    sh_pages_unmap(reserved, 16 * mib);
    sh_pages_unmap(stack, 16 * mib);
}

static void a_size_that_no_machine_has_is_refused(void **state)
{
    (void)state;
    assert_null(sh_pages_map(SIZE_MAX / 2, SH_PAGES_RESERVE));
    assert_null(sh_pages_map(sh_pages_round(SIZE_MAX), SH_PAGES_STACK));
}

static void guarded_pages_fault_and_their_neighbours_do_not(void **state)
{
    (void)state;
    size_t page = sh_pages_size();
    char *p = sh_pages_map(3 * page, SH_PAGES_RW);

    assert_non_null(p);
    assert_true(sh_pages_guard(p + page, page));
    assert_true(WIFEXITED(status_of_a_write(p + page - 1)));
    int status = status_of_a_write(p + page);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    status = status_of_a_write(p + 2 * page - 1);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    assert_true(WIFEXITED(status_of_a_write(p + 2 * page)));
    sh_pages_unmap(p, 3 * page);
}

static void discarded_pages_leave_memory_and_stay_mapped(void **state)
{
    (void)state;
    size_t page = sh_pages_size();
    char *p = sh_pages_map(PAGES * page, SH_PAGES_RW);

    assert_non_null(p);
    memset(p, 1, PAGES * page);
    sh_pages_discard(p + page, 2 * page);
    assert_int_equal(resident(p), 1);
    assert_int_equal(resident(p + page), 0);
    assert_int_equal(resident(p + 2 * page), 0);
    assert_int_equal(resident(p + 3 * page), 1);
    assert_int_equal(p[page], 0);
    p[page] = 1;
    sh_pages_unmap(p, PAGES * page);
}

static void the_fault_strikes_the_nth_call_and_no_other(void **state)
{
    (void)state;
    for (int nth = 1; nth <= 4; nth++) {
        sh_fault_set(nth);
        for (int call = 1; call <= 6; call++)
            assert_int_equal(sh_fault(), call == nth);
        assert_int_equal(sh_fault_calls(), 6);
    }
}

static void the_fault_strikes_from_the_nth_call_on(void **state)
{
    (void)state;
    for (int nth = 1; nth <= 4; nth++) {
        sh_fault_set_from(nth);
        for (int call = 1; call <= 6; call++)
            assert_int_equal(sh_fault(), call >= nth);
        assert_int_equal(sh_fault_calls(), 6);
    }
}

static void no_call_fails_or_counts_once_cleared(void **state)
{
    (void)state;
    sh_fault_set(INT64_MAX);
    for (int call = 1; call <= 6; call++)
        assert_false(sh_fault());
    sh_fault_clear();
    for (int call = 1; call <= 6; call++)
        assert_false(sh_fault());
    assert_int_equal(sh_fault_calls(), 6);
}

/* Goal: each refusal that a caller must expect can be asked for. */
static void each_request_to_the_kernel_can_be_made_to_fail(void **state)
{
    (void)state;
    size_t page = sh_pages_size();

    sh_fault_set(1);
    assert_null(sh_pages_map(page, SH_PAGES_RW));
    char *p = sh_pages_map(page, SH_PAGES_RW);
    assert_non_null(p);

    sh_fault_set(1);
    assert_false(sh_pages_guard(p, page));
    p[0] = 7; /* so it was not guarded */

    sh_fault_set(1);
    sh_pages_discard(p, page);
    assert_int_equal(p[0], 7);

    sh_fault_set_from(1);
    sh_pages_unmap(p, page);
    assert_int_equal(resident(p), -1);
    assert_int_equal(sh_fault_calls(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_rounded_up_to_whole_pages),
        cmocka_unit_test(mapped_pages_are_zero_and_writable_until_unmapped),
        cmocka_unit_test(a_reservation_costs_only_what_is_touched),
        cmocka_unit_test(a_table_may_have_huge_pages_behind_its_beginning),
        cmocka_unit_test(a_size_that_no_machine_has_is_refused),
        cmocka_unit_test(guarded_pages_fault_and_their_neighbours_do_not),
        cmocka_unit_test(discarded_pages_leave_memory_and_stay_mapped),
        cmocka_unit_test_teardown(the_fault_strikes_the_nth_call_and_no_other,
                                  clear_faults),
        cmocka_unit_test_teardown(the_fault_strikes_from_the_nth_call_on,
                                  clear_faults),
        cmocka_unit_test_teardown(no_call_fails_or_counts_once_cleared,
                                  clear_faults),
        cmocka_unit_test_teardown(
            each_request_to_the_kernel_can_be_made_to_fail, clear_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
