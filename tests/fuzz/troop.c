/* SPDX-License-Identifier: MIT */
/*
 * fuzz/troop.c - what must hold of a scope that was closed.
 *
 * Idea. Each member notes how its function ended before it returns. If there
 * was no deadline, what became of it follows from that: what succeeded has
 * succeeded, what never ran, or gave way, was cancelled. So the status of a
 * close and all its causes are known exactly; with a deadline, it is known what
 * they cannot be.
 */
#include "troop.h"

struct tally {
    unsigned accepted, failed, cancelled, turned_away;
};

unsigned troop_draw(const struct troop *t, unsigned what, unsigned number)
{
    return (unsigned)(plan_random(t->seed, what, number) >> 20);
}

/* -- what it will be -- */

static enum deed drawn_deed(const struct troop *t, unsigned number)
{
    static const enum deed deeds[] = {
        DEED_SUCCEEDS, DEED_SUCCEEDS, DEED_SUCCEEDS, DEED_SUCCEEDS,
        DEED_FAILS,    DEED_FAILS,    DEED_HEEDS,    DEED_HEEDS,
        DEED_SLEEPS,   DEED_SLEEPS,   DEED_COMMITS,  DEED_COMMITS,
        DEED_RECRUITS, DEED_RECRUITS, DEED_OPENS,    DEED_ASKS
    };
    enum deed deed =
        deeds[troop_draw(t, 1, number) % (sizeof deeds / sizeof deeds[0])];

    if (deed == DEED_OPENS && t->depth == 0)
        return DEED_SUCCEEDS;
    if (t->tame && (deed == DEED_FAILS || deed == DEED_ASKS))
        return DEED_SUCCEEDS;
    return deed;
}

enum deed troop_deed(const struct troop *t, unsigned number)
{
    enum deed deed = drawn_deed(t, number);

    if (deed == DEED_SLEEPS && (!t->stirs || number >= t->children))
        return DEED_HEEDS;
    return deed;
}

static bool stirs(const struct troop *t)
{
    if (t->asks_at <= t->children || t->finish == FINISH_LEAVE ||
        t->span == SPAN_SHORT)
        return true;
    for (unsigned k = 0; k < t->children; k++)
        if (!t->keeps_going && drawn_deed(t, k) == DEED_FAILS)
            return true;
    return false;
}

static void draw_span(struct troop *t)
{
    static const enum span spans[] = { SPAN_NONE,  SPAN_NONE,  SPAN_NONE,
                                       SPAN_NONE,  SPAN_NONE,  SPAN_NONE,
                                       SPAN_NONE,  SPAN_PAST,  SPAN_SHORT,
                                       SPAN_SHORT, SPAN_SHORT, SPAN_LONG };
    unsigned random = troop_draw(t, 3, 0);

    t->span = spans[troop_draw(t, 2, 0) % (sizeof spans / sizeof spans[0])];
    /* What is late in a process takes others along. */
    if (t->span == SPAN_SHORT && t->graph->plan->processes &&
        !t->graph->plan->mortal)
        t->span = SPAN_NONE;
    if (t->span == SPAN_PAST)
        t->span_ns = -1 - (int64_t)random % 3;
    else if (t->span == SPAN_SHORT)
        t->span_ns = 1 + random % (1u << random / 64 % 22);
    else if (t->span == SPAN_LONG)
        t->span_ns = SHUNT_S(3600) + random % 1000;
}

struct troop *troop_new(struct graph *g, unsigned node, unsigned pool,
                        uint64_t seed)
{
    static const enum finish finishes[] = { FINISH_CLOSE, FINISH_CLOSE,
                                            FINISH_CLOSE, FINISH_CLOSE,
                                            FINISH_CLOSE, FINISH_LEAVE,
                                            FINISH_TASK,  FINISH_BOTH };
    struct troop *t = shared_new(sizeof *t);

    if (t == NULL)
        fuzz_fail(g, "no memory for the fuzzer itself");
    t->graph = g;
    t->node = node;
    t->pool = pool;
    t->seed = seed;
    t->left_ns = SHUNT_FOREVER;
    t->children = troop_draw(t, 4, 0) % (TROOP_CHILDREN + 1);
    t->asks_at = troop_draw(t, 5, 0) % 4 == 0
                     ? troop_draw(t, 5, 1) % (t->children + 1)
                     : TROOP_MAX;
    t->keeps_going = troop_draw(t, 6, 0) % 3 == 0;
    t->forgets = troop_draw(t, 7, 0) % 4 == 0;
    t->tame = troop_draw(t, 8, 0) % 5 < 2;
    t->wants_all = troop_draw(t, 9, 0) % 2 == 0;
    t->finish = node >= NODES_MAX ? FINISH_CLOSE
                                  : finishes[troop_draw(t, 10, 0) % 8];
    draw_span(t);
    t->bound = t->span == SPAN_SHORT ||
               (t->span == SPAN_LONG && g->plan->leaps[pool]);
    t->stirs = stirs(t);
    atomic_store(&t->users, 1);
    atomic_store(&t->count, t->children);
    return t;
}

void troop_retain(struct troop *t)
{
    atomic_fetch_add(&t->users, 1);
}

void troop_release(struct troop *t)
{
    while (t != NULL && atomic_fetch_sub(&t->users, 1) == 1) {
        struct troop *outer = t->outer;

        shared_free(t);
        t = outer;
    }
}

/* -- what may be -- */

bool troop_is_lost(const struct troop *t)
{
    return !check_closed(t->graph) || t->graph->plan->mortal ||
           ((t->shaky || t->bound) && shunt_cancelled()) ||
           (t->abroad && atomic_load(&t->graph->ended));
}

/* Whether nobody but its members decides what becomes of it. */
static bool is_exact(const struct troop *t)
{
    return !t->bound && !t->shaky && !t->races && check_strictly(t->graph) &&
           !troop_is_lost(t);
}

static bool has_failed(struct troop *t)
{
    unsigned count = atomic_load(&t->count);

    for (unsigned k = 0; k < count && k < TROOP_MAX; k++)
        if (atomic_load(&t->members[k].ended) == ENDED_BADLY)
            return true;
    return false;
}

bool troop_was_asked(struct troop *t, unsigned number)
{
    return atomic_load(&t->asked) || t->may_be_asked || t->shaky || t->bound ||
           t->finish == FINISH_LEAVE || !check_strictly(t->graph) ||
           (t->abroad && atomic_load(&t->graph->ended)) ||
           (!t->keeps_going && has_failed(t)) ||
           (number < TROOP_MAX && atomic_load(&t->members[number].asked));
}

static void check_moment(struct troop *t)
{
    int64_t passed = moment_high(t->graph, t->pool) - t->opened_ns;

    if (!t->shaky && (!t->bound || passed < t->span_ns) &&
        check_strictly(t->graph))
        fuzz_fail(t->graph, "a member of a scope of %u was late after %lld ns",
                  t->node, (long long)passed);
}

void troop_check_member(struct troop *t, unsigned number, int status,
                        const shunt_error *e)
{
    struct member *m = &t->members[number];
    unsigned ended = atomic_load(&m->ended);
    bool right = true;

    if (status == 0)
        right = ended == ENDED_WELL && atomic_load(&m->runs) == 1;
    else if (status == SHUNT_EFAILED)
        right = ended == ENDED_BADLY &&
                e->task_code == TROOP_FAILURES + (int)number;
    else if (status == SHUNT_ETIMEDOUT)
        check_moment(t);
    else if (status == SHUNT_ECANCELED)
        right = troop_was_asked(t, number);
    else
        right = !check_strictly(t->graph) || troop_is_lost(t);
    if (is_exact(t))
        right = right && (ended == ENDED_WELL    ? status == 0
                          : ended == ENDED_BADLY ? status == SHUNT_EFAILED
                                                 : status == SHUNT_ECANCELED);
    /* A commit is final, but for who was given up before. */
    if (atomic_load(&m->committed) && check_closed(t->graph))
        right = right && (status == 0 || status == SHUNT_EFAILED);
    if (!right)
        fuzz_fail(t->graph,
                  "member %u of a scope of %u, seed %llx, ended as %u: %s",
                  number, t->node, (unsigned long long)t->seed, ended,
                  shunt_code_name(status));
}

/* -- after a close -- */

static struct tally count_up(struct troop *t)
{
    unsigned count = atomic_load(&t->count);
    struct tally tally = { 0 };

    for (unsigned k = 0; k < count && k < TROOP_MAX; k++) {
        struct member *m = &t->members[k];
        unsigned ended = atomic_load(&m->ended);

        tally.turned_away += atomic_load(&m->turned_away);
        /* One may run before whoever submitted it has noted that. */
        if (!atomic_load(&m->accepted) && atomic_load(&m->runs) == 0)
            continue;
        tally.accepted++;
        tally.failed += ended == ENDED_BADLY;
        tally.cancelled += ended == ENDED_NOT || ended == ENDED_ASKED;
        if (ended == ENDED_NOT && atomic_load(&m->runs) != 0 && is_exact(t))
            fuzz_fail(t->graph, "member %u of a scope of %u runs on", k,
                      t->node);
    }
    return tally;
}

/* The member that failed with e, TROOP_MAX if it does not say. */
static unsigned number_of(struct troop *t, const shunt_error *e)
{
    unsigned number = (unsigned)(e->task_code - TROOP_FAILURES);

    if (e->code != SHUNT_EFAILED)
        return TROOP_MAX;
    if (number >= TROOP_MAX)
        fuzz_fail(t->graph, "a scope of %u failed with code %d", t->node,
                  e->task_code);
    return number;
}

/* Number comes next: it has not come yet, nor one of its opener's after it. */
static void check_order(struct troop *t, unsigned number, uint32_t *come)
{
    uint32_t own = ((uint32_t)1 << t->children) - 1;
    uint32_t later = number < t->children ? own & ~(((uint32_t)1 << number) - 1)
                                          : (uint32_t)1 << number;

    if ((*come & later) != 0)
        fuzz_fail(t->graph, "member %u of a scope of %u comes after %x", number,
                  t->node, (unsigned)*come);
    *come |= (uint32_t)1 << number;
}

/* Every failure is a cause, lowest first; the first one is the error. */
static void check_causes(struct troop *t, int rc, const struct tally *tally)
{
    const shunt_error *e = shunt_last_error();
    uint32_t come = 0;

    if (e->code != rc)
        fuzz_fail(t->graph, "a scope of %u is %s, its error %s", t->node,
                  shunt_code_name(rc), shunt_code_name(e->code));
    for (size_t i = 0; i < e->cause_count; i++) {
        unsigned number = number_of(t, e->causes[i]);

        if (number == TROOP_MAX)
            continue;
        check_order(t, number, &come);
        troop_check_member(t, number, SHUNT_EFAILED, e->causes[i]);
    }
    if (e->cause_count > 0 && (e->causes[0]->code != e->code ||
                               e->causes[0]->task_code != e->task_code))
        fuzz_fail(t->graph, "a scope of %u: its first cause is another error",
                  t->node);
    if (is_exact(t) && rc == SHUNT_EFAILED && e->cause_count != tally->failed)
        fuzz_fail(t->graph, "%u members of a scope of %u failed, not %zu",
                  tally->failed, t->node, e->cause_count);
}

/* All of them, or a single one. */
static bool any_was_asked(struct troop *t)
{
    bool asked = troop_was_asked(t, TROOP_MAX);

    for (unsigned k = 0; k < TROOP_MAX && !asked; k++)
        asked = atomic_load(&t->members[k].asked);
    return asked;
}

static void check_status(struct troop *t, int rc, const struct tally *tally)
{
    int wanted = tally->failed > 0                           ? SHUNT_EFAILED
                 : tally->cancelled + tally->turned_away > 0 ? SHUNT_ECANCELED
                                                             : 0;
    bool right = true;

    if (is_exact(t))
        right = rc == wanted;
    else if (rc == 0 && !t->races)
        right = wanted == 0;
    else if (rc == SHUNT_EFAILED)
        right = tally->failed > 0;
    if (rc == SHUNT_ECANCELED)
        right = right && any_was_asked(t);
    if (!right)
        fuzz_fail(t->graph,
                  "a scope of %u, seed %llx, is %s; of %u members %u failed, "
                  "%u were cancelled, %u turned away",
                  t->node, (unsigned long long)t->seed, shunt_code_name(rc),
                  tally->accepted, tally->failed, tally->cancelled,
                  tally->turned_away);
}

static void check_results(struct troop *t, int rc, const shunt_results *all,
                          const struct tally *tally)
{
    size_t wanted = t->forgets ? tally->failed : tally->accepted;
    uint32_t come = 0;

    if (is_exact(t) && all->count != wanted)
        fuzz_fail(t->graph, "a scope of %u has %zu results, not %zu", t->node,
                  all->count, wanted);
    for (size_t i = 0; i < all->count; i++) {
        shunt_future *f = all->futures[i];
        const shunt_error *e = shunt_error_of(f);
        const struct small *v = shunt_peek(f, struct small);
        int status = shunt_status(f);
        unsigned number = TROOP_MAX;

        if (status == SHUNT_PENDING || (status != 0 && rc == 0) ||
            (status == 0) != (v != NULL) || (v != NULL && t->forgets))
            fuzz_fail(t->graph, "a scope of %u is %s, but result %zu %s",
                      t->node, shunt_code_name(rc), i, shunt_code_name(status));
        number = v != NULL ? v->origin : number_of(t, e);
        if (number >= TROOP_MAX)
            continue;
        check_order(t, number, &come);
        troop_check_member(t, number, status, e);
    }
}

/* What its submit returned, and nobody used, close has given back. */
static void check_ignored(struct troop *t)
{
    for (unsigned k = 0; k < TROOP_MAX; k++) {
        shunt_future *f = atomic_exchange(&t->members[k].ignored, NULL);

        if (f != NULL && shunt_status(f) != SHUNT_EINVAL)
            fuzz_fail(t->graph, "the handle of member %u is good after a close",
                      k);
    }
}

void troop_check(struct troop *t, int rc, const shunt_results *all)
{
    bool may_be_taken = t->finish == FINISH_BOTH || atomic_load(&t->left);
    struct tally tally;

    /* Some other is closing it, or has: that one checks. */
    if (rc == SHUNT_EINVAL && (may_be_taken || troop_is_lost(t)))
        return;
    atomic_fetch_add(&t->closers, 1);
    atomic_fetch_add(&census->scopes, 1);
    if (troop_is_lost(t))
        return;
    atomic_store(&t->closed, true);
    tally = count_up(t);
    check_status(t, rc, &tally);
    if (rc != 0)
        check_causes(t, rc, &tally);
    if (all != NULL)
        check_results(t, rc, all, &tally);
    if (!t->races)
        check_ignored(t);
    if (shunt_scope_close(t->scope, NULL) != SHUNT_EINVAL ||
        shunt_scope_cancel(t->scope) != SHUNT_EINVAL)
        fuzz_fail(t->graph, "a scope of %u is good after a close", t->node);
}
