/* SPDX-License-Identifier: MIT */
/*
 * shunt/future.h - submitting tasks, and handles to what becomes of them.
 *
 *     PENDING --+--> success: 0, and a value
 *               +--> failure: SHUNT_E*, and an error record
 *
 * A future settles exactly once. A shunt_future * is a handle, not memory to
 * look into: it names a record by index and generation. Each handle is given
 * back once, by release, take or join, or by a combinator that takes it. A
 * handle that was given back, or never was one, is SHUNT_EINVAL in every
 * call. Releasing does not cancel.
 *
 * A handle that a task got and still holds when it ends is released then.
 *
 * The last word of a function's name says who owns what afterwards:
 *   new, retain   you own a handle; give it back
 *   take, join    the handle is consumed, whatever is returned
 *   peek, of      you borrow; valid while you hold the handle
 *
 * Unless its comment says otherwise, a function here never blocks, and may be
 * called from any thread and any task; in a forked child it is SHUNT_EFORKED.
 * In a task of a process pool, handles and names of other pools are
 * SHUNT_EINVAL.
 */
#ifndef SHUNT_FUTURE_H
#define SHUNT_FUTURE_H

#include "shunt/pool.h"

SHUNT_BEGIN_

/*
 * Where a task runs, if the pool is not to decide. For one submit: steps, maps,
 * retries and what is submitted in a scope have no .place, and run where their
 * kind does. A value that is none of these is SHUNT_EINVAL.
 *
 * Inline is how Cilk and Rayon's join run at the sync what nobody has stolen
 * by then, and how a wait in .NET runs a task that has not begun.
 */
enum shunt_place {
    SHUNT_PLACE_DEFAULT = 0, /* as the pool decides: docs/auto.md */
    /* Where its kind runs, but no worker is woken for it: the task that waits
     * for it, by shunt_await, shunt_take or shunt_join, runs it there and then,
     * on its own stack, if nobody was faster. If it crashes, so does the task
     * that awaits it; and hold no lock across that call which it takes. For
     * what takes less time than to be handed over, about half a microsecond.
     * Not if one of the two has a deadline, nor at a shunt_await_for: then who
     * awaits parks, and a worker runs it. Outside of tasks, and where its kind
     * runs at the other site than the task that submits it, one is woken as for
     * any other. Nobody awaits it: a worker that is free sees it within some
     * milliseconds. It should not wait itself: a cancel of the task that awaits
     * it is heard when it has ended, and what it forks in a process is not
     * spread. If more than a quarter of the stack is used it is not run so. */
    SHUNT_PLACE_INLINE = 1,
    /* Where its kind runs, as if it were between shunt_blocking_begin and
     * shunt_blocking_end. */
    SHUNT_PLACE_BLOCKING = 2,
    /* On a thread of the host, also what would not be run there by itself, but
     * SHUNT_ENOTSUP: in a process pool, unless it is .host_only; in any pool if
     * it is .untrusted or .thread_unsafe, unless the pool has .allow_unsafe.
     * .exclusive says nothing there, as on threads. */
    SHUNT_PLACE_THREAD = 3,
    /* In a worker process; SHUNT_ENOTSUP in a thread pool, and in any for what
     * is .host_only. */
    SHUNT_PLACE_PROCESS = 4
};

/* Options of one submit. */
typedef struct shunt_submit_options {
    /* So many ns from the call the task must have ended, queueing included;
     * 0: no deadline, negative: it is past (SHUNT_ETIMEDOUT at once). A task
     * that has not started never does. One that runs is given up: its future
     * fails with SHUNT_ETIMEDOUT while its code runs on, as if it had been
     * asked to cancel (in a worker process: that is killed at once); its memory
     * stays until it returns, and another thread runs in its worker's stead
     * meanwhile (.spares of the pool), though not what waits on that worker and
     * must go on there. One that waits itself goes on with SHUNT_ECANCELED.
     * What the task submits, and the steps that it attaches, have its deadline,
     * if they have no earlier one. */
    int64_t deadline_ns SHUNT_DEFAULT_(0);
    /* Runs again after a crash, at most so often, or as often as the trait
     * says if that is more; needs .idempotent. */
    unsigned retries SHUNT_DEFAULT_(0);
    /* Where it runs: enum shunt_place. */
    int place SHUNT_DEFAULT_(0);
} shunt_submit_options;

/*
 * The function under the macros, for tables of tasks and other languages.
 * in points to an In of the task and is copied; it may be NULL if In is
 * shunt_none. options may be NULL. where is a string, or NULL. task and where
 * are to stay as long as the pool, as what the macros make does: a dump may
 * look at them at any moment.
 *
 * Never NULL. When the task cannot be accepted the result is a future that
 * has failed, so that chains need no checks; nothing is allocated then:
 *
 * Errors:  SHUNT_ENOMEM; SHUNT_EAGAIN (over .queue_max); SHUNT_ECLOSED;
 *          SHUNT_ETIMEDOUT (the deadline is past); SHUNT_EFORKED; SHUNT_EINVAL
 *          (no pool, no task, a step, no in, retries without .idempotent);
 *          SHUNT_ENOTSUP (.untrusted or .thread_unsafe on threads; a .place
 *          that the pool does not have for it: enum shunt_place, of which any
 *          other value is SHUNT_EINVAL); SHUNT_EBROKEN.
 * Order:   what the caller wrote before is visible to the task, and what the
 *          task wrote to whoever saw its future settled.
 */
SHUNT_API shunt_future *shunt_submit_sized(shunt_pool *pool,
                                           const shunt_task *task,
                                           const void *in, const char *where,
                                           size_t options_size,
                                           const shunt_submit_options *options);
SHUNT_API shunt_future *shunt_submit_here(shunt_pool *pool,
                                          const shunt_task *task,
                                          const void *in, const char *where);
/* As shunt_submit_here, but waits for room instead of SHUNT_EAGAIN.
 * Blocks: sleeps the thread while the queue is full; never inside a task of
 * this pool, whose submits are exempt from the limit. */
SHUNT_API shunt_future *shunt_submit_wait_here(shunt_pool *pool,
                                               const shunt_task *task,
                                               const void *in,
                                               const char *where);
#define shunt_submit_task(pool, task, in, ...)                 \
    shunt_submit_sized(pool, task, in, SHUNT_HERE_,            \
                       sizeof(shunt_submit_options), __VA_ARGS__)

/*
 * shunt_submit(pool, fn, in): run fn of SHUNT_TASK(fn, ...) on *in. In C, in
 * is a pointer to In, of any lifetime; in C++ a value or a pointer.
 *
 *     shunt_future *f = shunt_submit(pool, get_title, &(struct request){ u });
 *
 * shunt_submit_with(pool, fn, in, designators...): with options. An in with a
 * comma outside of parentheses needs a pair: (&(struct pair){ 1, 2 }).
 * shunt_submit_wait(pool, fn, in): sleeps for room in the queue.
 */
#define shunt_submit(pool, fn, ...)              \
    shunt_submit_here(pool, &shunt_task_##fn,    \
                      SHUNT_IN_(fn, __VA_ARGS__), SHUNT_HERE_)
#define shunt_submit_wait(pool, fn, ...)              \
    shunt_submit_wait_here(pool, &shunt_task_##fn,    \
                           SHUNT_IN_(fn, __VA_ARGS__), SHUNT_HERE_)
#define shunt_submit_with(pool, fn, ...)                            \
    shunt_submit_sized(pool, &shunt_task_##fn,                      \
                       SHUNT_IN_(fn, SHUNT_FIRST_(__VA_ARGS__)),    \
                       SHUNT_HERE_, sizeof(shunt_submit_options),   \
                       SHUNT_TEMPORARY_(shunt_submit_options,       \
                                        SHUNT_REST_(__VA_ARGS__)))

/*
 * The final status: 0 or SHUNT_E*. Does not consume f.
 *
 * Blocks:  outside the pool, sleeps the thread; inside a task, parks the
 *          task's stack, and its worker runs other tasks meanwhile: hold no
 *          mutex and trust no thread-local across it.
 * Errors:  besides the status: SHUNT_EINVAL; SHUNT_EDEADLK for the future of
 *          the running task; SHUNT_ECANCELED if the running task was asked
 *          to cancel and f is pending; SHUNT_ENOMEM if there is no memory for
 *          another stack; then f may be awaited again. SHUNT_ECLOSED if f is
 *          of another pool, which was freed before the task went on.
 */
SHUNT_MUST_USE SHUNT_API int shunt_await(shunt_future *f);

/* As shunt_await, but at most ns nanoseconds (negative counts as 0):
 * SHUNT_PENDING if this wait ran out, which changes nothing about f. */
SHUNT_MUST_USE SHUNT_API int shunt_await_for(shunt_future *f, int64_t ns);

/*
 * const T *shunt_peek(f, T): the value, lent while f is held. NULL while f is
 * pending, if it failed, or if the size or alignment of T is not that of the
 * value. In a library built with -Dchecks=true also if the type has another
 * name, but for "struct" and spaces.
 */
SHUNT_API const void *shunt_peek_typed(shunt_future *f, size_t size,
                                       size_t align, const char *type);
#define shunt_peek(f, T)                                              \
    ((__typeof__(T) const *)shunt_peek_typed(f, sizeof(T),            \
                                             SHUNT_ALIGNOF_(T), #T))

/*
 * int shunt_take(f, T *out): await, move the value to *out, release f.
 * Always consumes f, also when it fails; out is then unwritten. Memory that
 * the task made with shunt_alloc moves along if f was the last handle: to the
 * taking task's future, or to the caller, who frees it with shunt_free.
 *
 * Blocks:  as shunt_await.
 * Errors:  the status of f; SHUNT_EINVAL if the size of *out is not that of
 *          the value, or the value is a shunt_results or shunt_winner, which
 *          are only lent.
 */
SHUNT_API int shunt_take_sized(shunt_future *f, void *out, size_t size);
#ifndef __cplusplus
#define shunt_take(f, out) shunt_take_sized(f, out, SHUNT_POINTEE_(out))
#endif

/* Await, release, and return the status. Always consumes f. Blocks and
 * errors: as shunt_await. */
SHUNT_API int shunt_join(shunt_future *f);

/* A new handle to the same future, to be given back on its own; NULL if f is
 * not valid or there is no memory. */
SHUNT_MUST_USE SHUNT_API shunt_future *shunt_retain(shunt_future *f);

/* Give a handle back. The value lives until the last one is. SHUNT_EINVAL if
 * f is not a handle that the caller could give back. */
SHUNT_API int shunt_release(shunt_future *f);

/* SHUNT_PENDING, 0, or SHUNT_E*. */
SHUNT_API int shunt_status(shunt_future *f);

/* Why f failed; code 0 if it has not (yet); never NULL. Lent while f is
 * held. For a handle that is not valid: a record with SHUNT_EINVAL. If a process
 * crashed, the first call looks up the names for its backtrace, in files, which
 * may block for some time, half a second at most. */
SHUNT_API const shunt_error *shunt_error_of(shunt_future *f);

/* Why the last take, join, shunt_init or shunt_pool_new of this task (or,
 * outside, of this thread) failed; code 0 if none has. Lent until the next of
 * these fails here, or the task or thread ends. May block as shunt_error_of. */
SHUNT_API const shunt_error *shunt_last_error(void);

/*
 * Ask that f be given up, whoever else holds it. What is queued never starts;
 * a running task sees shunt_cancelled(), and its waits return
 * SHUNT_ECANCELED; if it then returns a future that is pending, it fails as a
 * step that waits does. A promise is told, or, if nobody listens, fails. A step
 * that waits, a combinator and a retry fail at once and let go of their inputs
 * (its attempt), which are asked in turn if nobody else wants them; a
 * shunt_finally stays, and its input is asked instead.
 *
 * Returns 1 if that may help, 0 if f has settled, negative if not valid.
 */
SHUNT_API int shunt_cancel(shunt_future *f);

/* Inside a task: whether it was asked to cancel, or given up at its deadline.
 * A task that returns SHUNT_ECANCELED after that settles as cancelled. False
 * outside. */
SHUNT_API bool shunt_cancelled(void);

/*
 * Inside a task: a future that succeeds, as a shunt_none, when the task is
 * asked to cancel or given up, and fails with SHUNT_ECANCELED when it ends
 * without that. For what must be told: shunt_then(shunt_cancel_future(),
 * abort_it); or to be raced with something else. A task that waits for its own
 * after shunt_commit waits until a SHUNT_KILL gives it up: nobody can cancel it
 * any more. Each call gives another handle to the same future. Errors, as a
 * future that has failed: SHUNT_EINVAL outside a task, SHUNT_EFORKED in the
 * child of one, SHUNT_ENOMEM.
 */
SHUNT_API shunt_future *shunt_cancel_future(void);

/*
 * Inside a task: from now on nobody can cancel it, nor does its deadline end
 * it, or what it submits from now on: for what must be done whole once it is
 * begun. shunt_cancel of its future returns 0 then. Only SHUNT_KILL is
 * stronger.
 *
 * Errors: SHUNT_ECANCELED if it was asked to cancel, or given up, before: do
 *         not begin. SHUNT_EINVAL outside a task, SHUNT_EFORKED in the child of
 *         one.
 */
SHUNT_MUST_USE SHUNT_API int shunt_commit(void);

/* Inside a task: how many ns are left until its deadline, 0 if it is past.
 * SHUNT_FOREVER if there is none, after shunt_commit, and outside. */
SHUNT_API int64_t shunt_time_left_ns(void);

/*
 * Inside a task: attach a text to the failure that the task is about to
 * return, and return code: return shunt_fail(7, "no <h1> in %s", url);
 * Outside a task it only returns code. fmt may be NULL.
 */
SHUNT_API int shunt_fail(int code, const char *fmt, ...) SHUNT_PRINTF_(2, 3);

/*
 * Inside a task: fail as f has failed, record and origin included, when the
 * task returns what this returns: the status of f. f is not consumed. 0 if f
 * succeeded; SHUNT_PENDING or SHUNT_EINVAL attach nothing. A shunt_fail with a
 * text that follows takes its place. Outside a task it only returns the
 * status; without memory the task fails with that code and its own record.
 */
SHUNT_API int shunt_fail_as(shunt_future *f);

/*
 * int shunt_promise_new(pool, T, shunt_promise **, shunt_future **): both
 * ends of a future that somebody gives a T instead of a task returning it.
 * The caller owns both. A promise belongs to its maker: if the making task
 * ends, or the pool shuts down, before it is kept, its future fails with
 * SHUNT_ECANCELED.
 *
 * Errors: SHUNT_EINVAL, SHUNT_ENOMEM, SHUNT_ECLOSED, SHUNT_EFORKED; the out
 *         pointers are then unwritten.
 */
SHUNT_API int shunt_promise_new_typed(shunt_pool *pool, size_t size,
                                      size_t align, const char *type,
                                      const char *where,
                                      shunt_promise **promise_out,
                                      shunt_future **future_out);
#define shunt_promise_new(pool, T, promise_out, future_out)              \
    shunt_promise_new_typed(pool, sizeof(T), SHUNT_ALIGNOF_(T), #T,      \
                            SHUNT_HERE_, promise_out, future_out)

/*
 * int shunt_promise_give(p, const T *value): copy *value in and settle the
 * future. Consumes p. value may be NULL for a promise of shunt_none.
 *
 * Errors: SHUNT_EINVAL if p was consumed before, or the size is not that of
 *         the promise (p is then still good); SHUNT_ECANCELED if the future
 *         was cancelled before.
 */
SHUNT_API int shunt_promise_give_sized(shunt_promise *p, const void *value,
                                       size_t size);
#ifndef __cplusplus
#define shunt_promise_give(p, ...) \
    shunt_promise_give_sized(p, __VA_ARGS__, SHUNT_POINTEE_((__VA_ARGS__)))
#endif

/* Settle the future as failed and consume p. A code of shunt's is the status
 * itself; any other non-zero one is the task_code of SHUNT_EFAILED. fmt may
 * be NULL. Errors: as shunt_promise_give; SHUNT_EINVAL for code 0, +1. */
SHUNT_API int shunt_promise_fail(shunt_promise *p, int code, const char *fmt,
                                 ...) SHUNT_PRINTF_(3, 4);

/* Consume p without keeping it: its future fails with SHUNT_ECANCELED.
 * Errors: SHUNT_EINVAL if p was consumed before. */
SHUNT_API int shunt_promise_drop(shunt_promise *p);

/*
 * Have fn(user) called, at most once, when the future is asked to cancel. The
 * future then stays pending until p is given, failed or dropped. fn runs
 * outside of any task, and must not wait; on the asking thread, or, if another
 * process asks, in the one that called this function: on a thread of the host,
 * soon, or in a worker process as soon as the task that it runs waits or ends.
 * If that process dies before, it is not called. One call for each promise.
 *
 * Errors: SHUNT_EINVAL (p was consumed, fn is NULL, there is one already),
 *         SHUNT_ENOMEM; SHUNT_ECANCELED if the future has been cancelled
 *         already: fn is not called then, and p is still to be dropped.
 */
SHUNT_API int shunt_promise_on_cancel(shunt_promise *p, void (*fn)(void *user),
                                      void *user);

SHUNT_END_

#ifdef __cplusplus
extern "C++" {
namespace shunt_cxx_
{
template <class In> const In *in(const In &value)
{
    return &value;
}
/* For a number a literal 0 is its value, and not a null pointer. */
template <class In> struct is_number {
    static constexpr bool value =
        std::is_arithmetic<In>::value || std::is_enum<In>::value;
};
template <class In,
          typename std::enable_if<!is_number<In>::value, int>::type = 0>
const In *in(const In *pointer)
{
    return pointer;
}
template <class In, class T,
          typename std::enable_if<is_number<In>::value, int>::type = 0>
const In *in(T *pointer)
{
    return pointer;
}
template <class T> const T *address(const T &value)
{
    return &value;
}
} /* namespace shunt_cxx_ */
#define SHUNT_IN_(fn, ...) (::shunt_cxx_::in<shunt_in_##fn>(__VA_ARGS__))
#define SHUNT_CTX_(fn, ...) (::shunt_cxx_::in<shunt_ctx_##fn>(__VA_ARGS__))
#define SHUNT_TEMPORARY_(T, ...) (::shunt_cxx_::address(T{ __VA_ARGS__ }))
template <class T> inline int shunt_take(shunt_future *f, T *out)
{
    return shunt_take_sized(f, out, sizeof(T));
}
inline int shunt_take(shunt_future *f, void *out)
{
    return shunt_take_sized(f, out, 0);
}
template <class T>
inline int shunt_promise_give(shunt_promise *p, const T *value)
{
    return shunt_promise_give_sized(p, value, sizeof(T));
}
inline int shunt_promise_give(shunt_promise *p, const void *value)
{
    return shunt_promise_give_sized(p, value, 0);
}
} /* extern "C++" */
#else
/* The conditional lets a compound literal or NULL through and warns about a
 * pointer to anything else. */
#define SHUNT_IN_(fn, ...) (1 ? (__VA_ARGS__) : (const shunt_in_##fn *)0)
#define SHUNT_CTX_(fn, ...) (1 ? (__VA_ARGS__) : (const shunt_ctx_##fn *)0)
#define SHUNT_TEMPORARY_(T, ...) (&(T){ __VA_ARGS__ })
#endif

#endif /* SHUNT_FUTURE_H */
