/* SPDX-License-Identifier: MIT */
/*
 * step/step.c - kills a worker process at every instruction of a scene.
 *
 *     step                            all scenes, every instruction
 *     step --list                     their names
 *     step --scene then --at 1234     that one death
 *     step --scene then --at 1234 --here    in this process: for a debugger
 *     step --stride 97 --from 5       one in 97
 *     step --workers 2 --victims 2 --seed 7    two are stepped, by turns that
 *                                     are drawn, and one or both killed
 *
 * Method. For each scene a child process of ours is the host of a pool, and
 * plays the scene once for each instruction (play.c). What is found wrong ends
 * that child; another one goes on behind that instruction. So a host that
 * crashes, or hangs, is found as well.
 *
 * Exit status: 0 nothing is wrong; 1 something is, or it may not trace.
 */
#include <getopt.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "stepper.h"

enum {
    JOBS_MAX = 64,
    PLAY_SECONDS_MAX = 150 /* for one death, else its host is stuck */
};

struct wish {
    const char *names[64];
    size_t count;
    long from, to, stride;
    unsigned workers, victims;
    uint64_t seed;
    unsigned jobs;
    int64_t until_ns; /* no scene goes on after that */
    long wrong_max;   /* of one scene */
    uintptr_t in_from, in_to;
    bool images; /* and nobody is killed */
    bool here;   /* the host is this process: for a debugger */
};

/* What was found of one scene. */
struct tally {
    long deaths, images, wrong, steps;
};

/* -- a host -- */

static void sit_on_cpu(unsigned job)
{
    cpu_set_t allowed, one;
    unsigned count, n = 0;

    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return;
    count = (unsigned)CPU_COUNT(&allowed);
    for (unsigned i = 0; i < CPU_SETSIZE; i++) {
        if (!CPU_ISSET(i, &allowed) || n++ != job % count)
            continue;
        CPU_ZERO(&one);
        CPU_SET(i, &one);
        (void)sched_setaffinity(0, sizeof one, &one);
        return;
    }
}

/* What was wrong, by the word that says so; in all processes of ours. */
static const char *const kinds[] = { "lost:", "doubled:", "wrong:", "leaked:",
                                     "" };
enum {
    KINDS = sizeof kinds / sizeof *kinds
};
static _Atomic long *counts;

static void count_wrong(void)
{
    unsigned i = 0;

    while (strstr(report->text, kinds[i]) == NULL)
        i++;
    atomic_fetch_add(&counts[i], 1);
}

void tell_wrong(const struct scene *s, const struct schedule *how, bool image,
                long at)
{
    printf("WRONG: step --scene %s --workers %u --victims %u --seed %llu%s "
           "--at %ld: %s\n",
           s->name, how->workers, how->victims, (unsigned long long)how->seed,
           image ? " --images" : "", at, report->text);
    fflush(stdout);
    count_wrong();
}

static bool is_of_auto(const struct scene *s)
{
    for (const struct scene *one = scenes_of_auto; one->name != NULL; one++)
        if (one == s)
            return true;
    return false;
}

static _Noreturn void be_host(const struct wish *w, const struct scene *s,
                              unsigned job, long from, long stride)
{
    struct schedule how = { w->workers,   w->victims, w->seed,
                            w->wrong_max, w->in_from, w->in_to };
    struct play p = { .count = 0 };

    sit_on_cpu(job);
    pool_open(&p, w->workers, is_of_auto(s));
    /* Once without a death: what it touches first is no leak. */
    atomic_store(&board->at, -1);
    alarm(PLAY_SECONDS_MAX);
    (void)play_once(&p, s, &how, LONG_MAX);
    if (w->images) {
        alarm(0);
        play_images(&p, s, &how, from, w->to, stride);
        from = LONG_MAX;
    }
    for (long at = from; at <= w->to && sh_clock_ns() < w->until_ns;
         at += stride) {
        atomic_store(&board->at, at);
        alarm(PLAY_SECONDS_MAX);
        if (how.victims > 1)
            how.seed = w->seed + (uint64_t)at;
        if (!play_once(&p, s, &how, at))
            break; /* the scene ends before that */
    }
    atomic_store(&board->at, w->to);
    alarm(PLAY_SECONDS_MAX);
    if (shunt_pool_free(p.name) != 0)
        wrong("the pool cannot be freed");
    _exit(0);
}

/* -- its parent -- */

struct job {
    pid_t pid; /* 0: none */
    struct board *board;
    struct report *report;
    long from, stride;
    bool done;
};

static void start(const struct wish *w, const struct scene *s, struct job *j,
                  unsigned number)
{
    memset(j->board, 0, sizeof *j->board);
    memset(j->report, 0, sizeof *j->report);
    board = j->board;
    report = j->report;
    fflush(stdout);
    j->pid = w->here ? 0 : fork();
    if (j->pid == 0)
        be_host(w, s, number, j->from, j->stride);
    if (j->pid < 0) {
        perror("step: fork");
        exit(1);
    }
}

/* A host has ended. */
static void collect(const struct wish *w, const struct scene *s, struct job *j,
                    int status, struct tally *t)
{
    long at = atomic_load(&j->board->at);

    t->deaths += atomic_load(&j->board->kills);
    t->images += atomic_load(&j->report->images);
    t->wrong += atomic_load(&j->report->wrong);
    t->steps += atomic_load(&j->board->steps);
    j->pid = 0;
    if (status == 0) {
        j->done = true;
        return;
    }
    t->wrong++;
    report = j->report;
    if (report->text[0] == '\0')
        snprintf(report->text, TEXT_MAX, "the host ended: status %x",
                 (unsigned)status);
    tell_wrong(s,
               &(struct schedule){ .workers = w->workers,
                                   .victims = w->victims,
                                   .seed = w->seed },
               w->images, at);
    if (at < 0 || t->wrong >= w->wrong_max)
        j->done = true;
    j->from = at + j->stride;
}

static void *share(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED) {
        perror("step: mmap");
        exit(1);
    }
    return p;
}

static struct tally run_scene(const struct wish *w, const struct scene *s)
{
    static struct job jobs[JOBS_MAX];
    struct tally t = { .wrong = 0 };
    unsigned left = w->jobs;

    for (unsigned i = 0; i < w->jobs; i++) {
        if (jobs[i].board == NULL) {
            jobs[i].board = share(sizeof(struct board));
            jobs[i].report = share(sizeof(struct report));
        }
        jobs[i] = (struct job){ .board = jobs[i].board,
                                .report = jobs[i].report,
                                .from = w->from + (long)i * w->stride,
                                .stride = w->stride * (long)w->jobs };
        start(w, s, &jobs[i], i);
    }
    while (left > 0) {
        int status;
        pid_t pid = wait(&status);

        if (pid < 0) {
            perror("step: wait");
            exit(1);
        }
        for (unsigned i = 0; i < w->jobs; i++) {
            if (jobs[i].pid != pid)
                continue;
            collect(w, s, &jobs[i], status, &t);
            if (jobs[i].done || t.wrong >= w->wrong_max)
                left--;
            else
                start(w, s, &jobs[i], i);
        }
    }
    return t;
}

static const struct scene *const lists[] = { scenes_of_futures,
                                             scenes_of_memory, scenes_of_calls,
                                             scenes_of_auto };

/* The scene behind another one; the first behind NULL. NULL: there is none. */
static const struct scene *next_scene(const struct scene *s, size_t *list)
{
    if (s == NULL)
        *list = 0;
    s = s == NULL ? lists[0] : s + 1;
    while (s->name == NULL) {
        if (++*list == sizeof lists / sizeof *lists)
            return NULL;
        s = lists[*list];
    }
    return s;
}

static bool is_wanted(const struct wish *w, const char *name)
{
    for (size_t i = 0; i < w->count; i++)
        if (strcmp(w->names[i], name) == 0)
            return true;
    return w->count == 0;
}

static int run(const struct wish *w)
{
    struct tally all = { .wrong = 0 };
    unsigned played = 0;

    size_t list;

    counts = share(KINDS * sizeof *counts);
    for (const struct scene *s = next_scene(NULL, &list); s != NULL;
         s = next_scene(s, &list)) {
        int64_t begin = sh_clock_ns();
        struct tally t;

        if (!is_wanted(w, s->name) || sh_clock_ns() >= w->until_ns ||
            (w->images && is_of_auto(s)))
            continue;
        t = run_scene(w, s);
        printf("%-12s %6ld deaths, %7ld images, %4ld wrong, %9ld instructions "
               "stepped, %5.1f s%s\n",
               s->name, t.deaths, t.images, t.wrong, t.steps,
               (double)(sh_clock_ns() - begin) / 1e9,
               t.wrong >= w->wrong_max ? ", given up" : "");
        all.deaths += t.deaths;
        all.images += t.images;
        all.wrong += t.wrong;
        all.steps += t.steps;
        played++;
    }
    printf("%u scenes, seed %llu: %ld deaths, %ld images, %ld wrong, %ld "
           "instructions stepped\n",
           played, (unsigned long long)w->seed, all.deaths, all.images,
           all.wrong, all.steps);
    printf("of these: %ld lost, %ld doubled, %ld wrong, %ld leaked, %ld hosts "
           "that crashed or hung\n",
           atomic_load(&counts[0]), atomic_load(&counts[1]),
           atomic_load(&counts[2]), atomic_load(&counts[3]),
           atomic_load(&counts[4]));
    return all.wrong == 0 && all.deaths + all.images > 0 ? 0 : 1;
}

/* Containers may forbid it. */
static bool may_trace(void)
{
    pid_t pid = fork();
    int status = 0;
    bool may;

    if (pid == 0) {
        pause();
        _exit(0);
    }
    may = pid > 0 && ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0;
    if (pid > 0) {
        kill(pid, SIGKILL);
        (void)waitpid(pid, &status, __WALL);
    }
    return may;
}

static int list(void)
{
    size_t n;

    for (const struct scene *s = next_scene(NULL, &n); s != NULL;
         s = next_scene(s, &n))
        puts(s->name);
    return 0;
}

static bool read_option(struct wish *w, int option, const char *value)
{
    long n = strtol(value != NULL ? value : "0", NULL, 0);

    switch (option) {
    case 's':
        w->names[w->count] = value;
        return ++w->count < sizeof w->names / sizeof *w->names;
    case 'a':
        w->from = w->to = n;
        w->jobs = 1;
        return n >= 0;
    case 'f':
        w->from = n;
        return n >= 0;
    case 't':
        w->to = n;
        return n >= 0;
    case 'd':
        w->stride = n;
        return n > 0;
    case 'w':
        w->workers = (unsigned)n;
        return n >= 1 && n <= VICTIMS_MAX;
    case 'v':
        w->victims = (unsigned)n;
        return n >= 1 && n <= VICTIMS_MAX;
    case 'r':
        w->seed = (uint64_t)n;
        return true;
    case 'j':
        w->jobs = (unsigned)n;
        return n >= 1 && n <= JOBS_MAX;
    case 'S':
        w->until_ns = sh_clock_after(SHUNT_S(n));
        return n > 0;
    case 'n':
        return find_code(value, &w->in_from, &w->in_to);
    case 'i':
        w->images = true;
        return true;
    case 'h':
        w->here = true;
        w->jobs = 1;
        return true;
    case 'm':
        w->wrong_max = n;
        return n > 0;
    default:
        return false;
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "list", no_argument, NULL, 'l' },
        { "scene", required_argument, NULL, 's' },
        { "at", required_argument, NULL, 'a' },
        { "from", required_argument, NULL, 'f' },
        { "to", required_argument, NULL, 't' },
        { "stride", required_argument, NULL, 'd' },
        { "workers", required_argument, NULL, 'w' },
        { "victims", required_argument, NULL, 'v' },
        { "seed", required_argument, NULL, 'r' },
        { "jobs", required_argument, NULL, 'j' },
        { "seconds", required_argument, NULL, 'S' },
        { "images", no_argument, NULL, 'i' },
        { "in", required_argument, NULL, 'n' },
        { "here", no_argument, NULL, 'h' },
        { "wrong-max", required_argument, NULL, 'm' },
        { NULL, 0, NULL, 0 },
    };
    struct wish w = { .from = 1,
                      .to = 10000000,
                      .stride = 1,
                      .workers = 1,
                      .victims = 1,
                      .seed = 1,
                      .jobs = 2,
                      .until_ns = INT64_MAX,
                      .wrong_max = 40 };
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'l')
            return list();
        if (!read_option(&w, option, optarg)) {
            fprintf(stderr, "step: a bad option; see step.c\n");
            return 2;
        }
    }
    if (w.victims > w.workers || w.images)
        w.workers = w.victims;
    if (!w.here && !may_trace()) {
        puts("step: this process may not trace others");
        return 1;
    }
    return run(&w);
}
