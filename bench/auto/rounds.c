/* SPDX-License-Identifier: MIT */
/*
 * auto/rounds.c - warm-up of the auto pool, and rounds in which all ways take
 * turns.
 *
 * In each round every way runs the same batch, in an order that rotates: what
 * disturbs the machine for a while disturbs all of them. Before that each has
 * run one, and the auto pool as many as it takes until each kind has run often
 * enough to be tried elsewhere, and nothing has changed for a while (warm-up):
 * what that cost is a figure of its own.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "auto/auto.h"
#include "measure.h"

enum {
    KNOWN_RUNS = 1200 /* docs/auto.md: 1,000, and figures are estimates */
};

/* Of one workload; the batch is large. */
struct scene {
    const struct auto_load *load;
    const struct auto_options *options;
    struct auto_report *report;
    shunt_pool *pools[AUTO_WAYS];
    struct auto_batch batch;
    double warm_ns; /* in the mean, while it warmed up */
};

static bool with_crashes(const struct scene *s, int way)
{
    return s->load->crashes && auto_ways[way].survives;
}

/* ns a task, or, since the tasks of one that shifts are of all lengths, a
 * batch; negative: it failed. */
static double one_batch(struct scene *s, int way, bool second_half)
{
    const struct auto_shape shape = {
        .scale = s->options->scale,
        .second_half = second_half,
        .crashes = with_crashes(s, way),
    };

    s->load->fill(&s->batch, &shape);

    int64_t ns = auto_batch_run(s->pools[way], &auto_ways[way], &s->batch,
                                &s->report->tally[way], &s->report->why);
    return s->load->shifts ? (double)ns : (double)ns / (double)s->batch.tasks;
}

/* -- what auto says of itself -- */

/* How often anything has changed, trials included; -1: it does not say. The
 * text goes to `to`, if there is one, as a member of a line. */
static int64_t changes(struct scene *s, const char *when)
{
    static const char key[] = "\"changed\":";
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    int64_t n = -1;

    if (stream == NULL)
        return -1;

    int rc = shunt_explain_json(s->pools[AUTO_AUTO], stream);
    if (fclose(stream) == 0 && rc == 0) {
        n = 0;
        for (char *at = text; (at = strstr(at, key)) != NULL;) {
            at += strlen(key);
            n += strtoll(at, NULL, 10);
        }
        if (when != NULL && s->options->explain != NULL)
            fprintf(s->options->explain,
                    "{\"workload\":\"%s\",\"when\":\"%s\",\"now_ns\":%lld,"
                    "\"explained\":%s}\n",
                    s->load->name, when, (long long)bench_now_ns(),
                    text[0] != '\0' ? strtok(text, "\n") : "null");
    }
    free(text);
    return n;
}

/* Whether each kind has run more often than it takes to leave its process. */
static bool all_known(const struct auto_tally *t)
{
    for (int kind = 0; kind < AUTO_KINDS; kind++) {
        uint64_t n = t->in_host[kind] + t->away[kind];

        if (n > 0 && n < KNOWN_RUNS)
            return false;
    }
    return true;
}

static int warm_up(struct scene *s)
{
    const struct auto_options *o = s->options;
    struct auto_report *r = s->report;
    int64_t begin = bench_now_ns(), now = begin, changed_ns = begin, last = 0;
    double sum = 0.0, batches = 0.0;

    do {
        double ns = one_batch(s, AUTO_AUTO, false);
        int64_t n = changes(s, NULL);

        if (ns < 0.0)
            return -1;
        if (batches <= 0.0)
            r->cold_ns[AUTO_AUTO] = ns;
        sum += ns;
        batches += 1.0;
        now = bench_now_ns();
        if (n != last || !all_known(&r->tally[AUTO_AUTO]))
            changed_ns = now;
        last = n;
    } while (now - begin < o->warm_ns_max && now - changed_ns < o->quiet_ns);
    r->warm_seconds = (double)(now - begin) / 1e9;
    r->settled_seconds = (double)(changed_ns - begin) / 1e9;
    r->settled = now - changed_ns >= o->quiet_ns;
    s->warm_ns = sum / batches;
    (void)changes(s, "warm");
    return 0;
}

/* -- rounds -- */

static int all_rounds(struct scene *s)
{
    int rounds = s->options->rounds;
    double tasks = 0.0;

    for (int r = 0; r < rounds; r++)
        for (int i = 0; i < AUTO_WAYS; i++) {
            int way = (i + r) % AUTO_WAYS;

            if (!s->load->runs[way])
                continue;
            double ns = one_batch(s, way, s->load->shifts && r >= rounds / 2);
            if (ns < 0.0)
                return -1;
            s->report->ns[way][r] = ns;
            if (way == AUTO_AUTO)
                tasks += (double)s->batch.tasks;
        }
    s->report->tasks = tasks / rounds;
    (void)changes(s, "end");
    return 0;
}

/* Beside rounds of the same half. */
static double slower(const struct scene *s)
{
    double ns[AUTO_ROUNDS_MAX];
    int n = s->options->rounds;

    if (s->load->shifts && n > 1)
        n /= 2;
    memcpy(ns, s->report->ns[AUTO_AUTO], sizeof(ns));
    return s->warm_ns / bench_quantile(ns, (size_t)n, 0.5);
}

static int open_all(struct scene *s)
{
    for (int way = 0; way < AUTO_WAYS; way++) {
        if (!s->load->runs[way])
            continue;
        s->report->runs[way] = true;
        s->report->whole[way] = with_crashes(s, way) || !s->load->crashes;
        if (auto_pool_open(&s->pools[way], &auto_ways[way]) != 0) {
            s->pools[way] = NULL;
            s->report->why = shunt_last_error()->message;
            return -1;
        }
    }
    return 0;
}

static int trace(struct scene *s)
{
    if (s->options->trace == NULL ||
        shunt_trace_decisions(s->pools[AUTO_AUTO], s->options->trace) == 0)
        return 0;
    s->report->why = "the trace cannot be written";
    return -1;
}

static void close_all(struct scene *s)
{
    if (s->options->trace != NULL && s->pools[AUTO_AUTO] != NULL)
        (void)shunt_trace_decisions(s->pools[AUTO_AUTO], NULL);
    for (int way = 0; way < AUTO_WAYS; way++)
        if (s->pools[way] != NULL)
            (void)shunt_pool_free(s->pools[way]);
}

static int measure(struct scene *s)
{
    for (int way = 0; way < AUTO_WAYS; way++)
        if (s->load->runs[way] && way != AUTO_AUTO) {
            s->report->cold_ns[way] = one_batch(s, way, false);
            if (s->report->why != NULL)
                return -1;
        }
    if (warm_up(s) != 0 || all_rounds(s) != 0)
        return -1;
    s->report->slower = slower(s);
    return 0;
}

int auto_measure(const struct auto_load *load,
                 const struct auto_options *options, struct auto_report *report)
{
    struct scene *s = calloc(1, sizeof(*s));
    int rc = -1;

    *report = (struct auto_report){ 0 };
    if (s == NULL || options->scale <= 0.0 || options->scale > 1.0 ||
        options->rounds < 1 || options->rounds > AUTO_ROUNDS_MAX) {
        report->why = "no memory, or the scale or the rounds are out of range";
        free(s);
        return -1;
    }
    s->load = load;
    s->options = options;
    s->report = report;
    if (open_all(s) == 0 && trace(s) == 0)
        rc = measure(s);
    close_all(s);
    free(s);
    return rc;
}
