/* SPDX-License-Identifier: MIT */
/*
 * plugin.c - a shared object that uses shunt and is loaded at run time by a
 * program that may know nothing of it (host.c).
 */
#include <shunt/shunt.h>

#include <string.h>

/* Returns 0 if shunt works. */
SHUNT_API int plugin_run(void);

struct text {
    char *bytes;
};

/* Allocates, so that the allocator is tried on a worker's thread. */
static int repeat(const int *in, struct text *out)
{
    size_t n = (size_t)*in * 1000;

    out->bytes = shunt_alloc(n);
    if (out->bytes == NULL)
        return 1;
    memset(out->bytes, 'a' + *in, n);
    return 0;
}
SHUNT_TASK(repeat, int, struct text)

int plugin_run(void)
{
    enum {
        TASKS = 50
    };
    shunt_future *futures[TASKS];
    shunt_pool *pool = NULL;
    int failures = 0;

    if (shunt_pool_new(&pool, &(shunt_options){ .workers = 2 }) != 0)
        return -1;
    for (int i = 0; i < TASKS; i++)
        futures[i] = shunt_submit(pool, repeat, &(int){ i % 25 });
    for (int i = 0; i < TASKS; i++) {
        struct text text = { NULL };

        if (shunt_take(futures[i], &text) != 0 ||
            (i % 25 > 0 && text.bytes[0] != 'a' + i % 25) ||
            shunt_free(text.bytes) != 0)
            failures++;
    }
    if (shunt_pool_free(pool) != 0)
        failures++;
    return failures;
}
