/* SPDX-License-Identifier: MIT */
/*
 * place/shift.h - whether work has changed its nature, from its service times.
 *
 * Idea. Page's cumulative sums, one for up and one for down, of how far the
 * logarithm of the mean of a batch is from what it was. An allowance is taken
 * off each time, so that noise goes back to zero, and the alarm is when a sum
 * passes a threshold. Both are in powers of two: work that takes twice as long
 * is seen after 9 batches, ten times as long after 5. A batch has at
 * least 32 samples, or 4 of long tasks, of as many windows as that takes, and
 * one batch counts as 2.8 times as long at most, so that it takes five: a
 * thread that lost its CPU for some milliseconds makes one batch of short tasks
 * a thousand times as long. Where batches differ more from each other,
 * allowance and threshold grow. What a task costs beside its service time is
 * added before: 40 ns instead of 20 are no other nature.
 *
 * After E. S. Page, "Continuous inspection schemes", Biometrika 41 (1954).
 */
#ifndef SH_PLACE_SHIFT_H
#define SH_PLACE_SHIFT_H

#include <stdbool.h>
#include <stdint.h>

#include "place/evidence.h"

#define SH_SHIFT_ONE 256   /* a power of two, in what follows */
#define SH_SHIFT_FINER 16  /* averages are kept in parts of that */
#define SH_SHIFT_BATCH 32u /* samples, */
#define SH_SHIFT_FEW 4u    /* or as few if they took so long: */
#define SH_SHIFT_FEW_NS 20000000u
#define SH_SHIFT_LEARN 8 /* batches before it can say anything */
#define SH_SHIFT_BESIDE_NS 256
#define SH_SHIFT_CLAMP (3 * SH_SHIFT_ONE / 2)
#define SH_SHIFT_ALLOWANCE (SH_SHIFT_ONE / 2)
#define SH_SHIFT_THRESHOLD (4 * SH_SHIFT_ONE)
#define SH_SHIFT_SUSPECTS SH_SHIFT_ONE

struct sh_shift {
    uint64_t samples, service_ns; /* of the batch that is being filled */
    int64_t mean;                 /* of the logarithms, finer */
    int64_t spread; /* how far they are from it on average, finer */
    int64_t up, down;
    int64_t batches;
};

/* The binary logarithm of x + 1, times SH_SHIFT_ONE; between powers of two it
 * is a straight line. */
int64_t sh_shift_log2(uint64_t x);

/* Begin with what is usual as it is known already; negative: that is to be
 * learned first, as from all zero. */
void sh_shift_begin(struct sh_shift *s, int64_t mean_ns);

/* How far batches are from what is usual, of SH_SHIFT_ONE. */
static inline int64_t sh_shift_spread(const struct sh_shift *s)
{
    return s->spread / SH_SHIFT_FINER;
}

/* Whether it may soon say that it takes longer. */
static inline bool sh_shift_suspects(const struct sh_shift *s)
{
    return s->up > SH_SHIFT_SUSPECTS;
}

/* The count'th window, from 1, had this mean: what is usual in them, and how
 * far they are from that, finer, go on. */
void sh_shift_average(int64_t *mean, int64_t *spread, uint32_t count,
                      uint64_t ns);

/* 1: takes longer than it did, -1: less; 0: neither. It begins anew then. */
int sh_shift_add(struct sh_shift *s, const struct sh_window *w);

#endif /* SH_PLACE_SHIFT_H */
