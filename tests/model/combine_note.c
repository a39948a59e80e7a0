/* SPDX-License-Identifier: MIT */
/*
 * combine_note.c - when_all of two futures that succeed one after the other,
 * meanwhile: of each it finds that it has settled, which is noted by the word,
 * or hangs there. With -DGIVES the second is a promise that is kept.
 *
 * Edges: settled, watch, hang, closed, arrive, accept (future/compose.c,
 * combine.c, promise.c). The real lending, hanging, noting and verdict; the
 * block and what happens after the verdict are here. Builder or settler acts,
 * once, and has seen both values.
 */
#include <stdarg.h>
#include <string.h>

#include "settle_client.h"

/* The checker's stdio.h has it not; nobody calls it here. */
int vsnprintf(char *to, size_t size, const char *format, va_list arguments);

/* Left out, since unused: the checker cannot copy structures. */
#define sh_combine_conclude static unused_conclude
#include "../../runtime/future/combine.c"
#include "../../runtime/future/sift.c"
#undef sh_combine_conclude
#include "../../runtime/future/compose.c"
#define find find_promise /* promise.c has names of its own for these */
#define sh_promise_dispose dispose_promise
#define shunt_promise_new_typed static unused_new
#define memcpy copy_nothing
void copy_nothing(void *to, const void *from, size_t size);
#include "../../runtime/future/promise.c"
#undef find

static int values[4]; /* of records 1 and 3: plain */
static int concluded;
static struct sh_hung hung[2];
static shunt_future *names[2];
static struct sh_combine block;

unsigned sh_combine_conclude(struct sh_work *work, struct sh_pool *p,
                             struct sh_record *r, unsigned outcome)
{
    (void)work;
    (void)p;
    assert(r == &records[2] && outcome == 0);
    assert(concluded++ == 0);
    assert(values[1] == 1 && values[3] == 3);
    return 0;
}

static void *settler(void *unused)
{
    (void)unused;
    values[1] = 1;
    sh_settle_running(&pool, &records[1], 0, 0);
#ifdef GIVES
    struct sh_ref ref;

    ref.handle = handle_of(3);
    ref.pool = &pool;
    ref.record = &records[3];
    ref.word = sh_load_acq(&records[3].state); /* acquire: settled */
    assert(begin(&ref, 0) == 0);
    values[3] = 3;
    if (!settle_alone(&ref))
        settle_as(&ref, 0);
#else
    values[3] = 3;
    sh_settle_running(&pool, &records[3], 0, 0);
#endif
    return NULL;
}

static void *builder(void *unused)
{
    shunt_future *fs[2];
    struct sh_work work = { 0 };

    (void)unused;
    fs[0] = sh_handle_future(handle_of(1));
    fs[1] = sh_handle_future(handle_of(3));
    assert(hang_all(&work, &pool, &records[2], fs, 2) == 0);
    sh_combine_accept(&work, &pool, &records[2]);
    sh_work_do(&work);
    return NULL;
}

int main(void)
{
    pthread_t one, two;
    struct sh_record *r;

    make_pool_with_queues();
    make_record(1, SH_RUNNING, SH_KIND_TASK);
#ifdef GIVES
    make_record(3, SH_PROMISE | SH_KEPT, SH_KIND_PROMISE);
#else
    make_record(3, SH_RUNNING, SH_KIND_TASK);
#endif
    r = make_record(2, SH_INIT, SH_KIND_ALL);
    block.n = 2;
    block.hung = hung;
    block.names = names;
    r->data.combining.more = &block;
    sh_store_rlx(&r->data.combining.count, 2); /* relaxed: alone */
    sh_store_rlx(&r->input, sh_verdict_make(GENERATION, SH_VERDICT_NONE,
                                            0)); /* relaxed: alone */
    one = thread_start(builder, NULL);
    two = thread_start(settler, NULL);
    thread_join(one);
    thread_join(two);
    assert(concluded == 1);
    assert(sh_phase_of(sh_load_rlx(&r->state)) == SH_DONE); /* relaxed: joined
                                                             */
    return 0;
}
