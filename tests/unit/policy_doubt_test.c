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
        like_ns(SH_SITE_THREAD, 39 * US, 39 * US, 0);
        assert_int_equal(step_mixed(26, 90 * US), SH_REASON_NONE);
    }
    assert_int_equal(p.trial.windows, 0);
    assert_int_equal(p.trial.for_ns, 0);
    assert_int_equal(cost(SH_SITE_THREAD, SH_MANNER_QUEUED), -1);
    assert_int_equal(cost(SH_SITE_PROCESS, SH_MANNER_QUEUED), 10300);
}

/* Unless it costs four times as much, twice in a row. */
static void but_a_trial_is_cut_short_by_two_that_cost_four_times(void **state)
{
    (void)state;
    BEGIN(.trusted = true);
    computes(10000);
    assert_int_equal(until(100), SH_REASON_TRIAL);
    like_ns(SH_SITE_THREAD, 42 * US, 42 * US, 0);
    assert_int_equal(step_mixed(50, 10000), SH_REASON_NONE);
    like_ns(SH_SITE_THREAD, 39 * US, 39 * US, 0);
    assert_int_equal(step_mixed(50, 10000), SH_REASON_NONE);
    like_ns(SH_SITE_THREAD, 42 * US, 42 * US, 0);
    assert_int_equal(step_mixed(50, 10000), SH_REASON_NONE);
    assert_int_equal(step_mixed(50, 10000), SH_REASON_CUT);
}

/* It is mixed all through. */
static void a_trial_at_both_sites_ends_with_a_verdict(void **state)
{
    enum sh_reason why = SH_REASON_NONE;
    unsigned steps = 0;

    (void)state;
    BEGIN(.trusted = true);
    like_ns(SH_SITE_PROCESS, 10000, 10000, 0);
    like_ns(SH_SITE_THREAD, 4000, 4000, 0);
    assert_int_equal(until(100), SH_REASON_TRIAL);
    for (; why == SH_REASON_NONE; steps++)
        why = step_mixed(30, 10000);
    assert_int_equal(why, SH_REASON_GAIN);
    assert_int_equal(steps, SH_MIXED_MOST + SH_TRIAL_WINDOWS);
}

/* Somebody was woken, and no run ended. */
static void a_step_without_runs_is_neither(void **state)
{
    (void)state;
    BEGIN(.isolated = true);
    computes(10000);
    for (unsigned i = 0; i < SH_MIXED_MOST; i++) {
        uint64_t all = runs;

        assert_int_equal(step_mixed(50, 10000), SH_REASON_NONE);
        runs = 0;
        assert_int_equal(step(), SH_REASON_NONE);
        runs = all;
    }
    assert_int_equal(cost(SH_SITE_PROCESS, SH_MANNER_QUEUED), -1);
    assert_int_equal(step_mixed(50, 10000), SH_REASON_NONE);
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
    assert_in_range(tried_in_turn(4000, 6000, &why), SH_TRIAL_WINDOWS + 7,
                    SH_TRIAL_WINDOWS + 14);
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

/* What is lost then was two trials. */
static void a_lost_confirmation_counts_for_both(void **state)
{
    (void)state;
    BEGIN(.trusted = true);
    tried_long(300, SH_REASON_ONCE);
    tried_long(400, SH_REASON_NO_GAIN);
    assert_int_equal(p.backoff_ns,
                     SH_BACKOFF_NS_MIN * SH_BACKOFF_TIMES * SH_BACKOFF_TIMES);
    tried_long(300, SH_REASON_ONCE);
    tried_long(300, SH_REASON_GAIN);
    assert_int_equal(p.backoff_ns, SH_BACKOFF_NS_MIN * SH_BACKOFF_TIMES *
                                       SH_BACKOFF_TIMES * SH_BACKOFF_TIMES *
                                       SH_BACKOFF_TIMES);
}

/* That it has said nothing loses nothing; a crash does. */
static void what_was_won_once_stays_until_more_is_known(void **state)
{
    enum sh_reason why = SH_REASON_NONE;

    (void)state;
    BEGIN(.trusted = true);
    tried_long(300, SH_REASON_ONCE);
    assert_int_equal(until(1000), SH_REASON_TRIAL);
    while (why == SH_REASON_NONE) {
        struct sh_measures m = measures(); /* and none of them comes */

        m.at[SH_SITE_PROCESS] = m.at[SH_SITE_THREAD];
        m.at[SH_SITE_THREAD] = (struct sh_window){ 0 };
        why = sh_policy_step(&p, &m);
    }
    assert_int_equal(why, SH_REASON_FEW);
    assert_true(p.won);
    tried_long(300, SH_REASON_GAIN);
    assert_false(p.won);
    BEGIN(.trusted = true);
    tried_long(300, SH_REASON_ONCE);
    assert_int_equal(crash(), SH_REASON_CRASHED);
    assert_false(p.won);
}

/* What is less than 50 us, and what waits for others; and the way back is won
 * at once. */
static void what_is_short_wins_once(void **state)
{
    (void)state;
    assert_int_equal(tried(SH_SHORT_NS - 100, 30 * US), SH_REASON_GAIN);
    like_ns(SH_SITE_PROCESS, 25 * US, 25 * US, 0);
    assert_int_equal(until(1000), SH_REASON_TRIAL);
    assert_int_equal(until(1000), SH_REASON_GAIN);
    is_at(SH_SITE_PROCESS, SH_MANNER_QUEUED);
    BEGIN(.trusted = true);
    tried_long(190, SH_REASON_GAIN);
    like_ns(SH_SITE_PROCESS, 150 * US, 150 * US, 75 * US);
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
    assert_in_range(cost(SH_SITE_THREAD, SH_MANNER_QUEUED), 10250, 10300);
    BEGIN(.isolated = true);
    assert_int_equal(step_woken(1), SH_REASON_NONE); /* of a hundred */
    assert_in_range(cost(SH_SITE_PROCESS, SH_MANNER_QUEUED), 10650, 10900);
}

/* It is woken in ten windows and ends in the last of them. */
static void wake_ups_count_for_the_run_that_ends_later(void **state)
{
    (void)state;
    BEGIN(.isolated = true);
    computes(10000);
    for (int i = 0; i < 9; i++) {
        runs = 0;
        assert_int_equal(step_woken(2), SH_REASON_NONE);
    }
    assert_int_equal(cost(SH_SITE_PROCESS, SH_MANNER_QUEUED), -1);
    runs = 1;
    assert_int_equal(step_woken(2), SH_REASON_NONE);
    assert_int_equal(cost(SH_SITE_PROCESS, SH_MANNER_QUEUED),
                     10300 + 20 * SH_HANDOFF_PROCESS_NS);
}

/* And are not forgotten by a restart, or it would seem to have become dearer.
 */
static void wake_ups_are_saved(void **state)
{
    struct sh_policy_saved saved;
    int64_t before;

    (void)state;
    BEGIN(.trusted = true);
    p.parks = true;
    computes(10000);
    p.place.site = SH_SITE_THREAD;
    for (int i = 0; i < 20; i++)
        (void)step_woken(25 * runs);
    is_at(SH_SITE_THREAD, SH_MANNER_QUEUED);
    before = cost(SH_SITE_THREAD, SH_MANNER_QUEUED);
    assert_int_equal(before, 10250 + 25 * SH_HANDOFF_THREAD_NS);
    p.backoff_ns = SH_BACKOFF_NS_MAX;
    sh_policy_save(&p, &saved);
    assert_true(
        sh_policy_load(&p, &(struct sh_bounds){ .trusted = true }, &saved));
    assert_int_equal(cost(SH_SITE_THREAD, SH_MANNER_QUEUED), before);
    for (int i = 0; i < 100; i++)
        assert_int_equal(step_woken(25 * runs), SH_REASON_NONE);
    saved.at[0].crossed = -1;
    assert_false(
        sh_policy_load(&p, &(struct sh_bounds){ .trusted = true }, &saved));
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
        cmocka_unit_test(but_a_trial_is_cut_short_by_two_that_cost_four_times),
        cmocka_unit_test(a_trial_at_both_sites_ends_with_a_verdict),
        cmocka_unit_test(a_step_without_runs_is_neither),
        cmocka_unit_test(a_few_at_the_other_site_are_nothing),
        cmocka_unit_test(what_always_runs_at_both_sites_counts),
        cmocka_unit_test(what_is_inline_may_run_at_both),
        cmocka_unit_test(trials_that_differ_take_longer),
        cmocka_unit_test(trials_that_differ_take_a_larger_gain),
        cmocka_unit_test(what_is_long_has_to_win_twice),
        cmocka_unit_test(and_twice_in_a_row),
        cmocka_unit_test(but_once_if_it_costs_less_than_half),
        cmocka_unit_test(a_lost_confirmation_counts_for_both),
        cmocka_unit_test(what_was_won_once_stays_until_more_is_known),
        cmocka_unit_test(what_is_short_wins_once),
        cmocka_unit_test(other_work_has_won_nothing),
        cmocka_unit_test(wake_ups_from_the_other_site_cost),
        cmocka_unit_test(wake_ups_count_for_the_run_that_ends_later),
        cmocka_unit_test(wake_ups_are_saved),
        cmocka_unit_test(who_waits_stays_with_what_it_waits_for),
        cmocka_unit_test(the_largest_numbers_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
