/* SPDX-License-Identifier: MIT */
/*
 * base/fault.h - makes the n-th request for memory fail, for the tests.
 *
 * Idea. Every place that asks the system for something it may refuse first
 * asks sh_fault() whether it must behave as if it had been refused. A test
 * sets n = 1, 2, 3, ... and repeats its story until n is larger than the
 * number of requests in it; so every refusal is tried once.
 *
 * It is always compiled: what is tested is what ships. While nothing is set,
 * a call costs one relaxed load. The setting belongs to the process. Set and
 * clear it while no other thread is inside shunt, or accept that a call which
 * runs at the same time may go by the setting before or after.
 */
#ifndef SH_BASE_FAULT_H
#define SH_BASE_FAULT_H

#include <stdbool.h>
#include <stdint.h>

/* True when this call is one that must fail. Any thread. */
bool sh_fault(void);

/* The nth call from now fails, and no other; 1 is the next one. INT64_MAX
 * fails none and counts them all. Starts the count at 0. */
void sh_fault_set(int64_t nth);

/* The nth call from now fails, and every one after it. Starts the count. */
void sh_fault_set_from(int64_t nth);

/* No call fails any more. The count stays as it is. */
void sh_fault_clear(void);

/* How many calls were made while something was set; see the two above. */
uint64_t sh_fault_calls(void);

#endif /* SH_BASE_FAULT_H */
