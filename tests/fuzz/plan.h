/* SPDX-License-Identifier: MIT */
/*
 * fuzz/plan.h - what a graph is, and what is to be done with it: nodes, who
 * uses them, scopes and queues, and the script of each thread.
 */
#ifndef SHUNT_TESTS_FUZZ_PLAN_H
#define SHUNT_TESTS_FUZZ_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include <shunt/shunt.h>

enum {
    NODES_MAX = 64, /* a set of nodes is a word */
    INPUTS_MAX = 6,
    USES_MAX = 16,
    ACTIONS_MAX = 1024,
    BUILDERS_MAX = 3,
    OBSERVERS_MAX = 2,
    POOLS_MAX = 2,
    CHILDREN_MAX = 12,
    OUTINGS_MAX = 4,
    QUEUES_MAX = 3,
    ENTRIES_MAX = 24,
    HELD_MAX = 4,
    FILLERS_MAX = 150, /* of a batch: so many go in some at a time */
    HITS_MAX = 64,
    CULPRITS_MAX = 512,
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
    BROOD_QUEUE,   /* takes them out of a queue: queues.c */
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

/* How a function ends instead of returning: storm.c. */
enum doom {
    DOOM_NONE,
    DOOM_EXIT,
    DOOM_LEAVE,
    DOOM_NULL,
    DOOM_ABORT,
    DOOM_KILL,
    DOOM_OVERFLOW,
    DOOM_EAT,
    DOOM_LOOP, /* until its deadline */
    DOOMS
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
    USE_CANCEL,    /* a builder asks to cancel, and gives it back */
    USE_QUEUE      /* goes through queue `by` */
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
    enum doom doom;
    unsigned retries; /* it is idempotent, if not 0 */
    /* Of a retry, whose span is that of each attempt: the number of attempts,
     * 0 being the default; of those that run, the first that succeeds and one
     * that fails for good, 0 if none does. */
    unsigned attempts, succeeds_at, final_at;
    enum again again;
    int64_t first_ns, cap_ns;
    bool returns;       /* each attempt returns a future */
    unsigned sleeps_at; /* one that waits to be asked; 0 if none does */
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
    ACT_CLOSE,
    ACT_ADD,    /* to a queue; node is its number, use that of the entry */
    ACT_REMOVE, /* take it out again */
    ACT_TAKE,   /* what is there; use says how */
    ACT_AWAIT,  /* whatever comes, until it is freed */
    ACT_LEAVE   /* come to an end with the queue */
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

/* How a queue ends. */
enum queue_end {
    QUEUE_EMPTIED, /* by the observer that it has */
    QUEUE_FREED,   /* early, with what is in it, or will be added */
    QUEUE_LATE,    /* emptied when the pools have been shut down, or freed */
    QUEUE_LEFT,    /* freed then, with what is in it */
    QUEUE_ENDS
};

/* A queue: who takes from it, and what is added. Tags are numbers of entries.
 */
struct queue_plan {
    enum queue_end end;
    unsigned observer;
    bool shared;  /* by other observers, which take as well */
    bool watched; /* its descriptor is */
    bool batch;   /* all is added at once */
    bool removes; /* some entries are taken out again */
    unsigned count;
    struct {
        unsigned node, use;
    } entries[ENTRIES_MAX];
};

struct plan {
    uint64_t seed;
    unsigned nodes, pools, builders, observers, outings, queues;
    unsigned workers[POOLS_MAX];
    int spares[POOLS_MAX];
    bool by_hand[POOLS_MAX]; /* its clock is moved by an actor, */
    bool leaps[POOLS_MAX];   /* sometimes by hours */
    size_t arena_bytes;
    enum ending ending;
    enum shunt_how storm_how;
    bool processes; /* the pools are of processes; and then: */
    bool mortal;    /* some of these may be killed, */
    bool stormy;    /* or end at any moment */
    unsigned storm_at;
    struct node node[NODES_MAX];
    struct outing outing[OUTINGS_MAX];
    struct queue_plan queue[QUEUES_MAX];
    struct script builder[BUILDERS_MAX], observer[OBSERVERS_MAX];
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

/* Whether an attempt of a retry may come to anything, or not begin. */
static inline bool is_unsure(const struct plan *p, const struct node *n)
{
    return p->mortal || may_be_late(p, n);
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
/* Where its pools are to be, and what may happen there. */
enum weather {
    WEATHER_THREADS,
    WEATHER_CALM,  /* processes, none of which is killed */
    WEATHER_MIXED, /* processes; in every other plan some may be */
    WEATHER_STORM  /* processes, which end at any moment */
};
void plan_make(struct plan *plan, uint64_t seed, unsigned nodes,
               enum weather weather);
/* Give node n another span. */
void plan_span(struct plan *plan, unsigned n, enum span span);
/* A random number that is the same for the same arguments. */
uint64_t plan_random(uint64_t seed, uint64_t a, uint64_t b);

/* weather.c, for plans of processes: what they are like; what node i may have
 * for a deadline; what its function does. A span that may come, or none, in
 * place of one that does not, of a node of any plan. */
void weather_begin(struct plan *plan, enum weather weather);
void weather_bound(struct plan *plan, unsigned i);
void weather_behave(struct plan *plan, unsigned i);
void weather_shorten(struct plan *plan, unsigned i);

/* tables.c */
void plan_print(const struct plan *plan);

#endif /* SHUNT_TESTS_FUZZ_PLAN_H */
