/* SPDX-License-Identifier: MIT */
/*
 * process/verdict.c - what the host makes of a record: see crash.h.
 *
 * Idea. What an address was is told by what it is in the host: workers have
 * the host's memory as it was when they were forked, so what the host can read
 * now and the worker could not (SEGV_MAPERR) came later, and is private to the
 * host. The host may have given it back meanwhile; then the address is one of
 * nothing.
 *
 * Edges, as in crash.h. Death has ordered them already; the words that are
 * read tell how far the writer came.
 *   facts   handler: write state -> host: read state   signal .. sp
 *   frames  handler: write depth -> host: read depth   frames
 *   left    exit: write exited -> host: read exited    exit_status
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/fault.h"
#include "memory/arena.h"
#include "memory/pages.h"
#include "process/crash.h"
#include "process/signals.h"
#include "process/symbols.h"

#define NULL_BYTES ((uint64_t)64 * 1024)
/* How far from its stack pointer a stack is still used. */
#define STACK_REACH ((uint64_t)64 * 1024)

_Static_assert(SH_TRACE_MAX >= SH_CRASH_FRAMES, "a trace has all frames");

static bool has_facts(const struct sh_crash *c)
{
    /* acquire: facts */
    return c != NULL && sh_load_acq(&c->state) >= SH_CRASH_FACTS;
}

/* -- what kind it was -- */

/* Whether this process can read that byte. */
static bool is_readable(uint64_t address)
{
    char byte;
    unsigned char resident;
    struct iovec to = { &byte, 1 }, from = { (void *)(uintptr_t)address, 1 };
    uintptr_t page = (uintptr_t)address & ~(uintptr_t)(sh_pages_size() - 1);

    if (!sh_fault()) {
        if (process_vm_readv(getpid(), &to, 1, &from, 1, 0) == 1)
            return true;
        if (errno == EFAULT)
            return false;
    }
    /* Sandboxes forbid that. Whether it is mapped is nearly as much. */
    return mincore((void *)page, 1, &resident) == 0;
}

/* In its guard, or where a large frame that stepped over that begins. */
static bool is_overflow(const struct sh_crash *c,
                        const struct sh_crash_map *map)
{
    uint64_t low = (uintptr_t)map->stack;

    if (map->stack == NULL || c->address >= low)
        return false;
    return low - c->address <= map->guard_bytes ||
           (c->sp < low && c->address + STACK_REACH >= c->sp &&
            c->address <= c->sp + STACK_REACH);
}

static enum sh_crash_kind kind_of_address(const struct sh_crash *c,
                                          const struct sh_crash_map *map)
{
    const void *address = (const void *)(uintptr_t)c->address;
    struct sh_module m;

    if (!c->has_address)
        return SH_CRASH_NO_ADDRESS;
    if (c->address < NULL_BYTES)
        return SH_CRASH_NULL;
    if (is_overflow(c, map))
        return SH_CRASH_STACK;
    if (map->has != NULL && map->has(map->pool, address))
        return SH_CRASH_ARENA;
    if (sh_range_has(address))
        return SH_CRASH_FOREIGN;
    if (c->code != SEGV_MAPERR)
        return SH_CRASH_READ_ONLY;
    if (sh_module_find((uintptr_t)c->address, &m))
        return SH_CRASH_LIBRARY;
    return is_readable(c->address) ? SH_CRASH_PRIVATE : SH_CRASH_NOWHERE;
}

enum sh_crash_kind sh_crash_classify(const struct sh_crash *c,
                                     const struct sh_crash_map *map)
{
    static const struct sh_crash_map nothing;

    if (!has_facts(c))
        return SH_CRASH_UNKNOWN;
    if (c->signal == SIGABRT && c->sender == c->pid)
        return SH_CRASH_ABORT;
    if (c->code <= 0)
        return SH_CRASH_SENT;
    switch (c->signal) {
    case SIGSEGV:
        return kind_of_address(c, map != NULL ? map : &nothing);
    case SIGBUS:
        return c->code == BUS_ADRALN ? SH_CRASH_MISALIGNED : SH_CRASH_NO_MEMORY;
    case SIGFPE:
        return SH_CRASH_ARITHMETIC;
    case SIGILL:
        return SH_CRASH_INSTRUCTION;
    case SIGTRAP:
        return SH_CRASH_TRAP;
    case SIGSYS:
        return SH_CRASH_CALL;
    default:
        return SH_CRASH_UNKNOWN;
    }
}

/* -- sentences -- */

/* A part of a sentence, as long as there is room. */
struct text {
    char *to;
    size_t size, used;
};

static void put(struct text *t, const char *format, ...) SHUNT_PRINTF_(2, 3);

static void put(struct text *t, const char *format, ...)
{
    va_list args;
    int length;

    if (t->used >= t->size)
        return;
    va_start(args, format);
    length = vsnprintf(t->to + t->used, t->size - t->used, format, args);
    va_end(args);
    if (length > 0)
        t->used += (size_t)length;
}

/* "12 KiB", "3.5 GiB" */
static void put_bytes(struct text *t, uint64_t bytes)
{
    static const char *const units[] = { "KiB", "MiB", "GiB", "TiB" };
    uint64_t tenths = bytes * 10 / 1024;
    unsigned unit = 0;

    while (tenths >= 10240 && unit < 3) {
        tenths /= 1024;
        unit++;
    }
    if (unit == 0 || tenths >= 1000 || tenths % 10 == 0)
        put(t, "%" PRIu64 " %s", tenths / 10, units[unit]);
    else
        put(t, "%" PRIu64 ".%" PRIu64 " %s", tenths / 10, tenths % 10,
            units[unit]);
}

static const char *sentence_of(enum sh_crash_kind kind,
                               const struct sh_crash *c)
{
    bool jumped = c->has_address && c->address == c->pc;

    switch (kind) {
    case SH_CRASH_NULL:
        return jumped ? "called a function at NULL" : "dereferenced NULL";
    case SH_CRASH_PRIVATE:
        return "followed a pointer to the host's private memory: allocate it "
               "with shunt_alloc or shunt_pool_alloc";
    case SH_CRASH_ARENA:
        return "followed a pointer into the pool's memory to where nothing is "
               "allocated: freed before, or never had";
    case SH_CRASH_FOREIGN:
        return "followed a pointer into the memory of another pool, or of one "
               "that was freed";
    case SH_CRASH_READ_ONLY:
        return jumped ? "jumped to memory that is not code"
                      : "wrote to memory that may only be read, or used some "
                        "that may not be used at all";
    case SH_CRASH_NOWHERE:
        return jumped ? "jumped to where nothing is"
                      : "followed a pointer to where nothing is";
    case SH_CRASH_NO_ADDRESS:
        return "followed a pointer that no address can be, or a misaligned "
               "one: the processor does not tell";
    case SH_CRASH_MISALIGNED:
        return "followed a misaligned pointer";
    case SH_CRASH_NO_MEMORY:
        return "there is no memory behind that address: its file is too "
               "short, or the system's memory is full";
    case SH_CRASH_ARITHMETIC:
        return c->code == FPE_INTDIV
                   ? "divided an integer by 0, or the quotient did not fit"
                   : "an arithmetic operation was not possible";
    case SH_CRASH_INSTRUCTION:
        return "met an instruction that the processor refuses, such as the "
               "compiler's trap for what must not happen";
    case SH_CRASH_TRAP:
        return "met a breakpoint, or the compiler's trap for what must not "
               "happen";
    default:
        return "for a reason that is not known";
    }
}

static void put_reason(struct text *t, const struct sh_crash *c,
                       const struct sh_crash_map *map)
{
    enum sh_crash_kind kind = sh_crash_classify(c, map);
    struct sh_module m;

    switch (kind) {
    case SH_CRASH_STACK:
        put(t, "overflowed its stack of ");
        put_bytes(t, map->stack_bytes);
        break;
    case SH_CRASH_LIBRARY:
        put(t, "used %s, which was loaded after the workers were started",
            sh_module_find((uintptr_t)c->address, &m) ? m.name : "a library");
        break;
    case SH_CRASH_CALL:
        put(t, "made system call %d, which is forbidden here", (int)c->number);
        break;
    case SH_CRASH_ABORT:
        put(t, "called abort()");
        if (c->words[0] != '\0')
            put(t, ": %.*s", (int)SH_CRASH_WORDS - 1, c->words);
        break;
    case SH_CRASH_SENT:
        if (c->sender == c->pid)
            put(t, "raised by itself");
        else
            put(t, "sent by process %d", (int)c->sender);
        break;
    default:
        put(t, "%s", sentence_of(kind, c));
    }
}

static void put_use(struct text *t, int sig, const struct rusage *use)
{
    int64_t ms;

    if (use == NULL)
        return;
    ms = ((int64_t)use->ru_utime.tv_sec + use->ru_stime.tv_sec) * 1000 +
         (use->ru_utime.tv_usec + use->ru_stime.tv_usec) / 1000;
    if (sig == SIGXCPU)
        put(t, ", %" PRId64 ".%" PRId64 " s", ms / 1000, ms % 1000 / 100);
    if (sig == SIGKILL && use->ru_maxrss > 0) {
        put(t, "; its process had used ");
        put_bytes(t, (uint64_t)use->ru_maxrss * 1024);
    }
}

/* A death by a signal that has left no facts. */
static void put_unrecorded(struct text *t, int sig, const struct rusage *use)
{
    if (sig == SIGKILL) {
        put(t, "was killed by SIGKILL, by the system when memory ran out or by "
               "somebody else");
    } else if (sig == SIGXCPU) {
        put(t, "was killed by SIGXCPU: it used up its processor time");
    } else if (sh_crash_records(sig)) {
        put(t, "crashed: %s, and left no record", sh_signal_text(sig));
        return;
    } else {
        put(t, "was killed by %s", sh_signal_text(sig));
    }
    put_use(t, sig, use);
}

/* What malloc says when there is no memory is not heard by all. So much is said
 * of the limit of its own memory as the process had to do with it: it was near,
 * or the last that it was refused was memory, of which it may have wanted more
 * at once than there can be. */
static void put_memory(struct text *t, const struct sh_crash *c,
                       enum sh_crash_kind kind)
{
    bool near = c->bytes >= c->bytes_max - c->bytes_max / 8;

    if (c->bytes_max == 0 || (!near && c->refused == 0) ||
        (kind != SH_CRASH_NULL && kind != SH_CRASH_NOWHERE &&
         kind != SH_CRASH_ABORT && kind != SH_CRASH_TRAP &&
         kind != SH_CRASH_INSTRUCTION))
        return;
    put(t, near ? "; its process was out of memory: it had "
                : "; its process had been refused memory: it had ");
    put_bytes(t, c->bytes);
    put(t, " of its own, and .worker_bytes_max allows ");
    put_bytes(t, c->bytes_max);
}

static void put_crash(struct text *t, const struct sh_crash *c,
                      const struct sh_crash_map *map)
{
    put(t, "crashed: %s", sh_signal_name(c->signal));
    if (c->has_address)
        put(t, " at 0x%" PRIx64, c->address);
    put(t, ": ");
    put_reason(t, c, map);
    put_memory(t, c, sh_crash_classify(c, map));
}

static bool has_left(const struct sh_crash *c)
{
    return c != NULL && sh_load_acq(&c->exited) == 1; /* acquire: left */
}

/* -- the backtrace -- */

void sh_crash_trace(const struct sh_crash *c, struct sh_trace *trace)
{
    /* acquire: frames */
    uint32_t depth = has_facts(c) ? sh_load_acq(&c->depth) : 0;
    uint32_t head = SH_CRASH_FRAMES - SH_CRASH_TAIL;
    uint32_t turned = 0;

    *trace = (struct sh_trace){ .count = depth };
    if (depth > SH_CRASH_FRAMES) {
        trace->count = SH_CRASH_FRAMES;
        trace->gap = head;
        trace->omitted = depth - SH_CRASH_FRAMES;
        turned = (depth - head) % SH_CRASH_TAIL;
    }
    for (uint32_t i = 0; i < trace->count; i++) {
        uint32_t from = i < head ? i
                                 : head + (i - head + turned) % SH_CRASH_TAIL;

        trace->at[i] = (uintptr_t)c->frames[from];
    }
}

void sh_crash_tell(const struct sh_crash *c, int wait_status,
                   const struct rusage *use, const struct sh_crash_map *map,
                   char *text, size_t size)
{
    struct text t = { .to = text, .size = size };

    SH_ASSERT(text != NULL || size == 0);
    if (size > 0)
        text[0] = '\0';
    if (has_facts(c)) {
        put_crash(&t, c, map);
    } else if (wait_status >= 0 && WIFEXITED(wait_status)) {
        put(&t, has_left(c) ? "called exit(%d)" : "called _exit(%d)",
            WEXITSTATUS(wait_status));
    } else if (wait_status >= 0 && WIFSIGNALED(wait_status)) {
        put_unrecorded(&t, WTERMSIG(wait_status), use);
    } else {
        put(&t, "lost its process, and how that ended is not known");
    }
}

static int64_t ns_of(const struct timeval *t)
{
    return (int64_t)t->tv_sec * 1000000000 + (int64_t)t->tv_usec * 1000;
}

void sh_crash_fill(struct sh_failure *f, const struct sh_crash *c,
                   int wait_status, const struct rusage *use)
{
    if (has_facts(c)) {
        f->signal = c->signal;
        f->address = c->has_address ? (void *)(uintptr_t)c->address : NULL;
    } else if (wait_status >= 0 && WIFSIGNALED(wait_status)) {
        f->signal = WTERMSIG(wait_status);
    } else if (wait_status >= 0 && WIFEXITED(wait_status)) {
        f->exit_status = WEXITSTATUS(wait_status);
    }
    if (use == NULL)
        return;
    f->user_ns = ns_of(&use->ru_utime);
    f->system_ns = ns_of(&use->ru_stime);
    f->max_rss_bytes = (size_t)use->ru_maxrss * 1024;
}
