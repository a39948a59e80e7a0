/* SPDX-License-Identifier: MIT */
/*
 * fault/inside_test.c - what tasks do, and everything at once, with every
 * request for memory refused in turn.
 */
#include "fault_each.h"

#include <string.h>

enum {
    CHILDREN = 12,
    WIDE = 29,
    GIFT = 200
};

/* ---- tasks that a story's task submits ---- */

static int seven(const shunt_none *in, long *out)
{
    (void)in;
    *out = 7;
    return 0;
}
SHUNT_TASK(seven, shunt_none, long)

static int lazy(const shunt_none *in, long *out)
{
    (void)in;
    fault_linger();
    *out = 7;
    return 0;
}
SHUNT_TASK(lazy, shunt_none, long)

static int wrong(const shunt_none *in, long *out)
{
    (void)in;
    (void)out;
    return shunt_fail(5, "always");
}
SHUNT_TASK(wrong, shunt_none, long)

static int gift(const shunt_none *in, char **out)
{
    (void)in;
    *out = shunt_alloc(GIFT);
    if (*out == NULL)
        return shunt_fail(SHUNT_ENOMEM, NULL);
    memset(*out, 1, GIFT);
    return 0;
}
SHUNT_TASK(gift, shunt_none, char *)

/* Reads memory of the task that submitted it, which may have ended. */
static int reader(char *const *in, long *out)
{
    fault_linger();
    *out = (*in)[0] + (*in)[GIFT - 1];
    return 0;
}
SHUNT_TASK(reader, char *, long)

/* ---- the stories' tasks: 0, or a status; each in a task of its own ---- */

static int wait_for_a_child(struct stage *s)
{
    shunt_future *f = shunt_submit(NULL, lazy, NULL);
    int rc = shunt_await(f);

    (void)s;
    return rc != 0 ? rc : shunt_release(f);
}

static int wait_a_while(struct stage *s)
{
    int rc = shunt_await_for(s->in[0], SHUNT_US(200));

    return rc == SHUNT_PENDING ? 0 : rc;
}

static int wait_for_another_pool(struct stage *s)
{
    return shunt_join(shunt_submit(s->other, lazy, NULL));
}

static int keep_many(struct stage *s)
{
    char *shared = shunt_alloc(GIFT);
    int rc = 0;

    (void)s;
    if (shared == NULL)
        return SHUNT_ENOMEM;
    memset(shared, 1, GIFT);
    for (int i = 0; i < CHILDREN; i++) {
        shunt_future *f = shunt_submit(NULL, reader, &shared);
        shunt_future *more = shunt_retain(f);

        if (more == NULL)
            rc = SHUNT_ENOMEM;
        if (shunt_status(f) == SHUNT_ENOMEM)
            rc = SHUNT_ENOMEM;
    }
    return rc; /* they are let go of here, and read on */
}

static int let_go_of_many(struct stage *s)
{
    char *shared = shunt_alloc(GIFT);
    int rc = 0;

    (void)s;
    if (shared == NULL)
        return SHUNT_ENOMEM;
    memset(shared, 1, GIFT);
    for (int i = 0; i < CHILDREN; i++) {
        shunt_future *f = shunt_submit(NULL, reader, &shared);

        if (shunt_status(f) == SHUNT_ENOMEM)
            rc = SHUNT_ENOMEM;
        if (shunt_release(f) != 0)
            return 1;
    }
    return rc;
}

static int take_a_gift(struct stage *s)
{
    char *bytes = NULL;
    int rc = shunt_take(shunt_submit(NULL, gift, NULL), &bytes);

    (void)s;
    /* The one failure of its own that the giver has. */
    if (rc != 0)
        return rc == SHUNT_EFAILED ? SHUNT_ENOMEM : rc;
    return bytes[0] == 1 && bytes[GIFT - 1] == 1 ? shunt_free(bytes) : 1;
}

static int fail_as_a_child(struct stage *s)
{
    shunt_future *f = shunt_submit(NULL, wrong, NULL);
    int rc = shunt_await(f);

    (void)s;
    if (rc == SHUNT_EFAILED)
        (void)shunt_fail_as(f);
    return rc == SHUNT_EFAILED ? 0 : rc;
}

static int all_of_many(struct stage *s)
{
    shunt_future *fs[WIDE];

    (void)s;
    for (int i = 0; i < WIDE; i++)
        fs[i] = shunt_submit(NULL, seven, NULL);
    return shunt_join(shunt_when_all(fs, WIDE));
}

static int race_of_many(struct stage *s)
{
    shunt_future *fs[WIDE];

    (void)s;
    for (int i = 0; i < WIDE; i++)
        fs[i] = shunt_submit(NULL, lazy, NULL);
    return shunt_join(shunt_race(fs, WIDE));
}

static int chain_of_steps(struct stage *s)
{
    shunt_future *f =
        shunt_then(shunt_submit(NULL, wrong, NULL), fault_add_one);
    long value = 0;
    int rc;

    (void)s;
    f = shunt_then(shunt_recover(f, fault_mend), fault_add_one);
    rc = shunt_take(shunt_via(NULL, shunt_finally(f, fault_look_on)), &value);
    /* For want of memory a failure may have lost its code on the way. */
    return rc != 0 ? rc : value == 6 || value == 1 ? 0 : 1;
}

static int map_many(struct stage *s)
{
    long ins[WIDE] = { 0 };

    (void)s;
    return shunt_join(shunt_map(NULL, fault_add_one, ins, WIDE));
}

static int retry_in_vain(struct stage *s)
{
    int rc = shunt_join(shunt_retry(NULL, wrong, NULL, .first_ns = -1));

    (void)s;
    return rc == SHUNT_EFAILED ? 0 : rc;
}

static int keep_a_promise(struct stage *s)
{
    shunt_promise *promise;
    shunt_future *f;
    long value = 3;
    int rc = shunt_promise_new(NULL, long, &promise, &f);

    (void)s;
    if (rc == 0)
        rc = shunt_promise_give(promise, &value);
    return rc != 0 ? rc : shunt_join(f);
}

static int break_promises(struct stage *s)
{
    shunt_promise *promise;
    shunt_future *f;
    int rc = 0;

    (void)s;
    for (int i = 0; i < CHILDREN && rc == 0; i++)
        rc = shunt_promise_new(NULL, long, &promise, &f);
    return rc;
}

static int heed_and_wait(struct stage *s)
{
    shunt_future *c = shunt_cancel_future();
    shunt_future *step = shunt_then(shunt_cancel_future(), fault_nothing);
    int rc = shunt_status(c);

    (void)s;
    if (rc == SHUNT_PENDING)
        rc = shunt_status(step);
    /* They end with the task. */
    return rc == SHUNT_PENDING ? shunt_release(c) | shunt_release(step) : rc;
}

static int take_some_time(struct stage *s)
{
    shunt_future *fs[3] = { shunt_delay(NULL, SHUNT_US(50)),
                            shunt_timeout(shunt_submit(NULL, lazy, NULL),
                                          SHUNT_S(1000)),
                            shunt_timeout(shunt_delay(s->other, SHUNT_US(20)),
                                          SHUNT_S(1000)) };

    return shunt_join(shunt_when_all(fs, 3));
}

static int bound_many(struct stage *s)
{
    shunt_future *fs[CHILDREN];

    (void)s;
    for (int i = 0; i < CHILDREN; i++) {
        fs[i] = shunt_submit_with(NULL, seven, NULL,
                                  .deadline_ns = SHUNT_S(1000));
        fs[i] = shunt_then(fs[i], fault_add_one);
    }
    return shunt_join(shunt_when_all(fs, CHILDREN));
}

/* Everything, one after another, whatever fails. */
static int do_everything(struct stage *s);

/* ---- running one of them ---- */

struct play {
    struct stage *stage;
    int (*inside)(struct stage *);
};

static int play(const struct play *in, shunt_none *out)
{
    (void)out;
    atomic_store(&in->stage->inside, 1);
    in->stage->rc = in->inside(in->stage);
    atomic_store(&in->stage->inside, 2);
    return in->stage->rc;
}
SHUNT_TASK(play, struct play, shunt_none)

static struct play plays[1];
static int (*current)(struct stage *);

static void act_inside(struct stage *s)
{
    struct play *p = &plays[0];

    *p = (struct play){ s, current };
    /* With a deadline, which what it does inherits, it asks for a timer more
     * each time. */
    s->out = s->story->n == 0
                 ? shunt_submit(s->pool, play, p)
                 : shunt_submit_with(s->pool, play, p,
                                     .deadline_ns = SHUNT_S(1000));
    fault_stay(s->out);
}

static void check_inside(struct stage *s)
{
    int status = fault_await(s->out);

    /* It did not begin, or it began and ended well or for want of memory. */
    if (atomic_load(&s->inside) == 0)
        assert_int_equal(status, SHUNT_ENOMEM);
    else
        (void)fault_worked(s, s->rc);
    assert_int_not_equal(atomic_load(&s->inside), 1);
    fault_keep(s);
    for (size_t i = 0; i < s->count; i++)
        assert_int_equal(shunt_join(s->in[i]), 0);
    assert_int_equal(shunt_release(s->out), 0);
}

static void prepare_one(struct stage *s)
{
    fault_promises(s, 1);
}

static void tell(const char *name, int (*inside)(struct stage *))
{
    struct story story = {
        name, prepare_one, act_inside, check_inside, 0, NULL
    };

    current = inside;
    fault_each(&story);
}

static void tell_with_deadline(const char *name,
                               int (*inside)(struct stage *))
{
    struct story story = {
        name, prepare_one, act_inside, check_inside, 1, NULL
    };

    current = inside;
    fault_each(&story);
}

/* One of each, inside, one after another. */
static int (*const all[])(struct stage *) = {
    wait_for_a_child, wait_a_while,   wait_for_another_pool,
    keep_many,        let_go_of_many, take_a_gift,
    fail_as_a_child,  all_of_many,    race_of_many,
    chain_of_steps,   map_many,       retry_in_vain,
    keep_a_promise,   break_promises, heed_and_wait,
    take_some_time,   bound_many,
};
enum {
    ALL = sizeof all / sizeof all[0]
};

static int do_everything(struct stage *s)
{
    int first = 0;

    for (int i = 0; i < ALL; i++) {
        int rc = all[i](s);

        if (rc != 0 && rc != SHUNT_ENOMEM)
            return rc;
        if (first == 0)
            first = rc;
    }
    return first;
}

/* ---- and outside at the same time ---- */

static void outside_everything(struct stage *s)
{
    shunt_future *fs[2 * WIDE];

    plays[0] = (struct play){ s, current };
    s->out = shunt_submit(s->pool, play, &plays[0]);
    for (int i = 0; i < 2 * WIDE; i++)
        fs[i] = i % 2 == 0 ? shunt_submit(s->pool, seven, NULL)
                           : shunt_then(shunt_submit(s->other, lazy, NULL),
                                        fault_add_one);
    s->in[1] = shunt_when_all_settled(fs, 2 * WIDE);
    s->in[2] = shunt_via(s->other, shunt_retain(s->in[1]));
    s->count = 3;
    fault_stay(s->in[1]);
    fault_stay(s->in[2]);
    fault_stay(s->out);
}

static void check_everything(struct stage *s)
{
    for (int i = 1; i < 3; i++) {
        int rc = fault_await(s->in[i]);

        /* NULL from retain makes via say so. */
        if (i == 2 && rc == SHUNT_EINVAL)
            rc = SHUNT_ENOMEM;
        (void)fault_worked(s, rc);
        assert_int_equal(shunt_release(s->in[i]), 0);
    }
    s->count = 1;
    check_inside(s);
}

/* ---- the claims ---- */

static void a_task_that_waits_goes_on_or_learns_that_memory_is_out(void **state)
{
    (void)state;
    tell("await in a task", wait_for_a_child);
    tell("await_for in a task", wait_a_while);
    tell("await of another pool", wait_for_another_pool);
}

static void a_tasks_memory_outlives_its_tasks_even_if_memory_is_out(
    void **state)
{
    (void)state;
    tell("many handles kept", keep_many);
    tell("many handles given back", let_go_of_many);
}

static void a_taken_value_comes_with_its_memory_or_not_at_all(void **state)
{
    (void)state;
    tell("take in a task", take_a_gift);
}

static void a_task_fails_with_what_there_is_memory_for(void **state)
{
    (void)state;
    tell("fail_as", fail_as_a_child);
}

static void composing_in_a_task_works_or_fails(void **state)
{
    (void)state;
    tell("when_all in a task", all_of_many);
    tell("race in a task", race_of_many);
    tell("steps in a task", chain_of_steps);
    tell("map in a task", map_many);
    tell("retry in a task", retry_in_vain);
    tell("promise in a task", keep_a_promise);
    tell("broken promises in a task", break_promises);
}

static void time_in_a_task_passes_or_memory_is_out(void **state)
{
    (void)state;
    tell("cancel_future", heed_and_wait);
    tell("delay and timeout in a task", take_some_time);
    tell("deadlines in a task", bound_many);
    tell_with_deadline("map under a deadline", map_many);
    tell_with_deadline("steps under a deadline", chain_of_steps);
    tell_with_deadline("another pool under a deadline", wait_for_another_pool);
    tell_with_deadline("deadlines under a deadline", bound_many);
}

static void everything_together_works_or_fails(void **state)
{
    static const struct story story = {
        "everything", prepare_one, outside_everything, check_everything, 0, NULL
    };

    (void)state;
    tell("everything in a task", do_everything);
    current = do_everything;
    fault_each(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            a_task_that_waits_goes_on_or_learns_that_memory_is_out),
        cmocka_unit_test(
            a_tasks_memory_outlives_its_tasks_even_if_memory_is_out),
        cmocka_unit_test(a_taken_value_comes_with_its_memory_or_not_at_all),
        cmocka_unit_test(a_task_fails_with_what_there_is_memory_for),
        cmocka_unit_test(composing_in_a_task_works_or_fails),
        cmocka_unit_test(time_in_a_task_passes_or_memory_is_out),
        cmocka_unit_test(everything_together_works_or_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
