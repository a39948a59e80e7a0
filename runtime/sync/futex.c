/* SPDX-License-Identifier: MIT */
/*
 * sync/futex.c - the system call.
 *
 * FUTEX_WAIT_BITSET and not FUTEX_WAIT, since it takes a moment and not a
 * duration: a wait that is interrupted and repeated does not grow.
 */
#include "sync/futex.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"

SH_HOT bool sh_futex_wait(_Atomic uint32_t *word, uint32_t expected,
                          int64_t deadline_ns, bool shared)
{
    int op = FUTEX_WAIT_BITSET | (shared ? 0 : FUTEX_PRIVATE_FLAG);
    struct timespec moment;
    struct timespec *until = NULL;
    int saved = errno;
    bool timely = true;

    SH_ASSERT(word != NULL);
    if (deadline_ns != INT64_MAX) {
        moment.tv_sec = (time_t)(deadline_ns / 1000000000);
        moment.tv_nsec = (long)(deadline_ns % 1000000000);
        until = &moment;
    }
    if (syscall(SYS_futex, word, op, expected, until, NULL,
                FUTEX_BITSET_MATCH_ANY) < 0 &&
        errno == ETIMEDOUT)
        timely = false;
    errno = saved;
    return timely;
}

SH_HOT void sh_futex_wake(_Atomic uint32_t *word, int count, bool shared)
{
    int op = FUTEX_WAKE | (shared ? 0 : FUTEX_PRIVATE_FLAG);
    int saved = errno;

    SH_ASSERT(word != NULL);
    SH_ASSERT(count > 0);
    syscall(SYS_futex, word, op, count, NULL, NULL, 0);
    errno = saved;
}
