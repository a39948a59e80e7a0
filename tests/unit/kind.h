/* SPDX-License-Identifier: MIT */
/*
 * unit/kind.h - one kind of task, as alike from step to step as the test says,
 * and what the policy makes of it. After cmocka.h.
 */
#ifndef UNIT_KIND_H
#define UNIT_KIND_H

#include "place/policy.h"

enum {
    STEP_NS = 10000000,
    MS = 1000000,
    US = 1000
};

/* What one task is like at a site. */
struct like {
    uint64_t service_ns, cpu_ns, system_ns;
};

static struct sh_policy p;
static struct like like[SH_SITES];
static uint64_t runs, deep; /* in a step; all are samples */
static int64_t now;

static inline void begin(struct sh_bounds bounds)
{
    sh_policy_init(&p, &bounds);
    runs = 100;
    deep = 10;
    now = 0;
}

static inline void like_ns(int site, uint64_t service, uint64_t cpu,
                           uint64_t system)
{
    like[site] = (struct like){ service, cpu, system };
}

/* It computes, and takes as long at either site. */
static inline void computes(uint64_t ns)
{
    like_ns(SH_SITE_PROCESS, ns, ns, 0);
    like_ns(SH_SITE_THREAD, ns, ns, 0);
}

static inline struct sh_measures measures(void)
{
    struct sh_measures m = { .now_ns = now += STEP_NS };
    const struct like *l = &like[p.place.site];

    m.at[p.place.site] = (struct sh_window){
        .runs = runs,
        .samples = runs,
        .service_ns = runs * l->service_ns,
        .deep = deep,
        .deep_ns = deep * l->service_ns,
        .cpu_ns = deep * l->cpu_ns,
        .system_ns = deep * l->system_ns,
    };
    return m;
}

static inline enum sh_reason step(void)
{
    struct sh_measures m = measures();

    return sh_policy_step(&p, &m);
}

static inline enum sh_reason crash(void)
{
    struct sh_measures m = measures();

    m.crashes = 1;
    return sh_policy_step(&p, &m);
}

/* Go on until something changes, for so many steps at most. */
static inline enum sh_reason until(int steps)
{
    enum sh_reason why = SH_REASON_NONE;

    while (steps-- > 0 && why == SH_REASON_NONE)
        why = step();
    return why;
}

static inline void is_at(uint8_t site, uint8_t manner)
{
    assert_int_equal(p.place.site, site);
    assert_int_equal(p.place.manner, manner);
}

static inline int64_t cost(uint8_t site, uint8_t manner)
{
    return sh_policy_cost(&p, (struct sh_place){ site, manner });
}

#define BEGIN(...) begin((struct sh_bounds){ __VA_ARGS__ })

/* Trusted, and so tried at once: how that ended. */
static inline enum sh_reason tried(uint64_t process_ns, uint64_t thread_ns)
{
    BEGIN(.trusted = true);
    like_ns(SH_SITE_PROCESS, process_ns, process_ns, 0);
    like_ns(SH_SITE_THREAD, thread_ns, thread_ns, 0);
    assert_int_equal(until(100), SH_REASON_TRIAL);
    return until(100);
}

#endif /* UNIT_KIND_H */
