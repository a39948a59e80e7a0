/* SPDX-License-Identifier: MIT */
/*
 * retry_pause.c - a retry begins to wait while what it waits for arrives.
 *
 * Edges: accept, arrive, ready (future/retry.c, deliver.c). A turn moves record
 * 2 from RUNNING to WAIT; the timekeeper, or with -DTWICE two who deliver the
 * same arrival, comes early or late. However that goes, the record is READY, in
 * a queue, and whoever claims it sees what the turn has written.
 */
#include "settle_client.h"

#define give_up give_up_turn /* futex.h has this name, too */
#include "../../runtime/future/retry.c"
#undef give_up

#ifdef TWICE
enum { DELIVERERS = 2 };
#else
enum { DELIVERERS = 1 };
#endif

static struct sh_ticket ticket;

static void *turn(void *unused)
{
    struct sh_work work = { 0 };

    (void)unused;
    ticket.pauses = true; /* plain: read by the next turn */
    wait_on(&work, &pool, &records[2]);
    assert(work.settling == NULL && work.freeing == NULL);
    return NULL;
}

static void *timekeeper(void *unused)
{
    struct sh_work work = { 0 };

    (void)unused;
    sh_deliver_to(&work, &pool,
                  sh_target(SH_TARGET_RECORD, 2, SH_BIT_TIME, GENERATION),
                  SHUNT_PENDING);
    assert(work.settling == NULL && work.freeing == NULL);
    return NULL;
}

/* From worker/run.c: the claim. */
static void *worker(void *unused)
{
    struct sh_record *r = &records[2];
    uint64_t w = sh_load_acq(&r->state); /* acquire: ready */

    (void)unused;
    if (sh_phase_of(w) == SH_READY &&
        sh_cas_acqrel(&r->state, &w,
                      sh_word_to(w, SH_RUNNING, SH_OWNER_WORKER(1)))) {
        /* acq_rel: claim */
        assert(ticket.pauses);
        assert((sh_load_acq(&r->deps) & ARRIVED) != 0); /* acquire: arrive */
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[2 + DELIVERERS];
    struct sh_record *r;
    enum sh_phase phase;

    make_pool_with_queues();
    r = make_record(2, SH_RUNNING | SH_BUSY, SH_KIND_RETRY);
    *(struct sh_ticket **)(void *)r->data.bytes = &ticket;
    threads[0] = thread_start(turn, NULL);
    threads[1] = thread_start(worker, NULL);
    for (int i = 0; i < DELIVERERS; i++)
        threads[2 + i] = thread_start(timekeeper, NULL);
    for (int i = 0; i < 2 + DELIVERERS; i++)
        thread_join(threads[i]);
    phase = sh_phase_of(sh_load_rlx(&r->state)); /* relaxed: joined */
    assert(phase == SH_READY || phase == SH_RUNNING);
    assert(sh_ring_size(&pool.camps[0].side) == 1);
    return 0;
}
