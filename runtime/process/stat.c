/* SPDX-License-Identifier: MIT */
/* process/stat.c - reading /proc/.../stat. */
#include "process/stat.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

const char *sh_stat_read(int dir, const char *path, char *text, size_t size)
{
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
    const char *name_end;
    ssize_t n;

    if (fd < 0)
        return NULL;
    n = read(fd, text, size - 1);
    close(fd);
    if (n <= 0)
        return NULL;
    text[n] = '\0';
    name_end = strrchr(text, ')');
    return name_end != NULL && name_end[1] == ' ' ? name_end + 2 : NULL;
}
