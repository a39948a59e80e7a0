/* SPDX-License-Identifier: MIT */
/*
 * tree_test.c - whoever gives up the root of a tree of futures reaches every
 * leaf of it, through every kind of node and however deep, but for those that
 * somebody else holds.
 *
 * Method. The tree is built of one kind of node, or of all at random (a seed is
 * printed); its leaves are promises that listen, delays, and tasks that are
 * queued behind a task which holds the only worker. A promise is told once; no
 * delay is left for a drain to wait for; no task has started.
 */
#include <stdlib.h>

#include "stage.h"

enum {
    DEPTH_MAX = 6,
    LEAVES_MAX = 1 << DEPTH_MAX
};

/* ---- nodes ---- */

enum node {
    ALL,
    SETTLED,
    SOME_ALL,
    ANY,
    RACE,
    SOME_ONE,
    COMBINES, /* those above take two */
    THEN = COMBINES,
    RECOVER,
    VIA,
    TIMEOUT,
    FINALLY,
    NODES
};

/* The steps run on whatever they find: nothing shall run. */
static int do_not_run(const long *in, long *out)
{
    *out = *in;
    abort();
}
SHUNT_TASK(do_not_run, long, long)

static int do_not_mend(const shunt_error *in, shunt_future **out)
{
    (void)in;
    (void)out;
    abort();
}
SHUNT_TASK(do_not_mend, shunt_error, shunt_future *)

static shunt_future *make_node(shunt_pool *pool, enum node node,
                               shunt_future *const *fs)
{
    static stage_combine *const kinds[COMBINES] = {
        shunt_when_all, shunt_when_all_settled, stage_some_all, shunt_when_any,
        shunt_race,     stage_some_one
    };

    switch (node) {
    case THEN:
        return shunt_then(fs[0], do_not_run);
    case RECOVER:
        return shunt_recover(fs[0], do_not_mend);
    case VIA:
        return shunt_via(pool, fs[0]);
    case TIMEOUT:
        return shunt_timeout(fs[0], SHUNT_S(1000));
    case FINALLY:
        return shunt_finally(fs[0], stage_look_on);
    default:
        return kinds[node](fs, 2);
    }
}

/* ---- leaves ---- */

struct leaf {
    shunt_promise *promise; /* NULL: a delay, or a task */
    struct latch *asked;
    shunt_future *kept; /* another handle, if somebody holds one */
};

struct tree {
    shunt_pool *pool;
    struct stage_hold hold;
    struct tally *ran;
    struct leaf leaves[LEAVES_MAX];
    size_t count;
    size_t keep;    /* the leaf that somebody else holds; or none */
    int node;       /* of which kind; NODES: any */
    bool only_told; /* all leaves listen */
    bool finallies; /* one is among the nodes */
    shunt_future *root;
};

static void hear(void *user)
{
    latch_raise(user);
}

static shunt_future *make_leaf(struct tree *t)
{
    struct leaf *leaf = &t->leaves[t->count];
    shunt_future *f;

    *leaf = (struct leaf){ NULL, NULL, NULL };
    if (t->only_told || t->count % 3 == 0 || t->count == t->keep) {
        struct stage_promise made = stage_promise(t->pool);
        *leaf = (struct leaf){ made.promise, stage_latch(), NULL };
        assert_ok(shunt_promise_on_cancel(made.promise, hear, leaf->asked));
        f = made.future;
    } else if (t->count % 3 == 1) {
        f = shunt_delay(t->pool, SHUNT_S(1));
    } else {
        f = shunt_submit(t->pool, stage_job, &(struct job){ .ran = t->ran });
    }
    if (t->count++ == t->keep)
        leaf->kept = shunt_retain(f);
    return f;
}

/* Bounded by depth, which is DEPTH_MAX at most. */
static shunt_future *grow(struct tree *t, int depth)
{
    enum node node = t->node < NODES ? (enum node)t->node
                                     : (enum node)(stage_random() % NODES);
    shunt_future *fs[2];

    if (depth == 0)
        return make_leaf(t);
    t->finallies = t->finallies || node == FINALLY;
    fs[0] = grow(t, depth - 1);
    fs[1] = node < COMBINES ? grow(t, depth - 1) : NULL;
    return make_node(t->pool, node, fs);
}

static struct tree tree_of(int workers, int node, int depth, size_t keep,
                           bool only_told)
{
    struct tree t = { .pool = stage_manual_pool(workers, 0),
                      .ran = stage_tally(),
                      .keep = keep,
                      .node = node,
                      .only_told = only_told };

    harness_note("nodes of kind %d, depth %d, leaf %zu is held", node, depth,
                 keep);
    t.hold = stage_hold(t.pool);
    t.root = grow(&t, depth);
    for (size_t i = 0; i < t.count; i++)
        if (t.leaves[i].asked != NULL)
            assert_long(latch_level(t.leaves[i].asked), 0);
    return t;
}

static struct tree tree(int node, int depth, size_t keep, bool only_told)
{
    return tree_of(1, node, depth, keep, only_told);
}

/* All but the one that is held were asked, once. Then the tree ends. */
static void assert_reached(struct tree *t)
{
    for (size_t i = 0; i < t->count; i++) {
        struct leaf *leaf = &t->leaves[i];
        bool held = leaf->kept != NULL;

        if (leaf->promise == NULL)
            continue;
        assert_long(latch_level(leaf->asked), !held);
        if (!held)
            assert_ok(shunt_promise_drop(leaf->promise));
    }
    for (size_t i = 0; i < t->count; i++) {
        struct leaf *leaf = &t->leaves[i];

        if (leaf->kept == NULL)
            continue;
        assert_status(shunt_status(leaf->kept), SHUNT_PENDING);
        stage_give(leaf->promise, 3);
        assert_takes(leaf->kept, 3);
    }
    stage_let(t->hold);
    /* The clock stands still: no delay may be left. */
    assert_ok(
        shunt_pool_shutdown(t->pool, SHUNT_DRAIN, harness_patience(), NULL));
    assert_long(tally_of(t->ran), 0);
    harness_free(t->pool);
}

/* None was asked. */
static void assert_not_reached(struct tree *t)
{
    for (size_t i = 0; i < t->count; i++)
        assert_long(latch_level(t->leaves[i].asked), 0);
    for (size_t i = 0; i < t->count; i++)
        (void)shunt_promise_drop(t->leaves[i].promise);
}

static size_t leaves_of(int node, int depth)
{
    return node < COMBINES ? (size_t)1 << depth : 1;
}

/* ---- who gives the root up ---- */

static void give_up_by_cancel(struct tree *t)
{
    assert_long(shunt_cancel(t->root), 1);
    if (!t->finallies)
        assert_status(shunt_status(t->root), SHUNT_ECANCELED);
}

/* The handle of the root goes to what gives it up. */
static void give_up_by_race(struct tree *t)
{
    struct stage_promise made = stage_promise(t->pool);
    shunt_future *fs[2] = { t->root, made.future };

    t->root = shunt_race(fs, 2);
    stage_give(made.promise, 1);
    assert_status(shunt_status(t->root), 0);
}

static void give_up_by_failure(struct tree *t)
{
    struct stage_promise made = stage_promise(t->pool);
    shunt_future *fs[2] = { made.future, t->root };

    t->root = shunt_when_all(fs, 2);
    assert_ok(shunt_promise_fail(made.promise, 9, NULL));
    assert_status(shunt_status(t->root), SHUNT_EFAILED);
}

/* A millisecond of a clock on which nothing else is due before a second. */
static void give_up_by_timeout(struct tree *t)
{
    t->root = shunt_timeout(t->root, SHUNT_MS(1));
    stage_advance(t->pool, SHUNT_MS(1));
    assert_status(shunt_status(t->root), SHUNT_ETIMEDOUT);
}

static int wait_for_it(shunt_future *const *in, long *out)
{
    (void)out;
    return shunt_join(*in);
}
SHUNT_TASK(wait_for_it, shunt_future *, long)

static void (*const ways[])(struct tree *) = {
    give_up_by_cancel, give_up_by_race, give_up_by_failure, give_up_by_timeout
};
enum {
    WAYS = sizeof ways / sizeof ways[0]
};

/* ---- the claims ---- */

/* The next depth to try. A pool of processes takes its time, and has the least
 * depths and the greatest only. */
static int deeper(int depth)
{
    bool fewer = harness_isolated() && !harness_thorough();

    return fewer && depth == 2 ? DEPTH_MAX : depth + 1;
}

static void try_depths(int node)
{
    for (int way = 0; way < WAYS; way++) {
        for (int depth = 1; depth <= DEPTH_MAX; depth = deeper(depth)) {
            for (int told = 0; told < 2; told++) {
                struct tree t = tree(node, depth, SIZE_MAX, told != 0);
                assert_long((long)t.count, (long)leaves_of(node, depth));
                ways[way](&t);
                assert_reached(&t);
            }
        }
    }
}

static void giving_up_reaches_the_leaves_of_when_all(void)
{
    try_depths(ALL);
}

static void giving_up_reaches_the_leaves_of_when_all_settled(void)
{
    try_depths(SETTLED);
}

static void giving_up_reaches_the_leaves_of_when_some(void)
{
    try_depths(SOME_ALL);
    try_depths(SOME_ONE);
}

static void giving_up_reaches_the_leaves_of_when_any(void)
{
    try_depths(ANY);
}

static void giving_up_reaches_the_leaves_of_race(void)
{
    try_depths(RACE);
}

static void giving_up_reaches_the_leaf_of_steps(void)
{
    try_depths(THEN);
    try_depths(RECOVER);
    try_depths(FINALLY);
}

static void giving_up_reaches_the_leaf_of_via(void)
{
    try_depths(VIA);
}

static void giving_up_reaches_the_leaf_of_timeouts(void)
{
    try_depths(TIMEOUT);
}

static void giving_up_spares_the_leaf_that_is_held(void)
{
    for (int node = 0; node < NODES; node++) {
        for (int depth = 1; depth <= 3; depth++) {
            for (size_t leaf = 0; leaf < leaves_of(node, depth); leaf++) {
                struct tree t = tree(node, depth, leaf, false);
                ways[(node + depth) % WAYS](&t);
                assert_reached(&t);
            }
        }
    }
}

static void giving_up_reaches_the_leaves_of_any_tree(void)
{
    int rounds = (int)harness_pools(400);

    harness_limit(120);
    for (int i = 0; i < rounds; i++) {
        int depth = 1 + (int)(stage_random() % DEPTH_MAX);
        size_t keep = stage_random() % 2 == 0
                          ? SIZE_MAX
                          : (size_t)(stage_random() % LEAVES_MAX);
        struct tree t = tree(NODES, depth, keep, stage_random() % 2 == 0);
        ways[stage_random() % WAYS](&t);
        assert_reached(&t);
    }
}

/* Releasing is not giving up: everything comes to its end by itself. */
static void releasing_the_root_reaches_nobody(void)
{
    for (long i = harness_pools(50); i > 0; i--) {
        struct tree t = tree(NODES, 3, SIZE_MAX, true);
        assert_ok(shunt_release(t.root));
        assert_not_reached(&t);
        stage_let(t.hold);
        harness_free(t.pool);
    }
}

/* Method: the task that waits for the root is asked; it gives its handle back,
 * and does not ask further. It is of the tree's pool, which has a worker that
 * is not held, or of another one. */
static void is_left_alone_by_a_task(bool of_another_pool)
{
    for (int node = 0; node < NODES; node++) {
        struct tree t = tree_of(2, node, 2, SIZE_MAX, true);
        shunt_pool *pool = of_another_pool ? harness_pool(1) : t.pool;
        shunt_future *waits = shunt_submit(pool, wait_for_it, &t.root);
        assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
        assert_long(shunt_cancel(waits), 1);
        assert_joins(waits, SHUNT_ECANCELED);
        assert_not_reached(&t);
        stage_let(t.hold);
        harness_free(t.pool);
        if (of_another_pool)
            harness_free(pool);
    }
}

static void a_task_that_is_cancelled_leaves_alone_what_it_waits_for(void)
{
    is_left_alone_by_a_task(false);
}

static void so_it_does_what_is_of_another_pool(void)
{
    is_left_alone_by_a_task(true);
}

static const struct CMUnitTest claims[] = {
    CLAIM(giving_up_reaches_the_leaves_of_when_all),
    CLAIM(giving_up_reaches_the_leaves_of_when_all_settled),
    CLAIM(giving_up_reaches_the_leaves_of_when_some),
    CLAIM(giving_up_reaches_the_leaves_of_when_any),
    CLAIM(giving_up_reaches_the_leaves_of_race),
    CLAIM(giving_up_reaches_the_leaf_of_steps),
    CLAIM(giving_up_reaches_the_leaf_of_via),
    CLAIM(giving_up_reaches_the_leaf_of_timeouts),
    CLAIM(giving_up_spares_the_leaf_that_is_held),
    CLAIM(giving_up_reaches_the_leaves_of_any_tree),
    CLAIM(releasing_the_root_reaches_nobody),
    CLAIM(a_task_that_is_cancelled_leaves_alone_what_it_waits_for),
    CLAIM_OF_THREADS(so_it_does_what_is_of_another_pool),
};

HARNESS_MAIN(claims)
