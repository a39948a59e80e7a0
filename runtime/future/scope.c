/* SPDX-License-Identifier: MIT */
/*
 * future/scope.c - scopes: who is in them, and what they do to their children.
 *
 *     scope   hold     generation | flags | 3 are in it
 *             cells -> [child 4] -> [spare] -> [child 2] -> [child 1]
 *             spares ---------------^             |
 *     child   edge0 -> its cell                   v
 *             hold: one is the scope's         its handle
 *
 * Idea. One word says who is in a scope, whether it is being closed, and
 * whether it was cancelled, so each of these is decided against the others.
 * Whoever is in it keeps it: a child until its cell has its arrival, a call
 * while it looks at children. So nobody needs to be kept away from its list,
 * and the last to leave a scope that is being closed settles it. The word is
 * one that carries a generation in every use of the record: a late comer does
 * nothing.
 *
 * Whoever cancels walks through the list of children; one that was listed too
 * late for that, or accepted too late, is asked by whoever submits it. A
 * failure cancels before its child has settled: who has seen it finds the scope
 * cancelled. A scope that a task opened hangs on that task as what heeds it
 * does (heed.c), since the task itself may be parked below a child that runs
 * until it is cancelled. That children may have scopes, and so on, must not
 * grow a stack: such a scope waits on the list of the settler for its walk.
 *
 * Edges.
 *   sibling  submit: list the cell, write READY, then read hold || fail or
 *            cancel: set CANCELLED, then read the cells and the states; all
 *            seq_cst: one sees the other
 *   inside   leave: CAS of hold -> whoever ends the scope: CAS of hold   what
 *            was done in it
 *   cell     future/child.c
 *   accept   future/deliver.c
 *   registry task/registry.c
 *   settled  future/settle.c
 *   accepted task/handle.c
 *
 * Crash. hold counts what the cells say: those that have a child and no
 * arrival. Who dies between the two leaves it one too high, and who dies after
 * CANCELLED leaves children unasked: recovery does both anew (rescope.c).
 */
#include "future/scope.h"

#include <string.h>

#include "future/timer.h"
#include "task/data.h"

static bool is_over(uint64_t in)
{
    return (in & SH_SCOPE_CLOSING) != 0 && (in & SH_SCOPE_COUNT) == 0;
}

int sh_scope_find(shunt_scope *scope, struct sh_ref *ref_out)
{
    uint64_t name = (uint64_t)(uintptr_t)scope;
    uint32_t index = sh_handle_index(name);
    /* acquire: registry */
    struct sh_pool *pool =
        sh_load_acq(&sh_self()->pools[sh_handle_pool(name)]);

    if ((name & SH_SCOPE_BIT) == 0 || pool == NULL || index == 0 ||
        index >= pool->records.capacity)
        return SHUNT_EINVAL;
    if (!sh_pool_is_ours(pool))
        return sh_pool_refusal(pool);
    ref_out->handle = name & ~SH_SCOPE_BIT;
    ref_out->pool = pool;
    ref_out->record = sh_record_at(pool, index);
    ref_out->reserved = 0;
    /* acquire: accepted, settled */
    ref_out->word = sh_load_acq(&ref_out->record->state);
    if (!sh_handle_same_use(name, ref_out->word) ||
        (ref_out->word & SH_KEPT) == 0 ||
        sh_load_rlx(&ref_out->record->kind) != SH_KIND_SCOPE) /* relaxed: as
                                                               * the state */
        return SHUNT_EINVAL;
    return 0;
}

/* -- members -- */

/* The scope of who opened that one, 0 if there is none, or it is gone. */
static uint32_t outer_of(struct sh_pool *pool, uint32_t id)
{
    uint32_t index = id & (SH_INDEX_MAX - 1);
    struct sh_record *r = sh_record_at(pool, index);
    uint64_t w = sh_load_acq(&r->state);    /* acquire: accepted */
    uint64_t outer = sh_load_acq(&r->deps); /* acquire: accepted */

    /* Read before the state is read again: if that is still of the same use,
     * it was. relaxed: as the state; acquire: accepted */
    if (sh_scope_id(index, w) != id || sh_load_rlx(&r->kind) != SH_KIND_SCOPE ||
        sh_phase_of(w) != SH_WAIT || (sh_load_acq(&r->state) ^ w) >> 32 != 0)
        return 0;
    return (uint32_t)outer;
}

bool sh_scope_has_us(const struct sh_ref *scope)
{
    const struct sh_run *run = sh_here.run;
    uint32_t ours =
        sh_scope_id(sh_index_of(scope->pool, scope->record), scope->word);
    uint32_t id = run == NULL || run->pool != scope->pool ? 0 : run->scope;

    /* The generation is cut, so there is a bound to how far to believe it. */
    for (uint32_t i = 0; id != 0 && i < SH_INDEX_MAX; i++) {
        if (id == ours)
            return true;
        id = outer_of(scope->pool, id);
    }
    return false;
}

/* -- opening -- */

/* What the options say, as far as the caller's struct has it. */
static shunt_scope_options options_of(const shunt_scope_options *given,
                                      size_t size)
{
    shunt_scope_options o = { .deadline_ns = 0 };

    if (given != NULL)
        memcpy(&o, given, size < sizeof o ? size : sizeof o);
    return o;
}

/* A record in INIT becomes a scope that is open; its name. */
static uint64_t open_record(struct sh_pool *pool, struct sh_record *r,
                            const shunt_scope_options *o, int64_t deadline_ns)
{
    const struct sh_run *run = sh_here.run;
    struct sh_scoping *s = &r->data.scoping;
    uint64_t w = sh_load_rlx(&r->state); /* relaxed: ours in INIT */
    uint64_t handle =
        sh_handle_make(pool->id, sh_index_of(pool, r), sh_generation_of(w));
    uint64_t in = (uint64_t)sh_generation_of(w) << 32 |
                  (o->keep_going ? SH_SCOPE_KEEPS_GOING : 0) |
                  (o->forget ? SH_SCOPE_FORGETS : 0);

    s->deadline_ns = deadline_ns;
    sh_store_rlx(&s->closer, 0); /* relaxed: ours in INIT */
    sh_store_rlx(&s->spares, 0); /* relaxed: published with the state */
    sh_store_rlx(&s->cells, 0);  /* relaxed: published with the state */
    sh_store_rlx(&s->next, 0);   /* relaxed: published with the state */
    sh_store_rlx(&s->kept, 0);   /* relaxed: published with the state */
    sh_store_rlx(&r->hold, in);  /* relaxed: published with the state */
    if (run != NULL && run->pool == pool) {
        /* relaxed: ours; release: accepted */
        sh_store_rel(&r->deps, sh_load_rlx(&r->deps) | run->scope);
        sh_store_rlx(&r->input, sh_heed_name(run)); /* relaxed: published with
                                                     * the state */
    }
    /* Known as a promise is: by a KEPT record. Before it is one. */
    if (run != NULL)
        sh_run_note_promise(sh_here.run, handle);
    w = sh_word_to(w, SH_WAIT, 0) | SH_KEPT | SH_GONE | SH_ORPHAN;
    sh_store_sc(&r->state, w); /* seq_cst: accepted, accept */
    return handle;
}

/* Have a scope that has just been opened cancelled with the running task.
 * False: no memory; then it is gone. */
static bool follow_opener(const struct sh_ref *scope)
{
    struct sh_run *run = sh_here.run;
    struct sh_work work = { 0 };
    bool hung = run == NULL || run->pool != scope->pool ||
                sh_heed_hang(&work, run, scope->record,
                             &scope->record->data.scoping.hook);

    if (!hung) {
        (void)sh_scope_shut(&work, scope, NULL);
        sh_scope_give(&work, scope);
    }
    sh_work_do(&work);
    return hung;
}

int shunt_scope_open_sized(shunt_scope **scope_out, shunt_pool *name,
                           size_t options_size,
                           const shunt_scope_options *options)
{
    const shunt_scope_options o = options_of(options, options_size);
    int64_t deadline_ns = INT64_MAX;
    struct sh_pool *pool;
    struct sh_seat *seat;
    struct sh_record *r;
    struct sh_ref ref;
    uint64_t handle;
    int rc = sh_pool_find(name, &pool);

    if (rc != 0)
        return rc;
    if (scope_out == NULL)
        return SHUNT_EINVAL;
    rc = sh_deadline_of(pool, o.deadline_ns, &deadline_ns);
    if (rc != 0)
        return rc;
    seat = sh_seat_of(pool);
    if (!sh_pool_takes(pool, seat))
        return SHUNT_ECLOSED;
    r = seat == NULL ? NULL
                     : sh_record_new(pool, seat, SH_KIND_SCOPE, NULL, NULL);
    if (r == NULL)
        return SHUNT_ENOMEM;
    handle = open_record(pool, r, &o, deadline_ns) | SH_SCOPE_BIT;
    rc = sh_scope_find((shunt_scope *)(uintptr_t)handle, &ref);
    SH_ASSERT(rc == 0);
    if (rc != 0 || !follow_opener(&ref))
        return SHUNT_ENOMEM;
    *scope_out = (shunt_scope *)(uintptr_t)handle;
    return 0;
}

/* -- coming in, and leaving -- */

bool sh_scope_enter(const struct sh_ref *scope, uint64_t shut,
                    uint64_t *hold_out)
{
    uint64_t in = sh_load_acq(&scope->record->hold); /* acquire: inside */

    do {
        *hold_out = in;
        if (!sh_scope_is_use(scope, in) || (in & shut) != 0 || is_over(in))
            return false;
        SH_ASSERT((in & SH_SCOPE_COUNT) < SH_SCOPE_COUNT);
    } while (!sh_cas_acqrel(&scope->record->hold, &in, in + 1)); /* acq_rel:
                                                                  * inside */
    return true;
}

/* Nobody is in a scope that is being closed. */
static void end(struct sh_work *work, struct sh_pool *pool, struct sh_record *r)
{
    bool ours = sh_settle_begin(r, sh_load_acq(&r->state), 0); /* acquire:
                                                                * settled */

    /* In a process pool one who repairs may have been first. */
    SH_ASSERT(ours || pool->shared);
    if (ours)
        sh_work_settle(work, pool, r);
}

void sh_scope_leave(struct sh_work *work, struct sh_pool *pool,
                    struct sh_record *r, uint64_t add_flags)
{
    uint64_t in = sh_load_rlx(&r->hold); /* relaxed: the CAS validates it */
    uint64_t next;

    do {
        SH_ASSERT((in & SH_SCOPE_COUNT) > 0);
        next = (in - 1) | add_flags;
    } while (!sh_cas_acqrel(&r->hold, &in, next)); /* acq_rel: inside */
    if (is_over(next))
        end(work, pool, r);
}

void sh_scope_lose(const struct sh_ref *scope)
{
    uint64_t in = sh_load_rlx(&scope->record->hold); /* relaxed: as leave */

    while (sh_scope_is_use(scope, in) && (in & SH_SCOPE_LOST) == 0 &&
           !sh_cas_acqrel(&scope->record->hold, &in,
                          in | SH_SCOPE_LOST)) /* acq_rel: inside */
        continue;
}

/* Set flags, unless hold has one of those that refuse; the caller is in, or its
 * record is KEPT. False if not. */
static bool mark(struct sh_work *work, const struct sh_ref *scope,
                 uint64_t flags, uint64_t refuse)
{
    uint64_t in = sh_load_sc(&scope->record->hold); /* seq_cst: sibling */
    uint64_t next;

    do {
        if (!sh_scope_is_use(scope, in) || (in & refuse) != 0)
            return false;
        next = in | flags;
        /* seq_cst: sibling, inside */
    } while (!sh_cas_sc(&scope->record->hold, &in, next));
    if (is_over(next) && !is_over(in))
        end(work, scope->pool, scope->record);
    return true;
}

/* A closer that is no run of the scope's pool, and is not repaired. */
#define NO_RUN ((uint64_t)1)

/* Say first who is about to close it, so that who repairs knows. The caller is
 * in it, so that its data stay what they are. */
static bool sign_and_shut(struct sh_work *work, const struct sh_ref *scope,
                          uint64_t name)
{
    const uint64_t closer = SH_SCOPE_CLOSER;
    _Atomic uint64_t *signed_by = &scope->record->data.scoping.closer;
    uint64_t was = 0;

    /* Our own: this was begun before, by a process that has died.
     * acq_rel: inside */
    if (!sh_cas_acqrel(signed_by, &was, name) && was != name)
        return false;
    if (mark(work, scope, SH_SCOPE_CLOSING | closer, closer))
        return true;
    if (was == 0) /* somebody else is its closer */
        sh_store_rel(signed_by, 0); /* release: inside */
    return false;
}

bool sh_scope_shut(struct sh_work *work, const struct sh_ref *scope,
                   const struct sh_run *run)
{
    const uint64_t closer = SH_SCOPE_CLOSER;
    bool is_ours = run != NULL && run->pool == scope->pool;
    uint64_t in, name = is_ours ? sh_heed_name(run) : NO_RUN;
    bool done;

    sh_scope_begin(scope->pool);
    if (sh_scope_enter(scope, 0, &in)) {
        done = sign_and_shut(work, scope, name);
        sh_scope_leave(work, scope->pool, scope->record, 0);
    } else {
        /* It is over, and may be closed once more: it was not, for want of
         * memory. It stays until that. */
        done = mark(work, scope, SH_SCOPE_CLOSING | closer, closer);
        if (done) /* release: inside */
            sh_store_rel(&scope->record->data.scoping.closer, name);
    }
    sh_scope_done(scope->pool);
    return done;
}

void sh_scope_unshut(const struct sh_ref *scope)
{
    uint64_t in = sh_load_rlx(&scope->record->hold); /* relaxed: as leave */

    sh_store_rel(&scope->record->data.scoping.closer, 0); /* release: inside */
    while (!sh_cas_acqrel(&scope->record->hold, &in,
                          in & ~SH_SCOPE_CLOSER)) /* acq_rel: inside */
        continue;
}

void sh_scope_give(struct sh_work *work, const struct sh_ref *scope)
{
    sh_settle_idle(work, scope->pool, scope->record, SH_KEPT);
}

/* -- cancelling -- */

/* Ask every child that has not settled; whether that may help. */
static bool ask_all(struct sh_work *work, struct sh_pool *pool,
                    struct sh_record *r)
{
    uint32_t i = sh_load_sc(&r->data.scoping.cells); /* seq_cst: sibling */
    bool asked = false;

    while (i != SH_NONE) {
        struct sh_cell *c = sh_cell_at(pool, i);
        uint64_t child = sh_load_sc(&c->up); /* seq_cst: sibling */
        struct sh_record *its = sh_record_at(pool, sh_handle_index(child));
        uint64_t w = sh_load_sc(&its->state); /* seq_cst: sibling */

        /* One that was forgotten has settled, whatever its record is now. */
        if (child != 0 && sh_handle_same_use(child, w) &&
            sh_cancel_ask(work, pool, its, sh_generation_of(w)) == 1)
            asked = true;
        i = sh_load_rlx(&c->link); /* relaxed: never changes in the list */
    }
    return asked;
}

bool sh_scope_ask(struct sh_work *work, const struct sh_ref *scope)
{
    (void)mark(work, scope, SH_SCOPE_CANCELLED, 0);
    return ask_all(work, scope->pool, scope->record);
}

/* Have all children asked, unless somebody has. If hold is of that use still,
 * one more is in the scope until that is done, and it is on a list. */
static void ask_later(struct sh_work *work, struct sh_pool *pool,
                      struct sh_record *r, uint32_t generation)
{
    uint64_t in = sh_load_sc(&r->hold); /* seq_cst: sibling */

    sh_scope_begin(pool);
    do {
        if ((uint32_t)(in >> 32) != generation ||
            (in & SH_SCOPE_CANCELLED) != 0 || is_over(in)) {
            sh_scope_done(pool);
            return;
        }
        /* seq_cst: sibling, inside */
    } while (!sh_cas_sc(&r->hold, &in, (in | SH_SCOPE_CANCELLED) + 1));
    sh_work_settle(work, pool, r);
}

void sh_scope_walk(struct sh_work *work, struct sh_pool *pool,
                   struct sh_record *r)
{
    (void)ask_all(work, pool, r);
    sh_scope_leave(work, pool, r, 0);
    sh_scope_done(pool); /* begun in ask_later */
}

void sh_scope_heed(struct sh_work *work, struct sh_pool *pool, uint64_t target,
                   int status)
{
    struct sh_record *r = sh_record_at(pool, sh_target_index(target));
    uint64_t in = sh_load_acq(&r->hold); /* acquire: inside */

    /* If deps is of that use, after hold was read, so was that. A task that
     * ends well has closed its scopes, or lets go of them. acquire: accepted */
    if ((status == SHUNT_ECANCELED || status == SHUNT_ETIMEDOUT) &&
        (uint32_t)(sh_load_acq(&r->deps) >> 32) == sh_target_generation(target))
        ask_later(work, pool, r, (uint32_t)(in >> 32));
}

void sh_scope_fail(struct sh_work *work, struct sh_pool *pool,
                   struct sh_record *r, unsigned outcome)
{
    int status = sh_status_of(r, sh_word_settled(0, SH_COMPLETE, 0, outcome));
    /* relaxed: its first edge is its scope's, until it has settled */
    uint64_t target = sh_load_rlx(&r->edge0);
    struct sh_cell *c = sh_cell_at(pool, sh_target_index(target));
    struct sh_record *scope =
        sh_record_at(pool, sh_load_acq(&c->base)); /* acquire: cell */
    uint64_t in = sh_load_acq(&scope->hold);       /* acquire: inside */

    SH_ASSERT(sh_is_child(target));
    if (status != 0 && status != SHUNT_ECANCELED &&
        (in & SH_SCOPE_KEEPS_GOING) == 0)
        ask_later(work, pool, scope, (uint32_t)(in >> 32));
}

int shunt_scope_cancel(shunt_scope *scope)
{
    struct sh_work work = { 0 };
    struct sh_ref ref;
    uint64_t in;
    bool asked;
    int rc = sh_scope_find(scope, &ref);

    if (rc != 0)
        return rc;
    sh_scope_begin(ref.pool);
    if (!sh_scope_enter(&ref, 0, &in)) {
        sh_scope_done(ref.pool);
        return sh_scope_is_use(&ref, in) ? 0 : SHUNT_EINVAL;
    }
    asked = sh_scope_ask(&work, &ref);
    sh_scope_leave(&work, ref.pool, ref.record, 0);
    sh_scope_done(ref.pool);
    sh_work_do(&work);
    return asked ? 1 : 0;
}

/* Whether a run has become the closer of a scope that still has its name. If it
 * has only said so, it leaves the scope as if it had not. */
static bool is_closed_by(const struct sh_ref *scope, uint64_t name)
{
    struct sh_record *r = scope->record;

    /* acquire: inside */
    return sh_load_acq(&r->data.scoping.closer) == name &&
           (sh_load_acq(&r->hold) & SH_SCOPE_CLOSER) != 0;
}

void sh_scopes_desert(struct sh_work *work, const struct sh_run *run)
{
    for (uint32_t i = 0; i < run->promises.count; i++) {
        uint64_t name = run->promises.names[i] | SH_SCOPE_BIT;
        struct sh_ref ref;

        if (sh_handle_pool(name) != run->pool->id ||
            sh_scope_find((shunt_scope *)(uintptr_t)name, &ref) != 0 ||
            !is_closed_by(&ref, sh_heed_name(run)))
            continue;
        (void)sh_scope_ask(work, &ref);
        sh_scope_give(work, &ref);
    }
}

void sh_scopes_leave(const struct sh_run *run)
{
    struct sh_work work = { 0 };

    for (uint32_t i = 0; i < run->promises.count; i++) {
        uint64_t name = run->promises.names[i] | SH_SCOPE_BIT;
        unsigned id = sh_handle_pool(name);
        struct sh_ref ref;

        if (!sh_pool_enter(id))
            continue;
        if (sh_scope_find((shunt_scope *)(uintptr_t)name, &ref) == 0 &&
            sh_scope_shut(&work, &ref, run)) {
            (void)sh_scope_ask(&work, &ref);
            sh_scope_give(&work, &ref);
        }
        sh_work_do(&work);
        sh_pool_exit(id);
    }
}
