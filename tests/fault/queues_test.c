/* SPDX-License-Identifier: MIT */
/*
 * fault/queues_test.c - completion queues and lookaheads, with each request
 * for memory refused in turn: what is refused changes nothing, so that every
 * future is somebody's.
 */
#include "fault_each.h"

#include <sched.h>

static shunt_queue *queue_of(struct stage *s)
{
    return s->block;
}

static void make_queue(struct stage *s)
{
    shunt_queue *queue = NULL;

    assert_int_equal(shunt_queue_new(&queue), 0);
    s->block = queue;
}

/* Futures that are pending, and a queue. */
static void prepare(struct stage *s)
{
    fault_prepare(s);
    make_queue(s);
}

/* The same, of futures for which others wait, so that an edge is needed. */
static void prepare_watched(struct stage *s)
{
    prepare(s);
    for (size_t i = 0; i < s->count; i++) {
        shunt_future *more = shunt_retain(s->in[i]);

        assert_int_equal(shunt_release(shunt_then(more, fault_add_one)), 0);
    }
}

/* Every other one has settled. */
static void prepare_mixed(struct stage *s)
{
    prepare(s);
    for (size_t i = 0; i < s->count; i += 2) {
        long value = (long)i;

        assert_int_equal(shunt_promise_give(s->promise[i], &value), 0);
        s->promise[i] = NULL;
    }
}

/* What is in the queue comes out, and all else is with us; give it back. */
static void check_all(struct stage *s, size_t in_queue)
{
    shunt_event event;
    size_t got = 0;

    assert_int_equal(shunt_queue_size(queue_of(s)), in_queue);
    fault_keep(s);
    while (shunt_queue_take(queue_of(s), &event, 1) == 1) {
        size_t which = shunt_event_index(&event);

        assert_true(which < s->count && event.future == s->in[which]);
        got++;
    }
    assert_int_equal(got, in_queue);
    for (size_t i = 0; i < s->count; i++) {
        long value = -1;

        assert_int_equal(shunt_take(s->in[i], &value), 0);
        assert_int_equal(value, (long)i);
    }
    assert_int_equal(shunt_queue_free(queue_of(s)), 0);
}

/* ---- queues ---- */

static void new_queue(struct stage *s)
{
    shunt_queue *queue = NULL;

    s->rc = shunt_queue_new(&queue);
    s->block = queue;
}

static void check_new_queue(struct stage *s)
{
    if (!fault_worked(s, s->rc)) {
        assert_null(s->block);
        return;
    }
    assert_int_equal(shunt_queue_free(queue_of(s)), 0);
}

static void prepare_empty(struct stage *s)
{
    make_queue(s);
}

static void ask_for_fd(struct stage *s)
{
    s->rc = shunt_queue_fd(queue_of(s));
}

static void check_fd(struct stage *s)
{
    (void)fault_worked(s, s->rc < 0 ? s->rc : 0);
    assert_true(shunt_queue_fd(queue_of(s)) >= 0);
    assert_int_equal(shunt_queue_free(queue_of(s)), 0);
}

static void add_one(struct stage *s)
{
    s->rc = shunt_queue_add(queue_of(s), s->in[0], NULL);
}

static void check_add_one(struct stage *s)
{
    check_all(s, fault_worked(s, s->rc) ? 1 : 0);
}

static void add_all(struct stage *s)
{
    s->rc = shunt_queue_add_all(queue_of(s), s->in, s->count);
}

static void check_add_all(struct stage *s)
{
    check_all(s, fault_worked(s, s->rc) ? s->count : 0);
}

static void remove_all(struct stage *s)
{
    for (size_t i = 0; i < s->count; i++)
        s->rc += shunt_queue_remove(queue_of(s), s->in[i]);
}

static void prepare_added(struct stage *s)
{
    prepare_mixed(s);
    assert_int_equal(shunt_queue_add_all(queue_of(s), s->in, s->count), 0);
}

static void check_remove_all(struct stage *s)
{
    assert_int_equal(s->rc, s->count);
    check_all(s, 0);
}

static void free_queue(struct stage *s)
{
    s->rc = shunt_queue_free(queue_of(s));
}

static void check_free(struct stage *s)
{
    assert_int_equal(s->rc, 0);
    fault_keep(s);
    for (size_t i = 0; i < s->count; i++)
        assert_int_equal(shunt_status(s->in[i]), SHUNT_EINVAL);
}

static void give_all(struct stage *s)
{
    fault_keep(s);
}

static void check_given(struct stage *s)
{
    check_all(s, s->count);
}

/* ---- waits ---- */

static int wait_once(shunt_queue *const *in, shunt_none *out)
{
    shunt_event event;

    (void)out;
    return shunt_queue_wait(*in, &event, 1, SHUNT_MS(2));
}
SHUNT_TASK(wait_once, shunt_queue *, shunt_none)

static void wait_in_task(struct stage *s)
{
    s->out = shunt_submit(s->pool, wait_once, &(shunt_queue *){ queue_of(s) });
    fault_stay(s->out);
}

static void check_wait_in_task(struct stage *s)
{
    int code = shunt_error_of(s->out)->task_code;

    if (!fault_worked(s, shunt_status(s->out) == SHUNT_EFAILED
                             ? code
                             : shunt_status(s->out)))
        assert_true(code == SHUNT_ENOMEM ||
                    shunt_status(s->out) == SHUNT_ENOMEM);
    assert_int_equal(shunt_release(s->out), 0);
    check_all(s, 0);
}

static void wait_in_thread(struct stage *s)
{
    shunt_event event;

    s->rc = shunt_queue_wait(queue_of(s), &event, 1, SHUNT_MS(2));
}

static void check_wait_in_thread(struct stage *s)
{
    assert_int_equal(s->rc, 0);
    check_all(s, 0);
}

/* ---- lookaheads ---- */

struct counter {
    long at, end;
};

static int next_count(struct counter *c, long *in)
{
    *in = c->at;
    return c->at++ < c->end;
}
SHUNT_SEQUENCE(next_count, struct counter, long)

/* The sum of all that came, failures as none. */
static int run_ahead(shunt_pool *pool, size_t ahead)
{
    struct counter c = { 0, 100 };
    shunt_lookahead *l = NULL;
    int rc =
        shunt_lookahead_open(&l, pool, fault_add_one, next_count, &c, ahead);
    int failed = 0;

    if (rc != 0)
        return rc;
    /* Bounded: a wait without memory takes nothing, but elements end. */
    while (shunt_lookahead_size(l) > 0) {
        long value;

        rc = shunt_lookahead_take(l, &value);
        if (rc != 0) {
            failed = rc;
            sched_yield();
        }
    }
    rc = shunt_lookahead_close(l);
    /* Whatever failed, the sequence went on to its end. */
    return rc != 0 || c.at != 101 ? 4711 : failed;
}

static void look_ahead(struct stage *s)
{
    s->rc = run_ahead(s->pool, s->story->n);
}

static int look_ahead_inside(const long *in, shunt_none *out)
{
    (void)out;
    return run_ahead(NULL, (size_t)*in);
}
SHUNT_TASK(look_ahead_inside, long, shunt_none)

static void look_ahead_in_task(struct stage *s)
{
    s->out =
        shunt_submit(s->pool, look_ahead_inside, &(long){ (long)s->story->n });
    fault_stay(s->out);
    s->rc = shunt_status(s->out) == SHUNT_EFAILED
                ? shunt_error_of(s->out)->task_code
                : shunt_status(s->out);
}

static void check_lookahead(struct stage *s)
{
    (void)fault_worked(s, s->rc);
    if (s->out != NULL)
        assert_int_equal(shunt_release(s->out), 0);
}

/* ---- the stories ---- */

static void a_queue_is_made_whole_or_not_at_all(void **state)
{
    FAULT_EACH({ "queue_new", NULL, new_queue, check_new_queue, 0, NULL });
    FAULT_EACH({ "queue_fd", prepare_empty, ask_for_fd, check_fd, 0, NULL });
}

static void a_future_is_added_or_still_its_owners(void **state)
{
    FAULT_EACH({ "add", prepare, add_one, check_add_one, 1, NULL });
    FAULT_EACH(
        { "add, settled", prepare_mixed, add_one, check_add_one, 1, NULL });
    FAULT_EACH(
        { "add, watched", prepare_watched, add_one, check_add_one, 1, NULL });
    FAULT_EACH({ "add_all of 1", prepare, add_all, check_add_all, 1, NULL });
    FAULT_EACH(
        { "add_all of 150", prepare_mixed, add_all, check_add_all, 150, NULL });
    FAULT_EACH({ "add_all of 150, watched", prepare_watched, add_all,
                 check_add_all, 150, NULL });
}

static void what_gives_back_and_what_settles_always_works(void **state)
{
    FAULT_EACH(
        { "remove", prepare_added, remove_all, check_remove_all, 10, NULL });
    FAULT_EACH({ "free", prepare_added, free_queue, check_free, 10, NULL });
    FAULT_EACH({ "give", prepare_added, give_all, check_given, 10, NULL });
}

static void a_wait_in_a_queue_loses_nothing(void **state)
{
    FAULT_EACH({ "wait in a thread", prepare, wait_in_thread,
                 check_wait_in_thread, 1, NULL });
    FAULT_EACH({ "wait in a task", prepare, wait_in_task, check_wait_in_task, 1,
                 NULL });
}

static void a_lookahead_goes_on_to_the_end_of_its_sequence(void **state)
{
    FAULT_EACH({ "lookahead", NULL, look_ahead, check_lookahead, 40, NULL });
    FAULT_EACH({ "lookahead in a task", NULL, look_ahead_in_task,
                 check_lookahead, 40, NULL });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_queue_is_made_whole_or_not_at_all),
        cmocka_unit_test(a_future_is_added_or_still_its_owners),
        cmocka_unit_test(what_gives_back_and_what_settles_always_works),
        cmocka_unit_test(a_wait_in_a_queue_loses_nothing),
        cmocka_unit_test(a_lookahead_goes_on_to_the_end_of_its_sequence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
