/* SPDX-License-Identifier: MIT */
/*
 * unseen_late.c - somebody is told of a failure while its future is freed, and
 * the record is used again.
 *
 * Edge: accepted (future/unseen.c). The look marks the use that it is of, if
 * it is not too late for that, and never the next one.
 */
#include "record_client.h"

#include "../../runtime/future/unseen.c"
#include "../../runtime/task/data.c"

/* From future/outcome.c. */
int sh_ref_status(const struct sh_ref *ref)
{
    return sh_outcome_code(sh_outcome_of(ref->word));
}

static void *look(void *unused)
{
    struct sh_ref ref;

    (void)unused;
    if (sh_handle_find(handle_of(1), SH_LOOK, &ref) == 0)
        assert(sh_ref_tell(&ref) == SHUNT_EFAILED);
    return NULL;
}

static void *use_again(void *unused)
{
    struct sh_ref ref;
    struct sh_record *r;

    (void)unused;
    find(handle_of(1), &ref);
    assert(sh_handle_give(&ref) == SH_GIVEN_LAST);
    /* relaxed: ours in RELEASING */
    sh_record_retire(&pool, NULL, ref.record,
                     sh_load_rlx(&ref.record->state));
    own_seat()->records.fresh = 1;
    own_seat()->records.fresh_end = 2;
    r = sh_record_new(&pool, own_seat(), SH_KIND_PROMISE, NULL, NULL);
    assert(r == &records[1]);
    return NULL;
}

int main(void)
{
    uint64_t failed = (uint64_t)sh_outcome_from(SHUNT_EFAILED) << 24;
    pthread_t one, two;

    make_pool();
    make_record(1, SH_DONE | failed, SH_KIND_TASK);
    one = thread_start(look, NULL);
    two = thread_start(use_again, NULL);
    thread_join(one);
    thread_join(two);
    assert(sh_load_rlx(&records[1].deps) == /* relaxed: joined */
           (uint64_t)(GENERATION + 1) << 32);
    return 0;
}
