/* SPDX-License-Identifier: MIT */
/*
 * blocking_process_test.c - worker processes that stand in for others whose
 * task waits in the kernel: what becomes of all when one of them dies, or ends.
 *
 * Method. As in blocking_test.c, which has what holds wherever tasks run. Tasks
 * say in which process they were, so that it can be killed. Auto pools run none
 * of them on threads.
 */
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "census.h"
#include "death.h"
#include "section.h"

static shunt_pool *pool_with(shunt_options o)
{
    shunt_pool *pool = NULL;

    harness_env("SHUNT_BLOCKING_MAX", NULL);
    o.unobserved = shunt_unobserved_ignore;
    assert_ok(shunt_pool_new(&pool, &o));
    return pool;
}

static shunt_pool *plain_pool(int workers)
{
    return pool_with((shunt_options){ .workers = workers });
}

static int wait_apart(const struct section *in, shunt_none *out)
{
    return wait_in_section(in, out);
}
SHUNT_TASK(wait_apart, struct section, shunt_none, .untrusted = true)

static int where(const long *in, long *out)
{
    return death_process(in, out);
}
SHUNT_TASK(where, long, long, .untrusted = true)

static long next_process(shunt_pool *pool)
{
    return death_process_of(shunt_submit(pool, where, &(long){ 0 }));
}

static void assert_goes_on(shunt_pool *pool)
{
    assert_true(next_process(pool) != stage_process());
}

static int die_apart(const struct mortal *in, long *out)
{
    return mortal(in, out);
}
SHUNT_TASK(die_apart, struct mortal, long, .untrusted = true)

/* A task that blocks until the latch opens, which has begun to. */
static shunt_future *block(shunt_pool *pool, struct section *in)
{
    shunt_future *f;

    *in = new_section();
    f = shunt_submit(pool, wait_apart, in);
    assert_true(latch_reaches(in->in, 1));
    return f;
}

static void let(struct section *in, shunt_future *f)
{
    latch_raise(in->go);
    assert_joins(f, 0);
}

/* Who stands in rests when it has found nothing to do; so something is to be
 * done. */
static bool workers_become(shunt_pool *pool, unsigned workers, unsigned resting)
{
    shunt_future *fs[20];

    for (int64_t ns = 0; ns < harness_patience(); ns += SHUNT_MS(1)) {
        shunt_pool_stats s = stats_of(pool);

        if (s.workers == workers && s.resting == resting)
            return true;
        for (int i = 0; i < 20; i++)
            fs[i] = shunt_submit(pool, where, &(long){ 0 });
        assert_joins(shunt_when_all(fs, 20), 0);
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    }
    return false;
}

static bool blocked_become(shunt_pool *pool, unsigned blocked)
{
    for (int64_t ns = 0; ns < harness_patience(); ns += SHUNT_MS(1)) {
        if (stats_of(pool).blocked == blocked)
            return true;
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    }
    return false;
}

/* ---- who is there ---- */

/* Method: the worker blocks, and each other task says where it runs. */
static void a_process_of_its_own_stands_in(void)
{
    shunt_pool *pool = plain_pool(1);
    long first = next_process(pool), pid;
    struct section in;
    shunt_future *f = block(pool, &in);

    pid = next_process(pool);
    assert_true(pid != first && pid != stage_process());
    for (int i = 0; i < 10; i++)
        assert_long(next_process(pool), pid);
    assert_long(stats_of(pool).workers, 2);
    assert_long(stats_of(pool).blocked, 1);
    assert_true(stood_in_reaches(pool, 1));
    assert_long((long)stats_of(pool).stood_in, 1);
    let(&in, f);
    harness_free(pool);
}

static void a_pool_that_never_blocks_has_no_process_more(void)
{
    size_t before = death_census();
    shunt_pool *pool = plain_pool(2);
    size_t fresh;

    fresh = death_census();
    for (int i = 0; i < 1000; i++)
        assert_goes_on(pool);
    assert_int_equal(death_census(), fresh);
    assert_long((long)stats_of(pool).stood_in, 0);
    assert_long(stats_of(pool).workers, 2);
    harness_free(pool);
    assert_true(before < fresh);
}

static int block_alone(const struct section *in, shunt_none *out)
{
    return wait_in_section(in, out);
}
SHUNT_TASK(block_alone, struct section, shunt_none, .exclusive = true)

static void nobody_stands_in_for_a_task_that_is_alone(void)
{
    shunt_pool *pool = plain_pool(1);
    struct section in = new_section();
    shunt_future *f = shunt_submit(pool, block_alone, &in);

    assert_true(latch_reaches(in.in, 1));
    for (int i = 0; i < 10; i++)
        assert_goes_on(pool);
    wait_a_while();
    assert_long((long)stats_of(pool).stood_in, 0);
    latch_raise(in.go);
    assert_joins(f, 0);
    harness_free(pool);
}

/* ---- deaths ---- */

struct dies {
    struct section section;
    enum death how;
};

static int die_in_section(const struct dies *in, long *out)
{
    struct mortal mortal_in = { .how = in->how };

    if (shunt_blocking_begin() != 0)
        return 1;
    latch_raise(in->section.in);
    if (!latch_reaches(in->section.go, 1))
        return STAGE_LATE;
    return mortal(&mortal_in, out);
}
SHUNT_TASK(die_in_section, struct dies, long, .untrusted = true)

static void a_task_that_dies_in_a_section_costs_no_other(void)
{
    static const enum death hows[] = { BY_NULL, BY_KILL, BY_EXIT_0 };

    for (int i = 0; i < 3; i++) {
        shunt_pool *pool = plain_pool(1);
        for (int round = 0; round < 5; round++) {
            struct dies in = { new_section(), hows[i] };
            shunt_future *f = shunt_submit(pool, die_in_section, &in);
            assert_true(latch_reaches(in.section.in, 1));
            assert_goes_on(pool);
            assert_long(stats_of(pool).blocked, 1);
            latch_raise(in.section.go);
            assert_dies(f);
            assert_true(blocked_become(pool, 0));
            assert_goes_on(pool);
        }
        harness_free(pool);
    }
}

static void a_task_that_dies_on_a_stand_in_costs_no_other(void)
{
    shunt_pool *pool = plain_pool(1);
    struct section in;
    shunt_future *f = block(pool, &in);

    for (int i = 0; i < 10; i++) {
        struct mortal in_it = { .how = i % 2 == 0 ? BY_NULL : BY_KILL };
        assert_dies(shunt_submit(pool, die_apart, &in_it));
        assert_goes_on(pool);
    }
    assert_status(shunt_status(f), SHUNT_PENDING);
    let(&in, f);
    harness_free(pool);
}

/* The process that stands in in a pool of one worker: the number that stands in
 * its name lies behind those of the worker, the host and the lane. */
static long find_stand_in(void)
{
    static struct census_ids kin;

    census_list_kin(&kin);
    for (size_t i = 0; i < kin.count; i++)
        if (census_is_named(kin.ids[i], "shunt: worker 3"))
            return kin.ids[i];
    return 0;
}

/* Method: a process that rests is killed, once while it is not needed, so that
 * it is not replaced, and once at the moment at which it is. */
static void a_stand_in_that_rests_may_be_killed(void)
{
    shunt_pool *pool = plain_pool(1);

    for (int i = 0; i < 20; i++) {
        struct section in;
        shunt_future *f = block(pool, &in);
        long pid;

        assert_goes_on(pool);
        let(&in, f);
        assert_true(workers_become(pool, 2, 1));
        pid = find_stand_in();
        assert_true(pid > 0);
        if (i % 2 == 0) {
            assert_int_equal(kill((pid_t)pid, SIGKILL), 0);
            assert_true(workers_become(pool, 1, 0));
            f = block(pool, &in);
        } else {
            f = block(pool, &in);
            assert_int_equal(kill((pid_t)pid, SIGKILL), 0);
        }
        assert_goes_on(pool);
        assert_true(next_process(pool) != pid);
        let(&in, f);
    }
    harness_free(pool);
}

/* Of all that may happen at one time: tasks that block for a moment, or not,
 * and a kill of whoever there is. */
static int block_for_a_moment(const long *in, long *out)
{
    int rc = shunt_blocking_begin();

    nanosleep(&(struct timespec){ .tv_nsec = *in * 1000 }, NULL);
    *out = stage_process();
    return rc + shunt_blocking_end();
}
SHUNT_TASK(block_for_a_moment, long, long, .untrusted = true)

/* Whichever it is: of workers, or of their parents, the zygotes. */
static long kill_anyone(const struct census_ids *spared, bool parents)
{
    static struct census_ids kin;
    size_t turn = (size_t)stage_random();

    census_list_kin(&kin);
    for (size_t i = 0; i < kin.count; i++) {
        long pid = kin.ids[(i + turn) % kin.count];

        if (!census_has(spared, pid) && census_has_kin(pid) == parents)
            return kill((pid_t)pid, SIGKILL) == 0;
    }
    return 0;
}

/* A zygote takes its workers along, whoever of them was just being forked. */
static void nothing_waits_for_ever(bool parents, long rounds)
{
    enum {
        TASKS = 12
    };
    static struct census_ids spared;
    shunt_pool *pool;
    long killed = 0;

    census_list_kin(&spared);
    pool = plain_pool(2);
    for (long round = harness_rounds(rounds); round > 0; round--) {
        shunt_future *fs[TASKS];
        for (int i = 0; i < TASKS; i++) {
            long us = (long)(stage_random() % 800);
            fs[i] = us < 600 ? shunt_submit(pool, block_for_a_moment, &us)
                             : shunt_submit(pool, where, &us);
            if (i == TASKS / 2 && stage_random() % 8 == 0)
                killed += kill_anyone(&spared, parents);
        }
        for (int i = 0; i < TASKS; i++) {
            int rc = shunt_await_for(fs[i], harness_patience());

            assert_true(rc == 0 || rc == SHUNT_ECRASHED);
            assert_ok(shunt_release(fs[i]));
        }
    }
    assert_true(killed > 0);
    assert_goes_on(pool);
    harness_free(pool);
}

static void nothing_waits_for_ever_beside_those_that_die(void)
{
    nothing_waits_for_ever(false, 500);
}

static void nothing_waits_for_ever_after_the_death_of_a_zygote(void)
{
    nothing_waits_for_ever(true, 200);
}

/* ---- deadlines, limits, .init ---- */

/* Method: first in a worker, then in one that stands in. */
static void a_deadline_ends_a_section_and_its_process(void)
{
    shunt_pool *pool = plain_pool(1);
    struct section outer;
    shunt_future *outer_f;

    for (int i = 0; i < 5; i++) {
        struct section in = new_section();
        shunt_future *f = shunt_submit_with(pool, wait_apart, &in,
                                            .deadline_ns = SHUNT_MS(20));
        assert_goes_on(pool);
        assert_joins(f, SHUNT_ETIMEDOUT);
        assert_goes_on(pool);
        assert_true(blocked_become(pool, 0));
    }
    outer_f = block(pool, &outer);
    for (int i = 0; i < 5; i++) {
        struct section in = new_section();
        shunt_future *f = shunt_submit_with(pool, wait_apart, &in,
                                            .deadline_ns = SHUNT_MS(20));
        assert_joins(f, SHUNT_ETIMEDOUT);
        assert_goes_on(pool);
        assert_true(blocked_become(pool, 1));
    }
    let(&outer, outer_f);
    harness_free(pool);
}

/* Method: no process begins a second task. */
static void processes_that_are_used_up_stand_in_as_well(void)
{
    shunt_pool *pool =
        pool_with((shunt_options){ .workers = 1, .worker_tasks_max = 1 });

    for (int round = 0; round < 3; round++) {
        run_at_once(pool, 6, &shunt_task_wait_apart);
        for (int i = 0; i < 5; i++)
            assert_goes_on(pool);
    }
    harness_free(pool);
}

struct awaits {
    shunt_future *pending;
    struct latch *begun;
};

static int await_pending(const struct awaits *in, long *out)
{
    latch_raise(in->begun);
    *out = shunt_await(in->pending);
    return 0;
}
SHUNT_TASK(await_pending, struct awaits, long, .untrusted = true)

/* Method: what is parked in the one that stands in waits for the test. */
static void one_that_is_used_up_and_stands_in_goes_on(void)
{
    shunt_pool *pool =
        pool_with((shunt_options){ .workers = 1, .worker_tasks_max = 1 });
    struct stage_promise made = stage_promise(pool);
    struct awaits awaits = { made.future, stage_latch() };
    struct section in;
    shunt_future *f = block(pool, &in), *parked;

    parked = shunt_submit(pool, await_pending, &awaits);
    assert_true(latch_reaches(awaits.begun, 1));
    for (int i = 0; i < 5; i++)
        assert_goes_on(pool);
    stage_give(made.promise, 1);
    assert_takes(parked, 0);
    assert_takes(made.future, 1);
    let(&in, f);
    harness_free(pool);
}

struct begins {
    struct tally *begun;
    long good; /* so many end well */
    bool dies;
};

static int begin(void *arg)
{
    const struct begins *b = arg;

    if (tally_add(b->begun, 1) < b->good)
        return 0;
    if (b->dies)
        _exit(1);
    return 1;
}

static struct begins *new_begins(long good, bool dies)
{
    struct begins *b = stage_bytes(sizeof *b);

    *b = (struct begins){ stage_tally(), good, dies };
    return b;
}

static void init_runs_in_a_stand_in(void)
{
    struct begins *b = new_begins(100, false);
    shunt_pool *pool = pool_with(
        (shunt_options){ .workers = 1, .init = begin, .init_arg = b });

    run_at_once(pool, 3, &shunt_task_wait_apart);
    assert_long(tally_of(b->begun), stats_of(pool).workers);
    harness_free(pool);
}

static void an_init_that_fails_in_a_stand_in_breaks_nothing(void)
{
    for (int dies = 0; dies <= 1; dies++) {
        struct begins *b = new_begins(1, dies);
        shunt_pool *pool = pool_with(
            (shunt_options){ .workers = 1, .init = begin, .init_arg = b });
        struct section in;
        shunt_future *f = block(pool, &in), *behind;

        behind = shunt_submit(pool, where, &(long){ 3 });
        for (int i = 0; i < 100 && stats_of(pool).blocking_capped == 0; i++)
            wait_a_while();
        assert_true(stats_of(pool).blocking_capped > 0);
        /* It is tried again, but not for ever: five times. */
        for (int i = 0; i < 100 && tally_of(b->begun) < 6; i++)
            wait_a_while();
        for (int i = 0; i < 10; i++)
            wait_a_while();
        assert_long(tally_of(b->begun), 6);
        assert_status(shunt_status(behind), SHUNT_PENDING);
        let(&in, f);
        assert_joins(behind, 0);
        assert_goes_on(pool);
        assert_true(workers_become(pool, 1, 0));
        harness_free(pool);
    }
}

/* ---- the end ---- */

static void no_process_outlives_its_pool(void)
{
    static const enum shunt_how hows[] = { SHUNT_DRAIN, SHUNT_CANCEL,
                                           SHUNT_KILL };
    size_t before = death_census();

    for (int i = 0; i < 6; i++) {
        shunt_pool *pool = plain_pool(1);
        struct section in;
        shunt_future *f;

        run_at_once(pool, 4, &shunt_task_wait_apart);
        f = block(pool, &in);
        assert_goes_on(pool);
        if (i < 3)
            latch_raise(in.go);
        if (i < 3 || hows[i % 3] == SHUNT_KILL)
            assert_ok(
                shunt_pool_shutdown(pool, hows[i % 3], SHUNT_FOREVER, NULL));
        else
            assert_status(shunt_pool_shutdown(pool, hows[i % 3], 0, NULL),
                          SHUNT_ETIMEDOUT);
        latch_raise(in.go);
        assert_ok(shunt_release(f));
        assert_ok(shunt_pool_free(pool));
        assert_true(death_census_becomes(before));
    }
}

static const struct CMUnitTest blocking_process[] = {
    CLAIM_OF_PROCESSES(a_process_of_its_own_stands_in),
    CLAIM_OF_PROCESSES(a_pool_that_never_blocks_has_no_process_more),
    CLAIM_OF_PROCESSES(nobody_stands_in_for_a_task_that_is_alone),
    CLAIM_OF_PROCESSES(a_task_that_dies_in_a_section_costs_no_other),
    CLAIM_OF_PROCESSES(a_task_that_dies_on_a_stand_in_costs_no_other),
    CLAIM_OF_PROCESSES(a_stand_in_that_rests_may_be_killed),
    CLAIM_OF_PROCESSES(nothing_waits_for_ever_beside_those_that_die),
    CLAIM_OF_PROCESSES(nothing_waits_for_ever_after_the_death_of_a_zygote),
    CLAIM_OF_PROCESSES(a_deadline_ends_a_section_and_its_process),
    CLAIM_OF_PROCESSES(processes_that_are_used_up_stand_in_as_well),
    CLAIM_OF_PROCESSES(one_that_is_used_up_and_stands_in_goes_on),
    CLAIM_OF_PROCESSES(init_runs_in_a_stand_in),
    CLAIM_OF_PROCESSES(an_init_that_fails_in_a_stand_in_breaks_nothing),
    CLAIM_OF_PROCESSES(no_process_outlives_its_pool),
};
HARNESS_MAIN(blocking_process)
