/* SPDX-License-Identifier: MIT */
/*
 * passing_back.c - a thread of an auto pool comes upon a task whose kind has
 * crashed meanwhile, and passes it to the processes.
 *
 * Edges: accepted, claim, profile (worker/passing.c). Whoever takes it there
 * sees that it is for processes, and runs it, once. With -DCANCEL it is asked
 * to cancel meanwhile; with -DTIME its deadline comes, and it is taken
 * afterwards. Then it need not run, but it settles, and nobody is left at it.
 */
#include "run_client.h"

#undef SH_PROFILES
#define SH_PROFILES 4u
#include "../../runtime/task/profile.c"

#include "../../runtime/worker/passing.c"

static struct sh_profile profiles[SH_PROFILES];
static struct sh_post both_posts[2];
static struct sh_bell host_bells[2];
static struct sh_cell_of_ring host_cells[2];
static struct sh_worker guest;
static int ran; /* plain */

static int call_task(const void *in, const void *ctx, void *out)
{
    (void)in, (void)ctx, (void)out;
    assert(sh_placed(&records[1]) == SH_BOUND);
    ran++;
    return 0;
}

/* What there is for processes. */
static void run_all(struct sh_worker *w)
{
    uint64_t hint;

    while (sh_ring_pop(&pool.camps[SH_OWN_CAMP].side, &hint, 1) > 0)
        sh_worker_run(w, hint);
}

static inline void *process(void *unused)
{
    (void)unused;
    be_worker();
    own_seat()->post = worker.post;
    sh_here.seat = own_seat();
    run_all(&worker);
    return NULL;
}

static void *thread(void *unused)
{
    (void)unused;
    own_seat()->post = guest.post;
    sh_here.seat = own_seat();
    sh_worker_run(&guest, sh_hint(1, GENERATION));
    return NULL;
}

static inline void *other(void *unused)
{
    struct sh_work work = { 0 };

    (void)unused;
#ifdef TIME
    end_at_deadline(&work, &pool, &records[1], GENERATION);
#else
    (void)sh_cancel_ask(&work, &pool, &records[1], GENERATION);
#endif
    sh_work_do(&work);
    return NULL;
}

/* From worker/home.c. */
bool sh_home_is_late(const struct sh_pool *p, const shunt_task *late)
{
    (void)p, (void)late;
    return false;
}

void sh_home_refuse(struct sh_pool *p, struct sh_record *r, uint64_t word)
{
    (void)p, (void)r, (void)word;
    assert(0);
}

int main(void)
{
    struct sh_camp *camp = &pool.camps[SH_HOST_CAMP];
    pthread_t threads[3];
    uint64_t w;

    make_pool_with_worker();
    make_time(0);
    pool.mixed = true;
    pool.posts = both_posts;
    worker.post = &both_posts[0];
    camp->pool = &pool;
    camp->first = 1;
    camp->spare = camp->end = 2;
    sh_store_rlx(&pool.active, 1);        /* relaxed: before the threads */
    sh_store_rlx(&pool.active_guests, 2); /* relaxed: as above */
    sh_ring_init(&camp->ring, &host_cells[0], 1);
    sh_ring_init(&camp->side, &host_cells[1], 1);
    sh_sleep_init(&camp->sleep, host_bells, 1, 1, false);
    guest = (struct sh_worker){ .index = 1 };
    guest.pool = &pool;
    guest.camp = camp;
    guest.post = &both_posts[1];
    pool.profiles = profiles;
    /* relaxed: before the threads */
    sh_store_rlx(&sh_profile_of(&pool, &task)->banned, 1);
    make_task(1);
    sh_place_at(&records[1], SH_FOR_HOST);
    threads[0] = thread_start(thread, NULL);
#ifndef TIME
    threads[1] = thread_start(process, NULL);
#endif
#if defined(CANCEL) || defined(TIME)
    threads[2] = thread_start(other, NULL);
    thread_join(threads[2]);
#endif
#ifndef TIME
    thread_join(threads[1]);
#endif
    thread_join(threads[0]);
    own_seat()->post = worker.post;
    sh_here.seat = own_seat();
    run_all(&worker);
    w = sh_load_rlx(&records[1].state); /* relaxed: after the joins */
    assert(sh_phase_of(w) == SH_DONE && (w & SH_BUSY) == 0);
#if defined(CANCEL) || defined(TIME)
    assert(ran <= 1);
#else
    assert(ran == 1);
#endif
    return 0;
}
