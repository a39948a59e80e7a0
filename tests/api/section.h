/* SPDX-License-Identifier: MIT */
/*
 * section.h - tasks that wait in a section, which others may use to run: what
 * the tests of that share. They wait for latches of the test.
 */
#ifndef SHUNT_TESTS_SECTION_H
#define SHUNT_TESTS_SECTION_H

#include <time.h>

#include "stage.h"

struct section {
    struct latch *in, *go, *over;
    struct tally *rc; /* what the calls have returned, added up */
    int depth;        /* sections, one in the other */
};

/* Begin, wait for the latch, end. */
static inline int wait_in_section(const struct section *in, shunt_none *out)
{
    bool came;

    (void)out;
    for (int i = 0; i < in->depth; i++)
        tally_add(in->rc, shunt_blocking_begin());
    latch_raise(in->in);
    came = latch_reaches(in->go, 1);
    for (int i = 0; i < in->depth; i++)
        tally_add(in->rc, shunt_blocking_end());
    if (in->over != NULL)
        latch_raise(in->over);
    return came ? 0 : STAGE_LATE;
}
SHUNT_TASK(wait_in_section, struct section, shunt_none)

static inline int wait_with_trait(const struct section *in, shunt_none *out)
{
    (void)out;
    latch_raise(in->in);
    return latch_reaches(in->go, 1) ? 0 : STAGE_LATE;
}
SHUNT_TASK(wait_with_trait, struct section, shunt_none, .blocking = true)

static inline struct section new_section(void)
{
    return (struct section){ .in = stage_latch(),
                             .go = stage_latch(),
                             .rc = stage_tally(),
                             .depth = 1 };
}

/* 0 is what the library says: the harness would have none. */
static inline shunt_pool *pool_of(int workers, int blocking_max)
{
    shunt_pool *pool = NULL;

    harness_env("SHUNT_BLOCKING_MAX", NULL);
    assert_ok(shunt_pool_new(
        &pool,
        &(shunt_options){ .workers = workers, .blocking_max = blocking_max }));
    return pool;
}

static inline shunt_pool_stats stats_of(shunt_pool *pool)
{
    shunt_pool_stats s;

    assert_ok(shunt_stats(pool, &s, NULL, 0));
    return s;
}

/* Whether so many have come, who are counted when they have been started. */
static inline bool stood_in_reaches(shunt_pool *pool, uint64_t n)
{
    for (int64_t ns = 0; ns < harness_patience(); ns += SHUNT_MS(1)) {
        if (stats_of(pool).stood_in >= n)
            return true;
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    }
    return false;
}

static inline void assert_works(shunt_pool *pool)
{
    assert_takes(shunt_submit(pool, stage_same, &(long){ 8 }), 8);
}

/* Long enough for a pool to do what it should not. */
static inline void wait_a_while(void)
{
    nanosleep(&(struct timespec){ .tv_nsec = 30000000 }, NULL);
}

enum {
    MOST = 40
};

/* n tasks that block at one time, and their end. */
static inline void run_at_once(shunt_pool *pool, int n, const shunt_task *task)
{
    struct section in = new_section();
    shunt_future *fs[MOST];

    for (int i = 0; i < n; i++)
        fs[i] = shunt_submit_task(pool, task, &in, NULL);
    assert_true(latch_reaches(in.in, (unsigned)n));
    latch_raise(in.go);
    for (int i = 0; i < n; i++)
        assert_joins(fs[i], 0);
    assert_long(tally_of(in.rc), 0);
}

#endif /* SHUNT_TESTS_SECTION_H */
