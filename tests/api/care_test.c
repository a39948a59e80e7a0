/* SPDX-License-Identifier: MIT */
/*
 * care_test.c - worker processes that are replaced although they are well, and
 * limits of their memory.
 *
 * Goal: .worker_tasks_max changes which process a task runs in, and nothing
 * else. Method: tasks say where they ran.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "death.h"

/* ---- how many ---- */

static void a_process_begins_so_many_tasks_and_then_there_is_another(void)
{
    for (size_t most = 1; most <= 4; most++) {
        shunt_pool *pool = death_pool(1, most);
        long before = 0;

        for (int i = 0; i < 10; i++) {
            long pid = death_next_process(pool);

            assert_true(pid != before);
            for (size_t more = 1; more < most; more++)
                assert_long(death_next_process(pool), pid);
            before = pid;
        }
        harness_free(pool);
    }
}

static void without_a_limit_a_process_stays(void)
{
    shunt_pool *pool = death_pool(1, 0), *huge = death_pool(1, SIZE_MAX);
    long pid = death_next_process(pool), of_huge = death_next_process(huge);

    for (int i = 0; i < 200; i++) {
        assert_long(death_next_process(pool), pid);
        assert_long(death_next_process(huge), of_huge);
    }
    harness_free(pool);
    harness_free(huge);
}

/* Method: all are queued before the first has ended. */
static void what_is_queued_when_a_process_ends_runs_once(void)
{
    enum {
        TASKS = 300
    };
    static shunt_future *fs[TASKS];

    for (int workers = 1; workers <= 3; workers++) {
        struct tally *ran = stage_tally();
        shunt_pool *pool = death_pool(workers, 7);

        for (long i = 0; i < TASKS; i++)
            fs[i] = shunt_submit(pool, stage_job,
                                 &(struct job){ .value = i, .ran = ran });
        for (long i = 0; i < TASKS; i++)
            assert_takes(fs[i], i);
        assert_long(tally_of(ran), TASKS);
        harness_free(pool);
    }
}

static int count_init(void *arg)
{
    tally_add(arg, 1);
    return 0;
}

/* Goal: nobody takes it for a crash, not even as often as that. */
static void init_runs_in_every_process_and_no_pool_breaks(void)
{
    struct tally *ran = stage_tally();
    size_t processes = death_census();
    shunt_pool *pool;

    assert_ok(shunt_pool_new(&pool, &(shunt_options){ .workers = 1,
                                                      .worker_tasks_max = 1,
                                                      .init = count_init,
                                                      .init_arg = ran }));
    processes = death_census() - processes;
    for (long i = 0; i < 100; i++)
        assert_takes(shunt_submit(pool, stage_same, &i), i);
    assert_in_range(tally_of(ran), 100, 101);
    harness_free(pool);
    assert_true(processes >= 1);
}

/* ---- hooks of promises ---- */

struct listener {
    shunt_promise *promise;
    struct latch *called;
    long pid;
};

static void note_call(void *user)
{
    struct listener *l = user;

    l->pid = stage_process();
    latch_raise(l->called);
}

static int listen_to(struct listener *const *in, long *out)
{
    *out = stage_process();
    return shunt_promise_on_cancel((*in)->promise, note_call, *in);
}
SHUNT_TASK(listen_to, struct listener *, long)

static int listen_alone(struct listener *const *in, long *out)
{
    return listen_to(in, out);
}
SHUNT_TASK(listen_alone, struct listener *, long, .exclusive = true)

static shunt_future *listen(shunt_pool *pool, bool alone, struct listener **in)
{
    return alone ? shunt_submit(pool, listen_alone, in)
                 : shunt_submit(pool, listen_to, in);
}

static void a_hook_is_called_although_its_process_is_used_up(void)
{
    for (int round = 0; round < 20; round++) {
        shunt_pool *pool = death_pool(1, 1);
        struct stage_promise p = stage_promise(pool);
        struct listener *l = stage_bytes(sizeof *l);
        bool alone = round % 2 != 0;
        long pid;

        *l = (struct listener){ p.promise, stage_latch(), 0 };
        pid = death_process_of(listen(pool, alone, &l));
        for (long i = 0; i < round % 3; i++)
            assert_takes(shunt_submit(pool, stage_same, &i), i);
        assert_long(shunt_cancel(p.future), 1);
        assert_true(latch_reaches(l->called, 1));
        assert_long(l->pid, pid);
        assert_ok(shunt_promise_drop(p.promise));
        assert_joins(p.future, SHUNT_ECANCELED);
        harness_free(pool);
    }
}

/* Goal: it is then replaced as any other. Method: so many hooks that it forgets
 * those that have ended, and each promise comes to another end. */
static void a_process_whose_hooks_are_done_is_replaced(void)
{
    shunt_pool *pool = death_pool(1, 1);

    for (int round = 0; round < harness_pools(600); round++) {
        struct stage_promise p = stage_promise(pool);
        struct listener *l = stage_bytes(sizeof *l);
        long pid;

        *l = (struct listener){ p.promise, stage_latch(), 0 };
        pid = death_process_of(listen(pool, false, &l));
        assert_long(death_next_process(pool), pid);
        if (round % 3 == 0)
            assert_long(shunt_cancel(p.future), 1);
        if (round % 3 == 0)
            assert_true(latch_reaches(l->called, 1));
        if (round % 3 == 1)
            stage_give(p.promise, 1);
        else
            assert_ok(shunt_promise_drop(p.promise));
        assert_ok(shunt_release(p.future));
        /* One may have been on its way there. */
        (void)death_next_process(pool);
        assert_true(death_next_process(pool) != pid);
    }
    harness_free(pool);
}

/* ---- what is parked ---- */

struct family {
    long depth, width;
};

static int descend(const struct family *in, long *out);
SHUNT_TASK(descend, struct family, long)

static int descend(const struct family *in, long *out)
{
    struct family below = { in->depth - 1, in->width };
    shunt_future *fs[8];

    *out = 1;
    if (in->depth == 0)
        return 0;
    for (long i = 0; i < in->width; i++)
        fs[i] = shunt_submit(NULL, descend, &below);
    for (long i = 0; i < in->width; i++) {
        long n = 0;

        if (shunt_take(fs[i], &n) != 0)
            return shunt_fail(1, "%s", shunt_last_error()->message);
        *out += n;
    }
    return 0;
}

/* Goal: tasks that wait for tasks come to their ends, though each process may
 * begin one only, and there are fewer processes than tasks that wait. */
static void tasks_that_wait_for_tasks_end_whatever_the_limit(void)
{
    static const size_t most[] = { 1, 2, 10 };

    for (int workers = 1; workers <= 3; workers++)
        for (size_t i = 0; i < 3; i++) {
            shunt_pool *pool = death_pool(workers, most[i]);

            harness_note("%d workers of %zu tasks", workers, most[i]);
            assert_takes(shunt_submit(pool, descend, &(struct family){ 5, 3 }),
                         (729 - 1) / 2);
            for (long j = 0; j < 20; j++)
                assert_takes(shunt_submit(pool, stage_same, &j), j);
            harness_free(pool);
        }
}

struct wait {
    shunt_future *until;
    struct latch *started;
    long *pid;
};

static int wait_here(const struct wait *in, long *out)
{
    *in->pid = stage_process();
    latch_raise(in->started);
    *out = shunt_await(in->until);
    if (stage_process() != *in->pid)
        return shunt_fail(1, "it was moved");
    return 0;
}
SHUNT_TASK(wait_here, struct wait, long)

static shunt_future *start_waiting(shunt_pool *pool, shunt_future *until,
                                   long **pid_out)
{
    struct wait in = { until, stage_latch(), stage_bytes(sizeof(long)) };
    shunt_future *f = shunt_submit(pool, wait_here, &in);

    assert_true(latch_reaches(in.started, 1));
    *pid_out = in.pid;
    return f;
}

/* Wait until a worker of pool rests. */
static void await_rest(shunt_pool *pool)
{
    const struct timespec moment = { 0, 1000000 };
    int64_t ns = 0;

    for (shunt_pool_stats sum = { 0 }; sum.resting == 0; ns += SHUNT_MS(1)) {
        assert_true(ns < harness_patience());
        nanosleep(&moment, NULL);
        assert_ok(shunt_stats(pool, &sum, NULL, 0));
    }
}

static void a_used_up_process_begins_nothing_beside_what_waits_in_it(void)
{
    shunt_pool *pool = death_pool(2, 1);

    for (int round = 0; round < 10; round++) {
        struct stage_promise p = stage_promise(pool);
        long *pid;
        shunt_future *f = start_waiting(pool, p.future, &pid);

        for (int i = 0; i < 10; i++)
            assert_true(death_next_process(pool) != *pid);
        assert_int_equal(kill((pid_t)*pid, 0), 0);
        stage_give(p.promise, 1);
        assert_takes(f, 0);
        assert_ok(shunt_release(p.future));
    }
    harness_free(pool);
}

/* Goal: it does not keep the pool from being drained, or cancelled. */
static void what_waits_in_a_used_up_process_is_ended_with_the_pool(void)
{
    static const enum shunt_how hows[] = { SHUNT_DRAIN, SHUNT_CANCEL,
                                           SHUNT_KILL };

    for (int i = 0; i < 3; i++) {
        shunt_pool *pool = death_pool(2, 1);
        struct stage_promise p = stage_promise(pool);
        long *pid;
        shunt_future *f = start_waiting(pool, p.future, &pid);

        assert_long(death_next_process(pool) != *pid, 1);
        assert_ok(shunt_pool_shutdown(pool, hows[i], harness_patience(), NULL));
        assert_true(shunt_status(f) != SHUNT_PENDING);
        assert_joins(p.future, SHUNT_ECANCELED);
        assert_int_equal(shunt_release(f), 0);
        harness_free(pool);
    }
}

/* Goal: the one that is at work dies, and who rests is not left alone. */
static void a_death_beside_a_process_that_rests_is_one_death(void)
{
    shunt_pool *pool = death_pool(2, 1);
    struct stage_promise p = stage_promise(pool);
    long *pid;
    shunt_future *f = start_waiting(pool, p.future, &pid);

    for (enum death how = 0; how < DEATHS; how++)
        assert_dies(death_in(pool, how));
    stage_give(p.promise, 1);
    assert_takes(f, 0);
    assert_ok(shunt_release(p.future));
    harness_free(pool);
}

static void a_process_that_rests_may_die_as_any_other(void)
{
    shunt_pool *pool = death_pool(2, 1);

    for (int round = 0; round < 5; round++) {
        struct stage_promise p = stage_promise(pool);
        long *pid;
        shunt_future *f = start_waiting(pool, p.future, &pid);

        await_rest(pool);
        assert_true(death_next_process(pool) != *pid);
        assert_int_equal(kill((pid_t)*pid, SIGKILL), 0);
        assert_settles(f, SHUNT_ECRASHED);
        assert_true(shunt_error_of(f)->collateral);
        assert_joins(f, SHUNT_ECRASHED);
        stage_give(p.promise, 1);
        assert_ok(shunt_release(p.future));
        for (long i = 0; i < 10; i++)
            assert_takes(shunt_submit(pool, stage_same, &i), i);
    }
    harness_free(pool);
}

/* ---- memory ---- */

#define MOST ((size_t)48 << 20)

static shunt_pool *pool_of_bytes(int workers, size_t most)
{
    shunt_pool *pool = NULL;

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = workers,
                                 .worker_bytes_max = most,
                                 .unobserved = shunt_unobserved_ignore }));
    return pool;
}

enum table_manners {
    FOLLOWS,  /* what malloc gave, whatever that was */
    ABORTS,   /* as a C++ program would that catches nothing */
    CONFESSES /* and gives back what it has eaten */
};

struct guest {
    enum table_manners manners;
    size_t bite;
};

struct bite {
    struct bite *before;
};

static int eat(const struct guest *in, long *out)
{
    struct bite *last = NULL;

    for (*out = 0; *out < 1 << 20; ++*out) {
        struct bite *bite = malloc(in->bite);

        if (bite == NULL && in->manners != FOLLOWS)
            break;
        memset(bite, 1, in->bite);
        bite->before = last;
        last = bite;
    }
    if (in->manners == ABORTS)
        abort();
    for (struct bite *before; last != NULL; last = before) {
        before = last->before;
        free(last);
    }
    return shunt_fail(7, "full after %ld", *out);
}
SHUNT_TASK(eat, struct guest, long)

static bool has_text(shunt_future *f, const char *text)
{
    return strstr(shunt_error_of(f)->message, text) != NULL;
}

/* Goal: it dies of the limit and not of the machine's, and it tells. */
static void a_task_that_eats_memory_until_it_dies_says_of_what(void)
{
    static const size_t bites[] = { 1000, 100000, 1 << 20 };
    shunt_pool *pool = pool_of_bytes(2, MOST);

    for (int i = 0; i < 6; i++) {
        struct guest in = { i % 2 == 0 ? FOLLOWS : ABORTS, bites[i / 2] };
        shunt_future *f = shunt_submit(pool, eat, &in);

        assert_settles(f, SHUNT_ECRASHED);
        if (!has_text(f, "out of memory") ||
            !has_text(f, ".worker_bytes_max allows 48 MiB"))
            print_error("%s\n", shunt_error_of(f)->message);
        assert_true(has_text(f, "out of memory"));
        assert_true(has_text(f, ".worker_bytes_max allows 48 MiB"));
        assert_true(shunt_error_of(f)->max_rss_bytes < 2 * MOST);
        assert_dies(f);
        for (long j = 0; j < 20; j++)
            assert_takes(shunt_submit(pool, stage_same, &j), j);
    }
    harness_free(pool);
}

static void *volatile kept;

/* Has some, and asks for more than it may ever have; or for nothing. */
static int want(const struct guest *in, long *out)
{
    volatile char *volatile bytes;

    kept = malloc(1 << 20);
    bytes = in->bite > 0 ? malloc(in->bite) : NULL;
    *out = 1;
    if (bytes == NULL && in->manners == ABORTS)
        abort();
    bytes[0] = 1;
    free((void *)bytes);
    return 0;
}
SHUNT_TASK(want, struct guest, long)

/* Goal: nobody is told of a limit that had nothing to do with it. */
static void a_limit_is_told_of_if_it_was_met_and_no_other_time(void)
{
    shunt_pool *pool = pool_of_bytes(1, MOST);

    for (int i = 0; i < 4; i++) {
        struct guest in = { i % 2 == 0 ? FOLLOWS : ABORTS,
                            i < 2 ? 2 * MOST : 0 };
        shunt_future *f = shunt_submit(pool, want, &in);

        assert_settles(f, SHUNT_ECRASHED);
        harness_note("%s", shunt_error_of(f)->message);
        assert_false(has_text(f, "out of memory"));
        assert_true(has_text(f, "had been refused memory") == (i < 2));
        assert_true(has_text(f, ".worker_bytes_max allows 48 MiB") == (i < 2));
        assert_dies(f);
    }
    harness_free(pool);
}

/* Goal: one that looks at what malloc gives fails as it likes, and nobody
 * dies. */
static void a_task_that_is_refused_memory_may_fail_by_itself(void)
{
    shunt_pool *pool = pool_of_bytes(1, MOST);
    long pid = death_next_process(pool);

    for (int i = 0; i < 5; i++) {
        shunt_future *f =
            shunt_submit(pool, eat, &(struct guest){ CONFESSES, 1 << 20 });

        assert_fails_with(f, 7);
        assert_true(has_text(f, "full after 4"));
        assert_joins(f, SHUNT_EFAILED);
        assert_long(death_next_process(pool), pid);
    }
    harness_free(pool);
}

/* So many MiB; a sanitizer's allocator wants more for itself. */
static size_t least(size_t mib)
{
    return (harness_slowness() > 1 ? 4096 : mib) << 20;
}

static int fill(const long *in, long *out)
{
    for (long i = 0; i < *in; i++) {
        char *bytes = shunt_alloc(1 << 20);

        if (bytes == NULL)
            return shunt_fail(1, "no memory after %ld MiB", i);
        memset(bytes, 1, 1 << 20);
    }
    *out = *in;
    return 0;
}
SHUNT_TASK(fill, long, long)

static void the_memory_of_the_pool_does_not_count(void)
{
    shunt_pool *pool = pool_of_bytes(2, least(16));

    for (long i = 0; i < 5; i++)
        assert_takes(shunt_submit(pool, fill, &(long){ 64 }), 64);
    harness_free(pool);
}

static int eat_all_and_use_the_pool(const long *in, long *out)
{
    void *volatile bite;

    for (size_t bytes = 65536; bytes > 0; bytes /= 16)
        do
            bite = malloc(bytes);
        while (bite != NULL);
    for (int i = 0; i < 50; i++)
        if (shunt_alloc(100) == NULL || shunt_alloc(256 << 10) == NULL)
            return 8;
    *out = *in;
    return shunt_fail(7, "full, and %ld", *in);
}
SHUNT_TASK(eat_all_and_use_the_pool, long, long)

static int eat_alone(const long *in, long *out)
{
    return eat_all_and_use_the_pool(in, out);
}
SHUNT_TASK(eat_alone, long, long, .exclusive = true)

/* Goal: a process that has nothing left of its own before its first use of the
 * pool's memory has that. */
static void a_process_that_is_full_has_the_memory_of_the_pool(void)
{
    shunt_pool *pool = pool_of_bytes(1, MOST);

    for (int alone = 0; alone < 2; alone++) {
        shunt_future *f =
            alone != 0
                ? shunt_submit(pool, eat_alone, &(long){ 5 })
                : shunt_submit(pool, eat_all_and_use_the_pool, &(long){ 5 });

        assert_fails_with(f, 7);
        assert_true(has_text(f, "full, and 5"));
        assert_non_null(strstr(shunt_error_of(f)->where, "care_test.c"));
        assert_joins(f, SHUNT_EFAILED);
    }
    harness_free(pool);
}

static void tasks_run_with_the_least_memory_that_can_be_set(void)
{
    shunt_pool *pool = pool_of_bytes(2, least(8));

    for (long i = 0; i < 20; i++) {
        assert_takes(shunt_submit(pool, descend, &(struct family){ 4, 3 }),
                     (243 - 1) / 2);
        assert_fails_with(shunt_submit(pool, stage_fail, &(int){ 3 }), 3);
        assert_takes(shunt_submit(pool, fill, &(long){ 1 }), 1);
    }
    harness_free(pool);
}

static const struct CMUnitTest care[] = {
    CLAIM_OF_PROCESSES(
        a_process_begins_so_many_tasks_and_then_there_is_another),
    CLAIM_OF_PROCESSES(without_a_limit_a_process_stays),
    CLAIM_OF_PROCESSES(what_is_queued_when_a_process_ends_runs_once),
    CLAIM_OF_PROCESSES(init_runs_in_every_process_and_no_pool_breaks),
    CLAIM_OF_PROCESSES(a_hook_is_called_although_its_process_is_used_up),
    CLAIM_OF_PROCESSES(a_process_whose_hooks_are_done_is_replaced),
    CLAIM_OF_PROCESSES(tasks_that_wait_for_tasks_end_whatever_the_limit),
    CLAIM_OF_PROCESSES(
        a_used_up_process_begins_nothing_beside_what_waits_in_it),
    CLAIM_OF_PROCESSES(what_waits_in_a_used_up_process_is_ended_with_the_pool),
    CLAIM_OF_PROCESSES(a_death_beside_a_process_that_rests_is_one_death),
    CLAIM_OF_PROCESSES(a_process_that_rests_may_die_as_any_other),
    CLAIM_OF_PLAIN_PROCESSES(
        a_task_that_eats_memory_until_it_dies_says_of_what),
    CLAIM_OF_PLAIN_PROCESSES(
        a_limit_is_told_of_if_it_was_met_and_no_other_time),
    CLAIM_OF_PLAIN_PROCESSES(a_task_that_is_refused_memory_may_fail_by_itself),
    CLAIM_OF_PROCESSES(the_memory_of_the_pool_does_not_count),
    CLAIM_OF_PLAIN_PROCESSES(a_process_that_is_full_has_the_memory_of_the_pool),
    CLAIM_OF_PROCESSES(tasks_run_with_the_least_memory_that_can_be_set),
};

HARNESS_MAIN(care)
