/* SPDX-License-Identifier: MIT */
/*
 * process/birth.h - what a process of ours does before anything else.
 *
 * Idea. A fork copies the host with all that it was about to do: descriptors
 * that keep its ports and locks in use, output that waits in buffers, handlers
 * for signals and for its end. The seed drops all that once, with signals
 * blocked, so that no handler of the host ever runs in a process of ours; what
 * is forked from it later has only its own part to add.
 *
 *     seed    0, 1, 2 and its own descriptors; default signals, but for an
 *             ignored SIGPIPE; empty stdio buffers; exit() without the host's
 *             handlers; a session of its own
 *     zygote  a process group of its own
 *     worker  0, 1, 2 alone; dies with its zygote; a process group of its own;
 *             the first to go when memory is short; no signal blocked
 *
 * Crash. It is alone, and nobody has been promised anything.
 */
#ifndef SH_PROCESS_BIRTH_H
#define SH_PROCESS_BIRTH_H

#include <stdbool.h>
#include <sys/types.h>

/* Close every descriptor but 0, 1, 2 and these two (-1: none). */
void sh_birth_close(int keep, int keep_too);

/* Become a seed that has only these descriptors. All signals are blocked. False
 * if the system refuses. */
bool sh_birth_of_seed(int socket, int host);

/* Become a zygote. */
void sh_birth_of_zygote(const char *name);

/* Become a worker of this zygote; does not return if that has died. */
void sh_birth_of_worker(pid_t zygote, unsigned worker, const char *name);

/* In a worker: have hook(status) called when it leaves by exit(), after what
 * its own code has registered with atexit(); NULL: nothing. */
void sh_birth_on_exit(void (*hook)(int status));

/* End this worker, with what it has printed. */
_Noreturn void sh_birth_leave(int status);

#endif /* SH_PROCESS_BIRTH_H */
