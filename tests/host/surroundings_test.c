/* SPDX-License-Identifier: MIT */
/*
 * surroundings_test.c - programs with little room, and programs that close what
 * they do not know: pools of processes work in them, or say why not.
 *
 * Method. As host_test.c.
 */
#include "host.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int with_numbers;

static int moves_about(void *unused)
{
    char folder[] = "/tmp/shunt-host-XXXXXX";

    (void)unused;
    CHECK(shunt_init() == 0);
    umask(0777);
    CHECK(mkdtemp(folder) != NULL);
    CHECK(chmod(folder, 0700) == 0 && chdir(folder) == 0);
    CHECK(rmdir(folder) == 0);
    CHECK(clearenv() == 0);
    return host_uses_a_pool();
}

static void neither_umask_nor_folder_matter(void **state)
{
    (void)state;
    assert_int_equal(kin_run_host(moves_about, NULL), 0);
}

/* With this limit a pool works, or there is none and nothing is left of it but
 * a seed, in the end. How often there was one is added to *made. */
static int is_limited(unsigned resource, rlim_t limit, int *made)
{
    static bool has_seed;
    struct rlimit was, now;
    unsigned had, has;
    shunt_pool *pool;
    int rc;

    CHECK(getrlimit(resource, &was) == 0);
    now = was;
    now.rlim_cur = limit;
    had = kin_descriptors();
    CHECK(setrlimit(resource, &now) == 0);
    rc = host_pool(&pool);
    if (rc == 0) {
        rc = host_works(pool);
        if (shunt_pool_free(pool) != 0)
            rc = __LINE__;
        ++*made;
    } else if (rc == SHUNT_ENOMEM || rc == SHUNT_EAGAIN) {
        rc = 0;
    }
    CHECK(setrlimit(resource, &was) == 0);
    if (rc != 0)
        print_error("limit %llu: %s (%d)\n", (unsigned long long)limit,
                    shunt_code_name(rc), rc);
    CHECK(rc == 0);
    has = kin_descriptors();
    CHECK(has == had || (has == had + 2 && !has_seed));
    has_seed = has_seed || has > had;
    return 0;
}

static int is_short_of_descriptors(void *unused)
{
    int made = 0;
    rlim_t limit;

    (void)unused;
    /* Standard streams, and what the seed needs, and more and more. */
    for (limit = 3; limit < 64 && made < 3; limit++) {
        int line = is_limited(RLIMIT_NOFILE, limit, &made);

        if (line != 0)
            return line;
    }
    CHECK(made == 3);
    CHECK(limit > 8);
    return host_uses_a_pool();
}

static void without_descriptors_there_is_an_error_and_then_a_pool(void **state)
{
    (void)state;
    assert_int_equal(kin_run_host(is_short_of_descriptors, NULL), 0);
}

#define GIB ((rlim_t)1 << 30)

/* A sanitizer needs more addresses than any limit. */
#if !HOST_SANITIZED
static int is_short_of_addresses(void *unused)
{
    int made = 0;

    (void)unused;
    for (rlim_t limit = GIB / 64; limit <= 256 * GIB; limit *= 2) {
        int line = is_limited(RLIMIT_AS, limit, &made);

        if (line != 0)
            return line;
    }
    CHECK(made > 0);
    return host_uses_a_pool();
}

static void without_addresses_there_is_an_error_or_a_smaller_pool(void **state)
{
    (void)state;
    assert_int_equal(kin_run_host(is_short_of_addresses, NULL), 0);
}

static int shares_addresses(void *unused)
{
    const struct rlimit limit = { 4 * GIB, RLIM_INFINITY };
    shunt_pool *pools[3];

    (void)unused;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(host_pool(&pools[i]) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(host_works(pools[i]) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(shunt_pool_free(pools[i]) == 0);
    return 0;
}

static void one_pool_does_not_take_all_addresses(void **state)
{
    (void)state;
    assert_int_equal(kin_run_host(shares_addresses, NULL), 0);
}

#endif

/* A file that grows beyond its limit is a signal, SIGXFSZ, and memory that is
 * shared is a file. */
static int is_short_of_files(void *unused)
{
    int made = 0;

    (void)unused;
    for (rlim_t limit = GIB / 1024; limit <= 256 * GIB; limit *= 4) {
        int line = is_limited(RLIMIT_FSIZE, limit, &made);

        if (line != 0)
            return line;
    }
    CHECK(made > 0);
    return host_uses_a_pool();
}

static void a_limit_of_files_is_none_of_a_pool(void **state)
{
    (void)state;
    assert_int_equal(kin_run_host(is_short_of_files, NULL), 0);
}

/* -- descriptors that somebody closes -- */

/* The pipe by which a line would come is closed as well. */
struct bare {
    kin_host *host;
    void *with;
};

static int be_bare(void *arg)
{
    const struct bare *bare = arg;
    int line = bare->host(bare->with);

    if (line != 0)
        print_error("line %d\n", line);
    return line;
}

static void run_bare(kin_host *host, void *with)
{
    struct bare bare = { host, with };
    pid_t pid = kin_start_host(be_bare, &bare);
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void close_all(void)
{
    for (int fd = 3; fd < 1024; fd++)
        close(fd);
}

/* Those that it opens now have the numbers of ours. */
static int take_numbers(void)
{
    for (int i = 0; i < 64; i++)
        CHECK(open("/dev/null", O_RDWR) >= 0);
    return 0;
}

static int closes_before(void *numbers)
{
    unsigned had;

    CHECK(shunt_init() == 0);
    close_all();
    if (numbers != NULL)
        CHECK(take_numbers() == 0);
    had = kin_descriptors();
    CHECK(host_uses_a_pool() == 0);
    for (int fd = 3; numbers != NULL && fd < 3 + 64; fd++)
        CHECK(fcntl(fd, F_GETFD) >= 0);
    /* The new seed's two. */
    CHECK(kin_descriptors() == had + 2);
    return 0;
}

static void a_host_may_close_everything_before_there_are_pools(void **state)
{
    (void)state;
    run_bare(closes_before, NULL);
    run_bare(closes_before, &with_numbers);
}

static int closes_within(void *numbers)
{
    shunt_pool *pool;
    shunt_future *waits;
    int rc;

    CHECK(host_pool(&pool) == 0);
    waits = shunt_submit(pool, host_wait_for_step, &(long){ 1 });
    host_await_step(HOST_BUSY);
    close_all();
    if (numbers != NULL)
        CHECK(take_numbers() == 0);
    rc = shunt_await_for(waits, SHUNT_S(60));
    CHECK(rc == SHUNT_ECRASHED || rc == SHUNT_EBROKEN);
    CHECK(host_finds_it_broken(pool) == 0);
    CHECK(shunt_release(waits) == 0);
    CHECK(shunt_pool_free(pool) == 0);
    return numbers != NULL ? 0 : host_uses_a_pool();
}

static void a_host_that_closes_everything_breaks_its_pools(void **state)
{
    (void)state;
    run_bare(closes_within, NULL);
    host_begin();
    run_bare(closes_within, &with_numbers);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        HOST_CLAIM(neither_umask_nor_folder_matter),
        HOST_CLAIM(without_descriptors_there_is_an_error_and_then_a_pool),
#if !HOST_SANITIZED
        HOST_CLAIM(without_addresses_there_is_an_error_or_a_smaller_pool),
        HOST_CLAIM(one_pool_does_not_take_all_addresses),
#endif
        HOST_CLAIM(a_limit_of_files_is_none_of_a_pool),
        HOST_CLAIM(a_host_may_close_everything_before_there_are_pools),
        HOST_CLAIM(a_host_that_closes_everything_breaks_its_pools),
    };

    return HOST_CLAIMS(argc, argv, tests);
}
