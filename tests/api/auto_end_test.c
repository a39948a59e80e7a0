/* SPDX-License-Identifier: MIT */
/*
 * auto_end_test.c - how an auto pool ends with tasks on both sides, what a
 * death on one side is to the other, and what holds for each side.
 *
 * Method. Latches say how far tasks are; a task that is said to run does so
 * when the pool ends. Tallies say that each ran once.
 */
#include <sched.h>

#include "death.h"
#include "dumped.h"
#include "sides.h"

enum {
    QUEUED = 40
};

static shunt_future *job_at(shunt_pool *pool, const struct job *job, int place)
{
    return shunt_submit_with(pool, stage_job, job, .place = place);
}

static int side(long i)
{
    return i % 2 == 0 ? SHUNT_PLACE_THREAD : SHUNT_PLACE_PROCESS;
}

/* ---- shutdown ---- */

/* Tasks of both sides that run, and others behind them. */
struct crowd {
    shunt_pool *pool;
    struct job running, queued;
    shunt_future *runs[8], *queue[QUEUED];
    int workers;
};

static struct crowd crowd(int workers)
{
    struct crowd c = {
        .pool = auto_pool(workers),
        .running = { .value = 1,
                     .started = stage_latch(),
                     .go = stage_latch() },
        .queued = { .value = 2, .ran = stage_tally() },
        .workers = workers,
    };

    for (int i = 0; i < 2 * workers; i++)
        c.runs[i] = job_at(c.pool, &c.running, side(i));
    assert_true(latch_reaches(c.running.started, 2 * (unsigned)workers));
    for (int i = 0; i < QUEUED; i++)
        c.queue[i] = job_at(c.pool, &c.queued, side(i));
    return c;
}

static void a_drain_runs_all_of_both_sides(void)
{
    for (int workers = 1; workers <= 4; workers *= 2) {
        struct crowd c = crowd(workers);
        size_t left = 0;

        assert_status(shunt_pool_shutdown(c.pool, SHUNT_DRAIN, 0, &left),
                      SHUNT_ETIMEDOUT);
        assert_long((long)left, 2 * workers + QUEUED);
        latch_raise(c.running.go);
        assert_ok(shunt_pool_shutdown(c.pool, SHUNT_DRAIN, harness_patience(),
                                      &left));
        assert_long((long)left, 0);
        for (int i = 0; i < 2 * workers; i++)
            assert_takes(c.runs[i], 1);
        for (int i = 0; i < QUEUED; i++)
            assert_takes(c.queue[i], 2);
        assert_long(tally_of(c.queued.ran), QUEUED);
        assert_joins(job_at(c.pool, &c.queued, side(0)), SHUNT_ECLOSED);
        assert_joins(job_at(c.pool, &c.queued, side(1)), SHUNT_ECLOSED);
        harness_free(c.pool);
    }
}

static void a_cancel_starts_nothing_and_waits_for_both_sides(void)
{
    for (int workers = 1; workers <= 4; workers *= 2) {
        struct crowd c = crowd(workers);
        size_t left = 0;

        assert_status(shunt_pool_shutdown(c.pool, SHUNT_CANCEL, 0, &left),
                      SHUNT_ETIMEDOUT);
        assert_long((long)left, 2 * workers);
        for (int i = 0; i < QUEUED; i++)
            assert_joins(c.queue[i], SHUNT_ECANCELED);
        latch_raise(c.running.go);
        assert_ok(shunt_pool_shutdown(c.pool, SHUNT_CANCEL, harness_patience(),
                                      &left));
        for (int i = 0; i < 2 * workers; i++)
            assert_takes(c.runs[i], 1);
        assert_long(tally_of(c.queued.ran), 0);
        harness_free(c.pool);
    }
}

/* Goal: a kill ends processes; on threads the code runs on, and is counted. */
static void a_kill_gives_up_both_sides(void)
{
    for (int workers = 1; workers <= 4; workers *= 2) {
        struct crowd c = crowd(workers);
        size_t left = 0;

        assert_status(shunt_pool_shutdown(c.pool, SHUNT_KILL, 0, &left),
                      SHUNT_ETIMEDOUT);
        for (int i = 0; i < 2 * workers; i++)
            assert_joins(c.runs[i], SHUNT_ECANCELED);
        for (int i = 0; i < QUEUED; i++)
            assert_joins(c.queue[i], SHUNT_ECANCELED);
        assert_status(shunt_pool_shutdown(c.pool, SHUNT_KILL, 0, &left),
                      SHUNT_ETIMEDOUT);
        assert_true(left >= (size_t)workers && left <= 2 * (size_t)workers);
        latch_raise(c.running.go);
        assert_ok(
            shunt_pool_shutdown(c.pool, SHUNT_KILL, harness_patience(), &left));
        assert_long(tally_of(c.queued.ran), 0);
        harness_free(c.pool);
    }
}

/* Goal: threads are started when something is first queued for them, by another
 * thread; the pool may end meanwhile. Method: no pause. */
static void a_pool_ends_while_its_threads_are_being_started(void)
{
    for (long i = 0; i < harness_pools(600); i++) {
        shunt_pool *pool = auto_pool(1 + (int)(i % 4));
        struct job in = { .value = i, .ran = stage_tally() };
        shunt_future *f;

        harness_note("round %ld", i);
        f = job_at(pool, &in, SHUNT_PLACE_THREAD);
        switch (i % 5) {
        case 0:
            assert_takes(f, i);
            break;
        case 1:
            assert_ok(shunt_release(f));
            break;
        case 2:
            assert_ok(shunt_pool_shutdown(pool, SHUNT_CANCEL,
                                          harness_patience(), NULL));
            assert_true(shunt_status(f) == 0 ||
                        shunt_status(f) == SHUNT_ECANCELED);
            break;
        case 3:
            assert_ok(shunt_pool_shutdown(pool, SHUNT_KILL, harness_patience(),
                                          NULL));
            break;
        case 4:
            (void)shunt_cancel(f);
            break;
        }
        harness_free(pool);
        if (i % 5 < 2)
            assert_long(tally_of(in.ran), 1);
    }
}

static int submit_at(const struct job *in, long *out)
{
    return shunt_take(job_at(NULL, in, SHUNT_PLACE_THREAD), out);
}
SHUNT_TASK(submit_at, struct job, long)

/* The first for a thread comes from a process, also while the pool ends. */
static void a_process_may_be_the_first_to_want_a_thread(void)
{
    for (long i = 0; i < harness_pools(400); i++) {
        shunt_pool *pool = auto_pool(1 + (int)(i % 2));
        struct job in = { .value = i };
        shunt_future *f = shunt_submit(pool, submit_at, &in);

        harness_note("round %ld", i);
        if (i % 2 == 1)
            assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, harness_patience(),
                                          NULL));
        assert_takes(f, i);
        harness_free(pool);
    }
}

/* Goal: a pool that nothing is placed on threads in has none. */
static void threads_are_started_when_they_are_needed(void)
{
    shunt_pool *pool = auto_pool(2);
    struct job in = { .value = 5 };

    for (int i = 0; i < 10; i++)
        assert_takes(job_at(pool, &in, SHUNT_PLACE_PROCESS), 5);
    assert_lacks(dump_raw(pool), "(thread)");
    assert_takes(job_at(pool, &in, SHUNT_PLACE_THREAD), 5);
    assert_true(count_parts(dump_raw(pool), " (thread): ") >= 1);
    harness_free(pool);
}

/* ---- deaths ---- */

/* Method: a process dies at a time when tasks of threads run, wait for tasks of
 * processes, and are queued. */
static int outlive(const struct mortal *in, long *out)
{
    int rc = shunt_join(
        shunt_submit_with(NULL, mortal, in, .place = SHUNT_PLACE_PROCESS));

    *out = here();
    return rc == SHUNT_ECRASHED ? 0 : 1;
}
SHUNT_TASK(outlive, struct mortal, long)

static void a_process_that_dies_takes_nothing_of_threads_along(void)
{
    for (int workers = 1; workers <= 2; workers++) {
        shunt_pool *pool = auto_pool(workers);

        for (int how = 0; how < DEATHS; how++) {
            struct mortal dies = { .how = (enum death)how,
                                   .started = stage_latch(),
                                   .go = stage_latch() };
            struct job job = { .value = how,
                               .started = stage_latch(),
                               .go = dies.go };
            struct job queued = { .value = 7 };
            shunt_future *waits[2], *runs, *queue[20];

            harness_note("%d workers, %s", workers,
                         death_name((enum death)how));
            for (int i = 0; i < 2; i++)
                waits[i] = shunt_submit_with(pool, outlive, &dies,
                                             .place = SHUNT_PLACE_THREAD);
            assert_true(latch_reaches(dies.started, 1));
            runs = job_at(pool, &job, SHUNT_PLACE_THREAD);
            assert_true(latch_reaches(job.started, 1));
            for (int i = 0; i < 20; i++)
                queue[i] = job_at(pool, &queued, side(i));
            latch_raise(dies.go);
            for (int i = 0; i < 2; i++)
                assert_in_host(waits[i]);
            assert_takes(runs, how);
            for (int i = 0; i < 20; i++)
                assert_takes(queue[i], 7);
        }
        harness_free(pool);
    }
}

/* Goal: tasks that a task of a thread has parked for, in a process that dies
 * and is another's collateral, and the other way round. */
static int wait_across(const struct job *in, long *out)
{
    return shunt_take(job_at(NULL, in, SHUNT_PLACE_THREAD), out);
}
SHUNT_TASK(wait_across, struct job, long)

static void a_parked_task_dies_with_its_process_and_not_who_it_waits_for(void)
{
    shunt_pool *pool = auto_pool(1);

    for (int i = 0; i < 20; i++) {
        struct job in = { .value = i,
                          .started = stage_latch(),
                          .go = stage_latch(),
                          .ran = stage_tally() };
        shunt_future *f = shunt_submit(pool, wait_across, &in), *behind;

        assert_true(latch_reaches(in.started, 1));
        behind = job_at(pool, &(struct job){ .value = 3 }, SHUNT_PLACE_THREAD);
        assert_dies(shunt_submit_with(pool, mortal,
                                      &(struct mortal){ .how = BY_KILL },
                                      .place = SHUNT_PLACE_PROCESS));
        assert_settles(f, SHUNT_ECRASHED);
        assert_true(shunt_error_of(f)->collateral);
        assert_string_equal(shunt_error_of(f)->culprit, "mortal");
        assert_ok(shunt_release(f));
        latch_raise(in.go);
        assert_takes(behind, 3);
        assert_long(tally_of(in.ran), 1);
        assert_takes(shunt_submit(pool, stage_same, &(long){ 4 }), 4);
    }
    harness_free(pool);
}

static void deaths_and_ends_may_come_at_one_time(void)
{
    for (long i = 0; i < harness_pools(400); i++) {
        static const enum shunt_how hows[] = { SHUNT_DRAIN, SHUNT_CANCEL,
                                               SHUNT_KILL };
        struct crowd c = crowd(1 + (int)(i % 2));

        harness_note("round %ld", i);
        (void)shunt_release(shunt_submit_with(
            c.pool, mortal, &(struct mortal){ .how = BY_KILL },
            .place = SHUNT_PLACE_PROCESS));
        latch_raise(c.running.go);
        assert_ok(
            shunt_pool_shutdown(c.pool, hows[i % 3], harness_patience(), NULL));
        harness_free(c.pool);
    }
}

/* ---- limits ---- */

static void queue_max_holds_for_each_side(void)
{
    for (int first = 0; first < 2; first++) {
        struct job hold = { .started = stage_latch(), .go = stage_latch() };
        struct job in = { .value = 3 };
        shunt_future *holds[2], *fs[2][6];
        shunt_pool *pool = NULL;

        assert_ok(shunt_pool_new(
            &pool, &(shunt_options){ .mode = SHUNT_AUTO,
                                     .workers = 1,
                                     .queue_max = 5,
                                     .unobserved = shunt_unobserved_ignore }));
        for (int i = 0; i < 2; i++)
            holds[i] = job_at(pool, &hold, side(i));
        assert_true(latch_reaches(hold.started, 2));
        for (int n = 0; n < 2; n++) {
            int where = side(first + n);

            for (int i = 0; i < 5; i++) {
                fs[n][i] = job_at(pool, &in, where);
                assert_status(shunt_status(fs[n][i]), SHUNT_PENDING);
            }
            fs[n][5] = job_at(pool, &in, where);
            assert_joins(fs[n][5], SHUNT_EAGAIN);
        }
        latch_raise(hold.go);
        for (int i = 0; i < 2; i++)
            assert_joins(holds[i], 0);
        for (int i = 0; i < 10; i++)
            assert_takes(fs[i / 5][i % 5], 3);
        harness_free(pool);
    }
}

static void pools_of_any_size_have_two_sides(void)
{
    static const int sizes[] = { 1, 2, 16 };

    for (int s = 0; s < 3; s++) {
        int workers = sizes[s];
        shunt_pool *pool = auto_pool(workers);
        struct job all = { .started = stage_latch(), .go = stage_latch() };
        shunt_pool_stats stats;
        shunt_future *fs[32];

        harness_note("%d workers", workers);
        assert_int_equal(shunt_pool_workers(pool), workers);
        assert_int_equal(shunt_pool_mode(pool), SHUNT_AUTO);
        /* So many run at one time on each side. */
        for (int i = 0; i < 2 * workers; i++)
            fs[i] = job_at(pool, &all, side(i));
        assert_true(latch_reaches(all.started, 2 * (unsigned)workers));
        assert_ok(shunt_stats(pool, &stats, NULL, 0));
        assert_long(stats.running, 2 * workers);
        assert_long(count_parts(dump_raw(pool), " (thread): runs "), workers);
        latch_raise(all.go);
        for (int i = 0; i < 2 * workers; i++)
            assert_joins(fs[i], 0);
        harness_free(pool);
    }
}

/* Goal: on threads a deadline is as on threads, and others go on. */
static void at_its_deadline_a_thread_is_replaced(void)
{
    shunt_pool *pool = auto_pool(1);

    for (int i = 0; i < 2; i++) {
        struct job in = { .started = stage_latch(), .go = stage_latch() };
        shunt_future *f = shunt_submit_with(pool, stage_job, &in,
                                            .place = SHUNT_PLACE_THREAD,
                                            .deadline_ns = SHUNT_MS(30));

        assert_joins(f, SHUNT_ETIMEDOUT);
        assert_takes(
            job_at(pool, &(struct job){ .value = 9 }, SHUNT_PLACE_THREAD), 9);
        assert_takes(
            job_at(pool, &(struct job){ .value = 9 }, SHUNT_PLACE_PROCESS), 9);
        latch_raise(in.go);
    }
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM_OF_BOTH(a_drain_runs_all_of_both_sides),
    CLAIM_OF_BOTH(a_cancel_starts_nothing_and_waits_for_both_sides),
    CLAIM_OF_BOTH(a_kill_gives_up_both_sides),
    CLAIM_OF_BOTH(a_pool_ends_while_its_threads_are_being_started),
    CLAIM_OF_BOTH(a_process_may_be_the_first_to_want_a_thread),
    CLAIM_OF_BOTH(threads_are_started_when_they_are_needed),
    CLAIM_OF_BOTH(a_process_that_dies_takes_nothing_of_threads_along),
    CLAIM_OF_BOTH(a_parked_task_dies_with_its_process_and_not_who_it_waits_for),
    CLAIM_OF_BOTH(deaths_and_ends_may_come_at_one_time),
    CLAIM_OF_BOTH(queue_max_holds_for_each_side),
    CLAIM_OF_BOTH(pools_of_any_size_have_two_sides),
    CLAIM_OF_BOTH(at_its_deadline_a_thread_is_replaced),
};

HARNESS_MAIN(claims)
