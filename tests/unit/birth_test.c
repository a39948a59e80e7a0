/* SPDX-License-Identifier: MIT */
/*
 * birth_test.c - what a worker has of its host, and what not: descriptors,
 * signals, names, output that waits in buffers, handlers for the end.
 *
 * Method. What workers do is a function of this file, which tells what it saw
 * in the arena (troupe.h). Claims about whole programs are made by children
 * that are hosts for a while (kin.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "kin.h"
#include "process/birth.h"
#include "process/letter.h"
#include "process/seed.h"
#include "troupe.h"

/* -- what a worker is -- */

static void *add_one(void *number)
{
    char *block = malloc(100000);

    ++*(int *)number;
    free(block);
    return block == NULL ? NULL : number;
}

/* The C library works: it knows who it is, has threads, and forks. */
static int does_as_a_program_does(struct scene *s, unsigned worker)
{
    pthread_mutexattr_t kind;
    pthread_mutex_t mutex;
    pthread_t thread;
    void *got = NULL;
    int status, number = 0;
    pid_t pid;

    (void)worker;
    s->text[0] = '\0';
    CHECK(pthread_mutexattr_init(&kind) == 0 &&
          pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ERRORCHECK) == 0 &&
          pthread_mutex_init(&mutex, &kind) == 0);
    CHECK(pthread_mutex_lock(&mutex) == 0 &&
          pthread_mutex_lock(&mutex) == EDEADLK &&
          pthread_mutex_unlock(&mutex) == 0);
    CHECK(pthread_create(&thread, NULL, add_one, &number) == 0);
    CHECK(pthread_join(thread, &got) == 0 && got == &number && number == 1);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        _exit(add_one(&number) == &number ? 3 : 4);
    CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 3);
    pid = fork();
    if (pid == 0) {
        raise(SIGUSR1); /* to the thread that the library takes itself for */
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
    CHECK(pthread_kill(pthread_self(), 0) == 0);
    return 0;
}

static void it_is_a_process_as_any_other(void **state)
{
    struct troupe t;
    struct sh_death death;

    (void)state;
    troupe_begin(&t, does_as_a_program_does);
    assert_int_equal(troupe_play(&t, 0, &death), 0);
    assert_int_equal(death.signal, 0);
    assert_int_equal(death.exit_status, 0);
    troupe_end(&t);
}

static int lists_descriptors(struct scene *s, unsigned worker)
{
    (void)worker;
    s->number = (int)kin_descriptors();
    for (int fd = 0; fd < 3; fd++)
        s->seen[fd] = fcntl(fd, F_GETFD);
    return 0;
}

static void a_worker_has_no_descriptors_but_stdio(void **state)
{
    struct troupe t;
    struct sh_death death;
    int more[20];

    (void)state;
    for (unsigned i = 0; i < 20; i++)
        assert_true((more[i] = dup(0)) >= 0);
    troupe_begin(&t, lists_descriptors);
    assert_int_equal(troupe_play(&t, 0, &death), 0);
    assert_int_equal(t.scene->number, 3);
    for (int fd = 0; fd < 3; fd++)
        assert_int_equal(t.scene->seen[fd], 0);
    troupe_end(&t);
    for (unsigned i = 0; i < 20; i++)
        close(more[i]);
}

static int prints(struct scene *s, unsigned worker)
{
    (void)worker;
    s->number = (int)kin_descriptors();
    /* Goes nowhere, rather than into something of ours. */
    s->seen[0] = write(1, "x", 1) == 1 && write(2, "x", 1) == 1;
    return 0;
}

static int has_no_stdio(void *unused)
{
    struct troupe t;
    struct sh_death death;
    int keep = fcntl(1, F_DUPFD_CLOEXEC, 10);

    (void)unused;
    close(0);
    close(1);
    close(2);
    CHECK(troupe_open(&t, prints) == 0);
    CHECK(troupe_play(&t, 0, &death) == 0 && death.exit_status == 0);
    CHECK(t.scene->number == 3 && t.scene->seen[0] == 1);
    CHECK(troupe_play(&t, 0, &death) == 0);
    CHECK(troupe_close(&t) == 0);
    close(keep);
    return 0;
}

static void it_has_stdio_also_if_the_host_has_none(void **state)
{
    (void)state;
    assert_int_equal(kin_run_host(has_no_stdio, NULL), 0);
}

/* -- signals -- */

static void handle(int s)
{
    (void)s;
    _exit(77);
}

static int looks_at_signals(struct scene *s, unsigned worker)
{
    sigset_t blocked;
    struct sigaction action;

    (void)worker;
    CHECK(sigprocmask(SIG_SETMASK, NULL, &blocked) == 0);
    for (int i = 1; i < NSIG; i++)
        CHECK(!sigismember(&blocked, i));
    for (int i = 1; i <= 31; i++) {
        CHECK(sigaction(i, NULL, &action) == 0);
        CHECK(action.sa_handler == (i == s->number ? SIG_IGN : SIG_DFL));
    }
    return 0;
}

static int has_handlers(void *unused)
{
    static const int some[] = { SIGTERM, SIGINT, SIGSEGV, SIGUSR1, SIGCHLD };
    struct troupe t;
    struct sh_death death;
    sigset_t all;

    (void)unused;
    for (unsigned i = 0; i < sizeof some / sizeof *some; i++)
        CHECK(signal(some[i], handle) != SIG_ERR);
    CHECK(signal(SIGHUP, SIG_IGN) != SIG_ERR);
    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    sigfillset(&all);
    CHECK(sigprocmask(SIG_BLOCK, &all, NULL) == 0);
    CHECK(troupe_open(&t, looks_at_signals) == 0);
    t.scene->number = SIGPIPE;
    CHECK(troupe_play(&t, 0, &death) == 0);
    CHECK(death.signal == 0 && death.exit_status == 0);
    /* The host's are as they were. */
    CHECK(signal(SIGTERM, handle) == handle);
    return troupe_close(&t);
}

static void handlers_and_masks_are_the_host_s_alone(void **state)
{
    (void)state;
    assert_int_equal(kin_run_host(has_handlers, NULL), 0);
}

/* A signal for the whole group of the host, as a terminal sends it. */
static int is_interrupted(void *unused)
{
    static const int sent[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
    struct troupe t;
    struct sh_death death;
    pid_t pid;
    int pidfd;

    (void)unused;
    CHECK(setpgid(0, 0) == 0);
    CHECK(troupe_open(&t, scene_stay) == 0);
    CHECK(sh_zygote_fork(&t.zygote, 0, &pid, &pidfd) == 0);
    scene_await(t.scene, 1);
    for (unsigned i = 0; i < 4; i++) {
        CHECK(signal(sent[i], SIG_IGN) != SIG_ERR);
        CHECK(kill(0, sent[i]) == 0);
    }
    /* Whoever got it would have it by the time that it gets this. */
    CHECK(kill(pid, SIGUSR2) == 0 && kin_ends(pidfd));
    CHECK(sh_zygote_reap(&t.zygote, pid, &death) == 0);
    CHECK(death.signal == SIGUSR2);
    CHECK(sh_seed_is_up() && !sh_pidfd_ended(t.zygote.pidfd));
    return troupe_close(&t);
}

static void signals_to_the_host_s_group_do_not_reach_workers(void **state)
{
    (void)state;
    assert_int_equal(kin_run_host(is_interrupted, NULL), 0);
}

/* Neither a terminal's end nor its signals concern them; and no handler of the
 * host runs in those that only fork. */
static void they_have_a_session_and_block_what_they_can(void **state)
{
    struct troupe t;
    pid_t pid, seed;
    int pidfd;

    (void)state;
    troupe_begin(&t, scene_stay);
    assert_int_equal(sh_zygote_fork(&t.zygote, 0, &pid, &pidfd), 0);
    scene_await(t.scene, 1);
    seed = kin_parent_of(t.zygote.pid);
    assert_int_equal(getsid(seed), seed);
    assert_int_equal(getsid(t.zygote.pid), seed);
    assert_int_equal(getsid(pid), seed);
    assert_int_equal(getpgid(t.zygote.pid), t.zygote.pid);
    assert_int_equal(getpgid(pid), pid);
    for (unsigned i = 0; i < 2; i++) {
        char text[4096];
        const char *line;

        (void)kin_read(i == 0 ? seed : t.zygote.pid, "status", text,
                       sizeof text);
        line = strstr(text, "SigBlk:");
        assert_non_null(line);
        assert_int_equal(strtoull(line + 7, NULL, 16) & 0x7fffffff,
                         0x7fffffff & ~(1 << (SIGKILL - 1)) &
                             ~(1 << (SIGSTOP - 1)));
    }
    close(pidfd);
    troupe_end(&t);
}

static void what_the_host_has_of_them_is_closed_by_exec(void **state)
{
    struct troupe t;
    bool open[256];

    (void)state;
    for (int fd = 0; fd < 256; fd++)
        open[fd] = fcntl(fd, F_GETFD) >= 0;
    troupe_begin(&t, scene_stay);
    assert_int_equal(kin_descriptors(), t.descriptors + 5);
    for (int fd = 0; fd < 256; fd++) {
        int flags = fcntl(fd, F_GETFD);

        assert_true(open[fd] || flags < 0 || (flags & FD_CLOEXEC) != 0);
    }
    troupe_end(&t);
}

/* -- names -- */

static char *kept_argument;

static int reads_argument(struct scene *s, unsigned worker)
{
    (void)worker;
    (void)snprintf(s->text, sizeof s->text, "%s", kept_argument);
    scene_reach(s, 1);
    kin_stay();
}

static void lists_of_processes_say_what_it_is(void **state)
{
    static const struct {
        unsigned worker;
        const char *brief;
    } row[] = { { 3, "shunt: worker 3\n" }, { 1023, "shunt: w1023\n" } };
    struct troupe t;
    char text[256], wanted[64];

    (void)state;
    troupe_begin(&t, reads_argument);
    for (unsigned i = 0; i < 2; i++) {
        pid_t pid;
        int pidfd;

        sh_store_sc(&t.scene->step, 0);
        assert_int_equal(sh_zygote_fork(&t.zygote, row[i].worker, &pid, &pidfd),
                         0);
        scene_await(t.scene, 1);
        kin_read(pid, "comm", text, sizeof text);
        assert_string_equal(text, row[i].brief);
        kin_read(pid, "cmdline", text, sizeof text);
        (void)snprintf(wanted, sizeof wanted, "shunt: worker %u (troupe)",
                       row[i].worker);
        assert_string_equal(text, wanted);
        /* The arguments, to which a program may point, are as they were. */
        assert_string_equal(t.scene->text, kept_argument);
        close(pidfd);
    }
    kin_read(t.zygote.pid, "comm", text, sizeof text);
    assert_string_equal(text, "shunt: zygote\n");
    kin_read(kin_parent_of(t.zygote.pid), "comm", text, sizeof text);
    assert_string_equal(text, "shunt: seed\n");
    troupe_end(&t);
}

static void workers_go_first_when_memory_is_short(void **state)
{
    struct troupe t;
    char text[32];
    pid_t pid;
    int pidfd, own;

    (void)state;
    (void)kin_read(getpid(), "oom_score_adj", text, sizeof text);
    own = atoi(text);
    troupe_begin(&t, scene_stay);
    assert_int_equal(sh_zygote_fork(&t.zygote, 0, &pid, &pidfd), 0);
    scene_await(t.scene, 1);
    (void)kin_read(pid, "oom_score_adj", text, sizeof text);
    assert_int_equal(atoi(text), own + 500 < 1000 ? own + 500 : 1000);
    (void)kin_read(t.zygote.pid, "oom_score_adj", text, sizeof text);
    assert_int_equal(atoi(text), own);
    close(pidfd);
    troupe_end(&t);
}

/* -- exit() -- */

static struct scene *here;

static void note_exit(int status)
{
    here->number = status;
    here->other = getpid();
}

static void of_the_task(void)
{
    here->seen[0] = here->number;
}

static int leaves(struct scene *s, unsigned worker)
{
    (void)worker;
    here = s;
    s->pid = getpid();
    s->number = 0;
    sh_birth_on_exit(note_exit);
    if (atexit(of_the_task) != 0)
        return 1;
    s->seen[0] = -1;
    printf("worker;");
    exit(7);
}

static void of_the_host(void)
{
    (void)!write(1, "atexit;", 7);
}

static int printed; /* reading end of what the host below prints to */

static int has_printed(void *out)
{
    struct troupe t;
    struct sh_death death;
    FILE *more;

    close(printed);
    CHECK(dup2(*(int *)out, 1) == 1);
    close(*(int *)out);
    more = fdopen(dup(1), "w");
    CHECK(more != NULL && atexit(of_the_host) == 0);
    CHECK(printf("host;") > 0 && fprintf(more, "more;") > 0);
    CHECK(troupe_open(&t, leaves) == 0);
    CHECK(troupe_play(&t, 0, &death) == 0);
    CHECK(death.signal == 0 && death.exit_status == 7);
    CHECK(t.scene->number == 7 && t.scene->other == t.scene->pid);
    CHECK(t.scene->seen[0] == 0); /* before the hook */
    CHECK(troupe_close(&t) == 0);
    CHECK(fclose(more) == 0 && fflush(stdout) == 0);
    return 0;
}

static void exit_writes_and_calls_nothing_of_the_host_s(void **state)
{
    int ends[2], rc;
    char text[256];
    ssize_t n;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    printed = ends[0];
    fflush(stdout);
    rc = kin_run_host(has_printed, &ends[1]);
    close(ends[1]);
    n = read(ends[0], text, sizeof text - 1);
    close(ends[0]);
    assert_int_equal(rc, 0);
    assert_true(n >= 0);
    text[n] = '\0';
    assert_string_equal(text, "worker;more;host;");
}

/* A child of a task that exits is not the worker that exits. */
static int has_a_child_that_leaves(struct scene *s, unsigned worker)
{
    int status;
    pid_t pid;

    (void)worker;
    here = s;
    s->number = -1;
    sh_birth_on_exit(note_exit);
    pid = fork();
    if (pid == 0)
        exit(9);
    CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 9);
    return s->number == -1 ? 0 : 1;
}

static void the_hook_is_for_the_worker_alone(void **state)
{
    struct troupe t;
    struct sh_death death;

    (void)state;
    troupe_begin(&t, has_a_child_that_leaves);
    assert_int_equal(troupe_play(&t, 0, &death), 0);
    assert_int_equal(death.exit_status, 0);
    assert_int_equal(t.scene->number, -1);
    troupe_end(&t);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_a_process_as_any_other),
        cmocka_unit_test(a_worker_has_no_descriptors_but_stdio),
        cmocka_unit_test(it_has_stdio_also_if_the_host_has_none),
        cmocka_unit_test(handlers_and_masks_are_the_host_s_alone),
        cmocka_unit_test(signals_to_the_host_s_group_do_not_reach_workers),
        cmocka_unit_test(they_have_a_session_and_block_what_they_can),
        cmocka_unit_test(what_the_host_has_of_them_is_closed_by_exec),
        cmocka_unit_test(lists_of_processes_say_what_it_is),
        cmocka_unit_test(workers_go_first_when_memory_is_short),
        cmocka_unit_test(exit_writes_and_calls_nothing_of_the_host_s),
        cmocka_unit_test(the_hook_is_for_the_worker_alone),
    };

    (void)argc;
    kept_argument = argv[0];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
