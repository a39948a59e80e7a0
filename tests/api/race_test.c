/* SPDX-License-Identifier: MIT */
/*
 * race_test.c - two things at the same moment, again and again, where one of
 * them must not get in the way of the other.
 *
 * Method. A partner does the other thing: partner.h.
 */
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "partner.h"
#include "stage.h"

/* ---- two inputs at once ---- */

static void give_one(void *what)
{
    (void)shunt_promise_give(what, &(long){ 1 });
}

static void fail_one(void *what)
{
    (void)shunt_promise_fail(what, 7, NULL);
}

static void when_all_fails_though_the_others_succeed_at_once(void)
{
    shunt_pool *pool = harness_pool(1);
    struct partner partner;

    partner_open(&partner, give_one);
    for (long i = partner_rounds(20000); i > 0; i--) {
        struct stage_promise a = stage_promise(pool), b = stage_promise(pool);
        shunt_future *all =
            shunt_when_all((shunt_future *[]){ a.future, b.future }, 2);

        partner_begin(&partner, b.promise);
        assert_ok(shunt_promise_fail(a.promise, 7, NULL));
        partner_await(&partner);
        assert_settles(all, SHUNT_EFAILED);
        assert_ok(shunt_release(all));
    }
    partner_close(&partner);
    harness_free(pool);
}

static void when_any_succeeds_though_the_others_fail_at_once(void)
{
    shunt_pool *pool = harness_pool(1);
    struct partner partner;

    partner_open(&partner, fail_one);
    for (long i = partner_rounds(10000); i > 0; i--) {
        struct stage_promise a = stage_promise(pool), b = stage_promise(pool);
        shunt_future *any =
            shunt_when_any((shunt_future *[]){ a.future, b.future }, 2);

        partner_begin(&partner, b.promise);
        stage_give(a.promise, 1);
        partner_await(&partner);
        assert_settles(any, 0);
        assert_ok(shunt_release(any));
    }
    partner_close(&partner);
    harness_free(pool);
}

/* ---- a shutdown and what goes on beside it ---- */

struct relay {
    long left;
    struct tally *ran;
};

static int relay(const struct relay *in, long *out);
SHUNT_TASK(relay, struct relay, long)

static int relay(const struct relay *in, long *out)
{
    struct relay next = { in->left - 1, in->ran };

    (void)out;
    (void)tally_add(in->ran, 1);
    return in->left > 1 ? shunt_release(shunt_submit(NULL, relay, &next)) : 0;
}

/* Method: records at low indices are free, so that what a task submits lies
 * where a look through all records has been already. */
static void a_drain_waits_for_what_tasks_submit_while_it_looks(void)
{
    enum {
        RECORDS = 20000
    };
    static shunt_future *fs[RECORDS];
    long links = 20000 / (long)harness_slowness();

    for (int round = harness_thorough() ? 10 : 4; round > 0; round--) {
        shunt_pool *pool = harness_pool(1);
        struct relay first = { links, stage_tally() };

        for (long i = 0; i < RECORDS; i++)
            fs[i] = shunt_submit(pool, stage_same, &i);
        for (long i = 0; i < RECORDS; i++)
            assert_settles(fs[i], 0);
        assert_ok(shunt_release(shunt_submit(pool, relay, &first)));
        assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
        assert_long(tally_of(first.ran), links);
        harness_free(pool);
    }
}

enum {
    TAKEN = 1000
};

static void take_all(void *what)
{
    shunt_future **fs = what;
    long value;

    for (long i = 0; i < TAKEN; i++)
        (void)shunt_take(fs[i], &value);
}

static void a_drain_does_not_sleep_through_the_last_take(void)
{
    static shunt_future *fs[TAKEN];
    struct partner partner;

    partner_open(&partner, take_all);
    for (long round = harness_pools(150); round > 0; round--) {
        shunt_pool *pool = harness_pool(1);

        for (long i = 0; i < TAKEN; i++)
            fs[i] = shunt_submit(pool, stage_same, &i);
        for (long i = 0; i < TAKEN; i++)
            assert_settles(fs[i], 0);
        partner_begin(&partner, fs);
        assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
        partner_await(&partner);
        harness_free(pool);
    }
    partner_close(&partner);
}

static void free_at_once(void *what)
{
    (void)shunt_pool_free(what);
}

/* Goal: a worker that is about to sleep sees that it is to stop. */
static void a_pool_that_just_became_idle_can_be_freed(void)
{
    struct partner partner;

    partner_open(&partner, free_at_once);
    for (long round = harness_pools(500); round > 0; round--) {
        shunt_pool *pool = harness_pool(2);

        assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
        partner_begin(&partner, pool);
        partner_await(&partner);
    }
    partner_close(&partner);
}

/* ---- a drain, and a listener at work ---- */

struct hooked {
    shunt_promise *promise;
    shunt_future *future;
    struct latch *inside, *go;
};

static void give_and_stay(void *user)
{
    struct hooked *h = user;

    stage_give(h->promise, 1);
    latch_raise(h->inside);
    (void)latch_reaches(h->go, 1);
}

static void *cancel_in_thread(void *user)
{
    struct hooked *h = user;

    (void)shunt_cancel(h->future);
    return NULL;
}

struct chain {
    long left;
    struct tally *ran;
};

static int go_on(const struct chain *in, shunt_none *out);
SHUNT_TASK_DECLARE(go_on, struct chain, shunt_none)

static int go_on(const struct chain *in, shunt_none *out)
{
    struct chain next = { in->left - 1, in->ran };

    (void)out;
    tally_add(in->ran, 1);
    return in->left > 0 ? shunt_release(shunt_submit(NULL, go_on, &next)) : 0;
}
SHUNT_TASK_DEFINE(go_on)

/* Method: each task of a chain submits the next, which gets a record that the
 * drain has looked at already, while somebody is in the listener of a promise
 * that has settled. One drain in six used to cut the chain. */
static void a_drain_cuts_no_chain_while_a_listener_runs(void)
{
    long length = 20000 / (long)harness_slowness();
    int rounds = harness_thorough() ? 30 : 10;

    for (int round = 0; round < rounds; round++) {
        shunt_pool *pool = harness_pool(2);
        struct stage_promise made = stage_promise(pool);
        struct hooked hooked = { made.promise, made.future, stage_latch(),
                                 stage_latch() };
        struct chain chain = { length, stage_tally() };
        pthread_t thread;

        assert_ok(
            shunt_promise_on_cancel(made.promise, give_and_stay, &hooked));
        assert_int_equal(
            pthread_create(&thread, NULL, cancel_in_thread, &hooked), 0);
        assert_true(latch_reaches(hooked.inside, 1));
        (void)shunt_submit(pool, go_on, &chain);
        assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
        assert_long(tally_of(chain.ran), length + 1);
        latch_raise(hooked.go);
        pthread_join(thread, NULL);
        harness_free(pool);
    }
}

/* ---- a drain, and a timer ---- */

static void move_clock(void *what)
{
    (void)shunt_pool_advance(what, SHUNT_MS(1));
}

static int keep_now(const shunt_none *in, shunt_promise *const *ctx, long *out)
{
    (void)in;
    (void)out;
    return shunt_promise_give(*ctx, &(long){ 5 });
}
SHUNT_STEP(keep_now, shunt_none, shunt_promise *, long)

/* Method: a delay ends while the drain looks. It is over, and the step that
 * will keep the promise is not queued yet. */
static void a_drain_breaks_no_promise_that_a_delay_is_about_to_keep(void)
{
    struct partner partner;

    partner_open(&partner, move_clock);
    for (long round = harness_pools(2000); round > 0; round--) {
        shunt_pool *pool = stage_manual_pool(1, 0);
        struct stage_promise made = stage_promise(pool);
        shunt_future *kept = shunt_then_with(shunt_delay(pool, SHUNT_MS(1)),
                                             keep_now, &made.promise);

        partner_begin(&partner, pool);
        assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
        partner_await(&partner);
        assert_takes(made.future, 5);
        assert_joins(kept, 0);
        harness_free(pool);
    }
    partner_close(&partner);
}

/* Goal: what a thread outside waits for is not what the pool waits for, also
 * if that wait has a timer; nor does a drain sleep while the thread drops it.
 */
static void a_drain_does_not_wait_for_the_clock_of_a_thread_that_waits(void)
{
    for (long round = harness_pools(300); round > 0; round--) {
        shunt_pool *pool = stage_manual_pool(1, 0);
        struct stage_waiter waiter = { stage_promise(pool).future, SHUNT_S(1),
                                       stage_latch(), -1 };
        pthread_t thread;

        assert_int_equal(
            pthread_create(&thread, NULL, stage_wait_in_thread, &waiter), 0);
        assert_true(latch_reaches(waiter.ready, 1));
        if (round % 2 == 0)
            sched_yield();
        assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
        pthread_join(thread, NULL);
        assert_status(waiter.status, SHUNT_ECANCELED);
        harness_free(pool);
    }
}

/* ---- a wait and a deadline at once ---- */

struct waits {
    shunt_future *gate;
    struct latch *started;
};

static int return_at_once(const struct waits *in, long *out)
{
    (void)out;
    latch_raise(in->started);
    return shunt_await(in->gate);
}
SHUNT_TASK(return_at_once, struct waits, long)

/* Method: the deadline comes as the task parks, or when it has; its code is
 * done as soon as it learns of that. */
static void a_task_that_waits_at_its_deadline_has_timed_out(void)
{
    shunt_pool *pool = NULL;
    struct stage_promise gate;

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = 1, .manual_clock = true }));
    gate = stage_promise(pool);
    for (long i = partner_rounds(2000); i > 0; i--) {
        struct waits in = { gate.future, stage_latch() };
        shunt_future *f = shunt_submit_with(pool, return_at_once, &in,
                                            .deadline_ns = SHUNT_S(1));

        assert_true(latch_reaches(in.started, 1));
        for (long j = i % 8; j > 0; j--)
            sched_yield();
        assert_ok(shunt_pool_advance(pool, SHUNT_S(1)));
        assert_joins(f, SHUNT_ETIMEDOUT);
    }
    assert_ok(shunt_promise_drop(gate.promise));
    assert_ok(shunt_release(gate.future));
    harness_free(pool);
}

/* ---- a million races against one future ---- */

/* How much memory the process uses. */
static long resident_kib(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long pages = 0;

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*d %ld", &pages), 1);
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static shunt_future *against(shunt_pool *pool, shunt_future *shutdown, long i)
{
    shunt_future *fs[2] = { shunt_retain(shutdown),
                            shunt_submit(pool, stage_same, &i) };

    if (i % 3 == 1)
        fs[1] = shunt_timeout(fs[1], SHUNT_S(1000));
    return i % 3 == 2 ? shunt_when_any(fs, 2) : shunt_race(fs, 2);
}

/* Goal: who waits for a request or the end of the program, whichever is first,
 * may do so a million times (in the long form). Method: in a pool that is given
 * little memory, since that counts futures and handles; the rest is counted by
 * the system, after a tenth of the rounds and at the end. unit/flat_test.c has
 * it item by item. */
static void a_million_races_against_one_future_use_no_memory(void)
{
    /* Not fewer: then what each leaves would be too little to be seen. */
    long n = harness_million() ? 1000000 : 30000 / (long)harness_slowness();
    long warm = 0;
    shunt_pool *pool = NULL;

    harness_limit(300);
    /* A long queue is as much memory as it ever was walked through. */
    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){
                   .workers = 2, .queue_max = 64, .arena_bytes = 1 << 20 }));
    struct stage_promise made = stage_promise(pool);
    for (long i = 0; i < n; i++) {
        shunt_future *f = against(pool, made.future, i);
        assert_ok(shunt_await(f));
        const shunt_winner *winner = shunt_peek(f, shunt_winner);
        assert_long((long)winner->index, 1);
        assert_long(*shunt_peek(winner->future, long), i);
        assert_ok(shunt_release(f));
        if (i == n / 10)
            warm = resident_kib();
    }
    /* An allocator of a sanitizer keeps what was freed. */
    if (harness_slowness() == 1)
        assert_true(resident_kib() <= warm + 1024);
    stage_give(made.promise, 1);
    assert_takes(made.future, 1);
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(when_all_fails_though_the_others_succeed_at_once),
    CLAIM(when_any_succeeds_though_the_others_fail_at_once),
    CLAIM(a_drain_waits_for_what_tasks_submit_while_it_looks),
    CLAIM(a_drain_does_not_sleep_through_the_last_take),
    CLAIM(a_pool_that_just_became_idle_can_be_freed),
    CLAIM(a_drain_cuts_no_chain_while_a_listener_runs),
    CLAIM(a_drain_breaks_no_promise_that_a_delay_is_about_to_keep),
    CLAIM(a_drain_does_not_wait_for_the_clock_of_a_thread_that_waits),
    CLAIM(a_task_that_waits_at_its_deadline_has_timed_out),
    CLAIM(a_million_races_against_one_future_use_no_memory),
};

HARNESS_MAIN(claims)
