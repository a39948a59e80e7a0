/* SPDX-License-Identifier: MIT */
/*
 * worker/options.c - what a pool is to be: the caller's options, then the
 * environment, then what the machine offers.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/worker.h"

#define SPARES_DEFAULT 16
#define BLOCKING_MAX_DEFAULT 64
#define POSTS_MOST 4090 /* that a pool has, but one of the host */
#define QUEUE_MAX_DEFAULT ((size_t)1 << 20)
#define WORKER_BYTES_LEAST ((size_t)8 << 20) /* the allocator needs some */
#define STACK_BYTES_DEFAULT ((size_t)256 * 1024)
#define STACK_BYTES_MOST ((size_t)1 << 40)

_Static_assert(SHUNT_WORKERS_MAX == 1024 && SH_STACKS_BYTES_MIN == 16384,
               "as the sentences say");
_Static_assert(SH_OWNER_WORKER(POSTS_MOST) <= 0xfff &&
                   POSTS_MOST < SH_SLEEP_GROUPS * SH_SLEEP_GROUP,
               "the state word has twelve bits for owners, and who sleeps one "
               "each");

/* A limit in CPUs from "quota period" in microseconds; 0: none. */
static int cpus_of_quota(long long quota, long long period)
{
    if (quota <= 0 || period <= 0)
        return 0;
    quota = (quota + period - 1) / period;
    return quota < SHUNT_WORKERS_MAX ? (int)quota : SHUNT_WORKERS_MAX;
}

/* The path of our cgroup: in /proc/self/cgroup the line of that controller
 * ("" for version 2), joined to root. False if there is none. */
static bool cgroup_path(const char *controller, const char *root,
                        const char *file, char *to, size_t size)
{
    FILE *f = fopen("/proc/self/cgroup", "re");
    char line[1024];
    bool found = false;

    if (f == NULL)
        return false;
    while (!found && fgets(line, sizeof line, f) != NULL) {
        char *name = strchr(line, ':');
        char *path = name != NULL ? strchr(name + 1, ':') : NULL;

        if (path == NULL)
            continue;
        *path++ = '\0';
        path[strcspn(path, "\n")] = '\0';
        if (controller[0] == '\0' ? name[1] == '\0'
                                  : strstr(name + 1, controller) != NULL) {
            int length = snprintf(to, size, "%s%s/%s", root,
                                  strcmp(path, "/") == 0 ? "" : path, file);

            found = length > 0 && (size_t)length < size;
        }
    }
    fclose(f);
    return found;
}

/* Read up to two numbers from a file; how many there were. */
static int read_numbers(const char *path, long long *a, long long *b)
{
    FILE *f = fopen(path, "re");
    int n;

    if (f == NULL)
        return 0;
    n = fscanf(f, "%lld %lld", a, b);
    fclose(f);
    return n > 0 ? n : 0;
}

static int quota_of_cgroup(void)
{
    char path[1200];
    long long quota = 0, period = 0, unused;

    if (cgroup_path("", "/sys/fs/cgroup", "cpu.max", path, sizeof path) &&
        read_numbers(path, &quota, &period) == 2)
        return cpus_of_quota(quota, period);
    /* Inside a container its own group is often mounted as the root. */
    if (read_numbers("/sys/fs/cgroup/cpu.max", &quota, &period) == 2)
        return cpus_of_quota(quota, period);
    if (read_numbers("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", &quota, &unused) >=
            1 &&
        read_numbers("/sys/fs/cgroup/cpu/cpu.cfs_period_us", &period,
                     &unused) >= 1)
        return cpus_of_quota(quota, period);
    return 0;
}

static int cpus_of_affinity(void)
{
    /* Machines with more CPUs than a cpu_set_t holds answer EINVAL. */
    for (size_t bits = 1024; bits <= 1 << 20; bits *= 2) {
        cpu_set_t *set = CPU_ALLOC(bits);
        size_t bytes = CPU_ALLOC_SIZE(bits);
        int n = 0;

        if (set == NULL)
            return 1;
        if (sched_getaffinity(0, bytes, set) == 0)
            n = CPU_COUNT_S(bytes, set);
        else if (errno != EINVAL)
            n = 1;
        CPU_FREE(set);
        if (n > 0)
            return n < SHUNT_WORKERS_MAX ? n : SHUNT_WORKERS_MAX;
    }
    return 1;
}

int sh_cpus(void)
{
    int cpus = cpus_of_affinity();
    int quota = quota_of_cgroup();

    return quota > 0 && quota < cpus ? quota : cpus;
}

static int mode_from_environment(void)
{
    static const char *const names[] = { "threads", "processes", "auto" };
    const char *word = getenv("SHUNT_MODE");

    if (word == NULL || word[0] == '\0')
        return SHUNT_THREADS;
    for (int i = 0; i < 3; i++)
        if (strcmp(word, names[i]) == 0)
            return SHUNT_THREADS + i;
    return SHUNT_EINVAL;
}

/* What a variable says, a number from 1 to 1024; none if it is not there. */
static int number_from_environment(const char *name, int none)
{
    const char *word = getenv(name);
    char *end;
    long n;

    if (word == NULL || word[0] == '\0')
        return none;
    errno = 0;
    n = strtol(word, &end, 10);
    if (word[0] < '0' || word[0] > '9' || errno != 0 || *end != '\0' || n < 1 ||
        n > SHUNT_WORKERS_MAX)
        return SHUNT_EINVAL;
    return (int)n;
}

/* 64 if it is not there, negative: none. */
static int blocking_from_environment(void)
{
    const char *word = getenv("SHUNT_BLOCKING_MAX");

    return word != NULL && strcmp(word, "none") == 0
               ? -1
               : number_from_environment("SHUNT_BLOCKING_MAX",
                                         BLOCKING_MAX_DEFAULT);
}

/* 1: pointers are checked, 0: they are not. */
static int checks_from_environment(void)
{
    const char *word = getenv("SHUNT_CHECK");

    if (word == NULL || word[0] == '\0')
        return 0;
    return strcmp(word, "pointers") == 0 ? 1 : SHUNT_EINVAL;
}

bool sh_options_scatter(void)
{
    return getenv("SHUNT_SCATTER") != NULL;
}

int sh_options_figures(const shunt_options *o)
{
    const char *word = getenv("SHUNT_FIGURES");

    if (o->mode == SHUNT_AUTO)
        return 1;
    if (word == NULL || word[0] == '\0' || strcmp(word, "0") == 0)
        return 0;
    return strcmp(word, "1") == 0 ? 1 : SHUNT_EINVAL;
}

/* Each of these completes some options: NULL, or what is wrong with one. */

static const char *resolve_mode(shunt_options *o)
{
    bool given = o->mode != SHUNT_MODE_DEFAULT;

    if (!given)
        o->mode = mode_from_environment();
    if (o->mode >= SHUNT_THREADS && o->mode <= SHUNT_AUTO)
        return NULL;
    return given ? ".mode is none of enum shunt_mode"
                 : "$SHUNT_MODE is not threads, processes or auto";
}

static const char *resolve_workers(shunt_options *o)
{
    bool given = o->workers != 0;

    if (!given)
        o->workers = number_from_environment("SHUNT_WORKERS", sh_cpus());
    if (o->workers >= 1 && o->workers <= SHUNT_WORKERS_MAX)
        return NULL;
    return given ? ".workers is not a number from 1 to 1024"
                 : "$SHUNT_WORKERS is not a number from 1 to 1024";
}

static const char *resolve_spares(shunt_options *o)
{
    if (o->spares == 0)
        o->spares = o->workers < SPARES_DEFAULT ? o->workers : SPARES_DEFAULT;
    if (o->spares < 0)
        o->spares = 0;
    /* A process that is stuck is killed. */
    if (o->mode == SHUNT_PROCESSES)
        o->spares = 0;
    /* sync/sleep.h has no bits for more */
    return o->spares <= SHUNT_WORKERS_MAX ? NULL : ".spares is more than 1024";
}

static const char *resolve_blocking(shunt_options *o)
{
    if (o->blocking_max == 0)
        o->blocking_max = blocking_from_environment();
    if (o->blocking_max == SHUNT_EINVAL)
        return "$SHUNT_BLOCKING_MAX is not none, nor a number from 1 to 1024";
    if (o->blocking_max < 0)
        o->blocking_max = 0;
    if (o->blocking_max > SHUNT_WORKERS_MAX)
        return ".blocking_max is more than 1024";
    /* The state of a record has no numbers for more. */
    if (o->mode == SHUNT_AUTO) {
        int room = POSTS_MOST - 3 * o->workers;

        if (o->spares > room)
            o->spares = room;
        if (o->blocking_max > (room - o->spares) / 2) /* in each camp */
            o->blocking_max = (room - o->spares) / 2;
    }
    return NULL;
}

static const char *resolve_sizes(shunt_options *o)
{
    if (o->queue_max == 0)
        o->queue_max = QUEUE_MAX_DEFAULT;
    if (o->queue_max > SH_INDEX_MAX)
        o->queue_max = SH_INDEX_MAX; /* there cannot be more records */
    if (o->stack_bytes == 0)
        o->stack_bytes = STACK_BYTES_DEFAULT;
    if (o->stack_bytes < SH_STACKS_BYTES_MIN)
        return ".stack_bytes is less than 16 KiB";
    if (o->stack_bytes > STACK_BYTES_MOST)
        return ".stack_bytes is more than 1 TiB";
    if (o->worker_bytes_max > 0 && o->worker_bytes_max < WORKER_BYTES_LEAST)
        return ".worker_bytes_max is less than 8 MiB";
    return NULL;
}

int sh_options_resolve(const shunt_options *given, size_t given_size,
                       shunt_options *o, int *checks_out, const char **why_out)
{
    static const char *(*const steps[])(
        shunt_options *) = { resolve_mode, resolve_workers, resolve_spares,
                             resolve_blocking, resolve_sizes };

    memset(o, 0, sizeof *o);
    if (given != NULL)
        memcpy(o, given, given_size < sizeof *o ? given_size : sizeof *o);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        *why_out = steps[i](o);
        if (*why_out != NULL)
            return SHUNT_EINVAL;
    }
    if (o->name == NULL)
        o->name = "shunt";
    *checks_out = checks_from_environment();
    if (*checks_out < 0) {
        *why_out = "$SHUNT_CHECK is not understood: it may be pointers";
        return SHUNT_EINVAL;
    }
    if (sh_options_figures(o) < 0) {
        *why_out = "$SHUNT_FIGURES is not 0 or 1";
        return SHUNT_EINVAL;
    }
    return 0;
}
