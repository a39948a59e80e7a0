/* SPDX-License-Identifier: MIT */
/*
 * sides.h - auto pools, which have two sides, processes and threads of the
 * host: what the tests of them share. A task tells where it is by its process.
 */
#ifndef SHUNT_TESTS_SIDES_H
#define SHUNT_TESTS_SIDES_H

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "stage.h"

static inline shunt_pool *pool_in_mode(int mode, int workers)
{
    shunt_pool *pool = NULL;

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .mode = mode,
                                 .workers = workers,
                                 .unobserved = shunt_unobserved_ignore }));
    return pool;
}

static inline shunt_pool *auto_pool(int workers)
{
    return pool_in_mode(SHUNT_AUTO, workers);
}

/* In which process this runs; or, where threads stand in for processes, for
 * which of them. */
static inline long here(void)
{
#ifdef STANDIN
    char name[16] = "";

    if (prctl(PR_GET_NAME, name) == 0 && strncmp(name, "shunt: w", 8) == 0)
        return syscall(SYS_gettid);
#endif
    return getpid();
}

/* In which process a task ran; takes f. */
static inline long process_of(shunt_future *f)
{
    long pid = 0;

    assert_ok(shunt_take(f, &pid));
    return pid;
}
#define assert_in_host(f) assert_long(process_of(f), here())
#define assert_away(f) assert_true(process_of(f) != here())

static inline void pause_ms(long ms)
{
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

    while (nanosleep(&t, &t) != 0)
        continue;
}

/* ---- where the pool says that it runs a kind ---- */

/* What shunt_explain_json says of a kind, to be freed; NULL: nothing. */
static inline char *said_of(shunt_pool *pool, const char *kind)
{
    char *json = NULL, *said = NULL, name[80], *at, *end;
    size_t size;
    FILE *f = open_memstream(&json, &size);

    assert_non_null(f);
    assert_ok(shunt_explain_json(pool, f));
    assert_int_equal(fclose(f), 0);
    snprintf(name, sizeof name, "{\"name\":\"%s\"", kind);
    at = strstr(json, name);
    end = at == NULL ? NULL : strstr(at + 1, "{\"name\":");
    if (end != NULL)
        *end = '\0';
    if (at != NULL)
        assert_non_null(said = strdup(at));
    free(json);
    return said;
}

/* Whether it says that: text. */
static inline bool is_said_of(shunt_pool *pool, const char *kind,
                              const char *what)
{
    char *text = said_of(pool, kind);
    bool said = text != NULL && strstr(text, what) != NULL;

    free(text);
    return said;
}

/* The larger of the numbers that it says for both sites; -1: null. */
static inline double most_said_of(shunt_pool *pool, const char *kind,
                                  const char *member)
{
    char *text = said_of(pool, kind), name[80], *at = text;
    double most = -1;

    snprintf(name, sizeof name, "\"%s\":", member);
    while (at != NULL && (at = strstr(at, name)) != NULL) {
        char *end;
        double value = strtod(at += strlen(name), &end);

        if (end != at && value > most)
            most = value;
    }
    free(text);
    return most;
}
#define ON_THREADS "\"place\":{\"site\":\"thread\""
#define IN_PROCESSES "\"place\":{\"site\":\"process\""

/* ---- what the pool has learned, written by hand ---- */

static inline uint64_t fnv(uint64_t sum, const char *text)
{
    for (; *text != '\0'; text++)
        sum = (sum ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return sum;
}

/* Have pool know that a kind has run on threads, inline or not, so often
 * without a crash, and that the next trial is in an hour. */
static inline void teach(shunt_pool *pool, const shunt_task *task, bool inlined,
                         long clean)
{
    static const char first[] = "shunt-profile 1\n";
    const char *name = task->traits_.name;
    char line[400], path[] = "/tmp/shunt-sides-XXXXXX";
    int fd = mkstemp(path);
    FILE *f = fdopen(fd, "w");

    assert_non_null(f);
    snprintf(line, sizeof line,
             "kind %s %zu %zu 1 %d %ld 0 0 0 3600000000000"
             " 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
             name != NULL ? name : task->fn_, task->in_size_, task->out_size_,
             inlined ? 1 : 0, clean);
    fprintf(f, "%s%send 1 %016" PRIx64 "\n", first, line,
            fnv(fnv(UINT64_C(0xcbf29ce484222325), first), line));
    assert_int_equal(fclose(f), 0);
    assert_ok(shunt_profile_load(pool, path));
    assert_int_equal(unlink(path), 0);
}

/* The same, and the pool has met the kind, so that the next one of it is made
 * for a thread. in is for one that runs before. */
static inline void settle_on_threads(shunt_pool *pool, const shunt_task *task,
                                     const void *in)
{
    shunt_future *f = shunt_submit_task(
        pool, task, in,
        &(shunt_submit_options){ .place = SHUNT_PLACE_PROCESS });

    assert_settles(f, 0);
    assert_ok(shunt_release(f));
    teach(pool, task, false, 100000);
    assert_true(is_said_of(pool, task->fn_, ON_THREADS));
}

#endif /* SHUNT_TESTS_SIDES_H */
