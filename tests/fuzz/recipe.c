/* SPDX-License-Identifier: MIT */
/*
 * fuzz/recipe.c - functions that return a future, made inside the task in one
 * of several ways. All but one end in the value of their node, unless the task
 * has a deadline that comes first: what is made here has that, too.
 *
 * All of it counts as wards (brood.c), since its code may run on.
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
SHUNT_TASK(leaf, struct job, struct small, .drop = brood_drop)

static int leaf_that_fails(const struct job *in, struct small *out)
{
    (void)out;
    return shunt_fail(failure_of(in->node), "a leaf of node %u", in->node);
}
SHUNT_TASK(leaf_that_fails, struct job, struct small, .drop = brood_drop)

static int pass(const struct small *in, struct small *out)
{
    *out = *in;
    return 0;
}
SHUNT_TASK(pass, struct small, struct small)

/* Whether a failure with that code comes of the deadline of the task. */
static bool is_too_late(const struct job *job, int code)
{
    const struct plan *p = job->graph->plan;

    return (code == SHUNT_ETIMEDOUT && may_be_late(p, &p->node[job->node])) ||
           (code == SHUNT_ECRASHED && p->mortal);
}

static int mend(const shunt_error *in, const struct job *job, struct small *out)
{
    if ((in->code != SHUNT_EFAILED || in->task_code != failure_of(job->node)) &&
        !is_too_late(job, in->code))
        fuzz_fail(job->graph, "a recipe of %u mends %s %d", job->node,
                  shunt_code_name(in->code), in->task_code);
    value_make(job->graph, job->node, SHAPE_SMALL, out);
    return 0;
}
SHUNT_STEP(mend, shunt_error, struct job, struct small, .drop = brood_drop)

static int observe(const shunt_outcome *in, shunt_none *out)
{
    (void)out;
    return in->status == 0 || in->status == SHUNT_ECANCELED ||
                   in->status == SHUNT_ETIMEDOUT || in->status == SHUNT_ECRASHED
               ? 0
               : 77;
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
SHUNT_STEP(sum_up, shunt_results, struct job, struct small, .drop = brood_drop)

static int take_winner(const shunt_winner *in, const struct job *job,
                       struct small *out)
{
    if (in->index >= LEAVES_OF_A_RACE || shunt_status(in->future) != 0)
        fuzz_fail(job->graph, "a recipe of %u: winner %zu is %s", job->node,
                  in->index, shunt_code_name(shunt_status(in->future)));
    value_make(job->graph, job->node, SHAPE_SMALL, out);
    return 0;
}
SHUNT_STEP(take_winner, shunt_winner, struct job, struct small,
           .drop = brood_drop)

static int wake_up(const shunt_none *in, const struct job *job,
                   struct small *out)
{
    (void)in;
    value_make(job->graph, job->node, SHAPE_SMALL, out);
    return 0;
}
SHUNT_STEP(wake_up, shunt_none, struct job, struct small, .drop = brood_drop)

static shunt_future *leaf_new(const struct job *job, bool fails)
{
    brood_ward(job);
    return brood_refused(job, fails ? shunt_submit(NULL, leaf_that_fails, job)
                                    : shunt_submit(NULL, leaf, job));
}

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
SHUNT_TASK(run_errand, struct errand, shunt_none, .drop = brood_drop)

/* A promise that a child gives before the task ends. */
static shunt_future *promise_given(const struct job *job)
{
    struct errand errand = { *job, NULL };
    shunt_future *f = NULL, *child;

    if (shunt_promise_new(NULL, struct small, &errand.promise, &f) != 0)
        return leaf_new(job, false); /* closed: fails likewise */
    brood_ward(job);
    child = brood_refused(job, shunt_submit(NULL, run_errand, &errand));
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
        all[i] = leaf_new(job, any && i % 2 == 0);
    return any ? shunt_when_any(all, count) : shunt_when_all(all, count);
}

static shunt_future *race_of_leaves(const struct job *job)
{
    shunt_future *all[LEAVES_OF_A_RACE];

    for (unsigned i = 0; i < LEAVES_OF_A_RACE; i++)
        all[i] = leaf_new(job, false);
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
        brood_ward(in);
        *out = brood_refused(in, shunt_submit(NULL, nested, &deeper));
    } else {
        brood_ward(in);
        *out = shunt_then_with(leaves(in, false), sum_up, in);
    }
    return 0;
}
SHUNT_TASK_DEFINE(nested, .drop = brood_drop)

/* Those that are of more than one part. A step takes its context in any case.
 */
static shunt_future *make_step(const struct job *job)
{
    shunt_future *f;

    brood_ward(job);
    switch (job->graph->plan->node[job->node].recipe) {
    case RECIPE_MENDED:
        f = shunt_then(leaf_new(job, true), pass);
        return shunt_recover_with(f, mend, job);
    case RECIPE_RACE:
        return shunt_then_with(race_of_leaves(job), take_winner, job);
    case RECIPE_ANY:
        return shunt_then_with(leaves(job, true), take_winner, job);
    case RECIPE_DELAYED:
        return shunt_then_with(shunt_delay(NULL, SHUNT_US(job->node * 7)),
                               wake_up, job);
    default:
        return shunt_then_with(leaves(job, false), sum_up, job);
    }
}

shunt_future *recipe_make(const struct job *job)
{
    struct job deep = *job;
    shunt_future *f, *more;

    deep.number = 3;
    switch (job->graph->plan->node[job->node].recipe) {
    case RECIPE_LEAF:
        return leaf_new(job, false);
    case RECIPE_PROMISE:
        return promise_given(job);
    case RECIPE_NESTED:
        brood_ward(job);
        return brood_refused(job, shunt_submit(NULL, nested, &deep));
    case RECIPE_FAILS:
        return shunt_then(leaf_new(job, true), pass);
    case RECIPE_VIA:
        return shunt_via(NULL, shunt_finally(leaf_new(job, false), observe));
    case RECIPE_IN_TIME:
        return shunt_timeout(leaf_new(job, false), SHUNT_S(3600));
    case RECIPE_RETAINED:
        f = leaf_new(job, false);
        more = shunt_retain(f);
        return more != NULL ? more : f;
    default:
        return make_step(job);
    }
}
