/* SPDX-License-Identifier: MIT */
/*
 * fork_test.c - a child that the program forks has its parent's pools in its
 * memory but not their threads: every call with them answers SHUNT_EFORKED,
 * none hangs, and pools of its own work.
 *
 * Method. The child makes its checks and sends the line of the first that
 * failed through a pipe; an alarm ends one that hangs.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stage.h"

/* What the parent had when it forked. */
struct inherited {
    shunt_pool *pool;
    shunt_future *settled, *pending, *failed, *empty;
    shunt_promise *promise;
    shunt_scope *scope;
    void *block;
    shunt_queue *queue; /* with a future in it */
};

typedef int in_child(const struct inherited *had);

/* In the child: the line of the first check that does not hold. */
#define CHECK(condition)     \
    do {                     \
        if (!(condition))    \
            return __LINE__; \
    } while (0)

/* What another thread was about to note when the child came to be is lost in
 * the child. Only valgrind looks there, when a process ends by itself. */
static bool forks_amid_others;

static bool ended_well(int status)
{
    return status == 0 || (forks_amid_others && WIFSIGNALED(status) &&
                           WTERMSIG(status) == SIGKILL);
}

/* The line at which child failed, 0 if it did not. */
static int run_child(in_child *child, const struct inherited *had)
{
    int ends[2], line = -1, status = 0;

    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(20 * harness_slowness());
        line = child(had);
        ssize_t written = write(ends[1], &line, sizeof line);
        if (forks_amid_others && harness_slowness() > 10)
            (void)raise(SIGKILL);
        _exit(written == sizeof line ? 0 : 1);
    }
    close(ends[1]);
    if (read(ends[0], &line, sizeof line) != (ssize_t)sizeof line)
        line = -1;
    close(ends[0]);
    while (waitpid(pid, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    if (line == 0 && !ended_well(status))
        line = -2;
    return line;
}

static struct inherited inherit(void)
{
    struct inherited had = { .pool = harness_pool(2) };
    struct stage_promise made = stage_promise(had.pool);

    had.settled = stage_given(had.pool, 5);
    had.failed = stage_failed(had.pool, 6);
    had.empty = shunt_map(had.pool, stage_same, NULL, 0);
    had.pending = made.future;
    had.promise = made.promise;
    assert_ok(shunt_scope_open(&had.scope, had.pool, NULL));
    had.block = shunt_pool_alloc(had.pool, 64);
    assert_non_null(had.block);
    assert_ok(shunt_queue_new(&had.queue));
    assert_true(shunt_queue_fd(had.queue) >= 0);
    assert_ok(shunt_queue_add(had.queue, stage_given(had.pool, 9), NULL));
    /* A thread that begins allocates, and a sanitizer's allocator is locked for
     * good in a child that came to be meanwhile. */
    stage_asleep(had.pool, 2);
    return had;
}

/* Nothing that the child did has changed anything here. */
static void assert_untouched(const struct inherited *had)
{
    shunt_event event;

    assert_long(shunt_queue_take(had->queue, &event, 1), 1);
    assert_takes(event.future, 9);
    assert_ok(shunt_queue_free(had->queue));
    assert_status(shunt_status(had->pending), SHUNT_PENDING);
    stage_give(had->promise, 7);
    assert_takes(had->pending, 7);
    assert_takes(had->settled, 5);
    assert_joins(had->failed, SHUNT_EFAILED);
    assert_joins(had->empty, 0);
    assert_ok(shunt_free(had->block));
    assert_takes(shunt_scope_submit(had->scope, stage_same, &(long){ 9 }), 9);
    assert_ok(shunt_scope_close(had->scope, NULL));
    assert_takes(shunt_submit(had->pool, stage_same, &(long){ 8 }), 8);
    harness_free(had->pool);
}

static void fork_and_run(in_child *child)
{
    struct inherited had = inherit();

    assert_long(run_child(child, &had), 0);
    assert_untouched(&had);
}

/* ---- every call ---- */

static int use_futures(const struct inherited *had)
{
    shunt_future *const all[] = { had->settled, had->pending, had->failed,
                                  had->empty };

    for (int i = 0; i < 4; i++) {
        long value = 77;
        CHECK(shunt_status(all[i]) == SHUNT_EFORKED);
        CHECK(shunt_await(all[i]) == SHUNT_EFORKED);
        CHECK(shunt_await_for(all[i], 0) == SHUNT_EFORKED);
        CHECK(shunt_await_for(all[i], SHUNT_FOREVER) == SHUNT_EFORKED);
        CHECK(shunt_peek(all[i], long) == NULL);
        CHECK(shunt_error_of(all[i])->code == SHUNT_EFORKED);
        CHECK(shunt_error_of(all[i])->message[0] != '\0');
        CHECK(shunt_cancel(all[i]) == SHUNT_EFORKED);
        CHECK(shunt_retain(all[i]) == NULL);
        CHECK(shunt_take(all[i], &value) == SHUNT_EFORKED);
        CHECK(value == 77);
        CHECK(shunt_join(all[i]) == SHUNT_EFORKED);
        CHECK(shunt_release(all[i]) == SHUNT_EFORKED);
        CHECK(shunt_adopt(all[i], had->block) == SHUNT_EFORKED);
    }
    return 0;
}

static void futures_of_the_parent_are_refused(void)
{
    fork_and_run(use_futures);
}

static int use_pool(const struct inherited *had)
{
    shunt_promise *promise = NULL;
    shunt_future *future = NULL;
    long in = 1;
    size_t left = 77;

    CHECK(shunt_pool_workers(had->pool) == SHUNT_EFORKED);
    CHECK(shunt_pool_mode(had->pool) == SHUNT_EFORKED);
    CHECK(shunt_pool_pending(had->pool) == SHUNT_EFORKED);
    CHECK(shunt_stats(had->pool, &(shunt_pool_stats){ 0 }, NULL, 0) ==
          SHUNT_EFORKED);
    CHECK(shunt_dump(had->pool, STDERR_FILENO) == SHUNT_EFORKED);
    CHECK(shunt_dump(NULL, STDERR_FILENO) == SHUNT_EFORKED);
    CHECK(shunt_pool_shutdown(had->pool, SHUNT_DRAIN, SHUNT_FOREVER, &left) ==
          SHUNT_EFORKED);
    CHECK(left == 77);
    CHECK(shunt_pool_free(had->pool) == SHUNT_EFORKED);
    CHECK(shunt_pool_alloc(had->pool, 16) == NULL);
    CHECK(shunt_promise_new(had->pool, long, &promise, &future) ==
          SHUNT_EFORKED);
    CHECK(promise == NULL && future == NULL);
    CHECK(shunt_join(shunt_submit(had->pool, stage_same, &in)) ==
          SHUNT_EFORKED);
    CHECK(shunt_join(shunt_submit_wait(had->pool, stage_same, &in)) ==
          SHUNT_EFORKED);
    CHECK(shunt_join(shunt_submit_with(had->pool, stage_same, &in,
                                       .retries = 0)) == SHUNT_EFORKED);
    CHECK(shunt_join(shunt_map(had->pool, stage_same, &in, 1)) ==
          SHUNT_EFORKED);
    CHECK(shunt_join(shunt_pipeline(
              had->pool, &SHUNT_STAGE(stage_nothing, SHUNT_SERIAL_IN_ORDER),
              1)) == SHUNT_EFORKED);
    shunt_future *refused = shunt_submit(had->pool, stage_same, &in);
    CHECK(shunt_error_of(refused)->message[0] != '\0');
    CHECK(shunt_join(shunt_then(refused, stage_add_one)) == SHUNT_EFORKED);
    return 0;
}

static void the_pool_of_the_parent_is_refused(void)
{
    fork_and_run(use_pool);
}

static void hear(void *user)
{
    (void)user;
}

static int use_promise(const struct inherited *had)
{
    CHECK(shunt_promise_on_cancel(had->promise, hear, NULL) == SHUNT_EFORKED);
    CHECK(shunt_promise_give(had->promise, &(long){ 1 }) == SHUNT_EFORKED);
    CHECK(shunt_promise_fail(had->promise, 9, "x") == SHUNT_EFORKED);
    CHECK(shunt_promise_drop(had->promise) == SHUNT_EFORKED);
    return 0;
}

static void promises_of_the_parent_are_refused(void)
{
    fork_and_run(use_promise);
}

static int use_scope(const struct inherited *had)
{
    shunt_scope *scope = NULL;
    shunt_results all = { .count = 7 };

    CHECK(shunt_scope_open(&scope, had->pool, NULL) == SHUNT_EFORKED);
    CHECK(scope == NULL);
    CHECK(shunt_join(shunt_scope_submit(had->scope, stage_same,
                                        &(long){ 1 })) == SHUNT_EFORKED);
    CHECK(shunt_scope_cancel(had->scope) == SHUNT_EFORKED);
    CHECK(shunt_scope_close(had->scope, &all) == SHUNT_EFORKED);
    CHECK(all.count == 0 && shunt_results_release(&all) == 0);
    return 0;
}

static void scopes_of_the_parent_are_refused(void)
{
    fork_and_run(use_scope);
}

static int use_combinators(const struct inherited *had)
{
    shunt_future *fs[2] = { had->settled, had->pending };

    CHECK(shunt_join(shunt_then(fs[0], stage_same)) == SHUNT_EFORKED);
    CHECK(shunt_join(shunt_recover(fs[0], stage_code)) == SHUNT_EFORKED);
    CHECK(shunt_join(shunt_finally(fs[0], stage_look_on)) == SHUNT_EFORKED);
    CHECK(shunt_join(shunt_when_all(fs, 2)) == SHUNT_EFORKED);
    CHECK(shunt_join(shunt_when_all_settled(fs, 2)) == SHUNT_EFORKED);
    CHECK(shunt_join(shunt_when_any(fs, 2)) == SHUNT_EFORKED);
    CHECK(shunt_join(shunt_race(fs, 2)) == SHUNT_EFORKED);
    CHECK(shunt_join(shunt_when_some(fs, 2, 1)) == SHUNT_EFORKED);
    CHECK(shunt_join(shunt_via(had->pool, fs[0])) == SHUNT_EFORKED);
    return 0;
}

static int mix_futures(const struct inherited *had)
{
    shunt_pool *pool = NULL;

    CHECK(shunt_pool_new(&pool, &(shunt_options){ .workers = 1 }) == 0);
    for (int i = 0; i < 2; i++) {
        shunt_future *own = shunt_submit(pool, stage_same, &(long){ 1 });
        shunt_future *fs[3] = { own, had->settled, NULL };
        if (i == 1) {
            fs[1] = NULL;
            fs[2] = had->settled;
        }
        CHECK(shunt_join(shunt_when_all(fs, 3)) == SHUNT_EFORKED);
    }
    CHECK(shunt_pool_free(pool) == 0);
    return 0;
}

static void one_future_of_the_parent_is_enough(void)
{
    fork_and_run(mix_futures);
}

static void combinators_of_the_parents_futures_are_refused(void)
{
    fork_and_run(use_combinators);
}

static int next_zero(void *seq, void *in)
{
    (void)seq;
    *(long *)in = 0;
    return 1;
}

static int use_block(const struct inherited *had)
{
    CHECK(shunt_free(had->block) == SHUNT_EFORKED);
    return 0;
}

static void blocks_of_the_parents_pool_are_refused(void)
{
    fork_and_run(use_block);
}

static int use_queue(const struct inherited *had)
{
    shunt_queue *own = NULL;
    shunt_event event;

    CHECK(shunt_queue_fd(had->queue) == SHUNT_EFORKED);
    CHECK(shunt_queue_size(had->queue) == SHUNT_EFORKED);
    CHECK(shunt_queue_add(had->queue, had->settled, NULL) == SHUNT_EFORKED);
    CHECK(shunt_queue_add_all(had->queue, &had->settled, 1) == SHUNT_EFORKED);
    CHECK(!shunt_queue_remove(had->queue, had->settled));
    CHECK(shunt_queue_take(had->queue, &event, 1) == SHUNT_EFORKED);
    CHECK(shunt_queue_wait(had->queue, &event, 1, SHUNT_FOREVER) ==
          SHUNT_EFORKED);
    CHECK(shunt_queue_free(had->queue) == SHUNT_EFORKED);
    CHECK(shunt_queue_new(&own) == 0);
    CHECK(shunt_queue_add(own, had->settled, NULL) == SHUNT_EFORKED);
    CHECK(shunt_queue_size(own) == 0);
    CHECK(shunt_queue_free(own) == 0);
    return 0;
}

static void queues_of_the_parent_are_refused(void)
{
    fork_and_run(use_queue);
}

static int use_lookahead(const struct inherited *had)
{
    shunt_lookahead *l = NULL;

    CHECK(shunt_lookahead_open_task(&l, had->pool, &shunt_task_stage_same,
                                    next_zero, NULL, 1, NULL) == SHUNT_EFORKED);
    CHECK(l == NULL);
    return 0;
}

static void no_lookahead_is_opened_in_the_parents_pool(void)
{
    fork_and_run(use_lookahead);
}

/* The parent's timekeeper runs, and timers of its are set. */
static int use_time(const struct inherited *had)
{
    shunt_pool *pool = NULL;
    shunt_future *f;

    CHECK(shunt_join(shunt_delay(had->pool, 1)) == SHUNT_EFORKED);
    CHECK(shunt_join(shunt_delay(had->pool, 0)) == SHUNT_EFORKED);
    CHECK(shunt_join(shunt_timeout(had->pending, 1)) == SHUNT_EFORKED);
    CHECK(shunt_join(shunt_timeout(had->settled, 1)) == SHUNT_EFORKED);
    CHECK(shunt_pool_advance(had->pool, 1) == SHUNT_EFORKED);
    CHECK(shunt_join(shunt_submit_with(had->pool, stage_nothing, NULL,
                                       .deadline_ns = SHUNT_S(1))) ==
          SHUNT_EFORKED);
    CHECK(shunt_commit() == SHUNT_EINVAL);
    CHECK(shunt_join(shunt_cancel_future()) == SHUNT_EINVAL);
    CHECK(shunt_time_left_ns() == SHUNT_FOREVER);
    /* Its own pool keeps a time of its own. */
    CHECK(shunt_pool_new(&pool, &(shunt_options){ .workers = 1 }) == 0);
    CHECK(shunt_join(shunt_delay(pool, SHUNT_US(300))) == 0);
    f = shunt_timeout(shunt_delay(pool, SHUNT_FOREVER), SHUNT_US(300));
    CHECK(shunt_join(f) == SHUNT_ETIMEDOUT);
    CHECK(shunt_join(shunt_submit_with(pool, stage_nothing, NULL,
                                       .deadline_ns = SHUNT_S(1000))) == 0);
    CHECK(shunt_pool_free(pool) == 0);
    return 0;
}

static void time_of_the_parent_does_not_pass_in_the_child(void)
{
    struct inherited had = inherit();
    shunt_future *near, *far = shunt_delay(had.pool, SHUNT_FOREVER);

    /* By then there is a timekeeper. */
    assert_joins(shunt_delay(had.pool, 1), 0);
    near = shunt_delay(had.pool, SHUNT_MS(1));
    assert_long(run_child(use_time, &had), 0);
    assert_joins(near, 0);
    assert_long(shunt_cancel(far), 1);
    assert_joins(far, SHUNT_ECANCELED);
    assert_untouched(&had);
}

/* ---- pools of the child ---- */

static int work_in_pools(const struct inherited *had, int pools, long rounds)
{
    shunt_pool *pool = NULL;
    shunt_queue *queue = NULL;
    shunt_event event;
    long value = 0;

    CHECK(shunt_pool_current() == NULL);
    CHECK(shunt_queue_new(&queue) == 0);
    for (int i = 0; i < pools; i++) {
        CHECK(shunt_pool_new(&pool, &(shunt_options){ .workers = 2 }) == 0);
        for (long j = 0; j < rounds; j++) {
            shunt_future *f = shunt_submit(pool, stage_same, &j);
            CHECK(shunt_take(shunt_then(f, stage_add_one), &value) == 0);
            CHECK(value == j + 1);
            CHECK(shunt_queue_add(queue, shunt_submit(pool, stage_same, &j),
                                  NULL) == 0);
            CHECK(shunt_queue_wait(queue, &event, 1, SHUNT_FOREVER) == 1);
            CHECK(shunt_take(event.future, &value) == 0 && value == j);
        }
        CHECK(shunt_status(had->settled) == SHUNT_EFORKED);
        CHECK(shunt_pool_free(pool) == 0);
    }
    CHECK(shunt_queue_free(queue) == 0);
    return 0;
}

static int work_in_own_pool(const struct inherited *had)
{
    return work_in_pools(had, 5, 200);
}

/* What is wrong in a child is so from the first: the moment of the fork makes
 * the difference, not the work after it. */
static int work_a_little(const struct inherited *had)
{
    return work_in_pools(had, 2, 10);
}

static void the_child_may_make_pools_and_queues_of_its_own(void)
{
    fork_and_run(work_in_own_pool);
}

static int fork_again(const struct inherited *had)
{
    shunt_pool *pool = NULL;
    int status = 0;

    CHECK(shunt_pool_new(&pool, &(shunt_options){ .workers = 1 }) == 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        if (shunt_pool_workers(pool) != SHUNT_EFORKED ||
            shunt_pool_workers(had->pool) != SHUNT_EFORKED)
            _exit(1);
        _exit(work_in_own_pool(had) != 0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(shunt_pool_free(pool) == 0);
    return 0;
}

static void a_grandchild_is_a_child_of_both(void)
{
    fork_and_run(fork_again);
}

/* ---- forks from busy pools ---- */

struct busy {
    shunt_pool *pool;
    struct latch *stop, *first;
    int wrong;
};

/* What address sanitizer's allocator locks stays locked in the child: with it
 * no block is made, and all the rest uses the records and stacks again that the
 * first round made. */
#ifdef __SANITIZE_ADDRESS__
#define BLOCK_BYTES_MAX 0
#else
#define BLOCK_BYTES_MAX 5000
#endif

static void *keep_busy(void *user)
{
    struct busy *busy = user;
    shunt_queue *queue = NULL;
    shunt_event event;
    long value;

    if (shunt_queue_new(&queue) != 0)
        busy->wrong++;
    /* Bounded by the latch, which is raised when the forks are done. */
    for (long i = 0; latch_level(busy->stop) == 0; i++) {
        size_t bytes = (size_t)i % (BLOCK_BYTES_MAX + 1);
        void *block = BLOCK_BYTES_MAX > 0 ? shunt_pool_alloc(busy->pool, bytes)
                                          : NULL;
        shunt_future *f = shunt_submit(busy->pool, stage_same, &i);
        f = shunt_then(f, stage_add_one);
        if (shunt_take(f, &value) != 0 || value != i + 1 ||
            shunt_free(block) != 0)
            busy->wrong++;
        f = shunt_submit(busy->pool, stage_same, &i);
        if (shunt_queue_add(queue, f, NULL) != 0 ||
            shunt_queue_wait(queue, &event, 1, SHUNT_FOREVER) != 1 ||
            shunt_take(event.future, &value) != 0 || value != i)
            busy->wrong++;
        if (i == 0)
            latch_raise(busy->first);
    }
    if (shunt_queue_free(queue) != 0)
        busy->wrong++;
    return NULL;
}

/* Method: forks hit the library's locks at any moment, were there any that a
 * child needs. */
static void a_fork_in_the_middle_of_anything_leaves_a_working_child(void)
{
    enum {
        THREADS = 2
    };
    struct inherited had = inherit();
    struct busy busy[THREADS];
    pthread_t threads[THREADS];
    struct latch *stop = stage_latch(), *first = stage_latch();
    int line = 0, forks = (int)harness_pools(480);

    for (int i = 0; i < THREADS; i++) {
        busy[i] = (struct busy){ had.pool, stop, first, 0 };
        assert_int_equal(pthread_create(&threads[i], NULL, keep_busy, &busy[i]),
                         0);
    }
    assert_true(latch_reaches(first, THREADS));
    forks_amid_others = true;
    for (int i = 0; i < forks && line == 0; i++) {
        harness_note("fork %d of %d", i + 1, forks);
        line = run_child(work_a_little, &had);
    }
    forks_amid_others = false;
    latch_raise(stop);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_long(busy[i].wrong, 0);
    }
    assert_long(line, 0);
    assert_untouched(&had);
}

static const struct CMUnitTest claims[] = {
    CLAIM(futures_of_the_parent_are_refused),
    CLAIM(the_pool_of_the_parent_is_refused),
    CLAIM(promises_of_the_parent_are_refused),
    CLAIM(scopes_of_the_parent_are_refused),
    CLAIM(combinators_of_the_parents_futures_are_refused),
    CLAIM(one_future_of_the_parent_is_enough),
    CLAIM(blocks_of_the_parents_pool_are_refused),
    CLAIM(queues_of_the_parent_are_refused),
    CLAIM(no_lookahead_is_opened_in_the_parents_pool),
    CLAIM(the_child_may_make_pools_and_queues_of_its_own),
    CLAIM(time_of_the_parent_does_not_pass_in_the_child),
    CLAIM(a_grandchild_is_a_child_of_both),
    CLAIM(a_fork_in_the_middle_of_anything_leaves_a_working_child),
};

HARNESS_MAIN(claims)
