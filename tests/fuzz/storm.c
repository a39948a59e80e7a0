/* SPDX-License-Identifier: MIT */
/*
 * fuzz/storm.c - worker processes that end at any moment: killed from outside,
 * or by what they run; and who is to blame.
 *
 *     killer   draws a worker and a signal, waits, sends; notes both before
 *     doom     what a function does instead of coming to its end
 *     blame    a crash that a node reports: each death has one culprit at most,
 *              which ended in a way that fits
 *
 * Idea. The killer draws from the seed, so a run is repeated as far as choices
 * go. When a signal arrives is up to the machine, and is not repeated.
 *
 * A pool gives up after five processes in a row that die before they serve, so
 * only those that serve are hit.
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../unit/kin.h"
#include "graph.h"
#include "worker/worker.h"

enum {
    KIN_MAX = 128,
    EATEN = 1 << 20,
    ROOM = 64 << 20,
    LOOKS = 2000,
    REPAIR_LOOKS = 20000,
    GRAPHS_FIRST = 4,  /* until what is made once has been made */
#ifdef STANDIN
    MAPPINGS_MORE = 1 << 20 /* ThreadSanitizer's, for stacks that there were */
#else
    MAPPINGS_MORE = 64 /* of allocators, which have some for each thread */
#endif
};

/* -- who there is -- */

/* The children of a process; how many. */
static unsigned children_of(int pid, int *out)
{
    char path[64];
    unsigned n = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
    f = fopen(path, "re");
    if (f == NULL)
        return 0;
    while (n < KIN_MAX && fscanf(f, "%d", &out[n]) == 1)
        n++;
    fclose(f);
    return n;
}

/* Whether the short name of a process begins so. */
static bool is_called(int pid, const char *name)
{
    char text[32];

    (void)kin_read(pid, "comm", text, sizeof text);
    return strncmp(text, name, strlen(name)) == 0;
}

/* The seed and the zygotes. */
static unsigned count_kin(void)
{
    int seeds[KIN_MAX], zygotes[KIN_MAX];
    unsigned s = children_of(getpid(), seeds), n = 0;

    for (unsigned i = 0; i < s; i++)
        n += 1 + children_of(seeds[i], zygotes);
    return n;
}

/* -- the killer -- */

static void nap(uint64_t us)
{
    struct timespec t = { .tv_sec = (time_t)(us / 1000000),
                          .tv_nsec = (long)(us % 1000000) * 1000 };

    nanosleep(&t, NULL);
}

/* Note it first: whoever sees the crash looks there. */
static void note_hit(struct graph *g, int pid, int signal)
{
    unsigned at = atomic_load(&g->hit_count);

    if (at == HITS_MAX)
        return;
    g->hits[at].signal = signal;
    g->hits[at].pid = pid;
    atomic_store(&g->hit_count, at + 1);
}

static bool was_hit(struct graph *g, int pid, int signal)
{
    unsigned count = atomic_load(&g->hit_count);

    for (unsigned i = 0; i < count; i++)
        if (g->hits[i].pid == pid &&
            (signal == 0 || g->hits[i].signal == signal))
            return true;
    return false;
}

/* The process of that name two generations below that has not been hit; 0: there
 * is none now. */
static int find_worker(struct graph *g, const char *name)
{
    int seeds[KIN_MAX], zygotes[KIN_MAX], workers[KIN_MAX];
    unsigned s = children_of(getpid(), seeds);

    for (unsigned i = 0; i < s; i++) {
        unsigned z = children_of(seeds[i], zygotes);

        for (unsigned k = 0; k < z; k++) {
            unsigned w = children_of(zygotes[k], workers);

            for (unsigned m = 0; m < w; m++)
                if (is_called(workers[m], name) && !was_hit(g, workers[m], 0))
                    return workers[m];
        }
    }
    return 0;
}

static bool is_alive(int pidfd)
{
    struct pollfd p = { .fd = pidfd, .events = POLLIN };

    return poll(&p, 1, 0) == 0;
}

static void send_to(int pidfd, int signal)
{
    (void)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

/* Hit a worker that serves, if it is found and lives. */
static bool hit(struct graph *g, struct sh_pool *pool, uint64_t random)
{
    static const int signals[] = { SIGKILL, SIGKILL, SIGKILL, SIGSEGV,
                                   SIGABRT, SIGBUS,  SIGSTOP, SIGKILL };
    unsigned index = (unsigned)(random % pool->workers);
    int signal = signals[random >> 8 & 7];
    bool stops = signal == SIGSTOP, done = false;
    char name[32];
    int pid, pidfd;

    if (sh_load_sc(&pool->posts[index].unready) != 0)
        return false;
    snprintf(name, sizeof name, "shunt: worker %u", index);
    pid = find_worker(g, name);
    if (pid == 0)
        return false;
    pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0)
        return false;
    /* Still that one: its number was not given to another. */
    if (is_called(pid, name) && is_alive(pidfd)) {
        note_hit(g, pid, stops ? SIGKILL : signal);
        send_to(pidfd, signal);
        if (stops)
            nap(random >> 16 & 0x3ff);
        if (stops)
            send_to(pidfd, SIGKILL);
        done = true;
    }
    close(pidfd);
    return done;
}

static void *kill_on(void *arg)
{
    struct killer *k = arg;
    struct graph *g = k->graph;
    uint64_t seed = g->plan->seed;
    struct sh_pool *pool;

    if (sh_pool_find(g->pools[0], &pool) != 0)
        fuzz_fail(g, "there is no pool to hit");
    for (unsigned i = 0; !atomic_load(&k->over) && i < HITS_MAX; i++) {
        uint64_t random = plan_random(seed, 7000, i);

        nap(random >> 40 & ((1u << (6 + (random >> 32 & 7))) - 1));
        if (!atomic_load(&k->over) && hit(g, pool, random))
            atomic_fetch_add(&census->kills, 1);
    }
    return NULL;
}

void storm_begin(struct killer *k, struct graph *g)
{
    k->graph = g;
    atomic_init(&k->over, false);
    if (g->plan->stormy && pthread_create(&k->thread, NULL, kill_on, k) != 0)
        fuzz_fail(g, "no thread for the fuzzer itself");
}

void storm_end(struct killer *k)
{
    atomic_store(&k->over, true);
    if (k->graph->plan->stormy)
        pthread_join(k->thread, NULL);
}

/* That place has been emptied, or somebody is there who was not hit. */
static bool is_repaired(struct graph *g, struct sh_pool *pool, unsigned index)
{
    char name[32];

    if (sh_load_sc(&pool->posts[index].unready) != 0)
        return true;
    snprintf(name, sizeof name, "shunt: worker %u", index);
    return find_worker(g, name) != 0;
}

void storm_await_repair(struct graph *g, struct sh_pool *pool)
{
    unsigned looks = 0;

    if (g->plan->stormy)
        for (unsigned i = 0; i < pool->workers; i++)
            while (!is_repaired(g, pool, i)) {
                if (looks++ == REPAIR_LOOKS)
                    fuzz_fail(g, "worker %u is not repaired", i);
                nap(500);
            }
    /* Who fails a dead worker's tasks has more to do then. */
    pthread_mutex_lock(&pool->team->repair);
    pthread_mutex_unlock(&pool->team->repair);
}

/* -- doom -- */

static void overflow(unsigned depth)
{
    volatile char page[4096];

    page[0] = (char)depth;
    if (depth < UINT32_MAX)
        overflow(depth + 1);
    page[1] = page[0];
}

/* Take memory until there is none. */
static void eat(void)
{
    struct rlimit limit = { 0, 0 };
    struct rusage use;
    char *bytes;

    getrusage(RUSAGE_SELF, &use);
    limit.rlim_cur = limit.rlim_max = (rlim_t)use.ru_maxrss * 1024 + ROOM;
    (void)setrlimit(RLIMIT_DATA, &limit);
    for (unsigned i = 0; i < 4 * (ROOM / EATEN); i++) {
        bytes = malloc(EATEN);
        if (bytes == NULL)
            break;
        memset(bytes, 1, EATEN);
    }
    abort();
}

void storm_doom(const struct job *job)
{
    struct graph *g = job->graph;
    enum doom doom = g->plan->node[job->node].doom;

    if (doom == DOOM_NONE)
        return;
    atomic_store(&g->fate[job->node].doomed, true);
    atomic_fetch_add(&census->dooms, 1);
    switch (doom) {
    case DOOM_EXIT:
        exit(0);
    case DOOM_LEAVE:
        _exit(3);
    case DOOM_NULL:
        *(volatile int *)job->graph->nowhere = 1;
        break;
    case DOOM_ABORT:
        abort();
    case DOOM_KILL:
        raise(SIGKILL);
        break;
    case DOOM_OVERFLOW:
        overflow(0);
        break;
    case DOOM_EAT:
        eat();
        break;
    default:
        for (;;)
            behave_spin(1000);
    }
    fuzz_fail(g, "node %u outlives its doom", job->node);
}

/* -- blame -- */

static bool fits(enum doom doom, const shunt_error *e)
{
    switch (doom) {
    case DOOM_EXIT:
        return e->signal == 0 && e->exit_status == 0;
    case DOOM_LEAVE:
        return e->signal == 0 && e->exit_status == 3;
    case DOOM_NULL:
    case DOOM_OVERFLOW:
        return e->signal == SIGSEGV;
    case DOOM_ABORT:
    case DOOM_EAT:
        return e->signal == SIGABRT;
    default:
        return e->signal == SIGKILL;
    }
}

/* The place of a process among those that have a culprit. */
static atomic_uint *culprit_of(struct graph *g, int pid)
{
    for (unsigned i = 0; i < CULPRITS_MAX; i++) {
        int none = 0;

        if (atomic_compare_exchange_strong(&g->culprits[i].pid, &none, pid) ||
            none == pid)
            return &g->culprits[i].node;
    }
    return NULL;
}

void storm_blame(struct graph *g, unsigned n, const shunt_error *e)
{
    const struct node *node = &g->plan->node[n];
    struct fate *fate = &g->fate[n];
    int pid = atomic_load(&fate->pid);
    atomic_uint *culprit;
    unsigned none = 0;

    if (node->op != OP_TASK || node->propagates)
        return;
    atomic_fetch_add(e->collateral ? &census->collateral : &census->culprits,
                     1);
    if (e->collateral && e->culprit == NULL)
        fuzz_fail(g, "node %u fell with nobody: %s", n, e->message);
    /* What may run again may have died before it said where. */
    if (e->collateral || pid == 0 || node->retries > 0)
        return;
    culprit = culprit_of(g, pid);
    if (culprit != NULL &&
        !atomic_compare_exchange_strong(culprit, &none, n + 1) && none != n + 1)
        fuzz_fail(g, "nodes %u and %u are both the culprit of process %d",
                  none - 1, n, pid);
    if (was_hit(g, pid, e->signal) && e->signal != 0)
        return;
    if (atomic_load(&fate->doomed) && !fits(node->doom, e))
        fuzz_fail(g, "node %u, doomed to %d, is said to have ended so: %s", n,
                  (int)node->doom, e->message);
    if (!atomic_load(&fate->doomed) && !may_be_late(g->plan, node))
        fuzz_fail(g,
                  "node %u, not doomed nor hit, is said to have ended so: "
                  "%s",
                  n, e->message);
}

/* -- what is left -- */

static unsigned count_lines(const char *path)
{
    FILE *f = fopen(path, "re");
    unsigned n = 0;
    int c;

    while (f != NULL && (c = getc(f)) != EOF)
        n += c == '\n';
    if (f != NULL)
        fclose(f);
    return n;
}

static unsigned count_files(const char *path)
{
    DIR *dir = opendir(path);
    unsigned n = 0;

    while (dir != NULL && readdir(dir) != NULL)
        n++;
    if (dir != NULL)
        closedir(dir);
    return n;
}

/* What the host has. */
struct remains {
    unsigned descriptors, threads, kin, mappings;
};

static void count(struct remains *out)
{
    out->descriptors = count_files("/proc/self/fd");
    out->threads = count_files("/proc/self/task");
    out->kin = count_kin();
    out->mappings = count_lines("/proc/self/maps");
}

/* A process that was waited for is listed for a moment longer. Bounded. */
static bool come_back_to(const struct remains *base, struct remains *now)
{
    for (unsigned look = 0; look < LOOKS; look++) {
        count(now);
        if (now->descriptors <= base->descriptors &&
            now->threads <= base->threads && now->kin <= base->kin &&
            now->mappings <= base->mappings + MAPPINGS_MORE)
            return true;
        nap(1000);
    }
    return false;
}

bool storm_cuts(const struct graph *g)
{
    return g->plan->mortal && atomic_load(&census->kills) > 0 &&
           atomic_fetch_add(&census->cut, 1) <=
               atomic_load(&census->kills) / 1000;
}

bool storm_leaves(char *text, size_t size)
{
    static struct remains base;
    static unsigned graphs;
    struct remains now;

    if (graphs++ < GRAPHS_FIRST) {
        nap(10000);
        count(&now);
        base.descriptors = now.descriptors;
        base.threads = now.threads;
        base.kin = now.kin;
        if (now.mappings > base.mappings)
            base.mappings = now.mappings;
        return false;
    }
    if (come_back_to(&base, &now))
        return false;
    snprintf(text, size,
             "the host had %u descriptors, %u threads, %u processes, %u "
             "mappings, and has %u, %u, %u, %u",
             base.descriptors, base.threads, base.kin, base.mappings,
             now.descriptors, now.threads, now.kin, now.mappings);
    return true;
}
