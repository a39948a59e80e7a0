/* SPDX-License-Identifier: MIT */
/*
 * auto_both_test.c - futures of both sides of an auto pool are futures of one
 * pool: they follow, wait for, cancel and feed each other.
 *
 * Method. Every second task is placed on a thread, by .place or, where there is
 * none (steps, maps, retries), by its kind, which a profile has on threads. In
 * the end both sides must have run some of it.
 */
#include <sched.h>

#include <shunt/forkjoin.h>

#include "sides.h"

/* Of what runs, how much did where. */
static struct tally *in_host, *away;
static long host;

struct count {
    struct tally *in_host, *away;
    long host, value;
};

static struct count counted(long value)
{
    return (struct count){ in_host, away, host, value };
}

static void note_side(const struct count *in)
{
    tally_add(here() == in->host ? in->in_host : in->away, 1);
}

/* Two kinds that do the same, of which the pool has one on threads. */
static int give_away(const struct count *in, long *out)
{
    note_side(in);
    *out = in->value;
    return 0;
}
SHUNT_TASK(give_away, struct count, long)

static int give_here(const struct count *in, long *out)
{
    return give_away(in, out);
}
SHUNT_TASK(give_here, struct count, long)

static int add_away(const long *in, const struct count *by, long *out)
{
    note_side(by);
    *out = *in + by->value;
    return 0;
}
SHUNT_STEP(add_away, long, struct count, long)

static int add_here(const long *in, const struct count *by, long *out)
{
    return add_away(in, by, out);
}
SHUNT_STEP(add_here, long, struct count, long)

/* A pool that knows the kinds named _here as such of threads. */
static shunt_pool *pool_of_both(int workers)
{
    shunt_pool *pool = auto_pool(workers);
    struct count in;

    in_host = stage_tally();
    away = stage_tally();
    host = here();
    in = counted(0);
    if (workers == 1) /* keeps kinds isolated: .place alone decides */
        return pool;
    settle_on_threads(pool, &shunt_task_give_here, &in);
    teach(pool, &shunt_task_add_here, false, 100000);
    assert_takes(
        shunt_then_with(shunt_submit(pool, give_away, &in), add_here, &in), 0);
    assert_true(is_said_of(pool, "add_here", ON_THREADS));
    in_host = stage_tally();
    away = stage_tally();
    return pool;
}

static void free_both(shunt_pool *pool)
{
    /* What was cancelled ends when it has heard of it. */
    for (int64_t ns = 0; ns < harness_patience(); ns += SHUNT_MS(1)) {
        if (shunt_pool_pending(pool) == 0)
            break;
        pause_ms(1);
    }
    assert_long(shunt_pool_pending(pool), 0);
    harness_note("%ld in the host, %ld away", tally_of(in_host),
                 tally_of(away));
    assert_true(tally_of(in_host) > 0);
    assert_true(tally_of(away) > 0);
    harness_free(pool);
}

static shunt_future *give(shunt_pool *pool, long i)
{
    struct count in = counted(i);

    return shunt_submit_with(pool, give_away, &in,
                             .place = i % 2 == 0 ? SHUNT_PLACE_THREAD
                                                 : SHUNT_PLACE_PROCESS);
}

#define FOR_EACH_SIZE(workers) for (int workers = 1; workers <= 4; workers *= 2)

/* ---- composing ---- */

static void steps_follow_tasks_of_the_other_side(void)
{
    for (int workers = 2; workers <= 4; workers *= 2) {
        shunt_pool *pool = pool_of_both(workers);

        for (long i = 0; i < harness_rounds(2000); i++) {
            struct count one = counted(1);
            shunt_future *f = give(pool, i);

            for (int n = 0; n < 6; n++)
                f = (n + i) % 2 == 0 ? shunt_then_with(f, add_here, &one)
                                     : shunt_then_with(f, add_away, &one);
            assert_takes(f, i + 6);
        }
        free_both(pool);
    }
}

static void all_of_both_sides_are_gathered(void)
{
    FOR_EACH_SIZE(workers)
    {
        shunt_pool *pool = pool_of_both(workers);
        shunt_future *fs[50];

        for (long round = 0; round < harness_rounds(200); round++) {
            for (long i = 0; i < 50; i++)
                fs[i] = give(pool, i);
            assert_takes(shunt_then(shunt_when_all(fs, 50), stage_sum), 1225);
            for (long i = 0; i < 50; i++)
                fs[i] = give(pool, i);
            assert_joins(shunt_race(fs, 50), 0);
        }
        free_both(pool);
    }
}

static void maps_run_where_their_kind_does(void)
{
    shunt_pool *pool = pool_of_both(2);
    static struct count ins[200];

    for (long round = 0; round < 20; round++) {
        for (long i = 0; i < 200; i++)
            ins[i] = counted(i);
        assert_takes(
            shunt_then(shunt_map(pool, give_here, ins, 200), stage_sum), 19900);
        assert_takes(
            shunt_then(shunt_map(pool, give_away, ins, 200), stage_sum), 19900);
    }
    free_both(pool);
}

static int hold_scope(const struct count *in, long *out)
{
    shunt_results all;
    shunt_scope *scope;
    int rc = shunt_scope_open(&scope, NULL, NULL);

    note_side(in);
    for (long i = 0; i < 40 && rc == 0; i++) {
        struct count one = *in;

        one.value = i;
        (void)(i % 2 == 0 ? shunt_scope_submit(scope, give_here, &one)
                          : shunt_scope_submit(scope, give_away, &one));
    }
    *out = 0;
    rc = rc == 0 ? shunt_scope_close(scope, &all) : rc;
    for (size_t i = 0; i < all.count && rc == 0; i++)
        *out += *shunt_peek(all.futures[i], long);
    return rc == 0 ? shunt_results_release(&all) : rc;
}
SHUNT_TASK(hold_scope, struct count, long)

static void a_scope_has_children_on_both_sides(void)
{
    shunt_pool *pool = pool_of_both(2);

    for (int i = 0; i < 60; i++) {
        struct count in = counted(0);

        assert_takes(shunt_submit_with(pool, hold_scope, &in,
                                       .place = i % 2 == 0
                                                    ? SHUNT_PLACE_THREAD
                                                    : SHUNT_PLACE_PROCESS),
                     780);
    }
    free_both(pool);
}

struct attempt {
    struct count count;
    struct tally *tries;
};

static int third_time(const struct attempt *in, long *out)
{
    note_side(&in->count);
    *out = tally_add(in->tries, 1) + 1;
    return *out == 3 ? 0 : 1;
}
SHUNT_TASK(third_time, struct attempt, long)

static int third_time_here(const struct attempt *in, long *out)
{
    return third_time(in, out);
}
SHUNT_TASK(third_time_here, struct attempt, long)

static void attempts_of_a_retry_are_made_where_their_kind_is(void)
{
    shunt_pool *pool = pool_of_both(2);
    struct attempt sent = { counted(0), stage_tally() };

    tally_add(sent.tries, 2);
    settle_on_threads(pool, &shunt_task_third_time_here, &sent);
    in_host = stage_tally();
    for (int i = 0; i < 50; i++) {
        sent = (struct attempt){ counted(0), stage_tally() };
        assert_takes(shunt_retry(pool, third_time_here, &sent, .attempts = 5,
                                 .first_ns = -1),
                     3);
        sent.tries = stage_tally();
        assert_takes(
            shunt_retry(pool, third_time, &sent, .attempts = 5, .first_ns = -1),
            3);
    }
    assert_long(tally_of(in_host), 150);
    free_both(pool);
}

static void a_queue_gives_out_what_either_side_has_settled(void)
{
    shunt_pool *pool = pool_of_both(2);
    shunt_queue *queue = NULL;
    shunt_future *fs[64];

    assert_ok(shunt_queue_new(&queue));
    for (long round = 0; round < harness_rounds(400); round++) {
        uint64_t seen = 0;

        for (long i = 0; i < 64; i++)
            fs[i] = give(pool, i);
        assert_ok(shunt_queue_add_all(queue, fs, 64));
        for (int n = 0; n < 64; n++) {
            shunt_event e;

            assert_int_equal(shunt_queue_wait(queue, &e, 1, harness_patience()),
                             1);
            seen |= UINT64_C(1) << shunt_event_index(&e);
            assert_takes(e.future, (long)shunt_event_index(&e));
        }
        assert_true(seen == UINT64_MAX);
    }
    assert_ok(shunt_queue_free(queue));
    free_both(pool);
}

/* ---- parents and children ---- */

struct tree {
    struct count count;
    long depth;
};

static int grow(const struct tree *in, long *out);
SHUNT_TASK(grow, struct tree, long)

/* Children are on the side where their parent is not. */
static int grow(const struct tree *in, long *out)
{
    struct tree child = { in->count, in->depth - 1 };
    int there = here() == in->count.host ? SHUNT_PLACE_PROCESS
                                         : SHUNT_PLACE_THREAD;
    shunt_future *fs[3];

    note_side(&in->count);
    *out = 1;
    if (in->depth == 0)
        return 0;
    for (int i = 0; i < 3; i++)
        fs[i] = shunt_submit_with(NULL, grow, &child, .place = there);
    for (int i = 0; i < 3; i++) {
        long below = 0;
        int rc = shunt_take(fs[i], &below);

        if (rc != 0)
            return rc;
        *out += below;
    }
    return 0;
}

static void children_run_on_the_other_side_at_any_depth(void)
{
    harness_footprint((size_t)256 << 20);
    FOR_EACH_SIZE(workers)
    {
        shunt_pool *pool = pool_of_both(workers);

        for (int i = 0; i < 6; i++) {
            struct tree in = { counted(0), 6 };

            assert_takes(shunt_submit_with(pool, grow, &in,
                                           .place = i % 2 == 0
                                                        ? SHUNT_PLACE_THREAD
                                                        : SHUNT_PLACE_PROCESS),
                         1093);
        }
        free_both(pool);
    }
}

struct asked {
    struct count count;
    struct latch *started, *asked;
    bool parent;
};

/* Waits until it is asked to cancel, and has its child do so. */
static int wait_to_be_asked(const struct asked *in, long *out);
SHUNT_TASK(wait_to_be_asked, struct asked, long)

static int wait_to_be_asked(const struct asked *in, long *out)
{
    struct asked child = *in;
    shunt_future *f;
    int rc;

    note_side(&in->count);
    child.parent = false;
    if (in->parent) {
        f = shunt_submit_with(NULL, wait_to_be_asked, &child,
                              .place = here() == in->count.host
                                           ? SHUNT_PLACE_PROCESS
                                           : SHUNT_PLACE_THREAD);
        rc = shunt_await(f);
        if (rc == SHUNT_ECANCELED)
            (void)shunt_cancel(f);
        if (rc == SHUNT_ETIMEDOUT) /* the child's, which is its own as well */
            rc = shunt_await(shunt_cancel_future()) == 0 ? SHUNT_ECANCELED : 1;
        return shunt_join(f) == 0 ? 1 : rc;
    }
    latch_raise(in->started);
    rc = shunt_await(shunt_cancel_future());
    latch_raise(in->asked);
    *out = 1;
    return rc == 0 ? SHUNT_ECANCELED : 1;
}

static void cancel_and_deadlines_reach_across(void)
{
    shunt_pool *pool = pool_of_both(2);

    for (int i = 0; i < 24; i++) {
        struct asked in = { counted(0), stage_latch(), stage_latch(), true };
        int place = i % 2 == 0 ? SHUNT_PLACE_THREAD : SHUNT_PLACE_PROCESS;
        bool by_deadline = i % 4 >= 2;
        shunt_future *f =
            shunt_submit_with(pool, wait_to_be_asked, &in, .place = place,
                              .deadline_ns = by_deadline ? SHUNT_MS(30) : 0);

        harness_note("round %d", i);
        if (!by_deadline) {
            assert_true(latch_reaches(in.started, 1));
            assert_int_equal(shunt_cancel(f), 1);
        }
        assert_joins(f, by_deadline ? SHUNT_ETIMEDOUT : SHUNT_ECANCELED);
        /* A process is killed at the deadline, and hears nothing then. */
        if (!by_deadline)
            assert_true(latch_reaches(in.asked, 1));
    }
    free_both(pool);
}

/* ---- promises and memory ---- */

struct gift {
    struct count count;
    shunt_future *promised;
    shunt_promise *promise;
};

static int await_gift(const struct gift *in, long *out)
{
    const long *value;
    int rc = shunt_await(in->promised);

    note_side(&in->count);
    value = shunt_peek(in->promised, long);
    *out = value != NULL ? *value : -1;
    return rc;
}
SHUNT_TASK(await_gift, struct gift, long)

static int give_gift(const struct gift *in, shunt_none *out)
{
    (void)out;
    note_side(&in->count);
    return shunt_promise_give(in->promise, &in->count.value);
}
SHUNT_TASK(give_gift, struct gift, shunt_none)

static void promises_are_given_on_one_side_and_awaited_on_the_other(void)
{
    FOR_EACH_SIZE(workers)
    {
        shunt_pool *pool = pool_of_both(workers);

        for (long i = 0; i < harness_rounds(800); i++) {
            struct stage_promise p = stage_promise(pool);
            struct gift in = { counted(i), p.future, p.promise };
            int there = i % 2 == 0 ? SHUNT_PLACE_THREAD : SHUNT_PLACE_PROCESS;
            int here = i % 2 == 0 ? SHUNT_PLACE_PROCESS : SHUNT_PLACE_THREAD;
            shunt_future *f =
                shunt_submit_with(pool, await_gift, &in, .place = there);

            assert_joins(shunt_submit_with(pool, give_gift, &in, .place = here),
                         0);
            assert_takes(f, i);
            assert_ok(shunt_release(p.future));
        }
        free_both(pool);
    }
}

struct text {
    struct count count;
    char *chars;
    size_t n;
};

static int write_text(const struct count *in, struct text *out)
{
    note_side(in);
    out->count = *in;
    out->n = 1 + (size_t)(in->value * 997 % 20000);
    out->chars = shunt_alloc(out->n);
    if (out->chars == NULL)
        return 1;
    memset(out->chars, 'a' + (int)(in->value % 26), out->n);
    return 0;
}
SHUNT_TASK(write_text, struct count, struct text)

static int read_text(shunt_future *const *in, long *out)
{
    struct text text;
    int rc = shunt_take(*in, &text);

    if (rc != 0)
        return rc;
    note_side(&text.count);
    *out = 0;
    for (size_t i = 0; i < text.n; i++)
        *out += text.chars[i] != 'a' + text.count.value % 26;
    text.chars[0] = 'x'; /* what was taken is the taker's */
    return shunt_free(text.chars);
}
SHUNT_TASK(read_text, shunt_future *, long)

static int write_and_read(const struct count *in, long *out)
{
    int there = here() == in->host ? SHUNT_PLACE_PROCESS : SHUNT_PLACE_THREAD;
    shunt_future *f = shunt_submit_with(NULL, write_text, in, .place = there);

    return read_text(&f, out);
}
SHUNT_TASK(write_and_read, struct count, long)

static void memory_of_one_side_is_read_on_the_other(void)
{
    shunt_pool *pool = pool_of_both(2);

    for (long i = 0; i < harness_rounds(2000); i++) {
        struct count in = counted(i);
        struct text text;
        int place = i % 2 == 0 ? SHUNT_PLACE_THREAD : SHUNT_PLACE_PROCESS;

        assert_takes(
            shunt_submit_with(pool, write_and_read, &in, .place = place), 0);
        assert_ok(shunt_take(
            shunt_submit_with(pool, write_text, &in, .place = place), &text));
        assert_true(text.chars[0] == 'a' + i % 26 &&
                    text.chars[text.n - 1] == 'a' + i % 26);
        assert_ok(shunt_free(text.chars));
    }
    free_both(pool);
}

/* ---- calls and loops ---- */

SHUNT_FORK(long, fib, long, n)
{
    shunt_frame(fib) rest;
    long below;

    if (n < 2)
        return n;
    shunt_spawn(fib, rest, n - 1);
    below = shunt_call(fib, n - 2);
    return below + shunt_sync(fib, rest);
}

static int fib_of(const struct count *in, long *out)
{
    note_side(in);
    *out = shunt_fork(fib, in->value);
    return 0;
}
SHUNT_TASK(fib_of, struct count, long)

static int add_up(size_t from, size_t to, long *const *sum)
{
    long part = 0;

    for (size_t i = from; i < to; i++)
        part += (long)i;
    __atomic_fetch_add(*sum, part, __ATOMIC_RELAXED);
    return 0;
}

static int loop_over(const struct count *in, long *out)
{
    long *sum = shunt_alloc(sizeof *sum);
    int rc;

    note_side(in);
    if (sum == NULL)
        return 1;
    *sum = 0;
    rc = shunt_join(shunt_for(NULL, 0, (size_t)in->value, add_up, &sum));
    *out = *sum;
    return rc;
}
SHUNT_TASK(loop_over, struct count, long)

static void forks_and_loops_run_on_both_sides_at_once(void)
{
    FOR_EACH_SIZE(workers)
    {
        shunt_pool *pool = pool_of_both(workers);

        for (long round = 0; round < harness_rounds(80); round++) {
            struct count calls = counted(17), loops = counted(20000);
            shunt_future *fs[16];

            for (int i = 0; i < 16; i++) {
                int place = i % 2 == 0 ? SHUNT_PLACE_THREAD
                                       : SHUNT_PLACE_PROCESS;

                fs[i] = i % 4 < 2 ? shunt_submit_with(pool, fib_of, &calls,
                                                      .place = place)
                                  : shunt_submit_with(pool, loop_over, &loops,
                                                      .place = place);
            }
            for (int i = 0; i < 16; i++)
                assert_takes(fs[i], i % 4 < 2 ? 1597 : 199990000);
        }
        free_both(pool);
    }
}

static const struct CMUnitTest claims[] = {
    CLAIM_OF_BOTH(steps_follow_tasks_of_the_other_side),
    CLAIM_OF_BOTH(all_of_both_sides_are_gathered),
    CLAIM_OF_BOTH(maps_run_where_their_kind_does),
    CLAIM_OF_BOTH(a_scope_has_children_on_both_sides),
    CLAIM_OF_BOTH(attempts_of_a_retry_are_made_where_their_kind_is),
    CLAIM_OF_BOTH(a_queue_gives_out_what_either_side_has_settled),
    CLAIM_OF_BOTH(children_run_on_the_other_side_at_any_depth),
    CLAIM_OF_BOTH(cancel_and_deadlines_reach_across),
    CLAIM_OF_BOTH(promises_are_given_on_one_side_and_awaited_on_the_other),
    CLAIM_OF_BOTH(memory_of_one_side_is_read_on_the_other),
    CLAIM_OF_BOTH(forks_and_loops_run_on_both_sides_at_once),
};

HARNESS_MAIN(claims)
