/* SPDX-License-Identifier: MIT */
/*
 * worker/worker.h - a worker: one thread, its loop, its stacks.
 *
 * The loop runs on a stack of the worker's pool of stacks, and tasks run on
 * top of it. A task that must wait leaves its stack parked, loop frame and
 * all, and the loop goes on, afresh, on another stack. When the task may go
 * on, the loop leaves the stack that it is on (which is then free) and goes
 * back to the parked one. So a stack is switched only when a task waits.
 *
 * Edges.
 *   stuck    future/timer.c
 */
#ifndef SH_WORKER_WORKER_H
#define SH_WORKER_WORKER_H

#include <pthread.h>
#include <signal.h>

#include "fiber/fiber.h"
#include "fiber/stacks.h"
#include "future/settle.h"
#include "queue/split.h"
#include "shunt/pool.h"
#include "worker/sample.h"

struct sh_worker {
    struct sh_seat seat; /* its address is the worker's */
    struct sh_pool *pool;
    struct sh_camp *camp;
    struct sh_post *post;
    unsigned index;
    pthread_t thread;
    struct sh_fiber base;   /* the thread's own stack */
    struct sh_fiber *fiber; /* the stack we are on */
    struct sh_fiber *left;  /* the stack that we left: to be given back */
    struct sh_stacks stacks;
    uint32_t resumed;       /* records to go on with, oldest first */
    uint32_t parked;        /* tasks that wait */
    struct sh_run *waiting; /* of a process pool: those of them that are not in
                             * resumed, the last first */
    uint64_t begun;         /* in its process: see care.c */
    const shunt_task *fits; /* the last that its process may run */
    uint32_t tick;
    /* Taken from the rings since it was last idle: find.c. What a process that
     * died leaves here costs the next one a pause at most. */
    uint32_t flow;
    uint32_t random;
    struct sh_stamp started; /* of the tasks that it runs: loop.c */
    uint32_t look_at;        /* the tick at which it is looked at next */
    struct sh_sampler sampler[2]; /* [1]: of what lies on top of others */
    const shunt_task *each; /* a long one that is tried on the threads of an
                             * auto pool, of which each run is sampled; NULL */
    uint32_t arrivals;       /* on a stack, a new one or another's */
    uint32_t tag;            /* of its next claim to a spawned call */
    uint32_t sections;       /* that its task has begun: blocking.c */
    _Atomic int thread_id;   /* the system's */
    uint64_t seen;           /* the timekeeper's: what ran when it looked, */
    unsigned asleep;         /* and how often in a row that waited */
    uint64_t
        taken; /* the hint of a spawned call that it is to run next, or 0 */
    struct sh_stranded *stranded; /* tasks that were given up, and wait for
                                   * spawned calls: frames.c */
    /* The epochs seen, and being looked at. Only the worker writes; a shutdown
     * looks at them. */
    _Atomic uint64_t rescan_done;
    uint64_t rescan_now;
    _Atomic uint32_t rescan_at;
};

/* How the workers of a pool come to be, and to their end: threads (pool.c), or
 * processes (process/crew.c). All are of the host. */
struct sh_crew {
    /* Before there is a pool: where it is to lie; NULL: in memory of this
     * process. 0 or SHUNT_E*; *why_out is a sentence then, or unwritten. */
    int (*prepare)(const shunt_options *options, struct sh_arena **arena_out,
                   const char **why_out);
    /* Start all workers: 0, or SHUNT_E*, and then none of them is left.
     * *why_out as above. */
    int (*start)(struct sh_pool *pool, const char **why_out);
    /* They were told to end: wait until the processes have, which can be
     * killed; and until the threads have. */
    void (*reap)(struct sh_pool *pool);
    void (*join)(struct sh_pool *pool);
    /* Some are stuck at code that was given up, or one more is to stand in. The
     * timekeeper's alone: others ask by sh_time_recruit. */
    void (*relieve)(struct sh_pool *pool);
};
extern const struct sh_crew sh_crew_of_threads, sh_crew_of_processes;
extern const struct sh_crew sh_crew_of_both; /* of an auto pool */

/* Wait until those that are threads have ended. */
void sh_threads_join(struct sh_pool *pool);

/* The timekeeper: start the threads of an auto pool, if they are wanted and not
 * there. */
void sh_guests_start(struct sh_pool *pool);

/* Synchronise with everybody who has queued a task before he read a word that
 * the caller has changed since: he saw the gate open, or that the threads of an
 * auto pool were to come. */
void sh_see_queues(struct sh_pool *pool);


/* A claim that came to nothing, and how often: of processes. */
#define SH_VAIN 32u
struct sh_vain {
    uint64_t hint;
    unsigned times;
};

#define SH_LAST_WORDS 512u

struct sh_team {
    const struct sh_crew *crew;
    _Atomic(struct sh_warden *) warden; /* of process/; the host's */
    struct sh_crash *crashes;           /* of process/; one a worker */
    int host; /* whose memory tasks must not point to */
    struct sh_worker *workers;
    unsigned count;   /* of posts: the workers, and those who may stand in */
    unsigned spares;  /* of these, for those that are stuck; */
    unsigned blocking_max; /* for those that are blocked, in each camp */
    int64_t look_ns;       /* when the timekeeper looks next: watch.c; */
    bool capped[SH_CAMPS]; /* nobody was to be had, and it is counted */
    unsigned started; /* threads; the timekeeper's, after the pool was made */
    int (*init)(void *arg);
    void *init_arg;
    char name[16];
    size_t stack_bytes;
    uint64_t worker_tasks_max; /* that a process begins; 0: no limit */
    size_t worker_bytes_max;   /* that it has of its own; 0: no limit */
    bool joined;
    sigset_t signals; /* that are blocked in a worker */
    int slack_ns;     /* how late a worker's sleeps may end */
    pthread_t timekeeper;
    struct sh_vain vain[SH_VAIN]; /* of the warden */
    unsigned vain_at;
    char last_words[SH_LAST_WORDS]; /* how the last process to die ended */
    pthread_mutex_t repair; /* of the host's threads: see process/recover.c */
    _Atomic uint32_t stop;  /* the workers are to end */
    /* Threads that have not ended, and one that stands for whoever frees the
     * pool, until he leaves it to them. */
    _Atomic uint32_t alive;
};

/* The calling thread's worker, NULL outside. */
static inline struct sh_worker *sh_worker_here(void)
{
    struct sh_seat *seat = sh_here.seat;

    return seat != NULL && seat->post != NULL ? (struct sh_worker *)seat : NULL;
}

/* Whether a pool needs the calling thread to come to its end: a worker of it,
 * its timekeeper, which runs hooks, or whoever else runs one of its hooks. */
bool sh_is_of_team(struct sh_pool *pool);

/* The loop: runs on a fresh stack, never returns. arg is the worker. */
void sh_worker_loop(void *arg);

/* Start worker index of a team as a thread; 0, or SHUNT_ENOMEM. */
int sh_worker_start(struct sh_pool *pool, unsigned index);

/* Say of worker index who he is, if nobody has: before his post is in use. */
void sh_worker_place(struct sh_pool *pool, unsigned index);

/* Set worker index up, as it is before its first task. */
struct sh_worker *sh_worker_prepare(struct sh_pool *pool, unsigned index);

/* Be that worker, in its process, until it is to end. False if there is no
 * memory for a stack. */
bool sh_worker_serve(struct sh_worker *w);

/* The same in the host, where its process cannot be: of a pool that is broken,
 * so all that comes is refused. It needs nothing of the pool's memory. */
bool sh_worker_refuse(struct sh_worker *w);

/* The process that ran this has died: the task ends with that outcome, as if it
 * had returned. */
void sh_run_abort(struct sh_run *run, unsigned outcome);

/* The text of its failure goes; before, it is not named any more, so that who
 * repairs the run does not free what has come there since. */
void sh_run_forget_text(struct sh_run *run);

/* The memory of a run is its record's from now on. Before the same is done by
 * who repairs: a dead process may have done it, or come so far that its last
 * block leads into the record's list. */
void sh_run_attach(struct sh_run *run);
void sh_run_cut(struct sh_run *run);

/* A run does no more, but is not to end yet: what it has does not go with its
 * process. */
void sh_run_lay_down(struct sh_run *run);

/* What a run that has died waited for, it waits for no more. */
void sh_run_unwait(struct sh_run *run);

/* The same, but the task is to run again, when what it has submitted, which is
 * cancelled, cannot run any more. */
void sh_run_renew(struct sh_run *run);

/* A run parks here; and it does so no more. */
static inline void sh_worker_add_parked(struct sh_worker *w, struct sh_run *run)
{
    w->parked++;
    if (SH_LIKELY(!w->pool->shared))
        return;
    run->beside = w->waiting;
    run->beside_at = &w->waiting;
    if (run->beside != NULL)
        run->beside->beside_at = &run->beside;
    w->waiting = run;
}

static inline void sh_worker_take_parked(struct sh_run *run)
{
    *run->beside_at = run->beside;
    if (run->beside != NULL)
        run->beside->beside_at = run->beside_at;
    run->beside_at = NULL;
}

/* After a switch: give back the stack that was left, if one was. */
void sh_worker_give_left(struct sh_worker *w);

/* Note when the code that comes on the worker now does so. */
void sh_worker_look_at_clock(struct sh_worker *w);

/* Run the function of a record that this worker has claimed by that word. For
 * run.c and frames.c alone; backtraces end at it. Returns the step that comes
 * next, claimed too, or NULL: of a spawned call there is none. */
SH_HOT struct sh_record *sh_worker_execute(struct sh_worker *w,
                                           struct sh_record *r, uint64_t word,
                                           unsigned kind, bool above);

/* Claim what a hint names, and run it; nothing if it is stale. */
void sh_worker_run(struct sh_worker *w, uint64_t hint);

/* The same, on the stack of who awaits it. */
void sh_worker_run_above(struct sh_worker *w, uint64_t hint);

/* The running task waits for ref, which was seen READY and is to be run by who
 * awaits it: run it here and now, on the task's stack. True if it has settled
 * then. */
bool sh_worker_run_awaited(struct sh_run *run, const struct sh_ref *ref);

/* Whether that is what was seen. */
static inline bool sh_is_awaiters(const struct sh_ref *ref)
{
    return sh_phase_of(ref->word) == SH_READY &&
           SH_UNLIKELY(sh_is_inline(ref->record));
}

/* The same for what a first handle stands for, if it is so. Nothing is pinned:
 * who runs it has it, and if the handle was given back meanwhile it stands for
 * nothing after that. */
bool sh_worker_run_plain(uint64_t handle);

/* A worker is about to do something else than what is in its deque: of what was
 * to run inline nobody has been told. */
static inline void sh_worker_tells(struct sh_worker *w)
{
    /* relaxed: if it was cleared, the timekeeper has looked since we queued */
    if (SH_UNLIKELY(sh_load_rlx(&w->pool->time.untold) != 0) &&
        sh_deque_size(&w->post->deque) > 0)
        sh_sleep_notify(&w->camp->sleep);
}

/* Turns of the loop until tasks from outside come first, and halfway the
 * oldest of the worker's own: so that neither tasks which make more tasks, nor
 * tasks which wake each other, keep the worker to themselves. */
#define SH_FAIR 61u
/* A worker that has taken so many tasks from the rings without being idle is in
 * a flow. Who submits one at a time and waits for it never gets it there. */
#define SH_FLOW 32u

static inline bool sh_worker_shares(uint32_t tick)
{
    return tick % SH_FAIR == 0 || tick % SH_FAIR == SH_FAIR / 2;
}

/* Wait for a record that is not given back meanwhile: 0 when it has settled,
 * or what shunt_await says. stubborn: a task that was asked to cancel waits all
 * the same, but not one that was given up. If the pool goes meanwhile, ref has
 * neither pool nor record afterwards, and the caller is no guest there. */
int sh_await_record(struct sh_ref *ref, bool stubborn);

/* Wait until a record has settled which runs a call that the task has spawned,
 * also if the task is asked to cancel meanwhile; that is passed on to it. 0, or
 * SHUNT_ECANCELED if the task was given up, or SHUNT_ENOMEM. */
int sh_await_joined(struct sh_ref *ref);

/* Whether a worker process that has come upon a record takes it up: it counts
 * as begun then, and its post says so. If not, somebody else has been told. */
bool sh_care_takes(struct sh_worker *w, struct sh_record *r, unsigned kind,
                   uint64_t hint);

/* A process that has begun as many tasks as it may: whether it is to end now;
 * and rest, if it can, so that others begin what comes. True if it did, or may
 * go on with what is parked in it. */
bool sh_care_leaves(struct sh_worker *w);
bool sh_care_rests(struct sh_worker *w);

/* Whether there is such a number. */
static inline bool sh_care_counts(const struct sh_worker *w)
{
    return SH_UNLIKELY(w->pool->team->worker_tasks_max != 0);
}

/* The next hint to run, 0 if there is none to be found now. */
uint64_t sh_worker_find(struct sh_worker *w);

/* Whether there is anything that worker w could do; looked at after it said
 * that it is idle. */
bool sh_worker_sees_work(struct sh_worker *w);

/* Take a spawned call, looking first at that deque: the hint of the task that
 * runs it, claimed by this worker; 0: there is none, and who spawns is asked to
 * offer one. Any worker: whether there is one to be taken. */
uint64_t sh_frames_steal(struct sh_worker *w, unsigned first);
bool sh_frames_offered(struct sh_pool *pool, const struct sh_camp *camp);

/* A worker process has a number for its claims only below that. */
static inline bool sh_frames_may_steal(const struct sh_worker *w)
{
    return SH_LIKELY(w->index < SH_SPLIT_THIEVES || !w->pool->shared);
}

/* Count that the calling worker, if it is one, has offered some. */
static inline void sh_worker_offered(void)
{
    struct sh_worker *w = sh_worker_here();

    if (w != NULL)
        sh_count(&w->post->counts.offered, 1);
}

/* Run that task. */
void sh_frames_run(struct sh_worker *w);

/* Whether a stranded task can go on; and go on with one, for good. */
bool sh_frames_float(const struct sh_worker *w);
void sh_frames_refloat(struct sh_worker *w);

/* Free the deques of a pool. */
void sh_frames_free(struct sh_pool *pool);

/* A task from outside was taken up: make room in the queue. */
void sh_worker_took(struct sh_worker *w);

/* Start the thread that has timers happen: 0, or SHUNT_ENOMEM, also when it has
 * been stopped. */
int sh_timekeeper_start(struct sh_pool *pool);
void sh_timekeeper_stop(struct sh_pool *pool);

/* The timekeeper: workers are stuck, have other threads run in their stead. */
void sh_worker_replace(struct sh_pool *pool);

/* Say that the code of a run is what runs from now on. False if it was given up
 * at its deadline, and only we can know that it runs all the same. */
static inline bool sh_worker_begins(struct sh_worker *w,
                                    const struct sh_run *run)
{
    uint64_t hint = sh_hint(run->index, run->generation);

    if (SH_UNLIKELY((int32_t)(w->tick - w->look_at) >= 0))
        sh_worker_look_at_clock(w);
    /* What this task makes is not as old as what the last one did. */
    sh_stamp_forget(&w->seat.stamp);
    if (SH_LIKELY(!sh_is_limited(run->record))) {
        sh_store_rlx(&w->post->running, hint); /* relaxed: it has no deadline */
        return true;
    }
    sh_store_sc(&w->post->running, hint); /* seq_cst: stuck */
    return (sh_load_sc(&run->record->state) & SH_BUSY) == 0; /* seq_cst: stuck
                                                              */
}

/* As sh_worker_begins, of a run that goes on after a wait, or that cannot be
 * refused any more: it runs in any case, and if it was given up the worker is
 * known to be stuck. */
void sh_worker_goes_on(struct sh_worker *w, const struct sh_run *run);

/* Whether nobody should count on this worker: it is stuck, or rests. */
bool sh_post_is_off(struct sh_post *post);

/* Whether it waits in the kernel, as its task says or the timekeeper saw. */
bool sh_post_blocks(struct sh_post *post);

/* What its task has begun of that is over: it ends, or waits for a future. */
void sh_blocking_over(struct sh_worker *w);

/* Whether there are fewer at work than there should be. */
enum sh_lack {
    SH_LACK_NONE,
    SH_LACK_ONE,   /* and one more may stand in */
    SH_LACK_CAPPED /* but as many stand in as may */
};
enum sh_lack sh_standins_lack(struct sh_camp *camp);

/* Have one get up that rests, if they lack; add: or start one, which is the
 * timekeeper's, or ask for one, of processes. False: none is to be had, or
 * needed. */
bool sh_standin_call(struct sh_camp *camp, bool add);

/* The warden, who was asked for one: the post where a process is to be started
 * that stands in for others, which is open then; SH_NONE: none is to be. */
uint32_t sh_standin_open(struct sh_camp *camp);

/* Whether it is one of a process pool where nobody has been started, or is any
 * more; not of a worker, whom the pool is broken without. */
static inline bool sh_post_is_empty(struct sh_pool *pool, unsigned i)
{
    return pool->shared && (pool->mixed || i >= pool->workers) &&
           sh_post_is_closed(&pool->posts[i]);
}

/* Somebody of a process pool is about to work at post i, beyond .workers. */
void sh_post_open(struct sh_pool *pool, unsigned i);

/* Whether a worker at this post has a .init that has not returned. */
bool sh_post_is_starting(struct sh_pool *pool, struct sh_post *post);

/* Nobody will work at this post any more. */
void sh_post_close(struct sh_post *post);

/* Whether it is a stand-in that is not needed now. */
bool sh_post_rests(struct sh_post *post);

/* A stand-in: rest, if one is too many. */
void sh_standin_rest(struct sh_worker *w);

/* A stand-in whose .init has failed: have another do its part. */
void sh_standin_unfit(struct sh_worker *w);

/* All that rest are to look whether they still may. */
void sh_standins_rouse(struct sh_pool *pool);

/* The camp of threads of the host, if there is one. */
static inline struct sh_camp *sh_host_camp(struct sh_pool *pool)
{
    return pool->mixed    ? &pool->camps[SH_HOST_CAMP]
           : pool->shared ? NULL
                          : &pool->camps[SH_OWN_CAMP];
}

/* Whether the workers of a camp are processes. */
static inline bool sh_camp_is_remote(const struct sh_pool *pool,
                                     const struct sh_camp *camp)
{
    return pool->shared && camp == &pool->camps[SH_OWN_CAMP];
}

static inline bool sh_is_of_host_camp(const struct sh_worker *w)
{
    return w->pool->mixed && w->camp == &w->pool->camps[SH_HOST_CAMP];
}

static inline bool sh_is_standin(const struct sh_worker *w)
{
    return w->index >= w->camp->spare;
}

/* Whether it is a process pool's worker in the host: worker/home.c. */
static inline bool sh_is_at_home(const struct sh_worker *w)
{
    return w->index == w->pool->workers && w->pool->shared;
}

/* Whether it is a thread of the host, where others are processes. */
static inline bool sh_is_in_host(const struct sh_worker *w)
{
    return w->pool->shared && (sh_is_at_home(w) || sh_is_of_host_camp(w));
}

/* Whether it is one of those behind that: worker/lane.c. */
static inline bool sh_is_lane(const struct sh_worker *w)
{
    return w->index > w->pool->workers && w->pool->shared &&
           w->index < w->pool->camps[SH_OWN_CAMP].spare;
}

/* Behind the lanes that there may be. */
static inline unsigned sh_lanes_end(const struct sh_pool *pool)
{
    return pool->camps[SH_OWN_CAMP].spare;
}

/* Either of them. */
static inline bool sh_is_aside(const struct sh_worker *w)
{
    return !sh_post_pops(w->pool, w->post);
}

/* Whether a task, or none, is to run in a lane. */
bool sh_lane_wants(const shunt_task *task);

/* A process has come upon such a task: a lane is to look for it. */
void sh_lane_call(struct sh_pool *pool);

/* A lane: the next hint, or 0; and sleep until there is something. */
uint64_t sh_lane_find(struct sh_worker *w);
void sh_lane_rest(struct sh_worker *w);

/* Whether no process has a task; and fail a record of one, seen READY with word,
 * since that is so. */
bool sh_home_is_late(const struct sh_pool *pool, const shunt_task *task);
void sh_home_refuse(struct sh_pool *pool, struct sh_record *r, uint64_t word);

/* No thread can be had for what is READY and for threads of the host alone: it
 * fails. */
void sh_home_fail_all(struct sh_pool *pool);

/* Of an auto pool: whether a worker that has come upon a record, READY with
 * word, may begin it. If not, it was passed on, or refused. */
bool sh_passing_takes(struct sh_worker *w, struct sh_record *r, uint64_t word,
                      uint64_t hint);

/* Whether a task, or none, is to run there. */
bool sh_home_wants(const struct sh_pool *pool, const shunt_task *task);

/* A process has come upon such a task: the host is to look for it. */
void sh_home_call(struct sh_pool *pool);

/* The timekeeper: start the host's worker, if it is wanted and not there. */
void sh_home_start(struct sh_pool *pool);

/* It was told to end: wait until it has. */
void sh_home_join(struct sh_pool *pool);

/* That worker: the next hint, or 0; and sleep until there is something. */
uint64_t sh_home_find(struct sh_worker *w);
void sh_home_rest(struct sh_worker *w);

/* Drain a pool, however long it takes; how many tasks that were given up run
 * on. */
size_t sh_pool_drain(struct sh_pool *pool);

/* One of those that a team's alive counts leaves: the last one frees the pool,
 * and nobody else touches it from then on. */
void sh_team_leave(struct sh_pool *pool);

/* Free a pool whose threads have all ended. */
void sh_pool_destroy(struct sh_pool *pool);

/* SHUNT_CHECK=pointers: the offset of the first word in bytes that points to
 * the host's private heap or stacks, or -1. ends: nor may it point to the
 * stack that we are on. */
ptrdiff_t sh_pointers_check(struct sh_pool *pool, const void *bytes,
                            size_t size, bool ends);

/* The same before (attempts is 0) or after a task was started, with its failure
 * attached: whether there is none such. */
bool sh_pointers_pass(struct sh_run *run, const char *what, const void *bytes,
                      size_t size, unsigned attempts);

/* On how many CPUs this process may run at a time, by affinity mask and cgroup
 * quota. */
int sh_cpus(void);

/* What the options and the environment say; 0, or SHUNT_E*, and then a sentence
 * that names what is wrong. */
int sh_options_resolve(const shunt_options *given, size_t given_size,
                       shunt_options *options_out, int *checks_out,
                       const char **why_out);

/* Whether a pool with these, which are resolved, keeps figures of its tasks: 1
 * or 0; or SHUNT_EINVAL, if the environment is not understood. */
int sh_options_figures(const shunt_options *options);

/* Whether $SHUNT_SCATTER is set: an auto pool has tasks run here and there, by
 * turns, and measures nothing of it. For tests: nothing is isolated then. */
bool sh_options_scatter(void);

#endif /* SH_WORKER_WORKER_H */
