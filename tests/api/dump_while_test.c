/* SPDX-License-Identifier: MIT */
/*
 * dump_while_test.c - a dump can be had at any moment and by any descriptor,
 * and disturbs nothing.
 *
 * Method. Dumps are made again and again, from a thread and from a signal
 * handler that interrupts whatever runs, while others do all that there is to
 * do. What they say is not looked at: nothing crashes, hangs or is reported by
 * a sanitizer.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dumped.h"

/* ---- descriptors and arguments ---- */

static void a_bad_descriptor_is_said(void)
{
    shunt_pool *pool = harness_pool(1);

    errno = 77;
    assert_long(shunt_dump(pool, -1), -EBADF);
    assert_long(shunt_dump(NULL, 1000000), -EBADF);
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_long(shunt_dump(pool, fd), -EBADF);
    close(fd);
    assert_long(errno, 77);
    harness_free(pool);
}

static void a_full_pipe_ends_it(void)
{
    shunt_pool *pool = harness_pool(1);
    char bytes[4096] = "";
    int ends[2];

    assert_int_equal(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    while (write(ends[1], bytes, sizeof bytes) > 0)
        continue;
    assert_long(shunt_dump(pool, ends[1]), -EAGAIN);
    /* Room for a part of it. */
    for (int i = 0; i < 500; i++)
        (void)stage_promise(pool);
    assert_true(read(ends[0], bytes, sizeof bytes) > 0);
    assert_long(shunt_dump(pool, ends[1]), -EAGAIN);
    close(ends[0]);
    close(ends[1]);
    harness_free(pool);
}

static void a_pool_that_is_none_is_refused(void)
{
    shunt_pool *pool = harness_pool(1);

    harness_free(pool);
    assert_long(shunt_dump(pool, STDERR_FILENO), SHUNT_EINVAL);
    for (unsigned i = 1; i < STAGE_GARBAGE; i++)
        assert_long(
            shunt_dump((shunt_pool *)(void *)stage_garbage(i), STDERR_FILENO),
            SHUNT_EINVAL);
    assert_string_equal(dump_of(NULL), "shunt: 0 pools\n");
}

static void one_pool_is_dumped_alone_and_all_together(void)
{
    shunt_pool *pools[5];

    for (int i = 0; i < 5; i++)
        pools[i] = harness_pool(i + 1);
    for (int i = 0; i < 5; i++) {
        char part[40];

        snprintf(part, sizeof part, "open, %d worker%s;", i + 1,
                 i == 0 ? "" : "s");
        assert_long(count_parts(dump_of(pools[i]), "pool "), 1);
        assert_non_null(strstr(dump_of(pools[i]), part));
        assert_non_null(strstr(dump_of(NULL), part));
    }
    assert_long(count_parts(dump_of(NULL), "\npool "), 5);
    assert_line(dump_of(NULL), "shunt: 5 pools");
    for (int i = 0; i < 5; i++)
        harness_free(pools[i]);
}

static void a_thousand_futures_are_listed_and_the_rest_counted(void)
{
    enum {
        FUTURES = 1500,
        SETTLED = 20
    };
    shunt_pool *pool = harness_pool(1);
    static struct stage_promise made[FUTURES];
    shunt_future *settled[SETTLED];

    for (int i = 0; i < FUTURES; i++)
        made[i] = stage_promise(pool);
    for (int i = 0; i < SETTLED; i++)
        settled[i] = stage_given(pool, i);
    const char *text = dump_of(pool);
    assert_long(count_parts(text, "not given"), 1000);
    assert_long(count_parts(text, "succeeded"), 0);
    assert_line(text, "  and 500 more pending, 20 more settled");
    for (int i = 0; i < FUTURES; i++) {
        stage_give(made[i].promise, i);
        assert_takes(made[i].future, i);
    }
    text = dump_of(pool);
    assert_long(count_parts(text, "succeeded"), SETTLED);
    assert_lacks(text, " more ");
    for (int i = 0; i < SETTLED; i++)
        assert_takes(settled[i], i);
    harness_free(pool);
}

static int dump_within(const shunt_none *in, long *out)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    (void)in;
    *out = shunt_dump(NULL, null);
    close(null);
    return 0;
}
SHUNT_TASK(dump_within, shunt_none, long)

static void a_task_may_dump_the_pool_that_it_is_in(void)
{
    shunt_pool *pool = harness_pool(1);

    assert_takes(shunt_submit(pool, dump_within, NULL), 0);
    harness_free(pool);
}

/* ---- while others work ---- */

struct work {
    shunt_pool *pools[2];
    struct latch *over;
    unsigned seed;
    bool good;
};

static int recurse(const long *in, long *out);
SHUNT_TASK(recurse, long, long)

static int recurse(const long *in, long *out)
{
    long parts[2] = { 0, 0 };
    shunt_future *fs[2];

    if (*in < 2) {
        *out = 1;
        return *in == 0 ? shunt_fail(3, "a leaf") : 0;
    }
    for (int i = 0; i < 2; i++)
        fs[i] = shunt_submit(NULL, recurse, &(long){ *in - 1 - i });
    for (int i = 0; i < 2; i++)
        (void)shunt_take(fs[i], &parts[i]);
    *out = parts[0] + parts[1] + 1;
    return 0;
}

static int add_up(const shunt_results *in, long *out)
{
    for (size_t i = 0; i < in->count; i++)
        *out += shunt_status(in->futures[i]) == 0;
    return 0;
}
SHUNT_TASK(add_up, shunt_results, long)

/* All that there is to do, over two pools. */
static void do_some(struct work *w)
{
    shunt_pool *pool = w->pools[w->seed++ % 2];
    shunt_pool *other = w->pools[w->seed % 2];
    struct stage_promise made = stage_promise(pool);
    shunt_future *fs[40];

    for (int i = 0; i < 40; i++) {
        if (i % 4 == 0)
            fs[i] = shunt_then(shunt_retain(made.future), stage_add_one);
        else if (i % 4 == 1)
            fs[i] = shunt_submit(other, recurse, &(long){ i % 7 });
        else if (i % 4 == 2)
            fs[i] = shunt_recover(shunt_submit(pool, stage_fail, &i),
                                  stage_task_code);
        else
            fs[i] = shunt_via(other, shunt_retain(made.future));
    }
    shunt_future *all = shunt_when_all_settled(fs, 40);
    shunt_future *both[] = { shunt_then(all, add_up),
                             shunt_retain(made.future) };
    shunt_future *race = shunt_race(both, 2);
    if (w->seed % 3 == 0)
        (void)shunt_cancel(race);
    w->good &= shunt_await_for(race, SHUNT_US(50)) != SHUNT_EINVAL;
    w->good &= shunt_promise_give(made.promise, &(long){ 1 }) == 0;
    (void)shunt_join(race);
    w->good &= shunt_release(made.future) == 0;
    long *ins = (long[]){ 1, 2, 3, 4, 5 };
    (void)shunt_join(shunt_map_settled(pool, recurse, ins, 5));
}

static void *work_on(void *user)
{
    struct work *w = user;

    while (latch_level(w->over) == 0)
        do_some(w);
    return NULL;
}

/* Pools that come and go. */
static void *open_and_close(void *user)
{
    struct work *w = user;

    while (latch_level(w->over) == 0) {
        shunt_pool *pool = NULL;
        long value;

        w->good &= shunt_pool_new(&pool, &(shunt_options){ .workers = 2 }) == 0;
        w->good &=
            shunt_take(shunt_submit(pool, recurse, &(long){ 4 }), &value) == 0;
        w->good &= shunt_pool_free(pool) == 0;
    }
    return NULL;
}

enum {
    WORKERS = 3
};

struct crowd {
    struct work work[WORKERS];
    pthread_t threads[WORKERS];
    struct latch *over;
};

static void crowd_begin(struct crowd *c, shunt_pool *const pools[2])
{
    c->over = stage_latch();
    for (unsigned i = 0; i < WORKERS; i++) {
        c->work[i] = (struct work){ { pools[0], pools[1] }, c->over, i, true };
        assert_int_equal(
            pthread_create(&c->threads[i], NULL,
                           i + 1 < WORKERS ? work_on : open_and_close,
                           &c->work[i]),
            0);
    }
}

static void crowd_end(struct crowd *c)
{
    latch_raise(c->over);
    for (unsigned i = 0; i < WORKERS; i++) {
        pthread_join(c->threads[i], NULL);
        assert_true(c->work[i].good);
    }
}

static void dumps_disturb_nothing(void)
{
    shunt_pool *const pools[2] = { harness_pool(2), harness_pool(1) };
    int times = (int)harness_rounds(4000);
    struct crowd crowd;

    harness_limit(120);
    crowd_begin(&crowd, pools);
    for (int i = 0; i < times; i++) {
        const char *text = dump_raw(i % 2 == 0 ? NULL : pools[i % 4 / 2]);

        assert_lacks(text, "(null)");
        if (i % 100 == 0)
            sched_yield();
    }
    crowd_end(&crowd);
    harness_free(pools[0]);
    harness_free(pools[1]);
}

static atomic_int dumps, refusals; /* lock-free, as a handler needs them */
static int dump_to = -1;

static void dump_in_handler(int signo)
{
    (void)signo;
    if (shunt_dump(NULL, dump_to) != 0)
        atomic_fetch_add(&refusals, 1);
    atomic_fetch_add(&dumps, 1);
}

/* The timer's signal goes to any thread, so that it interrupts workers as well
 * as those who make and free pools. The handler stays, and the signal is not
 * that of the harness: a thread may get one that is still under way when the
 * timer has been stopped, most of all with ThreadSanitizer, which keeps
 * signals until the thread waits. */
static void a_handler_may_dump_whatever_it_has_interrupted(void)
{
    shunt_pool *const pools[2] = { harness_pool(2), harness_pool(1) };
    struct sigaction act = { .sa_handler = dump_in_handler,
                             .sa_flags = SA_RESTART };
    struct sigevent to_us = { .sigev_notify = SIGEV_SIGNAL,
                              .sigev_signo = SIGUSR1 };
    struct itimerspec often = { { 0, 2000000 }, { 0, 2000000 } };
    struct crowd crowd;
    timer_t timer;

    harness_limit(120);
    dump_to = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_int_equal(sigaction(SIGUSR1, &act, NULL), 0);
    assert_int_equal(timer_create(CLOCK_MONOTONIC, &to_us, &timer), 0);
    crowd_begin(&crowd, pools);
    assert_int_equal(timer_settime(timer, 0, &often, NULL), 0);
    while (atomic_load(&dumps) < 500) {
        assert_int_equal(raise(SIGUSR1), 0);
        sched_yield();
    }
    assert_int_equal(timer_delete(timer), 0);
    crowd_end(&crowd);
    assert_long(atomic_load(&refusals), 0);
    harness_free(pools[0]);
    harness_free(pools[1]);
    close(dump_to);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_bad_descriptor_is_said),
    CLAIM(a_full_pipe_ends_it),
    CLAIM(a_pool_that_is_none_is_refused),
    CLAIM(one_pool_is_dumped_alone_and_all_together),
    CLAIM(a_thousand_futures_are_listed_and_the_rest_counted),
    CLAIM(a_task_may_dump_the_pool_that_it_is_in),
    CLAIM(dumps_disturb_nothing),
    CLAIM(a_handler_may_dump_whatever_it_has_interrupted),
};

HARNESS_MAIN(claims)
