/* SPDX-License-Identifier: MIT */
/*
 * task/record.h - what there is of a future: 128 bytes, named by index.
 *
 * Idea. The first line holds what moves, the second the task's data. Small
 * inputs and results lie in the record itself. Tables are type-stable: a
 * reader with a stale name reads a live record, finds another generation in
 * the word that it was going to change, and goes away. Every word that others
 * change is therefore tagged with a generation, and what they read beforehand
 * is atomic.
 *
 * Edges to dependants are words too: EMPTY, a target, DEAD (its dependant no
 * longer waits; may be reused) or CLOSED (the future has settled; whoever
 * comes now delivers to itself).
 */
#ifndef SH_TASK_RECORD_H
#define SH_TASK_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/atomic.h"
#include "memory/heap.h"
#include "shunt/compose.h"
#include "task/state.h"

#define SH_INLINE_BYTES 48

/* In deps of what runs a function: its .drop was called, or is about to be. No
 * arrival has this bit. */
#define SH_DEPS_DROPPED ((uint64_t)1 << 26)

/* What out_at says beside the place of out, if anything. */
#define SH_OUT_IN_BLOCK 0x80u /* in and out are in data.block */
#define SH_BOUND 0x40u        /* the end of data is a struct sh_bound */
#define SH_OUT_AT 0x38u
/* And where it runs, from when it is made on. Of an auto pool: on threads of
 * the host; */
#define SH_FOR_HOST 0x01u
/* nobody is woken for it: who awaits it runs it, or who is awake; */
#define SH_AT_AWAIT 0x02u
/* its worker does not count meanwhile; */
#define SH_BLOCKS 0x04u
/* both of these: none of that, but each run of it is looked at; */
#define SH_EACH 0x06u
/* all three: on threads of the host since the caller said so. */
#define SH_SAID_HOST 0x07u
#define SH_PLACED 0x07u

enum sh_kind {
    SH_KIND_NONE,     /* INIT, as long as its data are not those of a kind */
    SH_KIND_TASK = 1, /* runs its function when it is ready ... */
    SH_KIND_THEN,     /* ... if input succeeded; else forwards it */
    SH_KIND_RECOVER,  /* ... if input failed; else forwards it */
    SH_KIND_FINALLY,  /* ... and then forwards input */
    SH_KIND_FORWARD,  /* becomes what input becomes */
    SH_KIND_PROMISE,
    SH_KIND_ALL,
    SH_KIND_SETTLED,
    SH_KIND_ANY,
    SH_KIND_RACE,
    SH_KIND_SOME,
    SH_KIND_KEEP,  /* clears KEPT of a task when what it waits for settled */
    SH_KIND_DEAL,  /* runs the elements of a map; not a future of the user */
    SH_KIND_DELAY, /* succeeds when its time has come */
    SH_KIND_HEED,  /* succeeds when a running task is asked to cancel */
    SH_KIND_TRY,   /* an attempt of a retry: runs as a task of its own does */
    SH_KIND_RETRY, /* becomes what one of its attempts becomes */
    SH_KIND_SCOPE  /* ends when what is in it has; not a future of the user */
};

/* Beside a kind: its function has run and returned a future, of which the
 * record takes the outcome. */
#define SH_KIND_FLAT 0x80u

/* A task that reads an input of its own. */
static inline bool sh_kind_is_task(unsigned kind)
{
    return kind == SH_KIND_TASK || kind == SH_KIND_TRY;
}

static inline bool sh_kind_combines(unsigned kind)
{
    return kind >= SH_KIND_ALL && kind <= SH_KIND_KEEP;
}

/* In the shape of the task that runs a spawned call: worker/frames.c. */
#define SH_SHAPE_TAKEN 0x80000000u

struct sh_combine; /* future/combine.h */

/* The value of a promise begins behind this. */
struct sh_promised {
    const char *type;
    uint32_t size, align;
};

/* The small data of a combinator, behind its value. */
struct sh_combining {
    union {
        shunt_results results;
        shunt_winner winner;
    } value;
    struct sh_combine *more;
    _Atomic uint32_t count, quorum;
};

/* What bounds a task, or what follows another future, in time. Written before
 * it is accepted. */
struct sh_bound {
    int64_t deadline_ns; /* of the pool's clock; INT64_MAX: none */
    uint32_t scope;      /* that it was submitted in, or 0: future/scope.h */
    uint16_t retries;    /* how often it may run again after a crash, */
    uint16_t crashes;    /* and how often it has crashed; the warden's */
};

/* The data of a scope. Only who is in it looks here. */
struct sh_scoping {
    int64_t deadline_ns;     /* of the pool's clock; INT64_MAX: none */
    _Atomic uint64_t spares; /* cells to use again: tag 32 | index 32 */
    _Atomic uint32_t cells;  /* of its children, and the spares: a list */
    _Atomic uint32_t next;   /* the number of the next child */
    _Atomic uint32_t kept;   /* failures, of a scope that forgets */
    uint32_t hook;           /* of its edge on the task that opened it */
    _Atomic uint64_t closer; /* the name of the task that closes it, 1 if
                              * that is none of its pool's, or 0 */
};

struct sh_record {
    _Atomic uint64_t state; /* task/state.h */
    /* generation 32 | arrived 32; of a failure SEEN; DROPPED; of a scope:
     * generation 32 | the scope of who opened it 32 */
    _Atomic uint64_t deps;
    _Atomic uint64_t edge0; /* the first dependant; see future/edge.h */
    /* generation 32 | handles but the primary 32; of a scope:
     * generation 32 | flags 8 | who is in it 24 */
    _Atomic uint64_t hold;
    /* Kind ALL to KEEP: the verdict, generation 32 | code 8 | index 24.
     * HEED and SCOPE, while they wait: whose they are. Else: the handle of the
     * future that it waits for or forwards to; while RUNNING or PARKED, its run
     * (but RETRY); of a promise, who listens for a cancel. */
    _Atomic uint64_t input;
    const shunt_task *task;
    _Atomic(struct sh_block *) attached; /* freed with the record */
    _Atomic uint32_t edges; /* further dependants: a list of sh_edge */
    /* Next in a list that holds records. Of one that is pending and in none: a
     * stamp, when it was made. */
    _Atomic uint32_t link;

    _Alignas(16) union {
        unsigned char bytes[SH_INLINE_BYTES];
        struct sh_block *block; /* if bytes are too few */
        struct sh_promised promised;
        struct sh_combining combining;
        struct sh_scoping scoping;
    } data;
    const char *where;
    _Atomic uint32_t dead; /* DEAD edges: tag 8 | index 24 */
    _Atomic uint8_t kind;  /* enum sh_kind */
    uint8_t out_at; /* of data, where out begins, in eights; and see above */
    uint16_t link_pool;    /* the pool of link in a list of a settler */
};

_Static_assert(sizeof(struct sh_record) == 128, "two cache lines");
_Static_assert(offsetof(struct sh_record, data) == 64, "data is the second");
_Static_assert(sizeof(struct sh_combining) <= SH_INLINE_BYTES, "inline");
_Static_assert(sizeof(struct sh_scoping) <= SH_INLINE_BYTES, "inline");

#define SH_BOUND_AT (SH_INLINE_BYTES - sizeof(struct sh_bound))

/* The task of a record that is not claimed, and may be another's meanwhile,
 * with another task or none: so this is read once. Of what has been a task of
 * the pool the description is there, in the host at least. */
static inline const shunt_task *sh_task_seen(const struct sh_record *r)
{
    return sh_load_bare_rlx(&r->task); /* relaxed: the claim validates it */
}

/* Who looks through the table may come upon one that is being made. */
static inline unsigned sh_placed(const struct sh_record *r)
{
    /* relaxed: accepted orders it for who may use it */
    return sh_load_bare_rlx(&r->out_at);
}

static inline bool sh_is_for_host(const struct sh_record *r)
{
    return (sh_placed(r) & SH_FOR_HOST) != 0;
}

static inline bool sh_is_inline(const struct sh_record *r)
{
    return (sh_placed(r) & (SH_AT_AWAIT | SH_BLOCKS)) == SH_AT_AWAIT;
}

static inline bool sh_blocks(const struct sh_record *r)
{
    return (sh_placed(r) & (SH_AT_AWAIT | SH_BLOCKS)) == SH_BLOCKS;
}

/* Say so, of a record that is the caller's alone. */
static inline void sh_place_at(struct sh_record *r, unsigned placed)
{
    unsigned rest = r->out_at & ~SH_PLACED;

    sh_store_bare_rlx(&r->out_at, (uint8_t)(rest | placed)); /* relaxed: as
                                                              * above */
}

/* Of a record that was accepted it stays so. */
static inline bool sh_is_bound(const struct sh_record *r)
{
    /* As above: who passes it on (worker/passing.c) writes the byte anew, and
     * the timekeeper may look meanwhile. */
    return (sh_placed(r) & SH_BOUND) != 0;
}

static inline struct sh_bound *sh_bound_of(struct sh_record *r)
{
    SH_ASSERT(sh_is_bound(r));
    return (struct sh_bound *)(void *)(r->data.bytes + SH_BOUND_AT);
}

/* Whether it has a deadline, or is in a scope. What may only run again after a
 * crash is bound as well. */
static inline bool sh_is_limited(const struct sh_record *r)
{
    const struct sh_bound *b = (const void *)(r->data.bytes + SH_BOUND_AT);

    /* relaxed: who has not claimed it may read what is another's by now; the
     * claim tells */
    return sh_is_bound(r) && (sh_load_bare_rlx(&b->deadline_ns) != INT64_MAX ||
                              sh_load_bare_rlx(&b->scope) != 0);
}

/* Whether it is the child of a scope. */
static inline bool sh_is_in_scope(struct sh_record *r)
{
    return sh_is_bound(r) && sh_bound_of(r)->scope != 0;
}

/* An extra handle. */
struct sh_alias {
    _Atomic uint64_t word; /* task/handle.c */
    _Atomic uint32_t link, chain;
};

/* A dependant beyond the first. Belongs to the record that it hangs on. */
struct sh_edge {
    _Atomic uint64_t target;
    _Atomic uint32_t next;      /* in the record's list */
    _Atomic uint32_t dead_next; /* in its list of DEAD edges */
};

enum sh_cell_kind {
    SH_CELL_NODE = 1, /* of a combinator: 28 arrivals, or how many to go */
    SH_CELL_WAITER,   /* a thread outside sleeps on it */
    SH_CELL_BRIDGE,   /* passes an arrival on to a record of another pool */
    SH_CELL_CALL,     /* calls a function of the host */
    SH_CELL_CHILD     /* a child of a scope: up its handle or 0, chain its
                       * number or the next spare, base the scope's record */
};

#define SH_FANOUT 28u /* arrivals a word */

/* Something that arrivals are counted in, but not a record. */
struct sh_cell {
    _Atomic uint64_t word; /* generation 32 | arrived, or to go, 32 */
    /* A target: of the combinator's tree, or bridged. CALL: the address of a
     * struct sh_call. */
    _Atomic uint64_t up;
    _Atomic uint32_t link, chain;
    /* NODE: the combinator's first input below it. BRIDGE: the serial number
     * of the pool of up. CALL: its generation, inverted. */
    _Atomic uint32_t base;
    _Atomic uint8_t need; /* NODE: how many arrivals make it full; else, of
                           * some, with pool: future/quorum.c */
    _Atomic uint8_t kind;
    /* BRIDGE: the pool of up. CALL: the process that up is an address of: 0 the
     * host, else the worker's index + 1. */
    _Atomic uint16_t pool;
};
_Static_assert(sizeof(struct sh_cell) == 32, "two to a line");

#endif /* SH_TASK_RECORD_H */
