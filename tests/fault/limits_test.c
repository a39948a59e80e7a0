/* SPDX-License-Identifier: MIT */
/*
 * fault/limits_test.c - the system refuses, for real: threads under
 * RLIMIT_NPROC, memory under RLIMIT_AS.
 *
 * Each case is a child of its own, which says by its exit status what it saw.
 */
#include "fault_each.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    WORKED = 10,
    REFUSED = 11,
    NO_LIMIT = 12,
    WRONG = 13
};

struct page {
    unsigned char bytes[1 << 20];
};

static int parent(const shunt_none *in, shunt_none *out)
{
    (void)in;
    (void)out;
    return shunt_join(shunt_submit(NULL, fault_nothing, NULL));
}
SHUNT_TASK(parent, shunt_none, shunt_none)

static int large(const struct page *in, shunt_none *out)
{
    (void)in;
    (void)out;
    return 0;
}
SHUNT_TASK(large, struct page, shunt_none)

/* What a child's function says; its number is given to it. */
static int in_child(int (*run)(long), long number)
{
    pid_t child = fork();
    int status = -1;

    if (child == 0) {
        signal(SIGSEGV, SIG_DFL); /* and not the one of the test library */
        _exit(run(number));
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Use a pool, if there is one. */
static int use(shunt_pool *pool, int rc)
{
    if (rc == SHUNT_ENOMEM)
        return REFUSED;
    if (rc != 0)
        return WRONG;
    for (int i = 0; i < 100; i++) {
        rc = shunt_join(shunt_submit(pool, fault_nothing, NULL));
        if (rc != 0 && rc != SHUNT_ENOMEM)
            return WRONG;
    }
    return shunt_pool_free(pool) == 0 ? WORKED : WRONG;
}

static int new_pool(int workers)
{
    shunt_pool *pool = NULL;
    int rc = shunt_pool_new(&pool, &(shunt_options){ .workers = workers });

    return use(pool, rc);
}

/* As somebody who has no other process, and may have so many threads. */
static int with_threads(long threads)
{
    struct rlimit limit;
    int first, second;

    if (geteuid() == 0 && setresuid(54321, 54321, 54321) != 0)
        return NO_LIMIT;
    if (getrlimit(RLIMIT_NPROC, &limit) != 0)
        return NO_LIMIT;
    limit.rlim_cur = (rlim_t)threads;
    if (setrlimit(RLIMIT_NPROC, &limit) != 0)
        return NO_LIMIT;
    first = new_pool(8);
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NPROC, &limit) != 0)
        return NO_LIMIT;
    second = new_pool(8);
    return second == WORKED ? first : WRONG;
}

static long vm_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    long pages = -1;

    if (f == NULL)
        return -1;
    if (fscanf(f, "%ld", &pages) != 1)
        pages = -1;
    fclose(f);
    return pages < 0 ? -1 : pages * sysconf(_SC_PAGESIZE);
}

/* With so many more kilobytes of addresses than there are in use. */
static bool limit_space(long kilobytes)
{
    struct rlimit limit = { (rlim_t)(vm_bytes() + kilobytes * 1024),
                            RLIM_INFINITY };

    return vm_bytes() > 0 && setrlimit(RLIMIT_AS, &limit) == 0;
}

static int with_space(long kilobytes)
{
    return limit_space(kilobytes) ? new_pool(4) : NO_LIMIT;
}

static bool is_good(int rc)
{
    return rc == 0 || rc == SHUNT_ENOMEM;
}

/* The pool is there when the space ends: each call works or says so, and all
 * of them work again when there is space. */
static int when_space_ends(long kilobytes)
{
    static struct page page;
    struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
    shunt_future *fs[16];
    shunt_pool *pool = NULL;
    bool good = true;

    if (shunt_pool_new(&pool, &(shunt_options){ .workers = 2 }) != 0 ||
        !limit_space(kilobytes))
        return NO_LIMIT;
    for (int i = 0; i < 16; i++)
        fs[i] = i % 2 == 0 ? shunt_submit(pool, large, &page)
                           : shunt_submit(pool, parent, NULL);
    for (int i = 0; i < 16; i++) {
        int rc = shunt_await(fs[i]);

        /* A parent's wait is what may have failed. */
        if (rc == SHUNT_EFAILED)
            rc = shunt_error_of(fs[i])->task_code;
        /* Even the record of why may have been too much. */
        good = good && (is_good(rc) || rc == SHUNT_EFAILED);
        (void)shunt_release(fs[i]);
    }
    if (setrlimit(RLIMIT_AS, &all) != 0)
        return NO_LIMIT;
    good = good && shunt_join(shunt_submit(pool, large, &page)) == 0 &&
           shunt_join(shunt_submit(pool, parent, NULL)) == 0;
    return good && shunt_pool_free(pool) == 0 ? WORKED : WRONG;
}

/* Goal: whichever worker's thread is refused, the pool is not made,
 * nothing is left, and the next pool works. */
static void a_pool_whose_threads_are_refused_is_not_made(void **state)
{
    bool refused = false;

    (void)state;
    for (long threads = 1; threads <= 9; threads++) {
        int seen = in_child(with_threads, threads);

        assert_int_not_equal(seen, NO_LIMIT);
        assert_true(seen == WORKED || seen == REFUSED);
        refused = refused || seen == REFUSED;
    }
    assert_true(refused);
}

/* Goal: with little space a pool is refused, or made with smaller tables. */
static void a_pool_is_refused_or_works_under_any_limit_of_space(void **state)
{
    bool refused = false, worked = false;

    (void)state;
    for (long kilobytes = 16; kilobytes <= 8L << 20; kilobytes *= 2) {
        int seen = in_child(with_space, kilobytes);

        assert_int_not_equal(seen, NO_LIMIT);
        assert_true(seen == WORKED || seen == REFUSED);
        refused = refused || seen == REFUSED;
        worked = worked || seen == WORKED;
    }
    assert_true(refused && worked);
}

static void a_pool_outlasts_the_end_of_space(void **state)
{
    (void)state;
    for (long kilobytes = 0; kilobytes <= 4096;
         kilobytes = kilobytes * 2 + 64) {
        int seen = in_child(when_space_ends, kilobytes);

        assert_int_not_equal(seen, NO_LIMIT);
        assert_int_equal(seen, WORKED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pool_whose_threads_are_refused_is_not_made),
        cmocka_unit_test(a_pool_is_refused_or_works_under_any_limit_of_space),
        cmocka_unit_test(a_pool_outlasts_the_end_of_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
