/* SPDX-License-Identifier: MIT */
/*
 * fuzz/scopes.c - opening scopes, submitting members, and closing them: by the
 * function of a node, by its members, and by threads.
 *
 * Idea. A member that sleeps until it is asked to cancel is submitted only
 * where somebody surely asks: so a close that does not return is a fault of the
 * library. If the one who would ask is refused, the scope is cancelled instead.
 */
#include <sched.h>

#include "troop.h"

/* What a member is given, and, with number TROOP_MAX, another task that closes
 * the scope. */
struct recruit {
    struct troop *troop;
    unsigned number;
};

static int member_run(const struct recruit *in, struct small *out);
SHUNT_TASK_DECLARE(member_run, struct recruit, struct small)
static int closer_run(const struct recruit *in, shunt_none *out);
SHUNT_TASK_DECLARE(closer_run, struct recruit, shunt_none)

/* -- members -- */

static void recruit_drop(void *recruit)
{
    const struct recruit *in = recruit;
    struct troop *t = in->troop;

    if (in->number < TROOP_MAX) {
        struct member *m = &t->members[in->number];

        if (atomic_fetch_add(&m->drops, 1) != 0)
            fuzz_fail(t->graph, "member %u of %u is dropped twice", in->number,
                      t->node);
        if (atomic_load(&m->runs) != 0 && atomic_load(&m->ended) == ENDED_NOT &&
            !t->graph->plan->mortal)
            fuzz_fail(t->graph, "member %u of %u is dropped while it runs",
                      in->number, t->node);
    }
    atomic_fetch_add(&t->graph->discharged, 1);
    troop_release(t);
}

/* Before the closing returned: while it runs, and when it has run. */
static void expect_open(struct troop *t, unsigned number)
{
    if (atomic_load(&t->closed) && !t->bound && !troop_is_lost(t))
        fuzz_fail(t->graph, "member %u of a scope of %u runs after its close",
                  number, t->node);
}

static void begin(struct troop *t, unsigned number)
{
    struct member *m = &t->members[number];
    int64_t left = shunt_time_left_ns();
    bool limited = t->span != SPAN_NONE || t->left_ns != SHUNT_FOREVER;

    if (atomic_fetch_add(&m->runs, 1) != 0)
        fuzz_fail(t->graph, "member %u of %u ran twice", number, t->node);
    if (atomic_load(&m->drops) != 0)
        fuzz_fail(t->graph, "member %u of %u runs after its drop", number,
                  t->node);
    expect_open(t, number);
    if (!t->abroad &&
        ((left != SHUNT_FOREVER) != limited || left > t->left_ns ||
         (t->span != SPAN_NONE && left > t->span_ns)))
        fuzz_fail(t->graph, "member %u of a scope of %u has %lld ns left",
                  number, t->node, (long long)left);
}

static int fail(struct troop *t, unsigned number)
{
    return shunt_fail(TROOP_FAILURES + (int)number, "member %u of %u", number,
                      t->node);
}

/* Submit member number. Refused, for reasons of its own: cancel the scope. */
static shunt_future *recruit(struct troop *t, unsigned number,
                             const struct troop *from)
{
    struct member *m = &t->members[number];
    struct recruit in = { t, number };
    bool shut = atomic_load(&t->shut), right;
    shunt_future *f;
    int status;

    troop_retain(t);
    atomic_fetch_add(&t->graph->recruits, 1);
    f = shunt_scope_submit(t->scope, member_run, &in);
    if (!audit_is_reserved(f)) {
        atomic_store(&m->accepted, true);
        if (shut)
            fuzz_fail(t->graph, "a cancelled scope of %u takes a member",
                      t->node);
        return f;
    }
    atomic_fetch_sub(&t->graph->recruits, 1);
    status = shunt_status(f);
    atomic_store(&m->turned_away, status == SHUNT_ECANCELED);
    if (status == SHUNT_ECANCELED)
        right = troop_was_asked(t, TROOP_MAX);
    else
        right = t->races || t->finish == FINISH_LEAVE ||
                !check_strictly(t->graph);
    if (!right && !troop_is_lost(t) && !troop_is_lost(from))
        fuzz_fail(t->graph, "a submit in a scope of %u is %s", t->node,
                  shunt_code_name(status));
    if (status != SHUNT_ECANCELED) {
        atomic_store(&t->asked, true);
        (void)shunt_scope_cancel(t->scope);
    }
    troop_release(t);
    return f;
}

/* Ask all members; before what the caller does next. */
static void ask(struct troop *t)
{
    int rc;

    atomic_store(&t->asked, true);
    rc = shunt_scope_cancel(t->scope);
    if (rc != 0 && rc != 1 &&
        !(rc == SHUNT_EINVAL &&
          (t->races || t->finish == FINISH_LEAVE || troop_is_lost(t))))
        fuzz_fail(t->graph, "cancel of a scope of %u: %s", t->node,
                  shunt_code_name(rc));
    if (rc >= 0)
        atomic_store(&t->shut, true);
}

/* The member is asked, or the drain of one pool takes the others for ended. */
static int sleep_on(struct troop *t, unsigned number)
{
    int rc = shunt_join(shunt_cancel_future());

    if (shunt_cancelled())
        return SHUNT_ECANCELED;
    if (check_strictly(t->graph) && t->graph->plan->pools == 1)
        fuzz_fail(t->graph, "member %u of a scope of %u woke up: %s", number,
                  t->node, shunt_code_name(rc));
    return 0;
}

static int heed(const struct troop *t, unsigned number)
{
    unsigned rounds = troop_draw(t, 20, number) % 200;

    while (rounds-- > 0) {
        behave_spin(50);
        if (shunt_cancelled())
            return SHUNT_ECANCELED;
    }
    return 0;
}

static int commit(struct troop *t, unsigned number)
{
    int rc = shunt_commit();

    if (rc != 0 && (rc != SHUNT_ECANCELED || !shunt_cancelled()))
        fuzz_fail(t->graph, "member %u of a scope of %u cannot commit: %s",
                  number, t->node, shunt_code_name(rc));
    if (rc != 0)
        return SHUNT_ECANCELED;
    atomic_store(&t->members[number].committed, true);
    behave_spin(troop_draw(t, 20, number) % 3000);
    return t->tame || number % 3 != 0 ? 0 : fail(t, number);
}

/* Submit one more: in the scope, or in that of whoever opened it, where that
 * waits for us. */
static void recruit_another(struct troop *t)
{
    bool outer = t->outer != NULL && t->finish == FINISH_CLOSE && !t->bound &&
                 !t->shaky && troop_draw(t, 21, 0) % 2 == 0;
    struct troop *to = outer ? t->outer : t;
    unsigned number = atomic_fetch_add(&to->count, 1);
    shunt_future *f;

    if (number >= TROOP_MAX)
        return;
    f = recruit(to, number, t);
    if (number % 2 == 0)
        (void)shunt_release(f);
}

/* A member would wait for itself. */
static void close_in_vain(struct troop *t)
{
    int rc = shunt_scope_close(t->scope, NULL);

    if (rc != SHUNT_EDEADLK && t->finish != FINISH_LEAVE && !t->bound &&
        !troop_is_lost(t))
        fuzz_fail(t->graph, "a member of a scope of %u closes it: %s", t->node,
                  shunt_code_name(rc));
}

static void use(struct troop *t);

/* A scope that a member opens. */
static void open_another(struct troop *outer, unsigned number)
{
    struct graph *g = outer->graph;
    bool abroad = g->plan->pools > 1 && troop_draw(outer, 22, number) % 4 == 0;
    unsigned pool = abroad ? (outer->pool + 1) % 2 : outer->pool;
    struct troop *t =
        troop_new(g, outer->node, pool, troop_draw(outer, 23, number));

    if (outer->node >= NODES_MAX && t->finish == FINISH_CLOSE)
        t->finish = (enum finish)(troop_draw(outer, 24, number) % FINISHES);
    t->depth = outer->depth - 1;
    t->may_be_asked = true;
    t->shaky = outer->shaky || outer->bound;
    t->abroad = abroad || outer->abroad;
    t->left_ns = shunt_time_left_ns();
    if (!abroad) {
        troop_retain(outer);
        t->outer = outer;
    }
    use(t);
}

static int act(struct troop *t, unsigned number)
{
    behave_spin(troop_draw(t, 20, number) % 1000);
    switch (troop_deed(t, number)) {
    case DEED_FAILS:
        return fail(t, number);
    case DEED_HEEDS:
        return heed(t, number);
    case DEED_SLEEPS:
        return sleep_on(t, number);
    case DEED_COMMITS:
        return commit(t, number);
    case DEED_RECRUITS:
        recruit_another(t);
        return heed(t, number);
    case DEED_OPENS:
        open_another(t, number);
        return 0;
    case DEED_ASKS:
        ask(t);
        return 0;
    default:
        if (number % 4 == 0)
            close_in_vain(t);
        return 0;
    }
}

static int member_run(const struct recruit *in, struct small *out)
{
    struct troop *t = in->troop;
    int rc;

    begin(t, in->number);
    rc = act(t, in->number);
    out->origin = in->number;
    expect_open(t, in->number);
    atomic_store(&t->members[in->number].ended, rc == 0 ? ENDED_WELL
                                                : rc == SHUNT_ECANCELED
                                                    ? ENDED_ASKED
                                                    : ENDED_BADLY);
    return rc;
}
SHUNT_TASK_DEFINE(member_run, .name = "member", .drop = recruit_drop)

/* -- closing -- */

static void close_it(struct troop *t)
{
    bool inside = shunt_pool_current() != NULL;
    shunt_results all = { .count = 0 };
    int rc = shunt_scope_close(t->scope, t->wants_all ? &all : NULL);

    troop_check(t, rc, t->wants_all ? &all : NULL);
    /* What a task got goes with it. */
    if (inside && t->seed % 2 == 0)
        return;
    rc = shunt_results_release(&all);
    if (rc != 0 && !troop_is_lost(t))
        fuzz_fail(t->graph,
                  "the results of a scope of %u are not given back: "
                  "%s",
                  t->node, shunt_code_name(rc));
}

static int closer_run(const struct recruit *in, shunt_none *out)
{
    (void)out;
    close_it(in->troop);
    return 0;
}
SHUNT_TASK_DEFINE(closer_run, .name = "closer", .drop = recruit_drop)

/* Another task closes it, and perhaps we do as well: one of us does. */
static void close_with_another(struct troop *t)
{
    struct recruit in = { t, TROOP_MAX };
    shunt_future *f;
    int rc;

    troop_retain(t);
    atomic_fetch_add(&t->graph->recruits, 1);
    f = shunt_submit(NULL, closer_run, &in);
    if (audit_is_reserved(f)) {
        atomic_fetch_sub(&t->graph->recruits, 1);
        troop_release(t);
        close_it(t);
        return;
    }
    if (t->finish == FINISH_BOTH)
        close_it(t);
    rc = shunt_join(f);
    if (rc == SHUNT_ECANCELED && shunt_cancelled())
        atomic_store(&t->left, true);
    if (rc == 0 && atomic_load(&t->closers) != 1 && !troop_is_lost(t))
        fuzz_fail(t->graph, "a scope of %u was closed %u times", t->node,
                  atomic_load(&t->closers));
}

static void finish(struct troop *t)
{
    if (t->finish == FINISH_LEAVE)
        return;
    if (t->finish == FINISH_CLOSE)
        close_it(t);
    else
        close_with_another(t);
}

/* -- opening -- */

enum manner {
    MANNER_IGNORE,
    MANNER_RELEASE,
    MANNER_JOIN,
    MANNER_TAKE,
    MANNER_KEEP, /* looks at it in the end */
    MANNER_CANCEL
};

static enum manner manner_of(const struct troop *t, unsigned number)
{
    static const enum manner manners[] = { MANNER_IGNORE, MANNER_IGNORE,
                                           MANNER_IGNORE, MANNER_RELEASE,
                                           MANNER_JOIN,   MANNER_TAKE,
                                           MANNER_KEEP,   MANNER_CANCEL };
    enum manner manner = manners[troop_draw(t, 30, number) % 8];
    enum deed deed = troop_deed(t, number);

    /* Others may wait to be asked by one that fails. */
    if (manner == MANNER_CANCEL && deed == DEED_FAILS)
        return MANNER_IGNORE;
    if ((manner == MANNER_JOIN || manner == MANNER_TAKE) &&
        (deed == DEED_SLEEPS || t->node >= NODES_MAX))
        return MANNER_RELEASE;
    return manner;
}

/* What the opener does with a handle at once; the handle, if it keeps it. */
static shunt_future *treat(struct troop *t, unsigned number, shunt_future *f)
{
    struct member *m = &t->members[number];
    shunt_future *more;

    if (audit_is_reserved(f))
        return NULL;
    switch (manner_of(t, number)) {
    case MANNER_RELEASE:
        (void)shunt_release(f);
        return NULL;
    case MANNER_JOIN:
    case MANNER_TAKE:
        return f;
    case MANNER_KEEP:
        more = shunt_retain(f);
        (void)shunt_release(f);
        return more;
    case MANNER_CANCEL:
        atomic_store(&m->asked, true);
        if (shunt_cancel(f) < 0 && !t->races && !troop_is_lost(t))
            fuzz_fail(t->graph, "a member of a scope of %u cannot be cancelled",
                      t->node);
        break;
    default:
        break;
    }
    /* What a scope has forgotten it does not give back. */
    if (!t->forgets)
        atomic_store(&m->ignored, f);
    else if (t->node >= NODES_MAX)
        (void)shunt_release(f);
    return NULL;
}

/* The opener waits for a member itself. */
static void wait_for(struct troop *t, unsigned number, shunt_future *f)
{
    struct small value = { TROOP_MAX, 0 };
    bool takes = manner_of(t, number) == MANNER_TAKE;
    int rc = takes ? shunt_take(f, &value) : shunt_join(f);

    /* It may be us who was asked. */
    if (troop_is_lost(t) || (rc == SHUNT_ECANCELED && shunt_cancelled()))
        return;
    if (takes && rc == 0 && value.origin != number)
        fuzz_fail(t->graph, "member %u of a scope of %u has the value of %u",
                  number, t->node, (unsigned)value.origin);
    troop_check_member(t, number, rc, shunt_last_error());
    if (rc == SHUNT_EFAILED && !t->keeps_going)
        atomic_store(&t->shut, true);
}

/* Look at one that was kept beyond the end. */
static void look_at(struct troop *t, unsigned number, shunt_future *f)
{
    int status = shunt_status(f);

    if (atomic_load(&t->closed) && !troop_is_lost(t)) {
        if (status == SHUNT_PENDING)
            fuzz_fail(t->graph, "member %u of a scope of %u is pending", number,
                      t->node);
        troop_check_member(t, number, status, shunt_error_of(f));
    }
    if (number % 2 == 0 || t->node >= NODES_MAX)
        (void)shunt_release(f);
}

/* Submit all members; what the opener keeps of them. */
static void fill(struct troop *t, shunt_future **kept)
{
    for (unsigned k = 0; k < t->children; k++) {
        if (k == t->asks_at)
            ask(t);
        kept[k] = treat(t, k, recruit(t, k, t));
    }
    if (t->asks_at == t->children)
        ask(t);
}

/* True: it is open. */
static bool open_it(struct troop *t)
{
    shunt_scope_options options = { .deadline_ns = t->span_ns,
                                    .keep_going = t->keeps_going,
                                    .forget = t->forgets };
    bool late = t->span == SPAN_PAST, right;
    int rc;

    /* On a clock that leaps, our deadline may come for them and not for us. */
    if (t->abroad && t->graph->plan->leaps[t->pool] &&
        t->left_ns != SHUNT_FOREVER)
        t->shaky = true;
    t->opened_ns = moment_low(t->graph, t->pool);
    rc = shunt_scope_open(&t->scope, t->graph->pools[t->pool], &options);
    if (rc == 0)
        right = !late;
    else if (rc == SHUNT_ETIMEDOUT)
        right = late;
    else
        right = rc == SHUNT_ECLOSED && !check_strictly(t->graph);
    if (!right && !troop_is_lost(t))
        fuzz_fail(t->graph, "a scope of %u cannot be opened: %s", t->node,
                  shunt_code_name(rc));
    return rc == 0;
}

static void use(struct troop *t)
{
    shunt_future *kept[TROOP_CHILDREN] = { NULL };

    if (open_it(t)) {
        fill(t, kept);
        for (unsigned k = 0; k < t->children; k++)
            if (kept[k] != NULL && manner_of(t, k) != MANNER_KEEP) {
                wait_for(t, k, kept[k]);
                kept[k] = NULL;
            }
        finish(t);
        for (unsigned k = 0; k < t->children; k++)
            if (kept[k] != NULL)
                look_at(t, k, kept[k]);
    }
    troop_release(t);
}

void scopes_use(const struct job *job)
{
    struct graph *g = job->graph;
    const struct plan *p = g->plan;
    const struct node *n = &p->node[job->node];

    for (unsigned i = 0; i < 1 + n->children % 3; i++) {
        uint64_t random = plan_random(p->seed, job->node, 600 + i);
        bool abroad = p->pools > 1 && random % 8 == 0;
        struct troop *t =
            troop_new(g, job->node, abroad ? 1 - n->pool : n->pool, random);

        t->depth = TROOP_DEPTH;
        t->may_be_asked = g->reference.asked[job->node];
        t->shaky = may_be_late(p, n);
        t->abroad = abroad;
        t->left_ns = shunt_time_left_ns();
        use(t);
    }
}

/* -- of threads -- */

static struct troop *published(struct graph *g, unsigned i)
{
    struct troop *t;

    while ((t = atomic_load(&g->outings[i])) == NULL)
        sched_yield();
    return t;
}

void scopes_open(struct graph *g, unsigned i)
{
    const struct outing *outing = &g->plan->outing[i];
    struct troop *t = troop_new(g, NODES_MAX + i, outing->pool,
                                plan_random(g->plan->seed, i, 7));
    shunt_future *kept[TROOP_CHILDREN] = { NULL };
    bool opened;

    t->depth = TROOP_DEPTH;
    t->may_be_asked = outing->asked;
    t->races = outing->races;
    troop_retain(t); /* the closer's */
    if (outing->asked)
        troop_retain(t);
    opened = open_it(t);
    if (t->races)
        atomic_store(&g->outings[i], t);
    if (opened)
        fill(t, kept);
    for (unsigned k = 0; k < t->children; k++)
        if (kept[k] != NULL)
            look_at(t, k, kept[k]);
    if (!t->races)
        atomic_store(&g->outings[i], t);
    troop_release(t);
}

void scopes_ask(struct graph *g, unsigned i)
{
    struct troop *t = published(g, i);
    int rc;

    if (t->scope != NULL) {
        atomic_store(&t->asked, true);
        rc = shunt_scope_cancel(t->scope);
        if (rc != 0 && rc != 1 && rc != SHUNT_EINVAL)
            fuzz_fail(g, "cancel of scope %u: %s", t->node,
                      shunt_code_name(rc));
    }
    troop_release(t);
}

void scopes_close(struct graph *g, unsigned i)
{
    struct troop *t = published(g, i);

    if (t->scope != NULL)
        close_it(t);
    troop_release(t);
}
