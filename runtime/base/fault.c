/* SPDX-License-Identifier: MIT */
/*
 * base/fault.c - makes the n-th request for memory fail, for the tests.
 *
 * Idea. One word holds the setting: 0 is off, n > 0 fails call n alone, n < 0
 * fails call -n and all that follow. A second word counts the calls. They are
 * this file's only state, and the one exception to "no file-scope variables":
 * a request can come from anywhere, before there is any pool to hang them on.
 *
 * Edges. None: nothing is published through these words.
 */
#include "base/fault.h"

#include "base/assert.h"
#include "base/atomic.h"

static _Atomic int64_t fault_nth;
static _Atomic int64_t fault_calls;

bool sh_fault(void)
{
    int64_t nth = sh_load_rlx(&fault_nth); /* relaxed: a setting, no data */
    if (nth == 0)
        return false;

    int64_t call = sh_add_rlx(&fault_calls, 1) + 1; /* relaxed: a counter */
    return nth > 0 ? call == nth : call >= -nth;
}

static void set(int64_t nth)
{
    sh_store_rlx(&fault_calls, 0); /* relaxed: set while nobody calls */
    sh_store_rlx(&fault_nth, nth); /* relaxed: set while nobody calls */
}

void sh_fault_set(int64_t nth)
{
    SH_ASSERT(nth > 0);
    set(nth);
}

void sh_fault_set_from(int64_t nth)
{
    SH_ASSERT(nth > 0);
    set(-nth);
}

void sh_fault_clear(void)
{
    sh_store_rlx(&fault_nth, 0); /* relaxed: set while nobody calls */
}

uint64_t sh_fault_calls(void)
{
    return (uint64_t)sh_load_rlx(&fault_calls); /* relaxed: a counter */
}
