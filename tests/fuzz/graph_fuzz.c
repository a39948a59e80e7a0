/* SPDX-License-Identifier: MIT */
/*
 * graph_fuzz - random graphs of futures, against a sequential reference.
 *
 *     graph_fuzz [--mode threads | processes] [--calm | --storm] [--seed N]
 *                [--seeds COUNT | --seconds S] [--nodes N] [--patience S]
 *                [--print] [--dump]
 *
 * Each seed is one graph (see graph.h): tasks with and without children,
 * steps, combinators of up to 812 inputs, promises, maps, retries; delays,
 * timeouts, deadlines that come at any time and code that runs on past them;
 * scopes in scopes, of tasks and of threads; handles retained, awaited,
 * released and cancelled by several threads and tasks, which may commit, or
 * taken out of completion queues; in one or two pools, whose clocks may be
 * moved by hand, and which end in one of five ways. Checked: every outcome that
 * anybody sees is one that the reference allows, and the same for all; values
 * are whole; no moment is too early; each function ran at most once, and
 * exactly once, or as often as it is to be tried, where nothing may have ended
 * it before; what closes a scope is told what its members did; what went into a
 * queue comes out once; every drop hook was called once; nothing is in use at
 * the end; and with LeakSanitizer, nothing leaks. A seed that takes longer than
 * patience is a hang: what there is is printed, and nothing is tried again.
 *
 * With --mode processes, or SHUNT_MODE=processes, there is one pool, of worker
 * processes. In half of the graphs, with --calm in all, nothing is given up
 * while it runs, so that no process is killed and all of the above holds. In
 * the others tasks may end with SHUNT_ECRASHED, as what was parked beside the
 * late ones does, and what follows from that is allowed as well.
 *
 * With --storm workers are hit by signals at random moments (storm.c), and some
 * functions never come to their end: they leave the process, fault, take all
 * memory, or loop until they are late. What is still in use then, when all has
 * settled and was given back, is counted, and told in the end.
 *
 * With --dump another thread dumps all pools again and again meanwhile.
 *
 * Without --seed the first seed is taken from the clock. What fails is
 * replayed with --seed N; how threads race is not, so with --seeds as well.
 */
#include "graph.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

/* Where these exist, the seed is told, and leaks are found, by seed. */
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));
void __sanitizer_set_death_callback(void (*callback)(void))
    __attribute__((weak));

enum {
    LEAKS_EVERY = 64
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct graph *graph; /* that is being played */
    uint64_t seed;
    unsigned patience_s;
} watch = { .lock = PTHREAD_MUTEX_INITIALIZER, .patience_s = 120 };

static void say_seed(void)
{
    char text[64];
    int length = snprintf(text, sizeof text, "graph_fuzz: seed %" PRIu64 "\n",
                          watch.seed);

    if (length > 0)
        (void)!write(STDERR_FILENO, text, (size_t)length);
}

static void on_signal(int number)
{
    say_seed();
    signal(number, SIG_DFL);
    raise(number);
}

static void dump(struct graph *g)
{
    plan_print(g->plan);
    reference_print(&g->reference, g->plan);
    for (unsigned n = 0; n < g->plan->nodes; n++) {
        struct fate *f = &g->fate[n];

        fprintf(stderr,
                "%3u %s, ran %u, phase %u, dropped %u, seen %u, fillers %u "
                "dropped %u, children %u ran %u, wards %u dropped %u%s%s\n",
                n, atomic_load(&f->published) ? "built" : "not built",
                atomic_load(&f->runs), atomic_load(&f->phase),
                atomic_load(&f->drops), atomic_load(&f->seen),
                atomic_load(&f->filler_runs), atomic_load(&f->filler_drops),
                atomic_load(&f->children), atomic_load(&f->children_run),
                atomic_load(&f->wards), atomic_load(&f->ward_drops),
                atomic_load(&f->committed) ? ", committed" : "",
                atomic_load(&f->asked) ? ", asked" : "");
    }
    for (unsigned i = 0; i < g->plan->pools; i++)
        audit_dump(g->pools[i]);
}

static void tell_storm(void)
{
    printf("graph_fuzz: %lu hits, %lu functions ended badly; nodes that "
           "crashed were %lu times the culprit, %lu times not; %lu drops cut; "
           "left in %lu "
           "graphs: %lu records, %lu aliases, %lu edges, %lu cells, %lu "
           "bytes\n",
           atomic_load(&census->kills), atomic_load(&census->dooms),
           atomic_load(&census->culprits), atomic_load(&census->collateral),
           atomic_load(&census->cut),
           atomic_load(&census->untidy), atomic_load(&census->records),
           atomic_load(&census->aliases), atomic_load(&census->edges),
           atomic_load(&census->cells), atomic_load(&census->bytes));
}

_Noreturn void fuzz_fail(struct graph *g, const char *fmt, ...)
{
    static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
    va_list args;

    pthread_mutex_lock(&once); /* for good: one failure is enough */
    fprintf(stderr, "graph_fuzz: FAILED: ");
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fprintf(stderr, "\n");
    /* The host tells the rest; this process is to be seen as it is. */
    while (!shared_is_host()) {
        shared_fail();
        pause();
    }
    dump(g);
    if (g->plan->mortal)
        tell_storm();
    say_seed();
    _exit(1);
}

/* Wait for a while, or until another graph is played. True: it is the same. */
static bool is_still(struct graph *g, uint64_t seed, int64_t ns)
{
    struct timespec until;
    int rc = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += ns % SHUNT_S(1);
    until.tv_sec += ns / SHUNT_S(1) + until.tv_nsec / SHUNT_S(1);
    until.tv_nsec %= SHUNT_S(1);
    while (rc == 0 && watch.graph == g && watch.seed == seed)
        rc = pthread_cond_timedwait(&watch.changed, &watch.lock, &until);
    return watch.graph == g && watch.seed == seed;
}

static void *watchdog(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&watch.lock);
    for (;;) {
        struct graph *g = watch.graph;
        uint64_t seed = watch.seed;
        int64_t begin = sh_clock_ns();

        while (is_still(g, seed, SHUNT_MS(50)) && g != NULL) {
            if (shared_has_failed())
                fuzz_fail(g, "as a worker process says above");
            if (sh_clock_ns() - begin > SHUNT_S(watch.patience_s))
                fuzz_fail(g, "it hangs, after %u s", watch.patience_s);
        }
    }
    return NULL;
}

static void *dump_on(void *arg)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    (void)arg;
    while (shunt_dump(NULL, null) == 0)
        sched_yield();
    fprintf(stderr, "graph_fuzz: FAILED: a dump\n");
    say_seed();
    _exit(1);
}

static void announce(struct graph *g, uint64_t seed)
{
    pthread_mutex_lock(&watch.lock);
    watch.graph = g;
    watch.seed = seed;
    pthread_cond_signal(&watch.changed);
    pthread_mutex_unlock(&watch.lock);
}

static void fuzz(uint64_t seed, unsigned nodes, enum weather weather,
                 bool print)
{
    struct plan *plan = shared_new(sizeof *plan);
    struct graph *g = shared_new(sizeof *g);
    char left[200];

    if (plan == NULL || g == NULL)
        abort();
    plan_make(plan, seed, nodes, weather);
    g->plan = plan;
    reference_make(&g->reference, plan);
    if (print) {
        plan_print(plan);
        reference_print(&g->reference, plan);
    }
    announce(g, seed);
    play(g);
    if (weather != WEATHER_THREADS && storm_leaves(left, sizeof left))
        fuzz_fail(g, "%s", left);
    announce(NULL, seed);
    shared_free(g);
    shared_free(plan);
    shared_reset();
}

static void check_leaks(uint64_t first, uint64_t last)
{
    if (__lsan_do_recoverable_leak_check == NULL ||
        __lsan_do_recoverable_leak_check() == 0)
        return;
    fprintf(stderr,
            "graph_fuzz: FAILED: seeds %" PRIu64 " to %" PRIu64 " leak\n",
            first, last);
    _exit(1);
}

static void start(void *(*run)(void *))
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, run, NULL) != 0)
        abort();
    pthread_detach(thread);
}

static void prepare(bool dumps)
{
    static const int signals[] = { SIGABRT, SIGSEGV, SIGBUS, SIGILL };

    pthread_cond_init(&watch.changed, NULL);
    for (unsigned i = 0; i < sizeof signals / sizeof signals[0]; i++)
        signal(signals[i], on_signal);
    if (__sanitizer_set_death_callback != NULL)
        __sanitizer_set_death_callback(say_seed);
    start(watchdog);
    if (dumps)
        start(dump_on);
}

int main(int argc, char **argv)
{
    uint64_t seed = (uint64_t)time(NULL) * 1000000u, seeds = 1, n = 0;
    int64_t begin, seconds = 0;
    unsigned nodes = 0;
    bool print = false, dumps = false, calm = false, storm = false;
    enum weather weather = WEATHER_THREADS;
    const char *mode = getenv("SHUNT_MODE");

    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";

        if (strcmp(argv[i], "--print") == 0) {
            print = true;
            continue;
        }
        if (strcmp(argv[i], "--calm") == 0) {
            calm = true;
            continue;
        }
        if (strcmp(argv[i], "--storm") == 0) {
            storm = true;
            mode = mode == NULL ? "processes" : mode;
            continue;
        }
        if (strcmp(argv[i], "--dump") == 0) {
            dumps = true;
            continue;
        }
        if (strcmp(argv[i], "--mode") == 0)
            mode = value;
        else if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--seeds") == 0)
            seeds = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--seconds") == 0)
            seconds = strtoll(value, NULL, 10);
        else if (strcmp(argv[i], "--nodes") == 0)
            nodes = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--patience") == 0)
            watch.patience_s = (unsigned)strtoul(value, NULL, 10);
        else
            return fprintf(stderr, "graph_fuzz: what is %s?\n", argv[i]), 2;
        i++;
    }
    printf("graph_fuzz: first seed %" PRIu64 "\n", seed);
    fflush(stdout);
    if (mode == NULL)
        mode = "threads";
    play_auto = strcmp(mode, "auto") == 0;
    if (strcmp(mode, "threads") != 0 && strcmp(mode, "processes") != 0 &&
        !play_auto)
        return fprintf(stderr, "graph_fuzz: no mode %s\n", mode), 2;
    if (strcmp(mode, "threads") != 0)
        weather = calm ? WEATHER_CALM : storm ? WEATHER_STORM : WEATHER_MIXED;
    if (weather != WEATHER_THREADS && (!shared_open() || shunt_init() != 0))
        return fprintf(stderr, "graph_fuzz: no worker processes\n"), 1;
    prepare(dumps);
    begin = sh_clock_ns();
    for (; seconds > 0 ? sh_clock_ns() - begin < SHUNT_S(seconds) : n < seeds;
         n++) {
        fuzz(seed + n, nodes, weather, print);
        if (n % LEAKS_EVERY == LEAKS_EVERY - 1)
            check_leaks(seed + n - (LEAKS_EVERY - 1), seed + n);
    }
    check_leaks(seed + n - n % LEAKS_EVERY, seed + n);
    printf("graph_fuzz: %lu timed out, %lu given up as they ran, %lu stood in, "
           "%lu committed, %lu told, %lu scopes closed, %lu retries, %lu "
           "events, clocks "
           "moved %lu times\n",
           atomic_load(&census->timed_out), atomic_load(&census->given_up),
           atomic_load(&census->stand_ins), atomic_load(&census->committed),
           atomic_load(&census->told), atomic_load(&census->scopes),
           atomic_load(&census->retries), atomic_load(&census->events),
           atomic_load(&census->moves));
    if (weather > WEATHER_CALM)
        tell_storm();
    printf("graph_fuzz: %" PRIu64 " seeds, all as the reference allows\n", n);
    return 0;
}
