/* SPDX-License-Identifier: MIT */
/*
 * process/warden.c - the thread of the host that looks after the workers of a
 * process pool.
 *
 *     poll   a worker's pidfd    it has died: ask the zygote how, repair, fork
 *                                another in its place; if the zygote has died,
 *                                and its workers with it, from another one
 *            our bell            a worker is at code that was given up: stop
 *                                it, look again, kill it (cull.c); or all
 *                                are to end
 *
 * Idea. A pidfd is readable when the process has ended, whoever is its parent,
 * so no signal is needed, and the host's own children are none of our
 * business. A worker that ends when nobody has told it to has died, with
 * whatever exit status; but one that is used up (worker/care.c) has nothing
 * that could fail by that.
 *
 * What the system refuses, processes or descriptors, it may grant a little
 * later: the place stays empty until then, and the pool is broken only after
 * ten seconds of that.
 *
 * Who stands in for workers that are blocked is started when the timekeeper
 * asks for it (worker/standin.c), one at a time, and not replaced: a death has
 * the timekeeper look, who asks again. If the system refuses one, there is one
 * less, and no other is tried for a while.
 *
 * A host that closes our descriptors has broken the pool: the zygote ends since
 * nobody has the other end of its socket, and its workers with it. The dead are
 * then found by their numbers, and no other file is read, written or closed for
 * one of ours.
 *
 * Crash loops. A worker that dies before its .init has ended, or before it
 * could begin, will not do better next time: after a few such deaths in a row
 * the pool is broken, and all that is pending fails with SHUNT_EBROKEN. But
 * what is killed from outside is tried again as what the system refuses; with
 * .init nobody can tell that from a limit of memory. When no worker is left the
 * lanes are killed, so that nothing stays pending beside them. A task that
 * kills every worker that runs it costs its own future and no more.
 *
 * Edges.
 *   broken   worker/run.c
 *   doomed   worker/doom.c
 *   recruit  worker/standin.c
 *   seclude  worker/lane.c
 *   sleep    sync/sleep.c
 *   warden   start: write warden -> relieve, join: read it      it is set up
 *
 * Crash. It is a thread of the host, whose death ends the pool.
 */
#define _GNU_SOURCE 1
#include "process/warden.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "process/crash.h"
#include "process/doomed.h"
#include "process/letter.h"
#include "process/mend.h"
#include "process/recover.h"
#include "process/serve.h"
#include "process/symbols.h"
#include "process/ward.h"
#include "task/blame.h"
#include "worker/worker.h"

/* How often a worker is begun in vain. */
#define FUTILE_MAX 5

/* How often to try again what the system has refused, each time after twice as
 * long, but a second at the most: ten seconds and some. */
#define REFUSED_MAX 20
#define DOUBLED_MAX 10

/* How often to ask again how a worker ended, at once. */
#define ASKED_MAX 100

/* Fork worker i: 0 or SHUNT_E*. */
static int start_one(struct sh_warden *d, unsigned i)
{
    struct ward *ward = &d->wards[i];
    int rc = sh_zygote_fork(&d->zygote, i, &ward->pid, &ward->pidfd);

    if (rc != 0)
        ward->pidfd = -1;
    else
        d->alive++;
    return rc;
}

/* Whether worker i, which has died, had come so far as to serve. */
static bool repair(struct sh_warden *d, unsigned i,
                   const struct sh_death *death)
{
    bool served;

    pthread_mutex_lock(&d->pool->team->repair);
    served = sh_recover(d->pool, i, death);
    pthread_mutex_unlock(&d->pool->team->repair);
    return served;
}

/* Another zygote, since the one that was has died, and with it whatever it had
 * forked and nobody watched; and a worker i that it forks: 0 or SHUNT_E*. */
static int start_anew(struct sh_warden *d, unsigned i)
{
    const struct sh_death unseen = { .signal = SIGKILL };
    struct sh_pool *pool = d->pool;
    int rc;

    sh_zygote_stop(&d->zygote);
    (void)repair(d, i, &unseen);
    rc = sh_zygote_start(&d->zygote, pool->arena, sh_serve, pool,
                         pool->team->name);
    if (rc != 0)
        return rc;
    if (i >= sh_lanes_end(pool))
        sh_post_open(pool, i); /* the repair has closed it */
    rc = start_one(d, i);
    if (rc != SHUNT_EBROKEN)
        return rc;
    /* That one has been killed as well, if not at once (EAGAIN). Before anybody
     * looks at the post, since what it had forked may be there still. */
    sh_zygote_stop(&d->zygote);
    return SHUNT_EAGAIN;
}

/* Fork worker i, with another zygote if need be: 0 or SHUNT_E*. If it was
 * forked, but what it takes to watch it did not arrive, it was killed; it may
 * have begun a task by then. */
static int start_again(struct sh_warden *d, unsigned i)
{
    const struct sh_death unseen = { .signal = SIGKILL };
    int rc = start_one(d, i);

    /* EFORKED: there is none, as another one was refused. */
    if (rc == SHUNT_EBROKEN || rc == SHUNT_EFORKED)
        rc = start_anew(d, i);
    if (rc == SHUNT_EAGAIN)
        (void)repair(d, i, &unseen);
    return rc;
}

/* The pool is broken. Tasks that workers have left to lanes are refused by the
 * workers, if they come upon them again. */
static void have_refused(struct sh_pool *pool)
{
    struct sh_camp *camp = &pool->camps[SH_OWN_CAMP];

    sh_add_sc(&camp->rescan, 1); /* seq_cst: sleep */
    sh_sleep_notify(&camp->sleep);
}

static const char *why_not(const struct sh_warden *d)
{
    return d->zygote.why != NULL ? d->zygote.why : "it said no reason";
}

/* There will be no worker i any more, and so no pool. rc: what sh_zygote_fork
 * said; 0: it was not asked. */
static void give_up(struct sh_warden *d, unsigned i, int rc)
{
    struct sh_pool *pool = d->pool;

    if (rc == SHUNT_EAGAIN || rc == SHUNT_ENOMEM)
        sh_blame_tell(pool,
                      "the system refused worker %u a process for ten "
                      "seconds: %s",
                      i, why_not(d));
    else if (rc != 0)
        sh_blame_tell(pool, "worker %u can have no process any more: %s", i,
                      why_not(d));
    else
        sh_blame_tell(
            pool,
            "%u process%s of worker %u in a row died before "
            "%s; the last one %s",
            d->wards[i].futile, d->wards[i].futile == 1 ? "" : "es", i,
            pool->team->init != NULL ? ".init had returned" : "it could begin",
            pool->team->last_words);
    sh_post_close(&pool->posts[i]);
    have_refused(pool);
    sh_standins_rouse(pool);
    sh_quiet_ring(pool);
}

/* Whether to fork a worker i: not what dies at once, nor what was killed at its
 * .init since all was given up, nor a lane of a pool that is broken. */
static bool is_worth(const struct sh_warden *d, unsigned i)
{
    unsigned most = sh_ward_was_given_up(d) ? 1 : FUTILE_MAX;

    /* acquire: broken */
    return d->wards[i].futile < most &&
           (i < d->pool->workers || sh_load_acq(&d->pool->broken) == 0);
}

/* When to try again what was in vain so often. */
static int64_t doubled_from_now(unsigned times)
{
    unsigned doubled = times < DOUBLED_MAX ? times : DOUBLED_MAX;

    return sh_clock_after((int64_t)SH_AGAIN_NS << doubled);
}

/* Have a worker i, now or later. */
static void fill(struct sh_warden *d, unsigned i)
{
    struct ward *ward = &d->wards[i];
    bool worth = is_worth(d, i);
    int rc = worth ? start_again(d, i) : 0;

    ward->again_ns = 0;
    if ((rc == SHUNT_EAGAIN || rc == SHUNT_ENOMEM) &&
        ward->refused < REFUSED_MAX) {
        ward->again_ns = doubled_from_now(ward->refused++);
    } else if (rc != 0 || !worth) {
        give_up(d, i, rc);
    }
}

/* Worker i has died, and left nothing behind. */
static void replace(struct sh_warden *d, unsigned i, bool served)
{
    d->wards[i].futile = served ? 0 : d->wards[i].futile + 1;
    d->wards[i].refused = 0;
    fill(d, i);
}

/* Worker i was killed before it served, by somebody outside: that is no fault
 * of its own, and may end as a refusal of the system does. */
static void put_off(struct sh_warden *d, unsigned i)
{
    struct ward *ward = &d->wards[i];

    if (ward->refused < REFUSED_MAX) {
        ward->again_ns = doubled_from_now(ward->refused++);
    } else {
        ward->futile = ward->refused + 1;
        give_up(d, i, 0);
    }
}

/* Fork those whose time has come; when the next one's is. */
static int64_t fill_all(struct sh_warden *d)
{
    int64_t next_ns = INT64_MAX;

    for (unsigned i = 0; i < sh_wards_end(d); i++) {
        struct ward *ward = &d->wards[i];

        if (ward->again_ns != 0 && ward->again_ns <= sh_clock_ns() &&
            !sh_ward_is_ending(d->pool))
            fill(d, i);
        if (ward->again_ns != 0 && ward->again_ns < next_ns)
            next_ns = ward->again_ns;
    }
    return next_ns;
}

/* How worker i ended. If nobody knows: it dies with its zygote. */
static struct sh_death ask(struct sh_warden *d, unsigned i)
{
    struct sh_death death = { .signal = SIGKILL };

    for (unsigned n = 0; n < ASKED_MAX; n++) {
        if (sh_zygote_reap(&d->zygote, d->wards[i].pid, &death) != SHUNT_EAGAIN)
            break;
        sched_yield();
    }
    return death;
}

/* Who was to stand in could not. futile: nor will the next one, it seems. */
static void note_spared(struct sh_warden *d, bool futile)
{
    d->futile += futile;
    d->again_ns = doubled_from_now(d->refused++);
    sh_store_sc(&d->pool->spared, d->futile < FUTILE_MAX
                                      ? SH_SPARED_LATER
                                      : SH_SPARED_NEVER); /* seq_cst: recruit */
}

/* Who stood in has died: whether another is to, the timekeeper knows, who is
 * called after a death. */
static void let_go(struct sh_warden *d, const struct sh_death *death,
                   bool served)
{
    if (served)
        d->futile = d->refused = 0;
    else if (!sh_ward_is_ending(d->pool))
        note_spared(d, death->signal != SIGKILL || d->pool->team->init != NULL);
}

static void bury(struct sh_warden *d, unsigned i)
{
    struct sh_pool *pool = d->pool;
    struct ward *ward = &d->wards[i];
    struct sh_death death = { .signal = SIGKILL };
    bool served;

    if (!d->cut_off) {
        death = ask(d, i);
        close(ward->pidfd);
    }
    ward->pidfd = -1;
    d->alive--;
    served = repair(d, i, &death);
    if (i >= sh_lanes_end(pool)) {
        let_go(d, &death, served);
        return;
    }
    if (sh_ward_is_ending(pool))
        return;
    if (!served && death.signal == SIGKILL && pool->team->init == NULL &&
        !sh_ward_was_given_up(d))
        put_off(d, i);
    else
        replace(d, i, served);
}

/* Start as many lanes as were asked for, so far as there may be more. */
static void start_lanes(struct sh_warden *d)
{
    struct sh_pool *pool = d->pool;
    uint32_t n = sh_xchg_sc(&pool->lanes_wanted, 0); /* seq_cst: seclude */

    if (n > 0 && sh_load_acq(&pool->broken) != 0) { /* acquire: broken */
        have_refused(pool);
        return;
    }
    for (unsigned i = pool->workers + 1; i < sh_lanes_end(pool) && n > 0; i++) {
        if (d->wards[i].pidfd >= 0 || d->wards[i].again_ns != 0 ||
            sh_ward_is_ending(pool))
            continue;
        sh_post_open(pool, i);
        replace(d, i, true);
        n--;
    }
}

/* Start one that stands in for others, if it is wanted and still lacking. */
static void start_standin(struct sh_warden *d)
{
    struct sh_pool *pool = d->pool;
    struct sh_camp *camp = &pool->camps[SH_OWN_CAMP];
    uint32_t i;

    if (sh_xchg_sc(&pool->recruited, 0) == 0 || /* seq_cst: recruit */
        sh_ward_is_ending(pool) ||
        sh_load_acq(&pool->broken) != 0 || /* acquire: broken */
        sh_clock_ns() < d->again_ns || sh_standins_lack(camp) != SH_LACK_ONE ||
        sh_standin_call(camp, false))
        return;
    i = sh_standin_open(camp);
    if (i != SH_NONE && start_again(d, i) == 0) {
        d->refused = 0;
        sh_add_rlx(&pool->stood_in, 1);            /* relaxed: a figure */
        sh_store_sc(&pool->spared, SH_SPARED_MAY); /* seq_cst: recruit */
        return;
    }
    note_spared(d, false);
    if (i != SH_NONE) {
        sh_post_close(&pool->posts[i]);
        sh_quiet_ring(pool); /* a shutdown that has just looked counts on it */
    }
}

/* Wait for something to happen, or until a moment; how many wards there are. */
static unsigned wait_for_news(struct sh_warden *d, int64_t until_ns)
{
    unsigned n = sh_wards_end(d);

    if (d->cut_off) {
        (void)poll(NULL, 0, SH_AGAIN_NS / 1000000);
        return n;
    }
    d->polled[0] = (struct pollfd){ .fd = d->bell, .events = POLLIN };
    for (unsigned i = 0; i < n; i++)
        d->polled[1 + i] =
            (struct pollfd){ .fd = d->wards[i].pidfd, .events = POLLIN };
    while (poll(d->polled, n + 1, sh_ms_until(until_ns)) < 0 && errno == EINTR)
        continue;
    return n;
}

/* Whether something has happened that may mean that the host has closed our
 * descriptors; then what poll says is of other files, or of none. */
static bool look_strange(const struct sh_warden *d, unsigned n)
{
    for (unsigned i = 0; i <= n; i++)
        if (d->polled[i].revents != 0 &&
            (i > 0 || (d->polled[i].revents & POLLIN) == 0 ||
             !sh_mark_is_of(d->bell_mark, d->bell)))
            return true;
    return false;
}

/* Look after the dead: by what poll says, or one by one. */
static void look_after(struct sh_warden *d, unsigned n)
{
    uint64_t rung;

    if (!d->cut_off && look_strange(d, n) && sh_zygote_is_cut_off(&d->zygote))
        d->cut_off = true;
    if (!d->cut_off && (d->polled[0].revents & POLLIN) != 0)
        (void)!read(d->bell, &rung, sizeof rung);
    for (unsigned i = 0; i < n; i++)
        if (d->wards[i].pidfd >= 0 &&
            (d->cut_off ? sh_pid_ended(d->wards[i].pid)
                        : d->polled[1 + i].revents != 0))
            bury(d, i);
}

/* What could not be told after a death since somebody was at it, and runs that
 * are to end when what others run of them has; when to look again, at until_ns
 * at the latest. */
static int64_t mend_again(struct sh_pool *pool, int64_t until_ns)
{
    int64_t again_ns = sh_clock_after(SH_AGAIN_NS);
    bool unsure;

    pthread_mutex_lock(&pool->team->repair);
    unsure = sh_doomed_tend(pool);
    if (pool->unsure)
        unsure |= sh_mend_scopes(pool);
    pthread_mutex_unlock(&pool->team->repair);
    return unsure && again_ns < until_ns ? again_ns : until_ns;
}

/* Be the worker that there is not, until the pool ends. */
static void refuse(struct sh_pool *pool)
{
    while (!sh_worker_refuse(&pool->team->workers[0]) &&
           !sh_ward_is_ending(pool))
        (void)poll(NULL, 0, SH_AGAIN_NS / 1000000);
}

static void *warden_main(void *arg)
{
    struct sh_warden *d = arg;
    int64_t until_ns = INT64_MAX;

    while (!sh_ward_is_ending(d->pool) || d->alive > 0) {
        int64_t fill_ns = fill_all(d);
        unsigned n;

        /* No process is left, nor will there be: refuse what comes. */
        if (d->alive == 0 && fill_ns == INT64_MAX) {
            refuse(d->pool);
            break;
        }
        sh_ward_end_lanes(d);
        sh_ward_end_inits(d);
        n = wait_for_news(d, fill_ns < until_ns ? fill_ns : until_ns);
        look_after(d, n);
        if (!d->cut_off) {
            start_lanes(d);
            start_standin(d);
            until_ns = sh_ward_kill_stuck(d);
        }
        if (d->pool->unsure ||
            sh_load_sc(&d->pool->doomed) != 0) /* seq_cst: doomed */
            until_ns = mend_again(d->pool, until_ns);
    }
    return NULL;
}

static void ring(struct sh_warden *d)
{
    uint64_t one = 1;

    if (sh_mark_is_of(d->bell_mark, d->bell))
        (void)!write(d->bell, &one, sizeof one);
}

/* A thread that no signal of the host interrupts. */
static int start_thread(struct sh_warden *d)
{
    sigset_t all, before;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = sh_fault() ? ENOMEM : pthread_create(&d->thread, NULL, warden_main, d);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == 0 ? 0 : SHUNT_ENOMEM;
}

static void dismiss(struct sh_warden *d)
{
    for (unsigned i = 0; i < sh_wards_end(d) && !d->cut_off; i++)
        if (d->wards[i].pidfd >= 0)
            close(d->wards[i].pidfd);
    if (d->bell >= 0 && !d->cut_off)
        close(d->bell);
    free(d->polled);
    free(d);
}

static struct sh_warden *make(struct sh_pool *pool)
{
    unsigned n = pool->camps[SH_OWN_CAMP].end;
    struct sh_warden *d =
        sh_fault() ? NULL : calloc(1, sizeof *d + n * sizeof(struct ward));

    if (d == NULL)
        return NULL;
    d->pool = pool;
    for (unsigned i = 0; i < n; i++)
        d->wards[i].pidfd = -1;
    d->polled = sh_fault() ? NULL : calloc(n + 1, sizeof *d->polled);
    d->bell = sh_fault() ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    d->bell_mark = sh_mark_of(d->bell);
    if (d->polled != NULL && d->bell >= 0)
        return d;
    dismiss(d);
    return NULL;
}

static int start_all(struct sh_warden *d)
{
    struct sh_pool *pool = d->pool;
    int rc;

    pool->team->crashes = sh_arena_map(
        pool->arena, pool->team->count * sizeof(struct sh_crash), SH_PAGES_RW);
    if (pool->team->crashes == NULL)
        return SHUNT_ENOMEM;
    rc = sh_zygote_start(&d->zygote, pool->arena, sh_serve, pool,
                         pool->team->name);
    if (rc != 0)
        return rc == SHUNT_EAGAIN ? SHUNT_EBROKEN : rc;
    for (unsigned i = 0; i < pool->workers && rc == 0; i++)
        rc = start_one(d, i);
    /* Before it looks for the first time, or a ring might come to nobody. */
    sh_store_rel(&pool->team->warden, d); /* release: warden */
    if (rc == 0)
        rc = start_thread(d);
    if (rc != 0) {
        sh_store_rel(&pool->team->warden, NULL); /* release: warden */
        sh_zygote_stop(&d->zygote);
    }
    return rc;
}

int sh_warden_start(struct sh_pool *pool, const char **why_out)
{
    struct sh_warden *d = make(pool);
    int rc;

    if (d == NULL)
        return SHUNT_ENOMEM;
    sh_trace_tell_by(sh_symbols_words);
    rc = start_all(d);
    if (rc != 0 && d->zygote.why != NULL)
        *why_out = d->zygote.why;
    if (rc != 0)
        dismiss(d);
    return rc;
}

void sh_warden_relieve(struct sh_pool *pool)
{
    struct sh_warden *d = sh_load_acq(&pool->team->warden); /* acquire: warden
                                                             */

    /* Until it is there, it has yet to look for the first time. */
    if (d != NULL)
        ring(d);
}

void sh_warden_join(struct sh_pool *pool)
{
    struct sh_warden *d = sh_load_acq(&pool->team->warden); /* acquire: warden
                                                             */

    ring(d);
    pthread_join(d->thread, NULL);
    sh_home_join(pool);
    d->cut_off = d->cut_off || sh_zygote_is_cut_off(&d->zygote);
    sh_zygote_stop(&d->zygote);
    dismiss(d);
}
