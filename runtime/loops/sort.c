/* SPDX-License-Identifier: MIT */
/*
 * loops/sort.c - shunt_sort: a stable merge sort.
 *
 *     array    | lower half | upper half |     each is sorted into the scratch,
 *     scratch  | lower half | upper half |     and merged into the array; or
 *                                              the other way round
 *
 * Idea. Halves are spawned, down to a few elements, which are sorted in place
 * by insertion. A merge goes on from left to right until somebody is hungry;
 * then what is left of the longer input is halved, the place of its middle in
 * the other one is found by bisection, and what comes behind is spawned.
 *
 * Stable, since equal elements of the lower half always go first: an element of
 * the upper half is placed behind those of the lower one that are equal to it.
 *
 * After Cormen, Leiserson, Rivest and Stein, "Introduction to Algorithms",
 * 3rd edition, section 27.3.
 */
#include <string.h>

#include "loops/loop.h"

enum {
    FEW = 24,    /* are sorted by insertion */
    CHUNK = 256, /* elements are merged between two looks at who is hungry */
    GRAIN = 1024 /* the least that a merge is halved for */
};

/* The task's input; the scratch is in the record's block. */
struct sorted {
    shunt_fn_ *compare;
    char *array, *scratch;
    size_t n, size;
};

struct sorting {
    struct sh_loop loop;
    char *array, *scratch;
    size_t size; /* of an element */
};

SH_CALLS_ANY static int compare(const struct sorting *s, const char *a,
                                const char *b)
{
    int (*fn)(const void *, const void *);

    fn = (int (*)(const void *, const void *))s->loop.fn;
    return fn(a, b);
}

/* memcpy, of what is mostly a word or two. */
static inline void put(char *to, const char *from, size_t size)
{
    switch (size) {
    case 4:
        memcpy(to, from, 4);
        break;
    case 8:
        memcpy(to, from, 8);
        break;
    case 16:
        memcpy(to, from, 16);
        break;
    default:
        memcpy(to, from, size);
        break;
    }
}

/* How many of the n elements at `from`, which are in order, come before *key:
 * those that are less, and, if equal is true, those that are equal. */
static size_t count_before(const struct sorting *s, const char *from, size_t n,
                           const char *key, bool equal)
{
    size_t low = 0, high = n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare(s, from + middle * s->size, key);

        if (order < 0 || (equal && order == 0))
            low = middle + 1;
        else
            high = middle;
    }
    SH_ASSERT(low <= n);
    return low;
}

/* In place, by binary insertion; spare has room for an element. */
static void insert_all(const struct sorting *s, char *first, size_t n,
                       char *spare)
{
    size_t size = s->size;

    for (size_t i = 1; i < n; i++) {
        char *key = first + i * size;
        size_t at;

        if (compare(s, key - size, key) <= 0)
            continue;
        at = count_before(s, first, i - 1, key, true);
        put(spare, key, size);
        memmove(first + (at + 1) * size, first + at * size, (i - at) * size);
        put(first + at * size, spare, size);
    }
}

/* What is merged: the elements of a go first where they are equal. */
struct run {
    const char *at;
    size_t n;
};

/* Merge at most n elements of *a and *b to `to`, as long as both have some; its
 * new end. */
static char *merge_some(const struct sorting *s, struct run *a, struct run *b,
                        char *to, size_t n)
{
    size_t size = s->size;

    for (; n > 0 && a->n > 0 && b->n > 0; n--, to += size) {
        struct run *next = compare(s, b->at, a->at) < 0 ? b : a;

        put(to, next->at, size);
        next->at += size;
        next->n--;
    }
    return to;
}

/* Halve the longer one, and the other one at the same place. */
static void halve(const struct sorting *s, struct run *a, struct run *b,
                  struct run *a_upper, struct run *b_upper)
{
    size_t from_a, from_b;

    if (a->n >= b->n) {
        from_a = a->n / 2;
        from_b = count_before(s, b->at, b->n, a->at + from_a * s->size, false);
    } else {
        from_b = b->n / 2;
        from_a = count_before(s, a->at, a->n, b->at + from_b * s->size, true);
    }
    *a_upper = (struct run){ a->at + from_a * s->size, a->n - from_a };
    *b_upper = (struct run){ b->at + from_b * s->size, b->n - from_b };
    a->n = from_a;
    b->n = from_b;
}

SHUNT_FORK_VOID(merge, struct sorting *, s, struct run, a, struct run, b,
                char *, to)
{
    while (a.n > 0 && b.n > 0 && sh_loop_goes_on(&s->loop)) {
        if (shunt_hungry() && a.n + b.n >= GRAIN) {
            struct run a_upper, b_upper;
            shunt_frame(merge) upper;

            halve(s, &a, &b, &a_upper, &b_upper);
            shunt_spawn(merge, upper, s, a_upper, b_upper,
                        to + (a.n + b.n) * s->size);
            shunt_call(merge, s, a, b, to);
            shunt_sync(merge, upper);
            return;
        }
        to = merge_some(s, &a, &b, to, CHUNK);
    }
    if (a.n > 0)
        memcpy(to, a.at, a.n * s->size);
    else if (b.n > 0)
        memcpy(to, b.at, b.n * s->size);
}

/* Sort [from, to) of the array; the result is there, or in the scratch. */
SHUNT_FORK_VOID(sort, struct sorting *, s, size_t, from, size_t, to, bool,
                to_scratch)
{
    size_t middle = from + (to - from) / 2, size = s->size;
    char *array = s->array + from * size, *scratch = s->scratch + from * size;
    struct run lower, upper;
    shunt_frame(sort) frame;

    if (!sh_loop_goes_on(&s->loop))
        return;
    if (to - from <= FEW) {
        insert_all(s, array, to - from, scratch);
        if (to_scratch)
            memcpy(scratch, array, (to - from) * size);
        return;
    }
    shunt_spawn(sort, frame, s, middle, to, !to_scratch);
    shunt_call(sort, s, from, middle, !to_scratch);
    shunt_sync(sort, frame);
    /* A half that has ended early has written nothing. */
    if (!sh_loop_goes_on(&s->loop))
        return;
    lower = (struct run){ to_scratch ? array : scratch, middle - from };
    upper = (struct run){ lower.at + lower.n * size, to - middle };
    shunt_call(merge, s, lower, upper, to_scratch ? scratch : array);
}

static int run_sort(const void *in, const void *ctx, void *out)
{
    const struct sorted *given = in;
    struct sorting s = {
        .loop = { .pool = sh_here.run->pool, .fn = given->compare, .grain = 1 },
        .array = given->array,
        .scratch = given->scratch,
        .size = given->size
    };

    (void)ctx;
    (void)out;
    shunt_fork(sort, &s, 0, given->n, false);
    return sh_loop_end(&s.loop);
}

static const shunt_task sort_task = {
    .size_ = sizeof(shunt_task),
    .shape_ = SHUNT_SHAPE_OUT_NONE_,
    .call_ = run_sort,
    .fn_ = "shunt_sort",
    .in_type_ = "",
    .ctx_type_ = "",
    .out_type_ = "shunt_none",
    .in_size_ = sizeof(struct sorted),
    .out_size_ = sizeof(shunt_none),
    .in_align_ = _Alignof(struct sorted),
    .ctx_align_ = 1,
    .out_align_ = _Alignof(shunt_none),
};

shunt_future *shunt_sort_here(shunt_pool *name, shunt_array_ array,
                              shunt_fn_ *compare_fn, const char *where)
{
    struct sorted in = { compare_fn, array.at_, NULL, array.n_, array.size_ };
    struct sh_block *block = NULL;
    struct sh_pool *pool = NULL;
    void *scratch = NULL;
    int rc = sh_loop_find(name, compare_fn, &pool);

    if (rc == 0)
        rc = sh_loop_check_array(&array);
    if (rc == 0 && array.n_ < 2)
        return sh_loop_nothing(pool, where);
    if (rc == 0)
        block = sh_loop_block(pool, array.n_ > FEW ? array.n_ : 1, array.size_,
                              array.align_, &scratch);
    if (rc == 0 && block == NULL)
        rc = SHUNT_ENOMEM;
    if (rc != 0)
        return sh_loop_refuse(pool, rc);
    in.scratch = scratch;
    return sh_submit_own(pool, &sort_task, &in, block, where);
}
