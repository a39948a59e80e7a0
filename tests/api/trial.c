/* SPDX-License-Identifier: MIT */
/* trial.c - attempts that are counted, and the clock they live by: trial.h. */
#include "trial.h"

struct trial trial(long good)
{
    return (struct trial){ .good = good,
                           .begun = stage_latch(),
                           .go = stage_latch(),
                           .gone = stage_latch(),
                           .ran = stage_tally(),
                           .running = stage_tally(),
                           .dropped = stage_tally(),
                           .early = stage_tally(),
                           .killed = harness_isolated() };
}

static void drop_trial(void *in)
{
    const struct trial *trial = in;

    if (tally_of(trial->running) != 0 && !trial->killed)
        tally_add(trial->early, 1);
    tally_add(trial->dropped, 1);
    latch_raise(trial->gone);
}

int trial_attempt(const struct trial *in, long *out)
{
    long number;
    bool late;

    tally_add(in->running, 1);
    number = tally_add(in->ran, 1) + 1;
    latch_raise(in->begun);
    late = number <= in->held && !latch_reaches(in->go, 1);
    tally_add(in->running, -1);
    if (late)
        return shunt_fail(STAGE_LATE, "the latch was not raised in time");
    *out = number;
    return number == in->good ? 0
                              : shunt_fail((int)number, "number %ld", number);
}
SHUNT_TASK_DEFINE(trial_attempt, .drop = drop_trial)

void trial_over(const struct trial *trial, long ran)
{
    assert_true(latch_reaches(trial->gone, 1));
    assert_long(tally_of(trial->dropped), 1);
    assert_long(tally_of(trial->early), 0);
    assert_long(tally_of(trial->ran), ran);
}

void trial_not_over(const struct trial *trial)
{
    if (!trial->killed)
        assert_long(tally_of(trial->dropped), 0);
}

shunt_pool *trial_pool(int workers)
{
    shunt_pool *pool = NULL;

    stage_show(STAGE_OF_TRIAL, stage_latch());
    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = workers, .manual_clock = true }));
    return pool;
}

void trial_advance(shunt_pool *pool, int64_t ns)
{
    assert_ok(shunt_pool_advance(pool, ns));
}

bool trial_again(const shunt_error *error)
{
    latch_raise(stage_shown(STAGE_OF_TRIAL));
    return error->code != 0;
}

/* The only worker looks at a failure in one go with what follows from it: it
 * comes to a task from outside only after that. */
void trial_turn(shunt_pool *pool, unsigned failures)
{
    assert_true(latch_reaches(stage_shown(STAGE_OF_TRIAL), failures));
    assert_ok(shunt_join(shunt_submit(pool, stage_nothing, NULL)));
}

/* A step that becomes ready outside queues up behind what a timer made ready.
 * While the worker has work of its own it comes to such a step once in 61
 * turns, and a retry takes three or four of them. */
void trial_rest(shunt_pool *pool, int retries)
{
    for (int i = 0; i < 10 + retries / 10; i++) {
        struct stage_promise made = stage_promise(pool);
        shunt_future *f = shunt_then(made.future, stage_add_one);

        stage_give(made.promise, i);
        assert_takes(f, i + 1);
    }
}
