/* SPDX-License-Identifier: MIT */
/*
 * unit/wheel_test.c - the timing wheel, against a list of moments.
 *
 * Goal: what is due comes out, never early and never forgotten, in the order
 * of the moments; the next moment that the wheel names is never too late; a
 * timer that is put off where it stands comes out at its later moment; and a
 * timer is moved a few times, however far away its moment is. Method: random
 * steps over all magnitudes, in ticks of 1 ns and of 2^18 ns, each compared
 * with a plain array; the seed is printed. Then the bounds by themselves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "queue/wheel.h"

enum {
    TIMERS = 300,
    MANY = 4096,
    STEPS = 40000
};

static const unsigned shifts[] = { 0, SH_TICK_SHIFT };

static struct sh_timer timers[MANY + 1];
static struct sh_wheel wheel;
static int64_t now_ns;
static uint64_t seed;

static int open_program(void **state)
{
    const char *text = getenv("SHUNT_TEST_SEED");

    (void)state;
    seed = text != NULL ? strtoull(text, NULL, 0) : 20240229;
    print_message("seed %llu\n", (unsigned long long)seed);
    return 0;
}

static uint64_t next_random(void)
{
    /* splitmix64 (Steele, Lea & Flood 2014). */
    uint64_t z = (seed += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* As many bits as there may be, so that every level has its turn; the moment
 * that lies so far ahead, which is no later than there can be. */
static int64_t random_moment(int64_t from_ns)
{
    uint64_t ahead = next_random() >> (1 + next_random() % 63);
    uint64_t left = (uint64_t)(INT64_MAX - 1 - from_ns);

    return from_ns + (int64_t)(ahead < left ? ahead : left);
}

static struct sh_timer *at(uint32_t index)
{
    return &timers[index];
}

static void set_when(uint32_t index, int64_t when_ns)
{
    atomic_store(&at(index)->when_ns, when_ns);
}

static int64_t when_of(uint32_t index)
{
    return atomic_load(&at(index)->when_ns);
}

static bool is_in(uint32_t index)
{
    return at(index)->slot != SH_NOWHERE;
}

/* Where the ticks are that are not before a moment, and not after it. */
static uint64_t tick_from(int64_t ns)
{
    uint64_t last = ((uint64_t)1 << wheel.shift) - 1;

    return ((uint64_t)ns + last) >> wheel.shift;
}

static uint64_t tick_by(int64_t ns)
{
    return (uint64_t)ns >> wheel.shift;
}

static void begin(unsigned shift, int64_t from_ns)
{
    sh_wheel_init(&wheel, timers, shift, from_ns);
    now_ns = from_ns;
    for (uint32_t i = 1; i <= MANY; i++)
        at(i)->slot = SH_NOWHERE;
}

/* Add one whose moment is set; whether that is still to come is what the wheel
 * says. */
static void add(uint32_t index)
{
    bool to_come = tick_from(when_of(index)) > tick_by(now_ns);

    assert_int_equal(sh_wheel_add(&wheel, index), to_come);
    assert_int_equal(is_in(index), to_come);
}

/* Go on to a moment: what comes out; the latest is the first of the list. */
static uint32_t advance(int64_t to_ns)
{
    now_ns = to_ns;
    return sh_wheel_advance(&wheel, to_ns);
}

/* Go on, and see that just what is due came out, in its order. How many. */
static unsigned advance_and_check(int64_t to_ns)
{
    static bool was_in[MANY + 1];
    unsigned out = 0;
    uint64_t last = UINT64_MAX;

    for (uint32_t i = 1; i <= TIMERS; i++)
        was_in[i] = is_in(i);
    for (uint32_t i = advance(to_ns); i != SH_TIMER_NONE;
         i = atomic_load(&at(i)->link)) {
        assert_true(was_in[i]);
        assert_false(is_in(i));
        assert_true(when_of(i) <= now_ns);
        assert_true(tick_from(when_of(i)) <= last);
        last = tick_from(when_of(i));
        was_in[i] = false;
        out++;
    }
    for (uint32_t i = 1; i <= TIMERS; i++) {
        if (!was_in[i])
            continue;
        assert_true(is_in(i));
        assert_true(tick_from(when_of(i)) > tick_by(now_ns));
    }
    return out;
}

/* The moment at which the wheel wants to go on lies ahead, and no timer is due
 * before it. */
static void check_next(void)
{
    int64_t next_ns = sh_wheel_next(&wheel);
    bool any = false;

    for (uint32_t i = 1; i <= TIMERS; i++) {
        if (!is_in(i))
            continue;
        any = true;
        assert_true(tick_by(next_ns) <= tick_from(when_of(i)));
    }
    assert_true(next_ns > now_ns);
    if (!any)
        assert_true(next_ns == INT64_MAX);
}

static void do_something(void)
{
    uint32_t index = 1 + (uint32_t)(next_random() % TIMERS);
    int64_t next_ns;

    switch (next_random() % 8) {
    case 0:
    case 1:
    case 2:
    case 3:
        if (is_in(index))
            break;
        set_when(index, random_moment(now_ns));
        add(index);
        break;
    case 4:
        if (is_in(index))
            sh_wheel_remove(&wheel, index);
        break;
    case 5: /* as it is done when a timer is set again where it stands */
        if (is_in(index))
            set_when(index, random_moment(when_of(index)));
        break;
    case 6:
        next_ns = sh_wheel_next(&wheel);
        if (next_ns < INT64_MAX - 1)
            (void)advance_and_check(next_ns);
        break;
    default: /* not too far at once, or all is over */
        (void)advance_and_check(
            now_ns + (int64_t)(next_random() >> (28 + next_random() % 36)));
        break;
    }
}

static void what_is_due_comes_out_and_nothing_else(void **state)
{
    (void)state;
    for (int s = 0; s < 2; s++) {
        begin(shifts[s], (int64_t)(next_random() >> 20));
        for (int i = 0; i < STEPS; i++) {
            do_something();
            check_next();
        }
        (void)advance_and_check(INT64_MAX - 1);
    }
}

/* Method: from one moment that the wheel names to the next, with timers all
 * over time, until none is left. */
static void going_from_moment_to_moment_forgets_none(void **state)
{
    (void)state;
    for (int s = 0; s < 2; s++) {
        unsigned in = 0, out = 0;

        begin(shifts[s], (int64_t)(next_random() >> 20));
        for (uint32_t i = 1; i <= TIMERS; i++) {
            set_when(i, random_moment(now_ns));
            add(i);
            in += is_in(i);
        }
        for (unsigned steps = 0; out < in; steps++) {
            int64_t next_ns = sh_wheel_next(&wheel);

            assert_true(next_ns < INT64_MAX);
            assert_true(steps < TIMERS * SH_WHEEL_LEVELS);
            out += advance_and_check(next_ns);
        }
        check_next();
    }
}

/* Goal: nothing wakes before it must. */
static void the_next_moment_is_that_of_a_timer_which_is_alone(void **state)
{
    (void)state;
    for (int s = 0; s < 2; s++) {
        for (int i = 0; i < STEPS; i++) {
            uint64_t tick;

            begin(shifts[s], (int64_t)(next_random() >> (2 + i % 40)));
            set_when(1, random_moment(now_ns));
            add(1);
            if (!is_in(1))
                continue;
            tick = tick_from(when_of(1));
            assert_true(tick_by(sh_wheel_next(&wheel)) == tick ||
                        tick << wheel.shift > INT64_MAX);
            sh_wheel_remove(&wheel, 1);
            check_next();
        }
    }
}

/* Goal: no moment is so late that the wheel wants to go on at once. */
static void the_last_moments_of_all_lie_ahead(void **state)
{
    (void)state;
    for (int s = 0; s < 2; s++) {
        for (int64_t early = 1; early < INT64_MAX / 2; early *= 2) {
            begin(shifts[s], SH_TICK_SHIFT);
            set_when(1, INT64_MAX - early);
            add(1);
            assert_true(is_in(1));
            check_next();
            set_when(1, INT64_MAX - 1);
            check_next();
        }
    }
}

static void a_timer_of_the_past_or_the_present_is_not_put_in(void **state)
{
    (void)state;
    for (int s = 0; s < 2; s++) {
        begin(shifts[s], (int64_t)1 << 40);
        for (int64_t ago = 0; ago < now_ns; ago = ago * 2 + 1) {
            set_when(1, now_ns - ago);
            assert_false(sh_wheel_add(&wheel, 1));
            assert_false(is_in(1));
        }
        set_when(1, INT64_MIN);
        assert_false(sh_wheel_add(&wheel, 1));
        set_when(1, now_ns + 1);
        assert_true(sh_wheel_add(&wheel, 1));
    }
}

/* Method: so many that the wheel does not look at each of them when it says
 * what is next; then it goes on level by level. */
static void a_timer_is_moved_no_more_often_than_there_are_levels(void **state)
{
    (void)state;
    for (int s = 0; s < 2; s++) {
        for (unsigned bits = 1; bits < 62; bits++) {
            unsigned steps = 0, moves = 0, out = 0;
            uint32_t slot;

            begin(shifts[s], 12345);
            for (uint32_t i = 1; i <= MANY; i++) {
                set_when(i, ((int64_t)1 << bits) + now_ns);
                add(i);
            }
            slot = at(MANY)->slot;
            while (is_in(MANY)) {
                uint32_t due = advance(sh_wheel_next(&wheel));

                assert_true(++steps <= SH_WHEEL_LEVELS);
                moves += at(MANY)->slot != slot;
                slot = at(MANY)->slot;
                for (; due != SH_TIMER_NONE; due = atomic_load(&at(due)->link))
                    out++;
            }
            assert_true(moves <= SH_WHEEL_LEVELS);
            assert_int_equal(
                out, tick_from(when_of(1)) > 12345u >> wheel.shift ? MANY : 0);
        }
    }
}

/* Method: one timer is put off again and again, as a deadline is whose
 * record is used again: the wheel comes to it once for each time that it looks.
 */
static void a_timer_that_is_put_off_comes_out_at_its_last_moment(void **state)
{
    (void)state;
    for (int s = 0; s < 2; s++) {
        int64_t step_ns = (int64_t)100 << shifts[s];
        unsigned looks = 0;

        begin(shifts[s], 0);
        set_when(1, step_ns);
        add(1);
        for (int i = 0; i < 1000; i++) {
            int64_t when_ns = now_ns + step_ns;

            set_when(1, when_ns);
            while (sh_wheel_next(&wheel) < now_ns + step_ns / 2) {
                assert_int_equal(advance(sh_wheel_next(&wheel)), SH_TIMER_NONE);
                looks++;
            }
            assert_int_equal(advance(now_ns + step_ns / 2), SH_TIMER_NONE);
            assert_true(is_in(1));
        }
        assert_true(looks <= 2000);
        assert_int_equal(advance(when_of(1)), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_due_comes_out_and_nothing_else),
        cmocka_unit_test(going_from_moment_to_moment_forgets_none),
        cmocka_unit_test(the_next_moment_is_that_of_a_timer_which_is_alone),
        cmocka_unit_test(the_last_moments_of_all_lie_ahead),
        cmocka_unit_test(a_timer_of_the_past_or_the_present_is_not_put_in),
        cmocka_unit_test(a_timer_is_moved_no_more_often_than_there_are_levels),
        cmocka_unit_test(a_timer_that_is_put_off_comes_out_at_its_last_moment),
    };
    return cmocka_run_group_tests(tests, open_program, NULL);
}
