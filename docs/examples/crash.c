/* SPDX-License-Identifier: MIT */
/* crash.c - one task of three crashes: docs/isolation.md. */
#include <shunt/shunt.h>
#include <stdio.h>

struct page {
    const char *html;
};

static int first_letter(const struct page *in, char *out)
{
    *out = in->html[0];
    return 0;
}
SHUNT_TASK(first_letter, struct page, char)

int main(void)
{
    static const struct page pages[] = { { "a" }, { NULL }, { "c" } };
    shunt_future *fs[3];
    shunt_pool *pool;
    char letter;

    if (shunt_pool_new(&pool, &(shunt_options){ .mode = SHUNT_PROCESSES }) != 0)
        return 1;
    for (int i = 0; i < 3; i++)
        fs[i] = shunt_submit(pool, first_letter, &pages[i]);
    for (int i = 0; i < 3; i++) {
        if (shunt_take(fs[i], &letter) == 0)
            printf("%c\n", letter);
        else
            printf("%s; submitted at %s\n", shunt_last_error()->message,
                   shunt_last_error()->where);
    }
    return shunt_pool_free(pool);
}
