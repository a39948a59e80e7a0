/* SPDX-License-Identifier: MIT */
/*
 * process/cull.c - whom the warden of a process pool kills.
 *
 *     at code that was given up           stopped, looked at again, killed
 *     lanes and stand-ins of a pool       at once: so all that comes is refused
 *     without workers
 *     at its .init, in a pool that was    at once: nobody waits for that
 *     given up, or ends
 *
 * And what nobody else does between two looks: what was left to a stand-in that
 * has died.
 *
 * Edges.
 *   stop     worker/pool.c
 *   stuck    future/timer.c
 *   quiet    future/settle.c
 *   settled  future/settle.c
 *   rest     worker/standin.c
 *
 * Crash. As warden.c, whose thread this is.
 */
#include <limits.h>
#include <sched.h>
#include <signal.h>

#include "base/clock.h"
#include "future/settle.h"
#include "future/timer.h"
#include "process/letter.h"
#include "process/ward.h"
#include "worker/worker.h"

/* How long to wait for a process that was told to stop. */
#define STOP_NS 10000000
/* How far looks are apart after all was given up. */
#define LOOK_NS 10000000

int sh_ms_until(int64_t when_ns)
{
    int64_t ns;

    if (when_ns == INT64_MAX)
        return -1;
    ns = when_ns - sh_clock_ns();
    if (ns <= 0)
        return 0;
    ns = (ns + 999999) / 1000000;
    return ns < INT_MAX ? (int)ns : INT_MAX;
}

bool sh_ward_is_ending(struct sh_pool *pool)
{
    return sh_load_sc(&pool->team->stop) != 0; /* seq_cst: stop */
}

bool sh_ward_was_given_up(const struct sh_warden *d)
{
    return sh_load_sc(&d->pool->gave_up) != 0; /* seq_cst: quiet */
}

/* Whether there is a worker, or is to be one. A lane is none, nor is who stands
 * in for one. */
static bool has_workers(const struct sh_warden *d)
{
    for (unsigned i = 0; i < d->pool->workers; i++)
        if (d->wards[i].pidfd >= 0 || d->wards[i].again_ns != 0)
            return true;
    return false;
}

/* If there are no workers, nor will be, nobody beside them may be left, so that
 * all that comes is refused here. */
void sh_ward_end_lanes(struct sh_warden *d)
{
    if (d->cut_off || sh_ward_is_ending(d->pool) || has_workers(d))
        return;
    for (unsigned i = d->pool->workers + 1; i < sh_wards_end(d); i++)
        if (d->wards[i].pidfd >= 0)
            sh_pidfd_kill(d->wards[i].pidfd, SIGKILL);
}

/* Nobody waits for an .init where the pool was given up, or ends. */
void sh_ward_end_inits(struct sh_warden *d)
{
    if (d->cut_off || (!sh_ward_is_ending(d->pool) && !sh_ward_was_given_up(d)))
        return;
    for (unsigned i = 0; i < sh_wards_end(d); i++)
        if (d->wards[i].pidfd >= 0 &&
            sh_post_is_starting(d->pool, &d->pool->posts[i]))
            sh_pidfd_kill(d->wards[i].pidfd, SIGKILL);
}

/* Whether worker i is at code that was given up. */
static bool is_stuck(struct sh_warden *d, unsigned i)
{
    struct sh_post *post = &d->pool->posts[i];
    uint64_t stuck = sh_load_sc(&post->stuck); /* seq_cst: stuck */

    return d->wards[i].pidfd >= 0 && stuck != 0 &&
           sh_load_sc(&post->running) == stuck; /* seq_cst:
                                                 * stuck */
}

/* Wait until a process that was told to stop has, or has ended. What runs is
 * interrupted at once. What has not stopped by then is in a call of the system
 * that cannot be interrupted (vfork, a file system that does not answer), and
 * stops before it leaves that, so it runs no other task either. False if that
 * cannot be asked now. */
static bool await_stopped(struct sh_warden *d, pid_t pid)
{
    int64_t until_ns = sh_clock_after(STOP_NS);
    int rc = SHUNT_PENDING;

    while (rc == SHUNT_PENDING && sh_clock_ns() < until_ns) {
        sched_yield();
        rc = sh_zygote_stopped(&d->zygote, pid);
    }
    return rc == 0 || rc == SHUNT_PENDING;
}

/* Kill a process that is at code which was given up, and no other: it is
 * stopped first, so that it cannot go on to another task meanwhile. False: to
 * be tried again. */
static bool kill_if_stuck(struct sh_warden *d, unsigned i)
{
    struct ward *ward = &d->wards[i];
    bool stopped;

    sh_pidfd_kill(ward->pidfd, SIGSTOP);
    stopped = await_stopped(d, ward->pid);
    sh_pidfd_kill(ward->pidfd, stopped && is_stuck(d, i) ? SIGKILL : SIGCONT);
    return stopped;
}

/* After all was given up: a worker that had claimed what was, and not said so
 * yet, may be at it by now. */
static void look_again(struct sh_warden *d, unsigned i)
{
    struct sh_post *post = &d->pool->posts[i];
    uint64_t hint = sh_load_sc(&post->running); /* seq_cst: stuck */
    uint64_t w;

    if (hint == 0 || d->wards[i].pidfd < 0)
        return;
    /* acquire: settled */
    w = sh_load_acq(&sh_record_at(d->pool, sh_hint_index(hint))->state);
    if (sh_generation_of(w) == sh_hint_generation(hint) && (w & SH_BUSY) != 0)
        sh_time_stuck(d->pool, post, hint, 0);
}

/* What others have left to who stood in, after it was repaired: nobody comes
 * for the sake of that. They have had us rung. */
static void mend_left(struct sh_warden *d, unsigned i)
{
    struct sh_pool *pool = d->pool;

    if (i < sh_lanes_end(pool) || d->wards[i].pidfd >= 0 ||
        !sh_post_is_closed(&pool->posts[i]) || !sh_is_handed(&pool->posts[i]))
        return;
    pthread_mutex_lock(&pool->team->repair);
    sh_handed_do(pool, i + 1);
    pthread_mutex_unlock(&pool->team->repair);
}

/* Kill those whose time is up; when the next one's is. */
int64_t sh_ward_kill_stuck(struct sh_warden *d)
{
    bool given_up = sh_ward_was_given_up(d);
    int64_t next_ns = given_up && d->alive > 0 ? sh_clock_after(LOOK_NS)
                                               : INT64_MAX;

    for (unsigned i = 0; i < sh_wards_end(d); i++) {
        int64_t until_ns;

        mend_left(d, i);
        if (given_up)
            look_again(d, i);
        if (!is_stuck(d, i))
            continue;
        /* relaxed: published with stuck */
        until_ns = sh_load_rlx(&d->pool->posts[i].patience_ns);
        if (until_ns <= sh_clock_ns())
            until_ns = kill_if_stuck(d, i) ? INT64_MAX
                                           : sh_clock_after(SH_AGAIN_NS);
        if (until_ns < next_ns)
            next_ns = until_ns;
    }
    return next_ns;
}
