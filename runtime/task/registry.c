/* SPDX-License-Identifier: MIT */
/*
 * task/registry.c - pools by name, and the seats of threads at them.
 *
 * Idea. A pool's name is a serial number and an identifier, so a name that
 * outlives its pool is found out without a look at freed memory. The same
 * identifier begins every handle. When an identifier is used again, the
 * generations of the new pool's records begin beyond those of the old one.
 *
 * Edges.
 *   registry  add: write the entry -> find: read the entry    the pool is set
 *             up; remove: the same entry, NULL
 *   cleared   clear: write NULL, its last look at a seat -> find: read NULL,
 *             and free the seat
 *   visit     visit: raise visits, then read the entry || remove: clear the
 *             entry, then read visits; all seq_cst: one sees the other
 *
 * Visits. A worker of one pool may give back a handle of another, or deliver to
 * it, at any moment after that one's futures have settled. It counts itself in
 * meanwhile, as a thread does that sleeps in a call; whoever frees the pool
 * takes the entry away first, and then waits until nobody is in. The counts
 * are static, so they can be raised for a pool that has gone. Who is in finds
 * the pool by sh_pool_at.
 *
 * Crash. visits counts threads of the host, whose death ends its pools.
 *
 * Fork. A child counts one process more than its parent, and every pool
 * remembers the count at which it was made; nothing else is touched, since
 * the child has one thread and any lock may be held by one that it lacks.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "sync/futex.h"
#include "task/error.h"
#include "task/handle.h"
#include "task/run.h"

struct sh_self sh_self_of_process = {
    .process = 1,
    .own = 1,
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .heard_lock = PTHREAD_MUTEX_INITIALIZER,
};
_Thread_local struct sh_here sh_here __attribute__((tls_model("initial-exec")));

/* Set once, by prepare. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_end;
static bool ready;

/* Of a host. Under lock. */
static uint64_t serial;
static unsigned next_id;
static uint32_t generations[SH_POOLS];
static bool leaving[SH_POOLS];

static void before_fork(void)
{
    pthread_mutex_lock(&sh_self()->lock);
}

static void after_fork_parent(void)
{
    pthread_mutex_unlock(&sh_self()->lock);
}

static void after_fork_child(void)
{
    pthread_mutex_unlock(&sh_self()->lock);
    sh_self()->process++;
    sh_self()->own++;
    for (unsigned i = 0; i < SH_POOLS; i++)
        sh_store_rlx(&sh_self()->visits[i], 0); /* relaxed: we are alone */
    sh_here.forked = sh_here.forked || sh_here.run != NULL;
    sh_here.seat = NULL;
    sh_here.run = NULL;
    sh_here.hook = NULL;
    sh_here.guest = 0;
}

/* The list is for who frees the pool, in the host. A worker process has no part
 * in it: the host cannot follow a pointer to a seat there. */
static void list_add(struct sh_pool *pool, struct sh_seat *seat)
{
    if (pool == sh_self()->served)
        return;
    seat->right = pool->seats;
    if (seat->right != NULL)
        seat->right->left = seat;
    pool->seats = seat;
}

static void list_remove(struct sh_pool *pool, struct sh_seat *seat)
{
    if (pool == sh_self()->served)
        return;
    if (seat->left != NULL)
        seat->left->right = seat->right;
    else
        pool->seats = seat->right;
    if (seat->right != NULL)
        seat->right->left = seat->left;
}

/* The thread that ends gives back what it kept of pools that still exist. */
static void thread_ends(void *here)
{
    struct sh_seat *seat = sh_here.seats;

    (void)here;
    pthread_mutex_lock(&sh_self()->lock);
    while (seat != NULL) {
        struct sh_seat *next = seat->next;
        struct sh_pool *pool = sh_load_rlx(&seat->pool); /* relaxed: locked */

        /* Also of a pool that was left to its last worker: as long as pool is
         * not NULL, it has not been unmapped. */
        if (pool != NULL && seat->process == sh_self()->process) {
            sh_table_flush(&pool->records, &seat->records);
            sh_table_flush(&pool->aliases, &seat->aliases);
            sh_table_flush(&pool->edges, &seat->edges);
            sh_table_flush(&pool->cells, &seat->cells);
            list_remove(pool, seat);
        }
        free(seat);
        seat = next;
    }
    pthread_mutex_unlock(&sh_self()->lock);
    sh_error_free(sh_here.last);
    memset(&sh_here, 0, sizeof sh_here);
}

static void prepare(void)
{
    ready = pthread_key_create(&thread_end, thread_ends) == 0 &&
            pthread_atfork(before_fork, after_fork_parent, after_fork_child) ==
                0;
}

bool sh_forks_count(void)
{
    pthread_once(&once, prepare);
    return ready;
}

bool sh_registry_add(struct sh_pool *pool)
{
    unsigned id = 0;

    if (!sh_forks_count())
        return false;
    pthread_mutex_lock(&sh_self()->lock);
    /* In turn, so that an identifier rests as long as it can. */
    for (unsigned tried = 1; tried < SH_POOLS && id == 0; tried++) {
        next_id = next_id + 1 < SH_POOLS ? next_id + 1 : 1;
        /* relaxed: locked */
        if (sh_load_rlx(&sh_self()->pools[next_id]) == NULL &&
            !leaving[next_id])
            id = next_id;
    }
    if (id != 0) {
        pool->id = id;
        pool->name = (shunt_pool *)(uintptr_t)(++serial << 12 | id);
        /* relaxed: published below */
        sh_store_rlx(&pool->process, sh_self()->process);
        pool->generation = generations[id] + 1;
        sh_store_rel(&sh_self()->homes[id], pool); /* release: registry */
        sh_store_rel(&sh_self()->pools[id], pool); /* release: registry */
    }
    pthread_mutex_unlock(&sh_self()->lock);
    return id != 0;
}

/* The highest generation that a handle of this pool can have had. */
static uint32_t last_generation(struct sh_pool *pool)
{
    uint32_t last = pool->generation;
    uint32_t used = sh_table_used(&pool->records);

    for (uint32_t i = 1; i < used; i++) {
        /* relaxed: nobody uses the pool any more */
        uint64_t w = sh_load_rlx(&sh_record_at(pool, i)->state);

        if ((int32_t)(sh_generation_of(w) - last) > 0 && w != 0)
            last = sh_generation_of(w);
    }
    used = sh_table_used(&pool->aliases);
    for (uint32_t i = 1; i < used; i++) {
        /* relaxed: nobody uses the pool any more */
        uint64_t w = sh_load_rlx(&sh_alias_at(pool, i)->word);
        uint32_t generation = (uint32_t)(w >> SH_ALIAS_SHIFT);

        if (generation > last)
            last = generation;
    }
    return last;
}

struct sh_pool *sh_pool_visit(unsigned id)
{
    struct sh_pool *pool;

    sh_add_sc(&sh_self()->visits[id], 1);     /* seq_cst: visit */
    pool = sh_load_sc(&sh_self()->pools[id]); /* seq_cst: visit */
    if (pool == NULL)
        sh_pool_leave(id);
    return pool;
}

void sh_pool_leave(unsigned id)
{
    if (sh_sub_sc(&sh_self()->visits[id], 1) == 1 && /* seq_cst: visit */
        sh_load_sc(&sh_self()->pools[id]) == NULL)   /* seq_cst: visit */
        sh_futex_wake(&sh_self()->visits[id], INT32_MAX, false);
}

void sh_pool_stay(unsigned id)
{
    sh_add_sc(&sh_self()->visits[id], 1); /* seq_cst: visit */
}

SH_HOT bool sh_is_own(unsigned id)
{
    const struct sh_seat *seat = sh_here.seat;

    return seat != NULL && seat->post != NULL &&
           /* relaxed: a worker's own pool is there */
           sh_load_rlx(&seat->pool)->id == id;
}

SH_HOT bool sh_pool_enter(unsigned id)
{
    return id == 0 || id == sh_here.guest || sh_is_own(id) ||
           sh_pool_visit(id) != NULL;
}

SH_HOT void sh_pool_exit(unsigned id)
{
    if (id != 0 && id != sh_here.guest && !sh_is_own(id))
        sh_pool_leave(id);
}

void sh_registry_hide(struct sh_pool *pool)
{
    pthread_mutex_lock(&sh_self()->lock);
    leaving[pool->id] = true;
    /* seq_cst: registry, visit */
    sh_store_sc(&sh_self()->pools[pool->id], NULL);
    pthread_mutex_unlock(&sh_self()->lock);
}

void sh_registry_remove(struct sh_pool *pool)
{
    unsigned id = pool->id;
    uint32_t n;

    sh_registry_hide(pool);
    while ((n = sh_load_sc(&sh_self()->visits[id])) != 0) /* seq_cst: visit */
        sh_futex_wait(&sh_self()->visits[id], n, INT64_MAX, false);
    pthread_mutex_lock(&sh_self()->lock);
    sh_store_rlx(&sh_self()->homes[id], NULL); /* relaxed: nobody is in */
    generations[id] = last_generation(pool);
    leaving[id] = false;
    pthread_mutex_unlock(&sh_self()->lock);
}

void sh_registry_serve(struct sh_pool *pool, unsigned index, unsigned number)
{
    static const pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
    struct sh_self *self = sh_self();

    /* Some thread of the host may have had them. */
    self->lock = self->heard_lock = fresh;
    for (unsigned i = 0; i < SH_POOLS; i++) {
        /* Nothing is written that is so already: pages are shared until then.
         * relaxed: we are alone */
        if (sh_load_rlx(&self->pools[i]) != NULL)
            sh_store_rlx(&self->pools[i], NULL);  /* relaxed: we are alone */
        if (sh_load_rlx(&self->homes[i]) != NULL) /* relaxed: we are alone */
            sh_store_rlx(&self->homes[i], NULL);  /* relaxed: we are alone */
        if (sh_load_rlx(&self->visits[i]) != 0)   /* relaxed: we are alone */
            sh_store_rlx(&self->visits[i], 0);    /* relaxed: we are alone */
    }
    memset(&sh_here, 0, sizeof sh_here);
    self->served = pool;
    self->own = number | 1u << 31; /* no count of forks */
    self->served_as = index + 1;
    self->process = sh_load_rlx(&pool->process); /* relaxed: an identity */
    sh_store_rlx(&self->pools[pool->id], pool);  /* relaxed: we are alone */
    sh_store_rlx(&self->homes[pool->id], pool);  /* relaxed: we are alone */
}

int sh_pool_find(shunt_pool *name, struct sh_pool **pool_out)
{
    struct sh_pool *pool;

    if (name == NULL) {
        if (sh_here.run == NULL)
            return sh_no_task();
        *pool_out = sh_here.run->pool;
        return 0;
    }
    /* acquire: registry */
    pool = sh_load_acq(&sh_self()->pools[(uintptr_t)name & (SH_POOLS - 1)]);
    if (pool == NULL || pool->name != name)
        return SHUNT_EINVAL;
    if (!sh_pool_is_ours(pool))
        return sh_pool_refusal(pool);
    *pool_out = pool;
    return 0;
}

bool sh_here_keep(void)
{
    return sh_forks_count() && pthread_setspecific(thread_end, &sh_here) == 0;
}

static struct sh_seat *seat_new(struct sh_pool *pool)
{
    struct sh_seat *seat = sh_fault() ? NULL : calloc(1, sizeof *seat);

    if (seat == NULL)
        return NULL;
    if (pthread_setspecific(thread_end, &sh_here) != 0) {
        free(seat);
        return NULL;
    }
    sh_store_rlx(&seat->pool, pool); /* relaxed: ours */
    seat->name = pool->name;
    seat->process = sh_self()->process;
    pthread_mutex_lock(&sh_self()->lock);
    list_add(pool, seat);
    pthread_mutex_unlock(&sh_self()->lock);
    seat->next = sh_here.seats;
    sh_here.seats = seat;
    return seat;
}

struct sh_seat *sh_seat_find(struct sh_pool *pool)
{
    struct sh_seat **at = &sh_here.seats;
    struct sh_seat *seat;

    /* Seats of pools that were freed are dropped on the way. */
    while ((seat = *at) != NULL) {
        struct sh_pool *its = sh_load_acq(&seat->pool); /* acquire: cleared */

        if (its == pool)
            break;
        if (its == NULL) {
            *at = seat->next;
            if (sh_here.seat == seat)
                sh_here.seat = NULL;
            free(seat);
        } else {
            at = &seat->next;
        }
    }
    if (seat == NULL)
        seat = seat_new(pool);
    if (seat != NULL && (sh_here.seat == NULL || sh_here.seat->post == NULL))
        sh_here.seat = seat;
    return seat;
}

void sh_seats_clear(struct sh_pool *pool)
{
    pthread_mutex_lock(&sh_self()->lock);
    for (struct sh_seat *s = pool->seats, *next; s != NULL; s = next) {
        next = s->right;
        sh_store_rel(&s->pool, NULL); /* release: cleared */
    }
    pool->seats = NULL;
    pthread_mutex_unlock(&sh_self()->lock);
}
