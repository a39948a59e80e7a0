/* SPDX-License-Identifier: MIT */
/*
 * futex.h - the kernel's futex, as far as the library relies on it.
 *
 * Included before any source that includes sync/futex.h, whose place it
 * takes. The kernel promises: a wait returns at once if the word is not what
 * was expected, and else sleeps until a wake that comes after; no wake gets
 * lost between the look and the sleep. Here a wake moves a count, and a wait
 * reads the count first, looks at the word, and then spins until the count
 * has moved. A wait that nothing ends is a spin loop that nothing ends, which
 * the checker reports (--check-liveness). Deadlines never come, or at once in a
 * client that says which (FUTEX_IS_TIME). The loop is
 * marked by hand, because the checker's own search for spin loops goes wrong
 * where one lies inside another (--disable-spin-assume).
 *
 * A wake moves the count of all words, so a sleeper may wake for somebody
 * else's: the kernel allows that too.
 */
#ifndef SH_SYNC_FUTEX_H
#define SH_SYNC_FUTEX_H

#include <genmc.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"

/* The checker has no accesses to half a word: a client that waits on half of
 * one says so. seq_cst: the kernel's */
#ifdef FUTEX_IS_LOW_HALF
#define FUTEX_LOAD(p) (uint32_t) sh_load_sc((_Atomic uint64_t *)(void *)(p))
#else
#define FUTEX_LOAD(p) sh_load_sc(p)
#endif

#ifndef FUTEX_IS_TIME
#define FUTEX_IS_TIME(deadline_ns) ((void)(deadline_ns), false)
#endif

static _Atomic uint32_t futex_wakes;

/*
 * A client bounds its loops. A thread that has come to its bound calls
 * give_up: the execution then proves nothing, since that thread might have
 * gone on, and is not counted against those who sleep in it.
 */
static _Atomic bool given_up;

static inline void give_up(void)
{
    sh_store_rlx(&given_up, true); /* relaxed: the checker's own */
    __VERIFIER_assume(false);
}

static inline bool sh_futex_wait(_Atomic uint32_t *word, uint32_t expected,
                                 int64_t deadline_ns, bool shared)
{
    uint32_t before = sh_load_sc(&futex_wakes); /* seq_cst: the kernel's */
    uint32_t now;
    bool over;

    (void)shared;
    if (FUTEX_LOAD(word) != expected)
        return true;
    if (FUTEX_IS_TIME(deadline_ns))
        return false;
    __VERIFIER_loop_begin();
    do {
        __VERIFIER_spin_start();
        now = sh_load_sc(&futex_wakes); /* seq_cst: the kernel's */
        over = sh_load_rlx(&given_up); /* relaxed: the checker's own */
        __VERIFIER_spin_end(now != before || over);
    } while (now == before && !over);
    __VERIFIER_assume(!over);
    return true;
}

static inline void sh_futex_wake(_Atomic uint32_t *word, int count,
                                 bool shared)
{
    (void)word;
    (void)count;
    (void)shared;
    sh_add_sc(&futex_wakes, 1); /* seq_cst: the kernel's */
}

#endif /* SH_SYNC_FUTEX_H */
