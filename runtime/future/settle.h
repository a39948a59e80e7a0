/* SPDX-License-Identifier: MIT */
/*
 * future/settle.h - from an outcome to everything that follows from it.
 *
 * Work is a list of records on their way: settling one may settle others, and
 * giving a handle back may free others. All of it is done in a loop, so that
 * no chain grows a stack.
 *
 * Edges.
 *   care     worker/care.c
 *   death    process/recover.c
 *   quiet    future/settle.c
 *   seclude  worker/lane.c
 *   sleep    sync/sleep.c
 */
#ifndef SH_FUTURE_SETTLE_H
#define SH_FUTURE_SETTLE_H

#include "future/edge.h"

struct sh_work {
    struct sh_record *settling; /* linked by link and link_pool */
    struct sh_record *freeing;
    unsigned settling_pool, freeing_pool;
};

/* Move a record, seen with word in a phase that may settle, to SETTLING with
 * outcome. False if it has left that phase. */
bool sh_settle_begin(struct sh_record *r, uint64_t word, unsigned outcome);

/* Put a record that the caller moved to SETTLING on the list; or a scope, for
 * sh_scope_walk. */
void sh_work_settle(struct sh_work *work, struct sh_pool *pool,
                    struct sh_record *r);

/* Put a record that the caller moved to RELEASING on the list. */
void sh_work_free(struct sh_work *work, struct sh_pool *pool,
                  struct sh_record *r);

/* A record in COMPLETE or RELEASING, which is the caller's: the process at that
 * place is to go on with it. */
void sh_hand_over(struct sh_pool *pool, struct sh_record *r, unsigned place);

/* A listener of a promise, which is the caller's: the process at that place is
 * to call it. next is within it. */
void sh_hand_hook(struct sh_pool *pool, void *listener, uint64_t *next,
                  unsigned place);

/* Whether something was handed to the worker of that post. */
static inline bool sh_is_handed(struct sh_post *post)
{
    return sh_load_sc(&post->handed) != SH_NONE || /* seq_cst: sleep, care,
                                                    * seclude */
           sh_load_sc(&post->hooks) != 0;          /* seq_cst: sleep, care,
                                                    * seclude */
}

/* Whether something was handed to the host that it has not done. */
bool sh_is_left_to_host(struct sh_pool *pool);

/* Whether a record that was a dead worker's has been handed to another, which
 * has not taken it. */
bool sh_hand_is_left(struct sh_pool *pool, const struct sh_record *r);

/* Go on with what was handed to that place: the worker there; in the host, or
 * when that worker is dead, one thread at a time. */
void sh_handed_do(struct sh_pool *pool, unsigned place);

/* Do all of it. */
void sh_work_do_all(struct sh_work *work);

static inline void sh_work_do(struct sh_work *work)
{
    if (work->settling != NULL || work->freeing != NULL)
        sh_work_do_all(work);
}

/* A handle is about to be given back: a delay that nobody else waits for ends,
 * since it is no work that would be lost. */
void sh_work_let_go(struct sh_work *work, const struct sh_ref *ref);

/* Give a lent handle back, and free its record at once, if nobody else has one,
 * and it has settled, has succeeded, and is of this thread pool; false: nothing
 * was done, since it is not as simple as that. */
bool sh_give_plain(struct sh_pool *pool, uint64_t handle);

/* Give a lent handle back; 0 is none. */
void sh_work_give(struct sh_work *work, uint64_t handle);

/* The same, and do what follows. */
static inline void sh_give_now(uint64_t handle)
{
    struct sh_work work = { 0 };

    sh_work_give(&work, handle);
    sh_work_do(&work);
}

/* A record that is ours does not wait for its input any more: let go of that,
 * as sh_work_abandon does. */
void sh_input_abandon(struct sh_work *work, struct sh_pool *pool,
                      struct sh_record *r);

/* Ask the future of a lent handle to cancel, if nobody else wants it, and
 * give the handle back. */
void sh_work_abandon(struct sh_work *work, uint64_t handle);

/* Have a worker that rests go on. False if it does not. */
bool sh_post_rouse(struct sh_pool *pool, struct sh_post *post);

/* A parked task, moved to RUNNING, may go on: hand it to its worker. */
void sh_resume(struct sh_pool *pool, struct sh_record *r, unsigned owner);

/* Ask a record to cancel: 1 if that may help, 0 if it has settled. */
int sh_cancel_ask(struct sh_work *work, struct sh_pool *pool,
                  struct sh_record *r, uint32_t generation);

/* After a record that ran has begun to wait: who asked it to cancel while it
 * ran has only left a mark. */
static inline void sh_cancel_marked(struct sh_work *work, struct sh_pool *pool,
                                    struct sh_record *r, uint32_t generation)
{
    /* relaxed: one word's order: we changed it after the mark, or who sets it
     * from now on finds that the record waits */
    uint64_t w = sh_load_rlx(&r->state);

    if (sh_generation_of(w) == generation && (w & SH_CANCEL) != 0)
        (void)sh_cancel_ask(work, pool, r, generation);
}

/* Cancel what this handle stands for, if it is a delay that nobody depends on;
 * false if it is not as simple as that. */
bool sh_cancel_plain(uint64_t handle);

/* A record, seen with word, was asked to cancel: tell what heeds it. */
void sh_heed_tell(struct sh_work *work, struct sh_pool *pool,
                  struct sh_record *r, uint64_t word);

/* The run of a record, seen with word, has ended, and the record has not: tell
 * what heeds that run. */
void sh_heed_end(struct sh_work *work, struct sh_pool *pool,
                 struct sh_record *r, uint64_t word);

/* What says whose a record is that heeds the running task; the target of its
 * edge there; and hang it there, when it waits. False: no memory. */
uint64_t sh_heed_name(const struct sh_run *run);
uint64_t sh_heed_target(struct sh_pool *pool, struct sh_record *c);
bool sh_heed_hang(struct sh_work *work, struct sh_run *run, struct sh_record *c,
                  sh_hook *hook_out);

/* Tell a target of pool that what it waits for has settled with status. */
void sh_deliver_to(struct sh_work *work, struct sh_pool *pool, uint64_t target,
                   int status);

/* A record is READY: put it where a worker will find it. */
void sh_make_ready(struct sh_work *work, struct sh_pool *pool,
                   struct sh_record *r, uint64_t word);

/* The verdict on a combinator in WAIT: act on it, if nobody has. */
void sh_combine_act(struct sh_work *work, struct sh_pool *pool,
                    struct sh_record *r, uint64_t verdict);

/* In hand_of of a post: the record of the handle forwards, and what it forwards
 * to is about to be the other's. */
#define SH_HAND_SHORTENS (1u << 31)

/* A worker process is about to have r name this handle no more, and to give it
 * back: then it has it in hand, for who repairs what a death cuts short. */
static inline void sh_hand_hold(struct sh_pool *pool, const struct sh_record *r,
                                uint64_t handle, uint32_t how)
{
    struct sh_post *post = SH_LIKELY(!pool->shared) ? NULL : sh_post_here(pool);

    if (handle == 0 || post == NULL)
        return;
    sh_store_rel(&post->hand_of, sh_index_of(pool, r) | how); /* release: death
                                                               */
    sh_store_rel(&post->hand, handle); /* release: death */
}

/* It was given. */
static inline void sh_hand_clear(const struct sh_pool *pool)
{
    struct sh_post *post = SH_LIKELY(!pool->shared) ? NULL : sh_post_here(pool);

    if (post != NULL)
        sh_store_rel(&post->hand, 0); /* release: death */
}

/* A running record's task has ended with outcome: settle it; input, if not 0,
 * is given back afterwards. */
void sh_settle_running(struct sh_pool *pool, struct sh_record *r,
                       unsigned outcome, uint64_t input);

/* The same of a record of a thread pool that ran on the calling worker, owner,
 * and has succeeded. If the only thing that follows is a step, which is to run,
 * the caller has claimed that, and runs it now; NULL: what follows is queued.
 */
struct sh_record *sh_settle_onward(struct sh_pool *pool, struct sh_record *r,
                                   unsigned owner);

/* A step of a thread pool has run, and held its input by that handle: give it
 * back. */
void sh_settle_spent(struct sh_pool *pool, uint64_t input);

/* The code of a record that was settled over it has returned, on its worker. */
void sh_settle_returned(struct sh_work *work, struct sh_pool *pool,
                        struct sh_record *r);

/* The threads of an auto pool are to be started, if they have not been. */
SH_COLD void sh_guests_call(struct sh_pool *pool);

/* Something was queued in a camp, by a worker of it, that is to run inline:
 * somebody looks for it in a while. */
SH_COLD void sh_camp_leave_untold(struct sh_pool *pool, struct sh_camp *camp);

/* Something was queued in a camp. */
static inline void sh_camp_notify(struct sh_pool *pool, struct sh_camp *camp)
{
    sh_sleep_notify(&camp->sleep);
    if (SH_UNLIKELY(camp != &pool->camps[SH_OWN_CAMP]))
        sh_guests_call(pool);
}

/* A reason to keep the record (BUSY, KEPT or HELD) is gone: free it if it has
 * settled and nobody holds it. */
void sh_settle_idle(struct sh_work *work, struct sh_pool *pool,
                    struct sh_record *r, uint64_t flag);

/* A task in WAIT in that generation is to run again when nothing keeps its
 * memory: perhaps now. */
void sh_settle_renewed(struct sh_work *work, struct sh_pool *pool,
                       struct sh_record *r, uint32_t generation);

/* What became of it: its code has ended before, or waits again; it ran; it was
 * parked, and goes on. */
enum sh_over {
    SH_OVER_NOT,
    SH_OVER_RAN,
    SH_OVER_PARKED
};

/* Settle a record seen RUNNING or PARKED with word, while its code runs on, or
 * goes on: it stays BUSY until that returns. code: SHUNT_ECANCELED, or
 * SHUNT_ETIMEDOUT, which a task that has committed is spared. */
enum sh_over sh_settle_over(struct sh_work *work, struct sh_pool *pool,
                            struct sh_record *r, uint64_t word, int code);

/* A record is about to settle with outcome: attach an error that says why, if
 * nobody has, and there is more to say than the code. */
void sh_attach_reason(struct sh_pool *pool, struct sh_record *r, unsigned kind,
                      unsigned outcome);

/* Free the blocks that are attached to a record which is ours, and give back
 * what they hold; not if work is NULL: then its pool goes. */
void sh_blocks_free(struct sh_work *work, struct sh_record *r);

/* Free what belongs to a record of a pool that is going away. */
void sh_record_wreck(struct sh_pool *pool, struct sh_record *r);

/* Something changed that a shutdown may wait for. */
void sh_quiet_ring(struct sh_pool *pool);

/* The same after each change, for a shutdown that has begun. */
static inline void sh_quiet_notify(struct sh_pool *pool)
{
    if (sh_load_sc(&pool->gate) != SH_OPEN) /* seq_cst: quiet */
        sh_quiet_ring(pool);
}

/* Whether a step of that kind runs, given how its input ended. */
bool sh_must_run(unsigned kind, int status);

/* Hang a record that is ours, INIT or RUNNING, on its only input, which is
 * lent to it, and let it wait. False if a shutdown settled it meanwhile. */
bool sh_follow(struct sh_work *work, struct sh_pool *pool, struct sh_record *r,
               const struct sh_ref *ref);

/* Room for the value of a promise whose size and alignment are set. */
bool sh_promise_make_data(struct sh_pool *pool, struct sh_record *r);

enum sh_told {
    SH_TOLD,        /* its maker knows, now or since before */
    SH_TOLD_NOBODY, /* nobody listens */
    SH_TOLD_STALE   /* the state has changed */
};

/* A promise, seen with word, is asked to cancel. */
enum sh_told sh_promise_tell(struct sh_work *work, struct sh_pool *pool,
                             struct sh_record *r, uint64_t word);

/* The listeners that were handed to this process, as a list: call them; those
 * of a process that is no more are dropped. */
void sh_promise_hear(struct sh_work *work, struct sh_pool *pool, uint64_t hook);

/* Whether a listener that this worker process has set may be called still. */
bool sh_promise_listens(struct sh_pool *pool);

/* A promise in RELEASING: free what it has beside its value. */
void sh_promise_dispose(struct sh_pool *pool, struct sh_record *r);

/* A scope that waits is on a list: have its children asked to cancel. */
void sh_scope_walk(struct sh_work *work, struct sh_pool *pool,
                   struct sh_record *r);

/* The task whose a scope is was asked to cancel, or has ended with status, and
 * that reaches the scope. */
void sh_scope_heed(struct sh_work *work, struct sh_pool *pool, uint64_t target,
                   int status);

/* A child of a scope, in SETTLING and ours, is about to have that outcome,
 * which is not 0. */
void sh_scope_fail(struct sh_work *work, struct sh_pool *pool,
                   struct sh_record *r, unsigned outcome);

/* A child of a scope has settled with status, and that reaches its cell. */
void sh_scope_arrive(struct sh_work *work, struct sh_pool *pool,
                     uint64_t target, int status);

/* A scope in RELEASING: let go of its children. */
void sh_scope_dispose(struct sh_work *work, struct sh_pool *pool,
                      struct sh_record *r);

/* Whether a record of a process pool follows one of another pool, which the
 * host alone can see; and the outcome that it takes over from there, copied. */
bool sh_is_import(const struct sh_pool *pool, struct sh_record *r);
unsigned sh_import(struct sh_work *work, struct sh_pool *pool,
                   struct sh_record *r);

/* r, which is ours, is to forward to its input, and that may forward itself:
 * point to the origin, so that no chain of forwards grows. */
void sh_shorten(struct sh_work *work, struct sh_pool *pool,
                struct sh_record *r);

/* The final status of a record that has settled. */
int sh_status_of(struct sh_record *r, uint64_t word);

/* The status of a handle that was looked up; SHUNT_PENDING if there is none
 * yet. */
int sh_ref_status(const struct sh_ref *ref);

/* The same, of the state as it is now. */
int sh_ref_status_now(const struct sh_ref *ref);

/* Follow a forwarded outcome to where it came from. False if it went away. */
bool sh_find_origin(struct sh_ref *ref);

/* Look up a handle that a record holds, and follow it likewise, from pool to
 * pool, of which each may be about to be freed: until sh_leave_origin the
 * caller is a guest of the last. False if one of them is gone. */
bool sh_enter_origin(uint64_t handle, struct sh_ref *ref_out);
void sh_leave_origin(const struct sh_ref *ref);

/* The status of a handle that was looked up, to be told to the user: whoever
 * is told of a failure has looked at it. */
int sh_ref_tell(const struct sh_ref *ref);

/* Whether a lent handle's future, if it has failed, has been looked at: true
 * also if nobody wants to know, false if its failure goes on as that of a
 * future which nobody has looked at. */
void sh_mark_seen(uint64_t handle, bool seen);

/* A record that has settled with word is about to be freed: tell the pool's
 * hook of its failure, if nobody has looked at it. False if the host is to. */
bool sh_report_unseen(struct sh_pool *pool, struct sh_record *r, uint64_t word);

/* A task from outside has left the queue: whoever waits for room may look. */
void sh_room_ring(struct sh_pool *pool);

/* Queue hints: a record and its generation. */
static inline uint64_t sh_hint(uint32_t index, uint32_t generation)
{
    return (uint64_t)generation << 24 | index;
}

static inline uint32_t sh_hint_index(uint64_t hint)
{
    return (uint32_t)hint & 0xffffff;
}

static inline uint32_t sh_hint_generation(uint64_t hint)
{
    return (uint32_t)(hint >> 24);
}

/* A worker process says whose BUSY it is the one to clear; NULL: nobody's now.
 */
static inline void sh_telling(struct sh_pool *pool, struct sh_record *r)
{
    struct sh_post *post = SH_LIKELY(!pool->shared) ? NULL : sh_post_here(pool);
    uint64_t hint = 0;

    if (post == NULL)
        return;
    if (r != NULL)
        /* relaxed: BUSY keeps it in this use */
        hint = sh_hint(sh_index_of(pool, r),
                       sh_generation_of(sh_load_rlx(&r->state)));
    sh_store_rel(&post->telling, hint); /* release: death */
}

#endif /* SH_FUTURE_SETTLE_H */
