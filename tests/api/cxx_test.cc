/* SPDX-License-Identifier: MIT */
/*
 * cxx_test.cc - the headers from C++17: values where C has compound literals,
 * designators for traits and options, lambdas for small tasks.
 *
 * cmocka leaves a failed test by longjmp, past destructors; so this program
 * has no harness, and says what failed by its line.
 */
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

/* As a header of C might include it, and with names that are anybody's. */
#define ONE 1
#define MORE 2
extern "C" {
#include <shunt/forkjoin.h>
#include <shunt/shunt.h>
}

namespace
{

struct span {
    long from, to;
};

int add_up(const span *in, long *out)
{
    for (long i = in->from; i < in->to; i++)
        *out += i;
    return 0;
}
SHUNT_TASK(add_up, span, long)

int scale(const long *in, const long *factor, long *out)
{
    *out = *in * *factor;
    return 0;
}
SHUNT_STEP(scale, long, long, long, .name = "scaling")

int refuse(const long *in, long *out)
{
    *out = 0;
    return shunt_fail(static_cast<int>(*in), "refused %ld", *in);
}
SHUNT_TASK(refuse, long, long, .idempotent = true, .retries = 1)

int code_of(const shunt_error *in, long *out)
{
    *out = in->task_code;
    return 0;
}
SHUNT_TASK(code_of, shunt_error, long)

int look_on(const shunt_outcome *in, shunt_none *)
{
    return in->status == 0 || in->error->code != 0 ? 0 : 1;
}
SHUNT_TASK(look_on, shunt_outcome, shunt_none)

int third_time(long *const *calls, long *out)
{
    *out = ++**calls;
    return *out == 3 ? 0 : shunt_fail(1, "number %ld", *out);
}
SHUNT_TASK(third_time, long *, long)

bool while_early(const shunt_error *error)
{
    return error->attempts < 2;
}

int nothing(const shunt_none *, shunt_none *)
{
    return 0;
}
SHUNT_TASK(nothing, shunt_none, shunt_none)

int later(const long *in, shunt_future **out)
{
    *out = shunt_submit(nullptr, add_up, span{ 0, *in });
    return 0;
}
SHUNT_TASK(later, long, shunt_future *)

int first_letter(const char *const *in, char *out)
{
    *out = **in;
    return 0;
}
SHUNT_TASK(first_letter, const char *, char)

int sum(const shunt_results *in, long *out)
{
    for (size_t i = 0; i < in->count; i++)
        *out += *shunt_peek(in->futures[i], long);
    return 0;
}
SHUNT_TASK(sum, shunt_results, long)

void check(bool holds, int line)
{
    if (holds)
        return;
    std::fprintf(stderr, "cxx_test.cc:%d does not hold\n", line);
    std::exit(1);
}
#define CHECK(condition) check(condition, __LINE__)

struct tallies {
    std::atomic<long> *sum;
    long by;
};

int add_spans(size_t from, size_t to, const tallies *t)
{
    for (; from < to; from++)
        *t->sum += static_cast<long>(from) * t->by;
    return 0;
}

int add_areas(size_t row, size_t row_to, size_t column, size_t column_to,
              std::atomic<long> *const *sum) noexcept
{
    **sum += static_cast<long>((row_to - row) * (column_to - column));
    return 0;
}

int add_longs(const long *left, const long *right, long *out)
{
    *out = *left + *right;
    return 0;
}

void reduces(shunt_pool *pool)
{
    const span spans[] = { { 0, 10 }, { 10, 20 }, { 20, 100 } };
    long value = 0;
    CHECK(shunt_take(shunt_reduce(pool, add_up, add_longs, spans, 3),
                     &value) == 0);
    CHECK(value == 4950);
    CHECK(shunt_take(shunt_reduce(
                         pool, add_up,
                         [](const long *left, const long *right, long *out) {
                             *out = *left > *right ? *left : *right;
                             return 0;
                         },
                         spans, 3),
                     &value) == 0);
    CHECK(value == 4760);
}

void sorts(shunt_pool *pool)
{
    long values[] = { 5, 3, 1, 4, 2 };
    CHECK(shunt_join(shunt_sort(pool, values, 5, [](const long *a,
                                                    const long *b) {
              return static_cast<int>(*a - *b);
          })) == 0);
    for (long i = 0; i < 5; i++)
        CHECK(values[i] == i + 1);
    CHECK(shunt_join(shunt_scan(pool, add_longs, values, 5)) == 0);
    for (long i = 0; i < 5; i++)
        CHECK(values[i] == (i + 1) * (i + 2) / 2);
}

int refuse_from(size_t from, size_t to, const long *limit)
{
    return from <= static_cast<size_t>(*limit) &&
           static_cast<size_t>(*limit) < to;
}

void loops(shunt_pool *pool)
{
    std::atomic<long> sum{ 0 }, *at = &sum;
    const tallies t{ &sum, 2 };
    CHECK(shunt_join(shunt_for(pool, 0, 100, add_spans, t)) == 0);
    CHECK(shunt_join(shunt_for(pool, 0, 100, add_spans, &t)) == 0);
    CHECK(shunt_join(shunt_for(pool, 0, 100, add_spans,
                               tallies{ &sum, -1 })) == 0);
    CHECK(sum == 3 * 4950);
    CHECK(shunt_join(shunt_for_with(pool, 0, 100, add_spans, t,
                                    .grain = 10)) == 0);
    sum = 0;
    CHECK(shunt_join(shunt_for_2d(pool, 0, 30, 0, 20, add_areas, at)) == 0);
    CHECK(shunt_join(shunt_for_2d(pool, 0, 30, 0, 20, add_areas, &at)) == 0);
    int rows = 30, columns = 20;
    CHECK(shunt_join(shunt_for_2d(pool, 0, rows, 0, columns, add_areas,
                                  at)) == 0);
    CHECK(sum == 1800);
    /* A literal 0 is a number where a number is wanted. */
    CHECK(shunt_join(shunt_for(pool, 0, 10, refuse_from, 0)) == SHUNT_EFAILED);
    CHECK(shunt_join(shunt_for(pool, 0, 10, refuse_from, 10L)) == 0);
    CHECK(shunt_join(shunt_for(
              pool, 0, 10,
              [](size_t, size_t, const void *none) {
                  return none == nullptr ? 0 : 1;
              },
              nullptr)) == 0);
    CHECK(shunt_join(shunt_for(
              pool, 0, 10,
              [](size_t, size_t, const tallies *mine) {
                  return mine->by == 2 ? 0 : 1;
              },
              t)) == 0);
}

void submits(shunt_pool *pool)
{
    long value = 0;
    const span ten{ 0, 10 };
    CHECK(shunt_take(shunt_submit(pool, add_up, span{ 0, 10 }), &value) == 0);
    CHECK(value == 45);
    CHECK(shunt_take(shunt_submit(pool, add_up, &ten), &value) == 0);
    CHECK(shunt_take(shunt_submit_wait(pool, add_up, ten), &value) == 0);
    CHECK(shunt_take(shunt_submit_with(pool, add_up, ten, .retries = 0),
                     &value) == 0);
    CHECK(value == 45);
    CHECK(shunt_join(shunt_submit(pool, nothing, nullptr)) == 0);
    CHECK(shunt_join(shunt_submit(pool, nothing, shunt_none{})) == 0);
    char letter = 0;
    const char *text = "text";
    CHECK(shunt_take(shunt_submit(pool, first_letter, text), &letter) == 0);
    CHECK(letter == 't');
}

void composes(shunt_pool *pool)
{
    long value = 0;
    shunt_future *f = shunt_submit(pool, add_up, span{ 0, 10 });
    f = shunt_then_with(f, scale, 2L);
    f = shunt_then(f, later);
    f = shunt_recover(f, code_of);
    f = shunt_finally(f, look_on);
    CHECK(shunt_take(f, &value) == 0);
    CHECK(value == 4005);
    /* A literal 0 is a number where a number is wanted. */
    CHECK(shunt_join(shunt_submit(pool, refuse, 0)) == 0);
    f = shunt_submit(pool, refuse, 7L);
    CHECK(shunt_await(f) == SHUNT_EFAILED);
    CHECK(shunt_error_of(f)->task_code == 7);
    CHECK(std::strstr(shunt_error_of(f)->message, "refused 7") != nullptr);
    CHECK(shunt_take(shunt_recover(f, code_of), &value) == 0);
    CHECK(value == 7);
    shunt_future *fs[3];
    for (long i = 0; i < 3; i++)
        fs[i] = shunt_submit(pool, add_up, span{ 0, i });
    CHECK(shunt_take(shunt_then(shunt_when_all(fs, 3), sum), &value) == 0);
    CHECK(value == 1);
    const span spans[2] = { { 0, 10 }, { 0, 5 } };
    CHECK(shunt_take(shunt_then(shunt_map(pool, add_up, spans, 2), sum),
                     &value) == 0);
    CHECK(value == 55);
}

int next_span(long *at, span *in)
{
    if (*at == 5)
        return 0;
    *in = span{ 0, (*at)++ };
    return 1;
}
SHUNT_SEQUENCE(next_span, long, span)

void queues(shunt_pool *pool)
{
    shunt_queue *queue = nullptr;
    shunt_future *fs[3];
    shunt_event event{};
    long value = 0, sum = 0;
    CHECK(shunt_queue_new(&queue) == 0);
    CHECK(shunt_queue_fd(queue) >= 0);
    for (long i = 0; i < 3; i++)
        fs[i] = shunt_submit(pool, add_up, span{ 0, i });
    CHECK(shunt_queue_add_all(queue, fs, 3) == 0);
    CHECK(shunt_queue_add(queue, shunt_submit(pool, add_up, span{ 0, 5 }),
                          &sum) == 0);
    CHECK(shunt_queue_size(queue) == 4);
    while (shunt_queue_size(queue) > 0) {
        CHECK(shunt_queue_wait(queue, &event, 1, SHUNT_FOREVER) == 1);
        if (event.tag != &sum)
            CHECK(event.future == fs[shunt_event_index(&event)]);
        CHECK(shunt_take(event.future, &value) == 0);
        sum += value;
    }
    CHECK(sum == 0 + 0 + 1 + 10);
    CHECK(!shunt_queue_remove(queue, fs[0]));
    CHECK(shunt_queue_take(queue, &event, 1) == 0);
    CHECK(shunt_queue_free(queue) == 0);
}

void lookaheads(shunt_pool *pool)
{
    shunt_lookahead *l = nullptr;
    long at = 0, value = 0, sum = 0;
    CHECK(shunt_lookahead_open(&l, pool, add_up, next_span, &at, 2) == 0);
    CHECK(shunt_lookahead_take_for(l, &value, SHUNT_S(60)) == 0);
    while (shunt_lookahead_size(l) > 0) {
        CHECK(shunt_lookahead_take(l, &value) == 0);
        sum += value;
    }
    CHECK(sum == 0 + 1 + 3 + 6);
    CHECK(shunt_lookahead_close(l) == 0);
}

void retries(shunt_pool *pool)
{
    static long calls; /* attempts come one after another */
    long *const counter = &calls;
    long value = 0;
    CHECK(shunt_take(shunt_retry(pool, third_time, counter, .first_ns = -1),
                     &value) == 0);
    CHECK(value == 3 && calls == 3);
    calls = 0;
    CHECK(shunt_join(shunt_retry(pool, third_time, &counter, .first_ns = -1,
                                 .again = while_early)) == SHUNT_EFAILED);
    CHECK(calls == 2 && shunt_last_error()->cause_count == 2);
    CHECK(shunt_join(shunt_retry(pool, nothing, shunt_none{})) == 0);
    CHECK(shunt_join(shunt_retry_task(pool, &shunt_task_nothing, nullptr,
                                      nullptr)) == 0);
    shunt_retry_options options;
    options.attempts = 1;
    calls = 0;
    CHECK(shunt_join(shunt_retry_task(pool, &shunt_task_third_time, &counter,
                                      &options)) == SHUNT_EFAILED);
    CHECK(calls == 1);
}

void promises(shunt_pool *pool)
{
    shunt_promise *promise = nullptr;
    shunt_future *future = nullptr;
    long value = 0;
    CHECK(shunt_promise_new(pool, long, &promise, &future) == 0);
    const long kept = 6;
    CHECK(shunt_promise_give(promise, &kept) == 0);
    const long *peeked = shunt_peek(future, long);
    CHECK(peeked != nullptr && *peeked == 6);
    CHECK(shunt_peek(future, short) == nullptr);
    CHECK(shunt_take(future, &value) == 0 && value == 6);
    CHECK(shunt_take(future, &value) == SHUNT_EINVAL);
}

void scopes(shunt_pool *pool)
{
    shunt_scope *scope = nullptr;
    shunt_results all{};
    const shunt_scope_options options{ .deadline_ns = SHUNT_S(60),
                                       .keep_going = true };

    CHECK(shunt_scope_open(&scope, pool, &options) == 0);
    const span ten{ 0, 10 };
    shunt_scope_submit(scope, add_up, span{ 0, 10 });
    shunt_scope_submit(scope, add_up, ten);
    shunt_scope_submit(scope, add_up, &ten);
    shunt_scope_submit(scope, nothing, nullptr);
    shunt_scope_submit(scope, refuse, 7L);
    CHECK(shunt_scope_close(scope, &all) == SHUNT_EFAILED);
    CHECK(shunt_last_error()->task_code == 7);
    CHECK(all.count == 5);
    CHECK(*shunt_peek(all.futures[2], long) == 45);
    CHECK(shunt_results_release(&all) == 0);
    CHECK(shunt_scope_open(&scope, pool, nullptr) == 0);
    CHECK(shunt_scope_cancel(scope) == 0);
    CHECK(shunt_scope_close(scope, nullptr) == 0);
}

void unseen(const shunt_error *error, void *count)
{
    CHECK(error->task_code == 7);
    ++*static_cast<int *>(count);
}

void observes()
{
    shunt_pool *pool = nullptr;
    int count = 0;
    const shunt_options options{ .workers = 1,
                                 .unobserved = unseen,
                                 .unobserved_arg = &count };
    CHECK(shunt_pool_new(&pool, &options) == 0);
    shunt_future *f = shunt_submit(pool, refuse, 7L);
    CHECK(shunt_await(f) == SHUNT_EFAILED);
    char text[100];
    CHECK(shunt_error_format(shunt_error_of(f), text, sizeof text) > 0);
    CHECK(std::strstr(text, "submitted at ") != nullptr);
    CHECK(shunt_release(f) == 0);
    CHECK(count == 0);
    CHECK(shunt_release(shunt_submit(pool, refuse, 7L)) == 0);
    shunt_worker_stats worker;
    shunt_pool_stats stats;
    CHECK(shunt_stats(pool, &stats, &worker, 1) == 0);
    CHECK(stats.submitted == 2 && stats.workers == 1);
    CHECK(worker.doing >= SHUNT_SLEEPS && worker.doing <= SHUNT_BETWEEN);
    CHECK(shunt_pool_pending(pool) <= 1);
    CHECK(shunt_dump(pool, -1) == -EBADF);
    CHECK(shunt_pool_free(pool) == 0);
    CHECK(count == 1);
}

SHUNT_FORK(long, add_up_to, long, n)
{
    shunt_frame(add_up_to) rest;

    if (n < 1)
        return 0;
    shunt_spawn(add_up_to, rest, n - 1);
    return n + shunt_sync(add_up_to, rest);
}

SHUNT_FORK(long, none, void)
{
    return 50;
}

SHUNT_FORK(long, eleven, long, a, long, b, long, c, int, d, int, e, int, f, int,
           g, int, h, int, i, int, j, int, k)
{
    shunt_frame(none) fifty;

    shunt_spawn(none, fifty);
    a += shunt_call(none);
    return a + b + c + d + e + f + g + h + i + j + k + shunt_sync(none, fifty);
}

int adds_up(const long *n, long *out)
{
    *out = shunt_fork(add_up_to, *n) + shunt_fork(none) - 50 +
           shunt_fork(eleven, -105, 1, 1, 1, 1, 1, 1, 1, 1, -2, -1);
    return 0;
}
SHUNT_TASK(adds_up, long, long)

int next(const shunt_none *, long *const *at, long *out)
{
    *out = ++**at;
    return *out <= 100 ? 0 : SHUNT_PIPELINE_END;
}
SHUNT_STEP(next, shunt_none, long *, long)

int twofold(const long *n, long *out)
{
    *out = 2 * *n;
    return 0;
}
SHUNT_TASK(twofold, long, long)

int keep(const long *n, long *const *sum, shunt_none *)
{
    **sum += *n;
    return 0;
}
SHUNT_STEP(keep, long, long *, shunt_none)

void pipes(shunt_pool *pool)
{
    long *at = static_cast<long *>(shunt_pool_alloc(pool, 2 * sizeof *at));
    long *sum = at + 1;
    const shunt_stage stages[] = {
        SHUNT_STAGE_WITH(next, SHUNT_SERIAL_IN_ORDER, &at),
        SHUNT_STAGE(twofold, SHUNT_PARALLEL),
        SHUNT_STAGE_WITH(keep, SHUNT_SERIAL_OUT_OF_ORDER, &sum),
    };

    *at = *sum = 0;
    CHECK(shunt_join(shunt_pipeline(pool, stages, 3, .tokens = 4)) == 0);
    CHECK(*sum == 2 * 5050);
    *at = *sum = 0;
    CHECK(shunt_join(shunt_pipeline(pool, stages, 3)) == 0);
    CHECK(*sum == 2 * 5050);
    CHECK(shunt_join(shunt_pipeline(pool, stages + 1, 2)) == SHUNT_EINVAL);
    CHECK(shunt_free(at) == 0);
}

void forks(shunt_pool *pool)
{
    long sum = 0;

    CHECK(shunt_take(shunt_submit(pool, adds_up, 100L), &sum) == 0);
    CHECK(sum == 5050);
}

} // namespace

int main()
{
    shunt_pool *pool = nullptr;
    const shunt_options options{ .workers = 2, .name = "cxx" };

    CHECK(shunt_pool_new(&pool, &options) == 0);
    CHECK(shunt_pool_workers(pool) == 2);
    submits(pool);
    loops(pool);
    pipes(pool);
    reduces(pool);
    sorts(pool);
    composes(pool);
    retries(pool);
    promises(pool);
    queues(pool);
    lookaheads(pool);
    scopes(pool);
    forks(pool);
    observes();
    CHECK(shunt_pool_free(pool) == 0);
    CHECK(shunt_pool_new(&pool, nullptr) == 0);
    CHECK(shunt_pool_free(pool) == 0);
    return 0;
}
