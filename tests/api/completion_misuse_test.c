/* SPDX-License-Identifier: MIT */
/*
 * completion_misuse_test.c - what is no queue, no future or no place for an
 * event: an answer, nothing changed, and nothing worse.
 */
#include <signal.h>

#include "completion.h"

/* ---- what is no queue ---- */

static void assert_no_queue(shunt_queue *queue, shunt_pool *pool)
{
    struct stage_promise made = stage_promise(pool);
    shunt_event event = { NULL, tag(77) };

    assert_status(shunt_queue_fd(queue), SHUNT_EINVAL);
    assert_status(shunt_queue_add(queue, made.future, tag(1)), SHUNT_EINVAL);
    assert_status(shunt_queue_add_all(queue, &made.future, 1), SHUNT_EINVAL);
    assert_false(shunt_queue_remove(queue, made.future));
    assert_status(shunt_queue_take(queue, &event, 1), SHUNT_EINVAL);
    assert_status(shunt_queue_wait(queue, &event, 1, 0), SHUNT_EINVAL);
    assert_status(shunt_queue_wait(queue, &event, 1, SHUNT_FOREVER),
                  SHUNT_EINVAL);
    assert_long(shunt_queue_size(queue), SHUNT_EINVAL);
    assert_status(shunt_queue_free(queue), SHUNT_EINVAL);
    assert_ptr_equal(event.tag, tag(77));
    /* The future is still its owner's. */
    stage_give(made.promise, 3);
    assert_takes(made.future, 3);
}

static void what_is_no_queue_is_refused_and_takes_nothing(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = new_queue();

    for (unsigned i = 0; i < STAGE_GARBAGE; i++)
        assert_no_queue((shunt_queue *)stage_garbage(i), pool);
    assert_no_queue((shunt_queue *)pool, pool);
    assert_no_queue((shunt_queue *)((char *)queue + 1), pool);
    assert_no_queue((shunt_queue *)((char *)queue + 1024), pool);
    free_queue(queue);
    assert_no_queue(queue, pool);
    /* Others come to lie where it lay. */
    for (int i = 0; i < 3000; i++)
        free_queue(new_queue());
    assert_no_queue(queue, pool);
    harness_free(pool);
}

static void what_is_no_future_cannot_be_added_or_removed(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = new_queue();
    shunt_future *gone = stage_given(pool, 1), *all;

    assert_takes(gone, 1);
    for (unsigned i = 0; i < STAGE_GARBAGE; i++) {
        assert_status(shunt_queue_add(queue, stage_garbage(i), NULL),
                      SHUNT_EINVAL);
        assert_false(shunt_queue_remove(queue, stage_garbage(i)));
    }
    assert_status(shunt_queue_add(queue, gone, NULL), SHUNT_EINVAL);
    assert_false(shunt_queue_remove(queue, gone));
    /* What results lend is not the caller's to give away. */
    gone = stage_given(pool, 1);
    all = shunt_when_all(&gone, 1);
    assert_settles(all, 0);
    assert_status(shunt_queue_add(
                      queue, shunt_peek(all, shunt_results)->futures[0], NULL),
                  SHUNT_EINVAL);
    assert_ok(shunt_release(all));
    assert_long(shunt_queue_size(queue), 0);
    free_queue(queue);
    harness_free(pool);
}

static void events_need_a_place(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = new_queue();
    shunt_future *f = stage_given(pool, 1);
    shunt_event event;

    add(queue, f, 1);
    assert_status(shunt_queue_take(queue, NULL, 1), SHUNT_EINVAL);
    assert_status(shunt_queue_take(queue, &event, 0), SHUNT_EINVAL);
    assert_status(shunt_queue_wait(queue, NULL, 1, 0), SHUNT_EINVAL);
    assert_status(shunt_queue_wait(queue, &event, 0, SHUNT_FOREVER),
                  SHUNT_EINVAL);
    assert_status(shunt_queue_new(NULL), SHUNT_EINVAL);
    assert_event(queue, f, 1);
    assert_takes(f, 1);
    free_queue(queue);
    harness_free(pool);
}

static void there_are_1023_queues_at_a_time(void)
{
    enum {
        MOST = 1023
    };
    static shunt_queue *queues[MOST];
    shunt_queue *more = NULL;

    for (int i = 0; i < MOST; i++)
        queues[i] = new_queue();
    assert_status(shunt_queue_new(&more), SHUNT_EAGAIN);
    assert_null(more);
    free_queue(queues[500]);
    queues[500] = new_queue();
    assert_status(shunt_queue_new(&more), SHUNT_EAGAIN);
    for (int i = 0; i < MOST; i++)
        free_queue(queues[i]);
}

/* 0, or which call did not refuse the host's queue. */
static int use_queue(shunt_queue *const *in, long *out)
{
    shunt_future *f = shunt_submit(NULL, stage_same, &(long){ 1 });
    shunt_queue *queue = *in;
    shunt_event event;
    long value = 0;

    *out = shunt_queue_add(queue, f, NULL) != SHUNT_EINVAL         ? 2
           : shunt_queue_add_all(queue, &f, 1) != SHUNT_EINVAL     ? 3
           : shunt_queue_remove(queue, f)                          ? 4
           : shunt_queue_take(queue, &event, 1) != SHUNT_EINVAL    ? 5
           : shunt_queue_wait(queue, &event, 1, 0) != SHUNT_EINVAL ? 6
           : shunt_queue_size(queue) != SHUNT_EINVAL               ? 7
           : shunt_queue_fd(queue) != SHUNT_EINVAL                 ? 8
           : shunt_queue_free(queue) != SHUNT_EINVAL               ? 9
           : shunt_take(f, &value) != 0 || value != 1              ? 10
                                                                   : 0;
    return 0;
}
SHUNT_TASK(use_queue, shunt_queue *, long)

/* What a task waits for by a queue of its own: a future of the host, and one
 * that another worker settles. */
struct own_queue {
    shunt_future *hosts;
    struct latch *waits;
};

static int use_own_queue(const struct own_queue *in, long *out)
{
    shunt_queue *own = NULL;
    shunt_event event;
    long value;
    int rc = shunt_queue_new(&own);

    if (rc == 0)
        rc = shunt_queue_add(own, shunt_retain(in->hosts), NULL);
    for (long i = 1; i <= 10 && rc == 0; i++)
        rc = shunt_queue_add(own, shunt_submit(NULL, stage_same, &i), NULL);
    latch_raise(in->waits);
    for (int i = 0; i < 11 && rc == 0; i++) {
        if (shunt_queue_wait(own, &event, 1, SHUNT_FOREVER) != 1)
            return shunt_fail(1, "nothing came");
        rc = shunt_take(event.future, &value);
        *out += value;
    }
    return rc != 0 ? rc : shunt_queue_free(own);
}
SHUNT_TASK(use_own_queue, struct own_queue, long)

static void a_task_may_have_a_queue_of_its_own_process(void)
{
    for (int workers = 1; workers <= 3; workers++) {
        shunt_pool *pool = harness_pool(workers);
        struct stage_promise made = stage_promise(pool);
        struct own_queue in = { made.future, stage_latch() };
        shunt_future *f = shunt_submit(pool, use_own_queue, &in);

        assert_true(latch_reaches(in.waits, 1));
        stage_give(made.promise, 1000);
        assert_takes(f, 1055);
        assert_ok(shunt_release(made.future));
        harness_free(pool);
    }
}

static int die_with_queue(const struct own_queue *in, long *out)
{
    shunt_queue *own = NULL;

    if (shunt_queue_new(&own) != 0 ||
        shunt_queue_add(own, shunt_retain(in->hosts), NULL) != 0)
        return 1;
    *out = 0;
    return raise(SIGKILL);
}
SHUNT_TASK(die_with_queue, struct own_queue, long)

/* Goal: nobody is told by way of a queue that has died with its process; the
 * address of that is good for nothing elsewhere. */
static void a_queue_dies_with_its_process(void)
{
    for (int workers = 1; workers <= 2; workers++) {
        shunt_pool *pool = harness_pool(workers);
        struct stage_promise made = stage_promise(pool);
        struct own_queue in = { made.future, NULL };

        for (int i = 0; i < 5; i++)
            assert_joins(shunt_submit(pool, die_with_queue, &in),
                         SHUNT_ECRASHED);
        stage_give(made.promise, 3);
        assert_takes(made.future, 3);
        harness_free(pool);
    }
}

/* Method: one that is older than the worker process, and one that is younger.
 */
static void a_task_of_a_process_has_none_of_the_hosts_queues(void)
{
    shunt_queue *old = new_queue();
    shunt_pool *pool = harness_pool(1);
    shunt_queue *young = new_queue();

    assert_takes(shunt_submit(pool, use_queue, &old), 0);
    assert_takes(shunt_submit(pool, use_queue, &young), 0);
    add(old, shunt_submit(pool, stage_same, &(long){ 2 }), 2);
    shunt_event event;
    assert_long(shunt_queue_wait(old, &event, 1, harness_patience()), 1);
    assert_takes(event.future, 2);
    free_queue(old);
    free_queue(young);
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(what_is_no_queue_is_refused_and_takes_nothing),
    CLAIM(what_is_no_future_cannot_be_added_or_removed),
    CLAIM(events_need_a_place),
    CLAIM(there_are_1023_queues_at_a_time),
    CLAIM(a_task_may_have_a_queue_of_its_own_process),
    CLAIM_OF_PROCESSES(a_queue_dies_with_its_process),
    CLAIM_OF_PROCESSES(a_task_of_a_process_has_none_of_the_hosts_queues),
};

HARNESS_MAIN(claims)
