/* SPDX-License-Identifier: MIT */
/*
 * recovery_free.pml - free records, and what a dead process had of them.
 *
 * Two workers, V and L, take records from a table and give records back, each
 * by way of two lists of its own (memory/table.c): one to take from, out, one
 * to put into, in. A list that was put into goes to a place that all share, and
 * comes from there. Who takes a record accepts it, or frees it; anybody frees
 * what was accepted. V dies before any of its steps; the warden takes over what
 * V had.
 *
 * How it is to be done, so that nothing need be noted beside the lists:
 *
 *   take   the record's state: INIT, mine; then out moves on
 *   give   from RELEASING, mine: link; in; then the state: FREE
 *          so only the head of a list can be other than FREE, and the scan
 *          finds that one by its owner
 *   turn   out = in, then in = none: the same head twice is one list
 *   push   place: (head, mine, push); in = none; place: (head)
 *   pop    place: (head, mine, pop); out = head; place: none
 *          others leave a place alone that is somebody's: they keep what they
 *          have, or take what is fresh
 *
 * Claims: what is taken from a list was FREE, and nobody else's; when nothing
 * moves any more, each free record is in one list, once, and none in V's.
 *
 * Mutants, each must fail:
 *   MUTANT_LISTS_LOST   the lists of the dead are left alone
 *   MUTANT_OUT_FIRST    take moves out on, then the state
 *   MUTANT_FREE_FIRST   give moves the state, then the list
 *   MUTANT_HEAD_TAKEN   the warden takes a head that is not FREE with its list
 *   MUTANT_TURN_TWICE   the warden takes out and in, though they are the same
 *   MUTANT_IN_FIRST     a list is taken off in, and then turned
 *   MUTANT_PUSH_BLIND   push takes the list off in, then puts it into the place
 *   MUTANT_POP_BLIND    pop takes the list out of the place, then puts it into
 *                       out
 *   MUTANT_PLACE_LEFT   the warden leaves a place that was the dead's
 */
#define N 4 /* records 1 to 3; 0 is none */
#ifndef TAKES
#define TAKES 2
#endif

#define FREE 0
#define INIT 1
#define USED 2
#define RELEASING 3

#define NOBODY 0
#define V 1
#define L 2
#define WARDEN 3

#define PUSH 1
#define POP 2

byte phase[N], owner[N], link[N];
byte out[4], in[4]; /* of V, L, and the warden */
byte place, place_owner, place_how; /* one word */
bool dead, repaired;
byte takes[3]; /* how many each has made */

inline take(me)
{
    r = out[me];
    if
    :: r == 0 && in[me] != 0 ->
       /* turn */
#ifdef MUTANT_IN_FIRST
       r = in[me];
       in[me] = 0;
       out[me] = r;
#else
       out[me] = in[me];
       in[me] = 0;
#endif
       r = out[me]
    :: r == 0 && in[me] == 0 ->
       /* pop */
#ifdef MUTANT_POP_BLIND
       atomic {
           r = (place_owner == NOBODY -> place : 0);
           place = (place_owner == NOBODY -> 0 : place)
       };
       out[me] = r
#else
       atomic {
           if
           :: place != 0 && place_owner == NOBODY ->
              place_owner = me;
              place_how = POP;
              r = place
           :: else
           fi
       };
       if
       :: r != 0 ->
          out[me] = r;
          atomic { place = 0; place_owner = NOBODY; place_how = 0 }
       :: else
       fi
#endif
    :: else
    fi;
    if
    :: r != 0 ->
#ifdef MUTANT_OUT_FIRST
       out[me] = link[r];
#endif
       atomic {
           assert(phase[r] == FREE);
           phase[r] = INIT;
           owner[r] = me
       };
#ifndef MUTANT_OUT_FIRST
       out[me] = link[r]
#endif
    :: else
    fi
}

/* r is RELEASING, and ours. */
inline put(me)
{
#ifdef MUTANT_FREE_FIRST
    atomic { phase[r] = FREE; owner[r] = NOBODY };
#endif
    link[r] = in[me];
    in[me] = r;
#ifndef MUTANT_FREE_FIRST
    atomic {
        assert(phase[r] == RELEASING && owner[r] == me);
        phase[r] = FREE;
        owner[r] = NOBODY
    };
#endif
    r = 0
}

/* What was put in goes to the others, if there is room. */
inline pass_on(me)
{
#ifdef MUTANT_PUSH_BLIND
    r = in[me];
    in[me] = 0;
    atomic {
        if
        :: place == 0 && place_owner == NOBODY -> place = r
        :: else -> in[me] = r
        fi
    };
#else
    atomic {
        if
        :: place == 0 && place_owner == NOBODY && in[me] != 0 ->
           place = in[me];
           place_owner = me;
           place_how = PUSH;
           r = 1
        :: else
        fi
    };
    if
    :: r == 1 ->
       in[me] = 0;
       atomic { place_owner = NOBODY; place_how = 0 }
    :: else
    fi;
#endif
    r = 0
}

#define CLAIM(i)                                                      \
    atomic {                                                          \
        phase[i] == USED -> phase[i] = RELEASING; owner[i] = me; r = i \
    };                                                                \
    put(me)

proctype worker(byte me)
{
    byte r;

    {
        do
        :: atomic { takes[me] < TAKES -> takes[me]++ };
           take(me);
           if
           :: r != 0 ->
              if
              :: atomic { true -> phase[r] = USED; owner[r] = NOBODY }; r = 0
              :: atomic { true -> phase[r] = RELEASING }; put(me)
              fi
           :: else
           fi
        :: CLAIM(1)
        :: CLAIM(2)
        :: CLAIM(3)
        :: in[me] != 0 && place == 0 -> pass_on(me)
        od
    } unless {
        atomic { me == V && dead -> r = 0 }
    }
}

proctype death()
{
    dead = true
}

/* A list of the dead, appended to the warden's; its head is the scan's, if that
 * is not FREE. Nobody else looks at either list. */
inline adopt_list(head)
{
    d_step {
        r = head;
#ifndef MUTANT_HEAD_TAKEN
        if
        :: r != 0 && phase[r] != FREE -> r = link[r]
        :: else
        fi;
#endif
        do
        :: r != 0 ->
           next = link[r];
           link[r] = in[WARDEN];
           in[WARDEN] = r;
           r = next
        :: else -> break
        od;
        head = 0;
        next = 0
    }
}

inline adopt(i)
{
    atomic {
        if
        :: owner[i] == V && (phase[i] == INIT || phase[i] == RELEASING) ->
           phase[i] = RELEASING;
           owner[i] = WARDEN;
           r = i
        :: else
        fi
    };
    if
    :: r != 0 -> put(WARDEN)
    :: else
    fi
}

proctype warden()
{
    byte r, next;

    dead;
    /* The place: on, or back, by what V's lists say. */
#ifndef MUTANT_PLACE_LEFT
    atomic {
        if
        :: place_owner == V ->
           place = ((place_how == POP && out[V] == place) ||
                            (place_how == PUSH && in[V] == place)
                        -> 0
                        : place);
           place_owner = NOBODY;
           place_how = 0
        :: else
        fi
    };
#endif
#ifndef MUTANT_LISTS_LOST
#ifndef MUTANT_TURN_TWICE
    if
    :: out[V] == in[V] -> in[V] = 0
    :: else
    fi;
#endif
    adopt_list(out[V]);
    adopt_list(in[V]);
#endif
    adopt(1);
    adopt(2);
    adopt(3);
    repaired = true
}

/* How often a list has record i. */
inline walk(head)
{
    r = head;
    do
    :: r != 0 ->
       times = times + (r == i);
       length++;
       assert(length <= N * N);
       r = link[r]
    :: else -> break
    od
}

init
{
    byte i = 1, r, times, length;

    atomic {
        in[V] = 1;
        place = 2;
        in[L] = 3;
        run worker(V);
        run worker(L);
        run death();
        run warden()
    };
    timeout;
    d_step {
        assert(repaired && out[V] == 0 && in[V] == 0);
        assert(place_owner == NOBODY);
        do
        :: i < N ->
           times = 0;
           length = 0;
           walk(out[L]);
           walk(in[L]);
           walk(in[WARDEN]);
           walk(place);
           assert(phase[i] == FREE && times == 1);
           i++
        :: else -> break
        od
    }
}
