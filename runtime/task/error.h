/* SPDX-License-Identifier: MIT */
/*
 * task/error.h - making the error records that failed futures carry.
 *
 * An error is one block, strings included, attached to the record of the task
 * that failed first. Whatever else fails because of it forwards to that
 * record. A failure that has nothing to tell but its code has no block: its
 * error is a constant.
 */
#ifndef SH_TASK_ERROR_H
#define SH_TASK_ERROR_H

#include "task/pool.h"
#include "task/trace.h"

struct sh_failure {
    int code;
    int task_code;
    const char *task;  /* NULL: the record's */
    const char *text;  /* NULL: the sentence of the code */
    const char *whole; /* the message as it is to be; NULL: made of text */
    const char *where; /* NULL: the record's */
    unsigned attempts; /* how often the task was started */
    const shunt_error *const *causes;
    size_t cause_count;
    /* Of a process that died; see errors.h. */
    int signal, exit_status;
    void *address;
    const char *backtrace;           /* NULL: "" */
    const struct sh_untold *untold; /* instead of it; or NULL */
    bool collateral;
    const char *culprit; /* NULL: "" */
    int64_t user_ns, system_ns;
    size_t max_rss_bytes;
};

/* The failure that an error tells of, to be told by another task's error; its
 * causes are left out. Its strings are the error's. */
struct sh_failure sh_failure_of(const shunt_error *error);

/* The error that has nothing to tell but its code. */
const shunt_error *sh_error_constant(int code);

/* An error in a block of its own, which says of r what the failure leaves out,
 * and goes with this process until it is attached, or linked and kept; NULL if
 * there is no memory. */
struct sh_block *sh_error_new(struct sh_pool *pool, const struct sh_record *r,
                              const struct sh_failure *failure);

/* Attach an error to a record that is about to settle. If there is no memory
 * it will have the constant. */
void sh_error_attach(struct sh_pool *pool, struct sh_record *r,
                     const struct sh_failure *failure);

/* The error of a record that has settled with outcome, not forwarded. */
const shunt_error *sh_error_find(struct sh_record *r, unsigned outcome);

/* Whether an error is one of those: no future has it for its own. */
bool sh_error_is_constant(const shunt_error *error);

/* Whether some of the causes of an error, or of theirs, lie in other pools: who
 * does not know that those are there must not look at them. */
bool sh_error_has_far_causes(const shunt_error *error);

/* A copy in memory of this process, causes included. NULL if there is no
 * memory. */
shunt_error *sh_error_copy(const shunt_error *error);

/* Free such a copy; NULL is none. */
void sh_error_free(shunt_error *copy);

/* The block of an error that is neither a constant nor a copy. */
struct sh_block *sh_error_block(const shunt_error *error);

/* What a task is called; of NULL "". And a record's. */
const char *sh_task_name_of(const shunt_task *t);
const char *sh_task_name(const struct sh_record *r);

/* Add a block, or a list of them, to what is freed with a record. */
void sh_attach(struct sh_record *r, struct sh_block *first,
               struct sh_block *last);

/* The same of one that is this process's own until then, to a record that is;
 * and for who finds that it has died in between, as worker index. */
void sh_attach_new(struct sh_pool *pool, struct sh_record *r,
                   struct sh_block *b);
/* b, in the record's list, or about to be, is to go with this process if it is
 * not there when that dies; NULL: nothing is, any more. */
void sh_attach_say(struct sh_pool *pool, struct sh_record *r,
                   const struct sh_block *b);
void sh_attach_mend(struct sh_pool *pool, unsigned index);

#endif /* SH_TASK_ERROR_H */
