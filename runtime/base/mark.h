/* SPDX-License-Identifier: MIT */
/*
 * base/mark.h - whether a descriptor still means what it meant.
 *
 * Idea. The library's descriptors are the program's, which may close all that
 * it does not know, and open files that get their numbers. A mark says which
 * file was meant. It tells sockets and memory apart from all else; pidfds and
 * eventfds have one file in common, so for them it says only that no other kind
 * of file has taken their place.
 */
#ifndef SH_BASE_MARK_H
#define SH_BASE_MARK_H

#include <stdbool.h>
#include <sys/stat.h>

struct sh_mark {
    dev_t device;
    ino_t file; /* 0: none */
};

static inline struct sh_mark sh_mark_of(int fd)
{
    struct stat s;

    if (fd < 0 || fstat(fd, &s) != 0)
        return (struct sh_mark){ .file = 0 };
    return (struct sh_mark){ s.st_dev, s.st_ino };
}

static inline bool sh_mark_is_of(struct sh_mark mark, int fd)
{
    struct sh_mark now = sh_mark_of(fd);

    return now.file != 0 && now.file == mark.file && now.device == mark.device;
}

#endif /* SH_BASE_MARK_H */
