/* SPDX-License-Identifier: MIT */
/*
 * process/forks.c - tasks of a worker process that fork.
 *
 *     before   on another stack: the pages of the task's stack go elsewhere,
 *              private ones with the same bytes take their place
 *     parent   on another stack: what was written meanwhile goes back, and the
 *              pages
 *     child    keeps the private ones, and gets empty ones for what the stack
 *              may grow to; may read the rest of the arena, and not write
 *
 * Idea. The stack of a task lies in the arena, so that every process of the
 * pool may follow a pointer into it. After a fork, parent and child would run
 * on the very same bytes. Private pages are copied when they are written to, as
 * everywhere else. And the child goes on writing when its parent has long been
 * known to be dead, so it must not: its in and the values of others can be read
 * there, but what it writes to the arena is a fault of its own.
 *
 * If the system refuses, the stack is left out of the child, which then faults
 * at its first step: the task, and the pool, are as they were. If it refuses
 * the empty pages, the child has what it is on, and a page.
 *
 * Crash. Between before and parent the arena has the stack as it was before the
 * fork, which is all that recovery reads of it.
 */
#define _GNU_SOURCE 1
#include "process/forks.h"

#include <pthread.h>
#include <sys/mman.h>

#include "base/fault.h"
#include "memory/arena.h"
#include "worker/worker.h"

/* The stack of the task that forks, while it does. A thread of a task's may fork
 * as well. */
static _Thread_local struct {
    struct sh_fiber *fiber;
    char *low; /* whole pages, from the deepest that is in use to the top */
    size_t bytes;
    char *kept; /* where the arena's pages are meanwhile; NULL: in place. Behind
                 * them is how they were. */
} away;

/* This process is the child of a worker process, or of such a child: all is
 * done already. */
static bool is_child;

/* Where so many bytes may be mapped; NULL: nowhere. */
static char *find_place(size_t bytes)
{
    void *p = sh_fault()
                  ? MAP_FAILED
                  : mmap(NULL, bytes, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

static bool move_pages(char *from, char *to)
{
    return mremap(from, away.bytes, away.bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
                  to) != MAP_FAILED;
}

/* Whole pages of a stack, on which address sanitizer forbids the bytes between
 * the variables: word by word, since it looks at what memcpy is given. Words
 * that are as in was are left: another process may have written to them. */
static __attribute__((no_sanitize("address", "thread"))) void copy_stack(
    char *to, const char *from, const char *was)
{
    volatile uint64_t *words = (uint64_t *)(void *)to;
    const uint64_t *source = (const uint64_t *)(const void *)from;
    const uint64_t *before = (const uint64_t *)(const void *)was;

    for (size_t i = 0; i < away.bytes / sizeof *words; i++)
        if (before == NULL || source[i] != before[i])
            words[i] = source[i];
}

/* Put private pages in the place of the arena's. */
static bool take_away(void)
{
    char *kept = find_place(2 * away.bytes);

    if (kept == NULL)
        return false;
    if (mprotect(kept + away.bytes, away.bytes, PROT_READ | PROT_WRITE) != 0 ||
        !move_pages(away.low, kept)) {
        munmap(kept, 2 * away.bytes);
        return false;
    }
    if (mmap(away.low, away.bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) {
        (void)move_pages(kept, away.low);
        munmap(kept + away.bytes, away.bytes);
        return false;
    }
    copy_stack(kept + away.bytes, kept, NULL);
    copy_stack(away.low, kept + away.bytes, NULL);
    away.kept = kept;
    return true;
}

/* Run fn on another stack than the one that we are on, which is the worker's
 * current one. False if there is none. */
static bool run_aside(void (*fn)(void *))
{
    struct sh_worker *w = sh_worker_here();
    struct sh_fiber *aside = sh_stacks_take(&w->stacks);

    if (aside == NULL)
        return false;
    sh_fiber_start(w->fiber, aside, fn, aside, false);
    sh_stacks_give(&w->stacks, aside);
    return true;
}

static void go_away(void *aside)
{
    (void)take_away();
    sh_fiber_switch(aside, away.fiber, true);
}

static void come_back(void *aside)
{
    copy_stack(away.kept, away.low, away.kept + away.bytes);
    munmap(away.kept + away.bytes, away.bytes);
    /* Refused, the stack would be private for good; but what the kernel has
     * moved one way it moves back. */
    if (move_pages(away.kept, away.low))
        away.kept = NULL;
    sh_fiber_switch(aside, away.fiber, true);
}

/* Whether the calling thread is on a stack of the arena; then away says which
 * part of it is in use. */
static bool is_on_task_stack(void)
{
    struct sh_worker *w = sh_worker_here();
    uintptr_t page = sh_pages_size() - 1;
    uintptr_t sp = (uintptr_t)__builtin_frame_address(0);
    uintptr_t low, end;

    if (w == NULL || w->pool != sh_self()->served)
        return false;
    low = (uintptr_t)w->fiber->stack_low;
    end = (uintptr_t)(w->fiber + 1);
    if (sp < low || sp >= end)
        return false;
    away.fiber = w->fiber;
    /* What is below is not in use, but for what we are about to call. */
    sp = sp - low > 2 * (page + 1) ? sp - (page + 1) : low;
    away.low = (char *)(sp & ~page);
    away.bytes = ((end + page) & ~page) - (uintptr_t)away.low;
    return true;
}

static void before(void)
{
    away.kept = NULL;
    away.fiber = NULL;
    if (!is_on_task_stack())
        return;
    if (!run_aside(go_away) || away.kept == NULL)
        (void)madvise(away.low, away.bytes, MADV_DONTFORK);
}

static void after_in_parent(void)
{
    if (away.fiber == NULL)
        return;
    if (away.kept == NULL)
        (void)madvise(away.low, away.bytes, MADV_DOFORK);
    else
        (void)run_aside(come_back);
}

/* What is below the part of the stack that is in use becomes the child's own,
 * too: returns where its own begins. */
static char *make_room(void)
{
    char *low = away.fiber->stack_low;
    size_t bytes = (size_t)(away.low - low);

    if (bytes > 0 &&
        mmap(low, bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
             0) == MAP_FAILED)
        low = away.low;
    return low;
}

static void after_in_child(void)
{
    struct sh_arena *a = sh_self()->served->arena;
    char *end = (char *)a + a->bytes;
    char *low;

    if (is_child)
        return;
    is_child = true;
    if (away.kept == NULL) {
        (void)mprotect(a, a->bytes, PROT_READ);
        return;
    }
    munmap(away.kept, 2 * away.bytes);
    low = make_room();
    (void)mprotect(a, (size_t)(low - (char *)a), PROT_READ);
    (void)mprotect(away.low + away.bytes, (size_t)(end - away.low) - away.bytes,
                   PROT_READ);
}

bool sh_forks_allow(void)
{
    return !sh_fault() &&
           pthread_atfork(before, after_in_parent, after_in_child) == 0;
}
