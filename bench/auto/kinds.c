/* SPDX-License-Identifier: MIT */
/*
 * auto/kinds.c - the functions that are run, one a kind of work.
 *
 * Each says of itself whether it ran in the host: by a page that a fork wipes. A
 * system call would take longer than a tiny task; and .init cannot note it, since
 * nothing leaves the processes of a pool that has one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "auto/auto.h"
#include "measure.h"

enum {
    TINY_TURNS = 24,
    LOCKED_PART = 8, /* tenths of the turns of a LOCK job */
    MAP_BYTES = 16 * 1024,
    PAGE = 4096,
    BLOCKS = 24
};

static const bool *at_home; /* in a page that forks wipe */

int auto_host_note(void)
{
    bool *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED || madvise(page, PAGE, MADV_WIPEONFORK) != 0)
        return -1;
    *page = true;
    at_home = page;
    return 0;
}

/* -- what takes time -- */

static void turn(uint32_t n)
{
    uint64_t value = n;

    for (uint32_t i = 0; i < n; i++) {
        value = value * 6364136223846793005u + 1442695040888963407u;
        __asm__ volatile("" : "+r"(value));
    }
}

/* How long a call takes, at best: the clock of the CPU has to go up first, and
 * others use the machine. */
static double least_ns(void (*call)(uint32_t), uint32_t argument)
{
    double ns[25];

    for (int i = 0; i < 25; i++) {
        int64_t begin = bench_now_ns();

        call(argument);
        ns[i] = (double)(bench_now_ns() - begin);
    }
    return bench_quantile(ns, 25, 0.0);
}

/* How many of them take so long; 1 at least. */
static uint32_t times(unsigned us, double ns)
{
    double n = us * 1000.0 / ns;

    return n < 1.0 ? 1 : n > UINT32_MAX / 2.0 ? UINT32_MAX / 2 : (uint32_t)n;
}

uint32_t auto_turns_of_us(unsigned us)
{
    enum {
        SAMPLE = 100000
    };
    static double ns;

    if (ns <= 0.0)
        ns = least_ns(turn, SAMPLE) / SAMPLE;
    return times(us, ns);
}

static int done(const struct auto_job *in, struct auto_done *out)
{
    out->value = (uint64_t)in->number + 1;
    out->in_host = *at_home;
    return 0;
}

static int tiny(const struct auto_job *in, struct auto_done *out)
{
    turn(TINY_TURNS);
    return done(in, out);
}
SHUNT_TASK(tiny, struct auto_job, struct auto_done, .idempotent = true)

static int compute(const struct auto_job *in, struct auto_done *out)
{
    turn(in->amount);
    return done(in, out);
}
SHUNT_TASK(compute, struct auto_job, struct auto_done, .idempotent = true)

/* -- what blocks -- */

static int sleep_some(const struct auto_job *in, struct auto_done *out)
{
    bench_pause_us(in->amount);
    return done(in, out);
}
SHUNT_TASK(sleep_some, struct auto_job, struct auto_done, .idempotent = true)

static int read_some(const struct auto_job *in, struct auto_done *out)
{
    const struct timeval limit = { .tv_sec = 0,
                                   .tv_usec = (suseconds_t)in->amount };
    int pair[2];
    char byte;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return errno;

    int rc =
        setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    bool ran_out = rc == 0 && recv(pair[0], &byte, 1, 0) < 0 &&
                   (errno == EAGAIN || errno == EINTR);
    close(pair[0]);
    close(pair[1]);
    return ran_out ? done(in, out) : EIO;
}
SHUNT_TASK(read_some, struct auto_job, struct auto_done, .idempotent = true)

/* -- what contends -- */

static int map_once(void)
{
    void *blocks[BLOCKS];
    volatile char *pages = mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (pages == MAP_FAILED)
        return ENOMEM;
    for (size_t i = 0; i < MAP_BYTES; i += PAGE)
        pages[i] = 1;
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(64 + 177 * i);
        __asm__ volatile("" : "+r"(blocks[i]));
    }
    for (size_t i = 0; i < BLOCKS; i++)
        free(blocks[i * 7 % BLOCKS]); /* 7 and BLOCKS have no common divisor */
    return munmap((void *)pages, MAP_BYTES) == 0 ? 0 : errno;
}

static void map_some(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        (void)map_once();
}

uint32_t auto_maps_of_us(unsigned us)
{
    static double ns;

    if (ns <= 0.0)
        ns = least_ns(map_some, 1);
    return times(us, ns);
}

static int map(const struct auto_job *in, struct auto_done *out)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < in->amount; i++)
        rc = map_once();
    return rc == 0 ? done(in, out) : rc;
}
SHUNT_TASK(map, struct auto_job, struct auto_done, .idempotent = true)

/* A library that one thread at a time may use. Each process has its own. */
static pthread_mutex_t library = PTHREAD_MUTEX_INITIALIZER;

static int lock(const struct auto_job *in, struct auto_done *out)
{
    uint32_t under = in->amount / 10 * LOCKED_PART;

    pthread_mutex_lock(&library);
    turn(under);
    pthread_mutex_unlock(&library);
    turn(in->amount - under);
    return done(in, out);
}
SHUNT_TASK(lock, struct auto_job, struct auto_done, .idempotent = true)

/* -- what crashes -- */

static volatile int *volatile nowhere; /* NULL: the compiler does not know */

/* In the host it says so instead: it would end the benchmark. */
static int risky(const struct auto_job *in, struct auto_done *out)
{
    turn(in->amount);
    out->unsafe = in->crashes && *at_home;
    if (in->crashes && !*at_home)
        *nowhere = 1;
    return done(in, out);
}
SHUNT_TASK(risky, struct auto_job, struct auto_done)

/* -- what carries others -- */

uint32_t auto_amount(uint32_t middle, uint32_t i)
{
    uint64_t amount = (uint64_t)middle * (4 + i * 5 % 9) / 8;

    return amount == 0 ? middle : (uint32_t)amount;
}

static int carry_all(const struct auto_job *in, struct auto_done *out)
{
    const shunt_submit_options options = { .place = in->place };
    const shunt_task *task = auto_tasks[in->carries];
    shunt_future *futures[AUTO_CARRIED_MAX];
    struct auto_job job = { .kind = in->carries };
    struct auto_done one;
    uint64_t sum = 0;
    uint32_t in_host = 0;
    int failed = 0;

    if (in->count > AUTO_CARRIED_MAX)
        return EINVAL;
    for (uint32_t i = 0; i < in->count; i++) {
        job.number = in->number + i;
        job.amount = auto_amount(in->amount, i);
        futures[i] = shunt_submit_sized(NULL, task, &job, "carry_all",
                                        sizeof(options), &options);
    }
    for (uint32_t i = 0; i < in->count; i++) {
        int rc = shunt_take(futures[i], &one);

        if (rc != 0) {
            failed = rc;
            continue;
        }
        sum += one.value;
        in_host += one.in_host;
    }
    (void)done(in, out);
    out->value = sum;
    out->carried_in_host = in_host;
    return failed == 0 ? 0 : EIO;
}

static int sum(const struct auto_job *in, struct auto_done *out)
{
    return carry_all(in, out);
}
SHUNT_TASK(sum, struct auto_job, struct auto_done, .idempotent = true)

static int carry(const struct auto_job *in, struct auto_done *out)
{
    return carry_all(in, out);
}
SHUNT_TASK(carry, struct auto_job, struct auto_done, .idempotent = true)

const shunt_task *const auto_tasks[AUTO_KINDS] = {
    [AUTO_TINY] = &shunt_task_tiny,        [AUTO_COMPUTE] = &shunt_task_compute,
    [AUTO_SLEEP] = &shunt_task_sleep_some, [AUTO_READ] = &shunt_task_read_some,
    [AUTO_MAP] = &shunt_task_map,          [AUTO_LOCK] = &shunt_task_lock,
    [AUTO_RISKY] = &shunt_task_risky,      [AUTO_SUM] = &shunt_task_sum,
    [AUTO_CARRY] = &shunt_task_carry,
};

const char *const auto_names[AUTO_KINDS] = {
    [AUTO_TINY] = "tiny",        [AUTO_COMPUTE] = "compute",
    [AUTO_SLEEP] = "sleep_some", [AUTO_READ] = "read_some",
    [AUTO_MAP] = "map",          [AUTO_LOCK] = "lock",
    [AUTO_RISKY] = "risky",      [AUTO_SUM] = "sum",
    [AUTO_CARRY] = "carry",
};
