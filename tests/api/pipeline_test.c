/* SPDX-License-Identifier: MIT */
/*
 * pipeline_test.c - shunt_pipeline takes each item through all stages, in order
 * where that was asked for, and so many at a time.
 */
#include <string.h>

#include "items.h"

/* ---- what holds of all ---- */

static void run_all(shunt_pool *pool, long n, size_t tokens, int slow)
{
    struct world *w = world(n);
    shunt_stage stages[] = {
        SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, &w),
        SHUNT_STAGE(square, SHUNT_PARALLEL),
        SHUNT_STAGE(add_up, SHUNT_SERIAL_OUT_OF_ORDER),
        SHUNT_STAGE(end_in_order, SHUNT_SERIAL_IN_ORDER),
    };
    long sum = 0;

    harness_note("%ld items, %zu tokens", n, tokens);
    w->spin = slow;
    for (long i = 0; i < n; i++)
        sum += i * i;
    assert_joins(shunt_pipeline(pool, stages, 4, .tokens = tokens), 0);
    assert_long(w->sum, sum);
    assert_long(w->last, n - 1);
    assert_long(tally_of(w->made), n);
    assert_long(tally_of(w->dropped), 3 * n);
    assert_long(tally_of(w->under_way), 0);
    if (tokens > 0)
        assert_in_range(tally_of(w->most), n > 0, tokens);
}

static void items_go_through_all_stages_by_any_number_of_workers(void)
{
    const long sizes[] = { 0, 1, 2, 7, harness_slowness() > 1 ? 50 : 1000 };
    static const size_t tokens[] = { 0, 1, 2, 3, 16, 2000 };

    harness_limit(120);
    for (int workers = 1; workers <= 8; workers *= 2) {
        shunt_pool *pool = harness_pool(workers);

        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
            for (size_t k = 0; k < sizeof tokens / sizeof tokens[0]; k++)
                run_all(pool, sizes[i], tokens[k], (int)k % 2 * 20000);
        harness_free(pool);
    }
}

static void many_pipelines_go_on_at_the_same_time(void)
{
    enum {
        PIPELINES = 20,
        ITEMS = 100
    };
    shunt_pool *pool = harness_pool(4);
    struct world *ws[PIPELINES];
    shunt_future *fs[PIPELINES];

    for (int i = 0; i < PIPELINES; i++) {
        ws[i] = world(ITEMS);
        shunt_stage stages[] = {
            SHUNT_STAGE_WITH(make, SHUNT_SERIAL_OUT_OF_ORDER, &ws[i]),
            SHUNT_STAGE(square, SHUNT_PARALLEL),
            SHUNT_STAGE(add_up, SHUNT_SERIAL_IN_ORDER),
        };
        ws[i]->spin = i % 5 * 1000;
        fs[i] = shunt_pipeline(pool, stages, 3, .tokens = 1 + (size_t)i % 6);
    }
    assert_joins(shunt_when_all(fs, PIPELINES), 0);
    for (int i = 0; i < PIPELINES; i++)
        assert_long(tally_of(ws[i]->dropped), 2 * ITEMS);
    harness_free(pool);
}

static void a_source_alone_is_a_pipeline(void)
{
    struct world *w = world(100);
    shunt_pool *pool = harness_pool(2);
    shunt_stage stages[] = {
        SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, &w),
    };

    assert_joins(shunt_pipeline(pool, stages, 1), 0);
    assert_long(tally_of(w->made), 100);
    harness_free(pool);
}

/* ---- how many at a time ---- */

/* Wait until as many are here as there are tokens. */
static int wait_for_all(const struct item *in, shunt_none *out)
{
    (void)out;
    latch_raise(in->w->begun);
    return latch_reaches(in->w->begun, 4) ? 0 : STAGE_LATE;
}
SHUNT_TASK(wait_for_all, struct item, shunt_none)

static void as_many_are_under_way_as_there_are_tokens(void)
{
    struct world *w = world(4);
    shunt_pool *pool = harness_pool(5);
    shunt_stage stages[] = {
        SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, &w),
        SHUNT_STAGE(wait_for_all, SHUNT_PARALLEL),
    };

    assert_joins(shunt_pipeline(pool, stages, 2, .tokens = 4), 0);
    assert_long(tally_of(w->most), 4);
    harness_free(pool);
}

/* Item 0 waits until the others have got through what comes behind it. */
static int hold_first(const struct item *in, struct item *out)
{
    *out = *in;
    return in->number > 0 || latch_reaches(in->w->go, 3) ? 0 : STAGE_LATE;
}
SHUNT_TASK(hold_first, struct item, struct item)

static int let_first(const struct item *in, struct item *out)
{
    *out = *in;
    in->w->sum++;
    if (in->number > 0)
        latch_raise(in->w->go);
    return 0;
}
SHUNT_TASK(let_first, struct item, struct item)

/* Goal: where no order was asked for nobody waits for it, and where one was
 * everybody does: end_in_order finds it. */
static void out_of_order_one_item_overtakes_another(void)
{
    struct world *w = world(4);
    shunt_pool *pool = harness_pool(3);
    shunt_stage stages[] = {
        SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, &w),
        SHUNT_STAGE(hold_first, SHUNT_PARALLEL),
        SHUNT_STAGE(let_first, SHUNT_SERIAL_OUT_OF_ORDER),
        SHUNT_STAGE(end_in_order, SHUNT_SERIAL_IN_ORDER),
    };

    assert_joins(shunt_pipeline(pool, stages, 4, .tokens = 4), 0);
    assert_long(w->sum, 4);
    assert_long(w->last, 3);
    harness_free(pool);
}

/* A slow item does not keep others from taking the tokens that come back. */
static int hold_until_many(const struct item *in, shunt_none *out)
{
    (void)out;
    if (in->number == 0)
        return latch_reaches(in->w->go, 20) ? 0 : STAGE_LATE;
    latch_raise(in->w->go);
    return 0;
}
SHUNT_TASK(hold_until_many, struct item, shunt_none)

static void a_slow_item_holds_one_token_and_no_more(void)
{
    struct world *w = world(21);
    shunt_pool *pool = harness_pool(3);
    shunt_stage stages[] = {
        SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, &w),
        SHUNT_STAGE(hold_until_many, SHUNT_PARALLEL),
    };

    assert_joins(shunt_pipeline(pool, stages, 2, .tokens = 2), 0);
    harness_free(pool);
}

/* ---- what stages may do ---- */

static int submit_and_wait(const struct item *in, struct item *out)
{
    *out = *in;
    return shunt_take(shunt_submit(NULL, stage_same, &in->number),
                      &out->square);
}
SHUNT_TASK(submit_and_wait, struct item, struct item)

static int pipe_inside(const struct item *in, struct item *out)
{
    struct world *w = in->w + 1 + in->number;
    shunt_stage stages[] = {
        SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, &w),
        SHUNT_STAGE(submit_and_wait, SHUNT_PARALLEL),
        SHUNT_STAGE(end_in_order, SHUNT_SERIAL_IN_ORDER),
    };

    *out = *in;
    return shunt_join(shunt_pipeline(NULL, stages, 3, .tokens = 3));
}
SHUNT_TASK(pipe_inside, struct item, struct item)

static void stages_may_wait_and_have_pipelines_of_their_own(void)
{
    enum {
        OUTER = 8,
        INNER = 10
    };
    for (int workers = 1; workers <= 4; workers *= 2) {
        shunt_pool *pool = harness_pool(workers);
        struct world *w = stage_bytes((1 + OUTER) * sizeof *w);
        shunt_stage stages[] = {
            SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, &w),
            SHUNT_STAGE(pipe_inside, SHUNT_PARALLEL),
            SHUNT_STAGE(end_in_order, SHUNT_SERIAL_IN_ORDER),
        };

        for (int i = 0; i <= OUTER; i++)
            w[i] = *world(i == 0 ? OUTER : INNER);
        assert_joins(shunt_pipeline(pool, stages, 3), 0);
        for (int i = 0; i <= OUTER; i++)
            assert_long(w[i].last, w[i].n - 1);
        harness_free(pool);
    }
}

struct text {
    struct world *w;
    char *made, *changed;
};

static int make_text(const shunt_none *in, struct world *const *w,
                     struct text *out)
{
    (void)in;
    if ((*w)->next == (*w)->n)
        return SHUNT_PIPELINE_END;
    *out = (struct text){ *w, shunt_alloc(100000), NULL };
    if (out->made == NULL)
        return SHUNT_ENOMEM;
    snprintf(out->made, 100, "text %ld", (*w)->next++);
    return 0;
}
SHUNT_STEP(make_text, shunt_none, struct world *, struct text)

static int change_text(const struct text *in, struct text *out)
{
    *out = *in;
    out->changed = shunt_alloc(100000);
    if (out->changed == NULL)
        return SHUNT_ENOMEM;
    snprintf(out->changed, 100, "<%s>", in->made);
    return 0;
}
SHUNT_TASK(change_text, struct text, struct text)

static int read_text(const struct text *in, shunt_none *out)
{
    char expected[100];

    (void)out;
    snprintf(expected, sizeof expected, "<text %ld>", ++in->w->last);
    return strcmp(in->changed, expected) != 0;
}
SHUNT_TASK(read_text, struct text, shunt_none)

/* Method: 2 GB go through a pool of 64 MB; or, if that takes long, 100 MB. */
static void what_stages_allocate_lives_as_long_as_their_item(void)
{
    struct world *w = world(harness_slowness() > 1 ? 500 : 10000);
    shunt_pool *pool = NULL;
    shunt_stage stages[] = {
        SHUNT_STAGE_WITH(make_text, SHUNT_SERIAL_IN_ORDER, &w),
        SHUNT_STAGE(change_text, SHUNT_PARALLEL),
        SHUNT_STAGE(read_text, SHUNT_SERIAL_IN_ORDER),
    };

    assert_ok(shunt_pool_new(
        &pool,
        &(shunt_options){ .workers = 2, .arena_bytes = (size_t)64 << 20 }));
    assert_joins(shunt_pipeline(pool, stages, 3, .tokens = 8), 0);
    assert_long(w->last, w->n - 1);
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(items_go_through_all_stages_by_any_number_of_workers),
    CLAIM(many_pipelines_go_on_at_the_same_time),
    CLAIM(a_source_alone_is_a_pipeline),
    CLAIM(as_many_are_under_way_as_there_are_tokens),
    CLAIM(out_of_order_one_item_overtakes_another),
    CLAIM(a_slow_item_holds_one_token_and_no_more),
    CLAIM(stages_may_wait_and_have_pipelines_of_their_own),
    CLAIM(what_stages_allocate_lives_as_long_as_their_item),
};

HARNESS_MAIN(claims)
