/* SPDX-License-Identifier: MIT */
/*
 * completion_task_test.c - queues inside tasks: a wait parks the task and
 * never keeps its worker; what a task adds it gives away, and what it takes is
 * its own. A queue is of one process: tasks of others know only their own.
 */
#include <pthread.h>
#include <string.h>

#include "completion.h"

/* ---- waiting parks ---- */

struct loop {
    shunt_queue *queue;
    struct latch *started;
    long n;
    int64_t ns;
};

/* Take n events one by one; the sum of their values. */
static int sum_up(const struct loop *in, long *out)
{
    if (in->started != NULL)
        latch_raise(in->started);
    for (long i = 0; i < in->n; i++) {
        shunt_event event;
        long value;
        int rc = shunt_queue_wait(in->queue, &event, 1, in->ns);

        if (rc != 1)
            return rc == 0 ? SHUNT_ETIMEDOUT : rc;
        rc = shunt_take(event.future, &value);
        if (rc != 0)
            return rc;
        *out += value;
    }
    return 0;
}
SHUNT_TASK(sum_up, struct loop, long)

/* Method: the only worker runs the one who waits, and the tasks for which it
 * waits. */
static void a_wait_in_a_task_does_not_keep_its_worker(void)
{
    enum {
        N = 200
    };
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = new_queue();
    struct loop loop = { queue, stage_latch(), N, SHUNT_FOREVER };
    shunt_future *f = shunt_submit(pool, sum_up, &loop);

    assert_true(latch_reaches(loop.started, 1));
    for (long i = 0; i < N; i++)
        add(queue, shunt_submit(pool, stage_same, &i), i);
    assert_takes(f, N * (N - 1) / 2);
    free_queue(queue);
    harness_free(pool);
}

static void many_tasks_wait_in_one_queue(void)
{
    enum {
        TASKS = 20,
        EACH = 50
    };
    shunt_pool *pools[2] = { harness_pool(1), harness_pool(2) };
    shunt_queue *queue = new_queue();
    struct loop loop = { queue, NULL, EACH, SHUNT_FOREVER };
    shunt_future *fs[TASKS];
    long sum = 0;

    for (int i = 0; i < TASKS; i++)
        fs[i] = shunt_submit(pools[i % 2], sum_up, &loop);
    for (long i = 0; i < TASKS * EACH; i++)
        add(queue, shunt_submit(pools[i % 2], stage_same, &i), i);
    for (int i = 0; i < TASKS; i++) {
        long part;

        assert_ok(harness_await(fs[i]));
        assert_ok(shunt_take(fs[i], &part));
        sum += part;
    }
    assert_long(sum, TASKS * EACH * (TASKS * EACH - 1) / 2);
    free_queue(queue);
    harness_free(pools[0]);
    harness_free(pools[1]);
}

struct thread_loop {
    struct loop loop;
    long sum;
    int rc;
};

static void *sum_up_in_thread(void *user)
{
    struct thread_loop *t = user;

    t->rc = sum_up(&t->loop, &t->sum);
    return NULL;
}

/* Goal: neither kind of waiter starves or is forgotten beside the other. */
static void threads_and_tasks_wait_side_by_side(void)
{
    enum {
        EACH = 6,
        N = 100
    };
    shunt_pool *pool = harness_pool(2);
    shunt_queue *queue = new_queue();
    struct loop loop = { queue, NULL, N, SHUNT_FOREVER };
    struct thread_loop threads[EACH];
    pthread_t ids[EACH];
    shunt_future *fs[EACH];
    long sum = 0;

    for (int i = 0; i < EACH; i++) {
        threads[i] = (struct thread_loop){ .loop = loop };
        assert_int_equal(
            pthread_create(&ids[i], NULL, sum_up_in_thread, &threads[i]), 0);
        fs[i] = shunt_submit(pool, sum_up, &loop);
    }
    for (long i = 0; i < 2 * EACH * N; i++) {
        shunt_future *f = i % 3 == 0 ? stage_given(pool, i)
                                     : shunt_submit(pool, stage_same, &i);

        add(queue, f, i);
    }
    for (int i = 0; i < EACH; i++) {
        long part;

        pthread_join(ids[i], NULL);
        assert_ok(threads[i].rc);
        assert_ok(harness_await(fs[i]));
        assert_ok(shunt_take(fs[i], &part));
        sum += part + threads[i].sum;
    }
    assert_long(sum, 2L * EACH * N * (2 * EACH * N - 1) / 2);
    free_queue(queue);
    harness_free(pool);
}

static void a_wait_in_a_task_runs_out(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = new_queue();
    struct loop loop = { queue, NULL, 1, 0 };

    add(queue, stage_promise(pool).future, 1);
    assert_fails_with(shunt_submit(pool, sum_up, &loop), SHUNT_ETIMEDOUT);
    loop.ns = SHUNT_MS(5);
    assert_fails_with(shunt_submit(pool, sum_up, &loop), SHUNT_ETIMEDOUT);
    free_queue(queue);
    harness_free(pool);
}

/* ---- waits that are to end ---- */

static void a_task_that_is_cancelled_waits_no_more(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = new_queue();

    for (int i = 0; i < 50; i++) {
        struct loop loop = { queue, stage_latch(), 1, SHUNT_FOREVER };
        shunt_future *f = shunt_submit(pool, sum_up, &loop);

        assert_true(latch_reaches(loop.started, 1));
        assert_long(shunt_cancel(f), 1);
        assert_joins(f, SHUNT_ECANCELED);
    }
    /* They have left nothing behind. */
    struct loop loop = { queue, NULL, 1, SHUNT_FOREVER };
    shunt_future *f = shunt_submit(pool, sum_up, &loop);

    add(queue, stage_given(pool, 4), 1);
    assert_takes(f, 4);
    free_queue(queue);
    harness_free(pool);
}

static int take_though_cancelled(const struct loop *in, long *out)
{
    shunt_event event;

    latch_raise(in->started);
    while (!shunt_cancelled())
        continue;
    if (shunt_queue_wait(in->queue, &event, 1, SHUNT_FOREVER) != 1)
        return 1;
    if (shunt_queue_wait(in->queue, &event, 1, 0) != 0)
        return 2;
    if (shunt_queue_wait(in->queue, &event, 1, SHUNT_FOREVER) !=
        SHUNT_ECANCELED)
        return 3;
    *out = 7;
    return 0;
}
SHUNT_TASK(take_though_cancelled, struct loop, long)

static void a_task_that_is_cancelled_still_gets_what_is_ready(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = new_queue();
    struct loop loop = { queue, stage_latch(), 1, SHUNT_FOREVER };
    shunt_future *f;

    add(queue, stage_given(pool, 4), 1);
    f = shunt_submit(pool, take_though_cancelled, &loop);
    assert_true(latch_reaches(loop.started, 1));
    assert_long(shunt_cancel(f), 1);
    assert_takes(f, 7);
    free_queue(queue);
    harness_free(pool);
}

static void a_drain_ends_waits_for_which_nothing_is_left(void)
{
    for (int round = 0; round < 20; round++) {
        shunt_pool *pool = harness_pool(1 + round % 2);
        shunt_queue *queue = new_queue();
        struct loop loop = { queue, NULL, 2, SHUNT_FOREVER };
        shunt_future *f = shunt_submit(pool, sum_up, &loop);

        if (round % 3 == 0)
            add(queue, shunt_submit(pool, stage_same, &(long){ 1 }), 1);
        assert_ok(shunt_pool_shutdown(
            pool, round % 4 == 3 ? SHUNT_CANCEL : SHUNT_DRAIN, SHUNT_FOREVER,
            NULL));
        assert_true(shunt_status(f) == SHUNT_ECANCELED ||
                    shunt_error_of(f)->task_code == SHUNT_ECANCELED);
        free_queue(queue);
        harness_free(pool);
    }
}

static void tasks_that_wait_in_a_queue_that_is_freed_are_told_so(void)
{
    for (int round = 0; round < 30; round++) {
        shunt_pool *pool = harness_pool(1);
        shunt_queue *queue = new_queue();
        struct loop loop = { queue, stage_latch(), 1, SHUNT_FOREVER };
        shunt_future *fs[4];

        for (int i = 0; i < 4; i++)
            fs[i] = shunt_submit(pool, sum_up, &loop);
        assert_true(latch_reaches(loop.started, 4));
        if (round % 2 == 0) /* they have parked by then */
            assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
        free_queue(queue);
        for (int i = 0; i < 4; i++) {
            assert_settles(fs[i], SHUNT_EFAILED);
            int code = shunt_error_of(fs[i])->task_code;
            assert_true(code == SHUNT_ECLOSED || code == SHUNT_EINVAL);
            assert_ok(shunt_release(fs[i]));
        }
        harness_free(pool);
    }
}

/* ---- queues made and freed in tasks ---- */

static int use_own_queue(const long *in, long *out)
{
    shunt_queue *queue;
    shunt_event events[8];
    int n, rc = shunt_queue_new(&queue);

    if (rc != 0)
        return rc;
    for (long i = 0; i < *in && rc == 0; i++)
        rc = shunt_queue_add(queue, shunt_submit(NULL, stage_same, &i), tag(i));
    while (rc == 0 && shunt_queue_size(queue) > 0) {
        n = shunt_queue_wait(queue, events, 8, SHUNT_FOREVER);
        for (int i = 0; i < n && rc == 0; i++) {
            long value;

            rc = shunt_take(events[i].future, &value);
            *out += value;
        }
        if (n <= 0)
            rc = 1;
    }
    (void)shunt_submit(NULL, stage_same, &(long){ 1 });
    if (rc == 0)
        rc = shunt_queue_add(queue, shunt_submit(NULL, stage_same, in), NULL);
    return rc == 0 ? shunt_queue_free(queue) : rc;
}
SHUNT_TASK(use_own_queue, long, long)

static void a_task_may_have_a_queue_of_its_own(void)
{
    for (int workers = 1; workers <= 2; workers++) {
        shunt_pool *pool = harness_pool(workers);

        for (long i = 0; i < 20; i++)
            assert_takes(shunt_submit(pool, use_own_queue, &(long){ 100 }),
                         4950);
        harness_free(pool);
    }
}

static int free_queue_in_task(shunt_queue *const *in, shunt_none *out)
{
    (void)out;
    return shunt_queue_free(*in);
}
SHUNT_TASK(free_queue_in_task, shunt_queue *, shunt_none)

/* Goal: no deadlock. Method: one worker, on which others wait in it. */
static void a_task_may_free_a_queue_in_which_others_wait(void)
{
    for (int round = 0; round < 20; round++) {
        shunt_pool *pool = harness_pool(1);
        shunt_queue *queue = new_queue();
        struct loop loop = { queue, stage_latch(), 1, SHUNT_FOREVER };
        shunt_future *fs[3];

        for (int i = 0; i < 3; i++)
            fs[i] = shunt_submit(pool, sum_up, &loop);
        assert_true(latch_reaches(loop.started, 3));
        assert_joins(shunt_submit(pool, free_queue_in_task, &queue), 0);
        for (int i = 0; i < 3; i++) {
            assert_settles(fs[i], SHUNT_EFAILED);
            assert_ok(shunt_release(fs[i]));
        }
        assert_status(shunt_queue_free(queue), SHUNT_EINVAL);
        harness_free(pool);
    }
}

/* ---- what a task gives away, and what it gets ---- */

struct giver {
    shunt_queue *queue;
    struct latch *given, *go;
    long n;
    bool all;
};

/* Add futures that the task got, and end when told to. */
static int give_away(const struct giver *in, long *out)
{
    shunt_future *fs[300], *kept;

    for (long i = 0; i < in->n; i++)
        fs[i] = shunt_submit(NULL, stage_same, &i);
    kept = shunt_retain(fs[0]);
    if (in->all && shunt_queue_add_all(in->queue, fs, (size_t)in->n) != 0)
        return 1;
    for (long i = in->n - 1; i >= 0 && !in->all; i--)
        if (shunt_queue_add(in->queue, fs[i], tag(i)) != 0)
            return 1;
    if (shunt_queue_add(in->queue, kept, tag(in->n)) != 0)
        return 2;
    latch_raise(in->given);
    *out = in->n;
    return latch_reaches(in->go, 1) ? 0 : STAGE_LATE;
}
SHUNT_TASK(give_away, struct giver, long)

/* Method: the events are taken before the task ends, or after; its end must
 * not release what is another's by then. */
static void what_a_task_adds_is_not_released_with_it(void)
{
    for (int round = 0; round < 12; round++) {
        shunt_pool *pool = harness_pool(2);
        shunt_queue *queue = new_queue();
        struct giver giver = { queue, stage_latch(), stage_latch(),
                               round % 3 == 0 ? 300 : 1 + round,
                               round % 2 == 0 };
        shunt_future *f = shunt_submit(pool, give_away, &giver);
        static shunt_event events[301];
        int taken = 0;

        assert_true(latch_reaches(giver.given, 1));
        if (round % 4 >= 2) {
            latch_raise(giver.go);
            assert_takes(f, giver.n);
        }
        while (shunt_queue_size(queue) > 0) {
            int n = shunt_queue_wait(queue, events + taken, 301,
                                     harness_patience());

            assert_true(n > 0);
            taken += n;
        }
        assert_long(taken, giver.n + 1);
        if (round % 4 < 2) {
            latch_raise(giver.go);
            assert_takes(f, giver.n);
        }
        for (int i = 0; i < taken; i++) {
            long which = (long)shunt_event_index(&events[i]);

            assert_takes(events[i].future, which == giver.n ? 0 : which);
        }
        free_queue(queue);
        harness_free(pool);
    }
}

/* What it takes it forgets to give back. */
static int take_and_end(const struct loop *in, shunt_future **out)
{
    shunt_future *last = NULL;

    for (long i = 0; i < in->n; i++) {
        shunt_event event;

        if (shunt_queue_wait(in->queue, &event, 1, in->ns) != 1)
            return 1;
        last = event.future;
    }
    *out = last; /* but for this one */
    return 0;
}
SHUNT_TASK(take_and_end, struct loop, shunt_future *)

static void what_a_task_takes_is_released_with_it(void)
{
    enum {
        N = 20
    };
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = new_queue();
    struct loop loop = { queue, NULL, N, SHUNT_FOREVER };
    shunt_future *fs[N];

    for (long i = 0; i < N; i++) {
        fs[i] = stage_given(pool, i);
        add(queue, fs[i], i);
    }
    assert_takes(shunt_submit(pool, take_and_end, &loop), N - 1);
    for (int i = 0; i < N; i++)
        assert_stale(fs[i]);
    free_queue(queue);
    harness_free(pool);
}

/* Its result is a name by then, and no future. */
static int remove_and_end(shunt_queue *const *in, uintptr_t *out)
{
    shunt_future *f = shunt_submit(NULL, stage_same, &(long){ 1 });

    *out = (uintptr_t)f;
    return shunt_queue_add(*in, f, NULL) == 0 && shunt_queue_remove(*in, f) ? 0
                                                                            : 1;
}
SHUNT_TASK(remove_and_end, shunt_queue *, uintptr_t)

static void what_a_task_removes_is_released_with_it(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = new_queue();

    for (int i = 0; i < 20; i++) {
        shunt_future *f = shunt_submit(pool, remove_and_end, &queue);
        uintptr_t removed = 0;

        assert_ok(harness_await(f));
        assert_ok(shunt_take(f, &removed));
        assert_stale((shunt_future *)removed);
    }
    assert_long(shunt_queue_size(queue), 0);
    free_queue(queue);
    harness_free(pool);
}

/* ---- memory that what was given away reads ---- */

struct reader {
    const char *block;
    struct latch *go;
};

static int read_block(const struct reader *in, long *out)
{
    if (!latch_reaches(in->go, 1))
        return STAGE_LATE;
    for (int i = 0; i < 1000; i++)
        *out += in->block[i];
    return 0;
}
SHUNT_TASK(read_block, struct reader, long)

static int add_reader(const struct giver *in, shunt_none *out)
{
    char *block = shunt_alloc(1000);

    (void)out;
    if (block == NULL)
        return 1;
    memset(block, 1, 1000);
    return shunt_queue_add(
        in->queue,
        shunt_submit(NULL, read_block, &(struct reader){ block, in->go }),
        NULL);
}
SHUNT_TASK(add_reader, struct giver, shunt_none)

static int scribble(const shunt_none *in, shunt_none *out)
{
    char *block = shunt_alloc(1000);

    (void)in;
    (void)out;
    if (block == NULL)
        return 1;
    memset(block, 7, 1000);
    return 0;
}
SHUNT_TASK(scribble, shunt_none, shunt_none)

/* Goal: as with every child, whoever holds it. */
static void a_tasks_memory_outlives_the_children_that_it_added(void)
{
    shunt_pool *pool = harness_pool(2);
    struct giver giver = { .queue = new_queue() };
    shunt_event event;

    for (int i = 0; i < 20; i++) {
        giver.go = stage_latch();
        assert_joins(shunt_submit(pool, add_reader, &giver), 0);
        assert_joins(shunt_submit(pool, scribble, NULL), 0);
        latch_raise(giver.go);
        assert_long(
            shunt_queue_wait(giver.queue, &event, 1, harness_patience()), 1);
        assert_takes(event.future, 1000);
    }
    free_queue(giver.queue);
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM_OF_THREADS(a_wait_in_a_task_does_not_keep_its_worker),
    CLAIM_OF_THREADS(many_tasks_wait_in_one_queue),
    CLAIM_OF_THREADS(threads_and_tasks_wait_side_by_side),
    CLAIM_OF_THREADS(a_wait_in_a_task_runs_out),
    CLAIM_OF_THREADS(a_task_that_is_cancelled_waits_no_more),
    CLAIM_OF_THREADS(a_task_that_is_cancelled_still_gets_what_is_ready),
    CLAIM_OF_THREADS(a_drain_ends_waits_for_which_nothing_is_left),
    CLAIM_OF_THREADS(tasks_that_wait_in_a_queue_that_is_freed_are_told_so),
    CLAIM(a_task_may_have_a_queue_of_its_own),
    CLAIM_OF_THREADS(a_task_may_free_a_queue_in_which_others_wait),
    CLAIM_OF_THREADS(what_a_task_adds_is_not_released_with_it),
    CLAIM_OF_THREADS(what_a_task_takes_is_released_with_it),
    CLAIM_OF_THREADS(what_a_task_removes_is_released_with_it),
    CLAIM_OF_THREADS(a_tasks_memory_outlives_the_children_that_it_added),
};

HARNESS_MAIN(claims)
