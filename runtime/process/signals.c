/* SPDX-License-Identifier: MIT */
/* process/signals.c - what signals are called: see signals.h. */
#include "process/signals.h"

#include <signal.h>
#include <stddef.h>

#define UNNAMED "a signal without a name"

/* clang-format off */
#define SIGNALS(X)                                        \
    X(SIGSEGV, "segmentation fault")                      \
    X(SIGBUS, "bus error")                                \
    X(SIGILL, "illegal instruction")                      \
    X(SIGFPE, "arithmetic error")                         \
    X(SIGABRT, "aborted")                                 \
    X(SIGTRAP, "trap")                                    \
    X(SIGSYS, "forbidden system call")                    \
    X(SIGKILL, "killed")                                  \
    X(SIGXCPU, "processor time used up")                  \
    X(SIGXFSZ, "file too large")                          \
    X(SIGTERM, "asked to end")                            \
    X(SIGHUP, "hangup")                                   \
    X(SIGINT, "interrupt")                                \
    X(SIGQUIT, "quit")                                    \
    X(SIGPIPE, "nobody reads the pipe")                   \
    X(SIGALRM, "alarm")                                   \
    X(SIGVTALRM, "alarm of a virtual clock")              \
    X(SIGPROF, "alarm of a profiler")                     \
    X(SIGUSR1, "of the user's own")                       \
    X(SIGUSR2, "of the user's own")                       \
    X(SIGIO, "a descriptor is ready")                     \
    X(SIGPWR, "power failure")                            \
    X(SIGSTKFLT, "stack fault")                           \
    X(SIGSTOP, "stopped")                                 \
    X(SIGTSTP, "stopped")                                 \
    X(SIGTTIN, "read from the terminal")                  \
    X(SIGTTOU, "wrote to the terminal")                   \
    X(SIGCONT, "goes on")                                 \
    X(SIGCHLD, "a child ended")                           \
    X(SIGURG, "urgent data")                              \
    X(SIGWINCH, "window changed")

struct row {
    int sig;
    const char *name, *text;
};

static const struct row rows[] = {
#define ROW(sig, what) { sig, #sig, #sig " (" what ")" },
    SIGNALS(ROW)
#undef ROW
};
/* clang-format on */

static const struct row *find(int sig)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].sig == sig)
            return &rows[i];
    return NULL;
}

const char *sh_signal_text(int sig)
{
    const struct row *row = find(sig);

    return row == NULL ? UNNAMED : row->text;
}

const char *sh_signal_name(int sig)
{
    const struct row *row = find(sig);

    return row == NULL ? UNNAMED : row->name;
}
