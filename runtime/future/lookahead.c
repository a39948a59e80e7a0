/* SPDX-License-Identifier: MIT */
/*
 * future/lookahead.c - a map over a sequence, a bounded number ahead.
 *
 *     ring:   [ - | f7 | f8 | f9 | - | - ]
 *                   ^ first, taken next
 *
 * Idea. It is a ring of futures and nothing else: taking the oldest one makes
 * room for one more. Whoever takes also makes the elements, so nothing of it
 * is shared, and a sequence need not bear two threads. The ring grows to what
 * the sequence needs, since `ahead` may be more than it will ever give.
 *
 * The number in flight includes results that wait to be taken. So a taker that
 * is slow holds the sequence back, and the memory that it takes is bounded.
 *
 * Inside a task the lookahead is memory of the task, which frees it, and
 * releases the futures, when it ends.
 *
 * Crash. All of it is private to the process that opened it.
 */
#include "shunt/lookahead.h"

#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "shunt/memory.h"
#include "task/data.h"
#include "task/handle.h"

#define ROOM_MIN 16u

struct shunt_lookahead {
    shunt_pool *pool;
    const shunt_task *task;
    const char *where;
    shunt_next_fn_ *next;
    void *seq;
    void *in; /* the element that is being made */
    size_t ahead;
    shunt_future **ring;
    size_t room, first, count;
    int failure; /* of next, not yet taken; else 0 */
    bool over;   /* next has no more */
    bool busy;   /* next is being called */
    bool inside; /* memory of a task */
};

static void *get(bool inside, size_t size)
{
    if (inside)
        return shunt_alloc(size);
    return sh_fault() ? NULL : malloc(size);
}

static void put(bool inside, void *p)
{
    if (inside)
        (void)shunt_free(p);
    else
        free(p);
}

/* Make room for one more. */
static bool grow(shunt_lookahead *l)
{
    size_t room = l->room == 0 ? ROOM_MIN : l->room * 2;
    shunt_future **ring;

    if (l->count < l->room)
        return true;
    if (room > l->ahead)
        room = l->ahead;
    ring = room > PTRDIFF_MAX / sizeof *ring
               ? NULL
               : get(l->inside, room * sizeof *ring);
    if (ring == NULL)
        return false;
    for (size_t i = 0; i < l->count; i++)
        ring[i] = l->ring[(l->first + i) % l->room];
    put(l->inside, l->ring);
    l->ring = ring;
    l->room = room;
    l->first = 0;
    return true;
}

/* Make and submit elements, until as many are in flight as may be. Without
 * memory for more of them there are fewer. */
static void look_ahead(shunt_lookahead *l)
{
    while (!l->over && l->count < l->ahead && grow(l)) {
        int rc;

        l->busy = true;
        rc = l->next(l->seq, l->in);
        l->busy = false;
        if (rc <= 0) {
            l->over = true;
            l->failure = rc;
            break;
        }
        l->ring[(l->first + l->count++) % l->room] =
            shunt_submit_wait_here(l->pool, l->task, l->in, l->where);
    }
}

/* Memory for a lookahead, and behind it for an element of that task. */
static shunt_lookahead *make(const shunt_task *task)
{
    bool inside = sh_here.run != NULL;
    size_t align = task->in_align_;
    shunt_lookahead *l;

    if (task->in_size_ > PTRDIFF_MAX - sizeof *l - align)
        return NULL;
    l = get(inside, sizeof *l + task->in_size_ + align);
    if (l == NULL)
        return NULL;
    *l = (shunt_lookahead){ .task = task, .inside = inside };
    l->in =
        (void *)(((uintptr_t)(l + 1) + align - 1) & ~(uintptr_t)(align - 1));
    return l;
}

int shunt_lookahead_open_task(shunt_lookahead **l_out, shunt_pool *name,
                              const shunt_task *task, shunt_next_fn_ *next,
                              void *seq, size_t ahead, const char *where)
{
    struct sh_pool *pool;
    shunt_lookahead *l;
    int rc = sh_pool_find(name, &pool);

    if (rc != 0)
        return rc;
    if (l_out == NULL || task == NULL || next == NULL || ahead == 0 ||
        (task->shape_ & SHUNT_SHAPE_STEP_) != 0)
        return SHUNT_EINVAL;
    rc = sh_task_check(pool, task);
    if (rc != 0)
        return rc;
    l = make(task);
    if (l == NULL)
        return SHUNT_ENOMEM;
    l->pool = pool->name;
    l->where = where;
    l->next = next;
    l->seq = seq;
    l->ahead = ahead;
    if (!grow(l)) {
        put(l->inside, l);
        return SHUNT_ENOMEM;
    }
    look_ahead(l);
    *l_out = l;
    return 0;
}

size_t shunt_lookahead_size(const shunt_lookahead *l)
{
    return l == NULL ? 0 : l->count + (l->failure != 0);
}

/* Whether a value of l's task can be put there. What one that is flattened
 * has, is not known before. */
static bool has_place(const shunt_lookahead *l, const void *out, size_t size)
{
    const shunt_task *t = l->task;

    if ((t->shape_ & SHUNT_SHAPE_OUT_FUTURE_) != 0)
        return true;
    return out == NULL ? (t->shape_ & SHUNT_SHAPE_OUT_NONE_) != 0
                       : size == 0 || size == t->out_size_;
}

int shunt_lookahead_take_sized(shunt_lookahead *l, void *out, size_t size,
                               int64_t ns)
{
    shunt_future *f;
    int rc;

    if (l == NULL || shunt_lookahead_size(l) == 0 || !has_place(l, out, size))
        return SHUNT_EINVAL;
    if (l->busy)
        return SHUNT_EDEADLK;
    if (l->count == 0) {
        rc = l->failure;
        l->failure = 0;
        return rc;
    }
    f = l->ring[l->first];
    rc = shunt_await_for(f, ns);
    if (shunt_status(f) == SHUNT_PENDING)
        return rc; /* it was this wait that ended */
    l->first = (l->first + 1) % l->room;
    l->count--;
    rc = shunt_take_sized(f, out, size);
    look_ahead(l);
    return rc;
}

int shunt_lookahead_close(shunt_lookahead *l)
{
    if (l == NULL)
        return SHUNT_EINVAL;
    if (l->busy)
        return SHUNT_EDEADLK;
    for (; l->count > 0; l->count--) {
        shunt_future *f = l->ring[l->first];

        l->first = (l->first + 1) % l->room;
        (void)shunt_cancel(f);
        (void)shunt_release(f);
    }
    put(l->inside, l->ring);
    put(l->inside, l);
    return 0;
}
