/* SPDX-License-Identifier: MIT */
/*
 * crash_test.c - a task that ends its process fails its own future, and the
 * pool goes on with as many workers as before.
 *
 * What others make of the future that failed, and of what the dead task held,
 * is in crash_kin_test.c.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "census.h"
#include "death.h"

/* ---- one among many ---- */

/* Method: one of many tasks, that has many before and behind it. */
static void every_way_to_die_fails_one_future_alone(void)
{
    enum {
        TASKS = 300
    };

    for (enum death how = 0; how < DEATHS; how++) {
        shunt_pool *pool = harness_pool(2);
        size_t processes = death_census();
        size_t at = (size_t)(stage_random() % TASKS);
        shunt_future *fs[TASKS];

        harness_note("%s", death_name(how));
        for (long i = 0; i < TASKS; i++)
            fs[i] = (size_t)i == at ? death_in(pool, how)
                                    : shunt_submit(pool, stage_same, &i);
        for (long i = 0; i < TASKS; i++) {
            if ((size_t)i != at)
                assert_takes(fs[i], i);
        }
        assert_settles(fs[at], SHUNT_ECRASHED);
        const shunt_error *error = shunt_error_of(fs[at]);
        assert_string_equal(error->task, "mortal");
        assert_non_null(strstr(error->where, "death.c:"));
        assert_long(error->task_code, 0);
        assert_long(error->attempts, 1);
        assert_ok(shunt_release(fs[at]));
        death_all_work(pool, 2);
        assert_true(death_census_becomes(processes));
        harness_free(pool);
    }
}

static int die_at(size_t from, size_t to, const struct mortal *in)
{
    long out;

    return from <= 5000 && 5000 < to ? mortal(in, &out) : 0;
}

static void a_body_that_dies_fails_its_loop_alone(void)
{
    shunt_pool *pool = harness_pool(2);

    for (enum death how = 0; how < DEATHS; how++) {
        struct mortal in = { .how = how };
        shunt_future *fs[3];

        harness_note("%s", death_name(how));
        for (size_t i = 0; i < 3; i++)
            fs[i] = shunt_for(pool, 0, i == 1 ? 10000 : 5000, die_at, &in);
        assert_settles(fs[1], SHUNT_ECRASHED);
        assert_string_equal(shunt_error_of(fs[1])->task, "shunt_for");
        for (size_t i = 0; i < 3; i++)
            assert_joins(fs[i], i == 1 ? SHUNT_ECRASHED : 0);
    }
    harness_free(pool);
}

/* Method: what ends at its deadline does not end by itself. */
static void what_does_not_end_is_killed_at_its_deadline_alone(void)
{
    shunt_pool *pool = harness_pool(2);
    struct job stuck = { .started = stage_latch(), .go = stage_latch() };
    shunt_future *fs[200];

    for (int round = 0; round < 5; round++) {
        shunt_future *f = shunt_submit_with(pool, stage_job, &stuck,
                                            .deadline_ns = SHUNT_MS(20));
        for (long i = 0; i < 200; i++)
            fs[i] = shunt_submit(pool, stage_same, &i);
        for (long i = 0; i < 200; i++)
            assert_takes(fs[i], i);
        assert_joins(f, SHUNT_ETIMEDOUT);
        death_all_work(pool, 2);
    }
    harness_free(pool);
}

/* Method: the only worker is at the task that dies, and all others are queued
 * behind it. */
static void what_is_queued_behind_a_task_that_dies_runs(void)
{
    for (enum death how = 0; how < DEATHS; how++) {
        shunt_pool *pool = harness_pool(1);
        struct mortal in = { .how = how,
                             .started = stage_latch(),
                             .go = stage_latch() };
        shunt_future *f = shunt_submit(pool, mortal, &in), *fs[200];

        harness_note("%s", death_name(how));
        assert_true(latch_reaches(in.started, 1));
        for (long i = 0; i < 200; i++)
            fs[i] = shunt_submit(pool, stage_same, &i);
        latch_raise(in.go);
        assert_dies(f);
        for (long i = 0; i < 200; i++)
            assert_takes(fs[i], i);
        harness_free(pool);
    }
}

struct parent {
    struct tally *ran;
    shunt_future **children; /* for the test */
    long count;
};

static int have_children_and_die(const struct parent *in, long *out)
{
    for (long i = 0; i < in->count; i++)
        in->children[i] = shunt_submit(
            NULL, stage_job, &(struct job){ .value = i, .ran = in->ran });
    return mortal(&(struct mortal){ .how = BY_KILL }, out);
}
SHUNT_TASK(have_children_and_die, struct parent, long)

/* Method: its children are in the queue of the worker that dies, the only one.
 * Their handles are the task's, and go with it; they run. */
static void what_a_task_submitted_before_it_died_comes_to_its_end(void)
{
    enum {
        CHILDREN = 100
    };
    shunt_pool *pool = harness_pool(1);

    for (int round = 0; round < 10; round++) {
        struct parent in = { stage_tally(),
                             stage_bytes(CHILDREN * sizeof *in.children),
                             CHILDREN };
        assert_dies(shunt_submit(pool, have_children_and_die, &in));
        for (int i = 0; i < CHILDREN; i++)
            assert_status(shunt_status(in.children[i]), SHUNT_EINVAL);
        /* Those from outside come after them, or among them. */
        for (long i = 0; i < 2 * CHILDREN; i++)
            assert_takes(shunt_submit(pool, stage_same, &i), i);
        while (shunt_pool_pending(pool) > 0)
            sched_yield();
        assert_long(tally_of(in.ran), CHILDREN);
    }
    harness_free(pool);
}

/* ---- workers ---- */

/* Method: killed from outside while it sleeps; nobody fails. */
static void a_worker_that_is_idle_may_be_killed(void)
{
    shunt_pool *pool = harness_pool(2);
    size_t processes = death_census();

    for (int i = 0; i < 20; i++) {
        long pid = 0;

        assert_ok(
            shunt_take(shunt_submit(pool, death_process, &(long){ 0 }), &pid));
        stage_asleep(pool, 2);
        assert_int_equal(kill((pid_t)pid, SIGKILL), 0);
        for (long j = 0; j < 20; j++)
            assert_takes(shunt_submit(pool, stage_same, &j), j);
        death_all_work(pool, 2);
        assert_true(death_census_becomes(processes));
    }
    harness_free(pool);
}

/* Method: a pool with a limit of memory far below what all of them take. */
static int waste_and_die(const struct mortal *in, long *out)
{
    char *bytes = shunt_alloc(64 << 10);

    if (bytes == NULL)
        return shunt_fail(2, "the pool has no memory left");
    memset(bytes, 1, 64 << 10);
    return mortal(in, out);
}
SHUNT_TASK(waste_and_die, struct mortal, long)

static void hundreds_of_deaths_leave_nothing_behind(void)
{
    static const enum death quick[] = { BY_KILL, BY_EXIT_AT_ONCE, BY_NULL,
                                        BY_EXIT_0 };
    int deaths = harness_slowness() > 1 ? 100 : harness_thorough() ? 1000 : 400;
    shunt_pool *pool;
    static struct census before, after;

    harness_limit(300);
    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = 2,
                                 .arena_bytes = (size_t)16 << 20,
                                 .unobserved = shunt_unobserved_ignore }));
    /* The first one with a backtrace has what reads it loaded. */
    assert_dies(death_in(pool, BY_KILL));
    assert_dies(death_in(pool, BY_NULL));
    death_all_work(pool, 2);
    size_t processes = death_census();
    census_take(&before);
    for (int i = 0; i < deaths; i++)
        assert_dies(shunt_submit(pool, waste_and_die,
                                 &(struct mortal){ .how = quick[i % 4] }));
    death_all_work(pool, 2);
    assert_true(death_census_becomes(processes));
    assert_true(shunt_pool_pending(pool) == 0);
    /* The processes are others, and so are their descriptors, of which the host
     * may be about to get one: its worker can be ahead of it. */
    census_take(&after);
    assert_true(after.descriptors.count < before.descriptors.count + 10);
    after.descriptors = before.descriptors;
    after.children = before.children;
    after.kin = before.kin;
    assert_true(census_compare(&before, &after, 0, harness_slowness() == 1));
    harness_free(pool);
}

/* ---- init ---- */

static int die_in_init(void *arg)
{
    struct tally *ran = arg;

    tally_add(ran, 1);
    return mortal(&(struct mortal){ .how = BY_NULL }, &(long){ 0 });
}

/* Goal: it does not try for ever. */
static void a_pool_whose_workers_die_in_init_is_broken(void)
{
    for (int workers = 1; workers <= 3; workers++) {
        struct tally *ran = stage_tally();
        shunt_pool *pool;
        shunt_future *fs[20];

        assert_ok(shunt_pool_new(
            &pool, &(shunt_options){ .workers = workers,
                                     .init = die_in_init,
                                     .init_arg = ran,
                                     .unobserved = shunt_unobserved_ignore }));
        for (int i = 0; i < 20; i++)
            fs[i] = shunt_submit(pool, stage_nothing, NULL);
        for (int i = 0; i < 20; i++)
            assert_joins(fs[i], SHUNT_EBROKEN);
        assert_joins(shunt_submit(pool, stage_nothing, NULL), SHUNT_EBROKEN);
        assert_true(tally_of(ran) >= workers && tally_of(ran) <= 50);
        harness_free(pool);
    }
}

static int die_in_first_init(void *arg)
{
    struct tally *ran = arg;

    if (tally_add(ran, 1) > 0)
        return 0;
    return mortal(&(struct mortal){ .how = BY_ABORT }, &(long){ 0 });
}

static void a_death_in_one_init_does_no_harm(void)
{
    struct tally *ran = stage_tally();
    shunt_pool *pool;

    assert_ok(shunt_pool_new(&pool, &(shunt_options){ .workers = 2,
                                                      .init = die_in_first_init,
                                                      .init_arg = ran }));
    for (long i = 0; i < 100; i++)
        assert_takes(shunt_submit(pool, stage_same, &i), i);
    death_all_work(pool, 2);
    assert_long(tally_of(ran), 3);
    harness_free(pool);
}

/* ---- exit ---- */

static FILE *unwritten; /* that has something in its buffer */

static void handler_of_the_host(void)
{
    struct tally *ran = stage_shown(STAGE_OF_TEST);

    if (ran != NULL)
        tally_add(ran, 1);
}

/* Before main, and so before any process was forked. */
__attribute__((constructor)) static void leave_to_exit(void)
{
    int fd = memfd_create("unwritten", MFD_CLOEXEC);

    unwritten = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (unwritten == NULL || fputs("once", unwritten) < 0 ||
        atexit(handler_of_the_host) != 0)
        abort();
}

static void a_task_that_exits_ends_nothing_of_the_host(void)
{
    struct tally *ran = stage_tally();
    shunt_pool *pool = harness_pool(1);

    stage_show(STAGE_OF_TEST, ran);
    for (int i = 0; i < 3; i++) {
        assert_dies(death_in(pool, BY_EXIT_0));
        assert_dies(death_in(pool, BY_EXIT_3));
    }
    harness_free(pool);
    assert_long(tally_of(ran), 0);
    stage_show(STAGE_OF_TEST, NULL);
    assert_int_equal(fflush(unwritten), 0);
    assert_long((long)lseek(fileno(unwritten), 0, SEEK_END), 4);
}

/* ---- at any moment ---- */

/* A tree of tasks, some of which die. */
struct tree {
    long depth;
    unsigned seed;
    struct tally *grown, *deaths; /* deaths NULL: none die by themselves */
};

static int grow(const struct tree *in, long *out);
SHUNT_TASK(grow, struct tree, long)

static int grow(const struct tree *in, long *out)
{
    struct tree below = { in->depth - 1, in->seed * 2654435761u + 1, in->grown,
                          in->deaths };
    shunt_future *fs[3];
    long value = 0;

    tally_add(in->grown, 1);
    if (shunt_alloc(100 + in->seed % 5000) == NULL)
        return 2;
    if (in->deaths != NULL && in->seed % 61 == 0)
        return mortal(&(struct mortal){ .how = BY_KILL, .ran = in->deaths },
                      out);
    if (in->depth == 0)
        return 0;
    for (int i = 0; i < 3; i++, below.seed += 77777)
        fs[i] = i < 2 ? shunt_submit(NULL, grow, &below)
                      : shunt_then(shunt_submit(NULL, stage_same, &below.depth),
                                   stage_add_one);
    for (int i = 0; i < 3; i++)
        if (shunt_take(fs[i], &value) == 0)
            *out += value;
    return 0;
}

/* Its root has settled, one way or the other. */
static void assert_ends(shunt_future *root)
{
    int status = harness_await(root);

    if (status != 0 && status != SHUNT_ECRASHED)
        assert_ok(status);
    assert_ok(shunt_release(root));
}

static void trees_in_which_many_die_come_to_their_end(void)
{
    shunt_pool *pool = harness_pool(2);
    struct tally *grown = stage_tally(), *deaths = stage_tally();
    int rounds = harness_slowness() > 1 ? 3 : (int)harness_pools(100);

    harness_limit(120);
    for (int round = 0; round < rounds; round++) {
        shunt_future *roots[4];

        for (int i = 0; i < 4; i++)
            roots[i] = shunt_submit(
                pool, grow,
                &(struct tree){ 7, (unsigned)stage_random(), grown, deaths });
        for (int i = 0; i < 4; i++)
            assert_ends(roots[i]);
    }
    assert_true(tally_of(deaths) > rounds);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, harness_patience(), NULL));
    assert_true(shunt_pool_pending(pool) == 0);
    harness_free(pool);
}

struct killer {
    struct census_ids spared;
    struct tally *grown; /* how many tasks have begun */
    atomic_bool over;
    _Atomic long kills;
};

/* Whichever has a turn, whatever it is at. */
static void kill_one(struct killer *k, size_t turn)
{
    static struct census_ids kin;

    census_list_kin(&kin);
    for (size_t i = 0; i < kin.count; i++) {
        long pid = kin.ids[(i + turn) % kin.count];
        if (census_has(&k->spared, pid) || census_has_kin(pid))
            continue;
        k->kills += kill((pid_t)pid, SIGKILL) == 0;
        return;
    }
}

/* Each time that a few more tasks have begun: a pool whose workers come to none
 * would be broken. */
static void *kill_workers(void *user)
{
    struct killer *k = user;
    long seen = 0;

    for (size_t turn = 1; !atomic_load(&k->over); turn++) {
        long next = seen + 1 + (long)(turn * 7919 % 101);

        while (tally_of(k->grown) < next && !atomic_load(&k->over))
            sched_yield();
        seen = tally_of(k->grown);
        kill_one(k, turn);
    }
    return NULL;
}

/* Grow trees so many times, and until there were as many kills; how many of
 * them did not end as they may. */
static long grow_trees(shunt_pool *pool, struct killer *k, int rounds)
{
    enum {
        ROOTS = 8
    };
    long wrong = 0;

    /* Bounded by the claim's limit: it is the machine that says how soon the
     * thread that kills has its turns. */
    for (int round = 0; round < rounds || atomic_load(&k->kills) <= rounds;
         round++) {
        shunt_future *roots[ROOTS];

        harness_note("round %d", round);
        for (unsigned i = 0; i < ROOTS; i++)
            roots[i] = shunt_submit(pool, grow,
                                    &(struct tree){ 5, i + 1, k->grown, NULL });
        for (int i = 0; i < ROOTS; i++) {
            int status = harness_await(roots[i]);
            if (status != 0 && status != SHUNT_ECRASHED && wrong++ == 0)
                harness_note("round %d: %s", round,
                             shunt_error_of(roots[i])->message);
            (void)shunt_release(roots[i]);
        }
        if (wrong > 0)
            break;
    }
    return wrong;
}

/* Method: a thread kills them while they do all that there is to do. Nothing
 * hangs, nothing is lost, and the pool is whole after it. */
static void workers_may_be_killed_at_any_moment(void)
{
    static struct killer killer;
    int rounds = harness_slowness() > 1 ? 10 : (int)harness_pools(600);
    pthread_t thread;

    harness_limit(300);
    census_list_kin(&killer.spared);
    shunt_pool *pool = harness_pool(3);
    killer.grown = stage_tally();
    assert_int_equal(pthread_create(&thread, NULL, kill_workers, &killer), 0);
    long wrong = grow_trees(pool, &killer, rounds);
    atomic_store(&killer.over, true);
    pthread_join(thread, NULL);
    assert_long(wrong, 0);
    death_all_work(pool, 3);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, harness_patience(), NULL));
    assert_true(shunt_pool_pending(pool) == 0);
    harness_free(pool);
}

/* ---- shutdowns ---- */

static void a_shutdown_does_not_wait_for_the_dead(void)
{
    static const enum shunt_how hows[] = { SHUNT_DRAIN, SHUNT_CANCEL,
                                           SHUNT_KILL };

    for (int i = 0; i < harness_pools(480); i++) {
        shunt_pool *pool = harness_pool(1 + i % 3);
        shunt_future *fs[20];
        for (int j = 0; j < 20; j++)
            fs[j] = j % 4 == i % 4 ? death_in(pool, (enum death)(i % DEATHS))
                                   : shunt_submit(pool, stage_nothing, NULL);
        assert_ok(shunt_pool_shutdown(pool, hows[i % 3], SHUNT_FOREVER, NULL));
        for (int j = 0; j < 20; j++) {
            int status = shunt_status(fs[j]);
            bool dies = j % 4 == i % 4;
            assert_true(
                status == (dies ? SHUNT_ECRASHED : 0) ||
                (status == SHUNT_ECANCELED && hows[i % 3] != SHUNT_DRAIN));
        }
        harness_free(pool);
    }
}

static const struct CMUnitTest claims[] = {
    CLAIM_OF_PROCESSES(every_way_to_die_fails_one_future_alone),
    CLAIM_OF_PROCESSES(a_body_that_dies_fails_its_loop_alone),
    CLAIM_OF_PROCESSES(what_does_not_end_is_killed_at_its_deadline_alone),
    CLAIM_OF_PROCESSES(what_is_queued_behind_a_task_that_dies_runs),
    CLAIM_OF_PROCESSES(what_a_task_submitted_before_it_died_comes_to_its_end),
    CLAIM_OF_PROCESSES(a_worker_that_is_idle_may_be_killed),
    CLAIM_OF_PROCESSES(hundreds_of_deaths_leave_nothing_behind),
    CLAIM_OF_PROCESSES(a_pool_whose_workers_die_in_init_is_broken),
    CLAIM_OF_PROCESSES(a_death_in_one_init_does_no_harm),
    CLAIM_OF_PROCESSES(a_task_that_exits_ends_nothing_of_the_host),
    CLAIM_OF_PROCESSES(trees_in_which_many_die_come_to_their_end),
    CLAIM_OF_PROCESSES(workers_may_be_killed_at_any_moment),
    CLAIM_OF_PROCESSES(a_shutdown_does_not_wait_for_the_dead),
};

HARNESS_MAIN(claims)
