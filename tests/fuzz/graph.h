/* SPDX-License-Identifier: MIT */
/*
 * fuzz/graph.h - a random graph of futures, what may become of each, and what
 * did.
 *
 *     seed -> plan.c: nodes and who uses them -> reference.c: what is allowed
 *                             |                        |
 *                             v                        v
 *                       play.c, tasks.c, ...: threads and tasks act -> check.c
 *                             |
 *                             v
 *                       audit.c: everything was given back
 *
 * A node is one future: an operation on earlier nodes. Every use of it has a
 * handle of its own. Since threads race, there may be several outcomes that
 * are right; the reference computes the set of them, one node after another,
 * and whatever is seen, by whoever sees it, must be in it and stay the same.
 */
#ifndef SHUNT_TESTS_FUZZ_GRAPH_H
#define SHUNT_TESTS_FUZZ_GRAPH_H

#include <pthread.h>
#include <stdatomic.h>

#include "plan.h"

/* A set of outcomes: successes by the node that made the value (itself, of a
 * combinator), failures by the node whose function or giver failed, others by
 * status. */
struct outcomes {
    uint64_t ok, failed;
    uint32_t codes; /* bit -10001 - code */
};

struct reference {
    struct outcomes may[NODES_MAX];
    bool asked[NODES_MAX];     /* somebody may ask it to cancel */
    bool completes[NODES_MAX]; /* it settles without a shutdown */
};

/* What happened to a node. */
struct fate {
    _Atomic(shunt_future *) handles[USES_MAX];
    _Atomic(shunt_promise *) promise;
    atomic_bool published;
    /* When it was made, at the earliest and at the latest. */
    int64_t begun_ns, built_ns;
    atomic_uint runs, phase, drops, hooks, filler_runs, filler_drops;
    atomic_int pid; /* where it was started last */
    atomic_bool doomed;
    atomic_uint children, children_run;      /* those that must run, */
    atomic_uint wards, ward_drops;           /* and those that may not start */
    atomic_uint told, tellers, teller_drops; /* of HEED_THEN */
    atomic_uint notes, noters, noter_drops;  /* of HEED_FINALLY, */
    atomic_int noted;                        /* and the status that it noted */
    atomic_bool committed; /* from when on it is its function that decides */
    atomic_bool asked;     /* its function saw, at its end, that it was */
    atomic_uint ended;     /* how its function ended: as seen */
    atomic_uint seen;      /* the first outcome that somebody saw, + 1 */
    atomic_uint attempts;  /* that the error says, + 1 */
    atomic_uint under_way; /* attempts of a retry, */
    atomic_uint runs_most; /* and more than may run once it is cancelled */
    atomic_uint tries;     /* of retries that its function makes */
};

/* How much of what is rare there was, over all seeds. */
struct census {
    atomic_ulong timed_out, given_up, stand_ins, committed, told, moves;
    atomic_ulong scopes, retries, events;
    atomic_ulong kills, dooms, culprits, collateral;
    atomic_ulong cut; /* .drops that were not called, or not to their end */
    /* Graphs that leave something, and how much. */
    atomic_ulong untidy, records, aliases, edges, cells, bytes;
};
extern struct census *census;

/* What became of a queue, and of its entries. */
struct queue_fate {
    shunt_queue *queue;
    int fd;
    atomic_bool freed; /* it may be */
    atomic_uint added; /* calls of add that are over */
    atomic_uint gifts; /* of functions, that are in it; and some that were */
    _Atomic(shunt_future *) held[HELD_MAX];
    atomic_uint fillers;           /* of a batch, that are in it, */
    atomic_flag came[FILLERS_MAX]; /* and which have come out */
    struct {
        _Atomic(shunt_future *) name; /* that it was added under */
        atomic_uint state;            /* queues.c */
    } entries[ENTRIES_MAX];
};

struct graph {
    const struct plan *plan;
    struct reference reference;
    shunt_pool *pools[POOLS_MAX];
    /* Of a clock that is moved by hand: where it stands at least, at most. */
    _Atomic int64_t served_ns[POOLS_MAX], moved_ns[POOLS_MAX];
    atomic_bool ended; /* a shutdown has begun: it may decide outcomes */
    atomic_bool gone;  /* the pools were freed */
    _Atomic(struct troop *) outings[OUTINGS_MAX];
    struct queue_fate queues[QUEUES_MAX];
    atomic_uint recruits, discharged; /* members of scopes, and their drops */
    /* Of a storm: who was hit, and who was to blame for which death. */
    atomic_uint hit_count;
    struct {
        int pid, signal;
    } hits[HITS_MAX];
    struct {
        atomic_int pid;
        atomic_uint node; /* + 1 */
    } culprits[CULPRITS_MAX];
    void *nowhere; /* NULL */
    struct fate fate[NODES_MAX];
};

/* reference.c: also turns waits that might not end into bounded ones. */
void reference_make(struct reference *reference, struct plan *plan);
void reference_print(const struct reference *reference,
                     const struct plan *plan);

/* What a function of node n is given. */
struct job {
    struct graph *graph;
    unsigned node;
    unsigned number; /* of an element or filler */
};
struct bigjob {
    struct job job;
    unsigned char rest[100]; /* too many for a record */
};

/* tasks.c: submit node n, which has no input; attach it to h; and so on. */
shunt_future *tasks_submit(struct graph *g, unsigned n);
shunt_future *tasks_attach(struct graph *g, unsigned n, shunt_future *h);
shunt_future *tasks_filler(struct graph *g, unsigned n, unsigned number);
shunt_future *tasks_map(struct graph *g, unsigned n);
shunt_future *tasks_promise(struct graph *g, unsigned n);
void tasks_give(struct graph *g, unsigned n);
/* What the error of a node says that failed, or was too slow. */
const char *tasks_name(const struct plan *p, unsigned n);

/* moments.c: what time it is, at the earliest and at the latest; in nodes that
 * were timed out or delayed, that it is not too early. */
int64_t moment_low(const struct graph *g, unsigned pool);
int64_t moment_high(const struct graph *g, unsigned pool);
void moment_check(struct graph *g, unsigned n);
/* The actor that moves the clock of a pool, until told that all is over. */
struct hand {
    struct graph *graph;
    unsigned pool;
    atomic_bool over;
};
void *moment_move(void *hand);
/* Anybody outside of tasks: move it on by ns. */
void moment_move_by(struct graph *g, unsigned pool, int64_t ns);
/* Inside a task: what is left of its time, *most at most; less each time. */
void moment_left(const struct job *job, int64_t *most);

/* behave.c: what the function of a node does, but for its value. */
int behave(const struct job *job);
/* Run for a while; not 0: it was asked not to. */
int behave_work(const struct job *job);
void behave_begin(const struct job *job);
/* It is about to return rc, with the value of origin if that is 0. */
void behave_end(const struct job *job, int rc);
void behave_drop(void *job);
void behave_spin(unsigned times);

/* brood.c: the tasks that a function submits. */
enum {
    BROOD_MAGIC = 0x600d1e55
};
void brood_raise(const struct job *job, const uint32_t *shared);
/* One is about to be submitted that may not start: what it is given begins with
 * its job, and brood_drop is called for it once; unless it was refused. */
void brood_ward(const struct job *job);
shunt_future *brood_refused(const struct job *job, shunt_future *f);
void brood_drop(void *job);
/* A task that does nothing much. */
shunt_future *brood_one(const struct job *job, unsigned number);
/* The status of a wait inside a task for what should succeed. */
void brood_expect(const struct job *job, int rc, const char *what);

/* scopes.c: scopes in a function of a node; and those of threads. */
void scopes_use(const struct job *job);
void scopes_open(struct graph *g, unsigned outing);
void scopes_ask(struct graph *g, unsigned outing);
void scopes_close(struct graph *g, unsigned outing);

/* retries.c: a node that is tried again, and what its function tries. */
shunt_future *retries_submit(struct graph *g, unsigned n);
void retries_use(const struct job *job, const uint32_t *shared);
const char *retries_name(const struct node *node);
/* How many attempts there are at most, and are if none is late or asked. */
unsigned retries_limit(const struct node *node);
unsigned retries_made(const struct node *node);
/* What attempt number `run` of those that run comes to: 0, or a code. */
int retries_outcome(const struct node *node, unsigned run);
/* A cancel of node n has returned that it may help. */
void retries_cancelled(struct graph *g, unsigned n);
/* The error of node n, and what became of it. */
void retries_check_error(struct graph *g, unsigned n, const shunt_error *e);
void retries_check(struct graph *g, unsigned n);

/* queues.c: those of threads, from their making to their end; and those of
 * functions. An act is one of a builder or observer. */
void queues_make(struct graph *g);
void queues_act(struct graph *g, const struct action *a);
/* Free those that are left; late: all pools have been shut down, or freed. */
void queues_end(struct graph *g);
void queues_use(const struct job *job);
void queues_check(struct graph *g);

/* heed.c: a function and what cancels it, at its begin, on its
 * way, and at its end. */
void heed_begin(const struct job *job);
void heed_midway(const struct job *job);
void heed_end(const struct job *job);
/* Commit, if that is due; not 0: it is too late. */
int heed_commit(const struct job *job, enum commit now);
void heed_check(struct graph *g, unsigned n);

/* recipe.c: the future that the function of node n returns, made in a task. */
shunt_future *recipe_make(const struct job *job);

/* check.c: what does not hold ends the program. Whether the reference holds for
 * what nodes become; and whether all runs to its end besides. */
bool check_outcomes(const struct graph *g);
bool check_strictly(const struct graph *g);
/* What must hold also while a shutdown that cancels goes on. */
bool check_closed(const struct graph *g);
/* An outcome as a number. */
unsigned check_success(const struct graph *g, unsigned origin);
unsigned check_failure(int code, int task_code);
/* The outcome of node n, if it has one, through a handle. */
void check_outcome(struct graph *g, unsigned n, shunt_future *h);
/* A value that a function got from node n. */
void check_value(struct graph *g, unsigned n, enum shape shape,
                 const void *value);
/* A failure that a function got from node n. */
void check_error(struct graph *g, unsigned n, const shunt_error *error);
/* What became of everything, after the pools are gone. */
void check_counts(struct graph *g);
void value_make(const struct graph *g, unsigned n, enum shape shape, void *out);

/* play.c: run a plan. */
void play(struct graph *g);
/* A handle of node n for one of its uses, once it was built. */
shunt_future *play_take_handle(struct graph *g, unsigned n, unsigned use);
/* Give it back; or take or join it, and check what comes with it. */
void play_give_back(struct graph *g, unsigned n, shunt_future *h);
void play_take_at_once(struct graph *g, unsigned n, shunt_future *h,
                       bool joins);

/* storm.c: hit workers from now on, until told otherwise. */
struct killer {
    struct graph *graph;
    pthread_t thread;
    atomic_bool over;
};
void storm_begin(struct killer *killer, struct graph *g);
void storm_end(struct killer *killer);
/* The storm is over: until all that died has been repaired. */
struct sh_pool;
void storm_await_repair(struct graph *g, struct sh_pool *pool);
/* In the function of a node: end, if it is doomed. */
void storm_doom(const struct job *job);
/* Node n itself has crashed, it says: whether that can be. */
void storm_blame(struct graph *g, unsigned n, const shunt_error *error);
/* What was to be dropped was not, it seems: whether its process can have been
 * hit as it began to. A rare thing, which is counted. */
bool storm_cuts(const struct graph *g);
/* All pools are gone: whether they left descriptors, threads, processes or
 * mappings of the host; then what, in words. */
bool storm_leaves(char *text, size_t size);

/* shared.c: memory that tasks see where they run, zeroed. To be opened before
 * there is a process pool; NULL if it is used up. Reset: all is given back. */
bool shared_open(void);
void *shared_new(size_t bytes);
void shared_free(void *what);
void shared_reset(void);
/* Whether this is no worker process; and whether one has found a fault. */
bool shared_is_host(void);
void shared_fail(void);
bool shared_has_failed(void);

/* graph_fuzz.c: say what is wrong, and end the program. */
_Noreturn void fuzz_fail(struct graph *g, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* audit.c: nothing of the pools is in use any more; and what there is. */
void audit_pools(struct graph *g);
void audit_dump(shunt_pool *pool);
/* Whether a handle stands for a code, and not for a record. */
bool audit_is_reserved(shunt_future *f);

/* Pools that have worker processes have threads, too. */
extern bool play_auto;

#endif /* SHUNT_TESTS_FUZZ_GRAPH_H */
