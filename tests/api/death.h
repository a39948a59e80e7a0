/* SPDX-License-Identifier: MIT */
/*
 * death.h - tasks that end the process which runs them, in every way that there
 * is, for the tests of what becomes of everybody else.
 */
#ifndef SHUNT_TESTS_DEATH_H
#define SHUNT_TESTS_DEATH_H

#include "stage.h"

enum death {
    BY_NULL, /* a pointer that is followed */
    BY_ABORT,
    BY_EXIT_0,
    BY_EXIT_3,
    BY_EXIT_AT_ONCE, /* _exit(1) */
    BY_KILL,
    BY_TERM,
    BY_STACK, /* that is used up */
    BY_DIVISION,
    DEATHS
};
const char *death_name(enum death how);

struct mortal {
    enum death how;
    struct latch *started, *go; /* as of a struct job */
    struct tally *ran;
    long lives; /* so often it dies, and then it returns how often; 0: it always
                 * dies */
};
int mortal(const struct mortal *in, long *out);
SHUNT_TASK_DECLARE(mortal, struct mortal, long)

/* One that dies at once. */
shunt_future *death_in(shunt_pool *pool, enum death how);

/* In which process it runs. */
int death_process(const long *in, long *out);
SHUNT_TASK_DECLARE(death_process, long, long)

/* What such a task says, or another one that does; takes f. And what the next
 * one says of pool. */
long death_process_of(shunt_future *f);
long death_next_process(shunt_pool *pool);

/* A pool whose processes are replaced after so many tasks; 0: never. */
shunt_pool *death_pool(int workers, size_t tasks_max);

/* As many tasks of pool as it has workers run at a time. */
void death_all_work(shunt_pool *pool, int workers);

/* How many processes there are of this program but for the calling one; and
 * wait until there are so many, which fails if patience runs out. */
size_t death_census(void);
bool death_census_becomes(size_t processes);

/* f has failed since its process died; both take f. */
#define assert_dies(f) assert_joins(f, SHUNT_ECRASHED)

#endif /* SHUNT_TESTS_DEATH_H */
