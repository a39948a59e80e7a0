/* SPDX-License-Identifier: MIT */
/*
 * blocking_test.c - tasks that wait in the kernel: who runs in the stead of
 * their workers, how many, and what becomes of them when the pool ends.
 *
 * Method. A task says that it blocks, counts itself in by a latch, and waits
 * for another: if so many count themselves in, they wait at one time. What must
 * not happen is given a while, or a deadline that a clock moved by hand brings.
 */
#include <sched.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dumped.h"
#include "section.h"

/* ---- how many ---- */

static void tasks_that_block_do_so_at_one_time(void)
{
    for (int workers = 1; workers <= 2; workers++) {
        shunt_pool *pool = pool_of(workers, 0);
        for (int round = 0; round < 3; round++)
            run_at_once(pool, 10, &shunt_task_wait_in_section);
        assert_works(pool);
        harness_free(pool);
    }
}

/* Goal: more workers than one word of sleepers has bits for. */
static void forty_tasks_block_at_one_time(void)
{
    shunt_pool *pool = pool_of(1, 0);

    for (int round = 0; round < 3; round++)
        run_at_once(pool, MOST, &shunt_task_wait_in_section);
    harness_free(pool);
}

static void a_task_with_the_trait_need_not_say_it(void)
{
    shunt_pool *pool = pool_of(1, 0);

    run_at_once(pool, 10, &shunt_task_wait_with_trait);
    assert_long((long)stats_of(pool).blocking_begun, 10);
    harness_free(pool);
}

/* Method: one that is submitted after the others were seen to block finds
 * nobody, and whoever submits it has to get somebody. */
static void a_task_that_comes_later_finds_somebody(void)
{
    shunt_pool *pool = pool_of(1, 0);
    struct section in = new_section();
    shunt_future *fs[10];

    for (unsigned i = 0; i < 10; i++) {
        fs[i] = shunt_submit(pool, wait_in_section, &in);
        assert_true(latch_reaches(in.in, i + 1));
        assert_works(pool);
    }
    latch_raise(in.go);
    for (int i = 0; i < 10; i++)
        assert_joins(fs[i], 0);
    harness_free(pool);
}

/* Goal: of the race between a section that begins and a task that is pushed.
 * Method: no pause between them; then the worker blocks until the task has
 * run. */
static void no_task_is_left_beside_a_section_that_begins(void)
{
    shunt_pool *pool = pool_of(1, 1);

    for (long i = harness_rounds(20000); i > 0; i--) {
        struct section in = new_section();
        shunt_future *f = shunt_submit(pool, wait_in_section, &in);
        shunt_future *next = shunt_submit(
            pool, stage_job, &(struct job){ .started = in.go, .value = 3 });
        assert_takes(next, 3);
        assert_joins(f, 0);
    }
    harness_free(pool);
}

static void no_more_stand_in_than_blocking_max_says(void)
{
    for (int most = 1; most <= 3; most++) {
        shunt_pool *pool = pool_of(1, most);
        struct section in = new_section();
        unsigned n = 1 + (unsigned)most;
        shunt_future *fs[6];
        for (unsigned i = 0; i < n + 2; i++)
            fs[i] = shunt_submit(pool, wait_in_section, &in);
        assert_true(latch_reaches(in.in, n));
        wait_a_while();
        assert_long(latch_level(in.in), n);
        assert_true(stats_of(pool).blocking_capped > 0);
        assert_long(stats_of(pool).blocked, n);
        assert_long(stats_of(pool).workers, n);
        latch_raise(in.go);
        for (unsigned i = 0; i < n + 2; i++)
            assert_joins(fs[i], 0);
        harness_free(pool);
    }
}

static void nobody_stands_in_if_blocking_max_is_negative(void)
{
    shunt_pool *pool = pool_of(1, -1);
    struct section in = new_section();
    shunt_future *f = shunt_submit(pool, wait_in_section, &in);
    shunt_future *behind = shunt_submit(pool, stage_same, &(long){ 3 });

    assert_true(latch_reaches(in.in, 1));
    wait_a_while();
    assert_status(shunt_status(behind), SHUNT_PENDING);
    assert_long(stats_of(pool).blocked, 1);
    assert_long((long)stats_of(pool).stood_in, 0);
    latch_raise(in.go);
    assert_joins(f, 0);
    assert_takes(behind, 3);
    harness_free(pool);
}

static void a_number_out_of_range_is_refused(void)
{
    static const char *const words[] = { "0", "-1", "1025", "many", "3x" };
    shunt_pool *pool = NULL;

    assert_status(
        shunt_pool_new(
            &pool, &(shunt_options){ .workers = 1,
                                     .blocking_max = SHUNT_WORKERS_MAX + 1 }),
        SHUNT_EINVAL);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        harness_env("SHUNT_BLOCKING_MAX", words[i]);
        assert_status(shunt_pool_new(&pool, &(shunt_options){ .workers = 1 }),
                      SHUNT_EINVAL);
    }
    assert_null(pool);
    harness_env("SHUNT_BLOCKING_MAX", "9");
    assert_ok(shunt_pool_new(&pool, &(shunt_options){ .workers = 1 }));
    run_at_once(pool, 10, &shunt_task_wait_in_section);
    harness_free(pool);
}

/* ---- what a section is ---- */

static void sections_nest(void)
{
    shunt_pool *pool = pool_of(1, 1);
    struct section in = new_section();
    shunt_future *f;

    in.depth = 5;
    f = shunt_submit(pool, wait_in_section, &in);
    assert_true(latch_reaches(in.in, 1));
    assert_works(pool);
    assert_long(stats_of(pool).blocked, 1);
    assert_long((long)stats_of(pool).blocking_begun, 1);
    latch_raise(in.go);
    assert_joins(f, 0);
    assert_long(tally_of(in.rc), 0);
    assert_long(stats_of(pool).blocked, 0);
    harness_free(pool);
}

/* Method: of two sections one has ended; the worker is still free to others. */
static int end_the_inner_one(const struct section *in, shunt_none *out)
{
    (void)out;
    if (shunt_blocking_begin() != 0 || shunt_blocking_begin() != 0 ||
        shunt_blocking_end() != 0)
        return 1;
    latch_raise(in->in);
    if (!latch_reaches(in->go, 1))
        return 2;
    return shunt_blocking_end() == 0 && shunt_blocking_end() == SHUNT_EINVAL
               ? 0
               : 3;
}
SHUNT_TASK(end_the_inner_one, struct section, shunt_none)

static void the_outermost_section_counts(void)
{
    shunt_pool *pool = pool_of(1, 1);
    struct section in = new_section();
    shunt_future *f = shunt_submit(pool, end_the_inner_one, &in);

    assert_true(latch_reaches(in.in, 1));
    assert_works(pool);
    latch_raise(in.go);
    assert_joins(f, 0);
    harness_free(pool);
}

static int end_without_begin(const shunt_none *in, long *out)
{
    (void)in;
    *out = shunt_blocking_end();
    return 0;
}
SHUNT_TASK(end_without_begin, shunt_none, long)

static int end_of_the_trait(const shunt_none *in, long *out)
{
    (void)in;
    *out = shunt_blocking_end();
    if (shunt_blocking_begin() != 0 || shunt_blocking_end() != 0)
        return 1;
    return 0;
}
SHUNT_TASK(end_of_the_trait, shunt_none, long, .blocking = true)

static void misuse_is_an_error(void)
{
    shunt_pool *pool = pool_of(1, 1);

    assert_status(shunt_blocking_begin(), SHUNT_EINVAL);
    assert_status(shunt_blocking_end(), SHUNT_EINVAL);
    assert_takes(shunt_submit(pool, end_without_begin, NULL), SHUNT_EINVAL);
    assert_takes(shunt_submit(pool, end_of_the_trait, NULL), SHUNT_EINVAL);
    harness_free(pool);
}

static int fork_a_child(const shunt_none *in, long *out)
{
    pid_t pid = fork();
    int status = -1;

    (void)in;
    if (pid == 0)
        _exit(shunt_blocking_begin() == SHUNT_EFORKED &&
                      shunt_blocking_end() == SHUNT_EFORKED
                  ? 3
                  : 4);
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return 1;
    *out = WEXITSTATUS(status);
    return 0;
}
SHUNT_TASK(fork_a_child, shunt_none, long)

static void the_child_of_a_task_has_no_sections(void)
{
    shunt_pool *pool = pool_of(1, 1);

    assert_takes(shunt_submit(pool, fork_a_child, NULL), 3);
    harness_free(pool);
}

static void a_dump_says_who_is_blocked(void)
{
    shunt_pool *pool = pool_of(1, 1);
    struct section in = new_section();
    shunt_future *f = shunt_submit(pool, wait_in_section, &in);

    assert_true(latch_reaches(in.in, 1));
    assert_works(pool);
    assert_int_equal(count_parts(dump_raw(pool), ", blocked;"), 1);
    latch_raise(in.go);
    assert_joins(f, 0);
    assert_int_equal(count_parts(dump_raw(pool), ", blocked;"), 0);
    harness_free(pool);
}

static int leave_open(const shunt_none *in, shunt_none *out)
{
    (void)in;
    (void)out;
    return shunt_blocking_begin() != 0 || shunt_blocking_begin() != 0;
}
SHUNT_TASK(leave_open, shunt_none, shunt_none)

static void a_section_ends_with_its_task(void)
{
    shunt_pool *pool = pool_of(1, 1);

    for (int i = 0; i < 10; i++) {
        assert_joins(shunt_submit(pool, leave_open, NULL), 0);
        assert_takes(shunt_submit(pool, end_without_begin, NULL), SHUNT_EINVAL);
    }
    assert_long(stats_of(pool).blocked, 0);
    harness_free(pool);
}

struct parks {
    shunt_future *pending;
    struct latch *in;
};

static int park_in_section(const struct parks *in, long *out)
{
    int rc = shunt_blocking_begin();

    latch_raise(in->in);
    *out = shunt_await(in->pending) + rc;
    return shunt_blocking_end() == SHUNT_EINVAL ? 0 : 1;
}
SHUNT_TASK(park_in_section, struct parks, long)

static void a_section_ends_where_its_task_waits_for_a_future(void)
{
    shunt_pool *pool = pool_of(1, 1);
    struct stage_promise made = stage_promise(pool);
    struct parks in = { made.future, stage_latch() };
    shunt_future *f = shunt_submit(pool, park_in_section, &in);

    assert_true(latch_reaches(in.in, 1));
    stage_asleep(pool, 1);
    assert_long(stats_of(pool).blocked, 0);
    assert_works(pool);
    stage_give(made.promise, 1);
    assert_takes(f, 0);
    assert_takes(made.future, 1);
    harness_free(pool);
}

static int park_then_block(const struct section *in, shunt_none *out)
{
    (void)out;
    if (shunt_join(shunt_delay(NULL, 0)) != 0)
        return 1;
    latch_raise(in->in);
    return latch_reaches(in->go, 1) ? 0 : STAGE_LATE;
}
SHUNT_TASK(park_then_block, struct section, shunt_none, .blocking = true)

static void the_trait_holds_after_a_wait(void)
{
    shunt_pool *pool = pool_of(1, 0);

    run_at_once(pool, 5, &shunt_task_park_then_block);
    harness_free(pool);
}

/* Method: what is parked on the worker goes on when that is back. */
static void a_worker_goes_on_after_a_section(void)
{
    shunt_pool *pool = pool_of(1, 1);
    struct stage_promise made = stage_promise(pool);
    struct parks parks = { made.future, stage_latch() };
    shunt_future *parked = shunt_submit(pool, park_in_section, &parks);
    struct section in = new_section();
    shunt_future *f;

    assert_true(latch_reaches(parks.in, 1));
    stage_asleep(pool, 1);
    f = shunt_submit(pool, wait_in_section, &in);
    assert_true(latch_reaches(in.in, 1));
    stage_give(made.promise, 1);
    assert_works(pool);
    assert_status(shunt_status(parked), SHUNT_PENDING);
    latch_raise(in.go);
    assert_takes(parked, 0);
    assert_joins(f, 0);
    assert_takes(made.future, 1);
    harness_free(pool);
}

struct gauge {
    struct tally *running, *most;
};

static int be_counted(const struct gauge *in, shunt_none *out)
{
    (void)out;
    tally_max(in->most, tally_add(in->running, 1) + 1);
    sched_yield();
    tally_add(in->running, -1);
    return 0;
}
SHUNT_TASK(be_counted, struct gauge, shunt_none)

static void those_who_stood_in_rest_afterwards(void)
{
    shunt_pool *pool = pool_of(1, 0);
    int alone = 0;

    run_at_once(pool, 10, &shunt_task_wait_in_section);
    for (int i = 0; i < 100000 && alone < 20; i++) {
        struct gauge gauge = { stage_tally(), stage_tally() };
        shunt_future *fs[50];
        for (int k = 0; k < 50; k++)
            fs[k] = shunt_submit(pool, be_counted, &gauge);
        assert_joins(shunt_when_all(fs, 50), 0);
        alone = tally_of(gauge.most) == 1 ? alone + 1 : 0;
    }
    assert_long(alone, 20);
    harness_free(pool);
}

/* Goal: a section costs no thread when there is nothing for one to do. */
static void nobody_stands_in_for_nothing(void)
{
    shunt_pool *pool = pool_of(1, 0);

    for (int i = 0; i < 20; i++) {
        struct section in = new_section();
        shunt_future *f = shunt_submit(pool, wait_in_section, &in);
        assert_true(latch_reaches(in.in, 1));
        latch_raise(in.go);
        assert_joins(f, 0);
    }
    assert_long((long)stats_of(pool).stood_in, 0);
    assert_long((long)stats_of(pool).workers, 1);
    assert_long((long)stats_of(pool).blocking_begun, 20);
    harness_free(pool);
}

static const struct CMUnitTest blocking[] = {
    CLAIM(tasks_that_block_do_so_at_one_time),
    CLAIM(forty_tasks_block_at_one_time),
    CLAIM(a_task_with_the_trait_need_not_say_it),
    CLAIM(a_task_that_comes_later_finds_somebody),
    CLAIM(no_task_is_left_beside_a_section_that_begins),
    CLAIM(no_more_stand_in_than_blocking_max_says),
    CLAIM(nobody_stands_in_if_blocking_max_is_negative),
    CLAIM(a_number_out_of_range_is_refused),
    CLAIM(sections_nest),
    CLAIM(the_outermost_section_counts),
    CLAIM(misuse_is_an_error),
    CLAIM(the_child_of_a_task_has_no_sections),
    CLAIM(a_dump_says_who_is_blocked),
    CLAIM(a_section_ends_with_its_task),
    CLAIM(a_section_ends_where_its_task_waits_for_a_future),
    CLAIM(the_trait_holds_after_a_wait),
    CLAIM(a_worker_goes_on_after_a_section),
    CLAIM(those_who_stood_in_rest_afterwards),
    CLAIM(nobody_stands_in_for_nothing),
};
HARNESS_MAIN(blocking)
