/* SPDX-License-Identifier: MIT */
/*
 * observe/view.c - what a report says of a record: see view.h.
 *
 * Edges.
 *   accepted task/data.c: write the fields, then the state -> here: read the
 *            state
 */
#include "observe/view.h"

#include "observe/working.h"

/* What each kind is called, and what its maker did where it was made: the one
 * place that knows. */
static const struct name {
    const char *what, *made;
} names[] = {
    [0] = { "future", "made" }, /* of a kind that is not in this table */
    [SH_KIND_TASK] = { "task", "submitted" },
    [SH_KIND_THEN] = { "then", "attached" },
    [SH_KIND_RECOVER] = { "recover", "attached" },
    [SH_KIND_FINALLY] = { "finally", "attached" },
    [SH_KIND_FORWARD] = { "via", "made" },
    [SH_KIND_PROMISE] = { "promise", "made" },
    [SH_KIND_ALL] = { "when_all", "made" },
    [SH_KIND_SETTLED] = { "when_all_settled", "made" },
    [SH_KIND_ANY] = { "when_any", "made" },
    [SH_KIND_RACE] = { "race", "made" },
    [SH_KIND_SOME] = { "when_some", "made" },
    [SH_KIND_KEEP] = { "keeper", "made" },
    [SH_KIND_DEAL] = { "dealer", "made" },
    [SH_KIND_DELAY] = { "delay", "made" },
    [SH_KIND_HEED] = { "cancel_future", "made" },
    [SH_KIND_TRY] = { "attempt", "retried" },
    [SH_KIND_RETRY] = { "retry", "retried" },
    [SH_KIND_SCOPE] = { "scope", "opened" },
};

static const struct name *name_of(const struct sh_view *v)
{
    unsigned kind = v->kind & ~SH_KIND_FLAT;

    if (kind >= sizeof names / sizeof names[0] || names[kind].what == NULL)
        kind = 0;
    return &names[kind];
}

static const char *task_of(const struct sh_view *v)
{
    /* A dealer has a task, but no function. */
    if (v->task == NULL || v->kind == SH_KIND_DEAL)
        return NULL;
    return v->task->traits_.name != NULL ? v->task->traits_.name : v->task->fn_;
}

bool sh_view_take(struct sh_pool *pool, uint32_t index, struct sh_view *out)
{
    struct sh_record *r = sh_record_at(pool, index);
    uint64_t w = sh_load_acq(&r->state); /* acquire: accepted */

    if (!sh_is_live(w))
        return false;
    *out = (struct sh_view){
        .pool = pool,
        .index = index,
        .word = w,
        .kind = sh_load_acq(&r->kind),        /* acquire: accepted */
        .task = sh_load_bare_rlx(&r->task),   /* relaxed: see below */
        .where = sh_load_bare_rlx(&r->where), /* relaxed: see below */
        .made_ms = sh_load_rlx(&r->link),     /* relaxed: a figure */
    };
    /* If it is of that use still, so is what was read. acquire: accepted */
    w = sh_load_acq(&r->state);
    return sh_generation_of(w) == sh_generation_of(out->word);
}

bool sh_view_has_age(const struct sh_view *v)
{
    switch (sh_phase_of(v->word)) {
    case SH_PROMISE:
    case SH_WAIT:
    case SH_READY:
    case SH_PARKED:
        return true;
    default:
        return sh_working_on(v->pool, v->index, v->word);
    }
}

void sh_view_put_kind(struct sh_text *t, const struct sh_view *v)
{
    const char *task = task_of(v);

    sh_text_put(t, "%s%s%s", name_of(v)->what, task != NULL ? " " : "", task);
}

void sh_view_put_name(struct sh_text *t, const struct sh_view *v,
                      const struct sh_pool *here)
{
    const char *task = task_of(v);

    sh_text_put(t, "#%u", v->index);
    if (v->pool != here)
        sh_text_put(t, "@%u", v->pool->id);
    sh_text_put(t, " %s", task != NULL ? task : name_of(v)->what);
}

void sh_view_put_where(struct sh_text *t, const struct sh_view *v,
                       const char *behind)
{
    if (v->where != NULL && v->where[0] != '\0')
        sh_text_put(t, "%s%s at %s", behind, name_of(v)->made, v->where);
}
