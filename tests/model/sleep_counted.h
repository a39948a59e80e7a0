/* SPDX-License-Identifier: MIT */
/*
 * sleep_counted.h - the least queue there can be for sleep_client.h: how many
 * tasks there are, in one word. The checker then spends its time on sleep.
 */
#ifndef SH_MODEL_SLEEP_COUNTED_H
#define SH_MODEL_SLEEP_COUNTED_H

#include "sleep_client.h"

static _Atomic uint32_t queued;

static void submit(void)
{
    sh_add_sc(&queued, 1); /* seq_cst: sleep */
    sh_sleep_notify(&sleepers);
}

static bool find(uint64_t *hint_out)
{
    uint32_t n = sh_load_sc(&queued); /* seq_cst: sleep */

    *hint_out = n;
    while (n > 0)
        if (sh_cas_sc(&queued, &n, n - 1)) /* seq_cst: sleep */
            return true;
    return false;
}

static bool look(void)
{
    return sh_load_sc(&queued) > 0; /* seq_cst: sleep, more */
}

#endif /* SH_MODEL_SLEEP_COUNTED_H */
