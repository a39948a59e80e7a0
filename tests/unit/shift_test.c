/* SPDX-License-Identifier: MIT */
/*
 * unit/shift_test.c - what is remembered of a kind, and when it is other work.
 *
 * Goal: evidence grows old by evidence, and no window has too much of a say;
 * the detector finds a change as soon as it says, and none in noise. Method:
 * windows of made up samples, with the generator of SplitMix64.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "place/evidence.h"
#include "place/shift.h"

static struct sh_evidence evidence;
static struct sh_shift shift;
static uint64_t seed;

static int begin(void **state)
{
    (void)state;
    evidence = (struct sh_evidence){ 0 };
    sh_shift_begin(&shift, -1);
    seed = 1;
    return 0;
}

static uint64_t random_next(void)
{
    uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void add(uint64_t samples, uint64_t each_ns)
{
    struct sh_window w = { .samples = samples,
                           .service_ns = samples * each_ns };

    sh_evidence_add(&evidence, &w, UINT64_MAX);
}

static void add_deep(uint64_t n, uint64_t ns, uint64_t cpu, uint64_t system)
{
    struct sh_window w = { .samples = n,
                           .service_ns = n * ns,
                           .deep = n,
                           .deep_ns = n * ns,
                           .cpu_ns = n * cpu,
                           .system_ns = n * system };

    sh_evidence_add(&evidence, &w, UINT64_MAX);
}

static int look(uint64_t samples, uint64_t each_ns)
{
    struct sh_window w = { .samples = samples,
                           .service_ns = samples * each_ns };

    return sh_shift_add(&shift, &w);
}

/* -- evidence -- */

static void few_samples_add_up_however_far_apart(void **state)
{
    (void)state;
    assert_int_equal(sh_evidence_mean_ns(&evidence), -1);
    for (int i = 1; i <= 32; i++) {
        add(1, 1000);
        add(0, 0);
        assert_int_equal(sh_evidence_samples(&evidence), i);
        assert_int_equal(sh_evidence_mean_ns(&evidence), 1000);
    }
}

static void the_old_is_forgotten(void **state)
{
    (void)state;
    for (int i = 0; i < 10000; i++) {
        add(10, 1000);
        assert_true(sh_evidence_samples(&evidence) <= SH_EVIDENCE_SAMPLES);
    }
    for (int i = 0; i < 300; i++)
        add(10, 1500);
    assert_in_range(sh_evidence_mean_ns(&evidence), 1490, 1500);
}

static void a_window_counts_for_an_eighth(void **state)
{
    (void)state;
    add(1000000, 1000);
    assert_int_equal(sh_evidence_samples(&evidence), SH_EVIDENCE_SAMPLES / 8);
    for (int i = 0; i < 7; i++)
        add(1000000, 1000);
    add(1000000, 1900); /* and all are halved, as these are too many */
    assert_in_range(sh_evidence_mean_ns(&evidence), 1095, 1105);
}

static void a_window_is_not_believed_more_than_twice_the_mean(void **state)
{
    (void)state;
    add(64, 1000000); /* too little is known to say that it is wrong, */
    assert_int_equal(sh_evidence_mean_ns(&evidence), 1000000);
    add(64, 1000); /* or that this is */
    assert_int_equal(sh_evidence_mean_ns(&evidence), 500500);
    add(64, 10000000);
    assert_int_equal(sh_evidence_mean_ns(&evidence), 667333);
    begin(state);
    add(10, 1000);
    add(64, 100000); /* more samples than there are to doubt it */
    assert_int_equal(sh_evidence_mean_ns(&evidence), 86621);
    begin(state);
    for (int i = 0; i < 7; i++)
        add(64, 1000);
    add(64, 1000000);
    assert_int_equal(sh_evidence_mean_ns(&evidence), 1125);
    begin(state);
    for (int i = 0; i < 7; i++)
        add(64, 1000);
    add(64, 1);
    assert_in_range(sh_evidence_mean_ns(&evidence), 936, 938);
}

static void nor_more_than_the_caller_says(void **state)
{
    struct sh_window w = { .samples = 10, .service_ns = 10000 };

    (void)state;
    sh_evidence_add(&evidence, &w, 300);
    assert_int_equal(sh_evidence_mean_ns(&evidence), 300);
}

static void the_largest_numbers_do_no_harm(void **state)
{
    const uint64_t max = UINT64_MAX;
    struct sh_window w = { max, max, max, max, max, max, max,
                           max, max, max, max, max, max, max, max };

    (void)state;
    for (int i = 0; i < 1000; i++) {
        w.samples = i % 2 ? max : 1;
        w.deep = i % 3 ? max : 1;
        sh_evidence_add(&evidence, &w, max);
        assert_true(sh_evidence_mean_ns(&evidence) >= 0);
        assert_true(sh_evidence_cpu_ns(&evidence) >= 0);
        assert_true(sh_evidence_waits(&evidence) <= SH_SHARE_ONE);
        (void)sh_shift_add(&shift, &w);
    }
}

static void a_share_is_rounded_down(void **state)
{
    (void)state;
    assert_int_equal(sh_evidence_share(0, 0), 0);
    assert_int_equal(sh_evidence_share(1, 0), 0);
    assert_int_equal(sh_evidence_share(1, 3), SH_SHARE_ONE / 3);
    assert_int_equal(sh_evidence_share(3, 3), SH_SHARE_ONE);
    assert_int_equal(sh_evidence_share(4, 3), SH_SHARE_ONE);
    assert_int_equal(sh_evidence_share(UINT64_MAX / 2, UINT64_MAX), 512);
}

static void shares_are_of_what_the_kernel_was_asked(void **state)
{
    (void)state;
    assert_int_equal(sh_evidence_cpu_ns(&evidence), -1);
    assert_int_equal(sh_evidence_waits(&evidence), 0);
    add(10, 1000000);
    assert_int_equal(sh_evidence_cpu_ns(&evidence), -1);
    add_deep(10, 1000000, 250000, 125000);
    assert_int_equal(sh_evidence_waits(&evidence), 768);
    assert_int_equal(sh_evidence_system(&evidence), 128);
    assert_int_equal(sh_evidence_cpu_ns(&evidence), 250000);
    for (int i = 0; i < 1000; i++)
        add_deep(1000, 1000000, 1000001, 0); /* its clock is coarse */
    assert_int_equal(sh_evidence_waits(&evidence), 0);
    assert_int_equal(sh_evidence_cpu_ns(&evidence), 1000000);
    assert_int_equal(sh_evidence_deep(&evidence) > SH_EVIDENCE_DEEP / 2, 1);
}

/* -- the detector -- */

static void logarithms_rise_and_are_whole_at_powers_of_two(void **state)
{
    (void)state;
    for (int64_t i = 0; i < 64; i++)
        assert_int_equal(sh_shift_log2((UINT64_C(1) << i) - 1),
                         i * SH_SHIFT_ONE);
    for (uint64_t x = 0; x < 100000; x++)
        assert_true(sh_shift_log2(x) <= sh_shift_log2(x + 1));
    assert_in_range(sh_shift_log2(UINT64_MAX), 64 * SH_SHIFT_ONE - 2,
                    64 * SH_SHIFT_ONE);
}

static int batches_until_said(uint64_t before_ns, uint64_t ns, int *said)
{
    sh_shift_begin(&shift, -1);
    for (int i = 0; i < 50; i++)
        assert_int_equal(look(100, before_ns), 0);
    for (int i = 1; i <= 1000; i++) {
        *said = look(100, ns);
        if (*said != 0)
            return i;
    }
    return 0;
}

static void a_change_is_found_in_as_many_batches_as_it_says(void **state)
{
    int said;

    (void)state;
    assert_int_equal(batches_until_said(100000, 200000, &said), 9);
    assert_int_equal(said, 1);
    assert_int_equal(batches_until_said(200000, 100000, &said), 9);
    assert_int_equal(said, -1);
    assert_int_equal(batches_until_said(10000, 110000, &said), 5);
    assert_int_equal(batches_until_said(110000, 10000, &said), 5);
    assert_int_equal(batches_until_said(100000, 130000, &said), 0);
    assert_int_equal(batches_until_said(20, 60, &said), 0);
}

static void it_begins_anew_with_what_is_usual_now(void **state)
{
    int said;

    (void)state;
    assert_int_equal(batches_until_said(10000, 110000, &said), 5);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(look(100, 110000), 0);
}

static void what_is_known_need_not_be_learned(void **state)
{
    (void)state;
    sh_shift_begin(&shift, 10000);
    assert_int_equal(look(100, 110000), 0);
    assert_false(sh_shift_suspects(&shift));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(look(100, 110000), 0);
        assert_true(sh_shift_suspects(&shift));
    }
    assert_int_equal(look(100, 110000), 1);
}

static void a_batch_has_samples_or_time(void **state)
{
    (void)state;
    sh_shift_begin(&shift, 10000);
    for (int i = 1; i < 5 * 32; i++)
        assert_int_equal(look(1, 110000), 0);
    assert_int_equal(look(1, 110000), 1);
    sh_shift_begin(&shift, 10000);
    for (int i = 1; i < 5 * 4; i++)
        assert_int_equal(look(1, SH_SHIFT_FEW_NS / 4), 0);
    assert_int_equal(look(1, SH_SHIFT_FEW_NS / 4), 1);
}

/* A thread that loses its CPU makes one of so many batches a thousand times as
 * long. */
static void stalls_are_no_change(void **state)
{
    (void)state;
    for (int i = 0; i < 100000; i++)
        assert_int_equal(look(32, i % 20 == 7 ? 200000 : 200), 0);
}

static void noise_is_no_change(void **state)
{
    (void)state;
    for (int i = 0; i < 1000000; i++)
        assert_int_equal(look(32, 70000 + random_next() % 60001), 0);
    sh_shift_begin(&shift, -1);
    for (int i = 0; i < 1000000; i++) /* from a half to twice: 1.4 at most */
        assert_int_equal(look(32, 50000 + random_next() % 100001), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(few_samples_add_up_however_far_apart, begin),
        cmocka_unit_test_setup(the_old_is_forgotten, begin),
        cmocka_unit_test_setup(a_window_counts_for_an_eighth, begin),
        cmocka_unit_test_setup(
            a_window_is_not_believed_more_than_twice_the_mean, begin),
        cmocka_unit_test_setup(nor_more_than_the_caller_says, begin),
        cmocka_unit_test_setup(the_largest_numbers_do_no_harm, begin),
        cmocka_unit_test_setup(a_share_is_rounded_down, begin),
        cmocka_unit_test_setup(shares_are_of_what_the_kernel_was_asked, begin),
        cmocka_unit_test_setup(logarithms_rise_and_are_whole_at_powers_of_two,
                               begin),
        cmocka_unit_test_setup(a_change_is_found_in_as_many_batches_as_it_says,
                               begin),
        cmocka_unit_test_setup(it_begins_anew_with_what_is_usual_now, begin),
        cmocka_unit_test_setup(what_is_known_need_not_be_learned, begin),
        cmocka_unit_test_setup(a_batch_has_samples_or_time, begin),
        cmocka_unit_test_setup(stalls_are_no_change, begin),
        cmocka_unit_test_setup(noise_is_no_change, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
