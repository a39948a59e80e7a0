/* SPDX-License-Identifier: MIT */
/*
 * fuzz/reference.c - what may become of each node, found out without threads.
 *
 * Idea. Three properties depend on each other: the outcomes that a node may
 * have, whether somebody may ask it to cancel, and whether it settles without
 * a shutdown. The first two only grow and the third only shrinks while they
 * are computed from each other, so repeating until nothing changes ends, with
 * the smallest sets of outcomes that hold for every order of events.
 *
 * A node is asked to cancel if the plan says so, or if all that used it has
 * let go of it: a combinator lets go when it is decided, a step when it is
 * cancelled itself, an observer with a limited wait whenever it likes.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "graph.h"

static bool can_fail(const struct outcomes *o)
{
    return o->failed != 0 || o->codes != 0;
}

static bool same(const struct outcomes *a, const struct outcomes *b)
{
    return a->ok == b->ok && a->failed == b->failed && a->codes == b->codes;
}

static void join(struct outcomes *to, const struct outcomes *from)
{
    to->ok |= from->ok;
    to->failed |= from->failed;
    to->codes |= from->codes;
}

static void join_failures(struct outcomes *to, const struct outcomes *from)
{
    to->failed |= from->failed;
    to->codes |= from->codes;
}

/* What the function of node i says by itself. */
static void join_own(struct outcomes *to, const struct plan *p, unsigned i)
{
    const struct node *n = &p->node[i];
    /* Some recipes fail, whatever the plan says. */
    bool flat = n->op == OP_FLAT || n->op == OP_THEN_FLAT;
    bool fails = flat ? n->recipe == RECIPE_FAILS : n->fails;

    if (n->doom != DOOM_NONE)
        return;
    if (fails)
        to->failed |= bit(i);
    else
        to->ok |= bit(i);
    if (flat && n->recipe == RECIPE_IN_TIME && p->leaps[n->pool])
        to->codes |= code_bit(SHUNT_ETIMEDOUT);
}

/* What may become of a node at its deadline, or when the parts of the future
 * that it returned come to theirs, which is the same. */
static void join_late(struct outcomes *to, const struct plan *p, unsigned i)
{
    const struct node *n = &p->node[i];

    if (!may_be_late(p, n))
        return;
    to->codes |= code_bit(SHUNT_ETIMEDOUT);
    /* Not all that fail are late; and a promise that nobody gives in time is
     * dropped when the function returns. */
    if (n->op == OP_FLAT && n->recipe == RECIPE_ANY)
        to->failed |= bit(i);
    if (n->op == OP_FLAT && n->recipe == RECIPE_PROMISE)
        to->codes |= code_bit(SHUNT_ECANCELED);
}

/* What a function adds that may be killed. */
static void join_crash(struct outcomes *to, const struct plan *p, unsigned i)
{
    const struct node *n = &p->node[i];
    bool flat = n->op == OP_FLAT || n->op == OP_THEN_FLAT;

    if (!p->mortal || is_refused(n))
        return;
    if (op_traits[n->op].runs || n->op == OP_RETRY || n->op == OP_MAP)
        to->codes |= code_bit(SHUNT_ECRASHED);
    /* It returns a part that crashed, or lacks what that was to bring; or all
     * the others failed. */
    if (flat)
        to->codes |= code_bit(SHUNT_ECANCELED);
    if (flat && n->recipe == RECIPE_ANY)
        to->failed |= bit(i);
}

static struct outcomes of_task(const struct reference *r, const struct plan *p,
                               unsigned i)
{
    const struct node *n = &p->node[i];
    struct outcomes o = { 0 };
    bool reached = true; /* the end of the function */

    for (unsigned k = 0; k < n->await_count && n->propagates; k++) {
        const struct outcomes *may = &r->may[n->awaits[k]];

        if (!reached)
            break;
        join_failures(&o, may);
        reached = may->ok != 0 || n->await_ns != SHUNT_FOREVER;
    }
    if (reached)
        join_own(&o, p, i);
    return o;
}

static struct outcomes of_promise(const struct reference *r,
                                  const struct plan *p, unsigned i)
{
    const struct node *n = &p->node[i];
    struct outcomes o = { 0 };

    if (n->giver == GIVER_THREAD || n->giver == GIVER_TASK)
        join_own(&o, p, i);
    if (n->giver == GIVER_DROP || n->giver == GIVER_NEVER || !r->completes[i])
        o.codes |= code_bit(SHUNT_ECANCELED);
    return o;
}

/* Exactly one, if no attempt is late. */
static struct outcomes of_retry(const struct plan *p, unsigned i)
{
    const struct node *n = &p->node[i];
    unsigned last = retries_made(n);
    unsigned first = is_unsure(p, n) ? 1 : last;
    struct outcomes o = { 0 };

    if (is_unsure(p, n))
        last = retries_limit(n);
    for (unsigned run = first; run <= last; run++) {
        int code = retries_outcome(n, run);

        if (code == 0)
            o.ok = bit(i);
        else if (code == SHUNT_EFAILED)
            o.failed = bit(i);
        else
            o.codes |= code_bit(code);
    }
    return o;
}

static struct outcomes of_step(const struct reference *r, const struct plan *p,
                               unsigned i)
{
    const struct node *n = &p->node[i];
    const struct outcomes *in = &r->may[n->inputs[0]];
    uint32_t cancelled = code_bit(SHUNT_ECANCELED);
    struct outcomes o = { 0 };

    switch (n->op) {
    case OP_THEN:
    case OP_THEN_FLAT:
        join_failures(&o, in);
        if (in->ok != 0)
            join_own(&o, p, i);
        break;
    case OP_RECOVER:
        o.ok = in->ok;
        o.codes = in->codes & cancelled;
        if (in->failed != 0 || (in->codes & ~cancelled) != 0)
            join_own(&o, p, i);
        break;
    case OP_FINALLY:
        join_failures(&o, in);
        if (in->ok != 0 && n->fails)
            o.failed |= bit(i);
        else if (n->doom == DOOM_NONE)
            o.ok |= in->ok;
        break;
    default:
        o = *in;
        break;
    }
    return o;
}

/* The fillers of a combinator: how many succeed, and how many fail. A delay
 * without end does neither in time. */
static struct outcomes of_fillers(const struct node *n, unsigned i, bool mortal,
                                  unsigned *good, unsigned *bad)
{
    struct outcomes o = { 0 };
    unsigned next = 0;

    for (unsigned k = 0; k < n->total; k++) {
        if (next < n->input_count && input_place(n, next) == k) {
            next++;
        } else if (is_delay(n, k)) {
            *good += n->delays != SPAN_ENDLESS;
        } else if (n->fillers_fail) {
            o.failed = bit(i);
            ++*bad;
        } else {
            ++*good;
            *bad += mortal;
        }
        if (mortal)
            o.codes = code_bit(SHUNT_ECRASHED);
    }
    return o;
}

static struct outcomes of_combinator(const struct reference *r,
                                     const struct plan *p, unsigned i)
{
    const struct node *n = &p->node[i];
    unsigned good = 0, bad = 0;
    struct outcomes failures = of_fillers(n, i, p->mortal, &good, &bad);
    struct outcomes first = n->input_count > 0 ? r->may[n->inputs[0]]
                                               : failures;
    struct outcomes o = { 0 };
    bool ok = false, fails = false;

    for (unsigned k = 0; k < n->input_count; k++) {
        const struct outcomes *may = &r->may[n->inputs[k]];

        good += may->ok != 0;
        bad += can_fail(may);
        join_failures(&failures, may);
    }
    if (n->op == OP_ALL) {
        ok = good == n->total;
        fails = bad > 0;
    } else if (n->op == OP_SETTLED) {
        ok = true;
    } else if (n->op == OP_RACE) {
        ok = good > 0;
        fails = bad > 0;
    } else if (n->op == OP_ANY) {
        ok = good > 0;
        fails = bad == n->total;
        failures = first; /* the lowest index */
    } else {
        ok = good >= n->quorum;
        fails = bad > n->total - n->quorum;
    }
    if (ok)
        o.ok = bit(i);
    if (fails)
        join_failures(&o, &failures);
    return o;
}

static struct outcomes of_node(const struct reference *r, const struct plan *p,
                               unsigned i)
{
    const struct node *n = &p->node[i];
    struct outcomes o = { 0 };

    if (is_refused(n)) {
        o.codes = code_bit(SHUNT_ETIMEDOUT);
        return o;
    }
    if (n->op == OP_TASK)
        o = of_task(r, p, i);
    else if (n->op == OP_DELAY && n->span == SPAN_ENDLESS)
        o.codes = code_bit(SHUNT_ECANCELED);
    else if (n->op == OP_DELAY)
        o.ok = bit(i);
    else if (n->op == OP_PROMISE)
        o = of_promise(r, p, i);
    else if (n->op == OP_RETRY)
        o = of_retry(p, i);
    else if (is_step(n->op))
        o = of_step(r, p, i);
    else if (combines(n->op))
        o = of_combinator(r, p, i);
    else if (n->op == OP_MAP && n->fillers_fail)
        o.failed = bit(i);
    else if (is_map(n->op))
        o.ok = bit(i);
    else
        join_own(&o, p, i);
    join_late(&o, p, i);
    join_crash(&o, p, i);
    /* A promise with a hook is up to its giver. */
    if (r->asked[i] && !(n->op == OP_PROMISE && n->hooked))
        o.codes |= code_bit(SHUNT_ECANCELED);
    return o;
}

/* Whether node i may let go of its inputs before they have settled. */
static bool lets_go(const struct reference *r, const struct plan *p, unsigned i)
{
    const struct node *n = &p->node[i];

    if (r->asked[i])
        return true;
    if (n->op == OP_TIMEOUT)
        return may_be_late(p, n);
    if (n->op == OP_ALL)
        return can_fail(&r->may[i]);
    return n->op == OP_ANY || n->op == OP_RACE || n->op == OP_SOME;
}

static bool may_be_asked(const struct reference *r, const struct plan *p,
                         unsigned i)
{
    const struct node *n = &p->node[i];
    bool input = false;

    for (unsigned u = 0; u < n->use_count; u++)
        if (n->uses[u].kind == USE_CANCEL)
            return true;
    for (unsigned u = 0; u < n->use_count; u++) {
        const struct use *use = &n->uses[u];

        if (use->kind == USE_AWAIT || use->kind == USE_LOOK ||
            use->kind == USE_WITNESS)
            return false;
        if (use->kind == USE_INPUT && !lets_go(r, p, use->by))
            return false;
        input = input || use->kind == USE_INPUT;
    }
    return input;
}

/* Whether task k surely gives promise i before a drain drops it. To a drain, a
 * pool whose tasks all wait for another pool is one where all has finished. */
static bool gives_in_time(const struct reference *r, const struct plan *p,
                          unsigned k, unsigned i)
{
    const struct node *n = &p->node[k];

    if (p->pools > 1 &&
        (n->pool != p->node[i].pool || n->brood == BROOD_ABROAD ||
         (n->await_count > 0 && n->await_ns == SHUNT_FOREVER)))
        return false;
    return r->completes[k] && !r->asked[k] && !is_unsure(p, n);
}

static bool settles(const struct reference *r, const struct plan *p, unsigned i)
{
    const struct node *n = &p->node[i];

    /* At its deadline, unless it has committed before it waits. */
    if (may_be_late(p, n) &&
        !(op_traits[n->op].runs && n->commits == COMMIT_FIRST))
        return true;
    if (n->op == OP_DELAY)
        return n->span != SPAN_ENDLESS;
    if (n->op == OP_PROMISE && n->giver == GIVER_NEVER)
        return false;
    if (n->op == OP_PROMISE && n->giver == GIVER_TASK) {
        for (unsigned k = 0; k < p->nodes; k++)
            if (p->node[k].gives_any && p->node[k].gives == i)
                return gives_in_time(r, p, k, i);
        return false;
    }
    for (unsigned k = 0; k < n->input_count; k++)
        if (!r->completes[n->inputs[k]])
            return false;
    for (unsigned k = 0; k < n->await_count; k++)
        if (n->await_ns == SHUNT_FOREVER && !r->completes[n->awaits[k]])
            return false;
    return true;
}

/* What settles, given who may be asked to cancel: from nothing upwards, so
 * that nodes which wait for each other do not. */
static void find_completes(struct reference *r, const struct plan *p)
{
    bool more = true;

    memset(r->completes, 0, sizeof r->completes);
    while (more) {
        more = false;
        for (unsigned i = 0; i < p->nodes; i++)
            if (!r->completes[i] && settles(r, p, i))
                r->completes[i] = more = true;
    }
}

static void solve(struct reference *r, const struct plan *p)
{
    bool more = true;

    while (more) {
        more = false;
        find_completes(r, p);
        for (unsigned i = 0; i < p->nodes; i++) {
            struct outcomes before = r->may[i];
            struct outcomes o = of_node(r, p, i);
            bool asked = r->asked[i] || may_be_asked(r, p, i);

            join(&r->may[i], &o);
            more = more || asked != r->asked[i] || !same(&before, &r->may[i]);
            r->asked[i] = asked;
        }
    }
}

/* Put bounds to what might not end: a wait for node i, and the time that it has
 * itself, which a drain would sit out. */
static bool bound(const struct reference *r, struct plan *p, unsigned i)
{
    struct node *n = &p->node[i];
    bool storm = p->ending == END_STORM && p->storm_how == SHUNT_DRAIN;
    bool changed = false;

    for (unsigned u = 0; u < n->use_count && !r->completes[i]; u++)
        if (n->uses[u].kind == USE_AWAIT) {
            n->uses[u].kind = USE_AWAIT_FOR;
            changed = true;
        }
    /* In a storm, what would settle it may have been refused. */
    if (n->span == SPAN_LONG && !may_come(p, n) &&
        (storm || !r->completes[i])) {
        weather_shorten(p, i);
        changed = true;
    }
    return changed;
}

void reference_make(struct reference *r, struct plan *p)
{
    bool again = true;

    while (again) {
        again = false;
        memset(r, 0, sizeof *r);
        solve(r, p);
        for (unsigned i = 0; i < p->nodes; i++)
            again = bound(r, p, i) || again;
    }
}

void reference_print(const struct reference *r, const struct plan *p)
{
    for (unsigned i = 0; i < p->nodes; i++)
        fprintf(stderr,
                "%3u may succeed by %" PRIx64 ", fail by %" PRIx64
                ", codes %x%s%s\n",
                i, r->may[i].ok, r->may[i].failed, (unsigned)r->may[i].codes,
                r->asked[i] ? ", may be asked to cancel" : "",
                r->completes[i] ? "" : ", may not settle by itself");
}
