/* SPDX-License-Identifier: MIT */
/*
 * observe/waits.c - who waits for what, found in the edges of all records.
 *
 *     record, pending     edge -> its dependant, by way of
 *                             a record               that one
 *                             a node of a tree       its root
 *                             a bridge               one of another pool
 *                             a cell of a child      its scope
 *                             a waiter               a thread outside
 *
 * Idea. A future does not know what it waits for: a task that awaits has that
 * on its stack, a combinator in a block. But what it waits for knows it, since
 * it is to be told. So one walk over the edges of all pending records gives
 * both, at no cost for those who wait.
 *
 * Nothing is held still meanwhile. What is read is type-stable, and whether an
 * edge was one of this record, and leads to a wait that goes on, is told by
 * generations: of the record's state, of the arrivals of record or cell. Where
 * lists may have been taken apart under our feet, steps are counted.
 *
 * Circles. The search goes from a record to its dependants. Where it comes to
 * one that it is on its way from, all edges of the circle are looked at once
 * more: a wait is known by the generation of its arrivals, which no other has,
 * so what is there both times was there in between. All of a circle's waits
 * then went on at the moment between the two looks: it was one.
 *
 * Edges.
 *   accepted task/data.c: write deps -> here: read deps
 *   settled  future/settle.c
 *   hang     future/edge.c: write a target -> here: read it
 *   list     future/edge.c
 *   cell     future/combine.c: write fields -> here: read fields
 */
#include "observe/waits.h"

#include "future/edge.h"

/* In the place of an edge's index: edge0. */
#define AT_FIRST UINT32_MAX

/* Bridges and nodes on the way from an edge to a record. */
#define CELLS_MAX 4

enum {
    NEW,
    OPEN,
    CLOSED
}; /* of a node in the search */

enum who {
    NOBODY,
    THREAD,
    RECORD
};

struct dependant {
    uint32_t node, generation, input;
};

/* One edge of a record. */
struct hanging {
    uint32_t hook;
    uint64_t target;
};

uint64_t sh_waits_size(const struct sh_waits *w)
{
    uint64_t size = 1;

    for (unsigned i = 0; i < w->site_count; i++)
        size += w->sites[i].used;
    return size;
}

const struct sh_survey *sh_waits_site(const struct sh_waits *w, uint32_t node)
{
    unsigned low = 0, high = w->site_count;

    while (high - low > 1) {
        unsigned middle = low + (high - low) / 2;

        if (w->sites[middle].base <= node)
            low = middle;
        else
            high = middle;
    }
    return &w->sites[low];
}

static struct sh_record *record_of(const struct sh_waits *w, uint32_t node)
{
    const struct sh_survey *site = sh_waits_site(w, node);

    return sh_record_at(site->pool, node - site->base);
}

/* What is not settled yet may have dependants. */
static bool is_pending(uint64_t word)
{
    return sh_is_live(word) && !sh_is_settled(word);
}

static bool is_waiting(uint64_t word)
{
    return sh_phase_of(word) == SH_WAIT || sh_phase_of(word) == SH_PARKED;
}

/* The next edge of a record; *at begins with AT_FIRST. False: no more. */
static bool next_edge(const struct sh_survey *site, struct sh_record *r,
                      uint32_t *at, struct hanging *out)
{
    struct sh_edge *e;

    if (*at == AT_FIRST) {
        out->hook = 0;
        out->target = sh_load_acq(&r->edge0);            /* acquire: hang */
        *at = sh_load_acq(&r->edges) & ~SH_EDGES_CLOSED; /* acquire: list */
        return true;
    }
    if (*at == SH_NONE || *at >= site->pool->edges.capacity)
        return false;
    e = sh_edge_at(site->pool, *at);
    out->hook = *at;
    out->target = sh_load_acq(&e->target); /* acquire: hang */
    *at = sh_load_rlx(&e->next); /* relaxed: never changes in the list */
    return true;
}

/* Steps that a walk over the edges of one record may take. */
static uint32_t edges_most(const struct sh_survey *site)
{
    return sh_table_used(&site->pool->edges) + 1;
}

/* The site of a bridge's other end, NULL if it is not looked at. */
static const struct sh_survey *find_site(const struct sh_waits *w, unsigned id,
                                       uint32_t serial)
{
    for (unsigned i = 0; i < w->site_count; i++)
        if (w->sites[i].pool->id == id &&
            sh_pool_serial(w->sites[i].pool) == serial)
            return &w->sites[i];
    return NULL;
}

/* The record that waits with these arrivals, in which the bits of `arrived` are
 * not set yet. */
static enum who resolve_record(const struct sh_survey *site, uint32_t index,
                               uint32_t generation, uint32_t arrived,
                               struct dependant *out)
{
    uint64_t deps;

    if (index == SH_NONE || index >= site->used)
        return NOBODY;
    /* acquire: accepted */
    deps = sh_load_acq(&sh_record_at(site->pool, index)->deps);
    out->node = site->base + index;
    out->generation = generation;
    return (uint32_t)(deps >> 32) == generation && (deps & arrived) == 0
               ? RECORD
               : NOBODY;
}

/* The scope of which something is child number `number`. As long as it is, the
 * scope is there. */
static enum who resolve_scope(const struct sh_survey *site, uint32_t index,
                              uint32_t number, struct dependant *out)
{
    if (index == SH_NONE || index >= site->used)
        return NOBODY;
    out->node = site->base + index;
    out->input = number;
    /* acquire: accepted */
    out->generation =
        (uint32_t)(sh_load_acq(&sh_record_at(site->pool, index)->deps) >> 32);
    return RECORD;
}

/* Whom a target of site reaches. */
static enum who resolve(const struct sh_waits *w, const struct sh_survey *site,
                        uint64_t target, struct dependant *out)
{
    for (int i = 0; i < CELLS_MAX && site != NULL; i++) {
        uint32_t index = sh_target_index(target);
        unsigned bit = sh_target_bit(target);
        uint32_t root, generation, base;
        struct sh_cell *c;
        uint64_t up, word;
        unsigned kind, pool;

        out->input = bit;
        /* Who heeds a task does not wait for its end. */
        if (sh_is_heed(target))
            return NOBODY;
        if (sh_target_kind(target) == SH_TARGET_RECORD)
            return resolve_record(site, index, sh_target_generation(target),
                                  1u << bit, out);
        if (sh_target_kind(target) != SH_TARGET_CELL ||
            index >= site->pool->cells.capacity)
            return NOBODY;
        c = sh_cell_at(site->pool, index);
        kind = sh_load_acq(&c->kind);        /* acquire: cell */
        root = sh_load_acq(&c->link);        /* acquire: cell */
        generation = sh_load_acq(&c->chain); /* acquire: cell */
        base = sh_load_acq(&c->base);        /* acquire: cell */
        up = sh_load_acq(&c->up);            /* acquire: cell */
        pool = sh_load_acq(&c->pool);        /* acquire: cell */
        /* If it is of this use still, so is what was read. acquire: cell */
        word = sh_load_acq(&c->word);
        if ((uint32_t)(word >> 32) != sh_target_generation(target) ||
            (word >> bit & 1) != 0)
            return NOBODY;
        if (kind == SH_CELL_WAITER)
            return THREAD;
        out->input = base + bit;
        if (kind == SH_CELL_NODE)
            return resolve_record(site, root, generation, 0, out);
        if (kind == SH_CELL_CHILD)
            return resolve_scope(site, base, generation, out);
        if (kind != SH_CELL_BRIDGE) /* a function of the host is called */
            return NOBODY;
        site = find_site(w, pool, base);
        target = up;
    }
    return NOBODY;
}

static void note(struct sh_waits *w, uint32_t on, const struct dependant *d)
{
    struct sh_node *n = &w->nodes[d->node];

    if (n->pending == 0 || n->generation != d->generation) {
        n->generation = d->generation;
        n->pending = 0;
    }
    if (n->pending++ == 0 || d->input < n->input) {
        n->on = on;
        n->input = d->input;
    }
}

/* Look at the edges of one record, seen with word. */
static void gather_record(struct sh_waits *w, struct sh_survey *site,
                          uint32_t index, uint64_t word)
{
    struct sh_record *r = sh_record_at(site->pool, index);
    uint32_t most = edges_most(site), at = AT_FIRST;
    struct hanging edge;

    while (most-- > 0 && next_edge(site, r, &at, &edge)) {
        struct dependant d;
        enum who who = resolve(w, site, edge.target, &d);
        uint64_t now = sh_load_acq(&r->state); /* acquire: settled */

        /* Its edges are its own as long as it has not settled. */
        if (!is_pending(now) || sh_generation_of(now) != sh_generation_of(word))
            return;
        site->threads += who == THREAD;
        if (who == RECORD && w->nodes != NULL)
            note(w, site->base + index, &d);
    }
}

void sh_waits_gather(struct sh_waits *w)
{
    for (unsigned s = 0; s < w->site_count; s++) {
        struct sh_survey *site = &w->sites[s];

        for (uint32_t i = 1; i < site->used; i++) {
            /* acquire: settled */
            uint64_t word = sh_load_acq(&sh_record_at(site->pool, i)->state);

            if (is_pending(word))
                gather_record(w, site, i, word);
        }
    }
}

uint32_t sh_waits_on(const struct sh_waits *w, const struct sh_survey *site,
                     uint32_t index, uint32_t *input_out, uint32_t *pending_out)
{
    struct sh_record *r = sh_record_at(site->pool, index);
    const struct sh_node *n;
    uint32_t generation;

    if (w->nodes == NULL)
        return 0;
    n = &w->nodes[site->base + index];
    generation = (uint32_t)(sh_load_acq(&r->deps) >> 32); /* acquire: accepted
                                                           */
    *input_out = n->input;
    *pending_out = n->pending;
    return n->pending > 0 && n->generation == generation ? n->on : 0;
}

void sh_waits_count(const struct sh_waits *w, const struct sh_survey *site,
                    uint32_t index, uint32_t *futures_out,
                    uint32_t *threads_out)
{
    struct sh_record *r = sh_record_at(site->pool, index);
    uint32_t most = edges_most(site), at = AT_FIRST;
    struct hanging edge;

    *futures_out = *threads_out = 0;
    while (most-- > 0 && next_edge(site, r, &at, &edge)) {
        struct dependant d;
        enum who who = resolve(w, site, edge.target, &d);

        *futures_out += who == RECORD;
        *threads_out += who == THREAD;
    }
}

/* ---- circles ---- */

/* Whether an edge of record `on` leads to the wait of another; that one's
 * number, 0 if not. */
static uint32_t follow(const struct sh_waits *w, uint32_t on,
                       const struct hanging *edge)
{
    struct dependant d;
    uint64_t word;

    if (resolve(w, sh_waits_site(w, on), edge->target, &d) != RECORD)
        return 0;
    word = sh_load_acq(&record_of(w, d.node)->state); /* acquire: settled */
    return is_waiting(word) ? d.node : 0;
}

/* Whether that edge is still there, and leads there. */
static bool still_leads(const struct sh_waits *w, uint32_t on,
                        const struct hanging *edge, uint32_t node)
{
    const struct sh_survey *site = sh_waits_site(w, on);
    struct sh_record *r = record_of(w, on);
    _Atomic uint64_t *at = edge->hook == 0
                               ? &r->edge0
                               : &sh_edge_at(site->pool, edge->hook)->target;

    return sh_load_acq(at) == edge->target &&    /* acquire: hang */
           is_pending(sh_load_acq(&r->state)) && /* acquire: settled */
           follow(w, on, edge) == node;
}

/* A combinator may be decided by an input that is not of the circle. */
static bool may_end(const struct sh_waits *w, uint32_t node)
{
    unsigned kind = sh_load_rlx(&record_of(w, node)->kind); /* relaxed: for a
                                                             * remark */

    return kind >= SH_KIND_ALL && kind <= SH_KIND_SOME &&
           kind != SH_KIND_SETTLED && w->nodes[node].pending > 1;
}

/* Look at all edges of the circle once more, from the last that was found. */
static bool verify(const struct sh_waits *w, const struct hanging *last,
                   struct sh_cycle *cycle)
{
    struct hanging edge = *last;
    uint32_t node = cycle->first, on = cycle->next;

    cycle->length = 0;
    cycle->may_end = false;
    do {
        if (!still_leads(w, on, &edge, node))
            return false;
        cycle->length++;
        cycle->may_end |= may_end(w, node);
        node = on;
        edge = (struct hanging){ w->nodes[node].hook, w->nodes[node].target };
        on = w->nodes[node].parent;
    } while (node != cycle->first);
    return true;
}

static void enter(struct sh_node *n, uint32_t parent,
                  const struct hanging *edge)
{
    n->state = OPEN;
    n->parent = parent;
    n->hook = edge->hook;
    n->target = edge->target;
    n->at = AT_FIRST;
}

/* Search from a node on, in at most so many steps. */
static void search(struct sh_waits *w, uint32_t root, uint64_t *steps,
                   sh_cycle_found *found, void *to)
{
    uint32_t node = root;

    enter(&w->nodes[root], 0, &(struct hanging){ 0 });
    while (node != 0 && *steps > 0) {
        struct sh_node *n = &w->nodes[node];
        struct hanging edge;
        uint32_t next;

        --*steps;
        if (!next_edge(sh_waits_site(w, node), record_of(w, node), &n->at,
                       &edge)) {
            n->state = CLOSED;
            node = n->parent;
            continue;
        }
        next = follow(w, node, &edge);
        if (next != 0 && w->nodes[next].state == NEW) {
            enter(&w->nodes[next], node, &edge);
            node = next;
        } else if (next != 0 && w->nodes[next].state == OPEN) {
            struct sh_cycle cycle = { .first = next, .next = node };

            if (verify(w, &edge, &cycle))
                found(to, &cycle);
        }
    }
}

void sh_waits_cycles(struct sh_waits *w, const struct sh_survey *site,
                     sh_cycle_found *found, void *to)
{
    uint64_t steps = 2 * sh_waits_size(w);

    if (w->nodes == NULL)
        return;
    for (unsigned i = 0; i < w->site_count; i++)
        steps += 2 * (uint64_t)sh_table_used(&w->sites[i].pool->edges);
    for (uint32_t i = 1; i < site->used; i++) {
        struct sh_node *n = &w->nodes[site->base + i];

        /* What waits for nothing is in no circle. */
        if (n->state == NEW && n->pending > 0)
            search(w, site->base + i, &steps, found, to);
    }
}
