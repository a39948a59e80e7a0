/* SPDX-License-Identifier: MIT */
/*
 * titles.c - print the first heading of every web page that is named.
 *
 *     titles [--mode threads|processes|auto] URL...
 *
 *     fetch_page --then--> parse_page --finally--> count_page     of page 1
 *                          |  find_title
 *     fetch_page --then--> parse_page --finally--> count_page     of page 2
 *                          |  find_title
 *         ...                                  when_all_settled   of them all
 *
 * For every URL two tasks, one that fetches and one that parses, chained. A
 * failure of either is the chain's, so it costs one line and nothing else. In
 * a pool of processes that is also true of a parser that crashes or hangs.
 *
 * Where the tasks run is decided in one place, by the pool's .mode; no other
 * line knows. So tasks get flat values or memory of the pool, and never the
 * address of anything that main owns.
 *
 * titles_fetch.c, titles_parse.c   the tasks: plain functions from in to out
 * titles_options.c, titles_report.c   nothing about shunt but error records
 * titles_purpose.c                 pages that crash the parser on purpose
 */
#define _GNU_SOURCE 1 /* sigaction, clock_gettime */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "titles.h"

static int cannot_run(const char *why)
{
    fprintf(stderr, "titles: %s\n", why);
    return STATUS_CANNOT_RUN;
}

/*
 * Parses a page that has come, within a time. A step of its own, because a
 * deadline runs from the submit on: were it that of the chain, fetching would
 * use it up. The title is what the step becomes; until then it keeps what it
 * was given, where the bytes of the page are.
 */
static int parse_page(const struct page *page, const int64_t *time_ns,
                      shunt_future **title)
{
    *title = shunt_submit_with(NULL, find_title, page, .deadline_ns = *time_ns);
    return 0;
}
SHUNT_STEP(parse_page, struct page, int64_t, shunt_future *, .inherits = true)

/*
 * Counts a page that is done, well or badly. The counter is memory of the
 * pool, so this works wherever the step runs.
 */
static int count_page(const shunt_outcome *outcome, atomic_size_t *const *done,
                      shunt_none *out)
{
    (void)outcome, (void)out;
    atomic_fetch_add(*done, 1);
    return 0;
}
SHUNT_STEP(count_page, shunt_outcome, atomic_size_t *, shunt_none)

static shunt_future *submit_page(shunt_pool *pool, const struct request *in,
                                 atomic_size_t *done)
{
    shunt_future *page = shunt_submit(pool, fetch_page, in);
    int64_t time_ns = SHUNT_MS(in->timeout_ms);
    shunt_future *title = shunt_then_with(page, parse_page, &time_ns);

    return shunt_finally_with(title, count_page, &done);
}

static atomic_bool interrupted;

static void on_interrupt(int number)
{
    (void)number;
    atomic_store(&interrupted, true);
}

static void draw_progress(size_t done, size_t count)
{
    static const char bar[] = "########################################";
    int width = (int)sizeof bar - 1;
    int filled = (int)(done * (size_t)width / count);

    if (isatty(STDERR_FILENO)) /* somebody watches */
        fprintf(stderr, "\r[%-*.*s] %zu of %zu pages", width, filled, bar, done,
                count);
}

/* Wait until fewer pages than workers are under way. More would wait for each
 * other, and their time to be parsed pass meanwhile. */
static void wait_for_room(shunt_pool *pool, shunt_queue *under_way,
                          atomic_size_t *done, size_t count)
{
    shunt_event event;

    while (!atomic_load(&interrupted) &&
           shunt_queue_size(under_way) >= shunt_pool_workers(pool)) {
        if (shunt_queue_wait(under_way, &event, 1, SHUNT_MS(50)) > 0)
            shunt_release(event.future);
        draw_progress(atomic_load(done), count);
    }
}

/* One future for all pages; it settles when the last of them has. */
static shunt_future *submit_pages(shunt_pool *pool, const struct settings *s,
                                  shunt_queue *under_way, atomic_size_t *done)
{
    shunt_future **titles = calloc(s->count, sizeof *titles);
    struct request request = s->request;
    shunt_future *all, *same;

    if (!titles)
        return NULL;
    for (size_t i = 0; i < s->count; i++) {
        wait_for_room(pool, under_way, done, s->count);
        snprintf(request.url, sizeof request.url, "%s", s->urls[i]);
        titles[i] = submit_page(pool, &request, done);
        same = shunt_retain(titles[i]);
        if (shunt_queue_add(under_way, same, NULL) != 0)
            shunt_release(same); /* no memory: it does without */
    }
    all = shunt_when_all_settled(titles, s->count);
    free(titles);
    return all;
}

/* Wait for all pages. The final status. */
static int wait_for_pages(shunt_future *all, atomic_size_t *done, size_t count)
{
    int rc;

    while ((rc = shunt_await_for(all, SHUNT_MS(50))) == SHUNT_PENDING) {
        draw_progress(atomic_load(done), count);
        if (atomic_load(&interrupted))
            shunt_cancel(all);
    }
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr); /* to the start of the line, and clear it */
    return rc;
}

static double now_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Everything between making the pool and freeing it; the exit status. */
static int run(shunt_pool *pool, const struct settings *s)
{
    double start = now_seconds();
    atomic_size_t *done = shunt_pool_alloc(pool, sizeof *done);
    shunt_queue *under_way;
    shunt_future *all;
    size_t failed;
    int rc;

    if (!done || shunt_queue_new(&under_way) != 0)
        return cannot_run("no memory");
    atomic_init(done, 0); /* freed with the pool, when nothing counts on */
    all = submit_pages(pool, s, under_way, done);
    shunt_queue_free(under_way); /* or a cancel would spare what is in it */
    rc = wait_for_pages(all, done, s->count);
    if (rc == 0) {
        failed = print_report(s, shunt_peek(all, shunt_results),
                              shunt_pool_workers(pool), now_seconds() - start);
        rc = failed > 0 ? STATUS_SOME_FAILED : STATUS_ALL;
        if (shunt_pool_mode(pool) == SHUNT_AUTO) {
            printf("\nWhat went where, and why:\n");
            shunt_explain(pool, stdout);
        }
    } else if (atomic_load(&interrupted)) {
        cannot_run("interrupted");
        rc = 128 + SIGINT;
    } else {
        rc = cannot_run(shunt_error_of(all)->message);
    }
    shunt_release(all); /* and with it every page's */
    return rc;
}

int main(int argc, char **argv)
{
    struct settings s;
    int rc = parse_arguments(argc, argv, &s);
    shunt_pool *pool;

    if (rc >= 0)
        return rc;
    /* Writing to a closed pipe or connection is an error, not our end. */
    signal(SIGPIPE, SIG_IGN);
    /* The first Ctrl-C cancels what is left, the second one kills. */
    sigaction(SIGINT,
              &(struct sigaction){ .sa_handler = on_interrupt,
                                   .sa_flags = (int)SA_RESETHAND },
              NULL);
    if (fetch_init() != 0)
        return cannot_run("libcurl does not start");
    parse_init();

    rc = shunt_pool_new(&pool, &s.pool);
    if (rc == 0) {
        rc = run(pool, &s);
        shunt_pool_free(pool);
    } else {
        fprintf(stderr, "titles: cannot make a pool: %s (%s)\n",
                shunt_code_text(rc), shunt_code_name(rc));
        rc = STATUS_CANNOT_RUN;
    }
    parse_fini();
    fetch_fini();
    if (fflush(stdout) != 0 && errno != EPIPE) {
        perror("titles: cannot print");
        return STATUS_CANNOT_RUN;
    }
    return rc;
}
