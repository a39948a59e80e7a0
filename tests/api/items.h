/* SPDX-License-Identifier: MIT */
/*
 * items.h - a source of items for pipelines, and a stage that ends them.
 *
 * What stages look at lies on the stage, so that they find it in any process;
 * they say what is wrong by failing.
 */
#ifndef SHUNT_TESTS_ITEMS_H
#define SHUNT_TESTS_ITEMS_H

#include <string.h>

#include "stage.h"

struct world {
    long n;    /* items that there are; negative: no end */
    long next; /* the one that the source makes next */
    long last; /* of a stage in order: the one before */
    long sum;  /* of a serial stage, which no two add to at a time */
    long inside, inside_max;
    int spin; /* how much longer one item in 10 takes */
    long fail_at;
    struct tally *made, *dropped, *under_way, *most;
    struct latch *begun, *go;
};

struct item {
    struct world *w;
    long number, square;
};

SHUNT_UNUSED_ static struct world *world(long n)
{
    struct world *w = stage_bytes(sizeof *w);

    w->n = n;
    w->last = w->fail_at = -1;
    w->made = stage_tally();
    w->dropped = stage_tally();
    w->under_way = stage_tally();
    w->most = stage_tally();
    w->begun = stage_latch();
    w->go = stage_latch();
    return w;
}

SHUNT_UNUSED_ static int make(const shunt_none *in, struct world *const *w,
                              struct item *out)
{
    (void)in;
    if (out->w != NULL || out->number != 0)
        return 90;
    if ((*w)->next == (*w)->n)
        return SHUNT_PIPELINE_END;
    tally_add((*w)->made, 1);
    tally_max((*w)->most, tally_add((*w)->under_way, 1) + 1);
    *out = (struct item){ *w, (*w)->next++, 0 };
    return 0;
}
SHUNT_STEP(make, shunt_none, struct world *, struct item)

SHUNT_UNUSED_ static void drop_item(void *in)
{
    const struct item *item = in;

    tally_add(item->w->dropped, 1);
}

struct wide {
    _Alignas(64) struct item item;
    char bytes[300];
};

SHUNT_UNUSED_ static void spin(int n)
{
    for (volatile int i = 0; i < n; i++)
        ;
}

SHUNT_UNUSED_ static int square(const struct item *in, struct wide *out)
{
    if ((uintptr_t)out % 64 != 0 || out->bytes[299] != 0)
        return 91;
    if (in->number % 10 == 3)
        spin(in->w->spin);
    out->item = *in;
    out->item.square = in->number * in->number;
    memset(out->bytes, (char)in->number, sizeof out->bytes);
    return 0;
}
SHUNT_TASK(square, struct item, struct wide, .drop = drop_item)

SHUNT_UNUSED_ static int add_up(const struct wide *in, struct item *out)
{
    struct world *w = in->item.w;

    if (w->inside++ != 0 || in->bytes[299] != (char)in->item.number ||
        in->item.square != in->item.number * in->item.number)
        return 92;
    w->sum += in->item.square;
    if (in->item.number % 10 == 7)
        spin(w->spin);
    *out = in->item;
    w->inside--;
    return 0;
}
SHUNT_TASK(add_up, struct wide, struct item, .drop = drop_item)

SHUNT_UNUSED_ static int begin(const struct item *in, struct item *out)
{
    *out = *in;
    if (in->number == 20)
        latch_raise(in->w->begun);
    return 0;
}
SHUNT_TASK(begin, struct item, struct item, .drop = drop_item)

/* The last stage, where items come in order. */
SHUNT_UNUSED_ static int end_in_order(const struct item *in, shunt_none *out)
{
    (void)out;
    tally_add(in->w->under_way, -1);
    if (in->w->last + 1 != in->number)
        return 93;
    in->w->last = in->number;
    return 0;
}
SHUNT_TASK(end_in_order, struct item, shunt_none, .drop = drop_item)

#endif /* SHUNT_TESTS_ITEMS_H */
