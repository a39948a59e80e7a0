/* SPDX-License-Identifier: MIT */
/*
 * worker/leaving.c - what a spawned call that was taken leaves to its task.
 *
 *     handles | promises | the text of a failure, or whose failure it is
 *
 * Idea. It lies in a block of the call's own, which goes along with its value:
 * so it is there as long as that is, whoever dies.
 *
 * Edges.
 *   noted    future/ledger.c
 *   ran      worker/frames.c
 *
 * Crash. The call tells what it has before it gives it up, so a death in
 * between leaves two who name the same; but a handle says by itself whether it
 * was given back, and a task whose call has died does not take over what that
 * has told.
 */
#include <string.h>

#include "shunt/memory.h"
#include "worker/frames.h"

struct sh_leaving {
    uint32_t handles, promises;
    size_t text_bytes; /* behind the names; 0: none */
    uint64_t fail_as;
    int fail_code;
    uint64_t names[];
};

/* There was no memory to say what it leaves. */
static struct sh_leaving unnoted;

static char *text_of(struct sh_leaving *l)
{
    return (char *)(l->names + l->handles + l->promises);
}

static void fill(struct sh_leaving *l, const struct sh_run *run)
{
    *l = (struct sh_leaving){ .handles = run->handles.count,
                              .promises = run->promises.count,
                              .text_bytes = run->text == NULL ? 0
                                                              : run->text_bytes,
                              .fail_as = run->fail_as,
                              .fail_code = run->fail_code };
    if (l->handles > 0)
        memcpy(l->names, run->handles.names, l->handles * sizeof *l->names);
    if (l->promises > 0)
        memcpy(l->names + l->handles, run->promises.names,
               l->promises * sizeof *l->names);
    if (l->text_bytes > 0)
        memcpy(text_of(l), run->text, l->text_bytes);
}

struct sh_leaving *sh_leaving_gather(struct sh_run *run)
{
    uint32_t names = run->handles.count + run->promises.count;
    struct sh_leaving *l = NULL;

    if (names == 0 && run->text == NULL && run->fail_as == 0 && !run->unnoted)
        return NULL;
    if (!run->unnoted)
        l = shunt_alloc(sizeof *l + names * sizeof *l->names +
                        (run->text == NULL ? 0 : run->text_bytes));
    if (l != NULL)
        fill(l, run);
    /* The text goes, as that of a shunt_fail without memory does. */
    return l != NULL || (names == 0 && !run->unnoted) ? l : &unnoted;
}

void sh_leaving_left(struct sh_run *run, const struct sh_leaving *l)
{
    if (l == NULL)
        return;
    sh_ledger_fini(run, &run->handles);
    sh_ledger_fini(run, &run->promises);
    run->unnoted = false;
    if (l != &unnoted)
        run->fail_as = 0;
}

static void note(struct sh_run *run, const struct sh_leaving *l)
{
    if (l == NULL)
        return;
    run->unnoted = run->unnoted || l == &unnoted;
    for (uint32_t i = 0; i < l->handles; i++)
        sh_run_note(run, l->names[i]);
    for (uint32_t i = 0; i < l->promises; i++)
        sh_run_note_promise(run, l->names[l->handles + i]);
}

void sh_leaving_absorb(struct sh_run *run, struct sh_leaving *l)
{
    note(run, l);
    if (l == NULL || (l->text_bytes == 0 && l->fail_as == 0))
        return;
    /* As if it were said now, as by a call that nobody takes. */
    if (l->fail_as != run->fail_as)
        sh_give_now(run->fail_as);
    run->fail_as = l->fail_as;
    run->fail_code = l->fail_code;
    if (l->text_bytes == 0)
        return;
    sh_run_forget_text(run);
    run->text_bytes = l->text_bytes;
    run->text = sh_heap_scratch(&run->pool->heap, l->text_bytes);
    if (run->text != NULL)
        memcpy(run->text, text_of(l), l->text_bytes);
}

void sh_leaving_drop(struct sh_run *run, const struct sh_leaving *l)
{
    note(run, l);
    if (l != NULL)
        sh_give_now(l->fail_as);
}

void sh_leaving_free(struct sh_leaving *l)
{
    if (l != NULL && l != &unnoted)
        (void)shunt_free(l);
}
