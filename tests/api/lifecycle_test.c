/* SPDX-License-Identifier: MIT */
/*
 * lifecycle_test.c - thousands of pools, one after the other and side by
 * side, leave nothing behind.
 */
#include <pthread.h>

#include "census.h"
#include "stage.h"

static void use_pool(shunt_pool *pool, long i)
{
    shunt_future *f = shunt_submit(pool, stage_same, &i);

    assert_takes(shunt_then(f, stage_add_one), i + 1);
}

/* Method: after a few pools, whatever is kept for reuse is there; from then
 * on nothing may grow: the second census is taken after the first hundred. */
static void thousands_of_pools_leave_nothing_behind(void)
{
    static struct census early, late;
    long pools = 4000 / (long)harness_slowness();

    harness_limit(120);
    for (long i = 0; i < pools; i++) {
        shunt_pool *pool = harness_pool(1 + (int)(i % 2));
        use_pool(pool, i);
        if (i % 3 == 0)
            (void)shunt_submit(pool, stage_same, &i);
        if (i % 5 == 0)
            (void)stage_promise(pool);
        harness_free(pool);
        if (i == 100)
            census_take(&early);
    }
    census_settle(&early, &late);
    assert_true(late.threads.count <= early.threads.count);
    assert_true(late.descriptors.count <= early.descriptors.count);
    if (harness_slowness() == 1) {
        assert_in_range(late.mappings, 0, early.mappings + 8);
        assert_in_range(late.mapped_bytes, 0,
                        early.mapped_bytes + ((size_t)8 << 20));
    }
}

static void a_pool_that_was_never_used_can_be_freed(void)
{
    for (int i = 0; i < 500; i++)
        harness_free(harness_pool(1 + i % 4));
}

static void many_pools_live_side_by_side(void)
{
    enum {
        POOLS = 100
    };
    shunt_pool *pools[POOLS];
    shunt_future *fs[POOLS];
    /* Of reserved addresses valgrind keeps a node for every 64 KiB. */
    int count = harness_slowness() > 10 ? POOLS / 10 : POOLS;

    harness_footprint((size_t)128 << 20);
    for (int i = 0; i < count; i++)
        pools[i] = harness_pool(1);
    for (int round = 0; round < 20; round++) {
        for (long i = 0; i < count; i++)
            fs[i] = shunt_submit(pools[i], stage_same, &i);
        for (long i = 0; i < count; i++)
            assert_takes(fs[i], i);
    }
    /* In an order that is neither that of their making nor its reverse. */
    for (int i = 0; i < count; i++)
        harness_free(pools[(i * 37) % count]);
}

/* Method: the number of pools that may exist is reached, exceeded, and one is
 * freed. Thousands of threads: only when the long forms are asked for. */
static void one_pool_too_many_is_refused(void)
{
    enum {
        POOLS = 4095
    };
    static shunt_pool *pools[POOLS];
    shunt_pool *more = NULL;

    if (!harness_million())
        skip();
    harness_limit(600);
    harness_footprint((size_t)4 << 30);
    for (int i = 0; i < POOLS; i++)
        pools[i] = harness_pool(1);
    assert_status(shunt_pool_new(&more, NULL), SHUNT_EAGAIN);
    assert_null(more);
    use_pool(pools[0], 1);
    use_pool(pools[POOLS - 1], 2);
    harness_free(pools[17]);
    pools[17] = harness_pool(1);
    for (int i = 0; i < POOLS; i++)
        harness_free(pools[i]);
}

struct maker {
    int rounds, wrong;
};

static void *make_and_free(void *user)
{
    struct maker *maker = user;

    for (long i = 0; i < maker->rounds; i++) {
        shunt_pool *pool = NULL;
        long value = 0;
        if (shunt_pool_new(&pool, &(shunt_options){ .workers = 2 }) != 0 ||
            shunt_take(shunt_submit(pool, stage_same, &i), &value) != 0 ||
            value != i || shunt_pool_free(pool) != 0)
            maker->wrong++;
    }
    return NULL;
}

static void pools_are_made_and_freed_by_many_threads_at_once(void)
{
    enum {
        THREADS = 4
    };
    struct maker makers[THREADS];
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++) {
        makers[i] = (struct maker){ 250 / (int)harness_slowness(), 0 };
        assert_int_equal(
            pthread_create(&threads[i], NULL, make_and_free, &makers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_long(makers[i].wrong, 0);
    }
}

static void *free_in_thread(void *user)
{
    shunt_pool *pool = user;

    return shunt_pool_free(pool) == 0 ? NULL : user;
}

static void a_pool_may_be_freed_by_another_thread(void)
{
    for (int i = 0; i < 100; i++) {
        shunt_pool *pool = harness_pool(1);
        void *wrong = pool;
        pthread_t thread;
        use_pool(pool, i);
        assert_int_equal(pthread_create(&thread, NULL, free_in_thread, pool),
                         0);
        pthread_join(thread, &wrong);
        assert_null(wrong);
    }
}

/* Method: what a freed pool's handles were is used by the pools after it. */
static void no_pool_answers_for_one_before_it(void)
{
    enum {
        OLD = 64
    };
    shunt_future *old[OLD];
    shunt_promise *promises[OLD];

    for (int i = 0; i < OLD; i++) {
        shunt_pool *pool = harness_pool(1);
        struct stage_promise made = stage_promise(pool);
        promises[i] = made.promise;
        old[i] = made.future;
        for (int j = 0; j < i; j++) {
            assert_true(old[j] != old[i]);
            assert_stale(old[j]);
            assert_status(shunt_promise_give(promises[j], &(long){ 1 }),
                          SHUNT_EINVAL);
        }
        stage_give(made.promise, 4);
        assert_long(*shunt_peek(made.future, long), 4);
        harness_free(pool);
    }
}

static const struct CMUnitTest claims[] = {
    CLAIM(thousands_of_pools_leave_nothing_behind),
    CLAIM(a_pool_that_was_never_used_can_be_freed),
    CLAIM(many_pools_live_side_by_side),
    CLAIM(one_pool_too_many_is_refused),
    CLAIM(pools_are_made_and_freed_by_many_threads_at_once),
    CLAIM(a_pool_may_be_freed_by_another_thread),
    CLAIM(no_pool_answers_for_one_before_it),
};

HARNESS_MAIN(claims)
