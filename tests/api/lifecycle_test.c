/* SPDX-License-Identifier: MIT */
/*
 * lifecycle_test.c - thousands of pools, one after the other and side by
 * side, leave nothing behind.
 */
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "census.h"
#include "stage.h"

static void use_pool(shunt_pool *pool, long i)
{
    shunt_future *f = shunt_submit(pool, stage_same, &i);

    assert_takes(shunt_then(f, stage_add_one), i + 1);
}

/* Method: after a few pools, whatever is kept for reuse is there; from then
 * on nothing may grow: the first census is taken after some. */
static void pool_after_pool_leaves_nothing_behind(void)
{
    static struct census early, late;
    /* A pool of processes takes longer, and loses no less. */
    long pools = harness_pools(harness_isolated() ? 1000 : 4000);

    harness_limit(120);
    for (long i = 0; i < pools; i++) {
        shunt_pool *pool = harness_pool(1 + (int)(i % 2));
        use_pool(pool, i);
        if (i % 3 == 0)
            (void)shunt_submit(pool, stage_same, &i);
        if (i % 5 == 0)
            (void)stage_promise(pool);
        harness_free(pool);
        if (i == pools / 8)
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
    for (long i = harness_pools(500); i > 0; i--)
        harness_free(harness_pool(1 + (int)(i % 4)));
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
        makers[i] = (struct maker){ (int)harness_pools(250), 0 };
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

static void *raise_in_thread(void *latch)
{
    latch_raise(latch);
    return NULL;
}

static void a_pool_may_be_freed_by_another_thread(void)
{
    for (long i = harness_pools(100); i > 0; i--) {
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

enum call {
    AWAIT,
    JOIN,
    TAKE,
    DRAIN,
    CANCEL,
    CALLS
};

struct sleeper {
    enum call call;
    shunt_pool *pool;
    shunt_future *future;
    struct latch *ready;
    long tid;
    int status;
};

static void *sleep_in_call(void *user)
{
    struct sleeper *s = user;
    long value;

    s->tid = syscall(SYS_gettid);
    latch_raise(s->ready);
    switch (s->call) {
    case AWAIT:
        s->status = shunt_await(s->future);
        break;
    case JOIN:
        s->status = shunt_join(s->future);
        break;
    case TAKE:
        s->status = shunt_take(s->future, &value);
        break;
    default:
        s->status = shunt_pool_shutdown(
            s->pool, s->call == DRAIN ? SHUNT_DRAIN : SHUNT_CANCEL,
            SHUNT_FOREVER, NULL);
        break;
    }
    return NULL;
}

/* Method: the thread sleeps since a task runs, which another thread lets end
 * while the pool is being freed. */
static void a_pool_is_freed_when_those_who_sleep_in_it_have_left(void)
{
    for (long round = harness_pools(30) * CALLS; round > 0; round--) {
        enum call call = (enum call)(round % CALLS);
        shunt_pool *pool = harness_pool(1);
        struct latch *started = stage_latch(), *go = stage_latch();
        shunt_future *f = shunt_submit(
            pool, stage_job, &(struct job){ .started = started, .go = go });
        struct sleeper s = { call, pool, f, stage_latch(), 0, 1 };
        pthread_t thread, other;

        assert_true(latch_reaches(started, 1));
        assert_int_equal(pthread_create(&thread, NULL, sleep_in_call, &s), 0);
        assert_true(latch_reaches(s.ready, 1));
        census_sleeps(s.tid);
        assert_int_equal(pthread_create(&other, NULL, raise_in_thread, go), 0);
        harness_free(pool);
        pthread_join(thread, NULL);
        pthread_join(other, NULL);
        assert_ok(s.status);
    }
}

static int scatter(const long *in, shunt_none *out)
{
    (void)out;
    for (long i = 0; i < *in; i++)
        if (shunt_release(shunt_submit(NULL, stage_same, &i)) != 0)
            return 1;
    return 0;
}
SHUNT_TASK(scatter, long, shunt_none)

/* Method: one task submits more than its worker's queue takes, while most of
 * the workers sleep, and go on sleeping. */
static void a_pool_whose_queues_ran_over_can_be_freed(void)
{
    for (int workers = 2; workers <= 32; workers *= 2) {
        shunt_pool *pool = harness_pool(workers);

        assert_joins(shunt_submit(pool, scatter, &(long){ 6000 }), 0);
        harness_free(pool);
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
    CLAIM(pool_after_pool_leaves_nothing_behind),
    CLAIM(a_pool_that_was_never_used_can_be_freed),
    CLAIM(many_pools_live_side_by_side),
    CLAIM(pools_are_made_and_freed_by_many_threads_at_once),
    CLAIM(a_pool_may_be_freed_by_another_thread),
    CLAIM(a_pool_whose_queues_ran_over_can_be_freed),
    CLAIM(a_pool_is_freed_when_those_who_sleep_in_it_have_left),
    CLAIM(no_pool_answers_for_one_before_it),
};

HARNESS_MAIN(claims)
