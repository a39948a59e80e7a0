/* SPDX-License-Identifier: MIT */
/* memory/heap.c - blocks: see heap.h. */
#include "memory/heap.h"

#include <search.h>

#include "base/fault.h"
#include "memory/jemalloc/jemalloc_private.h"

/* What is larger goes back to the kernel as it is freed, and its pages are
 * found anew the next time. jemalloc's 8 MiB would be the arrays of a when_all
 * over 300,000 futures. */
static const size_t oversize = (size_t)64 << 20;

/* Also said in environment.c, for the arenas to come: the first is older than
 * what is said there. */
static void keep_pages(void)
{
    size_t bytes = oversize;

    if (sh_je_has_arenas)
        (void)sh_je_mallctl("arena.0.oversize_threshold", NULL, NULL, &bytes,
                            sizeof bytes);
}

bool sh_heap_init(struct sh_heap *h, size_t limit, bool tracks)
{
    SH_ASSERT(h != NULL);
    keep_pages();
    h->slices = NULL;
    h->limit = limit;
    sh_store_rlx(&h->bytes, 0); /* relaxed: nobody else has it yet */
    h->loose.first = NULL;
    h->tracks = tracks;
    h->known = NULL;
    return pthread_mutex_init(&h->lock, NULL) == 0;
}

void sh_heap_fini(struct sh_heap *h)
{
    if (h->slices != NULL) {
        pthread_mutex_destroy(&h->lock);
        return;
    }
    while (h->loose.first != NULL) {
        struct sh_block *b = h->loose.first;

        sh_blocks_remove(&h->loose, b);
        sh_block_free(b);
    }
    SH_ASSERT(h->known == NULL);
    SH_ASSERT(sh_load_rlx(&h->bytes) == 0); /* relaxed: we are the last */
    pthread_mutex_destroy(&h->lock);
}

/* What the pool keeps, in a shared heap: the rest is scratch, or loose. */
#define NAME_KEPT 1u

void *sh_heap_scratch(struct sh_heap *h, size_t size)
{
    void *p = NULL;

    SH_ASSERT(size > 0);
    if (sh_fault() || size > PTRDIFF_MAX || !sh_heap_charge(h, size))
        return NULL;
    if (SH_UNLIKELY(h->slices != NULL))
        p = sh_slices_get(h->slices, size);
    else
        p = sh_je_mallocx(size, 0);
    if (p == NULL)
        sh_heap_refund(h, size);
    return p;
}

void *sh_heap_get(struct sh_heap *h, size_t size)
{
    void *p = sh_heap_scratch(h, size);

    if (SH_UNLIKELY(h->slices != NULL) && p != NULL)
        sh_slices_publish(h->slices, p, NAME_KEPT);
    return p;
}

void sh_heap_keep(struct sh_heap *h, void *p)
{
    if (SH_UNLIKELY(h->slices != NULL))
        sh_slices_publish(h->slices, p, NAME_KEPT);
}

void sh_heap_scrap(struct sh_heap *h, void *p)
{
    if (SH_UNLIKELY(h->slices != NULL))
        sh_slices_publish(h->slices, p, sh_slices_scratch(h->slices));
}

void sh_block_keep(struct sh_block *b)
{
    sh_heap_keep(b->heap, b);
}

void sh_heap_put(struct sh_heap *h, void *p, size_t size)
{
    SH_ASSERT(size > 0);
    if (p == NULL)
        return;
    if (SH_LIKELY(h->slices == NULL))
        sh_je_sdallocx(p, size, 0);
    else if (!sh_slices_put(h->slices, p)) /* freed before: not once more */
        return;
    sh_heap_refund(h, size);
}

/* Blocks do not overlap, so that two are equal only if one holds the other:
 * a probe is a block of no bytes. */
static int compare(const void *left, const void *right)
{
    const struct sh_block *a = left, *b = right;
    const char *a_end = (const char *)(a + 1) + a->size;
    const char *b_end = (const char *)(b + 1) + b->size;

    if (a_end <= (const char *)b)
        return -1;
    return b_end <= (const char *)a ? 1 : 0;
}

static int compare_probe(const void *probe, const void *block)
{
    const struct sh_block *b = block;

    if ((const char *)probe < (const char *)(b + 1))
        return -1;
    /* One past the end belongs to it, as in C. */
    return (const char *)probe > (const char *)(b + 1) + b->size ? 1 : 0;
}

static bool track(struct sh_heap *h, struct sh_block *b)
{
    bool added;

    if (!h->tracks || h->slices != NULL)
        return true;
    pthread_mutex_lock(&h->lock);
    added = tsearch(b, &h->known, compare) != NULL;
    pthread_mutex_unlock(&h->lock);
    return added;
}

struct sh_block *sh_block_new_scratch(struct sh_heap *h, size_t size,
                                      enum sh_block_kind kind)
{
    struct sh_block *b = NULL;

    if (size <= PTRDIFF_MAX - sizeof *b)
        b = sh_heap_scratch(h, sizeof *b + size);
    if (b == NULL)
        return NULL;
    *b = (struct sh_block){
        .heap = h, .size = size, .kind = (uint16_t)kind, .mark = SH_BLOCK_MARK
    };
    if (!track(h, b)) {
        sh_heap_put(h, b, sizeof *b + size);
        return NULL;
    }
    return b;
}

struct sh_block *sh_block_new(struct sh_heap *h, size_t size,
                              enum sh_block_kind kind)
{
    struct sh_block *b = sh_block_new_scratch(h, size, kind);

    if (SH_UNLIKELY(h->slices != NULL) && b != NULL &&
        !sh_block_begins_as_scratch(kind))
        sh_block_keep(b);
    return b;
}

void sh_block_scrap(struct sh_block *b)
{
    if (SH_LIKELY(b->heap->slices == NULL))
        return;
    if (b->kind == SH_BLOCK_ERROR && b->prev != NULL)
        sh_block_scrap(b->prev);
    sh_heap_scrap(b->heap, b);
}

void sh_block_free(struct sh_block *b)
{
    struct sh_heap *h = b->heap;

    SH_ASSERT(b->mark == SH_BLOCK_MARK);
    if (b->kind == SH_BLOCK_ERROR && b->prev != NULL) {
        struct sh_block *told = b->prev;

        b->prev = NULL;
        sh_block_free(told);
    }
    SH_ASSERT(b->next == NULL && b->prev == NULL);
    if (h->tracks && h->slices == NULL) {
        pthread_mutex_lock(&h->lock);
        tdelete(b, &h->known, compare);
        pthread_mutex_unlock(&h->lock);
    }
    b->mark = 0;
    sh_heap_put(h, b, sizeof *b + b->size);
}

struct sh_block *sh_block_of(void *p)
{
    struct sh_block *b;

    if (((uintptr_t)p & 15) != 0)
        return NULL;
    b = (struct sh_block *)p - 1;
    return b->mark == SH_BLOCK_MARK ? b : NULL;
}

void sh_blocks_add(struct sh_blocks *list, struct sh_block *b)
{
    SH_ASSERT(b->next == NULL && b->prev == NULL);
    b->next = list->first;
    if (list->first != NULL)
        list->first->prev = b;
    list->first = b;
}

void sh_blocks_remove(struct sh_blocks *list, struct sh_block *b)
{
    SH_ASSERT(b->prev != NULL || list->first == b);
    if (b->prev != NULL)
        b->prev->next = b->next;
    else
        list->first = b->next;
    if (b->next != NULL)
        b->next->prev = b->prev;
    b->next = b->prev = NULL;
}

void sh_heap_loosen(struct sh_heap *h, struct sh_block *b)
{
    if (SH_UNLIKELY(h->slices != NULL)) {
        b->owner = 0;
        sh_slices_publish(h->slices, b, SH_NAME_LOOSE);
        return;
    }
    pthread_mutex_lock(&h->lock);
    b->owner = 0;
    sh_blocks_add(&h->loose, b);
    pthread_mutex_unlock(&h->lock);
}

bool sh_heap_fasten(struct sh_heap *h, struct sh_block *b)
{
    bool loose;

    if (SH_UNLIKELY(h->slices != NULL))
        return sh_slices_rename(h->slices, b, SH_NAME_LOOSE,
                                sh_slices_scratch(h->slices));
    pthread_mutex_lock(&h->lock);
    loose = b->owner == 0 && (b->prev != NULL || h->loose.first == b);
    if (loose)
        sh_blocks_remove(&h->loose, b);
    pthread_mutex_unlock(&h->lock);
    return loose;
}

/* Whether p, or what lies before its end, is in a block that at is in. It may
 * be freed meanwhile, and then the answer is of before or after. */
static bool is_of_block(struct sh_heap *h, const char *p, const char *at)
{
    struct sh_block *b = sh_slices_find(h->slices, at);

    return b != NULL && p >= (const char *)(b + 1) &&
           /* relaxed: see above */
           sh_load_bare_rlx(&b->mark) == SH_BLOCK_MARK;
}

bool sh_heap_knows(struct sh_heap *h, const void *p)
{
    bool found;

    if (h->slices != NULL)
        return is_of_block(h, p, p) || is_of_block(h, p, (const char *)p - 1);
    SH_ASSERT(h->tracks);
    pthread_mutex_lock(&h->lock);
    found = tfind(p, &h->known, compare_probe) != NULL;
    pthread_mutex_unlock(&h->lock);
    return found;
}
