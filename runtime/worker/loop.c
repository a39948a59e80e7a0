/* SPDX-License-Identifier: MIT */
/*
 * worker/loop.c - the loop of a worker, from its thread's start to its end.
 *
 * Edges.
 *   broken   worker/run.c
 *   ended    worker/pool.c
 *   resume   future/deliver.c: push on resumed -> here: take all
 *   claim    worker/run.c
 *   park     worker/await.c
 *   rest     worker/standin.c
 *   sleep    sync/sleep.c
 *   stuck    future/timer.c
 *   stop     shutdown: write stop, then wake -> loop: read stop
 *   quiet    future/settle.c: here, idle is announced before quiet moves, and
 *            quiet moves before a worker that was idle does anything
 */
#define _GNU_SOURCE 1
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fault.h"
#include "future/timer.h"
#include "task/blame.h"
#include "worker/blocking.h"

/* How often an idle worker looks around before it says that it is idle: a
 * moment only, since whoever is to bring work may need this very CPU. */
#define SPINS 4
/* How long a worker in a flow looks away: in that time a thread outside submits
 * 100 to 200 tasks. Not if it has just woken a thread, which may need this
 * CPU. */
#define HOLD_NS 4000
#define HOLD_RELAXES 16 /* between two looks at the clock */
/* How often an idle worker looks for its stranded tasks. */
#define STRANDED_NS 1000000
/* How often a busy stand-in looks whether it is needed. */
#define TURNS_PER_REST 64

/* Of who refuses tasks in the host, where there is no larger one. */
#define STACK_OF_HOST ((size_t)256 * 1024)

/* As often as a stamp asks for it, but by the ticks of the loop, which count
 * anyhow. */
SH_HOT void sh_worker_look_at_clock(struct sh_worker *w)
{
    sh_stamp_forget(&w->started);
    /* relaxed: for reports */
    sh_store_rlx(&w->post->since, sh_stamp_take(&w->started));
    w->look_at = w->tick + w->started.most;
}

void sh_worker_goes_on(struct sh_worker *w, const struct sh_run *run)
{
    uint64_t hint = sh_hint(run->index, run->generation);
    bool may = sh_worker_begins(w, run);

    /* A process can be killed for it, deadline or not. */
    if (may && w->pool->shared) {
        sh_store_sc(&w->post->running, hint); /* seq_cst: stuck */
        may = (sh_load_sc(&run->record->state) & SH_BUSY) == 0; /* seq_cst:
                                                                 * stuck */
    }
    if (!may)
        sh_time_stuck(w->pool, w->post, hint, sh_grace_of(run->record));
}

void sh_worker_give_left(struct sh_worker *w)
{
    w->arrivals++;
    if (w->left != NULL) {
        sh_stacks_give(&w->stacks, w->left);
        w->left = NULL;
    }
}

/* What others have pushed, as a list, oldest first. */
static uint32_t take_pushed(struct sh_worker *w)
{
    uint32_t reversed = SH_NONE;
    /* acquire: resume */
    uint32_t index = sh_xchg_acqrel(&w->post->resumed, SH_NONE);

    while (index != SH_NONE) {
        struct sh_record *r = sh_record_at(w->pool, index);
        uint32_t next = sh_load_rlx(&r->link); /* relaxed: ours now */

        sh_store_rlx(&r->link, reversed); /* relaxed: ours */
        reversed = index;
        index = next;
    }
    return reversed;
}

/* Whether there is memory at run, which may be any word. */
static bool may_be_run(const struct sh_worker *w, const struct sh_run *run)
{
    const struct sh_run *waiting = w->waiting;

    if (!sh_is_in_host(w))
        return sh_arena_has(w->pool->arena, run);
    while (waiting != NULL && waiting != run)
        waiting = waiting->beside;
    return waiting != NULL;
}

/* The run that a hint names, if it is parked here and may go on; else NULL. */
static struct sh_run *find_woken(const struct sh_worker *w, uint64_t hint)
{
    struct sh_record *r = sh_record_at(w->pool, sh_hint_index(hint));
    uint64_t word = sh_load_acq(&r->state); /* acquire: claim, park */
    /* relaxed: if it is parked here, we wrote it */
    struct sh_run *run = (void *)(uintptr_t)sh_load_rlx(&r->input);

    if (sh_generation_of(word) != sh_hint_generation(hint) ||
        sh_phase_of(word) == SH_PARKED || !may_be_run(w, run) ||
        run->record != r || run->generation != sh_hint_generation(hint) ||
        run->worker != w || run->fiber == NULL || run->beside_at == NULL)
        return NULL;
    return run;
}

static void append(_Atomic uint32_t **end, struct sh_run *run)
{
    sh_worker_take_parked(run);
    sh_store_rlx(*end, run->index); /* relaxed: ours */
    *end = &run->after;
    sh_store_rlx(*end, SH_NONE); /* relaxed: ours */
}

/* What follows a record in the list of those that may go on. In a process pool
 * that stands in its run: one that was given up may be in a list of what was
 * handed over, by its own link. */
static _Atomic uint32_t *after(struct sh_worker *w, uint32_t index)
{
    struct sh_record *r = sh_record_at(w->pool, index);
    /* relaxed: its own worker wrote it */
    struct sh_run *run = (void *)(uintptr_t)sh_load_rlx(&r->input);

    return w->pool->shared ? &run->after : &r->link;
}

/* The same in a process pool: what hints name, or all that do not wait. */
static uint32_t take_woken(struct sh_worker *w)
{
    struct sh_post *post = w->post;
    _Atomic uint32_t first = SH_NONE, *end = &first;
    uint32_t how = sh_xchg_sc(&post->resumed, SH_NONE); /* seq_cst: resume */
    struct sh_run *run, *next;

    for (unsigned i = 0; i < SH_WOKEN; i++) {
        uint64_t hint = sh_load_rlx(&post->woken[i]); /* relaxed: a look */

        if (hint == 0)
            continue;
        hint = sh_xchg_acqrel(&post->woken[i], 0); /* acquire: resume */
        run = find_woken(w, hint);
        if (run != NULL)
            append(&end, run);
    }
    for (run = w->waiting; (how & SH_RESUMED_ANY) != 0 && run != NULL;
         run = next) {
        next = run->beside;
        /* acquire: park */
        if (sh_phase_of(sh_load_acq(&run->record->state)) != SH_PARKED)
            append(&end, run);
    }
    return sh_load_rlx(&first); /* relaxed: ours */
}

/* Take over what others resumed, oldest first; and do what they have left to
 * this process. */
static SH_HOT void collect_resumed(struct sh_worker *w)
{
    uint32_t more;

    if (SH_UNLIKELY(w->pool->shared) && sh_is_handed(w->post))
        sh_handed_do(w->pool, w->index + 1);
    /* relaxed: a look that may be repeated */
    if (sh_load_rlx(&w->post->resumed) == SH_NONE)
        return;
    more = SH_UNLIKELY(w->pool->shared) ? take_woken(w) : take_pushed(w);
    if (w->resumed == SH_NONE) {
        w->resumed = more;
        return;
    }
    _Atomic uint32_t *last = after(w, w->resumed);

    while (sh_load_rlx(last) != SH_NONE)    /* relaxed: ours */
        last = after(w, sh_load_rlx(last)); /* relaxed: ours */
    sh_store_rlx(last, more);               /* relaxed: ours */
}

/* Go on with the oldest parked task that may, for good. */
static void resume_next(struct sh_worker *w)
{
    struct sh_record *r = sh_record_at(w->pool, w->resumed);
    struct sh_fiber *from = w->fiber;
    /* relaxed: its own worker wrote it */
    struct sh_run *run = (void *)(uintptr_t)sh_load_rlx(&r->input);

    w->resumed = sh_load_rlx(after(w, w->resumed)); /* relaxed: ours */
    if (!w->pool->shared)
        sh_store_rlx(&r->link, run->made); /* relaxed: ours */
    w->flow = 0; /* it is not the rings alone that keep it busy */
    w->left = from;
    w->fiber = run->fiber;
    run->fiber = NULL;
    w->parked--;
    sh_count(&w->post->counts.resumed, 1);
    sh_worker_goes_on(w, run);
    sh_fiber_switch(from, w->fiber, true);
}

static bool must_stop(const struct sh_worker *w)
{
    return sh_load_sc(&w->pool->team->stop) != 0 && /* seq_cst: stop */
           w->parked == 0;
}

/* Touch nothing that others write. */
static void hold_back(void)
{
    int64_t until = sh_clock_ns() + HOLD_NS;

    do
        for (int i = 0; i < HOLD_RELAXES; i++)
            sh_relax();
    while (sh_clock_ns() < until);
}

/* Nothing to do: hold back if in a flow, look around for a while, then sleep.
 * Returns a hint, or 0 to begin again. */
static uint64_t idle(struct sh_worker *w)
{
    struct sh_pool *pool = w->pool;
    struct sh_sleep *s = &w->camp->sleep;
    uint64_t hint = 0;
    /* Whom we have woken may need this CPU, and will not have more for us
     * within the time that we would look around. */
    int spins = sh_here.woke ? 0 : SPINS;
    bool woken = false;

    if (w->flow >= SH_FLOW && !sh_here.woke) {
        hold_back();
        /* What only we can go on with goes first. relaxed: a look */
        if (sh_load_rlx(&w->post->resumed) != SH_NONE || sh_is_handed(w->post))
            return 0;
        w->flow = SH_FLOW - 1; /* so that it takes any, and the flow goes on */
        hint = sh_worker_find(w);
        if (hint != 0)
            return hint;
    }
    w->flow = 0;
    sh_here.woke = false;
    sh_sleep_search(s, w->index);
    for (;;) {
        for (int i = 0; i < spins && hint == 0; i++) {
            sh_relax();
            if (sh_worker_sees_work(w))
                hint = sh_worker_find(w);
            if (sh_load_rlx(&w->post->resumed) != SH_NONE) /* relaxed: a look */
                break;
        }
        if (hint == 0)
            hint = sh_worker_find(w);
        collect_resumed(w);
        if (hint != 0 || w->resumed != SH_NONE || must_stop(w) ||
            sh_frames_float(w))
            break;
        if (woken)
            sh_count(&w->post->counts.vain, 1);
        woken = false;
        if (SH_UNLIKELY(pool->profiles != NULL))
            sh_sample_rest(w);
        sh_sleep_announce(s, w->index);
        if (sh_worker_sees_work(w) || must_stop(w)) {
            sh_sleep_withdraw(s, w->index);
            sh_quiet_notify(pool);
            if (sh_ring_size(&w->camp->ring) + sh_ring_size(&w->camp->side) > 0)
                sched_yield(); /* to a producer in the middle of a push */
            spins = 1;
            continue;
        }
        sh_quiet_notify(pool);
        sh_count(&w->post->counts.slept, 1);
        woken = sh_sleep_wait(
            s, w->index,
            w->stranded == NULL ? INT64_MAX : sh_clock_after(STRANDED_NS));
        if (woken)
            sh_count(&w->post->counts.woken, 1);
        /* Before we do anything: whoever saw us idle and quiet unmoved since,
         * knows that nothing was done. */
        sh_quiet_notify(pool);
        w->look_at = w->tick;
        sh_store_rlx(&w->post->cpu,
                     (uint32_t)sched_getcpu() + 1); /* relaxed: for a guess */
        spins = SPINS;
    }
    if (sh_sleep_found(s, w->index) && sh_worker_sees_work(w))
        sh_sleep_notify(s);
    return hint;
}

SH_HOT void sh_worker_loop(void *arg)
{
    struct sh_worker *w = arg;

    sh_worker_give_left(w);
    for (;;) {
        uint64_t hint = 0;

        collect_resumed(w);
        if (SH_UNLIKELY(w->stranded != NULL))
            sh_frames_refloat(w);
        if (SH_UNLIKELY(sh_is_standin(w)) && w->tick % TURNS_PER_REST == 0)
            sh_standin_rest(w);
        /* Resumed tasks go first, but on the turns that SH_FAIR leaves to
         * others; find reads the same tick. */
        if (w->resumed != SH_NONE && !sh_worker_shares(++w->tick))
            resume_next(w);
        if (must_stop(w))
            break;
        if (SH_UNLIKELY(w->pool->shared)) {
            if (sh_care_counts(w) && sh_care_leaves(w))
                break;
            if (sh_care_counts(w) && sh_care_rests(w))
                continue;
            hint = sh_is_at_home(w) ? sh_home_find(w)
                   : sh_is_lane(w)  ? sh_lane_find(w)
                                    : sh_worker_find(w);
        } else {
            hint = sh_worker_find(w);
        }
        if (SH_UNLIKELY(sh_is_standin(w)) && hint == 0)
            sh_standin_rest(w);
        if (SH_UNLIKELY(sh_is_aside(w)) && hint == 0 && w->resumed == SH_NONE)
            sh_is_lane(w) ? sh_lane_rest(w) : sh_home_rest(w);
        else if (hint == 0 && w->resumed == SH_NONE)
            hint = idle(w);
        if (hint != 0)
            hint == w->taken ? sh_frames_run(w) : sh_worker_run(w, hint);
    }
    struct sh_fiber *from = w->fiber;

    w->left = from;
    w->fiber = &w->base;
    sh_fiber_switch(from, &w->base, true);
}

/* Run .init: false if the worker cannot work. */
static bool init(struct sh_worker *w)
{
    struct sh_team *team = w->pool->team;

    /* In the host's place of a process that could not begin it only refuses. */
    bool refuses = w->pool->shared && sh_self()->served == NULL &&
                   !sh_is_of_host_camp(w);

    int returned =
        team->init == NULL || refuses ? 0 : team->init(team->init_arg);

    if (returned == 0)
        return true;
    if (sh_is_standin(w)) {
        if (!sh_camp_is_remote(w->pool, w->camp)) /* the warden sees it end */
            sh_standin_unfit(w);
        return false;
    }
    sh_blame_init(w->pool, w->index, returned);
    return true;
}

void sh_team_leave(struct sh_pool *pool)
{
    /* Who is not the last may find it unmapped from then on.
     * acq_rel: ended */
    if (sh_sub_acqrel(&pool->team->alive, 1) != 1)
        return;
    sh_registry_remove(pool);
    sh_pool_destroy(pool);
}

/* Be a worker, on the thread's own stack. */
static void serve(struct sh_worker *w)
{
    sh_here.seat = &w->seat;
    sh_store_rlx(&w->post->cpu,
                 (uint32_t)sched_getcpu() + 1); /* relaxed: for a guess */
    if (init(w)) {
        sh_store_sc(&w->post->unready, 0); /* seq_cst: quiet */
        if (sh_is_standin(w))
            sh_blocking_arrived(w->camp);
        sh_fiber_adopt(&w->base);
        sh_fiber_start(&w->base, w->fiber, sh_worker_loop, w, false);
        sh_worker_give_left(w);
        sh_fiber_disown(&w->base);
    } else {
        sh_stacks_give(&w->stacks, w->fiber);
    }
    sh_here.seat = NULL;
}

bool sh_worker_serve(struct sh_worker *w)
{
    if (!sh_stacks_inherit(&w->stacks))
        return false;
    /* relaxed: to be looked at by the timekeeper, in a while */
    sh_store_rlx(&w->thread_id, (int)syscall(SYS_gettid));
    sh_store_sc(&w->post->rests, 0); /* seq_cst: rest */
    /* Who was here before may have died in a section. */
    sh_blocking_over(w);
    w->fiber = sh_stacks_take(&w->stacks);
    if (w->fiber == NULL)
        return false;
    serve(w);
    return true;
}

bool sh_worker_refuse(struct sh_worker *w)
{
    SH_ASSERT(sh_load_acq(&w->pool->broken) != 0); /* acquire: broken */
    /* No function of a task is called on it, but a .drop may be. */
    sh_stacks_init(&w->stacks, NULL, w->pool->team->stack_bytes);
    w->fiber = sh_stacks_take(&w->stacks);
    if (w->fiber == NULL) {
        sh_stacks_init(&w->stacks, NULL, STACK_OF_HOST);
        w->fiber = sh_stacks_take(&w->stacks);
    }
    if (w->fiber == NULL)
        return false;
    sh_store_sc(&w->post->rests, 0); /* seq_cst: rest */
    serve(w);
    sh_stacks_fini(&w->stacks);
    return true;
}

/* NAME-3, cut so that the number is whole within the system's 15 characters.
 * By the thread itself: to name another one is to open a file of /proc, which
 * the kernel has to take back when that thread ends. */
static void name_thread(const struct sh_worker *w)
{
    char name[16], number[8];
    int digits = snprintf(number, sizeof number, "-%u", w->index % 100000);

    snprintf(name, sizeof name, "%.*s%s", 15 - digits, w->pool->team->name,
             number);
    pthread_setname_np(pthread_self(), name);
}

static void *worker_main(void *arg)
{
    struct sh_worker *w = arg;
    struct sh_pool *pool = w->pool;

    name_thread(w);
    /* relaxed: to be looked at by the timekeeper, in a while */
    sh_store_rlx(&w->thread_id, (int)syscall(SYS_gettid));
    /* The timekeeper, who starts stand-ins, has all signals blocked, and a
     * timer slack of its own. */
    if (sh_is_standin(w)) {
        pthread_sigmask(SIG_SETMASK, &w->pool->team->signals, NULL);
        if (w->pool->team->slack_ns > 0)
            prctl(PR_SET_TIMERSLACK, (unsigned long)w->pool->team->slack_ns);
    }
    serve(w);
    sh_stacks_fini(&w->stacks);
    sh_team_leave(pool);
    return NULL;
}

struct sh_worker *sh_worker_prepare(struct sh_pool *pool, unsigned index)
{
    struct sh_worker *w = &pool->team->workers[index];

    sh_store_rlx(&w->seat.pool, pool); /* relaxed: it starts later */
    w->seat.name = pool->name;
    w->seat.process = sh_self()->process;
    w->seat.post = w->post;
    w->seat.camp = sh_camp_at(pool, index);
    if (pool->shared && index + 1 < SH_MARKS)
        sh_seat_mark(&w->seat, index + 1);
    w->random = 2463534242u + index * 7919u;
    for (int above = 0; above <= 1; above++)
        w->sampler[above].left = w->sampler[above].weight = 1;
    sh_store_rlx(&w->post->unready, 1); /* relaxed: it starts later */
    /* A task of the host may fork, and its child has a copy of what is private
     * alone. No other process looks at its stack. */
    sh_stacks_init(&w->stacks, sh_is_in_host(w) ? NULL : pool->arena,
                   pool->team->stack_bytes);
    return w;
}

int sh_worker_start(struct sh_pool *pool, unsigned index)
{
    struct sh_worker *w = sh_worker_prepare(pool, index);

    w->fiber = sh_stacks_take(&w->stacks);
    if (w->fiber == NULL)
        return SHUNT_ENOMEM;
    sh_add_acqrel(&pool->team->alive, 1); /* acq_rel: ended */
    if (sh_fault() || pthread_create(&w->thread, NULL, worker_main, w) != 0) {
        sh_sub_acqrel(&pool->team->alive, 1); /* acq_rel: ended */
        sh_stacks_give(&w->stacks, w->fiber);
        sh_stacks_fini(&w->stacks);
        return SHUNT_ENOMEM;
    }
    return 0;
}
