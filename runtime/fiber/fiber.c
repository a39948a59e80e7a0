/* SPDX-License-Identifier: MIT */
/*
 * fiber/fiber.c - a stack that can be put aside and gone back to.
 *
 * Idea. The work is done by the three functions of switch.h; here is what
 * surrounds them: the state in sp, and the order in which the checkers must
 * hear of a switch (annotate.h). Between sh_annotate_switch and the assembly
 * nothing may be called that is not inlined.
 */
#include "fiber/fiber.h"

#include "base/assert.h"
#include "fiber/annotate.h"
#include "fiber/switch.h"

void sh_fiber_adopt(struct sh_fiber *base)
{
    SH_ASSERT(base != NULL);
    *base = (struct sh_fiber){ .control = sh_fiber_control() };
    sh_annotate_adopted(base);
}

void sh_fiber_disown(struct sh_fiber *base)
{
    SH_ASSERT(base->sp == NULL);
    SH_ASSERT(base->stack_low == NULL);
    *base = (struct sh_fiber){ 0 };
}

static void arrive(struct sh_fiber *self)
{
    sh_annotate_arrive(self);
    self->sp = NULL;
}

/* The first C function on a fresh stack. If entry returned, the assembly below
 * it would trap. */
static void enter(void *fiber)
{
    struct sh_fiber *self = fiber;

    arrive(self);
    self->entry(self->arg);
}

void sh_fiber_start(struct sh_fiber *from, struct sh_fiber *to,
                    void (*entry)(void *), void *arg, bool leave)
{
    SH_ASSERT(from != to && from->sp == NULL);
    SH_ASSERT(to->sp == NULL && to->stack_low != NULL);
    SH_ASSERT(entry != NULL);
    SH_ASSERT(!leave || from->stack_low != NULL);

    to->entry = entry;
    to->arg = arg;
    to->control = from->control;
    sh_annotate_born(to);
    sh_annotate_switch(from, to, leave);
    /* The struct sits at the upper end of its stack: its address is the top. */
    sh_fiber_boot(&from->sp, to, enter, to, to->control);
    arrive(from);
}

void sh_fiber_switch(struct sh_fiber *from, struct sh_fiber *to, bool leave)
{
    SH_ASSERT(from != to && from->sp == NULL);
    SH_ASSERT(to->sp != NULL);
    SH_ASSERT(!leave || from->stack_low != NULL);

    sh_annotate_switch(from, to, leave);
    sh_fiber_swap(&from->sp, to->sp);
    arrive(from);
}
