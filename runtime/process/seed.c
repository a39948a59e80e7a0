/* SPDX-License-Identifier: MIT */
/* process/seed.c - the host's side of the seed. */
#define _GNU_SOURCE 1
#include "process/seed.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/fault.h"
#include "base/mark.h"
#include "memory/arena.h"
#include "memory/known.h"
#include "process/loops.h"
#include "process/sprout.h"
#include "shunt/errors.h"

/* The seed of this process, or of one that it was forked from. Under lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct seed {
    pid_t host; /* whose it is; 0: none */
    pid_t pid;  /* 0: it is no child of that one */
    int socket, pidfd;
    struct sh_mark mark; /* of the socket */
} seed;

/* What it has of this process. Under lock. */
static struct sh_known known;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool prepared;

/* In a child there is nobody to unlock it: one of the host, or a zygote, since
 * the seed was made under it. */
static void renew_lock(void)
{
    (void)pthread_mutex_init(&lock, NULL);
}

static void prepare(void)
{
    prepared = pthread_atfork(NULL, NULL, renew_lock) == 0;
}

/* -- under lock -- */

/* Whether the host has left our descriptors alone. If it has closed one, it has
 * closed both, and what has their numbers is none of ours. */
static bool has_descriptors(void)
{
    return sh_mark_is_of(seed.mark, seed.socket);
}

/* Also of a parent's seed, which stays as it is. */
static void forget(void)
{
    if (seed.host != 0 && has_descriptors()) {
        close(seed.socket);
        close(seed.pidfd);
    }
    seed = (struct seed){ .host = 0 };
}

/* It ends, since nobody has the other end of its socket. */
static void lose(void)
{
    if (seed.pid != 0)
        sh_sprout_end(seed.pid);
    forget();
}

/* The seed has ended, or is about to. */
static void bury(void)
{
    sh_pidfd_bury(seed.pidfd);
    forget();
}

static bool is_up(void)
{
    if (seed.host != getpid())
        return false;
    if (!has_descriptors()) {
        lose();
        return false;
    }
    if (!sh_pidfd_ended(seed.pidfd))
        return true;
    bury();
    return false;
}

/* Question and answer, of a seed that was up a moment ago. */
static int ask(const struct sh_letter *letter, int fd, int *fd_out,
               const char **why_out)
{
    struct sh_letter answer = { .code = SHUNT_EBROKEN };
    int rc = sh_letter_send(seed.socket, letter, fd);

    *why_out = "the system refused to send a message";
    if (rc != 0 && rc != -EPIPE)
        return SHUNT_ENOMEM;
    *why_out = "the process that forks others has died";
    if (rc != 0 || !sh_letter_await(seed.socket, seed.pidfd))
        return SHUNT_EBROKEN;
    rc = sh_letter_take(seed.socket, &answer, fd_out);
    if (rc == -EPIPE)
        return SHUNT_EBROKEN;
    *why_out = "no process could be forked";
    return rc != 0 ? SHUNT_ENOMEM : answer.code;
}

/* Whether the seed is well; if not, there is none afterwards. It does not speak
 * unasked, as the midwife may not have done so yet. */
static int greet(const char **why_out)
{
    const struct sh_letter letter = { .kind = SH_LETTER_GREET };
    int fd = -1, rc = ask(&letter, -1, &fd, why_out);

    SH_ASSERT(fd < 0);
    if (rc == 0)
        return 0;
    *why_out = "the process that forks others could not be set up";
    (void)shutdown(seed.socket, SHUT_RDWR);
    sh_pidfd_kill(seed.pidfd, SIGKILL);
    bury();
    return SHUNT_ENOMEM;
}

/* With signals blocked, so that no handler runs in the child. */
static bool sprout(const struct sh_sprout *s, int from, bool beside)
{
    sigset_t all, before;
    pid_t pid = 0;
    int pidfd = -1;
    bool made;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    made = beside ? sh_sprout_beside(s, from, &pidfd)
                  : sh_sprout_alone(s, &pidfd, &pid);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (made)
        seed = (struct seed){ .host = getpid(),
                              .pid = pid,
                              .socket = from,
                              .pidfd = pidfd,
                              .mark = sh_mark_of(from) };
    return made;
}

static int start(bool beside, const char **why_out)
{
    int ends[2], host = sh_pidfd_of(getpid());
    bool made = false;

    if (host < 0) {
        *why_out = "no pidfd could be had (Linux 5.3)";
        return errno == ENOSYS ? SHUNT_ENOTSUP : SHUNT_ENOMEM;
    }
    *why_out = "no process could be forked";
    if (sh_letter_pair(ends)) {
        const struct sh_sprout s = { ends[1], host, sh_seed_live };

        sh_known_note(&known);
        made = sprout(&s, ends[0], beside);
        close(ends[1]);
        if (!made) {
            /* A seed that nobody has may be there: it ends by that. */
            (void)shutdown(ends[0], SHUT_RDWR);
            close(ends[0]);
        }
    }
    close(host);
    return made ? greet(why_out) : SHUNT_ENOMEM;
}

static int start_if_none(bool although_threads, const char **why_out)
{
    enum sh_company company;

    if (is_up())
        return 0;
    forget();
    company = sh_sprout_company();
    if (company == SH_COMPANY_REFUSED && !although_threads) {
        *why_out = "no descriptor was left";
        return SHUNT_ENOMEM;
    }
    if (company != SH_COMPANY_NONE && !although_threads) {
        *why_out = company == SH_COMPANY_THREADS
                       ? "other threads run already: start process pools, or "
                         "call shunt_init, before them"
                       : "whether other threads run cannot be read in /proc";
        return SHUNT_ENOTSUP;
    }
    if (!sh_range_reserve()) {
        *why_out = "no range of addresses could be reserved";
        return SHUNT_ENOMEM;
    }
    return start(company != SH_COMPANY_NONE, why_out);
}

/* -- what others call -- */

int sh_seed_start(bool although_threads, const char **why_out)
{
    const char *why = NULL;
    int rc;

    pthread_once(&once, prepare);
    if (!prepared) {
        *why_out = "out of memory";
        return SHUNT_ENOMEM;
    }
    pthread_mutex_lock(&lock);
    rc = start_if_none(although_threads, &why);
    pthread_mutex_unlock(&lock);
    if (rc != 0)
        *why_out = why;
    return rc;
}

void sh_seed_known(struct sh_known *known_out)
{
    pthread_mutex_lock(&lock);
    *known_out = known;
    pthread_mutex_unlock(&lock);
}

bool sh_seed_is_up(void)
{
    bool up;

    pthread_mutex_lock(&lock);
    up = is_up();
    pthread_mutex_unlock(&lock);
    return up;
}

void sh_seed_stop(void)
{
    const struct sh_letter end = { .kind = SH_LETTER_END };

    pthread_mutex_lock(&lock);
    if (is_up()) {
        if (sh_letter_send(seed.socket, &end, -1) != 0)
            sh_pidfd_kill(seed.pidfd, SIGKILL);
        bury();
    }
    pthread_mutex_unlock(&lock);
}

int sh_seed_ask(const struct sh_letter *letter, int fd, int *fd_out,
                const char **why_out)
{
    int rc = SHUNT_EBROKEN;

    *why_out = "there is no process that forks others, or no more";
    pthread_mutex_lock(&lock);
    if (is_up())
        rc = ask(letter, fd, fd_out, why_out);
    pthread_mutex_unlock(&lock);
    return rc;
}

void sh_seed_fault(int64_t nth)
{
    const struct sh_letter fault = { .kind = SH_LETTER_FAULT, .nth = nth };

    pthread_mutex_lock(&lock);
    if (is_up())
        (void)sh_letter_send(seed.socket, &fault, -1);
    pthread_mutex_unlock(&lock);
}
