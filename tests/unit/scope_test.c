/* SPDX-License-Identifier: MIT */
/*
 * unit/scope_test.c - what a scope takes, gives back, and leaves alone, as the
 * tables show it.
 *
 * Goal: no cell and no record is lost, old names do nothing, and a scope does
 * not count as somebody who wants its children. Method: one worker, and a look
 * at the tables between calls.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>

#include "future/scope.h"
#include "pool_of_one.h"
#include "shunt/shunt.h"

enum {
    ROUNDS = 5000,
    SCOPES = 2000
};

static int same(const long *in, long *out)
{
    *out = *in;
    return 0;
}
SHUNT_TASK(same, long, long)

static int wrong(const long *in, long *out)
{
    (void)out;
    return (int)*in;
}
SHUNT_TASK(wrong, long, long)

static atomic_bool let_go;

static int hold(const shunt_none *in, shunt_none *out)
{
    (void)in;
    (void)out;
    while (!atomic_load(&let_go))
        sched_yield();
    return 0;
}
SHUNT_TASK(hold, shunt_none, shunt_none)

static shunt_scope *open_scope(bool forget)
{
    const shunt_scope_options o = { .forget = forget, .keep_going = true };
    shunt_scope *scope = NULL;

    assert_int_equal(shunt_scope_open(&scope, name, &o), 0);
    return scope;
}

static struct sh_ref ref_of(shunt_scope *scope)
{
    struct sh_ref ref;

    assert_int_equal(sh_scope_find(scope, &ref), 0);
    return ref;
}

static uint32_t cells_in(const struct sh_ref *scope)
{
    uint32_t i = atomic_load(&scope->record->data.scoping.cells);
    uint32_t n = 0;

    for (; i != SH_NONE; i = atomic_load(&sh_cell_at(pool, i)->link))
        n++;
    return n;
}

/* Records that are not free, once whoever is about to free some has. */
static uint32_t records_in_use(void)
{
    uint32_t used, n = 1;

    for (int tries = 0; tries < 100000 && n > 0; tries++) {
        n = 0;
        used = sh_table_used(&pool->records);
        for (uint32_t i = 1; i < used; i++) {
            struct sh_record *r = sh_record_at(pool, i);

            n += sh_phase_of(atomic_load(&r->state)) != SH_FREE;
        }
        sched_yield();
    }
    return n;
}

static void a_scope_that_forgets_uses_its_cells_again(void **state)
{
    shunt_scope *scope = open_scope(true);
    struct sh_ref ref = ref_of(scope);

    (void)state;
    for (long i = 0; i < ROUNDS; i++)
        assert_int_equal(shunt_join(i % 100 == 99
                                        ? shunt_scope_submit(scope, wrong, &i)
                                        : shunt_scope_submit(scope, same, &i)),
                         i % 100 == 99 ? SHUNT_EFAILED : 0);
    /* Of the failures a cell each, and few of all others. */
    assert_in_range(cells_in(&ref), ROUNDS / 100, ROUNDS / 100 + 4);
    assert_int_equal(shunt_scope_close(scope, NULL), SHUNT_EFAILED);
    assert_int_equal(records_in_use(), 0);
}

/* Method: what is lost in each round is more in the end than threads keep. */
static void closing_gives_everything_back(void **state)
{
    (void)state;
    for (int round = 0; round < SCOPES; round++) {
        shunt_scope *scope = open_scope(round % 2 == 1);
        shunt_results all;

        for (long i = 0; i < 10; i++) {
            shunt_future *f = shunt_scope_submit(scope, same, &i);

            /* Of a scope that forgets it is ours alone. */
            if (round % 2 == 1)
                assert_int_equal(shunt_release(f), 0);
        }
        assert_int_equal(shunt_scope_close(scope, &all), 0);
        assert_int_equal(shunt_results_release(&all), 0);
    }
    assert_int_equal(records_in_use(), 0);
    assert_in_range(sh_table_used(&pool->cells), 1, SCOPES);
    assert_in_range(sh_table_used(&pool->records), 1, SCOPES);
    assert_in_range(sh_table_used(&pool->aliases), 1, SCOPES);
    assert_in_range(sh_table_used(&pool->edges), 1, SCOPES);
}

/* Two at a time: the second hangs on the task beside the first. */
static int open_many(const shunt_none *in, shunt_none *out)
{
    int rc = 0;

    (void)in;
    (void)out;
    for (int i = 0; i < SCOPES && rc == 0; i++) {
        shunt_scope *one, *two;

        rc = shunt_scope_open(&one, NULL, NULL);
        if (rc == 0)
            rc = shunt_scope_open(&two, NULL, NULL);
        if (rc == 0)
            (void)shunt_scope_submit(two, same, &(long){ i });
        if (rc == 0)
            rc = shunt_scope_close(i % 2 == 0 ? one : two, NULL);
        if (rc == 0)
            rc = shunt_scope_close(i % 2 == 0 ? two : one, NULL);
    }
    return rc;
}
SHUNT_TASK(open_many, shunt_none, shunt_none)

static void a_task_that_opens_many_scopes_takes_no_more_memory(void **state)
{
    (void)state;
    assert_int_equal(shunt_join(shunt_submit(name, open_many, NULL)), 0);
    assert_int_equal(records_in_use(), 0);
    assert_in_range(sh_table_used(&pool->records), 1, SCOPES);
    assert_in_range(sh_table_used(&pool->edges), 1, SCOPES);
}

static void a_scope_does_not_count_as_a_handle_of_its_child(void **state)
{
    shunt_scope *scope = open_scope(false);
    shunt_future *held = shunt_submit(name, hold, NULL);
    shunt_future *f = shunt_scope_submit(scope, same, &(long){ 1 });
    shunt_future *more;
    struct sh_ref ref;

    (void)state;
    assert_int_equal(sh_handle_find(sh_handle_of(f), SH_OWN, &ref), 0);
    assert_true(sh_handle_is_sole(&ref));
    assert_false(sh_edge_any(pool, ref.record));
    atomic_store(&let_go, true);
    assert_int_equal(shunt_join(held), 0);
    assert_int_equal(shunt_await(f), 0);
    more = shunt_retain(f);
    assert_int_equal(sh_handle_find(sh_handle_of(f), SH_OWN, &ref), 0);
    assert_false(sh_handle_is_sole(&ref));
    assert_int_equal(shunt_release(f), 0);
    assert_int_equal(sh_handle_find(sh_handle_of(more), SH_OWN, &ref), 0);
    assert_true(sh_handle_is_sole(&ref));
    assert_int_equal(shunt_release(more), 0);
    /* And yet it keeps it. Whoever settles it may be at that still. */
    while (sh_phase_of(atomic_load(&ref.record->state)) == SH_COMPLETE)
        sched_yield();
    assert_int_equal(sh_phase_of(atomic_load(&ref.record->state)), SH_DONE);
    assert_int_equal(shunt_scope_close(scope, NULL), 0);
    assert_int_equal(records_in_use(), 0);
}

/* The record of the first is that of the second in its next use. */
static void the_name_of_a_former_scope_is_not_that_of_the_next(void **state)
{
    shunt_scope *first = NULL, *second;
    uint32_t index = 0;

    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        second = open_scope(false);
        if (first != NULL && sh_index_of(pool, ref_of(second).record) == index)
            break;
        if (first == NULL) {
            first = second;
            index = sh_index_of(pool, ref_of(first).record);
        }
        assert_int_equal(shunt_scope_close(second, NULL), 0);
    }
    assert_int_equal(sh_index_of(pool, ref_of(second).record), index);
    assert_ptr_not_equal(first, second);
    assert_int_equal(shunt_scope_cancel(first), SHUNT_EINVAL);
    assert_int_equal(shunt_scope_close(first, NULL), SHUNT_EINVAL);
    assert_int_equal(shunt_join(shunt_scope_submit(first, same, &(long){ 1 })),
                     SHUNT_EINVAL);
    assert_int_equal(shunt_scope_close(second, NULL), 0);
}

/* A target of a child that has been forgotten, and whose cell is another's. */
static void a_child_that_is_delivered_twice_leaves_once(void **state)
{
    shunt_scope *scope = open_scope(true);
    struct sh_ref ref = ref_of(scope);
    struct sh_work work = { 0 };
    uint64_t target, before;
    uint32_t cell;

    (void)state;
    assert_int_equal(shunt_join(shunt_scope_submit(scope, same, &(long){ 1 })),
                     0);
    /* Whoever settled it may not have left yet. */
    do {
        before = atomic_load(&ref.record->hold);
    } while ((before & SH_SCOPE_COUNT) != 0);
    cell = atomic_load(&ref.record->data.scoping.cells);
    target = sh_target(
        SH_TARGET_CELL, cell, SH_BIT_CHILD,
        (uint32_t)(atomic_load(&sh_cell_at(pool, cell)->word) >> 32) - 1);
    sh_deliver_to(&work, pool, target, 0);
    assert_true(atomic_load(&ref.record->hold) == before);
    assert_int_equal(shunt_join(shunt_scope_submit(scope, same, &(long){ 2 })),
                     0);
    sh_deliver_to(&work, pool, target, SHUNT_EFAILED);
    assert_int_equal(shunt_scope_close(scope, NULL), 0);
    sh_deliver_to(&work, pool, target, SHUNT_EFAILED);
    assert_null(work.settling);
    assert_int_equal(records_in_use(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scope_that_forgets_uses_its_cells_again),
        cmocka_unit_test(closing_gives_everything_back),
        cmocka_unit_test(a_task_that_opens_many_scopes_takes_no_more_memory),
        cmocka_unit_test(a_scope_does_not_count_as_a_handle_of_its_child),
        cmocka_unit_test(the_name_of_a_former_scope_is_not_that_of_the_next),
        cmocka_unit_test(a_child_that_is_delivered_twice_leaves_once),
    };
    return cmocka_run_group_tests(tests, pool_make, pool_free);
}
