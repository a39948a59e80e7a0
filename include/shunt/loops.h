/* SPDX-License-Identifier: MIT */
/*
 * shunt/loops.h - loops whose parts run side by side, as futures.
 *
 *     static int scale(size_t from, size_t to, const struct scaling *s)
 *     {
 *         for (size_t i = from; i < to; i++)
 *             s->to[i] = s->by * s->from[i];
 *         return 0;
 *     }
 *
 *     f = shunt_for(pool, 0, n, scale, &(struct scaling){ to, from, 2.0 });
 *
 * A loop is one task. It runs as a plain loop, in chunks that grow until one
 * takes some ten microseconds; only when a worker has nothing to do, or may
 * have when the loop begins, is half of what is left cut off for it. So there
 * is no grain to tune, and a loop on a busy pool costs what it costs on one
 * thread. Bodies may be as uneven as they like.
 *
 * The functions that a loop calls are named, or pointed to, without any further
 * declaration; their types are checked at compile time. They are a part of the
 * loop's task and may do what that may: submit and await, shunt_alloc,
 * shunt_fail, a loop or a shunt_fork of their own. Two calls of them may run at
 * the same time. What they return that is not 0 fails the loop.
 *
 * Every loop here returns a future, never NULL, and never blocks; all may be
 * called from any thread and any task. What is common to them:
 *
 *   - a failure of a part is the loop's: SHUNT_EFAILED, with what the part
 *     returned as .task_code and what it said by shunt_fail as the message. Of
 *     several parts that fail, the one that is seen first. The others end after
 *     the chunk that they are at.
 *   - shunt_cancel ends a loop between two chunks, with SHUNT_ECANCELED, and so
 *     does the deadline of the task that calls, with SHUNT_ETIMEDOUT. A body
 *     that takes long may look at shunt_cancelled() itself, and return
 *     SHUNT_ECANCELED.
 *   - other errors, as a future that has failed: SHUNT_EINVAL (no pool, a bad
 *     argument), SHUNT_ENOMEM, SHUNT_EAGAIN (over .queue_max: a loop counts as
 *     one task), SHUNT_ECLOSED, SHUNT_EBROKEN, SHUNT_EFORKED, SHUNT_ETIMEDOUT
 *     (the calling task's deadline is past); SHUNT_ENOTSUP (a function of a
 *     library that was loaded too late for the pool's worker processes).
 *   - a loop over nothing succeeds at once, and calls nothing.
 *
 * In a process pool worker processes run the parts of a loop. What its functions
 * reach by pointers, a context's arrays or what is sorted, must be memory of the
 * pool there (shunt_alloc, shunt_pool_alloc). If one dies in the middle of a
 * part, the loop fails with SHUNT_ECRASHED when the other parts have ended.
 *
 * After Tzannes, Caragea, Barua and Vishkin, "Lazy binary-splitting: a run-time
 * adaptive work-stealing scheduler" (PPoPP 2010).
 */
#ifndef SHUNT_LOOPS_H
#define SHUNT_LOOPS_H

#include "shunt/compose.h" /* SHUNT_INS_ */

SHUNT_BEGIN_

/* Any function, to be called as what it is. */
typedef void shunt_fn_(void);

/* The body of a loop, and its context. */
typedef struct shunt_body_ {
    shunt_fn_ *fn_;
    const void *ctx_;
    size_t size_, align_;
} shunt_body_;

/* Options of one loop. */
typedef struct shunt_for_options {
    /* The body gets at least so many indexes at a time, if there are so many,
     * and no smaller part is cut off: for a body that has to prepare something
     * for each call. 0: as few as one. Of the others: no part of fewer pairs,
     * inputs or elements is cut off for another worker; the body of a
     * shunt_for_2d may get a smaller one all the same, at an edge. */
    size_t grain SHUNT_DEFAULT_(0);
} shunt_for_options;

/*
 * shunt_for(pool, begin, end, body, ctx): call int body(size_t from, size_t to,
 * const Ctx *) for parts [from, to) of [begin, end), in which each index is
 * once: a future of shunt_none. ctx is a pointer to a Ctx, which is copied; in
 * C++ a pointer or a value. NULL: the body gets NULL.
 *
 * shunt_for_with(pool, begin, end, body, ctx, designators...): with options. A
 * ctx with a comma outside of parentheses needs a pair.
 *
 * Run by one thread alone, and if no body waits, the parts come in ascending
 * order; else in none.
 *
 * Errors:  as above; SHUNT_EINVAL: body is NULL, begin > end, or ctx a void *
 *          that is not NULL (unless begin is end).
 */
SHUNT_API shunt_future *shunt_for_sized(shunt_pool *pool, size_t begin,
                                        size_t end, shunt_body_ body,
                                        const char *where, size_t options_size,
                                        const shunt_for_options *options);
#define shunt_for(pool, begin, end, body, ...)                             \
    shunt_for_sized(pool, begin, end, SHUNT_BODY_(body, __VA_ARGS__),      \
                    SHUNT_HERE_, 0, NULL)
#define shunt_for_with(pool, begin, end, body, ...)                        \
    shunt_for_sized(pool, begin, end,                                      \
                    SHUNT_BODY_(body, SHUNT_FIRST_(__VA_ARGS__)),          \
                    SHUNT_HERE_, sizeof(shunt_for_options),                \
                    SHUNT_TEMPORARY_(shunt_for_options,                    \
                                     SHUNT_REST_(__VA_ARGS__)))

/* Of a loop in two dimensions. */
typedef struct shunt_area_ {
    size_t rows_begin_, rows_end_, columns_begin_, columns_end_;
} shunt_area_;

/*
 * shunt_for_2d(pool, rows_begin, rows_end, columns_begin, columns_end, body,
 * ctx): the same with int body(size_t row_from, size_t row_to, size_t
 * column_from, size_t column_to, const Ctx *) for rectangles, in which each
 * pair of a row and a column is once. The longer side is cut. Errors: as
 * shunt_for; SHUNT_EINVAL too for more than SIZE_MAX pairs.
 *
 * shunt_for_2d_with(..., ctx, designators...): with options.
 */
SHUNT_API shunt_future *
shunt_for_2d_sized(shunt_pool *pool, shunt_area_ area, shunt_body_ body,
                   const char *where, size_t options_size,
                   const shunt_for_options *options);
#define shunt_for_2d(pool, rows_begin, rows_end, columns_begin, columns_end, \
                     body, ...)                                              \
    shunt_for_2d_sized(pool,                                                 \
                       SHUNT_AREA_(rows_begin, rows_end, columns_begin,      \
                                   columns_end),                             \
                       SHUNT_BODY_2D_(body, __VA_ARGS__), SHUNT_HERE_, 0,    \
                       NULL)
#define shunt_for_2d_with(pool, rows_begin, rows_end, columns_begin,       \
                          columns_end, body, ...)                          \
    shunt_for_2d_sized(pool,                                               \
                       SHUNT_AREA_(rows_begin, rows_end, columns_begin,    \
                                   columns_end),                           \
                       SHUNT_BODY_2D_(body, SHUNT_FIRST_(__VA_ARGS__)),    \
                       SHUNT_HERE_, sizeof(shunt_for_options),             \
                       SHUNT_TEMPORARY_(shunt_for_options,                 \
                                        SHUNT_REST_(__VA_ARGS__)))

/*
 * shunt_reduce(pool, fn, merge, ins, n): fn of SHUNT_TASK(fn, In, Out) for each
 * of the n values at ins, and of all that come out, merged, one: a future of
 * Out. int merge(const Out *left, const Out *right, Out *out) has what is to
 * its left on its left: it has to be associative, but not commutative. *out is
 * zeroed before, as fn's is, and is neither of the other two.
 *
 *     f = shunt_reduce(pool, count_words, add, lines, n);
 *
 * The values at ins are copied, as shunt_map does. Of the traits of fn .drop is
 * called with each of them once, as shunt_traits says, and those count that say
 * where a task can run. .exclusive and .retries do not.
 *
 * Errors:  as above; SHUNT_EINVAL: n is 0, ins or merge NULL, fn a step or one
 *          that returns a future; SHUNT_ENOTSUP also for a fn that cannot run
 *          in the pool, or is .host_only in a process pool. The .task of a
 *          failure is fn.
 *
 * shunt_reduce_with(pool, fn, merge, ins, n, designators...): with options.
 */
SHUNT_API shunt_future *
shunt_reduce_sized(shunt_pool *pool, const shunt_task *task,
                   const shunt_task *fn, shunt_fn_ *merge, const void *ins,
                   size_t n, const char *where, size_t options_size,
                   const shunt_for_options *options);
#define shunt_reduce(pool, fn, merge, ins, n)                        \
    shunt_reduce_sized(pool, SHUNT_REDUCTION_(fn), &shunt_task_##fn, \
                       SHUNT_MERGE_(shunt_out_##fn, merge),          \
                       SHUNT_INS_(fn, ins), n, SHUNT_HERE_, 0, NULL)
#define shunt_reduce_with(pool, fn, merge, ins, ...)                    \
    shunt_reduce_sized(pool, SHUNT_REDUCTION_(fn), &shunt_task_##fn,    \
                       SHUNT_MERGE_(shunt_out_##fn, merge),             \
                       SHUNT_INS_(fn, ins), SHUNT_FIRST_(__VA_ARGS__),  \
                       SHUNT_HERE_, sizeof(shunt_for_options),          \
                       SHUNT_TEMPORARY_(shunt_for_options,              \
                                        SHUNT_REST_(__VA_ARGS__)))

/* The input of a reduce, and what its task calls. */
typedef struct shunt_reduction_ {
    void *all_;
} shunt_reduction_;
/* Calls fn and merge. */
SHUNT_API int shunt_reduce_run_(const void *in, const void *ctx, void *out);
/* Calls the drop of fn. */
SHUNT_API void shunt_reduce_drop_(void *in);

/* The descriptor of such a task, whose value is fn's. */
#define SHUNT_REDUCTION_(fn)                                              \
    (__extension__({                                                      \
        static const shunt_task sh_task_ = {                              \
            sizeof(shunt_task),                                           \
            (uint32_t)SHUNT_SHAPE_(shunt_reduction_, shunt_out_##fn),     \
            shunt_reduce_run_, #fn, "", "", "", sizeof(shunt_reduction_), \
            0, sizeof(shunt_out_##fn),                                    \
            (uint32_t)SHUNT_ALIGNOF_(shunt_reduction_), 1,                \
            (uint32_t)SHUNT_ALIGNOF_(shunt_out_##fn),                     \
            SHUNT_REDUCTION_TRAITS_                                       \
        };                                                                \
        &sh_task_;                                                        \
    }))

/* An array that a loop works on in place. */
typedef struct shunt_array_ {
    void *at_;
    size_t n_, size_, align_;
} shunt_array_;

/*
 * shunt_scan(pool, merge, array, n): an inclusive prefix scan in place. Each of
 * the n elements of T *array becomes the first one merged with all that follow
 * up to it: a future of shunt_none. int merge(const T *left, const T *right, T
 * *out) is as that of shunt_reduce: associative, its order is kept, *out is
 * zeroed and neither of the other two.
 *
 * The array is the loop's until the future has settled, also after a cancel,
 * and its task's code has ended (as that of a task given up at its deadline has
 * not). If the future fails, what is in the array is not specified.
 *
 * On one thread, if no merge waits, it merges n - 1 times; what another worker takes is gone over
 * once more for each time that it was cut.
 *
 * Errors:  as above; SHUNT_EINVAL: merge NULL, array NULL but n not 0, an array
 *          of void, or of more than PTRDIFF_MAX bytes. In a process pool one
 *          that lies elsewhere than in memory which all processes share is the
 *          same afterwards: a worker has sorted a copy of its own.
 *
 * shunt_scan_with(pool, merge, array, n, designators...): with options.
 */
SHUNT_API shunt_future *
shunt_scan_sized(shunt_pool *pool, shunt_array_ array, shunt_fn_ *merge,
                 const char *where, size_t options_size,
                 const shunt_for_options *options);
#define shunt_scan(pool, merge, array, n)                              \
    shunt_scan_sized(pool, SHUNT_ARRAY_(array, n),                     \
                     SHUNT_ARRAY_MERGE_(array, merge), SHUNT_HERE_, 0, \
                     NULL)
#define shunt_scan_with(pool, merge, array, ...)                        \
    shunt_scan_sized(pool,                                              \
                     SHUNT_ARRAY_(array, SHUNT_FIRST_(__VA_ARGS__)),    \
                     SHUNT_ARRAY_MERGE_(array, merge), SHUNT_HERE_,     \
                     sizeof(shunt_for_options),                         \
                     SHUNT_TEMPORARY_(shunt_for_options,                \
                                      SHUNT_REST_(__VA_ARGS__)))

/*
 * shunt_sort(pool, array, n, compare): sort the n elements of T *array in
 * place: a future of shunt_none. int compare(const T *, const T *) is negative,
 * 0 or positive, as that of qsort; it cannot fail. The sort is stable: elements
 * that compare as equal stay in their order. compare is called at most about
 * n log2 n times.
 *
 * It takes scratch as large as the array, of the pool's memory, which goes with
 * the future. The array is the loop's as that of shunt_scan is; if the future
 * fails, some elements may be there twice, and others not.
 *
 * Errors:  as shunt_scan, with compare for merge; SHUNT_ENOMEM also if there is
 *          no memory for the scratch.
 *
 * After Cormen, Leiserson, Rivest and Stein, "Introduction to Algorithms", 3rd
 * edition, section 27.3.
 */
SHUNT_API shunt_future *shunt_sort_here(shunt_pool *pool, shunt_array_ array,
                                        shunt_fn_ *compare, const char *where);
#define shunt_sort(pool, array, n, compare)                           \
    shunt_sort_here(pool, SHUNT_ARRAY_(array, n),                     \
                    SHUNT_COMPARE_(array, compare), SHUNT_HERE_)

SHUNT_END_

#ifdef __cplusplus
extern "C++" {
namespace shunt_cxx_
{
/* A parameter whose type follows from another one's. */
template <class T> struct given {
    typedef T type;
};
template <class T> constexpr size_t align_of(const T *)
{
    return alignof(T);
}
constexpr size_t align_of(const void *)
{
    return 1;
}
template <class Fn> shunt_fn_ *any_fn(Fn *fn)
{
    return reinterpret_cast<shunt_fn_ *>(fn);
}
template <class Ctx> shunt_body_ with(shunt_fn_ *fn, const Ctx *ctx)
{
    static_assert(std::is_void<Ctx>::value ||
                      std::is_trivially_copyable<Ctx>::value,
                  "a context is copied as bytes");
    return { fn, ctx, pointee(ctx), align_of(ctx) };
}
inline shunt_area_ area(size_t rows_begin, size_t rows_end,
                        size_t columns_begin, size_t columns_end)
{
    return { rows_begin, rows_end, columns_begin, columns_end };
}
template <class T> shunt_array_ array(T *at, size_t n)
{
    static_assert(std::is_void<T>::value ||
                      std::is_trivially_copyable<T>::value,
                  "elements are moved as bytes");
    return { at, n, pointee(at), align_of(at) };
}
template <class T>
shunt_fn_ *array_merge(const T *,
                       typename given<int (*)(const T *, const T *, T *)>::type
                           merge)
{
    return any_fn(merge);
}
template <class T>
shunt_fn_ *
array_compare(const T *,
              typename given<int (*)(const T *, const T *)>::type compare)
{
    return any_fn(compare);
}
/* A context as a value, as a pointer, and as a pointer to a number. */
template <class Ctx>
shunt_body_ body(int (*fn)(size_t, size_t, const Ctx *),
                 const typename given<Ctx>::type &ctx)
{
    return with(any_fn(fn), &ctx);
}
template <class Ctx,
          typename std::enable_if<!is_number<Ctx>::value, int>::type = 0>
shunt_body_ body(int (*fn)(size_t, size_t, const Ctx *),
                 const typename given<Ctx>::type *ctx)
{
    return with(any_fn(fn), ctx);
}
template <class Ctx, class T,
          typename std::enable_if<is_number<Ctx>::value, int>::type = 0>
shunt_body_ body(int (*fn)(size_t, size_t, const Ctx *), T *ctx)
{
    return with<Ctx>(any_fn(fn), ctx);
}
template <class Ctx>
shunt_body_ body_2d(int (*fn)(size_t, size_t, size_t, size_t, const Ctx *),
                    const typename given<Ctx>::type &ctx)
{
    return with(any_fn(fn), &ctx);
}
template <class Ctx,
          typename std::enable_if<!is_number<Ctx>::value, int>::type = 0>
shunt_body_ body_2d(int (*fn)(size_t, size_t, size_t, size_t, const Ctx *),
                    const typename given<Ctx>::type *ctx)
{
    return with(any_fn(fn), ctx);
}
template <class Ctx, class T,
          typename std::enable_if<is_number<Ctx>::value, int>::type = 0>
shunt_body_ body_2d(int (*fn)(size_t, size_t, size_t, size_t, const Ctx *),
                    T *ctx)
{
    return with<Ctx>(any_fn(fn), ctx);
}
} /* namespace shunt_cxx_ */
} /* extern "C++" */
/* To .drop, which C++17 cannot name. */
#define SHUNT_REDUCTION_TRAITS_                                         \
    {                                                                   \
        nullptr, false, false, false, false, false, false, false, 0,    \
            false, 0, shunt_reduce_drop_                                \
    }
#define SHUNT_MERGE_(T, merge)                                     \
    (::shunt_cxx_::any_fn(                                         \
        static_cast<int (*)(const T *, const T *, T *)>(merge)))
/* The plus makes a pointer of a lambda. */
#define SHUNT_BODY_(body_, ...) (::shunt_cxx_::body(+(body_), __VA_ARGS__))
#define SHUNT_BODY_2D_(body_, ...) \
    (::shunt_cxx_::body_2d(+(body_), __VA_ARGS__))
#define SHUNT_AREA_(...) (::shunt_cxx_::area(__VA_ARGS__))
#define SHUNT_ARRAY_(at, n) (::shunt_cxx_::array(at, n))
#define SHUNT_ARRAY_MERGE_(at, merge) (::shunt_cxx_::array_merge(at, merge))
#define SHUNT_COMPARE_(at, compare) (::shunt_cxx_::array_compare(at, compare))
#else
#define SHUNT_REDUCTION_TRAITS_ { .drop = shunt_reduce_drop_ }
/* The conditional warns about any other function. */
#define SHUNT_MERGE_(T, merge) \
    ((shunt_fn_ *)(1 ? (merge) : (int (*)(const T *, const T *, T *))0))
/* A call that is not made: it warns if an argument is not what the function
 * takes, and is an error if the result is no int. */
#define SHUNT_GIVES_INT_(call) \
    ((void)sizeof(__extension__ _Generic((call), int: 1)))
#define SHUNT_CONST_(p) ((const __typeof__(*(p)) *)(p))
#define SHUNT_POINTEE_ALIGN_(p)                                 \
    (__extension__ _Generic((p), void *: (size_t)1,             \
                                 const void *: (size_t)1,       \
                                 default: (size_t)__alignof__(*(p))))
#define SHUNT_WITH_(fn, ctx)                                    \
    ((shunt_body_){ (shunt_fn_ *)(fn), ctx, SHUNT_POINTEE_(ctx), \
                    SHUNT_POINTEE_ALIGN_(ctx) })
#define SHUNT_BODY_(body, ...)                                         \
    (SHUNT_GIVES_INT_((body)((size_t)0, (size_t)0,                     \
                             SHUNT_CONST_((__VA_ARGS__)))),            \
     SHUNT_WITH_(body, (__VA_ARGS__)))
#define SHUNT_BODY_2D_(body, ...)                                      \
    (SHUNT_GIVES_INT_((body)((size_t)0, (size_t)0, (size_t)0,          \
                             (size_t)0, SHUNT_CONST_((__VA_ARGS__)))), \
     SHUNT_WITH_(body, (__VA_ARGS__)))
#define SHUNT_AREA_(...) ((shunt_area_){ __VA_ARGS__ })
#define SHUNT_ARRAY_(at, n)                     \
    ((shunt_array_){ at, n, SHUNT_POINTEE_(at), \
                     SHUNT_POINTEE_ALIGN_(at) })
#define SHUNT_ARRAY_MERGE_(at, merge)                                         \
    (SHUNT_GIVES_INT_((merge)(SHUNT_CONST_(at), SHUNT_CONST_(at), (at))),     \
     (shunt_fn_ *)(merge))
#define SHUNT_COMPARE_(at, compare)                                         \
    (SHUNT_GIVES_INT_((compare)(SHUNT_CONST_(at), SHUNT_CONST_(at))),       \
     (shunt_fn_ *)(compare))
#endif

#endif /* SHUNT_LOOPS_H */
