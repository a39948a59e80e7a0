/* SPDX-License-Identifier: MIT */
/*
 * process/letter.h - what the host, the seed and the zygotes tell each other.
 *
 * Idea. A letter is a struct, and perhaps one descriptor, in one message of a
 * socket that keeps messages apart: it arrives whole or not at all. Who asks
 * waits for the answer before he asks again, so sockets are never full.
 *
 * That the peer is gone is told by the end of the socket or by its pidfd,
 * whichever comes first. The end alone would not do: a child that the host has
 * forked for purposes of its own keeps the host's descriptors open.
 *
 * Crash. A letter lies in the kernel, and a descriptor in it is closed with it.
 */
#ifndef SH_PROCESS_LETTER_H
#define SH_PROCESS_LETTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "process/zygote.h"

enum sh_letter_kind {
    SH_LETTER_ANSWER, /* code, pid, death; a descriptor */
    SH_LETTER_GREET,  /* seed: are you well? Answer: a code */
    SH_LETTER_SOW,    /* seed: fork a zygote; at to name, and the arena's
                       * descriptor. Answer: the host's end of its socket */
    SH_LETTER_FORK,   /* zygote: fork this worker. Answer: pid and pidfd */
    SH_LETTER_REAP,   /* zygote: this pid. Answer: its death */
    SH_LETTER_UNDO,   /* zygote: kill it, and reap it. Answer: a code */
    SH_LETTER_STILL,  /* zygote: does it stand still? Answer: a code */
    SH_LETTER_FAULT,  /* fail the nth request from now. No answer */
    SH_LETTER_END     /* end. No answer */
};

#define SH_LETTER_NAME 24

struct sh_letter {
    enum sh_letter_kind kind;
    int code; /* 0 or SHUNT_E* */
    pid_t pid;
    unsigned worker;
    int64_t nth;
    void *at; /* the arena */
    size_t bytes;
    sh_worker_main *enter;
    void *root;
    char name[SH_LETTER_NAME];
    struct sh_death death;
};

/* Two ends, neither of which is 0, 1 or 2. False with errno. */
bool sh_letter_pair(int ends_out[2]);

/* 0 or -errno; -EPIPE: nobody has the other end. fd: -1 for none; it stays
 * open here. */
int sh_letter_send(int to, const struct sh_letter *letter, int fd);

/* Wait until there is a letter, or the end, which is readable as well; false
 * if the process of pidfd (-1: of none) has ended and there is none. */
bool sh_letter_await(int from, int pidfd);

/* The next letter, and its descriptor, -1 if it has none. 0; -EPIPE: the end;
 * -EMFILE: the letter has come but its descriptor could not; or another -errno.
 * Blocks while there is none. */
int sh_letter_take(int from, struct sh_letter *letter_out, int *fd_out);

/* Close it if there is one. */
void sh_letter_close(int fd);

/* Sleep until the process of that pidfd has ended. If it is a child of this
 * one, or has become that since its parent died, nothing of it is left. */
void sh_pidfd_bury(int pidfd);

/* Whether it has. */
bool sh_pidfd_ended(int pidfd);

/* A pidfd of the process, which must be this one or a child that nobody else
 * reaps. -1 with errno. */
int sh_pidfd_of(pid_t pid);

/* Whether there is no such process, or only what is left of one until it is
 * waited for; false also if the system does not say. */
bool sh_pid_ended(pid_t pid);

/* Send it a signal. */
void sh_pidfd_kill(int pidfd, int signal);

#endif /* SH_PROCESS_LETTER_H */
