/* SPDX-License-Identifier: MIT */
/*
 * reason_test.c - what cannot be says why: shunt_init, shunt_pool_new, and
 * tasks that the worker processes do not have.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "late.h"
#include "stage.h"

/* Whether the last call of this thread failed so, and said that. */
static bool was_told(int rc, int code, const char *text)
{
    const shunt_error *last = shunt_last_error();

    if (rc == code && last->code == code && strstr(last->message, text) != NULL)
        return true;
    printf("%s (%s), and was told: %s\n", shunt_code_name(rc),
           shunt_code_name(last->code), last->message);
    return false;
}

static bool refuses(shunt_options options, int code, const char *text)
{
    shunt_pool *pool = NULL;

    return was_told(shunt_pool_new(&pool, &options), code, text) &&
           pool == NULL;
}

static void options_that_are_refused_are_named(void)
{
    assert_true(was_told(shunt_pool_new(NULL, NULL), SHUNT_EINVAL, "no place"));
    assert_true(refuses((shunt_options){ .mode = 9 }, SHUNT_EINVAL, ".mode"));
    assert_true(
        refuses((shunt_options){ .workers = -1 }, SHUNT_EINVAL, ".workers"));
    assert_true(refuses((shunt_options){ .workers = 1, .stack_bytes = 1 },
                        SHUNT_EINVAL, ".stack_bytes"));
    harness_env("SHUNT_MODE", "elsewhere");
    assert_true(refuses((shunt_options){ 0 }, SHUNT_EINVAL, "$SHUNT_MODE"));
}

/* ---- in a child, which has no seed ---- */

static int in_child(int (*run)(void))
{
    int status = 0;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int rc;

        alarm(20 * harness_slowness());
        rc = run();
        fflush(NULL);
        _exit(rc);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void *wait_for_ever(void *unused)
{
    for (;;)
        pause();
    return unused;
}

static int start_beside_a_thread(void)
{
    static const shunt_options processes = { .mode = SHUNT_PROCESSES,
                                             .workers = 1 };
    pthread_t thread;

    if (pthread_create(&thread, NULL, wait_for_ever, NULL) != 0)
        return 1;
    if (!was_told(shunt_init(), SHUNT_ENOTSUP, "other threads run already"))
        return 2;
    return refuses(processes, SHUNT_ENOTSUP, "other threads run already") ? 0
                                                                          : 3;
}

static void threads_that_run_already_are_named(void)
{
    assert_int_equal(in_child(start_beside_a_thread), 0);
}

/* ---- in a worker ---- */

static int make_pool(const shunt_none *in, shunt_none *out)
{
    (void)in;
    (void)out;
    if (!was_told(shunt_init(), SHUNT_ENOTSUP, "worker process"))
        return 1;
    return refuses((shunt_options){ .workers = 1 }, SHUNT_ENOTSUP,
                   "worker process")
               ? 0
               : 2;
}
SHUNT_TASK(make_pool, shunt_none, shunt_none)

static void a_worker_process_is_told_that_it_is_one(void)
{
    shunt_pool *pool = harness_pool(1);

    assert_joins(shunt_submit(pool, make_pool, NULL), 0);
    harness_free(pool);
}

/* ---- a library that comes late ---- */

typedef const shunt_task *give_task(bool at_home);

static give_task *load_late(void **library)
{
    void *found;
    give_task *give;

    *library = dlopen(LATE, RTLD_NOW);
    if (*library == NULL)
        print_error("%s\n", dlerror());
    assert_non_null(*library);
    found = dlsym(*library, "late_task");
    assert_non_null(found);
    memcpy(&give, &found, sizeof give);
    return give;
}

static shunt_future *submit_late(shunt_pool *pool, give_task *give, bool home,
                                 long value)
{
    return shunt_submit_task(pool, give(home), &value, NULL);
}

static void a_task_of_a_library_that_came_late_is_refused_by_its_name(void)
{
    for (int workers = 1; workers <= 2; workers++) {
        shunt_pool *pool = harness_pool(workers);
        void *library;
        give_task *give = load_late(&library);

        for (long i = 0; i < 20; i++) {
            shunt_future *f = submit_late(pool, give, false, i);

            assert_settles(f, SHUNT_ENOTSUP);
            assert_non_null(strstr(shunt_error_of(f)->message, "late"));
            assert_non_null(strstr(shunt_error_of(f)->message, "loaded after"));
            assert_joins(f, SHUNT_ENOTSUP);
            assert_takes(shunt_submit(pool, stage_same, &i), i);
            assert_takes(submit_late(pool, give, true, i), i);
        }
        harness_free(pool);
        assert_int_equal(dlclose(library), 0);
    }
}

static void a_step_of_a_library_that_came_late_is_refused(void)
{
    shunt_pool *pool = harness_pool(1);
    void *library;
    give_task *give = load_late(&library);
    struct stage_promise p = stage_promise(pool);

    assert_joins(shunt_then_task(p.future, give(false), NULL, "here"),
                 SHUNT_ENOTSUP);
    assert_ok(shunt_promise_drop(p.promise));
    harness_free(pool);
    assert_int_equal(dlclose(library), 0);
}

static int cancel_shown(shunt_future *const *const *in, shunt_none *out)
{
    (void)out;
    return shunt_cancel(**in) == 1 ? 0 : 1;
}
SHUNT_TASK(cancel_shown, shunt_future *const *, shunt_none)

/* Goal: what describes the task is not looked at where it is not. Method: the
 * worker comes upon who cancels it first. */
static void a_task_of_such_a_library_is_cancelled_by_a_task(void)
{
    shunt_pool *pool = harness_pool(1);
    void *library;
    give_task *give = load_late(&library);

    for (long i = 0; i < 20; i++) {
        shunt_future **shown = stage_bytes(sizeof *shown);
        struct stage_hold hold = stage_hold(pool);
        shunt_future *f = shunt_submit(pool, cancel_shown,
                                       &(shunt_future *const *){ shown });

        /* What is .host_only has a thread that is free, in an auto pool. */
        bool home = i % 2 == 0 && shunt_pool_mode(pool) == SHUNT_PROCESSES;

        *shown = submit_late(pool, give, home, i);
        stage_let(hold);
        assert_joins(f, 0);
        assert_settles(*shown, SHUNT_ECANCELED);
        assert_non_null(strstr(shunt_error_of(*shown)->message, "late_"));
        assert_ok(shunt_release(*shown));
    }
    harness_free(pool);
    assert_int_equal(dlclose(library), 0);
}

static void threads_do_not_mind_when_a_library_came(void)
{
    shunt_pool *pool = harness_pool(2);
    void *library;
    give_task *give = load_late(&library);

    for (long i = 0; i < 20; i++)
        assert_takes(submit_late(pool, give, i % 2 == 0, i), i);
    harness_free(pool);
    assert_int_equal(dlclose(library), 0);
}

static const struct CMUnitTest reasons[] = {
    CLAIM(options_that_are_refused_are_named),
    CLAIM_OF_BOTH(threads_that_run_already_are_named),
    CLAIM_OF_PROCESSES(a_worker_process_is_told_that_it_is_one),
    CLAIM_OF_PROCESSES(
        a_task_of_a_library_that_came_late_is_refused_by_its_name),
    CLAIM_OF_PROCESSES(a_step_of_a_library_that_came_late_is_refused),
    CLAIM_OF_PROCESSES(a_task_of_such_a_library_is_cancelled_by_a_task),
    CLAIM_OF_THREADS(threads_do_not_mind_when_a_library_came),
};

HARNESS_MAIN(reasons)
