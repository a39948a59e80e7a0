/* SPDX-License-Identifier: MIT */
/*
 * timer_again.c - a timer is set again while the timekeeper comes by.
 *
 * Edge: timer (future/timer.c). The wait of generation 1 is over before its
 * moment, 5; the next one on the same cell ends at SECOND_NS, and the one after
 * that at THIRD_NS. The timer may stand in a list or, with -DWHEEL, in the
 * wheel, and is put off or forward there. What is set last is reached once, and
 * none is reached twice or early.
 */
#include "timer_client.h"

static void *setter(void *unused)
{
    (void)unused;
    set(1, 2, SECOND_NS);
#ifdef THIRD_NS
    set(1, 3, THIRD_NS);
#endif
    return NULL;
}

static void *timekeeper(void *unused)
{
    (void)unused;
    (void)come_by(1);
    (void)come_by(5);
    return NULL;
}

int main(void)
{
    pthread_t one, two;
    unsigned last = 2;

    make_pool_with_timers();
    set(1, 1, 5);
#ifdef WHEEL
    assert(come_by(0) == 5);
#endif
    one = thread_start(setter, NULL);
    two = thread_start(timekeeper, NULL);
    thread_join(one);
    thread_join(two);
#ifdef THIRD_NS
    last = 3;
#endif
    (void)come_by(moments[last] > 5 ? moments[last] : 5);
    assert(reached[last] == 1);
    for (unsigned i = 1; i < last; i++)
        assert(reached[i] <= 1);
    /* Nothing is left. relaxed: joined */
    (void)come_by(20);
    assert(reached[last] == 1);
    assert(sh_load_rlx(&timers[9].state) >> 32 == last &&
           (sh_load_rlx(&timers[9].state) & UINT32_MAX) == 0);
    return 0;
}
