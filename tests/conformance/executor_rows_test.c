/* SPDX-License-Identifier: MIT */
/*
 * executor_rows_test.c - the rows of ExecutorTest, ThreadPoolExecutorTest and
 * InitializerMixin in the list that follows CPython's
 * test_concurrent_futures, but for those about map: map_rows_test.c.
 *
 *   row                                   where
 *   ProcessPoolExecutorTest               process_rows_test.c
 *   ExecutorDeadlockTest                  deadlock_rows_test.c
 */
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../api/stage.h"

/* ---- ExecutorTest ---- */

static int power(const long *in, long *out)
{
    *out = *in * *in;
    return 0;
}
SHUNT_TASK(power, long, long)

/* submit */
static void submit_returns_the_value(void)
{
    shunt_pool *pool = harness_pool(2);

    assert_takes(shunt_submit(pool, power, &(long){ 16 }), 256);
    harness_free(pool);
}

struct arguments {
    char name[32];
    double ratio;
    int numbers[5];
    const char *literal;
};

static int echo(const struct arguments *in, struct arguments *out)
{
    *out = *in;
    return 0;
}
SHUNT_TASK(echo, struct arguments, struct arguments)

/* submit_keyword */
static void an_argument_struct_arrives_intact(void)
{
    shunt_pool *pool = harness_pool(1);
    struct arguments back, sent = { "self", 0.5, { 1, 2, 3, 4, 5 }, "text" };

    assert_ok(shunt_take(shunt_submit(pool, echo, &sent), &back));
    assert_string_equal(back.name, sent.name);
    assert_true(back.ratio == sent.ratio);
    assert_memory_equal(back.numbers, sent.numbers, sizeof sent.numbers);
    assert_ptr_equal(back.literal, sent.literal);
    assert_joins(shunt_submit_task(pool, NULL, &sent, NULL), SHUNT_EINVAL);
    harness_free(pool);
}

struct reference {
    struct tally *dropped;
};

static void drop_reference(void *in)
{
    tally_add(((struct reference *)in)->dropped, 1);
}

static int use_reference(const struct reference *in, shunt_none *out)
{
    (void)out;
    return tally_of(in->dropped) == 0 ? 0 : 1;
}
SHUNT_TASK(use_reference, struct reference, shunt_none, .drop = drop_reference)

/* no_stale_references */
static void the_argument_is_dropped_though_the_pool_lives_on(void)
{
    shunt_pool *pool = harness_pool(1);
    struct reference sent = { stage_tally() };

    assert_joins(shunt_submit(pool, use_reference, &sent), 0);
    /* The worker has gone on to another task. */
    assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
    assert_long(tally_of(sent.dropped), 1);
    harness_free(pool);
}

struct blob {
    char bytes[1 << 20];
};

static int make_blob(const shunt_none *in, struct blob *out)
{
    (void)in;
    out->bytes[7] = 7;
    return 0;
}
SHUNT_TASK(make_blob, shunt_none, struct blob)

/* free_reference: a limited pool would run out if results stayed. */
static void a_result_is_released_once_it_is_consumed(void)
{
    static struct blob blob;
    shunt_pool *pool = NULL;
    int rounds = harness_slowness() > 1 ? 50 : 500;

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = 1, .arena_bytes = 16 << 20 }));
    for (int i = 0; i < rounds; i++) {
        assert_ok(shunt_take(shunt_submit(pool, make_blob, NULL), &blob));
        assert_int_equal(blob.bytes[7], 7);
    }
    harness_free(pool);
}

/* max_workers_negative; zero means the default here */
static void a_negative_number_of_workers_is_refused(void)
{
    shunt_pool *pool = NULL;

    for (int workers = -1; workers > -4; workers--)
        assert_status(
            shunt_pool_new(&pool, &(shunt_options){ .workers = workers }),
            SHUNT_EINVAL);
    assert_null(pool);
}

/* ---- ThreadPoolExecutorTest ---- */

static int tally_task(struct tally *const *in, shunt_none *out)
{
    (void)out;
    tally_add(*in, 1);
    return 0;
}
SHUNT_TASK(tally_task, struct tally *, shunt_none)

/* map_submits_without_iteration */
static void a_map_runs_though_nobody_looks_at_it(void)
{
    enum {
        N = 50
    };
    shunt_pool *pool = harness_pool(2);
    struct tally *ran = stage_tally(), *ins[N];

    for (int i = 0; i < N; i++)
        ins[i] = ran;
    assert_ok(shunt_release(shunt_map(pool, tally_task, ins, N)));
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    assert_long(tally_of(ran), N);
    harness_free(pool);
}

/* default_workers */
static void the_default_number_of_workers_is_the_documented_one(void)
{
    cpu_set_t mask;
    shunt_pool *pool = NULL;

    harness_env("SHUNT_WORKERS", NULL);
    assert_int_equal(sched_getaffinity(0, sizeof mask, &mask), 0);
    assert_ok(shunt_pool_new(&pool, NULL));
    /* A cgroup quota may make it less. */
    assert_in_range(shunt_pool_workers(pool), 1, CPU_COUNT(&mask));
    harness_free(pool);
}

static long threads_now(void)
{
    long count = 0;
    DIR *tasks = opendir("/proc/self/task");

    assert_non_null(tasks);
    for (int i = 0; i < 10000 && readdir(tasks) != NULL; i++)
        count++;
    closedir(tasks);
    return count - 2; /* but for . and .. */
}

/* saturation */
static void there_are_never_more_threads_than_workers(void)
{
    enum {
        WORKERS = 4,
        TASKS = 15 * WORKERS
    };
    long before = threads_now();
    shunt_pool *pool = harness_pool(WORKERS);
    struct latch *go = stage_latch(), *started = stage_latch();
    shunt_future *fs[TASKS];

    for (int i = 0; i < TASKS; i++)
        fs[i] = shunt_submit(pool, stage_job,
                             &(struct job){ .started = started, .go = go });
    assert_true(latch_reaches(started, WORKERS));
    assert_long(latch_level(started), WORKERS);
    assert_in_range(threads_now(), before, before + WORKERS + 1);
    latch_raise(go);
    for (int i = 0; i < TASKS; i++)
        assert_joins(fs[i], 0);
    assert_in_range(threads_now(), before, before + WORKERS + 1);
    harness_free(pool);
}

static int thread_id(const shunt_none *in, long *out)
{
    (void)in;
    *out = syscall(SYS_gettid);
    return 0;
}
SHUNT_TASK(thread_id, shunt_none, long)

/* idle_thread_reuse: here workers exist from the start, so what can be seen
 * is that tasks one after the other need no further thread. */
static void tasks_in_sequence_use_the_threads_that_there_are(void)
{
    enum {
        WORKERS = 2
    };
    shunt_pool *pool = harness_pool(WORKERS);
    long seen[WORKERS] = { 0 };

    for (int i = 0; i < 200; i++) {
        long id = 0;
        assert_ok(shunt_take(shunt_submit(pool, thread_id, NULL), &id));
        int place = 0;
        while (place < WORKERS && seen[place] != 0 && seen[place] != id)
            place++;
        assert_true(place < WORKERS);
        seen[place] = id;
    }
    harness_free(pool);
}

struct submitter {
    shunt_pool *pool;
    struct latch *stop, *first;
    int wrong;
};

static void *keep_submitting(void *user)
{
    struct submitter *submitter = user;

    /* Bounded by the latch, which is raised after the last fork. */
    for (long i = 0; latch_level(submitter->stop) == 0; i++) {
        long value = 0;
        if (shunt_take(shunt_submit(submitter->pool, power, &i), &value) != 0)
            submitter->wrong++;
        if (i == 0)
            latch_raise(submitter->first);
    }
    return NULL;
}

/* hang_global_shutdown_lock */
static void forking_in_a_loop_while_submitting_ends(void)
{
    shunt_pool *pool = harness_pool(1);
    struct submitter submitter = { pool, stage_latch(), stage_latch(), 0 };
    int bad = 0, forks = harness_slowness() > 10 ? 3 : 50;
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, keep_submitting, &submitter),
                     0);
    assert_true(latch_reaches(submitter.first, 1));
    for (int i = 0; i < forks; i++) {
        int status = -1;
        pid_t pid = fork();
        if (pid == 0) {
            alarm(20);
            shunt_future *f = shunt_submit(pool, power, &(long){ 2 });
            _exit(shunt_join(f) == SHUNT_EFORKED ? 0 : 1);
        }
        bad += pid < 0 || waitpid(pid, &status, 0) != pid || status != 0;
    }
    latch_raise(submitter.stop);
    pthread_join(thread, NULL);
    assert_long(submitter.wrong + bad, 0);
    harness_free(pool);
}

static int fork_and_exit(const shunt_none *in, long *out)
{
    int status = -1;
    pid_t pid = fork();

    (void)in;
    if (pid == 0) {
        alarm(20);
        _exit(0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return 1;
    *out = status;
    return 0;
}
SHUNT_TASK(fork_and_exit, shunt_none, long)

/* process_fork_from_a_threadpool */
static void a_child_forked_by_a_task_exits_with_0(void)
{
    shunt_pool *pool = harness_pool(1);
    int forks = harness_slowness() > 10 ? 3 : 10;

    for (int i = 0; i < forks; i++)
        assert_takes(shunt_submit(pool, fork_and_exit, NULL), 0);
    harness_free(pool);
}

/* executor_map_current_future_cancel */
static void a_map_that_is_given_up_starts_nothing_more(void)
{
    enum {
        N = 50
    };
    shunt_pool *pool = harness_pool(1);
    struct stage_hold hold = stage_hold(pool);
    struct tally *ran = stage_tally(), *ins[N];

    for (int i = 0; i < N; i++)
        ins[i] = ran;
    shunt_future *f = shunt_map(pool, tally_task, ins, N);
    assert_long(shunt_cancel(f), 1);
    assert_joins(f, SHUNT_ECANCELED);
    stage_let(hold);
    harness_free(pool);
    assert_long(tally_of(ran), 0);
}

/* ---- InitializerMixin, FailingInitializerMixin, -ResourcesTest ---- */

static _Thread_local long initialised;

static int set_initialised(void *arg)
{
    tally_add(arg, 1);
    initialised = 42;
    return 0;
}

static int get_initialised(const shunt_none *in, long *out)
{
    (void)in;
    *out = initialised;
    return 0;
}
SHUNT_TASK(get_initialised, shunt_none, long)

/* initializer */
static void the_initializer_has_run_in_every_worker_before_any_task(void)
{
    enum {
        WORKERS = 4,
        TASKS = 200
    };
    shunt_pool *pool = NULL;
    struct tally *inits = stage_tally();
    shunt_future *fs[TASKS];

    assert_ok(shunt_pool_new(&pool, &(shunt_options){ .workers = WORKERS,
                                                      .init = set_initialised,
                                                      .init_arg = inits }));
    for (int i = 0; i < TASKS; i++)
        fs[i] = shunt_submit(pool, get_initialised, NULL);
    for (int i = 0; i < TASKS; i++)
        assert_takes(fs[i], 42);
    harness_free(pool);
    assert_long(tally_of(inits), WORKERS);
}

struct failing {
    struct latch *go, *broken;
    struct tally *calls;
};

/* The first call fails; the others do not end before that has been seen. */
static int fail_first(void *arg)
{
    struct failing *failing = arg;
    bool first = tally_add(failing->calls, 1) == 0;

    if (!latch_reaches(first ? failing->go : failing->broken, 1))
        return STAGE_LATE;
    return first;
}

/* failing initializer: what is pending when it fails, and what comes later */
static void a_failing_initializer_breaks_the_pool(void)
{
    for (int workers = 1; workers <= 3; workers++) {
        shunt_pool *pool = NULL;
        struct failing *failing = stage_bytes(sizeof *failing);
        struct tally *ran = stage_tally();
        shunt_future *fs[20];
        *failing =
            (struct failing){ stage_latch(), stage_latch(), stage_tally() };
        assert_ok(
            shunt_pool_new(&pool, &(shunt_options){ .workers = workers,
                                                    .init = fail_first,
                                                    .init_arg = failing }));
        for (int i = 0; i < 20; i++)
            fs[i] = shunt_submit(pool, tally_task, &ran);
        latch_raise(failing->go);
        for (int i = 0; i < 20; i++) {
            assert_settles(fs[i], SHUNT_EBROKEN);
            assert_true(strlen(shunt_error_of(fs[i])->message) > 5);
            assert_ok(shunt_release(fs[i]));
        }
        assert_joins(shunt_submit(pool, tally_task, &ran), SHUNT_EBROKEN);
        latch_raise(failing->broken);
        for (int i = 0; i < 20; i++)
            assert_joins(shunt_submit(pool, tally_task, &ran), SHUNT_EBROKEN);
        harness_free(pool);
        assert_long(tally_of(ran), 0);
    }
}

static int fail_always(void *arg)
{
    tally_add(arg, 1);
    return 1;
}

/* failing initializer resources: the harness looks for what is left */
static void pools_that_never_worked_leave_nothing_behind(void)
{
    for (int i = (int)harness_pools(200); i > 0; i--) {
        shunt_pool *pool = NULL;
        assert_ok(shunt_pool_new(
            &pool, &(shunt_options){ .workers = 1 + i % 3,
                                     .init = fail_always,
                                     .init_arg = stage_tally() }));
        for (int j = 0; j < i % 4; j++)
            (void)shunt_submit(pool, stage_nothing, NULL);
        harness_free(pool);
    }
}

static const struct CMUnitTest claims[] = {
    CLAIM(submit_returns_the_value),
    CLAIM(an_argument_struct_arrives_intact),
    CLAIM(the_argument_is_dropped_though_the_pool_lives_on),
    CLAIM(a_result_is_released_once_it_is_consumed),
    CLAIM(a_negative_number_of_workers_is_refused),
    CLAIM(a_map_runs_though_nobody_looks_at_it),
    CLAIM(the_default_number_of_workers_is_the_documented_one),
    CLAIM(there_are_never_more_threads_than_workers),
    CLAIM(tasks_in_sequence_use_the_threads_that_there_are),
    CLAIM(forking_in_a_loop_while_submitting_ends),
    CLAIM(a_child_forked_by_a_task_exits_with_0),
    CLAIM(a_map_that_is_given_up_starts_nothing_more),
    CLAIM(the_initializer_has_run_in_every_worker_before_any_task),
    CLAIM(a_failing_initializer_breaks_the_pool),
    CLAIM(pools_that_never_worked_leave_nothing_behind),
};

HARNESS_MAIN(claims)
