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

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <shunt/shunt.h>

enum {
    NODES_MAX = 64, /* a set of nodes is a word */
    INPUTS_MAX = 6,
    USES_MAX = 14,
    ACTIONS_MAX = 1024,
    BUILDERS_MAX = 3,
    OBSERVERS_MAX = 2,
    POOLS_MAX = 2,
    CHILDREN_MAX = 12,
    RECIPES = 10, /* of a function that returns a future */
    RECIPE_FAILS = 6,
    FAILURES = 100 /* failure codes begin here */
};

enum op {
    OP_TASK,
    OP_FLAT,
    OP_PROMISE,
    OP_MAP,
    OP_MAP_SETTLED,
    OP_THEN,
    OP_THEN_FLAT,
    OP_RECOVER,
    OP_FINALLY,
    OP_VIA,
    OP_ALL,
    OP_SETTLED,
    OP_ANY,
    OP_RACE,
    OP_SOME,
    OPS
};

/* What the value of a node is. */
enum shape {
    SHAPE_SMALL,
    SHAPE_BIG,
    SHAPE_RESULTS,
    SHAPE_WINNER
};

/* A value says which node's function made it. */
struct small {
    uint32_t origin, check;
};
struct big {
    struct small small;
    unsigned char rest[190]; /* too many for a record */
    _Alignas(32) unsigned char end;
};

/* How a function that runs in a pool treats the tasks that it submits. */
enum brood {
    BROOD_NONE,
    BROOD_KEEP,    /* holds their handles when it ends */
    BROOD_RELEASE, /* gives them back at once */
    BROOD_JOIN,
    BROOD_TAKE, /* with their memory */
    BROOD_ALL,  /* joins a when_all of them */
    BROOD_RACE, /* joins a race of them */
    BROOD_AWAIT_FOR,
    BROOD_MIXED, /* waits for some, and keeps the others */
    BROODS
};

enum giver {
    GIVER_THREAD,
    GIVER_TASK,
    GIVER_DROP,
    GIVER_NEVER
};

enum use_kind {
    USE_INPUT,     /* of node `by`, which consumes the handle */
    USE_LOOK,      /* tasks wait for it; held to the end */
    USE_WITNESS,   /* held beyond the shutdown */
    USE_AWAIT,     /* an observer waits, and gives it back */
    USE_AWAIT_FOR, /* an observer waits for a moment only */
    USE_RELEASE,   /* a builder gives it back at some time */
    USE_CANCEL     /* a builder asks to cancel, and gives it back */
};

struct use {
    enum use_kind kind;
    unsigned by;
};

struct node {
    enum op op;
    enum shape shape;
    unsigned pool, builder;
    unsigned inputs[INPUTS_MAX], input_uses[INPUTS_MAX], input_count;
    unsigned total;    /* inputs of a combinator, fillers included */
    bool fillers_fail; /* also of a map: an element */
    unsigned quorum;
    /* Of the function. */
    bool fails, heeds, allocates, propagates;
    unsigned spins, recipe;
    enum brood brood;
    unsigned children;
    unsigned awaits[2], await_uses[2], await_count;
    int64_t await_ns;
    bool gives_any;
    unsigned gives; /* a promise */
    /* Of a promise. */
    enum giver giver;
    bool hooked;
    struct use uses[USES_MAX];
    unsigned use_count, primary;
};

/* How the pools end. */
enum ending {
    END_DRAIN,
    END_CANCEL,
    END_KILL,
    END_FREE,
    END_STORM
};

enum act {
    ACT_BUILD,
    ACT_USE,
    ACT_GIVE
};
struct action {
    enum act act;
    unsigned node, use, key;
};
struct script {
    struct action actions[ACTIONS_MAX];
    unsigned count;
};

struct plan {
    uint64_t seed;
    unsigned nodes, pools, builders, observers;
    unsigned workers[POOLS_MAX];
    size_t arena_bytes;
    enum ending ending;
    enum shunt_how storm_how;
    unsigned storm_at;
    struct node node[NODES_MAX];
    struct script builder[BUILDERS_MAX], observer[OBSERVERS_MAX];
};

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
    atomic_uint runs, phase, drops, hooks, filler_runs, filler_drops;
    atomic_uint children, children_run;
    atomic_uint seen; /* the first outcome that somebody saw, + 1 */
};

struct graph {
    const struct plan *plan;
    struct reference reference;
    shunt_pool *pools[POOLS_MAX];
    atomic_bool ended; /* a shutdown has begun: it may decide outcomes */
    struct fate fate[NODES_MAX];
};

static inline uint64_t bit(unsigned n)
{
    return (uint64_t)1 << n;
}

/* What the function or giver of node n returns to fail. */
static inline int failure_of(unsigned n)
{
    return (int)n + FAILURES;
}

static inline uint32_t code_bit(int code)
{
    return (uint32_t)1 << (SHUNT_EFAILED - code);
}

static inline bool combines(enum op op)
{
    return op >= OP_ALL;
}

static inline bool is_step(enum op op)
{
    return op >= OP_THEN && op <= OP_VIA;
}

/* Where input number k of a combinator stands; the others are fillers. */
static inline unsigned input_place(const struct node *n, unsigned k)
{
    return k * (n->total / n->input_count);
}

/* plan.c */
void plan_make(struct plan *plan, uint64_t seed, unsigned nodes);
void plan_print(const struct plan *plan);
/* A random number that is the same for the same arguments. */
uint64_t plan_random(uint64_t seed, uint64_t a, uint64_t b);

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

/* behave.c: what the function of a node does, but for its value. */
int behave(const struct job *job);
void behave_begin(const struct job *job);
void behave_end(const struct job *job);
void behave_drop(void *job);

/* recipe.c: the future that the function of node n returns, made in a task. */
shunt_future *recipe_make(const struct job *job);

/* check.c: what does not hold ends the process. */
bool check_strictly(const struct graph *g);
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

/* graph_fuzz.c: say what is wrong, and end the process. */
_Noreturn void fuzz_fail(struct graph *g, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* audit.c: nothing of the pools is in use any more; and what there is. */
void audit_pools(struct graph *g);
void audit_dump(shunt_pool *pool);

#endif /* SHUNT_TESTS_FUZZ_GRAPH_H */
