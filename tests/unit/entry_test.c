/* SPDX-License-Identifier: MIT */
/*
 * unit/entry_test.c - the entries of a completion queue are found by handle,
 * however many there are, and those that are ready stay in order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/fault.h"
#include "reactor/entry.h"

enum {
    MANY = 20000
};

static struct sh_entries table;
static struct sh_entry entries[MANY];

static int make(void **state)
{
    (void)state;
    return sh_entries_init(&table) ? 0 : -1;
}

static int unmake(void **state)
{
    (void)state;
    sh_fault_clear();
    while (sh_entries_pop(&table) != NULL)
        continue;
    sh_entries_fini(&table);
    return 0;
}

/* Handles as pools give them out: indices in a row, or all of one index. */
static uint64_t handle_of(unsigned i, int kind)
{
    if (kind == 0)
        return sh_handle_make(1 + i % 3, 1 + i, 5) | SH_HANDLE_LENT;
    return kind == 1 ? sh_handle_make(1, 7, i) | SH_HANDLE_LENT
                     : sh_handle_make(2, SH_ALIAS_BIT | i, 1) | SH_HANDLE_LENT;
}

static void add_all(int kind, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        sh_entry_init(&entries[i], handle_of(i, kind), NULL, 0);
        sh_entries_add(&table, &entries[i]);
    }
    assert_int_equal(table.count, n);
}

static void every_entry_is_found_by_its_handle_alone(void **state)
{
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        add_all(kind, MANY);
        for (unsigned i = 0; i < MANY; i++)
            assert_ptr_equal(sh_entries_find(&table, handle_of(i, kind)),
                             &entries[i]);
        assert_null(sh_entries_find(&table, handle_of(MANY, kind)));
        for (unsigned i = 0; i < MANY; i += 2)
            sh_entries_remove(&table, &entries[i]);
        for (unsigned i = 0; i < MANY; i++)
            assert_ptr_equal(sh_entries_find(&table, handle_of(i, kind)),
                             i % 2 == 0 ? NULL : &entries[i]);
        for (unsigned i = 1; i < MANY; i += 2)
            sh_entries_remove(&table, &entries[i]);
        assert_int_equal(table.count, 0);
    }
}

static void the_buckets_are_as_many_as_there_were_entries(void **state)
{
    size_t longest = 0;

    (void)state;
    add_all(0, MANY);
    assert_true(table.buckets >= MANY);
    assert_true(table.buckets < 2 * MANY);
    for (unsigned i = 0; i < MANY; i++) {
        size_t length = 0;

        for (struct sh_entry *e = &entries[i]; e != NULL; e = e->link)
            length++;
        longest = length > longest ? length : longest;
    }
    assert_true(longest <= 16);
}

static void without_memory_for_buckets_the_chains_become_longer(void **state)
{
    (void)state;
    sh_fault_set_from(1);
    add_all(0, 2000);
    sh_fault_clear();
    assert_int_equal(table.buckets, 64);
    for (unsigned i = 0; i < 2000; i++)
        assert_ptr_equal(sh_entries_find(&table, handle_of(i, 0)), &entries[i]);
    /* With memory it grows again. */
    sh_entry_init(&entries[2000], handle_of(2000, 0), NULL, 0);
    sh_entries_add(&table, &entries[2000]);
    assert_int_equal(table.buckets, 65);
    for (unsigned i = 0; i <= 2000; i++)
        assert_ptr_equal(sh_entries_find(&table, handle_of(i, 0)), &entries[i]);
}

/* Goal: reserved handles are alike, and each counts. */
static void entries_with_the_same_handle_are_all_there(void **state)
{
    uint64_t same = sh_handle_of(sh_handle_failed(1, SHUNT_EAGAIN));
    unsigned seen = 0;

    (void)state;
    add_all(0, 100);
    for (unsigned i = 100; i < 120; i++) {
        sh_entry_init(&entries[i], same, NULL, 0);
        sh_entries_add(&table, &entries[i]);
    }
    for (struct sh_entry *e = sh_entries_find(&table, same); e != NULL;
         e = sh_entries_alike(e))
        seen++;
    assert_int_equal(seen, 20);
    sh_entries_remove(&table, &entries[110]);
    for (struct sh_entry *e = sh_entries_find(&table, same); e != NULL;
         e = sh_entries_alike(e))
        assert_ptr_not_equal(e, &entries[110]);
}

static void every_entry_is_popped_once(void **state)
{
    static const unsigned counts[] = { 0, 1, 63, 64, 65, 129, 5000 };

    (void)state;
    for (unsigned i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct sh_entry *e;
        unsigned popped = 0;

        add_all(0, counts[i]);
        while ((e = sh_entries_pop(&table)) != NULL) {
            assert_int_not_equal(e->state, SH_ENTRY_GONE);
            e->state = SH_ENTRY_GONE;
            popped++;
        }
        assert_int_equal(popped, counts[i]);
        sh_entries_fini(&table);
        assert_true(sh_entries_init(&table));
    }
}

static void entries_are_used_again_but_not_all_are_kept(void **state)
{
    struct sh_entry *taken[1100];

    (void)state;
    for (unsigned i = 0; i < 1100; i++) {
        taken[i] = sh_entries_take(&table);
        assert_non_null(taken[i]);
    }
    for (unsigned i = 0; i < 1100; i++)
        sh_entries_give(&table, taken[i]);
    assert_int_equal(table.spares, 1024);
    sh_fault_set_from(1);
    assert_ptr_equal(sh_entries_take(&table), taken[1023]);
    sh_fault_clear();
    sh_entries_give(&table, taken[1023]);
}

static void what_is_ready_stays_in_order(void **state)
{
    struct sh_ready first = { NULL, NULL, 0 }, second = { NULL, NULL, 0 };
    struct sh_entry *e;
    unsigned expected = 0;

    (void)state;
    sh_ready_append(&first, &second);
    assert_int_equal(first.count, 0);
    for (unsigned i = 0; i < 10; i++)
        sh_ready_add(&first, &entries[i]);
    for (unsigned i = 10; i < 20; i++)
        sh_ready_add(&second, &entries[i]);
    sh_ready_append(&first, &second);
    assert_int_equal(second.count, 0);
    assert_null(second.first);
    sh_ready_append(&second, &first);
    /* The first, the last, and one between. */
    sh_ready_remove(&second, &entries[0]);
    sh_ready_remove(&second, &entries[19]);
    sh_ready_remove(&second, &entries[10]);
    assert_int_equal(second.count, 17);
    for (e = second.first; e != NULL; e = e->next) {
        expected += expected == 9 ? 2 : 1;
        assert_ptr_equal(e, &entries[expected]);
    }
    assert_ptr_equal(second.last, &entries[18]);
}

int main(void)
{
#define ENTRY_TEST(test) cmocka_unit_test_setup_teardown(test, make, unmake)
    const struct CMUnitTest tests[] = {
        ENTRY_TEST(every_entry_is_found_by_its_handle_alone),
        ENTRY_TEST(the_buckets_are_as_many_as_there_were_entries),
        ENTRY_TEST(without_memory_for_buckets_the_chains_become_longer),
        ENTRY_TEST(entries_with_the_same_handle_are_all_there),
        ENTRY_TEST(every_entry_is_popped_once),
        ENTRY_TEST(entries_are_used_again_but_not_all_are_kept),
        ENTRY_TEST(what_is_ready_stays_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
