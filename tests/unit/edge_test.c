/* SPDX-License-Identifier: MIT */
/*
 * unit/edge_test.c - dependants of a record, and arrivals.
 *
 * Goal: who was attached and has not been detached is told of the end, once.
 * Method: targets that nothing is behind are attached to a promise's record,
 * and a function that counts is told of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "future/edge.h"
#include "pool_of_one.h"
#include "shunt/shunt.h"
#include "slow.h"

enum {
    MANY = 100,
    ROUNDS = 1500,
    ROUNDS_IF_SLOW = 300, /* each makes a pool */
    EACH = 20
};

static shunt_promise *promise;
static shunt_future *hub;
static struct sh_record *record;
static uint32_t generation;

static int make(void **state)
{
    struct sh_ref ref;

    if (pool_make(state) != 0 ||
        shunt_promise_new(name, long, &promise, &hub) != 0 ||
        sh_handle_find(sh_handle_of(hub), SH_OWN, &ref) != 0)
        return -1;
    record = ref.record;
    generation = sh_generation_of(ref.word);
    return 0;
}

static int unmake(void **state)
{
    if (shunt_promise_drop(promise) != 0 || shunt_release(hub) != 0)
        return -1;
    return pool_free(state);
}

/* Targets that nothing is behind: only who is told of them counts. */
static uint64_t target(unsigned n)
{
    return sh_target(SH_TARGET_CELL, n + 1, n % 28, n * 7 + 1);
}

static sh_hook attach(unsigned n)
{
    sh_hook hook = UINT32_MAX;

    assert_int_equal(sh_edge_attach(pool, record, generation, target(n), &hook),
                     SH_ATTACHED);
    return hook;
}

static _Atomic unsigned told[MANY];

static bool tell(void *to, struct sh_pool *p, uint64_t t)
{
    assert_ptr_equal(to, told);
    assert_ptr_equal(p, pool);
    atomic_fetch_add(&told[sh_target_index(t) - 1], 1);
    return true;
}

static void forget(void)
{
    for (unsigned i = 0; i < MANY; i++)
        atomic_store(&told[i], 0);
}

static void a_target_says_what_it_was_made_of(void **state)
{
    uint64_t t = sh_target(SH_TARGET_CELL, 0xffffff, 27, 0xfedcba98);

    (void)state;
    assert_true(sh_target_kind(t) == SH_TARGET_CELL);
    assert_int_equal(sh_target_index(t), 0xffffff);
    assert_int_equal(sh_target_bit(t), 27);
    assert_int_equal(sh_target_generation(t), 0xfedcba98);
    assert_true(t != SH_EDGE_DEAD && t != SH_EDGE_CLOSED);
    t = sh_target(SH_TARGET_RECORD, 1, 31, 0);
    assert_true(sh_target_kind(t) == SH_TARGET_RECORD);
    assert_int_equal(sh_target_bit(t), 31);
}

static void an_arrival_is_new_once_and_stale_after_a_renewal(void **state)
{
    _Atomic uint64_t word = 0;
    uint64_t seen = 0;
    uint32_t first = sh_arrivals_renew(&word), second;

    (void)state;
    assert_int_equal(sh_arrive(&word, first, 3, &seen), SH_ARRIVED_NEW);
    assert_int_equal((uint32_t)seen, 8);
    assert_int_equal(sh_arrive(&word, first, 3, &seen), SH_ARRIVED_AGAIN);
    assert_int_equal(sh_arrive(&word, first, 0, &seen), SH_ARRIVED_NEW);
    assert_int_equal((uint32_t)seen, 9);
    second = sh_arrivals_renew(&word);
    assert_true(second != first);
    assert_int_equal(sh_arrive(&word, first, 5, NULL), SH_ARRIVED_STALE);
    assert_int_equal((uint32_t)atomic_load(&word), 0);
}

static void the_first_dependant_takes_no_edge(void **state)
{
    (void)state;
    assert_false(sh_edge_any(pool, record));
    assert_int_equal(attach(0), 0);
    assert_true(sh_edge_any(pool, record));
    assert_true(attach(1) != 0);
    assert_true(sh_edge_detach(pool, record, 0, target(0)));
    assert_true(sh_edge_any(pool, record)); /* the second */
    assert_int_equal(attach(2), 0);         /* in the place of the first */
}

static void an_edge_is_detached_once_and_only_by_its_target(void **state)
{
    sh_hook hook;

    (void)state;
    (void)attach(0);
    hook = attach(1);
    assert_false(sh_edge_detach(pool, record, hook, target(2)));
    assert_true(sh_edge_detach(pool, record, hook, target(1)));
    assert_false(sh_edge_detach(pool, record, hook, target(1)));
    assert_true(sh_edge_detach(pool, record, 0, target(0)));
    assert_false(sh_edge_any(pool, record));
}

/* Goal: a future that many wait for, one after another, takes as many edges
 * as waited at one time. */
static void edges_of_those_who_left_are_used_again(void **state)
{
    sh_hook hooks[EACH];
    uint32_t used;

    (void)state;
    for (unsigned i = 0; i < EACH; i++)
        hooks[i] = attach(i);
    used = sh_table_used(&pool->edges);
    for (unsigned round = 0; round < 1000; round++) {
        for (unsigned i = 0; i < EACH; i++)
            assert_true(sh_edge_detach(pool, record, hooks[i], target(i)));
        for (unsigned i = 0; i < EACH; i++)
            hooks[i] = attach(i);
    }
    assert_int_equal(sh_table_used(&pool->edges), used);
}

static void closing_tells_each_who_waits_once_and_nobody_else(void **state)
{
    sh_hook hooks[MANY], late;

    (void)state;
    forget();
    for (unsigned i = 0; i < MANY; i++)
        hooks[i] = attach(i);
    for (unsigned i = 0; i < MANY; i += 3)
        assert_true(sh_edge_detach(pool, record, hooks[i], target(i)));
    assert_true(sh_edge_close(pool, record, tell, told));
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(atomic_load(&told[i]), i % 3 != 0);
    assert_true(sh_edge_close(pool, record, tell, told)); /* again */
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(atomic_load(&told[i]), i % 3 != 0);
    assert_false(sh_edge_any(pool, record));
    assert_false(sh_edge_detach(pool, record, hooks[1], target(1)));
    assert_int_equal(sh_edge_attach(pool, record, generation, target(0), &late),
                     SH_ATTACH_SETTLED);
}

static void a_record_of_another_use_takes_no_dependants(void **state)
{
    sh_hook hook;

    (void)state;
    assert_int_equal(
        sh_edge_attach(pool, record, generation + 1, target(0), &hook),
        SH_ATTACH_SETTLED);
    assert_false(sh_edge_any(pool, record));
}

/* ---- attaching and detaching while the future settles ---- */

static pthread_barrier_t both;
static atomic_bool wrong;

static int rounds(void)
{
    return is_slow() ? ROUNDS_IF_SLOW : ROUNDS;
}

static void *come_and_go(void *arg)
{
    bool detached[EACH];

    (void)arg;
    for (int round = 0; round < rounds(); round++) {
        unsigned attached = 0;

        pthread_barrier_wait(&both);
        for (unsigned i = 0; i < EACH; i++) {
            sh_hook hook;

            if (sh_edge_attach(pool, record, generation, target(i), &hook) !=
                SH_ATTACHED)
                break;
            attached++;
            detached[i] = i % 2 == 0 &&
                          sh_edge_detach(pool, record, hook, target(i));
        }
        pthread_barrier_wait(&both); /* it is closed */
        for (unsigned i = 0; i < EACH; i++) {
            unsigned n = atomic_load(&told[i]);

            /* A delivery may cross a detach: then once at most. */
            if (i >= attached ? n != 0 : detached[i] ? n > 1 : n != 1)
                atomic_store(&wrong, true);
        }
        pthread_barrier_wait(&both);
    }
    return NULL;
}

/* Goal: whoever hung on before a future was closed, and did not leave, is told
 * once; whoever comes later is sent away. */
static void who_comes_while_it_closes_is_told_or_sent_away(void **state)
{
    pthread_t thread;

    (void)state;
    pthread_barrier_init(&both, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, come_and_go, NULL), 0);
    for (int round = 0; round < rounds(); round++) {
        forget();
        pthread_barrier_wait(&both);
        for (int i = 0; i < round % 7; i++)
            sched_yield();
        assert_true(sh_edge_close(pool, record, tell, told));
        pthread_barrier_wait(&both);
        pthread_barrier_wait(&both);
        assert_int_equal(unmake(NULL), 0);
        assert_int_equal(make(NULL), 0);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    pthread_barrier_destroy(&both);
    assert_false(atomic_load(&wrong));
}

int main(void)
{
#define EDGE_TEST(test) cmocka_unit_test_setup_teardown(test, make, unmake)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_target_says_what_it_was_made_of),
        cmocka_unit_test(an_arrival_is_new_once_and_stale_after_a_renewal),
        EDGE_TEST(the_first_dependant_takes_no_edge),
        EDGE_TEST(an_edge_is_detached_once_and_only_by_its_target),
        EDGE_TEST(edges_of_those_who_left_are_used_again),
        EDGE_TEST(closing_tells_each_who_waits_once_and_nobody_else),
        EDGE_TEST(a_record_of_another_use_takes_no_dependants),
        EDGE_TEST(who_comes_while_it_closes_is_told_or_sent_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
