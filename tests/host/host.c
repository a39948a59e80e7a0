/* SPDX-License-Identifier: MIT */
/* host/host.c - host.h. */
#include "host.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

/* Shared by all processes of the test. */
static struct shared {
    atomic_int busy, step;
    atomic_int worker, zygote, seed;
} *shared;

int host_open(void **state)
{
    (void)state;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return shared == MAP_FAILED;
}

void host_begin(void)
{
    atomic_store(&shared->busy, 0);
    atomic_store(&shared->step, 0);
}

int host_setup(void **state)
{
    (void)state;
    host_begin();
    return 0;
}

int host_claims(int argc, char **argv, const char *name,
                const struct CMUnitTest *claims, size_t n)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return _cmocka_run_group_tests(name, claims, n, host_open, NULL);
}

static atomic_int *of_step(int step)
{
    return step == HOST_BUSY ? &shared->busy : &shared->step;
}

void host_step(int step)
{
    atomic_store(of_step(step), step);
}

void host_await_step(int step)
{
    while (atomic_load(of_step(step)) < step)
        sched_yield();
}

/* -- tasks -- */

int host_same(const long *in, long *out)
{
    *out = *in;
    return 0;
}
SHUNT_TASK_DEFINE(host_same)

int host_wait_for_step(const long *in, long *out)
{
    *out = *in;
    host_step(HOST_BUSY);
    host_await_step(1);
    return 0;
}
SHUNT_TASK_DEFINE(host_wait_for_step)

static int die(const long *signal_number, long *out)
{
    *out = raise((int)*signal_number);
    return 0;
}
SHUNT_TASK(die, long, long)

static int loop(const long *in, long *out)
{
    *out = *in;
    while (atomic_load(&shared->step) < HOST_BUSY)
        sched_yield();
    return 0;
}
SHUNT_TASK(loop, long, long)

static int tell_kin(const shunt_none *in, shunt_none *out)
{
    pid_t zygote = getppid();

    (void)in;
    (void)out;
    atomic_store(&shared->worker, getpid());
    atomic_store(&shared->zygote, zygote);
    atomic_store(&shared->seed, kin_parent_of(zygote));
    return 0;
}
SHUNT_TASK(tell_kin, shunt_none, shunt_none)

/* -- hosts -- */

static int pool_with(shunt_pool **pool_out, const shunt_options *with)
{
    shunt_options options = *with;

    options.mode = SHUNT_PROCESSES;
    options.workers = 2;
    options.unobserved = shunt_unobserved_ignore;
    return shunt_pool_new(pool_out, &options);
}

int host_pool(shunt_pool **pool_out)
{
    return pool_with(pool_out, &(shunt_options){ 0 });
}

int host_works(shunt_pool *pool)
{
    shunt_future *fs[20], *f;
    long value;

    for (long i = 0; i < 20; i++)
        fs[i] = shunt_submit(pool, host_same, &i);
    for (long i = 0; i < 20; i++)
        CHECK(shunt_take(fs[i], &value) == 0 && value == i);
    f = shunt_submit(pool, die, &(long){ SIGKILL });
    CHECK(shunt_join(f) == SHUNT_ECRASHED);
    f = shunt_submit_with(pool, loop, &(long){ 0 },
                          .deadline_ns = SHUNT_MS(20));
    CHECK(shunt_join(f) == SHUNT_ETIMEDOUT);
    for (long i = 0; i < 20; i++) {
        CHECK(shunt_take(shunt_submit(pool, host_same, &i), &value) == 0);
        CHECK(value == i);
    }
    return 0;
}

int host_finds_it_broken(shunt_pool *pool)
{
    int rc;

    do
        rc = shunt_join(shunt_submit(pool, host_same, &(long){ 1 }));
    while (rc == 0 || rc == SHUNT_ECRASHED);
    CHECK(rc == SHUNT_EBROKEN);
    return 0;
}

int host_uses_a_pool_with(const shunt_options *options)
{
    unsigned had;
    shunt_pool *pool;
    int line;

    /* The seed stays. */
    CHECK(pool_with(&pool, options) == 0);
    CHECK(shunt_pool_free(pool) == 0);
    had = kin_descriptors();
    CHECK(pool_with(&pool, options) == 0);
    line = host_works(pool);
    if (line != 0)
        return line;
    CHECK(shunt_pool_free(pool) == 0);
    CHECK(kin_descriptors() == had);
    return 0;
}

int host_uses_a_pool(void)
{
    return host_uses_a_pool_with(&(shunt_options){ 0 });
}

/* -- who is behind a pool -- */

int host_tells_its_kin(shunt_pool *pool)
{
    CHECK(shunt_join(shunt_submit(pool, tell_kin, NULL)) == 0);
    return 0;
}

struct host_kin host_kin_pidfds(void)
{
    struct host_kin fds = { kin_pidfd(atomic_load(&shared->worker)),
                            kin_pidfd(atomic_load(&shared->zygote)),
                            kin_pidfd(atomic_load(&shared->seed)) };

    assert_true(fds.worker >= 0 && fds.zygote >= 0 && fds.seed >= 0);
    return fds;
}

void host_assert_kin_end(struct host_kin *fds)
{
    assert_true(kin_ends(fds->worker));
    assert_true(kin_ends(fds->zygote));
    assert_true(kin_ends(fds->seed));
}

void host_kill_kin(void)
{
    int seed = kin_pidfd(atomic_load(&shared->seed));

    (void)kill(atomic_load(&shared->seed), SIGKILL);
    (void)kin_ends(seed);
    (void)kill(atomic_load(&shared->zygote), SIGKILL);
}
