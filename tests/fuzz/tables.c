/* SPDX-License-Identifier: MIT */
/*
 * fuzz/tables.c - what is known of each operation, and the names under which
 * plans are printed. A new operation has a line here, and one in graph.h.
 */
#include <inttypes.h>
#include <stdio.h>

#include "graph.h"

const struct op_traits op_traits[OPS] = {
    [OP_TASK] = { "task", 30, .runs = true, .submitted = true },
    [OP_FLAT] = { "flat", 6, .runs = true, .submitted = true },
    [OP_PROMISE] = { "promise", 10, .step = false },
    [OP_MAP] = { "map", 3, .step = false },
    [OP_MAP_SETTLED] = { "map_settled", 2, .step = false },
    [OP_RETRY] = { "retry", 7, .step = false },
    [OP_DELAY] = { "delay", 6, .step = false },
    [OP_THEN] = { "then", 14, .step = true, .runs = true },
    [OP_THEN_FLAT] = { "then_flat", 4, .step = true, .runs = true },
    [OP_RECOVER] = { "recover", 6, .step = true, .runs = true },
    [OP_FINALLY] = { "finally", 5, .step = true, .runs = true },
    [OP_VIA] = { "via", 4, .step = true },
    [OP_TIMEOUT] = { "timeout", 9, .step = true },
    [OP_ALL] = { "all", 6, .combines = true },
    [OP_SETTLED] = { "settled", 4, .combines = true },
    [OP_ANY] = { "any", 4, .combines = true },
    [OP_RACE] = { "race", 4, .combines = true },
    [OP_SOME] = { "some", 4, .combines = true },
};

static const char *const shapes[] = { "small", "big", "results", "winner",
                                      "none" };
static const char *const spans[] = { "none", "past", "short", "long",
                                     "endless" };
static const char *const recipes[RECIPES] = {
    "leaf",  "mended", "all", "promise",  "race",    "nested",
    "fails", "any",    "via", "retained", "delayed", "in time"
};
static const char *const broods[BROODS] = {
    "-",         "keep",   "release", "join",  "take",  "all",     "race",
    "await_for", "mixed",  "steps",   "map",   "delay", "timeout", "abroad",
    "bound",     "cancel", "heirs",   "scope", "retry", "queue"
};
static const char *const heeds[HEEDS] = { "-",    "drop", "hold",   "await",
                                          "race", "then", "finally" };
static const char *const commits[COMMITS] = { "never", "first", "midway",
                                              "last" };

static const char *const agains[AGAINS] = { "default", "always", "once",
                                            "never" };

static void print_retry(const struct node *n)
{
    fprintf(stderr,
            " %u attempts%s, number %u succeeds, %u is final, %u sleeps, again "
            "%s, pauses "
            "%" PRId64 " to %" PRId64 " ns,",
            n->attempts, n->returns ? " that return" : "", n->succeeds_at,
            n->final_at, n->sleeps_at, agains[n->again], n->first_ns,
            n->cap_ns);
}

/* What its function does. */
static void print_behaviour(const struct node *n)
{
    fprintf(stderr, "%s%s spins %u %s %u", n->fails ? " fails" : "",
            n->heeds ? " heeds" : "", n->spins, broods[n->brood], n->children);
    for (unsigned k = 0; k < n->await_count; k++)
        fprintf(stderr, " awaits %u%s", n->awaits[k],
                n->await_ns == SHUNT_FOREVER ? "" : " a while");
    if (n->propagates && n->await_count > 0)
        fprintf(stderr, " propagates");
    if (n->lingers_us > 0)
        fprintf(stderr, " lingers %u us", n->lingers_us);
    if (n->heed != HEED_NONE)
        fprintf(stderr, " cancel future: %s", heeds[n->heed]);
    if (n->commits != COMMIT_NEVER)
        fprintf(stderr, " commits %s", commits[n->commits]);
    if (n->doom != DOOM_NONE)
        fprintf(stderr, " is doomed to %d", (int)n->doom);
    if (n->retries > 0)
        fprintf(stderr, " may be retried %u times", n->retries);
    if (n->gives_any)
        fprintf(stderr, " gives %u", n->gives);
    if (n->op == OP_FLAT || n->op == OP_THEN_FLAT)
        fprintf(stderr, " recipe %s", recipes[n->recipe]);
}

static void print_node(const struct plan *p, unsigned i)
{
    static const char uses[] = "ILWAFRCQ";
    const struct node *n = &p->node[i];

    fprintf(stderr, "%3u %-11s %-7s pool %u by %u", i, op_traits[n->op].name,
            shapes[n->shape], n->pool, n->builder);
    for (unsigned k = 0; k < n->input_count; k++)
        fprintf(stderr, " <%u", n->inputs[k]);
    if (n->span != SPAN_NONE)
        fprintf(stderr, " %s, %" PRId64 " ns,", spans[n->span], n->span_ns);
    if (n->total > 0)
        fprintf(stderr, " of %u quorum %u%s", n->total, n->quorum,
                n->fillers_fail ? " failing" : "");
    if (n->delays != SPAN_NONE)
        fprintf(stderr, " and delays, %s", spans[n->delays]);
    if (n->op == OP_RETRY)
        print_retry(n);
    if (op_traits[n->op].runs || n->op == OP_RETRY)
        print_behaviour(n);
    if (n->op == OP_PROMISE)
        fprintf(stderr, " giver %d%s%s", (int)n->giver,
                n->fails ? " fails" : "", n->hooked ? " hooked" : "");
    fprintf(stderr, "  uses ");
    for (unsigned u = 0; u < n->use_count; u++)
        fprintf(stderr, "%s%c", u == n->primary ? "*" : "",
                uses[n->uses[u].kind]);
    fprintf(stderr, "\n");
}

static void print_queue(unsigned i, const struct queue_plan *q)
{
    static const char *const ends[QUEUE_ENDS] = { "emptied", "freed",
                                                  "emptied late", "left" };

    fprintf(stderr, "queue %u: of observer %u, %s%s%s%s%s:", i, q->observer,
            ends[q->end], q->shared ? ", shared" : "",
            q->watched ? ", watched" : "", q->batch ? ", one batch" : "",
            q->removes ? ", some removed" : "");
    for (unsigned k = 0; k < q->count; k++)
        fprintf(stderr, " %u", q->entries[k].node);
    fprintf(stderr, "\n");
}

void plan_print(const struct plan *p)
{
    fprintf(stderr,
            "seed %" PRIu64 ": %u nodes, %u builders, %u observers, "
            "ending %d (storm %d at %u)%s%s\n",
            p->seed, p->nodes, p->builders, p->observers, (int)p->ending,
            (int)p->storm_how, p->storm_at, p->processes ? ", processes" : "",
            p->stormy   ? ", which are hit"
            : p->mortal ? ", which may be killed"
                        : "");
    for (unsigned i = 0; i < p->pools; i++)
        fprintf(stderr, "pool %u: %u workers, spares %d%s%s\n", i,
                p->workers[i], p->spares[i],
                p->by_hand[i] ? ", its clock is moved by hand" : "",
                p->leaps[i] ? " and leaps" : "");
    for (unsigned i = 0; i < p->outings; i++)
        fprintf(stderr, "scope %u: pool %u%s%s\n", NODES_MAX + i,
                p->outing[i].pool, p->outing[i].asked ? ", cancelled" : "",
                p->outing[i].races ? ", closed early" : "");
    for (unsigned i = 0; i < p->queues; i++)
        print_queue(i, &p->queue[i]);
    for (unsigned i = 0; i < p->nodes; i++)
        print_node(p, i);
}
