/* SPDX-License-Identifier: MIT */
/*
 * unit/policy_trials_test.c - when a kind is tried elsewhere, and when it
 * stays there.
 *
 * Goal: each of these rules of place/policy.h, at its boundaries. Method: a
 * kind of which every step has the same measures, as the test says, wherever it
 * runs; steps are 10 ms apart. tests/place/runs_test.c has whole runs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kind.h"

/* As until(), but it runs at the other site. */
static enum sh_reason until_elsewhere(int steps)
{
    enum sh_reason why = SH_REASON_NONE;

    while (steps-- > 0 && why == SH_REASON_NONE) {
        struct sh_measures m = measures();
        struct sh_window w = m.at[SH_SITE_PROCESS];

        m.at[SH_SITE_PROCESS] = m.at[SH_SITE_THREAD];
        m.at[SH_SITE_THREAD] = w;
        why = sh_policy_step(&p, &m);
    }
    return why;
}

/* -- leaving the process -- */

static void a_kind_is_tried_once_it_has_earned_it(void **state)
{
    (void)state;
    BEGIN(.trusted = false);
    computes(5 * US);
    runs = SH_EARN_RUNS - 1;
    assert_int_equal(step(), SH_REASON_NONE);
    assert_int_equal(sh_policy_stays(&p, now), SH_REASON_UNEARNED);
    runs = 1;
    assert_int_equal(step(), SH_REASON_TRIAL);
    is_at(SH_SITE_THREAD, SH_MANNER_QUEUED);
    assert_int_equal(sh_policy_stays(&p, now), SH_REASON_TRIAL);
}

static void what_is_trusted_needs_to_be_known_only(void **state)
{
    (void)state;
    BEGIN(.trusted = true);
    computes(5 * US);
    runs = SH_SAMPLES_MIN - 1;
    assert_int_equal(step(), SH_REASON_NONE);
    runs = 1;
    assert_int_equal(step(), SH_REASON_TRIAL);
}

static void what_is_long_and_computes_is_not_tried(void **state)
{
    (void)state;
    BEGIN(.trusted = true);
    computes(SH_SHORT_NS);
    deep = 0;
    assert_int_equal(until(100), SH_REASON_NONE);
    assert_int_equal(sh_policy_stays(&p, now), SH_REASON_UNKNOWN);
    deep = 10;
    assert_int_equal(until(1000), SH_REASON_NONE);
    assert_int_equal(sh_policy_stays(&p, now), SH_REASON_NO_HOPE);
    BEGIN(.trusted = true);
    computes(SH_SHORT_NS - 100);
    assert_int_equal(until(100), SH_REASON_TRIAL);
}

static void what_is_long_is_tried_if_the_kernel_has_a_tenth(void **state)
{
    (void)state;
    BEGIN(.trusted = true);
    like_ns(SH_SITE_PROCESS, MS, MS, 99 * US);
    assert_int_equal(until(100), SH_REASON_NONE);
    BEGIN(.trusted = true);
    like_ns(SH_SITE_PROCESS, MS, MS, 102 * US);
    assert_int_equal(until(100), SH_REASON_TRIAL);
}

/* -- the end of a trial -- */

/* With what is fixed: 300 and 250. */
static void a_trial_is_won_by_more_than_six_per_cent(void **state)
{
    (void)state;
    assert_int_equal(tried(10000, 9432), SH_REASON_NO_GAIN);
    is_at(SH_SITE_PROCESS, SH_MANNER_QUEUED);
    assert_int_equal(p.changes, 0);
    assert_int_equal(p.explorations, 1);
    assert_int_equal(tried(10000, 9431), SH_REASON_GAIN);
    is_at(SH_SITE_THREAD, SH_MANNER_QUEUED);
    assert_int_equal(p.changes, 1);
    assert_int_equal(p.why, SH_REASON_GAIN);
}

/* Inline: 120 and 85. */
static void a_trial_is_not_won_by_a_few_nanoseconds(void **state)
{
    (void)state;
    BEGIN(.trusted = true);
    like_ns(SH_SITE_PROCESS, 40, 40, 0);
    like_ns(SH_SITE_THREAD, 75 - SH_GAIN_NS, 75 - SH_GAIN_NS, 0);
    assert_int_equal(until(10), SH_REASON_SHORT);
    assert_int_equal(until(10), SH_REASON_TRIAL);
    assert_int_equal(until(10), SH_REASON_NO_GAIN);
    like[SH_SITE_THREAD].service_ns--;
    assert_int_equal(until(100), SH_REASON_TRIAL);
    assert_int_equal(until(10), SH_REASON_GAIN);
}

static void a_trial_takes_windows_samples_and_time(void **state)
{
    (void)state;
    BEGIN(.trusted = true);
    computes(10000);
    assert_int_equal(until(100), SH_REASON_TRIAL);
    assert_int_equal(step(), SH_REASON_NONE);
    assert_int_equal(step(), SH_REASON_NONE);
    assert_int_equal(step(), SH_REASON_NO_GAIN); /* the third window */

    assert_int_equal(until(100), SH_REASON_TRIAL);
    runs = 8;
    assert_int_equal(step(), SH_REASON_NONE);
    assert_int_equal(step(), SH_REASON_NONE);
    assert_int_equal(step(), SH_REASON_NONE);
    assert_int_equal(step(), SH_REASON_NO_GAIN); /* the 32nd sample */

    assert_int_equal(until(100), SH_REASON_TRIAL);
    for (int i = 0; i < 4; i++) {
        now -= STEP_NS - SH_TRIAL_NS_MIN / 4;
        assert_int_equal(step(), i < 3 ? SH_REASON_NONE : SH_REASON_NO_GAIN);
    }
}

/* Windows that are 20 % off either way: a fourth of a power of two. */
static void noise_makes_trials_longer_and_asks_for_more(void **state)
{
    static const uint64_t gains_percent[] = { 10, 30 };

    (void)state;
    for (int which = 0; which < 2; which++) {
        enum sh_reason why = SH_REASON_NONE;
        int windows = 0;

        BEGIN(.isolated = true);
        for (int i = 0; why == SH_REASON_NONE && i < 300; i++) {
            uint64_t ns = i % 2 ? 8000 : 12000;

            like_ns(SH_SITE_PROCESS, ns, ns, ns / 5);
            ns -= ns * gains_percent[which] / 100;
            like_ns(SH_SITE_THREAD, ns, ns, ns / 5);
            p.bounds.isolated = i < 100;
            if (step() == SH_REASON_TRIAL)
                assert_in_range(p.trial.noise, 60, 80);
            else if (p.trial.running)
                windows++;
            else if (p.explorations > 0)
                why = sh_policy_change(&p, 0)->reason;
            p.clean = SH_EARN_RUNS;
        }
        assert_in_range(windows, SH_TRIAL_WINDOWS + 4, SH_TRIAL_WINDOWS + 10);
        assert_int_equal(why, which ? SH_REASON_GAIN : SH_REASON_NO_GAIN);
    }
}

static void a_trial_ends_at_the_latest_with_what_there_is(void **state)
{
    int64_t began;

    (void)state;
    BEGIN(.trusted = true);
    like_ns(SH_SITE_PROCESS, 10000, 10000, 0);
    like_ns(SH_SITE_THREAD, 5000, 5000, 0);
    assert_int_equal(until(100), SH_REASON_TRIAL);
    began = now;
    runs = 1; /* of which it takes 8 */
    deep = 0;
    assert_int_equal(until(100), SH_REASON_GAIN);
    assert_int_equal(now - began, SH_TRIAL_NS_MAX);
}

/* What an inconclusive trial has measured is not lost: the next goes on. */
static void a_trial_with_too_few_runs_says_nothing(void **state)
{
    (void)state;
    BEGIN(.trusted = true);
    like_ns(SH_SITE_PROCESS, 10000, 10000, 0);
    like_ns(SH_SITE_THREAD, 5000, 5000, 0);
    assert_int_equal(until(100), SH_REASON_TRIAL);
    deep = 0;
    runs = 1;
    for (int i = 0; i < 7; i++)
        assert_int_equal(step(), SH_REASON_NONE);
    assert_int_equal(until_elsewhere(100), SH_REASON_FEW);
    is_at(SH_SITE_PROCESS, SH_MANNER_QUEUED);
    runs = 100;
    assert_int_equal(until(100), SH_REASON_TRIAL);
    runs = 1;
    assert_int_equal(step(), SH_REASON_NONE);
    assert_int_equal(until_elsewhere(100), SH_REASON_GAIN);
}

/* What is inline stays where it is submitted: nothing comes, ever more seldom.
 */
static void a_trial_that_nothing_comes_to_says_nothing(void **state)
{
    int64_t wait = SH_BACKOFF_NS_MIN, ended;

    (void)state;
    BEGIN(.trusted = true);
    computes(60);
    assert_int_equal(until(10), SH_REASON_SHORT);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(until(100000), SH_REASON_TRIAL);
        if (i > 0)
            assert_int_equal(now - ended, wait);
        wait *= i > 0 ? SH_BACKOFF_TIMES : 1;
        ended = now;
        assert_int_equal(until_elsewhere(100), SH_REASON_FEW);
        assert_int_equal(now - ended, SH_TRIAL_NS_MAX);
        ended = now;
        is_at(SH_SITE_PROCESS, SH_MANNER_INLINE);
    }
    assert_int_equal(p.changes, 1);
}

/* With 40 of 100 runs, of which it would be won. */
static void an_inline_trial_takes_half_of_the_runs(void **state)
{
    struct sh_measures m;

    (void)state;
    for (uint64_t here = 40; here <= 60; here += 20) {
        enum sh_reason why = SH_REASON_NONE;

        BEGIN(.trusted = true);
        like_ns(SH_SITE_PROCESS, 200, 200, 0);
        like_ns(SH_SITE_THREAD, 60, 60, 0);
        assert_int_equal(until(10), SH_REASON_SHORT);
        assert_int_equal(until(10), SH_REASON_TRIAL);
        for (int i = 0; i < 100 && why == SH_REASON_NONE; i++) {
            runs = here;
            m = measures();
            m.at[SH_SITE_PROCESS].runs = 100 - here;
            why = sh_policy_step(&p, &m);
        }
        assert_int_equal(why, here < 50 ? SH_REASON_FEW : SH_REASON_GAIN);
    }
}

/* Two runs in a row, and a pause of a second: of that, one step counts. */
static void pauses_are_no_time_of_a_trial(void **state)
{
    int64_t began, steps = 0;

    (void)state;
    BEGIN(.trusted = true);
    like_ns(SH_SITE_PROCESS, 10000, 10000, 0);
    like_ns(SH_SITE_THREAD, 5000, 5000, 0);
    assert_int_equal(until(100), SH_REASON_TRIAL);
    began = now;
    runs = 1;
    deep = 0;
    for (; p.trial.running && steps < 100; steps++) {
        now += steps % 2 ? 0 : INT64_C(1000000000);
        step();
    }
    assert_int_equal(p.why, SH_REASON_GAIN);
    assert_int_equal(steps, SH_TRIAL_NS_MAX / SH_TRIAL_STEP_NS);
    assert_true(now - began > INT64_C(12000000000));
    /* And what never comes at all ends nothing. */
    BEGIN(.trusted = true);
    computes(10000);
    assert_int_equal(until(100), SH_REASON_TRIAL);
    runs = deep = 0;
    assert_int_equal(until(10000), SH_REASON_NONE);
    runs = 100;
    assert_int_equal(until(3), SH_REASON_NO_GAIN);
}

/* Nor is it a pause if a run takes that long, or only somewhat longer. */
static void a_step_that_a_run_fills_is_no_pause(void **state)
{
    static const struct {
        int64_t apart_ns, run_ns, counts_ns;
    } all[] = {
        { 30 * MS, 1000, 30 * MS },     { 31 * MS, 1000, 10 * MS },
        { 500 * MS, 90 * MS, 90 * MS }, { 90 * MS, 90 * MS, 90 * MS },
        { 90 * MS, 200 * MS, 90 * MS }, { 31 * MS, 5 * MS, 10 * MS },
    };

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        BEGIN(.trusted = true, .blocking = true);
        like_ns(SH_SITE_PROCESS, (uint64_t)all[i].run_ns, 0, 0);
        like_ns(SH_SITE_THREAD, (uint64_t)all[i].run_ns, 0, 0);
        p.bounds.blocking = all[i].run_ns > 1000;
        p.place.manner = all[i].run_ns > 1000 ? SH_MANNER_BLOCKING : 0;
        assert_int_equal(until(100), SH_REASON_TRIAL);
        now += all[i].apart_ns - STEP_NS;
        assert_int_equal(step(), SH_REASON_NONE);
        assert_int_equal(p.trial.for_ns, all[i].counts_ns);
    }
}

/* Each sample counts as four times the limit's half at most, and what differs
 * so much takes longer to judge. */
static void a_stall_in_a_trial_is_not_believed(void **state)
{
    (void)state;
    BEGIN(.trusted = true);
    computes(10000);
    assert_int_equal(until(100), SH_REASON_TRIAL);
    like_ns(SH_SITE_THREAD, 10 * MS, 10 * MS, 0);
    assert_int_equal(step(), SH_REASON_NONE);
    assert_in_range(cost(SH_SITE_THREAD, SH_MANNER_QUEUED), 40000, 42000);
    like_ns(SH_SITE_THREAD, 1000, 1000, 0);
    assert_int_equal(until(100), SH_REASON_GAIN);
    assert_in_range(cost(SH_SITE_THREAD, SH_MANNER_QUEUED), 1250, 8000);
}

static void a_trial_that_costs_twice_as_much_is_cut_short(void **state)
{
    (void)state;
    BEGIN(.trusted = true);
    like_ns(SH_SITE_PROCESS, 10000, 10000, 0);
    like_ns(SH_SITE_THREAD, 20352, 20352, 0); /* 20,350 is twice 10,300 - 250 */
    assert_int_equal(until(100), SH_REASON_TRIAL);
    assert_int_equal(step(), SH_REASON_NONE);
    assert_int_equal(step(), SH_REASON_CUT);
    assert_int_equal(until(100), SH_REASON_TRIAL);
    assert_int_equal(step(), SH_REASON_NONE);
    like_ns(SH_SITE_THREAD, 20350, 20350, 0);
    assert_int_equal(step(), SH_REASON_NONE);
    assert_int_equal(step(), SH_REASON_NO_GAIN);
}

/* Each comes four times as long after the one before. */
static void trials_come_ever_more_seldom(void **state)
{
    int64_t wait = SH_BACKOFF_NS_MIN, ended;

    (void)state;
    assert_int_equal(tried(10000, 10000), SH_REASON_NO_GAIN);
    for (int i = 0; i < 4; i++) {
        ended = now;
        assert_int_equal(sh_policy_stays(&p, now), SH_REASON_BACKOFF);
        assert_int_equal(until(100000), SH_REASON_TRIAL);
        assert_int_equal(now - ended, wait);
        assert_int_equal(until(10), SH_REASON_NO_GAIN);
        wait *= SH_BACKOFF_TIMES;
    }
    for (int i = 0; i < 20; i++) {
        now = p.next_trial_ns;
        assert_int_equal(step(), SH_REASON_TRIAL);
        assert_int_equal(until(10), SH_REASON_NO_GAIN);
    }
    assert_int_equal(p.backoff_ns, SH_BACKOFF_NS_MAX);
}

/* -- in the host -- */

static void the_way_back_is_tried_as_well(void **state)
{
    (void)state;
    assert_int_equal(tried(10000, 5000), SH_REASON_GAIN);
    like_ns(SH_SITE_PROCESS, 3000, 3000, 0);
    assert_int_equal(until(100), SH_REASON_TRIAL);
    is_at(SH_SITE_PROCESS, SH_MANNER_QUEUED);
    assert_int_equal(until(100), SH_REASON_GAIN);
    is_at(SH_SITE_PROCESS, SH_MANNER_QUEUED);
    assert_int_equal(p.changes, 2);
}

/* Long before its turn: 20 % more are no drift, 60 % are. */
static void what_drifts_in_the_host_is_tried_at_home_at_once(void **state)
{
    (void)state;
    assert_int_equal(tried(10000, 5000), SH_REASON_GAIN);
    p.next_trial_ns = INT64_MAX;
    like_ns(SH_SITE_THREAD, 7500, 7500, 0);
    assert_int_equal(until(200), SH_REASON_NONE);
    like_ns(SH_SITE_THREAD, 8300, 8300, 0);
    assert_int_equal(until(200), SH_REASON_DRIFT);
    is_at(SH_SITE_PROCESS, SH_MANNER_QUEUED);
    assert_int_equal(until(10), SH_REASON_NO_GAIN);
    p.next_trial_ns = INT64_MAX;
    assert_int_equal(until(200), SH_REASON_NONE); /* it costs that now */
}

static void what_has_become_long_goes_home(void **state)
{
    (void)state;
    assert_int_equal(tried(10000, 5000), SH_REASON_GAIN);
    computes(10 * MS);
    for (int i = 0; i < 20 && p.why != SH_REASON_LONG; i++)
        step();
    assert_int_equal(p.why, SH_REASON_LONG);
    is_at(SH_SITE_PROCESS, SH_MANNER_QUEUED);
    assert_int_equal(until(1000), SH_REASON_NONE);
}

/* In a process the kernel has half of it, and in the host nothing. */
static void what_gained_by_leaving_does_not_go_home_for_being_long(void **state)
{
    (void)state;
    BEGIN(.trusted = true);
    like_ns(SH_SITE_PROCESS, 400 * US, 400 * US, 200 * US);
    like_ns(SH_SITE_THREAD, 190 * US, 190 * US, 0);
    assert_int_equal(until(100), SH_REASON_TRIAL);
    assert_int_equal(until(100), SH_REASON_GAIN);
    for (int i = 0; i < 1000; i++)
        assert_int_not_equal(step(), SH_REASON_LONG);
    assert_int_equal(p.changes, 1);
}

/* -- work that changes -- */

static void other_work_is_tried_again_at_once(void **state)
{
    (void)state;
    assert_int_equal(tried(10000, 10000), SH_REASON_NO_GAIN);
    p.next_trial_ns = INT64_MAX;
    p.backoff_ns = SH_BACKOFF_NS_MAX;
    for (int i = 0; i < 10; i++)
        step();
    like_ns(SH_SITE_PROCESS, 1000, 1000, 0);
    like_ns(SH_SITE_THREAD, 500, 500, 0);
    assert_int_equal(until(10), SH_REASON_TRIAL);
    assert_int_equal(p.shifts, 1);
    assert_int_equal(p.backoff_ns, SH_BACKOFF_NS_MIN);
    assert_int_equal(until(10), SH_REASON_GAIN);
}

/* A second shift soon after takes one step of the back-off away. */
static void work_that_turns_to_and_fro_is_not_tried_each_time(void **state)
{
    (void)state;
    BEGIN(.isolated = true);
    computes(10000);
    for (int i = 0; i < 400; i++) {
        computes(i / 20 % 2 == 0 ? 10000 : 1000);
        step();
        if (p.shifts == 1)
            p.backoff_ns = SH_BACKOFF_NS_MAX;
        if (p.shifts == 2)
            break;
    }
    assert_int_equal(p.shifts, 2);
    assert_int_equal(p.backoff_ns, SH_BACKOFF_NS_MAX / SH_BACKOFF_TIMES);
    assert_int_equal(p.next_trial_ns, now + p.backoff_ns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kind_is_tried_once_it_has_earned_it),
        cmocka_unit_test(what_is_trusted_needs_to_be_known_only),
        cmocka_unit_test(what_is_long_and_computes_is_not_tried),
        cmocka_unit_test(what_is_long_is_tried_if_the_kernel_has_a_tenth),
        cmocka_unit_test(a_trial_is_won_by_more_than_six_per_cent),
        cmocka_unit_test(a_trial_is_not_won_by_a_few_nanoseconds),
        cmocka_unit_test(a_trial_takes_windows_samples_and_time),
        cmocka_unit_test(noise_makes_trials_longer_and_asks_for_more),
        cmocka_unit_test(a_trial_ends_at_the_latest_with_what_there_is),
        cmocka_unit_test(a_trial_with_too_few_runs_says_nothing),
        cmocka_unit_test(a_trial_that_nothing_comes_to_says_nothing),
        cmocka_unit_test(an_inline_trial_takes_half_of_the_runs),
        cmocka_unit_test(pauses_are_no_time_of_a_trial),
        cmocka_unit_test(a_step_that_a_run_fills_is_no_pause),
        cmocka_unit_test(a_stall_in_a_trial_is_not_believed),
        cmocka_unit_test(a_trial_that_costs_twice_as_much_is_cut_short),
        cmocka_unit_test(trials_come_ever_more_seldom),
        cmocka_unit_test(the_way_back_is_tried_as_well),
        cmocka_unit_test(what_drifts_in_the_host_is_tried_at_home_at_once),
        cmocka_unit_test(what_has_become_long_goes_home),
        cmocka_unit_test(
            what_gained_by_leaving_does_not_go_home_for_being_long),
        cmocka_unit_test(other_work_is_tried_again_at_once),
        cmocka_unit_test(work_that_turns_to_and_fro_is_not_tried_each_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
