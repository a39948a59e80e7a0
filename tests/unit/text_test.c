/* SPDX-License-Identifier: MIT */
/*
 * unit/text_test.c - making text where nothing else may be called.
 *
 * Goal: what is put into a text comes out, cut as the room is, whatever the
 * descriptor behind it does. Method: texts to memory are compared at every
 * size, texts to a descriptor are read back from a pipe.
 */
#define _GNU_SOURCE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "observe/text.h"

static void every_format_is_written_as_printf_does(void **state)
{
    char room[256], expected[256];
    struct sh_text t = sh_text_to_memory(room, sizeof room);
    int here;

    (void)state;
    sh_text_put(&t, "[%s] %u %u %d %d %d %lu %zu %p", "text", 0u, UINT_MAX, 0,
                INT_MAX, INT_MIN, ULONG_MAX, (size_t)7, (void *)&here);
    assert_int_equal(sh_text_end(&t), 0);
    snprintf(expected, sizeof expected, "[%s] %u %u %d %d %d %lu %zu %p",
             "text", 0u, UINT_MAX, 0, INT_MAX, INT_MIN, ULONG_MAX, (size_t)7,
             (void *)&here);
    assert_string_equal(room, expected);
    assert_int_equal(t.length, strlen(expected));
}

static void no_string_breaks_the_line(void **state)
{
    char room[64];
    struct sh_text t = sh_text_to_memory(room, sizeof room);
    const char *volatile none = NULL;

    (void)state;
    sh_text_put(&t, "<%s|%s|%s>\n", "a\nb\tc\x1b[0m\x7f", "\xc3\xa9", none);
    assert_int_equal(sh_text_end(&t), 0);
    assert_string_equal(room, "<a b c [0m |\xc3\xa9|>\n");
}

static void spans_have_the_unit_that_fits(void **state)
{
    static const struct {
        uint64_t ms;
        const char *text;
    } spans[] = { { 0, "0 ms" },           { 999, "999 ms" },
                  { 1000, "1.0 s" },       { 59999, "59.9 s" },
                  { 60000, "1 min" },      { 3599999, "59 min" },
                  { 3600000, "1.0 h" },    { 5400000, "1.5 h" },
                  { 360000000, "100.0 h" } };

    (void)state;
    for (size_t i = 0; i < sizeof spans / sizeof spans[0]; i++) {
        char room[32];
        struct sh_text t = sh_text_to_memory(room, sizeof room);

        sh_text_span(&t, spans[i].ms);
        (void)sh_text_end(&t);
        assert_string_equal(room, spans[i].text);
    }
}

static void a_text_in_memory_is_cut_as_snprintf_cuts(void **state)
{
    char room[32], expected[32];

    (void)state;
    for (size_t size = 0; size <= 16; size++) {
        struct sh_text t = sh_text_to_memory(size == 0 ? NULL : room, size);

        memset(room, '#', sizeof room);
        memset(expected, '#', sizeof expected);
        sh_text_put(&t, "%s, %u", "ten", 1234567u);
        assert_int_equal(sh_text_end(&t), 0);
        assert_int_equal(t.length,
                         snprintf(expected, size, "%s, %u", "ten", 1234567u));
        assert_memory_equal(room, expected, sizeof room);
    }
}

/* What comes out of a pipe if a text with a room of this size goes in. */
static void through_pipe(size_t size, char *read_out, size_t *length_out)
{
    char room[64];
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    struct sh_text t = sh_text_to_file(ends[1], room, size);
    sh_text_put(&t, "%s %u\n", "a line of some length", 12345u);
    sh_text_put(&t, "%s\n", "and another");
    assert_int_equal(sh_text_end(&t), 0);
    close(ends[1]);
    *length_out = t.length;
    ssize_t n = read(ends[0], read_out, 100);
    assert_true(n >= 0);
    read_out[n] = '\0';
    close(ends[0]);
}

static void a_text_to_a_descriptor_is_whole_whatever_its_buffer(void **state)
{
    (void)state;
    for (size_t size = 1; size <= 64; size++) {
        char text[101];
        size_t length;

        through_pipe(size, text, &length);
        assert_string_equal(text, "a line of some length 12345\nand another\n");
        assert_int_equal(length, strlen(text));
    }
}

static void a_bad_descriptor_is_said_once_and_errno_kept(void **state)
{
    char room[8];
    struct sh_text t = sh_text_to_file(1000000, room, sizeof room);

    (void)state;
    errno = 77;
    for (int i = 0; i < 100; i++)
        sh_text_put(&t, "a number: %d", i);
    assert_int_equal(sh_text_end(&t), -EBADF);
    assert_int_equal(errno, 77);
}

static void a_full_pipe_ends_a_text_instead_of_holding_it_up(void **state)
{
    char room[64];
    int ends[2];

    (void)state;
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    struct sh_text t = sh_text_to_file(ends[1], room, sizeof room);
    for (int i = 0; i < 10000; i++)
        sh_text_put(&t, "much of this, as a full pipe takes %d\n", i);
    assert_int_equal(sh_text_end(&t), -EAGAIN);
    close(ends[0]);
    close(ends[1]);
}

static int slow_read_from;

static void read_some(int signo)
{
    char bytes[4096];

    (void)signo;
    (void)!read(slow_read_from, bytes, sizeof bytes);
}

/* Method: a blocking pipe is full, and the handler that interrupts the write
 * takes something out. It stays: valgrind may deliver the last signal late. */
static void an_interrupted_write_goes_on(void **state)
{
    struct sigaction act = { .sa_handler = read_some };
    struct itimerval soon = { { 0, 1000 }, { 0, 1000 } }, never = { 0 };
    static char room[4096];
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    slow_read_from = ends[0];
    assert_int_equal(sigaction(SIGALRM, &act, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
    struct sh_text t = sh_text_to_file(ends[1], room, sizeof room);
    for (int i = 0; i < 10000; i++)
        sh_text_put(&t, "more than a pipe takes %d\n", i);
    assert_int_equal(sh_text_end(&t), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_is_written_as_printf_does),
        cmocka_unit_test(no_string_breaks_the_line),
        cmocka_unit_test(spans_have_the_unit_that_fits),
        cmocka_unit_test(a_text_in_memory_is_cut_as_snprintf_cuts),
        cmocka_unit_test(a_text_to_a_descriptor_is_whole_whatever_its_buffer),
        cmocka_unit_test(a_bad_descriptor_is_said_once_and_errno_kept),
        cmocka_unit_test(a_full_pipe_ends_a_text_instead_of_holding_it_up),
        cmocka_unit_test(an_interrupted_write_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
