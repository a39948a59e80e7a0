/* SPDX-License-Identifier: MIT */
/* place/trial.c - how long a trial takes: see trial.h. */
#include "place/trial.h"

_Static_assert(sizeof(struct sh_trial) == 8 * 8 + 3 * 4 + 4, "no padding");

int64_t sh_trial_spread(const struct sh_trial *t)
{
    return t->spread / SH_SHIFT_FINER;
}

void sh_trial_look(struct sh_trial *t, const struct sh_window *w, bool counts)
{
    uint64_t ns = w->service_ns / w->samples;
    int64_t limit_ns = counts ? t->limit_ns : t->most_ns;

    t->costly = ns > (uint64_t)limit_ns ? (uint16_t)(t->costly + 1) : 0;
    if (!counts)
        return;
    t->windows++;
    sh_shift_average(&t->mean, &t->spread, t->windows, ns);
}

uint32_t sh_trial_windows(const struct sh_trial *t)
{
    int64_t spread = sh_trial_spread(t);

    if (spread < t->noise)
        spread = t->noise;
    return SH_TRIAL_WINDOWS + (uint32_t)(spread / (SH_SHIFT_ONE / 32));
}

/* How much of a trial's time a step is in which a run took so long. */
static int64_t time_of(int64_t since_ns, int64_t run_ns)
{
    if (since_ns <= SH_TRIAL_GAP * SH_TRIAL_STEP_NS || run_ns >= since_ns)
        return since_ns;
    return run_ns > SH_TRIAL_STEP_NS ? run_ns : SH_TRIAL_STEP_NS;
}

void sh_trial_pass(struct sh_trial *t, const struct sh_measures *m,
                   uint8_t site, bool counts)
{
    uint64_t longest_ns = 0, ran = 0;

    for (int i = 0; i < SH_SITES; i++) {
        const struct sh_window *w = &m->at[i];
        uint64_t ns = w->samples > 0 ? w->service_ns / w->samples : 0;

        longest_ns = ns > longest_ns ? ns : longest_ns;
        ran |= w->samples | w->runs;
    }
    if (ran > 0 && counts)
        t->for_ns = sh_later(
            t->for_ns,
            time_of(m->now_ns - t->last_ns,
                    longest_ns < INT64_MAX ? (int64_t)longest_ns : INT64_MAX));
    t->last_ns = m->now_ns;
    t->here += sh_window_runs(&m->at[site]);
    t->elsewhere += sh_window_runs(&m->at[!site]);
}
