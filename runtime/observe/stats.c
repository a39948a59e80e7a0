/* SPDX-License-Identifier: MIT */
/*
 * observe/stats.c - the counts of a pool and of its workers.
 *
 * Each worker counts what it does in its post, with a plain store; whoever asks
 * adds up. What is submitted from outside is not counted: it is how far the
 * tail of the ring has come.
 *
 * Edges.
 *   settled  future/settle.c: write state -> here: read state
 */
#include <string.h>

#include "observe/working.h"
#include "worker/worker.h"

/* The numbers of the caller's struct, which may be shorter or longer than ours:
 * what we do not know of is 0 there. */
static void give(void *to, size_t to_size, const void *from, size_t from_size)
{
    memset(to, 0, to_size);
    memcpy(to, from, to_size < from_size ? to_size : from_size);
}

static shunt_worker_stats worker_stats(struct sh_pool *pool, unsigned w)
{
    struct sh_post *post = &pool->posts[w];
    struct sh_counts *c = &post->counts;

    return (shunt_worker_stats){
        .doing = (int)sh_working_look(pool, w).doing,
        .queued = sh_deque_size(&post->deque),
        .run = sh_load_rlx(&c->run),           /* relaxed: a figure */
        .stolen = sh_load_rlx(&c->stolen),     /* relaxed: a figure */
        .parked = sh_load_rlx(&c->parked),     /* relaxed: a figure */
        .resumed = sh_load_rlx(&c->resumed),   /* relaxed: a figure */
        .slept = sh_load_rlx(&c->slept),       /* relaxed: a figure */
        .woken = sh_load_rlx(&c->woken),       /* relaxed: a figure */
        .vain = sh_load_rlx(&c->vain),         /* relaxed: a figure */
        .searched = sh_load_rlx(&c->searched), /* relaxed: a figure */
        .missed = sh_load_rlx(&c->missed),     /* relaxed: a figure */
        .lost = sh_load_rlx(&c->lost),         /* relaxed: a figure */
        .calls = sh_load_rlx(&c->calls),       /* relaxed: a figure */
        .offered = sh_load_rlx(&c->offered),   /* relaxed: a figure */
    };
}

static void add(shunt_pool_stats *sum, const shunt_worker_stats *w)
{
    sum->workers++;
    sum->resting += w->doing == SHUNT_RESTS;
    sum->sleeping += w->doing == SHUNT_SLEEPS;
    sum->searching += w->doing == SHUNT_SEARCHES;
    sum->running += w->doing == SHUNT_RUNS;
    sum->queued_workers += w->queued;
    sum->run += w->run;
    sum->stolen += w->stolen;
    sum->parked += w->parked;
    sum->resumed += w->resumed;
    sum->slept += w->slept;
    sum->woken += w->woken;
    sum->vain += w->vain;
    sum->searched += w->searched;
    sum->missed += w->missed;
    sum->lost += w->lost;
    sum->calls += w->calls;
    sum->offered += w->offered;
}

int shunt_stats_sized(shunt_pool *name, shunt_pool_stats *stats,
                      size_t stats_size, shunt_worker_stats *workers,
                      size_t worker_size, size_t n)
{
    struct sh_pool *pool;
    shunt_pool_stats sum = { 0 };
    int rc = sh_pool_find(name, &pool);

    if (rc != 0)
        return rc;
    if (stats == NULL || (workers == NULL && n > 0))
        return SHUNT_EINVAL;
    for (unsigned w = 0, at = 0; w < sh_pool_active(pool);
         w = sh_pool_next(pool, w)) {
        struct sh_post *post = &pool->posts[w];
        shunt_worker_stats one;

        if (sh_post_is_empty(pool, w))
            continue;
        one = worker_stats(pool, w);
        add(&sum, &one);
        sum.blocked += one.doing == SHUNT_RUNS && sh_post_blocks(post);
        sum.blocking_begun +=
            sh_load_rlx(&post->counts.blocked); /* relaxed: a figure */
        if (at < n)
            give((char *)workers + at * worker_size, worker_size, &one,
                 sizeof one);
        at++;
    }
    for (unsigned c = 0; c <= pool->mixed; c++) {
        struct sh_camp *camp = &pool->camps[c];

        sum.queued_outside += sh_ring_size(&camp->ring);
        sum.queued_ready += sh_ring_size(&camp->side);
        /* relaxed: figures, as those of the workers */
        sum.submitted +=
            sh_load_rlx(&camp->ring.tail) + sh_load_rlx(&camp->spilled);
    }
    sum.refused = sh_load_rlx(&pool->refused); /* relaxed: a figure */
    sum.blocking_noticed = sh_load_rlx(&pool->noticed); /* relaxed: a figure */
    sum.stood_in = sh_load_rlx(&pool->stood_in);        /* relaxed: a figure */
    sum.blocking_capped = sh_load_rlx(&pool->capped);   /* relaxed: a figure */
    give(stats, stats_size, &sum, sizeof sum);
    return 0;
}

/* Whether records of a kind are what the user calls a future. */
static bool is_of_user(unsigned kind)
{
    return kind != SH_KIND_DEAL && kind != SH_KIND_KEEP &&
           kind != SH_KIND_SCOPE && kind != SH_KIND_TRY;
}

int64_t shunt_pool_pending(shunt_pool *name)
{
    struct sh_pool *pool;
    int64_t pending = 0;
    uint32_t used;
    int rc = sh_pool_find(name, &pool);

    if (rc != 0)
        return rc;
    used = sh_table_used(&pool->records);
    for (uint32_t i = 1; i < used; i++) {
        struct sh_record *r = sh_record_at(pool, i);
        uint64_t w = sh_load_acq(&r->state);   /* acquire: settled */
        unsigned kind = sh_load_rlx(&r->kind); /* relaxed: a figure */

        pending += sh_is_live(w) && !sh_is_settled(w) && is_of_user(kind);
    }
    return pending;
}
