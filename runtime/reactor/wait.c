/* SPDX-License-Identifier: MIT */
/*
 * reactor/wait.c - waiting until something is ready in a completion queue.
 *
 *     thread   lock | nothing: count me in, read bell | unlock | sleep on bell
 *     task     lock | nothing: into the list, with a promise | unlock | await
 *              its future, which parks the stack
 *     settler  lock | ready; call one: a task out of the list, or a thread of
 *              those not called: bell moves | unlock | wake it
 *
 * Idea. Whoever waits looks, and goes to wait, in one stretch under the lock,
 * so nothing becomes ready in between. Whoever makes something ready calls one
 * of those who wait. One who was called may find nothing, because a taker was
 * faster: he waits again. He may leave something, because he took no more or
 * had run out of time: he calls the next. So while something is ready and
 * somebody waits, somebody is on the way to it.
 *
 * Threads are not told apart: `called` of the `sleeping` ones have a wake-up
 * under way, and the bell moves for each, so that one which has not fallen
 * asleep yet does not. Whoever comes back, for whatever reason, takes up one
 * call. Wake-ups may thus reach another thread than was meant, but there are
 * as many as calls.
 *
 * A task waits for a promise of its own pool, which its settler gives, so that
 * parking, time, cancelling and the end of the pool are those of every wait. A
 * settler may be about to give it when the task has left: the promise is good
 * until then, and the settler is a guest of the pool (task/registry.c).
 *
 * Crash. As queue.c.
 */
#include <limits.h>

#include "base/clock.h"
#include "reactor/queue.h"
#include "sync/futex.h"

/* ---- calling ---- */

static void unlink_waiter(struct sh_queue *q, struct sh_waiter *w)
{
    if (w->prev != NULL)
        w->prev->next = w->next;
    else
        q->first = w->next;
    if (w->next != NULL)
        w->next->prev = w->prev;
    else
        q->last = w->prev;
}

static void link_waiter(struct sh_queue *q, struct sh_waiter *w)
{
    w->next = NULL;
    w->prev = q->last;
    if (q->last != NULL)
        q->last->next = w;
    else
        q->first = w;
    q->last = w;
}

static bool call_task(struct sh_queue *q, struct sh_wake *wake)
{
    struct sh_waiter *w = q->first;

    if (w == NULL)
        return false;
    unlink_waiter(q, w);
    w->called = true;
    q->calls++;
    wake->promise = w->promise;
    wake->pool = w->pool;
    /* The task is there as long as we hold the lock, and so is its pool. */
    if (!sh_is_own(w->pool))
        sh_pool_stay(w->pool);
    return true;
}

static bool call_thread(struct sh_queue *q, struct sh_wake *wake)
{
    if (q->calls_to_threads >= q->sleeping)
        return false;
    q->calls_to_threads++;
    q->calls++;
    sh_add_rlx(&q->bell, 1); /* relaxed: under the lock */
    wake->thread = q;
    return true;
}

void sh_queue_call(struct sh_queue *q, struct sh_wake *wake)
{
    /* Not more than there is for them to take. */
    if (q->calls >= q->ready.count || q->inside == q->calls)
        return;
    q->threads_turn = !q->threads_turn;
    if (q->threads_turn && call_thread(q, wake))
        return;
    if (!call_task(q, wake))
        (void)call_thread(q, wake);
}

void sh_queue_wake(const struct sh_wake *wake)
{
    if (wake->thread != NULL) {
        sh_futex_wake(&wake->thread->bell, 1, false);
        sh_here.woke = true;
    }
    if (wake->promise == NULL)
        return;
    (void)shunt_promise_give_sized(wake->promise, NULL, 0);
    if (!sh_is_own(wake->pool))
        sh_pool_leave(wake->pool);
}

void sh_queue_dismiss(struct sh_queue *q)
{
    struct sh_wake wake = { 0 };

    while (call_task(q, &wake)) {
        sh_queue_unlock(q);
        sh_queue_wake(&wake);
        pthread_mutex_lock(&q->lock);
    }
    if (q->sleeping == 0)
        return;
    q->calls += q->sleeping - q->calls_to_threads;
    q->calls_to_threads = q->sleeping;
    sh_add_rlx(&q->bell, 1); /* relaxed: under the lock */
    sh_queue_unlock(q);
    sh_futex_wake(&q->bell, INT_MAX, false);
    pthread_mutex_lock(&q->lock);
}

/* ---- waiting ---- */

struct wait {
    shunt_queue *name;
    shunt_event *events;
    size_t max;
    int64_t deadline_ns;
};

/* How much time is left. */
static int64_t time_left(const struct wait *wait)
{
    return wait->deadline_ns == INT64_MAX ? INT64_MAX
                                          : wait->deadline_ns - sh_clock_ns();
}

/* Under lock: whether the queue was freed while we waited. */
static bool is_closed(const struct sh_queue *q, const struct wait *wait)
{
    /* relaxed: moves under the lock */
    return sh_load_rlx(&q->name) != (uint64_t)(uintptr_t)wait->name;
}

static int wait_in_thread(struct sh_queue *q, const struct wait *wait)
{
    int n = sh_queue_pull(q, wait->events, wait->max);
    bool closed = false;

    while (n == 0 && !closed && time_left(wait) > 0) {
        uint32_t bell = sh_load_rlx(&q->bell); /* relaxed: under the lock */

        q->sleeping++;
        q->inside++;
        sh_queue_unlock(q);
        (void)sh_futex_wait(&q->bell, bell, wait->deadline_ns, false);
        pthread_mutex_lock(&q->lock);
        q->sleeping--;
        if (q->calls_to_threads > 0) {
            q->calls_to_threads--;
            q->calls--;
        }
        closed = is_closed(q, wait);
        if (!closed)
            n = sh_queue_pull(q, wait->events, wait->max);
        sh_queue_leave(q);
    }
    sh_queue_unlock(q);
    sh_queue_hand_out(wait->events, n);
    return closed ? SHUNT_ECLOSED : n;
}

/* Without lock: park until a settler calls us, or the time is over. How many
 * events there were, or why none; 0 if there just was none. */
static int park(struct sh_queue *q, const struct wait *wait)
{
    struct sh_waiter w = { .pool = sh_here.run->pool->id };
    shunt_future *f;
    bool closed;
    int n = 0, rc = shunt_promise_new(NULL, shunt_none, &w.promise, &f);

    if (rc != 0) /* its pool is closed, and the task has not been asked yet */
        return rc == SHUNT_ECLOSED ? SHUNT_ECANCELED : rc;
    pthread_mutex_lock(&q->lock);
    closed = is_closed(q, wait);
    if (!closed)
        n = sh_queue_pull(q, wait->events, wait->max);
    if (!closed && n == 0) {
        link_waiter(q, &w);
        q->inside++;
        sh_queue_unlock(q);
        rc = shunt_await_for(f, time_left(wait));
        pthread_mutex_lock(&q->lock);
        if (w.called)
            q->calls--;
        else
            unlink_waiter(q, &w);
        closed = is_closed(q, wait);
        if (!closed)
            n = sh_queue_pull(q, wait->events, wait->max);
        sh_queue_leave(q);
    }
    sh_queue_unlock(q);
    if (!w.called)
        (void)shunt_promise_drop(w.promise);
    (void)shunt_release(f);
    if (closed)
        return SHUNT_ECLOSED;
    return n > 0 || rc == SHUNT_PENDING ? n : rc;
}

static int wait_in_task(struct sh_queue *q, const struct wait *wait)
{
    int n = sh_queue_pull(q, wait->events, wait->max);

    sh_queue_unlock(q);
    while (n == 0 && time_left(wait) > 0)
        n = shunt_cancelled() ? SHUNT_ECANCELED : park(q, wait);
    sh_queue_hand_out(wait->events, n);
    return n;
}

int shunt_queue_wait(shunt_queue *name, shunt_event *events, size_t max,
                     int64_t ns)
{
    struct wait wait = { name, events, max,
                         ns == INT64_MAX ? INT64_MAX : sh_clock_after(ns) };
    struct sh_queue *q;
    int rc = sh_queue_lock(name, &q);

    if (rc != 0)
        return rc;
    if (events == NULL || max == 0) {
        sh_queue_unlock(q);
        return SHUNT_EINVAL;
    }
    return sh_here.run != NULL ? wait_in_task(q, &wait)
                               : wait_in_thread(q, &wait);
}
