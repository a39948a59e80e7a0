/* SPDX-License-Identifier: MIT */
/*
 * fault/time_test.c - delays, timeouts and deadlines, with every request for
 * memory, and for the thread that keeps the time, refused in turn: they end as
 * they should, or say SHUNT_ENOMEM.
 *
 * The clock is the real one: whoever refuses requests cannot move another.
 */
#include "fault_each.h"

#include <sched.h>
#include <string.h>

enum {
    LARGE = 4096
};

struct large {
    struct stage *stage;
    unsigned char bytes[LARGE];
};

static void count_drop(void *in)
{
    atomic_fetch_add(&(*(struct stage **)in)->drops, 1);
}

static int small_task(struct stage *const *in, long *out)
{
    atomic_fetch_add(&(*in)->runs, 1);
    *out = shunt_time_left_ns() > 0 ? 7 : 8;
    return 0;
}
SHUNT_TASK(small_task, struct stage *, long, .drop = count_drop)

static int large_task(const struct large *in, struct large *out)
{
    atomic_fetch_add(&in->stage->runs, 1);
    *out = *in;
    return 0;
}
SHUNT_TASK(large_task, struct large, struct large, .drop = count_drop)

/* Does not look at the time. */
static int stuck_task(struct stage *const *in, long *out)
{
    (void)out;
    atomic_fetch_add(&(*in)->runs, 1);
    while (atomic_load(&(*in)->inside) == 0)
        sched_yield();
    return 0;
}
SHUNT_TASK(stuck_task, struct stage *, long, .drop = count_drop)

/* ---- what came of it ---- */

static void check_out(struct stage *s)
{
    fault_keep(s);
    (void)fault_worked(s, fault_await(s->out));
    assert_int_equal(shunt_release(s->out), 0);
}

/* Not in time, or no memory; the error says which. */
static void check_late(struct stage *s)
{
    int rc = fault_await(s->out);

    assert_true(rc == SHUNT_ETIMEDOUT || rc == SHUNT_ENOMEM);
    assert_int_equal(shunt_error_of(s->out)->code, rc);
    assert_int_equal(shunt_release(s->out), 0);
    for (size_t i = 0; i < s->story->n; i++)
        assert_int_equal(shunt_status(s->in[i]), SHUNT_EINVAL);
    fault_keep(s);
}

static void check_either(struct stage *s)
{
    int rc = fault_await(s->out);

    if (rc != SHUNT_ETIMEDOUT)
        (void)fault_worked(s, rc);
    assert_int_equal(shunt_release(s->out), 0);
}

/* ---- delays ---- */

static void delay(struct stage *s)
{
    s->out = shunt_delay(s->pool, SHUNT_US(100));
    fault_stay(s->out);
}

static void delay_by_nothing(struct stage *s)
{
    s->out = shunt_delay(s->pool, 0);
}

static void delay_for_ever(struct stage *s)
{
    s->out = shunt_delay(s->pool, SHUNT_FOREVER);
    s->rc = shunt_status(s->out) == SHUNT_ENOMEM ? SHUNT_ENOMEM : 0;
    assert_int_equal(shunt_cancel(s->out), s->rc == 0);
}

static void check_cancelled(struct stage *s)
{
    assert_int_equal(fault_await(s->out),
                     fault_worked(s, s->rc) ? SHUNT_ECANCELED : SHUNT_ENOMEM);
    assert_int_equal(shunt_release(s->out), 0);
}

static void many_delays(struct stage *s)
{
    shunt_future *fs[100];

    for (int i = 0; i < 100; i++)
        fs[i] = shunt_delay(s->pool, SHUNT_US(i));
    s->out = shunt_when_all(fs, 100);
    fault_stay(s->out);
}

static void a_delay_ends_or_says_that_memory_is_out(void **state)
{
    FAULT_EACH({ "delay", NULL, delay, check_out, 0, NULL });
    FAULT_EACH({ "delay of 0", NULL, delay_by_nothing, check_out, 0, NULL });
    FAULT_EACH(
        { "endless delay", NULL, delay_for_ever, check_cancelled, 0, NULL });
    FAULT_EACH({ "many delays", NULL, many_delays, check_out, 0, NULL });
}

/* ---- timeouts ---- */

static void prepare_settled(struct stage *s)
{
    fault_promises(s, s->story->n);
    fault_keep(s);
}

static void short_timeout(struct stage *s)
{
    s->out = shunt_timeout(s->in[0], SHUNT_US(100));
    fault_stay(s->out);
}

static void no_timeout(struct stage *s)
{
    s->out = shunt_timeout(s->in[0], 0);
}

static void long_timeout(struct stage *s)
{
    s->out = shunt_timeout(s->in[0], SHUNT_S(1000));
}

static void prepare_foreign(struct stage *s)
{
    fault_promises(s, 1);
    s->in[0] = shunt_via(s->other, s->in[0]);
}

static void a_timeout_ends_and_consumes_its_future(void **state)
{
    FAULT_EACH(
        { "timeout", fault_prepare, short_timeout, check_late, 1, NULL });
    FAULT_EACH(
        { "timeout of 0", fault_prepare, no_timeout, check_late, 1, NULL });
    FAULT_EACH({ "timeout, in time", fault_prepare, long_timeout, check_out, 1,
                 NULL });
    FAULT_EACH({ "timeout of what has settled", prepare_settled, long_timeout,
                 check_out, 1, NULL });
    FAULT_EACH({ "timeout behind another pool", prepare_foreign, short_timeout,
                 check_late, 1, NULL });
}

/* ---- deadlines ---- */

static void submit_small(struct stage *s)
{
    s->out = shunt_submit_with(s->pool, small_task, &s,
                               .deadline_ns = SHUNT_S(1000));
    fault_stay(s->out);
}

static void submit_large(struct stage *s)
{
    struct large in = { s, { 1 } };

    s->out = shunt_submit_with(s->pool, large_task, &in,
                               .deadline_ns = SHUNT_S(1000));
    fault_stay(s->out);
}

static void submit_too_late(struct stage *s)
{
    s->out = shunt_submit_with(s->pool, small_task, &s, .deadline_ns = 1);
    fault_stay(s->out);
}

static void submit_stuck(struct stage *s)
{
    s->out = shunt_submit_with(s->pool, stuck_task, &s,
                               .deadline_ns = SHUNT_US(200));
    fault_stay(s->out);
}

/* Whether somebody could stand in or not, the pool works on when the code has
 * returned, which the frame of the story asserts. */
static void check_stuck(struct stage *s)
{
    check_either(s);
    atomic_store(&s->inside, 1);
    assert_int_equal(shunt_join(shunt_submit(s->pool, fault_nothing, NULL)), 0);
    while (atomic_load(&s->drops) < atomic_load(&s->runs))
        sched_yield();
    assert_int_equal(
        shunt_pool_shutdown(s->pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL), 0);
    assert_int_equal(shunt_pool_free(s->pool), 0);
    assert_int_equal(shunt_pool_new(&s->pool, NULL), 0);
}

static void a_task_with_a_deadline_ends_or_is_refused(void **state)
{
    FAULT_EACH({ "deadline", NULL, submit_small, check_out, 0, NULL });
    FAULT_EACH({ "deadline, large", NULL, submit_large, check_out, 0, NULL });
    FAULT_EACH(
        { "deadline, too late", NULL, submit_too_late, check_either, 0, NULL });
    FAULT_EACH({ "deadline, stuck", NULL, submit_stuck, check_stuck, 0, NULL });
}

/* ---- waits ---- */

static void advance(struct stage *s)
{
    shunt_pool *pool = s->block;
    shunt_future *f = shunt_delay(pool, 5);

    s->rc = shunt_pool_advance(pool, 5);
    if (s->rc == 0)
        s->rc = shunt_join(f);
}

static void prepare_manual(struct stage *s)
{
    shunt_pool *pool = NULL;

    assert_int_equal(
        shunt_pool_new(&pool,
                       &(shunt_options){ .workers = 1, .manual_clock = true }),
        0);
    s->block = pool;
}

static void check_manual(struct stage *s)
{
    (void)fault_worked(s, s->rc);
    assert_int_equal(shunt_pool_free(s->block), 0);
}

static void a_clock_can_always_be_moved(void **state)
{
    FAULT_EACH({ "advance", prepare_manual, advance, check_manual, 0, NULL });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_delay_ends_or_says_that_memory_is_out),
        cmocka_unit_test(a_timeout_ends_and_consumes_its_future),
        cmocka_unit_test(a_task_with_a_deadline_ends_or_is_refused),
        cmocka_unit_test(a_clock_can_always_be_moved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
