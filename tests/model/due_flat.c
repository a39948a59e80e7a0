/* SPDX-License-Identifier: MIT */
/*
 * due_flat.c - a deadline comes as its task returns a future, and waits for
 * that.
 *
 * Edge: due (future/timer.c, step.c). Whether the timekeeper finds the task at
 * its code or behind the future, or sees it go from the one to the other, the
 * future never settles, so that only the deadline can end it.
 */
#include "submit_client.h"

#define attach attach_step /* step.c has names of its own for these */
#define give give_step
#define abandon abandon_step
#define check check_step
#define move move_step
#include "../../runtime/future/step.c"
#undef attach
#undef give
#undef abandon
#undef check
#undef move

static struct sh_ref inner;

/* What worker/run.c does when the function has returned. */
static void *runner(void *unused)
{
    struct sh_record *r = &records[1];
    struct sh_work work = { 0 };

    (void)unused;
    (void)sh_arrivals_renew(&r->deps);
    sh_store_rel(&r->kind, SH_KIND_TASK | SH_KIND_FLAT); /* release:
                                                          * accepted */
    if (!sh_follow(&work, &pool, r, &inner))
        sh_settle_returned(&work, &pool, r);
    sh_work_do(&work);
    return NULL;
}

static void *timekeeper(void *unused)
{
    (void)unused;
    come_by(20);
    return NULL;
}

int main(void)
{
    const uint64_t running = SH_RUNNING | (uint64_t)SH_OWNER_WORKER(0) << 12;
    struct sh_record *r = &records[1];
    pthread_t one, two;
    uint64_t w;

    make_pool_with_worker();
    make_time(0);
    make_record(1, running, SH_KIND_TASK);
    make_record(3, running, SH_KIND_TASK);
    r->where = "here";
    r->out_at = SH_BOUND;
    sh_bound_of(r)->deadline_ns = 10;
    sh_bound_of(r)->scope = 0;
    assert(sh_bound_set(&pool, r, sh_load_rlx(&r->state))); /* relaxed: before
                                                             * the threads */
    find(handle_of(3), &inner);
    assert(sh_handle_lend(&inner, SH_WATCHED));
    one = thread_start(runner, NULL);
    two = thread_start(timekeeper, NULL);
    thread_join(one);
    thread_join(two);
    w = sh_load_rlx(&r->state); /* relaxed: joined */
    assert(sh_phase_of(w) == SH_DONE && (w & SH_BUSY) == 0);
    assert(sh_outcome_code(sh_outcome_of(w)) == SHUNT_ETIMEDOUT);
    return 0;
}
