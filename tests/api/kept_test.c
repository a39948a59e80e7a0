/* SPDX-License-Identifier: MIT */
/*
 * kept_test.c - memory that children read stays, whatever becomes of their
 * parent and of the pool.
 *
 * Method. A child reads its parent's block only when the parent's future is
 * gone, and another task has used memory of that size meanwhile.
 * AddressSanitizer sees what luck would hide.
 */
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "stage.h"

/* Use memory that may have been freed too early. */
static int scribble(const shunt_none *in, shunt_none *out)
{
    char *block = shunt_alloc(1000);

    (void)in;
    (void)out;
    if (block == NULL)
        return 1;
    memset(block, 7, 1000);
    return 0;
}
SHUNT_TASK(scribble, shunt_none, shunt_none)

struct heirs {
    shunt_future *gate;
    struct tally *sum;
    const char *block;
};

/* Waits without keeping a worker. */
static int read_later(const struct heirs *in, shunt_none *out)
{
    (void)out;
    if (shunt_await(in->gate) != 0)
        return STAGE_LATE;
    for (int i = 0; i < 1000; i++)
        tally_add(in->sum, in->block[i]);
    return 0;
}
SHUNT_TASK(read_later, struct heirs, shunt_none)

static int leave_heirs(const struct heirs *in, shunt_none *out)
{
    char *block = shunt_alloc(1000);

    (void)out;
    memset(block, 1, 1000);
    for (int i = 0; i < 4; i++)
        (void)shunt_submit(NULL, read_later,
                           &(struct heirs){ in->gate, in->sum, block });
    return 0;
}
SHUNT_TASK(leave_heirs, struct heirs, shunt_none)

static int leave_and_take(const struct heirs *in, shunt_none *out)
{
    return shunt_take(shunt_submit(NULL, leave_heirs, in), out);
}
SHUNT_TASK(leave_and_take, struct heirs, shunt_none)

/* Method: the parent's value was taken by a task, which has ended too. Its
 * future is what the memory goes with. */
static void memory_that_children_read_stays_when_the_value_is_taken(void)
{
    for (int i = 0; i < 20; i++) {
        shunt_pool *pool = harness_pool(1 + i % 2);
        struct stage_promise gate = stage_promise(pool);
        struct heirs heirs = { gate.future, stage_tally(), NULL };
        shunt_future *f = shunt_submit(pool, leave_and_take, &heirs);

        assert_settles(f, 0);
        assert_joins(shunt_submit(pool, scribble, NULL), 0);
        stage_give(gate.promise, 1);
        assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
        assert_long(tally_of(heirs.sum), 4000);
        assert_ok(shunt_release(f));
        assert_ok(shunt_release(gate.future));
        harness_free(pool);
    }
}

struct stubborn {
    struct latch *started, *go;
    struct tally *sum;
    const char *block;
};

/* Looks neither left nor right until it may go on. */
static int read_stubbornly(const struct stubborn *in, shunt_none *out)
{
    (void)out;
    latch_raise(in->started);
    if (!latch_reaches(in->go, 1))
        return STAGE_LATE;
    for (int i = 0; i < 1000; i++)
        tally_add(in->sum, in->block[i]);
    return 0;
}
SHUNT_TASK(read_stubbornly, struct stubborn, shunt_none)

static int leave_stubborn(const struct stubborn *in, shunt_none *out)
{
    struct stubborn child = *in;
    char *block = shunt_alloc(1000);

    (void)out;
    memset(block, 1, 1000);
    child.block = block;
    return shunt_release(shunt_submit(NULL, read_stubbornly, &child));
}
SHUNT_TASK(leave_stubborn, struct stubborn, shunt_none)

/* Method: the pool is cancelled, or its child given up, while that runs; the
 * parent's future is gone by the time that it reads. A process that is given up
 * is killed, and does not. */
static void a_shutdown_leaves_the_memory_that_running_children_read(void)
{
    static const enum shunt_how hows[] = { SHUNT_CANCEL, SHUNT_KILL };

    int ways = harness_isolated() ? 1 : 2;

    for (int i = 0; i < ways; i++) {
        shunt_pool *pool = harness_pool(2);
        struct stubborn in = { stage_latch(), stage_latch(), stage_tally(),
                               NULL };
        shunt_future *f = shunt_submit(pool, leave_stubborn, &in);
        size_t left = 0;

        assert_settles(f, 0);
        assert_true(latch_reaches(in.started, 1));
        assert_status(shunt_pool_shutdown(pool, hows[i], 0, &left),
                      SHUNT_ETIMEDOUT);
        assert_long((long)left, 1);
        assert_ok(shunt_release(f));
        latch_raise(in.go);
        assert_ok(shunt_pool_shutdown(pool, hows[i], SHUNT_FOREVER, NULL));
        assert_long(tally_of(in.sum), 1000);
        harness_free(pool);
    }
}

/* ---- elements of a map ---- */

/* The one without a block fails, when the other is at its code. */
static int read_or_fail(const struct stubborn *in, shunt_none *out)
{
    if (in->block != NULL)
        return read_stubbornly(in, out);
    return latch_reaches(in->started, 1) ? 7 : STAGE_LATE;
}
SHUNT_TASK(read_or_fail, struct stubborn, shunt_none)

static int map_over_a_block(const struct stubborn *in, shunt_none *out)
{
    struct stubborn ins[2] = { *in, *in };
    char *block = shunt_alloc(1000);
    shunt_future *f;

    (void)out;
    memset(block, 1, 1000);
    ins[0].block = block;
    f = shunt_map(NULL, read_or_fail, ins, 2);
    /* Not on the worker that we are to go on with. */
    if (!latch_reaches(in->started, 1))
        return STAGE_LATE;
    return shunt_join(f) == SHUNT_EFAILED ? 0 : 1;
}
SHUNT_TASK(map_over_a_block, struct stubborn, shunt_none)

/* Method: the map has failed, and its task has ended, while an element reads.
 */
static void memory_that_an_element_reads_stays_when_the_map_has_failed(void)
{
    for (int i = 0; i < 20; i++) {
        shunt_pool *pool = harness_pool(3);
        struct stubborn in = { stage_latch(), stage_latch(), stage_tally(),
                               NULL };
        shunt_future *f = shunt_submit(pool, map_over_a_block, &in);

        assert_joins(f, 0);
        assert_joins(shunt_submit(pool, scribble, NULL), 0);
        latch_raise(in.go);
        harness_free(pool);
        assert_long(tally_of(in.sum), 1000);
    }
}

/* ---- code that runs past its deadline ---- */

enum {
    AWAITED,
    JOINED,
    TAKEN,
    RELEASED,
    WAYS
};

struct late {
    struct stubborn child;
    int how;
};

static int leave_late(const struct late *in, shunt_none *out)
{
    struct stubborn child = in->child;
    char *block = shunt_alloc(1000);
    shunt_future *f;

    memset(block, 1, 1000);
    child.block = block;
    f = shunt_submit_with(NULL, read_stubbornly, &child,
                          .deadline_ns = SHUNT_MS(1));
    /* Not on the worker that we are to go on with. */
    if (!latch_reaches(in->child.started, 1))
        return STAGE_LATE;
    switch (in->how) {
    case AWAITED:
        return shunt_await(f) == SHUNT_ETIMEDOUT ? 0 : 1;
    case JOINED:
        return shunt_join(f) == SHUNT_ETIMEDOUT ? 0 : 1;
    case TAKEN:
        return shunt_take(f, out) == SHUNT_ETIMEDOUT ? 0 : 1;
    default:
        return shunt_release(f);
    }
}
SHUNT_TASK(leave_late, struct late, shunt_none)

static int leave_late_and_take(const struct late *in, shunt_none *out)
{
    shunt_future *f = shunt_submit(NULL, leave_late, in);

    return latch_reaches(in->child.started, 1) ? shunt_take(f, out)
                                               : STAGE_LATE;
}
SHUNT_TASK(leave_late_and_take, struct late, shunt_none)

/* Method: the child is given up; whatever its parent did with it, and whoever
 * took the parent's value, have ended when it reads. */
static void memory_stays_for_code_that_runs_past_its_deadline(void)
{
    for (int i = 0; i < 2 * WAYS; i++) {
        shunt_pool *pool = stage_manual_pool(3, 0);
        struct late in = {
            { stage_latch(), stage_latch(), stage_tally(), NULL }, i % WAYS
        };
        shunt_future *f = i < WAYS
                              ? shunt_submit(pool, leave_late, &in)
                              : shunt_submit(pool, leave_late_and_take, &in);

        assert_true(latch_reaches(in.child.started, 1));
        if (in.how == RELEASED)
            assert_settles(f, 0);
        stage_advance(pool, SHUNT_MS(1));
        assert_joins(f, 0);
        for (int j = 0; j < 10; j++)
            assert_joins(shunt_submit(pool, scribble, NULL), 0);
        latch_raise(in.child.go);
        assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
        assert_long(tally_of(in.child.sum), 1000);
        harness_free(pool);
    }
}

static int make_block(const shunt_none *in, char **out)
{
    (void)in;
    *out = shunt_alloc(1000);
    memset(*out, 1, 1000);
    return 0;
}
SHUNT_TASK(make_block, shunt_none, char *)

/* Reads the block of its predecessor and that of the task which attached it. */
static int read_both(char *const *in, const struct stubborn *ctx,
                     shunt_none *out)
{
    const char *own = ctx->block;
    int rc = read_stubbornly(ctx, out);

    for (int i = 0; i < 1000; i++)
        tally_add(ctx->sum, (*in)[i] + own[i]);
    return rc;
}
SHUNT_STEP(read_both, char *, struct stubborn, shunt_none)

static int leave_a_step(const struct stubborn *in, shunt_none *out)
{
    struct stubborn ctx = *in;
    char *block = shunt_alloc(1000);

    (void)out;
    memset(block, 1, 1000);
    ctx.block = block;
    (void)shunt_join(
        shunt_then_with(shunt_submit(NULL, make_block, NULL), read_both, &ctx));
    return 0;
}
SHUNT_TASK(leave_a_step, struct stubborn, shunt_none)

/* Method: step and task have one deadline. The task waits, and ends at that or
 * just before; the step goes on. */
static void memory_stays_for_a_step_that_runs_past_its_deadline(void)
{
    for (int i = 0; i < 20; i++) {
        shunt_pool *pool = stage_manual_pool(3, 0);
        struct stubborn in = { stage_latch(), stage_latch(), stage_tally(),
                               NULL };
        shunt_future *f = shunt_submit_with(pool, leave_a_step, &in,
                                            .deadline_ns = SHUNT_MS(1));

        assert_true(latch_reaches(in.started, 1));
        stage_advance(pool, SHUNT_MS(1));
        int rc = harness_await(f);
        assert_true(rc == 0 || rc == SHUNT_ETIMEDOUT);
        assert_ok(shunt_release(f));
        for (int j = 0; j < 10; j++)
            assert_joins(shunt_submit(pool, scribble, NULL), 0);
        latch_raise(in.go);
        assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
        assert_long(tally_of(in.sum), 3000);
        harness_free(pool);
    }
}

/* Method: as before, but the pool is freed before the code returns. */
static void memory_stays_for_code_that_outlives_its_pool(void)
{
    for (int how = 0; how < WAYS; how++) {
        shunt_pool *pool = stage_manual_pool(3, 0);
        struct late in = {
            { stage_latch(), stage_latch(), stage_tally(), NULL }, how
        };
        shunt_future *f = shunt_submit(pool, leave_late, &in);

        assert_true(latch_reaches(in.child.started, 1));
        stage_advance(pool, SHUNT_MS(1));
        assert_joins(f, 0);
        assert_joins(shunt_submit(pool, scribble, NULL), 0);
        assert_ok(shunt_pool_free(pool));
        latch_raise(in.child.go);
    }
}

/* ---- promises ---- */

enum {
    MUCH = 600000 /* more than half of what there is */
};

struct promised {
    shunt_promise *promise;
    shunt_future *future;
    struct latch *made, *told, *go;
};

/* What is to be done on a cancel, and takes its time. */
static void take_leave(void *promised)
{
    struct promised *p = promised;

    latch_raise(p->told);
    (void)latch_reaches(p->go, 1);
}

/* Ends, and drops its promise, while that is done. */
static int leave_a_promise(struct promised *const *in, shunt_none *out)
{
    struct promised *p = *in;

    (void)out;
    if (shunt_alloc(MUCH) == NULL ||
        shunt_promise_new(NULL, long, &p->promise, &p->future) != 0)
        return 1;
    latch_raise(p->made);
    return latch_reaches(p->told, 1) ? 0 : STAGE_LATE;
}
SHUNT_TASK(leave_a_promise, struct promised *, shunt_none)

static void *cancel_in_thread(void *promised)
{
    assert_long(shunt_cancel(((struct promised *)promised)->future), 1);
    return NULL;
}

static int use_much(const shunt_none *in, shunt_none *out)
{
    (void)in;
    (void)out;
    return shunt_alloc(MUCH) == NULL;
}
SHUNT_TASK(use_much, shunt_none, shunt_none)

/* Whether there is memory for another; in a process pool it goes a moment after
 * the listener has returned, when the host takes what was left to it. */
static bool goes(shunt_pool *pool)
{
    const struct timespec moment = { 0, 1000000 };
    int rc = shunt_join(shunt_submit(pool, use_much, NULL));

    for (int64_t ns = 0; rc == SHUNT_EFAILED && ns < harness_patience();
         ns += SHUNT_MS(1)) {
        nanosleep(&moment, NULL);
        rc = shunt_join(shunt_submit(pool, use_much, NULL));
    }
    return rc == 0;
}

/* Method: there is memory for one of them at a time. The listener is of the
 * host: one of the task, in a process, would not be called while that runs. */
static void memory_goes_when_a_promise_has_no_listener_at_work(void)
{
    struct promised *p = stage_bytes(sizeof *p);
    shunt_pool *pool;
    pthread_t thread;
    shunt_future *f;

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = 1, .arena_bytes = 1 << 20 }));
    *p = (struct promised){ .made = stage_latch(),
                            .told = stage_latch(),
                            .go = stage_latch() };
    f = shunt_submit(pool, leave_a_promise, &p);
    assert_true(latch_reaches(p->made, 1));
    assert_ok(shunt_promise_on_cancel(p->promise, take_leave, p));
    assert_ok(pthread_create(&thread, NULL, cancel_in_thread, p));
    assert_joins(f, 0);
    assert_joins(shunt_submit(pool, use_much, NULL), SHUNT_EFAILED);
    latch_raise(p->go);
    assert_ok(pthread_join(thread, NULL));
    assert_true(goes(pool));
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(memory_that_children_read_stays_when_the_value_is_taken),
    CLAIM(a_shutdown_leaves_the_memory_that_running_children_read),
    CLAIM(memory_that_an_element_reads_stays_when_the_map_has_failed),
    CLAIM_OF_THREADS(memory_stays_for_code_that_runs_past_its_deadline),
    CLAIM_OF_THREADS(memory_stays_for_a_step_that_runs_past_its_deadline),
    CLAIM_OF_THREADS(memory_stays_for_code_that_outlives_its_pool),
    CLAIM(memory_goes_when_a_promise_has_no_listener_at_work),
};

HARNESS_MAIN(claims)
