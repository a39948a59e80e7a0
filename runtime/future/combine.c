/* SPDX-License-Identifier: MIT */
/*
 * future/combine.c - building combinators, counting arrivals, the verdict.
 *
 *                 record: deps  [..1]
 *                         /          \
 *               cell [111..1]        cell [1.......]        28 bits each
 *               /     |     \           |
 *            leaf   leaf   leaf       leaf                  28 inputs each
 *
 * Idea. An arrival is a bit: setting it twice is harmless, and a word that is
 * full is full for everybody who looks, so no count can be off. A full word is
 * one arrival above. Some inputs decide at once (a failure for all, a success
 * for any): then the verdict is written, by a CAS from none, into a word of
 * the record, and whoever wrote it, or finds it, moves the record on. So there
 * is one verdict, and it survives whoever wrote it. Of some, successes and
 * failures are counted: quorum.c.
 *
 * Those who deliver read only words of the record and of cells, which are
 * type-stable, and what they read beforehand is confirmed by a CAS on a word
 * with a generation. The block of handles is the owner's alone.
 *
 * Edges.
 *   death    process/recover.c
 *   cell     build: write fields -> deliver: read fields     as of this use
 *   arrive   future/edge.c
 *   accept   accept: write WAIT, then read the verdict || deliver: write the
 *            verdict, then read the state; all seq_cst: one sees the other
 *   quiet    future/settle.c
 *   settled  future/settle.c
 *
 * Crash. Bits and verdict say how far it got. Recovery acts on every record in
 * WAIT that has a verdict; and who died before it wrote one was settling an
 * input, which is done again, and finds the word full.
 */
#include "future/combine.h"

#include "future/value.h"
#include "task/data.h"
#include "task/error.h"

#define AHEAD 8u /* as many inputs are fetched before they are looked at */

static uint64_t full_mask(uint32_t need)
{
    return ((uint64_t)1 << need) - 1;
}

static uint32_t leaves_for(uint32_t n)
{
    return (n + SH_FANOUT - 1) / SH_FANOUT;
}

static uint32_t cells_for(uint32_t n, unsigned kind)
{
    uint32_t cells = 0;

    if (kind == SH_KIND_SOME)
        return sh_quorum_cells(n);
    while (n > SH_FANOUT) {
        n = (n + SH_FANOUT - 1) / SH_FANOUT;
        cells += n;
    }
    return cells;
}

static struct sh_combine *block_new(struct sh_pool *pool, unsigned kind,
                                    uint32_t n, uint32_t cells)
{
    bool some = kind == SH_KIND_SOME;
    size_t indices = some || kind == SH_KIND_KEEP ? n : 0;
    size_t each = sizeof(shunt_future *) + sizeof(struct sh_hung);
    size_t bytes = sizeof(struct sh_combine) + (size_t)n * each +
                   indices * sizeof(size_t) +
                   (some ? n : 0) * sizeof(shunt_future *) +
                   (size_t)cells * sizeof(uint32_t);
    struct sh_combine *c = sh_heap_scratch(&pool->heap, bytes);

    if (c == NULL)
        return NULL;
    c->bytes = bytes;
    c->n = n;
    c->held = 0;
    c->cells = 0;
    c->unhung = 0;
    c->starved = false;
    c->sifted = false;
    c->spare = 0;
    c->names = c->inputs = (shunt_future **)(c + 1);
    c->hung = (struct sh_hung *)(c->names + n);
    c->indices = (size_t *)(c->hung + n);
    c->chosen = (shunt_future **)(c->indices + indices);
    c->cell = (uint32_t *)(c->chosen + (some ? n : 0));
    return c;
}

static void block_free(struct sh_pool *pool, struct sh_record *r)
{
    struct sh_combine *c = r->data.combining.more;
    struct sh_seat *seat = sh_seat_of(pool);

    if (c == NULL)
        return;
    /* Each is taken off before it is given, so that who repeats this gives
     * nothing back twice, and little is lost. */
    while (c->cells > 0) {
        uint32_t i = c->cell[c->cells - 1];

        (void)sh_arrivals_renew(&sh_cell_at(pool, i)->word);
        if (seat != NULL)
            sh_table_hand(&seat->cells, i, sh_index_of(pool, r));
        sh_store_bare_rel(&c->cells, c->cells - 1); /* release: death */
        if (seat != NULL)
            sh_table_give_in_hand(&pool->cells, &seat->cells);
    }
    /* It goes with us if we die before it is freed. */
    sh_heap_scrap(&pool->heap, c);
    sh_store_bare_rel(&r->data.combining.more, NULL); /* release: death */
    sh_heap_put(&pool->heap, c, c->bytes);
}

uint64_t sh_combine_cell(struct sh_pool *pool, const struct sh_combine *c,
                         uint32_t i, unsigned bit)
{
    struct sh_cell *cell = sh_cell_at(pool, c->cell[i]);

    return sh_target(SH_TARGET_CELL, c->cell[i], bit,
                     /* relaxed: ours until RELEASING */
                     (uint32_t)(sh_load_rlx(&cell->word) >> 32));
}

void sh_combine_build(struct sh_pool *pool, struct sh_record *r,
                      const struct sh_combine *c, uint32_t i, uint64_t up,
                      uint32_t base, uint32_t need)
{
    struct sh_cell *cell = sh_cell_at(pool, c->cell[i]);
    /* relaxed: ours in INIT */
    uint32_t generation = (uint32_t)(sh_load_rlx(&r->deps) >> 32);

    sh_store_rel(&cell->up, up);                      /* release: cell */
    sh_store_rel(&cell->link, sh_index_of(pool, r));  /* release: cell */
    sh_store_rel(&cell->chain, generation);           /* release: cell */
    sh_store_rel(&cell->base, base);                  /* release: cell */
    sh_store_rel(&cell->need, (uint8_t)need);         /* release: cell */
    sh_store_rel(&cell->kind, (uint8_t)SH_CELL_NODE); /* release: cell */
}

/* One level of the tree: cells first to first + count - 1 of c->cell, over
 * `below` arrivals; what they lead to is filled in by the level above. */
static void build_level(struct sh_pool *pool, struct sh_record *r,
                        struct sh_combine *c, uint32_t first, uint32_t count,
                        uint32_t below)
{
    uint32_t root = sh_index_of(pool, r);
    /* relaxed: ours in INIT */
    uint32_t root_generation = (uint32_t)(sh_load_rlx(&r->deps) >> 32);

    for (uint32_t i = 0; i < count; i++) {
        uint32_t left = below - i * SH_FANOUT;
        uint32_t above = first + count + i / SH_FANOUT;
        uint64_t up =
            count <= SH_FANOUT
                ? sh_target(SH_TARGET_RECORD, root, i, root_generation)
                : sh_combine_cell(pool, c, above, i % SH_FANOUT);

        sh_combine_build(pool, r, c, first + i, up, i * SH_FANOUT,
                         left < SH_FANOUT ? left : SH_FANOUT);
    }
}

static bool build_tree(struct sh_pool *pool, struct sh_seat *seat,
                       struct sh_record *r, struct sh_combine *c,
                       uint32_t cells, uint32_t quorum)
{
    uint32_t below = c->n;
    uint32_t first = 0;

    while (c->cells < cells) {
        uint32_t index = sh_table_take_in_hand(&pool->cells, &seat->cells,
                                               sh_index_of(pool, r));

        if (index == SH_NONE)
            return false;
        (void)sh_arrivals_renew(&sh_cell_at(pool, index)->word);
        c->cell[c->cells] = index;
        sh_store_bare_rel(&c->cells, c->cells + 1); /* release: cell */
        sh_table_unhand(&seat->cells);
    }
    /* relaxed: ours in INIT */
    if (sh_load_rlx(&r->kind) == SH_KIND_SOME) {
        sh_quorum_build(pool, r, c, quorum);
        return true;
    }
    while (below > SH_FANOUT) {
        uint32_t count = leaves_for(below);

        build_level(pool, r, c, first, count, below);
        first += count;
        below = count;
    }
    sh_store_rel(&r->data.combining.count, below);   /* release: cell */
    sh_store_rlx(&r->data.combining.quorum, quorum); /* relaxed: ours in INIT */
    return true;
}

struct sh_record *sh_combine_new(struct sh_pool *pool, struct sh_seat *seat,
                                 unsigned kind, uint32_t n, uint32_t quorum)
{
    uint32_t cells = cells_for(n, kind);
    struct sh_record *r = sh_record_new(pool, seat, SH_KIND_NONE, NULL, NULL);
    struct sh_combine *c;
    uint32_t generation;

    if (r == NULL)
        return NULL;
    r->data.combining.more = NULL;
    sh_store_rel(&r->kind, (uint8_t)kind); /* release: cell */
    /* relaxed: ours in INIT */
    generation = (uint32_t)(sh_load_rlx(&r->deps) >> 32);
    /* With a verdict there is a block, or none yet. release: death */
    sh_store_rel(&r->input, sh_verdict_make(generation, SH_VERDICT_NONE, 0));
    c = block_new(pool, kind, n, cells);
    sh_store_bare_rel(&r->data.combining.more, c); /* release: death */
    if (c != NULL)
        sh_heap_keep(&pool->heap, c);
    if (c == NULL || !build_tree(pool, seat, r, c, cells, quorum)) {
        block_free(pool, r);
        sh_record_retire(pool, seat, r,
                         sh_load_rlx(&r->state)); /* relaxed: ours in INIT */
        return NULL;
    }
    return r;
}

uint64_t sh_combine_target(struct sh_pool *pool, struct sh_record *r,
                           uint32_t i)
{
    struct sh_combine *c = r->data.combining.more;
    /* relaxed: ours in INIT */
    uint32_t fanout = sh_load_rlx(&r->kind) == SH_KIND_SOME ? SH_QUORUM_FANOUT
                                                            : SH_FANOUT;

    if (c->cells == 0)
        return sh_target(SH_TARGET_RECORD, sh_index_of(pool, r), i,
                         /* relaxed: ours in INIT */
                         (uint32_t)(sh_load_rlx(&r->deps) >> 32));
    return sh_combine_cell(pool, c, i / fanout, i % fanout);
}

void sh_combine_hang(struct sh_work *work, struct sh_pool *pool,
                     struct sh_record *r, uint32_t i, const struct sh_ref *ref)
{
    struct sh_combine *c = r->data.combining.more;
    uint64_t here = sh_combine_target(pool, r, i);
    enum sh_attached how = SH_ATTACH_SETTLED;

    if (ref->record != NULL && !sh_is_settled(ref->word))
        how = sh_hang(pool, ref, here, &c->hung[i]);
    if (how == SH_ATTACHED)
        return;
    sh_combine_unhung(c, i);
    if (how == SH_ATTACH_SETTLED)
        sh_deliver_to(work, pool, here, sh_ref_status_now(ref));
    else
        c->starved = true;
}

/* Act on a verdict, if the record waits and nobody has. */
void sh_combine_act(struct sh_work *work, struct sh_pool *pool,
                    struct sh_record *r, uint64_t verdict)
{
    for (;;) {
        uint64_t w = sh_load_sc(&r->state);    /* seq_cst: accept */
        uint64_t now = sh_load_sc(&r->input);  /* seq_cst: accept */
        unsigned kind = sh_load_acq(&r->kind); /* acquire: accept */
        unsigned outcome = 0;

        if (now != verdict || sh_phase_of(w) != SH_WAIT)
            return;
        if (sh_verdict_code(verdict) == SH_VERDICT_FAIL)
            outcome = SH_OUTCOME_FORWARD;
        else if (sh_verdict_code(verdict) == SH_VERDICT_SHORT ||
                 (sh_verdict_code(verdict) == SH_VERDICT_FULL &&
                  kind == SH_KIND_ANY))
            outcome = sh_outcome_from(SHUNT_EFAILED);
        if (sh_settle_begin(r, w, outcome)) {
            sh_work_settle(work, pool, r);
            return;
        }
    }
}

void sh_combine_accept(struct sh_work *work, struct sh_pool *pool,
                       struct sh_record *r)
{
    struct sh_combine *c = r->data.combining.more;
    uint64_t w = sh_load_rlx(&r->state); /* relaxed: ours in INIT */
    uint64_t verdict;

    /* relaxed: ours in INIT. Beside n children, a keeper has one handle. */
    c->held = sh_load_rlx(&r->kind) == SH_KIND_KEEP ? 1 : c->n;
    if (c->starved) {
        w = sh_word_settled(w, SH_SETTLING, sh_owner_here(),
                            sh_outcome_from(SHUNT_ENOMEM));
        sh_store_sc(&r->state, w); /* seq_cst: accept */
        sh_work_settle(work, pool, r);
        return;
    }
    sh_store_sc(&r->state, sh_word_to(w, SH_WAIT, 0)); /* seq_cst: accept */
    verdict = sh_load_sc(&r->input);                   /* seq_cst: accept */
    if (sh_verdict_code(verdict) != SH_VERDICT_NONE)
        sh_combine_act(work, pool, r, verdict);
}

void sh_combine_refuse(struct sh_work *work, struct sh_pool *pool,
                       struct sh_record *r, int code)
{
    struct sh_combine *c = r->data.combining.more;
    uint64_t w = sh_load_rlx(&r->state); /* relaxed: ours in INIT */

    c->held = c->n;
    sh_store_sc(&r->state, sh_word_settled(w, SH_SETTLING, sh_owner_here(),
                                           sh_outcome_from(code))); /* seq_cst:
                                                                     * accept */
    sh_work_settle(work, pool, r);
}

static void decide(struct sh_work *work, struct sh_pool *pool,
                   struct sh_record *r, const struct sh_tally *t,
                   enum sh_verdict code, uint32_t number)
{
    uint64_t none = sh_verdict_make(t->root_generation, SH_VERDICT_NONE, 0);
    uint64_t verdict = sh_verdict_make(t->root_generation, code, number);

    if (sh_cas_sc(&r->input, &none, verdict) || none == verdict) /* seq_cst:
                                                                  * accept */
        sh_combine_act(work, pool, r, verdict);
}

/* The leaf of an arrival is full: go up as far as that fills the next. */
static void climb(struct sh_work *work, struct sh_pool *pool,
                  struct sh_record *r, const struct sh_tally *t,
                  uint32_t root_need)
{
    uint64_t up = t->up;
    uint64_t word;

    while (sh_target_kind(up) == SH_TARGET_CELL) {
        struct sh_cell *c = sh_cell_at(pool, sh_target_index(up));
        uint64_t next = sh_load_acq(&c->up);   /* acquire: cell */
        uint32_t need = sh_load_acq(&c->need); /* acquire: cell */

        if (sh_arrive(&c->word, sh_target_generation(up), sh_target_bit(up),
                      &word) == SH_ARRIVED_STALE ||
            (word & full_mask(need)) != full_mask(need))
            return;
        up = next;
    }
    if (up != 0 && (sh_arrive(&r->deps, t->root_generation, sh_target_bit(up),
                              &word) == SH_ARRIVED_STALE ||
                    (word & full_mask(root_need)) != full_mask(root_need)))
        return;
    decide(work, pool, r, t, SH_VERDICT_FULL, 0);
}

void sh_combine_arrive(struct sh_work *work, struct sh_pool *pool,
                       const struct sh_tally *t, bool good)
{
    struct sh_record *r = sh_record_at(pool, t->root);
    unsigned kind = sh_load_acq(&r->kind); /* acquire: cell */
    uint32_t root_need = sh_load_acq(&r->data.combining.count); /* acquire:
                                                                 * cell */
    uint64_t word = 0;
    enum sh_arrived how;
    bool decides = kind == SH_KIND_RACE || (kind == SH_KIND_ALL && !good) ||
                   (kind == SH_KIND_ANY && good);

    if (kind == SH_KIND_SOME) {
        enum sh_verdict verdict = sh_quorum_arrive(pool, t, good);

        if (verdict != SH_VERDICT_NONE)
            decide(work, pool, r, t, verdict, 0);
        return;
    }
    /* Before its bit: whoever finds the word full finds this verdict, too. If
     * the combinator is of another use by now, so is its word of verdicts. */
    if (decides)
        decide(work, pool, r, t, good ? SH_VERDICT_WIN : SH_VERDICT_FAIL,
               t->number);
    how = sh_arrive(t->leaf, t->generation, t->bit, &word);
    if (how == SH_ARRIVED_STALE || decides)
        return;
    if ((word & full_mask(t->need)) == full_mask(t->need))
        climb(work, pool, r, t, root_need);
}

void sh_combine_note(struct sh_work *work, struct sh_pool *pool,
                     struct sh_record *r, uint32_t leaf, uint32_t bits)
{
    struct sh_combine *c = r->data.combining.more;
    struct sh_cell *cell = c->cells > 0 ? sh_cell_at(pool, c->cell[leaf])
                                        : NULL;
    /* relaxed: ours in INIT */
    uint32_t root_need = sh_load_rlx(&r->data.combining.count);
    struct sh_tally t = {
        .root = sh_index_of(pool, r),
        /* relaxed: ours in INIT */
        .root_generation = (uint32_t)(sh_load_rlx(&r->deps) >> 32),
        .leaf = cell != NULL ? &cell->word : &r->deps,
        .need = cell != NULL ? sh_load_rlx(&cell->need) : root_need, /* relaxed:
                                                                      * ours */
        .up = cell != NULL ? sh_load_rlx(&cell->up) : 0, /* relaxed: ours */
    };
    /* Ours, so it is of this use. seq_cst: arrive */
    uint64_t word = sh_or_sc(t.leaf, bits) | bits;

    if ((word & full_mask(t.need)) == full_mask(t.need))
        climb(work, pool, r, &t, root_need);
}

void sh_combine_let_go(struct sh_work *work, struct sh_pool *pool,
                       struct sh_combine *c, uint32_t i)
{
    uint64_t handle = sh_handle_of(c->inputs[i]);
    unsigned id = sh_handle_pool(handle);
    struct sh_ref ref;

    if (!sh_pool_enter(id))
        return;
    if (i >= c->unhung && c->hung[i].target != 0 &&
        sh_handle_find(handle, SH_LOOK, &ref) == 0 && ref.record != NULL &&
        !sh_is_settled(ref.word))
        sh_unhang(pool, &ref, &c->hung[i]);
    sh_work_abandon(work, handle);
    sh_pool_exit(id);
}

static void let_all_go(struct sh_work *work, struct sh_pool *pool,
                       struct sh_record *r, uint32_t but)
{
    struct sh_combine *c = r->data.combining.more;

    for (uint32_t i = 0; i < c->n; i++)
        if (i != but)
            sh_combine_let_go(work, pool, c, i);
    block_free(pool, r);
}

unsigned sh_combine_conclude(struct sh_work *work, struct sh_pool *pool,
                             struct sh_record *r, unsigned outcome)
{
    struct sh_combine *c = r->data.combining.more;
    uint64_t verdict = sh_load_acq(&r->input); /* acquire: accept */
    uint32_t index = sh_verdict_index(verdict);
    unsigned kind = sh_load_rlx(&r->kind); /* relaxed: ours in SETTLING */
    unsigned failed = sh_outcome_from(SHUNT_EFAILED);

    /* Without its block it was concluded before, by one who then died. */
    if (kind == SH_KIND_KEEP || c == NULL)
        return outcome;
    if (outcome == SH_OUTCOME_FORWARD) {
        if (c->spare == 0)
            c->spare = (uint64_t)index + 1; /* the verdict is about to go */
        index = (uint32_t)(c->spare - 1);
        /* release: death; published by the commit */
        sh_store_rel(&r->input, sh_handle_of(c->names[index]));
        let_all_go(work, pool, r, index);
    } else if (outcome == failed && kind == SH_KIND_SOME) {
        sh_combine_sift(work, pool, c, false, c->n);
        return sh_combine_fail(pool, r);
    } else if (outcome == failed && kind == SH_KIND_ANY) {
        return sh_combine_fail(pool, r);
    } else if (outcome != 0) {
        let_all_go(work, pool, r, UINT32_MAX);
    } else if (kind == SH_KIND_ANY || kind == SH_KIND_RACE) {
        r->data.combining.value.winner =
            (shunt_winner){ .index = index, .future = c->names[index] };
        let_all_go(work, pool, r, index);
    } else {
        bool some = kind == SH_KIND_SOME;

        if (some)
            /* relaxed: set before it was accepted */
            sh_combine_sift(work, pool, c, true,
                            sh_load_rlx(&r->data.combining.quorum));
        r->data.combining.value.results =
            (shunt_results){ .count = c->held,
                             .futures = c->names,
                             .indices = some ? c->indices : NULL };
    }
    return outcome;
}

void sh_combine_dispose(struct sh_work *work, struct sh_pool *pool,
                        struct sh_record *r, unsigned outcome)
{
    struct sh_combine *c = r->data.combining.more;
    unsigned kind = sh_load_rlx(&r->kind); /* relaxed: ours in RELEASING */

    if (outcome == SH_OUTCOME_FORWARD)
        sh_work_give(work, sh_load_rlx(&r->input)); /* relaxed: ours */
    else if (c == NULL && outcome == 0 &&
             (kind == SH_KIND_ANY || kind == SH_KIND_RACE))
        sh_work_give(work, sh_handle_of(r->data.combining.value.winner.future));
    if (c == NULL)
        return;
    if (kind == SH_KIND_KEEP) {
        /* What we kept is KEPT: nobody else frees it. */
        uint64_t kept = sh_handle_of(c->names[0]);

        if (kept != 0)
            sh_settle_idle(work, pool,
                           sh_record_at(pool, sh_handle_index(kept)), SH_KEPT);
        c->held = 0;
        sh_work_give(work, c->spare);
    }
    for (uint32_t i = 0; i < c->held; i++) {
        uint64_t handle = sh_handle_of(c->names[i]);

        if (i + AHEAD < c->held)
            sh_handle_prefetch(pool, sh_handle_of(c->names[i + AHEAD]));
        if (!sh_give_plain(pool, handle))
            sh_work_give(work, handle);
    }
    block_free(pool, r);
}

void sh_combine_wreck(struct sh_pool *pool, struct sh_record *r)
{
    block_free(pool, r);
}
