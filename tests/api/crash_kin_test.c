/* SPDX-License-Identifier: MIT */
/*
 * crash_kin_test.c - what a task leaves when its process dies: to those who
 * wait for it or continue it, to what was parked beside it, and of what it
 * held.
 *
 * Method. A pool of one worker where two tasks are to be in one process, a
 * worker held by a latch where they are not.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "completion.h"
#include "death.h"
#include "told.h"

/* One that dies when its latch is raised, and runs by then. */
static shunt_future *doomed(shunt_pool *pool, struct latch *go)
{
    struct mortal in = { .how = BY_KILL, .started = stage_latch(), .go = go };
    shunt_future *f = shunt_submit(pool, mortal, &in);

    assert_true(latch_reaches(in.started, 1));
    return f;
}

/* ---- steps ---- */

struct seen {
    struct tally *then, *recover, *finally;
};

static int see_value(const long *in, const struct seen *ctx, long *out)
{
    *out = *in;
    tally_add(ctx->then, 1);
    return 0;
}
SHUNT_STEP(see_value, long, struct seen, long)

static int see_error(const shunt_error *in, const struct seen *ctx, long *out)
{
    *out = strcmp(in->task, "mortal") == 0 ? in->code : 1;
    tally_add(ctx->recover, 1);
    return 0;
}
SHUNT_STEP(see_error, shunt_error, struct seen, long)

static int see_outcome(const shunt_outcome *in, const struct seen *ctx,
                       shunt_none *out)
{
    (void)out;
    tally_add(ctx->finally, in->status);
    return 0;
}
SHUNT_STEP(see_outcome, shunt_outcome, struct seen, shunt_none)

/* Method: attached while it runs, and when it has died. */
static void a_step_is_not_run_but_recover_and_finally_are(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int late = 0; late < 2; late++) {
        struct seen seen = { stage_tally(), stage_tally(), stage_tally() };
        struct latch *go = stage_latch();
        shunt_future *f = doomed(pool, go), *then, *recover, *finally;

        if (late) {
            latch_raise(go);
            assert_settles(f, SHUNT_ECRASHED);
        }
        then = shunt_then_with(shunt_retain(f), see_value, &seen);
        recover = shunt_recover_with(shunt_retain(f), see_error, &seen);
        finally = shunt_finally_with(shunt_retain(f), see_outcome, &seen);
        if (!late)
            latch_raise(go);
        assert_settles(then, SHUNT_ECRASHED);
        assert_string_equal(shunt_error_of(then)->task, "mortal");
        assert_ok(shunt_release(then));
        assert_takes(recover, SHUNT_ECRASHED);
        assert_joins(finally, SHUNT_ECRASHED);
        assert_dies(f);
        assert_long(tally_of(seen.then), 0);
        assert_long(tally_of(seen.recover), 1);
        assert_long(tally_of(seen.finally), SHUNT_ECRASHED);
    }
    harness_free(pool);
}

static int die_as_step(const long *in, long *out)
{
    return mortal(&(struct mortal){ .how = (enum death) * in }, out);
}
SHUNT_TASK(die_as_step, long, long)

static void a_step_may_die_as_well(void)
{
    shunt_pool *pool = harness_pool(2);

    for (long how = 0; how < DEATHS; how++) {
        shunt_future *f = shunt_submit(pool, stage_same, &how);
        shunt_future *g = shunt_then(shunt_retain(f), die_as_step);

        g = shunt_then(g, stage_add_one);
        assert_settles(g, SHUNT_ECRASHED);
        assert_string_equal(shunt_error_of(g)->task, "die_as_step");
        assert_ok(shunt_release(g));
        assert_takes(f, how);
    }
    harness_free(pool);
}

/* ---- combinators ---- */

static void a_combinator_has_the_death_as_its_cause(void)
{
    shunt_pool *pool = harness_pool(2);

    for (int at = 0; at < 3; at++) {
        shunt_future *fs[3];

        for (long i = 0; i < 3; i++)
            fs[i] = i == at ? death_in(pool, BY_NULL)
                            : shunt_submit(pool, stage_same, &i);
        shunt_future *all = shunt_when_all(fs, 3);
        assert_settles(all, SHUNT_ECRASHED);
        assert_string_equal(shunt_error_of(all)->task, "mortal");
        assert_ok(shunt_release(all));

        for (int i = 0; i < 3; i++)
            fs[i] = death_in(pool, i == at ? BY_KILL : BY_EXIT_3);
        shunt_future *any = shunt_when_any(fs, 3);
        assert_settles(any, SHUNT_ECRASHED);
        assert_long((long)shunt_error_of(any)->cause_count, 3);
        for (int i = 0; i < 3; i++)
            assert_status(shunt_error_of(any)->causes[i]->code, SHUNT_ECRASHED);
        assert_ok(shunt_release(any));

        for (long i = 0; i < 3; i++)
            fs[i] = i == at ? shunt_submit(pool, stage_same, &i)
                            : death_in(pool, BY_KILL);
        any = shunt_when_any(fs, 3);
        assert_settles(any, 0);
        assert_long((long)shunt_peek(any, shunt_winner)->index, at);
        assert_ok(shunt_release(any));

        for (long i = 0; i < 3; i++)
            fs[i] = i == at ? death_in(pool, BY_KILL)
                            : shunt_submit(pool, stage_same, &i);
        shunt_future *settled = shunt_when_all_settled(fs, 3);
        assert_settles(settled, 0);
        const shunt_results *results = shunt_peek(settled, shunt_results);
        for (int i = 0; i < 3; i++)
            assert_status(shunt_status(results->futures[i]),
                          i == at ? SHUNT_ECRASHED : 0);
        assert_ok(shunt_release(settled));
    }
    harness_free(pool);
}

static int die_at(const long *in, long *out)
{
    if (*in == 33)
        return mortal(&(struct mortal){ .how = BY_NULL }, out);
    *out = *in;
    return 0;
}
SHUNT_TASK(die_at, long, long)

static void a_map_loses_the_element_that_died(void)
{
    enum {
        N = 100
    };
    shunt_pool *pool = harness_pool(2);
    long ins[N];

    for (long i = 0; i < N; i++)
        ins[i] = i;
    shunt_future *f = shunt_map_settled(pool, die_at, ins, N);
    assert_settles(f, 0);
    const shunt_results *results = shunt_peek(f, shunt_results);
    assert_long((long)results->count, N);
    for (int i = 0; i < N; i++)
        assert_status(shunt_status(results->futures[i]),
                      i == 33 ? SHUNT_ECRASHED : 0);
    assert_ok(shunt_release(f));
    assert_dies(shunt_map(pool, die_at, ins, N));
    harness_free(pool);
}

/* ---- who waits ---- */

static int wait_for(shunt_future *const *in, long *out)
{
    *out = shunt_await(*in);
    return 0;
}
SHUNT_TASK(wait_for, shunt_future *, long)

/* Method: one worker is at the task that dies, so that the tasks which wait are
 * parked on the other; threads wait as well. */
static void whoever_waits_is_told_wherever_it_waits(void)
{
    enum {
        EACH = 4
    };
    shunt_pool *pool = harness_pool(2);

    for (int round = 0; round < 20; round++) {
        struct latch *go = stage_latch();
        shunt_future *f = doomed(pool, go), *waiting[EACH];
        struct stage_waiter waiters[EACH];
        pthread_t threads[EACH];

        for (int i = 0; i < EACH; i++) {
            waiters[i] =
                (struct stage_waiter){ f, SHUNT_FOREVER, stage_latch(), 1 };
            assert_int_equal(pthread_create(&threads[i], NULL,
                                            stage_wait_in_thread, &waiters[i]),
                             0);
            waiting[i] = shunt_submit(pool, wait_for, &f);
        }
        for (int i = 0; i < EACH; i++)
            assert_true(latch_reaches(waiters[i].ready, 1));
        assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
        latch_raise(go);
        for (int i = 0; i < EACH; i++) {
            pthread_join(threads[i], NULL);
            assert_status(waiters[i].status, SHUNT_ECRASHED);
            assert_takes(waiting[i], SHUNT_ECRASHED);
        }
        assert_dies(f);
    }
    harness_free(pool);
}

static void a_queue_delivers_what_has_died(void)
{
    shunt_pool *pool = harness_pool(2);
    shunt_queue *queue = new_queue();
    bool had[40] = { false };

    for (long i = 0; i < 40; i++)
        add(queue,
            i % 4 == 0 ? death_in(pool, BY_KILL)
                       : shunt_submit(pool, stage_same, &i),
            i);
    for (int i = 0; i < 40; i++) {
        shunt_event event;

        assert_long(shunt_queue_wait(queue, &event, 1, harness_patience()), 1);
        size_t which = shunt_event_index(&event);
        assert_false(had[which]);
        had[which] = true;
        assert_joins(event.future, which % 4 == 0 ? SHUNT_ECRASHED : 0);
    }
    free_queue(queue);
    harness_free(pool);
}

static void a_scope_fails_with_the_child_that_died(void)
{
    shunt_pool *pool = harness_pool(2);

    for (int i = 0; i < 10; i++) {
        shunt_scope *scope = NULL;

        assert_ok(shunt_scope_open(&scope, pool, NULL));
        for (long j = 0; j < 10; j++)
            (void)shunt_scope_submit(scope, stage_same, &j);
        (void)shunt_scope_submit(scope, mortal,
                                 &(struct mortal){ .how = BY_KILL });
        assert_status(shunt_scope_close(scope, NULL), SHUNT_ECRASHED);
        assert_string_equal(shunt_last_error()->task, "mortal");
    }
    harness_free(pool);
}

static void a_death_that_nobody_looked_at_is_reported(void)
{
    struct told *told = told_pool(1);

    for (int i = 0; i < 3; i++) {
        assert_ok(shunt_release(death_in(told->pool, BY_KILL)));
        assert_joins(shunt_submit(told->pool, stage_nothing, NULL), 0);
    }
    assert_ok(
        shunt_join(shunt_recover(death_in(told->pool, BY_KILL), stage_code)));
    told_drain(told);
    assert_long(told->codes[0], SHUNT_ECRASHED);
    assert_string_equal(told->task, "mortal");
    assert_told(told, 3);
}

static void a_death_passes_to_other_pools(void)
{
    shunt_pool *pool = harness_pool(1), *other = harness_pool(1);
    shunt_pool *threads = stage_named_pool("threads", 1);
    shunt_future *f = death_in(pool, BY_ABORT);

    f = shunt_then(shunt_via(other, f), stage_add_one);
    f = shunt_then(shunt_via(threads, f), stage_add_one);
    assert_settles(f, SHUNT_ECRASHED);
    assert_string_equal(shunt_error_of(f)->task, "mortal");
    assert_takes(shunt_recover(f, stage_code), SHUNT_ECRASHED);
    harness_free(pool);
    harness_free(other);
    harness_free(threads);
}

/* ---- what was parked there ---- */

/* Method: the only worker has parked them, and then runs what dies. */
static void what_was_parked_there_dies_with_it_and_says_so(void)
{
    enum {
        PARKED = 5
    };
    shunt_pool *pool = harness_pool(1);

    for (int round = 0; round < 10; round++) {
        struct stage_promise made = stage_promise(pool);
        shunt_future *parked[PARKED];

        for (int i = 0; i < PARKED; i++)
            parked[i] = shunt_submit(pool, wait_for, &made.future);
        assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
        shunt_future *f = death_in(pool, BY_NULL);
        assert_settles(f, SHUNT_ECRASHED);
        assert_null(strstr(shunt_error_of(f)->message, "wait"));
        for (int i = 0; i < PARKED; i++) {
            assert_settles(parked[i], SHUNT_ECRASHED);
            const shunt_error *error = shunt_error_of(parked[i]);
            assert_string_equal(error->task, "wait_for");
            assert_non_null(strstr(error->message, "wait"));
            assert_non_null(strstr(error->message, "mortal"));
            assert_ok(shunt_release(parked[i]));
        }
        assert_ok(shunt_release(f));
        assert_status(shunt_status(made.future), SHUNT_PENDING);
        stage_give(made.promise, 4);
        assert_takes(made.future, 4);
    }
    harness_free(pool);
}

static void what_is_parked_elsewhere_goes_on(void)
{
    shunt_pool *pool = harness_pool(2);

    for (int round = 0; round < 20; round++) {
        struct stage_promise made = stage_promise(pool);
        struct latch *go = stage_latch();
        shunt_future *f = doomed(pool, go);
        shunt_future *parked = shunt_submit(pool, wait_for, &made.future);

        assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
        latch_raise(go);
        assert_dies(f);
        assert_status(shunt_status(parked), SHUNT_PENDING);
        stage_give(made.promise, 1);
        assert_takes(parked, 0);
        assert_takes(made.future, 1);
    }
    harness_free(pool);
}

/* ---- what it held ---- */

struct held {
    shunt_future *promised, *retained, *child, *step;
    shunt_promise *promise;
    shunt_scope *scope;
};

struct holder {
    shunt_future *given; /* the host's */
    struct held *held;   /* for the test */
    struct latch *hold;  /* of the child */
};

/* Dies with a promise, handles and a scope in its hands. */
static int hold_and_die(const struct holder *in, long *out)
{
    struct held *h = in->held;

    if (shunt_promise_new(NULL, long, &h->promise, &h->promised) != 0 ||
        shunt_scope_open(&h->scope, NULL, NULL) != 0)
        return 1;
    h->retained = shunt_retain(in->given);
    h->child = shunt_submit(NULL, stage_job, &(struct job){ .go = in->hold });
    h->step = shunt_then(shunt_retain(in->given), stage_add_one);
    (void)shunt_scope_submit(h->scope, stage_nothing, NULL);
    return mortal(&(struct mortal){ .how = BY_KILL }, out);
}
SHUNT_TASK(hold_and_die, struct holder, long)

static void what_it_held_is_given_back(void)
{
    shunt_pool *pool = harness_pool(2);

    for (int round = 0; round < 20; round++) {
        struct stage_promise made = stage_promise(pool);
        struct holder in = { made.future, stage_bytes(sizeof *in.held),
                             stage_latch() };
        assert_dies(shunt_submit(pool, hold_and_die, &in));
        assert_stale(in.held->promised);
        assert_stale(in.held->retained);
        assert_stale(in.held->child);
        assert_stale(in.held->step);
        assert_status(shunt_promise_drop(in.held->promise), SHUNT_EINVAL);
        assert_status(shunt_scope_close(in.held->scope, NULL), SHUNT_EINVAL);
        assert_status(shunt_status(made.future), SHUNT_PENDING);
        stage_give(made.promise, 1);
        assert_takes(made.future, 1);
        latch_raise(in.hold);
        while (shunt_pool_pending(pool) > 0)
            sched_yield();
    }
    harness_free(pool);
}

static int promise_and_die(const struct holder *in, long *out)
{
    struct held *h = in->held;

    if (shunt_promise_new(NULL, long, &h->promise, &h->promised) != 0)
        return 1;
    latch_raise(in->hold);
    if (!latch_reaches(in->hold, 2))
        return STAGE_LATE;
    return mortal(&(struct mortal){ .how = BY_ABORT }, out);
}
SHUNT_TASK(promise_and_die, struct holder, long)

/* Method: the test, a step and another task have handles of the future. */
static void a_promise_of_the_dead_is_cancelled(void)
{
    shunt_pool *pool = harness_pool(2);

    for (long round = harness_pools(200); round > 0; round--) {
        struct holder in = { NULL, stage_bytes(sizeof *in.held),
                             stage_latch() };
        shunt_future *f = shunt_submit(pool, promise_and_die, &in);

        assert_true(latch_reaches(in.hold, 1));
        shunt_future *promised = shunt_retain(in.held->promised);
        shunt_future *step = shunt_then(shunt_retain(promised), stage_same);
        shunt_future *waits = shunt_submit(pool, wait_for, &promised);
        assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
        latch_raise(in.hold);
        assert_dies(f);
        assert_joins(step, SHUNT_ECANCELED);
        assert_takes(waits, SHUNT_ECANCELED);
        assert_joins(promised, SHUNT_ECANCELED);
    }
    harness_free(pool);
}

static int keep_or_die(shunt_promise *const *in, long *out)
{
    (void)in;
    return mortal(&(struct mortal){ .how = BY_KILL }, out);
}
SHUNT_TASK(keep_or_die, shunt_promise *, long)

/* A promise is its maker's. */
static void a_promise_of_the_host_outlives_who_was_to_keep_it(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);

    assert_dies(shunt_submit(pool, keep_or_die, &made.promise));
    assert_status(shunt_status(made.future), SHUNT_PENDING);
    stage_give(made.promise, 9);
    assert_takes(made.future, 9);
    harness_free(pool);
}

/* ---- threads of its own ---- */

struct helper {
    shunt_pool *pool;
    struct latch *used, *never;
};

/* What it has for the pool, the C library puts where the host has nothing. */
static void *help(void *arg)
{
    const struct helper *h = arg;
    void *blocks[64];
    long value = 0;

    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        blocks[i] = malloc(100 << 10);
    if (shunt_take(shunt_submit(h->pool, stage_same, &(long){ 5 }), &value) ==
            0 &&
        value == 5)
        latch_raise(h->used);
    (void)latch_reaches(h->never, 1);
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        free(blocks[i]);
    return NULL;
}

static int be_helped_and_die(const struct helper *in, long *out)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, help, (void *)(uintptr_t)in) != 0)
        return 1;
    if (!latch_reaches(in->used, 1))
        return STAGE_LATE;
    return mortal(&(struct mortal){ .how = BY_KILL }, out);
}
SHUNT_TASK(be_helped_and_die, struct helper, long)

static void *use_pool(void *pool)
{
    long value = 0;

    return shunt_take(shunt_submit(pool, stage_same, &(long){ 6 }), &value) == 0
               ? pool
               : NULL;
}

/* Method: then a thread of the host uses the pool for the first time. */
static void a_thread_of_a_task_may_use_the_pool_and_die_with_it(void)
{
    shunt_pool *pool = harness_pool(2);

    for (int round = 0; round < 3; round++) {
        struct helper in = { pool, stage_latch(), stage_latch() };
        void *used = NULL;
        pthread_t thread;

        assert_dies(shunt_submit(pool, be_helped_and_die, &in));
        assert_int_equal(pthread_create(&thread, NULL, use_pool, pool), 0);
        assert_int_equal(pthread_join(thread, &used), 0);
        assert_ptr_equal(used, pool);
    }
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM_OF_PROCESSES(a_step_is_not_run_but_recover_and_finally_are),
    CLAIM_OF_PROCESSES(a_step_may_die_as_well),
    CLAIM_OF_PROCESSES(a_combinator_has_the_death_as_its_cause),
    CLAIM_OF_PROCESSES(a_map_loses_the_element_that_died),
    CLAIM_OF_PROCESSES(whoever_waits_is_told_wherever_it_waits),
    CLAIM_OF_PROCESSES(a_queue_delivers_what_has_died),
    CLAIM_OF_PROCESSES(a_scope_fails_with_the_child_that_died),
    CLAIM_OF_PROCESSES(a_death_that_nobody_looked_at_is_reported),
    CLAIM_OF_PROCESSES(a_death_passes_to_other_pools),
    CLAIM_OF_PROCESSES(what_was_parked_there_dies_with_it_and_says_so),
    CLAIM_OF_PROCESSES(what_is_parked_elsewhere_goes_on),
    CLAIM_OF_PROCESSES(what_it_held_is_given_back),
    CLAIM_OF_PROCESSES(a_promise_of_the_dead_is_cancelled),
    CLAIM_OF_PROCESSES(a_promise_of_the_host_outlives_who_was_to_keep_it),
    CLAIM_OF_PROCESSES(a_thread_of_a_task_may_use_the_pool_and_die_with_it),
};

HARNESS_MAIN(claims)
