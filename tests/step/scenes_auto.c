/* SPDX-License-Identifier: MIT */
/*
 * step/scenes_auto.c - what the process of an auto pool does while it is
 * stepped: tasks that it queues for threads of the host, and tasks that pass
 * from one of the two to the other (worker/passing.c).
 */
#include <sched.h>
#include <semaphore.h>
#include <sys/mman.h>

#include "task/profile.h"
#include "tasks.h"

/* -- submitted in a process, for threads of the host -- */

static int on_thread(const struct deed *in, long *out)
{
    now_begins(in->id);
    *out = sh_self()->served == NULL ? in->value : -1;
    now_ends(in->id);
    return 0;
}
SHUNT_TASK(on_thread, struct deed, long, .host_only = true)

static shunt_future *send_away(int id, long value)
{
    shunt_future *f =
        shunt_submit(NULL, on_thread, &(struct deed){ id, value });

    now_sent(id);
    return f;
}

static int away_does(long *out)
{
    int rc = shunt_take(send_away(1, 60), out);

    now_at(0);
    return rc;
}
DO(away)

static int away_left_does(long *out)
{
    *out = 60;
    return shunt_release(send_away(1, 1));
}
DO(away_left)

/* -- by a process to the host: of a library that it has not -- */

/* A description in memory that was not there when processes were begun. */
static const shunt_task *late_task(void)
{
    static shunt_task *late;

    if (late == NULL) {
        late = mmap(NULL, sizeof *late, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (late == MAP_FAILED)
            wrong("no memory for a description");
        *late = shunt_task_leaf;
    }
    return late;
}

/* The host refuses it, whoever dies. */
static void passes_to_host_begins(struct play *p)
{
    shunt_future *f = shunt_submit_here(p->name, late_task(),
                                        &(struct deed){ 0, 60 }, "late");

    now_sent(0);
    expect(p, f, 60, 0)->also = SHUNT_ENOTSUP;
}

/* -- by a thread to the processes: of a kind that has crashed meanwhile -- */

static sem_t may_go_on;

/* Keeps the only thread. */
static int keep(const struct deed *in, long *out)
{
    now_begins(in->id);
    while (sem_wait(&may_go_on) != 0)
        continue;
    *out = in->value;
    now_ends(in->id);
    return 0;
}
SHUNT_TASK(keep, struct deed, long, .host_only = true)

static void passes_to_process_begins(struct play *p)
{
    struct sh_profile *of = sh_profile_of(p->pool, &shunt_task_leaf);
    shunt_future *f;

    if (of == NULL || sem_init(&may_go_on, 0, 0) != 0)
        wrong("no profile, or no semaphore");
    now_sent(1);
    f = shunt_submit(p->name, keep, &(struct deed){ 1, 61 });
    while (atomic_load(&board->begun[1]) == 0)
        sched_yield();
    expect(p, f, 61, 0);
    atomic_store(&of->banned, 0);
    atomic_store(&of->place, SH_SITE_THREAD);
    now_sent(0);
    f = shunt_submit(p->name, leaf, &(struct deed){ 0, 60 });
    atomic_store(&of->banned, 1);
    expect(p, f, 60, BIT(0));
}

static bool let_go_on(struct play *p, unsigned n)
{
    (void)p;
    if (n == 0)
        sem_post(&may_go_on);
    return n == 0;
}

const struct scene scenes_of_auto[] = {
    { "away", away_begins, NULL, 0, 0 },
    { "away_left", away_left_begins, NULL, 0, 0 },
    { "passes_to_host", passes_to_host_begins, NULL, 0x1, 0 },
    { "passes_to_process", passes_to_process_begins, let_go_on, 0, 0 },
    { NULL, NULL, NULL, 0, 0 },
};
