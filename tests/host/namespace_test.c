/* SPDX-License-Identifier: MIT */
/*
 * namespace_test.c - programs in a namespace of processes of their own, as in a
 * container: pools of processes work in them.
 *
 * Method. As host_test.c. Where no such namespace can be made these claims
 * fail, and are not registered.
 */
#include "host.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum proc {
    OF_OUTSIDE,
    OWN_PROC
};

static int is_first(void *arg)
{
    int line;

    CHECK(getpid() == 1);
    CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
    if (*(enum proc *)arg == OWN_PROC) {
        CHECK(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
        CHECK(mount("proc", "/proc", "proc", 0, NULL) == 0);
    }
    line = host_uses_a_pool();
    if (line != 0)
        return line;
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    return 0;
}

static int makes_a_namespace(void *arg)
{
    int flags = CLONE_NEWPID | CLONE_NEWNS;

    CHECK(unshare(flags) == 0 || unshare(flags | CLONE_NEWUSER) == 0);
    return kin_run_host(is_first, arg);
}

static void a_host_may_be_process_1(void **state)
{
    (void)state;
    assert_int_equal(kin_run_host(makes_a_namespace, &(enum proc){ OWN_PROC }),
                     0);
}

/* What /proc/17 says is then of another process. */
static void proc_may_be_that_of_another_namespace(void **state)
{
    (void)state;
    assert_int_equal(
        kin_run_host(makes_a_namespace, &(enum proc){ OF_OUTSIDE }), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        HOST_CLAIM(a_host_may_be_process_1),
        HOST_CLAIM(proc_may_be_that_of_another_namespace),
    };

    return HOST_CLAIMS(argc, argv, tests);
}
