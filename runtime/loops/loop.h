/* SPDX-License-Identifier: MIT */
/*
 * loops/loop.h - what loops of all kinds have in common: how their parts end
 * together, how large a chunk is, and where they keep what they are given.
 */
#ifndef SH_LOOPS_LOOP_H
#define SH_LOOPS_LOOP_H

#include "base/assert.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "future/submit.h"
#include "shunt/forkjoin.h"
#include "shunt/loops.h"

/* A function of the user is called by a type in which pointers to void stand
 * for his: the same call, but not by the letter. */
#ifdef __clang__
#define SH_CALLS_ANY __attribute__((no_sanitize("function")))
#else
#define SH_CALLS_ANY
#endif

/* What a chunk should take: long beside a look at the clock and at who wants
 * something, and short for who waits for that. */
#define SH_CHUNK_NS 10000
/* The most that a chunk grows to: what comes next may be costly. */
#define SH_CHUNK_MAX 16384u

/* What the parts of a loop share. It lies on the stack of the loop's task. */
struct sh_loop {
    struct sh_pool *pool;
    shunt_fn_ *fn;
    const void *ctx;
    size_t grain; /* at least 1 */
    /* What the first part that failed has returned, or 0; or a status. */
    _Atomic int64_t failed;
};

/* Whether the loop is to go on: false once a part of it has failed, or it was
 * asked to cancel. */
bool sh_loop_goes_on(struct sh_loop *l);

/* The calling part has failed with rc, not 0, and perhaps a text. */
void sh_loop_fail(struct sh_loop *l, int rc);

/* What the calling part has said of a failure is not the loop's. */
void sh_loop_unsay(struct sh_run *run);

/* A function of the user has returned rc in the calling part. */
static inline void sh_loop_hear(struct sh_loop *l, int rc)
{
    struct sh_run *run = sh_here.run;

    if (SH_UNLIKELY(rc != 0))
        sh_loop_fail(l, rc);
    else if (SH_UNLIKELY(run != NULL &&
                         (run->text != NULL || run->fail_as != 0)))
        sh_loop_unsay(run);
}

/* The same for want of memory: that is to be the loop's status. */
void sh_loop_starve(struct sh_loop *l);

/* Before there are parts, SHUNT_CHECK=pointers: what the loop was given besides
 * its input. */
void sh_loop_check(struct sh_loop *l, const void *bytes, size_t size);

/* What the task returns when all parts have ended. */
int sh_loop_end(struct sh_loop *l);

/* When a chunk has run that began at *at_ns: how large the next one is, and
 * when it begins. */
static inline size_t sh_loop_pace(size_t chunk, size_t grain, int64_t *at_ns)
{
    int64_t now = sh_clock_ns();
    int64_t took = now - *at_ns;

    SH_ASSERT(chunk >= grain && grain > 0);
    *at_ns = now;
    if (took < SH_CHUNK_NS / 2 && chunk < SH_CHUNK_MAX)
        return chunk * 2;
    if (took > SH_CHUNK_NS * 2)
        return chunk / 2 > grain ? chunk / 2 : grain;
    return chunk;
}

/* Where a part has values of its own: on its stack if they are small. */
#define SH_ROOM_FEW 64u

struct sh_room {
    _Alignas(16) char few[SH_ROOM_FEW];
    void *more; /* of the pool's heap, or NULL */
    size_t bytes;
};

/* Room for n times size bytes, size a multiple of align; NULL, and the loop
 * fails, if there is no memory. To be closed only if there is. */
char *sh_room_open(struct sh_room *room, struct sh_loop *l, size_t n,
                   size_t size, size_t align);
void sh_room_close(struct sh_room *room);

/* -- on the way into the pool -- */

/* The pool of that name, which is to call fn: 0, or SHUNT_E*. */
int sh_loop_find(shunt_pool *name, shunt_fn_ *fn, struct sh_pool **pool_out);

/* New scratch for n times size bytes, which begin at *at_out; NULL if there is
 * no memory. */
struct sh_block *sh_loop_block(struct sh_pool *pool, size_t n, size_t size,
                               size_t align, void **at_out);

/* Whether that can be an array: 0, or SHUNT_EINVAL. */
int sh_loop_check_array(const shunt_array_ *array);

/* The future of a loop that is not accepted; pool may be NULL. */
shunt_future *sh_loop_refuse(struct sh_pool *pool, int rc);

/* A future for a loop over nothing. */
shunt_future *sh_loop_nothing(struct sh_pool *pool, const char *where);

/* The grain that the options say, as far as the caller's struct has it; 1 if
 * they say nothing. */
size_t sh_loop_grain(const shunt_for_options *given, size_t size);

/* A body with a copy of its context, and the block that this is in: 0, or
 * SHUNT_E*. */
int sh_loop_take_body(struct sh_pool *pool, shunt_body_ *body,
                      struct sh_block **block_out);

#endif /* SH_LOOPS_LOOP_H */
