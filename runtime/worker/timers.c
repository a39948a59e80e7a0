/* SPDX-License-Identifier: MIT */
/*
 * worker/timers.c - waits that may run out: a heap of each worker's own, since
 * a parked task goes on where it started.
 *
 * Edges.
 *   park     worker/await.c
 */
#include "worker/worker.h"

static void place(struct sh_worker *w, uint32_t at, struct sh_run *run)
{
    w->timers[at] = run;
    run->timer_at = at + 1;
}

static void sift_up(struct sh_worker *w, uint32_t at, struct sh_run *run)
{
    while (at > 0 && w->timers[(at - 1) / 2]->wake_ns > run->wake_ns) {
        place(w, at, w->timers[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    place(w, at, run);
}

static void sift_down(struct sh_worker *w, uint32_t at, struct sh_run *run)
{
    for (;;) {
        uint32_t child = 2 * at + 1;

        if (child >= w->timer_count)
            break;
        if (child + 1 < w->timer_count &&
            w->timers[child + 1]->wake_ns < w->timers[child]->wake_ns)
            child++;
        if (w->timers[child]->wake_ns >= run->wake_ns)
            break;
        place(w, at, w->timers[child]);
        at = child;
    }
    place(w, at, run);
}

bool sh_timer_add(struct sh_worker *w, struct sh_run *run)
{
    if (w->timer_count == w->timer_room) {
        uint32_t room = w->timer_room == 0 ? 16 : w->timer_room * 2;
        struct sh_run **more =
            sh_heap_get(&w->pool->heap, room * sizeof *more);

        if (more == NULL)
            return false;
        for (uint32_t i = 0; i < w->timer_count; i++)
            more[i] = w->timers[i];
        sh_heap_put(&w->pool->heap, w->timers,
                    (w->timer_room > 0 ? w->timer_room : 1) * sizeof *more);
        w->timers = more;
        w->timer_room = room;
    }
    sift_up(w, w->timer_count++, run);
    sh_store_rlx(&w->post->timers, w->timer_count); /* relaxed: read after
                                                     * the idle bit */
    return true;
}

void sh_timer_remove(struct sh_worker *w, struct sh_run *run)
{
    uint32_t at = run->timer_at - 1;
    struct sh_run *last;

    if (run->timer_at == 0)
        return;
    SH_ASSERT(at < w->timer_count && w->timers[at] == run);
    run->timer_at = 0;
    last = w->timers[--w->timer_count];
    sh_store_rlx(&w->post->timers, w->timer_count); /* relaxed: as above */
    if (last == run)
        return;
    sift_up(w, at, last);
    sift_down(w, last->timer_at - 1, last);
}

void sh_timers_fire(struct sh_worker *w, int64_t now_ns)
{
    while (w->timer_count > 0 && w->timers[0]->wake_ns <= now_ns) {
        struct sh_run *run = w->timers[0];
        struct sh_record *r = run->record;
        uint64_t word = sh_load_acq(&r->state); /* acquire: park */

        sh_timer_remove(w, run);
        /* Also if somebody else has just woken it, perhaps for nothing. */
        run->timed_out = true;
        while (sh_phase_of(word) == SH_PARKED)
            /* acq_rel: park */
            if (sh_cas_acqrel(&r->state, &word,
                              sh_word_to(word, SH_RUNNING,
                                         sh_owner_of(word)))) {
                sh_worker_resume_own(w, r);
                break;
            }
    }
}

int64_t sh_timers_next(const struct sh_worker *w)
{
    return w->timer_count > 0 ? w->timers[0]->wake_ns : INT64_MAX;
}
