/* SPDX-License-Identifier: MIT */
/*
 * unit/fiber_test.c - what a fiber keeps while others run, and what it shares.
 *
 * Goal: registers, rounding mode and stack are a fiber's own, errno and thread
 * locals its thread's. Method: fibers change them, switch to one another, and
 * look again.
 *
 * Nothing is asserted on a fiber: a failed assertion of cmocka jumps to the
 * stack of main. Fibers write down what they saw; the test looks at it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <execinfo.h>
#include <fenv.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "fiber/fiber.h"
#include "fiber/stacks.h"
#include "fiber/switch.h"
#include "keep_registers.h"

enum {
    STACK_BYTES = 256 * 1024,
    FIBERS = 3,
    THREADS = 2,
    DEPTH = 100,
    ROUNDS = 20,
    STARTS = 2000,
    LEFT = 50, /* frames that each leaves */
    FRAMES_MAX = 64
};

/* The fibers of one thread, and whose turn it is. */
struct ring {
    struct sh_stacks stacks;
    struct sh_fiber base;
    struct sh_fiber *fibers[FIBERS];
    size_t count;
    size_t turn;
};

struct job {
    struct ring *ring;
    void (*run)(struct job *job);
    size_t number;
    uint64_t saw[64];
};

/* Each test runs in this one, but for that with threads. */
static struct ring ring;
static struct job jobs[FIBERS];

static int adopt(void **state)
{
    (void)state;
    memset(&ring, 0, sizeof(ring));
    memset(jobs, 0, sizeof(jobs));
    sh_stacks_init(&ring.stacks, NULL, STACK_BYTES);
    sh_fiber_adopt(&ring.base);
    return 0;
}

static int disown(void **state)
{
    (void)state;
    for (size_t i = 0; i < ring.count; i++)
        sh_stacks_give(&ring.stacks, ring.fibers[i]);
    sh_fiber_disown(&ring.base);
    sh_stacks_fini(&ring.stacks);
    return 0;
}

/* The entry of every fiber here: run the job once, then leave for the base. */
static void run_and_leave(void *arg)
{
    struct job *job = arg;
    struct ring *r = job->ring;

    job->run(job);
    sh_fiber_switch(r->fibers[job->number], &r->base, true);
}

/* Take a fiber for job and start it; returns when it switches to the base. */
static void start(struct ring *r, struct job *job, void (*run)(struct job *))
{
    struct sh_fiber *f = sh_stacks_take(&r->stacks);

    assert_non_null(f);
    job->ring = r;
    job->run = run;
    job->number = r->count;
    r->fibers[r->count++] = f;
    sh_fiber_start(&r->base, f, run_and_leave, job, false);
}

static void to_base(struct job *job)
{
    sh_fiber_switch(job->ring->fibers[job->number], &job->ring->base, false);
}

static void resume(struct ring *r, const struct job *job)
{
    sh_fiber_switch(&r->base, r->fibers[job->number], false);
}

/* From the fiber of job to the next one. */
static void hop(struct job *job)
{
    struct ring *r = job->ring;

    r->turn = (job->number + 1) % r->count;
    sh_fiber_switch(r->fibers[job->number], r->fibers[r->turn], false);
}

static void note_and_return_twice(struct job *job)
{
    job->saw[0] = (uintptr_t)__builtin_frame_address(0);
    to_base(job);
    job->saw[1]++;
    to_base(job);
    job->saw[1]++;
}

static void a_fiber_runs_on_its_own_stack_and_continues_where_it_was(
    void **state)
{
    (void)state;
    start(&ring, &jobs[0], note_and_return_twice);
    const struct sh_fiber *f = ring.fibers[0];

    assert_true(jobs[0].saw[0] >= (uintptr_t)f->stack_low);
    assert_true(jobs[0].saw[0] < (uintptr_t)f->stack_low + f->stack_bytes);
    assert_int_equal(jobs[0].saw[1], 0);
    assert_non_null(f->sp);
    resume(&ring, &jobs[0]);
    assert_int_equal(jobs[0].saw[1], 1);
    resume(&ring, &jobs[0]);
    assert_int_equal(jobs[0].saw[1], 2);
}

/* Words that differ by job and register, and are no addresses. */
static uint64_t pattern(size_t job, size_t i)
{
    return 0xa5a5000000000000u + (job << 16) + i;
}

static void park_in_base(void *arg)
{
    to_base(arg);
}

static void keep_registers_over_a_switch(struct job *job)
{
    uint64_t in[KEPT];

    for (size_t i = 0; i < KEPT; i++)
        in[i] = pattern(job->number, i);
    keep_registers(in, job->saw, park_in_base, job);
}

/* Goal: the switch keeps all that the calling convention makes it keep.
 * Method: each fiber fills the registers with words of its own, then parks
 * while the others do the same. The first is resumed first, since in reverse
 * order the fibers would restore for each other what the switch has lost. */
static void switching_keeps_the_registers_that_a_callee_keeps(void **state)
{
    (void)state;
    for (size_t j = 0; j < FIBERS; j++)
        start(&ring, &jobs[j], keep_registers_over_a_switch);
    for (size_t j = 0; j < FIBERS; j++)
        resume(&ring, &jobs[j]);
    for (size_t j = 0; j < FIBERS; j++)
        for (size_t i = 0; i < KEPT; i++)
            assert_true(jobs[j].saw[i] == pattern(j, i));
}

/* How the processor rounds now: by what the C library reads, and by what a
 * conversion does. On x86 these are two control words, x87's and SSE's. It is
 * a conversion since valgrind rounds nothing else as it is told. */
static uint64_t rounding(void)
{
    volatile double plus = 2.5, minus = -2.5;
    uint64_t way = FE_TONEAREST;

    if (lrint(plus) == 3)
        way = FE_UPWARD;
    if (lrint(minus) == -3)
        way = FE_DOWNWARD;
    return (uint64_t)fegetround() << 32 | way;
}

static uint64_t rounded(int mode)
{
    return (uint64_t)mode << 32 | (uint64_t)mode;
}

static void round_each_its_own_way(struct job *job)
{
    static const int modes[FIBERS] = { FE_UPWARD, FE_DOWNWARD, FE_UPWARD };

    job->saw[0] = rounding();
    fesetround(modes[job->number]);
    to_base(job);
    job->saw[1] = rounding();
}

static void switching_keeps_each_fibers_rounding_mode(void **state)
{
    (void)state;
    for (size_t j = 0; j < FIBERS; j++) {
        start(&ring, &jobs[j], round_each_its_own_way);
        assert_true(rounding() == rounded(FE_TONEAREST));
    }
    for (size_t j = 0; j < FIBERS; j++) {
        resume(&ring, &jobs[j]);
        assert_true(rounding() == rounded(FE_TONEAREST));
    }
    assert_true(jobs[0].saw[1] == rounded(FE_UPWARD));
    assert_true(jobs[1].saw[1] == rounded(FE_DOWNWARD));
    assert_true(jobs[2].saw[1] == rounded(FE_UPWARD));
}

/* Goal: a task that awaits with another rounding mode set does not hand it to
 * the tasks that run on the fresh stack. */
static void a_fresh_fiber_rounds_as_its_thread_did_when_adopted(void **state)
{
    (void)state;
    fesetround(FE_UPWARD);
    start(&ring, &jobs[0], round_each_its_own_way);
    fesetround(FE_TONEAREST);
    sh_fiber_disown(&ring.base);
    assert_true(jobs[0].saw[0] == rounded(FE_TONEAREST));

    fesetround(FE_DOWNWARD);
    sh_fiber_adopt(&ring.base);
    start(&ring, &jobs[1], round_each_its_own_way);
    fesetround(FE_TONEAREST);
    assert_true(jobs[1].saw[0] == rounded(FE_DOWNWARD));
}

/* Call down to a depth and back, with a switch on every step, and what each
 * frame holds checked after it. */
static uint64_t descend(struct job *job, uint64_t depth)
{
    volatile uint64_t local[4];

    for (size_t i = 0; i < 4; i++)
        local[i] = depth * 16 + job->number * 4 + i;
    hop(job);
    uint64_t deeper = depth < DEPTH ? descend(job, depth + 1) : 0;
    hop(job);
    for (size_t i = 0; i < 4; i++)
        deeper += local[i] == depth * 16 + job->number * 4 + i;
    return deeper;
}

static void descend_often(struct job *job)
{
    to_base(job);
    for (size_t i = 0; i < ROUNDS; i++)
        job->saw[0] += descend(job, 1);
}

static void three_fibers_switch_at_every_depth_of_their_calls(void **state)
{
    (void)state;
    for (size_t j = 0; j < FIBERS; j++)
        start(&ring, &jobs[j], descend_often);
    /* Each ends by leaving for the base, which then goes on with the next. */
    for (size_t j = 0; j < FIBERS; j++)
        resume(&ring, &jobs[j]);
    for (size_t j = 0; j < FIBERS; j++)
        assert_int_equal(jobs[j].saw[0], 4 * DEPTH * ROUNDS);
}

static void note_alignment(struct job *job)
{
    _Alignas(16) volatile unsigned char local[16] = { 0 };
    uintptr_t address = (uintptr_t)local;

    /* The compiler takes both for granted; ask for what they really are. */
    __asm__ volatile("" : "+r"(address));
    job->saw[0] = address % 16;
    address = (uintptr_t)__builtin_frame_address(0);
    __asm__ volatile("" : "+r"(address));
    job->saw[1] = address % 16;
    job->saw[2] = 1;
}

/* Goal: vector instructions on stack variables do not fault. Method: a frame
 * address is 16 below an address that calls align by 16, on both processors;
 * nothing between the start and here aligns the stack again. */
static void the_stack_is_aligned_as_calls_need_it(void **state)
{
    (void)state;
    start(&ring, &jobs[0], note_alignment);
    assert_int_equal(jobs[0].saw[0], 0);
    assert_int_equal(jobs[0].saw[1], 0);
    assert_int_equal(jobs[0].saw[2], 1);
}

static _Thread_local int of_the_thread;

static void change_what_the_thread_has(struct job *job)
{
    job->saw[0] = (uint64_t)errno;
    job->saw[1] = (uint64_t)of_the_thread;
    errno = EDOM;
    of_the_thread = 2;
    to_base(job);
    job->saw[2] = (uint64_t)errno;
    job->saw[3] = (uint64_t)of_the_thread;
}

static void errno_and_thread_locals_belong_to_the_thread(void **state)
{
    (void)state;
    errno = ERANGE;
    of_the_thread = 1;
    start(&ring, &jobs[0], change_what_the_thread_has);
    assert_int_equal(errno, EDOM);
    assert_int_equal(of_the_thread, 2);
    errno = EILSEQ;
    of_the_thread = 3;
    resume(&ring, &jobs[0]);
    assert_int_equal(jobs[0].saw[0], ERANGE);
    assert_int_equal(jobs[0].saw[1], 1);
    assert_int_equal(jobs[0].saw[2], EILSEQ);
    assert_int_equal(jobs[0].saw[3], 3);
}

static volatile bool jump_at_the_bottom = true;

static void jump_from_below(jmp_buf target, int depth)
{
    volatile int frame[32];

    for (size_t i = 0; i < 32; i++)
        frame[i] = depth;
    if (depth > 0)
        jump_from_below(target, depth - 1);
    else if (jump_at_the_bottom)
        longjmp(target, 1);
    (void)frame[0]; /* so the call above is not the last thing done */
}

static void jump_and_switch(struct job *job)
{
    jmp_buf target;

    if (setjmp(target) == 0)
        jump_from_below(target, 20);
    job->saw[0]++;
    to_base(job);
    /* Once more, over frames that were jumped over before, and with a buffer
     * that was set before the switch. */
    if (job->saw[0] < 3)
        jump_from_below(target, 10);
}

static void longjmp_works_within_a_fiber(void **state)
{
    (void)state;
    start(&ring, &jobs[0], jump_and_switch);
    assert_int_equal(jobs[0].saw[0], 1);
    resume(&ring, &jobs[0]);
    assert_int_equal(jobs[0].saw[0], 2);
    resume(&ring, &jobs[0]);
    assert_int_equal(jobs[0].saw[0], 3);
    resume(&ring, &jobs[0]);
    assert_int_equal(jobs[0].saw[0], 3);
}

static void unwind(struct job *job)
{
    void *frames[FRAMES_MAX];
    int count = backtrace(frames, FRAMES_MAX);

    job->saw[0] = (uint64_t)count;
    job->saw[1] = (uintptr_t)frames[count > 0 ? count - 1 : 0];
}

/* Goal: profilers, crash reports and exceptions see the end of the stack.
 * Method: unwind by the tables; the last frame is the assembly's, a call
 * within the first 64 bytes of sh_fiber_root. */
static void unwinding_a_fiber_ends_at_its_root(void **state)
{
    (void)state;
    start(&ring, &jobs[0], unwind);
    assert_in_range(jobs[0].saw[0], 2, 10);
    uintptr_t root = (uintptr_t)sh_fiber_root;
    assert_in_range(jobs[0].saw[1], root + 1, root + 64);
}

static void leave_with_frames(struct job *job, int depth)
{
    volatile int frame[16];

    for (size_t i = 0; i < 16; i++)
        frame[i] = depth;
    if (depth > 0)
        leave_with_frames(job, depth - 1);
    else
        sh_fiber_switch(job->ring->fibers[0], &job->ring->base, true);
    (void)frame[0]; /* so the call above is not the last thing done */
}

static void leave_from_below(struct job *job)
{
    job->saw[0]++;
    leave_with_frames(job, LEFT - 2);
}

/* Goal: leaving forgets the frames in every sense, also in that of checkers
 * which count calls: 100,000 frames are entered here that never return. */
static void a_stack_is_left_and_started_afresh_any_number_of_times(void **state)
{
    (void)state;
    for (size_t i = 0; i < STARTS; i++) {
        start(&ring, &jobs[0], leave_from_below);
        ring.count = 0;
        sh_stacks_give(&ring.stacks, ring.fibers[0]);
    }
    assert_int_equal(jobs[0].saw[0], STARTS);
    assert_int_equal(ring.stacks.made, 1);
}

/* What awaiting does: the first fiber parks by starting the second, which
 * leaves for the first when that may go on. */
static void leave_for_the_first(void *arg)
{
    struct job *job = arg;

    job->saw[1]++;
    sh_fiber_switch(job->ring->fibers[1], job->ring->fibers[0], true);
}

static void await_often(struct job *job)
{
    struct ring *r = job->ring;

    for (size_t i = 0; i < ROUNDS; i++) {
        r->fibers[1] = sh_stacks_take(&r->stacks);
        if (r->fibers[1] == NULL)
            return;
        sh_fiber_start(r->fibers[0], r->fibers[1], leave_for_the_first, job,
                       false);
        sh_stacks_give(&r->stacks, r->fibers[1]);
        job->saw[0]++;
    }
}

static void a_fiber_awaits_by_starting_another_that_leaves_for_it(void **state)
{
    (void)state;
    start(&ring, &jobs[0], await_often);
    assert_int_equal(jobs[0].saw[0], ROUNDS);
    assert_int_equal(jobs[0].saw[1], ROUNDS);
    assert_int_equal(ring.stacks.live, 1);
    assert_int_equal(ring.stacks.made, 2);
}

static void land(void *arg)
{
    struct job *job = arg;

    job->saw[0]++;
    sh_fiber_switch(job->ring->fibers[1], &job->ring->base, true);
}

static void leave_by_starting(struct job *job)
{
    struct ring *r = job->ring;

    sh_fiber_start(r->fibers[0], r->fibers[1], land, job, true);
    job->saw[0] = 100; /* never reached */
}

static void a_fiber_may_leave_by_starting_another(void **state)
{
    (void)state;
    ring.fibers[1] = sh_stacks_take(&ring.stacks);
    assert_non_null(ring.fibers[1]);
    start(&ring, &jobs[0], leave_by_starting);
    assert_int_equal(jobs[0].saw[0], 1);
    ring.count = 2;
}

static void *run_a_ring_of_its_own(void *arg)
{
    uint64_t *sum = arg;
    struct ring own = { 0 };
    struct job own_jobs[FIBERS] = { 0 };

    sh_stacks_init(&own.stacks, NULL, STACK_BYTES);
    sh_fiber_adopt(&own.base);
    for (size_t j = 0; j < FIBERS; j++) {
        own_jobs[j] = (struct job){ .ring = &own, .run = descend_often };
        own_jobs[j].number = own.count;
        own.fibers[own.count] = sh_stacks_take(&own.stacks);
        if (own.fibers[own.count++] == NULL)
            return NULL;
        sh_fiber_start(&own.base, own.fibers[j], run_and_leave, &own_jobs[j],
                       false);
    }
    for (size_t j = 0; j < FIBERS; j++)
        resume(&own, &own_jobs[j]);
    for (size_t j = 0; j < FIBERS; j++) {
        *sum += own_jobs[j].saw[0];
        sh_stacks_give(&own.stacks, own.fibers[j]);
    }
    sh_fiber_disown(&own.base);
    sh_stacks_fini(&own.stacks);
    return NULL;
}

static void each_thread_has_fibers_of_its_own(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    uint64_t sums[THREADS] = { 0 };

    for (size_t t = 0; t < THREADS; t++)
        assert_int_equal(
            pthread_create(&threads[t], NULL, run_a_ring_of_its_own, &sums[t]),
            0);
    for (size_t t = 0; t < THREADS; t++) {
        assert_int_equal(pthread_join(threads[t], NULL), 0);
        assert_int_equal(sums[t], FIBERS * 4 * DEPTH * ROUNDS);
    }
}

#define RING_TEST(claim) cmocka_unit_test_setup_teardown(claim, adopt, disown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RING_TEST(a_fiber_runs_on_its_own_stack_and_continues_where_it_was),
        RING_TEST(switching_keeps_the_registers_that_a_callee_keeps),
        RING_TEST(switching_keeps_each_fibers_rounding_mode),
        RING_TEST(a_fresh_fiber_rounds_as_its_thread_did_when_adopted),
        RING_TEST(three_fibers_switch_at_every_depth_of_their_calls),
        RING_TEST(the_stack_is_aligned_as_calls_need_it),
        RING_TEST(errno_and_thread_locals_belong_to_the_thread),
        RING_TEST(longjmp_works_within_a_fiber),
        RING_TEST(unwinding_a_fiber_ends_at_its_root),
        RING_TEST(a_stack_is_left_and_started_afresh_any_number_of_times),
        RING_TEST(a_fiber_awaits_by_starting_another_that_leaves_for_it),
        RING_TEST(a_fiber_may_leave_by_starting_another),
        cmocka_unit_test(each_thread_has_fibers_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
