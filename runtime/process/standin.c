/* SPDX-License-Identifier: MIT */
/*
 * process/standin.c - threads that stand in for worker processes, in a build
 * for ThreadSanitizer (-Dstandin=true): in the place of zygote.c and serve.c.
 *
 * Idea. ThreadSanitizer sees one process. Here a pool's workers are threads of
 * the host that know of each other what processes would: each has a struct
 * sh_self of its own, which a new process would find cleared, and maps the
 * pool's memory because the host has. All else is as it is: the arena and its
 * slices, who owns what, what is handed over, the warden, and recovery, for
 * those that end when they are used up. So what one process does to another is
 * what one thread does to another, and seen.
 *
 *     pid      a number that no process has
 *     pidfd    an eventfd: readable, and soon joined
 *     SIGKILL, SIGSTOP, limits, crash records, exit: none. A task that would
 *     be killed runs on, and what it was is up to it
 *
 * There is still a seed, which forks nothing.
 *
 * Edges.
 *   stop     worker/pool.c
 *
 * Crash. None: it is for tests alone.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/self.h"
#include "process/serve.h"
#include "process/zygote.h"
#include "worker/worker.h"

/* Numbers of processes are less than this. */
#define NUMBERS (1 << 22)

struct standin {
    struct sh_self self; /* first: its address is the stand-in's */
    struct sh_zygote *zygote;
    pthread_t thread;
    pid_t number;
    int ended; /* the warden's pidfd */
    sh_worker_main *enter;
    struct sh_pool *pool;
    unsigned worker;
    int status;
    struct standin *next;
};

_Thread_local struct sh_self *sh_self_of_thread = &sh_self_of_process;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct standin *standins; /* that were not joined */
static pid_t last = NUMBERS;

/* -- what a worker does -- */

int sh_serve(void *root, unsigned index)
{
    const struct standin *s = (struct standin *)sh_self();
    struct sh_pool *pool = root;

    sh_registry_serve(pool, index, (unsigned)s->number);
    if (!sh_slices_join(pool->heap.slices, SH_OWNER_WORKER(index)))
        return 1;
    return sh_worker_serve(&pool->team->workers[index]) ? 0 : 1;
}

static void *standin_main(void *arg)
{
    struct standin *s = arg;
    uint64_t one = 1;
    char name[16];

    (void)snprintf(name, sizeof name, "shunt: w%u", s->worker % 1000);
    pthread_setname_np(pthread_self(), name);
    sh_self_of_thread = &s->self;
    pthread_sigmask(SIG_SETMASK, &s->pool->team->signals, NULL);
    s->status = s->enter(s->pool, s->worker);
    sh_slices_forget(s->pool->heap.slices);
    (void)!write(s->ended, &one, sizeof one);
    return NULL;
}

/* -- what the host has of them -- */

int sh_zygote_start(struct sh_zygote *z, const struct sh_arena *arena,
                    sh_worker_main *enter, void *root, const char *name)
{
    (void)arena, (void)name;
    *z = (struct sh_zygote){ .socket = -1,
                             .pidfd = -1,
                             .host = getpid(),
                             .enter = enter,
                             .root = root };
    return pthread_mutex_init(&z->lock, NULL) == 0 ? 0 : SHUNT_ENOMEM;
}

int sh_zygote_fork(struct sh_zygote *z, unsigned worker, pid_t *pid_out,
                   int *pidfd_out)
{
    struct standin *s = calloc(1, sizeof *s);

    if (s == NULL)
        return SHUNT_EAGAIN;
    s->zygote = z;
    s->enter = z->enter;
    s->pool = z->root;
    s->worker = worker;
    s->ended = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_lock(&lock);
    s->number = ++last;
    if (s->ended < 0 ||
        pthread_create(&s->thread, NULL, standin_main, s) != 0) {
        pthread_mutex_unlock(&lock);
        if (s->ended >= 0)
            close(s->ended);
        free(s);
        return SHUNT_EAGAIN;
    }
    s->next = standins;
    standins = s;
    pthread_mutex_unlock(&lock);
    *pid_out = s->number;
    *pidfd_out = s->ended;
    return 0;
}

/* Take one of these out of the list: that number, or any if 0. */
static struct standin *take(const struct sh_zygote *z, pid_t number)
{
    struct standin **at = &standins, *s;

    pthread_mutex_lock(&lock);
    while ((s = *at) != NULL &&
           (s->zygote != z || (number != 0 && s->number != number)))
        at = &s->next;
    if (s != NULL)
        *at = s->next;
    pthread_mutex_unlock(&lock);
    return s;
}

int sh_zygote_reap(struct sh_zygote *z, pid_t pid, struct sh_death *death_out)
{
    struct standin *s = take(z, pid);

    if (s == NULL)
        return SHUNT_EINVAL;
    pthread_join(s->thread, NULL);
    *death_out = (struct sh_death){ .exit_status = s->status };
    free(s);
    return 0;
}

/* As if: it is then sent a signal that does nothing. */
int sh_zygote_stopped(struct sh_zygote *z, pid_t pid)
{
    (void)z, (void)pid;
    return 0;
}

/* Some run only if a pool could not be made. */
void sh_zygote_stop(struct sh_zygote *z)
{
    struct sh_pool *pool = z->root;
    struct standin *s;

    sh_store_sc(&pool->team->stop, 1); /* seq_cst: stop */
    for (unsigned i = 0; i < sh_pool_active(pool); i = sh_pool_next(pool, i))
        sh_sleep_wake(&sh_camp_at(pool, i)->sleep, i);
    sh_standins_rouse(pool);
    while ((s = take(z, 0)) != NULL) {
        pthread_join(s->thread, NULL);
        free(s);
    }
    pthread_mutex_destroy(&z->lock);
}

bool sh_zygote_is_cut_off(const struct sh_zygote *z)
{
    (void)z;
    return false;
}

int sh_zygote_fault(struct sh_zygote *z, int64_t nth)
{
    (void)z, (void)nth;
    return 0;
}
