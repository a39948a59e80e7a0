/* SPDX-License-Identifier: MIT */
/*
 * auto/loads.c - which kinds of jobs a workload has, and how many.
 *
 * What can run inline is submitted by tasks, which await it: outside of tasks
 * nothing runs inline. What crashes is submitted from outside, and in the
 * mixture all is but what is tiny: a task that waits is lost with its process.
 * A batch takes some tens of ms.
 */
#include <string.h>

#include "auto/auto.h"

enum {
    COMPUTE_US = 10000,
    BLOCK_US = 2600,
    MAP_US = 250,
    LOCK_US = 110,
    RISKY_US = 100,
    RISKY_EVERY = 100 /* one of them crashes */
};

static size_t scaled(size_t n, double scale)
{
    size_t some = (size_t)((double)n * scale);

    return some > 0 ? some : 1;
}

static void begin(struct auto_batch *batch, size_t window)
{
    batch->count = batch->tasks = 0;
    batch->window = window;
}

static struct auto_job *add(struct auto_batch *batch, enum auto_kind kind)
{
    struct auto_job *job = &batch->jobs[batch->count];

    memset(job, 0, sizeof(*job));
    job->kind = (uint8_t)kind;
    job->number = (uint32_t)batch->tasks;
    batch->count++;
    batch->tasks++;
    return job;
}

static uint32_t amount_of(enum auto_kind kind)
{
    switch (kind) {
    case AUTO_COMPUTE:
        return auto_turns_of_us(COMPUTE_US);
    case AUTO_SLEEP:
    case AUTO_READ:
        return BLOCK_US;
    case AUTO_MAP:
        return auto_maps_of_us(MAP_US);
    case AUTO_LOCK:
        return auto_turns_of_us(LOCK_US);
    case AUTO_RISKY:
        return auto_turns_of_us(RISKY_US);
    default:
        return 0;
    }
}

static void add_carrier(struct auto_batch *batch, enum auto_kind carries,
                        size_t count)
{
    struct auto_job *job =
        add(batch, carries == AUTO_TINY ? AUTO_SUM : AUTO_CARRY);

    job->carries = (uint8_t)carries;
    job->count = (uint16_t)count;
    job->amount = amount_of(carries);
    batch->tasks += count - 1;
}

static void add_some(struct auto_batch *batch, enum auto_kind kind, size_t n)
{
    uint32_t amount = amount_of(kind);

    for (size_t i = 0; i < n; i++)
        add(batch, kind)->amount = auto_amount(amount, (uint32_t)batch->count);
}

/* Of each hundred one crashes, if they are to; the first has the number from.
 * Which of them is the same in each batch. */
static void add_risky(struct auto_batch *batch, size_t from, size_t n,
                      bool crashes)
{
    uint32_t amount = amount_of(AUTO_RISKY);

    for (size_t i = from; i < from + n; i++) {
        bool crash = i % RISKY_EVERY == RISKY_EVERY / 3;

        if (crash && !crashes)
            continue;

        struct auto_job *job = add(batch, AUTO_RISKY);
        job->amount = amount;
        job->crashes = crash;
    }
}

/* -- the workloads -- */

static void tiny(struct auto_batch *batch, const struct auto_shape *shape)
{
    size_t n = scaled(256, shape->scale);

    begin(batch, 8);
    for (size_t i = 0; i < n; i++)
        add_carrier(batch, AUTO_TINY, AUTO_CARRIED_MAX);
}

/* Four that carry n each, two of them of the other kind. */
static void four(struct auto_batch *batch, enum auto_kind kind,
                 enum auto_kind other, size_t n)
{
    begin(batch, 4);
    for (size_t i = 0; i < 4; i++)
        add_carrier(batch, i % 2 == 0 ? kind : other, n);
}

static void compute(struct auto_batch *batch, const struct auto_shape *shape)
{
    four(batch, AUTO_COMPUTE, AUTO_COMPUTE, scaled(3, shape->scale));
}

static void blocking(struct auto_batch *batch, const struct auto_shape *shape)
{
    four(batch, AUTO_SLEEP, AUTO_READ, scaled(12, shape->scale));
}

static void mapping(struct auto_batch *batch, const struct auto_shape *shape)
{
    four(batch, AUTO_MAP, AUTO_MAP, scaled(60, shape->scale));
}

static void locked(struct auto_batch *batch, const struct auto_shape *shape)
{
    four(batch, AUTO_LOCK, AUTO_LOCK, scaled(120, shape->scale));
}

static void crashers(struct auto_batch *batch, const struct auto_shape *shape)
{
    begin(batch, 32);
    add_risky(batch, 0, scaled(800, shape->scale), shape->crashes);
}

/* Jobs of each kind in a batch of the mixture, first half and second. */
static const struct share {
    enum auto_kind kind;
    size_t first, second;
} shares[] = {
    { AUTO_SUM, 60, 10 },     { AUTO_COMPUTE, 2, 1 }, { AUTO_SLEEP, 4, 30 },
    { AUTO_READ, 4, 30 },     { AUTO_MAP, 20, 120 },  { AUTO_LOCK, 180, 40 },
    { AUTO_RISKY, 100, 200 },
};

enum {
    SHARES = sizeof(shares) / sizeof(shares[0]),
    STEPS = 10
};

static void add_share(struct auto_batch *batch, enum auto_kind kind,
                      size_t from, size_t n, bool crashes)
{
    if (kind == AUTO_RISKY)
        add_risky(batch, from, n, crashes);
    else if (kind != AUTO_SUM)
        add_some(batch, kind, n);
    else
        for (size_t i = 0; i < n; i++)
            add_carrier(batch, AUTO_TINY, AUTO_CARRIED_MAX);
}

/* Each kind's jobs lie evenly among those of the others. */
static void mixture(struct auto_batch *batch, const struct auto_shape *shape)
{
    size_t given[SHARES] = { 0 };

    begin(batch, 64);
    for (size_t step = 1; step <= STEPS; step++)
        for (size_t i = 0; i < SHARES; i++) {
            const struct share *s = &shares[i];
            size_t all =
                scaled(shape->second_half ? s->second : s->first, shape->scale);
            size_t n = all * step / STEPS - given[i];

            add_share(batch, s->kind, given[i], n, shape->crashes);
            given[i] += n;
        }
}

/* In the order of enum auto_way_id. */
#define PURE                          \
    {                                 \
        true, true, true, true, false \
    }

const struct auto_load auto_loads[AUTO_LOADS] = {
    [AUTO_LOAD_TINY] = { "tiny", false, PURE, false, tiny },
    [AUTO_LOAD_COMPUTE] = { "compute", false, PURE, false, compute },
    [AUTO_LOAD_BLOCKING] = { "blocking", false, PURE, false, blocking },
    [AUTO_LOAD_MAPPING] = { "mapping", false, PURE, false, mapping },
    [AUTO_LOAD_LOCK] = { "lock", false, PURE, false, locked },
    [AUTO_LOAD_CRASHERS] = { "crashers",
                             false,
                             { [AUTO_PROCESSES] = true, [AUTO_AUTO] = true },
                             true,
                             crashers },
    [AUTO_LOAD_MIXTURE] = { "mixture",
                            true,
                            { true, true, true, true, true },
                            true,
                            mixture },
};
