/* SPDX-License-Identifier: MIT */
/*
 * queue/split.h - a split deque of frames: one for each shunt_fork at work.
 *
 * The owner's end is no word of it: it is a parameter of the functions that
 * spawn (shunt/forkjoin.h), and lives in a register.
 *
 * Edges.
 *   publish  split.c
 */
#ifndef SH_QUEUE_SPLIT_H
#define SH_QUEUE_SPLIT_H

#include "base/assert.h"
#include "base/atomic.h"
#include "shunt/forkjoin.h"

#ifndef SH_SPLIT_SLOTS
#define SH_SPLIT_SLOTS 65536u
#endif

/* How many spawns in a row publish, once somebody has asked: whoever that was
 * may need more than one, and others may wait who have asked before. */
#ifndef SH_SPLIT_EAGER
#define SH_SPLIT_EAGER 16u
#endif

struct sh_split {
    shunt_split_ owner; /* what the inline code uses; limit_ is written by
                         * thieves, too */
    shunt_slot_ *slots; /* SH_SPLIT_SLOTS of them */
    unsigned eager;
    struct sh_pool *pool;
    struct sh_run *run;                      /* whose calls they are */
    _Alignas(SH_LINE) _Atomic uint64_t ends; /* split 32 | top 32 */
    _Alignas(SH_LINE) _Atomic uint32_t used; /* by a shunt_fork, or free */
};

/* Nothing is in it. */
void sh_split_init(struct sh_split *s, shunt_slot_ *slots);

/* The owner, whose frames end below `at`, at least one of them beyond the
 * split: half of those may be taken from now on. */
void sh_split_publish(struct sh_split *s, shunt_slot_ *at);

/* The owner: take back the frame in that slot, which is below the split, and
 * half of the others there. False if it has been taken. */
bool sh_split_reclaim(struct sh_split *s, shunt_slot_ *at);

/* The owner: all frames up to that slot were taken, and the last one, which was
 * in it, has run. */
void sh_split_joined(struct sh_split *s, shunt_slot_ *at);

/* Anybody: the oldest frame; NULL if there is none to be taken, or another was
 * faster. */
shunt_slot_ sh_split_steal(struct sh_split *s);

/* In the child of a process that has forked: of the frames below that slot
 * nobody knows who has taken one, so all are as if they were. */
void sh_split_renew(struct sh_split *s, shunt_slot_ *at);

/* Whether there is one. */
bool sh_split_offers(struct sh_split *s);

/* Anybody: have the owner publish with its next spawn. */
void sh_split_ask(struct sh_split *s);

/* The owner: do not, until somebody asks again. */
void sh_split_calm(struct sh_split *s);

#endif /* SH_QUEUE_SPLIT_H */
