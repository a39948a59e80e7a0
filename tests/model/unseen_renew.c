/* SPDX-License-Identifier: MIT */
/*
 * unseen_renew.c - somebody is told that a task was given up at its deadline,
 * while its code, which runs on, ends one wait and begins another.
 *
 * Word: deps of a record (future/unseen.c, edge.c). The look stays noted, and
 * what the waits had arrived does not.
 */
#include "record_client.h"

#include "../../runtime/future/unseen.c"

/* From future/outcome.c. */
int sh_ref_status(const struct sh_ref *ref)
{
    return sh_outcome_code(sh_outcome_of(ref->word));
}

static void *look(void *unused)
{
    struct sh_ref ref;

    (void)unused;
    find(handle_of(1), &ref);
    assert(sh_ref_tell(&ref) == SHUNT_ETIMEDOUT);
    return NULL;
}

static void *run_on(void *unused)
{
    (void)unused;
    (void)sh_deps_renew(&records[1]);
    (void)sh_deps_renew(&records[1]);
    return NULL;
}

int main(void)
{
    uint64_t late = (uint64_t)sh_outcome_from(SHUNT_ETIMEDOUT) << 24;
    pthread_t one, two;

    make_pool();
    make_record(1, SH_DONE | SH_BUSY | late, SH_KIND_TASK);
    records[1].out_at = SH_BOUND;
    assert(sh_arrive(&records[1].deps, GENERATION, 0, NULL) == SH_ARRIVED_NEW);
    one = thread_start(look, NULL);
    two = thread_start(run_on, NULL);
    thread_join(one);
    thread_join(two);
    assert(sh_load_rlx(&records[1].deps) == /* relaxed: joined */
           ((uint64_t)(GENERATION + 2) << 32 | seen_bit));
    return 0;
}
