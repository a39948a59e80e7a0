/* SPDX-License-Identifier: MIT */
/*
 * unit/timer_test.c - setting timers, by many threads, beside the one that has
 * them happen.
 *
 * Goal: a timer happens once, at its moment and never before; a timer that is
 * set again, for later or for earlier, happens then, and for the generation
 * that it was set for last; none is lost. Method: the timers are those of
 * cells that nobody else uses, whose arrivals the tests read; the clock is
 * moved by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/fault.h"
#include "future/timer.h"
#include "pool_of_one.h"
#include "shunt/shunt.h"

enum {
    THREADS = 4,
    MARKS = 64
};

static uint64_t seed;

static int open_program(void **state)
{
    const char *text = getenv("SHUNT_TEST_SEED");

    (void)state;
    seed = text != NULL ? strtoull(text, NULL, 0) : 20240229;
    print_message("seed %llu\n", (unsigned long long)seed);
    return 0;
}

/* splitmix64 (Steele, Lea & Flood 2014), a state for each thread. */
static uint64_t next_random(uint64_t *from)
{
    uint64_t z = (*from += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static int pool_make_manual(void **state)
{
    (void)state;
    if (shunt_pool_new(
            &name, &(shunt_options){ .workers = 1, .manual_clock = true }) != 0)
        return -1;
    return sh_pool_find(name, &pool);
}

static void advance(int64_t ns)
{
    assert_int_equal(shunt_pool_advance(name, ns), 0);
}

/* ---- what a timer reaches ---- */

/* A cell that nobody else uses. */
struct mark {
    uint32_t cell;
    int64_t when_ns;
    bool is_set; /* and was not seen to have happened */
};

static struct mark mark_new(void)
{
    struct mark m = { .cell = sh_table_take(&pool->cells,
                                            &sh_seat_of(pool)->cells) };

    assert_int_not_equal(m.cell, SH_NONE);
    atomic_store(&sh_cell_at(pool, m.cell)->kind, SH_CELL_WAITER);
    return m;
}

/* What arrives for the generation before this one is of no interest. */
static bool try_set(struct mark *m, int64_t when_ns)
{
    struct sh_cell *c = sh_cell_at(pool, m->cell);

    m->when_ns = when_ns;
    m->is_set = sh_timer_set(pool, sh_timer_of_cell(pool, m->cell),
                             sh_arrivals_renew(&c->word), when_ns);
    return m->is_set;
}

static void set(struct mark *m, int64_t when_ns)
{
    assert_true(try_set(m, when_ns));
}

static bool has_happened(const struct mark *m)
{
    return (atomic_load(&sh_cell_at(pool, m->cell)->word) >> SH_BIT_TIME & 1) !=
           0;
}

static int64_t in(int64_t ns)
{
    return sh_pool_after(pool, ns);
}

/* ---- one thread ---- */

static void a_timer_happens_at_its_moment(void **state)
{
    struct mark m = mark_new();

    (void)state;
    for (int64_t ns = 1; ns < INT64_MAX / 8; ns *= 3) {
        set(&m, in(ns));
        advance(ns - 1);
        assert_false(has_happened(&m));
        advance(1);
        assert_true(has_happened(&m));
    }
}

/* Method: the timekeeper has put it into its wheel each time. */
static void a_timer_that_is_set_for_later_happens_later(void **state)
{
    struct mark m = mark_new();

    (void)state;
    set(&m, in(100));
    for (int i = 0; i < 1000; i++) {
        advance(i % 100);
        assert_false(has_happened(&m));
        set(&m, in(100));
    }
    advance(99);
    assert_false(has_happened(&m));
    advance(1);
    assert_true(has_happened(&m));
}

static void a_timer_that_is_set_for_earlier_happens_earlier(void **state)
{
    struct mark m = mark_new();

    (void)state;
    set(&m, in((int64_t)1 << 41));
    for (int64_t ns = (int64_t)1 << 40; ns > 0; ns /= 2) {
        advance(0); /* it is in the wheel */
        set(&m, in(ns));
        if (ns % 3 == 0)
            set(&m, in(ns)); /* it is on the list already */
    }
    assert_false(has_happened(&m));
    advance(1);
    assert_true(has_happened(&m));
    advance(INT64_MAX / 2);
    assert_true(has_happened(&m));
}

/* Goal: what is set first for earlier and then for later, before the
 * timekeeper has looked, is not forgotten. */
static void a_timer_on_both_lists_happens_once(void **state)
{
    struct mark m = mark_new();

    (void)state;
    for (int i = 0; i < 1000; i++) {
        set(&m, in(50));
        if (i % 2 == 0)
            advance(0);
        set(&m, in(20));
        set(&m, in(80));
        set(&m, in(30));
        if (i % 3 == 0)
            advance(0);
        advance(29);
        assert_false(has_happened(&m));
        advance(1);
        assert_true(has_happened(&m));
        set(&m, in(1));
        advance(1);
        assert_true(has_happened(&m));
    }
}

static void what_was_set_before_does_not_happen(void **state)
{
    struct mark m = mark_new();
    struct sh_cell *c = sh_cell_at(pool, m.cell);

    (void)state;
    set(&m, in(10));
    (void)sh_arrivals_renew(&c->word); /* as a wait that is over */
    advance(10);
    assert_false(has_happened(&m));
    set(&m, in(10));
    advance(10);
    assert_true(has_happened(&m));
}

/* ---- many threads ---- */

static atomic_bool ends;
static atomic_long happened, early;

static void *set_and_watch(void *arg)
{
    uint64_t from = *(uint64_t *)arg;
    struct mark m[MARKS];

    for (int i = 0; i < MARKS; i++)
        m[i] = mark_new();
    while (!atomic_load(&ends)) {
        unsigned i = (unsigned)(next_random(&from) % MARKS);

        if (!m[i].is_set || next_random(&from) % 2 == 0) {
            set(&m[i], in((int64_t)(next_random(&from) >>
                                    (40 + next_random(&from) % 24))));
        } else if (has_happened(&m[i])) {
            atomic_fetch_add(&early, sh_pool_now(pool) < m[i].when_ns);
            atomic_fetch_add(&happened, 1);
            m[i].is_set = false;
        }
        if (next_random(&from) % 64 == 0)
            sched_yield();
    }
    /* One for the end, each. */
    for (int i = 0; i < MARKS; i++)
        set(&m[i], in((int64_t)(next_random(&from) >> 40)));
    struct mark *left = malloc(sizeof m);
    if (left != NULL)
        for (int i = 0; i < MARKS; i++)
            left[i] = m[i];
    return left;
}

/* Method: threads set at random, moments near and far, earlier and later than
 * before, while the clock is moved. */
static void a_timer_that_is_set_again_and_again_is_never_lost(void **state)
{
    pthread_t threads[THREADS];
    uint64_t seeds[THREADS];
    struct mark *left[THREADS];

    (void)state;
    atomic_store(&ends, false);
    for (int i = 0; i < THREADS; i++) {
        seeds[i] = next_random(&seed);
        assert_int_equal(
            pthread_create(&threads[i], NULL, set_and_watch, &seeds[i]), 0);
    }
    /* Until the threads have done something; bounded all the same. */
    for (int i = 0; i < 1000000 && atomic_load(&happened) < 10000; i++)
        advance(
            (int64_t)(next_random(&seed) >> (40 + next_random(&seed) % 24)));
    atomic_store(&ends, true);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], (void **)&left[i]);
    assert_int_equal(atomic_load(&early), 0);
    assert_true(atomic_load(&happened) > 0);
    advance((int64_t)1 << 40);
    for (int i = 0; i < THREADS; i++) {
        assert_non_null(left[i]);
        for (int j = 0; j < MARKS; j++)
            assert_true(has_happened(&left[i][j]));
        free(left[i]);
    }
    assert_false(sh_timers_waiting(pool));
}

/* Method: a timer is put forward at the very moment at which it happens; a
 * third of the time it is put off. Either has its own happen. */
struct rival {
    pthread_barrier_t barrier;
    struct mark *mark;
    long rounds;
};

static void *set_in_thread(void *arg)
{
    struct rival *r = arg;

    for (long i = 0; i < r->rounds; i++) {
        pthread_barrier_wait(&r->barrier);
        for (volatile long j = 0; j < i % 500; j++)
            continue;
        r->mark->is_set = try_set(r->mark, in(i % 3 == 0 ? 40 : 2));
        pthread_barrier_wait(&r->barrier);
    }
    return NULL;
}

static void of_setting_and_happening_the_last_one_counts(void **state)
{
    struct mark m = mark_new();
    struct rival r = { .mark = &m, .rounds = 3000 };
    pthread_t thread;

    (void)state;
    pthread_barrier_init(&r.barrier, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, set_in_thread, &r), 0);
    for (long i = 0; i < r.rounds; i++) {
        set(&m, in(5));
        if (i % 2 == 0)
            advance(0);
        pthread_barrier_wait(&r.barrier);
        advance(5);
        pthread_barrier_wait(&r.barrier);
        assert_true(m.is_set);
        advance(40);
        assert_true(has_happened(&m));
    }
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&r.barrier);
}

/* ---- the thread that keeps the time ---- */

static void *set_one(void *arg)
{
    (void)try_set(arg, in(10));
    return NULL;
}

/* Method: several threads set the first timer of a pool at once, and a request
 * for memory or for a thread is refused to one of them, whichever it is. Those
 * whose timer was set have it; and afterwards anybody can. */
static void a_timekeeper_starts_once_or_may_be_started_again(void **state)
{
    (void)state;
    for (int nth = 1; nth <= 60; nth++) {
        struct mark m[THREADS], after;
        pthread_t threads[THREADS];
        shunt_pool *kept = name;

        assert_int_equal(pool_make_manual(NULL), 0);
        for (int i = 0; i < THREADS; i++)
            m[i] = mark_new();
        after = mark_new();
        if (nth % 2 == 0)
            sh_fault_set(nth / 2);
        else
            sh_fault_set_from(nth / 2 + 1);
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, set_one, &m[i]),
                             0);
        for (int i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
        sh_fault_clear();
        set(&after, in(10));
        advance(10);
        assert_true(has_happened(&after));
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(has_happened(&m[i]), m[i].is_set);
        assert_int_equal(pool_free(NULL), 0);
        name = kept;
        assert_int_equal(sh_pool_find(name, &pool), 0);
    }
}

/* ---- records that are bound ---- */

/* As the submitter of a task looks at its timer, late: it is set still, which
 * is no deadline that came. */
static int look_again(const shunt_none *in_, long *out)
{
    struct sh_record *r = sh_here.run->record;
    struct sh_work work = { 0 };

    (void)in_;
    sh_bound_accepted(&work, pool, r, atomic_load(&r->state));
    sh_work_do(&work);
    *out = shunt_cancelled();
    return 0;
}
SHUNT_TASK(look_again, shunt_none, long)

static void a_timer_that_is_set_is_not_a_deadline_that_came(void **state)
{
    long asked = 1;

    (void)state;
    assert_int_equal(shunt_take(shunt_submit_with(name, look_again, NULL,
                                                  .deadline_ns = SHUNT_S(1)),
                                &asked),
                     0);
    assert_int_equal(asked, 0);
}

#define WITH_POOL(test) \
    cmocka_unit_test_setup_teardown(test, pool_make_manual, pool_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_POOL(a_timer_happens_at_its_moment),
        WITH_POOL(a_timer_that_is_set_for_later_happens_later),
        WITH_POOL(a_timer_that_is_set_for_earlier_happens_earlier),
        WITH_POOL(a_timer_on_both_lists_happens_once),
        WITH_POOL(what_was_set_before_does_not_happen),
        WITH_POOL(a_timer_that_is_set_again_and_again_is_never_lost),
        WITH_POOL(of_setting_and_happening_the_last_one_counts),
        WITH_POOL(a_timekeeper_starts_once_or_may_be_started_again),
        WITH_POOL(a_timer_that_is_set_is_not_a_deadline_that_came),
    };
    return cmocka_run_group_tests(tests, open_program, NULL);
}
