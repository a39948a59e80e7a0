/* SPDX-License-Identifier: MIT */
/*
 * future/ledger.c - the ledgers of a running task.
 *
 * A ledger is only a list of what to look at when the task ends: whether a
 * handle is still held stands in its own word. So giving one back costs
 * nothing here, and what is out of date is swept out when the list is full.
 *
 * Crash. Who repairs a run that died reads these lists, so a name is in its
 * list before its record can do anything, and a name whose record was never
 * accepted is as good as one that was given back. The name comes before the
 * count, and a larger list before the smaller one is freed.
 *
 * Edges.
 *   registry task/registry.c
 *   settled  future/settle.c
 *   noted    add: write the name, then count -> (a death) -> who ends the run:
 *            read count, then names
 */
#include <string.h>

#include "future/combine.h"

static void put(struct sh_run *run, uint64_t *names, uint32_t room)
{
    if (room > sizeof run->handles.few / sizeof *names)
        sh_heap_put(&run->pool->heap, names, room * sizeof *names);
}

void sh_ledger_fini(struct sh_run *run, struct sh_ledger *l)
{
    uint64_t *names = l->names;
    uint32_t room = l->room;

    /* First, so that who repeats this reads no names that are gone. */
    sh_store_bare_rel(&l->count, 0); /* release: noted */
    sh_store_bare_rel(&l->room, 0);  /* release: noted */
    put(run, names, room);
}

static bool is_open_promise(uint64_t handle)
{
    /* acquire: registry */
    struct sh_pool *pool =
        sh_load_acq(&sh_self()->pools[sh_handle_pool(handle)]);
    uint64_t w;

    if (pool == NULL)
        return false;
    /* acquire: settled */
    w = sh_load_acq(&sh_record_at(pool, sh_handle_index(handle))->state);
    return sh_handle_same_use(handle, w) && (w & SH_KEPT) != 0;
}

/* Of a worker process, also what is lent: to a queue that dies with it. */
static bool is_worth(const struct sh_run *run, uint64_t handle, bool promise)
{
    enum sh_handle_use use = run->pool->shared ? SH_LOOK : SH_OWN;
    unsigned id = sh_handle_pool(handle);
    struct sh_ref ref;
    bool worth;

    if (!sh_pool_enter(id))
        return false;
    worth = promise ? is_open_promise(handle)
                    : sh_handle_find(handle, use, &ref) == 0 ||
                          sh_is_pending_child(run, handle);
    sh_pool_exit(id);
    return worth;
}

static void sweep(const struct sh_run *run, struct sh_ledger *l, bool promise)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < l->count; i++)
        if (is_worth(run, l->names[i], promise))
            l->names[kept++] = l->names[i];
    l->count = kept;
}

static void grow(struct sh_run *run, struct sh_ledger *l)
{
    uint32_t room = l->room * 2;
    uint64_t *old = l->names;
    uint64_t *more = sh_heap_scratch(&run->pool->heap, room * sizeof *more);

    if (more == NULL)
        return;
    memcpy(more, old, l->count * sizeof *more);
    sh_store_bare_rel(&l->names, more); /* release: noted */
    l->room = room;
    put(run, old, room / 2);
}

static void add(struct sh_run *run, struct sh_ledger *l, uint64_t handle,
                bool promise)
{
    if (SH_UNLIKELY(l->room == 0)) {
        l->names = l->few;
        l->room = sizeof l->few / sizeof l->few[0];
    }
    if (SH_UNLIKELY(l->count == l->room)) {
        sweep(run, l, promise);
        if (l->count > l->room / 2)
            grow(run, l);
    }
    if (l->count < l->room) {
        l->names[l->count] = handle;
        sh_store_bare_rel(&l->count, l->count + 1); /* release: noted */
    } else {
        run->unnoted = true;
    }
}

void sh_run_note(struct sh_run *run, uint64_t handle)
{
    add(run, &run->handles, handle, false);
}

void sh_run_note_promise(struct sh_run *run, uint64_t handle)
{
    add(run, &run->promises, handle, true);
}

void sh_run_lend(struct sh_run *run, uint64_t handle)
{
    struct sh_ledger *l = &run->handles;

    /* Handles are mostly lent in the order in which the task got them, or just
     * when it did: so the next one is found at once. */
    for (uint32_t n = 0, i = l->at; n < l->count; n++, i++) {
        if (i >= l->count)
            i = 0;
        if (l->names[i] == handle) {
            l->names[i] |= SH_HANDLE_LENT;
            l->at = i + 1;
            return;
        }
    }
}

/* The name of a handle that was lent, where the next one of those is looked for
 * first; or NULL. */
static uint64_t *find_lent(struct sh_run *run, uint64_t handle)
{
    struct sh_ledger *l = &run->handles;

    for (uint32_t n = 0, i = l->at; n < l->count; n++, i++) {
        if (i >= l->count)
            i = 0;
        if (l->names[i] == (handle | SH_HANDLE_LENT)) {
            l->at = i + 1;
            return &l->names[i];
        }
    }
    return NULL;
}

bool sh_run_unlend(struct sh_run *run, uint64_t handle)
{
    uint64_t *name = find_lent(run, handle);

    if (name != NULL)
        *name = handle;
    return name != NULL;
}

void sh_run_regain(struct sh_run *run, uint64_t handle)
{
    if (!sh_run_unlend(run, handle))
        sh_run_note(run, handle);
}

void sh_run_take_on(struct sh_run *run, struct sh_run *lender, uint64_t hint,
                    uint64_t handle)
{
    struct sh_record *r = sh_record_at(run->pool, sh_hint_index(hint));
    uint64_t w = sh_load_acq(&r->state); /* acquire: settled */
    uint64_t *name;

    /* relaxed: of our own thread */
    if (lender == run || sh_generation_of(w) != sh_hint_generation(hint) ||
        sh_load_rlx(&r->input) != (uintptr_t)lender)
        return;
    /* First, so that one of the two has it if we die. */
    sh_run_note(run, handle);
    name = find_lent(lender, handle);
    if (name != NULL)
        *name = 0;
}

struct sh_block *sh_run_hold(struct sh_run *run, uint64_t handle)
{
    struct sh_block *b =
        sh_block_new(&run->pool->heap, sizeof handle, SH_BLOCK_HANDLE);

    if (b == NULL)
        return NULL;
    *(uint64_t *)sh_block_bytes(b) = handle;
    b->owner = run->index;
    sh_blocks_add(&run->blocks, b);
    return b;
}
