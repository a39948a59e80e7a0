/* SPDX-License-Identifier: MIT */
/* dumped.c - what a dump says, made comparable: dumped.h. */
#include "dumped.h"

#include <ctype.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    TEXT_MAX = 1 << 20
};

static char raw[TEXT_MAX], text[TEXT_MAX];

const char *dump_raw(shunt_pool *pool)
{
    int fd = memfd_create("dump", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_ok(shunt_dump(pool, fd));
    ssize_t n = pread(fd, raw, sizeof raw - 1, 0);
    assert_true(n >= 0);
    raw[n] = '\0';
    close(fd);
    return raw;
}

/* The length of a span of time at the beginning of s, 0 if there is none. */
static size_t span_length(const char *s)
{
    static const char *const units[] = { " ms", " s", " min", " h" };
    size_t n = strspn(s, "0123456789.");

    for (size_t i = 0; n > 0 && i < sizeof units / sizeof units[0]; i++) {
        size_t end = n + strlen(units[i]);

        if (strncmp(s + n, units[i], end - n) == 0 &&
            !isalnum((unsigned char)s[end]))
            return end;
    }
    return 0;
}

/* The length of " at file.c:12" at the beginning of s, 0 if there is none. */
static size_t place_length(const char *s)
{
    static const char at[] = " at ";
    const char *source;

    if (strncmp(s, at, sizeof at - 1) != 0)
        return 0;
    s += sizeof at - 1;
    source = strstr(s, ".c:");
    if (source == NULL || strcspn(s, "\n;,") < (size_t)(source - s))
        return 0;
    source += 3;
    return (size_t)(source - s) + strspn(source, "0123456789") + sizeof at - 1;
}

const char *dump_of(shunt_pool *pool)
{
    const char *s = dump_raw(pool);
    char *to = text;

    while (*s != '\0') {
        size_t span = to > text && !isdigit((unsigned char)to[-1]) &&
                              to[-1] != '.'
                          ? span_length(s)
                          : 0;
        size_t place = place_length(s);

        if (span > 0)
            *to++ = 'T';
        else if (place > 0)
            to = stpcpy(to, " at HERE");
        else
            *to++ = *s;
        s += span + place > 0 ? span + place : 1;
    }
    *to = '\0';
    return text;
}

bool has_line(const char *s, const char *line)
{
    size_t length = strlen(line);

    for (; s != NULL && *s != '\0'; s = strchr(s, '\n'), s += s != NULL)
        if (strncmp(s, line, length) == 0 && s[length] == '\n')
            return true;
    return false;
}

unsigned count_parts(const char *s, const char *part)
{
    unsigned count = 0;

    while ((s = strstr(s, part)) != NULL) {
        s += strlen(part);
        count++;
    }
    return count;
}

void dumped_line(const char *s, const char *line, const char *file, int number)
{
    if (has_line(s, line))
        return;
    print_error("no line \"%s\" in\n%s", line, s);
    _fail(file, number);
}

void dumped_lacks(const char *s, const char *part, const char *file, int number)
{
    if (strstr(s, part) == NULL)
        return;
    print_error("\"%s\" in\n%s", part, s);
    _fail(file, number);
}
