/* SPDX-License-Identifier: MIT */
/*
 * ticket_client.h - settle_client.h with the ticket of a retry, which is in a
 * block that nobody allocates.
 *
 * Record 1 is the retry, 2 and 3 are attempts. The input, and what else is in
 * the ticket's memory, is `value`.
 */
#ifndef SH_MODEL_TICKET_CLIENT_H
#define SH_MODEL_TICKET_CLIENT_H

#include "settle_client.h"

static struct sh_ticket *the_ticket; /* that there is */
static struct sh_block block;

struct sh_block *sh_block_new_scratch(struct sh_heap *h, size_t size,
                                      enum sh_block_kind kind)
{
    (void)h, (void)size, (void)kind;
    assert(false);
    return NULL;
}

void sh_block_keep(struct sh_block *b)
{
    assert(b == &block);
}

void sh_block_scrap(struct sh_block *b)
{
    assert(b == &block);
}

void sh_block_free(struct sh_block *b)
{
    assert(b == &block);
    free_value();
    *(uint64_t *)(void *)&the_ticket->users = 0; /* plain: nobody looks there */
}

#ifdef POSTS
/* That many threads, from 1, are worker processes, but for the first one if it
 * is dead; the others are the host's. */
#ifdef DEAD
#define FIRST 2
#else
#define FIRST 1
#endif
#define sh_post_here(pool) \
    (pthread_self() >= FIRST && pthread_self() <= POSTS \
         ? &many_posts[pthread_self() - 1] \
         : NULL)
static struct sh_post many_posts[POSTS];
#endif
#include "../../runtime/task/ticket.c"

static struct sh_ticket ticket;

/* Record i holds the ticket. */
static void make_holder(uint32_t i, uint64_t phase_and_flags, unsigned kind)
{
    struct sh_record *r = make_record(i, phase_and_flags, kind);

    the_ticket = &ticket;
    ticket.block = &block;
    ticket.retry = 1;
    ticket.in = &value;
    take_place(&ticket, r, i - 1);
}

#endif /* SH_MODEL_TICKET_CLIENT_H */
