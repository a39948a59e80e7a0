/* SPDX-License-Identifier: MIT */
/*
 * alarm_advance.c - the clock is moved by hand while the timekeeper falls
 * asleep.
 *
 * Edges: alarm, served (future/timer.c, worker/timekeeper.c). When the real
 * shunt_pool_advance returns, what was due has happened, for the caller to see.
 */
#include "timekeeper_client.h"

int main(void)
{
    make_pool_with_timekeeper();
    to_reach = 2;
    set(1, 1, 5);
    assert(sh_timekeeper_start(&pool) == 0);
    assert(shunt_pool_advance(NULL, 7) == 0);
    assert(reached[1] == 1);
    sh_timekeeper_stop(&pool);
    return 0;
}
