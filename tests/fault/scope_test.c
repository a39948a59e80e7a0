/* SPDX-License-Identifier: MIT */
/*
 * fault/scope_test.c - scopes with every request for memory refused in turn:
 * what is accepted is waited for, and what cannot be waited for now can be
 * waited for later.
 */
#include "fault_each.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "base/fault.h"

enum {
    CHILDREN = 5,
    TEXT = 40
};

/* What one telling has to do with scopes. */
static struct {
    shunt_scope *scope; /* one that could not be closed */
    shunt_results all;
    atomic_int accepted;
    bool results, forget;
    int rc; /* of the children, if memory suffices */
} telling;

struct large {
    struct stage *stage;
    int rc;
    char bytes[100];
};

static void count_drop(void *in)
{
    struct large *large = in;

    atomic_fetch_add(&large->stage->drops, 1);
}

static int child(const struct large *in, long *out)
{
    atomic_fetch_add(&in->stage->runs, 1);
    for (int i = 0; i < TEXT; i++)
        sched_yield();
    *out = 7;
    return in->rc == 0 ? 0 : shunt_fail(in->rc, "it has a text");
}
SHUNT_TASK(child, struct large, long, .drop = count_drop)

/* 0, or SHUNT_ENOMEM of what was refused. */
static int submit_children(struct stage *s, shunt_scope *scope)
{
    int refused = 0;

    for (int i = 0; i < CHILDREN; i++) {
        const struct large in = { s, i == 3 && telling.rc != 0 ? 5 : 0, "" };
        shunt_future *f = shunt_scope_submit(scope, child, &in);

        if (shunt_status(f) == SHUNT_ENOMEM &&
            shunt_error_of(f)->task[0] == '\0')
            refused = SHUNT_ENOMEM;
        else
            atomic_fetch_add(&telling.accepted, 1);
    }
    return refused;
}

/* Open, fill and close a scope: 0 or SHUNT_ENOMEM, or telling.rc. What is left
 * open is closed by whoever checks. */
static int use_scope(struct stage *s, shunt_pool *pool)
{
    const shunt_scope_options o = { .forget = telling.forget,
                                    .keep_going = true };
    shunt_scope *scope;
    int refused = 0, rc = shunt_scope_open(&scope, pool, &o);

    if (rc != 0)
        return rc;
    refused = submit_children(s, scope);
    rc = shunt_scope_close(scope, telling.results ? &telling.all : NULL);
    if (rc == SHUNT_ENOMEM)
        telling.scope = scope;
    return rc == 0 ? refused : rc;
}

/* ---- outside ---- */

static void act_outside(struct stage *s)
{
    telling.scope = NULL;
    telling.all = (shunt_results){ .count = 0 };
    atomic_store(&telling.accepted, 0);
    s->rc = use_scope(s, s->pool);
}

static void check(struct stage *s)
{
    size_t count = telling.all.count;

    /* It was not closed, or its children had no memory. */
    if (telling.scope != NULL) {
        int rc = shunt_scope_close(telling.scope, &telling.all);

        if (rc != telling.rc && rc != SHUNT_EINVAL)
            (void)fault_worked(s, rc);
        assert_true(count == 0);
        count = telling.all.count;
    }
    if (s->rc != telling.rc)
        (void)fault_worked(s, s->rc);
    /* Each has settled, whether it ran or not. */
    assert_int_equal(atomic_load(&s->drops), atomic_load(&telling.accepted));
    if (!telling.forget && count > 0)
        assert_int_equal(count, atomic_load(&telling.accepted));
    for (size_t i = 0; i < count; i++)
        assert_int_not_equal(shunt_status(telling.all.futures[i]),
                             SHUNT_PENDING);
    assert_int_equal(shunt_results_release(&telling.all), 0);
}

static void tell_outside(const char *name, bool results, bool forget, int rc)
{
    const struct story story = { name, NULL, act_outside, check, CHILDREN,
                                 NULL };

    telling.results = results;
    telling.forget = forget;
    telling.rc = rc;
    fault_each(&story);
}

/* ---- inside ---- */

struct play {
    struct stage *stage;
    int (*inside)(struct stage *);
};

static int play(const struct play *in, shunt_none *out)
{
    (void)out;
    in->stage->rc = in->inside(in->stage);
    return in->stage->rc;
}
SHUNT_TASK(play, struct play, shunt_none)

static int (*current)(struct stage *);

static void act_inside(struct stage *s)
{
    const struct play in = { s, current };

    telling.scope = NULL;
    telling.all = (shunt_results){ .count = 0 };
    atomic_store(&telling.accepted, 0);
    s->out = shunt_submit(s->pool, play, &in);
    fault_stay(s->out);
}

/* What a task left open its end has cancelled; results have gone with it. */
static void check_inside(struct stage *s)
{
    int status = fault_await(s->out);

    if (status != SHUNT_EFAILED)
        (void)fault_worked(s, status);
    else if (s->rc != telling.rc)
        (void)fault_worked(s, s->rc);
    assert_int_equal(shunt_release(s->out), 0);
}

static int own_pool(struct stage *s)
{
    return use_scope(s, NULL);
}

static int other_pool(struct stage *s)
{
    return use_scope(s, s->other);
}

/* Close what another opened. */
static int opened_outside(struct stage *s)
{
    shunt_scope *scope = s->block;
    int refused = submit_children(s, scope);
    int rc = shunt_scope_close(scope, NULL);

    if (rc == SHUNT_ENOMEM)
        telling.scope = scope;
    return rc == 0 ? refused : rc;
}

/* Two: the second hangs on the task beside the first. */
static int leave_open(struct stage *s)
{
    shunt_scope *scopes[2];
    int rc = 0;

    for (int i = 0; i < 2 && rc == 0; i++)
        rc = shunt_scope_open(&scopes[i], NULL, NULL);
    return rc != 0 ? rc : submit_children(s, scopes[1]);
}

static int nested(const struct play *in, int *out)
{
    *out = use_scope(in->stage, NULL);
    return 0;
}
SHUNT_TASK(nested, struct play, int)

static int in_a_member(struct stage *s)
{
    shunt_scope *scope;
    int of_member = 0, rc = shunt_scope_open(&scope, NULL, NULL);

    if (rc != 0)
        return rc;
    rc = shunt_take(
        shunt_scope_submit(scope, nested, &(struct play){ s, NULL }),
        &of_member);
    /* A close that fails leaves it to the end of the task. */
    (void)shunt_scope_close(scope, NULL);
    return rc != 0 ? rc : of_member;
}

static void prepare_opened(struct stage *s)
{
    shunt_scope *scope = NULL;

    assert_int_equal(shunt_scope_open(&scope, s->pool,
                                      &(shunt_scope_options){
                                          .keep_going = true }),
                     0);
    s->block = scope;
}

static void check_opened(struct stage *s)
{
    check_inside(s);
    /* Nobody has, or has been able to. */
    (void)shunt_scope_close(s->block, NULL);
    assert_int_equal(shunt_scope_close(s->block, NULL), SHUNT_EINVAL);
    assert_int_equal(atomic_load(&s->drops), atomic_load(&telling.accepted));
}

static void tell_inside(const char *name, int (*inside)(struct stage *), int rc)
{
    const struct story story = { name,         NULL,     act_inside,
                                 check_inside, CHILDREN, NULL };

    current = inside;
    telling.results = inside != leave_open;
    telling.forget = false;
    telling.rc = rc;
    fault_each(&story);
}

/* ---- two that close ---- */

static struct {
    shunt_scope *scope;
    shunt_results all;
    atomic_int may_end, refused, may_return;
    int rc; /* of the first */
} both;

static void wait_for(atomic_int *flag)
{
    while (atomic_load(flag) == 0)
        sched_yield();
}

static int member(const int *waits, shunt_none *out)
{
    (void)out;
    if (*waits != 0)
        wait_for(&both.may_end);
    return 0;
}
SHUNT_TASK(member, int, shunt_none)

static int close_too(const shunt_none *in, int *out)
{
    (void)in;
    *out = shunt_scope_close(both.scope, NULL);
    atomic_store(&both.refused, 1);
    wait_for(&both.may_return);
    return 0;
}
SHUNT_TASK(close_too, shunt_none, int)

static void *close_first(void *arg)
{
    (void)arg;
    both.rc = shunt_scope_close(both.scope, &both.all);
    return NULL;
}

/* Nobody comes into a scope that is being closed. */
static bool is_being_closed(void)
{
    return shunt_status(shunt_scope_submit(both.scope, member, &(int){ 0 })) ==
           SHUNT_ECLOSED;
}

/* Goal: its end would have ended a scope that another is to close. */
static void who_may_not_close_a_scope_has_nothing_to_do_with_it(void **state)
{
    shunt_future *f;
    shunt_pool *pool;
    pthread_t first;
    int rc = 0;

    (void)state;
    assert_int_equal(shunt_pool_new(&pool, &(shunt_options){ .workers = 2 }),
                     0);
    assert_int_equal(shunt_scope_open(&both.scope, pool, NULL), 0);
    (void)shunt_scope_submit(both.scope, member, &(int){ 1 });
    assert_int_equal(pthread_create(&first, NULL, close_first, NULL), 0);
    while (!is_being_closed())
        sched_yield();
    f = shunt_submit(pool, close_too, NULL);
    wait_for(&both.refused);
    sh_fault_set_from(1);
    atomic_store(&both.may_end, 1);
    assert_int_equal(pthread_join(first, NULL), 0);
    sh_fault_clear();
    assert_int_equal(both.rc, SHUNT_ENOMEM);
    atomic_store(&both.may_return, 1);
    assert_int_equal(shunt_take(f, &rc), 0);
    assert_int_equal(rc, SHUNT_EINVAL);
    assert_int_equal(shunt_scope_close(both.scope, &both.all), 0);
    assert_int_equal(shunt_results_release(&both.all), 0);
    assert_int_equal(shunt_pool_free(pool), 0);
}

/* ---- the claims ---- */

static void a_scope_works_or_says_that_memory_is_out(void **state)
{
    (void)state;
    tell_outside("scope", false, false, 0);
    tell_outside("scope with failures", false, false, SHUNT_EFAILED);
    tell_outside("scope with results", true, false, 0);
    tell_outside("scope with results and failures", true, false,
                 SHUNT_EFAILED);
    tell_outside("scope that forgets", true, true, 0);
    tell_outside("scope that forgets, with failures", true, true,
                 SHUNT_EFAILED);
}

static void a_scope_in_a_task_works_or_goes_with_the_task(void **state)
{
    static const struct story opened = { "scope of another",
                                         prepare_opened,
                                         act_inside,
                                         check_opened,
                                         CHILDREN,
                                         NULL };

    (void)state;
    tell_inside("scope in a task", own_pool, 0);
    tell_inside("scope in a task, with failures", own_pool, SHUNT_EFAILED);
    tell_inside("scope of another pool", other_pool, 0);
    tell_inside("scope left open", leave_open, 0);
    tell_inside("scope in a member", in_a_member, 0);
    current = opened_outside;
    fault_each(&opened);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scope_works_or_says_that_memory_is_out),
        cmocka_unit_test(a_scope_in_a_task_works_or_goes_with_the_task),
        cmocka_unit_test(
            who_may_not_close_a_scope_has_nothing_to_do_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
