/* SPDX-License-Identifier: MIT */
/*
 * queue/split.h - a split deque of frames: one for each shunt_fork at work.
 *
 * The owner's end is no word of it: it is a parameter of the functions that
 * spawn (shunt/forkjoin.h), and lives in a register.
 *
 * Of worker processes, any of which may die between two instructions: a thief
 * says first, in its claim, what it is about to take, and the change of the
 * ends that takes it says who did. So who repairs knows whether the frame is
 * that thief's, or still to be taken.
 *
 * Edges.
 *   publish  split.c
 *   claimed  split.c
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

/* As many processes of a pool take frames of others. */
#ifndef SH_SPLIT_THIEVES
#define SH_SPLIT_THIEVES 255u
#endif

struct sh_split {
    shunt_split_ owner; /* what the inline code uses; limit_ is written by
                         * thieves, too */
    shunt_slot_ *slots; /* SH_SPLIT_SLOTS of them */
    unsigned eager;
    struct sh_pool *pool;
    unsigned camp;      /* whose workers take from it, for good */
    struct sh_run *run; /* whose calls they are */
    /* split 17 | tag 22 and number of the last thief 8, of processes | top 17
     */
    _Alignas(SH_LINE) _Atomic uint64_t ends;
    /* 0: free; else 1 + the index of the worker whose shunt_fork has it, and
     * SH_SPLIT_DOOMED if that one's run is to be given up: how (enum sh_doom),
     * and its stack (worker/doom.c). */
    _Alignas(SH_LINE) _Atomic uint32_t used;
    uint32_t doom;
    struct sh_fiber *stack;
    _Atomic uint64_t claims[SH_SPLIT_THIEVES]; /* of processes, by index: sure 1
                                                * | made 1 | tag 22 | slot 17,
                                                * or 0 */
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

/* The same, by a worker process of that index, below SH_SPLIT_THIEVES; its tag
 * is one more each time. Its claim stands until it has settled who the frame
 * belongs to, and says so. */
shunt_slot_ sh_split_steal_as(struct sh_split *s, unsigned worker,
                              uint32_t tag);
void sh_split_settled(struct sh_split *s, unsigned worker);

/* Who repairs, after the death of that process: the frame that it had taken and
 * not settled, or NULL. Its claim goes. */
shunt_slot_ sh_split_bury(struct sh_split *s, unsigned worker);

/* How many frames were taken and have not been joined, just now. */
uint32_t sh_split_taken(struct sh_split *s);

/* Whoever sees to an owner that does no more: nothing can be taken from now on;
 * how many frames were. */
uint32_t sh_split_close(struct sh_split *s);

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
