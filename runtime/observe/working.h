/* SPDX-License-Identifier: MIT */
/* observe/working.h - what a worker is doing at this moment. */
#ifndef SH_OBSERVE_WORKING_H
#define SH_OBSERVE_WORKING_H

#include "shunt/observe.h"
#include "task/pool.h"

struct sh_working {
    enum shunt_doing doing;
    uint32_t index; /* of the record whose code it runs, SH_NONE: none */
};

struct sh_working sh_working_look(struct sh_pool *pool, unsigned w);

/* Whether a record, seen with word, is the one whose code is on its owner; if
 * not, and it is RUNNING, it may go on, and waits for that worker. */
bool sh_working_on(struct sh_pool *pool, uint32_t index, uint64_t word);

#endif /* SH_OBSERVE_WORKING_H */
