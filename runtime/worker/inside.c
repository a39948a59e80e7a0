/* SPDX-License-Identifier: MIT */
/*
 * worker/inside.c - what a task may say and ask of itself while it runs.
 *
 * Edges.
 *   claim    worker/run.c
 *   noted    future/ledger.c
 */
#include <stdarg.h>
#include <stdio.h>

#include "future/timer.h"
#include "future/value.h"
#include "worker/worker.h"

void sh_run_forget_text(struct sh_run *run)
{
    char *text = run->text;

    if (text == NULL)
        return;
    sh_store_bare_rel(&run->text, NULL); /* release: noted */
    sh_heap_put(&run->pool->heap, text, run->text_bytes);
}

int shunt_fail(int code, const char *fmt, ...)
{
    struct sh_run *run = sh_here.run;
    va_list args;
    int length;

    if (run == NULL || fmt == NULL)
        return code;
    /* It is this failure now. */
    sh_give_now(run->fail_as);
    run->fail_as = 0;
    sh_run_forget_text(run);
    va_start(args, fmt);
    length = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (length < 0)
        return code;
    run->text_bytes = (size_t)length + 1;
    run->text = sh_heap_scratch(&run->pool->heap, run->text_bytes);
    if (run->text != NULL) {
        va_start(args, fmt);
        (void)vsnprintf(run->text, run->text_bytes, fmt, args);
        va_end(args);
    }
    return code;
}

int shunt_fail_as(shunt_future *f)
{
    struct sh_run *run = sh_here.run;
    struct sh_ref ref;
    uint64_t lent;
    int status = shunt_status(f);

    if (run == NULL || status == 0 || status == SHUNT_PENDING ||
        sh_handle_find(sh_handle_of(f), SH_LOOK, &ref) != 0)
        return status;
    lent = ref.record == NULL ? ref.handle : sh_handle_alias_lent(&ref);
    if (lent == 0)
        return status;
    sh_give_now(run->fail_as);
    run->fail_as = lent;
    run->fail_code = status;
    return status;
}

bool shunt_cancelled(void)
{
    const struct sh_run *run = sh_here.run;

    return run != NULL && sh_run_asked(run) != 0;
}

int shunt_commit(void)
{
    struct sh_run *run = sh_here.run, *whole;
    uint64_t w;

    if (run == NULL)
        return sh_no_task();
    whole = sh_run_of_task(run);
    w = sh_load_acq(&whole->record->state); /* acquire: claim */
    do {
        if ((w & (SH_CANCEL | SH_BUSY)) != 0)
            return SHUNT_ECANCELED;
        /* acq_rel: claim. Whoever cancels changes the same word. */
    } while (!sh_cas_acqrel(&whole->record->state, &w, w | SH_COMMITTED));
    /* Nor is it that of what it submits. */
    for (; run != NULL; run = run->outer)
        sh_store_bare_rlx(&run->deadline_ns, INT64_MAX); /* relaxed: whoever
                                                          * reads it late has
                                                          * asked before */
    return 0;
}

int64_t shunt_time_left_ns(void)
{
    struct sh_run *run = sh_here.run;
    int64_t now_ns, deadline_ns;

    if (run == NULL)
        return SHUNT_FOREVER;
    deadline_ns = sh_load_bare_rlx(&run->deadline_ns); /* relaxed: as above */
    if (deadline_ns == INT64_MAX)
        return SHUNT_FOREVER;
    now_ns = sh_pool_now(run->pool);
    return now_ns < deadline_ns ? deadline_ns - now_ns : 0;
}

shunt_pool *shunt_pool_current(void)
{
    return sh_here.run != NULL ? sh_here.run->pool->name : NULL;
}
