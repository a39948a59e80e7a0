/* SPDX-License-Identifier: MIT */
/*
 * census.h - the threads, children, descriptors and mappings of the process,
 * so that what a claim leaves behind can be named.
 */
#ifndef SHUNT_TESTS_CENSUS_H
#define SHUNT_TESTS_CENSUS_H

#include <stdbool.h>
#include <stddef.h>

enum {
    CENSUS_IDS_MAX = 4096
};

struct census_ids {
    size_t count;
    long ids[CENSUS_IDS_MAX];
};

struct census {
    struct census_ids threads, children, descriptors;
    size_t mappings, mapped_bytes;
};

/* Count what there is now. */
void census_take(struct census *out);

/* Take after, again and again for up to ten seconds, until it has no thread
 * and no child that before lacks: a thread that was joined, or that was given
 * up and has left its code, is in /proc for a moment longer. */
void census_settle(const struct census *before, struct census *after);

/* Whether after has nothing that before lacks; says on stderr what it has.
 * Mappings are compared only if that means something in this build, and may
 * grow by an allowance for allocators, plus footprint bytes. */
bool census_compare(const struct census *before, const struct census *after,
                    size_t footprint, bool with_mappings);

/* Wait until this thread of the process sleeps, and goes on sleeping. */
void census_sleeps(long tid);

/* How many threads have a name of this beginning; -1 if that cannot be told. */
long census_threads_named(const char *prefix);

#endif /* SHUNT_TESTS_CENSUS_H */
