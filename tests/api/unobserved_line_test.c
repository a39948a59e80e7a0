/* SPDX-License-Identifier: MIT */
/*
 * unobserved_line_test.c - what a pool that has no hook writes of failures
 * that nobody has looked at. Method: standard error is a pipe that keeps the
 * writes apart, so that it is seen what each of them was.
 */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stage.h"

enum {
    LINES_MAX = 10 /* a second */
};

/* Standard error as it was, and what stands in for it. */
static struct {
    int before, ends[2];
} heard;

static void hear_begin(void)
{
    heard.before = dup(STDERR_FILENO);
    assert_true(heard.before >= 0);
    assert_int_equal(pipe2(heard.ends, O_DIRECT | O_NONBLOCK), 0);
    assert_true(dup2(heard.ends[1], STDERR_FILENO) >= 0);
}

/* The next write, "" if there was none. Nothing is asserted while standard
 * error is not there to say what failed. */
static void hear_next(char *text, size_t size)
{
    ssize_t n = read(heard.ends[0], text, size - 1);

    text[n > 0 ? n : 0] = '\0';
}

static void hear_end(void)
{
    (void)dup2(heard.before, STDERR_FILENO);
    close(heard.before);
    close(heard.ends[0]);
    close(heard.ends[1]);
}

static shunt_pool *loud_pool(void)
{
    shunt_pool *pool = NULL;

    assert_ok(shunt_pool_new(&pool, &(shunt_options){ .workers = 1 }));
    return pool;
}

/* A failure with a text and a place that are known. */
static void fail_unseen(shunt_pool *pool, const char *where, const char *text)
{
    shunt_promise *promise;
    shunt_future *future;

    if (shunt_promise_new_typed(pool, sizeof(long), _Alignof(long), "long",
                                where, &promise, &future) == 0) {
        (void)shunt_promise_fail(promise, 7, "%s", text);
        (void)shunt_release(future);
    }
}

static int no_luck(const shunt_none *in, shunt_none *out)
{
    (void)in;
    (void)out;
    return shunt_fail(3, "no luck");
}
SHUNT_TASK(no_luck, shunt_none, shunt_none)

static void it_is_one_line_in_one_write(void)
{
    shunt_pool *pool = loud_pool();
    char line[2000], none[2000];

    hear_begin();
    (void)shunt_release(
        shunt_submit_here(pool, &shunt_task_no_luck, NULL, "main.c:12"));
    int rc = shunt_pool_free(pool);
    hear_next(line, sizeof line);
    hear_next(none, sizeof none);
    hear_end();
    assert_ok(rc);
    assert_string_equal(line,
                        "shunt: nobody looked at this failure: no_luck failed "
                        "with code 3: no luck (submitted at main.c:12)\n");
    assert_string_equal(none, "");
}

static void a_long_text_is_cut(void)
{
    static char text[500];
    shunt_pool *pool = loud_pool();
    char where[1000], line[4000];

    memset(text, 'x', sizeof text - 1);
    memset(where, 'y', sizeof where - 1);
    where[sizeof where - 1] = '\0';
    hear_begin();
    fail_unseen(pool, where, text);
    hear_next(line, sizeof line);
    hear_end();
    assert_true(strlen(line) > 1000 && strlen(line) < 1200);
    assert_string_equal(line + strlen(line) - 6, "yy...\n");
    harness_free(pool);
}

static void a_text_of_several_lines_is_one(void)
{
    shunt_pool *pool = loud_pool();
    char line[2000];

    hear_begin();
    fail_unseen(pool, "main.c:12", "first\nsecond");
    hear_next(line, sizeof line);
    hear_end();
    assert_string_equal(line, "shunt: nobody looked at this failure: first "
                              "second (submitted at main.c:12)\n");
    harness_free(pool);
}

static void the_lines_of_a_second_are_few_and_the_rest_is_counted(void)
{
    shunt_pool *pool = loud_pool();
    char lines[LINES_MAX + 2][2000];

    hear_begin();
    for (int i = 0; i < 1000; i++)
        fail_unseen(pool, "main.c:12", "again");
    int rc = shunt_pool_free(pool);
    for (int i = 0; i < LINES_MAX + 2; i++)
        hear_next(lines[i], sizeof lines[i]);
    hear_end();
    assert_ok(rc);
    /* A machine that was held up may have begun another second. */
    for (int i = 0; i < LINES_MAX; i++)
        assert_string_equal(lines[i],
                            "shunt: nobody looked at this failure: again "
                            "(submitted at main.c:12)\n");
    if (harness_slowness() == 1)
        assert_string_equal(lines[LINES_MAX],
                            "shunt: 990 more failures that nobody looked at "
                            "are not shown\n");
}

static void when_there_is_room_again_the_count_comes_first(void)
{
    shunt_pool *pool = loud_pool();
    char line[2000];

    harness_limit(30);
    hear_begin();
    for (int i = 0; i < LINES_MAX + 5; i++)
        fail_unseen(pool, "main.c:12", "again");
    for (int i = 0; i < LINES_MAX; i++)
        hear_next(line, sizeof line);
    (void)usleep(1100000);
    fail_unseen(pool, "main.c:13", "later");
    hear_next(line, sizeof line);
    hear_end();
    if (harness_slowness() == 1)
        assert_string_equal(line,
                            "shunt: 5 more failures that nobody looked at are "
                            "not shown\n"
                            "shunt: nobody looked at this failure: later "
                            "(submitted at main.c:13)\n");
    harness_free(pool);
}

static void each_pool_has_lines_of_its_own(void)
{
    shunt_pool *pool = loud_pool(), *other = loud_pool();
    char line[2000];

    hear_begin();
    for (int i = 0; i < LINES_MAX + 5; i++)
        fail_unseen(pool, "main.c:12", "again");
    for (int i = 0; i < LINES_MAX; i++)
        hear_next(line, sizeof line);
    fail_unseen(other, "main.c:13", "other");
    hear_next(line, sizeof line);
    hear_end();
    assert_non_null(strstr(line, "other"));
    harness_free(pool);
    harness_free(other);
}

static void what_was_looked_at_writes_nothing(void)
{
    shunt_pool *pool = loud_pool();
    char line[2000];

    hear_begin();
    (void)shunt_join(shunt_submit(pool, no_luck, NULL));
    int rc = shunt_pool_free(pool);
    hear_next(line, sizeof line);
    hear_end();
    assert_ok(rc);
    assert_string_equal(line, "");
}

/* A program whose standard error takes nothing goes on all the same. */
static void a_full_pipe_and_a_closed_one_are_no_matter(void)
{
    shunt_pool *pool = loud_pool();
    char bytes[4096] = "";

    hear_begin();
    while (write(STDERR_FILENO, bytes, sizeof bytes) > 0)
        continue;
    fail_unseen(pool, "main.c:12", "full");
    close(STDERR_FILENO);
    fail_unseen(pool, "main.c:12", "closed");
    hear_end();
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(it_is_one_line_in_one_write),
    CLAIM(a_long_text_is_cut),
    CLAIM(a_text_of_several_lines_is_one),
    CLAIM(the_lines_of_a_second_are_few_and_the_rest_is_counted),
    CLAIM(when_there_is_room_again_the_count_comes_first),
    CLAIM(each_pool_has_lines_of_its_own),
    CLAIM(what_was_looked_at_writes_nothing),
    CLAIM(a_full_pipe_and_a_closed_one_are_no_matter),
};

HARNESS_MAIN(claims)
