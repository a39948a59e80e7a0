/* SPDX-License-Identifier: MIT */
/*
 * reactor/descriptor.c - a file descriptor that is readable when we say so.
 *
 * An eventfd and not a pipe: one descriptor, and nothing that could be full.
 */
#define _GNU_SOURCE 1
#include "reactor/descriptor.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fault.h"
#include "shunt/errors.h"

int sh_descriptor_new(bool readable)
{
    int saved = errno;
    int fd = -1;

    errno = ENOMEM;
    if (!sh_fault())
        fd = eventfd(readable, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        fd = errno == ENOMEM ? SHUNT_ENOMEM : -errno;
    errno = saved;
    return fd;
}

void sh_descriptor_set(int fd, bool readable)
{
    uint64_t count = 1;
    int saved = errno;
    /* Neither can fail: the count is 0 and 1 in turn. */
    ssize_t done = readable ? write(fd, &count, sizeof count)
                            : read(fd, &count, sizeof count);

    (void)done;
    errno = saved;
}

void sh_descriptor_free(int fd)
{
    int saved = errno;

    (void)close(fd);
    errno = saved;
}
