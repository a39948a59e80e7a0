/* SPDX-License-Identifier: MIT */
/*
 * worker/doom.c - spawned calls when worker processes die: what is known of
 * them, and runs that come to nothing.
 *
 *     a thief dies    before it has marked the frame: as if it had not been
 *                     taken | before the call began: its owner runs it | in the
 *                     middle of it: the owner's task comes to nothing
 *     an owner dies   its task comes to nothing
 *
 * Idea. What others run of a task lies on its stack, and reads what its run
 * says. So a run that comes to nothing is doomed first: nothing more is taken
 * of it, its stack stays, its record says RUNNING, and what was taken is asked
 * to cancel, and killed after its grace. When all of that has ended the host
 * ends the run as that of a dead process: process/doomed.c. An owner whose call
 * is lost leaves its stack in the middle of its code, and its process goes on.
 *
 * Edges.
 *   claimed  queue/split.c
 *   taken    worker/frames.c
 *   ran      worker/frames.c
 *   death    process/recover.c
 *   doomed   doom: write used, then doomed -> the host: read doomed, then used
 *   claim    worker/run.c
 *
 * Crash. An owner that dies while it dooms its own run is found as any dead
 * owner. All else is the host's.
 */
#include "fiber/stacks.h"
#include "worker/frames.h"

static bool is_of(struct sh_split *s, const struct sh_run *run, uint32_t used)
{
    /* acquire: doomed */
    return s != NULL && sh_load_acq(&s->used) == used && s->run == run;
}

bool sh_frames_is_doomed(struct sh_pool *pool, const struct sh_run *run)
{
    for (uint32_t i = 0; i < sh_splits_count(pool); i++) {
        struct sh_split *s = sh_split_at(pool, i);

        /* acquire: doomed */
        if (s != NULL && (sh_load_acq(&s->used) & SH_SPLIT_DOOMED) != 0 &&
            s->run == run)
            return true;
    }
    return false;
}

bool sh_frames_doom(struct sh_pool *pool, struct sh_run *run, unsigned index,
                    enum sh_doom how)
{
    uint32_t used = index + 1;
    bool taken = false;

    for (uint32_t i = 0; i < sh_splits_count(pool); i++) {
        struct sh_split *s = sh_split_at(pool, i);

        if (is_of(s, run, used))
            taken |= sh_split_close(s) > 0;
    }
    if (taken)
        sh_run_lay_down(run);
    for (uint32_t i = 0; i < sh_splits_count(pool); i++) {
        struct sh_split *s = sh_split_at(pool, i);

        if (!is_of(s, run, used))
            continue;
        if (!taken) {
            sh_split_leave(s);
            continue;
        }
        s->doom = how;
        s->stack = sh_stacks_of(&run->worker->stacks, run);
        sh_stacks_pin(&run->worker->stacks, s->stack);
        sh_store_rel(&s->used, used | SH_SPLIT_DOOMED); /* release: doomed */
    }
    if (taken)
        sh_store_sc(&pool->doomed, 1); /* seq_cst: doomed */
    return taken;
}

/* A frame that was taken and has no mark: its function is there. */
static void give_back(struct shunt_frame_ *frame)
{
    uintptr_t run = sh_load_bare_acq(&frame->run_); /* acquire: taken */

    if (run <= SH_FRAME_RETURNED)
        return; /* it was marked, which the claim does not know yet */
    frame->thief_ = run;
    sh_store_bare_rel(&frame->run_, SH_FRAME_RETURNED); /* release: taken */
}

void sh_frames_bury(struct sh_pool *pool, unsigned index)
{
    for (uint32_t i = 0; i < sh_splits_count(pool); i++) {
        struct sh_split *s = sh_split_at(pool, i);
        struct shunt_frame_ *frame = s != NULL && index < SH_SPLIT_THIEVES
                                         ? sh_split_bury(s, index)
                                         : NULL;

        if (frame != NULL)
            give_back(frame);
    }
}

void sh_frames_forget(struct sh_pool *pool, unsigned index)
{
    for (uint32_t i = 0; i < sh_splits_count(pool); i++) {
        struct sh_split *s = sh_split_at(pool, i);

        /* relaxed: its process is dead */
        if (s != NULL && sh_load_rlx(&s->used) == index + 1 &&
            sh_split_close(s) == 0)
            sh_split_leave(s);
    }
}

/* Whether the frame of a taken call names it, and has that mark. If the call
 * has run its owner may have gone on, and there may be anything; but no other
 * frame that names this task. */
static bool is_marked(struct sh_pool *pool, struct sh_record *r,
                      enum sh_mark_of_frame mark)
{
    uint64_t w = sh_load_acq(&r->state); /* acquire: claim */
    const struct shunt_frame_ *frame =
        ((struct sh_taken *)sh_record_in(r))->frame;

    return sh_arena_has(pool->arena, frame) &&
           sh_load_bare_acq(&frame->run_) == mark && /* acquire: taken, ran */
           frame->thief_ == sh_handle_make(pool->id, sh_index_of(pool, r),
                                           sh_generation_of(w));
}

static void mark(struct sh_record *r, enum sh_mark_of_frame as)
{
    struct shunt_frame_ *frame = ((struct sh_taken *)sh_record_in(r))->frame;

    sh_store_bare_rel(&frame->run_, as); /* release: ran */
}

void sh_frames_lose(struct sh_pool *pool, struct sh_record *r)
{
    if (sh_record_is_taken(r) && is_marked(pool, r, SH_FRAME_TAKEN))
        mark(r, SH_FRAME_LOST);
}

void sh_frames_give_back(struct sh_pool *pool, struct sh_record *r)
{
    uint64_t w = sh_load_acq(&r->state); /* acquire: claim */

    if (is_marked(pool, r, SH_FRAME_TAKEN))
        mark(r, SH_FRAME_BACK);
    else
        sh_give_now(sh_handle_make(pool->id, sh_index_of(pool, r),
                                   sh_generation_of(w)));
}

bool sh_frames_has_run(struct sh_pool *pool, struct sh_record *r,
                       struct sh_run *run)
{
    if (!sh_record_is_taken(r) || !is_marked(pool, r, SH_FRAME_DONE))
        return false;
    if (run != NULL)
        sh_leaving_left(run, *(struct sh_leaving **)sh_record_out(r));
    return true;
}
