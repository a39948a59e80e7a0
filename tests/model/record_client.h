/* SPDX-License-Identifier: MIT */
/*
 * record_client.h - a pool of a few records, with no worker and no allocator.
 *
 * It includes what moves states, edges and handles, and stands in for the
 * rest: the registry (the pool is there, and does not go), data of tasks
 * (there are none), combinators and errors. Record 1 is the future that the
 * client is about; its value is `value`, a plain word, so that whoever reads
 * or frees it without an edge to whoever wrote it is found.
 */
#ifndef SH_MODEL_RECORD_CLIENT_H
#define SH_MODEL_RECORD_CLIENT_H

#ifndef SH_DEQUE_SLOTS
#define SH_DEQUE_SLOTS 2
#endif
#define SH_SLEEP_GROUPS 1
#include "client.h"
#include "clock.h"
#include "futex.h"

/*
 * The checker has no thread-local structures: what sh_here is for each thread,
 * and its seat, are found by its number. The inline functions of run.h see an
 * sh_here that is always empty.
 */
#define _Thread_local
#define tls_model(model) unused

/* What a client stands in for may be a function there, or inline. */
#define sh_task_check real_task_check
#define sh_record_make_data real_record_make_data
#define sh_record_bind real_record_bind
#include "task/data.h"
#include "task/run.h"
#undef sh_task_check
#undef sh_record_make_data
#undef sh_record_bind

#define THREADS_MAX 5

struct sh_here sh_here;
static struct sh_here heres[THREADS_MAX];
#define sh_here (heres[pthread_self()])

static inline int sh_task_check(const struct sh_pool *p,
                                const shunt_task *task)
{
    (void)p;
    (void)task;
    return 0;
}

static inline bool sh_record_make_data(struct sh_pool *p, struct sh_record *r)
{
    (void)p;
    (void)r;
    return true;
}

/* The checker cannot copy a structure, as this does. */
static inline struct sh_bound *sh_record_bind(struct sh_record *r)
{
    r->out_at = SH_BOUND;
    sh_bound_of(r)->deadline_ns = INT64_MAX;
    sh_bound_of(r)->scope = 0;
    return sh_bound_of(r);
}

#include "../../runtime/future/edge.c"
#include "../../runtime/task/handle.c"

#define POOL 1u
#define GENERATION 5u /* of the records when they begin */

static struct sh_record records[4];
static struct sh_alias aliases[11];
static struct sh_edge edges[11];
static struct sh_pool pool;
static struct sh_seat seats[THREADS_MAX];

static int value;      /* of record 1 */
static int value_gone; /* it was freed: plain, as free(3) is */

/* Pools do not go here: everybody is a guest at once. */
struct sh_pool *sh_pool_visit(unsigned id)
{
    assert(id == POOL);
    return &pool;
}

void sh_pool_leave(unsigned id)
{
    assert(id == POOL);
}

void sh_pool_stay(unsigned id)
{
    assert(id == POOL);
}

bool sh_pool_enter(unsigned id)
{
    assert(id == POOL || id == 0);
    return true;
}

void sh_pool_exit(unsigned id)
{
    assert(id == POOL || id == 0);
}

bool sh_is_own(unsigned id)
{
    assert(id == POOL || id == 0);
    return false;
}

struct sh_seat *sh_seat_find(struct sh_pool *p)
{
    assert(p == &pool);
    return &seats[pthread_self()];
}

uint32_t sh_table_peek_more(struct sh_table *t, struct sh_cache *c)
{
    (void)t;
    (void)c;
    return SH_NONE;
}

void sh_table_give_more(struct sh_table *t, struct sh_cache *c)
{
    (void)t;
    (void)c;
    assert(0);
}

/* Without a look at a clock. */
void sh_stamp_renew(struct sh_stamp *s)
{
    s->left = 0;
}

static void table(struct sh_table *t, void *items, size_t stride,
                  size_t link_at, uint32_t capacity)
{
    t->items = items;
    t->stride = stride;
    t->link_at = link_at;
    t->capacity = capacity;
}

static void make_pool(void)
{
    table(&pool.records, records, sizeof *records,
          offsetof(struct sh_record, link), 4);
    table(&pool.aliases, aliases, sizeof *aliases,
          offsetof(struct sh_alias, link), 11);
    table(&pool.edges, edges, sizeof *edges, offsetof(struct sh_edge, next),
          11);
    pool.id = POOL;
    sh_self()->process = 1;
    sh_store_rlx(&pool.process, 1); /* relaxed: before the threads */
    /* relaxed: before the threads */
    sh_store_rlx(&sh_self()->pools[POOL], &pool);
    /* relaxed: before the threads */
    sh_store_rlx(&sh_self()->homes[POOL], &pool);
    for (uint32_t i = 0; i < THREADS_MAX; i++) {
        sh_store_rlx(&seats[i].pool, &pool); /* relaxed: before the threads */
        seats[i].edges.fresh = seats[i].aliases.fresh = 2 * i + 1;
        seats[i].edges.fresh_end = seats[i].aliases.fresh_end = 2 * i + 3;
    }
}

static inline struct sh_seat *own_seat(void)
{
    return sh_seat_find(&pool);
}

/* Record i as its maker leaves it, in a phase, with flags. */
static struct sh_record *make_record(uint32_t i, uint64_t phase_and_flags,
                                     unsigned kind)
{
    struct sh_record *r = &records[i];
    uint64_t tag = (uint64_t)GENERATION << 32;

    sh_store_rlx(&r->state, tag | phase_and_flags); /* relaxed: alone */
    sh_store_rlx(&r->deps, tag);                    /* relaxed: alone */
    sh_store_rlx(&r->hold, tag);                    /* relaxed: alone */
    sh_store_rlx(&r->kind, (uint8_t)kind);          /* relaxed: alone */
    return r;
}

static uint64_t handle_of(uint32_t i)
{
    return sh_handle_make(POOL, i, GENERATION);
}

static void find(uint64_t handle, struct sh_ref *ref_out)
{
    assert(sh_handle_find(handle, SH_LOOK, ref_out) == 0);
}

/* Free the value of record 1, as whoever moved it to RELEASING does. */
static void free_value(void)
{
    assert(value_gone == 0);
    value_gone = 1;
    value = 0;
}

static void use_value(void)
{
    assert(value == 42);
}

#endif /* SH_MODEL_RECORD_CLIENT_H */
