/* SPDX-License-Identifier: MIT */
/*
 * hook_place_test.c - the hook of a promise is called in the process that has
 * set it, whichever process asks its future to cancel.
 *
 * Method. A hook looks at memory that only its process has, and leaves on the
 * stage what it saw and where it ran.
 */
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "death.h"

struct note {
    struct latch *called;
    shunt_promise *promise;
    long pid, saw;
};

/* What only one process has: in each, its own number. */
static long private_pid;

static void leave_note(void *user)
{
    struct note *note = user;

    note->pid = stage_process();
    note->saw = private_pid;
    if (note->promise != NULL)
        (void)shunt_promise_drop(note->promise);
    latch_raise(note->called);
}

static struct note *make_note(void)
{
    struct note *note = stage_bytes(sizeof *note);

    note->called = stage_latch();
    return note;
}

static int cancel_it(shunt_future *const *in, long *out)
{
    *out = stage_process();
    return shunt_cancel(*in) == 1 ? 0 : 1;
}
SHUNT_TASK(cancel_it, shunt_future *, long)

static void a_hook_of_the_host_runs_there_when_a_task_asks(void)
{
    for (int workers = 1; workers <= 2; workers++) {
        shunt_pool *pool = harness_pool(workers);

        private_pid = stage_process();
        for (int i = 0; i < 50; i++) {
            struct note *note = make_note();
            struct stage_promise p = stage_promise(pool);

            assert_ok(shunt_promise_on_cancel(p.promise, leave_note, note));
            assert_true(
                death_process_of(shunt_submit(pool, cancel_it, &p.future)) !=
                stage_process());
            assert_true(latch_reaches(note->called, 1));
            assert_long(note->pid, stage_process());
            assert_long(note->saw, stage_process());
            /* It was told, and not settled. */
            assert_status(shunt_status(p.future), SHUNT_PENDING);
            stage_give(p.promise, i);
            assert_takes(p.future, i);
        }
        harness_free(pool);
    }
}

struct maker {
    struct note *note;
    shunt_future **shown; /* for who is to cancel it */
    struct latch *ready;
};

/* Its hook ends the wait. */
static int wait_for_cancel(const struct maker *in, long *out)
{
    shunt_promise *p;
    shunt_future *f;

    private_pid = *out = stage_process();
    if (shunt_promise_new(NULL, long, &p, &f) != 0)
        return 1;
    in->note->promise = p;
    if (shunt_promise_on_cancel(p, leave_note, in->note) != 0)
        return 2;
    *in->shown = f;
    latch_raise(in->ready);
    return shunt_join(f) == SHUNT_ECANCELED ? 0 : 3;
}
SHUNT_TASK(wait_for_cancel, struct maker, long)

static shunt_future *start_waiting(shunt_pool *pool, struct maker *in)
{
    shunt_future *f;

    *in = (struct maker){ make_note(), stage_bytes(sizeof(shunt_future *)),
                          stage_latch() };
    f = shunt_submit(pool, wait_for_cancel, in);
    assert_true(latch_reaches(in->ready, 1));
    return f;
}

static void a_hook_of_a_task_runs_in_its_process_when_the_host_asks(void)
{
    shunt_pool *pool = harness_pool(2);

    for (int i = 0; i < 50; i++) {
        struct maker in;
        shunt_future *f = start_waiting(pool, &in);
        long pid;

        assert_long(shunt_cancel(*in.shown), 1);
        pid = death_process_of(f);
        assert_true(pid != stage_process());
        assert_long(in.note->pid, pid);
        assert_long(in.note->saw, pid);
    }
    harness_free(pool);
}

static void a_hook_of_a_task_runs_in_its_process_when_another_asks(void)
{
    shunt_pool *pool = harness_pool(3);

    for (int i = 0; i < 50; i++) {
        struct maker in;
        shunt_future *f = start_waiting(pool, &in);
        long pid;

        assert_joins(shunt_submit(pool, cancel_it, in.shown), 0);
        pid = death_process_of(f);
        assert_long(in.note->pid, pid);
        assert_long(in.note->saw, pid);
    }
    harness_free(pool);
}

struct setter {
    shunt_promise *promise;
    struct note *note;
};

static int set_and_die(const struct setter *in, long *out)
{
    if (shunt_promise_on_cancel(in->promise, leave_note, in->note) != 0)
        return 1;
    return mortal(&(struct mortal){ .how = BY_KILL }, out);
}
SHUNT_TASK(set_and_die, struct setter, long)

/* Goal: what it names is no more, and nobody else follows it. */
static void a_hook_of_a_process_that_has_died_is_not_called(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int i = 0; i < 10; i++) {
        struct stage_promise p = stage_promise(pool);
        struct setter in = { p.promise, make_note() };

        assert_dies(shunt_submit(pool, set_and_die, &in));
        assert_long(shunt_cancel(p.future), 1);
        /* Who would call it has been there. */
        assert_takes(shunt_submit(pool, stage_same, &(long){ i }), i);
        assert_ok(shunt_promise_drop(p.promise));
        assert_joins(p.future, SHUNT_ECANCELED);
        assert_long(latch_level(in.note->called), 0);
    }
    harness_free(pool);
}

/* Method: the cancel, the gift and the end come at any moment. */
static void a_promise_may_be_given_while_its_hook_is_on_its_way(void)
{
    for (int workers = 1; workers <= 2; workers++) {
        shunt_pool *pool = harness_pool(workers);

        for (int i = 0; i < 200; i++) {
            struct note *note = make_note();
            struct stage_promise p = stage_promise(pool);
            shunt_future *f;

            assert_ok(shunt_promise_on_cancel(p.promise, leave_note, note));
            f = shunt_submit(pool, cancel_it, &p.future);
            for (int j = 0; j < i % 20; j++)
                sched_yield();
            stage_give(p.promise, i);
            assert_takes(p.future, i);
            assert_ok(shunt_release(f));
        }
        harness_free(pool);
    }
}

struct giver {
    shunt_promise *promise;
    long value;
};

static void give_late(void *user)
{
    const struct timespec moment = { .tv_nsec = 5000000 };
    const struct giver *giver = user;

    (void)nanosleep(&moment, NULL);
    (void)shunt_promise_give(giver->promise, &giver->value);
}

struct pair {
    shunt_future *futures[2];
};

static int cancel_both(const struct pair *in, shunt_none *out)
{
    (void)out;
    return shunt_cancel(in->futures[0]) == 1 && shunt_cancel(in->futures[1]) == 1
               ? 0
               : 1;
}
SHUNT_TASK(cancel_both, struct pair, shunt_none)

/* Method: one hook lets the other wait, while no worker has anything to do. */
static void a_drain_waits_for_hooks_that_are_on_their_way(void)
{
    for (int i = 0; i < 10; i++) {
        shunt_pool *pool = harness_pool(1 + i % 2);
        struct giver *givers = stage_bytes(2 * sizeof *givers);
        struct pair pair;
        shunt_future *f;

        for (int j = 0; j < 2; j++) {
            struct stage_promise p = stage_promise(pool);

            givers[j] = (struct giver){ p.promise, j };
            pair.futures[j] = p.future;
            assert_ok(shunt_promise_on_cancel(p.promise, give_late,
                                              &givers[j]));
        }
        f = shunt_submit(pool, cancel_both, &pair);
        assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, harness_patience(),
                                      NULL));
        for (int j = 0; j < 2; j++)
            assert_takes(pair.futures[j], j);
        assert_joins(f, 0);
        harness_free(pool);
    }
}

static const struct CMUnitTest hooks[] = {
    CLAIM_OF_PROCESSES(a_hook_of_the_host_runs_there_when_a_task_asks),
    CLAIM_OF_PROCESSES(a_hook_of_a_task_runs_in_its_process_when_the_host_asks),
    CLAIM_OF_PROCESSES(a_hook_of_a_task_runs_in_its_process_when_another_asks),
    CLAIM_OF_PROCESSES(a_hook_of_a_process_that_has_died_is_not_called),
    CLAIM(a_drain_waits_for_hooks_that_are_on_their_way),
    CLAIM(a_promise_may_be_given_while_its_hook_is_on_its_way),
};

HARNESS_MAIN(hooks)
