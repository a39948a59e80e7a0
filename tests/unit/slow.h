/* SPDX-License-Identifier: MIT */
/*
 * unit/slow.h - whether things take many times as long as in a plain build.
 */
#ifndef SH_UNIT_SLOW_H
#define SH_UNIT_SLOW_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SH_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SH_SANITIZED true
#endif
#endif
#ifndef SH_SANITIZED
#define SH_SANITIZED false
#endif

/* Under a sanitizer, or valgrind. */
static inline bool is_slow(void)
{
    const char *preload = getenv("LD_PRELOAD");

    return SH_SANITIZED ||
           (preload != NULL && strstr(preload, "vgpreload") != NULL);
}

#endif /* SH_UNIT_SLOW_H */
