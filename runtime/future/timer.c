/* SPDX-License-Identifier: MIT */
/*
 * future/timer.c - setting timers, by any thread; and what the timekeeper does
 * with them.
 *
 *     thread      set:  write the moment and the generation | push it on a
 *                       list | due before the timekeeper wakes? then wake it
 *     timekeeper  take the lists | put what was set into the wheel | let
 *                 happen what is due | say until when it sleeps | look at the
 *                 lists again | sleep
 *
 * Idea. Only one thread has the wheel, so setting is a CAS or two, however many
 * timers there are. Nearly all timers are timeouts: what they guard is over
 * long before they are due. So they are not dropped: what is over has another
 * generation, and the timekeeper finds nothing to do. And when a record is used
 * again its timer mostly still stands in the wheel, for a moment that is
 * earlier than the new one: then it is enough to write the new moment; the
 * timekeeper comes by at the old one, and puts it off. A task with a deadline
 * costs one CAS, on a line that only its submitter touches; there are never
 * more timers than records. (Timers that are put off and not moved are an old
 * trick of network stacks.)
 *
 * A timer whose new moment is earlier goes to the timekeeper by a second list,
 * once: MOVED says that it is there.
 *
 * Edges.
 *   timer    set: write when_ns, then the state; push -> timekeeper: read
 *   alarm    set: push, then read wake_ns || timekeeper: write wake_ns, then
 *            look at the lists; all seq_cst: one sees the other. Who moves a
 *            clock by hand rings in any case
 *   keeper   start: write RUNS -> set: read it       there is a timekeeper
 *   due      accept: write the state, then read the timer || happen: clear
 *            SET, then read the state; all seq_cst: one sees the other
 *   quiet    happen: write happens, clear SET, do what follows, clear happens,
 *            then future/settle.c || shutdown: there, then read the timers,
 *            then happens
 *   lost     death: what setting says -> timekeeper: take lost, then the lists
 *   active   worker/standin.c
 *   accepted future/submit.c
 *   settled  future/settle.c
 *   claim    worker/run.c
 *   stuck    over: CAS of the state to BUSY, then read running || run, resume:
 *            write running, then read the state; all seq_cst: one sees the
 *            other
 *   rest     worker/standin.c
 *   doomed   worker/doom.c
 *
 * Crash. A timer is a hint: that its record has a deadline stands in the
 * record. Whoever dies between SET and the push leaves a timer that is in no
 * list, and that nobody pushes when the record is used again. Its post says
 * which one, and the timekeeper, who alone knows the lists, puts it where it
 * belongs. A timer whose moment came before its record waited, and which its
 * maker did not come to look at, is looked at by recovery.
 */
#include "future/timer.h"

#include "sync/futex.h"
#include "task/taken.h"

static uint32_t timer_generation(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

void sh_time_ring(struct sh_pool *pool)
{
    sh_add_sc(&pool->time.rung, 1); /* seq_cst: alarm */
    sh_futex_wake(&pool->time.rung, 1, pool->shared);
}

void sh_time_recruit(struct sh_pool *pool)
{
    sh_store_sc(&pool->time.shorthanded, 1); /* seq_cst: alarm */
    sh_time_ring(pool);
    sh_quiet_notify(pool); /* nobody counts on one of them any more */
}

/* What shunt/task.h promises. */
#define GRACE_NS 1000000000

static int64_t grace_of(const shunt_task *task)
{
    int64_t grace_ns = task->traits_.grace_ns;

    if (grace_ns < 0)
        return INT64_MAX;
    return grace_ns != 0 ? grace_ns : GRACE_NS;
}

int64_t sh_grace_of(const struct sh_record *r)
{
    return grace_of(sh_record_whole(r));
}

/* In a process pool: parts of this task may run elsewhere, which are to end as
 * well. The warden looks. */
static void tell_of_parts(struct sh_pool *pool)
{
    /* relaxed: if there is such a part, its deque has been there for long */
    if (!pool->shared || sh_load_rlx(&pool->splits_used) == 0)
        return;
    sh_store_sc(&pool->doomed, 1); /* seq_cst: doomed */
    sh_time_recruit(pool);
}

void sh_grace_begin(struct sh_pool *pool, struct sh_record *r,
                    uint32_t generation)
{
    uint64_t w = sh_load_acq(&r->state); /* acquire: claim */
    const shunt_task *task;
    int64_t grace_ns, until_ns;

    do {
        /* What does not run may be of a library that is not here. */
        if ((sh_phase_of(w) != SH_RUNNING && sh_phase_of(w) != SH_PARKED) ||
            sh_generation_of(w) != generation ||
            (w & (SH_GRACED | SH_COMMITTED)) != 0)
            return;
        task = sh_record_whole(r); /* of this use, if the CAS succeeds */
        if (task == NULL)
            return;
    } while (!sh_cas_acqrel(&r->state, &w, w | SH_GRACED)); /* acq_rel: claim */
    tell_of_parts(pool);
    grace_ns = grace_of(task);
    until_ns = sh_pool_after(pool, grace_ns);
    /* We are the one who sets its timer from now on. If there is none to be
     * had, the task ends by itself or not at all. */
    if (until_ns != INT64_MAX &&
        (!sh_is_bound(r) || until_ns < sh_bound_of(r)->deadline_ns))
        (void)sh_timer_set(pool, sh_timer_of_deadline(sh_index_of(pool, r)),
                           generation, until_ns);
}

void sh_time_stuck(struct sh_pool *pool, struct sh_post *post, uint64_t hint,
                   int64_t grace_ns)
{
    uint64_t other = sh_load_sc(&post->stuck); /* seq_cst: rest */

    if (sh_load_sc(&post->running) != hint) /* seq_cst: stuck */
        return;
    /* relaxed: published by the CAS */
    sh_store_rlx(&post->patience_ns, sh_clock_after(grace_ns));

    /* Who comes late must not say it of code that has returned: the worker may
     * be at other code by now, and somebody have said it of that. */
    do {
        if (sh_load_sc(&post->running) != hint) /* seq_cst: stuck */
            return;
    } while (!sh_cas_sc(&post->stuck, &other, hint)); /* seq_cst: rest */
    sh_time_recruit(pool);
}

/* Wake the timekeeper unless it is awake, or wakes by that moment. */
static void ring_before(struct sh_pool *pool, int64_t when_ns)
{
    int64_t wake_ns = sh_load_sc(&pool->time.wake_ns); /* seq_cst: alarm */

    while (when_ns < wake_ns)
        if (sh_cas_sc(&pool->time.wake_ns, &wake_ns, INT64_MIN)) { /* seq_cst:
                                                                    * alarm */
            sh_time_ring(pool);
            return;
        }
}

void sh_time_ring_idle(struct sh_pool *pool)
{
    ring_before(pool, INT64_MIN + 1);
}

/* There is a timekeeper, or none can be had. */
static bool have_keeper(struct sh_pool *pool)
{
    /* acquire: keeper */
    return SH_LIKELY(sh_load_acq(&pool->time.keeper) == SH_KEEPER_RUNS) ||
           pool->time.start(pool) == 0;
}

void sh_time_call(struct sh_pool *pool)
{
    sh_store_sc(&pool->time.called, 1); /* seq_cst: alarm */
    if (have_keeper(pool))
        sh_time_ring_idle(pool);
}

/* Push a timer on a list, by one of its links. */
static void push(_Atomic uint32_t *list, _Atomic uint32_t *link, uint32_t index)
{
    uint32_t head = sh_load_rlx(list); /* relaxed: the CAS validates it */

    do {
        sh_store_rlx(link, head); /* relaxed: published by the CAS */
    } while (!sh_cas_sc(list, &head, index)); /* seq_cst: alarm, timer */
}

static void push_set(struct sh_pool *pool, uint32_t index)
{
    const struct sh_seat *seat = sh_here.seat;
    bool ours = seat != NULL && seat->post != NULL &&
                sh_load_rlx(&seat->pool) == pool; /* relaxed: our own */

    push(ours ? &seat->post->timers_set : &pool->time.timers_set,
         &pool->timers[index].link, index);
}

static void push_moved(struct sh_pool *pool, uint32_t index)
{
    const struct sh_seat *seat = sh_here.seat;
    bool ours = seat != NULL && seat->post != NULL &&
                sh_load_rlx(&seat->pool) == pool; /* relaxed: our own */

    push(ours ? &seat->post->timers_moved : &pool->time.timers_moved,
         &pool->timers[index].moved, index);
}

/* A worker process says which timer it is about to set, and for which
 * generation; 0: none. Recovery finds it if we die before it is in a list. */
static void announce(struct sh_pool *pool, uint64_t setting)
{
    const struct sh_seat *seat = sh_here.seat;

    if (SH_UNLIKELY(pool->shared) && seat != NULL && seat->post != NULL)
        sh_store_rel(&seat->post->setting, setting); /* release: lost */
}

bool sh_timer_set(struct sh_pool *pool, uint32_t index, uint32_t generation,
                  int64_t when_ns)
{
    struct sh_timer *t = &pool->timers[index];
    uint64_t w = sh_load_acq(&t->state);          /* acquire: timer */
    int64_t before_ns = sh_load_rlx(&t->when_ns); /* relaxed: ours to write */
    uint64_t next;

    SH_ASSERT(index != SH_TIMER_NONE && when_ns != INT64_MAX);
    if (SH_UNLIKELY(!have_keeper(pool)))
        return false;
    announce(pool, (uint64_t)index << 32 | generation);
    /* Before the state: whoever reads the new one sees it. And who sees it with
     * the old state puts off what is of no interest any more. */
    sh_store_rlx(&t->when_ns, when_ns); /* relaxed: published by the CAS */
    do {
        next = (uint64_t)generation << 32 | SH_TIMER_SET | (w & SH_TIMER_MOVED);
        if ((w & SH_TIMER_SET) != 0 && when_ns < before_ns)
            next |= SH_TIMER_MOVED;
    } while (!sh_cas_sc(&t->state, &w, next)); /* seq_cst: timer, due */
    /* Else the timekeeper comes by before that. */
    if (SH_UNLIKELY((w & SH_TIMER_SET) == 0 || when_ns < before_ns)) {
        if ((w & SH_TIMER_SET) == 0)
            push_set(pool, index);
        else if ((w & SH_TIMER_MOVED) == 0)
            push_moved(pool, index);
        ring_before(pool, when_ns);
    }
    announce(pool, 0);
    return true;
}

bool sh_bound_set(struct sh_pool *pool, struct sh_record *r, uint64_t word)
{
    return sh_timer_set(pool, sh_timer_of_deadline(sh_index_of(pool, r)),
                        sh_generation_of(word), sh_bound_of(r)->deadline_ns);
}

int sh_deadline_inherit_slowly(struct sh_pool *pool, int64_t *deadline_ns)
{
    const struct sh_run *run = sh_here.run;
    int64_t its =
        sh_load_bare_rlx(&run->deadline_ns); /* relaxed: as in timer.h */

    if ((sh_run_asked(run) & SH_BUSY) != 0)
        return SHUNT_ETIMEDOUT;
    /* Each pool has a clock of its own. */
    if (run->pool != pool)
        its = sh_pool_after(pool, its - sh_pool_now(run->pool));
    if (its < *deadline_ns)
        *deadline_ns = its;
    return 0;
}

int sh_deadline_of(struct sh_pool *pool, int64_t ns, int64_t *deadline_ns)
{
    if (ns < 0)
        return SHUNT_ETIMEDOUT;
    if (ns > 0)
        *deadline_ns = sh_pool_after(pool, ns);
    return sh_deadline_inherit(pool, deadline_ns);
}

/* Whether a timer that is set is of interest to its record. */
static bool matters(struct sh_pool *pool, uint32_t record, bool waits,
                    uint64_t timer)
{
    struct sh_record *r = sh_record_at(pool, record);
    uint64_t w = sh_load_sc(&r->state); /* seq_cst: quiet */
    uint32_t generation = waits ? (uint32_t)(sh_load_acq(&r->deps) >> 32)
                                : sh_generation_of(w); /* acquire: settled */

    return (timer & SH_TIMER_SET) != 0 && sh_phase_of(w) >= SH_PROMISE &&
           sh_phase_of(w) <= SH_PARKED && timer_generation(timer) == generation;
}

bool sh_timers_any(struct sh_pool *pool)
{
    uint32_t used = sh_table_used(&pool->records);

    for (uint32_t i = 1; i < used; i++) {
        uint32_t wait = sh_timer_of_wait(pool, i);

        /* seq_cst: timer, quiet */
        if (matters(pool, i, false, sh_load_sc(&pool->timers[i].state)) ||
            matters(pool, i, true, sh_load_sc(&pool->timers[wait].state)))
            return true;
    }
    /* What has been cleared may be under way; when it is done, the timekeeper
     * rings. Not as long as it is awake: it is whenever a clock is moved. */
    return sh_load_sc(&pool->time.happens) != 0; /* seq_cst: quiet */
}

/* -- what happens -- */

/* Whether it is the deadline that has come, or the end of a grace. */
static int why_over(struct sh_pool *pool, struct sh_record *r, uint64_t w)
{
    bool late = sh_is_bound(r) &&
                sh_bound_of(r)->deadline_ns <= sh_pool_now(pool);

    return (w & SH_GRACED) != 0 && !late ? SHUNT_ECANCELED : SHUNT_ETIMEDOUT;
}

/* The code of a record runs past its deadline, or is parked: settle it over
 * that. If it is not at its code now, its worker will see what has become of it
 * before it goes there. False if it has ended, or waits again. */
static bool over(struct sh_work *work, struct sh_pool *pool,
                 struct sh_record *r, uint64_t w)
{
    unsigned worker = sh_owner_of(w) - SH_OWNER_WORKER(0);
    struct sh_post *post = &pool->posts[worker];
    uint64_t hint = sh_hint(sh_index_of(pool, r), sh_generation_of(w));
    const shunt_task *task = sh_record_whole(r);
    enum sh_over over = sh_settle_over(work, pool, r, w, why_over(pool, r, w));

    if (over == SH_OVER_NOT)
        return false;
    tell_of_parts(pool);
    /* What was parked is set going to come to its end. */
    sh_time_stuck(pool, post, hint,
                  over == SH_OVER_PARKED && pool->shared ? grace_of(task) : 0);
    return true;
}

/* A record has reached its deadline. */
static void end_at_deadline(struct sh_work *work, struct sh_pool *pool,
                            struct sh_record *r, uint32_t generation)
{
    uint64_t w = sh_load_sc(&r->state); /* seq_cst: due */

    for (;;) {
        enum sh_phase phase = sh_phase_of(w);
        unsigned outcome = sh_outcome_from(SHUNT_ETIMEDOUT);

        /* In INIT its maker will see that the timer is gone. */
        if (sh_generation_of(w) != generation || phase > SH_PARKED ||
            phase < SH_PROMISE || (w & SH_COMMITTED) != 0)
            return;
        if (phase >= SH_RUNNING && over(work, pool, r, w))
            return;
        if (sh_load_rlx(&r->kind) == SH_KIND_DELAY) /* relaxed: as the state */
            outcome = 0;
        if (sh_settle_begin(r, w, outcome)) {
            sh_work_settle(work, pool, r);
            return;
        }
        /* It has moved on: its function has returned a future, or it was
         * claimed. */
        w = sh_load_acq(&r->state); /* acquire: settled */
    }
}

void sh_bound_accepted(struct sh_work *work, struct sh_pool *pool,
                       struct sh_record *r, uint64_t word)
{
    uint32_t generation = sh_generation_of(word);
    uint32_t index = sh_timer_of_deadline(sh_index_of(pool, r));
    uint64_t w = sh_load_sc(&pool->timers[index].state); /* seq_cst: due */

    if ((w & SH_TIMER_SET) == 0 || timer_generation(w) != generation)
        end_at_deadline(work, pool, r, generation);
}

void sh_bound_recheck(struct sh_work *work, struct sh_pool *pool,
                      struct sh_record *r, uint64_t word)
{
    /* Of a later use it is no business of ours: the generation says so. */
    if (sh_is_bound(r) && sh_bound_of(r)->deadline_ns <= sh_pool_now(pool))
        sh_bound_accepted(work, pool, r, word);
}

/* The moment of a timer, set for that generation, has come. */
static void reach(struct sh_pool *pool, uint32_t index, uint32_t generation)
{
    uint32_t records = pool->records.capacity;
    struct sh_work work = { 0 };
    uint64_t target;

    if (index < records) {
        end_at_deadline(&work, pool, sh_record_at(pool, index), generation);
    } else {
        target = index < 2 * records
                     ? sh_target(SH_TARGET_RECORD, index - records, SH_BIT_TIME,
                                 generation)
                     : sh_target(SH_TARGET_CELL, index - 2 * records,
                                 SH_BIT_TIME, generation);
        sh_deliver_to(&work, pool, target, SHUNT_PENDING);
    }
    sh_work_do(&work);
}

/* -- the timekeeper -- */

/* It comes to a timer that is in no list any more and not in the wheel: put it
 * there, if its moment is still to come, or let it happen. */
static void look_at(struct sh_pool *pool, struct sh_wheel *wheel,
                    uint32_t index)
{
    struct sh_timer *t = &pool->timers[index];
    uint64_t w = sh_load_acq(&t->state); /* acquire: timer */

    SH_ASSERT((w & SH_TIMER_SET) != 0);
    do {
        if (sh_wheel_add(wheel, index))
            return;
        sh_store_sc(&pool->time.happens, 1);                /* seq_cst: quiet */
    } while (!sh_cas_sc(&t->state, &w, w & ~SH_TIMER_SET)); /* seq_cst: timer,
                                                             * due, quiet */
    reach(pool, index, timer_generation(w));
}

/* What was set. */
static void take_set(struct sh_pool *pool, struct sh_wheel *wheel,
                     _Atomic uint32_t *list)
{
    uint32_t i = sh_xchg_sc(list, SH_TIMER_NONE); /* seq_cst: timer, alarm */

    while (i != SH_TIMER_NONE) {
        /* relaxed: ours now */
        uint32_t next = sh_load_rlx(&pool->timers[i].link);

        look_at(pool, wheel, i);
        i = next;
    }
}

/* What was put forward, and may be in the wheel, or on its way to it. */
static void take_moved(struct sh_pool *pool, struct sh_wheel *wheel,
                       _Atomic uint32_t *list)
{
    uint32_t i = sh_xchg_sc(list, SH_TIMER_NONE); /* seq_cst: timer, alarm */

    while (i != SH_TIMER_NONE) {
        struct sh_timer *t = &pool->timers[i];
        uint32_t next = sh_load_rlx(&t->moved); /* relaxed: ours now */

        /* From now on it may be pushed again. seq_cst: timer */
        sh_and_sc(&t->state, ~SH_TIMER_MOVED);
        if (t->slot != SH_NOWHERE) {
            sh_wheel_remove(wheel, i);
            look_at(pool, wheel, i);
        }
        i = next;
    }
}

/* What a process that has died was about to set, or to put forward. Its lists,
 * and all others, have been taken since: if it is in no list, it was not pushed
 * and will not be. */
static void list_lost(struct sh_pool *pool, struct sh_wheel *wheel,
                      uint64_t lost)
{
    uint32_t i = (uint32_t)(lost >> 32);
    struct sh_timer *t = &pool->timers[i];
    uint64_t w = sh_load_acq(&t->state); /* acquire: timer */

    if ((w & SH_TIMER_SET) == 0 || timer_generation(w) != (uint32_t)lost)
        return;
    if (t->slot != SH_NOWHERE) {
        if ((w & SH_TIMER_MOVED) == 0)
            return;
        sh_and_sc(&t->state, ~SH_TIMER_MOVED); /* seq_cst: timer */
        sh_wheel_remove(wheel, i);
    }
    look_at(pool, wheel, i);
}

bool sh_timer_lose(struct sh_pool *pool, uint64_t setting)
{
    for (unsigned i = 0; i < SH_LOST; i++) {
        uint64_t none = 0;

        /* seq_cst: lost, alarm */
        if (sh_cas_sc(&pool->time.lost[i], &none, setting))
            return true;
    }
    return false;
}

/* A list, by link, the other way round. */
static uint32_t reversed(struct sh_pool *pool, uint32_t i)
{
    uint32_t before = SH_TIMER_NONE;

    while (i != SH_TIMER_NONE) {
        uint32_t next = sh_load_rlx(&pool->timers[i].link); /* relaxed: ours */

        sh_store_rlx(&pool->timers[i].link, before); /* relaxed: ours */
        before = i;
        i = next;
    }
    return before;
}

int64_t sh_timers_pass(struct sh_pool *pool, struct sh_wheel *wheel)
{
    unsigned posts = sh_pool_active(pool);
    uint64_t lost[SH_LOST];
    uint32_t i;

    /* Before the lists. */
    for (i = 0; i < SH_LOST && pool->shared; i++)
        lost[i] = sh_xchg_sc(&pool->time.lost[i], 0); /* seq_cst: lost */
    take_set(pool, wheel, &pool->time.timers_set);
    take_moved(pool, wheel, &pool->time.timers_moved);
    for (i = 0; i < posts; i = sh_pool_next(pool, i)) {
        take_set(pool, wheel, &pool->posts[i].timers_set);
        take_moved(pool, wheel, &pool->posts[i].timers_moved);
    }
    for (i = 0; i < SH_LOST && pool->shared; i++)
        if (lost[i] != 0)
            list_lost(pool, wheel, lost[i]);
    /* Earlier ones first. */
    i = reversed(pool, sh_wheel_advance(wheel, sh_pool_now(pool)));
    while (i != SH_TIMER_NONE) {
        /* relaxed: ours */
        uint32_t after = sh_load_rlx(&pool->timers[i].link);

        look_at(pool, wheel, i);
        i = after;
    }
    if (sh_load_rlx(&pool->time.happens) != 0) { /* relaxed: only we write it */
        sh_store_sc(&pool->time.happens, 0);     /* seq_cst: quiet */
        sh_quiet_notify(pool);
    }
    return sh_wheel_next(wheel);
}

bool sh_timers_waiting(struct sh_pool *pool)
{
    unsigned posts = sh_pool_active(pool);

    /* seq_cst: alarm */
    if (sh_load_sc(&pool->time.timers_set) != SH_TIMER_NONE ||
        sh_load_sc(&pool->time.timers_moved) != SH_TIMER_NONE ||
        sh_load_sc(&pool->handed) != SH_NONE || /* seq_cst: alarm */
        sh_load_sc(&pool->hooks) != 0 ||        /* seq_cst: alarm */
        sh_load_sc(&pool->look) != 0 ||         /* seq_cst: alarm */
        sh_load_sc(&pool->guests) == SH_GUESTS_WANTED) /* seq_cst: alarm */
        return true;
    for (unsigned i = 0; i < posts; i = sh_pool_next(pool, i))
        /* seq_cst: alarm */
        if (sh_load_sc(&pool->posts[i].timers_set) != SH_TIMER_NONE ||
            sh_load_sc(&pool->posts[i].timers_moved) != SH_TIMER_NONE)
            return true;
    return false;
}
