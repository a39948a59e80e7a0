/* SPDX-License-Identifier: MIT */
/*
 * future/value.c - looking at a future that has settled, and giving it back.
 *
 * Edges.
 *   settled  future/settle.c -> here: the value and the error
 *   idle     here: CAS to RELEASING -> dispose
 *   attached task/error.c
 *   death    process/recover.c
 */
#include <stdlib.h>
#include <string.h>

#include "future/settle.h"
#include "future/timer.h"
#include "future/value.h"
#include "task/data.h"
#include "task/error.h"

SH_HOT bool sh_value_of(const struct sh_ref *ref, struct sh_value *value_out)
{
    static shunt_results none;
    struct sh_ref origin = *ref;

    if (!sh_find_origin(&origin))
        return false;
    if (origin.record == NULL && origin.reserved == SH_RESERVED_EMPTY) {
        *value_out = (struct sh_value){ &none, sizeof none,
                                        _Alignof(shunt_results),
                                        "shunt_results", true };
        return true;
    }
    if (origin.record == NULL || !sh_is_settled(origin.word) ||
        sh_outcome_of(origin.word) != 0)
        return false;
    *value_out = sh_record_value(origin.record);
    return true;
}

int shunt_status(shunt_future *f)
{
    struct sh_ref ref;
    int rc = sh_handle_find(sh_handle_of(f), SH_LOOK, &ref);

    return rc != 0 ? rc : sh_ref_tell(&ref);
}

bool sh_type_is(const char *a, const char *b)
{
    static const char word[] = "struct ";

    if (a == NULL || b == NULL || a[0] == '\0' || b[0] == '\0')
        return true;
    if (strncmp(a, word, sizeof word - 1) == 0)
        a += sizeof word - 1;
    if (strncmp(b, word, sizeof word - 1) == 0)
        b += sizeof word - 1;
    for (;; a++, b++) {
        while (*a == ' ')
            a++;
        while (*b == ' ')
            b++;
        if (*a != *b || *a == '\0')
            return *a == *b;
    }
}

#ifdef SH_CHECKS
enum {
    CHECK_NAMES = 1
};
#else
enum {
    CHECK_NAMES = 0
};
#endif

const void *shunt_peek_typed(shunt_future *f, size_t size, size_t align,
                             const char *type)
{
    struct sh_ref ref;
    struct sh_value v;

    if (sh_handle_find(sh_handle_of(f), SH_LOOK, &ref) != 0)
        return NULL;
    if (!sh_value_of(&ref, &v)) {
        (void)sh_ref_tell(&ref); /* no value is an answer, too */
        return NULL;
    }
    if (v.size != size || v.align != align)
        return NULL;
    if (CHECK_NAMES && !sh_type_is(v.type, type))
        return NULL;
    return v.bytes;
}

const shunt_error *sh_error_of(const struct sh_ref *ref)
{
    struct sh_ref origin = *ref;

    if (!sh_find_origin(&origin))
        return sh_error_constant(SHUNT_ECLOSED);
    if (origin.record == NULL)
        return sh_error_constant(sh_reserved_status(origin.reserved));
    if (!sh_is_settled(origin.word))
        return sh_error_constant(0);
    return sh_error_find(origin.record, sh_outcome_of(origin.word));
}

const shunt_error *sh_error_seen(shunt_future *f)
{
    struct sh_ref ref;
    int rc = sh_handle_find(sh_handle_of(f), SH_LOOK, &ref);

    if (rc != 0)
        return sh_error_constant(rc);
    (void)sh_ref_tell(&ref);
    return sh_error_of(&ref);
}

const shunt_error *shunt_error_of(shunt_future *f)
{
    return sh_error_tell(sh_error_seen(f));
}

const shunt_error *shunt_last_error(void)
{
    struct sh_run *run = sh_here.run;
    shunt_error *e = run != NULL ? run->last : sh_here.last;

    if (e != NULL)
        sh_copy_tell(e);
    return e != NULL ? e
                     : sh_error_constant(run != NULL ? run->last_code
                                                     : sh_here.last_code);
}

void sh_remember_error(const shunt_error *error)
{
    struct sh_run *run = sh_here.run;
    shunt_error **last = run != NULL ? &run->last : &sh_here.last;

    sh_error_free(*last);
    *last = run != NULL || sh_here_keep() ? sh_error_copy(error) : NULL;
    if (run != NULL)
        run->last_code = error->code;
    else
        sh_here.last_code = error->code;
}

int sh_refuse(int code, const char *why)
{
    shunt_error error = *sh_error_constant(code);

    if (why != NULL)
        error.message = why;
    sh_remember_error(&error);
    return code;
}

/* A block that was taken out of the list of a record goes to the running task,
 * or to the caller; a handle that cannot is added to `left`. */
static void move_block(struct sh_block *b, struct sh_run *run, bool ours,
                       struct sh_blocks *left)
{
    sh_block_unlink(b);
    if (ours) {
        b->owner = run->index;
        sh_blocks_add(&run->blocks, b);
    } else if (b->kind == SH_BLOCK_HANDLE) {
        sh_blocks_add(left, b);
    } else {
        sh_heap_loosen(b->heap, b);
    }
}

/* The memory of a record, whose only handle the caller has, goes along. Nobody
 * else takes out of its list; code that was given up may yet push on it. */
static void move_blocks(struct sh_pool *pool, struct sh_record *r,
                        struct sh_blocks *left)
{
    struct sh_run *run = sh_here.run;
    struct sh_block *b = sh_load_acq(&r->attached); /* acquire: attached */
    struct sh_block *before = NULL, *next;

    for (; b != NULL; b = next) {
        bool ours = run != NULL && b->heap == &run->pool->heap;

        next = b->next;
        if (b->kind != SH_BLOCK_USER && b->kind != SH_BLOCK_HANDLE) {
            before = b;
            continue;
        }
        /* It goes with our process if that dies before the run has it. */
        sh_attach_say(pool, r, b);
        if (before != NULL) {
            sh_store_bare_rel(&before->next, next); /* release: death */
        } else if (!sh_cas_acqrel(&r->attached, &b, next)) { /* acq_rel:
                                                              * attached */
            next = b; /* another was pushed: from there once more */
            continue;
        }
        if (ours)
            sh_block_scrap(b);
        sh_attach_say(pool, r, NULL);
        move_block(b, run, ours, left);
    }
}

/* The next record whose memory belongs to a value: what ref's record forwards
 * to, what its step inherits. False if there is none, or others hold it. */
static SH_HOT bool find_next(struct sh_ref *ref)
{
    uint64_t input = sh_load_rlx(&ref->record->input); /* relaxed: settled */
    unsigned kind = sh_load_rlx(&ref->record->kind);   /* relaxed: settled */

    return kind != SH_KIND_PROMISE && input != 0 &&
           (!sh_kind_combines(kind) ||
            sh_outcome_of(ref->word) == SH_OUTCOME_FORWARD) &&
           sh_handle_find(input, SH_LOOK, ref) == 0 && ref->record != NULL &&
           sh_handle_is_sole(ref);
}

static SH_HOT void move_chain(struct sh_ref ref, struct sh_blocks *left)
{
    if (ref.record == NULL || !sh_handle_is_sole(&ref))
        return;
    do {
        move_blocks(ref.pool, ref.record, left);
    } while (find_next(&ref));
}

/* ref's value has been taken: if it is the only handle, so is the memory of
 * its record, and of those that it keeps for it. */
static void move_memory(const struct sh_ref *taken)
{
    struct sh_blocks left = { NULL };
    struct sh_work work = { 0 };

    move_chain(*taken, &left);
    while (left.first != NULL) {
        struct sh_block *b = left.first;
        uint64_t handle = *(uint64_t *)sh_block_bytes(b);
        struct sh_ref ref;

        sh_blocks_remove(&left, b);
        sh_block_free(b);
        if (sh_handle_find(handle, SH_LOOK, &ref) == 0)
            move_chain(ref, &left);
        sh_work_give(&work, handle);
    }
    sh_work_do(&work);
}

/* Whether tasks are still at work that use the memory of a value. */
static bool is_kept(struct sh_ref ref)
{
    if (ref.record == NULL || !sh_handle_is_sole(&ref))
        return false;
    do {
        if ((ref.word & SH_KEPT) != 0)
            return true;
    } while (find_next(&ref));
    return false;
}

/* Give a handle back, and free what nobody holds. */
static int give(struct sh_ref *ref)
{
    struct sh_work work = { 0 };
    uint64_t handle = ref->handle;
    bool over = sh_is_settled(ref->word) && (ref->word & SH_BUSY) == 0;
    enum sh_given given;

    if (ref->record == NULL)
        return 0;
    sh_work_let_go(&work, ref);
    given = sh_handle_give(ref);
    if (given == SH_GIVEN_LAST)
        sh_work_free(&work, ref->pool, ref->record);
    sh_work_do(&work);
    if (given == SH_GIVEN_INVALID)
        return SHUNT_EINVAL;
    /* What is pending, or runs on, stays noted: it may use memory of the task.
     */
    if (sh_here.run != NULL && over)
        sh_run_forget(sh_here.run, handle);
    return 0;
}

int shunt_release(shunt_future *f)
{
    uint64_t handle = sh_handle_of(f);
    struct sh_pool *pool;
    struct sh_record *r;
    struct sh_ref ref;
    uint64_t w;
    int rc;

    if (sh_plain_find(handle, &pool, &r, &w) &&
        sh_plain_free(handle, pool, r, w))
        return 0;
    rc = sh_handle_find(handle, SH_OWN, &ref);
    return rc != 0 ? rc : give(&ref);
}

shunt_future *shunt_retain(shunt_future *f)
{
    struct sh_ref ref;
    struct sh_seat *seat;
    uint64_t handle;

    if (sh_handle_find(sh_handle_of(f), SH_LOOK, &ref) != 0)
        return NULL;
    if (ref.record == NULL)
        return f; /* reserved handles need not be counted */
    seat = sh_seat_of(ref.pool);
    handle = seat == NULL ? 0 : sh_handle_alias(seat, &ref, sh_here.run);
    return sh_handle_future(handle);
}

/* The handle is the running task's memory from now on; its block names it
 * before it is lent, as future/undo.c has it. False if it is good no more. */
static bool lend_to_run(struct sh_run *run, struct sh_ref *ref)
{
    struct sh_block *b = sh_run_hold(run, ref->handle | SH_HANDLE_LENT);

    if (sh_handle_lend(ref, 0))
        return true;
    if (b != NULL) {
        sh_blocks_remove(&run->blocks, b);
        sh_block_free(b);
    }
    return false;
}

/* Move the value of a settled future out and give its handle back. */
static int take_value(struct sh_ref *ref, void *out, size_t size)
{
    struct sh_value v;
    int rc = 0;

    if (!sh_value_of(ref, &v))
        rc = SHUNT_EINVAL;
    else if (v.lent_only || (size != 0 && size != v.size))
        rc = SHUNT_EINVAL;
    else if (out != NULL)
        memcpy(out, v.bytes, v.size);
    else if (v.size > sizeof(shunt_none))
        rc = SHUNT_EINVAL;
    if (rc == 0 && sh_here.run != NULL && is_kept(*ref) &&
        lend_to_run(sh_here.run, ref))
        return 0;
    if (rc == 0)
        move_memory(ref);
    if (give(ref) != 0)
        return SHUNT_EINVAL;
    return rc;
}

SH_HOT int sh_take_settled(struct sh_ref *ref, int status, void *out,
                           size_t size, bool joins)
{
    if (status != 0) {
        (void)sh_ref_tell(ref);
        sh_remember_error(sh_is_settled(ref->word) || ref->record == NULL
                              ? sh_error_of(ref)
                              : sh_error_constant(status));
        if (give(ref) != 0)
            return SHUNT_EINVAL;
        return status;
    }
    if (joins)
        return give(ref);
    status = take_value(ref, out, size);
    if (status != 0)
        sh_remember_error(sh_error_constant(status));
    return status;
}

int shunt_cancel(shunt_future *f)
{
    struct sh_work work = { 0 };
    struct sh_ref ref;
    int rc;

    if (sh_cancel_plain(sh_handle_of(f)))
        return 1;
    rc = sh_handle_find(sh_handle_of(f), SH_LOOK, &ref);
    if (rc != 0)
        return rc;
    if (ref.record == NULL)
        return 0;
    rc = sh_cancel_ask(&work, ref.pool, ref.record, sh_generation_of(ref.word));
    if (SH_UNLIKELY(ref.pool->shared) && rc == 1)
        sh_grace_begin(ref.pool, ref.record, sh_generation_of(ref.word));
    sh_work_do(&work);
    return rc;
}
