/* SPDX-License-Identifier: MIT */
/*
 * unit/slices_test.c - the heap that processes share, as one of them has it.
 *
 * Goal: blocks are whole, apart, known, counted to the byte and freed once, and
 * what is freed comes back. Method: the heap of one process, with threads and
 * as the memory of a pool; all with either allocator.
 */
#include "slices_stage.h"

#include <pthread.h>

#include "memory/heap.h"

enum {
    MANY = 2000,
    THREADS = 4,
    ROUNDS = 5000
};

static size_t size_from(unsigned *seed)
{
    unsigned kind = rnd(seed) % 64;

    if (kind == 0)
        return 1 + rnd(seed) % (3 * MIB);
    return 1 + rnd(seed) % (kind < 8 ? 50000 : 700);
}

static void blocks_are_aligned_and_hold_what_is_written(void **state)
{
    static struct {
        char *p;
        size_t size;
    } block[MANY];
    unsigned seed = 1;
    size_t sum = 0;

    (void)state;
    stage_begin();
    for (unsigned n = 0; n < 2 * MANY; n++) {
        unsigned i = rnd(&seed) % MANY;

        if (block[i].p != NULL) {
            assert_true(is_filled(block[i].p, block[i].size, i));
            assert_true(sh_slices_put(slices, block[i].p));
            sum -= block[i].size;
        }
        block[i].size = size_from(&seed);
        block[i].p = sh_slices_get(slices, block[i].size);
        if (block[i].p == NULL)
            continue;
        assert_int_equal((uintptr_t)block[i].p % 16, 0);
        fill(block[i].p, block[i].size, i);
        sum += block[i].size;
    }
    assert_true(sum > MIB);
    assert_int_equal(sh_slices_bytes(slices), sum);
    for (unsigned i = 0; i < MANY; i++) {
        if (block[i].p == NULL)
            continue;
        assert_true(is_filled(block[i].p, block[i].size, i));
        assert_true(sh_slices_put(slices, block[i].p));
        block[i].p = NULL;
    }
    assert_int_equal(sh_slices_bytes(slices), 0);
    stage_end();
}

static void every_size_about_a_limit_is_had(void **state)
{
    size_t limit[] = { 17,  64,      80,        257,
                       511, 4096,    16 * 1024, sh_pages_size(),
                       MIB, 2 * MIB, 4 * MIB,   14 * MIB };

    (void)state;
    stage_begin();
    for (unsigned k = 0; k < sizeof limit / sizeof *limit; k++) {
        char *p[3];

        for (unsigned i = 0; i < 3; i++) {
            p[i] = sh_slices_get(slices, limit[k] + i - 1);
            assert_non_null(p[i]);
            fill(p[i], limit[k] + i - 1, k + i);
        }
        for (unsigned i = 0; i < 3; i++) {
            assert_true(is_filled(p[i], limit[k] + i - 1, k + i));
            assert_true(sh_slices_put(slices, p[i]));
        }
    }
    assert_null(sh_slices_get(slices, (SLICES + 1) * 2 * MIB));
    assert_null(sh_slices_get(slices, SIZE_MAX));
    stage_end();
}

static void a_block_is_freed_once_and_nothing_else_is(void **state)
{
    size_t sizes[] = { 1, 100, 5000, 300000, 5 * MIB };
    char other[64], *untouched;

    (void)state;
    stage_begin();
    untouched = sh_slice_base(slices, SLICES / 2);
    for (unsigned k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        char *p = sh_slices_get(slices, sizes[k]);

        assert_false(sh_slices_put(slices, p + 16));
        assert_false(sh_slices_put(slices, p + 1));
        assert_false(sh_slices_put(slices, p - 16));
        assert_false(sh_slices_put(slices, p + sizes[k]));
        assert_int_equal(sh_slices_bytes(slices), sizes[k]);
        assert_true(sh_slices_put(slices, p));
        assert_false(sh_slices_put(slices, p));
        assert_int_equal(sh_slices_bytes(slices), 0);
    }
    assert_false(sh_slices_put(slices, other));
    assert_false(sh_slices_put(slices, untouched));
    assert_false(sh_slices_put(slices, NULL));
    stage_end();
}

static void the_block_around_an_address_is_found(void **state)
{
    size_t sizes[] = { 40, 64, 64, 100, 4000, 70000, 900000, 5 * MIB };
    enum {
        N = sizeof sizes / sizeof *sizes
    };
    char *p[N];

    (void)state;
    stage_begin();
    assert_false(sh_slices_knows(slices, sh_slice_base(slices, 0)));
    for (unsigned i = 0; i < N; i++)
        p[i] = sh_slices_get(slices, sizes[i]);
    for (unsigned i = 0; i < N; i++) {
        assert_ptr_equal(sh_slices_find(slices, p[i]), p[i]);
        assert_ptr_equal(sh_slices_find(slices, p[i] + sizes[i] / 2), p[i]);
        assert_ptr_equal(sh_slices_find(slices, p[i] + sizes[i] - 1), p[i]);
        assert_ptr_not_equal(sh_slices_find(slices, p[i] + sizes[i]), p[i]);
        assert_ptr_not_equal(sh_slices_find(slices, p[i] - 1), p[i]);
    }
    for (unsigned i = 0; i < N; i++) {
        assert_true(sh_slices_put(slices, p[i]));
        assert_false(sh_slices_knows(slices, p[i]));
        assert_false(sh_slices_knows(slices, p[i] + sizes[i] - 1));
    }
    assert_false(sh_slices_knows(slices, &p));
    stage_end();
}

static void a_name_changes_only_from_what_it_is(void **state)
{
    char *p;
    uint64_t scratch;

    (void)state;
    stage_begin();
    p = sh_slices_get(slices, 100);
    scratch = sh_slices_scratch(slices);
    assert_int_equal(scratch, sh_name_scratch(SH_SLICER_HOST));
    assert_false(sh_slices_rename(slices, p, RECORD(1), RECORD(2)));
    assert_true(sh_slices_rename(slices, p, scratch, RECORD(1)));
    assert_false(sh_slices_rename(slices, p, scratch, RECORD(1)));
    assert_false(sh_slices_rename(slices, p + 16, RECORD(1), RECORD(2)));
    sh_slices_publish(slices, p, RECORD(2));
    assert_false(sh_slices_put_named(slices, p, RECORD(1)));
    assert_false(sh_slices_put_named(slices, p, SH_NAME_NONE));
    assert_int_equal(sh_slices_bytes(slices), 100);
    assert_true(sh_slices_put_named(slices, p, RECORD(2)));
    assert_false(sh_slices_put_named(slices, p, RECORD(2)));
    assert_false(sh_slices_put_named(slices, p, SH_NAME_FREED));
    assert_false(sh_slices_rename(slices, p, RECORD(2), RECORD(3)));
    assert_int_equal(sh_slices_bytes(slices), 0);
    stage_end();
}

static void what_is_used_up_comes_back(void **state)
{
    static char *p[64];
    unsigned n[2];

    (void)state;
    stage_begin();
    for (unsigned round = 0; round < 2; round++) {
        n[round] = 0;
        while ((p[n[round]] = sh_slices_get(slices, 3 * MIB)) != NULL)
            n[round]++;
        for (unsigned i = 0; i < n[round]; i++)
            assert_true(sh_slices_put(slices, p[i]));
    }
    assert_int_equal(n[0], SLICES / 2);
    assert_int_equal(n[1], n[0]);
    for (unsigned round = 0; round < 2; round++) {
        n[round] = 0;
        while (n[round] < 64 &&
               (p[n[round]] = sh_slices_get(slices, MIB)) != NULL)
            n[round]++;
        for (unsigned i = 0; i < n[round]; i++)
            assert_true(sh_slices_put(slices, p[i]));
    }
    assert_true(n[0] >= SLICES);
    assert_int_equal(n[1], n[0]);
    stage_end();
}

/* If it did, the end of it would go with another slice. */
static void no_block_reaches_over_the_end_of_its_slice(void **state)
{
    static char *p[128];
    size_t sizes[] = { MIB, 900000, MIB / 2 + 1 };

    (void)state;
    stage_begin();
    for (unsigned k = 0; k < 3; k++) {
        unsigned n = 0;

        for (; n < 128 && (p[n] = sh_slices_get(slices, sizes[k])) != NULL; n++)
            assert_int_equal(sh_slice_of(slices, p[n]),
                             sh_slice_of(slices, p[n] + sizes[k] - 1));
        assert_true(n >= SLICES);
        for (unsigned i = 0; i < n; i++)
            assert_true(sh_slices_put(slices, p[i]));
        sh_slices_trim(slices);
    }
    stage_end();
}

static void what_is_free_takes_no_memory_after_a_trim(void **state)
{
    static char *p[MANY];
    long before, peak;

    (void)state;
    stage_begin();
    before = blocks_in_use();
    for (unsigned i = 0; i < MANY; i++) {
        p[i] = sh_slices_get(slices, 4000);
        memset(p[i], 1, 4000);
    }
    p[0] = memset(sh_slices_get(slices, 5 * MIB), 1, 5 * MIB);
    peak = blocks_in_use();
    assert_true(peak > before + (long)(12 * MIB / 512));
    for (unsigned i = 0; i < MANY; i++)
        assert_true(sh_slices_put(slices, p[i]));
    sh_slices_trim(slices);
    /* Of the directory at most one page for each 16 KiB. */
    assert_true(blocks_in_use() < before + (peak - before) / 3);
    stage_end();
}

/* Small blocks stay, so that no slice is given back. */
static void large_blocks_keep_their_pages_up_to_a_bound(void **state)
{
    static char *p[64], *small[64];
    const long kept_most = (long)(17 * MIB / 512);
    long before, after;

    (void)state;
    stage_begin();
    before = blocks_in_use();
    for (unsigned i = 0; i < 64; i++) {
        p[i] = memset(sh_slices_get(slices, MIB / 2), 1, MIB / 2);
        small[i] = sh_slices_get(slices, 40);
    }
    assert_true(blocks_in_use() > before + (long)(32 * MIB / 512));
    for (unsigned i = 0; i < 64; i++)
        assert_true(sh_slices_put(slices, p[i]));
    after = blocks_in_use();
    assert_true(after > before + (long)(12 * MIB / 512));
    assert_true(after < before + kept_most);
    /* What is handed out again counts no more. */
    for (unsigned i = 0; i < 64; i++)
        p[i] = memset(sh_slices_get(slices, MIB / 2), 1, MIB / 2);
    for (unsigned i = 0; i < 64; i++)
        assert_true(sh_slices_put(slices, p[i]));
    after = blocks_in_use();
    assert_true(after > before + (long)(12 * MIB / 512));
    assert_true(after < before + kept_most);
    sh_slices_trim(slices);
    assert_true(blocks_in_use() < before + (long)(2 * MIB / 512));
    for (unsigned i = 0; i < 64; i++)
        assert_true(sh_slices_put(slices, small[i]));
    stage_end();
}

static _Atomic(char *) slot[32];

static void *exchange(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;

    for (unsigned n = rounds(ROUNDS); n > 0; n--) {
        unsigned size = 8 + rnd(&seed) % 600;
        char *p = sh_slices_get(slices, size);
        char *old;

        need(p != NULL);
        fill(p, size, size);
        memcpy(p, &size, sizeof size);
        old = atomic_exchange(&slot[rnd(&seed) % 32], p);
        if (old == NULL)
            continue;
        memcpy(&size, old, sizeof size);
        fill(old, sizeof size, size);
        need(is_filled(old, size, size));
        need(sh_slices_put(slices, old));
    }
    return NULL;
}

static void many_threads_share_what_a_process_has(void **state)
{
    pthread_t thread[THREADS];

    (void)state;
    stage_begin();
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(
            pthread_create(&thread[i], NULL, exchange, (void *)(i + 1)), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    assert_true(sh_slices_bytes(slices) > 0);
    empty_slots(slot, 32);
    assert_int_equal(sh_slices_bytes(slices), 0);
    assert_int_equal(freed(), 0);
    stage_end();
}

static void every_refusal_leaves_nothing(void **state)
{
    struct sh_slices *s = NULL;
    int64_t n = 1;

    (void)state;
    stage_begin();
    for (; s == NULL && n < 100; n++) {
        sh_fault_set(n);
        s = sh_slices_new(arena, 4 * MIB);
        sh_fault_clear();
    }
    assert_non_null(s);
    assert_int_equal(n, 7);
    assert_null(sh_slices_new(arena, 1));
    assert_null(sh_slices_new(arena, arena->bytes));
    sh_fault_set(1);
    assert_false(sh_slices_join(s, SH_SLICER_HOST));
    sh_fault_clear();
    assert_true(sh_slices_join(s, SH_SLICER_HOST));
    sh_slices_leave(s);
    stage_end();
}

static void two_heaps_of_a_process_are_apart(void **state)
{
    struct sh_slices *first;
    char *p, *q;

    (void)state;
    stage_begin();
    first = slices;
    slices = sh_slices_new(arena, 4 * MIB);
    assert_non_null(slices);
    assert_true(join(SH_SLICER_HOST));
    p = sh_slices_get(first, 100);
    q = sh_slices_get(slices, 100);
    assert_true(sh_slices_has(first, p) && !sh_slices_has(first, q));
    assert_false(sh_slices_put(first, q));
    assert_true(sh_slices_put(slices, q));
    assert_true(sh_slices_put(first, p));
    sh_slices_leave(slices);
    slices = first;
    stage_end();
}

/* -- as the memory of a pool -- */

static void a_shared_heap_keeps_its_limit_and_knows_its_blocks(void **state)
{
    static struct sh_heap heap;
    struct sh_block *b, *other;
    char *bytes, *plain;

    (void)state;
    stage_begin();
    assert_true(sh_heap_init(&heap, 10000, true));
    sh_heap_share(&heap, slices);
    assert_null(sh_heap_get(&heap, 10001));
    plain = sh_heap_get(&heap, 10000);
    assert_true(sh_slices_has(slices, plain));
    assert_null(sh_block_new(&heap, 1, SH_BLOCK_USER));
    sh_heap_put(&heap, plain, 10000);
    sh_heap_put(&heap, plain, 10000); /* counted once */
    assert_int_equal(atomic_load(&heap.bytes), 0);

    b = sh_block_new(&heap, 100, SH_BLOCK_USER);
    other = sh_block_new(&heap, 16, SH_BLOCK_USER);
    assert_int_equal(sh_slices_bytes(slices), 116 + 2 * sizeof *b);
    assert_int_equal(atomic_load(&heap.bytes), 116 + 2 * sizeof *b);
    bytes = sh_block_bytes(b);
    assert_true(sh_heap_knows(&heap, bytes));
    assert_true(sh_heap_knows(&heap, bytes + 100));
    assert_false(sh_heap_knows(&heap, bytes + 101));
    assert_false(sh_heap_knows(&heap, bytes - 1));
    bytes = sh_block_bytes(other);
    assert_true(sh_heap_knows(&heap, bytes));
    assert_true(sh_heap_knows(&heap, bytes + 16)); /* fills its granule */

    assert_false(sh_heap_fasten(&heap, b));
    sh_heap_loosen(&heap, b);
    assert_true(sh_slices_rename(slices, b, SH_NAME_LOOSE, SH_NAME_LOOSE));
    assert_true(sh_heap_fasten(&heap, b));
    assert_false(sh_heap_fasten(&heap, b));
    sh_heap_loosen(&heap, other);
    sh_block_free(b);
    assert_false(sh_heap_knows(&heap, b + 1));
    sh_heap_fini(&heap);
    stage_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_aligned_and_hold_what_is_written),
        cmocka_unit_test(every_size_about_a_limit_is_had),
        cmocka_unit_test(a_block_is_freed_once_and_nothing_else_is),
        cmocka_unit_test(the_block_around_an_address_is_found),
        cmocka_unit_test(a_name_changes_only_from_what_it_is),
        cmocka_unit_test(what_is_used_up_comes_back),
        cmocka_unit_test(no_block_reaches_over_the_end_of_its_slice),
        cmocka_unit_test(what_is_free_takes_no_memory_after_a_trim),
        cmocka_unit_test(large_blocks_keep_their_pages_up_to_a_bound),
        cmocka_unit_test(many_threads_share_what_a_process_has),
        cmocka_unit_test(every_refusal_leaves_nothing),
        cmocka_unit_test(two_heaps_of_a_process_are_apart),
        cmocka_unit_test(a_shared_heap_keeps_its_limit_and_knows_its_blocks),
    };

    return run_with_each_allocator(tests);
}
