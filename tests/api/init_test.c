/* SPDX-License-Identifier: MIT */
/*
 * init_test.c - an initialiser of workers (.init) that does not do what it
 * should: dies now and then, or always.
 */
#include <signal.h>
#include <unistd.h>

#include "death.h"

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

static const struct CMUnitTest claims[] = {
    CLAIM_OF_PROCESSES(no_task_stays_pending_beside_an_init_that_dies),
};

HARNESS_MAIN(claims)
