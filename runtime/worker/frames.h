/* SPDX-License-Identifier: MIT */
/*
 * worker/frames.h - what spawned calls, and who repairs them, have in common.
 */
#ifndef SH_WORKER_FRAMES_H
#define SH_WORKER_FRAMES_H

#include "queue/split.h"
#include "task/taken.h"
#include "worker/worker.h"

/* What stands in run_, where no function is. */
enum sh_mark_of_frame {
    SH_FRAME_TAKEN = 1, /* thief_ names the task that runs it */
    /* From here on nobody else runs it any more: */
    SH_FRAME_DONE,    /* it has run */
    SH_FRAME_LOST,    /* its process has died in the middle of it */
    SH_FRAME_BACK,    /* the same before it began: its owner is to run it */
    SH_FRAME_RETURNED /* the same before it had a task: thief_ is the function */
};

/* -- what goes from a call that was taken to its task -- */

struct sh_leaving;

/* What run has got, so that it can be told to another: NULL if that is nothing.
 * In memory that goes with its value. */
struct sh_leaving *sh_leaving_gather(struct sh_run *run);

/* It has been told: run has it no more. */
void sh_leaving_left(struct sh_run *run, const struct sh_leaving *l);

/* It is run's from now on, as if it had got it now. Twice does no harm. */
void sh_leaving_absorb(struct sh_run *run, struct sh_leaving *l);

/* It comes with a run that has ended: it is to be given back with that. */
void sh_leaving_drop(struct sh_run *run, const struct sh_leaving *l);

/* When it has been absorbed, and the value been taken. */
void sh_leaving_free(struct sh_leaving *l);

/* -- the deques of a pool -- */

/* How many there are; and one of them, or NULL. */
uint32_t sh_splits_count(struct sh_pool *pool);
struct sh_split *sh_split_at(struct sh_pool *pool, uint32_t i);

/* Nobody uses it any more. */
void sh_split_leave(struct sh_split *s);

/* -- runs that are to be given up: of worker processes -- */

/* Of used. */
#define SH_SPLIT_DOOMED 0x80000000u

/* Why a run comes to nothing that has calls at other processes. It ends when
 * these have ended, and not before, since they use its stack. */
enum sh_doom {
    SH_DOOM_FAILS = 1, /* its process has died; its error is attached */
    SH_DOOM_AGAIN,     /* the same, and it is to run again */
    SH_DOOM_LOST       /* the process of one of its calls has died */
};

/* Give up a run of that worker, which waits for nothing any more, and whose
 * code does no more. False if others have none of its calls: then it can end
 * now. */
bool sh_frames_doom(struct sh_pool *pool, struct sh_run *run, unsigned index,
                    enum sh_doom how);

/* Whether it was. */
bool sh_frames_is_doomed(struct sh_pool *pool, const struct sh_run *run);

/* A worker process has died. First: what it had taken and not marked, goes
 * back. Last, when all its runs have been seen to: deques that it had, and
 * nothing was taken from. */
void sh_frames_bury(struct sh_pool *pool, unsigned index);
void sh_frames_forget(struct sh_pool *pool, unsigned index);

/* A call that a dead process had taken comes to nothing: so its frame says, if
 * that is there and does not say anything else. r has not settled, or settled
 * over its code. Other tasks stay as they are. */
void sh_frames_lose(struct sh_pool *pool, struct sh_record *r);

/* Such a call has not begun, so its owner runs it. If the frame does not name
 * its task yet, nobody has the handle of that, and it goes. */
void sh_frames_give_back(struct sh_pool *pool, struct sh_record *r);

/* Whether such a call has ended, and only its task has not said so. Then what it
 * leaves is taken from run, which may be NULL. */
bool sh_frames_has_run(struct sh_pool *pool, struct sh_record *r,
                       struct sh_run *run);

#endif /* SH_WORKER_FRAMES_H */
