/* SPDX-License-Identifier: MIT */
/*
 * place/learned.c - writing and reading what was learned: see learned.h.
 *
 * Idea. Who reads a file that a program wrote long ago, or that was cut off, or
 * edited, must not be led astray by it: so each line is checked as it is read,
 * and nothing is used before the last one was. A new file is written beside the
 * old one, and takes its place when it is on the disk.
 */
#define _GNU_SOURCE 1
#include "place/learned.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/fault.h"
#include "task/error.h"

#define FIRST "shunt-profile 1\n"
#define LINE_MAX_ 8192u
#define TRIES 100u

/* What the policy gives is numbers, all of one size. */
#define NUMBERS (sizeof(struct sh_policy_saved) / sizeof(int64_t))
_Static_assert(sizeof(struct sh_policy_saved) % sizeof(int64_t) == 0,
               "numbers alone");
_Static_assert(SH_LEARNED_NAME * 3 + 21 * (NUMBERS + 3) < LINE_MAX_,
               "any kind has room in a line");

void sh_learned_free(struct sh_learned *s)
{
    free(s->kinds);
    *s = (struct sh_learned){ 0 };
}

static bool is_same(const struct sh_learned_kind *a,
                    const struct sh_learned_kind *b)
{
    return a->in_size == b->in_size && a->out_size == b->out_size &&
           strcmp(a->name, b->name) == 0;
}

bool sh_learned_name(struct sh_learned_kind *kind, const shunt_task *task)
{
    const char *name = sh_task_name_of(task);
    size_t length = name == NULL ? 0 : strlen(name);

    if (length == 0 || length >= sizeof kind->name)
        return false;
    memset(kind->name, 0, sizeof kind->name);
    memcpy(kind->name, name, length);
    kind->in_size = task->in_size_;
    kind->out_size = task->out_size_;
    return true;
}

static struct sh_learned_kind *find(const struct sh_learned *s,
                                    const struct sh_learned_kind *like)
{
    for (size_t i = 0; i < s->count; i++)
        if (is_same(&s->kinds[i], like))
            return &s->kinds[i];
    return NULL;
}

struct sh_learned_kind *sh_learned_find(const struct sh_learned *s,
                                        const shunt_task *task)
{
    struct sh_learned_kind like;

    return s->count > 0 && sh_learned_name(&like, task) ? find(s, &like) : NULL;
}

static void ban(struct sh_policy_saved *p)
{
    p->banned = 1;
    if (p->crashes == 0)
        p->crashes = 1;
    p->site = SH_SITE_PROCESS;
    p->manner = SH_MANNER_QUEUED;
}

bool sh_learned_put(struct sh_learned *s, const struct sh_learned_kind *kind)
{
    struct sh_learned_kind *at = find(s, kind);
    struct sh_policy_saved was;

    if (at == NULL && s->count == SH_LEARNED_KINDS)
        return false;
    if (at == NULL && s->count == s->room) {
        size_t room = s->room == 0 ? 16 : 2 * s->room;

        at = sh_fault() ? NULL : realloc(s->kinds, room * sizeof *at);
        if (at == NULL)
            return false;
        s->kinds = at;
        s->room = room;
        at = NULL;
    }
    if (at == NULL) {
        s->kinds[s->count++] = *kind;
        return true;
    }
    /* Two of one name, or said twice: what one has done, the other may do. */
    was = at->policy;
    *at = *kind;
    if (was.crashes > at->policy.crashes)
        at->policy.crashes = was.crashes;
    if (was.banned != 0)
        ban(&at->policy);
    return true;
}

/* -- lines -- */

static uint64_t checksum(uint64_t sum, const char *line)
{
    for (; *line != '\0'; line++)
        sum = (sum ^ (unsigned char)*line) * 0x100000001b3u;
    return sum;
}
#define CHECKSUM_BEGINS 0xcbf29ce484222325u

/* A line for a kind, with its end. */
static void put_kind(char *to, const struct sh_learned_kind *k)
{
    int64_t numbers[NUMBERS];
    size_t at = (size_t)sprintf(to, "kind ");

    for (const char *c = k->name; *c != '\0'; c++) {
        unsigned char byte = (unsigned char)*c;

        at += (size_t)sprintf(
            to + at, byte <= ' ' || byte > '~' || byte == '%' ? "%%%02X" : "%c",
            byte);
    }
    at += (size_t)sprintf(to + at, " %" PRIu64 " %" PRIu64, k->in_size,
                          k->out_size);
    memcpy(numbers, &k->policy, sizeof numbers);
    for (size_t i = 0; i < NUMBERS; i++)
        at += (size_t)sprintf(to + at, " %" PRId64, numbers[i]);
    to[at++] = '\n';
    to[at] = '\0';
    SH_ASSERT(at < LINE_MAX_);
}

static int nibble(char c)
{
    const char *digits = "0123456789ABCDEF";
    const char *at = c == '\0' ? NULL : strchr(digits, c);

    return at == NULL ? -1 : (int)(at - digits);
}

/* The name at the beginning of *at, which is then behind it and a space. */
static bool get_name(const char **at, char name[SH_LEARNED_NAME])
{
    const char *c = *at;
    size_t n = 0;

    memset(name, 0, SH_LEARNED_NAME);
    for (; *c != ' ' && *c != '\0'; c++) {
        int byte = (unsigned char)*c;

        if (byte == '%') {
            int high = nibble(c[1]), low = high < 0 ? -1 : nibble(c[2]);

            byte = high < 0 || low < 0 ? 0 : 16 * high + low;
            c += 2;
        }
        if (byte == 0 || n == SH_LEARNED_NAME - 1)
            return false;
        name[n++] = (char)byte;
    }
    *at = c + 1;
    return n > 0 && *c == ' ';
}

/* The number there, up to a space or the end of the line. */
static bool get_number(const char **at, int64_t *number_out)
{
    char *end;

    if ((**at < '0' || **at > '9') && **at != '-')
        return false;
    errno = 0;
    *number_out = strtoll(*at, &end, 10);
    if (errno != 0 || end == *at || (*end != ' ' && *end != '\n'))
        return false;
    *at = *end == ' ' ? end + 1 : end;
    return true;
}

static bool is_plausible(const struct sh_policy_saved *saved)
{
    static const struct sh_bounds none;
    struct sh_policy policy;

    return sh_policy_load(&policy, &none, saved);
}

/* NULL, or what is wrong with a line that begins with "kind ". */
static const char *get_kind(const char *line, struct sh_learned_kind *k)
{
    int64_t sizes[2], numbers[NUMBERS];
    const char *at = line + 5;

    if (!get_name(&at, k->name))
        return "has no name of a task";
    for (size_t i = 0; i < 2; i++)
        if (!get_number(&at, &sizes[i]) || sizes[i] < 0)
            return "lacks a size of input or result";
    for (size_t i = 0; i < NUMBERS; i++)
        if (!get_number(&at, &numbers[i]))
            return "has too few figures, or one that is no number";
    if (*at != '\n')
        return "has too many figures";
    k->in_size = (uint64_t)sizes[0];
    k->out_size = (uint64_t)sizes[1];
    memcpy(&k->policy, numbers, sizeof numbers);
    return is_plausible(&k->policy) ? NULL : "has figures that cannot be";
}

/* -- files -- */

/* A new file beside that of path; its name goes to beside. -1 with errno. */
static int create(const char *path, char *beside, size_t size)
{
    int fd = -1;

    for (unsigned i = 0; i < TRIES && fd < 0; i++) {
        int n = snprintf(beside, size, "%s.%ld-%u", path, (long)getpid(), i);

        if (n < 0 || (size_t)n >= size) {
            errno = ENAMETOOLONG;
            return -1;
        }
        fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno != EEXIST)
            return -1;
    }
    return fd;
}

static void write_all(const struct sh_learned *s, FILE *f)
{
    uint64_t sum = checksum(CHECKSUM_BEGINS, FIRST);
    char line[LINE_MAX_];

    fputs(FIRST, f);
    for (size_t i = 0; i < s->count; i++) {
        put_kind(line, &s->kinds[i]);
        sum = checksum(sum, line);
        fputs(line, f);
    }
    fprintf(f, "end %zu %016" PRIx64 "\n", s->count, sum);
}

/* Where a file of that path is, or is to be: 0, or why nothing can be put in its
 * place. */
static int find_place(const char *path, char to[PATH_MAX])
{
    struct stat st;

    if (stat(path, &st) != 0)
        return snprintf(to, PATH_MAX, "%s", path) < PATH_MAX ? 0
                                                             : -ENAMETOOLONG;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    if (!S_ISREG(st.st_mode))
        return SHUNT_EINVAL;
    return realpath(path, to) != NULL ? 0 : -errno;
}

int sh_learned_write(const struct sh_learned *s, const char *name)
{
    char path[PATH_MAX], beside[PATH_MAX];
    int rc = find_place(name, path);
    int fd = rc != 0 ? -1 : create(path, beside, sizeof beside);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");

    if (rc != 0)
        return rc;

    if (f == NULL) {
        rc = -errno;
        if (fd >= 0) {
            close(fd);
            unlink(beside);
        }
        return rc;
    }
    errno = 0;
    write_all(s, f);
    if (fflush(f) != 0 || ferror(f) != 0 || fsync(fd) != 0)
        rc = errno != 0 ? -errno : -EIO;
    if (fclose(f) != 0 && rc == 0)
        rc = -errno;
    if (rc == 0 && rename(beside, path) != 0)
        rc = -errno;
    if (rc != 0)
        unlink(beside);
    return rc;
}

/* What is read so far. */
struct reader {
    struct sh_learned *to;
    uint64_t sum;
    size_t kinds;
    bool ended;
};

/* NULL, or what is wrong with the last line. */
static const char *get_end(const struct reader *r, const char *line)
{
    char expected[64];

    snprintf(expected, sizeof expected, "end %zu %016" PRIx64 "\n", r->kinds,
             r->sum);
    return strcmp(line, expected) == 0
               ? NULL
               : "does not agree with those before: the file is damaged";
}

/* Take a line, with its end: 0, SHUNT_ENOMEM, or SHUNT_EINVAL and why. */
static int get_line(struct reader *r, const char *line, unsigned long number,
                    const char **why_out)
{
    struct sh_learned_kind k;

    *why_out = NULL;
    if (line[strlen(line) - 1] != '\n')
        *why_out = "is cut off, or too long";
    else if (number == 1 && strncmp(line, "shunt-profile ", 14) != 0)
        *why_out = "is none of a profile that shunt_profile_save wrote";
    else if (number == 1 && strcmp(line, FIRST) != 0)
        *why_out = "is of a profile of another version than 1";
    else if (r->ended)
        *why_out = "comes behind the last one";
    else if (number > 1 && strncmp(line, "end ", 4) == 0)
        *why_out = get_end(r, line);
    else if (number > 1 && strncmp(line, "kind ", 5) != 0)
        *why_out = "is none of a profile";
    else if (number > 1 && r->kinds == SH_LEARNED_KINDS)
        *why_out = "is one kind of task too many";
    else if (number > 1)
        *why_out = get_kind(line, &k);
    if (*why_out != NULL)
        return SHUNT_EINVAL;
    r->ended = line[0] == 'e';
    r->sum = checksum(r->sum, line);
    if (line[0] == 'k') {
        r->kinds++;
        return sh_learned_put(r->to, &k) ? 0 : SHUNT_ENOMEM;
    }
    return 0;
}

static int read_all(struct reader *r, FILE *f, char *text, size_t text_size)
{
    unsigned long number = 0;
    char line[LINE_MAX_];
    const char *why;
    int rc = 0;

    while (rc == 0 && fgets(line, sizeof line, f) != NULL) {
        /* fgets says nothing of a zero byte, behind which nothing is seen. */
        rc = get_line(r, line[0] != '\0' ? line : "?", ++number, &why);
        if (rc == SHUNT_EINVAL)
            snprintf(text, text_size, "line %lu %s", number, why);
    }
    if (rc == 0 && ferror(f) != 0)
        return errno != 0 ? -errno : -EIO;
    if (rc == 0 && !r->ended) {
        snprintf(text, text_size, "line %lu is missing: the file is cut off",
                 number + 1);
        rc = SHUNT_EINVAL;
    }
    return rc;
}

int sh_learned_read(struct sh_learned *s, const char *path, char *text,
                    size_t text_size)
{
    struct sh_learned read = { 0 };
    struct reader r = { .to = &read, .sum = CHECKSUM_BEGINS };
    FILE *f = fopen(path, "re");
    int rc;

    if (f == NULL)
        return -errno;
    errno = 0;
    rc = read_all(&r, f, text, text_size);
    fclose(f);
    if (rc == 0)
        *s = read;
    else
        sh_learned_free(&read);
    return rc;
}
