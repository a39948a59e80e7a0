/* SPDX-License-Identifier: MIT */
/*
 * task/state.h - the state word of a record: the truth about a future.
 *
 *   bits   0-3  phase
 *          4-11 flags
 *         12-23 owner: worker + 2, SH_OWNER_HOST, or 0: who runs it, or makes,
 *               settles or frees it, or has freed it in one go (value.h); of
 *               the host's threads HOST
 *         24-27 outcome, from SETTLING on, final from COMPLETE on: 0 success,
 *               1-12 SHUNT_E*, SH_OUTCOME_FORWARD: look at the record that
 *               input names
 *            28 OUTSIDE, DOOMED
 *            29 HELD
 *            30 COMMITTED
 *            31 GRACED
 *         32-63 generation: counts the uses of the record
 *
 *   FREE <-> INIT -> WAIT ------> READY <-> RUNNING <-> PARKED
 *              |      |             |          |
 *              +-> PROMISE          |          | (flattened: back to WAIT,
 *              |      |             |          |  or without memory to
 *              +------+-> SETTLING <+          |  SETTLING)
 *                             |                |
 *                         COMPLETE <-----------+
 *                             |                | (nobody depends on it)
 *                            DONE <------------+
 *                             |
 *                         RELEASING -> FREE, generation + 1
 *
 * What waits for nothing goes from INIT to READY; what finds no room in the
 * queue, from READY to RELEASING. A delay whose time is up as it is made goes
 * from INIT to DONE, and one that is cancelled while nobody depends on it from
 * WAIT to DONE; a step whose input's worker goes on with it, from WAIT to
 * RUNNING; a promise that is kept meanwhile, from SETTLING to DONE.
 *
 * Every transition is a CAS of the whole word (a store where the owner alone
 * may move it), so a name with an old generation changes nothing. Who may:
 *
 *   INIT       its maker: stores WAIT, READY or PROMISE; SETTLING if an input
 *              is no handle, memory ran out, or the deadline of a scope's child
 *              is past; FREE if it was never named
 *   PROMISE    whoever consumes the writing end, cancels (if nobody
 *              listens) or shuts down: to SETTLING
 *   WAIT       whoever delivers the last arrival: to READY or SETTLING;
 *              whoever cancels (a finally: only a pool's end), and its
 *              deadline: to SETTLING. Of a scope: the last to leave it, too.
 *              Of a step: the worker that settled its input, to RUNNING
 *              (future/onward.c)
 *   READY      a worker: to RUNNING, which is the claim; whoever cancels, and
 *              its deadline, as above; a worker whose pool is cancelled or
 *              broken: to SETTLING; submit, if the queue is full: to RELEASING
 *   RUNNING    its worker: to COMPLETE or DONE; to PARKED; flattened: to WAIT,
 *              or SETTLING without memory; a dealer: to READY again; a retry:
 *              to WAIT or SETTLING; an attempt that is not wanted any more, and
 *              the child of a scope that has failed: to SETTLING.
 *              Its deadline, or a SHUNT_KILL at its own: to SETTLING, BUSY
 *   PARKED     whoever delivers the arrival or cancels: to RUNNING; its
 *              deadline or a SHUNT_KILL: to SETTLING, BUSY. Then it is handed
 *              to the worker named by owner
 *   SETTLING   the one who moved it there: writes the outcome
 *   COMPLETE   the same: delivers to the dependants. May be done again.
 *   DONE       whoever gives the last handle back: to RELEASING, or, if
 *              nothing belongs to it, to FREE (future/value.h, sh_plain_free;
 *              of a lent handle future/onward.c, sh_give_plain)
 *   RELEASING  the same: frees what belongs to it. A keeper that waits for code
 *              which runs on goes back to DONE (future/keep.c)
 *
 * Flags, each with who sets it and who heeds it:
 *   WATCHED    a dependant, before it adds an edge; the settler, which must
 *              then walk the edges. Legal to set without adding one. Cleared
 *              again by a queue, in DONE, if no further edge is to be freed
 *   ALIASED    retain, and whoever else hangs there without the primary handle;
 *              whoever gives that back must look at hold, and whoever settles
 *              it must close all edges
 *   LENT       whoever consumed the primary handle: it belongs to a record, or
 *              to a queue, which clears it when it gives the handle back
 *   GONE       whoever gave the primary handle back
 *   ORPHAN     whoever gave the last handle back before DONE; the settler
 *              then frees the record
 *   CANCEL     whoever cancels; the running task sees it
 *   BUSY       a deadline or shutdown that settled the future over its code:
 *              the record must not be freed until that has returned. Of a
 *              retry: from the start, until no attempt's code can run any more.
 *              Of a promise: while its listener is called
 *   KEPT       as BUSY. Of a task: set as it ends if tasks that it submitted
 *              are at work, cleared by their keeper. Of a promise: until its
 *              writing end is consumed. Of a scope: until it is closed. Of a
 *              retry: while who repairs looks at it
 *   HELD       an ending task, while it hangs its keeper on the record
 *   OUTSIDE    submit from outside: counts for queue_max while READY
 *   DOOMED     of a promise, or a delay without end: a drain that found nothing
 *              at work, before it ends those that it found then
 *   COMMITTED  a running task, from when on neither a cancel nor its deadline
 *              ends it
 *   GRACED     shunt_cancel of what runs, or is parked, in a process: from then
 *              on its timer is that of its grace, after which it is killed
 */
#ifndef SH_TASK_STATE_H
#define SH_TASK_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/self.h"
#include "shunt/errors.h"

enum sh_phase {
    SH_FREE,
    SH_INIT,
    SH_PROMISE,
    SH_WAIT,
    SH_READY,
    SH_RUNNING,
    SH_PARKED,
    SH_SETTLING,
    SH_COMPLETE,
    SH_DONE,
    SH_RELEASING
};

#define SH_WATCHED ((uint64_t)1 << 4)
#define SH_ALIASED ((uint64_t)1 << 5)
#define SH_LENT ((uint64_t)1 << 6)
#define SH_GONE ((uint64_t)1 << 7)
#define SH_ORPHAN ((uint64_t)1 << 8)
#define SH_CANCEL ((uint64_t)1 << 9)
#define SH_BUSY ((uint64_t)1 << 10)
#define SH_KEPT ((uint64_t)1 << 11)
#define SH_OUTSIDE ((uint64_t)1 << 28)
#define SH_DOOMED SH_OUTSIDE
#define SH_HELD ((uint64_t)1 << 29)
#define SH_COMMITTED ((uint64_t)1 << 30)
#define SH_GRACED ((uint64_t)1 << 31)
#define SH_STAYS (SH_BUSY | SH_KEPT | SH_HELD) /* not to be freed */
#define SH_FLAGS \
    (((uint64_t)0xff << 4) | SH_OUTSIDE | SH_HELD | SH_COMMITTED | SH_GRACED)

/* Of a record whose handle is lent: without these nobody but its holder hangs
 * on it, or will before it has settled. Whoever else is to hang there sets one
 * that stays. */
#define SH_ODD (SH_ALIASED | SH_GONE | SH_ORPHAN | SH_CANCEL | SH_STAYS)

#define SH_OWNER_HOST 1u
#define SH_OWNER_WORKER(w) ((w) + 2u)

/* The owner that who makes, settles or frees a record writes into it, so that
 * it is known who was at it if that process dies. */
static inline unsigned sh_owner_here(void)
{
    return SH_OWNER_HOST + sh_self()->served_as;
}

#define SH_OUTCOME_FORWARD 15u
#define SH_OUTCOME_MASK ((uint64_t)15 << 24)

static inline enum sh_phase sh_phase_of(uint64_t word)
{
    return (enum sh_phase)(word & 15);
}

static inline unsigned sh_owner_of(uint64_t word)
{
    return (unsigned)(word >> 12) & 0xfff;
}

static inline unsigned sh_outcome_of(uint64_t word)
{
    return (unsigned)(word >> 24) & 15;
}

static inline uint32_t sh_generation_of(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

/* The word in another phase, with its flags and generation. */
static inline uint64_t sh_word_to(uint64_t word, enum sh_phase phase,
                                  unsigned owner)
{
    return (word & ~(uint64_t)0x0ffff00f) | (uint64_t)phase |
           (uint64_t)owner << 12;
}

/* The same with an outcome. */
static inline uint64_t sh_word_settled(uint64_t word, enum sh_phase phase,
                                       unsigned owner, unsigned outcome)
{
    return sh_word_to(word, phase, owner) | (uint64_t)outcome << 24;
}

/* There is an outcome to read. */
static inline bool sh_is_settled(uint64_t word)
{
    return sh_phase_of(word) == SH_COMPLETE || sh_phase_of(word) == SH_DONE;
}

/* The record is in use, and names with this generation may refer to it. */
static inline bool sh_is_live(uint64_t word)
{
    return sh_phase_of(word) >= SH_PROMISE && sh_phase_of(word) <= SH_DONE;
}

/* SHUNT_E* as an outcome, and back. */
static inline unsigned sh_outcome_from(int code)
{
    return code == 0 ? 0 : (unsigned)(SHUNT_EFAILED - code + 1);
}

static inline int sh_outcome_code(unsigned outcome)
{
    return outcome == 0 ? 0 : SHUNT_EFAILED - (int)outcome + 1;
}

_Static_assert(SHUNT_EFAILED == -10001 && SHUNT_EBROKEN == -10012,
               "twelve codes in a row fit the outcome");

#endif /* SH_TASK_STATE_H */
