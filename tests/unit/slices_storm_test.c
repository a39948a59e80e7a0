/* SPDX-License-Identifier: MIT */
/*
 * unit/slices_storm_test.c - processes that are killed while they exchange
 * blocks of the shared heap.
 *
 * Goal: after each death what is in slots is all there is, and whole, while
 * others go on; and once all is freed the heap takes as much memory as before.
 * Method: one after the other is killed at a random moment, with a seed that is
 * printed and can be given again ($SHUNT_TEST_SEED): the choices are the same
 * then, the moments are not.
 */
#include "slices_slots.h"

#include <poll.h>
#include <sched.h>

static uint64_t seed;
static unsigned kills;

static uint64_t next_random(uint64_t *from)
{
    *from ^= *from << 13;
    *from ^= *from >> 7;
    *from ^= *from << 17;
    return *from;
}

static uint32_t size_at_random(uint64_t *from)
{
    uint64_t kind = next_random(from) % 200;

    if (kind == 0)
        return (uint32_t)(2 * MIB + next_random(from) % (2 * MIB));
    return (uint32_t)(16 + next_random(from) % (kind < 20 ? 60000 : 600));
}

/* Until it is killed. Between two operations it waits if the host wants to
 * look. */
static void work(void *arg)
{
    uint64_t *own = arg;
    unsigned me = (unsigned)(*own & 15), seen = 0;
    uint64_t random = *own;

    for (;;) {
        unsigned round = atomic_load(&shared->pause), n;
        char *kept[8] = { NULL };
        char c = 0;

        if (round != 0 && round != seen) {
            seen = round;
            need(write(told[1], &c, 1) == 1);
            need(read(go[0], &c, 1) == 1);
            need(write(told[1], &c, 1) == 1);
        }
        n = (unsigned)(next_random(&random) % 8);
        for (unsigned i = 0; i < n; i++)
            kept[i] = make(size_at_random(&random), 8);
        for (unsigned i = 0; i < n; i++) {
            uint32_t size = size_at_random(&random);
            uint32_t filled = size > MIB ? 5000 : size - 8;
            char *p = i % 2 == 0 ? NULL : make(size, filled);

            place((unsigned)(next_random(&random) % SLOTS), p);
            need(kept[i] == NULL || sh_slices_put(slices, kept[i]));
        }
        atomic_fetch_add(&shared->ops[me], 1);
    }
}

static pid_t worker[WORKERS];

static void start_worker(unsigned i)
{
    static uint64_t own;

    do
        own = (next_random(&seed) & ~(uint64_t)15) | i;
    while (own < 16);
    worker[i] = begin_process(SH_SLICER_WORKER + i, work, &own);
}

/* Some operations later, and then at any point of one. */
static void wait_a_little(unsigned i)
{
    unsigned from = atomic_load(&shared->ops[i]);
    unsigned ops = (unsigned)(next_random(&seed) % 4);
    unsigned spins = (unsigned)(next_random(&seed) % 20000);

    while (atomic_load(&shared->ops[i]) - from < ops) {
        assert_false(has_ended(worker[i]));
        sched_yield();
    }
    for (unsigned k = 0; k < spins; k++)
        sh_relax();
}

/* From all but one, which is dead. */
static void hear_others(unsigned but)
{
    struct pollfd waits = { .fd = told[0], .events = POLLIN };
    char c;

    for (unsigned n = 1; n < WORKERS; n++) {
        while (poll(&waits, 1, 100) == 0) {
            for (unsigned i = 0; i < WORKERS; i++)
                assert_true(i == but || !has_ended(worker[i]));
        }
        assert_int_equal(read(told[0], &c, 1), 1);
    }
}

static void stop_others(unsigned round, unsigned but)
{
    atomic_store(&shared->pause, round);
    hear_others(but);
}

/* None is killed before it has heard that. */
static void let_go_on(unsigned but)
{
    atomic_store(&shared->pause, 0);
    for (unsigned n = 1; n < WORKERS; n++)
        assert_int_equal(write(go[1], "x", 1), 1);
    hear_others(but);
}

static long settled_use(void)
{
    sh_slices_trim(slices);
    assert_int_equal(sh_slices_bytes(slices), 0);
    assert_int_equal(slices_that_are(SH_SLICE_FREE), SLICES);
    return blocks_in_use();
}

/* All kinds of memory of the heap that stay in use once they were used. */
static long use_when_empty(void)
{
    unsigned some = 0, large = 2;

    for (unsigned i = 0; i < WORKERS; i++) {
        run_process(SH_SLICER_WORKER + i, make_some, &some);
        run_process(SH_SLICER_WORKER + WORKERS + i, make_large, &large);
        sh_slices_retire(slices, SH_SLICER_WORKER + i);
        sh_slices_retire(slices, SH_SLICER_WORKER + WORKERS + i);
        empty_slots(shared->slot, SLOTS);
    }
    return settled_use();
}

static void workers_may_be_killed_at_any_moment(void **state)
{
    size_t died = 0, left = 0;
    long before, after;

    (void)state;
    begin();
    before = use_when_empty();
    for (unsigned i = 0; i < WORKERS; i++)
        start_worker(i);
    for (unsigned n = 1; n <= kills; n++) {
        unsigned i = (unsigned)(next_random(&seed) % WORKERS);

        wait_a_little(i);
        kill_process(worker[i]);
        died += sh_slices_retire(slices, SH_SLICER_WORKER + i) > 0;
        sh_slices_retire(slices, SH_SLICER_WORKER + i);
        stop_others(n, i);
        assert_true(is_retired(SH_SLICER_WORKER + i));
        left += sh_slices_filter(slices, is_in_slot, NULL) > 0;
        assert_true(is_sound());
        let_go_on(i);
        start_worker(i);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        kill_process(worker[i]);
        sh_slices_retire(slices, SH_SLICER_WORKER + i);
    }
    assert_true(is_sound());
    assert_true(UNDER_VALGRIND || blocks_in_use() > before);
    empty_slots(shared->slot, SLOTS);
    after = settled_use();
    assert_true(UNDER_VALGRIND || after == before);
    print_message("%u kills, %zu with scratch, %zu with what was in no slot\n",
                  kills, died, left);
    assert_true(died > kills / 10);
    end();
}

int main(void)
{
    const char *text = getenv("SHUNT_TEST_SEED");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_may_be_killed_at_any_moment),
    };

    kills = SLOW ? 60 : is_thorough() ? 300 : 100;
    seed = text != NULL ? strtoull(text, NULL, 0) : 20261128;
    print_message("seed %llu\n", (unsigned long long)seed);
    return run_with_each_allocator(tests);
}
