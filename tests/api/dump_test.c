/* SPDX-License-Identifier: MIT */
/*
 * dump_test.c - a dump says of every future what it is at.
 *
 * Method. Futures are brought into each state and kept there; the lines that a
 * dump has for them are compared, but for ages and places (dumped.h). Pools
 * have one worker, and numbers of futures are those of the first that are made.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "dumped.h"

static int await_it(shunt_future *const *in, long *out)
{
    *out = shunt_await(*in);
    return 0;
}
SHUNT_TASK(await_it, shunt_future *, long)

static int renamed(const long *in, long *out)
{
    *out = *in;
    return 0;
}
SHUNT_TASK(renamed, long, long, .name = "the renamed task")

/* ---- states ---- */

static void tasks_are_queued_and_run(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_hold hold = stage_hold(pool);
    shunt_future *queued = shunt_submit(pool, renamed, &(long){ 1 });
    const char *text = dump_of(pool);

    assert_line(text, "shunt: 1 pool");
    assert_line(text, "  worker 0: runs #1 stage_job for T; 0 queued");
    assert_line(text, "  outside: 1 queued, 0 ready; threads that wait: 0 for "
                      "futures, 0 for room, 0 for the end");
    assert_line(text, "  #1 task stage_job: runs on worker 0 for T; age T, "
                      "submitted at HERE");
    assert_line(text,
                "  #2 task the renamed task: queued; age T, submitted at HERE");
    stage_let(hold);
    assert_takes(queued, 1);
    stage_asleep(pool, 1);
    text = dump_of(pool);
    assert_line(text, "  worker 0: sleeps; 0 queued");
    assert_lacks(text, "#");
    harness_free(pool);
}

static void a_parked_task_says_what_it_waits_for(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);
    shunt_future *first = shunt_submit(pool, await_it, &made.future);
    shunt_future *second = shunt_submit(pool, await_it, &first);

    stage_asleep(pool, 1);
    const char *text = dump_of(pool);
    assert_line(text, "  #1 promise: not given; age T, made at HERE; 1 future "
                      "waits for it");
    assert_line(text, "  #2 task await_it: parked on worker 0, waits for #1 "
                      "promise; age T, submitted at HERE; 1 future waits for "
                      "it");
    assert_line(text, "  #3 task await_it: parked on worker 0, waits for #2 "
                      "await_it; age T, submitted at HERE");
    assert_lacks(text, "cycle");
    stage_give(made.promise, 1);
    assert_takes(second, 0);
    assert_takes(first, 0);
    assert_takes(made.future, 1);
    harness_free(pool);
}

/* Parks, and then keeps its worker from another that could go on. */
static int hold_on(struct latch *const *in, long *out)
{
    latch_raise(in[0]);
    *out = 0;
    return latch_reaches(in[0], 2) ? 0 : STAGE_LATE;
}
SHUNT_TASK(hold_on, struct latch *, long)

static void a_task_that_may_go_on_waits_for_its_worker(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);
    shunt_future *f = shunt_submit(pool, await_it, &made.future);
    struct latch *latch = stage_latch();

    stage_asleep(pool, 1);
    shunt_future *holds = shunt_submit(pool, hold_on, &latch);
    assert_true(latch_reaches(latch, 1));
    stage_give(made.promise, 1);
    assert_line(dump_of(pool), "  #2 task await_it: may go on, on worker 0; "
                               "submitted at HERE");
    latch_raise(latch);
    assert_takes(f, 0);
    assert_takes(holds, 0);
    assert_takes(made.future, 1);
    harness_free(pool);
}

static void every_kind_has_a_name(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);
    shunt_future *fs[10];
    int n = 0;

    fs[n++] = shunt_then(shunt_retain(made.future), stage_add_one);
    fs[n++] = shunt_recover(shunt_retain(made.future), stage_task_code);
    fs[n++] = shunt_finally(shunt_retain(made.future), stage_look_on);
    fs[n++] = shunt_via(pool, shunt_retain(made.future));
    for (int i = 0; i < 5; i++) {
        static stage_combine *const combines[] = { shunt_when_all,
                                                   shunt_when_all_settled,
                                                   shunt_when_any, shunt_race,
                                                   stage_some_one };
        shunt_future *input = shunt_retain(made.future);
        fs[n++] = combines[i](&input, 1);
    }
    const char *text = dump_of(pool);
    assert_line(text, "  #1 promise: not given; age T, made at HERE; 9 futures "
                      "wait for it");
    assert_line(text, "  #2 then stage_add_one: waits for #1 promise; age T, "
                      "attached at HERE");
    assert_line(text, "  #3 recover stage_task_code: waits for #1 promise; age "
                      "T, attached at HERE");
    assert_line(text, "  #4 finally stage_look_on: waits for #1 promise; age "
                      "T, attached at HERE");
    assert_line(text, "  #5 via: waits for #1 promise; age T");
    static const char *const names[] = { "when_all", "when_all_settled",
                                         "when_any", "race", "when_some" };
    for (unsigned i = 0; i < 5; i++) {
        char line[100];
        snprintf(line, sizeof line,
                 "  #%u %s: waits for 1 input, first #1 promise (input 0); "
                 "age T",
                 i + 6, names[i]);
        assert_line(text, line);
    }
    stage_give(made.promise, 1);
    while (n > 0)
        (void)shunt_join(fs[--n]);
    assert_takes(made.future, 1);
    harness_free(pool);
}

static int return_it(shunt_future *const *in, shunt_future **out)
{
    *out = shunt_retain(*in);
    return 0;
}
SHUNT_TASK(return_it, shunt_future *, shunt_future *)

static void a_task_that_returned_a_future_waits_for_that(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);
    shunt_future *f = shunt_submit(pool, return_it, &made.future);

    stage_asleep(pool, 1);
    assert_line(dump_of(pool), "  #2 task return_it: waits for #1 promise; age "
                               "T, submitted at HERE");
    stage_give(made.promise, 3);
    assert_takes(f, 3);
    assert_takes(made.future, 3);
    harness_free(pool);
}

/* More inputs than one word has bits, of which two stay open. */
static void a_combinator_names_the_first_of_its_open_inputs(void)
{
    enum {
        INPUTS = 1000
    };
    shunt_pool *pool = harness_pool(1);
    static struct stage_promise made[INPUTS];
    static shunt_future *fs[INPUTS];

    for (int i = 0; i < INPUTS; i++) {
        made[i] = stage_promise(pool);
        fs[i] = made[i].future;
    }
    shunt_future *all = shunt_when_all(fs, INPUTS);
    assert_line(dump_of(pool), "  and 1 more pending, 0 more settled");
    for (int i = 0; i < INPUTS; i++)
        if (i != 531 && i != 977)
            stage_give(made[i].promise, i);
    assert_line(dump_of(pool), "  #1001 when_all: waits for 2 inputs, first "
                               "#532 promise (input 531); age T");
    stage_give(made[531].promise, 1);
    stage_give(made[977].promise, 1);
    assert_joins(all, 0);
    harness_free(pool);
}

static int leave_behind(struct latch *const *in, long *out)
{
    shunt_future *f = shunt_submit(NULL, hold_on, in);

    *out = 0;
    return shunt_release(f);
}
SHUNT_TASK(leave_behind, struct latch *, long)

static void what_keeps_memory_and_deals_is_named_too(void)
{
    shunt_pool *pool = harness_pool(1);
    struct latch *latch = stage_latch();
    shunt_future *f = shunt_submit(pool, leave_behind, &latch);

    assert_true(latch_reaches(latch, 1));
    shunt_future *map = shunt_map(pool, stage_same, ((long[]){ 1, 2 }), 2);
    const char *text = dump_of(pool);
    assert_line(text, "  #66 keeper: waits for 1 input, first #65 hold_on "
                      "(input 0), nobody holds it; age T");
    assert_line(text, "  #65 task hold_on: runs on worker 0 for T, nobody "
                      "holds it; age T, submitted at HERE; 1 future waits for "
                      "it");
    assert_line(text, "  #2 when_all: waits for 2 inputs, first #3 stage_same "
                      "(input 0); age T");
    assert_line(text, "  #5 dealer: queued, nobody holds it; age T");
    latch_raise(latch);
    assert_takes(f, 0);
    assert_joins(map, 0);
    harness_free(pool);
}

static void what_has_settled_and_is_held_comes_last(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *fs[4] = { stage_given(pool, 1), stage_failed(pool, 7),
                            stage_cancelled(pool),
                            shunt_submit(pool, stage_same, &(long){ 1 }) };
    struct stage_promise made = stage_promise(pool);

    fs[1] = shunt_then(fs[1], stage_add_one);
    stage_asleep(pool, 1);
    const char *text = dump_of(pool);
    assert_non_null(strstr(text, "; futures: 1 pending, 5 settled and held\n"));
    assert_line(text, "  #1 promise: succeeded; made at HERE");
    assert_line(text, "  #2 promise: failed with SHUNT_EFAILED; made at HERE");
    assert_line(text,
                "  #3 promise: failed with SHUNT_ECANCELED; made at HERE");
    assert_line(text, "  #4 task stage_same: succeeded; submitted at "
                      "HERE");
    assert_line(text, "  #6 then stage_add_one: settled as another did; "
                      "attached at HERE");
    assert_true(strstr(text, "  #5 promise: not given") <
                strstr(text, "  #1 promise"));
    stage_give(made.promise, 1);
    for (int i = 0; i < 4; i++)
        (void)shunt_join(fs[i]);
    assert_takes(made.future, 1);
    harness_free(pool);
}

static int ignore_the_request(struct latch *const *in, long *out)
{
    *out = 0;
    latch_raise(in[0]);
    while (!shunt_cancelled())
        sched_yield();
    latch_raise(in[0]);
    return latch_reaches(in[0], 3) ? 0 : STAGE_LATE;
}
SHUNT_TASK(ignore_the_request, struct latch *, long, .grace_ns = -1)

static void what_was_asked_to_cancel_or_given_up_says_so(void)
{
    shunt_pool *pool = harness_pool(1);
    struct latch *latch = stage_latch();
    shunt_future *f = shunt_submit(pool, ignore_the_request, &latch);

    assert_true(latch_reaches(latch, 1));
    assert_long(shunt_cancel(f), 1);
    assert_true(latch_reaches(latch, 2));
    assert_line(dump_of(pool),
                "  #1 task ignore_the_request: runs on worker 0 for T, asked "
                "to cancel; age T, submitted at HERE");
    int rc = shunt_pool_shutdown(pool, SHUNT_KILL, 0, NULL);
    if (!harness_isolated()) {
        assert_status(rc, SHUNT_ETIMEDOUT);
        assert_line(dump_of(pool),
                    "  #1 task ignore_the_request: failed with "
                    "SHUNT_ECANCELED, given up, its code runs on; submitted "
                    "at HERE");
        latch_raise(latch);
    }
    assert_joins(f, SHUNT_ECANCELED);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_KILL, SHUNT_FOREVER, NULL));
    harness_free(pool);
}

static int ignore_it_in_grace(struct latch *const *in, long *out)
{
    return ignore_the_request(in, out);
}
SHUNT_TASK(ignore_it_in_grace, struct latch *, long, .grace_ns = SHUNT_S(600))

/* A process whose task does not heed a cancel is killed at the end of its
 * grace. */
static void what_has_its_grace_says_when_that_ends(void)
{
    shunt_pool *pool = harness_pool(1);
    struct latch *latch = stage_latch();
    shunt_future *f = shunt_submit_with(pool, ignore_it_in_grace, &latch,
                                        .deadline_ns = SHUNT_S(6000));

    assert_true(latch_reaches(latch, 1));
    assert_line(dump_of(pool),
                "  #1 task ignore_it_in_grace: runs on worker 0 for T; deadline "
                "in T; age T, submitted at HERE");
    assert_long(shunt_cancel(f), 1);
    assert_true(latch_reaches(latch, 2));
    assert_line(dump_of(pool),
                "  #1 task ignore_it_in_grace: runs on worker 0 for T, asked "
                "to cancel; given up in T; age T, submitted at HERE");
    latch_raise(latch);
    assert_takes(f, 0);
    harness_free(pool);
}

static int fail_it(const long *in, long *out)
{
    *out = *in;
    return 1;
}
SHUNT_TASK(fail_it, long, long)

static void what_waits_for_its_time_says_when_that_is(void)
{
    shunt_pool *pool = stage_manual_pool(1, -1);
    shunt_future *fs[4];

    fs[0] = shunt_delay(pool, SHUNT_S(5));
    fs[1] = shunt_delay(pool, SHUNT_FOREVER);
    fs[2] = shunt_timeout(shunt_retain(fs[1]), SHUNT_S(9));
    fs[3] = shunt_retry(pool, fail_it, &(long){ 1 }, .first_ns = SHUNT_S(60));
    /* The retry pauses: the clock stands still. */
    stage_asleep(pool, 1);
    const char *text = dump_of(pool);
    assert_line(text, "  #1 delay: waits; due in T; age T, made at HERE");
    assert_line(text, "  #2 delay: waits; age T, made at HERE; 1 future waits "
                      "for it");
    assert_line(text, "  #3 via: waits for #2 delay; deadline in T; age T, "
                      "made at HERE");
    assert_line(text, "  #4 retry fail_it: waits; age T, retried at HERE");
    for (int i = 3; i >= 0; i--) {
        assert_long(shunt_cancel(fs[i]), 1);
        assert_joins(fs[i], SHUNT_ECANCELED);
    }
    harness_free(pool);
}

static void a_scope_says_what_is_in_it(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);
    shunt_scope *scope = NULL;

    assert_ok(shunt_scope_open(&scope, pool, NULL));
    assert_line(dump_of(pool), "  #2 scope: open; age T");
    shunt_future *child = shunt_scope_submit(scope, await_it, &made.future);
    stage_asleep(pool, 1);
    assert_line(dump_of(pool), "  #2 scope: open, 1 child pending, such as #3 "
                               "await_it (child 0); age T");
    stage_give(made.promise, 1);
    assert_takes(child, 0);
    assert_ok(shunt_scope_close(scope, NULL));
    assert_takes(made.future, 1);
    harness_free(pool);
}

/* ---- outside ---- */

static void threads_outside_are_counted(void)
{
    shunt_pool *pool = NULL;
    struct stage_waiter waiters[2];
    pthread_t threads[2];

    assert_ok(shunt_pool_new(&pool,
                             &(shunt_options){ .workers = 1, .queue_max = 1 }));
    struct stage_promise made = stage_promise(pool);
    for (int i = 0; i < 2; i++) {
        waiters[i] = (struct stage_waiter){ made.future, SHUNT_FOREVER,
                                            stage_latch(), 0 };
        assert_int_equal(pthread_create(&threads[i], NULL, stage_wait_in_thread,
                                        &waiters[i]),
                         0);
    }
    /* They say when they begin to wait, not when they do. */
    while (!has_line(dump_of(pool),
                     "  #1 promise: not given; age T, made at HERE; 2 threads "
                     "wait for it"))
        sched_yield();
    assert_line(dump_of(pool),
                "  outside: 0 queued, 0 ready; threads that wait: 2 for "
                "futures, 0 for room, 0 for the end");
    stage_give(made.promise, 1);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_takes(made.future, 1);
    harness_free(pool);
}

static void *drain(void *pool)
{
    return shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL) == 0
               ? pool
               : NULL;
}

static void a_pool_that_is_shut_down_says_how_far_it_is(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_hold hold = stage_hold(pool);
    pthread_t thread;
    void *done;

    assert_non_null(strstr(dump_of(pool), "\"shunt\": open, 1 worker; "));
    assert_int_equal(pthread_create(&thread, NULL, drain, pool), 0);
    while (strstr(dump_of(pool), "\"shunt\": draining, 1 worker; ") == NULL)
        sched_yield();
    while (strstr(dump_of(pool), "0 for room, 1 for the end\n") == NULL)
        sched_yield();
    stage_let(hold);
    pthread_join(thread, &done);
    assert_ptr_equal(done, pool);
    assert_non_null(strstr(dump_of(pool), "\"shunt\": stopped, 1 worker; "));
    harness_free(pool);
}

/* ---- ages ---- */

static void ages_are_about_right(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise old = stage_promise(pool), young;
    const char *text;
    double first, second;

    assert_status(shunt_await_for(old.future, SHUNT_MS(400)), SHUNT_PENDING);
    young = stage_promise(pool);
    assert_status(shunt_await_for(young.future, SHUNT_MS(50)), SHUNT_PENDING);
    text = dump_raw(pool);
    first = strtod(strstr(text, "age ") + 4, NULL);
    text = strchr(strstr(text, "age "), '\n');
    second = strtod(strstr(text, "age ") + 4, NULL);
    /* In ms, both; a machine that was held up makes them older. */
    if (harness_slowness() == 1 && first > 300 && first < 1000) {
        assert_true(first >= 430);
        assert_true(second >= 30 && second < first - 350);
    }
    stage_give(old.promise, 1);
    stage_give(young.promise, 1);
    assert_takes(old.future, 1);
    assert_takes(young.future, 1);
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(tasks_are_queued_and_run),
    CLAIM(a_parked_task_says_what_it_waits_for),
    CLAIM(a_task_that_may_go_on_waits_for_its_worker),
    CLAIM(every_kind_has_a_name),
    CLAIM(a_task_that_returned_a_future_waits_for_that),
    CLAIM(a_combinator_names_the_first_of_its_open_inputs),
    CLAIM(what_keeps_memory_and_deals_is_named_too),
    CLAIM(what_has_settled_and_is_held_comes_last),
    CLAIM(what_was_asked_to_cancel_or_given_up_says_so),
    CLAIM_OF_PROCESSES(what_has_its_grace_says_when_that_ends),
    CLAIM(what_waits_for_its_time_says_when_that_is),
    CLAIM(a_scope_says_what_is_in_it),
    CLAIM(threads_outside_are_counted),
    CLAIM(a_pool_that_is_shut_down_says_how_far_it_is),
    CLAIM(ages_are_about_right),
};

HARNESS_MAIN(claims)
