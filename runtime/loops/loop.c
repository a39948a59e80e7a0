/* SPDX-License-Identifier: MIT */
/*
 * loops/loop.c - how the parts of a loop end together; see loop.h.
 *
 *     part   fails: the first one's code is the loop's, and what it said
 *            between two chunks: has one failed? was the task cancelled?
 *     task   waits for its parts as for any call that it has spawned, and
 *            returns that code
 *
 * Idea. A loop has one word that its parts write, once. What a part says of its
 * failure is kept in its run, and comes to the task by shunt_sync; so of those
 * that come second it is taken away at once. A run has no two bodies that fail:
 * between them it looks at the word.
 */
#include "loops/loop.h"

#include <stdio.h>
#include <string.h>

#include "future/submit.h"
#include "memory/known.h"
#include "shunt/compose.h"
#include "worker/worker.h"
#include "shunt/memory.h"

/* None that a function returns. */
#define STARVED INT64_MAX

bool sh_loop_goes_on(struct sh_loop *l)
{
    /* relaxed: a wish; the code is read again when all parts have ended */
    if (sh_load_rlx(&l->failed) != 0)
        return false;
    if (SH_LIKELY(!shunt_cancelled()))
        return true;
    sh_loop_fail(l, SHUNT_ECANCELED);
    return false;
}

void sh_loop_unsay(struct sh_run *run)
{
    sh_run_forget_text(run);
    if (run->fail_as != 0)
        sh_give_now(run->fail_as);
    run->fail_as = 0;
}

/* The first one wins. What another one said goes. */
static void fail(struct sh_loop *l, int64_t what)
{
    struct sh_run *run = sh_here.run;
    int64_t none = 0;

    SH_ASSERT(what != 0);
    /* relaxed: what goes with it comes by shunt_sync */
    if (!sh_cas_rlx(&l->failed, &none, what) && run != NULL)
        sh_loop_unsay(run);
}

void sh_loop_fail(struct sh_loop *l, int rc)
{
    SH_ASSERT(rc != 0);
    fail(l, rc);
}

void sh_loop_starve(struct sh_loop *l)
{
    fail(l, STARVED);
}

void sh_loop_check(struct sh_loop *l, const void *bytes, size_t size)
{
    struct sh_run *run = sh_here.run;
    shunt_promise *p;
    shunt_future *f;
    ptrdiff_t at;
    char text[160];

    if (SH_LIKELY(!run->pool->checks_pointers) || bytes == NULL)
        return;
    at = sh_pointers_check(run->pool, bytes, size, false);
    if (at < 0)
        return;
    snprintf(text, sizeof text,
             "%s is given, at offset %td, a pointer to private memory of the "
             "host: allocate it with shunt_alloc or shunt_pool_alloc",
             run->record->task->fn_, at);
    sh_loop_fail(l, SHUNT_EINVAL);
    if (shunt_promise_new(NULL, shunt_none, &p, &f) != 0)
        return;
    (void)shunt_promise_fail(p, SHUNT_EINVAL, "%s", text);
    (void)shunt_fail_as(f);
    (void)shunt_release(f);
}

int sh_loop_end(struct sh_loop *l)
{
    int64_t what =
        sh_load_rlx(&l->failed); /* relaxed: all parts have been synced */

    if (what != STARVED)
        return (int)what;
    return shunt_fail_as(sh_handle_failed(l->pool->id, SHUNT_ENOMEM));
}

/* -- values of a part -- */

char *sh_room_open(struct sh_room *room, struct sh_loop *l, size_t n,
                   size_t size, size_t align)
{
    uintptr_t at;

    SH_ASSERT(size % align == 0);
    room->more = NULL;
    if (SH_LIKELY(align <= 16 && size <= SH_ROOM_FEW / n))
        return room->few;
    if (__builtin_mul_overflow(n, size, &room->bytes) ||
        __builtin_add_overflow(room->bytes, align, &room->bytes) ||
        (room->more = shunt_alloc(room->bytes)) == NULL) {
        sh_loop_starve(l);
        return NULL;
    }
    at = (uintptr_t)room->more;
    return (char *)((at + align - 1) & ~(uintptr_t)(align - 1));
}

void sh_room_close(struct sh_room *room)
{
    if (SH_UNLIKELY(room->more != NULL))
        (void)shunt_free(room->more);
}

/* -- on the way into the pool -- */

int sh_loop_find(shunt_pool *name, shunt_fn_ *fn, struct sh_pool **pool_out)
{
    int rc = sh_pool_find(name, pool_out);

    if (rc != 0)
        return rc;
    if (fn == NULL)
        return SHUNT_EINVAL;
    if ((*pool_out)->shared &&
        !sh_known_has((*pool_out)->known, (const void *)(uintptr_t)fn))
        return SHUNT_ENOTSUP;
    return 0;
}

struct sh_block *sh_loop_block(struct sh_pool *pool, size_t n, size_t size,
                               size_t align, void **at_out)
{
    size_t more = align > 16 ? align : 0;
    struct sh_block *b;
    uintptr_t at;
    size_t bytes;

    SH_ASSERT(align > 0 && (align & (align - 1)) == 0);
    if (__builtin_mul_overflow(n, size, &bytes) || bytes > PTRDIFF_MAX - more)
        return NULL;
    b = sh_block_new_scratch(&pool->heap, bytes + more, SH_BLOCK_VALUE);
    if (b == NULL)
        return NULL;
    at = (uintptr_t)sh_block_bytes(b);
    *at_out = (void *)((at + align - 1) & ~(uintptr_t)(align - 1));
    return b;
}

int sh_loop_check_array(const shunt_array_ *array)
{
    size_t bytes;

    if (array->size_ == 0 || (array->at_ == NULL && array->n_ > 0) ||
        __builtin_mul_overflow(array->n_, array->size_, &bytes) ||
        bytes > PTRDIFF_MAX)
        return SHUNT_EINVAL;
    return 0;
}

shunt_future *sh_loop_refuse(struct sh_pool *pool, int rc)
{
    return pool != NULL ? sh_submit_refuse(pool, rc) : sh_handle_failed(0, rc);
}

shunt_future *sh_loop_nothing(struct sh_pool *pool, const char *where)
{
    return shunt_delay_here(pool->name, 0, where);
}

size_t sh_loop_grain(const shunt_for_options *given, size_t size)
{
    shunt_for_options o = { .grain = 0 };

    if (given != NULL)
        memcpy(&o, given, size < sizeof o ? size : sizeof o);
    return o.grain > 0 ? o.grain : 1;
}

int sh_loop_take_body(struct sh_pool *pool, shunt_body_ *body,
                      struct sh_block **block_out)
{
    void *copy;

    if (body->ctx_ != NULL && body->size_ == 0)
        return SHUNT_EINVAL;
    if (body->ctx_ == NULL) {
        body->size_ = 0;
        body->align_ = 1;
    }
    *block_out = sh_loop_block(pool, 1, body->size_, body->align_, &copy);
    if (*block_out == NULL)
        return SHUNT_ENOMEM;
    if (body->ctx_ == NULL)
        return 0;
    memcpy(copy, body->ctx_, body->size_);
    body->ctx_ = copy;
    return 0;
}
