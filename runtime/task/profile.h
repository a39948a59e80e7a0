/* SPDX-License-Identifier: MIT */
/*
 * task/profile.h - what a pool knows of each kind of task: where it is to run,
 * and how often it has crashed; and figures of it, a tally for each worker. A
 * kind is a descriptor, which is at the same address in every process.
 *
 * Idea. A hash table of fixed size in the pool's memory. A kind gets its entry
 * by one CAS when it is met first, and keeps it as long as the pool lives. What
 * finds no room has no profile, and runs where kinds begin.
 *
 * Edges.
 *   profile  meet: CAS of task -> whoever looks at all kinds: read it. What
 *            there is of the kind begins at zero. The rest is one word each:
 *            place: written by the timekeeper, or who loads a profile; read
 *            by whoever makes a record: any value that it has had is good.
 *            banned: recovery writes it before it settles the future, so who
 *            has seen that settled sees the ban. A task of the kind that was
 *            queued for a thread before is looked at again when it is come
 *            upon: worker/passing.c
 *
 * Crash. An entry that was taken and not filled in is as good as new: all else
 * in it begins at zero. A tally whose worker dies is off by what it was about
 * to add, or has it twice: nobody repairs it, and who comes to that post goes
 * on with it (worker/sample.h).
 */
#ifndef SH_TASK_PROFILE_H
#define SH_TASK_PROFILE_H

#include "base/atomic.h"
#include "shunt/task.h"

/* Whose memory a task may write. Zero is where kinds begin. */
enum sh_site {
    SH_SITE_PROCESS, /* that of a worker process */
    SH_SITE_THREAD,  /* the host's */
    SH_SITES
};

enum sh_manner {
    SH_MANNER_QUEUED,  /* whoever is free runs it, and is woken for it */
    SH_MANNER_INLINE,  /* nobody is woken: who awaits, or is awake, runs it */
    SH_MANNER_BLOCKING /* its worker does not count while it runs */
};

struct sh_place {
    uint8_t site, manner;
};

#define SH_PROFILES 1024u

/* In the word of the place: enough is known of the kind, and it is so short
 * that a few of its runs will do. */
#define SH_PROFILE_SEEN 0x10000u
/* It runs inline, and may do so at either site: where its submitter runs. */
#define SH_PROFILE_EITHER 0x20000u
/* It is being tried where it runs now. */
#define SH_PROFILE_TRIED 0x40000u

struct sh_profile {
    _Atomic(const shunt_task *) task;
    _Atomic uint32_t place;  /* site | manner << 8 | bits as above */
    _Atomic uint32_t banned; /* has crashed: not in the host any more */
    _Atomic uint64_t crashes;
};

/* What one worker knows of one kind: sums, as in struct sh_window. */
struct sh_figures {
    _Alignas(64) _Atomic uint64_t runs;
    _Atomic uint64_t samples, service_ns, queued_ns, parked;
    _Atomic uint64_t deep, deep_ns, cpu_ns, system_ns, faults, never_slept;
    _Atomic uint64_t failures;
    _Atomic uint64_t bytes_in, bytes_out;
    _Atomic uint64_t crossed; /* such as are parked at the other site: that the
                               * worker has woken */
    _Atomic uint64_t mean_ns; /* of service, of late; the worker's own */
};
_Static_assert(sizeof(struct sh_figures) == 128, "two lines");

struct sh_pool;
struct sh_post;

static inline void sh_figures_add(_Atomic uint64_t *sum, uint64_t n)
{
    /* relaxed: only its worker writes it, and whoever reads wants a figure */
    sh_store_rlx(sum, sh_load_rlx(sum) + n);
}

/* Those of a profile at a post, of a pool that keeps figures. */
struct sh_figures *sh_figures_at(const struct sh_pool *pool, unsigned post,
                                 unsigned profile);

/* Those of a task at a post, whose profile is made if there is none; NULL:
 * there is no room. And of one that was met before, or NULL. */
struct sh_figures *sh_figures_of(struct sh_pool *pool,
                                 const struct sh_post *post,
                                 const shunt_task *task);
struct sh_figures *sh_figures_met(struct sh_pool *pool,
                                  const struct sh_post *post,
                                  const shunt_task *task);

/* The profile of a kind, made if there is none; NULL: there is no room, or the
 * pool has no profiles. */
struct sh_profile *sh_profile_of(struct sh_pool *pool, const shunt_task *task);

/* Where a record of an auto pool that has this task, or none, is to run: what
 * of SH_PLACED. */
unsigned sh_profile_places(struct sh_pool *pool, const shunt_task *task);

/* Whether no task of that kind may begin in the host: one has crashed. */
bool sh_profile_is_banned(struct sh_pool *pool, const shunt_task *task);

static inline struct sh_place sh_profile_place(struct sh_profile *p)
{
    uint32_t word = sh_load_rlx(&p->place); /* relaxed: profile */

    return (struct sh_place){ (uint8_t)word, (uint8_t)(word >> 8) };
}

/* Whether it has one of the bits. */
static inline bool sh_profile_has(struct sh_profile *p, uint32_t bit)
{
    return (sh_load_rlx(&p->place) & bit) != 0; /* relaxed: profile */
}

static inline void sh_profile_put(struct sh_profile *p, struct sh_place place,
                                  uint32_t bits)
{
    /* relaxed: profile */
    sh_store_rlx(&p->place,
                 (uint32_t)place.site | (uint32_t)place.manner << 8 | bits);
}

#endif /* SH_TASK_PROFILE_H */
