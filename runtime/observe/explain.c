/* SPDX-License-Identifier: MIT */
/*
 * observe/explain.c - what a pool knows of its tasks, where they run, and why:
 * as text, and as JSON.
 *
 * Idea. Each kind is copied first, since a stream may be slow and the
 * timekeeper shall not wait for it. All numbers are put together from integers:
 * a decimal point is one in every locale.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "future/value.h"
#include "place/steer.h"
#include "shunt/auto.h"
#include "task/error.h"
#include "worker/worker.h"

static const char *const sites[SH_SITES] = {
    [SH_SITE_PROCESS] = "process", [SH_SITE_THREAD] = "thread"
};
static const char *const on_sites[SH_SITES] = {
    [SH_SITE_PROCESS] = "in processes", [SH_SITE_THREAD] = "on threads"
};
static const char *const manners[] = { [SH_MANNER_QUEUED] = "queued",
                                       [SH_MANNER_INLINE] = "inline",
                                       [SH_MANNER_BLOCKING] = "blocking" };

/* One kind, and what is to be said of it. */
struct view {
    struct sh_steered kind;
    struct sh_place place; /* where it runs now */
    bool fixed;            /* since it is the pool's mode */
    int64_t now_ns;
};

static bool look(struct sh_pool *pool, unsigned profile, struct view *v)
{
    if (!sh_steer_kind(pool, profile, &v->kind))
        return false;
    v->fixed = !sh_steer_places(pool);
    v->place = sh_steer_place(pool, profile, v->kind.task);
    v->now_ns = sh_clock_ns();
    return true;
}

static uint64_t ratio(uint64_t sum, uint64_t n)
{
    return n == 0 ? 0 : sum / n;
}

/* In 1/1000; n is not 0. */
static uint64_t permille(uint64_t part, uint64_t n)
{
    while (part > UINT64_MAX / 1000) {
        part /= 2;
        n /= 2;
    }
    return n == 0 ? 0 : part * 1000 / n;
}

/* In how many windows so far. */
static uint64_t runs_of(const struct sh_steered *k)
{
    return k->total[SH_SITE_PROCESS].runs + k->total[SH_SITE_THREAD].runs;
}

static uint64_t failures_of(const struct sh_steered *k)
{
    return k->total[SH_SITE_PROCESS].failures +
           k->total[SH_SITE_THREAD].failures;
}

/* By a coarse clock: of little it may be more than there was. */
static uint64_t system_of(const struct sh_window *w)
{
    return w->system_ns < w->cpu_ns ? w->system_ns : w->cpu_ns;
}

/* Steps get a value of their own, by their predecessor; nobody has stamped
 * when they were ready. */
static bool is_step(const shunt_task *task)
{
    return (task->shape_ & SHUNT_SHAPE_STEP_) != 0;
}

/* Where it would run at a site: as now, or as it was decided there last. */
static struct sh_place place_at(const struct view *v, uint8_t site)
{
    return site == v->place.site
               ? v->place
               : (struct sh_place){ site, v->kind.policy.manner[site] };
}

static const char *mode_of(const struct sh_pool *pool)
{
    return pool->mixed ? "auto" : pool->shared ? "processes" : "threads";
}

/* The end: 0, or -errno. */
static int end(FILE *to)
{
    if (fflush(to) == 0 && ferror(to) == 0)
        return 0;
    return errno != 0 ? -errno : -EIO;
}

/* -- text -- */

static void put_ns(FILE *to, uint64_t ns)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = { { "s", 1000000000 }, { "ms", 1000000 }, { "us", 1000 } };

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (ns >= units[i].ns) {
            uint64_t tenths = ns / (units[i].ns / 10);

            fprintf(to, "%" PRIu64 ".%" PRIu64 " %s", tenths / 10, tenths % 10,
                    units[i].name);
            return;
        }
    fprintf(to, "%" PRIu64 " ns", ns);
}

/* A name, whose control characters become spaces. */
static void put_name(FILE *to, const char *name)
{
    for (; *name != '\0'; name++)
        fputc((unsigned char)*name < ' ' || *name == 127 ? ' ' : *name, to);
}

static void put_percent(FILE *to, uint64_t part, uint64_t n)
{
    fprintf(to, "%" PRIu64 " %%", (permille(part, n) + 5) / 10);
}

static void put_mean(FILE *to, uint64_t sum, uint64_t n)
{
    fprintf(to, "%" PRIu64 ".%02" PRIu64, ratio(sum, n),
            permille(sum, n) % 1000 / 10);
}

static void put_figures(FILE *to, const struct view *v, unsigned site)
{
    const struct sh_window *w = &v->kind.total[site];

    if (w->samples == 0)
        return;
    fprintf(to, "    %s: about %" PRIu64 " run%s of ", on_sites[site], w->runs,
            w->runs == 1 ? "" : "s");
    put_ns(to, ratio(w->service_ns, w->samples));
    if (w->deep > 0) {
        fputs(", ", to);
        put_percent(to, w->cpu_ns, w->deep_ns);
        fputs(" on a CPU, ", to);
        put_percent(to, system_of(w), w->deep_ns);
        fputs(" in the kernel, ", to);
        put_mean(to, w->faults, w->deep);
        fputs(" page faults", to);
    }
    if (!is_step(v->kind.task)) {
        fputs("; queued for ", to);
        put_ns(to, ratio(w->queued_ns, w->samples));
    }
    if (w->parked > 0) {
        fputs("; ", to);
        put_percent(to, w->parked, w->samples);
        fputs(" waited for others", to);
    }
    if (w->crossed > 0) {
        fputs("; woken from the other site ", to);
        put_mean(to, w->crossed, w->runs);
        fputs(" times", to);
    }
    fprintf(to, "; %" PRIu64 " bytes in, %" PRIu64 " out\n",
            ratio(w->bytes_in, w->samples), ratio(w->bytes_out, w->samples));
}

static void put_place(FILE *to, struct sh_place place)
{
    fprintf(to, "%s, %s", on_sites[place.site], manners[place.manner]);
}

static void put_cost(FILE *to, const struct view *v, unsigned site)
{
    int64_t ns = sh_policy_cost(&v->kind.policy, place_at(v, (uint8_t)site));

    fprintf(to, "%s ", on_sites[site]);
    if (ns < 0)
        fputs("not measured, and not guessed", to);
    else
        put_ns(to, (uint64_t)ns);
}

/* Why it runs where it does. */
static const char *why(const struct view *v)
{
    const struct sh_policy *p = &v->kind.policy;

    if (v->fixed)
        return "the pool's mode says so";
    return sh_reason_text(p->trial.running ? SH_REASON_TRIAL
                                           : (enum sh_reason)p->why);
}

/* Where it runs, why, and why not elsewhere. */
static void put_verdict(FILE *to, const struct view *v)
{
    const struct sh_policy *p = &v->kind.policy;
    enum sh_reason stays = sh_policy_stays(p, v->now_ns);

    fputs("    runs ", to);
    put_place(to, v->place);
    fprintf(to, ": %s", why(v));
    if (v->fixed && p->place.manner != SH_MANNER_QUEUED)
        fprintf(to, "; an auto pool would run it %s: %s",
                manners[p->place.manner],
                sh_reason_text((enum sh_reason)p->why));
    else if (!v->fixed && stays != SH_REASON_NONE && !p->trial.running &&
             stays != (enum sh_reason)p->why)
        fprintf(to, "; not elsewhere: %s", sh_reason_text(stays));
    fputs("\n    costs a worker: ", to);
    put_cost(to, v, v->place.site);
    fputs("; ", to);
    put_cost(to, v, 1u - v->place.site);
    fputs("\n", to);
}

static void put_change(FILE *to, const struct view *v,
                       const struct sh_change *c)
{
    int64_t ago_ns = v->now_ns - c->now_ns;

    fputs("    ", to);
    put_ns(to, ago_ns > 0 ? (uint64_t)ago_ns : 0);
    fputs(" ago: ", to);
    put_place(to, c->from);
    fputs(" -> ", to);
    put_place(to, c->to);
    fprintf(to, ": %s\n", sh_reason_text((enum sh_reason)c->reason));
}

static void put_kind(FILE *to, const struct view *v)
{
    const struct sh_policy *p = &v->kind.policy;
    const struct sh_change *c;

    fputs("  ", to);
    put_name(to, sh_task_name_of(v->kind.task));
    fprintf(to,
            ": about %" PRIu64 " runs, %" PRIu64 " failed, %" PRIu64
            " crashed\n",
            runs_of(&v->kind), failures_of(&v->kind), v->kind.crashes);
    for (unsigned site = 0; site < SH_SITES; site++)
        put_figures(to, v, site);
    put_verdict(to, v);
    if (v->fixed)
        return; /* nothing has changed */
    for (uint32_t i = 0; (c = sh_policy_change(p, i)) != NULL; i++)
        put_change(to, v, c);
    if (p->recorded > SH_CHANGES_KEPT)
        fprintf(to, "    and %" PRIu64 " changes before\n",
                p->recorded - SH_CHANGES_KEPT);
}

/* The pool that is to be explained: 0, or why it cannot be. */
static int begin(shunt_pool *name, FILE *to, struct sh_pool **pool_out)
{
    int rc = sh_steer_find(name, pool_out);

    if (rc == 0 && to == NULL)
        rc = sh_refuse(SHUNT_EINVAL, "there is no stream");
    errno = 0;
    return rc;
}

int shunt_explain(shunt_pool *name, FILE *to)
{
    struct sh_pool *pool;
    struct view v;
    int rc = begin(name, to, &pool);

    if (rc != 0)
        return rc;
    fprintf(to, "pool %u \"", pool->id);
    put_name(to, pool->team->name);
    fprintf(to, "\": %s, %u worker%s\n", mode_of(pool), pool->workers,
            pool->workers == 1 ? "" : "s");
    for (unsigned i = 0; i < SH_PROFILES; i++)
        if (look(pool, i, &v))
            put_kind(to, &v);
    return end(to);
}

/* -- JSON -- */

/* How many bytes of UTF-8 begin here; 0: none does. */
static unsigned utf8(const unsigned char *s)
{
    unsigned n = s[0] < 0x80   ? 1
                 : s[0] < 0xc2 ? 0
                 : s[0] < 0xe0 ? 2
                 : s[0] < 0xf0 ? 3
                 : s[0] < 0xf5 ? 4
                               : 0;

    for (unsigned i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return n;
}

static void json_string(FILE *to, const char *string)
{
    const unsigned char *s = (const unsigned char *)string;

    fputc('"', to);
    while (*s != '\0') {
        unsigned n = utf8(s);

        if (n == 0)
            fputs("\\ufffd", to);
        else if (*s == '"' || *s == '\\')
            fprintf(to, "\\%c", *s);
        else if (*s < ' ' || *s == 127)
            fprintf(to, "\\u%04x", *s);
        else
            fwrite(s, 1, n, to);
        s += n > 0 ? n : 1;
    }
    fputc('"', to);
}

/* A member whose value is sum / n, or null. */
static void json_ratio(FILE *to, const char *name, uint64_t sum, uint64_t n)
{
    uint64_t thousandths = n == 0 ? 0 : permille(sum, n);

    fprintf(to, ",\"%s\":", name);
    if (n == 0)
        fputs("null", to);
    else
        fprintf(to, "%" PRIu64 ".%03" PRIu64, thousandths / 1000,
                thousandths % 1000);
}

static void json_figures(FILE *to, const struct view *v, unsigned site)
{
    const struct sh_window *w = &v->kind.total[site];
    uint64_t n = w->samples;

    fprintf(to,
            "\"%s\":{\"runs\":%" PRIu64 ",\"samples\":%" PRIu64
            ",\"failures\":%" PRIu64,
            sites[site], w->runs, n, w->failures);
    json_ratio(to, "service_ns", w->service_ns, n);
    json_ratio(to, "cpu_share", w->cpu_ns, w->deep_ns);
    json_ratio(to, "system_share", system_of(w), w->deep_ns);
    json_ratio(to, "faults", w->faults, w->deep);
    json_ratio(to, "queued_ns", w->queued_ns, is_step(v->kind.task) ? 0 : n);
    json_ratio(to, "waited_share", w->parked, n);
    json_ratio(to, "crossed", w->crossed, w->runs);
    json_ratio(to, "bytes_in", w->bytes_in, n);
    json_ratio(to, "bytes_out", w->bytes_out, n);
    fputs("}", to);
}

static void json_place(FILE *to, const char *name, struct sh_place place)
{
    fprintf(to, "\"%s\":{\"site\":\"%s\",\"manner\":\"%s\"}", name,
            sites[place.site], manners[place.manner]);
}

static void json_cost(FILE *to, int64_t ns)
{
    if (ns < 0)
        fputs("null", to);
    else
        fprintf(to, "%" PRId64, ns);
}

static void json_changes(FILE *to, const struct view *v)
{
    const struct sh_policy *p = &v->kind.policy;
    const struct sh_change *c;

    fprintf(to,
            ",\"changes\":%" PRIu64 ",\"trials\":%" PRIu64
            ",\"changed\":%" PRIu64 ",\"history\":[",
            p->changes, p->explorations, p->recorded);
    for (uint32_t i = 0; (c = sh_policy_change(p, i)) != NULL; i++) {
        fprintf(to, "%s{\"ago_ns\":%" PRId64 ",", i > 0 ? "," : "",
                v->now_ns > c->now_ns ? v->now_ns - c->now_ns : 0);
        json_place(to, "from", c->from);
        fputs(",", to);
        json_place(to, "to", c->to);
        fputs(",\"cost_before_ns\":", to);
        json_cost(to, c->cost_before);
        fputs(",\"cost_after_ns\":", to);
        json_cost(to, c->cost_after);
        fputs(",\"why\":", to);
        json_string(to, sh_reason_text((enum sh_reason)c->reason));
        fputs("}", to);
    }
    fputs("]", to);
}

static void json_kind(FILE *to, const struct view *v)
{
    const struct sh_policy *p = &v->kind.policy;

    fputs("{\"name\":", to);
    json_string(to, sh_task_name_of(v->kind.task));
    fprintf(to,
            ",\"runs\":%" PRIu64 ",\"failures\":%" PRIu64
            ",\"crashes\":%" PRIu64 ",\"figures\":{",
            runs_of(&v->kind), failures_of(&v->kind), v->kind.crashes);
    json_figures(to, v, SH_SITE_PROCESS);
    fputs(",", to);
    json_figures(to, v, SH_SITE_THREAD);
    fputs("},", to);
    json_place(to, "place", v->place);
    fprintf(to, ",\"fixed\":%s,", v->fixed ? "true" : "false");
    json_place(to, "verdict", p->place);
    fputs(",\"why\":", to);
    json_string(to, why(v));
    fputs(",\"stays\":", to);
    if (v->fixed)
        fputs("null", to);
    else
        json_string(to, sh_reason_text(sh_policy_stays(p, v->now_ns)));
    fputs(",\"cost_ns\":{", to);
    for (unsigned site = 0; site < SH_SITES; site++) {
        fprintf(to, "%s\"%s\":", site > 0 ? "," : "", sites[site]);
        json_cost(to, sh_policy_cost(p, place_at(v, (uint8_t)site)));
    }
    fputs("}", to);
    json_changes(to, v);
    fputs("}", to);
}

int shunt_explain_json(shunt_pool *name, FILE *to)
{
    struct sh_pool *pool;
    struct view v;
    unsigned n = 0;
    int rc = begin(name, to, &pool);

    if (rc != 0)
        return rc;
    fprintf(to, "{\"pool\":%u,\"name\":", pool->id);
    json_string(to, pool->team->name);
    fprintf(to, ",\"mode\":\"%s\",\"workers\":%u,\"kinds\":[", mode_of(pool),
            pool->workers);
    for (unsigned i = 0; i < SH_PROFILES; i++) {
        if (!look(pool, i, &v))
            continue;
        fputs(n++ > 0 ? "," : "", to);
        json_kind(to, &v);
    }
    fputs("]}\n", to);
    return end(to);
}
