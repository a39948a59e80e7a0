/* SPDX-License-Identifier: MIT */
/*
 * task/handle.h - what users hold: names of records that are given back once.
 *
 *     pool 12 | index 24 | lent 1 | generation 27
 *
 * The primary handle of a record has the record's index and generation, and
 * whether it was given back stands in the state word: submit and take need no
 * other memory. Further handles are aliases: a table of words of their own,
 * with bit 23 of the index set. See handle.c.
 *
 * A consumed handle becomes lent: the same name with the lent bit, held by
 * the record that consumed it. The name without the bit is then invalid. What
 * holds a handle only for a while, as a queue does, makes it the user's again.
 *
 * Index 0xffffff is reserved for handles without a record: a submit that
 * failed (the generation is the code), and an empty success.
 */
#ifndef SH_TASK_HANDLE_H
#define SH_TASK_HANDLE_H

#include "task/run.h"

#define SH_HANDLE_LENT ((uint64_t)1 << 27)
#define SH_HANDLE_GENERATION (SH_HANDLE_LENT - 1)
#define SH_HANDLE_RESERVED 0xffffffu
#define SH_ALIAS_BIT (1u << 23)
#define SH_ALIAS_SHIFT 37     /* of the generation in the word of an alias */
#define SH_RESERVED_EMPTY 64u /* an empty shunt_results */

static inline uint64_t sh_handle_make(unsigned pool, uint32_t index,
                                      uint32_t generation)
{
    return (uint64_t)pool << 52 | (uint64_t)index << 28 |
           (generation & SH_HANDLE_GENERATION);
}

static inline unsigned sh_handle_pool(uint64_t h)
{
    return (unsigned)(h >> 52);
}

static inline uint32_t sh_handle_index(uint64_t h)
{
    return (uint32_t)(h >> 28) & 0xffffff;
}

static inline shunt_future *sh_handle_future(uint64_t h)
{
    return (shunt_future *)(uintptr_t)h;
}

static inline uint64_t sh_handle_of(shunt_future *f)
{
    return (uint64_t)(uintptr_t)f;
}

/* The future that a submit returns when it fails with code. */
static inline shunt_future *sh_handle_failed(unsigned pool, int code)
{
    return sh_handle_future(
        sh_handle_make(pool, SH_HANDLE_RESERVED, sh_outcome_from(code)));
}

static inline shunt_future *sh_handle_empty(unsigned pool)
{
    return sh_handle_future(
        sh_handle_make(pool, SH_HANDLE_RESERVED, SH_RESERVED_EMPTY));
}

/* A handle that was looked up. */
struct sh_ref {
    uint64_t handle;
    struct sh_pool *pool;     /* NULL if reserved, without a pool */
    struct sh_record *record; /* NULL if reserved */
    uint64_t word;            /* the record's state as it was seen */
    unsigned reserved;        /* the reserved value, if there is no record */
};

/* Fetch the record of a handle of this pool, if it is its primary one. */
static inline void sh_handle_prefetch(struct sh_pool *pool, uint64_t handle)
{
    uint32_t index = sh_handle_index(handle);

    if (index < pool->records.capacity)
        __builtin_prefetch(sh_record_at(pool, index), 1);
}

enum sh_handle_use {
    SH_LOOK, /* lent handles too */
    SH_OWN   /* only one that the caller can give back */
};

/* Whether a primary handle, or a promise, is of the use of its record that the
 * state word is of. */
static inline bool sh_handle_same_use(uint64_t handle, uint64_t word)
{
    return ((word >> 32 ^ handle) & SH_HANDLE_GENERATION) == 0;
}

/* Whether a primary handle, not lent, is good for a record in that state. */
static inline bool sh_handle_fits(uint64_t handle, uint64_t word)
{
    return sh_handle_same_use(handle, word) && (handle & SH_HANDLE_LENT) == 0 &&
           (word & (SH_GONE | SH_LENT)) == 0 && sh_is_live(word);
}

/* 0, SHUNT_EINVAL or SHUNT_EFORKED. */
int sh_handle_find(uint64_t handle, enum sh_handle_use use,
                   struct sh_ref *ref_out);

/* The status of a reserved handle. */
static inline int sh_reserved_status(unsigned reserved)
{
    return reserved == SH_RESERVED_EMPTY ? 0 : sh_outcome_code(reserved);
}

/* Make ref's handle lent, and set add_flags in its record's state at the same
 * time. ref->handle and ref->word are then the new ones. False if somebody
 * was first. Not for reserved handles, which need no owner. */
bool sh_handle_lend(struct sh_ref *ref, uint64_t add_flags);

/* The reverse: ref's lent handle, which the caller holds, is a user's again, by
 * the name that it had. ref->handle and ref->word are then the new ones. False
 * if it is not lent any more. */
bool sh_handle_unlend(struct sh_ref *ref);

enum sh_given {
    SH_GIVEN_INVALID, /* it was not the caller's to give */
    SH_GIVEN,         /* other handles are left, or the settler will free it */
    SH_GIVEN_LAST     /* the caller has moved the record to RELEASING */
};

/* Give back the handle of ref, lent or not. */
enum sh_given sh_handle_give(struct sh_ref *ref);

/* Count one more holder of ref's record, which somebody holds already: it is
 * not freed until unpin, whoever gives handles back meanwhile. False if that
 * was done before. If unpin says SH_GIVEN_LAST, the caller frees the record.
 * For whom: an alias, or a run, which then notes it, between pin and pinned;
 * and strikes it out between unpinning and unpin. */
bool sh_handle_pin(const struct sh_ref *ref, uint64_t whom);
void sh_handle_pinned(const struct sh_ref *ref);
void sh_handle_unpinning(const struct sh_ref *ref, uint64_t whom);
enum sh_given sh_handle_unpin(struct sh_ref *ref);

/* Before anything that the dead worker at that place held is given back: it may
 * have counted somebody, and not noted it, or the reverse. If it is
 * SH_GIVEN_LAST, the caller frees the record of *ref_out. */
enum sh_given sh_handle_mend(struct sh_pool *pool, unsigned place,
                             struct sh_ref *ref_out);

/* Somebody, or that owner, may have died between giving the last handle of
 * ref's record back and seeing it off. */
enum sh_given sh_handle_reclose(struct sh_ref *ref, unsigned owner);

/* What the scope of a record counts for in its hold: a pin that is told from
 * all others, since a scope does not want its children for itself. */
#define SH_HOLD_SCOPE (1u << 31)
enum sh_given sh_handle_unscope(struct sh_ref *ref);

/* Another handle to ref's record; 0 if there is no memory or ref has gone. run
 * is that of the task which gets it, and is to give it back at its end; NULL:
 * nobody's. */
uint64_t sh_handle_alias(struct sh_seat *seat, const struct sh_ref *ref,
                         struct sh_run *run);

/* The same, lent to a record or a run from the start. */
uint64_t sh_handle_alias_lent(const struct sh_ref *ref);

/* Whether an alias, of its table, is a handle. */
bool sh_alias_is_held(struct sh_pool *pool, uint32_t index);

/* Whether the handle of ref is the only one of its record, but for what a
 * scope counts for. */
bool sh_handle_is_sole(const struct sh_ref *ref);

#endif /* SH_TASK_HANDLE_H */
