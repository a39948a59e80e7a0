/* SPDX-License-Identifier: MIT */
/*
 * fuzz/heed.c - a function and what cancels it: the future that tells it, and
 * the commit after which nothing can.
 */
#include "graph.h"

#include <time.h>

enum {
    LOOKS = 2000000
};

/* Runs if a node is asked to cancel. */
static int tell(const shunt_none *in, const struct job *job, shunt_none *out)
{
    (void)in;
    (void)out;
    atomic_fetch_add(&job->graph->fate[job->node].told, 1);
    atomic_fetch_add(&census->told, 1);
    return 0;
}
static void drop_teller(void *in)
{
    const struct job *job = in;

    atomic_fetch_add(&job->graph->fate[job->node].teller_drops, 1);
}
SHUNT_STEP(tell, shunt_none, struct job, shunt_none, .drop = drop_teller)

/* Runs whatever becomes of a node's cancel future. */
static int note(const shunt_outcome *in, const struct job *job, shunt_none *out)
{
    struct fate *fate = &job->graph->fate[job->node];

    (void)out;
    atomic_store(&fate->noted, in->status);
    atomic_fetch_add(&fate->notes, 1);
    return 0;
}
static void drop_noter(void *in)
{
    const struct job *job = in;

    atomic_fetch_add(&job->graph->fate[job->node].noter_drops, 1);
}
SHUNT_STEP(note, shunt_outcome, struct job, shunt_none, .drop = drop_noter)

/* What the cancel future says, the task must see. */
static void expect_asked(const struct job *job, int rc, const char *what)
{
    if (!shunt_cancelled() && check_strictly(job->graph))
        fuzz_fail(job->graph,
                  "%s of the cancel future of %u is %s, but the "
                  "task was not asked",
                  what, job->node, shunt_code_name(rc));
}

static void await_it(const struct job *job)
{
    const struct plan *p = job->graph->plan;
    shunt_future *f = shunt_cancel_future();
    /* Sure to be told, unless nothing can happen to it any more. */
    bool sure = may_be_late(p, &p->node[job->node]) &&
                !atomic_load(&job->graph->fate[job->node].committed);
    int64_t ns = (int64_t)(plan_random(p->seed, job->node, 30) % SHUNT_US(200));
    int rc = sure ? shunt_await(f) : shunt_await_for(f, ns);

    if (rc != SHUNT_PENDING || sure)
        expect_asked(job, rc, "an await");
}

static void race_it(const struct job *job)
{
    shunt_future *both[2] = { shunt_cancel_future(), brood_one(job, 400) };
    shunt_future *f = shunt_race(both, 2);
    const shunt_winner *w;
    int rc = shunt_await(f);

    brood_expect(job, rc, "a race with the cancel future");
    w = shunt_peek(f, shunt_winner);
    if (w != NULL && w->index == 0)
        expect_asked(job, rc, "a race");
}

void heed_begin(const struct job *job)
{
    struct fate *fate = &job->graph->fate[job->node];
    shunt_future *f;

    switch (job->graph->plan->node[job->node].heed) {
    case HEED_DROP:
        f = shunt_cancel_future();
        if (shunt_release(f) != 0)
            fuzz_fail(job->graph, "the cancel future of %u is not good",
                      job->node);
        break;
    case HEED_HOLD:
        (void)shunt_cancel_future();
        break;
    case HEED_THEN:
        atomic_fetch_add(&fate->tellers, 1);
        f = shunt_then_with(shunt_cancel_future(), tell, job);
        if (job->node % 2 == 0)
            (void)shunt_release(f);
        break;
    case HEED_FINALLY:
        atomic_fetch_add(&fate->noters, 1);
        f = shunt_finally_with(shunt_cancel_future(), note, job);
        if (job->node % 2 == 0)
            (void)shunt_release(f);
        break;
    default:
        break;
    }
}

void heed_midway(const struct job *job)
{
    enum heed heed = job->graph->plan->node[job->node].heed;

    if (heed == HEED_AWAIT)
        await_it(job);
    else if (heed == HEED_RACE)
        race_it(job);
}

/* Whoever asks tells the cancel future right after: it is about to say so. */
static void expect_told(const struct job *job, shunt_future *f)
{
    struct timespec moment = { .tv_nsec = 10000 };

    for (int look = 0; look < LOOKS; look++) {
        if (shunt_status(f) != SHUNT_PENDING)
            break;
        nanosleep(&moment, NULL);
    }
    if (shunt_status(f) != 0 && check_strictly(job->graph))
        fuzz_fail(job->graph, "node %u was asked, and its cancel future is %s",
                  job->node, shunt_code_name(shunt_status(f)));
}

void heed_end(const struct job *job)
{
    shunt_future *f;
    int status;

    if (job->graph->plan->node[job->node].heed != HEED_HOLD)
        return;
    f = shunt_cancel_future();
    status = shunt_status(f);
    if (shunt_cancelled())
        expect_told(job, f);
    else if (status != SHUNT_PENDING && check_strictly(job->graph))
        fuzz_fail(job->graph, "the cancel future of %u, not asked, is %s",
                  job->node, shunt_code_name(status));
}

int heed_commit(const struct job *job, enum commit now)
{
    struct graph *g = job->graph;
    int rc;

    if (g->plan->node[job->node].commits != now)
        return 0;
    rc = shunt_commit();
    if (rc == 0) {
        atomic_store(&g->fate[job->node].committed, true);
        atomic_fetch_add(&census->committed, 1);
    } else if (rc != SHUNT_ECANCELED || !shunt_cancelled()) {
        fuzz_fail(g, "node %u cannot commit: %s", job->node,
                  shunt_code_name(rc));
    }
    return rc;
}

void heed_check(struct graph *g, unsigned n)
{
    struct fate *fate = &g->fate[n];
    bool late = may_be_late(g->plan, &g->plan->node[n]);
    bool asked = g->reference.asked[n] || late;
    unsigned told = atomic_load(&fate->told);
    unsigned notes = atomic_load(&fate->notes);
    unsigned tellers = atomic_load(&fate->tellers);
    unsigned noters = atomic_load(&fate->noters);
    int noted = atomic_load(&fate->noted);

    if (told > tellers || notes > noters)
        fuzz_fail(g, "node %u was told %u times, noted %u times", n, told,
                  notes);
    if (!check_strictly(g))
        return;
    if (atomic_load(&fate->teller_drops) != tellers ||
        atomic_load(&fate->noter_drops) != noters)
        fuzz_fail(g, "what heeds node %u was not dropped once", n);
    if (told > 0 && (!asked || atomic_load(&fate->committed)))
        fuzz_fail(g, "node %u was told that it was asked", n);
    /* A finally runs, unless it was attached by code that runs on, after the
     * end of the pool. What the task attaches else has its deadline. */
    if (!late &&
        (notes != noters || (atomic_load(&fate->asked) && told != tellers)))
        fuzz_fail(g, "node %u was told %u times, noted %u times", n, told,
                  notes);
    if (notes == 0)
        return;
    if (noted != 0 && noted != SHUNT_ECANCELED)
        fuzz_fail(g, "the cancel future of %u was %s", n,
                  shunt_code_name(noted));
    if (noted == 0 ? !asked || atomic_load(&fate->committed)
                   : atomic_load(&fate->asked))
        fuzz_fail(g, "the cancel future of %u was %s", n,
                  shunt_code_name(noted));
}
