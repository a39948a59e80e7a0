/* SPDX-License-Identifier: MIT */
/* place/trace.c - what was measured, as text. */
#include "place/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

enum {
    NUMBERS = sizeof(struct sh_window) / sizeof(uint64_t)
};

_Static_assert(NUMBERS == 15, "as the header says");

/* A window is as good as an array: all of it is of one type. */
static void numbers_of(uint64_t to[NUMBERS], const struct sh_window *w)
{
    memcpy(to, w, sizeof *w);
}

static bool is_kind(const char *kind)
{
    size_t n = strcspn(kind, " \t\r\n");

    return n > 0 && kind[n] == '\0' && n < SH_TRACE_KIND && kind[0] != '#' &&
           kind[0] != '=';
}

/* What snprintf says: bytes, or 0 if they are not all there. */
static size_t fits(int n, size_t size)
{
    return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

size_t sh_trace_bounds(char *to, size_t size, const char *kind,
                       const struct sh_bounds *bounds)
{
    if (!is_kind(kind))
        return 0;
    return fits(snprintf(to, size, "= %s %d %d %d %d\n", kind, bounds->trusted,
                         bounds->isolated, bounds->host_only, bounds->blocking),
                size);
}

size_t sh_trace_step(char *to, size_t size, const char *kind,
                     const struct sh_measures *m)
{
    if (!is_kind(kind))
        return 0;

    size_t used = fits(snprintf(to, size, "%s %" PRId64 " %" PRIu32, kind,
                                m->now_ns, m->crashes),
                       size);

    for (int site = 0; site < SH_SITES; site++) {
        uint64_t numbers[NUMBERS];

        numbers_of(numbers, &m->at[site]);
        for (int i = 0; i < NUMBERS && used > 0; i++) {
            size_t more =
                fits(snprintf(to + used, size - used, " %" PRIu64, numbers[i]),
                     size - used);

            used = more > 0 ? used + more : 0;
        }
    }
    if (used == 0 || used + 1 >= size)
        return 0;
    to[used++] = '\n';
    to[used] = '\0';
    return used;
}

/* The next number, at most max; false: there is none. */
static bool number(const char **at, uint64_t max, uint64_t *to)
{
    const char *begin = *at + strspn(*at, " \t");
    char *end;

    if (*begin < '0' || *begin > '9')
        return false;
    errno = 0;
    unsigned long long n = strtoull(begin, &end, 10);

    if (errno != 0 || n > max)
        return false;
    *to = n;
    *at = end;
    return true;
}

static bool kind(const char **at, char to[SH_TRACE_KIND])
{
    const char *begin = *at + strspn(*at, " \t");
    size_t n = strcspn(begin, " \t\r\n");

    if (n == 0 || n >= SH_TRACE_KIND || *begin == '#' || *begin == '=')
        return false;
    memcpy(to, begin, n);
    to[n] = '\0';
    *at = begin + n;
    return true;
}

static bool ends(const char *at)
{
    return at[strspn(at, " \t\r\n")] == '\0';
}

static enum sh_line read_bounds(const char *at, struct sh_trace_line *to)
{
    char name[SH_TRACE_KIND];
    uint64_t n[4];

    if (!kind(&at, name))
        return SH_LINE_WRONG;
    for (int i = 0; i < 4; i++)
        if (!number(&at, 1, &n[i]))
            return SH_LINE_WRONG;
    if (!ends(at))
        return SH_LINE_WRONG;
    memcpy(to->kind, name, sizeof name);
    to->bounds =
        (struct sh_bounds){ n[0] != 0, n[1] != 0, n[2] != 0, n[3] != 0 };
    return SH_LINE_BOUNDS;
}

static bool window(const char **at, struct sh_window *w)
{
    uint64_t numbers[NUMBERS];

    for (int i = 0; i < NUMBERS; i++)
        if (!number(at, UINT64_MAX, &numbers[i]))
            return false;
    memcpy(w, numbers, sizeof *w);
    return true;
}

static enum sh_line read_step(const char *at, struct sh_trace_line *to)
{
    char name[SH_TRACE_KIND];
    struct sh_measures m;
    uint64_t now, crashes;

    if (!kind(&at, name) || !number(&at, INT64_MAX, &now) ||
        !number(&at, UINT32_MAX, &crashes) ||
        !window(&at, &m.at[SH_SITE_PROCESS]) ||
        !window(&at, &m.at[SH_SITE_THREAD]) || !ends(at))
        return SH_LINE_WRONG;
    m.now_ns = (int64_t)now;
    m.crashes = (uint32_t)crashes;
    memcpy(to->kind, name, sizeof name);
    to->measures = m;
    return SH_LINE_STEP;
}

enum sh_line sh_trace_read(const char *line, struct sh_trace_line *to)
{
    line += strspn(line, " \t\r\n");
    if (*line == '\0' || *line == '#')
        return SH_LINE_NOTHING;
    return *line == '=' ? read_bounds(line + 1, to) : read_step(line, to);
}
