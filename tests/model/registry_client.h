/* SPDX-License-Identifier: MIT */
/*
 * registry_client.h - the real registry, without forks and ends of threads.
 *
 * The checker knows mutexes. It has no thread-local structures: a client lets
 * one thread alone use sh_here.
 */
#ifndef SH_MODEL_REGISTRY_CLIENT_H
#define SH_MODEL_REGISTRY_CLIENT_H

#include "client.h"
#include "futex.h"

#define _Thread_local
#define tls_model(model) unused
#define pthread_once(once, function) (function)()
#define pthread_key_create(key, end) ((void)(end), 0)
#define pthread_setspecific(key, value) ((void)(value), 0)
#define pthread_atfork(before, parent, child) \
    ((void)(before), (void)(parent), (void)(child), 0)
#define PTHREAD_ONCE_INIT 0
typedef int pthread_once_t;
typedef int pthread_key_t;

#define calloc(count, size) seat_memory(size)
static void *seat_memory(size_t size);

/* Not in the checker's unistd.h; nobody becomes a worker process here. */
int getpid(void);

#include "../../runtime/task/registry.c"

/* What the registry relies on being zero. */
static void *seat_memory(size_t size)
{
    struct sh_seat *seat = malloc(size);

    seat->post = NULL;
    seat->left = seat->right = NULL;
    return seat;
}

bool sh_fault(void)
{
    return false;
}

void sh_table_flush(struct sh_table *t, struct sh_cache *c)
{
    (void)t;
    (void)c;
}

#endif /* SH_MODEL_REGISTRY_CLIENT_H */
