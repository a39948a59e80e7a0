/* SPDX-License-Identifier: MIT */
/*
 * unit/policy_test.c - where a kind begins, in which manner it runs,
 * what a crash does, and what of this is told and kept.
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
#include <string.h>

#include "kind.h"

/* -- where kinds begin -- */

static void kinds_begin_in_processes_unless_host_only(void **state)
{
    (void)state;
    BEGIN(.trusted = false);
    is_at(SH_SITE_PROCESS, SH_MANNER_QUEUED);
    BEGIN(.trusted = true);
    is_at(SH_SITE_PROCESS, SH_MANNER_QUEUED);
    BEGIN(.isolated = true);
    is_at(SH_SITE_PROCESS, SH_MANNER_QUEUED);
    BEGIN(.host_only = true);
    is_at(SH_SITE_THREAD, SH_MANNER_QUEUED);
    BEGIN(.blocking = true);
    is_at(SH_SITE_PROCESS, SH_MANNER_BLOCKING);
}

static void bounds_hold_whatever_is_measured(void **state)
{
    (void)state;
    BEGIN(.isolated = true);
    computes(100);
    like_ns(SH_SITE_THREAD, 1, 1, 0);
    for (int i = 0; i < 1000; i++) {
        step();
        assert_int_equal(p.place.site, SH_SITE_PROCESS);
    }
    assert_int_equal(sh_policy_stays(&p, now), SH_REASON_ISOLATED);
    BEGIN(.host_only = true);
    for (int i = 0; i < 1000; i++) {
        if (i == 500)
            crash();
        computes(i < 300 ? 100 : 10 * MS);
        step();
        assert_int_equal(p.place.site, SH_SITE_THREAD);
    }
    assert_int_equal(sh_policy_stays(&p, now), SH_REASON_HOST_ONLY);
}

static void nothing_measured_is_no_cost_and_no_change(void **state)
{
    (void)state;
    BEGIN(.trusted = true);
    runs = deep = 0;
    assert_int_equal(until(1000), SH_REASON_NONE);
    assert_int_equal(cost(SH_SITE_PROCESS, SH_MANNER_QUEUED), -1);
    assert_int_equal(cost(SH_SITE_THREAD, SH_MANNER_BLOCKING), -1);
    assert_int_equal(sh_policy_stays(&p, now), SH_REASON_UNKNOWN);
}

/* -- inline -- */

static void inline_is_for_less_than_its_limit(void **state)
{
    (void)state;
    BEGIN(.isolated = true);
    computes(SH_INLINE_BELOW_NS);
    assert_int_equal(until(50), SH_REASON_NONE);
    BEGIN(.isolated = true);
    computes(SH_INLINE_BELOW_NS - 1);
    assert_int_equal(until(50), SH_REASON_SHORT);
    is_at(SH_SITE_PROCESS, SH_MANNER_INLINE);
}

static void inline_needs_samples(void **state)
{
    (void)state;
    BEGIN(.isolated = true);
    computes(100);
    runs = SH_SAMPLES_MIN - 1;
    assert_int_equal(step(), SH_REASON_NONE);
    runs = 1;
    assert_int_equal(step(), SH_REASON_SHORT);
}

/* And between the limits nothing changes. */
static void inline_ends_above_another_limit(void **state)
{
    (void)state;
    BEGIN(.isolated = true);
    computes(SH_INLINE_BELOW_NS - 1);
    assert_int_equal(until(50), SH_REASON_SHORT);
    computes(SH_INLINE_ABOVE_NS);
    assert_int_equal(until(200), SH_REASON_NONE);
    is_at(SH_SITE_PROCESS, SH_MANNER_INLINE);
    computes(SH_INLINE_ABOVE_NS + 1);
    assert_int_equal(until(200), SH_REASON_NOT_SHORT);
    is_at(SH_SITE_PROCESS, SH_MANNER_QUEUED);
}

static void what_has_parked_once_is_never_inline(void **state)
{
    struct sh_measures m;

    (void)state;
    BEGIN(.isolated = true);
    computes(100);
    assert_int_equal(until(5), SH_REASON_SHORT);
    m = measures();
    m.at[SH_SITE_PROCESS].parked = 1;
    assert_int_equal(sh_policy_step(&p, &m), SH_REASON_PARKS);
    assert_int_equal(until(1000), SH_REASON_NONE);
    is_at(SH_SITE_PROCESS, SH_MANNER_QUEUED);
}

static void what_becomes_long_inline_leaves_after_a_few_runs(void **state)
{
    int steps = 0;

    (void)state;
    BEGIN(.isolated = true);
    computes(100);
    assert_int_equal(until(5), SH_REASON_SHORT);
    for (int i = 0; i < 20; i++)
        step();
    computes(10 * MS);
    runs = 2;
    deep = 0;
    while (p.place.manner == SH_MANNER_INLINE && steps < 100)
        steps++, step();
    assert_in_range(steps, 1, 12);
}

/* -- blocking -- */

static void what_waits_in_the_kernel_is_blocking(void **state)
{
    (void)state;
    BEGIN(.isolated = true);
    like_ns(SH_SITE_PROCESS, 2 * MS, MS - 2 * US, 0);
    assert_int_equal(until(50), SH_REASON_BLOCKS);
    is_at(SH_SITE_PROCESS, SH_MANNER_BLOCKING);
    /* Somebody is woken to stand in for it. */
    assert_in_range(cost(SH_SITE_PROCESS, SH_MANNER_BLOCKING), MS + 55 * US,
                    MS + 60 * US);
    BEGIN(.host_only = true);
    like_ns(SH_SITE_THREAD, 2 * MS, MS - 2 * US, 0);
    assert_int_equal(until(50), SH_REASON_BLOCKS);
    assert_in_range(cost(SH_SITE_THREAD, SH_MANNER_BLOCKING), MS + 15 * US,
                    MS + 20 * US);
}

static void half_of_the_time_is_not_mostly(void **state)
{
    (void)state;
    BEGIN(.isolated = true);
    like_ns(SH_SITE_PROCESS, 2 * MS, MS, 0);
    assert_int_equal(until(50), SH_REASON_NONE);
}

static void what_waits_for_a_moment_does_not_block(void **state)
{
    (void)state;
    BEGIN(.isolated = true);
    like_ns(SH_SITE_PROCESS, SH_BLOCKS_ABOVE_NS, 1 * US, 0);
    assert_int_equal(until(50), SH_REASON_NONE);
    like_ns(SH_SITE_PROCESS, SH_BLOCKS_ABOVE_NS + 1000, 1 * US, 0);
    assert_int_equal(until(50), SH_REASON_BLOCKS);
    like_ns(SH_SITE_PROCESS, SH_BLOCKS_BELOW_NS, 1 * US, 0);
    assert_int_equal(until(200), SH_REASON_NONE);
    like_ns(SH_SITE_PROCESS, SH_BLOCKS_BELOW_NS - 1000, 1 * US, 0);
    assert_int_equal(until(200), SH_REASON_COMPUTES);
}

static void blocking_needs_deep_samples(void **state)
{
    (void)state;
    BEGIN(.isolated = true);
    like_ns(SH_SITE_PROCESS, 2 * MS, 0, 0);
    deep = SH_DEEP_MIN - 1;
    assert_int_equal(step(), SH_REASON_NONE);
    deep = 1;
    assert_int_equal(step(), SH_REASON_BLOCKS);
}

static void blocking_ends_below_another_share(void **state)
{
    (void)state;
    BEGIN(.isolated = true);
    like_ns(SH_SITE_PROCESS, 2 * MS, 0, 0);
    assert_int_equal(until(50), SH_REASON_BLOCKS);
    like_ns(SH_SITE_PROCESS, 2 * MS, 1500 * US, 0);
    assert_int_equal(until(200), SH_REASON_NONE);
    like_ns(SH_SITE_PROCESS, 2 * MS, 1510 * US, 0);
    assert_int_equal(until(200), SH_REASON_COMPUTES);
    is_at(SH_SITE_PROCESS, SH_MANNER_QUEUED);
}

static void what_others_took_the_cpu_from_does_not_block(void **state)
{
    (void)state;
    BEGIN(.isolated = true);
    like_ns(SH_SITE_PROCESS, 30 * MS, 10 * MS, 0);
    for (int i = 0; i < 50; i++) {
        struct sh_measures m = measures();

        m.at[SH_SITE_PROCESS].never_slept = deep / 2 + 1;
        assert_int_equal(sh_policy_step(&p, &m), SH_REASON_NONE);
    }
}

static void what_says_that_it_blocks_does(void **state)
{
    (void)state;
    BEGIN(.blocking = true, .isolated = true);
    computes(100);
    assert_int_equal(until(1000), SH_REASON_NONE);
    is_at(SH_SITE_PROCESS, SH_MANNER_BLOCKING);
    BEGIN(.host_only = true);
    like_ns(SH_SITE_THREAD, 2 * MS, 0, 0);
    assert_int_equal(until(50), SH_REASON_BLOCKS); /* by its own figures */
    is_at(SH_SITE_THREAD, SH_MANNER_BLOCKING);
}

/* -- crashes -- */

static void a_crash_in_the_host_brings_it_home_for_good(void **state)
{
    (void)state;
    assert_int_equal(tried(10000, 5000), SH_REASON_GAIN);
    assert_int_equal(crash(), SH_REASON_CRASHED);
    is_at(SH_SITE_PROCESS, SH_MANNER_QUEUED);
    assert_true(p.banned);
    runs = 100000;
    assert_int_equal(until(10000), SH_REASON_NONE);
    assert_int_equal(sh_policy_stays(&p, now), SH_REASON_CRASHED);
    assert_int_equal(crash(), SH_REASON_NONE); /* it is known */
    assert_int_equal(p.crashes, 2);
}

static void a_crash_ends_a_trial(void **state)
{
    (void)state;
    BEGIN(.trusted = true);
    computes(10000);
    assert_int_equal(until(100), SH_REASON_TRIAL);
    assert_int_equal(crash(), SH_REASON_CRASHED);
    assert_int_equal(until(1000), SH_REASON_NONE);
    is_at(SH_SITE_PROCESS, SH_MANNER_QUEUED);
}

static void what_has_crashed_is_never_inline_but_may_block(void **state)
{
    (void)state;
    BEGIN(.isolated = true);
    computes(100);
    assert_int_equal(until(100), SH_REASON_SHORT);
    assert_int_equal(crash(), SH_REASON_CRASHED);
    is_at(SH_SITE_PROCESS, SH_MANNER_QUEUED);
    assert_int_equal(until(1000), SH_REASON_NONE);
    BEGIN(.blocking = true);
    assert_int_equal(crash(), SH_REASON_CRASHED);
    is_at(SH_SITE_PROCESS, SH_MANNER_BLOCKING);
}

/* -- what is told and kept -- */

static void the_last_changes_are_kept(void **state)
{
    (void)state;
    BEGIN(.trusted = true);
    computes(10000);
    assert_null(sh_policy_change(&p, 0));
    for (int i = 0; i < 10; i++) {
        now = now < p.next_trial_ns ? p.next_trial_ns : now;
        assert_int_equal(until(10), SH_REASON_TRIAL);
        assert_int_equal(until(10), SH_REASON_NO_GAIN);
    }
    assert_int_equal(p.recorded, 20);
    assert_int_equal(p.explorations, 10);
    assert_int_equal(p.changes, 0);
    for (uint32_t i = 0; i < SH_CHANGES_KEPT; i++) {
        const struct sh_change *c = sh_policy_change(&p, i);

        assert_int_equal(c->reason,
                         i % 2 ? SH_REASON_TRIAL : SH_REASON_NO_GAIN);
        assert_int_equal(c->from.site,
                         i % 2 ? SH_SITE_PROCESS : SH_SITE_THREAD);
        assert_int_equal(c->to.site, i % 2 ? SH_SITE_THREAD : SH_SITE_PROCESS);
        assert_in_range(i % 2 ? c->cost_before : c->cost_after, 10290, 10300);
    }
    assert_int_equal(sh_policy_change(&p, 0)->now_ns, now);
    assert_null(sh_policy_change(&p, SH_CHANGES_KEPT));
}

static void a_restart_begins_informed(void **state)
{
    struct sh_policy_saved saved, again;
    struct sh_bounds none = { 0 };
    int64_t loaded;

    (void)state;
    BEGIN(.trusted = false);
    like_ns(SH_SITE_PROCESS, 10000, 10000, 0);
    like_ns(SH_SITE_THREAD, 5000, 5000, 0);
    assert_int_equal(until(100), SH_REASON_TRIAL);
    sh_policy_save(&p, &saved);
    assert_int_equal(saved.site, SH_SITE_PROCESS); /* it was tried only */
    assert_int_equal(until(100), SH_REASON_GAIN);
    sh_policy_save(&p, &saved);
    assert_true(sh_policy_load(&p, &none, &saved));
    is_at(SH_SITE_THREAD, SH_MANNER_QUEUED);
    loaded = now;
    assert_int_equal(p.why, SH_REASON_LOADED);
    assert_in_range(cost(SH_SITE_PROCESS, SH_MANNER_QUEUED), 10290, 10310);
    assert_in_range(cost(SH_SITE_THREAD, SH_MANNER_QUEUED), 5240, 5260);
    sh_policy_save(&p, &again);
    assert_int_equal(again.clean, saved.clean);
    assert_int_equal(again.backoff_ns, saved.backoff_ns);
    assert_int_equal(saved.backoff_ns, SH_BACKOFF_NS_MIN * SH_BACKOFF_TIMES);
    assert_int_equal(until(100), SH_REASON_TRIAL); /* not before its time */
    assert_int_equal(now - loaded, saved.backoff_ns + STEP_NS);
}

static void a_ban_is_saved(void **state)
{
    struct sh_policy_saved saved;
    struct sh_bounds trusted = { .trusted = true };

    (void)state;
    assert_int_equal(tried(10000, 5000), SH_REASON_GAIN);
    crash();
    sh_policy_save(&p, &saved);
    saved.site = SH_SITE_THREAD; /* as if somebody had written that */
    saved.manner = SH_MANNER_INLINE;
    assert_true(sh_policy_load(&p, &trusted, &saved));
    is_at(SH_SITE_PROCESS, SH_MANNER_QUEUED);
    assert_int_equal(until(1000), SH_REASON_NONE);
}

static void a_manner_is_saved_with_what_speaks_against_it(void **state)
{
    struct sh_policy_saved saved, changed;
    struct sh_bounds none = { 0 };

    (void)state;
    BEGIN(.isolated = true);
    computes(100);
    assert_int_equal(until(100), SH_REASON_SHORT);
    p.crashes = UINT64_MAX;
    sh_policy_save(&p, &saved);
    assert_int_equal(saved.crashes, INT64_MAX);
    assert_true(sh_policy_load(&p, &none, &saved));
    is_at(SH_SITE_PROCESS, SH_MANNER_INLINE);
    changed = saved;
    changed.parks = 1;
    assert_true(sh_policy_load(&p, &none, &changed));
    is_at(SH_SITE_PROCESS, SH_MANNER_QUEUED);
    assert_int_equal(p.why, SH_REASON_BEGAN); /* it is where kinds begin */
    assert_null(sh_policy_change(&p, 0));
    assert_true(p.parks);
    changed = saved;
    changed.banned = 1;
    changed.manner = SH_MANNER_BLOCKING;
    assert_true(sh_policy_load(&p, &none, &changed));
    is_at(SH_SITE_PROCESS, SH_MANNER_BLOCKING);
    assert_int_equal(p.why, SH_REASON_LOADED);
}

/* What was usual need not be learned: a change shows after five windows. */
static void what_was_usual_is_saved(void **state)
{
    struct sh_policy_saved saved;
    struct sh_bounds isolated = { .isolated = true };

    (void)state;
    BEGIN(.isolated = true);
    computes(10000);
    assert_int_equal(until(20), SH_REASON_NONE);
    sh_policy_save(&p, &saved);
    assert_true(sh_policy_load(&p, &isolated, &saved));
    assert_false(p.parks);
    computes(200000);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(p.shifts, 0);
        step();
    }
    assert_int_equal(p.shifts, 1);
}

static void bounds_win_over_what_was_saved(void **state)
{
    struct sh_policy_saved saved;
    struct sh_bounds none = { 0 }, isolated = { .isolated = true };
    struct sh_bounds only = { .host_only = true }, blocking = { .blocking = 1 };

    (void)state;
    assert_int_equal(tried(10000, 5000), SH_REASON_GAIN);
    sh_policy_save(&p, &saved);
    assert_true(sh_policy_load(&p, &isolated, &saved));
    is_at(SH_SITE_PROCESS, SH_MANNER_QUEUED);
    saved.clean = SH_EARN_RUNS - 1; /* it was trusted then, and is not now */
    assert_true(sh_policy_load(&p, &none, &saved));
    is_at(SH_SITE_PROCESS, SH_MANNER_QUEUED);
    saved.clean = SH_EARN_RUNS;
    assert_true(sh_policy_load(&p, &none, &saved));
    is_at(SH_SITE_THREAD, SH_MANNER_QUEUED);
    assert_true(sh_policy_load(&p, &blocking, &saved));
    is_at(SH_SITE_THREAD, SH_MANNER_BLOCKING);
    saved.site = SH_SITE_PROCESS;
    saved.banned = 1;
    assert_true(sh_policy_load(&p, &only, &saved));
    is_at(SH_SITE_THREAD, SH_MANNER_QUEUED);
}

static void what_was_never_saved_is_not_loaded(void **state)
{
    struct sh_policy_saved good, bad;
    struct sh_bounds none = { 0 };
    struct sh_policy fresh;

    (void)state;
    assert_int_equal(tried(10000, 5000), SH_REASON_GAIN);
    sh_policy_save(&p, &good);
    sh_policy_init(&fresh, &none);
    for (size_t i = 0; i < sizeof good / (sizeof(int64_t)); i++) {
        bad = good;
        ((int64_t *)&bad)[i] = -1;
        assert_false(sh_policy_load(&p, &none, &bad));
        assert_memory_equal(&p, &fresh, sizeof p);
    }
    bad = good;
    bad.site = SH_SITES;
    assert_false(sh_policy_load(&p, &none, &bad));
    bad = good;
    bad.manner = SH_MANNER_BLOCKING + 1;
    assert_false(sh_policy_load(&p, &none, &bad));
    bad = good;
    bad.backoff_ns = SH_BACKOFF_NS_MAX + 1;
    assert_false(sh_policy_load(&p, &none, &bad));
    bad = good;
    for (size_t i = 0; i < sizeof bad.at / (sizeof(int64_t)); i++)
        ((int64_t *)&bad.at)[i] = INT64_MAX; /* nothing overflows */
    assert_true(sh_policy_load(&p, &none, &bad));
    for (int i = 0; i < 100; i++)
        step();
}

static void every_reason_has_a_sentence(void **state)
{
    (void)state;
    for (int i = 0; i < SH_REASONS; i++) {
        assert_non_null(sh_reason_text((enum sh_reason)i));
        assert_true(strlen(sh_reason_text((enum sh_reason)i)) > 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_begin_in_processes_unless_host_only),
        cmocka_unit_test(bounds_hold_whatever_is_measured),
        cmocka_unit_test(nothing_measured_is_no_cost_and_no_change),
        cmocka_unit_test(inline_is_for_less_than_its_limit),
        cmocka_unit_test(inline_needs_samples),
        cmocka_unit_test(inline_ends_above_another_limit),
        cmocka_unit_test(what_has_parked_once_is_never_inline),
        cmocka_unit_test(what_becomes_long_inline_leaves_after_a_few_runs),
        cmocka_unit_test(what_waits_in_the_kernel_is_blocking),
        cmocka_unit_test(half_of_the_time_is_not_mostly),
        cmocka_unit_test(what_waits_for_a_moment_does_not_block),
        cmocka_unit_test(blocking_needs_deep_samples),
        cmocka_unit_test(blocking_ends_below_another_share),
        cmocka_unit_test(what_others_took_the_cpu_from_does_not_block),
        cmocka_unit_test(what_says_that_it_blocks_does),
        cmocka_unit_test(a_crash_in_the_host_brings_it_home_for_good),
        cmocka_unit_test(a_crash_ends_a_trial),
        cmocka_unit_test(what_has_crashed_is_never_inline_but_may_block),
        cmocka_unit_test(the_last_changes_are_kept),
        cmocka_unit_test(a_restart_begins_informed),
        cmocka_unit_test(a_ban_is_saved),
        cmocka_unit_test(a_manner_is_saved_with_what_speaks_against_it),
        cmocka_unit_test(what_was_usual_is_saved),
        cmocka_unit_test(bounds_win_over_what_was_saved),
        cmocka_unit_test(what_was_never_saved_is_not_loaded),
        cmocka_unit_test(every_reason_has_a_sentence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
