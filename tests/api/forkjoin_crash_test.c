/* SPDX-License-Identifier: MIT */
/*
 * forkjoin_crash_test.c - spawned calls that another process has taken, and
 * deaths: of who has taken one, and of who has spawned it.
 *
 * A spawner waits until its call has begun, which it only can elsewhere.
 */
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define NDEBUG
#include <shunt/forkjoin.h>

#include "death.h"

/* ---- who dies, of a chain of calls, each taken by another process ---- */

struct deadly {
    int depth;  /* how many calls there are */
    int victim; /* which of them dies: 0 is the task itself */
    long lives; /* as of struct mortal */
    bool gives; /* each gets memory and handles before that */
    bool deaf;  /* the others do not end when they are asked to */
    enum death how;
    struct latch *begun; /* by each call */
    struct latch *go;    /* by the test: the victim dies */
    struct tally *ran;   /* of the victim */
    struct tally *ended; /* calls that have come to their end, */
    struct tally *asked; /* and were asked to cancel by then */
};

static void get_something(void)
{
    long one = 1;

    (void)shunt_alloc(1000);
    (void)shunt_submit(NULL, stage_same, &one);
    (void)shunt_fail(3, "said by a call that comes to nothing");
}

/* What a call does while the others are there: true if it goes on. */
static bool play(struct deadly in, int n)
{
    struct mortal fate = {
        .how = in.how, .go = in.go, .ran = in.ran, .lives = in.lives
    };
    long lived = 0;

    if (in.gives)
        get_something();
    if (n == in.victim)
        return mortal(&fate, &lived) == 0;
    return true;
}

SHUNT_FORK(long, be_one_of, struct deadly, in, int, n)
{
    shunt_frame(be_one_of) frame;
    long below = 0;

    if (n > 0)
        latch_raise(in.begun);
    if (n < in.depth) {
        shunt_spawn(be_one_of, frame, in, n + 1);
    }
    /* Nobody waits before all have begun: so each is in a process of its own.
     */
    if (!latch_reaches(in.begun, (unsigned)in.depth))
        below = STAGE_LATE;
    if (!play(in, n))
        below = STAGE_LATE;
    if (n < in.depth)
        below += shunt_sync(be_one_of, frame);
    if (n > in.victim && in.lives == 0)
        while (in.deaf || !shunt_cancelled())
            sched_yield();
    (void)tally_add(in.ended, 1);
    (void)tally_add(in.asked, shunt_cancelled());
    return below + 1;
}

static int deadly(const struct deadly *in, long *out)
{
    *out = shunt_fork(be_one_of, *in, 0);
    return 0;
}
SHUNT_TASK(deadly, struct deadly, long)

static struct deadly deadly_of(int depth, int victim, enum death how)
{
    return (struct deadly){ .depth = depth,
                            .victim = victim,
                            .how = how,
                            .begun = stage_latch(),
                            .go = stage_latch(),
                            .ran = stage_tally(),
                            .ended = stage_tally(),
                            .asked = stage_tally() };
}

static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

static void lose(shunt_pool *pool, struct deadly in)
{
    shunt_future *f = shunt_submit(pool, deadly, &in);
    const shunt_error *e;

    harness_note("%d calls, %d dies by %s", in.depth, in.victim,
                 death_name(in.how));
    assert_true(latch_reaches(in.begun, (unsigned)in.depth));
    latch_raise(in.go);
    assert_settles(f, SHUNT_ECRASHED);
    e = shunt_error_of(f);
    assert_string_equal(e->task, "deadly");
    assert_false(e->collateral);
    assert_true(has(e->message, "deadly"));
    if (in.how == BY_NULL)
        assert_true(has(e->message, "dereferenced NULL"));
    assert_ok(shunt_release(f));
    /* Those below the victim have come to their end before, and had been asked
     * to. */
    assert_long(tally_of(in.ended), in.depth - in.victim);
    assert_long(tally_of(in.asked), in.depth - in.victim);
}

static void a_task_fails_whose_call_has_died(void)
{
    static const enum death ways[] = { BY_KILL, BY_NULL, BY_EXIT_0, BY_STACK };
    shunt_pool *pool = death_pool(2, 0);

    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        lose(pool, deadly_of(1, 1, ways[i]));
        death_all_work(pool, 2);
    }
    harness_free(pool);
}

/* Goal: it costs one task. What else its spawner's process has is not touched,
 * and that process goes on. */
static void the_process_of_its_spawner_goes_on(void)
{
    shunt_pool *pool = death_pool(2, 0);
    long first = death_next_process(pool), second;
    bool there[2] = { false, false };
    long after;

    do {
        second = death_next_process(pool);
    } while (second == first);
    lose(pool, deadly_of(1, 1, BY_KILL));
    for (int i = 0; i < 10000 && !there[0] && !there[1]; i++) {
        after = death_next_process(pool);
        there[0] |= after == first;
        there[1] |= after == second;
    }
    assert_true(there[0] != there[1]);
    harness_free(pool);
}

/* Goal: a call uses the stack of a task that has died, which is not used for
 * anything else meanwhile. */
static void a_task_that_has_died_fails_when_its_calls_have_ended(void)
{
    shunt_pool *pool = death_pool(2, 0);

    for (long i = 0; i < harness_pools(20); i++) {
        lose(pool, deadly_of(1, 0, BY_KILL));
        death_all_work(pool, 2);
    }
    harness_free(pool);
}

static void so_it_is_with_calls_of_calls(void)
{
    shunt_pool *pool = death_pool(4, 0);

    for (int victim = 0; victim <= 3; victim++) {
        lose(pool, deadly_of(3, victim, BY_KILL));
        death_all_work(pool, 4);
    }
    harness_free(pool);
}

static int deadly_soon(const struct deadly *in, long *out)
{
    return deadly(in, out);
}
SHUNT_TASK(deadly_soon, struct deadly, long, .grace_ns = 1000000)

/* Goal: the grace of the task is that of all its calls, however deep. */
static void calls_that_do_not_end_are_killed(void)
{
    shunt_pool *pool = death_pool(4, 0);

    for (int victim = 0; victim <= 2; victim++) {
        struct deadly in = deadly_of(3, victim, BY_KILL);
        shunt_future *f;

        in.deaf = true;
        harness_note("%d dies", victim);
        f = shunt_submit(pool, deadly_soon, &in);
        assert_true(latch_reaches(in.begun, 3));
        latch_raise(in.go);
        assert_joins(f, SHUNT_ECRASHED);
        assert_long(tally_of(in.ended), 0);
        death_all_work(pool, 4);
    }
    harness_free(pool);
}

static void what_they_held_is_given_back(void)
{
    shunt_pool *pool = death_pool(3, 0);

    for (int victim = 0; victim <= 2; victim++) {
        struct deadly in = deadly_of(2, victim, BY_KILL);

        in.gives = true;
        lose(pool, in);
    }
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    harness_free(pool);
}

/* ---- again ---- */

static int deadly_again(const struct deadly *in, long *out)
{
    return deadly(in, out);
}
SHUNT_TASK(deadly_again, struct deadly, long, .idempotent = true, .retries = 3)

static void an_idempotent_task_runs_again_as_a_whole(void)
{
    shunt_pool *pool = death_pool(3, 0);

    for (int victim = 0; victim <= 2; victim++) {
        struct deadly in = deadly_of(2, victim, BY_KILL);

        in.lives = 2;
        latch_raise(in.go);
        harness_note("%d dies", victim);
        assert_takes(shunt_submit(pool, deadly_again, &in), 3);
        assert_long(tally_of(in.ran), 3);
    }
    harness_free(pool);
}

/* ---- deadlines ---- */

struct endless {
    struct latch *begun;
    bool calls; /* the call does not end; else the task does not */
};

SHUNT_FORK(int, go_on, struct endless, in)
{
    latch_raise(in.begun);
    while (in.calls || !shunt_cancelled())
        sched_yield();
    return 0;
}

SHUNT_FORK(int, spawn_endless, struct endless, in)
{
    shunt_frame(go_on) frame;

    shunt_spawn(go_on, frame, in);
    while (!latch_reaches(in.begun, 1) || !in.calls)
        sched_yield();
    return shunt_sync(go_on, frame);
}

static int endless(const struct endless *in, long *out)
{
    *out = shunt_fork(spawn_endless, *in);
    return 0;
}
SHUNT_TASK(endless, struct endless, long, .grace_ns = 1000000)

/* Goal: nothing of it is left, wherever that ran. */
static void a_deadline_reaches_all_who_run_a_part_of_the_task(void)
{
    shunt_pool *pool = death_pool(2, 0);

    for (int calls = 0; calls < 2; calls++) {
        struct endless in = { stage_latch(), calls };
        shunt_future *f =
            shunt_submit_with(pool, endless, &in, .deadline_ns = SHUNT_MS(200));

        harness_note("%s does not end", calls ? "the call" : "the task");
        assert_joins(f, SHUNT_ETIMEDOUT);
        death_all_work(pool, 2);
    }
    harness_free(pool);
}

static void so_does_a_cancel(void)
{
    shunt_pool *pool = death_pool(2, 0);

    for (int calls = 0; calls < 2; calls++) {
        struct endless in = { stage_latch(), calls };
        shunt_future *f = shunt_submit(pool, endless, &in);

        harness_note("%s does not end", calls ? "the call" : "the task");
        assert_true(latch_reaches(in.begun, 1));
        assert_status(shunt_cancel(f), 1);
        assert_joins(f, SHUNT_ECANCELED);
        death_all_work(pool, 2);
    }
    harness_free(pool);
}

static void a_kill_of_the_pool_leaves_nothing_of_it(void)
{
    for (int calls = 0; calls < 2; calls++) {
        shunt_pool *pool = death_pool(2, 0);
        struct endless in = { stage_latch(), calls };
        shunt_future *f = shunt_submit(pool, endless, &in);

        assert_true(latch_reaches(in.begun, 1));
        assert_status(shunt_pool_shutdown(pool, SHUNT_KILL, SHUNT_MS(1), NULL),
                      SHUNT_ETIMEDOUT);
        assert_joins(f, SHUNT_ECANCELED);
        harness_free(pool);
    }
}

/* ---- many, and processes that die at any moment ---- */

SHUNT_FORK(long, fib, int, n)
{
    shunt_frame(fib) rest;
    long below;

    if (n < 2)
        return n;
    shunt_spawn(fib, rest, n - 1);
    below = shunt_call(fib, n - 2);
    return below + shunt_sync(fib, rest);
}

static int fib_task(const int *n, long *out)
{
    *out = shunt_fork(fib, *n);
    return 0;
}
SHUNT_TASK(fib_task, int, long, .idempotent = true, .retries = 100)

enum {
    TREES = 8,
    OF = 24,
    FIB_OF = 46368
};

/* Method: the processes are told apart by tasks, and killed from outside. */
static void a_storm_of_deaths_leaves_the_right_values(void)
{
    shunt_pool *pool = death_pool(3, 0);

    harness_limit(120);
    for (long i = 0; i < harness_pools(200); i++) {
        shunt_future *fs[TREES];
        pid_t victim = (pid_t)death_next_process(pool);

        for (int k = 0; k < TREES; k++)
            fs[k] = shunt_submit(pool, fib_task, &(int){ OF });
        for (uint64_t n = stage_random() % 3000; n > 0; n--)
            sched_yield();
        (void)kill(victim, SIGKILL);
        for (int k = 0; k < TREES; k++)
            assert_takes(fs[k], FIB_OF);
    }
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM_OF_PLAIN_PROCESSES(a_task_fails_whose_call_has_died),
    CLAIM_OF_PLAIN_PROCESSES(the_process_of_its_spawner_goes_on),
    CLAIM_OF_PLAIN_PROCESSES(
        a_task_that_has_died_fails_when_its_calls_have_ended),
    CLAIM_OF_PLAIN_PROCESSES(so_it_is_with_calls_of_calls),
    CLAIM_OF_PLAIN_PROCESSES(calls_that_do_not_end_are_killed),
    CLAIM_OF_PLAIN_PROCESSES(what_they_held_is_given_back),
    CLAIM_OF_PLAIN_PROCESSES(an_idempotent_task_runs_again_as_a_whole),
    CLAIM_OF_PLAIN_PROCESSES(a_deadline_reaches_all_who_run_a_part_of_the_task),
    CLAIM_OF_PLAIN_PROCESSES(so_does_a_cancel),
    CLAIM_OF_PLAIN_PROCESSES(a_kill_of_the_pool_leaves_nothing_of_it),
    CLAIM_OF_PLAIN_PROCESSES(a_storm_of_deaths_leaves_the_right_values),
};

HARNESS_MAIN(claims)
