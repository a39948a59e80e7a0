/* SPDX-License-Identifier: MIT */
/*
 * fork/uts_sha1.c - SHA-1 by libcrypto.
 */
/* What replaces these functions allocates memory for every hash. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include "fork/uts.h"

bool bench_uts_hashes(void)
{
    return true;
}

void bench_uts_hash(const uint8_t *bytes, size_t n,
                    uint8_t hash[BENCH_UTS_BYTES])
{
    SHA_CTX context;

    SHA1_Init(&context);
    SHA1_Update(&context, bytes, n);
    SHA1_Final(hash, &context);
}
