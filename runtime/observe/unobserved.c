/* SPDX-License-Identifier: MIT */
/*
 * observe/unobserved.c - failures that nobody has looked at, on standard
 * error: what a pool does unless its options name another hook.
 *
 * A program that fails at a thousand things at once is to say so, and not to
 * be busy with that: a pool writes so many lines a second, and then how many
 * it has left out.
 */
#include <unistd.h>

#include "base/clock.h"
#include "observe/text.h"
#include "task/unobserved.h"

#define LINES_MAX 10u /* of a pool, within */
#define SPAN_MS 1000u
#define BYTES_MAX 1024u /* of a line */

/* When the first line of the span was written, and how many were: time in
 * ms 40 | lines 24. 0 stands for none. */
#define TOLD_SHIFT 24

/* Whether there is room for one more line. *untold_out: how many there was
 * none for since the last one. */
static bool may_tell(struct sh_pool *pool, uint32_t *untold_out)
{
    uint64_t now_ms = (uint64_t)sh_clock_ns() / 1000000;
    uint64_t old = sh_load_rlx(&pool->told); /* relaxed: the CAS validates */
    uint32_t untold;
    uint64_t next;

    do {
        bool begins = old == 0 || now_ms - (old >> TOLD_SHIFT) >= SPAN_MS;

        if (!begins && (old & ((1u << TOLD_SHIFT) - 1)) >= LINES_MAX) {
            sh_add_rlx(&pool->untold, 1); /* relaxed: a count */
            return false;
        }
        next = begins ? now_ms << TOLD_SHIFT | 1 : old + 1;
    } while (!sh_cas_rlx(&pool->told, &old, next)); /* relaxed: no data */
    untold = sh_load_rlx(&pool->untold); /* relaxed: the CAS validates it */
    while (!sh_cas_rlx(&pool->untold, &untold, 0)) /* relaxed: a count */
        continue;
    *untold_out = untold;
    return true;
}

static void put_untold(struct sh_text *t, uint32_t untold)
{
    if (untold > 0)
        sh_text_put(t,
                    "shunt: %u more failures that nobody looked at are not "
                    "shown\n",
                    untold);
}

/* In one call, so that lines of several threads do not mix. What standard
 * error does not take is lost. */
static void say(struct sh_text *t)
{
    int unused = sh_text_end(t);

    (void)unused;
}

void sh_unobserved_print(const shunt_error *error, void *arg)
{
    struct sh_pool *pool = arg;
    char sentence[BYTES_MAX], room[2 * BYTES_MAX];
    struct sh_text t = sh_text_to_file(STDERR_FILENO, room, sizeof room);
    uint32_t untold;
    int length;

    if (!may_tell(pool, &untold))
        return;
    put_untold(&t, untold);
    length = shunt_error_format(error, sentence, sizeof sentence);
    sh_text_put(&t, "shunt: nobody looked at this failure: %s%s\n", sentence,
                length >= (int)sizeof sentence ? "..." : "");
    say(&t);
}

void sh_unobserved_end(struct sh_pool *pool)
{
    char room[BYTES_MAX];
    struct sh_text t = sh_text_to_file(STDERR_FILENO, room, sizeof room);

    put_untold(&t, sh_load_rlx(&pool->untold)); /* relaxed: nobody is left */
    say(&t);
}

void shunt_unobserved_ignore(const shunt_error *error, void *arg)
{
    (void)error;
    (void)arg;
}
