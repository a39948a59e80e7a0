/* SPDX-License-Identifier: MIT */
/*
 * process/seed.h - the process that zygotes are forked from, as the host has
 * it.
 *
 * Idea. A process with threads cannot be forked safely: what another thread has
 * locked, or half written, stays so in the child. So the host is forked once,
 * while it has one thread, and that child, the seed, does nothing but fork a
 * zygote for each pool that the host asks it to. It has the host's memory as it
 * was then, and nothing of its descriptors but 0, 1 and 2.
 *
 * The host cannot wait for the seed by mistake: it is a child whose death sends
 * no signal, and which wait() and waitpid(-1) leave out. Its own descendants go
 * to it when their parent has died, never to the host.
 *
 * Edges. None: the host's threads use it under one lock.
 *
 * Crash. Of the seed: zygotes go on, but there are no new ones. Of the host:
 * the seed sees that, by a pidfd of the host, and ends.
 *
 * Fork. A child of the host has no seed, and may start one.
 */
#ifndef SH_PROCESS_SEED_H
#define SH_PROCESS_SEED_H

#include <stdbool.h>
#include <stdint.h>

struct sh_known;
struct sh_letter;

/* Have a seed. although_threads: also while other threads run; what they have
 * locked by other means than the C library's own, and what they have half
 * written, remains so in all workers.
 *
 * 0; SHUNT_ENOTSUP: other threads run, or the kernel lacks what this needs;
 * SHUNT_ENOMEM: the system refused. Unless 0, *why_out is a sentence, for good.
 * Any thread. */
int sh_seed_start(bool although_threads, const char **why_out);

/* What the last one that was started has of this process. */
void sh_seed_known(struct sh_known *known_out);

/* Whether this process has one that lives. */
bool sh_seed_is_up(void);

/* End it, if there is one; zygotes go on. When this returns it is gone. */
void sh_seed_stop(void);

/* Send it a letter with a descriptor, and take its answer, and the descriptor
 * that this brings. 0, the code of the answer, SHUNT_ENOMEM, or SHUNT_EBROKEN
 * if it is gone; then *why_out is a sentence. */
int sh_seed_ask(const struct sh_letter *letter, int fd, int *fd_out,
                const char **why_out);

/* For tests: as sh_zygote_fault, of the seed. Zygotes inherit that. */
void sh_seed_fault(int64_t nth);

#endif /* SH_PROCESS_SEED_H */
