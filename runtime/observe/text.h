/* SPDX-License-Identifier: MIT */
/*
 * observe/text.h - making text in a room of fixed size, in a signal handler
 * too: nothing is allocated, no lock is taken, errno stays as it is.
 *
 * A text goes to memory, as snprintf's does: what does not fit is counted and
 * dropped. Or it goes to a descriptor: the room is a buffer then, written when
 * it is full. After a write that failed the rest is dropped.
 */
#ifndef SH_OBSERVE_TEXT_H
#define SH_OBSERVE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shunt/base.h"

struct sh_text {
    char *room;
    size_t size, used; /* of the room */
    size_t length;     /* of all that was put */
    bool writes;       /* to fd, which may be no descriptor at all */
    int fd;
    int error; /* 0, or -errno of the first write that failed */
};

/* A text that goes to size bytes of memory, the last of which is for the end
 * of the string; room may be NULL if size is 0. */
struct sh_text sh_text_to_memory(char *room, size_t size);

/* A text that goes to fd, by way of size bytes of memory, which are not 0. */
struct sh_text sh_text_to_file(int fd, char *room, size_t size);

/* Add what format says: %s, %u, %d, %lu, %zu and %p, without widths. A string
 * may be NULL, and its control characters become spaces: whatever a program
 * calls its tasks, a line stays a line. */
void sh_text_put(struct sh_text *t, const char *format, ...)
    SHUNT_PRINTF_(2, 3);

/* Add a span of time: "120 ms", "2.5 s", "12 min", "3.0 h". */
void sh_text_span(struct sh_text *t, uint64_t ms);

/* End a text: write what is left, or the end of the string. 0, or -errno. */
int sh_text_end(struct sh_text *t);

#endif /* SH_OBSERVE_TEXT_H */
