/* SPDX-License-Identifier: MIT */
/*
 * fork_task_test.c - tasks that fork: the child is outside of any task, and of
 * the pool, and is a process like any other.
 */
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stage.h"

/* How many children are enough: each takes valgrind seconds, to look for leaks
 * when it ends. */
static int some(int many)
{
    return harness_slowness() > 10 ? 3 : many;
}

/* A child that hangs ends. */
static void limit_child(void)
{
    alarm(20 * harness_slowness());
}

static int fork_in_task(shunt_pool *const *in, long *out)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        limit_child();
        int wrong = shunt_pool_current() != NULL;
        wrong |= 2 * (shunt_pool_workers(*in) != SHUNT_EFORKED);
        wrong |= 4 * shunt_cancelled();
        wrong |= 8 * (shunt_alloc(16) != NULL);
        wrong |= 16 * (shunt_commit() != SHUNT_EFORKED);
        wrong |= 32 * (shunt_status(shunt_cancel_future()) != SHUNT_EFORKED);
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

    for (int i = 0; i < some(10); i++)
        assert_takes(shunt_submit(pool, fork_in_task, &pool), 0);
    harness_free(pool);
}

static int run_nothing(const shunt_none *in, long *out)
{
    (void)in;
    *out = 0;
    return 0;
}
SHUNT_TASK(run_nothing, shunt_none, long)

/* Calls without a pool mean that of the task, which is the parent's. */
static int use_no_pool(void)
{
    shunt_scope *scope;
    shunt_promise *p;
    shunt_future *f;
    int wrong = 0;

    wrong |= shunt_status(shunt_submit(NULL, run_nothing, NULL)) !=
             SHUNT_EFORKED;
    wrong |= 2 * (shunt_status(shunt_delay(NULL, 1)) != SHUNT_EFORKED);
    wrong |= 4 * (shunt_scope_open(&scope, NULL, NULL) != SHUNT_EFORKED);
    wrong |= 8 * (shunt_promise_new(NULL, long, &p, &f) != SHUNT_EFORKED);
    return wrong;
}

static int fork_and_use_no_pool(const shunt_none *in, long *out)
{
    int status = 0;
    pid_t pid = fork();

    (void)in;
    if (pid == 0) {
        limit_child();
        _exit(use_no_pool());
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return 1;
    *out = status;
    return 0;
}
SHUNT_TASK(fork_and_use_no_pool, shunt_none, long)

static void a_child_of_a_task_is_told_that_the_pool_is_its_parents(void)
{
    shunt_pool *pool = harness_pool(2);

    for (int i = 0; i < 3; i++)
        assert_takes(shunt_submit(pool, fork_and_use_no_pool, NULL), 0);
    harness_free(pool);
}

/* Write to so many bytes of stack, from the upper end down, page by page, as
 * calls do. */
static __attribute__((noinline)) long dig(long bytes)
{
    volatile char room[1024];

    room[0] = 1;
    room[1023] = 1;
    return bytes <= (long)sizeof room
               ? room[0]
               : dig(bytes - (long)sizeof room) + room[1023];
}

static int fork_and_dig(const long *in, long *out)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        limit_child();
        _exit(dig(*in) == 0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return 1;
    *out = status;
    return 0;
}
SHUNT_TASK(fork_and_dig, long, long)

static void the_child_of_a_task_has_as_much_stack_as_the_task(void)
{
    shunt_pool *pool = NULL;

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = 1, .stack_bytes = 1 << 20 }));
    for (long bytes = 1 << 10; bytes <= 512 << 10; bytes *= 2)
        assert_takes(shunt_submit(pool, fork_and_dig, &bytes), 0);
    harness_free(pool);
}

static int fork_twice(shunt_pool *const *in, long *out)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        pid_t second = fork();

        limit_child();
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

/* What the child writes to its stack, from where it forks to the end of the
 * task, the parent does not see. */
static int fork_and_write(const shunt_none *in, long *out)
{
    volatile long mine = 1;
    int status = 0, written[2];
    char byte;
    pid_t pid;

    (void)in;
    if (pipe(written) != 0)
        return 1;
    pid = fork();
    if (pid == 0) {
        limit_child();
        mine = 2;
        (void)!write(written[1], "", 1);
        _exit(dig(64 << 10) != 64 || mine != 2);
    }
    close(written[1]);
    if (pid < 0 || read(written[0], &byte, 1) != 1 ||
        waitpid(pid, &status, 0) != pid)
        return 2;
    close(written[0]);
    *out = status == 0 ? mine : 3;
    return 0;
}
SHUNT_TASK(fork_and_write, shunt_none, long)

static int fork_and_write_at_home(const shunt_none *in, long *out)
{
    return fork_and_write(in, out);
}
SHUNT_TASK(fork_and_write_at_home, shunt_none, long, .host_only = true)

static void parent_and_child_have_each_a_stack_of_their_own(void)
{
    shunt_pool *pool = harness_pool(2);

    for (int i = 0; i < some(20); i++) {
        assert_takes(shunt_submit(pool, fork_and_write, NULL), 1);
        assert_takes(shunt_submit(pool, fork_and_write_at_home, NULL), 1);
    }
    harness_free(pool);
}

/* To memory of the pool, from which on processes the arena is read. */
static int fork_and_scribble(const shunt_none *in, long *out)
{
    const struct rlimit none = { 0, 0 };
    volatile long *block = shunt_alloc(sizeof *block);
    int status = 0;
    pid_t pid;

    (void)in;
    if (block == NULL)
        return 1;
    *block = 1;
    pid = fork();
    if (pid == 0) {
        alarm(20);
        signal(SIGSEGV, SIG_DFL);
        (void)setrlimit(RLIMIT_CORE, &none);
        *block = 2;
        _exit(0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return 1;
    *out = *block;
    return 0;
}
SHUNT_TASK(fork_and_scribble, shunt_none, long)

/* As a child that outlives its task would, when the memory is another's. */
static void what_the_child_of_a_task_writes_the_pool_does_not_see(void)
{
    shunt_pool *pool = harness_pool(2);

    for (int i = 0; i < 3; i++)
        assert_takes(shunt_submit(pool, fork_and_scribble, NULL), 1);
    harness_free(pool);
}

/* On the stack of a task; another one counts up. */
struct counter {
    _Atomic long count;
    _Atomic bool stops;
};

static int count_up(struct counter *const *in, long *out)
{
    struct counter *c = *in;

    *out = 0;
    while (!atomic_load(&c->stops)) {
        atomic_fetch_add(&c->count, 1);
        ++*out;
    }
    return 0;
}
SHUNT_TASK(count_up, struct counter *, long)

static int fork_beside_another(const shunt_none *in, long *out)
{
    struct counter mine = { 0, false }, *c = &mine;
    shunt_future *f = shunt_submit(NULL, count_up, &c);
    long counted = -1;
    int status = 0;

    (void)in;
    while (atomic_load(&mine.count) == 0)
        sched_yield();
    for (int i = 0; i < some(10) && status == 0; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            limit_child();
            _exit(0);
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid)
            status = -1;
    }
    atomic_store(&mine.stops, true);
    *out = shunt_take(f, &counted) == 0 && status == 0
               ? counted - atomic_load(&mine.count)
               : -1;
    return 0;
}
SHUNT_TASK(fork_beside_another, shunt_none, long)

static void what_others_write_to_the_stack_of_one_that_forks_is_not_lost(void)
{
    shunt_pool *pool = harness_pool(2);

    assert_takes(shunt_submit(pool, fork_beside_another, NULL), 0);
    harness_free(pool);
}

/* Two of the host's threads, of two pools, at the same time. */
static void tasks_of_the_host_fork_beside_each_other(void)
{
    enum {
        TASKS = 30
    };
    shunt_pool *pools[2] = { harness_pool(1), harness_pool(1) };
    shunt_future *fs[2][TASKS];

    for (int i = 0; i < some(TASKS); i++)
        for (int p = 0; p < 2; p++)
            fs[p][i] = shunt_submit(pools[p], fork_and_write_at_home, NULL);
    for (int i = 0; i < some(TASKS); i++)
        for (int p = 0; p < 2; p++)
            assert_takes(fs[p][i], 1);
    harness_free(pools[0]);
    harness_free(pools[1]);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_child_that_a_task_forks_is_outside_of_any_task),
    CLAIM(a_child_of_a_task_is_told_that_the_pool_is_its_parents),
    CLAIM(the_child_of_a_task_has_as_much_stack_as_the_task),
    CLAIM(the_child_of_a_task_may_fork_as_well),
    CLAIM(parent_and_child_have_each_a_stack_of_their_own),
    CLAIM(what_the_child_of_a_task_writes_the_pool_does_not_see),
    CLAIM_OF_PLAIN_PROCESSES(
        what_others_write_to_the_stack_of_one_that_forks_is_not_lost),
    CLAIM(tasks_of_the_host_fork_beside_each_other),
};

HARNESS_MAIN(claims)
