/* SPDX-License-Identifier: MIT */
/*
 * fuzz/retries.c - nodes that are tried again until they succeed, and what
 * functions have tried again for themselves.
 *
 * Idea. What an attempt comes to depends on how many have run before it, and on
 * nothing else. So without a deadline of the attempts there is one outcome, and
 * the number of attempts, their order and every cause are known.
 */
#include <stdio.h>
#include <string.h>

#include "graph.h"

enum {
    CAUSES_MAX = 8, /* that a retry remembers */
    DEFAULT_ATTEMPTS = 3,
    ERRAND_FAILS = 77
};

/* -- what is to be expected -- */

unsigned retries_limit(const struct node *n)
{
    unsigned attempts = n->attempts == 0 ? DEFAULT_ATTEMPTS : n->attempts;

    if (n->again == AGAIN_NEVER)
        return 1;
    return n->again == AGAIN_ONCE && attempts > 2 ? 2 : attempts;
}

int retries_outcome(const struct node *n, unsigned run)
{
    if (n->succeeds_at != 0 && run >= n->succeeds_at)
        return 0;
    return run == n->final_at ? SHUNT_EINVAL : SHUNT_EFAILED;
}

unsigned retries_made(const struct node *n)
{
    unsigned made = 1, limit = retries_limit(n);

    for (; made < limit; made++) {
        int code = retries_outcome(n, made);

        if (code == 0 || (code == SHUNT_EINVAL && n->again == AGAIN_DEFAULT))
            break;
    }
    return made;
}

/* -- an attempt -- */

struct attempt {
    struct job job;
    unsigned char rest[40]; /* whole for each of them */
};
struct bigattempt {
    struct attempt attempt;
    unsigned char rest[100]; /* too many for a record */
};

/* How many have run, with this one. */
static unsigned begin(const struct attempt *in)
{
    const struct job *job = &in->job;
    struct graph *g = job->graph;
    const struct node *n = &g->plan->node[job->node];
    struct fate *fate = &g->fate[job->node];
    unsigned run = atomic_fetch_add(&fate->runs, 1) + 1;
    bool limited = n->span == SPAN_SHORT || n->span == SPAN_LONG;
    int64_t left = shunt_time_left_ns();

    if (run > retries_limit(n))
        fuzz_fail(g, "node %u runs for the %uth time", job->node, run);
    if (atomic_fetch_add(&fate->under_way, 1) != 0 && !is_unsure(g->plan, n))
        fuzz_fail(g, "two attempts of node %u run at once", job->node);
    if (atomic_load(&fate->drops) != 0)
        fuzz_fail(g, "node %u runs after its drop", job->node);
    for (size_t i = 0; i < sizeof in->rest; i++)
        if (in->rest[i] != (unsigned char)(job->node + i))
            fuzz_fail(g, "attempt %u of node %u: byte %zu is %x", run,
                      job->node, i, in->rest[i]);
    if ((left != SHUNT_FOREVER) != limited || (limited && left > n->span_ns))
        fuzz_fail(g, "attempt %u of node %u has %lld ns left", run, job->node,
                  (long long)left);
    return run;
}

static int end(const struct job *job, int rc)
{
    struct graph *g = job->graph;

    if (shunt_cancelled() && !g->reference.asked[job->node] &&
        !may_be_late(g->plan, &g->plan->node[job->node]) && check_strictly(g))
        fuzz_fail(g, "an attempt of node %u was asked to cancel", job->node);
    atomic_fetch_sub(&g->fate[job->node].under_way, 1);
    return rc;
}

/* Until the retry is cancelled, or the attempt was given up. */
static int sleep_on(const struct job *job)
{
    const struct plan *p = job->graph->plan;
    int rc = shunt_join(shunt_cancel_future());

    if (shunt_cancelled())
        return SHUNT_ECANCELED;
    if (check_strictly(job->graph) && p->pools == 1)
        fuzz_fail(job->graph, "an attempt of node %u woke up: %s", job->node,
                  shunt_code_name(rc));
    return 0;
}

/* What it does; not 0: it was asked not to. */
static int act(const struct job *job, unsigned run)
{
    uint32_t *shared = NULL;

    if (job->graph->plan->node[job->node].allocates) {
        shared = shunt_alloc(sizeof *shared * 25);
        if (shared == NULL)
            fuzz_fail(job->graph, "node %u got no memory", job->node);
        *shared = BROOD_MAGIC;
    }
    brood_raise(job, shared);
    if (run == job->graph->plan->node[job->node].sleeps_at)
        return sleep_on(job);
    return behave_work(job);
}

static int fail(const struct job *job, unsigned run)
{
    return shunt_fail(failure_of(job->node), "attempt %u of node %u", run,
                      job->node);
}

static int attempt(const struct attempt *in, enum shape shape, void *out)
{
    const struct job *job = &in->job;
    unsigned run = begin(in);
    int code = retries_outcome(&job->graph->plan->node[job->node], run);
    int rc = act(job, run);

    if (rc == 0 && code == 0)
        value_make(job->graph, job->node, shape, out);
    else if (rc == 0 && code == SHUNT_EFAILED)
        rc = fail(job, run);
    else if (rc == 0)
        rc = shunt_fail_as(shunt_race(NULL, 0));
    return end(job, rc);
}

static void drop_attempts(void *in)
{
    const struct job *job = in;
    struct fate *fate = &job->graph->fate[job->node];

    if (atomic_load(&fate->under_way) != 0 && !job->graph->plan->mortal)
        fuzz_fail(job->graph, "node %u is dropped while it runs", job->node);
    if (atomic_fetch_add(&fate->drops, 1) != 0)
        fuzz_fail(job->graph, "node %u is dropped twice", job->node);
}

static int attempt_small(const struct attempt *in, struct small *out)
{
    return attempt(in, SHAPE_SMALL, out);
}
SHUNT_TASK(attempt_small, struct attempt, struct small, .drop = drop_attempts)

static int attempt_big(const struct bigattempt *in, struct big *out)
{
    return attempt(&in->attempt, SHAPE_BIG, out);
}
SHUNT_TASK(attempt_big, struct bigattempt, struct big, .drop = drop_attempts)

/* The future that attempt number `number` returns. */
static int leaf(const struct job *in, struct small *out)
{
    const struct node *n = &in->graph->plan->node[in->node];

    if (retries_outcome(n, in->number) != 0)
        return fail(in, in->number);
    value_make(in->graph, in->node, SHAPE_SMALL, out);
    return 0;
}
SHUNT_TASK(leaf, struct job, struct small, .drop = brood_drop)

static int attempt_flat(const struct attempt *in, shunt_future **out)
{
    struct job job = in->job;
    unsigned run = begin(in);
    int code = retries_outcome(&job.graph->plan->node[job.node], run);
    int rc = act(&job, run);

    job.number = run;
    if (rc == 0 && code == SHUNT_EINVAL) {
        *out = shunt_race(NULL, 0);
    } else if (rc == 0) {
        brood_ward(&job);
        *out = brood_refused(&job, shunt_submit(NULL, leaf, &job));
    }
    return end(&job, rc);
}
SHUNT_TASK(attempt_flat, struct attempt, shunt_future *, .drop = drop_attempts)

/* -- a retry -- */

static bool always(const shunt_error *error)
{
    (void)error;
    return true;
}

static bool once(const shunt_error *error)
{
    return error->attempts < 2;
}

static bool never(const shunt_error *error)
{
    (void)error;
    return false;
}

static const shunt_task *task_of(const struct node *n)
{
    if (n->returns)
        return &shunt_task_attempt_flat;
    return n->shape == SHAPE_BIG ? &shunt_task_attempt_big
                                 : &shunt_task_attempt_small;
}

const char *retries_name(const struct node *n)
{
    return task_of(n)->fn_;
}

shunt_future *retries_submit(struct graph *g, unsigned i)
{
    static bool (*const agains[AGAINS])(const shunt_error *) = { NULL, always,
                                                                 once, never };
    const struct node *n = &g->plan->node[i];
    struct bigattempt in = { .attempt = { .job = { g, i, 0 } } };
    shunt_retry_options options = { .attempts = n->attempts,
                                    .first_ns = n->first_ns,
                                    .cap_ns = n->cap_ns,
                                    .attempt_ns = n->span_ns,
                                    .again = agains[n->again] };

    for (size_t k = 0; k < sizeof in.attempt.rest; k++)
        in.attempt.rest[k] = (unsigned char)(i + k);
    atomic_fetch_add(&census->retries, 1);
    return shunt_retry_task(g->pools[n->pool], task_of(n), &in, &options);
}

/* -- what became of it -- */

/* Whether every attempt ran to its end. */
static bool is_exact(const struct graph *g, unsigned i)
{
    return check_strictly(g) && !may_be_late(g->plan, &g->plan->node[i]);
}

/* Number k of the causes, of attempt number made; the last run it names. */
static unsigned check_cause(struct graph *g, unsigned i, const shunt_error *e,
                            unsigned made, unsigned last)
{
    const struct node *n = &g->plan->node[i];
    const char *text = strstr(e->message, "attempt ");
    unsigned run = made;
    bool right = e->cause_count == 0 && e->attempts == made;

    if (e->code == SHUNT_EFAILED)
        right = right && text != NULL &&
                sscanf(text, "attempt %u of", &run) == 1 && run > last &&
                run <= made && e->task_code == failure_of(i);
    else if (e->code == SHUNT_ETIMEDOUT)
        right = right && may_be_late(g->plan, n);
    if (is_exact(g, i))
        right = right && run == made && e->code == retries_outcome(n, run);
    if (!right)
        fuzz_fail(g, "attempt %u of node %u, number %u, failed with %s: %s",
                  made, i, e->attempts, shunt_code_name(e->code), e->message);
    return e->code == SHUNT_EFAILED ? run : last;
}

void retries_check_error(struct graph *g, unsigned i, const shunt_error *e)
{
    const struct node *n = &g->plan->node[i];
    /* The error of a single one is its own, which may not have started, or
     * another's, if it failed as that. */
    bool single = (e->code == SHUNT_EINVAL || e->code == SHUNT_ETIMEDOUT) &&
                  e->attempts == 0;
    unsigned made = single ? 1 : e->attempts, last = 0;
    size_t kept = made < CAUSES_MAX ? made : CAUSES_MAX;

    if (made > retries_limit(n) || e->cause_count > kept)
        fuzz_fail(g, "node %u made %u attempts, %zu failed", i, made,
                  e->cause_count);
    if (!check_strictly(g))
        return;
    if (made == 0)
        fuzz_fail(g, "node %u made no attempt", i);
    /* Cancelled during an attempt, or a pause; else the last was the last. */
    if (e->code == SHUNT_ECANCELED)
        return;
    if (e->cause_count != (made == 1 ? 0 : kept))
        fuzz_fail(g, "node %u made %u attempts, and has %zu causes", i, made,
                  e->cause_count);
    if (is_exact(g, i) && made != retries_made(n))
        fuzz_fail(g, "node %u made %u attempts of %u", i, made,
                  retries_made(n));
    for (unsigned k = 0; k < e->cause_count; k++)
        last = check_cause(g, i, e->causes[k],
                           made - (unsigned)e->cause_count + 1 + k, last);
    if (e->cause_count > 0 && e->causes[e->cause_count - 1]->code != e->code)
        fuzz_fail(g, "the last attempt of node %u failed with another error",
                  i);
}

void retries_cancelled(struct graph *g, unsigned i)
{
    /* One may have been submitted just then, or a late one about to start. */
    atomic_store(&g->fate[i].runs_most,
                 atomic_load(&g->fate[i].runs) + 1 + (is_exact(g, i) ? 1 : 2));
}

void retries_check(struct graph *g, unsigned i)
{
    const struct node *n = &g->plan->node[i];
    struct fate *fate = &g->fate[i];
    unsigned runs = atomic_load(&fate->runs);
    unsigned drops = atomic_load(&fate->drops);
    unsigned seen = atomic_load(&fate->seen);
    bool well = seen == check_success(g, i);
    bool badly = seen == check_failure(SHUNT_EFAILED, failure_of(i));

    if (drops > 1 || (drops == 0 && (runs > 0 || check_strictly(g)) &&
                      !storm_cuts(g)))
        fuzz_fail(g, "node %u ran %u times and was dropped %u times", i, runs,
                  drops);
    if (atomic_load(&fate->runs_most) != 0 &&
        runs >= atomic_load(&fate->runs_most))
        fuzz_fail(g, "node %u was cancelled and ran %u times", i, runs);
    if (well && runs < n->succeeds_at)
        fuzz_fail(g, "node %u succeeded after %u attempts", i, runs);
    if (is_exact(g, i) && (well || badly || !g->reference.asked[i]) &&
        runs != retries_made(n))
        fuzz_fail(g, "node %u ran %u times, not %u", i, runs, retries_made(n));
}

/* -- those that a function makes -- */

struct errand {
    struct job job;
    const uint32_t *shared; /* memory of the function */
};

/* One in three succeeds. */
static int run_errand(const struct errand *in, shunt_none *out)
{
    struct graph *g = in->job.graph;

    (void)out;
    if (in->shared != NULL && *in->shared != BROOD_MAGIC)
        fuzz_fail(g, "an attempt for %u reads %x in its memory", in->job.node,
                  (unsigned)*in->shared);
    behave_spin(in->job.number * 100);
    if (atomic_fetch_add(&g->fate[in->job.node].tries, 1) % 3 == 0)
        return 0;
    return shunt_fail(ERRAND_FAILS, "an errand");
}
SHUNT_TASK(run_errand, struct errand, shunt_none, .drop = brood_drop)

/* Join number k, which makes so many attempts at most. */
static void join_errand(const struct job *job, unsigned k, shunt_future *f,
                        unsigned attempts)
{
    int rc = shunt_join(f);
    const shunt_error *e = shunt_last_error();

    if (rc == SHUNT_EFAILED &&
        (e->task_code != ERRAND_FAILS || e->attempts != attempts))
        fuzz_fail(job->graph, "an errand of %u failed: %s, %u attempts of %u",
                  job->node, e->message, e->attempts, attempts);
    if (rc != SHUNT_EFAILED && !(rc == SHUNT_ECANCELED && k % 5 == 2) &&
        !(rc == SHUNT_ETIMEDOUT && k % 5 == 4))
        brood_expect(job, rc, "an errand's join");
}

void retries_use(const struct job *job, const uint32_t *shared)
{
    unsigned count = job->graph->plan->node[job->node].children;

    for (unsigned k = 0; k < count; k++) {
        struct errand in = { { job->graph, job->node, k }, shared };
        unsigned attempts = 1 + k % 4;
        shunt_future *f;

        brood_ward(job);
        f = brood_refused(
            job, shunt_retry(NULL, run_errand, &in, .attempts = attempts,
                             .first_ns = k % 2 ? -1 : SHUNT_US(1 + k * 5),
                             .attempt_ns = k % 5 == 4 ? SHUNT_US(30) : 0));
        if (k % 5 == 2)
            (void)shunt_cancel(f);
        if (k % 5 == 0)
            (void)shunt_release(f); /* it goes on */
        else if (k % 5 != 1)        /* that one is held to the end */
            join_errand(job, k, f, attempts);
    }
}
