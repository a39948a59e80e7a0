/* SPDX-License-Identifier: MIT */
/*
 * titles_purpose.c - what a broken parser does, for the demonstration only.
 *
 *     <meta name="on-purpose" content="null">     dereferences NULL
 *     <meta name="on-purpose" content="loop">     never comes back
 *     <meta name="on-purpose" content="memory">   eats memory until it dies
 *     <meta name="on-purpose" content="exit">     calls exit(0)
 *     <meta name="on-purpose" content="kill">     raises SIGKILL
 *
 * No program needs this. A page that is marked so has find_title do in earnest
 * what parsers do by mistake, so that it can be seen what becomes of the other
 * pages. Only where tasks run in processes of their own: a thread would take
 * the program with it, so there the mark is an ordinary failure.
 */
#define _GNU_SOURCE 1 /* memmem, MAP_ANONYMOUS */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "titles.h"

#define EATEN_BYTES_MAX ((rlim_t)64 << 20)
#define BITE_BYTES ((size_t)1 << 20)
#define PAGE_BYTES 4096 /* or less than one: that is enough to touch it */

/* Or the sanitizer that looks for such things puts in a word of its own. */
#define ON_PURPOSE __attribute__((no_sanitize("undefined")))

ON_PURPOSE static void follow_null(void)
{
    volatile int *volatile nowhere = NULL;

    *nowhere = 1;
}

static void loop_forever(void)
{
    for (volatile unsigned turn = 0;; turn++)
        continue;
}

/* The machine is not to suffer: 64 MiB from now on there is no more. The
 * limit is that of this process, which has not long to live. */
static void limit_memory(void)
{
    FILE *sizes = fopen("/proc/self/statm", "r");
    unsigned long pages = 0;
    struct rlimit limit;

    if (!sizes || fscanf(sizes, "%lu", &pages) != 1 ||
        getrlimit(RLIMIT_AS, &limit) != 0)
        abort();
    fclose(sizes);
    limit.rlim_cur =
        (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + EATEN_BYTES_MAX;
    if (setrlimit(RLIMIT_AS, &limit) != 0)
        abort();
}

/* As malloc does for what is large; but that of a sanitizer, when it is out of
 * memory, prints pages of text. */
static void *bite_off(void)
{
    void *bite = mmap(NULL, BITE_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return bite == MAP_FAILED ? NULL : bite;
}

/* As much code does: what was allocated is used without a look at it. So where
 * memory is limited, running out of it ends as NULL does. */
ON_PURPOSE static void eat_memory(void)
{
    limit_memory();
    for (;;) {
        volatile char *bite = bite_off();

        for (size_t i = 0; i < BITE_BYTES; i += PAGE_BYTES)
            bite[i] = 1;
    }
}

static void leave(void)
{
    exit(0);
}

static void kill_myself(void)
{
    raise(SIGKILL);
}

static const struct deed {
    const char *name;
    void (*call)(void);
} deeds[] = {
    { "null", follow_null }, { "loop", loop_forever }, { "memory", eat_memory },
    { "exit", leave },       { "kill", kill_myself },
};

/* What the page is marked with; NULL if it is not. */
static const struct deed *find_deed(const struct page *page)
{
    static const char mark[] = "<meta name=\"on-purpose\" content=\"";
    const size_t length = sizeof mark - 1;
    const char *found =
        page->size > 0 ? memmem(page->bytes, page->size, mark, length) : NULL;
    size_t left;

    if (!found)
        return NULL;
    found += length;
    left = page->size - (size_t)(found - page->bytes);
    for (size_t i = 0; i < sizeof deeds / sizeof deeds[0]; i++) {
        size_t size = strlen(deeds[i].name);

        if (left > size && found[size] == '"' &&
            memcmp(found, deeds[i].name, size) == 0)
            return &deeds[i];
    }
    return NULL;
}

static pid_t program; /* its own process, not a worker's */

void purpose_init(void)
{
    program = getpid();
}

int crash_if_marked(const struct page *page)
{
    const struct deed *deed = find_deed(page);

    if (!deed)
        return 0;
    if (shunt_pool_mode(NULL) == SHUNT_THREADS || getpid() == program)
        return shunt_fail(PAGE_MARKED,
                          "marked to crash (%s): needs --mode processes",
                          deed->name);
    deed->call();
    return 0;
}
