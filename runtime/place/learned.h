/* SPDX-License-Identifier: MIT */
/*
 * place/learned.h - what was learned of kinds of tasks, as a file.
 *
 *     shunt-profile 1
 *     kind NAME IN OUT n n n ...      what sh_policy_save gives
 *     end KINDS CHECKSUM
 *
 * A name is the task's, in which what is no printable character of ASCII, and
 * '%', is %XX. IN and OUT are the sizes of input and result. The checksum is
 * FNV-1a, of 64 bits, over all lines before. A file that is not exactly so is
 * refused as a whole.
 */
#ifndef SH_PLACE_LEARNED_H
#define SH_PLACE_LEARNED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "place/policy.h"

/* Longer names are not saved, and there are not more kinds in a file. */
#define SH_LEARNED_NAME 256u
#define SH_LEARNED_KINDS (4 * SH_PROFILES)

struct sh_learned_kind {
    char name[SH_LEARNED_NAME];
    uint64_t in_size, out_size;
    struct sh_policy_saved policy;
};

/* A list; all zero is an empty one. */
struct sh_learned {
    struct sh_learned_kind *kinds;
    size_t count, room;
};

void sh_learned_free(struct sh_learned *s);

/* What is known of a task, or NULL. */
struct sh_learned_kind *sh_learned_find(const struct sh_learned *s,
                                        const shunt_task *task);

/* Put a kind into the list, in the place of what has its name and sizes. False
 * if there is no memory, or no room. */
bool sh_learned_put(struct sh_learned *s, const struct sh_learned_kind *kind);

/* What is to be saved of a task; false if its name is too long, or none. */
bool sh_learned_name(struct sh_learned_kind *kind, const shunt_task *task);

/* 0, or -errno. */
int sh_learned_write(const struct sh_learned *s, const char *path);

/* 0, and the list, which was empty, is what the file says; -errno;
 * SHUNT_ENOMEM; or SHUNT_EINVAL, and why in text. */
int sh_learned_read(struct sh_learned *s, const char *path, char *text,
                    size_t text_size);

#endif /* SH_PLACE_LEARNED_H */
