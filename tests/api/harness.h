/* SPDX-License-Identifier: MIT */
/*
 * harness.h - what every black-box test is run in.
 *
 * A test program is a list of claims and HARNESS_MAIN. Each claim runs between
 * two censuses of the process: a thread, a process, a descriptor or a mapping
 * that is left afterwards fails the claim, and so does a claim that takes
 * longer than its limit, with the stacks of all threads on stderr.
 *
 * The programs use the public interface alone and leave .mode at 0, so that
 * SHUNT_MODE decides where their tasks run. What holds in one mode alone is
 * listed as such, and left out in the other. An argument selects claims by
 * name, with * and ? as wildcards; those with a - before them leave one out.
 *
 * Assertions belong to the main thread: a task or a helper thread that finds
 * something wrong says so by its result.
 */
#ifndef SHUNT_TESTS_HARNESS_H
#define SHUNT_TESTS_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <shunt/shunt.h>

/* Where the tasks of a run are, and so which claims it has. */
enum harness_where {
    HARNESS_ANYWHERE,
    HARNESS_THREADS,
    HARNESS_PROCESSES,
    HARNESS_BOTH,
    HARNESS_PLAIN
};

/* A claim is a function of no arguments whose name says what holds. */
struct harness_claim {
    void (*run)(void);
    enum harness_where where;
};

#define CLAIM_WHERE_(claim, where)                          \
    {                                                       \
#claim, harness_run, harness_before, harness_after, \
            &(struct harness_claim)                         \
        {                                                   \
            claim, where                                    \
        }                                                   \
    }
#define CLAIM(claim) CLAIM_WHERE_(claim, HARNESS_ANYWHERE)
/* What holds for pools of threads alone; of processes alone. */
#define CLAIM_OF_THREADS(claim) CLAIM_WHERE_(claim, HARNESS_THREADS)
#define CLAIM_OF_PROCESSES(claim) CLAIM_WHERE_(claim, HARNESS_PROCESSES)

/* What makes pools of both, whatever the run's own are: not under valgrind,
 * which does not know pidfd_open. */
#define CLAIM_OF_BOTH(claim) CLAIM_WHERE_(claim, HARNESS_BOTH)

/* What holds for processes with the system's malloc and handlers of faults, and
 * not a sanitizer's. */
#define CLAIM_OF_PLAIN_PROCESSES(claim) CLAIM_WHERE_(claim, HARNESS_PLAIN)

#define HARNESS_MAIN(claims)                                   \
    int main(int argc, char **argv)                            \
    {                                                          \
        harness_open(argc, argv);                              \
        return harness_claims(#claims, claims,                 \
                              sizeof claims / sizeof *claims); \
    }

void harness_open(int argc, char **argv);
int harness_claims(const char *name, const struct CMUnitTest *claims, size_t n);
void harness_run(void **state);
int harness_before(void **state);
int harness_after(void **state);

/* Seconds that the running claim may take on a plain build (60 otherwise);
 * sanitizers, valgrind and the rounds of harness_thorough get a multiple. */
void harness_limit(unsigned seconds);

/* Where the running claim is, to be said if it fails, crashes or hangs. */
void harness_note(const char *format, ...) SHUNT_PRINTF_(1, 2);

/* Let the running claim leave so many more bytes mapped, because an allocator
 * may keep what the claim needed at once. */
void harness_footprint(size_t bytes);

/* How many times slower than a plain build this one is: 1, or more under a
 * sanitizer or valgrind. */
unsigned harness_slowness(void);

/* Whether the pools of this run have worker processes: a task then has memory
 * of its own, and can die. */
bool harness_isolated(void);

/* Whether the environment asks for the long forms (SHUNT_TEST_MILLION=1). */
bool harness_million(void);

/* Whether it asks for all rounds, as ./dev soak does (SHUNT_TEST_THOROUGH=1).
 */
bool harness_thorough(void);

/* So many rounds of what may go wrong in any of them; one at least. A run has an
 * eighth of them, unless it is thorough. Sanitizers and valgrind have a part
 * of that. */
long harness_rounds(long n);

/* So many elements of an array, or a part of them under a sanitizer or
 * valgrind, unless the run is thorough. */
size_t harness_elements(size_t n);

/* As harness_rounds, where each makes a pool or costs one a process. A process
 * takes far longer to come and go than a thread does, on some machines tens of
 * milliseconds: a run on processes has a fortieth of them, unless it is
 * thorough.
 */
long harness_pools(long n);

/* In a child: it will end with pools that are not freed, on purpose, so their
 * memory is no leak. */
void harness_leaves_pools(void);

/* Set (or, with NULL, unset) a variable until the end of the claim. */
void harness_env(const char *name, const char *value);

/* Nanoseconds of patience for what must happen but not at a known time. */
int64_t harness_patience(void);

/* A bounded await: SHUNT_PENDING if patience ran out. */
int harness_await(shunt_future *f);

/* A pool of so many workers, asserted to exist; and its end. */
shunt_pool *harness_pool(int workers);
void harness_free(shunt_pool *pool);

/* ---- assertions ---- */

#define assert_status(actual, expected) \
    harness_status((actual), (expected), #actual, __FILE__, __LINE__)
#define assert_ok(actual) assert_status(actual, 0)
#define assert_long(actual, expected) \
    harness_long((actual), (expected), #actual, __FILE__, __LINE__)
/* The handle is not valid, as every function that can say so agrees. */
#define assert_stale(f) harness_stale((f), #f, __FILE__, __LINE__)
/* f settles with this status; as a task's own failure, with this code. Both
 * leave f to the caller. */
#define assert_settles(f, expected) \
    harness_settles((f), (expected), #f, __FILE__, __LINE__)
#define assert_fails_with(f, task_code) \
    harness_fails_with((f), (task_code), #f, __FILE__, __LINE__)
/* f succeeds with this long; the handle is consumed. */
#define assert_takes(f, value) \
    harness_takes((f), (value), #f, __FILE__, __LINE__)
/* f fails with this status; the handle is consumed. */
#define assert_joins(f, expected) \
    harness_joins((f), (expected), #f, __FILE__, __LINE__)

void harness_status(int actual, int expected, const char *text,
                    const char *file, int line);
void harness_long(long long actual, long long expected, const char *text,
                  const char *file, int line);
void harness_stale(shunt_future *f, const char *text, const char *file,
                   int line);
void harness_settles(shunt_future *f, int expected, const char *text,
                     const char *file, int line);
void harness_fails_with(shunt_future *f, int task_code, const char *text,
                        const char *file, int line);
void harness_takes(shunt_future *f, long value, const char *text,
                   const char *file, int line);
void harness_joins(shunt_future *f, int expected, const char *text,
                   const char *file, int line);

#endif /* SHUNT_TESTS_HARNESS_H */
