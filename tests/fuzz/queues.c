/* SPDX-License-Identifier: MIT */
/*
 * fuzz/queues.c - completion queues: of threads, which add nodes of all pools,
 * and of functions, which add what they submit.
 *
 *     add: NONE -> ADDED --event--> OUT
 *                     \---remove--> REMOVED
 *                     `---free----> ADDED: it went with the queue
 *
 * Idea. Every entry has a state, which moves once on its way out, whoever moves
 * it: so one that comes out twice, or comes out and is removed, is found.
 */
#include <poll.h>

#include "graph.h"

#include "base/clock.h"

enum {
    NONE, /* or the add failed */
    ADDED,
    OUT,
    REMOVED,
    EVENTS_MAX = 6,
    GIFT = 1000 /* the tag of what a function has added for others */
};

/* -- entries -- */

static void move(struct graph *g, unsigned q, unsigned k, unsigned to)
{
    unsigned from = ADDED;

    if (!atomic_compare_exchange_strong(&g->queues[q].entries[k].state, &from,
                                        to))
        fuzz_fail(g, "entry %u of queue %u is in state %u, and goes to %u", k,
                  q, from, to);
}

/* Gifts are held to the end, or until the next one comes to their place: the
 * task that gave one away does not give it back when it ends. */
static void hold(struct graph *g, unsigned q, unsigned place, shunt_future *f)
{
    f = atomic_exchange(&g->queues[q].held[place], f);
    if (f == NULL)
        return;
    if (atomic_load(&g->gone)
            ? shunt_status(f) != SHUNT_EINVAL
            : shunt_status(f) == SHUNT_PENDING || shunt_release(f) != 0)
        fuzz_fail(g, "a gift from queue %u is %s", q,
                  shunt_code_name(shunt_status(f)));
}

/* What a function has submitted and given away. */
static void deliver_gift(struct graph *g, unsigned q, shunt_future *f)
{
    unsigned gifts = atomic_fetch_sub(&g->queues[q].gifts, 1);

    if (gifts == 0)
        fuzz_fail(g, "queue %u delivers a gift twice", q);
    if (!atomic_load(&g->gone) && shunt_status(f) == SHUNT_PENDING)
        fuzz_fail(g, "queue %u delivers a gift that is pending", q);
    hold(g, q, gifts % HELD_MAX, f);
}

/* A task that makes a batch big. */
static int little(const shunt_none *in, shunt_none *out)
{
    (void)in;
    (void)out;
    return 0;
}
SHUNT_TASK(little, shunt_none, shunt_none)

static void deliver_filler(struct graph *g, unsigned q, size_t k,
                           shunt_future *f)
{
    atomic_flag *came = &g->queues[q].came[k - g->plan->queue[q].count];

    if (atomic_flag_test_and_set(came))
        fuzz_fail(g, "queue %u delivers filler %zu twice", q, k);
    atomic_fetch_sub(&g->queues[q].fillers, 1);
    if (!atomic_load(&g->gone) &&
        (shunt_status(f) == SHUNT_PENDING || shunt_release(f) != 0))
        fuzz_fail(g, "queue %u delivers filler %zu, and it is %s", q, k,
                  shunt_code_name(shunt_status(f)));
}

/* An event: its future is ours under the name that it had, and has settled. */
static void deliver(struct graph *g, unsigned q, const shunt_event *event)
{
    const struct queue_plan *queue = &g->plan->queue[q];
    size_t k = shunt_event_index(event);
    shunt_future *f = event->future;
    unsigned n;

    if (k == GIFT) {
        deliver_gift(g, q, f);
        return;
    }
    if (k >= queue->count + FILLERS_MAX)
        fuzz_fail(g, "queue %u delivers tag %zu", q, k);
    if (k >= queue->count) {
        deliver_filler(g, q, k, f);
        return;
    }
    move(g, q, (unsigned)k, OUT);
    atomic_fetch_add(&census->events, 1);
    n = queue->entries[k].node;
    if (f != atomic_load(&g->queues[q].entries[k].name))
        fuzz_fail(g, "queue %u delivers node %u under another name", q, n);
    if (atomic_load(&g->gone)) {
        if (!audit_is_reserved(f) && (shunt_status(f) != SHUNT_EINVAL ||
                                      shunt_release(f) != SHUNT_EINVAL))
            fuzz_fail(g, "node %u is good after its pool", n);
        return;
    }
    if (shunt_status(f) == SHUNT_PENDING)
        fuzz_fail(g, "queue %u delivers node %u, which is pending", q, n);
    check_outcome(g, n, f);
    if (plan_random(g->plan->seed, n, 80 + k) % 2 == 0)
        play_give_back(g, n, f);
    else
        play_take_at_once(g, n, f, k % 2 == 0);
}

/* How many entries are in that state. */
static unsigned count_in(struct graph *g, unsigned q, unsigned state)
{
    unsigned count = 0;

    for (unsigned k = 0; k < g->plan->queue[q].count; k++)
        count += atomic_load(&g->queues[q].entries[k].state) == state;
    return count;
}

static unsigned left(struct graph *g, unsigned q)
{
    return count_in(g, q, ADDED);
}

/* And what is in it that is no node. */
static unsigned others(struct graph *g, unsigned q)
{
    return atomic_load(&g->queues[q].gifts) +
           atomic_load(&g->queues[q].fillers);
}

/* Whether nobody but the caller takes anything out. */
static bool is_ours(const struct queue_plan *queue)
{
    return !queue->shared && !queue->removes;
}

/* Nothing of a batch can be taken before all is in. */
static void check_size(struct graph *g, unsigned q)
{
    const struct queue_plan *queue = &g->plan->queue[q];
    int64_t size = shunt_queue_size(g->queues[q].queue);

    if (size != left(g, q) + others(g, q))
        fuzz_fail(g, "queue %u has %lld of %u futures, and %u are left", q,
                  (long long)size, queue->count, left(g, q));
}

/* Take up to max, waiting for at most ns; how many there were, or why none. */
static int take(struct graph *g, unsigned q, unsigned max, int64_t ns)
{
    shunt_queue *queue = g->queues[q].queue;
    shunt_event events[EVENTS_MAX];
    int n = ns < 0 ? shunt_queue_take(queue, events, max)
                   : shunt_queue_wait(queue, events, max, ns);
    bool freed = atomic_load(&g->queues[q].freed);

    if (n < 0 && !(freed && (n == SHUNT_EINVAL || n == SHUNT_ECLOSED)))
        fuzz_fail(g, "taking from queue %u: %s", q, shunt_code_name(n));
    if (n > (int)max)
        fuzz_fail(g, "queue %u delivers %d of %u", q, n, max);
    for (int i = 0; i < n; i++)
        deliver(g, q, &events[i]);
    if (n > 0 && g->plan->queue[q].batch && is_ours(&g->plan->queue[q]) &&
        !freed)
        check_size(g, q);
    return n;
}

/* -- builders -- */

static void add_batch(struct graph *g, unsigned q)
{
    const struct queue_plan *queue = &g->plan->queue[q];
    struct queue_fate *fate = &g->queues[q];
    unsigned fillers = queue->watched ? 0 : FILLERS_MAX;
    shunt_future *fs[ENTRIES_MAX + FILLERS_MAX];
    int rc;

    for (unsigned k = 0; k < queue->count; k++) {
        fs[k] =
            play_take_handle(g, queue->entries[k].node, queue->entries[k].use);
        atomic_store(&fate->entries[k].name, fs[k]);
        atomic_store(&fate->entries[k].state, ADDED);
    }
    for (unsigned k = 0; k < fillers; k++)
        fs[queue->count + k] = shunt_submit(g->pools[0], little, NULL);
    atomic_store(&fate->fillers, fillers);
    rc = shunt_queue_add_all(fate->queue, fs, queue->count + fillers);
    if (rc != 0 && !(rc == SHUNT_EINVAL && atomic_load(&fate->freed)))
        fuzz_fail(g, "adding all to queue %u: %s", q, shunt_code_name(rc));
    for (unsigned k = 0; k < queue->count + fillers && rc != 0; k++) {
        /* Some may have gone with the queue. */
        (void)shunt_release(fs[k]);
        if (k < queue->count)
            atomic_store(&fate->entries[k].state, NONE);
    }
    atomic_fetch_add(&fate->added, queue->count);
}

/* What is in a queue that nobody takes from yet is not ours any more. */
static void expect_lent(struct graph *g, unsigned q, shunt_future *h)
{
    const struct queue_plan *queue = &g->plan->queue[q];

    if ((queue->end != QUEUE_LATE && queue->end != QUEUE_LEFT) ||
        audit_is_reserved(h))
        return;
    if (shunt_status(h) != SHUNT_EINVAL || shunt_release(h) != SHUNT_EINVAL ||
        shunt_queue_add(g->queues[q].queue, h, NULL) != SHUNT_EINVAL)
        fuzz_fail(g, "a future in queue %u can be used", q);
}

static void add(struct graph *g, unsigned q, unsigned k)
{
    const struct queue_plan *queue = &g->plan->queue[q];
    struct queue_fate *fate = &g->queues[q];
    unsigned n = queue->entries[k].node;
    shunt_future *h = play_take_handle(g, n, queue->entries[k].use);
    int rc;

    atomic_store(&fate->entries[k].name, h);
    atomic_store(&fate->entries[k].state, ADDED);
    rc = shunt_queue_add(fate->queue, h, (void *)(uintptr_t)k);
    if (rc == 0) {
        expect_lent(g, q, h);
    } else {
        if (rc != SHUNT_EINVAL || !atomic_load(&fate->freed))
            fuzz_fail(g, "adding node %u to queue %u: %s", n, q,
                      shunt_code_name(rc));
        move(g, q, k, NONE);
        check_outcome(g, n, h);
        play_give_back(g, n, h);
    }
    atomic_fetch_add(&fate->added, 1);
}

static void take_out(struct graph *g, unsigned q, unsigned k)
{
    const struct queue_plan *queue = &g->plan->queue[q];
    struct queue_fate *fate = &g->queues[q];
    shunt_future *h = atomic_load(&fate->entries[k].name);
    unsigned n = queue->entries[k].node;
    bool out;

    /* All futures that were refused for one reason have one name. */
    if (audit_is_reserved(h))
        return;
    out = shunt_queue_remove(fate->queue, h);
    if (!out && (queue->end == QUEUE_LATE || queue->end == QUEUE_LEFT))
        fuzz_fail(g, "node %u cannot be removed from queue %u", n, q);
    if (!out)
        return;
    move(g, q, k, REMOVED);
    if (shunt_queue_remove(fate->queue, h))
        fuzz_fail(g, "node %u was removed from queue %u twice", n, q);
    check_outcome(g, n, h);
    play_give_back(g, n, h);
}

/* -- observers -- */

/* Whether the descriptor says, by then, that something is there. */
static bool is_readable(struct graph *g, unsigned q, int ms)
{
    struct pollfd watch = { .fd = g->queues[q].fd, .events = POLLIN };

    return poll(&watch, 1, ms) == 1;
}

static void take_some(struct graph *g, unsigned q, unsigned random)
{
    const struct queue_plan *queue = &g->plan->queue[q];
    unsigned max = 1 + random % EVENTS_MAX;
    bool readable = false;

    if (random % 3 == 0) {
        (void)take(g, q, max, SHUNT_US(random % 500));
        return;
    }
    if (random % 3 == 1 && queue->watched && !atomic_load(&g->queues[q].freed))
        readable = is_readable(g, q, 1);
    if (take(g, q, max, -1) == 0 && readable && is_ours(queue))
        fuzz_fail(g, "queue %u was readable, and nothing there", q);
}

/* Whether something is left that settles without a shutdown. */
static bool more_comes(struct graph *g, unsigned q)
{
    const struct queue_plan *queue = &g->plan->queue[q];

    for (unsigned k = 0; k < queue->count; k++)
        if (atomic_load(&g->queues[q].entries[k].state) == ADDED &&
            g->reference.completes[queue->entries[k].node])
            return true;
    return false;
}

/* Whether all of it does. */
static bool all_comes(struct graph *g, unsigned q)
{
    const struct queue_plan *queue = &g->plan->queue[q];

    for (unsigned k = 0; k < queue->count; k++)
        if (!g->reference.completes[queue->entries[k].node])
            return false;
    return true;
}

/* Take all that was added and will be, but for what may not settle without a
 * shutdown. */
static void empty(struct graph *g, unsigned q)
{
    const struct queue_plan *queue = &g->plan->queue[q];
    struct queue_fate *fate = &g->queues[q];
    bool sure = is_ours(queue) && all_comes(g, q);

    /* An add may be over for us before it is for whoever adds. */
    while (sure
               ? count_in(g, q, OUT) < queue->count
               : atomic_load(&fate->added) < queue->count || more_comes(g, q)) {
        int64_t ns = sure ? SHUNT_FOREVER : SHUNT_MS(1);

        /* As an event loop does. */
        if (sure && queue->watched && is_readable(g, q, -1))
            ns = -1;
        if (take(g, q, 1 + queue->count % EVENTS_MAX, ns) == 0 && sure)
            fuzz_fail(g, "queue %u was to have something, and has not", q);
    }
    if (queue->watched && queue->batch && left(g, q) == 0 &&
        is_readable(g, q, 0))
        fuzz_fail(g, "queue %u is empty and readable", q);
}

static void free_queue(struct graph *g, unsigned q)
{
    struct queue_fate *fate = &g->queues[q];
    int rc;

    atomic_store(&fate->freed, true);
    rc = shunt_queue_free(fate->queue);
    if (rc != 0 || shunt_queue_free(fate->queue) != SHUNT_EINVAL)
        fuzz_fail(g, "free of queue %u: %s", q, shunt_code_name(rc));
}

void queues_act(struct graph *g, const struct action *a)
{
    unsigned q = a->node;

    switch (a->act) {
    case ACT_ADD:
        if (g->plan->queue[q].batch)
            add_batch(g, q);
        else
            add(g, q, a->use);
        break;
    case ACT_REMOVE:
        take_out(g, q, a->use);
        break;
    case ACT_TAKE:
        take_some(g, q, a->use);
        break;
    case ACT_AWAIT:
        while (take(g, q, 1, SHUNT_FOREVER) >= 0)
            continue;
        break;
    default:
        if (g->plan->queue[q].end == QUEUE_EMPTIED)
            empty(g, q);
        else
            free_queue(g, q);
        break;
    }
}

/* -- from the beginning to the end -- */

void queues_make(struct graph *g)
{
    for (unsigned q = 0; q < g->plan->queues; q++) {
        struct queue_fate *fate = &g->queues[q];
        int rc = shunt_queue_new(&fate->queue);

        if (rc != 0)
            fuzz_fail(g, "queue: %s", shunt_code_name(rc));
        fate->fd = -1;
        if (g->plan->queue[q].watched)
            fate->fd = shunt_queue_fd(fate->queue);
        if (g->plan->queue[q].watched && fate->fd < 0)
            fuzz_fail(g, "descriptor: %s", shunt_code_name(fate->fd));
    }
}

void queues_end(struct graph *g)
{
    for (unsigned q = 0; q < g->plan->queues; q++) {
        enum queue_end end = g->plan->queue[q].end;
        struct queue_fate *fate = &g->queues[q];

        for (unsigned k = 0; k < HELD_MAX; k++)
            hold(g, q, k, NULL);
        if (end == QUEUE_FREED)
            continue;
        /* All have settled, or gone with their pools; but some code of those
         * may run on. */
        if (!atomic_load(&g->gone) && fate->fd >= 0 &&
            is_readable(g, q, 0) != (left(g, q) + others(g, q) > 0))
            fuzz_fail(g, "queue %u says the wrong thing", q);
        while (end != QUEUE_LEFT && left(g, q) + others(g, q) > 0)
            if (take(g, q, EVENTS_MAX, -1) == 0)
                fuzz_fail(g, "%u entries do not come out of queue %u",
                          left(g, q), q);
        for (unsigned k = 0; k < HELD_MAX; k++)
            hold(g, q, k, NULL);
        if (!atomic_load(&g->gone))
            check_size(g, q);
        free_queue(g, q);
    }
}

void queues_check(struct graph *g)
{
    for (unsigned q = 0; q < g->plan->queues; q++) {
        const struct queue_plan *queue = &g->plan->queue[q];
        bool whole = queue->end == QUEUE_EMPTIED || queue->end == QUEUE_LATE;

        if (atomic_load(&g->queues[q].added) != queue->count)
            fuzz_fail(g, "%u of %u entries were added to queue %u",
                      atomic_load(&g->queues[q].added), queue->count, q);
        for (unsigned k = 0; k < queue->count && whole; k++)
            if (atomic_load(&g->queues[q].entries[k].state) < OUT)
                fuzz_fail(g, "entry %u of queue %u did not come out", k, q);
    }
}

/* -- of functions -- */

/* What a function takes out of its queue: tags are numbers from 1 on. */
static void take_back(const struct job *job, const shunt_event *event,
                      uint32_t *out)
{
    uint32_t tag = (uint32_t)(uintptr_t)event->tag;

    if (tag == 0 || tag > CHILDREN_MAX || (*out >> tag & 1) != 0)
        fuzz_fail(job->graph, "a queue of %u delivers tag %u after %x",
                  job->node, (unsigned)tag, (unsigned)*out);
    *out |= (uint32_t)1 << tag;
    if (tag % 3 == 0)
        return; /* released with the task */
    if (tag % 3 == 1)
        (void)shunt_release(event->future);
    else
        brood_expect(job, shunt_join(event->future), "an event's join");
}

/* Whether code that was given up may see what others do not. */
static bool is_lost(const struct job *job)
{
    const struct plan *p = job->graph->plan;

    return shunt_cancelled() && may_be_late(p, &p->node[job->node]);
}

/* Take until so many are left, or we are asked to cancel. */
static void take_until(const struct job *job, shunt_queue *queue, int64_t rest,
                       uint32_t *out)
{
    shunt_event events[EVENTS_MAX];

    while (shunt_queue_size(queue) > rest) {
        size_t max = 1 + job->node % EVENTS_MAX;
        int64_t ns = job->node % 3 == 0 ? SHUNT_US(50) : SHUNT_FOREVER;
        int n = shunt_queue_wait(queue, events, max, ns);

        if (n <= 0 && n != SHUNT_ECANCELED && !(n == 0 && job->node % 3 == 0))
            fuzz_fail(job->graph, "a wait in a queue of %u: %s", job->node,
                      shunt_code_name(n));
        if (n == SHUNT_ECANCELED && !shunt_cancelled() &&
            check_strictly(job->graph))
            fuzz_fail(job->graph, "a wait in a queue of %u was cancelled",
                      job->node);
        if (n < 0)
            return;
        for (int i = 0; i < n; i++)
            take_back(job, &events[i], out);
    }
}

/* Run for a moment, so that a gift may be taken before its giver ends. */
static void linger(struct graph *g, unsigned q)
{
    int64_t until = sh_clock_ns() + SHUNT_US(200);

    while (atomic_load(&g->queues[q].gifts) > 0 && sh_clock_ns() < until)
        behave_spin(50);
}

/* Put f into a queue of threads, instead of our own. False: it is ours still.
 */
static bool give_away(const struct job *job, shunt_future *f)
{
    struct graph *g = job->graph;
    unsigned q = g->plan->queues > 0 ? job->node % g->plan->queues : 0;
    int rc;

    if (g->plan->queues == 0 || g->plan->queue[q].batch ||
        audit_is_reserved(f) || g->plan->processes)
        return false;
    atomic_fetch_add(&g->queues[q].gifts, 1);
    rc = shunt_queue_add(g->queues[q].queue, f, (void *)(uintptr_t)GIFT);
    if (rc == 0) {
        linger(g, q);
        return true;
    }
    atomic_fetch_sub(&g->queues[q].gifts, 1);
    if (!atomic_load(&g->queues[q].freed) && !is_lost(job))
        fuzz_fail(g, "adding to queue %u in node %u: %s", q, job->node,
                  shunt_code_name(rc));
    return false;
}

void queues_use(const struct job *job)
{
    unsigned count = job->graph->plan->node[job->node].children;
    unsigned manner = job->node / 3 % 3; /* all, half, or some are removed */
    shunt_future *fs[CHILDREN_MAX];
    uint32_t out = 0;
    shunt_queue *queue;
    int rc = shunt_queue_new(&queue);

    if (rc != 0)
        fuzz_fail(job->graph, "queue: %s", shunt_code_name(rc));
    for (unsigned k = 0; k < count; k++) {
        fs[k] = brood_one(job, k);
        if (k % 4 == 3 && give_away(job, fs[k])) {
            fs[k] = NULL;
            continue;
        }
        rc = shunt_queue_add(queue, fs[k], (void *)(uintptr_t)(k + 1));
        if (rc != 0 && !is_lost(job))
            fuzz_fail(job->graph, "adding to a queue of %u: %s", job->node,
                      shunt_code_name(rc));
    }
    for (unsigned k = 0; k < count && manner == 2; k += 2) {
        if (fs[k] == NULL || audit_is_reserved(fs[k]) ||
            !shunt_queue_remove(queue, fs[k]))
            continue;
        out |= (uint32_t)1 << (k + 1);
        brood_expect(job, shunt_join(fs[k]), "a removed child's join");
    }
    take_until(job, queue, manner == 1 ? count / 2 : 0, &out);
    if (shunt_queue_free(queue) != 0)
        fuzz_fail(job->graph, "a queue of %u cannot be freed", job->node);
}
