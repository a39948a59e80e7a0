/* SPDX-License-Identifier: MIT */
/* process/recover.h - what is done when a worker process has died. */
#ifndef SH_PROCESS_RECOVER_H
#define SH_PROCESS_RECOVER_H

#include "process/zygote.h"
#include "worker/worker.h"

/*
 * Worker index of a pool is dead, and no store of its process is to come: end
 * or renew what it was at, give back what it had, and let the others find the
 * rest. Of the host's threads one at a time, under the team's lock of repair;
 * may be done again. True if it had begun to serve.
 */
bool sh_recover(struct sh_pool *pool, unsigned index,
                const struct sh_death *death);

#endif /* SH_PROCESS_RECOVER_H */
