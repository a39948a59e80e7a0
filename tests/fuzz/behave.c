/* SPDX-License-Identifier: MIT */
/*
 * fuzz/behave.c - what the functions of the nodes do while they run: submit
 * tasks and treat them in one of several ways, wait for other nodes, give
 * promises, heed being cancelled.
 */
#include <string.h>

#include "graph.h"

enum {
    MAGIC = 0x600d1e55
};

/* A task that a function submits. It reads memory of the function. */
struct child {
    struct graph *graph;
    unsigned node, spins;
    bool counts;
    const uint32_t *shared;
};
struct gift {
    uint32_t *block; /* of the child's memory */
};

static void spin(unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        __asm__ __volatile__("" ::: "memory");
}

static int child_run(const struct child *in, struct gift *out)
{
    struct fate *fate = &in->graph->fate[in->node];

    spin(in->spins);
    if (in->counts)
        atomic_fetch_add(&fate->children_run, 1);
    /* The memory of a task outlives the tasks that it submitted. */
    if (in->shared != NULL && *in->shared != MAGIC)
        fuzz_fail(in->graph, "a child of %u reads %x in its memory", in->node,
                  (unsigned)*in->shared);
    out->block = shunt_alloc(in->spins % 100 + sizeof *out->block);
    if (out->block == NULL)
        fuzz_fail(in->graph, "a child of %u got no memory", in->node);
    *out->block = MAGIC;
    return 0;
}
SHUNT_TASK(child_run, struct child, struct gift, .name = "child")

static shunt_future *child_new(const struct job *job, unsigned number,
                               const uint32_t *shared, bool counts)
{
    struct graph *g = job->graph;
    struct child in = { g, job->node, 0, counts, shared };
    shunt_future *f;

    in.spins =
        (unsigned)plan_random(g->plan->seed, job->node, 100 + number) % 2000;
    f = shunt_submit(NULL, child_run, &in);
    /* Only a shutdown that cancels takes no tasks of tasks. */
    if (shunt_status(f) == SHUNT_ECLOSED && !check_strictly(g))
        return f;
    if (counts)
        atomic_fetch_add(&g->fate[job->node].children, 1);
    return f;
}

/* The status of a wait inside a task of what should succeed. */
static void expect_waited(const struct job *job, int rc, const char *what)
{
    if (rc != 0 && !(rc == SHUNT_ECANCELED && shunt_cancelled()) &&
        check_strictly(job->graph))
        fuzz_fail(job->graph, "%s in node %u is %s", what, job->node,
                  shunt_code_name(rc));
}

static void take_child(const struct job *job, shunt_future *f)
{
    struct gift gift;
    int rc = shunt_take(f, &gift);

    expect_waited(job, rc, "a take");
    if (rc != 0)
        return;
    if (*gift.block != MAGIC)
        fuzz_fail(job->graph, "a gift to %u holds %x", job->node,
                  (unsigned)*gift.block);
    if (job->node % 2 == 0 && shunt_free(gift.block) != 0)
        fuzz_fail(job->graph, "a gift to %u cannot be freed", job->node);
}

static void treat(const struct job *job, enum brood brood, unsigned k,
                  shunt_future *f)
{
    shunt_future *more;

    switch (brood) {
    case BROOD_RELEASE:
        (void)shunt_release(f);
        break;
    case BROOD_JOIN:
        expect_waited(job, shunt_join(f), "a join");
        break;
    case BROOD_TAKE:
        take_child(job, f);
        break;
    case BROOD_AWAIT_FOR:
        (void)!shunt_await_for(f, SHUNT_US(k * 20));
        break;
    case BROOD_MIXED:
        /* Settled ones before pending ones among those that are kept. */
        if (k % 3 == 0)
            expect_waited(job, shunt_await(f), "an await");
        more = k % 3 == 1 ? shunt_retain(f) : NULL;
        if (more != NULL && k % 2 == 0)
            (void)shunt_release(f);
        break;
    default:
        break;
    }
}

static void raise_brood(const struct job *job, const uint32_t *shared)
{
    const struct node *n = &job->graph->plan->node[job->node];
    bool joins = n->brood == BROOD_ALL || n->brood == BROOD_RACE;
    shunt_future *all[CHILDREN_MAX];

    for (unsigned k = 0; k < n->children; k++) {
        all[k] = child_new(job, k, shared, n->brood != BROOD_RACE);
        if (!joins)
            treat(job, n->brood, k, all[k]);
    }
    if (joins)
        expect_waited(job,
                      shunt_join(n->brood == BROOD_ALL
                                     ? shunt_when_all(all, n->children)
                                     : shunt_race(all, n->children)),
                      "a combinator's join");
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

        if (rc == SHUNT_PENDING && n->await_ns != SHUNT_FOREVER)
            continue;
        if (rc == SHUNT_ECANCELED && shunt_cancelled())
            return rc;
        if (rc != shunt_status(h))
            fuzz_fail(g, "await of %u in %u: %s, but its status is %s", a,
                      job->node, shunt_code_name(rc),
                      shunt_code_name(shunt_status(h)));
        check_outcome(g, a, h);
        if (rc != 0 && n->propagates)
            return shunt_fail_as(h);
    }
    return 0;
}

void behave_begin(const struct job *job)
{
    struct fate *fate = &job->graph->fate[job->node];

    if (atomic_fetch_add(&fate->runs, 1) != 0)
        fuzz_fail(job->graph, "node %u ran twice", job->node);
    if (atomic_load(&fate->drops) != 0)
        fuzz_fail(job->graph, "node %u runs after its drop", job->node);
    atomic_store(&fate->phase, 1);
}

void behave_end(const struct job *job)
{
    atomic_store(&job->graph->fate[job->node].phase, 2);
}

void behave_drop(void *in)
{
    const struct job *job = in;
    struct fate *fate = &job->graph->fate[job->node];

    if (atomic_load(&fate->phase) == 1)
        fuzz_fail(job->graph, "node %u is dropped while it runs", job->node);
    if (atomic_fetch_add(&fate->drops, 1) != 0)
        fuzz_fail(job->graph, "node %u is dropped twice", job->node);
}

int behave(const struct job *job)
{
    struct graph *g = job->graph;
    const struct node *n = &g->plan->node[job->node];
    uint32_t *shared = NULL;
    int rc;

    if (n->allocates) {
        shared = shunt_alloc(sizeof *shared * 25);
        if (shared == NULL)
            fuzz_fail(g, "node %u got no memory", job->node);
        *shared = MAGIC;
    }
    raise_brood(job, shared);
    rc = wait_for_nodes(job);
    for (unsigned i = 0; i < n->spins && rc == 0; i += 50) {
        spin(50);
        if (n->heeds && shunt_cancelled())
            rc = SHUNT_ECANCELED;
    }
    if (n->gives_any)
        tasks_give(g, n->gives);
    return rc;
}
