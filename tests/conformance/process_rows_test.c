/* SPDX-License-Identifier: MIT */
/*
 * process_rows_test.c - the rows of ProcessPoolExecutorTest and
 * ProcessPoolShutdownTest in the list that follows CPython's
 * test_concurrent_futures.
 *
 *   row                             where   why not here
 *   python_finalization_error       fault   a thread that cannot be started is
 *                                           refused there, for every n
 *   sysconf_permission_error        unit    what /proc refuses: seed_test
 *   map_chunksize, negative         never   chunks are the library's affair
 *
 * CPython's pool is broken when one process dies; here one future is.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../api/census.h"
#include "../api/death.h"

/* ---- deaths ---- */

/* killed_child; in CPython all others fail with it */
static void a_killed_child_costs_its_task_and_the_pool_goes_on(void)
{
    shunt_pool *pool = harness_pool(2);
    struct job held = { .started = stage_latch(), .go = stage_latch() };
    shunt_future *other = shunt_submit(pool, stage_job, &held);

    assert_true(latch_reaches(held.started, 1));
    assert_dies(death_in(pool, BY_KILL));
    latch_raise(held.go);
    assert_joins(other, 0);
    assert_takes(shunt_submit(pool, stage_same, &(long){ 5 }), 5);
    harness_free(pool);
}

/* broken_process_pool_traceback */
static void each_future_owns_its_error(void)
{
    shunt_pool *pool = harness_pool(2);
    shunt_future *f = death_in(pool, BY_ABORT), *g = death_in(pool, BY_EXIT_3);

    assert_settles(f, SHUNT_ECRASHED);
    assert_settles(g, SHUNT_ECRASHED);
    assert_true(shunt_error_of(f) != shunt_error_of(g));
    assert_non_null(strstr(shunt_error_of(f)->message, "SIGABRT"));
    assert_non_null(strstr(shunt_error_of(g)->message, "exit(3)"));
    assert_dies(f);
    assert_non_null(strstr(shunt_error_of(g)->message, "exit(3)"));
    assert_dies(g);
    harness_free(pool);
}

/* traceback */
static void what_a_worker_says_of_a_failure_reaches_the_host(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *f = shunt_submit(pool, stage_fail, &(int){ 77 });

    assert_fails_with(f, 77);
    assert_non_null(strstr(shunt_error_of(f)->message, "77"));
    assert_non_null(strstr(shunt_error_of(f)->where, "process_rows_test.c"));
    assert_joins(f, SHUNT_EFAILED);
    f = death_in(pool, BY_ABORT);
    assert_settles(f, SHUNT_ECRASHED);
    /* Names take time to look up, which may be cut short. */
    if (harness_slowness() == 1)
        assert_non_null(strstr(shunt_error_of(f)->backtrace, "#0 "));
    assert_dies(f);
    harness_free(pool);
}

/* traceback_when_child_terminates_abruptly */
static void the_exit_status_is_reported(void)
{
    static const struct {
        enum death how;
        int status;
    } exits[] = { { BY_EXIT_0, 0 }, { BY_EXIT_3, 3 }, { BY_EXIT_AT_ONCE, 1 } };
    shunt_pool *pool = harness_pool(1);

    for (size_t i = 0; i < sizeof exits / sizeof exits[0]; i++) {
        shunt_future *f = death_in(pool, exits[i].how);

        assert_settles(f, SHUNT_ECRASHED);
        assert_long(shunt_error_of(f)->exit_status, exits[i].status);
        assert_long(shunt_error_of(f)->signal, 0);
        assert_dies(f);
    }
    harness_free(pool);
}

/* ---- resources ---- */

static int take_much(const long *in, long *out)
{
    char *bytes = shunt_alloc(256 << 10);

    if (bytes == NULL)
        return shunt_fail(1, "no memory is left for task %ld", *in);
    memset(bytes, 1, 256 << 10);
    *out = *in;
    return 0;
}
SHUNT_TASK(take_much, long, long)

/* ressources_gced_in_workers: far more than the pool may have at a time */
static void what_a_task_had_is_freed_when_it_has_ended(void)
{
    shunt_pool *pool = NULL;

    assert_ok(shunt_pool_new(
        &pool,
        &(shunt_options){ .workers = 2, .arena_bytes = (size_t)16 << 20 }));
    for (long i = 0; i < 500; i++)
        assert_joins(shunt_submit(pool, take_much, &i), 0);
    harness_free(pool);
}

/* map_chunksize: fewer inputs than a chunk, as many, and more */
static void a_map_of_any_length_is_whole_and_in_order(void)
{
    static const size_t lengths[] = { 1, 2, 3, 7, 64, 1000 };
    static long in[1000];
    shunt_pool *pool = harness_pool(2);

    for (long i = 0; i < 1000; i++)
        in[i] = i;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        shunt_future *all = shunt_map(pool, stage_add_one, in, lengths[i]);
        const shunt_results *r;

        assert_settles(all, 0);
        r = shunt_peek(all, shunt_results);
        assert_true(r != NULL && r->count == lengths[i]);
        for (size_t j = 0; j < r->count; j++)
            assert_long(*shunt_peek(r->futures[j], long), (long)j + 1);
        assert_joins(all, 0);
    }
    harness_free(pool);
}

/* ---- how many processes ---- */

/* saturation */
static void there_are_never_more_processes_than_workers(void)
{
    size_t before = death_census(), with_pool;
    shunt_pool *pool = harness_pool(2);
    struct job held = { .started = stage_latch(), .go = stage_latch() };
    shunt_future *fs[60];

    assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
    with_pool = death_census();
    assert_true(with_pool <= before + 3); /* and the zygote */
    for (int i = 0; i < 60; i++)
        fs[i] = shunt_submit(pool, stage_job, &held);
    assert_true(latch_reaches(held.started, 2));
    assert_true(death_census() <= before + 3);
    latch_raise(held.go);
    for (int i = 0; i < 60; i++)
        assert_joins(fs[i], 0);
    assert_true(death_census() <= before + 3);
    harness_free(pool);
}

/* idle_process_reuse_one, idle_process_reuse_multiple */
static void processes_that_are_idle_are_used_again(void)
{
    for (int workers = 1; workers <= 3; workers++) {
        shunt_pool *pool = harness_pool(workers);
        long pids[3] = { 0 };
        int n = 0;

        for (int i = 0; i < 100; i++) {
            long pid = death_next_process(pool);
            int at = 0;

            while (at < n && pids[at] != pid)
                at++;
            assert_true(at < workers);
            pids[at] = pid;
            n = at == n ? n + 1 : n;
        }
        harness_free(pool);
    }
}

/* max_workers_too_large */
static void more_workers_than_there_can_be_are_refused(void)
{
    shunt_pool *pool = NULL;

    assert_status(
        shunt_pool_new(&pool,
                       &(shunt_options){ .mode = SHUNT_PROCESSES,
                                         .workers = SHUNT_WORKERS_MAX + 1 }),
        SHUNT_EINVAL);
}

/* ---- max_tasks_per_child ---- */

/* max_tasks_per_child */
static void a_process_stays_for_so_many_tasks_and_then_there_is_another(void)
{
    shunt_pool *pool = death_pool(1, 3);
    long first = death_next_process(pool), second;

    assert_long(death_next_process(pool), first);
    assert_long(death_next_process(pool), first);
    second = death_next_process(pool);
    assert_true(second != first);
    harness_free(pool);
}

static void *wait_for_latch(void *latch)
{
    (void)latch_reaches(latch, 1);
    return NULL;
}

/* max_tasks_per_child_defaults_to_spawn_context: what is started again is
 * forked where there is one thread, however many the program has */
static void a_process_is_replaced_safely_beside_threads(void)
{
    shunt_pool *pool = death_pool(2, 1);
    struct latch *end = stage_latch();
    pthread_t threads[8];

    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, wait_for_latch, end),
                         0);
    for (long i = 0; i < 50; i++)
        assert_takes(shunt_submit(pool, stage_same, &i), i);
    latch_raise(end);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    harness_free(pool);
}

/* max_tasks_per_child_pending_tasks_gh115634 */
static void a_backlog_survives_that_processes_are_replaced(void)
{
    enum {
        TASKS = 200
    };
    shunt_pool *pool = death_pool(1, 2);
    shunt_future *fs[TASKS];

    for (long i = 0; i < TASKS; i++)
        fs[i] = shunt_submit(pool, stage_same, &i);
    for (long i = 0; i < TASKS; i++)
        assert_takes(fs[i], i);
    harness_free(pool);
}

/* shutdown_no_wait_max_tasks_gh119592; shutdown_gh_132969 with recycling */
static void a_shutdown_that_does_not_wait_loses_nothing_of_it(void)
{
    shunt_future *fs[30];

    for (int round = 0; round < harness_pools(200); round++) {
        shunt_pool *pool = death_pool(1 + round % 2, 1);
        int rc;

        for (int i = 0; i < 30; i++)
            fs[i] = i % 10 == 0 ? shunt_submit(pool, stage_fail, &i)
                                : shunt_submit(pool, stage_same, &(long){ i });
        rc = shunt_pool_shutdown(pool, SHUNT_DRAIN, 0, NULL);
        assert_true(rc == 0 || rc == SHUNT_ETIMEDOUT);
        for (int i = 0; i < 30; i++)
            if (i % 10 != 0)
                assert_takes(fs[i], i);
            else
                assert_true(harness_await(fs[i]) ==
                                (i == 0 ? 0 : SHUNT_EFAILED) &&
                            shunt_release(fs[i]) == 0);
        harness_free(pool);
    }
}

/* gc_during_max_tasks_worker_exit: who wants no more is told at once */
static void a_cancelled_pool_fails_the_rest_while_processes_are_replaced(void)
{
    for (int round = 0; round < harness_pools(200); round++) {
        shunt_pool *pool = death_pool(1, 1);
        shunt_future *fs[30];

        for (long i = 0; i < 30; i++)
            fs[i] = shunt_submit(pool, stage_same, &i);
        assert_ok(
            shunt_pool_shutdown(pool, SHUNT_CANCEL, harness_patience(), NULL));
        for (int i = 0; i < 30; i++) {
            int status = shunt_join(fs[i]);

            assert_true(status == 0 || status == SHUNT_ECANCELED);
        }
        harness_free(pool);
    }
}

/* force_shutdown_during_max_tasks_exit; the census sees that none is left */
static void a_killed_pool_starts_no_more_processes(void)
{
    for (int round = 0; round < 20; round++) {
        shunt_pool *pool = death_pool(2, 1);
        size_t processes = death_census();

        for (long i = 0; i < 30; i++)
            assert_ok(shunt_release(shunt_submit(pool, stage_same, &i)));
        assert_ok(
            shunt_pool_shutdown(pool, SHUNT_KILL, harness_patience(), NULL));
        harness_free(pool);
        assert_true(death_census() < processes);
    }
}

/* ---- failed_worker_replacement ---- */

/* In a child, which has a seed of its own, and a zygote. */
static int lose_those_who_fork(void)
{
    static struct census_ids before, after;
    struct job held = { .started = stage_latch(), .go = stage_latch() };
    shunt_future *queued[5], *f;
    shunt_pool *pool = NULL;

    census_list_kin(&before);
    if (shunt_pool_new(&pool, &(shunt_options){
                                  .mode = SHUNT_PROCESSES,
                                  .workers = 1,
                                  .unobserved = shunt_unobserved_ignore }) != 0)
        return 1;
    f = shunt_submit(pool, stage_job, &held);
    if (!latch_reaches(held.started, 1))
        return 2;
    for (int i = 0; i < 5; i++)
        queued[i] = shunt_submit(pool, stage_nothing, NULL);
    census_list_kin(&after);
    for (int of_zygote = 0; of_zygote < 2; of_zygote++)
        for (size_t i = 0; i < after.count; i++)
            if (!census_has(&before, after.ids[i]) &&
                census_is_named(after.ids[i],
                                of_zygote ? "shunt: zygote" : "shunt: seed"))
                kill((pid_t)after.ids[i], SIGKILL);
    if (shunt_join(f) != SHUNT_ECRASHED)
        return 3;
    for (int i = 0; i < 5; i++)
        if (shunt_join(queued[i]) != SHUNT_EBROKEN)
            return 4;
    if (shunt_join(shunt_submit(pool, stage_nothing, NULL)) != SHUNT_EBROKEN)
        return 5;
    return shunt_pool_free(pool) == 0 ? 0 : 6;
}

static void what_is_queued_fails_if_no_process_can_be_started(void)
{
    int status = -1;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(20 * harness_slowness());
        _exit(lose_those_who_fork());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* ---- terminate_workers, kill_workers ---- */

static int count_on(const struct job *in, long *out)
{
    *out = 0;
    latch_raise(in->started);
    for (;;)
        tally_add(in->ran, 1);
    return 0;
}
SHUNT_TASK(count_on, struct job, long)

static void what_runs_when_a_pool_is_killed_never_finishes(void)
{
    shunt_pool *pool = harness_pool(1);
    struct job in = { .started = stage_latch(), .ran = stage_tally() };
    shunt_future *f = shunt_submit(pool, count_on, &in);
    long then;

    assert_true(latch_reaches(in.started, 1));
    (void)shunt_pool_shutdown(pool, SHUNT_KILL, 0, NULL);
    assert_joins(f, SHUNT_ECANCELED);
    harness_free(pool);
    then = tally_of(in.ran);
    for (int i = 0; i < 100; i++)
        assert_long(tally_of(in.ran), then);
}

/* force_shutdown: invalid_op, dead_workers, not_started, stops_pool */
static void a_pool_is_killed_whatever_state_it_is_in(void)
{
    shunt_pool *pool = harness_pool(1);

    assert_status(shunt_pool_shutdown(pool, (enum shunt_how)9, 0, NULL),
                  SHUNT_EINVAL);
    assert_dies(death_in(pool, BY_KILL));
    assert_ok(shunt_pool_shutdown(pool, SHUNT_KILL, harness_patience(), NULL));
    assert_joins(shunt_submit(pool, stage_nothing, NULL), SHUNT_ECLOSED);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_KILL, harness_patience(), NULL));
    harness_free(pool);
    pool = harness_pool(2);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_KILL, harness_patience(), NULL));
    harness_free(pool);
}

/* processes_terminate, context_manager_shutdown, del_shutdown */
static void all_processes_have_ended_when_a_pool_is_freed(void)
{
    size_t before = death_census();
    shunt_pool *pool = harness_pool(3);
    shunt_future *fs[21];

    for (long i = 0; i < 21; i++)
        fs[i] = shunt_submit(pool, stage_same, &i);
    assert_true(death_census() > before);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    for (long i = 0; i < 21; i++)
        assert_takes(fs[i], i);
    harness_free(pool);
    assert_true(death_census_becomes(before));
}

static const struct CMUnitTest claims[] = {
    CLAIM_OF_PROCESSES(a_killed_child_costs_its_task_and_the_pool_goes_on),
    CLAIM_OF_PROCESSES(each_future_owns_its_error),
    CLAIM_OF_PROCESSES(what_a_worker_says_of_a_failure_reaches_the_host),
    CLAIM_OF_PROCESSES(the_exit_status_is_reported),
    CLAIM(what_a_task_had_is_freed_when_it_has_ended),
    CLAIM(a_map_of_any_length_is_whole_and_in_order),
    CLAIM_OF_PROCESSES(there_are_never_more_processes_than_workers),
    CLAIM_OF_PROCESSES(processes_that_are_idle_are_used_again),
    CLAIM(more_workers_than_there_can_be_are_refused),
    CLAIM_OF_PROCESSES(
        a_process_stays_for_so_many_tasks_and_then_there_is_another),
    CLAIM(a_process_is_replaced_safely_beside_threads),
    CLAIM(a_backlog_survives_that_processes_are_replaced),
    CLAIM(a_shutdown_that_does_not_wait_loses_nothing_of_it),
    CLAIM(a_cancelled_pool_fails_the_rest_while_processes_are_replaced),
    CLAIM_OF_PROCESSES(a_killed_pool_starts_no_more_processes),
    CLAIM_OF_PROCESSES(what_is_queued_fails_if_no_process_can_be_started),
    CLAIM_OF_PROCESSES(what_runs_when_a_pool_is_killed_never_finishes),
    CLAIM_OF_PROCESSES(a_pool_is_killed_whatever_state_it_is_in),
    CLAIM_OF_PROCESSES(all_processes_have_ended_when_a_pool_is_freed),
};

HARNESS_MAIN(claims)
