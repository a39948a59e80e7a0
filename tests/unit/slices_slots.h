/* SPDX-License-Identifier: MIT */
/*
 * unit/slices_slots.h - processes that exchange blocks of a shared heap through
 * slots, and what has to hold of heap and slots when one of them is dead.
 *
 * A block is reachable if its address is in a slot. Each begins with its size.
 */
#ifndef SH_UNIT_SLICES_SLOTS_H
#define SH_UNIT_SLICES_SLOTS_H

#include "slices_stage.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLOW 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SLOW 1
#endif
#endif
#ifndef SLOW
#define SLOW 0
#endif

enum {
    SLOTS = 24,
    WORKERS = 3
};

static struct shared {
    _Atomic(char *) slot[SLOTS];
    _Atomic unsigned ops[WORKERS];
    _Atomic unsigned pause; /* the round of one, or 0 */
} * shared;

static int told[2], go[2]; /* pipes: a worker waits; it may go on */

static inline void begin(void)
{
    stage_begin();
    shared = sh_arena_map(arena, sizeof *shared, SH_PAGES_RW);
    assert_non_null(shared);
    memset(shared, 0, sizeof *shared);
    assert_int_equal(pipe(told) | pipe(go), 0);
}

static inline void end(void)
{
    for (unsigned i = 0; i < 2; i++) {
        close(told[i]);
        close(go[i]);
    }
    stage_end();
}

/* How a block begins; what follows is filled, and the rest is not written. */
struct head {
    uint32_t size, filled;
};

static inline char *make(uint32_t size, uint32_t filled)
{
    struct head head = { size, filled };
    char *p = sh_slices_get(slices, size);

    if (p == NULL)
        return NULL;
    memcpy(p, &head, sizeof head);
    fill(p + sizeof head, filled, size);
    return p;
}

static inline bool is_whole(const char *p)
{
    struct head head;

    memcpy(&head, p, sizeof head);
    return is_filled(p + sizeof head, head.filled, head.size);
}

static inline void place(unsigned i, char *p)
{
    char *old;

    if (p != NULL)
        sh_slices_publish(slices, p, RECORD(i + 1));
    old = atomic_exchange(&shared->slot[i], p);
    if (old == NULL)
        return;
    need(is_whole(old));
    need(sh_slices_put(slices, old));
}

static inline bool is_in_slot(void *arg, void *p, size_t size, uint64_t name)
{
    (void)arg;
    (void)size;
    (void)name;
    for (unsigned i = 0; i < SLOTS; i++) {
        if (atomic_load(&shared->slot[i]) == p)
            return true;
    }
    return false;
}

/* While nobody else does anything, and after the dead were retired: what is in
 * slots is all there is, and whole. False with a line on stderr. */
static inline bool is_sound(void)
{
    size_t bytes = 0;

    sh_slices_filter(slices, is_in_slot, NULL);
    for (unsigned i = 0; i < SLOTS; i++) {
        char *p = atomic_load(&shared->slot[i]);
        uint32_t size;

        if (p == NULL)
            continue;
        if (sh_slices_find(slices, p) != p || !is_whole(p)) {
            fprintf(stderr, "slot %u has no whole block\n", i);
            return false;
        }
        memcpy(&size, p, sizeof size);
        bytes += size;
    }
    if (sh_slices_bytes(slices) == bytes)
        return true;
    fprintf(stderr, "%zu bytes in slots, %zu in the heap\n", bytes,
            sh_slices_bytes(slices));
    return false;
}

/* What is FREED in a slice that somebody owns, he will get to know. */
static inline bool is_told(void *arg, struct sh_slices *s, struct sh_row *r,
                           uint64_t name)
{
    unsigned i = *(unsigned *)arg;
    size_t chunk = sh_chunk_of(s, r);
    uint32_t word = atomic_load(&s->slice[i].word);

    if (name != SH_NAME_FREED || sh_slice_state(word) != SH_SLICE_OWNED)
        return true;
    return (atomic_load(&s->mail[chunk / 64]) >> chunk % 64 & 1) != 0 &&
           atomic_load(&s->slice[i].mail) != 0 &&
           atomic_load(&s->post[sh_slice_who(word)]) != 0;
}

/* No slice is left of the dead, and what they freed is not forgotten. Others
 * are between two operations. */
static inline bool is_retired(unsigned owner)
{
    if (owns_some(owner) || slices_that_are(SH_SLICE_SWEPT) > 0) {
        fprintf(stderr, "slices are left of %u\n", owner);
        return false;
    }
    for (unsigned i = 0; i < slices->count; i++) {
        if (!sh_slice_walk(slices, i, is_told, &i)) {
            fprintf(stderr, "what was freed in slice %u is forgotten\n", i);
            return false;
        }
    }
    return true;
}

static inline void make_some(void *arg)
{
    unsigned first = *(unsigned *)arg;

    place(first, make(300, 100));
    place(first + 1, make(20000, 100));
    need(make(5000, 100) != NULL);
}

static inline void make_large(void *arg)
{
    place(*(unsigned *)arg, make(5 * MIB, 100));
}

#endif /* SH_UNIT_SLICES_SLOTS_H */
