/* SPDX-License-Identifier: MIT */
/* place/evidence.c - sums in which the newer counts for more. */
#include "place/evidence.h"

#include "base/assert.h"

enum {
    WINDOWS = 8 /* at least are remembered */
};

static uint64_t at_most(uint64_t x, uint64_t max)
{
    return x < max ? x : max;
}

/* A sum over n samples, in units, as if it were over no more than max. */
static uint64_t scaled(uint64_t sum, uint64_t n, uint64_t max)
{
    uint64_t in_units = at_most(sum, SH_EVIDENCE_SUM_MAX) * SH_EVIDENCE_UNIT;

    return n <= max ? in_units : in_units / n * max;
}

/* The service time of a window, in units, as much as one window may say. That
 * it is too short is no accident, so that takes more to doubt. */
static uint64_t believed(const struct sh_evidence *e, uint64_t ns, uint64_t n)
{
    uint64_t known = sh_evidence_samples(e);

    if (known < n || known == 0)
        return ns;

    /* Per sample and in units, so that even the mean of 1 ns has a half. */
    uint64_t mean = e->service_ns / known;
    uint64_t least = known < SH_EVIDENCE_SAMPLES / 2 ? 0 : mean / 2 * n;
    uint64_t most = mean * 2 * n;

    return ns > most ? most : ns < least ? least : ns;
}

/* Who waits for many is woken in many windows, and ends in one. */
static void add_crossed(struct sh_evidence *e, uint64_t n)
{
    uint64_t runs = e->runs_since > 0 ? e->runs_since : 1;
    uint64_t most = SH_EVIDENCE_CROSSED_MAX * runs;

    e->crossed += at_most(e->crossed_since, most) * SH_EVIDENCE_UNIT * n / runs;
    e->crossed_since = e->runs_since = 0;
}

static void add_service(struct sh_evidence *e, const struct sh_window *w,
                        uint64_t most_ns)
{
    uint64_t max = SH_EVIDENCE_SAMPLES / WINDOWS;
    uint64_t n = at_most(w->samples, max);
    uint64_t ns = w->service_ns / w->samples < most_ns ? w->service_ns
                                                       : w->samples * most_ns;

    e->service_ns += believed(e, scaled(ns, w->samples, max), n);
    e->samples += n * SH_EVIDENCE_UNIT;
    add_crossed(e, n);
    while (sh_evidence_samples(e) > SH_EVIDENCE_SAMPLES) {
        e->samples /= 2;
        e->service_ns /= 2;
        e->crossed /= 2;
    }
}

static void add_deep(struct sh_evidence *e, const struct sh_window *w)
{
    uint64_t max = SH_EVIDENCE_DEEP / WINDOWS, n = w->deep;

    e->deep += at_most(n, max) * SH_EVIDENCE_UNIT;
    e->deep_ns += scaled(w->deep_ns, n, max);
    e->cpu_ns += scaled(w->cpu_ns, n, max);
    e->system_ns += scaled(w->system_ns, n, max);
    e->faults += scaled(w->faults, n, max);
    e->never_slept += scaled(w->never_slept, n, max);
    while (sh_evidence_deep(e) > SH_EVIDENCE_DEEP) {
        e->deep /= 2;
        e->deep_ns /= 2;
        e->cpu_ns /= 2;
        e->system_ns /= 2;
        e->faults /= 2;
        e->never_slept /= 2;
    }
}

void sh_evidence_add(struct sh_evidence *e, const struct sh_window *w,
                     uint64_t most_ns)
{
    e->runs_since =
        at_most(e->runs_since + at_most(w->runs, SH_EVIDENCE_RUNS_MAX),
                SH_EVIDENCE_RUNS_MAX);
    e->crossed_since =
        at_most(e->crossed_since + at_most(w->crossed, SH_EVIDENCE_SUM_MAX),
                SH_EVIDENCE_SUM_MAX);
    if (w->samples > 0)
        add_service(e, w, most_ns);
    if (w->deep > 0)
        add_deep(e, w);
    SH_ASSERT(sh_evidence_samples(e) <= SH_EVIDENCE_SAMPLES);
    SH_ASSERT(sh_evidence_deep(e) <= SH_EVIDENCE_DEEP);
}

int64_t sh_evidence_mean_ns(const struct sh_evidence *e)
{
    return e->samples == 0 ? -1 : (int64_t)(e->service_ns / e->samples);
}

int64_t sh_evidence_crossings_ns(const struct sh_evidence *e, int64_t each_ns)
{
    if (e->samples == 0)
        return 0;
    /* 2^20 of each sample, and each of a second at most: below 2^63. */
    SH_ASSERT(each_ns >= 0 && each_ns <= 1000000000);
    return (int64_t)(e->crossed * SH_EVIDENCE_UNIT / e->samples) * each_ns /
           SH_EVIDENCE_UNIT;
}

uint32_t sh_evidence_share(uint64_t part, uint64_t whole)
{
    if (part >= whole)
        return whole == 0 ? 0 : SH_SHARE_ONE;
    if (part <= UINT64_MAX / SH_SHARE_ONE)
        return (uint32_t)(part * SH_SHARE_ONE / whole);
    return (uint32_t)(part / (whole / SH_SHARE_ONE));
}

uint32_t sh_evidence_waits(const struct sh_evidence *e)
{
    if (e->deep_ns == 0 || e->never_slept > e->deep / 2)
        return 0;
    return SH_SHARE_ONE - sh_evidence_share(e->cpu_ns, e->deep_ns);
}

uint32_t sh_evidence_system(const struct sh_evidence *e)
{
    return sh_evidence_share(e->system_ns, e->deep_ns);
}

int64_t sh_evidence_cpu_ns(const struct sh_evidence *e)
{
    int64_t mean = sh_evidence_mean_ns(e);

    if (mean < 0 || e->deep == 0)
        return -1;
    if (e->deep_ns == 0)
        return mean;

    /* A mean is a sum over a unit at the most, so this stays below 2^63. */
    int64_t share = sh_evidence_share(e->cpu_ns, e->deep_ns);

    return mean / SH_SHARE_ONE * share +
           mean % SH_SHARE_ONE * share / SH_SHARE_ONE;
}
