/* SPDX-License-Identifier: MIT */
/*
 * task/data.h - making records, and where a record's input and value lie.
 *
 *     task, step   | in or ctx | out |        inline if it fits 48 bytes
 *     attempt      | ticket | out |           likewise: task/ticket.h
 *     retry        | ticket |
 *     promise      | type size align | value |
 *     combinator   | shunt_results or shunt_winner | ... |
 */
#ifndef SH_TASK_DATA_H
#define SH_TASK_DATA_H

#include <string.h>

#include "task/run.h"

/* A record in INIT, all its words set up; NULL if there is no memory. task
 * may be NULL for kinds without one. */
struct sh_record *sh_record_new(struct sh_pool *pool, struct sh_seat *seat,
                                unsigned kind, const shunt_task *task,
                                const char *where);

/* The part of make_data that is not for the usual small values. */
bool sh_record_make_room(struct sh_pool *pool, struct sh_record *r);

/* Make room for the data of a task or step. False: no memory. */
static inline bool sh_record_make_data(struct sh_pool *pool,
                                       struct sh_record *r)
{
    const shunt_task *t = r->task;
    unsigned rest = r->out_at & ~SH_PLACED;
    size_t half = (rest == SH_BOUND ? SH_BOUND_AT : SH_INLINE_BYTES) / 2;

    if (SH_LIKELY(t->in_size_ <= half && t->out_size_ <= half &&
                  (t->in_align_ | t->out_align_) < 16 &&
                  (rest == 0 || rest == SH_BOUND) &&
                  (t->shape_ & SHUNT_SHAPE_STEP_) == 0)) {
        sh_store_bare_rlx(&r->out_at,
                          (uint8_t)(r->out_at | half)); /* relaxed: as task */
        return true;
    }
    return sh_record_make_room(pool, r);
}

/* memcpy, of what is mostly a word. */
static inline void sh_copy(void *to, const void *from, size_t size)
{
    if (SH_LIKELY(size == sizeof(uint64_t)))
        memcpy(to, from, sizeof(uint64_t));
    else
        memcpy(to, from, size);
}

void sh_record_free_data(struct sh_pool *pool, struct sh_record *r);

/* Make room for a bound, before there is any other data. */
static inline struct sh_bound *sh_record_bind(struct sh_record *r)
{
    SH_ASSERT((r->out_at & ~SH_PLACED) == 0);
    sh_store_bare_rlx(&r->out_at, r->out_at | SH_BOUND); /* relaxed: as task */
    *sh_bound_of(r) = (struct sh_bound){ .deadline_ns = INT64_MAX };
    return sh_bound_of(r);
}

/* A task, or step, that may be run again when its process has died has to know
 * how often; not one that is to run in the host. Before there is any other
 * data. */
static inline void sh_record_bind_retries(const struct sh_pool *pool,
                                          struct sh_record *r, unsigned retries)
{
    const shunt_traits *t = &r->task->traits_;

    if (SH_LIKELY(!pool->shared || !t->idempotent) || sh_is_for_host(r))
        return;
    if (!sh_is_bound(r))
        (void)sh_record_bind(r);
    if (t->retries > retries)
        retries = t->retries;
    sh_bound_of(r)->retries =
        (uint16_t)(retries < UINT16_MAX ? retries : UINT16_MAX);
}

/* A record in INIT or RELEASING, seen with word, becomes FREE. */
void sh_record_retire(struct sh_pool *pool, struct sh_seat *seat,
                      struct sh_record *r, uint64_t word);

/* In (of a task) or ctx (of a step), and out, when they are in a block. */
void *sh_block_in(struct sh_record *r);
void *sh_block_out(struct sh_record *r);

/* The same, wherever they are. */
static inline void *sh_record_in(struct sh_record *r)
{
    return SH_LIKELY((r->out_at & SH_OUT_IN_BLOCK) == 0) ? r->data.bytes
                                                         : sh_block_in(r);
}

static inline void *sh_record_out(struct sh_record *r)
{
    return SH_LIKELY((r->out_at & SH_OUT_IN_BLOCK) == 0)
               ? r->data.bytes + (r->out_at & SH_OUT_AT)
               : sh_block_out(r);
}

_Static_assert(SH_INLINE_BYTES % 8 == 0 && SH_BOUND_AT % 8 == 0, "words");

/* The same, of a task's own record, all zero: a task need not write its result.
 * By words: some C libraries have memset write so little through a mask, and
 * some CPUs have what comes next to it wait for that, and a locked instruction
 * most of all: it was a fifth of a small task. */
static inline void *sh_record_out_clear(struct sh_record *r)
{
    size_t size = r->task->out_size_;
    char *out;

    if (SH_UNLIKELY((r->out_at & SH_OUT_IN_BLOCK) != 0))
        return memset(sh_block_out(r), 0, size);
    out = (char *)r->data.bytes + (r->out_at & SH_OUT_AT);
    /* Until the end of the last word the data are its own. */
    for (size_t i = 0; i < size; i += sizeof(uint64_t))
        sh_store_bare_rlx((uint64_t *)(void *)(out + i), 0); /* relaxed: ours,
                                                              * published by
                                                              * settling */
    return out;
}

struct sh_value {
    void *bytes;
    size_t size, align;
    const char *type;
    bool lent_only; /* shunt_results, shunt_winner */
};

/* Whether the value of a promise lies in its record, and not in a block. */
static inline bool sh_promised_is_inside(const struct sh_promised *p)
{
    return p->size <= SH_INLINE_BYTES - sizeof *p && p->align <= 16;
}

/* What a record that succeeded, not forwarded, has as its value. */
struct sh_value sh_record_value(struct sh_record *r);

/* Call the drop hook of a record whose task no longer runs, if it has one. */
void sh_record_drop_in(struct sh_pool *pool, struct sh_record *r,
                       unsigned kind);

/* The status with which a task must not be accepted, or 0. */
static inline int sh_task_check(const struct sh_pool *pool,
                                const shunt_task *task)
{
    const shunt_traits *t = &task->traits_;

    if (task->size_ < sizeof *task || task->call_ == NULL)
        return SHUNT_EINVAL;
    if (t->retries > 0 && !t->idempotent)
        return SHUNT_EINVAL;
    if ((t->untrusted || t->thread_unsafe) && !pool->allow_unsafe &&
        !pool->shared)
        return SHUNT_ENOTSUP;
    return 0;
}

#endif /* SH_TASK_DATA_H */
