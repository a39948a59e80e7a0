/* SPDX-License-Identifier: MIT */
/* task/trace.c - backtraces put into words: see trace.h. */
#include "task/trace.h"

#include <stdlib.h>
#include <string.h>

#include "task/error.h"

/* Of this process; a fork has it too. */
static _Atomic(sh_teller *) teller_here;

void sh_trace_tell_by(sh_teller *teller)
{
    sh_store_rlx(&teller_here, teller); /* relaxed: code, there all the time */
}

const char *sh_backtrace_of(const shunt_error *e)
{
    return sh_load_bare_acq(&e->backtrace); /* acquire: told */
}

static const struct sh_untold *untold_of(const shunt_error *e)
{
    return sh_untold_in(e, sh_backtrace_of(e));
}

static char *words_of(const struct sh_untold *untold)
{
    sh_teller *teller = sh_load_rlx(&teller_here); /* relaxed: as above */

    return teller == NULL ? NULL : teller(untold);
}

/* The backtrace of e is `words` from now on, unless somebody was first; then it
 * is not written to at all, since users read it as it is. */
static void set(const shunt_error *e, const struct sh_untold *untold,
                const char *words)
{
    const char **member = (const char **)(uintptr_t)&e->backtrace;
    const char *before = untold->empty;

    if (sh_backtrace_of(e) == before)
        (void)sh_cas_bare_acqrel(member, &before, words); /* acq_rel: told */
}

/* A block of the words; NULL if there is no memory. */
static struct sh_block *block_of_words(struct sh_heap *heap,
                                       const struct sh_untold *untold)
{
    char *words = words_of(untold);
    size_t bytes = words == NULL ? 0 : strlen(words) + 1;
    struct sh_block *b =
        bytes == 0 ? NULL : sh_block_new(heap, bytes, SH_BLOCK_VALUE);

    if (b != NULL)
        memcpy(sh_block_bytes(b), words, bytes);
    free(words);
    return b;
}

static void tell_one(const shunt_error *e, struct sh_block *b)
{
    const struct sh_untold *untold = untold_of(e);
    struct sh_block *none = NULL, *words;

    if (untold == NULL)
        return;
    words = sh_load_acq(&b->told); /* acquire: told */
    if (words == NULL) {
        words = block_of_words(b->heap, untold);
        /* What was lent must not change: it has no backtrace. */
        if (words == NULL) {
            set(e, untold, "");
            return;
        }
        if (!sh_cas_acqrel(&b->told, &none, words)) { /* acq_rel: told */
            sh_block_free(words);
            words = none;
        }
    }
    set(e, untold, sh_block_bytes(words));
}

const shunt_error *sh_error_tell(const shunt_error *e)
{
    struct sh_block *b;

    if (sh_error_is_constant(e))
        return e;
    b = sh_error_block(e);
    if (SH_LIKELY(!b->traced))
        return e;
    tell_one(e, b);
    /* Memory of the host is none of a worker's. */
    if (b->far_causes && sh_self()->served != NULL)
        return e;
    for (size_t i = 0; i < e->cause_count; i++)
        (void)sh_error_tell(e->causes[i]);
    return e;
}

static void tell_copy(const shunt_error *e)
{
    const struct sh_untold *untold = untold_of(e);
    char *words;

    if (untold == NULL)
        return;
    words = words_of(untold);
    set(e, untold, words != NULL ? words : "");
}

void sh_copy_tell(shunt_error *copy)
{
    tell_copy(copy);
    for (size_t i = 0; i < copy->cause_count; i++)
        tell_copy(copy->causes[i]);
}
