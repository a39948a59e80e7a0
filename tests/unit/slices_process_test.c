/* SPDX-License-Identifier: MIT */
/*
 * unit/slices_process_test.c - the heap that processes share, as several have
 * it, and what is left of one.
 *
 * Goal: any process frees what any other made, once; what a dead process had
 * for itself goes, what it had published stays, and slices and pages come
 * back. Method: real processes, forked before they join, as workers are; they
 * end between two calls. All with either allocator.
 */
#include "slices_stage.h"

enum {
    MANY = 2000,
    ROUNDS = 5000
};

struct talk {
    _Atomic(char *) slot[32];
    char *p[MANY];
    unsigned n;
    int to[2], from[2]; /* pipes: to a process, and back */
};

static struct talk *talk(void)
{
    struct talk *t = sh_arena_map(arena, sizeof *t, SH_PAGES_RW);

    assert_non_null(t);
    memset(t, 0, sizeof *t); /* takes its memory now */
    assert_int_equal(pipe(t->to) | pipe(t->from), 0);
    return t;
}

static void talk_end(struct talk *t)
{
    close(t->to[0]);
    close(t->to[1]);
    close(t->from[0]);
    close(t->from[1]);
}

static void say(int fd)
{
    need(write(fd, "x", 1) == 1);
}

static void hear(int fd)
{
    char c;

    need(read(fd, &c, 1) == 1);
}

static void make_twice(void *arg)
{
    struct talk *t = arg;
    unsigned slices_before;

    for (unsigned i = 0; i < t->n; i++) {
        t->p[i] = sh_slices_get(slices, 500 + i);
        fill(t->p[i], 500 + i, i);
    }
    slices_before = slices_that_are(SH_SLICE_FREE);
    say(t->from[1]);
    hear(t->to[0]);
    need(freed() == t->n);
    for (unsigned i = 0; i < t->n; i++)
        need(sh_slices_get(slices, 500 + i) != NULL);
    need(freed() == 0);
    need(slices_that_are(SH_SLICE_FREE) == slices_before);
    need(sh_slices_bytes(slices) == 500 * t->n + t->n * (t->n - 1) / 2);
}

static void an_owner_takes_back_what_others_freed(void **state)
{
    struct talk *t;
    pid_t pid;

    (void)state;
    stage_begin();
    t = talk();
    t->n = MANY;
    pid = begin_process(2, make_twice, t);
    hear(t->from[0]);
    for (unsigned i = 0; i < t->n; i++) {
        assert_true(is_filled(t->p[i], 500 + i, i));
        assert_true(sh_slices_put(slices, t->p[i]));
        assert_false(sh_slices_put(slices, t->p[i]));
    }
    assert_int_equal(sh_slices_bytes(slices), 0);
    say(t->to[1]);
    end_process(pid);
    sh_slices_retire(slices, 2);
    assert_int_equal(sh_slices_bytes(slices), 0);
    assert_int_equal(slices_that_are(SH_SLICE_FREE), SLICES);
    talk_end(t);
    stage_end();
}

static void exchange_in_process(void *arg)
{
    struct talk *t = arg;
    unsigned seed = (unsigned)getpid();

    for (unsigned n = rounds(ROUNDS); n > 0; n--) {
        unsigned size = 8 + rnd(&seed) % (n % 100 == 0 ? 2500000 : 3000);
        char *p = sh_slices_get(slices, size), *old;

        need(p != NULL);
        fill(p, size, size);
        memcpy(p, &size, sizeof size);
        sh_slices_publish(slices, p, RECORD(n));
        old = atomic_exchange(&t->slot[rnd(&seed) % 32], p);
        if (old == NULL)
            continue;
        memcpy(&size, old, sizeof size);
        fill(old, sizeof size, size);
        need(is_filled(old, size, size));
        need(sh_slices_put(slices, old));
    }
}

static void processes_free_what_others_made(void **state)
{
    struct talk *t;
    pid_t pid[3];

    (void)state;
    stage_begin();
    t = talk();
    for (unsigned i = 0; i < 3; i++)
        pid[i] = begin_process(2 + i, exchange_in_process, t);
    exchange_in_process(t);
    for (unsigned i = 0; i < 3; i++) {
        end_process(pid[i]);
        assert_int_equal(sh_slices_retire(slices, 2 + i), 0);
    }
    assert_true(sh_slices_bytes(slices) > 0);
    empty_slots(t->slot, 32);
    assert_int_equal(sh_slices_bytes(slices), 0);
    sh_slices_trim(slices); /* what others freed last may have tails */
    assert_int_equal(slices_that_are(SH_SLICE_ORPHAN), 0);
    assert_int_equal(slices_that_are(SH_SLICE_TAIL), 0);
    talk_end(t);
    stage_end();
}

/* Every third is published, the first of all with tails. */
static size_t size_of(unsigned i)
{
    return i == 0 ? 5 * MIB : i % 10 == 0 ? 40000 + i : 200 + i;
}

static void leave_some(void *arg)
{
    struct talk *t = arg;

    for (unsigned i = 0; i < t->n; i++) {
        t->p[i] = sh_slices_get(slices, size_of(i));
        need(t->p[i] != NULL);
        fill(t->p[i], size_of(i), i);
        if (i % 3 == 0)
            sh_slices_publish(slices, t->p[i],
                              i % 2 == 0 ? RECORD(i + 1) : SH_NAME_LOOSE);
    }
    need(sh_slices_get(slices, 7 * MIB) != NULL);
}

static void use_all_kinds(void *arg)
{
    (void)arg;
    need(sh_slices_get(slices, 100) != NULL);
    need(sh_slices_get(slices, 5 * MIB) != NULL);
}

static void free_published(void *arg)
{
    struct talk *t = arg;

    for (unsigned i = 0; i < t->n; i += 3) {
        need(is_filled(t->p[i], size_of(i), i));
        need(sh_slices_put(slices, t->p[i]));
        need(!sh_slices_put(slices, t->p[i]));
    }
}

static void the_dead_leave_what_they_published(void **state)
{
    struct talk *t;
    size_t scratch = 7 * MIB, published = 0;
    long before, peak;

    (void)state;
    stage_begin();
    t = talk();
    t->n = 1000;
    for (unsigned i = 0; i < t->n; i++)
        *(i % 3 == 0 ? &published : &scratch) += size_of(i);
    run_process(3, use_all_kinds, NULL); /* touches what stays touched */
    assert_int_equal(sh_slices_retire(slices, 3), 100 + 5 * MIB);
    before = blocks_in_use();
    run_process(2, leave_some, t);
    assert_int_equal(sh_slices_bytes(slices), scratch + published);
    peak = blocks_in_use();
    assert_int_equal(sh_slices_retire(slices, 2), scratch);
    assert_int_equal(sh_slices_retire(slices, 2), 0);
    assert_int_equal(sh_slices_bytes(slices), published);
    assert_false(owns_some(2));
    assert_true(slices_that_are(SH_SLICE_ORPHAN) > 0);
    assert_true(UNDER_VALGRIND || blocks_in_use() < peak);
    for (unsigned i = 0; i < t->n; i++)
        assert_true(sh_slices_knows(slices, t->p[i]) == (i % 3 == 0));
    run_process(3, free_published, t);
    assert_int_equal(sh_slices_bytes(slices), 0);
    assert_int_equal(slices_that_are(SH_SLICE_FREE), SLICES);
    assert_true(UNDER_VALGRIND || blocks_in_use() == before);
    talk_end(t);
    stage_end();
}

static void pages_without_a_block_go_at_once(void **state)
{
    struct talk *t;
    long before;
    size_t page = sh_pages_size();

    (void)state;
    stage_begin();
    t = talk();
    t->n = 1000;
    run_process(2, leave_some, t);
    sh_slices_retire(slices, 2);
    /* One of many pages, in an orphan that others keep. */
    before = blocks_in_use();
    assert_true(sh_slices_put(slices, t->p[30]));
    assert_true(slices_that_are(SH_SLICE_ORPHAN) > 0);
    assert_true(UNDER_VALGRIND ||
                blocks_in_use() <=
                    before - (long)((40000 - 2 * page) / page * page / 512));
    for (unsigned i = 0; i < t->n; i += 3)
        assert_true(i == 30 || is_filled(t->p[i], size_of(i), i));
    talk_end(t);
    stage_end();
}

static void keep_away_from_orphans(void *arg)
{
    struct talk *t = arg;

    for (unsigned i = 0; i < MANY; i++) {
        char *p = sh_slices_get(slices, 300);

        need(p != NULL);
        fill(p, 300, i);
        for (unsigned k = 0; i == 0 && k < t->n; k += 3)
            need(sh_slice_of(slices, p) != sh_slice_of(slices, t->p[k]));
    }
    for (unsigned k = 0; k < t->n; k += 3)
        need(is_filled(t->p[k], size_of(k), k));
}

static void a_replacement_begins_with_slices_of_its_own(void **state)
{
    struct talk *t;

    (void)state;
    stage_begin();
    t = talk();
    t->n = 1000;
    run_process(2, leave_some, t);
    sh_slices_retire(slices, 2);
    run_process(2, keep_away_from_orphans, t);
    assert_int_equal(sh_slices_retire(slices, 2), 300 * MANY);
    free_published(t);
    assert_int_equal(slices_that_are(SH_SLICE_FREE), SLICES);
    talk_end(t);
    stage_end();
}

static void take_for_itself(void *arg)
{
    struct talk *t = arg;

    need(sh_slices_rename(slices, t->p[0], RECORD(1),
                          sh_slices_scratch(slices)));
}

static void scratch_in_the_slices_of_others_goes_too(void **state)
{
    struct talk *t;

    (void)state;
    stage_begin();
    t = talk();
    for (unsigned i = 0; i < 2; i++) {
        t->p[i] = sh_slices_get(slices, 100 + i);
        sh_slices_publish(slices, t->p[i], RECORD(i + 1));
    }
    run_process(2, take_for_itself, t);
    assert_int_equal(sh_slices_bytes(slices), 201);
    assert_int_equal(sh_slices_retire(slices, 3), 0);
    assert_int_equal(sh_slices_retire(slices, 2), 100);
    assert_int_equal(sh_slices_bytes(slices), 101);
    assert_false(sh_slices_put(slices, t->p[0]));
    assert_true(sh_slices_put(slices, t->p[1]));
    talk_end(t);
    stage_end();
}

static bool keep_odd(void *arg, void *p, size_t size, uint64_t name)
{
    (void)p;
    (void)size;
    ++*(unsigned *)arg;
    return name == SH_NAME_LOOSE || (name >> 32) % 2 == 1;
}

static void a_filter_frees_what_is_not_kept(void **state)
{
    struct talk *t;
    unsigned seen = 0;

    (void)state;
    stage_begin();
    t = talk();
    for (unsigned i = 0; i < 10; i++) {
        t->p[i] = sh_slices_get(slices, 100 + i);
        sh_slices_publish(slices, t->p[i], RECORD(i));
    }
    assert_int_equal(sh_slices_filter(slices, keep_odd, &seen), 520);
    assert_int_equal(seen, 10);
    for (unsigned i = 0; i < 10; i++)
        assert_true(sh_slices_put(slices, t->p[i]) == (i % 2 == 1));
    talk_end(t);
    stage_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_owner_takes_back_what_others_freed),
        cmocka_unit_test(processes_free_what_others_made),
        cmocka_unit_test(the_dead_leave_what_they_published),
        cmocka_unit_test(pages_without_a_block_go_at_once),
        cmocka_unit_test(a_replacement_begins_with_slices_of_its_own),
        cmocka_unit_test(scratch_in_the_slices_of_others_goes_too),
        cmocka_unit_test(a_filter_frees_what_is_not_kept),
    };

    return run_with_each_allocator(tests);
}
