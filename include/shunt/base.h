/* SPDX-License-Identifier: MIT */
/*
 * shunt/base.h - what the other headers need first: linkage, attributes,
 * durations, and the preprocessor helpers behind the macros.
 *
 * Names that end in an underscore are not part of the interface.
 */
#ifndef SHUNT_BASE_H
#define SHUNT_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C++" {
#include <type_traits>
}
#endif

/* The version of these headers; shunt_version() says that of the library. */
#define SHUNT_VERSION "0.1.0"

#ifdef __cplusplus
#define SHUNT_BEGIN_ extern "C" {
#define SHUNT_END_ }
#define SHUNT_EXTERN_C_ extern "C"
/* In C++ every member of an option struct has a default, so that a list of
 * designators may leave any of them out without a warning. */
#define SHUNT_DEFAULT_(value) = value
#define SHUNT_ALIGNOF_(T) alignof(T)
#else
#define SHUNT_BEGIN_
#define SHUNT_END_
#define SHUNT_EXTERN_C_ extern
#define SHUNT_DEFAULT_(value)
#define SHUNT_ALIGNOF_(T) _Alignof(T)
#endif

#define SHUNT_API __attribute__((visibility("default")))
#define SHUNT_MUST_USE __attribute__((warn_unused_result))
#define SHUNT_UNUSED_ __attribute__((unused))
#define SHUNT_PRINTF_(fmt, args) __attribute__((format(printf, fmt, args)))

/* Durations from now, in nanoseconds: SHUNT_MS(200) is a fifth of a second. */
#define SHUNT_US(n) ((int64_t)(n)*1000)
#define SHUNT_MS(n) ((int64_t)(n)*1000000)
#define SHUNT_S(n) ((int64_t)(n)*1000000000)
/* A duration without end. */
#define SHUNT_FOREVER INT64_MAX

/* "file.c:12", the place of the call, kept with every task. */
#define SHUNT_TEXT__(x) #x
#define SHUNT_TEXT_(x) SHUNT_TEXT__(x)
#define SHUNT_HERE_ (__FILE__ ":" SHUNT_TEXT_(__LINE__))

/* First of the arguments, and whether there are more than one (SHUNT_ONE_ or
 * SHUNT_MORE_); up to 24, each time with at least one variadic argument, as C11
 * asks. */
#define SHUNT_FIRST_(...) SHUNT_FIRST__(__VA_ARGS__, 0)
#define SHUNT_FIRST__(first, ...) first
#define SHUNT_COUNT_(...)                                                \
    SHUNT_COUNT__(                                                       \
        __VA_ARGS__, SHUNT_MORE_, SHUNT_MORE_, SHUNT_MORE_, SHUNT_MORE_, \
        SHUNT_MORE_, SHUNT_MORE_, SHUNT_MORE_, SHUNT_MORE_, SHUNT_MORE_, \
        SHUNT_MORE_, SHUNT_MORE_, SHUNT_MORE_, SHUNT_MORE_, SHUNT_MORE_, \
        SHUNT_MORE_, SHUNT_MORE_, SHUNT_MORE_, SHUNT_MORE_, SHUNT_MORE_, \
        SHUNT_MORE_, SHUNT_MORE_, SHUNT_MORE_, SHUNT_MORE_, SHUNT_ONE_, 0)
#define SHUNT_COUNT__(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, \
                      t, u, v, w, x, count, ...)                               \
    count
#define SHUNT_PASTE_(a, b) SHUNT_PASTE__(a, b)
#define SHUNT_PASTE__(a, b) a##b

/* What follows the first argument, as the body of an initialiser. */
#define SHUNT_REST_(...) \
    SHUNT_PASTE_(SHUNT_REST_, SHUNT_COUNT_(__VA_ARGS__))(__VA_ARGS__)
#ifdef __cplusplus
#define SHUNT_REST_SHUNT_ONE_(first)
#else
#define SHUNT_REST_SHUNT_ONE_(first) 0
#endif
#define SHUNT_REST_SHUNT_MORE_(first, ...) __VA_ARGS__

/* The size of what p points to; 0, which is not checked, for void. */
#ifdef __cplusplus
/* Also where shunt is included within an extern "C". */
extern "C++" {
namespace shunt_cxx_
{
template <class T> constexpr size_t pointee(const T *)
{
    return sizeof(T);
}
constexpr size_t pointee(const void *)
{
    return 0;
}
} /* namespace shunt_cxx_ */
} /* extern "C++" */
#define SHUNT_POINTEE_(p) (::shunt_cxx_::pointee(p))
#else
#define SHUNT_POINTEE_(p)                                       \
    (__extension__ _Generic((p), void *: (size_t)0,             \
                                 const void *: (size_t)0,       \
                                 default: sizeof(*(p))))
#endif

#endif /* SHUNT_BASE_H */
