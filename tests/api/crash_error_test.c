/* SPDX-License-Identifier: MIT */
/*
 * crash_error_test.c - what the error of a task says whose process died: how,
 * where, and who is to blame.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "death.h"

/* How each of them is told. */
static const struct end {
    int signal, exit_status;
    const char *says;
} ends[DEATHS] = {
    [BY_NULL] = { SIGSEGV, 0, "NULL" },
    [BY_ABORT] = { SIGABRT, 0, "abort" },
    [BY_EXIT_0] = { 0, 0, "exit" },
    [BY_EXIT_3] = { 0, 3, "3" },
    [BY_EXIT_AT_ONCE] = { 0, 1, "1" },
    [BY_KILL] = { SIGKILL, 0, "SIGKILL" },
    [BY_TERM] = { SIGTERM, 0, "SIGTERM" },
    [BY_STACK] = { SIGSEGV, 0, "stack" },
    [BY_DIVISION] = { SIGFPE, 0, "SIGFPE" },
};

/* A sanitizer has handlers of its own, and reports faults by an exit. */
static bool is_told_apart(enum death how)
{
    return harness_slowness() == 1 || how == BY_KILL || how == BY_TERM ||
           how == BY_EXIT_AT_ONCE;
}

static void the_error_says_how_the_process_died(void)
{
    shunt_pool *pool = harness_pool(1);

    for (enum death how = 0; how < DEATHS; how++) {
        shunt_future *f = death_in(pool, how);

        harness_note("%s", death_name(how));
        assert_settles(f, SHUNT_ECRASHED);
        const shunt_error *error = shunt_error_of(f);
        assert_non_null(strstr(error->message, "mortal"));
        if (is_told_apart(how)) {
            assert_long(error->signal, ends[how].signal);
            assert_long(error->exit_status, ends[how].exit_status);
            assert_non_null(strstr(error->message, ends[how].says));
        }
        assert_false(error->collateral);
        assert_true(error->max_rss_bytes > 0);
        assert_ok(shunt_release(f));
    }
    harness_free(pool);
}

/* What a program prints of it has all that. */
static void an_error_as_text_says_it_too(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *f = death_in(pool, BY_EXIT_3);
    char text[2000];

    assert_settles(f, SHUNT_ECRASHED);
    assert_true(shunt_error_format(shunt_error_of(f), text, sizeof text) > 0);
    assert_non_null(strstr(text, shunt_error_of(f)->message));
    assert_non_null(strstr(text, "death.c:"));
    assert_ok(shunt_release(f));
    harness_free(pool);
}

static void a_fault_has_an_address_and_a_place(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_future *f = death_in(pool, BY_STACK);

    assert_settles(f, SHUNT_ECRASHED);
    if (is_told_apart(BY_STACK)) {
        assert_non_null(shunt_error_of(f)->address);
        assert_non_null(strstr(shunt_error_of(f)->backtrace, "use_up"));
        assert_non_null(strstr(shunt_error_of(f)->message, "of 256 KiB"));
    }
    assert_ok(shunt_release(f));
    f = death_in(pool, BY_ABORT);
    assert_settles(f, SHUNT_ECRASHED);
    assert_null(shunt_error_of(f)->address);
    if (is_told_apart(BY_ABORT))
        assert_non_null(strstr(shunt_error_of(f)->backtrace, "mortal"));
    assert_ok(shunt_release(f));
    harness_free(pool);
}

struct pointer {
    char *at;
};

static int follow(const struct pointer *in, long *out)
{
    *out = *(volatile char *)in->at;
    return 0;
}
SHUNT_TASK(follow, struct pointer, long)

/* Goal: who passes a pointer to memory of his own is told what to do. Method:
 * memory that was mapped after the worker was forked. */
static void a_pointer_to_memory_of_the_host_is_told(void)
{
    shunt_pool *pool = harness_pool(1);

    assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
    size_t bytes = (size_t)8 << 20;
    char *mine = malloc(bytes);
    assert_non_null(mine);
    memset(mine, 1, bytes);
    shunt_future *f =
        shunt_submit(pool, follow, &(struct pointer){ mine + bytes / 2 });
    assert_settles(f, SHUNT_ECRASHED);
    if (is_told_apart(BY_NULL)) {
        assert_ptr_equal(shunt_error_of(f)->address, mine + bytes / 2);
        assert_non_null(strstr(shunt_error_of(f)->message, "shunt_"));
    }
    assert_ok(shunt_release(f));
    free(mine);
    harness_free(pool);
}

static int wait_for(shunt_future *const *in, long *out)
{
    *out = shunt_await(*in);
    return 0;
}
SHUNT_TASK(wait_for, shunt_future *, long)

/* Method: the only worker parks one and then runs what dies. */
static void who_was_parked_there_has_another_to_blame(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_promise made = stage_promise(pool);
    shunt_future *parked = shunt_submit(pool, wait_for, &made.future);

    assert_joins(shunt_submit(pool, stage_nothing, NULL), 0);
    shunt_future *f = death_in(pool, BY_ABORT);
    assert_settles(parked, SHUNT_ECRASHED);
    assert_true(shunt_error_of(parked)->collateral);
    assert_string_equal(shunt_error_of(parked)->culprit, "mortal");
    assert_settles(f, SHUNT_ECRASHED);
    assert_false(shunt_error_of(f)->collateral);
    assert_string_equal(shunt_error_of(f)->culprit, "");
    assert_ok(shunt_release(parked));
    assert_ok(shunt_release(f));
    stage_give(made.promise, 1);
    assert_takes(made.future, 1);
    harness_free(pool);
}

/* Goal: an error outlives what it was taken from: the step that passes it on,
 * the process that another one replaced. */
static void what_is_said_is_passed_on(void)
{
    shunt_pool *pool = harness_pool(2);
    shunt_future *f = death_in(pool, BY_KILL);

    for (int i = 0; i < 5; i++)
        f = shunt_then(f, stage_add_one);
    f = shunt_when_all(&f, 1);
    assert_settles(f, SHUNT_ECRASHED);
    const shunt_error *error = shunt_error_of(f);
    assert_string_equal(error->task, "mortal");
    assert_long(error->signal, SIGKILL);
    assert_non_null(strstr(error->message, "SIGKILL"));
    assert_ok(shunt_release(f));
    harness_free(pool);
}

static int tells_its_place(const shunt_error *in, long *out)
{
    *out = strstr(in->backtrace, "mortal") != NULL;
    return 0;
}
SHUNT_TASK(tells_its_place, shunt_error, long)

/* Goal: whoever gets an error has all of it: a step in a worker, who took the
 * value of a future that is gone, who looks at a cause. */
static void every_reader_finds_the_backtrace(void)
{
    shunt_pool *pool = harness_pool(2);
    shunt_future *first = death_in(pool, BY_ABORT), *all;
    long out = 0;

    assert_takes(shunt_recover(first, tells_its_place), 1);
    assert_long(shunt_take(death_in(pool, BY_ABORT), &out), SHUNT_ECRASHED);
    assert_non_null(strstr(shunt_last_error()->backtrace, "mortal"));
    all = shunt_when_any((shunt_future *[]){ death_in(pool, BY_ABORT),
                                             death_in(pool, BY_ABORT) },
                         2);
    assert_settles(all, SHUNT_ECRASHED);
    const shunt_error *error = shunt_error_of(all);
    assert_long((long)error->cause_count, 2);
    assert_non_null(strstr(error->backtrace, "mortal"));
    assert_non_null(strstr(error->causes[0]->backtrace, "mortal"));
    assert_non_null(strstr(error->causes[1]->backtrace, "mortal"));
    assert_ok(shunt_release(all));
    harness_free(pool);
}

/* Goal: they fail with the error of the lowest index, and not with some of it.
 */
static void assert_tells_all(shunt_future *any, shunt_future *first)
{
    const shunt_error *error = shunt_error_of(any);
    const shunt_error *cause = error->causes[0];

    assert_ptr_equal(cause, shunt_error_of(first));
    assert_true(cause->max_rss_bytes > 0);
    assert_long(error->code, SHUNT_ECRASHED);
    assert_string_equal(error->message, cause->message);
    assert_string_equal(error->backtrace, cause->backtrace);
    assert_long(error->signal, cause->signal);
    assert_long(error->exit_status, cause->exit_status);
    assert_ptr_equal(error->address, cause->address);
    assert_long((long)error->max_rss_bytes, (long)cause->max_rss_bytes);
    assert_true(error->user_ns == cause->user_ns &&
                error->system_ns == cause->system_ns);
    assert_true(error->collateral == cause->collateral);
}

static void when_any_and_when_some_tell_all_of_their_first_failure(void)
{
    shunt_pool *pool = harness_pool(1);

    for (enum death how = 0; how < DEATHS; how++) {
        for (int some = 0; some < 2; some++) {
            shunt_future *fs[2], *first, *any;

            harness_note("%s", death_name(how));
            fs[0] = death_in(pool, how);
            fs[1] = death_in(pool, BY_TERM);
            first = shunt_retain(fs[0]);
            any = some ? shunt_when_some(fs, 2, 1) : shunt_when_any(fs, 2);
            assert_settles(any, SHUNT_ECRASHED);
            assert_tells_all(any, first);
            assert_ok(shunt_release(any));
            assert_ok(shunt_release(first));
        }
    }
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM_OF_PROCESSES(the_error_says_how_the_process_died),
    CLAIM_OF_PROCESSES(an_error_as_text_says_it_too),
    CLAIM_OF_PROCESSES(a_fault_has_an_address_and_a_place),
    CLAIM_OF_PROCESSES(a_pointer_to_memory_of_the_host_is_told),
    CLAIM_OF_PROCESSES(who_was_parked_there_has_another_to_blame),
    CLAIM_OF_PROCESSES(what_is_said_is_passed_on),
    CLAIM_OF_PLAIN_PROCESSES(every_reader_finds_the_backtrace),
    CLAIM_OF_PROCESSES(when_any_and_when_some_tell_all_of_their_first_failure),
};

HARNESS_MAIN(claims)
