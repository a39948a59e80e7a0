/* SPDX-License-Identifier: MIT */
/*
 * worker/watch.c - the timekeeper has somebody stand in, and notices workers
 * that are stuck in the kernel without having said so.
 *
 * Idea. It is called when something is queued and nobody is idle (blocking.c).
 * From then on it comes by every LOOK_NS, until it finds nothing queued; then
 * it stands by again. So it costs nothing while a pool is idle, and in one that
 * is busy a few microseconds every ten milliseconds, at most; and a push calls
 * it once in that time, unless somebody is lacking.
 *
 * Of a task that it has seen before, at the last look, it asks the system for
 * the state of the thread. If that sleeps, and so at the next look, the worker
 * counts as blocked, until its code begins or ends a section, waits for a
 * future, or ends; or until the thread is seen to run. One that computes is
 * left alone: a further thread would not make it faster. That a thread waits
 * for a CPU is not sleep. Of a process its main thread is the worker. If its
 * number is another's by now, it has died, and its post says that nothing runs
 * there. What is written there by mistake holds for a task that does not run;
 * if the very same runs there again, until the next look.
 *
 * Edges.
 *   alarm    future/timer.c, blocking.c
 *   claim    worker/run.c
 *   blocking blocking.c: here blocked is written, then the bit set
 *   rest     standin.c
 *
 * Crash. It is a thread of the host, whose death ends the pool. A process that
 * is looked at may die meanwhile.
 *
 * After Go's sysmon, which takes the processor of a thread that is in a system
 * call for 20 us to 10 ms.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "worker/blocking.h"

#define LOOK_NS 10000000

/* At so many looks in a row a thread has slept. */
#define LOOKS 2

/* The state of a worker's thread as a letter, 0 if it cannot be read. */
static char state_of(const struct sh_worker *w)
{
    char path[48], text[128];
    /* relaxed: it has been there for long */
    int thread_id = sh_load_rlx(&w->thread_id);
    const char *end;
    ssize_t n;
    int fd;

    snprintf(path, sizeof path,
             sh_camp_is_remote(w->pool, w->camp) ? "/proc/%d/stat"
                                                 : "/proc/self/task/%d/stat",
             thread_id);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    /* NUMBER (NAME) STATE, and the name may have parentheses. */
    end = strrchr(text, ')');
    return end != NULL && end[1] == ' ' ? end[2] : 0;
}

static bool is_asleep(const struct sh_worker *w)
{
    char state = state_of(w);

    return state == 'S' || state == 'D';
}

/* The hint of the task whose code a worker runs, 0: of none. */
static uint64_t find_running(struct sh_pool *pool, struct sh_worker *w)
{
    uint64_t hint = sh_load_sc(&w->post->running); /* seq_cst: blocking */
    uint64_t word;

    if (hint == 0 || sh_post_is_off(w->post))
        return 0;
    /* acquire: claim */
    word = sh_load_acq(&sh_record_at(pool, sh_hint_index(hint))->state);
    return sh_generation_of(word) == sh_hint_generation(hint) &&
                   sh_phase_of(word) == SH_RUNNING
               ? hint
               : 0;
}

/* Look at one worker. */
static void look_at(struct sh_pool *pool, struct sh_worker *w)
{
    _Atomic uint64_t *blocked = &w->post->blocked;
    uint64_t hint = find_running(pool, w), none = 0;
    uint64_t now = sh_load_sc(blocked); /* seq_cst: blocking */

    if (hint == 0 || now == SH_SAYS_SO) {
        w->seen = 0;
        return;
    }
    if (now != 0) {
        /* If it has gone on meanwhile, it says itself what it is at. */
        if (now != hint || !is_asleep(w))
            (void)sh_cas_sc(blocked, &now, 0); /* seq_cst: blocking */
        return;
    }
    if (hint != w->seen) {
        w->seen = hint;
        w->asleep = 0;
        return;
    }
    w->asleep = is_asleep(w) ? w->asleep + 1 : 0;
    if (w->asleep < LOOKS)
        return;
    w->asleep = 0;
    if (sh_cas_sc(blocked, &none, hint)) /* seq_cst: blocking, rest */
        sh_add_rlx(&pool->noticed, 1);   /* relaxed: a figure */
}

static void look_around(struct sh_camp *camp)
{
    struct sh_pool *pool = camp->pool;

    for (unsigned i = camp->first; i < sh_camp_end(pool, camp); i++)
        if (sh_post_pops(pool, &pool->posts[i]))
            look_at(pool, &pool->team->workers[i]);
}

static void set_watches(struct sh_pool *pool, bool watches)
{
    sh_store_sc(&pool->time.watches, watches); /* seq_cst: alarm */
}

/* Somebody is lacking, perhaps: have him come. */
static void fill_up(struct sh_camp *camp, bool queued)
{
    struct sh_pool *pool = camp->pool;
    bool *capped = &pool->team->capped[camp - pool->camps];
    enum sh_lack lack = sh_standins_lack(camp);

    if (!queued) {
        sh_blocking_arrived(camp);
    } else if (lack == SH_LACK_ONE && sh_standin_call(camp, true)) {
        /* Who comes looks at what is queued; but it may be at its .init for
         * long. A process that was asked for is lacking until it comes. */
        if (!sh_camp_is_remote(pool, camp) &&
            sh_standins_lack(camp) == SH_LACK_ONE)
            sh_sleep_stand_by(&camp->sleep);
    } else if (lack != SH_LACK_NONE && !*capped) {
        sh_add_rlx(&pool->capped, 1); /* relaxed: a figure */
        *capped = true;
        return;
    }
    *capped = *capped && lack != SH_LACK_NONE;
}

/* Whether something is queued in any camp; fill them up. looks: look around,
 * where that is so, or in all; elsewhere stand by. */
static bool pass(struct sh_pool *pool, bool looks, bool at_all)
{
    bool any = false;

    for (unsigned c = 0; c <= pool->mixed; c++) {
        struct sh_camp *camp = &pool->camps[c];
        bool queued = sh_blocking_sees(camp);

        if (looks && (queued || at_all)) {
            look_around(camp);
        } else if (looks) {
            sh_sleep_stand_by(&camp->sleep);
            queued = sh_blocking_sees(camp);
        }
        fill_up(camp, queued);
        any |= queued;
    }
    return any;
}

int64_t sh_watch_pass(struct sh_pool *pool)
{
    struct sh_team *team = pool->team;
    bool called = sh_xchg_sc(&pool->time.called, 0) != 0; /* seq_cst: alarm */
    bool watches = sh_load_rlx(&pool->time.watches) != 0; /* relaxed: only we
                                                           * write it */
    int64_t now_ns;
    bool looks;

    if (team->blocking_max == 0 || (!called && !watches))
        return INT64_MAX;
    now_ns = sh_clock_ns();
    looks = !watches || now_ns >= team->look_ns;
    if (looks)
        team->look_ns = now_ns + LOOK_NS;
    if (!watches)
        set_watches(pool, true);
    if (pass(pool, looks, !watches) || !looks || !watches)
        return team->look_ns;
    /* First, or whoever takes the bit would count on our coming by. */
    set_watches(pool, false);
    for (unsigned c = 0; c <= pool->mixed; c++)
        sh_sleep_stand_by(&pool->camps[c].sleep);
    if (!pass(pool, false, false))
        return INT64_MAX;
    set_watches(pool, true);
    return team->look_ns;
}
