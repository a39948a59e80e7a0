/* SPDX-License-Identifier: MIT */
/*
 * care_needed.c - a process that is used up goes to rest while what is parked in
 * it is resumed.
 *
 * Edge: care (worker/care.c, future/deliver.c). Another is at work. The first
 * does not stay down; nor if, with -DLEFT, the other's post is closed, since
 * another process could not be started there.
 */
#include "care_client.h"

static void *other(void *unused)
{
    (void)unused;
#ifdef LEFT
    /* As process/warden.c does. */
    sh_post_close(&two_posts[1]);
    sh_standins_rouse(&pool);
#else
    sh_resume(&pool, &records[1], SH_OWNER_WORKER(0));
#endif
    return NULL;
}

int main(void)
{
    pthread_t one, two;

    make_two();
    one = thread_start(used_up, (void *)0);
    two = thread_start(other, NULL);
    thread_join(one);
    thread_join(two);
    return 0;
}
