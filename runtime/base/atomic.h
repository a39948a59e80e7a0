/* SPDX-License-Identifier: MIT */
/*
 * base/atomic.h - atomic operations whose names say their memory order.
 *
 *   _rlx relaxed   _acq acquire   _rel release   _acqrel both   _sc seq_cst
 *
 * Idea. The order is part of the name, so a reader sees it where it is used,
 * and this is the only file that spells memory_order. Every use says on its
 * line which edge the order belongs to, or why relaxed is enough; the edges
 * are listed in the header comment of the file that owns the structure.
 *
 * There are no fences: ThreadSanitizer cannot see them. A compare-and-swap is
 * strong; its failing load is relaxed for _rlx and _rel, acquire for _acq and
 * _acqrel, and seq_cst for _sc.
 *
 * With -Dperturb=true a thread loses a moment before one operation in some
 * hundred, so that tests see interleavings that the scheduler rarely makes
 * (after the noise makers of Edelstein et al., "Multithreaded Java program
 * test generation", IBM Systems Journal 41, 2002).
 */
#ifndef SH_BASE_ATOMIC_H
#define SH_BASE_ATOMIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef SH_PERTURB
#include "base/perturb.h"
#define SH_AT_(p) (sh_perturb(), (p))
#else
#define SH_AT_(p) (p)
#endif

#define SH_RLX_ memory_order_relaxed
#define SH_ACQ_ memory_order_acquire
#define SH_REL_ memory_order_release
#define SH_AR_ memory_order_acq_rel
#define SH_SC_ memory_order_seq_cst

#define sh_load_rlx(p) atomic_load_explicit(SH_AT_(p), SH_RLX_)
#define sh_load_acq(p) atomic_load_explicit(SH_AT_(p), SH_ACQ_)
#define sh_load_sc(p) atomic_load_explicit(SH_AT_(p), SH_SC_)

#define sh_store_rlx(p, v) atomic_store_explicit(SH_AT_(p), (v), SH_RLX_)
#define sh_store_rel(p, v) atomic_store_explicit(SH_AT_(p), (v), SH_REL_)
#define sh_store_sc(p, v) atomic_store_explicit(SH_AT_(p), (v), SH_SC_)

/* p, pointer to the expected value (updated on failure), new value. */
#define sh_cas_rlx(p, e, v)                                               \
    atomic_compare_exchange_strong_explicit(SH_AT_(p), (e), (v), SH_RLX_, \
                                            SH_RLX_)
#define sh_cas_acq(p, e, v)                                               \
    atomic_compare_exchange_strong_explicit(SH_AT_(p), (e), (v), SH_ACQ_, \
                                            SH_ACQ_)
#define sh_cas_rel(p, e, v)                                               \
    atomic_compare_exchange_strong_explicit(SH_AT_(p), (e), (v), SH_REL_, \
                                            SH_RLX_)
#define sh_cas_acqrel(p, e, v)                                           \
    atomic_compare_exchange_strong_explicit(SH_AT_(p), (e), (v), SH_AR_, \
                                            SH_ACQ_)
#define sh_cas_sc(p, e, v) \
    atomic_compare_exchange_strong_explicit(SH_AT_(p), (e), (v), SH_SC_, SH_SC_)

#define sh_xchg_acq(p, v) atomic_exchange_explicit(SH_AT_(p), (v), SH_ACQ_)
#define sh_xchg_acqrel(p, v) atomic_exchange_explicit(SH_AT_(p), (v), SH_AR_)
#define sh_xchg_sc(p, v) atomic_exchange_explicit(SH_AT_(p), (v), SH_SC_)

#define sh_add_rlx(p, v) atomic_fetch_add_explicit(SH_AT_(p), (v), SH_RLX_)
#define sh_add_acqrel(p, v) atomic_fetch_add_explicit(SH_AT_(p), (v), SH_AR_)
#define sh_add_sc(p, v) atomic_fetch_add_explicit(SH_AT_(p), (v), SH_SC_)
#define sh_sub_acqrel(p, v) atomic_fetch_sub_explicit(SH_AT_(p), (v), SH_AR_)
#define sh_sub_sc(p, v) atomic_fetch_sub_explicit(SH_AT_(p), (v), SH_SC_)
#define sh_or_rlx(p, v) atomic_fetch_or_explicit(SH_AT_(p), (v), SH_RLX_)
#define sh_or_sc(p, v) atomic_fetch_or_explicit(SH_AT_(p), (v), SH_SC_)
#define sh_and_acqrel(p, v) atomic_fetch_and_explicit(SH_AT_(p), (v), SH_AR_)
#define sh_and_sc(p, v) atomic_fetch_and_explicit(SH_AT_(p), (v), SH_SC_)

/* Of an object that is not declared atomic, since nearly all who use it are
 * ordered by other means: for the few who are not, and for who writes it. */
#define sh_load_bare_rlx(p) __atomic_load_n(SH_AT_(p), __ATOMIC_RELAXED)
#define sh_load_bare_acq(p) __atomic_load_n(SH_AT_(p), __ATOMIC_ACQUIRE)
#define sh_cas_bare_acqrel(p, e, v)                               \
    __atomic_compare_exchange_n(SH_AT_(p), (e), (v), /* weak */ 0, \
                                __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
#define sh_store_bare_rlx(p, v) \
    __atomic_store_n(SH_AT_(p), (v), __ATOMIC_RELAXED)
/* And for who may die behind it, while what it did before shall be there. */
#define sh_store_bare_rel(p, v) \
    __atomic_store_n(SH_AT_(p), (v), __ATOMIC_RELEASE)

/* Tell the CPU that we spin. */
static inline void sh_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

#endif /* SH_BASE_ATOMIC_H */
