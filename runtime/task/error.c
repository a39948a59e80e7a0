/* SPDX-License-Identifier: MIT */
/*
 * task/error.c - error records: see error.h.
 *
 * Edges.
 *   attached  attach: write the head -> find, free: read the head   the block
 */
#include "task/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"

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

/* The block of an error that is no constant. */
static struct sh_block *block_of(const shunt_error *error)
{
    return (struct sh_block *)(uintptr_t)error - 1;
}

bool sh_error_has_far_causes(const shunt_error *error)
{
    return !sh_error_is_constant(error) && block_of(error)->far_causes;
}

/* Whether one of these causes lies in another pool, or has one that does. */
static bool are_far(const struct sh_pool *pool, const struct sh_failure *f)
{
    for (size_t i = 0; i < f->cause_count; i++)
        if (!sh_error_is_constant(f->causes[i]) &&
            (block_of(f->causes[i])->heap != &pool->heap ||
             block_of(f->causes[i])->far_causes))
            return true;
    return false;
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

const char *sh_task_name(const struct sh_record *r)
{
    if (r->task == NULL)
        return "";
    return r->task->traits_.name != NULL ? r->task->traits_.name : r->task->fn_;
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

struct sh_failure sh_failure_of(const shunt_error *e)
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
                                .backtrace = e->backtrace,
                                .collateral = e->collateral,
                                .culprit = e->culprit,
                                .user_ns = e->user_ns,
                                .system_ns = e->system_ns,
                                .max_rss_bytes = e->max_rss_bytes };
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

struct sh_block *sh_error_new(struct sh_pool *pool, const struct sh_record *r,
                              const struct sh_failure *f)
{
    const char *task = f->task != NULL ? f->task : sh_task_name(r);
    const char *where = f->where != NULL ? f->where : r->where;
    const char *backtrace = f->backtrace != NULL ? f->backtrace : "";
    const char *culprit = f->culprit != NULL ? f->culprit : "";
    int length = sentence(NULL, 0, f, task);
    size_t message_bytes = length > 0 ? (size_t)length + 1 : 1;
    size_t causes_bytes = f->cause_count * sizeof(void *);
    size_t bytes = sizeof(shunt_error) + causes_bytes + message_bytes +
                   strlen(task) + strlen(backtrace) + strlen(culprit) + 3;
    struct sh_block *b = sh_block_new(&pool->heap, bytes, SH_BLOCK_ERROR);

    if (b == NULL)
        return NULL;
    b->far_causes = are_far(pool, f);
    shunt_error *e = sh_block_bytes(b);
    char *causes = (char *)(e + 1);
    char *message = causes + causes_bytes, *at = message + message_bytes;

    *e = error_of(f);
    e->causes = (void *)causes;
    if (causes_bytes > 0)
        memcpy(causes, f->causes, causes_bytes);
    message[0] = '\0';
    (void)sentence(message, message_bytes, f, task);
    e->message = message;
    e->where = where != NULL ? where : "";
    at = put(at, &e->task, task);
    at = put(at, &e->backtrace, backtrace);
    (void)put(at, &e->culprit, culprit);
    return b;
}

void sh_error_attach(struct sh_pool *pool, struct sh_record *r,
                     const struct sh_failure *f)
{
    struct sh_block *b = sh_error_new(pool, r, f);

    if (b != NULL)
        sh_attach(r, b, b);
}

void sh_attach(struct sh_record *r, struct sh_block *first,
               struct sh_block *last)
{
    struct sh_block *head = sh_load_acq(&r->attached); /* acquire: attached */

    for (struct sh_block *b = first;; b = b->next) {
        if (b->kind == SH_BLOCK_USER)
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

static size_t string_bytes(const shunt_error *e)
{
    return strlen(e->task) + strlen(e->message) + strlen(e->where) +
           strlen(e->backtrace) + strlen(e->culprit) + 5;
}

/* How much a copy takes: itself, its strings, its list of causes. */
static size_t copy_bytes(const shunt_error *e)
{
    size_t bytes =
        sizeof *e + e->cause_count * sizeof(void *) + string_bytes(e);

    bytes = (bytes + 15) & ~(size_t)15;
    for (size_t i = 0; i < e->cause_count; i++)
        bytes += sizeof *e + string_bytes(e->causes[i]) + 15;
    return bytes;
}

/* Strings of e go to at; returns what follows them, aligned. */
static char *copy_strings(shunt_error *e, char *at)
{
    at = put(at, &e->task, e->task);
    at = put(at, &e->message, e->message);
    at = put(at, &e->where, e->where);
    at = put(at, &e->backtrace, e->backtrace);
    at = put(at, &e->culprit, e->culprit);
    return (char *)(((uintptr_t)at + 15) & ~(uintptr_t)15);
}

shunt_error *sh_error_copy(const shunt_error *error)
{
    shunt_error *e = sh_fault() ? NULL : malloc(copy_bytes(error));
    const shunt_error **causes;
    char *at;

    if (e == NULL)
        return NULL;
    *e = *error;
    causes = (const shunt_error **)(e + 1);
    e->causes = causes;
    at = copy_strings(e, (char *)(causes + e->cause_count));
    for (size_t i = 0; i < error->cause_count; i++) {
        shunt_error *cause = (shunt_error *)at;

        /* Causes of causes stay behind: their future is about to go. */
        *cause = *error->causes[i];
        cause->cause_count = 0;
        cause->causes = NULL;
        at = copy_strings(cause, at + sizeof *cause);
        causes[i] = cause;
    }
    return e;
}
