/* SPDX-License-Identifier: MIT */
/*
 * unit/sleep_test.c - who sleeps, and who is woken: sync/README.md.
 *
 * Goal: work wakes one worker if none searches, and no wake is lost. Method:
 * one thread takes the steps of all workers in a chosen order; then threads
 * pass items and sleep between them, where a lost wake would be a hang.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "base/clock.h"
#include "sync/sleep.h"

enum {
    WORKERS = 40,
    ITEMS = 20000,
    SLEEPERS = 2
};

#define SOON 1000000          /* a millisecond */
#define PATIENCE 120000000000 /* two minutes: it hangs */

static struct sh_bell bells[WORKERS];
static struct sh_sleep sleepers;

static void begin(unsigned workers)
{
    memset((void *)bells, 0, sizeof bells);
    memset((void *)&sleepers, 0, sizeof sleepers);
    sh_sleep_init(&sleepers, bells, 0, workers, false);
}

static void make_idle(unsigned w)
{
    sh_sleep_search(&sleepers, w);
    sh_sleep_announce(&sleepers, w);
    assert_true(sh_sleep_is_idle(&sleepers, w));
}

static void a_notify_wakes_one_idle_worker(void **state)
{
    (void)state;
    begin(3);
    make_idle(0);
    make_idle(1);
    make_idle(2);
    assert_true(sh_sleep_is_idle(&sleepers, 0));
    sh_sleep_notify(&sleepers);
    assert_false(sh_sleep_is_idle(&sleepers, 0));
    assert_true(sh_sleep_is_idle(&sleepers, 1));
    assert_true(sh_sleep_is_idle(&sleepers, 2));
    sh_sleep_wait(&sleepers, 0, INT64_MAX); /* returns at once */
}

static void nobody_is_woken_while_somebody_searches(void **state)
{
    (void)state;
    begin(3);
    make_idle(0);
    make_idle(1);
    sh_sleep_search(&sleepers, 2);
    sh_sleep_notify(&sleepers);
    assert_true(sh_sleep_is_idle(&sleepers, 0));
    assert_true(sh_sleep_is_idle(&sleepers, 1));
    /* The searcher that found something must see to the next one. */
    assert_true(sh_sleep_found(&sleepers, 2));
    sh_sleep_notify(&sleepers);
    assert_false(sh_sleep_is_idle(&sleepers, 0));
    assert_true(sh_sleep_is_idle(&sleepers, 1));
}

static void who_finds_something_while_nobody_sleeps_need_not_look(void **state)
{
    (void)state;
    begin(2);
    sh_sleep_search(&sleepers, 0);
    assert_false(sh_sleep_found(&sleepers, 0));
    sh_sleep_search(&sleepers, 0);
    sh_sleep_search(&sleepers, 1);
    assert_false(sh_sleep_found(&sleepers, 0)); /* 1 still searches */
    assert_false(sh_sleep_found(&sleepers, 1));
}

static void one_worker_can_be_woken_by_its_number(void **state)
{
    (void)state;
    begin(3);
    make_idle(0);
    make_idle(2);
    sh_sleep_search(&sleepers, 1); /* does not keep it from that */
    sh_sleep_wake(&sleepers, 2);
    assert_true(sh_sleep_is_idle(&sleepers, 0));
    assert_false(sh_sleep_is_idle(&sleepers, 2));
    sh_sleep_wake(&sleepers, 1); /* not idle: nothing happens */
    sh_sleep_wait(&sleepers, 2, INT64_MAX);
}

static void who_withdraws_does_not_sleep(void **state)
{
    (void)state;
    begin(1);
    make_idle(0);
    sh_sleep_withdraw(&sleepers, 0);
    assert_false(sh_sleep_is_idle(&sleepers, 0));
    assert_false(sh_sleep_found(&sleepers, 0));
}

static void a_ring_that_comes_late_ends_no_later_sleep(void **state)
{
    int64_t begun;

    (void)state;
    begin(1);
    make_idle(0);
    sh_sleep_wake(&sleepers, 0);
    sh_sleep_announce(&sleepers, 0); /* idle again, with the bell still rung */
    begun = sh_clock_ns();
    sh_sleep_wait(&sleepers, 0, begun + SOON);
    assert_true(sh_clock_ns() >= begun + SOON);
    assert_false(sh_sleep_is_idle(&sleepers, 0)); /* it searches again */
}

static void workers_beyond_a_word_are_woken_too(void **state)
{
    (void)state;
    begin(WORKERS);
    make_idle(37);
    sh_sleep_notify(&sleepers);
    assert_false(sh_sleep_is_idle(&sleepers, 37));
    make_idle(5);
    /* 37 searches, in the other word: that is enough. */
    sh_sleep_notify(&sleepers);
    assert_true(sh_sleep_is_idle(&sleepers, 5));
    assert_true(sh_sleep_found(&sleepers, 37));
    sh_sleep_notify(&sleepers);
    assert_false(sh_sleep_is_idle(&sleepers, 5));
}

/* ---- no wake-up is lost ---- */

static atomic_long work;
static atomic_bool over;

static bool take_one(void)
{
    long n = atomic_load(&work);

    while (n > 0)
        if (atomic_compare_exchange_strong(&work, &n, n - 1))
            return true;
    return false;
}

/* The loop of a worker, as worker/loop.c has it. */
static void *worker(void *arg)
{
    unsigned w = *(const unsigned *)arg;

    while (!atomic_load(&over)) {
        if (take_one())
            continue;
        sh_sleep_search(&sleepers, w);
        while (!atomic_load(&over) && !take_one()) {
            sh_sleep_announce(&sleepers, w);
            if (atomic_load(&work) > 0 || atomic_load(&over))
                sh_sleep_withdraw(&sleepers, w);
            else
                sh_sleep_wait(&sleepers, w, INT64_MAX);
        }
        if (sh_sleep_found(&sleepers, w) && atomic_load(&work) > 0)
            sh_sleep_notify(&sleepers);
    }
    return NULL;
}

/* Goal: whatever is made visible and then notified is done, however the
 * workers go to sleep meanwhile. Method: one item at a time, the next when the
 * last is gone; a lost wake-up waits for patience to run out. */
static void whatever_is_notified_is_done(void **state)
{
    static unsigned numbers[SLEEPERS] = { 0, 1 };
    pthread_t threads[SLEEPERS];
    int64_t limit = sh_clock_ns() + PATIENCE;
    bool done = true;

    (void)state;
    begin(SLEEPERS);
    for (int i = 0; i < SLEEPERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, worker, &numbers[i]),
                         0);
    for (int i = 0; i < ITEMS && done; i++) {
        atomic_fetch_add(&work, 1 + i % 3);
        sh_sleep_notify(&sleepers);
        while (atomic_load(&work) > 0 && done) {
            done = sh_clock_ns() < limit;
            sched_yield();
        }
    }
    atomic_store(&over, true);
    for (unsigned i = 0; i < SLEEPERS; i++)
        sh_sleep_wake(&sleepers, i);
    for (int i = 0; i < SLEEPERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(done);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_notify_wakes_one_idle_worker),
        cmocka_unit_test(nobody_is_woken_while_somebody_searches),
        cmocka_unit_test(who_finds_something_while_nobody_sleeps_need_not_look),
        cmocka_unit_test(one_worker_can_be_woken_by_its_number),
        cmocka_unit_test(who_withdraws_does_not_sleep),
        cmocka_unit_test(a_ring_that_comes_late_ends_no_later_sleep),
        cmocka_unit_test(workers_beyond_a_word_are_woken_too),
        cmocka_unit_test(whatever_is_notified_is_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
