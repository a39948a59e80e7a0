/* SPDX-License-Identifier: MIT */
/*
 * late_return.c - code that was given up returns while a keeper lets go.
 *
 * Edge: late (future/keep.c). The keeper waits for what has settled and runs
 * on, since it uses memory of the task that submitted it. Whoever comes last,
 * of the keeper and the code, frees that memory, once. With -DTWO two pieces of
 * code return at the same time.
 */
#include "settle_client.h"

static size_t names[2];
static shunt_future *kept[2];
static struct sh_combine block = { .n = 1, .names = kept, .indices = names };
static _Atomic int disposed;

void sh_combine_dispose(struct sh_work *work, struct sh_pool *p,
                        struct sh_record *r, unsigned outcome)
{
    (void)work, (void)outcome;
    assert(p == &pool && r == &records[3]);
    assert(sh_add_rlx(&disposed, 1) == 0); /* relaxed: a count */
    value = 0; /* plain: after everybody's last use (late) */
}

static void *code(void *i)
{
    struct sh_work work = { 0 };

    use_value();
    sh_settle_returned(&work, &pool, &records[(uintptr_t)i]);
    sh_work_do(&work);
    return NULL;
}

static void *settler(void *unused)
{
    struct sh_work work = { 0 };

    (void)unused;
    sh_work_free(&work, &pool, &records[3]);
    sh_work_do(&work);
    return NULL;
}

static void make_late(uint32_t i)
{
    make_record(i, SH_DONE | SH_BUSY, SH_KIND_TASK);
    names[i - 1] = (size_t)handle_of(i);
}

int main(void)
{
    pthread_t threads[3];

    make_pool_with_queues();
    value = 42;
    make_late(1);
#ifdef TWO
    make_late(2);
    block.n = 2;
    threads[2] = thread_start(code, (void *)2);
#endif
    make_record(3, SH_RELEASING | SH_GONE | SH_ORPHAN, SH_KIND_KEEP);
    records[3].data.combining.more = &block;
    threads[0] = thread_start(code, (void *)1);
    threads[1] = thread_start(settler, NULL);
#ifdef TWO
    thread_join(threads[2]);
#endif
    thread_join(threads[0]);
    thread_join(threads[1]);
    assert(sh_load_rlx(&disposed) == 1); /* relaxed: joined */
    assert(sh_phase_of(sh_load_rlx(&records[3].state)) == SH_FREE); /*
                                                          * relaxed: joined */
    return 0;
}
