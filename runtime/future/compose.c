/* SPDX-License-Identifier: MIT */
/*
 * future/compose.c - when_all and its kin: handles in, one future out.
 *
 * Every handle is consumed, whatever happens: the good ones are lent to the
 * combinator, and if it cannot be made they are given back.
 *
 * Edges.
 *   cell     future/combine.c
 *   accepted task/handle.c
 *   closed   future/edge.c
 *   hang     future/edge.c
 *   idle     future/settle.c
 *   settled  future/settle.c
 *   watch    future/settle.c
 *
 * Crash. Until it is accepted, future/undo.c gives back what it was lent.
 */
#include "future/combine.h"
#include "task/data.h"

#define AHEAD 8u /* as many inputs are fetched before they are looked at */

/* The pool of the first handle that has one, or the code of a failure. */
static int first_pool(shunt_future *const *fs, size_t n,
                      struct sh_pool **pool_out)
{
    struct sh_ref ref;

    for (size_t i = 0; i < n; i++) {
        int rc = sh_handle_find(sh_handle_of(fs[i]), SH_OWN, &ref);

        if (rc == SHUNT_EFORKED)
            return rc;
        if (rc == 0 && ref.pool != NULL && sh_pool_is_ours(ref.pool)) {
            *pool_out = ref.pool;
            return 0;
        }
    }
    if (sh_here.run == NULL)
        return sh_no_task();
    *pool_out = sh_here.run->pool;
    return 0;
}

/* Give handles back that the caller gave us in vain. */
static void give_all(struct sh_work *work, shunt_future *const *fs, size_t n)
{
    struct sh_ref ref;

    for (size_t i = 0; i < n; i++)
        if (sh_handle_find(sh_handle_of(fs[i]), SH_OWN, &ref) == 0 &&
            ref.record != NULL && sh_handle_give(&ref) == SH_GIVEN_LAST)
            sh_work_free(work, ref.pool, ref.record);
}

/* The workers of a process pool see no other: what comes from there is passed
 * on by a future of the pool's own. */
static shunt_future *bring_near(struct sh_pool *pool, shunt_future *f)
{
    struct sh_ref ref;

    if (SH_LIKELY(!pool->shared) ||
        sh_handle_pool(sh_handle_of(f)) == pool->id ||
        sh_handle_find(sh_handle_of(f), SH_OWN, &ref) != 0 ||
        ref.record == NULL)
        return f;
    return shunt_via(pool->name, f);
}

bool sh_combine_lend(struct sh_record *r, uint32_t i, struct sh_ref *ref)
{
    struct sh_combine *c = r->data.combining.more;
    uint64_t handle = ref->handle;

    if (ref->record != NULL)
        handle |= SH_HANDLE_LENT;
    /* Before it is lent: see undo.c. */
    c->names[i] = sh_handle_future(handle);
    sh_store_bare_rel(&c->held, i + 1); /* release: cell */
    return ref->record == NULL || sh_handle_lend(ref, SH_WATCHED);
}

/* Lend r, of a thread pool, its input number i, and hang it there, if that is a
 * primary handle of the same pool. If it has succeeded, *bits gets its bit,
 * which is to be noted. False: it is not as simple as that, and is not lent. */
static inline bool hang_plain(struct sh_work *work, struct sh_pool *pool,
                              struct sh_record *r, uint32_t i,
                              struct sh_ref *ref, uint32_t *bits)
{
    struct sh_combine *c = r->data.combining.more;
    uint64_t none = SH_EDGE_EMPTY, target, w;
    bool settled;

    if (sh_handle_pool(ref->handle) != pool->id ||
        sh_handle_index(ref->handle) >= pool->records.capacity)
        return false;
    ref->record = sh_record_at(pool, sh_handle_index(ref->handle));
    w = sh_load_acq(&ref->record->state); /* acquire: settled, accepted */
    settled = sh_is_settled(w);
    if (!sh_handle_fits(ref->handle, w) || (settled && sh_outcome_of(w) != 0))
        return false;
    ref->word = w | SH_LENT | (settled ? 0 : SH_WATCHED);
    if (!sh_cas_acqrel(&ref->record->state, &w, ref->word)) /* acq_rel: settled,
                                                             * idle, watch */
        return false;
    ref->handle |= SH_HANDLE_LENT;
    c->names[i] = sh_handle_future(ref->handle);
    c->held = i + 1;
    if (settled) {
        *bits |= 1u << i % SH_FANOUT;
        sh_combine_unhung(c, i);
        return true;
    }
    target = sh_combine_target(pool, r, i);
    c->hung[i] = (struct sh_hung){ target, 0 };
    /* acq_rel: hang, closed */
    if (!sh_cas_acqrel(&ref->record->edge0, &none, target))
        sh_combine_hang(work, pool, r, i, ref);
    return true;
}

/* Hang r on its inputs: 0, or why one of them was no handle. */
static int hang_all(struct sh_work *work, struct sh_pool *pool,
                    struct sh_record *r, shunt_future *const *fs, uint32_t n)
{
    struct sh_combine *c = r->data.combining.more;
    unsigned kind = sh_load_rlx(&r->kind); /* relaxed: ours in INIT */
    bool plain = !pool->shared &&
                 (kind == SH_KIND_ALL || kind == SH_KIND_SETTLED);
    uint32_t bits = 0;
    int why = 0;

    for (uint32_t i = 0; i < n; i++) {
        struct sh_ref ref = { .handle = sh_handle_of(fs[i]), .pool = pool };
        shunt_future *f;
        int rc;

        if (bits != 0 && i % SH_FANOUT == 0) {
            sh_combine_note(work, pool, r, i / SH_FANOUT - 1, bits);
            bits = 0;
        }
        if (i + AHEAD < n)
            sh_handle_prefetch(pool, sh_handle_of(fs[i + AHEAD]));
        if (plain && SH_LIKELY(hang_plain(work, pool, r, i, &ref, &bits)))
            continue;
        f = bring_near(pool, fs[i]);
        rc = sh_handle_find(sh_handle_of(f), SH_OWN, &ref);
        if (rc == 0 && !sh_combine_lend(r, i, &ref))
            rc = SHUNT_EINVAL;
        if (rc != 0) {
            /* Counts as a failed input; accept makes it one of the whole. */
            if (why != SHUNT_EFORKED)
                why = rc == SHUNT_EFORKED ? rc : SHUNT_EINVAL;
            ref.record = NULL;
            ref.reserved = sh_outcome_from(SHUNT_EINVAL);
            ref.handle = sh_handle_of(sh_handle_failed(0, SHUNT_EINVAL));
            c->names[i] = sh_handle_future(ref.handle);
        }
        sh_combine_hang(work, pool, r, i, &ref);
    }
    if (bits != 0)
        sh_combine_note(work, pool, r, (n - 1) / SH_FANOUT, bits);
    return why;
}

/* No array is that long, whatever it holds. */
static bool is_absurd(size_t n)
{
    return n > PTRDIFF_MAX / sizeof(shunt_future *);
}

static shunt_future *combine(unsigned kind, shunt_future *const *fs, size_t n,
                             size_t quorum)
{
    struct sh_work work = { 0 };
    struct sh_pool *pool;
    struct sh_seat *seat;
    struct sh_record *r = NULL;
    uint64_t handle;
    int rc = SHUNT_EINVAL;

    if (fs == NULL || is_absurd(n))
        return sh_handle_failed(0, SHUNT_EINVAL);
    rc = first_pool(fs, n, &pool);
    if (rc != 0) {
        give_all(&work, fs, n);
        sh_work_do(&work);
        return sh_handle_failed(0, rc);
    }
    seat = sh_seat_of(pool);
    if (seat != NULL && n < SH_INDEX_MAX)
        r = sh_combine_new(pool, seat, kind, (uint32_t)n, (uint32_t)quorum);
    if (r == NULL) {
        give_all(&work, fs, n);
        sh_work_do(&work);
        return sh_handle_failed(pool->id, SHUNT_ENOMEM);
    }
    handle = sh_handle_make(pool->id, sh_index_of(pool, r),
                            /* relaxed: ours in INIT */
                            sh_generation_of(sh_load_rlx(&r->state)));
    rc = hang_all(&work, pool, r, fs, (uint32_t)n);
    if (sh_here.run != NULL)
        sh_run_note(sh_here.run, handle); /* before it can settle */
    if (rc != 0)
        sh_combine_refuse(&work, pool, r, rc);
    else
        sh_combine_accept(&work, pool, r);
    sh_work_do(&work);
    return sh_handle_future(handle);
}

/* Handles given to a call whose other arguments are bad. */
static shunt_future *refuse(shunt_future *const *fs, size_t n)
{
    struct sh_work work = { 0 };
    struct sh_pool *pool;
    unsigned id = 0;

    if (fs != NULL && !is_absurd(n)) {
        if (first_pool(fs, n, &pool) == 0)
            id = pool->id;
        give_all(&work, fs, n);
    }
    sh_work_do(&work);
    return sh_handle_failed(id, SHUNT_EINVAL);
}

/* The empty success; of the current pool inside a task. */
static shunt_future *empty(void)
{
    return sh_handle_empty(sh_here.run != NULL ? sh_here.run->pool->id : 0);
}

shunt_future *shunt_when_all(shunt_future *const *fs, size_t n)
{
    return n == 0 ? empty() : combine(SH_KIND_ALL, fs, n, n);
}

shunt_future *shunt_when_all_settled(shunt_future *const *fs, size_t n)
{
    return n == 0 ? empty() : combine(SH_KIND_SETTLED, fs, n, n);
}

shunt_future *shunt_when_any(shunt_future *const *fs, size_t n)
{
    return n == 0 ? refuse(NULL, 0) : combine(SH_KIND_ANY, fs, n, 1);
}

shunt_future *shunt_race(shunt_future *const *fs, size_t n)
{
    return n == 0 ? refuse(NULL, 0) : combine(SH_KIND_RACE, fs, n, 1);
}

shunt_future *shunt_when_some(shunt_future *const *fs, size_t n, size_t k)
{
    return n == 0 || k == 0 || k > n ? refuse(fs, n)
                                     : combine(SH_KIND_SOME, fs, n, k);
}
