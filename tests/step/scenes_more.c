/* SPDX-License-Identifier: MIT */
/*
 * step/scenes_more.c - what workers do while they are stepped: scopes, time,
 * retries, memory, and tasks that run again.
 */
#include <string.h>

#include "tasks.h"

/* -- scopes -- */

static shunt_future *send_in(shunt_scope *scope, int id, long value)
{
    shunt_future *f =
        shunt_scope_submit(scope, leaf, &(struct deed){ id, value });

    now_sent(id);
    return f;
}

static int scope_does(long *out)
{
    shunt_scope *scope;
    int rc = shunt_scope_open(&scope, NULL, NULL);

    if (rc != 0)
        return rc;
    (void)send_in(scope, 1, 1);
    (void)send_in(scope, 2, 2);
    rc = shunt_scope_close(scope, NULL);
    now_at(0);
    *out = 60;
    return rc;
}
DO(scope)

static int scope_fails_does(long *out)
{
    shunt_scope *scope;
    shunt_results all;
    int rc = shunt_scope_open(&scope, NULL, NULL);

    if (rc != 0)
        return rc;
    (void)send_in(scope, 1, 1);
    (void)shunt_scope_submit(scope, failing, &(struct deed){ 2, 7 });
    (void)send_in(scope, 3, 3);
    rc = shunt_scope_close(scope, &all);
    now_at(0);
    *out = 60;
    if (rc != SHUNT_EFAILED || all.count != 3)
        return UNEXPECTED;
    return shunt_results_release(&all);
}
DO(scope_fails)

/* The task ends with it open. */
static int scope_left_does(long *out)
{
    shunt_scope *scope;
    int rc = shunt_scope_open(&scope, NULL, NULL);

    if (rc != 0)
        return rc;
    (void)send_in(scope, 1, 1);
    (void)shunt_release(send_in(scope, 2, 2));
    *out = 60;
    return 0;
}
DO(scope_left)

/* -- time -- */

static bool pass_time(struct play *p, unsigned n)
{
    if (n < 2 && shunt_pool_advance(p->name, SHUNT_MS(1)) != 0)
        wrong("time does not pass");
    return n < 2;
}

/* A retry pauses twice, up to 1 and 2 ms; once more for a turn that is done
 * again. */
static bool pass_pauses(struct play *p, unsigned n)
{
    if (n < 6 && shunt_pool_advance(p->name, SHUNT_MS(1)) != 0)
        wrong("time does not pass");
    return n < 6;
}

static int delay_does(long *out)
{
    int rc = shunt_join(shunt_delay(NULL, SHUNT_MS(1)));

    now_at(0);
    *out = 60;
    return rc;
}
DO(delay)

static int delay_dropped_does(long *out)
{
    *out = 60;
    return shunt_release(shunt_delay(NULL, SHUNT_MS(1)));
}
DO(delay_dropped)

static int timeout_does(long *out)
{
    shunt_promise *promise;
    shunt_future *f;
    int rc = shunt_promise_new(NULL, long, &promise, &f);

    if (rc != 0)
        return rc;
    rc = shunt_join(shunt_timeout(f, SHUNT_MS(1)));
    now_at(0);
    *out = 60;
    return rc == SHUNT_ETIMEDOUT ? shunt_promise_drop(promise) : UNEXPECTED;
}
DO(timeout)

static int wait_runs_out_does(long *out)
{
    shunt_promise *promise;
    shunt_future *f;
    int rc = shunt_promise_new(NULL, long, &promise, &f);

    if (rc != 0)
        return rc;
    rc = shunt_await_for(f, SHUNT_MS(1));
    now_at(0);
    *out = 60;
    return rc == SHUNT_PENDING ? 0 : UNEXPECTED;
}
DO(wait_runs_out)

static int deadline_does(long *out)
{
    shunt_future *f = shunt_submit_with(NULL, leaf, (&(struct deed){ 1, 60 }),
                                        .deadline_ns = SHUNT_S(1000));
    int rc;

    now_sent(1);
    rc = shunt_take(f, out);
    now_at(0);
    return rc;
}
DO(deadline)

/* -- trying again -- */

static int flaky(const struct deed *in, long *out)
{
    *out = in->value;
    if (atomic_fetch_add(&board->values[in->id], 1) == 0)
        return shunt_fail(5, "not yet");
    now_begins(in->id);
    now_ends(in->id);
    return 0;
}
SHUNT_TASK(flaky, struct deed, long)

static int retry_does(long *out)
{
    int rc = shunt_take(shunt_retry(NULL, flaky, (&(struct deed){ 1, 60 }),
                                    .attempts = 3, .first_ns = -1),
                        out);

    now_at(0);
    return rc;
}
DO(retry)

static int retry_pause_does(long *out)
{
    int rc = shunt_take(shunt_retry(NULL, flaky, (&(struct deed){ 1, 60 }),
                                    .attempts = 3, .first_ns = SHUNT_MS(1)),
                        out);

    now_at(0);
    return rc;
}
DO(retry_pause)

static int never(const struct deed *in, long *out)
{
    (void)out;
    atomic_fetch_add(&board->values[in->id], 1);
    return shunt_fail(5, "never");
}
SHUNT_TASK(never, struct deed, long)

/* 60, if a retry of three attempts tells of each of them once, and none is one
 * too many. Those that were killed say that. */
static int told(const shunt_error *in, const struct more *ctx, long *out)
{
    now_begins(ctx->id);
    *out = atomic_load(&board->values[0]) <= 3 && in->attempts == 3 &&
                   in->cause_count == 3 &&
                   (in->code == SHUNT_ECRASHED || in->task_code == 5)
               ? 60
               : in->attempts * 100 + (long)in->cause_count;
    for (size_t i = 0; i < in->cause_count; i++)
        if (in->causes[i]->attempts != i + 1 ||
            (in->causes[i]->code != SHUNT_ECRASHED &&
             in->causes[i]->task_code != 5))
            *out = -(long)i;
    now_ends(ctx->id);
    return 0;
}
SHUNT_STEP(told, shunt_error, struct more, long)

static void retry_fails_begins(struct play *p)
{
    shunt_future *f =
        shunt_retry(p->name, never, (&(struct deed){ 0, 60 }), .attempts = 3,
                    .first_ns = -1);

    expect(p, shunt_recover_with(f, told, &(struct more){ 1 }), 60, BIT(1));
}

static int again(const shunt_none *in, long *out)
{
    int rc;

    (void)in;
    now_begins(0);
    rc = shunt_take(send(1, 60), out);
    now_at(0);
    now_ends(0);
    return rc;
}
SHUNT_TASK(again, shunt_none, long, .idempotent = true, .retries = 1)

static void again_begins(struct play *p)
{
    now_sent(0);
    expect(p, shunt_submit(p->name, again, NULL), 60, BIT(0) | BIT(1))->immune =
        true;
}

/* -- memory -- */

static int memory_does(long *out)
{
    char *mine = shunt_alloc(100), *more = shunt_alloc(5000);
    char *given = shunt_alloc(300);
    shunt_future *f;
    int rc;

    if (mine == NULL || more == NULL || given == NULL)
        return UNEXPECTED;
    memset(more, 1, 5000);
    f = send(1, 60);
    if (shunt_free(mine) != 0)
        return UNEXPECTED;
    /* It may have settled on another worker, but not been released. */
    if (shunt_adopt(f, given) != 0)
        return UNEXPECTED;
    rc = shunt_take(f, out);
    now_at(0);
    return rc;
}
DO(memory)

struct text {
    char *bytes;
    long filler[12]; /* too large for the record */
};

static int produce(const struct deed *in, struct text *out)
{
    now_begins(in->id);
    out->bytes = shunt_alloc(2000);
    if (out->bytes == NULL)
        return UNEXPECTED;
    memset(out->bytes, (int)in->value, 2000);
    out->filler[11] = in->value;
    now_ends(in->id);
    return 0;
}
SHUNT_TASK(produce, struct deed, struct text)

static int value_does(long *out)
{
    shunt_future *f = shunt_submit(NULL, produce, &(struct deed){ 1, 60 });
    struct text text;
    int rc;

    now_sent(1);
    rc = shunt_take(f, &text);
    now_at(0);
    if (rc != 0)
        return rc;
    *out = text.bytes[1999] == 60 && text.filler[11] == 60 ? 60 : -1;
    return 0;
}
DO(value)

/* -- giving up -- */

static int heeding(const shunt_none *in, const struct more *ctx,
                   shunt_none *out)
{
    (void)in;
    (void)out;
    now_begins(ctx->id);
    now_ends(ctx->id);
    return 0;
}
SHUNT_STEP(heeding, shunt_none, struct more, shunt_none)

static int heed_does(long *out)
{
    shunt_future *f = shunt_cancel_future();

    *out = 60;
    f = shunt_then_with(f, heeding, &(struct more){ 1 });
    return shunt_release(f) != 0 ? UNEXPECTED : shunt_commit();
}
DO(heed)

/* The host cancels a task that waits for its promise. */
static void cancelled_begins(struct play *p)
{
    shunt_future *f = promise_of_host(p);

    now_sent(0);
    expect(p, shunt_submit(p->name, waiting, &f), 60, BIT(0))->also =
        SHUNT_ECANCELED;
    expect(p, f, 60, 0)->also = SHUNT_ECANCELED;
}

static bool give_up(struct play *p, unsigned n)
{
    if (n == 0)
        (void)shunt_cancel(p->roots[0].future);
    if (n == 1 && shunt_promise_drop(p->promise) != 0)
        wrong("the promise cannot be dropped");
    return n < 2;
}

static int settled_does(long *out)
{
    shunt_future *fs[] = { send(1, 10), shunt_submit(NULL, failing,
                                                     &(struct deed){ 2, 7 }) };
    int rc = shunt_join(shunt_when_all_settled(fs, 2));

    now_at(0);
    *out = 60;
    return rc;
}
DO(settled)

const struct scene scenes_of_memory[] = {
    { "scope", scope_begins, NULL, 0x6, 0 },
    { "scope_fails", scope_fails_begins, NULL, 0xa, 0 },
    { "scope_left", scope_left_begins, NULL, 0x6, 0 },
    { "delay", delay_begins, pass_time, 0, 0 },
    { "delay_dropped", delay_dropped_begins, pass_time, 0, 0 },
    { "timeout", timeout_begins, pass_time, 0, 0 },
    { "wait_runs_out", wait_runs_out_begins, pass_time, 0, 0 },
    { "deadline", deadline_begins, NULL, 0, 0 },
    { "retry", retry_begins, NULL, 0, 0x2 },
    { "retry_pause", retry_pause_begins, pass_pauses, 0, 0x2 },
    { "retry_fails", retry_fails_begins, NULL, 0, 0 },
    { "again", again_begins, NULL, 0x2, 0x3 },
    { "memory", memory_begins, NULL, 0, 0 },
    { "value", value_begins, NULL, 0, 0 },
    { "heed", heed_begins, NULL, 0, 0 },
    { "cancelled", cancelled_begins, give_up, 0, 0 },
    { "settled", settled_begins, NULL, 0, 0 },
    { NULL, NULL, NULL, 0, 0 },
};
