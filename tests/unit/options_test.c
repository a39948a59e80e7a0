/* SPDX-License-Identifier: MIT */
/*
 * unit/options_test.c - what a pool is to be, from options and environment.
 *
 * Goal: every option is taken, replaced by its default, or refused, and an
 * option beats the environment. Method: options are resolved without a pool.
 */
#define _GNU_SOURCE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "worker/worker.h"

static int checks; /* what SHUNT_CHECK asked for */
static const char *why;

static int clear(void **state)
{
    (void)state;
    unsetenv("SHUNT_CHECK");
    unsetenv("SHUNT_MODE");
    unsetenv("SHUNT_WORKERS");
    return 0;
}

static int resolve(shunt_options given, shunt_options *o)
{
    return sh_options_resolve(&given, sizeof given, o, &checks, &why);
}

static void zero_means_default_everywhere(void **state)
{
    shunt_options o, same;

    (void)state;
    assert_int_equal(sh_options_resolve(NULL, 0, &o, &checks, &why), 0);
    assert_int_equal(o.mode, SHUNT_THREADS);
    assert_true(o.workers >= 1 && o.workers <= SHUNT_WORKERS_MAX);
    assert_int_equal(o.queue_max, 1 << 20);
    assert_int_equal(o.arena_bytes, 0);
    assert_int_equal(o.stack_bytes, 256 * 1024);
    assert_string_equal(o.name, "shunt");
    assert_int_equal(resolve((shunt_options){ 0 }, &same), 0);
    assert_int_equal(same.workers, o.workers);
    assert_int_equal(same.queue_max, o.queue_max);
}

static void what_is_set_is_kept(void **state)
{
    shunt_options o;
    shunt_options given = { .mode = SHUNT_THREADS,
                            .workers = 1024,
                            .queue_max = 7,
                            .arena_bytes = 5,
                            .stack_bytes = 16 * 1024,
                            .name = "mine" };

    (void)state;
    assert_int_equal(resolve(given, &o), 0);
    assert_int_equal(o.workers, 1024);
    assert_int_equal(o.queue_max, 7);
    assert_int_equal(o.arena_bytes, 5);
    assert_int_equal(o.stack_bytes, 16 * 1024);
    assert_string_equal(o.name, "mine");
}

static void values_out_of_range_are_refused(void **state)
{
    shunt_options o;

    (void)state;
    assert_int_equal(resolve((shunt_options){ .workers = -1 }, &o),
                     SHUNT_EINVAL);
    assert_int_equal(resolve((shunt_options){ .workers = 1025 }, &o),
                     SHUNT_EINVAL);
    assert_int_equal(resolve((shunt_options){ .stack_bytes = 16383 }, &o),
                     SHUNT_EINVAL);
    assert_int_equal(resolve((shunt_options){ .stack_bytes = SIZE_MAX }, &o),
                     SHUNT_EINVAL);
    assert_int_equal(resolve((shunt_options){ .mode = -1 }, &o), SHUNT_EINVAL);
    assert_int_equal(resolve((shunt_options){ .mode = 4 }, &o), SHUNT_EINVAL);
    assert_int_equal(resolve((shunt_options){ .mode = SHUNT_PROCESSES }, &o),
                     0);
    assert_int_equal(resolve((shunt_options){ .mode = SHUNT_AUTO }, &o), 0);
}

static void a_queue_is_never_larger_than_the_table(void **state)
{
    shunt_options o;

    (void)state;
    assert_int_equal(resolve((shunt_options){ .queue_max = SIZE_MAX }, &o), 0);
    assert_int_equal(o.queue_max, SH_INDEX_MAX);
}

static void the_environment_fills_in_what_is_not_set(void **state)
{
    shunt_options o;

    (void)state;
    setenv("SHUNT_WORKERS", "17", 1);
    assert_int_equal(resolve((shunt_options){ 0 }, &o), 0);
    assert_int_equal(o.workers, 17);
    assert_int_equal(resolve((shunt_options){ .workers = 3 }, &o), 0);
    assert_int_equal(o.workers, 3);
    setenv("SHUNT_MODE", "processes", 1);
    assert_int_equal(resolve((shunt_options){ 0 }, &o), 0);
    assert_int_equal(o.mode, SHUNT_PROCESSES);
    assert_int_equal(resolve((shunt_options){ .mode = SHUNT_THREADS }, &o), 0);
    setenv("SHUNT_MODE", "auto", 1);
    assert_int_equal(resolve((shunt_options){ 0 }, &o), 0);
    assert_int_equal(o.mode, SHUNT_AUTO);
    setenv("SHUNT_MODE", "threads", 1);
    assert_int_equal(resolve((shunt_options){ 0 }, &o), 0);
    setenv("SHUNT_MODE", "", 1);
    setenv("SHUNT_WORKERS", "", 1);
    assert_int_equal(resolve((shunt_options){ 0 }, &o), 0);
}

static void words_that_mean_nothing_are_refused_when_they_are_used(void **state)
{
    static const char *const bad[] = {
        "0", "-1", "1025", "many", "3x", "1.5", " ", "99999999999999999999"
    };
    shunt_options o;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        setenv("SHUNT_WORKERS", bad[i], 1);
        assert_int_equal(resolve((shunt_options){ 0 }, &o), SHUNT_EINVAL);
        assert_int_equal(resolve((shunt_options){ .workers = 1 }, &o), 0);
    }
    unsetenv("SHUNT_WORKERS");
    setenv("SHUNT_MODE", "Threads", 1);
    assert_int_equal(resolve((shunt_options){ 0 }, &o), SHUNT_EINVAL);
    assert_int_equal(resolve((shunt_options){ .mode = SHUNT_THREADS }, &o), 0);
}

/* A program that was built with an earlier, shorter struct. */
static void options_beyond_the_callers_size_are_default(void **state)
{
    shunt_options given = { .workers = 2, .queue_max = 7, .stack_bytes = 1 };
    shunt_options o;

    (void)state;
    assert_int_equal(sh_options_resolve(&given,
                                        offsetof(shunt_options, stack_bytes),
                                        &o, &checks, &why),
                     0);
    assert_int_equal(o.workers, 2);
    assert_int_equal(o.queue_max, 7);
    assert_int_equal(o.stack_bytes, 256 * 1024);
    assert_string_equal(o.name, "shunt");
}

static void no_more_workers_than_cpus_that_may_be_used(void **state)
{
    cpu_set_t all, one;
    shunt_options o;

    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    assert_int_equal(resolve((shunt_options){ 0 }, &o), 0);
    assert_true(o.workers <= CPU_COUNT(&all));
    CPU_ZERO(&one);
    for (size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &all))
            CPU_SET(i, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(resolve((shunt_options){ 0 }, &o), 0);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
    assert_int_equal(o.workers, 1);
}

int main(void)
{
#define OPTIONS_TEST(test) cmocka_unit_test_setup_teardown(test, clear, clear)
    const struct CMUnitTest tests[] = {
        OPTIONS_TEST(zero_means_default_everywhere),
        OPTIONS_TEST(what_is_set_is_kept),
        OPTIONS_TEST(values_out_of_range_are_refused),
        OPTIONS_TEST(a_queue_is_never_larger_than_the_table),
        OPTIONS_TEST(the_environment_fills_in_what_is_not_set),
        OPTIONS_TEST(words_that_mean_nothing_are_refused_when_they_are_used),
        OPTIONS_TEST(options_beyond_the_callers_size_are_default),
        OPTIONS_TEST(no_more_workers_than_cpus_that_may_be_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
