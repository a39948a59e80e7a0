/* SPDX-License-Identifier: MIT */
/*
 * worker/pointers.c - SHUNT_CHECK=pointers: words that no other process could
 * follow.
 *
 * Idea. A word that, read as an address, lies in an anonymous private mapping
 * of this process (its heap, its threads' stacks) points to private memory,
 * unless that is a block of the pool, a record of it, or the stack of one of
 * its tasks. What a task returns must not point to its own stack either. Code,
 * constants and static data are mapped from files, and are the same in every
 * process of a pool. A number may look like such an address: the check is for
 * tests, not for service.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "memory/arena.h"
#include "task/error.h"
#include "worker/worker.h"

/* Whether address lies in private memory of a process, by what the kernel says
 * of the mapping. */
static bool is_private_of(pid_t pid, uintptr_t address)
{
    char line[512];
    bool found = false;
    FILE *maps;

    snprintf(line, sizeof line, "/proc/%d/maps", (int)pid);
    maps = fopen(line, "re");
    if (maps == NULL)
        return false;
    while (!found && fgets(line, sizeof line, maps) != NULL) {
        uintptr_t from, to;
        unsigned long inode;
        char access[5], kind[64] = "";

        if (sscanf(line, "%lx-%lx %4s %*s %*s %lu %63s", &from, &to, access,
                   &inode, kind) < 4)
            continue;
        if (address < from || address >= to)
            continue;
        found = inode == 0 && access[1] == 'w' && access[3] == 'p';
        break;
    }
    fclose(maps);
    return found;
}

/* Of the host, as it is now, or of the worker process that looks. */
static bool is_private(const struct sh_pool *pool, uintptr_t address)
{
    if (pool->shared && sh_arena_has(pool->arena, (const void *)address))
        return false;
    return is_private_of(pool->team->host, address) ||
           (sh_self()->served != NULL && is_private_of(getpid(), address));
}

static bool in_table(const struct sh_table *t, uintptr_t address)
{
    return address - (uintptr_t)t->items < t->stride * t->capacity;
}

/* The stack that we are on is a task's; others cannot be told from the
 * outside, but for those that their fibers name. */
static bool on_stack(const struct sh_worker *w, uintptr_t address)
{
    const struct sh_fiber *f = w->fiber;

    return address - (uintptr_t)f->stack_low <
           f->stack_bytes + sizeof(struct sh_fiber);
}

static bool is_bad(struct sh_pool *pool, uintptr_t address, bool ends)
{
    struct sh_worker *w = sh_worker_here();

    if (address < 4096)
        return false;
    if (sh_heap_knows(&pool->heap, (const void *)address) ||
        in_table(&pool->records, address))
        return false;
    if (w != NULL && on_stack(w, address))
        return ends;
    return is_private(pool, address);
}

ptrdiff_t sh_pointers_check(struct sh_pool *pool, const void *bytes,
                            size_t size, bool ends)
{
    const char *at = bytes;
    size_t skip = (size_t)(-(uintptr_t)bytes) % sizeof(uintptr_t);

    for (size_t i = skip; i + sizeof(uintptr_t) <= size;
         i += sizeof(uintptr_t)) {
        uintptr_t word;

        memcpy(&word, at + i, sizeof word);
        if (is_bad(pool, word, ends))
            return (ptrdiff_t)i;
    }
    return -1;
}

SH_COLD bool sh_pointers_pass(struct sh_run *run, const char *what,
                              const void *bytes, size_t size, unsigned attempts)
{
    ptrdiff_t at;
    struct sh_failure f = { .code = SHUNT_EINVAL, .attempts = attempts };
    char text[160];

    if (bytes == NULL)
        return true;
    at = sh_pointers_check(run->pool, bytes, size, attempts > 0);
    if (at < 0)
        return true;
    snprintf(text, sizeof text,
             "%s holds, at offset %td, a pointer to private memory of the "
             "host: allocate it with shunt_alloc or shunt_pool_alloc",
             what, at);
    f.text = text;
    sh_error_attach(run->pool, run->record, &f);
    return false;
}
