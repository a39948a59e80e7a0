/* SPDX-License-Identifier: MIT */
/*
 * worker/inline.c - a task that is awaited, and has not begun, is run by who
 * awaits it, on his own stack.
 *
 *     submit   READY, into the submitter's deque | nobody is woken
 *     await    READY -> RUNNING | its function | settled: no wait
 *
 * Idea. As a fork whose other half nobody has stolen is run at its join (Cilk,
 * Rayon), or a task at Wait in .NET. Whoever awaits a task does nothing else
 * until it has settled, so it may as well lie on top of him: if it waits for
 * something itself, both are parked on one stack. That is all that an awaiter
 * notices: he is RUNNING meanwhile, and not PARKED.
 *
 * So it is not done where that makes a difference: with a deadline, in a scope
 * or with a time limit, and when the awaiter was asked to cancel. What he is
 * asked later he learns when it has ended. And a process has what runs so fork
 * serially, since who waits for a call that a dead process has taken leaves his
 * stack for good.
 *
 * It needs room: an awaiter that has used more than a quarter of his stack
 * parks, so that there are three for what he awaits.
 *
 * Edges.
 *   claim    worker/run.c
 *   accepted future/submit.c
 *   ready    future/deliver.c
 *   settled  future/settle.c
 *
 * Crash. Both are RUNNING on the dead worker: what its post says was running is
 * the culprit, and the other one waited there.
 */
#include "worker/blocking.h"
#include "worker/sample.h"
#include "worker/worker.h"

static bool has_room(const struct sh_worker *w)
{
    const char *here = __builtin_frame_address(0);
    const char *low = w->fiber->stack_low;

    return here > low && (size_t)(here - low) > w->stacks.stack_bytes / 4 * 3;
}

bool sh_worker_run_awaited(struct sh_run *run, const struct sh_ref *ref)
{
    struct sh_worker *w = sh_worker_here();
    struct sh_record *r = ref->record;
    uint32_t arrivals;

    if (w == NULL || run->worker != w || ref->pool != w->pool ||
        sh_is_limited(r) || sh_is_limited(run->record) ||
        sh_camp_of(w->pool, r) != w->camp || sh_is_aside(w) ||
        sh_care_counts(w) || sh_run_asked(run) != 0 || !has_room(w))
        return false;
    w->tick++;
    /* relaxed: what the timekeeper says now is of no use any more */
    if (SH_UNLIKELY(sh_load_rlx(&w->post->blocked) != 0))
        sh_blocking_over(w);
    arrivals = w->arrivals;
    sh_worker_run_above(
        w, sh_hint(sh_index_of(w->pool, r), sh_generation_of(ref->word)));
    sh_here.run = run;
    if (SH_UNLIKELY(run->sample != NULL))
        sh_sample_lay_beneath(run->sample, w->arrivals != arrivals);
    if (sh_blocking_always(run->record))
        sh_blocking_enter(w);
    sh_worker_goes_on(w, run);
    return sh_is_settled(sh_load_acq(&r->state)); /* acquire: settled */
}

SH_ON_STACK bool sh_worker_run_plain(uint64_t handle)
{
    struct sh_run *run = sh_here.run;
    struct sh_ref ref = { 0 };

    if (run == NULL || sh_handle_pool(handle) != run->pool->id ||
        sh_handle_index(handle) >= run->pool->records.capacity)
        return false;
    ref.pool = run->pool;
    ref.record = sh_record_at(ref.pool, sh_handle_index(handle));
    ref.word = sh_load_acq(&ref.record->state); /* acquire: accepted, ready */
    return sh_handle_fits(handle, ref.word) && sh_is_awaiters(&ref) &&
           sh_worker_run_awaited(run, &ref);
}
