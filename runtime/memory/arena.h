/* SPDX-License-Identifier: MIT */
/*
 * memory/arena.h - memory that several processes have at one address.
 *
 *     range    | window | window (an arena) | ...           reserved, no memory
 *     arena    | struct sh_arena | pages that were handed out | untouched ...
 *
 * Idea. A program that will have process pools reserves one large range of
 * addresses before it forks the first process of its own. Each pool's arena is
 * a memfd that is mapped over a window of it, in the host and in every worker,
 * so a pointer into it means the same everywhere, and no mapping of either
 * process can have taken the place meanwhile. The memfd is as large as its
 * window and takes only what is touched; it has no name, so that nothing
 * remains of it when the last process ends; and it is sealed, so that nobody
 * who has it can cut it and have others fault.
 *
 * Pages are handed out in address order and go back with the arena alone;
 * until then their content can be given back (discard).
 *
 * Crash. A death between taking pages and noting them somewhere loses their
 * addresses until the arena goes, and no memory, since they are untouched.
 *
 * Fork. A child of the host has the range, and the arenas in it, but none of
 * its own: sh_range_reserve asks the system anew there.
 */
#ifndef SH_MEMORY_ARENA_H
#define SH_MEMORY_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/mark.h"
#include "memory/pages.h"

struct sh_arena {
    size_t bytes;         /* of the window, this struct included */
    _Atomic size_t taken; /* handed out, from the start; pages */
    int fd;               /* of the host */
    struct sh_mark mark;  /* of fd */
};

/* Reserve the range, if this process has not yet: before its first fork. Much,
 * halved until it maps. False if the system refuses even a little. */
bool sh_range_reserve(void);

/* How large it is; 0: there is none. */
size_t sh_range_bytes(void);

/* Whether p lies in the range, and so perhaps in an arena. */
bool sh_range_has(const void *p);

/* An arena of as many bytes as there are, least..most, in the range and by
 * RLIMIT_FSIZE; its pages are zero. NULL with errno if the system refuses, or
 * the range is used up (ENOMEM). */
struct sh_arena *sh_arena_new(size_t least, size_t most);

/* Unmap it here, and close the descriptor. */
void sh_arena_free(struct sh_arena *a);

/* Whether the descriptor is still the arena's, and not closed by the host. */
static inline bool sh_arena_has_file(const struct sh_arena *a)
{
    return sh_mark_is_of(a->mark, a->fd);
}

/* In a process that shares the range: map the arena that has that descriptor,
 * address and size, as the host has it. False with errno. */
bool sh_arena_attach(int fd, void *at, size_t bytes);

/* Fresh pages, all zero; NULL if none are left. With a NULL arena: pages of
 * this process alone, as sh_pages_map has them. Any process. */
void *sh_arena_map(struct sh_arena *a, size_t bytes, enum sh_pages_how how);

/* Pages of map go back: of an arena only their content does. */
void sh_arena_unmap(struct sh_arena *a, void *pages, size_t bytes);

/* Their content is not needed: what is read afterwards is zero, or the old
 * content if the system refused. */
void sh_arena_discard(struct sh_arena *a, void *pages, size_t bytes);

static inline bool sh_arena_has(const struct sh_arena *a, const void *p)
{
    return (uintptr_t)p - (uintptr_t)a < a->bytes;
}

#endif /* SH_MEMORY_ARENA_H */
