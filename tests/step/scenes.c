/* SPDX-License-Identifier: MIT */
/*
 * step/scenes.c - what workers do while they are stepped: submitting, waiting,
 * steps, combinators, promises, handles, cancels and failures.
 */
#include "tasks.h"

/* What an error says, as a value. */
static int mend(const shunt_error *in, const struct more *ctx, long *out)
{
    now_begins(ctx->id);
    *out = in->task_code;
    now_ends(ctx->id);
    return 0;
}
SHUNT_STEP(mend, shunt_error, struct more, long)

static int look_on(const shunt_outcome *in, const struct more *ctx,
                   shunt_none *out)
{
    (void)in;
    (void)out;
    now_begins(ctx->id);
    now_ends(ctx->id);
    return 0;
}
SHUNT_STEP(look_on, shunt_outcome, struct more, shunt_none)

static int sum(const shunt_results *in, const struct more *ctx, long *out)
{
    now_begins(ctx->id);
    *out = 0;
    for (size_t i = 0; i < in->count; i++) {
        const long *value = shunt_peek(in->futures[i], long);

        if (value == NULL)
            return UNEXPECTED;
        *out += *value;
    }
    now_ends(ctx->id);
    return 0;
}
SHUNT_STEP(sum, shunt_results, struct more, long)

static int winner(const shunt_winner *in, const struct more *ctx, long *out)
{
    const long *value = shunt_peek(in->future, long);

    now_begins(ctx->id);
    if (value == NULL)
        return UNEXPECTED;
    *out = 60;
    now_ends(ctx->id);
    return 0;
}
SHUNT_STEP(winner, shunt_winner, struct more, long)

static shunt_future *from_host(struct play *p, int id, long value)
{
    shunt_future *f = shunt_submit(p->name, leaf, &(struct deed){ id, value });

    now_sent(id);
    return f;
}

/* -- submitting -- */

static int nothing_does(long *out)
{
    *out = 60;
    return 0;
}
DO(nothing)

static int submit_does(long *out)
{
    *out = 60;
    return shunt_release(send(1, 1));
}
DO(submit)

static int hold_does(long *out)
{
    *out = send(1, 1) != NULL ? 60 : 0; /* not given back */
    return 0;
}
DO(hold)

static int await_does(long *out)
{
    int rc = shunt_take(send(1, 60), out);

    now_at(0);
    return rc;
}
DO(await)

static int then_does(long *out)
{
    shunt_future *f =
        shunt_then_with(send(1, 58), add_one, &(struct more){ 2 });
    int rc;

    f = shunt_then_with(f, add_one, &(struct more){ 3 });
    rc = shunt_take(f, out);
    now_at(0);
    return rc;
}
DO(then)

/* What they wait for has settled before. */
static int late_does(long *out)
{
    shunt_future *f = send(1, 59), *g;
    int rc = shunt_await(f);

    now_at(0);
    if (rc != 0)
        return rc;
    g = shunt_then_with(f, add_one, &(struct more){ 2 });
    now_sent(2);
    rc = shunt_take(g, out);
    now_at(0);
    return rc;
}
DO(late)

/* The host has made a chain. */
static void chain_begins(struct play *p)
{
    shunt_future *f = from_host(p, 0, 57);

    f = shunt_then_with(f, add_one, &(struct more){ 1 });
    f = shunt_then_with(f, add_one, &(struct more){ 2 });
    f = shunt_then_with(f, add_one, &(struct more){ 3 });
    expect(p, f, 60, 0xf);
}

static int recover_does(long *out)
{
    shunt_future *f = shunt_submit(NULL, failing, &(struct deed){ 1, 60 });
    int rc;

    f = shunt_finally_with(f, look_on, &(struct more){ 2 });
    f = shunt_recover_with(f, mend, &(struct more){ 3 });
    rc = shunt_take(f, out);
    now_at(0);
    return rc;
}
DO(recover)

static int flat_body(const shunt_none *in, shunt_future **out)
{
    (void)in;
    now_begins(0);
    *out = send(1, 60);
    now_ends(0);
    return 0;
}
SHUNT_TASK(flat_body, shunt_none, shunt_future *)

static void flat_begins(struct play *p)
{
    now_sent(0);
    expect(p, shunt_submit(p->name, flat_body, NULL), 60, 0x3);
}

/* -- combinators -- */

static int all_does(long *out)
{
    shunt_future *fs[] = { send(1, 10), send(2, 20), send(3, 30) };
    int rc = shunt_take(
        shunt_then_with(shunt_when_all(fs, 3), sum, &(struct more){ 4 }), out);

    now_at(0);
    return rc;
}
DO(all)

static void all_of_host_begins(struct play *p)
{
    shunt_future *fs[] = { from_host(p, 0, 10), from_host(p, 1, 20),
                           from_host(p, 2, 30) };

    expect(p, shunt_then_with(shunt_when_all(fs, 3), sum, &(struct more){ 3 }),
           60, 0xf);
}

static int any_does(long *out)
{
    shunt_future *fs[] = { send(1, 10), send(2, 20), send(3, 30) };
    int rc = shunt_take(
        shunt_then_with(shunt_when_any(fs, 3), winner, &(struct more){ 4 }),
        out);

    now_at(0);
    return rc;
}
DO(any)

static int race_does(long *out)
{
    shunt_future *fs[] = { send(1, 10), send(2, 20) };
    int rc = shunt_take(
        shunt_then_with(shunt_race(fs, 2), winner, &(struct more){ 4 }), out);

    now_at(0);
    return rc;
}
DO(race)

static int some_does(long *out)
{
    shunt_future *fs[] = { send(1, 30), send(2, 30), send(3, 30) };
    int rc = shunt_take(
        shunt_then_with(shunt_when_some(fs, 3, 2), sum, &(struct more){ 4 }),
        out);

    now_at(0);
    return rc;
}
DO(some)

/* 60 successes, of three tasks: they stand in more than one word, and each is
 * needed. */
static void some_of_many_begins(struct play *p)
{
    shunt_future *fs[60];

    for (int i = 0; i < 60; i++)
        fs[i] = i < 3 ? from_host(p, i, 1) : shunt_retain(fs[i % 3]);
    expect(p,
           shunt_then_with(shunt_when_some(fs, 60, 60), sum,
                           &(struct more){ 3 }),
           60, 0xf);
}

/* The same, of which 40 fail. */
static void some_fail_begins(struct play *p)
{
    shunt_future *fs[60];

    fs[0] = from_host(p, 0, 1);
    for (int i = 1; i < 3; i++)
        fs[i] = shunt_submit(p->name, failing, &(struct deed){ i, 7 });
    for (int i = 3; i < 60; i++)
        fs[i] = shunt_retain(fs[i % 3]);
    expect(p, shunt_when_some(fs, 60, 45), 0, 0x7)->also = SHUNT_EFAILED;
}

static int map_does(long *out)
{
    const struct deed deeds[] = { { 1, 10 }, { 2, 20 }, { 3, 30 } };
    int rc = shunt_take(shunt_then_with(shunt_map(NULL, leaf, deeds, 3), sum,
                                        &(struct more){ 4 }),
                        out);

    now_at(0);
    return rc;
}
DO(map)

/* -- promises -- */

static int promise_does(long *out)
{
    shunt_promise *promise;
    shunt_future *f;
    int rc = shunt_promise_new(NULL, long, &promise, &f);

    if (rc == 0)
        rc = shunt_promise_give(promise, &(long){ 60 });
    return rc == 0 ? shunt_take(f, out) : rc;
}
DO(promise)

static int drop_does(long *out)
{
    shunt_promise *promise;
    shunt_future *f;

    *out = 60;
    if (shunt_promise_new(NULL, long, &promise, &f) != 0 ||
        shunt_promise_drop(promise) != 0)
        return UNEXPECTED;
    return shunt_join(f) == SHUNT_ECANCELED ? 0 : UNEXPECTED;
}
DO(drop)

/* It ends with a promise, on which a step waits. */
static int broken_does(long *out)
{
    shunt_promise *promise;
    shunt_future *f;

    *out = 60;
    if (shunt_promise_new(NULL, long, &promise, &f) != 0)
        return UNEXPECTED;
    return shunt_release(shunt_then_with(f, add_one, &(struct more){ 1 }));
}
DO(broken)

/* The task waits for what the host promises. */
static void promised_begins(struct play *p)
{
    shunt_future *f = promise_of_host(p);

    now_sent(0);
    expect(p, shunt_submit(p->name, waiting, &f), 60, BIT(0));
    expect(p, f, 60, 0)->immune = true;
}

static bool give(struct play *p, unsigned n)
{
    if (n == 0 && shunt_promise_give(p->promise, &(long){ 60 }) != 0)
        wrong("the promise cannot be given");
    return n == 0;
}

/* The task gives, or fails, what the host has promised in its place. What it has
 * not come to, the host drops. */
static int giving(shunt_promise *const *in, long *out)
{
    now_begins(0);
    *out = 60;
    (void)shunt_promise_give(*in, &(long){ 60 });
    now_ends(0);
    return 0;
}
SHUNT_TASK(giving, shunt_promise *, long)

static int refusing(shunt_promise *const *in, long *out)
{
    now_begins(0);
    *out = 60;
    (void)shunt_promise_fail(*in, 7, "task %d gives nothing", 0);
    now_ends(0);
    return 0;
}
SHUNT_TASK(refusing, shunt_promise *, long)

static struct root *promise_to_task(struct play *p)
{
    struct root *root = expect(p, promise_of_host(p), 60, 0);

    root->also = SHUNT_ECANCELED;
    now_sent(0);
    return root;
}

static void given_begins(struct play *p)
{
    (void)promise_to_task(p);
    expect(p, shunt_submit(p->name, giving, &p->promise), 60, BIT(0));
}

static void refused_begins(struct play *p)
{
    promise_to_task(p)->code = 7;
    expect(p, shunt_submit(p->name, refusing, &p->promise), 60, BIT(0));
}

static bool drop(struct play *p, unsigned n)
{
    if (n == 0)
        (void)shunt_promise_drop(p->promise);
    return n == 0;
}

/* -- handles -- */

static int handles_does(long *out)
{
    shunt_future *f = send(1, 60);
    shunt_future *g = shunt_retain(f), *h = shunt_retain(g);
    int rc;

    if (shunt_release(f) != 0 || h == NULL)
        return UNEXPECTED;
    rc = shunt_take(g, out);
    now_at(0);
    return rc; /* with h */
}
DO(handles)

static int many_does(long *out)
{
    shunt_future *f = send(1, 60);

    *out = 60;
    for (int i = 0; i < 8; i++)
        if (shunt_retain(f) == NULL)
            return UNEXPECTED;
    return 0;
}
DO(many)

/* So many come back that a chain of them goes to the others, and is taken
 * again. */
static int chains_does(long *out)
{
    shunt_future *f = send(1, 60), *fs[140];
    int rc;

    for (int n = 0; n < 2; n++) {
        for (int i = 0; i < 140; i++)
            fs[i] = shunt_retain(f);
        for (int i = 0; i < 140; i++)
            if (shunt_release(fs[i]) != 0)
                return UNEXPECTED;
    }
    rc = shunt_take(f, out);
    now_at(0);
    return rc;
}
DO(chains)

/* -- giving up -- */

static int cancel_does(long *out)
{
    shunt_future *f = send(1, 1);
    int rc;

    *out = 60;
    f = shunt_then_with(f, add_one, &(struct more){ 2 });
    (void)shunt_cancel(f);
    rc = shunt_join(f);
    now_at(0);
    return rc == SHUNT_ECANCELED ? 0 : UNEXPECTED;
}
DO(cancel)

static int fail_does(long *out)
{
    (void)out;
    return shunt_fail(9, "as it should");
}
DO(fail)

static void failed_begins(struct play *p)
{
    fail_begins(p);
    p->roots[0].also = SHUNT_EFAILED;
}

const struct scene scenes_of_futures[] = {
    { "nothing", nothing_begins, NULL, 0, 0 },
    { "submit", submit_begins, NULL, 0, 0 },
    { "hold", hold_begins, NULL, 0, 0 },
    { "await", await_begins, NULL, 0, 0 },
    { "then", then_begins, NULL, 0, 0 },
    { "late", late_begins, NULL, 0x4, 0 },
    { "chain", chain_begins, NULL, 0, 0 },
    { "recover", recover_begins, NULL, 0, 0 },
    { "flat", flat_begins, NULL, 0, 0 },
    { "all", all_begins, NULL, 0x1e, 0 },
    { "all_of_host", all_of_host_begins, NULL, 0xf, 0 },
    { "any", any_begins, NULL, 0xe, 0 },
    { "race", race_begins, NULL, 0x6, 0 },
    { "some", some_begins, NULL, 0xe, 0 },
    { "some_of_many", some_of_many_begins, NULL, 0xf, 0 },
    { "some_fail", some_fail_begins, NULL, 0x7, 0 },
    { "map", map_begins, NULL, 0x1e, 0 },
    { "promise", promise_begins, NULL, 0, 0 },
    { "drop", drop_begins, NULL, 0, 0 },
    { "broken", broken_begins, NULL, 0, 0 },
    { "given", given_begins, drop, 0, 0 },
    { "refused", refused_begins, drop, 0, 0 },
    { "promised", promised_begins, give, 0, 0 },
    { "handles", handles_begins, NULL, 0, 0 },
    { "many", many_begins, NULL, 0, 0 },
    { "chains", chains_begins, NULL, 0, 0 },
    { "cancel", cancel_begins, NULL, 0x2, 0 },
    { "fail", failed_begins, NULL, 0, 0 },
    { NULL, NULL, NULL, 0, 0 },
};
