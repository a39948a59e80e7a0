/* SPDX-License-Identifier: MIT */
/*
 * fuzz/weather.c - what is different in a plan for worker processes.
 *
 * Idea. A worker process that is at something which is late is killed, and what
 * waits in it fails. So a plan is either calm: nothing is late while it runs,
 * and all must be as on threads; or mortal, and then the reference allows
 * crashes. In a storm some functions crash by themselves, and some may be run
 * again.
 */
#include "graph.h"

static unsigned draw(const struct plan *p, unsigned i, unsigned what,
                     unsigned most)
{
    return (unsigned)(plan_random(p->seed, i, 9000 + what) >> 33) % most;
}

void weather_begin(struct plan *p, enum weather weather)
{
    p->processes = true;
    p->pools = 1;
    p->stormy = weather == WEATHER_STORM;
    p->mortal = p->stormy ||
                (weather == WEATHER_MIXED && draw(p, 0, 0, 2) == 0);
    if (p->mortal)
        return;
    p->leaps[0] = false;
    if (p->ending == END_KILL)
        p->ending = END_CANCEL;
    if (p->storm_how == SHUNT_KILL)
        p->storm_how = SHUNT_CANCEL;
}

/* Whether being late costs its process. */
static bool may_kill(const struct node *n)
{
    return n->op == OP_RETRY || op_traits[n->op].submitted;
}

void weather_bound(struct plan *p, unsigned i)
{
    struct node *n = &p->node[i];

    if (!p->mortal && may_kill(n) && n->span == SPAN_SHORT)
        plan_span(p, i, SPAN_LONG);
}

void weather_shorten(struct plan *p, unsigned i)
{
    bool calm = p->processes && !p->mortal;

    plan_span(p, i, calm && may_kill(&p->node[i]) ? SPAN_NONE : SPAN_SHORT);
}

/* What its function dies of, if it does; and whether it is to run again. */
static void add_doom(struct plan *p, unsigned i)
{
    struct node *n = &p->node[i];

    if (draw(p, i, 1, 100) < 8)
        n->doom = (enum doom)(1 + draw(p, i, 2, DOOMS - 1));
    if (n->op == OP_TASK && draw(p, i, 3, 100) < 40)
        n->retries = 1 + draw(p, i, 4, 3);
    if (n->doom != DOOM_LOOP)
        return;
    if (!op_traits[n->op].submitted || n->span == SPAN_PAST) {
        n->doom = DOOM_NULL;
        return;
    }
    plan_span(p, i, SPAN_SHORT);
    n->commits = COMMIT_NEVER;
}

/* Not what leads to another pool; nor, where none is to be killed, what is
 * late. */
void weather_behave(struct plan *p, unsigned i)
{
    struct node *n = &p->node[i];

    if (n->brood == BROOD_ABROAD)
        n->brood = BROOD_JOIN;
    if (!p->mortal && (n->brood == BROOD_BOUND || n->brood == BROOD_HEIRS ||
                       n->brood == BROOD_RETRY))
        n->brood = BROOD_TAKE;
    if (p->stormy && op_traits[n->op].runs)
        add_doom(p, i);
}
