/* SPDX-License-Identifier: MIT */
/*
 * task/error.c - error records: see error.h.
 *
 * Edges.
 *   attached  attach: write the head -> find, free: read the head   the block
 *   told      task/trace.h
 *   death     process/recover.c
 */
#include "task/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "task/run.h"

/* clang-format off */
#define CONSTANT(name, value, sentence)                          \
    { .code = name, .task = "", .message = sentence, .where = "", \
      .backtrace = "", .culprit = "" },
static const shunt_error constants[] = {
    { .code = 0, .task = "", .message = "success", .where = "",
      .backtrace = "", .culprit = "" },
    SHUNT_ERRORS(CONSTANT)
};
/* clang-format on */

const shunt_error *sh_error_constant(int code)
{
    unsigned outcome = sh_outcome_from(code);

    SH_ASSERT(outcome < sizeof constants / sizeof constants[0]);
    return &constants[outcome];
}

bool sh_error_is_constant(const shunt_error *error)
{
    return error >= constants &&
           error < constants + sizeof constants / sizeof constants[0];
}

struct sh_block *sh_error_block(const shunt_error *error)
{
    SH_ASSERT(!sh_error_is_constant(error));
    return (struct sh_block *)(uintptr_t)error - 1;
}

bool sh_error_has_far_causes(const shunt_error *error)
{
    return !sh_error_is_constant(error) && sh_error_block(error)->far_causes;
}

/* Whether one of these causes lies in another pool, or has one that does. */
static bool are_far(const struct sh_pool *pool, const struct sh_failure *f)
{
    for (size_t i = 0; i < f->cause_count; i++)
        if (!sh_error_is_constant(f->causes[i]) &&
            (sh_error_block(f->causes[i])->heap != &pool->heap ||
             sh_error_block(f->causes[i])->far_causes))
            return true;
    return false;
}

/* Whether it has a backtrace that is not told, or one of its causes had when it
 * was made. */
static bool is_traced(const struct sh_failure *f)
{
    for (size_t i = 0; i < f->cause_count; i++)
        if (!sh_error_is_constant(f->causes[i]) &&
            sh_error_block(f->causes[i])->traced)
            return true;
    return f->untold != NULL;
}

const char *shunt_code_name(int code)
{
    switch (code) {
    case 0:
        return "success";
    case SHUNT_PENDING:
        return "SHUNT_PENDING";
#define NAME(name, value, sentence) \
    case name:                      \
        return #name;
        SHUNT_ERRORS(NAME)
    default:
        return "unknown";
    }
}

const char *shunt_code_text(int code)
{
    switch (code) {
    case 0:
        return "success";
    case SHUNT_PENDING:
        return "there is no outcome yet";
#define TEXT(name, value, sentence) \
    case name:                      \
        return sentence;
        SHUNT_ERRORS(TEXT)
    default:
        return "unknown";
    }
}

const char *sh_task_name_of(const shunt_task *t)
{
    if (t == NULL)
        return "";
    return t->traits_.name != NULL ? t->traits_.name : t->fn_;
}

const char *sh_task_name(const struct sh_record *r)
{
    return sh_task_name_of(r->task);
}

/* One readable sentence; returns its length as snprintf does. */
static int sentence(char *to, size_t size, const struct sh_failure *f,
                    const char *task)
{
    const char *text = f->text != NULL ? f->text : shunt_code_text(f->code);

    if (f->whole != NULL)
        return snprintf(to, size, "%s", f->whole);
    if (task[0] == '\0' && f->code == SHUNT_EFAILED && f->text == NULL)
        return snprintf(to, size, "failed with code %d", f->task_code);
    if (task[0] == '\0')
        return snprintf(to, size, "%s", text);
    if (f->code == SHUNT_EFAILED && f->text == NULL)
        return snprintf(to, size, "%s failed with code %d", task, f->task_code);
    if (f->code == SHUNT_EFAILED)
        return snprintf(to, size, "%s failed with code %d: %s", task,
                        f->task_code, text);
    if (f->code == SHUNT_ECRASHED && f->text != NULL)
        return snprintf(to, size, "%s %s", task, text);
    return snprintf(to, size, "%s: %s", task, text);
}

/* The failure that an error tells of, whose backtrace has been read. */
static struct sh_failure failure_of(const shunt_error *e, const char *backtrace)
{
    return (struct sh_failure){ .code = e->code,
                                .task_code = e->task_code,
                                .task = e->task,
                                .whole = e->message,
                                .where = e->where,
                                .attempts = e->attempts,
                                .signal = e->signal,
                                .exit_status = e->exit_status,
                                .address = e->address,
                                .backtrace = backtrace,
                                .untold = sh_untold_in(e, backtrace),
                                .collateral = e->collateral,
                                .culprit = e->culprit,
                                .user_ns = e->user_ns,
                                .system_ns = e->system_ns,
                                .max_rss_bytes = e->max_rss_bytes };
}

struct sh_failure sh_failure_of(const shunt_error *e)
{
    return failure_of(e, sh_backtrace_of(e));
}

static char *put(char *at, const char **to, const char *text)
{
    size_t bytes = strlen(text) + 1;

    memcpy(at, text, bytes);
    *to = at;
    return at + bytes;
}

/* Everything but the strings and the causes. */
static shunt_error error_of(const struct sh_failure *f)
{
    return (shunt_error){ .code = f->code,
                          .task_code = f->task_code,
                          .signal = f->signal,
                          .exit_status = f->exit_status,
                          .address = f->address,
                          .attempts = f->attempts,
                          .cause_count = f->cause_count,
                          .collateral = f->collateral,
                          .user_ns = f->user_ns,
                          .system_ns = f->system_ns,
                          .max_rss_bytes = f->max_rss_bytes };
}

/* What is not told goes directly behind the error; returns what follows. */
static char *put_untold(shunt_error *e, const struct sh_untold *untold)
{
    struct sh_untold *to = (void *)(e + 1);

    if (untold == NULL)
        return (char *)to;
    *to = *untold;
    memset(to->empty, 0, sizeof to->empty);
    e->backtrace = to->empty;
    return (char *)(to + 1);
}

static size_t untold_bytes(const struct sh_untold *untold)
{
    return untold == NULL ? 0 : sizeof *untold;
}

/* Scratch of this process, which a death takes with it. */
struct sh_block *sh_error_new(struct sh_pool *pool, const struct sh_record *r,
                              const struct sh_failure *f)
{
    const char *task = f->task != NULL ? f->task : sh_task_name(r);
    const char *where = f->where != NULL ? f->where : r->where;
    const char *backtrace =
        f->backtrace != NULL && f->untold == NULL ? f->backtrace : "";
    const char *culprit = f->culprit != NULL ? f->culprit : "";
    int length = sentence(NULL, 0, f, task);
    size_t message_bytes = length > 0 ? (size_t)length + 1 : 1;
    size_t causes_bytes = f->cause_count * sizeof(void *);
    size_t bytes = sizeof(shunt_error) + untold_bytes(f->untold) +
                   causes_bytes + message_bytes + strlen(task) +
                   strlen(backtrace) + strlen(culprit) + 3;
    struct sh_block *b = sh_block_new(&pool->heap, bytes, SH_BLOCK_ERROR);

    if (b == NULL)
        return NULL;
    b->far_causes = are_far(pool, f);
    b->traced = is_traced(f);
    shunt_error *e = sh_block_bytes(b);
    char *causes, *message, *at;

    *e = error_of(f);
    causes = put_untold(e, f->untold);
    e->causes = (void *)causes;
    if (causes_bytes > 0)
        memcpy(causes, f->causes, causes_bytes);
    message = causes + causes_bytes;
    message[0] = '\0';
    (void)sentence(message, message_bytes, f, task);
    e->message = message;
    e->where = where != NULL ? where : "";
    at = put(message + message_bytes, &e->task, task);
    if (f->untold == NULL)
        at = put(at, &e->backtrace, backtrace);
    (void)put(at, &e->culprit, culprit);
    return b;
}

void sh_error_attach(struct sh_pool *pool, struct sh_record *r,
                     const struct sh_failure *f)
{
    struct sh_block *b = sh_error_new(pool, r, f);

    if (b != NULL)
        sh_attach_new(pool, r, b);
}

void sh_attach_say(struct sh_pool *pool, struct sh_record *r,
                   const struct sh_block *b)
{
    struct sh_post *post = SH_LIKELY(!pool->shared) ? NULL : sh_post_here(pool);

    if (post == NULL)
        return;
    if (b != NULL)
        sh_store_rel(&post->attaching_to,
                     sh_index_of(pool, r)); /* release: death */
    sh_store_rel(&post->attaching, (uintptr_t)b); /* release: death */
}

void sh_attach_new(struct sh_pool *pool, struct sh_record *r,
                   struct sh_block *b)
{
    sh_attach_say(pool, r, b);
    sh_block_keep(b);
    sh_attach(r, b, b);
    sh_attach_say(pool, r, NULL);
}

void sh_attach_mend(struct sh_pool *pool, unsigned index)
{
    struct sh_post *post = &pool->posts[index];
    uint64_t b = sh_load_acq(&post->attaching);         /* acquire: death */
    uint64_t record = sh_load_acq(&post->attaching_to); /* acquire: death */
    struct sh_record *r = sh_record_at(pool, (uint32_t)record);
    const struct sh_block *at;

    if (b == 0)
        return;
    at = sh_load_acq(&r->attached); /* acquire: attached */
    while (at != NULL && (uintptr_t)at != b)
        at = at->next;
    if (at == NULL)
        sh_slices_publish(pool->heap.slices, (void *)(uintptr_t)b,
                          sh_name_scratch(SH_OWNER_WORKER(index)));
    sh_store_rel(&post->attaching, 0); /* release: death */
}

void sh_attach(struct sh_record *r, struct sh_block *first,
               struct sh_block *last)
{
    struct sh_block *head = sh_load_acq(&r->attached); /* acquire: attached */

    for (struct sh_block *b = first;; b = b->next) {
        if (sh_block_begins_as_scratch(b->kind))
            sh_block_keep(b);
        if (b == last)
            break;
    }
    do {
        last->next = head;
    } while (!sh_cas_acqrel(&r->attached, &head, first)); /* release: attached
                                                           */
}

const shunt_error *sh_error_find(struct sh_record *r, unsigned outcome)
{
    struct sh_block *b = sh_load_acq(&r->attached); /* acquire: attached */

    SH_ASSERT(outcome != SH_OUTCOME_FORWARD);
    /* What a task that was given up returned later is not its error. */
    while (b != NULL && (b->kind != SH_BLOCK_ERROR ||
                         ((shunt_error *)sh_block_bytes(b))->code !=
                             sh_outcome_code(outcome)))
        b = b->next;
    if (outcome == 0 || b == NULL)
        return sh_error_constant(sh_outcome_code(outcome));
    return sh_block_bytes(b);
}

/* -- copies -- */

/* Before a copy: how long all of it is. Aligned as what follows. */
struct extent {
    _Alignas(16) size_t bytes;
};

static size_t rounded(size_t bytes)
{
    return (bytes + 15) & ~(size_t)15;
}

/* How much a copy takes: itself, what is not told, its strings. Its backtrace
 * was read before: it may be told meanwhile. */
static size_t own_bytes(const shunt_error *e, const char *backtrace)
{
    return sizeof *e + sizeof(struct sh_untold) + strlen(e->task) +
           strlen(e->message) + strlen(e->where) + strlen(backtrace) +
           strlen(e->culprit) + 5;
}

/* backtraces: of the causes, and at last its own. */
static size_t copy_bytes(const shunt_error *e, const char **backtraces)
{
    size_t n = e->cause_count;
    size_t bytes;

    backtraces[n] = sh_backtrace_of(e);
    bytes = rounded(own_bytes(e, backtraces[n]) + n * sizeof(void *));
    for (size_t i = 0; i < n; i++) {
        backtraces[i] = sh_backtrace_of(e->causes[i]);
        bytes += rounded(own_bytes(e->causes[i], backtraces[i]));
    }
    return bytes;
}

/* Copy an error but for its causes, with room for so many of them; returns what
 * follows it, aligned. */
static char *copy_one(shunt_error *e, const shunt_error *from,
                      const char *backtrace, size_t causes)
{
    struct sh_failure f = failure_of(from, backtrace);
    char *at;

    *e = error_of(&f);
    at = put_untold(e, f.untold);
    e->causes = causes > 0 ? (void *)at : NULL;
    e->cause_count = causes;
    at = put(at + causes * sizeof(void *), &e->task, from->task);
    at = put(at, &e->message, from->message);
    at = put(at, &e->where, from->where);
    if (f.untold == NULL)
        at = put(at, &e->backtrace, backtrace);
    at = put(at, &e->culprit, from->culprit);
    return (char *)rounded((size_t)(uintptr_t)at);
}

static void copy_all(shunt_error *e, const shunt_error *from,
                     const char **backtraces)
{
    size_t n = from->cause_count;
    char *at = copy_one(e, from, backtraces[n], n);
    const shunt_error **causes = (const shunt_error **)(uintptr_t)e->causes;

    for (size_t i = 0; i < n; i++) {
        shunt_error *cause = (shunt_error *)at;

        /* Causes of causes stay behind: their future is about to go. */
        at = copy_one(cause, from->causes[i], backtraces[i], 0);
        causes[i] = cause;
    }
}

shunt_error *sh_error_copy(const shunt_error *error)
{
    const char *few[8], **backtraces = few;
    size_t n = error->cause_count + 1, bytes;
    struct extent *extent = NULL;

    if (n > sizeof few / sizeof few[0])
        backtraces = sh_fault() ? NULL : malloc(n * sizeof *backtraces);
    if (backtraces == NULL)
        return NULL;
    bytes = sizeof *extent + copy_bytes(error, backtraces);
    extent = sh_fault() ? NULL : malloc(bytes);
    if (extent != NULL) {
        extent->bytes = bytes;
        copy_all((shunt_error *)(extent + 1), error, backtraces);
    }
    if (backtraces != few)
        free(backtraces);
    return extent == NULL ? NULL : (shunt_error *)(extent + 1);
}

/* Words that were told later are not within the copy. */
static void free_words(const struct extent *extent, const shunt_error *e)
{
    uintptr_t at = (uintptr_t)e->backtrace, low = (uintptr_t)extent;

    if (e->backtrace[0] != '\0' && at - low >= extent->bytes)
        free((void *)at);
}

void sh_error_free(shunt_error *copy)
{
    struct extent *extent;

    if (copy == NULL)
        return;
    extent = (struct extent *)copy - 1;
    for (size_t i = 0; i < copy->cause_count; i++)
        free_words(extent, copy->causes[i]);
    free_words(extent, copy);
    free(extent);
}
