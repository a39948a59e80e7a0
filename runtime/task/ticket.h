/* SPDX-License-Identifier: MIT */
/*
 * task/ticket.h - what the attempts of a retry share: one copy of the input,
 * and what is known of those that failed.
 *
 *     record of the retry ----+
 *     record of attempt 4 ----+--> ticket | in        users    holders
 *     record of attempt 2 ----+                       may run  name it
 *
 * Idea. Attempts come one after another, but one that was given up at its
 * deadline runs on beside those that follow, and reads the same input. So the
 * input is dropped by whoever is the last that may still run with it (users),
 * and freed by the last record that names it (holders), since a task's memory,
 * its input included, outlives what it submitted and what reads its value.
 *
 * Edges.
 *   leave    ticket.c
 *
 * What a turn of the retry says here it says so that another, to which it is
 * all that is known, comes to the same: the number of an attempt is written
 * before the attempt is named, and that it has ended before it is not named any
 * more; and a failure has its place by its number.
 *
 * Crash. Errors are linked here first, and kept then: if that was not done,
 * recovery does it. A death between the mark and the count leaves the count too high: the
 * input is dropped when the pool is freed, and stays until then. Both counts
 * repeat what the records of kind TRY and RETRY say, as hold of a record does;
 * recovery does not count them anew yet.
 */
#ifndef SH_TASK_TICKET_H
#define SH_TASK_TICKET_H

#include "task/data.h"

/* How many failures a retry remembers. */
#define SH_FAILURES 8u

struct sh_ticket {
    _Atomic uint32_t users;   /* the retry, until it settles, and each attempt
                               * whose code may run */
    _Atomic uint32_t holders; /* records */
    _Atomic uint32_t made;    /* the number of the attempt that the retry waits
                               * for, if it names one */
    _Atomic uint32_t ended;   /* attempts that it has looked at, and names no
                               * more, or is about to */
    _Atomic uint32_t
        dropped;    /* the input was given to .drop, or is about to be */
    uint32_t retry; /* the index of its record */
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

/* A ticket with a copy of in, of one user and no holder; NULL if there is no
 * memory. */
struct sh_ticket *sh_ticket_new(struct sh_pool *pool, const shunt_task *task,
                                const void *in);

/* From now on a record, whose data has room for it, holds the ticket. */
void sh_ticket_hold(struct sh_ticket *t, struct sh_record *r);

/* A record no longer does; the last one frees it. */
void sh_ticket_let_go(struct sh_ticket *t);

/* Nobody has held it yet: free it. */
void sh_ticket_free(struct sh_ticket *t);

/* Put an error, or NULL, into one of the ticket's places, whose former one is
 * freed. By who owns the record of the retry. */
void sh_ticket_put(struct sh_block **place, struct sh_block *b);

/* Where the error of attempt number n goes. */
static inline struct sh_block **sh_ticket_place(struct sh_ticket *t, uint32_t n)
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

/* In the word that names a record's ticket: it is no user of it any more. */
#define SH_TICKET_LEFT ((uintptr_t)1)

/* The ticket of an attempt, or of a retry. */
static inline struct sh_ticket *sh_ticket_of(struct sh_record *r)
{
    _Atomic uintptr_t *word = sh_record_in(r);

    /* relaxed: the ticket is as it was before the record was accepted */
    return (struct sh_ticket *)(sh_load_rlx(word) & ~SH_TICKET_LEFT);
}

/* The record, which is ours, is to be a user no more: false if it is none. Who
 * repeats a step that was cut short by a death does not lower the count twice.
 */
static inline bool sh_ticket_leave(struct sh_record *r)
{
    _Atomic uintptr_t *word = sh_record_in(r);
    uintptr_t was = sh_load_rlx(word); /* relaxed: ours to write */

    sh_store_rlx(word, was | SH_TICKET_LEFT); /* relaxed: others look at the
                                               * ticket alone */
    return (was & SH_TICKET_LEFT) == 0;
}

#endif /* SH_TASK_TICKET_H */
