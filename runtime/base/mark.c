/* SPDX-License-Identifier: MIT */
/* base/mark.c - whether a descriptor still means what it meant. */
#include "base/mark.h"

#include <sys/stat.h>

struct sh_mark sh_mark_of(int fd)
{
    struct stat s;

    if (fd < 0 || fstat(fd, &s) != 0)
        return (struct sh_mark){ .file = 0 };
    return (struct sh_mark){ (uint64_t)s.st_dev, (uint64_t)s.st_ino };
}

bool sh_mark_is_of(struct sh_mark mark, int fd)
{
    struct sh_mark now = sh_mark_of(fd);

    return now.file != 0 && now.file == mark.file && now.device == mark.device;
}
