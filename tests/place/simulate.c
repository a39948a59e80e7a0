/* SPDX-License-Identifier: MIT */
/* place/simulate.c - kinds of tasks that are made up. */
#include "simulate.h"

#include <stddef.h>
#include <string.h>

/* What is fixed, in truth: process and thread. */
static const int64_t dispatch_ns[] = { 330, 260 };
static const int64_t inline_ns[] = { 130, 80 };
static const int64_t handoff_ns[] = { 54000, 18000 };

/* clang-format off */
#define CPU_ONLY { 1000, 1000 }
#define TINY(rate) { { 60, 60 }, CPU_ONLY, { 0, 0 }, 0, 0, 0, rate }
#define COMPUTE(rate) \
    { { 10000000, 10000000 }, CPU_ONLY, { 5, 5 }, 0, 0, 0, rate }
#define SLEEPS(rate) \
    { { 2000000, 2000000 }, { 10, 10 }, { 500, 500 }, 0, 0, 0, rate }
#define MAPS(rate) \
    { { 40000, 95000 }, { 950, 500 }, { 700, 800 }, 1, 0, 0, rate }
#define LOCKS(rate) \
    { { 45000, 150000 }, { 1000, 320 }, { 10, 20 }, 1, 0, 0, rate }
#define SHARES(rate) \
    { { 20000, 12000 }, CPU_ONLY, { 500, 200 }, 0, 0, 0, rate }
#define CRASHES(rate) \
    { { 200, 200 }, CPU_ONLY, { 0, 0 }, 0, 0, 10000, rate }
#define ALIKE(rate) { { 4000, 4000 }, CPU_ONLY, { 10, 10 }, 0, 0, 0, rate }
#define BOTH(nature) { nature, nature }

static const struct workload workloads[] = {
    { "tiny", 50, 300, 5, { { "tiny", { 0 }, BOTH(TINY(500000)) } } },
    { "compute", 50, 300, 5, { { "compute", { 0 }, BOTH(COMPUTE(150)) } } },
    { "blocking", 50, 300, 5, { { "sleeps", { 0 }, BOTH(SLEEPS(2000)) } } },
    { "mapping", 50, 300, 5, { { "maps", { 0 }, BOTH(MAPS(10000)) } } },
    { "locking", 50, 300, 5, { { "locks", { 0 }, BOTH(LOCKS(10000)) } } },
    { "sharing", 50, 300, 5, { { "shares", { 0 }, BOTH(SHARES(20000)) } } },
    { "crashing", 50, 300, 5, { { "crashes", { 0 }, BOTH(CRASHES(2000)) } } },
    { "noisy", 300, 900, 50, { { "alike", { 0 }, BOTH(ALIKE(20000)) } } },
    { "changing", 50, 300, 5,
      { { "changes", { 0 }, { COMPUTE(150), TINY(500000) } } } },
    { "turning", 50, 300, 5, /* loses in the host what it had gained there */
      { { "turns", { 0 }, { SHARES(20000), MAPS(10000) } } } },
    { "mixture", 50, 300, 5,
      {
          { "tiny", { 0 }, { TINY(500000), TINY(50000) } },
          { "compute", { 0 }, { COMPUTE(10), COMPUTE(100) } },
          { "sleeps", { 0 }, { SLEEPS(200), SLEEPS(2000) } },
          { "maps", { 0 }, { MAPS(1000), MAPS(5000) } },
          { "locks", { 0 }, { LOCKS(1000), LOCKS(5000) } },
          { "shares", { 0 }, { SHARES(10000), SHARES(1000) } },
          { "crashes", { 0 }, { CRASHES(1000), CRASHES(100) } },
      } },
};
/* clang-format on */

const struct workload *workload_number(int n)
{
    return n >= 0 && (size_t)n < sizeof workloads / sizeof workloads[0]
               ? &workloads[n]
               : NULL;
}

const struct workload *workload_find(const char *name)
{
    for (int i = 0; workload_number(i); i++)
        if (strcmp(workloads[i].name, name) == 0)
            return &workloads[i];
    return NULL;
}

/* SplitMix64, of Steele, Lea and Flood (OOPSLA 2014). */
static uint64_t random_next(uint64_t *seed)
{
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Evenly in -bound..bound. */
static int64_t around(uint64_t *seed, int64_t bound)
{
    return (int64_t)(random_next(seed) % (uint64_t)(2 * bound + 1)) - bound;
}

static uint64_t square_root(uint64_t n)
{
    uint64_t root = 0;

    while ((root + 1) * (root + 1) <= n)
        root++;
    return root;
}

/* What one task costs at a place. */
static int64_t cost_ns(const struct nature *n, struct sh_place at)
{
    int64_t service = n->service_ns[at.site];

    if (at.manner == SH_MANNER_QUEUED)
        return service + dispatch_ns[at.site];
    if (at.manner == SH_MANNER_INLINE)
        return service + inline_ns[at.site] + (service > 1000 ? service : 0);
    if (n->contends)
        return service + handoff_ns[at.site];
    return service * n->cpu[at.site] / 1000 + handoff_ns[at.site];
}

static struct sh_place place_number(int i)
{
    return (struct sh_place){ (uint8_t)(i / MANNERS), (uint8_t)(i % MANNERS) };
}

/* Whole ones of what comes to amount more, per mille; the rest stays due. */
static uint64_t whole(uint64_t *due, uint64_t amount)
{
    uint64_t all = *due + amount;

    *due = all % 1000;
    return all / 1000;
}

static void sample(struct player *p, const struct workload *w,
                   const struct nature *n, uint64_t runs)
{
    uint8_t site = p->policy.place.site;
    struct sh_window *to = &p->measures.at[site];
    uint64_t every = n->service_ns[site] < 10000 ? 16 : 1;
    int64_t mean = n->service_ns[site] * 1000;

    to->runs = runs;
    to->samples = (runs + every - 1) / every;
    if (to->samples == 0)
        return;
    mean += mean / 1000 * around(&p->seed, w->noise);
    mean += mean / 1000 * around(&p->seed, w->grain) /
            (int64_t)square_root(to->samples);
    to->service_ns = (uint64_t)(mean / 1000) * to->samples;
    to->parked = n->parks ? to->samples / 4 : 0;

    /* Of the sum, before what is lost: that is rarely in these. */
    to->deep = whole(&p->deep_due, to->samples * 1000 / 8);
    if (to->deep > to->samples)
        to->deep = to->samples;
    to->deep_ns = to->service_ns / to->samples * to->deep;
    to->cpu_ns = to->deep_ns / 1000 * n->cpu[site];
    to->system_ns = to->cpu_ns / 1000 * n->system[site];
    to->never_slept = n->cpu[site] == 1000 ? to->deep : 0;
    if (random_next(&p->seed) % 1000 < w->stalls)
        to->service_ns += 4000000;
}

void player_begin(struct player *p, const struct kind *kind, uint64_t seed)
{
    memset(p, 0, sizeof *p);
    p->kind = kind;
    p->seed = seed;
    sh_policy_init(&p->policy, &kind->bounds);
}

void player_step(struct player *p, const struct workload *w, int half,
                 int64_t now_ns)
{
    const struct nature *n = &p->kind->half[half];
    struct sh_place at = p->policy.place;
    uint64_t runs = whole(&p->runs_due, n->rate * (STEP_NS / 1000000));

    memset(&p->measures, 0, sizeof p->measures);
    p->measures.now_ns = now_ns;
    sample(p, w, n, runs);
    for (uint64_t i = 0; n->crashes > 0 && i < runs; i++)
        p->measures.crashes += random_next(&p->seed) % 1000000 < n->crashes;
    if (at.site == SH_SITE_THREAD)
        p->host_crashes += p->measures.crashes;
    p->paid_ns += (int64_t)runs * cost_ns(n, at);
    for (int i = 0; i < PLACES; i++)
        p->fixed_ns[i] += (int64_t)runs * cost_ns(n, place_number(i));
    p->reason = sh_policy_step(&p->policy, &p->measures);
}

bool player_survives(const struct player *p, int place)
{
    return (place / MANNERS == SH_SITE_PROCESS &&
            place % MANNERS != SH_MANNER_INLINE) ||
           (p->kind->half[0].crashes == 0 && p->kind->half[1].crashes == 0);
}
