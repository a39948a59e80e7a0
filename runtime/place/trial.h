/* SPDX-License-Identifier: MIT */
/*
 * place/trial.h - how long a kind of task is tried at the other site, and what
 * of that is looked at.
 */
#ifndef SH_PLACE_TRIAL_H
#define SH_PLACE_TRIAL_H

#include "place/evidence.h"
#include "place/shift.h"

/* Of their time only steps count in which the kind ran. These are so far apart,
 * and what is more than SH_TRIAL_GAP of it was a pause, unless one run took as
 * long. */
#define SH_TRIAL_STEP_NS INT64_C(10000000)
#define SH_TRIAL_GAP 3
/* Two steps, so that no trial is a single one; and a fourth of a second, so
 * that a kind is not for long where it costs more. */
#define SH_TRIAL_NS_MIN INT64_C(20000000)
#define SH_TRIAL_NS_MAX INT64_C(250000000)
/* With samples, unless SH_TRIAL_NS_MAX is over: as many, and one more for each
 * 1/32 of a power of two that windows are from what is usual in them, before or
 * in the trial. */
#define SH_TRIAL_WINDOWS 3u

struct sh_trial {
    int64_t for_ns;     /* without pauses */
    int64_t last_ns;    /* the last step */
    int64_t limit_ns;   /* of the mean of a window: costs more than twice */
    int64_t most_ns;    /* that a sample counts as: four times */
    uint64_t here;      /* runs since it began, */
    uint64_t elsewhere; /* and those at the site that it came from */
    int64_t mean;       /* of the logarithms of windows, and how far they are */
    int64_t spread;     /* from it on average: as in struct sh_shift */
    uint32_t windows;   /* with samples */
    uint16_t costly;    /* of them in a row */
    uint16_t noise;     /* what windows differed, in 1/SH_SHIFT_ONE, before */
    uint32_t running;
    struct sh_place from;
    uint8_t unused[2];
};

/* How far its windows are from what is usual in them, of SH_SHIFT_ONE. */
int64_t sh_trial_spread(const struct sh_trial *t);

/* How many windows it takes. */
uint32_t sh_trial_windows(const struct sh_trial *t);

/* Look at a window, which has samples, and count it. Of one that does not count
 * it is only seen whether it costs four times as much. */
void sh_trial_look(struct sh_trial *t, const struct sh_window *w, bool counts);

/* Count the time of a step, if it counts and the kind ran in it, at whichever
 * site; it is tried at this one. */
void sh_trial_pass(struct sh_trial *t, const struct sh_measures *m,
                   uint8_t site, bool counts);

#endif /* SH_PLACE_TRIAL_H */
