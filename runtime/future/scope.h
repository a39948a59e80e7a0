/* SPDX-License-Identifier: MIT */
/*
 * future/scope.h - tasks that are waited for, or cancelled, together. See
 * scope.c and child.c; what became of them: results.c; waiting for them:
 * worker/close.c.
 *
 * What users hold of a scope is its name: the handle of its record with the
 * scope bit, good as long as the record is KEPT. The record itself has no
 * handle: it is GONE from the start.
 */
#ifndef SH_FUTURE_SCOPE_H
#define SH_FUTURE_SCOPE_H

#include "future/settle.h"
#include "shunt/scope.h"

/* As for promises: no user holds a lent handle of a scope. */
#define SH_SCOPE_BIT SH_HANDLE_LENT

/* The hold of a scope's record: who is in it, and how it stands with it. In
 * it are children that have not settled, and calls that look at children. */
#define SH_SCOPE_COUNT ((uint64_t)0xffffff)
#define SH_SCOPE_CLOSING ((uint64_t)1 << 24)   /* it ends when nobody is in */
#define SH_SCOPE_CLOSER ((uint64_t)1 << 25)    /* somebody sees to that */
#define SH_SCOPE_CANCELLED ((uint64_t)1 << 26) /* no child comes in now */
#define SH_SCOPE_KEEPS_GOING ((uint64_t)1 << 27)
#define SH_SCOPE_FORGETS ((uint64_t)1 << 28)
/* It was cancelled, and a task that is no child any more, or never was, did not
 * run for that. */
#define SH_SCOPE_LOST ((uint64_t)1 << 29)

/* How many failures a scope that forgets does not forget. */
#define SH_SCOPE_KEPT_MAX 64u

/* What a task is to be of a scope, while it is submitted there. */
struct sh_child {
    struct sh_record *scope;
    uint32_t id;         /* of the scope, as its members know it */
    uint32_t cell;       /* for it */
    uint32_t generation; /* of the child's record, once it is adopted */
    bool listed;         /* the cell is one of the scope's */
};

/* The scope of a name, for as long as nobody closes it: 0, SHUNT_EINVAL or
 * SHUNT_EFORKED. */
int sh_scope_find(shunt_scope *scope, struct sh_ref *ref_out);

/* Whether hold, as it was seen, is of that use of the scope's record. */
static inline bool sh_scope_is_use(const struct sh_ref *scope, uint64_t hold)
{
    return (uint32_t)(hold >> 32) == sh_generation_of(scope->word);
}

/* What members know of a scope whose state is of that use: its index, and what
 * fits of its generation. Never 0. */
static inline uint32_t sh_scope_id(uint32_t index, uint64_t word)
{
    return index | sh_generation_of(word) << 23;
}

/* Whether the running task is a member: it was submitted in the scope, or in
 * one that a member opened in the same pool. */
bool sh_scope_has_us(const struct sh_ref *scope);

/* The caller is about to change who is in a scope, in more than one step; and
 * it has done so. They pair, and may be nested. */
void sh_scope_begin(struct sh_pool *pool);
void sh_scope_done(struct sh_pool *pool);

/* For who repairs, of a scope that waits: have its children asked, if it was
 * cancelled, and count anew who is in it. False if somebody is about to change
 * that: to be done again later. */
bool sh_scope_mend(struct sh_work *work, struct sh_pool *pool,
                   struct sh_record *r);

/* Come in, unless hold has one of those flags, or it has ended; *hold_out is
 * hold as it was. */
bool sh_scope_enter(const struct sh_ref *scope, uint64_t shut,
                    uint64_t *hold_out);

/* Go, and leave flags behind. The last to leave ends what is being closed. */
void sh_scope_leave(struct sh_work *work, struct sh_pool *pool,
                    struct sh_record *r, uint64_t add_flags);

/* What was cancelled is turned away. */
void sh_scope_lose(const struct sh_ref *scope);

/* r, in INIT, seen with word, which nobody can name yet, becomes a child: the
 * word with what it needs. What follows is that it is accepted, by a store
 * with seq_cst; or that it is taken back. */
uint64_t sh_scope_adopt(struct sh_pool *pool, struct sh_record *r,
                        uint64_t word, struct sh_child *child);

/* Become its closer, which is the run, or, if that is NULL or of another pool,
 * not to be repaired: false if somebody is. It settles when nobody is in it any more. */
bool sh_scope_shut(struct sh_work *work, const struct sh_ref *scope,
                   const struct sh_run *run);

/* The closer gives up: somebody else may become it. */
void sh_scope_unshut(const struct sh_ref *scope);

/* Ask all children to cancel; the caller is in it, or closes it. Whether that
 * may help any of them. */
bool sh_scope_ask(struct sh_work *work, const struct sh_ref *scope);

/* Its name is consumed: it goes once it has settled. */
void sh_scope_give(struct sh_work *work, const struct sh_ref *scope);

/* Let go of the children of a scope that has settled, whoever holds them. */
void sh_scope_let_go(struct sh_work *work, struct sh_pool *pool,
                     struct sh_record *r);

/* The task of a run ends: cancel and let go of the scopes that it left open.
 * Its promises, of which the same ledger knows, are not touched. */
void sh_scopes_leave(const struct sh_run *run);

/* The process of a run has died: the scopes that it was closing nobody closes
 * any more. */
void sh_scopes_desert(struct sh_work *work, const struct sh_run *run);

/* Of a scope that has settled: handles to all children that it has. False: no
 * memory, and *all_out is unwritten. */
bool sh_scope_results(const struct sh_ref *scope, shunt_results *all_out);

/* And what became of them: 0, or the code of the first failure, which is then
 * the last error of the caller. */
int sh_scope_status(const struct sh_ref *scope);

#endif /* SH_FUTURE_SCOPE_H */
