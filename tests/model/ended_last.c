/* SPDX-License-Identifier: MIT */
/*
 * ended_last.c - a pool is left to code that was given up, as that returns.
 *
 * Edge: ended (worker/loop.c, pool.c). Two threads of the pool end, and whoever
 * frees it leaves it to them: one of the three takes it apart, when the others
 * have used it for the last time.
 */
#define RESUME /* worker/loop.c is there */
#include "run_client.h"

static int call_task(const void *in, const void *ctx, void *out)
{
    (void)in, (void)ctx, (void)out;
    return 0;
}

#define pthread_setname_np(thread, name) ((void)(name))
#define syscall(number) 1 /* a thread's id */
#include "../../runtime/worker/loop.c"

enum {
    LEAVE = 3
};

static int used[LEAVE]; /* plain: by who leaves, and who takes it apart */
static int destroyed;

void sh_registry_remove(struct sh_pool *p)
{
    (void)p;
}

void sh_pool_destroy(struct sh_pool *p)
{
    (void)p;
    for (int i = 0; i < LEAVE; i++)
        assert(used[i] == 1);
    destroyed++;
}

static void *leave(void *i)
{
    used[(uintptr_t)i] = 1;
    sh_team_leave(&pool);
    return NULL;
}

int main(void)
{
    pthread_t threads[LEAVE];

    make_pool_with_worker();
    sh_store_rlx(&team.alive, LEAVE); /* relaxed: before the threads */
    for (uintptr_t i = 0; i < LEAVE; i++)
        threads[i] = thread_start(leave, (void *)i);
    for (int i = 0; i < LEAVE; i++)
        thread_join(threads[i]);
    assert(destroyed == 1);
    return 0;
}
