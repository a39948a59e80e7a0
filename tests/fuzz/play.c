/* SPDX-License-Identifier: MIT */
/*
 * fuzz/play.c - running a plan: pools, the threads outside, the end.
 *
 * Idea. Every use of a future has a handle of its own, published by whoever
 * built the future and taken by whoever uses it. What is checked is checked
 * where a handle is held.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "graph.h"

struct actor {
    struct graph *graph;
    const struct script *script;
};

bool play_auto;

static struct fate *published(struct graph *g, unsigned n)
{
    while (!atomic_load(&g->fate[n].published))
        sched_yield();
    return &g->fate[n];
}

shunt_future *play_take_handle(struct graph *g, unsigned n, unsigned use)
{
    return atomic_exchange(&published(g, n)->handles[use], NULL);
}

static void nap(long us)
{
    struct timespec t = { .tv_nsec = us * 1000 };

    nanosleep(&t, NULL);
}

static shunt_future *combine(struct graph *g, unsigned i)
{
    const struct node *n = &g->plan->node[i];
    shunt_future **fs = calloc(n->total, sizeof *fs);
    shunt_future *f;

    if (fs == NULL)
        fuzz_fail(g, "no memory for the fuzzer itself");
    for (unsigned k = 0; k < n->input_count; k++)
        fs[input_place(n, k)] =
            play_take_handle(g, n->inputs[k], n->input_uses[k]);
    for (unsigned k = 0; k < n->total; k++)
        if (fs[k] == NULL)
            fs[k] = tasks_filler(g, i, k);
    switch (n->op) {
    case OP_ALL:
        f = shunt_when_all(fs, n->total);
        break;
    case OP_SETTLED:
        f = shunt_when_all_settled(fs, n->total);
        break;
    case OP_ANY:
        f = shunt_when_any(fs, n->total);
        break;
    case OP_RACE:
        f = shunt_race(fs, n->total);
        break;
    default:
        f = shunt_when_some(fs, n->total, n->quorum);
        break;
    }
    for (unsigned k = 0; k < n->total; k++)
        if (!audit_is_reserved(fs[k]) && shunt_release(fs[k]) == 0 &&
            check_strictly(g))
            fuzz_fail(g, "input %u of %u was not consumed", k, i);
    free(fs);
    return f;
}

static shunt_future *make(struct graph *g, unsigned i)
{
    const struct node *n = &g->plan->node[i];

    for (unsigned k = 0; k < n->await_count; k++)
        (void)published(g, n->awaits[k]);
    if (n->gives_any)
        (void)published(g, n->gives);
    if (n->op == OP_PROMISE)
        return tasks_promise(g, i);
    if (is_map(n->op))
        return tasks_map(g, i);
    if (n->op == OP_RETRY)
        return retries_submit(g, i);
    if (n->op == OP_DELAY)
        return shunt_delay(g->pools[n->pool], n->span_ns);
    if (is_step(n->op))
        return tasks_attach(
            g, i, play_take_handle(g, n->inputs[0], n->input_uses[0]));
    return combines(n->op) ? combine(g, i) : tasks_submit(g, i);
}

static void build(struct graph *g, unsigned i)
{
    const struct node *n = &g->plan->node[i];
    struct fate *fate = &g->fate[i];
    shunt_future *f;

    fate->begun_ns = moment_low(g, n->pool);
    f = make(g, i);
    fate->built_ns = moment_high(g, n->pool);
    if (f == NULL)
        fuzz_fail(g, "node %u is NULL", i);
    check_outcome(g, i, f);
    for (unsigned u = 0; u < n->use_count; u++) {
        shunt_future *h = u == n->primary ? f : shunt_retain(f);

        if (h == NULL)
            fuzz_fail(g, "node %u cannot be retained", i);
        atomic_store(&fate->handles[u], h);
    }
    atomic_store(&fate->published, true);
}

void play_give_back(struct graph *g, unsigned n, shunt_future *h)
{
    int rc = shunt_release(h);

    if (rc != 0)
        fuzz_fail(g, "release of %u: %s", n, shunt_code_name(rc));
    /* But for reserved handles, that was all that it was good for. */
    if (check_strictly(g) && !audit_is_reserved(h) &&
        shunt_status(h) != SHUNT_EINVAL)
        fuzz_fail(g, "a handle of %u is good after its release", n);
}

/* Ask a node to cancel: what only waits does so no more. */
static void cancel(struct graph *g, unsigned i, shunt_future *h)
{
    const struct node *n = &g->plan->node[i];
    bool committed = atomic_load(&g->fate[i].committed);
    int rc = shunt_cancel(h);

    if (rc != 0 && rc != 1)
        fuzz_fail(g, "cancel of %u: %s", i, shunt_code_name(rc));
    if (rc == 1 && committed)
        fuzz_fail(g, "cancel of %u, which has committed", i);
    if (rc == 1 && shunt_status(h) == SHUNT_PENDING &&
        (n->op == OP_DELAY || n->op == OP_TIMEOUT || n->op == OP_VIA ||
         combines(n->op)))
        fuzz_fail(g, "node %u is pending after its cancel", i);
    if (rc == 1 && n->op == OP_RETRY)
        retries_cancelled(g, i);
    check_outcome(g, i, h);
}

static void use_of_builder(struct graph *g, const struct action *a)
{
    const struct node *n = &g->plan->node[a->node];
    shunt_future *h = play_take_handle(g, a->node, a->use);

    check_outcome(g, a->node, h);
    if (n->uses[a->use].kind == USE_CANCEL)
        cancel(g, a->node, h);
    if (g->plan->by_hand[n->pool] && a->node % 4 == 0)
        moment_move_by(g, n->pool, SHUNT_US(10));
    play_give_back(g, a->node, h);
}

static void give(struct graph *g, unsigned n)
{
    (void)published(g, n);
    tasks_give(g, n);
}

static void *builder(void *arg)
{
    struct actor *actor = arg;
    struct graph *g = actor->graph;

    for (unsigned i = 0; i < actor->script->count; i++) {
        const struct action *a = &actor->script->actions[i];

        if (a->act == ACT_BUILD)
            build(g, a->node);
        else if (a->act == ACT_USE)
            use_of_builder(g, a);
        else if (a->act == ACT_OPEN)
            scopes_open(g, a->node);
        else if (a->act == ACT_ASK)
            scopes_ask(g, a->node);
        else if (a->act == ACT_GIVE)
            give(g, a->node);
        else
            queues_act(g, a);
    }
    return NULL;
}

void play_take_at_once(struct graph *g, unsigned n, shunt_future *h, bool joins)
{
    enum shape shape = g->plan->node[n].shape;
    struct big value;
    int rc;

    if (joins || shape > SHAPE_BIG)
        rc = shunt_join(h);
    else if (shape == SHAPE_BIG)
        rc = shunt_take(h, &value);
    else
        rc = shunt_take(h, &value.small);
    if (rc == SHUNT_PENDING)
        fuzz_fail(g, "take of %u came back pending", n);
    if (rc != 0)
        check_error(g, n, shunt_last_error());
    else if (!joins && shape <= SHAPE_BIG)
        check_value(g, n, shape, &value);
    if (check_strictly(g) && !audit_is_reserved(h) &&
        shunt_release(h) != SHUNT_EINVAL)
        fuzz_fail(g, "a handle of %u is good after it was taken", n);
}

static void use_of_observer(struct graph *g, const struct action *a)
{
    const struct node *n = &g->plan->node[a->node];
    shunt_future *h = play_take_handle(g, a->node, a->use);
    uint64_t random = plan_random(g->plan->seed, a->node, 50 + a->use);
    bool limited = n->uses[a->use].kind == USE_AWAIT_FOR;
    int rc;

    if (!limited && random % 4 < 2) {
        play_take_at_once(g, a->node, h, random % 2 == 0);
        return;
    }
    rc = limited ? shunt_await_for(h, SHUNT_US(random % 800)) : shunt_await(h);
    if (rc == SHUNT_PENDING && !limited)
        fuzz_fail(g, "await of %u came back pending", a->node);
    if (rc != SHUNT_PENDING && rc != shunt_status(h))
        fuzz_fail(g, "await of %u: %s, then %s", a->node, shunt_code_name(rc),
                  shunt_code_name(shunt_status(h)));
    check_outcome(g, a->node, h);
    play_give_back(g, a->node, h);
}

static void *observer(void *arg)
{
    struct actor *actor = arg;

    for (unsigned i = 0; i < actor->script->count; i++) {
        const struct action *a = &actor->script->actions[i];

        if (a->act == ACT_CLOSE)
            scopes_close(actor->graph, a->node);
        else if (a->act == ACT_USE)
            use_of_observer(actor->graph, a);
        else
            queues_act(actor->graph, a);
    }
    return NULL;
}

/* Bring all pools to an end, each a little at a time, since one may wait for
 * the other. True when all have come to it. */
static bool shut_down(struct graph *g, enum shunt_how how)
{
    bool over = true;

    for (unsigned i = 0; i < g->plan->pools; i++) {
        size_t left = 0;
        int rc = shunt_pool_shutdown(g->pools[i], how, SHUNT_MS(1), &left);

        if (rc != 0 && rc != SHUNT_ETIMEDOUT)
            fuzz_fail(g, "shutdown: %s", shunt_code_name(rc));
        if (rc == 0 && left != 0)
            fuzz_fail(g, "shutdown left %zu", left);
        over = over && rc == 0;
    }
    return over;
}

struct storm {
    struct graph *graph;
    atomic_bool over;
};

static void *storm(void *arg)
{
    struct storm *s = arg;

    nap(s->graph->plan->storm_at);
    atomic_store(&s->graph->ended, true);
    while (!atomic_load(&s->over))
        if (shut_down(s->graph, s->graph->plan->storm_how))
            nap(100);
    return NULL;
}

static void run_threads(struct graph *g)
{
    const struct plan *p = g->plan;
    struct actor actors[BUILDERS_MAX + OBSERVERS_MAX];
    pthread_t threads[BUILDERS_MAX + OBSERVERS_MAX], wind;
    struct storm weather = { g, false };
    unsigned count = 0;

    for (unsigned i = 0; i < p->builders + p->observers; i++) {
        bool builds = i < p->builders;

        actors[i] = (struct actor){ g, builds ? &p->builder[i]
                                              : &p->observer[i - p->builders] };
        if (pthread_create(&threads[i], NULL, builds ? builder : observer,
                           &actors[i]) != 0)
            fuzz_fail(g, "no thread for the fuzzer itself");
        count++;
    }
    if (p->ending == END_STORM &&
        pthread_create(&wind, NULL, storm, &weather) != 0)
        fuzz_fail(g, "no thread for the fuzzer itself");
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    if (p->ending == END_STORM) {
        atomic_store(&weather.over, true);
        pthread_join(wind, NULL);
    }
}

/* Look at what was kept beyond the end, and let it go. */
static void release_rest(struct graph *g)
{
    for (unsigned n = 0; n < g->plan->nodes; n++) {
        shunt_promise *p = atomic_exchange(&g->fate[n].promise, NULL);

        if (p != NULL && shunt_promise_drop(p) != 0 && !g->plan->mortal)
            fuzz_fail(g, "promise %u cannot be dropped after the end", n);
        for (unsigned u = 0; u < g->plan->node[n].use_count; u++) {
            shunt_future *h = atomic_exchange(&g->fate[n].handles[u], NULL);

            if (h == NULL)
                continue;
            if (shunt_status(h) == SHUNT_PENDING)
                fuzz_fail(g, "node %u is pending after the shutdown", n);
            check_outcome(g, n, h);
            play_give_back(g, n, h);
        }
    }
}

static void make_pools(struct graph *g)
{
    const struct plan *p = g->plan;

    for (unsigned i = 0; i < p->pools; i++) {
        int rc = shunt_pool_new(
            &g->pools[i],
            &(shunt_options){ .mode = !p->processes ? SHUNT_THREADS
                                      : play_auto   ? SHUNT_AUTO
                                                    : SHUNT_PROCESSES,
                              .workers = (int)p->workers[i],
                              .arena_bytes = p->arena_bytes,
                              .spares = p->spares[i],
                              .manual_clock = p->by_hand[i],
                              .unobserved = shunt_unobserved_ignore });

        if (rc != 0)
            fuzz_fail(g, "pool: %s", shunt_code_name(rc));
    }
}

static void free_pools(struct graph *g)
{
    for (unsigned i = 0; i < g->plan->pools; i++) {
        int rc = shunt_pool_free(g->pools[i]);

        if (rc != 0)
            fuzz_fail(g, "free: %s", shunt_code_name(rc));
        if (shunt_pool_free(g->pools[i]) != SHUNT_EINVAL)
            fuzz_fail(g, "a pool was freed twice");
    }
}

static bool differ(atomic_uint *a, atomic_uint *b)
{
    return atomic_load(a) != atomic_load(b);
}

/* Code that runs on past its deadline may do so after its pool was freed; what
 * it may still read is the graph. */
static void wait_for_code(struct graph *g)
{
    while (differ(&g->recruits, &g->discharged))
        nap(100);
    for (unsigned n = 0; n < g->plan->nodes; n++) {
        const struct node *node = &g->plan->node[n];
        struct fate *fate = &g->fate[n];

        while ((op_traits[node->op].runs || node->op == OP_RETRY) &&
               !is_refused(node) && atomic_load(&fate->drops) == 0)
            nap(100);
        while (differ(&fate->wards, &fate->ward_drops) ||
               differ(&fate->tellers, &fate->teller_drops) ||
               differ(&fate->noters, &fate->noter_drops))
            nap(100);
    }
}

static enum shunt_how how_to_end(const struct plan *p)
{
    switch (p->ending) {
    case END_STORM:
        return p->storm_how;
    case END_CANCEL:
        return SHUNT_CANCEL;
    case END_KILL:
        return SHUNT_KILL;
    default:
        return SHUNT_DRAIN;
    }
}

void play(struct graph *g)
{
    const struct plan *p = g->plan;
    struct hand hands[POOLS_MAX];
    struct killer killer;
    pthread_t movers[POOLS_MAX];

    make_pools(g);
    queues_make(g);
    for (unsigned i = 0; i < p->pools; i++) {
        hands[i] = (struct hand){ g, i, false };
        if (p->by_hand[i] &&
            pthread_create(&movers[i], NULL, moment_move, &hands[i]) != 0)
            fuzz_fail(g, "no thread for the fuzzer itself");
    }
    storm_begin(&killer, g);
    run_threads(g);
    atomic_store(&g->ended, true);
    while (p->ending != END_FREE && !shut_down(g, how_to_end(p)))
        continue;
    for (unsigned i = 0; i < p->pools; i++)
        if (p->by_hand[i]) {
            atomic_store(&hands[i].over, true);
            pthread_join(movers[i], NULL);
        }
    storm_end(&killer);
    if (p->ending != END_FREE) {
        queues_end(g);
        release_rest(g);
        audit_pools(g);
    }
    free_pools(g);
    atomic_store(&g->gone, true);
    if (p->ending == END_FREE) {
        queues_end(g);
        if (!p->processes)
            wait_for_code(g);
    }
    check_counts(g);
}
