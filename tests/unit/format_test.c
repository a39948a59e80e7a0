/* SPDX-License-Identifier: MIT */
/*
 * unit/format_test.c - an error as one paragraph.
 *
 * Goal: everything that is known of a failure stands in the paragraph, and
 * nothing else. Method: errors that this program has filled in are compared
 * with the exact text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "shunt/errors.h"
#include "task/error.h"

static const shunt_error plain = {
    .code = SHUNT_EFAILED,
    .task_code = 3,
    .task = "left",
    .message = "left failed with code 3",
    .where = "a.c:8",
    .attempts = 1,
};

static void assert_text(const shunt_error *e, const char *expected)
{
    char text[4096];
    int length = shunt_error_format(e, text, sizeof text);

    assert_string_equal(text, expected);
    assert_int_equal(length, strlen(expected));
}

static void a_failure_says_what_and_where(void **state)
{
    (void)state;
    assert_text(&plain, "left failed with code 3 (submitted at a.c:8)");
}

static void what_is_not_known_is_not_said(void **state)
{
    shunt_error e = plain;

    (void)state;
    e.where = "";
    assert_text(&e, "left failed with code 3");
    e = (shunt_error){ .code = SHUNT_ENOMEM };
    assert_text(&e, "out of memory");
    assert_text(sh_error_constant(0), "success");
    assert_text(sh_error_constant(SHUNT_EAGAIN), "the pool's queue is full");
}

static void a_task_that_the_message_does_not_name_is_named(void **state)
{
    shunt_error e = plain;

    (void)state;
    e.message = "no <h1> in index.html";
    assert_text(&e, "no <h1> in index.html (task left, submitted at a.c:8)");
    e.where = "";
    assert_text(&e, "no <h1> in index.html (task left)");
}

static void how_a_process_ended_is_said(void **state)
{
    shunt_error e = plain;

    (void)state;
    e.attempts = 3;
    e.signal = 11;
    e.address = (void *)0x10;
    assert_text(&e, "left failed with code 3 (submitted at a.c:8, 3 attempts, "
                    "signal 11: SIGSEGV (segmentation fault), "
                    "at address 0x10)");
    e.signal = 0;
    e.address = NULL;
    e.exit_status = 7;
    e.where = "";
    assert_text(&e, "left failed with code 3 (3 attempts, exit status 7)");
}

static void what_the_process_had_used_is_said(void **state)
{
    shunt_error e = plain;

    (void)state;
    e.where = "";
    e.user_ns = 100000000;
    e.system_ns = 20000000;
    e.max_rss_bytes = 5 << 20;
    assert_text(&e, "left failed with code 3 (processor time 120 ms, "
                    "memory 5120 KiB)");
}

static void who_is_to_blame_is_said(void **state)
{
    shunt_error e = plain;

    (void)state;
    e.where = "";
    e.culprit = "right";
    assert_text(&e, "left failed with code 3");
    e.collateral = true;
    assert_text(&e, "left failed with code 3 (because of right)");
    e.culprit = "";
    assert_text(&e, "left failed with code 3 (because of another task)");
}

/* Goal: all frames of the error, and the first of each cause. */
static void a_backtrace_follows_on_the_same_line(void **state)
{
    shunt_error cause = plain, e = plain;
    const shunt_error *const causes[] = { &cause };
    char name[300];

    (void)state;
    e.where = cause.where = "";
    e.backtrace = "#0 a at a.c:1\n#1 b at a.c:2\n#2 c in a\n#3 d\n#4 e";
    assert_text(&e, "left failed with code 3; backtrace: #0 a at a.c:1, "
                    "#1 b at a.c:2, #2 c in a, #3 d, #4 e");
    cause.backtrace = e.backtrace;
    e.backtrace = "#0 e";
    e.causes = causes;
    e.cause_count = 1;
    assert_text(&e, "left failed with code 3; backtrace: #0 e; causes: "
                    "1. left failed with code 3; backtrace: #0 a at a.c:1, "
                    "#1 b at a.c:2, #2 c in a, ...");
    cause.backtrace = "#0 a\n#1 b\n#2 c";
    assert_text(&e, "left failed with code 3; backtrace: #0 e; causes: "
                    "1. left failed with code 3; backtrace: #0 a, #1 b, #2 c");
    /* A name of any length takes its room alone. */
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    name[290] = '\n';
    e.cause_count = 0;
    e.backtrace = name;
    name[127] = '\0';
    assert_int_equal(shunt_error_format(&e, NULL, 0),
                     strlen("left failed with code 3; backtrace: ") + 127);
    name[127] = 'n';
    assert_int_equal(shunt_error_format(&e, NULL, 0),
                     strlen("left failed with code 3; backtrace: ") + 127 +
                         strlen(", nnnnnnnn"));
}

static void causes_are_numbered(void **state)
{
    shunt_error right = plain, e = plain;
    const shunt_error *const causes[] = { &plain, &right };

    (void)state;
    right.message = "right: cancelled before there was a result";
    right.task = "right";
    right.where = "a.c:9";
    e.causes = causes;
    e.cause_count = 2;
    assert_text(&e, "left failed with code 3 (submitted at a.c:8); causes: "
                    "1. left failed with code 3 (submitted at a.c:8); "
                    "2. right: cancelled before there was a result "
                    "(submitted at a.c:9)");
}

static void causes_of_causes_are_numbered_below_them(void **state)
{
    shunt_error inner = plain, e = plain;
    const shunt_error *const leaves[] = { &plain, &plain };
    const shunt_error *const causes[] = { &plain, &inner, &plain };

    (void)state;
    inner.message = "left: inner";
    inner.where = "";
    inner.causes = leaves;
    inner.cause_count = 2;
    e.where = "";
    e.causes = causes;
    e.cause_count = 3;
    assert_text(&e, "left failed with code 3; causes: "
                    "1. left failed with code 3 (submitted at a.c:8); "
                    "2. left: inner; "
                    "2.1. left failed with code 3 (submitted at a.c:8); "
                    "2.2. left failed with code 3 (submitted at a.c:8); "
                    "3. left failed with code 3 (submitted at a.c:8)");
}

static void many_causes_are_counted_instead(void **state)
{
    shunt_error small = { .task = "", .message = "no", .where = "" };
    shunt_error e = small;
    const shunt_error *causes[11];

    (void)state;
    for (int i = 0; i < 11; i++)
        causes[i] = &small;
    e.causes = causes;
    e.cause_count = 8;
    assert_text(&e, "no; causes: 1. no; 2. no; 3. no; 4. no; 5. no; 6. no; "
                    "7. no; 8. no");
    e.cause_count = 11;
    assert_text(&e, "no; causes: 1. no; 2. no; 3. no; 4. no; 5. no; 6. no; "
                    "7. no; 8. no; and 3 more");
}

/* Method: an error that is its own cause. */
static void deep_causes_are_counted_instead(void **state)
{
    shunt_error e = { .task = "", .message = "no", .where = "" };
    const shunt_error *const itself = &e;

    (void)state;
    e.causes = &itself;
    e.cause_count = 1;
    assert_text(&e, "no; causes: 1. no; 1.1. no; 1.1.1. no; "
                    "and 1 more of 1.1.1");
}

static void a_paragraph_has_no_line_breaks(void **state)
{
    shunt_error e = plain;

    (void)state;
    e.message = "left failed\n\twith code 3";
    e.where = "a.c:8\r\n";
    assert_text(&e, "left failed  with code 3 (submitted at a.c:8  )");
}

static void it_is_cut_at_every_size_as_snprintf_cuts(void **state)
{
    static const char whole[] = "left failed with code 3 (submitted at a.c:8)";
    char text[64], expected[64];

    (void)state;
    for (size_t size = 0; size <= sizeof text; size++) {
        memset(text, '#', sizeof text);
        memset(expected, '#', sizeof expected);
        assert_int_equal(shunt_error_format(&plain, text, size), strlen(whole));
        snprintf(expected, size, "%s", whole);
        assert_memory_equal(text, expected, sizeof text);
    }
    assert_int_equal(shunt_error_format(&plain, NULL, 0), strlen(whole));
    assert_int_equal(shunt_error_format(&plain, NULL, 100), strlen(whole));
}

static void no_error_is_a_bad_argument(void **state)
{
    char text[4] = "###";

    (void)state;
    assert_int_equal(shunt_error_format(NULL, text, sizeof text), SHUNT_EINVAL);
    assert_string_equal(text, "###");
    assert_int_equal(shunt_error_format(NULL, NULL, 0), SHUNT_EINVAL);
}

static void it_asks_for_no_memory(void **state)
{
    char text[64];

    (void)state;
    sh_fault_set_from(1);
    assert_true(shunt_error_format(&plain, text, sizeof text) > 0);
    assert_int_equal(sh_fault_calls(), 0);
    sh_fault_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_says_what_and_where),
        cmocka_unit_test(what_is_not_known_is_not_said),
        cmocka_unit_test(a_task_that_the_message_does_not_name_is_named),
        cmocka_unit_test(how_a_process_ended_is_said),
        cmocka_unit_test(what_the_process_had_used_is_said),
        cmocka_unit_test(who_is_to_blame_is_said),
        cmocka_unit_test(a_backtrace_follows_on_the_same_line),
        cmocka_unit_test(causes_are_numbered),
        cmocka_unit_test(causes_of_causes_are_numbered_below_them),
        cmocka_unit_test(many_causes_are_counted_instead),
        cmocka_unit_test(deep_causes_are_counted_instead),
        cmocka_unit_test(a_paragraph_has_no_line_breaks),
        cmocka_unit_test(it_is_cut_at_every_size_as_snprintf_cuts),
        cmocka_unit_test(no_error_is_a_bad_argument),
        cmocka_unit_test(it_asks_for_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
