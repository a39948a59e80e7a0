/* SPDX-License-Identifier: MIT */
/*
 * task/pool.h - the root of an arena: tables, queues and sleepers of a pool.
 *
 * Everything in it may be looked at by every worker and every thread of the
 * host. Nothing in it is a lock that a worker holds, or a count that a death
 * could leave wrong (docs/architecture.md).
 *
 * Edges.
 *   active   worker/standin.c
 *   quiet    future/settle.c
 *   claim    worker/run.c
 *   rest     worker/standin.c
 */
#ifndef SH_TASK_POOL_H
#define SH_TASK_POOL_H

#include <pthread.h>

#include "base/self.h"
#include "memory/heap.h"
#include "memory/table.h"
#include "queue/deque.h"
#include "queue/ring.h"
#include "sync/sleep.h"
#include "task/record.h"
#include "task/stamp.h"

enum sh_gate {
    SH_OPEN,
    SH_DRAINING,
    SH_CANCELLING,
    SH_STOPPED
};

/*
 * What a thread uses of a pool. Workers have theirs inside; other threads
 * get one at their first call and keep it until they end.
 */
struct sh_seat {
    _Atomic(struct sh_pool *) pool; /* NULL once the pool is freed */
    shunt_pool *name;               /* its name, which is never used again */
    unsigned process;               /* that it belongs to */
    struct sh_post *post;           /* of a worker; NULL: a thread outside */
    struct sh_camp *camp;           /* that of post */
    struct sh_cache records, aliases, edges, cells;
    struct sh_stamp stamp;        /* of the records that it makes */
    struct sh_seat *next;         /* of the same thread */
    struct sh_seat *left, *right; /* of the same pool; see registry.c's lock */
};

/* The process of a seat may die alone, and is known by that mark. */
static inline void sh_seat_mark(struct sh_seat *seat, uint32_t mark)
{
    seat->records.mark = mark;
    seat->aliases.mark = mark;
    seat->edges.mark = mark;
    seat->cells.mark = mark;
}

/* What a worker has done; see sh_count. */
struct sh_counts {
    _Atomic uint64_t run;      /* tasks and steps */
    _Atomic uint64_t stolen;   /* hints */
    _Atomic uint64_t parked;   /* tasks that waited, */
    _Atomic uint64_t resumed;  /* and went on */
    _Atomic uint64_t slept;    /* how often, */
    _Atomic uint64_t woken;    /* and was woken from it, */
    _Atomic uint64_t vain;     /* for nothing */
    _Atomic uint64_t searched; /* rounds through what others have, */
    _Atomic uint64_t missed;   /* that found nothing there, */
    _Atomic uint64_t lost;     /* or came upon a hint, too late */
    _Atomic uint64_t calls;    /* spawned ones, among stolen */
    _Atomic uint64_t offered;  /* how often some of its own were */
    _Atomic uint64_t blocked;  /* sections begun: worker/blocking.c */
};

/* What a worker is at that is not counted on: a stand-in, or the one of the
 * host in a process pool. */
enum sh_rests {
    SH_WORKS,
    SH_RESTS,
    SH_UNFIT /* nobody will ever work here */
};

/* Of a process pool, in resumed of a post: a hint is in one of woken; or some
 * that is parked there may go on, whatever they say. */
#define SH_RESUMED_SOME 1u
#define SH_RESUMED_ANY 2u
#define SH_WOKEN 7u

/* What others may touch of a worker; the rest is in worker/worker.h. */
struct sh_post {
    /* Parked tasks that may go on. Of threads a list, pushed by anyone, taken
     * by the worker; of processes flags, and hints: future/deliver.c. */
    _Alignas(SH_LINE) _Atomic uint32_t resumed;
    _Atomic uint64_t woken[SH_WOKEN];
    /* Tasks from outside that the worker has taken up. Only it writes this, and
     * what follows up to the timers. */
    _Alignas(SH_LINE) _Atomic uint64_t taken;
    _Atomic uint32_t cpu;   /* where it woke up last, + 1 */
    _Atomic uint32_t since; /* a stamp: when the code that runs began to, or
                             * some tasks before */
    struct sh_counts counts;
    /* Timers that the worker has set, or put forward: see sh_time. */
    _Alignas(SH_LINE) _Atomic uint32_t timers_set, timers_moved;
    /* Of a process: what it is just about, for who repairs it. A timer: index
     * 32 | generation 32. A handle that a record is about to name no more, and
     * that record: future/settle.h. A promise whose listener it calls. */
    _Atomic uint64_t setting, hand, hand_of, telling;
    /* The hint of what it has claimed, or was about to, last; and the name of a
     * ticket that it lets go of: task/ticket.h. */
    _Atomic uint64_t claiming, ticket;
    /* A record of whose holders it changes the number, and for whom: an alias,
     * or the address of a run; task/handle.c. */
    _Atomic uint64_t counting, counting_for;
    /* The address of a block that is about to be the pool's, and then in the
     * list of that record, which is the worker's own. */
    _Atomic uint64_t attaching, attaching_to;
    /* And how often it has begun, and ended, to change who is in a scope. */
    _Atomic uint32_t scoped_in, scoped_out;
    /* The hint of the record whose code runs, or of the last that has ended; 0
     * after one was given up, or parked. Only the worker writes. */
    _Atomic uint64_t running;
    /* One that was settled over its code. As long as it is the one that runs,
     * somebody else may run in the worker's stead. */
    _Atomic uint64_t stuck;
    /* SH_SAYS_SO while what runs says that it waits in the kernel, else 0; or
     * the hint of what the timekeeper has seen to do so, as long as that is
     * what runs. Somebody else may run in the worker's stead meanwhile. */
    _Atomic uint64_t blocked;
    /* Records that others have left to this worker's process, and listeners of
     * promises: lists; and whether anything of that process is to be called at
     * all. */
    _Atomic uint32_t handed, calls;
    _Atomic uint64_t hooks;
    /* Of a process: when it is killed for that, by the system's clock. */
    _Atomic int64_t patience_ns;
    _Atomic uint32_t rests; /* a futex: enum sh_rests */
    _Atomic uint32_t unready; /* its .init, if there is one, has yet to return */
    _Atomic uint32_t waits; /* of a lane: it rests, and has a task parked */
    /* Last, so that what is looked at in each round lies on one page: a process
     * that was away finds none of them in its TLB. */
    struct sh_deque deque;
    /* Of a process in an auto pool: what it has queued for the threads, which
     * steal it. Not in their ring: who dies while he puts something there
     * leaves a cell that nobody gets past. */
    struct sh_deque away;
};

#define SH_SAYS_SO UINT64_MAX /* no hint is that */

/* Nobody will work at this post any more, or nobody has yet. */
static inline bool sh_post_is_closed(struct sh_post *post)
{
    return sh_load_sc(&post->rests) == SH_UNFIT; /* seq_cst: rest */
}

#define SH_LOST 32u

/* A pool's time, and what its timekeeper shares: future/timer.c. */
struct sh_time {
    /* When the timekeeper wakes at the latest; INT64_MIN: it is awake. */
    _Alignas(SH_LINE) _Atomic int64_t wake_ns;
    bool manual;              /* the clock moves by hand alone: */
    _Atomic int64_t now_ns;   /* where it stands then, */
    _Atomic uint32_t moved;   /* how often it was moved, */
    _Atomic uint32_t served;  /* and a futex: up to which time of those what was
                               * due has happened */
    _Atomic uint32_t rung;    /* the futex on which the timekeeper sleeps */
    _Atomic uint32_t keeper;  /* enum sh_keeper */
    _Atomic uint32_t stop;    /* it is to end */
    _Atomic uint32_t happens; /* it is at what came due */
    _Atomic uint32_t shorthanded; /* have stuck workers replaced */
    _Atomic uint32_t called;      /* something is queued, and nobody was idle */
    _Atomic uint32_t untold;      /* something is queued, and nobody was woken */
    _Atomic uint32_t watches; /* it looks every few ms, after it was called */
    /* Timers that threads outside have set, or put forward, and the timekeeper
     * has not seen: the last one. Workers have lists of their own. */
    _Alignas(SH_LINE) _Atomic uint32_t timers_set, timers_moved;
    /* Timers that processes were about to set as they died. */
    _Atomic uint64_t lost[SH_LOST];
    /* Of a folder above: start the timekeeper. */
    int (*start)(struct sh_pool *pool);
    /* Of a pool that keeps figures: some have come since the timekeeper last
     * looked at them; when it does next, by the system's clock, INT64_MAX: when
     * it is rung; and what it calls then, else NULL. worker/sample.h */
    _Alignas(SH_LINE) _Atomic uint32_t sampled;
    _Atomic int64_t steer_ns;
    void (*steer)(struct sh_pool *pool);
};

#ifdef SH_NO_COUNTERS
static inline void sh_count(_Atomic uint64_t *count, uint64_t n)
{
    (void)count;
    (void)n;
}
#else
/* n more of what the calling worker counts in its post. */
static inline void sh_count(_Atomic uint64_t *count, uint64_t n)
{
    /* relaxed: only its worker writes it, and whoever reads wants a figure */
    sh_store_rlx(count, sh_load_rlx(count) + n);
}
#endif

/*
 * Workers that run what is queued for them, and steal from each other: those
 * that a pool was made with; and of an auto pool, in a camp of their own,
 * threads of the host. A record says in which camp it runs: task/record.h.
 */
struct sh_camp {
    struct sh_pool *pool;
    struct sh_sleep sleep;
    struct sh_ring ring; /* tasks from outside: bounded by queue_max */
    struct sh_ring side; /* what became ready outside the workers */
    /* Of ring.tail: queue_max + tasks taken up + dropped - spilled. */
    _Atomic uint64_t limit;
    _Atomic uint64_t dropped; /* tasks from outside that never started */
    _Atomic uint64_t spilled; /* and those that found the ring full */
    /* Moves when a READY record is in no queue: look into the table. On a line
     * of its own, as it is looked at in each round. */
    _Alignas(SH_LINE) _Atomic uint64_t rescan;
    /* Its posts. Those of the workers come first; those of who stands in for
     * them lie from spare on. */
    unsigned first, spare, end;
};

enum {
    SH_OWN_CAMP,  /* of threads, or processes: the mode says which */
    SH_HOST_CAMP, /* of an auto pool alone */
    SH_CAMPS
};

/* The threads of an auto pool, which are started when something is to run on
 * one. */
enum sh_guests {
    SH_GUESTS_NONE,
    SH_GUESTS_WANTED,
    SH_GUESTS_HERE
};

/* What the warden says of processes that were to stand in for others. */
enum sh_spared {
    SH_SPARED_MAY,   /* nothing: they can be had, as far as it knows */
    SH_SPARED_LATER, /* the system has refused one */
    SH_SPARED_NEVER  /* they die before they can begin */
};

#define SH_BLAMED 640u
/* As many shunt_fork have a deque at a time. */
#define SH_SPLITS 512u

struct sh_split; /* queue/split.h */

struct sh_pool {
    shunt_pool *name; /* what users hold: serial 36 | id 12 */
    unsigned id;
    _Atomic unsigned process; /* of sh_self, when it was made; 0: deserted */
    unsigned workers;
    unsigned cpus; /* so many of them can run at a time; it stays */
    /* Behind the posts in use: of the workers, and those who stood in for them;
     * of an auto pool, those of the threads lie apart. They grow. */
    _Atomic uint32_t active, active_guests;
    bool mixed;             /* an auto pool: it has both camps */
    bool shared;            /* other processes map it, in */
    struct sh_arena *arena; /* which it lies; NULL: it is of this process */
    const struct sh_known *known; /* of a process pool: memory/known.h */
    bool allow_unsafe;
    bool checks_pointers;
    uint64_t queue_max;

    struct sh_table records, aliases, edges, cells;
    struct sh_timer *timers; /* two a record, one a cell: future/timer.h */
    size_t timers_bytes;
    struct sh_heap heap;
    struct sh_post *posts; /* one a worker */
    struct sh_camp camps[SH_CAMPS];
    _Atomic uint64_t refused; /* a count of submits that were not accepted */
    /* Counts of worker/blocking.c: those noticed; those who stood in, or could
     * not be had. */
    _Atomic uint64_t noticed, stood_in, capped;
    /* One more process is to stand in for others; and enum sh_spared. */
    _Atomic uint32_t recruited, spared;

    _Alignas(SH_LINE) _Atomic uint32_t gate; /* enum sh_gate */
    _Atomic uint32_t broken;                 /* it runs nothing any more */
    _Atomic uint32_t gave_up;  /* a shutdown settled what runs on */
    _Atomic uint32_t late;     /* keepers that wait for such code: a list */
    _Atomic uint32_t returned; /* moves when such code has returned */
    /* Of an auto pool: enum sh_guests. */
    _Atomic uint32_t guests;
    _Atomic uint32_t no_guests; /* none could be started */
    /* Of a process pool. Moves when a READY record is left to the host's own
     * worker: worker/home.c. */
    _Atomic uint64_t hosted;
    /* The same of one that is left to a lane; and how many more lanes were asked
     * for: worker/lane.c. */
    _Atomic uint64_t secluded;
    _Atomic uint32_t lanes_wanted;
    /* Futexes: room in the queue; a change that a shutdown waits for. */
    _Atomic uint32_t room, room_waiters;
    _Atomic uint32_t quiet, quiet_waiters;

    /* Records that worker processes have left to the host, and listeners of
     * promises: lists. */
    _Atomic uint32_t handed;
    _Atomic uint64_t hooks;
    _Atomic uint32_t look; /* the host is to look at postponed keepers */
    _Atomic uint32_t hears; /* the host is at those */
    /* As of posts, of threads of the host: future/rescope.c. */
    _Atomic uint32_t scoped_in, scoped_out;
    _Atomic uint32_t deaths; /* of worker processes: future/quorum.c */
    bool unsure; /* of the warden: a scope is to be counted anew */
    struct sh_time time;
    /* Told of failures that nobody has looked at; never NULL. */
    void (*unobserved)(const shunt_error *error, void *arg);
    void *unobserved_arg;
    _Atomic uint64_t told;   /* observe/unobserved.c: when, and how many */
    _Atomic uint32_t untold; /* for want of room */

    _Atomic uint64_t blame; /* why it is broken: task/blame.h */
    char blamed[SH_BLAMED];

    struct sh_profile *profiles; /* of a pool that keeps figures; else NULL */
    struct sh_figures *figures;  /* the same: worker/sample.h */
    size_t figures_bytes;
    struct sh_steer *pilot; /* the same, of the host: place/steer.h */
    bool scattered; /* tasks run anywhere, whatever was measured: for tests */
    struct sh_seat *seats; /* under registry.c's lock */
    struct sh_team *team;  /* worker/pool.c */
    uint32_t generation;   /* where the generations of new records begin */
    /* Deques of spawned calls, as many as were needed at a time: in order, but
     * for the last ones, which may be NULL yet. worker/frames.c */
    _Alignas(SH_LINE) _Atomic uint32_t splits_used;
    _Atomic(struct sh_split *) splits[SH_SPLITS];
    _Atomic uint32_t doomed; /* there are runs to be given up: worker/doom.c */
};

/* Which of a pool's processes the calling one is: 0 the host, else the index of
 * its worker + 1. */
static inline unsigned sh_place_in(const struct sh_pool *pool)
{
    return pool == sh_self()->served ? sh_self()->served_as : 0;
}

/* Whether the calling process made the pool, and has not deserted it; of a
 * worker process: whether it is the pool's. */
#define sh_pool_is_ours(pool) /* relaxed: an identity */ \
    (sh_load_rlx(&(pool)->process) == sh_self()->process)

/* Work that a thread does in a pool which it is not a worker of, and which
 * somebody else may be about to free. NULL if it is gone. See registry.c. */
struct sh_pool *sh_pool_visit(unsigned id);
void sh_pool_leave(unsigned id);

/* The pool with that identifier, which the caller is in. */
static inline struct sh_pool *sh_pool_at(unsigned id)
{
    return sh_load_rlx(&sh_self()->homes[id]); /* relaxed: it is in use */
}

/* A visit of a pool that cannot go before this call has returned. */
void sh_pool_stay(unsigned id);

/* Which pool it is of those that had its identifier, cut. */
static inline uint32_t sh_pool_serial(const struct sh_pool *pool)
{
    return (uint32_t)((uintptr_t)pool->name >> 12);
}

/* Whether a pool takes on what a thread with that seat, or with none, brings:
 * as long as it drains, of its workers alone. */
static inline bool sh_pool_takes(struct sh_pool *pool,
                                 const struct sh_seat *seat)
{
    /* relaxed: looked at again when it is in */
    uint32_t gate = sh_load_rlx(&pool->gate);

    return SH_LIKELY(gate == SH_OPEN) ||
           (gate == SH_DRAINING && seat != NULL && seat->post != NULL);
}

/* Why a pool that is not ours cannot be used. */
static inline int sh_pool_refusal(const struct sh_pool *pool)
{
    unsigned process = sh_load_rlx(&pool->process); /* relaxed: an identity */

    return process == 0 ? SHUNT_EINVAL : SHUNT_EFORKED;
}

/* Count forks in sh_self from now on, if not since before. False if the
 * system refuses. */
bool sh_forks_count(void);

/* Give pool an identifier and a first generation. False if all are taken. */
bool sh_registry_add(struct sh_pool *pool);

/* No new call finds the pool from now on. */
void sh_registry_hide(struct sh_pool *pool);

/* Nor does any that was under way: the last guest has left. */
void sh_registry_remove(struct sh_pool *pool);

/* In a new worker process, of that index and number: pool is the only one there
 * is. */
void sh_registry_serve(struct sh_pool *pool, unsigned index, unsigned number);

/* The pool that a user's name stands for; NULL inside a task is the current
 * one. 0, SHUNT_EINVAL or SHUNT_EFORKED; *pool_out is written if 0. */
int sh_pool_find(shunt_pool *name, struct sh_pool **pool_out);

static inline struct sh_record *sh_record_at(struct sh_pool *pool,
                                             uint32_t index)
{
    return (struct sh_record *)pool->records.items + index;
}

static inline struct sh_cell *sh_cell_at(struct sh_pool *pool, uint32_t index)
{
    return (struct sh_cell *)pool->cells.items + index;
}

static inline struct sh_edge *sh_edge_at(struct sh_pool *pool, uint32_t index)
{
    return (struct sh_edge *)pool->edges.items + index;
}

/* How many posts to look at, with sh_pool_next. */
static inline unsigned sh_pool_active(struct sh_pool *pool)
{
    if (SH_UNLIKELY(pool->mixed)) {
        /* seq_cst: active, quiet */
        unsigned guests = sh_load_sc(&pool->active_guests);

        if (guests > pool->camps[SH_HOST_CAMP].first)
            return guests;
    }
    return sh_load_sc(&pool->active); /* seq_cst: active, quiet */
}

/* Which one to look at behind post i: nobody has been at those that an auto
 * pool has between its processes and its threads, nor is their memory there. */
static inline unsigned sh_pool_next(struct sh_pool *pool, unsigned i)
{
    unsigned guests = pool->camps[SH_HOST_CAMP].first;

    i++;
    if (SH_UNLIKELY(pool->mixed) && i < guests &&
        i >= sh_load_sc(&pool->active)) /* seq_cst: active, quiet */
        return guests;
    return i;
}

/* In which camp a record runs. */
static inline struct sh_camp *sh_camp_of(struct sh_pool *pool,
                                         const struct sh_record *r)
{
    if (SH_LIKELY(!pool->mixed))
        return &pool->camps[SH_OWN_CAMP];
    return &pool->camps[sh_is_for_host(r) ? SH_HOST_CAMP : SH_OWN_CAMP];
}

/* That of a post. */
static inline struct sh_camp *sh_camp_at(struct sh_pool *pool, unsigned post)
{
    if (SH_LIKELY(!pool->mixed))
        return &pool->camps[SH_OWN_CAMP];
    return &pool->camps[post >= pool->camps[SH_HOST_CAMP].first ? SH_HOST_CAMP
                                                                : SH_OWN_CAMP];
}

/* Whether a worker's seat is in a camp, so that its deque is. */
static inline bool sh_seat_is_in(const struct sh_seat *seat,
                                 const struct sh_camp *camp)
{
    /* relaxed: a pool that is in use does not go */
    struct sh_pool *pool = sh_load_rlx(&seat->pool);

    return SH_LIKELY(!pool->mixed) || seat->camp == camp;
}

/* Whether a worker takes what is in its own deque: not one that is aside. */
static inline bool sh_post_pops(struct sh_pool *pool,
                                const struct sh_post *post)
{
    size_t i = (size_t)(post - pool->posts);

    return !pool->shared || i < pool->workers ||
           i >= pool->camps[SH_OWN_CAMP].spare;
}

/* Queue a hint of a worker, whose seat that is, in a camp. False if there is no
 * room. */
static inline bool sh_camp_push(struct sh_pool *pool, struct sh_camp *camp,
                                struct sh_seat *seat, uint64_t hint)
{
    if (SH_LIKELY(sh_seat_is_in(seat, camp)))
        return sh_deque_push(&seat->post->deque, hint);
    return pool == sh_self()->served
               ? sh_deque_push(&seat->post->away, hint)
               : sh_ring_push(&camp->side, hint, UINT64_MAX);
}

/* Behind the posts of a camp that are in use. */
static inline unsigned sh_camp_end(struct sh_pool *pool,
                                   const struct sh_camp *camp)
{
    return sh_load_sc(SH_LIKELY(camp == &pool->camps[SH_OWN_CAMP])
                          ? &pool->active
                          : &pool->active_guests); /* seq_cst: active, quiet */
}

/* Whether a hint is queued for the workers of a camp. */
static inline bool sh_camp_is_queued(struct sh_pool *pool,
                                     struct sh_camp *camp)
{
    if (sh_ring_size(&camp->ring) > 0 || sh_ring_size(&camp->side) > 0)
        return true;
    for (unsigned i = camp->first; i < sh_camp_end(pool, camp); i++)
        if (sh_deque_size(&pool->posts[i].deque) > 0)
            return true;
    /* What processes have queued for the threads of an auto pool. */
    if (SH_LIKELY(camp == &pool->camps[SH_OWN_CAMP]))
        return false;
    for (unsigned i = 0, n = sh_camp_end(pool, &pool->camps[SH_OWN_CAMP]);
         i < n; i++)
        if (sh_deque_size(&pool->posts[i].away) > 0)
            return true;
    return false;
}

/* Whether a worker process but that one has claimed what has this hint, or was
 * about to, and nothing else since; it may have died, and be repaired yet. The
 * caller has seen the record's state as it is after the claim. */
static inline bool sh_pool_claims(struct sh_pool *pool, uint64_t hint,
                                  unsigned but)
{
    for (unsigned i = 0; i < sh_pool_active(pool); i = sh_pool_next(pool, i))
        if (i != but && sh_load_acq(&pool->posts[i].claiming) ==
                            hint) /* acquire: claim */
            return true;
    return false;
}

static inline uint32_t sh_index_of(struct sh_pool *pool,
                                   const struct sh_record *r)
{
    return (uint32_t)(r - (const struct sh_record *)pool->records.items);
}

static inline struct sh_alias *sh_alias_at(struct sh_pool *pool, uint32_t index)
{
    return (struct sh_alias *)pool->aliases.items + index;
}

#endif /* SH_TASK_POOL_H */
