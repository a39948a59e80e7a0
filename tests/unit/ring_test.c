/* SPDX-License-Identifier: MIT */
/*
 * unit/ring_test.c - the queue of what comes from outside.
 *
 * Goal: hints come out once each and in the order of their coming, and a full
 * ring says so. Method: one thread for each claim about order; then producers
 * and consumers who count every hint.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "queue/ring.h"

enum {
    CELLS = 64,
    EACH = 30000,
    PRODUCERS = 2,
    CONSUMERS = 2,
    BATCH = 7
};

static struct sh_cell_of_ring cells[CELLS];
static struct sh_ring ring;

static int clear(void **state)
{
    (void)state;
    memset((void *)cells, 0, sizeof cells);
    sh_ring_init(&ring, cells, CELLS);
    return 0;
}

static void hints_come_out_in_the_order_of_their_coming(void **state)
{
    uint64_t hints[8];

    (void)state;
    for (uint64_t i = 1; i <= 5; i++)
        assert_true(sh_ring_push(&ring, i, UINT64_MAX));
    assert_int_equal(sh_ring_pop(&ring, hints, 2), 2);
    assert_int_equal(hints[0], 1);
    assert_int_equal(hints[1], 2);
    assert_int_equal(sh_ring_pop(&ring, hints, 8), 3);
    assert_int_equal(hints[0], 3);
    assert_int_equal(hints[2], 5);
    assert_int_equal(sh_ring_pop(&ring, hints, 8), 0);
}

static void a_full_ring_refuses_until_something_is_taken(void **state)
{
    uint64_t hint;

    (void)state;
    for (uint64_t i = 1; i <= CELLS; i++)
        assert_true(sh_ring_push(&ring, i, UINT64_MAX));
    assert_false(sh_ring_push(&ring, 99, UINT64_MAX));
    assert_int_equal(sh_ring_size(&ring), CELLS);
    assert_int_equal(sh_ring_pop(&ring, &hint, 1), 1);
    assert_true(sh_ring_push(&ring, 99, UINT64_MAX));
    assert_false(sh_ring_push(&ring, 100, UINT64_MAX));
}

/* The limit counts what was ever pushed, not what is there. */
static void a_limit_is_exact_to_one_hint(void **state)
{
    uint64_t hints[4];

    (void)state;
    for (uint64_t i = 1; i <= 4; i++)
        assert_true(sh_ring_push(&ring, i, 4));
    assert_false(sh_ring_push(&ring, 5, 4));
    assert_int_equal(sh_ring_pop(&ring, hints, 4), 4);
    assert_false(sh_ring_push(&ring, 5, 4));
    assert_true(sh_ring_push(&ring, 5, 5));
}

static void cells_are_used_lap_after_lap(void **state)
{
    uint64_t hints[BATCH], next = 1, expected = 1;

    (void)state;
    while (expected <= 20 * CELLS) {
        while (next <= 20 * CELLS && sh_ring_push(&ring, next, UINT64_MAX))
            next++;
        unsigned n = sh_ring_pop(&ring, hints, BATCH);

        assert_true(n > 0);
        for (unsigned i = 0; i < n; i++)
            assert_int_equal(hints[i], expected++);
    }
    assert_int_equal(sh_ring_size(&ring), 0);
}

/* ---- two and two ---- */

static _Atomic uint32_t got[PRODUCERS * EACH + 1];
static atomic_uint produced; /* producers that are done */
static atomic_bool disordered;

static void *produce(void *first)
{
    uint64_t from = *(const uint64_t *)first;

    for (uint64_t i = 0; i < EACH; i++)
        while (!sh_ring_push(&ring, from + i, UINT64_MAX))
            sched_yield();
    atomic_fetch_add(&produced, 1);
    return NULL;
}

static void *consume(void *arg)
{
    uint64_t last[PRODUCERS] = { 0 };
    uint64_t hints[BATCH];

    (void)arg;
    while (atomic_load(&produced) < PRODUCERS || sh_ring_size(&ring) > 0) {
        unsigned n = sh_ring_pop(&ring, hints, BATCH);

        for (unsigned i = 0; i < n; i++) {
            uint64_t producer = (hints[i] - 1) / EACH;

            atomic_fetch_add(&got[hints[i]], 1);
            if (hints[i] <= last[producer])
                atomic_store(&disordered, true);
            last[producer] = hints[i];
        }
        if (n == 0)
            sched_yield();
    }
    return NULL;
}

/* Goal: each hint comes out once, and no consumer sees two hints of one
 * producer in the wrong order. */
static void two_producers_and_two_consumers_pass_each_hint_once(void **state)
{
    static uint64_t first[PRODUCERS] = { 1, EACH + 1 };
    pthread_t threads[PRODUCERS + CONSUMERS];

    (void)state;
    for (int i = 0; i < PRODUCERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, produce, &first[i]),
                         0);
    for (int i = 0; i < CONSUMERS; i++)
        assert_int_equal(
            pthread_create(&threads[PRODUCERS + i], NULL, consume, NULL), 0);
    for (int i = 0; i < PRODUCERS + CONSUMERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (unsigned i = 1; i <= PRODUCERS * EACH; i++)
        assert_int_equal(atomic_load(&got[i]), 1);
    assert_false(atomic_load(&disordered));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(hints_come_out_in_the_order_of_their_coming,
                               clear),
        cmocka_unit_test_setup(a_full_ring_refuses_until_something_is_taken,
                               clear),
        cmocka_unit_test_setup(a_limit_is_exact_to_one_hint, clear),
        cmocka_unit_test_setup(cells_are_used_lap_after_lap, clear),
        cmocka_unit_test_setup(
            two_producers_and_two_consumers_pass_each_hint_once, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
