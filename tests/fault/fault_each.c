/* SPDX-License-Identifier: MIT */
/* fault/fault_each.c - telling a story with every fault: fault_each.h. */
#include "fault_each.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fault.h"

/* What is slow leaves some out, but in ./dev soak. */
#if defined(SH_HAVE_VALGRIND) || defined(__SANITIZE_THREAD__) || \
    defined(__SANITIZE_ADDRESS__)
#define STRIDE 4
#else
#define STRIDE 1
#endif

enum {
    TELLINGS_MAX = 20000,
    PATIENCE_S = 120 /* of a future that hangs; valgrind is slow */
};

static int thirty(const shunt_none *in, long *out)
{
    (void)in;
    *out = 30;
    return 0;
}
SHUNT_TASK(thirty, shunt_none, long)

int fault_nothing(const shunt_none *in, shunt_none *out)
{
    (void)in;
    (void)out;
    return 0;
}
SHUNT_TASK_DEFINE(fault_nothing)

int fault_add_one(const long *in, long *out)
{
    *out = *in + 1;
    return 0;
}
SHUNT_TASK_DEFINE(fault_add_one)

int fault_mend(const shunt_error *in, long *out)
{
    *out = in->task_code;
    return 0;
}
SHUNT_TASK_DEFINE(fault_mend)

int fault_look_on(const shunt_outcome *in, shunt_none *out)
{
    (void)in;
    (void)out;
    return 0;
}
SHUNT_TASK_DEFINE(fault_look_on)

static void *act(void *stage)
{
    struct stage *s = stage;

    s->story->act(s);
    return NULL;
}

int fault_await(shunt_future *f)
{
    int rc = shunt_await_for(f, SHUNT_S(PATIENCE_S));

    assert_int_not_equal(rc, SHUNT_PENDING);
    return rc;
}

void fault_stay(shunt_future *f)
{
    /* Asleep in between: the workers have the processors. */
    while (shunt_status(f) == SHUNT_PENDING)
        nanosleep(&(struct timespec){ .tv_nsec = 20000 }, NULL);
}

void fault_linger(void)
{
    struct timespec begin, now;

    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (int i = 0; i < 50; i++) {
        sched_yield();
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec != begin.tv_sec || now.tv_nsec - begin.tv_nsec > 200000)
            return;
    }
}

bool fault_worked(const struct stage *s, int status)
{
    if (status != 0 && status != SHUNT_ENOMEM)
        fail_msg("%s, request %lld refused: %s", s->story->name,
                 (long long)s->nth, shunt_code_name(status));
    return status == 0;
}

void fault_promises(struct stage *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_int_equal(
            shunt_promise_new(s->pool, long, &s->promise[i], &s->in[i]), 0);
    s->count = n;
}

void fault_prepare(struct stage *s)
{
    fault_promises(s, s->story->n);
}

void fault_keep(struct stage *s)
{
    for (size_t i = 0; i < s->count; i++) {
        long value = (long)i;
        int rc = s->promise[i] == NULL
                     ? 0
                     : shunt_promise_give(s->promise[i], &value);

        /* A combinator that failed may have asked it to cancel. */
        if (rc != 0)
            assert_int_equal(rc, SHUNT_ECANCELED);
        s->promise[i] = NULL;
    }
}

static shunt_pool *new_pool(void)
{
    shunt_pool *pool = NULL;
    shunt_options options = { .workers = 2,
                              .arena_bytes = (size_t)1 << 30,
                              .unobserved = shunt_unobserved_ignore };

    assert_int_equal(shunt_pool_new(&pool, &options), 0);
    return pool;
}

static void must_work(shunt_pool *pool)
{
    shunt_future *f = shunt_submit(pool, thirty, NULL);
    long value = 0;

    assert_int_equal(fault_await(f), 0);
    assert_int_equal(shunt_take(f, &value), 0);
    assert_int_equal(value, 30);
}

/* How many requests there were. */
static uint64_t tell(const struct story *story, int64_t nth, bool onwards)
{
    struct stage *s = calloc(1, sizeof *s);
    pthread_t thread;
    uint64_t calls;

    assert_non_null(s);
    s->story = story;
    s->nth = nth;
    s->pool = new_pool();
    s->other = new_pool();
    if (story->prepare != NULL)
        story->prepare(s);
    if (onwards)
        sh_fault_set_from(nth);
    else
        sh_fault_set(nth);
    /* Threads of the tests are not subject to faults. */
    assert_int_equal(pthread_create(&thread, NULL, act, s), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    sh_fault_clear();
    story->check(s);
    calls = sh_fault_calls();
    must_work(s->pool);
    must_work(s->other);
    assert_int_equal(shunt_pool_free(s->pool), 0);
    assert_int_equal(shunt_pool_free(s->other), 0);
    /* Whatever ran was dropped; what was accepted and failed was, too. */
    assert_true(atomic_load(&s->drops) >= atomic_load(&s->runs));
    assert_true(atomic_load(&s->drops) <= (int)(story->n > 1 ? story->n : 1));
    free(s);
    return calls;
}

void fault_each(const struct story *story)
{
    const char *thorough = getenv("SHUNT_TEST_THOROUGH");
    bool all = thorough != NULL && strcmp(thorough, "1") == 0;

    for (int onwards = 0; onwards < 2; onwards++) {
        int64_t nth = 1;

        while (tell(story, nth, onwards != 0) >= (uint64_t)nth)
            if ((nth += all ? 1 : STRIDE) > TELLINGS_MAX)
                fail_msg("%s: always one more request", story->name);
        print_message("%s: %lld requests%s\n", story->name,
                      (long long)(nth - 1),
                      onwards ? ", all refused from one on" : "");
    }
}
