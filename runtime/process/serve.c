/* SPDX-License-Identifier: MIT */
/*
 * process/serve.c - a worker process, from its birth to its end.
 *
 * Idea. The process was forked from the zygote of its pool, and has the host's
 * code and static data at the same addresses, as they were when the seed was
 * forked. What those say of pools and of the calling thread is of another
 * process: it is set anew, and from then on the loop of a worker thread does
 * the rest.
 */
#include "process/serve.h"

#include <unistd.h>

#include "process/birth.h"
#include "process/crash.h"
#include "process/forks.h"
#include "process/limit.h"
#include "process/symbols.h"
#include "worker/worker.h"

#define BOOKED 64u /* of the size of a small block, any */

static struct sh_crash *crash; /* this process's record */

static void note_exit(int status)
{
    sh_crash_exit(crash, status);
}

/* What the allocator of the pool's memory keeps of that in the process's own,
 * which is about to be limited: it gets most of it when it is first used. If
 * there is nothing left for a block, nor will there be for a task. */
static void open_books(struct sh_pool *pool)
{
    sh_heap_put(&pool->heap, sh_heap_scratch(&pool->heap, BOOKED), BOOKED);
}

/* The exit status of one that could not begin. */
#define UNABLE 1

int sh_serve(void *root, unsigned index)
{
    struct sh_pool *pool = root;
    size_t most = pool->team->worker_bytes_max;

    sh_registry_serve(pool, index, (unsigned)getpid());
    sh_trace_tell_by(sh_symbols_words);
    if (!sh_slices_join(pool->heap.slices, SH_OWNER_WORKER(index)))
        return UNABLE;
    crash = &pool->team->crashes[index];
    if (!sh_crash_install(crash) || !sh_forks_allow())
        return UNABLE;
    sh_birth_on_exit(note_exit);
    if (most > 0) {
        open_books(pool);
        if (!sh_limit_set(most))
            return UNABLE;
    }
    crash->bytes_max = most;
    return sh_worker_serve(&pool->team->workers[index]) ? 0 : UNABLE;
}
