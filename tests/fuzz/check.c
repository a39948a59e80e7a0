/* SPDX-License-Identifier: MIT */
/*
 * fuzz/check.c - comparing what is seen with what is allowed.
 *
 * Idea. An outcome is written as a number. The first one that anybody sees of
 * a node is kept, and all later ones must be equal to it: a future settles
 * once. The value of a combinator is looked into, node by node, with the same
 * function.
 */
#include <string.h>

#include "graph.h"

enum {
    SEEN_OK = 1000,
    SEEN_FAILED = 2000,
    SEEN_CODE = 3000
};

bool check_outcomes(const struct graph *g)
{
    enum ending ending = g->plan->ending;

    if (ending == END_STORM)
        return false;
    return ending == END_DRAIN || ending == END_FREE || !atomic_load(&g->ended);
}

bool check_strictly(const struct graph *g)
{
    return !g->plan->mortal && check_outcomes(g);
}

bool check_closed(const struct graph *g)
{
    enum ending ending = g->plan->ending;

    if (ending == END_STORM)
        return g->plan->storm_how != SHUNT_KILL;
    return ending != END_KILL || !atomic_load(&g->ended);
}

unsigned check_success(const struct graph *g, unsigned origin)
{
    (void)g;
    return SEEN_OK + origin;
}

unsigned check_failure(int code, int task_code)
{
    return code == SHUNT_EFAILED ? SEEN_FAILED + (unsigned)task_code
                                 : SEEN_CODE + (unsigned)(SHUNT_EFAILED - code);
}

static uint32_t check_of(const struct graph *g, uint32_t origin)
{
    return (uint32_t)plan_random(g->plan->seed, origin, 4) | 1;
}

void value_make(const struct graph *g, unsigned n, enum shape shape, void *out)
{
    struct small *small = out;

    if (shape == SHAPE_BIG) {
        struct big *big = out;

        memset(big->rest, (int)(check_of(g, n) & 0xff), sizeof big->rest);
        big->end = (unsigned char)n;
        small = &big->small;
    }
    *small = (struct small){ n, check_of(g, n) };
}

static void check_small(struct graph *g, unsigned n, const struct small *v)
{
    if (v->origin >= g->plan->nodes || v->check != check_of(g, v->origin))
        fuzz_fail(g, "node %u has a value %x %x that nobody made", n,
                  (unsigned)v->origin, (unsigned)v->check);
    if (check_outcomes(g) && (g->reference.may[n].ok & bit(v->origin)) == 0)
        fuzz_fail(g, "node %u has the value of %u", n, (unsigned)v->origin);
}

static void check_big(struct graph *g, unsigned n, const struct big *v)
{
    unsigned char byte = (unsigned char)(v->small.check & 0xff);

    check_small(g, n, &v->small);
    for (size_t i = 0; i < sizeof v->rest; i++)
        if (v->rest[i] != byte)
            fuzz_fail(g, "node %u: byte %zu of the value is %x", n, i,
                      v->rest[i]);
    if (v->end != (unsigned char)v->small.origin)
        fuzz_fail(g, "node %u: the last byte of the value is %x", n, v->end);
}

/* The node whose combinator or map made the value of node n. */
static unsigned maker_of(const struct graph *g, unsigned n)
{
    while (is_step(g->plan->node[n].op))
        n = g->plan->node[n].inputs[0];
    return n;
}

/* Future number `number` among the inputs of combinator or map n. */
static void check_input(struct graph *g, unsigned n, size_t number,
                        shunt_future *f)
{
    const struct node *node = &g->plan->node[n];
    const struct small *v;
    bool map = is_map(node->op);
    bool fails = node->fillers_fail && (!map || number == node->total / 2);
    int status = shunt_status(f);

    for (unsigned k = 0; k < node->input_count; k++)
        if (input_place(node, k) == number) {
            check_outcome(g, node->inputs[k], f);
            return;
        }
    if (status == SHUNT_PENDING)
        return;
    if (!map && is_delay(node, (unsigned)number)) {
        if (status == 0 ? shunt_peek(f, shunt_none) == NULL : check_strictly(g))
            fuzz_fail(g, "input %zu of %u, a delay, is %s", number, n,
                      shunt_code_name(status));
        return;
    }
    if (status == 0) {
        v = shunt_peek(f, struct small);
        if (v == NULL || v->origin != n || fails ||
            v->check != check_of(g, n) + (map ? (uint32_t)number : 0))
            fuzz_fail(g, "input %zu of %u has another value", number, n);
    } else if (check_strictly(g) &&
               (status != SHUNT_EFAILED || !fails ||
                shunt_error_of(f)->task_code != failure_of(n))) {
        fuzz_fail(g, "input %zu of %u is %s, code %d", number, n,
                  shunt_code_name(status), shunt_error_of(f)->task_code);
    }
}

static void check_results(struct graph *g, unsigned n, const shunt_results *r)
{
    const struct node *node = &g->plan->node[n];
    bool some = node->op == OP_SOME;
    bool settled = node->op == OP_SETTLED || node->op == OP_MAP_SETTLED;

    if (r->count != (some ? node->quorum : node->total) ||
        (r->indices != NULL) != some)
        fuzz_fail(g, "node %u has %zu results", n, r->count);
    for (size_t i = 0; i < r->count; i++) {
        size_t number = some ? r->indices[i] : i;
        int status = shunt_status(r->futures[i]);

        if (number >= node->total ||
            (some && i > 0 && r->indices[i - 1] >= number))
            fuzz_fail(g, "node %u: index %zu is %zu", n, i, number);
        if (settled ? status == SHUNT_PENDING : status != 0)
            fuzz_fail(g, "node %u succeeded, but input %zu is %s", n, number,
                      shunt_code_name(status));
        check_input(g, n, number, r->futures[i]);
    }
}

static void check_winner(struct graph *g, unsigned n, const shunt_winner *w)
{
    if (w->index >= g->plan->node[n].total || shunt_status(w->future) != 0)
        fuzz_fail(g, "node %u: winner %zu is %s", n, w->index,
                  shunt_code_name(shunt_status(w->future)));
    check_input(g, n, w->index, w->future);
}

void check_value(struct graph *g, unsigned n, enum shape shape,
                 const void *value)
{
    if (value == NULL)
        fuzz_fail(g, "node %u succeeded and has no value", n);
    switch (shape) {
    case SHAPE_SMALL:
        check_small(g, n, value);
        break;
    case SHAPE_BIG:
        check_big(g, n, value);
        break;
    case SHAPE_RESULTS:
        check_results(g, maker_of(g, n), value);
        break;
    case SHAPE_WINNER:
        check_winner(g, maker_of(g, n), value);
        break;
    case SHAPE_NONE:
        break;
    }
}

static const void *peek(shunt_future *h, enum shape shape)
{
    switch (shape) {
    case SHAPE_SMALL:
        return shunt_peek(h, struct small);
    case SHAPE_BIG:
        return shunt_peek(h, struct big);
    case SHAPE_RESULTS:
        return shunt_peek(h, shunt_results);
    case SHAPE_WINNER:
        return shunt_peek(h, shunt_winner);
    default:
        return shunt_peek(h, shunt_none);
    }
}

void check_error(struct graph *g, unsigned n, const shunt_error *e)
{
    const struct outcomes *may = &g->reference.may[n];
    unsigned origin = (unsigned)(e->task_code - FAILURES);
    bool allowed;

    if (e->message == NULL || e->task == NULL || e->where == NULL ||
        e->message[0] == '\0')
        fuzz_fail(g, "node %u: the error lacks a text", n);
    if (e->code == SHUNT_ECRASHED && g->plan->mortal)
        storm_blame(g, n, e);
    for (size_t i = 0; i < e->cause_count; i++)
        if (e->causes[i] == NULL || e->causes[i]->code == 0 ||
            e->causes[i]->message[0] == '\0')
            fuzz_fail(g, "node %u: cause %zu is none", n, i);
    if (!check_outcomes(g))
        return;
    if (e->code == SHUNT_EFAILED)
        allowed = origin < g->plan->nodes && (may->failed & bit(origin)) != 0;
    else
        allowed = e->code <= SHUNT_ECANCELED && e->code >= SHUNT_EBROKEN &&
                  (may->codes & code_bit(e->code)) != 0;
    if (!allowed)
        fuzz_fail(g, "node %u failed with %s, code %d: %s\n%s", n,
                  shunt_code_name(e->code), e->task_code, e->message,
                  e->backtrace);
}

/* All failed, or too many: each of them is a cause. */
static void check_causes(struct graph *g, unsigned n, const shunt_error *e)
{
    const struct node *node = &g->plan->node[n];
    size_t least = node->op == OP_ANY ? node->total
                                      : node->total - node->quorum + 1;

    if ((node->op != OP_ANY && node->op != OP_SOME) || !check_strictly(g) ||
        e->code == SHUNT_ECANCELED)
        return;
    if (e->cause_count < least)
        fuzz_fail(g, "node %u has %zu causes of %zu", n, e->cause_count, least);
}

/* Whether a node with this error was itself too late, and did not take the
 * failure on from another. */
static bool is_own_timeout(const struct graph *g, unsigned n,
                           const shunt_error *e)
{
    const struct node *node = &g->plan->node[n];
    uint32_t late = code_bit(SHUNT_ETIMEDOUT);
    uint32_t others = 0;

    for (unsigned k = 0; k < node->input_count; k++)
        others |= g->reference.may[node->inputs[k]].codes;
    for (unsigned k = 0; k < node->await_count && node->propagates; k++)
        others |= g->reference.may[node->awaits[k]].codes;
    return e->code == SHUNT_ETIMEDOUT && may_be_late(g->plan, node) &&
           node->op != OP_FLAT && node->op != OP_RETRY &&
           (others & late) == 0 && check_strictly(g);
}

/* It says whose task was too slow, and is not too early. */
static void check_timeout(struct graph *g, unsigned n, shunt_future *h,
                          const shunt_error *e)
{
    const struct plan *p = g->plan;
    const struct node *node = &p->node[n];
    const char *name =
        tasks_name(p, node->op == OP_TIMEOUT ? node->inputs[0] : n);

    moment_check(g, n);
    if (!audit_is_reserved(h) && strcmp(e->task, name) != 0)
        fuzz_fail(g, "node %u was too late for %s: %s", n, name, e->message);
    if (e->attempts > 1 && !p->mortal)
        fuzz_fail(g, "node %u was started %u times", n, e->attempts);
    if (node->op == OP_TASK)
        atomic_store(&g->fate[n].attempts, e->attempts + 1);
}

void check_outcome(struct graph *g, unsigned n, shunt_future *h)
{
    const struct node *node = &g->plan->node[n];
    int status = shunt_status(h);
    const shunt_error *e = shunt_error_of(h);
    unsigned seen, first = 0;

    if (status == SHUNT_PENDING)
        return;
    if (e->code != status)
        fuzz_fail(g, "node %u is %s, its error %s", n, shunt_code_name(status),
                  shunt_code_name(e->code));
    if (status == 0) {
        const void *value = peek(h, node->shape);

        check_value(g, n, node->shape, value);
        seen = check_success(g, node->shape <= SHAPE_BIG
                                    ? ((const struct small *)value)->origin
                                    : 0);
        if (node->op == OP_DELAY)
            moment_check(g, n);
        if (check_outcomes(g) && g->reference.may[n].ok == 0)
            fuzz_fail(g, "node %u succeeded", n);
    } else {
        check_error(g, n, e);
        check_causes(g, n, e);
        if (node->op == OP_RETRY)
            retries_check_error(g, n, e);
        if (is_own_timeout(g, n, e))
            check_timeout(g, n, h, e);
        seen = check_failure(status, e->task_code);
    }
    if (atomic_load(&g->fate[n].seen) == 0 && status == SHUNT_ETIMEDOUT)
        atomic_fetch_add(&census->timed_out, 1);
    if (!atomic_compare_exchange_strong(&g->fate[n].seen, &first, seen) &&
        first != seen)
        fuzz_fail(g, "node %u was seen as %u, and now as %u", n, first, seen);
}

/* A function that has committed decides, and one that a deadline ended before
 * it started never does. */
static void check_end(struct graph *g, unsigned n)
{
    struct fate *fate = &g->fate[n];
    unsigned seen = atomic_load(&fate->seen);
    unsigned ended = atomic_load(&fate->ended);
    unsigned attempts = atomic_load(&fate->attempts);
    unsigned runs = atomic_load(&fate->runs);

    if (atomic_load(&fate->committed) && check_closed(g) && ended != 0 &&
        !(g->plan->mortal && seen == check_failure(SHUNT_ECRASHED, 0)) &&
        seen != 0 && seen != ended)
        fuzz_fail(g, "node %u committed, ended as %u, and is %u", n, ended,
                  seen);
    /* What was given up may have been about to start. */
    if (!g->plan->stormy && attempts != 0 && attempts - 1 != runs &&
        (runs != 0 || attempts != 2))
        fuzz_fail(g, "node %u ran %u times, and its error says %u", n, runs,
                  attempts - 1);
    if (is_refused(&g->plan->node[n]) &&
        (runs != 0 || atomic_load(&fate->drops) != 0))
        fuzz_fail(g, "node %u was refused and ran, or was dropped", n);
}

/* How often a function must have run, as far as that is known. */
static void check_runs(struct graph *g, unsigned n)
{
    const struct node *node = &g->plan->node[n];
    struct fate *fate = &g->fate[n];
    unsigned seen = atomic_load(&fate->seen);
    unsigned runs = atomic_load(&fate->runs);
    bool has_one = op_traits[node->op].runs && !is_refused(node);
    bool must = has_one && check_strictly(g) && !g->reference.asked[n] &&
                !may_be_late(g->plan, node) &&
                (op_traits[node->op].submitted || node->op == OP_FINALLY);

    must = must || (has_one && (seen == SEEN_OK + n ||
                                seen == SEEN_FAILED + (unsigned)failure_of(n)));
    if (must && (g->plan->node[n].retries > 0 ? runs == 0 : runs != 1))
        fuzz_fail(g, "node %u ran %u times", n, runs);
    /* What passed through did not run. */
    if (runs != 0 && (node->op == OP_THEN || node->op == OP_RECOVER) &&
        seen != 0 && seen < SEEN_CODE && seen != SEEN_OK + n &&
        seen != SEEN_FAILED + (unsigned)failure_of(n) && !node->propagates)
        fuzz_fail(g, "node %u ran, and is %u", n, seen);
    if (has_one && runs == 1 && atomic_load(&fate->drops) != 1 &&
        !(atomic_load(&fate->drops) == 0 && storm_cuts(g)))
        fuzz_fail(g, "node %u ran and was not dropped", n);
    if (has_one && check_strictly(g) && atomic_load(&fate->drops) != 1)
        fuzz_fail(g, "node %u was dropped %u times", n,
                  atomic_load(&fate->drops));
    if (atomic_load(&fate->hooks) > 1)
        fuzz_fail(g, "the hook of %u was called %u times", n,
                  atomic_load(&fate->hooks));
}

/* How many tasks are among its inputs or elements that are no nodes. */
static unsigned count_fillers(const struct node *n)
{
    unsigned fillers = 0, next = 0;

    if (n->total == 0 || is_map(n->op))
        return n->total;
    for (unsigned k = 0; k < n->total; k++)
        if (next < n->input_count && input_place(n, next) == k)
            next++;
        else
            fillers += !is_delay(n, k);
    return fillers;
}

void check_counts(struct graph *g)
{
    unsigned recruits = atomic_load(&g->recruits);
    unsigned discharged = atomic_load(&g->discharged);

    if (recruits != discharged && !g->plan->mortal)
        fuzz_fail(g, "%u members of scopes, and %u were dropped", recruits,
                  discharged);
    queues_check(g);
    for (unsigned n = 0; n < g->plan->nodes; n++) {
        const struct node *node = &g->plan->node[n];
        struct fate *fate = &g->fate[n];
        unsigned fillers = count_fillers(node);
        unsigned runs = atomic_load(&fate->filler_runs);
        unsigned drops = atomic_load(&fate->filler_drops);

        check_runs(g, n);
        check_end(g, n);
        heed_check(g, n);
        if (node->op == OP_RETRY)
            retries_check(g, n);
        if (runs > fillers || drops > fillers ||
            (runs > drops && !(runs == drops + 1 && storm_cuts(g))))
            fuzz_fail(g, "%u fillers of %u: %u ran, %u dropped", fillers, n,
                      runs, drops);
        if (!check_strictly(g))
            continue;
        if (drops != fillers)
            fuzz_fail(g, "%u fillers of %u: %u dropped", fillers, n, drops);
        if (atomic_load(&fate->children) != atomic_load(&fate->children_run))
            fuzz_fail(g, "node %u submitted %u children and %u ran", n,
                      atomic_load(&fate->children),
                      atomic_load(&fate->children_run));
        if (atomic_load(&fate->wards) != atomic_load(&fate->ward_drops))
            fuzz_fail(g, "node %u submitted %u wards and %u were dropped", n,
                      atomic_load(&fate->wards),
                      atomic_load(&fate->ward_drops));
    }
}
