/* SPDX-License-Identifier: MIT */
/*
 * retry_leave.c - two attempts of a retry end, and the retry settles, at once.
 *
 * Edges: leave (task/ticket.c). Record 1 is the retry, 2 and 3 the attempts:
 * both read the input, a plain word, before they leave. Whoever is last drops
 * it, which writes that word, and takes BUSY off the retry; nobody else does.
 * -DAGAIN: who leaves does so twice, as when its process has died after that.
 */
#include "ticket_client.h"

/* Of keep.c, where nobody waits for code that runs on. */
#define sh_keep_returned keep_returned
static void keep_returned(struct sh_work *work, struct sh_pool *p)
{
    (void)work;
    assert(p == &pool);
}

#include "../../runtime/future/attempt.c"

static void drop(void *in)
{
    assert(in == &value);
    free_value();
}

static const shunt_task task = { .traits_ = { .drop = drop } };

static void leave(uint32_t record)
{
    struct sh_work work = { 0 };

    sh_retry_leave(&work, &pool, &records[record]);
    assert(work.settling == NULL && work.freeing == NULL);
}

static void *attempt(void *record)
{
    use_value();
    leave((uint32_t)(uintptr_t)record);
#ifdef AGAIN
    leave((uint32_t)(uintptr_t)record);
#endif
    return NULL;
}

static void *retrier(void *unused)
{
    (void)unused;
    leave(1);
    return NULL;
}

static void make_user(uint32_t i, uint64_t phase_and_flags, unsigned kind)
{
    make_holder(i, phase_and_flags, kind);
    records[i].task = &task;
}

int main(void)
{
    pthread_t threads[3];
    uint64_t w;

    make_pool_with_queues();
    make_user(1, SH_SETTLING | SH_BUSY, SH_KIND_RETRY);
    make_user(2, SH_RUNNING, SH_KIND_TRY);
    make_user(3, SH_RUNNING, SH_KIND_TRY);
    value = 42;
    threads[0] = thread_start(attempt, (void *)(uintptr_t)2);
    threads[1] = thread_start(attempt, (void *)(uintptr_t)3);
    threads[2] = thread_start(retrier, NULL);
    for (int i = 0; i < 3; i++)
        thread_join(threads[i]);
    assert(value_gone == 1);
    w = sh_load_rlx(&records[1].state); /* relaxed: joined */
    assert((w & SH_BUSY) == 0 && sh_phase_of(w) == SH_SETTLING);
    return 0;
}
