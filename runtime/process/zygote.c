/* SPDX-License-Identifier: MIT */
/* process/zygote.c - the host's side of a zygote. */
#define _GNU_SOURCE 1
#include "process/zygote.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "process/letter.h"
#include "process/seed.h"
#include "shunt/errors.h"

#define CLOSED "the program has closed descriptors of the pool's"

static bool is_ours(const struct sh_zygote *z)
{
    return z->host == getpid();
}

static int fail(struct sh_zygote *z, int code, const char *why)
{
    z->why = why;
    return code;
}

/* What we were told and what it knows may differ: it ends, and its workers. */
static int give_up(struct sh_zygote *z, const char *why)
{
    (void)shutdown(z->socket, SHUT_RDWR);
    return fail(z, SHUNT_EBROKEN, why);
}

static void copy_name(char to[SH_LETTER_NAME], const char *name)
{
    size_t length = name == NULL ? 0 : strnlen(name, SH_LETTER_NAME - 1);

    if (length > 0)
        memcpy(to, name, length);
    to[length] = '\0';
}

/* The zygote's first letter: who it is. */
static int greet(struct sh_zygote *z)
{
    struct sh_letter letter;
    int pidfd, rc = sh_letter_take(z->socket, &letter, &pidfd);

    if (rc == 0 && letter.code == 0 && pidfd >= 0) {
        z->pid = letter.pid;
        z->pidfd = pidfd;
        return 0;
    }
    sh_letter_close(pidfd);
    if (rc == -EPIPE)
        return fail(z, SHUNT_EAGAIN, "the pool's first process died at once");
    return fail(z, SHUNT_ENOMEM,
                "the pool's first process could not be set up");
}

int sh_zygote_start(struct sh_zygote *z, const struct sh_arena *arena,
                    sh_worker_main *enter, void *root, const char *name)
{
    struct sh_letter order = { .kind = SH_LETTER_SOW,
                               .at = (void *)(uintptr_t)arena,
                               .bytes = arena->bytes,
                               .enter = enter,
                               .root = root };
    int rc;

    *z = (struct sh_zygote){ .socket = -1, .pidfd = -1 };
    copy_name(order.name, name);
    if (!sh_arena_has_file(arena))
        return fail(z, SHUNT_EBROKEN, CLOSED);
    rc = sh_seed_ask(&order, arena->fd, &z->socket, &z->why);
    if (rc != 0)
        return rc;
    z->host = getpid();
    z->mark = sh_mark_of(z->socket);
    rc = greet(z);
    if (rc == 0 && pthread_mutex_init(&z->lock, NULL) != 0)
        rc = fail(z, SHUNT_ENOMEM, "out of memory");
    if (rc != 0) {
        /* It ends by that, if it has not. */
        close(z->socket);
        sh_letter_close(z->pidfd);
        z->socket = z->pidfd = -1; /* or others would be taken for them */
        z->host = 0;
        return rc;
    }
    z->why = NULL;
    return 0;
}

/* Under lock: question and answer. 0, SHUNT_EAGAIN if the question could not be
 * sent, or SHUNT_EBROKEN; the answer's descriptor may be missing. */
static int ask(struct sh_zygote *z, const struct sh_letter *question,
               struct sh_letter *answer_out, int *fd_out)
{
    int rc;

    *fd_out = -1;
    if (sh_zygote_is_cut_off(z))
        return fail(z, SHUNT_EBROKEN, CLOSED);
    rc = sh_letter_send(z->socket, question, -1);
    if (rc != 0 && rc != -EPIPE)
        return fail(z, SHUNT_EAGAIN, "the system refused to send a message");
    if (rc == 0 && sh_letter_await(z->socket, z->pidfd))
        rc = sh_letter_take(z->socket, answer_out, fd_out);
    else
        rc = -EPIPE;
    if (rc != 0 && rc != -EMFILE)
        return give_up(z, "the process that forks workers has died");
    return 0;
}

/* A worker whose pidfd did not arrive is none. */
static int undo(struct sh_zygote *z, pid_t pid)
{
    const struct sh_letter question = { .kind = SH_LETTER_UNDO, .pid = pid };
    struct sh_letter answer;
    int fd, rc = ask(z, &question, &answer, &fd);

    if (rc == SHUNT_EAGAIN)
        return give_up(z, "a worker that could not be used could not be ended");
    return rc != 0
               ? rc
               : fail(z, SHUNT_EAGAIN, "no descriptor was left for a worker");
}

static int fork_one(struct sh_zygote *z, unsigned worker, pid_t *pid_out,
                    int *pidfd_out)
{
    const struct sh_letter question = { .kind = SH_LETTER_FORK,
                                        .worker = worker };
    struct sh_letter answer;
    int fd, rc = ask(z, &question, &answer, &fd);

    if (rc != 0)
        return rc;
    if (answer.code != 0)
        return fail(z, answer.code, "no worker could be forked");
    if (fd < 0)
        return undo(z, answer.pid);
    *pid_out = answer.pid;
    *pidfd_out = fd;
    return 0;
}

int sh_zygote_fork(struct sh_zygote *z, unsigned worker, pid_t *pid_out,
                   int *pidfd_out)
{
    int rc;

    if (!is_ours(z))
        return SHUNT_EFORKED;
    pthread_mutex_lock(&z->lock);
    rc = fork_one(z, worker, pid_out, pidfd_out);
    pthread_mutex_unlock(&z->lock);
    return rc;
}

/* A question about one of its workers: what ask says, or what it answers. */
static int ask_of(struct sh_zygote *z, enum sh_letter_kind kind, pid_t pid,
                  struct sh_letter *answer_out)
{
    const struct sh_letter question = { .kind = kind, .pid = pid };
    int fd, rc;

    if (!is_ours(z))
        return SHUNT_EFORKED;
    pthread_mutex_lock(&z->lock);
    rc = ask(z, &question, answer_out, &fd);
    SH_ASSERT(fd < 0);
    pthread_mutex_unlock(&z->lock);
    return rc != 0 ? rc : answer_out->code;
}

int sh_zygote_reap(struct sh_zygote *z, pid_t pid, struct sh_death *death_out)
{
    struct sh_letter answer;
    int rc = ask_of(z, SH_LETTER_REAP, pid, &answer);

    if (rc == 0)
        *death_out = answer.death;
    return rc;
}

int sh_zygote_stopped(struct sh_zygote *z, pid_t pid)
{
    struct sh_letter answer;

    return ask_of(z, SH_LETTER_STILL, pid, &answer);
}

void sh_zygote_stop(struct sh_zygote *z)
{
    const struct sh_letter end = { .kind = SH_LETTER_END };

    bool has_descriptors = !sh_zygote_is_cut_off(z);

    if (is_ours(z) && has_descriptors) {
        /* If it cannot be told, it sees the end of the socket. */
        if (sh_letter_send(z->socket, &end, -1) != 0)
            (void)shutdown(z->socket, SHUT_RDWR);
        sh_pidfd_bury(z->pidfd);
    }
    if (is_ours(z))
        pthread_mutex_destroy(&z->lock);
    if (has_descriptors) {
        close(z->socket);
        close(z->pidfd);
    }
    z->socket = z->pidfd = -1;
    z->host = 0;
}

bool sh_zygote_is_cut_off(const struct sh_zygote *z)
{
    return z->socket >= 0 && !sh_mark_is_of(z->mark, z->socket);
}

int sh_zygote_fault(struct sh_zygote *z, int64_t nth)
{
    const struct sh_letter fault = { .kind = SH_LETTER_FAULT, .nth = nth };
    int rc;

    if (!is_ours(z))
        return SHUNT_EFORKED;
    pthread_mutex_lock(&z->lock);
    rc = sh_letter_send(z->socket, &fault, -1);
    pthread_mutex_unlock(&z->lock);
    return rc == 0 ? 0 : SHUNT_EBROKEN;
}
