/* SPDX-License-Identifier: MIT */
/* primes.c - the service: see primes.h. */
#include "primes.h"

#include <stdio.h>

enum {
    BURST = 20,        /* requests that arrive together */
    AT_WORK_MAX = 256, /* requests that are accepted and not answered */
    BATCH = 64         /* answers at a time, so that the loop sees to others */
};

static int count_primes(const long *below, long *count_out)
{
    for (long n = 2; n < *below; n++) {
        long d = 2;

        while (d * d <= n && n % d != 0)
            d++;
        *count_out += d * d > n;
    }
    return 0;
}
SHUNT_TASK(count_primes, long, long)

int service_open(struct service *s, long expected)
{
    int rc;

    *s = (struct service){ .expected = expected };
    rc = shunt_pool_new(&s->pool, NULL);
    if (rc != 0)
        return rc;
    rc = shunt_queue_new(&s->queue);
    if (rc != 0)
        (void)shunt_pool_free(s->pool);
    return rc;
}

int service_fd(const struct service *s)
{
    return shunt_queue_fd(s->queue);
}

int service_accept(struct service *s)
{
    for (int i = 0; i < BURST && !service_is_closing(s) &&
                    s->accepted - s->answered < AT_WORK_MAX;
         i++) {
        long below = s->accepted % 1000;
        /* A submit that is refused gives a future that has failed: its error
         * comes with the other answers. */
        shunt_future *f = shunt_submit(s->pool, count_primes, &below);
        int rc = shunt_queue_add(s->queue, f, (void *)(intptr_t)s->accepted);

        if (rc != 0) { /* then f is still ours */
            (void)shunt_release(f);
            return rc;
        }
        s->accepted++;
    }
    return 0;
}

void service_answer(struct service *s)
{
    shunt_event events[BATCH];
    int n = shunt_queue_take(s->queue, events, BATCH);

    for (int i = 0; i < n; i++) {
        long primes;

        if (shunt_take(events[i].future, &primes) == 0) {
            s->primes += primes;
        } else {
            fprintf(stderr, "request %ld: %s\n", (long)(intptr_t)events[i].tag,
                    shunt_last_error()->message);
            s->failed++;
        }
        s->answered++;
    }
}

bool service_is_closing(const struct service *s)
{
    return s->accepted == s->expected;
}

bool service_is_done(const struct service *s)
{
    return service_is_closing(s) && s->answered == s->accepted;
}

int service_close(struct service *s)
{
    bool well = service_is_done(s) && s->failed == 0;

    (void)shunt_queue_free(s->queue); /* releases what is left in it */
    (void)shunt_pool_free(s->pool);   /* waits for what still runs */
    printf("%ld requests answered, %ld primes\n", s->answered, s->primes);
    return well ? 0 : -1;
}
