/* SPDX-License-Identifier: MIT */
/*
 * place/trace.h - what was measured, as text: what a pool has recorded can be
 * given to the policy again, and decides the same.
 *
 *     # a comment
 *     = KIND TRUSTED ISOLATED HOST_ONLY BLOCKING       bounds, each 0 or 1
 *     KIND NOW_NS CRASHES PROCESS... THREAD...         one step
 *
 * A window has its 15 numbers in the order of struct sh_window. A kind is any
 * word that does not begin with # or =, of at most 63 bytes; its bounds come
 * before its steps, and are all 0 if they do not.
 */
#ifndef SH_PLACE_TRACE_H
#define SH_PLACE_TRACE_H

#include <stddef.h>

#include "place/policy.h"

#define SH_TRACE_KIND 64u  /* bytes of a kind, with its end */
#define SH_TRACE_LINE 768u /* are enough for any line */

enum sh_line {
    SH_LINE_STEP,
    SH_LINE_BOUNDS,
    SH_LINE_NOTHING, /* empty, or a comment */
    SH_LINE_WRONG
};

struct sh_trace_line {
    char kind[SH_TRACE_KIND];
    struct sh_bounds bounds;
    struct sh_measures measures;
};

/* Write one line with its end; how many bytes, or 0 if there is no room or the
 * kind is none. */
size_t sh_trace_bounds(char *to, size_t size, const char *kind,
                       const struct sh_bounds *bounds);
size_t sh_trace_step(char *to, size_t size, const char *kind,
                     const struct sh_measures *m);

/* Read one line. Of what is read only what the answer says is written. */
enum sh_line sh_trace_read(const char *line, struct sh_trace_line *to);

#endif /* SH_PLACE_TRACE_H */
