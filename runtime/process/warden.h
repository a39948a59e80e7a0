/* SPDX-License-Identifier: MIT */
/*
 * process/warden.h - the thread of the host that looks after the workers of a
 * process pool: it starts them, learns of their deaths, repairs what they have
 * left, and replaces them.
 *
 * Threads: the functions are for any thread of the host.
 */
#ifndef SH_PROCESS_WARDEN_H
#define SH_PROCESS_WARDEN_H

#include <stdbool.h>

struct sh_pool;

/* Start the zygote, the workers and the warden of a pool: 0 or SHUNT_E*, and
 * then nothing of it is left, and *why_out may be a sentence for good. */
int sh_warden_start(struct sh_pool *pool, const char **why_out);

/* Have the warden look whether a worker is at code that was given up, and kill
 * its process. */
void sh_warden_relieve(struct sh_pool *pool);

/* The workers were told to end: wait until they have, and the warden. */
void sh_warden_join(struct sh_pool *pool);

#endif /* SH_PROCESS_WARDEN_H */
