/* SPDX-License-Identifier: MIT */
/*
 * auto_inline_test.c - what is placed inline runs at its await, on the stack of
 * the task that waits for it.
 *
 * Method. Tasks tell the addresses of their locals: two that are within a few
 * pages are on one stack, as stacks are larger than that. The pools have one
 * worker, since others may be faster.
 */
#include <sched.h>
#include <signal.h>

#include <shunt/forkjoin.h>

#include "death.h"
#include "sides.h"

enum {
    NEAR = 16 << 10, /* of a stack of 256 KiB */
    MODES = SHUNT_AUTO + 1
};

#define FOR_EACH_MODE(mode) for (int mode = SHUNT_THREADS; mode < MODES; mode++)

static bool on_one_stack(uintptr_t below, uintptr_t above)
{
    return below < above && above - below < NEAR;
}

/* Where its frame is: address sanitizer has its locals elsewhere. */
static int point(const long *in, uintptr_t *out)
{
    (void)in;
    *out = (uintptr_t)__builtin_frame_address(0);
    return 0;
}
SHUNT_TASK(point, long, uintptr_t)

/* How a task waits for what it has submitted inline. */
enum how {
    BY_TAKE,
    BY_AWAIT,
    BY_JOIN_OF_ANOTHER_HANDLE,
    BY_AWAIT_FOR,
    BY_AWAIT_OF_DEADLINE,
    QUEUED
};

static shunt_future *submit_point(enum how how)
{
    long in = 1;

    if (how == BY_AWAIT_OF_DEADLINE)
        return shunt_submit_with(NULL, point, &in, .place = SHUNT_PLACE_INLINE,
                                 .deadline_ns = SHUNT_S(600));
    return shunt_submit_with(NULL, point, &in,
                             .place = how == QUEUED ? 0 : SHUNT_PLACE_INLINE);
}

/* Whether that ran on its own stack; negative: it failed. */
static int wait_how(const int *in, long *out)
{
    enum how how = (enum how) * in;
    shunt_future *f = submit_point(how), *g;
    uintptr_t inner = 0;
    int rc = 0;

    if (how == BY_AWAIT)
        rc = shunt_await(f);
    if (how == BY_AWAIT_FOR)
        rc = shunt_await_for(f, SHUNT_S(600));
    if (how == BY_JOIN_OF_ANOTHER_HANDLE) {
        g = shunt_retain(f);
        rc = shunt_join(g);
    }
    if (rc == 0)
        rc = shunt_take(f, &inner);
    *out = rc != 0 ? rc
                   : on_one_stack(inner, (uintptr_t)__builtin_frame_address(0));
    return 0;
}
SHUNT_TASK(wait_how, int, long)

static void what_is_awaited_inline_runs_on_the_stack_of_who_awaits_it(void)
{
    static const long expected[] = { [BY_TAKE] = 1,
                                     [BY_AWAIT] = 1,
                                     [BY_JOIN_OF_ANOTHER_HANDLE] = 1,
                                     [BY_AWAIT_FOR] = 0,
                                     [BY_AWAIT_OF_DEADLINE] = 0,
                                     [QUEUED] = 0 };

    FOR_EACH_MODE(mode)
    {
        shunt_pool *pool = pool_in_mode(mode, 1);

        /* Fewer than it takes the pool to place the kind inline itself. */
        for (int i = 0; i < 4 * (QUEUED + 1); i++) {
            int how = i % (QUEUED + 1);

            harness_note("mode %d, how %d", mode, how);
            assert_takes(shunt_submit(pool, wait_how, &how), expected[how]);
        }
        harness_free(pool);
    }
}

/* Goal: of an auto pool, on threads too, if its kind is there. */
static void on_threads_of_an_auto_pool_too(void)
{
    shunt_pool *pool = auto_pool(2);
    long same = 0;

    settle_on_threads(pool, &shunt_task_point, &(long){ 1 });
    for (int i = 0; i < 200; i++) {
        long one = 0;

        assert_ok(
            shunt_take(shunt_submit_with(pool, wait_how, &(int){ BY_TAKE },
                                         .place = SHUNT_PLACE_THREAD),
                       &one));
        same += one;
    }
    /* Another thread may have been faster, but not each time. */
    assert_true(same > 0);
    harness_free(pool);
}

static void awaited_in_the_other_camp_it_runs_all_the_same(void)
{
    for (int workers = 1; workers <= 2; workers++) {
        shunt_pool *pool = auto_pool(workers);

        for (int i = 0; i < 200; i++)
            assert_takes(shunt_submit_with(pool, wait_how,
                                           &(int){ i % (QUEUED + 1) },
                                           .place = SHUNT_PLACE_THREAD),
                         0);
        harness_free(pool);
    }
}

/* Goal: nobody waits for it, and it runs; also one from outside. */
static int submit_and_go(const struct job *in, shunt_none *out)
{
    (void)out;
    return shunt_release(
        shunt_submit_with(NULL, stage_job, in, .place = SHUNT_PLACE_INLINE));
}
SHUNT_TASK(submit_and_go, struct job, shunt_none)

static void what_nobody_awaits_runs_as_well(void)
{
    FOR_EACH_MODE(mode)
    {
        for (int workers = 1; workers <= 2; workers++) {
            shunt_pool *pool = pool_in_mode(mode, workers);
            struct job in = { .started = stage_latch(), .value = 3 };

            assert_takes(shunt_submit_with(pool, stage_job, &in,
                                           .place = SHUNT_PLACE_INLINE),
                         3);
            assert_joins(shunt_submit(pool, submit_and_go, &in), 0);
            assert_true(latch_reaches(in.started, 2));
            harness_free(pool);
        }
    }
}

/* ---- depth ---- */

static int nest(const long *in, long *out);
SHUNT_TASK(nest, long, long)

static int nest(const long *in, long *out)
{
    long below = *in - 1, n = 0;
    int rc = 0;

    if (*in > 0)
        rc = shunt_take(
            shunt_submit_with(NULL, nest, &below, .place = SHUNT_PLACE_INLINE),
            &n);
    *out = n + 1;
    return rc;
}

static void deep_recursion_of_awaits_ends(void)
{
    harness_footprint((size_t)512 << 20);
    FOR_EACH_MODE(mode)
    {
        for (int workers = 1; workers <= 2; workers++) {
            shunt_pool *pool = pool_in_mode(mode, workers);

            for (int i = 0; i < 3; i++)
                assert_takes(shunt_submit(pool, nest, &(long){ 2000 }), 2001);
            if (mode == SHUNT_AUTO)
                assert_takes(shunt_submit_with(pool, nest, &(long){ 2000 },
                                               .place = SHUNT_PLACE_THREAD),
                             2001);
            harness_free(pool);
        }
    }
}

/* Goal: small stacks are no reason to overflow. */
static void small_stacks_do_not_overflow(void)
{
    harness_footprint((size_t)512 << 20);
    FOR_EACH_MODE(mode)
    {
        shunt_pool *pool = NULL;

        assert_ok(shunt_pool_new(
            &pool, &(shunt_options){
                       .mode = mode, .workers = 1, .stack_bytes = 32 << 10 }));
        assert_takes(shunt_submit(pool, nest, &(long){ 500 }), 501);
        harness_free(pool);
    }
}

/* ---- one that waits itself ---- */

struct wait {
    shunt_future *for_it;
    struct latch *waits;
};

static int wait_for_it(const struct wait *in, long *out)
{
    const long *value;
    int rc;

    latch_raise(in->waits);
    rc = shunt_await(in->for_it);
    value = shunt_peek(in->for_it, long);
    *out = value != NULL ? *value : 0;
    return rc;
}
SHUNT_TASK(wait_for_it, struct wait, long)

static int wait_for_one_that_waits(const struct wait *in, long *out)
{
    return shunt_take(
        shunt_submit_with(NULL, wait_for_it, in, .place = SHUNT_PLACE_INLINE),
        out);
}
SHUNT_TASK(wait_for_one_that_waits, struct wait, long)

static void an_inline_task_that_waits_parks_both(void)
{
    FOR_EACH_MODE(mode)
    {
        shunt_pool *pool = pool_in_mode(mode, 1);

        for (long i = 0; i < 20; i++) {
            struct stage_promise p = stage_promise(pool);
            struct wait in = { p.future, stage_latch() };
            shunt_future *fs[10];

            for (int n = 0; n < 10; n++)
                fs[n] = shunt_submit(pool, wait_for_one_that_waits, &in);
            assert_true(latch_reaches(in.waits, 10));
            /* The worker is free. */
            assert_takes(shunt_submit(pool, stage_same, &i), i);
            stage_give(p.promise, i);
            for (int n = 0; n < 10; n++)
                assert_takes(fs[n], i);
            assert_ok(shunt_release(p.future));
        }
        harness_free(pool);
    }
}

static void a_pool_is_cancelled_while_one_waits_below_it(void)
{
    static const enum shunt_how hows[] = { SHUNT_CANCEL, SHUNT_KILL };

    FOR_EACH_MODE(mode)
    {
        for (int i = 0; i < 2; i++) {
            shunt_pool *pool = pool_in_mode(mode, 1);
            struct stage_promise p = stage_promise(pool);
            struct wait in = { p.future, stage_latch() };
            shunt_future *f = shunt_submit(pool, wait_for_one_that_waits, &in);

            harness_note("mode %d, how %d", mode, i);
            assert_true(latch_reaches(in.waits, 1));
            assert_ok(
                shunt_pool_shutdown(pool, hows[i], harness_patience(), NULL));
            assert_true(shunt_status(f) < 0);
            assert_ok(shunt_release(f));
            harness_free(pool);
        }
    }
}

static void a_pool_is_drained_while_one_waits_below_it(void)
{
    FOR_EACH_MODE(mode)
    {
        shunt_pool *pool = pool_in_mode(mode, 1);
        struct stage_promise p = stage_promise(pool);
        struct wait in = { p.future, stage_latch() };
        shunt_future *f = shunt_submit(pool, wait_for_one_that_waits, &in);

        harness_note("mode %d", mode);
        assert_true(latch_reaches(in.waits, 1));
        assert_ok(
            shunt_pool_shutdown(pool, SHUNT_DRAIN, harness_patience(), NULL));
        assert_true(shunt_status(f) < 0);
        assert_ok(shunt_release(f));
        assert_ok(shunt_release(p.future));
        harness_free(pool);
    }
}

/* ---- what is the task's own ---- */

static int own_failure(const int *in, long *out)
{
    (void)out;
    return shunt_fail(*in, "it was %d", *in);
}
SHUNT_TASK(own_failure, int, long)

/* Fails within, too, which is its own affair. */
static int fail_within(const long *in, long *out)
{
    *out = *in;
    return shunt_join(shunt_submit_with(NULL, own_failure, &(int){ 9 },
                                        .place = SHUNT_PLACE_INLINE)) ==
                   SHUNT_EFAILED
               ? 0
               : 1;
}
SHUNT_TASK(fail_within, long, long)

static int look_at_failures(const long *in, long *out)
{
    shunt_future *f = shunt_submit_with(NULL, own_failure, &(int){ 7 },
                                        .place = SHUNT_PLACE_INLINE);
    const shunt_error *e;

    if (shunt_await(f) != SHUNT_EFAILED || shunt_peek(f, long) != NULL)
        return 1;
    e = shunt_error_of(f);
    if (e->task_code != 7 || strstr(e->message, "it was 7") == NULL)
        return 2;
    if (shunt_join(f) != SHUNT_EFAILED)
        return 3;
    if (shunt_take(shunt_submit_with(NULL, fail_within, in,
                                     .place = SHUNT_PLACE_INLINE),
                   out) != 0)
        return 4;
    return shunt_last_error()->task_code == 7 || shunt_last_error()->code == 0
               ? 0
               : 5;
}
SHUNT_TASK(look_at_failures, long, long)

static void values_and_failures_come_through(void)
{
    FOR_EACH_MODE(mode)
    {
        shunt_pool *pool = pool_in_mode(mode, 1);

        for (long i = 0; i < 50; i++)
            assert_takes(shunt_submit(pool, look_at_failures, &i), i);
        harness_free(pool);
    }
}

static int has_been_cancelled(const struct tally *const *in, long *out)
{
    tally_add((struct tally *)(uintptr_t)*in, 1);
    *out = shunt_cancelled();
    return 0;
}
SHUNT_TASK(has_been_cancelled, const struct tally *, long)

static int cancel_it_first(const struct tally *const *in, long *out)
{
    shunt_future *f = shunt_submit_with(NULL, has_been_cancelled, in,
                                        .place = SHUNT_PLACE_INLINE);

    if (shunt_cancel(f) != 1)
        return 1;
    *out = shunt_join(f);
    return 0;
}
SHUNT_TASK(cancel_it_first, const struct tally *, long)

static void what_was_cancelled_before_its_await_never_starts(void)
{
    FOR_EACH_MODE(mode)
    {
        shunt_pool *pool = pool_in_mode(mode, 1);
        struct tally *ran = stage_tally();
        const struct tally *in = ran;

        for (int i = 0; i < 50; i++)
            assert_takes(shunt_submit(pool, cancel_it_first, &in),
                         SHUNT_ECANCELED);
        assert_long(tally_of(ran), 0);
        harness_free(pool);
    }
}

static int make_text(const long *in, char **out)
{
    *out = shunt_alloc(40);
    if (*out == NULL)
        return 1;
    sprintf(*out, "this is %ld", *in);
    /* What it got and holds is released at its end, and nobody else's is. */
    return shunt_await(
        shunt_submit_with(NULL, stage_same, in, .place = SHUNT_PLACE_INLINE));
}
SHUNT_TASK(make_text, long, char *)

static int read_text(const long *in, long *out)
{
    shunt_future *kept = shunt_submit(NULL, stage_same, in);
    shunt_future *f =
        shunt_submit_with(NULL, make_text, in, .place = SHUNT_PLACE_INLINE);
    char *text, expected[40];
    long value = -1;

    if (shunt_take(f, &text) != 0)
        return 1;
    sprintf(expected, "this is %ld", *in);
    if (strcmp(text, expected) != 0 || shunt_take(kept, &value) != 0)
        return 2;
    *out = value;
    return shunt_free(text) == 0 ? 0 : 3;
}
SHUNT_TASK(read_text, long, long)

static void memory_and_handles_are_each_tasks_own(void)
{
    FOR_EACH_MODE(mode)
    {
        shunt_pool *pool = pool_in_mode(mode, 1);

        for (long i = 0; i < 100; i++)
            assert_takes(shunt_submit(pool, read_text, &i), i);
        assert_long(shunt_pool_pending(pool), 0);
        harness_free(pool);
    }
}

/* ---- in the middle of a fork ---- */

SHUNT_FORK(long, sum_to, long, n)
{
    shunt_frame(sum_to) rest;
    long below = 0, one;

    if (n <= 1)
        return n;
    shunt_spawn(sum_to, rest, n / 2);
    if (n % 7 == 0) {
        if (shunt_take(shunt_submit_with(NULL, stage_same, &n,
                                         .place = SHUNT_PLACE_INLINE),
                       &one) != 0 ||
            one != n)
            below = -1000000;
    }
    below += shunt_call(sum_to, n - n / 2);
    return below + shunt_sync(sum_to, rest);
}

static int fork_sum(const long *in, long *out)
{
    *out = shunt_fork(sum_to, *in);
    return 0;
}
SHUNT_TASK(fork_sum, long, long)

static int fork_below(const long *in, long *out)
{
    return shunt_take(
        shunt_submit_with(NULL, fork_sum, in, .place = SHUNT_PLACE_INLINE),
        out);
}
SHUNT_TASK(fork_below, long, long)

static void a_fork_goes_on_below_and_above_it(void)
{
    FOR_EACH_MODE(mode)
    {
        for (int workers = 1; workers <= 3; workers++) {
            shunt_pool *pool = pool_in_mode(mode, workers);

            for (long i = 0; i < 10; i++) {
                assert_takes(shunt_submit(pool, fork_sum, &(long){ 700 }), 700);
                assert_takes(shunt_submit(pool, fork_below, &(long){ 700 }),
                             700);
            }
            harness_free(pool);
        }
    }
}

/* ---- crashes ---- */

static int await_a_death(const struct mortal *in, long *out)
{
    return shunt_take(
        shunt_submit_with(NULL, mortal, in, .place = SHUNT_PLACE_INLINE), out);
}
SHUNT_TASK(await_a_death, struct mortal, long)

static void an_inline_task_that_crashes_takes_along_who_awaits_it(void)
{
    for (int mode = SHUNT_PROCESSES; mode < MODES; mode++) {
        shunt_pool *pool = pool_in_mode(mode, 1);

        for (int how = 0; how < DEATHS; how++) {
            shunt_future *f =
                shunt_submit(pool, await_a_death,
                             &(struct mortal){ .how = (enum death)how });

            harness_note("mode %d, %s", mode, death_name((enum death)how));
            assert_settles(f, SHUNT_ECRASHED);
            harness_note("%s: %s", death_name((enum death)how),
                         shunt_error_of(f)->message);
            assert_non_null(strstr(shunt_error_of(f)->message, "mortal"));
            assert_ok(shunt_release(f));
            assert_takes(shunt_submit(pool, stage_same, &(long){ how }), how);
            assert_takes(shunt_submit(pool, read_text, &(long){ how }), how);
        }
        harness_free(pool);
    }
}

static int mortal_again(const struct mortal *in, long *out)
{
    return mortal(in, out);
}
SHUNT_TASK(mortal_again, struct mortal, long, .idempotent = true, .retries = 3)

static int await_again(const struct mortal *in, long *out)
{
    return shunt_take(
        shunt_submit_with(NULL, mortal_again, in, .place = SHUNT_PLACE_INLINE),
        out);
}
SHUNT_TASK(await_again, struct mortal, long, .idempotent = true, .retries = 3)

/* Whoever awaits it dies with it, and both may run again: of what it has
 * submitted before, nothing is left. */
static void inline_tasks_that_may_run_again_do(void)
{
    for (int mode = SHUNT_PROCESSES; mode < MODES; mode++) {
        shunt_pool *pool = pool_in_mode(mode, 1);

        for (int how = 0; how < DEATHS; how++) {
            struct mortal in = { .how = (enum death)how,
                                 .ran = stage_tally(),
                                 .lives = 2 };
            long ran = 0;

            harness_note("mode %d, %s", mode, death_name((enum death)how));
            assert_ok(shunt_take(shunt_submit(pool, await_again, &in), &ran));
            assert_true(ran >= 3);
            assert_takes(shunt_submit(pool, stage_same, &(long){ how }), how);
        }
        harness_free(pool);
    }
}

static const struct CMUnitTest claims[] = {
    CLAIM_OF_BOTH(what_is_awaited_inline_runs_on_the_stack_of_who_awaits_it),
    CLAIM_OF_BOTH(on_threads_of_an_auto_pool_too),
    CLAIM_OF_BOTH(awaited_in_the_other_camp_it_runs_all_the_same),
    CLAIM_OF_BOTH(what_nobody_awaits_runs_as_well),
    CLAIM_OF_BOTH(deep_recursion_of_awaits_ends),
    CLAIM_OF_BOTH(small_stacks_do_not_overflow),
    CLAIM_OF_BOTH(an_inline_task_that_waits_parks_both),
    CLAIM_OF_BOTH(a_pool_is_cancelled_while_one_waits_below_it),
    CLAIM_OF_BOTH(a_pool_is_drained_while_one_waits_below_it),
    CLAIM_OF_BOTH(values_and_failures_come_through),
    CLAIM_OF_BOTH(what_was_cancelled_before_its_await_never_starts),
    CLAIM_OF_BOTH(memory_and_handles_are_each_tasks_own),
    CLAIM_OF_BOTH(a_fork_goes_on_below_and_above_it),
    CLAIM_OF_BOTH(an_inline_task_that_crashes_takes_along_who_awaits_it),
    CLAIM_OF_BOTH(inline_tasks_that_may_run_again_do),
};

HARNESS_MAIN(claims)
