/* SPDX-License-Identifier: MIT */
/*
 * unit/flat_test.c - what is done again and again takes no more memory than
 * what is done once: in numbers.
 *
 * Goal: races, timeouts and steps against one future that lives on leave
 * nothing behind, neither on it nor in a table, nor in the heap. Method: rounds
 * that warm everything up; then many more, after which the tables have
 * handed out as many items as before, but for what caches of threads hold, and
 * the heap has as many bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pool_of_one.h"
#include "shunt/shunt.h"
#include "slow.h"

enum {
    WARM = 1000,
    ROUNDS = 10000,
    /* Under a sanitizer or valgrind: still more than twice of LYING. */
    ROUNDS_IF_SLOW = 2000,
    /* A thread's cache takes back 128 items before it passes them on, and
     * begins runs of 64; here are three threads. */
    LYING = 3 * (2 * 128 + 64)
};

/* A pool that counts its bytes. */
static int make_limited(void **state)
{
    (void)state;
    if (shunt_pool_new(&name, &(shunt_options){ .workers = 1,
                                                .arena_bytes = (size_t)1 << 30,
                                                .manual_clock = true }) != 0)
        return -1;
    return sh_pool_find(name, &pool);
}

struct counts {
    uint32_t records, aliases, edges, cells;
    size_t bytes;
};

static int add_one(const long *in, long *out)
{
    *out = *in + 1;
    return 0;
}
SHUNT_TASK(add_one, long, long)

static struct counts count(void)
{
    long value;

    /* The worker has put away what was before that. */
    assert_int_equal(
        shunt_take(shunt_submit(name, add_one, &(long){ 1 }), &value), 0);
    /* The tables are charged for in runs. */
    size_t tables =
        (sh_table_used(&pool->records) - 1) * sizeof(struct sh_record) +
        (sh_table_used(&pool->aliases) - 1) * sizeof(struct sh_alias);

    return (struct counts){ sh_table_used(&pool->records),
                            sh_table_used(&pool->aliases),
                            sh_table_used(&pool->edges),
                            sh_table_used(&pool->cells),
                            atomic_load(&pool->heap.bytes) - tables };
}

static void assert_flat(struct counts before, struct counts after)
{
    assert_in_range(after.records, before.records, before.records + LYING);
    assert_in_range(after.aliases, before.aliases, before.aliases + LYING);
    assert_in_range(after.edges, before.edges, before.edges + LYING);
    assert_in_range(after.cells, before.cells, before.cells + LYING);
    assert_int_equal(after.bytes, before.bytes);
}

static int rounds(void)
{
    return is_slow() ? ROUNDS_IF_SLOW : ROUNDS;
}

/* ---- what is done ---- */

/* A future that lives on, and its promise. */
static shunt_promise *end_of_it;
static shunt_future *lives_on;

static shunt_future *task(void)
{
    return shunt_submit(name, add_one, &(long){ 1 });
}

static shunt_future *race(void)
{
    return shunt_race((shunt_future *[]){ shunt_retain(lives_on), task() }, 2);
}

static shunt_future *any(void)
{
    return shunt_when_any((shunt_future *[]){ task(), shunt_retain(lives_on) },
                          2);
}

static shunt_future *some(void)
{
    shunt_future *fs[40];

    for (int i = 0; i < 40; i++)
        fs[i] = i == 7 ? task() : shunt_retain(lives_on);
    return shunt_when_some(fs, 40, 1);
}

static shunt_future *failed_all(void)
{
    shunt_promise *p;
    shunt_future *fs[2] = { shunt_retain(lives_on), NULL };

    assert_int_equal(shunt_promise_new(name, long, &p, &fs[1]), 0);
    assert_int_equal(shunt_promise_fail(p, 3, "no"), 0);
    return shunt_when_all(fs, 2);
}

static shunt_future *timeout_in_time(void)
{
    return shunt_timeout(task(), SHUNT_S(1000));
}

static shunt_future *timeout_that_runs_out(void)
{
    shunt_future *f = shunt_timeout(shunt_retain(lives_on), 5);

    assert_int_equal(shunt_pool_advance(name, 5), 0);
    return f;
}

static shunt_future *race_with_timeout(void)
{
    shunt_future *f = shunt_timeout(shunt_retain(lives_on), SHUNT_S(1000));

    return shunt_race((shunt_future *[]){ f, task() }, 2);
}

static shunt_future *cancelled(void)
{
    shunt_future *f = shunt_then(shunt_retain(lives_on), add_one);

    assert_int_equal(shunt_cancel(f), 1);
    return f;
}

static shunt_future *cancelled_delay(void)
{
    shunt_future *f = shunt_delay(name, SHUNT_S(1000));

    assert_int_equal(shunt_cancel(f), 1);
    return f;
}

static shunt_future *bounded(void)
{
    return shunt_submit_with(name, add_one, &(long){ 1 },
                             .deadline_ns = SHUNT_S(1000));
}

static void repeat(shunt_future *(*make)(void), int times)
{
    for (int i = 0; i < times; i++) {
        shunt_future *f = make();

        assert_int_not_equal(shunt_await(f), SHUNT_PENDING);
        assert_int_equal(shunt_release(f), 0);
    }
}

/* Between two counts, the futures that make gives settle and go. */
static void check(shunt_future *(*make)(void))
{
    struct counts before;

    assert_int_equal(shunt_promise_new(name, long, &end_of_it, &lives_on), 0);
    repeat(make, WARM);
    before = count();
    repeat(make, rounds());
    assert_flat(before, count());
    assert_int_equal(shunt_status(lives_on), SHUNT_PENDING);
    assert_int_equal(shunt_promise_drop(end_of_it), 0);
    assert_int_equal(shunt_release(lives_on), 0);
}

/* ---- the claims ---- */

static void races_leave_nothing_on_the_loser(void **state)
{
    (void)state;
    check(race);
    check(any);
    check(some);
    check(failed_all);
}

static void timeouts_leave_nothing_on_what_they_bound(void **state)
{
    (void)state;
    check(timeout_in_time);
    check(timeout_that_runs_out);
    check(race_with_timeout);
}

static void what_is_cancelled_leaves_nothing(void **state)
{
    (void)state;
    check(cancelled);
    check(cancelled_delay);
}

static void deadlines_leave_nothing(void **state)
{
    (void)state;
    check(bounded);
}

/* The same inside one task, with what heeds it as the future that lives on. */
static shunt_future *race_with_heeding(void)
{
    return shunt_race(
        (shunt_future *[]){ shunt_cancel_future(),
                            shunt_submit(NULL, add_one, &(long){ 1 }) },
        2);
}

static struct counts before_inside, after_inside;

static int race_inside(const shunt_none *in, long *out)
{
    (void)in;
    for (int i = 0; i < WARM + rounds(); i++) {
        if (i == WARM)
            before_inside = count();
        if (shunt_join(race_with_heeding()) != 0)
            ++*out;
    }
    after_inside = count();
    return 0;
}
SHUNT_TASK(race_inside, shunt_none, long)

static void a_task_that_heeds_may_race_for_ever(void **state)
{
    long wrong = 1;

    (void)state;
    assert_int_equal(shunt_take(shunt_submit(name, race_inside, NULL), &wrong),
                     0);
    assert_int_equal(wrong, 0);
    assert_flat(before_inside, after_inside);
}

#define WITH_POOL(test) \
    cmocka_unit_test_setup_teardown(test, make_limited, pool_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_POOL(races_leave_nothing_on_the_loser),
        WITH_POOL(timeouts_leave_nothing_on_what_they_bound),
        WITH_POOL(what_is_cancelled_leaves_nothing),
        WITH_POOL(deadlines_leave_nothing),
        WITH_POOL(a_task_that_heeds_may_race_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
