/* SPDX-License-Identifier: MIT */
/*
 * measure.c - what the benchmarks read from the clock and from the kernel.
 */
#define _GNU_SOURCE
#include "measure.h"

#include <dirent.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t = { 0, 0 };

    (void)clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t bench_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

int64_t bench_cpu_ns(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

void bench_pause_us(int64_t us)
{
    struct timespec t = { .tv_sec = us / 1000000,
                          .tv_nsec = us % 1000000 * 1000 };

    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) != 0)
        continue;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

double bench_quantile(double *values, size_t n, double q)
{
    size_t rank = (size_t)(q * (double)n);

    qsort(values, n, sizeof(*values), compare);
    return values[rank < n ? rank : n - 1];
}

/* What the process started with; read once, before the first pin. */
static const cpu_set_t *cpus_at_start(void)
{
    static cpu_set_t cpus;
    static bool known;

    if (!known)
        known = sched_getaffinity(0, sizeof(cpus), &cpus) == 0;
    return &cpus;
}

int bench_cpu_nth(int index)
{
    const cpu_set_t *cpus = cpus_at_start();

    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET((size_t)cpu, cpus) && index-- == 0)
            return cpu;
    return -1;
}

int bench_thread_pin(int cpu)
{
    cpu_set_t one;

    if (cpu < 0)
        return sched_setaffinity(0, sizeof(one), cpus_at_start());
    (void)cpus_at_start();
    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    return sched_setaffinity(0, sizeof(one), &one);
}

size_t bench_memory_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    size_t size = 0, present = 0;

    if (file == NULL)
        return 0;
    if (fscanf(file, "%zu %zu", &size, &present) != 2)
        present = 0;
    fclose(file);
    return present * (size_t)sysconf(_SC_PAGESIZE);
}

/* Adds up both counters in one thread's status file. */
static int switches_of_thread(const char *id, uint64_t *sum)
{
    char path[64], line[256];
    int found = 0;

    snprintf(path, sizeof(path), "/proc/self/task/%.20s/status", id);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return -1;
    while (fgets(line, sizeof(line), file) != NULL) {
        const char *at = strstr(line, "voluntary_ctxt_switches:");
        if (at == NULL)
            continue;
        *sum += strtoull(strchr(at, ':') + 1, NULL, 10);
        found++;
    }
    fclose(file);
    return found == 2 ? 0 : -1;
}

int bench_switches_count(uint64_t *switches_out, unsigned *threads_out)
{
    DIR *tasks = opendir("/proc/self/task");
    uint64_t sum = 0;
    unsigned threads = 0;
    int rc = 0;

    if (tasks == NULL)
        return -1;
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
        if (task->d_name[0] == '.')
            continue;
        rc |= switches_of_thread(task->d_name, &sum);
        threads++;
    }
    closedir(tasks);
    *switches_out = sum;
    *threads_out = threads;
    return rc;
}

void *bench_pages_new(size_t n)
{
    void *pages = malloc(n);

    /* Or a compiler makes one calloc of both, which touches no page. */
    __asm__ volatile("" : "+r"(pages));
    if (pages != NULL)
        memset(pages, 0, n);
    return pages;
}

void bench_stack_enlarge(char **argv, size_t bytes)
{
    struct rlimit limit;
    char text[32];

    if (getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur >= bytes)
        return;
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    snprintf(text, sizeof(text), "%zuB", (size_t)limit.rlim_cur);
    /* Only what is there at the start counts, for libgomp, too. */
    if (setrlimit(RLIMIT_STACK, &limit) == 0 &&
        setenv("OMP_STACKSIZE", text, 1) == 0)
        execv("/proc/self/exe", argv);
}
