/* SPDX-License-Identifier: MIT */
/*
 * future/submit.h - the parts of a submit that others share: maps set up many
 * records of tasks, retries and scopes submit one in their own way.
 */
#ifndef SH_FUTURE_SUBMIT_H
#define SH_FUTURE_SUBMIT_H

#include "future/timer.h"
#include "task/ticket.h"

/* Set up a record in INIT, seen with word: its data, a copy of in (or, of an
 * attempt, the ticket that in is), and its timer if it has a deadline. False:
 * no memory, and nothing was kept. It may be bound already, to a scope. */
static inline bool sh_task_set_up(struct sh_pool *pool, struct sh_record *r,
                                  uint64_t word, const void *in,
                                  int64_t deadline_ns, unsigned retries)
{
    const shunt_task *task = r->task;
    unsigned kind = sh_load_rlx(&r->kind); /* relaxed: ours in INIT */

    if (SH_UNLIKELY(deadline_ns != INT64_MAX)) {
        if (!sh_is_bound(r))
            (void)sh_record_bind(r);
        sh_bound_of(r)->deadline_ns = deadline_ns;
    }
    sh_record_bind_retries(pool, r, retries);
    if (SH_UNLIKELY(!sh_record_make_data(pool, r)))
        return false;
    if (SH_UNLIKELY(kind == SH_KIND_TRY))
        sh_ticket_hold_more(pool, (struct sh_ticket *)(uintptr_t)in, r);
    else if ((task->shape_ & SHUNT_SHAPE_IN_NONE_) == 0)
        sh_copy(sh_record_in(r), in, task->in_size_);
    if (SH_LIKELY(deadline_ns == INT64_MAX) || sh_bound_set(pool, r, word))
        return true;
    sh_record_free_data(pool, r);
    return false;
}

/* 0, or why this task cannot be submitted at all. */
int sh_submit_check(const struct sh_pool *pool, const shunt_task *task,
                    const void *in);

/* The future of a submit that the pool does not accept, which is counted. */
shunt_future *sh_submit_refuse(struct sh_pool *pool, int rc);

/* Submit one more attempt of a retry, a user of its ticket: 0, or SHUNT_E*;
 * SHUNT_EAGAIN, too, if there is no place for it. Its handle, which is lent, is
 * written to *ref_out in either case. */
int sh_submit_attempt(struct sh_pool *pool, struct sh_record *retry,
                      int64_t deadline_ns, struct sh_ref *ref_out);

/* Submit a task of the library's own, which finds more of what it needs in
 * block: new scratch, or NULL, which goes with the task's record, or at once if
 * it is refused. */
shunt_future *sh_submit_own(struct sh_pool *pool, const shunt_task *task,
                            const void *in, struct sh_block *block,
                            const char *where);

struct sh_child; /* future/scope.h */

/* Submit a task as a child of a scope, which the caller is in: 0, or why it
 * was not accepted. */
int sh_submit_child(struct sh_pool *pool, const shunt_task *task,
                    const void *in, const char *where, int64_t deadline_ns,
                    struct sh_child *child, uint64_t *handle_out);

#endif /* SH_FUTURE_SUBMIT_H */
