/* SPDX-License-Identifier: MIT */
/*
 * shunt/memory.h - memory that tasks share, and who frees it.
 *
 * Inside a task: shunt_alloc. The block belongs to the task's future and is
 * freed with it. Taking the future's value by its last handle takes the
 * blocks along: into the taking task's future, or to a caller outside, who
 * frees them with shunt_free.
 * Outside: shunt_pool_alloc. The block is the caller's until shunt_free, or
 * until shunt_adopt makes it a future's. Freeing a pool frees what is left.
 *
 * Blocks of a process pool are at the same address in the host and in every
 * worker process of that pool, so pointers into them may travel.
 *
 * Blocks are aligned to 16 bytes and not zeroed. A size of 0 gives a block
 * that can be freed. None of these functions blocks; all may be called from
 * any thread unless a comment says otherwise.
 */
#ifndef SHUNT_MEMORY_H
#define SHUNT_MEMORY_H

#include "shunt/future.h"

SHUNT_BEGIN_

/* n bytes that live as long as the running task's future; NULL if there is no
 * memory, or outside a task. */
SHUNT_API void *shunt_alloc(size_t n) __attribute__((malloc, alloc_size(1)));

/* n bytes of pool's memory, the caller's; NULL if there is no memory or pool
 * is not valid. NULL as pool means, inside a task, the current one. */
SHUNT_API void *shunt_pool_alloc(shunt_pool *pool, size_t n)
    __attribute__((malloc, alloc_size(2)));

/* Free a block of shunt_pool_alloc, or one that came with a taken value, or,
 * early, one that the running task allocated. p may be NULL.
 * Errors: SHUNT_EINVAL if the block belongs to another future, or p was not
 * got from these functions (found by a mark before the block, not surely). */
SHUNT_API int shunt_free(void *p);

/* Make a block of shunt_pool_alloc, one that came with a taken value, or one
 * that the running task allocated, belong to f: it is freed once f is released
 * and its task no longer runs. For memory behind an input. Errors:
 * SHUNT_EINVAL; p is still the caller's then. SHUNT_EINVAL too if f has already
 * failed to be submitted. */
SHUNT_API int shunt_adopt(shunt_future *f, void *p);

SHUNT_END_

#endif /* SHUNT_MEMORY_H */
