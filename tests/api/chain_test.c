/* SPDX-License-Identifier: MIT */
/*
 * chain_test.c - chains of a hundred thousand links: built, settled, failed,
 * cancelled and let go of in a stack that does not grow with them.
 *
 * Method. Whatever the library does about a link it does on some stack: the
 * thread that settles the head runs on the smallest stack that a thread may
 * have, and the pool's tasks on 16 KiB each. Recursion over the links would
 * need megabytes, and run over the guard.
 */
#include <limits.h>
#include <pthread.h>
#include <string.h>

#include "stage.h"

enum {
    LINKS = 100000,
    NESTED = 10000
};

static long links(void)
{
    return LINKS / (long)harness_slowness();
}

/* Room for the frames of sanitizers beside the smallest stack. */
static size_t small_stack(void)
{
    size_t least = (size_t)PTHREAD_STACK_MIN;

    return harness_slowness() > 1 ? least + (256 << 10) : least + (48 << 10);
}

static shunt_pool *small_pool(void)
{
    shunt_pool *pool = NULL;
    size_t bytes = harness_slowness() > 1 ? 0 : 16 << 10;

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = 1, .stack_bytes = bytes }));
    harness_footprint((size_t)LINKS * 1024);
    return pool;
}

/* ---- something done on a small stack ---- */

struct deed {
    shunt_promise *promise;
    shunt_future *future;
    int (*act)(struct deed *deed);
    int rc;
};

static int give_it(struct deed *deed)
{
    return shunt_promise_give(deed->promise, &(long){ 0 });
}

static int fail_it(struct deed *deed)
{
    return shunt_promise_fail(deed->promise, 55, "at the head");
}

static int cancel_it(struct deed *deed)
{
    return shunt_cancel(deed->future);
}

static int release_it(struct deed *deed)
{
    return shunt_release(deed->future);
}

static void *act_in_thread(void *user)
{
    struct deed *deed = user;

    deed->rc = deed->act(deed);
    return NULL;
}

static int on_small_stack(int (*act)(struct deed *deed), shunt_promise *promise,
                          shunt_future *future)
{
    struct deed deed = { promise, future, act, -1 };
    pthread_attr_t attributes;
    pthread_t thread;

    pthread_attr_init(&attributes);
    assert_int_equal(pthread_attr_setstacksize(&attributes, small_stack()), 0);
    assert_int_equal(pthread_create(&thread, &attributes, act_in_thread, &deed),
                     0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    return deed.rc;
}

/* ---- chains of then ---- */

static shunt_future *chain_of(shunt_future *f)
{
    for (long i = links(); i > 0; i--)
        f = shunt_then(f, stage_add_one);
    return f;
}

static void a_long_chain_of_then_runs_when_its_head_is_given(void)
{
    shunt_pool *pool = small_pool();
    struct stage_promise head = stage_promise(pool);
    shunt_future *tail = chain_of(head.future);

    assert_status(shunt_status(tail), SHUNT_PENDING);
    assert_ok(on_small_stack(give_it, head.promise, NULL));
    assert_takes(tail, links());
    harness_free(pool);
}

static void a_long_chain_may_be_built_while_it_runs(void)
{
    shunt_pool *pool = small_pool();

    assert_takes(chain_of(stage_given(pool, 0)), links());
    assert_takes(chain_of(shunt_submit(pool, stage_same, &(long){ 0 })),
                 links());
    harness_free(pool);
}

static void a_failure_passes_through_a_long_chain(void)
{
    shunt_pool *pool = small_pool();
    struct stage_promise head = stage_promise(pool);
    shunt_future *tail = chain_of(head.future);

    assert_ok(on_small_stack(fail_it, head.promise, NULL));
    assert_fails_with(tail, 55);
    assert_non_null(strstr(shunt_error_of(tail)->message, "at the head"));
    assert_ok(shunt_release(tail));
    harness_free(pool);
}

static void cancelling_the_tail_of_a_long_chain_reaches_its_head(void)
{
    shunt_pool *pool = small_pool();
    struct stage_promise head = stage_promise(pool);
    shunt_future *tail = chain_of(head.future);

    assert_long(on_small_stack(cancel_it, NULL, tail), 1);
    assert_joins(tail, SHUNT_ECANCELED);
    /* The head had no other handle, so it was asked in turn, and nobody
     * listens to that: the promise is void. */
    assert_status(shunt_promise_give(head.promise, &(long){ 1 }),
                  SHUNT_ECANCELED);
    harness_free(pool);
}

static void a_long_chain_that_nobody_holds_still_runs(void)
{
    shunt_pool *pool = small_pool();
    struct stage_promise head = stage_promise(pool);
    shunt_future *tail = chain_of(head.future);
    shunt_future *watch = shunt_then(shunt_retain(tail), stage_same);

    assert_ok(on_small_stack(release_it, NULL, tail));
    stage_give(head.promise, 0);
    assert_takes(watch, links());
    harness_free(pool);
}

/* ---- chains that keep their predecessors ---- */

static int keep(const long *in, long *out)
{
    *out = *in + 1;
    return 0;
}
SHUNT_TASK(keep, long, long, .inherits = true)

static void a_long_chain_of_inheriting_steps_is_released_at_once(void)
{
    shunt_pool *pool = small_pool();
    shunt_future *f = stage_given(pool, 0);

    for (long i = links(); i > 0; i--)
        f = shunt_then(f, keep);
    assert_settles(f, 0);
    assert_long(*shunt_peek(f, long), links());
    assert_ok(on_small_stack(release_it, NULL, f));
    assert_stale(f);
    harness_free(pool);
}

/* ---- chains of recover and finally ---- */

static void long_chains_of_recover_and_finally_pass_a_value_through(void)
{
    shunt_pool *pool = small_pool();
    struct stage_promise head = stage_promise(pool);
    shunt_future *f = head.future;

    for (long i = links() / 2; i > 0; i--) {
        f = shunt_recover(f, stage_task_code);
        f = shunt_finally(f, stage_look_on);
    }
    assert_ok(on_small_stack(fail_it, head.promise, NULL));
    assert_takes(f, 55);
    harness_free(pool);
}

static void a_long_chain_of_recover_runs_once_for_one_failure(void)
{
    shunt_pool *pool = small_pool();
    struct stage_promise head = stage_promise(pool);
    shunt_future *f = head.future;

    for (long i = links(); i > 0; i--)
        f = shunt_recover(f, stage_task_code);
    assert_ok(on_small_stack(give_it, head.promise, NULL));
    assert_takes(f, 0);
    harness_free(pool);
}

/* ---- nested combinators and futures of futures ---- */

static stage_combine *const combinators[] = { shunt_when_all,
                                              shunt_when_all_settled,
                                              shunt_when_any, shunt_race,
                                              stage_some_one };
enum {
    COMBINATORS = sizeof combinators / sizeof combinators[0]
};

static shunt_future *nest(shunt_future *f, stage_combine *how)
{
    for (long i = NESTED / (long)harness_slowness(); i > 0; i--)
        f = how(&f, 1);
    return f;
}

static void deeply_nested_combinators_settle_in_bounded_stack(void)
{
    shunt_pool *pool = small_pool();

    for (int i = 0; i < COMBINATORS; i++) {
        struct stage_promise head = stage_promise(pool);
        shunt_future *f = nest(head.future, combinators[i]);

        assert_status(shunt_status(f), SHUNT_PENDING);
        assert_ok(on_small_stack(give_it, head.promise, NULL));
        assert_settles(f, 0);
        assert_ok(on_small_stack(release_it, NULL, f));
    }
    harness_free(pool);
}

static void deeply_nested_combinators_fail_and_are_cancelled_likewise(void)
{
    shunt_pool *pool = small_pool();

    for (int i = 0; i < COMBINATORS; i++) {
        struct stage_promise head = stage_promise(pool);
        shunt_future *f = nest(head.future, combinators[i]);

        assert_ok(on_small_stack(fail_it, head.promise, NULL));
        assert_joins(
            f, combinators[i] == shunt_when_all_settled ? 0 : SHUNT_EFAILED);
        head = stage_promise(pool);
        f = nest(head.future, combinators[i]);
        assert_long(on_small_stack(cancel_it, NULL, f), 1);
        assert_joins(f, SHUNT_ECANCELED);
        assert_status(shunt_promise_give(head.promise, &(long){ 1 }),
                      SHUNT_ECANCELED);
    }
    harness_free(pool);
}

struct count_down {
    long left;
    shunt_future *end;
    struct latch *reached;
};

static int count_down(const struct count_down *in, shunt_future **out);
SHUNT_TASK(count_down, struct count_down, shunt_future *)

static int count_down(const struct count_down *in, shunt_future **out)
{
    struct count_down next = { in->left - 1, in->end, in->reached };

    if (in->left == 0)
        latch_raise(in->reached);
    *out = in->left > 0 ? shunt_submit(NULL, count_down, &next) : in->end;
    return 0;
}

/* Method: every task returns the future of the next; the last returns that of
 * a promise, so that all of them wait when it is kept. */
static void futures_of_futures_are_flattened_to_any_depth(void)
{
    shunt_pool *pool = small_pool();
    struct stage_promise head = stage_promise(pool);
    struct count_down first = { links(), head.future, stage_latch() };

    shunt_future *f = shunt_submit(pool, count_down, &first);
    assert_true(latch_reaches(first.reached, 1));
    assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
    assert_ok(on_small_stack(give_it, head.promise, NULL));
    assert_takes(f, 0);
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_long_chain_of_then_runs_when_its_head_is_given),
    CLAIM(a_long_chain_may_be_built_while_it_runs),
    CLAIM(a_failure_passes_through_a_long_chain),
    CLAIM(cancelling_the_tail_of_a_long_chain_reaches_its_head),
    CLAIM(a_long_chain_that_nobody_holds_still_runs),
    CLAIM(a_long_chain_of_inheriting_steps_is_released_at_once),
    CLAIM(long_chains_of_recover_and_finally_pass_a_value_through),
    CLAIM(a_long_chain_of_recover_runs_once_for_one_failure),
    CLAIM(deeply_nested_combinators_settle_in_bounded_stack),
    CLAIM(deeply_nested_combinators_fail_and_are_cancelled_likewise),
    CLAIM(futures_of_futures_are_flattened_to_any_depth),
};

HARNESS_MAIN(claims)
