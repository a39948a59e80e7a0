/* SPDX-License-Identifier: MIT */
/*
 * worker/blocking.c - a task says that it waits in the kernel, and another
 * worker runs in the stead of its own meanwhile.
 *
 *     begin    blocked | does somebody stand by? else say so | look at all that
 *              is queued
 *     push     make work visible | nobody searches, nobody is idle: who stands
 *              by is called
 *     called   a stand-in that rests gets up; if there is none, the timekeeper
 *              starts one, or has the warden fork one
 *     up       still too few? stand by again | look at all that is queued
 *
 * Idea. A worker that is blocked is not counted as at work, so one that rests
 * may run in its stead (standin.c). But to wake one is dear, and most sections
 * are over before there is anything for it to do. So nobody is woken for a
 * section, but for a task that finds nobody. The timekeeper is a sleeper of
 * last resort: it has a bit in the word of sleepers, and whoever makes work and
 * finds neither a searcher nor an idle worker takes that bit, and is the one
 * who sees to it. A section costs one exchange and a look at that word, a push
 * nothing.
 *
 * Who has a stand-in get up does so at once, since it is waiting for it; but
 * threads are started by the timekeeper alone: it takes 50 us, and a task that
 * blocks may hold locks of the program. A process is forked by the warden, whom
 * the timekeeper asks. When a section has ended there is one worker too many,
 * and a stand-in that has nothing left to do rests.
 *
 * The bit is there, too, when nobody is blocked: so the timekeeper hears that
 * something is queued behind tasks that run, and looks at these (watch.c).
 *
 * No task is left beside a stand-in that could run it. Of a task T that is
 * pushed (P), after which the word is read (R), and a section that begins (B),
 * after which the word is read (W), all of these sequentially consistent:
 *   - R saw a searcher or an idle worker: sync/README.md.
 *   - R saw the bit, and took it away (C), and counts after that. If B came
 *     before this count it sees that somebody is lacking, and a stand-in gets
 *     up. If B came after, so did W, and W does not see the bit, or sees one
 *     that was set later, see below.
 *   - R saw nothing, and W saw no bit: begin sets it (S), and looks (L). P
 *     before L: it sees T, and notifies once more, which is a later R. L before
 *     P: S came before R, which would have seen the bit.
 *   - R saw nothing, and W saw the bit: it was set between R and W. Whoever
 *     sets it looks at all queues after that, and so after P.
 * Who got up sets the bit again if there are still too few, and looks, as in
 * begin; so does the timekeeper after it has started one. What is queued while
 * nobody is lacking, or to be had, the timekeeper looks at every few
 * milliseconds, for as long as that lasts.
 *
 * Edges.
 *   blocking begin: write blocked, then read the bit || called: take the bit,
 *            then read blocked; all seq_cst: one sees the other
 *   sleep    sync/sleep.c, of the bit: stand by: set it, then look at all work
 *   rest     standin.c: begin: write blocked, as whoever writes stuck
 *   alarm    future/timer.c: write called, then read wake_ns || timekeeper:
 *            write wake_ns, then read called; all seq_cst
 *
 * Crash. Any process may take the bit, set it, or be about to look, and die.
 * Recovery calls the timekeeper after each death, so whatever the dead one was
 * to see, it sees: what is queued, and who is lacking. What the post of a dead
 * one says is cleared; until then one too many may be up. See standin.c.
 *
 * After Java's ManagedBlocker, Tokio's block_in_place and Go's handoffp, which
 * hand over to another thread for each section that may be long.
 */
#include "worker/blocking.h"

#include "future/timer.h"
#include "shunt/blocking.h"

/* Something may be in no queue, and nobody has looked since. */
static bool is_in_table(struct sh_camp *camp)
{
    struct sh_pool *pool = camp->pool;
    uint64_t epoch = sh_load_sc(&camp->rescan); /* seq_cst: sleep */

    for (unsigned i = camp->first; i < sh_camp_end(pool, camp); i++)
        /* relaxed: who has done so had seen the epoch */
        if (sh_post_pops(pool, &pool->posts[i]) &&
            sh_load_rlx(&pool->team->workers[i].rescan_done) == epoch)
            return false;
    return true;
}

bool sh_blocking_sees(struct sh_camp *camp)
{
    struct sh_pool *pool = camp->pool;

    /* For threads of an auto pool that are yet to come: guests.c. */
    if (sh_camp_end(pool, camp) == camp->first)
        return false;
    return sh_camp_is_queued(pool, camp) || is_in_table(camp) ||
           (sh_load_rlx(&pool->splits_used) != 0 && /* relaxed: a look */
            sh_frames_offered(pool, camp));
}

/* From now on whoever makes work that nobody is there for calls. */
static void stand_by(struct sh_camp *camp)
{
    sh_sleep_stand_by(&camp->sleep);
    if (sh_blocking_sees(camp))
        sh_sleep_notify(&camp->sleep);
}

/* Who stands by is called: there is something to do, and nobody idle. */
static void be_called(void *arg)
{
    struct sh_camp *camp = arg;
    struct sh_pool *pool = camp->pool;
    enum sh_lack lack = sh_standins_lack(camp);

    if ((lack != SH_LACK_ONE || sh_standin_call(camp, false)) &&
        sh_load_sc(&pool->time.watches) != 0) /* seq_cst: alarm */
        return;
    sh_time_call(pool);
}

void sh_blocking_init(struct sh_pool *pool)
{
    if (pool->team->blocking_max == 0)
        return;
    for (unsigned c = 0; c <= pool->mixed; c++) {
        struct sh_sleep *s = &pool->camps[c].sleep;

        s->called_arg = &pool->camps[c];
        s->called = be_called;
        sh_sleep_stand_by(s);
    }
}

void sh_blocking_arrived(struct sh_camp *camp)
{
    if (camp->sleep.called != NULL && sh_standins_lack(camp) == SH_LACK_ONE)
        stand_by(camp);
}

void sh_blocking_enter(struct sh_worker *w)
{
    struct sh_camp *camp = w->camp;

    sh_store_sc(&w->post->blocked, SH_SAYS_SO); /* seq_cst: blocking, rest */
    sh_count(&w->post->counts.blocked, 1);
    sh_worker_tells(w);
    if (camp->sleep.called == NULL || sh_sleep_stands_by(&camp->sleep) ||
        sh_is_aside(w))
        return;
    if (sh_standins_lack(camp) == SH_LACK_ONE)
        stand_by(camp);
}

void sh_blocking_leave(struct sh_worker *w)
{
    /* relaxed: if it is read too late, somebody stands in for nothing */
    sh_store_rlx(&w->post->blocked, 0);
}

SH_COLD void sh_blocking_over(struct sh_worker *w)
{
    w->sections = 0;
    sh_blocking_leave(w);
}

int shunt_blocking_begin(void)
{
    struct sh_run *run = sh_here.run;

    if (run == NULL)
        return sh_no_task();
    if (run->worker->sections++ == 0 && !sh_blocking_always(run->record))
        sh_blocking_enter(run->worker);
    return 0;
}

int shunt_blocking_end(void)
{
    struct sh_run *run = sh_here.run;

    if (run == NULL)
        return sh_no_task();
    if (run->worker->sections == 0)
        return SHUNT_EINVAL;
    if (--run->worker->sections == 0 && !sh_blocking_always(run->record))
        sh_blocking_leave(run->worker);
    return 0;
}
