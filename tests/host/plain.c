/* SPDX-License-Identifier: MIT */
/*
 * host/plain.c - a program with a process pool, for under-gdb.sh and
 * under-valgrind.sh to look at.
 */
#include "host.h"

int main(void)
{
    shunt_pool *pool;
    int rc;

    if (host_open(NULL) != 0)
        return 1;
    host_begin();
    rc = host_pool(&pool);
    if (rc != 0) {
        puts(shunt_code_name(rc));
        return 0;
    }
    rc = host_works(pool);
    if (rc == 0 && shunt_pool_free(pool) == 0)
        puts("worked");
    return rc != 0;
}
