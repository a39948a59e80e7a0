/* SPDX-License-Identifier: MIT */
/*
 * unit/policy_blocking_test.c - where a kind runs that waits in the kernel, or
 * seems to.
 *
 * Goal: each of these rules of place/policy.h, at its boundaries: its time on a
 * CPU counts, and what it takes to have somebody stand in for it, which is more
 * in processes; and in the host what it waits for its own kind. Method: as
 * policy_trials_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kind.h"

/* 40 us less, beside 60 us and what it takes on a CPU. */
static void what_blocks_is_tried_if_a_hand_off_is_a_tenth(void **state)
{
    (void)state;
    BEGIN(.trusted = true, .blocking = true);
    like_ns(SH_SITE_PROCESS, MS, 345 * US, 0);
    assert_int_equal(until(100), SH_REASON_NONE);
    assert_int_equal(sh_policy_stays(&p, now), SH_REASON_NO_HOPE);
    BEGIN(.trusted = true, .blocking = true);
    like_ns(SH_SITE_PROCESS, MS, 335 * US, 0);
    assert_int_equal(until(100), SH_REASON_TRIAL);
    BEGIN(.trusted = true, .blocking = true); /* it says so, and does not */
    computes(5 * US);
    deep = 0;
    assert_int_equal(until(100), SH_REASON_NONE);
}

/* Two steps after it has earned it. */
static void what_blocks_is_tried_at_once_and_gains_a_hand_off(void **state)
{
    (void)state;
    BEGIN(.trusted = false);
    like_ns(SH_SITE_PROCESS, 2 * MS, 40 * US, 0);
    like_ns(SH_SITE_THREAD, 2 * MS, 40 * US, 0);
    runs = SH_EARN_RUNS;
    assert_int_equal(step(), SH_REASON_BLOCKS);
    assert_int_equal(step(), SH_REASON_TRIAL);
    runs = 100;
    assert_int_equal(until(10), SH_REASON_GAIN);
    is_at(SH_SITE_THREAD, SH_MANNER_BLOCKING);
    assert_in_range(sh_policy_change(&p, 0)->cost_before, 95 * US, 101 * US);
    assert_in_range(sh_policy_change(&p, 0)->cost_after, 55 * US, 61 * US);
}

/* What blocks has no cost before the kernel was asked: of 4 samples. */
static void a_trial_of_what_blocks_needs_deep_samples(void **state)
{
    (void)state;
    for (uint64_t asked = 3; asked <= 4; asked++) {
        BEGIN(.trusted = true, .blocking = true);
        like_ns(SH_SITE_PROCESS, MS, 10 * US, 0);
        like_ns(SH_SITE_THREAD, MS, 10 * US, 0);
        assert_int_equal(until(100), SH_REASON_TRIAL);
        for (uint64_t i = 0; i < 4; i++) {
            deep = i < asked;
            assert_int_equal(step(), i < 3 || asked < 4 ? SH_REASON_NONE
                                                        : SH_REASON_GAIN);
        }
        deep = 0;
        if (asked < 4)
            assert_int_equal(until(100), SH_REASON_FEW);
    }
    BEGIN(.trusted = true, .blocking = true);
    like_ns(SH_SITE_THREAD, MS, 0, 0);
    assert_int_equal(until(100), SH_REASON_TRIAL);
    deep = 0; /* and with none it has no cost at all */
    assert_int_equal(until(100), SH_REASON_FEW);
}

/* It waits in threads and not in processes: that is for others of its kind. */
static void contention_in_the_host_is_not_blocking(void **state)
{
    (void)state;
    assert_int_equal(tried(40 * US, 20 * US), SH_REASON_GAIN);
    like_ns(SH_SITE_THREAD, 200 * US, 50 * US, 0);
    for (int i = 0; i < 300; i++)
        assert_int_not_equal(step(), SH_REASON_BLOCKS);
    is_at(SH_SITE_PROCESS, SH_MANNER_QUEUED);
}

/* A resolver with a lock: it waits in processes too, and longer in threads. */
static void what_blocks_and_contends_costs_what_it_waits_longer(void **state)
{
    (void)state;
    BEGIN(.trusted = true);
    like_ns(SH_SITE_PROCESS, MS, 10 * US, 0);
    like_ns(SH_SITE_THREAD, 1900 * US, 10 * US, 0);
    assert_int_equal(until(100), SH_REASON_BLOCKS);
    assert_int_equal(until(100), SH_REASON_TRIAL);
    assert_int_equal(until(100), SH_REASON_NO_GAIN);
    assert_in_range(cost(SH_SITE_THREAD, SH_MANNER_BLOCKING), 900 * US,
                    940 * US);
    like_ns(SH_SITE_THREAD, 1400 * US, 10 * US, 0);
    assert_int_equal(until(100), SH_REASON_TRIAL);
    assert_int_equal(until(100), SH_REASON_GAIN);
}

/* It waits for a lock of the host, which each process has for itself; the
 * kernel has a fifth of it there, so that it is tried. */
static void a_lock_in_the_host_does_not_look_like_waiting(void **state)
{
    (void)state;
    BEGIN(.trusted = true);
    like_ns(SH_SITE_PROCESS, 200 * US, 200 * US, 40 * US);
    like_ns(SH_SITE_THREAD, 390 * US, 100 * US, 10 * US);
    assert_int_equal(until(100), SH_REASON_TRIAL);
    assert_int_equal(until(100), SH_REASON_NO_GAIN);
    assert_int_equal(p.manner[SH_SITE_THREAD], SH_MANNER_QUEUED);
    is_at(SH_SITE_PROCESS, SH_MANNER_QUEUED);
}

static void blocks_in_the_host(void)
{
    BEGIN(.trusted = true);
    like_ns(SH_SITE_PROCESS, MS, 10 * US, 0);
    like_ns(SH_SITE_THREAD, MS, 10 * US, 0);
    assert_int_equal(until(100), SH_REASON_BLOCKS);
    assert_int_equal(until(100), SH_REASON_TRIAL);
    assert_int_equal(until(100), SH_REASON_GAIN);
}

/* What it waits there is free as well. */
static void what_blocks_is_tried_at_home(void **state)
{
    (void)state;
    blocks_in_the_host();
    assert_int_equal(until(100), SH_REASON_TRIAL);
    is_at(SH_SITE_PROCESS, SH_MANNER_BLOCKING);
    assert_int_equal(until(100), SH_REASON_NO_GAIN);
    is_at(SH_SITE_THREAD, SH_MANNER_BLOCKING);
    assert_in_range(cost(SH_SITE_PROCESS, SH_MANNER_BLOCKING), 65 * US,
                    71 * US);
    /* It computes there: then what it waits for here are others like it. */
    like_ns(SH_SITE_PROCESS, 150 * US, 150 * US, 0);
    assert_int_equal(until(100), SH_REASON_TRIAL);
    assert_int_equal(until(100), SH_REASON_GAIN);
    is_at(SH_SITE_PROCESS, SH_MANNER_QUEUED);
}

/* From now on all of it waits for one lock of the host, sixty in a row. */
static void what_waits_for_its_own_kind_instead_goes_home(void **state)
{
    (void)state;
    blocks_in_the_host();
    for (int i = 0; i < 9; i++) /* its service time is known */
        step();
    p.next_trial_ns = INT64_MAX;
    like_ns(SH_SITE_PROCESS, 200 * US, 200 * US, 0);
    like_ns(SH_SITE_THREAD, 12 * MS, 200 * US, 0);
    assert_int_equal(until(20), SH_REASON_TRIAL);
    assert_int_equal(p.shifts, 1);
    assert_int_equal(until(20), SH_REASON_GAIN);
    is_at(SH_SITE_PROCESS, SH_MANNER_QUEUED);
}

/* Twice what it cost, and still less than in a process; then more. */
static void what_blocks_drifts_once_it_costs_more_than_at_home(void **state)
{
    (void)state;
    blocks_in_the_host();
    p.next_trial_ns = INT64_MAX;
    like_ns(SH_SITE_THREAD, MS, 45 * US, 0);
    assert_int_equal(until(200), SH_REASON_NONE);
    assert_true(cost(SH_SITE_THREAD, SH_MANNER_BLOCKING) > 60 * US);
    like_ns(SH_SITE_THREAD, 1700 * US, 10 * US, 0);
    assert_int_equal(until(200), SH_REASON_DRIFT);
    assert_int_equal(until(200), SH_REASON_GAIN);
    is_at(SH_SITE_PROCESS, SH_MANNER_BLOCKING);
}

/* It waits in processes, and in the host it need not. */
static void what_waits_at_home_does_not_go_there_for_being_long(void **state)
{
    (void)state;
    BEGIN(.trusted = true);
    like_ns(SH_SITE_PROCESS, MS, 200 * US, 0);
    like_ns(SH_SITE_THREAD, 200 * US, 200 * US, 0);
    assert_int_equal(until(100), SH_REASON_BLOCKS);
    assert_int_equal(until(100), SH_REASON_TRIAL);
    assert_int_equal(until(100), SH_REASON_GAIN);
    is_at(SH_SITE_THREAD, SH_MANNER_QUEUED);
    for (int i = 0; i < 1000; i++)
        assert_int_not_equal(step(), SH_REASON_LONG);
    is_at(SH_SITE_THREAD, SH_MANNER_QUEUED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_blocks_is_tried_if_a_hand_off_is_a_tenth),
        cmocka_unit_test(what_blocks_is_tried_at_once_and_gains_a_hand_off),
        cmocka_unit_test(a_trial_of_what_blocks_needs_deep_samples),
        cmocka_unit_test(contention_in_the_host_is_not_blocking),
        cmocka_unit_test(what_blocks_and_contends_costs_what_it_waits_longer),
        cmocka_unit_test(a_lock_in_the_host_does_not_look_like_waiting),
        cmocka_unit_test(what_blocks_is_tried_at_home),
        cmocka_unit_test(what_waits_for_its_own_kind_instead_goes_home),
        cmocka_unit_test(what_blocks_drifts_once_it_costs_more_than_at_home),
        cmocka_unit_test(what_waits_at_home_does_not_go_there_for_being_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
