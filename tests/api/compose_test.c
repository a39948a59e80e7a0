/* SPDX-License-Identifier: MIT */
/*
 * compose_test.c - combinators of tasks, of each other, of one future twice,
 * of futures of other pools, and of handles that are not valid.
 */
#include <pthread.h>
#include <stdlib.h>

#include "inputs.h"

static stage_combine *const combinators[] = { shunt_when_all,
                                              shunt_when_all_settled,
                                              stage_some_all, shunt_when_any,
                                              shunt_race };
enum {
    COMBINATORS = 5,
    GATHERING = 3
};

/* The value that a combinator of f alone has; -1 if none. */
static long value_within(shunt_future *f)
{
    const shunt_results *results = shunt_peek(f, shunt_results);
    const shunt_winner *winner = shunt_peek(f, shunt_winner);
    const long *value = NULL;

    if (results != NULL && results->count > 0)
        value = shunt_peek(results->futures[0], long);
    else if (winner != NULL)
        value = shunt_peek(winner->future, long);
    return value != NULL ? *value : -1;
}

/* ---- tasks as inputs ---- */

static void gather_tasks(shunt_pool *pool, shunt_future **fs, size_t n,
                         stage_combine *how)
{
    for (size_t i = 0; i < n; i++)
        fs[i] = shunt_submit(pool, stage_same, &(long){ (long)i });
    shunt_future *f = how(fs, n);
    assert_settles(f, 0);
    const shunt_results *results = shunt_peek(f, shunt_results);
    assert_non_null(results);
    assert_long((long long)results->count, (long long)n);
    for (size_t i = 0; i < n; i++)
        assert_long(*shunt_peek(results->futures[i], long), (long)i);
    assert_ok(shunt_release(f));
}

static void tasks_that_run_meanwhile_are_gathered_at_every_size(void)
{
    shunt_future **fs = calloc(4096, sizeof(*fs));

    harness_footprint((size_t)32 << 20);
    for (int workers = 1; workers <= 2; workers++) {
        shunt_pool *pool = harness_pool(workers);
        for (int i = 1; i < INPUT_SIZES; i++) {
            for (int j = 0; j < GATHERING; j++)
                gather_tasks(pool, fs, input_sizes[i], combinators[j]);
        }
        harness_free(pool);
    }
    free(fs);
}

/* ---- combinators of combinators ---- */

static void any_combinator_may_be_an_input_of_any_other(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int outer = 0; outer < COMBINATORS; outer++) {
        for (int inner = 0; inner < COMBINATORS; inner++) {
            struct stage_promise one = stage_promise(pool);
            struct stage_promise two = stage_promise(pool);
            shunt_future *fs[2];
            fs[0] = combinators[inner](&one.future, 1);
            fs[1] = combinators[inner](&two.future, 1);
            shunt_future *f = combinators[outer](fs, 2);
            assert_status(shunt_status(f), SHUNT_PENDING);
            stage_give(one.promise, 1);
            if (outer < GATHERING)
                stage_give(two.promise, 2);
            assert_settles(f, 0);
            const shunt_results *results = shunt_peek(f, shunt_results);
            const shunt_winner *winner = shunt_peek(f, shunt_winner);
            assert_true((results != NULL) == (outer < GATHERING));
            shunt_future *first = results != NULL ? results->futures[0]
                                                  : winner->future;
            assert_long(value_within(first), 1);
            if (results != NULL)
                assert_long(value_within(results->futures[1]), 2);
            assert_ok(shunt_release(f));
        }
    }
    harness_free(pool);
}

/* Method: a tree of when_all, four wide and five deep, of 1,024 promises that
 * are kept in a random order. */
static void a_tree_of_combinators_settles_with_its_last_leaf(void)
{
    enum {
        LEAVES = 1024,
        WIDE = 4
    };
    static struct stage_promise leaves[LEAVES];
    static shunt_future *level[LEAVES];
    size_t order[LEAVES];
    shunt_pool *pool = harness_pool(1);

    for (size_t i = 0; i < LEAVES; i++) {
        leaves[i] = stage_promise(pool);
        level[i] = leaves[i].future;
    }
    for (size_t n = LEAVES; n > 1; n /= WIDE) {
        for (size_t i = 0; i < n / WIDE; i++)
            level[i] = shunt_when_all(&level[i * WIDE], WIDE);
    }
    stage_shuffle(order, LEAVES);
    for (size_t i = 0; i < LEAVES; i++) {
        assert_status(shunt_await_for(level[0], 0), SHUNT_PENDING);
        stage_give(leaves[order[i]].promise, 1);
    }
    assert_joins(level[0], 0);
    harness_free(pool);
}

/* ---- one future, several times ---- */

static void one_future_may_be_given_twice_by_two_handles(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int how = 0; how < COMBINATORS; how++) {
        for (int before = 0; before < 2; before++) {
            struct stage_promise made = stage_promise(pool);
            shunt_future *fs[3] = { shunt_retain(made.future), made.future,
                                    shunt_retain(made.future) };
            if (before)
                stage_give(made.promise, 9);
            shunt_future *f = combinators[how](fs, 3);
            if (!before)
                stage_give(made.promise, 9);
            assert_settles(f, 0);
            const shunt_results *results = shunt_peek(f, shunt_results);
            assert_long(value_within(f), 9);
            for (size_t i = 0; how < GATHERING && i < 3; i++)
                assert_long(*shunt_peek(results->futures[i], long), 9);
            assert_ok(shunt_release(f));
            for (int i = 0; i < 3; i++)
                assert_stale(fs[i]);
        }
    }
    harness_free(pool);
}

/* The same handle is used up by its first place. */
static void one_handle_given_twice_is_refused_and_consumed(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int how = 0; how < COMBINATORS; how++) {
        shunt_future *one = stage_given(pool, 9);
        shunt_future *fs[3] = { one, stage_given(pool, 8), one };
        assert_joins(combinators[how](fs, 3), SHUNT_EINVAL);
        for (int i = 0; i < 3; i++)
            assert_stale(fs[i]);
    }
    harness_free(pool);
}

static void one_future_may_be_in_two_combinators(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int first = 0; first < COMBINATORS; first++) {
        for (int second = 0; second < COMBINATORS; second++) {
            struct stage_promise made = stage_promise(pool);
            shunt_future *again = shunt_retain(made.future);
            shunt_future *one = combinators[first](&made.future, 1);
            shunt_future *two = combinators[second](&again, 1);
            shunt_future *fs[2] = { one, two };
            stage_give(made.promise, 3);
            assert_settles(one, 0);
            assert_settles(two, 0);
            assert_long(value_within(one), 3);
            assert_long(value_within(two), 3);
            assert_joins(shunt_when_all(fs, 2), 0);
        }
    }
    harness_free(pool);
}

/* Method: a hub that a thousand combinators of each kind depend on. */
static void one_future_settles_thousands_of_combinators(void)
{
    enum {
        SPOKES = 1000
    };
    static shunt_future *spokes[COMBINATORS * SPOKES];
    shunt_pool *pool = harness_pool(1);
    struct stage_promise hub = stage_promise(pool);

    for (int i = 0; i < COMBINATORS * SPOKES; i++) {
        shunt_future *f = shunt_retain(hub.future);
        spokes[i] = combinators[i % COMBINATORS](&f, 1);
    }
    stage_give(hub.promise, 4);
    assert_takes(hub.future, 4);
    for (int i = 0; i < COMBINATORS * SPOKES; i++) {
        assert_settles(spokes[i], 0);
        assert_long(value_within(spokes[i]), 4);
        assert_ok(shunt_release(spokes[i]));
    }
    harness_free(pool);
}

/* ---- other pools ---- */

static int tell_pool(const shunt_results *in, shunt_pool **out)
{
    *out = in->count == 3 ? shunt_pool_current() : NULL;
    return 0;
}
SHUNT_TASK(tell_pool, shunt_results, shunt_pool *)

static void inputs_may_come_from_several_pools(void)
{
    shunt_pool *pools[3] = { harness_pool(1), harness_pool(2),
                             harness_pool(1) };

    for (int round = 0; round < 200; round++) {
        for (int how = 0; how < COMBINATORS; how++) {
            shunt_future *fs[3];
            for (long i = 0; i < 3; i++)
                fs[i] = shunt_submit(pools[i], stage_same, &i);
            shunt_future *f = combinators[how](fs, 3);
            assert_settles(f, 0);
            const shunt_results *results = shunt_peek(f, shunt_results);
            for (long i = 0; how < GATHERING && i < 3; i++)
                assert_long(*shunt_peek(results->futures[i], long), i);
            assert_ok(shunt_release(f));
        }
    }
    for (int i = 0; i < 3; i++)
        harness_free(pools[i]);
}

static void a_combinator_belongs_to_the_pool_of_its_first_input(void)
{
    shunt_pool *pools[3] = { harness_pool(1), harness_pool(1),
                             harness_pool(1) };

    for (int first = 0; first < 3; first++) {
        shunt_future *fs[3];
        shunt_pool *where = NULL;
        for (int i = 0; i < 3; i++)
            fs[i] = stage_given(pools[(first + i) % 3], i);
        assert_ok(
            shunt_take(shunt_then(shunt_when_all(fs, 3), tell_pool), &where));
        assert_ptr_equal(where, pools[first]);
    }
    for (int i = 0; i < 3; i++)
        harness_free(pools[i]);
}

static void via_moves_continuations_to_another_pool(void)
{
    shunt_pool *from = harness_pool(1), *to = harness_pool(1), *where = NULL;
    struct stage_promise made = stage_promise(from);

    shunt_future *f = shunt_then(shunt_via(to, made.future), stage_this_pool);
    stage_give(made.promise, 1);
    assert_ok(shunt_take(f, &where));
    assert_ptr_equal(where, to);
    assert_takes(shunt_via(to, stage_given(from, 5)), 5);
    f = shunt_via(to, shunt_submit(from, stage_fail, &(int){ 6 }));
    assert_fails_with(f, 6);
    assert_string_equal(shunt_error_of(f)->task, "stage_fail");
    assert_ok(shunt_release(f));
    assert_joins(shunt_via(to, stage_cancelled(from)), SHUNT_ECANCELED);
    assert_takes(shunt_via(to, shunt_via(to, stage_given(to, 7))), 7);
    harness_free(from);
    harness_free(to);
}

/* ---- inputs that are not valid ---- */

static void one_bad_handle_among_the_inputs_fails_and_consumes_all(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int how = 0; how < COMBINATORS; how++) {
        for (unsigned bad = 0; bad < 3 * STAGE_GARBAGE; bad++) {
            shunt_future *fs[3];
            for (long i = 0; i < 3; i++)
                fs[i] = stage_given(pool, i);
            assert_ok(shunt_release(fs[bad % 3]));
            if (bad / 3 > 0)
                fs[bad % 3] = stage_garbage(bad / 3 - 1);
            assert_joins(combinators[how](fs, 3), SHUNT_EINVAL);
            for (int i = 0; i < 3; i++)
                assert_stale(fs[i]);
        }
    }
    harness_free(pool);
}

static void no_array_of_inputs_is_refused(void)
{
    for (int how = 0; how < COMBINATORS; how++)
        assert_joins(combinators[how](NULL, 3), SHUNT_EINVAL);
}

/* The array cannot be that long, which can be known without reading it. */
static void more_inputs_than_memory_are_refused(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int how = 0; how < COMBINATORS; how++) {
        shunt_future *f = stage_given(pool, 1);
        shunt_future *made = combinators[how](&f, SIZE_MAX);
        assert_true(shunt_status(made) < 0);
        made = combinators[how](&f, SIZE_MAX / sizeof f + 1);
        assert_true(shunt_status(made) < 0);
    }
    harness_free(pool);
}

/* A reserved handle is a future that has failed, like any other. */
static void a_refused_submit_is_a_failed_input(void)
{
    shunt_pool *pool = harness_pool(1), *closed = harness_pool(1);

    assert_ok(shunt_pool_shutdown(closed, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    shunt_future *refused = shunt_submit(closed, stage_nothing, NULL);
    for (int how = 0; how < COMBINATORS; how++) {
        shunt_future *fs[2] = { refused, stage_given(pool, 2) };
        shunt_future *f = combinators[how](fs, 2);
        bool bears_it = combinators[how] == shunt_when_all_settled ||
                        combinators[how] == shunt_when_any;
        assert_joins(f, bears_it ? 0 : SHUNT_ECLOSED);
        assert_stale(fs[1]);
    }
    harness_free(pool);
    harness_free(closed);
}

/* ---- inside tasks, many at once ---- */

static int tree(const long *in, shunt_future **out);
SHUNT_TASK(tree, long, shunt_future *)

/* Builds its result out of futures alone: nothing ever waits. */
static int tree(const long *in, shunt_future **out)
{
    shunt_future *fs[3];

    if (*in == 0) {
        *out = shunt_submit(NULL, stage_same, &(long){ 1 });
        return 0;
    }
    for (int i = 0; i < 3; i++)
        fs[i] = shunt_submit(NULL, tree, &(long){ *in - 1 });
    *out = shunt_then(shunt_when_all(fs, 3), stage_sum);
    return 0;
}

static void tasks_compose_futures_without_waiting(void)
{
    for (int workers = 1; workers <= 2; workers++) {
        shunt_pool *pool = harness_pool(workers);

        assert_takes(shunt_submit(pool, tree, &(long){ 7 }), 2187);
        harness_free(pool);
    }
}

struct crowd {
    shunt_pool *pool;
    int wrong;
};

static void *compose_in_thread(void *user)
{
    struct crowd *crowd = user;

    for (long i = 0; i < 300; i++) {
        shunt_future *fs[30];
        long sum = 0;
        for (long j = 0; j < 30; j++)
            fs[j] = shunt_submit(crowd->pool, stage_same, &j);
        if (shunt_take(shunt_then(shunt_when_all(fs, 30), stage_sum), &sum) !=
                0 ||
            sum != 435)
            crowd->wrong++;
    }
    return NULL;
}

static void many_threads_compose_in_one_pool(void)
{
    enum {
        THREADS = 4
    };
    shunt_pool *pool = harness_pool(2);
    struct crowd crowds[THREADS];
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++) {
        crowds[i] = (struct crowd){ pool, 0 };
        assert_int_equal(
            pthread_create(&threads[i], NULL, compose_in_thread, &crowds[i]),
            0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_long(crowds[i].wrong, 0);
    }
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(tasks_that_run_meanwhile_are_gathered_at_every_size),
    CLAIM(any_combinator_may_be_an_input_of_any_other),
    CLAIM(a_tree_of_combinators_settles_with_its_last_leaf),
    CLAIM(one_future_may_be_given_twice_by_two_handles),
    CLAIM(one_handle_given_twice_is_refused_and_consumed),
    CLAIM(one_future_may_be_in_two_combinators),
    CLAIM(one_future_settles_thousands_of_combinators),
    CLAIM(inputs_may_come_from_several_pools),
    CLAIM(a_combinator_belongs_to_the_pool_of_its_first_input),
    CLAIM(via_moves_continuations_to_another_pool),
    CLAIM(one_bad_handle_among_the_inputs_fails_and_consumes_all),
    CLAIM(no_array_of_inputs_is_refused),
    CLAIM(more_inputs_than_memory_are_refused),
    CLAIM(a_refused_submit_is_a_failed_input),
    CLAIM(tasks_compose_futures_without_waiting),
    CLAIM(many_threads_compose_in_one_pool),
};

HARNESS_MAIN(claims)
