/* SPDX-License-Identifier: MIT */
/* process/symbols.c - what code at an address is called: see symbols.h. */
#include "process/symbols.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unwind.h>

#include "base/assert.h"
#include "base/fault.h"
#include "process/dwarf.h"
#include "worker/worker.h"

#define TIME_NS_MAX SHUNT_MS(500)
#define INLINED_MAX 16u
#define LINE_BYTES_MAX 320u
#define WORDS_BYTES 8192u
/* What SHUNT_TASK calls the function that calls the task's. */
#define WRAPPER "shunt_call_"

/* -- files of code -- */

struct search {
    uintptr_t address;
    struct sh_module *found;
    unsigned looked_at;
};

static bool is_within(const struct dl_phdr_info *info, uintptr_t address)
{
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *h = &info->dlpi_phdr[i];

        if (h->p_type == PT_LOAD &&
            address - (info->dlpi_addr + h->p_vaddr) < h->p_memsz)
            return true;
    }
    return false;
}

static int look_at(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct search *s = arg;
    struct sh_module *m = s->found;
    const char *slash;

    (void)size;
    /* The program comes first. */
    m->is_program = s->looked_at++ == 0;
    if (!is_within(info, s->address))
        return 0;
    m->bias = info->dlpi_addr;
    if (snprintf(m->path, sizeof m->path, "%s",
                 m->is_program ? "/proc/self/exe" : info->dlpi_name) >=
        (int)sizeof m->path)
        (void)strcpy(m->path, "?");
    slash = strrchr(m->path, '/');
    m->name = m->is_program   ? program_invocation_short_name
              : slash == NULL ? m->path
                              : slash + 1;
    return 1;
}

bool sh_module_find(uintptr_t address, struct sh_module *m)
{
    struct search s = { .address = address, .found = m };

    return dl_iterate_phdr(look_at, &s) == 1;
}

/* -- lines -- */

struct lines {
    char *to;
    size_t size, used;
    size_t count; /* of frames */
    bool full;
    char last[128]; /* function */
    bool ended;     /* the task's function has been told */
    const shunt_task *task;
    struct sh_dwarf *dwarf;
    int64_t until_ns; /* of this thread's processor time */
};

static void put_line(struct lines *l, const char *format, ...)
    SHUNT_PRINTF_(2, 3);

static void put_line(struct lines *l, const char *format, ...)
{
    char line[LINE_BYTES_MAX];
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (length >= (int)sizeof line)
        length = (int)sizeof line - 1;
    if (length < 0 || l->used + (size_t)length + 2 > l->size)
        l->full = true;
    if (l->full)
        return;
    if (l->used > 0)
        l->to[l->used++] = '\n';
    memcpy(l->to + l->used, line, (size_t)length + 1);
    l->used += (size_t)length;
}

static void put_frame(struct lines *l, const struct sh_spot *spot,
                      const struct sh_module *m)
{
    const char *name = spot->function;

    if (strncmp(name, WRAPPER, strlen(WRAPPER)) == 0) {
        name += strlen(WRAPPER);
        l->ended = true;
        /* Else it was inlined, and nothing says where. */
        if (strcmp(l->last, name) == 0)
            return;
    }
    (void)snprintf(l->last, sizeof l->last, "%s", name);
    if (spot->file != NULL)
        put_line(l, "#%zu %s at %s:%d", l->count, name, spot->file, spot->line);
    else
        put_line(l, "#%zu %s in %s", l->count, name, m->name);
    l->count++;
}

/* By the tables of the unwinder, which are there when names are not. */
static bool is_within_function(uintptr_t code, uintptr_t function)
{
    return (uintptr_t)_Unwind_FindEnclosingFunction((void *)code) == function;
}

/* Whether code belongs to the function that calls the task's. */
static bool is_wrapper(const struct lines *l, uintptr_t code)
{
    return l->task != NULL &&
           is_within_function(code, (uintptr_t)l->task->call_);
}

/* By the names that the loader knows. */
static bool name_loaded(uintptr_t code, struct sh_spot *spot)
{
    Dl_info info;

    if (dladdr((void *)code, &info) == 0 || info.dli_sname == NULL)
        return false;
    *spot = (struct sh_spot){ .function = info.dli_sname };
    return true;
}

/* By processor time: what a report says shall not depend on how much else the
 * machine has to do. */
static int64_t spent_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void put_address(struct lines *l, uintptr_t at, uintptr_t code)
{
    struct sh_spot spots[INLINED_MAX];
    struct sh_module m;
    size_t n = 0;

    if (!sh_module_find(code, &m)) {
        put_line(l, "#%zu 0x%zx", l->count++, (size_t)at);
        return;
    }
    if (spent_ns() < l->until_ns)
        n = sh_dwarf_find(l->dwarf, &m, code, spots, INLINED_MAX);
    if (n == 0 && name_loaded(code, &spots[0]))
        n = 1;
    for (size_t i = 0; i < n && !l->ended; i++) {
        if (spots[i].function == NULL)
            spots[i].function = "?";
        put_frame(l, &spots[i], &m);
    }
    if (!l->ended && is_wrapper(l, code)) {
        /* Without names it is not known whether the task's function was
         * inlined. */
        if (n == 0 && strcmp(l->last, l->task->fn_) != 0)
            put_frame(l, &(struct sh_spot){ .function = l->task->fn_ }, &m);
        l->ended = true;
    } else if (n == 0) {
        put_line(l, "#%zu %s+0x%zx", l->count++, m.name, (size_t)(at - m.bias));
    }
}

static uintptr_t code_at(const struct sh_trace *trace, size_t i)
{
    /* What comes after a call may belong to another line or function. */
    return i == 0 ? trace->at[0] : trace->at[i] - 1;
}

/* Whether it is the runtime that called this far: what calls the task's
 * function may have left its place on the stack to that. */
static bool is_runtime(const struct sh_trace *trace, size_t i)
{
    uintptr_t code = code_at(trace, i);

    return i > 0 && (is_within_function(code, (uintptr_t)&sh_worker_execute) ||
                     is_within_function(code, (uintptr_t)&sh_worker_run) ||
                     is_within_function(code, (uintptr_t)&sh_worker_loop));
}

/* dwarf: may be NULL. */
static void tell(const struct sh_trace *trace, const shunt_task *task,
                 struct sh_dwarf *dwarf, char *to, size_t size)
{
    struct lines l = { .to = to,
                       .size = size,
                       .task = task,
                       .dwarf = dwarf,
                       .until_ns = spent_ns() + TIME_NS_MAX };
    size_t count = trace->count < SH_TRACE_MAX ? trace->count
                                               : (size_t)SH_TRACE_MAX;

    SH_ASSERT(to != NULL || size == 0);
    if (size > 0)
        to[0] = '\0';
    if (size == 0 || count == 0)
        return;
    for (size_t i = 0; i < count && !l.ended && !l.full; i++) {
        if (is_runtime(trace, i))
            break;
        if (i > 0 && i == trace->gap && trace->omitted > 0) {
            put_line(&l, "... %zu frames", trace->omitted);
            l.count += trace->omitted;
        }
        put_address(&l, trace->at[i], code_at(trace, i));
    }
}

void sh_symbols_tell(const struct sh_trace *trace, const shunt_task *task,
                     char *to, size_t size)
{
    struct sh_dwarf *dwarf = size == 0 || trace->count == 0 ? NULL
                                                            : sh_dwarf_open();

    tell(trace, task, dwarf, to, size);
    sh_dwarf_close(dwarf);
}

/* -- aside -- */

struct wish {
    const struct sh_untold *untold;
    char words[WORDS_BYTES];
};

static void *tell_aside(void *arg)
{
    struct wish *w = arg;

    sh_symbols_tell(&w->untold->trace, w->untold->task, w->words,
                    sizeof w->words);
    return NULL;
}

/* Whether a thread could be had, which has done it. */
static bool aside(struct wish *w)
{
    sigset_t all, before;
    pthread_t thread;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = sh_fault() ? -1 : pthread_create(&thread, NULL, tell_aside, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0)
        pthread_join(thread, NULL);
    return rc == 0;
}

char *sh_symbols_words(const struct sh_untold *untold)
{
    struct wish *w = sh_fault() ? NULL : malloc(sizeof *w);
    char *words;

    if (w == NULL)
        return NULL;
    w->untold = untold;
    if (!aside(w))
        tell(&untold->trace, untold->task, NULL, w->words, sizeof w->words);
    words = strdup(w->words);
    free(w);
    return words;
}
