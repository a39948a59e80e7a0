/* SPDX-License-Identifier: MIT */
/*
 * host.h - what hosts do with their pools, and who looks on from outside.
 */
#ifndef SHUNT_TESTS_HOST_H
#define SHUNT_TESTS_HOST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <shunt/shunt.h>

#include "unit/kin.h"

#if defined(__SANITIZE_ADDRESS__)
#define HOST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HOST_SANITIZED 1
#endif
#endif
#ifndef HOST_SANITIZED
#define HOST_SANITIZED 0
#endif

enum {
    HOST_BUSY = 100 /* as a step: what is asked for is under way */
};

/* A program is a list of claims and host_claims, which returns what main does;
 * an argument selects claims by name, as in the harness of tests/api. */
#define HOST_CLAIM(name) cmocka_unit_test_setup(name, host_setup)
#define HOST_CLAIMS(argc, argv, claims) \
    host_claims((argc), (argv), #claims, claims, sizeof claims / sizeof *claims)
int host_setup(void **state);
int host_claims(int argc, char **argv, const char *name,
                const struct CMUnitTest *claims, size_t n);

/* What the processes of a test share, once; and a claim's beginning, before
 * there are hosts. */
int host_open(void **state);
void host_begin(void);

/* Steps of test, hosts and tasks; they only rise. Waits end with the process,
 * which has an alarm. */
void host_step(int step);
void host_await_step(int step);

/* Tasks: the same number; and the same number, once it has said that it runs
 * (HOST_BUSY) and somebody has said step 1 after that. */
int host_same(const long *in, long *out);
SHUNT_TASK_DECLARE(host_same, long, long)
int host_wait_for_step(const long *in, long *out);
SHUNT_TASK_DECLARE(host_wait_for_step, long, long)

/* A process pool of two workers: 0 or SHUNT_E*. */
int host_pool(shunt_pool **pool_out);

/* Its tasks run, crash and are killed as they should; the first line that does
 * not hold, or 0. */
int host_works(shunt_pool *pool);

/* What is submitted fails with SHUNT_EBROKEN, once the last workers have died;
 * 0 or a line. */
int host_finds_it_broken(shunt_pool *pool);

/* As host_works, with a pool of its own, of which nothing is left. */
int host_uses_a_pool(void);
int host_uses_a_pool_with(const shunt_options *options);

/* The processes behind a pool, and pidfds of them. */
struct host_kin {
    int worker, zygote, seed;
};

/* Tell the test who they are; 0 or a line. */
int host_tells_its_kin(shunt_pool *pool);
struct host_kin host_kin_pidfds(void);
void host_assert_kin_end(struct host_kin *pidfds);

/* In the host that has told: kill the seed, and then the zygote. */
void host_kill_kin(void);

#endif /* SHUNT_TESTS_HOST_H */
