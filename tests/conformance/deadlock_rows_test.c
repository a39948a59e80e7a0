/* SPDX-License-Identifier: MIT */
/*
 * deadlock_rows_test.c - the rows of ExecutorDeadlockTest in the list that
 * follows CPython's test_concurrent_futures: whatever goes wrong on the way of
 * an argument into a worker process, or of a result out of it, fails that
 * future and leaves no one waiting.
 *
 * Nothing is pickled here. What a task does with its in before it begins its
 * work stands for the unpickling of the argument, what it does to its out when
 * it has done that for the pickling of the result; and what cannot be sent is a
 * pointer to memory that only one process has, which SHUNT_CHECK=pointers finds
 * before the task is called, and in its result.
 */
#include <stdlib.h>
#include <string.h>

#include "../api/death.h"

enum stage {
    AT_ARGUMENT,
    AT_WORK,
    AT_RESULT
};

struct parcel {
    enum stage stage;
    enum death how;
    struct tally *ran;
    long sum;
};

struct product {
    char *text; /* of the task's memory */
    long sum;
};

static int unpack(const struct parcel *in)
{
    long ignored;

    return in->stage == AT_ARGUMENT
               ? mortal(&(struct mortal){ .how = in->how }, &ignored)
               : 0;
}

static int work(const struct parcel *in, long *sum)
{
    *sum = in->sum + tally_add(in->ran, 1) * 0;
    return in->stage == AT_WORK
               ? mortal(&(struct mortal){ .how = in->how }, &(long){ 0 })
               : 0;
}

static int pack(const struct parcel *in, struct product *out)
{
    out->text = shunt_alloc(16);
    if (out->text == NULL)
        return 1;
    strcpy(out->text, "half wri");
    return in->stage == AT_RESULT
               ? mortal(&(struct mortal){ .how = in->how }, &(long){ 0 })
               : 0;
}

static int carry(const struct parcel *in, struct product *out)
{
    int rc = unpack(in);

    if (rc == 0)
        rc = work(in, &out->sum);
    return rc == 0 ? pack(in, out) : rc;
}
SHUNT_TASK(carry, struct parcel, struct product)

/* One that dies at that stage among others that do not. */
static void try_among_others(enum stage stage, enum death how, bool worked)
{
    for (int workers = 1; workers <= 2; workers++) {
        shunt_pool *pool = harness_pool(workers);
        struct parcel in = { stage, how, stage_tally(), 0 };
        shunt_future *f, *others[20];

        harness_note("%s, %d workers", death_name(how), workers);
        for (long i = 0; i < 10; i++)
            others[i] = shunt_submit(pool, stage_same, &i);
        f = shunt_submit(pool, carry, &in);
        for (long i = 10; i < 20; i++)
            others[i] = shunt_submit(pool, stage_same, &i);
        assert_dies(f);
        for (long i = 0; i < 20; i++)
            assert_takes(others[i], i);
        assert_long(tally_of(in.ran), worked);
        assert_ok(
            shunt_pool_shutdown(pool, SHUNT_DRAIN, harness_patience(), NULL));
        harness_free(pool);
    }
}

/* exit_at_task_unpickle */
static void an_exit_while_the_argument_is_read_fails_that_future(void)
{
    try_among_others(AT_ARGUMENT, BY_EXIT_0, false);
    try_among_others(AT_ARGUMENT, BY_EXIT_AT_ONCE, false);
}

/* crash_at_task_unpickle */
static void a_crash_while_the_argument_is_read_fails_that_future(void)
{
    try_among_others(AT_ARGUMENT, BY_NULL, false);
    try_among_others(AT_ARGUMENT, BY_KILL, false);
}

/* exit_during_func_exec */
static void an_exit_at_work_fails_that_future(void)
{
    try_among_others(AT_WORK, BY_EXIT_3, true);
    try_among_others(AT_WORK, BY_EXIT_AT_ONCE, true);
}

/* crash_during_func_exec */
static void a_crash_at_work_fails_that_future(void)
{
    try_among_others(AT_WORK, BY_NULL, true);
    try_among_others(AT_WORK, BY_ABORT, true);
    try_among_others(AT_WORK, BY_STACK, true);
}

/* exit_during_result_pickle */
static void an_exit_while_the_result_is_written_fails_that_future(void)
{
    try_among_others(AT_RESULT, BY_EXIT_0, true);
    try_among_others(AT_RESULT, BY_EXIT_AT_ONCE, true);
}

/* crash_during_result_pickle */
static void a_crash_while_the_result_is_written_fails_that_future(void)
{
    try_among_others(AT_RESULT, BY_NULL, true);
    try_among_others(AT_RESULT, BY_KILL, true);
}

/* error_during_func_exec, and error_at_task_unpickle and
 * error_during_result_pickle, which are a task's own failures here */
static void an_error_at_work_fails_that_future(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int i = 1; i < 20; i++) {
        assert_fails_with(shunt_submit(pool, stage_fail, &i), i);
        assert_takes(shunt_submit(pool, stage_same, &(long){ i }), i);
    }
    harness_free(pool);
}

/* ---- what cannot be sent ---- */

struct letter {
    const char *text;
};

static int read_letter(const struct letter *in, long *out)
{
    *out = in->text[0];
    return 0;
}
SHUNT_TASK(read_letter, struct letter, long)

/* error_at_task_pickle */
static void an_argument_that_cannot_be_sent_fails_that_future(void)
{
    shunt_pool *pool;
    char *mine = strdup("private");

    harness_env("SHUNT_CHECK", "pointers");
    pool = harness_pool(1);
    for (long i = 0; i < 10; i++) {
        assert_joins(shunt_submit(pool, read_letter, &(struct letter){ mine }),
                     SHUNT_EINVAL);
        assert_takes(shunt_submit(pool, stage_same, &i), i);
    }
    harness_free(pool);
    free(mine);
}

static int write_badly(const long *in, struct letter *out)
{
    out->text = malloc(16);
    return out->text == NULL || *in < 0;
}
SHUNT_TASK(write_badly, long, struct letter)

/* error_during_result_unpickle_in_result_handler: the host is told, and reads
 * nothing that is not there */
static void a_result_that_cannot_be_sent_fails_that_future(void)
{
    shunt_pool *pool;

    harness_env("SHUNT_CHECK", "pointers");
    pool = harness_pool(1);
    for (long i = 0; i < 10; i++) {
        shunt_future *f = shunt_submit(pool, write_badly, &i);

        assert_settles(f, SHUNT_EINVAL);
        assert_null(shunt_peek(f, struct letter));
        assert_joins(f, SHUNT_EINVAL);
        assert_takes(shunt_submit(pool, stage_same, &i), i);
    }
    harness_free(pool);
}

static int exit_if_value(const struct product *in, long *out)
{
    *out = in->sum;
    exit(in->text[0]);
}
SHUNT_TASK(exit_if_value, struct product, long)

/* exit_during_result_unpickle_in_result_handler: whoever goes on with a result
 * runs in a worker, not in the host */
static void an_exit_of_what_goes_on_with_a_result_is_not_the_hosts(void)
{
    shunt_pool *pool = harness_pool(1);
    struct parcel in = { AT_WORK, DEATHS, stage_tally(), 3 };

    in.stage = (enum stage)(AT_RESULT + 1); /* it dies nowhere */
    for (long i = 0; i < 5; i++) {
        assert_dies(shunt_then(shunt_submit(pool, carry, &in), exit_if_value));
        assert_takes(shunt_submit(pool, stage_same, &i), i);
    }
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM_OF_PROCESSES(an_argument_that_cannot_be_sent_fails_that_future),
    CLAIM_OF_PROCESSES(an_exit_while_the_argument_is_read_fails_that_future),
    CLAIM_OF_PROCESSES(a_crash_while_the_argument_is_read_fails_that_future),
    CLAIM(an_error_at_work_fails_that_future),
    CLAIM_OF_PROCESSES(an_exit_at_work_fails_that_future),
    CLAIM_OF_PROCESSES(a_crash_at_work_fails_that_future),
    CLAIM_OF_PROCESSES(an_exit_while_the_result_is_written_fails_that_future),
    CLAIM_OF_PROCESSES(a_crash_while_the_result_is_written_fails_that_future),
    CLAIM_OF_PROCESSES(a_result_that_cannot_be_sent_fails_that_future),
    CLAIM_OF_PROCESSES(an_exit_of_what_goes_on_with_a_result_is_not_the_hosts),
};

HARNESS_MAIN(claims)
