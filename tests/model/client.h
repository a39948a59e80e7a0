/* SPDX-License-Identifier: MIT */
/*
 * client.h - what every client of the model checker needs, and no more.
 *
 * A client is plain C11 with pthreads and assert: a main that builds one
 * structure, a few threads that use it once or twice, and the claim. It
 * includes the library's own source, after it has made its tables tiny with
 * -D or #define. The checker runs main once for every execution that the
 * memory model allows; a failing assert, a race on a plain word, or a thread
 * that waits for ever ends the run.
 */
#ifndef SH_MODEL_CLIENT_H
#define SH_MODEL_CLIENT_H

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The pause instruction means nothing to the checker. */
#define __builtin_ia32_pause() ((void)0)

#include "base/atomic.h"
#include "base/self.h"

/* All threads are of a host. */
struct sh_self sh_self_of_process;

#define ITEMS 8

/*
 * A hint stands for what its maker wrote before it was pushed. payload is a
 * plain array: whoever takes hint h reads payload[h], which is a race, and
 * found, unless the queue carried an edge from maker to taker.
 */
static int payload[ITEMS];
static _Atomic int taken[ITEMS];

static inline uint64_t make_hint(uint64_t hint)
{
    payload[hint] = (int)hint;
    return hint;
}

static inline void take_hint(uint64_t hint)
{
    assert(hint > 0 && hint < ITEMS);
    assert(payload[hint] == (int)hint);
    assert(sh_add_rlx(&taken[hint], 1) == 0); /* relaxed: a count */
}

static inline bool was_taken(uint64_t hint)
{
    return sh_load_rlx(&taken[hint]) == 1; /* relaxed: after the joins */
}

static inline pthread_t thread_start(void *(*thread)(void *), void *argument)
{
    pthread_t id;

    if (pthread_create(&id, NULL, thread, argument) != 0)
        assert(0);
    return id;
}

static inline void thread_join(pthread_t id)
{
    if (pthread_join(id, NULL) != 0)
        assert(0);
}

#endif /* SH_MODEL_CLIENT_H */
