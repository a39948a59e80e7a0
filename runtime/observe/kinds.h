/* SPDX-License-Identifier: MIT */
/* observe/kinds.h - what a dump says of kinds of tasks. */
#ifndef SH_OBSERVE_KINDS_H
#define SH_OBSERVE_KINDS_H

#include "observe/text.h"
#include "task/pool.h"

/* A line for each kind that has run, of a pool that keeps figures. */
void sh_kinds_put(struct sh_text *t, struct sh_pool *pool);

#endif /* SH_OBSERVE_KINDS_H */
