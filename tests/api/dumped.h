/* SPDX-License-Identifier: MIT */
/*
 * dumped.h - what a dump says, made comparable: every span of time is T, and
 * every place of a call HERE.
 */
#ifndef SHUNT_TESTS_DUMPED_H
#define SHUNT_TESTS_DUMPED_H

#include "stage.h"

/* What shunt_dump says of pool (NULL: of all), asserted to succeed. Good until
 * the next call. */
const char *dump_of(shunt_pool *pool);

/* The same as it was written. */
const char *dump_raw(shunt_pool *pool);

/* Whether text has this line, without the end of the line. */
bool has_line(const char *text, const char *line);

/* How often text has this part. */
unsigned count_parts(const char *text, const char *part);

#define assert_line(text, line) dumped_line((text), (line), __FILE__, __LINE__)
#define assert_lacks(text, part) \
    dumped_lacks((text), (part), __FILE__, __LINE__)

void dumped_line(const char *text, const char *line, const char *file,
                 int number);
void dumped_lacks(const char *text, const char *part, const char *file,
                  int number);

#endif /* SHUNT_TESTS_DUMPED_H */
