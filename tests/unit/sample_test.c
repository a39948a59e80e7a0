/* SPDX-License-Identifier: MIT */
/*
 * unit/sample_test.c - samples of runs, their weights, and what the policy is
 * told of them.
 *
 * Method. A worker of a pool that is made up here begins and ends runs, as
 * worker/run.c does. And a real pool records what it decides by, of which the
 * policy then decides the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "place/steer.h"
#include "place/trace.h"
#include "shunt/shunt.h"
#include "worker/blocking.h"
#include "worker/worker.h"

enum {
    POSTS = 2,
    MANY = 100000
};

static int nothing(const long *in, long *out)
{
    *out = *in;
    return 0;
}
SHUNT_TASK(nothing, long, long)

static int something(const long *in, long *out)
{
    *out = *in;
    return 0;
}
SHUNT_TASK(something, long, long)

/* A pool with one worker, at rest, and a record that it runs. */
struct scene {
    struct sh_pool pool;
    struct sh_post posts[POSTS];
    struct sh_worker worker;
    struct sh_record record;
    struct sh_run run;
};

static struct scene *begin(void)
{
    struct scene *s = aligned_alloc(64, (sizeof *s + 63) / 64 * 64);

    assert_non_null(s);
    memset(s, 0, sizeof *s);
    s->pool.posts = s->posts;
    s->pool.profiles = calloc(SH_PROFILES, sizeof *s->pool.profiles);
    s->pool.figures =
        aligned_alloc(64, POSTS * SH_PROFILES * sizeof *s->pool.figures);
    assert_non_null(s->pool.profiles);
    assert_non_null(s->pool.figures);
    memset(s->pool.figures, 0, POSTS * SH_PROFILES * sizeof *s->pool.figures);
    sh_store_rlx(&s->pool.active, POSTS); /* relaxed: there is no other */
    s->worker.pool = &s->pool;
    s->worker.post = &s->posts[1];
    s->worker.index = 1;
    s->worker.random = 2463534242u;
    s->worker.sampler[0].left = s->worker.sampler[0].weight = 1;
    s->record.task = &shunt_task_nothing;
    s->run.pool = &s->pool;
    s->run.record = &s->record;
    s->run.worker = &s->worker;
    return s;
}

static void end(struct scene *s)
{
    free(s->pool.profiles);
    free(s->pool.figures);
    free(s);
}

static void spend(int64_t ns)
{
    int64_t until = sh_clock_ns() + ns;

    while (sh_clock_ns() < until)
        continue;
}

/* A run that takes so long; whether it was sampled. */
static bool run(struct scene *s, int64_t ns)
{
    struct sh_sample sample;

    if (--s->worker.sampler[0].left != 0) {
        if (ns > 0)
            spend(ns);
        return false;
    }
    sh_sample_begin(&sample, &s->worker, &s->run, SH_KIND_THEN, false);
    if (ns > 0)
        spend(ns);
    sh_sample_end(&sample, &s->run);
    return true;
}

static struct sh_window sum_of(struct scene *s, const shunt_task *task)
{
    const struct sh_profile *p = sh_profile_of(&s->pool, task);
    struct sh_window sums[SH_SITES];

    assert_non_null(p);
    sh_steer_sum(&s->pool, (unsigned)(p - s->pool.profiles), sums);
    /* It is a pool of threads. */
    assert_int_equal(sums[SH_SITE_PROCESS].runs, 0);
    return sums[SH_SITE_THREAD];
}

/* ---- weights ---- */

static void weights_add_up_to_what_has_run(void **state)
{
    struct scene *s = begin();
    struct sh_window w;

    (void)state;
    for (int i = 0; i < MANY; i++)
        (void)run(s, 0);
    w = sum_of(s, &shunt_task_nothing);
    assert_int_equal(w.runs + s->worker.sampler[0].weight - s->worker.sampler[0].left,
                     MANY);
    sh_sample_rest(&s->worker);
    w = sum_of(s, &shunt_task_nothing);
    assert_int_equal(w.runs, MANY);
    sh_sample_rest(&s->worker); /* once */
    assert_int_equal(sum_of(s, &shunt_task_nothing).runs, MANY);
    end(s);
}

static void short_runs_are_sampled_seldom_and_not_in_step(void **state)
{
    struct scene *s = begin();
    int last = 0, distances = 0, samples = 0;
    bool seen[2 * SH_SAMPLE_EVERY] = { false };

    (void)state;
    for (int i = 0; i < MANY; i++) {
        if (!run(s, 0))
            continue;
        samples++;
        assert_in_range(i - last, 0, SH_SAMPLE_EVERY * 5 / 4);
        if (!seen[i - last])
            distances++;
        seen[i - last] = true;
        last = i;
    }
    /* All but those while it loses its CPU are as far apart as they may be. */
    assert_true(samples < MANY / 100);
    assert_true(samples >= MANY / (int)SH_SAMPLE_EVERY * 4 / 5);
    assert_true(distances > 20);
    end(s);
}

static void long_runs_are_sampled_each_time(void **state)
{
    struct scene *s = begin();
    int missed = 0;

    (void)state;
    for (int i = 0; i < 1000; i++)
        (void)run(s, 0);
    while (!run(s, 0)) /* they become long just behind a sample */
        continue;
    for (int i = 0; i < 1000; i++)
        missed += !run(s, 2 * SH_SAMPLE_EACH_NS);
    assert_true(missed <= (int)SH_SAMPLE_EVERY * 5 / 4);
    end(s);
}

/* Beside the count of the others, of which no weight or time is its own. */
static void what_is_looked_at_each_time_counts_once(void **state)
{
    struct scene *s = begin();
    struct sh_sample sample;
    struct sh_window others;
    int samples = 0;

    (void)state;
    for (int i = 0; i < 100; i++) {
        s->record.task = &shunt_task_nothing;
        for (int k = 0; k < MANY / 100; k++)
            samples += run(s, 0);
        s->record.task = &shunt_task_something;
        sh_sample_begin(&sample, &s->worker, &s->run, SH_KIND_THEN, true);
        spend(2 * SH_SAMPLE_EACH_NS);
        sh_sample_end(&sample, &s->run);
    }
    s->record.task = &shunt_task_nothing;
    sh_sample_rest(&s->worker);
    assert_int_equal(sum_of(s, &shunt_task_something).runs, 100);
    assert_int_equal(sum_of(s, &shunt_task_something).samples, 100);
    others = sum_of(s, &shunt_task_nothing);
    assert_int_equal(others.runs, MANY);
    assert_int_equal(others.samples, samples);
    assert_true(samples < MANY / 100);
    end(s);
}

/* Two kinds in turn, each time the worker wakes up: each is half of it. */
static void what_comes_second_after_each_sleep_is_seen(void **state)
{
    struct scene *s = begin();
    uint64_t first, second;

    (void)state;
    for (int i = 0; i < 4000; i++) {
        s->record.task = &shunt_task_nothing;
        (void)run(s, 0);
        s->record.task = &shunt_task_something;
        (void)run(s, 0);
        sh_sample_rest(&s->worker);
    }
    first = sum_of(s, &shunt_task_nothing).runs;
    second = sum_of(s, &shunt_task_something).runs;
    assert_int_equal(first + second, 8000);
    assert_in_range(first, 3500, 4500);
    end(s);
}

static void a_pool_without_figures_is_left_alone(void **state)
{
    struct scene *s = begin();
    struct sh_profile *profiles = s->pool.profiles;
    struct sh_sample sample;

    (void)state;
    s->pool.profiles = NULL;
    s->worker.sampler[0].left = 0; /* it has come round */
    sh_sample_begin(&sample, &s->worker, &s->run, SH_KIND_TASK, false);
    assert_null(sample.tally);
    assert_null(s->run.sample);
    sh_sample_end(&sample, &s->run);
    sh_sample_failed(&s->run);
    s->pool.profiles = profiles;
    assert_int_equal(sum_of(s, &shunt_task_nothing).samples, 0);
    end(s);
}

/* ---- what is in a sample ---- */

static void a_pause_is_no_service(void **state)
{
    struct scene *s = begin();
    struct sh_sample sample;
    struct sh_window w;

    (void)state;
    sh_sample_begin(&sample, &s->worker, &s->run, SH_KIND_THEN, false);
    assert_ptr_equal(s->run.sample, &sample);
    sh_sample_pause(&sample);
    for (int i = 0; i < 1000; i++) { /* others, of the same worker */
        struct sh_sample other;

        sh_sample_begin(&other, &s->worker, &s->run, SH_KIND_THEN, false);
        spend(100000);
        sh_sample_end(&other, &s->run);
    }
    sh_sample_resume(&sample);
    sh_sample_end(&sample, &s->run);
    assert_null(s->run.sample);
    w = sum_of(s, &shunt_task_nothing);
    assert_int_equal(w.samples, 1001);
    assert_int_equal(w.parked, 1);
    assert_true(w.service_ns >= 100000000);
    assert_true(sample.service_ns < 100000000);
    end(s);
}

static void long_kinds_are_asked_of_the_kernel(void **state)
{
    struct scene *s = begin();
    struct sh_window w;

    (void)state;
    /* Longer than there is none for. */
    _Static_assert(SH_DEEP_NS_MAX * SH_DEEP_REST < 6000000, "each is deep");
    for (int i = 0; i < 50; i++)
        (void)run(s, 6000000);
    w = sum_of(s, &shunt_task_nothing);
    assert_true(w.samples >= 45);
    assert_true(w.deep >= 45);
    assert_true(w.deep_ns >= w.deep * 6000000 && w.deep_ns <= w.service_ns);
    assert_true(w.cpu_ns > 0 && w.cpu_ns <= w.deep_ns);
    assert_true(w.never_slept > 0 && w.never_slept <= w.deep);
    end(s);
}

/* On a thread of an auto pool: the worker counts none of it as usual then. */
static void each_run_of_a_long_kind_that_is_tried_is_sampled(void **state)
{
    const struct sh_place here = { SH_SITE_THREAD, SH_MANNER_QUEUED };
    struct scene *s = begin();
    struct sh_worker *w = &s->worker;
    struct sh_profile *p;

    (void)state;
    s->pool.mixed = true;
    w->camp = &s->pool.camps[SH_HOST_CAMP];
    p = sh_profile_of(&s->pool, &shunt_task_nothing);
    for (int tried = 0; tried <= 2; tried++) {
        sh_profile_put(p, here, tried == 1 ? SH_PROFILE_TRIED : 0);
        for (int i = 0; i < 20; i++) { /* until its mean is long */
            w->sampler[0].left = 1;
            assert_true(run(s, 2 * SH_SAMPLE_EACH_NS));
        }
        w->sampler[0].left = w->sampler[1].left = 100;
        assert_int_equal(sh_counts_as_usual(w, &s->record, false), tried != 1);
        assert_true(sh_counts_as_usual(w, &s->record, true));
    }
    end(s);
}

static void failures_are_those_of_the_post(void **state)
{
    struct scene *s = begin();

    (void)state;
    for (int i = 0; i < 3; i++)
        sh_sample_failed(&s->run);
    assert_int_equal(sum_of(s, &shunt_task_nothing).failures, 3);
    assert_int_equal(sum_of(s, &shunt_task_nothing).samples, 0);
    end(s);
}

/* ---- sites ---- */

static void a_post_is_at_one_site(void **state)
{
    struct sh_pool *pool = aligned_alloc(64, sizeof *pool);

    (void)state;
    assert_non_null(pool);
    memset(pool, 0, sizeof *pool);
    pool->workers = 2;
    assert_int_equal(sh_site_of(pool, 0), SH_SITE_THREAD);
    pool->shared = true;
    assert_int_equal(sh_site_of(pool, 0), SH_SITE_PROCESS);
    assert_int_equal(sh_site_of(pool, 2), SH_SITE_THREAD);  /* at home */
    assert_int_equal(sh_site_of(pool, 3), SH_SITE_PROCESS); /* a lane */
    pool->mixed = true;
    pool->camps[SH_HOST_CAMP].first = 5;
    assert_int_equal(sh_site_of(pool, 4), SH_SITE_PROCESS);
    assert_int_equal(sh_site_of(pool, 5), SH_SITE_THREAD);
    free(pool);
}

/* ---- a trace ---- */

static void what_was_recorded_decides_the_same(void **state)
{
    struct sh_pool *pool;
    shunt_pool *name;
    struct sh_steered kind;
    struct sh_policy again;
    struct sh_trace_line line;
    char *text = NULL, *at, *next;
    size_t size;
    unsigned steps = 0;
    FILE *f = open_memstream(&text, &size);

    (void)state;
    assert_non_null(f);
    assert_int_equal(setenv("SHUNT_FIGURES", "1", 1), 0);
    assert_int_equal(
        shunt_pool_new(&name,
                       &(shunt_options){ .mode = SHUNT_THREADS, .workers = 1 }),
        0);
    assert_int_equal(shunt_trace_decisions(name, f), 0);
    for (int round = 0; round < 40; round++) {
        struct timespec t = { .tv_nsec = 5000000 };

        for (long i = 0; i < 500; i++) {
            long out = 0;

            assert_int_equal(shunt_take(shunt_submit(name, nothing, &i), &out),
                             0);
            assert_int_equal(out, i);
        }
        nanosleep(&t, NULL);
    }
    assert_int_equal(shunt_trace_decisions(name, NULL), 0);
    assert_int_equal(sh_pool_find(name, &pool), 0);
    assert_true(sh_steer_kind(
        pool,
        (unsigned)(sh_profile_of(pool, &shunt_task_nothing) - pool->profiles),
        &kind));
    fclose(f);
    for (at = text; *at != '\0'; at = next) {
        next = strchr(at, '\n') + 1;
        next[-1] = '\0';
        switch (sh_trace_read(at, &line)) {
        case SH_LINE_BOUNDS:
            assert_int_equal(steps, 0);
            sh_policy_init(&again, &line.bounds);
            break;
        case SH_LINE_STEP:
            steps++;
            (void)sh_policy_step(&again, &line.measures);
            break;
        default:
            assert_int_equal(*at, '#');
            break;
        }
    }
    assert_true(steps >= 5);
    assert_memory_equal(&again, &kind.policy, sizeof again);
    free(text);
    assert_int_equal(shunt_pool_free(name), 0);
    assert_int_equal(unsetenv("SHUNT_FIGURES"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_add_up_to_what_has_run),
        cmocka_unit_test(short_runs_are_sampled_seldom_and_not_in_step),
        cmocka_unit_test(long_runs_are_sampled_each_time),
        cmocka_unit_test(what_is_looked_at_each_time_counts_once),
        cmocka_unit_test(what_comes_second_after_each_sleep_is_seen),
        cmocka_unit_test(a_pool_without_figures_is_left_alone),
        cmocka_unit_test(a_pause_is_no_service),
        cmocka_unit_test(long_kinds_are_asked_of_the_kernel),
        cmocka_unit_test(each_run_of_a_long_kind_that_is_tried_is_sampled),
        cmocka_unit_test(failures_are_those_of_the_post),
        cmocka_unit_test(a_post_is_at_one_site),
        cmocka_unit_test(what_was_recorded_decides_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
