/* SPDX-License-Identifier: MIT */
/*
 * sort_test.c - shunt_sort: in order, stable, and nothing lost.
 *
 * Method: an element of at least 8 bytes has a key, by which it is compared,
 * and its index, by which stability is seen. Smaller ones are all key; then
 * what qsort makes of them is what shall come out.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "stage.h"

enum pattern {
    RANDOM,
    FEW_KEYS,
    ASCENDING,
    DESCENDING,
    ORGAN_PIPE,
    ALL_EQUAL,
    NEARLY,
    PATTERNS
};

static uint32_t key_of(enum pattern pattern, size_t i, size_t n)
{
    switch (pattern) {
    case FEW_KEYS:
        return (uint32_t)(stage_random() % 5);
    case ASCENDING:
        return (uint32_t)i;
    case DESCENDING:
        return (uint32_t)(n - i);
    case ORGAN_PIPE:
        return (uint32_t)(i < n / 2 ? i : n - i);
    case ALL_EQUAL:
        return 7;
    case NEARLY:
        return stage_random() % 50 == 0 ? (uint32_t)stage_random()
                                        : (uint32_t)i;
    default:
        return (uint32_t)stage_random();
    }
}

/* ---- elements of several sizes ---- */

struct element8 {
    uint32_t key, index;
};
struct element24 {
    uint32_t key, index;
    char more[16];
};
struct element100 {
    uint32_t key, index;
    char more[92];
};
struct aligned {
    _Alignas(64) uint32_t key;
    uint32_t index;
};

static int by_byte(const unsigned char *a, const unsigned char *b)
{
    return (*a > *b) - (*a < *b);
}

static int by_word(const uint32_t *a, const uint32_t *b)
{
    return (*a > *b) - (*a < *b);
}

static int by_key8(const struct element8 *a, const struct element8 *b)
{
    return by_word(&a->key, &b->key);
}

static int by_key24(const struct element24 *a, const struct element24 *b)
{
    return by_word(&a->key, &b->key);
}

static int by_key100(const struct element100 *a, const struct element100 *b)
{
    return by_word(&a->key, &b->key);
}

static int by_key_aligned(const struct aligned *a, const struct aligned *b)
{
    if ((uintptr_t)a % 64 != 0 || (uintptr_t)b % 64 != 0)
        abort();
    return by_word(&a->key, &b->key);
}

static int qsort_bytes(const void *a, const void *b)
{
    return by_byte(a, b);
}

static int qsort_words(const void *a, const void *b)
{
    return by_word(a, b);
}

/* What a size of elements is made, sorted and looked at with. */
struct kind {
    const char *name;
    size_t size;
    shunt_future *(*sort)(shunt_pool *pool, void *array, size_t n);
    int (*qsort)(const void *a, const void *b); /* if an element is all key */
};

#define SORT(T, compare)                                               \
    static shunt_future *sort_##compare(shunt_pool *pool, void *array, \
                                        size_t n)                      \
    {                                                                  \
        T *elements = array;                                           \
        return shunt_sort(pool, elements, n, compare);                 \
    }
SORT(unsigned char, by_byte)
SORT(uint32_t, by_word)
SORT(struct element8, by_key8)
SORT(struct element24, by_key24)
SORT(struct element100, by_key100)
SORT(struct aligned, by_key_aligned)

static const struct kind kinds[] = {
    { "1 byte", 1, sort_by_byte, qsort_bytes },
    { "4 bytes", 4, sort_by_word, qsort_words },
    { "8 bytes", sizeof(struct element8), sort_by_key8, NULL },
    { "24 bytes", sizeof(struct element24), sort_by_key24, NULL },
    { "100 bytes", sizeof(struct element100), sort_by_key100, NULL },
    { "aligned", sizeof(struct aligned), sort_by_key_aligned, NULL },
};
enum {
    KINDS = sizeof kinds / sizeof kinds[0]
};

static void fill(const struct kind *k, char *array, size_t n,
                 enum pattern pattern)
{
    for (size_t i = 0; i < n; i++) {
        struct element8 e = { key_of(pattern, i, n), (uint32_t)i };
        char *at = array + i * k->size;

        if (k->size < sizeof e) {
            memcpy(at, &e.key, k->size);
            continue;
        }
        memset(at, (int)(i % 251), k->size);
        memcpy(at, &e, sizeof e);
    }
}

/* In order, equal ones as they were, and each with its own bytes. As indexes
 * ascend among equal keys, none is there twice; so none is lost. */
static bool is_stable(const struct kind *k, const char *array, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct element8 e, before;
        const char *at = array + i * k->size;

        memcpy(&e, at, sizeof e);
        for (size_t j = sizeof e; j < k->size; j++)
            if ((unsigned char)at[j] != e.index % 251)
                return false;
        if (e.index >= n)
            return false;
        if (i == 0)
            continue;
        memcpy(&before, at - k->size, sizeof before);
        if (before.key > e.key ||
            (before.key == e.key && before.index >= e.index))
            return false;
    }
    return true;
}

static void sort_one(shunt_pool *pool, const struct kind *k, char *array,
                     size_t n, enum pattern pattern)
{
    char *expected = NULL;

    fill(k, array, n, pattern);
    if (k->qsort != NULL) {
        expected = malloc(n * k->size + 1);
        memcpy(expected, array, n * k->size);
        qsort(expected, n, k->size, k->qsort);
    }
    assert_joins(k->sort(pool, array, n), 0);
    if (expected != NULL)
        assert_true(memcmp(array, expected, n * k->size) == 0);
    else
        assert_true(is_stable(k, array, n));
    free(expected);
}

static void sort_all(shunt_pool *pool, const size_t *sizes, size_t count)
{
    char *array = stage_bytes(sizes[count - 1] * 128);

    for (int k = 0; k < KINDS; k++)
        for (size_t i = 0; i < count; i++)
            for (int pattern = 0; pattern < PATTERNS; pattern++) {
                harness_note("%s, %zu elements, pattern %d", kinds[k].name,
                             sizes[i], pattern);
                sort_one(pool, &kinds[k], array, sizes[i],
                         (enum pattern)pattern);
            }
}

static void small_arrays_of_all_kinds_are_sorted(void)
{
    static const size_t sizes[] = { 0,  1,  2,  3,  7,   23,  24,
                                    25, 26, 48, 49, 100, 1000 };

    for (int workers = 1; workers <= 8; workers *= 2) {
        shunt_pool *pool = harness_pool(workers);

        sort_all(pool, sizes, sizeof sizes / sizeof sizes[0]);
        harness_free(pool);
    }
}

static void large_arrays_of_all_kinds_are_sorted(void)
{
    const size_t sizes[] = { harness_elements(30000),
                             harness_elements(100001) };
    shunt_pool *pool = harness_pool(4);

    harness_limit(180);
    harness_footprint((size_t)64 << 20);
    sort_all(pool, sizes, 2);
    harness_free(pool);
}

static void a_million_elements_are_sorted(void)
{
    char *array = stage_bytes(8000000);
    shunt_pool *pool = harness_pool(4);

    harness_limit(180);
    harness_footprint((size_t)64 << 20);
    sort_one(pool, &kinds[1], array, 1000000 / harness_slowness(), RANDOM);
    sort_one(pool, &kinds[2], array, 1000000 / harness_slowness(), FEW_KEYS);
    harness_free(pool);
}

/* ---- several at a time, in tasks ---- */

struct given {
    uint32_t *array;
    size_t n;
};

static int sort_inside(const struct given *in, shunt_none *out)
{
    (void)out;
    return shunt_join(shunt_sort(NULL, in->array, in->n, by_word));
}
SHUNT_TASK(sort_inside, struct given, shunt_none)

static void tasks_sort_side_by_side(void)
{
    enum {
        SORTS = 20,
        N = 20000
    };
    uint32_t *array = stage_bytes(SORTS * N * sizeof *array);
    shunt_pool *pool = harness_pool(3);
    shunt_future *fs[SORTS];

    harness_footprint((size_t)64 << 20);
    fill(&kinds[1], (char *)array, (size_t)SORTS * N, RANDOM);
    for (size_t i = 0; i < SORTS; i++)
        fs[i] = shunt_submit(pool, sort_inside,
                             &((struct given){ array + i * N, N }));
    assert_joins(shunt_when_all(fs, SORTS), 0);
    for (size_t i = 1; i < (size_t)SORTS * N; i++)
        if (i % N != 0)
            assert_true(array[i - 1] <= array[i]);
    harness_free(pool);
}

/* ---- what ends it, and what it refuses ---- */

static int by_word_slowly(const uint32_t *a, const uint32_t *b)
{
    struct latch *begun = stage_shown(STAGE_OF_TEST);

    if (latch_level(begun) == 0)
        latch_raise(begun);
    for (int i = 0; i < 1000 && !shunt_cancelled(); i++)
        ;
    return by_word(a, b);
}

/* Goal: and leaves nothing in the array that was not there. */
static void a_cancelled_sort_ends(void)
{
    enum {
        N = 1000000
    };
    size_t n = harness_elements(N);
    uint32_t *array = stage_bytes(n * sizeof *array);

    harness_footprint((size_t)64 << 20);
    fill(&kinds[1], (char *)array, n, RANDOM);
    for (size_t i = 0; i < n; i++)
        array[i] = array[i] >> 8 | 0x5a000000;
    for (int workers = 1; workers <= 4; workers *= 2) {
        struct latch *begun = stage_latch();
        shunt_pool *pool = harness_pool(workers);
        shunt_future *f;

        stage_show(STAGE_OF_TEST, begun);
        f = shunt_sort(pool, array, n, by_word_slowly);
        assert_true(latch_reaches(begun, 1));
        for (int i = workers * 100; i > 0; i--)
            sched_yield();
        assert_status(shunt_cancel(f), 1);
        assert_joins(f, SHUNT_ECANCELED);
        harness_free(pool);
        for (size_t i = 0; i < n; i++)
            if (array[i] >> 24 != 0x5a)
                fail_msg("element %zu is %x", i, array[i]);
    }
}

static void without_memory_for_the_scratch_a_sort_fails(void)
{
    enum {
        N = 16 << 20
    };
    static unsigned char array[N]; /* nobody comes to look at it */
    shunt_pool *pool = NULL;

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = 1, .arena_bytes = 8 << 20 }));
    assert_joins(shunt_sort(pool, array, N, by_byte), SHUNT_ENOMEM);
    harness_free(pool);
}

static void a_bad_argument_fails_a_sort(void)
{
    int (*none)(const uint32_t *, const uint32_t *) = NULL;
    shunt_pool *pool = harness_pool(1);
    uint32_t array[3] = { 3, 1, 2 }, *nothing = NULL;

    assert_joins(shunt_sort(pool, array, 3, none), SHUNT_EINVAL);
    assert_joins(shunt_sort(pool, nothing, 3, by_word), SHUNT_EINVAL);
    assert_joins(shunt_sort(pool, array, SIZE_MAX, by_word), SHUNT_EINVAL);
    assert_joins(shunt_sort(NULL, array, 3, by_word), SHUNT_EINVAL);
    assert_joins(shunt_sort(pool, nothing, 0, by_word), 0);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    assert_joins(shunt_sort(pool, array, 3, by_word), SHUNT_ECLOSED);
    assert_true(array[0] == 3 && array[1] == 1 && array[2] == 2);
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(small_arrays_of_all_kinds_are_sorted),
    CLAIM(large_arrays_of_all_kinds_are_sorted),
    CLAIM(a_million_elements_are_sorted),
    CLAIM(tasks_sort_side_by_side),
    CLAIM(a_cancelled_sort_ends),
    CLAIM(without_memory_for_the_scratch_a_sort_fails),
    CLAIM(a_bad_argument_fails_a_sort),
};

HARNESS_MAIN(claims)
