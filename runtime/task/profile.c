/* SPDX-License-Identifier: MIT */
/* task/profile.c - the table of profiles: see profile.h. */
#include "task/profile.h"

#include "task/pool.h"
#include "task/run.h"

#define PROBES 16u

static uint32_t hash(const shunt_task *task)
{
    /* Descriptors are some hundred bytes apart. Fibonacci hashing (Knuth). */
    uint64_t h = (uint64_t)((uintptr_t)task >> 4) * 0x9e3779b97f4a7c15u;

    return (uint32_t)(h >> 54);
}

static struct sh_profile *entry_of(struct sh_pool *pool, const shunt_task *task,
                                   bool meets)
{
    uint32_t at = hash(task);

    if (pool->profiles == NULL || task == NULL)
        return NULL;
    for (unsigned i = 0; i < PROBES; i++) {
        struct sh_profile *p = &pool->profiles[(at + i) % SH_PROFILES];
        const shunt_task *t = sh_load_acq(&p->task); /* acquire: profile */

        if (t == NULL && !meets)
            return NULL;
        if (t == NULL && sh_cas_acqrel(&p->task, &t, task)) /* acq_rel:
                                                             * profile */
            return p;
        if (t == task)
            return p;
    }
    return NULL;
}

struct sh_profile *sh_profile_of(struct sh_pool *pool, const shunt_task *task)
{
    return entry_of(pool, task, true);
}

static bool is_isolated(const shunt_traits *t)
{
    return t->untrusted || t->thread_unsafe || t->exclusive;
}

/* Any of FOR_HOST and AT_AWAIT. */
static SH_COLD unsigned scatter(void)
{
    static _Atomic unsigned next;

    return sh_add_rlx(&next, 1) * 0x9e3779b9u >> 30; /* relaxed: random */
}

/* Whether a task of that kind is to run in the host. What runs inline stays
 * with who submits it, or it would only be handed over: in a process; and in a
 * task that runs in the host if it may be there. */
static bool goes_home(struct sh_pool *pool, struct sh_profile *p,
                      struct sh_place place)
{
    if (place.manner != SH_MANNER_INLINE)
        return place.site == SH_SITE_THREAD;
    if (sh_self()->served == pool)
        return false;
    return place.site == SH_SITE_THREAD ||
           (sh_here.run != NULL && sh_profile_has(p, SH_PROFILE_EITHER));
}

unsigned sh_profile_places(struct sh_pool *pool, const shunt_task *task)
{
    static const uint8_t manners[] = { [SH_MANNER_QUEUED] = 0,
                                       [SH_MANNER_INLINE] = SH_AT_AWAIT,
                                       [SH_MANNER_BLOCKING] = SH_BLOCKS };
    struct sh_profile *p;
    struct sh_place place;
    const shunt_traits *t;
    bool host;

    if (task == NULL)
        return 0;
    t = &task->traits_;
    host = t->host_only;
    if (SH_UNLIKELY(pool->scattered) && !host && !is_isolated(t))
        return scatter();
    if (task->shape_ == SH_SHAPE_TAKEN)
        return 0; /* a part of a task: it has no profile */
    p = sh_profile_of(pool, task);
    if (p == NULL)
        return host ? SH_FOR_HOST : 0;
    place = sh_profile_place(p);
    if (goes_home(pool, p, place) && !is_isolated(t) &&
        sh_load_rlx(&p->banned) == 0 && /* relaxed: who claims it looks, too */
        sh_load_rlx(&pool->no_guests) == 0) /* relaxed: a hint */
        host = true;
    if (!host && place.manner == SH_MANNER_QUEUED &&
        !sh_profile_has(p, SH_PROFILE_SEEN) && task->shape_ != SH_SHAPE_TAKEN)
        return SH_EACH;
    return manners[place.manner] | (host ? SH_FOR_HOST : 0);
}

bool sh_profile_is_banned(struct sh_pool *pool, const shunt_task *task)
{
    struct sh_profile *p = sh_profile_of(pool, task);

    return p != NULL && sh_load_rlx(&p->banned) != 0; /* relaxed: profile */
}

struct sh_figures *sh_figures_at(const struct sh_pool *pool, unsigned post,
                                 unsigned profile)
{
    SH_ASSERT(profile < SH_PROFILES);
    return &pool->figures[(size_t)post * SH_PROFILES + profile];
}

static struct sh_figures *figures_of(struct sh_pool *pool,
                                     const struct sh_post *post,
                                     const struct sh_profile *p)
{
    return p == NULL ? NULL
                     : sh_figures_at(pool, (unsigned)(post - pool->posts),
                                     (unsigned)(p - pool->profiles));
}

struct sh_figures *sh_figures_of(struct sh_pool *pool,
                                 const struct sh_post *post,
                                 const shunt_task *task)
{
    return figures_of(pool, post, entry_of(pool, task, true));
}

struct sh_figures *sh_figures_met(struct sh_pool *pool,
                                  const struct sh_post *post,
                                  const shunt_task *task)
{
    return figures_of(pool, post, entry_of(pool, task, false));
}
