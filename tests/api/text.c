/* SPDX-License-Identifier: MIT */
/* text.c - makes and measures texts: text.h. */
#include "text.h"

#include <string.h>

const struct order large_order = { BLOCK, 0 };

int text_rounds(void)
{
    return harness_slowness() > 1 ? 100 : 200;
}

shunt_pool *limited_pool(void)
{
    shunt_pool *pool = NULL;

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = 1, .arena_bytes = ARENA }));
    return pool;
}

int make_text(const struct order *in, struct text *out)
{
    out->length = in->length;
    out->chars = shunt_alloc(in->length);
    if (out->chars == NULL)
        return shunt_fail(1, "no memory for %zu", in->length);
    memset(out->chars, 'a', in->length);
    return in->rc;
}
SHUNT_TASK_DEFINE(make_text)

int measure(const struct text *in, long *out)
{
    /* At once, as a rule: byte by byte it takes long under a sanitizer. */
    if (in->length > 0 && in->chars[0] == 'a' &&
        memcmp(in->chars, in->chars + 1, in->length - 1) == 0) {
        *out += (long)in->length;
        return 0;
    }
    for (size_t i = 0; i < in->length; i++)
        *out += in->chars[i] == 'a';
    return 0;
}
SHUNT_TASK_DEFINE(measure)
