/* SPDX-License-Identifier: MIT */
/*
 * future/timer.c - setting and dropping timers, by any thread; and what the
 * timekeeper does with them.
 *
 *     thread      set:   fill a timer, push it on a list | due before the
 *                        timekeeper wakes? then wake it
 *                 drop:  SET -> DROPPED | keep it, to set it again
 *     timekeeper  take the lists | put what was set into the wheel | let
 *                 happen what is due | say until when it sleeps | look at the
 *                 lists again | sleep
 *
 *     FREE -> SET -> FREE                  it happens
 *             SET <-> DROPPED              dropped, and set again where it is
 *                     DROPPED -> OUT       the timekeeper came by
 *                     DROPPED, OUT -> FREE
 *
 * Idea. Only one thread has the wheel, so setting and dropping are a CAS or two
 * each, however many timers there are. Most timers are timeouts, which are
 * dropped long before they are due. Whoever drops one keeps it, and sets it
 * again where it stands, in the wheel or on its way there, if that is not too
 * late in the wheel: one CAS, and nobody need be told. When the timekeeper
 * comes to where it stood it finds that the moment has moved, and puts it in
 * anew. So a thread that sets and drops a million timeouts a second uses the
 * same few, and memory is flat.
 *
 * What a thread cannot keep goes to the timekeeper by a second list. It is
 * taken first: what is on it was set before, so it is on the first list by
 * then, or was. The timekeeper is woken for it when there is much of it.
 *
 * Whoever moves a timer from SET has it: what is dropped does not happen.
 *
 * Edges.
 *   timer    set: fill, write SET; push -> drop, timekeeper: read it
 *   dropped  drop: push -> timekeeper: take all, then take what was set
 *   alarm    set: push, then read wake_ns || timekeeper: write wake_ns, then
 *            look at the lists; all seq_cst: one sees the other. A clock that
 *            is moved by hand counts as a list
 *   keeper   start: write RUNS -> set: read it       there is a timekeeper
 *   due      accept: write the state, then read the timer || happen: move the
 *            timer, then read the state; all seq_cst: one sees the other
 *   active   worker/standin.c
 *   accepted future/submit.c
 *   settled  future/settle.c
 *   claim    worker/run.c
 *   stuck    over: write stuck, then CAS of the state -> worker: read the
 *            state, then stuck
 *   rest     worker/standin.c
 *
 * Crash. A timer is a hint: that its record has a deadline stands in the
 * record, and recovery sets its timer again. What a dead process has dropped
 * and kept is free for nobody: recovery frees what no record names.
 */
#include "future/timer.h"

#include "sync/futex.h"
#include "task/data.h"

#define DROPS_PER_RING 4096u
#define TIMER_USE ((uint64_t)1 << 32) /* another generation */

static struct sh_timer *timer_at(struct sh_pool *pool, uint32_t index)
{
    return sh_timer_at(&pool->timers, index);
}

static uint64_t timer_word(uint64_t word, enum sh_timer_phase phase)
{
    return (word & ~(uint64_t)UINT32_MAX) | (uint64_t)phase;
}

static enum sh_timer_phase timer_phase(uint64_t word)
{
    return (enum sh_timer_phase)(word & 3);
}

int64_t sh_pool_after(const struct sh_pool *pool, int64_t ns)
{
    int64_t now;

    if (ns == INT64_MAX)
        return ns;
    now = sh_pool_now(pool);
    if (ns <= 0)
        return now;
    return ns > INT64_MAX - now ? INT64_MAX : now + ns;
}

void sh_time_ring(struct sh_pool *pool)
{
    sh_add_sc(&pool->time.rung, 1); /* seq_cst: alarm */
    sh_futex_wake(&pool->time.rung, 1, pool->shared);
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

/* There is a timekeeper, or none can be had. */
static bool have_keeper(struct sh_pool *pool)
{
    /* acquire: keeper */
    return SH_LIKELY(sh_load_acq(&pool->time.keeper) == SH_KEEPER_RUNS) ||
           pool->time.start(pool) == 0;
}

/* Push a timer on a list of those that the timekeeper has not seen, linked by
 * link, or, if it was dropped, by chain; how many there are now. */
static uint32_t push(struct sh_pool *pool, _Atomic uint64_t *list,
                     uint32_t index, bool drops)
{
    struct sh_timer *t = timer_at(pool, index);
    _Atomic uint32_t *link = drops ? &t->chain : &t->link;
    uint64_t head = sh_load_rlx(list); /* relaxed: the CAS validates it */
    uint64_t next;

    do {
        sh_store_rlx(link, (uint32_t)head); /* relaxed: published by the CAS */
        next = ((head >> 32) + 1) << 32 | index;
    } while (!sh_cas_sc(list, &head, next)); /* seq_cst: alarm, dropped, timer
                                              */
    return (uint32_t)(next >> 32);
}

static void fill(struct sh_timer *t, int64_t when_ns, uint64_t target)
{
    sh_store_rlx(&t->when_ns, when_ns); /* relaxed: published by SET */
    sh_store_rlx(&t->target, target);   /* relaxed: published by SET */
}

/* A timer that we have dropped, and that can stand where it is until when_ns:
 * set again. SH_NONE if there is none; *out: one that is in no list. */
static uint32_t set_again(struct sh_pool *pool, struct sh_seat *seat,
                          int64_t when_ns, uint64_t target, uint32_t *out)
{
    for (unsigned i = 0; i < SH_SEAT_TIMERS; i++) {
        uint32_t index = seat->dropped[i];
        struct sh_timer *t = timer_at(pool, index);
        uint64_t w;

        /* relaxed: nobody else writes what we keep */
        if (index == SH_NONE || sh_load_rlx(&t->when_ns) > when_ns)
            continue;
        seat->dropped[i] = SH_NONE;
        fill(t, when_ns, target);
        w = sh_load_acq(&t->state); /* acquire: timer */
        if (timer_phase(w) == SH_TIMER_DROPPED &&
            sh_cas_acqrel(&t->state, &w,
                          timer_word(w, SH_TIMER_SET) + TIMER_USE)) /* acq_rel:
                                                                    * timer */
            return index;
        SH_ASSERT(timer_phase(w) == SH_TIMER_OUT);
        *out = index;
        return SH_NONE;
    }
    return SH_NONE;
}

uint32_t sh_timer_set(struct sh_pool *pool, int64_t when_ns, uint64_t target)
{
    struct sh_seat *seat = sh_seat_of(pool);
    uint32_t fresh = SH_NONE;
    struct sh_timer *t;
    uint32_t index;

    SH_ASSERT(when_ns != INT64_MAX);
    if (seat == NULL || !have_keeper(pool))
        return SH_NONE;
    index = set_again(pool, seat, when_ns, target, &fresh);
    if (index != SH_NONE)
        return index;
    if (fresh == SH_NONE)
        fresh = sh_table_take(&pool->timers, &seat->timers);
    if (fresh == SH_NONE)
        return SH_NONE;
    t = timer_at(pool, fresh);
    t->slot = SH_NOWHERE;
    fill(t, when_ns, target);
    sh_store_rel(&t->state, timer_word(sh_load_rlx(&t->state),
                                       SH_TIMER_SET) +
                                TIMER_USE); /* release: timer; relaxed: it is
                                             * ours */
    push(pool,
         seat->post != NULL ? &seat->post->timers_set : &pool->time.timers_set,
         fresh, false);
    ring_before(pool, when_ns);
    return fresh;
}

/* To the timekeeper with a timer that was dropped. */
static void send_back(struct sh_pool *pool, const struct sh_seat *seat,
                      uint32_t index)
{
    _Atomic uint64_t *list = seat != NULL && seat->post != NULL
                                 ? &seat->post->timers_dropped
                                 : &pool->time.timers_dropped;

    if (push(pool, list, index, true) % DROPS_PER_RING == 0)
        ring_before(pool, INT64_MAX - 1);
}

/* Keep a timer that was dropped, to set it again. Of more than we can keep the
 * latest goes, since it serves least. */
static void keep(struct sh_pool *pool, struct sh_seat *seat, uint32_t index)
{
    for (unsigned i = 0; i < SH_SEAT_TIMERS; i++) {
        uint32_t other = seat->dropped[i];

        /* relaxed: nobody else writes what we keep */
        if (other == SH_NONE || sh_load_rlx(&timer_at(pool, other)->when_ns) >
                                    sh_load_rlx(&timer_at(pool, index)
                                                     ->when_ns)) { /* relaxed:
                                                                    * as above */
            seat->dropped[i] = index;
            index = other;
        }
        if (index == SH_NONE)
            return;
    }
    send_back(pool, seat, index);
}

bool sh_timer_drop(struct sh_pool *pool, uint32_t timer, uint64_t target)
{
    struct sh_seat *seat;
    struct sh_timer *t;
    uint64_t w;

    if (timer == SH_NONE)
        return false;
    t = timer_at(pool, timer);
    w = sh_load_acq(&t->state); /* acquire: timer */
    /* Of another use by now? The generation tells. relaxed: as the state */
    if (timer_phase(w) != SH_TIMER_SET || sh_load_rlx(&t->target) != target ||
        !sh_cas_acqrel(&t->state, &w,
                       timer_word(w, SH_TIMER_DROPPED))) /* acq_rel: timer */
        return false;
    seat = sh_seat_of(pool);
    if (seat != NULL)
        keep(pool, seat, timer);
    else
        send_back(pool, NULL, timer);
    return true;
}

void sh_timers_leave(struct sh_pool *pool, struct sh_seat *seat)
{
    for (unsigned i = 0; i < SH_SEAT_TIMERS; i++)
        if (seat->dropped[i] != SH_NONE)
            send_back(pool, seat, seat->dropped[i]);
}

void sh_bound_drop(struct sh_pool *pool, struct sh_record *r, uint64_t word)
{
    (void)sh_timer_drop(pool, sh_bound_of(r)->timer,
                        sh_deadline_target(sh_index_of(pool, r),
                                           sh_generation_of(word)));
}

bool sh_bound_set(struct sh_pool *pool, struct sh_record *r, uint64_t word)
{
    struct sh_bound *b = sh_bound_of(r);

    b->timer = sh_timer_set(pool, b->deadline_ns,
                            sh_deadline_target(sh_index_of(pool, r),
                                               sh_generation_of(word)));
    return b->timer != SH_NONE;
}

int sh_deadline_inherit_slowly(struct sh_pool *pool, int64_t *deadline_ns)
{
    const struct sh_run *run = sh_here.run;
    int64_t its = run->deadline_ns;

    /* acquire: claim */
    if ((sh_load_acq(&run->record->state) & SH_BUSY) != 0)
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

bool sh_timers_any(struct sh_pool *pool)
{
    uint32_t used = sh_table_used(&pool->timers);

    for (uint32_t i = 1; i < used; i++)
        if (timer_phase(sh_load_acq(&timer_at(pool, i)->state)) ==
            SH_TIMER_SET) /* acquire: timer */
            return true;
    return false;
}

/* -- what happens -- */

/* The code of a record runs past its deadline: settle it over that. */
static void over(struct sh_work *work, struct sh_pool *pool,
                 struct sh_record *r, uint64_t w)
{
    unsigned worker = sh_owner_of(w) - SH_OWNER_WORKER(0);
    struct sh_post *post = &pool->posts[worker];
    uint64_t hint = sh_hint(sh_index_of(pool, r), sh_generation_of(w));
    /* relaxed: it is only at rest what matters, and then it is there */
    bool runs = sh_load_rlx(&post->running) == hint;

    if (runs)
        sh_store_sc(&post->stuck, hint); /* seq_cst: stuck, rest */
    if (sh_settle_over(work, pool, r, w, SHUNT_ETIMEDOUT)) {
        if (runs)
            pool->time.replace(pool);
    } else if (runs) {
        sh_store_sc(&post->stuck, 0); /* seq_cst: stuck, rest */
    }
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
        if (phase == SH_RUNNING) {
            over(work, pool, r, w);
            return;
        }
        if (phase == SH_PARKED) {
            /* Its code goes on, and learns that it was given up. */
            if (sh_settle_over(work, pool, r, w, SHUNT_ETIMEDOUT))
                return;
            w = sh_load_acq(&r->state); /* acquire: settled */
            continue;
        }
        if (sh_load_rlx(&r->kind) == SH_KIND_DELAY) /* relaxed: as the state */
            outcome = 0;
        if (sh_settle_begin(r, w, outcome)) {
            sh_work_settle(work, pool, r);
            return;
        }
        w = sh_load_acq(&r->state); /* acquire: settled */
    }
}

void sh_bound_accepted(struct sh_work *work, struct sh_pool *pool,
                       struct sh_record *r, uint64_t word, uint32_t timer)
{
    uint32_t generation = sh_generation_of(word);
    struct sh_timer *t = timer_at(pool, timer);

    if (timer == SH_NONE)
        return;
    /* seq_cst: due; relaxed: a timer of another use has another target */
    if (timer_phase(sh_load_sc(&t->state)) != SH_TIMER_SET ||
        sh_load_rlx(&t->target) !=
            sh_deadline_target(sh_index_of(pool, r), generation))
        end_at_deadline(work, pool, r, generation);
}

static void reach(struct sh_pool *pool, uint64_t target)
{
    struct sh_work work = { 0 };

    if (sh_target_kind(target) == SH_TARGET_RECORD &&
        sh_target_bit(target) == SH_BIT_DEADLINE)
        end_at_deadline(&work, pool,
                        sh_record_at(pool, sh_target_index(target)),
                        sh_target_generation(target));
    else
        sh_deliver_to(&work, pool, target, SHUNT_PENDING);
    sh_work_do(&work);
}

/* -- the timekeeper -- */

static void free_timer(struct sh_pool *pool, uint32_t index)
{
    struct sh_timer *t = timer_at(pool, index);
    /* relaxed: nobody else has it, but by a stale name */
    uint64_t w = sh_load_rlx(&t->state);

    sh_store_rel(&t->state, timer_word(w, SH_TIMER_FREE)); /* release: timer */
    sh_table_give(&pool->timers, &sh_seat_of(pool)->timers, index);
}

/* The timekeeper comes to a timer that is in no list any more: put it into the
 * wheel, if its moment is still to come; let it happen, if it has come; and if
 * it was dropped, whoever did so must know that it stands nowhere. */
static void look_at(struct sh_pool *pool, struct sh_wheel *wheel,
                    uint32_t index)
{
    struct sh_timer *t = timer_at(pool, index);
    uint64_t w = sh_load_acq(&t->state); /* acquire: timer */

    SH_ASSERT(t->slot == SH_NOWHERE);
    for (;;) {
        /* relaxed: as the state, which a CAS confirms */
        uint64_t target = sh_load_rlx(&t->target);

        if (timer_phase(w) != SH_TIMER_SET) {
            SH_ASSERT(timer_phase(w) == SH_TIMER_DROPPED);
            if (sh_cas_acqrel(&t->state, &w,
                              timer_word(w, SH_TIMER_OUT))) /* acq_rel: timer
                                                             */
                return;
        } else if (sh_wheel_add(wheel, &pool->timers, index)) {
            return;
        } else if (sh_cas_sc(&t->state, &w,
                             timer_word(w, SH_TIMER_FREE))) { /* seq_cst:
                                                               * timer, due */
            reach(pool, target);
            free_timer(pool, index);
            return;
        }
    }
}

/* Put what was set into the wheel. */
static void take_set(struct sh_pool *pool, struct sh_wheel *wheel,
                     _Atomic uint64_t *list)
{
    uint32_t i = (uint32_t)sh_xchg_sc(list, 0); /* seq_cst: timer, alarm */

    while (i != SH_NONE) {
        uint32_t next = sh_load_rlx(&timer_at(pool, i)->link); /* relaxed:
                                                                * ours now */

        look_at(pool, wheel, i);
        i = next;
    }
}

/* Free what was dropped: it was set before, and has been taken over. */
static void free_dropped(struct sh_pool *pool, struct sh_wheel *wheel,
                         uint32_t i)
{
    while (i != SH_NONE) {
        struct sh_timer *t = timer_at(pool, i);
        uint32_t next = sh_load_rlx(&t->chain); /* relaxed: ours now */

        if (t->slot != SH_NOWHERE)
            sh_wheel_remove(wheel, &pool->timers, i);
        free_timer(pool, i);
        i = next;
    }
}

/* Take all lists of what was dropped, and link them to one. */
static uint32_t take_dropped(struct sh_pool *pool)
{
    unsigned posts = sh_pool_active(pool);
    uint32_t all = SH_NONE;

    for (unsigned i = 0; i <= posts; i++) {
        _Atomic uint64_t *list = i < posts ? &pool->posts[i].timers_dropped
                                           : &pool->time.timers_dropped;
        uint32_t first = (uint32_t)sh_xchg_sc(list, 0); /* seq_cst: dropped */

        for (uint32_t j = first; j != SH_NONE;) {
            struct sh_timer *t = timer_at(pool, j);
            uint32_t next = sh_load_rlx(&t->chain); /* relaxed: ours now */

            if (next == SH_NONE) {
                sh_store_rlx(&t->chain, all); /* relaxed: ours */
                all = first;
            }
            j = next;
        }
    }
    return all;
}

static void take_all_set(struct sh_pool *pool, struct sh_wheel *wheel)
{
    unsigned posts = sh_pool_active(pool);

    for (unsigned i = 0; i < posts; i++)
        take_set(pool, wheel, &pool->posts[i].timers_set);
    take_set(pool, wheel, &pool->time.timers_set);
}

/* A list, by link, the other way round. */
static uint32_t reversed(struct sh_pool *pool, uint32_t i)
{
    uint32_t before = SH_NONE;

    while (i != SH_NONE) {
        struct sh_timer *t = timer_at(pool, i);
        uint32_t next = sh_load_rlx(&t->link); /* relaxed: ours */

        sh_store_rlx(&t->link, before); /* relaxed: ours */
        before = i;
        i = next;
    }
    return before;
}

int64_t sh_timers_pass(struct sh_pool *pool, struct sh_wheel *wheel)
{
    uint32_t dropped = take_dropped(pool);
    uint32_t i;

    take_all_set(pool, wheel);
    free_dropped(pool, wheel, dropped);
    i = sh_wheel_advance(wheel, &pool->timers, sh_pool_now(pool));
    for (i = reversed(pool, i); i != SH_NONE;) {
        uint32_t after = sh_load_rlx(&timer_at(pool, i)->link); /* relaxed:
                                                                 * ours */
        look_at(pool, wheel, i);
        i = after;
    }
    return sh_wheel_next(wheel, &pool->timers);
}

bool sh_timers_waiting(struct sh_pool *pool)
{
    unsigned posts = sh_pool_active(pool);

    for (unsigned i = 0; i < posts; i++)
        if (sh_load_sc(&pool->posts[i].timers_set) != 0) /* seq_cst: alarm */
            return true;
    return sh_load_sc(&pool->time.timers_set) != 0; /* seq_cst: alarm */
}
