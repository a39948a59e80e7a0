/* SPDX-License-Identifier: MIT */
/*
 * split_take.c - the owner syncs what it has spawned, and two thieves take of
 * it: each call runs once, and whoever runs it sees its argument.
 *
 * Edge: publish (queue/split.c). Three calls; the first two spawns publish. The
 * owner's end is that of shunt/forkjoin.h.
 */
#define SH_SPLIT_SLOTS 4u
#include "client.h"

#include <genmc.h>

#include "../../runtime/queue/split.c"

#define CALLS 3
#define DONE 2u
#define MINE 16u /* a function, to those who look at the mark */

struct call {
    struct shunt_frame_ frame;
    uint64_t argument, result;
};

static struct sh_split d;
static shunt_slot_ slots[SH_SPLIT_SLOTS];
static struct call calls[CALLS + 1];

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
    take_hint(c->argument);
    c->result = c->argument + 1;
}

static void *thief(void *unused)
{
    struct shunt_frame_ *f = sh_split_steal(&d);

    (void)unused;
    if (f == NULL)
        return NULL;
    assert(sh_load_bare_rlx(&f->run_) == MINE); /* relaxed: publish */
    run((struct call *)f);
    sh_store_bare_rel(&f->run_, DONE); /* release: done */
    return NULL;
}

static void spawn(shunt_slot_ **at, uint64_t i)
{
    calls[i].argument = make_hint(i);
    shunt_push_(&d.owner, at, &calls[i].frame, MINE);
}

/* If it never has run, that is found. */
static void wait_for(struct call *c)
{
    uintptr_t mark;

    __VERIFIER_loop_begin();
    do {
        __VERIFIER_spin_start();
        mark = sh_load_bare_acq(&c->frame.run_); /* acquire: done */
        __VERIFIER_spin_end(mark == DONE);
    } while (mark != DONE);
}

static void sync(shunt_slot_ **at, uint64_t i)
{
    struct call *c = &calls[i];

    if (shunt_pop_(&d.owner, at)) {
        run(c);
    } else {
        wait_for(c);
        sh_split_joined(&d, *at);
    }
    assert(c->result == i + 1);
}

int main(void)
{
    pthread_t one, two;
    shunt_slot_ *at = slots;

    sh_split_init(&d, slots);
    sh_split_ask(&d);
    one = thread_start(thief, NULL);
    two = thread_start(thief, NULL);
    spawn(&at, 1);
    spawn(&at, 2);
    sh_split_calm(&d);
    spawn(&at, 3);
    for (uint64_t i = 3; i > 0; i--)
        sync(&at, i);
    assert(at == slots && d.owner.split_ == slots);
    assert(!sh_split_offers(&d));
    thread_join(one);
    thread_join(two);
    for (uint64_t i = 1; i <= CALLS; i++)
        assert(was_taken(i));
    return 0;
}
