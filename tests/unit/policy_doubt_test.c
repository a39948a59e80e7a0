/* SPDX-License-Identifier: MIT */
/*
 * unit/policy_doubt_test.c - what a trial has measured is not believed at once.
 *
 * Goal: each of these rules of place/policy.h, at its boundaries: steps in
 * which a kind ran at both sites, trials that differ from step to step, what is
 * long and has to win twice, and what it costs to be woken from the other site.
 * Method: as policy_trials_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kind.h"

/* A step in which so many of the runs were at the other site, and took ns. */
static enum sh_reason step_mixed(uint64_t away, uint64_t ns)
{
    struct sh_measures m = measures();
    struct sh_window *there = &m.at[!p.place.site];

    there->runs = there->samples = away;
    there->service_ns = away * ns;
    return sh_policy_step(&p, &m);
}

/* -- at both sites -- */

static void a_step_at_both_sites_is_not_counted(void **state)
{
    (void)state;
    BEGIN(.trusted = true);
    computes(10000);
    assert_int_equal(until(100), SH_REASON_TRIAL);
    for (int i = 0; i < 20; i++) {
        like_ns(SH_SITE_THREAD, 100 * US, 100 * US, 0);
        assert_int_equal(step_mixed(26, 90 * US), SH_REASON_NONE);
    }
    assert_int_equal(p.trial.windows, 0);
    assert_int_equal(cost(SH_SITE_THREAD, SH_MANNER_QUEUED), -1);
    assert_int_equal(cost(SH_SITE_PROCESS, SH_MANNER_QUEUED), 10300);
}

/* A fourth of them does no harm. */
static void a_few_at_the_other_site_are_nothing(void **state)
{
    (void)state;
    BEGIN(.trusted = true);
    like_ns(SH_SITE_PROCESS, 10000, 10000, 0);
    like_ns(SH_SITE_THREAD, 4000, 4000, 0);
    assert_int_equal(until(100), SH_REASON_TRIAL);
    for (int i = 0; i < 2; i++)
        assert_int_equal(step_mixed(25, 10000), SH_REASON_NONE);
    assert_int_equal(p.trial.windows, 2);
    assert_int_equal(step_mixed(25, 10000), SH_REASON_GAIN);
}

/* And if it always runs at both, that is how it runs. */
static void what_always_runs_at_both_sites_counts(void **state)
{
    (void)state;
    BEGIN(.isolated = true);
    computes(10000);
    for (unsigned i = 0; i < SH_MIXED_MOST; i++)
        assert_int_equal(step_mixed(50, 10000), SH_REASON_NONE);
    assert_int_equal(cost(SH_SITE_PROCESS, SH_MANNER_QUEUED), -1);
    assert_int_equal(step_mixed(50, 10000), SH_REASON_NONE);
    assert_int_equal(cost(SH_SITE_PROCESS, SH_MANNER_QUEUED), 10300);
    assert_int_equal(cost(SH_SITE_THREAD, SH_MANNER_QUEUED), 10250);
    /* One that is not begins the count anew. */
    assert_int_equal(step(), SH_REASON_NONE);
    computes(20000);
    for (unsigned i = 0; i < SH_MIXED_MOST; i++)
        assert_int_equal(step_mixed(50, 20000), SH_REASON_NONE);
    assert_int_equal(cost(SH_SITE_PROCESS, SH_MANNER_QUEUED), 10300);
}

/* What is inline runs where it is submitted. */
static void what_is_inline_may_run_at_both(void **state)
{
    (void)state;
    BEGIN(.isolated = true);
    computes(100);
    assert_int_equal(until(50), SH_REASON_SHORT);
    assert_int_equal(cost(SH_SITE_PROCESS, SH_MANNER_INLINE), 220);
    assert_int_equal(step_mixed(100, 200), SH_REASON_NONE);
    assert_int_equal(cost(SH_SITE_THREAD, SH_MANNER_INLINE), 285);
}

/* -- trials that differ -- */

/* The trial of a kind that takes 10 us in a process: in the host so long and so
 * long in turn; how many steps it took, and how it ended. */
static int tried_in_turn(uint64_t one_ns, uint64_t other_ns,
                         enum sh_reason *why_out)
{
    enum sh_reason why = SH_REASON_NONE;
    int steps = 0;

    BEGIN(.trusted = true);
    computes(10000);
    assert_int_equal(until(100), SH_REASON_TRIAL);
    assert_int_equal(p.trial.noise, 0);
    while (why == SH_REASON_NONE) {
        uint64_t ns = steps++ % 2 ? other_ns : one_ns;

        like_ns(SH_SITE_THREAD, ns, ns, 0);
        why = step();
    }
    *why_out = why;
    return steps;
}

static void trials_that_differ_take_longer(void **state)
{
    enum sh_reason why;

    (void)state;
    assert_int_equal(tried_in_turn(5000, 5000, &why), SH_TRIAL_WINDOWS);
    assert_int_equal(why, SH_REASON_GAIN);
    assert_in_range(tried_in_turn(4000, 6000, &why), SH_TRIAL_WINDOWS + 4,
                    SH_TRIAL_WINDOWS + 8);
    assert_int_equal(why, SH_REASON_GAIN);
    assert_in_range(tried_in_turn(2000, 8000, &why), SH_TRIAL_WINDOWS + 12,
                    SH_TRIAL_NS_MAX / STEP_NS);
    assert_int_equal(why, SH_REASON_GAIN);
}

/* 15 % is enough, if half of what they differ is less. */
static void trials_that_differ_take_a_larger_gain(void **state)
{
    enum sh_reason why;

    (void)state;
    (void)tried_in_turn(8500, 8500, &why);
    assert_int_equal(why, SH_REASON_GAIN);
    (void)tried_in_turn(7500, 9500, &why);
    assert_int_equal(why, SH_REASON_GAIN);
    (void)tried_in_turn(5000, 12000, &why);
    assert_int_equal(why, SH_REASON_NO_GAIN);
}

/* -- twice -- */

/* Half of a long task's time is the kernel's; the trial comes, and ends so. */
static void tried_long(uint64_t thread_us, enum sh_reason end)
{
    like_ns(SH_SITE_PROCESS, 400 * US, 400 * US, 200 * US);
    like_ns(SH_SITE_THREAD, thread_us * US, thread_us * US, 0);
    assert_int_equal(until(1000), SH_REASON_TRIAL);
    assert_int_equal(until(1000), end);
    is_at(end == SH_REASON_GAIN ? SH_SITE_THREAD : SH_SITE_PROCESS,
          SH_MANNER_QUEUED);
}

static void what_is_long_has_to_win_twice(void **state)
{
    int64_t ended;

    (void)state;
    BEGIN(.trusted = true);
    tried_long(300, SH_REASON_ONCE);
    assert_int_equal(p.backoff_ns, SH_BACKOFF_NS_MIN);
    ended = now;
    assert_int_equal(until(1000), SH_REASON_TRIAL);
    assert_int_equal(now - ended, SH_BACKOFF_NS_MIN);
    assert_int_equal(until(1000), SH_REASON_GAIN);
    assert_int_equal(p.changes, 1);
}

static void and_twice_in_a_row(void **state)
{
    (void)state;
    BEGIN(.trusted = true);
    tried_long(300, SH_REASON_ONCE);
    tried_long(400, SH_REASON_NO_GAIN);
    tried_long(300, SH_REASON_ONCE);
    tried_long(300, SH_REASON_GAIN);
}

static void but_once_if_it_costs_less_than_half(void **state)
{
    (void)state;
    BEGIN(.trusted = true);
    tried_long(199, SH_REASON_GAIN);
    BEGIN(.trusted = true);
    tried_long(201, SH_REASON_ONCE);
}

/* What is less than 50 us, and what waits for others; and the way back is won at
 * once. */
static void what_is_short_wins_once(void **state)
{
    (void)state;
    assert_int_equal(tried(SH_SHORT_NS - 100, 30 * US), SH_REASON_GAIN);
    like_ns(SH_SITE_PROCESS, 25 * US, 25 * US, 0);
    assert_int_equal(until(1000), SH_REASON_TRIAL);
    assert_int_equal(until(1000), SH_REASON_GAIN);
    is_at(SH_SITE_PROCESS, SH_MANNER_QUEUED);
    BEGIN(.trusted = true);
    p.parks = true;
    tried_long(300, SH_REASON_GAIN);
}

static void other_work_has_won_nothing(void **state)
{
    (void)state;
    BEGIN(.isolated = true);
    like_ns(SH_SITE_PROCESS, 400 * US, 400 * US, 200 * US);
    assert_int_equal(until(2 * SH_SHIFT_LEARN), SH_REASON_NONE);
    p.bounds.isolated = false;
    p.bounds.trusted = true;
    tried_long(300, SH_REASON_ONCE);
    assert_true(p.won);
    like_ns(SH_SITE_PROCESS, 4 * MS, 4 * MS, 2 * MS);
    for (int i = 0; i < 100 && p.shifts == 0; i++)
        (void)step();
    assert_int_equal(p.shifts, 1);
    assert_false(p.won);
}

/* -- woken from the other site -- */

/* So many times a hundred runs. */
static enum sh_reason step_woken(uint64_t times)
{
    struct sh_measures m = measures();

    m.at[p.place.site].crossed = times;
    m.at[p.place.site].parked = runs;
    return sh_policy_step(&p, &m);
}

static void wake_ups_from_the_other_site_cost(void **state)
{
    (void)state;
    BEGIN(.isolated = true);
    computes(10000);
    assert_int_equal(step_woken(0), SH_REASON_NONE);
    assert_int_equal(cost(SH_SITE_PROCESS, SH_MANNER_QUEUED), 10300);
    BEGIN(.isolated = true);
    assert_int_equal(step_woken(250), SH_REASON_NONE);
    assert_int_equal(cost(SH_SITE_PROCESS, SH_MANNER_QUEUED),
                     10300 + 5 * SH_HANDOFF_PROCESS_NS / 2);
    BEGIN(.host_only = true);
    assert_int_equal(step_woken(250), SH_REASON_NONE);
    assert_int_equal(cost(SH_SITE_THREAD, SH_MANNER_QUEUED),
                     10250 + 5 * SH_HANDOFF_THREAD_NS / 2);
    /* They grow old as all else does. */
    for (int i = 0; i < 100; i++)
        assert_int_equal(step_woken(0), SH_REASON_NONE);
    assert_in_range(cost(SH_SITE_THREAD, SH_MANNER_QUEUED), 10250, 10260);
}

/* It would take half as long in the host, but what it waits for is not there.
 */
static void who_waits_stays_with_what_it_waits_for(void **state)
{
    enum sh_reason why = SH_REASON_NONE;

    (void)state;
    BEGIN(.trusted = true);
    like_ns(SH_SITE_PROCESS, 20 * US, 20 * US, 0);
    like_ns(SH_SITE_THREAD, 10 * US, 10 * US, 0);
    assert_int_equal(until(100), SH_REASON_TRIAL);
    while (why == SH_REASON_NONE)
        why = step_woken(runs);
    assert_int_equal(why, SH_REASON_NO_GAIN);
}

static void the_largest_numbers_do_no_harm(void **state)
{
    struct sh_measures m;

    (void)state;
    BEGIN(.isolated = true);
    m = measures();
    m.at[SH_SITE_PROCESS].crossed = UINT64_MAX;
    for (int i = 0; i < 100; i++) {
        m.at[SH_SITE_PROCESS].runs = i % 2 ? UINT64_MAX : 0;
        m.now_ns += STEP_NS;
        (void)sh_policy_step(&p, &m);
        assert_true(cost(SH_SITE_PROCESS, SH_MANNER_QUEUED) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_at_both_sites_is_not_counted),
        cmocka_unit_test(a_few_at_the_other_site_are_nothing),
        cmocka_unit_test(what_always_runs_at_both_sites_counts),
        cmocka_unit_test(what_is_inline_may_run_at_both),
        cmocka_unit_test(trials_that_differ_take_longer),
        cmocka_unit_test(trials_that_differ_take_a_larger_gain),
        cmocka_unit_test(what_is_long_has_to_win_twice),
        cmocka_unit_test(and_twice_in_a_row),
        cmocka_unit_test(but_once_if_it_costs_less_than_half),
        cmocka_unit_test(what_is_short_wins_once),
        cmocka_unit_test(other_work_has_won_nothing),
        cmocka_unit_test(wake_ups_from_the_other_site_cost),
        cmocka_unit_test(who_waits_stays_with_what_it_waits_for),
        cmocka_unit_test(the_largest_numbers_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
