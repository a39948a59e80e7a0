/* SPDX-License-Identifier: MIT */
/*
 * shunt/promises.c - many pending futures, for benchmarks that need them.
 */
#include <stdlib.h>

#include "measure.h"
#include "shunt/cases.h"

int bench_promises_init(struct bench_promises *set, size_t n)
{
    set->promises = bench_pages_new(n * sizeof(shunt_promise *));
    set->futures = bench_pages_new(n * sizeof(shunt_future *));
    set->count = 0;
    return set->promises != NULL && set->futures != NULL ? 0 : -1;
}

int bench_promises_make(struct bench_promises *set, shunt_pool *pool, size_t n)
{
    for (set->count = 0; set->count < n; set->count++)
        if (shunt_promise_new(pool, uint64_t, &set->promises[set->count],
                              &set->futures[set->count]) != 0)
            return -1;
    return 0;
}

int bench_promises_give(struct bench_promises *set)
{
    int rc = 0;

    for (size_t i = 0; i < set->count; i++) {
        uint64_t value = i;
        rc |= shunt_promise_give(set->promises[i], &value);
    }
    return rc == 0 ? 0 : -1;
}

int bench_promises_release(struct bench_promises *set)
{
    int rc = 0;

    for (size_t i = 0; i < set->count; i++)
        rc |= shunt_release(set->futures[i]);
    return rc == 0 ? 0 : -1;
}

void bench_promises_fini(struct bench_promises *set)
{
    free(set->promises);
    free(set->futures);
    *set = (struct bench_promises){ 0 };
}
