/* SPDX-License-Identifier: MIT */
/*
 * process/crash.c - recording, in the dying process: see crash.h. What the host
 * makes of it is in verdict.c.
 *
 * Idea. The record is filled in the order of what it costs to be wrong: the
 * facts that the kernel brought, then the frames, one by one. _Unwind_Backtrace
 * is no function for a signal handler: it reads the stack and the tables of a
 * program that is broken. So whatever goes wrong in it ends the process by the
 * first signal, with what is there: a second fault comes to the same handler,
 * which knows its thread, or, if it is the same signal, ends the process at
 * once; and an unwinder that does not come back meets an alarm.
 *
 * A jump to where no code is leaves a program counter that no table knows. But
 * a call has left a return address: the handler's context is changed to that,
 * and the unwinder goes on from the call.
 */
#include "process/crash.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#include "base/assert.h"
#include "base/fault.h"
#include "memory/pages.h"
#include "process/limit.h"

#define STACK_BYTES \
    ((size_t)64 * 1024) /* and what the processor's state takes */
#define SECONDS_MAX 2u  /* for all of the recording */
#define WALK_MAX 65536u /* frames that are looked at */
#define LOOK_MS 100
#define HEAD (SH_CRASH_FRAMES - SH_CRASH_TAIL)

static const int signals[] = { SIGSEGV, SIGBUS,  SIGILL, SIGFPE,
                               SIGABRT, SIGTRAP, SIGSYS };

/* The layout of what the C library, glibc, says before it aborts. */
struct words {
    unsigned size;
    char text[];
};

/* Of the process that installed; written once. */
static struct sh_crash *record;
static pid_t owner;
static const struct words *const *last_words;

static _Atomic int recorder; /* thread that records, or 0 */
static volatile sig_atomic_t first;

/* -- the processor's part of a context -- */

#if defined(__x86_64__)
static uintptr_t pc_of(const ucontext_t *u)
{
    return (uintptr_t)u->uc_mcontext.gregs[REG_RIP];
}

static uintptr_t sp_of(const ucontext_t *u)
{
    return (uintptr_t)u->uc_mcontext.gregs[REG_RSP];
}

/* As if the call that led to pc had not been made: pc is then within it. */
static void undo_call(ucontext_t *u)
{
    u->uc_mcontext.gregs[REG_RIP] = *(const greg_t *)sp_of(u) - 1;
    u->uc_mcontext.gregs[REG_RSP] += (greg_t)sizeof(greg_t);
}
#elif defined(__aarch64__)
static uintptr_t pc_of(const ucontext_t *u)
{
    return (uintptr_t)u->uc_mcontext.pc;
}

static uintptr_t sp_of(const ucontext_t *u)
{
    return (uintptr_t)u->uc_mcontext.sp;
}

static void undo_call(ucontext_t *u)
{
    u->uc_mcontext.pc = u->uc_mcontext.regs[30] - 1;
}
#endif

/* -- the end -- */

static int thread_id(void)
{
    return (int)syscall(SYS_gettid);
}

/* Die of a signal, as if nobody handled it. */
static _Noreturn void end(int sig)
{
    sigset_t set;

    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        signal(signals[i], SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, sig);
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
    (void)syscall(SYS_tgkill, getpid(), thread_id(), sig);
    /* The first process of a container does not die of its own signals. */
    _exit(128 + sig);
}

static void on_late(int sig)
{
    (void)sig;
    end(first);
}

static void limit_time(void)
{
    struct sigaction action = { .sa_handler = on_late };
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    (void)sigaction(SIGALRM, &action, NULL);
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
    (void)alarm(SECONDS_MAX);
}

/* -- what is recorded -- */

/* A fault that the processor found, at an address that it told. */
static bool has_address(const siginfo_t *info)
{
    switch (info->si_signo) {
    case SIGSEGV:
    case SIGBUS:
    case SIGILL:
    case SIGFPE:
    case SIGTRAP:
        return info->si_code > 0 && info->si_code != SI_KERNEL;
    default:
        return false;
    }
}

static void put_facts(struct sh_crash *c, const siginfo_t *info,
                      const ucontext_t *context)
{
    c->signal = info->si_signo;
    c->code = info->si_code;
    c->pid = owner;
    if (info->si_code <= 0)
        c->sender = info->si_pid;
    else if (info->si_signo == SIGSYS)
        c->number = info->si_syscall;
    if (has_address(info)) {
        c->address = (uintptr_t)info->si_addr;
        c->has_address = 1;
    }
    c->pc = pc_of(context);
    c->sp = sp_of(context);
    sh_store_rel(&c->state, SH_CRASH_FACTS); /* release: facts */
}

static void put_frame(struct sh_crash *c, uintptr_t pc)
{
    uint32_t n = sh_load_rlx(&c->depth); /* relaxed: ours */

    c->frames[n < HEAD ? n : HEAD + (n - HEAD) % SH_CRASH_TAIL] = pc;
    sh_store_rel(&c->depth, n + 1); /* release: frames */
}

struct walk {
    struct sh_crash *crash;
    bool begun;  /* past the handler's frames */
    bool undone; /* the context is that of a caller */
};

static _Unwind_Reason_Code step(struct _Unwind_Context *context, void *arg)
{
    struct walk *walk = arg;
    int exact = 0; /* the frame was interrupted, and has called nobody */
    uintptr_t pc = _Unwind_GetIPInfo(context, &exact);

    if (!walk->begun) {
        walk->begun = exact != 0;
        if (!walk->begun || !walk->undone)
            return _URC_NO_REASON;
    }
    if (pc == 0) /* what began the thread has no caller */
        return _URC_END_OF_STACK;
    put_frame(walk->crash, pc + (exact != 0));
    if (sh_load_rlx(&walk->crash->depth) >= WALK_MAX) /* relaxed: ours */
        return _URC_END_OF_STACK;
    return _URC_NO_REASON;
}

static void put_frames(struct sh_crash *c, ucontext_t *context)
{
    struct walk walk = { .crash = c };

    put_frame(c, c->pc);
    if (c->has_address && c->address == c->pc &&
        (c->signal == SIGSEGV || c->signal == SIGBUS)) {
        undo_call(context);
        walk.undone = true;
    }
    (void)_Unwind_Backtrace(step, &walk);
}

/* The last byte stays 0. */
static void put_words(struct sh_crash *c)
{
    const struct words *words =
        c->signal == SIGABRT && last_words != NULL ? *last_words : NULL;

    for (unsigned i = 0; words != NULL && i < SH_CRASH_WORDS - 1; i++) {
        char letter = words->text[i];

        if (letter == '\0' || letter == '\n')
            return;
        c->words[i] = letter < ' ' && letter > '\0' ? ' ' : letter;
    }
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
    bool refused = errno == ENOMEM;
    int who = 0;

    /* A child of the task has our handlers, and perhaps our record. */
    if (getpid() != owner)
        end(sig);
    if (!sh_cas_rlx(&recorder, &who, thread_id())) { /* relaxed: a number */
        if (who == thread_id())
            end(first);
        /* Until another thread has recorded what it met first. In calls that
         * end: valgrind may come to end the process just before one of them. */
        for (;;)
            (void)poll(NULL, 0, LOOK_MS);
    }
    first = sig;
    limit_time();
    sh_store_rlx(&record->state, SH_CRASH_WRITING); /* relaxed: nothing yet */
    put_facts(record, info, context);
    put_words(record);
    record->refused = refused;
    record->bytes = sh_limit_taken();
    put_frames(record, context);
    sh_store_rel(&record->state, SH_CRASH_WHOLE); /* release: facts */
    end(sig);
}

bool sh_crash_records(int sig)
{
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        if (signals[i] == sig)
            return true;
    return false;
}

void sh_crash_exit(struct sh_crash *c, int status)
{
    if (getpid() != owner)
        return;
    c->exit_status = status;
    sh_store_rel(&c->exited, 1); /* release: left */
}

/* -- installing -- */

static _Unwind_Reason_Code stop(struct _Unwind_Context *context, void *arg)
{
    (void)context;
    (void)arg;
    return _URC_END_OF_STACK;
}

/* A guarded stack for handlers; it stays until the process ends. */
static bool make_stack(void)
{
    size_t guard = sh_pages_size();
    size_t bytes = STACK_BYTES + sh_pages_round(getauxval(AT_MINSIGSTKSZ) + 1);
    char *pages = sh_pages_map(guard + bytes, SH_PAGES_STACK);
    stack_t stack = { .ss_size = bytes };

    if (pages == NULL)
        return false;
    stack.ss_sp = pages + guard;
    if (sh_pages_guard(pages, guard) && !sh_fault() &&
        sigaltstack(&stack, NULL) == 0)
        return true;
    sh_pages_unmap(pages, guard + bytes);
    return false;
}

bool sh_crash_install(struct sh_crash *where)
{
    struct sigaction action = { .sa_sigaction = on_signal,
                                .sa_flags = SA_SIGINFO | SA_ONSTACK };

    memset(where, 0, sizeof *where);
    record = where;
    owner = getpid();
    sh_store_rlx(&recorder, 0); /* relaxed: no handler yet */
    last_words = dlvsym(RTLD_DEFAULT, "__abort_msg", "GLIBC_PRIVATE");
    /* What is bound or loaded at its first use shall not be so in a handler. */
    (void)_Unwind_Backtrace(stop, NULL);
    if (!make_stack())
        return false;
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        if (sh_fault() || sigaction(signals[i], &action, NULL) != 0)
            return false;
    return true;
}
