/* SPDX-License-Identifier: MIT */
/*
 * place/policy.h - where a kind of task is to run, from what was measured of
 * it: arithmetic alone, without clocks, atomics or pools, so that a recorded
 * trace of measurements gives the same decisions again.
 *
 *                     earned, and a trial won
 *     process  ---------------------------------->  thread
 *              <----------------------------------
 *               crash (for good); a trial won; long
 *
 * Idea. A kind begins in processes. What it costs there is measured; what it
 * would cost in the host is not guessed but tried, for a moment and with the
 * whole kind, once it has run a thousand times without a crash and if there is
 * anything to gain. Trials go both ways and come ever more seldom, until its
 * service time shows that it has become other work. At either site, what is
 * short runs inline and what waits in the kernel does not count as at work.
 * docs/decisions/0043-what-auto-decides-by.md has the reasons.
 */
#ifndef SH_PLACE_POLICY_H
#define SH_PLACE_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "place/evidence.h"
#include "place/trial.h"

struct sh_bounds {
    bool trusted;   /* may run in the host at once */
    bool isolated;  /* never may: .untrusted, .thread_unsafe, .exclusive, or the
                     * pool has one worker, or an .init */
    bool host_only; /* always does */
    bool blocking;  /* says that it blocks */
};

/* -- what a worker has to do beside the task, ns: process, thread -- */

/* Between bulk/2w of bench/README.md (120 and 85), where nobody is woken, and a
 * submit and an await in a task (about 500). */
#define SH_DISPATCH_PROCESS_NS 300
#define SH_DISPATCH_THREAD_NS 250
/* As bulk/2w. */
#define SH_INLINE_PROCESS_NS 120
#define SH_INLINE_THREAD_NS 85
/* Another thread, or process, is woken to run in the stead of one that blocks,
 * and sleeps again. With 256 tasks at a time that sleep for 300 us, and two
 * CPUs, one took 19 us of CPU time on threads and 80 in processes, which find
 * their caches and TLBs cold: three times as much. And as much each time that a
 * task which waits for one at the other site is woken from there. */
#define SH_HANDOFF_PROCESS_NS 60000
#define SH_HANDOFF_THREAD_NS 20000

/* -- when: all figures of a decision need so many samples -- */

/* With 32 samples that differ by half their mean, that mean is right to a tenth
 * in three of four cases; what is asked of the kernel is a share, which 8 tell
 * from a half. What holds others up is seen sooner than it is sure. */
#define SH_SAMPLES_MIN 32u
#define SH_DEEP_MIN 8u
#define SH_SAMPLES_FEW 4u /* to leave inline; of deep ones, to end a trial */

/* A submit and an await in a task: what runs shorter than that costs more to
 * hand over than to run. Between the two it stays what it is. */
#define SH_INLINE_BELOW_NS 500 /* of service, and it has never parked; */
#define SH_INLINE_ABOVE_NS 800 /* not inline any more */

/* Twice a wake-up across CPUs, at least one of which a hand-over takes; and
 * half of it waiting, so that there is something for others to run in. */
#define SH_BLOCKS_ABOVE_NS 100000 /* of service, */
#define SH_BLOCKS_SHARE 512u      /* of it in 1/1024, waiting in the kernel; */
#define SH_BLOCKS_BELOW_NS 50000  /* not any more below either */
#define SH_COMPUTES_SHARE 256u

/* Without a crash; then it may be tried in the host. What crashes once in a
 * hundred runs comes so far in one of 23,000 cases. */
#define SH_EARN_RUNS 1000

/* What is fixed differs by a tenth of a microsecond, and what a process leaves
 * cold in caches by some: less than a tenth of 50 us. */
#define SH_SHORT_NS 50000 /* of service: to leave a process may be worth it */
#define SH_LONG_NS 100000 /* of service: nothing is lost in a process, but by
                           * what waits for others */

/* -- trials -- */

#define SH_TRIAL_SAMPLES 8u /* with fewer it has said nothing then */
/* Where it goes from one site to the other it runs at both for a moment, more
 * at a time than usual and then fewer, and what that takes is the cost of
 * neither. Windows with more than one run at the one site for each four at the
 * other are not counted; after so many in a row they are. */
#define SH_MIXED_PART 4
#define SH_MIXED_MOST 25u
#define SH_TRIAL_CUT 2 /* times the cost, two windows in a row: lost */
/* Where a tenth could be gained a trial is made. It is won by a bit more than
 * half of that: what is measured is right to some per cent, and what stays for
 * less is to be within a tenth of the best. Nor is a gain what two looks at the
 * clock differ by. */
#define SH_HOPE_PERCENT 10
#define SH_GAIN_PERCENT 6  /* more than that, than seven tenths of what windows
                            * differed before, and than half as much of what
                            * they do in the trial; */
#define SH_GAIN_NS 25      /* and more than that a task: won */
/* What is longer than SH_SHORT_NS, and waits for no others, has nothing to gain
 * but what the kernel does for it, and has to win twice in a row, unless it
 * costs less than half: machines have moments in which all costs less. */
#define SH_GAIN_SURE 2 /* times */
/* Of its cost when it came to the host: a trial at once. */
#define SH_DRIFT_PERCENT 150

/* From the first to the second; each further one so many times as long: nine in
 * the first hour (docs/decisions/0043). One that is to confirm another comes as
 * soon, and counts for two if it is lost. */
#define SH_BACKOFF_NS_MIN INT64_C(100000000)
#define SH_BACKOFF_NS_MAX INT64_C(3600000000000)
#define SH_BACKOFF_TIMES 4
/* A shift within that time of another takes one step of the back-off away, and
 * not all of them. */
#define SH_SHIFT_CALM_NS INT64_C(10000000000)

/* Why it runs where it does, and why it changed. */
enum sh_reason {
    SH_REASON_NONE,
    SH_REASON_BEGAN,     /* where kinds begin */
    SH_REASON_HOST_ONLY, /* .host_only */
    SH_REASON_ISOLATED,  /* bounds.isolated */
    SH_REASON_CRASHED,   /* not in the host any more */
    SH_REASON_LOADED,    /* as a saved profile says */
    SH_REASON_SHORT,     /* inline */
    SH_REASON_NOT_SHORT, /* not inline any more, */
    SH_REASON_PARKS,     /* this because it waits for others */
    SH_REASON_BLOCKS,    /* in the kernel */
    SH_REASON_COMPUTES,  /* not blocking any more */
    SH_REASON_TRIAL,     /* at the other site, since it may gain */
    SH_REASON_DRIFT,     /* a trial: here it costs more than it did */
    SH_REASON_GAIN,      /* the trial was won, */
    SH_REASON_ONCE,      /* but is to be won again, */
    SH_REASON_NO_GAIN,   /* or lost, */
    SH_REASON_CUT,       /* at once, */
    SH_REASON_FEW,       /* or there was too little to measure */
    SH_REASON_LONG,      /* in a process for free */
    /* Why it is not tried elsewhere just now. */
    SH_REASON_UNEARNED,
    SH_REASON_UNKNOWN,
    SH_REASON_NO_HOPE,
    SH_REASON_BACKOFF,
    SH_REASONS
};

struct sh_change {
    int64_t now_ns;
    int64_t cost_before, cost_after; /* negative: not known */
    struct sh_place from, to;
    uint32_t reason; /* enum sh_reason */
};

#define SH_CHANGES_KEPT 16u

/* What is decided about one kind. No padding: two that went the same way are
 * the same bytes. */
struct sh_policy {
    struct sh_evidence at[SH_SITES];
    struct sh_shift shift; /* of where it runs now */
    struct sh_trial trial;
    struct sh_change history[SH_CHANGES_KEPT]; /* at recorded % their number */
    uint64_t recorded;     /* changes, trials and their ends, and a ban */
    uint64_t changes;      /* of place, that were meant to last */
    uint64_t explorations; /* trials */
    uint64_t shifts;       /* times that it became other work */
    uint64_t crashes;
    int64_t clean;         /* runs since the last crash */
    int64_t next_trial_ns; /* negative: backoff_ns after the next step */
    int64_t backoff_ns, last_shift_ns;
    int64_t settled_cost; /* when it came there; negative: not yet known */
    uint32_t why;         /* enum sh_reason: the last of what lasted */
    struct sh_place place;
    uint8_t manner[SH_SITES];
    struct sh_bounds bounds;
    bool banned;     /* has crashed */
    bool parks;      /* has waited for a future */
    bool unfinished; /* the last trial said nothing: the next goes on */
    uint8_t mixed;   /* windows in a row in which it ran at both sites */
    bool won;        /* a trial in the host, and is to win another */
    uint8_t unused[7];
};

void sh_policy_init(struct sh_policy *p, const struct sh_bounds *bounds);

/* Look at what was measured, and put p->place right: why it changed, or NONE.
 * CRASHED also if the place is the same and the ban is new. */
enum sh_reason sh_policy_step(struct sh_policy *p, const struct sh_measures *m);

/* ns of a worker that one task is thought to cost there; negative: not known,
 * never measured and not guessed. */
int64_t sh_policy_cost(const struct sh_policy *p, struct sh_place where);

/* Why it may not run at the other site at all; NONE: it has earned that, and
 * nothing is against it. */
enum sh_reason sh_policy_bound(const struct sh_policy *p);

/* Why it does not run at the other site just now; NONE: it is about to be tried
 * there, TRIAL: it is being tried here. */
enum sh_reason sh_policy_stays(const struct sh_policy *p, int64_t now_ns);

/* The number'th newest change, from 0; NULL if that is not kept. */
const struct sh_change *sh_policy_change(const struct sh_policy *p,
                                         uint32_t number);

/* One sentence, without a full stop. */
const char *sh_reason_text(enum sh_reason reason);

/* -- what a restart begins with -- */

struct sh_policy_saved {
    int64_t site, manner; /* where it ran, trials left out */
    int64_t clean, crashes, banned, parks;
    int64_t backoff_ns;
    struct {
        int64_t samples, service_ns;
        int64_t deep, deep_ns, cpu_ns, system_ns, faults, never_slept;
        int64_t crossed;
    } at[SH_SITES];
};

void sh_policy_save(const struct sh_policy *p, struct sh_policy_saved *s);

/* As init, and with what was saved; the bounds of today win. What is known of
 * costs counts as one window. False: these numbers were never saved, and p is
 * as after init. */
bool sh_policy_load(struct sh_policy *p, const struct sh_bounds *bounds,
                    const struct sh_policy_saved *s);

#endif /* SH_PLACE_POLICY_H */
