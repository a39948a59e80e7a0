/* SPDX-License-Identifier: MIT */
/*
 * process/ward.h - what the warden of a process pool knows of its workers, and
 * whom it kills. For warden.c and cull.c.
 *
 * Threads: the warden's alone, but for what makes it and takes it apart.
 */
#ifndef SH_PROCESS_WARD_H
#define SH_PROCESS_WARD_H

#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/mark.h"
#include "process/zygote.h"
#include "task/pool.h"

/* When to try again what could not be done at once. */
#define SH_AGAIN_NS 1000000

struct ward {
    pid_t pid;
    int pidfd;        /* -1: there is no such process */
    unsigned futile;  /* deaths in a row before .init had ended */
    unsigned refused; /* how often the system has, in a row */
    int64_t again_ns; /* when to fork one all the same; 0: not to */
};

struct sh_warden {
    struct sh_pool *pool;
    struct sh_zygote zygote;
    pthread_t thread;
    int bell; /* an eventfd */
    struct sh_mark bell_mark;
    bool cut_off; /* the host has closed our descriptors */
    unsigned alive;
    /* The same three of all that are to stand in, together. */
    unsigned futile, refused;
    int64_t again_ns;
    struct pollfd *polled; /* the bell, the wards */
    struct ward wards[];
};

/* Behind the wards that there have been: workers, lanes, stand-ins. */
static inline unsigned sh_wards_end(const struct sh_warden *d)
{
    return sh_camp_end(d->pool, &d->pool->camps[SH_OWN_CAMP]);
}

/* For poll: until that moment, in milliseconds, rounded up. */
int sh_ms_until(int64_t when_ns);

/* The pool's workers are to end. */
bool sh_ward_is_ending(struct sh_pool *pool);

/* A shutdown has settled what runs on. */
bool sh_ward_was_given_up(const struct sh_warden *d);

/* If there are no workers, nor will be, no lane may be left, nor who stands in,
 * so that all that comes is refused in the host. */
void sh_ward_end_lanes(struct sh_warden *d);

/* Nobody waits for an .init where the pool was given up, or ends. */
void sh_ward_end_inits(struct sh_warden *d);

/* Kill those whose time is up at code that was given up; when the next one's
 * is, INT64_MAX if there is none. And what others have left to who stood in,
 * and has died, goes on. */
int64_t sh_ward_kill_stuck(struct sh_warden *d);

#endif /* SH_PROCESS_WARD_H */
