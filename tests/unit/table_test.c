/* SPDX-License-Identifier: MIT */
/*
 * unit/table_test.c - type-stable tables and their free lists.
 *
 * Goal: an item belongs to one taker at a time, and a full table gives out all
 * it has, also after a death. Method: a small table is emptied by one thread;
 * one takes, gives or moves by halves; several take and give, and sign what they
 * hold.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "base/fault.h"
#include "memory/table.h"

enum {
    CAPACITY = 1000,
    THREADS = 3,
    ROUNDS = 40000,
    HELD = 200
};

struct item {
    _Atomic uint32_t link, chain, held;
};

static struct sh_table table;

static int make(void **state)
{
    (void)state;
    return sh_table_init(&table, NULL, sizeof(struct item),
                         offsetof(struct item, link),
                         offsetof(struct item, chain), CAPACITY)
               ? 0
               : -1;
}

static int unmake(void **state)
{
    (void)state;
    sh_fault_clear();
    sh_table_fini(&table);
    return 0;
}

static struct item *item_at(uint32_t index)
{
    return sh_table_at(&table, index);
}

/* Take all there is, each once; how many. */
static uint32_t take_all(struct sh_cache *c, uint32_t *into)
{
    static unsigned char seen[CAPACITY];
    uint32_t n = 0, index;

    memset(seen, 0, sizeof seen);
    while ((index = sh_table_take(&table, c)) != SH_NONE) {
        assert_true(index < CAPACITY);
        assert_int_equal(seen[index], 0);
        seen[index] = 1;
        into[n++] = index;
    }
    return n;
}

static void every_item_but_the_zeroth_is_handed_out_once(void **state)
{
    struct sh_cache c = { 0 };
    uint32_t all[CAPACITY];

    (void)state;
    assert_int_equal(take_all(&c, all), CAPACITY - 1);
    assert_int_equal(sh_table_used(&table), CAPACITY);
}

static void what_was_given_back_is_handed_out_again(void **state)
{
    struct sh_cache c = { 0 };
    uint32_t all[CAPACITY], n = take_all(&c, all);

    (void)state;
    for (uint32_t i = 0; i < n; i++)
        sh_table_give(&table, &c, all[i]);
    assert_int_equal(take_all(&c, all), n);
}

static void an_item_keeps_what_its_last_user_left(void **state)
{
    struct sh_cache c = { 0 };
    uint32_t first = sh_table_take(&table, &c);
    uint32_t all[CAPACITY], n;

    (void)state;
    atomic_store(&item_at(first)->held, 4711);
    sh_table_give(&table, &c, first);
    n = take_all(&c, all);
    assert_int_equal(n, CAPACITY - 1);
    assert_int_equal(atomic_load(&item_at(first)->held), 4711);
}

static void what_one_gives_another_can_take(void **state)
{
    struct sh_cache giver = { 0 }, taker = { 0 };
    uint32_t all[CAPACITY], n = take_all(&giver, all);

    (void)state;
    for (uint32_t i = 0; i < n; i++)
        sh_table_give(&table, &giver, all[i]);
    /* Less than two chains stay with whoever gave them. */
    assert_true(take_all(&taker, all) >= n - 2 * SH_CHAIN);
}

static void a_flush_gives_back_all_that_was_kept(void **state)
{
    struct sh_cache one = { 0 }, other = { 0 };
    uint32_t all[CAPACITY];

    (void)state;
    for (int i = 0; i < 300; i++)
        all[i] = sh_table_take(&table, &one);
    for (int i = 0; i < 300; i++)
        sh_table_give(&table, &one, all[i]);
    sh_table_flush(&table, &one);
    assert_int_equal(take_all(&other, all), CAPACITY - 1);
    assert_int_equal(sh_table_take(&table, &one), SH_NONE);
}

static void growth_that_is_refused_costs_nothing(void **state)
{
    struct sh_cache c = { 0 };
    uint32_t all[CAPACITY];

    (void)state;
    sh_fault_set(1);
    assert_int_equal(sh_table_take(&table, &c), SH_NONE);
    sh_fault_clear();
    assert_int_equal(take_all(&c, all), CAPACITY - 1);
}

/* Goal: a pop that read the head of the chains long ago does not succeed
 * though the same chain is the head again. Method: look at the word that it
 * would compare; what it was before never comes back. */
static void the_same_chain_on_top_is_another_word(void **state)
{
    struct sh_cache c = { 0 }, other = { 0 };
    uint32_t index = sh_table_take(&table, &c);
    uint64_t before, after;

    (void)state;
    sh_table_flush(&table, &c); /* so that the rest of its run is there */
    sh_table_give(&table, &c, index);
    sh_table_flush(&table, &c);
    before = atomic_load(&table.chains);
    assert_int_equal((uint32_t)before, index);
    assert_int_equal(sh_table_take(&table, &other), index);
    sh_table_give(&table, &other, index);
    sh_table_flush(&table, &other);
    after = atomic_load(&table.chains);
    assert_int_equal((uint32_t)after, (uint32_t)before);
    assert_true(after != before);
}

/* -- whose thread has died -- */

static bool is_held(void *arg, uint32_t index, uint32_t of)
{
    (void)arg;
    (void)of;
    return atomic_load(&item_at(index)->held) != 0;
}

/* What is mended and flushed is all there, each once, but for what is held. */
static void expect_all(struct sh_cache *dead, uint32_t held)
{
    struct sh_cache c = { 0 };
    uint32_t all[CAPACITY];

    sh_table_mend(&table, dead, is_held, NULL);
    sh_table_flush(&table, dead);
    assert_int_equal(take_all(&c, all), CAPACITY - 1 - held);
}

/* An item of each list; fresh ones are left. */
static void fill(struct sh_cache *c, uint32_t *in, uint32_t *out)
{
    uint32_t first = sh_table_take(&table, c);

    *out = sh_table_take(&table, c);
    sh_table_give(&table, c, *out);
    sh_table_give(&table, c, first);
    c->out = c->in;
    c->in = SH_NONE;
    *out = sh_table_peek(&table, c);
    *in = sh_table_take(&table, c);
    *out = sh_table_peek(&table, c);
    sh_table_give(&table, c, *in);
}

static void who_dies_while_it_takes_has_taken_or_not(void **state)
{
    struct sh_cache c = { 0 };
    uint32_t in, out;

    (void)state;
    fill(&c, &in, &out);
    atomic_store(&item_at(out)->held, 1);
    expect_all(&c, 1);
}

static void who_dies_while_it_takes_a_fresh_one_has_taken_or_not(void **state)
{
    struct sh_cache c = { 0 };
    uint32_t index = sh_table_take(&table, &c);

    (void)state;
    sh_table_give(&table, &c, index);
    index = sh_table_peek(&table, &c);
    atomic_store(&item_at(index)->held, 1);
    expect_all(&c, 1);
}

static void who_dies_while_it_gives_still_has_what_says_so(void **state)
{
    struct sh_cache c = { 0 };
    uint32_t in, out;

    (void)state;
    fill(&c, &in, &out);
    atomic_store(&item_at(in)->held, 1);
    expect_all(&c, 1);
}

static void what_a_dead_thread_has_in_hand_is_given_back(void **state)
{
    struct sh_cache c = { 0 };
    uint32_t in, out;

    (void)state;
    fill(&c, &in, &out);
    assert_int_equal(sh_table_take_in_hand(&table, &c, 7), out);
    assert_int_equal(c.hand_of, 7);
    expect_all(&c, 0);
}

static void what_it_has_in_hand_may_be_where_it_belongs(void **state)
{
    struct sh_cache c = { 0 };
    uint32_t in, out;

    (void)state;
    fill(&c, &in, &out);
    assert_int_equal(sh_table_take_in_hand(&table, &c, 7), out);
    atomic_store(&item_at(out)->held, 1);
    expect_all(&c, 1);
}

static void what_it_has_in_hand_may_be_in_a_list_still(void **state)
{
    struct sh_cache c = { 0 };
    uint32_t in, out;

    (void)state;
    fill(&c, &in, &out);
    sh_table_hand(&c, in, 0);
    expect_all(&c, 0);
}

/* The item has the number at which a run would go on that was used up. */
static void what_it_has_in_hand_may_follow_a_run_that_is_used_up(void **state)
{
    struct sh_cache c = { 0 }, other = { 0 };
    uint32_t index;

    (void)state;
    index = sh_table_take(&table, &other);
    sh_table_hand(&c, index, 0);
    c.fresh = c.fresh_end = index;
    sh_table_flush(&table, &other);
    expect_all(&c, 0);
}

static void a_list_that_becomes_the_other_is_there_once(void **state)
{
    struct sh_cache c = { 0 };
    uint32_t in, out;

    (void)state;
    fill(&c, &in, &out);
    sh_table_put(&table, &c, out); /* so that it is in that one, too */
    c.out = c.in;
    expect_all(&c, 0);
}

/* Goal: a chain, or a run, that a dead thread was about to move is in one place.
 * Method: take back what it did after its CAS; others change the word since, or
 * not. */
static void forget_pop(struct sh_cache *c, uint32_t tag)
{
    c->moving = c->out;
    c->moving_tag = tag;
    c->out = SH_NONE;
}

static uint32_t tag_now(void)
{
    return (uint32_t)(atomic_load(&table.chains) >> 32);
}

static void who_dies_when_it_has_popped_has_that_chain(void **state)
{
    struct sh_cache c = { .mark = 3 }, other = { .mark = 4 };
    uint32_t all[CAPACITY];

    for (int others = 0; others < 2; others++) {
        uint32_t n = take_all(&other, all);

        for (uint32_t i = 0; i < n; i++)
            sh_table_give(&table, &other, all[i]);
        sh_table_flush(&table, &other);
        (void)sh_table_peek(&table, &c);
        forget_pop(&c, tag_now());
        if (others > 0) {
            (void)sh_table_peek(&table, &other);
            sh_table_flush(&table, &other);
        }
        expect_all(&c, 0);
        c = (struct sh_cache){ .mark = 3 };
        unmake(state);
        make(state);
    }
}

static void who_dies_before_it_has_popped_has_none(void **state)
{
    struct sh_cache c = { .mark = 3 }, other = { .mark = 4 };

    (void)state;
    (void)sh_table_peek(&table, &other);
    sh_table_flush(&table, &other);
    c.moving = (uint32_t)atomic_load(&table.chains) & SH_INDEX;
    c.moving_tag = tag_now() + 1;
    /* Another one pops it, and gives it back. */
    assert_int_equal(sh_table_peek(&table, &other), c.moving);
    sh_table_flush(&table, &other);
    expect_all(&c, 0);
}

static void who_dies_when_it_has_pushed_has_it_no_more(void **state)
{
    struct sh_cache c = { .mark = 3 }, other = { 0 };
    uint32_t all[SH_CHAIN + 2], pushed;

    (void)state;
    for (uint32_t i = 0; i < SH_CHAIN + 2; i++)
        all[i] = sh_table_take(&table, &c);
    sh_table_give(&table, &c, all[0]);
    c.out = c.in;
    c.in = SH_NONE;
    c.in_count = 0;
    for (uint32_t i = 1; i <= SH_CHAIN; i++)
        sh_table_give(&table, &c, all[i]);
    assert_int_equal(c.in, SH_NONE);
    pushed = (uint32_t)atomic_load(&table.chains) & SH_INDEX;
    assert_int_equal(pushed, all[SH_CHAIN]);
    c.in = c.moving = pushed;
    c.moving_tag = tag_now();
    assert_int_equal(sh_table_take(&table, &other), pushed);
    sh_table_give(&table, &other, pushed);
    sh_table_flush(&table, &other);
    atomic_store(&item_at(all[SH_CHAIN + 1])->held, 1);
    expect_all(&c, 1);
}

static void who_dies_when_it_has_claimed_a_run_has_it(void **state)
{
    struct sh_cache c = { .mark = 3 }, other = { .mark = 4 };

    (void)state;
    (void)sh_table_peek(&table, &c);
    c.growing_from = c.fresh;
    c.growing = c.fresh_end;
    c.fresh = c.fresh_end = 0;
    (void)sh_table_peek(&table, &other);
    sh_table_flush(&table, &other);
    expect_all(&c, 0);
}

static void who_dies_before_it_has_claimed_a_run_has_none(void **state)
{
    struct sh_cache c = { .mark = 3 }, other = { .mark = 4 };

    (void)state;
    (void)sh_table_peek(&table, &other);
    c.growing_from = other.fresh;
    c.growing = other.fresh_end;
    sh_table_flush(&table, &other);
    expect_all(&c, 0);
}

/* ---- several threads ---- */

static atomic_bool twice;

static void *take_and_give(void *arg)
{
    uint32_t held[HELD], n = 0;
    uint32_t random = *(const uint32_t *)arg;
    struct sh_cache c = { 0 };

    for (int i = 0; i < ROUNDS; i++) {
        random = random * 1664525u + 1013904223u;
        if (n < HELD && (n == 0 || (random >> 16) % 2 == 0)) {
            uint32_t index = sh_table_take(&table, &c);

            if (index == SH_NONE)
                continue;
            if (atomic_exchange(&item_at(index)->held, 1) != 0)
                atomic_store(&twice, true);
            held[n++] = index;
        } else {
            uint32_t at = (random >> 8) % n;
            uint32_t index = held[at];

            held[at] = held[--n];
            atomic_store(&item_at(index)->held, 0);
            sh_table_give(&table, &c, index);
        }
        if (random >> 22 == 0)
            sh_table_flush(&table, &c);
    }
    while (n > 0) {
        atomic_store(&item_at(held[--n])->held, 0);
        sh_table_give(&table, &c, held[n]);
    }
    sh_table_flush(&table, &c);
    return NULL;
}

/* Goal: no item is with two threads, and none is lost. Method: threads that
 * take and give at random, more often than a tag of 8 bits could bear. */
static void threads_never_hold_the_same_item_and_lose_none(void **state)
{
    static uint32_t seeds[THREADS] = { 1, 2, 3 };
    pthread_t threads[THREADS];
    struct sh_cache c = { 0 };
    uint32_t all[CAPACITY];

    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, take_and_give, &seeds[i]), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_false(atomic_load(&twice));
    assert_int_equal(take_all(&c, all), CAPACITY - 1);
}

int main(void)
{
#define TABLE_TEST(name) cmocka_unit_test_setup_teardown(name, make, unmake)
    const struct CMUnitTest tests[] = {
        TABLE_TEST(every_item_but_the_zeroth_is_handed_out_once),
        TABLE_TEST(what_was_given_back_is_handed_out_again),
        TABLE_TEST(an_item_keeps_what_its_last_user_left),
        TABLE_TEST(what_one_gives_another_can_take),
        TABLE_TEST(a_flush_gives_back_all_that_was_kept),
        TABLE_TEST(growth_that_is_refused_costs_nothing),
        TABLE_TEST(the_same_chain_on_top_is_another_word),
        TABLE_TEST(who_dies_while_it_takes_has_taken_or_not),
        TABLE_TEST(who_dies_while_it_takes_a_fresh_one_has_taken_or_not),
        TABLE_TEST(who_dies_while_it_gives_still_has_what_says_so),
        TABLE_TEST(what_a_dead_thread_has_in_hand_is_given_back),
        TABLE_TEST(what_it_has_in_hand_may_be_where_it_belongs),
        TABLE_TEST(what_it_has_in_hand_may_be_in_a_list_still),
        TABLE_TEST(what_it_has_in_hand_may_follow_a_run_that_is_used_up),
        TABLE_TEST(a_list_that_becomes_the_other_is_there_once),
        TABLE_TEST(who_dies_when_it_has_popped_has_that_chain),
        TABLE_TEST(who_dies_before_it_has_popped_has_none),
        TABLE_TEST(who_dies_when_it_has_pushed_has_it_no_more),
        TABLE_TEST(who_dies_when_it_has_claimed_a_run_has_it),
        TABLE_TEST(who_dies_before_it_has_claimed_a_run_has_none),
        TABLE_TEST(threads_never_hold_the_same_item_and_lose_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
