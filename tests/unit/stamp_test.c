/* SPDX-License-Identifier: MIT */
/*
 * unit/stamp_test.c - stamps that look at the clock now and then.
 *
 * Goal: a stamp is never later than the moment, and what it may be too early by
 * is bounded in uses. Method: threads that are quick, that pause, and that say
 * so, are played by one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <time.h>

#include "task/stamp.h"

enum {
    PAUSE_MS = 60 /* some ticks of any coarse clock */
};

static void pause_ms(long ms)
{
    struct timespec t = { .tv_nsec = ms * 1000000 };

    assert_int_equal(nanosleep(&t, NULL), 0);
}

/* How much too early the next stamp is. */
static uint32_t lag(struct sh_stamp *s)
{
    uint32_t before = sh_stamp_now(), stamp = sh_stamp_take(s);

    assert_true((int32_t)(sh_stamp_now() - stamp) >= 0);
    return (int32_t)(before - stamp) > 0 ? before - stamp : 0;
}

static void a_new_stamp_looks_at_the_clock(void **state)
{
    struct sh_stamp s = { 0 };

    (void)state;
    assert_true(lag(&s) < PAUSE_MS);
}

static void who_says_that_time_passed_is_up_to_date(void **state)
{
    struct sh_stamp s = { 0 };

    (void)state;
    for (int i = 0; i < 1000; i++)
        (void)sh_stamp_take(&s);
    pause_ms(PAUSE_MS);
    sh_stamp_forget(&s);
    assert_true(lag(&s) < PAUSE_MS);
}

static void after_a_pause_only_so_many_are_too_early(void **state)
{
    struct sh_stamp s = { 0 };
    unsigned early = 0;

    (void)state;
    for (int i = 0; i < 1000; i++)
        (void)sh_stamp_take(&s);
    pause_ms(2 * PAUSE_MS);
    while (lag(&s) > PAUSE_MS)
        assert_true(++early < SH_STAMP_USES);
}

static void the_slow_look_each_time(void **state)
{
    struct sh_stamp s = { 0 };

    (void)state;
    (void)sh_stamp_take(&s);
    for (int i = 0; i < 5; i++) {
        pause_ms(PAUSE_MS);
        assert_true(lag(&s) < PAUSE_MS);
    }
}

/* Who has only just begun to be quick is not trusted for long. */
static void trust_grows(void **state)
{
    struct sh_stamp s = { 0 };
    uint32_t most = 0;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        (void)sh_stamp_take(&s);
        /* Of i + 1 uses at most as many again. */
        assert_true(s.left <= i + 1);
        most = s.most > most ? s.most : most;
    }
    assert_int_equal(most, SH_STAMP_USES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_stamp_looks_at_the_clock),
        cmocka_unit_test(who_says_that_time_passed_is_up_to_date),
        cmocka_unit_test(after_a_pause_only_so_many_are_too_early),
        cmocka_unit_test(the_slow_look_each_time),
        cmocka_unit_test(trust_grows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
