/* SPDX-License-Identifier: MIT */
/* troupe.c - a zygote for a test, and workers. */
#include "troupe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "kin.h"
#include "process/letter.h"
#include "process/seed.h"
#include "sync/futex.h"

#define MIB ((size_t)1 << 20)

static int enter(void *root, unsigned worker)
{
    struct scene *s = root;

    return s->act(s, worker);
}

int troupe_seed(void)
{
    const char *why;

    return sh_seed_start(KIN_TSAN, &why);
}

int troupe_zygote(struct troupe *t, struct sh_zygote *z)
{
    return sh_zygote_start(z, t->arena, enter, t->scene, "troupe");
}

int troupe_open(struct troupe *t, int (*act)(struct scene *s, unsigned worker))
{
    t->descriptors = kin_descriptors();
    t->children = kin_children();
    CHECK(troupe_seed() == 0);
    t->arena = sh_arena_new(MIB, 64 * MIB);
    CHECK(t->arena != NULL);
    t->scene = sh_arena_map(t->arena, sizeof *t->scene, SH_PAGES_RW);
    CHECK(t->scene != NULL);
    t->scene->act = act;
    CHECK(troupe_zygote(t, &t->zygote) == 0);
    return 0;
}

int troupe_close(struct troupe *t)
{
    int zygote = kin_pidfd(t->zygote.pid);

    sh_zygote_stop(&t->zygote);
    CHECK(zygote < 0 || sh_pidfd_ended(zygote));
    sh_letter_close(zygote);
    sh_arena_free(t->arena);
    sh_seed_stop();
    CHECK(kin_descriptors() == t->descriptors);
    CHECK(kin_children() == t->children);
    return 0;
}

void troupe_begin(struct troupe *t,
                  int (*act)(struct scene *s, unsigned worker))
{
    assert_int_equal(troupe_open(t, act), 0);
}

void troupe_end(struct troupe *t)
{
    assert_int_equal(troupe_close(t), 0);
}

int troupe_play(struct troupe *t, unsigned worker, struct sh_death *death)
{
    pid_t pid = 0;
    int pidfd = -1;

    CHECK(sh_zygote_fork(&t->zygote, worker, &pid, &pidfd) == 0);
    CHECK(pid > 0 && kin_ends(pidfd));
    return sh_zygote_reap(&t->zygote, pid, death);
}

void scene_reach(struct scene *s, uint32_t step)
{
    sh_store_sc(&s->step, step);
    sh_futex_wake(&s->step, INT32_MAX, true);
}

void scene_await(struct scene *s, uint32_t step)
{
    uint32_t seen;

    while ((seen = sh_load_sc(&s->step)) < step)
        sh_futex_wait(&s->step, seen, INT64_MAX, true);
}

int scene_stay(struct scene *s, unsigned worker)
{
    (void)worker;
    scene_reach(s, 1);
    kin_stay();
}

int scene_return(struct scene *s, unsigned worker)
{
    s->number = (int)worker;
    s->pid = getpid();
    return 40 + (int)worker;
}
