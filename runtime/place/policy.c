/* SPDX-License-Identifier: MIT */
/*
 * place/policy.c - where a kind of task is to run.
 *
 * Idea. One step: a crash, before anything else; what was measured is added to
 * the evidence; a trial goes on or ends; else the detector, the manner at this
 * site, the way home of what has nothing to gain from the host, and the next
 * trial. At most one change of place comes of it, the first that applies.
 *
 * All is in integers: the same on every machine and with every compiler.
 */
#include "place/policy.h"

#include <stddef.h>
#include <string.h>

#include "base/assert.h"

_Static_assert(sizeof(struct sh_change) == 3 * 8 + 2 * 2 + 4, "no padding");
_Static_assert(sizeof(struct sh_policy) ==
                   SH_SITES * sizeof(struct sh_evidence) +
                       sizeof(struct sh_shift) + sizeof(struct sh_trial) +
                       SH_CHANGES_KEPT * sizeof(struct sh_change) + 10 * 8 + 24,
               "no padding");

static const int64_t dispatch_ns[] = { SH_DISPATCH_PROCESS_NS,
                                       SH_DISPATCH_THREAD_NS };
static const int64_t inline_ns[] = { SH_INLINE_PROCESS_NS,
                                     SH_INLINE_THREAD_NS };
static const int64_t blocking_ns[] = { SH_HANDOFF_PROCESS_NS,
                                       SH_HANDOFF_THREAD_NS };

static uint8_t other(uint8_t site)
{
    return site == SH_SITE_PROCESS ? SH_SITE_THREAD : SH_SITE_PROCESS;
}

static bool same(struct sh_place a, struct sh_place b)
{
    return a.site == b.site && a.manner == b.manner;
}

static bool enough(const struct sh_evidence *e)
{
    return sh_evidence_samples(e) >= SH_SAMPLES_MIN;
}

static bool deep_enough(const struct sh_evidence *e)
{
    return sh_evidence_deep(e) >= SH_DEEP_MIN;
}

/* -- what it costs -- */

static int64_t fixed_ns(struct sh_place where)
{
    const int64_t *of = where.manner == SH_MANNER_INLINE     ? inline_ns
                        : where.manner == SH_MANNER_BLOCKING ? blocking_ns
                                                             : dispatch_ns;

    return of[where.site];
}

/* Whether another runs in its stead while it waits. */
static bool stood_in(struct sh_place where)
{
    return where.manner == SH_MANNER_BLOCKING;
}

/* What waits in threads much longer than in processes waits for its own kind,
 * and that is no time that others could use: two that wait for each other take
 * twice as long, and are to seem no better than two that do not. */
static int64_t contention_ns(const struct sh_policy *p, struct sh_place where)
{
    const struct sh_evidence *here = &p->at[SH_SITE_THREAD];
    const struct sh_evidence *apart = &p->at[SH_SITE_PROCESS];

    if (!stood_in(where) || where.site == SH_SITE_PROCESS || !enough(here) ||
        !enough(apart))
        return 0;

    int64_t there = sh_evidence_mean_ns(apart);
    int64_t more = sh_evidence_mean_ns(here) - there;

    return more > there / 2 ? more : 0;
}

int64_t sh_policy_cost(const struct sh_policy *p, struct sh_place where)
{
    SH_ASSERT(where.site < SH_SITES && where.manner <= SH_MANNER_BLOCKING);
    const struct sh_evidence *e = &p->at[where.site];
    int64_t ns = stood_in(where) ? sh_evidence_cpu_ns(e)
                                 : sh_evidence_mean_ns(e);

    if (ns < 0)
        return -1;
    return ns + fixed_ns(where) + contention_ns(p, where) +
           sh_evidence_crossings_ns(e, blocking_ns[where.site]);
}

/* Whether one cost is less than another by enough, where windows differ by so
 * much in 1/SH_SHIFT_ONE of a power of two; one hundredth is 3.7 of these. The
 * means of eight windows here and there are right to seven tenths of it. */
static bool gains(int64_t now, int64_t before, int64_t noise)
{
    int64_t percent = noise * 7 / 37;

    if (percent < SH_GAIN_PERCENT)
        percent = SH_GAIN_PERCENT;
    return before - now >
               before / 100 * percent + before % 100 * percent / 100 &&
           before - now > SH_GAIN_NS;
}

/* The most that a task could gain by leaving its process, as is known there:
 * what is fixed, and all that the kernel does for it. What it waits is free
 * there as well, if it blocks. */
static int64_t hope_ns(const struct sh_evidence *e, uint8_t manner)
{
    struct sh_place from = { SH_SITE_PROCESS, manner };
    struct sh_place to = { SH_SITE_THREAD, manner };
    int64_t mean = sh_evidence_mean_ns(e);
    int64_t share = sh_evidence_system(e);

    return fixed_ns(from) - fixed_ns(to) + mean / SH_SHARE_ONE * share +
           mean % SH_SHARE_ONE * share / SH_SHARE_ONE;
}

/* Whether a trial in the host can be won. What it takes to submit others, and
 * to wait for them, differs by site, however long it takes. */
static bool hopes(const struct sh_policy *p, uint8_t site, uint8_t manner)
{
    struct sh_place where = { site, manner };
    const struct sh_evidence *e = &p->at[site];

    if (manner != SH_MANNER_BLOCKING &&
        (p->parks || sh_evidence_mean_ns(e) < SH_SHORT_NS))
        return true;
    return deep_enough(e) && hope_ns(e, manner) >= sh_policy_cost(p, where) /
                                                       100 * SH_HOPE_PERCENT;
}

/* -- the manner at a site -- */

static bool waits(const struct sh_evidence *e, bool already)
{
    uint32_t share = sh_evidence_waits(e);
    int64_t mean = sh_evidence_mean_ns(e);

    return already ? share >= SH_COMPUTES_SHARE && mean >= SH_BLOCKS_BELOW_NS
                   : share > SH_BLOCKS_SHARE && mean > SH_BLOCKS_ABOVE_NS;
}

/* Whether it blocks. In threads waiting may be contention, for a lock of its
 * library or of the address space: only what waits in processes too blocks. */
static bool blocks(const struct sh_policy *p, uint8_t site)
{
    bool already = p->manner[site] == SH_MANNER_BLOCKING;
    const struct sh_evidence *apart = &p->at[SH_SITE_PROCESS];

    if (p->bounds.blocking)
        return true;
    if (!deep_enough(&p->at[site]) || !enough(&p->at[site]))
        return already;
    if (site == SH_SITE_THREAD && !p->bounds.host_only) {
        bool known = deep_enough(apart) && enough(apart);

        if (known ? !waits(apart, already) : !already)
            return false;
    }
    return waits(&p->at[site], already);
}

static uint8_t manner_at(const struct sh_policy *p, uint8_t site)
{
    bool already = p->manner[site] == SH_MANNER_INLINE;
    int64_t mean = sh_evidence_mean_ns(&p->at[site]);

    if (blocks(p, site))
        return SH_MANNER_BLOCKING;
    if (p->parks || p->banned)
        return SH_MANNER_QUEUED;
    /* What has become long while it runs inline holds others up: a few will
     * do. */
    if (already)
        return mean > SH_INLINE_ABOVE_NS &&
                       sh_evidence_samples(&p->at[site]) >= SH_SAMPLES_FEW
                   ? SH_MANNER_QUEUED
                   : SH_MANNER_INLINE;
    return enough(&p->at[site]) && mean < SH_INLINE_BELOW_NS ? SH_MANNER_INLINE
                                                             : SH_MANNER_QUEUED;
}

static enum sh_reason why_manner(const struct sh_policy *p, uint8_t now)
{
    if (now == SH_MANNER_BLOCKING)
        return SH_REASON_BLOCKS;
    if (p->place.manner == SH_MANNER_BLOCKING)
        return SH_REASON_COMPUTES;
    if (now == SH_MANNER_INLINE)
        return SH_REASON_SHORT;
    return p->parks ? SH_REASON_PARKS : SH_REASON_NOT_SHORT;
}

/* -- changes -- */

/* From where the cost is that of before; a place that is the same stays. */
static void record(struct sh_policy *p, int64_t now_ns, struct sh_place from,
                   struct sh_place to, enum sh_reason why)
{
    p->history[p->recorded++ % SH_CHANGES_KEPT] = (struct sh_change){
        .now_ns = now_ns,
        .cost_before = sh_policy_cost(p, from),
        .cost_after = sh_policy_cost(p, to),
        .from = from,
        .to = to,
        .reason = (uint32_t)why,
    };
}

/* Go to a place that is meant to last. */
static enum sh_reason settle(struct sh_policy *p, int64_t now_ns,
                             struct sh_place from, struct sh_place to,
                             enum sh_reason why)
{
    if (from.site != to.site)
        sh_shift_begin(&p->shift, enough(&p->at[to.site])
                                      ? sh_evidence_mean_ns(&p->at[to.site])
                                      : -1);
    record(p, now_ns, from, to, why);
    p->won = false;
    p->changes += !same(from, to);
    p->why = (uint32_t)why;
    p->place = to;
    p->manner[to.site] = to.manner;
    p->settled_cost = sh_policy_cost(p, to);
    return why;
}

/* The first crash: for good, and at once. What crashes never runs inline
 * either, or whoever awaits it would die with it. */
static enum sh_reason ban(struct sh_policy *p, int64_t now_ns)
{
    struct sh_place from = p->place;
    struct sh_place to = { SH_SITE_PROCESS, SH_MANNER_QUEUED };

    p->banned = true;
    p->trial.running = 0;
    if (p->bounds.host_only)
        to.site = SH_SITE_THREAD;
    if (from.manner == SH_MANNER_BLOCKING)
        to.manner = SH_MANNER_BLOCKING;
    return settle(p, now_ns, from, to, SH_REASON_CRASHED);
}

/* The service time says that it has become other work: what was known is of no
 * use, here or there. */
static void shifted(struct sh_policy *p, const struct sh_measures *m)
{
    uint8_t site = p->place.site;
    bool calm = p->last_shift_ns < 0 ||
                m->now_ns - p->last_shift_ns > SH_SHIFT_CALM_NS;
    int64_t less = p->backoff_ns / SH_BACKOFF_TIMES;

    p->at[site] = p->at[other(site)] = (struct sh_evidence){ 0 };
    p->unfinished = p->won = false;
    sh_evidence_add(&p->at[site], &m->at[site], UINT64_MAX);
    p->backoff_ns = calm || less < SH_BACKOFF_NS_MIN ? SH_BACKOFF_NS_MIN : less;
    p->next_trial_ns = calm ? m->now_ns : sh_later(m->now_ns, p->backoff_ns);
    p->last_shift_ns = m->now_ns;
    p->settled_cost = -1;
    p->shifts++;
}

/* -- trials -- */

/* From which mean of a window on it is clear that a trial will be lost: it
 * costs more than twice as much. Of what is stood in for the cost is not known
 * from one window, so that its service time is compared. */
static int64_t limit_ns(const struct sh_policy *p, struct sh_place from,
                        struct sh_place to)
{
    if (stood_in(to))
        return SH_TRIAL_CUT * sh_evidence_mean_ns(&p->at[from.site]);
    return SH_TRIAL_CUT * sh_policy_cost(p, from) - fixed_ns(to);
}

static enum sh_reason begin_trial(struct sh_policy *p, int64_t now_ns,
                                  enum sh_reason why)
{
    uint8_t site = other(p->place.site);
    struct sh_place from = p->place, to = { site, from.manner };
    int64_t mean = sh_evidence_mean_ns(&p->at[from.site]);

    p->trial = (struct sh_trial){
        .last_ns = now_ns,
        .limit_ns = limit_ns(p, from, to),
        .most_ns = SH_TRIAL_CUT * SH_TRIAL_CUT * (mean + fixed_ns(to)),
        .noise = (uint16_t)sh_shift_spread(&p->shift),
        .running = 1,
        .from = from,
    };
    record(p, now_ns, from, to, why);
    if (!p->unfinished)
        p->at[site] = (struct sh_evidence){ 0 };
    p->unfinished = false;
    p->explorations++;
    p->place = to;
    p->manner[site] = to.manner;
    return why;
}

/* Back to where it was. The next trial goes on with what this has measured, if
 * that was too little. */
static enum sh_reason lose(struct sh_policy *p, int64_t now_ns,
                           enum sh_reason why)
{
    struct sh_place from = p->place;

    p->unfinished = why == SH_REASON_FEW;
    p->place = p->trial.from;
    p->settled_cost = sh_policy_cost(p, p->place);
    record(p, now_ns, from, p->place, why);
    return why;
}

static void back_off(struct sh_policy *p)
{
    p->backoff_ns = p->backoff_ns > SH_BACKOFF_NS_MAX / SH_BACKOFF_TIMES
                        ? SH_BACKOFF_NS_MAX
                        : p->backoff_ns * SH_BACKOFF_TIMES;
}

static enum sh_reason end_trial(struct sh_policy *p, int64_t now_ns,
                                enum sh_reason why)
{
    struct sh_place from = p->trial.from, to = p->place;

    p->trial.running = 0;
    p->next_trial_ns = sh_later(now_ns, p->backoff_ns);
    /* What is to confirm another comes as soon, and counts for both. */
    if (why != SH_REASON_ONCE) {
        back_off(p);
        if (p->won && why != SH_REASON_FEW)
            back_off(p);
    }
    p->won = why == SH_REASON_ONCE || (why == SH_REASON_FEW && p->won);
    if (why != SH_REASON_GAIN)
        return lose(p, now_ns, why);
    return settle(p, now_ns, from, to, why);
}

/* Whether one trial that was won is enough. */
static bool is_sure(const struct sh_policy *p, struct sh_place from,
                    int64_t now, int64_t before)
{
    return from.site == SH_SITE_THREAD || from.manner != SH_MANNER_QUEUED ||
           p->parks || sh_evidence_mean_ns(&p->at[from.site]) < SH_SHORT_NS ||
           now < before / SH_GAIN_SURE;
}

/* Each site in the manner that would be right there now that both are known. */
static enum sh_reason verdict(struct sh_policy *p, int64_t now_ns)
{
    struct sh_place from = p->trial.from, *here = &p->place;

    from.manner = manner_at(p, from.site);
    here->manner = p->manner[here->site] = manner_at(p, here->site);

    int64_t before = sh_policy_cost(p, from), now = sh_policy_cost(p, *here);
    int64_t noise = p->trial.noise, mine = sh_trial_spread(&p->trial) / 2;

    if (now < 0 || before < 0 ||
        !gains(now, before, noise > mine ? noise : mine))
        return end_trial(p, now_ns, SH_REASON_NO_GAIN);
    return end_trial(p, now_ns,
                     p->won || is_sure(p, from, now, before) ? SH_REASON_GAIN
                                                             : SH_REASON_ONCE);
}

/* Whether a trial has seen what it is to judge. What is inline stays with who
 * submits it: if most of it never came, the rest says nothing. */
static bool has_seen(const struct sh_policy *p)
{
    const struct sh_trial *t = &p->trial;

    if (t->from.manner == SH_MANNER_INLINE && t->here < t->elsewhere)
        return false;
    return sh_policy_cost(p, p->place) >= 0 &&
           (p->place.manner != SH_MANNER_BLOCKING ||
            sh_evidence_deep(&p->at[p->place.site]) >= SH_SAMPLES_FEW);
}

static enum sh_reason go_on(struct sh_policy *p, const struct sh_measures *m,
                            bool counts)
{
    struct sh_trial *t = &p->trial;
    const struct sh_window *w = &m->at[p->place.site];
    const struct sh_evidence *e = &p->at[p->place.site];

    sh_trial_pass(t, m, p->place.site, counts);
    if (w->samples > 0)
        sh_trial_look(t, w, counts);
    if (t->costly >= 2)
        return end_trial(p, m->now_ns, SH_REASON_CUT);

    bool known = has_seen(p);

    if (known && enough(e) && t->for_ns >= SH_TRIAL_NS_MIN &&
        t->windows >= sh_trial_windows(t))
        return verdict(p, m->now_ns);
    if (t->for_ns < SH_TRIAL_NS_MAX)
        return SH_REASON_NONE;
    if (known && sh_evidence_samples(e) >= SH_TRIAL_SAMPLES)
        return verdict(p, m->now_ns);
    return end_trial(p, m->now_ns, SH_REASON_FEW);
}

enum sh_reason sh_policy_bound(const struct sh_policy *p)
{
    if (p->bounds.host_only)
        return SH_REASON_HOST_ONLY;
    if (p->bounds.isolated)
        return SH_REASON_ISOLATED;
    if (p->banned)
        return SH_REASON_CRASHED;
    if (!p->bounds.trusted && p->clean < SH_EARN_RUNS)
        return SH_REASON_UNEARNED;
    return SH_REASON_NONE;
}

/* Whether it costs more in the host than when it came there, and not just since
 * it becomes other work. What blocks may well, as long as a process would not
 * be clearly cheaper. */
static bool drifted(const struct sh_policy *p)
{
    const struct sh_place apart = { SH_SITE_PROCESS, SH_MANNER_BLOCKING };
    int64_t cost = sh_policy_cost(p, p->place);

    if (stood_in(p->place) && enough(&p->at[SH_SITE_PROCESS]) &&
        !gains(sh_policy_cost(p, apart), cost, sh_shift_spread(&p->shift)))
        return false;
    return p->place.site == SH_SITE_THREAD && p->settled_cost >= 0 &&
           !sh_shift_suspects(&p->shift) &&
           cost / SH_DRIFT_PERCENT > p->settled_cost / 100;
}

enum sh_reason sh_policy_stays(const struct sh_policy *p, int64_t now_ns)
{
    uint8_t site = p->place.site, manner = p->place.manner;
    enum sh_reason bounded = sh_policy_bound(p);

    if (p->trial.running)
        return SH_REASON_TRIAL;
    if (bounded != SH_REASON_NONE)
        return bounded;
    if (!enough(&p->at[site]) || sh_policy_cost(p, p->place) < 0)
        return SH_REASON_UNKNOWN;
    if (drifted(p))
        return SH_REASON_NONE;
    if (site == SH_SITE_PROCESS && !hopes(p, site, manner))
        return deep_enough(&p->at[site]) ? SH_REASON_NO_HOPE
                                         : SH_REASON_UNKNOWN;
    return now_ns < p->next_trial_ns ? SH_REASON_BACKOFF : SH_REASON_NONE;
}

/* Whether it runs in the host and has nothing from it: it is long and computes
 * there, and is not known to be otherwise in processes. */
static bool belongs_home(const struct sh_policy *p)
{
    const struct sh_evidence *here = &p->at[SH_SITE_THREAD];
    const struct sh_evidence *apart = &p->at[SH_SITE_PROCESS];
    uint8_t manner = p->place.manner;

    return p->place.site == SH_SITE_THREAD && !p->bounds.host_only &&
           manner != SH_MANNER_BLOCKING && !p->parks && enough(here) &&
           deep_enough(here) && sh_evidence_mean_ns(here) > SH_LONG_NS &&
           hope_ns(here, manner) <
               sh_policy_cost(p, p->place) / 100 * SH_HOPE_PERCENT / 2 &&
           !(enough(apart) &&
             hopes(p, SH_SITE_PROCESS, manner_at(p, SH_SITE_PROCESS)));
}

/* -- the step -- */

/* Whether what this step has measured is the cost of one site or the other.
 * What is inline runs where it is submitted, and is in nobody's way. */
static bool counts(struct sh_policy *p, const struct sh_measures *m)
{
    uint64_t a = sh_window_runs(&m->at[SH_SITE_PROCESS]);
    uint64_t b = sh_window_runs(&m->at[SH_SITE_THREAD]);

    if (a + b == 0)
        return true;
    if (p->place.manner == SH_MANNER_INLINE ||
        (a < b ? a : b) * SH_MIXED_PART <= (a < b ? b : a)) {
        p->mixed = 0;
        return true;
    }
    if (p->mixed == SH_MIXED_MOST)
        return true;
    p->mixed++;
    return false;
}

static void add(struct sh_policy *p, const struct sh_measures *m, bool counts)
{
    for (int site = 0; site < SH_SITES; site++) {
        const struct sh_window *w = &m->at[site];

        if (counts)
            sh_evidence_add(&p->at[site], w,
                            p->trial.running && site == p->place.site
                                ? (uint64_t)p->trial.most_ns
                                : UINT64_MAX);
        p->parks = p->parks || w->parked > 0;
        p->clean = sh_later(p->clean, (int64_t)sh_window_runs(w));
    }
    if (m->crashes > 0) {
        p->crashes += m->crashes;
        p->clean = 0;
    }
}

/* Not in a trial: what it is like where it is, and whether to go. */
static enum sh_reason decide(struct sh_policy *p, const struct sh_measures *m)
{
    struct sh_place here = p->place;
    uint8_t manner = manner_at(p, here.site);

    if (manner != here.manner)
        return settle(p, m->now_ns, here,
                      (struct sh_place){ here.site, manner },
                      why_manner(p, manner));
    if (belongs_home(p))
        return settle(p, m->now_ns, here,
                      (struct sh_place){ SH_SITE_PROCESS, manner },
                      SH_REASON_LONG);
    if (m->at[here.site].samples == 0 ||
        sh_policy_stays(p, m->now_ns) != SH_REASON_NONE)
        return SH_REASON_NONE;
    return begin_trial(p, m->now_ns,
                       drifted(p) ? SH_REASON_DRIFT : SH_REASON_TRIAL);
}

enum sh_reason sh_policy_step(struct sh_policy *p, const struct sh_measures *m)
{
    SH_ASSERT(p->place.site < SH_SITES);
    SH_ASSERT(m->now_ns >= 0);

    bool counted = counts(p, m);

    add(p, m, counted);
    if (p->next_trial_ns < 0)
        p->next_trial_ns = sh_later(m->now_ns, p->backoff_ns);
    if (m->crashes > 0 && !p->banned)
        return ban(p, m->now_ns);
    if (p->trial.running)
        return go_on(p, m, counted);
    if (counted && sh_shift_add(&p->shift, &m->at[p->place.site]) != 0)
        shifted(p, m);
    if (p->settled_cost < 0 && enough(&p->at[p->place.site]))
        p->settled_cost = sh_policy_cost(p, p->place);
    return decide(p, m);
}
