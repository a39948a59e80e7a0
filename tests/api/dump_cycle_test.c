/* SPDX-License-Identifier: MIT */
/*
 * dump_cycle_test.c - a dump names futures that wait for each other in a
 * circle, and no others.
 *
 * Method. Tasks get the futures that they are to wait for by a promise, so that
 * circles can be tied; a SHUNT_CANCEL ends them.
 */
#include <string.h>

#include "dumped.h"

/* Waits for a future that it gets later. */
struct late {
    shunt_future *key;     /* of a shunt_future * */
    struct latch *waiting; /* raised before it waits for that */
};

static int await_late(const struct late *in)
{
    shunt_future *const *f;

    if (shunt_await(in->key) != 0)
        return 1;
    f = shunt_peek(in->key, shunt_future *);
    latch_raise(in->waiting);
    return shunt_await(*f) == SHUNT_ECANCELED ? SHUNT_ECANCELED : 2;
}

static int left(const struct late *in, long *out)
{
    (void)out;
    return await_late(in);
}
SHUNT_TASK(left, struct late, long)

static int right(const struct late *in, long *out)
{
    (void)out;
    return await_late(in);
}
SHUNT_TASK(right, struct late, long)

static int middle(const struct late *in, long *out)
{
    (void)out;
    return await_late(in);
}
SHUNT_TASK(middle, struct late, long)

/* A task with its key. */
struct knot {
    shunt_promise *promise;
    struct late late;
    shunt_future *future;
};

static struct knot tie(shunt_pool *pool, const shunt_task *task)
{
    struct knot knot = { .late.waiting = stage_latch() };

    assert_ok(
        shunt_promise_new(pool, shunt_future *, &knot.promise, &knot.late.key));
    knot.future = shunt_submit_task(pool, task, &knot.late, NULL);
    return knot;
}

static void let_wait(struct knot *knot, shunt_future *f)
{
    assert_ok(shunt_promise_give(knot->promise, &f));
    assert_true(latch_reaches(knot->late.waiting, 1));
}

static void end(shunt_pool *pool)
{
    assert_ok(shunt_pool_shutdown(pool, SHUNT_CANCEL, SHUNT_FOREVER, NULL));
    harness_free(pool);
}

static void a_circle_of_two_tasks(void)
{
    shunt_pool *pool = harness_pool(1);
    struct knot a = tie(pool, &shunt_task_left);
    struct knot b = tie(pool, &shunt_task_right);

    let_wait(&a, b.future);
    let_wait(&b, a.future);
    stage_asleep(pool, 1);
    const char *text = dump_of(pool);
    assert_line(text, "  wait cycle: #2 left -> #4 right -> #2 left");
    assert_long(count_parts(text, "wait cycle"), 1);
    assert_line(text, "  #2 task left: parked on worker 0, waits for #4 right; "
                      "age T, submitted at HERE; 1 future waits for it");
    end(pool);
}

static void a_circle_of_three_tasks(void)
{
    shunt_pool *pool = harness_pool(2);
    struct knot a = tie(pool, &shunt_task_left);
    struct knot b = tie(pool, &shunt_task_right);
    struct knot c = tie(pool, &shunt_task_middle);

    let_wait(&a, c.future);
    let_wait(&c, b.future);
    let_wait(&b, a.future);
    stage_asleep(pool, 2);
    const char *text = dump_of(pool);
    assert_line(text,
                "  wait cycle: #2 left -> #6 middle -> #4 right -> #2 left");
    assert_long(count_parts(text, "wait cycle"), 1);
    end(pool);
}

static void a_task_that_waits_for_what_follows_it(void)
{
    shunt_pool *pool = harness_pool(1);
    struct knot a = tie(pool, &shunt_task_left);
    shunt_future *step = shunt_then(shunt_retain(a.future), stage_add_one);

    let_wait(&a, step);
    stage_asleep(pool, 1);
    assert_line(dump_of(pool),
                "  wait cycle: #2 left -> #3 stage_add_one -> #2 left");
    end(pool);
}

static void a_circle_through_a_combinator_says_if_it_may_end(void)
{
    shunt_pool *pool = harness_pool(1);
    struct knot a = tie(pool, &shunt_task_left);
    struct stage_promise made = stage_promise(pool);
    shunt_future *fs[] = { shunt_retain(a.future), made.future };
    shunt_future *race = shunt_race(fs, 2);

    let_wait(&a, race);
    stage_asleep(pool, 1);
    assert_line(dump_of(pool), "  wait cycle: #2 left -> #4 race -> #2 left "
                               "(another input may end it)");
    stage_give(made.promise, 1);
    assert_status(shunt_await(a.future), SHUNT_EFAILED);
    assert_lacks(dump_of(pool), "wait cycle");
    end(pool);
}

static void a_circle_through_all_that_is_left_of_a_combinator_will_not(void)
{
    shunt_pool *pool = harness_pool(1);
    struct knot a = tie(pool, &shunt_task_left);
    shunt_future *fs[40];

    for (int i = 0; i < 40; i++)
        fs[i] = i == 33 ? shunt_retain(a.future) : stage_given(pool, i);
    shunt_future *all = shunt_when_all(fs, 40);
    let_wait(&a, all);
    stage_asleep(pool, 1);
    const char *text = dump_of(pool);
    assert_line(text, "  wait cycle: #2 left -> #42 when_all -> #2 left");
    assert_line(text, "  #42 when_all: waits for 1 input, first #2 left (input "
                      "33); age T; 1 future waits for it");
    end(pool);
}

static void a_circle_over_two_pools(void)
{
    shunt_pool *pool = harness_pool(1), *other = harness_pool(1);
    struct knot a = tie(pool, &shunt_task_left);
    struct knot b = tie(other, &shunt_task_right);

    let_wait(&a, b.future);
    let_wait(&b, a.future);
    stage_asleep(pool, 1);
    stage_asleep(other, 1);
    const char *text = dump_of(pool);
    const char *at = strstr(text, "  wait cycle: #2 left -> #2@");
    unsigned id;

    assert_non_null(at);
    assert_int_equal(sscanf(at, "  wait cycle: #2 left -> #2@%u right", &id),
                     1);
    assert_long(count_parts(text, "wait cycle"), 1);
    /* The same, told of both. */
    assert_long(count_parts(dump_of(NULL), "wait cycle"), 1);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_CANCEL, SHUNT_FOREVER, NULL));
    end(other);
    harness_free(pool);
}

/* A circle, and those who wait for it, or that it waits for besides. */
static void who_waits_for_a_circle_is_not_in_it(void)
{
    shunt_pool *pool = harness_pool(1);
    struct knot a = tie(pool, &shunt_task_left);
    struct knot b = tie(pool, &shunt_task_right);
    struct knot c = tie(pool, &shunt_task_middle);
    struct stage_promise made = stage_promise(pool);
    shunt_future *fs[] = { made.future, shunt_retain(b.future) };
    shunt_future *all = shunt_when_all_settled(fs, 2);

    let_wait(&b, a.future);
    let_wait(&c, b.future);
    let_wait(&a, all);
    stage_asleep(pool, 1);
    const char *text = dump_of(pool);
    assert_long(count_parts(text, "wait cycle"), 1);
    assert_line(text, "  wait cycle: #2 left -> #8 when_all_settled -> #4 "
                      "right -> #2 left");
    assert_line(text, "  #6 task middle: parked on worker 0, waits for #4 "
                      "right; age T, submitted at HERE");
    assert_ok(shunt_promise_drop(made.promise));
    end(pool);
}

static int count_them(const shunt_results *in, long *out)
{
    *out = (long)in->count;
    return 0;
}
SHUNT_TASK(count_them, shunt_results, long)

static void waits_that_will_end_are_no_circle(void)
{
    enum {
        LINKS = 200
    };
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);
    shunt_future *f = made.future, *fs[2];
    shunt_future *kept = shunt_retain(f);

    for (int i = 0; i < LINKS; i++) {
        fs[0] = shunt_retain(kept);
        fs[1] = i % 2 == 0 ? f : shunt_then(f, stage_add_one);
        f = shunt_then(shunt_when_all_settled(fs, 2), count_them);
    }
    assert_lacks(dump_of(pool), "wait cycle");
    stage_give(made.promise, 1);
    assert_takes(f, 2);
    assert_takes(kept, 1);
    harness_free(pool);
}

static void many_circles_are_counted(void)
{
    enum {
        CIRCLES = 25
    };
    shunt_pool *pool = harness_pool(1);

    for (int i = 0; i < CIRCLES; i++) {
        struct knot a = tie(pool, &shunt_task_left);
        struct knot b = tie(pool, &shunt_task_right);

        let_wait(&a, b.future);
        let_wait(&b, a.future);
    }
    stage_asleep(pool, 1);
    const char *text = dump_of(pool);
    assert_long(count_parts(text, "  wait cycle: "), 20);
    assert_line(text, "  and 5 more wait cycles");
    end(pool);
}

static void a_long_circle_is_cut(void)
{
    enum {
        MEMBERS = 60
    };
    shunt_pool *pool = harness_pool(1);
    struct knot a = tie(pool, &shunt_task_left);
    shunt_future *f = shunt_retain(a.future);

    for (int i = 1; i < MEMBERS; i++)
        f = shunt_then(f, stage_add_one);
    let_wait(&a, f);
    stage_asleep(pool, 1);
    const char *text = dump_of(pool);
    assert_non_null(strstr(text, "  wait cycle: #2 left -> #61 stage_add_one "
                                 "-> #60 stage_add_one -> "));
    assert_non_null(strstr(text, " stage_add_one -> 10 more -> #2 left\n"));
    end(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_circle_of_two_tasks),
    CLAIM(a_circle_of_three_tasks),
    CLAIM(a_task_that_waits_for_what_follows_it),
    CLAIM(a_circle_through_a_combinator_says_if_it_may_end),
    CLAIM(a_circle_through_all_that_is_left_of_a_combinator_will_not),
    CLAIM_OF_THREADS(a_circle_over_two_pools),
    CLAIM(who_waits_for_a_circle_is_not_in_it),
    CLAIM(waits_that_will_end_are_no_circle),
    CLAIM(many_circles_are_counted),
    CLAIM(a_long_circle_is_cut),
};

HARNESS_MAIN(claims)
