/* SPDX-License-Identifier: MIT */
/*
 * fiber/switch.h - the three functions that are written in assembly, once per
 * processor: switch_x86_64.S and switch_aarch64.S. For fiber.c alone.
 *
 * They keep what the processor's calling convention makes the callee keep,
 * and the floating-point control words (rounding, masked exceptions, flush to
 * zero), which the convention also gives to the callee. They do not touch the
 * signal mask or the thread pointer: fibers of one thread share both.
 */
#ifndef SH_FIBER_SWITCH_H
#define SH_FIBER_SWITCH_H

#include <stdint.h>

#define SH_SWITCH_HIDDEN __attribute__((visibility("hidden")))

/* Park the caller: its registers go to its stack, its stack pointer to *save.
 * Then resume what was parked with stack pointer load. Returns when somebody
 * resumes *save. */
SH_SWITCH_HIDDEN void sh_fiber_swap(void **save, void *load);

/* Park the caller likewise, then call enter(arg) on the empty stack below top,
 * with the given control words. top is a multiple of 16. enter must not
 * return: the processor would trap. */
SH_SWITCH_HIDDEN void sh_fiber_boot(void **save, void *top,
                                    void (*enter)(void *), void *arg,
                                    uint64_t control);

/* The control words as they are, without the sticky exception flags. */
SH_SWITCH_HIDDEN uint64_t sh_fiber_control(void);

/* The outermost frame of every fiber: unwinders stop there. Not to be called;
 * declared so that tests can recognise it. */
SH_SWITCH_HIDDEN void sh_fiber_root(void);

#endif /* SH_FIBER_SWITCH_H */
