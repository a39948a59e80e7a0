/* SPDX-License-Identifier: MIT */
/*
 * processes_test.c - whatever the system refuses a pool of processes, in the
 * host, the seed, the zygote or a worker: it is an error or makes no
 * difference, nobody hangs, and nothing is left.
 *
 * Method. As fault_each.h: the n-th request is refused, for every n, until
 * there are fewer; and then all from the n-th on. The seed is told by a letter;
 * its zygotes and their workers begin with the count that it had.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <shunt/shunt.h>

#include "base/fault.h"
#include "process/seed.h"
#include "unit/kin.h"

enum {
    NTH_MAX = 2000,
    PATIENCE_S = 60
};

/* -- what is left -- */

struct census {
    unsigned descriptors, children, zombies;
};

static struct census count(void)
{
    return (struct census){ kin_descriptors(), kin_children(),
                            kin_zombies_of(kin_child()) };
}

/* A zygote may be a zombie of the seed's for a moment: so may that of an earlier
 * claim have been, before. */
static void assert_same(struct census before)
{
    struct census now = count();

    for (int i = 0; i < 1000 && now.zombies > before.zombies; i++) {
        usleep(1000);
        now = count();
    }
    assert_int_equal(now.descriptors, before.descriptors);
    assert_int_equal(now.children, before.children);
    assert_true(now.zombies <= before.zombies);
}

/* -- tasks -- */

/* Shared with the workers. */
static struct shared {
    atomic_int go, deaths;
} *shared;

static int same(const long *in, long *out)
{
    *out = *in;
    return 0;
}
SHUNT_TASK(same, long, long)

/* How many requests there were since the faults were set, and before a fork. */
static int requests(const shunt_none *in, long *out)
{
    (void)in;
    *out = (long)sh_fault_calls();
    return 0;
}
SHUNT_TASK(requests, shunt_none, long)

static int die_once(const long *lives, long *out)
{
    while (atomic_load(&shared->go) == 0)
        usleep(100);
    if (atomic_fetch_add(&shared->deaths, 1) < *lives)
        raise(SIGTERM);
    *out = 7;
    return 0;
}
SHUNT_TASK(die_once, long, long)

static int alone(const long *in, long *out)
{
    *out = *in;
    return 0;
}
SHUNT_TASK(alone, long, long, .exclusive = true)

static int die_again(const long *lives, long *out)
{
    return die_once(lives, out);
}
SHUNT_TASK(die_again, long, long, .idempotent = true, .retries = 2)

static shunt_pool *new_pool(int *rc_out)
{
    shunt_options options = { .mode = SHUNT_PROCESSES,
                              .workers = 1,
                              .unobserved = shunt_unobserved_ignore };
    shunt_pool *pool = NULL;

    atomic_store(&shared->go, 0);
    atomic_store(&shared->deaths, 0);
    *rc_out = shunt_pool_new(&pool, &options);
    return pool;
}

static shunt_pool *good_pool(void)
{
    int rc;
    shunt_pool *pool = new_pool(&rc);

    assert_int_equal(rc, 0);
    return pool;
}

/* Not pending after a minute, or it hangs; f is released. */
static int end_of(shunt_future *f)
{
    int rc = shunt_await_for(f, SHUNT_S(PATIENCE_S));

    assert_int_not_equal(rc, SHUNT_PENDING);
    (void)shunt_release(f);
    return rc;
}

static void must_work(shunt_pool *pool)
{
    assert_int_equal(end_of(shunt_submit(pool, same, &(long){ 30 })), 0);
}

static void set(int64_t nth, bool onwards)
{
    if (onwards)
        sh_fault_set_from(nth);
    else
        sh_fault_set(nth);
}

static void assert_among(const char *what, int64_t nth, int rc, int one,
                         int other, int third)
{
    if (rc != 0 && rc != one && rc != other && rc != third)
        fail_msg("%s, request %lld refused: %s", what, (long long)nth,
                 shunt_code_name(rc));
}

/* -- the host -- */

static uint64_t begin_refused(int64_t nth, bool onwards)
{
    struct census before = count();
    shunt_pool *pool;
    uint64_t calls;
    int rc;

    set(nth, onwards);
    pool = new_pool(&rc);
    calls = sh_fault_calls();
    sh_fault_clear();
    assert_among("a pool", nth, rc, SHUNT_ENOMEM, SHUNT_EAGAIN, SHUNT_EBROKEN);
    if (rc == 0) {
        must_work(pool);
        assert_int_equal(shunt_pool_free(pool), 0);
    }
    assert_same(before);
    return calls;
}

static void each(const char *what, uint64_t (*tell)(int64_t, bool))
{
    for (int onwards = 0; onwards < 2; onwards++) {
        int64_t nth = 1;

        while (tell(nth, onwards != 0) >= (uint64_t)nth)
            if (++nth > NTH_MAX)
                fail_msg("%s: always one more request", what);
        print_message("%s: %lld requests%s\n", what, (long long)(nth - 1),
                      onwards ? ", all refused from one on" : "");
    }
}

static void what_the_host_is_refused_for_a_pool_is_an_error(void **state)
{
    (void)state;
    each("pool_new", begin_refused);
}

/* All its life, which may end with the pool. */
static uint64_t live_refused(int64_t nth, bool onwards)
{
    struct census before = count();
    shunt_pool *pool;
    uint64_t calls;
    int rc;

    set(nth, onwards);
    pool = new_pool(&rc);
    if (rc == 0) {
        rc = end_of(shunt_submit(pool, same, &(long){ 1 }));
        assert_among("a task", nth, rc, SHUNT_ENOMEM, 0, 0);
        assert_int_equal(shunt_pool_free(pool), 0);
    }
    calls = sh_fault_calls();
    sh_fault_clear();
    assert_same(before);
    return calls;
}

static void a_pool_can_be_freed_whatever_the_host_is_refused(void **state)
{
    (void)state;
    each("a pool's life", live_refused);
}

/* Goal: a death is told, and its place filled, whatever is refused meanwhile:
 * if not at once, then later. */
static uint64_t recover_refused(int64_t nth, bool onwards, shunt_future *f,
                                shunt_pool *pool, int expected)
{
    uint64_t calls;
    int rc;

    set(nth, onwards);
    atomic_store(&shared->go, 1);
    /* One that runs again needs a worker again. */
    if (!onwards || expected != 0)
        assert_int_not_equal(shunt_await_for(f, SHUNT_S(PATIENCE_S)),
                             SHUNT_PENDING);
    /* Until some were refused, if there are so many. */
    for (int i = 0; i < 20 && onwards && sh_fault_calls() < (uint64_t)nth; i++)
        usleep(1000);
    if (onwards)
        usleep(3000);
    calls = sh_fault_calls();
    sh_fault_clear();
    rc = shunt_await_for(f, SHUNT_S(PATIENCE_S));
    if (rc != expected)
        fail_msg("request %lld refused: %s", (long long)nth,
                 shunt_code_name(rc));
    assert_true(rc == 0 || shunt_error_of(f)->message[0] != '\0');
    /* One refusal does not hide how it died; but there may be no memory to say
     * so. */
    if (rc != 0 && !onwards && shunt_error_of(f)->signal != 0)
        assert_int_equal(shunt_error_of(f)->signal, SIGTERM);
    assert_int_equal(shunt_release(f), 0);
    must_work(pool);
    return calls;
}

static uint64_t crash_refused(int64_t nth, bool onwards)
{
    struct census before = count();
    shunt_pool *pool = good_pool();
    uint64_t calls =
        recover_refused(nth, onwards, shunt_submit(pool, die_once, &(long){ 1 }),
                        pool, SHUNT_ECRASHED);

    assert_int_equal(shunt_pool_free(pool), 0);
    assert_same(before);
    return calls;
}

static uint64_t again_refused(int64_t nth, bool onwards)
{
    struct census before = count();
    shunt_pool *pool = good_pool();
    uint64_t calls = recover_refused(
        nth, onwards,
        shunt_submit(pool, die_again, &(long){ 1 }), pool,
        0);

    assert_int_equal(shunt_pool_free(pool), 0);
    assert_same(before);
    return calls;
}

static void a_death_is_told_whatever_the_host_is_refused(void **state)
{
    (void)state;
    each("a death", crash_refused);
    each("a death and another run", again_refused);
}

/* -- the seed, the zygote, and how workers begin -- */

/* Whether all went well, and with fewer requests than that. */
static bool sow_refused(int64_t nth)
{
    struct census before = count();
    shunt_pool *pool;
    long calls = 0;
    int rc, first = -1, second = -1, last = -1;

    sh_seed_fault(nth);
    pool = new_pool(&rc);
    assert_among("a pool", nth, rc, SHUNT_ENOMEM, SHUNT_EAGAIN, SHUNT_EBROKEN);
    if (rc == 0) {
        atomic_store(&shared->go, 1);
        first = end_of(shunt_submit(pool, same, &(long){ 1 }));
        assert_among("a task", nth, first, SHUNT_ENOMEM, SHUNT_EBROKEN, 0);
        second = end_of(shunt_submit(pool, die_once, &(long){ 1 }));
        assert_among("a death", nth, second, SHUNT_ENOMEM, SHUNT_EBROKEN,
                     SHUNT_ECRASHED);
        last = shunt_take(shunt_submit(pool, requests, NULL), &calls);
        assert_among("another task", nth, last, SHUNT_ENOMEM, SHUNT_EBROKEN, 0);
        assert_int_equal(shunt_pool_free(pool), 0);
    }
    sh_seed_fault(0);
    /* It may have closed its own of what it has sent a moment later. */
    assert_same(before);
    return first == 0 && second == SHUNT_ECRASHED && last == 0 && calls < nth;
}

static void what_others_are_refused_is_an_error_or_survived(void **state)
{
    int64_t nth = 1;

    (void)state;
    while (!sow_refused(nth))
        assert_true(++nth <= NTH_MAX);
    print_message("a lineage: %lld requests\n", (long long)(nth - 1));
    assert_true(nth > 20);
    begin_refused(INT64_MAX, false);
}

/* The same of a pool that has a lane. */
static bool lane_refused(int64_t nth)
{
    struct census before = count();
    shunt_pool *pool;
    long calls = 0;
    int rc, alone_rc = -1, last = -1;

    sh_seed_fault(nth);
    pool = new_pool(&rc);
    assert_among("a pool", nth, rc, SHUNT_ENOMEM, SHUNT_EAGAIN, SHUNT_EBROKEN);
    if (rc == 0) {
        alone_rc = end_of(shunt_submit(pool, alone, &(long){ 1 }));
        assert_among("an exclusive task", nth, alone_rc, SHUNT_ENOMEM,
                     SHUNT_EBROKEN, 0);
        last = shunt_take(shunt_submit(pool, requests, NULL), &calls);
        assert_among("another task", nth, last, SHUNT_ENOMEM, SHUNT_EBROKEN, 0);
        assert_int_equal(shunt_pool_free(pool), 0);
    }
    sh_seed_fault(0);
    assert_same(before);
    return alone_rc == 0 && last == 0 && calls < nth;
}

static void a_lane_that_is_refused_once_comes_later(void **state)
{
    int64_t nth = 1;

    (void)state;
    while (!lane_refused(nth))
        assert_true(++nth <= NTH_MAX);
    print_message("a lane: %lld requests\n", (long long)(nth - 1));
    assert_true(nth > 20);
    begin_refused(INT64_MAX, false);
}

/* -- what tasks do in a worker -- */

static bool is_fair(int rc)
{
    return rc == 0 || rc == SHUNT_ENOMEM;
}

static int fork_and_wait(void)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return 1;
    /* Without its stack it cannot go on. */
    return status == 0 || WTERMSIG(status) == SIGSEGV ? 0 : 2;
}

struct order {
    int64_t nth;
    bool onwards;
};

/* All kinds of things; the first that is neither done nor refused, or 0. */
static int do_things(void)
{
    shunt_future *few[2], *f;
    shunt_promise *promise;
    shunt_scope *scope;
    int rc;

    (void)shunt_alloc(100);
    (void)shunt_free(shunt_pool_alloc(NULL, 5000));
    for (int i = 0; i < 2; i++)
        few[i] = shunt_submit(NULL, same, &(long){ 1 });
    if (!is_fair(shunt_join(shunt_when_all(few, 2))))
        return 1;
    if (!is_fair(shunt_join(shunt_submit_with(
            NULL, same, &(long){ 2 }, .deadline_ns = SHUNT_S(PATIENCE_S)))))
        return 2;
    rc = shunt_promise_new(NULL, long, &promise, &f);
    if (!is_fair(rc))
        return 3;
    if (rc == 0) {
        if (shunt_promise_give(promise, &(long){ 3 }) != 0)
            return 4;
        if (shunt_join(f) != 0)
            return 5;
    }
    rc = shunt_scope_open(&scope, NULL, NULL);
    if (!is_fair(rc))
        return 6;
    if (rc == 0) {
        (void)shunt_release(shunt_scope_submit(scope, same, &(long){ 4 }));
        if (!is_fair(shunt_scope_close(scope, NULL)))
            return 7;
    }
    if (!is_fair(shunt_join(shunt_delay(NULL, 1000))))
        return 8;
    return 0;
}

static int do_with_faults(const struct order *in, long *out)
{
    int wrong;

    set(in->nth, in->onwards);
    wrong = do_things();
    if (wrong == 0 && fork_and_wait() != 0)
        wrong = 9;
    *out = (long)sh_fault_calls();
    sh_fault_clear();
    return wrong;
}
SHUNT_TASK(do_with_faults, struct order, long)

static uint64_t work_refused(int64_t nth, bool onwards)
{
    struct census before = count();
    shunt_pool *pool = good_pool();
    shunt_future *f =
        shunt_submit(pool, do_with_faults, &(struct order){ nth, onwards });
    long calls = 0;
    int rc = shunt_await_for(f, SHUNT_S(PATIENCE_S));

    if (rc == SHUNT_EFAILED)
        fail_msg("request %lld refused: step %d", (long long)nth,
                 shunt_error_of(f)->task_code);
    assert_int_equal(rc, 0);
    assert_int_equal(shunt_take(f, &calls), 0);
    must_work(pool);
    assert_int_equal(shunt_pool_free(pool), 0);
    assert_same(before);
    return (uint64_t)calls;
}

static void what_a_task_is_refused_in_a_worker_is_an_error(void **state)
{
    (void)state;
    each("a task's work", work_refused);
}

/* The first pool makes the seed, and what stays. */
static int begin(void **state)
{
    (void)state;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || shunt_init() != 0)
        return -1;
    begin_refused(INT64_MAX, false);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_host_is_refused_for_a_pool_is_an_error),
        cmocka_unit_test(a_pool_can_be_freed_whatever_the_host_is_refused),
        cmocka_unit_test(a_death_is_told_whatever_the_host_is_refused),
        cmocka_unit_test(what_others_are_refused_is_an_error_or_survived),
        cmocka_unit_test(a_lane_that_is_refused_once_comes_later),
        cmocka_unit_test(what_a_task_is_refused_in_a_worker_is_an_error),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, begin, NULL);
}
