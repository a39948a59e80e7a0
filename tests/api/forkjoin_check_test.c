/* SPDX-License-Identifier: MIT */
/*
 * forkjoin_check_test.c - spawned calls that are not synced as they must be,
 * with the checks of builds that do not optimise.
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHUNT_FORK_CHECK
#include <shunt/forkjoin.h>

#include "stage.h"

SHUNT_FORK(long, in_order, int, n)
{
    shunt_frame(in_order) frames[4];
    long sum = 1;

    if (n == 0)
        return 1;
    for (int i = 0; i < 4; i++)
        shunt_spawn(in_order, frames[i], n - 1);
    for (int i = 3; i >= 0; i--)
        sum += shunt_sync(in_order, frames[i]);
    return sum;
}

static int in_order_task(const int *n, long *out)
{
    *out = shunt_fork(in_order, *n);
    return 0;
}
SHUNT_TASK(in_order_task, int, long)

static void calls_that_are_synced_in_order_are_not_complained_of(void)
{
    shunt_pool *pool = harness_pool(2);

    for (int round = 0; round < 20; round++)
        assert_takes(shunt_submit(pool, in_order_task, &(int){ 6 }), 5461);
    harness_free(pool);
}

SHUNT_FORK(int, forgets, int, n)
{
    shunt_frame(forgets) frame;

    if (n > 0)
        shunt_spawn(forgets, frame, n - 1);
    return n;
}

SHUNT_FORK(int, swaps, int, n)
{
    shunt_frame(forgets) one, two;

    shunt_spawn(forgets, one, 0);
    shunt_spawn(forgets, two, 0);
    n += shunt_sync(forgets, one);
    return n + shunt_sync(forgets, two);
}

static bool aborts(int (*fn)(void))
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        fclose(stderr); /* the text of the assertion */
        (void)signal(SIGABRT, SIG_DFL);
        _exit(fn());
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static int forget(void)
{
    return shunt_fork(forgets, 1);
}

static int swap(void)
{
    return shunt_fork(swaps, 1);
}

static void a_call_that_is_not_synced_in_order_is_found(void)
{
    assert_true(aborts(forget));
    assert_true(aborts(swap));
}

static const struct CMUnitTest claims[] = {
    CLAIM(calls_that_are_synced_in_order_are_not_complained_of),
    CLAIM(a_call_that_is_not_synced_in_order_is_found),
};

HARNESS_MAIN(claims)
