/* SPDX-License-Identifier: MIT */
/*
 * worker/sample.c - taking a sample of a run: see sample.h.
 *
 * Edges, as in sample.h.
 */
#include "worker/sample.h"

#include <sys/resource.h>

#include "base/clock.h"
#include "future/timer.h"
#include "memory/arena.h"
#include "worker/blocking.h"

/* How many blocks of a run are looked at for their size. */
#define BLOCKS_MAX 16u
/* The weight of the last sample in a mean. */
#define MEAN_OF 8
/* What was queued for longer has a stamp that has come round. */
#define QUEUED_MS_MAX 86400000u

bool sh_sample_init(struct sh_pool *pool, unsigned posts)
{
    pool->figures_bytes =
        (size_t)posts * SH_PROFILES * sizeof(struct sh_figures);
    pool->profiles = sh_arena_map(
        pool->arena, SH_PROFILES * sizeof *pool->profiles, SH_PAGES_RESERVE);
    pool->figures =
        sh_arena_map(pool->arena, pool->figures_bytes, SH_PAGES_RESERVE);
    if (pool->profiles == NULL || pool->figures == NULL ||
        !sh_pilot_of_pools.init(pool))
        return false;
    pool->time.steer = sh_pilot_of_pools.step;
    return true;
}

void sh_sample_fini(struct sh_pool *pool)
{
    if (pool->pilot != NULL)
        sh_pilot_of_pools.fini(pool);
    if (pool->profiles != NULL)
        sh_arena_unmap(pool->arena, pool->profiles,
                       SH_PROFILES * sizeof *pool->profiles);
    if (pool->figures != NULL)
        sh_arena_unmap(pool->arena, pool->figures, pool->figures_bytes);
}

/* -- when -- */

/* A number below n, which is not 0 (Marsaglia's xorshift). */
static uint32_t draw_below(struct sh_worker *w, uint32_t n)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 17;
    w->random ^= w->random << 5;
    return w->random % n;
}

/* A run is sampled: draw the next one, from what the last ones took. Their
 * number grows from one, so that the first runs of a pool are looked at; and it
 * varies, since programs like powers of two. */
static void draw(struct sh_worker *w, struct sh_sampler *s, int64_t now_ns)
{
    int64_t passed_ns = now_ns - s->at_ns;
    uint32_t next;

    s->awake += s->weight;
    if (s->every == 0)
        s->every = 1;
    else if (s->at_ns < 0)
        ; /* it has slept */
    else if (passed_ns >= (int64_t)s->weight * SH_SAMPLE_EACH_NS)
        s->every = 1;
    else if (passed_ns < SH_SAMPLE_REST_NS && s->every < SH_SAMPLE_EVERY)
        s->every *= 2;
    else if (passed_ns >= 2 * SH_SAMPLE_REST_NS && s->every > 1)
        s->every /= 2;
    next = s->every;
    if (next >= 4) /* from three quarters of it to five */
        next += draw_below(w, next / 2 + 1) - next / 4;
    s->at_ns = now_ns;
    s->weight = s->left = next;
}

/* Whether this sample of that kind is to be deep. */
static bool goes_deep(struct sh_worker *w, struct sh_sampler *s,
                      struct sh_figures *t, int64_t now_ns)
{
    /* relaxed: ours */
    if (sh_load_rlx(&t->mean_ns) < SH_DEEP_EACH_NS &&
        ++s->shallow < SH_DEEP_EVERY)
        return false;
    return now_ns >= w->sampler[0].deep_ns; /* for both */
}

/* -- what -- */

static uint64_t ns_of(struct timeval t)
{
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_usec * 1000;
}

/* The sum of rusage is in ticks of a clock on some systems; that in the kernel
 * is the best there is, and right over many samples. */
static struct sh_usage usage(void)
{
    struct timespec cpu;
    struct rusage u;

    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu) != 0 ||
        getrusage(RUSAGE_THREAD, &u) != 0)
        return (struct sh_usage){ 0 };
    return (struct sh_usage){ (uint64_t)cpu.tv_sec * 1000000000 +
                                  (uint64_t)cpu.tv_nsec,
                              ns_of(u.ru_stime),
                              (uint64_t)(u.ru_minflt + u.ru_majflt),
                              (uint64_t)u.ru_nvcsw };
}

/* The kernel's clocks of a thread are set right against each other, so that
 * one of them may go back. */
static uint64_t since(uint64_t before, uint64_t now)
{
    return now > before ? now - before : 0;
}

/* By the coarse clock, of some milliseconds. */
static uint64_t queued_ns(struct sh_record *r)
{
    /* relaxed: ours while it runs */
    uint32_t ms = sh_stamp_now() - sh_load_rlx(&r->link);

    return ms < QUEUED_MS_MAX ? (uint64_t)ms * 1000000 : 0;
}

static uint64_t bytes_of(const struct sh_run *run)
{
    const struct sh_block *b = run->blocks.first;
    uint64_t bytes = 0;

    for (unsigned i = 0; i < BLOCKS_MAX && b != NULL; i++, b = b->next)
        bytes += b->kind == SH_BLOCK_USER ? b->size : 0;
    return bytes;
}

void sh_sample_begin(struct sh_sample *s, struct sh_worker *w,
                     struct sh_run *run, unsigned kind, bool each)
{
    struct sh_sampler *of = &w->sampler[run->above];
    struct sh_record *r = run->record;
    int64_t now_ns;

    s->tally = NULL;
    if (w->pool->profiles == NULL)
        return; /* and again when the count has come round */
    now_ns = sh_clock_ns();
    s->each = each;
    s->spoiled = false;
    s->weight = each ? 1 : of->weight;
    if (!each)
        draw(w, of, now_ns);
    s->tally = sh_figures_of(w->pool, w->post, r->task);
    if (s->tally == NULL)
        return;
    s->service_ns = 0;
    s->parked = false;
    s->used = (struct sh_usage){ 0 };
    s->queued_ns = kind == SH_KIND_TASK ? queued_ns(r) : 0;
    s->deep = goes_deep(w, of, s->tally, now_ns);
    if (s->deep) {
        int64_t took_ns = -now_ns;

        s->since = usage();
        now_ns = sh_clock_ns();
        took_ns += now_ns;
        if (took_ns > SH_DEEP_NS_MAX)
            took_ns = SH_DEEP_NS_MAX;
        of->shallow = 0;
        w->sampler[0].deep_ns = now_ns + took_ns * SH_DEEP_REST;
    }
    if (!each)
        of->last = s->tally;
    s->since_ns = now_ns;
    run->sample = s;
}

void sh_sample_unusual(struct sh_worker *w, struct sh_run *run,
                       struct sh_sample *s, unsigned kind)
{
    const struct sh_record *r = run->record;
    bool apart = r->task->traits_.blocking || (sh_placed(r) & SH_BLOCKS) != 0 ||
                 (!run->above && r->task == w->each);
    bool each = apart && w->pool->profiles != NULL &&
                (sh_placed(r) & SH_PLACED) != SH_SAID_HOST;

    if (sh_blocking_always(r))
        sh_blocking_enter(w);
    if (each || !apart || --w->sampler[run->above].left == 0)
        sh_sample_begin(s, w, run, kind, each);
}

static void stop(struct sh_sample *s)
{
    uint64_t ns = since((uint64_t)s->since_ns, (uint64_t)sh_clock_ns());

    s->service_ns += ns;
    if (s->deep) {
        struct sh_usage now = usage();
        uint64_t cpu_ns = since(s->since.cpu_ns, now.cpu_ns);

        /* What it takes to ask is none of the task's. */
        s->used.cpu_ns += cpu_ns < ns ? cpu_ns : ns;
        s->used.system_ns += since(s->since.system_ns, now.system_ns);
        s->used.faults += since(s->since.faults, now.faults);
        s->used.sleeps += since(s->since.sleeps, now.sleeps);
    }
}

void sh_sample_pause(struct sh_sample *s)
{
    stop(s);
    s->parked = true;
}

void sh_sample_resume(struct sh_sample *s)
{
    if (s->deep)
        s->since = usage();
    s->since_ns = sh_clock_ns();
}

/* There are figures to be looked at. */
static void tell(struct sh_pool *pool)
{
    struct sh_time *time = &pool->time;

    if (sh_load_rlx(&time->sampled) != 0) /* relaxed: who set it has rung */
        return;
    sh_store_sc(&time->sampled, 1);               /* seq_cst: sampled */
    if (sh_load_sc(&time->steer_ns) == INT64_MAX) /* seq_cst: sampled */
        sh_time_ring(pool);
}

void sh_sample_end(struct sh_sample *s, struct sh_run *run)
{
    struct sh_figures *t = s->tally;
    struct sh_sampler *of = &run->worker->sampler[run->above];
    const shunt_task *task = run->record->task;
    int64_t mean_ns;

    if (t == NULL)
        return;
    stop(s);
    /* Its time is none of what is counted. */
    if (s->each && of->at_ns >= 0)
        of->at_ns += (int64_t)s->service_ns;
    run->sample = NULL;
    if (s->spoiled) {
        sh_figures_add(&t->runs, s->weight);
        tell(run->pool);
        return;
    }
    mean_ns = (int64_t)sh_load_rlx(&t->mean_ns); /* relaxed: ours */
    mean_ns += ((int64_t)s->service_ns - mean_ns) / MEAN_OF;
    /* relaxed: ours; the first one is all that is known */
    sh_store_rlx(&t->mean_ns, sh_load_rlx(&t->samples) == 0
                                  ? s->service_ns
                                  : (uint64_t)mean_ns);
    /* Among many short runs few samples would be of it, and too few to judge
     * by: processes have a bit in the record for that. */
    if (mean_ns >= SH_SAMPLE_EACH_NS && sh_is_of_host_camp(run->worker) &&
        sh_profile_has(sh_profile_of(run->pool, task), SH_PROFILE_TRIED))
        run->worker->each = task;
    else if (task == run->worker->each)
        run->worker->each = NULL;
    sh_figures_add(&t->runs, s->weight);
    sh_figures_add(&t->samples, 1);
    sh_figures_add(&t->service_ns, s->service_ns);
    sh_figures_add(&t->queued_ns, s->queued_ns);
    sh_figures_add(&t->parked, s->parked);
    if (s->deep) {
        sh_figures_add(&t->deep, 1);
        sh_figures_add(&t->deep_ns, s->service_ns);
        sh_figures_add(&t->cpu_ns, s->used.cpu_ns);
        sh_figures_add(&t->system_ns, s->used.system_ns);
        sh_figures_add(&t->faults, s->used.faults);
        sh_figures_add(&t->never_slept, s->used.sleeps == 0);
    }
    sh_figures_add(&t->bytes_in, (task->shape_ & SHUNT_SHAPE_STEP_) != 0
                                     ? task->ctx_size_
                                     : task->in_size_);
    sh_figures_add(&t->bytes_out, task->out_size_ + bytes_of(run));
    tell(run->pool);
}

static void rest(struct sh_worker *w, struct sh_sampler *s)
{
    uint32_t more = s->weight - s->left, ran = s->awake + more;

    if (s->last == NULL || ran == 0)
        return;
    if (more > 0) {
        sh_figures_add(&s->last->runs, more);
        tell(w->pool);
    }
    if (ran > SH_SAMPLE_WOKEN)
        ran = SH_SAMPLE_WOKEN;
    s->weight = s->left = 1 + draw_below(w, ran);
    s->awake = 0;
    s->at_ns = -1;
}

void sh_sample_rest(struct sh_worker *w)
{
    for (int above = 0; above <= 1; above++)
        rest(w, &w->sampler[above]);
}

void sh_sample_failed(struct sh_run *run)
{
    struct sh_pool *pool = run->pool;
    struct sh_figures *t = NULL;

    if (pool->profiles != NULL && run->record->task->shape_ != SH_SHAPE_TAKEN)
        t = sh_figures_of(pool, run->worker->post, run->record->task);
    if (t == NULL)
        return;
    sh_figures_add(&t->failures, 1);
    tell(pool);
}
