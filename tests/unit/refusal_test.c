/* SPDX-License-Identifier: MIT */
/*
 * refusal_test.c - whatever the system refuses the host, the seed or a zygote:
 * it is an error, nothing is left of what was begun, and the next try is good.
 *
 * Method. The n-th request is refused, for every n, in one process and then in
 * another; they are told by a letter. How the seed comes to be is tried in
 * seed_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fault.h"
#include "kin.h"
#include "process/letter.h"
#include "process/seed.h"
#include "shunt/errors.h"
#include "troupe.h"

static void every_refusal_to_start_is_an_error(void **state)
{
    unsigned refused = 0, granted = 0;
    struct troupe t;

    (void)state;
    troupe_begin(&t, scene_return);
    for (int64_t nth = 1; granted < 12; nth++) {
        struct sh_zygote z;
        struct sh_death death;
        unsigned descriptors = kin_descriptors();
        int rc;

        assert_true(nth < 100);
        /* Odd ones of the host, even ones of the seed, and the zygote. */
        if (nth % 2 == 1)
            sh_fault_set(nth / 2 + 1);
        else
            sh_seed_fault(nth / 2);
        rc = troupe_zygote(&t, &z);
        sh_fault_clear();
        sh_seed_fault(0);
        if (rc == 0) {
            struct troupe with = { .zygote = z };

            assert_int_equal(sh_zygote_fault(&z, 0), 0);
            assert_int_equal(troupe_play(&with, 0, &death), 0);
            assert_int_equal(death.exit_status, 40);
            sh_zygote_stop(&with.zygote);
        } else {
            assert_int_equal(rc, SHUNT_ENOMEM);
            assert_non_null(z.why);
        }
        assert_int_equal(kin_descriptors(), descriptors);
        refused += rc != 0;
        granted = rc == 0 ? granted + 1 : 0;
    }
    assert_true(refused >= 8);
    assert_int_equal(troupe_play(&t, 0, &(struct sh_death){ 0 }), 0);
    troupe_end(&t);
}

/* It lies where no page begins. */
static void an_arena_that_cannot_be_mapped_is_an_error(void **state)
{
    struct sh_arena arenas[2];
    struct troupe t, other;
    struct sh_arena *odd = (uintptr_t)&arenas[0] % 4096 != 0 ? &arenas[0]
                                                             : &arenas[1];

    (void)state;
    troupe_begin(&t, scene_return);
    other = t;
    memcpy(odd, t.arena, sizeof *odd);
    other.arena = odd;
    assert_int_equal(troupe_zygote(&other, &other.zygote), SHUNT_ENOMEM);
    assert_non_null(other.zygote.why);
    troupe_end(&t);
}

static void every_refusal_to_fork_is_an_error(void **state)
{
    unsigned refused = 0, granted = 0;
    struct troupe t;

    (void)state;
    troupe_begin(&t, scene_return);
    for (int64_t nth = 1; granted < 8; nth++) {
        struct sh_death death;
        unsigned descriptors = kin_descriptors();
        pid_t pid;
        int rc, pidfd;

        assert_true(nth < 100);
        if (nth % 2 == 1)
            sh_fault_set(nth / 2 + 1);
        else
            assert_int_equal(sh_zygote_fault(&t.zygote, nth / 2), 0);
        rc = sh_zygote_fork(&t.zygote, 3, &pid, &pidfd);
        sh_fault_clear();
        assert_int_equal(sh_zygote_fault(&t.zygote, 0), 0);
        if (rc == 0) {
            assert_true(kin_ends(pidfd));
            assert_int_equal(sh_zygote_reap(&t.zygote, pid, &death), 0);
            assert_int_equal(death.exit_status, 43);
        } else {
            assert_int_equal(rc, SHUNT_EAGAIN);
        }
        assert_int_equal(kin_descriptors(), descriptors);
        assert_int_equal(kin_zombies_of(t.zygote.pid), 0);
        refused += rc != 0;
        granted = rc == 0 ? granted + 1 : 0;
    }
    assert_true(refused >= 5);
    troupe_end(&t);
}

/* How a worker died is not lost by a refusal. */
static void every_refusal_to_reap_leaves_the_answer(void **state)
{
    struct troupe t;

    (void)state;
    troupe_begin(&t, scene_return);
    for (int64_t nth = 1; nth < 8; nth++) {
        struct sh_death death;
        pid_t pid;
        int rc, pidfd;

        assert_int_equal(sh_zygote_fork(&t.zygote, 3, &pid, &pidfd), 0);
        assert_true(kin_ends(pidfd));
        if (nth % 2 == 1)
            sh_fault_set(nth / 2 + 1);
        else
            assert_int_equal(sh_zygote_fault(&t.zygote, nth / 2), 0);
        rc = sh_zygote_reap(&t.zygote, pid, &death);
        sh_fault_clear();
        assert_int_equal(sh_zygote_fault(&t.zygote, 0), 0);
        assert_int_equal(rc, nth == 1 ? SHUNT_EAGAIN : 0);
        if (rc != 0)
            assert_int_equal(sh_zygote_reap(&t.zygote, pid, &death), 0);
        assert_int_equal(death.exit_status, 43);
    }
    troupe_end(&t);
}

/* A worker that there is no descriptor for, and no way to say so: none is left
 * behind. */
static void what_cannot_be_undone_is_given_up(void **state)
{
    struct troupe t;
    pid_t pid;
    int rc, pidfd;

    (void)state;
    troupe_begin(&t, scene_stay);
    /* The question is sent; its descriptor is lost, and the next question. */
    sh_fault_set_from(2);
    rc = sh_zygote_fork(&t.zygote, 0, &pid, &pidfd);
    sh_fault_clear();
    assert_int_equal(rc, SHUNT_EBROKEN);
    assert_true(kin_ends(dup(t.zygote.pidfd)));
    troupe_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_refusal_to_start_is_an_error),
        cmocka_unit_test(an_arena_that_cannot_be_mapped_is_an_error),
        cmocka_unit_test(every_refusal_to_fork_is_an_error),
        cmocka_unit_test(every_refusal_to_reap_leaves_the_answer),
        cmocka_unit_test(what_cannot_be_undone_is_given_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
