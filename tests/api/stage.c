/* SPDX-License-Identifier: MIT */
/*
 * stage.c - the shared mapping behind latches and tallies, and common tasks.
 *
 * A latch is one word, and a futex of all processes: whoever is killed at it
 * leaves nothing behind that another one waits for, as he would with a mutex or
 * a condition variable. The word is atomic, so that the sanitizers see what it
 * orders. All waits are bounded.
 */
#include "stage.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "census.h"

enum {
    STAGE_ALIGN = 64
};

struct latch {
    atomic_uint level;
};

struct tally {
    atomic_long count;
};

/* The beginning of the stage: how much of it has been given out, to whomever,
 * so that a task may ask as well, and a child that was forked; what is shown.
 */
struct head {
    atomic_size_t used;
    _Atomic(void *) shown[STAGE_PLACES];
};

static unsigned char *stage;
static size_t stage_size;
static uint64_t random_state;

void stage_open(void)
{
    const char *seed = getenv("SHUNT_TEST_SEED");

    /* Each process that valgrind follows reads all of it as it ends. */
    stage_size = (size_t)(harness_slowness() > 10 ? 32 : 1024) << 20;
    stage = mmap(NULL, stage_size, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stage == MAP_FAILED)
        abort();
    atomic_init(&((struct head *)(void *)stage)->used, STAGE_ALIGN);
    census_open(stage);
    random_state = seed != NULL ? strtoull(seed, NULL, 0) : 20240229;
    print_message("seed %llu\n", (unsigned long long)random_state);
}

void *stage_bytes(size_t n)
{
    struct head *head = (void *)stage;
    size_t size = (n + STAGE_ALIGN - 1) & ~(size_t)(STAGE_ALIGN - 1);
    size_t at = atomic_fetch_add(&head->used, size);

    assert_true(size <= stage_size && at <= stage_size - size);
    return stage + at;
}

void stage_show(enum stage_place place, void *what)
{
    atomic_store(&((struct head *)(void *)stage)->shown[place], what);
}

void *stage_shown(enum stage_place place)
{
    return atomic_load(&((struct head *)(void *)stage)->shown[place]);
}

/* ---- latches ---- */

struct latch *stage_latch(void)
{
    return stage_bytes(sizeof(struct latch));
}

void latch_raise(struct latch *latch)
{
    atomic_fetch_add(&latch->level, 1);
    syscall(SYS_futex, &latch->level, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

unsigned latch_level(struct latch *latch)
{
    return atomic_load(&latch->level);
}

bool latch_reaches(struct latch *latch, unsigned level)
{
    struct timespec until;
    unsigned seen;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(harness_patience() / SHUNT_S(1));
    /* Bounded by until: the wait fails from then on. */
    while ((seen = atomic_load(&latch->level)) < level) {
        if (syscall(SYS_futex, &latch->level, FUTEX_WAIT_BITSET, seen, &until,
                    NULL, FUTEX_BITSET_MATCH_ANY) != 0 &&
            errno == ETIMEDOUT)
            return false;
    }
    return true;
}

/* ---- tallies ---- */

struct tally *stage_tally(void)
{
    return stage_bytes(sizeof(struct tally));
}

long tally_add(struct tally *tally, long n)
{
    return atomic_fetch_add(&tally->count, n);
}

long tally_of(struct tally *tally)
{
    return atomic_load(&tally->count);
}

void tally_max(struct tally *tally, long n)
{
    long seen = atomic_load(&tally->count);

    /* Bounded: seen only grows, and ends at n or above. */
    while (seen < n) {
        if (atomic_compare_exchange_strong(&tally->count, &seen, n))
            return;
    }
}

/* ---- random orders ---- */

uint64_t stage_random(void)
{
    /* splitmix64 (Steele, Lea & Flood 2014). */
    uint64_t z = (random_state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void stage_shuffle(size_t *order, size_t n)
{
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)(stage_random() % i);
        size_t kept = order[i - 1];
        order[i - 1] = order[j];
        order[j] = kept;
    }
}

/* ---- tasks ---- */

int stage_job(const struct job *in, long *out)
{
    if (in->ran != NULL)
        tally_add(in->ran, 1);
    if (in->started != NULL)
        latch_raise(in->started);
    if (in->go != NULL && !latch_reaches(in->go, 1))
        return shunt_fail(STAGE_LATE, "the latch was not raised in time");
    *out = in->value;
    return in->rc;
}
SHUNT_TASK_DEFINE(stage_job)

int stage_same(const long *in, long *out)
{
    *out = *in;
    return 0;
}
SHUNT_TASK_DEFINE(stage_same)

int stage_add_one(const long *in, long *out)
{
    *out = *in + 1;
    return 0;
}
SHUNT_TASK_DEFINE(stage_add_one)

int stage_fail(const int *in, long *out)
{
    (void)out;
    return shunt_fail(*in, "failed with %d as asked", *in);
}
SHUNT_TASK_DEFINE(stage_fail)

int stage_nothing(const shunt_none *in, shunt_none *out)
{
    (void)in;
    (void)out;
    return 0;
}
SHUNT_TASK_DEFINE(stage_nothing)

int stage_task_code(const shunt_error *in, long *out)
{
    *out = in->task_code;
    return 0;
}
SHUNT_TASK_DEFINE(stage_task_code)

int stage_code(const shunt_error *in, long *out)
{
    *out = in->code;
    return 0;
}
SHUNT_TASK_DEFINE(stage_code)

int stage_look_on(const shunt_outcome *in, shunt_none *out)
{
    (void)in;
    (void)out;
    return 0;
}
SHUNT_TASK_DEFINE(stage_look_on)

int stage_sum(const shunt_results *in, long *out)
{
    for (size_t i = 0; i < in->count; i++) {
        const long *value = shunt_peek(in->futures[i], long);
        if (value == NULL)
            return 1;
        *out += *value;
    }
    return 0;
}
SHUNT_TASK_DEFINE(stage_sum)

int stage_this_pool(const long *in, shunt_pool **out)
{
    (void)in;
    *out = shunt_pool_current();
    return 0;
}
SHUNT_TASK_DEFINE(stage_this_pool)

/* ---- combinators ---- */

shunt_future *stage_some_all(shunt_future *const *fs, size_t n)
{
    return shunt_when_some(fs, n, n);
}

shunt_future *stage_some_one(shunt_future *const *fs, size_t n)
{
    return shunt_when_some(fs, n, 1);
}

/* ---- threads ---- */

static int raise_when_named(void *latch)
{
    latch_raise(latch);
    return 0;
}

/* A worker has its name before it calls init. */
shunt_pool *stage_named_pool(const char *name, int workers)
{
    shunt_pool *pool = NULL;
    struct latch *named = stage_latch();

    assert_ok(shunt_pool_new(&pool, &(shunt_options){ .mode = SHUNT_THREADS,
                                                      .workers = workers,
                                                      .init = raise_when_named,
                                                      .init_arg = named,
                                                      .name = name }));
    assert_true(latch_reaches(named, (unsigned)workers));
    return pool;
}

shunt_pool *stage_manual_pool(int workers, int spares)
{
    shunt_pool *pool = NULL;

    assert_ok(shunt_pool_new(&pool, &(shunt_options){ .workers = workers,
                                                      .spares = spares,
                                                      .manual_clock = true }));
    return pool;
}

void stage_advance(shunt_pool *pool, int64_t ns)
{
    assert_ok(shunt_pool_advance(pool, ns));
}

void *stage_wait_in_thread(void *waiter)
{
    struct stage_waiter *w = waiter;

    latch_raise(w->ready);
    w->status = w->ns == SHUNT_FOREVER ? shunt_await(w->future)
                                       : shunt_await_for(w->future, w->ns);
    return NULL;
}

void stage_asleep(shunt_pool *pool, unsigned sleeping)
{
    shunt_pool_stats stats;

    do {
        sched_yield();
        assert_ok(shunt_stats(pool, &stats, NULL, 0));
    } while (stats.sleeping != sleeping);
}

void stage_at_rest(shunt_pool *pool)
{
    shunt_pool_stats stats;

    do {
        sched_yield();
        assert_ok(shunt_stats(pool, &stats, NULL, 0));
    } while (stats.sleeping + stats.resting != stats.workers);
}

/* ---- workers kept busy, futures in a given state ---- */

struct stage_hold stage_hold(shunt_pool *pool)
{
    struct latch *started = stage_latch();
    struct stage_hold hold = { .go = stage_latch() };

    hold.future = shunt_submit(
        pool, stage_job, &(struct job){ .started = started, .go = hold.go });
    assert_true(latch_reaches(started, 1));
    return hold;
}

void stage_let(struct stage_hold hold)
{
    latch_raise(hold.go);
    assert_joins(hold.future, 0);
}

struct stage_promise stage_promise(shunt_pool *pool)
{
    struct stage_promise made = { NULL, NULL };

    assert_ok(shunt_promise_new(pool, long, &made.promise, &made.future));
    assert_non_null(made.promise);
    assert_non_null(made.future);
    return made;
}

void stage_give(shunt_promise *promise, long value)
{
    assert_ok(shunt_promise_give(promise, &value));
}

shunt_future *stage_given(shunt_pool *pool, long value)
{
    struct stage_promise made = stage_promise(pool);

    stage_give(made.promise, value);
    return made.future;
}

shunt_future *stage_failed(shunt_pool *pool, int task_code)
{
    struct stage_promise made = stage_promise(pool);

    assert_ok(shunt_promise_fail(made.promise, task_code, "failed with %d",
                                 task_code));
    return made.future;
}

shunt_future *stage_cancelled(shunt_pool *pool)
{
    struct stage_promise made = stage_promise(pool);

    assert_ok(shunt_promise_drop(made.promise));
    return made.future;
}

shunt_future *stage_garbage(unsigned which)
{
    static long in_static_data[8];
    static const uintptr_t words[] = {
        0,
        UINTPTR_MAX,
        (uintptr_t)UINT64_C(0xdeadbeefcafef00d),
        (uintptr_t)UINT64_C(0x5a5a5a5a5a5a5a5a),
    };

    if (which < sizeof words / sizeof words[0])
        return (
            shunt_future *)words[which]; // NOLINT(performance-no-int-to-ptr)
    if (which % 2 == 0)
        return (shunt_future *)(void *)in_static_data;
    return (shunt_future *)(void *)((char *)in_static_data + 1);
}

/* ---- processes ---- */

#ifdef STANDIN
long stage_process(void)
{
    static const char stands_in[] = "shunt: w";
    char name[16] = "";

    (void)prctl(PR_GET_NAME, name);
    return strncmp(name, stands_in, sizeof stands_in - 1) == 0
               ? syscall(SYS_gettid)
               : getpid();
}
#else
long stage_process(void)
{
    return getpid();
}
#endif
