/* SPDX-License-Identifier: MIT */
/*
 * future/value.h - values and errors of handles that were looked up, and memory
 * of users.
 *
 * Edges.
 *   registry task/registry.c
 *   settled  future/settle.c
 *   idle     future/settle.c
 *   free     task/data.c
 */
#ifndef SH_FUTURE_VALUE_H
#define SH_FUTURE_VALUE_H

#include "memory/heap.h"
#include "task/data.h"
#include "task/handle.h"

/* The value of a future that succeeded. False if it did not, or went away. */
bool sh_value_of(const struct sh_ref *ref, struct sh_value *value_out);

/* Whether two names of a type mean the same, "struct" or not, but for spaces;
 * an empty one is not known. */
bool sh_type_is(const char *a, const char *b);

/* Never NULL. Before it is lent to a user: sh_error_tell. */
const shunt_error *sh_error_of(const struct sh_ref *ref);

/* Of a handle to what has settled, is held by that handle alone, and has
 * nothing but its record: that, and its state. False if it is not as simple as
 * that. */
static inline bool sh_plain_find(uint64_t handle, struct sh_pool **pool_out,
                                 struct sh_record **record_out,
                                 uint64_t *word_out)
{
    /* acquire: registry */
    struct sh_pool *pool =
        sh_load_acq(&sh_self()->pools[sh_handle_pool(handle)]);
    const uint64_t odd = SH_WATCHED | SH_ALIASED | SH_LENT | SH_GONE |
                         SH_ORPHAN | SH_STAYS;
    const struct sh_seat *seat = sh_here.seat;
    struct sh_record *r;
    unsigned kind;
    uint64_t w;

    if (pool == NULL || seat == NULL ||
        sh_load_rlx(&seat->pool) != pool || /* relaxed: it is in use */
        !sh_pool_is_ours(pool) ||
        sh_handle_index(handle) >= pool->records.capacity)
        return false;
    r = sh_record_at(pool, sh_handle_index(handle));
    w = sh_load_acq(&r->state);   /* acquire: settled */
    kind = sh_load_rlx(&r->kind); /* relaxed: as state */
    if (sh_phase_of(w) != SH_DONE || (w & odd) != 0 ||
        !sh_handle_fits(handle, w) ||
        (kind > SH_KIND_RECOVER && kind != SH_KIND_DELAY) ||
        (r->out_at & SH_OUT_IN_BLOCK) != 0 ||
        sh_load_rlx(&r->attached) != NULL || /* relaxed: as state */
        sh_load_rlx(&r->input) != 0)         /* relaxed: as state */
        return false;
    *pool_out = pool;
    *record_out = r;
    *word_out = w;
    return true;
}

/* Give that handle back, and free its record, if nothing has changed: nobody
 * sees it in between, so that no shutdown waits for us. */
static inline bool sh_plain_free(uint64_t handle, struct sh_pool *pool,
                                 struct sh_record *r, uint64_t word)
{
    uint64_t next = ((word >> 32) + 1) << 32 | SH_FREE;
    struct sh_cache *c = &sh_here.seat->records;
    uint32_t index = sh_index_of(pool, r);

    /* Who finds it in our hand can tell that it was us. */
    if (SH_UNLIKELY(pool->shared)) {
        next |= (uint64_t)sh_owner_here() << 12;
        sh_table_hand(c, index, sh_owner_here());
    }
    if (!sh_cas_acqrel(&r->state, &word, next)) { /* acq_rel: idle, free */
        sh_table_unhand(c);
        return false;
    }
    sh_table_put_at(c, index, &r->link);
    sh_table_unhand(c);
    sh_table_gave(&pool->records, c);
    if (sh_here.run != NULL)
        sh_run_forget(sh_here.run, handle);
    return true;
}

/* The value of what a step of pool waited for, by the handle that it holds, if
 * that was made by a task, or step, of the same pool, and is what task takes;
 * NULL: it is not as simple as that. */
static inline const void *sh_plain_out(struct sh_pool *pool, uint64_t handle,
                                       const shunt_task *task)
{
    struct sh_record *r;
    unsigned kind;
    uint64_t w;

    if (sh_handle_pool(handle) != pool->id ||
        sh_handle_index(handle) >= pool->records.capacity)
        return NULL;
    r = sh_record_at(pool, sh_handle_index(handle));
    w = sh_load_acq(&r->state);   /* acquire: settled */
    kind = sh_load_rlx(&r->kind); /* relaxed: as state */
    if (!sh_is_settled(w) || sh_outcome_of(w) != 0 ||
        !sh_handle_same_use(handle, w) || kind < SH_KIND_TASK ||
        kind > SH_KIND_RECOVER || r->task->out_size_ != task->in_size_ ||
        r->task->out_align_ != task->in_align_)
        return NULL;
    return sh_record_out(r);
}

/* Take the block that begins at p out of its list, if the caller could free
 * it: 0, SHUNT_EINVAL or SHUNT_EFORKED. */
int sh_memory_claim(void *p, struct sh_block **block_out);

/* As shunt_error_of, but the backtrace may not be told. */
const shunt_error *sh_error_seen(shunt_future *f);

/* For shunt_last_error: a copy is kept. */
void sh_remember_error(const shunt_error *error);

/* The same of a call that has no future: code, and why, a sentence for good, or
 * NULL. Returns code. */
int sh_refuse(int code, const char *why);

/* The end of take and join, after the wait for ref ended with status. */
int sh_take_settled(struct sh_ref *ref, int status, void *out, size_t size,
                    bool joins);

#endif /* SH_FUTURE_VALUE_H */
