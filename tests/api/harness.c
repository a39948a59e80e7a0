/* SPDX-License-Identifier: MIT */
/*
 * harness.c - the frame around every claim: limit, census, environment.
 *
 * The limit is SIGALRM. Its handler prints the stack of the thread that got
 * it, asks all other threads to print theirs, says what worker processes do,
 * and aborts: a claim that hangs says where. Worker processes have no limit of
 * their own: they end with the program.
 */
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <execinfo.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "census.h"
#include "stage.h"

enum {
    LIMIT_S = 60,
    FEWER = 8,            /* rounds, in ./dev test */
    FEWER_PROCESSES = 40, /* where each costs a process */
    FRAMES_MAX = 64
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static char **arguments;
static bool leaves_pools;

void harness_leaves_pools(void)
{
    leaves_pools = true;
}

#if SANITIZED
/* What the sanitizers ask the program; what the environment says wins.
 * Children of a program with threads make pools here, and sizes that no
 * allocator can give are asked for. */
#define ASKED __attribute__((visibility("default")))
ASKED const char *__tsan_default_options(void);
ASKED const char *__asan_default_options(void);
ASKED int __lsan_is_turned_off(void);

const char *__tsan_default_options(void)
{
    return "die_after_fork=0:allocator_may_return_null=1";
}

const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

int __lsan_is_turned_off(void)
{
    return leaves_pools;
}
#endif

static const char *const variables[] = { "SHUNT_MODE", "SHUNT_WORKERS",
                                         "SHUNT_CHECK", "SHUNT_BLOCKING_MAX" };
enum {
    MODE, /* the first of them */
    VARIABLES = sizeof variables / sizeof variables[0]
};

static char *saved[VARIABLES];
static struct census before, after;
static size_t footprint;
static bool completed;
static char note[160];

/* ---- the limit ---- */

static void write_text(const char *text)
{
    ssize_t written = write(STDERR_FILENO, text, strlen(text));
    (void)written;
}

static void print_stack(int signal_number)
{
    void *frames[FRAMES_MAX];
    char name[32] = "";
    int saved_errno = errno;

    (void)signal_number;
    if (syscall(SYS_prctl, 16 /* PR_GET_NAME */, name) != 0)
        name[0] = '\0';
    write_text("stack of thread ");
    write_text(name);
    write_text(":\n");
    backtrace_symbols_fd(frames, backtrace(frames, FRAMES_MAX), STDERR_FILENO);
    errno = saved_errno;
}

static void write_note(void)
{
    if (note[0] == '\0')
        return;
    write_text("the claim was at: ");
    write_text(note);
    write_text("\n");
}

/* opendir allocates, which a handler should not; the program is lost anyway,
 * and a second alarm ends it should this hang. */
static void limit_reached(int signal_number)
{
    long self = syscall(SYS_gettid);
    struct timespec pause = { 0, 50000000 };

    signal(SIGALRM, SIG_DFL);
    alarm(10);
    write_text("\nthe claim ran into its time limit\n");
    write_note();
    print_stack(signal_number);
    DIR *tasks = opendir("/proc/self/task");
    for (int i = 0; tasks != NULL && i < 256; i++) {
        const struct dirent *entry = readdir(tasks);
        if (entry == NULL)
            break;
        long tid = strtol(entry->d_name, NULL, 10);
        if (tid <= 0 || tid == self)
            continue;
        syscall(SYS_tgkill, getpid(), tid, SIGUSR2);
        nanosleep(&pause, NULL);
    }
    census_tell_kin(STDERR_FILENO);
    abort();
}

static void install(int number, void (*handler)(int))
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    sigaction(number, &action, NULL);
}

/* A fault ends the program, with a stack: cmocka would jump out of the
 * handler instead, into the main thread's test, from whatever thread it was. */
static void crashed(int signal_number)
{
    write_text("\nthe claim crashed\n");
    write_note();
    print_stack(signal_number);
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void install_crash_handlers(void)
{
    static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE };

    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        install(faults[i], crashed);
}

void harness_limit(unsigned seconds)
{
    unsigned more = harness_thorough() ? FEWER_PROCESSES : 1;

    alarm(seconds * harness_slowness() * more);
}

/* ---- what kind of run this is ---- */

unsigned harness_slowness(void)
{
    const char *preload = getenv("LD_PRELOAD");

    if (preload != NULL && strstr(preload, "vgpreload") != NULL)
        return 20;
    return SANITIZED ? 5 : 1;
}

bool harness_isolated(void)
{
    return saved[MODE] != NULL && (strcmp(saved[MODE], "processes") == 0 ||
                                   strcmp(saved[MODE], "auto") == 0);
}

bool harness_million(void)
{
    const char *text = getenv("SHUNT_TEST_MILLION");

    return text != NULL && strcmp(text, "1") == 0;
}

bool harness_thorough(void)
{
    const char *text = getenv("SHUNT_TEST_THOROUGH");

    return text != NULL && strcmp(text, "1") == 0;
}

static long part_of(long n, int fewer)
{
    long rounds =
        n / (long)harness_slowness() / (harness_thorough() ? 1 : fewer);

    return rounds > 0 ? rounds : 1;
}

long harness_rounds(long n)
{
    return part_of(n, FEWER);
}

size_t harness_elements(size_t n)
{
    return harness_thorough() ? n : n / harness_slowness();
}

long harness_pools(long n)
{
    return part_of(n, harness_isolated() ? FEWER_PROCESSES : FEWER);
}

int64_t harness_patience(void)
{
    return SHUNT_S(20) * harness_slowness();
}

void harness_note(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(note, sizeof note, format, args);
    va_end(args);
}

void harness_footprint(size_t bytes)
{
    footprint += bytes;
}

/* ---- the frame ---- */

static void *do_nothing(void *user)
{
    return user;
}

void harness_open(int argc, char **argv)
{
    void *frames[4];
    pthread_t first;

    /* Who keeps a worker busy wants it to be so: with a latch, of which a pool
     * would notice that it waits. */
    (void)setenv("SHUNT_BLOCKING_MAX", "none", 0);
    for (size_t i = 0; i < VARIABLES; i++) {
        const char *value = getenv(variables[i]);
        saved[i] = value == NULL ? NULL : strdup(value);
    }
    /* One heap for all threads: the C library otherwise reserves 64 MiB for
     * every other thread, when it likes, which the census would see. */
    mallopt(M_ARENA_MAX, 1);
    /* backtrace loads a library on its first call; not in a handler then. */
    (void)backtrace(frames, 4);
    stage_open();
    /* While there is one thread, and none of the handlers below. */
    if (shunt_init() != 0)
        write_text("shunt_init failed\n");
    /* ThreadSanitizer starts a thread of its own along with the first. */
    if (pthread_create(&first, NULL, do_nothing, NULL) == 0)
        pthread_join(first, NULL);
    install(SIGALRM, limit_reached);
    install(SIGUSR2, print_stack);
    arguments = argv + 1;
    for (int i = 1; i < argc; i++)
        if (argv[i][0] != '-')
            cmocka_set_test_filter(argv[i]);
}

static bool is_left_out(const char *name)
{
    for (char **a = arguments; *a != NULL; a++)
        if ((*a)[0] == '-' && strcmp(*a + 1, name) == 0)
            return true;
    return false;
}

/* Whether a claim holds where this run has its tasks. */
static bool holds(enum harness_where claimed)
{
    bool isolated = harness_isolated();

    switch (claimed) {
    case HARNESS_ANYWHERE:
        return true;
    case HARNESS_THREADS:
        return !isolated;
    case HARNESS_PROCESSES:
        return isolated;
    case HARNESS_PLAIN:
        return isolated && harness_slowness() == 1;
    case HARNESS_BOTH:
        return harness_slowness() <= 10;
    }
    return false;
}

/* Run those claims that hold here. */
int harness_claims(const char *name, const struct CMUnitTest *claims, size_t n)
{
    struct CMUnitTest *chosen = calloc(n, sizeof *chosen);
    size_t count = 0;

    if (chosen == NULL)
        return -1;
    for (size_t i = 0; i < n; i++) {
        const struct harness_claim *claim = claims[i].initial_state;
        if (holds(claim->where) && !is_left_out(claims[i].name))
            chosen[count++] = claims[i];
    }
    int failed = _cmocka_run_group_tests(name, chosen, count, NULL, NULL);
    free(chosen);
    return failed;
}

static void restore_environment(void)
{
    for (size_t i = 0; i < VARIABLES; i++) {
        if (saved[i] != NULL)
            setenv(variables[i], saved[i], 1);
        else
            unsetenv(variables[i]);
    }
}

void harness_env(const char *name, const char *value)
{
    int rc = value != NULL ? setenv(name, value, 1) : unsetenv(name);

    assert_int_equal(rc, 0);
}

int harness_before(void **state)
{
    (void)state;
    restore_environment();
    footprint = 0;
    completed = false;
    note[0] = '\0';
    harness_limit(LIMIT_S);
    census_take(&before);
    return 0;
}

void harness_run(void **state)
{
    const struct harness_claim *claim = *state;

    install_crash_handlers();
    claim->run();
    completed = true;
}

/* A claim that failed has left things behind because it was cut short: only
 * completed ones are held to what they leave. */
int harness_after(void **state)
{
    (void)state;
    alarm(0);
    restore_environment();
    if (!completed) {
        write_note();
        return 0;
    }
    census_settle(&before, &after);
    bool same = census_compare(&before, &after, footprint,
                               !SANITIZED && harness_slowness() == 1);
    return same ? 0 : -1;
}

/* ---- pools and waits ---- */

shunt_pool *harness_pool(int workers)
{
    shunt_pool *pool = NULL;

    /* Most claims let failures go unseen, and say nothing about that. */
    assert_ok(shunt_pool_new(
        &pool, &(shunt_options){ .workers = workers,
                                 .unobserved = shunt_unobserved_ignore }));
    assert_non_null(pool);
    return pool;
}

void harness_free(shunt_pool *pool)
{
    assert_ok(shunt_pool_free(pool));
}

int harness_await(shunt_future *f)
{
    return shunt_await_for(f, harness_patience());
}

/* ---- assertions ---- */

void harness_status(int actual, int expected, const char *text,
                    const char *file, int line)
{
    if (actual == expected)
        return;
    print_error("%s is %s (%d), not %s (%d)\n", text, shunt_code_name(actual),
                actual, shunt_code_name(expected), expected);
    _fail(file, line);
}

void harness_long(long long actual, long long expected, const char *text,
                  const char *file, int line)
{
    if (actual == expected)
        return;
    print_error("%s is %lld, not %lld\n", text, actual, expected);
    _fail(file, line);
}

void harness_stale(shunt_future *f, const char *text, const char *file,
                   int line)
{
    harness_status(shunt_status(f), SHUNT_EINVAL, text, file, line);
    harness_status(shunt_await_for(f, 0), SHUNT_EINVAL, text, file, line);
    harness_status(shunt_error_of(f)->code, SHUNT_EINVAL, text, file, line);
    harness_status(shunt_release(f), SHUNT_EINVAL, text, file, line);
}

void harness_settles(shunt_future *f, int expected, const char *text,
                     const char *file, int line)
{
    int status = harness_await(f);

    if (status != expected && status < 0)
        print_error("%s: %s\n", text, shunt_error_of(f)->message);
    harness_status(status, expected, text, file, line);
    harness_status(shunt_status(f), expected, text, file, line);
    harness_status(shunt_error_of(f)->code, expected, text, file, line);
}

void harness_fails_with(shunt_future *f, int task_code, const char *text,
                        const char *file, int line)
{
    harness_settles(f, SHUNT_EFAILED, text, file, line);
    harness_long(shunt_error_of(f)->task_code, task_code, text, file, line);
}

void harness_takes(shunt_future *f, long value, const char *text,
                   const char *file, int line)
{
    long taken = ~value;

    harness_settles(f, 0, text, file, line);
    harness_status(shunt_take(f, &taken), 0, text, file, line);
    harness_long(taken, value, text, file, line);
}

void harness_joins(shunt_future *f, int expected, const char *text,
                   const char *file, int line)
{
    harness_settles(f, expected, text, file, line);
    harness_status(shunt_join(f), expected, text, file, line);
}
