/* SPDX-License-Identifier: MIT */
/*
 * scope_race_test.c - scopes with many at once: members that submit while the
 * scope is closed, threads that submit, cancel and close, and scopes that live
 * long.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "stage.h"

static shunt_scope *scope_in(shunt_pool *pool,
                             const shunt_scope_options *options)
{
    shunt_scope *scope = NULL;

    assert_ok(shunt_scope_open(&scope, pool, options));
    return scope;
}

static long rounds(long n)
{
    return n / (long)harness_slowness() + 1;
}

/* ---- members that submit while it is closed ---- */

/* A directory, so to speak: so many below it, down to a depth. */
struct walk {
    shunt_scope *scope;
    struct tally *seen;
    int depth, width;
};

static int visit(const struct walk *in, shunt_none *out);
SHUNT_TASK(visit, struct walk, shunt_none)

static int visit(const struct walk *in, shunt_none *out)
{
    struct walk below = *in;

    (void)out;
    tally_add(in->seen, 1);
    below.depth--;
    for (int i = 0; i < in->width && in->depth > 0; i++)
        (void)shunt_scope_submit(in->scope, visit, &below);
    return 0;
}

/* 1 + width + width^2 + ... */
static long size_of(const struct walk *w)
{
    long size = 0;

    for (int i = 0; i <= w->depth; i++)
        size = size * w->width + 1;
    return size;
}

static int walk_in_task(const struct walk *in, long *out)
{
    struct walk walk = *in;
    int rc = shunt_scope_open(&walk.scope, NULL, NULL);

    if (rc == 0)
        (void)shunt_scope_submit(walk.scope, visit, &walk);
    if (rc == 0)
        rc = shunt_scope_close(walk.scope, NULL);
    *out = tally_of(walk.seen);
    return rc;
}
SHUNT_TASK(walk_in_task, struct walk, long)

static void a_walk_that_is_closed_at_once_comes_to_its_end(void)
{
    for (int workers = 1; workers <= 4; workers *= 2) {
        shunt_pool *pool = harness_pool(workers);

        for (int width = 1; width <= 4; width++) {
            struct walk walk = { NULL, NULL, width == 1 ? 300 : 6, width };
            shunt_results all;

            walk.seen = stage_tally();
            walk.scope = scope_in(pool, NULL);
            (void)shunt_scope_submit(walk.scope, visit, &walk);
            assert_ok(shunt_scope_close(walk.scope, &all));
            assert_long(tally_of(walk.seen), size_of(&walk));
            assert_long((long)all.count, size_of(&walk));
            assert_ok(shunt_results_release(&all));
            walk.seen = stage_tally();
            assert_takes(shunt_submit(pool, walk_in_task, &walk),
                         size_of(&walk));
        }
        harness_free(pool);
    }
}

/* A member of an inner scope is one of the outer scope too: what it submits
 * there is waited for, though the outer one is being closed. */
static int visit_within(const struct walk *in, shunt_none *out)
{
    shunt_scope *inner;
    int rc = shunt_scope_open(&inner, NULL, NULL);

    (void)out;
    for (int i = 0; rc == 0 && i < in->width; i++)
        (void)shunt_scope_submit(inner, visit, in);
    return rc != 0 ? rc : shunt_scope_close(inner, NULL);
}
SHUNT_TASK(visit_within, struct walk, shunt_none)

static void members_of_inner_scopes_may_submit_in_the_outer_one(void)
{
    for (int workers = 1; workers <= 4; workers *= 4) {
        shunt_pool *pool = harness_pool(workers);
        struct walk walk = { scope_in(pool, NULL), stage_tally(), 4, 3 };

        (void)shunt_scope_submit(walk.scope, visit_within, &walk);
        assert_ok(shunt_scope_close(walk.scope, NULL));
        assert_long(tally_of(walk.seen), 3 * size_of(&walk));
        harness_free(pool);
    }
}

/* ---- threads ---- */

enum {
    THREADS = 3,
    SUBMITS = 200
};

struct crowd {
    shunt_scope *scope;
    atomic_long accepted, refused, wrong;
    atomic_bool closed; /* set when the scope has been closed */
    int fail_at;        /* the value that fails; -1: none */
    long order;         /* of the thread */
};

struct stamp {
    struct crowd *crowd;
    int value;
};

static int run_stamp(const struct stamp *in, int *out)
{
    *out = in->value;
    if (atomic_load(&in->crowd->closed))
        atomic_fetch_add(&in->crowd->wrong, 1);
    return in->value == in->crowd->fail_at ? 9 : 0;
}
SHUNT_TASK(run_stamp, struct stamp, int)

static void *submit_many(void *user)
{
    struct crowd *crowd = user;

    for (int i = 0; i < SUBMITS; i++) {
        shunt_future *f = shunt_scope_submit(crowd->scope, run_stamp,
                                             &(struct stamp){ crowd, i });
        int rc = shunt_status(f);

        /* Refused; else it has been accepted, whatever became of it. */
        if ((rc == SHUNT_ECLOSED || rc == SHUNT_ECANCELED ||
             rc == SHUNT_EINVAL) &&
            shunt_error_of(f)->task[0] == '\0' && shunt_retain(f) == f) {
            atomic_fetch_add(&crowd->refused, 1);
            continue;
        }
        atomic_fetch_add(&crowd->accepted, 1);
        if (i % 3 == 0)
            (void)shunt_release(f);
        else if (i % 7 == 0)
            (void)shunt_cancel(f);
    }
    return NULL;
}

static void *cancel_once(void *user)
{
    struct crowd *crowd = user;

    for (long i = 0; i < crowd->order; i++)
        sched_yield();
    (void)shunt_scope_cancel(crowd->scope);
    return NULL;
}

/* Method: a random moment for the cancel, for the close and for the failure.
 * Whatever comes first: what was accepted is among the results and has settled,
 * and nothing runs once the scope is closed. */
static void what_was_accepted_is_in_the_results_whoever_comes_first(void)
{
    shunt_pool *pool = harness_pool(2);

    for (long i = rounds(300); i > 0; i--) {
        struct crowd *crowd = stage_bytes(sizeof *crowd);
        uint64_t random = stage_random();
        pthread_t threads[THREADS], canceller;
        shunt_results all;
        int rc;

        harness_note("round %ld, random %llx", i, (unsigned long long)random);
        crowd->fail_at = random % 3 == 0 ? (int)(random / 3 % SUBMITS) : -1;
        crowd->order = (long)(random >> 20 & 63);
        crowd->scope = scope_in(
            pool,
            &(shunt_scope_options){ .keep_going = (random >> 30) % 2 == 0 });
        for (int j = 0; j < THREADS; j++)
            assert_int_equal(
                pthread_create(&threads[j], NULL, submit_many, crowd), 0);
        if ((random >> 31) % 2 == 0)
            assert_int_equal(
                pthread_create(&canceller, NULL, cancel_once, crowd), 0);
        for (uint64_t j = random >> 40 & 127; j > 0; j--)
            sched_yield();
        rc = shunt_scope_close(crowd->scope, &all);
        atomic_store(&crowd->closed, true);
        assert_true(rc == 0 || rc == SHUNT_EFAILED || rc == SHUNT_ECANCELED);
        for (size_t j = 0; j < all.count; j++)
            assert_true(shunt_status(all.futures[j]) != SHUNT_PENDING);
        for (int j = 0; j < THREADS; j++)
            pthread_join(threads[j], NULL);
        if ((random >> 31) % 2 == 0)
            pthread_join(canceller, NULL);
        assert_long((long)all.count, atomic_load(&crowd->accepted));
        assert_long(atomic_load(&crowd->accepted) +
                        atomic_load(&crowd->refused),
                    THREADS * SUBMITS);
        assert_long(atomic_load(&crowd->wrong), 0);
        assert_ok(shunt_results_release(&all));
    }
    harness_free(pool);
}

/* ---- failures ---- */

static int fail_or_spin(const int *in, long *out)
{
    (void)out;
    if (*in != 0)
        return *in;
    while (!shunt_cancelled())
        sched_yield();
    return SHUNT_ECANCELED;
}
SHUNT_TASK(fail_or_spin, int, long)

/* Method: the siblings run until they are cancelled, one on each worker but the
 * last, so a failure that is lost is a scope that does not end. It comes
 * before, amid and after the others. */
static void no_failure_is_lost_whenever_it_comes(void)
{
    for (int workers = 2; workers <= 4; workers++) {
        shunt_pool *pool = harness_pool(workers);

        for (long i = rounds(3000); i > 0; i--) {
            shunt_scope *scope = scope_in(pool, NULL);
            int at = (int)(stage_random() % (unsigned)workers);

            for (int j = 0; j < workers; j++)
                (void)shunt_scope_submit(scope, fail_or_spin,
                                         &(int){ j == at ? 5 : 0 });
            assert_status(shunt_scope_close(scope, NULL), SHUNT_EFAILED);
            assert_long(shunt_last_error()->task_code, 5);
        }
        harness_free(pool);
    }
}

/* Who has seen a failure finds the scope cancelled. */
static void after_a_failure_was_seen_every_submit_is_refused(void)
{
    shunt_pool *pool = harness_pool(2);

    for (long i = rounds(20000); i > 0; i--) {
        shunt_scope *scope = scope_in(pool, NULL);
        shunt_future *f = shunt_scope_submit(scope, stage_fail, &(int){ 1 });

        while (shunt_status(f) == SHUNT_PENDING)
            sched_yield();
        assert_joins(shunt_scope_submit(scope, stage_nothing, NULL),
                     SHUNT_ECANCELED);
        assert_status(shunt_scope_close(scope, NULL), SHUNT_EFAILED);
    }
    harness_free(pool);
}

/* ---- a task is cancelled whose worker its own child keeps ---- */

/* Waits for a child that runs, on this worker, until it is cancelled. */
static int wait_for_spinner(const int *in, long *out)
{
    shunt_scope *scope;
    int rc = shunt_scope_open(&scope, NULL, NULL);
    shunt_future *f;

    if (rc != 0)
        return rc;
    f = shunt_scope_submit(scope, fail_or_spin, &(int){ 0 });
    if (*in == 0)
        rc = shunt_await(f);
    *out = rc;
    rc = shunt_scope_close(scope, NULL);
    return rc == SHUNT_ECANCELED ? rc : 1;
}
SHUNT_TASK(wait_for_spinner, int, long)

static void a_cancel_reaches_the_children_though_their_parent_cannot_run(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int closes = 0; closes < 2; closes++) {
        for (long i = rounds(500); i > 0; i--) {
            shunt_future *f = shunt_submit(pool, wait_for_spinner, &closes);

            for (long j = i % 50; j > 0; j--)
                sched_yield();
            (void)shunt_cancel(f);
            assert_joins(f, SHUNT_ECANCELED);
        }
    }
    harness_free(pool);
}

/* ---- scopes that live long ---- */

static const shunt_scope_options forgetful = { .forget = true,
                                               .keep_going = true };

/* Method: a pool whose memory would be full if each left a little. */
static void a_scope_that_forgets_takes_no_more_memory_in_time(void)
{
    long children = harness_million() ? 1000000 : rounds(100000);
    shunt_pool *pool = NULL;
    struct tally *ran = stage_tally();
    shunt_results all;

    assert_ok(shunt_pool_new(&pool,
                             &(shunt_options){ .workers = 2,
                                               .queue_max = 1000,
                                               .arena_bytes = 1 << 20 }));
    shunt_scope *scope = scope_in(pool, &forgetful);
    for (long i = 0; i < children; i++) {
        shunt_future *f;

        /* Bounded by what runs: room for it is made. */
        while (shunt_status(f = shunt_scope_submit(
                                scope, stage_job,
                                &(struct job){ .ran = ran })) == SHUNT_EAGAIN)
            sched_yield();
        if (i % 10 == 0)
            assert_joins(f, 0);
        else
            assert_ok(shunt_release(f));
    }
    assert_ok(shunt_scope_close(scope, &all));
    assert_long((long)all.count, 0);
    assert_long(tally_of(ran), children);
    harness_free(pool);
}

static void a_scope_that_forgets_keeps_some_failures(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_scope *scope = scope_in(pool, &forgetful);
    shunt_results all;

    for (int i = 0; i < 300; i++) {
        shunt_future *f = i % 2 == 0
                              ? shunt_scope_submit(scope, stage_same,
                                                   &(long){ 1 })
                              : shunt_scope_submit(scope, stage_fail,
                                                   &(int){ i });
        (void)shunt_join(f);
    }
    assert_status(shunt_scope_close(scope, &all), SHUNT_EFAILED);
    assert_long((long)all.count, 64);
    assert_long((long)shunt_last_error()->cause_count, 64);
    for (int i = 0; i < 64; i++) {
        assert_fails_with(all.futures[i], 2 * i + 1);
        assert_long(shunt_last_error()->causes[i]->task_code, 2 * i + 1);
    }
    assert_ok(shunt_results_release(&all));
    harness_free(pool);
}

/* Whether it forgets or not, it fails fast, and says when it was cancelled. */
static void a_scope_that_forgets_ends_like_any_other(void)
{
    shunt_pool *pool = harness_pool(2);
    const shunt_scope_options o = { .forget = true };
    shunt_scope *scope = scope_in(pool, &o);

    for (int i = 0; i < 2; i++)
        (void)shunt_scope_submit(scope, fail_or_spin, &(int){ i });
    assert_status(shunt_scope_close(scope, NULL), SHUNT_EFAILED);
    scope = scope_in(pool, &o);
    (void)shunt_scope_submit(scope, fail_or_spin, &(int){ 0 });
    (void)shunt_scope_cancel(scope);
    assert_status(shunt_scope_close(scope, NULL), SHUNT_ECANCELED);
    assert_status(shunt_last_error()->code, SHUNT_ECANCELED);
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_walk_that_is_closed_at_once_comes_to_its_end),
    CLAIM(members_of_inner_scopes_may_submit_in_the_outer_one),
    CLAIM(what_was_accepted_is_in_the_results_whoever_comes_first),
    CLAIM(no_failure_is_lost_whenever_it_comes),
    CLAIM(after_a_failure_was_seen_every_submit_is_refused),
    CLAIM(a_cancel_reaches_the_children_though_their_parent_cannot_run),
    CLAIM(a_scope_that_forgets_takes_no_more_memory_in_time),
    CLAIM(a_scope_that_forgets_keeps_some_failures),
    CLAIM(a_scope_that_forgets_ends_like_any_other),
};

HARNESS_MAIN(claims)
