/* SPDX-License-Identifier: MIT */
/*
 * observe/dump.c - a stuck program is asked what it is at: shunt_dump.
 *
 * Idea. It must work when nothing else does, and in a signal handler, which
 * may have interrupted anything: it takes no lock, asks for no memory but a
 * mapping of its own, needs little stack, and waits for nobody. So it reads
 * what others are writing; waits.c and view.c say why that is still true.
 * Whoever frees a pool waits until the dump is done with it (sh_pool_visit).
 *
 * Edges.
 *   settled  future/settle.c: write state -> here: read state
 *   quiet    future/settle.c
 *   room     future/submit.c
 *   registry task/registry.c
 */
#include <errno.h>

#include "future/scope.h"
#include "future/timer.h"
#include "memory/pages.h"
#include "observe/kinds.h"
#include "observe/view.h"
#include "observe/waits.h"
#include "observe/working.h"
#include "shunt/observe.h"
#include "task/blame.h"
#include "worker/worker.h"

#define FUTURES_MAX 1000u /* that are listed, of all pools */
#define CYCLES_MAX 20u    /* of each pool, */
#define MEMBERS_MAX 50u   /* of each of them */
#define ROOM 4096u        /* bytes of a write */

struct dump {
    struct sh_text text;
    struct sh_waits waits;
    const struct sh_pool *here; /* the one that is being shown */
    uint32_t now_ms;
    unsigned listed, cycles;
    unsigned foreign; /* pools of the process that forked this one */
    struct sh_survey sites[SH_POOLS];
    char room[ROOM];
};

/* What there is of a pool's futures. */
struct census {
    uint32_t pending, settled;
};

static void put_age(struct dump *d, uint32_t since_ms)
{
    /* A stamp may be later than the dump. */
    int32_t ms = (int32_t)(d->now_ms - since_ms);

    sh_text_span(&d->text, ms > 0 ? (uint64_t)ms : 0);
}

/* What a node is called; nothing is said of one that is gone. */
static void put_node(struct dump *d, uint32_t node)
{
    const struct sh_survey *site = sh_waits_site(&d->waits, node);
    struct sh_view v;

    if (sh_view_take(site->pool, node - site->base, &v))
        sh_view_put_name(&d->text, &v, d->here);
    else
        sh_text_put(&d->text, "#%u, which has just settled", node - site->base);
}

/* ---- one future ---- */

/* ", waits for ...": of a record that is parked or waits. */
static void put_waits(struct dump *d, const struct sh_survey *site,
                      const struct sh_view *v)
{
    uint32_t input, pending;
    uint32_t on = sh_waits_on(&d->waits, site, v->index, &input, &pending);

    if (on == 0)
        return;
    if (!sh_kind_combines(v->kind)) {
        sh_text_put(&d->text, " for ");
        put_node(d, on);
        return;
    }
    sh_text_put(&d->text, " for %u input%s, first ", pending,
                pending == 1 ? "" : "s");
    put_node(d, on);
    sh_text_put(&d->text, " (input %u)", input);
}

/* What is in a scope. */
static void put_scope(struct dump *d, const struct sh_survey *site,
                      const struct sh_view *v)
{
    uint32_t number, pending;
    uint32_t on = sh_waits_on(&d->waits, site, v->index, &number, &pending);
    /* relaxed: for a report */
    uint64_t hold = sh_load_rlx(&sh_record_at(site->pool, v->index)->hold);

    sh_text_put(&d->text, "%s",
                (hold & SH_SCOPE_CLOSING) == 0 ? "open" : "being closed");
    if ((hold & SH_SCOPE_CANCELLED) != 0)
        sh_text_put(&d->text, ", cancelled");
    if (on == 0)
        return;
    sh_text_put(&d->text, ", %u child%s pending, such as ", pending,
                pending == 1 ? "" : "ren");
    put_node(d, on);
    sh_text_put(&d->text, " (child %u)", number);
}

static void put_running(struct dump *d, const struct sh_view *v)
{
    unsigned w = sh_owner_of(v->word) - SH_OWNER_WORKER(0);

    if (!sh_working_on(v->pool, v->index, v->word)) {
        sh_text_put(&d->text, "may go on, on worker %u", w);
        return;
    }
    sh_text_put(&d->text, "runs on worker %u for ", w);
    /* relaxed: for a report */
    put_age(d, sh_load_rlx(&v->pool->posts[w].since));
}

static void put_outcome(struct dump *d, const struct sh_view *v)
{
    unsigned outcome = sh_outcome_of(v->word);

    if (outcome == 0)
        sh_text_put(&d->text, "succeeded");
    else if (outcome == SH_OUTCOME_FORWARD)
        sh_text_put(&d->text, "settled as another did");
    else
        sh_text_put(&d->text, "failed with %s",
                    shunt_code_name(sh_outcome_code(outcome)));
}

static void put_state(struct dump *d, const struct sh_survey *site,
                      const struct sh_view *v)
{
    switch (sh_phase_of(v->word)) {
    case SH_PROMISE:
        sh_text_put(&d->text, "not given");
        break;
    case SH_READY:
        sh_text_put(&d->text, "queued");
        break;
    case SH_RUNNING:
        put_running(d, v);
        break;
    case SH_PARKED:
        sh_text_put(&d->text, "parked on worker %u, waits",
                    sh_owner_of(v->word) - SH_OWNER_WORKER(0));
        put_waits(d, site, v);
        break;
    case SH_WAIT:
        if (v->kind == SH_KIND_SCOPE) {
            put_scope(d, site, v);
            break;
        }
        sh_text_put(&d->text, "waits");
        put_waits(d, site, v);
        break;
    case SH_DONE:
        put_outcome(d, v);
        break;
    default:
        sh_text_put(&d->text, "is being settled");
        break;
    }
}

static void put_dependants(struct dump *d, const struct sh_survey *site,
                           const struct sh_view *v)
{
    uint32_t futures, threads;

    sh_waits_count(&d->waits, site, v->index, &futures, &threads);
    if (futures + threads == 0)
        return;
    sh_text_put(&d->text, "; ");
    if (futures > 0)
        sh_text_put(&d->text, "%u future%s", futures, futures == 1 ? "" : "s");
    if (threads > 0)
        sh_text_put(&d->text, "%s%u thread%s", futures > 0 ? " and " : "",
                    threads, threads == 1 ? "" : "s");
    sh_text_put(&d->text, " wait%s for it", futures + threads == 1 ? "s" : "");
}

/* When its deadline is, or the end of its grace, if it has one that is still of
 * interest. */
static void put_deadline(struct dump *d, const struct sh_view *v)
{
    const char *what = v->kind == SH_KIND_DELAY      ? "due"
                       : (v->word & SH_GRACED) != 0 ? "given up"
                                                    : "deadline";
    struct sh_timer *t = &v->pool->timers[sh_timer_of_deadline(v->index)];
    int64_t ms;

    if (!sh_timer_is_for(t, sh_generation_of(v->word)))
        return;
    /* relaxed: for a report */
    ms = (sh_load_rlx(&t->when_ns) - sh_pool_now(v->pool)) / SHUNT_MS(1);
    sh_text_put(&d->text, "; %s in ", what);
    sh_text_span(&d->text, ms > 0 ? (uint64_t)ms : 0);
}

/* Whether its code was given up and runs on. BUSY says something else of a
 * promise, and of a retry that has not settled. */
static bool is_given_up(const struct sh_view *v)
{
    return (v->word & SH_BUSY) != 0 && v->kind != SH_KIND_PROMISE &&
           (v->kind != SH_KIND_RETRY || sh_is_settled(v->word));
}

/* How old it is, and where it was made, as far as that is known. */
static void put_origin(struct dump *d, const struct sh_view *v)
{
    bool has_age = sh_view_has_age(v);

    if (has_age) {
        sh_text_put(&d->text, "; age ");
        put_age(d, v->made_ms);
    }
    sh_view_put_where(&d->text, v, has_age ? ", " : "; ");
}

static void put_future(struct dump *d, const struct sh_survey *site,
                       const struct sh_view *v)
{
    sh_text_put(&d->text, "  #%u ", v->index);
    sh_view_put_kind(&d->text, v);
    sh_text_put(&d->text, ": ");
    put_state(d, site, v);
    if ((v->word & SH_CANCEL) != 0 && !sh_is_settled(v->word))
        sh_text_put(&d->text, ", asked to cancel");
    if (is_given_up(v))
        sh_text_put(&d->text, ", given up, its code runs on");
    /* A scope has a name, and never a handle. */
    if ((v->word & SH_ORPHAN) != 0 && v->kind != SH_KIND_SCOPE)
        sh_text_put(&d->text, ", nobody holds it");
    if (!sh_is_settled(v->word))
        put_deadline(d, v);
    put_origin(d, v);
    if (!sh_is_settled(v->word))
        put_dependants(d, site, v);
    sh_text_put(&d->text, "\n");
}

/* List the futures of a pool that have settled, or have not, as far as there is
 * room; how many there was none for. */
static uint32_t put_futures(struct dump *d, const struct sh_survey *site,
                            bool settled)
{
    uint32_t more = 0;

    for (uint32_t i = 1; i < site->used && d->text.error == 0; i++) {
        struct sh_view v;

        if (!sh_view_take(site->pool, i, &v) ||
            sh_is_settled(v.word) != settled)
            continue;
        if (d->listed == FUTURES_MAX) {
            more++;
        } else {
            put_future(d, site, &v);
            d->listed++;
        }
    }
    return more;
}

/* ---- one pool ---- */

static void put_cycle(void *to, const struct sh_cycle *cycle)
{
    struct dump *d = to;
    uint32_t node = cycle->next, shown = 1;

    if (++d->cycles > CYCLES_MAX)
        return;
    sh_text_put(&d->text, "  wait cycle: ");
    put_node(d, cycle->first);
    for (; node != cycle->first; node = d->waits.nodes[node].parent) {
        if (shown++ < MEMBERS_MAX) {
            sh_text_put(&d->text, " -> ");
            put_node(d, node);
        }
    }
    if (cycle->length > MEMBERS_MAX)
        sh_text_put(&d->text, " -> %u more", cycle->length - MEMBERS_MAX);
    sh_text_put(&d->text, " -> ");
    put_node(d, cycle->first);
    if (cycle->may_end)
        sh_text_put(&d->text, " (another input may end it)");
    sh_text_put(&d->text, "\n");
}

static const char *part_of(struct sh_pool *pool, unsigned w)
{
    if (w < pool->workers)
        return "";
    if (!pool->shared)
        return " (stand-in)";
    if (sh_camp_at(pool, w) == &pool->camps[SH_HOST_CAMP])
        return w < pool->camps[SH_HOST_CAMP].first + pool->workers
                   ? " (thread)"
                   : " (thread, stand-in)";
    return w == pool->workers       ? " (of the host)"
           : w < sh_lanes_end(pool) ? " (exclusive)"
                                    : " (stand-in)";
}

static void put_worker(struct dump *d, struct sh_pool *pool, unsigned w)
{
    static const char *const doing[] = {
        [SHUNT_SLEEPS] = "sleeps", [SHUNT_SEARCHES] = "looks for work",
        [SHUNT_RUNS] = "runs ",    [SHUNT_BETWEEN] = "is between tasks",
        [SHUNT_RESTS] = "rests",
    };
    struct sh_post *post = &pool->posts[w];
    struct sh_working now = sh_working_look(pool, w);
    struct sh_view v;

    sh_text_put(&d->text, "  worker %u%s: %s", w, part_of(pool, w),
                doing[now.doing]);
    if (now.doing == SHUNT_RUNS) {
        if (sh_view_take(pool, now.index, &v))
            sh_view_put_name(&d->text, &v, d->here);
        sh_text_put(&d->text, " for ");
        /* relaxed: for a report */
        put_age(d, sh_load_rlx(&post->since));
        if (sh_post_is_off(post))
            sh_text_put(&d->text, ", given up");
        else if (sh_post_blocks(post))
            sh_text_put(&d->text, ", blocked");
    }
    sh_text_put(&d->text, "; %u queued\n", sh_deque_size(&post->deque));
}

static void put_outside(struct dump *d, const struct sh_survey *site)
{
    struct sh_pool *pool = site->pool;
    unsigned long queued = 0, ready = 0;

    for (unsigned c = 0; c <= pool->mixed; c++) {
        queued += (unsigned long)sh_ring_size(&pool->camps[c].ring);
        ready += (unsigned long)sh_ring_size(&pool->camps[c].side);
    }
    sh_text_put(&d->text, "  outside: %lu queued, %lu ready", queued, ready);
    sh_text_put(&d->text,
                "; threads that wait: %u for futures, %u for room, %u for the "
                "end\n",
                site->threads,
                sh_load_sc(&pool->room_waiters),   /* seq_cst: room */
                sh_load_sc(&pool->quiet_waiters)); /* seq_cst: quiet */
}

static struct census count(const struct sh_survey *site)
{
    struct census c = { 0, 0 };

    for (uint32_t i = 1; i < site->used; i++) {
        /* acquire: settled */
        uint64_t w = sh_load_acq(&sh_record_at(site->pool, i)->state);

        c.pending += sh_is_live(w) && !sh_is_settled(w);
        c.settled += sh_is_live(w) && sh_is_settled(w);
    }
    return c;
}

static void put_blame(struct dump *d, struct sh_pool *pool)
{
    struct sh_blame b;

    if (!sh_blame_find(pool, &b))
        return;
    if (b.text != NULL)
        sh_text_put(&d->text, ", broken: %s", b.text);
    else
        sh_text_put(&d->text, ", broken: .init returned %d in worker %u",
                    b.returned, b.worker);
}

static void put_heading(struct dump *d, const struct sh_survey *site)
{
    static const char *const gates[] = { [SH_OPEN] = "open",
                                         [SH_DRAINING] = "draining",
                                         [SH_CANCELLING] = "cancelling",
                                         [SH_STOPPED] = "stopped" };
    struct sh_pool *pool = site->pool;
    struct census c = count(site);
    uint32_t gate = sh_load_sc(&pool->gate); /* seq_cst: quiet */

    sh_text_put(&d->text, "pool %u \"%s\": %s, %u worker%s", pool->id,
                pool->team->name, gates[gate], pool->workers,
                pool->workers == 1 ? "" : "s");
    put_blame(d, pool);
    sh_text_put(&d->text, "; futures: %u pending, %u settled and held\n",
                c.pending, c.settled);
}

static void put_pool(struct dump *d, const struct sh_survey *site)
{
    uint32_t pending, settled;

    d->here = site->pool;
    d->cycles = 0;
    put_heading(d, site);
    for (unsigned w = 0; w < sh_pool_active(site->pool);
         w = sh_pool_next(site->pool, w))
        if (!sh_post_is_empty(site->pool, w))
            put_worker(d, site->pool, w);
    put_outside(d, site);
    sh_kinds_put(&d->text, site->pool);
    sh_waits_cycles(&d->waits, site, put_cycle, d);
    if (d->cycles > CYCLES_MAX)
        sh_text_put(&d->text, "  and %u more wait cycles\n",
                    d->cycles - CYCLES_MAX);
    if (d->waits.nodes == NULL)
        sh_text_put(&d->text, "  no memory to find out who waits for what\n");
    pending = put_futures(d, site, false);
    settled = put_futures(d, site, true);
    if (pending + settled > 0)
        sh_text_put(&d->text, "  and %u more pending, %u more settled\n",
                    pending, settled);
}

/* ---- all pools ---- */

/* Visit every pool of this process, until leave. */
static void visit(struct dump *d)
{
    struct sh_waits *w = &d->waits;
    uint64_t base = 0;

    w->sites = d->sites;
    for (unsigned id = 1; id < SH_POOLS; id++) {
        struct sh_pool *pool;

        /* relaxed: visit looks again */
        if (sh_load_rlx(&sh_self()->pools[id]) == NULL)
            continue;
        pool = sh_pool_visit(id);
        if (pool != NULL && !sh_pool_is_ours(pool)) {
            sh_pool_leave(id);
            d->foreign++;
        } else if (pool != NULL) {
            w->sites[w->site_count++] =
                (struct sh_survey){ .pool = pool,
                                  .base = (uint32_t)base,
                                  .used = sh_table_used(&pool->records) };
            base += w->sites[w->site_count - 1].used;
        }
    }
}

static void leave(struct dump *d)
{
    while (d->waits.site_count > 0)
        sh_pool_leave(d->waits.sites[--d->waits.site_count].pool->id);
}

static void put_all(struct dump *d, const shunt_pool *name)
{
    struct sh_waits *w = &d->waits;
    uint64_t bytes = sh_waits_size(w) * sizeof *w->nodes;
    unsigned pools = name != NULL ? 1 : w->site_count;

    /* Numbers of nodes have 32 bits. */
    if (sh_waits_size(w) <= UINT32_MAX)
        w->nodes = sh_pages_map(bytes, SH_PAGES_RESERVE);
    sh_waits_gather(w);
    sh_text_put(&d->text, "shunt: %u pool%s\n", pools, pools == 1 ? "" : "s");
    for (unsigned i = 0; i < w->site_count && d->text.error == 0; i++)
        if (name == NULL || w->sites[i].pool->name == name)
            put_pool(d, &w->sites[i]);
    if (w->nodes != NULL)
        sh_pages_unmap(w->nodes, sh_pages_round(bytes));
}

/* Why this pool cannot be dumped, or 0. */
static int check(const shunt_pool *name)
{
    unsigned id = (unsigned)(uintptr_t)name & (SH_POOLS - 1);
    struct sh_pool *pool = sh_pool_visit(id);
    int rc = SHUNT_EINVAL;

    if (pool == NULL)
        return rc;
    if (pool->name == name)
        rc = sh_pool_is_ours(pool) ? 0 : sh_pool_refusal(pool);
    sh_pool_leave(id);
    return rc;
}

static int dump(const shunt_pool *name, int fd)
{
    struct dump *d;
    int rc = name != NULL ? check(name) : 0;

    if (rc != 0)
        return rc;
    d = sh_pages_map(sizeof *d, SH_PAGES_RESERVE);
    if (d == NULL)
        return SHUNT_ENOMEM;
    d->text = sh_text_to_file(fd, d->room, sizeof d->room);
    d->now_ms = sh_stamp_now();
    visit(d);
    if (name == NULL && d->waits.site_count == 0 && d->foreign > 0) {
        rc = SHUNT_EFORKED;
    } else {
        put_all(d, name);
        rc = sh_text_end(&d->text);
    }
    leave(d);
    sh_pages_unmap(d, sh_pages_round(sizeof *d));
    return rc;
}

int shunt_dump(shunt_pool *name, int fd)
{
    int before = errno;
    int rc = dump(name, fd);

    errno = before;
    return rc;
}
