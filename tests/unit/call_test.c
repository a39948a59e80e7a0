/* SPDX-License-Identifier: MIT */
/*
 * unit/call_test.c - a function of the host that hangs on a future is called
 * once when that settles, unless it was taken off; never both, never neither.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>

#include "future/call.h"
#include "pool_of_one.h"
#include "shunt/shunt.h"

enum {
    ROUNDS = 5000,
    MANY = 40
};

struct counter {
    struct sh_call call;
    int calls; /* plain: whoever may not call must not race with it */
};

static void count(struct sh_call *call)
{
    ((struct counter *)call)->calls++;
}

static struct counter new_counter(void)
{
    return (struct counter){ .call = { count } };
}

struct hub {
    shunt_promise *promise;
    shunt_future *future;
    struct sh_ref ref;
};

static struct hub new_hub(void)
{
    struct hub hub;

    assert_int_equal(shunt_promise_new(name, long, &hub.promise, &hub.future),
                     0);
    assert_int_equal(sh_handle_find(sh_handle_of(hub.future), SH_OWN, &hub.ref),
                     0);
    return hub;
}

static void settle(struct hub *hub)
{
    assert_int_equal(shunt_promise_give(hub->promise, &(long){ 1 }), 0);
}

static struct sh_hung hang(const struct hub *hub, struct counter *c,
                           enum sh_attached expected)
{
    struct sh_hung hung = { sh_call_build(&hub->ref, &c->call), 0 };

    assert_true(hung.target != 0);
    assert_int_equal(sh_call_hang(&hub->ref, &hung), expected);
    return hung;
}

static void settling_calls_everyone_once(void **state)
{
    struct counter c[MANY];
    struct hub hub = new_hub();

    (void)state;
    for (int i = 0; i < MANY; i++) {
        c[i] = new_counter();
        (void)hang(&hub, &c[i], SH_ATTACHED);
    }
    for (int i = 0; i < MANY; i++)
        assert_int_equal(c[i].calls, 0);
    settle(&hub);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(c[i].calls, 1);
    assert_int_equal(shunt_release(hub.future), 0);
}

static void what_was_taken_off_is_not_called(void **state)
{
    struct counter c[MANY];
    struct sh_hung hung[MANY];
    struct hub hub = new_hub();

    (void)state;
    for (int i = 0; i < MANY; i++) {
        c[i] = new_counter();
        hung[i] = hang(&hub, &c[i], SH_ATTACHED);
    }
    for (int i = 0; i < MANY; i += 3)
        assert_true(sh_call_unhang(&hub.ref, &hung[i]));
    for (int i = 0; i < MANY; i += 3)
        assert_false(sh_call_unhang(&hub.ref, &hung[i]));
    settle(&hub);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(c[i].calls, i % 3 != 0);
        assert_false(sh_call_unhang(&hub.ref, &hung[i]));
    }
    assert_int_equal(shunt_release(hub.future), 0);
}

static void a_settled_future_calls_nobody(void **state)
{
    struct counter c = new_counter();
    struct hub hub = new_hub();

    (void)state;
    settle(&hub);
    (void)hang(&hub, &c, SH_ATTACH_SETTLED);
    assert_int_equal(c.calls, 0);
    assert_int_equal(shunt_release(hub.future), 0);
}

/* Method: a cell that is lost each time would use the table up. */
static void cells_are_given_back_whatever_happens(void **state)
{
    uint32_t before = 0;

    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        struct counter c = new_counter();
        struct hub hub = new_hub();
        struct sh_hung hung;

        if (i % 4 == 0)
            settle(&hub);
        if (i % 4 == 1) {
            sh_call_scrap(pool, sh_call_build(&hub.ref, &c.call));
        } else {
            hung = hang(&hub, &c, i % 4 == 0 ? SH_ATTACH_SETTLED : SH_ATTACHED);
            if (i % 4 == 2)
                assert_true(sh_call_unhang(&hub.ref, &hung));
        }
        if (i % 4 != 0)
            settle(&hub);
        assert_int_equal(shunt_release(hub.future), 0);
        if (i == 1000)
            before = sh_table_used(&pool->cells);
    }
    assert_int_equal(sh_table_used(&pool->cells), before);
}

/* The same of a queue: some of these are lent already when it fails. */
static void a_queue_that_refuses_gives_its_cells_back(void **state)
{
    shunt_queue *queue;
    uint32_t before = 0;

    (void)state;
    assert_int_equal(shunt_queue_new(&queue), 0);
    for (int i = 0; i < ROUNDS; i++) {
        struct hub a = new_hub(), b = new_hub();
        shunt_future *twice[] = { a.future, b.future, a.future, NULL };

        assert_int_equal(shunt_queue_add_all(queue, twice, 3 + (size_t)i % 2),
                         SHUNT_EINVAL);
        settle(&a);
        settle(&b);
        assert_int_equal(shunt_release(a.future), 0);
        assert_int_equal(shunt_release(b.future), 0);
        if (i == 1000)
            before = sh_table_used(&pool->cells);
    }
    assert_int_equal(sh_table_used(&pool->cells), before);
    assert_int_equal(shunt_queue_free(queue), 0);
}

static struct hub shared;
static pthread_barrier_t both;

static void *settle_rounds(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        pthread_barrier_wait(&both);
        (void)shunt_promise_give(shared.promise, &(long){ 1 });
        pthread_barrier_wait(&both);
    }
    return NULL;
}

/* Goal: taking off and settling exclude each other. Method: whoever takes it
 * off writes the plain counter as well. */
static void taking_off_beside_settling_has_one_winner(void **state)
{
    pthread_t thread;

    (void)state;
    pthread_barrier_init(&both, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, settle_rounds, NULL), 0);
    for (int i = 0; i < ROUNDS; i++) {
        struct counter c = new_counter();
        struct sh_hung hung;
        bool ours;

        shared = new_hub();
        hung = hang(&shared, &c, SH_ATTACHED);
        pthread_barrier_wait(&both);
        for (volatile int spin = 0; spin < i % 50; spin++)
            continue;
        ours = sh_call_unhang(&shared.ref, &hung);
        if (ours)
            c.calls += 10;
        pthread_barrier_wait(&both);
        assert_int_equal(c.calls, ours ? 10 : 1);
        assert_int_equal(shunt_release(shared.future), 0);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    pthread_barrier_destroy(&both);
}

int main(void)
{
#define CALL_TEST(test) \
    cmocka_unit_test_setup_teardown(test, pool_make, pool_free)
    const struct CMUnitTest tests[] = {
        CALL_TEST(settling_calls_everyone_once),
        CALL_TEST(what_was_taken_off_is_not_called),
        CALL_TEST(a_settled_future_calls_nobody),
        CALL_TEST(cells_are_given_back_whatever_happens),
        CALL_TEST(a_queue_that_refuses_gives_its_cells_back),
        CALL_TEST(taking_off_beside_settling_has_one_winner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
