/* SPDX-License-Identifier: MIT */
/*
 * profile_test.c - what a pool has learned of its tasks is saved, and known to
 * the next one.
 *
 * Method. Two saves of what was not measured anew are the same bytes; a file
 * with any byte changed, or cut off anywhere, is refused. What a file says of a
 * kind is read from it: the format is documented, docs/auto.md.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "stage.h"

enum {
    BYTES = 1 << 16
};

/* A folder of its own for each claim, and files in it. */
static char folder[64], path[96], other[96];

static void begin(void)
{
    strcpy(folder, "/tmp/shunt-profile-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a", folder);
    snprintf(other, sizeof other, "%s/b", folder);
    harness_env("SHUNT_FIGURES", "1");
}

static void end(void)
{
    (void)unlink(path);
    (void)unlink(other);
    assert_int_equal(rmdir(folder), 0); /* nothing else is left in it */
}

static size_t read_file(const char *from, char *to)
{
    FILE *f = fopen(from, "r");
    size_t n;

    assert_non_null(f);
    n = fread(to, 1, BYTES - 1, f);
    to[n] = '\0';
    fclose(f);
    return n;
}

static void write_file(const char *to, const char *bytes, size_t n)
{
    FILE *f = fopen(to, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* The n-th number (from 0) behind the name of a kind, in the file. */
static long number(const char *from, const char *kind, int n)
{
    char text[BYTES], name[80];
    const char *at;

    (void)read_file(from, text);
    snprintf(name, sizeof name, "\nkind %s ", kind);
    at = strstr(text, name);
    assert_non_null(at);
    at += strlen(name);
    for (; n > 0; n--)
        at = strchr(at, ' ') + 1;
    return strtol(at, NULL, 10);
}

/* Where numbers stand: in, out, site, manner, clean, crashes, banned, ... */
enum {
    CLEAN = 4,
    CRASHES = 5,
    BANNED = 6
};

static void run(shunt_pool *pool, long n)
{
    for (long i = 0; i < n; i++)
        assert_takes(shunt_submit(pool, stage_same, &i), i);
}

/* Until the timekeeper has looked at what has run, which it does by itself. */
static void save_when(shunt_pool *pool, const char *kind, int at, long least)
{
    for (int i = 0; i < 1000; i++) {
        struct timespec t = { .tv_nsec = 5000000 };

        assert_ok(shunt_profile_save(pool, path));
        if (number(path, kind, at) >= least)
            return;
        nanosleep(&t, NULL);
    }
    assert_true(number(path, kind, at) >= least);
}

static bool was_told(const char *what)
{
    harness_note("%s", shunt_last_error()->message);
    return strstr(shunt_last_error()->message, what) != NULL;
}

static void what_was_saved_is_kept_until_its_kind_is_met(void)
{
    char first[BYTES], second[BYTES];
    shunt_pool *pool;
    size_t n;

    begin();
    pool = harness_pool(1);
    run(pool, 500);
    assert_joins(shunt_submit(pool, stage_fail, &(int){ 1 }), SHUNT_EFAILED);
    stage_at_rest(pool);
    save_when(pool, "stage_same", CLEAN, 490);
    harness_free(pool);

    n = read_file(path, first);
    pool = harness_pool(1);
    assert_ok(shunt_profile_load(pool, path));
    assert_ok(shunt_profile_save(pool, other));
    assert_int_equal(read_file(other, second), n);
    assert_memory_equal(first, second, n);
    harness_free(pool);
    end();
}

static void what_was_loaded_goes_on_to_be_counted(void)
{
    shunt_pool *pool;
    long clean;

    begin();
    pool = harness_pool(1);
    run(pool, 500);
    stage_at_rest(pool);
    save_when(pool, "stage_same", CLEAN, 500);
    clean = number(path, "stage_same", CLEAN);
    harness_free(pool);

    pool = harness_pool(1);
    assert_ok(shunt_profile_load(pool, path));
    run(pool, 100);
    stage_at_rest(pool);
    save_when(pool, "stage_same", CLEAN, clean + 100);
    assert_long(number(path, "stage_same", CLEAN), clean + 100);
    /* Also if the kind is known already. */
    assert_ok(shunt_profile_load(pool, path));
    assert_ok(shunt_profile_save(pool, path));
    assert_long(number(path, "stage_same", CLEAN), clean + 100);
    harness_free(pool);
    end();
}

static int abort_if(const long *in, shunt_none *out)
{
    (void)out;
    if (*in != 0)
        abort();
    return 0;
}
SHUNT_TASK(abort_if, long, shunt_none)

static void no_file_lifts_a_ban(void)
{
    shunt_pool *pool;

    begin();
    pool = harness_pool(1);
    assert_joins(shunt_submit(pool, abort_if, &(long){ 0 }), 0);
    save_when(pool, "abort_if", CLEAN, 1);
    assert_long(number(path, "abort_if", BANNED), 0);
    assert_joins(shunt_submit(pool, abort_if, &(long){ 1 }), SHUNT_ECRASHED);
    assert_ok(shunt_profile_load(pool, path)); /* from before the crash */
    save_when(pool, "abort_if", CRASHES, 1);
    assert_long(number(path, "abort_if", BANNED), 1);
    assert_long(number(path, "abort_if", CRASHES), 1);
    harness_free(pool);

    /* What another pool has seen crash is banned here. */
    pool = harness_pool(1);
    assert_ok(shunt_profile_load(pool, path));
    assert_joins(shunt_submit(pool, abort_if, &(long){ 0 }), 0);
    save_when(pool, "abort_if", CLEAN, 1);
    assert_long(number(path, "abort_if", BANNED), 1);
    assert_long(number(path, "abort_if", CRASHES), 1);
    harness_free(pool);
    end();
}

static int strange(const long *in, long *out)
{
    *out = *in;
    return 0;
}
SHUNT_TASK(strange, long, long, .name = "a b%\n\xff")

static void any_name_is_known_again(void)
{
    char text[BYTES];
    shunt_pool *pool;

    begin();
    pool = harness_pool(1);
    assert_takes(shunt_submit(pool, strange, &(long){ 1 }), 1);
    save_when(pool, "a%20b%25%0A%FF", CLEAN, 1);
    assert_ok(shunt_profile_load(pool, path));
    assert_ok(shunt_profile_save(pool, path));
    (void)read_file(path, text);
    assert_non_null(strstr(text, "kind a%20b%25%0A%FF 8 8 "));
    assert_non_null(strstr(text, "\nend 1 "));
    harness_free(pool);
    end();
}

/* ---- files that are none ---- */

/* A pool, and its file in path: what it knows is n bytes of text. */
static shunt_pool *pool_with_file(char *text, size_t *n_out)
{
    shunt_pool *pool = harness_pool(1);

    run(pool, 20);
    assert_joins(shunt_submit(pool, stage_fail, &(int){ 1 }), SHUNT_EFAILED);
    stage_at_rest(pool);
    save_when(pool, "stage_same", CLEAN, 10);
    harness_free(pool);
    *n_out = read_file(path, text);
    pool = harness_pool(1);
    assert_ok(shunt_profile_load(pool, path));
    return pool;
}

/* Loading what is in path is refused, and has changed nothing. */
static void assert_refused(shunt_pool *pool, const char *known, size_t n)
{
    char now[BYTES];

    assert_status(shunt_profile_load(pool, path), SHUNT_EINVAL);
    assert_true(was_told("line "));
    assert_ok(shunt_profile_save(pool, other));
    assert_int_equal(read_file(other, now), n);
    assert_memory_equal(now, known, n);
}

static void a_file_that_is_cut_off_is_refused(void)
{
    char text[BYTES];
    shunt_pool *pool;
    size_t n;

    begin();
    pool = pool_with_file(text, &n);
    for (size_t cut = 0; cut < n; cut++) {
        harness_note("%zu of %zu bytes", cut, n);
        write_file(path, text, cut);
        assert_refused(pool, text, n);
    }
    harness_free(pool);
    end();
}

static void a_file_with_another_byte_is_refused(void)
{
    char text[BYTES];
    shunt_pool *pool;
    size_t n;

    begin();
    pool = pool_with_file(text, &n);
    for (size_t at = 0; at < n; at++) {
        static const char bytes[] = { '0', ' ', '\n', '\0', '-', '\x80' };

        for (size_t i = 0; i < sizeof bytes; i++) {
            char before = text[at];

            if (before == bytes[i])
                continue;
            harness_note("byte %zu is %d", at, bytes[i]);
            text[at] = bytes[i];
            write_file(path, text, n);
            text[at] = before;
            assert_refused(pool, text, n);
        }
    }
    harness_free(pool);
    end();
}

static void files_of_other_kinds_are_refused(void)
{
    static const struct {
        const char *text, *why;
    } files[] = {
        { "\n", "line 1 is none of a profile" },
        { "#!/bin/sh\n", "line 1 is none of a profile" },
        { "shunt-profile 2\nend 0 0\n", "line 1 is of a profile of another" },
        { "shunt-profile 1\n", "line 2 is missing" },
        { "shunt-profile 1\nkind\n", "line 2 is none of a profile" },
        { "shunt-profile 1\nkind x 8\n", "line 2 lacks a size" },
        { "shunt-profile 1\nkind x 8 8 1\n", "line 2 has too few figures" },
        { "shunt-profile 1\nkind %1 8 8 1\n", "line 2 has no name" },
        { "shunt-profile 1\nkind x 99999999999999999999 8\n", "line 2 lacks" },
    };
    char text[BYTES];
    shunt_pool *pool;
    size_t n;

    begin();
    pool = pool_with_file(text, &n);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        write_file(path, files[i].text, strlen(files[i].text));
        assert_refused(pool, text, n);
        assert_status(shunt_profile_load(pool, path), SHUNT_EINVAL);
        assert_true(was_told(files[i].why));
    }
    memset(text, 'x', sizeof text);
    write_file(path, text, sizeof text);
    assert_status(shunt_profile_load(pool, path), SHUNT_EINVAL);
    assert_true(was_told("line 1 is cut off, or too long"));
    harness_free(pool);
    end();
}

static void a_file_with_too_many_kinds_is_refused(void)
{
    char text[BYTES], *kind, *behind;
    shunt_pool *pool;
    size_t n;
    FILE *f;

    begin();
    pool = pool_with_file(text, &n);
    kind = strstr(text, "kind ");
    behind = strchr(kind, '\n') + 1;
    f = fopen(path, "w");
    assert_non_null(f);
    fputs("shunt-profile 1\n", f);
    for (int i = 0; i < 5000; i++)
        fwrite(kind, 1, (size_t)(behind - kind), f);
    fclose(f);
    assert_refused(pool, text, n);
    assert_status(shunt_profile_load(pool, path), SHUNT_EINVAL);
    assert_true(was_told("one kind of task too many"));
    harness_free(pool);
    end();
}

static void what_the_system_refuses_is_passed_on(void)
{
    shunt_pool *pool;

    begin();
    pool = harness_pool(1);
    assert_status(shunt_profile_load(pool, path), -ENOENT);
    assert_status(shunt_profile_load(pool, folder), -EISDIR);
    assert_status(shunt_profile_save(pool, "/nowhere/at/all"), -ENOENT);
    /* A folder is in its place: what was written beside it is gone. */
    assert_int_equal(mkdir(path, 0700), 0);
    assert_status(shunt_profile_save(pool, path), -EISDIR);
    assert_int_equal(rmdir(path), 0);
    harness_free(pool);
    end();
}

/* ---- recorded decisions ---- */

static unsigned lines_of(const char *from, char begins)
{
    char text[BYTES];
    unsigned lines = 0;
    bool first = true;

    (void)read_file(from, text);
    for (const char *c = text; *c != '\0'; c++) {
        lines += first && *c == begins;
        first = *c == '\n';
    }
    return lines;
}

static void what_is_decided_by_is_written_until_it_is_ended(void)
{
    shunt_pool *pool;
    unsigned lines = 0;
    FILE *f;

    begin();
    pool = harness_pool(1);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_ok(shunt_trace_decisions(pool, f));
    for (int i = 0; i < 1000 && lines < 2; i++) {
        struct timespec t = { .tv_nsec = 15000000 };

        run(pool, 20);
        nanosleep(&t, NULL);
        fflush(f);
        lines = lines_of(path, 's');
    }
    assert_true(lines >= 2); /* steps of stage_same */
    assert_int_equal(lines_of(path, '='), 1);
    assert_ok(shunt_trace_decisions(pool, NULL));
    lines = lines_of(path, 's');
    run(pool, 20);
    harness_free(pool);
    fclose(f);
    assert_int_equal(lines_of(path, 's'), lines);
    end();
}

static void a_trace_that_cannot_be_written_says_so(void)
{
    shunt_pool *pool;
    FILE *full = fopen("/dev/full", "w");
    int rc = 0;

    begin();
    pool = harness_pool(1);
    for (int i = 0; i < 1000 && rc == 0 && full != NULL; i++) {
        struct timespec t = { .tv_nsec = 15000000 };

        assert_ok(shunt_trace_decisions(pool, full));
        run(pool, 20);
        nanosleep(&t, NULL);
        rc = shunt_trace_decisions(pool, NULL);
    }
    assert_true(full == NULL || rc == -ENOSPC);
    assert_ok(shunt_trace_decisions(pool, NULL));
    if (full != NULL)
        fclose(full);
    harness_free(pool);
    end();
}

static const struct CMUnitTest claims[] = {
    CLAIM(what_was_saved_is_kept_until_its_kind_is_met),
    CLAIM(what_was_loaded_goes_on_to_be_counted),
    CLAIM_OF_PROCESSES(no_file_lifts_a_ban),
    CLAIM(any_name_is_known_again),
    CLAIM(a_file_that_is_cut_off_is_refused),
    CLAIM(a_file_with_another_byte_is_refused),
    CLAIM(files_of_other_kinds_are_refused),
    CLAIM(a_file_with_too_many_kinds_is_refused),
    CLAIM(what_the_system_refuses_is_passed_on),
    CLAIM(what_is_decided_by_is_written_until_it_is_ended),
    CLAIM(a_trace_that_cannot_be_written_says_so),
};

HARNESS_MAIN(claims)
