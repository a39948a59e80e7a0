/* SPDX-License-Identifier: MIT */
/*
 * fuzz/tasks.c - the functions of the nodes by type of input and value, and
 * starting them.
 */
#include <string.h>

#include "graph.h"

/* The end of a function: its failure, or its value. */
static int conclude(const struct job *job, int rc, enum shape shape, void *out)
{
    const struct node *n = &job->graph->plan->node[job->node];

    if (rc == 0 && n->fails)
        rc = shunt_fail(failure_of(job->node), "node %u", job->node);
    if (rc == 0)
        value_make(job->graph, job->node, shape, out);
    behave_end(job, rc);
    return rc;
}

static int run(const struct job *job, enum shape shape, void *out)
{
    behave_begin(job);
    return conclude(job, behave(job), shape, out);
}

static int task_small(const struct job *in, struct small *out)
{
    return run(in, SHAPE_SMALL, out);
}
SHUNT_TASK(task_small, struct job, struct small, .drop = behave_drop)

/* The same, which may be run again after a crash. */
static int again_small(const struct job *in, struct small *out)
{
    return run(in, SHAPE_SMALL, out);
}
SHUNT_TASK(again_small, struct job, struct small, .drop = behave_drop,
           .idempotent = true)

static int again_big(const struct bigjob *in, struct big *out)
{
    return run(&in->job, SHAPE_BIG, out);
}
SHUNT_TASK(again_big, struct bigjob, struct big, .drop = behave_drop,
           .idempotent = true)

static int task_big(const struct bigjob *in, struct big *out)
{
    return run(&in->job, SHAPE_BIG, out);
}
SHUNT_TASK(task_big, struct bigjob, struct big, .drop = behave_drop)

static int end_flat(const struct job *job, int rc, shunt_future **out)
{
    if (rc == 0)
        *out = recipe_make(job);
    behave_end(job, SHUNT_PENDING);
    return rc;
}

static int task_flat(const struct job *in, shunt_future **out)
{
    behave_begin(in);
    return end_flat(in, behave(in), out);
}
SHUNT_TASK(task_flat, struct job, shunt_future *, .drop = behave_drop)

/* Steps, by the shape of what they get and the shape of what they make. */
static void begin_then(const struct job *job, enum shape in_shape,
                       const void *in)
{
    const struct node *n = &job->graph->plan->node[job->node];

    behave_begin(job);
    check_value(job->graph, n->inputs[0], in_shape, in);
}

#define THEN(name, In, in_shape)                                         \
    static int then_##name##_small(const In *in, const struct job *job,  \
                                   struct small *out)                    \
    {                                                                    \
        begin_then(job, in_shape, in);                                   \
        return conclude(job, behave(job), SHAPE_SMALL, out);             \
    }                                                                    \
    SHUNT_STEP(then_##name##_small, In, struct job, struct small,        \
               .drop = behave_drop)                                      \
    static int then_##name##_big(const In *in, const struct bigjob *job, \
                                 struct big *out)                        \
    {                                                                    \
        begin_then(&job->job, in_shape, in);                             \
        return conclude(&job->job, behave(&job->job), SHAPE_BIG, out);   \
    }                                                                    \
    SHUNT_STEP(then_##name##_big, In, struct bigjob, struct big,         \
               .drop = behave_drop)                                      \
    static int then_##name##_flat(const In *in, const struct job *job,   \
                                  shunt_future **out)                    \
    {                                                                    \
        begin_then(job, in_shape, in);                                   \
        return end_flat(job, behave(job), out);                          \
    }                                                                    \
    SHUNT_STEP(then_##name##_flat, In, struct job, shunt_future *,       \
               .drop = behave_drop)

THEN(small, struct small, SHAPE_SMALL)
THEN(big, struct big, SHAPE_BIG)
THEN(results, shunt_results, SHAPE_RESULTS)
THEN(winner, shunt_winner, SHAPE_WINNER)
THEN(none, shunt_none, SHAPE_NONE)

/* By shape of the input; small, big, flat. */
static const shunt_task *const thens[5][3] = {
    { &shunt_task_then_small_small, &shunt_task_then_small_big,
      &shunt_task_then_small_flat },
    { &shunt_task_then_big_small, &shunt_task_then_big_big,
      &shunt_task_then_big_flat },
    { &shunt_task_then_results_small, &shunt_task_then_results_big,
      &shunt_task_then_results_flat },
    { &shunt_task_then_winner_small, &shunt_task_then_winner_big,
      &shunt_task_then_winner_flat },
    { &shunt_task_then_none_small, &shunt_task_then_none_big,
      &shunt_task_then_none_flat },
};

static void begin_recover(const struct job *job, const shunt_error *error)
{
    const struct node *n = &job->graph->plan->node[job->node];

    behave_begin(job);
    if (error->code == SHUNT_ECANCELED)
        fuzz_fail(job->graph, "recover %u runs after a cancel", job->node);
    check_error(job->graph, n->inputs[0], error);
}

static int recover_small(const shunt_error *in, const struct job *job,
                         struct small *out)
{
    begin_recover(job, in);
    return conclude(job, behave(job), SHAPE_SMALL, out);
}
SHUNT_STEP(recover_small, shunt_error, struct job, struct small,
           .drop = behave_drop)

static int recover_big(const shunt_error *in, const struct bigjob *job,
                       struct big *out)
{
    begin_recover(&job->job, in);
    return conclude(&job->job, behave(&job->job), SHAPE_BIG, out);
}
SHUNT_STEP(recover_big, shunt_error, struct bigjob, struct big,
           .drop = behave_drop)

static int finally_any(const shunt_outcome *in, const struct job *job,
                       shunt_none *out)
{
    struct graph *g = job->graph;
    const struct node *n = &g->plan->node[job->node];
    int rc;

    (void)out;
    behave_begin(job);
    if (in->status != in->error->code)
        fuzz_fail(g, "finally %u: status %s, error %s", job->node,
                  shunt_code_name(in->status),
                  shunt_code_name(in->error->code));
    if (in->status != 0)
        check_error(g, n->inputs[0], in->error);
    rc = behave(job);
    /* Being cancelled while it runs is not its business. */
    rc = rc == SHUNT_ECANCELED ? 0 : rc;
    if (rc == 0 && n->fails)
        rc = shunt_fail(failure_of(job->node), "node %u", job->node);
    behave_end(job, SHUNT_PENDING);
    return rc;
}
SHUNT_STEP(finally_any, shunt_outcome, struct job, shunt_none,
           .drop = behave_drop)

shunt_future *tasks_submit(struct graph *g, unsigned i)
{
    const struct node *n = &g->plan->node[i];
    shunt_pool *pool = g->pools[n->pool];
    struct bigjob in = { .job = { g, i, 0 } };

    if (n->retries > 0 && n->shape == SHAPE_BIG)
        return shunt_submit_with(pool, again_big, &in,
                                 .deadline_ns = n->span_ns,
                                 .retries = n->retries);
    if (n->retries > 0)
        return shunt_submit_with(pool, again_small, &in.job,
                                 .deadline_ns = n->span_ns,
                                 .retries = n->retries);
    if (n->span != SPAN_NONE && n->op == OP_FLAT)
        return shunt_submit_with(pool, task_flat, &in.job,
                                 .deadline_ns = n->span_ns);
    if (n->span != SPAN_NONE && n->shape == SHAPE_BIG)
        return shunt_submit_with(pool, task_big, &in,
                                 .deadline_ns = n->span_ns);
    if (n->span != SPAN_NONE)
        return shunt_submit_with(pool, task_small, &in.job,
                                 .deadline_ns = n->span_ns);
    if (n->op == OP_FLAT)
        return shunt_submit(pool, task_flat, &in.job);
    if (n->shape == SHAPE_BIG)
        return shunt_submit(pool, task_big, &in);
    return shunt_submit(pool, task_small, &in.job);
}

shunt_future *tasks_attach(struct graph *g, unsigned i, shunt_future *h)
{
    const struct node *n = &g->plan->node[i];
    struct bigjob ctx = { .job = { g, i, 0 } };
    enum shape in_shape = g->plan->node[n->inputs[0]].shape;

    switch (n->op) {
    case OP_THEN:
        return shunt_then_task(h, thens[in_shape][n->shape], &ctx, "then");
    case OP_THEN_FLAT:
        return shunt_then_task(h, thens[in_shape][2], &ctx, "then");
    case OP_RECOVER:
        if (n->shape == SHAPE_BIG)
            return shunt_recover_with(h, recover_big, &ctx);
        return shunt_recover_with(h, recover_small, &ctx.job);
    case OP_FINALLY:
        return shunt_finally_with(h, finally_any, &ctx.job);
    case OP_TIMEOUT:
        return shunt_timeout(h, n->span_ns);
    default:
        return shunt_via(g->pools[n->pool], h);
    }
}

const char *tasks_name(const struct plan *p, unsigned i)
{
    const struct node *n = &p->node[i];
    const shunt_task *task = NULL;

    if (n->retries > 0)
        task = n->shape == SHAPE_BIG ? &shunt_task_again_big
                                     : &shunt_task_again_small;
    else if (n->op == OP_TASK)
        task = n->shape == SHAPE_BIG ? &shunt_task_task_big
                                     : &shunt_task_task_small;
    else if (n->op == OP_FLAT)
        task = &shunt_task_task_flat;
    else if (n->op == OP_THEN)
        task = thens[p->node[n->inputs[0]].shape][n->shape];
    else if (n->op == OP_THEN_FLAT)
        task = thens[p->node[n->inputs[0]].shape][2];
    else if (n->op == OP_RECOVER)
        task = n->shape == SHAPE_BIG ? &shunt_task_recover_big
                                     : &shunt_task_recover_small;
    else if (n->op == OP_FINALLY)
        task = &shunt_task_finally_any;
    else if (n->op == OP_RETRY)
        return retries_name(n);
    return task == NULL ? "" : task->fn_;
}

/* Of combinators and maps: one that is no node. */
static int filler(const struct job *in, struct small *out)
{
    struct graph *g = in->graph;

    atomic_fetch_add(&g->fate[in->node].filler_runs, 1);
    if (g->plan->node[in->node].fillers_fail)
        return shunt_fail(failure_of(in->node), "a filler of %u", in->node);
    value_make(g, in->node, SHAPE_SMALL, out);
    return 0;
}
static void drop_filler(void *in)
{
    const struct job *job = in;

    atomic_fetch_add(&job->graph->fate[job->node].filler_drops, 1);
}
SHUNT_TASK(filler, struct job, struct small, .drop = drop_filler)

shunt_future *tasks_filler(struct graph *g, unsigned i, unsigned number)
{
    const struct node *n = &g->plan->node[i];
    shunt_pool *pool = g->pools[n->pool];
    struct job in = { g, i, number };

    if (!is_delay(n, number))
        return shunt_submit(pool, filler, &in);
    if (n->delays == SPAN_ENDLESS)
        return shunt_delay(pool, SHUNT_FOREVER);
    return shunt_delay(
        pool,
        (int64_t)(plan_random(g->plan->seed, i, 1000 + number) % SHUNT_MS(1)));
}

/* Of a map: only the one in the middle fails. */
static int element(const struct job *in, struct small *out)
{
    struct graph *g = in->graph;
    const struct node *n = &g->plan->node[in->node];

    atomic_fetch_add(&g->fate[in->node].filler_runs, 1);
    if (n->fillers_fail && in->number == n->total / 2)
        return shunt_fail(failure_of(in->node), "element %u of %u", in->number,
                          in->node);
    value_make(g, in->node, SHAPE_SMALL, out);
    out->check += in->number;
    return 0;
}
SHUNT_TASK(element, struct job, struct small, .drop = drop_filler)

shunt_future *tasks_map(struct graph *g, unsigned i)
{
    const struct node *n = &g->plan->node[i];
    struct job ins[1000];

    for (unsigned k = 0; k < n->total; k++)
        ins[k] = (struct job){ g, i, k };
    return n->op == OP_MAP
               ? shunt_map(g->pools[n->pool], element, ins, n->total)
               : shunt_map_settled(g->pools[n->pool], element, ins, n->total);
}

static void hook(void *user)
{
    atomic_fetch_add((atomic_uint *)user, 1);
}

shunt_future *tasks_promise(struct graph *g, unsigned i)
{
    const struct node *n = &g->plan->node[i];
    struct fate *fate = &g->fate[i];
    shunt_promise *promise;
    shunt_future *f;
    int rc =
        n->shape == SHAPE_BIG
            ? shunt_promise_new(g->pools[n->pool], struct big, &promise, &f)
            : shunt_promise_new(g->pools[n->pool], struct small, &promise, &f);

    if (rc != 0 && check_strictly(g))
        fuzz_fail(g, "promise %u: %s", i, shunt_code_name(rc));
    if (rc != 0)
        return shunt_race(NULL, 0); /* one that has failed */
    if (n->hooked)
        rc = shunt_promise_on_cancel(promise, hook, &fate->hooks);
    if (rc != 0 && check_strictly(g))
        fuzz_fail(g, "hook of %u: %s", i, shunt_code_name(rc));
    atomic_store(&fate->promise, promise);
    return f;
}

void tasks_give(struct graph *g, unsigned i)
{
    const struct node *n = &g->plan->node[i];
    _Atomic(shunt_promise *) *held = &g->fate[i].promise;
    /* Who is killed as he gives it leaves it to others. */
    shunt_promise *promise = g->plan->mortal ? atomic_load(held)
                                             : atomic_exchange(held, NULL);
    bool cancelled = g->reference.asked[i] && !n->hooked;
    struct big value;
    int rc;

    if (promise == NULL)
        return;
    value_make(g, i, n->shape, &value);
    if (n->giver == GIVER_DROP)
        rc = shunt_promise_drop(promise);
    else if (n->fails)
        rc = shunt_promise_fail(promise, failure_of(i), "promise %u", i);
    else if (n->shape == SHAPE_BIG)
        rc = shunt_promise_give(promise, &value);
    else
        rc = shunt_promise_give(promise, &value.small);
    /* Cancelled, or dropped by a shutdown, it says so. */
    if (rc == SHUNT_ECANCELED &&
        (cancelled || !check_strictly(g) || !g->reference.completes[i]))
        rc = 0;
    /* Code that runs on may find that the pool was freed; what runs again, that
     * it has given it before it crashed. */
    if (rc == SHUNT_EINVAL && (shunt_cancelled() || g->plan->stormy))
        return;
    if (rc != 0)
        fuzz_fail(g, "promise %u was not given: %s", i, shunt_code_name(rc));
    if (shunt_promise_drop(promise) != SHUNT_EINVAL)
        fuzz_fail(g, "promise %u was consumed and is good", i);
    atomic_store(held, NULL);
}
