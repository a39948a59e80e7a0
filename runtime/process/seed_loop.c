/* SPDX-License-Identifier: MIT */
/* process/seed_loop.c - the seed: it forks zygotes. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <unistd.h>

#include "base/fault.h"
#include "process/birth.h"
#include "process/loops.h"
#include "shunt/errors.h"

struct seed {
    int socket, host;
};

/* Who asks waits for this, or for our end. */
static void answer(const struct seed *s, int code, int fd)
{
    struct sh_letter letter = { .kind = SH_LETTER_ANSWER, .code = code };

    if (sh_letter_send(s->socket, &letter, fd) == 0)
        return;
    letter.code = SHUNT_ENOMEM;
    if (code != 0 || sh_letter_send(s->socket, &letter, -1) != 0)
        _exit(1);
}

/* A zygote with one end of a pair; the other end goes to the host, so that
 * nobody else has either. If that does not get there, the zygote sees the end
 * of its socket. */
static void sow(const struct seed *s, const struct sh_letter *order, int arena)
{
    int ends[2];
    pid_t pid;

    if (!sh_letter_pair(ends)) {
        answer(s, SHUNT_ENOMEM, -1);
        return;
    }
    pid = sh_fault() ? -1 : fork();
    if (pid == 0) {
        close(ends[0]);
        close(s->socket);
        sh_zygote_live(ends[1], s->host, arena, order);
    }
    close(ends[1]);
    if (pid < 0)
        answer(s, SHUNT_ENOMEM, -1);
    else
        answer(s, 0, ends[0]);
    close(ends[0]);
}

static void obey(const struct seed *s, const struct sh_letter *order, int fd)
{
    if (order->kind == SH_LETTER_END)
        _exit(0);
    if (order->kind == SH_LETTER_GREET)
        answer(s, 0, -1);
    else if (order->kind == SH_LETTER_SOW)
        sow(s, order, fd);
    else if (order->kind == SH_LETTER_FAULT && order->nth > 0)
        sh_fault_set(order->nth);
    else
        sh_fault_clear();
}

_Noreturn void sh_seed_live(int socket, int host)
{
    const struct seed s = { socket, host };

    if (!sh_birth_of_seed(socket, host))
        _exit(1);
    while (sh_letter_await(socket, host)) {
        struct sh_letter order;
        int fd, rc = sh_letter_take(socket, &order, &fd);

        if (rc == 0)
            obey(&s, &order, fd);
        else if (rc == -EMFILE)
            answer(&s, SHUNT_ENOMEM, -1);
        else
            break;
        sh_letter_close(fd);
    }
    _exit(0);
}
