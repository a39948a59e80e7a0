/* SPDX-License-Identifier: MIT */
/*
 * unit/stacks_test.c - the pool of guarded stacks: limits, refusals, memory.
 *
 * Goal: a stack ends at a guard, is used again, and gives back the memory that
 * it does not need. Method: thousands are taken and given, some with faults,
 * and the kernel is asked what is mapped and what is in memory.
 *
 * Nothing is asserted on a fiber: a failed assertion of cmocka jumps to the
 * stack of main.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "fiber/fiber.h"
#include "fiber/stacks.h"
#include "memory/pages.h"
#include "resident.h"

#ifdef SH_HAVE_VALGRIND
#include <valgrind/valgrind.h>
/* Valgrind has room for 30,000 mappings and looks at stacks one by one. */
#define UNDER_VALGRIND (RUNNING_ON_VALGRIND != 0)
#else
#define UNDER_VALGRIND false
#endif

/* The sanitizers map memory at any time, some of it for each stack, and end the
 * program if they cannot. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#define SANITIZED \
    (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define SANITIZED false
#endif

enum {
    STACK_BYTES = 256 * 1024,
    MANY = 20000,
    MOST = 50000
};

static struct sh_stacks stacks;
static struct sh_fiber base;
static struct sh_fiber *taken[MOST];
static char *lows[MOST]; /* of those taken, kept when they are given back */

static int init(void **state)
{
    (void)state;
    sh_stacks_init(&stacks, NULL, STACK_BYTES);
    sh_fiber_adopt(&base);
    return 0;
}

static int fini(void **state)
{
    (void)state;
    sh_fault_clear();
    sh_fiber_disown(&base);
    if (stacks.live != 0)
        return -1; /* the test gave up half way, or forgot one */
    sh_stacks_fini(&stacks);
    return 0;
}

/* How many mappings the process has, counted without making any. */
static int mappings(void)
{
    static char text[1 << 16];
    int count = 0;
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd;

    while (fd >= 0 && (got = read(fd, text, sizeof(text))) > 0)
        for (ssize_t i = 0; i < got; i++)
            count += text[i] == '\n';
    close(fd);
    return got == 0 ? count : -1;
}

/* How many bytes of the stack are in memory. */
static size_t resident_bytes(struct sh_fiber *f)
{
    size_t page = sh_pages_size(), bytes = 0;

    for (size_t at = 0; at < f->stack_bytes; at += page)
        bytes += resident(f->stack_low + at) == 1 ? page : 0;
    return bytes;
}

static unsigned take_many(unsigned count)
{
    unsigned got = 0;

    while (got < count && (taken[got] = sh_stacks_take(&stacks)) != NULL) {
        lows[got] = taken[got]->stack_low;
        got++;
    }
    return got;
}

static void give_many(unsigned count)
{
    while (count > 0)
        sh_stacks_give(&stacks, taken[--count]);
}

/* How many of the first count that take_many took are mapped, be it only the
 * guard. */
static unsigned still_mapped(unsigned count)
{
    unsigned mapped = 0;

    for (unsigned i = 0; i < count; i++)
        mapped += resident(lows[i]) != -1 ||
                  resident(lows[i] - SH_STACKS_GUARD) != -1;
    return mapped;
}

/* What runs on a fiber, on behalf of run_on. */
static struct sh_fiber *running;
static void (*runs)(void);

static void run_and_leave(void *arg)
{
    (void)arg;
    runs();
    sh_fiber_switch(running, &base, true);
}

/* Run run on f, from its top; f is LEFT afterwards. */
static void run_on(struct sh_fiber *f, void (*run)(void))
{
    running = f;
    runs = run;
    sh_fiber_start(&base, f, run_and_leave, NULL, false);
}

static void sizes_are_whole_pages_and_not_below_the_least(void **state)
{
    (void)state;
    static const size_t asked[] = { 0, 1, 16384, 16385, 100000, 1 << 20 };

    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        struct sh_stacks s;
        size_t least = asked[i] < SH_STACKS_BYTES_MIN ? SH_STACKS_BYTES_MIN
                                                      : asked[i];

        sh_stacks_init(&s, NULL, asked[i]);
        assert_int_equal(s.stack_bytes, sh_pages_round(least));
        struct sh_fiber *f = sh_stacks_take(&s);
        assert_non_null(f);
        assert_true(f->stack_low + f->stack_bytes == (char *)f);
        assert_true(f->stack_bytes > s.stack_bytes - 512);
        assert_int_equal(resident((char *)f), 1);
        assert_int_equal(resident(f->stack_low), 0);
        sh_stacks_give(&s, f);
        sh_stacks_fini(&s);
    }
}

static void a_size_that_no_machine_has_is_refused_at_take(void **state)
{
    (void)state;
    static const size_t asked[] = { SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / 4 };

    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        struct sh_stacks s;
        sh_stacks_init(&s, NULL, asked[i]);
        assert_null(sh_stacks_take(&s));
        assert_int_equal(s.live, 0);
        sh_stacks_fini(&s);
    }
}

static void what_was_given_last_is_taken_first(void **state)
{
    (void)state;
    assert_int_equal(take_many(3), 3);
    struct sh_fiber *last = taken[0];
    give_many(3);
    assert_int_equal(stacks.free_count, 3);
    assert_ptr_equal(sh_stacks_take(&stacks), last);
    assert_int_equal(stacks.made, 3);
    assert_int_equal(stacks.live, 1);
    sh_stacks_give(&stacks, last);
}

static void no_more_than_a_bounded_number_is_cached(void **state)
{
    (void)state;
    unsigned count = SH_STACKS_CACHED_MAX + 50;

    assert_int_equal(take_many(count), count);
    assert_int_equal(still_mapped(count), count);
    give_many(count);
    assert_int_equal(stacks.free_count, SH_STACKS_CACHED_MAX);
    assert_int_equal(stacks.live, 0);
    assert_int_equal(still_mapped(count), SH_STACKS_CACHED_MAX);
    sh_stacks_fini(&stacks);
    assert_int_equal(still_mapped(count), 0);
}

/* Goal: whichever of the two requests for a stack is refused, take says so
 * and has undone the other. */
static void a_refused_request_leaves_nothing_behind(void **state)
{
    (void)state;
    int before = mappings();

    for (int nth = 1; nth <= 2; nth++) {
        sh_fault_set(nth);
        assert_null(sh_stacks_take(&stacks));
        assert_int_equal(sh_fault_calls(), nth);
        assert_int_equal(mappings(), before);
        assert_int_equal(stacks.live, 0);
        assert_int_equal(stacks.made, 0);
    }
    struct sh_fiber *f = sh_stacks_take(&stacks);
    assert_non_null(f);
    assert_int_equal(sh_fault_calls(), 4);
    sh_stacks_give(&stacks, f);

    /* What is cached needs no request and so cannot be refused. */
    sh_fault_set_from(1);
    assert_ptr_equal(sh_stacks_take(&stacks), f);
    sh_stacks_give(&stacks, f);
    assert_int_equal(sh_fault_calls(), 0);
}

static void on_fault(int signal_number, siginfo_t *info, void *context)
{
    (void)signal_number, (void)context;
    char *address = info->si_addr;
    char *low = running->stack_low;
    _exit(address < low && address >= low - SH_STACKS_GUARD ? 42 : 43);
}

/* Calls itself until a frame lies below limit. */
static unsigned descend(uintptr_t limit)
{
    volatile unsigned frame[64];
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);

    for (size_t i = 0; i < 64; i++)
        frame[i] = (unsigned)i;
    if (here > limit)
        frame[1] = descend(limit);
    return frame[here / 16 % 64];
}

static void overflow(void)
{
    (void)descend(0);
}

/* Goal: endless recursion faults in the guard. Method: a child does it; its
 * handler, on a stack of its own, says where the fault was. */
static void overflow_faults_in_the_guard(void **state)
{
    (void)state;
    static char handler_stack[1 << 16];
    struct sh_fiber *f = sh_stacks_take(&stacks);
    assert_non_null(f);
    pid_t child = fork();

    if (child == 0) {
        stack_t other = { .ss_sp = handler_stack,
                          .ss_size = sizeof(handler_stack) };
        struct sigaction action = { .sa_sigaction = on_fault,
                                    .sa_flags = SA_SIGINFO | SA_ONSTACK };
        if (sigaltstack(&other, NULL) == 0 &&
            sigaction(SIGSEGV, &action, NULL) == 0)
            run_on(f, overflow);
        _exit(1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
    sh_stacks_give(&stacks, f);
}

static void go_shallow(void)
{
    (void)descend((uintptr_t)running - 2 * 1024);
}

static void go_deep(void)
{
    (void)descend((uintptr_t)running - 100 * 1024);
}

static void a_stack_that_was_used_deeply_returns_its_pages(void **state)
{
    (void)state;
    struct sh_fiber *f = sh_stacks_take(&stacks);

    assert_non_null(f);
    run_on(f, go_deep);
    assert_true(resident_bytes(f) > 2 * stacks.keep_bytes);
    sh_stacks_give(&stacks, f);
    assert_true(resident_bytes(f) <= stacks.keep_bytes);
    assert_ptr_equal(sh_stacks_take(&stacks), f);
    run_on(f, go_deep);
    sh_stacks_give(&stacks, f);
}

/* Goal: await stays cheap. Method: discarding is a request that can be made
 * to fail, so the faults count it. */
static void giving_back_after_shallow_use_asks_nothing_of_the_kernel(
    void **state)
{
    (void)state;
    struct sh_fiber *f = sh_stacks_take(&stacks);

    assert_non_null(f);
    sh_fault_set(INT64_MAX);
    for (int i = 0; i < 50; i++) {
        run_on(f, go_shallow);
        sh_stacks_give(&stacks, f);
        assert_ptr_equal(sh_stacks_take(&stacks), f);
    }
    assert_int_equal(sh_fault_calls(), 0);
    sh_stacks_give(&stacks, f);
}

static uintptr_t far_below;

static void leave_a_gap(void)
{
    volatile char buffer[128 * 1024];

    buffer[0] = 1;
    far_below = (uintptr_t)buffer;
}

/* Goal: pages that the probe does not see do not stay for ever. Method: a
 * frame with a large buffer of which only the far end is touched. */
static void pages_below_an_untouched_gap_are_returned_in_time(void **state)
{
    (void)state;
    struct sh_fiber *f = sh_stacks_take(&stacks);

    assert_non_null(f);
    run_on(f, leave_a_gap);
    assert_int_equal(resident((char *)far_below), 1);
    int gives = 0;
    while (resident((char *)far_below) == 1 && gives < 1000) {
        sh_stacks_give(&stacks, f);
        gives++;
        assert_ptr_equal(sh_stacks_take(&stacks), f);
    }
    assert_in_range(gives, 2, 64);
    sh_stacks_give(&stacks, f);
}

static unsigned sum;

/* Frames of odd sizes, with variables that sanitizers put redzones around;
 * it leaves from the deepest one, so none of them ever returns. */
static void odd_frames(unsigned depth)
{
    volatile char small[7 + 16];
    volatile int large[33];

    for (size_t i = 0; i < sizeof(small); i++)
        small[i] = (char)depth;
    for (size_t i = 0; i < 33; i++)
        large[i] = (int)depth;
    if (depth > 0)
        odd_frames(depth - 1);
    else
        sh_fiber_switch(running, &base, true);
    sum += (unsigned)small[0] + (unsigned)large[0];
}

static void leave_odd_frames(void)
{
    odd_frames(150);
}

/* Fills what odd_frames left behind, in other places. */
static void even_frames(void)
{
    volatile char buffer[32 * 1024];

    for (size_t i = 0; i < sizeof(buffer); i++)
        buffer[i] = 1;
    for (size_t i = 0; i < sizeof(buffer); i++)
        sum += (unsigned)buffer[i];
}

/* Goal: frames that were left are no obstacle to those that come after.
 * Method: two users whose frames do not match take turns on one stack; the
 * sanitizers and valgrind watch. */
static void a_left_stack_is_as_good_as_new(void **state)
{
    (void)state;
    sum = 0;
    for (int i = 0; i < 100; i++) {
        struct sh_fiber *f = sh_stacks_take(&stacks);
        assert_non_null(f);
        run_on(f, i % 2 == 0 ? leave_odd_frames : even_frames);
        sh_stacks_give(&stacks, f);
    }
    assert_int_equal(stacks.made, 1);
    assert_int_equal(sum, 50 * 32 * 1024);
}

/* Goal: addresses of stacks can be mapped anew by others. Method: leave deep
 * frames, unmap, and write all over what is mapped next. */
static void an_unmapped_stack_leaves_its_addresses_clean(void **state)
{
    (void)state;
    size_t bytes = SH_STACKS_GUARD + stacks.stack_bytes;

    for (int i = 0; i < 20; i++) {
        struct sh_fiber *f = sh_stacks_take(&stacks);
        assert_non_null(f);
        run_on(f, leave_odd_frames);
        sh_stacks_give(&stacks, f);
        sh_stacks_fini(&stacks);
        volatile char *p = sh_pages_map(bytes, SH_PAGES_STACK);
        assert_non_null(p);
        for (size_t at = 0; at < bytes; at++)
            p[at] = 1;
        sh_pages_unmap((void *)(uintptr_t)p, bytes);
    }
}

static void note_that_it_ran(void)
{
    sum++;
}

static void twenty_thousand_stacks_live_at_once(void **state)
{
    (void)state;
    unsigned many = UNDER_VALGRIND || SANITIZED ? MANY / 20 : MANY;

    assert_int_equal(take_many(many), many);
    assert_int_equal(stacks.live, many);
    sum = 0;
    for (unsigned i = 0; i < many; i += many / 100)
        run_on(taken[i], note_that_it_ran);
    assert_int_equal(sum, 100);
    give_many(many);
    sh_stacks_fini(&stacks);
    assert_int_equal(still_mapped(many), 0);
}

/* The beginning of the file at path as a string, empty if it cannot be read. */
static void peek_file(const char *path, char *text_out, size_t bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, text_out, bytes - 1) : -1;

    text_out[got > 0 ? got : 0] = '\0';
    close(fd);
}

/* An emulator, for a program of another processor, has its own mappings in the
 * process, and does not hand limits on to the kernel. */
static bool emulated(void)
{
    char text[32];

    peek_file("/proc/self/comm", text, sizeof(text));
    return strncmp(text, "qemu-", 5) == 0;
}

/* How many mappings a process may have; 0 if the limit cannot be tried: the
 * checkers and emulators would end the process when they meet it. */
static long mappings_max(void)
{
    char text[32];

    if (UNDER_VALGRIND || SANITIZED || emulated())
        return 0;
    peek_file("/proc/sys/vm/max_map_count", text, sizeof(text));
    return atol(text);
}

/* Goal: at the limit of mappings take answers NULL, again and again, and the
 * pool works on with what it has. Method: reach it. */
static void beyond_the_limit_of_mappings_take_answers_null(void **state)
{
    (void)state;
    long max = mappings_max();
    int before = mappings();
    unsigned got = take_many(MOST);

    assert_in_range(got, 25000, max / 2);
    for (int i = 0; i < 100; i++)
        assert_null(sh_stacks_take(&stacks));
    assert_int_equal(stacks.live, got);
    assert_in_range(mappings(), max - 2, max + 1); /* vsyscall does not count */
    sum = 0;
    run_on(taken[got - 1], note_that_it_ran);
    assert_int_equal(sum, 1);

    sh_stacks_give(&stacks, taken[--got]);
    taken[got] = sh_stacks_take(&stacks);
    assert_non_null(taken[got++]);
    give_many(got);
    sh_stacks_fini(&stacks);
    assert_int_equal(mappings(), before);
}

/* The size of the process in bytes. */
static size_t process_bytes(void)
{
    char text[64];

    peek_file("/proc/self/statm", text, sizeof(text));
    return strtoul(text, NULL, 10) * sh_pages_size();
}

/* Goal: likewise when it is memory that the kernel refuses. Method: a child
 * lowers its limit of addresses to leave room for a hundred stacks. */
static void without_memory_take_answers_null(void **state)
{
    (void)state;
    pid_t child = fork();

    if (child == 0) {
        size_t each = SH_STACKS_GUARD + stacks.stack_bytes;
        struct rlimit limit;
        limit.rlim_cur = process_bytes() + 100 * each;
        limit.rlim_max = limit.rlim_cur;
        if (setrlimit(RLIMIT_AS, &limit) != 0)
            _exit(1);
        unsigned got = take_many(200);
        if (got < 50 || got > 100 || sh_stacks_take(&stacks) != NULL)
            _exit(2);
        sh_stacks_give(&stacks, taken[--got]);
        taken[got] = sh_stacks_take(&stacks);
        if (taken[got++] == NULL)
            _exit(3);
        give_many(got);
        sh_stacks_fini(&stacks);
        /* All room is back. */
        _exit(take_many(200) == got ? 42 : 4);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
}

#define POOL_TEST(claim) cmocka_unit_test_setup_teardown(claim, init, fini)

int main(void)
{
    const struct CMUnitTest tests[] = {
        POOL_TEST(sizes_are_whole_pages_and_not_below_the_least),
        POOL_TEST(a_size_that_no_machine_has_is_refused_at_take),
        POOL_TEST(what_was_given_last_is_taken_first),
        POOL_TEST(no_more_than_a_bounded_number_is_cached),
        POOL_TEST(a_refused_request_leaves_nothing_behind),
        POOL_TEST(overflow_faults_in_the_guard),
        POOL_TEST(a_stack_that_was_used_deeply_returns_its_pages),
        POOL_TEST(giving_back_after_shallow_use_asks_nothing_of_the_kernel),
        POOL_TEST(pages_below_an_untouched_gap_are_returned_in_time),
        POOL_TEST(a_left_stack_is_as_good_as_new),
        POOL_TEST(an_unmapped_stack_leaves_its_addresses_clean),
        POOL_TEST(twenty_thousand_stacks_live_at_once),
    };
    /* Where the kernel's limit is out of reach there is none to meet. */
    const struct CMUnitTest of_mappings[] = {
        POOL_TEST(beyond_the_limit_of_mappings_take_answers_null),
    };
    /* An emulator's own memory counts for the limit of addresses. */
    const struct CMUnitTest of_memory[] = {
        POOL_TEST(without_memory_take_answers_null),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    if (mappings_max() > 0 && mappings_max() / 2 < MOST)
        failed += cmocka_run_group_tests(of_mappings, NULL, NULL);
    if (!emulated())
        failed += cmocka_run_group_tests(of_memory, NULL, NULL);
    return failed;
}
