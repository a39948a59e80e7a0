/* SPDX-License-Identifier: MIT */
/*
 * split_claim.c - a worker process takes spawned calls, and may die before or
 * after any of its steps: each call runs once.
 *
 * Edges: claimed, publish (queue/split.c). Thread 1 is the thief that may die:
 * what it would change after that it does not. Who repairs waits for the death,
 * and gives back what was taken and is not marked, as worker/doom.c does. It
 * must be the dead thief's exactly if that has taken it, whoever has moved the
 * ends since.
 *   TAKES=n   the thief takes so often, with the tags 0, 1, ..; or each time
 *   TAG=n     with that one, as if tags had come round
 *   OTHERS=n  how many others take one
 *   CALLS=n   so many calls are spawned, and synced at the end; of these
 *   AGAIN     each before the next is spawned, in the same slot
 */
#define SH_SPLIT_SLOTS 4u
#define SH_SPLIT_EAGER 4u
#define SH_SPLIT_THIEVES 3u
#include "client.h"

#include <genmc.h>

#ifndef TAKES
#define TAKES 1
#endif
#ifndef OTHERS
#define OTHERS 1
#endif
#ifndef CALLS
#define CALLS 2
#endif
#ifndef TAG
#define TAG tag
#endif
#define MORTAL 1 /* the thread, and worker 0 */

static _Atomic int killed;

/* A dead process changes nothing any more. */
static inline bool lives(void)
{
    /* relaxed: at any moment */
    return pthread_self() != MORTAL || sh_load_rlx(&killed) == 0;
}

#define STORE_(p, v, order) \
    (lives() ? atomic_store_explicit(SH_AT_(p), (v), order) : (void)0)
#define CAS_(p, e, v, order, else_)                                          \
    (lives() && atomic_compare_exchange_strong_explicit(SH_AT_(p), (e), (v), \
                                                        order, else_))
#undef sh_store_rlx
#undef sh_store_rel
#undef sh_cas_rlx
#undef sh_cas_acq
#undef sh_cas_rel
#undef sh_cas_acqrel
#define sh_store_rlx(p, v) STORE_(p, v, SH_RLX_)
#define sh_store_rel(p, v) STORE_(p, v, SH_REL_)
#define sh_cas_rlx(p, e, v) CAS_(p, e, v, SH_RLX_, SH_RLX_)
#define sh_cas_acq(p, e, v) CAS_(p, e, v, SH_ACQ_, SH_ACQ_)
#define sh_cas_rel(p, e, v) CAS_(p, e, v, SH_REL_, SH_RLX_)
#define sh_cas_acqrel(p, e, v) CAS_(p, e, v, SH_AR_, SH_ACQ_)

#include "../../runtime/queue/split.c"

/* Marks, of which functions are none. */
enum {
    TAKEN = 1,
    DONE,
    RETURNED,
    MINE = 16
};

struct call {
    struct shunt_frame_ frame;
    int argument, ran;
};

static struct sh_split d;
static shunt_slot_ slots[SH_SPLIT_SLOTS];
static struct call calls[CALLS];
static struct shunt_frame_ *got; /* by the mortal one, last */
static bool has_died;

void shunt_spawn_slowly_(shunt_split_ *split, shunt_slot_ *at,
                         struct shunt_frame_ *frame)
{
    *at = frame;
    sh_split_publish(split->deque_, at + 1);
}

bool shunt_reclaim_(shunt_split_ *split, shunt_slot_ *at)
{
    return sh_split_reclaim(split->deque_, at);
}

static void run(struct call *c)
{
    assert(c->argument == 7);
    assert(c->ran++ == 0);
}

/* As worker/frames.c does. What follows the mark in a thief's life is found by
 * its task's record if it dies, and not by its claim. */
static void run_taken(struct shunt_frame_ *f, unsigned worker)
{
    assert(sh_load_bare_rlx(&f->run_) == MINE); /* relaxed: publish */
    sh_store_bare_rel(&f->run_, TAKEN);         /* release: taken */
    sh_split_settled(&d, worker);
    if (!lives())
        return;
    run((struct call *)f);
    sh_store_bare_rel(&f->run_, DONE); /* release: ran */
}

static void *mortal(void *unused)
{
    (void)unused;
    for (uint32_t tag = 0; tag < TAKES && !has_died; tag++) {
        got = sh_split_steal_as(&d, 0, TAG);
        if (got != NULL && lives())
            run_taken(got, 0);
        has_died = !lives();
    }
    return NULL;
}

static void *other(void *worker)
{
    unsigned w = (unsigned)(uintptr_t)worker;
    struct shunt_frame_ *f = sh_split_steal_as(&d, w, 0);

    if (f != NULL)
        run_taken(f, w);
    return NULL;
}

static void *killer(void *unused)
{
    (void)unused;
    sh_store_rlx(&killed, 1); /* relaxed: at any moment */
    return NULL;
}

static void *repairer(void *thief)
{
    uintptr_t mark = MINE;
    struct shunt_frame_ *f;

    thread_join((pthread_t)(uintptr_t)thief);
    if (!has_died)
        return NULL;
    f = sh_split_bury(&d, 0);
    assert(sh_load_rlx(&d.claims[0]) == 0); /* relaxed: nobody is there */
    if (got != NULL)
        mark = sh_load_bare_rlx(&got->run_); /* relaxed: it has been joined */
    assert(f == got || (f == NULL && mark < MINE));
    if (got != NULL && mark != DONE)
        sh_store_bare_rel(&got->run_, RETURNED); /* release: taken */
    return NULL;
}

static void spawn(shunt_slot_ **at, struct call *c)
{
    c->argument = 7;
    shunt_push_(&d.owner, at, &c->frame, MINE);
}

/* Until it has run, or comes back: if it never does, that is found. */
static uintptr_t wait_for(const struct call *c)
{
    uintptr_t mark;

    __VERIFIER_loop_begin();
    do {
        __VERIFIER_spin_start();
        mark = sh_load_bare_acq(&c->frame.run_); /* acquire: taken, ran */
        __VERIFIER_spin_end(mark == DONE || mark == RETURNED);
    } while (mark != DONE && mark != RETURNED);
    return mark;
}

static void sync(shunt_slot_ **at, struct call *c)
{
    bool mine = shunt_pop_(&d.owner, at);

    if (!mine) {
        mine = wait_for(c) == RETURNED;
        sh_split_joined(&d, *at);
    }
    if (mine)
        run(c);
    assert(c->ran == 1);
}

static void be_owner(void)
{
    shunt_slot_ *at = slots;

#ifdef AGAIN
    for (int i = 0; i < CALLS; i++) {
        sh_split_ask(&d);
        spawn(&at, &calls[i]);
        sync(&at, &calls[i]);
    }
#else
    for (int i = 0; i < CALLS; i++)
        spawn(&at, &calls[i]);
    for (int i = CALLS; i > 0; i--)
        sync(&at, &calls[i - 1]);
#endif
    assert(at == slots && d.owner.split_ == slots);
    assert(!sh_split_offers(&d));
}

int main(void)
{
    pthread_t threads[3 + OTHERS];

    sh_split_init(&d, slots);
    sh_split_ask(&d);
    threads[0] = thread_start(mortal, NULL);
    assert(threads[0] == MORTAL);
    threads[1] = thread_start(killer, NULL);
    threads[2] = thread_start(repairer, (void *)(uintptr_t)threads[0]);
    for (int i = 0; i < OTHERS; i++)
        threads[3 + i] = thread_start(other, (void *)(uintptr_t)(1 + i));
    be_owner();
    for (int i = 1; i < 3 + OTHERS; i++)
        thread_join(threads[i]);
    return 0;
}
