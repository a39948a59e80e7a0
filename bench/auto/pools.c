/* SPDX-License-Identifier: MIT */
/*
 * auto/pools.c - pools that live side by side, and one batch on one of them.
 *
 * The thread that calls is outside of all pools. It keeps a window of jobs
 * submitted, takes the oldest, and submits another one in its place. What was
 * lost since another job took its process along is submitted again, as a
 * program would.
 */
#include "auto/auto.h"
#include "measure.h"

enum {
    AGAIN_MAX = 100 /* of one batch */
};

const struct auto_way auto_ways[AUTO_WAYS] = {
    [AUTO_THREADS] = { "threads", SHUNT_THREADS, SHUNT_PLACE_DEFAULT, false },
    [AUTO_PROCESSES] = { "processes", SHUNT_PROCESSES, SHUNT_PLACE_DEFAULT,
                         true },
    [AUTO_INLINE] = { "inline", SHUNT_THREADS, SHUNT_PLACE_INLINE, false },
    [AUTO_AUTO] = { "auto", SHUNT_AUTO, SHUNT_PLACE_DEFAULT, true },
    [AUTO_PROCESSES_INLINE] = { "processes, inline", SHUNT_PROCESSES,
                                SHUNT_PLACE_INLINE, true },
};

int auto_pool_open(shunt_pool **pool_out, const struct auto_way *way)
{
    return shunt_pool_new(
        pool_out, &(shunt_options){ .mode = way->mode,
                                    .workers = AUTO_WORKERS,
                                    .name = way->name,
                                    .unobserved = shunt_unobserved_ignore });
}

struct slot {
    shunt_future *future;
    struct auto_job job;
    bool after_crash; /* submitted when one was known of */
};

/* What goes on while a batch runs. */
struct run {
    shunt_pool *pool;
    const struct auto_way *way;
    struct auto_tally *tally;
    unsigned again;
    const char *why;
};

static void submit(struct run *run, struct slot *slot)
{
    slot->job.place = (uint8_t)run->way->place;
    slot->after_crash = run->tally->crashes > 0;
    slot->future =
        shunt_submit_sized(run->pool, auto_tasks[slot->job.kind], &slot->job,
                           "auto_batch", sizeof(shunt_submit_options),
                           &(shunt_submit_options){ .place = run->way->place });
}

/* What it is to be: n, n + 1, ... and each one more. */
static uint64_t value_of(const struct auto_job *job)
{
    uint64_t n = job->number, count = job->count;

    if (job->kind < AUTO_SUM)
        return n + 1;
    return count * (n + 1) + count * (count - 1) / 2;
}

static void count(struct auto_tally *t, const struct slot *slot,
                  const struct auto_done *done)
{
    const struct auto_job *job = &slot->job;

    t->in_host[job->kind] += done->in_host;
    t->away[job->kind] += !done->in_host;
    if (job->kind >= AUTO_SUM) {
        t->in_host[job->carries] += done->carried_in_host;
        t->away[job->carries] += job->count - done->carried_in_host;
    }
    t->unsafe += done->unsafe || (job->kind == AUTO_RISKY && done->in_host &&
                                  slot->after_crash);
}

static void take(struct run *run, struct slot *slot)
{
    struct auto_done done = { 0 };
    int rc;

    while ((rc = shunt_take(slot->future, &done)) != 0) {
        if (rc == SHUNT_ECRASHED && slot->job.crashes) {
            run->tally->crashes++;
            run->tally->away[AUTO_RISKY]++;
            return;
        }
        /* What carries others says EFAILED if one of them was lost. */
        if ((rc != SHUNT_ECRASHED && rc != SHUNT_EFAILED) ||
            run->tally->crashes == 0 || run->again++ == AGAIN_MAX) {
            run->why = shunt_code_name(rc);
            return;
        }
        run->tally->again++;
        submit(run, slot);
    }
    if (done.value != value_of(&slot->job))
        run->why = "a result is wrong";
    count(run->tally, slot, &done);
}

int64_t auto_batch_run(shunt_pool *pool, const struct auto_way *way,
                       const struct auto_batch *batch, struct auto_tally *tally,
                       const char **why)
{
    static struct slot slots[AUTO_JOBS_MAX];
    struct run run = { .pool = pool, .way = way, .tally = tally };
    size_t begun = 0;
    int64_t begin = bench_now_ns();

    for (size_t ended = 0; ended < batch->count; ended++) {
        for (; begun < batch->count && begun < ended + batch->window; begun++) {
            slots[begun].job = batch->jobs[begun];
            submit(&run, &slots[begun]);
        }
        take(&run, &slots[ended]);
    }

    int64_t end = bench_now_ns();
    if (tally->unsafe > 0)
        run.why = "what has crashed ran in the host";
    *why = run.why;
    return run.why == NULL ? end - begin : -1;
}
