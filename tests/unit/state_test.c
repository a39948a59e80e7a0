/* SPDX-License-Identifier: MIT */
/*
 * unit/state_test.c - the fields of the state word do not touch each other.
 *
 * Goal: a move changes the fields that it names and keeps the others. Method:
 * words are moved that have every flag and a generation of many bits, and all
 * fields are read again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shunt/pool.h"
#include "task/state.h"

static const uint64_t flags[] = { SH_WATCHED, SH_ALIASED,   SH_LENT,
                                  SH_GONE,    SH_ORPHAN,    SH_CANCEL,
                                  SH_BUSY,    SH_KEPT,      SH_OUTSIDE,
                                  SH_HELD,    SH_COMMITTED, SH_GRACED };
enum {
    FLAGS = sizeof flags / sizeof flags[0]
};

static void every_flag_is_a_bit_of_its_own_among_the_flags(void **state)
{
    uint64_t all = 0;

    (void)state;
    for (int i = 0; i < FLAGS; i++) {
        assert_int_equal(all & flags[i], 0);
        all |= flags[i];
    }
    assert_true(all == SH_FLAGS);
}

static void a_move_keeps_flags_and_generation(void **state)
{
    uint64_t w = (uint64_t)0xfedcba98 << 32 | SH_FLAGS | SH_RUNNING;

    (void)state;
    for (unsigned to = SH_FREE; to <= SH_RELEASING; to++) {
        uint64_t next = sh_word_to(w, (enum sh_phase)to, 0xfff);

        assert_int_equal(sh_phase_of(next), to);
        assert_int_equal(sh_owner_of(next), 0xfff);
        assert_int_equal(sh_outcome_of(next), 0);
        assert_int_equal(sh_generation_of(next), 0xfedcba98);
        assert_true((next & SH_FLAGS) == SH_FLAGS);
    }
}

static void a_move_forgets_the_owner_and_outcome_before(void **state)
{
    uint64_t w = sh_word_settled((uint64_t)7 << 32, SH_SETTLING, 0xfff, 15);

    (void)state;
    assert_int_equal(sh_outcome_of(w), 15);
    w = sh_word_settled(w, SH_COMPLETE, SH_OWNER_HOST, 2);
    assert_int_equal(sh_outcome_of(w), 2);
    assert_int_equal(sh_owner_of(w), SH_OWNER_HOST);
    w = sh_word_to(w, SH_READY, 0);
    assert_int_equal(sh_outcome_of(w), 0);
    assert_int_equal(sh_owner_of(w), 0);
    assert_int_equal(sh_generation_of(w), 7);
}

static void every_worker_fits_the_owner(void **state)
{
    (void)state;
    for (unsigned w = 0; w < SHUNT_WORKERS_MAX; w++) {
        unsigned owner = SH_OWNER_WORKER(w);

        assert_int_equal(sh_owner_of(sh_word_to(0, SH_RUNNING, owner)), owner);
        assert_true(owner != 0 && owner != SH_OWNER_HOST);
    }
}

static void a_code_survives_as_an_outcome(void **state)
{
    (void)state;
    assert_int_equal(sh_outcome_from(0), 0);
    assert_int_equal(sh_outcome_code(0), 0);
    for (int code = SHUNT_EFAILED; code >= SHUNT_EBROKEN; code--) {
        unsigned outcome = sh_outcome_from(code);

        assert_true(outcome > 0 && outcome < SH_OUTCOME_FORWARD);
        assert_int_equal(sh_outcome_code(outcome), code);
    }
}

static void only_the_last_two_phases_of_a_future_have_an_outcome(void **state)
{
    (void)state;
    for (unsigned p = SH_FREE; p <= SH_RELEASING; p++) {
        assert_int_equal(sh_is_settled(p), p == SH_COMPLETE || p == SH_DONE);
        assert_int_equal(sh_is_live(p),
                         p != SH_FREE && p != SH_INIT && p != SH_RELEASING);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_flag_is_a_bit_of_its_own_among_the_flags),
        cmocka_unit_test(a_move_keeps_flags_and_generation),
        cmocka_unit_test(a_move_forgets_the_owner_and_outcome_before),
        cmocka_unit_test(every_worker_fits_the_owner),
        cmocka_unit_test(a_code_survives_as_an_outcome),
        cmocka_unit_test(only_the_last_two_phases_of_a_future_have_an_outcome),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
