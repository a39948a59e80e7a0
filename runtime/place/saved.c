/* SPDX-License-Identifier: MIT */
/* place/saved.c - what a policy begins with, anew or after a restart; what it
 * has changed; and what reasons are called. */
#include <stddef.h>
#include <string.h>

#include "base/assert.h"
#include "place/policy.h"

static int64_t units(uint64_t sum)
{
    return (int64_t)(sum / SH_EVIDENCE_UNIT);
}

const struct sh_change *sh_policy_change(const struct sh_policy *p,
                                         uint32_t number)
{
    if (number >= SH_CHANGES_KEPT || number >= p->recorded)
        return NULL;
    return &p->history[(p->recorded - 1 - number) % SH_CHANGES_KEPT];
}

void sh_policy_init(struct sh_policy *p, const struct sh_bounds *bounds)
{
    uint8_t manner = bounds->blocking ? SH_MANNER_BLOCKING : SH_MANNER_QUEUED;

    memset(p, 0, sizeof *p);
    p->bounds = *bounds;
    p->place.site = bounds->host_only ? SH_SITE_THREAD : SH_SITE_PROCESS;
    p->place.manner = manner;
    p->manner[SH_SITE_PROCESS] = p->manner[SH_SITE_THREAD] = manner;
    p->backoff_ns = SH_BACKOFF_NS_MIN;
    p->last_shift_ns = -1;
    p->settled_cost = -1;
    p->why = bounds->host_only  ? SH_REASON_HOST_ONLY
             : bounds->isolated ? SH_REASON_ISOLATED
                                : SH_REASON_BEGAN;
}

void sh_policy_save(const struct sh_policy *p, struct sh_policy_saved *s)
{
    struct sh_place place = p->trial.running ? p->trial.from : p->place;

    memset(s, 0, sizeof *s);
    s->site = place.site;
    s->manner = place.manner;
    s->clean = p->clean;
    s->crashes = p->crashes < INT64_MAX ? (int64_t)p->crashes : INT64_MAX;
    s->banned = p->banned;
    s->parks = p->parks;
    s->backoff_ns = p->backoff_ns;
    for (int site = 0; site < SH_SITES; site++) {
        const struct sh_evidence *e = &p->at[site];

        s->at[site].samples = units(e->samples);
        s->at[site].service_ns = units(e->service_ns);
        s->at[site].deep = units(e->deep);
        s->at[site].deep_ns = units(e->deep_ns);
        s->at[site].cpu_ns = units(e->cpu_ns);
        s->at[site].system_ns = units(e->system_ns);
        s->at[site].faults = units(e->faults);
        s->at[site].never_slept = units(e->never_slept);
        s->at[site].crossed = units(e->crossed);
    }
}

static bool plausible(const struct sh_policy_saved *s)
{
    bool good = s->site >= 0 && s->site < SH_SITES && s->manner >= 0 &&
                s->manner <= SH_MANNER_BLOCKING && s->clean >= 0 &&
                s->crashes >= 0 && (s->banned == 0 || s->banned == 1) &&
                (s->parks == 0 || s->parks == 1) &&
                s->backoff_ns >= SH_BACKOFF_NS_MIN &&
                s->backoff_ns <= SH_BACKOFF_NS_MAX;

    for (int site = 0; site < SH_SITES; site++)
        good = good && s->at[site].samples >= 0 &&
               s->at[site].service_ns >= 0 && s->at[site].deep >= 0 &&
               s->at[site].deep_ns >= 0 && s->at[site].cpu_ns >= 0 &&
               s->at[site].system_ns >= 0 && s->at[site].faults >= 0 &&
               s->at[site].never_slept >= 0 && s->at[site].crossed >= 0;
    return good;
}

static struct sh_window window(const struct sh_policy_saved *s, int site)
{
    return (struct sh_window){
        .runs = (uint64_t)s->at[site].samples,
        .samples = (uint64_t)s->at[site].samples,
        .service_ns = (uint64_t)s->at[site].service_ns,
        .deep = (uint64_t)s->at[site].deep,
        .deep_ns = (uint64_t)s->at[site].deep_ns,
        .cpu_ns = (uint64_t)s->at[site].cpu_ns,
        .system_ns = (uint64_t)s->at[site].system_ns,
        .faults = (uint64_t)s->at[site].faults,
        .never_slept = (uint64_t)s->at[site].never_slept,
        .crossed = (uint64_t)s->at[site].crossed,
    };
}

/* Where it may begin of what was saved. */
static struct sh_place allowed(const struct sh_policy *p,
                               const struct sh_policy_saved *s)
{
    struct sh_place place = { p->place.site, (uint8_t)s->manner };
    bool earned = p->bounds.trusted || p->clean >= SH_EARN_RUNS;

    if (s->site == SH_SITE_THREAD && earned && !p->banned &&
        !p->bounds.isolated)
        place.site = SH_SITE_THREAD;
    if (place.manner == SH_MANNER_INLINE && (p->banned || p->parks))
        place.manner = SH_MANNER_QUEUED;
    if (p->bounds.blocking)
        place.manner = SH_MANNER_BLOCKING;
    return place;
}

bool sh_policy_load(struct sh_policy *p, const struct sh_bounds *bounds,
                    const struct sh_policy_saved *s)
{
    sh_policy_init(p, bounds);
    if (!plausible(s))
        return false;
    p->clean = s->clean;
    p->crashes = (uint64_t)s->crashes;
    p->banned = s->banned != 0;
    p->parks = s->parks != 0;
    p->backoff_ns = s->backoff_ns;
    if (s->backoff_ns > SH_BACKOFF_NS_MIN) /* it was tried, and not long ago */
        p->next_trial_ns = -1;
    for (int site = 0; site < SH_SITES; site++) {
        struct sh_window w = window(s, site);

        sh_evidence_add(&p->at[site], &w, UINT64_MAX);
    }

    struct sh_place from = p->place, to = allowed(p, s);

    p->place = to;
    if (sh_evidence_samples(&p->at[to.site]) >= SH_SAMPLES_MIN)
        sh_shift_begin(&p->shift, sh_evidence_mean_ns(&p->at[to.site]));
    p->manner[SH_SITE_PROCESS] = p->manner[SH_SITE_THREAD] = to.manner;
    if (to.site == from.site && to.manner == from.manner)
        return true;
    p->why = SH_REASON_LOADED;
    p->history[p->recorded++] = (struct sh_change){
        .cost_before = sh_policy_cost(p, from),
        .cost_after = sh_policy_cost(p, to),
        .from = from,
        .to = to,
        .reason = SH_REASON_LOADED,
    };
    return true;
}

static const char *const texts[SH_REASONS] = {
    [SH_REASON_NONE] = "nothing has changed",
    [SH_REASON_BEGAN] = "kinds begin here",
    [SH_REASON_HOST_ONLY] = "it is .host_only",
    [SH_REASON_ISOLATED] = "its traits, .init or one worker keep it apart",
    [SH_REASON_CRASHED] = "it has crashed, and stays out of the host for good",
    [SH_REASON_LOADED] = "a saved profile says so",
    [SH_REASON_SHORT] = "it takes less time than to wake somebody for it",
    [SH_REASON_NOT_SHORT] = "it has become too long to run inline",
    [SH_REASON_PARKS] = "it waits for others, and so does not run inline",
    [SH_REASON_BLOCKS] = "it mostly waits in the kernel",
    [SH_REASON_COMPUTES] = "it does not mostly wait in the kernel any more",
    [SH_REASON_TRIAL] = "a trial, since it may cost less here",
    [SH_REASON_DRIFT] = "a trial, since where it was it cost ever more",
    [SH_REASON_GAIN] = "a trial has shown that it costs less here",
    [SH_REASON_ONCE] = "a trial has shown a gain, and another is to confirm it",
    [SH_REASON_NO_GAIN] = "a trial has shown no gain",
    [SH_REASON_CUT] = "a trial was cut short: it cost more than twice as much",
    [SH_REASON_FEW] = "a trial ended with too few runs to say anything",
    [SH_REASON_LONG] = "it is so long that a process costs it nothing",
    [SH_REASON_UNEARNED] = "it has not yet run often enough without a crash",
    [SH_REASON_UNKNOWN] = "too little has been measured of it",
    [SH_REASON_NO_HOPE] = "it has nothing to gain elsewhere",
    [SH_REASON_BACKOFF] = "the next trial is later",
};

const char *sh_reason_text(enum sh_reason reason)
{
    SH_ASSERT((unsigned)reason < SH_REASONS);
    return (unsigned)reason < SH_REASONS ? texts[reason] : "unknown";
}
