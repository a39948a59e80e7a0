/* SPDX-License-Identifier: MIT */
/*
 * million_test.c - the combinators over a million futures, and a chain of a
 * million links, and as many pools as there can be: of ./dev soak, since it
 * takes gigabytes on some builds.
 */
#include <stdlib.h>

#include "stage.h"

enum {
    MILLION = 1000000
};

static shunt_future **futures;
static shunt_promise **promises;

static shunt_pool *begin(void)
{
    harness_limit(300);
    harness_footprint((size_t)2 << 30);
    futures = calloc(MILLION, sizeof(*futures));
    promises = calloc(MILLION, sizeof(*promises));
    assert_true(futures != NULL && promises != NULL);
    shunt_pool *pool = harness_pool(2);
    return pool;
}

static void make_promises(shunt_pool *pool)
{
    for (long i = 0; i < MILLION; i++) {
        if (shunt_promise_new(pool, long, &promises[i], &futures[i]) != 0)
            fail_msg("promise %ld was not made", i);
    }
}

/* All but one, which the caller gives. */
static void give_all_but(long last)
{
    for (long i = 0; i < MILLION; i++) {
        if (i != last && shunt_promise_give(promises[i], &i) != 0)
            fail_msg("promise %ld was not kept", i);
    }
}

static void end(shunt_pool *pool)
{
    harness_free(pool);
    free(futures);
    free(promises);
}

static void a_million_pending_futures_and_one_when_all(void)
{
    shunt_pool *pool = begin();

    make_promises(pool);
    shunt_future *all = shunt_when_all(futures, MILLION);
    give_all_but(MILLION / 2);
    assert_status(shunt_await_for(all, 0), SHUNT_PENDING);
    assert_ok(
        shunt_promise_give(promises[MILLION / 2], &(long){ MILLION / 2 }));
    assert_settles(all, 0);
    const shunt_results *results = shunt_peek(all, shunt_results);
    assert_long((long)results->count, MILLION);
    for (long i = 0; i < MILLION; i++) {
        const long *value = shunt_peek(results->futures[i], long);
        if (value == NULL || *value != i)
            fail_msg("result %ld is wrong", i);
    }
    assert_ok(shunt_release(all));
    end(pool);
}

static void a_million_lose_one_race(void)
{
    shunt_pool *pool = begin();

    make_promises(pool);
    shunt_future *race = shunt_race(futures, MILLION);
    assert_ok(shunt_promise_give(promises[777777], &(long){ 7 }));
    assert_settles(race, 0);
    const shunt_winner *winner = shunt_peek(race, shunt_winner);
    assert_long((long)winner->index, 777777);
    assert_ok(shunt_release(race));
    assert_status(shunt_promise_give(promises[3], &(long){ 1 }),
                  SHUNT_ECANCELED);
    end(pool);
}

static void half_of_a_million(void)
{
    shunt_pool *pool = begin();

    make_promises(pool);
    shunt_future *some = shunt_when_some(futures, MILLION, MILLION / 2);
    for (long i = MILLION - 1; i > MILLION / 2; i--)
        assert_ok(shunt_promise_give(promises[i], &i));
    assert_status(shunt_await_for(some, 0), SHUNT_PENDING);
    assert_ok(shunt_promise_give(promises[0], &(long){ 0 }));
    assert_settles(some, 0);
    const shunt_results *results = shunt_peek(some, shunt_results);
    assert_long((long)results->count, MILLION / 2);
    assert_long((long)results->indices[0], 0);
    assert_long((long)results->indices[1], MILLION / 2 + 1);
    assert_ok(shunt_release(some));
    end(pool);
}

static void a_million_tasks_are_gathered(void)
{
    shunt_pool *pool = begin();

    for (long i = 0; i < MILLION; i++)
        futures[i] = shunt_submit_wait(pool, stage_same, &i);
    assert_takes(shunt_then(shunt_when_all(futures, MILLION), stage_sum),
                 499999500000);
    end(pool);
}

static void a_million_elements_are_mapped(void)
{
    shunt_pool *pool = begin();
    long *ins = calloc(MILLION, sizeof(*ins));

    assert_non_null(ins);
    for (long i = 0; i < MILLION; i++)
        ins[i] = i;
    assert_takes(
        shunt_then(shunt_map(pool, stage_add_one, ins, MILLION), stage_sum),
        500000500000);
    free(ins);
    end(pool);
}

static void a_chain_of_a_million_links(void)
{
    shunt_pool *pool = begin();
    struct stage_promise head = stage_promise(pool);
    shunt_future *f = head.future;

    for (long i = 0; i < MILLION; i++)
        f = shunt_then(f, stage_add_one);
    stage_give(head.promise, 0);
    assert_takes(f, MILLION);
    end(pool);
}

/* Method: the number of pools that may exist is reached, exceeded, and one is
 * freed. */
static void one_pool_too_many_is_refused(void)
{
    enum {
        POOLS = 4095
    };
    static shunt_pool *pools[POOLS];
    shunt_pool *more = NULL;

    harness_limit(600);
    harness_footprint((size_t)4 << 30);
    for (int i = 0; i < POOLS; i++)
        pools[i] = harness_pool(1);
    assert_status(shunt_pool_new(&more, NULL), SHUNT_EAGAIN);
    assert_null(more);
    assert_takes(shunt_submit(pools[0], stage_same, &(long){ 1 }), 1);
    assert_takes(shunt_submit(pools[POOLS - 1], stage_same, &(long){ 2 }), 2);
    harness_free(pools[17]);
    pools[17] = harness_pool(1);
    for (int i = 0; i < POOLS; i++)
        harness_free(pools[i]);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_million_pending_futures_and_one_when_all),
    CLAIM(a_million_lose_one_race),
    CLAIM(half_of_a_million),
    CLAIM(a_million_tasks_are_gathered),
    CLAIM(a_million_elements_are_mapped),
    CLAIM(a_chain_of_a_million_links),
    CLAIM(one_pool_too_many_is_refused),
};

HARNESS_MAIN(claims)
