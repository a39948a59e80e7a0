/* SPDX-License-Identifier: MIT */
/*
 * kept_test.c - memory that children read stays, whatever becomes of their
 * parent and of the pool.
 *
 * Method. A child reads its parent's block only when the parent's future is
 * gone, and another task has used memory of that size meanwhile.
 * AddressSanitizer sees what luck would hide.
 */
#include <string.h>

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
 * parent's future is gone by the time that it reads. */
static void a_shutdown_leaves_the_memory_that_running_children_read(void)
{
    static const enum shunt_how hows[] = { SHUNT_CANCEL, SHUNT_KILL };

    for (int i = 0; i < 2; i++) {
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

static const struct CMUnitTest claims[] = {
    CLAIM(memory_that_children_read_stays_when_the_value_is_taken),
    CLAIM(a_shutdown_leaves_the_memory_that_running_children_read),
};

HARNESS_MAIN(claims)
