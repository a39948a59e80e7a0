/* SPDX-License-Identifier: MIT */
/*
 * observe/waits.h - who waits for what, found in the edges of all records. See
 * waits.c.
 */
#ifndef SH_OBSERVE_WAITS_H
#define SH_OBSERVE_WAITS_H

#include "task/pool.h"

/* A pool that is looked at. Its records are nodes: number base + index. */
struct sh_survey {
    struct sh_pool *pool;
    uint32_t base, used;
    uint32_t threads; /* outside, that sleep until something of it settles */
};

/* What is known of a record as one that waits; in scratch memory. */
struct sh_node {
    uint32_t generation; /* of its arrivals, when the following was seen */
    uint32_t on;         /* the first of its inputs, a node */
    uint32_t input;      /* the number of that input */
    uint32_t pending; /* inputs that have not settled; 0: it waits for none */
    /* Of the search: how it was reached. */
    uint32_t state;
    uint32_t parent; /* a node that it waits for, 0: the search began here */
    uint32_t hook;   /* which edge of the parent leads here, */
    uint32_t at;     /* and which of its own comes next */
    uint64_t target; /* what that edge says */
};

struct sh_waits {
    struct sh_survey *sites; /* in the order of their bases */
    unsigned site_count;
    struct sh_node *nodes; /* zeroed; NULL: there is no memory for them */
};

/* How many nodes there are, and their number plus one. */
uint64_t sh_waits_size(const struct sh_waits *w);

/* Fill the nodes, and count threads. */
void sh_waits_gather(struct sh_waits *w);

/* What a record waits for: the node of its first input that has not settled, 0
 * if it is not known. *input_out: its number, *pending_out: how many. */
uint32_t sh_waits_on(const struct sh_waits *w, const struct sh_survey *site,
                     uint32_t index, uint32_t *input_out,
                     uint32_t *pending_out);

/* How many futures, and threads outside, wait for a record. */
void sh_waits_count(const struct sh_waits *w, const struct sh_survey *site,
                    uint32_t index, uint32_t *futures_out,
                    uint32_t *threads_out);

/* Where a node is. */
const struct sh_survey *sh_waits_site(const struct sh_waits *w, uint32_t node);

/* Records that wait for each other in a circle: first waits for next, that for
 * its parent, and so on until first. */
struct sh_cycle {
    uint32_t first, next;
    uint32_t length;
    bool may_end; /* an input outside of the circle may settle one of them */
};

typedef void sh_cycle_found(void *to, const struct sh_cycle *cycle);

/* Call found for circles of records of site and of what waits for them. None is
 * called twice, and all of each did wait at one moment of this call. */
void sh_waits_cycles(struct sh_waits *w, const struct sh_survey *site,
                     sh_cycle_found *found, void *to);

#endif /* SH_OBSERVE_WAITS_H */
