/* SPDX-License-Identifier: MIT */
/*
 * trial.h - a task that fails until it is good, and a pool whose clock is moved
 * by hand, for the tests of retries.
 *
 * Whoever moves the clock must know that the pause has begun which is to end
 * then. With .again = trial_again, in a pool of one worker, trial_turn waits
 * for that. What has not happened by then does not happen before the clock
 * moves.
 */
#ifndef SHUNT_TESTS_TRIAL_H
#define SHUNT_TESTS_TRIAL_H

#include "stage.h"

/* What all attempts of a retry are given. */
struct trial {
    long good;           /* the attempt that succeeds, with its number; 0: none,
                          * they fail with it */
    long held;           /* attempts up to this one wait for go */
    struct latch *begun; /* raised by each attempt */
    struct latch *go;
    struct latch *gone; /* raised when it is dropped */
    struct tally *ran, *running;
    struct tally *dropped, *early; /* early: while one ran */
    bool killed; /* attempts that are given up are: they do not say that they
                  * have ended, and nobody need let them */
};

/* With all latches and tallies. */
struct trial trial(long good);

int trial_attempt(const struct trial *in, long *out);
SHUNT_TASK_DECLARE(trial_attempt, struct trial, long)

/* So many attempts were made; it was dropped once, and none ran then. Waits for
 * that. */
void trial_over(const struct trial *trial, long ran);

/* Not dropped yet, since an attempt that was given up still runs. */
void trial_not_over(const struct trial *trial);

/* A pool whose clock stands still; one at a time. */
shunt_pool *trial_pool(int workers);
void trial_advance(shunt_pool *pool, int64_t ns);

/* Yes, always; counts the failures that it saw since the pool was made. */
bool trial_again(const shunt_error *error);
/* Wait until it has seen so many, and what follows has been done. */
void trial_turn(shunt_pool *pool, unsigned failures);
/* Wait until the only worker has done what it was to do for so many retries
 * when the clock was moved, and what that has led to. */
void trial_rest(shunt_pool *pool, int retries);

#endif /* SHUNT_TESTS_TRIAL_H */
