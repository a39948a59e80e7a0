/* SPDX-License-Identifier: MIT */
/* may_trace.c - whether a process may trace its children: for meson.build. */
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    pid_t pid = fork();
    long rc;

    if (pid == 0) {
        pause();
        _exit(0);
    }
    if (pid < 0)
        return 1;
    rc = ptrace(PTRACE_SEIZE, pid, NULL, NULL);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, __WALL);
    return rc != 0;
}
