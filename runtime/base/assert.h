/* SPDX-License-Identifier: MIT */
/*
 * base/assert.h - conditions that hold, or the program is wrong.
 *
 *   SH_ASSERT     proven; checked in builds with -Dchecks=true: asan, tsan,
 *                 valgrind, clang and perturbed of ./dev. The library never
 *                 aborts a host in a release.
 */
#ifndef SH_BASE_ASSERT_H
#define SH_BASE_ASSERT_H

#ifdef SH_CHECKS
#undef NDEBUG
#include <assert.h>
#include <stdbool.h>
#define SH_ASSERT(condition) assert(condition)
#else
#define SH_ASSERT(condition) ((void)sizeof(!!(condition)))
#endif

#define SH_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define SH_UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#define SH_COLD __attribute__((noinline, cold))

/* A function of its own, though not cold: its caller stays small. And one that
 * is part of its caller in any build. */
#define SH_APART __attribute__((noinline))
#define SH_FORCE_INLINE inline __attribute__((always_inline))

/* On the way of each task. Such code lies together, so that a process that was
 * away, and finds none of its pages in the TLB, needs few of them. */
#define SH_HOT __attribute__((hot))
#define SH_LINE 64 /* bytes of a cache line */

#endif /* SH_BASE_ASSERT_H */
