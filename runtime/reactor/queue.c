/* SPDX-License-Identifier: MIT */
/*
 * reactor/queue.c - completion queues: from settling to whoever handles it.
 *
 *     add       lock | entry into the index, cell onto the future | unlock
 *     settler   claim the cell | push the entry on arrived | armed? then lock,
 *               collect, unlock
 *     take      lock | collect | ready -> out of the index | unlock |
 *               un-lend the handles
 *     collect   arrived -> ready; the first one writes fd
 *     unlock    does anybody want to know of what arrives? armed | unlock |
 *               wake one who waits, if something is ready
 *
 * Idea. A queue is the host's: it has a lock, under which everything takes
 * constant time for each future, and no function of a user runs, nothing
 * settles and nobody is woken. A settler, which may be a worker, takes it only
 * if somebody is to be told: a thread or a task that waits, or the descriptor,
 * when the queue was empty. A queue that is busy is never in that state, so
 * that workers and takers meet at one word.
 *
 * The descriptor is written and read under the lock, so that it never says
 * what is not so: whoever wrote it later could do so after a taker has found
 * the queue empty again. That happens once each time that something becomes
 * ready in an empty queue, and not at all without a descriptor.
 *
 * Queues lie in static places, so that a stale name finds a lock, another name
 * behind it, and goes away; and so that a settler that comes late does as
 * well. Nobody waits for anybody: whoever takes an entry out of the queue
 * tries to take its cell off the future. If a settler has claimed it already,
 * the entry is GONE, and is freed when it arrives (future/call.c).
 *
 * A handle in a queue is lent to it, so that it can be found out if it is used
 * meanwhile, or added twice. Taking the event clears that again. The ledger of
 * a task that adds it, which would give it back when the task ends, is told.
 *
 * Adding: add.c. Waiting: wait.c.
 *
 * Edges.
 *   opened   new: write the name -> find: read it           the lock; free:
 *            write BUSY -> add all: find another name        its batch; free:
 *            write FREE -> new: claim it
 *   arrived  settler: push an entry -> collect: take all    the entry's links
 *   armed    settler: push on arrived, then read armed || unlock: write armed,
 *            then read arrived; all seq_cst: one sees the other
 *
 * Crash. A queue belongs to one process, the host or a worker, and goes with
 * it: the ledgers of a worker's tasks say what was lent to it. What another
 * process settles must be handed over: future/call.c.
 *
 * Fork. The child finds the names of its parent's queues, and the process that
 * they belong to, and touches nothing else of them.
 */
#define _GNU_SOURCE 1
#include "reactor/queue.h"

#include <limits.h>

#include "base/fault.h"
#include "future/settle.h"
#include "reactor/descriptor.h"

#define NAME_BIT ((uint64_t)1 << 62) /* no address, no pool's name */

static struct sh_queue queues[SH_QUEUES];
static _Atomic uint64_t serial; /* of the last queue that was made */

/* ---- what is ready ---- */

/* Say by the descriptor, if there is one, whether something is ready. */
static void signal_fd(const struct sh_queue *q, bool ready)
{
    if (q->fd >= 0)
        sh_descriptor_set(q->fd, ready);
}

/* Where the entry goes when its future has settled. */
static struct sh_ready *ready_of(struct sh_queue *q, const struct sh_entry *e)
{
    struct sh_batch *b = q->batches;

    while (b != NULL && b->number != e->batch)
        b = b->next;
    return b != NULL ? &b->ready : &q->ready;
}

void sh_queue_ready(struct sh_queue *q, struct sh_entry *e)
{
    struct sh_ready *ready = ready_of(q, e);

    SH_ASSERT(e->state == SH_ENTRY_PENDING);
    e->state = SH_ENTRY_READY;
    sh_ready_add(ready, e);
    if (ready == &q->ready && q->ready.count == 1)
        signal_fd(q, true);
}

void sh_queue_ready_all(struct sh_queue *q, struct sh_ready *ready)
{
    bool none = q->ready.count == 0;

    sh_ready_append(&q->ready, ready);
    if (none && q->ready.count > 0)
        signal_fd(q, true);
}

/* Under lock: take over what settlers have brought, oldest first. */
static void collect(struct sh_queue *q)
{
    struct sh_entry *e, *oldest = NULL;

    /* relaxed: a look; what it misses has a settler who looks at armed */
    if (sh_load_rlx(&q->arrived) == NULL)
        return;
    e = sh_xchg_sc(&q->arrived, NULL); /* seq_cst: arrived */
    while (e != NULL) {
        struct sh_entry *older = e->next;

        e->next = oldest;
        oldest = e;
        e = older;
    }
    while ((e = oldest) != NULL) {
        oldest = e->next;
        if (e->state == SH_ENTRY_GONE)
            sh_entry_free(e);
        else
            sh_queue_ready(q, e);
    }
}

void sh_queue_unlock(struct sh_queue *q)
{
    struct sh_wake wake = { 0 };
    /* In a place that is no queue, what arrives is to be freed.
     * relaxed: moves under the lock */
    bool wants = q->inside > 0 || (q->fd >= 0 && q->ready.count == 0) ||
                 sh_load_rlx(&q->name) <= SH_NAME_BUSY;

    if (!wants) {
        sh_store_rlx(&q->armed, 0); /* relaxed: who sees 1 looks in vain */
    } else if (sh_load_rlx(&q->armed) == 0) { /* relaxed: under the lock */
        sh_store_sc(&q->armed, 1);            /* seq_cst: armed */
        /* Who came before us may not have seen it. seq_cst: armed */
        if (sh_load_sc(&q->arrived) != NULL)
            collect(q);
    }
    sh_queue_call(q, &wake);
    pthread_mutex_unlock(&q->lock);
    sh_queue_wake(&wake);
}

void sh_queue_arrive(struct sh_call *call)
{
    struct sh_entry *e = (struct sh_entry *)call;
    struct sh_queue *q = e->queue;
    struct sh_entry *last = sh_load_rlx(&q->arrived); /* relaxed: the CAS
                                                       * validates it */

    do {
        e->next = last;
    } while (!sh_cas_sc(&q->arrived, &last, e)); /* seq_cst: arrived, armed */
    /* The entry may be freed from now on. seq_cst: armed */
    if (sh_load_sc(&q->armed) == 0)
        return;
    pthread_mutex_lock(&q->lock);
    collect(q);
    sh_queue_unlock(q);
}

/* ---- names ---- */

int sh_queue_lock(const shunt_queue *handle, struct sh_queue **queue_out)
{
    uint64_t name = (uint64_t)(uintptr_t)handle;
    struct sh_queue *q = &queues[name % SH_QUEUES];

    if (name < NAME_BIT || sh_load_acq(&q->name) != name) /* acquire: opened */
        return SHUNT_EINVAL;
    /* relaxed: if it is that of a later queue, the name tells */
    if (sh_load_rlx(&q->process) != sh_self()->own)
        return sh_self()->served != NULL ? SHUNT_EINVAL : SHUNT_EFORKED;
    pthread_mutex_lock(&q->lock);
    if (sh_load_rlx(&q->name) != name) { /* relaxed: moves under the lock */
        pthread_mutex_unlock(&q->lock);
        return SHUNT_EINVAL;
    }
    collect(q);
    *queue_out = q;
    return 0;
}

/* Set up a place that no queue of this process has used. When it forked, some
 * thread of the parent may have held the lock, and was anywhere. */
static bool make_place(struct sh_queue *q)
{
    pthread_mutexattr_t kind;

    if (sh_fault() || pthread_mutexattr_init(&kind) != 0)
        return false;
    /* It is held for a moment: look again before you sleep. */
    (void)pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ADAPTIVE_NP);
    q->has_lock = pthread_mutex_init(&q->lock, &kind) == 0;
    pthread_mutexattr_destroy(&kind);
    q->ready = (struct sh_ready){ 0 };
    q->batches = NULL;
    q->first = q->last = NULL;
    q->sleeping = q->inside = q->calls = q->calls_to_threads = 0;
    sh_store_rlx(&q->process, sh_self()->own); /* relaxed: as the name */
    return q->has_lock;
}

/* A place for a queue, in turn, so that each rests as long as it can. */
static struct sh_queue *claim(uint64_t *name_out)
{
    for (unsigned tried = 0; tried < SH_QUEUES; tried++) {
        uint64_t number = sh_add_rlx(&serial, 1) + 1; /* relaxed: a number */
        struct sh_queue *q = &queues[number % SH_QUEUES];
        uint64_t is = SH_NAME_FREE;

        if (q == queues)
            continue;
        if (sh_cas_acq(&q->name, &is, SH_NAME_BUSY)) { /* acquire: opened */
            *name_out = NAME_BIT | number;
            return q;
        }
    }
    return NULL;
}

int shunt_queue_new(shunt_queue **queue_out)
{
    struct sh_queue *q;
    uint64_t name;
    bool made;

    if (queue_out == NULL)
        return SHUNT_EINVAL;
    if (!sh_forks_count())
        return SHUNT_ENOMEM;
    q = claim(&name);
    if (q == NULL)
        return SHUNT_EAGAIN;
    /* relaxed: ours while it is BUSY */
    if ((!q->has_lock || sh_load_rlx(&q->process) != sh_self()->own) &&
        !make_place(q)) {
        sh_store_rel(&q->name, SH_NAME_FREE); /* release: opened */
        return SHUNT_ENOMEM;
    }
    /* For settlers that come late, from what lay here before. */
    pthread_mutex_lock(&q->lock);
    made = sh_entries_init(&q->entries);
    q->fd = -1;
    sh_store_rel(&q->name, made ? name : SH_NAME_FREE); /* release: opened */
    pthread_mutex_unlock(&q->lock);
    if (!made)
        return SHUNT_ENOMEM;
    *queue_out = (shunt_queue *)(uintptr_t)name;
    return 0;
}

void sh_queue_leave(struct sh_queue *q)
{
    SH_ASSERT(q->inside > 0);
    q->inside--;
    /* relaxed: moves under the lock */
    if (q->inside == 0 && sh_load_rlx(&q->name) == SH_NAME_BUSY)
        sh_store_rel(&q->name, SH_NAME_FREE); /* release: opened */
}

/* ---- taking ---- */

/* What another task has lent is the running one's to see to. A thread that a
 * task has started has no ledger. */
static void take_on(const struct sh_entry *e)
{
    if (SH_UNLIKELY(e->lender != NULL) && sh_here.run != NULL)
        sh_run_take_on(sh_here.run, e->lender, e->lender_hint, e->handle);
}

int sh_queue_pull(struct sh_queue *q, shunt_event *events, size_t max)
{
    struct sh_entry *e;
    size_t n = 0;

    collect(q);
    if (max > INT_MAX)
        max = INT_MAX;
    while (n < max && (e = q->ready.first) != NULL) {
        events[n].future = sh_handle_future(e->handle);
        events[n++].tag = e->tag;
        take_on(e);
        sh_ready_remove(&q->ready, e);
        sh_entries_remove(&q->entries, e);
        sh_entries_give(&q->entries, e);
    }
    if (n > 0 && q->ready.count == 0)
        signal_fd(q, false);
    return (int)n;
}

/* The name that a lent handle had, which is the caller's from now on. */
static uint64_t unlend(uint64_t handle)
{
    struct sh_ref ref;

    if (sh_handle_index(handle) == SH_HANDLE_RESERVED)
        return handle;
    /* If its pool was freed, the name is stale. */
    if (sh_handle_find(handle, SH_LOOK, &ref) == 0 && sh_handle_unlend(&ref) &&
        sh_here.run != NULL)
        sh_run_regain(sh_here.run, ref.handle);
    return handle & ~SH_HANDLE_LENT;
}

void sh_queue_hand_out(shunt_event *events, int n)
{
    unsigned inside = 0;

    for (int i = 0; i < n; i++) {
        uint64_t handle = sh_handle_of(events[i].future);
        unsigned id = sh_handle_pool(handle);

        if (id != inside) {
            sh_pool_exit(inside);
            inside = sh_pool_enter(id) ? id : 0;
        }
        events[i].future = sh_handle_future(
            id == inside ? unlend(handle) : handle & ~SH_HANDLE_LENT);
    }
    sh_pool_exit(inside);
}

int shunt_queue_take(shunt_queue *name, shunt_event *events, size_t max)
{
    struct sh_queue *q;
    int n, rc = sh_queue_lock(name, &q);

    if (rc != 0)
        return rc;
    n = events == NULL || max == 0 ? SHUNT_EINVAL
                                   : sh_queue_pull(q, events, max);
    sh_queue_unlock(q);
    sh_queue_hand_out(events, n);
    return n;
}

int shunt_queue_fd(const shunt_queue *name)
{
    struct sh_queue *q;
    int rc = sh_queue_lock(name, &q);

    if (rc != 0)
        return rc;
    rc = q->fd >= 0 ? q->fd : sh_descriptor_new(q->ready.count > 0);
    if (rc >= 0)
        q->fd = rc;
    sh_queue_unlock(q);
    return rc;
}

int64_t shunt_queue_size(const shunt_queue *name)
{
    struct sh_queue *q;
    int64_t n = sh_queue_lock(name, &q);

    if (n != 0)
        return n;
    n = (int64_t)q->entries.count;
    sh_queue_unlock(q);
    return n;
}

/* ---- taking out what nobody has taken ---- */

/* Under lock; out of the index already. */
static void detach(struct sh_queue *q, struct sh_entry *e, struct sh_gone *gone)
{
    struct sh_ready *ready = ready_of(q, e);

    *gone =
        (struct sh_gone){ e, e->handle, e->hung, e->state == SH_ENTRY_PENDING };
    if (gone->pending) {
        e->state = SH_ENTRY_GONE;
        return;
    }
    sh_ready_remove(ready, e);
    if (ready == &q->ready && q->ready.count == 0)
        signal_fd(q, false);
}

void sh_queue_let_go(const struct sh_gone *gone)
{
    unsigned id = sh_handle_pool(gone->handle);
    bool ours = !gone->pending;
    struct sh_ref ref;

    /* If the pool is about to go, a settler is on the way. */
    if (gone->pending && sh_pool_enter(id)) {
        ours = sh_handle_find(gone->handle, SH_LOOK, &ref) == 0 &&
               sh_call_unhang(&ref, &gone->hung);
        sh_pool_exit(id);
    }
    if (ours)
        sh_entry_free(gone->entry);
}

bool sh_queue_take_out(struct sh_queue *q, uint64_t handle, uint64_t batch,
                       struct sh_gone *gone)
{
    struct sh_entry *e;

    if ((handle & SH_HANDLE_LENT) != 0)
        return false;
    if (sh_handle_index(handle) != SH_HANDLE_RESERVED)
        handle |= SH_HANDLE_LENT;
    e = sh_entries_find(&q->entries, handle);
    while (e != NULL &&
           (batch != 0 ? e->batch != batch : ready_of(q, e) != &q->ready))
        e = sh_entries_alike(e);
    if (e == NULL)
        return false;
    take_on(e);
    sh_entries_remove(&q->entries, e);
    detach(q, e, gone);
    return true;
}

bool shunt_queue_remove(shunt_queue *name, shunt_future *f)
{
    shunt_event event;
    struct sh_queue *q;
    struct sh_gone gone;
    bool found;

    if (sh_queue_lock(name, &q) != 0)
        return false;
    found = sh_queue_take_out(q, sh_handle_of(f), 0, &gone);
    sh_queue_unlock(q);
    if (!found)
        return false;
    sh_queue_let_go(&gone);
    event.future = sh_handle_future(gone.handle);
    sh_queue_hand_out(&event, 1);
    return true;
}

/* Give up to a chunk of what is in a queue that is being freed back. */
static void release_some(struct sh_queue *q)
{
    struct sh_gone gone[SH_QUEUE_CHUNK];
    struct sh_work work = { 0 };
    unsigned n = 0;

    for (; n < SH_QUEUE_CHUNK && q->entries.count > 0; n++)
        detach(q, sh_entries_pop(&q->entries), &gone[n]);
    sh_queue_unlock(q);
    for (unsigned i = 0; i < n; i++) {
        sh_queue_let_go(&gone[i]);
        sh_work_give(&work, gone[i].handle);
    }
    sh_work_do(&work);
    pthread_mutex_lock(&q->lock);
}

int shunt_queue_free(shunt_queue *name)
{
    struct sh_queue *q;
    int rc = sh_queue_lock(name, &q);

    if (rc != 0)
        return rc;
    /* Batches are on the stacks of those who add: one who finds no queue any
     * more returns at once, without the lock. */
    for (; q->batches != NULL; q->batches = q->batches->next)
        sh_ready_append(&q->ready, &q->batches->ready);
    /* Nobody finds it from now on. */
    sh_store_rel(&q->name, SH_NAME_BUSY); /* release: opened */
    if (q->fd >= 0)
        sh_descriptor_free(q->fd);
    q->fd = -1;
    sh_queue_dismiss(q);
    while (q->entries.count > 0)
        release_some(q);
    sh_entries_fini(&q->entries);
    /* Else the last one who waits leaves the place to another queue. */
    if (q->inside == 0)
        sh_store_rel(&q->name, SH_NAME_FREE); /* release: opened */
    sh_queue_unlock(q);
    return 0;
}
