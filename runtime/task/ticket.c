/* SPDX-License-Identifier: MIT */
/*
 * task/ticket.c - tickets and their memory: see ticket.h.
 *
 * Edges.
 *   death    process/recover.c
 *   leave    leave: what one did with the input, take a bit out -> whoever finds
 *            that none is left: drops it
 *   parting  let go: say so in the post, then take a bit out || the last holder:
 *            see that it is alone, then read the posts; all seq_cst. And what
 *            one read there, take a bit out -> the last holder: frees it
 */
#include "task/ticket.h"

#include <string.h>

/* Beside the address of a ticket: a place. In a post also: it has died at that,
 * and is being repaired; who does that is the one to free it. */
#define PLACE ((uintptr_t)SH_TICKET_PLACES - 1)
#define MENDED ((uintptr_t)SH_TICKET_PLACES)
#define LAST ((uintptr_t)SH_TICKET_PLACES * 2)
/* In its sets. */
#define RETRY ((uint64_t)1)

/* That is named with a place and marks. */
static struct sh_ticket *ticket_in(uint64_t name)
{
    return (struct sh_ticket *)((uintptr_t)name &
                                ~(uintptr_t)(SH_TICKET_ALIGN - 1));
}

static uint64_t bit_in(uint64_t name)
{
    return (uint64_t)1 << (name & PLACE);
}

struct sh_ticket *sh_ticket_new(struct sh_pool *pool, const shunt_task *task,
                                const void *in)
{
    bool none = (task->shape_ & SHUNT_SHAPE_IN_NONE_) != 0;
    size_t align = task->in_align_ > 16 ? task->in_align_ : 16;
    size_t more = sizeof(struct sh_ticket) + SH_TICKET_ALIGN + align;
    struct sh_block *b;
    struct sh_ticket *t;
    uintptr_t at;

    if (task->in_size_ > PTRDIFF_MAX - more)
        return NULL;
    b = sh_block_new_scratch(&pool->heap, more + task->in_size_,
                             SH_BLOCK_VALUE);
    if (b == NULL)
        return NULL;
    at = (uintptr_t)sh_block_bytes(b);
    t = ticket_in(at + SH_TICKET_ALIGN - 1);
    memset(t, 0, sizeof *t);
    t->block = b;
    at = (uintptr_t)(t + 1);
    t->in = (void *)((at + align - 1) & ~(uintptr_t)(align - 1));
    if (!none)
        memcpy(t->in, in, task->in_size_);
    return t;
}

/* The places that are free: neither held, nor let go of just now by who may die
 * at that, and be repaired. */
static uint64_t places_of(struct sh_pool *pool, struct sh_ticket *t)
{
    /* acquire: parting. Who sees that one is out sees its post as well. */
    uint64_t places = ~sh_load_acq(&t->holders) & ~RETRY;
    unsigned posts = pool->shared ? sh_pool_active(pool) : 0;

    for (unsigned i = 0; i < posts; i = sh_pool_next(pool, i)) {
        uint64_t at = sh_load_sc(&pool->posts[i].ticket); /* seq_cst: parting */

        if (ticket_in(at) == t)
            places &= ~bit_in(at);
    }
    return places;
}

bool sh_ticket_has_place(struct sh_pool *pool, struct sh_ticket *t)
{
    return places_of(pool, t) != 0;
}

static void take_place(struct sh_ticket *t, struct sh_record *r, unsigned place)
{
    _Atomic uintptr_t *word = sh_record_in(r);

    /* First, so that who takes the record back takes it out again.
     * release: death */
    sh_store_rel(word, (uintptr_t)t | place);
    /* relaxed: who adds one has one, or is the first */
    sh_or_rlx(&t->holders, (uint64_t)1 << place);
    sh_or_rlx(&t->users, (uint64_t)1 << place); /* relaxed: likewise */
}

void sh_ticket_hold(struct sh_ticket *t, struct sh_record *r)
{
    take_place(t, r, 0);
    sh_block_keep(t->block);
}

void sh_ticket_hold_more(struct sh_pool *pool, struct sh_ticket *t,
                         struct sh_record *r)
{
    uint64_t places = places_of(pool, t);

    SH_ASSERT(places != 0);
    take_place(t, r, (unsigned)__builtin_ctzll(places));
}

bool sh_ticket_leave(struct sh_record *r)
{
    _Atomic uintptr_t *word = sh_record_in(r);
    uint64_t name = sh_load_rlx(word), bit = bit_in(name); /* relaxed: ours */

    /* acq_rel: leave */
    return (sh_and_acqrel(&ticket_in(name)->users, ~bit) & ~bit) == 0;
}

/* All of it is scratch before it is freed, so that a death in between takes it
 * along. */
static void scrap(struct sh_ticket *t)
{
    for (uint32_t i = 0; i < SH_FAILURES && !t->concluded; i++)
        if (t->failure[i] != NULL)
            sh_block_scrap(t->failure[i]);
    if (t->end != NULL && !t->concluded)
        sh_block_scrap(t->end);
    sh_block_scrap(t->block);
}

void sh_ticket_free(struct sh_ticket *t)
{
    for (uint32_t i = 0; i < SH_FAILURES && !t->concluded; i++)
        if (t->failure[i] != NULL)
            sh_block_free(t->failure[i]);
    if (t->end != NULL && !t->concluded)
        sh_block_free(t->end);
    sh_block_free(t->block);
}

/* -- letting go -- */

/* Who is the last holder: all others are out of the set, and if a post says
 * that one is at it yet, that is as good as done. But if that one has died, and
 * is just being repaired, it is left to who does that: false then. */
static bool end_others(struct sh_pool *pool, struct sh_ticket *t,
                       const struct sh_post *ours)
{
    unsigned posts = pool->shared ? sh_pool_active(pool) : 0;
    struct sh_post *mended = NULL;
    uint64_t at, name = 0;

    for (unsigned i = 0; i < posts; i = sh_pool_next(pool, i)) {
        struct sh_post *post = &pool->posts[i];

        at = sh_load_sc(&post->ticket); /* seq_cst: parting */
        if (post == ours || ticket_in(at) != t)
            continue;
        if ((at & MENDED) == 0 &&
            sh_cas_sc(&post->ticket, &at, 0)) /* seq_cst: parting */
            continue;
        if (ticket_in(at) == t) {
            mended = post;
            name = at;
        }
    }
    return mended == NULL ||
           !sh_cas_sc(&mended->ticket, &name, name | LAST); /* seq_cst: parting */
}

/* Nobody holds it but who calls this, or died at it. */
static void free_last(struct sh_pool *pool, struct sh_ticket *t,
                      struct sh_post *post)
{
    if (!end_others(pool, t, post)) {
        if (post != NULL)
            sh_store_sc(&post->ticket, 0); /* seq_cst: parting */
        return;
    }
    scrap(t);
    if (post != NULL)
        sh_store_sc(&post->ticket, 0); /* seq_cst: parting */
    sh_ticket_free(t);
}

/* Out of both sets: false if that place is the last to be held, and stays. */
static bool take_out(struct sh_ticket *t, uint64_t bit)
{
    uint64_t w;

    /* If it was never accepted, it has not left. acq_rel: leave */
    sh_and_acqrel(&t->users, ~bit);
    w = sh_load_sc(&t->holders); /* seq_cst: parting */
    do {
        if ((w & ~bit) == 0)
            return false;
    } while (!sh_cas_sc(&t->holders, &w, w & ~bit)); /* seq_cst: parting */
    return true;
}

/* Of an attempt whose maker has died there may be no room for its data yet, or
 * none any more. */
static bool has_room(const struct sh_record *r)
{
    return (r->out_at & SH_OUT_IN_BLOCK) == 0 || r->data.block != NULL;
}

void sh_ticket_let_go(struct sh_pool *pool, struct sh_record *r)
{
    struct sh_post *post = sh_post_here(pool);
    struct sh_ticket *t = has_room(r) ? sh_ticket_of(r) : NULL;
    _Atomic uintptr_t *word;
    uint64_t name;

    if (t == NULL)
        return;
    word = sh_record_in(r);
    name = sh_load_rlx(word); /* relaxed: ours */
    if (post != NULL)
        sh_store_sc(&post->ticket, name); /* seq_cst: parting */
    sh_store_rel(word, 0);                /* release: death */
    if (!take_out(t, bit_in(name)))
        free_last(pool, t, post);
    else if (post != NULL)
        (void)sh_cas_sc(&post->ticket, &name, 0); /* seq_cst: parting */
}

void sh_ticket_mend(struct sh_pool *pool, struct sh_post *post)
{
    uint64_t at = sh_load_sc(&post->ticket); /* seq_cst: parting */
    struct sh_ticket *t = ticket_in(at);

    /* From then on nobody else frees it. */
    if (at == 0 ||
        !sh_cas_sc(&post->ticket, &at, at | MENDED)) /* seq_cst: parting */
        return;
    at |= MENDED;
    if (!take_out(t, bit_in(at)) ||
        !sh_cas_sc(&post->ticket, &at, 0)) /* seq_cst: parting */
        free_last(pool, t, post);
}

/* Linked before it is kept, and made scratch again before it is linked no more:
 * so that a death leaves what is found, or takes it along. */
void sh_ticket_put(struct sh_block **place, struct sh_block *b)
{
    struct sh_block *old = *place;

    if (old != NULL)
        sh_block_scrap(old);
    sh_store_bare_rel(place, b); /* release: death */
    if (b != NULL)
        sh_block_keep(b);
    if (old != NULL)
        sh_block_free(old);
}

struct sh_block *sh_ticket_failure(struct sh_ticket *t, uint32_t n)
{
    struct sh_block *b = *sh_ticket_error(t, n);
    const shunt_error *e = b != NULL ? sh_block_bytes(b) : NULL;

    return e != NULL && e->attempts == n ? b : NULL;
}

uint32_t sh_ticket_failures(struct sh_ticket *t,
                            const shunt_error *errors_out[SH_FAILURES])
{
    uint32_t last = sh_load_rlx(&t->made); /* relaxed: only the caller, who owns
                                            * the record, writes it */
    uint32_t n = last > SH_FAILURES ? last - SH_FAILURES : 0, count = 0;

    while (n++ < last)
        if (sh_ticket_failure(t, n) != NULL)
            errors_out[count++] = sh_block_bytes(sh_ticket_failure(t, n));
    return count;
}

void sh_ticket_keep(struct sh_ticket *t)
{
    for (uint32_t i = 0; i < SH_FAILURES && !t->concluded; i++)
        if (t->failure[i] != NULL)
            sh_block_keep(t->failure[i]);
    if (t->end != NULL && !t->concluded)
        sh_block_keep(t->end);
}
