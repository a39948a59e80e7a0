/* SPDX-License-Identifier: MIT */
/*
 * memory/jemalloc/environment.c - what the private copy of jemalloc finds
 * around it.
 *
 * Idea. Debian's archive was built to be a program's malloc: it reads
 * $MALLOC_CONF and /etc/malloc.conf, writes warnings to stderr, and looks up
 * pthread_create by name. A program that tunes its own jemalloc by these does
 * not mean ours, and a library prints nothing. relink.sh therefore turns the
 * names below to this file.
 *
 * It also registers handlers for fork: those go through ours, which leave them
 * out in a process that has no other thread.
 *
 * What stays: jemalloc calls abort() when it finds its own memory corrupt.
 */
#include "memory/jemalloc/jemalloc_private.h"

#include <errno.h>
#include <pthread.h>
#include <sys/types.h>

/* Only the relinked object calls these, so no header declares them. */
char *sh_je_secure_getenv(const char *name);
ssize_t sh_je_readlink(const char *path, char *buffer, size_t size);
void *sh_je_dlsym(void *handle, const char *name);
int sh_je_pthread_atfork(void (*prepare)(void), void (*parent)(void),
                         void (*child)(void));

/* jemalloc reads this in place of its malloc_conf, before it does anything.
 * dss: the break belongs to the program. narenas: making another arena for a
 * thread crashes when there is no address space left. oversize_threshold:
 * see memory/heap.c. */
extern const char *sh_je_malloc_conf;
const char *sh_je_malloc_conf =
    "dss:disabled,background_thread:false,narenas:1,"
    "oversize_threshold:67108864";

static void say_nothing(void *user, const char *text)
{
    (void)user;
    (void)text;
}

/* Where jemalloc's warnings go. */
extern void (*sh_je_malloc_message)(void *user, const char *text);
void (*sh_je_malloc_message)(void *user, const char *text) = say_nothing;

const bool sh_je_has_arenas = true;

/* There is no $MALLOC_CONF for this copy. */
char *sh_je_secure_getenv(const char *name)
{
    (void)name;
    return NULL;
}

/* There is no /etc/malloc.conf for this copy. */
ssize_t sh_je_readlink(const char *path, char *buffer, size_t size)
{
    (void)path;
    (void)buffer;
    (void)size;
    errno = ENOENT;
    return -1;
}

/* jemalloc asks for pthread_create alone, and calls it directly when told
 * NULL; programs linked with -static have no dlsym. */
void *sh_je_dlsym(void *handle, const char *name)
{
    (void)handle;
    (void)name;
    return NULL;
}

/* -- fork -- */

/* What jemalloc does about a fork is for a process with threads: it takes all
 * of its locks, and makes them anew in the child. */
static struct {
    void (*prepare)(void), (*parent)(void), (*child)(void);
} at_fork;
static bool alone;

void sh_je_alone(bool is_alone)
{
    alone = is_alone;
}

static void prepare(void)
{
    if (!alone)
        at_fork.prepare();
}

static void parent(void)
{
    if (!alone)
        at_fork.parent();
}

static void child(void)
{
    if (!alone)
        at_fork.child();
}

/* jemalloc calls it once, before anybody can allocate. */
int sh_je_pthread_atfork(void (*prepare_)(void), void (*parent_)(void),
                         void (*child_)(void))
{
    at_fork.prepare = prepare_;
    at_fork.parent = parent_;
    at_fork.child = child_;
    return pthread_atfork(prepare, parent, child);
}
