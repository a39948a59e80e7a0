/* SPDX-License-Identifier: MIT */
/*
 * titles_options.c - the command line of the demonstration.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "titles.h"

static const char usage[] =
    "usage: titles [options] URL...\n"
    "Print the first heading of each page, and who found it.\n"
    "\n"
    "  --mode MODE       threads, processes or auto; else $SHUNT_MODE\n"
    "  --workers N       how many pages at a time; else $SHUNT_WORKERS,\n"
    "                    else one for each CPU\n"
    "  --timeout SECONDS to fetch one page, and to parse it; default 10\n"
    "  --max-size BYTES  of one page; default 4194304\n"
    "  --help            print this\n"
    "\n"
    "Exit status: 0 if every page had a title, 1 if some had not, 2 if titles\n"
    "could not run.\n";

/* A whole number from 1 to max; 0 if text is none. */
static long number(const char *text, long max)
{
    char *end;
    long value;

    errno = 0;
    value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 1 || value > max)
        return 0;
    return value;
}

/* 0 if mode is none of the words. */
static int mode_of(const char *word)
{
    static const char *const words[] = { [SHUNT_THREADS] = "threads",
                                         [SHUNT_PROCESSES] = "processes",
                                         [SHUNT_AUTO] = "auto" };

    for (int mode = SHUNT_THREADS; mode <= SHUNT_AUTO; mode++)
        if (strcmp(word, words[mode]) == 0)
            return mode;
    return 0;
}

static int bad_usage(const char *what, const char *value)
{
    fprintf(stderr, "titles: %s%s\n%s", what, value, usage);
    return STATUS_CANNOT_RUN;
}

int parse_arguments(int argc, char **argv, struct settings *s)
{
    static const struct option options[] = {
        { "mode", required_argument, NULL, 'm' },
        { "workers", required_argument, NULL, 'w' },
        { "timeout", required_argument, NULL, 't' },
        { "max-size", required_argument, NULL, 's' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    int letter;

    *s = (struct settings){ .request = { .bytes_max = 4194304,
                                         .timeout_ms = 10000 } };
    while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (letter) {
        case 'm':
            if ((s->pool.mode = mode_of(optarg)) == 0)
                return bad_usage("no such mode: ", optarg);
            break;
        case 'w':
            s->pool.workers = (int)number(optarg, SHUNT_WORKERS_MAX);
            if (s->pool.workers == 0)
                return bad_usage("not a number of workers: ", optarg);
            break;
        case 't':
            s->request.timeout_ms = 1000 * number(optarg, 3600);
            if (s->request.timeout_ms == 0)
                return bad_usage("not a number of seconds: ", optarg);
            break;
        case 's':
            s->request.bytes_max = (size_t)number(optarg, INT_MAX);
            if (s->request.bytes_max == 0)
                return bad_usage("not a number of bytes: ", optarg);
            break;
        case 'h':
            fputs(usage, stdout);
            return STATUS_ALL;
        default: /* getopt_long has said what is wrong */
            fputs(usage, stderr);
            return STATUS_CANNOT_RUN;
        }
    }
    s->urls = argv + optind;
    s->count = (size_t)(argc - optind);
    if (s->count == 0)
        return bad_usage("no URL is given", "");
    for (size_t i = 0; i < s->count; i++)
        if (strlen(s->urls[i]) >= URL_BYTES_MAX)
            return bad_usage("this URL is too long: ", s->urls[i]);
    return -1;
}
