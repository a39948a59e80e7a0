/* SPDX-License-Identifier: MIT */
/*
 * fork_task_test.c - tasks that fork: the child is outside of any task, and of
 * the pool, and is a process like any other.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "stage.h"

static int fork_in_task(shunt_pool *const *in, long *out)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        alarm(20);
        int wrong = shunt_pool_current() != NULL;
        wrong |= 2 * (shunt_pool_workers(*in) != SHUNT_EFORKED);
        wrong |= 4 * shunt_cancelled();
        wrong |= 8 * (shunt_alloc(16) != NULL);
        wrong |= 16 * (shunt_commit() != SHUNT_EINVAL);
        wrong |= 32 * (shunt_status(shunt_cancel_future()) != SHUNT_EINVAL);
        _exit(wrong);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return 1;
    *out = status;
    return 0;
}
SHUNT_TASK(fork_in_task, shunt_pool *, long)

static void a_child_that_a_task_forks_is_outside_of_any_task(void)
{
    shunt_pool *pool = harness_pool(2);

    for (int i = 0; i < (harness_slowness() > 10 ? 3 : 10); i++)
        assert_takes(shunt_submit(pool, fork_in_task, &pool), 0);
    harness_free(pool);
}

static int fork_twice(shunt_pool *const *in, long *out)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        pid_t second = fork();

        alarm(20);
        if (second == 0)
            _exit(shunt_pool_workers(*in) != SHUNT_EFORKED);
        _exit(waitpid(second, &status, 0) != second || status != 0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return 1;
    *out = status;
    return 0;
}
SHUNT_TASK(fork_twice, shunt_pool *, long)

static void the_child_of_a_task_may_fork_as_well(void)
{
    shunt_pool *pool = harness_pool(2);

    for (int i = 0; i < 3; i++)
        assert_takes(shunt_submit(pool, fork_twice, &pool), 0);
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_child_that_a_task_forks_is_outside_of_any_task),
    CLAIM(the_child_of_a_task_may_fork_as_well),
};

HARNESS_MAIN(claims)
