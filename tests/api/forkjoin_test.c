/* SPDX-License-Identifier: MIT */
/*
 * forkjoin_test.c - spawned calls: that each runs once, whoever takes it.
 */
#include <sched.h>
#include <string.h>

/* As programs are built that are to be fast; the checks have a test of their
 * own, forkjoin_check_test.c. */
#define NDEBUG
#include <shunt/forkjoin.h>

#include "partner.h"
#include "stage.h"

/* ---- values ---- */

SHUNT_FORK(long, fib, int, n)
{
    shunt_frame(fib) rest;
    long below;

    if (n < 2)
        return n;
    shunt_spawn(fib, rest, n - 1);
    below = shunt_call(fib, n - 2);
    return below + shunt_sync(fib, rest);
}

static int fib_task(const int *n, long *out)
{
    *out = shunt_fork(fib, *n);
    return 0;
}
SHUNT_TASK(fib_task, int, long)

static long fib_of(int n)
{
    long a = 0, b = 1;

    for (; n > 0; n--) {
        long sum = a + b;
        a = b;
        b = sum;
    }
    return a;
}

static void a_recursion_has_the_value_that_it_has_as_calls(void)
{
    for (int workers = 1; workers <= 8; workers *= 2) {
        shunt_pool *pool = harness_pool(workers);

        for (int n = 0; n <= 22; n++)
            assert_takes(shunt_submit(pool, fib_task, &n), fib_of(n));
        harness_free(pool);
    }
}

/* Method: small ones, so that thieves come as the owner takes back, and a slot
 * is used again at once. */
static void many_small_forks_lose_no_call(void)
{
    shunt_pool *pool = harness_pool(3);

    harness_limit(120);
    for (long round = partner_rounds(20000); round > 0; round--) {
        int n = 5 + (int)(round % 8);

        assert_takes(shunt_submit(pool, fib_task, &n), fib_of(n));
    }
    harness_free(pool);
}

static void forks_of_many_tasks_go_on_at_the_same_time(void)
{
    enum {
        TASKS = 200
    };
    shunt_pool *pool = harness_pool(4);
    shunt_future *fs[TASKS];

    for (int i = 0; i < TASKS; i++) {
        int n = 8 + i % 12;
        fs[i] = shunt_submit(pool, fib_task, &n);
    }
    for (int i = 0; i < TASKS; i++)
        assert_takes(fs[i], fib_of(8 + i % 12));
    harness_free(pool);
}

struct point {
    double x, y;
    char name[40];
};

SHUNT_FORK(struct point, middle, struct point, a, struct point, b, int, depth,
           char, c, short, s, long, l, double, d, const char *, text)
{
    struct point m = { (a.x + b.x) / 2, (a.y + b.y) / 2, "" };
    shunt_frame(middle) left;
    struct point right, first;

    strcpy(m.name, text);
    if (depth == 0 || c != 'c' || s != -2 || l != 1L << 40 || d != 0.5)
        return m;
    shunt_spawn(middle, left, a, m, depth - 1, c, s, l, d, text);
    right = shunt_call(middle, m, b, depth - 1, c, s, l, d, text);
    first = shunt_sync(middle, left);
    m.x = (first.x + right.x) / 2;
    m.y = (first.y + right.y) / 2;
    return m;
}

static int middle_task(const int *depth, struct point *out)
{
    struct point a = { 0, 0, "" }, b = { 8, 16, "" };

    *out = shunt_fork(middle, a, b, *depth, 'c', -2, 1L << 40, 0.5, "middle");
    return 0;
}
SHUNT_TASK(middle_task, int, struct point)

static void eight_arguments_and_a_structure_come_back(void)
{
    shunt_pool *pool = harness_pool(3);
    struct point m;

    for (int round = 0; round < 20; round++) {
        assert_ok(
            shunt_take(shunt_submit(pool, middle_task, &(int){ 10 }), &m));
        assert_true(m.x == 4 && m.y == 8);
        assert_string_equal(m.name, "middle");
    }
    harness_free(pool);
}

/* ---- no parameters, and many ---- */

SHUNT_FORK_VOID_DECLARE(raise_latch, void)
SHUNT_FORK_DECLARE(long, one, void)

SHUNT_FORK(long, many, long, a, long, b, long, c, long, d, long, e, long, f,
           long, g, long, h, int, i, int, j, int, k, int, l, int, m, int, n,
           short, o, const char *, p)
{
    shunt_frame(many) frames[2];
    long sum;

    if (a == 0)
        return b + 2 * c + 3 * d + 4 * e + 5 * f + 6 * g + 7 * h + 8 * i +
               9 * j + 10 * k + 11 * l + 12 * m + 13 * n + 14 * o + *p;
    shunt_spawn(many, frames[1], a - 1, b, c, d, e, f, g, h, i, j, k, l, m, n,
                o, p);
    sum = shunt_call(many, a - shunt_call(one), b, c, d, e, f, g, h, i, j, k, l,
                     m, n, o, p);
    return sum + shunt_sync(many, frames[1]);
}

SHUNT_FORK(long, nine, long, a, long, b, long, c, long, d, long, e, long, f,
           long, g, long, h, long, i)
{
    return a - b + c - d + e - f + g - h + i;
}

SHUNT_FORK_DEFINE(long, one, void)
{
    return 1;
}

SHUNT_FORK_VOID_DEFINE(raise_latch, void)
{
    latch_raise(stage_shown(STAGE_OF_TEST));
}

SHUNT_FORK(long, of_none, void)
{
    shunt_frame(one) ones[20];
    struct {
        shunt_frame(raise_latch) frame;
    } latches[2];
    long sum = shunt_call(one);

    for (int i = 0; i < 20; i++)
        shunt_spawn(one, ones[i]);
    shunt_spawn(raise_latch, latches[1].frame);
    shunt_call(raise_latch);
    shunt_sync(raise_latch, latches[1].frame);
    for (int i = 20; i-- > 0;)
        sum += shunt_sync(one, ones[i]);
    return sum;
}

static int none_task(const shunt_none *in, long *out)
{
    (void)in;
    *out = shunt_fork(of_none) +
           1000 * shunt_fork(nine, 90, 8, 7, 6, 5, 4, 3, 2, 1);
    shunt_fork(raise_latch);
    return 0;
}
SHUNT_TASK(none_task, shunt_none, long)

static int many_task(const long *depth, long *out)
{
    *out = shunt_fork(many, *depth, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13,
                      14, "x");
    return 0;
}
SHUNT_TASK(many_task, long, long)

static void a_call_has_any_number_of_arguments_up_to_sixteen(void)
{
    for (int workers = 1; workers <= 4; workers *= 2) {
        shunt_pool *pool = harness_pool(workers);
        struct latch *latch = stage_latch();
        long sum = 'x';

        stage_show(STAGE_OF_TEST, latch);
        assert_takes(shunt_submit(pool, none_task, NULL), 21 + 1000 * 86);
        assert_long(latch_level(latch), 3);
        for (long i = 1; i <= 14; i++)
            sum += i * i;
        assert_takes(shunt_submit(pool, many_task, &(long){ 10 }), sum << 10);
        harness_free(pool);
    }
}

/* ---- several before a sync, and without a result ---- */

enum {
    WIDE = 50
};

SHUNT_FORK_VOID_DECLARE(even, unsigned char *, counts, long, from, long, until)
SHUNT_FORK_VOID_DECLARE(odd, unsigned char *, counts, long, from, long, until)

SHUNT_FORK_VOID_DEFINE(even, unsigned char *, counts, long, from, long, until)
{
    shunt_frame(odd) parts[WIDE];
    long step = (until - from + WIDE - 1) / WIDE;
    int n = 0;

    if (until - from <= 3) {
        for (; from < until; from++)
            counts[from]++;
        return;
    }
    for (; from < until; from += step, n++)
        shunt_spawn(odd, parts[n], counts, from,
                    from + step < until ? from + step : until);
    while (n-- > 0)
        shunt_sync(odd, parts[n]);
}

SHUNT_FORK_VOID_DEFINE(odd, unsigned char *, counts, long, from, long, until)
{
    shunt_frame(even) other;

    if (until - from < 2) {
        shunt_call(even, counts, from, until);
        return;
    }
    shunt_spawn(even, other, counts, (from + until) / 2, until);
    shunt_call(even, counts, from, (from + until) / 2);
    shunt_sync(even, other);
}

struct counting {
    unsigned char *counts;
    long n;
};

static int count_task(const struct counting *in, shunt_none *out)
{
    (void)out;
    shunt_fork(even, in->counts, 0, in->n);
    return 0;
}
SHUNT_TASK(count_task, struct counting, shunt_none)

static void spawns_in_loops_each_run_once(void)
{
    struct counting in = { stage_bytes(100000), 100000 };
    shunt_pool *pool = harness_pool(4);

    for (int round = 1; round <= 10; round++) {
        assert_joins(shunt_submit(pool, count_task, &in), 0);
        for (long i = 0; i < in.n; i++)
            assert_long(in.counts[i], round);
    }
    harness_free(pool);
}

/* ---- deep ---- */

enum {
    DEEP = 200000
};

SHUNT_FORK(long, down, long, n)
{
    shunt_frame(down) one;
    long sum;

    if (n <= 0)
        return 1 - n;
    shunt_spawn(down, one, 0);
    sum = shunt_call(down, n - 1);
    return sum + shunt_sync(down, one);
}

static int down_task(const long *n, long *out)
{
    *out = shunt_fork(down, *n);
    return 0;
}
SHUNT_TASK(down_task, long, long)

/* Goal: more open calls than the deque has slots are no fewer calls. The stack
 * of ThreadSanitizer is not as deep, and it leaves fewer addresses for both
 * sides of an auto pool. */
static void deeper_than_the_deque_nothing_is_lost(void)
{
    long deep = DEEP / (long)harness_slowness();
    size_t bytes = harness_slowness() == 1 ? 256 << 20 : 128 << 20;
    shunt_pool *pool = NULL;

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = 2, .stack_bytes = bytes }));
    for (int round = 0; round < 2; round++)
        assert_takes(shunt_submit(pool, down_task, &deep), deep + 1);
    harness_free(pool);
}

/* ---- outside of tasks ---- */

static int fork_in_hook(const shunt_none *in, shunt_promise *const *ctx,
                        long *out)
{
    (void)in;
    (void)ctx;
    *out = shunt_fork(fib, 12);
    return 0;
}
SHUNT_STEP(fork_in_hook, shunt_none, shunt_promise *, long)

static void outside_of_tasks_it_is_a_call(void)
{
    assert_long(shunt_fork(fib, 15), fib_of(15));
}

static void a_step_forks_as_any_task(void)
{
    shunt_pool *pool = harness_pool(2);
    struct stage_promise unused = stage_promise(pool);
    shunt_future *f =
        shunt_then_with(shunt_delay(pool, 1000), fork_in_hook, &unused.promise);

    assert_takes(f, fib_of(12));
    stage_give(unused.promise, 0);
    assert_takes(unused.future, 0);
    harness_free(pool);
}

/* ---- random trees ---- */

/* Draws what a node does from its name alone. */
static uint64_t draw(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u; /* Steele et al., SplitMix (OOPSLA 2014) */
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static long serial_tree(uint64_t name, int depth)
{
    uint64_t state = name;
    long sum = (long)(draw(&state) % 100);
    int children = depth == 0 ? 0 : (int)(draw(&state) % 5);

    for (int i = 0; i < children; i++)
        sum += serial_tree(draw(&state), depth - 1);
    return sum;
}

/* A node may wait for something before its children, between, and after. */
static void dawdle(uint64_t name, int when)
{
    uint64_t state = name + (uint64_t)when;

    switch (draw(&state) % 64) {
    case 0:
        sched_yield();
        break;
    case 1:
        (void)shunt_join(shunt_submit(NULL, stage_nothing, NULL));
        break;
    case 2:
        (void)shunt_join(shunt_delay(NULL, 1));
        break;
    case 3:
        (void)shunt_release(shunt_submit(NULL, fib_task, &(int){ 6 }));
        break;
    case 4:
        (void)shunt_alloc(64);
        break;
    case 5: {
        long value = 0;
        (void)shunt_take(shunt_submit(NULL, fib_task, &(int){ 8 }), &value);
        break;
    }
    default:
        break;
    }
}

SHUNT_FORK(long, tree, uint64_t, name, int, depth)
{
    uint64_t state = name;
    long sum = (long)(draw(&state) % 100);
    int children = depth == 0 ? 0 : (int)(draw(&state) % 5), open = 0;
    shunt_frame(tree) frames[4];

    for (int i = 0; i < children; i++) {
        uint64_t child = draw(&state);

        if (child % 4 == 0)
            sum += shunt_call(tree, child, depth - 1);
        else
            shunt_spawn(tree, frames[open++], child, depth - 1);
        dawdle(name, i);
    }
    while (open > 0) {
        sum += shunt_sync(tree, frames[--open]);
        dawdle(name, 100 + open);
    }
    return sum;
}

static int tree_task(const uint64_t *name, long *out)
{
    *out = shunt_fork(tree, *name, 9);
    return 0;
}
SHUNT_TASK(tree_task, uint64_t, long)

/* Goal: calls that wait, submit and allocate are taken, parked and resumed, and
 * each still has its value. */
static void random_trees_that_wait_have_their_values(void)
{
    enum {
        TREES = 8
    };

    harness_limit(120);
    for (long round = partner_rounds(20) + 1; round > 0; round--) {
        shunt_pool *pool = harness_pool(1 + (int)(round % 4));
        uint64_t names[TREES];
        shunt_future *fs[TREES];

        for (int i = 0; i < TREES; i++) {
            names[i] = stage_random();
            fs[i] = shunt_submit(pool, tree_task, &names[i]);
        }
        for (int i = 0; i < TREES; i++)
            assert_takes(fs[i], serial_tree(names[i], 9));
        harness_free(pool);
    }
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_call_has_any_number_of_arguments_up_to_sixteen),
    CLAIM(a_recursion_has_the_value_that_it_has_as_calls),
    CLAIM(many_small_forks_lose_no_call),
    CLAIM(forks_of_many_tasks_go_on_at_the_same_time),
    CLAIM(eight_arguments_and_a_structure_come_back),
    CLAIM(spawns_in_loops_each_run_once),
    CLAIM(random_trees_that_wait_have_their_values),
    CLAIM(deeper_than_the_deque_nothing_is_lost),
    CLAIM(outside_of_tasks_it_is_a_call),
    CLAIM(a_step_forks_as_any_task),
};

HARNESS_MAIN(claims)
