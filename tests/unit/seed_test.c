/* SPDX-License-Identifier: MIT */
/*
 * seed_test.c - the process that others are forked from: it is started once, or
 * not at all, and its host does not notice that it has a child.
 *
 * Method. Claims about signals, ends and descriptors of a whole program are
 * made by children that are hosts for a while (kin.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fault.h"
#include "kin.h"
#include "process/birth.h"
#include "process/seed.h"
#include "process/sprout.h"
#include "shunt/errors.h"

static int start(void)
{
    const char *why = NULL;

    return sh_seed_start(KIN_TSAN, &why);
}

/* -- other threads -- */

static pthread_barrier_t met;

/* Runs until it is met a second time. */
static void *be_there(void *unused)
{
    (void)unused;
    pthread_barrier_wait(&met);
    pthread_barrier_wait(&met);
    return NULL;
}

static pthread_t another_thread(void)
{
    pthread_t thread;

    if (pthread_barrier_init(&met, NULL, 2) != 0 ||
        pthread_create(&thread, NULL, be_there, NULL) != 0)
        abort();
    pthread_barrier_wait(&met);
    return thread;
}

static void without(pthread_t thread)
{
    pthread_barrier_wait(&met);
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&met);
}

/* -- claims -- */

static void it_is_started_once(void **state)
{
    unsigned descriptors = kin_descriptors();
    unsigned children = sh_sprout_company() == SH_COMPANY_NONE ? 1 : 0;
    sigset_t before, after;

    (void)state;
    assert_int_equal(sigprocmask(SIG_SETMASK, NULL, &before), 0);
    assert_true(children == 1 || KIN_TSAN);
    assert_false(sh_seed_is_up());
    assert_int_equal(start(), 0);
    assert_int_equal(sigprocmask(SIG_SETMASK, NULL, &after), 0);
    for (int s = 1; s < NSIG; s++)
        assert_int_equal(sigismember(&after, s), sigismember(&before, s));
    assert_true(sh_seed_is_up());
    assert_int_equal(kin_children(), children);
    assert_int_equal(kin_descriptors(), descriptors + 2);
    assert_int_equal(start(), 0);
    assert_int_equal(kin_children(), children);
    assert_int_equal(kin_descriptors(), descriptors + 2);
    sh_seed_stop();
    assert_false(sh_seed_is_up());
    sh_seed_stop();
    assert_int_equal(kin_children(), 0);
    assert_int_equal(kin_descriptors(), descriptors);
}

static void threads_are_a_reason_to_refuse(void **state)
{
    pthread_t thread = another_thread();
    const char *why = NULL;

    (void)state;
    assert_int_equal(sh_seed_start(false, &why), SHUNT_ENOTSUP);
    assert_non_null(strstr(why, "threads"));
    assert_false(sh_seed_is_up());
    without(thread);
}

static void threads_are_none_if_one_says_so(void **state)
{
    pthread_t thread = another_thread();
    const char *why = "untouched";
    unsigned descriptors = kin_descriptors();

    (void)state;
    assert_int_equal(sh_seed_start(true, &why), 0);
    assert_string_equal(why, "untouched");
    assert_true(sh_seed_is_up());
    assert_int_equal(kin_children(), 0);
    assert_int_equal(sh_seed_start(false, &why), 0);
    sh_seed_stop();
    assert_false(sh_seed_is_up());
    without(thread);
    assert_int_equal(kin_descriptors(), descriptors);
}

static void what_cannot_be_read_is_a_reason_too(void **state)
{
    const char *why = NULL;

    (void)state;
    sh_fault_set(1);
    assert_int_equal(sh_seed_start(false, &why), SHUNT_ENOTSUP);
    assert_non_null(strstr(why, "/proc"));
    sh_fault_set(1);
    assert_int_equal(sh_seed_start(true, &why), 0);
    sh_fault_clear();
    sh_seed_stop();
}

/* Who is joined has yet to close what only it has open: slowly. */
static void *come_and_go(void *ok)
{
    int fd = unshare(CLONE_FILES) != 0 ? -1 : memfd_create("large", 0);

    *(bool *)ok = fd >= 0 && posix_fallocate(fd, 0, 32 << 20) == 0;
    return NULL;
}

static void threads_that_were_joined_are_none(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        pthread_t thread;
        bool ok;

        assert_int_equal(pthread_create(&thread, NULL, come_and_go, &ok), 0);
        pthread_join(thread, NULL);
        assert_true(ok);
        assert_int_equal(sh_sprout_company(), SH_COMPANY_NONE);
    }
}

static void *start_too(void *rc_out)
{
    const char *why;

    pthread_barrier_wait(&met);
    *(int *)rc_out = sh_seed_start(true, &why);
    return NULL;
}

static void threads_that_start_it_at_once_get_one(void **state)
{
    enum {
        THREADS = 8
    };
    pthread_t threads[THREADS];
    int rc[THREADS];
    unsigned descriptors = kin_descriptors();

    (void)state;
    assert_int_equal(pthread_barrier_init(&met, NULL, THREADS), 0);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, start_too, &rc[i]),
                         0);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(rc[i], 0);
    }
    pthread_barrier_destroy(&met);
    assert_int_equal(kin_descriptors(), descriptors + 2);
    sh_seed_stop();
    assert_int_equal(kin_descriptors(), descriptors);
}

/* -- what its host notices -- */

static atomic_int signals;

static void count_signal(int s)
{
    (void)s;
    atomic_fetch_add(&signals, 1);
}

static bool has_nobody_to_wait_for(void)
{
    siginfo_t info;

    return waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD &&
           wait(NULL) == -1 && errno == ECHILD &&
           waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == -1 &&
           errno == ECHILD;
}

static int sees_nothing(void *with)
{
    const bool *beside = with;
    const char *why;
    pthread_t thread = 0;

    if (*beside)
        thread = another_thread();
    CHECK(sh_seed_start(*beside || KIN_TSAN, &why) == 0);
    CHECK(has_nobody_to_wait_for());
    sh_seed_stop();
    CHECK(has_nobody_to_wait_for());
    CHECK(kin_children() == 0);
    if (*beside)
        without(thread);
    return atomic_load(&signals) == 0 ? 0 : __LINE__;
}

static int counts_deaths(void *with)
{
    CHECK(signal(SIGCHLD, count_signal) != SIG_ERR);
    return sees_nothing(with);
}

static int ignores_deaths(void *with)
{
    CHECK(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
    return sees_nothing(with);
}

static void its_host_hears_nothing_and_waits_for_nobody(void **state)
{
    (void)state;
    assert_int_equal(kin_run_host(counts_deaths, &(bool){ false }), 0);
    assert_int_equal(kin_run_host(ignores_deaths, &(bool){ false }), 0);
}

static void nor_does_one_with_threads(void **state)
{
    (void)state;
    assert_int_equal(kin_run_host(counts_deaths, &(bool){ true }), 0);
    assert_int_equal(kin_run_host(ignores_deaths, &(bool){ true }), 0);
}

static int loses_it(void *unused)
{
    pid_t pid;
    int pidfd;

    (void)unused;
    CHECK(signal(SIGCHLD, count_signal) != SIG_ERR);
    CHECK(start() == 0);
    pid = kin_child();
    pidfd = kin_pidfd(pid);
    CHECK(pid > 0 && pidfd >= 0);
    CHECK(kill(pid, SIGKILL) == 0 && kin_ends(pidfd));
    CHECK(has_nobody_to_wait_for());
    CHECK(!sh_seed_is_up());
    CHECK(kin_children() == 0);
    CHECK(atomic_load(&signals) == 0);
    CHECK(start() == 0 && sh_seed_is_up() && kin_child() != pid);
    sh_seed_stop();
    return kin_children() == 0 ? 0 : __LINE__;
}

static void one_that_was_killed_is_replaced(void **state)
{
    (void)state;
    assert_int_equal(kin_run_host(loses_it, NULL), 0);
}

/* The parent's seed is up, and stays so. */
static int starts_its_own(void *unused)
{
    unsigned descriptors = kin_descriptors();

    (void)unused;
    CHECK(!sh_seed_is_up());
    sh_seed_stop();
    CHECK(start() == 0 && sh_seed_is_up());
    /* Those of the parent's are closed. */
    CHECK(kin_descriptors() == descriptors);
    sh_seed_stop();
    CHECK(kin_descriptors() == descriptors - 2);
    return kin_children() == 0 ? 0 : __LINE__;
}

static void a_child_of_the_host_has_none_and_may_start_one(void **state)
{
    (void)state;
    assert_int_equal(start(), 0);
    assert_int_equal(kin_run_host(starts_its_own, NULL), 0);
    assert_true(sh_seed_is_up());
    sh_seed_stop();
}

/* -- what it keeps of its host -- */

static int holds_nothing(void *with)
{
    const bool *beside = with;
    struct sockaddr address = { .sa_family = AF_INET };
    socklen_t length = sizeof address;
    pthread_t thread = 0;
    int pipes[2], port, file;
    const char *why;
    char byte;

    port = socket(AF_INET, SOCK_STREAM, 0);
    file = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    CHECK(port >= 0 && file >= 0 && pipe(pipes) == 0);
    CHECK(bind(port, &address, length) == 0 && listen(port, 1) == 0);
    CHECK(getsockname(port, &address, &length) == 0);
    CHECK(flock(file, LOCK_EX) == 0);
    if (*beside)
        thread = another_thread();
    CHECK(sh_seed_start(*beside || KIN_TSAN, &why) == 0);
    /* Nobody else has the writing end, ... */
    close(pipes[1]);
    CHECK(read(pipes[0], &byte, 1) == 0);
    /* ... the port, ... */
    close(port);
    port = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(port, &address, length) == 0 && listen(port, 1) == 0);
    /* ... or the lock, which goes with the last copy of its descriptor. */
    {
        char path[64];
        int other;

        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", file);
        other = open(path, O_RDWR);
        CHECK(other >= 0 && flock(other, LOCK_EX | LOCK_NB) != 0);
        close(file);
        CHECK(flock(other, LOCK_EX | LOCK_NB) == 0);
    }
    CHECK(sh_seed_is_up());
    sh_seed_stop();
    if (*beside)
        without(thread);
    return 0;
}

static void descriptors_of_the_host_are_not_kept_open(void **state)
{
    (void)state;
    assert_int_equal(kin_run_host(holds_nothing, &(bool){ false }), 0);
    assert_int_equal(kin_run_host(holds_nothing, &(bool){ true }), 0);
}

/* with: which of its requests is refused. */
static int closes_all_but_two(void *with)
{
    int fd[6];

    for (unsigned i = 0; i < 6; i++) {
        fd[i] = fcntl(0, F_DUPFD, 10 * (int)i + 10);
        CHECK(fd[i] >= 0);
    }
    sh_fault_set(*(int64_t *)with);
    sh_birth_close(fd[4], fd[1]);
    sh_fault_clear();
    CHECK(kin_descriptors() == 5);
    CHECK(fcntl(fd[1], F_GETFD) >= 0 && fcntl(fd[4], F_GETFD) >= 0);
    sh_birth_close(-1, fd[4]);
    CHECK(kin_descriptors() == 4 && fcntl(fd[4], F_GETFD) >= 0);
    sh_birth_close(-1, -1);
    CHECK(kin_descriptors() == 3);
    return 0;
}

static void all_are_closed_also_without_close_range(void **state)
{
    (void)state;
    for (int64_t nth = 1; nth <= 4; nth++) {
        pid_t pid = kin_start_host(closes_all_but_two, &nth);
        int status = -1;

        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
}

static int has_no_stdio(void *unused)
{
    (void)unused;
    close(0);
    close(1);
    close(2);
    CHECK(start() == 0);
    /* Nothing of ours is where prints go. */
    CHECK(fcntl(0, F_GETFD) == -1 && fcntl(1, F_GETFD) == -1 &&
          fcntl(2, F_GETFD) == -1);
    sh_seed_stop();
    return 0;
}

static void a_host_without_stdio_does_not_print_into_our_sockets(void **state)
{
    (void)state;
    assert_int_equal(kin_run_host(has_no_stdio, NULL), 0);
}

/* -- ends -- */

/* with: an end of a socket, to which it sends a pidfd of its seed. */
static int waits_to_be_killed(void *with)
{
    int rc;

    CHECK(start() == 0);
    rc = (int)write(*(int *)with, &(pid_t){ kin_child() }, sizeof(pid_t));
    CHECK(rc == (int)sizeof(pid_t));
    kin_stay();
}

static void it_ends_with_its_host(void **state)
{
    int ends[2], pidfd;
    pid_t host, seed = 0;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    host = kin_start_host(waits_to_be_killed, &ends[1]);
    close(ends[1]);
    assert_int_equal(read(ends[0], &seed, sizeof seed), (int)sizeof seed);
    pidfd = kin_pidfd(seed);
    assert_true(pidfd >= 0);
    assert_int_equal(kill(host, SIGKILL), 0);
    assert_true(kin_ends(pidfd));
    assert_int_equal(waitpid(host, NULL, 0), host);
    close(ends[0]);
}

/* The child goes on counting where its host was, so its requests are refused
 * as well. */
static void refusals(bool beside)
{
    unsigned descriptors = kin_descriptors(), children = kin_children();
    unsigned refused = 0, granted = 0;

    for (int64_t nth = 1; granted < 12; nth++) {
        const char *why = NULL;
        int rc;

        assert_true(nth < 100);
        sh_fault_set(nth);
        rc = sh_seed_start(beside, &why);
        sh_fault_clear();
        assert_true(rc == 0 || why != NULL);
        assert_int_equal(sh_seed_is_up(), rc == 0);
        sh_seed_stop();
        assert_int_equal(kin_descriptors(), descriptors);
        assert_int_equal(kin_children(), children);
        refused += rc != 0;
        granted = rc == 0 ? granted + 1 : 0;
    }
    assert_true(refused >= 8);
}

static void every_refusal_is_an_error_and_leaves_nothing(void **state)
{
    (void)state;
    refusals(false);
}

static void so_with_threads(void **state)
{
    pthread_t thread = another_thread();

    (void)state;
    refusals(true);
    without(thread);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_started_once),
        cmocka_unit_test(threads_are_a_reason_to_refuse),
        cmocka_unit_test(threads_are_none_if_one_says_so),
        cmocka_unit_test(what_cannot_be_read_is_a_reason_too),
        cmocka_unit_test(threads_that_start_it_at_once_get_one),
        cmocka_unit_test(its_host_hears_nothing_and_waits_for_nobody),
        cmocka_unit_test(nor_does_one_with_threads),
        cmocka_unit_test(a_child_of_the_host_has_none_and_may_start_one),
        cmocka_unit_test(descriptors_of_the_host_are_not_kept_open),
        cmocka_unit_test(all_are_closed_also_without_close_range),
        cmocka_unit_test(a_host_without_stdio_does_not_print_into_our_sockets),
        cmocka_unit_test(so_with_threads),
        /* These last: not beside the thread of a sanitizer, for which the
         * seed is nobody's child. */
        cmocka_unit_test(threads_that_were_joined_are_none),
        cmocka_unit_test(one_that_was_killed_is_replaced),
        cmocka_unit_test(it_ends_with_its_host),
        cmocka_unit_test(every_refusal_is_an_error_and_leaves_nothing),
    };
    size_t count = sizeof tests / sizeof *tests - (KIN_TSAN ? 4 : 0);

    return _cmocka_run_group_tests("seed", tests, count, NULL, NULL);
}
