/* SPDX-License-Identifier: MIT */
/*
 * worker/await.c - waiting: a task parks its stack, another thread sleeps.
 *
 *   task    renew arrivals, hang an edge | RUNNING -> PARKED | look at the
 *           arrivals | leave the stack ... | back on it | look why
 *   thread  look for a while | hang an edge on a cell | set SLEEPS in the
 *           cell's word | futex until the arrival is there
 *
 * That a wait runs out is an arrival, too, which a timer brings; but a thread
 * tells its futex. A task may be woken for nothing (a cancel, or an arrival
 * that crossed a timeout): it then looks at its arrivals and parks again. A
 * thread looks around before it sleeps, as long as a wake-up would take, unless
 * a worker would run on this very CPU if it slept.
 *
 * Edges.
 *   idle     future/settle.c
 *   registry task/registry.c
 *   settled  future/settle.c
 *   park     await: write PARKED, then read the arrivals || deliver: set the
 *            arrival, then read the state; all seq_cst: one sees the other
 *   arrive   future/edge.c: the outcome is visible after the arrival
 *   cell     future/combine.c
 *   claim    worker/run.c
 */
#include <sched.h>

#include "future/bridge.h"
#include "future/timer.h"
#include "future/value.h"
#include "sync/futex.h"
#include "task/error.h"
#include "worker/blocking.h"

/* How long a thread outside looks around before it sleeps. */
#define LOOK_NS 50000
/* How often it relaxes between two looks, at most. */
#define PAUSE_MAX 63u

/* In the arrivals of a wait: the future has settled, or the time is up. */
#define SETTLED 1u
#define TIMED_OUT (1u << SH_BIT_TIME)
#define ARRIVED (SETTLED | TIMED_OUT)

/* What a task that waits does when it is asked to cancel. */
enum how {
    HEEDS,    /* it waits no longer, */
    STUBBORN, /* does all the same, */
    PASSES_ON /* or asks what it waits for, and is stubborn then */
};

/* What ends the wait of a task, in the state of its record: that it was asked
 * to cancel, or that it was given up. */
static uint64_t heeded_flags(enum how how)
{
    return how == STUBBORN ? SH_BUSY : SH_CANCEL | SH_BUSY;
}

/* RUNNING -> PARKED and away. False if there is no need to, or no stack:
 * *rc_out then says so. */
static bool park(struct sh_run *run, enum how how, int *rc_out)
{
    struct sh_worker *w = sh_worker_here();
    struct sh_record *r = run->record;
    struct sh_fiber *fresh = sh_stacks_take(&w->stacks);
    uint64_t word = sh_load_rlx(&r->state); /* relaxed: the CAS validates it */
    uint64_t parked;

    if (fresh == NULL) {
        *rc_out = SHUNT_ENOMEM;
        return false;
    }
    run->fiber = w->fiber;
    run->made = sh_load_rlx(&r->link); /* relaxed: ours while it runs */
    do {
        if ((word & heeded_flags(how)) != 0 ||
            sh_phase_of(word) != SH_RUNNING) {
            *rc_out = SHUNT_ECANCELED;
            run->fiber = NULL;
            sh_stacks_give(&w->stacks, fresh);
            return false;
        }
        parked = sh_word_to(word, SH_PARKED, sh_owner_of(word));
    } while (!sh_cas_sc(&r->state, &word, parked)); /* seq_cst: park */
    sh_worker_add_parked(w, run);
    /* Arrived meanwhile? Then nobody may have seen us park. */
    while ((sh_load_sc(&r->deps) & ARRIVED) != 0 && /* seq_cst: park */
           sh_phase_of(parked) == SH_PARKED) {
        /* acq_rel: park. A flag may have been set: once more then. */
        if (!sh_cas_acqrel(&r->state, &parked,
                           sh_word_to(parked, SH_RUNNING, sh_owner_of(parked))))
            continue;
        w->parked--;
        if (SH_UNLIKELY(w->pool->shared))
            sh_worker_take_parked(run);
        run->fiber = NULL;
        sh_stacks_give(&w->stacks, fresh);
        *rc_out = 0;
        return false;
    }
    sh_store_rlx(&w->post->running, 0); /* relaxed: if it is read too late,
                                         * somebody stands in for nothing */
    if (SH_UNLIKELY(sh_load_rlx(&w->post->blocked) != 0)) /* relaxed: ours */
        sh_blocking_over(w);
    sh_count(&w->post->counts.parked, 1);
    sh_worker_tells(w);
    sh_here.run = NULL;
    w->fiber = fresh;
    if (SH_UNLIKELY(run->sample != NULL))
        sh_sample_pause(run->sample);
    sh_fiber_start(run->fiber, fresh, sh_worker_loop, w, false);
    /* Somebody resumed us, and the loop came back to our stack. */
    sh_worker_give_left(w);
    sh_here.run = run;
    if (sh_blocking_always(r))
        sh_blocking_enter(w);
    if (SH_UNLIKELY(run->sample != NULL))
        sh_sample_resume(run->sample);
    *rc_out = 0;
    return true;
}

/* Be a guest of another pool again, after the task was parked: if it has been
 * freed, ref is as that of what it closed. */
static bool come_back(struct sh_ref *ref, uint32_t serial)
{
    unsigned id = sh_handle_pool(ref->handle);
    struct sh_pool *pool = sh_pool_visit(id);

    if (pool != NULL && sh_pool_serial(pool) == serial)
        return true;
    if (pool != NULL)
        sh_pool_leave(id);
    ref->pool = NULL;
    ref->record = NULL;
    ref->reserved = sh_outcome_from(SHUNT_ECLOSED);
    return false;
}

/* Have the wait of a record or cell, which is in that generation of arrivals,
 * run out after ns: 0 or SHUNT_ENOMEM. */
static int limit(struct sh_pool *pool, uint32_t timer, uint32_t generation,
                 int64_t ns)
{
    int64_t wake_ns = sh_pool_after(pool, ns);

    return wake_ns == INT64_MAX ||
                   sh_timer_set(pool, timer, generation, wake_ns)
               ? 0
               : SHUNT_ENOMEM;
}

/* Whether a record is that of the running task, or of one that waits for it, as
 * a call that it has spawned. */
static bool is_of(const struct sh_run *run, const struct sh_record *r)
{
    while (run != NULL && run->record != r)
        run = run->outer;
    return run != NULL;
}

/* If the task has been asked to cancel, so is what it waits for: how it waits
 * from now on. */
static enum how pass_on(const struct sh_run *run, const struct sh_ref *ref)
{
    struct sh_work work = { 0 };

    if (sh_run_asked(run) == 0)
        return PASSES_ON;
    (void)sh_cancel_ask(&work, ref->pool, ref->record,
                        sh_generation_of(ref->word));
    sh_work_do(&work);
    return STUBBORN;
}

static SH_ON_STACK int await_in_task(struct sh_run *run, struct sh_ref *ref,
                                     int64_t ns, enum how how)
{
    struct sh_record *r = run->record;
    bool foreign = ref->pool != run->pool;
    uint32_t serial = sh_pool_serial(ref->pool);
    struct sh_hung hung;
    uint32_t generation;
    int rc = 0;

    if (is_of(run, ref->record))
        return SHUNT_EDEADLK;
    if (how == PASSES_ON)
        how = pass_on(run, ref);
    else if (how == HEEDS && sh_run_asked(run) != 0)
        return SHUNT_ECANCELED;
    /* acquire: claim */
    if (how == STUBBORN && (sh_load_acq(&r->state) & heeded_flags(how)) != 0)
        return SHUNT_ECANCELED;
    if (ns <= 0)
        return SHUNT_PENDING;
    generation = sh_deps_renew(r);
    switch (sh_hang(run->pool, ref,
                    sh_target(SH_TARGET_RECORD, run->index, 0, generation),
                    &hung)) {
    case SH_ATTACH_SETTLED:
        return 0;
    case SH_ATTACH_NOMEM:
        return SHUNT_ENOMEM;
    case SH_ATTACHED:
        run->hung = &hung;
        run->awaited = ref;
        break;
    }
    rc = limit(run->pool, sh_timer_of_wait(run->pool, run->index), generation,
               ns);
    /* No guest while parked: whoever frees the other pool would wait for this
     * worker, and may be a task that runs on it. */
    if (foreign)
        sh_pool_exit(sh_handle_pool(ref->handle));
    while (rc == 0) {
        uint64_t arrived = sh_load_acq(&r->deps); /* acquire: arrive */

        if ((arrived & SETTLED) != 0)
            break;
        if ((arrived & TIMED_OUT) != 0)
            rc = SHUNT_PENDING;
        else
            (void)park(run, how, &rc);
        /* Asked since it has looked for that: it has not parked then. */
        if (how == PASSES_ON && (how = pass_on(run, ref)) == STUBBORN)
            rc = 0;
    }
    if (foreign && !come_back(ref, serial))
        rc = SHUNT_ECLOSED;
    else if (rc != 0)
        sh_unhang(run->pool, ref, &hung);
    run->hung = NULL;
    /* What arrives from now on is for nobody. */
    (void)sh_deps_renew(r);
    return rc;
}

/* Whether some worker is awake, and none on this CPU, which looking around
 * would keep from it. One that is being woken is taken to wake where it fell
 * asleep. */
static bool looking_pays(struct sh_pool *pool)
{
    uint32_t here = (uint32_t)sched_getcpu() + 1;
    bool awake = false;

    for (unsigned w = 0; w < sh_pool_active(pool); w = sh_pool_next(pool, w)) {
        if (sh_post_is_off(&pool->posts[w]) ||
            sh_sleep_is_idle(&sh_camp_at(pool, w)->sleep, w))
            continue;
        if (sh_load_rlx(&pool->posts[w].cpu) == here) /* relaxed: a guess */
            return false;
        awake = true;
    }
    return awake;
}

/* Look at the state for a while. True if it has settled. Every look takes the
 * record's line from the worker that is about to write it, so they become rare
 * soon; a caller that takes one result after the other is then some tasks
 * behind the worker, and need not wait for each of them. */
static bool look(struct sh_ref *ref, int64_t deadline_ns)
{
    int64_t until = 0;
    uint64_t w;

    for (unsigned pause = 0;;) {
        w = sh_load_acq(&ref->record->state); /* acquire: settled */
        if (sh_is_settled(w) ||
            sh_generation_of(w) != sh_generation_of(ref->word))
            return true;
        if (pause == 0 && !looking_pays(ref->pool))
            return false;
        if (pause == PAUSE_MAX) {
            int64_t now = sh_clock_ns();

            if (until == 0)
                until = now + LOOK_NS < deadline_ns ? now + LOOK_NS
                                                    : deadline_ns;
            if (now >= until || !looking_pays(ref->pool))
                return false;
        } else {
            pause = 2 * pause + 1;
        }
        for (unsigned i = 0; i < pause; i++)
            sh_relax();
    }
}

/* Sleep on a cell until its arrival or deadline: 0 or SHUNT_PENDING. */
static int sleep_on(struct sh_pool *pool, struct sh_cell *cell,
                    int64_t deadline_ns)
{
    _Atomic uint64_t *word = &cell->word;
    uint64_t sleeps = (uint64_t)1 << SH_BIT_SLEEPS;

    for (;;) {
        uint64_t w = sh_or_sc(word, sleeps) | sleeps; /* seq_cst: arrive */

        if ((w & SETTLED) != 0)
            return 0;
        if ((w & TIMED_OUT) != 0)
            return SHUNT_PENDING;
        /* The low half, where the arrivals are. */
        if (!sh_futex_wait((_Atomic uint32_t *)(void *)word, (uint32_t)w,
                           deadline_ns, pool->shared))
            return (sh_load_acq(word) & SETTLED) != 0
                       ? 0
                       : SHUNT_PENDING; /*
                                         * acquire: arrive */
    }
}

static SH_HOT int await_in_thread(struct sh_ref *ref, int64_t ns)
{
    struct sh_pool *pool = ref->pool;
    bool by_hand = pool->time.manual && ns != INT64_MAX;
    int64_t deadline_ns = by_hand || ns == INT64_MAX ? INT64_MAX
                                                     : sh_clock_after(ns);
    struct sh_seat *seat;
    struct sh_hung hung;
    struct sh_cell *cell;
    uint32_t index, generation;
    int rc = 0;

    if (look(ref, deadline_ns))
        return 0;
    if (ns <= 0 || (deadline_ns != INT64_MAX && deadline_ns <= sh_clock_ns()))
        return SHUNT_PENDING;
    seat = sh_seat_of(pool);
    index = seat == NULL ? SH_NONE : sh_table_take(&pool->cells, &seat->cells);
    if (index == SH_NONE)
        return SHUNT_ENOMEM;
    cell = sh_cell_at(pool, index);
    generation = sh_arrivals_renew(&cell->word);
    sh_store_rel(&cell->kind, SH_CELL_WAITER); /* release: cell */
    switch (sh_hang(pool, ref, sh_target(SH_TARGET_CELL, index, 0, generation),
                    &hung)) {
    case SH_ATTACHED:
        if (by_hand)
            rc = limit(pool, sh_timer_of_cell(pool, index), generation, ns);
        if (rc == 0)
            rc = sleep_on(pool, cell, deadline_ns);
        sh_stamp_forget(&seat->stamp);
        if (rc != 0)
            sh_unhang(pool, ref, &hung);
        break;
    case SH_ATTACH_SETTLED:
        break;
    case SH_ATTACH_NOMEM:
        rc = SHUNT_ENOMEM;
        break;
    }
    (void)sh_arrivals_renew(&cell->word);
    sh_table_give(&pool->cells, &seat->cells, index);
    return rc;
}

/* Whoever waits for a future is a guest of its pool until it has the outcome:
 * shunt_pool_free waits for it. If the pool goes while the wait lasts, ref has
 * no record afterwards, and nobody is a guest. */
static bool is_wait(const struct sh_ref *ref)
{
    return ref->record != NULL && !sh_is_settled(ref->word);
}

/* The wait is over. SHUNT_EINVAL if the handle was given back under our hands,
 * and nobody else holds the record. */
static int unpin(struct sh_ref *ref)
{
    struct sh_work work = { 0 };

    if (sh_handle_unpin(ref) != SH_GIVEN_LAST)
        return 0;
    sh_work_free(&work, ref->pool, ref->record);
    sh_work_do(&work);
    return SHUNT_EINVAL;
}

void sh_run_unwait(struct sh_run *run)
{
    if (run->hung != NULL)
        sh_unhang(run->pool, run->awaited, run->hung);
    if (run->pinned)
        (void)unpin(run->awaited);
    run->hung = NULL;
    run->pinned = false;
}

/* Wait until ref has settled; 0 or why not. ref->word is then up to date. */
static int wait_for(struct sh_ref *ref, int64_t ns)
{
    struct sh_run *run = sh_here.run;
    uint64_t word;
    int rc, gone;

    if (ref->record == NULL || sh_is_settled(ref->word))
        return 0;
    if (!sh_handle_pin(ref, (uintptr_t)run))
        return SHUNT_EINVAL;
    if (run != NULL) {
        run->awaited = ref;
        run->pinned = true;
    }
    sh_handle_pinned(ref);
    if (run == NULL)
        rc = await_in_thread(ref, ns);
    else if (ns == SHUNT_FOREVER && sh_is_awaiters(ref) &&
             sh_worker_run_awaited(run, ref))
        rc = 0;
    else
        rc = await_in_task(run, ref, ns, HEEDS);
    if (ref->record == NULL) {
        if (run != NULL)
            run->pinned = false;
        return rc;
    }
    word = sh_load_acq(&ref->record->state); /* acquire: settled */
    sh_handle_unpinning(ref, (uintptr_t)run);
    if (run != NULL)
        run->pinned = false;
    gone = unpin(ref);
    ref->word = word;
    return gone != 0 ? gone : rc;
}

int sh_await_record(struct sh_ref *ref, bool stubborn)
{
    struct sh_run *run = sh_here.run;
    int rc;

    ref->word = sh_load_acq(&ref->record->state); /* acquire: settled */
    if (sh_is_settled(ref->word))
        return 0;
    rc = run != NULL ? await_in_task(run, ref, SHUNT_FOREVER,
                                     stubborn ? STUBBORN : HEEDS)
                     : await_in_thread(ref, SHUNT_FOREVER);
    if (ref->record != NULL)
        ref->word = sh_load_acq(&ref->record->state); /* acquire: settled */
    return rc;
}

int sh_await_joined(struct sh_ref *ref)
{
    struct sh_run *run = sh_here.run;

    ref->word = sh_load_acq(&ref->record->state); /* acquire: settled */
    if (sh_is_settled(ref->word))
        return 0;
    return await_in_task(run, ref, SHUNT_FOREVER, PASSES_ON);
}

SH_ON_STACK int shunt_await_for(shunt_future *f, int64_t ns)
{
    unsigned id = sh_handle_pool(sh_handle_of(f));
    struct sh_ref ref;
    bool guest;
    int rc = sh_handle_find(sh_handle_of(f), SH_LOOK, &ref);

    if (rc != 0)
        return rc;
    guest = is_wait(&ref);
    if (guest && !sh_pool_enter(id))
        return SHUNT_EINVAL;
    rc = wait_for(&ref, ns);
    if (rc == 0)
        rc = sh_ref_tell(&ref);
    if (guest && ref.record != NULL)
        sh_pool_exit(id);
    return rc;
}

int shunt_await(shunt_future *f)
{
    return shunt_await_for(f, SHUNT_FOREVER);
}

/* Taking the value of a task that has ended and left nothing else, by the only
 * handle: all in one go. False if it is not as simple as that. */
static SH_FORCE_INLINE bool take_plain(uint64_t handle, void *out, size_t size)
{
    _Alignas(16) unsigned char value[SH_INLINE_BYTES];
    const shunt_task *task;
    struct sh_pool *pool;
    struct sh_record *r;
    uint64_t w;

    if (!sh_plain_find(handle, &pool, &r, &w))
        return false;
    task = r->task;
    if ((w & SH_OUTCOME_MASK) != 0 || task == NULL || size != task->out_size_)
        return false;
    sh_copy(value, r->data.bytes + (r->out_at & SH_OUT_AT), size);
    /* If this fails, what was copied is not the value. */
    if (!sh_plain_free(handle, pool, r, w))
        return false;
    sh_copy(out, value, size);
    return true;
}

static SH_ON_STACK int take(shunt_future *f, void *out, size_t size, bool joins)
{
    unsigned id = sh_handle_pool(sh_handle_of(f));
    bool guest;
    struct sh_ref ref;
    int rc = sh_handle_find(sh_handle_of(f), SH_OWN, &ref);

    guest = rc == 0 && is_wait(&ref);
    if (guest && !sh_pool_enter(id))
        rc = SHUNT_EINVAL;
    if (rc != 0) {
        sh_remember_error(sh_error_constant(rc));
        return rc;
    }
    rc = wait_for(&ref, SHUNT_FOREVER);
    if (rc == 0)
        rc = sh_ref_status(&ref);
    guest = guest && ref.record != NULL;
    rc = sh_take_settled(&ref, rc, out, size, joins);
    if (guest)
        sh_pool_exit(id);
    return rc;
}

/* What has not settled may be there to be run by who awaits it. */
static SH_APART int run_and_take(shunt_future *f, void *out, size_t size)
{
    uint64_t handle = sh_handle_of(f);

    if (out != NULL && sh_worker_run_plain(handle) &&
        take_plain(handle, out, size))
        return 0;
    return take(f, out, size, false);
}

SH_HOT int shunt_take_sized(shunt_future *f, void *out, size_t size)
{
    if (out != NULL && take_plain(sh_handle_of(f), out, size))
        return 0;
    return run_and_take(f, out, size);
}

int shunt_join(shunt_future *f)
{
    return take(f, NULL, 0, true);
}
