/* SPDX-License-Identifier: MIT */
/*
 * future/import.c - an outcome that comes to a process pool from another pool.
 *
 *     pool A              process pool B
 *     record: value ----> via: a copy of the value, or of the failure
 *
 * Idea. A record that follows another usually points to it, and its value stays
 * where it is. The workers of a process pool see no other pool; so what leads
 * into one is concluded by the host, which copies: the record becomes what a
 * promise is that was kept, with a value of its own. Bytes are copied, and not
 * what they point to. Results and winners name futures of the other pool, and
 * do not come across.
 *
 * Edges. None: who concludes a record has it alone.
 *
 * Crash. The host does this, whose death ends the pool.
 */
#include "future/settle.h"
#include "future/value.h"
#include "task/data.h"
#include "task/error.h"

bool sh_is_import(const struct sh_pool *pool, struct sh_record *r)
{
    unsigned from;

    /* relaxed: ours */
    if (!pool->shared || sh_load_rlx(&r->kind) != SH_KIND_FORWARD)
        return false;
    from = sh_handle_pool(sh_load_rlx(&r->input)); /* relaxed: ours */
    return from != 0 && from != pool->id;
}

/* A failure that is told in r's own words; its outcome. */
static unsigned fail(struct sh_pool *pool, struct sh_record *r,
                     const struct sh_failure *f)
{
    sh_error_attach(pool, r, f);
    return sh_outcome_from(f->code);
}

static unsigned copy_error(struct sh_pool *pool, struct sh_record *r,
                           const shunt_error *e)
{
    struct sh_failure f = sh_failure_of(e);

    return fail(pool, r, &f);
}

static unsigned copy_value(struct sh_pool *pool, struct sh_record *r,
                           const struct sh_value *v)
{
    struct sh_promised *p = &r->data.promised;

    if (v->lent_only)
        return fail(pool, r,
                    &(struct sh_failure){
                        .code = SHUNT_EINVAL,
                        .text = "results and winners do not come to a process "
                                "pool from another pool" });
    /* Its deadline is over, and whose child it is was told. */
    sh_store_bare_rlx(&r->out_at, 0); /* relaxed: as when it was made */
    p->type = v->type;
    p->size = (uint32_t)v->size;
    p->align = (uint32_t)v->align;
    if (v->size > UINT32_MAX || !sh_promise_make_data(pool, r)) {
        p->size = 0;
        p->align = 1;
        return sh_outcome_from(SHUNT_ENOMEM);
    }
    sh_store_rlx(&r->kind, SH_KIND_PROMISE); /* relaxed: published by the
                                              * commit */
    memcpy(sh_record_value(r).bytes, v->bytes, v->size);
    return 0;
}

unsigned sh_import(struct sh_work *work, struct sh_pool *pool,
                   struct sh_record *r)
{
    uint64_t input = sh_load_rlx(&r->input); /* relaxed: ours */
    unsigned outcome;
    struct sh_ref from;
    struct sh_value v;

    sh_store_rlx(&r->input, 0); /* relaxed: published by the commit */
    if (!sh_enter_origin(input, &from))
        return sh_outcome_from(SHUNT_ECLOSED);
    outcome = sh_value_of(&from, &v) ? copy_value(pool, r, &v)
                                     : copy_error(pool, r, sh_error_of(&from));
    sh_leave_origin(&from);
    sh_mark_seen(input, true); /* what it says is said here now */
    sh_work_give(work, input);
    return outcome;
}
