/* SPDX-License-Identifier: MIT */
/*
 * fuzz/behave.c - what the functions of the nodes do while they run: submit
 * tasks, wait for other nodes, give promises, heed being cancelled, run on past
 * their deadline, spread what they do over other workers.
 */
#define NDEBUG /* it is built without optimisation, too: forkjoin_check_test */
#include <shunt/forkjoin.h>

#include "graph.h"

#include <stddef.h>
#include <unistd.h>

#include "base/clock.h"

void behave_spin(unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        __asm__ __volatile__("" ::: "memory");
}

/* Wait for the other nodes. Not 0: return that, after giving. */
static int wait_for_nodes(const struct job *job)
{
    struct graph *g = job->graph;
    const struct node *n = &g->plan->node[job->node];

    for (unsigned k = 0; k < n->await_count; k++) {
        unsigned a = n->awaits[k];
        shunt_future *h = atomic_load(&g->fate[a].handles[n->await_uses[k]]);
        int rc = n->await_ns == SHUNT_FOREVER ? shunt_await(h)
                                              : shunt_await_for(h, n->await_ns);
        int status;

        if (rc == SHUNT_PENDING && n->await_ns != SHUNT_FOREVER)
            continue;
        /* Given up, it may run on after the pool was freed. */
        if (rc != 0 && shunt_cancelled())
            return SHUNT_ECANCELED;
        status = shunt_status(h);
        /* So, too, when what it waits for has settled: its handle may have been
         * released meanwhile. */
        if (status == SHUNT_EINVAL && shunt_cancelled())
            return SHUNT_ECANCELED;
        if (rc != status)
            fuzz_fail(g, "await of %u in %u: %s, but its status is %s", a,
                      job->node, shunt_code_name(rc), shunt_code_name(status));
        check_outcome(g, a, h);
        if (rc != 0 && n->propagates)
            return shunt_fail_as(h);
    }
    return 0;
}

void behave_begin(const struct job *job)
{
    struct fate *fate = &job->graph->fate[job->node];

    unsigned retries = job->graph->plan->node[job->node].retries;

    /* Three times more than it says, if others are to blame. */
    if (atomic_fetch_add(&fate->runs, 1) > (retries > 0 ? retries + 3 : 0))
        fuzz_fail(job->graph, "node %u ran twice", job->node);
    atomic_store(&fate->pid, getpid());
    if (atomic_load(&fate->drops) != 0)
        fuzz_fail(job->graph, "node %u runs after its drop", job->node);
    atomic_store(&fate->phase, 1);
}

void behave_end(const struct job *job, int rc)
{
    struct graph *g = job->graph;
    const struct node *n = &g->plan->node[job->node];
    struct fate *fate = &g->fate[job->node];

    if (shunt_cancelled()) {
        if (atomic_load(&fate->committed) && check_closed(g))
            fuzz_fail(g, "node %u has committed, and was asked", job->node);
        if (!g->reference.asked[job->node] && !may_be_late(g->plan, n) &&
            check_strictly(g))
            fuzz_fail(g, "node %u was asked to cancel", job->node);
        atomic_store(&fate->asked, true);
        if (may_be_late(g->plan, n))
            atomic_fetch_add(&census->given_up, 1);
    }
    if (rc == 0)
        atomic_store(&fate->ended, check_success(g, job->node));
    else if (rc == failure_of(job->node))
        atomic_store(&fate->ended, check_failure(SHUNT_EFAILED, rc));
    atomic_store(&fate->phase, 2);
}

void behave_drop(void *in)
{
    const struct job *job = in;
    struct fate *fate = &job->graph->fate[job->node];

    if (atomic_load(&fate->phase) == 1 && !job->graph->plan->mortal)
        fuzz_fail(job->graph, "node %u is dropped while it runs", job->node);
    if (atomic_fetch_add(&fate->drops, 1) != 0)
        fuzz_fail(job->graph, "node %u is dropped twice", job->node);
}

/* Turns of 50 spins, in calls that whoever has time may take; how many there
 * were. Those that heed a cancel leave out what comes after it. */
SHUNT_FORK(unsigned, turns, unsigned, n, bool, heeds)
{
    shunt_frame(turns) upper;
    unsigned lower;

    if (n == 0 || (heeds && shunt_cancelled()))
        return 0;
    if (n == 1) {
        behave_spin(50);
        return 1;
    }
    shunt_spawn(turns, upper, n - n / 2, heeds);
    lower = shunt_call(turns, n / 2, heeds);
    return lower + shunt_sync(turns, upper);
}

/* Every third node spreads its turns. */
static int spin(const struct job *job, const struct node *n)
{
    unsigned count = (n->spins + 49) / 50, done;

    if (job->node % 3 != 0) {
        for (unsigned i = 0; i < count; i++) {
            behave_spin(50);
            if (n->heeds && shunt_cancelled())
                return SHUNT_ECANCELED;
        }
        return 0;
    }
    done = shunt_fork(turns, count, n->heeds);
    if (n->heeds && shunt_cancelled())
        return SHUNT_ECANCELED;
    if (done != count)
        fuzz_fail(job->graph, "node %u spread %u turns, of which %u came back",
                  job->node, count, done);
    return 0;
}

int behave_work(const struct job *job)
{
    const struct node *n = &job->graph->plan->node[job->node];
    int64_t until = sh_clock_ns() + SHUNT_US(n->lingers_us);

    if (spin(job, n) != 0)
        return SHUNT_ECANCELED;
    while (n->lingers_us > 0 && sh_clock_ns() < until) {
        behave_spin(50);
        if (n->heeds && shunt_cancelled())
            return SHUNT_ECANCELED;
    }
    return 0;
}

int behave(const struct job *job)
{
    struct graph *g = job->graph;
    const struct node *n = &g->plan->node[job->node];
    int64_t left = n->span == SPAN_NONE || !op_traits[n->op].submitted
                       ? SHUNT_FOREVER
                       : n->span_ns;
    uint32_t *shared = NULL;
    int rc;

    moment_left(job, &left);
    rc = heed_commit(job, COMMIT_FIRST);
    if (n->allocates) {
        shared = shunt_alloc(sizeof *shared * 25);
        if (shared == NULL)
            fuzz_fail(g, "node %u got no memory", job->node);
        *shared = BROOD_MAGIC;
    }
    heed_begin(job);
    brood_raise(job, shared);
    if (rc == 0)
        rc = wait_for_nodes(job);
    moment_left(job, &left);
    storm_doom(job);
    if (rc == 0)
        rc = heed_commit(job, COMMIT_MIDWAY);
    if (rc == 0)
        heed_midway(job);
    if (rc == 0)
        rc = behave_work(job);
    if (rc == 0)
        rc = heed_commit(job, COMMIT_LAST);
    heed_end(job);
    moment_left(job, &left);
    if (n->gives_any)
        tasks_give(g, n->gives);
    return rc;
}
