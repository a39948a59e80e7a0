/* SPDX-License-Identifier: MIT */
/*
 * process/mend.c - what waits, maybe for something that a dead worker process
 * was about to say; and what it had between two places.
 *
 *     WAIT            tell it again what it waits for, if that has come
 *     any, bound      its moment has come, and nobody has looked
 *     scopes          count anew who is in them
 *     items, holders  where they belong: memory/table.c, task/handle.c
 *
 * Idea. A record that waits says what for; if that has settled it is told, once
 * more or for the first time, which does no harm.
 *
 * Edges.
 *   lost     future/timer.c
 *   counted  future/rescope.c
 *   accept   future/deliver.c
 *   accepted task/handle.c
 *   settled  future/settle.c
 *   claim    worker/run.c
 *   list     future/edge.c
 *   death    process/recover.c
 *   sampled  worker/sample.h
 *   resume   future/deliver.c
 *   rest     worker/standin.c
 *   care     worker/care.c
 *   home     worker/home.c
 *   sleep    sync/sleep.c
 *
 * Crash. As process/recover.c.
 */
#include "process/mend.h"

#include "future/call.h"
#include "future/combine.h"
#include "future/retry.h"
#include "future/scope.h"
#include "future/timer.h"
#include "memory/arena.h"
#include "sync/futex.h"
#include "task/error.h"
#include "task/profile.h"
#include "task/taken.h"
#include "worker/worker.h"

/* How often a task that can be run again is, beyond .retries, when others have
 * ended the process that it was parked in. */
#define INNOCENT_MORE 3u

void sh_mend_ban(struct sh_pool *pool, struct sh_record *r,
                 const struct sh_run *run, bool culprit)
{
    const shunt_task *task = r->task;
    struct sh_profile *p;

    if (!culprit || pool->profiles == NULL)
        return;
    if (sh_record_is_taken(r)) {
        while (run != NULL && run->outer != NULL)
            run = sh_arena_has(pool->arena, run->outer) ? run->outer : NULL;
        task = run != NULL ? run->record->task : NULL;
    }
    p = sh_profile_of(pool, task);
    if (p == NULL)
        return;
    /* relaxed: profile; and only who recovers counts */
    sh_store_rlx(&p->crashes, sh_load_rlx(&p->crashes) + 1);
    /* relaxed: profile. Who loads one writes it, too, and the same. */
    sh_store_rlx(&p->banned, 1);
    /* Recovery rings. seq_cst: sampled */
    sh_store_sc(&pool->time.sampled, 1);
}

bool sh_mend_again(struct sh_record *r, uint64_t word, bool culprit)
{
    unsigned most;

    if (!r->task->traits_.idempotent || !sh_is_bound(r) ||
        (word & (SH_CANCEL | SH_BUSY)) != 0 ||
        /* relaxed: ours, its code does no more */
        (sh_load_rlx(&r->deps) & SH_DEPS_DROPPED) != 0 ||
        /* relaxed: ours, its code does no more */
        sh_load_rlx(&r->kind) > SH_KIND_FINALLY)
        return false;
    most = sh_bound_of(r)->retries + (culprit ? 0 : INNOCENT_MORE);
    return sh_bound_of(r)->crashes < most;
}

/* It follows a future, or an attempt: if that has settled, it is told. */
static void tell_follower(struct sh_work *work, struct sh_pool *pool,
                          struct sh_record *r, uint64_t deps, uint64_t input)
{
    struct sh_ref ref;

    if (sh_handle_find(input, SH_LOOK, &ref) != 0)
        return;
    if (ref.record == NULL || sh_is_settled(ref.word))
        sh_deliver_to(work, pool,
                      sh_target(SH_TARGET_RECORD, sh_index_of(pool, r), 0,
                                (uint32_t)(deps >> 32)),
                      sh_ref_status_now(&ref));
}

/* Who made a record wait, or brought its last arrival, may have died before it
 * went on with that: it is told again, which does no harm. */
static void tell_again(struct sh_work *work, struct sh_pool *pool,
                       struct sh_record *r, uint64_t w)
{
    /* Of the same wait: what it waits for is written after deps is renewed.
     * acquire: accept */
    uint64_t deps = sh_load_acq(&r->deps), input = sh_load_acq(&r->input);
    unsigned kind = sh_load_acq(&r->kind); /* acquire: accept */

    if (sh_kind_combines(kind)) {
        if (sh_verdict_code(input) != SH_VERDICT_NONE)
            sh_combine_act(work, pool, r, input);
    } else if (kind == SH_KIND_TASK) {
        /* To run again, when nothing keeps it. */
        sh_settle_renewed(work, pool, r, sh_generation_of(w));
    } else if (kind == SH_KIND_HEED) {
        /* Nobody holds it: its task has ended, and it was not hung there. */
        if ((w & SH_ORPHAN) != 0 &&
            sh_settle_begin(r, w, sh_outcome_from(SHUNT_ECANCELED)))
            sh_work_settle(work, pool, r);
    } else if ((kind <= SH_KIND_FORWARD && (w & SH_KEPT) == 0) ||
               (kind & SH_KIND_FLAT) != 0 || kind == SH_KIND_RETRY) {
        tell_follower(work, pool, r, deps, input);
    }
}

/* -- scopes -- */

bool sh_mend_scopes(struct sh_pool *pool)
{
    uint32_t used = sh_table_used(&pool->records);
    struct sh_work work = { 0 };
    bool done = true;

    for (uint32_t i = 1; i < used && pool->unsure; i++) {
        struct sh_record *r = sh_record_at(pool, i);

        /* acquire: accepted; relaxed: as the state */
        if (sh_phase_of(sh_load_acq(&r->state)) == SH_WAIT &&
            sh_load_rlx(&r->kind) == SH_KIND_SCOPE)
            done &= sh_scope_mend(&work, pool, r);
        sh_work_do(&work);
    }
    pool->unsure = !done;
    return pool->unsure;
}

void sh_mend(struct sh_pool *pool, struct sh_record *r, uint64_t w)
{
    struct sh_work work = { 0 };

    if (sh_phase_of(w) == SH_WAIT)
        tell_again(&work, pool, r, w);
    /* relaxed: as the state */
    if (sh_phase_of(w) == SH_WAIT && sh_load_rlx(&r->kind) == SH_KIND_SCOPE)
        pool->unsure = true;
    sh_bound_recheck(&work, pool, r, w);
    sh_work_do(&work);
}

unsigned sh_mend_times(struct sh_pool *pool, uint64_t hint)
{
    struct sh_team *team = pool->team;
    struct sh_vain *v = NULL;

    for (unsigned i = 0; i < SH_VAIN && v == NULL; i++)
        if (team->vain[i].hint == hint)
            v = &team->vain[i];
    if (v == NULL) {
        v = &team->vain[team->vain_at++ % SH_VAIN];
        *v = (struct sh_vain){ .hint = hint };
    }
    return ++v->times;
}

/* -- what a post says -- */

/* Whose BUSY it was to clear. */
static void finish_telling(struct sh_pool *pool, struct sh_post *post)
{
    uint64_t hint = sh_load_acq(&post->telling); /* acquire: death */
    struct sh_record *r = sh_record_at(pool, sh_hint_index(hint));
    struct sh_work work = { 0 };

    sh_store_rel(&post->telling, 0); /* release: death */
    if (hint == 0 || sh_generation_of(sh_load_acq(&r->state)) !=
                         sh_hint_generation(hint)) /* acquire: settled */
        return;
    sh_settle_idle(&work, pool, r, SH_BUSY);
    sh_keep_returned(&work, pool);
    sh_work_do(&work);
}

/* The retry whose turn it ran, and the ticket that it was at. */
static void finish_retry(struct sh_pool *pool, unsigned index)
{
    struct sh_post *post = &pool->posts[index];
    uint64_t hint = sh_load_acq(&post->claiming); /* acquire: death */
    struct sh_record *r = sh_record_at(pool, sh_hint_index(hint));
    uint64_t w = sh_load_acq(&r->state); /* acquire: claim */
    struct sh_work work = { 0 };

    /* acquire: accepted */
    if (hint != 0 && sh_generation_of(w) == sh_hint_generation(hint) &&
        sh_load_acq(&r->kind) == SH_KIND_RETRY)
        sh_retry_turned(&work, pool, r, w, index);
    sh_work_do(&work);
    sh_store_rel(&post->claiming, 0); /* release: death */
    sh_ticket_mend(pool, post);
}

void sh_mend_posts(struct sh_pool *pool, unsigned index)
{
    struct sh_post *post = &pool->posts[index];
    /* seq_cst: lost */
    uint64_t setting = sh_load_sc(&post->setting);

    finish_telling(pool, post);
    finish_retry(pool, index);
    /* The timekeeper is woken when all is done. */
    if (setting != 0)
        (void)sh_timer_lose(pool, setting);
    /* It changes no scope any more. seq_cst: counted */
    sh_store_sc(&post->scoped_out, sh_load_sc(&post->scoped_in));
    (void)sh_mend_scopes(pool);
}

void sh_mend_hold(struct sh_work *work, struct sh_pool *pool,
                  struct sh_record *r, uint64_t word, unsigned index)
{
    struct sh_ref ref = { .pool = pool, .record = r, .word = word };

    if (sh_handle_reclose(&ref, SH_OWNER_WORKER(index)) == SH_GIVEN_LAST)
        sh_work_free(work, pool, r);
}

/* -- free items -- */

static bool uses_record(void *arg, uint32_t index, uint32_t of)
{
    struct sh_pool *pool = arg;
    /* acquire: claim */
    uint64_t w = sh_load_acq(&sh_record_at(pool, index)->state);

    /* In hand is what that owner was about to free. */
    return sh_phase_of(w) != SH_FREE || (of != SH_NONE && sh_owner_of(w) != of);
}

static bool uses_alias(void *arg, uint32_t index, uint32_t of)
{
    (void)of;
    return sh_alias_is_held(arg, index);
}

/* Who was at the list of a record's edges held the record. */
static bool uses_edge(void *arg, uint32_t index, uint32_t of)
{
    struct sh_pool *pool = arg;
    uint32_t left = sh_table_used(&pool->edges);
    /* acquire: list */
    uint32_t i = sh_load_acq(&sh_record_at(pool, of)->edges);

    for (i &= ~SH_EDGES_CLOSED; i != SH_NONE && i != index && left > 0; left--)
        i = sh_load_rlx(&sh_edge_at(pool, i)->next); /* relaxed: never changes
                                                      * in the list */
    return i == index;
}

struct dead {
    struct sh_pool *pool;
    unsigned place;
};

/* Of a scope that the dead process was in, or freed; of a combinator that it
 * made, or freed; or that leads to a function of its own. */
static bool uses_cell(void *arg, uint32_t index, uint32_t of)
{
    const struct dead *dead = arg;
    struct sh_pool *pool = dead->pool;
    uint32_t left = sh_table_used(&pool->cells);
    const struct sh_combine *c;
    struct sh_record *r;
    unsigned kind;
    uint32_t i;

    if (of == SH_OF_CALL)
        return sh_call_open(pool, index, dead->place) != 0;
    r = sh_record_at(pool, of);
    kind = sh_load_rlx(&r->kind); /* relaxed: its maker's */
    if (kind == SH_KIND_SCOPE) {
        i = sh_load_acq(&r->data.scoping.cells); /* acquire: death */
        for (; i != SH_NONE && i != index && left > 0; left--)
            i = sh_load_rlx(&sh_cell_at(pool, i)->link); /* relaxed: never
                                                          * changes */
        return i == index;
    }
    if (!sh_kind_combines(kind))
        return false;
    c = r->data.combining.more;
    for (i = 0; c != NULL && i < c->cells; i++)
        if (c->cell[i] == index)
            return true;
    return false;
}

void sh_mend_held(struct sh_pool *pool, unsigned index, struct sh_seat *seat)
{
    struct dead dead = { pool, index + 1 };
    struct sh_work work = { 0 };
    struct sh_ref ref;

    if (sh_handle_mend(pool, index + 1, &ref) == SH_GIVEN_LAST)
        sh_work_free(&work, pool, ref.record);
    sh_attach_mend(pool, index);
    sh_table_mend(&pool->records, &seat->records, uses_record, pool);
    sh_table_mend(&pool->aliases, &seat->aliases, uses_alias, pool);
    sh_table_mend(&pool->edges, &seat->edges, uses_edge, pool);
    sh_table_mend(&pool->cells, &seat->cells, uses_cell, &dead);
    sh_work_do(&work);
}

/* What the dead process was about to tell others, by a flag, a bell or a futex,
 * is told to all: they look, and find it or nothing. */
void sh_mend_rouse(struct sh_pool *pool, unsigned dead)
{
    unsigned posts = sh_pool_active(pool);

    for (unsigned i = 0; i < posts; i = sh_pool_next(pool, i)) {
        struct sh_post *post = &pool->posts[i];

        if (i == dead || sh_load_sc(&post->rests) == SH_UNFIT) /* seq_cst: rest
                                                                */
            continue;
        sh_or_sc(&post->resumed, SH_RESUMED_ANY); /* seq_cst: resume, sleep,
                                                   * care */
        sh_sleep_rouse(&sh_camp_at(pool, i)->sleep, i);
        /* It may have died between these two. */
        if (!sh_post_rouse(pool, post))
            sh_futex_wake(&post->rests, 1, true);
    }
    if (sh_load_sc(&pool->hosted) != 0) /* seq_cst: home */
        sh_home_call(pool);
    sh_room_ring(pool);
    /* It may have had the bit of who stands by, or have stood in. */
    if (pool->team->blocking_max > 0)
        sh_time_call(pool);
    sh_time_ring(pool);
    sh_quiet_ring(pool);
}
