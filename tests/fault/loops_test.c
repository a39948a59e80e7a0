/* SPDX-License-Identifier: MIT */
/*
 * fault/loops_test.c - loops, with every of their requests for memory refused:
 * they work, or say SHUNT_ENOMEM.
 */
#include "fault_each.h"

enum {
    N = 300
};

/* Too large for a part to keep on its stack. */
struct large {
    unsigned long words[200];
};

static void check_out(struct stage *s)
{
    if (fault_worked(s, fault_await(s->out)))
        assert_int_equal(atomic_load(&s->inside), (int)s->story->n);
    assert_int_equal(shunt_release(s->out), 0);
}

static int count(size_t from, size_t to, struct stage *const *s)
{
    atomic_fetch_add(&(*s)->inside, (int)(to - from));
    return 0;
}

static int count_area(size_t row, size_t row_to, size_t column,
                      size_t column_to, struct stage *const *s)
{
    return count(0, (row_to - row) * (column_to - column), s);
}

static void loop(struct stage *s)
{
    s->out = shunt_for(s->pool, 0, s->story->n, count, &s);
    fault_stay(s->out);
}

static void loop_2d(struct stage *s)
{
    s->out = shunt_for_2d(s->pool, 0, s->story->n, 0, 1, count_area, &s);
    fault_stay(s->out);
}

static int make(struct stage *const *s, struct large *out)
{
    atomic_fetch_add(&(*s)->inside, 1);
    out->words[0] = 1;
    return 0;
}
static void count_drop(void *in)
{
    atomic_fetch_add(&(*(struct stage *const *)in)->drops, 1);
}
SHUNT_TASK(make, struct stage *, struct large, .drop = count_drop)

static int add(const struct large *a, const struct large *b, struct large *out)
{
    out->words[0] = a->words[0] + b->words[0];
    return 0;
}

static void reduce(struct stage *s)
{
    struct stage *ins[N];

    for (int i = 0; i < N; i++)
        ins[i] = s;
    s->out = shunt_reduce(s->pool, make, add, ins, s->story->n);
    fault_stay(s->out);
}

/* Each input was dropped, or none: then it was not accepted. */
static void check_reduce(struct stage *s)
{
    const struct large *sum = shunt_peek(s->out, struct large);
    int drops;

    if (sum != NULL)
        assert_int_equal(sum->words[0], s->story->n);
    check_out(s);
    drops = atomic_load(&s->drops);
    assert_true(drops == (int)s->story->n || drops == 0);
}

static struct large array[N];

static void scan(struct stage *s)
{
    for (int i = 0; i < N; i++)
        array[i].words[0] = 1;
    s->out = shunt_scan(s->pool, add, array, N);
    fault_stay(s->out);
}

static void check_scan(struct stage *s)
{
    if (fault_worked(s, fault_await(s->out)))
        for (unsigned i = 0; i < N; i++)
            assert_int_equal(array[i].words[0], i + 1);
    assert_int_equal(shunt_release(s->out), 0);
}

static int compare(const struct large *a, const struct large *b)
{
    return (a->words[0] > b->words[0]) - (a->words[0] < b->words[0]);
}

static void sort(struct stage *s)
{
    for (unsigned i = 0; i < N; i++)
        array[i].words[0] = N - i;
    s->out = shunt_sort(s->pool, array, N, compare);
    fault_stay(s->out);
}

/* Items that come to the end in their order. */
struct counted {
    struct stage *stage;
    long number;
};

static int make_item(const shunt_none *in, struct stage *const *s,
                     struct counted *out)
{
    (void)in;
    if ((size_t)atomic_load(&(*s)->runs) == (*s)->story->n)
        return SHUNT_PIPELINE_END;
    (void)shunt_alloc(100);
    *out = (struct counted){ *s, atomic_fetch_add(&(*s)->runs, 1) };
    return 0;
}
SHUNT_STEP(make_item, shunt_none, struct stage *, struct counted)

static void count_item(void *in)
{
    atomic_fetch_add(&((struct counted *)in)->stage->drops, 1);
}

static int pass_item(const struct counted *in, struct counted *out)
{
    *out = *in;
    return 0;
}
SHUNT_TASK(pass_item, struct counted, struct counted, .drop = count_item)

static int end_item(const struct counted *in, struct large *out)
{
    (void)out;
    return atomic_fetch_add(&in->stage->inside, 1) != in->number;
}
SHUNT_TASK(end_item, struct counted, struct large)

static void pipe_items(struct stage *s)
{
    shunt_stage stages[] = {
        SHUNT_STAGE_WITH(make_item, SHUNT_SERIAL_IN_ORDER, &s),
        SHUNT_STAGE(pass_item, SHUNT_SERIAL_OUT_OF_ORDER),
        SHUNT_STAGE(end_item, SHUNT_SERIAL_IN_ORDER),
    };

    s->out = shunt_pipeline(s->pool, stages, 3, .tokens = 3);
    fault_stay(s->out);
}

/* What the source has made was dropped once, wherever it came to. */
static void check_pipe(struct stage *s)
{
    assert_int_equal(atomic_load(&s->drops), atomic_load(&s->runs));
    check_out(s);
}

static void a_pipeline_works_or_fails(void **state)
{
    FAULT_EACH({ "pipeline", NULL, pipe_items, check_pipe, 20, NULL });
    FAULT_EACH(
        { "pipeline, of nothing", NULL, pipe_items, check_pipe, 0, NULL });
}

static void a_loop_works_or_fails(void **state)
{
    FAULT_EACH({ "for", NULL, loop, check_out, N, NULL });
    FAULT_EACH({ "for, of nothing", NULL, loop, check_out, 0, NULL });
    FAULT_EACH({ "for_2d", NULL, loop_2d, check_out, N, NULL });
}

static void a_loop_that_has_values_works_or_fails(void **state)
{
    FAULT_EACH({ "reduce", NULL, reduce, check_reduce, N, NULL });
    FAULT_EACH({ "scan", NULL, scan, check_scan, N, NULL });
    FAULT_EACH({ "sort", NULL, sort, check_scan, N, NULL });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loop_works_or_fails),
        cmocka_unit_test(a_loop_that_has_values_works_or_fails),
        cmocka_unit_test(a_pipeline_works_or_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
