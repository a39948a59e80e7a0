/* SPDX-License-Identifier: MIT */
/*
 * scope_fail.c - a child of a scope fails while another is submitted in it.
 *
 * Edges: sibling, inside, cell, arrive (future/scope.c, child.c, settle.c).
 * Either the submit is refused, or the sibling is asked to cancel, by who
 * settles the failure or by who submits; and both leave the scope once.
 */
#include "scope_client.h"

static uint64_t handle;

static void *settler(void *unused)
{
    (void)unused;
    sh_settle_running(&pool, &records[1], sh_outcome_from(SHUNT_EFAILED), 0);
    return NULL;
}

static void *submitter(void *unused)
{
    (void)unused;
    handle = sh_handle_of(shunt_scope_submit_here(scope, NULL, NULL, NULL));
    return NULL;
}

int main(void)
{
    pthread_t one, two;
    uint64_t w, in;

    make_scope(0);
    one = thread_start(settler, NULL);
    two = thread_start(submitter, NULL);
    thread_join(one);
    thread_join(two);
    in = sh_load_rlx(&records[3].hold); /* relaxed: joined */
    assert((in & SH_SCOPE_COUNT) == 0 && (in & SH_SCOPE_CANCELLED) != 0);
    if (handle != handle_of(2)) {
        assert(handle == sh_handle_of(sh_handle_failed(POOL, SHUNT_ECANCELED)));
        return 0;
    }
    w = sh_load_rlx(&records[2].state); /* relaxed: joined */
    assert(sh_is_settled(w));
    assert(sh_outcome_code(sh_outcome_of(w)) == SHUNT_ECANCELED);
    return 0;
}
