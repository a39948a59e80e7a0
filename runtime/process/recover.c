/* SPDX-License-Identifier: MIT */
/*
 * process/recover.c - repairing what a worker process left when it died.
 *
 *     what it handed over | what it ran, and what was parked there | a look
 *     through the table | its free lists, its hints, its bits of sleep
 *
 * Idea. The death is a fence: nothing that the process wrote is still to come.
 * The state words say what it was at, and its stacks lie in the arena, so that
 * the run of each of its tasks is there to be read: memory, handles, promises.
 * The task whose code ran is the culprit; what was parked there fails with it.
 *
 * Of these somebody may be waiting, and the table may be long. So what the
 * process's own notes name (its post, its list of parked runs) is settled
 * first. But they are hints, which it may have died in the middle of: nothing
 * counts as done that the table does not say.
 *
 * Edges.
 *   lost     future/timer.c
 *   fewer    future/quorum.c
 *   doomed   worker/doom.c
 *   death    who dies: writes in the order of the program -> here: what it was at
 *   accept   future/step.c, future/combine.c
 *   handed   future/hand.c
 *   care     worker/care.c
 *   home     worker/home.c
 *   resume   future/deliver.c
 *   blocking worker/blocking.c
 *   claim    worker/run.c
 *   park     worker/await.c
 *   quiet    future/settle.c
 *   rest     worker/standin.c
 *   seclude  worker/lane.c
 *   sleep    sync/sleep.c
 *   stuck    future/timer.c
 *   settled  future/settle.c
 *
 * Crash. Only the host runs this, whose death ends the pool. Another worker may
 * die meanwhile: its turn comes next. Not repaired: see docs/architecture.md.
 */
#include "process/recover.h"

#include <stdio.h>

#include "future/call.h"
#include "future/combine.h"
#include "future/retry.h"
#include "future/timer.h"
#include "future/undo.h"
#include "process/crash.h"
#include "process/doomed.h"
#include "process/mend.h"
#include "task/data.h"
#include "task/error.h"
#include "worker/frames.h"

/* How often a claim may come to nothing. */
#define CLAIMS_MAX 16u

/* One death, and what is found of it. */
struct mess {
    struct sh_pool *pool;
    struct sh_worker *worker;
    uint64_t running;          /* the hint of what it was at, or 0 */
    struct sh_record *culprit; /* that task's, or NULL, */
    const char *name;          /* and what it is called, or "" */
    int status;                /* as wait has it */
    struct rusage use;
    char *text; /* how the process ended */
    struct sh_untold untold;
};

/* The run of a record whose code has begun on the dead worker; NULL if it has
 * not begun. */
static struct sh_run *run_of(const struct mess *m, struct sh_record *r)
{
    /* acquire: claim */
    struct sh_run *run = (void *)(uintptr_t)sh_load_acq(&r->input);

    return sh_arena_has(m->pool->arena, run) && run->record == r ? run : NULL;
}

static bool is_culprit(const struct mess *m, uint32_t index, uint64_t word)
{
    return m->running == sh_hint(index, sh_generation_of(word));
}

static bool is_there(const void *pool, const void *address)
{
    return sh_arena_has(((const struct sh_pool *)pool)->arena, address);
}

/* Put what is known of the end of the process into words. */
static void describe(struct mess *m)
{
    const struct sh_crash *c = &m->pool->team->crashes[m->worker->index];
    const struct sh_run *run = m->culprit != NULL ? run_of(m, m->culprit)
                                                  : NULL;
    const struct sh_fiber *f =
        run != NULL ? sh_stacks_of(&m->worker->stacks, run) : NULL;
    struct sh_crash_map map = { .has = is_there, .pool = m->pool };

    if (m->culprit != NULL)
        map.task = m->culprit->task;
    if (f != NULL) {
        map.stack = f->stack_low;
        map.stack_bytes =
            m->worker->stacks.stack_bytes; /* as it was asked for */
        map.guard_bytes = SH_STACKS_GUARD;
    }
    sh_crash_tell(c, m->status, &m->use, &map, m->text, SH_LAST_WORDS);
    sh_crash_trace(c, &m->untold.trace);
    m->untold.task = map.task;
}

/* How often the task has been started. */
static unsigned attempts_of(struct sh_record *r)
{
    return 1 + (sh_is_bound(r) ? sh_bound_of(r)->crashes : 0u);
}

/* A task comes to its end. If run is NULL its code has left that, or was just to
 * enter it, and it holds nothing. */
static void settle_ended(const struct mess *m, struct sh_record *r,
                         struct sh_run *run, unsigned outcome)
{
    unsigned kind = sh_load_rlx(&r->kind);   /* relaxed: ours */
    uint64_t input = sh_load_acq(&r->input); /* acquire: claim */
    struct sh_work drops = { 0 };

    if (run != NULL) {
        sh_run_abort(run, outcome);
        return;
    }
    sh_input_drop(&drops, m->pool, r, kind);
    sh_work_do(&drops);
    if (r->task->traits_.inherits)
        input = 0;
    else
        sh_store_rlx(&r->input, 0); /* relaxed: published by settling */
    sh_settle_running(m->pool, r, outcome, input);
}

/* It cannot be run, or run to its end: settle what is RUNNING. */
static void give_up(const struct mess *m, struct sh_record *r, uint64_t word,
                    const char *text)
{
    struct sh_failure f = { .code = SHUNT_ECRASHED,
                            .attempts = attempts_of(r) };
    struct sh_work work = { 0 };

    sh_crash_fill(&f, &m->pool->team->crashes[m->worker->index], m->status,
                  &m->use);
    f.text = text != NULL ? text : m->text;
    f.untold = text == NULL && m->untold.trace.count > 0 ? &m->untold : NULL;
    if (sh_load_rlx(&r->kind) == SH_KIND_RETRY) /* relaxed: ours, as above */
        sh_ticket_put(&sh_ticket_of(r)->end, sh_error_new(m->pool, r, &f));
    else
        sh_error_attach(m->pool, r, &f);
    /* It has left the queue, and was counted as taken up then. */
    while (sh_phase_of(word) == SH_RUNNING)
        if (sh_cas_acqrel(&r->state, &word, /* acq_rel: settled */
                          sh_word_settled(word & ~SH_OUTSIDE, SH_SETTLING,
                                          sh_owner_here(),
                                          sh_outcome_from(SHUNT_ECRASHED)))) {
            sh_work_settle(&work, m->pool, r);
            sh_work_do(&work);
            return;
        }
    /* It was given up meanwhile. */
    sh_settle_returned(&work, m->pool, r);
    sh_work_do(&work);
}

/* Whether it was the last that they claimed, and not just about to. */
static bool was_claimed(const struct mess *m, struct sh_record *r,
                        uint64_t word)
{
    uint64_t hint = sh_hint(sh_index_of(m->pool, r), sh_generation_of(word));
    uint64_t claimed = sh_load_acq(&m->worker->post->claiming);      /* acquire:
                                                                      * death */
    unsigned kind = sh_load_rlx(&r->kind) & ~(unsigned)SH_KIND_FLAT; /* relaxed:
                                                                      * ours */

    return claimed == hint &&
           (kind <= SH_KIND_FINALLY || kind == SH_KIND_TRY) &&
           !sh_pool_claims(m->pool, hint, m->worker->index);
}

static bool is_theirs(const struct mess *m, uint64_t word)
{
    return sh_owner_of(word) == SH_OWNER_WORKER(m->worker->index);
}

/* Claimed, and not begun: as if it had not been. But what has its worker die
 * each time shall not do so for ever. */
static void put_back(const struct mess *m, struct sh_record *r, uint64_t word)
{
    uint64_t hint = sh_hint(sh_index_of(m->pool, r), sh_generation_of(word));

    if (sh_record_is_taken(r)) { /* its owner runs the call */
        sh_frames_give_back(m->pool, r);
        settle_ended(m, r, NULL, sh_outcome_from(SHUNT_ECANCELED));
        return;
    }
    sh_retry_keep(r);
    sh_undo_attempt(m->pool, r, SH_OWNER_WORKER(m->worker->index));
    if (sh_mend_times(m->pool, hint) > CLAIMS_MAX) {
        give_up(m, r, word, "its process died each time before it had begun");
        return;
    }
    /* acq_rel: claim. Flags may be set meanwhile. */
    while (sh_phase_of(word) == SH_RUNNING &&
           !sh_cas_acqrel(&r->state, &word, sh_word_to(word, SH_READY, 0)))
        continue;
}

/* Whether what has left its run can be put back: it has its input, and nothing
 * that it submitted is at work. */
static bool can_begin(struct sh_record *r, uint64_t word)
{
    /* relaxed: ours, its process is dead */
    return sh_load_rlx(&r->kind) == SH_KIND_TASK &&
           (word & (SH_KEPT | SH_HELD)) == 0;
}

/* Doom a run that is at its end if others have calls of it; else false. */
static bool doom(const struct mess *m, struct sh_run *run, enum sh_doom how)
{
    if (run == NULL || !sh_frames_doom(m->pool, run, m->worker->index, how))
        return false;
    run->last = NULL; /* memory of that process */
    sh_run_unwait(run);
    /* Nobody is to go on with it, in the next process of this place. */
    run->fiber = NULL;
    run->beside_at = NULL;
    return true;
}

/* Fail a task that ran, or was parked, there; run is NULL if it was left. */
static void fail(const struct mess *m, struct sh_record *r, struct sh_run *run,
                 uint64_t word)
{
    struct sh_failure f = { .code = SHUNT_ECRASHED,
                            .attempts = attempts_of(r) };
    bool culprit = is_culprit(m, sh_index_of(m->pool, r), word);
    char text[640];

    sh_mend_ban(m->pool, r, run, culprit);
    if (sh_frames_has_run(m->pool, r, run)) {
        settle_ended(m, r, run, 0);
        return;
    }
    if (sh_mend_again(r, word, culprit) &&
        (run != NULL || can_begin(r, word))) {
        sh_bound_of(r)->crashes++;
        if (run != NULL) {
            if (!doom(m, run, SH_DOOM_AGAIN))
                sh_run_renew(run);
        } else {
            (void)sh_deps_renew(r);
            put_back(m, r, word);
        }
        return;
    }
    sh_crash_fill(&f, &m->pool->team->crashes[m->worker->index], m->status,
                  &m->use);
    f.text = m->text;
    f.task = sh_task_name_of(sh_record_whole(r));
    f.untold = m->untold.trace.count > 0 && culprit ? &m->untold : NULL;
    f.collateral = !culprit;
    if (!culprit) {
        f.culprit = m->name;
        snprintf(text, sizeof text, "waited in a process that ended: %s %s",
                 f.culprit, m->text);
        f.text = text;
    }
    sh_error_attach(m->pool, r, &f);
    if (doom(m, run, SH_DOOM_FAILS))
        return;
    sh_frames_lose(m->pool, r);
    settle_ended(m, r, run, sh_outcome_from(SHUNT_ECRASHED));
}

/* It was settled over its code, which has come to its end, or never begins. */
static void end_busy(const struct mess *m, struct sh_record *r)
{
    struct sh_work work = { 0 };

    sh_frames_lose(m->pool, r);
    sh_input_drop(&work, m->pool, r, sh_load_rlx(&r->kind)); /* relaxed: ours */
    sh_settle_returned(&work, m->pool, r);
    sh_work_do(&work);
}

/* A step that the dead process was at, and that can be repeated. */
static void repeat(const struct mess *m, struct sh_record *r, uint64_t w)
{
    struct sh_work work = { 0 };

    sh_retry_keep(r);
    if (sh_phase_of(w) == SH_RELEASING)
        sh_work_free(&work, m->pool, r);
    else
        sh_work_settle(&work, m->pool, r);
    sh_work_do(&work);
}

/* Whether a record may have to do with it, by its state. */
static bool concerns(const struct mess *m, uint64_t word)
{
    return is_theirs(m, word) || sh_phase_of(word) == SH_WAIT ||
           sh_phase_of(word) == SH_READY || (word & SH_BUSY) != 0;
}

/* Who was to drop the input of a retry, seen with that word, may have died. */
static void look_at_ticket(const struct mess *m, struct sh_record *r,
                           uint64_t word)
{
    struct sh_work work = { 0 };

    sh_retry_mend(&work, m->pool, r, word, SH_OWNER_WORKER(m->worker->index));
    sh_work_do(&work);
}

static void look_at(const struct mess *m, struct sh_record *r)
{
    uint64_t w = sh_load_acq(&r->state); /* acquire: claim */
    bool theirs = is_theirs(m, w);
    struct sh_run *run;

    /* relaxed: as the state */
    if ((w & SH_BUSY) != 0 && sh_load_rlx(&r->kind) == SH_KIND_RETRY)
        look_at_ticket(m, r, w);
    w = sh_load_acq(&r->state); /* acquire: claim */
    if (sh_phase_of(w) == SH_PARKED && theirs) {
        /* Nobody is to resume it. acq_rel: park */
        while (sh_phase_of(w) == SH_PARKED &&
               !sh_cas_acqrel(&r->state, &w,
                              sh_word_to(w, SH_RUNNING, sh_owner_of(w))))
            continue;
    }
    if (sh_phase_of(w) == SH_FREE)
        return;
    if (sh_phase_of(w) == SH_WAIT || sh_phase_of(w) == SH_READY) {
        sh_mend(m->pool, r, w);
        return;
    }
    if (sh_phase_of(w) == SH_INIT && theirs) {
        sh_undo(m->pool, r, w);
        return;
    }
    if (theirs &&
        (sh_phase_of(w) == SH_SETTLING || sh_phase_of(w) == SH_COMPLETE ||
         sh_phase_of(w) == SH_RELEASING)) {
        if (!sh_hand_is_left(m->pool, r))
            repeat(m, r, w);
        return;
    }
    run = run_of(m, r);
    /* By itself, perhaps in part, or when another process of this place died. */
    if (run != NULL && sh_frames_is_doomed(m->pool, run)) {
        (void)doom(m, run, SH_DOOM_LOST);
        return;
    }
    if (sh_phase_of(w) <= SH_PARKED) {
        if (!theirs || sh_phase_of(w) < SH_RUNNING)
            return;
        /* If its run cannot be found, the post knows that it has begun: nothing
         * else tells a task that has ended, and whose end is not in its state
         * yet, from one that was claimed. */
        if (run != NULL || is_culprit(m, sh_index_of(m->pool, r), w))
            fail(m, r, run, w);
        else
            put_back(m, r, w);
    } else if ((w & SH_BUSY) != 0 && run != NULL && run->worker == m->worker) {
        /* Settled over its code, which has come to its end now: by itself, or
         * by whoever gives it up. */
        sh_mend_ban(m->pool, r, run, m->status != SIGKILL &&
                    is_culprit(m, sh_index_of(m->pool, r), w));
        if (doom(m, run, SH_DOOM_FAILS))
            return;
        sh_frames_lose(m->pool, r);
        sh_run_abort(run, sh_outcome_of(w));
    } else if ((w & SH_BUSY) != 0 && run == NULL &&
               (is_culprit(m, sh_index_of(m->pool, r), w) ||
                was_claimed(m, r, w))) {
        end_busy(m, r);
    }
}

static struct sh_record *culprit_of(const struct mess *m)
{
    struct sh_record *r;

    if (m->running == 0)
        return NULL;
    r = sh_record_at(m->pool, sh_hint_index(m->running));
    /* acquire: claim */
    if (sh_generation_of(sh_load_acq(&r->state)) !=
            sh_hint_generation(m->running) ||
        r->task == NULL)
        return NULL;
    return r;
}

/* What it ran, and what was parked there. */
static void look_at_runs(const struct mess *m)
{
    const struct sh_run *run = m->worker->waiting, *next;
    uint32_t left = sh_table_used(&m->pool->records);

    if (m->culprit != NULL)
        look_at(m, m->culprit);
    for (; is_there(m->pool, run) && left > 0; run = next, left--) {
        struct sh_record *r = run->record;

        next = run->beside;
        if (!is_there(m->pool, r) || run_of(m, r) != run)
            break;
        look_at(m, r);
    }
}

#define AHEAD 32u      /* records that are fetched beforehand */
#define HINTS_MAX 256u /* that are given anew, after one death */

/* All there is. Most of a long table is not concerned, as the states tell. What
 * is READY may have been in the dead process's deque, or nowhere yet, and is
 * queued once more. If that is much, workers find it in the table themselves;
 * but a process that has been there has mapped all of it, which its own death
 * then takes milliseconds to undo. */
static void look_through(const struct mess *m)
{
    struct sh_pool *pool = m->pool;
    uint32_t used = sh_table_used(&pool->records);
    struct sh_work work = { 0 };
    unsigned ready = 0;

    for (uint32_t i = 1; i < used; i++) {
        struct sh_record *r = sh_record_at(pool, i);
        uint64_t w = sh_load_acq(&r->state); /* acquire: claim */

        __builtin_prefetch(r + AHEAD);
        if (concerns(m, w)) {
            look_at(m, r);
            w = sh_load_acq(&r->state); /* acquire: claim */
        }
        if (SH_UNLIKELY((w & (SH_GONE | SH_ALIASED)) == (SH_GONE | SH_ALIASED)))
            sh_mend_hold(&work, pool, r, w, m->worker->index);
        if (sh_phase_of(w) == SH_READY && ready++ < HINTS_MAX)
            sh_make_ready(&work, pool, r, w);
        else if (sh_phase_of(w) == SH_READY && sh_is_for_host(r))
            sh_guests_call(pool);
    }
    sh_work_do(&work);
    if (ready > HINTS_MAX)
        for (unsigned c = 0; c < SH_CAMPS; c++)
            sh_add_sc(&pool->camps[c].rescan, 1); /* seq_cst: sleep */
}

/* What it was to be called for, it is not any more; and what others have left
 * to it goes on without. Before a record is settled that may be among that. */
static void forget_calls(const struct mess *m)
{
    unsigned place = m->worker->index + 1;

    if (sh_load_rlx(&m->worker->post->calls) == 0) /* relaxed: it is dead */
        return;
    sh_call_forget(m->pool, place);
    sh_handed_do(m->pool, place);
}

/* What it had in hand: a handle that a record names no more, and that was not
 * given back yet; or had not named less so far. */
static void finish_hand(const struct mess *m)
{
    struct sh_post *post = m->worker->post;
    uint64_t hand = sh_load_acq(&post->hand);            /* acquire: death */
    uint32_t of = (uint32_t)sh_load_acq(&post->hand_of); /* acquire: death */
    struct sh_record *r = sh_record_at(m->pool, of & ~SH_HAND_SHORTENS);
    struct sh_ref ref;

    sh_store_rel(&post->hand, 0); /* release: death */
    /* acquire: claim */
    if (hand == 0 || sh_load_acq(&r->input) == hand || run_of(m, r) != NULL)
        return;
    if ((of & SH_HAND_SHORTENS) != 0 &&
        sh_handle_find(hand, SH_LOOK, &ref) == 0 && ref.record != NULL)
        sh_store_rel(&ref.record->input, 0); /* release: death */
    sh_give_now(hand);
}

/* Free items that it kept. */
static void flush(struct sh_pool *pool, struct sh_seat *seat)
{
    sh_table_flush(&pool->records, &seat->records);
    sh_table_flush(&pool->aliases, &seat->aliases);
    sh_table_flush(&pool->edges, &seat->edges);
    sh_table_flush(&pool->cells, &seat->cells);
}

/* As it is to be found by the process that replaces it. */
static void reset(struct sh_pool *pool, struct sh_worker *w)
{
    struct sh_post *post = w->post;
    bool closes = sh_is_standin(w);

    flush(pool, &w->seat);
    sh_deque_mend(&post->deque);
    sh_deque_mend(&post->away);
    for (unsigned i = 0; i < SH_WOKEN; i++)
        sh_store_sc(&post->woken[i], 0);  /* seq_cst: resume */
    sh_store_sc(&post->resumed, SH_NONE); /* seq_cst: sleep */
    sh_store_sc(&post->running, 0);       /* seq_cst: stuck */
    sh_store_sc(&post->stuck, 0);         /* seq_cst: rest */
    sh_store_sc(&post->blocked, 0);       /* seq_cst: blocking */
    sh_store_sc(&post->setting, 0);       /* seq_cst: lost */
    sh_store_rlx(&post->calls, 0);        /* relaxed: nobody runs it */
    sh_store_sc(&post->waits, 0);         /* seq_cst: seclude */
    sh_store_sc(&post->unready, 1);       /* seq_cst: quiet */
    w->resumed = SH_NONE;
    w->parked = 0;
    w->waiting = NULL;
    w->begun = 0;
    w->left = NULL;
    w->taken = 0;
    w->stranded = NULL;
    w->sections = 0;
    sh_store_rlx(&w->rescan_at, 0); /* relaxed: nobody runs it */
    /* It counts from now on as who is about to come, or as nobody.
     * seq_cst: care, rest */
    sh_store_sc(&post->rests, closes ? SH_UNFIT : SH_WORKS);
}

static struct timeval time_of(int64_t ns)
{
    return (struct timeval){ .tv_sec = ns / 1000000000,
                             .tv_usec = ns % 1000000000 / 1000 };
}

static struct rusage use_of(const struct sh_death *death)
{
    return (struct rusage){ .ru_utime = time_of(death->user_ns),
                            .ru_stime = time_of(death->system_ns),
                            .ru_maxrss = (long)(death->resident_max / 1024) };
}

bool sh_recover(struct sh_pool *pool, unsigned index,
                const struct sh_death *death)
{
    struct sh_worker *w = &pool->team->workers[index];
    struct mess m = {
        .pool = pool,
        .worker = w,
        .text = pool->team->last_words,
        .status = death->signal != 0 ? death->signal : death->exit_status << 8,
        .use = use_of(death),
    };
    bool served = sh_load_sc(&w->post->unready) == 0; /* seq_cst: quiet */

    sh_add_sc(&pool->deaths, 1);               /* seq_cst: fewer */
    m.running = sh_load_sc(&w->post->running); /* seq_cst: stuck */
    m.culprit = culprit_of(&m);
    m.name = m.culprit != NULL ? sh_task_name(m.culprit) : "";
    describe(&m);
    sh_mend_held(pool, index, &w->seat); /* first: what is in hand decides who
                                          * has a cell */
    sh_handed_do(pool, 0);
    forget_calls(&m);
    sh_frames_bury(pool, index);
    look_at_runs(&m);
    finish_hand(&m);
    m.running = 0; /* once: that is not told by its record from now on */
    look_through(&m);
    sh_mend_posts(pool, index);
    sh_frames_forget(pool, index);
    /* Who has doomed a run may have died before it said so. */
    sh_store_sc(&pool->doomed, 1); /* seq_cst: doomed */
    (void)sh_doomed_tend(pool);
    sh_keep_look(pool);
    sh_heap_refund(&pool->heap,
                   sh_slices_retire(pool->heap.slices, SH_OWNER_WORKER(index)));
    reset(pool, w);
    sh_sleep_bury(&w->camp->sleep, index);
    sh_mend_rouse(pool, index);
    return served;
}
