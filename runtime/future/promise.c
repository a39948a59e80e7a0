/* SPDX-License-Identifier: MIT */
/*
 * future/promise.c - futures that somebody gives a value.
 *
 * A promise is the record's own handle with the promise bit. It is good as
 * long as the record is KEPT in that generation, and consuming it is the CAS
 * that ends that: so it is consumed once, and a writer that comes after the
 * future was cancelled, or even released, learns of it.
 *
 * Edges.
 *   closing  future/submit.c
 *   accepted task/handle.c: here state is written
 *   idle     future/settle.c
 *   registry task/registry.c
 *   settled  future/settle.c
 *   quiet    future/settle.c
 *   hook     on_cancel: write input, then read state || cancel: set CANCEL,
 *            then take input; all seq_cst: one sees the other
 *            cancel: set BUSY, then take input -> listens: read that it was
 *            taken, then find BUSY, until it was called
 *
 * Crash. Who has consumed a promise, and dies before the value or the error is
 * there, has dropped it.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "future/combine.h"
#include "task/data.h"
#include "task/error.h"

/* Both name things of the process that has set it. */
struct listener {
    void (*fn)(void *user);
    void *user;
    unsigned place, process; /* sh_place_in, own of sh_self */
    uint32_t record;         /* that it is of, once it was handed over, */
    uint64_t next;           /* and the next listener on that list */
};

#define TOLD ((uint64_t)1) /* in the place of a listener: was cancelled */

/* The block of a value that is not inside; NULL: none yet, or it is. */
static struct sh_block *block_of(struct sh_promised *p)
{
    struct sh_block *b = NULL;

    if (!sh_promised_is_inside(p))
        memcpy(&b, p + 1, sizeof b);
    return b;
}

static void set_block(struct sh_promised *p, struct sh_block *b)
{
    if (!sh_promised_is_inside(p))
        sh_store_bare_rel((struct sh_block **)(void *)(p + 1),
                          b); /* release:
                               * accepted */
}

static shunt_promise *promise_of(uint64_t handle)
{
    return (shunt_promise *)(uintptr_t)(handle | SH_PROMISE_BIT);
}

/* Look a promise up: 0, or why not. */
static int find(shunt_promise *p, struct sh_ref *ref_out)
{
    uint64_t handle = (uint64_t)(uintptr_t)p;
    uint32_t index = sh_handle_index(handle);
    /* acquire: registry */
    struct sh_pool *pool =
        sh_load_acq(&sh_self()->pools[sh_handle_pool(handle)]);

    if ((handle & SH_PROMISE_BIT) == 0 || pool == NULL || index == 0 ||
        index >= pool->records.capacity)
        return SHUNT_EINVAL;
    if (!sh_pool_is_ours(pool))
        return sh_pool_refusal(pool);
    ref_out->handle = handle & ~SH_PROMISE_BIT;
    ref_out->pool = pool;
    ref_out->record = sh_record_at(pool, index);
    ref_out->word = sh_load_acq(&ref_out->record->state); /* acquire: settled */
    if (!sh_handle_same_use(handle, ref_out->word) ||
        (ref_out->word & SH_KEPT) == 0 ||
        sh_load_rlx(&ref_out->record->kind) !=
            SH_KIND_PROMISE) /* relaxed:
                              * as the state */
        return SHUNT_EINVAL;
    return 0;
}

int shunt_promise_new_typed(shunt_pool *name, size_t size, size_t align,
                            const char *type, const char *where,
                            shunt_promise **promise_out,
                            shunt_future **future_out)
{
    struct sh_pool *pool;
    struct sh_seat *seat;
    struct sh_record *r;
    uint64_t w, handle;
    int rc = sh_pool_find(name, &pool);

    if (rc != 0)
        return rc;
    if (promise_out == NULL || future_out == NULL || size == 0 ||
        size > UINT32_MAX || align == 0 || (align & (align - 1)) != 0 ||
        align > 4096)
        return SHUNT_EINVAL;
    seat = sh_seat_of(pool);
    if (!sh_pool_takes(pool, seat))
        return SHUNT_ECLOSED;
    if (seat == NULL)
        return SHUNT_ENOMEM;
    /* Promises are for what takes its time, and may get lost: their ages shall
     * be right. */
    sh_stamp_forget(&seat->stamp);
    r = sh_record_new(pool, seat, SH_KIND_NONE, NULL, where);
    if (r == NULL)
        return SHUNT_ENOMEM;
    w = sh_load_rlx(&r->state); /* relaxed: ours in INIT */
    r->data.promised = (struct sh_promised){ .type = type,
                                             .size = (uint32_t)size,
                                             .align = (uint32_t)align };
    set_block(&r->data.promised, NULL);
    sh_store_rel(&r->kind, SH_KIND_PROMISE); /* release: accepted */
    if (!sh_promise_make_data(pool, r)) {
        sh_record_retire(pool, seat, r, w);
        return SHUNT_ENOMEM;
    }
    handle =
        sh_handle_make(pool->id, sh_index_of(pool, r), sh_generation_of(w));
    /* Before it is one: see ledger.c. */
    if (sh_here.run != NULL) {
        sh_run_note(sh_here.run, handle);
        sh_run_note_promise(sh_here.run, handle);
    }
    w = sh_word_to(w, SH_PROMISE, 0) | SH_KEPT;
    sh_store_sc(&r->state, w); /* seq_cst: accepted, closing */
    if (sh_load_sc(&pool->gate) == SH_STOPPED) { /* seq_cst: closing */
        struct sh_work work = { 0 };

        if (sh_settle_begin(r, w, sh_outcome_from(SHUNT_ECANCELED)))
            sh_work_settle(&work, pool, r);
        sh_work_do(&work);
    }
    *promise_out = promise_of(handle);
    *future_out = sh_handle_future(handle);
    return 0;
}

/* Whether the caller may die alone, and somebody sees to what it was at. */
static bool is_mortal(const struct sh_ref *ref)
{
    return SH_UNLIKELY(ref->pool->shared) && sh_place_in(ref->pool) > 0;
}

/* Consume the writing end, and move the promise to SETTLING: 0. Or the future
 * was cancelled: SHUNT_ECANCELED. Or the end was consumed: SHUNT_EINVAL.
 *
 * Who may die before what is given is there has dropped it until settle_as. */
static int begin(struct sh_ref *ref, int code)
{
    uint32_t generation = sh_generation_of(ref->word);
    unsigned outcome = sh_outcome_from(is_mortal(ref) ? SHUNT_ECANCELED : code);
    struct sh_work work = { 0 };
    uint64_t w = ref->word;
    uint64_t next;
    bool open;

    do {
        if (sh_generation_of(w) != generation || (w & SH_KEPT) == 0)
            return SHUNT_EINVAL;
        open = sh_phase_of(w) == SH_PROMISE;
        next = w & ~SH_KEPT;
        if (open)
            next = sh_word_settled(next, SH_SETTLING, sh_owner_here(), outcome);
        else if (sh_phase_of(w) == SH_DONE && (w & SH_ORPHAN) != 0 &&
                 (next & SH_STAYS) == 0)
            next = sh_word_settled(next, SH_RELEASING, sh_owner_here(),
                                   sh_outcome_of(w));
        /* acq_rel: settled, idle */
    } while (!sh_cas_acqrel(&ref->record->state, &w, next));
    if (open)
        return 0;
    if (sh_phase_of(next) == SH_RELEASING) {
        sh_work_free(&work, ref->pool, ref->record);
        sh_work_do(&work);
    }
    return SHUNT_ECANCELED;
}

/* What was given is there. */
static void settle_as(struct sh_ref *ref, int code)
{
    struct sh_work work = { 0 };

    if (is_mortal(ref)) {
        uint64_t w = sh_load_acq(&ref->record->state); /* acquire: settled */

        /* acq_rel: settled. Flags may be set meanwhile. */
        while (!sh_cas_acqrel(&ref->record->state, &w,
                              sh_word_settled(w, SH_SETTLING, sh_owner_here(),
                                              sh_outcome_from(code))))
            continue;
    }
    sh_work_settle(&work, ref->pool, ref->record);
    sh_work_do(&work);
}

/* The value of a promise of a thread pool is there, and nobody depends on it:
 * settle it by one CAS. False if it is not as simple as that. */
static bool settle_alone(const struct sh_ref *ref)
{
    uint64_t w = sh_load_rlx(&ref->record->state); /* relaxed: as the CAS */

    if (SH_UNLIKELY(ref->pool->shared))
        return false;
    do {
        if ((w & (SH_WATCHED | SH_ORPHAN)) != 0)
            return false;
    } while (!sh_cas_sc(&ref->record->state, &w, /* seq_cst: settled, quiet */
                        sh_word_settled(w, SH_DONE, 0, 0)));
    sh_quiet_notify(ref->pool);
    return true;
}

int shunt_promise_give_sized(shunt_promise *p, const void *value, size_t size)
{
    struct sh_ref ref;
    struct sh_value v;
    int rc = find(p, &ref);

    if (rc != 0)
        return rc;
    v = sh_record_value(ref.record);
    if ((size != 0 && size != v.size) ||
        (value == NULL && v.size > sizeof(shunt_none)))
        return SHUNT_EINVAL;
    rc = begin(&ref, 0);
    if (rc != 0)
        return rc;
    if (value != NULL)
        sh_copy(v.bytes, value, v.size);
    if (!settle_alone(&ref))
        settle_as(&ref, 0);
    return 0;
}

int shunt_promise_fail(shunt_promise *p, int code, const char *fmt, ...)
{
    struct sh_ref ref;
    struct sh_failure f = { .code = SHUNT_EFAILED, .task_code = code };
    char text[512];
    va_list args;
    int rc;

    if (code == 0 || code == SHUNT_PENDING)
        return SHUNT_EINVAL;
    if (code <= SHUNT_EFAILED && code >= SHUNT_EBROKEN) {
        f.code = code;
        f.task_code = 0;
    }
    if (fmt != NULL && fmt[0] != '\0') {
        va_start(args, fmt);
        if (vsnprintf(text, sizeof text, fmt, args) >= 0)
            f.text = text;
        va_end(args);
    }
    rc = find(p, &ref);
    if (rc == 0)
        rc = begin(&ref, f.code);
    if (rc != 0)
        return rc;
    /* A cancelled one gets its record when it settles. */
    if (f.text != NULL || f.code != SHUNT_ECANCELED)
        sh_error_attach(ref.pool, ref.record, &f);
    settle_as(&ref, f.code);
    return 0;
}

int shunt_promise_drop(shunt_promise *p)
{
    struct sh_ref ref;
    int rc = find(p, &ref);

    if (rc == 0)
        rc = begin(&ref, SHUNT_ECANCELED);
    if (rc == 0)
        settle_as(&ref, SHUNT_ECANCELED);
    return rc == SHUNT_ECANCELED ? 0 : rc;
}

/* -- hooks -- */

/* A promise that this worker process listens to. */
struct sh_heard {
    uint32_t index, generation;
};

/* Whether our listener may be called still. */
static bool is_open(struct sh_pool *pool, const struct sh_heard *h)
{
    struct sh_record *r = sh_record_at(pool, h->index);
    bool taken = sh_load_sc(&r->input) == TOLD; /* seq_cst: hook */
    uint64_t w = sh_load_sc(&r->state);         /* seq_cst: hook */

    return sh_generation_of(w) == h->generation &&
           ((w & SH_BUSY) != 0 || (sh_phase_of(w) == SH_PROMISE && !taken));
}

/* Under lock. */
static void forget_ended(struct sh_pool *pool, struct sh_self *self)
{
    size_t open = 0;

    for (size_t i = 0; i < self->heard_count; i++)
        if (is_open(pool, &self->heard[i]))
            self->heard[open++] = self->heard[i];
    self->heard_count = open;
}

static bool grow(struct sh_pool *pool, struct sh_self *self)
{
    size_t room = self->heard_room > 0 ? 2 * self->heard_room : 16;
    struct sh_heard *more = sh_heap_scratch(&pool->heap, room * sizeof *more);

    if (more == NULL)
        return false;
    if (self->heard_room > 0) {
        memcpy(more, self->heard, self->heard_count * sizeof *more);
        sh_heap_put(&pool->heap, self->heard, self->heard_room * sizeof *more);
    }
    self->heard = more;
    self->heard_room = room;
    return true;
}

/* Note that we listen to a promise, in a process that may be replaced. False if
 * there is no memory. */
static bool note_listener(const struct sh_ref *ref)
{
    struct sh_self *self = sh_self();
    bool noted = true;

    if (self->served == NULL)
        return true;
    pthread_mutex_lock(&self->heard_lock);
    if (self->heard_count == self->heard_room)
        forget_ended(ref->pool, self);
    if (self->heard_count == self->heard_room)
        noted = grow(ref->pool, self);
    if (noted)
        self->heard[self->heard_count++] =
            (struct sh_heard){ sh_index_of(ref->pool, ref->record),
                               sh_generation_of(ref->word) };
    pthread_mutex_unlock(&self->heard_lock);
    return noted;
}

bool sh_promise_listens(struct sh_pool *pool)
{
    struct sh_self *self = sh_self();
    bool open;

    pthread_mutex_lock(&self->heard_lock);
    forget_ended(pool, self);
    open = self->heard_count > 0;
    pthread_mutex_unlock(&self->heard_lock);
    return open;
}

int shunt_promise_on_cancel(shunt_promise *p, void (*fn)(void *user),
                            void *user)
{
    struct sh_ref ref;
    struct listener *l;
    uint64_t none = 0, mine;
    int rc = find(p, &ref);

    if (rc != 0)
        return rc;
    if (fn == NULL)
        return SHUNT_EINVAL;
    if (sh_phase_of(ref.word) != SH_PROMISE)
        return SHUNT_ECANCELED;
    if (!note_listener(&ref))
        return SHUNT_ENOMEM;
    l = sh_heap_get(&ref.pool->heap, sizeof *l);
    if (l == NULL)
        return SHUNT_ENOMEM;
    l->fn = fn;
    l->user = user;
    l->place = sh_place_in(ref.pool);
    l->process = sh_self()->own;
    mine = (uint64_t)(uintptr_t)l;
    /* One listener, for good. seq_cst: hook */
    if (!sh_cas_sc(&ref.record->input, &none, mine)) {
        sh_heap_put(&ref.pool->heap, l, sizeof *l);
        return none == TOLD ? SHUNT_ECANCELED : SHUNT_EINVAL;
    }
    ref.word = sh_load_sc(&ref.record->state); /* seq_cst: hook */
    if (sh_phase_of(ref.word) == SH_PROMISE && (ref.word & SH_CANCEL) == 0)
        return 0;
    /* Cancelled: unless we can take it back, it is called. seq_cst: hook */
    if (!sh_cas_sc(&ref.record->input, &mine, 0))
        return 0;
    sh_heap_put(&ref.pool->heap, l, sizeof *l);
    return SHUNT_ECANCELED;
}

/* The listener of a record that is BUSY for it was told, or nobody is left to
 * be. */
static void told(struct sh_work *work, struct sh_pool *pool,
                 struct sh_record *r, struct listener *l)
{
    if (l != NULL)
        sh_heap_put(&pool->heap, l, sizeof *l);
    sh_settle_idle(work, pool, r, SH_BUSY);
    /* A keeper may have waited for the listener. */
    sh_keep_returned(work, pool);
}

enum sh_told sh_promise_tell(struct sh_work *work, struct sh_pool *pool,
                             struct sh_record *r, uint64_t word)
{
    struct listener *l;

    if ((word & SH_CANCEL) != 0)
        return SH_TOLD;
    /* Who cancels may have no handle: BUSY keeps the record meanwhile. */
    if (!sh_cas_sc(&r->state, &word, word | SH_CANCEL | SH_BUSY)) /* seq_cst:
                                                                   * hook */
        return SH_TOLD_STALE;
    /* From now on the listener is ours. seq_cst: hook */
    l = (void *)(uintptr_t)sh_xchg_sc(&r->input, TOLD);
    if (l != NULL && l->place != sh_place_in(pool)) {
        l->record = sh_index_of(pool, r);
        sh_hand_hook(pool, l, &l->next, l->place);
        return SH_TOLD;
    }
    if (l != NULL && l->process == sh_self()->own)
        sh_call_hook(pool->id, l->fn, l->user);
    told(work, pool, r, l);
    return l != NULL ? SH_TOLD : SH_TOLD_NOBODY;
}

void sh_promise_hear(struct sh_work *work, struct sh_pool *pool, uint64_t hook)
{
    while (hook != 0) {
        struct listener *l = (void *)(uintptr_t)hook;

        hook = l->next;
        /* Who has set it may have died. */
        if (l->process == sh_self()->own)
            sh_call_hook(pool->id, l->fn, l->user);
        told(work, pool, sh_record_at(pool, l->record), l);
        sh_work_do(work);
    }
}

bool sh_promise_make_data(struct sh_pool *pool, struct sh_record *r)
{
    struct sh_promised *p = &r->data.promised;
    struct sh_block *b;

    if (sh_promised_is_inside(p))
        return true;
    b = sh_block_new_scratch(&pool->heap, (size_t)p->size + p->align,
                             SH_BLOCK_VALUE);
    if (b == NULL)
        return false;
    set_block(p, b);
    sh_block_keep(b);
    return true;
}

void sh_promise_dispose(struct sh_pool *pool, struct sh_record *r)
{
    struct sh_promised *p = &r->data.promised;
    /* relaxed: ours in RELEASING */
    uint64_t hook = sh_load_rlx(&r->input);
    void *l = hook != TOLD ? (void *)(uintptr_t)hook : NULL;
    struct sh_block *b = block_of(p);

    /* Both go with the process, before nothing names them; and nothing does
     * when they are freed, so that who repeats this frees nothing twice. */
    if (l != NULL)
        sh_heap_scrap(&pool->heap, l);
    /* release: hook; nobody else looks any more */
    sh_store_rel(&r->input, 0);
    sh_heap_put(&pool->heap, l, sizeof(struct listener));
    if (b != NULL)
        sh_block_scrap(b);
    set_block(p, NULL);
    if (b != NULL)
        sh_block_free(b);
}
