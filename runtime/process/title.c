/* SPDX-License-Identifier: MIT */
/* process/title.c - the names of processes. */
#define _GNU_SOURCE 1
#include "process/title.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/fault.h"
#include "memory/pages.h"
#include "process/stat.h"

#define TITLE_BYTES 64

/* In the seed and its descendants: where the kernel reads the command line. */
static char *title;

/* Fields of /proc/self/stat, counted from 1, of which [k] is the kth. */
#define FIELDS 52

/* What the kernel knows about the memory of this process. */
static bool read_fields(uint64_t field[FIELDS])
{
    char text[2048];
    const char *at = sh_fault() ? NULL
                                : sh_stat_read(AT_FDCWD, "/proc/self/stat",
                                               text, sizeof text);

    if (at == NULL)
        return false;
    for (unsigned k = 4; k < FIELDS; k++) {
        unsigned long long value = 0;

        at = strchr(at, ' ');
        if (at == NULL || sscanf(++at, "%llu", &value) != 1)
            return false;
        field[k] = value;
    }
    return true;
}

/* All as it is, but for the command line. */
static bool move_arguments(const uint64_t field[FIELDS], const char *to)
{
    struct prctl_mm_map map = {
        .start_code = field[26],
        .end_code = field[27],
        .start_data = field[45],
        .end_data = field[46],
        .start_brk = field[47],
        .brk = (uint64_t)syscall(SYS_brk, 0),
        .start_stack = field[28],
        .arg_start = (uint64_t)(uintptr_t)to,
        .arg_end = (uint64_t)(uintptr_t)to + TITLE_BYTES,
        .env_start = field[50],
        .env_end = field[51],
        .exe_fd = UINT32_MAX, /* keep it */
    };

    return prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0) == 0;
}

bool sh_title_prepare(void)
{
    uint64_t field[FIELDS];
    char *page;

    SH_ASSERT(sh_pages_size() >= TITLE_BYTES);
    if (title != NULL)
        return true;
    if (!read_fields(field))
        return false;
    page = sh_pages_map(sh_pages_size(), SH_PAGES_RW);
    if (page == NULL)
        return false;
    if (sh_fault() || !move_arguments(field, page)) {
        sh_pages_unmap(page, sh_pages_size());
        return false;
    }
    title = page;
    return true;
}

void sh_title_set(const char *brief, const char *text, const char *name)
{
    (void)prctl(PR_SET_NAME, brief);
    if (title == NULL)
        return;
    /* The last byte stays 0: else the kernel would read on. */
    memset(title, 0, TITLE_BYTES);
    if (name[0] == '\0')
        (void)snprintf(title, TITLE_BYTES, "%s", text);
    else
        (void)snprintf(title, TITLE_BYTES, "%s (%s)", text, name);
}
