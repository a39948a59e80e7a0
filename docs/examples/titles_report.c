/* SPDX-License-Identifier: MIT */
/*
 * titles_report.c - prints what became of the pages: a line for each, with
 * what failed in its place; reports on what shunt itself made fail, such as a
 * parser that crashed; and a summary.
 */
#include <stdio.h>
#include <string.h>

#include "titles.h"

#define KINDS_MAX 32
#define COLUMNS 80
#define INDENT 4

/* The length of the control character at c, 0 if there is none: terminals
 * obey them, and they may come from anywhere. */
static size_t control_at(const char *c)
{
    const unsigned char *byte = (const unsigned char *)c;

    if (byte[0] < ' ' || byte[0] == 127)
        return 1;
    /* U+0080 to U+009F */
    return byte[0] == 0xc2 && byte[1] >= 0x80 && byte[1] < 0xa0 ? 2 : 0;
}

/* Print text that came from elsewhere on one line of bearable length. */
static void put_text(const char *text)
{
    size_t put = 0;
    bool gap = false;

    /* The second half of the condition does not cut a character in two. */
    while (*text && (put < 200 || ((unsigned char)*text & 0xc0) == 0x80)) {
        size_t control = *text == ' ' ? 1 : control_at(text);

        if (control > 0) {
            gap = put > 0;
            text += control;
            continue;
        }
        if (gap)
            putchar(' ');
        gap = false;
        putchar((unsigned char)*text++);
        put++;
    }
    putchar('\n');
}

/* What the summary calls a failure. */
static const char *kind_of(const shunt_error *error)
{
    static const char *const kinds[] = {
#define PAGE_FAILURE_(name, text) [name] = text,
        PAGE_FAILURES(PAGE_FAILURE_)
#undef PAGE_FAILURE_
    };

    if (error->code == SHUNT_EFAILED && error->task_code > PAGE_OK &&
        error->task_code < PAGE_FAILURE_COUNT)
        return kinds[error->task_code];
    if (error->code == SHUNT_ETIMEDOUT)
        return kinds[PAGE_TIMED_OUT];
    if (error->code == SHUNT_ECRASHED)
        return "crashed";
    return shunt_code_text(error->code);
}

/* The line of one page. NULL if it gave a title, else the kind of failure. */
static const char *print_page(const char *url, shunt_future *f)
{
    const struct title *title = shunt_peek(f, struct title);
    const shunt_error *error = shunt_error_of(f);

    if (title) {
        printf("%7ld %7ld  %s  ", (long)title->pid, (long)title->tid, url);
        put_text(title->text);
        return NULL;
    }
    printf("%7s %7s  %s  ", "-", "-", url);
    put_text(error->message); /* names the task that failed, and why */
    return kind_of(error);
}

/* Print words, indented, with ends of lines where the columns ask for it. */
static void put_wrapped(const char *text)
{
    size_t column = 0;

    for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
        size_t length = strcspn(text, " ");

        if (column > 0 && column + 1 + length > COLUMNS) {
            putchar('\n');
            column = 0;
        }
        column += (size_t)printf("%*s%.*s", column > 0 ? 1 : INDENT, "",
                                 (int)length, text);
        text += length;
    }
    putchar('\n');
}

/* All that is known of a failure that no task of ours has returned. */
static void print_report_of(const char *url, const shunt_error *error)
{
    char text[4096];

    if (error->code == 0 || error->code == SHUNT_EFAILED)
        return;
    shunt_error_format(error, text, sizeof text);
    printf("\n%s\n", url);
    put_wrapped(text);
}

struct tally {
    const char *kind;
    size_t count;
};

static void count_kind(struct tally *tally, const char *kind)
{
    for (size_t i = 0; i < KINDS_MAX; i++) {
        if (tally[i].kind && strcmp(tally[i].kind, kind) != 0)
            continue;
        tally[i].kind = kind;
        tally[i].count++;
        return;
    }
}

size_t print_report(const struct settings *s, const shunt_results *results,
                    int workers, double seconds)
{
    struct tally tally[KINDS_MAX] = { { NULL, 0 } };
    size_t failed = 0;

    printf("%7s %7s  %s\n", "pid", "thread", "page and its first heading");
    for (size_t i = 0; i < results->count; i++) {
        const char *kind = print_page(s->urls[i], results->futures[i]);

        if (kind) {
            count_kind(tally, kind);
            failed++;
        }
    }
    for (size_t i = 0; i < results->count; i++)
        print_report_of(s->urls[i], shunt_error_of(results->futures[i]));
    printf("\n%zu page%s in %.2f s with %d worker%s: ", results->count,
           results->count == 1 ? "" : "s", seconds, workers,
           workers == 1 ? "" : "s");
    printf("%zu with a title, %zu failed\n", results->count - failed, failed);
    for (size_t i = 0; i < KINDS_MAX && tally[i].kind; i++)
        printf("%7zu  %s\n", tally[i].count, tally[i].kind);
    return failed;
}
