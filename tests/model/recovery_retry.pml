/* SPDX-License-Identifier: MIT */
/*
 * recovery_retry.pml - a task that waits is tried again when its worker dies;
 * or its deadline comes, and its worker is killed.
 *
 * P, which the host waits for, submits a child, waits for it (parked on its
 * worker), gives it back, and ends. It may be tried RETRIES times after a
 * death; each attempt has a child of its own, K0 or K1. V has just claimed P
 * when all begins. Four settings:
 *
 *   (none)       V dies before any of its steps, and L takes over
 *   -DTWICE      V has died while P waited; L dies before any of its steps, also
 *                while the warden is at work, and is replaced
 *   -DDELIVERER  L dies before any of its steps, so that V waits for what L was
 *                about to tell it
 *   -DKILL       nobody dies of himself. P's deadline comes at any moment
 *
 * States and steps are as in recovery.pml. The attempt is part of the state
 * word. A parked task that may go on is RUNNING; that its worker hears of it,
 * woken, is a hint, which may be lost or doubled: the worker looks at its own
 * parked tasks.
 *
 * Claims, when nothing moves any more:
 *   the host was told, and P settled once; it was begun once at most for each
 *   attempt; an attempt goes on when its own child has settled; P has crashed
 *   only after a death in its last attempt; each child that was accepted
 *   settled once, every record is free, no handle was given back that an
 *   attempt still used. When a deadline kills, no child crashes.
 *
 * Mutants, each must fail; those marked d with -DDELIVERER, those marked k with
 * -DKILL:
 *   MUTANT_NO_BUMP        READY for another attempt, with the same number
 *   MUTANT_RETRY_ALWAYS   P is tried again, whatever it allows (-DRETRIES=0)
 *   MUTANT_UNTAGGED       an arrival is set without looking at its generation
 *   MUTANT_READY_FIRST    READY, and then what the dead attempt left is given
 *   MUTANT_INPUT_FIRST    input is cleared, and then what it led to is given
 *   MUTANT_PARKED_LOST    PARKED with a dead owner is left alone
 *   MUTANT_NO_WAKE      d nobody looks at its parked tasks after a death
 *   MUTANT_KILL_BLIND   k the worker is killed without a look when it has
 *                         stopped
 *   MUTANT_BUSY_STAYS   k BUSY is not taken off after the death
 */
#ifndef RETRIES
#define RETRIES 1
#endif

#ifdef KILL
#define CAN_STOP provided (frozen != _pid)
#else
#define CAN_STOP
#endif

#define N 3
#define P 0

#include "recovery.h"

/* An edge: to the host, or to P in a generation of its deps. */
#define EMPTY 0
#define CLOSED 1
#define TO_HOST 2
#define TO_P(generation) (3 + (generation))
#define GENERATION_OF(e) ((e) - 3)

byte phase[N], owner[N], outcome[N], edge[N];
bool gone[N], orphan[N], watched[N];
byte attempt;      /* of P */
bool busy;         /* of P */
byte run_at;       /* input of P: 0, or the worker on whose stack its run is */
byte since, arrived; /* deps of P: generation and arrival */
bool told;
byte hint[N];

/* Of each worker. */
bool scan[3], woken[3];
byte running[3];
bool parked[3]; /* of P's stack */
byte ledger[3]; /* in the run of P: a child */

byte deaths[3], adopted[3];
byte over;   /* whose code of P runs on: what the warden remembers */
byte frozen; /* the process that stands still */
byte pid_of[3];
byte cut;

/* Ghosts. */
bool accepted[N];
byte settled[N], started[N], given[N];
bool crash_is_due;

#define SETTLES(i, how)      \
    outcome[i] = (how);      \
    settled[i]++;            \
    assert(settled[i] == 1)

inline give(i, me)
{
    atomic {
        if
        :: IS_LIVE(phase[i]) && !gone[i] ->
           gone[i] = true;
           if
           :: phase[i] == DONE && !(i == P && busy) ->
              phase[i] = RELEASING;
              owner[i] = me
           :: else -> orphan[i] = true
           fi
        :: else
        fi
    }
}

inline forget()
{
    who = 0;
    when = 0;
    fresh = false
}

/* An arrival for P in generation g. */
inline deliver(g)
{
    atomic {
#ifndef MUTANT_UNTAGGED
        fresh = (since == g);
#else
        fresh = true;
#endif
        arrived = (fresh -> 1 : arrived)
    };
    do
    :: fresh ->
       /* The state, and then deps: if that is ours, so was the state. */
       atomic {
           fresh = (phase[P] == PARKED);
           who = (fresh -> owner[P] : 0);
           when = (fresh -> attempt : 0)
       };
#ifndef MUTANT_UNTAGGED
       WHEN(since != g, fresh = false);
#endif
       WHEN(!fresh, break);
       atomic {
           if
           :: phase[P] == PARKED && owner[P] == who && attempt == when ->
              phase[P] = RUNNING;
              fresh = false
           :: else -> who = 0
           fi
       };
       WHEN(who != 0, woken[who] = true)
    :: else -> break
    od;
    forget()
}

inline finish(i, me)
{
    do
    :: e = edge[i];
       if
       :: e == CLOSED -> break
       :: e == TO_HOST -> told = true
       :: e >= TO_P(0) -> deliver(GENERATION_OF(e))
       :: else
       fi;
       atomic { WHEN(edge[i] == e, edge[i] = CLOSED; break) }
    od;
    e = 0;
    atomic {
        assert(phase[i] == COMPLETE);
        fresh = orphan[i] && !(i == P && busy);
        phase[i] = (fresh -> RELEASING : DONE);
        /* order: BUSY says whose code runs on: the owner stays. */
        owner[i] = (fresh -> me : (i == P && busy -> over : NOBODY));
        fresh = false
    }
}

inline dispose(i, me)
{
    atomic {
        assert(phase[i] == RELEASING);
        assert(!(i == P && busy));
        phase[i] = FREE;
        owner[i] = NOBODY
    }
}

/* What the run of P that has not ended left behind. */
inline give_run(me)
{
    WHEN(ledger[run_at] != 0, give(ledger[run_at], me))
}

inline conclude(i, me)
{
    WHEN(i == P && run_at != 0 && !busy, give_run(me); run_at = 0);
    atomic { phase[i] = COMPLETE; SETTLES(i, outcome[i]) };
    finish(i, me)
}

/* The code of i has ended. */
inline end_run(i, me)
{
    atomic {
        fresh = (phase[i] == RUNNING && owner[i] == me);
        e = (fresh && (watched[i] || orphan[i]) -> 1 : 0);
        if
        :: fresh ->
           phase[i] = (e == 1 -> COMPLETE : DONE);
           owner[i] = (e == 1 -> me : NOBODY);
           SETTLES(i, SUCCESS)
        :: else -> assert(i == P) /* given up */
        fi
    };
    if
    :: fresh -> WHEN(e == 1, finish(i, me))
    :: else ->
       running[me] = 0;
       atomic {
           busy = false;
           fresh = (phase[P] == DONE);
           owner[P] = (fresh -> NOBODY : owner[P]);
           WHEN(fresh && orphan[P], phase[P] = RELEASING; owner[P] = me)
       }
    fi;
    fresh = false;
    e = 0;
    work(me)
}

/* P waits for its child k. From here on its stack is parked, or not. */
inline park(me)
{
    atomic {
        if
        :: OURS(P, RUNNING, me) && !busy -> phase[P] = PARKED; parked[me] = true
        :: else -> assert(busy)
        fi
    };
    if
    :: parked[me] && arrived == 1 ->
       atomic {
           if
           :: OURS(P, PARKED, me) -> phase[P] = RUNNING; parked[me] = false
           :: else /* somebody else did: we hear of it */
           fi
       }
    :: else
    fi
}

/* P goes on until it parks, or ends. */
inline go_on(me)
{
    do
    :: !parked[me] && arrived == 0 && !busy -> park(me)
    :: parked[me] -> running[me] = 0; break
    :: !parked[me] && (arrived == 1 || busy) ->
       /* Its own child has settled, and nobody has given that back for it. */
       assert(busy || settled[ledger[me]] == 1);
       assert(!gone[ledger[me]]);
       give(ledger[me], me);
       atomic { ledger[me] = 0; arrived = 0; since++ };
       run_at = 0;
       end_run(P, me);
       break
    od
}

inline code_of_p(me)
{
    atomic {
        running[me] = P + 1;
        started[P]++;
        assert(started[P] <= 1 + RETRIES)
    };
    run_at = me;
    k = 1 + attempt;
    ledger[me] = k;
    atomic { assert(phase[k] == FREE); phase[k] = INIT; owner[k] = me };
    atomic { phase[k] = READY; owner[k] = NOBODY; accepted[k] = true };
    hint[k] = me;
    atomic { since++; arrived = 0 };
    atomic {
        fresh = !IS_SETTLED(phase[k]);
        watched[k] = watched[k] || fresh
    };
    if
    :: fresh ->
       atomic {
           fresh = (edge[k] == EMPTY);
           edge[k] = (fresh -> TO_P(since) : edge[k])
       }
    :: else
    fi;
    WHEN(!fresh, arrived = 1);
    fresh = false;
    k = 0;
    go_on(me)
}

/* A child: it ends well. */
inline run_child(i, me)
{
    if
    :: fresh ->
       fresh = false;
       atomic { running[me] = i + 1; started[i]++; assert(started[i] == 1) };
       end_run(i, me)
    :: else
    fi;
    i = 0
}

proctype worker(byte me, life) CAN_STOP
{
    byte i, e, x, k, who, when;
    bool fresh;

    {
        WHEN(me == V && life == 1, code_of_p(me));
        do
        :: atomic { hint[P] != 0 -> claim(P, me) };
           WHEN(fresh, fresh = false; code_of_p(me))
        :: atomic { hint[1] != 0 -> i = 1; claim(1, me) };
           run_child(i, me)
        :: atomic { hint[2] != 0 -> i = 2; claim(2, me) };
           run_child(i, me)
        :: atomic { scan[me] -> scan[me] = false; FIND(0); FIND(1); FIND(2) }
        :: atomic { woken[me] -> woken[me] = false };
           atomic {
               fresh = (parked[me] && phase[P] != PARKED);
               parked[me] = parked[me] && !fresh;
               running[me] = (fresh -> P + 1 : running[me])
           };
           WHEN(fresh, fresh = false; go_on(me))
        od
    } unless {
        atomic { deaths[me] >= life -> i = 0; e = 0; x = 0; k = 0; forget() }
    }
}

inline die(w)
{
    deaths[w]++;
    lose_hints()
}

proctype death(byte w)
{
    atomic { true -> die(w) }
}

#ifdef MUTANT_NO_BUMP
#define BUMP 0
#else
#define BUMP 1
#endif
#ifdef MUTANT_RETRY_ALWAYS
#define MAY_TRY(i) ((i) == P)
#else
#define MAY_TRY(i) ((i) == P && attempt < RETRIES)
#endif
#ifdef MUTANT_PARKED_LOST
#define IS_AT_WORK(i) (phase[i] == RUNNING)
#else
#define IS_AT_WORK(i) (phase[i] == RUNNING || phase[i] == PARKED)
#endif
#define IS_BEGUN(i) (running[d] == (i) + 1 || ((i) == P && run_at == d))

inline adopt(i)
{
    atomic {
        if
        :: owner[i] == d && phase[i] == INIT ->
           phase[i] = RELEASING;
           owner[i] = WARDEN
        :: owner[i] == d && phase[i] == RUNNING && !IS_BEGUN(i) ->
           phase[i] = READY;
           owner[i] = NOBODY
        :: owner[i] == d && IS_AT_WORK(i) && IS_BEGUN(i) && MAY_TRY(i) ->
           /* order: that it is another attempt is decided by this CAS; what
            * the dead one left is then given back before READY. */
           phase[i] = RUNNING;
           owner[i] = WARDEN;
           attempt = attempt + BUMP
        :: owner[i] == d && IS_AT_WORK(i) && IS_BEGUN(i) && !MAY_TRY(i) ->
           phase[i] = SETTLING;
           owner[i] = WARDEN;
           outcome[i] = CRASHED;
           crash_is_due = crash_is_due || i == P
        :: owner[i] == d && phase[i] >= SETTLING && phase[i] != DONE ->
           owner[i] = WARDEN
        :: else
        fi
    }
}

/* P is to be tried again. */
inline try_again()
{
#ifdef MUTANT_INPUT_FIRST
    x = run_at;
    run_at = 0;
    WHEN(x != 0 && ledger[x] != 0, give(ledger[x], WARDEN));
    x = 0;
#elif !defined(MUTANT_READY_FIRST)
    WHEN(run_at != 0, give_run(WARDEN); run_at = 0);
#endif
    atomic { phase[P] = READY; owner[P] = NOBODY };
#ifdef MUTANT_READY_FIRST
    scan[L] = true;
    WHEN(run_at != 0, give_run(WARDEN));
#endif
}

/* Its code was killed after it had settled. */
inline end_busy()
{
    give_run(WARDEN);
    run_at = 0;
    atomic {
        busy = false;
        owner[P] = NOBODY;
        fresh = orphan[P];
        phase[P] = (fresh -> RELEASING : DONE);
        owner[P] = (fresh -> WARDEN : NOBODY);
        fresh = false
    }
}

inline repair()
{
    adopt(0);
    adopt(1);
    adopt(2);
    WHEN(OURS(P, RUNNING, WARDEN), try_again());
#ifndef MUTANT_BUSY_STAYS
    WHEN(phase[P] == DONE && busy && owner[P] == d, end_busy());
#endif
    close_complete();
    work(WARDEN);
    atomic { running[d] = 0; parked[d] = false; ledger[d] = 0; woken[d] = false };
    scan[V] = true;
    scan[L] = true;
#ifndef MUTANT_NO_WAKE
    woken[V] = true;
    woken[L] = true;
#endif
    atomic {
        adopted[d]++;
#ifdef TWICE
        WHEN(d == L, run worker(L, 2))
#endif
    }
}

/* P's deadline. order: first it is settled, over its code, then the worker is
 * stopped; what that is at cannot change then, and if it is P's code, it is
 * killed. A parked task is only woken. */
inline deadline()
{
    atomic {
        x = (phase[P] == RUNNING || phase[P] == PARKED -> owner[P] : 0);
        fresh = (phase[P] == PARKED);
        if
        :: x == V || x == L ->
           phase[P] = SETTLING;
           owner[P] = WARDEN;
           outcome[P] = TIMEDOUT;
           over = x;
           busy = true
        :: else -> x = 0
        fi
    };
    if
    :: x != 0 ->
       y = x;
       WHEN(fresh, z = 1);
       fresh = false;
       x = 0;
       work(WARDEN);
       if
       :: z == 1 -> woken[y] = true
       :: else ->
#ifndef MUTANT_KILL_BLIND
          frozen = pid_of[y];
          WHEN(running[y] == P + 1 && busy, atomic { die(y) });
          frozen = 0
#else
          atomic { die(y) }
#endif
       fi
    :: else
    fi;
    y = 0;
    z = 0
}

proctype warden()
{
    byte d, e, x, y, z, who, when;
    bool fresh, late;

again:
    {
        do
        :: deaths[V] > adopted[V] -> d = V; repair()
        :: deaths[L] > adopted[L] -> d = L; repair()
#ifdef KILL
        :: !late -> late = true; deadline()
#endif
        od
    } unless {
        atomic { cut == 1 -> cut = 2; d = 0; e = 0; x = 0; forget() }
    };
    goto again
}

#ifdef CUT
proctype cutter()
{
    atomic { deaths[V] + deaths[L] > 0 -> cut = 1 }
}
#endif

proctype host()
{
    byte e, x, who, when;
    bool fresh;

    told;
    assert(IS_SETTLED(phase[P]));
    give(P, HOST);
    work(HOST)
}

/* Its child may be run, and P waits for it. */
inline v_died_in_p()
{
    deaths[V] = 1;
    run_at = V;
    started[P] = 1;
    ledger[V] = 1;
    phase[1] = READY;
    accepted[1] = true;
    watched[1] = true;
    edge[1] = TO_P(1);
    since = 1;
    phase[P] = PARKED
}

init
{
    byte i;

    atomic {
        phase[P] = RUNNING;
        owner[P] = V;
        accepted[P] = true;
        watched[P] = true;
        edge[P] = TO_HOST;
#ifdef TWICE
        v_died_in_p();
#else
        pid_of[V] = run worker(V, 1);
#endif
        pid_of[L] = run worker(L, 1);
#if defined(DELIVERER) || defined(TWICE)
        run death(L);
#elif !defined(KILL)
        run death(V);
#endif
#ifdef CUT
        run cutter();
#endif
        run warden();
        run host()
    };
    timeout;
    d_step {
        assert(told);
        do
        :: i < N ->
           assert(settled[i] == accepted[i]);
           assert(phase[i] == FREE && owner[i] == NOBODY);
#ifdef KILL
           assert(i == P || outcome[i] != CRASHED);
#endif
           i++
        :: else -> break
        od;
        assert(outcome[P] != CRASHED || crash_is_due);
        assert(!busy)
    }
}
