/* SPDX-License-Identifier: MIT */
/*
 * fork/uts_none.c - no SHA-1, as there is no libcrypto: no rows of UTS.
 */
#include <string.h>

#include "fork/uts.h"

bool bench_uts_hashes(void)
{
    return false;
}

void bench_uts_hash(const uint8_t *bytes, size_t n,
                    uint8_t hash[BENCH_UTS_BYTES])
{
    (void)bytes;
    (void)n;
    memset(hash, 0, BENCH_UTS_BYTES);
}
