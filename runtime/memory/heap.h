/* SPDX-License-Identifier: MIT */
/*
 * memory/heap.h - blocks of memory, each with a header that says whose it is.
 *
 *     | next prev | owner | size kind mark | 16-aligned bytes for the user ...
 *     ^ struct sh_block                    ^ what shunt_alloc returns
 *
 * A block is in exactly one list at a time: of a running task, of a record,
 * or of the pool ("loose": the caller outside owns it).
 *
 * Shared heaps. In a process pool the memory comes from slices (slices.h), and
 * their directory knows the blocks: which there are, and that one is loose. So
 * there is no lock, and no list of loose blocks, that a process could die with.
 *
 * Crash. A new block is the scratch of its process; the directory says what is
 * left of a dead one. The links here are then private to the process that made
 * them. A death between the count and what it counts leaves the count wrong by
 * that: recovery counts anew (sh_slices_bytes).
 */
#ifndef SH_MEMORY_HEAP_H
#define SH_MEMORY_HEAP_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/atomic.h"
#include "memory/slices.h"

enum sh_block_kind {
    SH_BLOCK_USER = 1, /* of a task: moves along when its value is taken */
    SH_BLOCK_ADOPTED,  /* stays with the future that it was given to */
    SH_BLOCK_ERROR,
    SH_BLOCK_VALUE,
    SH_BLOCK_HANDLE /* a lent handle, given back when the block goes: the
                     * memory of its future is in use */
};

#define SH_BLOCK_MARK 0x5b10cc3du /* of a live block */

struct sh_block {
    struct sh_block *next;
    union {
        struct sh_block *prev;
        _Atomic(struct sh_block *) told; /* ERROR: its backtrace in words, which
                                          * goes with it; see task/trace.h */
    };
    uint64_t owner; /* record index of the future, or 0: loose */
    struct sh_heap *heap;
    size_t size; /* without the header */
    uint16_t kind;
    bool far_causes; /* ERROR: some of its causes lie in other pools, */
    bool traced;     /* and it has a backtrace, or one of them has */
    uint32_t mark;
};
_Static_assert(sizeof(struct sh_block) % 16 == 0, "users get 16-aligned bytes");

/* A doubly linked list that one thread at a time uses. */
struct sh_blocks {
    struct sh_block *first;
};

struct sh_heap {
    struct sh_slices *slices; /* shared by processes; NULL: it is not */
    size_t limit;             /* in bytes; 0: none */
    _Atomic size_t bytes;     /* counted only if there is a limit */
    pthread_mutex_t lock;     /* of loose and of known */
    struct sh_blocks loose;
    bool tracks; /* keep a tree of blocks, for sh_heap_knows */
    void *known; /* of tsearch(3) */
};

bool sh_heap_init(struct sh_heap *h, size_t limit, bool tracks);

/* Memory comes from s from now on, which outlives the heap. */
static inline void sh_heap_share(struct sh_heap *h, struct sh_slices *s)
{
    h->slices = s;
}

/* Count size bytes that come from elsewhere; false if that is too much. */
static inline bool sh_heap_charge(struct sh_heap *h, size_t size)
{
    if (h->limit == 0)
        return true;
    size_t before = sh_add_rlx(&h->bytes, size); /* relaxed: a count */

    if (before <= h->limit && size <= h->limit - before)
        return true;
    sh_add_rlx(&h->bytes, (size_t)0 - size); /* relaxed: a count */
    return false;
}

/* They are no longer in use. */
static inline void sh_heap_refund(struct sh_heap *h, size_t size)
{
    if (h->limit != 0)
        sh_add_rlx(&h->bytes, (size_t)0 - size); /* relaxed: a count */
}

/* Frees the loose blocks. All others have been freed. Of a shared heap nothing
 * is: the arena goes. */
void sh_heap_fini(struct sh_heap *h);

/* What nobody but its maker needs before it is attached to a record: it goes
 * with the process until then. */
static inline bool sh_block_begins_as_scratch(unsigned kind)
{
    return kind == SH_BLOCK_USER || kind == SH_BLOCK_ERROR ||
           kind == SH_BLOCK_HANDLE;
}

/* A block that is in no list yet; NULL if there is no memory. */
struct sh_block *sh_block_new(struct sh_heap *h, size_t size,
                              enum sh_block_kind kind);
void sh_block_free(struct sh_block *b);

static inline void *sh_block_bytes(struct sh_block *b)
{
    return b + 1;
}

/* The block whose bytes begin at p; NULL if there is no mark before p. */
struct sh_block *sh_block_of(void *p);

void sh_blocks_add(struct sh_blocks *list, struct sh_block *b);
void sh_blocks_remove(struct sh_blocks *list, struct sh_block *b);

/* The caller outside owns b from now on; or no longer does: false if b was
 * not loose, and then nothing changed. */
void sh_heap_loosen(struct sh_heap *h, struct sh_block *b);
bool sh_heap_fasten(struct sh_heap *h, struct sh_block *b);

/* Whether p points into a live block, or to its end; only if the heap tracks,
 * or is shared. */
bool sh_heap_knows(struct sh_heap *h, const void *p);

/* Out of its list, whose other blocks do not care. What was told of an ERROR
 * stays with it. */
static inline void sh_block_unlink(struct sh_block *b)
{
    b->next = NULL;
    if (b->kind != SH_BLOCK_ERROR)
        b->prev = NULL;
}

/* The same, as scratch whatever its kind: for who links it before it keeps it,
 * so that a death leaves it linked or gone. */
struct sh_block *sh_block_new_scratch(struct sh_heap *h, size_t size,
                                      enum sh_block_kind kind);

/* Memory of sh_heap_scratch is the pool's from now on; and becomes the calling
 * process's again before it is unlinked and freed, so that a death in between
 * takes it along. */
void sh_heap_keep(struct sh_heap *h, void *p);
void sh_heap_scrap(struct sh_heap *h, void *p);
void sh_block_scrap(struct sh_block *b);

/* A block that was scratch, as a task's own, is the pool's from now on: it does
 * not go with the process. */
void sh_block_keep(struct sh_block *b);

/* Plain memory that is not shared with users; NULL if there is none. Scratch
 * goes with the process that asked for it. */
void *sh_heap_get(struct sh_heap *h, size_t size);
void *sh_heap_scratch(struct sh_heap *h, size_t size);
void sh_heap_put(struct sh_heap *h, void *p, size_t size);

#endif /* SH_MEMORY_HEAP_H */
