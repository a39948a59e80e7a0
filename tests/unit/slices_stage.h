/* SPDX-License-Identifier: MIT */
/*
 * unit/slices_stage.h - what the tests of slices share: a heap in an arena,
 * processes that are owners of it, and blocks that say what they hold.
 */
#ifndef SH_UNIT_SLICES_STAGE_H
#define SH_UNIT_SLICES_STAGE_H

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fault.h"
#include "memory/arena.h"
#include "memory/jemalloc/jemalloc_private.h"
#include "memory/slices.h"

#ifdef SH_HAVE_VALGRIND
#include <valgrind/valgrind.h>
/* When a process ends, it reads all that is mapped, which then takes memory. */
#define UNDER_VALGRIND (RUNNING_ON_VALGRIND != 0)
#else
#define UNDER_VALGRIND false
#endif

#ifdef __SANITIZE_THREAD__
#define SEES_ALL true /* what threads read and write, which takes long */
#else
#define SEES_ALL false
#endif

/* Whether all there is to try is wanted, as in ./dev soak. */
static inline bool is_thorough(void)
{
    const char *text = getenv("SHUNT_TEST_THOROUGH");

    return text != NULL && strcmp(text, "1") == 0;
}

/* So many rounds, or a part of them where each takes long. */
static inline unsigned rounds(unsigned n)
{
    return (SEES_ALL || UNDER_VALGRIND) && !is_thorough() ? n / 5 : n;
}

#define MIB ((size_t)1 << 20)

enum {
    SLICES = 48
};

static struct sh_arena *arena;
static struct sh_slices *slices;
static bool plainly; /* the plain allocator, where there is jemalloc too */

/* In any process; its end is an error that the test sees. */
#define need(condition) \
    ((condition)        \
         ? (void)0      \
         : (fprintf(stderr, "line %d: %s\n", __LINE__, #condition), _exit(1)))

/* Without jemalloc all are plain. */
static inline bool join(unsigned owner)
{
    bool joined;

    if (plainly)
        sh_fault_set(2); /* the arena */
    joined = sh_slices_join(slices, owner);
    sh_fault_clear();
    return joined;
}

static inline int begin_plain(void **state)
{
    (void)state;
    plainly = true;
    return 0;
}

static inline void stage_begin(void)
{
    arena = sh_arena_new(256 * MIB, 256 * MIB);
    assert_non_null(arena);
    slices = sh_slices_new(arena, SLICES * SH_SLICE_BYTES_LEAST);
    assert_non_null(slices);
    assert_int_equal(slices->count, SLICES);
    assert_true(join(SH_SLICER_HOST));
}

static inline void stage_end(void)
{
    sh_slices_leave(slices);
    sh_arena_free(arena);
}

static inline long blocks_in_use(void)
{
    struct stat s;

    assert_int_equal(fstat(arena->fd, &s), 0);
    return (long)s.st_blocks;
}

/* Of all slices, how many are in that state. */
static inline unsigned slices_that_are(enum sh_slice_state state)
{
    unsigned n = 0;

    for (unsigned i = 0; i < slices->count; i++)
        n += sh_slice_state(atomic_load(&slices->slice[i].word)) == state;
    return n;
}

static inline bool owns_some(unsigned owner)
{
    for (unsigned i = 0; i < slices->count; i++) {
        if (atomic_load(&slices->slice[i].word) ==
            sh_slice_word(SH_SLICE_OWNED, owner))
            return true;
    }
    return false;
}

/* Every byte depends on where it is and on the salt. */
static inline void fill(void *p, size_t size, unsigned salt)
{
    unsigned char *at = p;

    for (size_t i = 0; i < size; i++)
        at[i] = (unsigned char)(salt + i * 7 + (i >> 8));
}

static inline bool is_filled(const void *p, size_t size, unsigned salt)
{
    const unsigned char *at = p;

    for (size_t i = 0; i < size; i++) {
        if (at[i] != (unsigned char)(salt + i * 7 + (i >> 8)))
            return false;
    }
    return true;
}

/* A process that is owner and does that. */
static inline pid_t begin_process(unsigned owner, void (*body)(void *),
                                  void *arg)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid != 0)
        return pid;
    /* Not to go on if the test ends early. */
    need(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
    need(join(owner));
    body(arg);
    _exit(0);
}

static inline void end_process(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* It stays to be waited for. */
static inline bool has_ended(pid_t pid)
{
    siginfo_t info = { 0 };

    assert_int_equal(
        waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT), 0);
    return info.si_pid == pid;
}

static inline void kill_process(pid_t pid)
{
    int status;

    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static inline void run_process(unsigned owner, void (*body)(void *), void *arg)
{
    end_process(begin_process(owner, body, arg));
}

#define RECORD(i) ((uint64_t)(i) << 32 | 5)

static inline unsigned rnd(unsigned *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

static inline bool count_freed(void *arg, struct sh_slices *s, struct sh_row *r,
                               uint64_t name)
{
    (void)s;
    (void)r;
    *(unsigned *)arg += name == SH_NAME_FREED;
    return true;
}

static inline unsigned freed(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < slices->count; i++)
        sh_slice_walk(slices, i, count_freed, &n);
    return n;
}

static inline void empty_slots(_Atomic(char *) *from, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char *old = atomic_exchange(&from[i], NULL);

        if (old != NULL)
            assert_true(sh_slices_put(slices, old));
    }
}

/* jemalloc, where there is one, and the plain one. */
#define run_with_each_allocator(tests)                                 \
    ((sh_je_has_arenas                                                 \
          ? cmocka_run_group_tests_name("jemalloc", tests, NULL, NULL) \
          : 0) +                                                       \
     cmocka_run_group_tests_name("plain", tests, begin_plain, NULL))

#endif /* SH_UNIT_SLICES_STAGE_H */
