/* SPDX-License-Identifier: MIT */
/*
 * census.c - reads /proc/self: task, task/N/children, fd, maps; of other
 * processes: exe, maps, stat, wchan.
 *
 * Allowance. Freed memory is not always given back to the system: the C
 * library keeps up to 40 MiB of stacks of ended threads and the top of its
 * heap, and jemalloc keeps extents for reuse. So a claim may leave a little
 * more mapped than it found; one that leaks a mapping per pool or per stack
 * is still found, because such claims make hundreds.
 */
#include "census.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    MAPPINGS_ALLOWED = 96,
    MAPPED_MIB_ALLOWED = 64,
    SETTLE_ROUNDS = 10000,
    LOOKS_ASLEEP = 10,
    PATH_SIZE = 64
};

static void add(struct census_ids *list, long id)
{
    if (list->count < CENSUS_IDS_MAX)
        list->ids[list->count++] = id;
}

bool census_has(const struct census_ids *list, long id)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->ids[i] == id)
            return true;
    }
    return false;
}

static bool covers(const struct census_ids *old, const struct census_ids *now)
{
    for (size_t i = 0; i < now->count; i++) {
        if (!census_has(old, now->ids[i]))
            return false;
    }
    return true;
}

/* The numbers that name the entries of a folder, but for one of them. */
static void list_numbers(const char *path, struct census_ids *out)
{
    DIR *folder = opendir(path);

    out->count = 0;
    if (folder == NULL)
        return;
    for (size_t i = 0; i < CENSUS_IDS_MAX; i++) {
        const struct dirent *entry = readdir(folder);
        if (entry == NULL)
            break;
        char *end;
        long id = strtol(entry->d_name, &end, 10);
        if (*end == '\0' && id != dirfd(folder))
            add(out, id);
    }
    closedir(folder);
}

static void list_children(const struct census_ids *threads,
                          struct census_ids *out)
{
    out->count = 0;
    for (size_t i = 0; i < threads->count; i++) {
        char path[PATH_SIZE];
        snprintf(path, sizeof path, "/proc/self/task/%ld/children",
                 threads->ids[i]);
        FILE *file = fopen(path, "r");
        if (file == NULL)
            continue;
        long id;
        while (out->count < CENSUS_IDS_MAX && fscanf(file, "%ld", &id) == 1)
            add(out, id);
        fclose(file);
    }
}

/* ---- kin ---- */

/* What the lines of shared memory that kin have in their maps contain. */
static char mark[64];

/* The part of a line of maps that names what is mapped: "00:01 2049". */
static bool mark_of(const char *line, size_t *from, size_t *to, char *out)
{
    char device[16];
    unsigned long inode;

    if (sscanf(line, "%zx-%zx %*s %*s %15s %lu", from, to, device, &inode) != 4)
        return false;
    snprintf(out, sizeof mark, "%s %lu", device, inode);
    return true;
}

void census_open(const void *shared)
{
    FILE *file = fopen("/proc/self/maps", "r");
    size_t at = (size_t)shared, from, to;
    char line[512], found[sizeof mark];

    if (file == NULL)
        return;
    while (fgets(line, sizeof line, file) != NULL) {
        if (mark_of(line, &from, &to, found) && from <= at && at < to)
            memcpy(mark, found, sizeof mark);
    }
    fclose(file);
}

static bool has_mark(long pid)
{
    char path[PATH_SIZE], line[512], found[sizeof mark];
    size_t from, to;
    bool has_it = false;

    snprintf(path, sizeof path, "/proc/%ld/maps", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    while (!has_it && fgets(line, sizeof line, file) != NULL)
        has_it = mark_of(line, &from, &to, found) && strcmp(found, mark) == 0;
    fclose(file);
    return has_it;
}

/* Whether a process runs this very program: a quick look, at first. */
static bool same_program(const struct stat *own, long pid)
{
    char path[PATH_SIZE];
    struct stat its;

    snprintf(path, sizeof path, "/proc/%ld/exe", pid);
    return stat(path, &its) == 0 && its.st_ino == own->st_ino &&
           its.st_dev == own->st_dev;
}

void census_list_kin(struct census_ids *out)
{
    static struct census_ids all;
    struct stat own;

    out->count = 0;
    if (stat("/proc/self/exe", &own) != 0)
        return;
    list_numbers("/proc", &all);
    for (size_t i = 0; i < all.count; i++) {
        long pid = all.ids[i];
        if (pid != getpid() && same_program(&own, pid) && has_mark(pid))
            add(out, pid);
    }
}

bool census_has_kin(long pid)
{
    char path[PATH_SIZE], text[512] = "";

    snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", pid, pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    bool has_it = fgets(text, sizeof text, file) != NULL;
    fclose(file);
    return has_it;
}

/* A line of a file of /proc/PID, as it is. */
static void tell_file(int fd, long pid, const char *name)
{
    char path[PATH_SIZE], text[256];

    snprintf(path, sizeof path, "/proc/%ld/%s", pid, name);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return;
    if (fgets(text, sizeof text, file) != NULL) {
        text[strcspn(text, "\n")] = '\0';
        dprintf(fd, " %s: %.60s;", name, text);
    }
    fclose(file);
}

void census_tell_kin(int fd)
{
    static struct census_ids kin;

    census_list_kin(&kin);
    for (size_t i = 0; i < kin.count; i++) {
        dprintf(fd, "process %ld", kin.ids[i]);
        tell_file(fd, kin.ids[i], "stat");
        tell_file(fd, kin.ids[i], "wchan");
        tell_file(fd, kin.ids[i], "syscall");
        dprintf(fd, "\n");
    }
}

/* ---- all of it ---- */

static void count_mappings(struct census *out)
{
    FILE *file = fopen("/proc/self/maps", "r");
    char line[512];

    out->mappings = 0;
    out->mapped_bytes = 0;
    if (file == NULL)
        return;
    while (fgets(line, sizeof line, file) != NULL) {
        size_t from, to;
        if (sscanf(line, "%zx-%zx", &from, &to) != 2)
            continue;
        out->mappings++;
        out->mapped_bytes += to - from;
    }
    fclose(file);
}

void census_take(struct census *out)
{
    list_numbers("/proc/self/task", &out->threads);
    list_numbers("/proc/self/fd", &out->descriptors);
    list_children(&out->threads, &out->children);
    census_list_kin(&out->kin);
    count_mappings(out);
}

void census_settle(const struct census *before, struct census *after)
{
    const struct timespec pause = { 0, 1000000 };
    int looks = 0;

    /* A list that is read while a thread ends may lack another one. */
    for (int round = 0; round < SETTLE_ROUNDS && looks < 2; round++) {
        census_take(after);
        looks = covers(&before->threads, &after->threads) &&
                        covers(&before->children, &after->children) &&
                        covers(&before->kin, &after->kin)
                    ? looks + 1
                    : 0;
        if (looks < 2)
            nanosleep(&pause, NULL);
    }
}

static bool compare_ids(const struct census_ids *before,
                        const struct census_ids *after, const char *what,
                        const char *name_path)
{
    for (size_t i = 0; i < after->count; i++) {
        long id = after->ids[i];
        if (census_has(before, id))
            continue;
        char path[PATH_SIZE], name[128] = "";
        snprintf(path, sizeof path, name_path, id);
        ssize_t length = readlink(path, name, sizeof name - 1);
        FILE *file = length < 0 ? fopen(path, "r") : NULL;
        if (file != NULL) {
            if (fgets(name, sizeof name, file) == NULL)
                name[0] = '\0';
            fclose(file);
        }
        name[strcspn(name, "\n")] = '\0';
        fprintf(stderr, "the claim leaves a %s behind: %ld (%s)\n", what, id,
                name);
    }
    return covers(before, after);
}

bool census_compare(const struct census *before, const struct census *after,
                    size_t footprint, bool with_mappings)
{
    bool same = compare_ids(&before->threads, &after->threads, "thread",
                            "/proc/self/task/%ld/comm");

    same &= compare_ids(&before->children, &after->children, "child",
                        "/proc/%ld/comm");
    same &= compare_ids(&before->kin, &after->kin, "process", "/proc/%ld/comm");
    same &= compare_ids(&before->descriptors, &after->descriptors, "descriptor",
                        "/proc/self/fd/%ld");
    if (!with_mappings)
        return same;
    size_t bytes_max =
        before->mapped_bytes + footprint + ((size_t)MAPPED_MIB_ALLOWED << 20);
    /* A footprint may be kept in pieces of no less than 64 KiB. */
    size_t count_max = before->mappings + MAPPINGS_ALLOWED + (footprint >> 16);
    if (after->mapped_bytes <= bytes_max && after->mappings <= count_max)
        return same;
    fprintf(stderr,
            "the claim leaves mappings behind: %zu of %zu KiB before, "
            "%zu of %zu KiB after\n",
            before->mappings, before->mapped_bytes >> 10, after->mappings,
            after->mapped_bytes >> 10);
    return false;
}

/* One look might be at a moment's wait for a lock on the way. */
void census_sleeps(long tid)
{
    struct timespec moment = { .tv_nsec = 200000 };
    char path[PATH_SIZE], text[512];

    snprintf(path, sizeof path, "/proc/self/task/%ld/stat", tid);
    for (int looks = 0; looks < LOOKS_ASLEEP;) {
        FILE *file = fopen(path, "r");
        const char *end = NULL;

        if (file == NULL)
            return;
        if (fgets(text, sizeof text, file) != NULL)
            end = strrchr(text, ')');
        fclose(file);
        looks = end != NULL && strncmp(end, ") S", 3) == 0 ? looks + 1 : 0;
        nanosleep(&moment, NULL);
    }
}

/* Whether a file of /proc, a name, begins so. */
static bool begins(const char *path, const char *prefix)
{
    char name[32] = "";
    FILE *file = fopen(path, "re");

    if (file == NULL)
        return false;
    if (fgets(name, sizeof name, file) == NULL)
        name[0] = '\0';
    fclose(file);
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

bool census_is_named(long pid, const char *prefix)
{
    char path[PATH_SIZE];

    snprintf(path, sizeof path, "/proc/%ld/comm", pid);
    return begins(path, prefix);
}

long census_threads_named(const char *prefix)
{
    long count = 0;
    DIR *tasks = opendir("/proc/self/task");

    if (tasks == NULL)
        return -1;
    for (size_t i = 0; i < CENSUS_IDS_MAX; i++) {
        const struct dirent *entry = readdir(tasks);
        char path[300];
        if (entry == NULL)
            break;
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        count += begins(path, prefix);
    }
    closedir(tasks);
    return count;
}
