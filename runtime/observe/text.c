/* SPDX-License-Identifier: MIT */
/* observe/text.c - making text in a room of fixed size: see text.h. */
#include "observe/text.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"

struct sh_text sh_text_to_memory(char *room, size_t size)
{
    SH_ASSERT(room != NULL || size == 0);
    return (struct sh_text){ .room = room, .size = size };
}

struct sh_text sh_text_to_file(int fd, char *room, size_t size)
{
    SH_ASSERT(room != NULL && size > 0);
    return (
        struct sh_text){ .room = room, .size = size, .writes = true, .fd = fd };
}

/* Write the buffer. A descriptor that takes no more at present is full: who
 * waited for it in a signal handler might wait for its own program. */
static void flush(struct sh_text *t)
{
    int before = errno;

    for (size_t at = 0; at < t->used && t->error == 0;) {
        ssize_t n = write(t->fd, t->room + at, t->used - at);

        if (n >= 0)
            at += (size_t)n;
        else if (errno != EINTR)
            t->error = -errno;
    }
    t->used = 0;
    errno = before;
}

static void add(struct sh_text *t, char c)
{
    t->length++;
    if (t->writes && t->used == t->size)
        flush(t);
    /* In memory the last byte is for the end of the string. */
    if (t->used + !t->writes < t->size)
        t->room[t->used++] = c;
}

static void add_string(struct sh_text *t, const char *s)
{
    for (; s != NULL && *s != '\0'; s++)
        add(t, (unsigned char)*s < ' ' || *s == 127 ? ' ' : *s);
}

static void add_number(struct sh_text *t, uint64_t n, unsigned base)
{
    char digits[20];
    unsigned count = 0;

    do {
        digits[count++] = "0123456789abcdef"[n % base];
        n /= base;
    } while (n > 0);
    while (count > 0)
        add(t, digits[--count]);
}

/* What stands behind a % and, at most, a length; where that ends. */
static const char *add_one(struct sh_text *t, const char *at, va_list *args)
{
    int n;

    if (*at == 'l' || *at == 'z') {
        _Static_assert(sizeof(size_t) == sizeof(long), "taken for the same");
        add_number(t, va_arg(*args, unsigned long), 10);
        return at + 1;
    }
    switch (*at) {
    case 's':
        add_string(t, va_arg(*args, const char *));
        break;
    case 'u':
        add_number(t, va_arg(*args, unsigned), 10);
        break;
    case 'd':
        n = va_arg(*args, int);
        if (n < 0)
            add(t, '-');
        add_number(t, n < 0 ? 0u - (unsigned)n : (unsigned)n, 10);
        break;
    default:
        SH_ASSERT(*at == 'p');
        add(t, '0');
        add(t, 'x');
        add_number(t, (uintptr_t)va_arg(*args, void *), 16);
        break;
    }
    return at;
}

void sh_text_put(struct sh_text *t, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    for (const char *at = format; *at != '\0'; at++) {
        if (*at == '%')
            at = add_one(t, at + 1, &args);
        else
            add(t, *at);
    }
    va_end(args);
}

void sh_text_span(struct sh_text *t, uint64_t ms)
{
    const uint64_t second = 1000, minute = 60 * second, hour = 60 * minute;
    uint64_t unit = ms < minute ? second : hour;

    if (ms < second)
        sh_text_put(t, "%lu ms", (unsigned long)ms);
    else if (ms >= minute && ms < hour)
        sh_text_put(t, "%lu min", (unsigned long)(ms / minute));
    else
        sh_text_put(t, "%lu.%lu %s", (unsigned long)(ms / unit),
                    (unsigned long)(ms % unit * 10 / unit),
                    unit == second ? "s" : "h");
}

int sh_text_end(struct sh_text *t)
{
    if (t->writes)
        flush(t);
    else if (t->size > 0)
        t->room[t->used] = '\0';
    return t->error;
}
