/* SPDX-License-Identifier: MIT */
/*
 * unit/handle_test.c - handles: found, lent, given back once, and found out
 * when they are stale, however often their record was used again.
 *
 * The generation of a record is written here as if it had been used billions
 * of times.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>

#include "base/self.h"
#include "pool_of_one.h"
#include "shunt/shunt.h"
#include "slow.h"
#include "task/handle.h"

enum {
    ROUNDS = 4000,
    POOLS = 4095
};

/* A future that has succeeded, without a task. */
static shunt_future *settled(void)
{
    shunt_promise *promise;
    shunt_future *f;
    long value = 5;

    assert_int_equal(shunt_promise_new(name, long, &promise, &f), 0);
    assert_int_equal(shunt_promise_give(promise, &value), 0);
    return f;
}

/* Give the free record that will be used next, of a fresh pool the first one,
 * a generation. */
static void set_generation(uint32_t index, uint32_t generation)
{
    struct sh_record *r = sh_record_at(pool, index);

    assert_int_equal(sh_phase_of(atomic_load(&r->state)), SH_FREE);
    atomic_store(&r->state, (uint64_t)generation << 32 | SH_FREE);
}

static struct sh_ref look_up(shunt_future *f, enum sh_handle_use use,
                             int expected)
{
    struct sh_ref ref;

    assert_int_equal(sh_handle_find(sh_handle_of(f), use, &ref), expected);
    return ref;
}

static void a_handle_names_its_record_until_it_is_given_back(void **state)
{
    shunt_future *f = settled();
    struct sh_ref ref = look_up(f, SH_OWN, 0);

    (void)state;
    assert_int_equal(sh_index_of(pool, ref.record),
                     sh_handle_index(sh_handle_of(f)));
    assert_true(sh_handle_is_sole(&ref));
    assert_int_equal(shunt_release(f), 0);
    (void)look_up(f, SH_LOOK, SHUNT_EINVAL);
    assert_int_equal(sh_phase_of(atomic_load(&ref.record->state)), SH_FREE);
}

static void what_never_was_a_handle_is_none(void **state)
{
    unsigned id = pool->id;
    const uint64_t bad[] = {
        0,
        1,
        UINT64_MAX,
        sh_handle_make(id, 0, 1),
        sh_handle_make(id, 1, 1),
        sh_handle_make(id, SH_INDEX_MAX - 1, 1),
        sh_handle_make(id, SH_ALIAS_BIT, 0),
        sh_handle_make(id, SH_ALIAS_BIT | 1, 0),
        sh_handle_make(id == 77 ? 78 : 77, 1, 1),
        sh_handle_make(id, SH_HANDLE_RESERVED, 0),
        sh_handle_make(id, SH_HANDLE_RESERVED, 13),
        sh_handle_make(id, SH_HANDLE_RESERVED, 63),
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        (void)look_up(sh_handle_future(bad[i]), SH_LOOK, SHUNT_EINVAL);
}

static void reserved_handles_say_their_code(void **state)
{
    (void)state;
    for (int code = SHUNT_EFAILED; code >= SHUNT_EBROKEN; code--) {
        shunt_future *f = sh_handle_failed(pool->id, code);

        assert_int_equal(shunt_status(f), code);
        assert_int_equal(shunt_error_of(f)->code, code);
        assert_int_equal(shunt_release(f), 0);
        assert_int_equal(shunt_release(f), 0);
    }
    assert_int_equal(shunt_status(sh_handle_empty(0)), 0);
}

static void a_lent_handle_can_be_looked_at_but_not_given(void **state)
{
    shunt_future *f = settled(), *lent;
    struct sh_ref ref = look_up(f, SH_OWN, 0);

    (void)state;
    assert_true(sh_handle_lend(&ref, 0));
    lent = sh_handle_future(ref.handle);
    assert_true(lent != f);
    (void)look_up(f, SH_LOOK, SHUNT_EINVAL); /* the old name is gone */
    (void)look_up(lent, SH_OWN, SHUNT_EINVAL);
    (void)look_up(lent, SH_LOOK, 0);
    assert_int_equal(shunt_status(lent), 0);
    assert_int_equal(shunt_release(lent), SHUNT_EINVAL);
    assert_int_equal(sh_handle_give(&ref), SH_GIVEN_LAST);
    /* We are the one to see it off: hand it on as release does. */
    atomic_store(&ref.record->state,
                 (uint64_t)(sh_generation_of(ref.word) + 1) << 32 | SH_FREE);
}

/* Goal: a primary handle and an alias alike, pending and settled. */
static void a_lent_handle_may_become_its_users_again_by_its_name(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        shunt_promise *promise;
        shunt_future *f, *alias = NULL, *lent;
        long value = 5;
        struct sh_ref ref;

        assert_int_equal(shunt_promise_new(name, long, &promise, &f), 0);
        if (i % 2 == 1) {
            alias = f;
            f = shunt_retain(f);
        }
        if (i >= 2)
            assert_int_equal(shunt_promise_give(promise, &value), 0);
        ref = look_up(f, SH_OWN, 0);
        assert_true(sh_handle_lend(&ref, SH_WATCHED));
        lent = sh_handle_future(ref.handle);
        (void)look_up(f, SH_LOOK, SHUNT_EINVAL);
        assert_true(sh_handle_unlend(&ref));
        assert_ptr_equal(sh_handle_future(ref.handle), f);
        (void)look_up(lent, SH_LOOK, SHUNT_EINVAL);
        (void)look_up(f, SH_OWN, 0);
        if (i < 2)
            assert_int_equal(shunt_promise_give(promise, &value), 0);
        assert_int_equal(shunt_join(f), 0);
        (void)look_up(f, SH_LOOK, SHUNT_EINVAL);
        if (alias != NULL)
            assert_int_equal(shunt_join(alias), 0);
    }
}

static void what_was_given_back_is_not_lent_any_more(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        shunt_future *kept = settled();
        shunt_future *f = i == 0 ? shunt_retain(kept) : kept;
        shunt_future *other = i == 0 ? kept : shunt_retain(kept);
        struct sh_ref ref = look_up(f, SH_OWN, 0), again;

        assert_true(sh_handle_lend(&ref, 0));
        again = look_up(sh_handle_future(ref.handle), SH_LOOK, 0);
        assert_int_equal(sh_handle_give(&ref), SH_GIVEN);
        assert_false(sh_handle_unlend(&again));
        assert_int_equal(shunt_status(f), SHUNT_EINVAL);
        assert_int_equal(shunt_release(other), 0);
    }
}

static void an_alias_holds_the_record_like_any_handle(void **state)
{
    shunt_future *f = settled(), *a = shunt_retain(f), *b = shunt_retain(a);
    struct sh_ref ref = look_up(f, SH_OWN, 0);

    (void)state;
    assert_true(a != NULL && b != NULL && a != f && b != a);
    assert_false(sh_handle_is_sole(&ref));
    assert_int_equal(shunt_release(f), 0);
    assert_int_equal(shunt_release(f), SHUNT_EINVAL);
    assert_int_equal(shunt_release(a), 0);
    assert_int_equal(shunt_release(a), SHUNT_EINVAL);
    assert_int_equal(shunt_status(b), 0);
    ref = look_up(b, SH_OWN, 0);
    assert_true(sh_handle_is_sole(&ref));
    assert_int_equal(shunt_release(b), 0);
    assert_int_equal(sh_phase_of(atomic_load(&ref.record->state)), SH_FREE);
    assert_int_equal(shunt_status(a), SHUNT_EINVAL);
    assert_null(shunt_retain(b));
}

/* Goal: the generation of a handle has 27 bits and that of a record 32; where
 * either comes round, handles are good, and the ones before are not. */
static void a_generation_that_comes_round_makes_no_handle_good(void **state)
{
    static const uint32_t last[] = { SH_HANDLE_GENERATION - 1,
                                     SH_HANDLE_GENERATION, 0x0fffffff,
                                     0xffffffffu };

    (void)state;
    for (size_t i = 0; i < sizeof last / sizeof last[0]; i++) {
        shunt_future *f, *more, *next;
        uint32_t index;

        /* Records that were never used are handed out one after another. */
        f = settled();
        index = sh_handle_index(sh_handle_of(f)) + 1;
        assert_int_equal(shunt_release(f), 0);
        set_generation(index, last[i]);
        f = settled();
        assert_int_equal(sh_handle_index(sh_handle_of(f)), index);
        assert_int_equal(sh_handle_of(f) & SH_HANDLE_LENT, 0);
        more = shunt_retain(f);
        assert_non_null(more);
        assert_int_equal(shunt_status(f), 0);
        assert_int_equal(shunt_release(f), 0);
        assert_int_equal(shunt_status(f), SHUNT_EINVAL);
        assert_int_equal(shunt_status(more), 0);
        assert_int_equal(shunt_release(more), 0);
        /* The record as its next user will find it. */
        next = sh_handle_future(sh_handle_make(pool->id, index, last[i] + 1));
        (void)look_up(f, SH_LOOK, SHUNT_EINVAL);
        (void)look_up(next, SH_LOOK, SHUNT_EINVAL); /* it is free */
    }
}

static void an_aliass_generation_that_comes_round_is_no_harm(void **state)
{
    shunt_future *f = settled(), *a;
    struct sh_alias *first = sh_alias_at(pool, 1);

    (void)state;
    atomic_store(&first->word, (uint64_t)SH_HANDLE_GENERATION << 37);
    a = shunt_retain(f);
    assert_int_equal(sh_handle_index(sh_handle_of(a)), SH_ALIAS_BIT | 1);
    assert_int_equal(shunt_status(a), 0);
    assert_int_equal(shunt_release(a), 0);
    assert_int_equal(shunt_status(a), SHUNT_EINVAL);
    assert_int_equal(atomic_load(&first->word), 0);
    assert_int_equal(shunt_release(f), 0);
}

/* Every identifier but one is taken, or free; as if by thousands of pools. */
static void take_all_but(unsigned id, struct sh_pool *by)
{
    for (unsigned i = 1; i <= POOLS; i++) {
        if (i != id)
            atomic_store(&sh_self()->pools[i], by);
    }
}

/* Goal: when a pool's identifier is used again, handles of the old pool are
 * not those of the new one, aliases included. Method: go once round; or pass
 * over all others, where thousands of pools take long. */
static void a_new_pool_takes_no_handle_of_an_old_one(void **state)
{
    shunt_future *old = settled(), *old_alias = shunt_retain(old), *f, *a;
    unsigned id = pool->id;

    (void)state;
    assert_int_equal(shunt_pool_free(name), 0);
    for (int i = 0; i <= POOLS; i++) {
        if (is_slow())
            take_all_but(id, pool);
        assert_int_equal(pool_make(NULL), 0);
        if (is_slow())
            take_all_but(id, NULL);
        if (pool->id == id)
            break;
        assert_int_equal(shunt_pool_free(name), 0);
    }
    assert_int_equal(pool->id, id);
    f = settled();
    a = shunt_retain(f);
    assert_int_equal(shunt_status(f), 0);
    assert_int_equal(shunt_status(a), 0);
    assert_int_equal(shunt_status(old), SHUNT_EINVAL);
    assert_int_equal(shunt_status(old_alias), SHUNT_EINVAL);
    assert_int_equal(shunt_release(old_alias), SHUNT_EINVAL);
    assert_int_equal(shunt_release(a), 0);
    assert_int_equal(shunt_release(f), 0);
}

/* ---- races ---- */

static pthread_barrier_t both;
static shunt_future *shared;
static atomic_int wins;

static void *retain_and_release(void *mine)
{
    shunt_future *own = mine;

    for (int i = 0; i < ROUNDS; i++) {
        shunt_future *more = shunt_retain(own);

        if (more == NULL || shunt_status(more) != 0 ||
            shunt_release(i % 2 == 0 ? own : more) != 0)
            atomic_fetch_add(&wins, 1); /* what must not be */
        own = i % 2 == 0 ? more : own;
    }
    if (shunt_release(own) != 0)
        atomic_fetch_add(&wins, 1);
    return NULL;
}

/* Goal: retains and releases by several threads never lose count; the record
 * is freed by the last, and not before. */
static void the_last_of_many_releases_frees_the_record(void **state)
{
    pthread_t threads[3];
    shunt_future *f = settled(), *held[3] = { f, NULL, NULL };
    struct sh_ref ref = look_up(f, SH_OWN, 0);

    (void)state;
    atomic_store(&wins, 0);
    held[1] = shunt_retain(f);
    held[2] = shunt_retain(f);
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, retain_and_release, held[i]), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&wins), 0);
    assert_int_equal(sh_phase_of(atomic_load(&ref.record->state)), SH_FREE);
    assert_int_equal(sh_generation_of(atomic_load(&ref.record->state)),
                     sh_generation_of(ref.word) + 1);
}

static void *release_it(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS / 4; i++) {
        pthread_barrier_wait(&both);
        if (shunt_release(shared) == 0)
            atomic_fetch_add(&wins, 1);
        pthread_barrier_wait(&both);
    }
    return NULL;
}

/* Goal: of two that give the same handle back at once, one does. */
static void a_handle_is_given_back_by_one_of_two(void **state)
{
    pthread_t thread;

    (void)state;
    atomic_store(&wins, 0);
    pthread_barrier_init(&both, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, release_it, NULL), 0);
    for (int i = 0; i < ROUNDS / 4; i++) {
        shunt_future *f = settled();

        shared = i % 2 == 0 ? f : shunt_retain(f);
        pthread_barrier_wait(&both);
        if (shunt_release(shared) == 0)
            atomic_fetch_add(&wins, 1);
        pthread_barrier_wait(&both);
        if (shared != f)
            assert_int_equal(shunt_release(f), 0);
        assert_int_equal(atomic_load(&wins), i + 1);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    pthread_barrier_destroy(&both);
}

int main(void)
{
#define HANDLE_TEST(test) \
    cmocka_unit_test_setup_teardown(test, pool_make, pool_free)
    const struct CMUnitTest tests[] = {
        HANDLE_TEST(a_handle_names_its_record_until_it_is_given_back),
        HANDLE_TEST(what_never_was_a_handle_is_none),
        HANDLE_TEST(reserved_handles_say_their_code),
        HANDLE_TEST(a_lent_handle_can_be_looked_at_but_not_given),
        HANDLE_TEST(a_lent_handle_may_become_its_users_again_by_its_name),
        HANDLE_TEST(what_was_given_back_is_not_lent_any_more),
        HANDLE_TEST(an_alias_holds_the_record_like_any_handle),
        HANDLE_TEST(a_generation_that_comes_round_makes_no_handle_good),
        HANDLE_TEST(an_aliass_generation_that_comes_round_is_no_harm),
        HANDLE_TEST(a_new_pool_takes_no_handle_of_an_old_one),
        HANDLE_TEST(the_last_of_many_releases_frees_the_record),
        HANDLE_TEST(a_handle_is_given_back_by_one_of_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
