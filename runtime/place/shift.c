/* SPDX-License-Identifier: MIT */
/* place/shift.c - whether work has changed its nature. */
#include "place/shift.h"

#include "base/assert.h"

enum {
    SLOWLY = 32, /* batches in which the usual becomes another */
};

int64_t sh_shift_log2(uint64_t x)
{
    int64_t whole = 0;

    x += x < UINT64_MAX;
    while (x >> whole > 1)
        whole++;

    /* The bits below the first, as a fraction. */
    uint64_t rest = x - (UINT64_C(1) << whole);
    uint64_t part = whole <= 8 ? rest << (8 - whole) : rest >> (whole - 8);

    return whole * SH_SHIFT_ONE + (int64_t)part;
}

static int64_t usual(uint64_t ns)
{
    return sh_shift_log2(ns + SH_SHIFT_BESIDE_NS);
}

void sh_shift_begin(struct sh_shift *s, int64_t mean_ns)
{
    *s = (struct sh_shift){ 0 };
    if (mean_ns < 0)
        return;
    s->mean = usual((uint64_t)mean_ns) * SH_SHIFT_FINER;
    s->batches = SH_SHIFT_LEARN;
}

static int64_t at_least(int64_t x, int64_t min)
{
    return x > min ? x : min;
}

static int64_t within(int64_t x, int64_t bound)
{
    return x > bound ? bound : x < -bound ? -bound : x;
}

/* Learn from one batch, which is so far from the mean; the mean itself only as
 * long as there is no suspicion that it has become another. */
static void learn(struct sh_shift *s, int64_t off)
{
    int64_t n = s->batches < SLOWLY ? s->batches + 1 : SLOWLY;
    int64_t far = within(off < 0 ? -off : off, SH_SHIFT_CLAMP);

    if (s->up <= SH_SHIFT_SUSPECTS && s->down <= SH_SHIFT_SUSPECTS)
        s->mean += off * SH_SHIFT_FINER / n;
    s->spread += (far * SH_SHIFT_FINER - s->spread) / n;
    s->batches++;
}

void sh_shift_average(int64_t *mean, int64_t *spread, uint32_t count,
                      uint64_t ns)
{
    int64_t log = usual(ns) * SH_SHIFT_FINER;
    int64_t bound = SH_SHIFT_CLAMP * SH_SHIFT_FINER, far;

    SH_ASSERT(count > 0);
    if (count == 1) {
        *mean = log;
        *spread = 0;
        return;
    }
    far = within(log - *mean, bound);
    *mean += far / count;
    *spread += ((far < 0 ? -far : far) - *spread) / (count - 1);
}

/* What a batch with this logarithm says. */
static int judge(struct sh_shift *s, int64_t log)
{
    int64_t off = within(log - s->mean / SH_SHIFT_FINER, SH_SHIFT_CLAMP);
    int64_t spread = sh_shift_spread(s);

    if (s->batches < SH_SHIFT_LEARN) {
        if (s->batches == 0)
            s->mean = log * SH_SHIFT_FINER;
        learn(s, log - s->mean / SH_SHIFT_FINER);
        return 0;
    }

    int64_t allowance = at_least(SH_SHIFT_ALLOWANCE, 2 * spread);
    int64_t threshold = at_least(SH_SHIFT_THRESHOLD, 8 * spread);

    s->up = at_least(s->up + off - allowance, 0);
    s->down = at_least(s->down - off - allowance, 0);
    if (s->up > threshold)
        return 1;
    if (s->down > threshold)
        return -1;
    learn(s, off);
    return 0;
}

int sh_shift_add(struct sh_shift *s, const struct sh_window *w)
{
    uint64_t most = SH_EVIDENCE_SUM_MAX;

    SH_ASSERT(s->samples < SH_SHIFT_BATCH);
    s->samples += w->samples < most ? w->samples : most;
    s->service_ns += w->service_ns < most ? w->service_ns : most;
    if (s->samples < SH_SHIFT_BATCH &&
        (s->samples < SH_SHIFT_FEW || s->service_ns < SH_SHIFT_FEW_NS))
        return 0;

    int64_t log = usual(s->service_ns / s->samples);
    int said = judge(s, log);

    s->samples = s->service_ns = 0;
    if (said != 0)
        sh_shift_begin(s, -1);
    SH_ASSERT(s->up >= 0 && s->down >= 0);
    return said;
}
