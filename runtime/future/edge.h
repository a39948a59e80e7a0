/* SPDX-License-Identifier: MIT */
/*
 * future/edge.h - who waits for a future, and telling them. See edge.c.
 *
 * A target is a word that says whom an arrival reaches:
 *
 *     kind 2 | - 1 | bit 5 | index 24 | generation 32
 *
 * the record or cell, which of its arrivals it is, and the generation of the
 * word in which arrivals are set: a target of an earlier use does nothing.
 */
#ifndef SH_FUTURE_EDGE_H
#define SH_FUTURE_EDGE_H

#include "task/handle.h"

#define SH_TARGET_RECORD ((uint64_t)1 << 62)
#define SH_TARGET_CELL ((uint64_t)2 << 62)
#define SH_EDGE_EMPTY ((uint64_t)0)
#define SH_EDGE_DEAD ((uint64_t)3 << 62)
#define SH_EDGE_CLOSED ((uint64_t)3 << 62 | 1)
#define SH_EDGES_CLOSED (1u << 31) /* of the list's head */

static inline uint64_t sh_target(uint64_t kind, uint32_t index, unsigned bit,
                                 uint32_t generation)
{
    return kind | (uint64_t)bit << 56 | (uint64_t)index << 32 | generation;
}

static inline uint64_t sh_target_kind(uint64_t t)
{
    return t & (uint64_t)3 << 62;
}

static inline unsigned sh_target_bit(uint64_t t)
{
    return (unsigned)(t >> 56) & 31;
}

static inline uint32_t sh_target_index(uint64_t t)
{
    return (uint32_t)(t >> 32) & 0xffffff;
}

static inline uint32_t sh_target_generation(uint64_t t)
{
    return (uint32_t)t;
}

/* Bits of an arrivals word beyond those of inputs, 28 at most. */
#define SH_BIT_SLEEPS 31u /* of a waiter, which sleeps: ring the futex */
#define SH_BIT_SEEN 30u   /* of a record that failed: see unseen.c */

#define SH_BIT_HEED 29u  /* a task that is heeded was asked, or has ended */
#define SH_BIT_CHILD 28u /* the child of a scope has settled */

/* Whether a target is that of a future of shunt_cancel_future, or of a scope
 * that is cancelled with the task. */
static inline bool sh_is_heed(uint64_t t)
{
    return sh_target_kind(t) == SH_TARGET_RECORD &&
           sh_target_bit(t) == SH_BIT_HEED;
}

/* Whether a target is that of a scope, which waits for its children but does
 * not want them. */
static inline bool sh_is_child(uint64_t t)
{
    return sh_target_kind(t) == SH_TARGET_CELL &&
           sh_target_bit(t) == SH_BIT_CHILD;
}

enum sh_arrived {
    SH_ARRIVED_STALE, /* the word is of another use */
    SH_ARRIVED_AGAIN, /* it was set before */
    SH_ARRIVED_NEW
};

/* Set an arrival. word_out, if not NULL, gets the word as it then is. */
enum sh_arrived sh_arrive(_Atomic uint64_t *word, uint32_t generation,
                          unsigned bit, uint64_t *word_out);

/* Begin another use of an arrivals word; its new generation. Owner only. */
uint32_t sh_arrivals_renew(_Atomic uint64_t *word);

/* The same of a record whose code runs. It may have been given up, and its
 * failure looked at: that stays noted. */
uint32_t sh_deps_renew(struct sh_record *r);

/* Where an edge hangs: 0 the record's first, else an index of edges. */
typedef uint32_t sh_hook;

enum sh_attached {
    SH_ATTACHED,
    SH_ATTACH_SETTLED, /* the future has settled: deliver to yourself */
    SH_ATTACH_NOMEM
};

/* Hang a dependant on a record that the caller holds by a handle, and has seen
 * in that generation. SETTLED too if it is gone. */
enum sh_attached sh_edge_attach(struct sh_pool *pool, struct sh_record *r,
                                uint32_t generation, uint64_t target,
                                sh_hook *hook_out);

/* Take it off again. False if it is being, or was, delivered. */
bool sh_edge_detach(struct sh_pool *pool, struct sh_record *r, sh_hook hook,
                    uint64_t target);

/* Whether some dependant is still waiting, but what only heeds it, and the
 * scope that it is in. */
bool sh_edge_any(struct sh_pool *pool, struct sh_record *r);

/* Called for each target as its edge is closed; may be called twice for the
 * same target. False if this process cannot deliver it: the edge is left. */
typedef bool sh_deliver(void *to, struct sh_pool *pool, uint64_t target);

/* Close all edges of a record that is COMPLETE, delivering as it goes. False if
 * some were left. */
bool sh_edge_close(struct sh_pool *pool, struct sh_record *r,
                   sh_deliver *deliver, void *to);

/* The only target that hangs on a record of a thread pool, which has settled
 * with word, if that is the holder of the handle which was lent: nobody else
 * can come, so the edges need not be closed. 0: it is not as simple as that. */
uint64_t sh_edge_sole(struct sh_pool *pool, struct sh_record *r, uint64_t word);

/* What hangs on a record first, if it is a record, will be looked at soon. */
static inline void sh_edge_prefetch(struct sh_pool *pool, struct sh_record *r)
{
    uint64_t e = sh_load_rlx(&r->edge0); /* relaxed: a guess */

    if (sh_target_kind(e) == SH_TARGET_RECORD)
        sh_table_prefetch(&pool->records, sh_target_index(e));
}

/* Give the edges of a record that is RELEASING back. */
void sh_edge_free(struct sh_pool *pool, struct sh_record *r);

#endif /* SH_FUTURE_EDGE_H */
