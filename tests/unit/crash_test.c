/* SPDX-License-Identifier: MIT */
/*
 * unit/crash_test.c - what a process leaves when it dies.
 *
 * Method: children that die in every way, with a record in shared memory; the
 * parent looks at the record and at how they ended.
 */
#include "dying.h"

#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>
#include <unwind.h>

static bool is_in(uint64_t pc, void (*function)(void))
{
    return (uintptr_t)_Unwind_FindEnclosingFunction(
               (void *)(uintptr_t)(pc - 1)) == (uintptr_t)function;
}

/* -- faults -- */

static void a_null_pointer_is_told_with_its_address(void **state)
{
    (void)state;
    dies_by(dereference_null, SIGSEGV);
    assert_true(shared->crash.has_address);
    assert_int_equal(shared->crash.address, 0x10);
    assert_int_equal(shared->crash.sender, 0);
    assert_int_not_equal(
        shared->crash.frames[atomic_load(&shared->crash.depth) - 1], 0);
    assert_int_equal(sh_crash_classify(&shared->crash, NULL), SH_CRASH_NULL);
    assert_string_equal(text, "crashed: SIGSEGV at 0x10: dereferenced NULL");
}

static void (*volatile nothing)(void);

static NOINLINE void call_null(void)
{
    nothing();
    near_null = NULL; /* no tail call */
}

/* Goal: the trace goes on behind the jump to nowhere. */
static void a_call_of_null_has_a_trace_from_its_caller_on(void **state)
{
    (void)state;
    dies_by(call_null, SIGSEGV);
    assert_string_equal(text,
                        "crashed: SIGSEGV at 0x0: called a function at NULL");
    assert_int_equal(shared->crash.pc, 0);
    assert_true(atomic_load(&shared->crash.depth) >= 3);
    assert_int_equal(shared->crash.frames[0], 0);
    assert_true(is_in(shared->crash.frames[1], call_null));
}

#if defined(__x86_64__)
static NOINLINE void divide(void)
{
    __asm__ volatile("xorl %%ecx, %%ecx\n\tidivl %%ecx" ::
                         : "eax", "ecx", "edx");
}
#else
static void divide(void)
{
    raise(SIGFPE); /* dividing by 0 is no fault there */
}
#endif

static void beyond_a_file(void)
{
    int fd = memfd_create("short", MFD_CLOEXEC);
    volatile char *p = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    p[0] = 1;
}

static void breakpoint(void)
{
    raise(SIGTRAP);
}

static void forbidden(void)
{
    raise(SIGSYS);
}

static void every_signal_of_a_crash_is_recorded_and_died_of(void **state)
{
    (void)state;
    dies_by(run_invalid, SIGILL);
    assert_int_equal(sh_crash_classify(&shared->crash, NULL),
                     SH_CRASH_INSTRUCTION);
    assert_true(shared->crash.has_address);
    dies_by(divide, SIGFPE);
    dies_by(beyond_a_file, SIGBUS);
    assert_true(shared->crash.has_address);
    assert_int_equal(sh_crash_classify(&shared->crash, NULL),
                     SH_CRASH_NO_MEMORY);
    dies_by(breakpoint, SIGTRAP);
    assert_false(shared->crash.has_address);
    assert_string_equal(text, "crashed: SIGTRAP: raised by itself");
    dies_by(forbidden, SIGSYS);
}

#if defined(__x86_64__)
static void a_division_by_zero_is_told(void **state)
{
    (void)state;
    dies_by(divide, SIGFPE);
    assert_int_equal(sh_crash_classify(&shared->crash, NULL),
                     SH_CRASH_ARITHMETIC);
    assert_has(text, ": divided an integer by 0");
}

static char *volatile wild = (char *)0x6b6b6b6b6b6b6b6b;

static void follow_wild(void)
{
    *wild = 1;
}

/* The processor tells no address of it, and 0 is none. */
static void an_impossible_address_is_not_taken_for_null(void **state)
{
    (void)state;
    dies_by(follow_wild, SIGSEGV);
    assert_false(shared->crash.has_address);
    assert_int_equal(sh_crash_classify(&shared->crash, NULL),
                     SH_CRASH_NO_ADDRESS);
    assert_begins(
        "crashed: SIGSEGV: followed a pointer that no address can be");
}

static NOINLINE void trap_without_stack(void)
{
    /* Nor a frame, by which what is not optimised is unwound. */
    __asm__ volatile("movq $0x1000, %rsp\n\tmovq %rsp, %rbp\n\tud2");
}

/* ThreadSanitizer blocks all signals in a handler, and the kernel then ends the
 * process by the second. */
#if defined(__SANITIZE_THREAD__)
#define BLOCKED true
#elif defined(__has_feature)
#define BLOCKED __has_feature(thread_sanitizer)
#else
#define BLOCKED false
#endif

/* Method: the unwinder faults, as there is no stack. */
static void a_fault_while_recording_leaves_the_facts(void **state)
{
    int status = end_of(start(trap_without_stack));

    (void)state;
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), BLOCKED ? SIGSEGV : SIGILL);
    assert_int_equal(atomic_load(&shared->crash.state), SH_CRASH_FACTS);
    assert_int_equal(atomic_load(&shared->crash.depth), 1);
    assert_true(is_in(shared->crash.pc + 1, trap_without_stack));
    assert_int_equal(shared->crash.sp, 0x1000);
    tell(status);
    assert_begins("crashed: SIGILL at 0x");
    assert_has(backtrace, "#0 ");
    assert_null(strchr(backtrace, '\n'));
}
#endif

static NOINLINE int recurse(int n)
{
    volatile char room[512];

    room[0] = (char)n;
    /* Not by a tail call. */
    return n < 0 ? room[0] : recurse(n + 1) + room[0];
}

static volatile int sum;

static NOINLINE void recurse_here(void)
{
    sum = recurse(0);
}

static void overflow(void)
{
    static ucontext_t back, context;

    if (getcontext(&context) != 0)
        _exit(97);
    context.uc_stack.ss_sp = stack + GUARD_BYTES;
    context.uc_stack.ss_size = STACK_BYTES;
    context.uc_link = &back;
    makecontext(&context, recurse_here, 0);
    (void)swapcontext(&back, &context);
}

static void a_stack_that_overflows_is_told_with_its_size(void **state)
{
    const struct sh_crash *c = &shared->crash;

    (void)state;
    dies_by(overflow, SIGSEGV);
    assert_true((uintptr_t)c->address >= (uintptr_t)stack &&
                (uintptr_t)c->address < (uintptr_t)stack + GUARD_BYTES);
    assert_true(strstr(text, ": overflowed its stack of 256 KiB") != NULL);
}

/* Goal: of a deep stack both ends are kept, and what is not there is said. */
static void a_deep_stack_shows_where_it_began(void **state)
{
    const struct sh_crash *c = &shared->crash;
    uint32_t depth, head = SH_CRASH_FRAMES - SH_CRASH_TAIL;
    const char *gap;
    size_t omitted = 0, number = 0;

    (void)state;
    dies_by(overflow, SIGSEGV);
    depth = atomic_load(&c->depth);
    assert_true(depth > SH_CRASH_FRAMES);
    assert_true(is_in(c->frames[head - 1], (void (*)(void))recurse));
    gap = strstr(backtrace, "\n... ");
    assert_non_null(gap);
    assert_int_equal(sscanf(gap, "\n... %zu frames\n#%zu ", &omitted, &number),
                     2);
    assert_int_equal(omitted, depth - SH_CRASH_FRAMES);
    for (uint32_t i = 0, n = 0; i < SH_CRASH_FRAMES; i++) {
        assert_int_not_equal(c->frames[i], 0);
        n += is_in(c->frames[i], recurse_here);
        assert_true(i < SH_CRASH_FRAMES - 1 || n == 1);
    }
}

/* -- aborts, and signals that were sent -- */

/* The kernel leaves a pid where an address would be. */
static void a_signal_that_was_sent_has_a_sender_and_no_address(void **state)
{
    pid_t pid = start_waiting();
    char expected[100];
    int status;

    (void)state;
    assert_int_equal(kill(pid, SIGABRT), 0);
    status = end_of(pid);
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_int_equal(sh_crash_classify(&shared->crash, NULL), SH_CRASH_SENT);
    pid = start_waiting();
    assert_int_equal(kill(pid, SIGSEGV), 0);
    status = end_of(pid);
    assert_int_equal(WTERMSIG(status), SIGSEGV);
    assert_int_equal(sh_crash_classify(&shared->crash, NULL), SH_CRASH_SENT);
    tell(status);
    snprintf(expected, sizeof expected, "crashed: SIGSEGV: sent by process %d",
             (int)getpid());
    assert_string_equal(text, expected);
}

static void leave(void)
{
    sh_crash_exit(&shared->crash, 3);
    _exit(3);
}

static void calls_of_exit_are_told(void **state)
{
    struct sh_failure f = { .code = SHUNT_ECRASHED };
    int status = end_of(start(leave));

    (void)state;
    tell(status);
    assert_string_equal(text, "called exit(3)");
    sh_crash_fill(&f, &shared->crash, status, NULL);
    assert_int_equal(f.exit_status, 3);
    assert_int_equal(f.signal, 0);
    tell(end_of(start(leave_quietly)));
    assert_string_equal(text, "called _exit(4)");
}

/* -- who records -- */

static void on_own(int sig)
{
    (void)sig;
    _exit(5);
}

static void handle_itself(void)
{
    signal(SIGSEGV, on_own);
    raise(SIGSEGV);
}

static void a_handler_of_the_task_wins(void **state)
{
    int status = end_of(start(handle_itself));

    (void)state;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 5);
    assert_int_equal(atomic_load(&shared->crash.state), SH_CRASH_EMPTY);
}

static void fork_and_crash(void)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0)
        dereference_null();
    if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status) ||
        WTERMSIG(status) != SIGSEGV)
        _exit(1);
    pid = fork();
    if (pid == 0) {
        sh_crash_exit(&shared->crash, 9);
        _exit(0);
    }
    (void)waitpid(pid, &status, 0);
    _exit(0);
}

static void a_child_of_the_task_leaves_no_record(void **state)
{
    int status = end_of(start(fork_and_crash));

    (void)state;
    assert_int_equal(status, 0);
    assert_int_equal(atomic_load(&shared->crash.state), SH_CRASH_EMPTY);
    assert_int_equal(atomic_load(&shared->crash.exited), 0);
}

/* Method: the unwinder is ours, and does not come back once it is told so. */
static _Atomic bool hangs;

_Unwind_Reason_Code _Unwind_Backtrace(_Unwind_Trace_Fn step, void *arg)
{
    _Unwind_Reason_Code (*real)(_Unwind_Trace_Fn, void *);
    static void *found;

    /* As in crash.c, no call is without end. */
    while (atomic_load(&hangs)) {
        atomic_store(&shared->ready, 1);
        (void)poll(NULL, 0, 100);
    }
    if (found == NULL)
        found = dlsym(RTLD_NEXT, "_Unwind_Backtrace");
    memcpy(&real, &found, sizeof real);
    return real(step, arg);
}

static void *crash_second(void *arg)
{
    while (atomic_load(&shared->ready) == 0)
        (void)sched_yield();
    dereference_null();
    return arg;
}

static void crash_twice(void)
{
    pthread_t thread;

    atomic_store(&hangs, true);
    if (pthread_create(&thread, NULL, crash_second, NULL) != 0)
        _exit(1);
    run_invalid();
}

static void the_first_crash_is_told_also_if_unwinding_hangs(void **state)
{
    int status;

    (void)state;
    atomic_store(&shared->ready, 0);
    status = end_of(start(crash_twice));
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGILL);
    assert_int_equal(shared->crash.signal, SIGILL);
    assert_int_equal(atomic_load(&shared->crash.state), SH_CRASH_FACTS);
    assert_int_equal(atomic_load(&shared->crash.depth), 1);
}

static void installing_clears_and_can_be_refused(void **state)
{
    int status;
    pid_t pid;

    (void)state;
    dies_by(abort, SIGABRT);
    status = end_of(start(leave_quietly));
    assert_int_equal(WEXITSTATUS(status), 4);
    assert_int_equal(atomic_load(&shared->crash.state), SH_CRASH_EMPTY);
    assert_int_equal(atomic_load(&shared->crash.depth), 0);
    pid = fork();
    if (pid == 0) {
        int64_t n = 0;

        do {
            sh_fault_set(++n);
        } while (!sh_crash_install(&shared->crash) && n < 100);
        _exit((int)n - 1);
    }
    status = end_of(pid);
    /* A stack, its guard, making it known; seven handlers. */
    assert_int_equal(WEXITSTATUS(status), 10);
}

int main(void)
{
#define CRASH_TEST(test) cmocka_unit_test_setup_teardown(test, make, unmake)
    const struct CMUnitTest tests[] = {
        CRASH_TEST(a_null_pointer_is_told_with_its_address),
        CRASH_TEST(a_call_of_null_has_a_trace_from_its_caller_on),
        CRASH_TEST(every_signal_of_a_crash_is_recorded_and_died_of),
#if defined(__x86_64__)
        CRASH_TEST(a_division_by_zero_is_told),
        CRASH_TEST(an_impossible_address_is_not_taken_for_null),
        CRASH_TEST(a_fault_while_recording_leaves_the_facts),
#endif
        CRASH_TEST(a_stack_that_overflows_is_told_with_its_size),
        CRASH_TEST(a_deep_stack_shows_where_it_began),
        CRASH_TEST(a_signal_that_was_sent_has_a_sender_and_no_address),
        CRASH_TEST(calls_of_exit_are_told),
        CRASH_TEST(a_handler_of_the_task_wins),
        CRASH_TEST(a_child_of_the_task_leaves_no_record),
        CRASH_TEST(the_first_crash_is_told_also_if_unwinding_hangs),
        CRASH_TEST(installing_clears_and_can_be_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
