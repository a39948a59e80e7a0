/* SPDX-License-Identifier: MIT */
/*
 * memory/slices.h - the heap that the processes of a pool share.
 *
 *     get      claim slices -> carve -> make a row
 *     put      name -> FREED; then, as the slice is:
 *                mine      take it back
 *                OWNED     mail to its owner, who takes it back when it
 *                          allocates next
 *                ORPHAN    sweep: is it empty now?
 *     retire   the scratch of a dead process goes, its slices become orphans
 *
 * Idea. Each process is an owner, with a number: it claims slices of the
 * region (directory.h) and carves blocks out of them (carve.h), and nobody
 * else does, so that allocating takes no lock that another process could have
 * died with. Any process may free any block: that is one step of the name in
 * the block's row, which also shows a block that is freed twice. The owner
 * gets to know by bits, which only say where to look: one too many does no
 * harm, and one too few is made good when the process is retired that did not
 * come to set it.
 *
 * Of a dead process, what was its own alone goes, and what it had published
 * stays where it is. An orphan is nobody's to allocate in; pages without a
 * block go at once, the rest with the last block. Who frees a block of it
 * sweeps it, alone, and looks again if others freed something meanwhile.
 *
 * Edges.
 *   row    directory.h
 *   slice    directory.h
 *   touched  directory.h
 *   freed    free: name FREED -> take back, sweep        what it held is unused
 *   orphan   free: name FREED, read the slice's word <->
 *            retire, sweep: the slice's word, read names    one sees the other
 *   mail     free: bit, slice, owner <-> drain: owner, slice, bit
 *            one sees the other
 *
 * Crash. A death in get leaves no block, or one that is the process's scratch.
 * In put: the name is FREED, or it still is a block, and who redoes it names it
 * (put_named) so as not to free one that came after. What comes after the step
 * is repaired by retire: it tells all owners to look everywhere, sweeps all
 * that the dead one swept, and all orphans. In join: nothing is shared yet.
 * Retire can be cut short anywhere and be done again, by any process that has
 * joined, when the one that died in it is retired too.
 *
 * Fork. A child has nothing of its parent's part, and joins as another owner.
 */
#ifndef SH_MEMORY_SLICES_H
#define SH_MEMORY_SLICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory/directory.h"

/* For that many bytes of blocks, and for a quarter more in which to keep the
 * directory. NULL if the arena has not so much. */
struct sh_slices *sh_slices_new(struct sh_arena *a, size_t bytes);

/* This process allocates as owner from now on. One process at a time has that
 * number, and the one before it was retired. False if there is no memory. */
bool sh_slices_join(struct sh_slices *s, unsigned owner);

/* Of a thread that stands in for a process: it ends, and so does what it has
 * for it by itself, as with a process. Its slices are to be retired. */
void sh_slices_forget(struct sh_slices *s);

/* The pool is going: what this process has for it by itself goes. */
void sh_slices_leave(struct sh_slices *s);

/* 16-aligned; the scratch of this process. NULL if there is no memory. Any
 * thread of a process that has joined. */
void *sh_slices_get(struct sh_slices *s, size_t size);

/* Free it: p is where a block of any process begins. False if it is not, and
 * then nothing has changed. */
bool sh_slices_put(struct sh_slices *s, void *p);

/* The same, if it has that name: of a redo, which may come late. */
bool sh_slices_put_named(struct sh_slices *s, void *p, uint64_t name);

/* p, a block that the caller alone has, is called name from now on. */
void sh_slices_publish(struct sh_slices *s, void *p, uint64_t name);

/* The same, if it was called from: of several who try one can. */
bool sh_slices_rename(struct sh_slices *s, void *p, uint64_t from, uint64_t to);

/* What this process has for itself is called so: for publish and rename. */
uint64_t sh_slices_scratch(struct sh_slices *s);

/* The process that was owner is dead. The bytes of the blocks that died with
 * it. One caller at a time. */
size_t sh_slices_retire(struct sh_slices *s, unsigned owner);

/* Free each block of which keep says no. Blocks that come or go meanwhile may
 * be seen or not. Their bytes. */
typedef bool sh_slices_keep(void *arg, void *p, size_t size, uint64_t name);
size_t sh_slices_filter(struct sh_slices *s, sh_slices_keep *keep, void *arg);

/* The bytes that live blocks were asked for with. */
size_t sh_slices_bytes(struct sh_slices *s);

/* Take back what others have freed, and have what is free take no memory:
 * before a process sleeps for long. */
void sh_slices_trim(struct sh_slices *s);

/* Where the block begins that p points into; NULL if there is none. */
static inline void *sh_slices_find(struct sh_slices *s, const void *p)
{
    return sh_directory_find(s, p);
}

static inline bool sh_slices_knows(struct sh_slices *s, const void *p)
{
    return sh_slices_find(s, p) != NULL;
}

#endif /* SH_MEMORY_SLICES_H */
