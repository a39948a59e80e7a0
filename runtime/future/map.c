/* SPDX-License-Identifier: MIT */
/*
 * future/map.c - one task for each of many values, dealt out in chunks.
 *
 *     deque of a worker:   [dealer] [e7] [e6] [e5] [e4]     pops e4 first
 *                          ^ thieves take this end
 *
 * Idea. All elements are records from the start, READY and in no queue. A
 * dealer puts a chunk of them into the deque of the worker that runs it, on
 * top of itself, and comes up again when they are done. A thief takes the
 * oldest entry, which is the dealer, and deals for itself. So each worker
 * has a chunk of its own, no element waits behind one that blocks, and how
 * long a chunk took is what passes between two turns of the dealer.
 *
 * Edges.
 *   closing  future/submit.c
 *   due      future/timer.c
 *   accepted task/handle.c: here state is written
 *   sleep    sync/sleep.c
 *
 * Crash. Elements that a dead dealer had not put anywhere are READY: recovery
 * finds them in the task table.
 */
#include "future/map.h"

#include <string.h>

#include "base/clock.h"
#include "future/combine.h"
#include "future/submit.h"
#include "task/error.h"
#include "task/profile.h"

#define CHUNK_NS 50000 /* what a chunk should take */
#define CHUNK_MAX 256u

struct deck {
    struct sh_block *block; /* of hints; belongs to the dealer's record */
    uint64_t *hints;
    uint32_t next, count, chunk;
    int64_t dealt_ns; /* when the last chunk was dealt, and by whom */
    const struct sh_post *dealer;
};

/* There is nothing to call: a worker knows dealers by their kind. */
static const shunt_task deal_task = {
    .size_ = sizeof deal_task,
    .shape_ = SHUNT_SHAPE_OUT_NONE_,
    .fn_ = "shunt_map",
    .in_type_ = "",
    .ctx_type_ = "",
    .out_type_ = "shunt_none",
    .in_size_ = sizeof(struct deck),
    .out_size_ = sizeof(shunt_none),
    .in_align_ = _Alignof(struct deck),
    .ctx_align_ = 1,
    .out_align_ = 1,
};

/* Change the chunk according to how long the last one took here. */
static void adapt(struct deck *d, const struct sh_post *dealer)
{
    int64_t now = sh_clock_ns();
    int64_t took = now - d->dealt_ns;

    if (d->dealer == dealer && took < CHUNK_NS / 2 && d->chunk < CHUNK_MAX)
        d->chunk *= 2;
    else if (d->dealer == dealer && took > CHUNK_NS * 2 && d->chunk > 1)
        d->chunk /= 2;
    d->dealer = dealer;
    d->dealt_ns = now;
}

bool sh_map_deal(struct sh_pool *pool, struct sh_record *r, uint64_t hint,
                 struct sh_post *post)
{
    struct sh_camp *camp = sh_camp_of(pool, r);
    struct deck *d = sh_record_in(r);
    uint32_t n, put;

    adapt(d, post);
    n = d->count - d->next < d->chunk ? d->count - d->next : d->chunk;
    if (n == 0)
        return false;
    d->next += n;
    uint64_t hints[CHUNK_MAX];

    /* Copied, since whoever steals the deck may come to its end and free it. */
    memcpy(hints, d->hints + d->next - n, n * sizeof *hints);

    /* From here another worker may have the deck. */
    sh_store_rel(
        &r->state,
        sh_word_to(
            sh_load_rlx(&r->state), SH_READY,
            0)); /*
                  * release: accepted; relaxed: nobody else moves a dealer */
    if (!sh_deque_push(&post->deque, hint))
        sh_add_sc(&camp->rescan, 1); /* seq_cst: sleep */
    put = sh_deque_push_many(&post->deque, hints, n);
    if (put < n)
        sh_add_sc(&camp->rescan, 1); /* seq_cst: sleep */
    sh_camp_notify(pool, camp);
    return true;
}

/* What the elements of a map have in common. */
struct batch {
    const shunt_task *task;
    const char *where;
    int64_t deadline_ns;
    unsigned placed; /* of all, and the dealer, who has them in his deque */
};

/* An element, READY but in no queue; its hint, and its handle. 0: no memory. */
static uint64_t element(struct sh_pool *pool, struct sh_seat *seat,
                        const struct batch *batch, const void *in,
                        uint64_t *handle_out)
{
    struct sh_record *r =
        sh_record_new(pool, seat, SH_KIND_TASK, batch->task, batch->where);
    uint64_t w;

    if (r == NULL)
        return 0;
    w = sh_load_rlx(&r->state); /* relaxed: ours in INIT */
    sh_place_at(r, batch->placed);
    if (!sh_task_set_up(pool, r, w, in, batch->deadline_ns, 0)) {
        sh_record_retire(pool, seat, r, w);
        return 0;
    }
    *handle_out =
        sh_handle_make(pool->id, sh_index_of(pool, r), sh_generation_of(w));
    /* It may run on when the map has failed, and read our memory. */
    if (sh_here.run != NULL)
        sh_run_note(sh_here.run, *handle_out);
    w = sh_word_to(w, SH_READY, 0);
    if (SH_LIKELY(batch->deadline_ns == INT64_MAX))
        sh_store_rel(&r->state, w); /* release: accepted */
    else
        sh_store_sc(&r->state, w); /* seq_cst: accepted, due */
    return sh_hint(sh_index_of(pool, r), sh_generation_of(w));
}

/* Begin to deal. False if there is no memory. */
static bool start(struct sh_work *work, struct sh_pool *pool,
                  struct sh_seat *seat, struct deck *deck, unsigned placed)
{
    struct sh_record *r =
        sh_record_new(pool, seat, SH_KIND_DEAL, &deal_task, NULL);
    uint64_t w;

    if (r == NULL)
        return false;
    w = sh_load_rlx(&r->state); /* relaxed: ours in INIT */
    sh_place_at(r, placed);
    if (!sh_record_make_data(pool, r)) {
        sh_record_retire(pool, seat, r, w);
        return false;
    }
    sh_attach_new(pool, r, deck->block);
    memcpy(sh_record_in(r), deck, sizeof *deck);
    /* Nobody holds a dealer. */
    w = sh_word_to(w, SH_READY, 0) | SH_GONE | SH_ORPHAN;
    sh_store_rel(&r->state, w); /* release: accepted */
    sh_make_ready(work, pool, r, w);
    return true;
}

/* Make and hang on all elements. How many there are when memory ran out. */
static uint32_t fill(struct sh_work *work, struct sh_pool *pool,
                     struct sh_seat *seat, struct sh_record *r,
                     const struct batch *batch, const char *ins,
                     uint64_t *hints)
{
    struct sh_combine *c = r->data.combining.more;
    uint32_t made = 0;

    while (made < c->n) {
        const char *in = ins + made * batch->task->in_size_;
        uint64_t handle = 0;
        struct sh_ref ref;

        hints[made] = element(pool, seat, batch, in, &handle);
        if (hints[made] == 0)
            break;
        if (sh_handle_find(handle, SH_OWN, &ref) == 0)
            (void)sh_combine_lend(r, made, &ref);
        sh_combine_hang(work, pool, r, made, &ref);
        if (batch->deadline_ns != INT64_MAX)
            sh_bound_accepted(work, pool, ref.record, ref.word);
        made++;
    }
    for (uint32_t i = made; i < c->n; i++) {
        c->names[i] = sh_handle_failed(pool->id, SHUNT_ENOMEM);
        sh_combine_unhung(c, i);
    }
    return made;
}

static int check(const struct sh_pool *pool, const shunt_task *task,
                 const void *ins)
{
    /* relaxed: looked at again when the elements are made (closing) */
    uint32_t gate = sh_load_rlx(&pool->gate);

    if (task == NULL || (task->shape_ & SHUNT_SHAPE_STEP_) != 0 ||
        (ins == NULL && (task->shape_ & SHUNT_SHAPE_IN_NONE_) == 0))
        return SHUNT_EINVAL;
    if (sh_load_rlx(&pool->broken) != 0) /* relaxed: a report */
        return SHUNT_EBROKEN;
    if (gate != SH_OPEN && !(gate == SH_DRAINING && sh_here.run != NULL &&
                             sh_here.run->pool == pool))
        return SHUNT_ECLOSED;
    return sh_task_check(pool, task);
}

/* The pool stopped while the elements were made: nobody will run them. */
static void close_elements(struct sh_work *work, struct sh_record *r)
{
    struct sh_combine *c = r->data.combining.more;
    struct sh_ref ref;

    for (uint32_t i = 0; i < c->n; i++)
        if (sh_handle_find(sh_handle_of(c->names[i]), SH_LOOK, &ref) == 0 &&
            ref.record != NULL &&
            sh_settle_begin(ref.record, ref.word,
                            sh_outcome_from(SHUNT_ECLOSED)))
            sh_work_settle(work, ref.pool, ref.record);
}

shunt_future *shunt_map_task(shunt_pool *name, const shunt_task *task,
                             const void *ins, size_t n, bool settled,
                             const char *where)
{
    struct sh_work work = { 0 };
    struct sh_pool *pool;
    struct sh_seat *seat;
    struct sh_record *r = NULL;
    struct deck deck = { .count = (uint32_t)n, .chunk = 1 };
    struct batch batch = { task, where, INT64_MAX, 0 };
    uint64_t handle;
    int rc = sh_pool_find(name, &pool);

    if (rc != 0)
        return sh_handle_failed(0, rc);
    rc = n == 0 && task != NULL ? 0 : check(pool, task, ins);
    if (rc == 0)
        rc = sh_deadline_inherit(pool, &batch.deadline_ns);
    if (rc != 0)
        return sh_handle_failed(pool->id, rc);
    if (n == 0)
        return sh_handle_empty(pool->id);
    seat = sh_seat_of(pool);
    if (SH_UNLIKELY(pool->mixed))
        batch.placed = sh_profile_places(pool, task);
    if (seat != NULL && n < SH_INDEX_MAX)
        deck.block = sh_block_new_scratch(&pool->heap, n * sizeof *deck.hints,
                                          SH_BLOCK_VALUE);
    if (deck.block != NULL)
        r = sh_combine_new(pool, seat, settled ? SH_KIND_SETTLED : SH_KIND_ALL,
                           (uint32_t)n, (uint32_t)n);
    if (r == NULL) {
        if (deck.block != NULL)
            sh_block_free(deck.block);
        return sh_handle_failed(pool->id, SHUNT_ENOMEM);
    }
    handle = sh_handle_make(pool->id, sh_index_of(pool, r),
                            /* relaxed: ours in INIT */
                            sh_generation_of(sh_load_rlx(&r->state)));
    deck.hints = sh_block_bytes(deck.block);
    if (fill(&work, pool, seat, r, &batch, ins, deck.hints) < n ||
        !start(&work, pool, seat, &deck, batch.placed)) {
        struct sh_combine *c = r->data.combining.more;

        sh_block_free(deck.block);
        c->starved = true;
    }
    if (sh_here.run != NULL)
        sh_run_note(sh_here.run, handle);      /* before it can settle */
    if (sh_load_sc(&pool->gate) == SH_STOPPED) /* seq_cst: closing */
        close_elements(&work, r);
    sh_combine_accept(&work, pool, r);
    sh_work_do(&work);
    return sh_handle_future(handle);
}
