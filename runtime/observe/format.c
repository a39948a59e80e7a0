/* SPDX-License-Identifier: MIT */
/*
 * observe/format.c - an error as one paragraph.
 *
 *     left failed with code 3 (submitted at a.c:8); causes: 1. ...; 2. ...;
 *     2.1. ...; 2.2. ...; and 3 more of 2; 3. ...
 *
 * An error may have any number of causes, and those have causes: so many of
 * one error, and so deep, are shown.
 */
#include <limits.h>
#include <string.h>

#include "observe/text.h"
#include "process/signals.h"
#include "shunt/errors.h"

#define CAUSES_MAX 8u
#define DEPTH_MAX 3u
#define CAUSE_FRAMES_MAX 3u
#define FRAME_BYTES_MAX 128u

/* Where a cause stands: 2.1 is the first of the second's. */
struct place {
    unsigned numbers[DEPTH_MAX];
    unsigned depth;
};

static const char *known(const char *text)
{
    return text != NULL ? text : "";
}

/* The separator before a further detail; behind the last one stands ')'. */
static const char *between(unsigned *count)
{
    return (*count)++ == 0 ? " (" : ", ";
}

/* What is known beside the message, in brackets. */
static void put_details(struct sh_text *t, const shunt_error *e)
{
    const char *task = known(e->task), *where = known(e->where);
    unsigned count = 0;

    /* Most messages begin with the task's name. */
    if (strncmp(known(e->message), task, strlen(task)) != 0)
        sh_text_put(t, "%stask %s", between(&count), task);
    if (where[0] != '\0')
        sh_text_put(t, "%ssubmitted at %s", between(&count), where);
    if (e->attempts > 1)
        sh_text_put(t, "%s%u attempts", between(&count), e->attempts);
    if (e->collateral)
        sh_text_put(t, "%sbecause of %s", between(&count),
                    known(e->culprit)[0] != '\0' ? e->culprit : "another task");
    if (e->signal != 0)
        sh_text_put(t, "%ssignal %d: %s", between(&count), e->signal,
                    sh_signal_text(e->signal));
    if (e->exit_status != 0)
        sh_text_put(t, "%sexit status %d", between(&count), e->exit_status);
    if (e->address != NULL)
        sh_text_put(t, "%sat address %p", between(&count), e->address);
    if (e->user_ns + e->system_ns > 0) {
        sh_text_put(t, "%sprocessor time ", between(&count));
        sh_text_span(t, (uint64_t)(e->user_ns + e->system_ns) / 1000000);
    }
    if (e->max_rss_bytes > 0)
        sh_text_put(t, "%smemory %zu KiB", between(&count),
                    e->max_rss_bytes / 1024);
    if (count > 0)
        sh_text_put(t, ")");
}

/* The frames of a backtrace, on one line; at most so many. */
static void put_frames(struct sh_text *t, const char *at, unsigned max)
{
    char frame[FRAME_BYTES_MAX];
    unsigned n = 0;

    while (*at != '\0') {
        const char *end = strchr(at, '\n');
        size_t whole = end != NULL ? (size_t)(end - at) : strlen(at);
        size_t bytes = whole < sizeof frame - 1 ? whole : sizeof frame - 1;

        if (n == max) {
            sh_text_put(t, ", ...");
            return;
        }
        memcpy(frame, at, bytes);
        frame[bytes] = '\0';
        sh_text_put(t, "%s%s", n++ == 0 ? "; backtrace: " : ", ", frame);
        at += whole + (end != NULL);
    }
}

static void put_place(struct sh_text *t, const struct place *place)
{
    for (unsigned i = 0; i < place->depth; i++)
        sh_text_put(t, "%s%u", i > 0 ? "." : "", place->numbers[i]);
}

static void put_error(struct sh_text *t, const shunt_error *e,
                      const struct place *place)
{
    size_t shown = place->depth < DEPTH_MAX ? e->cause_count : 0;

    if (shown > CAUSES_MAX)
        shown = CAUSES_MAX;
    put_place(t, place);
    sh_text_put(t, "%s%s", place->depth > 0 ? ". " : "",
                known(e->message)[0] != '\0' ? e->message
                                             : shunt_code_text(e->code));
    put_details(t, e);
    put_frames(t, known(e->backtrace),
               place->depth > 0 ? CAUSE_FRAMES_MAX : UINT_MAX);
    for (size_t i = 0; i < shown; i++) {
        struct place below = *place;

        below.numbers[below.depth++] = (unsigned)i + 1;
        sh_text_put(t, i == 0 && place->depth == 0 ? "; causes: " : "; ");
        put_error(t, e->causes[i], &below);
    }
    if (e->cause_count == shown)
        return;
    sh_text_put(t, "; and %zu more%s", e->cause_count - shown,
                place->depth > 0 ? " of " : "");
    put_place(t, place);
}

int shunt_error_format(const shunt_error *e, char *to, size_t size)
{
    struct sh_text t = sh_text_to_memory(to, to == NULL ? 0 : size);

    if (e == NULL)
        return SHUNT_EINVAL;
    put_error(&t, e, &(struct place){ .depth = 0 });
    (void)sh_text_end(&t);
    return t.length < INT_MAX ? (int)t.length : INT_MAX;
}
