/* SPDX-License-Identifier: MIT */
/* death.c - tasks that end their process: death.h. */
#include "death.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "census.h"

const char *death_name(enum death how)
{
    static const char *const names[DEATHS] = {
        "a NULL that is followed",
        "abort",
        "exit(0)",
        "exit(3)",
        "_exit(1)",
        "SIGKILL",
        "SIGTERM",
        "a stack overflow",
        "a division by zero",
    };

    return how < DEATHS ? names[how] : "a deadline";
}

/* The compiler must not know that it never ends well. */
static int use_up(volatile char *above, unsigned depth)
{
    volatile char frame[1024];

    frame[0] = above[0];
    if (depth == 0)
        return frame[0];
    return use_up(frame, depth - 1) + frame[0];
}

static void die(enum death how)
{
    int *volatile nowhere = NULL;
    volatile int zero = 0, one = 1;
    volatile char bottom = 0;

    switch (how) {
    case BY_NULL:
        *(volatile int *)nowhere = 1;
        break;
    case BY_ABORT:
        abort();
    case BY_EXIT_0:
        exit(0);
    case BY_EXIT_3:
        exit(3);
    case BY_EXIT_AT_ONCE:
        _exit(1);
    case BY_KILL:
        raise(SIGKILL);
        break;
    case BY_TERM:
        raise(SIGTERM);
        break;
    case BY_STACK:
        zero = use_up(&bottom, 1 << 20);
        break;
    case BY_DIVISION:
        one = one / zero;
        raise(SIGFPE); /* where a division is no trap */
        break;
    case DEATHS:
        break;
    }
}

int mortal(const struct mortal *in, long *out)
{
    const struct rlimit no_core = { 0, 0 };
    long ran = in->ran != NULL ? tally_add(in->ran, 1) + 1 : 1;

    if (in->started != NULL)
        latch_raise(in->started);
    if (in->go != NULL && !latch_reaches(in->go, 1))
        return shunt_fail(STAGE_LATE, "the latch was not raised in time");
    *out = ran;
    if (in->lives > 0 && ran > in->lives)
        return 0;
    setrlimit(RLIMIT_CORE, &no_core);
    die(in->how);
    return shunt_fail(1, "it has outlived %s", death_name(in->how));
}
SHUNT_TASK_DEFINE(mortal)

shunt_future *death_in(shunt_pool *pool, enum death how)
{
    return shunt_submit(pool, mortal, &(struct mortal){ .how = how });
}

int death_process(const long *in, long *out)
{
    (void)in;
    *out = stage_process();
    return 0;
}
SHUNT_TASK_DEFINE(death_process)

long death_process_of(shunt_future *f)
{
    long pid = 0;

    assert_settles(f, 0);
    assert_ok(shunt_take(f, &pid));
    return pid;
}

long death_next_process(shunt_pool *pool)
{
    return death_process_of(shunt_submit(pool, death_process, &(long){ 0 }));
}

shunt_pool *death_pool(int workers, size_t tasks_max)
{
    shunt_pool *pool = NULL;

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = workers,
                                 .worker_tasks_max = tasks_max,
                                 .unobserved = shunt_unobserved_ignore }));
    return pool;
}

void death_all_work(shunt_pool *pool, int workers)
{
    struct latch *started = stage_latch(), *go = stage_latch();
    shunt_future *fs[16];

    assert_true(workers <= 16);
    for (int i = 0; i < workers; i++)
        fs[i] = shunt_submit(pool, stage_job,
                             &(struct job){ .started = started, .go = go });
    assert_true(latch_reaches(started, (unsigned)workers));
    latch_raise(go);
    for (int i = 0; i < workers; i++)
        assert_joins(fs[i], 0);
}

size_t death_census(void)
{
    static struct census_ids kin;

    census_list_kin(&kin);
    return kin.count;
}

bool death_census_becomes(size_t processes)
{
    const struct timespec moment = { 0, 1000000 };

    for (int64_t ns = 0; ns < harness_patience(); ns += SHUNT_MS(1)) {
        if (death_census() == processes)
            return true;
        nanosleep(&moment, NULL);
    }
    return false;
}
