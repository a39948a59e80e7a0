/* SPDX-License-Identifier: MIT */
/*
 * unit/trace_test.c - backtraces that are put into words when an error is lent.
 *
 * Method: a teller that counts how often it is asked stands in for the one that
 * reads files.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/atomic.h"
#include "failed.h"

#define THREADS 4

static atomic_int asked;
static const struct sh_untold untold = {
    .task = &task, .trace = { .at = { 7, 8 }, .count = 2 }
};
static const struct sh_failure crash = { .code = SHUNT_ECRASHED,
                                         .text = "crashed",
                                         .untold = &untold };

static char *count(const struct sh_untold *u)
{
    char words[64];

    atomic_fetch_add(&asked, 1);
    (void)snprintf(words, sizeof words, "#0 %zu of %zu in %s",
                   (size_t)u->trace.at[0], u->trace.count, u->task->fn_);
    return strdup(words);
}

static const char words[] = "#0 7 of 2 in fetch";

static int make(void **state)
{
    atomic_store(&asked, 0);
    sh_trace_tell_by(count);
    return failed_make(state);
}

static const shunt_error *attach(const struct sh_failure *f)
{
    struct sh_block *b = sh_error_new(&pool, &record, f);

    assert_non_null(b);
    sh_attach(&record, b, b);
    return sh_block_bytes(b);
}

static void a_backtrace_is_told_once_when_it_is_lent(void **state)
{
    const shunt_error *e = attach(&crash);
    const char *told;

    (void)state;
    assert_string_equal(e->backtrace, "");
    assert_int_equal(atomic_load(&asked), 0);
    assert_ptr_equal(sh_error_tell(e), e);
    told = e->backtrace;
    assert_string_equal(told, words);
    (void)sh_error_tell(e);
    assert_ptr_equal(e->backtrace, told);
    assert_int_equal(atomic_load(&asked), 1);
}

static void what_has_no_backtrace_asks_nobody(void **state)
{
    const shunt_error *e = attach(
        &(struct sh_failure){ .code = SHUNT_EFAILED, .backtrace = "#0 a" });

    (void)state;
    (void)sh_error_tell(e);
    (void)sh_error_tell(sh_error_constant(SHUNT_EINVAL));
    assert_string_equal(e->backtrace, "#0 a");
    assert_int_equal(atomic_load(&asked), 0);
}

/* At any depth, as a user may follow the pointers. */
static void causes_are_told_with_what_they_led_to(void **state)
{
    const shunt_error *cause = attach(&crash), *middle, *e;

    (void)state;
    middle = attach(&(struct sh_failure){
        .code = SHUNT_EFAILED, .causes = &cause, .cause_count = 1 });
    e = attach(&(struct sh_failure){
        .code = SHUNT_EFAILED, .causes = &middle, .cause_count = 1 });
    (void)sh_error_tell(e);
    assert_string_equal(e->causes[0]->causes[0]->backtrace, words);
    assert_string_equal(e->backtrace, "");
}

static void a_failure_that_is_passed_on_keeps_its_frames(void **state)
{
    const shunt_error *first = attach(&crash), *second, *third;
    struct sh_failure f = sh_failure_of(first);

    (void)state;
    second = attach(&f);
    (void)sh_error_tell(second);
    assert_string_equal(second->backtrace, words);
    assert_string_equal(first->backtrace, "");
    f = sh_failure_of(second);
    third = attach(&f);
    assert_string_equal(third->backtrace, words);
    assert_ptr_not_equal(third->backtrace, second->backtrace);
    assert_int_equal(atomic_load(&asked), 1);
}

/* Its future may be gone by then. */
static void a_copy_is_told_when_it_is_looked_at(void **state)
{
    const shunt_error *cause = attach(&crash), *e;
    struct sh_failure f = crash;
    shunt_error *copy;

    (void)state;
    f.causes = &cause;
    f.cause_count = 1;
    e = attach(&f);
    copy = sh_error_copy(e);
    assert_non_null(copy);
    assert_int_equal(atomic_load(&asked), 0);
    sh_copy_tell(copy);
    assert_string_equal(copy->backtrace, words);
    assert_string_equal(copy->causes[0]->backtrace, words);
    assert_string_equal(e->backtrace, "");
    assert_int_equal(atomic_load(&asked), 2);
    sh_error_free(copy);
    copy = sh_error_copy(sh_error_tell(e));
    assert_non_null(copy);
    assert_string_equal(copy->backtrace, words);
    assert_ptr_not_equal(copy->backtrace, e->backtrace);
    sh_error_free(copy);
}

/* Goal: what was lent does not change, even if memory is there later. */
static void without_memory_there_is_no_backtrace_for_good(void **state)
{
    const shunt_error *e = attach(&crash);

    (void)state;
    sh_fault_set(1); /* of the block of the words */
    (void)sh_error_tell(e);
    assert_string_equal(e->backtrace, "");
    (void)sh_error_tell(e);
    assert_string_equal(e->backtrace, "");
    assert_int_equal(atomic_load(&asked), 1);
}

/* A CAS that fails is a write to ThreadSanitizer, so a plain read, as a user's,
 * would race there with another reader who has come too late. */
static void *lend(void *arg)
{
    const shunt_error *e = sh_error_tell(arg);

    /* acquire: told */
    return (void *)(uintptr_t)sh_load_bare_acq(&e->backtrace);
}

static void all_readers_get_the_same_words(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        const shunt_error *e = attach(&crash);
        pthread_t threads[THREADS];
        void *told[THREADS];

        for (int i = 0; i < THREADS; i++)
            assert_int_equal(
                pthread_create(&threads[i], NULL, lend, (void *)(uintptr_t)e),
                0);
        for (int i = 0; i < THREADS; i++) {
            assert_int_equal(pthread_join(threads[i], &told[i]), 0);
            assert_ptr_equal(told[i], told[0]);
        }
        assert_string_equal(told[0], words);
    }
}

int main(void)
{
#define TRACE_TEST(test) \
    cmocka_unit_test_setup_teardown(test, make, failed_unmake)
    const struct CMUnitTest tests[] = {
        TRACE_TEST(a_backtrace_is_told_once_when_it_is_lent),
        TRACE_TEST(what_has_no_backtrace_asks_nobody),
        TRACE_TEST(causes_are_told_with_what_they_led_to),
        TRACE_TEST(a_failure_that_is_passed_on_keeps_its_frames),
        TRACE_TEST(a_copy_is_told_when_it_is_looked_at),
        TRACE_TEST(without_memory_there_is_no_backtrace_for_good),
        TRACE_TEST(all_readers_get_the_same_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
