/* SPDX-License-Identifier: MIT */
/*
 * shunt/lookahead.h - a map over a sequence that is made on demand, a bounded
 * number of elements ahead of whoever takes the results.
 *
 *     next --> [ in flight: at most `ahead`, oldest first ] --> take
 *
 * shunt_map takes all its elements at once. A sequence that is long, without
 * end, or costly to make is looked ahead into instead: each result that is
 * taken makes room for one element more, which is made and submitted then.
 * Results come in the order of the sequence, a failure in its place.
 *
 *     struct range { long at, end; };
 *     static int next_number(struct range *r, long *in)
 *     {
 *         *in = r->at;
 *         return r->at++ < r->end;
 *     }
 *     SHUNT_SEQUENCE(next_number, struct range, long)
 *
 *     struct range range = { 0, 1000000 };
 *     shunt_lookahead *l;
 *     int rc = shunt_lookahead_open(&l, pool, work_on, next_number, &range, 8);
 *     while (rc == 0 && shunt_lookahead_size(l) > 0) {
 *         long value;
 *         rc = shunt_lookahead_take(l, &value);
 *     }
 *     shunt_lookahead_close(l);
 *
 * A lookahead is memory of one owner: no two threads call it at a time, and
 * after close it is gone. Opened in a task it is that task's, and ends with it
 * if it was not closed. It may outlive its pool; then its elements fail.
 */
#ifndef SHUNT_LOOKAHEAD_H
#define SHUNT_LOOKAHEAD_H

#include "shunt/future.h"

SHUNT_BEGIN_

typedef struct shunt_lookahead shunt_lookahead;

/*
 * SHUNT_SEQUENCE(next, Seq, In) describes int next(Seq *seq, In *in), which
 * makes a sequence: it returns 1 if *in is the next element, 0 if there is no
 * more. A negative code is a failure in the place of an element, and the last.
 * It is called on the thread, or in the task, that opens or takes, without any
 * lock; it may wait, but not use the lookahead that calls it.
 */
#define SHUNT_SEQUENCE(next, Seq, In)                                  \
    typedef __typeof__(Seq) shunt_seq_##next SHUNT_UNUSED_;            \
    typedef __typeof__(In) shunt_made_##next SHUNT_UNUSED_;            \
    SHUNT_UNUSED_ static int shunt_next_##next(void *seq, void *in)    \
    {                                                                  \
        return next((shunt_seq_##next *)seq, (shunt_made_##next *)in); \
    }

typedef int shunt_next_fn_(void *seq, void *in);

/*
 * int shunt_lookahead_open(shunt_lookahead **l_out, pool, fn, next, Seq *seq,
 * size_t ahead): begin to run fn of SHUNT_TASK(fn, In, Out) in pool on what
 * next of SHUNT_SEQUENCE(next, Seq, In) makes of *seq, which must stay until
 * close. The first `ahead` elements, if there are so many, are made and
 * submitted by this call.
 *
 * Blocks:  if the pool's queue is full, sleeps the thread for room, as
 *          shunt_submit_wait does; in next.
 * Errors:  SHUNT_EINVAL (ahead 0, l_out NULL, pool, fn), SHUNT_ENOTSUP (fn),
 *          SHUNT_EFORKED, SHUNT_ENOMEM; *l_out is then unwritten, and next was
 *          not called.
 */
SHUNT_MUST_USE SHUNT_API int shunt_lookahead_open_task(
    shunt_lookahead **l_out, shunt_pool *pool, const shunt_task *task,
    shunt_next_fn_ *next, void *seq, size_t ahead, const char *where);
#define shunt_lookahead_open(l_out, pool, fn, next, seq, ahead)            \
    shunt_lookahead_open_task((SHUNT_SAME_MADE_(fn, next), (l_out)), pool, \
                              &shunt_task_##fn, shunt_next_##next,         \
                              SHUNT_SEQ_(next, seq), ahead, SHUNT_HERE_)

/* Warns if what next makes is not what fn takes. */
#define SHUNT_SAME_MADE_(fn, next) \
    ((void)sizeof(1 ? (const shunt_in_##fn *)0 : (const shunt_made_##next *)0))
#ifdef __cplusplus
#define SHUNT_SEQ_(next, seq) (static_cast<shunt_seq_##next *>(seq))
#else
#define SHUNT_SEQ_(next, seq) (1 ? (seq) : (shunt_seq_##next *)0)
#endif

/* How many results there still are to take, of those in flight: 0 when the
 * sequence is over and all were taken, and for NULL. */
SHUNT_API size_t shunt_lookahead_size(const shunt_lookahead *l);

/*
 * int shunt_lookahead_take(l, Out *out): wait for the oldest element and move
 * its value out, as shunt_take does. Then the next one is made and submitted.
 * Returns the element's status; out is unwritten unless that is 0. Elements
 * behind one that has failed can be taken as ever.
 *
 * int shunt_lookahead_take_for(l, Out *out, int64_t ns): waits at most ns
 * nanoseconds (0 or less: not at all): SHUNT_PENDING if that ran out, and
 * nothing was taken.
 *
 * Blocks:  as shunt_await, and as shunt_lookahead_open.
 * Errors:  the status of the element. SHUNT_EINVAL if nothing is left, l is
 *          NULL, or the size of *out is not that of the value; SHUNT_EDEADLK
 *          within next. As with shunt_await SHUNT_ECANCELED and SHUNT_ENOMEM
 *          if the wait failed. In none of these was anything taken. A loop that
 *          goes on after failures must not after those: it would not end in a
 *          task that was asked to cancel (shunt_cancelled), if the element has
 *          to run on its worker.
 */
SHUNT_API int shunt_lookahead_take_sized(shunt_lookahead *l, void *out,
                                         size_t size, int64_t ns);
#ifndef __cplusplus
#define shunt_lookahead_take_for(l, out, ns) \
    shunt_lookahead_take_sized(l, out, SHUNT_POINTEE_(out), ns)
#define shunt_lookahead_take(l, out) \
    shunt_lookahead_take_for(l, out, SHUNT_FOREVER)
#endif

/* End it. What was not taken is let go: asked to cancel, so that it never
 * starts if it has not, and released. Does not wait for what runs. Takes l,
 * unless it fails. Errors: SHUNT_EINVAL (NULL), SHUNT_EDEADLK within next. */
SHUNT_API int shunt_lookahead_close(shunt_lookahead *l);

SHUNT_END_

#ifdef __cplusplus
extern "C++" {
template <class T>
inline int shunt_lookahead_take_for(shunt_lookahead *l, T *out, int64_t ns)
{
    return shunt_lookahead_take_sized(l, out, sizeof(T), ns);
}
template <class T> inline int shunt_lookahead_take(shunt_lookahead *l, T *out)
{
    return shunt_lookahead_take_sized(l, out, sizeof(T), SHUNT_FOREVER);
}
} /* extern "C++" */
#endif

#endif /* SHUNT_LOOKAHEAD_H */
