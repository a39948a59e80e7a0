/* SPDX-License-Identifier: MIT */
/*
 * step/tracer.c - a worker process, one instruction at a time: ptrace.
 *
 * It is seized while it sleeps; a system call that it was in begins anew. Its
 * code is at the same addresses here, so that what it is about to do can be
 * read there: a step into a call of futex may take long, and the others are to
 * go on meanwhile.
 *
 * A process that another one traces is a zombie for its parent only when its
 * tracer has waited for it: so we do.
 */
#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "process/symbols.h"
#include "stepper.h"

enum {
    LOOKS_AT_CALL = 200 /* until a step is said to sleep */
};

static unsigned long peek_register(const struct victim *v, size_t offset)
{
    unsigned long value;

    errno = 0;
    value = (unsigned long)ptrace(PTRACE_PEEKUSER, v->pid, offset, NULL);
    if (errno != 0)
        wrong("worker %u: no registers: %s", v->index, strerror(errno));
    return value;
}

static void note_place(struct victim *v)
{
    v->at = peek_register(v, offsetof(struct user, regs.rip));
}

/* Whether the next instruction may sleep: any system call may. */
static bool is_at_call(const struct victim *v)
{
    return memcmp((const void *)v->at, "\x0f\x05", 2) == 0;
}

/* What it has stopped for. */
static void look(struct victim *v, int status)
{
    char where[256];

    if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP) {
        note_place(v);
        return;
    }
    if (WIFSTOPPED(status)) {
        note_place(v);
        name_code(v->at, where, sizeof where);
        wrong("worker %u: signal %d at %s", v->index, WSTOPSIG(status), where);
    }
    wrong("worker %u ended by itself: status %x", v->index, (unsigned)status);
}

void victim_attach(struct victim *v, unsigned index)
{
    int status;

    *v = (struct victim){ .index = index,
                          .pid = atomic_load(&board->pid[index]) };
    if (ptrace(PTRACE_SEIZE, v->pid, NULL, NULL) != 0 ||
        ptrace(PTRACE_INTERRUPT, v->pid, NULL, NULL) != 0 ||
        waitpid(v->pid, &status, __WALL) != v->pid)
        wrong("worker %u, process %d: not to be traced: %s", index, v->pid,
              strerror(errno));
    v->attached = true;
    look(v, status);
    v->restarts = true;
}

/* It does not come back from a system call in time for others to wait. */
static bool is_back(struct victim *v, int looks)
{
    int status;

    for (int i = 0; i < looks; i++) {
        pid_t pid = waitpid(v->pid, &status, __WALL | WNOHANG);

        if (pid == v->pid) {
            v->waits = false;
            look(v, status);
            return true;
        }
        if (pid < 0)
            wrong("worker %u: waitpid: %s", v->index, strerror(errno));
        sched_yield();
    }
    return false;
}

bool victim_step(struct victim *v)
{
    int status;

    if (v->waits)
        return is_back(v, 1);
    if (ptrace(PTRACE_SINGLESTEP, v->pid, NULL, NULL) != 0)
        wrong("worker %u: no step: %s", v->index, strerror(errno));
    if (is_at_call(v) || v->restarts) {
        v->waits = true;
        v->restarts = false;
        return is_back(v, LOOKS_AT_CALL);
    }
    if (waitpid(v->pid, &status, __WALL) != v->pid)
        wrong("worker %u: waitpid: %s", v->index, strerror(errno));
    look(v, status);
    return true;
}

bool victim_reads_clock(const struct victim *v)
{
    Dl_info code;

    return dladdr((const void *)v->at, &code) != 0 &&
           (uintptr_t)code.dli_fbase == getauxval(AT_SYSINFO_EHDR);
}

void victim_kill(struct victim *v)
{
    int status;

    if (kill(v->pid, SIGKILL) != 0)
        wrong("worker %u: not to be killed: %s", v->index, strerror(errno));
    do {
        if (waitpid(v->pid, &status, __WALL) != v->pid)
            wrong("worker %u: waitpid: %s", v->index, strerror(errno));
    } while (WIFSTOPPED(status));
    v->attached = false;
}

/* Its last step ends first: else the trap behind that would kill it. */
void victim_let(struct victim *v, struct sh_pool *pool)
{
    const int64_t begin = sh_clock_ns();

    if (v->waits)
        sh_sleep_wake(&sh_camp_at(pool, v->index)->sleep, v->index);
    while (v->waits && !is_back(v, LOOKS_AT_CALL))
        if (sh_clock_ns() - begin > SHUNT_S(20))
            wrong("worker %u is told to wake up, and does not", v->index);
    if (ptrace(PTRACE_DETACH, v->pid, NULL, NULL) != 0)
        wrong("worker %u: not to be let go: %s", v->index, strerror(errno));
    v->attached = false;
}

void name_code(uintptr_t address, char *to, size_t size)
{
    struct sh_module m;
    char command[400], name[128] = "", line[256] = "", self[200] = "";
    FILE *f;

    if (!sh_module_find(address, &m)) {
        snprintf(to, size, "%#lx", (unsigned long)address);
        return;
    }
    snprintf(to, size, "%s+%#lx", m.name, (unsigned long)(address - m.bias));
    if (m.is_program && readlink("/proc/self/exe", self, sizeof self - 1) > 0)
        snprintf(m.path, sizeof m.path, "%s", self);
    snprintf(command, sizeof command, "addr2line -f -e '%s' %#lx 2>/dev/null",
             m.path, (unsigned long)(address - m.bias));
    f = popen(command, "r");
    if (f == NULL)
        return;
    if (fgets(name, sizeof name, f) != NULL && fgets(line, sizeof line, f) &&
        name[0] != '?') {
        const char *file = strrchr(line, '/');

        name[strcspn(name, "\n")] = '\0';
        line[strcspn(line, "\n (")] = '\0';
        snprintf(to, size, "%s (%s, %s+%#lx)", name,
                 file != NULL ? file + 1 : line, m.name,
                 (unsigned long)(address - m.bias));
    }
    pclose(f);
}

bool find_code(const char *name, uintptr_t *from_out, uintptr_t *to_out)
{
    char self[200] = "", command[300], line[300], symbol[200];
    unsigned long at, bytes;
    struct sh_module m;
    bool found = false;
    FILE *f;

    if (!sh_module_find((uintptr_t)find_code, &m) ||
        readlink("/proc/self/exe", self, sizeof self - 1) <= 0)
        return false;
    snprintf(command, sizeof command, "nm -S '%s'", self);
    f = popen(command, "r");
    while (f != NULL && !found && fgets(line, sizeof line, f) != NULL)
        found = sscanf(line, "%lx %lx %*c %199s", &at, &bytes, symbol) == 3 &&
                strcmp(symbol, name) == 0;
    if (f != NULL)
        pclose(f);
    *from_out = m.bias + (found ? at : 0);
    *to_out = *from_out + (found ? bytes : 0);
    return found;
}
