/* SPDX-License-Identifier: MIT */
/*
 * shunt/compose.h - futures made of futures.
 *
 * Every function here consumes the handles that it is given, also when it fails
 * (but not those of an array that is NULL, or longer than any can be), and
 * returns a new one, never NULL. Errors, as a future that has failed:
 *
 *   SHUNT_ENOMEM     no memory; also for more than 8,388,607 inputs or elements
 *   SHUNT_EINVAL     a bad argument
 *   SHUNT_ECLOSED    something would have to run in a pool that has ended
 *   SHUNT_ENOTSUP    a fn that the pool does not run, see shunt_traits
 *   SHUNT_ETIMEDOUT  the calling task was given up
 *   SHUNT_EFORKED    in a forked child
 *
 * None blocks; all may be called from any thread and any task.
 *
 * A continuation runs in the pool of its input, a combinator belongs to the
 * pool of its first input. Continuations are tasks: they never run under a
 * lock, nor on a stack that grows with the length of a chain.
 *
 * Worker processes see no pool but their own. So what comes into a process pool
 * from another one, by shunt_via or as an input of a combinator, is a copy: of
 * the bytes of a value, not of what they point to, or of a failure, without its
 * causes. The copy is looked at, or not, for itself: it is the process pool's
 * .unobserved that is told. shunt_results and shunt_winner do not come across:
 * SHUNT_EINVAL. In a task of a process pool all handles of other pools are
 * SHUNT_EINVAL.
 *
 * A failure passes through then unchanged: its error names the task that
 * failed first. What a combinator no longer needs (the siblings of a failure,
 * the losers of a race) it lets go of at once, and asks to cancel if no other
 * handle and no other dependant is left: retain an input to keep it running.
 *
 * The combinators are those of ECMAScript's promises and of folly::collect.
 * Time is kept by a hierarchical timing wheel (Varghese & Lauck 1987); pauses
 * are drawn with full jitter (Brooker, AWS Architecture Blog, 2015).
 */
#ifndef SHUNT_COMPOSE_H
#define SHUNT_COMPOSE_H

#include "shunt/future.h"

SHUNT_BEGIN_

/*
 * The value of when_all, when_all_settled, when_some and map. Peek it while
 * the combinator's future is held; the futures are lent: look into them, wait
 * for them or retain them, but do not release them.
 */
typedef struct shunt_results {
    size_t count;
    shunt_future *const *futures;
    const size_t *indices; /* of when_some, ascending; else NULL */
} shunt_results;

/* The value of when_any and race; future is lent as above. */
typedef struct shunt_winner {
    size_t index;
    shunt_future *future;
} shunt_winner;

/*
 * shunt_then(f, fn): when f succeeds, run fn of SHUNT_TASK(fn, In, Out) with
 * f's value as its in. If f fails, fn never runs and the failure is that of
 * the result. A fn whose Out is shunt_future * is flattened: the result is
 * what the returned future becomes.
 *
 * shunt_then_with(f, step, &ctx): the same with a SHUNT_STEP and a context,
 * which is copied.
 *
 *     f = shunt_then(shunt_submit(pool, fetch, &url), parse);
 *
 * The size and alignment of f's value must be those of In; if not, the result
 * fails with SHUNT_EINVAL.
 */
SHUNT_API shunt_future *shunt_then_task(shunt_future *f,
                                        const shunt_task *task,
                                        const void *ctx, const char *where);
#define shunt_then(f, fn) \
    shunt_then_task(f, &shunt_task_##fn, NULL, SHUNT_HERE_)
#define shunt_then_with(f, fn, ...)       \
    shunt_then_task(f, &shunt_task_##fn,  \
                    SHUNT_CTX_(fn, __VA_ARGS__), SHUNT_HERE_)

/*
 * shunt_recover(f, fn): when f fails, but for cancellation, run fn of
 * SHUNT_TASK(fn, shunt_error, Out), whose Out is that of f: its result
 * replaces the failure. A success or a cancellation passes through. (Of a
 * future that fn returns, the type is seen by whoever continues or takes it.)
 * shunt_recover_with(f, step, &ctx): SHUNT_STEP(step, shunt_error, Ctx, Out).
 */
SHUNT_API shunt_future *shunt_recover_task(shunt_future *f,
                                           const shunt_task *task,
                                           const void *ctx, const char *where);
#define shunt_recover(f, fn)                       \
    shunt_recover_task((SHUNT_SAME_IN_(fn, shunt_error), (f)), \
                       &shunt_task_##fn, NULL, SHUNT_HERE_)
#define shunt_recover_with(f, fn, ...)             \
    shunt_recover_task((SHUNT_SAME_IN_(fn, shunt_error), (f)), \
                       &shunt_task_##fn,                       \
                       SHUNT_CTX_(fn, __VA_ARGS__), SHUNT_HERE_)

/*
 * shunt_finally(f, fn): when f has settled, however, run fn of
 * SHUNT_TASK(fn, shunt_outcome, shunt_none) and pass f's outcome through.
 * If fn fails, its failure replaces a success, and joins the causes of a
 * failure. shunt_finally_with(f, step, &ctx): likewise with a context.
 * It runs also when it is itself given up (cancelled, or the loser of a race):
 * the request goes on to f, and fn runs when f has settled. Not when f was
 * refused without a pool, nor after SHUNT_KILL or a pool's end.
 */
SHUNT_API shunt_future *shunt_finally_task(shunt_future *f,
                                           const shunt_task *task,
                                           const void *ctx, const char *where);
#define shunt_finally(f, fn)                         \
    shunt_finally_task((SHUNT_SAME_IN_(fn, shunt_outcome), (f)), \
                       &shunt_task_##fn, NULL, SHUNT_HERE_)
#define shunt_finally_with(f, fn, ...)               \
    shunt_finally_task((SHUNT_SAME_IN_(fn, shunt_outcome), (f)), \
                       &shunt_task_##fn,                         \
                       SHUNT_CTX_(fn, __VA_ARGS__), SHUNT_HERE_)

/* Warns if the input of fn is not a T. */
#define SHUNT_SAME_IN_(fn, T) \
    ((void)sizeof(1 ? (const shunt_in_##fn *)0 : (const T *)0))

/*
 * All n must succeed: shunt_results, in the order of fs. The first failure is
 * the result's at once. fs itself is only read during the call. The same
 * future may be given twice, by two handles. n == 0 succeeds at once.
 */
SHUNT_API shunt_future *shunt_when_all(shunt_future *const *fs, size_t n);

/* All n have settled, well or badly: shunt_results. Never fails, but for bad
 * arguments, memory, or being cancelled itself. */
SHUNT_API shunt_future *shunt_when_all_settled(shunt_future *const *fs,
                                               size_t n);

/* The first success: shunt_winner. If all fail, it fails with the error of
 * the lowest index and every error in .causes. n == 0: SHUNT_EINVAL. */
SHUNT_API shunt_future *shunt_when_any(shunt_future *const *fs, size_t n);

/* The first to settle: shunt_winner if it succeeded, else its failure.
 * n == 0: SHUNT_EINVAL. */
SHUNT_API shunt_future *shunt_race(shunt_future *const *fs, size_t n);

/* k successes: shunt_results of k futures, with their indices. Fails with
 * the causes so far as soon as k can no longer be reached. n == 0, k == 0 or
 * k > n: SHUNT_EINVAL. */
SHUNT_API shunt_future *shunt_when_some(shunt_future *const *fs, size_t n,
                                        size_t k);

/*
 * shunt_map(pool, fn, ins, n): fn on each of the n values at ins, which are
 * copied, as one future of shunt_results in that order; it fails with the
 * first failure. shunt_map_settled: never fails. The elements are dealt out
 * in chunks whose size follows the measured cost of fn, and do not count for
 * .queue_max. n == 0 succeeds. Errors also: SHUNT_EBROKEN, the pool's .init
 * failed.
 */
SHUNT_API shunt_future *shunt_map_task(shunt_pool *pool,
                                       const shunt_task *task, const void *ins,
                                       size_t n, bool settled,
                                       const char *where);
#ifdef __cplusplus
#define SHUNT_INS_(fn, ins) (static_cast<const shunt_in_##fn *>(ins))
#else
#define SHUNT_INS_(fn, ins) (1 ? (ins) : (const shunt_in_##fn *)0)
#endif
#define shunt_map(pool, fn, ins, n) \
    shunt_map_task(pool, &shunt_task_##fn, SHUNT_INS_(fn, ins), n, false, \
                   SHUNT_HERE_)
#define shunt_map_settled(pool, fn, ins, n) \
    shunt_map_task(pool, &shunt_task_##fn, SHUNT_INS_(fn, ins), n, true, \
                   SHUNT_HERE_)

/*
 * shunt_delay(pool, ns): a future that succeeds, as a shunt_none, ns from now;
 * at once if ns is 0 or less, never if it is SHUNT_FOREVER. It is never early,
 * and a fraction of a millisecond late at most on a machine that is not busy.
 * A pool that drains waits for it; but for one without end, which it cancels.
 * Releasing its last handle cancels it, if nothing depends on it: nothing would
 * come of it. SHUNT_ENOMEM also if there is no thread to keep the time.
 */
SHUNT_API shunt_future *shunt_delay_here(shunt_pool *pool, int64_t ns,
                                         const char *where);
#define shunt_delay(pool, ns) shunt_delay_here(pool, ns, SHUNT_HERE_)

/*
 * shunt_timeout(f, ns): what f becomes, if it settles within ns; else a failure
 * with SHUNT_ETIMEDOUT whose error names the task of f, and f is asked to
 * cancel if nobody else wants it. The time runs from the call; 0 or less asks
 * whether f has settled, SHUNT_FOREVER waits as long as it takes. SHUNT_ENOMEM
 * also if there is no thread to keep the time.
 */
SHUNT_API shunt_future *shunt_timeout_here(shunt_future *f, int64_t ns,
                                           const char *where);
#define shunt_timeout(f, ns) shunt_timeout_here(f, ns, SHUNT_HERE_)

/* Options of one retry, in this order (C++ insists on it). */
typedef struct shunt_retry_options {
    /* How many attempts at the most; 0: 3. With 1 nothing is tried again. */
    unsigned attempts SHUNT_DEFAULT_(0);
    /* The longest pause before the second attempt, which doubles with each
     * further one up to cap_ns. The pause that is made is drawn at random
     * between 0 and that ("full jitter"), so that those who failed together do
     * not come back together. 0: 10 ms, and a cap of 10 s; first_ns negative:
     * no pause. */
    int64_t first_ns SHUNT_DEFAULT_(0);
    int64_t cap_ns SHUNT_DEFAULT_(0);
    /* The deadline of each attempt, from when it is submitted; 0: none. One
     * that runs past it is given up, as by .deadline_ns of a submit: the next
     * one may then run beside it. */
    int64_t attempt_ns SHUNT_DEFAULT_(0);
    /* Whether to try again after this failure, whose .attempts says how many
     * attempts were made. Runs on a worker, outside of any task, and must not
     * wait. NULL: yes, but for SHUNT_ECANCELED, SHUNT_EINVAL, SHUNT_ENOTSUP,
     * SHUNT_ECLOSED, SHUNT_EFORKED, SHUNT_EDEADLK and SHUNT_EBROKEN. Not asked
     * after the last attempt. */
    bool (*again)(const shunt_error *error) SHUNT_DEFAULT_(nullptr);
} shunt_retry_options;

/*
 * shunt_retry(pool, fn, in, designators...): run fn of SHUNT_TASK(fn, ...) on
 * *in, and if it fails once more, and so on: a future of fn's Out, which
 * succeeds with the first attempt that does. *in is copied once, as by
 * shunt_submit, and all attempts read that copy; .drop is called with it once,
 * when no attempt's code runs any more and none will.
 *
 *     f = shunt_retry(pool, fetch, &url, .attempts = 5,
 *                     .first_ns = SHUNT_MS(50), .attempt_ns = SHUNT_S(2));
 *
 * If all fail, so does the future, as the last attempt did. Its error says in
 * .attempts how many were made, and in .causes why each of them failed, oldest
 * first: the last 8, without causes of their own. (Of a single attempt it is
 * that one's error.)
 *
 * When it is cancelled, or loses a race, it fails at once; the attempt that is
 * under way is asked to cancel, and no other starts. The deadline of the task
 * that calls it bounds it as a whole: SHUNT_ETIMEDOUT then, also during a
 * pause. A pool that drains waits for it.
 *
 * An attempt that is refused (SHUNT_EAGAIN, SHUNT_ENOMEM) counts as one that
 * failed. Only the first counts for .queue_max, and only outside the pool. Of
 * one retry 63 attempts at the most are there at a time: those whose code runs
 * on past its deadline, or left tasks at work; one more is SHUNT_EAGAIN.
 *
 * Errors:  as shunt_submit, at once, if there is to be no attempt; cap_ns or
 *          attempt_ns negative is SHUNT_EINVAL. SHUNT_ENOMEM also if there is
 *          no thread to keep the time of pauses.
 */
SHUNT_API shunt_future *shunt_retry_sized(shunt_pool *pool,
                                          const shunt_task *task,
                                          const void *in, const char *where,
                                          size_t options_size,
                                          const shunt_retry_options *options);
#define shunt_retry(pool, fn, ...)                                \
    shunt_retry_sized(pool, &shunt_task_##fn,                     \
                      SHUNT_IN_(fn, SHUNT_FIRST_(__VA_ARGS__)),   \
                      SHUNT_HERE_, sizeof(shunt_retry_options),   \
                      SHUNT_TEMPORARY_(shunt_retry_options,       \
                                       SHUNT_REST_(__VA_ARGS__)))
/* The function under the macro, for tables of tasks; options may be NULL. */
#define shunt_retry_task(pool, task, in, ...)                     \
    shunt_retry_sized(pool, task, in, SHUNT_HERE_,                \
                      sizeof(shunt_retry_options), __VA_ARGS__)

/* The same outcome as f, as a future of pool, whose continuations run there.
 * Also gives a pool to an empty when_all. If pool is a process pool, and f is of
 * another, it is a copy: see above. */
SHUNT_API shunt_future *shunt_via(shunt_pool *pool, shunt_future *f);

SHUNT_END_

#endif /* SHUNT_COMPOSE_H */
