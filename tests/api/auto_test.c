/* SPDX-License-Identifier: MIT */
/*
 * auto_test.c - where an auto pool runs a kind of task: isolated until there is
 * a reason, and never again in the host once it has crashed.
 *
 * Method. A task tells its process. When the pool moves a kind is a matter of
 * what it measures, and is waited for as long as patience lasts; where it must
 * never be seen does not depend on that. Some kinds are moved by a profile
 * written by hand.
 */
#include <signal.h>
#include <sys/resource.h>

#include "sides.h"

/* Monotonic, in ns. */
static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* What gains: it has less to do in the host, as one that finds there what it
 * would have to fetch elsewhere. in is the host. */
static int look_up(const long *in, long *out)
{
    int64_t until = now_ns() + (*in == here() ? 2000 : 20000);

    *out = here();
    while (now_ns() < until)
        continue;
    return 0;
}
SHUNT_TASK(look_up, long, long)

static int tell(const long *in, long *out)
{
    (void)in;
    *out = here();
    return 0;
}
SHUNT_TASK(tell, long, long)

static int tell_trusted(const long *in, long *out)
{
    return tell(in, out);
}
SHUNT_TASK(tell_trusted, long, long, .trusted = true)

static int tell_untrusted(const long *in, long *out)
{
    return tell(in, out);
}
SHUNT_TASK(tell_untrusted, long, long, .untrusted = true)

static int tell_unsafe(const long *in, long *out)
{
    return tell(in, out);
}
SHUNT_TASK(tell_unsafe, long, long, .thread_unsafe = true)

static int tell_alone(const long *in, long *out)
{
    return tell(in, out);
}
SHUNT_TASK(tell_alone, long, long, .exclusive = true)

static int doze(const long *ms, shunt_none *out)
{
    (void)out;
    pause_ms(*ms);
    return 0;
}
SHUNT_TASK(doze, long, shunt_none)

static int tell_at_home(const long *in, long *out)
{
    return tell(in, out);
}
SHUNT_TASK(tell_at_home, long, long, .host_only = true)

enum {
    BATCH = 64
};

/* Run a batch of a kind; how many of them ran in the host. */
static long run_batch(shunt_pool *pool, const shunt_task *task, long in)
{
    shunt_future *fs[BATCH];
    long home = 0;

    for (int i = 0; i < BATCH; i++)
        fs[i] = shunt_submit_task(pool, task, &in, NULL);
    for (int i = 0; i < BATCH; i++)
        home += process_of(fs[i]) == here();
    return home;
}

/* Run batches until one of them was in the host as a whole, and the pool says
 * that the kind is on threads for more than a trial. */
static bool comes_home(shunt_pool *pool)
{
    int64_t until = now_ns() + harness_patience();

    while (now_ns() < until)
        if (run_batch(pool, &shunt_task_look_up, here()) == BATCH &&
            is_said_of(pool, "look_up", ON_THREADS) &&
            is_said_of(pool, "look_up",
                       "\"why\":\"a trial has shown that it costs less here\""))
            return true;
    return false;
}

/* ---- where kinds begin ---- */

static void kinds_begin_isolated(void)
{
    for (int workers = 1; workers <= 2; workers++) {
        shunt_pool *pool = auto_pool(workers);

        /* Fewer than it takes to be trusted. */
        for (int i = 0; i < 900 / BATCH; i++)
            assert_long(run_batch(pool, &shunt_task_tell, 0), 0);
        assert_true(is_said_of(pool, "tell", IN_PROCESSES));
        harness_free(pool);
    }
}

/* A sample in hundreds of runs would say little of it. */
static void what_is_long_is_seen_each_time_among_much_that_is_short(void)
{
    shunt_pool *pool = auto_pool(2);
    static shunt_future *f[1000];

    for (int round = 0; round < 5; round++) {
        for (long i = 0; i < 1000; i++)
            f[i] = shunt_submit(pool, stage_same, &i);
        assert_joins(shunt_submit(pool, doze, &(long){ 3 }), 0);
        for (long i = 0; i < 1000; i++)
            assert_takes(f[i], i);
    }
    stage_at_rest(pool);
    assert_true(
        is_said_of(pool, "doze", "\"process\":{\"runs\":5,\"samples\":5,"));
    harness_free(pool);
}

static void what_is_trusted_begins_isolated_and_may_leave_at_once(void)
{
    shunt_pool *pool = auto_pool(2);
    int64_t until = now_ns() + harness_patience();
    long home = 0;

    assert_away(shunt_submit(pool, tell_trusted, &(long){ 0 }));
    while (home == 0 && now_ns() < until)
        home = run_batch(pool, &shunt_task_tell_trusted, 0);
    assert_true(home > 0);
    harness_free(pool);
}

static void what_is_untrusted_or_exclusive_never_runs_in_the_host(void)
{
    static const shunt_task *const kinds[] = { &shunt_task_tell_untrusted,
                                               &shunt_task_tell_unsafe,
                                               &shunt_task_tell_alone };
    shunt_pool *pool = auto_pool(2);
    long n = harness_slowness() > 1 ? 4 : 24;

    for (int i = 0; i < 3; i++) {
        long rounds = kinds[i]->traits_.exclusive ? n : 20 * n;

        /* Nor if a file says so. */
        for (long r = 0; r < rounds; r++)
            assert_long(run_batch(pool, kinds[i], 0), 0);
        teach(pool, kinds[i], false, 100000);
        for (long r = 0; r < rounds; r++)
            assert_long(run_batch(pool, kinds[i], 0), 0);
        teach(pool, kinds[i], true, 100000);
        assert_long(run_batch(pool, kinds[i], 0), 0);
        assert_true(is_said_of(pool, kinds[i]->fn_, IN_PROCESSES));
    }
    harness_free(pool);
}

static void what_needs_the_host_runs_there(void)
{
    shunt_pool *pool = auto_pool(2);

    for (int i = 0; i < 10; i++)
        assert_long(run_batch(pool, &shunt_task_tell_at_home, 0), BATCH);
    harness_free(pool);
}

/* ---- for a gain ---- */

static void a_kind_leaves_its_process_for_a_measured_gain(void)
{
    shunt_pool *pool = auto_pool(2);
    int batches = 0;

    /* Not before it has run a thousand times. */
    for (; batches < 900 / BATCH; batches++)
        assert_long(run_batch(pool, &shunt_task_look_up, here()), 0);
    assert_true(comes_home(pool));
    harness_free(pool);
}

static void a_pool_of_one_worker_keeps_kinds_isolated(void)
{
    shunt_pool *pool = auto_pool(1);

    for (int i = 0; i < 200; i++)
        assert_long(run_batch(pool, &shunt_task_tell_trusted, 0), 0);
    teach(pool, &shunt_task_tell_trusted, false, 100000);
    teach(pool, &shunt_task_tell, false, 100000);
    for (int i = 0; i < 20; i++) {
        assert_long(run_batch(pool, &shunt_task_tell_trusted, 0), 0);
        assert_long(run_batch(pool, &shunt_task_tell, 0), 0);
    }
    harness_free(pool);
}

/* ---- profiles ---- */

static void a_loaded_profile_begins_on_threads(void)
{
    shunt_pool *pool = auto_pool(2);

    /* Also if it is loaded before the kind is met: the pool knows it again. */
    teach(pool, &shunt_task_tell, false, 100000);
    (void)run_batch(pool, &shunt_task_tell, 0);
    assert_true(is_said_of(pool, "tell", ON_THREADS));
    assert_true(is_said_of(pool, "tell", "\"a saved profile says so\""));
    for (int i = 0; i < 5; i++)
        assert_long(run_batch(pool, &shunt_task_tell, 0), BATCH);
    harness_free(pool);
}

static void a_profile_that_has_not_earned_it_begins_isolated(void)
{
    shunt_pool *pool = auto_pool(2);

    teach(pool, &shunt_task_tell, false, 999);
    assert_long(run_batch(pool, &shunt_task_tell, 0), 0);
    assert_true(is_said_of(pool, "tell", IN_PROCESSES));
    harness_free(pool);
}

static void what_a_pool_has_learned_another_one_begins_with(void)
{
    char path[] = "/tmp/shunt-auto-XXXXXX";
    shunt_pool *pool = auto_pool(2);
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    close(fd);
    assert_true(comes_home(pool));
    assert_ok(shunt_profile_save(pool, path));
    harness_free(pool);

    pool = auto_pool(2);
    assert_ok(shunt_profile_load(pool, path));
    (void)run_batch(pool, &shunt_task_look_up, here());
    assert_true(is_said_of(pool, "look_up", ON_THREADS));
    assert_true(run_batch(pool, &shunt_task_look_up, here()) > 0);
    assert_int_equal(unlink(path), 0);
    harness_free(pool);
}

/* ---- crashes ---- */

enum fragile_end {
    LIVES,
    DIES
};

struct fragile {
    enum fragile_end end;
    struct latch *started, *go;
    struct tally *in_host, *ran;
    long host;
};

static int fragile(const struct fragile *in, long *out)
{
    const struct rlimit no_core = { 0, 0 };

    if (in->ran != NULL)
        tally_add(in->ran, 1);
    if (in->in_host != NULL && here() == in->host)
        tally_add(in->in_host, 1);
    if (in->started != NULL)
        latch_raise(in->started);
    if (in->go != NULL && !latch_reaches(in->go, 1))
        return STAGE_LATE;
    *out = here();
    if (in->end == DIES && here() != in->host) { /* the test lives on */
        setrlimit(RLIMIT_CORE, &no_core);
        raise(SIGKILL);
    }
    return 0;
}
SHUNT_TASK(fragile, struct fragile, long)

static void crash_one(shunt_pool *pool)
{
    struct fragile dies = { .end = DIES, .host = here() };

    assert_joins(
        shunt_submit_with(pool, fragile, &dies, .place = SHUNT_PLACE_PROCESS),
        SHUNT_ECRASHED);
}

static void what_crashes_goes_back_and_stays(void)
{
    shunt_pool *pool = auto_pool(2);
    struct fragile lives = { .host = here() };

    settle_on_threads(pool, &shunt_task_fragile, &lives);
    assert_long(run_batch(pool, &shunt_task_tell, 0), 0); /* the other kind */
    for (int i = 0; i < 20; i++)
        assert_in_host(shunt_submit(pool, fragile, &lives));
    crash_one(pool);
    for (int i = 0; i < 3000; i++)
        assert_away(shunt_submit(pool, fragile, &lives));
    assert_true(is_said_of(pool, "fragile", IN_PROCESSES));
    assert_true(is_said_of(
        pool, "fragile", "it has crashed, and stays out of the host for good"));
    /* A profile from before, trust and all, is no way back. */
    teach(pool, &shunt_task_fragile, true, 1000000);
    for (int i = 0; i < 500; i++)
        assert_away(shunt_submit(pool, fragile, &lives));
    /* But who says where has it so. */
    assert_in_host(
        shunt_submit_with(pool, fragile, &lives, .place = SHUNT_PLACE_THREAD));
    harness_free(pool);
}

/* Goal: the ban is known when the crash is. Method: no pause between what says
 * that it has crashed and the next one; a pool of its own for each try. */
static void nothing_runs_in_the_host_once_the_crash_is_known(void)
{
    for (long i = harness_pools(400); i > 0; i--) {
        shunt_pool *pool = auto_pool(2);
        struct fragile lives = { .host = here() };
        shunt_future *fs[8];

        settle_on_threads(pool, &shunt_task_fragile, &lives);
        assert_in_host(shunt_submit(pool, fragile, &lives));
        crash_one(pool);
        for (int n = 0; n < 8; n++)
            fs[n] = shunt_submit(pool, fragile, &lives);
        for (int n = 0; n < 8; n++)
            assert_away(fs[n]);
        harness_free(pool);
    }
}

/* Method: threads are busy with another kind, and have these queued: from
 * outside, and, if inside, in the deque of a thread. */
struct brood {
    struct fragile each;
    struct latch *here, *queued, *go; /* here: all threads are busy */
    long n, threads;
};

static int queue_and_wait(const struct brood *in, long *out)
{
    shunt_future *fs[BATCH];

    latch_raise(in->here);
    if (!latch_reaches(in->here, (unsigned)in->threads))
        return STAGE_LATE;
    for (long i = 0; i < in->n; i++)
        fs[i] = shunt_submit(NULL, fragile, &in->each);
    latch_raise(in->queued);
    if (!latch_reaches(in->go, 1))
        return STAGE_LATE;
    *out = 0;
    for (long i = 0; i < in->n; i++)
        *out += shunt_join(fs[i]) == 0;
    return 0;
}
SHUNT_TASK(queue_and_wait, struct brood, long)

static void what_was_queued_for_a_thread_before_the_ban_passes_to_a_process(
    void)
{
    enum {
        WORKERS = 2
    };
    shunt_pool *pool = auto_pool(WORKERS);
    struct brood in = {
        .each = { .host = here(),
                  .ran = stage_tally(),
                  .in_host = stage_tally() },
        .here = stage_latch(),
        .queued = stage_latch(),
        .go = stage_latch(),
        .n = BATCH / 2,
        .threads = WORKERS,
    };
    shunt_future *holds[WORKERS], *fs[BATCH];

    settle_on_threads(pool, &shunt_task_fragile,
                      &(struct fragile){ .host = here() });
    for (int i = 0; i < WORKERS; i++)
        holds[i] = shunt_submit_with(pool, queue_and_wait, &in,
                                     .place = SHUNT_PLACE_THREAD);
    assert_true(latch_reaches(in.queued, WORKERS));
    for (int i = 0; i < BATCH; i++)
        fs[i] = shunt_submit(pool, fragile, &in.each);
    pause_ms(20); /* long enough for processes that would take them */
    assert_long(tally_of(in.each.ran), 0);
    crash_one(pool);
    latch_raise(in.go);
    for (int i = 0; i < WORKERS; i++)
        assert_takes(holds[i], in.n);
    for (int i = 0; i < BATCH; i++)
        assert_away(fs[i]);
    assert_long(tally_of(in.each.ran), WORKERS * in.n + BATCH);
    assert_long(tally_of(in.each.in_host), 0);
    harness_free(pool);
}

/* Goal: what is passed on may be cancelled meanwhile, and has its deadline. */
static void what_passes_may_be_cancelled_meanwhile(void)
{
    for (long i = harness_pools(200); i > 0; i--) {
        shunt_pool *pool = auto_pool(2);
        struct fragile lives = { .host = here(), .in_host = stage_tally() };
        struct job hold = { .started = stage_latch(), .go = stage_latch() };
        shunt_future *holds[2], *fs[BATCH];
        int cancelled = 0;

        settle_on_threads(pool, &shunt_task_fragile, &lives);
        for (int n = 0; n < 2; n++)
            holds[n] = shunt_submit_with(pool, stage_job, &hold,
                                         .place = SHUNT_PLACE_THREAD);
        assert_true(latch_reaches(hold.started, 2));
        lives.in_host = stage_tally();
        for (int n = 0; n < BATCH; n++)
            fs[n] = shunt_submit_with(pool, fragile, &lives,
                                      .deadline_ns = n % 3 == 0 ? SHUNT_MS(2)
                                                                : SHUNT_S(600));
        crash_one(pool);
        latch_raise(hold.go);
        for (int n = BATCH; n-- > 0;)
            (void)shunt_cancel(fs[n]);
        for (int n = 0; n < BATCH; n++) {
            int rc = shunt_join(fs[n]);

            cancelled += rc != 0;
            assert_true(rc == 0 || rc == SHUNT_ECANCELED ||
                        (rc == SHUNT_ETIMEDOUT && n % 3 == 0));
        }
        for (int n = 0; n < 2; n++)
            assert_joins(holds[n], 0);
        harness_note("%d of %d cancelled", cancelled, BATCH);
        assert_long(tally_of(lives.in_host), 0);
        harness_free(pool);
    }
}

static const struct CMUnitTest claims[] = {
    CLAIM_OF_BOTH(kinds_begin_isolated),
    CLAIM_OF_BOTH(what_is_long_is_seen_each_time_among_much_that_is_short),
    CLAIM_OF_BOTH(what_is_trusted_begins_isolated_and_may_leave_at_once),
    CLAIM_OF_BOTH(what_is_untrusted_or_exclusive_never_runs_in_the_host),
    CLAIM_OF_BOTH(what_needs_the_host_runs_there),
    CLAIM_OF_BOTH(a_kind_leaves_its_process_for_a_measured_gain),
    CLAIM_OF_BOTH(a_pool_of_one_worker_keeps_kinds_isolated),
    CLAIM_OF_BOTH(a_loaded_profile_begins_on_threads),
    CLAIM_OF_BOTH(a_profile_that_has_not_earned_it_begins_isolated),
    CLAIM_OF_BOTH(what_a_pool_has_learned_another_one_begins_with),
    CLAIM_OF_BOTH(what_crashes_goes_back_and_stays),
    CLAIM_OF_BOTH(nothing_runs_in_the_host_once_the_crash_is_known),
    CLAIM_OF_BOTH(
        what_was_queued_for_a_thread_before_the_ban_passes_to_a_process),
    CLAIM_OF_BOTH(what_passes_may_be_cancelled_meanwhile),
};

HARNESS_MAIN(claims)
