/* SPDX-License-Identifier: MIT */
/*
 * fork/uts.h - the trees of UTS, which nobody can know before they are walked.
 *
 * A node is 20 bytes and a depth. What SHA-1 makes of these bytes and a child's
 * number are the child's bytes, and the last of them, as a random number, say
 * how many children there are: so a tree is the same for everyone, and its
 * parts are of very different size.
 *
 * After Olivier et al., "UTS: An unbalanced tree search benchmark" (LCPC 2006).
 */
#ifndef BENCH_FORK_UTS_H
#define BENCH_FORK_UTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    BENCH_UTS_BYTES = 20
};

struct bench_uts {
    uint32_t seed;
    int root;  /* how many children the root has, or if depth is set, the mean
                * of all nodes above that depth */
    int depth; /* 0: binomial: others have many children, or none */
    int many;
    double probability; /* of many */
};

struct bench_uts_node {
    uint8_t bytes[BENCH_UTS_BYTES];
    uint32_t depth;
};

struct bench_uts_node bench_uts_root(const struct bench_uts *tree);

/* How many children the node has. */
int bench_uts_children(const struct bench_uts *tree,
                       const struct bench_uts_node *node);

struct bench_uts_node bench_uts_child(const struct bench_uts_node *node, int i);

/* uts_sha1.c, or uts_none.c where there is no SHA-1: whether there is, and
 * that of n bytes. */
bool bench_uts_hashes(void);
void bench_uts_hash(const uint8_t *bytes, size_t n,
                    uint8_t hash[BENCH_UTS_BYTES]);

#ifdef __cplusplus
}
#endif

#endif /* BENCH_FORK_UTS_H */
