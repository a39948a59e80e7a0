/* SPDX-License-Identifier: MIT */
/*
 * fork/loop.h - loops whose bodies are short, and of uneven length.
 *
 *     short     out[i] of an i takes a division
 *     uneven    it takes the more steps the larger i is: the last hundredth
 *               of the indexes is a fiftieth of the work, the first nothing
 *
 * No compiler makes vectors of the one, or leaves out steps of the other: it is
 * how loops are shared out that is compared.
 */
#ifndef BENCH_FORK_LOOP_H
#define BENCH_FORK_LOOP_H

#include <stddef.h>
#include <stdint.h>

/* An index has a step more than sixteen before it. */
#define BENCH_UNEVEN_INDEXES 16u

struct bench_loop {
    uint32_t *out;
    size_t n;
};

static inline uint32_t bench_loop_short(size_t i)
{
    return (uint32_t)((uint64_t)i * 0x9e3779b97f4a7c15u % (i + 3));
}

static inline uint32_t bench_loop_uneven(size_t i)
{
    uint32_t x = (uint32_t)i;

    for (size_t steps = i / BENCH_UNEVEN_INDEXES; steps > 0; steps--)
        x = (x ^ x >> 15) * 2246822519u + 1;
    return x;
}

#endif /* BENCH_FORK_LOOP_H */
