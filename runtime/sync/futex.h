/* SPDX-License-Identifier: MIT */
/*
 * sync/futex.h - sleeping on a word until somebody wakes it.
 *
 * The model checker replaces this file (tests/model/futex.h).
 */
#ifndef SH_SYNC_FUTEX_H
#define SH_SYNC_FUTEX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"

/* Sleep while *word is expected, until a wake, a signal, or the moment
 * deadline_ns of the monotonic clock (INT64_MAX: never). False if the moment
 * has come. shared: other processes may wake. */
bool sh_futex_wait(_Atomic uint32_t *word, uint32_t expected,
                   int64_t deadline_ns, bool shared);

/* Wake up to count sleepers of word. */
void sh_futex_wake(_Atomic uint32_t *word, int count, bool shared);

#endif /* SH_SYNC_FUTEX_H */
