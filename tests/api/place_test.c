/* SPDX-License-Identifier: MIT */
/*
 * place_test.c - which tasks of a process pool run in the host, and that all
 * others do not.
 *
 * Method. A task tells its process; the host and its workers have one each.
 */
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "stage.h"

static int tell(const shunt_none *in, long *out)
{
    (void)in;
    *out = stage_process();
    return 0;
}
SHUNT_TASK(tell, shunt_none, long)

static int careless(const shunt_none *in, long *out)
{
    return tell(in, out);
}
SHUNT_TASK(careless, shunt_none, long, .untrusted = true)

static int of_one_thread(const shunt_none *in, long *out)
{
    return tell(in, out);
}
SHUNT_TASK(of_one_thread, shunt_none, long, .thread_unsafe = true)

static int trusted(const shunt_none *in, long *out)
{
    return tell(in, out);
}
SHUNT_TASK(trusted, shunt_none, long, .trusted = true)

static int at_home(const shunt_none *in, long *out)
{
    return tell(in, out);
}
SHUNT_TASK(at_home, shunt_none, long, .host_only = true)

static long told_by(shunt_future *f)
{
    long process = 0;

    assert_ok(shunt_take(f, &process));
    return process;
}

static void tasks_run_in_a_worker_process_whatever_they_are(void)
{
    shunt_pool *pool = harness_pool(1);
    long worker = told_by(shunt_submit(pool, tell, NULL));

    assert_true(worker != stage_process());
    for (int i = 0; i < 50; i++) {
        assert_takes(shunt_submit(pool, careless, NULL), worker);
        assert_takes(shunt_submit(pool, of_one_thread, NULL), worker);
        assert_takes(shunt_submit(pool, trusted, NULL), worker);
    }
    harness_free(pool);
}

static void what_needs_the_host_runs_on_a_thread_of_it(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int i = 0; i < 50; i++) {
        assert_takes(shunt_submit(pool, at_home, NULL), stage_process());
        assert_true(told_by(shunt_submit(pool, tell, NULL)) != stage_process());
    }
    harness_free(pool);
}

/* Method: the host's memory as it is now, and not as it was at the fork. */
static long *mine;

static int use_memory_of_the_host(const long *in, long *out)
{
    *out = *in + *mine;
    *mine += 1;
    return 0;
}
SHUNT_TASK(use_memory_of_the_host, long, long, .host_only = true)

static void it_has_the_hosts_memory(void)
{
    shunt_pool *pool = harness_pool(2);

    mine = malloc(sizeof *mine);
    assert_non_null(mine);
    *mine = 30;
    for (long i = 0; i < 20; i++)
        assert_takes(shunt_submit(pool, use_memory_of_the_host, &i),
                     30 + 2 * i);
    assert_long(*mine, 50);
    free(mine);
    harness_free(pool);
}

static int home_after(const long *in, long *out)
{
    *out = *in == stage_process() ? 0 : stage_process();
    return 0;
}
SHUNT_TASK(home_after, long, long, .host_only = true)

static int away_after(const long *in, long *out)
{
    *out = *in == stage_process() ? 0 : *in;
    return 0;
}
SHUNT_TASK(away_after, long, long)

/* In a task, of a worker or of the host: what it submits has a place of its
 * own. */
static int go_to_and_fro(const shunt_none *in, long *out)
{
    shunt_future *f = shunt_submit(NULL, tell, NULL);

    (void)in;
    return shunt_take(shunt_then(shunt_then(f, home_after), away_after), out);
}
SHUNT_TASK(go_to_and_fro, shunt_none, long)

static int go_from_home(const shunt_none *in, long *out)
{
    return go_to_and_fro(in, out);
}
SHUNT_TASK(go_from_home, shunt_none, long, .host_only = true)

/* Method: each step sees that it is not where its predecessor was. */
static void steps_go_to_and_fro(void)
{
    shunt_pool *pool = harness_pool(2);

    for (int i = 0; i < 50; i++) {
        assert_takes(shunt_submit(pool, go_to_and_fro, NULL), stage_process());
        assert_takes(shunt_submit(pool, go_from_home, NULL), stage_process());
    }
    harness_free(pool);
}

/* Goal: a task of the host that waits keeps nobody from anything. Method: more
 * of them than there can be threads for them, each for the next one. */
struct chain {
    long depth, host;
};

static int wait_for_next(const struct chain *in, long *out);
SHUNT_TASK(wait_for_next, struct chain, long, .host_only = true)

static int wait_for_next(const struct chain *in, long *out)
{
    struct chain next = { in->depth - 1, in->host };
    long below = 0;

    if (stage_process() != in->host)
        return 1;
    if (in->depth > 0 &&
        shunt_take(shunt_submit(NULL, wait_for_next, &next), &below) != 0)
        return 2;
    *out = below + 1;
    return 0;
}

static void tasks_of_the_host_wait_for_each_other(void)
{
    shunt_pool *pool = harness_pool(1);
    struct chain first = { 200, stage_process() };

    harness_footprint((size_t)256 * (256 << 10));
    assert_takes(shunt_submit(pool, wait_for_next, &first), 201);
    harness_free(pool);
}

static int linger_at_home(const struct job *in, long *out)
{
    return stage_job(in, out);
}
SHUNT_TASK(linger_at_home, struct job, long, .host_only = true)

/* Goal: it is as on threads, since nobody can be killed. */
static void at_its_deadline_a_task_of_the_host_is_given_up(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);
    struct job in = { .started = stage_latch(), .go = stage_latch() };
    shunt_future *f = shunt_submit_with(pool, linger_at_home, &in,
                                        .deadline_ns = SHUNT_MS(50));

    assert_true(latch_reaches(in.started, 1));
    stage_advance(pool, SHUNT_MS(50));
    assert_joins(f, SHUNT_ETIMEDOUT);
    assert_true(told_by(shunt_submit(pool, tell, NULL)) != stage_process());
    f = shunt_submit(pool, at_home, NULL);
    latch_raise(in.go);
    assert_takes(f, stage_process());
    harness_free(pool);
}

static int die_away(const shunt_none *in, long *out)
{
    *out = *(volatile char *)in;
    raise(SIGKILL);
    return 0;
}
SHUNT_TASK(die_away, shunt_none, long)

static int outlive(const long *in, long *out)
{
    for (*out = 0; *out < *in; ++*out)
        if (shunt_join(shunt_submit(NULL, die_away, NULL)) != SHUNT_ECRASHED)
            return 1;
    return 0;
}
SHUNT_TASK(outlive, long, long, .host_only = true)

static void a_task_of_the_host_is_no_collateral(void)
{
    shunt_pool *pool = harness_pool(2);

    for (int i = 0; i < 5; i++)
        assert_takes(shunt_submit(pool, outlive, &(long){ 5 }), 5);
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM_OF_PROCESSES(tasks_run_in_a_worker_process_whatever_they_are),
    CLAIM_OF_PROCESSES(what_needs_the_host_runs_on_a_thread_of_it),
    CLAIM_OF_PROCESSES(it_has_the_hosts_memory),
    CLAIM_OF_PROCESSES(steps_go_to_and_fro),
    CLAIM_OF_PROCESSES(tasks_of_the_host_wait_for_each_other),
    CLAIM_OF_PROCESSES(at_its_deadline_a_task_of_the_host_is_given_up),
    CLAIM_OF_PROCESSES(a_task_of_the_host_is_no_collateral),
};

HARNESS_MAIN(claims)
