/* SPDX-License-Identifier: MIT */
/*
 * future/sift.c - which inputs a combinator holds on to when it has come to its
 * end: of some, those that decided; of what failed, all, as its causes.
 *
 * Idea. It is chosen first, and noted, and then the rest is let go: so whoever
 * does it again, since a death cut it short, chooses nothing that has gone.
 *
 * Edges.
 *   death    process/recover.c
 */
#include "future/combine.h"
#include "future/value.h"
#include "task/error.h"

/* The status of input i, SHUNT_PENDING if it has not settled. */
static int input_status(const struct sh_combine *c, uint32_t i)
{
    uint64_t handle = sh_handle_of(c->inputs[i]);
    unsigned id = sh_handle_pool(handle);
    int status = SHUNT_ECLOSED; /* its pool was freed */
    struct sh_ref ref;

    if (!sh_pool_enter(id))
        return status;
    if (sh_handle_find(handle, SH_LOOK, &ref) == 0)
        status = sh_ref_status(&ref);
    sh_pool_exit(id);
    return status;
}

/* Choose inputs of one sort, at most `most`. */
static void choose(struct sh_combine *c, bool good, uint32_t most)
{
    uint32_t held = 0;

    for (uint32_t i = 0; i < c->n && held < most; i++) {
        int status = input_status(c, i);

        if (status == SHUNT_PENDING || (status == 0) != good)
            continue;
        c->indices[held] = i;
        c->chosen[held++] = c->inputs[i];
    }
    c->held = held;
    c->names = c->chosen;
    sh_store_bare_rel(&c->sifted, true); /* release: death */
}

/* Keep those, and let the others go. Who does this again, since it was cut
 * short, may not choose again: of what was let go nothing is known. */
void sh_combine_sift(struct sh_work *work, struct sh_pool *pool,
                     struct sh_combine *c, bool good, uint32_t most)
{
    uint32_t kept = 0;

    if (!c->sifted)
        choose(c, good, most);
    for (uint32_t i = 0; i < c->n; i++) {
        if (kept < c->held && c->indices[kept] == i)
            kept++;
        else
            sh_combine_let_go(work, pool, c, i);
    }
}

/* The failure of a combinator all or most of whose inputs failed. */
unsigned sh_combine_fail(struct sh_pool *pool, struct sh_record *r)
{
    struct sh_combine *c = r->data.combining.more;
    size_t bytes = (c->held > 0 ? c->held : 1) * sizeof(shunt_error *);
    const shunt_error **causes = sh_heap_scratch(&pool->heap, bytes);
    struct sh_failure f = { .code = SHUNT_EFAILED };

    /* The same failure, in all that is known of it. */
    if (c->held > 0)
        f = sh_failure_of(sh_error_seen(c->names[0]));
    if (f.code == 0)
        f.code = SHUNT_EFAILED;
    f.causes = causes;
    /* As a cause each counts as looked at. */
    for (uint32_t i = 0; causes != NULL && i < c->held; i++)
        causes[f.cause_count++] = sh_error_seen(c->names[i]);
    sh_error_attach(pool, r, &f);
    sh_heap_put(&pool->heap, causes, bytes);
    return sh_outcome_from(f.code);
}
