/* SPDX-License-Identifier: MIT */
/*
 * handle_test.c - a handle is given back once; before that it is good for
 * everything, afterwards for nothing, whatever has become of its record.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "stage.h"

/* Every function that takes a handle, with one that is not valid. */
static void assert_refused_by_all(shunt_pool *pool, shunt_future *f)
{
    long value = 77;

    assert_status(shunt_await(f), SHUNT_EINVAL);
    assert_status(shunt_await_for(f, 0), SHUNT_EINVAL);
    assert_status(shunt_await_for(f, SHUNT_FOREVER), SHUNT_EINVAL);
    assert_null(shunt_peek(f, long));
    assert_status(shunt_take(f, &value), SHUNT_EINVAL);
    assert_long(value, 77);
    assert_status(shunt_join(f), SHUNT_EINVAL);
    assert_null(shunt_retain(f));
    assert_status(shunt_release(f), SHUNT_EINVAL);
    assert_status(shunt_status(f), SHUNT_EINVAL);
    assert_status(shunt_error_of(f)->code, SHUNT_EINVAL);
    assert_non_null(shunt_error_of(f)->message);
    assert_true(shunt_cancel(f) < 0);
    void *block = shunt_pool_alloc(pool, 8);
    assert_non_null(block);
    assert_status(shunt_adopt(f, block), SHUNT_EINVAL);
    assert_ok(shunt_free(block));
}

static void assert_refused_by_combinators(shunt_pool *pool, shunt_future *f)
{
    assert_joins(shunt_then(f, stage_same), SHUNT_EINVAL);
    assert_joins(shunt_finally(f, stage_look_on), SHUNT_EINVAL);
    assert_joins(shunt_when_all(&f, 1), SHUNT_EINVAL);
    assert_joins(shunt_when_all_settled(&f, 1), SHUNT_EINVAL);
    assert_joins(shunt_when_any(&f, 1), SHUNT_EINVAL);
    assert_joins(shunt_race(&f, 1), SHUNT_EINVAL);
    assert_joins(shunt_when_some(&f, 1, 1), SHUNT_EINVAL);
    assert_joins(shunt_via(pool, f), SHUNT_EINVAL);
    shunt_future *recovered = shunt_recover(f, stage_code);
    int status = harness_await(recovered);
    assert_true(status == 0 || status == SHUNT_EINVAL);
    assert_ok(shunt_release(recovered));
}

static void what_never_was_a_handle_is_refused(void)
{
    shunt_pool *pool = harness_pool(1);

    for (unsigned i = 0; i < STAGE_GARBAGE; i++) {
        assert_refused_by_all(pool, stage_garbage(i));
        assert_refused_by_combinators(pool, stage_garbage(i));
    }
    long on_the_stack = 0;
    void *on_the_heap = malloc(64);
    assert_refused_by_all(pool, (shunt_future *)(void *)&on_the_stack);
    assert_refused_by_all(pool, (shunt_future *)on_the_heap);
    assert_refused_by_all(pool, (shunt_future *)(void *)pool);
    free(on_the_heap);
    harness_free(pool);
}

/* Method: one handle exists, so that none of its one-bit neighbours does. */
static void no_neighbour_of_a_handle_is_a_handle(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *f = stage_given(pool, 1);

    for (unsigned bit = 0; bit < 8 * sizeof f; bit++) {
        uintptr_t word = (uintptr_t)f ^ ((uintptr_t)1 << bit);
        shunt_future *neighbour = NULL;
        memcpy(&neighbour, &word, sizeof neighbour);
        assert_status(shunt_status(neighbour), SHUNT_EINVAL);
        assert_status(shunt_release(neighbour), SHUNT_EINVAL);
    }
    assert_takes(f, 1);
    harness_free(pool);
}

/* ---- each way of giving back ---- */

static void a_handle_is_stale_once_it_was_given_back(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *released = stage_given(pool, 1);
    shunt_future *pending = stage_promise(pool).future;
    shunt_future *taken = stage_given(pool, 2);
    shunt_future *mistaken = stage_given(pool, 3);
    shunt_future *joined = stage_given(pool, 4);
    short wrong_size = 0;

    assert_ok(shunt_release(released));
    assert_ok(shunt_release(pending));
    assert_takes(taken, 2);
    assert_status(shunt_take(mistaken, &wrong_size), SHUNT_EINVAL);
    assert_ok(shunt_join(joined));
    shunt_future *const stale[] = { released, pending, taken, mistaken,
                                    joined };
    for (size_t i = 0; i < sizeof stale / sizeof stale[0]; i++) {
        assert_refused_by_all(pool, stale[i]);
        assert_refused_by_combinators(pool, stale[i]);
    }
    harness_free(pool);
}

static void a_handle_is_stale_once_a_combinator_has_it(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *inputs[9];
    shunt_future *made[9];

    for (long i = 0; i < 9; i++)
        inputs[i] = stage_given(pool, i);
    made[0] = shunt_then(inputs[0], stage_same);
    made[1] = shunt_recover(inputs[1], stage_code);
    made[2] = shunt_finally(inputs[2], stage_look_on);
    made[3] = shunt_when_all(&inputs[3], 1);
    made[4] = shunt_when_all_settled(&inputs[4], 1);
    made[5] = shunt_when_any(&inputs[5], 1);
    made[6] = shunt_race(&inputs[6], 1);
    made[7] = shunt_when_some(&inputs[7], 1, 1);
    made[8] = shunt_via(pool, inputs[8]);
    for (int i = 0; i < 9; i++) {
        assert_true(made[i] != inputs[i]);
        assert_refused_by_all(pool, inputs[i]);
        assert_joins(made[i], 0);
    }
    harness_free(pool);
}

/* Combinators consume also what they cannot use. */
static void a_combinator_that_fails_consumes_its_inputs_too(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *inputs[5];

    for (long i = 0; i < 5; i++)
        inputs[i] = stage_given(pool, i);
    assert_joins(shunt_when_some(&inputs[0], 1, 0), SHUNT_EINVAL);
    assert_joins(shunt_when_some(&inputs[1], 1, 2), SHUNT_EINVAL);
    assert_joins(shunt_then_task(inputs[2], NULL, NULL, NULL), SHUNT_EINVAL);
    assert_joins(shunt_via(NULL, inputs[3]), SHUNT_EINVAL);
    assert_joins(shunt_recover_task(inputs[4], NULL, NULL, NULL), SHUNT_EINVAL);
    for (int i = 0; i < 5; i++)
        assert_stale(inputs[i]);
    harness_free(pool);
}

static void handles_of_a_freed_pool_are_stale(void)
{
    shunt_pool *pool = harness_pool(1), *other = harness_pool(1);
    shunt_future *settled = stage_given(pool, 1);
    struct stage_promise pending = stage_promise(pool);
    shunt_future *task = shunt_submit(pool, stage_nothing, NULL);

    harness_free(pool);
    assert_refused_by_all(other, settled);
    assert_refused_by_all(other, pending.future);
    assert_refused_by_all(other, task);
    assert_status(shunt_promise_drop(pending.promise), SHUNT_EINVAL);
    /* Nor does the next pool in the same place make them valid. */
    shunt_pool *next = harness_pool(1);
    shunt_future *same_place = stage_given(next, 2);
    assert_refused_by_all(other, settled);
    assert_takes(same_place, 2);
    harness_free(next);
    harness_free(other);
}

/* Method: many futures live and die in the place of the first. */
static void a_stale_handle_stays_stale_while_its_record_is_used_again(void)
{
    long rounds = harness_million() ? 5000000 : 200000;
    shunt_pool *pool = harness_pool(1);
    shunt_future *first = stage_given(pool, 1);

    rounds /= (long)harness_slowness();
    assert_ok(shunt_release(first));
    for (long i = 0; i < rounds; i++) {
        shunt_future *f = stage_given(pool, i);
        assert_true(f != first);
        assert_status(shunt_status(first), SHUNT_EINVAL);
        assert_status(shunt_release(first), SHUNT_EINVAL);
        assert_ok(shunt_release(f));
    }
    harness_free(pool);
}

/* ---- retain ---- */

static void every_retained_handle_is_given_back_on_its_own(void)
{
    enum {
        HANDLES = 100
    };
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);
    shunt_future *handles[HANDLES];

    for (int i = 0; i < HANDLES; i++) {
        handles[i] = shunt_retain(i == 0 ? made.future : handles[i - 1]);
        assert_non_null(handles[i]);
        assert_true(handles[i] != made.future);
    }
    assert_ok(shunt_release(made.future));
    stage_give(made.promise, 5);
    for (int i = 0; i < HANDLES; i++) {
        assert_ok(shunt_await(handles[i]));
        assert_long(*shunt_peek(handles[i], long), 5);
        if (i % 3 == 0) {
            assert_ok(shunt_release(handles[i]));
        } else if (i % 3 == 1) {
            assert_ok(shunt_join(handles[i]));
        } else {
            assert_takes(handles[i], 5);
        }
        assert_stale(handles[i]);
        assert_stale(made.future);
    }
    harness_free(pool);
}

static void releasing_does_not_cancel(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_hold hold = stage_hold(pool);
    struct tally *ran = stage_tally();

    for (int i = 0; i < 100; i++)
        assert_ok(shunt_release(
            shunt_submit(pool, stage_job, &(struct job){ .ran = ran })));
    stage_let(hold);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    assert_long(tally_of(ran), 100);
    harness_free(pool);
}

/* ---- two threads and one handle ---- */

struct contest {
    pthread_barrier_t *start;
    shunt_future *volatile *prize;
    struct tally *won;
    int rounds;
    bool take;
};

static void *contend(void *user)
{
    struct contest *contest = user;

    for (int i = 0; i < contest->rounds; i++) {
        long value = 0;
        pthread_barrier_wait(contest->start);
        shunt_future *f = *contest->prize;
        int rc = contest->take ? shunt_take(f, &value) : shunt_release(f);
        if (rc == 0)
            tally_add(contest->won, 1);
        else if (rc != SHUNT_EINVAL)
            tally_add(contest->won, 1000000);
        pthread_barrier_wait(contest->start);
    }
    return NULL;
}

static void contest_for_one_handle(bool take)
{
    enum {
        THREADS = 2,
        ROUNDS = 2000
    };
    shunt_pool *pool = harness_pool(1);
    pthread_barrier_t start;
    pthread_t threads[THREADS];
    shunt_future *volatile *prize = stage_bytes(sizeof *prize);
    struct contest contest = { &start, prize, stage_tally(), ROUNDS, take };

    pthread_barrier_init(&start, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, contend, &contest),
                         0);
    for (int i = 0; i < ROUNDS; i++) {
        *prize = stage_given(pool, i);
        pthread_barrier_wait(&start);
        pthread_barrier_wait(&start);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&start);
    assert_long(tally_of(contest.won), ROUNDS);
    harness_free(pool);
}

static void one_of_two_threads_releases_a_handle(void)
{
    contest_for_one_handle(false);
}

static void one_of_two_threads_takes_a_value(void)
{
    contest_for_one_handle(true);
}

/* Method: the handle is given back while a thread waits by it, or is about
 * to; the future settles afterwards, by another handle's leave. */
static void a_handle_may_be_released_under_a_waiting_thread(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int round = 0; round < 2000; round++) {
        struct stage_promise made = stage_promise(pool);
        struct stage_waiter waiter = { made.future, SHUNT_FOREVER,
                                       stage_latch(), -1 };
        pthread_t thread;

        assert_int_equal(
            pthread_create(&thread, NULL, stage_wait_in_thread, &waiter), 0);
        assert_true(latch_reaches(waiter.ready, 1));
        assert_ok(shunt_release(made.future));
        stage_give(made.promise, 1);
        pthread_join(thread, NULL);
        assert_true(waiter.status == 0 || waiter.status == SHUNT_EINVAL);
    }
    harness_free(pool);
}

/* ---- handles of tasks ---- */

struct leave {
    shunt_future *volatile *left;
    shunt_future *lent;
    struct latch *go;
};

static int leave_handles(const struct leave *in, long *out)
{
    in->left[0] = shunt_submit(NULL, stage_same, &(long){ 1 });
    in->left[1] = shunt_retain(in->lent);
    in->left[2] =
        shunt_then(shunt_submit(NULL, stage_same, &(long){ 1 }), stage_same);
    *out = 3;
    return shunt_await(in->left[0]) | shunt_await(in->left[2]);
}
SHUNT_TASK(leave_handles, struct leave, long)

static void what_a_task_holds_at_its_end_is_released(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *volatile *left = stage_bytes(3 * sizeof *left);
    shunt_future *lent = stage_given(pool, 4);

    shunt_future *f =
        shunt_submit(pool, leave_handles, &(struct leave){ left, lent, NULL });
    assert_takes(f, 3);
    /* Queued behind whatever the end of the task still had to do. */
    assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
    for (int i = 0; i < 3; i++)
        assert_stale(left[i]);
    assert_takes(lent, 4);
    harness_free(pool);
}

static int use_host_handle(const struct leave *in, long *out)
{
    int rc = shunt_await(in->lent);
    const long *value = shunt_peek(in->lent, long);

    *out = value != NULL ? *value : -1;
    return rc | shunt_status(in->lent);
}
SHUNT_TASK(use_host_handle, struct leave, long)

static void a_task_may_use_a_handle_of_the_host(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *lent = stage_given(pool, 4);

    for (int i = 0; i < 3; i++)
        assert_takes(shunt_submit(pool, use_host_handle,
                                  &(struct leave){ NULL, lent, NULL }),
                     4);
    assert_takes(lent, 4);
    harness_free(pool);
}

/* ---- lent handles ---- */

static void the_inputs_of_results_are_lent(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *inputs[2] = { stage_given(pool, 10), stage_failed(pool, 6) };
    shunt_future *all = shunt_when_all_settled(inputs, 2);

    assert_settles(all, 0);
    const shunt_results *results = shunt_peek(all, shunt_results);
    assert_non_null(results);
    shunt_future *good = results->futures[0], *bad = results->futures[1];
    assert_stale(inputs[0]);

    assert_ok(shunt_status(good));
    assert_ok(shunt_await(good));
    assert_status(shunt_await_for(bad, 0), SHUNT_EFAILED);
    assert_long(*shunt_peek(good, long), 10);
    assert_long(shunt_error_of(bad)->task_code, 6);
    assert_long(shunt_cancel(good), 0);
    shunt_future *kept = shunt_retain(good);
    assert_non_null(kept);

    long value = 0;
    assert_status(shunt_release(good), SHUNT_EINVAL);
    assert_status(shunt_take(good, &value), SHUNT_EINVAL);
    assert_status(shunt_join(good), SHUNT_EINVAL);
    assert_joins(shunt_then(good, stage_same), SHUNT_EINVAL);
    assert_joins(shunt_when_all(&good, 1), SHUNT_EINVAL);
    assert_joins(shunt_via(pool, good), SHUNT_EINVAL);
    assert_ok(shunt_status(good));

    assert_ok(shunt_release(all));
    assert_stale(good);
    assert_stale(bad);
    assert_takes(kept, 10);
    harness_free(pool);
}

static void the_future_of_a_winner_is_lent(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *inputs[2] = { stage_promise(pool).future,
                                stage_given(pool, 10) };
    shunt_future *race = shunt_race(inputs, 2);
    shunt_winner copy;

    assert_settles(race, 0);
    const shunt_winner *winner = shunt_peek(race, shunt_winner);
    assert_non_null(winner);
    assert_long((long)winner->index, 1);
    assert_long(*shunt_peek(winner->future, long), 10);
    assert_status(shunt_release(winner->future), SHUNT_EINVAL);
    shunt_future *future = winner->future;
    assert_status(shunt_take(race, &copy), SHUNT_EINVAL);
    assert_stale(race);
    assert_stale(future);
    harness_free(pool);
}

/* ---- reserved handles ---- */

static void the_handle_of_a_refused_submit_can_be_used_any_number_of_times(void)
{
    shunt_pool *pool = harness_pool(1);
    long value = 77;

    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    shunt_future *f = shunt_submit(pool, stage_nothing, NULL);
    assert_non_null(f);
    for (int i = 0; i < 3; i++) {
        assert_status(shunt_status(f), SHUNT_ECLOSED);
        assert_status(shunt_await(f), SHUNT_ECLOSED);
        assert_status(shunt_await_for(f, 0), SHUNT_ECLOSED);
        assert_null(shunt_peek(f, long));
        assert_status(shunt_take(f, &value), SHUNT_ECLOSED);
        assert_status(shunt_join(f), SHUNT_ECLOSED);
        assert_long(shunt_cancel(f), 0);
        const shunt_error *error = shunt_error_of(f);
        assert_status(error->code, SHUNT_ECLOSED);
        assert_true(error->message[0] != '\0');
        assert_non_null(error->task);
        assert_non_null(error->where);
        assert_ok(shunt_release(f));
        assert_joins(shunt_then(f, stage_same), SHUNT_ECLOSED);
        assert_joins(shunt_when_all(&f, 1), SHUNT_ECLOSED);
    }
    assert_long(value, 77);
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(what_never_was_a_handle_is_refused),
    CLAIM(no_neighbour_of_a_handle_is_a_handle),
    CLAIM(a_handle_is_stale_once_it_was_given_back),
    CLAIM(a_handle_is_stale_once_a_combinator_has_it),
    CLAIM(a_combinator_that_fails_consumes_its_inputs_too),
    CLAIM(handles_of_a_freed_pool_are_stale),
    CLAIM(a_stale_handle_stays_stale_while_its_record_is_used_again),
    CLAIM(every_retained_handle_is_given_back_on_its_own),
    CLAIM(releasing_does_not_cancel),
    CLAIM(one_of_two_threads_releases_a_handle),
    CLAIM(one_of_two_threads_takes_a_value),
    CLAIM(a_handle_may_be_released_under_a_waiting_thread),
    CLAIM(what_a_task_holds_at_its_end_is_released),
    CLAIM(a_task_may_use_a_handle_of_the_host),
    CLAIM(the_inputs_of_results_are_lent),
    CLAIM(the_future_of_a_winner_is_lent),
    CLAIM(the_handle_of_a_refused_submit_can_be_used_any_number_of_times),
};

HARNESS_MAIN(claims)
