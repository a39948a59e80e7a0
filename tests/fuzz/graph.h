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
    OUTINGS_MAX = 4,
    FAILURES = 100 /* failure codes begin here */
};

enum op {
    OP_TASK,
    OP_FLAT,
    OP_PROMISE,
    OP_MAP,
    OP_MAP_SETTLED,
    OP_RETRY,
    OP_DELAY,
    OP_THEN,
    OP_THEN_FLAT,
    OP_RECOVER,
    OP_FINALLY,
    OP_VIA,
    OP_TIMEOUT,
    OP_ALL,
    OP_SETTLED,
    OP_ANY,
    OP_RACE,
    OP_SOME,
    OPS
};

/* What is known of an operation: tables.c. */
struct op_traits {
    const char *name;
    unsigned weight; /* how often it is drawn */
    bool step;       /* has one input, and goes on from its outcome */
    bool combines;   /* has inputs and fillers */
    bool runs;       /* a function of its own */
    bool submitted;  /* may have a deadline */
};
extern const struct op_traits op_traits[OPS];

/* What the value of a node is. Only that of the first two says who made it. */
enum shape {
    SHAPE_SMALL,
    SHAPE_BIG,
    SHAPE_RESULTS,
    SHAPE_WINNER,
    SHAPE_NONE
};

/* How long a delay is, or how far away a deadline. */
enum span {
    SPAN_NONE,   /* there is none */
    SPAN_PAST,   /* 0, or less */
    SPAN_SHORT,  /* it comes, sooner or later than anything else */
    SPAN_LONG,   /* it does not come, unless the clock leaps */
    SPAN_ENDLESS /* it never comes */
};

/* The ways in which a function makes the future that it returns: recipe.c. */
enum recipe {
    RECIPE_LEAF,
    RECIPE_MENDED,
    RECIPE_ALL,
    RECIPE_PROMISE,
    RECIPE_RACE,
    RECIPE_NESTED,
    RECIPE_FAILS,
    RECIPE_ANY,
    RECIPE_VIA,
    RECIPE_RETAINED,
    RECIPE_DELAYED,
    RECIPE_IN_TIME,
    RECIPES
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
    BROOD_MIXED,   /* waits for some, and keeps the others */
    BROOD_STEPS,   /* joins a step on each */
    BROOD_MAP,     /* joins a map of them */
    BROOD_DELAY,   /* joins delays, keeps some, races some with a task */
    BROOD_TIMEOUT, /* joins a timeout over each */
    BROOD_ABROAD,  /* submits them to the other pool */
    BROOD_BOUND,   /* gives them deadlines of their own */
    BROOD_CANCEL,  /* cancels some */
    BROOD_HEIRS,   /* has them leave memory to code that runs on */
    BROOD_SCOPE,   /* submits them in scopes: scopes.c */
    BROOD_RETRY,   /* has them tried again */
    BROODS
};

/* What a function does with its shunt_cancel_future. */
enum heed {
    HEED_NONE,
    HEED_DROP,    /* gives it back at once */
    HEED_HOLD,    /* has it when it ends */
    HEED_AWAIT,   /* waits for it */
    HEED_RACE,    /* races it with a task */
    HEED_THEN,    /* has a task run if it is asked */
    HEED_FINALLY, /* has its outcome noted */
    HEEDS
};

/* When a function calls shunt_commit. */
enum commit {
    COMMIT_NEVER,
    COMMIT_FIRST,
    COMMIT_MIDWAY,
    COMMIT_LAST,
    COMMITS
};

/* Whether a retry goes on after a failure. */
enum again {
    AGAIN_DEFAULT,
    AGAIN_ALWAYS,
    AGAIN_ONCE, /* after the first one only */
    AGAIN_NEVER,
    AGAINS
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
    enum span delays;  /* every other filler is a delay of that length */
    unsigned quorum;
    /* Of a delay, a timeout, what has a deadline, or whose attempts have. */
    enum span span;
    int64_t span_ns;
    /* Of the function. */
    bool fails, heeds, allocates, propagates;
    unsigned spins;
    unsigned lingers_us; /* it runs on for a while, if it does not heed */
    enum recipe recipe;
    enum heed heed;
    enum commit commits;
    enum brood brood;
    unsigned children;
    unsigned awaits[2], await_uses[2], await_count;
    int64_t await_ns;
    bool gives_any;
    unsigned gives; /* a promise */
    /* Of a retry, whose span is that of each attempt: the number of attempts,
     * 0 being the default; of those that run, the first that succeeds and one
     * that fails for good, 0 if none does. */
    unsigned attempts, succeeds_at, final_at;
    enum again again;
    int64_t first_ns, cap_ns;
    bool returns; /* each attempt returns a future */
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
    ACT_GIVE,
    ACT_OPEN, /* a scope of threads; node is its number */
    ACT_ASK,  /* cancel it */
    ACT_CLOSE
};
struct action {
    enum act act;
    unsigned node, use, key;
};
struct script {
    struct action actions[ACTIONS_MAX];
    unsigned count;
};

/* A scope that a builder opens and an observer closes. */
struct outing {
    unsigned pool;
    bool asked; /* another builder cancels it */
    bool races; /* it may be closed while members are submitted */
};

struct plan {
    uint64_t seed;
    unsigned nodes, pools, builders, observers, outings;
    unsigned workers[POOLS_MAX];
    int spares[POOLS_MAX];
    bool by_hand[POOLS_MAX]; /* its clock is moved by an actor, */
    bool leaps[POOLS_MAX];   /* sometimes by hours */
    size_t arena_bytes;
    enum ending ending;
    enum shunt_how storm_how;
    unsigned storm_at;
    struct node node[NODES_MAX];
    struct outing outing[OUTINGS_MAX];
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
    /* When it was made, at the earliest and at the latest. */
    int64_t begun_ns, built_ns;
    atomic_uint runs, phase, drops, hooks, filler_runs, filler_drops;
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
    atomic_uint under_way; /* attempts of a retry */
    atomic_uint tries;     /* of retries that its function makes */
};

/* How much of what is rare there was, over all seeds. */
struct census {
    atomic_ulong timed_out, given_up, stand_ins, committed, told, moves;
    atomic_ulong scopes, retries;
};
extern struct census census;

struct graph {
    const struct plan *plan;
    struct reference reference;
    shunt_pool *pools[POOLS_MAX];
    /* Of a clock that is moved by hand: where it stands at least, at most. */
    _Atomic int64_t served_ns[POOLS_MAX], moved_ns[POOLS_MAX];
    atomic_bool ended; /* a shutdown has begun: it may decide outcomes */
    _Atomic(struct troop *) outings[OUTINGS_MAX];
    atomic_uint recruits, discharged; /* members of scopes, and their drops */
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
    return op_traits[op].combines;
}

static inline bool is_step(enum op op)
{
    return op_traits[op].step;
}

static inline bool is_map(enum op op)
{
    return op == OP_MAP || op == OP_MAP_SETTLED;
}

/* Whether the moment that node n has set itself may come. */
static inline bool may_come(const struct plan *p, const struct node *n)
{
    return n->span == SPAN_PAST || n->span == SPAN_SHORT ||
           (n->span == SPAN_LONG && p->leaps[n->pool]);
}

/* Whether node n may be ended by a deadline or timeout of its own. */
static inline bool may_be_late(const struct plan *p, const struct node *n)
{
    return n->op != OP_DELAY && may_come(p, n);
}

/* Whether it never begins. */
static inline bool is_refused(const struct node *n)
{
    return op_traits[n->op].submitted && n->span == SPAN_PAST;
}

/* Whether filler number k of a combinator is a delay. */
static inline bool is_delay(const struct node *n, unsigned k)
{
    return n->delays != SPAN_NONE && k % 2 == 1;
}

/* Where input number k of a combinator stands; the others are fillers. */
static inline unsigned input_place(const struct node *n, unsigned k)
{
    return k * (n->total / n->input_count);
}

/* plan.c */
void plan_make(struct plan *plan, uint64_t seed, unsigned nodes);
/* A span that may come, in place of one that does not. */
void plan_shorten(struct plan *plan, unsigned n);
/* A random number that is the same for the same arguments. */
uint64_t plan_random(uint64_t seed, uint64_t a, uint64_t b);

/* tables.c */
void plan_print(const struct plan *plan);

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
/* The error of node n, and what became of it. */
void retries_check_error(struct graph *g, unsigned n, const shunt_error *e);
void retries_check(struct graph *g, unsigned n);

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

/* check.c: what does not hold ends the process. */
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

/* graph_fuzz.c: say what is wrong, and end the process. */
_Noreturn void fuzz_fail(struct graph *g, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* audit.c: nothing of the pools is in use any more; and what there is. */
void audit_pools(struct graph *g);
void audit_dump(shunt_pool *pool);
/* Whether a handle stands for a code, and not for a record. */
bool audit_is_reserved(shunt_future *f);

#endif /* SHUNT_TESTS_FUZZ_GRAPH_H */
