/* SPDX-License-Identifier: MIT */
/*
 * zygote_test.c - workers that a zygote forks: how they end, that nothing is
 * left of them, that their host does not notice, and that all end with it.
 *
 * Method. As birth_test.c. Whether a process has ended is said by its pidfd.
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
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "kin.h"
#include "process/letter.h"
#include "process/seed.h"
#include "shunt/errors.h"
#include "troupe.h"

#define MIB ((size_t)1 << 20)

/* -- how workers end -- */

static void a_worker_ends_with_what_its_function_returns(void **state)
{
    struct troupe t;
    struct sh_death death;

    (void)state;
    troupe_begin(&t, scene_return);
    for (unsigned i = 0; i < 3; i++) {
        memset(&death, 0xff, sizeof death);
        assert_int_equal(troupe_play(&t, i, &death), 0);
        assert_int_equal(death.exit_status, 40 + (int)i);
        assert_int_equal(death.signal, 0);
        assert_false(death.dumped);
        assert_true(death.user_ns >= 0 && death.system_ns >= 0);
        assert_true(death.resident_max > 0);
        assert_int_equal(t.scene->number, (int)i);
        assert_int_not_equal(t.scene->pid, getpid());
    }
    troupe_end(&t);
}

static int dies(struct scene *s, unsigned worker)
{
    const struct rlimit none = { 0, 0 };

    (void)worker;
    setrlimit(RLIMIT_CORE, &none);
    raise(s->number);
    return 99;
}

static void a_death_by_every_signal_is_told(void **state)
{
    static const int harmless[] = { SIGCHLD, SIGCONT, SIGURG,  SIGWINCH,
                                    SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU };
    struct troupe t;
    struct sh_death death;

    (void)state;
    troupe_begin(&t, dies);
    for (int s = 1; s <= SIGRTMAX; s++) {
        bool deadly = s <= 31 || s >= SIGRTMIN;

        for (unsigned i = 0; i < sizeof harmless / sizeof *harmless; i++)
            deadly = deadly && s != harmless[i];
        if (!deadly)
            continue;
        t.scene->number = s;
        assert_int_equal(troupe_play(&t, 0, &death), 0);
        assert_int_equal(death.signal, s);
        assert_int_equal(death.exit_status, 0);
    }
    t.scene->number = SIGCHLD;
    assert_int_equal(troupe_play(&t, 0, &death), 0);
    assert_int_equal(death.exit_status, 99);
    troupe_end(&t);
}

/* -- children of a worker -- */

static int leaves_a_child(struct scene *s, unsigned worker)
{
    pid_t pid = fork();

    (void)worker;
    if (pid == 0) {
        pid = fork();
        if (pid == 0)
            kin_stay();
        s->other = pid;
        scene_reach(s, 1);
        kin_stay();
    }
    s->pid = pid;
    scene_await(s, 1);
    /* Those are slow to go. */
    for (unsigned i = 0; i < 8; i++) {
        pid = fork();
        if (pid == 0) {
            void *p = mmap(NULL, 32 * MIB, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

            scene_reach(s, p == MAP_FAILED ? 99 : i + 2);
            kin_stay();
        }
        s->seen[i] = pid;
        scene_await(s, i + 2);
    }
    raise(SIGKILL);
    return 0;
}

static void what_a_worker_leaves_behind_is_gone_when_it_is_reaped(void **state)
{
    struct troupe t;
    struct sh_death death;

    (void)state;
    troupe_begin(&t, leaves_a_child);
    assert_int_equal(troupe_play(&t, 0, &death), 0);
    assert_int_equal(death.signal, SIGKILL);
    assert_true(t.scene->pid > 0 && t.scene->other > 0);
    assert_int_equal(kill(t.scene->pid, 0), -1);
    assert_int_equal(kill(t.scene->other, 0), -1);
    for (unsigned i = 0; i < 8; i++) {
        assert_true(t.scene->seen[i] > 0);
        assert_int_equal(kill((pid_t)t.scene->seen[i], 0), -1);
    }
    troupe_end(&t);
}

/* Orphans of a worker that lives come to the zygote. */
static int leaves_orphans(struct scene *s, unsigned worker)
{
    (void)worker;
    for (unsigned i = 0; i < 8; i++) {
        int status;
        pid_t pid = fork();

        if (pid == 0)
            _exit(fork() < 0); /* to an orphan, which ends as well */
        CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    }
    scene_reach(s, 1);
    kin_stay();
}

static void await_no_zombies_of(pid_t pid)
{
    for (unsigned i = 0; kin_zombies_of(pid) > 0; i++) {
        assert_true(i < 100000);
        sched_yield();
    }
}

static void orphans_do_not_stay_as_zombies(void **state)
{
    struct troupe t;
    struct sh_death death;
    pid_t pid, doomed;
    int pidfd, doomed_pidfd;

    (void)state;
    troupe_begin(&t, leaves_orphans);
    assert_int_equal(sh_zygote_fork(&t.zygote, 0, &pid, &pidfd), 0);
    scene_await(t.scene, 1);
    await_no_zombies_of(t.zygote.pid);
    close(pidfd);
    /* Again, after a worker has died, and before that is asked for. */
    t.scene->act = scene_stay;
    assert_int_equal(sh_zygote_fork(&t.zygote, 0, &doomed, &doomed_pidfd), 0);
    sh_pidfd_kill(doomed_pidfd, SIGKILL);
    assert_true(kin_ends(doomed_pidfd));
    t.scene->act = leaves_orphans;
    sh_store_sc(&t.scene->step, 0);
    assert_int_equal(sh_zygote_fork(&t.zygote, 0, &pid, &pidfd), 0);
    scene_await(t.scene, 1);
    assert_int_equal(sh_zygote_reap(&t.zygote, doomed, &death), 0);
    await_no_zombies_of(t.zygote.pid);
    close(pidfd);
    troupe_end(&t);
}

/* -- ends -- */

static void a_worker_that_lives_is_not_reaped(void **state)
{
    struct troupe t;
    struct sh_death death = { .exit_status = 4711 };
    pid_t pid;
    int pidfd;

    (void)state;
    troupe_begin(&t, scene_stay);
    assert_int_equal(sh_zygote_fork(&t.zygote, 0, &pid, &pidfd), 0);
    assert_int_equal(sh_zygote_reap(&t.zygote, pid, &death), SHUNT_EAGAIN);
    assert_int_equal(sh_zygote_reap(&t.zygote, getpid(), &death), SHUNT_EINVAL);
    assert_int_equal(death.exit_status, 4711);
    sh_pidfd_kill(pidfd, SIGTERM);
    assert_true(kin_ends(pidfd));
    assert_int_equal(sh_zygote_reap(&t.zygote, pid, &death), 0);
    assert_int_equal(death.signal, SIGTERM);
    assert_int_equal(sh_zygote_reap(&t.zygote, pid, &death), SHUNT_EINVAL);
    troupe_end(&t);
}

static void stop_kills_the_workers(void **state)
{
    struct troupe t;
    int pidfd[20];
    pid_t pid;

    (void)state;
    troupe_begin(&t, scene_stay);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(sh_zygote_fork(&t.zygote, i, &pid, &pidfd[i]), 0);
    sh_zygote_stop(&t.zygote);
    for (unsigned i = 0; i < 20; i++) {
        assert_true(sh_pidfd_ended(pidfd[i]));
        close(pidfd[i]);
    }
    assert_int_equal(sh_zygote_fork(&t.zygote, 0, &pid, &pidfd[0]),
                     SHUNT_EFORKED);
    assert_int_equal(troupe_zygote(&t, &t.zygote), 0);
    troupe_end(&t);
}

static void two_hundred_workers_leave_nothing(void **state)
{
    struct troupe t;
    struct sh_death death;
    unsigned descriptors;

    (void)state;
    troupe_begin(&t, scene_return);
    descriptors = kin_descriptors();
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(troupe_play(&t, i % 10, &death), 0);
        assert_int_equal(death.exit_status, 40 + (int)i % 10);
    }
    assert_int_equal(kin_descriptors(), descriptors);
    /* Three of stdio, its socket, its host, and the ends of its children. */
    assert_int_equal(kin_descriptors_of(t.zygote.pid), 6);
    assert_int_equal(kin_zombies_of(t.zygote.pid), 0);
    troupe_end(&t);
}

static void *play_some(void *with)
{
    struct troupe *t = with;
    struct sh_death death;

    for (unsigned i = 0; i < 20; i++)
        if (troupe_play(t, 5, &death) != 0 || death.exit_status != 45)
            return t;
    return NULL;
}

static void threads_share_a_zygote(void **state)
{
    struct troupe t;
    pthread_t threads[4];
    unsigned failed = 0;

    (void)state;
    troupe_begin(&t, scene_return);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, play_some, &t), 0);
    for (unsigned i = 0; i < 4; i++) {
        void *result;

        pthread_join(threads[i], &result);
        failed += result != NULL;
    }
    assert_int_equal(failed, 0);
    troupe_end(&t);
}

static int returns_what_is_there(struct scene *s, unsigned worker)
{
    (void)worker;
    return s->number;
}

static void pools_have_zygotes_and_arenas_of_their_own(void **state)
{
    struct troupe t, other;
    struct sh_death death;
    pid_t seed;

    (void)state;
    troupe_begin(&t, returns_what_is_there);
    troupe_begin(&other, returns_what_is_there);
    seed = kin_parent_of(t.zygote.pid);
    /* It answers before it closes what it has sent. */
    for (unsigned i = 0; kin_descriptors_of(seed) > 5; i++) {
        assert_true(i < 100000);
        sched_yield();
    }
    t.scene->number = 1;
    other.scene->number = 2;
    assert_int_equal(troupe_play(&t, 0, &death), 0);
    assert_int_equal(death.exit_status, 1);
    assert_int_equal(troupe_play(&other, 0, &death), 0);
    assert_int_equal(death.exit_status, 2);
    sh_zygote_stop(&other.zygote);
    assert_int_equal(troupe_play(&t, 0, &death), 0);
    sh_arena_free(other.arena);
    troupe_end(&t);
}

static int has_none(void *with)
{
    struct troupe *t = with;
    struct sh_death death;
    pid_t pid;
    int pidfd;

    CHECK(sh_zygote_fork(&t->zygote, 0, &pid, &pidfd) == SHUNT_EFORKED);
    CHECK(sh_zygote_reap(&t->zygote, 1, &death) == SHUNT_EFORKED);
    sh_zygote_stop(&t->zygote);
    CHECK(troupe_zygote(t, &t->zygote) == SHUNT_EBROKEN);
    return t->zygote.why != NULL ? 0 : __LINE__;
}

static void a_child_of_the_host_has_no_zygote(void **state)
{
    struct troupe t;
    struct sh_death death;

    (void)state;
    troupe_begin(&t, scene_return);
    assert_int_equal(kin_run_host(has_none, &t), 0);
    assert_int_equal(troupe_play(&t, 0, &death), 0);
    troupe_end(&t);
}

/* A program may run whole as a task. */
static int is_a_host(struct scene *s, unsigned worker)
{
    (void)worker;
    CHECK(!sh_seed_is_up());
    for (int fd = 3; fd < 64; fd++)
        CHECK(dup(0) == fd);
    CHECK(troupe_seed() == 0 && sh_seed_is_up());
    s->number = (int)kin_children();
    sh_seed_stop();
    /* None of these is taken for one of the host's. */
    for (int fd = 3; fd < 64; fd++)
        CHECK(fcntl(fd, F_GETFD) >= 0);
    return 0;
}

static void a_worker_may_have_a_seed_of_its_own(void **state)
{
    struct troupe t;
    struct sh_death death;

    (void)state;
    troupe_begin(&t, is_a_host);
    assert_int_equal(troupe_play(&t, 0, &death), 0);
    assert_int_equal(death.signal, 0);
    assert_int_equal(death.exit_status, 0);
    assert_true(KIN_TSAN || t.scene->number == 1);
    assert_true(sh_seed_is_up());
    troupe_end(&t);
}

/* -- deaths of those above -- */

static void without_its_zygote_a_worker_dies_and_another_can_be_had(
    void **state)
{
    struct troupe t;
    struct sh_death death;
    pid_t pid;
    int worker, zygote, pidfd;

    (void)state;
    troupe_begin(&t, scene_stay);
    assert_int_equal(sh_zygote_fork(&t.zygote, 0, &pid, &worker), 0);
    scene_await(t.scene, 1);
    zygote = kin_pidfd(t.zygote.pid);
    sh_pidfd_kill(t.zygote.pidfd, SIGKILL);
    assert_true(kin_ends(zygote));
    assert_true(kin_ends(worker));
    assert_int_equal(sh_zygote_fork(&t.zygote, 0, &pid, &pidfd), SHUNT_EBROKEN);
    assert_non_null(t.zygote.why);
    assert_int_equal(sh_zygote_reap(&t.zygote, pid, &death), SHUNT_EBROKEN);
    sh_zygote_stop(&t.zygote);
    t.scene->act = scene_return;
    assert_int_equal(troupe_zygote(&t, &t.zygote), 0);
    assert_int_equal(troupe_play(&t, 1, &death), 0);
    assert_int_equal(death.exit_status, 41);
    assert_int_equal(kin_zombies_of(kin_parent_of(t.zygote.pid)), 0);
    troupe_end(&t);
}

/* The zygote may also die while it is asked. */
static void *kill_it(void *pidfd)
{
    sh_pidfd_kill(*(int *)pidfd, SIGKILL);
    return NULL;
}

static void its_death_ends_every_question(void **state)
{
    struct troupe t;
    pthread_t thread;
    pid_t pid;
    int rc, pidfd;

    (void)state;
    troupe_begin(&t, scene_stay);
    assert_int_equal(pthread_create(&thread, NULL, kill_it, &t.zygote.pidfd),
                     0);
    do {
        rc = sh_zygote_fork(&t.zygote, 0, &pid, &pidfd);
        if (rc == 0)
            assert_true((sh_pidfd_kill(pidfd, SIGKILL), kin_ends(pidfd)));
    } while (rc == 0);
    assert_int_equal(rc, SHUNT_EBROKEN);
    pthread_join(thread, NULL);
    troupe_end(&t);
}

static void without_the_seed_zygotes_go_on_but_there_are_no_more(void **state)
{
    struct troupe t;
    struct sh_zygote another;
    struct sh_death death;
    int seed;

    (void)state;
    troupe_begin(&t, scene_return);
    seed = kin_pidfd(kin_parent_of(t.zygote.pid));
    sh_pidfd_kill(seed, SIGKILL);
    assert_true(kin_ends(seed));
    assert_int_equal(troupe_zygote(&t, &another), SHUNT_EBROKEN);
    assert_non_null(another.why);
    assert_int_equal(troupe_play(&t, 2, &death), 0);
    assert_int_equal(death.exit_status, 42);
    assert_false(sh_seed_is_up());
    assert_int_equal(troupe_seed(), 0);
    assert_int_equal(troupe_zygote(&t, &another), 0);
    sh_zygote_stop(&another);
    troupe_end(&t);
}

/* A host with a worker, and a child of its own that has all its descriptors;
 * with: the pipe for the pids. */
static int waits_to_be_killed(void *with)
{
    struct troupe t;
    pid_t pids[4];
    int pidfd;

    CHECK(troupe_open(&t, scene_stay) == 0);
    CHECK(sh_zygote_fork(&t.zygote, 0, &pids[0], &pidfd) == 0);
    scene_await(t.scene, 1);
    pids[1] = t.zygote.pid;
    pids[2] = kin_parent_of(t.zygote.pid);
    pids[3] = fork();
    if (pids[3] == 0)
        kin_stay();
    CHECK(pids[3] > 0);
    CHECK(write(*(int *)with, pids, sizeof pids) == (ssize_t)sizeof pids);
    kin_stay();
}

static void all_end_with_the_host(void **state)
{
    int ends[2], pidfd[3];
    pid_t host, pids[4];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    host = kin_start_host(waits_to_be_killed, &ends[1]);
    close(ends[1]);
    assert_int_equal(read(ends[0], pids, sizeof pids), (int)sizeof pids);
    for (unsigned i = 0; i < 3; i++)
        assert_true((pidfd[i] = kin_pidfd(pids[i])) >= 0);
    assert_int_equal(kill(host, SIGKILL), 0);
    for (unsigned i = 0; i < 3; i++)
        assert_true(kin_ends(pidfd[i]));
    assert_int_equal(waitpid(host, NULL, 0), host);
    assert_int_equal(kill(pids[3], SIGKILL), 0);
    close(ends[0]);
}

/* -- what a host notices -- */

static atomic_int signals;

static void count_signal(int s)
{
    (void)s;
    atomic_fetch_add(&signals, 1);
}

static bool has_nobody_to_wait_for(void)
{
    return waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD;
}

static int sees_nothing(void *handler)
{
    struct troupe t;
    struct sh_death death;
    pid_t pid;
    int pidfd;

    CHECK(signal(SIGCHLD, *(void (**)(int))handler) != SIG_ERR);
    CHECK(troupe_open(&t, scene_return) == 0);
    for (unsigned i = 0; i < 5; i++) {
        CHECK(troupe_play(&t, i, &death) == 0 &&
              death.exit_status == 40 + (int)i);
        CHECK(has_nobody_to_wait_for());
    }
    t.scene->act = scene_stay;
    CHECK(sh_zygote_fork(&t.zygote, 0, &pid, &pidfd) == 0);
    scene_await(t.scene, 1);
    CHECK(has_nobody_to_wait_for());
    sh_pidfd_kill(t.zygote.pidfd, SIGKILL);
    CHECK(kin_ends(pidfd));
    CHECK(has_nobody_to_wait_for());
    CHECK(troupe_close(&t) == 0);
    CHECK(has_nobody_to_wait_for());
    return atomic_load(&signals) == 0 ? 0 : __LINE__;
}

static void a_host_hears_nothing_and_waits_for_nobody(void **state)
{
    void (*handler)(int) = count_signal;

    (void)state;
    assert_int_equal(kin_run_host(sees_nothing, &handler), 0);
    handler = SIG_IGN;
    assert_int_equal(kin_run_host(sees_nothing, &handler), 0);
}

/* A subreaper, as process 1 is one, gets orphans of its descendants. */
static int takes_in_orphans(void *handler)
{
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    return sees_nothing(handler);
}

static void nor_does_one_that_takes_in_orphans(void **state)
{
    void (*handler)(int) = count_signal;

    (void)state;
    assert_int_equal(kin_run_host(takes_in_orphans, &handler), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_ends_with_what_its_function_returns),
        cmocka_unit_test(a_death_by_every_signal_is_told),
        cmocka_unit_test(what_a_worker_leaves_behind_is_gone_when_it_is_reaped),
        cmocka_unit_test(orphans_do_not_stay_as_zombies),
        cmocka_unit_test(a_worker_that_lives_is_not_reaped),
        cmocka_unit_test(stop_kills_the_workers),
        cmocka_unit_test(two_hundred_workers_leave_nothing),
        cmocka_unit_test(threads_share_a_zygote),
        cmocka_unit_test(pools_have_zygotes_and_arenas_of_their_own),
        cmocka_unit_test(a_child_of_the_host_has_no_zygote),
        cmocka_unit_test(a_worker_may_have_a_seed_of_its_own),
        cmocka_unit_test(
            without_its_zygote_a_worker_dies_and_another_can_be_had),
        cmocka_unit_test(its_death_ends_every_question),
        cmocka_unit_test(without_the_seed_zygotes_go_on_but_there_are_no_more),
        cmocka_unit_test(all_end_with_the_host),
        cmocka_unit_test(a_host_hears_nothing_and_waits_for_nobody),
        cmocka_unit_test(nor_does_one_that_takes_in_orphans),
    };
    /* Under ThreadSanitizer the seed is an orphan. */
    size_t count = sizeof tests / sizeof *tests - (KIN_TSAN ? 1 : 0);

    return _cmocka_run_group_tests("zygote", tests, count, NULL, NULL);
}
