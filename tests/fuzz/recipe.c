/* SPDX-License-Identifier: MIT */
/*
 * fuzz/recipe.c - functions that return a future, made inside the task in one
 * of ten ways. All but one end in the value of their node.
 */
#include "graph.h"

enum {
    LEAVES = 30,
    LEAVES_OF_A_RACE = 5
};

static int leaf(const struct job *in, struct small *out)
{
    value_make(in->graph, in->node, SHAPE_SMALL, out);
    return 0;
}
SHUNT_TASK(leaf, struct job, struct small)

static int leaf_that_fails(const struct job *in, struct small *out)
{
    (void)out;
    return shunt_fail(failure_of(in->node), "a leaf of node %u", in->node);
}
SHUNT_TASK(leaf_that_fails, struct job, struct small)

static int pass(const struct small *in, struct small *out)
{
    *out = *in;
    return 0;
}
SHUNT_TASK(pass, struct small, struct small)

static int mend(const shunt_error *in, const struct job *job, struct small *out)
{
    if (in->code != SHUNT_EFAILED || in->task_code != failure_of(job->node))
        fuzz_fail(job->graph, "a recipe of %u mends %s %d", job->node,
                  shunt_code_name(in->code), in->task_code);
    value_make(job->graph, job->node, SHAPE_SMALL, out);
    return 0;
}
SHUNT_STEP(mend, shunt_error, struct job, struct small)

static int observe(const shunt_outcome *in, shunt_none *out)
{
    (void)out;
    return in->status == 0 || in->status == SHUNT_ECANCELED ? 0 : 77;
}
SHUNT_TASK(observe, shunt_outcome, shunt_none)

static int sum_up(const shunt_results *in, const struct job *job,
                  struct small *out)
{
    for (size_t i = 0; i < in->count; i++)
        if (shunt_status(in->futures[i]) != 0)
            fuzz_fail(job->graph, "a recipe of %u: one of all is %s", job->node,
                      shunt_code_name(shunt_status(in->futures[i])));
    value_make(job->graph, job->node, SHAPE_SMALL, out);
    return 0;
}
SHUNT_STEP(sum_up, shunt_results, struct job, struct small)

static int take_winner(const shunt_winner *in, const struct job *job,
                       struct small *out)
{
    if (in->index >= LEAVES_OF_A_RACE || shunt_status(in->future) != 0)
        fuzz_fail(job->graph, "a recipe of %u: winner %zu is %s", job->node,
                  in->index, shunt_code_name(shunt_status(in->future)));
    value_make(job->graph, job->node, SHAPE_SMALL, out);
    return 0;
}
SHUNT_STEP(take_winner, shunt_winner, struct job, struct small)

struct errand {
    struct job job;
    shunt_promise *promise;
};

static int run_errand(const struct errand *in, shunt_none *out)
{
    struct small value;

    (void)out;
    value_make(in->job.graph, in->job.node, SHAPE_SMALL, &value);
    return shunt_promise_give(in->promise, &value);
}
SHUNT_TASK(run_errand, struct errand, shunt_none)

/* A promise that a child gives before the task ends. */
static shunt_future *promise_given(const struct job *job)
{
    struct errand errand = { *job, NULL };
    shunt_future *f = NULL, *child;

    if (shunt_promise_new(NULL, struct small, &errand.promise, &f) != 0)
        return shunt_submit(NULL, leaf, job); /* closed: fails likewise */
    child = shunt_submit(NULL, run_errand, &errand);
    (void)shunt_join(child);
    return f;
}

static shunt_future *leaves(const struct job *job, bool any)
{
    shunt_future *all[LEAVES];
    unsigned count =
        any ? LEAVES_OF_A_RACE
            : 1 + (unsigned)plan_random(job->graph->plan->seed, job->node, 7) %
                      LEAVES;

    for (unsigned i = 0; i < count; i++)
        all[i] = any && i % 2 == 0 ? shunt_submit(NULL, leaf_that_fails, job)
                                   : shunt_submit(NULL, leaf, job);
    return any ? shunt_when_any(all, count) : shunt_when_all(all, count);
}

static shunt_future *race_of_leaves(const struct job *job)
{
    shunt_future *all[LEAVES_OF_A_RACE];

    for (unsigned i = 0; i < LEAVES_OF_A_RACE; i++)
        all[i] = shunt_submit(NULL, leaf, job);
    return shunt_race(all, LEAVES_OF_A_RACE);
}

static int nested(const struct job *in, shunt_future **out);
SHUNT_TASK_DECLARE(nested, struct job, shunt_future *)

/* A future that becomes what a future becomes that ... */
static int nested(const struct job *in, shunt_future **out)
{
    struct job deeper = *in;

    if (in->number > 0) {
        deeper.number--;
        *out = shunt_submit(NULL, nested, &deeper);
    } else {
        *out = shunt_then_with(leaves(in, false), sum_up, in);
    }
    return 0;
}
SHUNT_TASK_DEFINE(nested)

shunt_future *recipe_make(const struct job *job)
{
    struct job deep = *job;
    shunt_future *f, *more;

    switch (job->graph->plan->node[job->node].recipe) {
    case 0:
        return shunt_submit(NULL, leaf, job);
    case 1:
        f = shunt_then(shunt_submit(NULL, leaf_that_fails, job), pass);
        return shunt_recover_with(f, mend, job);
    case 2:
        return shunt_then_with(leaves(job, false), sum_up, job);
    case 3:
        return promise_given(job);
    case 4:
        return shunt_then_with(race_of_leaves(job), take_winner, job);
    case 5:
        deep.number = 3;
        return shunt_submit(NULL, nested, &deep);
    case RECIPE_FAILS:
        return shunt_then(shunt_submit(NULL, leaf_that_fails, job), pass);
    case 7:
        return shunt_then_with(leaves(job, true), take_winner, job);
    case 8:
        return shunt_via(NULL,
                         shunt_finally(shunt_submit(NULL, leaf, job), observe));
    default:
        f = shunt_submit(NULL, leaf, job);
        more = shunt_retain(f);
        return more != NULL ? more : f;
    }
}
