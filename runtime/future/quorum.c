/* SPDX-License-Identifier: MIT */
/*
 * future/quorum.c - of some: how many inputs have succeeded, and how many
 * failed.
 *
 *     n <= 14     record: deps  [.. bad good | bad good]    two bits an input
 *     n > 14      leaf [..] -> leaf [..] -> ...             14 inputs each
 *                   \__________/________ up: good to go, bad to go
 *
 * Idea. An arrival sets one of the two bits of its input, unless one of them is
 * set. So the bits say all, each input counts once, and whoever brings one
 * decides by what the word then says. If there are leaves to be looked through,
 * that would be too much at each arrival. So two cells say how many successes
 * and failures are still to come until there is a verdict. These are hints: who
 * has set a bit counts down a step later, and if he dies in between they stay
 * too high, by one for each death, but are never too low. Therefore who has
 * counted down to no more than the deaths of the pool since then counts the
 * bits; and so does who finds his bit set, as who repeats what a death cut
 * short.
 *
 * Edges.
 *   arrive   future/edge.c
 *   cell     future/combine.c
 *   fewer    arrive: set a bit, then read the deaths || recovery: count the
 *            death, then read the bits; all seq_cst: one sees the other
 *
 * Crash. As above. Who dies at this was settling an input, and that is done
 * again (process/recover.c); tests/model/recovery_some.pml.
 */
#include "future/combine.h"

/* The cells behind those of the leaves. */
enum {
    GOOD,
    BAD,
    COUNTERS
};

static uint32_t leaves_of(uint32_t n)
{
    return (n + SH_QUORUM_FANOUT - 1) / SH_QUORUM_FANOUT;
}

uint32_t sh_quorum_cells(uint32_t n)
{
    return n <= SH_QUORUM_FANOUT ? 0 : leaves_of(n) + COUNTERS;
}

/* Which leaf comes behind one: in two fields that no leaf has a use for. */
static void link_leaf(struct sh_cell *leaf, uint32_t next)
{
    sh_store_rel(&leaf->pool, (uint16_t)next);        /* release: cell */
    sh_store_rel(&leaf->need, (uint8_t)(next >> 16)); /* release: cell */
}

static uint32_t next_leaf(struct sh_cell *leaf)
{
    uint32_t low = sh_load_acq(&leaf->pool); /* acquire: cell */

    return low | (uint32_t)sh_load_acq(&leaf->need) << 16; /* acquire: cell */
}

void sh_quorum_build(struct sh_pool *pool, struct sh_record *r,
                     struct sh_combine *c, uint32_t quorum)
{
    uint32_t leaves = c->cells == 0 ? 0 : c->cells - COUNTERS;
    uint32_t deaths = sh_load_sc(&pool->deaths); /* seq_cst: fewer */
    uint64_t good, bad, first;

    sh_store_rel(&r->data.combining.count, c->n);    /* release: cell */
    sh_store_rel(&r->data.combining.quorum, quorum); /* release: cell */
    if (c->cells == 0)
        return;
    first = sh_combine_cell(pool, c, 0, 0);
    good = sh_combine_cell(pool, c, leaves + GOOD, 0);
    bad = sh_combine_cell(pool, c, leaves + BAD, 0);
    for (uint32_t i = 0; i < leaves; i++) {
        sh_combine_build(pool, r, c, i, good, i * SH_QUORUM_FANOUT, 0);
        link_leaf(sh_cell_at(pool, c->cell[i]),
                  i + 1 < leaves ? c->cell[i + 1] : SH_NONE);
    }
    for (uint32_t i = GOOD; i < COUNTERS; i++) {
        struct sh_cell *cell = sh_cell_at(pool, c->cell[leaves + i]);
        uint32_t left = i == GOOD ? quorum : c->n - quorum + 1;

        sh_combine_build(pool, r, c, leaves + i, i == GOOD ? bad : first,
                         deaths, 0);
        /* relaxed: nobody counts before a leaf is reached */
        sh_store_rlx(&cell->word, sh_load_rlx(&cell->word) | left);
    }
}

/* Set the arrival of an input. word_out gets the word as it then is. */
static enum sh_arrived set(const struct sh_tally *t, bool good,
                           uint64_t *word_out)
{
    uint64_t old = sh_load_acq(t->leaf); /* acquire: arrive */
    uint64_t with;

    SH_ASSERT(t->bit < SH_QUORUM_FANOUT);
    do {
        if ((uint32_t)(old >> 32) != t->generation)
            return SH_ARRIVED_STALE;
        with = old;
        if ((old >> 2 * t->bit & 3) != 0)
            break;
        with |= (uint64_t)(good ? 1 : 2) << 2 * t->bit;
    } while (!sh_cas_sc(t->leaf, &old, with)); /* seq_cst: arrive, fewer */
    *word_out = with;
    return with == old ? SH_ARRIVED_AGAIN : SH_ARRIVED_NEW;
}

/* Successes and failures, and how many there must be. */
struct count {
    uint32_t good, bad, n, quorum;
};

/* How many of every other bit are set. */
static uint32_t sum(uint32_t bits)
{
    bits &= 0x5555555;
    bits = (bits & 0x33333333) + (bits >> 2 & 0x33333333);
    bits = (bits + (bits >> 4)) & 0x0f0f0f0f;
    return bits * 0x01010101 >> 24;
}

static void add(struct count *c, uint64_t word)
{
    c->good += sum((uint32_t)word);
    c->bad += sum((uint32_t)word >> 1);
}

static enum sh_verdict verdict_of(const struct count *c)
{
    if (c->good >= c->quorum)
        return SH_VERDICT_WIN;
    return c->bad > c->n - c->quorum ? SH_VERDICT_SHORT : SH_VERDICT_NONE;
}

/* One more has arrived: whether the bits may say that it was the last. *first
 * gets the first leaf. */
static bool is_near(struct sh_pool *pool, const struct sh_tally *t, bool good,
                    bool counts, uint32_t *first)
{
    struct sh_cell *g = sh_cell_at(pool, sh_target_index(t->up));
    uint64_t up = sh_load_acq(&g->up); /* acquire: cell */
    struct sh_cell *b = sh_cell_at(pool, sh_target_index(up));
    struct sh_cell *c = good ? g : b;
    uint32_t generation = sh_target_generation(good ? t->up : up);
    uint32_t deaths;
    uint64_t old;

    /* If it is of this use still, so is what was read. acquire: cell */
    if ((uint32_t)(sh_load_acq(&g->word) >> 32) != sh_target_generation(t->up))
        return false;
    *first = sh_target_index(sh_load_acq(&b->up)); /* acquire: cell */
    deaths = sh_load_acq(&c->base);                /* acquire: cell */
    old = sh_load_rlx(&c->word);                   /* relaxed: the CAS validates
                                                    * it */
    do {
        if ((uint32_t)(old >> 32) != generation)
            return false;
        if (!counts)
            return true;
        if ((uint32_t)old == 0)
            return false;
    } while (!sh_cas_acqrel(&c->word, &old, old - 1)); /* acq_rel: arrive */
    /* seq_cst: fewer */
    return (uint32_t)old - 1 <= sh_load_sc(&pool->deaths) - deaths;
}

/* By the bits of all leaves. Should they be of another use by now, then nobody
 * waits for the verdict any more. */
static void count_leaves(struct sh_pool *pool, const struct sh_tally *t,
                         uint32_t index, struct count *count)
{
    uint32_t left = leaves_of(count->n);

    while (left-- > 0 && index < pool->cells.capacity) {
        struct sh_cell *c = sh_cell_at(pool, index);

        /* acquire: cell */
        if (sh_load_acq(&c->link) != t->root ||
            sh_load_acq(&c->chain) != t->root_generation)
            return;
        add(count, sh_load_sc(&c->word)); /* seq_cst: fewer */
        index = next_leaf(c);
    }
}

enum sh_verdict sh_quorum_arrive(struct sh_pool *pool, const struct sh_tally *t,
                                 bool good)
{
    struct sh_record *r = sh_record_at(pool, t->root);
    struct count count = {
        .n = sh_load_acq(&r->data.combining.count),      /* acquire: cell */
        .quorum = sh_load_acq(&r->data.combining.quorum) /* acquire: cell */
    };
    uint32_t first = SH_NONE;
    uint64_t word;
    enum sh_arrived how = set(t, good, &word);

    if (how == SH_ARRIVED_STALE)
        return SH_VERDICT_NONE;
    if (t->up == 0)
        add(&count, word);
    else if (is_near(pool, t, good, how == SH_ARRIVED_NEW, &first))
        count_leaves(pool, t, first, &count);
    else
        return SH_VERDICT_NONE;
    return verdict_of(&count);
}
