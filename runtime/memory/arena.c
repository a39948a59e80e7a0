/* SPDX-License-Identifier: MIT */
/*
 * memory/arena.c - the range of addresses, and the arenas in it.
 */
#define _GNU_SOURCE 1
#include "memory/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/fault.h"

#define RANGE_MOST ((size_t)16 << 40)
#define RANGE_LEAST ((size_t)1 << 30)
#define UNITS 1024u /* that a range is dealt out in */

/* What this process has reserved. Under lock, but for the base and size, which
 * are written before the first fork of ours, and by then once. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *range;
static size_t unit_bytes;
static pid_t range_of; /* the process that reserved it */
static bool used[UNITS];

static void *reserve(size_t bytes)
{
    void *p = sh_fault() ? MAP_FAILED
                         : mmap(NULL, bytes, PROT_NONE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                                /* no file */ -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

/* Arenas of the parent, and those that a child makes, do not mix: it reserves
 * a range of its own. */
static bool reserve_if_none(void)
{
    size_t bytes = RANGE_MOST;
    void *p = NULL;

    if (range != NULL && range_of == getpid())
        return true;
    while (p == NULL && bytes >= RANGE_LEAST) {
        p = reserve(bytes);
        if (p == NULL)
            bytes /= 2;
    }
    if (p == NULL)
        return false;
    (void)madvise(p, bytes, MADV_DONTDUMP);
    range = p;
    unit_bytes = bytes / UNITS;
    range_of = getpid();
    for (unsigned i = 0; i < UNITS; i++)
        used[i] = false;
    return true;
}

bool sh_range_reserve(void)
{
    bool reserved;

    pthread_mutex_lock(&lock);
    reserved = reserve_if_none();
    pthread_mutex_unlock(&lock);
    return reserved;
}

size_t sh_range_bytes(void)
{
    size_t bytes;

    pthread_mutex_lock(&lock);
    bytes = range == NULL ? 0 : UNITS * unit_bytes;
    pthread_mutex_unlock(&lock);
    return bytes;
}

bool sh_range_has(const void *p)
{
    return range != NULL &&
           (uintptr_t)p - (uintptr_t)range < UNITS * unit_bytes;
}

/* So many free units in a row, from the first such place; UNITS: none. */
static unsigned find_units(unsigned n)
{
    unsigned run = 0;

    for (unsigned i = 0; i < UNITS; i++) {
        run = used[i] ? 0 : run + 1;
        if (run == n)
            return i + 1 - n;
    }
    return UNITS;
}

static void mark_units(unsigned first, unsigned n, bool as)
{
    for (unsigned i = first; i < first + n; i++)
        used[i] = as;
}

/* A window of as many units as there are in a row, least..most; NULL: none. */
static void *take_window(size_t least, size_t most, size_t *bytes_out)
{
    void *window = NULL;

    pthread_mutex_lock(&lock);
    if (reserve_if_none()) {
        size_t units = (most + unit_bytes - 1) / unit_bytes;

        /* Where addresses are limited the range may be less than that. */
        if (units > UNITS)
            units = UNITS;

        for (; units > 0 && window == NULL; units /= 2) {
            unsigned first = find_units((unsigned)units);

            if (units * unit_bytes < least)
                break;
            if (first == UNITS)
                continue;
            mark_units(first, (unsigned)units, true);
            window = range + first * unit_bytes;
            *bytes_out = units * unit_bytes;
        }
    }
    pthread_mutex_unlock(&lock);
    if (window == NULL)
        errno = ENOMEM;
    return window;
}

/* Reserved again, and without memory. */
static void give_window(char *window, size_t bytes)
{
    void *p = mmap(window, bytes, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
                   0);

    /* If that is refused, the window stays taken. */
    if (p == MAP_FAILED)
        return;
    (void)madvise(p, bytes, MADV_DONTDUMP);
    pthread_mutex_lock(&lock);
    mark_units((unsigned)((size_t)(window - range) / unit_bytes),
               (unsigned)((bytes + unit_bytes - 1) / unit_bytes), false);
    pthread_mutex_unlock(&lock);
}

/* A memfd that keeps its size. -1 with errno. */
static int make_file(size_t bytes)
{
    int fd = sh_fault()
                 ? -1
                 : memfd_create("shunt", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return -1;
    if (sh_fault() || ftruncate(fd, (off_t)bytes) != 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) !=
            0) {
        int error = errno != 0 ? errno : ENOMEM;

        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

bool sh_arena_attach(int fd, void *at, size_t bytes)
{
    if (sh_fault()) {
        errno = ENOMEM;
        return false;
    }
    if (mmap(at, bytes, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd, 0) == MAP_FAILED)
        return false;
    /* What a core would hold of it is what delays a death. */
    (void)madvise(at, bytes, MADV_DONTDUMP);
    return true;
}

/* Who grows a file beyond this limit is sent a signal. */
static size_t file_bytes_max(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur >= SIZE_MAX)
        return SIZE_MAX;
    return (size_t)limit.rlim_cur & ~(sh_pages_size() - 1);
}

struct sh_arena *sh_arena_new(size_t least, size_t most)
{
    size_t bytes = 0, bytes_max = file_bytes_max();
    struct sh_arena *a;
    int fd;

    if (bytes_max < least) {
        errno = EFBIG;
        return NULL;
    }
    if (most > bytes_max)
        most = bytes_max;
    a = take_window(least, most, &bytes);
    if (a == NULL)
        return NULL;
    /* Part of the window's last unit may be too much. */
    if (bytes > bytes_max)
        bytes = bytes_max;
    fd = make_file(bytes);
    if (fd < 0 || !sh_arena_attach(fd, a, bytes)) {
        int error = errno != 0 ? errno : ENOMEM;

        if (fd >= 0)
            close(fd);
        give_window((char *)a, bytes);
        errno = error;
        return NULL;
    }
    a->bytes = bytes;
    a->fd = fd;
    a->mark = sh_mark_of(fd);
    /* relaxed: nobody else has it yet */
    sh_store_rlx(&a->taken, sh_pages_round(sizeof *a));
    return a;
}

void sh_arena_free(struct sh_arena *a)
{
    size_t bytes = a->bytes;

    if (sh_arena_has_file(a))
        close(a->fd);
    give_window((char *)a, bytes);
}

void *sh_arena_map(struct sh_arena *a, size_t bytes, enum sh_pages_how how)
{
    size_t at, end;

    if (a == NULL)
        return sh_pages_map(bytes, how);
    SH_ASSERT(bytes > 0);
    if (sh_fault())
        return NULL;
    bytes = sh_pages_round(bytes);
    at = sh_load_rlx(&a->taken); /* relaxed: a number */
    do {
        if (bytes > a->bytes - at)
            return NULL;
        end = at + bytes;
    } while (!sh_cas_rlx(&a->taken, &at, end)); /* relaxed: a number */
    return (char *)a + at;
}

void sh_arena_discard(struct sh_arena *a, void *pages, size_t bytes)
{
    if (a == NULL) {
        sh_pages_discard(pages, bytes);
        return;
    }
    SH_ASSERT(sh_arena_has(a, pages));
    /* Of shared memory, MADV_DONTNEED would give back the mapping alone. */
    if (!sh_fault())
        (void)madvise(pages, sh_pages_round(bytes), MADV_REMOVE);
}

void sh_arena_unmap(struct sh_arena *a, void *pages, size_t bytes)
{
    if (a == NULL)
        sh_pages_unmap(pages, bytes);
    else
        sh_arena_discard(a, pages, bytes);
}
