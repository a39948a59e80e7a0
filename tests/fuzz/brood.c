/* SPDX-License-Identifier: MIT */
/*
 * fuzz/brood.c - the tasks that a function submits, and how it treats them.
 *
 * Idea. Two kinds: a child must run, a ward may be ended before it starts, by
 * a deadline or as the loser of a race; but its drop hook is called. What a
 * task with a deadline submits has that deadline, too, so all are wards there.
 */
#include "graph.h"

#include "base/clock.h"

enum {
    DELAY_NS_MAX = 400000
};

/* A task that a function submits. It reads memory of the function. */
struct child {
    struct job job;
    unsigned spins, lingers_us;
    bool counts;
    const uint32_t *shared;
    int64_t left_ns; /* of its time, at most */
};
struct gift {
    uint32_t *block; /* of the child's memory */
};

void brood_ward(const struct job *job)
{
    atomic_fetch_add(&job->graph->fate[job->node].wards, 1);
}

void brood_drop(void *in)
{
    const struct job *job = in;

    atomic_fetch_add(&job->graph->fate[job->node].ward_drops, 1);
}

/* Only a shutdown that cancels takes no tasks of tasks; and those whose time is
 * up are refused them. */
static void expect_refusal(const struct job *job, shunt_future *f)
{
    const struct plan *p = job->graph->plan;
    bool late = may_be_late(p, &p->node[job->node]) && shunt_cancelled();

    if (!late && check_strictly(job->graph))
        fuzz_fail(job->graph, "a submit in node %u is %s", job->node,
                  shunt_code_name(shunt_status(f)));
}

shunt_future *brood_refused(const struct job *job, shunt_future *f)
{
    if (!audit_is_reserved(f))
        return f;
    expect_refusal(job, f);
    atomic_fetch_sub(&job->graph->fate[job->node].wards, 1);
    return f;
}

void brood_expect(const struct job *job, int rc, const char *what)
{
    const struct plan *p = job->graph->plan;
    bool late = may_be_late(p, &p->node[job->node]);

    if (rc == 0 || (late && (rc == SHUNT_ETIMEDOUT || shunt_cancelled())) ||
        (rc == SHUNT_ECANCELED && shunt_cancelled()))
        return;
    if (check_strictly(job->graph))
        fuzz_fail(job->graph, "%s in node %u is %s", what, job->node,
                  shunt_code_name(rc));
}

/* Whether what is far away may come all the same. */
static bool leaps(const struct job *job)
{
    const struct plan *p = job->graph->plan;

    return p->leaps[p->node[job->node].pool];
}

static void check_left(const struct child *in)
{
    int64_t left = shunt_time_left_ns();

    if (left < 0 || left > in->left_ns ||
        (left == SHUNT_FOREVER) != (in->left_ns == SHUNT_FOREVER))
        fuzz_fail(in->job.graph, "a child of %u has %lld ns left, not %lld",
                  in->job.node, (long long)left, (long long)in->left_ns);
}

/* Run on for a while of this machine's time. */
static void linger(const struct child *in)
{
    int64_t until = sh_clock_ns() + SHUNT_US(in->lingers_us);

    while (sh_clock_ns() < until &&
           !(in->job.number % 2 == 0 && shunt_cancelled()))
        behave_spin(50);
}

static int child_run(const struct child *in, struct gift *out)
{
    struct fate *fate = &in->job.graph->fate[in->job.node];

    check_left(in);
    behave_spin(in->spins);
    if (in->lingers_us > 0)
        linger(in);
    if (in->counts)
        atomic_fetch_add(&fate->children_run, 1);
    /* The memory of a task outlives the tasks that it submitted. */
    if (in->shared != NULL && *in->shared != BROOD_MAGIC)
        fuzz_fail(in->job.graph, "a child of %u reads %x in its memory",
                  in->job.node, (unsigned)*in->shared);
    out->block = shunt_alloc(in->spins % 100 + sizeof *out->block);
    if (out->block == NULL)
        fuzz_fail(in->job.graph, "a child of %u got no memory", in->job.node);
    *out->block = BROOD_MAGIC;
    return 0;
}
SHUNT_TASK(child_run, struct child, struct gift, .name = "child")

static int ward_run(const struct child *in, struct gift *out)
{
    return child_run(in, out);
}
SHUNT_TASK(ward_run, struct child, struct gift, .name = "ward",
           .drop = brood_drop)

/* A ward that waits until it is given up. */
static int sleep_on(const struct child *in, struct gift *out)
{
    int rc;

    (void)out;
    check_left(in);
    rc = shunt_join(shunt_cancel_future());
    if (!shunt_cancelled() && check_strictly(in->job.graph))
        fuzz_fail(in->job.graph, "a sleeper of %u woke up: %s", in->job.node,
                  shunt_code_name(rc));
    return 0;
}
SHUNT_TASK(sleep_on, struct child, struct gift, .name = "sleeper",
           .drop = brood_drop)

/* A ward that leaves its memory to another, which runs on past its deadline. */
static int bequeath(const struct child *in, struct gift *out)
{
    struct child heir = *in;
    uint32_t *block = shunt_alloc(25 * sizeof *block);

    (void)out;
    if (block == NULL)
        fuzz_fail(in->job.graph, "a child of %u got no memory", in->job.node);
    *block = BROOD_MAGIC;
    heir.job.number = 1; /* it does not heed */
    heir.lingers_us = 200;
    heir.shared = block;
    heir.left_ns = SHUNT_US(50);
    brood_ward(&in->job);
    (void)brood_refused(
        &in->job,
        shunt_submit_with(NULL, ward_run, &heir, .deadline_ns = heir.left_ns));
    return 0;
}
SHUNT_TASK(bequeath, struct child, struct gift, .drop = brood_drop)

/* A step after a child. */
static int pass_on(const struct gift *in, struct gift *out)
{
    *out = *in;
    return 0;
}
SHUNT_TASK(pass_on, struct gift, struct gift, .inherits = true)

static int look_into(const struct gift *in, shunt_none *out)
{
    (void)out;
    return *in->block == BROOD_MAGIC ? 0 : 1;
}
SHUNT_TASK(look_into, struct gift, shunt_none)

static struct child describe(const struct job *job, unsigned number,
                             const uint32_t *shared, bool counts)
{
    const struct plan *p = job->graph->plan;
    uint64_t random = plan_random(p->seed, job->node, 100 + number);
    struct child in = { .job = { job->graph, job->node, number },
                        .spins = (unsigned)random % 2000,
                        .counts = counts,
                        .shared = shared,
                        .left_ns = shunt_time_left_ns() };

    if (may_be_late(p, &p->node[job->node]) && random >> 32 & 1)
        in.lingers_us = (unsigned)(random >> 33) % 500;
    return in;
}

static shunt_future *submit_ward(const struct job *job, const struct child *in)
{
    brood_ward(job);
    return brood_refused(job, shunt_submit(NULL, ward_run, in));
}

shunt_future *brood_one(const struct job *job, unsigned number)
{
    struct child in = describe(job, number, NULL, false);

    return submit_ward(job, &in);
}

/* A child; a ward if it may be ended. */
static shunt_future *child_new(const struct job *job, unsigned number,
                               const uint32_t *shared, bool ended)
{
    struct graph *g = job->graph;
    struct child in = describe(job, number, shared, !ended);
    shunt_future *f;

    if (ended)
        return submit_ward(job, &in);
    f = shunt_submit(NULL, child_run, &in);
    if (audit_is_reserved(f))
        expect_refusal(job, f);
    else
        atomic_fetch_add(&g->fate[job->node].children, 1);
    return f;
}

static void take_child(const struct job *job, shunt_future *f)
{
    struct gift gift;
    int rc = shunt_take(f, &gift);

    brood_expect(job, rc, "a take");
    if (rc != 0)
        return;
    if (*gift.block != BROOD_MAGIC)
        fuzz_fail(job->graph, "a gift to %u holds %x", job->node,
                  (unsigned)*gift.block);
    /* Given up, it may run on after its pool was freed. */
    if (job->node % 2 == 0 && shunt_free(gift.block) != 0 && !shunt_cancelled())
        fuzz_fail(job->graph, "a gift to %u cannot be freed", job->node);
}

/* A timeout over a ward: short, none, or one that does not come. */
static void time_out(const struct job *job, unsigned k, shunt_future *f)
{
    int64_t ns = k % 3 == 0 ? SHUNT_FOREVER : k % 3 == 1 ? 0 : SHUNT_US(k * 9);
    int rc = shunt_join(shunt_timeout(f, ns));

    if (rc != SHUNT_ETIMEDOUT || k % 3 == 0)
        brood_expect(job, rc, "a timeout's join");
}

/* For a short time, or for long enough. */
static void await_child(const struct job *job, unsigned k, shunt_future *f)
{
    bool sure = k % 2 == 0 && !leaps(job);
    int rc = shunt_await_for(f, sure ? SHUNT_S(3600) : SHUNT_US(k * 20));

    if (rc != SHUNT_PENDING || sure)
        brood_expect(job, rc, "a limited await");
}

static void step_on(const struct job *job, shunt_future *f)
{
    f = shunt_then(shunt_then(f, pass_on), look_into);
    brood_expect(job, shunt_join(f), "a step's join");
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
        brood_expect(job, shunt_join(f), "a join");
        break;
    case BROOD_TAKE:
        take_child(job, f);
        break;
    case BROOD_AWAIT_FOR:
        await_child(job, k, f);
        break;
    case BROOD_MIXED:
        /* Settled ones before pending ones among those that are kept. */
        if (k % 3 == 0)
            brood_expect(job, shunt_await(f), "an await");
        more = k % 3 == 1 ? shunt_retain(f) : NULL;
        if (more != NULL && k % 2 == 0)
            (void)shunt_release(f);
        break;
    case BROOD_STEPS:
        step_on(job, f);
        break;
    case BROOD_TIMEOUT:
        time_out(job, k, f);
        break;
    default:
        break;
    }
}

/* Submit them all, then join a combinator. */
static void raise_together(const struct job *job, const uint32_t *shared,
                           bool late)
{
    const struct node *n = &job->graph->plan->node[job->node];
    bool race = n->brood == BROOD_RACE;
    shunt_future *all[CHILDREN_MAX];

    for (unsigned k = 0; k < n->children; k++)
        all[k] = child_new(job, k, shared, late || race);
    brood_expect(job,
                 shunt_join(race ? shunt_race(all, n->children)
                                 : shunt_when_all(all, n->children)),
                 "a combinator's join");
}

static void raise_map(const struct job *job, const uint32_t *shared, bool late)
{
    struct fate *fate = &job->graph->fate[job->node];
    unsigned count = job->graph->plan->node[job->node].children;
    struct child ins[CHILDREN_MAX];
    shunt_future *f;

    for (unsigned k = 0; k < count; k++)
        ins[k] = describe(job, k, shared, !late);
    if (late)
        atomic_fetch_add(&fate->wards, count);
    f = late ? shunt_map(NULL, ward_run, ins, count)
             : shunt_map(NULL, child_run, ins, count);
    if (audit_is_reserved(f)) {
        expect_refusal(job, f);
        if (late)
            atomic_fetch_sub(&fate->wards, count);
    } else if (!late) {
        atomic_fetch_add(&fate->children, count);
    }
    brood_expect(job, shunt_join(f), "a map's join");
}

/* Join a delay, which is not early. */
static void wait_for_delay(const struct job *job, int64_t ns)
{
    struct graph *g = job->graph;
    unsigned pool = g->plan->node[job->node].pool;
    int64_t begun_ns = moment_low(g, pool);
    int rc = shunt_join(shunt_delay(NULL, ns));

    brood_expect(job, rc, "a delay's join");
    if (rc == 0 && moment_high(g, pool) - begun_ns < ns)
        fuzz_fail(g, "a delay of %lld ns in node %u took less", (long long)ns,
                  job->node);
}

static void raise_delays(const struct job *job)
{
    unsigned count = job->graph->plan->node[job->node].children;
    shunt_future *both[2];
    int rc;

    for (unsigned k = 0; k < count; k++) {
        uint64_t random =
            plan_random(job->graph->plan->seed, job->node, 200 + k);
        int64_t ns = (int64_t)(random >> 8) % (DELAY_NS_MAX >> random % 16);

        switch (random % 6) {
        case 0:
            wait_for_delay(job, ns);
            break;
        case 5: /* in vain */
            rc = shunt_await_for(shunt_delay(NULL, SHUNT_FOREVER), ns);
            if (rc != SHUNT_PENDING)
                brood_expect(job, rc, "an await in vain");
            break;
        case 1: /* held to the end */
            (void)shunt_delay(NULL, random >> 7 & 1 ? ns : SHUNT_FOREVER);
            break;
        case 2:
            (void)shunt_release(shunt_delay(NULL, ns));
            break;
        case 3:
            (void)shunt_cancel(shunt_delay(NULL, ns));
            break;
        default:
            both[0] = shunt_delay(NULL, ns);
            both[1] = brood_one(job, 300 + k);
            brood_expect(job, shunt_join(shunt_race(both, 2)),
                         "a race with a delay");
            break;
        }
    }
}

/* In the other pool, whose clock may be another; without memory of ours. That
 * pool may be ending, and then it takes none, or does not start them. */
static void raise_abroad(const struct job *job)
{
    struct graph *g = job->graph;
    const struct plan *p = g->plan;
    const struct node *n = &p->node[job->node];
    unsigned there = (n->pool + 1) % p->pools;
    bool late = p->leaps[there] && shunt_time_left_ns() != SHUNT_FOREVER;

    for (unsigned k = 0; k < n->children; k++) {
        struct child in = describe(job, k, NULL, false);
        shunt_future *f;
        int rc;

        if ((p->by_hand[0] || p->by_hand[1]) && in.left_ns != SHUNT_FOREVER)
            in.left_ns = SHUNT_FOREVER - 1;
        brood_ward(job);
        f = shunt_submit(g->pools[there], ward_run, &in);
        if (audit_is_reserved(f))
            atomic_fetch_sub(&g->fate[job->node].wards, 1);
        rc = shunt_join(f);
        if (!(rc == SHUNT_ECLOSED && there != n->pool &&
              atomic_load(&g->ended)) &&
            !(rc == SHUNT_ETIMEDOUT && late))
            brood_expect(job, rc, "a join abroad");
    }
}

/* With deadlines of their own: past, short or long. They have ours as well. */
static void raise_bound(const struct job *job, const uint32_t *shared)
{
    unsigned count = job->graph->plan->node[job->node].children;

    for (unsigned k = 0; k < count; k++) {
        struct child in = describe(job, k, shared, false);
        int64_t ns = k % 3 == 0   ? SHUNT_S(7200)
                     : k % 3 == 1 ? SHUNT_US(in.spins % 300) + 1
                                  : -1;
        shunt_future *f;
        int rc;

        if (ns > 0 && ns < in.left_ns)
            in.left_ns = ns;
        if (k % 3 == 1)
            in.lingers_us = in.spins % 200;
        if (ns > 0)
            brood_ward(job);
        f = k % 6 == 4
                ? shunt_submit_with(NULL, sleep_on, &in, .deadline_ns = ns)
                : shunt_submit_with(NULL, ward_run, &in, .deadline_ns = ns);
        if (ns > 0)
            (void)brood_refused(job, f);
        rc = k % 6 == 1 ? shunt_release(f) : shunt_join(f);
        if (ns < 0 && rc != SHUNT_ETIMEDOUT && check_strictly(job->graph) &&
            !shunt_cancelled())
            fuzz_fail(job->graph, "a late submit of %u is %s", job->node,
                      shunt_code_name(rc));
        if (rc != SHUNT_ETIMEDOUT || (k % 3 == 0 && !leaps(job)))
            brood_expect(job, rc, "a bound child's join");
    }
}

/* Those with memory to leave, given back at once, and others that use memory
 * of that size meanwhile. */
static void raise_heirs(const struct job *job)
{
    unsigned count = job->graph->plan->node[job->node].children;

    for (unsigned k = 0; k < count; k++) {
        struct child in = describe(job, k, NULL, false);
        shunt_future *f;

        brood_ward(job);
        f = brood_refused(job, shunt_submit(NULL, bequeath, &in));
        (void)(k % 2 == 0 ? shunt_release(f) : shunt_join(f));
        (void)shunt_join(brood_one(job, k));
    }
}

/* Cancelled when they are queued, run or have ended. */
static void raise_cancelled(const struct job *job, const uint32_t *shared)
{
    unsigned count = job->graph->plan->node[job->node].children;

    for (unsigned k = 0; k < count; k++) {
        shunt_future *f = child_new(job, k, shared, true);
        int rc;

        if (k % 3 == 1)
            (void)!shunt_await_for(f, SHUNT_US(k));
        /* Given up, it may run on after its pool was freed. */
        if (k % 3 < 2 && shunt_cancel(f) < 0 && !shunt_cancelled())
            fuzz_fail(job->graph, "a child of %u cannot be cancelled",
                      job->node);
        rc = k % 4 == 3 ? shunt_release(f) : shunt_join(f);
        if (rc != SHUNT_ECANCELED || k % 3 == 2)
            brood_expect(job, rc, "a cancelled child's join");
    }
}

void brood_raise(const struct job *job, const uint32_t *shared)
{
    const struct plan *p = job->graph->plan;
    const struct node *n = &p->node[job->node];
    bool late = may_be_late(p, n);
    shunt_future *f;

    switch (n->brood) {
    case BROOD_ALL:
    case BROOD_RACE:
        raise_together(job, shared, late);
        break;
    case BROOD_MAP:
        raise_map(job, shared, late);
        break;
    case BROOD_DELAY:
        raise_delays(job);
        break;
    case BROOD_ABROAD:
        raise_abroad(job);
        break;
    case BROOD_BOUND:
        raise_bound(job, shared);
        break;
    case BROOD_HEIRS:
        raise_heirs(job);
        break;
    case BROOD_CANCEL:
        raise_cancelled(job, shared);
        break;
    case BROOD_SCOPE:
        scopes_use(job);
        break;
    case BROOD_QUEUE:
        queues_use(job);
        break;
    case BROOD_RETRY:
        retries_use(job, shared);
        break;
    default:
        for (unsigned k = 0; k < n->children; k++) {
            f = child_new(job, k, shared, late || n->brood == BROOD_TIMEOUT);
            treat(job, n->brood, k, f);
        }
        break;
    }
}
