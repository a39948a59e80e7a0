/* SPDX-License-Identifier: MIT */
/*
 * reactor/entry.h - what a completion queue keeps of a future, found by its
 * handle, and the list of those that have settled. See entry.c.
 *
 * All of it is under the queue's lock, but for what says otherwise.
 */
#ifndef SH_REACTOR_ENTRY_H
#define SH_REACTOR_ENTRY_H

#include "future/call.h"

struct sh_queue;

enum sh_entry_state {
    SH_ENTRY_PENDING, /* the future has not settled, or is about to tell us */
    SH_ENTRY_READY,   /* it has, and the entry is in a list of those */
    SH_ENTRY_GONE     /* taken out, but a settler has it: that one frees it */
};

struct sh_entry {
    struct sh_call call; /* first: the settler calls it */
    struct sh_queue *queue;
    uint64_t handle; /* lent to the queue, or reserved */
    void *tag;
    struct sh_hung hung; /* target 0: nothing hangs on the future */
    enum sh_entry_state state;
    uint64_t batch;               /* that it was added with; 0: none */
    struct sh_run *lender;        /* in a worker process: whose ledger has it */
    uint64_t lender_hint;
    struct sh_entry *link;        /* of its bucket; before that, its adder's */
    struct sh_entry *next, *prev; /* of those that are ready */
};

/* Oldest first. */
struct sh_ready {
    struct sh_entry *first, *last;
    size_t count;
};

struct sh_entries {
    struct sh_entry ***segments; /* of buckets, each as long as all before */
    size_t buckets, count;
    struct sh_entry *spare; /* to be used again, linked by link */
    unsigned spares;
};

/* Memory for one, NULL if there is none; and back. Without lock. */
struct sh_entry *sh_entry_new(void);
void sh_entry_free(struct sh_entry *e);
/* The same under lock: one that was used before, if there is one. */
struct sh_entry *sh_entries_take(struct sh_entries *t);
void sh_entries_give(struct sh_entries *t, struct sh_entry *e);

static inline void sh_entry_init(struct sh_entry *e, uint64_t handle, void *tag,
                                 uint64_t batch)
{
    e->handle = handle;
    e->tag = tag;
    e->hung.target = 0;
    e->state = SH_ENTRY_PENDING;
    e->batch = batch;
    e->lender = NULL;
    e->link = NULL;
}

/* False if there is no memory. */
bool sh_entries_init(struct sh_entries *t);
/* It is empty. */
void sh_entries_fini(struct sh_entries *t);

void sh_entries_add(struct sh_entries *t, struct sh_entry *e);
void sh_entries_remove(struct sh_entries *t, struct sh_entry *e);

/* One with this handle, and another: reserved handles may be there twice. NULL
 * if there is none. */
struct sh_entry *sh_entries_find(const struct sh_entries *t, uint64_t handle);
struct sh_entry *sh_entries_alike(const struct sh_entry *e);

/* Take any one out; NULL if it is empty. */
struct sh_entry *sh_entries_pop(struct sh_entries *t);

void sh_ready_add(struct sh_ready *r, struct sh_entry *e);
void sh_ready_remove(struct sh_ready *r, struct sh_entry *e);

/* Put all of `from` behind those of r; `from` is empty then. */
void sh_ready_append(struct sh_ready *r, struct sh_ready *from);

#endif /* SH_REACTOR_ENTRY_H */
