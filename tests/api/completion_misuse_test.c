/* SPDX-License-Identifier: MIT */
/*
 * completion_misuse_test.c - what is no queue, no future or no place for an
 * event: an answer, nothing changed, and nothing worse.
 */
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

static const struct CMUnitTest claims[] = {
    CLAIM(what_is_no_queue_is_refused_and_takes_nothing),
    CLAIM(what_is_no_future_cannot_be_added_or_removed),
    CLAIM(events_need_a_place),
    CLAIM(there_are_1023_queues_at_a_time),
};

HARNESS_MAIN(claims)
