/* SPDX-License-Identifier: MIT */
/*
 * sampled_look.c - a worker has taken a sample, as the timekeeper falls asleep.
 *
 * Edges: sampled, alarm (worker/sample.c, worker/timekeeper.c). The timekeeper
 * looks at the figures, and sees the sample, though nothing else happens in the
 * pool. A look comes too early for the first time: so it also sleeps until it
 * is time, in which nobody rings.
 */
#define CLOCK_STEP_NS 6000000
#define FUTEX_IS_TIME(deadline_ns) ((deadline_ns) != INT64_MAX)
#include "timekeeper_client.h"

#include <sys/resource.h>
#include <time.h>

/* No sample is deep. */
#define clock_gettime(clock, to) (-1)
#define CLOCK_THREAD_CPUTIME_ID 3
#define getrusage(whose, to) (-1)
#define tell tell_sampled
#include "../../runtime/worker/sample.c"
#undef tell

static struct sh_worker worker;
static struct sh_figures figures;

static void *sampler(void *unused)
{
    (void)unused;
    sh_sample_rest(&worker);
    return NULL;
}

/* In the place of place/steer.c. */
static void look(struct sh_pool *p)
{
    assert(p == &pool);
    assert(sh_load_rlx(&figures.runs) == 1); /* relaxed: it is seen */
    sh_store_sc(&pool.time.stop, 1);         /* seq_cst: alarm */
}

const struct sh_pilot sh_pilot_of_pools = { .step = look };

int main(void)
{
    pthread_t one, two;

    make_pool_with_timekeeper();
    pool.time.steer = sh_pilot_of_pools.step;
    worker.pool = &pool;
    worker.random = 1;
    worker.sampler[0].last = &figures;
    worker.sampler[0].weight = 2;
    worker.sampler[0].left = 1;
    one = thread_start(timekeeper, NULL);
    two = thread_start(sampler, NULL);
    thread_join(one);
    thread_join(two);
    return 0;
}
