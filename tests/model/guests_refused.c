/* SPDX-License-Identifier: MIT */
/*
 * guests_refused.c - a task is queued for the threads of an auto pool while the
 * system refuses these.
 *
 * Edges: guests, accepted (future/notice.c, worker/guests.c, home.c). Another
 * one was queued before. Whoever fails all that waits for such threads sees
 * this one, or is called once more.
 */
#define PLACED SH_FOR_HOST
#include "submit_client.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

/* Nothing here is of a library that was loaded late. */
#define dladdr(address, info) ((void)(info), 0)
#define snprintf(to, size, ...) ((void)(to))
#define strrchr(text, c) NULL
/* The checker would stumble over what is made of a function that returns a
 * bool, where that is one of two. */
#define sh_is_for_host(r) ((sh_placed(r) & SH_FOR_HOST) != 0)
#include "../../runtime/worker/home.c"
#define start start_guests
#include "../../runtime/worker/guests.c"
#undef start

static struct sh_bell two_bells[2];
static struct sh_cell_of_ring host_cells[3];
static struct sh_post two_posts[2];

/* From future/import.c. */
bool sh_is_import(const struct sh_pool *p, struct sh_record *r)
{
    (void)p, (void)r;
    return false;
}

int sh_worker_start(struct sh_pool *p, unsigned index)
{
    (void)p;
    assert(index == 1);
    return SHUNT_ENOMEM;
}

static void *submitter(void *unused)
{
    uint64_t handle;

    (void)unused;
    assert(submit(&pool, &nothing, NULL, "here", INT64_MAX, &handle) == 0);
    return NULL;
}

static void *timekeeper(void *unused)
{
    (void)unused;
    sh_guests_start(&pool);
    return NULL;
}

int main(void)
{
    struct sh_camp *camp = &pool.camps[SH_HOST_CAMP];
    pthread_t one, two;
    uint64_t w;

    make_pool_with_worker();
    make_time(0);
    pool.mixed = pool.shared = true;
    pool.posts = two_posts;
    camp->pool = &pool;
    camp->first = 1;
    camp->spare = camp->end = 2;
    sh_store_rlx(&pool.active_guests, 1); /* relaxed: before the threads */
    sh_store_rlx(&camp->limit, 2); /* relaxed: before the threads */
    sh_ring_init(&camp->ring, &host_cells[0], 2);
    sh_ring_init(&camp->side, &host_cells[2], 1);
    sh_sleep_init(&camp->sleep, two_bells, 1, 1, true);
    sh_store_rlx(&pool.guests, SH_GUESTS_WANTED); /* relaxed: as above */
    sh_store_rlx(&pool.records.used, 2);          /* relaxed: as above */
    one = thread_start(submitter, NULL);
    two = thread_start(timekeeper, NULL);
    thread_join(one);
    thread_join(two);
    sh_guests_start(&pool);             /* if it was called */
    w = sh_load_rlx(&records[1].state); /* relaxed: after the joins */
    assert(sh_is_settled(w));
    return 0;
}
