/* SPDX-License-Identifier: MIT */
/*
 * place/evidence.h - what is known of a kind of task at one site: sums of what
 * was measured there, in which the newer counts for more.
 *
 * Idea. Evidence grows old with more evidence and not with time, so that a kind
 * that runs once a minute is known after as many runs as one that runs a
 * million times a second. Sums are halved when there are more samples in them
 * than is remembered. One window counts for an eighth of that at most, however
 * many samples it has, since what disturbs one of them disturbs them all; and
 * the mean of one window may lift that of the others only as if it were twice
 * as large, or, once half of all is there, lower it as if it were half. Whether
 * work has really changed is for the detector (place/shift.h) to say; evidence
 * then begins anew.
 *
 * What was asked of the kernel has sums of its own: there are fewer of these.
 */
#ifndef SH_PLACE_EVIDENCE_H
#define SH_PLACE_EVIDENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "task/profile.h"

/* What was measured of a kind of task at one site since the last step. */
struct sh_window {
    uint64_t runs;        /* that have ended, estimated from the samples */
    uint64_t samples;     /* of those, which these are sums of: */
    uint64_t service_ns;  /* in the function; what it was parked left out */
    uint64_t queued_ns;   /* from the submit to the claim */
    uint64_t parked;      /* how many of them waited for a future */
    uint64_t deep;        /* samples that were asked of the kernel, too: */
    uint64_t deep_ns;     /* their service time, */
    uint64_t cpu_ns;      /* of which on a CPU, */
    uint64_t system_ns;   /* and of that in the kernel; */
    uint64_t faults;      /* pages that were not there; */
    uint64_t never_slept; /* how many of them gave no CPU up by themselves */
    uint64_t failures;    /* of all runs, not of samples */
    uint64_t bytes_in, bytes_out; /* of the samples */
    uint64_t crossed; /* how often, in all, a worker of the other site woke one
                       * here for a run that was parked */
};

/* Its runs, as far as there is a use for them. */
static inline uint64_t sh_window_runs(const struct sh_window *w)
{
    return w->runs < INT32_MAX ? w->runs : INT32_MAX;
}

struct sh_measures {
    int64_t now_ns; /* never less than before */
    struct sh_window at[SH_SITES];
    uint32_t crashes; /* since the last step, as all of this */
};

/* A sum that does not overflow; ns is not negative. */
static inline int64_t sh_later(int64_t now_ns, int64_t ns)
{
    return now_ns > INT64_MAX - ns ? INT64_MAX : now_ns + ns;
}

/* All are a unit times what they say, so that halves are not lost. */
#define SH_EVIDENCE_UNIT 256u
#define SH_EVIDENCE_SAMPLES 512u /* are remembered; 64 of a window */
#define SH_EVIDENCE_DEEP 128u    /* are remembered; 16 of a window */
/* Of a sum in a window no more is counted: 78 hours. */
#define SH_EVIDENCE_SUM_MAX (UINT64_C(1) << 48)
/* Nor of wake-ups of a run, of runs beside them. */
#define SH_EVIDENCE_CROSSED_MAX (UINT64_C(1) << 20)
#define SH_EVIDENCE_RUNS_MAX (UINT64_C(1) << 24)

struct sh_evidence {
    uint64_t samples, service_ns;
    uint64_t crossed; /* of as many runs as there are samples; */
    uint64_t runs_since, crossed_since; /* and since the last of these */
    uint64_t deep, deep_ns, cpu_ns, system_ns, faults, never_slept;
};

/* Shares are in 1/1024. */
#define SH_SHARE_ONE 1024u

/* Nothing is counted as more than most_ns a sample. */
void sh_evidence_add(struct sh_evidence *e, const struct sh_window *w,
                     uint64_t most_ns);

/* How many samples there are, after what was forgotten. */
static inline uint64_t sh_evidence_samples(const struct sh_evidence *e)
{
    return e->samples / SH_EVIDENCE_UNIT;
}

static inline uint64_t sh_evidence_deep(const struct sh_evidence *e)
{
    return e->deep / SH_EVIDENCE_UNIT;
}

/* Of the service time; negative: no sample. */
int64_t sh_evidence_mean_ns(const struct sh_evidence *e);

/* What it is for a run that each of its wake-ups from the other site takes so
 * long. */
int64_t sh_evidence_crossings_ns(const struct sh_evidence *e, int64_t each_ns);

/* Of a part in what was asked of the kernel: of cpu_ns in deep_ns, and so on;
 * 0 if there is nothing. */
uint32_t sh_evidence_share(uint64_t part, uint64_t whole);

/* That of the time in which a task of this kind is not on a CPU because it
 * waits: 0 if most samples never did, and others just had the CPU. */
uint32_t sh_evidence_waits(const struct sh_evidence *e);

/* That of the service time which is spent in the kernel. */
uint32_t sh_evidence_system(const struct sh_evidence *e);

/* The time on a CPU of one task; negative: nobody has asked the kernel. */
int64_t sh_evidence_cpu_ns(const struct sh_evidence *e);

#endif /* SH_PLACE_EVIDENCE_H */
