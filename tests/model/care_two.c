/* SPDX-License-Identifier: MIT */
/*
 * care_two.c - two processes that are used up go to rest at once.
 *
 * Edge: care (worker/care.c). There is nobody else: one of them stays at work.
 */
#define LIE
#include "care_client.h"

int main(void)
{
    pthread_t one, two;

    make_two();
    one = thread_start(used_up, (void *)0);
    two = thread_start(used_up, (void *)1);
    thread_join(one);
    thread_join(two);
    /* relaxed: the threads have ended */
    assert(sh_load_rlx(&two_posts[0].rests) == SH_WORKS ||
           sh_load_rlx(&two_posts[1].rests) == SH_WORKS); /* relaxed: as above */
    return 0;
}
