/* SPDX-License-Identifier: MIT */
/*
 * place/runs_test.c - what the policy makes of whole runs.
 *
 * Goal: it ends where it should, settles, loses little to the best place that
 * one could have fixed, and does the same again. Method: the kinds of
 * simulate.c, ten seeds each, and as text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "place/trace.h"
#include "simulate.h"

enum {
    SEEDS = 10,
    SECONDS = 60,
    STEPS = SECONDS * (1000000000 / STEP_NS)
};

static struct player player;

/* Where it is to end, for each kind; and what it may lose by then, per mille of
 * what the best place costs. */
struct expected {
    const char *workload;
    struct sh_place place;
    uint64_t changes;
    int64_t loss;
};

#define AT(site, manner)                   \
    {                                      \
        SH_SITE_##site, SH_MANNER_##manner \
    }

static const struct expected all[] = {
    { "tiny", AT(THREAD, INLINE), 2, 10 },
    { "compute", AT(PROCESS, QUEUED), 0, 1 },
    { "blocking", AT(THREAD, BLOCKING), 2, 530 }, /* a thousand in processes */
    { "mapping", AT(PROCESS, QUEUED), 0, 10 },
    { "locking", AT(PROCESS, QUEUED), 0, 10 },
    { "sharing", AT(THREAD, QUEUED), 1, 10 },
    { "changing", AT(THREAD, INLINE), 3, 0 },
    { "turning", AT(PROCESS, QUEUED), 2, 0 },
};

static void run(const struct workload *w, int kind, uint64_t seed)
{
    player_begin(&player, &w->kinds[kind], seed);
    for (int step = 1; step <= STEPS; step++)
        player_step(&player, w, step > STEPS / 2, (int64_t)step * STEP_NS);
}

static int64_t best_ns(void)
{
    int64_t best = INT64_MAX;

    for (int place = 0; place < PLACES; place++)
        if (player_survives(&player, place) && player.fixed_ns[place] < best)
            best = player.fixed_ns[place];
    return best;
}

static void told(const char *name, uint64_t seed)
{
    print_message("%s, seed %llu: %d/%d, %llu changes, %llu trials, %llu "
                  "shifts, %lld per mille\n",
                  name, (unsigned long long)seed, player.policy.place.site,
                  player.policy.place.manner,
                  (unsigned long long)player.policy.changes,
                  (unsigned long long)player.policy.explorations,
                  (unsigned long long)player.policy.shifts,
                  (long long)((player.paid_ns - best_ns()) * 1000 / best_ns()));
}

static void each_kind_ends_where_it_costs_least(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            run(workload_find(all[i].workload), 0, seed);
            told(all[i].workload, seed);
            assert_int_equal(player.policy.place.site, all[i].place.site);
            assert_int_equal(player.policy.place.manner, all[i].place.manner);
            assert_true(player.policy.changes <= all[i].changes);
            assert_true((player.paid_ns - best_ns()) * 1000 <=
                        best_ns() * all[i].loss);
        }
}

static void noise_is_settled_too(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20 * SEEDS; seed++) {
        run(workload_find("noisy"), 0, seed);
        assert_true(player.policy.changes <= 3);
        assert_true((player.paid_ns - best_ns()) * 1000 <= best_ns() * 50);
    }
}

static void trials_are_few_where_nothing_changes(void **state)
{
    uint64_t noisy = 0;

    (void)state;
    for (int i = 0; workload_number(i); i++)
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            const struct workload *w = workload_number(i);
            bool turns = strcmp(w->name, "changing") == 0 ||
                         strcmp(w->name, "turning") == 0;

            run(w, 0, seed);
            if (strcmp(w->name, "noisy") == 0) {
                noisy += player.policy.shifts;
                continue;
            }
            assert_true(player.policy.explorations <= (turns ? 12 : 6));
            assert_int_equal(player.policy.shifts, turns);
        }
    assert_true(noisy <= 1); /* with a stall in each twentieth window */
}

static void what_crashes_never_runs_in_the_host(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        run(workload_find("crashing"), 0, seed);
        assert_int_equal(player.host_crashes, 0);
        assert_int_equal(player.policy.place.site, SH_SITE_PROCESS);
        assert_true(player.policy.crashes > 500);
    }
}

/* Each kind for itself, beside one place for all of them. */
static void a_mixture_costs_less_than_any_place_for_all(void **state)
{
    const struct workload *w = workload_find("mixture");
    int64_t paid = 0, fixed[PLACES] = { 0 };

    (void)state;
    for (int kind = 0; kind < KINDS_MAX && w->kinds[kind].name; kind++) {
        run(w, kind, 1);
        told(w->kinds[kind].name, 1);
        assert_true(player.policy.changes <= 3);
        paid += player.paid_ns;
        for (int place = 0; place < PLACES; place++)
            fixed[place] += player.fixed_ns[place];
    }
    for (int place = 0; place < PLACES; place++)
        assert_true(paid < fixed[place] / 5 * 4);
}

static void the_same_measures_give_the_same_bytes(void **state)
{
    static struct sh_policy first;

    (void)state;
    for (int i = 0; workload_number(i); i++) {
        memset(&player, 0xa5, sizeof player);
        run(workload_number(i), 0, 7);
        first = player.policy;
        memset(&player, 0x5a, sizeof player);
        run(workload_number(i), 0, 7);
        assert_memory_equal(&first, &player.policy, sizeof first);
    }
}

/* Small numbers, large ones and all between. */
static uint64_t any(uint64_t *seed)
{
    uint64_t x = *seed =
        *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);

    return x >> 58 > 40 ? 0 : UINT64_C(0x9e3779b97f4a7c15) * x >> (x >> 58);
}

static void any_measures(struct sh_measures *m, uint64_t *seed)
{
    uint64_t numbers[sizeof m->at / (sizeof(uint64_t))];

    for (size_t i = 0; i < sizeof m->at / (sizeof(uint64_t)); i++)
        numbers[i] = any(seed);
    memcpy(m->at, numbers, sizeof m->at);
    m->now_ns += (int64_t)(any(seed) >> 28);
    m->crashes = any(seed) % 1000 == 7;
}

/* And sanitizers have nothing to say of it. */
static void whatever_is_measured_the_bounds_hold(void **state)
{
    uint64_t seed = 1;

    (void)state;
    for (int round = 0; round < 320; round++) {
        struct sh_bounds b = { round & 1, round & 2, round & 4, round & 8 };
        struct sh_measures m = { .now_ns = 0 };
        struct sh_policy p;
        struct sh_policy_saved saved;

        b.host_only = b.host_only && !b.isolated;
        sh_policy_init(&p, &b);
        for (int step = 0; step < 1000; step++) {
            any_measures(&m, &seed);
            sh_policy_step(&p, &m);
            assert_true(p.place.site < SH_SITES);
            assert_true(!b.host_only || p.place.site == SH_SITE_THREAD);
            assert_true(!(b.isolated || p.banned) || b.host_only ||
                        p.place.site == SH_SITE_PROCESS);
            assert_true(!b.blocking || p.place.manner == SH_MANNER_BLOCKING);
            assert_true(!p.banned || p.place.manner != SH_MANNER_INLINE);
            assert_true(sh_policy_cost(&p, p.place) >= -1);
        }
        sh_policy_save(&p, &saved);
        assert_true(sh_policy_load(&p, &b, &saved));
    }
}

/* -- as text -- */

static void a_step_is_the_same_after_it_was_written(void **state)
{
    char line[SH_TRACE_LINE];
    struct sh_trace_line read = { 0 };

    (void)state;
    run(workload_find("sharing"), 0, 1);
    assert_true(sh_trace_step(line, sizeof line, "shares", &player.measures) >
                0);
    assert_int_equal(sh_trace_read(line, &read), SH_LINE_STEP);
    assert_string_equal(read.kind, "shares");
    assert_memory_equal(&read.measures.at, &player.measures.at,
                        sizeof read.measures.at);
    assert_int_equal(read.measures.now_ns, player.measures.now_ns);
    memset(&player.measures, 0xff, sizeof player.measures);
    player.measures.now_ns = INT64_MAX;
    assert_true(sh_trace_step(line, sizeof line, "shares", &player.measures) >
                0);
    assert_int_equal(sh_trace_read(line, &read), SH_LINE_STEP);
    assert_memory_equal(&read.measures.at, &player.measures.at,
                        sizeof read.measures.at);
    for (size_t size = 1; size < strlen(line) + 1; size++)
        assert_int_equal(sh_trace_step(line, size, "shares", &player.measures),
                         0);
}

static void bounds_are_the_same_after_they_were_written(void **state)
{
    char line[SH_TRACE_LINE];
    struct sh_trace_line read = { 0 };

    (void)state;
    for (int i = 0; i < 16; i++) {
        struct sh_bounds b = { i & 1, i & 2, i & 4, i & 8 };

        assert_true(sh_trace_bounds(line, sizeof line, "k", &b) > 0);
        assert_int_equal(sh_trace_read(line, &read), SH_LINE_BOUNDS);
        assert_memory_equal(&read.bounds, &b, sizeof b);
    }
}

static void what_is_no_line_is_wrong(void **state)
{
    static const char *const wrong[] = {
        "k",           "k 1",         "k 1 0 1 2 3", "k -1 0",
        "= k",         "= k 0 0 0",   "= k 0 0 0 2", "= k 0 0 0 0 0",
        "= # 0 0 0 0", "= k 0 0 0 x",
    };
    char line[SH_TRACE_LINE], kind[SH_TRACE_KIND + 1];
    struct sh_trace_line read;
    const struct sh_measures m = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(sh_trace_read(wrong[i], &read), SH_LINE_WRONG);
    assert_int_equal(sh_trace_read("", &read), SH_LINE_NOTHING);
    assert_int_equal(sh_trace_read(" # k 1", &read), SH_LINE_NOTHING);
    assert_true(sh_trace_step(line, sizeof line, "k", &m) > 0);
    strcpy(line + strlen(line) - 1, " 0\n");
    assert_int_equal(sh_trace_read(line, &read), SH_LINE_WRONG);
    memset(kind, 'k', sizeof kind);
    kind[SH_TRACE_KIND] = '\0';
    assert_int_equal(sh_trace_step(line, sizeof line, kind, &m), 0);
    assert_int_equal(sh_trace_step(line, sizeof line, "", &m), 0);
    assert_int_equal(sh_trace_step(line, sizeof line, "two words", &m), 0);
    assert_int_equal(sh_trace_step(line, sizeof line, "=", &m), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_ends_where_it_costs_least),
        cmocka_unit_test(noise_is_settled_too),
        cmocka_unit_test(trials_are_few_where_nothing_changes),
        cmocka_unit_test(what_crashes_never_runs_in_the_host),
        cmocka_unit_test(a_mixture_costs_less_than_any_place_for_all),
        cmocka_unit_test(the_same_measures_give_the_same_bytes),
        cmocka_unit_test(whatever_is_measured_the_bounds_hold),
        cmocka_unit_test(a_step_is_the_same_after_it_was_written),
        cmocka_unit_test(bounds_are_the_same_after_they_were_written),
        cmocka_unit_test(what_is_no_line_is_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
