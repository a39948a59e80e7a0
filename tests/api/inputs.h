/* SPDX-License-Identifier: MIT */
/*
 * inputs.h - the table of inputs that every combinator is tested against:
 * how many, which of them fail, and whether they settle before, after or
 * while the combinator is made.
 *
 * Inputs are promises, so that the test decides when and in which order each
 * settles. Input i succeeds with the value i, fails with the code 1000 + i,
 * or is cancelled (its promise is dropped).
 *
 * The sizes lie around the fan-out of the tree of arrivals: 28 and 28 * 28.
 */
#ifndef SHUNT_TESTS_INPUTS_H
#define SHUNT_TESTS_INPUTS_H

#include "stage.h"

enum {
    INPUT_CODE = 1000,
    INPUT_SIZES = 10
};
extern const size_t input_sizes[INPUT_SIZES];

enum fate {
    SUCCEEDS,
    FAILS,
    IS_CANCELLED
};

/* Which inputs do not succeed. */
enum pattern {
    ALL_GOOD,
    FIRST_BAD,
    MIDDLE_BAD,
    LAST_BAD,
    ALL_BAD,
    ODD_BAD,
    MIDDLE_CANCELLED,
    ALL_CANCELLED,
    PATTERNS
};

enum timing {
    SETTLED_BEFORE,
    SETTLED_AFTER,
    SETTLED_DURING,
    TIMINGS
};

/* In which order the inputs settle. */
enum sequence {
    FORWARD,
    BACKWARD,
    SHUFFLED,
    SEQUENCES
};

struct inputs {
    shunt_pool *pool;
    size_t n;
    enum pattern pattern;
    enum timing timing;
    enum sequence sequence;
    shunt_future **futures;
    shunt_promise **promises;
    size_t *order;  /* order[j] is the input that settles as the j-th */
    size_t settled; /* how many gives and fails were accepted */
};

/* What becomes of input i. */
enum fate fate_of(const struct inputs *inputs, size_t i);
int status_of(const struct inputs *inputs, size_t i);

/* How many inputs succeed. */
size_t good_among(const struct inputs *inputs);

/* The j-th input to settle (from 0) that succeeds, or, with good false, that
 * does not; n if there are not so many. */
size_t nth_to_settle(const struct inputs *inputs, size_t j, bool good);

/* As nth_to_settle, but by index instead of by time. */
size_t nth_by_index(const struct inputs *inputs, size_t j, bool good);

/* Whether the test knows in which order the combinator sees its inputs:
 * always, but for SETTLED_DURING. Before: by index. After: by order. */
bool order_is_known(const struct inputs *inputs);
/* The j-th input that succeeds (or does not), as the combinator sees them. */
size_t nth_seen(const struct inputs *inputs, size_t j, bool good);

/* Assert that f, which is input i, has become what fate_of says. */
void assert_is_input(const struct inputs *inputs, shunt_future *f, size_t i);

typedef shunt_future *combine_inputs(const struct inputs *inputs);
typedef void check_inputs(const struct inputs *inputs, shunt_future *made);

/* Run every row of the table: make the inputs, combine them, settle them as
 * the row says, and check. check consumes what combine returned. */
void for_every_row(combine_inputs *combine, check_inputs *check);

/* One row; for_every_row calls it. */
void run_row(struct inputs *inputs, combine_inputs *combine,
             check_inputs *check);

#endif /* SHUNT_TESTS_INPUTS_H */
