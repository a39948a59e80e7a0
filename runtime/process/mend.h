/* SPDX-License-Identifier: MIT */
/* process/mend.h - what waits for what a dead process was about to say. */
#ifndef SH_PROCESS_MEND_H
#define SH_PROCESS_MEND_H

#include <stdbool.h>

#include "future/settle.h"
#include "task/pool.h"

/* After a death, of a record that was seen with word, in WAIT or READY: what
 * waits is told again what it waits for. By the host's thread that repairs. */
void sh_mend(struct sh_pool *pool, struct sh_record *r, uint64_t word);

/* How often the claim with that hint has come to nothing, this time included. */
unsigned sh_mend_times(struct sh_pool *pool, uint64_t hint);

/* When that was done: what the post of worker index, who has died, says that it
 * was at; and the scopes that there are. */
void sh_mend_posts(struct sh_pool *pool, unsigned index);

/* Look again at what could not be told then. True if that is to be done once
 * more, in a while. */
bool sh_mend_scopes(struct sh_pool *pool);

/* Who gave the last handle of a record back, seen with that word, may have died
 * before it saw that off: worker index has. */
void sh_mend_hold(struct sh_work *work, struct sh_pool *pool,
                  struct sh_record *r, uint64_t word, unsigned index);

/* First of all, what the dead worker index had between two places: a handle
 * that was counted and not noted, or the reverse; a block that was not attached
 * yet; the items of its seat that were in no free list. */
void sh_mend_held(struct sh_pool *pool, unsigned index, struct sh_seat *seat);

/* At the end of a recovery: who may have been about to be told something by
 * worker index `dead` is told. */
void sh_mend_rouse(struct sh_pool *pool, unsigned dead);

/* If a task is the culprit of a death: in a pool that keeps figures its kind
 * has crashed once more, and runs in the host no more. Of a spawned call it is
 * the kind of the task that it is a part of. run: of r, or NULL. */
void sh_mend_ban(struct sh_pool *pool, struct sh_record *r,
                 const struct sh_run *run, bool culprit);

/* Whether a task that has not settled is to run again, whose code does no more:
 * the process has died that it ran or was parked in, or that ran one of its
 * calls. What is not to blame for the death may so more often. */
bool sh_mend_again(struct sh_record *r, uint64_t word, bool culprit);

#endif /* SH_PROCESS_MEND_H */
