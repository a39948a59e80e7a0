/* SPDX-License-Identifier: MIT */
/*
 * text.h - values with memory of their own, in a pool that has little of it.
 *
 * A claim about memory does text_rounds() times what takes a BLOCK, in a pool
 * of ARENA bytes: if rounds kept their memory, the pool would run out.
 */
#ifndef SHUNT_TESTS_TEXT_H
#define SHUNT_TESTS_TEXT_H

#include "stage.h"

enum {
    ARENA = 16 << 20,
    BLOCK = 1 << 20
};

/* A fifth of them take more than ARENA, too. */
int text_rounds(void);

/* A pool of one worker and ARENA bytes. */
shunt_pool *limited_pool(void);

/* All its characters are 'a'. */
struct text {
    char *chars;
    size_t length;
};

/* The text to be made, and what the task that makes it returns then. */
struct order {
    size_t length;
    int rc;
};
extern const struct order large_order; /* a text of BLOCK; 0 */

int make_text(const struct order *in, struct text *out);
SHUNT_TASK_DECLARE(make_text, struct order, struct text)

/* How many of its characters are 'a'. */
int measure(const struct text *in, long *out);
SHUNT_TASK_DECLARE(measure, struct text, long)

#endif /* SHUNT_TESTS_TEXT_H */
