/* SPDX-License-Identifier: MIT */
/*
 * unit/timers_test.c - the heap of waits that may run out.
 *
 * Goal: what is due is resumed, and nothing else, in any order of adding and
 * removing. Method: a worker that never runs, with parked records that this
 * program has filled in itself; the clock is an argument.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/fault.h"
#include "worker/worker.h"

enum {
    RUNS = 500
};

/* A worker that never runs: a post, a heap, and parked records. */
static struct sh_record records[RUNS + 1];
static struct sh_run runs[RUNS];
static struct sh_pool pool;
static struct sh_post post;
static struct sh_worker worker;

static int make(void **state)
{
    (void)state;
    memset((void *)records, 0, sizeof records);
    memset((void *)runs, 0, sizeof runs);
    memset((void *)&pool, 0, sizeof pool);
    memset((void *)&post, 0, sizeof post);
    memset((void *)&worker, 0, sizeof worker);
    pool.records.items = (char *)records;
    pool.records.capacity = RUNS + 1;
    worker.pool = &pool;
    worker.post = &post;
    for (unsigned i = 0; i < RUNS; i++) {
        runs[i].record = &records[i + 1];
        atomic_store(
            &records[i + 1].state,
            sh_word_to((uint64_t)1 << 32, SH_PARKED, SH_OWNER_WORKER(0)));
    }
    return sh_heap_init(&pool.heap, 1 << 20, false) ? 0 : -1;
}

static int unmake(void **state)
{
    (void)state;
    sh_fault_clear();
    sh_heap_put(&pool.heap, worker.timers,
                (worker.timer_room > 0 ? worker.timer_room : 1) *
                    sizeof *worker.timers);
    sh_heap_fini(&pool.heap);
    return 0;
}

static void add(unsigned i, int64_t wake_ns)
{
    runs[i].wake_ns = wake_ns;
    assert_true(sh_timer_add(&worker, &runs[i]));
}

/* What was resumed, as a count; and forget it. */
static unsigned resumed(void)
{
    unsigned n = 0;
    uint32_t i = worker.resumed;

    for (; i != SH_NONE; i = atomic_load(&records[i].link))
        n++;
    worker.resumed = SH_NONE;
    return n;
}

static int64_t shuffled(unsigned i)
{
    return (int64_t)(i * 7919u % RUNS) + 1;
}

static void the_next_moment_is_the_earliest(void **state)
{
    (void)state;
    assert_true(sh_timers_next(&worker) == INT64_MAX);
    add(0, 30);
    assert_int_equal(sh_timers_next(&worker), 30);
    add(1, 10);
    add(2, 20);
    assert_int_equal(sh_timers_next(&worker), 10);
    sh_timer_remove(&worker, &runs[1]);
    assert_int_equal(sh_timers_next(&worker), 20);
}

static void waits_run_out_when_their_moment_has_come(void **state)
{
    (void)state;
    for (unsigned i = 0; i < RUNS; i++)
        add(i, shuffled(i));
    for (int64_t now = 0; now <= RUNS; now += 50) {
        sh_timers_fire(&worker, now);
        assert_int_equal(resumed(), now == 0 ? 0 : 50);
        for (unsigned i = 0; i < RUNS; i++) {
            assert_int_equal(runs[i].timed_out, runs[i].wake_ns <= now);
            assert_int_equal(sh_phase_of(atomic_load(&records[i + 1].state)),
                             runs[i].wake_ns <= now ? SH_RUNNING : SH_PARKED);
        }
    }
    assert_int_equal(worker.timer_count, 0);
}

static void a_wait_can_be_removed_from_anywhere_and_twice(void **state)
{
    int64_t last = 0;

    (void)state;
    for (unsigned i = 0; i < RUNS; i++)
        add(i, shuffled(i));
    for (unsigned i = 0; i < RUNS; i += 3) {
        sh_timer_remove(&worker, &runs[i]);
        sh_timer_remove(&worker, &runs[i]); /* nothing */
        assert_int_equal(runs[i].timer_at, 0);
    }
    while (worker.timer_count > 0) {
        int64_t next = sh_timers_next(&worker);
        struct sh_run *run = worker.timers[0];

        assert_true(next > last);
        assert_true((run - runs) % 3 != 0);
        assert_int_equal(worker.timers[run->timer_at - 1] == run, 1);
        last = next;
        sh_timer_remove(&worker, run);
    }
}

/* Its arrival came first: somebody else has resumed it; but that may have been
 * an earlier one, so it is told all the same. */
static void who_no_longer_parks_is_not_resumed_again(void **state)
{
    (void)state;
    add(0, 10);
    add(1, 10);
    atomic_store(&records[1].state,
                 sh_word_to((uint64_t)1 << 32, SH_RUNNING, SH_OWNER_WORKER(0)));
    sh_timers_fire(&worker, 10);
    assert_true(runs[0].timed_out);
    assert_true(runs[1].timed_out);
    assert_int_equal(resumed(), 1);
}

static void a_flag_does_not_keep_a_wait_from_running_out(void **state)
{
    (void)state;
    add(0, 10);
    atomic_fetch_or(&records[1].state, SH_WATCHED | SH_ALIASED);
    sh_timers_fire(&worker, 10);
    assert_true(runs[0].timed_out);
    assert_true((atomic_load(&records[1].state) & SH_WATCHED) != 0);
    assert_int_equal(resumed(), 1);
}

static void without_memory_a_wait_is_refused_and_others_stay(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 16; i++)
        add(i, (int64_t)i + 1);
    sh_fault_set(1);
    runs[16].wake_ns = 5;
    assert_false(sh_timer_add(&worker, &runs[16]));
    assert_int_equal(runs[16].timer_at, 0);
    assert_int_equal(worker.timer_count, 16);
    assert_int_equal(sh_timers_next(&worker), 1);
    add(16, 0);
    assert_int_equal(sh_timers_next(&worker), 0);
}

int main(void)
{
#define TIMERS_TEST(test) cmocka_unit_test_setup_teardown(test, make, unmake)
    const struct CMUnitTest tests[] = {
        TIMERS_TEST(the_next_moment_is_the_earliest),
        TIMERS_TEST(waits_run_out_when_their_moment_has_come),
        TIMERS_TEST(a_wait_can_be_removed_from_anywhere_and_twice),
        TIMERS_TEST(who_no_longer_parks_is_not_resumed_again),
        TIMERS_TEST(a_flag_does_not_keep_a_wait_from_running_out),
        TIMERS_TEST(without_memory_a_wait_is_refused_and_others_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
