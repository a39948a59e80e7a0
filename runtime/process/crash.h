/* SPDX-License-Identifier: MIT */
/*
 * process/crash.h - what is known of the death of a worker process.
 *
 *     worker: signal --> struct sh_crash, in shared memory --> dies of it
 *     host:                    after the death, sh_crash_tell --> error
 *
 * Idea. A worker process has a record in the pool's arena. When a signal that
 * means a crash comes, a handler on a stack of its own writes into it what only
 * that process can know, and then has the process die of the signal as if there
 * had been no handler. All that can wait is left to the host: what the address
 * was, and what the code is called (symbols.h).
 *
 * A task's own handler for such a signal takes the place of ours; then there is
 * no record unless that handler lets the process die with ours restored.
 * SIGKILL, _exit and a death in the kernel leave none at all: then the wait
 * status alone tells.
 *
 * Threads that a task has started have no stack for signals: if one of them
 * overflows its stack, nothing is recorded. Processes that it has forked, and
 * that crash, are none of ours: they die without a record.
 *
 * AddressSanitizer loses its report of such signals to ours, and of memory
 * errors none: it writes that, and exits.
 *
 * Edges.
 *   facts   handler: write state -> host: read state   signal .. sp
 *   frames  handler: write depth -> host: read depth   frames
 *   left    exit: write exited -> host: read exited    exit_status
 *
 * Crash. The writer may die between any two stores, by a fault of its own in
 * the handler or by SIGKILL. WRITING: nothing is known but that there was a
 * signal. FACTS: all but the words is there, and so many frames as depth says;
 * of a deep stack one of the last may be another's. words ends with a zero,
 * always. Nobody repairs a record; the next worker that installs it clears it.
 * The host trusts no number in it, as a wild write may have hit it.
 */
#ifndef SH_PROCESS_CRASH_H
#define SH_PROCESS_CRASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include "base/atomic.h"
#include "shunt/task.h"
#include "task/error.h"

#define SH_CRASH_FRAMES 64u
#define SH_CRASH_TAIL 16u /* of those, the outermost: a ring */
#define SH_CRASH_WORDS 256u

enum sh_crash_state {
    SH_CRASH_EMPTY,
    SH_CRASH_WRITING, /* nothing of it is to be believed */
    SH_CRASH_FACTS,   /* frames and words may be missing */
    SH_CRASH_WHOLE
};

struct sh_crash {
    _Atomic uint32_t state;
    int32_t signal, code; /* code: si_code */
    int32_t pid, sender;  /* of the process; of who sent the signal, or 0 */
    int32_t number;       /* of a system call that was forbidden */
    uint64_t address;     /* of a hardware fault, if has_address */
    uint64_t pc, sp;
    uint64_t bytes, bytes_max; /* of its own memory: had, might have; or 0 */
    uint32_t has_address;
    uint32_t refused;       /* errno said that there was no memory */
    _Atomic uint32_t depth; /* frames there were, perhaps more than fit */
    _Atomic uint32_t exited;
    int32_t exit_status;              /* that exit() was called with */
    uint64_t frames[SH_CRASH_FRAMES]; /* innermost first; 0 is pc, the others
                                         are return addresses */
    char words[SH_CRASH_WORDS];       /* the C library's last, if it aborted */
};
_Static_assert(sizeof(struct sh_crash) <= 1024, "one of each worker");

/* What the host knows of the process and cannot find out by itself. */
struct sh_crash_map {
    const shunt_task *task;          /* that it ran, or NULL */
    const void *stack;               /* that it ran on: its lower end, */
    size_t stack_bytes, guard_bytes; /* above the guard; NULL: unknown */
    bool (*has)(const void *pool, const void *address); /* whether the pool's */
    const void *pool; /* memory is there; may be NULL */
};

enum sh_crash_kind {
    SH_CRASH_UNKNOWN,    /* no facts */
    SH_CRASH_NULL,       /* an address below 64 KiB */
    SH_CRASH_STACK,      /* no room left on the stack */
    SH_CRASH_PRIVATE,    /* memory that only the host has */
    SH_CRASH_LIBRARY,    /* a library that only the host has */
    SH_CRASH_ARENA,      /* the pool's memory, but nobody's */
    SH_CRASH_FOREIGN,    /* another pool's memory, or once one's */
    SH_CRASH_READ_ONLY,  /* mapped, but not for that */
    SH_CRASH_NOWHERE,    /* an address where nothing is */
    SH_CRASH_NO_ADDRESS, /* the processor does not tell */
    SH_CRASH_MISALIGNED,
    SH_CRASH_NO_MEMORY, /* SIGBUS: nothing behind the mapping */
    SH_CRASH_ARITHMETIC,
    SH_CRASH_INSTRUCTION,
    SH_CRASH_TRAP,
    SH_CRASH_CALL, /* a forbidden system call */
    SH_CRASH_ABORT,
    SH_CRASH_SENT /* by kill or raise */
};

/* -- in the worker -- */

/* Record in where, from now on, how this process ends. False, and
 * handlers perhaps installed, if the system refuses. Once in a process, by the
 * thread that runs the tasks. */
bool sh_crash_install(struct sh_crash *where);

/* Record that this process calls exit(status). Does nothing in another process
 * than the one that installed. */
void sh_crash_exit(struct sh_crash *c, int status);

/* Whether a signal is one of those that are recorded. */
bool sh_crash_records(int sig);

/* -- in the host, once the process is dead; any thread -- */

enum sh_crash_kind sh_crash_classify(const struct sh_crash *c,
                                     const struct sh_crash_map *map);

/*
 * Say how a process ended: one sentence without its subject, such as "crashed:
 * SIGSEGV at 0x10: dereferenced NULL", the text of a SHUNT_ECRASHED, cut to its
 * size, which may be 0.
 *
 * c, use and map may be NULL, and wait_status, that of waitpid, negative, if
 * there is none.
 */
void sh_crash_tell(const struct sh_crash *c, int wait_status,
                   const struct rusage *use, const struct sh_crash_map *map,
                   char *text, size_t size);

/* The frames that were recorded, none if c is NULL. */
void sh_crash_trace(const struct sh_crash *c, struct sh_trace *trace);

/* Put into f what is known in numbers: signal, exit status, address, use. */
void sh_crash_fill(struct sh_failure *f, const struct sh_crash *c,
                   int wait_status, const struct rusage *use);

#endif /* SH_PROCESS_CRASH_H */
