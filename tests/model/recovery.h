/* SPDX-License-Identifier: MIT */
/*
 * recovery.h - for the Spin models of recovery: phases, owners, and the list of
 * what is on its way, which is what the states say to be ours.
 */
#define FREE 0
#define INIT 1
#define WAIT 2
#define READY 3
#define RUNNING 4
#define PARKED 5
#define SETTLING 6
#define COMPLETE 7
#define DONE 8
#define RELEASING 9
#define IS_LIVE(p) ((p) >= WAIT && (p) <= DONE)
#define IS_SETTLED(p) ((p) == COMPLETE || (p) == DONE)

/* Owners. */
#define NOBODY 0
#define V 1
#define L 2
#define HOST 3
#define WARDEN 4

/* Outcomes. */
#define NONE 0
#define SUCCESS 1
#define CRASHED 2
#define FORWARD 3
#define TIMEDOUT 4

#define WHEN(condition, statement) \
    if                             \
    :: condition -> statement      \
    :: else                        \
    fi

#define OURS(i, p, me) (phase[i] == (p) && owner[i] == (me))
#define ONE_OF(p, me)                             \
    (OURS(0, p, me) -> 0 : (OURS(1, p, me) -> 1 : \
                            (OURS(2, p, me) -> 2 : 3)))

inline work(me)
{
    do
    :: x = ONE_OF(SETTLING, me);
       if
       :: x < 3 -> conclude(x, me)
       :: else ->
          x = ONE_OF(RELEASING, me);
          if
          :: x < 3 -> dispose(x, me)
          :: else -> break
          fi
       fi
    od;
    x = 0
}

/* Before that, of the warden alone: the edges of what is COMPLETE. */
inline close_complete()
{
    do
    :: x = ONE_OF(COMPLETE, WARDEN);
       if
       :: x < 3 -> finish(x, WARDEN)
       :: else -> break
       fi
    od;
    x = 0
}

/* Take a hint from a queue, and claim what it names, if that is READY. */
inline claim(i, me)
{
    hint[i] = 0;
    fresh = (phase[i] == READY);
    phase[i] = (fresh -> RUNNING : phase[i])
#ifndef MUTANT_OWNER_LATE
    ;
    owner[i] = (fresh -> me : owner[i])
#endif
}

/* Queue what the table has; what is READY later is queued, or scan moves. */
#define FIND(i) hint[i] = (phase[i] == READY -> me : hint[i])

/* No hint outlives a death; whoever was to follow one may have done so just
 * before. */
inline lose_hints()
{
    hint[0] = 0;
    hint[1] = 0;
    hint[2] = 0
}
