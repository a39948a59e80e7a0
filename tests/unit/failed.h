/* SPDX-License-Identifier: MIT */
/*
 * unit/failed.h - a record and a pool that a test has filled in itself, for
 * errors to be made of. What is left of them at a claim's end is freed, and
 * counted: nothing is freed twice or not at all.
 */
#ifndef SH_UNIT_FAILED_H
#define SH_UNIT_FAILED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "shunt/shunt.h"
#include "task/error.h"

static struct sh_pool pool;
static struct sh_record record;
static const shunt_task task = { .size_ = sizeof task, .fn_ = "fetch" };

static int failed_make(void **state)
{
    (void)state;
    memset((void *)&pool, 0, sizeof pool);
    memset((void *)&record, 0, sizeof record);
    record.task = &task;
    record.where = "here.c:12";
    return sh_heap_init(&pool.heap, 1 << 20, false) ? 0 : -1;
}

static int failed_unmake(void **state)
{
    struct sh_block *b = atomic_load(&record.attached);

    (void)state;
    sh_fault_clear();
    while (b != NULL) {
        struct sh_block *next = b->next;

        sh_block_unlink(b);
        sh_block_free(b);
        b = next;
    }
    assert_int_equal(atomic_load(&pool.heap.bytes), 0);
    sh_heap_fini(&pool.heap);
    return 0;
}

#endif /* SH_UNIT_FAILED_H */
