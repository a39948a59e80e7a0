/* SPDX-License-Identifier: MIT */
/*
 * shunt/compose.c - a chain of then, and two tasks that send each other
 * messages.
 *
 * Only the last future of the chain is held. A message is the value of a
 * promise, and carries the promise by which it is to be answered; so each
 * message makes one, settles it, and parks a task.
 */
#include "shunt/cases.h"

static shunt_promise *first;
static shunt_future *last;

int bench_chain_build(shunt_pool *pool, size_t n)
{
    if (shunt_promise_new(pool, uint64_t, &first, &last) != 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        last = shunt_then(last, bench_add_one);
    return 0;
}

int bench_chain_run(uint64_t *out)
{
    uint64_t zero = 0;
    int rc = shunt_promise_give(first, &zero);

    return shunt_take(last, out) == 0 ? rc : -1;
}

struct message {
    uint64_t number;
    shunt_promise *answer; /* NULL: none is wanted */
};

struct player {
    shunt_promise *to; /* of whoever begins */
    shunt_future *from;
    uint64_t n;
};

static int ping(const struct player *in, uint64_t *out)
{
    struct message m = { 0, in->to };

    for (uint64_t i = 0; i < in->n; i++) {
        shunt_promise *to = m.answer;
        shunt_future *answer;
        int rc = shunt_promise_new(NULL, struct message, &m.answer, &answer);

        if (rc == 0) {
            m.number++;
            rc = shunt_promise_give(to, &m);
        }
        if (rc == 0)
            rc = shunt_take(answer, &m);
        if (rc != 0)
            return rc;
    }
    *out = m.number;
    return 0;
}
SHUNT_TASK(ping, struct player, uint64_t)

static int pong(const struct player *in, uint64_t *out)
{
    shunt_future *from = in->from;
    struct message m = { 0, NULL };

    for (uint64_t i = 0; i < in->n; i++) {
        int rc = shunt_take(from, &m);
        shunt_promise *to = m.answer;

        m.number++;
        m.answer = NULL;
        if (rc == 0 && i + 1 < in->n)
            rc = shunt_promise_new(NULL, struct message, &m.answer, &from);
        if (rc == 0)
            rc = shunt_promise_give(to, &m);
        if (rc != 0)
            return rc;
    }
    *out = m.number;
    return 0;
}
SHUNT_TASK(pong, struct player, uint64_t)

int bench_pingpong(shunt_pool *pool, uint64_t n, uint64_t *out)
{
    struct player begins = { .n = n }, answers = { .n = n };
    uint64_t other = 0;

    if (shunt_promise_new(pool, struct message, &begins.to, &answers.from) != 0)
        return -1;
    shunt_future *a = shunt_submit(pool, ping, &begins);
    int rc = shunt_take(shunt_submit(pool, pong, &answers), &other);
    return shunt_take(a, out) == 0 && *out == other ? rc : -1;
}
