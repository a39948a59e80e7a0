/* SPDX-License-Identifier: MIT */
/*
 * step/scenes_fork.c - what workers do while they are stepped: spawned calls.
 *
 * Of two workers one has the task, 0, and the other takes what it spawns: the
 * turns say which of them. Of one, what it spawns runs at its sync.
 */
#define NDEBUG
#include <shunt/forkjoin.h>

#include "tasks.h"

enum {
    LOOKS = 4000
};

/* Until a call has begun; or for a while, since it may never do so before its
 * sync: who was to take it may die. */
static void await_begin(int id)
{
    if (sh_worker_here()->pool->workers == 1)
        return;
    for (int i = 0; i < LOOKS && atomic_load(&board->begun[id]) == 0; i++)
        continue;
}

/* The same of its end, for a shorter while. */
static void linger(int id)
{
    for (int i = 0; i < LOOKS / 8 && atomic_load(&board->ended[id]) == 0; i++)
        continue;
}

SHUNT_FORK(long, part, int, id)
{
    now_begins(id);
    now_ends(id);
    return 20;
}

/* A call that takes its time, so that it is waited for. */
SHUNT_FORK(long, slow_part, int, id)
{
    now_begins(id);
    for (int i = 0; i < LOOKS / 8; i++)
        (void)atomic_load(&board->begun[id]);
    now_ends(id);
    return 20;
}

SHUNT_FORK(long, spawn_one, int, id)
{
    shunt_frame(slow_part) frame;
    long value;

    shunt_spawn(slow_part, frame, id);
    await_begin(id);
    value = shunt_sync(slow_part, frame);
    now_at(0);
    return value + 40;
}

static int fork_does(long *out)
{
    *out = shunt_fork(spawn_one, 1);
    return 0;
}
DO(fork)

/* The call ends while its task is at something else. */
SHUNT_FORK(long, spawn_early, int, id)
{
    shunt_frame(part) frame;

    shunt_spawn(part, frame, id);
    await_begin(id);
    linger(id);
    return shunt_sync(part, frame) + 40;
}

static int fork_early_does(long *out)
{
    *out = shunt_fork(spawn_early, 1);
    now_at(0);
    return 0;
}
DO(fork_early)

/* Who has taken a call spawns one, which who waits for the first may take. */
SHUNT_FORK(long, spawn_more, int, id)
{
    shunt_frame(part) frame;
    long value;

    now_begins(id);
    shunt_spawn(part, frame, id + 1);
    await_begin(id + 1);
    value = shunt_sync(part, frame);
    now_ends(id);
    return value + 10;
}

SHUNT_FORK(long, spawn_deep, int, id)
{
    shunt_frame(spawn_more) frame;
    long value;

    shunt_spawn(spawn_more, frame, id);
    await_begin(id);
    value = shunt_sync(spawn_more, frame);
    now_at(0);
    return value + 30;
}

static int fork_deep_does(long *out)
{
    *out = shunt_fork(spawn_deep, 1);
    return 0;
}
DO(fork_deep)

static void fork_deep_of_three_begins(struct play *p)
{
    fork_deep_begins(p);
    p->roots[0].may_die |= BIT(1) | BIT(2);
}

/* What it has got, a call leaves to its task. */
SHUNT_FORK(long, get_something, int, id)
{
    now_begins(id);
    (void)shunt_alloc(100);
    (void)send(id + 1, 1);
    (void)shunt_fail(3, "said by call %d, and not by its task", id);
    now_ends(id);
    return 20;
}

SHUNT_FORK(long, spawn_rich, int, id)
{
    shunt_frame(get_something) frame;
    long value;

    shunt_spawn(get_something, frame, id);
    await_begin(id);
    value = shunt_sync(get_something, frame);
    now_at(0);
    return value + 40;
}

static int fork_leaves_does(long *out)
{
    *out = shunt_fork(spawn_rich, 1);
    return 0;
}
DO(fork_leaves)

/* Two calls: of one frame that is taken, and one that may be taken next. */
SHUNT_FORK(long, spawn_two, int, id)
{
    shunt_frame(part) one;
    shunt_frame(slow_part) two;
    long value;

    shunt_spawn(part, one, id);
    shunt_spawn(slow_part, two, id + 1);
    await_begin(id);
    value = shunt_sync(slow_part, two);
    value += shunt_sync(part, one);
    now_at(0);
    return value + 20;
}

static __attribute__((noinline)) long spawn_below(void)
{
    return shunt_fork(spawn_two, 1);
}

/* They lie where a stack that is used again is empty: not on its first page. */
static int fork_two_does(long *out)
{
    volatile char room[3 * 4096];

    room[0] = 1;
    *out = spawn_below() + room[0] - 1;
    return 0;
}
DO(fork_two)

static void of_two_begins(struct play *p)
{
    fork_two_begins(p);
    p->roots[0].may_die |= BIT(1) | BIT(2);
}

static void of_one_begins(struct play *p)
{
    fork_begins(p);
    p->roots[0].may_die |= BIT(1);
}

static void early_begins(struct play *p)
{
    fork_early_begins(p);
    p->roots[0].may_die |= BIT(1);
}

static void leaves_begins(struct play *p)
{
    fork_leaves_begins(p);
    p->roots[0].may_die |= BIT(1);
}

/* It runs again as a whole. */
static int fork_again_body(const shunt_none *in, long *out)
{
    (void)in;
    now_begins(0);
    *out = shunt_fork(spawn_one, 1);
    now_ends(0);
    return 0;
}
SHUNT_TASK(fork_again_body, shunt_none, long, .idempotent = true, .retries = 1)

static void again_begins(struct play *p)
{
    now_sent(0);
    expect(p, shunt_submit(p->name, fork_again_body, NULL), 60, BIT(0) | BIT(1))
        ->immune = true;
}

const struct scene scenes_of_calls[] = {
    { "fork", of_one_begins, NULL, 0, 0 },
    { "fork_early", early_begins, NULL, 0, 0 },
    { "fork_two", of_two_begins, NULL, 0, 0 },
    { "fork_deep", fork_deep_of_three_begins, NULL, 0, 0 },
    { "fork_leaves", leaves_begins, NULL, 0x4, 0 },
    { "fork_again", again_begins, NULL, 0, 0x3 },
    { NULL, NULL, NULL, 0, 0 },
};
