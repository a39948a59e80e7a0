/* SPDX-License-Identifier: MIT */
/*
 * place/replay.c - the policy of auto, on measures that were recorded or made
 * up.
 *
 *     replay FILE [EXPECTED]         print what it decides of a recorded trace,
 *                                    and compare it with a file, and with what
 *                                    the pool has written that it decided
 *     replay --list                  the workloads that can be made up
 *     replay --trace NAME SEED       make one up, and print it as a trace
 *     replay --regret NAME SEED [SECONDS]
 *                                    make one up; each 100 ms as CSV: time in
 *                                    ms, where each kind runs, and regret in us
 *                                    of a worker: the policy's, those of the
 *                                    places (n: somebody would not survive; *:
 *                                    this is 0 in the end), and that of the
 * best place for each kind
 *
 * It is among the tests and not the benchmarks, since it measures nothing: it
 * needs the runtime's internals, and a test compares what it prints.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "place/trace.h"
#include "simulate.h"

enum {
    KINDS_READ_MAX = 64,
    SECONDS = 20
};

static const char *const sites[] = { "process", "thread" };
static const char *const manners[] = { "queued", "inline", "blocking" };

/* -- a recorded trace -- */

static FILE *out; /* what it says */

struct known {
    char name[SH_TRACE_KIND];
    struct sh_policy policy;
};

static struct known kinds[KINDS_READ_MAX];
static int kinds_n;

/* The policy of a kind; NULL: too many. */
static struct sh_policy *policy_of(const char *name)
{
    const struct sh_bounds none = { 0 };

    for (int i = 0; i < kinds_n; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i].policy;
    if (kinds_n == KINDS_READ_MAX)
        return NULL;
    snprintf(kinds[kinds_n].name, SH_TRACE_KIND, "%s", name);
    sh_policy_init(&kinds[kinds_n].policy, &none);
    return &kinds[kinds_n++].policy;
}

static void tell(const char *name, const struct sh_policy *p)
{
    const struct sh_change *c = sh_policy_change(p, 0);

    fprintf(out,
            "%s %" PRId64 " %s/%s -> %s/%s, %" PRId64 " -> %" PRId64
            " ns: %s\n",
            name, c->now_ns, sites[c->from.site], manners[c->from.manner],
            sites[c->to.site], manners[c->to.manner], c->cost_before,
            c->cost_after, sh_reason_text((enum sh_reason)c->reason));
}

static void sum_up(const struct known *k)
{
    const struct sh_policy *p = &k->policy;

    fprintf(out,
            "%s: %s/%s, since %s; %" PRIu64 " changes, %" PRIu64
            " trials, %" PRIu64 " shifts, %" PRIu64 " crashes\n",
            k->name, sites[p->place.site], manners[p->place.manner],
            sh_reason_text((enum sh_reason)p->why), p->changes, p->explorations,
            p->shifts, p->crashes);
}

/* A pool that writes a trace writes there what it decides, as a comment. */
static bool is_decision(const char *text)
{
    return text[0] == '#' && strstr(text, ": site ") != NULL;
}

/* Whether that is what the policy decides here, of the last line's kind. */
static bool is_the_same(const char *text, const char *name,
                        const struct sh_policy *p)
{
    const struct sh_change *c = p ? sh_policy_change(p, 0) : NULL;
    char same[SH_TRACE_LINE];

    if (!c)
        return false;
    snprintf(same, sizeof(same), "# %s: site %u, manner %u: %s\n", name,
             c->to.site, c->to.manner,
             sh_reason_text((enum sh_reason)c->reason));
    return strcmp(text, same) == 0;
}

static int replay(FILE *file)
{
    char text[SH_TRACE_LINE];
    struct sh_trace_line line = { 0 };
    int decided = 0, recorded = 0;

    for (int n = 1; fgets(text, sizeof text, file); n++) {
        enum sh_line what = sh_trace_read(text, &line);
        struct sh_policy *p = NULL;

        if (is_decision(text) &&
            (++recorded != decided ||
             !is_the_same(text, line.kind, policy_of(line.kind)))) {
            fprintf(stderr, "line %d: the pool decided otherwise\n", n);
            return 1;
        }
        if (what == SH_LINE_NOTHING)
            continue;
        if (what != SH_LINE_WRONG)
            p = policy_of(line.kind);
        if (!p) {
            fprintf(stderr, "line %d: not understood\n", n);
            return 1;
        }
        if (what == SH_LINE_BOUNDS)
            sh_policy_init(p, &line.bounds);
        else if (sh_policy_step(p, &line.measures) != SH_REASON_NONE) {
            decided++;
            tell(line.kind, p);
        }
    }
    if (recorded > 0 && recorded != decided) {
        fprintf(stderr, "the pool did not decide so often\n");
        return 1;
    }
    for (int i = 0; i < kinds_n; i++)
        sum_up(&kinds[i]);
    return ferror(file) ? 1 : 0;
}

/* Whether a file has what was said, and nothing else. */
static bool is_in(const char *path, const char *said)
{
    FILE *file = fopen(path, "r");
    int c = file ? 0 : EOF;

    while (file && (c = getc(file)) != EOF && c == (unsigned char)*said)
        said++;
    if (file)
        fclose(file);
    return file && c == EOF && *said == '\0';
}

static int replay_files(const char *trace, const char *expected)
{
    char *said = NULL;
    size_t size = 0;
    FILE *file = fopen(trace, "r");
    int status = 1;

    out = open_memstream(&said, &size);
    if (file && out)
        status = replay(file);
    else
        perror(trace);
    if (file)
        fclose(file);
    if (out)
        fclose(out);
    if (said)
        fputs(said, stdout);
    if (status == 0 && expected && !is_in(expected, said)) {
        fprintf(stderr, "not what %s has\n", expected);
        status = 1;
    }
    free(said);
    return status;
}

/* -- made up -- */

static struct player players[KINDS_MAX];

static int begin(const struct workload *w, uint64_t seed)
{
    int n = 0;

    while (n < KINDS_MAX && w->kinds[n].name) {
        player_begin(&players[n], &w->kinds[n], seed + (uint64_t)n);
        n++;
    }
    return n;
}

static int print_trace(const struct workload *w, uint64_t seed, int seconds)
{
    int n = begin(w, seed), steps = seconds * (1000000000 / STEP_NS);
    char line[SH_TRACE_LINE];

    printf("# replay --trace %s %" PRIu64 " %d\n", w->name, seed, seconds);
    for (int i = 0; i < n; i++)
        if (sh_trace_bounds(line, sizeof line, players[i].kind->name,
                            &players[i].kind->bounds) > 0)
            fputs(line, stdout);
    for (int step = 1; step <= steps; step++)
        for (int i = 0; i < n; i++) {
            player_step(&players[i], w, step > steps / 2,
                        (int64_t)step * STEP_NS);
            if (sh_trace_step(line, sizeof line, players[i].kind->name,
                              &players[i].measures) > 0)
                fputs(line, stdout);
        }
    return 0;
}

/* What all kinds would have paid if each had always been at one place. */
static int64_t fixed(int n, int place)
{
    int64_t sum = 0;

    for (int i = 0; i < n; i++)
        sum += players[i].fixed_ns[place];
    return sum;
}

static bool survives(int n, int place)
{
    bool all = true;

    for (int i = 0; i < n; i++)
        all = all && player_survives(&players[i], place);
    return all;
}

static int bests[KINDS_MAX]; /* for each kind */

/* The regrets, beside what was the best in the end. */
static void print_regrets(int n, int64_t now_ns, int best)
{
    int64_t paid = 0, apart = 0;

    printf("%" PRId64, now_ns / 1000000);
    for (int i = 0; i < n; i++) {
        printf(",%s/%s", sites[players[i].policy.place.site],
               manners[players[i].policy.place.manner]);
        paid += players[i].paid_ns;
    }
    printf(",%" PRId64, (paid - fixed(n, best)) / 1000);
    for (int place = 0; place < PLACES; place++)
        if (survives(n, place))
            printf(",%" PRId64, (fixed(n, place) - fixed(n, best)) / 1000);
        else
            printf(",n");
    for (int i = 0; i < n; i++)
        apart += players[i].fixed_ns[bests[i]];
    printf(",%" PRId64 "\n", (apart - fixed(n, best)) / 1000);
}

static void print_heading(int n, int best)
{
    printf("ms");
    for (int i = 0; i < n; i++)
        printf(",%s", players[i].kind->name);
    printf(",policy");
    for (int place = 0; place < PLACES; place++)
        printf(",%s%s/%s", place == best ? "*" : "", sites[place / MANNERS],
               manners[place % MANNERS]);
    printf(",apart\n");
}

/* The best place for all, and that of each, now. */
static int find_bests(int n)
{
    int best = 0;

    for (int i = 0; i < n; i++)
        bests[i] = 0;
    for (int place = 1; place < PLACES; place++) {
        if (survives(n, place) && fixed(n, place) < fixed(n, best))
            best = place;
        for (int i = 0; i < n; i++)
            if (player_survives(&players[i], place) &&
                players[i].fixed_ns[place] < players[i].fixed_ns[bests[i]])
                bests[i] = place;
    }
    return best;
}

/* What is best is known in the end only: so all is done twice. */
static int print_regret(const struct workload *w, uint64_t seed, int seconds)
{
    int steps = seconds * (1000000000 / STEP_NS), best = 0;

    for (int round = 0; round < 2; round++) {
        int n = begin(w, seed);

        if (round == 1)
            print_heading(n, best);
        for (int step = 1; step <= steps; step++) {
            for (int i = 0; i < n; i++)
                player_step(&players[i], w, step > steps / 2,
                            (int64_t)step * STEP_NS);
            if (round == 1 && step % 10 == 0)
                print_regrets(n, (int64_t)step * STEP_NS, best);
        }
        if (round == 0)
            best = find_bests(n);
    }
    return 0;
}

static int list(void)
{
    for (int i = 0; workload_number(i); i++)
        printf("%s\n", workload_number(i)->name);
    return 0;
}

static int usage(void)
{
    fprintf(stderr,
            "replay FILE [EXPECTED] | --list | --trace NAME SEED [SECONDS] | "
            "--regret NAME SEED [SECONDS]\n");
    return 2;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--list") == 0)
        return list();
    if ((argc == 2 || argc == 3) && argv[1][0] != '-')
        return replay_files(argv[1], argv[2]);
    if (argc < 4 || argc > 5)
        return usage();

    const struct workload *w = workload_find(argv[2]);
    uint64_t seed = strtoull(argv[3], NULL, 10);
    int seconds = argc == 5 ? atoi(argv[4]) : SECONDS;

    if (!w || seconds < 1 || seconds > 3600)
        return usage();
    if (strcmp(argv[1], "--trace") == 0)
        return print_trace(w, seed, seconds);
    return strcmp(argv[1], "--regret") == 0 ? print_regret(w, seed, seconds)
                                            : usage();
}
