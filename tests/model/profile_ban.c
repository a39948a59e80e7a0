/* SPDX-License-Identifier: MIT */
/*
 * profile_ban.c - a task of a kind that runs in the host has crashed, and
 * somebody looks at its future.
 *
 * Edges: profile, settled (process/mend.c, task/profile.c, future/settle.c).
 * Whoever has seen the future settled sees the ban: he submits none of that
 * kind to the host any more, and begins none there.
 */
#include "settle_client.h"
#include "task/profile.h"

#undef SH_PROFILES
#define SH_PROFILES 4u
#include "../../runtime/task/profile.c"

#include "../../runtime/process/mend.c"

static struct sh_profile profiles[SH_PROFILES];
static const shunt_task crashing;

/* As process/recover.c does. */
static void *recovery(void *unused)
{
    (void)unused;
    sh_mend_ban(&pool, &records[1], NULL, true);
    sh_settle_running(&pool, &records[1], sh_outcome_from(SHUNT_ECRASHED), 0);
    return NULL;
}

static void *user(void *unused)
{
    struct sh_ref ref;

    (void)unused;
    find(handle_of(1), &ref);
    if (sh_ref_status_now(&ref) == SHUNT_PENDING)
        return NULL;
    assert(sh_profile_is_banned(&pool, &crashing));
    return NULL;
}

int main(void)
{
    pthread_t one, two;

    make_pool_with_queues();
    pool.mixed = true;
    pool.profiles = profiles;
    records[1].task = &crashing;
    make_record(1, SH_RUNNING | (uint64_t)SH_OWNER_WORKER(0) << 12,
                SH_KIND_TASK);
    one = thread_start(recovery, NULL);
    two = thread_start(user, NULL);
    thread_join(one);
    thread_join(two);
    return 0;
}
