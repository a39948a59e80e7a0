/* SPDX-License-Identifier: MIT */
/*
 * shunt/scaling_costs.c - what a cache line takes from one CPU to another, and
 * a wake-up: the two figures that bench/scaling/simulate.py cannot count.
 *
 *     scaling/line     ns, one way, of a word that two CPUs write in turn
 *     scaling/wake     ns, one way, of a word that two threads sleep on
 *     scaling/call     ns, of the system call that wakes nobody
 *
 * Two threads, one a CPU, hand a word to each other. Of many short batches the
 * tenth quickest counts: one in which a CPU did something else says nothing
 * about the line. Of wake-ups the median does, since in a quick batch nobody
 * has slept.
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "measure.h"
#include "shunt/scaling.h"

enum {
    BATCHES = 2000,
    LINE_TURNS = 50,
    WAKE_TURNS = 4
};

#define QUICKEST 0.1

static _Alignas(128) _Atomic unsigned word;
static bool sleeps;
static unsigned turns;

static long futex(int op, unsigned value)
{
    return syscall(SYS_futex, &word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL,
                   0);
}

/* Wait for the word to be `before`, and make it one more. */
static void take_turn(unsigned before)
{
    unsigned now;

    while ((now = atomic_load(&word)) != before)
        if (sleeps)
            futex(FUTEX_WAIT, now);
    atomic_store(&word, before + 1);
    if (sleeps)
        futex(FUTEX_WAKE, 1);
}

static void *other(void *unused)
{
    for (unsigned i = 0; i < BATCHES * turns; i++)
        take_turn(2 * i + 1);
    return unused;
}

/* The nanoseconds one way of each batch; 0, or -1: there are not two CPUs. */
static int all_batches(double *ns)
{
    pthread_t thread;
    unsigned turn = 0;

    atomic_store(&word, 0);
    if (bench_cpu_nth(1) < 0 || bench_thread_pin(bench_cpu_nth(1)) != 0 ||
        pthread_create(&thread, NULL, other, NULL) != 0)
        return -1;
    (void)bench_thread_pin(bench_cpu_nth(0));
    for (int i = 0; i < BATCHES; i++) {
        int64_t begin = bench_now_ns();

        for (unsigned k = 0; k < turns; k++, turn++)
            take_turn(2 * turn);
        ns[i] = (double)(bench_now_ns() - begin) / (2.0 * turns);
    }
    pthread_join(thread, NULL);
    (void)bench_thread_pin(-1);
    return 0;
}

static void cost(gbench_state *state, double quantile)
{
    double ns[BATCHES];
    int rc = 0;

    while (gbench_next(state)) {
        rc = all_batches(ns);
        gbench_time_add(state, rc == 0 ? (int64_t)ns[0] : 0);
    }
    if (rc != 0)
        gbench_fail(state, "there are not two CPUs");
    else
        gbench_counter_set(state, "ns", bench_quantile(ns, BATCHES, quantile));
    gbench_counter_set(state, "units", 1.0);
}

static void line(gbench_state *state, const void *arg)
{
    (void)arg;
    sleeps = false;
    turns = LINE_TURNS;
    cost(state, QUICKEST);
}

static void wake(gbench_state *state, const void *arg)
{
    (void)arg;
    sleeps = true;
    turns = WAKE_TURNS;
    cost(state, 0.5);
}

static void call(gbench_state *state, const void *arg)
{
    double ns[BATCHES];

    (void)arg;
    while (gbench_next(state))
        for (int i = 0; i < BATCHES; i++) {
            int64_t begin = bench_now_ns();

            for (int k = 0; k < LINE_TURNS; k++)
                futex(FUTEX_WAKE, 1);
            ns[i] = (double)(bench_now_ns() - begin) / (double)LINE_TURNS;
        }
    gbench_time_add(state, (int64_t)bench_quantile(ns, BATCHES, QUICKEST));
    gbench_counter_set(state, "ns", bench_quantile(ns, BATCHES, QUICKEST));
    gbench_counter_set(state, "units", 1.0);
}

void bench_scaling_costs_register(void)
{
    gbench_register("scaling/line", line, NULL, 1);
    gbench_register("scaling/wake", wake, NULL, 1);
    gbench_register("scaling/call", call, NULL, 1);
}
