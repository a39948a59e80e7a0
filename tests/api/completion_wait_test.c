/* SPDX-License-Identifier: MIT */
/*
 * completion_wait_test.c - threads wait for what becomes ready in a queue:
 * none longer than asked for, none beside something that is ready, and none
 * beyond the queue's end.
 */
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "completion.h"

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return SHUNT_S(t.tv_sec) + t.tv_nsec;
}

/* A thread that waits once. */
struct waiter {
    pthread_t thread;
    shunt_queue *queue;
    int64_t ns;
    size_t max;
    struct latch *ready, *done;
    int n;
    shunt_event events[4];
};

static void *wait_once(void *user)
{
    struct waiter *w = user;

    latch_raise(w->ready);
    w->n = shunt_queue_wait(w->queue, w->events, w->max, w->ns);
    latch_raise(w->done);
    return NULL;
}

static void start(struct waiter *w, shunt_queue *queue, size_t max, int64_t ns)
{
    *w = (struct waiter){ .queue = queue,
                          .ns = ns,
                          .max = max,
                          .ready = stage_latch(),
                          .done = stage_latch() };
    assert_int_equal(pthread_create(&w->thread, NULL, wait_once, w), 0);
    assert_true(latch_reaches(w->ready, 1));
}

static int end(struct waiter *w)
{
    assert_true(latch_reaches(w->done, 1));
    pthread_join(w->thread, NULL);
    return w->n;
}

static void sleep_ms(long ms)
{
    (void)nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

/* ---- time ---- */

static void a_wait_without_time_is_a_take(void)
{
    static const int64_t none[] = { 0, -1, INT64_MIN };
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = new_queue();
    shunt_event event;

    for (int i = 0; i < 3; i++) {
        assert_long(shunt_queue_wait(queue, &event, 1, none[i]), 0);
        add(queue, stage_given(pool, i), i);
        assert_long(shunt_queue_wait(queue, &event, 1, none[i]), 1);
        assert_takes(event.future, i);
    }
    free_queue(queue);
    harness_free(pool);
}

static void a_wait_runs_out_not_before_its_time(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = new_queue();
    struct stage_promise made = stage_promise(pool);
    shunt_event event;
    int64_t begin = now_ns();

    assert_long(shunt_queue_wait(queue, &event, 1, SHUNT_MS(20)), 0);
    assert_true(now_ns() - begin >= SHUNT_MS(20));
    add(queue, made.future, 1);
    begin = now_ns();
    assert_long(shunt_queue_wait(queue, &event, 1, SHUNT_MS(20)), 0);
    assert_true(now_ns() - begin >= SHUNT_MS(20));
    stage_give(made.promise, 1);
    assert_event(queue, made.future, 1);
    assert_takes(made.future, 1);
    free_queue(queue);
    harness_free(pool);
}

static void nothing(int signal_number)
{
    (void)signal_number;
}

static void a_signal_does_not_end_a_wait(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = new_queue();
    struct sigaction action = { .sa_handler = nothing }, old;
    struct stage_promise made = stage_promise(pool);
    struct waiter w;

    assert_int_equal(sigaction(SIGUSR1, &action, &old), 0);
    add(queue, made.future, 1);
    start(&w, queue, 1, SHUNT_FOREVER);
    for (int i = 0; i < 10; i++) {
        sleep_ms(1);
        assert_int_equal(pthread_kill(w.thread, SIGUSR1), 0);
    }
    assert_long((long)latch_level(w.done), 0);
    stage_give(made.promise, 2);
    assert_long(end(&w), 1);
    assert_takes(w.events[0].future, 2);
    assert_int_equal(sigaction(SIGUSR1, &old, NULL), 0);
    free_queue(queue);
    harness_free(pool);
}

/* ---- being woken ---- */

/* Method: the wait begins before there is a future, before it settles, and
 * after. */
static void a_wait_ends_with_what_becomes_ready(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = new_queue();
    struct waiter w;

    for (long i = 0; i < 60; i++) {
        struct stage_promise made = stage_promise(pool);

        if (i % 3 > 0)
            add(queue, made.future, i);
        if (i % 3 > 1)
            stage_give(made.promise, i);
        start(&w, queue, 4, SHUNT_FOREVER);
        if (i % 2 == 0)
            sleep_ms(1);
        if (i % 3 == 0)
            add(queue, made.future, i);
        if (i % 3 <= 1)
            stage_give(made.promise, i);
        assert_long(end(&w), 1);
        assert_ptr_equal(w.events[0].tag, tag(i));
        assert_takes(w.events[0].future, i);
    }
    free_queue(queue);
    harness_free(pool);
}

static void every_waiter_gets_an_event_if_there_are_as_many(void)
{
    enum {
        WAITERS = 8
    };
    static struct waiter ws[WAITERS];
    shunt_pool *pool = harness_pool(2);
    shunt_queue *queue = new_queue();

    for (int round = 0; round < 30; round++) {
        struct stage_promise made[WAITERS];

        for (long i = 0; i < WAITERS; i++) {
            made[i] = stage_promise(pool);
            add(queue, made[i].future, i);
            start(&ws[i], queue, 1, SHUNT_FOREVER);
        }
        if (round % 2 == 0)
            sleep_ms(2);
        for (long i = 0; i < WAITERS; i++)
            stage_give(made[i].promise, i);
        for (int i = 0; i < WAITERS; i++) {
            assert_long(end(&ws[i]), 1);
            assert_takes(ws[i].events[0].future,
                         (long)shunt_event_index(&ws[i].events[0]));
        }
    }
    free_queue(queue);
    harness_free(pool);
}

/* Method: all of them become ready at one moment, so that few are woken by
 * it; each takes one, and wakes the next. */
static void a_waiter_that_leaves_something_wakes_the_next(void)
{
    enum {
        WAITERS = 8
    };
    static struct waiter ws[WAITERS];
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = new_queue();

    for (int round = 0; round < 30; round++) {
        shunt_future *fs[WAITERS];

        for (long i = 0; i < WAITERS; i++) {
            fs[i] = stage_given(pool, i);
            start(&ws[i], queue, 1, SHUNT_FOREVER);
        }
        if (round % 2 == 0)
            sleep_ms(2);
        assert_ok(shunt_queue_add_all(queue, fs, WAITERS));
        for (int i = 0; i < WAITERS; i++) {
            assert_long(end(&ws[i]), 1);
            assert_ok(shunt_release(ws[i].events[0].future));
        }
    }
    free_queue(queue);
    harness_free(pool);
}

/* ---- the queue's end ---- */

static void waiters_of_a_queue_that_is_freed_are_told_so(void)
{
    enum {
        WAITERS = 5
    };
    static struct waiter ws[WAITERS];
    shunt_pool *pool = harness_pool(1);

    for (int round = 0; round < 30; round++) {
        shunt_queue *queue = new_queue(), *next;

        if (round % 3 == 0)
            add(queue, stage_promise(pool).future, 1);
        for (int i = 0; i < WAITERS; i++)
            start(&ws[i], queue, 4, i % 2 ? SHUNT_FOREVER : SHUNT_S(1000));
        if (round % 2 == 0)
            sleep_ms(2);
        free_queue(queue);
        next = new_queue();
        add(next, stage_given(pool, 1), 1);
        /* One that had not begun yet finds no queue at all. */
        for (int i = 0; i < WAITERS; i++) {
            int rc = end(&ws[i]);

            assert_true(rc == SHUNT_ECLOSED || rc == SHUNT_EINVAL);
        }
        assert_long(shunt_queue_size(next), 1);
        free_queue(next);
    }
    harness_free(pool);
}

/* ---- many producers and consumers ---- */

enum {
    PRODUCERS = 3,
    CONSUMERS = 3,
    EACH = 4000
};

struct market {
    shunt_pool *pool;
    shunt_queue *queue;
    struct tally *taken, *sum, *wrong;
    long each;
};

static void *produce(void *user)
{
    struct market *m = user;

    for (long i = 0; i < m->each; i++) {
        shunt_future *f = shunt_submit_wait(m->pool, stage_same, &i);

        if (shunt_queue_add(m->queue, f, tag(i)) != 0)
            tally_add(m->wrong, 1);
    }
    return NULL;
}

static void *consume(void *user)
{
    struct market *m = user;
    long all = m->each * PRODUCERS;

    /* Bounded: every event is counted once, and then there are none. */
    while (tally_of(m->taken) < all) {
        shunt_event events[7];
        int n = shunt_queue_wait(m->queue, events, 7, SHUNT_MS(5));

        if (n < 0)
            tally_add(m->wrong, 1);
        for (int i = 0; i < n; i++) {
            long value = -1;

            if (shunt_take(events[i].future, &value) != 0 ||
                events[i].tag != tag(value))
                tally_add(m->wrong, 1);
            tally_add(m->sum, value);
        }
        if (n > 0)
            tally_add(m->taken, n);
    }
    return NULL;
}

static void many_producers_and_consumers_lose_and_double_nothing(void)
{
    struct market m = { .queue = new_queue(),
                        .pool = harness_pool(2),
                        .taken = stage_tally(),
                        .sum = stage_tally(),
                        .wrong = stage_tally(),
                        .each = harness_rounds(EACH) };
    pthread_t threads[PRODUCERS + CONSUMERS];

    for (int i = 0; i < PRODUCERS + CONSUMERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL,
                                        i < PRODUCERS ? produce : consume, &m),
                         0);
    for (int i = 0; i < PRODUCERS + CONSUMERS; i++)
        pthread_join(threads[i], NULL);
    assert_long(tally_of(m.wrong), 0);
    assert_long(tally_of(m.taken), m.each * PRODUCERS);
    assert_long(tally_of(m.sum), m.each * (m.each - 1) / 2 * PRODUCERS);
    assert_long(shunt_queue_size(m.queue), 0);
    free_queue(m.queue);
    harness_free(m.pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_wait_without_time_is_a_take),
    CLAIM(a_wait_runs_out_not_before_its_time),
    CLAIM(a_signal_does_not_end_a_wait),
    CLAIM(a_wait_ends_with_what_becomes_ready),
    CLAIM(every_waiter_gets_an_event_if_there_are_as_many),
    CLAIM(a_waiter_that_leaves_something_wakes_the_next),
    CLAIM(waiters_of_a_queue_that_is_freed_are_told_so),
    CLAIM(many_producers_and_consumers_lose_and_double_nothing),
};

HARNESS_MAIN(claims)
