/* SPDX-License-Identifier: MIT */
/*
 * scope_close.c - a scope is closed while its child settles and, with -DCANCEL,
 * somebody cancels it.
 *
 * Edges: inside, settled (future/scope.c, child.c). One of them ends the scope,
 * once, when nobody is in it; whoever sees that sees what was done in it.
 */
#include "scope_client.h"

static void *settler(void *unused)
{
    (void)unused;
    value = 42;
    sh_settle_running(&pool, &records[1], 0, 0);
    return NULL;
}

static void *closer(void *unused)
{
    struct sh_work work = { 0 };
    struct sh_ref ref;

    (void)unused;
    assert(sh_scope_find(scope, &ref) == 0);
    assert(sh_scope_shut(&work, &ref, NULL));
    sh_work_do(&work);
    if (sh_is_settled(sh_load_acq(&records[3].state))) /* acquire: settled */
        use_value(); /* inside */
    return NULL;
}

#ifdef CANCEL
static void *canceller(void *unused)
{
    (void)unused;
    (void)shunt_scope_cancel(scope);
    return NULL;
}
#endif

int main(void)
{
    pthread_t one, two;

    make_scope(0);
    one = thread_start(settler, NULL);
    two = thread_start(closer, NULL);
#ifdef CANCEL
    thread_join(thread_start(canceller, NULL));
#endif
    thread_join(one);
    thread_join(two);
    /* relaxed: joined */
    assert(sh_phase_of(sh_load_rlx(&records[3].state)) == SH_DONE);
    assert((sh_load_rlx(&records[3].hold) & SH_SCOPE_COUNT) == 0); /* relaxed:
                                                                    * joined */
    return 0;
}
