/* SPDX-License-Identifier: MIT */
/*
 * pipeline_misuse_test.c - what a pipeline copies of what it is given, and what
 * it refuses.
 */
#include <string.h>

#include "items.h"

/* ---- contexts ---- */

struct large {
    _Alignas(64) struct world *w;
    char bytes[5000];
};

static void drop_large(void *ctx)
{
    const struct large *l = ctx;

    tally_add(l->w->most, 1);
}

static int look_at_large(const struct item *in, const struct large *c,
                         shunt_none *out)
{
    (void)out;
    if (in->w != c->w || (uintptr_t)c % 64 != 0)
        return 1;
    for (size_t i = 0; i < sizeof c->bytes; i++)
        if (c->bytes[i] != 'x')
            return 2;
    return tally_of(c->w->most) != 0; /* dropped before */
}
SHUNT_STEP(look_at_large, struct item, struct large, shunt_none,
           .drop = drop_large)

static int make_quietly(const shunt_none *in, struct world *const *w,
                        struct item *out)
{
    (void)in;
    *out = (struct item){ *w, (*w)->next, 0 };
    return (*w)->next++ < (*w)->n ? 0 : SHUNT_PIPELINE_END;
}
SHUNT_STEP(make_quietly, shunt_none, struct world *, struct item)

static void contexts_are_copied_and_dropped_once(void)
{
    struct world *w = world(100);
    shunt_pool *pool = harness_pool(1);
    struct stage_hold hold = stage_hold(pool);
    struct large c = { .w = w };
    struct world *copy = w;
    shunt_stage stages[] = {
        SHUNT_STAGE_WITH(make_quietly, SHUNT_SERIAL_IN_ORDER, &copy),
        SHUNT_STAGE_WITH(look_at_large, SHUNT_PARALLEL, &c),
        SHUNT_STAGE(stage_same, SHUNT_PARALLEL),
    };
    shunt_future *f;

    memset(c.bytes, 'x', sizeof c.bytes);
    stages[1].drop = drop_item;
    /* The third stage does not fit, so it is refused. */
    assert_joins(shunt_pipeline(pool, stages, 3), SHUNT_EINVAL);
    assert_long(tally_of(w->most), 1);
    tally_add(w->most, -1);
    f = shunt_pipeline(pool, stages, 2);
    memset(&c, 0xff, sizeof c);
    memset(stages, 0xff, sizeof stages);
    copy = NULL;
    stage_let(hold);
    assert_joins(f, 0);
    assert_long(tally_of(w->most), 1);
    assert_long(tally_of(w->dropped), 100);
    harness_free(pool);
}

/* ---- bad arguments ---- */

static int no_source(const long *in, struct item *out)
{
    (void)in;
    (void)out;
    return 0;
}
SHUNT_TASK(no_source, long, struct item)

static int one_source(const shunt_none *in, struct item *out)
{
    (void)in;
    (void)out;
    return SHUNT_PIPELINE_END;
}
SHUNT_TASK(one_source, shunt_none, struct item)

static int give_future(const struct item *in, shunt_future **out)
{
    (void)in;
    (void)out;
    return 0;
}
SHUNT_TASK(give_future, struct item, shunt_future *)

static void assert_refused(shunt_pool *pool, const shunt_stage *stages,
                           size_t n, const char *text)
{
    shunt_future *f = shunt_pipeline(pool, stages, n);

    assert_settles(f, SHUNT_EINVAL);
    if (strstr(shunt_error_of(f)->message, text) == NULL)
        assert_string_equal(shunt_error_of(f)->message, text);
    assert_ok(shunt_release(f));
}

static void a_stage_that_does_not_fit_is_named(void)
{
    struct world *w = world(0);
    shunt_pool *pool = harness_pool(1);
    shunt_stage good = SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, &w);
    shunt_stage stages[3] = { good, SHUNT_STAGE(add_up, SHUNT_PARALLEL) };

    assert_refused(pool, stages, 2,
                   "stage 1, add_up, takes struct wide (384 bytes), and stage "
                   "0, make, makes struct item (24 bytes)");
    stages[1] = SHUNT_STAGE(give_future, SHUNT_PARALLEL);
    assert_refused(pool, stages, 2, "stage 1, give_future, returns a future");
    stages[1] = SHUNT_STAGE(square, (shunt_stage_order)3);
    assert_refused(pool, stages, 2, "stage 1, square, has no order");
    stages[1] = SHUNT_STAGE(square, SHUNT_PARALLEL);
    assert_refused(pool, stages, 3, "stage 2 has no function");
    stages[1].ctx = &w;
    assert_refused(pool, stages, 2, "stage 1, square, takes no context");
    stages[0].ctx = NULL;
    assert_refused(pool, stages, 2, "stage 0, make, has no context");
    stages[0] = SHUNT_STAGE_WITH(make, SHUNT_PARALLEL, &w);
    assert_refused(pool, stages, 1, "stage 0, make, is the source, and par");
    stages[0] = SHUNT_STAGE(no_source, SHUNT_SERIAL_IN_ORDER);
    assert_refused(pool, stages, 1, "is the source, and takes something");
    stages[0] = SHUNT_STAGE_WITH(look_at_large, SHUNT_SERIAL_IN_ORDER, NULL);
    assert_refused(pool, stages, 1, "stage 0, look_at_large, has no context");
    assert_refused(pool, stages, 0, "without stages");
    assert_refused(pool, NULL, 1, "without stages");
    assert_refused(pool, stages, SHUNT_STAGES_MAX + 1, "more than 1024 stages");
    assert_refused(pool, stages, SIZE_MAX, "more than 1024 stages");
    harness_free(pool);
}

static void a_bad_argument_fails_a_pipeline(void)
{
    struct world *w = world(3);
    shunt_pool *pool = harness_pool(1);
    shunt_stage stages[] = {
        SHUNT_STAGE(one_source, SHUNT_SERIAL_IN_ORDER),
        SHUNT_STAGE(begin, SHUNT_SERIAL_IN_ORDER),
    };

    assert_joins(shunt_pipeline(NULL, stages, 2), SHUNT_EINVAL);
    assert_joins(shunt_pipeline(pool, stages, 2, .tokens = SIZE_MAX),
                 SHUNT_ENOMEM);
    assert_joins(shunt_pipeline(pool, stages, 2, .tokens = SIZE_MAX / 256),
                 SHUNT_ENOMEM);
    assert_joins(shunt_pipeline(pool, stages, 2, .tokens = PTRDIFF_MAX / 512),
                 SHUNT_ENOMEM);
    assert_joins(shunt_pipeline(pool, stages, 2), 0);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    assert_joins(shunt_pipeline(pool, stages, 2), SHUNT_ECLOSED);
    harness_free(pool);
    assert_joins(shunt_pipeline(pool, stages, 2), SHUNT_EINVAL);
    assert_long(w->next, 0);
}

static void a_pipeline_counts_as_one_task_for_the_queue(void)
{
    struct world *w = world(200);
    shunt_pool *pool = NULL;
    shunt_stage stages[] = {
        SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, &w),
        SHUNT_STAGE(begin, SHUNT_PARALLEL),
    };
    struct stage_hold hold;
    shunt_future *fs[2];

    assert_ok(shunt_pool_new(&pool,
                             &(shunt_options){ .workers = 1, .queue_max = 1 }));
    hold = stage_hold(pool);
    for (int i = 0; i < 2; i++)
        fs[i] = shunt_pipeline(pool, stages, 2, .tokens = 10);
    assert_joins(fs[1], SHUNT_EAGAIN);
    stage_let(hold);
    assert_joins(fs[0], 0);
    assert_long(tally_of(w->dropped), 200);
    harness_free(pool);
}

static int host_stage(const struct item *in, struct item *out)
{
    *out = *in;
    return 0;
}
SHUNT_TASK(host_stage, struct item, struct item, .host_only = true)

static void a_stage_of_the_host_runs_on_threads_alone(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_stage stages[] = {
        SHUNT_STAGE(one_source, SHUNT_SERIAL_IN_ORDER),
        SHUNT_STAGE(host_stage, SHUNT_PARALLEL),
    };

    assert_joins(shunt_pipeline(pool, stages, 2),
                 harness_isolated() ? SHUNT_ENOTSUP : 0);
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(contexts_are_copied_and_dropped_once),
    CLAIM(a_stage_that_does_not_fit_is_named),
    CLAIM(a_bad_argument_fails_a_pipeline),
    CLAIM(a_pipeline_counts_as_one_task_for_the_queue),
    CLAIM(a_stage_of_the_host_runs_on_threads_alone),
};

HARNESS_MAIN(claims)
