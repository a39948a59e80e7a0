/* SPDX-License-Identifier: MIT */
/*
 * propagate_test.c - how cancelling travels: down to dependants as a status,
 * up to inputs as a question, and there only if no other handle and no other
 * dependant is left.
 *
 * Method. Inputs are promises that listen: each counts how often it is asked,
 * and stays pending meanwhile.
 */

#include "stage.h"

struct listener {
    struct stage_promise made;
    struct latch *asked;
};

static void hear(void *user)
{
    latch_raise(user);
}

static struct listener listener(shunt_pool *pool)
{
    struct listener made = { stage_promise(pool), stage_latch() };

    assert_ok(shunt_promise_on_cancel(made.made.promise, hear, made.asked));
    return made;
}

/* The end of a listener whose future nobody holds any more. */
static void end(struct listener listener)
{
    assert_ok(shunt_promise_drop(listener.made.promise));
}

static void assert_asked(struct listener listener)
{
    assert_true(latch_reaches(listener.asked, 1));
    assert_long(latch_level(listener.asked), 1);
}

static void assert_not_asked(struct listener listener)
{
    assert_long(latch_level(listener.asked), 0);
}

/* The first two end at a failure, the last three at a success. */
static stage_combine *const decided[] = { shunt_when_all, stage_some_all,
                                          shunt_when_any, shunt_race,
                                          stage_some_one };
enum {
    DECIDED = 5,
    BY_FAILURE = 2
};
static stage_combine *const all_kinds[] = {
    shunt_when_all, shunt_when_all_settled, stage_some_all, shunt_when_any,
    shunt_race,     stage_some_one
};
enum {
    KINDS = 6
};

static void settle(struct stage_promise made, int how)
{
    if (how < BY_FAILURE)
        assert_ok(shunt_promise_fail(made.promise, 9, NULL));
    else
        stage_give(made.promise, 9);
}

/* ---- up, when a combinator is decided ---- */

static void what_a_combinator_no_longer_needs_is_asked_to_cancel(void)
{
    enum {
        INPUTS = 60
    };
    shunt_pool *pool = harness_pool(1);

    for (int how = 0; how < DECIDED; how++) {
        struct listener inputs[INPUTS];
        shunt_future *fs[INPUTS];
        for (int i = 0; i < INPUTS; i++) {
            inputs[i] = listener(pool);
            fs[i] = inputs[i].made.future;
        }
        shunt_future *f = decided[how](fs, INPUTS);
        for (int i = 0; i < INPUTS; i++)
            assert_not_asked(inputs[i]);
        settle(inputs[30].made, how);
        assert_joins(f, how < BY_FAILURE ? SHUNT_EFAILED : 0);
        for (int i = 0; i < INPUTS; i++) {
            if (i == 30)
                continue;
            assert_asked(inputs[i]);
            end(inputs[i]);
        }
        assert_not_asked(inputs[30]);
    }
    harness_free(pool);
}

static void an_input_that_is_decided_already_lets_the_rest_go(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int how = 0; how < DECIDED; how++) {
        struct listener rest = listener(pool);
        struct stage_promise made = stage_promise(pool);
        settle(made, how);
        shunt_future *fs[2] = { rest.made.future, made.future };
        assert_joins(decided[how](fs, 2), how < BY_FAILURE ? SHUNT_EFAILED : 0);
        assert_asked(rest);
        end(rest);
    }
    harness_free(pool);
}

static void an_input_with_another_handle_is_left_alone(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int how = 0; how < DECIDED; how++) {
        struct listener kept = listener(pool), lost = listener(pool);
        struct stage_promise made = stage_promise(pool);
        shunt_future *handle = shunt_retain(kept.made.future);
        shunt_future *fs[3] = { kept.made.future, made.future,
                                lost.made.future };
        shunt_future *f = decided[how](fs, 3);
        settle(made, how);
        assert_joins(f, how < BY_FAILURE ? SHUNT_EFAILED : 0);
        assert_asked(lost);
        assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
        assert_not_asked(kept);
        stage_give(kept.made.promise, 3);
        assert_takes(handle, 3);
        end(lost);
    }
    harness_free(pool);
}

static void an_input_with_another_dependant_is_left_alone(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int how = 0; how < DECIDED; how++) {
        struct listener kept = listener(pool), lost = listener(pool);
        struct stage_promise made = stage_promise(pool);
        shunt_future *other =
            shunt_then(shunt_retain(kept.made.future), stage_same);
        shunt_future *fs[3] = { kept.made.future, made.future,
                                lost.made.future };
        shunt_future *f = decided[how](fs, 3);
        settle(made, how);
        assert_joins(f, how < BY_FAILURE ? SHUNT_EFAILED : 0);
        assert_asked(lost);
        assert_not_asked(kept);
        stage_give(kept.made.promise, 3);
        assert_takes(other, 3);
        end(lost);
    }
    harness_free(pool);
}

/* Method: two races share an input; each has a winner of its own. */
static void a_shared_loser_is_asked_when_the_last_race_lets_it_go(void)
{
    shunt_pool *pool = harness_pool(1);
    struct listener shared = listener(pool);
    struct stage_promise one = stage_promise(pool), two = stage_promise(pool);
    shunt_future *first[2] = { shunt_retain(shared.made.future), one.future };
    shunt_future *second[2] = { shared.made.future, two.future };
    shunt_future *f = shunt_race(first, 2), *g = shunt_race(second, 2);

    stage_give(one.promise, 1);
    assert_joins(f, 0);
    assert_not_asked(shared);
    stage_give(two.promise, 2);
    assert_joins(g, 0);
    assert_asked(shared);
    end(shared);
    harness_free(pool);
}

/* ---- up, from a combinator that is cancelled itself ---- */

static void cancelling_a_combinator_fails_it_and_asks_its_inputs(void)
{
    enum {
        INPUTS = 60
    };
    shunt_pool *pool = harness_pool(1);

    for (int how = 0; how < KINDS; how++) {
        struct listener inputs[INPUTS];
        shunt_future *fs[INPUTS];
        for (int i = 0; i < INPUTS; i++) {
            inputs[i] = listener(pool);
            fs[i] = inputs[i].made.future;
        }
        shunt_future *kept = shunt_retain(fs[7]);
        shunt_future *f = all_kinds[how](fs, INPUTS);
        assert_long(shunt_cancel(f), 1);
        assert_joins(f, SHUNT_ECANCELED);
        for (int i = 0; i < INPUTS; i++) {
            if (i == 7)
                continue;
            assert_asked(inputs[i]);
            end(inputs[i]);
        }
        assert_not_asked(inputs[7]);
        stage_give(inputs[7].made.promise, 1);
        assert_takes(kept, 1);
    }
    harness_free(pool);
}

static shunt_future *continued(shunt_pool *pool, shunt_future *f, int how)
{
    switch (how) {
    case 0:
        return shunt_then(f, stage_same);
    case 1:
        return shunt_recover(f, stage_code);
    case 2:
        return shunt_via(pool, f);
    default:
        return shunt_finally(f, stage_look_on);
    }
}

/* A finally runs whatever happens, so it is not among these. */
static void cancelling_a_waiting_continuation_asks_its_input(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int how = 0; how < 3; how++) {
        struct listener input = listener(pool), kept = listener(pool);
        shunt_future *handle = shunt_retain(kept.made.future);
        shunt_future *f = continued(pool, input.made.future, how);
        shunt_future *g = continued(pool, kept.made.future, how);
        assert_long(shunt_cancel(f), 1);
        assert_long(shunt_cancel(g), 1);
        assert_joins(f, SHUNT_ECANCELED);
        assert_joins(g, SHUNT_ECANCELED);
        assert_asked(input);
        assert_not_asked(kept);
        end(input);
        end(kept);
        assert_joins(handle, SHUNT_ECANCELED);
    }
    harness_free(pool);
}

static void an_input_is_asked_when_its_last_dependant_is_cancelled(void)
{
    enum {
        DEPENDANTS = 10
    };
    shunt_pool *pool = harness_pool(1);
    struct listener input = listener(pool);
    shunt_future *dependants[DEPENDANTS];

    for (int i = 0; i < DEPENDANTS; i++)
        dependants[i] = continued(pool, shunt_retain(input.made.future), i % 3);
    assert_ok(shunt_release(input.made.future));
    for (int i = 0; i < DEPENDANTS; i++) {
        assert_not_asked(input);
        assert_long(shunt_cancel(dependants[i]), 1);
        assert_joins(dependants[i], SHUNT_ECANCELED);
    }
    assert_asked(input);
    end(input);
    harness_free(pool);
}

static void asking_travels_through_nested_combinators(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int outer = 0; outer < KINDS; outer++) {
        for (int inner = 0; inner < KINDS; inner++) {
            struct listener input = listener(pool);
            shunt_future *f = all_kinds[inner](&input.made.future, 1);
            f = shunt_via(pool, f);
            f = all_kinds[outer](&f, 1);
            assert_long(shunt_cancel(f), 1);
            assert_joins(f, SHUNT_ECANCELED);
            assert_asked(input);
            end(input);
        }
    }
    harness_free(pool);
}

static void asking_travels_to_other_pools(void)
{
    shunt_pool *pool = harness_pool(1), *other = harness_pool(1);
    struct listener near = listener(pool), far = listener(other);
    shunt_future *fs[2] = { near.made.future, far.made.future };
    shunt_future *f = shunt_when_all(fs, 2);

    assert_long(shunt_cancel(f), 1);
    assert_joins(f, SHUNT_ECANCELED);
    assert_asked(near);
    assert_asked(far);
    end(near);
    end(far);
    /* And from a step: among others that wait for the same, or alone. */
    for (int i = 0; i < 2; i++) {
        far = listener(other);
        shunt_future *also = i == 0 ? NULL : shunt_retain(far.made.future);
        shunt_future *more = i == 0 ? NULL : shunt_via(pool, also);
        f = shunt_via(pool, far.made.future);
        assert_long(shunt_cancel(f), 1);
        assert_joins(f, SHUNT_ECANCELED);
        if (more != NULL) {
            assert_not_asked(far);
            assert_long(shunt_cancel(more), 1);
            assert_joins(more, SHUNT_ECANCELED);
        }
        assert_asked(far);
        end(far);
    }
    harness_free(pool);
    harness_free(other);
}

struct returned {
    shunt_future *future;
    struct latch *reached;
};

static int return_it(const struct returned *in, shunt_future **out)
{
    latch_raise(in->reached);
    *out = in->future;
    return 0;
}
SHUNT_TASK(return_it, struct returned, shunt_future *)

/* Method: the only worker has run another task, so the first has returned. */
static void asking_reaches_the_future_that_a_task_returned(void)
{
    shunt_pool *pool = harness_pool(1);
    struct listener inner = listener(pool);
    struct returned returned = { inner.made.future, stage_latch() };
    shunt_future *f = shunt_submit(pool, return_it, &returned);

    assert_true(latch_reaches(returned.reached, 1));
    assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
    assert_long(shunt_cancel(f), 1);
    assert_asked(inner);
    end(inner);
    assert_joins(f, SHUNT_ECANCELED);
    harness_free(pool);
}

/* ---- tasks ---- */

/* Method: the only worker is held until the race is over. */
static void losers_that_are_queued_never_start(void)
{
    enum {
        LOSERS = 1000
    };
    static shunt_future *fs[LOSERS + 1];
    shunt_pool *pool = harness_pool(1);

    for (int how = 0; how < DECIDED; how++) {
        struct stage_hold hold = stage_hold(pool);
        struct stage_promise made = stage_promise(pool);
        struct tally *ran = stage_tally();
        for (int i = 0; i < LOSERS; i++)
            fs[i] = shunt_submit(pool, stage_job, &(struct job){ .ran = ran });
        fs[LOSERS] = made.future;
        shunt_future *f = decided[how](fs, LOSERS + 1);
        settle(made, how);
        assert_joins(f, how < BY_FAILURE ? SHUNT_EFAILED : 0);
        stage_let(hold);
        assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
        assert_long(tally_of(ran), 0);
    }
    harness_free(pool);
}

struct watched {
    struct latch *started, *go;
    struct tally *asked;
};

static int watch(const struct watched *in, long *out)
{
    (void)out;
    latch_raise(in->started);
    if (!latch_reaches(in->go, 1))
        return STAGE_LATE;
    tally_add(in->asked, shunt_cancelled());
    return 0;
}
SHUNT_TASK(watch, struct watched, long)

static void a_loser_that_runs_sees_that_it_is_not_needed(void)
{
    shunt_pool *pool = harness_pool(2);

    for (int how = 0; how < DECIDED; how++) {
        struct watched watched = { stage_latch(), stage_latch(),
                                   stage_tally() };
        struct stage_promise made = stage_promise(pool);
        shunt_future *fs[2] = { shunt_submit(pool, watch, &watched),
                                made.future };
        shunt_future *f = decided[how](fs, 2);
        assert_true(latch_reaches(watched.started, 1));
        settle(made, how);
        assert_joins(f, how < BY_FAILURE ? SHUNT_EFAILED : 0);
        latch_raise(watched.go);
        harness_free(pool);
        assert_long(tally_of(watched.asked), 1);
        pool = harness_pool(2);
    }
    harness_free(pool);
}

static void releasing_a_combinator_cancels_nothing(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int how = 0; how < KINDS; how++) {
        struct stage_hold hold = stage_hold(pool);
        struct listener input = listener(pool);
        struct tally *ran = stage_tally();
        shunt_future *fs[2] = {
            shunt_submit(pool, stage_job, &(struct job){ .rc = 0, .ran = ran }),
            input.made.future
        };
        assert_ok(shunt_release(all_kinds[how](fs, 2)));
        assert_not_asked(input);
        stage_let(hold);
        assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
        assert_long(tally_of(ran), 1);
        assert_true(shunt_promise_drop(input.made.promise) == 0);
    }
    harness_free(pool);
}

/* ---- down ---- */

struct note {
    struct tally *ran, *status;
};

static int note_error(const shunt_error *in, const struct note *ctx, long *out)
{
    *out = in->code;
    tally_add(ctx->ran, 1);
    return 0;
}
SHUNT_STEP(note_error, shunt_error, struct note, long)

static int note_outcome(const shunt_outcome *in, const struct note *ctx,
                        shunt_none *out)
{
    (void)out;
    tally_add(ctx->status, in->status);
    return 0;
}
SHUNT_STEP(note_outcome, shunt_outcome, struct note, shunt_none)

static void a_cancellation_goes_down_like_a_failure_that_none_recovers(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_hold hold = stage_hold(pool);
    struct note note = { stage_tally(), stage_tally() };
    shunt_future *root =
        shunt_submit(pool, stage_job, &(struct job){ .ran = note.ran });
    shunt_future *f = shunt_then(shunt_retain(root), stage_add_one);

    f = shunt_recover_with(f, note_error, &note);
    f = shunt_finally_with(f, note_outcome, &note);
    f = shunt_when_all(&f, 1);
    assert_long(shunt_cancel(root), 1);
    stage_let(hold);
    assert_joins(f, SHUNT_ECANCELED);
    assert_joins(root, SHUNT_ECANCELED);
    assert_long(tally_of(note.ran), 0);
    assert_long(tally_of(note.status), SHUNT_ECANCELED);
    harness_free(pool);
}

static void a_cancelled_input_counts_as_a_failure(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int how = 0; how < KINDS; how++) {
        struct stage_promise one = stage_promise(pool);
        struct stage_promise two = stage_promise(pool);
        shunt_future *watched = shunt_retain(one.future);
        shunt_future *fs[2] = { one.future, two.future };
        shunt_future *f = all_kinds[how](fs, 2);
        assert_long(shunt_cancel(watched), 1);
        bool over = all_kinds[how] == shunt_when_all ||
                    all_kinds[how] == stage_some_all ||
                    all_kinds[how] == shunt_race;
        if (!over)
            stage_give(two.promise, 1);
        assert_joins(f, over ? SHUNT_ECANCELED : 0);
        assert_joins(watched, SHUNT_ECANCELED);
    }
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(what_a_combinator_no_longer_needs_is_asked_to_cancel),
    CLAIM(an_input_that_is_decided_already_lets_the_rest_go),
    CLAIM(an_input_with_another_handle_is_left_alone),
    CLAIM(an_input_with_another_dependant_is_left_alone),
    CLAIM(a_shared_loser_is_asked_when_the_last_race_lets_it_go),
    CLAIM(cancelling_a_combinator_fails_it_and_asks_its_inputs),
    CLAIM(cancelling_a_waiting_continuation_asks_its_input),
    CLAIM(an_input_is_asked_when_its_last_dependant_is_cancelled),
    CLAIM(asking_travels_through_nested_combinators),
    CLAIM(asking_travels_to_other_pools),
    CLAIM(asking_reaches_the_future_that_a_task_returned),
    CLAIM(losers_that_are_queued_never_start),
    CLAIM(a_loser_that_runs_sees_that_it_is_not_needed),
    CLAIM(releasing_a_combinator_cancels_nothing),
    CLAIM(a_cancellation_goes_down_like_a_failure_that_none_recovers),
    CLAIM(a_cancelled_input_counts_as_a_failure),
};

HARNESS_MAIN(claims)
