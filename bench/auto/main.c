/* SPDX-License-Identifier: MIT */
/*
 * auto/main.c - bench-auto: what auto costs beside each fixed choice.
 *
 *     auto/{tiny,compute,blocking,mapping,lock,crashers,mixture}
 *     --scale=F --rounds=N --warm=SECONDS --explain=FILE --trace=FILE
 *
 * One iteration of each is the whole of it: all ways, all rounds. Its counters
 * are the raw figures, KEY:WAY, KEY:WAY:ROUND or KEY:WAY:KIND, of which
 * bench/auto/measure.py makes a table. A FILE gets what the auto pool says of
 * its kinds of tasks, a line of JSON after the warm-up and one at the end; or
 * each step of its policy, as shunt_trace_decisions writes them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auto/auto.h"
#include "binding/gbench.h"
#include "measure.h"

static struct auto_options options = {
    .scale = 1.0,
    .rounds = 15,
    .warm_ns_max = 60000000000,
    .quiet_ns = 10000000000,
};

static void set(gbench_state *state, const char *key, int way, const char *last,
                double value)
{
    char name[80];

    snprintf(name, sizeof(name), "%s:%s%s%s", key, auto_ways[way].name,
             last[0] != '\0' ? ":" : "", last);
    gbench_counter_set(state, name, value);
}

static void say_way(gbench_state *state, const struct auto_report *r, int way)
{
    const struct auto_tally *t = &r->tally[way];
    char number[16];

    for (int i = 0; i < options.rounds; i++) {
        snprintf(number, sizeof(number), "%d", i);
        set(state, "ns", way, number, r->ns[way][i]);
    }
    for (int kind = 0; kind < AUTO_KINDS; kind++)
        if (t->in_host[kind] + t->away[kind] > 0) {
            set(state, "host", way, auto_names[kind], (double)t->in_host[kind]);
            set(state, "away", way, auto_names[kind], (double)t->away[kind]);
        }
    set(state, "cold", way, "", r->cold_ns[way]);
    set(state, "whole", way, "", r->whole[way]);
    set(state, "crashes", way, "", (double)t->crashes);
    set(state, "again", way, "", (double)t->again);
}

static void run(gbench_state *state, const void *arg)
{
    static struct auto_report report;
    const struct auto_load *load = arg;
    int rc = 0;

    while (gbench_next(state)) {
        int64_t begin = bench_now_ns();

        rc = auto_measure(load, &options, &report);
        gbench_time_add(state, bench_now_ns() - begin);
    }
    if (rc != 0) {
        gbench_fail(state, report.why);
        return;
    }
    for (int way = 0; way < AUTO_WAYS; way++)
        if (report.runs[way])
            say_way(state, &report, way);
    gbench_counter_set(state, "tasks", report.tasks);
    gbench_counter_set(state, "settled", report.settled);
    gbench_counter_set(state, "settled_seconds", report.settled_seconds);
    gbench_counter_set(state, "warm_seconds", report.warm_seconds);
    gbench_counter_set(state, "slower", report.slower);
}

/* The value of --NAME=VALUE, or NULL if arg is another one. */
static const char *value_of(const char *arg, const char *name)
{
    size_t n = strlen(name);

    return strncmp(arg, name, n) == 0 && arg[n] == '=' ? arg + n + 1 : NULL;
}

/* Whether it was one of ours. */
static bool parse(const char *arg)
{
    const char *value;

    if ((value = value_of(arg, "--scale")) != NULL)
        options.scale = strtod(value, NULL);
    else if ((value = value_of(arg, "--rounds")) != NULL)
        options.rounds = atoi(value);
    else if ((value = value_of(arg, "--warm")) != NULL)
        options.warm_ns_max = (int64_t)(strtod(value, NULL) * 1e9);
    else if ((value = value_of(arg, "--explain")) != NULL)
        options.explain = fopen(value, "we");
    else if ((value = value_of(arg, "--trace")) != NULL)
        options.trace = fopen(value, "we");
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    char name[32];
    int kept = 1;

    for (int i = 1; i < argc; i++)
        if (!parse(argv[i]))
            argv[kept++] = argv[i];
    argv[kept] = NULL;

    /* Before anything starts a thread; and worker processes are copies of the
     * program as it is here. */
    if (auto_host_note() != 0) {
        perror("bench-auto: MADV_WIPEONFORK");
        return 1;
    }
    if (shunt_init() != 0) {
        fprintf(stderr, "bench-auto: %s\n", shunt_last_error()->message);
        return 1;
    }
    for (int i = 0; i < AUTO_LOADS; i++) {
        snprintf(name, sizeof(name), "auto/%s", auto_loads[i].name);
        gbench_register(name, run, &auto_loads[i], 1);
    }

    int rc = gbench_run(kept, argv);
    if (options.explain != NULL)
        fclose(options.explain);
    if (options.trace != NULL)
        fclose(options.trace);
    return rc;
}
