/* SPDX-License-Identifier: MIT */
/*
 * place/simulate.h - kinds of tasks that are made up, and what the policy makes
 * of them: a model of what they cost, from which come the measures of a step,
 * with noise, and the regret, without.
 *
 * Idea. So many tasks come each second, wherever they run. What one costs is ns
 * of a worker: its service time and what is fixed for the place, which is not
 * quite what the policy thinks it is. Where a kind blocks, only its time on a
 * CPU counts in the manner blocking; but where it contends, all of it does; and
 * what is long holds another worker up if it runs inline. Regret is what was
 * paid beyond the best place that one could have fixed beforehand, knowing all,
 * of those that the host survives.
 *
 * Integers and a generator of its own, so that a seed is the same everywhere.
 */
#ifndef PLACE_SIMULATE_H
#define PLACE_SIMULATE_H

#include "place/policy.h"

enum {
    KINDS_MAX = 8,
    STEP_NS = 10000000,
    MANNERS = 3,
    PLACES = SH_SITES * MANNERS /* site * MANNERS + manner */
};

/* What a kind is like in one half of the run; per mille where not ns. */
struct nature {
    int64_t service_ns[SH_SITES];
    uint32_t cpu[SH_SITES];    /* of the service time; the rest it waits */
    uint32_t system[SH_SITES]; /* of the time on a CPU */
    uint32_t contends;         /* 1: what it waits in threads, its own do */
    uint32_t parks;            /* 1: some wait for futures */
    uint32_t crashes;          /* of a million runs */
    uint64_t rate;             /* runs a second */
};

struct kind {
    const char *name;
    struct sh_bounds bounds;
    struct nature half[2];
};

struct workload {
    const char *name;
    uint32_t noise;  /* of a step, per mille either way, on all samples */
    uint32_t grain;  /* of a sample, per mille either way */
    uint32_t stalls; /* of a thousand steps: 4 ms are lost in one sample */
    struct kind kinds[KINDS_MAX]; /* until one without a name */
};

/* One kind as it goes on. */
struct player {
    const struct kind *kind;
    struct sh_policy policy;
    struct sh_measures measures; /* of the last step */
    uint64_t seed;
    uint64_t runs_due, deep_due; /* parts of one, per mille */
    int64_t paid_ns;             /* by the policy */
    int64_t fixed_ns[PLACES];    /* by each place, if it had been there */
    uint64_t host_crashes;       /* the host would be dead */
    enum sh_reason reason;       /* of the last step */
};

const struct workload *workload_find(const char *name);
const struct workload *workload_number(int n); /* NULL: there are no more */

void player_begin(struct player *p, const struct kind *kind, uint64_t seed);

/* Make up one step, in the first half or the second, and decide. */
void player_step(struct player *p, const struct workload *w, int half,
                 int64_t now_ns);

/* Whether the host survives if this kind is always there, and, if it is inline,
 * who awaits it. */
bool player_survives(const struct player *p, int place);

#endif /* PLACE_SIMULATE_H */
