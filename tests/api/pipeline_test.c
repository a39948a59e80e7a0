/* SPDX-License-Identifier: MIT */
/*
 * pipeline_test.c - shunt_pipeline takes each item through all stages, in order
 * where that was asked for, and so many at a time.
 *
 * Method. What stages look at lies on the stage, so that they find it in any
 * process; they say what is wrong by failing.
 */
#include <sched.h>
#include <string.h>

#include "stage.h"

/* ---- a source, and stages that look at what they get ---- */

struct world {
    long n;    /* items that there are; negative: no end */
    long next; /* the one that the source makes next */
    long last; /* of a stage in order: the one before */
    long sum;  /* of a serial stage, which no two add to at a time */
    long inside, inside_max;
    int spin; /* how much longer one item in 10 takes */
    long fail_at;
    struct tally *made, *dropped, *under_way, *most;
    struct latch *begun, *go;
};

struct item {
    struct world *w;
    long number, square;
};

struct wide {
    _Alignas(64) struct item item;
    char bytes[300];
};

static struct world *world(long n)
{
    struct world *w = stage_bytes(sizeof *w);

    w->n = n;
    w->last = w->fail_at = -1;
    w->made = stage_tally();
    w->dropped = stage_tally();
    w->under_way = stage_tally();
    w->most = stage_tally();
    w->begun = stage_latch();
    w->go = stage_latch();
    return w;
}

static int make(const shunt_none *in, struct world *const *w, struct item *out)
{
    (void)in;
    if (out->w != NULL || out->number != 0)
        return 90;
    if ((*w)->next == (*w)->n)
        return SHUNT_PIPELINE_END;
    tally_add((*w)->made, 1);
    tally_max((*w)->most, tally_add((*w)->under_way, 1) + 1);
    *out = (struct item){ *w, (*w)->next++, 0 };
    return 0;
}
SHUNT_STEP(make, shunt_none, struct world *, struct item)

static void spin(int n)
{
    for (volatile int i = 0; i < n; i++)
        ;
}

static void drop_item(void *in)
{
    const struct item *item = in;

    tally_add(item->w->dropped, 1);
}

static int square(const struct item *in, struct wide *out)
{
    if ((uintptr_t)out % 64 != 0 || out->bytes[299] != 0)
        return 91;
    if (in->number % 10 == 3)
        spin(in->w->spin);
    out->item = *in;
    out->item.square = in->number * in->number;
    memset(out->bytes, (char)in->number, sizeof out->bytes);
    return 0;
}
SHUNT_TASK(square, struct item, struct wide, .drop = drop_item)

static int add_up(const struct wide *in, struct item *out)
{
    struct world *w = in->item.w;

    if (w->inside++ != 0 || in->bytes[299] != (char)in->item.number ||
        in->item.square != in->item.number * in->item.number)
        return 92;
    w->sum += in->item.square;
    if (in->item.number % 10 == 7)
        spin(w->spin);
    *out = in->item;
    w->inside--;
    return 0;
}
SHUNT_TASK(add_up, struct wide, struct item, .drop = drop_item)

/* The last stage, where items come in order. */
static int end_in_order(const struct item *in, shunt_none *out)
{
    (void)out;
    tally_add(in->w->under_way, -1);
    if (in->w->last + 1 != in->number)
        return 93;
    in->w->last = in->number;
    return 0;
}
SHUNT_TASK(end_in_order, struct item, shunt_none, .drop = drop_item)

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
    static const long sizes[] = { 0, 1, 2, 7, 1000 };
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
        ITEMS = 200
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

/* ---- failures ---- */

static int fail_at(const struct item *in, struct item *out)
{
    *out = *in;
    if (in->number != in->w->fail_at)
        return 0;
    return shunt_fail(60 + (int)in->number % 7, "item %ld.", in->number);
}
SHUNT_TASK(fail_at, struct item, struct item, .drop = drop_item)

static void a_stage_that_fails_fails_the_pipeline_and_stops_the_source(void)
{
    static const long at[] = { 0, 1, 5, 100 };

    for (int workers = 1; workers <= 4; workers *= 2) {
        shunt_pool *pool = harness_pool(workers);

        for (int order = 0; order < 3; order++)
            for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
                struct world *w = world(-1);
                shunt_stage stages[] = {
                    SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, &w),
                    SHUNT_STAGE(fail_at, (shunt_stage_order)order),
                    SHUNT_STAGE(end_in_order, SHUNT_SERIAL_IN_ORDER),
                };
                shunt_future *f;
                char text[32];

                w->fail_at = at[i];
                f = shunt_pipeline(pool, stages, 3, .tokens = 5);
                assert_fails_with(f, 60 + (int)at[i] % 7);
                snprintf(text, sizeof text, "item %ld.", at[i]);
                assert_non_null(strstr(shunt_error_of(f)->message, text));
                assert_ok(shunt_release(f));
                assert_in_range(tally_of(w->made), at[i] + 1, at[i] + 6);
                assert_true(w->last < at[i]);
            }
        harness_free(pool);
    }
}

static int fail_silently(const struct item *in, struct item *out)
{
    *out = *in;
    return in->number == 2 ? 8 : 0;
}
SHUNT_TASK(fail_silently, struct item, struct item)

static void a_failure_without_a_text_says_which_stage_and_item(void)
{
    struct world *w = world(-1);
    shunt_pool *pool = harness_pool(2);
    shunt_stage stages[] = {
        SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, &w),
        SHUNT_STAGE(fail_silently, SHUNT_SERIAL_IN_ORDER),
    };
    shunt_future *f = shunt_pipeline(pool, stages, 2);

    assert_fails_with(f, 8);
    assert_non_null(strstr(shunt_error_of(f)->message,
                           "stage 1, fail_silently, returned 8 for item 2"));
    assert_ok(shunt_release(f));
    harness_free(pool);
}

/* Each value that was made is dropped once: in flight, waiting for its turn, or
 * not sent at all. */
static void what_is_in_flight_is_dropped_once(void)
{
    shunt_pool *pool = harness_pool(3);

    for (int round = 0; round < 50; round++) {
        struct world *w = world(-1);
        shunt_stage stages[] = {
            SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, &w),
            SHUNT_STAGE(fail_at, SHUNT_PARALLEL),
        };
        long made;

        w->fail_at = round;
        assert_joins(shunt_pipeline(pool, stages, 2, .tokens = 7),
                     SHUNT_EFAILED);
        made = tally_of(w->made);
        assert_true(made > round);
        assert_long(tally_of(w->dropped), made);
    }
    harness_free(pool);
}

/* Item 5 fails while item 3 is here, which then fails, too. */
static int fail_twice(const struct item *in, shunt_none *out)
{
    (void)out;
    if (in->number == 5)
        return latch_reaches(in->w->begun, 1) ? 5 : STAGE_LATE;
    if (in->number != 3)
        return 0;
    latch_raise(in->w->begun);
    while (!shunt_cancelled())
        sched_yield();
    return 3;
}
SHUNT_TASK(fail_twice, struct item, shunt_none)

static void of_items_that_fail_the_first_one_is_told(void)
{
    shunt_pool *pool = harness_pool(3);

    for (int round = 0; round < 50; round++) {
        struct world *w = world(-1);
        shunt_stage stages[] = {
            SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, &w),
            SHUNT_STAGE(fail_twice, SHUNT_PARALLEL),
        };
        shunt_future *f = shunt_pipeline(pool, stages, 2, .tokens = 6);

        assert_fails_with(f, 3);
        assert_ok(shunt_release(f));
    }
    harness_free(pool);
}

static int make_some(const shunt_none *in, struct world *const *w,
                     struct item *out)
{
    int rc = make(in, w, out);

    if (rc == SHUNT_PIPELINE_END)
        return shunt_fail(70, "no item %ld", (*w)->n);
    return rc;
}
SHUNT_STEP(make_some, shunt_none, struct world *, struct item)

static void a_source_may_fail(void)
{
    shunt_pool *pool = harness_pool(2);

    for (long n = 0; n < 10; n++) {
        struct world *w = world(n);
        shunt_stage stages[] = {
            SHUNT_STAGE_WITH(make_some, SHUNT_SERIAL_IN_ORDER, &w),
            SHUNT_STAGE(fail_at, SHUNT_PARALLEL),
        };
        shunt_future *f = shunt_pipeline(pool, stages, 2, .tokens = 3);

        assert_fails_with(f, 70);
        assert_non_null(strstr(shunt_error_of(f)->message, "no item"));
        assert_ok(shunt_release(f));
        assert_long(tally_of(w->dropped), n);
    }
    harness_free(pool);
}

/* The end of a source is no failure, whatever it has said before. */
static int make_and_say(const shunt_none *in, struct world *const *w,
                        struct item *out)
{
    (void)shunt_fail(1, "not so");
    return make(in, w, out);
}
SHUNT_STEP(make_and_say, shunt_none, struct world *, struct item)

static int end_as_a_source(const struct item *in, shunt_none *out)
{
    (void)out;
    return in->number == 1 ? SHUNT_PIPELINE_END : 0;
}
SHUNT_TASK(end_as_a_source, struct item, shunt_none)

static void the_end_is_said_by_the_source_alone(void)
{
    struct world *w = world(5);
    shunt_pool *pool = harness_pool(2);
    shunt_stage stages[] = {
        SHUNT_STAGE_WITH(make_and_say, SHUNT_SERIAL_IN_ORDER, &w),
        SHUNT_STAGE(end_as_a_source, SHUNT_PARALLEL),
    };
    shunt_future *f;

    assert_joins(shunt_pipeline(pool, stages, 1), 0);
    w->next = 0;
    f = shunt_pipeline(pool, stages, 2);
    assert_fails_with(f, SHUNT_PIPELINE_END);
    assert_ok(shunt_release(f));
    harness_free(pool);
}

/* ---- cancellation ---- */

static int begin(const struct item *in, struct item *out)
{
    *out = *in;
    if (in->number == 20)
        latch_raise(in->w->begun);
    return 0;
}
SHUNT_TASK(begin, struct item, struct item, .drop = drop_item)

static void a_cancelled_pipeline_ends_soon(void)
{
    for (int workers = 1; workers <= 4; workers *= 2) {
        shunt_pool *pool = harness_pool(workers);

        for (int round = 0; round < 20; round++) {
            struct world *w = world(-1);
            shunt_stage stages[] = {
                SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, &w),
                SHUNT_STAGE(begin, SHUNT_PARALLEL),
                SHUNT_STAGE(end_in_order, SHUNT_SERIAL_IN_ORDER),
            };
            shunt_future *f = shunt_pipeline(pool, stages, 3, .tokens = 4);
            long made;

            assert_true(latch_reaches(w->begun, 1));
            for (int i = 0; i < round; i++)
                sched_yield();
            assert_status(shunt_cancel(f), 1);
            assert_joins(f, SHUNT_ECANCELED);
            made = tally_of(w->made);
            /* No code of it runs any more. */
            assert_in_range(tally_of(w->dropped), made, 2 * made);
            assert_long(tally_of(w->made), made);
        }
        harness_free(pool);
    }
}

static int heed(const struct item *in, shunt_none *out)
{
    (void)out;
    latch_raise(in->w->begun);
    while (!shunt_cancelled())
        sched_yield();
    tally_add(in->w->most, 1);
    return SHUNT_ECANCELED;
}
SHUNT_TASK(heed, struct item, shunt_none)

static int set_off(const struct item *in, struct item *out)
{
    *out = *in;
    return in->number == 1 && !latch_reaches(in->w->begun, 1) ? STAGE_LATE : 0;
}
SHUNT_TASK(set_off, struct item, struct item)

/* Method: item 0 is in a serial stage and looks whether it was cancelled, the
 * others wait for their turn; the future settles behind them. */
static void stages_may_heed_a_cancellation_and_are_waited_for(void)
{
    shunt_pool *pool = harness_pool(3);

    for (int order = 1; order < 3; order++) {
        struct world *w = world(-1);
        shunt_stage stages[] = {
            SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, &w),
            SHUNT_STAGE(set_off, SHUNT_PARALLEL),
            SHUNT_STAGE(heed, (shunt_stage_order)order),
        };
        shunt_future *f = shunt_pipeline(pool, stages, 3, .tokens = 8);

        assert_true(latch_reaches(w->begun, 1));
        assert_status(shunt_cancel(f), 1);
        assert_joins(f, SHUNT_ECANCELED);
        assert_true(tally_of(w->most) > 0);
        assert_long(latch_level(w->begun), 1);
    }
    harness_free(pool);
}

static void a_pipeline_that_is_cancelled_in_the_queue_never_begins(void)
{
    struct world *w = world(-1);
    shunt_pool *pool = harness_pool(1);
    struct stage_hold hold = stage_hold(pool);
    shunt_stage stages[] = {
        SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, &w),
    };
    shunt_future *f = shunt_pipeline(pool, stages, 1);

    assert_status(shunt_cancel(f), 1);
    assert_joins(f, SHUNT_ECANCELED);
    stage_let(hold);
    harness_free(pool);
    assert_long(tally_of(w->made), 0);
}

static int pipe_for_ever(struct world *const *w, int *out)
{
    shunt_stage stages[] = {
        SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, w),
        SHUNT_STAGE(begin, SHUNT_PARALLEL),
    };

    *out = shunt_join(shunt_pipeline(NULL, stages, 2));
    return 0;
}
SHUNT_TASK(pipe_for_ever, struct world *, int)

static void a_pipeline_has_the_deadline_of_its_task(void)
{
    struct world *w = world(-1);
    shunt_pool *pool = NULL;
    shunt_future *f;

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = 2, .manual_clock = true }));
    f = shunt_submit_with(pool, pipe_for_ever, &w, .deadline_ns = SHUNT_S(1));
    assert_true(latch_reaches(w->begun, 1));
    assert_ok(shunt_pool_advance(pool, SHUNT_S(2)));
    assert_joins(f, SHUNT_ETIMEDOUT);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    harness_free(pool);
    assert_long(tally_of(w->dropped), tally_of(w->made));
}

static void a_pool_that_is_cancelled_ends_its_pipelines(void)
{
    struct world *w = world(-1);
    shunt_pool *pool = harness_pool(2);
    shunt_stage stages[] = {
        SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, &w),
        SHUNT_STAGE(begin, SHUNT_SERIAL_IN_ORDER),
    };
    shunt_future *f = shunt_pipeline(pool, stages, 2);

    assert_true(latch_reaches(w->begun, 1));
    assert_ok(shunt_pool_shutdown(pool, SHUNT_CANCEL, SHUNT_FOREVER, NULL));
    assert_joins(f, SHUNT_ECANCELED);
    assert_long(tally_of(w->dropped), tally_of(w->made));
    harness_free(pool);
}

static void a_pool_that_drains_waits_for_its_pipelines(void)
{
    struct world *w = world(500);
    shunt_pool *pool = harness_pool(2);
    shunt_stage stages[] = {
        SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, &w),
        SHUNT_STAGE(square, SHUNT_PARALLEL),
        SHUNT_STAGE(add_up, SHUNT_SERIAL_IN_ORDER),
        SHUNT_STAGE(end_in_order, SHUNT_SERIAL_IN_ORDER),
    };
    shunt_future *f = shunt_pipeline(pool, stages, 4, .tokens = 3);

    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    assert_joins(f, 0);
    assert_long(w->last, 499);
    harness_free(pool);
}

/* A stage that has committed, and then waits for a turn that never comes. */
static int commit(const struct item *in, struct item *out)
{
    *out = *in;
    if (in->number == 0)
        return latch_reaches(in->w->begun, 3) ? 6 : STAGE_LATE;
    if (shunt_commit() != 0)
        return 7;
    latch_raise(in->w->begun);
    return 0;
}
SHUNT_TASK(commit, struct item, struct item, .drop = drop_item)

static void who_has_committed_waits_for_no_turn_that_never_comes(void)
{
    shunt_pool *pool = harness_pool(2);

    for (int round = 0; round < 20; round++) {
        struct world *w = world(round % 2 == 0 ? 4 : -1);
        shunt_stage stages[] = {
            SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, &w),
            SHUNT_STAGE(commit, SHUNT_PARALLEL),
            SHUNT_STAGE(end_in_order, SHUNT_SERIAL_IN_ORDER),
        };
        shunt_future *f = shunt_pipeline(pool, stages, 3, .tokens = 4);

        assert_fails_with(f, 6);
        assert_ok(shunt_release(f));
        assert_long(tally_of(w->made), 4);
        assert_long(w->last, -1);
    }
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
        OUTER = 20,
        INNER = 30
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

/* Method: 2 GB go through a pool of 64 MB. */
static void what_stages_allocate_lives_as_long_as_their_item(void)
{
    struct world *w = world(10000);
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
    assert_long(w->last, 9999);
    harness_free(pool);
}

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

/* ---- processes ---- */

static int note_process(const struct item *in, shunt_none *out)
{
    long *processes = stage_shown(STAGE_OF_TEST);

    (void)out;
    processes[in->number] = stage_process();
    latch_raise(in->w->begun);
    return latch_reaches(in->w->begun, 3) ? 0 : STAGE_LATE;
}
SHUNT_TASK(note_process, struct item, shunt_none)

static void items_are_spread_over_the_processes(void)
{
    struct world *w = world(3);
    long *processes = stage_bytes(3 * sizeof *processes);
    shunt_pool *pool = harness_pool(4);
    shunt_stage stages[] = {
        SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, &w),
        SHUNT_STAGE(note_process, SHUNT_PARALLEL),
    };

    stage_show(STAGE_OF_TEST, processes);
    assert_joins(shunt_pipeline(pool, stages, 2, .tokens = 3), 0);
    assert_true(processes[0] != processes[1] && processes[1] != processes[2] &&
                processes[0] != processes[2]);
    harness_free(pool);
}

static int die_at(const struct item *in, struct item *out)
{
    *out = *in;
    if (in->number == in->w->fail_at)
        abort();
    return 0;
}
SHUNT_TASK(die_at, struct item, struct item, .drop = drop_item)

static void a_stage_that_dies_fails_the_pipeline_and_the_pool_goes_on(void)
{
    shunt_pool *pool = harness_pool(3);

    for (int order = 0; order < 3; order++)
        for (long round = 0; round < harness_pools(20); round++) {
            struct world *w = world(-1);
            shunt_stage stages[] = {
                SHUNT_STAGE_WITH(make, SHUNT_SERIAL_IN_ORDER, &w),
                SHUNT_STAGE(die_at, (shunt_stage_order)order),
                SHUNT_STAGE(end_in_order, SHUNT_SERIAL_IN_ORDER),
            };

            w->fail_at = round * 7;
            assert_joins(shunt_pipeline(pool, stages, 3, .tokens = 5),
                         SHUNT_ECRASHED);
            assert_in_range(tally_of(w->made), w->fail_at, w->fail_at + 6);
            run_all(pool, 50, 6, 0);
        }
    harness_free(pool);
}

static int die_as_source(const shunt_none *in, struct world *const *w,
                         struct item *out)
{
    if ((*w)->next == (*w)->fail_at)
        abort();
    return make(in, w, out);
}
SHUNT_STEP(die_as_source, shunt_none, struct world *, struct item)

static void a_source_that_dies_fails_the_pipeline(void)
{
    shunt_pool *pool = harness_pool(3);

    for (long round = 0; round < harness_pools(50); round++) {
        struct world *w = world(-1);
        shunt_stage stages[] = {
            SHUNT_STAGE_WITH(die_as_source, SHUNT_SERIAL_IN_ORDER, &w),
            SHUNT_STAGE(fail_at, SHUNT_PARALLEL),
            SHUNT_STAGE(end_in_order, SHUNT_SERIAL_IN_ORDER),
        };

        w->fail_at = round * 5;
        assert_joins(shunt_pipeline(pool, stages, 3, .tokens = 5),
                     SHUNT_ECRASHED);
        run_all(pool, 50, 6, 0);
    }
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(items_go_through_all_stages_by_any_number_of_workers),
    CLAIM(many_pipelines_go_on_at_the_same_time),
    CLAIM(a_source_alone_is_a_pipeline),
    CLAIM(as_many_are_under_way_as_there_are_tokens),
    CLAIM(out_of_order_one_item_overtakes_another),
    CLAIM(a_slow_item_holds_one_token_and_no_more),
    CLAIM(a_stage_that_fails_fails_the_pipeline_and_stops_the_source),
    CLAIM(a_failure_without_a_text_says_which_stage_and_item),
    CLAIM(what_is_in_flight_is_dropped_once),
    CLAIM(of_items_that_fail_the_first_one_is_told),
    CLAIM(a_source_may_fail),
    CLAIM(the_end_is_said_by_the_source_alone),
    CLAIM(a_cancelled_pipeline_ends_soon),
    CLAIM(stages_may_heed_a_cancellation_and_are_waited_for),
    CLAIM(a_pipeline_that_is_cancelled_in_the_queue_never_begins),
    CLAIM_OF_THREADS(a_pipeline_has_the_deadline_of_its_task),
    CLAIM(a_pool_that_is_cancelled_ends_its_pipelines),
    CLAIM(a_pool_that_drains_waits_for_its_pipelines),
    CLAIM(who_has_committed_waits_for_no_turn_that_never_comes),
    CLAIM(stages_may_wait_and_have_pipelines_of_their_own),
    CLAIM(what_stages_allocate_lives_as_long_as_their_item),
    CLAIM(contexts_are_copied_and_dropped_once),
    CLAIM(a_stage_that_does_not_fit_is_named),
    CLAIM(a_bad_argument_fails_a_pipeline),
    CLAIM(a_pipeline_counts_as_one_task_for_the_queue),
    CLAIM(a_stage_of_the_host_runs_on_threads_alone),
    CLAIM_OF_PROCESSES(items_are_spread_over_the_processes),
    CLAIM_OF_PROCESSES(
        a_stage_that_dies_fails_the_pipeline_and_the_pool_goes_on),
    CLAIM_OF_PROCESSES(a_source_that_dies_fails_the_pipeline),
};

HARNESS_MAIN(claims)
