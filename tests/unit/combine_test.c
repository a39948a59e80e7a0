/* SPDX-License-Identifier: MIT */
/*
 * unit/combine_test.c - the tree of arrivals, and the verdict.
 *
 * Goal: a combinator ends with the arrival that decides it and with no other,
 * whatever the order. Method: its inputs are promises that the test keeps one
 * by one, and arrivals that it delivers by hand; what they did is read from
 * the record.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "future/combine.h"
#include "pool_of_one.h"
#include "shunt/shunt.h"

/* n promises, and a combinator of them. */
struct bunch {
    size_t n;
    shunt_promise **promises;
    shunt_future **futures;
    shunt_future *whole;
};

static struct bunch bunch(size_t n)
{
    struct bunch b = { n, calloc(n, sizeof *b.promises),
                       calloc(n, sizeof *b.futures), NULL };

    assert_true(b.promises != NULL && b.futures != NULL);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(
            shunt_promise_new(name, long, &b.promises[i], &b.futures[i]), 0);
    return b;
}

static void end(struct bunch *b)
{
    for (size_t i = 0; i < b->n; i++)
        if (b->promises[i] != NULL)
            assert_int_equal(shunt_promise_drop(b->promises[i]), 0);
    assert_int_equal(shunt_release(b->whole), 0);
    free(b->promises);
    free(b->futures);
}

static void give(struct bunch *b, size_t i)
{
    long value = (long)i;

    assert_int_equal(shunt_promise_give(b->promises[i], &value), 0);
    b->promises[i] = NULL;
}

static struct sh_record *record_of(shunt_future *f)
{
    struct sh_ref ref;

    assert_int_equal(sh_handle_find(sh_handle_of(f), SH_LOOK, &ref), 0);
    return ref.record;
}

/* How many cells this thread has of those that it took from the pool. */
static unsigned cells_kept(struct sh_pool *of)
{
    struct sh_cache *c = &sh_seat_of(of)->cells;
    unsigned n = c->fresh_end - c->fresh;

    for (uint32_t i = c->out; i != SH_NONE; n++)
        i = sh_load_rlx(sh_table_link(&of->cells, i)); /* relaxed: ours */
    for (uint32_t i = c->in; i != SH_NONE; n++)
        i = sh_load_rlx(sh_table_link(&of->cells, i)); /* relaxed: ours */
    return n;
}

/* Method: a leaf in one pool and the bridge in the other are cells of equal
 * index and generation; and the input settles before the edge hangs. */
static void a_bridge_that_nothing_passes_is_given_back(void **state)
{
    struct sh_work work = { 0 };
    shunt_pool *other_name = NULL;
    struct sh_pool *other;
    shunt_promise *promise;
    shunt_future *f;
    struct sh_ref ref;

    (void)state;
    assert_int_equal(
        shunt_pool_new(&other_name, &(shunt_options){ .workers = 1 }), 0);
    assert_int_equal(sh_pool_find(other_name, &other), 0);
    assert_int_equal(shunt_promise_new(other_name, long, &promise, &f), 0);
    struct sh_record *r =
        sh_combine_new(pool, sh_seat_of(pool), SH_KIND_SETTLED, 29, 29);
    assert_non_null(r);
    assert_int_equal(sh_handle_find(sh_handle_of(f), SH_OWN, &ref), 0);
    assert_true(sh_handle_lend(&ref, SH_WATCHED));
    assert_int_equal(shunt_promise_give(promise, &(long){ 1 }), 0);
    r->data.combining.more->names[0] = sh_handle_future(ref.handle);
    sh_combine_hang(&work, pool, r, 0, &ref);
    assert_true(sh_table_used(&other->cells) > 1);
    assert_int_equal(cells_kept(other), sh_table_used(&other->cells) - 1);
    for (uint32_t i = 1; i < 29; i++) {
        struct sh_ref none = { .reserved = SH_RESERVED_EMPTY };

        r->data.combining.more->names[i] = sh_handle_empty(pool->id);
        sh_combine_hang(&work, pool, r, i, &none);
    }
    sh_combine_accept(&work, pool, r);
    sh_work_do(&work);
    assert_int_equal(
        shunt_release(sh_handle_future(sh_handle_make(
            pool->id, sh_index_of(pool, r),
            sh_generation_of(sh_load_rlx(&r->state))))), /* relaxed: ours */
        0);
    assert_int_equal(shunt_pool_free(other_name), 0);
}

static void a_word_holds_28_arrivals_and_more_take_a_tree(void **state)
{
    static const struct {
        size_t n;
        uint32_t cells, root;
    } sizes[] = { { 1, 0, 1 },        { 27, 0, 27 },    { 28, 0, 28 },
                  { 29, 2, 2 },       { 56, 2, 2 },     { 57, 3, 3 },
                  { 783, 28, 28 },    { 784, 28, 28 },  { 785, 31, 2 },
                  { 21952, 812, 28 }, { 21953, 816, 2 } };

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct bunch b = bunch(sizes[i].n);
        struct sh_record *r;

        b.whole = shunt_when_all(b.futures, b.n);
        r = record_of(b.whole);
        assert_int_equal(r->data.combining.more->cells, sizes[i].cells);
        assert_int_equal(atomic_load(&r->data.combining.count), sizes[i].root);
        assert_int_equal(shunt_status(b.whole), SHUNT_PENDING);
        end(&b);
    }
}

/* Goal: it is full with the last arrival and not before, whichever is last. */
static void the_last_arrival_fills_it_in_whatever_order(void **state)
{
    static const size_t sizes[] = { 1, 2, 28, 29, 57, 784, 785 };

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (size_t last = 0; last < 3; last++) {
            struct bunch b = bunch(sizes[i]);
            size_t at = last * (b.n - 1) / 2;

            b.whole = shunt_when_all_settled(b.futures, b.n);
            for (size_t k = 0; k < b.n; k++)
                if ((b.n - 1 - k) != at)
                    give(&b, b.n - 1 - k);
            assert_int_equal(shunt_status(b.whole), SHUNT_PENDING);
            give(&b, at);
            assert_int_equal(shunt_status(b.whole), 0);
            end(&b);
        }
}

/* Goal: an arrival that is told twice, as after a death, counts once. */
static void an_arrival_told_twice_counts_once(void **state)
{
    struct sh_work work = { 0 };
    struct bunch b = bunch(3);
    struct sh_record *r;
    uint64_t target;

    (void)state;
    b.whole = shunt_when_some(b.futures, 3, 2);
    r = record_of(b.whole);
    target = sh_target(SH_TARGET_RECORD, sh_index_of(pool, r), 0,
                       (uint32_t)(atomic_load(&r->deps) >> 32));
    give(&b, 0);
    sh_deliver_to(&work, pool, target, 0);
    sh_deliver_to(&work, pool, target, SHUNT_EFAILED);
    sh_work_do(&work);
    assert_int_equal(shunt_status(b.whole), SHUNT_PENDING);
    give(&b, 2);
    assert_int_equal(shunt_status(b.whole), 0);
    assert_int_equal(shunt_peek(b.whole, shunt_results)->indices[1], 2);
    end(&b);
}

/* Goal: an arrival for an earlier use of the record does nothing. */
static void an_arrival_for_an_earlier_use_is_lost(void **state)
{
    struct sh_work work = { 0 };
    struct bunch b = bunch(2);
    struct sh_record *r;
    uint32_t generation;

    (void)state;
    b.whole = shunt_when_all(b.futures, 2);
    r = record_of(b.whole);
    generation = (uint32_t)(atomic_load(&r->deps) >> 32);
    for (unsigned bit = 0; bit < 2; bit++)
        sh_deliver_to(&work, pool,
                      sh_target(SH_TARGET_RECORD, sh_index_of(pool, r), bit,
                                generation - 1),
                      SHUNT_EFAILED);
    sh_work_do(&work);
    assert_int_equal(shunt_status(b.whole), SHUNT_PENDING);
    assert_int_equal((uint32_t)atomic_load(&r->deps), 0);
    end(&b);
}

/* Goal: the first verdict stands. */
static void there_is_one_verdict(void **state)
{
    struct bunch b = bunch(40);

    (void)state;
    b.whole = shunt_when_any(b.futures, b.n);
    give(&b, 33);
    assert_int_equal(shunt_status(b.whole), 0);
    assert_int_equal(shunt_peek(b.whole, shunt_winner)->index, 33);
    end(&b);
}

/* Goal: what a combinator took of tables it gives back: as many made one after
 * another need no more than one. */
static void its_cells_are_used_again(void **state)
{
    uint32_t used = 0;

    (void)state;
    for (int i = 0; i < 40; i++) {
        struct bunch b = bunch(785);

        b.whole = i % 2 == 0 ? shunt_when_all(b.futures, b.n)
                             : shunt_race(b.futures, b.n);
        for (size_t k = 0; k < (i % 2 == 0 ? b.n : 1); k++)
            give(&b, k);
        assert_int_equal(shunt_status(b.whole), 0);
        end(&b);
        /* A free list may keep some items of an earlier one back. */
        if (i == 10)
            used = sh_table_used(&pool->cells);
    }
    assert_int_equal(sh_table_used(&pool->cells), used);
}

int main(void)
{
#define COMBINE_TEST(test) \
    cmocka_unit_test_setup_teardown(test, pool_make, pool_free)
    const struct CMUnitTest tests[] = {
        COMBINE_TEST(a_word_holds_28_arrivals_and_more_take_a_tree),
        COMBINE_TEST(the_last_arrival_fills_it_in_whatever_order),
        COMBINE_TEST(an_arrival_told_twice_counts_once),
        COMBINE_TEST(an_arrival_for_an_earlier_use_is_lost),
        COMBINE_TEST(there_is_one_verdict),
        COMBINE_TEST(its_cells_are_used_again),
        COMBINE_TEST(a_bridge_that_nothing_passes_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
