/* SPDX-License-Identifier: MIT */
/*
 * fiber/annotate.h - tells the checkers what happens to stacks.
 *
 * Each function does nothing unless its checker is there: the sanitizers when
 * the compiler says so, valgrind when the build has found its headers
 * (SH_HAVE_VALGRIND; its requests cost a few idle instructions otherwise).
 *
 * All are inlined even without optimisation. ThreadSanitizer counts function
 * entries and exits per fiber; a helper that was entered on one fiber and
 * left on another would upset both.
 *
 * AddressSanitizer keeps redzones, in memory of its own that mirrors ours,
 * around each frame's variables until its function returns. The frames of a
 * LEFT fiber never return; so the mirror is wiped when it is given back,
 * before the pages are used or unmapped. It also needs to know the bounds of
 * the stack that runs, and learns those of the thread's own stack by itself.
 *
 * ThreadSanitizer has a context per fiber, with a copy of the call stack. A
 * LEFT fiber's copy would never shrink; so a context lasts from start to give.
 * Each switch orders what the fibers of a thread do, which flags 0 means.
 *
 * Valgrind follows the stack pointer and takes a short jump of it for one
 * large frame, unless it knows the stack. A stack that is given back becomes
 * inaccessible to it, so that pointers into left frames are found.
 */
#ifndef SH_FIBER_ANNOTATE_H
#define SH_FIBER_ANNOTATE_H

#include "fiber/fiber.h"

#define SH_ANNOTATE static inline __attribute__((always_inline))

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define SH_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define SH_TSAN 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define SH_ASAN 1
#endif
#ifdef __SANITIZE_THREAD__
#define SH_TSAN 1
#endif

#ifdef SH_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

/* Last thing before the switch. Without a place to keep it, asan frees what
 * it has allocated for the frames of from. */
SH_ANNOTATE void sh_asan_switch(struct sh_fiber *from, struct sh_fiber *to,
                                bool leave)
{
    to->asan_from = from;
    __sanitizer_start_switch_fiber(leave ? NULL : &from->asan_fake_stack,
                                   to->asan_low, to->asan_bytes);
}

/* First thing after it. */
SH_ANNOTATE void sh_asan_arrive(struct sh_fiber *self)
{
    __sanitizer_finish_switch_fiber(self->asan_fake_stack,
                                    &self->asan_from->asan_low,
                                    &self->asan_from->asan_bytes);
}

SH_ANNOTATE void sh_asan_wipe(struct sh_fiber *f)
{
    f->asan_fake_stack = NULL;
    f->asan_low = f->stack_low;
    f->asan_bytes = f->stack_bytes;
    __asan_unpoison_memory_region(f->stack_low, f->stack_bytes);
}
#else
SH_ANNOTATE void sh_asan_switch(struct sh_fiber *from, struct sh_fiber *to,
                                bool leave)
{
    (void)from, (void)to, (void)leave;
}

SH_ANNOTATE void sh_asan_arrive(struct sh_fiber *self)
{
    (void)self;
}

SH_ANNOTATE void sh_asan_wipe(struct sh_fiber *f)
{
    (void)f;
}
#endif

#ifdef SH_TSAN
#include <sanitizer/tsan_interface.h>

SH_ANNOTATE void sh_tsan_adopt(struct sh_fiber *base)
{
    base->tsan_context = __tsan_get_current_fiber();
}

SH_ANNOTATE void sh_tsan_create(struct sh_fiber *f)
{
    f->tsan_context = __tsan_create_fiber(0);
}

SH_ANNOTATE void sh_tsan_switch(struct sh_fiber *to)
{
    __tsan_switch_to_fiber(to->tsan_context, 0);
}

SH_ANNOTATE void sh_tsan_destroy(struct sh_fiber *f)
{
    if (f->tsan_context != NULL)
        __tsan_destroy_fiber(f->tsan_context);
    f->tsan_context = NULL;
}

#ifdef SH_STANDIN
/* It was a thread's of this process, which has ended. */
SH_ANNOTATE void sh_tsan_forget(struct sh_fiber *f)
{
    sh_tsan_destroy(f);
}
#else
SH_ANNOTATE void sh_tsan_forget(struct sh_fiber *f)
{
    f->tsan_context = NULL;
}
#endif
#else
SH_ANNOTATE void sh_tsan_adopt(struct sh_fiber *base)
{
    (void)base;
}

SH_ANNOTATE void sh_tsan_create(struct sh_fiber *f)
{
    (void)f;
}

SH_ANNOTATE void sh_tsan_switch(struct sh_fiber *to)
{
    (void)to;
}

SH_ANNOTATE void sh_tsan_destroy(struct sh_fiber *f)
{
    (void)f;
}

SH_ANNOTATE void sh_tsan_forget(struct sh_fiber *f)
{
    (void)f;
}
#endif

#ifdef SH_HAVE_VALGRIND
#include <valgrind/memcheck.h>

SH_ANNOTATE void sh_valgrind_register(struct sh_fiber *f)
{
    f->valgrind_id = (uint32_t)VALGRIND_STACK_REGISTER(
        f->stack_low, f->stack_low + f->stack_bytes - 1);
}

SH_ANNOTATE void sh_valgrind_deregister(struct sh_fiber *f)
{
    VALGRIND_STACK_DEREGISTER(f->valgrind_id);
}

SH_ANNOTATE void sh_valgrind_defined(const void *p, size_t bytes)
{
    (void)VALGRIND_MAKE_MEM_DEFINED(p, bytes);
}

SH_ANNOTATE void sh_valgrind_forbid(struct sh_fiber *f)
{
    (void)VALGRIND_MAKE_MEM_NOACCESS(f->stack_low, f->stack_bytes);
}

/* Going down from the top makes a stack accessible, but for the first few
 * words: to valgrind they are part of the jump to another stack. */
SH_ANNOTATE void sh_valgrind_open(struct sh_fiber *f)
{
    (void)VALGRIND_MAKE_MEM_UNDEFINED(f->stack_low + f->stack_bytes - 64, 64);
}
#else
SH_ANNOTATE void sh_valgrind_register(struct sh_fiber *f)
{
    (void)f;
}

SH_ANNOTATE void sh_valgrind_deregister(struct sh_fiber *f)
{
    (void)f;
}

SH_ANNOTATE void sh_valgrind_defined(const void *p, size_t bytes)
{
    (void)p, (void)bytes;
}

SH_ANNOTATE void sh_valgrind_forbid(struct sh_fiber *f)
{
    (void)f;
}

SH_ANNOTATE void sh_valgrind_open(struct sh_fiber *f)
{
    (void)f;
}
#endif

/* A pool has mapped the stack of f. */
SH_ANNOTATE void sh_annotate_mapped(struct sh_fiber *f)
{
    sh_asan_wipe(f);
    sh_valgrind_register(f);
    sh_valgrind_forbid(f);
}

/* f was given back: whatever was on its stack is forgotten. */
SH_ANNOTATE void sh_annotate_given(struct sh_fiber *f)
{
    sh_tsan_destroy(f);
    sh_asan_wipe(f);
}

/* f was another process's, which has died: what its checker kept about the
 * stack lay in memory of that process. */
SH_ANNOTATE void sh_annotate_inherited(struct sh_fiber *f)
{
    sh_tsan_forget(f);
    sh_asan_wipe(f);
}

/* The pool will read these bytes of a stack that was given back. */
SH_ANNOTATE void sh_annotate_probe(const void *p, size_t bytes)
{
    sh_valgrind_defined(p, bytes);
}

/* f is in the pool's list: nobody should touch its stack until it starts. */
SH_ANNOTATE void sh_annotate_cached(struct sh_fiber *f)
{
    sh_valgrind_forbid(f);
}

/* The pool is about to unmap the stack of f. */
SH_ANNOTATE void sh_annotate_unmapping(struct sh_fiber *f)
{
    sh_valgrind_deregister(f);
}

/* The thread's own stack has become base. */
SH_ANNOTATE void sh_annotate_adopted(struct sh_fiber *base)
{
    sh_tsan_adopt(base);
}

/* f is FRESH and about to be started. */
SH_ANNOTATE void sh_annotate_born(struct sh_fiber *f)
{
    sh_tsan_create(f);
    sh_valgrind_open(f);
}

/* The last thing that from does before to runs. */
SH_ANNOTATE void sh_annotate_switch(struct sh_fiber *from, struct sh_fiber *to,
                                    bool leave)
{
    sh_asan_switch(from, to, leave);
    sh_tsan_switch(to);
}

/* The first thing that self does when it runs, or runs again. */
SH_ANNOTATE void sh_annotate_arrive(struct sh_fiber *self)
{
    sh_asan_arrive(self);
}

#endif /* SH_FIBER_ANNOTATE_H */
