/* SPDX-License-Identifier: MIT */
/*
 * task/data.c - records and their data: see data.h.
 *
 * Edges.
 *   death    process/recover.c
 *   accepted  submit: write state -> handle.c, workers: read state
 *   quiet     future/settle.c
 *   free      retire: write FREE -> new: read state    (through a free list)
 */
#include "task/data.h"

#include "task/handle.h"
#include "task/profile.h"
#include "task/ticket.h"

struct layout {
    size_t out_at, bytes, align;
    bool inside; /* of the record */
};

static size_t up_to(size_t n, size_t align)
{
    return (n + align - 1) & ~(align - 1);
}

/* Only a task of its own, or a step, brings an input; what follows another
 * future reads that one's value, and an attempt that of its ticket. */
static size_t input_bytes(const shunt_task *t, unsigned kind)
{
    kind &= ~SH_KIND_FLAT;
    if (kind == SH_KIND_TRY)
        return sizeof(uint64_t);
    if ((t->shape_ & SHUNT_SHAPE_IN_NONE_) != 0)
        return 0;
    if ((t->shape_ & SHUNT_SHAPE_STEP_) != 0)
        return t->ctx_size_;
    return kind == SH_KIND_TASK || kind == SH_KIND_DEAL ? t->in_size_ : 0;
}

static struct layout layout_of(const shunt_task *t, unsigned kind, bool bound)
{
    size_t in_bytes = input_bytes(t, kind);
    size_t in_align = (t->shape_ & SHUNT_SHAPE_STEP_) != 0 ? t->ctx_align_
                                                           : t->in_align_;
    struct layout l = { .align = t->out_align_ };

    if (in_bytes > 0 && in_align > l.align)
        l.align = in_align;
    l.out_at = up_to(in_bytes, t->out_align_ < 8 ? 8 : t->out_align_);
    l.bytes = l.out_at + t->out_size_;
    l.inside = l.bytes <= (bound ? SH_BOUND_AT : SH_INLINE_BYTES) &&
               l.align <= 16;
    return l;
}

SH_HOT struct sh_record *sh_record_new(struct sh_pool *pool,
                                       struct sh_seat *seat, unsigned kind,
                                       const shunt_task *task,
                                       const char *where)
{
    uint32_t index = sh_table_peek(&pool->records, &seat->records);
    uint32_t generation, stamp;
    struct sh_record *r, *next;
    uint64_t w;

    if (SH_UNLIKELY(index == SH_NONE))
        return NULL;
    r = sh_record_at(pool, index);
    /* Nobody has a name of this use yet; whoever has one of an earlier use is
     * stopped by the generations. acquire: free */
    w = sh_load_acq(&r->state);
    SH_ASSERT(sh_phase_of(w) == SH_FREE);
    generation = w == 0 ? pool->generation : sh_generation_of(w);
    w = (uint64_t)generation << 32 | SH_INIT | (uint64_t)sh_owner_here() << 12;
    /* release: accepted. A stale arrival that sees a later word of this use
     * must find the generation of deps moved. */
    sh_store_rel(&r->deps, ((sh_load_rlx(&r->deps) >> 32) + 1)
                               << 32);                  /*
                                                         * relaxed: see above */
    sh_store_rlx(&r->edge0, 0);                         /* relaxed: see above */
    sh_store_rlx(&r->hold, (uint64_t)generation << 32); /* relaxed: see above */
    sh_store_rlx(&r->input, 0);                         /* relaxed: see above */
    sh_store_rlx(&r->attached, NULL);                   /* relaxed: see above */
    sh_store_rlx(&r->edges, 0);                         /* relaxed: see above */
    sh_store_rlx(&r->dead, 0);                          /* relaxed: see above */
    sh_store_rel(&r->kind, (uint8_t)kind);              /* release: accepted */
    /* relaxed: whoever may use them is ordered by accepted; reports look */
    sh_store_bare_rlx(&r->task, task);
    sh_store_bare_rlx(&r->where, where); /* relaxed: likewise */
    sh_store_bare_rlx(&r->out_at,
                      SH_UNLIKELY(pool->mixed)
                          ? (uint8_t)sh_profile_places(pool, task)
                          : 0); /* relaxed: as task */
    r->data.block = NULL; /* nor a ticket */
    stamp = sh_stamp_take(&seat->stamp);
    /* Now: whoever finds it in INIT, when its maker has died, finds nothing
     * in it that is of an earlier use. release: accepted */
    sh_store_rel(&r->state, w);
    next = sh_record_at(pool, sh_table_took(&seat->records, index, &r->link));
    __builtin_prefetch(next, 1);
    __builtin_prefetch(next->data.bytes, 1);
    sh_store_rel(&r->link, stamp); /* release: death; it was a free list's */
    return r;
}

bool sh_record_make_room(struct sh_pool *pool, struct sh_record *r)
{
    unsigned kind = sh_load_rlx(&r->kind); /* relaxed: ours in INIT */
    struct layout l = layout_of(r->task, kind, sh_is_bound(r));
    struct sh_block *b;

    SH_ASSERT(r->task != NULL);
    if (SH_LIKELY(l.inside)) {
        /* relaxed: as task */
        sh_store_bare_rlx(&r->out_at, (uint8_t)(r->out_at | l.out_at));
        return true;
    }
    /* Who finds that it has one finds none yet. release: accepted */
    sh_store_bare_rel(&r->out_at, r->out_at | SH_OUT_IN_BLOCK);
    if (l.bytes > PTRDIFF_MAX - l.align)
        return false;
    b = sh_block_new_scratch(
        &pool->heap, l.bytes + (l.align > 16 ? l.align : 0), SH_BLOCK_VALUE);
    if (b != NULL) /* whose ticket it has, which is none yet */
        memset(sh_block_bytes(b), 0,
               (l.align > 16 ? l.align : 0) + input_bytes(r->task, SH_KIND_TRY));
    r->data.block = b;
    if (b != NULL)
        sh_block_keep(b);
    return b != NULL;
}

/* Where the data begins in its block. */
static char *data_of(struct sh_record *r, const struct layout *l)
{
    uintptr_t at = (uintptr_t)sh_block_bytes(r->data.block);

    SH_ASSERT((r->out_at & SH_OUT_IN_BLOCK) != 0);
    return (char *)((at + l->align - 1) & ~(uintptr_t)(l->align - 1));
}

SH_HOT void sh_record_free_data(struct sh_pool *pool, struct sh_record *r)
{
    unsigned kind = sh_load_rlx(&r->kind); /* relaxed: ours */

    kind &= ~SH_KIND_FLAT;
    if (kind == SH_KIND_TRY || kind == SH_KIND_RETRY)
        sh_ticket_let_go(pool, r);
    if (r->task != NULL && (r->out_at & SH_OUT_IN_BLOCK) != 0) {
        struct sh_block *b = r->data.block;

        /* So that who repeats this frees nothing twice, and what he does not
         * find any more goes with the dead. */
        if (b != NULL)
            sh_block_scrap(b);
        r->data.block = NULL;
        if (b != NULL)
            sh_block_free(b);
    }
}

SH_HOT void sh_record_retire(struct sh_pool *pool, struct sh_seat *seat,
                             struct sh_record *r, uint64_t word)
{
    uint64_t next = (uint64_t)(sh_generation_of(word) + 1) << 32 | SH_FREE;

    SH_ASSERT(sh_phase_of(word) == SH_INIT ||
              sh_phase_of(word) == SH_RELEASING);
    if (seat != NULL)
        sh_table_put_at(&seat->records, sh_index_of(pool, r), &r->link);
    sh_store_sc(&r->state, next); /* seq_cst: free, quiet */
    if (seat != NULL)
        sh_table_gave(&pool->records, &seat->records);
}

void *sh_block_in(struct sh_record *r)
{
    unsigned kind = sh_load_rlx(&r->kind); /* relaxed: set before accepted */
    struct layout l = layout_of(r->task, kind, sh_is_bound(r));

    return data_of(r, &l);
}

void *sh_block_out(struct sh_record *r)
{
    unsigned kind = sh_load_rlx(&r->kind); /* relaxed: set before accepted */
    struct layout l = layout_of(r->task, kind, sh_is_bound(r));

    return data_of(r, &l) + l.out_at;
}

static struct sh_value promised_value(struct sh_record *r)
{
    struct sh_promised *p = &r->data.promised;
    struct sh_value v = { p + 1, p->size, p->align, p->type, false };

    if (!sh_promised_is_inside(p)) {
        struct sh_block *b = *(struct sh_block **)v.bytes;
        uintptr_t at = (uintptr_t)sh_block_bytes(b);

        v.bytes = (void *)((at + p->align - 1) & ~(uintptr_t)(p->align - 1));
    }
    return v;
}

SH_HOT struct sh_value sh_record_value(struct sh_record *r)
{
    static const shunt_none none;
    unsigned kind = sh_load_rlx(&r->kind); /* relaxed: set before accepted */

    if (kind == SH_KIND_PROMISE)
        return promised_value(r);
    if (kind == SH_KIND_ANY || kind == SH_KIND_RACE)
        return (struct sh_value){ &r->data.combining.value,
                                  sizeof(shunt_winner), _Alignof(shunt_winner),
                                  "shunt_winner", true };
    if (sh_kind_combines(kind))
        return (
            struct sh_value){ &r->data.combining.value, sizeof(shunt_results),
                              _Alignof(shunt_results), "shunt_results", true };
    if (kind == SH_KIND_DELAY || kind == SH_KIND_HEED)
        return (struct sh_value){ (void *)(uintptr_t)&none, sizeof none,
                                  _Alignof(shunt_none), "shunt_none", false };
    return (struct sh_value){ sh_record_out(r), r->task->out_size_,
                              r->task->out_align_, r->task->out_type_, false };
}

/* Whether drop has yet to be called. In a process pool that is marked in the
 * record's arrivals before it is, since whoever does the same step again after
 * a death must not call it twice. */
static bool is_to_drop(const struct sh_pool *pool, struct sh_record *r)
{
    uint64_t old = sh_load_rlx(&r->deps); /* relaxed: the CAS validates it */

    if (!pool->shared)
        return true;
    do {
        if ((old & SH_DEPS_DROPPED) != 0)
            return false;
        /* relaxed: read by who repeats the step, which the death orders */
    } while (!sh_cas_rlx(&r->deps, &old, old | SH_DEPS_DROPPED));
    return true;
}

void sh_record_drop_in(struct sh_pool *pool, struct sh_record *r, unsigned kind)
{
    const shunt_task *t = r->task;

    if (t == NULL || t->traits_.drop == NULL || kind > SH_KIND_FORWARD)
        return;
    if ((kind == SH_KIND_TASK || (t->shape_ & SHUNT_SHAPE_STEP_) != 0) &&
        is_to_drop(pool, r))
        sh_call_hook(pool->id, t->traits_.drop, sh_record_in(r));
}
