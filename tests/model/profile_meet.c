/* SPDX-License-Identifier: MIT */
/*
 * profile_meet.c - two threads meet kinds of tasks while a dump looks at all.
 *
 * Edge: profile (task/profile.c, observe/kinds.c). Both get the same profile of
 * one kind, which no other kind has, and whoever comes upon a kind sees what
 * describes it. The kinds get into each other's way.
 */
#include "record_client.h"

#include "place/steer.h"

#undef SH_PROFILES
#define SH_PROFILES 4u
#include "../../runtime/task/profile.c"

/* The checker cannot return a structure of two bytes. */
#define sh_steer_place(pool, profile, task) \
    {                                       \
        look_at(task), 0                    \
    }
static uint8_t look_at(const shunt_task *task);

#include "../../runtime/observe/kinds.c"

static struct sh_profile profiles[SH_PROFILES];
static shunt_task kinds[16];
static const shunt_task *const both = &kinds[0];
static shunt_task *mine; /* one that begins at the same entry */
static struct sh_profile *found[2], *mine_found;

static uint8_t look_at(const shunt_task *task)
{
    assert(task->in_size_ == (task == mine ? 8 : 0));
    return SH_SITE_PROCESS;
}

static void *meet_two(void *unused)
{
    (void)unused;
    mine->in_size_ = 8; /* it was loaded just now: plain */
    mine_found = sh_profile_of(&pool, mine);
    found[0] = sh_profile_of(&pool, both);
    return NULL;
}

static void *meet_one(void *unused)
{
    (void)unused;
    found[1] = sh_profile_of(&pool, both);
    return NULL;
}

/* From place/steer.c. */
void sh_steer_sum(struct sh_pool *p, unsigned profile,
                  struct sh_window sums_out[SH_SITES])
{
    (void)p, (void)profile;
    for (int i = 0; i < SH_SITES; i++)
        sums_out[i].runs = sums_out[i].samples = sums_out[i].failures = 0;
}

int main(void)
{
    pthread_t one, two;

    make_pool();
    pool.profiles = profiles;
    mine = &kinds[1];
    while (hash(mine) % SH_PROFILES != hash(both) % SH_PROFILES)
        mine++;
    assert(mine < kinds + 16);
    one = thread_start(meet_two, NULL);
    two = thread_start(meet_one, NULL);
    sh_kinds_put(NULL, &pool);
    thread_join(one);
    thread_join(two);
    assert(found[0] != NULL && found[0] == found[1]);
    assert(mine_found != NULL && mine_found != found[0]);
    /* relaxed: after the joins */
    assert(sh_load_rlx(&mine_found->task) == mine);
    return 0;
}
