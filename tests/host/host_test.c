/* SPDX-License-Identifier: MIT */
/*
 * host_test.c - programs that do with their processes and signals what they
 * like, and end as they like: pools of processes work in them.
 *
 * Method. Each host is a child of the test, which uses no pool itself. What it
 * finds wrong it tells as a line of this file. Whether a process has ended is
 * said by its pidfd.
 */
#include "host.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* -- signals and children -- */

static atomic_int told;

static void note_signal(int signal)
{
    (void)signal;
    atomic_fetch_add(&told, 1);
}

static int ignores_children(void *unused)
{
    (void)unused;
    CHECK(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
    return host_uses_a_pool();
}

static void a_host_may_ignore_its_children(void **state)
{
    (void)state;
    assert_int_equal(kin_run_host(ignores_children, NULL), 0);
}

static int leaves_no_zombies(void *unused)
{
    struct sigaction action = { .sa_handler = note_signal,
                                .sa_flags = SA_NOCLDWAIT };

    (void)unused;
    CHECK(sigaction(SIGCHLD, &action, NULL) == 0);
    CHECK(host_uses_a_pool() == 0);
    CHECK(atomic_load(&told) == 0);
    return 0;
}

static void a_host_is_sent_no_sigchld(void **state)
{
    (void)state;
    assert_int_equal(kin_run_host(leaves_no_zombies, NULL), 0);
}

/* A thread that waits for whatever child there is. */
struct waiter {
    pthread_t thread;
    int flags;
    atomic_int stop, own, strangers;
    atomic_int child; /* of the host itself */
};

static void *wait_for_all(void *arg)
{
    struct waiter *w = arg;

    while (atomic_load(&w->stop) == 0) {
        pid_t pid = waitpid(-1, NULL, w->flags);

        if (pid > 0 && pid == atomic_load(&w->child))
            atomic_fetch_add(&w->own, 1);
        else if (pid > 0)
            atomic_fetch_add(&w->strangers, 1);
        else
            sched_yield();
    }
    return NULL;
}

static int waits_for_all(void *arg)
{
    struct waiter w = { .flags = *(int *)arg };
    int hold[2];
    pid_t pid;

    CHECK(shunt_init() == 0);
    CHECK(pthread_create(&w.thread, NULL, wait_for_all, &w) == 0);
    CHECK(pipe(hold) == 0);
    for (int i = 0; i < 3; i++) {
        char byte;

        pid = fork();
        if (pid == 0) {
            close(hold[1]);
            _exit((int)read(hold[0], &byte, 1));
        }
        atomic_store(&w.child, pid);
        CHECK(host_uses_a_pool() == 0);
        CHECK(write(hold[1], "", 1) == 1);
        while (atomic_load(&w.own) == i)
            sched_yield();
    }
    atomic_store(&w.stop, 1);
    pthread_join(w.thread, NULL);
    CHECK(atomic_load(&w.strangers) == 0);
    return 0;
}

static void a_host_that_waits_for_all_children_sees_its_own_only(void **state)
{
    int flags = 0;

    (void)state;
    assert_int_equal(kin_run_host(waits_for_all, &flags), 0);
    flags = WNOHANG;
    assert_int_equal(kin_run_host(waits_for_all, &flags), 0);
    flags = WNOHANG | __WALL;
    assert_int_equal(kin_run_host(waits_for_all, &flags), 0);
}

/* Method: as a terminal does it. The host's group is told, and who else is in
 * it. */
static int is_interrupted(void *unused)
{
    shunt_pool *pool;
    shunt_future *f;
    long value;

    (void)unused;
    CHECK(setpgid(0, 0) == 0);
    CHECK(signal(SIGINT, note_signal) != SIG_ERR);
    CHECK(signal(SIGTERM, note_signal) != SIG_ERR);
    CHECK(host_pool(&pool) == 0);
    f = shunt_submit(pool, host_wait_for_step, &(long){ 1 });
    host_await_step(HOST_BUSY);
    CHECK(kill(0, SIGINT) == 0 && kill(0, SIGTERM) == 0);
    while (atomic_load(&told) < 2)
        sched_yield();
    host_step(1);
    CHECK(shunt_take(f, &value) == 0 && value == 1);
    CHECK(shunt_pool_free(pool) == 0);
    return 0;
}

static void a_terminals_signals_are_the_hosts_to_decide(void **state)
{
    (void)state;
    assert_int_equal(kin_run_host(is_interrupted, NULL), 0);
}

/* -- threads -- */

#define MANY 200

static atomic_int many_stop;

static void *sit(void *unused)
{
    while (atomic_load(&many_stop) == 0)
        usleep(1000);
    return unused;
}

static int has_many_threads(void *early)
{
    pthread_t threads[MANY];

    if (early == NULL)
        CHECK(shunt_init() == 0);
    for (int i = 0; i < MANY; i++)
        CHECK(pthread_create(&threads[i], NULL, sit, NULL) == 0);
    if (early != NULL)
        CHECK(shunt_init() == SHUNT_ENOTSUP);
    CHECK(host_uses_a_pool_with(
              &(shunt_options){ .fork_with_threads = early != NULL }) == 0);
    atomic_store(&many_stop, 1);
    for (int i = 0; i < MANY; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

static void a_host_may_have_many_threads(void **state)
{
    (void)state;
    assert_int_equal(kin_run_host(has_many_threads, NULL), 0);
    assert_int_equal(kin_run_host(has_many_threads, &many_stop), 0);
}

/* -- ends of others -- */

static int loses_seed_and_zygote(void *unused)
{
    shunt_pool *pool;

    (void)unused;
    CHECK(host_pool(&pool) == 0);
    CHECK(host_tells_its_kin(pool) == 0);
    host_kill_kin();
    CHECK(host_finds_it_broken(pool) == 0);
    CHECK(shunt_pool_free(pool) == 0);
    return host_uses_a_pool();
}

static void without_seed_and_zygote_a_pool_is_broken_and_can_be_freed(
    void **state)
{
    (void)state;
    assert_int_equal(kin_run_host(loses_seed_and_zygote, NULL), 0);
}

/* -- ends of hosts -- */

static int stays(void *unused)
{
    shunt_pool *pool;

    (void)unused;
    CHECK(host_pool(&pool) == 0);
    CHECK(host_tells_its_kin(pool) == 0);
    host_step(HOST_BUSY);
    kin_stay();
}

static void who_is_killed_leaves_nobody(void **state)
{
    struct host_kin fds;
    pid_t pid;

    (void)state;
    pid = kin_start_host(stays, NULL);
    host_await_step(HOST_BUSY);
    fds = host_kin_pidfds();
    assert_int_equal(kill(pid, SIGKILL), 0);
    host_assert_kin_end(&fds);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static int executes(void *unused)
{
    shunt_pool *pool;

    (void)unused;
    CHECK(host_pool(&pool) == 0);
    CHECK(host_tells_its_kin(pool) == 0);
    host_step(HOST_BUSY);
    host_await_step(1);
    execl("/bin/sleep", "sleep", "100", (char *)NULL);
    return __LINE__;
}

/* The program that follows has the zombie of a child that it does not see. */
static void who_executes_another_program_leaves_nobody(void **state)
{
    struct host_kin fds;
    pid_t pid;

    (void)state;
    pid = kin_start_host(executes, NULL);
    host_await_step(HOST_BUSY);
    fds = host_kin_pidfds();
    host_step(1);
    host_assert_kin_end(&fds);
    assert_true(kin_zombies_of(pid) <= 1);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* The first half of becoming a daemon; the line of the second. */
static int go_into_the_background(kin_host *daemon, void *with)
{
    int line = -1, ends[2];
    pid_t pid;

    CHECK(pipe(ends) == 0);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        if (fork() != 0)
            _exit(0);
        (void)setsid();
        line = daemon(with);
        _exit(write(ends[1], &line, sizeof line) != (ssize_t)sizeof line);
    }
    CHECK(waitpid(pid, NULL, 0) == pid);
    close(ends[1]);
    CHECK(read(ends[0], &line, sizeof line) == (ssize_t)sizeof line);
    return line;
}

static int is_daemon(void *pool)
{
    long value = 3;

    alarm(100);
    if (pool != NULL) {
        shunt_future *f = shunt_submit(pool, host_same, &value);

        CHECK(shunt_join(f) == SHUNT_EFORKED);
        CHECK(shunt_pool_free(pool) == SHUNT_EFORKED);
    }
    return host_uses_a_pool();
}

static int becomes_a_daemon(void *unused)
{
    (void)unused;
    CHECK(go_into_the_background(is_daemon, NULL) == 0);
    CHECK(shunt_init() == 0);
    return go_into_the_background(is_daemon, NULL);
}

static void a_daemon_has_pools_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(kin_run_host(becomes_a_daemon, NULL), 0);
}

/* Not under AddressSanitizer: gcc 12's does not see to its allocator at a fork,
 * and a thread of the pool may be in that. */
#if !HOST_SANITIZED
static int leaves_a_pool(void *unused)
{
    shunt_pool *pool;

    (void)unused;
    CHECK(host_pool(&pool) == 0);
    CHECK(go_into_the_background(is_daemon, pool) == 0);
    CHECK(host_works(pool) == 0);
    CHECK(shunt_pool_free(pool) == 0);
    return 0;
}

static void so_has_one_that_was_forked_beside_a_pool(void **state)
{
    (void)state;
    assert_int_equal(kin_run_host(leaves_a_pool, NULL), 0);
}
#endif

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        HOST_CLAIM(a_host_may_ignore_its_children),
        HOST_CLAIM(a_host_is_sent_no_sigchld),
        HOST_CLAIM(a_host_that_waits_for_all_children_sees_its_own_only),
        HOST_CLAIM(a_terminals_signals_are_the_hosts_to_decide),
        HOST_CLAIM(a_host_may_have_many_threads),
        HOST_CLAIM(without_seed_and_zygote_a_pool_is_broken_and_can_be_freed),
        HOST_CLAIM(who_is_killed_leaves_nobody),
        HOST_CLAIM(who_executes_another_program_leaves_nobody),
        HOST_CLAIM(a_daemon_has_pools_of_its_own),
#if !HOST_SANITIZED
        HOST_CLAIM(so_has_one_that_was_forked_beside_a_pool),
#endif
    };

    return HOST_CLAIMS(argc, argv, tests);
}
