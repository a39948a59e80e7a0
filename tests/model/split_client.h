/* SPDX-License-Identifier: MIT */
/*
 * split_client.h - worker/frames.c, with one deque of four slots.
 *
 * Each thread is a worker, and runs what it takes in the record of its number.
 * There is no memory for a second deque: what is spawned within a call that was
 * taken runs at its sync. Whoever waits for a call does so without parking: see
 * await_park.c. What a call leaves is nothing.
 */
#ifndef SH_MODEL_SPLIT_CLIENT_H
#define SH_MODEL_SPLIT_CLIENT_H

#define SH_SPLIT_SLOTS 4u
#define SH_SPLIT_EAGER 0u /* so that a wish is soon forgotten */
#include "record_client.h"

#include "../../runtime/queue/split.c"
#include "../../runtime/sync/sleep.c"

#include <sched.h>

#include "worker/worker.h"

#define WORKERS 4u

static struct sh_bell bells[WORKERS];
static struct sh_post posts[WORKERS];
static struct sh_worker workers[WORKERS];
static struct sh_run runs[WORKERS];
static struct {
    struct sh_split split;
    shunt_slot_ slots[SH_SPLIT_SLOTS];
} page;
static bool is_mapped; /* by main, before the threads */

/* There is memory for one. */
static inline void *map_page(void)
{
    if (is_mapped)
        return NULL;
    is_mapped = true;
    return &page;
}

#define sh_record_make_data(p, r) ((r)->out_at = SH_INLINE_BYTES / 2, true)
#define sh_arena_map(arena, bytes, how) \
    ((void)(arena), (void)(bytes), map_page())
/* Whoever would look once more is looked at where it came later. */
#define sh_relax() __VERIFIER_assume(false)
#define sched_yield() (__VERIFIER_assume(false), 0)
#define make_record make_record_of_worker
#define begin begin_taken
#include "../../runtime/worker/frames.c"
#undef begin
#undef make_record
#undef sh_relax

/* From task/data.c. */
struct sh_record *sh_record_new(struct sh_pool *p, struct sh_seat *s,
                                unsigned kind, const shunt_task *task,
                                const char *where)
{
    struct sh_record *r = &records[pthread_self()];

    (void)p, (void)s;
    r->task = task;
    r->where = where;
    r->out_at = 0;
    sh_store_rlx(&r->kind, (uint8_t)kind); /* relaxed: alone */
    /* relaxed: ours in INIT */
    sh_store_rlx(&r->state, (uint64_t)GENERATION << 32 | SH_INIT);
    return r;
}

void sh_record_retire(struct sh_pool *p, struct sh_seat *s, struct sh_record *r,
                      uint64_t word)
{
    (void)p, (void)s;
    /* relaxed: ours in INIT */
    sh_store_rlx(&r->state, (word & ~(uint64_t)0xffffffff) | SH_FREE);
}

static void settle(struct sh_record *r)
{
    /* release: settled */
    sh_store_rel(&r->state, (uint64_t)GENERATION << 32 | SH_COMPLETE);
}

/* From worker/run.c. */
struct sh_record *sh_worker_execute(struct sh_worker *w, struct sh_record *r,
                                    uint64_t word, unsigned kind, bool above)
{
    struct sh_run *run = &runs[w->index];

    (void)kind, (void)above;
    assert(sh_phase_of(word) == SH_RUNNING);
    run->pool = w->pool;
    run->record = r;
#ifdef SETTLED_BEFORE
    settle(r);
#endif
    sh_here.run = run;
    (void)r->task->call_(sh_record_in(r), NULL, sh_record_out(r));
    sh_here.run = NULL;
#ifndef SETTLED_BEFORE
    settle(r);
#endif
    return NULL;
}

int sh_await_joined(struct sh_ref *ref)
{
    /* acquire: settled */
    __VERIFIER_assume(sh_is_settled(sh_load_acq(&ref->record->state)));
    return 0;
}

int shunt_take_sized(shunt_future *f, void *out, size_t size)
{
    (void)f, (void)out, (void)size;
    return SHUNT_EINVAL;
}

int shunt_status(shunt_future *f)
{
    (void)f;
    return SHUNT_EINVAL;
}

/* There is none: who would go on with another waits once more. */
struct sh_fiber *sh_stacks_take(struct sh_stacks *s)
{
    (void)s;
    return NULL;
}

/* From worker/leaving.c. */
struct sh_leaving *sh_leaving_gather(struct sh_run *run)
{
    (void)run;
    return NULL;
}

void sh_leaving_left(struct sh_run *run, const struct sh_leaving *l)
{
    (void)run;
    assert(l == NULL);
}

void sh_leaving_absorb(struct sh_run *run, struct sh_leaving *l)
{
    (void)run;
    assert(l == NULL);
}

void sh_leaving_free(struct sh_leaving *l)
{
    assert(l == NULL);
}

/* The calling thread is worker w, and runs a task if it has one. */
static void be_worker(unsigned w, struct sh_record *r)
{
    sh_here.seat = &workers[w].seat;
    if (r == NULL)
        return;
    runs[w].pool = &pool;
    runs[w].record = r;
    sh_here.run = &runs[w];
}

static void make_pool_of_workers(void)
{
    make_pool();
    pool.workers = WORKERS;
    pool.camps[0].pool = &pool;
    pool.camps[0].spare = WORKERS;
    pool.camps[0].end = WORKERS;
    sh_sleep_init(&pool.camps[0].sleep, bells, 0, WORKERS, false);
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i].pool = &pool;
        workers[i].camp = &pool.camps[0];
        workers[i].post = workers[i].seat.post = &posts[i];
        workers[i].index = i;
    }
    assert(add_split(&pool, 0, 1) != NULL);
    sh_store_rlx(&page.split.used, 0); /* relaxed: before the threads */
}

/* Worker w takes a call and runs it, if there is one. */
static bool steal_and_run(unsigned w)
{
    if (sh_frames_steal(&workers[w], 0) == 0)
        return false;
    sh_frames_run(&workers[w]);
    return true;
}

#endif /* SH_MODEL_SPLIT_CLIENT_H */
