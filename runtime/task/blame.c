/* SPDX-License-Identifier: MIT */
/*
 * task/blame.c - see blame.h.
 *
 * Edges.
 *   broken   blame.h
 */
#include "task/blame.h"

#include <stdarg.h>
#include <stdio.h>

/* The word: nobody; a text; or worker 31 | what .init returned 32. */
#define NOBODY 0u
#define TEXT 1u
#define INIT ((uint64_t)1 << 63)

static void blame(struct sh_pool *pool, uint64_t word)
{
    uint64_t nobody = NOBODY;

    (void)sh_cas_acqrel(&pool->blame, &nobody, word); /* release: broken */
    sh_store_rel(&pool->broken, 1);                   /* release: broken */
}

void sh_blame_init(struct sh_pool *pool, unsigned worker, int returned)
{
    blame(pool, INIT | (uint64_t)worker << 32 | (uint32_t)returned);
}

void sh_blame_tell(struct sh_pool *pool, const char *format, ...)
{
    va_list more;

    /* Whoever was first is believed, and what he has said is read. */
    if (sh_load_acq(&pool->blame) == NOBODY) { /* acquire: broken */
        va_start(more, format);
        (void)vsnprintf(pool->blamed, sizeof pool->blamed, format, more);
        va_end(more);
    }
    blame(pool, TEXT);
}

bool sh_blame_find(struct sh_pool *pool, struct sh_blame *b)
{
    uint64_t word = sh_load_acq(&pool->blame); /* acquire: broken */

    if (word == NOBODY)
        return false;
    *b = (struct sh_blame){ .text = word == TEXT ? pool->blamed : NULL,
                            .worker = (unsigned)(word >> 32) & 0x7fffffffu,
                            .returned = (int)(uint32_t)word };
    return true;
}

const char *sh_blame_put(struct sh_pool *pool, char *to)
{
    struct sh_blame b;

    if (!sh_blame_find(pool, &b))
        return NULL;
    if (b.text != NULL)
        (void)snprintf(to, SH_BLAME_BYTES, "the pool is broken: %s", b.text);
    else
        (void)snprintf(to, SH_BLAME_BYTES,
                       "the pool is broken: .init returned %d in worker %u",
                       b.returned, b.worker);
    return to;
}
