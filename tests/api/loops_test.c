/* SPDX-License-Identifier: MIT */
/*
 * loops_test.c - shunt_for calls its body for each index once, in parts that
 * end together.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "stage.h"

static const size_t sizes[] = { 0, 1, 2, 3, 7, 1000, 1000000 };
enum {
    SIZES = sizeof sizes / sizeof sizes[0]
};

/* ---- each index once ---- */

struct visits {
    unsigned char *counts; /* of indexes from `first` */
    size_t first;
    int spin; /* how much longer one index in 1000 takes */
};

static void spin(int n)
{
    for (volatile int i = 0; i < n; i++)
        ;
}

static int visit(size_t from, size_t to, const struct visits *v)
{
    if (from >= to)
        return 1;
    for (size_t i = from; i < to; i++) {
        v->counts[i - v->first]++;
        if (v->spin > 0 && i % 1000 == 17)
            spin(v->spin);
    }
    return 0;
}

static void assert_visited(const unsigned char *counts, size_t n, int times)
{
    size_t i = 0;

    while (i < n && counts[i] == times)
        i++;
    if (i < n)
        assert_long(counts[i], times);
}

static void each_index_is_visited_once_by_any_number_of_workers(void)
{
    unsigned char *counts = stage_bytes(1000000);

    harness_limit(120);
    for (int workers = 1; workers <= 8; workers *= 2) {
        shunt_pool *pool = harness_pool(workers);

        for (int i = 0; i < SIZES; i++) {
            struct visits v = { counts, 5, 0 };

            harness_note("%d workers, %zu indexes", workers, sizes[i]);
            memset(counts, 0, sizes[i]);
            for (int round = 1; round <= 3; round++)
                assert_joins(shunt_for(pool, 5, 5 + sizes[i], visit, &v), 0);
            assert_visited(counts, sizes[i], 3);
        }
        harness_free(pool);
    }
}

static void a_body_may_be_as_uneven_as_it_likes(void)
{
    enum {
        N = 20000
    };
    struct visits v = { stage_bytes(N), 0, 100000 };
    shunt_pool *pool = harness_pool(4);

    for (int round = 1; round <= 5; round++)
        assert_joins(shunt_for(pool, 0, N, visit, &v), 0);
    assert_visited(v.counts, N, 5);
    harness_free(pool);
}

static void a_range_may_end_at_the_last_index(void)
{
    struct visits v = { stage_bytes(100), SIZE_MAX - 100, 0 };
    shunt_pool *pool = harness_pool(2);

    assert_joins(shunt_for(pool, v.first, SIZE_MAX, visit, &v), 0);
    assert_visited(v.counts, 100, 1);
    assert_joins(shunt_for(pool, SIZE_MAX, SIZE_MAX, visit, &v), 0);
    harness_free(pool);
}

/* Method: parts of a long loop and many short ones, so that thieves come and
 * go. */
static void many_loops_go_on_at_the_same_time(void)
{
    enum {
        LOOPS = 100,
        N = 3000
    };
    unsigned char *counts = stage_bytes((size_t)LOOPS * N);
    shunt_pool *pool = harness_pool(4);
    shunt_future *fs[LOOPS];

    for (int i = 0; i < LOOPS; i++) {
        struct visits v = { counts + (size_t)i * N, 0, i % 10 * 1000 };

        fs[i] = shunt_for(pool, 0, N, visit, &v);
    }
    assert_joins(shunt_when_all(fs, LOOPS), 0);
    assert_visited(counts, (size_t)LOOPS * N, 1);
    harness_free(pool);
}

struct pair {
    struct latch *begun;
    struct tally *late;
};

static int wait_for_two(size_t from, size_t to, const struct pair *p)
{
    (void)from;
    (void)to;
    latch_raise(p->begun);
    if (!latch_reaches(p->begun, 2))
        tally_add(p->late, 1);
    return 0;
}

static void two_workers_share_a_loop(void)
{
    struct pair p = { stage_latch(), stage_tally() };
    shunt_pool *pool = harness_pool(2);

    assert_joins(shunt_for(pool, 0, 1000, wait_for_two, &p), 0);
    assert_long(tally_of(p.late), 0);
    harness_free(pool);
}

/* ---- what a loop is given ---- */

static int fill_all(size_t from, size_t to, const void *none)
{
    unsigned char *counts = stage_shown(STAGE_OF_TEST);

    for (; from < to; from++)
        counts[from]++;
    return none == NULL ? 0 : 1;
}

static void a_body_without_a_context_gets_null(void)
{
    unsigned char *counts = stage_bytes(1000);
    int (*pointer)(size_t, size_t, const void *) = fill_all;
    shunt_pool *pool = harness_pool(2);

    stage_show(STAGE_OF_TEST, counts);
    assert_joins(shunt_for(pool, 0, 1000, fill_all, NULL), 0);
    assert_joins(shunt_for(pool, 0, 1000, pointer, NULL), 0);
    assert_visited(counts, 1000, 2);
    harness_free(pool);
}

struct large {
    _Alignas(64) struct tally *ran;
    char bytes[5000];
};

static int look_at_large(size_t from, size_t to, const struct large *c)
{
    if ((uintptr_t)c % 64 != 0)
        return 1;
    for (size_t i = 0; i < sizeof c->bytes; i++)
        if (c->bytes[i] != 'x')
            return 2;
    tally_add(c->ran, (long)(to - from));
    return 0;
}

static void the_context_is_copied_as_it_is_aligned(void)
{
    struct tally *ran = stage_tally();
    shunt_pool *pool = harness_pool(1);
    struct stage_hold hold = stage_hold(pool);
    struct large c = { .ran = ran };
    shunt_future *f;

    memset(c.bytes, 'x', sizeof c.bytes);
    f = shunt_for(pool, 10, 20, look_at_large, &c);
    memset(&c, 0xff, sizeof c);
    stage_let(hold);
    assert_joins(f, 0);
    assert_long(tally_of(ran), 10);
    harness_free(pool);
}

struct grains {
    size_t least;
    struct tally *calls, *indexes;
};

static int count_grain(size_t from, size_t to, const struct grains *g)
{
    tally_add(g->calls, 1);
    tally_add(g->indexes, (long)(to - from));
    return to - from < g->least;
}

static void no_part_is_smaller_than_the_grain(void)
{
    static const size_t grains[] = { 0, 1, 2, 7, 100, 999, 1000, 5000 };
    shunt_pool *pool = harness_pool(3);

    for (size_t i = 0; i < sizeof grains / sizeof grains[0]; i++) {
        size_t least = grains[i] < 1000 ? grains[i] : 1000;
        struct grains g = { least, stage_tally(), stage_tally() };

        for (int round = 0; round < 20; round++)
            assert_joins(shunt_for_with(pool, 0, 1000, count_grain, &g,
                                        .grain = grains[i]),
                         0);
        assert_long(tally_of(g.indexes), 20 * 1000);
        if (least > 500)
            assert_long(tally_of(g.calls), 20);
    }
    harness_free(pool);
}

/* ---- failures ---- */

struct failing {
    size_t at;
    struct tally *ran;
};

static int fail_at(size_t from, size_t to, const struct failing *c)
{
    tally_add(c->ran, (long)(to - from));
    if (c->at < from || c->at >= to)
        return 0;
    return shunt_fail(40 + (int)(c->at % 7), "index %zu", c->at);
}

static void a_body_that_fails_at_an_index_fails_the_loop(void)
{
    static const size_t at[] = { 0, 1, 2, 333, 500, 998, 999 };

    for (int workers = 1; workers <= 4; workers *= 2) {
        shunt_pool *pool = harness_pool(workers);

        for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
            struct failing c = { at[i], stage_tally() };
            shunt_future *f = shunt_for(pool, 0, 1000, fail_at, &c);
            char text[32];

            snprintf(text, sizeof text, "index %zu", at[i]);
            assert_fails_with(f, 40 + (int)(at[i] % 7));
            assert_string_equal(shunt_error_of(f)->task, "shunt_for");
            assert_non_null(strstr(shunt_error_of(f)->message, text));
            assert_ok(shunt_release(f));
            assert_in_range(tally_of(c.ran), at[i] / 1000, 1000);
        }
        harness_free(pool);
    }
}

/* Goal: what one part said is not told with what another one returned. */
static int always_fail(size_t from, size_t to, const int *spins)
{
    int code = 1 + (int)(from % 1000);

    (void)to;
    spin(*spins);
    return shunt_fail(code, "code %d.", code);
}

static void of_parts_that_all_fail_one_is_told(void)
{
    shunt_pool *pool = harness_pool(4);

    for (int round = 0; round < 200; round++) {
        int spins = round % 5 * 5000;
        shunt_future *f = shunt_for(pool, 0, 100000, always_fail, &spins);
        char text[32];

        assert_settles(f, SHUNT_EFAILED);
        snprintf(text, sizeof text, "code %d.", shunt_error_of(f)->task_code);
        assert_non_null(strstr(shunt_error_of(f)->message, text));
        assert_ok(shunt_release(f));
    }
    harness_free(pool);
}

static void a_failure_ends_a_loop_that_would_never_end(void)
{
    shunt_pool *pool = harness_pool(4);

    for (int round = 0; round < 20; round++) {
        struct failing c = { 100000, stage_tally() };

        assert_joins(shunt_for(pool, 0, SIZE_MAX, fail_at, &c), SHUNT_EFAILED);
    }
    harness_free(pool);
}

static int fail_as_other(size_t from, size_t to, shunt_future *const *f)
{
    (void)from;
    (void)to;
    return shunt_fail_as(*f);
}

static void a_body_may_fail_as_another_future_has(void)
{
    shunt_pool *pool = harness_pool(2);
    shunt_future *other = stage_failed(pool, 77);
    shunt_future *f = shunt_for(pool, 0, 1000, fail_as_other, &other);

    assert_settles(f, SHUNT_EFAILED);
    assert_long(shunt_error_of(f)->task_code, 77);
    assert_ok(shunt_release(f));
    assert_joins(other, SHUNT_EFAILED);
    harness_free(pool);
}

static int fail_as_one_of(size_t from, size_t to, shunt_future *const (*fs)[4])
{
    (void)to;
    return shunt_fail_as((*fs)[from % 4]);
}

static void of_parts_that_fail_as_others_have_one_is_told(void)
{
    shunt_pool *pool = harness_pool(4);
    shunt_future *others[4];

    for (int i = 0; i < 4; i++)
        others[i] = stage_failed(pool, 70 + i);
    for (int round = 0; round < 200; round++) {
        shunt_future *f = shunt_for(pool, 0, 100000, fail_as_one_of, &others);

        assert_settles(f, SHUNT_EFAILED);
        assert_in_range(shunt_error_of(f)->task_code, 70, 73);
        assert_ok(shunt_release(f));
    }
    for (int i = 0; i < 4; i++)
        assert_joins(others[i], SHUNT_EFAILED);
    harness_free(pool);
}

/* ---- cancellation ---- */

struct endless {
    struct latch *begun;
    struct tally *ran;
};

static int go_on(size_t from, size_t to, const struct endless *e)
{
    if (from == 0)
        latch_raise(e->begun);
    tally_add(e->ran, (long)(to - from));
    return 0;
}

static void a_cancelled_loop_ends_between_two_chunks(void)
{
    for (int workers = 1; workers <= 4; workers *= 2) {
        shunt_pool *pool = harness_pool(workers);

        for (int round = 0; round < 10; round++) {
            struct endless e = { stage_latch(), stage_tally() };
            shunt_future *f = shunt_for(pool, 0, SIZE_MAX, go_on, &e);

            assert_true(latch_reaches(e.begun, 1));
            for (int i = 0; i < round; i++)
                sched_yield();
            assert_status(shunt_cancel(f), 1);
            assert_joins(f, SHUNT_ECANCELED);
        }
        harness_free(pool);
    }
}

static void a_loop_that_is_cancelled_in_the_queue_never_begins(void)
{
    struct endless e = { stage_latch(), stage_tally() };
    shunt_pool *pool = harness_pool(1);
    struct stage_hold hold = stage_hold(pool);
    shunt_future *f = shunt_for(pool, 0, SIZE_MAX, go_on, &e);

    assert_status(shunt_cancel(f), 1);
    assert_joins(f, SHUNT_ECANCELED);
    stage_let(hold);
    harness_free(pool);
    assert_long(tally_of(e.ran), 0);
}

static int heed(size_t from, size_t to, const struct endless *e)
{
    (void)from;
    (void)to;
    latch_raise(e->begun);
    while (!shunt_cancelled())
        sched_yield();
    return SHUNT_ECANCELED;
}

static void a_body_may_heed_a_cancellation_itself(void)
{
    struct endless e = { stage_latch(), stage_tally() };
    shunt_pool *pool = harness_pool(3);
    shunt_future *f = shunt_for(pool, 0, 100, heed, &e);

    assert_true(latch_reaches(e.begun, 1));
    assert_status(shunt_cancel(f), 1);
    assert_joins(f, SHUNT_ECANCELED);
    harness_free(pool);
}

static int loop_till_deadline(const struct endless *e, int *out)
{
    *out = shunt_join(shunt_for(NULL, 0, SIZE_MAX, go_on, e));
    return 0;
}
SHUNT_TASK(loop_till_deadline, struct endless, int)

static void a_loop_has_the_deadline_of_its_task(void)
{
    struct endless e = { stage_latch(), stage_tally() };
    shunt_pool *pool = NULL;
    shunt_future *f;

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = 2, .manual_clock = true }));
    f = shunt_submit_with(pool, loop_till_deadline, &e,
                          .deadline_ns = SHUNT_S(1));
    assert_true(latch_reaches(e.begun, 1));
    assert_ok(shunt_pool_advance(pool, SHUNT_S(2)));
    assert_joins(f, SHUNT_ETIMEDOUT);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    harness_free(pool);
}

/* ---- bad arguments ---- */

static void a_bad_argument_fails_a_loop(void)
{
    int (*none)(size_t, size_t, const void *) = NULL;
    shunt_pool *pool = harness_pool(1);
    char bytes[4] = "";
    void *unknown = bytes;

    assert_joins(shunt_for(pool, 2, 1, fill_all, NULL), SHUNT_EINVAL);
    assert_joins(shunt_for(pool, 0, 1, none, NULL), SHUNT_EINVAL);
    assert_joins(shunt_for(pool, 0, 0, none, NULL), SHUNT_EINVAL);
    assert_joins(shunt_for(pool, 0, 1, fill_all, unknown), SHUNT_EINVAL);
    assert_joins(shunt_for(NULL, 0, 1, fill_all, NULL), SHUNT_EINVAL);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    assert_joins(shunt_for(pool, 0, 1, fill_all, NULL), SHUNT_ECLOSED);
    harness_free(pool);
}

static void a_loop_over_nothing_succeeds_at_once(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_hold hold = stage_hold(pool);
    shunt_future *f = shunt_for(pool, 7, 7, fill_all, NULL);

    assert_status(shunt_status(f), 0);
    assert_non_null(shunt_peek(f, shunt_none));
    assert_joins(f, 0);
    stage_let(hold);
    harness_free(pool);
}

static void a_loop_counts_as_one_task_for_the_queue(void)
{
    struct endless e = { stage_latch(), stage_tally() };
    shunt_pool *pool = NULL;
    struct stage_hold hold;
    shunt_future *fs[3];

    assert_ok(shunt_pool_new(&pool,
                             &(shunt_options){ .workers = 1, .queue_max = 2 }));
    hold = stage_hold(pool);
    for (int i = 0; i < 3; i++)
        fs[i] = shunt_for(pool, 1, 1000, go_on, &e);
    assert_joins(fs[2], SHUNT_EAGAIN);
    stage_let(hold);
    assert_joins(fs[0], 0);
    assert_joins(fs[1], 0);
    assert_long(tally_of(e.ran), 2 * 999);
    harness_free(pool);
}

/* ---- in tasks, and nested ---- */

static int loop_inside(const struct visits *v, long *out)
{
    *out = shunt_join(shunt_for(NULL, 0, 10000, visit, v));
    return 0;
}
SHUNT_TASK(loop_inside, struct visits, long)

static void a_task_may_wait_for_a_loop_on_a_pool_of_one(void)
{
    struct visits v = { stage_bytes(10000), 0, 0 };
    shunt_pool *pool = harness_pool(1);

    assert_takes(shunt_submit(pool, loop_inside, &v), 0);
    assert_visited(v.counts, 10000, 1);
    harness_free(pool);
}

enum {
    INNER = 300
};

static int loop_of_loops(size_t from, size_t to, const struct visits *v)
{
    for (; from < to; from++) {
        struct visits row = { v->counts + from * INNER, 0, v->spin };
        int rc = shunt_join(shunt_for(NULL, 0, INNER, visit, &row));

        if (rc != 0)
            return rc;
    }
    return 0;
}

static void a_body_may_have_loops_of_its_own(void)
{
    struct visits v = { stage_bytes(INNER * INNER), 0, 100 };

    for (int workers = 1; workers <= 4; workers *= 2) {
        shunt_pool *pool = harness_pool(workers);

        memset(v.counts, 0, INNER * INNER);
        assert_joins(shunt_for(pool, 0, INNER, loop_of_loops, &v), 0);
        assert_visited(v.counts, INNER * INNER, 1);
        harness_free(pool);
    }
}

static const struct CMUnitTest claims[] = {
    CLAIM(each_index_is_visited_once_by_any_number_of_workers),
    CLAIM(a_body_may_be_as_uneven_as_it_likes),
    CLAIM(a_range_may_end_at_the_last_index),
    CLAIM(many_loops_go_on_at_the_same_time),
    CLAIM_OF_THREADS(two_workers_share_a_loop),
    CLAIM(a_body_without_a_context_gets_null),
    CLAIM(the_context_is_copied_as_it_is_aligned),
    CLAIM(no_part_is_smaller_than_the_grain),
    CLAIM(a_body_that_fails_at_an_index_fails_the_loop),
    CLAIM(of_parts_that_all_fail_one_is_told),
    CLAIM(a_failure_ends_a_loop_that_would_never_end),
    CLAIM(a_body_may_fail_as_another_future_has),
    CLAIM(of_parts_that_fail_as_others_have_one_is_told),
    CLAIM(a_cancelled_loop_ends_between_two_chunks),
    CLAIM(a_loop_that_is_cancelled_in_the_queue_never_begins),
    CLAIM(a_body_may_heed_a_cancellation_itself),
    CLAIM_OF_THREADS(a_loop_has_the_deadline_of_its_task),
    CLAIM(a_bad_argument_fails_a_loop),
    CLAIM(a_loop_over_nothing_succeeds_at_once),
    CLAIM(a_loop_counts_as_one_task_for_the_queue),
    CLAIM(a_task_may_wait_for_a_loop_on_a_pool_of_one),
    CLAIM(a_body_may_have_loops_of_its_own),
};

HARNESS_MAIN(claims)
