/* SPDX-License-Identifier: MIT */
/*
 * task/ticket.h - what the attempts of a retry share: one copy of the input,
 * and what is known of those that failed.
 *
 *     record of the retry ----+                       0 1 2 ...
 *     record of attempt 4 ----+--> ticket | in        users    holders
 *     record of attempt 2 ----+                       may run  name it
 *
 * Idea. Attempts come one after another, but one that was given up at its
 * deadline runs on beside those that follow, and reads the same input. So the
 * input is dropped by whoever is the last that may still run with it (users),
 * and freed by the last record that names it (holders), since a task's memory,
 * its input included, outlives what it submitted and what reads its value.
 *
 * Both are sets, in which the retry has place 0 and each attempt one that was
 * free: so to leave can be done again, which a count that was lowered could
 * not. The last user claims to drop by a word of its own. The last holder stays
 * in the set, and frees what tells whether another that has died had left it.
 * So who lets go says first, in its post, that it is at it, and in which place,
 * which nobody else takes as long as that is said; and before the last one
 * frees, it takes that back for all who said so, since they are out. Only what
 * is being repaired at that moment is left to who does that.
 *
 * Edges.
 *   leave    ticket.c
 *   parting  ticket.c
 *
 * What a turn of the retry says here it says so that another, to which it is
 * all that is known, comes to the same: the number of an attempt is written
 * before the attempt is named, and that it has ended before it is not named any
 * more; and a failure has its place by its number.
 *
 * Crash. Errors are linked here first, and kept then: if that was not done,
 * recovery does it. Whoever ends an attempt in the place of a dead process
 * takes it out of both sets, as that would have. What that one had claimed to
 * drop it has dropped, or never will; what its post says that it was at is gone
 * on with (sh_ticket_mend).
 */
#ifndef SH_TASK_TICKET_H
#define SH_TASK_TICKET_H

#include "task/data.h"

/* How many failures a retry remembers. */
#define SH_FAILURES 8u

/* The places of a ticket: of the retry, and of its attempts whose records are
 * still there. What names a ticket has a place beside its address, and two
 * marks. */
#define SH_TICKET_PLACES 64u
#define SH_TICKET_ALIGN 256u

struct sh_ticket {
    _Alignas(SH_TICKET_ALIGN) _Atomic uint64_t
        users;                /* the retry, until it settles, and each attempt
                               * whose code may run */
    _Atomic uint64_t holders; /* records */
    _Atomic uint32_t made;    /* the number of the attempt that the retry waits
                               * for, if it names one */
    _Atomic uint32_t ended;   /* attempts that it has looked at, and names no
                               * more, or is about to */
    _Atomic uint32_t dropped; /* 0, or the owner who has given the input to
                               * .drop, or is about to */
    uint32_t retry;           /* the index of its record */
    struct sh_block *block;   /* that it is in */
    void *in;

    /* What follows is of whoever owns the record of the retry. */
    shunt_retry_options options; /* defaults filled in */
    bool pauses;                 /* it waits for a moment, not an attempt */
    bool concluded;              /* what follows is the record's by now */
    /* Errors: of attempt n in place (n - 1) % SH_FAILURES, NULL if there is
     * none. One that was made long before is another's. */
    struct sh_block *failure[SH_FAILURES];
    struct sh_block *end; /* the error that it is about to settle with */
};

/* A ticket with a copy of in, which nobody holds yet; NULL if there is no
 * memory. It goes with the process until the retry holds it. */
struct sh_ticket *sh_ticket_new(struct sh_pool *pool, const shunt_task *task,
                                const void *in);

/* Whether there is a place for one more attempt. By who owns the record of the
 * retry, who alone takes one. */
bool sh_ticket_has_place(struct sh_pool *pool, struct sh_ticket *t);

/* From now on a record, whose data has room for it, holds the ticket, and is a
 * user of it: the retry, which comes first; or an attempt, for which there is a
 * place. */
void sh_ticket_hold(struct sh_ticket *t, struct sh_record *r);
void sh_ticket_hold_more(struct sh_pool *pool, struct sh_ticket *t,
                         struct sh_record *r);

/* The record, which is ours, is a user no more: true if nobody is now. */
bool sh_ticket_leave(struct sh_record *r);

/* A record no longer holds its ticket, if it does; the last one frees it. */
void sh_ticket_let_go(struct sh_pool *pool, struct sh_record *r);

/* A worker, whose post that is, has died: go on with what it was at. */
void sh_ticket_mend(struct sh_pool *pool, struct sh_post *post);

/* Nobody holds it: free it. */
void sh_ticket_free(struct sh_ticket *t);

/* Put an error, or NULL, into one of the ticket's places, whose former one is
 * freed. By who owns the record of the retry. */
void sh_ticket_put(struct sh_block **place, struct sh_block *b);

/* Where the error of attempt number n goes. */
static inline struct sh_block **sh_ticket_error(struct sh_ticket *t, uint32_t n)
{
    return &t->failure[(n - 1) % SH_FAILURES];
}

/* Why that attempt failed, NULL if it is not remembered; and the same of the
 * last attempts, the oldest first: how many. */
struct sh_block *sh_ticket_failure(struct sh_ticket *t, uint32_t n);
uint32_t sh_ticket_failures(struct sh_ticket *t,
                            const shunt_error *errors_out[SH_FAILURES]);

/* Who was at the retry has died: the errors that it has linked stay. */
void sh_ticket_keep(struct sh_ticket *t);

/* The ticket of an attempt, or of a retry; NULL before it holds one. */
static inline struct sh_ticket *sh_ticket_of(struct sh_record *r)
{
    _Atomic uintptr_t *word = sh_record_in(r);

    /* relaxed: the ticket is as it was before the record was accepted */
    return (struct sh_ticket *)(sh_load_rlx(word) &
                                ~(uintptr_t)(SH_TICKET_ALIGN - 1));
}

#endif /* SH_TASK_TICKET_H */
