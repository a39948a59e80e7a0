/* SPDX-License-Identifier: MIT */
/*
 * reactor/add.c - putting futures into a completion queue, one or many.
 *
 *     prepare   entries and cells: all memory but edges
 *     lend      the handles: from now on they are the queue's
 *     hang      the cells onto the futures, the entries into the index; of
 *               many futures some at a time, since the lock is held
 *
 * Idea. Whatever may fail comes before anybody can see it, but for the edge of
 * a future that others wait for as well. So that many futures are added all or
 * not at all, those of one call are a batch until the last is in: what settles
 * meanwhile waits in the batch's own list, and if an edge cannot be had,
 * nobody has taken anything yet.
 *
 * Edges. None but those of queue.c and future/call.c.
 *
 * Crash. As queue.c.
 */
#include "reactor/queue.h"

#include "future/settle.h"

/* ---- one future ---- */

/* What e needs to stand for f, which is still the caller's: if f is pending, a
 * cell that leads to e. */
static int prepare(struct sh_entry *e, shunt_future *f, void *tag,
                   uint64_t batch, struct sh_ref *ref_out)
{
    int rc = sh_handle_find(sh_handle_of(f), SH_OWN, ref_out);

    if (rc != 0)
        return rc;
    sh_entry_init(e, ref_out->handle, tag, batch);
    e->call.fn = sh_queue_arrive;
    if (ref_out->record == NULL || sh_is_settled(ref_out->word))
        return 0;
    e->hung.target = sh_call_build(ref_out, &e->call);
    return e->hung.target != 0 ? 0 : SHUNT_ENOMEM;
}

/* The running task, if there is one, has given the handle away: said first, so
 * that who ends it in our stead looks for either. */
static bool lend(struct sh_entry *e, struct sh_ref *ref)
{
    uint64_t handle = ref->handle;

    if (ref->record != NULL) {
        if (sh_here.run != NULL)
            sh_run_lend(sh_here.run, handle);
        if (sh_here.run != NULL && sh_place_in(sh_here.run->pool) > 0) {
            e->lender = sh_here.run;
            e->lender_hint = sh_hint(e->lender->index, e->lender->generation);
        }
        if (!sh_handle_lend(ref, SH_WATCHED)) {
            if (sh_here.run != NULL)
                (void)sh_run_unlend(sh_here.run, handle);
            return false;
        }
    }
    e->handle = ref->handle;
    return true;
}

/* It is the caller's again. */
static void unlend(struct sh_ref *ref)
{
    if (sh_handle_unlend(ref) && sh_here.run != NULL)
        (void)sh_run_unlend(sh_here.run, ref->handle);
}

/* Under lock: from now on the entry is the queue's. Without memory for an edge
 * it is not. */
static int hang(struct sh_queue *q, struct sh_entry *e,
                const struct sh_ref *ref)
{
    enum sh_attached how = SH_ATTACH_SETTLED;

    e->queue = q;
    if (e->hung.target != 0)
        how = sh_call_hang(ref, &e->hung);
    if (how != SH_ATTACHED)
        e->hung.target = 0; /* it was given back */
    if (how == SH_ATTACH_NOMEM)
        return SHUNT_ENOMEM;
    sh_entries_add(&q->entries, e);
    if (how == SH_ATTACH_SETTLED)
        sh_queue_ready(q, e);
    return 0;
}

/* It has become no queue's: f is the caller's again. */
static void undo(const struct sh_entry *e)
{
    struct sh_ref ref;
    int rc = sh_handle_find(e->handle, SH_LOOK, &ref);

    /* Also of a handle that is good no more: its pool is there. */
    if (e->hung.target != 0 && ref.pool != NULL)
        sh_call_scrap(ref.pool, e->hung.target);
    if (rc == 0 && (e->handle & SH_HANDLE_LENT) != 0)
        unlend(&ref);
}

/* Under lock. */
static int add_one(struct sh_queue *q, struct sh_entry *e, shunt_future *f,
                   void *tag)
{
    struct sh_ref ref;
    int rc = prepare(e, f, tag, 0, &ref);

    if (rc != 0)
        return rc;
    rc = lend(e, &ref) ? hang(q, e, &ref) : SHUNT_EINVAL;
    if (rc != 0)
        undo(e);
    return rc;
}

int shunt_queue_add(shunt_queue *name, shunt_future *f, void *tag)
{
    struct sh_queue *q;
    struct sh_entry *e;
    int rc = sh_queue_lock(name, &q);

    if (rc != 0)
        return rc;
    e = sh_entries_take(&q->entries);
    rc = e == NULL ? SHUNT_ENOMEM : add_one(q, e, f, tag);
    if (rc != 0 && e != NULL)
        sh_entries_give(&q->entries, e);
    sh_queue_unlock(q);
    return rc;
}

/* ---- many ---- */

/* Entries that no queue has got, linked in their order. */
struct list {
    struct sh_entry *first, *last;
};

static void undo_all(struct list *l)
{
    while (l->first != NULL) {
        struct sh_entry *e = l->first;

        l->first = e->link;
        undo(e);
        sh_entry_free(e);
    }
}

/* An entry for each, its handle lent. */
static int prepare_all(shunt_future *const *fs, size_t n, uint64_t batch,
                       struct list *l)
{
    struct sh_ref ref;
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++) {
        struct sh_entry *e = sh_entry_new();

        if (e == NULL) {
            rc = SHUNT_ENOMEM;
            break;
        }
        rc = prepare(e, fs[i], (void *)(uintptr_t)i, batch, &ref);
        if (rc != 0) {
            sh_entry_free(e);
            break;
        }
        if (l->last != NULL)
            l->last->link = e;
        else
            l->first = e;
        l->last = e;
    }
    for (struct sh_entry *e = l->first; e != NULL && rc == 0; e = e->link) {
        rc = sh_handle_find(e->handle, SH_OWN, &ref);
        if (rc == 0 && !lend(e, &ref))
            rc = SHUNT_EINVAL;
    }
    if (rc != 0)
        undo_all(l);
    return rc;
}

static int open_batch(shunt_queue *name, struct sh_batch *b)
{
    struct sh_queue *q;
    int rc = sh_queue_lock(name, &q);

    if (rc != 0)
        return rc;
    *b = (struct sh_batch){ .next = q->batches, .number = ++q->batch_number };
    q->batches = b;
    sh_queue_unlock(q);
    return 0;
}

/* What is ready of it can be taken from now on. */
static int close_batch(shunt_queue *name, struct sh_batch *b)
{
    struct sh_batch **at;
    struct sh_queue *q;
    int rc = sh_queue_lock(name, &q);

    if (rc != 0)
        return rc;
    for (at = &q->batches; *at != b; at = &(*at)->next)
        continue;
    *at = b->next;
    sh_queue_ready_all(q, &b->ready);
    sh_queue_unlock(q);
    return 0;
}

/* Hang all of l, some at a time. How many the queue got before one failed. */
static size_t hang_all(shunt_queue *name, struct list *l, int *rc_out)
{
    struct sh_queue *q;
    size_t hung = 0;

    *rc_out = 0;
    while (l->first != NULL && *rc_out == 0) {
        *rc_out = sh_queue_lock(name, &q);
        if (*rc_out != 0)
            break;
        for (unsigned i = 0; i < SH_QUEUE_CHUNK && l->first != NULL; i++) {
            struct sh_entry *e = l->first, *next = e->link;
            struct sh_ref ref;

            *rc_out = sh_handle_find(e->handle, SH_LOOK, &ref);
            if (*rc_out == 0)
                *rc_out = hang(q, e, &ref);
            if (*rc_out != 0)
                break;
            l->first = next;
            hung++;
        }
        sh_queue_unlock(q);
    }
    return hung;
}

/* Take the first n of a batch out again: they are the caller's, as before. */
static void take_back(shunt_queue *name, const struct sh_batch *b,
                      shunt_future *const *fs, size_t n)
{
    struct sh_gone gone[SH_QUEUE_CHUNK];
    struct sh_queue *q;

    while (n > 0 && sh_queue_lock(name, &q) == 0) {
        unsigned got = 0;

        for (; got < SH_QUEUE_CHUNK && n > 0; n--)
            got += sh_queue_take_out(q, sh_handle_of(fs[n - 1]), b->number,
                                     &gone[got]);
        sh_queue_unlock(q);
        while (got > 0) {
            struct sh_ref ref;

            sh_queue_let_go(&gone[--got]);
            if (sh_handle_find(gone[got].handle, SH_LOOK, &ref) == 0 &&
                ref.record != NULL)
                unlend(&ref);
        }
    }
}

int shunt_queue_add_all(shunt_queue *name, shunt_future *const *fs, size_t n)
{
    struct list l = { NULL, NULL };
    struct sh_batch batch;
    size_t hung;
    int rc;

    if (n > 0 && (fs == NULL || n > PTRDIFF_MAX / sizeof *fs))
        return SHUNT_EINVAL;
    rc = open_batch(name, &batch);
    if (rc != 0)
        return rc;
    rc = prepare_all(fs, n, batch.number, &l);
    if (rc == 0) {
        hung = hang_all(name, &l, &rc);
        if (rc != 0) {
            undo_all(&l);
            take_back(name, &batch, fs, hung);
        }
    }
    if (close_batch(name, &batch) != 0 && rc == 0)
        rc = SHUNT_EINVAL;
    return rc;
}
