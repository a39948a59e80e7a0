/* SPDX-License-Identifier: MIT */
/*
 * shutdown_rows_test.c - the rows of ExecutorShutdownTest and
 * ThreadPoolShutdownTest in the list that follows CPython's
 * test_concurrent_futures.
 *
 *   row                              where
 *   ProcessPoolShutdownTest          process_rows_test.c, and
 *   processes_terminate              there
 *   shutdown_gh_132969, recycling    there; the rest is here
 *
 * CPython joins its pools when the interpreter ends; a C program that wants
 * its tasks to finish drains its pool. The rows about the end of a program
 * are run in a child, which is forked while this program has no pool.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../api/census.h"
#include "../api/stage.h"

enum {
    QUEUED = 50
};

/* ---- ExecutorShutdownTest ---- */

/* run_after_shutdown */
static void a_submit_after_the_shutdown_is_refused(void)
{
    shunt_pool *pool = harness_pool(1);

    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    assert_joins(shunt_submit(pool, stage_nothing, NULL), SHUNT_ECLOSED);
    harness_free(pool);
}

/* What a program shows: on the stage, since its tasks may have no descriptor
 * of its. */
struct paper {
    struct tally *length;
    char text[64];
};

struct output {
    struct paper *paper;
    char letter;
};

static int print_letter(const struct output *in, shunt_none *out)
{
    (void)out;
    in->paper->text[tally_add(in->paper->length, 1)] = in->letter;
    return 0;
}
SHUNT_TASK(print_letter, struct output, shunt_none)

/* Run a program in a child; what it has shown when it ends goes to text, and
 * its exit status is returned. */
static int run_program(void (*program)(struct paper *), char *text)
{
    struct paper *paper = stage_bytes(sizeof *paper);
    int status = -1;

    paper->length = stage_tally();
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(20 * harness_slowness());
        harness_leaves_pools();
        program(paper);
        exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    memcpy(text, paper->text, sizeof paper->text);
    return status;
}

static void drain_and_exit(struct paper *paper)
{
    shunt_pool *pool = NULL;

    if (shunt_pool_new(&pool, &(shunt_options){ .workers = 1 }) != 0)
        _exit(1);
    for (char letter = 'a'; letter <= 'j'; letter++)
        (void)shunt_submit(pool, print_letter,
                           &(struct output){ paper, letter });
    if (shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL) != 0)
        _exit(2);
}

/* interpreter_shutdown: the pool is drained, not freed, when main ends */
static void a_program_that_drains_has_shown_everything_when_it_ends(void)
{
    char text[64];

    assert_int_equal(run_program(drain_and_exit, text), 0);
    assert_long((long)strlen(text), 10);
    for (char letter = 'a'; letter <= 'j'; letter++)
        assert_non_null(strchr(text, letter));
}

static shunt_pool *pool_at_exit;
static struct paper *paper_at_exit;

static void submit_at_exit(void)
{
    shunt_future *f = shunt_submit(pool_at_exit, stage_nothing, NULL);
    struct output said = { paper_at_exit,
                           shunt_join(f) == SHUNT_ECLOSED ? 'y' : 'n' };

    (void)print_letter(&said, NULL);
}

static void submit_while_exiting(struct paper *paper)
{
    paper_at_exit = paper;
    drain_and_exit(paper);
    if (shunt_pool_new(&pool_at_exit, &(shunt_options){ .workers = 1 }) != 0 ||
        shunt_pool_shutdown(pool_at_exit, SHUNT_DRAIN, SHUNT_FOREVER, NULL) !=
            0 ||
        atexit(submit_at_exit) != 0)
        _exit(3);
}

/* submit_after_interpreter_shutdown */
static void a_submit_in_an_exit_handler_fails_cleanly(void)
{
    char text[64];

    assert_int_equal(run_program(submit_while_exiting, text), 0);
    assert_non_null(strchr(text, 'y'));
}

/* hang_issue12364 */
static void fifty_queued_tasks_all_finish(void)
{
    shunt_pool *pool = harness_pool(1);
    struct tally *ran = stage_tally();
    shunt_future *fs[QUEUED];

    for (int i = 0; i < QUEUED; i++)
        fs[i] = shunt_submit(pool, stage_job, &(struct job){ .ran = ran });
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    for (int i = 0; i < QUEUED; i++)
        assert_joins(fs[i], 0);
    assert_long(tally_of(ran), QUEUED);
    harness_free(pool);
}

/* cancel_futures */
static void cancelling_leaves_nothing_pending(void)
{
    shunt_pool *pool = harness_pool(2);
    struct tally *ran = stage_tally();
    struct latch *go = stage_latch(), *started = stage_latch();
    shunt_future *fs[QUEUED];
    int over[2] = { 0, 0 };

    for (int i = 0; i < QUEUED; i++)
        fs[i] = shunt_submit(
            pool, stage_job,
            &(struct job){ .started = started, .go = go, .ran = ran });
    assert_true(latch_reaches(started, 2));
    assert_status(shunt_pool_shutdown(pool, SHUNT_CANCEL, 0, NULL),
                  SHUNT_ETIMEDOUT);
    latch_raise(go);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_CANCEL, SHUNT_FOREVER, NULL));
    for (int i = 0; i < QUEUED; i++) {
        int status = shunt_status(fs[i]);
        assert_true(status == 0 || status == SHUNT_ECANCELED);
        over[status == 0]++;
        assert_ok(shunt_release(fs[i]));
    }
    assert_long(over[1], 2);
    assert_long(over[0], QUEUED - 2);
    assert_long(tally_of(ran), 2);
    harness_free(pool);
}

/* A pool whose only worker is held by a task that does not end. */
static shunt_pool *held_pool(void)
{
    shunt_pool *pool = NULL;
    struct job job = { .started = stage_latch(), .go = stage_latch() };

    if (shunt_pool_new(&pool, &(shunt_options){ .workers = 1 }) != 0)
        _exit(1);
    (void)shunt_submit(pool, stage_job, &job);
    if (!latch_reaches(job.started, 1))
        _exit(2);
    return pool;
}

static void leave_while_a_task_runs(struct paper *paper)
{
    shunt_pool *pool = held_pool();

    (void)shunt_submit(pool, print_letter, &(struct output){ paper, 'x' });
    if (shunt_pool_shutdown(pool, SHUNT_DRAIN, 0, NULL) != SHUNT_ETIMEDOUT)
        _exit(3);
}

/* hang_gh83386 */
static void a_program_may_end_while_its_tasks_run(void)
{
    char text[64];

    assert_int_equal(run_program(leave_while_a_task_runs, text), 0);
    assert_string_equal(text, "");
}

/* ---- ThreadPoolShutdownTest ---- */

/* threads_terminate; the harness asserts that none is left */
static void all_threads_are_joined_when_a_pool_is_freed(void)
{
    shunt_pool *pool = stage_named_pool("joined", 3);

    assert_long(census_threads_named("joined-"), 3);
    for (int i = 0; i < 3; i++)
        (void)shunt_submit(pool, stage_nothing, NULL);
    harness_free(pool);
}

/* threads_terminate, also those that the time takes: the one that keeps it, and
 * those who stand in for tasks that ran past their deadline */
static void threads_that_came_later_are_joined_as_well(void)
{
    for (int i = 0; i < 3; i++) {
        shunt_pool *pool = stage_manual_pool(2, 0);
        struct job job = { .started = stage_latch(), .go = stage_latch() };
        for (unsigned j = 1; j <= 2; j++) {
            shunt_future *f =
                shunt_submit_with(pool, stage_job, &job, .deadline_ns = 5);
            assert_true(latch_reaches(job.started, j));
            stage_advance(pool, 5);
            assert_joins(f, SHUNT_ETIMEDOUT);
        }
        assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
        latch_raise(job.go);
        harness_free(pool);
    }
}

/* cancel_futures: what is queued is cancelled, though its deadline is to come;
 * what runs finishes, and what had ended at its deadline stays as it was */
static void cancelling_leaves_nothing_pending_that_has_a_deadline(void)
{
    shunt_pool *pool = stage_manual_pool(1, 0);
    struct stage_hold hold = stage_hold(pool);
    struct tally *ran = stage_tally();
    shunt_future *fs[QUEUED];

    for (int i = 0; i < QUEUED; i++)
        fs[i] = shunt_submit_with(pool, stage_job, &(struct job){ .ran = ran },
                                  .deadline_ns = 1 + i);
    stage_advance(pool, QUEUED / 2);
    assert_status(shunt_pool_shutdown(pool, SHUNT_CANCEL, 0, NULL),
                  SHUNT_ETIMEDOUT);
    for (int i = 0; i < QUEUED; i++)
        assert_joins(fs[i], i < QUEUED / 2 ? SHUNT_ETIMEDOUT : SHUNT_ECANCELED);
    stage_let(hold);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_CANCEL, SHUNT_FOREVER, NULL));
    assert_long(tally_of(ran), 0);
    harness_free(pool);
}

static void leave_while_time_is_to_pass(struct paper *paper)
{
    shunt_pool *pool = held_pool();

    (void)paper;
    (void)shunt_delay(pool, SHUNT_S(1000));
    (void)shunt_timeout(shunt_delay(pool, SHUNT_FOREVER), SHUNT_S(1000));
    (void)shunt_submit_with(pool, stage_nothing, NULL,
                            .deadline_ns = SHUNT_S(1000));
    if (shunt_pool_shutdown(pool, SHUNT_DRAIN, 0, NULL) != SHUNT_ETIMEDOUT)
        _exit(3);
}

/* hang_gh83386: nor does it wait for a time to come */
static void a_program_may_end_while_time_is_to_pass(void)
{
    char text[64];

    assert_int_equal(run_program(leave_while_time_is_to_pass, text), 0);
}

/* context_manager_shutdown, del_shutdown: here results end with the pool, so
 * they are read between the shutdown and the free. */
static void results_are_intact_when_everything_has_been_shut_down(void)
{
    enum {
        N = 20
    };
    shunt_pool *pool = harness_pool(3);
    shunt_future *fs[N];

    for (long i = 0; i < N; i++)
        fs[i] = shunt_submit(pool, stage_same, &i);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    for (long i = 0; i < N; i++)
        assert_takes(fs[i], i);
    harness_free(pool);
}

/* shutdown_no_wait */
static void a_shutdown_that_does_not_wait_loses_no_result(void)
{
    enum {
        N = 20
    };
    shunt_pool *pool = harness_pool(2);
    struct stage_hold hold = stage_hold(pool);
    shunt_future *fs[N];

    for (long i = 0; i < N; i++)
        fs[i] = shunt_submit(pool, stage_same, &i);
    assert_status(shunt_pool_shutdown(pool, SHUNT_DRAIN, 0, NULL),
                  SHUNT_ETIMEDOUT);
    stage_let(hold);
    for (long i = 0; i < N; i++)
        assert_takes(fs[i], i);
    harness_free(pool);
}

/* thread_names_assigned */
static void threads_have_the_name_that_was_given(void)
{
    shunt_pool *pool = stage_named_pool("SpecialPool", 5);

    assert_long(census_threads_named("SpecialPool-"), 5);
    harness_free(pool);
}

/* thread_names_default */
static void threads_have_a_name_if_none_was_given(void)
{
    shunt_pool *pool = stage_named_pool(NULL, 5);

    assert_long(census_threads_named("shunt-"), 5);
    harness_free(pool);
}

static void cancel_without_waiting(struct paper *paper)
{
    shunt_pool *pool = held_pool();

    for (char letter = 'a'; letter <= 'j'; letter++)
        (void)shunt_submit(pool, print_letter,
                           &(struct output){ paper, letter });
    if (shunt_pool_shutdown(pool, SHUNT_CANCEL, 0, NULL) != SHUNT_ETIMEDOUT)
        _exit(3);
}

/* cancel_futures_wait_false */
static void a_program_that_cancels_ends_at_once_with_what_was_started(void)
{
    char text[64];

    for (int i = 0; i < 5; i++) {
        assert_int_equal(run_program(cancel_without_waiting, text), 0);
        assert_string_equal(text, "");
    }
}

/* shutdown_gh_132969 cases 1 and 2, without recycling */
static void a_failing_task_does_not_hold_up_a_shutdown(void)
{
    for (int i = 0; i < 50; i++) {
        shunt_pool *pool = harness_pool(1 + i % 2);
        shunt_future *f = shunt_submit(pool, stage_fail, &(int){ 3 });
        shunt_future *g = shunt_submit(pool, stage_same, &(long){ 4 });
        int rc = shunt_pool_shutdown(pool, SHUNT_DRAIN, 0, NULL);
        assert_true(rc == 0 || rc == SHUNT_ETIMEDOUT);
        assert_joins(f, SHUNT_EFAILED);
        assert_takes(g, 4);
        harness_free(pool);
    }
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_submit_after_the_shutdown_is_refused),
    CLAIM(a_program_that_drains_has_shown_everything_when_it_ends),
    CLAIM(a_submit_in_an_exit_handler_fails_cleanly),
    CLAIM(fifty_queued_tasks_all_finish),
    CLAIM(cancelling_leaves_nothing_pending),
    CLAIM(a_program_may_end_while_its_tasks_run),
    CLAIM(all_threads_are_joined_when_a_pool_is_freed),
    CLAIM(threads_that_came_later_are_joined_as_well),
    CLAIM(cancelling_leaves_nothing_pending_that_has_a_deadline),
    CLAIM(a_program_may_end_while_time_is_to_pass),
    CLAIM(results_are_intact_when_everything_has_been_shut_down),
    CLAIM(a_shutdown_that_does_not_wait_loses_no_result),
    CLAIM(threads_have_the_name_that_was_given),
    CLAIM(threads_have_a_name_if_none_was_given),
    CLAIM(a_program_that_cancels_ends_at_once_with_what_was_started),
    CLAIM(a_failing_task_does_not_hold_up_a_shutdown),
};

HARNESS_MAIN(claims)
