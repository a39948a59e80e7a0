/* SPDX-License-Identifier: MIT */
/*
 * worker/home.c - tasks of a process pool that need the host's own memory
 * (.host_only): a thread of the host runs them.
 *
 *     process   takes up the hint of such a task | leaves it READY, moves
 *               hosted | wakes the thread at home
 *     at home   looks through the table for such tasks that are READY
 *
 * Idea. They are few, so they have no queue of their own: the table is the
 * truth, and a process that comes upon one says so. The thread is a worker like
 * those of a thread pool, with the post behind those of the processes, but it
 * takes up nothing else, and sleeps outside of the protocol of sleepers, so
 * that nobody counts on it. The timekeeper starts it for the first such task.
 * Its stacks are the host's own, and not in the arena as those of the processes
 * are, so that a task may fork: the child has a copy of them.
 * Tasks that no process has, of libraries that were loaded too late, come here
 * as well, and are told so.
 *
 * Edges.
 *   accepted task/handle.c
 *   guests   future/notice.c
 *   home     process: move hosted, then read rests || at home: write rests,
 *            then read hosted; all seq_cst: one sees the other. Likewise with
 *            resumed (future/deliver.c) and stop
 *   quiet    future/settle.c
 *
 * Crash. A process that dies before it has moved hosted leaves a task that is
 * READY: its death moves rescan, and others come upon it. What the thread does
 * is the host's, whose death ends the pool.
 */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "future/timer.h"
#include "memory/known.h"
#include "sync/futex.h"
#include "task/error.h"
#include "worker/worker.h"

/* A process that looked at its description would crash. */
bool sh_home_is_late(const struct sh_pool *pool, const shunt_task *task)
{
    return !sh_known_has(pool->known, task);
}

bool sh_home_wants(const struct sh_pool *pool, const shunt_task *task)
{
    return pool->shared && task != NULL &&
           (sh_home_is_late(pool, task) || task->traits_.host_only);
}

void sh_home_call(struct sh_pool *pool)
{
    sh_add_sc(&pool->hosted, 1); /* seq_cst: home */
    /* seq_cst: home */
    if (sh_load_sc(&pool->posts[pool->workers].rests) != SH_UNFIT)
        sh_post_rouse(pool, &pool->posts[pool->workers]);
    else
        sh_time_recruit(pool);
}

/* Whether a record's task is for threads of the host alone. */
static bool is_for_home(struct sh_pool *pool, const struct sh_record *r)
{
    return pool->mixed ? sh_is_for_host(r)
                       : sh_home_wants(pool, sh_task_seen(r));
}

void sh_home_fail_all(struct sh_pool *pool)
{
    uint32_t used = sh_table_used(&pool->records);
    struct sh_work work = { 0 };

    for (uint32_t i = 1; i < used; i++) {
        struct sh_record *r = sh_record_at(pool, i);
        uint64_t w = sh_load_sc(&r->state); /* seq_cst: accepted, guests */

        if (sh_phase_of(w) == SH_READY && is_for_home(pool, r) &&
            sh_settle_begin(r, w, sh_outcome_from(SHUNT_ENOMEM)))
            sh_work_settle(&work, pool, r);
        sh_work_do(&work);
    }
}

void sh_home_start(struct sh_pool *pool)
{
    unsigned i = pool->workers;

    if (sh_load_sc(&pool->hosted) == 0 || /* seq_cst: home */
        pool->team->started > 0)
        return;
    /* Before it runs, since it is looked for from then on. */
    sh_post_open(pool, i);
    if (sh_worker_start(pool, i) == 0) {
        pool->team->started = 1;
        return;
    }
    sh_post_close(&pool->posts[i]);
    sh_quiet_notify(pool);
    sh_home_fail_all(pool);
}

void sh_home_join(struct sh_pool *pool)
{
    if (!pool->mixed && pool->team->started > 0)
        pthread_join(pool->team->workers[pool->workers].thread, NULL);
}

SH_COLD void sh_home_refuse(struct sh_pool *pool, struct sh_record *r,
                            uint64_t word)
{
    struct sh_failure f = { .code = SHUNT_ENOTSUP, .attempts = 0 };
    struct sh_work work = { 0 };
    const char *path = "", *slash;
    char text[320];
    Dl_info info;

    if (!sh_settle_begin(r, word, sh_outcome_from(SHUNT_ENOTSUP)))
        return;
    if (dladdr(r->task, &info) != 0 && info.dli_fname != NULL)
        path = info.dli_fname;
    slash = strrchr(path, '/');
    snprintf(text, sizeof text,
             "%.120s was loaded after the workers were "
             "started: load it before shunt_init",
             path[0] == '\0' ? "what describes the task"
             : slash != NULL ? slash + 1
                             : path);
    f.text = text;
    sh_error_attach(pool, r, &f);
    sh_work_settle(&work, pool, r);
    sh_work_do(&work);
}

uint64_t sh_home_find(struct sh_worker *w)
{
    struct sh_pool *pool = w->pool;
    uint32_t at = sh_load_rlx(&w->rescan_at); /* relaxed: ours */
    uint32_t used = sh_table_used(&pool->records);
    uint64_t hint = 0;

    w->tick++;
    if (at == 0) {
        w->rescan_now = sh_load_sc(&pool->hosted);         /* seq_cst: home */
        if (w->rescan_now == sh_load_rlx(&w->rescan_done)) /* relaxed: ours */
            return 0;
        at = 1;
    }
    for (; at < used && hint == 0; at++) {
        struct sh_record *r = sh_record_at(pool, at);
        uint64_t word = sh_load_acq(&r->state); /* acquire: accepted */
        const shunt_task *task = sh_task_seen(r);

        if (sh_phase_of(word) != SH_READY || !sh_home_wants(pool, task))
            continue;
        if (sh_home_is_late(pool, task) && !task->traits_.host_only)
            sh_home_refuse(pool, r, word);
        else
            hint = sh_hint(at, sh_generation_of(word));
    }
    if (at >= used && hint == 0) {
        at = 0;
        sh_store_rlx(&w->rescan_done, w->rescan_now); /* relaxed: ours */
    }
    sh_store_rlx(&w->rescan_at, at); /* relaxed: ours */
    return hint;
}

/* Whether there is anything to do at home. */
static bool is_called(struct sh_worker *w)
{
    /* seq_cst: home; relaxed: ours */
    return sh_load_sc(&w->pool->hosted) != sh_load_rlx(&w->rescan_done) ||
           sh_load_sc(&w->post->resumed) != SH_NONE || /* seq_cst: home */
           sh_load_sc(&w->pool->team->stop) != 0;      /* seq_cst: home */
}

void sh_home_rest(struct sh_worker *w)
{
    _Atomic uint32_t *rests = &w->post->rests;

    sh_store_sc(rests, SH_RESTS); /* seq_cst: home */
    if (is_called(w))
        sh_store_sc(rests, SH_WORKS); /* seq_cst: home */
    sh_quiet_notify(w->pool);
    while (sh_load_sc(rests) == SH_RESTS) /* seq_cst: home */
        sh_futex_wait(rests, SH_RESTS, INT64_MAX, true);
    sh_quiet_notify(w->pool);
}
