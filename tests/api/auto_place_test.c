/* SPDX-License-Identifier: MIT */
/*
 * auto_place_test.c - .place: where a task runs if the pool is not to decide.
 *
 * Method. A task tells its process: the host's, or not.
 */
#include <sched.h>

#include "section.h"
#include "sides.h"

static int tell(const shunt_none *in, long *out)
{
    (void)in;
    *out = here();
    return 0;
}
SHUNT_TASK(tell, shunt_none, long)

static int tell_trusted(const shunt_none *in, long *out)
{
    return tell(in, out);
}
SHUNT_TASK(tell_trusted, shunt_none, long, .trusted = true)

static int tell_idempotent(const shunt_none *in, long *out)
{
    return tell(in, out);
}
SHUNT_TASK(tell_idempotent, shunt_none, long, .idempotent = true)

static int tell_blocking(const shunt_none *in, long *out)
{
    return tell(in, out);
}
SHUNT_TASK(tell_blocking, shunt_none, long, .blocking = true)

static int tell_alone(const shunt_none *in, long *out)
{
    return tell(in, out);
}
SHUNT_TASK(tell_alone, shunt_none, long, .exclusive = true)

static int tell_at_home(const shunt_none *in, long *out)
{
    return tell(in, out);
}
SHUNT_TASK(tell_at_home, shunt_none, long, .host_only = true)

static int tell_untrusted(const shunt_none *in, long *out)
{
    return tell(in, out);
}
SHUNT_TASK(tell_untrusted, shunt_none, long, .untrusted = true)

static int tell_unsafe(const shunt_none *in, long *out)
{
    return tell(in, out);
}
SHUNT_TASK(tell_unsafe, shunt_none, long, .thread_unsafe = true)

static shunt_future *at(shunt_pool *pool, const shunt_task *task, int place)
{
    return shunt_submit_task(pool, task, NULL,
                             &(shunt_submit_options){ .place = place });
}

/* ---- it wins ---- */

static void place_wins_over_what_the_pool_would_decide(void)
{
    static const shunt_task *const kinds[] = {
        &shunt_task_tell,
        &shunt_task_tell_trusted,
        &shunt_task_tell_idempotent,
        &shunt_task_tell_blocking,
    };

    for (int workers = 1; workers <= 2; workers++) {
        shunt_pool *pool = auto_pool(workers);

        for (int i = 0; i < 80; i++) {
            const shunt_task *kind = kinds[i % 4];

            harness_note("%d workers, %s", workers, kind->fn_);
            assert_in_host(at(pool, kind, SHUNT_PLACE_THREAD));
            assert_away(at(pool, kind, SHUNT_PLACE_PROCESS));
        }
        harness_free(pool);
    }
}

/* Method: what was placed is what lets the pool earn its trust as well; then
 * the kind is moved, by a profile. */
static void place_wins_after_the_kind_has_been_moved(void)
{
    shunt_pool *pool = auto_pool(2);

    assert_away(shunt_submit(pool, tell, NULL));
    settle_on_threads(pool, &shunt_task_tell, NULL);
    for (int i = 0; i < 50; i++) {
        assert_in_host(shunt_submit(pool, tell, NULL));
        assert_away(at(pool, &shunt_task_tell, SHUNT_PLACE_PROCESS));
        assert_in_host(at(pool, &shunt_task_tell, SHUNT_PLACE_THREAD));
    }
    harness_free(pool);
}

/* Goal: the two that say how say nothing of where. */
static void inline_and_blocking_leave_the_site_to_the_pool(void)
{
    shunt_pool *pool = auto_pool(2);

    for (int i = 0; i < 20; i++) {
        assert_away(at(pool, &shunt_task_tell, SHUNT_PLACE_INLINE));
        assert_away(at(pool, &shunt_task_tell, SHUNT_PLACE_BLOCKING));
        assert_in_host(at(pool, &shunt_task_tell_at_home, SHUNT_PLACE_INLINE));
        assert_in_host(
            at(pool, &shunt_task_tell_at_home, SHUNT_PLACE_BLOCKING));
    }
    settle_on_threads(pool, &shunt_task_tell, NULL);
    for (int i = 0; i < 20; i++) {
        assert_in_host(at(pool, &shunt_task_tell, SHUNT_PLACE_INLINE));
        assert_in_host(at(pool, &shunt_task_tell, SHUNT_PLACE_BLOCKING));
    }
    harness_free(pool);
}

/* Goal: in tasks as outside of them, from either side. */
struct order {
    const shunt_task *task;
    int place;
};

static int pass_on(const struct order *in, long *out)
{
    return shunt_take(at(NULL, in->task, in->place), out);
}
SHUNT_TASK(pass_on, struct order, long)

static void tasks_place_their_own_on_either_side(void)
{
    shunt_pool *pool = auto_pool(2);

    for (int i = 0; i < 100; i++) {
        int there = i % 2 == 0 ? SHUNT_PLACE_THREAD : SHUNT_PLACE_PROCESS;
        struct order to_thread = { &shunt_task_tell, SHUNT_PLACE_THREAD };
        struct order to_process = { &shunt_task_tell, SHUNT_PLACE_PROCESS };

        assert_in_host(
            shunt_submit_with(pool, pass_on, &to_thread, .place = there));
        assert_away(
            shunt_submit_with(pool, pass_on, &to_process, .place = there));
    }
    harness_free(pool);
}

/* ---- what it cannot have ---- */

static void count_drop(void *in)
{
    tally_add(*(struct tally **)in, 1);
}

static int keep(struct tally *const *in, long *out)
{
    *out = in != NULL;
    return 0;
}
SHUNT_TASK(keep, struct tally *, long, .drop = count_drop)

static int keep_untrusted(struct tally *const *in, long *out)
{
    return keep(in, out);
}
SHUNT_TASK(keep_untrusted, struct tally *, long, .untrusted = true,
           .drop = count_drop)

static int keep_unsafe(struct tally *const *in, long *out)
{
    return keep(in, out);
}
SHUNT_TASK(keep_unsafe, struct tally *, long, .thread_unsafe = true,
           .drop = count_drop)

static int keep_at_home(struct tally *const *in, long *out)
{
    return keep(in, out);
}
SHUNT_TASK(keep_at_home, struct tally *, long, .host_only = true,
           .drop = count_drop)

static int keep_alone(struct tally *const *in, long *out)
{
    return keep(in, out);
}
SHUNT_TASK(keep_alone, struct tally *, long, .exclusive = true,
           .drop = count_drop)

/* Method: the rows are kinds, the columns places, and there is a table for each
 * mode. N: SHUNT_ENOTSUP, of the place or of the mode. */
static const shunt_task *const kept[] = {
    &shunt_task_keep,        &shunt_task_keep_untrusted,
    &shunt_task_keep_unsafe, &shunt_task_keep_at_home,
    &shunt_task_keep_alone,
};
enum {
    KINDS = sizeof kept / sizeof *kept
};

/* DEFAULT, INLINE, BLOCKING, THREAD, PROCESS */
static const char *const accepted[][KINDS] = {
    [SHUNT_THREADS] = { "YYYYN", "NNNNN", "NNNNN", "YYYYN", "YYYYN" },
    [SHUNT_PROCESSES] = { "YYYNY", "YYYNY", "YYYNY", "YYYYN", "YYYNY" },
    [SHUNT_AUTO] = { "YYYYY", "YYYNY", "YYYNY", "YYYYN", "YYYYY" },
};

static void a_place_that_the_pool_lacks_is_refused(void)
{
    for (int mode = SHUNT_THREADS; mode <= SHUNT_AUTO; mode++) {
        shunt_pool *pool = pool_in_mode(mode, 1);

        for (int i = 0; i < KINDS * 5; i++) {
            struct tally *dropped = stage_tally();
            bool good = accepted[mode][i / 5][i % 5] == 'Y';
            shunt_future *f;

            harness_note("mode %d, %s at place %d", mode, kept[i / 5]->fn_,
                         i % 5);
            f = shunt_submit_task(pool, kept[i / 5], &dropped,
                                  &(shunt_submit_options){ .place = i % 5 });
            assert_joins(f, good ? 0 : SHUNT_ENOTSUP);
            assert_long(shunt_pool_pending(pool), 0);
            if (!good)
                assert_long(tally_of(dropped), 0);
        }
        harness_free(pool);
    }
}

static void a_place_that_is_none_is_refused(void)
{
    static const int none[] = { -1, 5, 6, 255, 256, INT32_MAX, INT32_MIN };

    for (int mode = SHUNT_THREADS; mode <= SHUNT_AUTO; mode++) {
        shunt_pool *pool = pool_in_mode(mode, 1);

        for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
            struct tally *dropped = stage_tally();

            harness_note("mode %d, place %d", mode, none[i]);
            assert_joins(
                shunt_submit_with(pool, keep, &dropped, .place = none[i]),
                SHUNT_EINVAL);
            assert_long(tally_of(dropped), 0);
        }
        harness_free(pool);
    }
}

static void allow_unsafe_lets_them_have_threads(void)
{
    shunt_pool *pool = NULL;

    assert_ok(shunt_pool_new(&pool, &(shunt_options){ .mode = SHUNT_AUTO,
                                                      .workers = 1,
                                                      .allow_unsafe = true }));
    for (int i = 0; i < 10; i++) {
        assert_in_host(
            at(pool, &shunt_task_tell_untrusted, SHUNT_PLACE_THREAD));
        assert_in_host(at(pool, &shunt_task_tell_unsafe, SHUNT_PLACE_THREAD));
        /* But only if it is said. */
        assert_away(shunt_submit(pool, tell_untrusted, NULL));
        assert_away(shunt_submit(pool, tell_unsafe, NULL));
    }
    harness_free(pool);
}

/* Goal: of a task that is exclusive, who says thread wins, as on threads; the
 * processes for such tasks, which look for more, leave it alone. */
static void an_exclusive_task_may_be_placed_on_a_thread(void)
{
    shunt_pool *pool = auto_pool(1);

    for (int i = 0; i < 100; i++) {
        assert_in_host(at(pool, &shunt_task_tell_alone, SHUNT_PLACE_THREAD));
        assert_away(at(pool, &shunt_task_tell_alone, SHUNT_PLACE_PROCESS));
        assert_away(shunt_submit(pool, tell_alone, NULL));
    }
    harness_free(pool);
}

/* ---- blocking, on threads of an auto pool ---- */

static shunt_pool *pool_that_stands_in(int workers, int blocking_max)
{
    shunt_pool *pool = NULL;

    harness_env("SHUNT_BLOCKING_MAX", NULL);
    assert_ok(shunt_pool_new(&pool,
                             &(shunt_options){ .mode = SHUNT_AUTO,
                                               .workers = workers,
                                               .blocking_max = blocking_max }));
    return pool;
}

static void on_threads_what_blocks_lets_others_run(void)
{
    for (int workers = 1; workers <= 2; workers++) {
        shunt_pool *pool = pool_that_stands_in(workers, 0);

        for (int round = 0; round < 2; round++) {
            struct section in = new_section();
            shunt_future *fs[10];

            for (int i = 0; i < 10; i++)
                fs[i] = shunt_submit_with(pool, wait_in_section, &in,
                                          .place = SHUNT_PLACE_THREAD);
            assert_true(latch_reaches(in.in, 10));
            assert_in_host(at(pool, &shunt_task_tell, SHUNT_PLACE_THREAD));
            assert_away(at(pool, &shunt_task_tell, SHUNT_PLACE_PROCESS));
            latch_raise(in.go);
            for (int i = 0; i < 10; i++)
                assert_joins(fs[i], 0);
            assert_long(tally_of(in.rc), 0);
        }
        harness_free(pool);
    }
}

/* Goal: also for what a task in a process has queued for them. */
static void what_a_process_queues_is_run_in_the_stead_of_what_blocks(void)
{
    struct order to_thread = { &shunt_task_tell, SHUNT_PLACE_THREAD };
    shunt_pool *pool = pool_that_stands_in(1, 0);

    for (int round = 0; round < 20; round++) {
        struct section in = new_section();
        shunt_future *f = shunt_submit_with(pool, wait_in_section, &in,
                                            .place = SHUNT_PLACE_THREAD);

        assert_true(latch_reaches(in.in, 1));
        assert_in_host(shunt_submit_with(pool, pass_on, &to_thread,
                                         .place = SHUNT_PLACE_PROCESS));
        latch_raise(in.go);
        assert_joins(f, 0);
    }
    harness_free(pool);
}

static void on_threads_the_trait_is_enough(void)
{
    shunt_pool *pool = pool_that_stands_in(1, 0);
    struct section in = new_section();
    shunt_future *fs[5];

    for (int i = 0; i < 5; i++)
        fs[i] = shunt_submit_with(pool, wait_with_trait, &in,
                                  .place = SHUNT_PLACE_THREAD);
    assert_true(latch_reaches(in.in, 5));
    latch_raise(in.go);
    for (int i = 0; i < 5; i++)
        assert_joins(fs[i], 0);
    harness_free(pool);
}

static void placed_as_blocking_it_need_not_say_it(void)
{
    static const int modes[] = { SHUNT_THREADS, SHUNT_AUTO };

    for (int i = 0; i < 2; i++) {
        struct job in = { .started = stage_latch(), .go = stage_latch() };
        shunt_pool *pool = NULL;
        shunt_future *fs[6];

        harness_env("SHUNT_BLOCKING_MAX", NULL);
        assert_ok(shunt_pool_new(
            &pool, &(shunt_options){ .mode = modes[i], .workers = 2 }));
        if (modes[i] == SHUNT_AUTO)
            settle_on_threads(pool, &shunt_task_stage_job, &(struct job){ 0 });
        for (int n = 0; n < 6; n++)
            fs[n] = shunt_submit_with(pool, stage_job, &in,
                                      .place = SHUNT_PLACE_BLOCKING);
        assert_true(latch_reaches(in.started, 6));
        latch_raise(in.go);
        for (int n = 0; n < 6; n++)
            assert_joins(fs[n], 0);
        harness_free(pool);
    }
}

/* ---- who waits for the other side ---- */

static int doze(const shunt_none *in, long *out)
{
    (void)in;
    pause_ms(2);
    *out = here();
    return 0;
}
SHUNT_TASK(doze, shunt_none, long)

/* Where what it waits for is to run, one after the other. */
static int wait_for(const int *place, long *out)
{
    for (int i = 0; i < 20; i++)
        (void)process_of(at(NULL, &shunt_task_doze, *place));
    *out = here();
    return 0;
}
SHUNT_TASK(wait_for, int, long)

static void wake_ups_from_the_other_side_are_counted(void)
{
    static const int places[] = { SHUNT_PLACE_PROCESS, SHUNT_PLACE_THREAD };

    for (int i = 0; i < 4; i++) {
        shunt_pool *pool = auto_pool(2);
        int mine = places[i / 2], its = places[i % 2];
        long pid;

        assert_ok(shunt_take(
            shunt_submit_with(pool, wait_for, &its, .place = mine), &pid));
        while (most_said_of(pool, "wait_for", "crossed") < 0)
            pause_ms(5); /* until the run is counted */
        if (mine == its)
            assert_true(most_said_of(pool, "wait_for", "crossed") < 0.5);
        else
            assert_true(most_said_of(pool, "wait_for", "crossed") >= 5);
        harness_free(pool);
    }
}

static const struct CMUnitTest claims[] = {
    CLAIM_OF_BOTH(place_wins_over_what_the_pool_would_decide),
    CLAIM_OF_BOTH(place_wins_after_the_kind_has_been_moved),
    CLAIM_OF_BOTH(inline_and_blocking_leave_the_site_to_the_pool),
    CLAIM_OF_BOTH(tasks_place_their_own_on_either_side),
    CLAIM_OF_BOTH(a_place_that_the_pool_lacks_is_refused),
    CLAIM_OF_BOTH(a_place_that_is_none_is_refused),
    CLAIM_OF_BOTH(allow_unsafe_lets_them_have_threads),
    CLAIM_OF_BOTH(an_exclusive_task_may_be_placed_on_a_thread),
    CLAIM_OF_BOTH(on_threads_what_blocks_lets_others_run),
    CLAIM_OF_BOTH(what_a_process_queues_is_run_in_the_stead_of_what_blocks),
    CLAIM_OF_BOTH(on_threads_the_trait_is_enough),
    CLAIM_OF_BOTH(placed_as_blocking_it_need_not_say_it),
    CLAIM_OF_BOTH(wake_ups_from_the_other_side_are_counted),
};

HARNESS_MAIN(claims)
