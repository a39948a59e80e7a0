/* SPDX-License-Identifier: MIT */
/*
 * future/combine.h - what a combinator has beside its record.
 *
 *     n <= 28     arrivals are bits of the record's own deps word
 *     n  > 28     leaves of 28 inputs, nodes of 28 leaves, ..., the record
 *     some        two bits an input, so 14 inputs a word: quorum.c
 *
 * The block belongs to whoever owns the record: its maker until it is
 * accepted, then whoever moves it to SETTLING, then whoever frees it. Those
 * who deliver arrivals never look into it; what they need is in the record
 * and the cells, which are type-stable.
 */
#ifndef SH_FUTURE_COMBINE_H
#define SH_FUTURE_COMBINE_H

#include "future/bridge.h"
#include "future/settle.h"

struct sh_combine {
    size_t bytes;  /* of this block */
    uint32_t n;    /* inputs */
    uint32_t held; /* of names, from the front: in INIT, may have been lent;
                    * at the end, still ours */
    uint32_t cells;
    uint32_t unhung; /* inputs before the first that we hang on: of these there
                      * is nothing in hung, whose pages nobody then touches */
    bool starved;    /* memory ran out: accept fails it */
    bool sifted;     /* of some: what it holds on to was chosen */
    /* KEEP: a handle that is given back at the end, or 0. Else: which input it
     * forwards, + 1, when that has been found out. */
    uint64_t spare;
    shunt_future **names;  /* lent handles of the inputs; of some, in the end,
                            * of those that were chosen */
    shunt_future **inputs; /* of the inputs */
    shunt_future **chosen; /* of some: room for as many */
    struct sh_hung *hung;  /* our edges, from input unhung on; target 0: none
                            * hangs there */
    size_t *indices;       /* of some; KEEP: the names of what it waits for */
    uint32_t *cell;        /* the cells of the tree */
};

/* If tasks that the ending one submitted are still pending, make a keeper that
 * waits for them: its record is KEPT as long. False if none is. */
bool sh_keep(struct sh_run *run);

/* The process of a run has died, maybe while it held some of what its ledger
 * names for a keeper: it does so no more. */
void sh_keep_unhold(struct sh_work *work, struct sh_run *run);

/* A keeper is about to let go. True if the code of something that it waited for
 * runs on: then it does so later. */
bool sh_keep_postpone(struct sh_work *work, struct sh_pool *pool,
                      struct sh_record *r);

/* Code that ran on has returned: let those go that were postponed. */
void sh_keep_returned(struct sh_work *work, struct sh_pool *pool);

/* The same, of what has returned in any process. By the host. */
void sh_keep_look(struct sh_pool *pool);

/* Whether a name of the ledger is a future of the run's pool that has not
 * settled, or whose code runs on, whoever holds it by now. */
bool sh_is_pending_child(const struct sh_run *run, uint64_t name);

/* Free the block of a combinator whose pool is going away. */
void sh_combine_wreck(struct sh_pool *pool, struct sh_record *r);

/* How the verdict of a combinator came about. */
enum sh_verdict {
    SH_VERDICT_NONE,
    SH_VERDICT_FULL, /* everybody has arrived */
    SH_VERDICT_WIN,  /* this input decides: a success */
    SH_VERDICT_FAIL, /* this input decides: a failure */
    SH_VERDICT_SHORT /* the quorum is out of reach */
};

static inline uint64_t sh_verdict_make(uint32_t generation,
                                       enum sh_verdict code, uint32_t index)
{
    return (uint64_t)generation << 32 | (uint64_t)code << 24 | index;
}

static inline enum sh_verdict sh_verdict_code(uint64_t v)
{
    return (enum sh_verdict)(v >> 24 & 0xff);
}

static inline uint32_t sh_verdict_index(uint64_t v)
{
    return (uint32_t)v & 0xffffff;
}

/* A record in INIT of that kind, with room for n inputs and its tree of cells
 * built; NULL if there is no memory. */
struct sh_record *sh_combine_new(struct sh_pool *pool, struct sh_seat *seat,
                                 unsigned kind, uint32_t n, uint32_t quorum);

/* Where its input number i arrives. */
uint64_t sh_combine_target(struct sh_pool *pool, struct sh_record *r,
                           uint32_t i);

/* Lend it the handle of ref, as its input number i; those before it have been.
 * False if ref's handle is good no more. */
bool sh_combine_lend(struct sh_record *r, uint32_t i, struct sh_ref *ref);

/* Hang it on its input number i, which ref was just lent from; those before it
 * have been looked at. */
void sh_combine_hang(struct sh_work *work, struct sh_pool *pool,
                     struct sh_record *r, uint32_t i, const struct sh_ref *ref);

/* It does not hang on its input number i. */
static inline void sh_combine_unhung(struct sh_combine *c, uint32_t i)
{
    if (c->unhung < i)
        c->hung[i].target = 0;
    else
        c->unhung = i + 1;
}

/* A record in INIT that waits for all its inputs: those of a leaf that bits
 * names had succeeded as they were lent to it. */
void sh_combine_note(struct sh_work *work, struct sh_pool *pool,
                     struct sh_record *r, uint32_t leaf, uint32_t bits);

/* All inputs hang: from now on it can settle. */
void sh_combine_accept(struct sh_work *work, struct sh_pool *pool,
                       struct sh_record *r);

/* One of the inputs was no handle: it fails with that code instead. */
void sh_combine_refuse(struct sh_work *work, struct sh_pool *pool,
                       struct sh_record *r, int code);

/* A combinator in SETTLING: hold on to what its outcome needs, let go of the
 * rest. Returns the outcome, which may have become a forwarded one. */
unsigned sh_combine_conclude(struct sh_work *work, struct sh_pool *pool,
                             struct sh_record *r, unsigned outcome);

/* Take our edge off input i and let it go. */
void sh_combine_let_go(struct sh_work *work, struct sh_pool *pool,
                       struct sh_combine *c, uint32_t i);

/* Hold on to inputs of one sort, at most `most`, and let the others go. */
void sh_combine_sift(struct sh_work *work, struct sh_pool *pool,
                     struct sh_combine *c, bool good, uint32_t most);

/* The outcome of one whose inputs have failed, with an error that has theirs as
 * causes. */
unsigned sh_combine_fail(struct sh_pool *pool, struct sh_record *r);

/* A combinator in RELEASING: give everything back. */
void sh_combine_dispose(struct sh_work *work, struct sh_pool *pool,
                        struct sh_record *r, unsigned outcome);

/* An input of a combinator has arrived. leaf, bit, generation: where that is
 * noted; up: where a full leaf goes; number: of the input. */
struct sh_tally {
    uint32_t root, root_generation;
    _Atomic uint64_t *leaf;
    uint32_t generation;
    unsigned bit, need;
    uint64_t up; /* 0: the leaf is the root's own word */
    uint32_t number;
};
/* The i-th cell of c as a target of this use; and its fields. */
uint64_t sh_combine_cell(struct sh_pool *pool, const struct sh_combine *c,
                         uint32_t i, unsigned bit);
void sh_combine_build(struct sh_pool *pool, struct sh_record *r,
                      const struct sh_combine *c, uint32_t i, uint64_t up,
                      uint32_t base, uint32_t need);

/* Of some: how many inputs have their arrivals in a word; how many cells it
 * takes; fill them in; and the verdict after an arrival, if there is one. */
#define SH_QUORUM_FANOUT 14u
uint32_t sh_quorum_cells(uint32_t n);
void sh_quorum_build(struct sh_pool *pool, struct sh_record *r,
                     struct sh_combine *c, uint32_t quorum);
enum sh_verdict sh_quorum_arrive(struct sh_pool *pool, const struct sh_tally *t,
                                 bool good);

void sh_combine_arrive(struct sh_work *work, struct sh_pool *pool,
                       const struct sh_tally *t, bool good);

#endif /* SH_FUTURE_COMBINE_H */
