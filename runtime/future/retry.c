/* SPDX-License-Identifier: MIT */
/*
 * future/retry.c - a task that is tried again until it succeeds.
 *
 *     shunt_retry: attempt 1, and wait for it
 *
 *     WAIT --succeeded--------------------> SETTLING, forwards the attempt
 *      |  ^--failed, time is up--> READY
 *      |                             | a worker claims it
 *      |                           RUNNING: a turn
 *      |     again? -> pause: a timer, back to WAIT
 *      |     pause over -> next attempt, back to WAIT
 *      |     enough -> SETTLING with the last failure
 *      +--cancelled, past its deadline, shut down--> SETTLING: the attempt is
 *                                                    asked to cancel
 *
 * Idea. A retry is one record for as long as it takes. It waits for one arrival
 * at a time, of its attempt or of a timer. What follows is a turn, which a
 * worker runs as it runs a task, but on the loop's own stack and outside of any
 * task; then the record waits anew, as one does whose task returned a future.
 * So no stack is parked meanwhile, nothing grows with the number of attempts,
 * and what was asked to cancel while it waits settles at once.
 *
 * An attempt is a record of its own, lent to the retry (attempt.c), and the
 * input is in a ticket that they share.
 *
 * A record that waits so often may meet a delivery that is late: whoever
 * brought the arrival of an earlier wait, which another then acted on, may find
 * the record in the same state once more, and move it. A turn therefore begins
 * with a look at the arrivals, and waits on if there are none.
 *
 * Edges.
 *   death    process/recover.c
 *   attached task/error.c
 *   accept   future/deliver.c: here the state is written, then the arrivals are
 *            read
 *   arrive   future/edge.c
 *   settled  future/settle.c
 *   closing  future/submit.c: a pause, then read the gate
 *   claim    worker/run.c
 *
 * Crash. A turn that was cut short is done again, by whoever finds the record
 * RUNNING with a dead owner and makes it READY. What it had come to it sees by
 * what the record and the ticket say: the input is an attempt that has settled,
 * one that was made, and is named before it is accepted, or none, and then as
 * many have ended as the ticket says; the failure of so many attempts is
 * remembered; it pauses, and its timer is set or not. A pause may then be
 * another one, or shorter, and .again be asked twice. Of a record that was
 * settled over a turn, which the post of who ran it names, recovery leaves the
 * ticket as that turn would have.
 *
 * Full jitter: M. Brooker, Exponential Backoff and Jitter, AWS Architecture
 * Blog, 2015; docs/decisions/0025-retries.md.
 */
#include "future/retry.h"

#include <string.h>

#include "future/combine.h"
#include "future/submit.h"
#include "future/value.h"
#include "task/blame.h"
#include "task/error.h"

/* The defaults of shunt/compose.h. */
#define ATTEMPTS 3u
#define FIRST_NS SHUNT_MS(10)
#define CAP_NS SHUNT_S(10)

/* Arrivals: an attempt's, and a timer's. */
#define ATTEMPT_BIT 0u
#define ARRIVED ((uint64_t)1 << ATTEMPT_BIT | (uint64_t)1 << SH_BIT_TIME)

static struct sh_ticket *ticket_of(struct sh_record *r)
{
    /* relaxed: set before it was accepted */
    SH_ASSERT(sh_load_rlx(&r->kind) == SH_KIND_RETRY);
    return sh_ticket_of(r);
}

/* -- failures -- */

/* Why an attempt failed, in a block: how many were made until then, but not
 * its causes, whose future is about to go. */
static struct sh_block *failure_of(struct sh_pool *pool, struct sh_record *r,
                                   const struct sh_ref *attempt)
{
    const shunt_error *e = sh_error_of(attempt);
    struct sh_failure f = sh_failure_of(e);

    f.attempts = sh_load_rlx(&ticket_of(r)->made); /* relaxed: only we write
                                                    * it */
    /* One that was refused has no error of its own. */
    if (attempt->record == NULL) {
        f.task = NULL;
        f.where = NULL;
        f.whole = NULL;
    }
    return sh_error_new(pool, r, &f);
}

static const shunt_error *error_in(struct sh_block *b)
{
    return sh_block_bytes(b);
}

/* The error that a retry fails with, with what it remembers as causes; none if
 * there is no memory. */
static void end_with(struct sh_pool *pool, struct sh_record *r,
                     struct sh_failure f)
{
    struct sh_ticket *t = ticket_of(r);
    const shunt_error *causes[SH_FAILURES];

    f.cause_count = sh_ticket_failures(t, causes);
    f.causes = causes;
    f.attempts = sh_attempts_of(r);
    sh_ticket_put(&t->end, sh_error_new(pool, r, &f));
}

/* Its errors go to the record by one step, the one that it fails with first.
 * Who does this again, since a death cut it short, sees that there. */
static void hand_errors(struct sh_record *r, struct sh_ticket *t)
{
    struct sh_block *b = sh_load_acq(&r->attached); /* acquire: attached */
    struct sh_block *last = t->end;

    while (b != NULL && b != t->end)
        b = b->next;
    if (b == NULL) {
        for (uint32_t i = 0; i < SH_FAILURES; i++) {
            if (t->failure[i] == NULL)
                continue;
            last->next = t->failure[i];
            last = last->next;
        }
        sh_attach(r, t->end, last);
    }
    sh_store_bare_rel(&t->concluded, true); /* release: death */
}

void sh_retry_conclude(struct sh_pool *pool, struct sh_record *r,
                       unsigned outcome)
{
    struct sh_ticket *t = ticket_of(r);
    struct sh_failure f = { .code = sh_outcome_code(outcome) };
    char text[SH_BLAME_BYTES];

    SH_ASSERT(outcome != 0);
    if (outcome == SH_OUTCOME_FORWARD || t->concluded)
        return;
    if (f.code == SHUNT_ETIMEDOUT)
        f.text = "the deadline passed before an attempt succeeded";
    if (f.code == SHUNT_EBROKEN)
        f.text = sh_blame_put(pool, text);
    /* It was about to fail otherwise, when this came first. */
    if (t->end != NULL && error_in(t->end)->code != f.code)
        sh_ticket_put(&t->end, NULL);
    if (t->end == NULL)
        end_with(pool, r, f);
    if (t->end != NULL)
        hand_errors(r, t);
}

/* -- a turn -- */

/* The retry was settled over our turn: undo what that has begun. Nobody else
 * but who clears BUSY looks at the record, which may go after the last line. */
static void give_up(struct sh_work *work, struct sh_pool *pool,
                    struct sh_record *r)
{
    sh_input_abandon(work, pool, r);
    sh_retry_leave(work, pool, r);
}

/* Settle with outcome. */
static void end(struct sh_work *work, struct sh_pool *pool, struct sh_record *r,
                unsigned outcome)
{
    uint64_t w = sh_load_acq(&r->state); /* acquire: settled */

    do {
        if (sh_phase_of(w) != SH_RUNNING) {
            give_up(work, pool, r);
            return;
        }
    } while (!sh_cas_acqrel(&r->state, &w,
                            sh_word_settled(w, SH_SETTLING, sh_owner_here(),
                                            outcome))); /* acq_rel: settled */
    sh_work_settle(work, pool, r);
}

/* RUNNING -> WAIT, for what it hangs on already. */
static void wait_on(struct sh_work *work, struct sh_pool *pool,
                    struct sh_record *r)
{
    uint64_t target = sh_target(SH_TARGET_RECORD, sh_index_of(pool, r),
                                SH_BIT_TIME,
                                /* relaxed: ours */
                                (uint32_t)(sh_load_rlx(&r->deps) >> 32));
    uint64_t w = sh_load_acq(&r->state); /* acquire: accept */
    uint64_t next;

    do {
        if (sh_phase_of(w) != SH_RUNNING) {
            give_up(work, pool, r);
            return;
        }
        next = sh_word_to(w, SH_WAIT, sh_owner_of(w));
    } while (!sh_cas_sc(&r->state, &w, next)); /* seq_cst: accept, closing */
    /* It may have come too early for whoever brought it. If it is another's by
     * now, so is the record. */
    if ((sh_load_sc(&r->deps) & ARRIVED) != 0) /* seq_cst: accept */
        sh_deliver_to(work, pool, target, SHUNT_PENDING);
    /* Nobody is left to go on with it. seq_cst: closing */
    if (SH_UNLIKELY(sh_load_sc(&pool->gate) == SH_STOPPED) &&
        sh_settle_begin(r, next, sh_outcome_from(SHUNT_ECLOSED)))
        sh_work_settle(work, pool, r);
    sh_cancel_marked(work, pool, r, sh_generation_of(next));
}

/* Wait for an attempt that was made. */
static void wait_for(struct sh_work *work, struct sh_pool *pool,
                     struct sh_record *r, const struct sh_ref *attempt)
{
    /* relaxed: ours */
    uint32_t generation = sh_generation_of(sh_load_rlx(&r->state));

    (void)sh_deps_renew(r);
    if (sh_follow(work, pool, r, attempt))
        sh_cancel_marked(work, pool, r, generation);
    else
        give_up(work, pool, r);
}

static void try_again(struct sh_work *work, struct sh_pool *pool,
                      struct sh_record *r)
{
    uint64_t w = sh_load_acq(&r->state); /* acquire: claim */
    struct sh_ref ref;

    if ((w & SH_CANCEL) != 0) {
        end(work, pool, r, sh_outcome_from(SHUNT_ECANCELED));
        return;
    }
    (void)sh_retry_attempt(pool, r, &ref);
    wait_for(work, pool, r, &ref);
}

/* Uniform over all of 0 to most, and another for each retry in the world as far
 * as clocks and addresses differ. Not for secrets. */
static int64_t draw(const struct sh_ticket *t, int64_t most)
{
    /* splitmix64 (Steele, Lea & Flood 2014). */
    uint64_t z = (uint64_t)sh_clock_ns() * UINT64_C(0x9e3779b97f4a7c15) +
                 (uint64_t)(uintptr_t)t;

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return (int64_t)(z % ((uint64_t)most + 1));
}

/* The longest pause after that many attempts. */
static int64_t most_after(const shunt_retry_options *o, uint32_t ended)
{
    unsigned doublings = ended - 1 < 62 ? ended - 1 : 62;

    if (o->first_ns < 0)
        return 0;
    return o->first_ns > o->cap_ns >> doublings ? o->cap_ns
                                                : o->first_ns << doublings;
}

/* Wait before the next attempt. */
static void pause_for(struct sh_work *work, struct sh_pool *pool,
                      struct sh_record *r, int64_t ns)
{
    uint32_t timer = sh_timer_of_wait(pool, sh_index_of(pool, r));
    int64_t when_ns = sh_pool_after(pool, ns);
    uint32_t generation;

    /* First, so that a turn which is done again knows that it waits for no
     * attempt. */
    ticket_of(r)->pauses = true;
    generation = sh_deps_renew(r);
    if (sh_timer_set(pool, timer, generation,
                     when_ns < INT64_MAX ? when_ns : INT64_MAX - 1)) {
        wait_on(work, pool, r);
        return;
    }
    ticket_of(r)->pauses = false;
    end(work, pool, r, sh_outcome_from(SHUNT_ENOMEM));
}

/* A failure was noted: another attempt, now or after a pause. */
static void go_on(struct sh_work *work, struct sh_pool *pool,
                  struct sh_record *r)
{
    struct sh_ticket *t = ticket_of(r);
    /* relaxed: only we write it */
    int64_t ns = draw(t, most_after(&t->options, sh_load_rlx(&t->ended)));

    if (ns > 0)
        pause_for(work, pool, r, ns);
    else
        try_again(work, pool, r);
}

/* What is asked of the user's function. */
struct question {
    bool (*again)(const shunt_error *error);
    const shunt_error *error;
    bool answer;
};

static void ask(void *question)
{
    struct question *q = question;

    q->answer = q->again(q->error);
}

/* Another attempt would come to the same, or shall not be made. */
static bool is_final(int code)
{
    switch (code) {
    case SHUNT_ECANCELED:
    case SHUNT_EINVAL:
    case SHUNT_ENOTSUP:
    case SHUNT_ECLOSED:
    case SHUNT_EFORKED:
    case SHUNT_EDEADLK:
    case SHUNT_EBROKEN:
        return true;
    default:
        return false;
    }
}

static bool may_go_on(const struct sh_pool *pool, const struct sh_ticket *t,
                      const shunt_error *error)
{
    struct question q = { .again = t->options.again, .error = error };

    /* relaxed: only we write it */
    if (sh_load_rlx(&t->made) >= t->options.attempts)
        return false;
    if (q.again == NULL)
        return !is_final(error->code);
    (void)sh_error_tell(error);
    sh_call_hook(pool->id, ask, &q);
    return q.answer;
}

/* Note why the last attempt failed, if that was not done before: a turn may be
 * done again. That error, if there is memory for it. */
static const shunt_error *note(struct sh_pool *pool, struct sh_record *r,
                               const struct sh_ref *attempt)
{
    struct sh_ticket *t = ticket_of(r);
    uint32_t made = sh_load_rlx(&t->made); /* relaxed: only we write it */
    struct sh_block *failure = sh_ticket_failure(t, made);

    if (failure == NULL) {
        failure = failure_of(pool, r, attempt);
        sh_ticket_put(sh_ticket_error(t, made), failure);
    }
    return failure != NULL ? error_in(failure) : NULL;
}

/* Fail as the last attempt did. If there were others, that takes an error of
 * our own, which has them as causes. */
static void fail(struct sh_work *work, struct sh_pool *pool,
                 struct sh_record *r, const shunt_error *last)
{
    struct sh_ticket *t = ticket_of(r);
    const shunt_error *causes[SH_FAILURES];
    unsigned outcome = SH_OUTCOME_FORWARD;

    if (last != NULL && sh_ticket_failures(t, causes) > 1) {
        /* It becomes a cause. */
        sh_mark_seen(sh_load_rlx(&r->input), true); /* relaxed: ours */
        if (t->end == NULL)
            end_with(pool, r, sh_failure_of(last));
        if (t->end != NULL)
            outcome = sh_outcome_from(last->code);
    }
    end(work, pool, r, outcome);
}

/* The attempt has ended. Or the turn in which it was looked at, or made, was
 * cut short by a death, and is done again. */
static void look_at_attempt(struct sh_work *work, struct sh_pool *pool,
                            struct sh_record *r)
{
    struct sh_ticket *t = ticket_of(r);
    uint64_t input = sh_load_rlx(&r->input); /* relaxed: ours */
    const shunt_error *failure;
    struct sh_ref ref;

    if (input == 0 || sh_handle_find(input, SH_LOOK, &ref) != 0) {
        go_on(work, pool, r); /* it was given back, or never accepted */
        return;
    }
    switch (sh_ref_status(&ref)) {
    case 0:
        end(work, pool, r, SH_OUTCOME_FORWARD);
        return;
    case SHUNT_PENDING:
        wait_for(work, pool, r, &ref);
        return;
    default:
        break;
    }
    failure = note(pool, r, &ref);
    if (!may_go_on(pool, t, failure != NULL ? failure : sh_error_of(&ref))) {
        fail(work, pool, r, failure);
        return;
    }
    sh_mark_seen(input, true);
    /* Before it cannot be found any more. relaxed: only we write it;
     * release: death */
    sh_store_rel(&t->ended, sh_load_rlx(&t->made));
    sh_work_give(work, input);
    sh_store_rel(&r->input, 0); /* release: death; who does this again gives
                                 * nothing that was given */
    go_on(work, pool, r);
}

/* Nothing has arrived: somebody was late, or a turn was cut short by a death,
 * maybe before the record hung on what it waits for. It then may hang there
 * twice: whoever is for an earlier wait does nothing. */
static void wait_on_still(struct sh_work *work, struct sh_pool *pool,
                          struct sh_record *r)
{
    uint32_t timer = sh_timer_of_wait(pool, sh_index_of(pool, r));
    /* relaxed: ours */
    uint32_t generation = (uint32_t)(sh_load_rlx(&r->deps) >> 32);

    if (!pool->shared)
        wait_on(work, pool, r);
    else if (!ticket_of(r)->pauses)
        look_at_attempt(work, pool, r);
    else if (sh_timer_is_for(&pool->timers[timer], generation))
        wait_on(work, pool, r);
    else {
        /* Or the end of an attempt that is made at once would be taken for that
         * of the pause. */
        ticket_of(r)->pauses = false;
        go_on(work, pool, r);
    }
}

void sh_retry_turn(struct sh_pool *pool, struct sh_record *r, uint64_t word)
{
    struct sh_ticket *t = ticket_of(r);
    struct sh_post *post = sh_post_here(pool);
    struct sh_work work = { 0 };

    if ((word & SH_CANCEL) != 0) {
        end(&work, pool, r, sh_outcome_from(SHUNT_ECANCELED));
    } else if ((sh_load_acq(&r->deps) & ARRIVED) == 0) { /* acquire: arrive */
        wait_on_still(&work, pool, r);
    } else if (t->pauses) {
        t->pauses = false;
        try_again(&work, pool, r);
    } else {
        look_at_attempt(&work, pool, r);
    }
    /* Another may be in the next turn. */
    if (post != NULL)
        sh_store_rel(&post->claiming, 0); /* release: claim, death */
    sh_work_do(&work);
}

/* -- the beginning -- */

/* What the options say, as far as the caller's struct has it, with defaults
 * filled in. False if they make no sense. */
static bool options_of(const shunt_retry_options *given, size_t size,
                       shunt_retry_options *out)
{
    *out = (shunt_retry_options){ .attempts = 0 };
    if (given != NULL)
        memcpy(out, given, size < sizeof *out ? size : sizeof *out);
    if (out->cap_ns < 0 || out->attempt_ns < 0)
        return false;
    if (out->attempts == 0)
        out->attempts = ATTEMPTS;
    if (out->first_ns == 0)
        out->first_ns = FIRST_NS;
    if (out->cap_ns == 0)
        out->cap_ns = CAP_NS;
    return true;
}

/* A record in INIT with its ticket, and its timer set if it has a deadline;
 * NULL if there is no memory. */
static struct sh_record *retry_new(struct sh_pool *pool, const shunt_task *task,
                                   const void *in, const char *where,
                                   int64_t deadline_ns)
{
    struct sh_seat *seat = sh_seat_of(pool);
    struct sh_ticket *t = seat == NULL ? NULL : sh_ticket_new(pool, task, in);
    struct sh_record *r =
        t == NULL ? NULL
                  : sh_record_new(pool, seat, SH_KIND_RETRY, task, where);
    uint64_t w;

    if (r == NULL) {
        if (t != NULL)
            sh_ticket_free(t);
        return NULL;
    }
    t->retry = sh_index_of(pool, r);
    w = sh_load_rlx(&r->state) | SH_BUSY; /* relaxed: ours in INIT */
    sh_store_rlx(&r->state, w);           /* relaxed: ours in INIT */
    if (deadline_ns != INT64_MAX)
        sh_record_bind(r)->deadline_ns = deadline_ns;
    sh_ticket_hold(t, r);
    if (deadline_ns == INT64_MAX || sh_bound_set(pool, r, w))
        return r;
    sh_record_free_data(pool, r);
    sh_record_retire(pool, seat, r, w);
    return NULL;
}

/* It is not accepted after all. */
static void retry_free(struct sh_pool *pool, struct sh_record *r)
{
    uint64_t w = sh_load_rlx(&r->state); /* relaxed: ours in INIT */

    sh_record_free_data(pool, r);
    sh_record_retire(pool, sh_seat_of(pool), r, w);
}

/* Submit the first attempt and wait for it; 0, or why there will be none. One
 * that finds no room counts as failed, if others may follow. */
static int start(struct sh_pool *pool, struct sh_record *r,
                 uint64_t *handle_out)
{
    uint64_t w = sh_load_rlx(&r->state); /* relaxed: ours in INIT */
    bool bound = sh_is_bound(r);
    struct sh_work work = { 0 };
    struct sh_ref ref;
    int rc = sh_retry_attempt(pool, r, &ref);

    if (rc != 0 && (ticket_of(r)->options.attempts == 1 || is_final(rc)))
        return rc;
    *handle_out =
        sh_handle_make(pool->id, sh_index_of(pool, r), sh_generation_of(w));
    if (sh_here.run != NULL)
        sh_run_note(sh_here.run, *handle_out);
    (void)sh_follow(&work, pool, r, &ref);
    if (bound)
        sh_bound_accepted(&work, pool, r, w);
    sh_work_do(&work);
    return 0;
}

shunt_future *shunt_retry_sized(shunt_pool *name, const shunt_task *task,
                                const void *in, const char *where,
                                size_t options_size,
                                const shunt_retry_options *options)
{
    shunt_retry_options o;
    struct sh_pool *pool;
    struct sh_record *r;
    int64_t deadline_ns = INT64_MAX;
    uint64_t handle;
    int rc = sh_pool_find(name, &pool);

    if (rc != 0)
        return sh_handle_failed(0, rc);
    rc = sh_submit_check(pool, task, in);
    if (rc == 0 && !options_of(options, options_size, &o))
        rc = SHUNT_EINVAL;
    if (rc == 0)
        rc = sh_deadline_inherit(pool, &deadline_ns);
    if (rc != 0)
        return sh_handle_failed(pool->id, rc);
    r = retry_new(pool, task, in, where, deadline_ns);
    if (r == NULL)
        return sh_handle_failed(pool->id, SHUNT_ENOMEM);
    ticket_of(r)->options = o;
    rc = start(pool, r, &handle);
    if (rc == 0)
        return sh_handle_future(handle);
    retry_free(pool, r);
    return sh_handle_failed(pool->id, rc);
}
