/* SPDX-License-Identifier: MIT */
/*
 * unit/symbols_test.c - what code at an address is called.
 *
 * Method: functions of this file take a trace of themselves, with every way of
 * looking it up: as libshunt was built, and, by faults, with the names alone
 * that the loader knows.
 */
#include <search.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <unwind.h>

#include <cmocka.h>

#include "base/fault.h"
#include "process/dwarf.h"
#include "process/symbols.h"
#include "shunt/shunt.h"
#include "worker/worker.h"

#define NOINLINE __attribute__((noinline))
#define ALWAYS_INLINE __attribute__((always_inline))

static char text[4096];

/* As meson says. */
static int has_what_it_was_built_with(void **state)
{
    struct sh_dwarf *d = sh_dwarf_open();
    bool has_lines = d != NULL;

    (void)state;
    sh_dwarf_close(d);
    return has_lines == HAS_LINES ? 0 : -1;
}

static int clear(void **state)
{
    (void)state;
    sh_fault_clear();
    return 0;
}

/* -- traces of this program -- */

static _Unwind_Reason_Code add(struct _Unwind_Context *context, void *arg)
{
    struct sh_trace *t = arg;

    if (t->count < SH_TRACE_MAX)
        t->at[t->count++] = _Unwind_GetIP(context);
    return _URC_NO_REASON;
}

static NOINLINE void take(struct sh_trace *t)
{
    (void)_Unwind_Backtrace(add, t);
    /* Of the first, which is no return address otherwise. */
    t->at[0]--;
}

struct plan {
    struct sh_trace *trace;
    volatile int *line; /* where the trace was taken */
};

static NOINLINE void deep(const struct plan *p)
{
    *p->line = __LINE__ + 1;
    take(p->trace);
    *p->line += 0;
}

static inline ALWAYS_INLINE void inlined(const struct plan *p)
{
    deep(p);
    *p->line += 0;
}

/* The function of a task that is inlined into what calls it, and of one that is
 * not. */
static inline ALWAYS_INLINE int parse_title(const struct plan *in, int *out)
{
    inlined(in);
    *out = 1;
    return 0;
}
SHUNT_TASK(parse_title, struct plan, int)

static NOINLINE int parse_apart(const struct plan *in, int *out)
{
    return parse_title(in, out);
}
SHUNT_TASK(parse_apart, struct plan, int)

static volatile int taken_at;

/* As a worker does: the compiler knows nothing of it. */
static const shunt_task *volatile task = &shunt_task_parse_title;

static struct sh_trace trace_of_task(void)
{
    struct sh_trace trace = { 0 };
    const struct plan plan = { &trace, &taken_at };
    int out = 0;

    assert_int_equal(task->call_(&plan, NULL, &out), 0);
    assert_int_equal(out, 1);
    return trace;
}

/* The n-th line of text, without its end. */
static const char *line_of(unsigned n)
{
    static char line[sizeof text];
    const char *at = text;

    for (; n > 0 && at != NULL; n--) {
        at = strchr(at, '\n');
        at = at == NULL ? NULL : at + 1;
    }
    snprintf(line, sizeof line, "%s", at == NULL ? "" : at);
    line[strcspn(line, "\n")] = '\0';
    return line;
}

static const char *last_line(void)
{
    const char *end = strrchr(text, '\n');

    return end == NULL ? text : end + 1;
}

static bool begins(const char *line, const char *with)
{
    return strncmp(line, with, strlen(with)) == 0;
}

static void assert_begins(const char *line, const char *with)
{
    if (!begins(line, with))
        fail_msg("\"%s\" does not begin with \"%s\"; of\n%s", line, with, text);
}

/* -- claims -- */

static void a_frame_has_function_file_and_line(void **state)
{
    struct sh_trace trace = trace_of_task();
    char expected[100];

    (void)state;
    sh_symbols_tell(&trace, &shunt_task_parse_title, text, sizeof text);
    assert_begins(line_of(0), "#0 take at symbols_test.c:");
    snprintf(expected, sizeof expected, "#1 deep at symbols_test.c:%d",
             taken_at);
    assert_string_equal(line_of(1), expected);
}

static void what_was_inlined_has_a_line_of_its_own(void **state)
{
    struct sh_trace trace = trace_of_task();

    (void)state;
    sh_symbols_tell(&trace, &shunt_task_parse_title, text, sizeof text);
    assert_begins(line_of(2), "#2 inlined at symbols_test.c:");
    assert_begins(line_of(3), "#3 parse_title at symbols_test.c:");
    assert_int_not_equal(atoi(strrchr(line_of(2), ':') + 1),
                         atoi(strrchr(line_of(3), ':') + 1));
}

/* Goal: nothing of what is below it, whether it was told which task that is,
 * or knows by the names. */
static void the_last_frame_is_the_function_of_the_task(void **state)
{
    struct sh_trace trace = trace_of_task();

    (void)state;
    sh_symbols_tell(&trace, &shunt_task_parse_title, text, sizeof text);
    assert_non_null(strstr(last_line(), " parse_title "));
    assert_null(strstr(text, "shunt_call_"));
    if (HAS_LINES) {
        char with[sizeof text];

        memcpy(with, text, sizeof with);
        sh_symbols_tell(&trace, NULL, text, sizeof text);
        assert_string_equal(text, with);
    }
}

/* Goal: likewise, if the compiler has what calls it jump to it. Method: a
 * worker runs it, and libshunt is a part of this program. */
static void frames_of_the_runtime_are_left_out(void **state)
{
    const shunt_options options = { .workers = 1 };
    struct sh_trace trace = { 0 };
    const struct plan plan = { &trace, &taken_at };
    shunt_pool *pool;
    unsigned lines = 1;
    int out;

    (void)state;
    assert_int_equal(shunt_pool_new(&pool, &options), 0);
    assert_int_equal(shunt_take(shunt_submit(pool, parse_apart, &plan), &out),
                     0);
    assert_int_equal(shunt_pool_free(pool), 0);
    sh_symbols_tell(&trace, &shunt_task_parse_apart, text, sizeof text);
    if (HAS_LINES) {
        assert_begins(strrchr(last_line(), '#') + 3, "parse_apart at ");
        assert_ptr_equal(strstr(text, "parse_apart"),
                         strstr(last_line(), "parse_apart"));
    }
    sh_fault_set_from(1);
    sh_symbols_tell(&trace, NULL, text, sizeof text);
    sh_fault_clear();
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    assert_in_range(lines, 3, 5);
}

/* The compiler makes one function of two that are the same. */
static NOINLINE int by_hand(const struct plan *in, int *out)
{
    taken_at += 0;
    return parse_title(in, out);
}

/* As SHUNT_TASK makes it, but that its frame stays. */
static NOINLINE int shunt_call_by_hand(const void *in, const void *ctx,
                                       void *out)
{
    int rc = by_hand(in, out);

    (void)ctx;
    taken_at += 0;
    return rc;
}

static void the_function_of_the_task_is_told_once(void **state)
{
    static const shunt_task handmade = { .call_ = shunt_call_by_hand,
                                         .fn_ = "by_hand" };
    struct sh_trace trace;

    (void)state;
    task = &handmade;
    trace = trace_of_task();
    task = &shunt_task_parse_title;
    sh_symbols_tell(&trace, &handmade, text, sizeof text);
    assert_non_null(strstr(last_line(), " by_hand at "));
    assert_ptr_equal(strstr(text, "by_hand"), strstr(last_line(), "by_hand"));
}

static void a_crash_of_the_runtime_itself_is_told(void **state)
{
    struct sh_trace trace = { .at = { (uintptr_t)&sh_worker_execute + 1,
                                      (uintptr_t)&sh_worker_loop + 9 },
                              .count = 2 };

    (void)state;
    sh_symbols_tell(&trace, NULL, text, sizeof text);
    assert_begins(text, "#0 ");
    assert_null(strchr(text, '\n'));
}

/* Method: nobody who reads debugging information can be had. */
static void without_debugging_information_the_task_is_still_named(void **state)
{
    struct sh_trace trace = trace_of_task();

    (void)state;
    sh_fault_set_from(1);
    sh_symbols_tell(&trace, &shunt_task_parse_title, text, sizeof text);
    sh_fault_clear();
    assert_begins(line_of(0), "#0 symbols_test+0x");
    assert_begins(line_of(1), "#1 symbols_test+0x");
    assert_non_null(strstr(last_line(), " parse_title in symbols_test"));
    assert_null(strstr(text, "#4"));
}

/* Goal: a debugger finds the place by what is told. */
static void an_offset_is_one_in_the_file(void **state)
{
    struct sh_trace trace = { .count = 1 };
    extern char __executable_start;
    char expected[100];

    (void)state;
    trace.at[0] = (uintptr_t)&deep + 1;
    sh_fault_set_from(1);
    sh_symbols_tell(&trace, NULL, text, sizeof text);
    sh_fault_clear();
    snprintf(expected, sizeof expected, "#0 symbols_test+0x%zx",
             (size_t)(trace.at[0] - (uintptr_t)&__executable_start));
    assert_string_equal(text, expected);
}

static void functions_of_libraries_are_named(void **state)
{
    struct sh_trace trace = { .count = 2 };

    (void)state;
    trace.at[0] = (uintptr_t)&hcreate;
    trace.at[1] = (uintptr_t)&getenv + 2;
    sh_symbols_tell(&trace, NULL, text, sizeof text);
    assert_non_null(strstr(line_of(0), "hcreate"));
    assert_non_null(strstr(line_of(1), "getenv"));
    sh_fault_set_from(1);
    sh_symbols_tell(&trace, NULL, text, sizeof text);
    sh_fault_clear();
    assert_begins(line_of(0), "#0 hcreate in ");
    assert_begins(line_of(1), "#1 getenv in ");
}

/* What comes after a call that does not return may be another function. */
static void only_the_first_address_is_taken_as_it_is(void **state)
{
    struct sh_trace trace = { .count = 2 };

    (void)state;
    trace.at[0] = trace.at[1] = (uintptr_t)&deep;
    sh_symbols_tell(&trace, NULL, text, sizeof text);
    assert_begins(line_of(0), "#0 deep at ");
    assert_false(begins(line_of(1), "#1 deep at "));
}

static void an_address_of_nothing_is_told_as_it_is(void **state)
{
    const struct sh_trace trace = { .at = { 0x10, 0x20 }, .count = 2 };

    (void)state;
    sh_symbols_tell(&trace, NULL, text, sizeof text);
    assert_string_equal(text, "#0 0x10\n#1 0x20");
}

static void no_frames_are_an_empty_text(void **state)
{
    const struct sh_trace trace = { .count = 0 };

    (void)state;
    strcpy(text, "old");
    sh_symbols_tell(&trace, NULL, text, sizeof text);
    assert_string_equal(text, "");
    sh_symbols_tell(&trace, NULL, NULL, 0);
}

static void what_is_missing_is_counted(void **state)
{
    const struct sh_trace trace = {
        .at = { 1, 2, 3 }, .count = 3, .gap = 2, .omitted = 40
    };

    (void)state;
    sh_symbols_tell(&trace, NULL, text, sizeof text);
    assert_string_equal(text, "#0 0x1\n#1 0x2\n... 40 frames\n#42 0x3");
}

static void it_is_cut_between_lines(void **state)
{
    const struct sh_trace trace = { .at = { 1, 2, 3 }, .count = 3 };
    static const char whole[] = "#0 0x1\n#1 0x2\n#2 0x3";

    (void)state;
    for (size_t size = 1; size < sizeof whole + 4; size++) {
        size_t length;

        memset(text, '#', sizeof text);
        sh_symbols_tell(&trace, NULL, text, size);
        length = strlen(text);
        assert_true(length < size);
        assert_int_equal(text[size], '#');
        assert_memory_equal(text, whole, length);
        assert_true(length == 0 || whole[length] == '\n' ||
                    whole[length] == '\0');
    }
    assert_string_equal(text, whole);
}

/* The n-th request is refused, for every n. */
static void whatever_is_refused_there_is_a_line_a_frame(void **state)
{
    struct sh_trace trace = trace_of_task();
    int64_t n = 0;

    (void)state;
    do {
        sh_fault_set(++n);
        sh_symbols_tell(&trace, &shunt_task_parse_title, text, sizeof text);
        assert_begins(text, "#0 ");
        assert_non_null(strstr(last_line(), " parse_title "));
    } while (sh_fault_calls() >= (uint64_t)n && n < 1000);
    assert_true(n < 1000);
}

static void a_file_of_code_is_found_by_its_addresses(void **state)
{
    struct sh_module m;

    (void)state;
    assert_true(sh_module_find((uintptr_t)&deep, &m));
    assert_true(m.is_program);
    assert_string_equal(m.name, "symbols_test");
    assert_int_equal(access(m.path, R_OK), 0);
    assert_true(sh_module_find((uintptr_t)&text, &m) && m.is_program);
    assert_false(sh_module_find((uintptr_t)&state, &m));
    assert_false(sh_module_find(0, &m));
}

int main(void)
{
#define SYMBOLS_TEST(test) cmocka_unit_test_teardown(test, clear)
    const struct CMUnitTest tests[] = {
        SYMBOLS_TEST(the_last_frame_is_the_function_of_the_task),
        SYMBOLS_TEST(frames_of_the_runtime_are_left_out),
        SYMBOLS_TEST(a_crash_of_the_runtime_itself_is_told),
        SYMBOLS_TEST(without_debugging_information_the_task_is_still_named),
        SYMBOLS_TEST(an_offset_is_one_in_the_file),
        SYMBOLS_TEST(functions_of_libraries_are_named),
        SYMBOLS_TEST(an_address_of_nothing_is_told_as_it_is),
        SYMBOLS_TEST(no_frames_are_an_empty_text),
        SYMBOLS_TEST(what_is_missing_is_counted),
        SYMBOLS_TEST(it_is_cut_between_lines),
        SYMBOLS_TEST(whatever_is_refused_there_is_a_line_a_frame),
        SYMBOLS_TEST(a_file_of_code_is_found_by_its_addresses),
        /* These last: not where libshunt knows no lines. */
        SYMBOLS_TEST(a_frame_has_function_file_and_line),
        SYMBOLS_TEST(what_was_inlined_has_a_line_of_its_own),
        SYMBOLS_TEST(the_function_of_the_task_is_told_once),
        SYMBOLS_TEST(only_the_first_address_is_taken_as_it_is),
    };
    size_t count = sizeof tests / sizeof *tests - (HAS_LINES ? 0 : 4);

    return _cmocka_run_group_tests("symbols", tests, count,
                                   has_what_it_was_built_with, NULL);
}
