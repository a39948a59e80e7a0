/* SPDX-License-Identifier: MIT */
/*
 * titles.h - what the parts of the demonstration share.
 *
 *     request --fetch_page--> page --find_title--> title
 *     titles.c                titles_fetch.c       titles_parse.c
 *
 * Both arrows are tasks. What travels between them is a plain struct; where
 * it points to memory, shunt_alloc made that memory, so it is freed with the
 * future that holds the struct, and it would reach another process as well.
 */
#ifndef TITLES_H
#define TITLES_H

#include <stddef.h>
#include <sys/types.h>

#include <shunt/shunt.h>

/* The codes that the two tasks fail with. X(name, how the summary calls it) */
#define PAGE_FAILURES(X)               \
    X(PAGE_UNREACHABLE, "unreachable") \
    X(PAGE_TIMED_OUT, "timed out")     \
    X(PAGE_HTTP_ERROR, "HTTP error")   \
    X(PAGE_NOT_HTML, "not HTML")       \
    X(PAGE_TOO_LARGE, "too large")     \
    X(PAGE_NO_TITLE, "no heading")     \
    X(PAGE_NO_MEMORY, "out of memory") \
    X(PAGE_MARKED, "marked to crash")

/* clang-format off */
enum page_failure {
    PAGE_OK,
#define PAGE_FAILURE_(name, text) name,
    PAGE_FAILURES(PAGE_FAILURE_)
#undef PAGE_FAILURE_
    PAGE_FAILURE_COUNT
};
/* clang-format on */

/* The longest URL, with its final zero. */
#define URL_BYTES_MAX 2048

struct request {
    char url[URL_BYTES_MAX];
    size_t bytes_max; /* of the page, unpacked */
    long timeout_ms;  /* from the first name look-up to the last byte */
};

struct page {
    const char *bytes;
    size_t size;
    char charset[40]; /* as the server said, or "" */
};

struct title {
    const char *text;
    pid_t pid; /* which process and thread found it */
    pid_t tid;
};

/* What the command line asks for. */
struct settings {
    shunt_options pool;
    struct request request; /* all but the URL */
    char *const *urls;
    size_t count;
};

/* How titles exits. */
enum {
    STATUS_ALL,
    STATUS_SOME_FAILED,
    STATUS_CANNOT_RUN
};

/* Options and URLs into *s. -1 to go on, else the status to exit with. */
int parse_arguments(int argc, char **argv, struct settings *s);

/* Print a line for every page, a report for each that cost a worker or its
 * time, and a summary; the number of failed pages. */
size_t print_report(const struct settings *s, const shunt_results *results,
                    int workers, double seconds);

/* Once in main, before the first pool: libcurl and libxml2 have global state
 * that has to be set up while there is one thread. Non-zero on failure. */
int fetch_init(void);
void fetch_fini(void);
void parse_init(void);
void parse_fini(void);

int fetch_page(const struct request *in, struct page *out);
int find_title(const struct page *in, struct title *out);

void purpose_init(void); /* before there are workers */

/* For the demonstration only: does what the page is marked to have done to its
 * parser. 0 if it is not marked; a failure on a pool of threads. */
int crash_if_marked(const struct page *page);

SHUNT_TASK_DECLARE(fetch_page, struct request, struct page)
SHUNT_TASK_DECLARE(find_title, struct page, struct title)

#endif /* TITLES_H */
