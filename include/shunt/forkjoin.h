/* SPDX-License-Identifier: MIT */
/*
 * shunt/forkjoin.h - recursion that is spread over a pool at the cost of a
 * call.
 *
 *     SHUNT_FORK(long, fib, int, n)
 *     {
 *         shunt_frame(fib) rest;
 *         long below;
 *
 *         if (n < 2)
 *             return n;
 *         shunt_spawn(fib, rest, n - 1);
 *         below = shunt_call(fib, n - 2);
 *         return below + shunt_sync(fib, rest);
 *     }
 *
 *     static int fib_task(const int *n, long *out)
 *     {
 *         *out = shunt_fork(fib, *n);
 *         return 0;
 *     }
 *     SHUNT_TASK(fib_task, int, long)
 *
 * A function of SHUNT_FORK may spawn calls: what is spawned runs when it is
 * synced, unless a worker that has nothing to do has taken it before. The frame
 * of a spawned call lies on the stack of its spawner, and no memory is
 * allocated. As long as nobody takes anything, a spawn and its sync write the
 * arguments, two words beside, and make two comparisons; then comes the call.
 *
 * The rules:
 *   - what a function spawns it syncs before it returns, each frame once, the
 *     last spawned first. Where the compiler does not optimise, or with
 *     SHUNT_FORK_CHECK defined, an assertion of <assert.h> sees to that, if
 *     there is no NDEBUG
 *   - a frame stays where it is between the two; in a loop use an array:
 *     shunt_frame(f) frames[N];
 *   - arguments and results are copied by assignment, so an array goes into a
 *     structure. Their types have no const at their top, and one that a name
 *     cannot follow (a pointer to a function), or with a comma, needs a
 *     typedef. No parameter is called frame_, result_ or place_
 *   - no longjmp, exception or pthread_exit leaves a call
 *   - a call that was taken runs on another thread. It may do what a task may:
 *     await, submit, shunt_alloc, shunt_fail; all that belongs to the task
 *     whose shunt_fork it is below, but for these: shunt_free and shunt_adopt
 *     take blocks that the same call has allocated, or that came out of a pool;
 *     a scope is closed by the call that has opened it; and
 *     shunt_cancel_future() ends with that call
 *   - it is asked to cancel when its task is: shunt_cancelled(). If it waits
 *     just then, it is told when its spawner comes to the sync; in a process
 *     pool, of shunt_cancel and of a deadline, also before
 *   - a process that a call has forked ends, or runs another program, before
 *     that call returns
 *
 * More calls than a pool keeps in order at a time (65,536 deep) are not lost:
 * what is deeper runs at its sync. Stacks are as large as the pool's
 * .stack_bytes.
 *
 * In a process pool other worker processes take calls, too. They see what lies
 * on the stack, in arguments, and in memory of the pool (shunt_alloc): pointers
 * into that may be passed, and those to memory of malloc may not. If the process
 * dies in which a call runs, its task fails with SHUNT_ECRASHED, or runs again
 * as a whole if it is .idempotent and has .retries left; the code that waits
 * for the call does not go on, so what that had of its own process, such as
 * memory of malloc or a lock, stays so. A call that had been taken, and not
 * begun, runs at its sync; so does one whose frame is not on the stack. The task
 * settles when its other calls have ended, which are asked to cancel, and killed
 * after its .grace_ns. So it is, too, if the task's own process dies. A deadline
 * and shunt_cancel reach the calls as well, wherever those run: they are asked to
 * cancel, and killed after the .grace_ns; but the task's future does not wait for
 * that. A process that a call has forked neither spawns nor syncs. Tasks that are .exclusive or
 * .host_only keep their calls to themselves, and so does code built with an
 * address sanitizer that has locals elsewhere than on the stack
 * (detect_stack_use_after_return).
 *
 * After van Dijk and van de Pol, "Lace: non-blocking split deque for
 * work-stealing" (MuCoCoS 2014), and Acar, Chargueraud and Rainey, "Scheduling
 * parallel programs by work stealing with private deques" (PPoPP 2013).
 */
#ifndef SHUNT_FORKJOIN_H
#define SHUNT_FORKJOIN_H

#include "shunt/task.h"

#if !defined(SHUNT_FORK_CHECK) && !defined(NDEBUG) && !defined(__OPTIMIZE__)
#define SHUNT_FORK_CHECK
#endif
#ifdef SHUNT_FORK_CHECK
#include <assert.h>
#endif

SHUNT_BEGIN_

/* What is common to all frames. */
struct shunt_frame_ {
    uintptr_t run_; /* its function, while nobody has taken it; else a mark */
    uint64_t thief_; /* who has */
};

/* Where a spawned call is listed. */
typedef struct shunt_frame_ *shunt_slot_;

/* What the code below needs of a deque of frames. */
typedef struct shunt_split_ {
    shunt_slot_ *split_; /* the owner's: what is below may be taken */
    uintptr_t limit_;    /* a spawn at or above it has more to do */
    size_t open_;        /* of checks: spawned and not synced */
    void *deque_;        /* NULL: nobody could take anything */
} shunt_split_;

/* A shunt_fork, and what it needs where nobody could take anything. */
typedef struct shunt_root_ {
    shunt_split_ *split_;
    shunt_slot_ *at_;
    shunt_split_ serial_;
    shunt_slot_ slot_;
} shunt_root_;

typedef void shunt_frame_run_(struct shunt_frame_ *frame, shunt_split_ *split,
                              shunt_slot_ *at);

/* Begin a shunt_fork; and end it. */
SHUNT_API void shunt_root_enter_(shunt_root_ *root);
/* All that was spawned in it has been synced. */
SHUNT_API void shunt_root_leave_(shunt_root_ *root);
/* A spawn at the limit. */
SHUNT_API void shunt_spawn_slowly_(shunt_split_ *split, shunt_slot_ *at,
                                   struct shunt_frame_ *frame);
/* A sync below the split: take the frame at that slot back; false if somebody
 * has taken it. */
SHUNT_API bool shunt_reclaim_(shunt_split_ *split, shunt_slot_ *at);
/* Then: wait until it has run. */
SHUNT_API void shunt_join_(shunt_split_ *split, shunt_slot_ *at,
                           struct shunt_frame_ *frame);
/* Whether some worker would take what is spawned now. */
SHUNT_API bool shunt_hungry_(const shunt_split_ *split);

SHUNT_END_

#define SHUNT_INLINE_ static inline __attribute__((always_inline, unused))
#define SHUNT_LIKELY_(condition) __builtin_expect(!!(condition), 1)

SHUNT_INLINE_ void shunt_push_(shunt_split_ *split, shunt_slot_ **at,
                               struct shunt_frame_ *frame, uintptr_t run)
{
    /* relaxed: published with the slot, by shunt_spawn_slowly_ */
    __atomic_store_n(&frame->run_, run, __ATOMIC_RELAXED);
    /* relaxed: a thief's wish, which may be seen late */
    if (SHUNT_LIKELY_((uintptr_t)*at <
                      __atomic_load_n(&split->limit_, __ATOMIC_RELAXED)))
        **at = frame;
    else
        shunt_spawn_slowly_(split, *at, frame);
    ++*at;
#ifdef SHUNT_FORK_CHECK
    split->open_++;
#endif
}

/* Whether the frame spawned last is ours to run. */
SHUNT_INLINE_ bool shunt_pop_(shunt_split_ *split, shunt_slot_ **at)
{
    --*at;
#ifdef SHUNT_FORK_CHECK
    split->open_--;
#endif
    return SHUNT_LIKELY_(*at >= split->split_) || shunt_reclaim_(split, *at);
}

#ifdef SHUNT_FORK_CHECK
#define SHUNT_PLACE_FIELD_ shunt_slot_ *place_;
#define SHUNT_PLACE_SET_ sh_frame_->place_ = *sh_at_;
#define SHUNT_PLACE_CHECK_               \
    assert(sh_frame_->place_ + 1 == *sh_at_ && \
           "of frames that are open the last one is synced first");
#else
#define SHUNT_PLACE_FIELD_
#define SHUNT_PLACE_SET_
#define SHUNT_PLACE_CHECK_
#endif

/* M(type, name) for each pair of up to sixteen; nothing for void alone. */
#define SHUNT_PAIRS_(M, ...)                                               \
    SHUNT_PASTE_(SHUNT_PAIRS_,                                             \
                 SHUNT_PAIR_COUNT_(__VA_ARGS__,                            \
                     16, ODD, 15, ODD, 14, ODD, 13, ODD, 12, ODD, 11, ODD, \
                     10, ODD, 9, ODD, 8, ODD, 7, ODD, 6, ODD, 5, ODD, 4,   \
                     ODD, 3, ODD, 2, ODD, 1, VOID, 0))                     \
    (M, __VA_ARGS__)
#define SHUNT_PAIR_COUNT_(a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11,    \
                          a12, a13, a14, a15, a16, a17, a18, a19, a20,     \
                          a21, a22, a23, a24, a25, a26, a27, a28, a29,     \
                          a30, a31, a32, count, ...)                       \
    count
#define SHUNT_PAIRS_VOID(M, none)
#define SHUNT_PAIRS_1(M, T, a) M(T, a)
#define SHUNT_PAIRS_2(M, T, a, ...) M(T, a) SHUNT_PAIRS_1(M, __VA_ARGS__)
#define SHUNT_PAIRS_3(M, T, a, ...) M(T, a) SHUNT_PAIRS_2(M, __VA_ARGS__)
#define SHUNT_PAIRS_4(M, T, a, ...) M(T, a) SHUNT_PAIRS_3(M, __VA_ARGS__)
#define SHUNT_PAIRS_5(M, T, a, ...) M(T, a) SHUNT_PAIRS_4(M, __VA_ARGS__)
#define SHUNT_PAIRS_6(M, T, a, ...) M(T, a) SHUNT_PAIRS_5(M, __VA_ARGS__)
#define SHUNT_PAIRS_7(M, T, a, ...) M(T, a) SHUNT_PAIRS_6(M, __VA_ARGS__)
#define SHUNT_PAIRS_8(M, T, a, ...) M(T, a) SHUNT_PAIRS_7(M, __VA_ARGS__)
#define SHUNT_PAIRS_9(M, T, a, ...) M(T, a) SHUNT_PAIRS_8(M, __VA_ARGS__)
#define SHUNT_PAIRS_10(M, T, a, ...) M(T, a) SHUNT_PAIRS_9(M, __VA_ARGS__)
#define SHUNT_PAIRS_11(M, T, a, ...) M(T, a) SHUNT_PAIRS_10(M, __VA_ARGS__)
#define SHUNT_PAIRS_12(M, T, a, ...) M(T, a) SHUNT_PAIRS_11(M, __VA_ARGS__)
#define SHUNT_PAIRS_13(M, T, a, ...) M(T, a) SHUNT_PAIRS_12(M, __VA_ARGS__)
#define SHUNT_PAIRS_14(M, T, a, ...) M(T, a) SHUNT_PAIRS_13(M, __VA_ARGS__)
#define SHUNT_PAIRS_15(M, T, a, ...) M(T, a) SHUNT_PAIRS_14(M, __VA_ARGS__)
#define SHUNT_PAIRS_16(M, T, a, ...) M(T, a) SHUNT_PAIRS_15(M, __VA_ARGS__)
#define SHUNT_PARAM_(T, a) , T a
#define SHUNT_FIELD_(T, a) T a;
#define SHUNT_PUT_(T, a) sh_frame_->a = a;
#define SHUNT_GET_(T, a) , sh_frame_->a
#define SHUNT_PASS_(T, a) , a

#ifdef SHUNT_FORK_CHECK
#define SHUNT_FORK_BODY_(R, name, ...)                                     \
    static R name##_body_(shunt_split_ *, shunt_slot_ *                    \
                              SHUNT_PAIRS_(SHUNT_PARAM_, __VA_ARGS__));
#define SHUNT_FORK_CHECKED_(R, keep, give, name, linkage, ...)             \
    linkage R name##_fork_(shunt_split_ *sh_split_, shunt_slot_ *sh_at_    \
                               SHUNT_PAIRS_(SHUNT_PARAM_, __VA_ARGS__))    \
    {                                                                      \
        size_t sh_open_ = sh_split_->open_;                                \
        keep name##_body_(sh_split_,                                       \
                          sh_at_ SHUNT_PAIRS_(SHUNT_PASS_, __VA_ARGS__));  \
        assert(sh_split_->open_ == sh_open_ &&                             \
               #name " returns with a call that it has not synced");       \
        (void)sh_open_;                                                    \
        give;                                                              \
    }                                                                      \
    static R name##_body_(                                                 \
        shunt_split_ *sh_split_ SHUNT_UNUSED_,                             \
        shunt_slot_ *sh_at_ SHUNT_UNUSED_ SHUNT_PAIRS_(SHUNT_PARAM_,       \
                                                       __VA_ARGS__))
#else
#define SHUNT_FORK_BODY_(R, name, ...)
#define SHUNT_FORK_CHECKED_(R, keep, give, name, linkage, ...)             \
    linkage R name##_fork_(                                                \
        shunt_split_ *sh_split_ SHUNT_UNUSED_,                             \
        shunt_slot_ *sh_at_ SHUNT_UNUSED_ SHUNT_PAIRS_(SHUNT_PARAM_,       \
                                                       __VA_ARGS__))
#endif

/* Other files may have a function of that name. */
#ifdef __cplusplus
#define SHUNT_OF_FILE_BEGIN_ \
    namespace                \
    {
#define SHUNT_OF_FILE_END_ }
#else
#define SHUNT_OF_FILE_BEGIN_
#define SHUNT_OF_FILE_END_
#endif

/* The parts that do not depend on whether there is a result. */
#define SHUNT_FORK_FRAME_(R, result, name, linkage, ...)                    \
    SHUNT_OF_FILE_BEGIN_                                                    \
    struct name##_frame_ {                                                  \
        struct shunt_frame_ frame_;                                         \
        result                                                              \
        SHUNT_PAIRS_(SHUNT_FIELD_, __VA_ARGS__)                             \
        SHUNT_PLACE_FIELD_                                                  \
    };                                                                      \
    SHUNT_OF_FILE_END_                                                      \
    SHUNT_FORK_BODY_(R, name, __VA_ARGS__)                                  \
    linkage R name##_fork_(shunt_split_ *sh_split_, shunt_slot_ *sh_at_     \
                               SHUNT_PAIRS_(SHUNT_PARAM_, __VA_ARGS__));

#define SHUNT_FORK_REST_(R, run, sync, root, name, ...)                     \
    SHUNT_UNUSED_ static void name##_run_(struct shunt_frame_ *sh_base_,    \
                                          shunt_split_ *sh_split_,          \
                                          shunt_slot_ *sh_at_)              \
    {                                                                       \
        struct name##_frame_ *sh_frame_ = (struct name##_frame_ *)sh_base_; \
        (void)sh_frame_;                                                    \
        run name##_fork_(sh_split_,                                         \
                         sh_at_ SHUNT_PAIRS_(SHUNT_GET_, __VA_ARGS__));     \
    }                                                                       \
    SHUNT_INLINE_ void name##_spawn_(                                       \
        shunt_split_ *sh_split_, shunt_slot_ **sh_at_,                      \
        struct name##_frame_ *sh_frame_ SHUNT_PAIRS_(SHUNT_PARAM_,          \
                                                     __VA_ARGS__))          \
    {                                                                       \
        SHUNT_PAIRS_(SHUNT_PUT_, __VA_ARGS__)                               \
        SHUNT_PLACE_SET_                                                    \
        shunt_push_(sh_split_, sh_at_, &sh_frame_->frame_,                  \
                    (uintptr_t)&name##_run_);                               \
    }                                                                       \
    SHUNT_INLINE_ R name##_sync_(shunt_split_ *sh_split_,                   \
                                 shunt_slot_ **sh_at_,                      \
                                 struct name##_frame_ *sh_frame_)           \
    {                                                                       \
        SHUNT_PLACE_CHECK_                                                  \
        if (shunt_pop_(sh_split_, sh_at_)) {                                \
            sync(name##_fork_(                                              \
                sh_split_,                                                  \
                *sh_at_ SHUNT_PAIRS_(SHUNT_GET_, __VA_ARGS__)))             \
        }                                                                   \
        shunt_join_(sh_split_, *sh_at_, &sh_frame_->frame_);                \
        root                                                                \
    }

/* The result of a sync, with and without. */
#define SHUNT_SYNC_VALUE_(call) return call;
#define SHUNT_SYNC_VOID_(call) \
    call;                      \
    return;

#define SHUNT_FORK_VALUE_(linkage, R, name, ...)                             \
    SHUNT_FORK_FRAME_(R, R result_;, name, linkage, __VA_ARGS__)             \
    SHUNT_FORK_REST_(R, sh_frame_->result_ =, SHUNT_SYNC_VALUE_,             \
                     return sh_frame_->result_;, name, __VA_ARGS__)          \
    SHUNT_UNUSED_ static R name##_root_(                                     \
        int sh_none_ SHUNT_PAIRS_(SHUNT_PARAM_, __VA_ARGS__))                \
    {                                                                        \
        shunt_root_ sh_root_;                                                \
        R sh_result_;                                                        \
        (void)sh_none_;                                                      \
        shunt_root_enter_(&sh_root_);                                        \
        sh_result_ = name##_fork_(                                           \
            sh_root_.split_,                                                 \
            sh_root_.at_ SHUNT_PAIRS_(SHUNT_PASS_, __VA_ARGS__));            \
        shunt_root_leave_(&sh_root_);                                        \
        return sh_result_;                                                   \
    }

#define SHUNT_FORK_NOTHING_(linkage, name, ...)                              \
    SHUNT_FORK_FRAME_(void, , name, linkage, __VA_ARGS__)                    \
    SHUNT_FORK_REST_(void, , SHUNT_SYNC_VOID_, , name, __VA_ARGS__)          \
    SHUNT_UNUSED_ static void name##_root_(                                  \
        int sh_none_ SHUNT_PAIRS_(SHUNT_PARAM_, __VA_ARGS__))                \
    {                                                                        \
        shunt_root_ sh_root_;                                                \
        (void)sh_none_;                                                      \
        shunt_root_enter_(&sh_root_);                                        \
        name##_fork_(sh_root_.split_,                                        \
                     sh_root_.at_ SHUNT_PAIRS_(SHUNT_PASS_, __VA_ARGS__));   \
        shunt_root_leave_(&sh_root_);                                        \
    }

/*
 * Define a function that may spawn, and be spawned, in this file:
 * SHUNT_FORK(R, name, T1, a1, T2, a2, ...) { ... } is `R name(T1 a1, T2 a2)`,
 * with up to sixteen parameters; SHUNT_FORK(R, name, void) has none. Its name
 * is used by the five macros below, and nowhere else.
 */
#define SHUNT_FORK(R, name, ...)                             \
    SHUNT_FORK_VALUE_(static, R, name, __VA_ARGS__)          \
    SHUNT_FORK_CHECKED_(R, R sh_result_ =, return sh_result_, \
                        name, static, __VA_ARGS__)

/* The same without a result. */
#define SHUNT_FORK_VOID(name, ...)                   \
    SHUNT_FORK_NOTHING_(static, name, __VA_ARGS__)   \
    SHUNT_FORK_CHECKED_(void, , (void)0, name, static, __VA_ARGS__)

/*
 * For functions that call each other: declare all, then define each, in the
 * same file.
 */
#define SHUNT_FORK_DECLARE(R, name, ...) \
    SHUNT_FORK_VALUE_(static, R, name, __VA_ARGS__)
#define SHUNT_FORK_DEFINE(R, name, ...)                       \
    SHUNT_FORK_CHECKED_(R, R sh_result_ =, return sh_result_, \
                        name, static, __VA_ARGS__)
#define SHUNT_FORK_VOID_DECLARE(name, ...) \
    SHUNT_FORK_NOTHING_(static, name, __VA_ARGS__)
#define SHUNT_FORK_VOID_DEFINE(name, ...) \
    SHUNT_FORK_CHECKED_(void, , (void)0, name, static, __VA_ARGS__)

/* The type of a frame: where a spawned call is kept. */
#define shunt_frame(name) struct name##_frame_

/* shunt_spawn(name, frame, arguments...), within a function of SHUNT_FORK: the
 * call may run at any time from now until it is synced, by whoever. frame is a
 * variable, an element or a member. Never blocks, never fails, allocates
 * nothing. */
#define shunt_spawn(name, ...) /* the ampersand is the frame's */ \
    name##_spawn_(sh_split_, &sh_at_, &__VA_ARGS__)

/* shunt_call(name, arguments...), within a function of SHUNT_FORK: call
 * another, or itself, at once. */
#define shunt_call(...)                                 \
    SHUNT_PASTE_(SHUNT_CALL_, SHUNT_COUNT_(__VA_ARGS__))  \
    (__VA_ARGS__)
#define SHUNT_CALL_SHUNT_ONE_(name) name##_fork_(sh_split_, sh_at_)
#define SHUNT_CALL_SHUNT_MORE_(name, ...) \
    name##_fork_(sh_split_, sh_at_, __VA_ARGS__)

/* The result of the frame that was spawned last: runs the call now, if nobody
 * has taken it, or waits until it has run; meanwhile the worker does something
 * else. It waits even if the task is asked to cancel. */
#define shunt_sync(name, frame) name##_sync_(sh_split_, &sh_at_, &(frame))

/*
 * shunt_fork(name, arguments...): call a function of SHUNT_FORK from an
 * ordinary one. Within a task its pool's workers take what is spawned. Outside of tasks,
 * in hooks, and if there is no memory, it is run by the calling thread alone.
 * Blocks as shunt_sync does.
 */
#define shunt_fork(...)                                 \
    SHUNT_PASTE_(SHUNT_ROOT_, SHUNT_COUNT_(__VA_ARGS__))  \
    (__VA_ARGS__)
#define SHUNT_ROOT_SHUNT_ONE_(name) name##_root_(0)
#define SHUNT_ROOT_SHUNT_MORE_(name, ...) name##_root_(0, __VA_ARGS__)

/*
 * Within a function of SHUNT_FORK: whether some worker has asked for something
 * to do, and would get what is spawned next. For loops that cut off a part only
 * when it is wanted (Tzannes et al., "Lazy binary-splitting", PPoPP 2010).
 */
#define shunt_hungry() shunt_hungry_(sh_split_)

#endif /* SHUNT_FORKJOIN_H */
