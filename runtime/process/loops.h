/* SPDX-License-Identifier: MIT */
/*
 * process/loops.h - what the seed and a zygote do as long as they live.
 *
 * Idea. Each has one thread, one socket to the host and a pidfd of the host,
 * and sleeps until one of them has something to say. Neither trusts its luck:
 * who cannot answer ends, and the host sees that.
 */
#ifndef SH_PROCESS_LOOPS_H
#define SH_PROCESS_LOOPS_H

#include "process/letter.h"

/* Fork zygotes. All signals are blocked. */
_Noreturn void sh_seed_live(int socket, int host);

/* Map the arena of that descriptor, greet the host with a pidfd of oneself, and
 * fork workers as it asks. All signals are blocked. */
_Noreturn void sh_zygote_live(int socket, int host, int arena,
                              const struct sh_letter *order);

#endif /* SH_PROCESS_LOOPS_H */
