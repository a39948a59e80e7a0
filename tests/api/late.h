/* SPDX-License-Identifier: MIT */
/* late.h - the tasks of late.c: a long, and the same long. */
#ifndef SHUNT_TESTS_LATE_H
#define SHUNT_TESTS_LATE_H

#include <shunt/task.h>
#include <stdbool.h>

SHUNT_API const shunt_task *late_task(bool at_home);

#endif /* SHUNT_TESTS_LATE_H */
