/* SPDX-License-Identifier: MIT */
/*
 * unit/verdict_test.c - what the host makes of how a process died.
 *
 * Goal: a sentence says what is known, and claims no more. Method: children
 * that die, and records that this program has filled in itself.
 */
#include "dying.h"

#include <assert.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "memory/arena.h"
#include "process/signals.h"

static void an_address_beside_the_stack_is_no_overflow(void **state)
{
    struct sh_crash c = { .signal = SIGSEGV, .code = SEGV_ACCERR };
    const struct sh_crash_map map = { .stack = stack + GUARD_BYTES,
                                      .stack_bytes = STACK_BYTES,
                                      .guard_bytes = GUARD_BYTES };
    uintptr_t low = (uintptr_t)map.stack;

    (void)state;
    atomic_store(&c.state, SH_CRASH_WHOLE);
    c.has_address = 1;
    c.sp = low + 100;
    c.address = low - 1;
    assert_int_equal(sh_crash_classify(&c, &map), SH_CRASH_STACK);
    c.address = low - GUARD_BYTES;
    assert_int_equal(sh_crash_classify(&c, &map), SH_CRASH_STACK);
    c.address = low;
    assert_int_equal(sh_crash_classify(&c, &map), SH_CRASH_READ_ONLY);
    c.address = low - GUARD_BYTES - 1;
    assert_int_equal(sh_crash_classify(&c, &map), SH_CRASH_READ_ONLY);
    /* The frame has stepped over the guard. */
    c.sp = c.address + 500;
    assert_int_equal(sh_crash_classify(&c, &map), SH_CRASH_STACK);
}

/* -- what an address was -- */

static const char *told;

/* As if the host had got it later than this process was forked. */
static void read_told(void)
{
    uintptr_t page = (uintptr_t)told & ~(uintptr_t)(sh_pages_size() - 1);

    sh_pages_unmap((void *)page, sh_pages_size());
    (void)*(const volatile char *)told;
}

static int read_by_child(const void *address)
{
    told = address;
    return end_of(start(read_told));
}

static void memory_that_only_the_host_has_is_told(void **state)
{
    char *p = sh_pages_map(1, SH_PAGES_RW);
    int status = read_by_child(p);

    (void)state;
    assert_true(WIFSIGNALED(status));
    assert_int_equal(sh_crash_classify(&shared->crash, NULL), SH_CRASH_PRIVATE);
    tell(status);
    assert_has(text, "the host's private memory: allocate it with shunt_alloc");
    /* Without the call that sandboxes forbid. */
    sh_fault_set(1);
    assert_int_equal(sh_crash_classify(&shared->crash, NULL), SH_CRASH_PRIVATE);
    sh_fault_clear();
    sh_pages_unmap(p, sh_pages_size());
    assert_int_equal(sh_crash_classify(&shared->crash, NULL), SH_CRASH_NOWHERE);
    sh_fault_set(1);
    assert_int_equal(sh_crash_classify(&shared->crash, NULL), SH_CRASH_NOWHERE);
}

static void a_library_that_only_the_host_has_is_named(void **state)
{
    void *library = dlopen(LATE, RTLD_LAZY);
    void *symbol = library == NULL ? NULL : dlsym(library, "late_task");
    int status;

    (void)state;
    assert_non_null(symbol);
    status = read_by_child(symbol);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(sh_crash_classify(&shared->crash, NULL), SH_CRASH_LIBRARY);
    tell(status);
    assert_has(text, "liblate.so, which was loaded after the workers were started");
}

static bool has_all(const void *pool, const void *address)
{
    return pool == address;
}

static void memory_of_the_pool_is_told_from_that_of_others(void **state)
{
    struct sh_arena *a = sh_arena_new(1 << 20, 1 << 20);
    struct sh_crash c = { .signal = SIGSEGV, .code = SEGV_ACCERR };
    struct sh_crash_map map = { .has = has_all, .pool = a };

    (void)state;
    assert_non_null(a);
    atomic_store(&c.state, SH_CRASH_WHOLE);
    c.has_address = 1;
    c.address = (uintptr_t)a;
    assert_int_equal(sh_crash_classify(&c, &map), SH_CRASH_ARENA);
    map.pool = NULL;
    assert_int_equal(sh_crash_classify(&c, &map), SH_CRASH_FOREIGN);
    sh_arena_free(a);
    assert_int_equal(sh_crash_classify(&c, &map), SH_CRASH_FOREIGN);
}

static const char constant[8192] = "constant";

static void write_constant(void)
{
    *(volatile char *)(uintptr_t)constant = 'k';
}

static void run_data(void)
{
    static char data[64];
    void (*f)(void);
    void *address = data;

    memcpy(&f, &address, sizeof f);
    f();
    data[0] = 1;
}

static void what_may_only_be_read_is_told(void **state)
{
    (void)state;
    dies_by(write_constant, SIGSEGV);
    assert_int_equal(sh_crash_classify(&shared->crash, NULL),
                     SH_CRASH_READ_ONLY);
    assert_has(text, "may only be read");
    dies_by(run_data, SIGSEGV);
    assert_has(text, ": jumped to memory that is not code");
}

static void fail_assertion(void)
{
    /* Also where NDEBUG is defined. */
    __assert_fail("title != NULL", "titles.c", 12, "parse_title");
}

static void an_assertion_is_told_in_its_words(void **state)
{
    (void)state;
    dies_by(fail_assertion, SIGABRT);
    assert_false(shared->crash.has_address);
    assert_begins("crashed: SIGABRT: called abort()");
    assert_has(text, ": titles.c:12: parse_title: Assertion ");
    assert_string_equal(strstr(text, "`title"), "`title != NULL' failed.");
    dies_by(abort, SIGABRT);
    assert_string_equal(text, "crashed: SIGABRT: called abort()");
}

static void a_death_by_sigkill_leaves_no_record_and_is_told(void **state)
{
    pid_t pid = start_waiting();
    struct sh_failure f = { .code = SHUNT_ECRASHED };
    int status;

    (void)state;
    assert_int_equal(kill(pid, SIGKILL), 0);
    status = end_of(pid);
    assert_int_equal(atomic_load(&shared->crash.state), SH_CRASH_EMPTY);
    tell(status);
    assert_begins("was killed by SIGKILL, by the system when memory ran out or "
                  "by somebody else; its process had used ");
    assert_true(strcmp(text + strlen(text) - 2, "iB") == 0);
    assert_string_equal(backtrace, "");
    sh_crash_fill(&f, &shared->crash, status, &use);
    assert_int_equal(f.signal, SIGKILL);
    assert_null(f.address);
    assert_int_equal(f.max_rss_bytes, (size_t)use.ru_maxrss * 1024);
}

static void use_up_time(void)
{
    raise(SIGXCPU);
}

static void ask_to_end(void)
{
    raise(SIGTERM);
}

static void reset_and_crash(void)
{
    signal(SIGILL, SIG_DFL);
    run_invalid();
}

static void other_deaths_without_a_record_are_told(void **state)
{
    (void)state;
    tell(end_of(start(use_up_time)));
    assert_begins("was killed by SIGXCPU: it used up its processor time, ");
    tell(end_of(start(ask_to_end)));
    assert_string_equal(text, "was killed by SIGTERM (asked to end)");
    tell(end_of(start(reset_and_crash)));
    assert_string_equal(text, "crashed: SIGILL (illegal instruction), and left "
                              "no record");
    tell(-1);
    assert_has(text, "is not known");
    sh_crash_tell(NULL, 3 << 8, NULL, NULL, text, sizeof text);
    assert_string_equal(text, "called _exit(3)");
}

/* As the handler writes it: the outermost frames in a ring. */
static void frames_are_told_in_order(void **state)
{
    struct sh_crash c = { .signal = SIGILL };
    char expected[sizeof backtrace];
    uint32_t depth = 70, head = SH_CRASH_FRAMES - SH_CRASH_TAIL;
    int length = 0;

    (void)state;
    for (uint32_t n = 0; n < depth; n++)
        c.frames[n < head ? n : head + (n - head) % SH_CRASH_TAIL] = n + 1;
    atomic_store(&c.depth, depth);
    atomic_store(&c.state, SH_CRASH_WHOLE);
    tell_trace(&c);
    for (uint32_t n = 0; n < depth; n++) {
        if (n == head)
            length += sprintf(expected + length, "\n... 6 frames");
        if (n < head || n >= head + 6)
            length += sprintf(expected + length, "%s#%u 0x%x",
                              n == 0 ? "" : "\n", n, n + 1);
    }
    assert_string_equal(backtrace, expected);
}

/* Method: a record full of what a wild write could leave. */
static void a_spoilt_record_spoils_only_the_text(void **state)
{
    struct sh_crash c;

    (void)state;
    memset((void *)&c, 0x5a, sizeof c);
    c.signal = SIGABRT;
    c.sender = c.pid;
    sh_crash_tell(&c, SIGABRT, NULL, NULL, text, sizeof text);
    tell_trace(&c);
    assert_true(strlen(text) < SH_CRASH_WORDS + 200);
    assert_has(backtrace, "#0 0x5a5a5a5a");
    memset((void *)&c, 0xff, sizeof c);
    sh_crash_tell(&c, SIGABRT, NULL, NULL, text, sizeof text);
    tell_trace(&c);
    assert_has(text, "a signal without a name");
}

static void a_record_that_was_begun_is_not_believed(void **state)
{
    struct sh_crash c = { .signal = SIGILL };

    (void)state;
    atomic_store(&c.state, SH_CRASH_WRITING);
    assert_int_equal(sh_crash_classify(&c, NULL), SH_CRASH_UNKNOWN);
    sh_crash_tell(&c, SIGSEGV, NULL, NULL, text, sizeof text);
    tell_trace(&c);
    assert_string_equal(backtrace, "");
    assert_has(text, "SIGSEGV");
}

static void a_sentence_is_cut_to_its_room(void **state)
{
    char small[] = "##########", whole[sizeof text];

    (void)state;
    dies_by(dereference_null, SIGSEGV);
    memcpy(whole, text, sizeof whole);
    for (size_t size = 0; size < sizeof small; size++) {
        memset(small, '#', sizeof small);
        sh_crash_tell(&shared->crash, SIGSEGV, NULL, NULL, small, size);
        assert_int_equal(small[size], '#');
        if (size > 0) {
            assert_int_equal(strlen(small), size - 1);
            assert_memory_equal(small, whole, size - 1);
        }
    }
}

static void what_is_known_in_numbers_is_filled_in(void **state)
{
    struct sh_failure f = { .code = SHUNT_ECRASHED };
    struct rusage used = { .ru_utime = { 2, 500000 },
                           .ru_stime = { 0, 7 },
                           .ru_maxrss = 3 };
    int status = dies_by(dereference_null, SIGSEGV);

    (void)state;
    sh_crash_fill(&f, &shared->crash, status, &used);
    assert_int_equal(f.signal, SIGSEGV);
    assert_ptr_equal(f.address, (void *)0x10);
    assert_int_equal(f.exit_status, 0);
    assert_int_equal(f.user_ns, 2500000000);
    assert_int_equal(f.system_ns, 7000);
    assert_int_equal(f.max_rss_bytes, 3072);
}

static void signals_have_names(void **state)
{
    (void)state;
    assert_string_equal(sh_signal_text(SIGSEGV),
                        "SIGSEGV (segmentation fault)");
    assert_string_equal(sh_signal_name(SIGXCPU), "SIGXCPU");
    assert_string_equal(sh_signal_name(SIGRTMIN + 3),
                        "a signal without a name");
    for (int sig = 1; sig < 32; sig++) {
        assert_int_equal(strncmp(sh_signal_name(sig), "SIG", 3), 0);
        assert_has(sh_signal_text(sig), sh_signal_name(sig));
    }
}

int main(void)
{
#define CRASH_TEST(test) cmocka_unit_test_setup_teardown(test, make, unmake)
    const struct CMUnitTest tests[] = {
        CRASH_TEST(an_address_beside_the_stack_is_no_overflow),
        CRASH_TEST(memory_that_only_the_host_has_is_told),
        CRASH_TEST(a_library_that_only_the_host_has_is_named),
        CRASH_TEST(memory_of_the_pool_is_told_from_that_of_others),
        CRASH_TEST(what_may_only_be_read_is_told),
        CRASH_TEST(an_assertion_is_told_in_its_words),
        CRASH_TEST(a_death_by_sigkill_leaves_no_record_and_is_told),
        CRASH_TEST(other_deaths_without_a_record_are_told),
        CRASH_TEST(frames_are_told_in_order),
        CRASH_TEST(a_spoilt_record_spoils_only_the_text),
        CRASH_TEST(a_record_that_was_begun_is_not_believed),
        CRASH_TEST(a_sentence_is_cut_to_its_room),
        CRASH_TEST(what_is_known_in_numbers_is_filled_in),
        CRASH_TEST(signals_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
