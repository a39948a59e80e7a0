/* SPDX-License-Identifier: MIT */
/*
 * explain_test.c - a pool says what it has measured of its tasks.
 *
 * Method. What is counted is compared when the pool has come to rest; what is
 * measured is bounded by what a task is known to do at least, or at most. The
 * JSON is read by what is looked for, and given to Python for its grammar.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dumped.h"

enum {
    MANY = 1000
};

/* A pool that keeps figures. */
static shunt_pool *figured_pool(int workers)
{
    harness_env("SHUNT_FIGURES", "1");
    return harness_pool(workers);
}

static void pause_ms(long ms)
{
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

    while (nanosleep(&t, &t) != 0)
        continue;
}

/* What fn writes of a pool; to be freed. */
static char *written(int (*fn)(shunt_pool *, FILE *), shunt_pool *pool)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    assert_non_null(f);
    assert_ok(fn(pool, f));
    assert_int_equal(fclose(f), 0);
    assert_non_null(text);
    return text;
}

/* Whether tasks of a pool, as long as it knows little of them, are in
 * processes.
 */
static bool isolates(shunt_pool *pool)
{
    return shunt_pool_mode(pool) != SHUNT_THREADS;
}

/* The number behind "member": in what is said of a kind at the site where tasks
 * of this run are (or, without one, of the kind); -1: null, or no such kind. */
static double figure(shunt_pool *pool, const char *kind, bool at_site,
                     const char *member)
{
    const char *site = isolates(pool) ? "\"process\":{" : "\"thread\":{";
    char *json = written(shunt_explain_json, pool), name[80];
    double value = -1;
    const char *at;

    snprintf(name, sizeof name, "{\"name\":\"%s\"", kind);
    at = strstr(json, name);
    if (at != NULL && at_site)
        at = strstr(at, site);
    snprintf(name, sizeof name, "\"%s\":", member);
    if (at != NULL)
        at = strstr(at, name);
    if (at != NULL && strncmp(at + strlen(name), "null", 4) != 0)
        value = strtod(at + strlen(name), NULL);
    free(json);
    return value;
}

static double count(shunt_pool *pool, const char *kind, const char *member)
{
    return figure(pool, kind, false, member);
}

/* Wait until a count is that; what it is then. */
static long comes_to(shunt_pool *pool, const char *kind, const char *member,
                     long expected)
{
    for (int i = 0; i < 1000; i++) {
        if ((long)count(pool, kind, member) == expected)
            break;
        pause_ms(5);
    }
    return (long)count(pool, kind, member);
}

/* ---- counts ---- */

static void every_run_of_a_pool_at_rest_is_counted(void)
{
    shunt_pool *pool = figured_pool(2);
    shunt_future *f[MANY];

    for (long i = 0; i < MANY; i++)
        f[i] = shunt_submit(pool, stage_same, &i);
    for (long i = 0; i < MANY; i++)
        assert_takes(f[i], i);
    assert_long(comes_to(pool, "stage_same", "runs", MANY), MANY);
    assert_long((long)count(pool, "stage_same", "failures"), 0);
    assert_long((long)count(pool, "stage_same", "crashes"), 0);
    assert_true(figure(pool, "stage_same", true, "samples") >= 1);
    assert_long((long)figure(pool, "stage_same", true, "bytes_in"),
                sizeof(long));
    harness_free(pool);
}

static void steps_are_counted_as_the_kinds_that_they_are(void)
{
    shunt_pool *pool = figured_pool(1);
    long both;

    for (long i = 0; i < MANY; i++)
        assert_takes(
            shunt_then(shunt_submit(pool, stage_same, &i), stage_add_one),
            i + 1);
    stage_at_rest(pool);
    both = (long)count(pool, "stage_same", "runs") +
           (long)count(pool, "stage_add_one", "runs");
    assert_long(both, 2 * MANY);
    assert_true(count(pool, "stage_add_one", "runs") >= MANY / 10);
    harness_free(pool);
}

static void every_failure_is_counted(void)
{
    shunt_pool *pool = figured_pool(2);

    for (int i = 0; i < 17; i++)
        assert_joins(shunt_submit(pool, stage_fail, &(int){ 3 }),
                     SHUNT_EFAILED);
    assert_long(comes_to(pool, "stage_fail", "failures", 17), 17);
    harness_free(pool);
}

static int abort_if(const long *in, shunt_none *out)
{
    (void)out;
    if (*in != 0)
        abort();
    return 0;
}
SHUNT_TASK(abort_if, long, shunt_none)

static void every_crash_is_counted(void)
{
    shunt_pool *pool = figured_pool(2);

    assert_joins(shunt_submit(pool, abort_if, &(long){ 0 }), 0);
    for (int i = 0; i < 3; i++)
        assert_joins(shunt_submit(pool, abort_if, &(long){ 1 }),
                     SHUNT_ECRASHED);
    assert_takes(shunt_submit(pool, stage_same, &(long){ 1 }), 1);
    assert_long(comes_to(pool, "abort_if", "crashes", 3), 3);
    assert_long((long)count(pool, "stage_same", "crashes"), 0);
    harness_free(pool);
}

/* ---- what is measured ---- */

static int doze(const long *ms, shunt_none *out)
{
    (void)out;
    pause_ms(*ms);
    return 0;
}
SHUNT_TASK(doze, long, shunt_none)

static double cpu_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int compute(const long *ms, shunt_none *out)
{
    double until = cpu_ms() + (double)*ms;

    (void)out;
    while (cpu_ms() < until)
        continue;
    return 0;
}
SHUNT_TASK(compute, long, shunt_none)

static void what_sleeps_is_told_from_what_computes(void)
{
    shunt_pool *pool = figured_pool(1);
    double service, cpu;

    for (int i = 0; i < 5; i++) {
        assert_joins(shunt_submit(pool, doze, &(long){ 30 }), 0);
        assert_joins(shunt_submit(pool, compute, &(long){ 30 }), 0);
    }
    stage_at_rest(pool);
    service = figure(pool, "doze", true, "service_ns");
    cpu = figure(pool, "doze", true, "cpu_share");
    assert_true(service >= 30e6);
    assert_true(cpu >= 0 && cpu < 0.5);
    service = figure(pool, "compute", true, "service_ns");
    cpu = figure(pool, "compute", true, "cpu_share");
    assert_true(service >= 30e6);
    /* The time on a CPU is known, whatever else this machine does: of all but
     * the first of five, which was not known to be long, 30 ms each. So it is
     * four fifths of 30 ms at least, if the others had to wait very long. */
    assert_true(service * cpu >= 23e6 && cpu <= 1);
    harness_free(pool);
}

static int await_it(shunt_future *const *in, long *out)
{
    *out = shunt_await(*in);
    return 0;
}
SHUNT_TASK(await_it, shunt_future *, long)

static void time_that_a_task_is_parked_is_no_service(void)
{
    shunt_pool *pool = figured_pool(1);
    struct stage_promise made = stage_promise(pool);
    shunt_future *f = shunt_submit(pool, await_it, &made.future);
    double service;

    /* Others run on its worker meanwhile, and are sampled. */
    for (long i = 0; i < MANY; i++)
        assert_takes(shunt_submit(pool, stage_same, &i), i);
    pause_ms(500);
    stage_give(made.promise, 1);
    assert_takes(f, 0);
    assert_ok(shunt_release(made.future));
    stage_at_rest(pool);
    service = figure(pool, "await_it", true, "service_ns");
    assert_true(service >= 0 && service < 250e6);
    assert_true(figure(pool, "await_it", true, "waited_share") > 0.99);
    assert_true(figure(pool, "stage_same", true, "waited_share") < 0.01);
    assert_long((long)(count(pool, "await_it", "runs") +
                       count(pool, "stage_same", "runs")),
                1 + MANY);
    harness_free(pool);
}

static int make_memory(const long *bytes, long *out)
{
    *out = shunt_alloc((size_t)*bytes) != NULL;
    return 0;
}
SHUNT_TASK(make_memory, long, long)

static void memory_of_a_task_is_among_what_comes_out(void)
{
    shunt_pool *pool = figured_pool(1);

    assert_takes(shunt_submit(pool, make_memory, &(long){ 5000 }), 1);
    stage_at_rest(pool);
    assert_true(figure(pool, "make_memory", true, "bytes_out") >= 5008);
    harness_free(pool);
}

static void the_time_in_a_queue_is_measured(void)
{
    shunt_pool *pool = figured_pool(1);
    shunt_future *first = shunt_submit(pool, doze, &(long){ 200 });
    shunt_future *second = shunt_submit(pool, stage_same, &(long){ 1 });

    assert_joins(first, 0);
    assert_takes(second, 1);
    stage_at_rest(pool);
    /* By a clock of some milliseconds. */
    assert_true(figure(pool, "stage_same", true, "queued_ns") >= 150e6);
    harness_free(pool);
}

/* ---- what is written ---- */

static void text_names_each_kind_and_where_it_runs(void)
{
    shunt_pool *pool = figured_pool(1);
    char *text;

    for (long i = 0; i < 10; i++)
        assert_takes(shunt_submit(pool, stage_same, &i), i);
    assert_joins(shunt_submit(pool, stage_fail, &(int){ 3 }), SHUNT_EFAILED);
    stage_at_rest(pool);
    text = written(shunt_explain, pool);
    assert_int_equal(count_parts(text, "  stage_same: about "), 1);
    assert_int_equal(count_parts(text, "  stage_fail: about "), 1);
    assert_int_equal(count_parts(text, " 1 failed, 0 crashed\n"), 1);
    assert_int_equal(count_parts(text, isolates(pool)
                                           ? "    runs in processes, "
                                           : "    runs on threads, "),
                     2);
    assert_true(count_parts(text, "not measured, and not guessed") >= 2);
    free(text);
    harness_free(pool);
}

static void a_pool_that_has_run_nothing_has_no_kinds(void)
{
    shunt_pool *pool = figured_pool(2);
    char *json = written(shunt_explain_json, pool);
    char *text = written(shunt_explain, pool);

    assert_int_equal(count_parts(json, "\"kinds\":[]}"), 1);
    assert_int_equal(count_parts(text, "\n"), 1);
    free(json);
    free(text);
    harness_free(pool);
}

static int strange(const long *in, long *out)
{
    *out = *in;
    return 0;
}
SHUNT_TASK(strange, long, long,
           .name = "\"\\\n\x01\x7f \xc3\xa4 \xff\xc3 \xed\xa0\x80 </a>")

/* Whether Python takes it for JSON that says the same. */
static bool python_reads(const char *json, const char *that)
{
    char command[400];
    FILE *python;

    snprintf(command, sizeof command,
             "python3 -c 'import json, sys\n"
             "sys.exit(0 if %s else 1)\n' 2>/dev/null",
             that);
    python = popen(command, "w");
    return python != NULL && fputs(json, python) >= 0 && pclose(python) == 0;
}

static void json_is_valid_whatever_a_task_is_called(void)
{
    shunt_pool *pool = figured_pool(1);
    char *json;

    assert_takes(shunt_submit(pool, strange, &(long){ 1 }), 1);
    assert_takes(shunt_submit(pool, stage_same, &(long){ 1 }), 1);
    stage_at_rest(pool);
    json = written(shunt_explain_json, pool);
    assert_true(python_reads(json, "json.load(sys.stdin)[\"workers\"] == 1"));
    assert_true(python_reads(
        json, "any(k[\"name\"].startswith(\"\\\"\\\\\\n\\x01\\x7f \\u00e4 "
              "\\ufffd\\ufffd \\ufffd\\ufffd\\ufffd \") "
              "for k in json.load(sys.stdin)[\"kinds\"])"));
    assert_false(python_reads(json, "json.load(sys.stdin)[\"workers\"] == 2"));
    free(json);
    harness_free(pool);
}

/* Counts of the same kind: a trial is written down twice, when it begins and
 * when it ends, and a trial that is won is a change as well. */
static void changes_and_trials_are_counted(void)
{
    shunt_pool *pool = figured_pool(2);
    bool moves = shunt_pool_mode(pool) == SHUNT_AUTO;
    long changes, trials;
    char *json;

    for (long i = 0; i < 20 * MANY; i++)
        assert_takes(shunt_submit(pool, stage_same, &i), i);
    for (int i = 0; i < 400 && count(pool, "stage_same", "trials") < 1; i++)
        for (long k = 0; moves && k < MANY; k++)
            assert_takes(shunt_submit(pool, stage_same, &k), k);
    stage_at_rest(pool);
    changes = (long)count(pool, "stage_same", "changes");
    trials = (long)count(pool, "stage_same", "trials");
    assert_true(changes >= 0 && trials >= moves);
    assert_true(moves || trials == 0);
    json = written(shunt_explain_json, pool);
    /* A ban is no change if it stays where it was. */
    assert_true(python_reads(
        json, "all(k[\"changes\"] + k[\"trials\"] <= k[\"changed\"] and "
              "k[\"changed\"] <= k[\"changes\"] + 2 * k[\"trials\"] + 1 and "
              "len(k[\"history\"]) == min(k[\"changed\"], 16) "
              "for k in json.load(sys.stdin)[\"kinds\"])"));
    free(json);
    harness_free(pool);
}

static void a_dump_has_the_kinds_that_have_run(void)
{
    shunt_pool *pool = figured_pool(1);
    const char *text;

    for (long i = 0; i < 20; i++)
        assert_takes(shunt_submit(pool, stage_same, &i), i);
    stage_at_rest(pool);
    text = dump_raw(pool);
    assert_int_equal(count_parts(text, "  kind stage_same: about 20 runs, "
                                       "0 failed, 0 crashed; "),
                     1);
    harness_free(pool);
}

/* ---- what is refused ---- */

static int all_of_them(shunt_pool *pool, FILE *to)
{
    int rc = shunt_explain(pool, to);

    assert_status(shunt_explain_json(pool, to), rc);
    assert_status(shunt_profile_save(pool, "/nowhere/at/all"), rc);
    assert_status(shunt_profile_load(pool, "/nowhere/at/all"), rc);
    assert_status(shunt_trace_decisions(pool, to), rc);
    return rc;
}

static void a_pool_without_figures_says_so(void)
{
    shunt_pool *pool;

    harness_env("SHUNT_FIGURES", NULL);
    pool = harness_pool(1);
    if (shunt_pool_mode(pool) != SHUNT_AUTO) {
        assert_status(all_of_them(pool, stderr), SHUNT_ENOTSUP);
        assert_non_null(strstr(shunt_last_error()->message, "SHUNT_FIGURES"));
    }
    assert_lacks(dump_raw(pool), "  kind ");
    harness_free(pool);
}

static void an_environment_that_is_not_understood_is_refused(void)
{
    shunt_pool *pool = NULL;

    harness_env("SHUNT_FIGURES", "yes");
    assert_status(
        shunt_pool_new(&pool, &(shunt_options){ .mode = SHUNT_THREADS }),
        SHUNT_EINVAL);
    assert_null(pool);
    assert_non_null(strstr(shunt_last_error()->message, "SHUNT_FIGURES"));
    harness_env("SHUNT_FIGURES", "0");
    harness_free(harness_pool(1));
}

static void bad_arguments_are_refused(void)
{
    shunt_pool *pool = figured_pool(1), *junk = (shunt_pool *)(uintptr_t)4711;
    FILE *full = fopen("/dev/full", "w");

    assert_status(shunt_explain(pool, NULL), SHUNT_EINVAL);
    assert_status(shunt_explain_json(pool, NULL), SHUNT_EINVAL);
    assert_status(shunt_profile_save(pool, NULL), SHUNT_EINVAL);
    assert_status(shunt_profile_load(pool, NULL), SHUNT_EINVAL);
    assert_status(all_of_them(NULL, stderr), SHUNT_EINVAL);
    assert_status(all_of_them(junk, stderr), SHUNT_EINVAL);
    if (full != NULL) {
        assert_status(shunt_explain(pool, full), -ENOSPC);
        fclose(full);
    }
    harness_free(pool);
    assert_status(all_of_them(pool, stderr), SHUNT_EINVAL);
}

static int explain_here(const long *in, long *out)
{
    FILE *nowhere = fopen("/dev/null", "w");

    (void)in;
    *out = nowhere == NULL ? 1 : shunt_explain(NULL, nowhere);
    if (nowhere != NULL)
        fclose(nowhere);
    return 0;
}
SHUNT_TASK(explain_here, long, long)

static void a_task_may_ask_where_it_is_in_the_host(void)
{
    shunt_pool *pool = figured_pool(1);

    assert_takes(shunt_submit(pool, explain_here, &(long){ 0 }),
                 isolates(pool) ? SHUNT_ENOTSUP : 0);
    harness_free(pool);
}

static void a_child_of_the_program_is_told_so(void)
{
    shunt_pool *pool = figured_pool(1);
    int status = 0;
    pid_t pid;

    assert_takes(shunt_submit(pool, stage_same, &(long){ 1 }), 1);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(20 * harness_slowness());
        _exit(shunt_explain(pool, stderr) == SHUNT_EFORKED &&
                      shunt_explain_json(pool, stderr) == SHUNT_EFORKED &&
                      shunt_profile_save(pool, "x") == SHUNT_EFORKED &&
                      shunt_profile_load(pool, "x") == SHUNT_EFORKED &&
                      shunt_trace_decisions(pool, NULL) == SHUNT_EFORKED
                  ? 0
                  : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    harness_free(pool);
}

/* ---- and time ---- */

static long sleeps_of_process(void)
{
    struct rusage u;

    assert_int_equal(getrusage(RUSAGE_SELF, &u), 0);
    return u.ru_nvcsw;
}

static void nobody_wakes_up_in_a_pool_at_rest(void)
{
    shunt_pool *pool = figured_pool(2);
    long before;

    for (long i = 0; i < MANY; i++)
        assert_takes(shunt_submit(pool, stage_same, &i), i);
    stage_at_rest(pool);
    pause_ms(100);
    before = sleeps_of_process();
    pause_ms(500);
    /* Every 10 ms would be 50. */
    assert_true(sleeps_of_process() - before < 15);
    harness_free(pool);
}

static void a_clock_that_is_moved_by_hand_is_not_disturbed(void)
{
    shunt_pool *pool;
    shunt_future *late;

    harness_env("SHUNT_FIGURES", "1");
    pool = stage_manual_pool(1, 0);
    late = shunt_delay(pool, SHUNT_MS(10));
    for (long i = 0; i < 200; i++)
        assert_takes(shunt_submit(pool, stage_same, &i), i);
    pause_ms(50);
    assert_status(shunt_status(late), SHUNT_PENDING);
    stage_advance(pool, SHUNT_MS(9));
    assert_status(shunt_status(late), SHUNT_PENDING);
    stage_advance(pool, SHUNT_MS(1));
    assert_joins(late, 0);
    assert_long(comes_to(pool, "stage_same", "runs", 200), 200);
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(every_run_of_a_pool_at_rest_is_counted),
    CLAIM(steps_are_counted_as_the_kinds_that_they_are),
    CLAIM(every_failure_is_counted),
    CLAIM_OF_PROCESSES(every_crash_is_counted),
    CLAIM(what_sleeps_is_told_from_what_computes),
    CLAIM(time_that_a_task_is_parked_is_no_service),
    CLAIM(memory_of_a_task_is_among_what_comes_out),
    CLAIM(the_time_in_a_queue_is_measured),
    CLAIM(text_names_each_kind_and_where_it_runs),
    CLAIM(a_pool_that_has_run_nothing_has_no_kinds),
    CLAIM(json_is_valid_whatever_a_task_is_called),
    CLAIM(changes_and_trials_are_counted),
    CLAIM(a_dump_has_the_kinds_that_have_run),
    CLAIM(a_pool_without_figures_says_so),
    CLAIM(an_environment_that_is_not_understood_is_refused),
    CLAIM(bad_arguments_are_refused),
    CLAIM(a_task_may_ask_where_it_is_in_the_host),
    CLAIM(a_child_of_the_program_is_told_so),
    CLAIM(nobody_wakes_up_in_a_pool_at_rest),
    CLAIM(a_clock_that_is_moved_by_hand_is_not_disturbed),
};

HARNESS_MAIN(claims)
