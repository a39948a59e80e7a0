/* SPDX-License-Identifier: MIT */
/*
 * queue/wheel.c - a hierarchical timing wheel: a timer goes in and out in
 * constant time, however many there are.
 *
 *     level 2   [ ][ ][ ][ ]...   64 slots of 4096 ticks
 *     level 1   [ ][x][ ][ ]...   64 slots of 64 ticks
 *     level 0   [ ][ ][x][x]...   64 slots of a tick
 *                  ^ now
 *
 * Idea. A moment is a number of ticks, read as digits of six bits. A timer
 * stands at the level of the highest digit in which it differs from now, in
 * the slot which that digit names. When now reaches the slot, its timers are
 * put in anew: they differ from now in a lower digit then, or are due. So a
 * timer is moved once a level at most, and the slots before the digit of now
 * are empty. A word of bits a level says which slots are not: the lowest
 * level that has one has the earliest.
 *
 * Edges. None: one thread uses it.
 *
 * Crash. The wheel is private to the timekeeper, a thread of the host, whose
 * death ends the pool. It can be built again from the timers.
 *
 * After Varghese and Lauck (SOSP 1987), scheme 7; absolute digits and the bits
 * as in Tokio's and the Linux kernel's.
 */
#include "queue/wheel.h"

#include <string.h>

#include "base/assert.h"

#define DIGIT 6u
#define LOOK_MAX 16u /* timers of a slot that next looks at */

static uint32_t link_of(const struct sh_timer *t)
{
    return sh_load_rlx(&t->link); /* relaxed: in the wheel it is ours */
}

static void set_link(struct sh_timer *t, uint32_t to)
{
    sh_store_rlx(&t->link, to); /* relaxed: in the wheel it is ours */
}

/* The first tick at which a timer's moment has come: it is never early. */
static uint64_t tick_of(const struct sh_wheel *w, const struct sh_timer *t)
{
    /* relaxed: any moment that it has had since it was put in will do */
    int64_t when_ns = sh_load_rlx(&t->when_ns);
    uint64_t ns = when_ns > 0 ? (uint64_t)when_ns : 0;
    uint64_t rest = ns & (((uint64_t)1 << w->shift) - 1);

    return (ns >> w->shift) + (rest != 0);
}

/* The digit of a tick at a level. */
static unsigned digit(uint64_t tick, unsigned level)
{
    return (unsigned)(tick >> (DIGIT * level)) & (SH_WHEEL_SLOTS - 1);
}

/* The first tick of a slot that lies ahead of now. */
static uint64_t begin_of(const struct sh_wheel *w, unsigned level,
                         unsigned slot)
{
    unsigned shift = DIGIT * (level + 1);
    uint64_t above = shift < 64 ? w->now >> shift << shift : 0;

    return above | (uint64_t)slot << (DIGIT * level);
}

void sh_wheel_init(struct sh_wheel *w, struct sh_timer *timers, unsigned shift,
                   int64_t now_ns)
{
    SH_ASSERT(shift < 64);
    memset(w, 0, sizeof *w);
    w->timers = timers;
    w->shift = shift;
    w->now = (uint64_t)now_ns >> shift;
}

/* The moment at which a tick begins. */
static int64_t moment_of(const struct sh_wheel *w, uint64_t tick)
{
    return tick > (uint64_t)INT64_MAX >> w->shift
               ? INT64_MAX
               : (int64_t)(tick << w->shift);
}

bool sh_wheel_add(struct sh_wheel *w, uint32_t index)
{
    struct sh_timer *t = &w->timers[index];
    uint64_t tick = tick_of(w, t);
    unsigned level, slot;
    uint32_t head;

    SH_ASSERT(index != SH_TIMER_NONE);
    SH_ASSERT(t->slot == SH_NOWHERE);
    if (tick <= w->now)
        return false;
    level = (63u - (unsigned)__builtin_clzll(tick ^ w->now)) / DIGIT;
    slot = digit(tick, level);
    head = w->heads[level][slot];
    SH_ASSERT(level < SH_WHEEL_LEVELS);
    set_link(t, head);
    t->prev = SH_TIMER_NONE;
    t->slot = level * SH_WHEEL_SLOTS + slot + 1;
    if (head != SH_TIMER_NONE)
        w->timers[head].prev = index;
    w->heads[level][slot] = index;
    w->full[level] |= (uint64_t)1 << slot;
    return true;
}

void sh_wheel_remove(struct sh_wheel *w, uint32_t index)
{
    struct sh_timer *t = &w->timers[index];
    unsigned level = (t->slot - 1) / SH_WHEEL_SLOTS;
    unsigned slot = (t->slot - 1) % SH_WHEEL_SLOTS;
    uint32_t next = link_of(t);

    SH_ASSERT(t->slot != SH_NOWHERE);
    if (next != SH_TIMER_NONE)
        w->timers[next].prev = t->prev;
    if (t->prev != SH_TIMER_NONE)
        set_link(&w->timers[t->prev], next);
    else
        w->heads[level][slot] = next;
    if (w->heads[level][slot] == SH_TIMER_NONE)
        w->full[level] &= ~((uint64_t)1 << slot);
    t->slot = SH_NOWHERE;
}

/* The earliest slot that is not empty: its level, SH_WHEEL_LEVELS if there is
 * none. */
static unsigned earliest(const struct sh_wheel *w, unsigned *slot_out)
{
    unsigned level = 0;

    while (level < SH_WHEEL_LEVELS && w->full[level] == 0)
        level++;
    if (level < SH_WHEEL_LEVELS)
        *slot_out = (unsigned)__builtin_ctzll(w->full[level]);
    return level;
}

/* Empty a slot, now that its time has come: what is due goes on the list. */
static uint32_t empty_slot(struct sh_wheel *w, unsigned level, unsigned slot,
                           uint32_t due)
{
    uint32_t index = w->heads[level][slot];

    w->heads[level][slot] = SH_TIMER_NONE;
    w->full[level] &= ~((uint64_t)1 << slot);
    while (index != SH_TIMER_NONE) {
        struct sh_timer *t = &w->timers[index];
        uint32_t next = link_of(t);

        t->slot = SH_NOWHERE;
        if (!sh_wheel_add(w, index)) {
            set_link(t, due);
            due = index;
        }
        index = next;
    }
    return due;
}

uint32_t sh_wheel_advance(struct sh_wheel *w, int64_t now_ns)
{
    uint64_t now = (uint64_t)now_ns >> w->shift;
    uint32_t due = SH_TIMER_NONE;
    unsigned level, slot;

    while ((level = earliest(w, &slot)) < SH_WHEEL_LEVELS) {
        uint64_t begin = begin_of(w, level, slot);

        if (begin > now)
            break;
        SH_ASSERT(begin > w->now);
        w->now = begin;
        due = empty_slot(w, level, slot, due);
    }
    if (now > w->now)
        w->now = now;
    return due;
}

int64_t sh_wheel_next(const struct sh_wheel *w)
{
    unsigned slot, seen = 0;
    unsigned level = earliest(w, &slot);
    uint64_t begin, next;

    if (level == SH_WHEEL_LEVELS)
        return INT64_MAX;
    begin = begin_of(w, level, slot);
    if (level == 0)
        return moment_of(w, begin);
    /* A timer may have been put off since it was put in; what is in the next
     * slot has not been looked at. */
    next = begin + ((uint64_t)1 << (DIGIT * level));
    for (uint32_t i = w->heads[level][slot]; i != SH_TIMER_NONE;) {
        const struct sh_timer *t = &w->timers[i];

        /* There are many: look again when their slot begins. */
        if (++seen > LOOK_MAX)
            return moment_of(w, begin);
        if (tick_of(w, t) < next)
            next = tick_of(w, t);
        i = link_of(t);
    }
    return moment_of(w, next > begin ? next : begin);
}
