/* SPDX-License-Identifier: MIT */
/*
 * run_client.h - submit_client.h with worker/run.c: a task runs for real.
 *
 * Its function is call_task, the client's; what it takes and gives is nothing.
 */
#ifndef SH_MODEL_RUN_CLIENT_H
#define SH_MODEL_RUN_CLIENT_H

#include <stdarg.h>
#include <stdio.h>

#include "submit_client.h"

/* The checker's stdio.h has neither; nobody calls them here. */
int vsnprintf(char *to, size_t size, const char *format, va_list arguments);
int snprintf(char *to, size_t size, const char *format, ...);

/* From worker/belongings.c: no task here has any. */
void sh_run_attach(struct sh_run *run)
{
    assert(run->blocks.first == NULL);
}

/* From worker/inside.c: no task here says why it fails. */
void sh_run_forget_text(struct sh_run *run)
{
    assert(run->text == NULL);
}

#define name_of name_of_type
#define memset(to, zero, size) ((void)(to)) /* the task gives nothing */
#include "../../runtime/worker/run.c"
#undef memset
#undef name_of

static int call_task(const void *in, const void *ctx, void *out);
static const shunt_task task = { .size_ = sizeof task,
                                 .call_ = call_task,
                                 .shape_ = SHUNT_SHAPE_IN_NONE_ };

/* Record i is READY, and has a deadline that has come when the timekeeper comes
 * by at 10. */
static inline void make_task(uint32_t i)
{
    struct sh_record *r = make_record(i, SH_READY, SH_KIND_TASK);

    r->task = &task;
    r->where = "here";
    sh_record_bind(r)->deadline_ns = 5;
    assert(sh_timer_set(&pool, sh_timer_of_deadline(i), GENERATION, 5));
}

#endif /* SH_MODEL_RUN_CLIENT_H */
