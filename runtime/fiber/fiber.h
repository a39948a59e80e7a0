/* SPDX-License-Identifier: MIT */
/*
 * fiber/fiber.h - a stack that can be put aside and gone back to.
 *
 *              start            switch to another
 *     FRESH ----------> RUNNING -------------------> PARKED
 *       ^                 |  ^                          |
 *       |           leave |  +--------------------------+
 *       |                 v         switch to it
 *       +-------------- LEFT
 *        sh_stacks_give
 *
 * Idea. A fiber is nothing but a stack and, while it does not run, the stack
 * pointer it left behind. One fiber of a thread runs at a time; it says itself
 * which one runs next. There is no scheduler here, no queue and no result.
 * A fiber stays on the thread that started it for life, so errno, thread-local
 * variables and the signal mask are the thread's and are not switched. The
 * floating-point control words are the fiber's: a fresh one begins with those
 * that its thread had at sh_fiber_adopt, whatever the starter has set since.
 *
 * Leaving is switching away for good: what is on the left stack is forgotten,
 * without unwinding. A left fiber is given back to its pool (stacks.h) by
 * whoever runs next on the thread, and is FRESH when it is taken again.
 *
 * Threads: every function is for the thread of its fibers alone.
 * Blocks:  never; no system calls, no memory is allocated.
 *
 * Checkers. AddressSanitizer, ThreadSanitizer and valgrind are told about
 * every step (annotate.h). ThreadSanitizer sees each RUNNING or PARKED fiber
 * as a thread, of which it takes about 8,000 in a process.
 *
 * Debuggers walk a running fiber down to its end, sh_fiber_root. To see a
 * parked one, f, in gdb (aarch64: the same):
 *
 *     set var $old_sp = $sp
 *     set var $old_pc = $pc
 *     set var $sp = f->sp
 *     set var $pc = &sh_fiber_parked
 *     backtrace
 *
 * and set both back before continuing.
 */
#ifndef SH_FIBER_FIBER_H
#define SH_FIBER_FIBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"

struct sh_fiber {
    void *sp;           /* where it was parked or left; NULL: FRESH, RUNNING */
    char *stack_low;    /* the lowest usable byte, above the guard; NULL for a
                           thread's own stack */
    size_t stack_bytes; /* from stack_low up to this struct; 0 likewise */
    struct sh_fiber *next; /* in the pool's list while there; else the user's */
    void (*entry)(void *); /* what start was asked to run */
    void *arg;
    uint64_t control; /* the floating-point control words of a fresh start */

    uint32_t gives;         /* stacks.c: how often it was given back */
    struct sh_fiber *older; /* stacks.c: the one mapped before, in an arena; */
    _Atomic uint32_t pinned; /* and whether others use it: enum sh_pinned */

    /* The rest is for annotate.h, and unused where nothing checks. They are
     * always there, so that an object built with a checker and one built
     * without agree about the layout. */
    uint32_t valgrind_id;
    void *tsan_context;
    void *asan_fake_stack;
    const void *asan_low; /* what asan takes for the stack's bounds */
    size_t asan_bytes;
    struct sh_fiber *asan_from; /* who switched to it last */
};

/*
 * The thread's own stack becomes the RUNNING fiber base, whose storage is the
 * caller's. It can be parked and gone back to, but neither started nor left
 * for good.
 */
void sh_fiber_adopt(struct sh_fiber *base);

/* Undo adopt. base is RUNNING, and the thread's other fibers were given back
 * or will never run again. */
void sh_fiber_disown(struct sh_fiber *base);

/*
 * From the RUNNING fiber from, run entry(arg) on the FRESH fiber to. With
 * leave, from is LEFT and the call does not return; otherwise it is PARKED
 * and the call returns when somebody switches to it. entry never returns: it
 * ends by leaving.
 */
void sh_fiber_start(struct sh_fiber *from, struct sh_fiber *to,
                    void (*entry)(void *), void *arg, bool leave);

/* From the RUNNING fiber from, go on with the PARKED fiber to, where it
 * switched away. leave: as above. */
void sh_fiber_switch(struct sh_fiber *from, struct sh_fiber *to, bool leave);

#endif /* SH_FIBER_FIBER_H */
