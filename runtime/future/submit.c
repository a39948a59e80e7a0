/* SPDX-License-Identifier: MIT */
/*
 * future/submit.c - from a call to a record that is READY and in a queue.
 *
 * Idea. Everything is decided before the state becomes READY, but room in the
 * queue: a worker that looks through the table might take the task up before
 * the queue says no, and then it was accepted.
 *
 * Edges.
 *   accepted  submit: write READY -> worker: claim; handle.c: read state
 *   room      worker: write taken, conclude: write dropped -> submit: read
 *             both; and, seq_cst: write them, then read room_waiters || wait:
 *             raise room_waiters, then read them
 *   closing   submit: make READY, then read gate || shutdown: write STOPPED,
 *             then look at all records; all seq_cst: one sees the other
 *   sleep     sync/sleep.c
 *   due       future/timer.c
 *   sibling   future/scope.c: here the state is written
 *   death     process/recover.c
 */
#include "future/submit.h"

#include <string.h>

#include "future/scope.h"
#include "sync/futex.h"
#include "task/error.h"

/* The pool of a submit, or the code of its failure. */
static int find_pool(shunt_pool *name, struct sh_pool **pool_out)
{
    struct sh_seat *seat = sh_here.seat;

    if (SH_LIKELY(seat != NULL && seat->name == name &&
                  seat->process == sh_self()->process)) {
        /* relaxed: whoever names a pool sees to it that it is there */
        *pool_out = sh_load_rlx(&seat->pool);
        if (SH_LIKELY(*pool_out != NULL && sh_pool_is_ours(*pool_out)))
            return 0;
    }
    return sh_pool_find(name, pool_out);
}

/* How many more tasks from outside may be put in, from now on. */
static uint64_t new_limit(struct sh_pool *pool, struct sh_camp *camp)
{
    uint64_t limit = pool->queue_max;

    limit += sh_load_sc(&camp->dropped);  /* seq_cst: room */
    limit -= sh_load_acq(&camp->spilled); /* acquire: room */
    for (unsigned w = camp->first; w < sh_camp_end(pool, camp); w++)
        limit += sh_load_sc(&pool->posts[w].taken); /* seq_cst: room */
    sh_store_rlx(&camp->limit, limit); /* relaxed: any former value is safe */
    return limit;
}

/* Count one more that is in no ring. False if there is no room for it. */
static bool spill(struct sh_pool *pool, struct sh_camp *camp)
{
    uint64_t spilled = sh_load_acq(&camp->spilled); /* acquire: room */

    do {
        /* relaxed: as a push does */
        if (sh_load_rlx(&camp->ring.tail) >= new_limit(pool, camp))
            return false;
    } while (!sh_cas_acqrel(&camp->spilled, &spilled,
                            spilled + 1)); /*
                                            * acq_rel: room */
    return true;
}

/* plain: the pool has no other camp. */
static inline bool enqueue(struct sh_pool *pool, struct sh_camp *camp,
                           struct sh_seat *seat, uint64_t hint, bool plain)
{
    uint64_t limit;

    if (seat->post != NULL) {
        if (!(plain ? sh_deque_push(&seat->post->deque, hint)
                    : sh_camp_push(pool, camp, seat, hint)))
            sh_add_sc(&camp->rescan, 1); /* seq_cst: sleep */
        return true;
    }
    /* A former limit is safe, but for what has spilled since.
     * acquire: room; relaxed: any former value */
    if (SH_LIKELY(sh_load_acq(&camp->spilled) == 0 &&
                  sh_ring_push(&camp->ring, hint, sh_load_rlx(&camp->limit))))
        return true;
    limit = new_limit(pool, camp);
    if (sh_ring_push(&camp->ring, hint, limit))
        return true;
    /* Not spilled for room that was made since. relaxed: as the push did */
    if (sh_load_rlx(&camp->ring.tail) >= limit)
        return false;
    /* Full of hints that are stale, since what they named was cancelled: the
     * table has this one. */
    if (!spill(pool, camp))
        return false;
    sh_add_sc(&camp->rescan, 1); /* seq_cst: sleep */
    return true;
}

/* The queue has no room for a record that is READY: take it back. False if a
 * worker was first. */
static SH_COLD bool take_back(struct sh_pool *pool, struct sh_seat *seat,
                              struct sh_record *r, uint64_t w)
{
    uint64_t gone = sh_word_to(w, SH_RELEASING, sh_owner_here());
    uint64_t handle =
        sh_handle_make(pool->id, sh_index_of(pool, r), sh_generation_of(w));

    /* Nobody has its handle, so no flag of it can change.
     * acq_rel: accepted */
    if (!sh_cas_acqrel(&r->state, &w, gone))
        return false;
    sh_record_free_data(pool, r);
    sh_record_retire(pool, seat, r, gone);
    sh_quiet_notify(pool);
    if (sh_here.run != NULL)
        sh_run_forget(sh_here.run, handle);
    return true;
}

/* The pool stopped while we put a task in: nobody may come to run it. */
static SH_COLD void too_late(struct sh_pool *pool, struct sh_record *r,
                             uint64_t w)
{
    struct sh_work work = { 0 };

    if (sh_settle_begin(r, w, sh_outcome_from(SHUNT_ECLOSED))) {
        sh_work_settle(&work, pool, r);
        sh_work_do(&work);
    }
}

/* The deadline may have come before the task was accepted. */
static void check_timer(struct sh_pool *pool, struct sh_record *r, uint64_t w)
{
    struct sh_work work = { 0 };

    sh_bound_accepted(&work, pool, r, w);
    sh_work_do(&work);
}

/* A child whose time is up before it is accepted, seen with word in INIT: it
 * never starts. */
static SH_COLD void end_late(struct sh_pool *pool, struct sh_record *r,
                             uint64_t w)
{
    struct sh_work work = { 0 };

    sh_store_sc(
        &r->state,
        sh_word_settled(
            w, SH_SETTLING, sh_owner_here(),
            sh_outcome_from(SHUNT_ETIMEDOUT))); /*
                                                 * seq_cst: accepted, sibling */
    sh_work_settle(&work, pool, r);
    sh_work_do(&work);
}

/* plain: the pool has no other camp, and the task runs as most do. */
static SH_FORCE_INLINE int accept_in(struct sh_pool *pool, struct sh_camp *camp,
                                     struct sh_seat *seat, struct sh_record *r,
                                     uint64_t w, bool plain)
{
    uint32_t index = sh_index_of(pool, r);
    bool limited = sh_is_limited(r);
    bool timed = limited && sh_bound_of(r)->deadline_ns != INT64_MAX;

    w = sh_word_to(w, SH_READY, 0) | (seat->post == NULL ? SH_OUTSIDE : 0);
    if (SH_LIKELY(!limited))
        sh_store_rel(&r->state, w); /* release: accepted */
    else
        sh_store_sc(&r->state, w); /* seq_cst: accepted, due, sibling */
    if (SH_UNLIKELY(!enqueue(pool, camp, seat,
                             sh_hint(index, sh_generation_of(w)), plain))) {
        if (take_back(pool, seat, r, w))
            return SHUNT_EAGAIN;
        /* A worker found it in the table, and has counted it as taken; or it
         * was cancelled, and counted as dropped. */
        sh_add_acqrel(&camp->spilled, 1); /* acq_rel: room */
    }
    if (SH_UNLIKELY(sh_load_sc(&pool->gate) == SH_STOPPED)) /* seq_cst:
                                                             * closing */
        too_late(pool, r, w);
    /* Of what is to run inline, its submitter has the hint, and is awake. */
    if (plain)
        sh_sleep_notify(&camp->sleep);
    else if (SH_LIKELY(!sh_is_inline(r)) || seat->post == NULL ||
             !sh_seat_is_in(seat, camp) || !sh_post_pops(pool, seat->post))
        sh_camp_notify(pool, camp);
    else
        sh_camp_leave_untold(pool, camp);
    if (SH_UNLIKELY(timed))
        check_timer(pool, r, w);
    return 0;
}

static SH_APART int accept_placed(struct sh_pool *pool, struct sh_seat *seat,
                                  struct sh_record *r, uint64_t w)
{
    return accept_in(pool, sh_camp_of(pool, r), seat, r, w, false);
}

/* A task is accepted, which is set up in INIT and seen with word; the running
 * task has noted it. 0, or SHUNT_EAGAIN if there is no room. */
static inline int accept(struct sh_pool *pool, struct sh_seat *seat,
                         struct sh_record *r, uint64_t w)
{
    if (SH_LIKELY(!pool->mixed && (sh_placed(r) & SH_PLACED) == 0))
        return accept_in(pool, &pool->camps[SH_OWN_CAMP], seat, r, w, true);
    return accept_placed(pool, seat, r, w);
}

/* What is submitted. */
struct order {
    unsigned kind; /* TASK; TRY: in is the ticket, and the handle is lent */
    const shunt_task *task;
    const void *in;
    const char *where;
    int64_t deadline_ns;
    struct sh_child *child; /* what it is to be of a scope, or NULL */
    unsigned retries;       /* after crashes */
    struct sh_record *retry; /* TRY: whose attempt it is, and what names it
                              * before it is accepted; else NULL */
    struct sh_block *block;  /* that goes with the record, or NULL */
    int place;               /* enum shunt_place */
};

/* As .place says. */
static SH_COLD void place(const struct sh_pool *pool, struct sh_record *r,
                          int place)
{
    unsigned site = sh_placed(r) & SH_FOR_HOST;
    bool pinned = (sh_placed(r) & SH_PLACED) == SH_SAID_HOST;

    if (place == SHUNT_PLACE_INLINE)
        sh_place_at(r, pinned ? SH_SAID_HOST : site | SH_AT_AWAIT);
    else if (place == SHUNT_PLACE_BLOCKING)
        sh_place_at(r, pinned ? SH_SAID_HOST : site | SH_BLOCKS);
    else
        sh_place_at(r, place == SHUNT_PLACE_THREAD && pool->mixed ? SH_SAID_HOST
                                                                  : 0);
}

/* Whether a task can be placed there: 0, or why not. */
static int check_place(const struct sh_pool *pool, const shunt_task *task,
                       int place)
{
    const shunt_traits *t = &task->traits_;

    if (place < SHUNT_PLACE_DEFAULT || place > SHUNT_PLACE_PROCESS)
        return SHUNT_EINVAL;
    if (place == SHUNT_PLACE_THREAD &&
        ((pool->shared && !pool->mixed && !t->host_only) ||
         ((t->untrusted || t->thread_unsafe) && !pool->allow_unsafe)))
        return SHUNT_ENOTSUP;
    if (place == SHUNT_PLACE_PROCESS && (!pool->shared || t->host_only))
        return SHUNT_ENOTSUP;
    return 0;
}

static SH_HOT inline int submit_order(struct sh_pool *pool,
                                      const struct order *o,
                                      uint64_t *handle_out)
{
    struct sh_seat *seat = sh_seat_of(pool);
    struct sh_camp *camp;
    struct sh_record *r;
    uint64_t w;
    int rc = 0;

    if (SH_UNLIKELY(seat == NULL))
        return SHUNT_ENOMEM;
    if (SH_UNLIKELY(!sh_pool_takes(pool, seat)))
        return SHUNT_ECLOSED;
    /* The pool is idle: we may have been away for long, and a look at the clock
     * takes nothing beside the wake-up that will follow. Workers of an auto
     * pool mostly submit for their own camp. */
    camp = SH_LIKELY(!pool->mixed) || seat->post == NULL
               ? &pool->camps[SH_OWN_CAMP]
               : seat->camp;
    if (SH_UNLIKELY(sh_sleep_will_wake(&camp->sleep)))
        sh_stamp_forget(&seat->stamp);
    r = sh_record_new(pool, seat, o->kind, o->task, o->where);
    if (SH_UNLIKELY(r == NULL))
        return SHUNT_ENOMEM;
    w = sh_load_rlx(&r->state); /* relaxed: ours */
    *handle_out =
        sh_handle_make(pool->id, sh_index_of(pool, r), sh_generation_of(w));
    if (SH_UNLIKELY(o->place != SHUNT_PLACE_DEFAULT))
        place(pool, r, o->place);
    /* Before it is accepted, or refused: if we die in between, who ends our
     * task gives back what is good of its names. */
    if (sh_here.run != NULL && o->kind == SH_KIND_TASK)
        sh_run_note(sh_here.run, *handle_out);
    /* Before it holds anything, so that it is found by this name if we die. */
    if (SH_UNLIKELY(o->kind == SH_KIND_TRY))
        sh_store_rel(&o->retry->input,
                     *handle_out | SH_HANDLE_LENT); /* release: death */
    if (SH_UNLIKELY(o->child != NULL))
        sh_record_bind(r)->scope = o->child->id;
    if (SH_UNLIKELY(
            !sh_task_set_up(pool, r, w, o->in, o->deadline_ns, o->retries))) {
        sh_record_retire(pool, seat, r, w);
        return SHUNT_ENOMEM;
    }
    if (SH_UNLIKELY(o->block != NULL))
        sh_attach_new(pool, r, o->block);
    if (SH_UNLIKELY(o->kind == SH_KIND_TRY))
        w |= SH_LENT | SH_WATCHED;
    if (SH_UNLIKELY(o->child != NULL))
        w = sh_scope_adopt(pool, r, w, o->child);
    if (SH_UNLIKELY(o->child != NULL && o->deadline_ns != INT64_MAX &&
                    o->deadline_ns <= sh_pool_now(pool)))
        end_late(pool, r, w);
    else
        rc = accept(pool, seat, r, w);
    return rc;
}

static int submit(struct sh_pool *pool, const shunt_task *task, const void *in,
                  const char *where, int64_t deadline_ns, uint64_t *handle_out)
{
    return submit_order(pool,
                        &(struct order){ SH_KIND_TASK, task, in, where,
                                         deadline_ns, NULL, 0, NULL, NULL,
                                         SHUNT_PLACE_DEFAULT },
                        handle_out);
}

int sh_submit_attempt(struct sh_pool *pool, struct sh_record *retry,
                      int64_t deadline_ns, struct sh_ref *ref_out)
{
    uint64_t handle = 0;
    struct sh_ticket *t = sh_ticket_of(retry);
    int rc = SHUNT_EAGAIN;

    if (sh_ticket_has_place(pool, t))
        rc = submit_order(pool,
                          &(struct order){ SH_KIND_TRY, retry->task, t,
                                           retry->where, deadline_ns, NULL, 0,
                                           retry, NULL, SHUNT_PLACE_DEFAULT },
                          &handle);
    *ref_out = (struct sh_ref){ .pool = pool };
    if (rc != 0) {
        ref_out->handle = sh_handle_of(sh_handle_failed(pool->id, rc));
        ref_out->reserved = sh_outcome_from(rc);
        return rc;
    }
    ref_out->handle = handle | SH_HANDLE_LENT;
    ref_out->record = sh_record_at(pool, sh_handle_index(handle));
    /* relaxed: whether it has settled is seen when the retry hangs on it */
    ref_out->word = sh_load_rlx(&ref_out->record->state);
    return 0;
}

/* 0, or why this task cannot be submitted at all. */
static int check(const struct sh_pool *pool, const shunt_task *task,
                 const void *in)
{
    if (SH_UNLIKELY(task == NULL || (task->shape_ & SHUNT_SHAPE_STEP_) != 0))
        return SHUNT_EINVAL;
    if (SH_UNLIKELY(in == NULL && (task->shape_ & SHUNT_SHAPE_IN_NONE_) == 0))
        return SHUNT_EINVAL;
    return sh_task_check(pool, task);
}

int sh_submit_check(const struct sh_pool *pool, const shunt_task *task,
                    const void *in)
{
    return check(pool, task, in);
}

int sh_submit_child(struct sh_pool *pool, const shunt_task *task,
                    const void *in, const char *where, int64_t deadline_ns,
                    struct sh_child *child, uint64_t *handle_out)
{
    int rc = check(pool, task, in);

    return rc != 0
               ? rc
               : submit_order(pool,
                              &(struct order){ SH_KIND_TASK, task, in, where,
                                               deadline_ns, child, 0, NULL,
                                               NULL, SHUNT_PLACE_DEFAULT },
                              handle_out);
}

SH_COLD shunt_future *sh_submit_refuse(struct sh_pool *pool, int rc)
{
    sh_add_rlx(&pool->refused, 1); /* relaxed: a count */
    return sh_handle_failed(pool->id, rc);
}

shunt_future *sh_submit_own(struct sh_pool *pool, const shunt_task *task,
                            const void *in, struct sh_block *block,
                            const char *where)
{
    struct order order = { .kind = SH_KIND_TASK, .task = task, .in = in,
                           .where = where, .deadline_ns = INT64_MAX,
                           .block = block };
    uint64_t handle;
    int rc = check(pool, task, in);

    if (rc == 0)
        rc = sh_deadline_inherit(pool, &order.deadline_ns);
    if (rc == 0)
        rc = submit_order(pool, &order, &handle);
    if (rc == 0)
        return sh_handle_future(handle);
    /* Of a record that was taken back it is the only one. */
    if (block != NULL) {
        block->next = NULL;
        sh_block_free(block);
    }
    return sh_submit_refuse(pool, rc);
}

SH_HOT shunt_future *shunt_submit_here(shunt_pool *name, const shunt_task *task,
                                       const void *in, const char *where)
{
    struct sh_pool *pool;
    int64_t deadline_ns = INT64_MAX;
    uint64_t handle;
    int rc = find_pool(name, &pool);

    if (SH_UNLIKELY(rc != 0))
        return sh_handle_failed(0, rc);
    rc = check(pool, task, in);
    if (SH_LIKELY(rc == 0))
        rc = sh_deadline_inherit(pool, &deadline_ns);
    if (SH_LIKELY(rc == 0))
        rc = submit(pool, task, in, where, deadline_ns, &handle);
    return SH_LIKELY(rc == 0) ? sh_handle_future(handle)
                              : sh_submit_refuse(pool, rc);
}

/* What the options say, as far as the caller's struct has it. */
static shunt_submit_options options_of(const shunt_submit_options *given,
                                       size_t size)
{
    shunt_submit_options o = { .retries = 0 };

    if (given != NULL)
        memcpy(&o, given, size < sizeof o ? size : sizeof o);
    return o;
}

shunt_future *shunt_submit_sized(shunt_pool *name, const shunt_task *task,
                                 const void *in, const char *where,
                                 size_t options_size,
                                 const shunt_submit_options *options)
{
    const shunt_submit_options o = options_of(options, options_size);
    struct sh_pool *pool;
    int64_t deadline_ns = INT64_MAX;
    uint64_t handle;
    int rc = find_pool(name, &pool);

    if (rc != 0)
        return sh_handle_failed(0, rc);
    rc = check(pool, task, in);
    if (rc == 0 && o.retries > 0 && !task->traits_.idempotent)
        rc = SHUNT_EINVAL;
    if (rc == 0)
        rc = check_place(pool, task, o.place);
    if (rc == 0)
        rc = sh_deadline_of(pool, o.deadline_ns, &deadline_ns);
    if (rc == 0)
        rc = submit_order(pool,
                          &(struct order){ SH_KIND_TASK, task, in, where,
                                           deadline_ns, NULL, o.retries, NULL,
                                           NULL, o.place },
                          &handle);
    return rc == 0 ? sh_handle_future(handle) : sh_submit_refuse(pool, rc);
}

shunt_future *shunt_submit_wait_here(shunt_pool *name, const shunt_task *task,
                                     const void *in, const char *where)
{
    struct sh_pool *pool;
    int64_t deadline_ns = INT64_MAX;
    uint64_t handle;
    shunt_future *f;
    unsigned id;
    int rc = find_pool(name, &pool);

    if (rc != 0)
        return sh_handle_failed(0, rc);
    id = pool->id;
    rc = check(pool, task, in);
    if (rc == 0)
        rc = sh_deadline_inherit(pool, &deadline_ns);
    if (rc == 0)
        rc = submit(pool, task, in, where, deadline_ns, &handle);
    if (rc != SHUNT_EAGAIN)
        return rc == 0 ? sh_handle_future(handle) : sh_submit_refuse(pool, rc);
    /* A guest, whom shunt_pool_free waits for. */
    if (!sh_pool_enter(id))
        return sh_handle_failed(id, rc);
    sh_add_sc(&pool->room_waiters, 1); /* seq_cst: room */
    do {
        uint32_t room = sh_load_sc(&pool->room); /* seq_cst: room */

        rc = submit(pool, task, in, where, deadline_ns, &handle);
        if (rc == SHUNT_EAGAIN) {
            sh_futex_wait(&pool->room, room, INT64_MAX, pool->shared);
            sh_stamp_forget(&sh_seat_of(pool)->stamp);
        }
    } while (rc == SHUNT_EAGAIN);
    sh_sub_sc(&pool->room_waiters, 1); /* seq_cst: room */
    f = rc == 0 ? sh_handle_future(handle) : sh_submit_refuse(pool, rc);
    sh_pool_exit(id);
    return f;
}
