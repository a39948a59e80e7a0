/* SPDX-License-Identifier: MIT */
/*
 * mended_test.c - what a worker process leaves half done inside a call of the
 * runtime, when it is killed there, is made good.
 *
 * Method. The tasks of this program see the runtime's inside, as it does: they
 * take the first steps of a call themselves, and are killed where the next one
 * would come. Then what is left is used, and has to be as if the call had never
 * been made, or had been made whole.
 */
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include "../api/death.h"
#include "future/settle.h"
#include "worker/worker.h"

/* Two of them run at a time, one on each worker of a pool of two; the one that
 * is not on `beside`'s is the one to do it. */
struct deed {
    uint64_t what; /* a handle */
    unsigned beside;
    struct latch *both;
};

static unsigned here(void)
{
    return sh_worker_here()->index;
}

static bool is_mine(const struct deed *in)
{
    latch_raise(in->both);
    return latch_reaches(in->both, 2) && here() != in->beside;
}

static _Noreturn void die(void)
{
    (void)kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* Have it done: one of the two dies. */
static void have_done(shunt_pool *pool, const shunt_task *task,
                      struct deed deed)
{
    shunt_future *fs[2];
    int dead = 0;

    deed.both = stage_latch();
    for (int i = 0; i < 2; i++)
        fs[i] = shunt_submit_here(pool, task, &deed, "");
    for (int i = 0; i < 2; i++)
        dead += shunt_join(fs[i]) == SHUNT_ECRASHED;
    assert_long(dead, 1);
}

static struct sh_ref look_up(shunt_future *f)
{
    struct sh_ref ref;

    assert_long(sh_handle_find(sh_handle_of(f), SH_LOOK, &ref), 0);
    return ref;
}

/* Wait until it is in that phase; its word. */
static uint64_t word_in(shunt_future *f, enum sh_phase phase)
{
    struct sh_ref ref = look_up(f);

    while (sh_phase_of(sh_load_acq(&ref.record->state)) != phase)
        (void)sched_yield();
    return sh_load_acq(&ref.record->state);
}

static int awaits(shunt_future *const *in, long *out)
{
    return shunt_take(*in, out);
}
typedef shunt_future *future;
SHUNT_TASK(awaits, future, long)

/* ---- those who sleep, or are parked ---- */

/* The first step of waking a parked task, and not the second. */
static int half_wake(const struct deed *in, long *out)
{
    struct sh_ref ref;
    uint64_t w;

    *out = 0;
    if (!is_mine(in))
        return 0;
    (void)sh_handle_find(in->what, SH_LOOK, &ref);
    w = ref.word;
    (void)sh_cas_sc(&ref.record->state, &w,
                    sh_word_to(w, SH_RUNNING, sh_owner_of(w)));
    die();
}
SHUNT_TASK(half_wake, struct deed, long)

static void a_parked_task_that_was_half_woken_goes_on(void)
{
    shunt_pool *pool = harness_pool(2);

    for (long i = 0; i < 10; i++) {
        struct stage_promise made = stage_promise(pool);
        shunt_future *f = shunt_submit(pool, awaits, &made.future);
        uint64_t w = word_in(f, SH_PARKED);

        have_done(
            pool, &shunt_task_half_wake,
            (struct deed){ .what = sh_handle_of(f),
                           .beside = sh_owner_of(w) - SH_OWNER_WORKER(0) });
        stage_give(made.promise, i);
        assert_takes(f, i);
    }
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(a_parked_task_that_was_half_woken_goes_on),
};

HARNESS_MAIN(claims)
