/* SPDX-License-Identifier: MIT */
/* memory/directory.c - slices and rows: see directory.h. */
#include "memory/directory.h"

#define CHUNK_BYTES ((size_t)SH_CHUNK * SH_GRANULE)

/* So many slices that a handful of processes find some; none is smaller than
 * what an allocator likes to ask for at once. */
static unsigned shift_of(size_t bytes)
{
    unsigned shift = (unsigned)__builtin_ctzll(SH_SLICE_BYTES_LEAST);

    while ((bytes >> shift) > SH_SLICES_MAX)
        shift++;
    return shift;
}

struct sh_slices *sh_directory_new(struct sh_arena *a, size_t bytes)
{
    struct sh_slices *s = sh_arena_map(a, sizeof *s, SH_PAGES_RW);
    size_t bits;

    if (s == NULL)
        return NULL;
    s->arena = a;
    s->shift = shift_of(bytes);
    s->slice_bytes = (size_t)1 << s->shift;
    s->count = (unsigned)(bytes >> s->shift);
    if (s->count == 0)
        return NULL;
    s->words = (unsigned)(s->slice_bytes / CHUNK_BYTES / 64);
    bits = sizeof(uint64_t) * s->words * s->count;
    s->data = sh_arena_map(a, (size_t)s->count << s->shift, SH_PAGES_RESERVE);
    s->rows = sh_arena_map(
        a, ((size_t)s->count << s->shift) / SH_GRANULE * sizeof *s->rows,
        SH_PAGES_RESERVE);
    s->touched = sh_arena_map(a, bits, SH_PAGES_RESERVE);
    s->mail = sh_arena_map(a, bits, SH_PAGES_RESERVE);
    return s->data == NULL || s->rows == NULL || s->touched == NULL ||
                   s->mail == NULL
               ? NULL
               : s;
}

/* From first on, if they are all free: what was taken until one was not goes
 * back, last first. */
static bool claim_at(struct sh_slices *s, unsigned first, unsigned n,
                     unsigned owner)
{
    for (unsigned k = 0; k < n; k++) {
        uint32_t word = sh_slice_word(SH_SLICE_FREE, 0);
        uint32_t taken = k == 0 ? sh_slice_word(SH_SLICE_OWNED, owner)
                                : sh_slice_word(SH_SLICE_TAIL, first);

        if (sh_cas_acq(&s->slice[first + k].word, &word, taken))
            continue; /* acquire: slice */
        while (k-- > 0)
            sh_store_rel(&s->slice[first + k].word,
                         sh_slice_word(SH_SLICE_FREE, 0)); /* release: slice */
        return false;
    }
    return true;
}

/* Single slices are taken from the start, runs from the end, so that what is
 * free is rather one piece. */
unsigned sh_slice_claim(struct sh_slices *s, unsigned n, unsigned owner)
{
    SH_ASSERT(n > 0 && owner > 0 && owner < SH_OWNERS_MAX);
    for (unsigned k = 0; n <= s->count && k <= s->count - n; k++) {
        unsigned i = n == 1 ? k : s->count - n - k;

        /* relaxed: the CAS looks again */
        if (sh_load_rlx(&s->slice[i].word) == sh_slice_word(SH_SLICE_FREE, 0) &&
            claim_at(s, i, n, owner))
            return i;
    }
    return SH_SLICES_MAX;
}

/* All names are NONE already, and stay so if the system refuses to take the
 * pages of the rows. */
void sh_slice_give(struct sh_slices *s, unsigned i)
{
    const uint32_t unused = sh_slice_word(SH_SLICE_FREE, 0);
    size_t rows_bytes = s->slice_bytes / SH_GRANULE * sizeof(struct sh_row);
    unsigned end = i + 1;

    /* relaxed: only who has the head frees a tail of it */
    while (end < s->count &&
           sh_load_rlx(&s->slice[end].word) == sh_slice_word(SH_SLICE_TAIL, i))
        end++;
    sh_arena_discard(s->arena, sh_slice_base(s, i),
                     (size_t)(end - i) << s->shift);
    while (--end > i)
        sh_store_rel(&s->slice[end].word, unused); /* release: slice */
    for (unsigned w = i * s->words; w < (i + 1) * s->words; w++) {
        sh_store_rlx(&s->touched[w], 0); /* relaxed: ordered by the word */
        sh_store_rlx(&s->mail[w], 0);    /* relaxed: only a hint */
    }
    sh_store_rlx(&s->slice[i].mail, 0);   /* relaxed: only a hint */
    sh_store_rlx(&s->slice[i].guests, 0); /* relaxed: ordered by the word */
    sh_arena_discard(s->arena, (char *)s->rows + (size_t)i * rows_bytes,
                     rows_bytes);
    sh_store_rel(&s->slice[i].word, unused); /* release: slice */
}

static bool is_touched(struct sh_slices *s, size_t chunk)
{
    uint64_t word = sh_load_acq(&s->touched[chunk / 64]); /* acquire: touched */

    return (word >> chunk % 64 & 1) != 0;
}

static void touch(struct sh_slices *s, size_t chunk)
{
    uint64_t word = sh_load_rlx(&s->touched[chunk / 64]); /* relaxed: ours */

    word |= (uint64_t)1 << chunk % 64;
    sh_store_rel(&s->touched[chunk / 64], word); /* release: touched */
}

static struct sh_row *row_of(struct sh_slices *s, const void *p)
{
    return &s->rows[((uintptr_t)p - (uintptr_t)s->data) / SH_GRANULE];
}

void sh_row_make(struct sh_slices *s, void *p, size_t size, uint64_t name)
{
    struct sh_row *r = row_of(s, p);
    uint64_t quarter = (uintptr_t)p % SH_GRANULE / 16;

    SH_ASSERT(sh_slices_has(s, p) && (uintptr_t)p % 16 == 0);
    SH_ASSERT(sh_name_is_live(name) && size > 0);
    if (!is_touched(s, sh_chunk_of(s, r)))
        touch(s, sh_chunk_of(s, r));
    SH_ASSERT(sh_load_rlx(&r->name) == SH_NAME_NONE); /* relaxed: ours */
    /* relaxed: ordered by the name */
    sh_store_rlx(&r->span, (uint64_t)size << 2 | quarter);
    sh_store_rel(&r->name, name); /* release: row */
}

struct sh_row *sh_row_at(struct sh_slices *s, const void *p)
{
    struct sh_row *r;

    if (!sh_slices_has(s, p))
        return NULL;
    r = row_of(s, p);
    return is_touched(s, sh_chunk_of(s, r)) ? r : NULL;
}

/* A visit may give the slice back: what is read of it after that would take
 * memory. */
bool sh_chunk_walk(struct sh_slices *s, size_t chunk, sh_visit *visit,
                   void *arg)
{
    struct sh_row *first = &s->rows[chunk * SH_CHUNK];

    for (unsigned i = 0; i < SH_CHUNK && is_touched(s, chunk); i++) {
        /* seq_cst: row, orphan */
        uint64_t name = sh_load_sc(&first[i].name);

        if (name != SH_NAME_NONE && !visit(arg, s, &first[i], name))
            return false;
    }
    return true;
}

bool sh_slice_walk(struct sh_slices *s, unsigned i, sh_visit *visit, void *arg)
{
    for (unsigned w = i * s->words; w < (i + 1) * s->words; w++) {
        uint64_t bits = sh_load_acq(&s->touched[w]); /* acquire: touched */

        for (; bits != 0; bits &= bits - 1) {
            size_t chunk = (size_t)w * 64 + (size_t)__builtin_ctzll(bits);

            if (!sh_chunk_walk(s, chunk, visit, arg))
                return false;
        }
    }
    return true;
}

/* The last row of a chunk, up to r, whose block does not begin after p. */
static struct sh_row *last_before(struct sh_slices *s, struct sh_row *r,
                                  const void *p)
{
    struct sh_row *first = &s->rows[sh_chunk_of(s, r) * SH_CHUNK];

    for (; r >= first; r--) {
        uint64_t name = sh_load_acq(&r->name); /* acquire: row */

        if (sh_name_is_live(name) && sh_row_start(s, r) <= (const char *)p)
            return r;
    }
    return NULL;
}

void *sh_directory_find(struct sh_slices *s, const void *p)
{
    struct sh_row *r = NULL;
    size_t chunk, first;
    uint32_t word;

    if (!sh_slices_has(s, p))
        return NULL;
    /* relaxed: of a run that p is in, which stays meanwhile */
    word = sh_load_rlx(&s->slice[sh_slice_of(s, p)].word);
    r = row_of(s, p);
    if (sh_slice_state(word) == SH_SLICE_TAIL)
        r = row_of(s, sh_slice_base(s, sh_slice_who(word)));
    chunk = sh_chunk_of(s, r);
    first = chunk - chunk % (s->words * 64u);
    for (;;) {
        struct sh_row *found = is_touched(s, chunk) ? last_before(s, r, p)
                                                    : NULL;

        if (found != NULL) {
            char *start = sh_row_start(s, found);

            return (const char *)p < start + sh_row_size(found) ? start : NULL;
        }
        if (chunk == first)
            return NULL;
        chunk--;
        r = &s->rows[chunk * SH_CHUNK + SH_CHUNK - 1];
    }
}
