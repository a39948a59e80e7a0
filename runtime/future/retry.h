/* SPDX-License-Identifier: MIT */
/* future/retry.h - what others do with a retry, retry.c, and its attempts,
 * attempt.c. */
#ifndef SH_FUTURE_RETRY_H
#define SH_FUTURE_RETRY_H

#include "future/settle.h"
#include "task/data.h"
#include "task/ticket.h"

/* Submit the next attempt of a retry: 0, or SHUNT_E*. Its handle, which is
 * lent, is written to *ref_out in either case. */
int sh_retry_attempt(struct sh_pool *pool, struct sh_record *r,
                     struct sh_ref *ref_out);

/* A worker has claimed the record of a retry, seen with word: see how what it
 * waited for has ended, and go on. */
void sh_retry_turn(struct sh_pool *pool, struct sh_record *r, uint64_t word);

/* A worker has claimed an attempt. True if its retry was asked to cancel, or
 * has settled: then the attempt has settled, too, and shall not start. */
bool sh_retry_withdraw(struct sh_pool *pool, struct sh_record *r);

/* A retry is in SETTLING with outcome: give it its error, let no timer wake
 * it. */
void sh_retry_conclude(struct sh_pool *pool, struct sh_record *r,
                       unsigned outcome);

/* The code of an attempt does not run any more, or a retry starts no more of
 * them. Whoever is last drops the input. */
void sh_retry_leave(struct sh_work *work, struct sh_pool *pool,
                    struct sh_record *r);

/* The process with that owner has died, and a record of a retry was seen with
 * word: if it was the one to drop the input, it has, or it never will be. */
void sh_retry_mend(struct sh_work *work, struct sh_pool *pool,
                   struct sh_record *r, uint64_t word, unsigned owner);

/* A worker's process has died in a turn of the record of a retry, seen with
 * word, or before or after one: if that was settled meanwhile, and is in no
 * other's turn, nobody else leaves its ticket. */
void sh_retry_turned(struct sh_work *work, struct sh_pool *pool,
                     struct sh_record *r, uint64_t word, unsigned worker);

/* The pool of a retry goes, and nothing runs in it: see that its input was
 * dropped. */
void sh_retry_wreck(struct sh_pool *pool, struct sh_record *r);

/* How often a record that runs has started its task: of a retry, with what it
 * waits for. */
static inline unsigned sh_attempts_of(struct sh_record *r)
{
    uint64_t input = sh_load_rlx(&r->input); /* relaxed: a name */
    struct sh_ticket *t;
    struct sh_ref ref;

    /* relaxed: set before it was accepted */
    if (sh_load_rlx(&r->kind) != SH_KIND_RETRY)
        return 1;
    t = sh_ticket_of(r);
    if (input == 0 || sh_handle_find(input, SH_LOOK, &ref) != 0)
        return sh_load_rlx(&t->ended); /* relaxed: who asks owns the record, or
                                        * tells of what is going on */
    return sh_load_rlx(&t->made);      /* relaxed: likewise */
}

/* What is ours is so since its process died: if it is a retry, its errors stay.
 */
static inline void sh_retry_keep(struct sh_record *r)
{
    /* relaxed: ours */
    if (sh_load_rlx(&r->kind) == SH_KIND_RETRY &&
        sh_phase_of(sh_load_rlx(&r->state)) < SH_COMPLETE) /* relaxed: ours */
        sh_ticket_keep(sh_ticket_of(r));
}

/* Nobody runs with the input of a record any more. */
static inline void sh_input_drop(struct sh_work *work, struct sh_pool *pool,
                                 struct sh_record *r, unsigned kind)
{
    if (kind == SH_KIND_TRY || kind == SH_KIND_RETRY)
        sh_retry_leave(work, pool, r);
    else
        sh_record_drop_in(pool, r, kind);
}

#endif /* SH_FUTURE_RETRY_H */
