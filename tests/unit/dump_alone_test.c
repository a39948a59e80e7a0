/* SPDX-License-Identifier: MIT */
/*
 * unit/dump_alone_test.c - a dump needs nothing that a signal handler may not
 * use.
 *
 * Goal: no allocation, no lock, little stack. Method: this program has the
 * allocator's functions and that of the mutex itself, and counts what is called
 * by a thread that is dumping; stacks are painted, and looked at afterwards.
 */
#define _GNU_SOURCE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/fault.h"
#include "observe/text.h"
#include "shunt/shunt.h"

enum {
    PAGE = 4096,
    STACK = 16 * PAGE,
    STACK_MAX = 4096, /* that a dump may use */
    PAINT = 0x5a
};

/* ---- what must not be called ---- */

static _Thread_local bool dumping;
static unsigned allocations, locks;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *p);

void *malloc(size_t size)
{
    allocations += dumping;
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    allocations += dumping;
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
    allocations += dumping;
    return __libc_realloc(p, size);
}

void *memalign(size_t alignment, size_t size)
{
    allocations += dumping;
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    *out = memalign(alignment, size);
    return *out == NULL ? 12 : 0;
}

void free(void *p)
{
    allocations += dumping;
    __libc_free(p);
}

int pthread_mutex_lock(pthread_mutex_t *m)
{
    static int (*real)(pthread_mutex_t *);

    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "pthread_mutex_lock");
    locks += dumping;
    return real(m);
}

/* ---- something to dump ---- */

static int await_it(shunt_future *const *in, long *out)
{
    *out = shunt_await(*in);
    return 0;
}
SHUNT_TASK(await_it, shunt_future *, long)

static shunt_pool *pool;
static shunt_promise *promise;
static shunt_future *made, *waits;
static int null = -1;

static int make(void **state)
{
    shunt_future *inputs[40];
    shunt_pool_stats stats;

    (void)state;
    null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null < 0 ||
        shunt_pool_new(&pool, &(shunt_options){ .workers = 2 }) != 0 ||
        shunt_promise_new(pool, long, &promise, &made) != 0)
        return -1;
    waits = shunt_submit(pool, await_it, &made);
    for (int i = 0; i < 40; i++)
        inputs[i] = shunt_retain(waits);
    waits = shunt_when_all(inputs, 40);
    /* Parked: faults that are set later are not for its stack. */
    do {
        sched_yield();
        if (shunt_stats(pool, &stats, NULL, 0) != 0)
            return -1;
    } while (stats.sleeping < 2);
    return 0;
}

static int unmake(void **state)
{
    (void)state;
    if (shunt_promise_give(promise, &(long){ 1 }) != 0 ||
        shunt_join(waits) != 0 || shunt_release(made) != 0)
        return -1;
    close(null);
    return shunt_pool_free(pool);
}

static volatile int rc;

static void dump(void)
{
    dumping = true;
    rc = shunt_dump(NULL, null);
    dumping = false;
}

/* ---- tests ---- */

static void a_dump_allocates_nothing_and_takes_no_lock(void **state)
{
    void *(*volatile get)(size_t) = malloc;
    void (*volatile put)(void *) = free;

    (void)state;
    /* First that what counts them does. */
    dumping = true;
    put(get(1));
    dumping = false;
    assert_int_equal(allocations, 2);
    allocations = locks = 0;
    sh_fault_set(INT64_MAX);
    dump();
    assert_int_equal(rc, 0);
    assert_int_equal(allocations, 0);
    assert_int_equal(locks, 0);
    /* Two mappings, which other threads ask for as well. */
    assert_true(sh_fault_calls() >= 2);
    sh_fault_clear();
}

static void without_memory_a_dump_says_less(void **state)
{
    char text[4096];
    int ends[2];

    (void)state;
    sh_fault_set_from(1);
    dump();
    sh_fault_clear();
    assert_int_equal(rc, SHUNT_ENOMEM);
    assert_int_equal(pipe(ends), 0);
    sh_fault_set_from(2);
    rc = shunt_dump(pool, ends[1]);
    sh_fault_clear();
    assert_int_equal(rc, 0);
    ssize_t n = read(ends[0], text, sizeof text - 1);
    assert_true(n > 0);
    text[n] = '\0';
    assert_non_null(
        strstr(text, "  no memory to find out who waits for what\n"));
    assert_non_null(strstr(text, "#1 promise: not given; age "));
    assert_non_null(strstr(text, "#2 task await_it: parked on worker "));
    close(ends[0]);
    close(ends[1]);
}

static unsigned char *stack;

static size_t depth_of(const unsigned char *from, size_t size)
{
    size_t untouched = 0;

    while (untouched < size && from[untouched] == PAINT)
        untouched++;
    return size - untouched;
}

static void a_dump_needs_little_stack(void **state)
{
    ucontext_t here, there;

    (void)state;
    stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(stack != MAP_FAILED);
    memset(stack, PAINT, STACK);
    assert_int_equal(getcontext(&there), 0);
    there.uc_stack.ss_sp = stack;
    there.uc_stack.ss_size = STACK;
    there.uc_link = &here;
    makecontext(&there, dump, 0);
    assert_int_equal(swapcontext(&here, &there), 0);
    assert_int_equal(rc, 0);
    print_message("a dump took %zu bytes of stack\n", depth_of(stack, STACK));
    assert_in_range(depth_of(stack, STACK), 100, STACK_MAX);
    munmap(stack, STACK);
}

static void handler(int signo)
{
    (void)signo;
    dump();
}

/* As small as the system allows one to be, and what a dump needs. */
static void a_handler_on_a_small_stack_may_dump(void **state)
{
    size_t size = (size_t)sysconf(_SC_MINSIGSTKSZ) + STACK_MAX;
    struct sigaction act = { .sa_handler = handler, .sa_flags = SA_ONSTACK },
                     old;
    stack_t alternate, before;

    (void)state;
    size = (size + PAGE - 1) & ~(size_t)(PAGE - 1);
    stack = mmap(NULL, PAGE + size, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(stack != MAP_FAILED);
    assert_int_equal(mprotect(stack, PAGE, PROT_NONE), 0);
    alternate = (stack_t){ .ss_sp = stack + PAGE, .ss_size = size };
    assert_int_equal(sigaltstack(&alternate, &before), 0);
    assert_int_equal(sigaction(SIGUSR1, &act, &old), 0);
    rc = 77;
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(rc, 0);
    assert_int_equal(sigaction(SIGUSR1, &old, NULL), 0);
    assert_int_equal(sigaltstack(&before, NULL), 0);
    munmap(stack, PAGE + size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dump_allocates_nothing_and_takes_no_lock),
        cmocka_unit_test(without_memory_a_dump_says_less),
        cmocka_unit_test(a_dump_needs_little_stack),
        cmocka_unit_test(a_handler_on_a_small_stack_may_dump),
    };

    return cmocka_run_group_tests(tests, make, unmake);
}
