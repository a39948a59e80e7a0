/* SPDX-License-Identifier: MIT */
/*
 * submit_client.h - settle_client.h with submitting, taking up and shutting
 * down.
 *
 * Tasks have neither data nor code here: new records come one after the other
 * from record 1 on, and whoever runs a task claims it and settles it. The one
 * worker has post 0; a thread is that worker if its seat has the post.
 */
#ifndef SH_MODEL_SUBMIT_CLIENT_H
#define SH_MODEL_SUBMIT_CLIENT_H

#include "settle_client.h"

#include "../../runtime/future/cancel.c"
#include "../../runtime/future/timer.c"
#define find_pool find_pool_of /* these files have names in common */
#define check check_submit
#include "../../runtime/future/submit.c"
#undef find_pool
#undef check
#define room room_of
#include "../../runtime/worker/find.c"
#undef room
#include "../../runtime/worker/shutdown.c"
#ifdef LIE_DOWN
#define sh_futex_wait(...) LIE_DOWN() /* what a client has of it instead */
#endif
#include "../../runtime/worker/standin.c"
#undef sh_futex_wait
#include "../../runtime/worker/blocking.c"

#ifndef PLACED
#define PLACED 0 /* where what is submitted is to run: of SH_PLACED */
#endif

static struct sh_cell_of_ring ring_cells[2];
static struct sh_post posts[1];
static struct sh_timer timers[8]; /* two a record */
static struct sh_wheel wheel = { .timers = timers };
static struct sh_team team;
static struct sh_worker worker;
static int call_nothing(const void *in, const void *ctx, void *out);
static const shunt_task nothing = { .size_ = sizeof nothing,
                                    .call_ = call_nothing,
                                    .shape_ = SHUNT_SHAPE_IN_NONE_ };
static uint32_t next_record = 1;

static int call_nothing(const void *in, const void *ctx, void *out)
{
    (void)in;
    (void)ctx;
    (void)out;
    return 0;
}

static void make_pool_with_worker(void)
{
    make_pool_with_queues();
    sh_ring_init(&pool.camps[0].ring, ring_cells, 2);
    pool.queue_max = 2;
    sh_store_rlx(&pool.camps[0].limit, 2); /* relaxed: before the threads */
    pool.posts = posts;
    pool.timers = timers;
    pool.team = &team;
    team.workers = &worker;
    team.spares = 2;
    worker.pool = &pool;
    worker.camp = &pool.camps[0];
    worker.post = &posts[0];
}

/* The clock is moved by hand, and the timekeeper is there. */
static inline void make_time(int64_t now_ns)
{
    pool.time.manual = true;
    sh_store_rlx(&pool.time.now_ns, now_ns); /* relaxed: before the threads */
    /* relaxed: as above */
    sh_store_rlx(&pool.time.keeper, SH_KEEPER_RUNS);
    sh_store_rlx(&pool.time.wake_ns, INT64_MIN); /* relaxed: as above */
}

/* The timekeeper comes by, at that moment. */
static inline void come_by(int64_t now_ns)
{
    sh_store_sc(&pool.time.now_ns, now_ns); /* seq_cst: alarm */
    (void)sh_timers_pass(&pool, &wheel);
}

/* The calling thread is the worker. */
static inline void be_worker(void)
{
    own_seat()->post = &posts[0];
}

int sh_pool_find(shunt_pool *name, struct sh_pool **pool_out)
{
    (void)name;
    *pool_out = &pool;
    return 0;
}

/* From task/data.c. A record that was taken back is not used again here, and
 * used moves with less of an order than in memory/table.c. */
struct sh_record *sh_record_new(struct sh_pool *p, struct sh_seat *s,
                                unsigned kind, const shunt_task *task,
                                const char *where)
{
    uint32_t i = next_record++;
    struct sh_record *r = &records[i];

    (void)s;
    if (i == 3)
        give_up();
    if (sh_load_rlx(&p->records.used) <= i)     /* relaxed: one maker */
        sh_store_rlx(&p->records.used, i + 1); /* relaxed: see above */
    sh_store_rlx(&r->state, (uint64_t)GENERATION << 32 | SH_INIT |
                                (uint64_t)SH_OWNER_HOST << 12); /* relaxed:
                                                       * a new generation */
    sh_store_rel(&r->deps, (uint64_t)GENERATION << 32); /* release: accepted */
    sh_store_rel(&r->kind, (uint8_t)kind); /* release: accepted */
    r->task = task;
    r->where = where;
    r->out_at = PLACED;
    return r;
}

void sh_error_attach(struct sh_pool *p, struct sh_record *r,
                     const struct sh_failure *f)
{
    (void)p;
    (void)f;
    assert(r->where != NULL); /* accepted */
}

/* From worker/timekeeper.c. */
bool sh_is_of_team(struct sh_pool *p)
{
    (void)p;
    return false;
}

#ifndef RESUME /* which has the real one, of worker/loop.c */
void sh_worker_look_at_clock(struct sh_worker *w)
{
    (void)w;
}
#endif

/* Claim what a hint names, as worker/run.c does, and end it. */
static inline bool run_task(uint64_t hint)
{
    struct sh_record *r = sh_record_at(&pool, sh_hint_index(hint));
    uint64_t w = sh_load_acq(&r->state); /* acquire: accepted */

    if (sh_generation_of(w) != GENERATION || sh_phase_of(w) != SH_READY ||
        !sh_cas_acqrel(&r->state, &w, /* acq_rel: claim */
                       sh_word_to(w, SH_RUNNING, SH_OWNER_WORKER(0))))
        return false;
    assert(r->where != NULL); /* accepted */
    sh_settle_running(&pool, r, 0, 0);
    return true;
}

#endif /* SH_MODEL_SUBMIT_CLIENT_H */
