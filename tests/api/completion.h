/* SPDX-License-Identifier: MIT */
/*
 * completion.h - what the tests of completion queues share.
 */
#ifndef SHUNT_TESTS_COMPLETION_H
#define SHUNT_TESTS_COMPLETION_H

#include "stage.h"

/* A queue, asserted to exist; and its end. */
static inline shunt_queue *new_queue(void)
{
    shunt_queue *queue = NULL;

    assert_ok(shunt_queue_new(&queue));
    assert_non_null(queue);
    return queue;
}

static inline void free_queue(shunt_queue *queue)
{
    assert_ok(shunt_queue_free(queue));
}

static inline void *tag(long i)
{
    return (void *)(uintptr_t)i;
}

static inline void add(shunt_queue *queue, shunt_future *f, long i)
{
    assert_ok(shunt_queue_add(queue, f, tag(i)));
}

/* The next event has this future and this tag. */
static inline void assert_event(shunt_queue *queue, shunt_future *f, long i)
{
    shunt_event event = { NULL, NULL };

    assert_long(shunt_queue_take(queue, &event, 1), 1);
    assert_ptr_equal(event.future, f);
    assert_ptr_equal(event.tag, tag(i));
}

static inline void assert_nothing_ready(shunt_queue *queue)
{
    shunt_event event = { NULL, tag(77) };

    assert_long(shunt_queue_take(queue, &event, 1), 0);
    assert_null(event.future);
    assert_ptr_equal(event.tag, tag(77));
}

#endif /* SHUNT_TESTS_COMPLETION_H */
