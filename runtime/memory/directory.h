/* SPDX-License-Identifier: MIT */
/*
 * memory/directory.h - what lies where in the shared memory of a pool, and
 * whose it is.
 *
 *     region   | slice | slice | slice | ...     1,024 of them, or half that
 *     row      name | span                       one for 64 bytes of a slice
 *
 *     FREE --claim--> OWNED --retire--> SWEPT <----> ORPHAN
 *       ^                |                |
 *       `-----give-------'------give------'        TAIL: see runs
 *
 * Idea. A process allocates in slices that it owns, with an allocator whose own
 * data are private to it and die with it. What others need to know of a block
 * is in the directory, beside the blocks: where it starts, how long it is, and
 * to whom it belongs. No block is smaller than 64 bytes, so that at most one
 * starts in any 64, and the place of its row follows from its address:
 * whoever has a pointer finds the row, and nothing has to be kept in order.
 *
 * Names. 0: there is no block. FREED: nobody's, and the owner of the slice has
 * not yet taken it back. Anything else is a block: SCRATCH of a process, which
 * dies with it; LOOSE, which the program outside has; below 2^56 whatever the
 * pool calls it, such as the record of a future. Only the owner of a slice
 * makes a name from 0 or takes FREED back to it, or who sweeps the slice; a
 * free is the step from a name to FREED, by anyone.
 *
 * Runs. A block that is larger than half a slice has slices of its own: the
 * first has the row, the others are its tails, and follow it in all.
 *
 * Bits. 256 rows are a chunk. A chunk is looked at only if its bit in
 * touched is set, so that an untouched one takes no memory; a bit in mail says
 * that another process has freed something there.
 *
 * Edges.
 *   row      make: name -> find, walk, free: read name       the span is there
 *   slice    give: FREE -> claim: CAS FREE                 its bits are clear
 *   orphan   slices.h; the names that a walk reads
 *   touched  make: set touched -> find, walk: read it      (a bound only)
 *
 * Crash. make: a block is there from the store of its name on; a death before
 * leaves a span without a name. claim: the head goes first, the tails then
 * from low to high; give frees them from high to low, the head last. So a run
 * that is half made or half given is a head with fewer tails behind it.
 */
#ifndef SH_MEMORY_DIRECTORY_H
#define SH_MEMORY_DIRECTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/atomic.h"
#include "memory/arena.h"

enum {
    SH_SLICES_MAX = 1024,
    SH_OWNERS_MAX = 4096, /* owner numbers are below */
    SH_GRANULE = 64,      /* bytes for which there is a row */
    SH_CHUNK = 256        /* rows for which there is a bit */
};
#define SH_SLICE_BYTES_LEAST ((size_t)2 << 20)

/* Numbers of owners. */
enum {
    SH_SLICER_HOST = 1,
    SH_SLICER_WORKER = 2 /* the first: worker w is w + 2 */
};

#define SH_NAME_NONE 0u
#define SH_NAME_FREED ((uint64_t)1 << 56)
#define SH_NAME_SCRATCH ((uint64_t)2 << 56) /* | number of the process */
#define SH_NAME_LOOSE ((uint64_t)3 << 56)

static inline bool sh_name_is_live(uint64_t name)
{
    return name != SH_NAME_NONE && name != SH_NAME_FREED;
}

/* What a process has for itself. */
static inline uint64_t sh_name_scratch(unsigned owner)
{
    return SH_NAME_SCRATCH | owner;
}

struct sh_row {
    _Atomic uint64_t name;
    _Atomic uint64_t span; /* size << 2 | start / 16 % 4; while it has a name */
};
_Static_assert(sizeof(struct sh_row) == 16, "a quarter of a granule");

enum sh_slice_state {
    SH_SLICE_FREE,
    SH_SLICE_OWNED,  /* by who: makes blocks in it */
    SH_SLICE_TAIL,   /* of the run that slice who begins */
    SH_SLICE_ORPHAN, /* of a dead process; blocks are left */
    SH_SLICE_SWEPT   /* an orphan that who looks at, alone */
};
#define SH_SLICE_AGAIN 8u /* SWEPT: something was freed meanwhile */

struct sh_slice {
    _Alignas(SH_LINE) _Atomic uint32_t word; /* state 3 | again 1 | who 28 */
    _Atomic uint32_t mail;                   /* some bit of its mail is set */
    _Atomic uint32_t guests; /* another process may have scratch in it */
};

struct sh_slices {
    struct sh_arena *arena;
    size_t slice_bytes; /* a power of two */
    unsigned shift;     /* its logarithm */
    unsigned count;
    unsigned words; /* of touched and of mail, for a slice */
    unsigned place; /* where a process finds its own part: slices.c */
    char *data;
    struct sh_row *rows;
    _Atomic uint64_t *touched, *mail;
    _Atomic uint32_t post[SH_OWNERS_MAX]; /* mail of some slice is set */
    struct sh_slice slice[SH_SLICES_MAX];
};

static inline uint32_t sh_slice_word(enum sh_slice_state state, unsigned who)
{
    return (uint32_t)state | (uint32_t)who << 4;
}

static inline enum sh_slice_state sh_slice_state(uint32_t word)
{
    return (enum sh_slice_state)(word & 7);
}

static inline unsigned sh_slice_who(uint32_t word)
{
    return word >> 4;
}

static inline bool sh_slices_has(const struct sh_slices *s, const void *p)
{
    return (uintptr_t)p - (uintptr_t)s->data < (size_t)s->count << s->shift;
}

/* Of an address in the region. */
static inline unsigned sh_slice_of(const struct sh_slices *s, const void *p)
{
    return (unsigned)(((uintptr_t)p - (uintptr_t)s->data) >> s->shift);
}

static inline char *sh_slice_base(const struct sh_slices *s, unsigned i)
{
    return s->data + ((size_t)i << s->shift);
}

/* What is larger has a run of slices of its own. */
static inline size_t sh_slice_block_max(const struct sh_slices *s)
{
    return s->slice_bytes / 2;
}

static inline size_t sh_row_size(const struct sh_row *r)
{
    /* relaxed: who asks has read the name */
    return sh_load_rlx(&r->span) >> 2;
}

static inline char *sh_row_start(const struct sh_slices *s,
                                 const struct sh_row *r)
{
    /* relaxed: who asks has read the name */
    return s->data + (size_t)(r - s->rows) * SH_GRANULE +
           (sh_load_rlx(&r->span) & 3) * 16;
}

/* The chunk that a row is in, of all chunks; its word and bit. */
static inline size_t sh_chunk_of(const struct sh_slices *s,
                                 const struct sh_row *r)
{
    return (size_t)(r - s->rows) / SH_CHUNK;
}

/* Take address space for that many bytes of blocks, and a quarter more, from
 * an arena. NULL if it has not so much. */
struct sh_slices *sh_directory_new(struct sh_arena *a, size_t bytes);

/* n slices in a row that are free, for owner; SH_SLICES_MAX if there are none.
 * Any process. */
unsigned sh_slice_claim(struct sh_slices *s, unsigned n, unsigned owner);

/* The caller has the slice, as its owner or sweeping, and no row of it has a
 * name: it and its tails become free, and take no memory. */
void sh_slice_give(struct sh_slices *s, unsigned i);

/* The block at p, of that size, is called name: p lies in a slice of ours. */
void sh_row_make(struct sh_slices *s, void *p, size_t size, uint64_t name);

/* The row of p, which may be any address; NULL if it has none. The name says
 * whether a block begins there. */
struct sh_row *sh_row_at(struct sh_slices *s, const void *p);

/* Whether a block that has that name, which was read of r, begins at p. */
static inline bool sh_row_is(const struct sh_slices *s, const struct sh_row *r,
                             uint64_t name, const void *p)
{
    return sh_name_is_live(name) && sh_row_start(s, r) == p;
}

/* Where the live block begins that p points into; NULL if there is none. */
void *sh_directory_find(struct sh_slices *s, const void *p);

/* A row that has a name, when it was read. False ends the walk. */
typedef bool sh_visit(void *arg, struct sh_slices *s, struct sh_row *r,
                      uint64_t name);

/* Visit what has a name, also FREED, by ascending address. False if a visit
 * was. */
bool sh_chunk_walk(struct sh_slices *s, size_t chunk, sh_visit *visit,
                   void *arg);
bool sh_slice_walk(struct sh_slices *s, unsigned i, sh_visit *visit, void *arg);

#endif /* SH_MEMORY_DIRECTORY_H */
