/* SPDX-License-Identifier: MIT */
/*
 * loops/turn.c - one item after the other through a serial stage.
 *
 *     turn        3      4          5        6
 *     word     [closed][free ][ promise ][closed]      turn 4 may be taken,
 *                                                      the item of 5 waits
 *
 * Idea. Each turn has a word, which its item and the item of the turn before it
 * write: who comes second finds what the first one has left. An item that comes
 * too early leaves a promise, and waits for it as for any other; the one before
 * it leaves the word free, and gives the promise if there is one. So there is
 * no lock, and no list of those who wait.
 *
 * Words are used again: turns n and n + count share one. When an item has the
 * number n + count, count + 1 items have had one since n, and there are only
 * count tokens: so one of them has ended, and passed. Turns pass in order, so
 * turn n is over, and it has left its word closed. That this is seen goes along
 * with the token, and out of order with drawn.
 *
 * Edges.
 *   turn     pass: free the word -> take: read it, or fail to put a promise
 *            there; take: put the promise -> pass: read it; draw -> draw: so
 *            that whoever has a higher number sees words as closed that are
 *
 * Crash. Who dies in a stage passes nothing on: those behind it wait until they
 * are cancelled, or the turns ended, since an item has failed.
 */
#include "loops/turn.h"

#include "base/assert.h"

void sh_turns_init(struct sh_turns *t, _Atomic uint64_t *words, uint64_t count)
{
    SH_ASSERT(count > 0);
    t->words = words;
    t->count = count;
    sh_store_rlx(&t->drawn, 0); /* relaxed: ours yet */
    sh_store_rlx(&t->ended, 0); /* relaxed: ours yet */
    for (uint64_t i = 0; i < count; i++)
        sh_store_rlx(&words[i], i == 0
                                    ? SH_TURN_FREE
                                    : SH_TURN_CLOSED); /* relaxed: ours yet */
}

uint64_t sh_turn_draw(struct sh_turns *t)
{
    return sh_add_acqrel(&t->drawn, 1); /* acq_rel: turn */
}

/* The word is free: it is ours, unless it is so for all. */
static int enter(struct sh_turns *t, _Atomic uint64_t *word)
{
    /* relaxed: written before the word was freed for that */
    if (sh_load_rlx(&t->ended) != 0)
        return SHUNT_ECANCELED;
    /* relaxed: who writes it next does so after we have passed, see above */
    sh_store_rlx(word, SH_TURN_CLOSED);
    return 0;
}

int sh_turn_take(struct sh_turns *t, uint64_t turn)
{
    _Atomic uint64_t *word = &t->words[turn % t->count];
    uint64_t seen = sh_load_acq(word); /* acquire: turn */
    shunt_promise *promise;
    shunt_future *f;
    int rc;

    if (seen == SH_TURN_FREE)
        return enter(t, word);
    SH_ASSERT(seen == SH_TURN_CLOSED);
    rc = shunt_promise_new(NULL, shunt_none, &promise, &f);
    if (rc != 0)
        return rc;
    /* acq_rel: turn */
    if (sh_cas_acqrel(word, &seen, (uint64_t)(uintptr_t)promise)) {
        rc = shunt_await(f);
    } else {
        SH_ASSERT(seen == SH_TURN_FREE);
        (void)shunt_promise_drop(promise);
    }
    (void)shunt_release(f);
    return rc != 0 ? rc : enter(t, word);
}

/* Whoever waits there may have been cancelled: then its promise is gone. */
static void set_free(_Atomic uint64_t *word)
{
    uint64_t old = sh_xchg_acqrel(word, SH_TURN_FREE); /* acq_rel: turn */

    if (old > SH_TURN_FREE)
        (void)shunt_promise_give((shunt_promise *)(uintptr_t)old,
                                 &(shunt_none){ 0 });
}

void sh_turn_pass(struct sh_turns *t, uint64_t turn)
{
    SH_ASSERT(t->count > 0);
    set_free(&t->words[(turn + 1) % t->count]);
}

void sh_turns_end(struct sh_turns *t)
{
    /* relaxed: freeing the words publishes it */
    sh_store_rlx(&t->ended, 1);
    for (uint64_t i = 0; i < t->count; i++)
        set_free(&t->words[i]);
}
