/* SPDX-License-Identifier: MIT */
/*
 * fuzz/plan.c - from a seed to a graph, and to what each thread will do.
 *
 * Idea. Nodes have numbers, and use only nodes with lower ones. Builders do
 * nothing that blocks, each in the order of the numbers; whoever waits is an
 * observer. So the plan itself has no deadlock, and whatever hangs is a fault
 * of the library.
 */
#include <stdlib.h>
#include <string.h>

#include "graph.h"

struct rng {
    uint64_t state;
};

static uint64_t mix(uint64_t x)
{
    /* The finalizer of Steele, Lea and Flood's splitmix. */
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

uint64_t plan_random(uint64_t seed, uint64_t a, uint64_t b)
{
    return mix(mix(mix(seed) ^ a) ^ b);
}

static unsigned below(struct rng *rng, unsigned n)
{
    rng->state = mix(rng->state);
    return (unsigned)(rng->state >> 33) % n;
}

static bool chance(struct rng *rng, unsigned percent)
{
    return below(rng, 100) < percent;
}

static unsigned pick(struct rng *rng, const unsigned *weights, unsigned n)
{
    unsigned sum = 0, at;

    for (unsigned i = 0; i < n; i++)
        sum += weights[i];
    at = below(rng, sum);
    for (unsigned i = 0; i < n; i++) {
        if (at < weights[i])
            return i;
        at -= weights[i];
    }
    return 0;
}

/* A length of time that is as often very short as it is not. */
static int64_t brief(struct rng *rng)
{
    uint64_t most = (uint64_t)1 << below(rng, 22);

    return (int64_t)(1 + below(rng, (unsigned)most));
}

static int64_t length_of(struct rng *rng, enum span span)
{
    switch (span) {
    case SPAN_PAST:
        return -(int64_t)below(rng, 3);
    case SPAN_SHORT:
        return brief(rng);
    case SPAN_LONG:
        return SHUNT_S(3600) * (1 + below(rng, 10)) + brief(rng);
    case SPAN_ENDLESS:
        return SHUNT_FOREVER;
    default:
        return 0;
    }
}

void plan_span(struct plan *p, unsigned i, enum span span)
{
    struct rng rng = { plan_random(p->seed, i, 5) };
    struct node *n = &p->node[i];

    n->span = span;
    n->span_ns = length_of(&rng, span);
}

static unsigned add_use(struct node *n, enum use_kind kind, unsigned by)
{
    n->uses[n->use_count] = (struct use){ kind, by };
    return n->use_count++;
}

/* An earlier node that can bear another use; UINT32_MAX if chance found none.
 */
static unsigned pick_input(struct plan *p, struct rng *rng, unsigned i)
{
    for (int tries = 0; tries < 8; tries++) {
        unsigned near = i < 8 ? i : 8;
        unsigned j = chance(rng, 70) ? i - 1 - below(rng, near) : below(rng, i);

        if (p->node[j].use_count < USES_MAX - 8)
            return j;
    }
    return UINT32_MAX;
}

static void add_input(struct plan *p, unsigned i, unsigned j)
{
    struct node *n = &p->node[i];

    n->inputs[n->input_count] = j;
    n->input_uses[n->input_count++] = add_use(&p->node[j], USE_INPUT, i);
}

static void add_awaits(struct plan *p, struct rng *rng, unsigned i)
{
    struct node *n = &p->node[i];
    unsigned count = i == 0 || chance(rng, 60) ? 0 : 1 + below(rng, 2);

    n->await_ns = chance(rng, 60) ? SHUNT_FOREVER : SHUNT_US(below(rng, 300));
    while (n->await_count < count) {
        unsigned j = pick_input(p, rng, i), u;

        if (j == UINT32_MAX)
            break;
        for (u = 0; u < p->node[j].use_count; u++)
            if (p->node[j].uses[u].kind == USE_LOOK)
                break;
        if (u == p->node[j].use_count)
            u = add_use(&p->node[j], USE_LOOK, i);
        n->awaits[n->await_count] = j;
        n->await_uses[n->await_count++] = u;
    }
}

/* What the function of a node does. */
static void add_behaviour(struct plan *p, struct rng *rng, unsigned i)
{
    static const unsigned broods[BROODS] = { 50, 8, 8, 8, 6, 6, 4, 4, 6, 4,
                                             3,  5, 5, 3, 5, 4, 4, 9, 5, 6 };
    static const unsigned heeds[HEEDS] = { 60, 5, 5, 8, 7, 8, 9 };
    static const unsigned commits[COMMITS] = { 76, 8, 8, 8 };
    struct node *n = &p->node[i];

    n->fails = chance(rng, 25);
    n->heeds = chance(rng, 60);
    n->allocates = chance(rng, 30);
    n->propagates = chance(rng, 40);
    n->spins = chance(rng, 50) ? 0 : below(rng, 3000);
    n->lingers_us = may_come(p, n) && chance(rng, 30) ? below(rng, 1000) : 0;
    n->recipe = (enum recipe)below(rng, RECIPES);
    n->heed = (enum heed)pick(rng, heeds, HEEDS);
    n->commits = (enum commit)pick(rng, commits, COMMITS);
    n->brood = (enum brood)pick(rng, broods, BROODS);
    n->children = n->brood == BROOD_NONE ? 0 : 1 + below(rng, CHILDREN_MAX);
    if (n->op != OP_TASK)
        return;
    add_awaits(p, rng, i);
    for (unsigned j = 0; j < i && !n->gives_any; j++)
        if (p->node[j].op == OP_PROMISE && p->node[j].giver == GIVER_TASK &&
            chance(rng, 50)) {
            bool taken = false;

            for (unsigned k = 0; k < i; k++)
                taken = taken ||
                        (p->node[k].gives_any && p->node[k].gives == j);
            n->gives_any = !taken;
            n->gives = j;
        }
    /* So that a drain comes before it has given. */
    if (n->gives_any && chance(rng, 50)) {
        n->brood = BROOD_DELAY;
        n->children = 1 + below(rng, CHILDREN_MAX);
    }
}

static void add_total(struct plan *p, struct rng *rng, unsigned i)
{
    static const unsigned wide[] = { 27, 28, 29, 30, 55, 56, 57, 85 };
    static const unsigned huge[] = { 783, 784, 785, 812 };
    static const unsigned sizes[] = { 76, 20, 4 };
    struct node *n = &p->node[i];

    switch (pick(rng, sizes, 3)) {
    case 0:
        n->total = n->input_count + below(rng, 3);
        break;
    case 1:
        n->total = wide[below(rng, 8)];
        break;
    default:
        n->total = huge[below(rng, 4)];
        break;
    }
    if (n->total < n->input_count || n->total == 0)
        n->total = n->input_count + 1;
    n->fillers_fail = chance(rng, 25);
    n->quorum = 1 + below(rng, n->total);
    if (chance(rng, 20))
        n->delays = SPAN_SHORT;
    /* What is decided by others lets those go that would never come. */
    if (n->delays != SPAN_NONE && chance(rng, 50) &&
        (n->op == OP_RACE || n->op == OP_ANY) && !n->fillers_fail &&
        n->total > 2 * INPUTS_MAX)
        n->delays = SPAN_ENDLESS;
}

/* How long a delay or timeout is, or how far away a deadline. */
static void add_span(struct plan *p, struct rng *rng, unsigned i)
{
    static const unsigned delays[] = { 0, 10, 80, 0, 10 };
    static const unsigned timeouts[] = { 0, 8, 55, 30, 7 };
    static const unsigned deadlines[] = { 60, 3, 22, 13, 2 };
    static const unsigned attempts[] = { 60, 0, 25, 12, 3 };
    struct node *n = &p->node[i];
    const unsigned *weights = n->op == OP_DELAY     ? delays
                              : n->op == OP_TIMEOUT ? timeouts
                              : n->op == OP_RETRY   ? attempts
                                                    : deadlines;

    n->span = (enum span)pick(rng, weights, 5);
    if (n->op == OP_DELAY && n->span == SPAN_SHORT && p->leaps[n->pool] &&
        chance(rng, 30))
        n->span = SPAN_LONG;
    n->span_ns = length_of(rng, n->span);
    /* A deadline of 0 is none. */
    if (n->span == SPAN_PAST && op_traits[n->op].submitted)
        n->span_ns--;
}

/* How often a retry tries, when it succeeds, and how long it pauses. */
static void add_attempts(struct plan *p, struct rng *rng, unsigned i)
{
    static const unsigned agains[AGAINS] = { 55, 20, 15, 10 };
    struct node *n = &p->node[i];

    n->attempts = chance(rng, 70) ? below(rng, 5) : below(rng, 13);
    n->succeeds_at = chance(rng, 60) ? 1 + below(rng, n->attempts + 2) : 0;
    n->final_at = chance(rng, 15) ? 1 + below(rng, n->attempts + 1) : 0;
    n->again = (enum again)pick(rng, agains, AGAINS);
    n->returns = n->shape == SHAPE_SMALL && chance(rng, 25);
    n->first_ns = chance(rng, 35) ? -1 : brief(rng);
    n->cap_ns = chance(rng, 50) ? brief(rng) : 0;
    if (p->leaps[n->pool] && chance(rng, 50))
        n->first_ns = n->cap_ns = SHUNT_S(600);
    else if (n->attempts < 4 && chance(rng, 10))
        n->first_ns = n->cap_ns = 0; /* milliseconds */
}

static void add_combinator(struct plan *p, struct rng *rng, unsigned i)
{
    struct node *n = &p->node[i];
    unsigned count = below(rng, INPUTS_MAX + 1);

    while (n->input_count < count) {
        unsigned j = pick_input(p, rng, i);

        if (j == UINT32_MAX)
            break;
        add_input(p, i, j);
    }
    add_total(p, rng, i);
    if (n->input_count > 0)
        n->pool = p->node[n->inputs[0]].pool;
    n->shape = n->op == OP_ANY || n->op == OP_RACE ? SHAPE_WINNER
                                                   : SHAPE_RESULTS;
}

/* A step on node j, or something like it that fits. */
static void add_step(struct plan *p, struct rng *rng, unsigned i, unsigned j)
{
    struct node *n = &p->node[i];
    enum shape shape = p->node[j].shape;

    if (n->op == OP_RECOVER && shape > SHAPE_BIG)
        n->op = OP_THEN;
    add_input(p, i, j);
    if (n->op != OP_VIA)
        n->pool = p->node[j].pool;
    n->shape = shape;
    if (n->op == OP_THEN)
        n->shape = chance(rng, 40) ? SHAPE_BIG : SHAPE_SMALL;
    if (n->op == OP_THEN_FLAT)
        n->shape = SHAPE_SMALL;
}

static void make_node(struct plan *p, unsigned i)
{
    static const unsigned givers[] = { 45, 35, 12, 8 };
    struct rng rng = { plan_random(p->seed, i, 1) };
    struct node *n = &p->node[i];
    unsigned j = UINT32_MAX, weights[OPS];

    for (unsigned k = 0; k < OPS; k++)
        weights[k] = op_traits[k].weight;
    n->op = (enum op)pick(&rng, weights, OPS);
    n->builder = below(&rng, p->builders);
    n->pool = below(&rng, p->pools);
    if (is_step(n->op) && i > 0)
        j = pick_input(p, &rng, i);
    if ((i == 0 && combines(n->op)) || (is_step(n->op) && j == UINT32_MAX))
        n->op = OP_TASK;
    if (is_step(n->op)) {
        add_step(p, &rng, i, j);
    } else if (combines(n->op)) {
        add_combinator(p, &rng, i);
    } else if (n->op == OP_DELAY) {
        n->shape = SHAPE_NONE;
    } else if (is_map(n->op)) {
        n->shape = SHAPE_RESULTS;
        n->total = chance(&rng, 90) ? 1 + below(&rng, 40)
                                    : 500 + below(&rng, 500);
        n->fillers_fail = chance(&rng, 30);
    } else if (n->op != OP_FLAT) {
        n->shape = chance(&rng, 40) ? SHAPE_BIG : SHAPE_SMALL;
    }
    n->giver = (enum giver)pick(&rng, givers, 4);
    n->hooked = chance(&rng, 30);
    if (n->op == OP_DELAY || n->op == OP_TIMEOUT || n->op == OP_RETRY ||
        op_traits[n->op].submitted)
        add_span(p, &rng, i);
    if (n->op == OP_RETRY)
        add_attempts(p, &rng, i);
    if (p->processes)
        weather_bound(p, i);
    add_behaviour(p, &rng, i);
    if (p->processes)
        weather_behave(p, i);
}

/* Node i goes through queue number q, if that has room. */
static void add_entry(struct plan *p, unsigned i, unsigned q)
{
    struct queue_plan *queue = &p->queue[q];

    if (queue->count == ENTRIES_MAX)
        return;
    queue->entries[queue->count].node = i;
    queue->entries[queue->count++].use = add_use(&p->node[i], USE_QUEUE, q);
}

/* A retry that is cancelled may wait for that, in an attempt or a pause. */
static void add_rest(struct rng *rng, struct node *n)
{
    if (chance(rng, 40))
        n->sleeps_at = 1 + below(rng, 3);
    else if (chance(rng, 40))
        n->first_ns = n->cap_ns = SHUNT_S(36000);
}

/* Uses beside being an input. */
static void add_uses(struct plan *p, unsigned i)
{
    struct rng rng = { plan_random(p->seed, i, 2) };
    struct node *n = &p->node[i];

    if (chance(&rng, 45))
        add_use(n, USE_AWAIT, below(&rng, p->observers));
    if (chance(&rng, 15))
        add_use(n, USE_AWAIT_FOR, below(&rng, p->observers));
    if (chance(&rng, 20))
        add_use(n, USE_RELEASE, below(&rng, p->builders));
    if (chance(&rng, 12)) {
        add_use(n, USE_CANCEL, below(&rng, p->builders));
        /* So that it is asked while it runs, and learns of it. */
        if (chance(&rng, 60))
            n->lingers_us = below(&rng, 600);
        if (chance(&rng, 40))
            n->heed = chance(&rng, 50) ? HEED_THEN : HEED_FINALLY;
        if (n->op == OP_RETRY)
            add_rest(&rng, n);
    }
    if (chance(&rng, p->by_hand[n->pool] ? 60 : 25) && p->ending != END_FREE)
        add_use(n, USE_WITNESS, 0);
    if (p->queues > 0 && chance(&rng, 25))
        add_entry(p, i, below(&rng, p->queues));
    if (p->queues > 0 && chance(&rng, 8))
        add_entry(p, i, below(&rng, p->queues));
    if (n->use_count == 0)
        add_use(n, USE_RELEASE, below(&rng, p->builders));
    n->primary = below(&rng, n->use_count);
}

static void add_action(struct script *s, enum act act, unsigned node,
                       unsigned use, unsigned key)
{
    s->actions[s->count++] = (struct action){ act, node, use, key };
}

static int by_key(const void *left, const void *right)
{
    const struct action *a = left, *b = right;

    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    if (a->act != b->act)
        return a->act < b->act ? -1 : 1;
    if (a->node != b->node)
        return a->node < b->node ? -1 : 1;
    return a->use < b->use ? -1 : a->use > b->use;
}

static void add_actions(struct plan *p, unsigned i)
{
    struct rng rng = { plan_random(p->seed, i, 3) };
    struct node *n = &p->node[i];
    unsigned later = p->nodes - i;

    add_action(&p->builder[n->builder], ACT_BUILD, i, 0, i);
    if (n->op == OP_PROMISE &&
        (n->giver == GIVER_THREAD || n->giver == GIVER_DROP))
        add_action(&p->builder[below(&rng, p->builders)], ACT_GIVE, i, 0,
                   i + below(&rng, later));
    for (unsigned u = 0; u < n->use_count; u++) {
        struct use *use = &n->uses[u];

        if (use->kind == USE_RELEASE || use->kind == USE_CANCEL)
            add_action(&p->builder[use->by], ACT_USE, i, u,
                       i + below(&rng, later < 6 ? later : 6));
        if (use->kind == USE_AWAIT || use->kind == USE_AWAIT_FOR)
            add_action(&p->observer[use->by], ACT_USE, i, u,
                       below(&rng, 4 * p->nodes));
    }
}

/* A scope that threads open, close and perhaps cancel. */
static void add_outing(struct plan *p, unsigned i)
{
    struct rng rng = { plan_random(p->seed, i, 6) };
    struct outing *outing = &p->outing[i];
    unsigned key = below(&rng, p->nodes);

    outing->pool = below(&rng, p->pools);
    outing->asked = chance(&rng, 25);
    outing->races = chance(&rng, 40);
    add_action(&p->builder[below(&rng, p->builders)], ACT_OPEN, i, 0, key);
    if (outing->asked)
        add_action(&p->builder[below(&rng, p->builders)], ACT_ASK, i, 0,
                   key + below(&rng, 4));
    add_action(&p->observer[below(&rng, p->observers)], ACT_CLOSE, i, 0,
               below(&rng, 4 * p->nodes));
}

static void add_queue(struct plan *p, struct rng *rng, unsigned q)
{
    static const unsigned ends[QUEUE_ENDS] = { 55, 15, 18, 12 };

    p->queue[q] =
        (struct queue_plan){ .end = (enum queue_end)pick(rng, ends, QUEUE_ENDS),
                             .observer = below(rng, p->observers),
                             .shared = p->observers > 1 && chance(rng, 40),
                             .watched = chance(rng, 40),
                             .batch = chance(rng, 30),
                             .removes = chance(rng, 30) };
}

/* Adding each entry, or all, perhaps removing it, and taking. */
static void add_queue_actions(struct plan *p, unsigned q)
{
    struct rng rng = { plan_random(p->seed, q, 8) };
    struct queue_plan *queue = &p->queue[q];
    unsigned builder = below(&rng, p->builders), key = 0;
    bool takes = queue->end == QUEUE_EMPTIED || queue->end == QUEUE_FREED;

    for (unsigned k = 0; k < queue->count; k++) {
        if (!queue->batch)
            builder = below(&rng, p->builders);
        /* Of a batch, with the last. */
        key = queue->entries[queue->batch ? queue->count - 1 : k].node +
              (queue->batch ? 0 : below(&rng, 6));
        if (k == 0 || !queue->batch)
            add_action(&p->builder[builder], ACT_ADD, q, k, key);
        if (queue->removes && chance(&rng, 40))
            add_action(&p->builder[builder], ACT_REMOVE, q, k,
                       key + below(&rng, 6));
    }
    for (unsigned o = 0; o < p->observers && takes; o++) {
        if (!queue->shared && queue->observer != o)
            continue;
        for (unsigned k = below(&rng, 8); k > 0; k--)
            add_action(&p->observer[o], ACT_TAKE, q, below(&rng, 1000),
                       below(&rng, 4 * p->nodes));
        if (queue->end == QUEUE_FREED && queue->observer != o)
            add_action(&p->observer[o], ACT_AWAIT, q, 0, 4 * p->nodes);
    }
    if (takes)
        add_action(&p->observer[queue->observer], ACT_LEAVE, q, 0,
                   queue->end == QUEUE_EMPTIED ? 4 * p->nodes
                                               : below(&rng, 4 * p->nodes));
}

void plan_make(struct plan *p, uint64_t seed, unsigned nodes,
               enum weather weather)
{
    static const unsigned endings[] = { 60, 12, 8, 8, 12 };
    struct rng rng = { plan_random(seed, 0, 0) };
    bool moved = false;

    memset(p, 0, sizeof *p);
    p->seed = seed;
    p->nodes = chance(&rng, 80) ? 4 + below(&rng, 28) : 40 + below(&rng, 24);
    if (nodes != 0 && nodes <= NODES_MAX)
        p->nodes = nodes;
    p->pools = chance(&rng, 30) ? 2 : 1;
    p->builders = 1 + below(&rng, BUILDERS_MAX);
    p->observers = 1 + below(&rng, OBSERVERS_MAX);
    for (unsigned i = 0; i < p->pools; i++) {
        p->workers[i] = 1 + below(&rng, 4);
        p->spares[i] = chance(&rng, 50) ? 0 : chance(&rng, 50) ? -1 : 1;
        p->by_hand[i] = chance(&rng, 25);
        p->leaps[i] = p->by_hand[i] && chance(&rng, 50);
        moved = moved || p->by_hand[i];
    }
    p->arena_bytes = chance(&rng, 50) ? (size_t)1 << 30 : 0;
    p->ending = (enum ending)pick(&rng, endings, 5);
    /* One could wait for the other; and nobody may move the clock of a pool
     * that is being freed. */
    if (p->ending == END_FREE && (p->pools > 1 || moved))
        p->ending = END_DRAIN;
    p->storm_how = (enum shunt_how)below(&rng, 3);
    p->storm_at = below(&rng, 2000);
    if (weather != WEATHER_THREADS)
        weather_begin(p, weather);
    p->queues = chance(&rng, 45) ? 0 : 1 + below(&rng, QUEUES_MAX);
    for (unsigned q = 0; q < p->queues; q++)
        add_queue(p, &rng, q);
    for (unsigned i = 0; i < p->nodes; i++)
        make_node(p, i);
    for (unsigned i = 0; i < p->nodes; i++) {
        struct node *n = &p->node[i];
        bool given = false;

        for (unsigned k = i + 1; k < p->nodes; k++)
            given = given || (p->node[k].gives_any && p->node[k].gives == i);
        if (n->op == OP_PROMISE && n->giver == GIVER_TASK && !given)
            n->giver = GIVER_THREAD;
        add_uses(p, i);
    }
    for (unsigned i = 0; i < p->nodes; i++)
        add_actions(p, i);
    p->outings = chance(&rng, 60) ? 0 : 1 + below(&rng, OUTINGS_MAX);
    for (unsigned i = 0; i < p->outings; i++)
        add_outing(p, i);
    for (unsigned q = 0; q < p->queues; q++)
        add_queue_actions(p, q);
    for (unsigned b = 0; b < p->builders; b++)
        qsort(p->builder[b].actions, p->builder[b].count, sizeof(struct action),
              by_key);
    for (unsigned o = 0; o < p->observers; o++)
        qsort(p->observer[o].actions, p->observer[o].count,
              sizeof(struct action), by_key);
}
