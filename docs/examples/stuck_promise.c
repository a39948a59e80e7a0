/* SPDX-License-Identifier: MIT */
/* stuck_promise.c - a promise that nobody keeps: docs/diagnose.md. */
#include <shunt/shunt.h>
#include <signal.h>
#include <unistd.h>

/* In a program of your own: SIGUSR1, and kill -USR1 when it is stuck. */
static void tell(int number)
{
    (void)number;
    (void)shunt_dump(NULL, STDOUT_FILENO);
}

struct answer {
    int status;
    char body[100];
};

/* What some library calls when a request is over. */
static void on_answer(shunt_promise *promise, const struct answer *answer)
{
    if (answer->status == 200)
        (void)shunt_promise_give(promise, answer);
    /* And if not? */
}

static int count_bytes(const struct answer *in, size_t *out)
{
    while (in->body[*out] != '\0')
        ++*out;
    return 0;
}
SHUNT_TASK(count_bytes, struct answer, size_t)

int main(void)
{
    shunt_promise *promise;
    shunt_future *answer, *bytes;
    shunt_pool *pool;

    (void)signal(SIGALRM, tell);
    if (shunt_pool_new(&pool, &(shunt_options){ .workers = 1 }) != 0 ||
        shunt_promise_new(pool, struct answer, &promise, &answer) != 0)
        return 1;
    bytes = shunt_then(answer, count_bytes);
    on_answer(promise, &(struct answer){ .status = 404 });
    (void)alarm(1);
    return shunt_await_for(bytes, SHUNT_MS(1500)) == SHUNT_PENDING ? 0 : 1;
}
