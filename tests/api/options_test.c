/* SPDX-License-Identifier: MIT */
/*
 * options_test.c - what a pool is made from: options first, then the
 * environment, then what the machine allows.
 */
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "census.h"
#include "stage.h"

static int pool_new(shunt_options options)
{
    shunt_pool *pool = NULL;
    int rc = shunt_pool_new(&pool, &options);

    assert_true((rc == 0) == (pool != NULL));
    if (rc == 0) {
        assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
        assert_ok(shunt_pool_free(pool));
    }
    return rc;
}

/* The workers that these options give; negative if there is no pool. */
static int workers_of(shunt_options options)
{
    shunt_pool *pool = NULL;
    int rc = shunt_pool_new(&pool, &options);

    if (rc != 0)
        return rc;
    rc = shunt_pool_workers(pool);
    assert_ok(shunt_pool_free(pool));
    return rc;
}

/* ---- workers ---- */

static void a_pool_has_the_workers_that_were_asked_for(void)
{
    static const int counts[] = { 1, 2, 3, 17, 64 };

    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        assert_long(workers_of((shunt_options){ .workers = counts[i] }),
                    counts[i]);
}

static void the_most_workers_is_a_documented_number(void)
{
    int most = SHUNT_WORKERS_MAX;
    /* A thousand processes may take half a minute. */
    bool takes_long = harness_isolated() && !harness_thorough();

    harness_footprint((size_t)256 << 20);
    assert_long(most, 1024);
    if (harness_slowness() == 1 && !takes_long)
        assert_long(workers_of((shunt_options){ .workers = most }), most);
    assert_status(pool_new((shunt_options){ .workers = most + 1 }),
                  SHUNT_EINVAL);
    assert_status(pool_new((shunt_options){ .workers = INT32_MAX }),
                  SHUNT_EINVAL);
    assert_status(pool_new((shunt_options){ .workers = -1 }), SHUNT_EINVAL);
    assert_status(pool_new((shunt_options){ .workers = INT32_MIN }),
                  SHUNT_EINVAL);
}

static void the_default_is_what_the_process_may_use(void)
{
    cpu_set_t all, one;

    harness_env("SHUNT_WORKERS", NULL);
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    int workers = workers_of((shunt_options){ 0 });
    assert_in_range(workers, 1, CPU_COUNT(&all));
    CPU_ZERO(&one);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &all)) {
            CPU_SET(cpu, &one);
            break;
        }
    }
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    workers = workers_of((shunt_options){ 0 });
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
    assert_long(workers, 1);
}

static void no_options_are_all_defaults(void)
{
    shunt_pool *pool = NULL;

    harness_env("SHUNT_WORKERS", "3");
    assert_ok(shunt_pool_new(&pool, NULL));
    assert_long(shunt_pool_workers(pool), 3);
    harness_free(pool);
}

static void the_environment_sets_the_workers_that_code_does_not(void)
{
    harness_env("SHUNT_WORKERS", "3");
    assert_long(workers_of((shunt_options){ 0 }), 3);
    assert_long(workers_of((shunt_options){ .workers = 2 }), 2);
    harness_env("SHUNT_WORKERS", "1");
    assert_long(workers_of((shunt_options){ 0 }), 1);
}

static void a_number_of_workers_that_is_none_is_refused_when_it_counts(void)
{
    static const char *const bad[] = {
        "0",  "-1", "1025", "two", "3x", "0x10", "3.5", "99999999999999999999",
        "1 2"
    };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        harness_env("SHUNT_WORKERS", bad[i]);
        assert_status(pool_new((shunt_options){ 0 }), SHUNT_EINVAL);
        assert_ok(pool_new((shunt_options){ .workers = 1 }));
    }
}

/* ---- mode ---- */

static int mode_of(int mode)
{
    shunt_pool *pool = NULL;
    int rc =
        shunt_pool_new(&pool, &(shunt_options){ .mode = mode, .workers = 1 });

    if (rc != 0)
        return rc;
    rc = shunt_pool_mode(pool);
    assert_ok(shunt_pool_free(pool));
    return rc;
}

static void the_mode_is_threads_unless_something_says_otherwise(void)
{
    harness_env("SHUNT_MODE", NULL);
    assert_long(mode_of(SHUNT_MODE_DEFAULT), SHUNT_THREADS);
    assert_long(mode_of(SHUNT_THREADS), SHUNT_THREADS);
    harness_env("SHUNT_MODE", "threads");
    assert_long(mode_of(SHUNT_MODE_DEFAULT), SHUNT_THREADS);
}

static void code_or_the_environment_says_processes(void)
{
    harness_env("SHUNT_MODE", NULL);
    assert_long(mode_of(SHUNT_PROCESSES), SHUNT_PROCESSES);
    harness_env("SHUNT_MODE", "processes");
    assert_long(mode_of(SHUNT_MODE_DEFAULT), SHUNT_PROCESSES);
    /* What code sets wins. */
    assert_long(mode_of(SHUNT_THREADS), SHUNT_THREADS);
    harness_env("SHUNT_MODE", "threads");
    assert_long(mode_of(SHUNT_PROCESSES), SHUNT_PROCESSES);
    assert_long(mode_of(SHUNT_AUTO), SHUNT_AUTO);
    harness_env("SHUNT_MODE", "auto");
    assert_long(mode_of(SHUNT_MODE_DEFAULT), SHUNT_AUTO);
}

static int tell_process(const shunt_none *in, long *out)
{
    (void)in;
    *out = stage_process();
    return 0;
}
SHUNT_TASK(tell_process, shunt_none, long)

/* Goal: the switch decides, and no other line of a program. */
static void tasks_run_where_the_mode_says(void)
{
    /* An auto pool has isolated what it knows nothing of. */
    for (int mode = SHUNT_THREADS; mode <= SHUNT_AUTO; mode++) {
        shunt_pool *pool = NULL;
        long where = 0;

        assert_ok(shunt_pool_new(
            &pool, &(shunt_options){ .mode = mode, .workers = 1 }));
        for (int i = 0; i < 3; i++) {
            long before = where;
            assert_ok(
                shunt_take(shunt_submit(pool, tell_process, NULL), &where));
            assert_int_equal(where == stage_process(), mode == SHUNT_THREADS);
            assert_true(i == 0 || where == before);
        }
        harness_free(pool);
    }
}

static void a_mode_that_is_none_is_refused_when_it_counts(void)
{
    static const char *const bad[] = { "thread", "THREADS!", "1", "threads ",
                                       "processes,auto" };

    assert_status(mode_of(4), SHUNT_EINVAL);
    assert_status(mode_of(-1), SHUNT_EINVAL);
    assert_status(mode_of(INT32_MAX), SHUNT_EINVAL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        harness_env("SHUNT_MODE", bad[i]);
        assert_status(mode_of(SHUNT_MODE_DEFAULT), SHUNT_EINVAL);
        assert_long(mode_of(SHUNT_THREADS), SHUNT_THREADS);
    }
}

/* ---- stacks ---- */

struct deep {
    size_t bytes;
};

static int use_stack(const struct deep *in, long *out)
{
    volatile char frame[1024];

    for (size_t i = 0; i < sizeof frame; i++)
        frame[i] = (char)i;
    if (in->bytes > sizeof frame + 256) {
        struct deep rest = { in->bytes - sizeof frame - 256 };
        int rc = use_stack(&rest, out);
        if (rc != 0)
            return rc;
    }
    *out += 1;
    return frame[7] == 7 ? 0 : 1;
}
SHUNT_TASK(use_stack, struct deep, long)

/* Method: tasks use most of what they were given; the rest is room for the
 * library's frames and a sanitizer's. */
static void a_task_has_the_stack_that_was_asked_for(void)
{
    static const size_t sizes[] = { 0, 64 << 10, (64 << 10) + 1, 1 << 20,
                                    16 << 20 };

    harness_footprint((size_t)64 << 20);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        shunt_pool *pool = NULL;
        size_t bytes = sizes[i] == 0 ? 256 << 10 : sizes[i];
        struct deep deep = { bytes / 2 / harness_slowness() };

        assert_ok(shunt_pool_new(
            &pool, &(shunt_options){ .workers = 1, .stack_bytes = sizes[i] }));
        shunt_future *f = shunt_submit(pool, use_stack, &deep);
        assert_joins(f, 0);
        harness_free(pool);
    }
}

static void a_stack_below_16_kib_is_refused(void)
{
    static const size_t bad[] = { 1, 4096, (16 << 10) - 1 };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_status(
            pool_new((shunt_options){ .workers = 1, .stack_bytes = bad[i] }),
            SHUNT_EINVAL);
    if (harness_slowness() == 1)
        assert_ok(
            pool_new((shunt_options){ .workers = 1, .stack_bytes = 16 << 10 }));
    int rc = pool_new((shunt_options){ .workers = 1, .stack_bytes = SIZE_MAX });
    assert_true(rc == SHUNT_EINVAL || rc == SHUNT_ENOMEM);
}

static int wait_in_task(const shunt_none *in, shunt_none *out)
{
    int rc = shunt_join(shunt_submit(NULL, stage_nothing, NULL));

    (void)in;
    (void)out;
    return rc == 0 || rc == SHUNT_ENOMEM ? 0 : 1;
}
SHUNT_TASK(wait_in_task, shunt_none, shunt_none)

static int wait_alone(const shunt_none *in, shunt_none *out)
{
    return wait_in_task(in, out);
}
SHUNT_TASK(wait_alone, shunt_none, shunt_none, .exclusive = true)

/* Goal: where there is a pool, its tasks come to their ends, though there may
 * be no room for a second stack. Sanitizers and valgrind keep something for
 * each byte of a stack. */
static void a_stack_that_is_too_large_is_refused_or_of_use(void)
{
    unsigned most = harness_slowness() == 1 ? 41 : 30;

    for (unsigned bits = 29; bits <= most; bits++) {
        shunt_pool *pool = NULL;
        int rc = shunt_pool_new(
            &pool, &(shunt_options){ .workers = 2,
                                     .stack_bytes = (size_t)1 << bits });

        harness_note("2^%u bytes: %d", bits, rc);
        if (rc != 0) {
            assert_status(rc, bits <= 40 ? SHUNT_ENOMEM : SHUNT_EINVAL);
            assert_non_null(
                strstr(shunt_last_error()->message, ".stack_bytes"));
            continue;
        }
        assert_true(bits <= 40 && (bits < 36 || !harness_isolated()));
        assert_joins(shunt_submit(pool, wait_in_task, NULL), 0);
        assert_joins(shunt_submit(pool, wait_alone, NULL), 0);
        assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
        harness_free(pool);
    }
}

/* ---- memory ---- */

struct large {
    char bytes[1 << 20];
};

static int send_large(const struct large *in, shunt_none *out)
{
    (void)in;
    (void)out;
    return 0;
}
SHUNT_TASK(send_large, struct large, shunt_none)

static void the_limit_of_memory_is_an_error_of_the_submit(void)
{
    enum {
        MIB = 16
    };
    static struct large large;
    static shunt_future *sent[MIB + 1];
    shunt_pool *pool = NULL;

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = 1, .arena_bytes = MIB << 20 }));
    for (int round = 0; round < 3; round++) {
        struct stage_hold hold = stage_hold(pool);
        int refused = 0;
        for (int i = 0; i <= MIB; i++) {
            sent[i] = shunt_submit(pool, send_large, &large);
            refused += shunt_status(sent[i]) == SHUNT_ENOMEM;
        }
        assert_in_range(refused, 1, MIB);
        assert_status(shunt_status(sent[MIB]), SHUNT_ENOMEM);
        stage_let(hold);
        for (int i = 0; i <= MIB; i++) {
            int status = harness_await(sent[i]);
            assert_true(status == 0 || status == SHUNT_ENOMEM);
            assert_ok(shunt_release(sent[i]));
        }
    }
    harness_free(pool);
}

static void records_count_for_the_limit_of_memory(void)
{
    enum {
        MANY = 20000 /* of 128 bytes and more */
    };
    static shunt_future *sent[MANY];
    shunt_pool *pool = NULL;
    int refused = 0;

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = 1, .arena_bytes = 1 << 20 }));
    struct stage_hold hold = stage_hold(pool);
    for (int i = 0; i < MANY; i++) {
        sent[i] = shunt_submit(pool, stage_nothing, NULL);
        refused += shunt_status(sent[i]) == SHUNT_ENOMEM;
    }
    /* 1 MiB has room for 8192 records, less what else there is. */
    assert_in_range(refused, MANY - 8192, MANY - 7000);
    stage_let(hold);
    for (int i = 0; i < MANY; i++)
        assert_ok(shunt_release(sent[i]));
    harness_free(pool);
}

static void a_pool_of_almost_no_memory_says_so(void)
{
    for (size_t bytes = 1; bytes < (1 << 20); bytes *= 8) {
        shunt_pool *pool = NULL;
        int rc = shunt_pool_new(
            &pool, &(shunt_options){ .workers = 1, .arena_bytes = bytes });
        if (rc != 0) {
            assert_status(rc, SHUNT_ENOMEM);
            continue;
        }
        shunt_future *f = shunt_submit(pool, stage_same, &(long){ 1 });
        int status = harness_await(f);
        assert_true(status == 0 || status == SHUNT_ENOMEM);
        assert_ok(shunt_release(f));
        harness_free(pool);
    }
}

/* ---- names ---- */

static void assert_named(const char *name, const char *first, int workers)
{
    shunt_pool *pool = stage_named_pool(name, workers);

    assert_long(census_threads_named(first), 1);
    harness_free(pool);
}

static void worker_threads_are_named_and_numbered(void)
{
    assert_named(NULL, "shunt-0\n", 3);
    assert_named(NULL, "shunt-2\n", 3);
    assert_named("mine", "mine-0\n", 2);
    assert_named("mine", "mine-1\n", 2);
}

static void a_long_name_is_cut_by_the_system(void)
{
    char name[64];

    strcpy(name, "a-name-of-more-than-fifteen-characters");
    assert_named(name, "a-name-of", 1);
}

/* ---- init ---- */

enum {
    INITS_MAX = 16
};

struct noted {
    struct tally *inits;
    struct tally *threads[INITS_MAX]; /* in which init has run */
};

static int note_init(void *arg)
{
    struct noted *noted = arg;
    long place = tally_add(noted->inits, 1);

    if (place < INITS_MAX)
        tally_add(noted->threads[place], syscall(SYS_gettid));
    return 0;
}

static int task_after_init(struct noted *const *in, shunt_none *out)
{
    (void)out;
    for (int i = 0; i < INITS_MAX; i++) {
        if (tally_of((*in)->threads[i]) == syscall(SYS_gettid))
            return 0;
    }
    return shunt_fail(1, "no init ran in this thread");
}
SHUNT_TASK(task_after_init, struct noted *, shunt_none)

static void init_runs_once_on_every_worker_before_its_tasks(void)
{
    for (int workers = 1; workers <= 4; workers++) {
        struct noted *noted = stage_bytes(sizeof *noted);
        shunt_pool *pool = NULL;
        noted->inits = stage_tally();
        for (int i = 0; i < INITS_MAX; i++)
            noted->threads[i] = stage_tally();
        assert_ok(shunt_pool_new(&pool, &(shunt_options){ .workers = workers,
                                                          .init = note_init,
                                                          .init_arg = noted }));
        for (int i = 0; i < 100; i++)
            assert_joins(shunt_submit(pool, task_after_init, &noted), 0);
        harness_free(pool);
        assert_long(tally_of(noted->inits), workers);
    }
}

/* ---- growth of the struct ---- */

/* A program that was built when options ended earlier passes a smaller size;
 * what lies beyond is not read. */
/* Goal: what concerns processes alone may stand in the options of any pool. */
static void any_number_of_tasks_of_a_worker_is_taken(void)
{
    static const size_t most[] = { 0, 1, 2, 1000000, SIZE_MAX };

    for (size_t i = 0; i < sizeof most / sizeof most[0]; i++)
        assert_ok(pool_new(
            (shunt_options){ .workers = 2, .worker_tasks_max = most[i] }));
}

static void a_worker_with_less_than_8_mib_of_its_own_is_refused(void)
{
    static const size_t bad[] = { 1, 4096, (8 << 20) - 1 };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_status(pool_new((shunt_options){ .workers = 1,
                                                .worker_bytes_max = bad[i] }),
                      SHUNT_EINVAL);
    if (harness_slowness() == 1)
        assert_ok(pool_new(
            (shunt_options){ .workers = 1, .worker_bytes_max = 8 << 20 }));
    assert_ok(pool_new(
        (shunt_options){ .workers = 1, .worker_bytes_max = SIZE_MAX }));
}

/* Goal: it is named, and so are its bounds. */
static void what_is_wrong_with_an_option_is_said(void)
{
    static const struct {
        shunt_options options;
        const char *name, *value; /* of a variable */
        const char *text;
    } wrong[] = {
        { { .mode = 4 }, NULL, NULL, ".mode is none of" },
        { { 0 }, "SHUNT_MODE", "thread", "$SHUNT_MODE is not threads" },
        { { .workers = 1025 }, NULL, NULL, ".workers is not a number from 1" },
        { { 0 }, "SHUNT_WORKERS", "0", "$SHUNT_WORKERS is not a number from" },
        { { .mode = SHUNT_THREADS, .spares = 1025 },
          NULL,
          NULL,
          ".spares is more than 1024" },
        { { .stack_bytes = 1 }, NULL, NULL, ".stack_bytes is less than 16 K" },
        { { .stack_bytes = SIZE_MAX }, NULL, NULL, ".stack_bytes is more tha" },
        { { .worker_bytes_max = 1 }, NULL, NULL, ".worker_bytes_max is less" },
        { { 0 }, "SHUNT_CHECK", "all", "$SHUNT_CHECK is not understood" },
    };

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const char *text = wrong[i].text;

        if (wrong[i].name != NULL)
            harness_env(wrong[i].name, wrong[i].value);
        assert_true(pool_new(wrong[i].options) < 0);
        harness_note("%s", shunt_last_error()->message);
        assert_int_equal(
            strncmp(shunt_last_error()->message, text, strlen(text)), 0);
        if (wrong[i].name != NULL)
            harness_env(wrong[i].name, NULL);
    }
}

static void options_beyond_the_given_size_are_defaults(void)
{
    shunt_options options = { .workers = 2, .stack_bytes = 1 };
    shunt_pool *pool = NULL;

    assert_status(shunt_pool_new_sized(&pool, sizeof options, &options),
                  SHUNT_EINVAL);
    assert_ok(shunt_pool_new_sized(&pool, offsetof(shunt_options, stack_bytes),
                                   &options));
    assert_long(shunt_pool_workers(pool), 2);
    harness_free(pool);
    harness_env("SHUNT_WORKERS", "3");
    assert_ok(shunt_pool_new_sized(&pool, 0, &options));
    assert_long(shunt_pool_workers(pool), 3);
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_pool_has_the_workers_that_were_asked_for),
    CLAIM(the_most_workers_is_a_documented_number),
    CLAIM(the_default_is_what_the_process_may_use),
    CLAIM(no_options_are_all_defaults),
    CLAIM(the_environment_sets_the_workers_that_code_does_not),
    CLAIM(a_number_of_workers_that_is_none_is_refused_when_it_counts),
    CLAIM(the_mode_is_threads_unless_something_says_otherwise),
    CLAIM_OF_BOTH(code_or_the_environment_says_processes),
    CLAIM_OF_BOTH(tasks_run_where_the_mode_says),
    CLAIM(a_mode_that_is_none_is_refused_when_it_counts),
    CLAIM(a_task_has_the_stack_that_was_asked_for),
    CLAIM(a_stack_below_16_kib_is_refused),
    CLAIM(a_stack_that_is_too_large_is_refused_or_of_use),
    CLAIM(the_limit_of_memory_is_an_error_of_the_submit),
    CLAIM(records_count_for_the_limit_of_memory),
    CLAIM(a_pool_of_almost_no_memory_says_so),
    CLAIM(worker_threads_are_named_and_numbered),
    CLAIM(a_long_name_is_cut_by_the_system),
    CLAIM(init_runs_once_on_every_worker_before_its_tasks),
    CLAIM(any_number_of_tasks_of_a_worker_is_taken),
    CLAIM(a_worker_with_less_than_8_mib_of_its_own_is_refused),
    CLAIM(what_is_wrong_with_an_option_is_said),
    CLAIM(options_beyond_the_given_size_are_defaults),
};

HARNESS_MAIN(claims)
