/* SPDX-License-Identifier: MIT */
/* process/forks.h - tasks of a worker process that fork. */
#ifndef SH_PROCESS_FORKS_H
#define SH_PROCESS_FORKS_H

#include <stdbool.h>

/* In a new worker process: from now on its tasks may fork. False if the system
 * refuses. */
bool sh_forks_allow(void);

#endif /* SH_PROCESS_FORKS_H */
