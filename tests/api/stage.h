/* SPDX-License-Identifier: MIT */
/*
 * stage.h - what a test and its tasks share: latches, tallies, plain memory,
 * and the tasks that most tests need.
 *
 * Everything lies in one shared mapping that is made before any pool, so a
 * task sees it at the same address wherever it runs. Nothing is used twice: a
 * task that was given up may still look at it. A pointer into it may stand in
 * a task's in.
 */
#ifndef SHUNT_TESTS_STAGE_H
#define SHUNT_TESTS_STAGE_H

#include "harness.h"

/* A level that only rises, and those who wait for it. Level 1 is open. */
struct latch;
/* A count that many threads add to. */
struct tally;

/* Of the harness: map the stage. */
void stage_open(void);

/* Zeroed bytes that live until the program ends; 64-aligned. */
void *stage_bytes(size_t n);

struct latch *stage_latch(void);
void latch_raise(struct latch *latch);
unsigned latch_level(struct latch *latch);
/* Wait until latch has been raised so often. False if patience ran out. */
bool latch_reaches(struct latch *latch, unsigned level);

struct tally *stage_tally(void);
long tally_add(struct tally *tally, long n); /* what it was before */
long tally_of(struct tally *tally);
/* Keep the greatest (or, with the sign turned, the least) value offered. */
void tally_max(struct tally *tally, long n);

/* What a function without an argument of its own finds wherever it runs, as the
 * .again of a retry does: the test shows it something of the stage, or a name,
 * whenever it likes. */
enum stage_place {
    STAGE_OF_TEST,
    STAGE_OF_TRIAL,
    STAGE_PLACES
};
void stage_show(enum stage_place place, void *what);
void *stage_shown(enum stage_place place);

/* A seeded order of 0 to n-1; the seed is SHUNT_TEST_SEED or a fixed one. It
 * is printed once per program. */
void stage_shuffle(size_t *order, size_t n);
uint64_t stage_random(void);

/* The number of the process that the caller is in; of a thread that stands in
 * for a worker process, a number that only it has. */
long stage_process(void);

/* ---- tasks ---- */

/* Count, say that it runs, wait, and return rc with value; NULL and 0 leave a
 * part out. */
struct job {
    long value;
    int rc;
    struct latch *started, *go;
    struct tally *ran;
};
int stage_job(const struct job *in, long *out);
SHUNT_TASK_DECLARE(stage_job, struct job, long)

/* What a task returns that waited for its latch in vain. */
enum {
    STAGE_LATE = 4711
};

int stage_same(const long *in, long *out);
SHUNT_TASK_DECLARE(stage_same, long, long)

int stage_add_one(const long *in, long *out);
SHUNT_TASK_DECLARE(stage_add_one, long, long)

/* Fail with the code that is given, and a text that repeats it. */
int stage_fail(const int *in, long *out);
SHUNT_TASK_DECLARE(stage_fail, int, long)

int stage_nothing(const shunt_none *in, shunt_none *out);
SHUNT_TASK_DECLARE(stage_nothing, shunt_none, shunt_none)

/* For recover: the failure as a value, as the task's own code or as shunt's. */
int stage_task_code(const shunt_error *in, long *out);
SHUNT_TASK_DECLARE(stage_task_code, shunt_error, long)

int stage_code(const shunt_error *in, long *out);
SHUNT_TASK_DECLARE(stage_code, shunt_error, long)

/* For finally: look at an outcome and leave it as it is. */
int stage_look_on(const shunt_outcome *in, shunt_none *out);
SHUNT_TASK_DECLARE(stage_look_on, shunt_outcome, shunt_none)

/* The sum of longs that were gathered; fails if one of them has no value. */
int stage_sum(const shunt_results *in, long *out);
SHUNT_TASK_DECLARE(stage_sum, shunt_results, long)

/* In which pool it runs. */
int stage_this_pool(const long *in, shunt_pool **out);
SHUNT_TASK_DECLARE(stage_this_pool, long, shunt_pool *)

/* ---- combinators of one signature ---- */

typedef shunt_future *stage_combine(shunt_future *const *fs, size_t n);

/* shunt_when_some with k = n, and with k = 1. */
shunt_future *stage_some_all(shunt_future *const *fs, size_t n);
shunt_future *stage_some_one(shunt_future *const *fs, size_t n);

/* ---- threads ---- */

/* A thread pool whose threads have got their names. */
shunt_pool *stage_named_pool(const char *name, int workers);

/* A pool whose clock moves by shunt_pool_advance alone, with so many spares as
 * .spares says. */
shunt_pool *stage_manual_pool(int workers, int spares);
/* Move its clock, which is asserted to work. */
void stage_advance(shunt_pool *pool, int64_t ns);

/* Who waits for a future in a thread of its own, for ns at the most. */
struct stage_waiter {
    shunt_future *future;
    int64_t ns;
    struct latch *ready; /* raised just before the wait */
    int status;          /* what the wait said */
};
/* The thread's function; its argument is a struct stage_waiter. */
void *stage_wait_in_thread(void *waiter);

/* Wait until so many of the workers of pool sleep. */
void stage_asleep(shunt_pool *pool, unsigned sleeping);
/* Wait until all do, however many there are by now, or rest. */
void stage_at_rest(shunt_pool *pool);

/* ---- a worker kept busy ---- */

struct stage_hold {
    struct latch *go;
    shunt_future *future;
};

/* Occupy a worker of pool; returns when the task that does so runs. */
struct stage_hold stage_hold(shunt_pool *pool);
/* Let that task end, and assert that it ended well. */
void stage_let(struct stage_hold hold);

/* ---- futures in a given state ---- */

/* A promise of a long, asserted to exist. */
struct stage_promise {
    shunt_promise *promise;
    shunt_future *future;
};
struct stage_promise stage_promise(shunt_pool *pool);
void stage_give(shunt_promise *promise, long value);

/* Settled futures, made without a task. */
shunt_future *stage_given(shunt_pool *pool, long value);
shunt_future *stage_failed(shunt_pool *pool, int task_code);
shunt_future *stage_cancelled(shunt_pool *pool);

/* Something that no pool ever gave out. */
shunt_future *stage_garbage(unsigned which);
enum {
    STAGE_GARBAGE = 6
};

#endif /* SHUNT_TESTS_STAGE_H */
