/* SPDX-License-Identifier: MIT */
/*
 * settle_client.h - record_client.h with everything that a settling does.
 *
 * The queue is the side ring, there are no idle workers, and what allocates
 * or belongs to combinators is not there: a client that got to it would fail.
 */
#ifndef SH_MODEL_SETTLE_CLIENT_H
#define SH_MODEL_SETTLE_CLIENT_H

#include "record_client.h"
#include "wheel_source.h"

#include "../../runtime/future/bridge.c"
#include "../../runtime/future/call.c"
#include "../../runtime/future/notice.c"
#include "../../runtime/future/deliver.c"
#define hang hang_heed /* keep.c has a name of its own for this */
#include "../../runtime/future/heed.c"
#undef hang
#include "../../runtime/future/keep.c"
#include "../../runtime/future/reason.c"
#include "../../runtime/future/settle.c"
#include "../../runtime/queue/deque.c"
#include "../../runtime/queue/ring.c"
#include "../../runtime/sync/sleep.c"

static struct sh_cell_of_ring side_cells[2];
static struct sh_bell bells[1];

static void make_pool_with_queues(void)
{
    make_pool();
    sh_ring_init(&pool.camps[0].side, side_cells, 2);
    sh_sleep_init(&pool.camps[0].sleep, bells, 0, 1, false);
    pool.workers = 1;
    pool.camps[0].pool = &pool;
    pool.camps[0].spare = 1;
    pool.camps[0].end = 1;
    pool.cpus = 1;
    sh_store_rlx(&pool.active, 1); /* relaxed: before the threads */
}

/*
 * From future/outcome.c, without forwarding, and without copying a structure,
 * which the checker cannot.
 */
int sh_status_of(struct sh_record *r, uint64_t word)
{
    (void)r;
    return sh_is_settled(word) ? sh_outcome_code(sh_outcome_of(word))
                               : SHUNT_PENDING;
}

int sh_ref_status_now(const struct sh_ref *ref)
{
    return sh_status_of(ref->record,
                        sh_load_acq(&ref->record->state)); /* acquire:
                                                            * settled */
}

/* From future/unseen.c, whose bit nothing else looks at. */
void sh_mark_seen(uint64_t handle, bool seen)
{
    (void)handle;
    (void)seen;
}

bool sh_report_unseen(struct sh_pool *p, struct sh_record *r, uint64_t word)
{
    (void)p;
    (void)r;
    (void)word;
    return true;
}

/* Nothing has an error of its own yet. */
const shunt_error *sh_error_find(struct sh_record *r, unsigned outcome)
{
    (void)r, (void)outcome;
    return NULL;
}

bool sh_error_is_constant(const shunt_error *error)
{
    return error == NULL;
}

void sh_hand_hook(struct sh_pool *p, void *listener, uint64_t *next,
                  unsigned place)
{
    (void)p;
    (void)listener;
    (void)next;
    (void)place;
    assert(false);
}

void sh_hand_over(struct sh_pool *p, struct sh_record *r, unsigned place)
{
    (void)place;
    (void)p;
    (void)r;
    assert(false);
}

/* Of a record in RELEASING. */
void sh_promise_dispose(struct sh_pool *p, struct sh_record *r)
{
    (void)p;
    (void)r;
}

void sh_record_free_data(struct sh_pool *p, struct sh_record *r)
{
    (void)p;
    if (r == &records[1])
        free_value();
}

void sh_record_drop_in(struct sh_pool *p, struct sh_record *r, unsigned kind)
{
    (void)p;
    (void)r;
    (void)kind;
}

void sh_record_retire(struct sh_pool *p, struct sh_seat *s,
                      struct sh_record *r, uint64_t word)
{
    (void)p;
    (void)s;
    sh_store_rel(&r->state, (uint64_t)(sh_generation_of(word) + 1) << 32 |
                                SH_FREE); /* release: free */
}

/* From worker/frames.c: nobody spawns calls here. */
struct sh_worker;

struct sh_camp;

bool sh_frames_offered(struct sh_pool *p, const struct sh_camp *camp)
{
    (void)p;
    (void)camp;
    return false;
}

uint64_t sh_frames_steal(struct sh_worker *w, unsigned first)
{
    (void)w;
    (void)first;
    assert(0);
    return 0;
}

/* What no execution may come to. */
void sh_shorten(struct sh_work *work, struct sh_pool *pool, struct sh_record *r)
{
    (void)work;
    (void)r;
    assert(0);
}

#endif /* SH_MODEL_SETTLE_CLIENT_H */
