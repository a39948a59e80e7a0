/* SPDX-License-Identifier: MIT */
/*
 * unit/error_test.c - the records that failed futures carry.
 *
 * Goal: an error says what is known of a failure, however little memory there
 * is to say it in. Method: errors are made for a record and a pool that this
 * program has filled in itself, with and without faults.
 */
#include <stdlib.h>

#include "failed.h"

static const shunt_error *attach(const struct sh_failure *f)
{
    sh_error_attach(&pool, &record, f);
    return sh_error_find(&record, sh_outcome_from(f->code));
}

static void every_code_has_a_name_a_sentence_and_a_constant(void **state)
{
    (void)state;
    for (int code = SHUNT_EFAILED; code >= SHUNT_EBROKEN; code--) {
        const shunt_error *e = sh_error_constant(code);

        assert_int_equal(strncmp(shunt_code_name(code), "SHUNT_E", 7), 0);
        assert_true(strlen(shunt_code_text(code)) > 5);
        assert_int_equal(e->code, code);
        assert_string_equal(e->message, shunt_code_text(code));
        assert_string_equal(e->task, "");
        assert_string_equal(e->where, "");
        assert_string_equal(e->backtrace, "");
        assert_string_equal(e->culprit, "");
    }
    assert_string_equal(shunt_code_name(0), "success");
    assert_string_equal(shunt_code_name(SHUNT_PENDING), "SHUNT_PENDING");
    assert_string_equal(shunt_code_name(-1), "unknown");
    assert_string_equal(shunt_code_text(SHUNT_EBROKEN - 1), "unknown");
    assert_int_equal(sh_error_constant(0)->code, 0);
}

static void a_message_is_one_sentence_that_names_the_task(void **state)
{
    (void)state;
    assert_string_equal(
        attach(&(struct sh_failure){ .code = SHUNT_EFAILED, .task_code = 7 })
            ->message,
        "fetch failed with code 7");
    assert_string_equal(attach(&(struct sh_failure){ .code = SHUNT_EFAILED,
                                                     .task_code = 7,
                                                     .text = "no <h1>" })
                            ->message,
                        "fetch failed with code 7: no <h1>");
    assert_string_equal(attach(&(struct sh_failure){ .code = SHUNT_EINVAL,
                                                     .text = "too small" })
                            ->message,
                        "fetch: too small");
    assert_string_equal(
        attach(&(struct sh_failure){ .code = SHUNT_ECANCELED })->message,
        "fetch: cancelled before there was a result");
    assert_string_equal(attach(&(struct sh_failure){ .code = SHUNT_ECRASHED,
                                                     .text = "called exit(3)" })
                            ->message,
                        "fetch called exit(3)");
    record.task = NULL;
    assert_string_equal(attach(&(struct sh_failure){ .code = SHUNT_EFAILED,
                                                     .text = "a promise" })
                            ->message,
                        "a promise");
}

static void an_error_says_where_it_comes_from(void **state)
{
    const shunt_error *e;

    (void)state;
    e = attach(&(struct sh_failure){
        .code = SHUNT_EFAILED, .task_code = 7, .attempts = 1 });
    assert_string_equal(e->task, "fetch");
    assert_string_equal(e->where, "here.c:12");
    assert_int_equal(e->task_code, 7);
    assert_int_equal(e->attempts, 1);
    assert_int_equal(e->cause_count, 0);
    e = attach(&(struct sh_failure){ .code = SHUNT_EFAILED,
                                     .task = "parse",
                                     .where = "there.c:3",
                                     .whole = "as it was" });
    assert_string_equal(e->task, "parse");
    assert_string_equal(e->where, "there.c:3");
    assert_string_equal(e->message, "as it was");
}

static void an_error_has_its_causes_in_order(void **state)
{
    const shunt_error *causes[2] = { sh_error_constant(SHUNT_EINVAL),
                                     sh_error_constant(SHUNT_ECLOSED) };
    const shunt_error *e;

    (void)state;
    e = attach(&(struct sh_failure){
        .code = SHUNT_EINVAL, .causes = causes, .cause_count = 2 });
    assert_int_equal(e->cause_count, 2);
    assert_ptr_equal(e->causes[0], causes[0]);
    assert_ptr_equal(e->causes[1], causes[1]);
}

static const struct sh_failure crash = {
    .code = SHUNT_ECRASHED,
    .text = "crashed",
    .attempts = 2,
    .signal = 11,
    .exit_status = 3,
    .address = (void *)0x10,
    .backtrace = "#0 fetch at a.c:1\n#1 get",
    .collateral = true,
    .culprit = "parse",
    .user_ns = 5000000000,
    .system_ns = 6,
    .max_rss_bytes = 7,
};

static void assert_crash(const shunt_error *e)
{
    assert_int_equal(e->code, SHUNT_ECRASHED);
    assert_string_equal(e->task, "fetch");
    assert_string_equal(e->message, "fetch crashed");
    assert_string_equal(e->where, "here.c:12");
    assert_int_equal(e->attempts, 2);
    assert_int_equal(e->signal, 11);
    assert_int_equal(e->exit_status, 3);
    assert_ptr_equal(e->address, (void *)0x10);
    assert_string_equal(e->backtrace, crash.backtrace);
    assert_true(e->collateral);
    assert_string_equal(e->culprit, "parse");
    assert_int_equal(e->user_ns, 5000000000);
    assert_int_equal(e->system_ns, 6);
    assert_int_equal(e->max_rss_bytes, 7);
}

/* Method: the failure's strings are gone when the error is looked at. */
static void an_error_says_how_a_process_died(void **state)
{
    char backtrace[64], culprit[8];
    struct sh_failure f = crash;
    const shunt_error *e;

    (void)state;
    strcpy(backtrace, crash.backtrace);
    strcpy(culprit, crash.culprit);
    f.backtrace = backtrace;
    f.culprit = culprit;
    e = attach(&f);
    memset(backtrace, 0, sizeof backtrace);
    memset(culprit, 0, sizeof culprit);
    assert_crash(e);
    e = attach(&(struct sh_failure){ .code = SHUNT_EINVAL });
    assert_string_equal(e->backtrace, "");
    assert_string_equal(e->culprit, "");
    assert_false(e->collateral);
}

/* A retry's error, say, of its last attempt's. */
static void a_failure_made_of_an_error_tells_the_same(void **state)
{
    const shunt_error *const cause = sh_error_constant(SHUNT_EINVAL);
    struct sh_failure f = crash;
    static const shunt_task other = { .size_ = sizeof other, .fn_ = "other" };

    (void)state;
    f.causes = &cause;
    f.cause_count = 1;
    f = sh_failure_of(attach(&f));
    assert_int_equal(f.cause_count, 0);
    record.task = &other;
    record.where = "there.c:1";
    assert_crash(attach(&f));
}

static void without_memory_an_error_is_the_constant(void **state)
{
    (void)state;
    sh_fault_set(1);
    assert_ptr_equal(
        attach(&(struct sh_failure){ .code = SHUNT_EFAILED, .text = "lost" }),
        sh_error_constant(SHUNT_EFAILED));
    sh_fault_set(1);
    assert_null(sh_error_copy(sh_error_constant(SHUNT_EINVAL)));
}

/* Memory of the user lies in the same list. */
static void an_error_is_found_among_other_blocks(void **state)
{
    struct sh_block *b = sh_block_new(&pool.heap, 8, SH_BLOCK_USER);
    struct sh_block *more = sh_block_new(&pool.heap, 8, SH_BLOCK_USER);
    const shunt_error *e;

    (void)state;
    sh_attach(&record, b, b);
    e = attach(&(struct sh_failure){ .code = SHUNT_EFAILED, .task_code = 3 });
    sh_attach(&record, more, more);
    assert_ptr_equal(sh_error_find(&record, sh_outcome_from(SHUNT_EFAILED)), e);
    assert_int_equal(sh_error_find(&record, 0)->code, 0);
}

/* Goal: what a thread remembers of a failure does not point into the future
 * that has gone. */
static void a_copy_has_everything_of_its_own(void **state)
{
    const shunt_error *cause, *causes[1], *e;
    shunt_error *copy;

    (void)state;
    cause = attach(&(struct sh_failure){
        .code = SHUNT_EFAILED, .task_code = 5, .text = "deep" });
    causes[0] = cause;
    e = attach(&(struct sh_failure){ .code = SHUNT_EFAILED,
                                     .task_code = 6,
                                     .text = "shallow",
                                     .causes = causes,
                                     .cause_count = 1 });
    copy = sh_error_copy(e);
    assert_non_null(copy);
    assert_true(copy->message != e->message && copy->task != e->task &&
                copy->where != e->where && copy->causes != e->causes);
    assert_string_equal(copy->message, e->message);
    assert_string_equal(copy->task, "fetch");
    assert_string_equal(copy->where, "here.c:12");
    assert_int_equal(copy->task_code, 6);
    assert_int_equal(copy->cause_count, 1);
    assert_true(copy->causes[0] != cause &&
                copy->causes[0]->message != cause->message);
    assert_string_equal(copy->causes[0]->message, cause->message);
    assert_int_equal(copy->causes[0]->task_code, 5);
    sh_error_free(copy);
}

static void a_copy_says_how_a_process_died(void **state)
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
    assert_crash(copy);
    assert_crash(copy->causes[0]);
    assert_true(copy->backtrace != e->backtrace &&
                copy->culprit != e->culprit &&
                copy->causes[0]->backtrace != cause->backtrace &&
                copy->causes[0]->culprit != cause->culprit);
    sh_error_free(copy);
}

int main(void)
{
#define ERROR_TEST(test) \
    cmocka_unit_test_setup_teardown(test, failed_make, failed_unmake)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_a_name_a_sentence_and_a_constant),
        ERROR_TEST(a_message_is_one_sentence_that_names_the_task),
        ERROR_TEST(an_error_says_where_it_comes_from),
        ERROR_TEST(an_error_has_its_causes_in_order),
        ERROR_TEST(an_error_says_how_a_process_died),
        ERROR_TEST(a_failure_made_of_an_error_tells_the_same),
        ERROR_TEST(without_memory_an_error_is_the_constant),
        ERROR_TEST(an_error_is_found_among_other_blocks),
        ERROR_TEST(a_copy_has_everything_of_its_own),
        ERROR_TEST(a_copy_says_how_a_process_died),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
