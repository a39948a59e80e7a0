/* SPDX-License-Identifier: MIT */
/*
 * process/doomed.h - the end of runs that were given up, with calls at other
 * processes.
 */
#ifndef SH_PROCESS_DOOMED_H
#define SH_PROCESS_DOOMED_H

#include "task/pool.h"

/* The host, under the repair lock: ask the calls of such runs to end, and end
 * the runs that have none any more. Whether some are left: then it is to be
 * called again soon. */
bool sh_doomed_tend(struct sh_pool *pool);

#endif /* SH_PROCESS_DOOMED_H */
