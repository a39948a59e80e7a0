/* SPDX-License-Identifier: MIT */
/*
 * init_test.c - an initialiser of workers (.init) that does not do what it
 * should: dies now and then, or always; or does not return.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "death.h"
#include "dumped.h"

static int alone(const shunt_none *in, shunt_none *out)
{
    (void)in;
    (void)out;
    return 0;
}
SHUNT_TASK(alone, shunt_none, shunt_none, .exclusive = true)

static int wait_for_one_alone(const shunt_none *in, shunt_none *out)
{
    int rc = shunt_join(shunt_submit(NULL, alone, NULL));

    (void)in;
    (void)out;
    return rc == 0 || rc == SHUNT_EBROKEN ? 0 : 1;
}
SHUNT_TASK(wait_for_one_alone, shunt_none, shunt_none)

/* ---- that dies ---- */

/* It dies unless the number of its calls is a multiple of every; of 0 none
 * is. */
struct sickly {
    struct tally *ran;
    long every;
};

static int be_sickly(void *arg)
{
    static const enum death hows[] = { BY_ABORT, BY_KILL, BY_EXIT_3 };
    const struct sickly *s = arg;
    long n = tally_add(s->ran, 1);

    if (s->every > 0 && n % s->every == 0)
        return 0;
    return mortal(&(struct mortal){ .how = hows[n % 3] }, &(long){ 0 });
}

/* Whatever there is for it to run comes to its end. */
static void have_all_end(shunt_pool *pool)
{
    enum {
        TASKS = 12
    };
    shunt_future *fs[TASKS];

    for (int i = 0; i < TASKS; i++)
        fs[i] = i % 3 == 0   ? shunt_submit(pool, alone, NULL)
                : i % 3 == 1 ? shunt_submit(pool, stage_nothing, NULL)
                             : shunt_submit(pool, wait_for_one_alone, NULL);
    for (int i = 0; i < TASKS; i++) {
        int status = harness_await(fs[i]);

        /* What had begun in a process that was killed has crashed. */
        if (status != 0 && status != SHUNT_ECRASHED)
            assert_status(status, SHUNT_EBROKEN);
        assert_ok(shunt_release(fs[i]));
    }
}

/* Goal: whether there will be a worker in the end, and whether there are
 * processes for exclusive tasks, no task stays pending; and that the pool can
 * be shut down, or freed at once. */
static void no_task_stays_pending_beside_an_init_that_dies(void)
{
    for (int i = 0; i < 12; i++) {
        struct sickly *s = stage_bytes(sizeof *s);
        shunt_pool *pool = NULL;

        s->ran = stage_tally();
        s->every = i % 4 == 3 ? 0 : 2 + 2 * (i % 4);
        assert_ok(shunt_pool_new(
            &pool, &(shunt_options){ .workers = 1 + i % 2,
                                     .worker_tasks_max = i / 4 == 2 ? 0 : 1,
                                     .init = be_sickly,
                                     .init_arg = s,
                                     .unobserved = shunt_unobserved_ignore }));
        have_all_end(pool);
        if (i % 3 == 0)
            assert_ok(shunt_pool_shutdown(pool, SHUNT_KILL, harness_patience(),
                                          NULL));
        harness_free(pool);
    }
}

/* ---- what is said of it ---- */

/* A pool with that .init fails what it is given, and says why. */
static void assert_blames(shunt_options options, const char *part)
{
    shunt_pool *pool = NULL;
    shunt_future *f;

    options.workers = 1;
    options.unobserved = shunt_unobserved_ignore;
    assert_ok(shunt_pool_new(&pool, &options));
    f = shunt_submit(pool, stage_nothing, NULL);
    assert_settles(f, SHUNT_EBROKEN);
    harness_note("%s; it lacks: %s", shunt_error_of(f)->message, part);
    assert_non_null(strstr(shunt_error_of(f)->message,
                           "stage_nothing: the pool is broken: "));
    assert_non_null(strstr(shunt_error_of(f)->message, part));
    assert_ok(shunt_release(f));
    f = shunt_retry(pool, stage_nothing, NULL, .attempts = 2);
    assert_settles(f, SHUNT_EBROKEN);
    assert_non_null(strstr(shunt_error_of(f)->message, part));
    assert_ok(shunt_release(f));
    assert_long(count_parts(dump_raw(pool), part), 1);
    harness_free(pool);
}

static int return_a_number(void *number)
{
    return *(int *)number;
}

static void what_init_returned_is_said(void)
{
    int *numbers = stage_bytes(2 * sizeof *numbers);

    numbers[0] = 7;
    numbers[1] = INT32_MIN;
    assert_blames(
        (shunt_options){ .init = return_a_number, .init_arg = &numbers[0] },
        ".init returned 7 in worker 0");
    assert_blames(
        (shunt_options){ .init = return_a_number, .init_arg = &numbers[1] },
        ".init returned -2147483648 in worker 0");
}

static int die_as_told(void *how)
{
    return mortal(&(struct mortal){ .how = *(enum death *)how }, &(long){ 0 });
}

static void how_processes_died_in_init_is_said(void)
{
    static const struct {
        enum death how;
        const char *part;
    } ends[] = {
        { BY_EXIT_3, ".init had returned; the last one called exit(3)" },
        { BY_KILL, "the last one was killed by SIGKILL" },
        { BY_TERM, "5 processes of worker 0 in a row died before .init" },
    };

    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        enum death *how = stage_bytes(sizeof *how);

        *how = ends[i].how;
        assert_blames((shunt_options){ .init = die_as_told, .init_arg = how },
                      ends[i].part);
    }
}

static int need_much(void *bytes)
{
    char *volatile much = malloc(*(size_t *)bytes); /* or it is left out */

    if (much == NULL)
        abort();
    memset(much, 1, *(size_t *)bytes);
    free(much);
    return 0;
}

static void that_init_hit_a_limit_is_said(void)
{
    size_t *bytes = stage_bytes(sizeof *bytes);

    *bytes = (size_t)64 << 20;
    assert_blames((shunt_options){ .worker_bytes_max = (size_t)16 << 20,
                                   .init = need_much,
                                   .init_arg = bytes },
                  ".worker_bytes_max allows 16 MiB");
}

/* ---- that does not return ---- */

struct stubborn {
    struct latch *started, *go;
};

static int be_stubborn(void *arg)
{
    const struct stubborn *s = arg;

    latch_raise(s->started);
    return latch_reaches(s->go, 1) ? 0 : STAGE_LATE;
}

/* A pool of one worker, which is at its .init. */
static shunt_pool *stubborn_pool(struct stubborn **s_out)
{
    struct stubborn *s = *s_out = stage_bytes(sizeof *s);
    shunt_pool *pool = NULL;

    *s = (struct stubborn){ stage_latch(), stage_latch() };
    assert_ok(shunt_pool_new(&pool, &(shunt_options){ .workers = 1,
                                                      .init = be_stubborn,
                                                      .init_arg = s }));
    assert_true(latch_reaches(s->started, 1));
    return pool;
}

static const enum shunt_how hows[] = { SHUNT_DRAIN, SHUNT_CANCEL, SHUNT_KILL };

/* It runs on; but a process that is killed for that may be gone already. */
static void shut_down_late(shunt_pool *pool, enum shunt_how how, int64_t ns)
{
    size_t left = 77;
    int rc = shunt_pool_shutdown(pool, how, ns, &left);

    if (rc != 0 || how != SHUNT_KILL || !harness_isolated())
        assert_status(rc, SHUNT_ETIMEDOUT);
    assert_long((long)left, rc == 0 ? 0 : 1);
}

/* Goal: it is counted as code that runs on; and what it submits is drained. */
static void a_shutdown_waits_for_init_no_longer_than_it_may(void)
{
    for (int i = 0; i < 6; i++) {
        struct stubborn *s;
        shunt_pool *pool = stubborn_pool(&s);
        shunt_future *f =
            i < 3 ? NULL : shunt_submit(pool, stage_same, &(long){ 5 });
        size_t left = 77;

        shut_down_late(pool, hows[i % 3], SHUNT_MS(1));
        latch_raise(s->go);
        assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, harness_patience(),
                                      &left));
        assert_long((long)left, 0);
        if (f != NULL && hows[i % 3] == SHUNT_DRAIN)
            assert_takes(f, 5);
        else if (f != NULL)
            assert_joins(f, SHUNT_ECANCELED);
        harness_free(pool);
    }
}

/* Method: the latch is raised when the pool is gone; the harness sees what is
 * left of its threads. */
static void after_a_kill_a_pool_is_freed_while_init_runs(void)
{
    struct stubborn *s;
    shunt_pool *pool = stubborn_pool(&s);
    shunt_future *f = shunt_submit(pool, stage_nothing, NULL);

    shut_down_late(pool, SHUNT_KILL, 0);
    assert_status(shunt_status(f), SHUNT_ECANCELED);
    assert_ok(shunt_release(f));
    harness_free(pool);
    latch_raise(s->go);
}

/* Method: nobody raises the latch. */
static void a_kill_ends_processes_that_are_at_init(void)
{
    struct stubborn *s;
    shunt_pool *pool = stubborn_pool(&s);
    shunt_future *f = shunt_submit(pool, stage_nothing, NULL);
    size_t left = 77;

    (void)shunt_pool_shutdown(pool, SHUNT_KILL, 0, &left);
    assert_status(shunt_status(f), SHUNT_ECANCELED);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_KILL, harness_patience(), &left));
    assert_long((long)left, 0);
    assert_joins(f, SHUNT_ECANCELED);
    assert_true(death_census_becomes(2)); /* the seed, and the zygote */
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(what_init_returned_is_said),
    CLAIM_OF_PLAIN_PROCESSES(how_processes_died_in_init_is_said),
    CLAIM_OF_PLAIN_PROCESSES(that_init_hit_a_limit_is_said),
    CLAIM(a_shutdown_waits_for_init_no_longer_than_it_may),
    CLAIM(after_a_kill_a_pool_is_freed_while_init_runs),
    CLAIM_OF_PROCESSES(a_kill_ends_processes_that_are_at_init),
    CLAIM_OF_PROCESSES(no_task_stays_pending_beside_an_init_that_dies),
};

HARNESS_MAIN(claims)
