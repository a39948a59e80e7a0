/* SPDX-License-Identifier: MIT */
/*
 * place/steer.c - the driver of the policy, and what it learns from files: see
 * steer.h.
 *
 * Edges, as in steer.h.
 */
#include "place/steer.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "future/value.h"
#include "memory/pages.h"
#include "place/trace.h"
#include "shunt/auto.h"
#include "task/error.h"
#include "worker/worker.h"

/* What a tally and a window have in common: all of a window. */
#define SUMS(X)   \
    X(runs)       \
    X(samples)    \
    X(service_ns) \
    X(queued_ns)  \
    X(parked)     \
    X(deep)       \
    X(deep_ns)    \
    X(cpu_ns)     \
    X(system_ns)  \
    X(faults) X(never_slept) X(failures) X(bytes_in) X(bytes_out) X(crossed)
#define ONE_(name) +1
_Static_assert(sizeof(struct sh_window) == sizeof(uint64_t) * (0 SUMS(ONE_)),
               "all of a window");

_Static_assert(SH_TRIAL_STEP_NS == SH_STEER_NS, "how far steps are apart");

#define KINDS_BYTES (SH_PROFILES * sizeof(struct sh_steered))

bool sh_steer_places(const struct sh_pool *pool)
{
    return pool->mixed && !pool->scattered;
}

enum sh_site sh_site_of(const struct sh_pool *pool, unsigned post)
{
    if (!pool->shared || post == pool->workers ||
        (pool->mixed && post >= pool->camps[SH_HOST_CAMP].first))
        return SH_SITE_THREAD;
    return SH_SITE_PROCESS;
}

/* Where the mode has it run if it is no auto pool. */
static enum sh_site fixed_site(const struct sh_pool *pool,
                               const shunt_task *task)
{
    return pool->shared && !task->traits_.host_only ? SH_SITE_PROCESS
                                                    : SH_SITE_THREAD;
}

struct sh_place sh_steer_place(struct sh_pool *pool, unsigned profile,
                               const shunt_task *task)
{
    if (sh_steer_places(pool))
        return sh_profile_place(&pool->profiles[profile]);
    return (struct sh_place){ (uint8_t)fixed_site(pool, task),
                              SH_MANNER_QUEUED };
}

/* -- figures -- */

static void add_tally(struct sh_window *w, struct sh_figures *t)
{
#define ADD_(name) w->name += sh_load_rlx(&t->name); /* relaxed: a figure */
    SUMS(ADD_)
}

static struct sh_window since(const struct sh_window *now,
                              const struct sh_window *before)
{
    struct sh_window w;

#define SINCE_(name) w.name = now->name - before->name;
    SUMS(SINCE_)
    return w;
}

void sh_steer_sum(struct sh_pool *pool, unsigned profile,
                  struct sh_window sums_out[SH_SITES])
{
    uint64_t woken;

    memset(sums_out, 0, SH_SITES * sizeof *sums_out);
    for (unsigned i = 0; i < sh_pool_active(pool); i = sh_pool_next(pool, i))
        add_tally(&sums_out[sh_site_of(pool, i)],
                  sh_figures_at(pool, i, profile));
    /* Counted by who has woken; it is the woken one's. */
    woken = sums_out[SH_SITE_PROCESS].crossed;
    sums_out[SH_SITE_PROCESS].crossed = sums_out[SH_SITE_THREAD].crossed;
    sums_out[SH_SITE_THREAD].crossed = woken;
}

/* -- kinds -- */

/* What the traits say; in a fixed mode nothing is moved, nor tried elsewhere,
 * so that nothing else is recorded either. */
static struct sh_bounds bounds_of(const struct sh_pool *pool,
                                  const shunt_task *task)
{
    const shunt_traits *t = &task->traits_;
    struct sh_bounds b = {
        .trusted = t->trusted,
        /* A pool of one worker runs one task at a time. And what an .init does
         * is perhaps for worker processes alone. */
        .isolated = t->untrusted || t->thread_unsafe || t->exclusive ||
                    pool->workers == 1 || pool->team->init != NULL,
        .host_only = t->host_only,
        .blocking = t->blocking,
    };

    if (!sh_steer_places(pool)) {
        b.host_only = fixed_site(pool, task) == SH_SITE_THREAD;
        b.isolated = !b.host_only;
    }
    return b;
}

/* Have what is submitted from now on run where it is to; and each run be looked
 * at that is long, or of a kind that is hardly known: by chance alone a sample
 * in hundreds would be of it, beside what is short. */
static void put(struct sh_pool *pool, unsigned i, const struct sh_policy *p)
{
    const struct sh_evidence *e = &p->at[p->place.site];
    uint32_t bits = 0;

    if (!sh_steer_places(pool))
        return;
    if (sh_evidence_samples(e) >= SH_SAMPLES_MIN &&
        sh_evidence_mean_ns(e) < SH_SAMPLE_EACH_NS)
        bits |= SH_PROFILE_SEEN;
    if (p->place.manner == SH_MANNER_INLINE &&
        sh_policy_bound(p) == SH_REASON_NONE)
        bits |= SH_PROFILE_EITHER;
    if (p->trial.running)
        bits |= SH_PROFILE_TRIED;
    sh_profile_put(&pool->profiles[i], p->place, bits);
}

/* Have a kind know what a file says of it, but not forget that it has crashed.
 */
static void learn(struct sh_pool *pool, unsigned i,
                  const struct sh_learned_kind *from)
{
    struct sh_profile *p = &pool->profiles[i];
    struct sh_steered *k = &pool->pilot->kinds[i];
    struct sh_policy_saved saved = from->policy;
    struct sh_bounds bounds = bounds_of(pool, k->task);
    int64_t crashes = (int64_t)k->policy.crashes;

    if (sh_load_rlx(&p->banned) != 0 || k->policy.banned) /* relaxed: profile */
        saved.banned = 1;
    if (saved.crashes < crashes)
        saved.crashes = crashes;
    if (!sh_policy_load(&k->policy, &bounds, &saved))
        return; /* not after what was read was found plausible */
    for (uint64_t n = 0; n < k->policy.recorded; n++)
        k->policy.history[n].now_ns = sh_clock_ns();
    if (k->policy.banned)
        sh_store_rlx(&p->banned, 1); /* relaxed: profile */
    put(pool, i, &k->policy);
}

/* The kind with that index, which has just been met or before; NULL if there is
 * none. */
static struct sh_steered *meet(struct sh_pool *pool, unsigned i)
{
    struct sh_steer *s = pool->pilot;
    struct sh_steered *k = &s->kinds[i];
    /* acquire: profile */
    const shunt_task *task = sh_load_acq(&pool->profiles[i].task);
    const struct sh_learned_kind *known;
    struct sh_bounds bounds;

    if (task == NULL || k->task != NULL)
        return task == NULL ? NULL : k;
    bounds = bounds_of(pool, task);
    k->task = task;
    sh_policy_init(&k->policy, &bounds);
    put(pool, i, &k->policy);
    known = sh_learned_find(&s->learned, task);
    if (known != NULL)
        learn(pool, i, known);
    return k;
}

/* What a kind is called in a trace: one word, and no other's. */
static void word_of(const struct sh_steered *k, unsigned i,
                    char to[SH_TRACE_KIND])
{
    size_t n =
        (size_t)snprintf(to, SH_TRACE_KIND - 8, "%s", sh_task_name_of(k->task));

    if (n >= SH_TRACE_KIND - 8)
        n = SH_TRACE_KIND - 9;
    for (size_t at = 0; at < n; at++)
        if (to[at] <= ' ' || to[at] > '~' ||
            (at == 0 && (to[at] == '#' || to[at] == '=')))
            to[at] = '_';
    snprintf(to + n, SH_TRACE_KIND - n, "@%u", i);
}

/* Write a step of a kind to the trace, and what came of it as a comment. */
static void trace(struct sh_steer *s, unsigned i, const struct sh_measures *m,
                  enum sh_reason reason)
{
    struct sh_steered *k = &s->kinds[i];
    char kind[SH_TRACE_KIND], line[SH_TRACE_LINE];

    word_of(k, i, kind);
    errno = 0;
    if (!k->traced &&
        sh_trace_bounds(line, sizeof line, kind, &k->policy.bounds) > 0)
        fputs(line, s->trace);
    k->traced = true;
    if (sh_trace_step(line, sizeof line, kind, m) > 0)
        fputs(line, s->trace);
    if (reason != SH_REASON_NONE)
        fprintf(s->trace, "# %s: site %u, manner %u: %s\n", kind,
                k->policy.place.site, k->policy.place.manner,
                sh_reason_text(reason));
    if (ferror(s->trace) != 0 && s->trace_error == 0)
        s->trace_error = errno != 0 ? -errno : -EIO;
}

static void step_kind(struct sh_pool *pool, unsigned i, int64_t now_ns)
{
    struct sh_steer *s = pool->pilot;
    struct sh_profile *p = &pool->profiles[i];
    struct sh_steered *k = meet(pool, i);
    struct sh_measures m = { .now_ns = now_ns };
    struct sh_window sums[SH_SITES];
    uint64_t crashes = sh_load_rlx(&p->crashes); /* relaxed: profile */
    enum sh_reason reason;

    if (k == NULL)
        return;
    sh_steer_sum(pool, i, sums);
    if (memcmp(sums, k->total, sizeof sums) == 0 && crashes == k->crashes)
        return;
    for (unsigned site = 0; site < SH_SITES; site++)
        m.at[site] = since(&sums[site], &k->total[site]);
    m.crashes = (uint32_t)(crashes - k->crashes);
    memcpy(k->total, sums, sizeof sums);
    k->crashes = crashes;
    reason = sh_policy_step(&k->policy, &m);
    put(pool, i, &k->policy);
    if (s->trace != NULL)
        trace(s, i, &m, reason);
}

static void step(struct sh_pool *pool)
{
    struct sh_steer *s = pool->pilot;
    int64_t now_ns = sh_clock_ns();

    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < SH_PROFILES; i++)
        step_kind(pool, i, now_ns);
    pthread_mutex_unlock(&s->lock);
}

bool sh_steer_kind(struct sh_pool *pool, unsigned profile,
                   struct sh_steered *kind_out)
{
    struct sh_steer *s = pool->pilot;
    struct sh_steered *k;

    pthread_mutex_lock(&s->lock);
    k = meet(pool, profile);
    if (k != NULL)
        *kind_out = *k;
    pthread_mutex_unlock(&s->lock);
    if (k == NULL)
        return false;
    /* As they are now; the policy hears of it later. */
    sh_steer_sum(pool, profile, kind_out->total);
    /* relaxed: profile */
    kind_out->crashes = sh_load_rlx(&pool->profiles[profile].crashes);
    return true;
}

/* -- a pool -- */

static bool init(struct sh_pool *pool)
{
    struct sh_steer *s = sh_pages_map(sizeof *s, SH_PAGES_RESERVE);

    if (s == NULL)
        return false;
    s->kinds = sh_pages_map(KINDS_BYTES, SH_PAGES_RESERVE);
    if (s->kinds == NULL) {
        sh_pages_unmap(s, sh_pages_round(sizeof *s));
        return false;
    }
    pthread_mutex_init(&s->lock, NULL);
    pool->pilot = s;
    return true;
}

static void fini(struct sh_pool *pool)
{
    struct sh_steer *s = pool->pilot;

    sh_learned_free(&s->learned);
    pthread_mutex_destroy(&s->lock);
    sh_pages_unmap(s->kinds, sh_pages_round(KINDS_BYTES));
    sh_pages_unmap(s, sh_pages_round(sizeof *s));
    pool->pilot = NULL;
}

const struct sh_pilot sh_pilot_of_pools = { .init = init,
                                            .step = step,
                                            .fini = fini };

int sh_steer_find(shunt_pool *name, struct sh_pool **pool_out)
{
    int rc = sh_pool_find(name, pool_out);

    if (rc != 0)
        return sh_refuse(rc, NULL);
    if (sh_self()->served != NULL)
        return sh_refuse(SHUNT_ENOTSUP,
                         "a worker process does not know the pool's figures");
    if ((*pool_out)->profiles == NULL)
        return sh_refuse(SHUNT_ENOTSUP,
                         "the pool keeps no figures: it is no auto pool, and "
                         "was not made with SHUNT_FIGURES=1 in the "
                         "environment");
    return 0;
}

/* -- files -- */

/* All that a pool knows, what it has not met included, as a list. */
static bool gather(struct sh_pool *pool, struct sh_learned *list)
{
    struct sh_steer *s = pool->pilot;
    struct sh_learned_kind one;
    bool good = true;

    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; good && i < s->learned.count; i++)
        good = sh_learned_put(list, &s->learned.kinds[i]);
    for (unsigned i = 0; good && i < SH_PROFILES; i++) {
        const struct sh_steered *k = meet(pool, i);

        if (k == NULL || !sh_learned_name(&one, k->task))
            continue;
        sh_policy_save(&k->policy, &one.policy);
        /* It may have crashed since the last step. relaxed: profile */
        if (sh_load_rlx(&pool->profiles[i].banned) != 0)
            one.policy.banned = 1;
        good = sh_learned_put(list, &one);
    }
    pthread_mutex_unlock(&s->lock);
    return good;
}

int shunt_profile_save(shunt_pool *name, const char *path)
{
    struct sh_learned list = { 0 };
    struct sh_pool *pool;
    int rc = sh_steer_find(name, &pool);

    if (rc != 0)
        return rc;
    if (path == NULL)
        return sh_refuse(SHUNT_EINVAL, "there is no path");
    rc = gather(pool, &list) ? sh_learned_write(&list, path) : SHUNT_ENOMEM;
    sh_learned_free(&list);
    return rc;
}

/* Put what was read into effect; nothing has changed if there is no memory. */
static int take_over(struct sh_pool *pool, const struct sh_learned *read)
{
    struct sh_steer *s = pool->pilot;
    struct sh_learned both = { 0 };
    bool good = true;

    pthread_mutex_lock(&s->lock);
    /* What was loaded before, and is not said anew, is known still. */
    for (size_t i = 0; good && i < s->learned.count; i++)
        good = sh_learned_put(&both, &s->learned.kinds[i]);
    for (size_t i = 0; good && i < read->count; i++)
        good = sh_learned_put(&both, &read->kinds[i]);
    if (good) {
        sh_learned_free(&s->learned);
        s->learned = both;
    } else {
        sh_learned_free(&both);
    }
    for (unsigned i = 0; good && i < SH_PROFILES; i++) {
        const struct sh_steered *k = meet(pool, i);
        const struct sh_learned_kind *known =
            k == NULL ? NULL : sh_learned_find(read, k->task);

        if (known != NULL)
            learn(pool, i, known);
    }
    pthread_mutex_unlock(&s->lock);
    return good ? 0 : SHUNT_ENOMEM;
}

int shunt_profile_load(shunt_pool *name, const char *path)
{
    struct sh_learned read = { 0 };
    struct sh_pool *pool;
    char text[160];
    int rc = sh_steer_find(name, &pool);

    if (rc != 0)
        return rc;
    if (path == NULL)
        return sh_refuse(SHUNT_EINVAL, "there is no path");
    rc = sh_learned_read(&read, path, text, sizeof text);
    if (rc == SHUNT_EINVAL)
        return sh_refuse(rc, text);
    if (rc == 0)
        rc = take_over(pool, &read);
    sh_learned_free(&read);
    return rc;
}

int shunt_trace_decisions(shunt_pool *name, FILE *to)
{
    struct sh_pool *pool;
    struct sh_steer *s;
    int rc = sh_steer_find(name, &pool);

    if (rc != 0)
        return rc;
    s = pool->pilot;
    pthread_mutex_lock(&s->lock);
    rc = s->trace_error;
    if (s->trace != NULL && fflush(s->trace) != 0 && rc == 0)
        rc = -errno;
    s->trace = to;
    s->trace_error = 0;
    for (unsigned i = 0; i < SH_PROFILES; i++)
        if (s->kinds[i].task != NULL)
            s->kinds[i].traced = false;
    pthread_mutex_unlock(&s->lock);
    return rc;
}
