/* SPDX-License-Identifier: MIT */
/*
 * unit/deque_test.c - the work-stealing deque.
 *
 * Goal: the owner pops the newest, thieves take the oldest, and each hint comes
 * out once. Method: one thread for each claim about order; then an owner and
 * thieves who mark every hint that they got.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "queue/deque.h"

enum {
    HINTS = 60000,
    THIEVES = 2,
    LAPS = 3
};

static struct sh_deque deque;

static int clear(void **state)
{
    (void)state;
    memset((void *)&deque, 0, sizeof deque);
    return 0;
}

static void the_owner_pops_the_newest_first(void **state)
{
    uint64_t hint;

    (void)state;
    for (uint64_t i = 1; i <= 5; i++)
        assert_true(sh_deque_push(&deque, i));
    for (uint64_t i = 5; i >= 1; i--) {
        assert_true(sh_deque_pop(&deque, &hint));
        assert_int_equal(hint, i);
    }
    assert_false(sh_deque_pop(&deque, &hint));
}

static void a_thief_gets_the_oldest_first(void **state)
{
    uint64_t hint;

    (void)state;
    for (uint64_t i = 1; i <= 5; i++)
        assert_true(sh_deque_push(&deque, i));
    for (uint64_t i = 1; i <= 5; i++) {
        assert_int_equal(sh_deque_steal(&deque, &hint), SH_STEAL_GOT);
        assert_int_equal(hint, i);
    }
    assert_int_equal(sh_deque_steal(&deque, &hint), SH_STEAL_EMPTY);
}

static void of_many_pushed_at_once_the_first_is_popped_first(void **state)
{
    const uint64_t many[] = { 11, 12, 13 };
    uint64_t hint;

    (void)state;
    assert_true(sh_deque_push(&deque, 1));
    assert_int_equal(sh_deque_push_many(&deque, many, 3), 3);
    assert_int_equal(sh_deque_glance(&deque, 0), 11);
    assert_int_equal(sh_deque_glance(&deque, 3), 1);
    assert_int_equal(sh_deque_glance(&deque, 4), 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(sh_deque_pop(&deque, &hint));
        assert_int_equal(hint, many[i]);
    }
    assert_int_equal(sh_deque_steal(&deque, &hint), SH_STEAL_GOT);
    assert_int_equal(hint, 1);
}

static void a_full_deque_refuses_and_stays_as_it_was(void **state)
{
    const uint64_t more[] = { 7, 8, 9 };
    uint64_t hint;

    (void)state;
    for (uint64_t i = 1; i <= SH_DEQUE_SLOTS - 1; i++)
        assert_true(sh_deque_push(&deque, i));
    assert_int_equal(sh_deque_push_many(&deque, more, 3), 1);
    assert_false(sh_deque_push(&deque, 5));
    assert_int_equal(sh_deque_push_many(&deque, more, 3), 0);
    assert_int_equal(sh_deque_size(&deque), SH_DEQUE_SLOTS);
    assert_true(sh_deque_pop(&deque, &hint));
    assert_int_equal(hint, 7);
    assert_int_equal(sh_deque_steal(&deque, &hint), SH_STEAL_GOT);
    assert_int_equal(hint, 1);
    assert_true(sh_deque_push(&deque, 10));
    assert_true(sh_deque_push(&deque, 11)); /* the thief made room */
    assert_false(sh_deque_push(&deque, 12));
}

static void slots_are_used_lap_after_lap(void **state)
{
    uint64_t hint;

    (void)state;
    for (uint64_t i = 1; i <= (uint64_t)LAPS * SH_DEQUE_SLOTS; i++) {
        assert_true(sh_deque_push(&deque, i));
        if (i % 2 == 0) {
            assert_true(sh_deque_pop(&deque, &hint));
            assert_int_equal(hint, i);
        } else {
            assert_int_equal(sh_deque_steal(&deque, &hint), SH_STEAL_GOT);
            assert_int_equal(hint, i);
        }
        assert_int_equal(sh_deque_size(&deque), 0);
    }
}

/* ---- the owner and its thieves ---- */

static _Atomic uint32_t got[HINTS + 1];
static atomic_bool over;

static void *thief(void *arg)
{
    uint64_t hint;

    (void)arg;
    while (!atomic_load(&over) || sh_deque_size(&deque) > 0) {
        enum sh_steal how = sh_deque_steal(&deque, &hint);

        if (how == SH_STEAL_GOT)
            atomic_fetch_add(&got[hint], 1);
        else if (how == SH_STEAL_EMPTY)
            sched_yield();
    }
    return NULL;
}

static void own(uint32_t random)
{
    uint64_t next = 1, hint;

    while (next <= HINTS) {
        uint64_t many[40];
        unsigned count = 1 + random % 40;

        random = random * 1664525u + 1013904223u;
        if (count > HINTS + 1 - next)
            count = (unsigned)(HINTS + 1 - next);
        for (unsigned i = 0; i < count; i++)
            many[i] = next + i;
        if ((random >> 16) % 4 == 0)
            next += sh_deque_push_many(&deque, many, count);
        else if (sh_deque_push(&deque, next))
            next++;
        for (unsigned i = (random >> 20) % 4; i > 0; i--)
            if (sh_deque_pop(&deque, &hint))
                atomic_fetch_add(&got[hint], 1);
    }
    while (sh_deque_pop(&deque, &hint))
        atomic_fetch_add(&got[hint], 1);
}

/* Goal: with an owner that pushes and pops and two thieves, each hint comes
 * out once. Method: the deque is kept short, so most pops meet a thief. */
static void an_owner_and_two_thieves_get_each_hint_once(void **state)
{
    pthread_t threads[THIEVES];

    (void)state;
    for (int i = 0; i < THIEVES; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, thief, NULL), 0);
    own(2463534242u); /* always the same seed */
    atomic_store(&over, true);
    for (int i = 0; i < THIEVES; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (uint64_t i = 1; i <= HINTS; i++)
        assert_int_equal(atomic_load(&got[i]), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_owner_pops_the_newest_first, clear),
        cmocka_unit_test_setup(a_thief_gets_the_oldest_first, clear),
        cmocka_unit_test_setup(of_many_pushed_at_once_the_first_is_popped_first,
                               clear),
        cmocka_unit_test_setup(a_full_deque_refuses_and_stays_as_it_was, clear),
        cmocka_unit_test_setup(slots_are_used_lap_after_lap, clear),
        cmocka_unit_test_setup(an_owner_and_two_thieves_get_each_hint_once,
                               clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
