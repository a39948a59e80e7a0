/* SPDX-License-Identifier: MIT */
/*
 * step/image.c - the same deaths, without killing anybody.
 *
 * At an instruction all that is stepped has stopped, and the threads of the
 * host sleep. A fork of the host then maps the pool's memory once more, as a
 * private copy that shows what is there now: what a death at this instruction
 * would leave. There it recovers, with the function that the warden calls, and
 * threads take the place of the workers; the scene is brought to its end and
 * looked at as after a real death, but for pages and descriptors. The victim
 * has not noticed, and does its next instruction.
 *
 * So each instruction of a scene costs a fork and no steps up to it. All that
 * is stepped dies in the image, so there must be no other worker.
 *
 * The kernel takes no pages out of a private copy (MADV_REMOVE). Recovery
 * relies on finding zeros there, so that is done in another way.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "future/timer.h"
#include "memory/arena.h"
#include "process/doomed.h"
#include "process/recover.h"
#include "process/zygote.h"
#include "stepper.h"

enum {
    IMAGE_SECONDS_MAX = 100
};

bool is_image;
static pid_t host; /* of this image */

/* These two are called in place of the C library's. What the host has got
 * ready for itself asks whether it is still the host. */
pid_t getpid(void)
{
    return is_image ? host : (pid_t)syscall(SYS_getpid);
}

int madvise(void *pages, size_t bytes, int advice)
{
    if (!is_image || advice != MADV_REMOVE)
        return (int)syscall(SYS_madvise, pages, bytes, advice);
    return mmap(pages, bytes, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
                0) == MAP_FAILED
               ? -1
               : 0;
}

static void copy_board(void)
{
    struct board now = *board;

    if (mmap(board, sizeof now, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
        wrong("no board for an image");
    *board = now;
}

static void copy_arena(struct sh_pool *pool)
{
    struct sh_arena *a = pool->arena;

    if (mmap(a, a->bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, a->fd, 0) == MAP_FAILED)
        wrong("no image of the arena");
}

static void *be_worker(void *arg)
{
    struct sh_worker *w = arg;

    (void)sh_worker_serve(w);
    return NULL;
}

static void replace(struct sh_pool *pool, unsigned i)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, be_worker, &pool->team->workers[i]) != 0)
        wrong("no thread for an image");
}

/* The timekeeper of the host kept those that were set in a wheel of its own,
 * which the image's has not. */
static void tell_timer(struct sh_pool *pool, uint32_t index)
{
    struct sh_timer *t = &pool->timers[index];
    uint64_t w = sh_load_sc(&t->state); /* seq_cst: timer */

    if ((w & SH_TIMER_SET) == 0 || t->slot == SH_NOWHERE)
        return;
    t->slot = SH_NOWHERE;
    if (!sh_timer_lose(pool, (uint64_t)index << 32 | (uint32_t)(w >> 32)))
        wrong("more timers than an image can be told of");
}

static void tell_timers(struct sh_pool *pool)
{
    for (uint32_t i = 1; i < sh_table_used(&pool->records); i++) {
        tell_timer(pool, sh_timer_of_deadline(i));
        tell_timer(pool, sh_timer_of_wait(pool, i));
    }
    for (uint32_t i = 1; i < sh_table_used(&pool->cells); i++)
        tell_timer(pool, sh_timer_of_cell(pool, i));
}

/* Time and all the dead. */
static void recover_all(struct sh_pool *pool, unsigned victims)
{
    const struct sh_death death = { .signal = SIGKILL };

    atomic_store(&pool->time.keeper, SH_KEEPER_NONE);
    tell_timers(pool);
    if (pool->time.start(pool) != 0)
        wrong("no timekeeper for an image");
    /* One after the other, as the warden does. */
    for (unsigned i = 0; i < victims; i++) {
        pthread_mutex_lock(&pool->team->repair);
        (void)sh_recover(pool, i, &death);
        pthread_mutex_unlock(&pool->team->repair);
        replace(pool, i);
    }
}

void image_tend(struct sh_pool *pool)
{
    pthread_mutex_lock(&pool->team->repair);
    (void)sh_doomed_tend(pool);
    pthread_mutex_unlock(&pool->team->repair);
}

/* No thread of the host is at something. */
static bool host_rests(struct sh_pool *pool)
{
    return atomic_load(&pool->time.wake_ns) != INT64_MIN &&
           atomic_load(&pool->time.happens) == 0;
}

bool image_take(struct play *p, const struct scene *s, struct course *c)
{
    int status = 0;
    pid_t pid;

    for (int looks = 0; !host_rests(p->pool) && looks < 10000; looks++)
        usleep(10);
    report->text[0] = '\0';
    host = getpid();
    pid = _Fork();
    if (pid == 0) {
        is_image = true;
        alarm(IMAGE_SECONDS_MAX);
        copy_board();
        copy_arena(p->pool);
        play_dies(p, c, c->how.victims > 1 ? 3 : 1);
        recover_all(p->pool, c->how.victims);
        play_ends(p, s, c);
        _exit(0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        wrong("an image cannot be forked, or waited for");
    atomic_fetch_add(&report->images, 1);
    if (status != 0 && report->text[0] == '\0')
        snprintf(report->text, TEXT_MAX, "the host's image ended: status %x",
                 (unsigned)status);
    return status == 0;
}
