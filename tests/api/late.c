/* SPDX-License-Identifier: MIT */
/* late.c - a library with tasks, which is loaded after the workers are there:
 * reason_test.c. */
#include <shunt/shunt.h>

#include "late.h"

static int late_same(const long *in, long *out)
{
    *out = *in;
    return 0;
}
SHUNT_TASK(late_same, long, long)

static int late_home(const long *in, long *out)
{
    *out = *in;
    return 0;
}
SHUNT_TASK(late_home, long, long, .host_only = true)

const shunt_task *late_task(bool at_home)
{
    return at_home ? &shunt_task_late_home : &shunt_task_late_same;
}
