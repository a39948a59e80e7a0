/* SPDX-License-Identifier: MIT */
/*
 * fuzz/moments.c - what time it is, and that nothing happens too early, or, of
 * a clock that is moved by hand, too late.
 *
 * Idea. A clock that is moved by hand stands, at any moment, between where the
 * moves that were over have brought it and where those that were begun will. A
 * node's moment lies so many ns after one between the two at its making.
 */
#include <time.h>

#include "graph.h"

#include "base/clock.h"

enum {
    LOOKS = 200000,
    LEAP_S_MAX = 20 * 3600
};

int64_t moment_low(const struct graph *g, unsigned pool)
{
    return g->plan->by_hand[pool] ? atomic_load(&g->served_ns[pool])
                                  : sh_clock_ns();
}

int64_t moment_high(const struct graph *g, unsigned pool)
{
    return g->plan->by_hand[pool] ? atomic_load(&g->moved_ns[pool])
                                  : sh_clock_ns();
}

void moment_check(struct graph *g, unsigned n)
{
    const struct node *node = &g->plan->node[n];
    int64_t passed = moment_high(g, node->pool) - g->fate[n].begun_ns;

    if (passed < node->span_ns)
        fuzz_fail(g, "node %u reached its moment of %lld ns after %lld ns", n,
                  (long long)node->span_ns, (long long)passed);
}

void moment_left(const struct job *job, int64_t *most)
{
    struct graph *g = job->graph;
    const struct node *n = &g->plan->node[job->node];
    bool limited = op_traits[n->op].submitted && n->span != SPAN_NONE &&
                   n->span != SPAN_ENDLESS;
    bool ended = shunt_cancelled();
    int64_t left = shunt_time_left_ns();

    /* A commit may take the deadline away. */
    if (left == SHUNT_FOREVER && atomic_load(&g->fate[job->node].committed))
        return;
    if ((left == SHUNT_FOREVER) == limited || left < 0 || left > *most)
        fuzz_fail(g, "node %u has %lld ns left, and had %lld", job->node,
                  (long long)left, (long long)*most);
    if (ended && left > 0 && !g->reference.asked[job->node] &&
        check_strictly(g))
        fuzz_fail(g, "node %u was given up %lld ns before its time", job->node,
                  (long long)left);
    *most = left;
}

/* Node n is due, and has a handle to the end. Somebody may be just about to
 * settle it, so look for a while. */
static void expect_settled(struct graph *g, unsigned n, shunt_future *h)
{
    struct timespec moment = { .tv_nsec = 100000 };

    for (int look = 0; look < LOOKS; look++) {
        if (shunt_status(h) != SHUNT_PENDING)
            return;
        nanosleep(&moment, NULL);
    }
    fuzz_fail(g, "node %u is due, and pending", n);
}

/* What was due by a move of the clock has happened when that is over. */
static void check_due(struct graph *g, unsigned pool, int64_t now_ns)
{
    const struct plan *p = g->plan;

    for (unsigned i = 0; i < p->nodes; i++) {
        const struct node *n = &p->node[i];
        struct fate *fate = &g->fate[i];

        if (n->pool != pool || n->span == SPAN_NONE ||
            n->span == SPAN_ENDLESS || n->commits != COMMIT_NEVER ||
            n->op == OP_RETRY || /* its attempts are due, one by one */
            !atomic_load(&fate->published) ||
            now_ns - fate->built_ns < n->span_ns)
            continue;
        for (unsigned u = 0; u < n->use_count; u++)
            if (n->uses[u].kind == USE_WITNESS)
                expect_settled(g, i, atomic_load(&fate->handles[u]));
    }
}

/* How far, the next time. */
static int64_t stride(uint64_t random, bool leaps)
{
    int64_t ns = (int64_t)(random >> 32);

    switch (random % 8) {
    case 0:
        return ns % 100;
    case 1:
        return ns % SHUNT_MS(2);
    case 2:
        return leaps ? SHUNT_S(ns % LEAP_S_MAX) : ns % 10;
    default:
        return ns % SHUNT_US(300);
    }
}

void moment_move_by(struct graph *g, unsigned pool, int64_t ns)
{
    int rc;

    atomic_fetch_add(&g->moved_ns[pool], ns);
    rc = shunt_pool_advance(g->pools[pool], ns);
    if (rc != 0)
        fuzz_fail(g, "advance: %s", shunt_code_name(rc));
    atomic_fetch_add(&census->moves, 1);
    /* Others may have moved it meanwhile: then it is later than this. */
    check_due(g, pool, atomic_fetch_add(&g->served_ns[pool], ns) + ns);
}

void *moment_move(void *arg)
{
    struct hand *hand = arg;
    struct graph *g = hand->graph;
    unsigned pool = hand->pool;
    struct timespec moment = { 0 };

    for (unsigned i = 0; !atomic_load(&hand->over); i++) {
        uint64_t random = plan_random(g->plan->seed, 5000 + pool, i);

        moment_move_by(g, pool, stride(random, g->plan->leaps[pool]));
        moment.tv_nsec = (long)(random >> 16 & 0xffff);
        nanosleep(&moment, NULL);
    }
    return NULL;
}
