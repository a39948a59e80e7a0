/* SPDX-License-Identifier: MIT */
/*
 * census.h - the threads, children, kin, descriptors and mappings of the
 * process, so that what a claim leaves behind can be named.
 *
 * Kin are the other processes of this program, whoever forked them: those that
 * have its stage mapped.
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
    struct census_ids threads, children, kin, descriptors;
    size_t mappings, mapped_bytes;
};

/* Whether it is one of the list. */
bool census_has(const struct census_ids *list, long id);

/* Of the stage: kin have the mapping that is at shared. */
void census_open(const void *shared);

/* Count what there is now. */
void census_take(struct census *out);

/* Take after, again and again for up to ten seconds, until it has no thread
 * and no process that before lacks: a thread that was joined, or that was given
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

/* Whether the short name of a process begins so. */
bool census_is_named(long pid, const char *prefix);

/* The kin of the process. */
void census_list_kin(struct census_ids *out);

/* Whether process pid has children, as the parent of workers has. */
bool census_has_kin(long pid);

/* Write to fd which kin there are, and what each of them is at. */
void census_tell_kin(int fd);

#endif /* SHUNT_TESTS_CENSUS_H */
