/* SPDX-License-Identifier: MIT */
/*
 * submit_test.c - what a task gets, what comes back, and which tasks a thread
 * pool takes.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "stage.h"

enum {
    PATIENT = 10
};

/* ---- the example of shunt.h ---- */

struct span {
    long from, to;
};

static int add_up(const struct span *in, long *out)
{
    for (long i = in->from; i < in->to; i++)
        *out += i;
    return 0;
}
SHUNT_TASK(add_up, struct span, long)

/* Goal: the program at the top of shunt.h does what it says. */
static void the_example_of_the_header_adds_up(void)
{
    shunt_pool *pool;
    int rc = shunt_pool_new(&pool, NULL);
    assert_ok(rc);
    shunt_future *f = shunt_submit(pool, add_up, &(struct span){ 0, 10 });
    long sum;
    rc = shunt_take(f, &sum);
    assert_ok(rc);
    assert_long(sum, 45);
    assert_ok(shunt_pool_free(pool));
}

/* ---- in and out ---- */

/* Method: the worker is busy while in is overwritten. */
static void in_is_copied_before_submit_returns(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_hold hold = stage_hold(pool);
    struct span span = { 0, 10 };

    shunt_future *f = shunt_submit(pool, add_up, &span);
    span = (struct span){ 1000, 2000 };
    stage_let(hold);
    assert_takes(f, 45);
    harness_free(pool);
}

struct block {
    unsigned char bytes[600];
};

static int soil(const shunt_none *in, struct block *out)
{
    (void)in;
    memset(out, 0xa5, sizeof *out);
    return 0;
}
SHUNT_TASK(soil, shunt_none, struct block)

static int count_set_bytes(const shunt_none *in, struct block *out)
{
    int count = 0;

    (void)in;
    for (size_t i = 0; i < sizeof out->bytes; i++)
        count += out->bytes[i] != 0;
    return count;
}
SHUNT_TASK(count_set_bytes, shunt_none, struct block)

/* Method: results of the same size are filled and released, so that their
 * memory is used again. */
static void out_is_zeroed_before_the_call(void)
{
    shunt_pool *pool = harness_pool(1);

    for (int round = 0; round < 200; round++) {
        assert_joins(shunt_submit(pool, soil, NULL), 0);
        assert_joins(shunt_submit(pool, count_set_bytes, NULL), 0);
    }
    harness_free(pool);
}

static void a_task_may_have_no_input_and_no_result(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_none none;

    assert_ok(shunt_take(shunt_submit(pool, stage_nothing, NULL), &none));
    assert_ok(shunt_take(shunt_submit(pool, stage_nothing, &none), NULL));
    assert_ok(shunt_join(shunt_submit(pool, stage_nothing, NULL)));
    harness_free(pool);
}

struct node {
    long number;
    const struct node *next;
};

static int second_number(struct node const *const *in, long *out)
{
    *out = (*in)->next->number;
    return 0;
}
SHUNT_TASK(second_number, struct node const *, long)

static int next_node(struct node const *const *in, struct node const **out)
{
    *out = (*in)->next;
    return 0;
}
SHUNT_TASK(next_node, struct node const *, struct node const *)

static void inputs_and_results_may_be_pointers(void)
{
    shunt_pool *pool = harness_pool(1);
    struct node *nodes = stage_bytes(2 * sizeof *nodes);
    const struct node *found = NULL;

    nodes[0] = (struct node){ 1, &nodes[1] };
    nodes[1] = (struct node){ 2, NULL };
    assert_takes(
        shunt_submit(pool, second_number, &(const struct node *){ nodes }), 2);
    assert_ok(shunt_take(
        shunt_submit(pool, next_node, &(const struct node *){ nodes }),
        &found));
    assert_ptr_equal(found, &nodes[1]);
    harness_free(pool);
}

struct mebibyte {
    uint32_t words[(1 << 20) / sizeof(uint32_t)];
};

static int complement(const struct mebibyte *in, struct mebibyte *out)
{
    for (size_t i = 0; i < sizeof in->words / sizeof in->words[0]; i++)
        out->words[i] = ~in->words[i];
    return 0;
}
SHUNT_TASK(complement, struct mebibyte, struct mebibyte)

/* A result may be larger than a task's stack. */
static void a_mebibyte_goes_in_and_comes_out(void)
{
    static struct mebibyte in, out;
    shunt_pool *pool = harness_pool(2);

    for (int round = 0; round < 8; round++) {
        for (size_t i = 0; i < sizeof in.words / sizeof in.words[0]; i++)
            in.words[i] = (uint32_t)stage_random();
        assert_ok(shunt_take(shunt_submit(pool, complement, &in), &out));
        for (size_t i = 0; i < sizeof in.words / sizeof in.words[0]; i++)
            assert_true(out.words[i] == ~in.words[i]);
    }
    harness_free(pool);
}

struct wide {
    _Alignas(64) unsigned char bytes[64];
};
struct wider {
    _Alignas(256) unsigned char bytes[256];
};

static int check_wide(const struct wide *in, struct wider *out)
{
    out->bytes[0] = in->bytes[0];
    return (uintptr_t)in % 64 == 0 && (uintptr_t)out % 256 == 0 ? 0 : 1;
}
SHUNT_TASK(check_wide, struct wide, struct wider)

static int check_wider(const struct wider *in, const struct wide *ctx,
                       struct wide *out)
{
    out->bytes[0] = in->bytes[0];
    return (uintptr_t)in % 256 == 0 && (uintptr_t)ctx % 64 == 0 &&
                   (uintptr_t)out % 64 == 0
               ? 0
               : 1;
}
SHUNT_STEP(check_wider, struct wider, struct wide, struct wide)

static void in_ctx_and_out_are_aligned_as_their_types(void)
{
    shunt_pool *pool = harness_pool(1);
    struct wide wide = { { 17 } };

    for (int round = 0; round < 50; round++) {
        shunt_future *f = shunt_submit(pool, check_wide, &wide);
        f = shunt_then_with(f, check_wider, &wide);
        assert_settles(f, 0);
        const struct wide *value = shunt_peek(f, struct wide);
        assert_non_null(value);
        assert_int_equal((uintptr_t)value % 64, 0);
        assert_int_equal(value->bytes[0], 17);
        assert_ok(shunt_release(f));
    }
    harness_free(pool);
}

/* ---- descriptors ---- */

static void a_table_of_tasks_dispatches_by_descriptor(void)
{
    shunt_pool *pool = harness_pool(2);
    const shunt_task *const table[] = { &shunt_task_stage_same,
                                        &shunt_task_stage_add_one };
    long in = 40;

    for (long i = 0; i < 2; i++)
        assert_takes(shunt_submit_task(pool, table[i], &in, NULL), 40 + i);
    harness_free(pool);
}

/* stage.c defines these descriptors, this file uses them. */
static void one_descriptor_serves_several_files(void)
{
    shunt_pool *pool = harness_pool(1);
    int code = 9;

    assert_takes(shunt_submit(pool, stage_add_one, &(long){ 1 }), 2);
    shunt_future *f = shunt_submit(pool, stage_fail, &code);
    assert_fails_with(f, 9);
    assert_string_equal(shunt_error_of(f)->task, "stage_fail");
    assert_ok(shunt_release(f));
    harness_free(pool);
}

/* ---- traits ---- */

static int careless(const shunt_none *in, long *out)
{
    (void)in;
    *out = 5;
    return 0;
}
SHUNT_TASK(careless, shunt_none, long, .untrusted = true)

static int fragile(const shunt_none *in, long *out)
{
    return careless(in, out);
}
SHUNT_TASK(fragile, shunt_none, long, .thread_unsafe = true)

static int settled_here(const shunt_none *in, long *out)
{
    return careless(in, out);
}
SHUNT_TASK(settled_here, shunt_none, long, .trusted = true, .blocking = true,
           .host_only = true, .exclusive = true)

static int thrice(const shunt_none *in, long *out)
{
    return careless(in, out);
}
SHUNT_TASK(thrice, shunt_none, long, .idempotent = true, .retries = 2)

static int not_thrice(const shunt_none *in, long *out)
{
    return careless(in, out);
}
SHUNT_TASK(not_thrice, shunt_none, long, .retries = 2)

static void a_thread_pool_refuses_untrusted_tasks_unless_allowed(void)
{
    shunt_pool *pool;

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .mode = SHUNT_THREADS, .workers = 1 }));
    assert_joins(shunt_submit(pool, careless, NULL), SHUNT_ENOTSUP);
    assert_joins(shunt_submit(pool, fragile, NULL), SHUNT_ENOTSUP);
    assert_takes(shunt_submit(pool, settled_here, NULL), 5);
    harness_free(pool);
    assert_ok(shunt_pool_new(&pool, &(shunt_options){ .mode = SHUNT_THREADS,
                                                      .workers = 1,
                                                      .allow_unsafe = true }));
    assert_takes(shunt_submit(pool, careless, NULL), 5);
    assert_takes(shunt_submit(pool, fragile, NULL), 5);
    harness_free(pool);
}

static void a_process_pool_takes_tasks_of_every_kind(void)
{
    shunt_pool *pool;

    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .mode = SHUNT_PROCESSES, .workers = 1 }));
    assert_takes(shunt_submit(pool, careless, NULL), 5);
    assert_takes(shunt_submit(pool, fragile, NULL), 5);
    assert_takes(shunt_submit(pool, settled_here, NULL), 5);
    harness_free(pool);
}

static void retries_need_an_idempotent_task(void)
{
    shunt_pool *pool = harness_pool(1);

    assert_takes(shunt_submit(pool, thrice, NULL), 5);
    assert_joins(shunt_submit(pool, not_thrice, NULL), SHUNT_EINVAL);
    assert_takes(shunt_submit_with(pool, thrice, NULL, .retries = 1), 5);
    assert_joins(shunt_submit_with(pool, stage_nothing, NULL, .retries = 1),
                 SHUNT_EINVAL);
    assert_takes(shunt_submit_with(pool, thrice, NULL, .retries = 0), 5);
    harness_free(pool);
}

/* ---- where it runs ---- */

static int submit_to_none(const long *in, long *out)
{
    if (shunt_pool_current() == NULL)
        return 1;
    return shunt_take(shunt_submit(NULL, stage_add_one, in), out);
}
SHUNT_TASK(submit_to_none, long, long)

static void no_pool_means_the_running_tasks_pool(void)
{
    shunt_pool *pool = harness_pool(1);

    assert_null(shunt_pool_current());
    assert_takes(shunt_submit(pool, submit_to_none, &(long){ 6 }), 7);
    assert_joins(shunt_submit(NULL, stage_nothing, NULL), SHUNT_EINVAL);
    assert_null(shunt_pool_current());
    harness_free(pool);
}

struct spread {
    int depth;
    struct tally *ran;
};

static int spread(const struct spread *in, shunt_none *out);
SHUNT_TASK(spread, struct spread, shunt_none)

/* Submits two of its kind and leaves: the references end with the task. */
static int spread(const struct spread *in, shunt_none *out)
{
    (void)out;
    tally_add(in->ran, 1);
    if (in->depth == 0)
        return 0;
    for (int i = 0; i < 2; i++)
        (void)shunt_submit(NULL, spread,
                           &(struct spread){ in->depth - 1, in->ran });
    return 0;
}

/* The same, but waits for them. */
static int spread_and_join(const struct spread *in, shunt_none *out);
SHUNT_TASK(spread_and_join, struct spread, shunt_none)

static int spread_and_join(const struct spread *in, shunt_none *out)
{
    struct spread child = { in->depth - 1, in->ran };
    int rc = 0;

    (void)out;
    tally_add(in->ran, 1);
    if (in->depth == 0)
        return 0;
    shunt_future *left = shunt_submit(NULL, spread_and_join, &child);
    shunt_future *right = shunt_submit(NULL, spread_and_join, &child);
    rc |= shunt_join(left);
    rc |= shunt_join(right);
    return rc;
}

static void tasks_submit_tasks_to_any_depth(void)
{
    int depth = harness_slowness() > 1 ? 9 : 12;

    for (int workers = 1; workers <= 3; workers++) {
        shunt_pool *pool = harness_pool(workers);
        struct spread root = { depth, stage_tally() };

        assert_joins(shunt_submit(pool, spread_and_join, &root), 0);
        assert_long(tally_of(root.ran), (2L << depth) - 1);
        harness_free(pool);
    }
}

/* Method: one worker, so the children are queued until their parent, with
 * its references, is gone. The shutdown waits for what nobody else can. */
static void children_run_though_nobody_holds_them(void)
{
    shunt_pool *pool = harness_pool(1);
    struct spread root = { 1, stage_tally() };

    for (int round = 0; round < 100; round++)
        assert_joins(shunt_submit(pool, spread, &root), 0);
    assert_ok(shunt_pool_shutdown(pool, SHUNT_DRAIN, SHUNT_FOREVER, NULL));
    assert_long(tally_of(root.ran), 300);
    harness_free(pool);
}

/* ---- many at once ---- */

struct sender {
    shunt_pool *pool;
    struct tally *ran;
    int wrong;
};

enum {
    SENDERS = 4,
    SENT = 2500
};

static void *send_many(void *user)
{
    struct sender *sender = user;
    static _Thread_local shunt_future *sent[SENT];

    for (long i = 0; i < SENT; i++)
        sent[i] = shunt_submit(sender->pool, stage_job,
                               &(struct job){ .value = i, .ran = sender->ran });
    for (long i = 0; i < SENT; i++) {
        long value = -1;
        if (shunt_take(sent[i], &value) != 0 || value != i)
            sender->wrong++;
    }
    return NULL;
}

static void tasks_from_many_threads_run_exactly_once_each(void)
{
    shunt_pool *pool = harness_pool(2);
    struct tally *ran = stage_tally();
    struct sender senders[SENDERS];
    pthread_t threads[SENDERS];

    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){ pool, ran, 0 };
        assert_int_equal(
            pthread_create(&threads[i], NULL, send_many, &senders[i]), 0);
    }
    for (int i = 0; i < SENDERS; i++) {
        pthread_join(threads[i], NULL);
        assert_long(senders[i].wrong, 0);
    }
    assert_long(tally_of(ran), SENDERS * SENT);
    harness_free(pool);
}

struct message {
    const long *before;
    long *after;
};

static int relay(const struct message *in, shunt_none *out)
{
    (void)out;
    *in->after = *in->before + 1;
    return 0;
}
SHUNT_TASK(relay, struct message, shunt_none)

/* The memory is plain: only submit and settle order these accesses, which
 * the sanitizer for threads checks. */
static void writes_before_submit_and_before_settling_are_seen(void)
{
    shunt_pool *pool = harness_pool(2);
    long *cells = stage_bytes(2 * sizeof *cells);

    for (long round = 0; round < 2000; round++) {
        cells[0] = round;
        assert_ok(shunt_join(shunt_submit(
            pool, relay, &(struct message){ &cells[0], &cells[1] })));
        assert_long(cells[1], round + 1);
    }
    harness_free(pool);
}

/* ---- what a task returns ---- */

static void any_return_code_but_zero_is_a_failure(void)
{
    static const int codes[] = { 1,       -1,           7,
                                 -EAGAIN, INT32_MAX,    INT32_MIN,
                                 -10001,  SHUNT_EINVAL, SHUNT_ECANCELED };
    shunt_pool *pool = harness_pool(1);

    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        shunt_future *f =
            shunt_submit(pool, stage_job, &(struct job){ .rc = codes[i] });
        assert_fails_with(f, codes[i]);
        assert_null(shunt_peek(f, long));
        assert_joins(f, SHUNT_EFAILED);
    }
    harness_free(pool);
}

/* Method: one worker is held while a few are queued; they run in any order,
 * but all of them, and none before the worker is free. */
static void queued_tasks_wait_for_a_worker(void)
{
    shunt_pool *pool = harness_pool(1);
    struct stage_hold hold = stage_hold(pool);
    shunt_future *queued[PATIENT];
    struct tally *ran = stage_tally();

    for (int i = 0; i < PATIENT; i++) {
        queued[i] = shunt_submit(pool, stage_job, &(struct job){ .ran = ran });
        assert_status(shunt_status(queued[i]), SHUNT_PENDING);
    }
    assert_long(tally_of(ran), 0);
    stage_let(hold);
    for (int i = 0; i < PATIENT; i++)
        assert_joins(queued[i], 0);
    assert_long(tally_of(ran), PATIENT);
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(the_example_of_the_header_adds_up),
    CLAIM(in_is_copied_before_submit_returns),
    CLAIM(out_is_zeroed_before_the_call),
    CLAIM(a_task_may_have_no_input_and_no_result),
    CLAIM(inputs_and_results_may_be_pointers),
    CLAIM(a_mebibyte_goes_in_and_comes_out),
    CLAIM(in_ctx_and_out_are_aligned_as_their_types),
    CLAIM(a_table_of_tasks_dispatches_by_descriptor),
    CLAIM(one_descriptor_serves_several_files),
    CLAIM(a_thread_pool_refuses_untrusted_tasks_unless_allowed),
    CLAIM_OF_BOTH(a_process_pool_takes_tasks_of_every_kind),
    CLAIM(retries_need_an_idempotent_task),
    CLAIM(no_pool_means_the_running_tasks_pool),
    CLAIM(tasks_submit_tasks_to_any_depth),
    CLAIM(children_run_though_nobody_holds_them),
    CLAIM(tasks_from_many_threads_run_exactly_once_each),
    CLAIM(writes_before_submit_and_before_settling_are_seen),
    CLAIM(any_return_code_but_zero_is_a_failure),
    CLAIM(queued_tasks_wait_for_a_worker),
};

HARNESS_MAIN(claims)
