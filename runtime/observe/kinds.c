/* SPDX-License-Identifier: MIT */
/*
 * observe/kinds.c - what a dump says of kinds of tasks: the figures, as they
 * stand in the memory of the pool.
 *
 * Idea. A signal handler cannot wait for who has the policy in hand, so it does
 * without: shunt_explain says why.
 *
 * Edges.
 *   profile  task/profile.h
 */
#include "observe/kinds.h"

#include "place/steer.h"
#include "task/error.h"

static void put_kind(struct sh_text *t, struct sh_pool *pool, unsigned i,
                     const shunt_task *task)
{
    struct sh_window sums[SH_SITES];
    struct sh_place place = sh_steer_place(pool, i, task);
    const struct sh_window *in = &sums[SH_SITE_PROCESS],
                           *on = &sums[SH_SITE_THREAD];
    uint64_t samples, failures, crashes;

    sh_steer_sum(pool, i, sums);
    samples = in->samples + on->samples;
    failures = in->failures + on->failures;
    crashes = sh_load_rlx(&pool->profiles[i].crashes); /* relaxed: profile */
    if (in->runs + on->runs + samples + failures + crashes == 0)
        return; /* it has not run */
    sh_text_put(t, "  kind %s: about %lu runs, %lu failed, %lu crashed",
                sh_task_name_of(task), (unsigned long)(in->runs + on->runs),
                (unsigned long)failures, (unsigned long)crashes);
    if (samples > 0)
        sh_text_put(
            t, "; %lu ns each",
            (unsigned long)((in->service_ns + on->service_ns) / samples));
    sh_text_put(t, "; runs %s\n",
                place.site == SH_SITE_PROCESS ? "in processes" : "on threads");
}

void sh_kinds_put(struct sh_text *t, struct sh_pool *pool)
{
    for (unsigned i = 0; pool->profiles != NULL && i < SH_PROFILES; i++) {
        /* acquire: profile */
        const shunt_task *task = sh_load_acq(&pool->profiles[i].task);

        if (task != NULL)
            put_kind(t, pool, i, task);
    }
}
