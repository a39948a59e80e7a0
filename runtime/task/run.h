/* SPDX-License-Identifier: MIT */
/*
 * task/run.h - what a thread is doing: its seats, and the task that it runs.
 *
 * A run lives on the task's stack from the claim to the settling. It keeps
 * what belongs to the task while it runs: its memory, the handles that it got
 * (the ledger), and the text of its failure.
 *
 * Edges.
 *   claim    worker/run.c
 */
#ifndef SH_TASK_RUN_H
#define SH_TASK_RUN_H

#include "task/pool.h"

/* A function whose locals are read by who repairs what its process has left:
 * they lie on the stack itself, not where address sanitizer would put them to
 * find uses after the return, which is memory of that process alone. */
#define SH_ON_STACK __attribute__((no_sanitize("address")))

/* The writing end of a future is its handle with this bit, which is that of a
 * lent handle: no user holds one of a promise that is pending. */
#define SH_PROMISE_BIT ((uint64_t)1 << 27)

struct sh_ledger {
    uint64_t *names; /* points to few until they are too many */
    uint32_t count, room;
    uint32_t at; /* behind the last one that was lent: for the next search */
    uint64_t few[5];
};

struct sh_run {
    struct sh_pool *pool;
    struct sh_record *record;
    uint32_t index;
    uint32_t generation;
    uint64_t input; /* of the record, whose own word points here meanwhile */
    struct sh_blocks blocks; /* of shunt_alloc and shunt_take */
    /* Handles that the task got. One that it gave away stays as long as its
     * future is pending, since that may use memory of the task: keep.c. With
     * the lent bit: it is not the task's to give back, though it may become
     * good again. */
    struct sh_ledger handles;
    struct sh_ledger promises;
    uint64_t heed;   /* of shunt_cancel_future, or 0 */
    uint64_t keeper; /* the name of what keeps its memory, once it is made */
    uint64_t spare;  /* an input that only tasks which it submitted may need */
    char *text;      /* of shunt_fail; of the pool's heap */
    size_t text_bytes;
    uint64_t fail_as;       /* a handle of ours, from shunt_fail_as, or 0 */
    int fail_code;          /* that went with it */
    shunt_error *last;      /* shunt_last_error, */
    int last_code;          /* and its code, if there was no memory for it */
    struct sh_fiber *fiber; /* while parked; else NULL */
    /* While parked in a worker process: the next in its list, and what points
     * to us there; NULL once it is queued to go on. */
    struct sh_run *beside, **beside_at;
    _Atomic uint32_t after; /* the record that goes on after this one there */
    struct sh_worker *worker; /* on which it runs */
    /* While it waits, for who repairs it: for what, and where it hangs there,
     * on its stack; and whether that is pinned. */
    struct sh_ref *awaited;
    struct sh_hung *hung;
    bool pinned;
    int64_t deadline_ns;  /* its own, and of what it submits; of the pool's
                           * clock. INT64_MAX: none, or it has committed */
    uint32_t scope;       /* that the task was submitted in, or 0 */
    uint32_t made;        /* while parked: the stamp of the record, whose link
                           * may be put into a list */
    bool above;           /* it lies on top of who awaits it */
    bool unnoted;         /* memory ran out: the ledger does not know all */
    struct sh_sample *sample; /* if it is one: worker/sample.h; else NULL */
    struct sh_run *outer; /* of a spawned call that was taken: whose it is, who
                           * waits for us; else NULL */
};

/* A function of the user that this thread runs for a pool, or for none: 0. The
 * pool does not come to its end before it returns. */
struct sh_hook {
    struct sh_hook *outer;
    unsigned pool;
};

struct sh_here {
    struct sh_seat *seat;  /* the last one used */
    struct sh_run *run;    /* NULL outside a task */
    struct sh_hook *hook;  /* the innermost, or NULL */
    struct sh_seat *seats; /* all of this thread but a worker's own */
    shunt_error *last;     /* shunt_last_error outside a task */
    int last_code;         /* and its code, if there was no memory for it */
    unsigned guest;        /* the pool that we settle records of, or 0 */
    bool woke;             /* we have just woken a thread outside */
    bool forked; /* in a task of our parent's, which is none of ours */
};

/* A few words: small enough for the static TLS that the loader spares for
 * libraries which are loaded late. */
extern _Thread_local struct sh_here sh_here
    __attribute__((tls_model("initial-exec")));

/* Why a call cannot do what only a task can: the child of one has none. */
static inline int sh_no_task(void)
{
    return sh_here.forked ? SHUNT_EFORKED : SHUNT_EINVAL;
}

/* Whether the calling thread is a worker of the pool with this identifier,
 * which then waits for it before it goes. */
bool sh_is_own(unsigned id);

/* Look into the pool of a handle that a record holds, and which may be about
 * to be freed; enter and exit pair. False if it is gone. 0 is the pool of a
 * handle that has none. */
bool sh_pool_enter(unsigned id);
void sh_pool_exit(unsigned id);

/* See that what this thread keeps is freed when it ends. */
bool sh_here_keep(void);

/* The calling thread's seat; NULL if there is no memory for one. */
struct sh_seat *sh_seat_find(struct sh_pool *pool);

static inline struct sh_seat *sh_seat_of(struct sh_pool *pool)
{
    struct sh_seat *seat = sh_here.seat;

    /* relaxed: a pool that is in use does not go */
    if (SH_LIKELY(seat != NULL && sh_load_rlx(&seat->pool) == pool))
        return seat;
    return sh_seat_find(pool);
}

/* The post that the calling thread writes, which is the worker of a worker
 * process that serves the pool; NULL for others. */
static inline struct sh_post *sh_post_here(const struct sh_pool *pool)
{
    const struct sh_seat *seat = sh_here.seat;

    return pool == sh_self()->served && seat != NULL ? seat->post : NULL;
}

/* Call a function of the user which is no part of the task that happens to
 * lead to it: what it gets is not that task's, and it is not asked to park. */
static inline void sh_call_hook(unsigned pool, void (*fn)(void *), void *arg)
{
    struct sh_run *run = sh_here.run;
    struct sh_hook hook = { sh_here.hook, pool };

    sh_here.run = NULL;
    sh_here.hook = &hook;
    fn(arg);
    sh_here.hook = hook.outer;
    sh_here.run = run;
}

/* Take the seats of a pool that is going away from their threads. */
void sh_seats_clear(struct sh_pool *pool);

/* The running task got this handle, or this promise. If there is no memory to
 * note it, it is not released when the task ends, and the task's memory stays
 * until the pool goes. */
void sh_run_note(struct sh_run *run, uint64_t handle);
void sh_run_note_promise(struct sh_run *run, uint64_t handle);

/* The running task is about to lend this handle to what will make it somebody
 * else's: it is not to be given back when the task ends. */
void sh_run_lend(struct sh_run *run, uint64_t handle);

/* It is the task's again: false if the task had not lent it. Or got it so. */
bool sh_run_unlend(struct sh_run *run, uint64_t handle);
void sh_run_regain(struct sh_run *run, uint64_t handle);

/* What lender, of the same worker process, has lent by this name, if it has not
 * ended since, is run's to see to. */
void sh_run_take_on(struct sh_run *run, struct sh_run *lender, uint64_t hint,
                    uint64_t handle);

/* The task's memory includes that of this lent handle's future: the block that
 * says so. If there is no memory to note it, NULL, that stays until the pool
 * goes. */
struct sh_block *sh_run_hold(struct sh_run *run, uint64_t handle);

/* A hint that the running task has given this handle back. */
static inline void sh_run_forget(struct sh_run *run, uint64_t handle)
{
    struct sh_ledger *l = &run->handles;

    if (l->count > 0 && l->names[l->count - 1] == handle)
        l->count--;
}

static inline void sh_run_init(struct sh_run *run, struct sh_pool *pool,
                               struct sh_record *r, uint64_t word)
{
    run->pool = pool;
    run->record = r;
    run->index = sh_index_of(pool, r);
    run->generation = sh_generation_of(word);
    run->blocks.first = NULL;
    run->handles.count = run->handles.room = 0;
    run->promises.count = run->promises.room = 0;
    run->handles.at = run->promises.at = 0;
    run->text = NULL;
    run->heed = 0;
    run->keeper = 0;
    run->spare = 0;
    run->fail_as = 0;
    run->last = NULL;
    run->last_code = 0;
    run->fiber = NULL;
    run->worker = (struct sh_worker *)sh_here.seat;
    run->awaited = NULL;
    run->hung = NULL;
    run->pinned = false;
    run->deadline_ns = INT64_MAX;
    run->scope = 0;
    run->above = false;
    run->unnoted = false;
    run->sample = NULL;
    run->outer = NULL;
}

/* The task of that kind left nothing behind but its value, and needs its input
 * no more. */
static inline bool sh_run_is_plain(const struct sh_run *run, unsigned kind)
{
    const shunt_task *t = run->record->task;

    return (kind == SH_KIND_TASK ||
            (kind == SH_KIND_THEN && !t->traits_.inherits &&
             !run->pool->shared)) &&
           run->blocks.first == NULL &&
           (run->handles.count | run->promises.count) == 0 &&
           run->handles.room <= sizeof run->handles.few / sizeof(uint64_t) &&
           run->promises.room == 0 && run->text == NULL && run->last == NULL &&
           run->heed == 0 && run->fail_as == 0 && !run->unnoted &&
           t->traits_.drop == NULL &&
           (t->shape_ & SHUNT_SHAPE_OUT_FUTURE_) == 0;
}

/* The run of the task itself. */
static inline struct sh_run *sh_run_of_task(struct sh_run *run)
{
    while (SH_UNLIKELY(run->outer != NULL))
        run = run->outer;
    return run;
}

/* What was asked of the task that this run is of, or is part of: CANCEL, or
 * BUSY, if it was given up. */
static inline uint64_t sh_run_asked(const struct sh_run *run)
{
    uint64_t asked = 0;

    for (; run != NULL; run = run->outer)
        asked |= sh_load_acq(&run->record->state); /* acquire: claim */
    return asked & (SH_CANCEL | SH_BUSY);
}

void sh_ledger_fini(struct sh_run *run, struct sh_ledger *l);

#endif /* SH_TASK_RUN_H */
