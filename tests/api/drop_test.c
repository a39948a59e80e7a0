/* SPDX-License-Identifier: MIT */
/*
 * drop_test.c - the drop hook runs once for every task that was accepted,
 * with its in or its context, and not while the task runs; and never for one
 * that was refused.
 */
#include <pthread.h>

#include "stage.h"

struct parcel {
    long weight;
    struct tally *running, *ran, *dropped, *dropped_weight, *early;
    struct latch *started, *go;
    int rc;
};

static void drop_parcel(void *in)
{
    const struct parcel *parcel = in;

    if (tally_of(parcel->running) != 0)
        tally_add(parcel->early, 1);
    tally_add(parcel->dropped, 1);
    tally_add(parcel->dropped_weight, parcel->weight);
}

static int carry(const struct parcel *in, long *out)
{
    tally_add(in->running, 1);
    tally_add(in->ran, 1);
    if (in->started != NULL)
        latch_raise(in->started);
    if (in->go != NULL && !latch_reaches(in->go, 1))
        return STAGE_LATE;
    *out = in->weight;
    tally_add(in->running, -1);
    return in->rc;
}
SHUNT_TASK(carry, struct parcel, long, .drop = drop_parcel)

static int carry_on(const long *in, const struct parcel *ctx, long *out)
{
    return carry(ctx, out) + (int)(*in - *in);
}
SHUNT_STEP(carry_on, long, struct parcel, long, .drop = drop_parcel)

static int carry_error(const shunt_error *in, const struct parcel *ctx,
                       long *out)
{
    (void)in;
    return carry(ctx, out);
}
SHUNT_STEP(carry_error, shunt_error, struct parcel, long, .drop = drop_parcel)

static int carry_outcome(const shunt_outcome *in, const struct parcel *ctx,
                         shunt_none *out)
{
    long weight;

    (void)in;
    (void)out;
    return carry(ctx, &weight);
}
SHUNT_STEP(carry_outcome, shunt_outcome, struct parcel, shunt_none,
           .drop = drop_parcel)

static struct parcel parcel(long weight)
{
    return (struct parcel){ .weight = weight,
                            .running = stage_tally(),
                            .ran = stage_tally(),
                            .dropped = stage_tally(),
                            .dropped_weight = stage_tally(),
                            .early = stage_tally() };
}

static void assert_dropped(const struct parcel *parcel, long times, long ran)
{
    assert_long(tally_of(parcel->dropped), times);
    assert_long(tally_of(parcel->dropped_weight), times * parcel->weight);
    assert_long(tally_of(parcel->ran), ran);
    assert_long(tally_of(parcel->early), 0);
}

/* ---- tasks ---- */

static void a_task_that_ran_is_dropped_once(void)
{
    for (int rc = 0; rc < 2; rc++) {
        shunt_pool *pool = harness_pool(1);
        struct parcel sent = parcel(3);
        sent.rc = rc;
        for (int i = 0; i < 500; i++)
            assert_joins(shunt_submit(pool, carry, &sent),
                         rc == 0 ? 0 : SHUNT_EFAILED);
        harness_free(pool);
        assert_dropped(&sent, 500, 500);
    }
}

/* Method: the task's future is released, cancelled, kept: none of it drops
 * while the code runs. */
static void a_task_is_not_dropped_while_it_runs(void)
{
    shunt_pool *pool = harness_pool(2);

    for (int how = 0; how < 3; how++) {
        struct parcel sent = parcel(3);
        sent.started = stage_latch();
        sent.go = stage_latch();
        shunt_future *f = shunt_submit(pool, carry, &sent);
        assert_true(latch_reaches(sent.started, 1));
        if (how > 0)
            assert_long(shunt_cancel(f), 1);
        if (how == 1)
            assert_ok(shunt_release(f));
        assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
        assert_long(tally_of(sent.dropped), 0);
        latch_raise(sent.go);
        if (how != 1)
            assert_takes(f, 3);
        assert_ok(shunt_pool_free(pool));
        assert_dropped(&sent, 1, 1);
        pool = harness_pool(2);
    }
    harness_free(pool);
}

static void a_task_that_never_started_is_dropped_once(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_hold hold = stage_hold(pool);
    struct parcel sent = parcel(5);

    for (int i = 0; i < 500; i++) {
        shunt_future *f = shunt_submit(pool, carry, &sent);
        assert_long(shunt_cancel(f), 1);
        assert_ok(shunt_release(f));
    }
    stage_let(hold);
    harness_free(pool);
    assert_dropped(&sent, 500, 0);
}

static void a_shutdown_drops_what_it_cancels(void)
{
    static const enum shunt_how hows[] = { SHUNT_CANCEL, SHUNT_KILL };

    for (int i = 0; i < 2; i++) {
        shunt_pool *pool = harness_pool(1);
        struct stage_hold hold = stage_hold(pool);
        struct parcel sent = parcel(7);
        for (int j = 0; j < 500; j++)
            (void)shunt_submit(pool, carry, &sent);
        assert_status(shunt_pool_shutdown(pool, SHUNT_CANCEL, 0, NULL),
                      SHUNT_ETIMEDOUT);
        latch_raise(hold.go);
        assert_ok(shunt_pool_shutdown(pool, hows[i], SHUNT_FOREVER, NULL));
        harness_free(pool);
        assert_dropped(&sent, 500, 0);
    }
}

static int fail_init(void *arg)
{
    (void)arg;
    return 1;
}

static void a_pool_that_never_worked_drops_what_it_accepted(void)
{
    shunt_pool *pool = NULL;
    struct parcel sent = parcel(7);
    long accepted = 0;

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = 2, .init = fail_init }));
    for (int i = 0; i < 100; i++) {
        shunt_future *f = shunt_submit(pool, carry, &sent);
        assert_joins(f, SHUNT_EBROKEN);
        accepted += shunt_release(f) != 0;
    }
    harness_free(pool);
    /* Those that were refused have a handle that can be released again. */
    assert_dropped(&sent, accepted, 0);
}

static void what_was_refused_is_not_dropped(void)
{
    shunt_pool *pool = NULL;
    struct parcel sent = parcel(7);

    assert_ok(shunt_pool_new(&pool,
                             &(shunt_options){ .workers = 1, .queue_max = 2 }));
    struct stage_hold hold = stage_hold(pool);
    for (int i = 0; i < 10; i++)
        assert_ok(shunt_release(shunt_submit(pool, carry, &sent)));
    stage_let(hold);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    assert_joins(shunt_submit(pool, carry, &sent), SHUNT_ECLOSED);
    assert_joins(shunt_submit_with(pool, carry, &sent, .retries = 1),
                 SHUNT_EINVAL);
    harness_free(pool);
    assert_dropped(&sent, 2, 2);
}

/* ---- steps ---- */

static shunt_future *step_of(shunt_future *f, int kind, struct parcel *ctx)
{
    switch (kind) {
    case 0:
        return shunt_then_with(f, carry_on, ctx);
    case 1:
        return shunt_recover_with(f, carry_error, ctx);
    default:
        return shunt_finally_with(f, carry_outcome, ctx);
    }
}

/* Kind of step by outcome of its input: success, failure, cancellation. */
static const bool runs[3][3] = { { true, false, false },
                                 { false, true, false },
                                 { true, true, true } };

static shunt_future *with_outcome(shunt_pool *pool, int outcome)
{
    if (outcome == 0)
        return stage_given(pool, 1);
    return outcome == 1 ? stage_failed(pool, 2) : stage_cancelled(pool);
}

static void a_steps_context_is_dropped_once_whether_it_runs_or_not(void)
{
    for (int kind = 0; kind < 3; kind++) {
        for (int outcome = 0; outcome < 3; outcome++) {
            shunt_pool *pool = harness_pool(1);
            struct parcel sent = parcel(11);
            for (int i = 0; i < 50; i++) {
                shunt_future *f = with_outcome(pool, outcome);
                f = step_of(f, kind, &sent);
                (void)harness_await(f);
                assert_ok(shunt_release(f));
            }
            harness_free(pool);
            assert_dropped(&sent, 50, runs[kind][outcome] ? 50 : 0);
        }
    }
}

/* Goal: whoever attaches a step need not ask whether its input was refused. */
static void a_steps_context_is_dropped_when_its_input_was_refused(void)
{
    shunt_pool *pool = harness_pool(1);
    struct parcel sent = parcel(11);
    shunt_future *f;

    f = shunt_submit(NULL, stage_same, &(long){ 1 }); /* no pool */
    assert_joins(step_of(f, 0, &sent), SHUNT_EINVAL);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    f = shunt_submit(pool, stage_same, &(long){ 1 });
    assert_joins(step_of(f, 0, &sent), SHUNT_ECLOSED);
    f = shunt_submit(pool, stage_same, &(long){ 1 });
    assert_joins(step_of(f, 2, &sent), SHUNT_ECLOSED);
    assert_joins(step_of(NULL, 0, &sent), SHUNT_EINVAL);
    assert_joins(step_of(stage_garbage(1), 1, &sent), SHUNT_EINVAL);
    harness_free(pool);
    assert_dropped(&sent, 5, 0);
}

static void a_waiting_step_that_is_cancelled_is_dropped_once(void)
{
    for (int kind = 0; kind < 2; kind++) {
        shunt_pool *pool = harness_pool(1);
        struct parcel sent = parcel(13);
        for (int i = 0; i < 50; i++) {
            struct stage_promise made = stage_promise(pool);
            shunt_future *f = step_of(made.future, kind, &sent);
            assert_long(shunt_cancel(f), 1);
            assert_joins(f, SHUNT_ECANCELED);
        }
        harness_free(pool);
        assert_dropped(&sent, 50, 0);
    }
}

static void a_step_that_waits_when_its_pool_ends_is_dropped_once(void)
{
    for (int kind = 0; kind < 3; kind++) {
        shunt_pool *pool = harness_pool(1);
        struct parcel sent = parcel(13);
        for (int i = 0; i < 50; i++)
            (void)step_of(stage_promise(pool).future, kind, &sent);
        harness_free(pool);
        assert_dropped(&sent, 50, tally_of(sent.ran));
        assert_true(tally_of(sent.ran) == 0 || kind == 2);
    }
}

/* ---- where ---- */

struct place {
    shunt_pool *pool;
    shunt_future **made; /* what the hook submits */
    struct latch *noted;
    struct tally *inside;
};

static void note_place(void *user)
{
    struct place *place = user;

    if (shunt_pool_current() != NULL)
        tally_add(place->inside, 1);
    *place->made = shunt_submit(place->pool, stage_same, &(long){ 3 });
    latch_raise(place->noted);
}

static int do_nothing(const struct place *in, shunt_none *out)
{
    (void)in;
    (void)out;
    return 0;
}
SHUNT_TASK(do_nothing, struct place, shunt_none, .drop = note_place)

static struct place *place_in(shunt_pool *pool, struct tally *inside)
{
    struct place *place = stage_bytes(sizeof *place);

    *place = (struct place){ pool, stage_bytes(sizeof *place->made),
                             stage_latch(), inside };
    return place;
}

struct cancels {
    struct place drop;
    shunt_future *of_promise;
};

static int cancel_both(const struct cancels *in, long *out)
{
    shunt_future *f = shunt_submit(NULL, do_nothing, &in->drop);

    *out = shunt_cancel(f) + 10 * shunt_cancel(in->of_promise);
    return shunt_join(f) == SHUNT_ECANCELED ? 0 : 1;
}
SHUNT_TASK(cancel_both, struct cancels, long)

/* Method: a task cancels another, which the only worker has not come to, and a
 * promise that has a listener. What the hooks submit is still there when that
 * task has ended. */
static void hooks_are_no_part_of_the_task_that_leads_to_them(void)
{
    shunt_pool *pool = harness_pool(1);
    struct tally *inside = stage_tally();
    struct stage_promise made = stage_promise(pool);
    struct place *drop = place_in(pool, inside);
    struct place *listener = place_in(pool, inside);
    struct cancels in = { *drop, made.future };

    assert_ok(shunt_promise_on_cancel(made.promise, note_place, listener));
    assert_takes(shunt_submit(pool, cancel_both, &in), 11);
    assert_true(latch_reaches(drop->noted, 1));
    assert_true(latch_reaches(listener->noted, 1));
    assert_takes(*drop->made, 3);
    assert_takes(*listener->made, 3);
    assert_long(tally_of(inside), 0);
    assert_ok(shunt_promise_drop(made.promise));
    assert_joins(made.future, SHUNT_ECANCELED);
    harness_free(pool);
}

/* ---- races ---- */

struct rival {
    pthread_barrier_t *barrier;
    shunt_future *volatile target;
    int rounds;
};

static void *cancel_and_release(void *user)
{
    struct rival *rival = user;

    for (int i = 0; i < rival->rounds; i++) {
        pthread_barrier_wait(rival->barrier);
        (void)shunt_cancel(rival->target);
        (void)shunt_release(rival->target);
        pthread_barrier_wait(rival->barrier);
    }
    return NULL;
}

/* Method: the worker starts the task while another thread cancels it. */
static void a_task_that_is_cancelled_as_it_starts_is_dropped_once(void)
{
    enum {
        ROUNDS = 5000
    };
    shunt_pool *pool = harness_pool(1);
    pthread_barrier_t barrier;
    struct rival rival = { &barrier, NULL, ROUNDS };
    struct parcel sent = parcel(1);
    pthread_t thread;

    pthread_barrier_init(&barrier, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, cancel_and_release, &rival),
                     0);
    for (int i = 0; i < ROUNDS; i++) {
        rival.target = shunt_submit(pool, carry, &sent);
        shunt_future *mine = shunt_retain(rival.target);
        pthread_barrier_wait(&barrier);
        (void)harness_await(mine);
        pthread_barrier_wait(&barrier);
        assert_ok(shunt_release(mine));
    }
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&barrier);
    harness_free(pool);
    assert_dropped(&sent, ROUNDS, tally_of(sent.ran));
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_task_that_ran_is_dropped_once),
    CLAIM(a_task_is_not_dropped_while_it_runs),
    CLAIM(a_task_that_never_started_is_dropped_once),
    CLAIM(a_shutdown_drops_what_it_cancels),
    CLAIM(a_pool_that_never_worked_drops_what_it_accepted),
    CLAIM(what_was_refused_is_not_dropped),
    CLAIM(a_steps_context_is_dropped_once_whether_it_runs_or_not),
    CLAIM(a_steps_context_is_dropped_when_its_input_was_refused),
    CLAIM(a_waiting_step_that_is_cancelled_is_dropped_once),
    CLAIM(a_step_that_waits_when_its_pool_ends_is_dropped_once),
    CLAIM(hooks_are_no_part_of_the_task_that_leads_to_them),
    CLAIM(a_task_that_is_cancelled_as_it_starts_is_dropped_once),
};

HARNESS_MAIN(claims)
