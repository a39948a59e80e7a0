/* SPDX-License-Identifier: MIT */
/*
 * unit/find_test.c - in which order a worker looks for something to run.
 *
 * Goal: a worker in a flow leaves what is not worth it, and nothing is left for
 * good. Method: the only worker of a pool is held by a task; meanwhile the test
 * looks in its stead, and gives back what it has found.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <stdatomic.h>

#include "shunt/shunt.h"
#include "worker/worker.h"

#include "pool_of_one.h"

enum {
    MANY = 40 /* more than a batch, and enough for a flow */
};

static atomic_bool held, go;
static struct sh_worker *worker;

static int hold(const shunt_none *in, shunt_none *out)
{
    (void)in;
    (void)out;
    atomic_store(&held, true);
    while (!atomic_load(&go))
        sched_yield();
    return 0;
}
SHUNT_TASK(hold, shunt_none, shunt_none)

static int nothing(const shunt_none *in, shunt_none *out)
{
    (void)in;
    (void)out;
    return 0;
}
SHUNT_TASK(nothing, shunt_none, shunt_none)

static int begin(void **state)
{
    atomic_store(&held, false);
    atomic_store(&go, false);
    if (pool_make(state) != 0 ||
        shunt_release(shunt_submit(name, hold, NULL)) != 0)
        return -1;
    while (!atomic_load(&held))
        sched_yield();
    worker = &pool->team->workers[0];
    worker->tick = 1; /* no turn that is others' */
    worker->flow = SH_FLOW;
    return 0;
}

static int end(void **state)
{
    atomic_store(&go, true);
    return pool_free(state);
}

static void submit(int n)
{
    while (n-- > 0)
        assert_int_equal(shunt_release(shunt_submit(name, nothing, NULL)), 0);
}

/* Look, and give back what was found; whether there was anything. */
static bool finds(void)
{
    uint64_t hint = sh_worker_find(worker);

    return hint != 0 && sh_deque_push(&worker->post->deque, hint);
}

static void in_a_flow_less_than_a_batch_is_left(void **state)
{
    (void)state;
    submit(5);
    assert_false(finds());
    worker->flow = SH_FLOW - 1;
    assert_true(finds());
    assert_int_equal(worker->flow, SH_FLOW + 4); /* it took all */
}

static void in_a_flow_a_batch_is_taken(void **state)
{
    (void)state;
    submit(MANY);
    assert_true(finds());
    assert_true(worker->flow > SH_FLOW);
}

static void on_the_turn_of_the_rings_anything_is_taken(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < 2; round++) {
        submit(1);
        worker->tick = round * SH_FAIR;
        assert_true(finds());
        assert_true(finds()); /* what was given back is its own now */
        assert_int_equal(worker->flow, SH_FLOW + round + 1);
    }
}

/* Method: the worker itself, with one behind a flow. */
static void what_a_flow_leaves_runs(void **state)
{
    shunt_future *fs[MANY];

    (void)state;
    atomic_store(&go, true);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < MANY; i++)
            fs[i] = shunt_submit(name, nothing, NULL);
        for (int i = 0; i < MANY; i++)
            assert_int_equal(shunt_join(fs[i]), 0);
        assert_int_equal(shunt_join(shunt_submit(name, nothing, NULL)), 0);
    }
}

int main(void)
{
#define FIND_TEST(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        FIND_TEST(in_a_flow_less_than_a_batch_is_left),
        FIND_TEST(in_a_flow_a_batch_is_taken),
        FIND_TEST(on_the_turn_of_the_rings_anything_is_taken),
        FIND_TEST(what_a_flow_leaves_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
