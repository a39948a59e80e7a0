/* SPDX-License-Identifier: MIT */
/*
 * shunt/task.h - describing functions that a pool can run.
 *
 * A task is a plain function from *in to *out. It returns 0 for success and
 * anything else as a failure code of its own:
 *
 *     static int get_title(const struct request *in, struct title *out);
 *     SHUNT_TASK(get_title, struct request, struct title)
 *
 * The macro makes a constant descriptor beside the function, which
 * shunt_submit(pool, get_title, &request) finds by the function's name. The
 * function's type is checked at compile time.
 *
 * Before the call *out is zeroed. *in and *out belong to the task's future.
 */
#ifndef SHUNT_TASK_H
#define SHUNT_TASK_H

#include "shunt/errors.h"

SHUNT_BEGIN_

/* For a task that has no input or no result. */
typedef struct shunt_none {
    char none;
} shunt_none;

typedef struct shunt_pool shunt_pool;
typedef struct shunt_future shunt_future;
typedef struct shunt_promise shunt_promise;

/*
 * What is known of a kind of task; given as designators at the end of
 * SHUNT_TASK, in this order (C++ insists on it).
 */
typedef struct shunt_traits {
    /* Shown in errors and reports; the function's name if NULL. */
    const char *name SHUNT_DEFAULT_(nullptr);
    /* Running it twice does no harm, so it may be run again when its process
     * has died: .retries times if it was at work there; up to three times more
     * often if it was parked, and another task is to blame. What the run that
     * died had submitted is cancelled, and has ended before it begins anew. */
    bool idempotent SHUNT_DEFAULT_(false);
    /* Of an auto pool: may be tried on threads of the host at once, and not
     * only after a thousand runs without a crash. What has crashed may not.
     * Nothing in other pools. */
    bool trusted SHUNT_DEFAULT_(false);
    /* Never runs in the host: SHUNT_ENOTSUP on a thread pool, unless the pool
     * has .allow_unsafe. A process pool runs it as any other: it has the
     * pool's memory to write to. An auto pool runs it in processes, unless a
     * submit places it on a thread and the pool has .allow_unsafe. */
    bool untrusted SHUNT_DEFAULT_(false);
    /* Mostly waits in the kernel: while its code runs, others may run in the
     * stead of its worker, as between shunt_blocking_begin and _end. */
    bool blocking SHUNT_DEFAULT_(false);
    /* Uses a library that bears one thread only: as .untrusted. A worker
     * process has one thread, but other tasks may run in it while this one
     * waits. */
    bool thread_unsafe SHUNT_DEFAULT_(false);
    /* Needs the host's own memory: runs on a thread of the host always, of
     * which a process pool has one for these. Nothing protects the program from
     * its crash there; and its deadline is as on threads: the code runs on. */
    bool host_only SHUNT_DEFAULT_(false);
    /* Wants no other task in its worker process: in a process pool it runs in
     * one beside the workers which runs nothing else meanwhile, not even while
     * it waits, so that whichever dies does not take the other along. What it
     * submits runs in the workers, unless it is exclusive too. There are as many
     * such processes as workers at most, started when they are needed. Only if
     * each of them has one that waits does a further one run beside such a one,
     * which may wait for it. Nothing on threads; in an auto pool it never runs
     * on one. */
    bool exclusive SHUNT_DEFAULT_(false);
    /* How often it is run again after a crash; needs .idempotent. Of a
     * shunt_retry the attempts alone count. */
    unsigned retries SHUNT_DEFAULT_(0);
    /* A step whose result points into the memory of its predecessor: the
     * predecessor is then kept as long as the step's own future. */
    bool inherits SHUNT_DEFAULT_(false);
    /* In a process pool, the time between asking a running task to cancel, by
     * shunt_cancel, and killing its process, and that which a task has whose
     * deadline passed while it waited; 0: 1 s, negative: never kill. Others who
     * ask (combinators, scopes, SHUNT_CANCEL) do not go on to that. What
     * shunt_commit has committed is not killed. */
    int64_t grace_ns SHUNT_DEFAULT_(0);
    /* Called once for every accepted task, with its in (of a step: its
     * context), started or not, when the task no longer runs. A submit that
     * was refused has not taken in; a step takes its context in any case. As
     * a continuation, a task without a context has nothing to drop: its in is
     * the value of another future. It may run on any thread that settles the
     * task, outside of any task, and must not wait; of a process pool, in any
     * of its processes or in the host. */
    void (*drop)(void *in) SHUNT_DEFAULT_(nullptr);
} shunt_traits;

/* The descriptor that SHUNT_TASK makes. Constant; its members are read by the
 * library only. */
typedef struct shunt_task {
    uint32_t size_;
    uint32_t shape_; /* enum shunt_shape_ */
    int (*call_)(const void *in, const void *ctx, void *out);
    const char *fn_;
    const char *in_type_, *ctx_type_, *out_type_;
    size_t in_size_, ctx_size_, out_size_;
    uint32_t in_align_, ctx_align_, out_align_;
    shunt_traits traits_;
} shunt_task;

enum shunt_shape_ {
    SHUNT_SHAPE_STEP_ = 1,      /* takes a context beside its input */
    SHUNT_SHAPE_IN_NONE_ = 2,   /* In (or Ctx of a step) is shunt_none */
    SHUNT_SHAPE_OUT_NONE_ = 4,  /* Out is shunt_none */
    SHUNT_SHAPE_OUT_FUTURE_ = 8 /* Out is shunt_future *: flattened */
};

SHUNT_END_

#ifdef __cplusplus
extern "C++" {
namespace shunt_cxx_
{
template <class A, class B> struct same {
    static constexpr uint32_t value = 0;
};
template <class A> struct same<A, A> {
    static constexpr uint32_t value = 1;
};
} /* namespace shunt_cxx_ */
} /* extern "C++" */
/* Values travel as bytes. */
#define SHUNT_PLAIN_(T)                                    \
    static_assert(std::is_trivially_copyable<T>::value,   \
                  "values of tasks are copied as bytes");
#define SHUNT_IS_(T, U) (::shunt_cxx_::same<T, U>::value)
#else
#define SHUNT_PLAIN_(T)
#define SHUNT_IS_(T, U) _Generic((T *)0, U *: 1u, default: 0u)
#endif

#define SHUNT_SHAPE_(arg, out)                                   \
    ((SHUNT_IS_(arg, shunt_none) ? (uint32_t)SHUNT_SHAPE_IN_NONE_ : 0u) |  \
     (SHUNT_IS_(out, shunt_none) ? (uint32_t)SHUNT_SHAPE_OUT_NONE_ : 0u) | \
     (SHUNT_IS_(out, shunt_future *) ? (uint32_t)SHUNT_SHAPE_OUT_FUTURE_ : 0u))

#define SHUNT_TASK_TYPES_(fn, In, Out)                  \
    typedef __typeof__(In) shunt_in_##fn SHUNT_UNUSED_; \
    typedef __typeof__(Out) shunt_out_##fn SHUNT_UNUSED_;

#define SHUNT_TASK_CALL_(fn)                                                \
    SHUNT_PLAIN_(shunt_in_##fn)                                             \
    SHUNT_PLAIN_(shunt_out_##fn)                                            \
    static int shunt_call_##fn(const void *in, const void *ctx, void *out)  \
    {                                                                       \
        (void)ctx;                                                          \
        return fn((const shunt_in_##fn *)in, (shunt_out_##fn *)out);        \
    }

#define SHUNT_TASK_INIT_(fn, in_name, out_name, ...)                          \
    {                                                                         \
        sizeof(shunt_task),                                                   \
            (uint32_t)SHUNT_SHAPE_(shunt_in_##fn, shunt_out_##fn),            \
            shunt_call_##fn, #fn, in_name, "", out_name,                      \
            sizeof(shunt_in_##fn), 0, sizeof(shunt_out_##fn),                 \
            (uint32_t)SHUNT_ALIGNOF_(shunt_in_##fn), 1,                       \
            (uint32_t)SHUNT_ALIGNOF_(shunt_out_##fn), { __VA_ARGS__ }         \
    }

/*
 * SHUNT_TASK(fn, In, Out, traits...) describes int fn(const In *, Out *) for
 * this source file. In and Out are types, shunt_none and pointers included.
 */
#define SHUNT_TASK(fn, In, ...)                                               \
    SHUNT_TASK_TYPES_(fn, In, SHUNT_FIRST_(__VA_ARGS__))                      \
    SHUNT_TASK_CALL_(fn)                                                      \
    static const shunt_task shunt_task_##fn SHUNT_UNUSED_ = SHUNT_TASK_INIT_( \
        fn, #In, SHUNT_NAME_(SHUNT_FIRST_(__VA_ARGS__)),                      \
        SHUNT_REST_(__VA_ARGS__));
#define SHUNT_NAME_(T) SHUNT_TEXT_(T)

/*
 * SHUNT_STEP(fn, Prev, Ctx, Out, traits...) describes a continuation with a
 * context: int fn(const Prev *, const Ctx *, Out *). The context is copied
 * when the step is attached.
 */
#define SHUNT_STEP(fn, Prev, Ctx, ...)                                       \
    SHUNT_TASK_TYPES_(fn, Prev, SHUNT_FIRST_(__VA_ARGS__))                   \
    typedef __typeof__(Ctx) shunt_ctx_##fn SHUNT_UNUSED_;                    \
    SHUNT_PLAIN_(shunt_ctx_##fn)                                             \
    SHUNT_PLAIN_(shunt_out_##fn)                                             \
    static int shunt_call_##fn(const void *in, const void *ctx, void *out)   \
    {                                                                        \
        return fn((const shunt_in_##fn *)in, (const shunt_ctx_##fn *)ctx,    \
                  (shunt_out_##fn *)out);                                    \
    }                                                                        \
    static const shunt_task shunt_task_##fn SHUNT_UNUSED_ = {                \
        sizeof(shunt_task),                                                  \
        SHUNT_SHAPE_STEP_ |                                                  \
            (uint32_t)SHUNT_SHAPE_(shunt_ctx_##fn, shunt_out_##fn),          \
        shunt_call_##fn,                                                     \
        #fn,                                                                 \
        #Prev,                                                               \
        #Ctx,                                                                \
        SHUNT_NAME_(SHUNT_FIRST_(__VA_ARGS__)),                              \
        sizeof(shunt_in_##fn),                                               \
        sizeof(shunt_ctx_##fn),                                              \
        sizeof(shunt_out_##fn),                                              \
        (uint32_t)SHUNT_ALIGNOF_(shunt_in_##fn),                             \
        (uint32_t)SHUNT_ALIGNOF_(shunt_ctx_##fn),                            \
        (uint32_t)SHUNT_ALIGNOF_(shunt_out_##fn),                            \
        { SHUNT_REST_(__VA_ARGS__) }                                         \
    };

/*
 * One descriptor for a task that several files use: SHUNT_TASK_DECLARE(fn, In,
 * Out) in a header, SHUNT_TASK_DEFINE(fn, traits...) in one source, after the
 * function or its declaration.
 */
#define SHUNT_TASK_DECLARE(fn, In, Out)                                 \
    SHUNT_TASK_TYPES_(fn, In, Out)                                      \
    SHUNT_EXTERN_C_ const shunt_task shunt_task_##fn;
#define SHUNT_TASK_DEFINE(...) \
    SHUNT_TASK_DEFINE_(SHUNT_FIRST_(__VA_ARGS__), SHUNT_REST_(__VA_ARGS__))
#define SHUNT_TASK_DEFINE_(fn, ...) SHUNT_TASK_DEFINE__(fn, __VA_ARGS__)
#define SHUNT_TASK_DEFINE__(fn, ...)                               \
    SHUNT_TASK_CALL_(fn)                                           \
    const shunt_task shunt_task_##fn =                             \
        SHUNT_TASK_INIT_(fn, "", "", __VA_ARGS__);

#endif /* SHUNT_TASK_H */
