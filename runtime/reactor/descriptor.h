/* SPDX-License-Identifier: MIT */
/*
 * reactor/descriptor.h - a file descriptor that is readable when we say so:
 * an eventfd whose count is 1 or 0.
 *
 * One thread at a time; none of these touches errno.
 */
#ifndef SH_REACTOR_DESCRIPTOR_H
#define SH_REACTOR_DESCRIPTOR_H

#include <stdbool.h>

/* A new one: the descriptor, SHUNT_ENOMEM or another -errno. */
int sh_descriptor_new(bool readable);

/* Make it readable, or no longer so; it was not, or was, before. */
void sh_descriptor_set(int fd, bool readable);

void sh_descriptor_free(int fd);

#endif /* SH_REACTOR_DESCRIPTOR_H */
