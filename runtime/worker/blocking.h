/* SPDX-License-Identifier: MIT */
/*
 * worker/blocking.h - workers that wait in the kernel, and who runs in their
 * stead meanwhile: blocking.c; and those who do so without a word: watch.c.
 *
 * Edges.
 *   alarm    future/timer.c
 */
#ifndef SH_WORKER_BLOCKING_H
#define SH_WORKER_BLOCKING_H

#include "worker/worker.h"

/* Before the workers of a pool are started. */
void sh_blocking_init(struct sh_pool *pool);

/* Worker w, which is the calling thread, is about to wait in the kernel: from
 * now on somebody else runs in its stead when there is something to run. They
 * do not nest. */
void sh_blocking_enter(struct sh_worker *w);
void sh_blocking_leave(struct sh_worker *w);

/* A stand-in of that camp has got up, or has been started, and goes to work. */
void sh_blocking_arrived(struct sh_camp *camp);

/* Whether what a record stands for is in a section all the time: its trait, or
 * .place, or its profile says so. */
static inline bool sh_blocking_always(const struct sh_record *r)
{
    return SH_UNLIKELY(r->task->traits_.blocking) || SH_UNLIKELY(sh_blocks(r));
}

/* Count a run that begins: true if it is like most, and neither blocks nor is a
 * sample. If not: sh_sample_unusual, which counts those that block, or of which
 * each is one. */
static inline bool sh_counts_as_usual(struct sh_worker *w,
                                      const struct sh_record *r, bool above)
{
    return SH_LIKELY(!r->task->traits_.blocking) &&
           SH_LIKELY((sh_placed(r) & SH_BLOCKS) == 0) &&
           SH_LIKELY(above || r->task != w->each) &&
           SH_LIKELY(--w->sampler[above].left != 0);
}

/* Something is queued that somebody else than who runs now could take. */
bool sh_blocking_sees(struct sh_camp *camp);

/* The timekeeper: if it was called, have somebody stand in; and look at those
 * who may be stuck in the kernel. When it is to come by again, by the system's
 * clock; INT64_MAX: when it is called. */
int64_t sh_watch_pass(struct sh_pool *pool);

#endif /* SH_WORKER_BLOCKING_H */
