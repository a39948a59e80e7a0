/* SPDX-License-Identifier: MIT */
/*
 * worker/frames.c - calls that were spawned: who takes one, and who waits.
 *
 *   owner   spawn, at the limit: publish, wake somebody
 *           sync, below the split: take back; or wait for who has taken it
 *   thief   take the frame | make it a task of its own, which it runs at once:
 *           mark the frame as taken, call, mark it as done, settle
 *
 * Idea. A call that nobody takes is a call. One that is taken becomes a task,
 * with a record that the owner's task waits for as for any other: so it may
 * await and submit, it parks and goes on, it is in every dump; and a steal is
 * rare enough to pay for that. Tasks of this kind are never READY, so nobody
 * refuses to run one: its owner waits for what it does.
 *
 * What the call has got (handles, promises, the text of a failure) goes with
 * its value to the owner's task (leaving.c), as does its memory. What it is
 * asked (whether to cancel, how much time is left) it reads in the runs of
 * those whom it works for: they wait for it.
 *
 * A deque belongs to a shunt_fork as long as that lasts, and then to the next.
 * If there is no memory for one, or too many are in use, that fork is run by
 * its own thread. So is one whose stack others do not see: of a worker of the
 * host, or of a lane, which nobody else's death is to reach; or where an
 * address sanitizer keeps locals in memory of its own.
 *
 * Edges.
 *   publish  queue/split.c
 *   sleep    sync/sleep.c
 *   fork     leave: write used -> enter: claim used       the deque is empty
 *   taken    steal: write the frame's mark -> join: read it    who has it
 *   ran      run: write the frame's mark -> join: read it      the result
 *   killing  begin: write RUNNING, then read gave_up || shutdown: write
 *            gave_up, then look at all records; all seq_cst: what is taken of
 *            a task that was given up is given up as well
 *   accepted task/handle.c
 *   claim    worker/run.c
 *   death    process/recover.c
 *   settled  future/settle.c
 *
 * Crash. In a process pool frames, deques and runs lie in the arena. A process
 * may die at any of these steps: doom.c.
 */
#include <sched.h>

#include "future/timer.h"
#include "future/value.h"
#include "memory/arena.h"
#include "task/error.h"
#include "worker/frames.h"

/* How often who waits for a taken call looks before it parks: as long as
 * another switch of stacks would take. */
#define LOOKS 200

/* -- the deques of a pool -- */

struct sh_split *sh_split_at(struct sh_pool *pool, uint32_t i)
{
    return sh_load_acq(&pool->splits[i]); /* acquire: fork */
}

uint32_t sh_splits_count(struct sh_pool *pool)
{
    uint32_t n = sh_load_sc(&pool->splits_used); /* seq_cst: sleep */

    return n < SH_SPLITS ? n : SH_SPLITS;
}

static size_t split_bytes(void)
{
    return sizeof(struct sh_split) + SH_SPLIT_SLOTS * sizeof(shunt_slot_);
}

/* One more, in use; NULL if there is no memory, or there are too many. */
static SH_COLD struct sh_split *add_split(struct sh_pool *pool, unsigned camp,
                                          uint32_t used)
{
    struct sh_split *s;
    uint32_t i;

    if (sh_load_rlx(&pool->splits_used) >= SH_SPLITS) /* relaxed: a look */
        return NULL;
    s = sh_arena_map(pool->arena, split_bytes(), SH_PAGES_RESERVE);
    if (s == NULL)
        return NULL;
    s->pool = pool;
    s->camp = camp;
    sh_split_init(s, (shunt_slot_ *)(s + 1));
    sh_store_rlx(&s->used, used);         /* relaxed: nobody else has it yet */
    i = sh_add_sc(&pool->splits_used, 1); /* seq_cst: sleep */
    if (i >= SH_SPLITS) {
        sh_arena_unmap(pool->arena, s, split_bytes());
        return NULL;
    }
    sh_store_sc(&pool->splits[i], s); /* seq_cst: fork, sleep */
    return s;
}

/* A deque for the calling worker, which nobody else has; it looks first at the
 * one that it had before. */
static struct sh_split *claim_split(const struct sh_worker *w)
{
    struct sh_pool *pool = w->pool;
    unsigned camp = (unsigned)(w->camp - pool->camps);
    uint32_t n = sh_splits_count(pool), used = w->index + 1;

    for (uint32_t k = 0; k < n; k++) {
        struct sh_split *s = sh_split_at(pool, (w->index + k) % n);
        uint32_t none = 0;

        /* relaxed: a look */
        if (s != NULL && s->camp == camp && sh_load_rlx(&s->used) == 0 &&
            sh_cas_acq(&s->used, &none, used)) /* acquire: fork */
            return s;
    }
    return add_split(pool, camp, used);
}

void sh_split_leave(struct sh_split *s)
{
    /* Who has not synced all that it has spawned harms no other fork. */
    sh_split_init(s, s->slots);
    sh_store_rel(&s->used, 0); /* release: fork */
}

void sh_frames_free(struct sh_pool *pool)
{
    for (uint32_t i = 0; i < sh_splits_count(pool); i++) {
        struct sh_split *s = sh_split_at(pool, i);

        if (s != NULL)
            sh_arena_unmap(pool->arena, s, split_bytes());
    }
}

/* Whether others may see what is on the stack that holds root: inline.c. */
static bool is_shared(const struct sh_worker *w, const shunt_root_ *root)
{
    return !sh_camp_is_remote(w->pool, w->camp) ||
           (!sh_is_aside(w) && !sh_here.run->above &&
            sh_arena_has(w->pool->arena, root));
}

void shunt_root_enter_(shunt_root_ *root)
{
    struct sh_run *run = sh_here.run;
    struct sh_worker *w = sh_worker_here();
    struct sh_split *s = NULL;

    if (run != NULL && w != NULL && is_shared(w, root))
        s = claim_split(w);
    if (s == NULL) {
        root->serial_ = (shunt_split_){ .split_ = &root->slot_ };
        root->split_ = &root->serial_;
        root->at_ = &root->slot_;
        return;
    }
    s->run = run;
    /* The first calls are large, and nobody knows of us yet. */
    if (sh_camp_end(run->pool, w->camp) - w->camp->first > 1)
        sh_split_ask(s);
    root->split_ = &s->owner;
    root->at_ = s->slots;
}

void shunt_root_leave_(shunt_root_ *root)
{
    struct sh_split *s = root->split_->deque_;

    if (s != NULL)
        sh_split_leave(s);
}

/* -- the owner -- */

/* Whether others can read those frames that would be public next. Of processes
 * one may lie in memory of the spawner's own. */
static bool may_publish(const struct sh_split *s, shunt_slot_ *at)
{
    size_t more = (size_t)(at - s->owner.split_ + 2) / 2;

    for (size_t i = 0; s->pool->shared && s->camp == SH_OWN_CAMP && i < more;
         i++)
        if (!sh_arena_has(s->pool->arena, s->owner.split_[i]))
            return false;
    return true;
}

void shunt_spawn_slowly_(shunt_split_ *split, shunt_slot_ *at,
                         struct shunt_frame_ *frame)
{
    struct sh_split *s = split->deque_;
    struct sh_sleep *sleep;

    /* Too deep, or nobody is there: it runs at its sync. */
    if (s == NULL || at >= s->slots + SH_SPLIT_SLOTS)
        return;
    *at = frame;
    if (!may_publish(s, at))
        return;
    sleep = &s->pool->camps[s->camp].sleep;
    /* Before the frame can be seen: who asks later is not overlooked. */
    if (s->eager == 0)
        sh_split_calm(s);
    else
        s->eager--;
    sh_split_publish(s, at + 1);
    sh_sleep_notify(sleep);
    sh_worker_offered();
}

bool shunt_reclaim_(shunt_split_ *split, shunt_slot_ *at)
{
    return sh_split_reclaim(split->deque_, at);
}

bool shunt_hungry_(const shunt_split_ *split)
{
    return split->deque_ != NULL &&
           sh_load_bare_rlx(&split->limit_) == 0; /* relaxed: a wish */
}

/* A task that waits for a call and cannot be PARKED, since it was given up or
 * there is no memory: on its stack. */
struct sh_stranded {
    const struct shunt_frame_ *frame;
    const struct sh_run *run;
    uint64_t asked; /* of run, when it looked last */
    struct sh_fiber *fiber;
    struct sh_stranded *next;
};

static bool has_run(const struct shunt_frame_ *frame)
{
    uintptr_t run = sh_load_bare_acq(&frame->run_); /* acquire: ran */

    return run >= SH_FRAME_DONE && run <= SH_FRAME_RETURNED;
}

/* Leave the stack without the help of a record, which says nothing any more:
 * the worker looks from time to time whether the call has run. The call may
 * wait to go on on this very worker; so without a stack for the loop both wait
 * until there is one. */
static SH_COLD void strand(struct sh_run *run, uint64_t asked,
                           const struct shunt_frame_ *frame)
{
    struct sh_worker *w = sh_worker_here();
    struct sh_fiber *fresh = sh_stacks_take(&w->stacks);
    struct sh_stranded here = { frame, run, asked, w->fiber, w->stranded };

    if (fresh == NULL) {
        sched_yield();
        return;
    }
    w->stranded = &here;
    w->parked++;
    sh_store_rlx(&w->post->running, 0); /* relaxed: as when it parks */
    sh_blocking_over(w);
    sh_here.run = NULL;
    w->fiber = fresh;
    sh_fiber_start(here.fiber, fresh, sh_worker_loop, w, false);
    sh_worker_give_left(w);
    sh_here.run = run;
    sh_worker_goes_on(w, run);
}

/* It has been asked something since: it is to pass that on. */
static bool floats(const struct sh_stranded *s)
{
    return has_run(s->frame) || sh_run_asked(s->run) != s->asked;
}

bool sh_frames_float(const struct sh_worker *w)
{
    const struct sh_stranded *s = w->stranded;

    while (s != NULL && !floats(s))
        s = s->next;
    return s != NULL;
}

void sh_frames_refloat(struct sh_worker *w)
{
    struct sh_stranded **at = &w->stranded;

    while (*at != NULL && !floats(*at))
        at = &(*at)->next;
    if (*at == NULL)
        return;
    w->left = w->fiber;
    w->fiber = (*at)->fiber;
    *at = (*at)->next;
    w->parked--;
    sh_fiber_switch(w->left, w->fiber, true);
}

/* Wait until the task has settled that runs a taken call, and until that has
 * run: a deadline of ours, or a shutdown, does not wait for it. */
static SH_ON_STACK void wait_for(struct sh_run *run,
                                 const struct shunt_frame_ *frame)
{
    struct sh_ref ref = { .handle = frame->thief_,
                          .pool = run->pool,
                          .record = sh_record_at(
                              run->pool, sh_handle_index(frame->thief_)) };

    for (int i = 0; i < LOOKS; i++) {
        /* acquire: settled */
        if (sh_is_settled(sh_load_acq(&ref.record->state)))
            break;
        sh_relax();
    }
    for (;;) {
        uint64_t asked = sh_run_asked(run);

        if (sh_await_joined(&ref) == 0 && has_run(frame))
            return;
        strand(run, asked, frame);
    }
}

/* In the child of a process that has forked within a call: the thread that has
 * taken a frame is not there. */
static SH_COLD void run_in_child(shunt_split_ *split, shunt_slot_ *at,
                                 struct shunt_frame_ *frame)
{
    struct sh_split *s = split->deque_;
    uintptr_t run = sh_load_bare_rlx(&frame->run_); /* relaxed: ours alone */

    if (run == SH_FRAME_TAKEN) {
        struct sh_record *r =
            sh_record_at(s->pool, sh_handle_index(frame->thief_));

        run = (uintptr_t)((struct sh_taken *)sh_record_in(r))->fn;
    }
    if (run != SH_FRAME_DONE)
        ((shunt_frame_run_ *)run)(frame, split, at);
}

/* What a call that has run leaves is the task's; its memory comes with its
 * value. A call that was given up with its task has no value: its record and
 * its memory stay as long as the task, whose code runs on. */
static void take_over(struct sh_run *run, const struct shunt_frame_ *frame)
{
    shunt_future *f = sh_handle_future(frame->thief_);
    struct sh_record *r =
        sh_record_at(run->pool, sh_handle_index(frame->thief_));
    struct sh_leaving *leaving = *(struct sh_leaving **)sh_record_out(r);

    sh_leaving_absorb(run, leaving);
    if (shunt_status(f) == 0 &&
        shunt_take_sized(f, &leaving, sizeof leaving) == 0) {
        sh_leaving_free(leaving);
        return;
    }
    sh_mark_seen(frame->thief_, true);
    sh_run_note(run, frame->thief_);
}

/* A call of this run is lost, and with it the run: leave its stack in the
 * middle of its code. The host sees to what is left of it. */
static SH_COLD _Noreturn void desert(struct sh_run *run)
{
    struct sh_worker *w = sh_worker_here();
    struct sh_fiber *from = w->fiber, *fresh = sh_stacks_take(&w->stacks);

    while (fresh == NULL) {
        sched_yield();
        fresh = sh_stacks_take(&w->stacks);
    }
    sh_error_free(run->last); /* it is of this process alone */
    run->last = NULL;
    sh_store_rlx(&w->post->running, 0); /* relaxed: as when it parks */
    sh_blocking_over(w);
    sh_here.run = NULL;
    w->fiber = fresh;
    (void)sh_frames_doom(w->pool, run, w->index, SH_DOOM_LOST);
    sh_time_recruit(w->pool);
    sh_fiber_start(from, fresh, sh_worker_loop, w, true);
    __builtin_unreachable();
}

/* The process that had taken a call has died, and the call has not begun. */
static SH_COLD void run_after_all(struct sh_split *s, shunt_slot_ *at,
                                  struct shunt_frame_ *frame)
{
    uintptr_t run = (uintptr_t)frame->thief_;

    if (sh_load_bare_rlx(&frame->run_) == SH_FRAME_BACK) { /* relaxed: ours */
        struct sh_record *r =
            sh_record_at(s->pool, sh_handle_index(frame->thief_));

        run = (uintptr_t)((struct sh_taken *)sh_record_in(r))->fn;
        sh_mark_seen(frame->thief_, true);
        (void)shunt_release(sh_handle_future(frame->thief_));
    }
    sh_split_joined(s, at);
    ((shunt_frame_run_ *)run)(frame, &s->owner, at);
}

void shunt_join_(shunt_split_ *split, shunt_slot_ *at,
                 struct shunt_frame_ *frame)
{
    struct sh_split *s = split->deque_;
    struct sh_run *run = sh_here.run;
    uintptr_t mark;

    if (run == NULL) {
        sh_split_renew(s, at);
        run_in_child(split, at, frame);
        return;
    }
    /* It was taken, but the thief may not have come further yet. */
    for (int i = 0; (mark = sh_load_bare_acq(&frame->run_)) >
                    SH_FRAME_RETURNED; /* acquire:
                                        * taken */
         i++)
        i < LOOKS ? sh_relax() : (void)sched_yield();
    if (mark != SH_FRAME_RETURNED)
        wait_for(run, frame);
    mark = sh_load_bare_acq(&frame->run_); /* acquire: ran */
    if (SH_UNLIKELY(mark == SH_FRAME_RETURNED || mark == SH_FRAME_BACK)) {
        run_after_all(s, at, frame);
        return;
    }
    if (SH_UNLIKELY(s->pool->shared) &&
        (mark == SH_FRAME_LOST ||
         shunt_status(sh_handle_future(frame->thief_)) == SHUNT_ECRASHED))
        desert(run);
    take_over(run, frame);
    sh_split_joined(s, at);
}

/* -- the thief -- */

static int run_taken(const void *in, const void *ctx, void *out)
{
    const struct sh_taken *t = in;
    struct sh_run *run = sh_here.run;
    struct sh_leaving *leaving;
    shunt_root_ root;

    (void)ctx;
    if (run->pool->shared)
        sh_worker_goes_on(sh_worker_here(), run);
    run->outer = t->outer;
    /* relaxed: what it was when it was looked at */
    run->deadline_ns = sh_load_bare_rlx(&t->outer->deadline_ns);
    run->scope = t->outer->scope;
    shunt_root_enter_(&root);
    t->fn(t->frame, root.split_, root.at_);
    shunt_root_leave_(&root);
    leaving = sh_leaving_gather(run);
    *(struct sh_leaving **)out = leaving;
    sh_store_bare_rel(&t->frame->run_, SH_FRAME_DONE); /* release: ran */
    sh_leaving_left(run, leaving);
    return 0;
}

static const shunt_task taken_task = {
    .size_ = sizeof(shunt_task),
    .shape_ = SH_SHAPE_TAKEN,
    .call_ = run_taken,
    .fn_ = "spawned call",
    .in_type_ = "struct sh_taken",
    .out_type_ = "struct sh_leaving *",
    .in_size_ = sizeof(struct sh_taken),
    .out_size_ = sizeof(struct sh_leaving *),
    .in_align_ = _Alignof(struct sh_taken),
    .out_align_ = _Alignof(struct sh_leaving *),
};

/* It will run all the same, since somebody waits for it. */
static SH_COLD void be_given_up(struct sh_pool *pool, struct sh_record *r)
{
    struct sh_work work = { 0 };
    uint64_t w = sh_load_acq(&r->state); /* acquire: settled */

    (void)sh_settle_over(&work, pool, r, w, SHUNT_ECANCELED);
    sh_work_do(&work);
}

/* The frame is ours: r, in INIT, is the task that runs it. Its hint. */
static uint64_t begin(struct sh_worker *w, struct sh_split *s,
                      struct sh_record *r, struct shunt_frame_ *frame)
{
    struct sh_taken *t = sh_record_in(r);
    uint32_t index = sh_index_of(w->pool, r);
    uint64_t word = sh_load_rlx(&r->state); /* relaxed: ours in INIT */

    w->taken = sh_hint(index, sh_generation_of(word));
    /* relaxed: published with the slot */
    t->frame = frame;
    t->fn = (shunt_frame_run_ *)sh_load_bare_rlx(&frame->run_); /* relaxed:
                                                                 * as above */
    t->outer = s->run;
    t->owner = sh_hint(s->run->index, s->run->generation);
    t->task = sh_record_whole(s->run->record);
    /* Who repairs knows that we have claimed it. release: claim, death */
    if (w->pool->shared)
        sh_store_rel(&w->post->claiming, w->taken);
    /* Not READY: nobody else claims it, or settles it before it has begun. */
    sh_store_sc(&r->state,
                sh_word_to(word, SH_RUNNING,
                           SH_OWNER_WORKER(w->index))); /* seq_cst: accepted,
                                                         * killing */
    frame->thief_ = sh_handle_make(w->pool->id, index, sh_generation_of(word));
    sh_store_bare_rel(&frame->run_, SH_FRAME_TAKEN); /* release: taken */
    if (w->pool->shared)
        sh_split_settled(s, w->index);
    sh_count(&w->post->counts.stolen, 1);
    sh_count(&w->post->counts.calls, 1);
    if (SH_UNLIKELY(sh_load_sc(&w->pool->gave_up) != 0)) /* seq_cst: killing */
        be_given_up(w->pool, r);
    /* Whom we have woken, or who has found nothing: there may be more. */
    if (!sh_split_offers(s) && sh_sleep_has_idle(&w->camp->sleep))
        sh_split_ask(s);
    return w->taken;
}

/* In INIT; NULL: no memory. */
static struct sh_record *make_record(struct sh_worker *w)
{
    struct sh_record *r =
        sh_record_new(w->pool, &w->seat, SH_KIND_TASK, &taken_task, NULL);

    if (r != NULL && !sh_record_make_data(w->pool, r)) {
        sh_record_retire(w->pool, &w->seat, r,
                         sh_load_rlx(&r->state)); /* relaxed: ours in INIT */
        return NULL;
    }
    return r;
}

uint64_t sh_frames_steal(struct sh_worker *w, unsigned first)
{
    struct sh_pool *pool = w->pool;
    uint32_t n = sh_splits_count(pool);
    struct sh_record *r = NULL;
    uint64_t hint = 0;

    for (uint32_t k = 0; k < n && hint == 0; k++) {
        struct sh_split *s = sh_split_at(pool, (first + k) % n);
        struct shunt_frame_ *frame;

        if (s == NULL || &pool->camps[s->camp] != w->camp ||
            sh_load_rlx(&s->used) == 0) /* relaxed: a look */
            continue;
        if (!sh_split_offers(s)) {
            sh_split_ask(s);
            continue;
        }
        if (r == NULL)
            r = make_record(w);
        if (r == NULL) {
            sched_yield(); /* we shall be back at once: it is still there */
            break;
        }
        frame = w->pool->shared ? sh_split_steal_as(s, w->index, w->tag++)
                                : sh_split_steal(s);
        sh_count(&w->post->counts.lost, frame == NULL);
        if (frame != NULL)
            hint = begin(w, s, r, frame);
        else
            sh_split_ask(s);
    }
    if (hint == 0 && r != NULL)
        sh_record_retire(pool, &w->seat, r,
                         sh_load_rlx(&r->state)); /* relaxed: ours in INIT */
    return hint;
}

void sh_frames_run(struct sh_worker *w)
{
    struct sh_record *r = sh_record_at(w->pool, sh_hint_index(w->taken));

    w->taken = 0;
    w->sampler[0].left++; /* it is a part of a run, and none */
    SH_ASSERT(!sh_is_bound(r)); /* or it may not be called, for its deadline */
    sh_worker_execute(w, r, sh_load_rlx(&r->state), /* relaxed: we claimed it */
                      SH_KIND_TASK, false);
}

bool sh_frames_offered(struct sh_pool *pool, const struct sh_camp *camp)
{
    for (uint32_t i = 0; i < sh_splits_count(pool); i++) {
        struct sh_split *s = sh_split_at(pool, i);

        if (s == NULL || &pool->camps[s->camp] != camp)
            continue;
        if (sh_split_offers(s))
            return true;
        /* Once more, since what was asked before may have been answered by what
         * was taken back. After the look, so that a former answer does not
         * overwrite it. */
        sh_split_ask(s);
    }
    return false;
}
