/* SPDX-License-Identifier: MIT */
/*
 * recovery.pml - worker processes die anywhere; the host's warden repairs.
 *
 * Two workers, V and L, the host, and the warden, a thread of the host. Three
 * records, each used once:
 *
 *   C   a task that the host waits for; V has just claimed it, when all begins.
 *       Its code submits A, and then B, which follows A: A's handle is lent to it. It gives nothing
 *       back itself: what is in its ledger is given back when it ends
 *   A   a task that nobody but B waits for
 *   B   a step: runs if A succeeds, else passes A's failure on
 *
 * None may run twice. V dies before any of its steps. With -DCUT the warden
 * itself stops before any of its steps, once, and begins anew; L begins when V
 * has died. With -DTWO V has died when all begins, at the end of C's code, and L
 * dies before any of its steps, also while the warden is at work; a replacement
 * of V begins when the warden has adopted what V owned.
 *
 * A state is phase, owner, outcome and flags, which move in one step, as the
 * CAS of one word does; a loop around a CAS is one step too, since it decides
 * anew each time. What one thread writes for itself is a step if somebody reads
 * it after its death. Queues are bags of hints, which a death may lose.
 *
 * What recovery needs, and the C code is to do, is marked "order:" below.
 *
 * Claims, when nothing moves any more:
 *   the host was told; what was accepted has settled, once; a task has crashed
 *   only if it was begun, and is begun once at most; each record was freed
 *   once, nobody owns one, each handle was given back, and each edge once at
 *   most.
 *
 * Mutants, each must fail; those marked 2 with -DTWO, those marked * with
 * -DCUT:
 *   MUTANT_OWNER_LATE       a claim writes RUNNING, and then its owner
 *   MUTANT_INIT_HOST        INIT says HOST, whoever it is
 *   MUTANT_SETTLING_NOBODY  SETTLING does not say who is at it
 *   MUTANT_COMPLETE_NOBODY  COMPLETE does not say who is at it
 *   MUTANT_RELEASING_ANY    RELEASING does not say who frees: all are repeated
 *   MUTANT_NO_RESCAN        no look at the table after a death
 *   MUTANT_NO_RECHECK       WAIT with its arrival is not acted on
 *   MUTANT_NO_COMPLETE      the edges are not closed again
 *   MUTANT_SELF_LATE        a builder that finds A settled notes that after WAIT
 *   MUTANT_BEGUN_AS_CLAIM   RUNNING counts as begun
 *   MUTANT_BEGUN_LATE       the code begins before it is noted
 *   MUTANT_BEGUN_BY_INPUT   what is noted in input alone counts as begun
 *   MUTANT_LEDGER_LATE      a handle is noted after its record is accepted
 *   MUTANT_LEND_FIRST       A is lent to B before B names it
 *   MUTANT_NO_HAND          the last input is given back, and noted nowhere
 *   MUTANT_CLEAR_FIRST      an input is cleared, and then given back
 *   MUTANT_GIVE_FIRST     * an edge is given back, and then unlinked
 *   MUTANT_NO_OWN         * what the warden was at is not repeated
 *   MUTANT_POST_FIRST     * the post is cleared before the records are adopted
 *   MUTANT_SLOT_FIRST     2 a replacement begins before V's records are adopted
 */

#ifdef CUT
#define BEGIN_L dead[V]
#else
#define BEGIN_L true
#endif

#define N 3
#define A 0
#define B 1
#define C 2

#include "recovery.h"

/* What input says: nothing, A's handle, lent; or where the run is. */
#define NOTHING 0
#define LENT_A 1
#define RUN 2

/* An edge. */
#define EMPTY 0
#define TO_B 1
#define TO_HOST 2
#define CLOSED 3

/* The state word. */
byte phase[N], owner[N], outcome[N];
bool watched[N], lent[N], gone[N], orphan[N], later[N]; /* later: generation */

byte input[N], edge[N];
bool list[N]; /* a further edge, which goes with the record */
bool arrived; /* deps of B */
bool told;    /* the host's waiter */

byte hint[N];   /* in whose queue */
bool scan[3];   /* V, L: rescan has moved */

/* Of each worker, in its post. */
byte running[3]; /* what its code is of, + 1 */
bool hand[3];    /* A's handle, which B's end is about to give back */

/* The run of C: its ledger. That of B has the handle of A. */
bool ledger[2];

bool dead[3], adopted[3];
byte cut;

/* Ghosts. */
bool accepted[N], begun[N];
byte settled[N], freed[N], started[N], given[N];

#ifdef MUTANT_INIT_HOST
#define BUILDER(me) HOST
#else
#define BUILDER(me) (me)
#endif
#ifdef MUTANT_SETTLING_NOBODY
#define SETTLER(me) NOBODY
#else
#define SETTLER(me) (me)
#endif
#ifdef MUTANT_COMPLETE_NOBODY
#define TELLER(me) NOBODY
#else
#define TELLER(me) (me)
#endif

/* Whether the code of a record that the dead d had claimed may have begun.
 * order: input is what it was again before the record settles, so that running
 * is needed; a task that is parked is not the one that runs, so that input is
 * needed, too. */
#if defined(MUTANT_BEGUN_AS_CLAIM)
#define IS_BEGUN(i) true
#elif defined(MUTANT_BEGUN_BY_INPUT)
#define IS_BEGUN(i) (input[i] == RUN)
#else
#define IS_BEGUN(i) (input[i] == RUN || running[d] == i + 1)
#endif

#ifdef MUTANT_NO_HAND
#define NOTED false
#else
#define NOTED true
#endif

#define SETTLES(i, how)       \
    outcome[i] = (how);       \
    settled[i]++;             \
    assert(settled[i] == 1);  \
    assert(outcome[i] != CRASHED || begun[i])

/* Give a handle back, by one CAS of its word: so once. */
inline give(i, as_lent, me)
{
    atomic {
        if
        :: !later[i] && IS_LIVE(phase[i]) && !gone[i] && lent[i] == as_lent ->
           gone[i] = true;
           if
           :: phase[i] == DONE -> phase[i] = RELEASING; owner[i] = me
           :: else -> orphan[i] = true
           fi
        :: else
        fi
    }
}

/* B's arrival is set: go on with it, if it waits. */
inline proceed(me)
{
    atomic {
        if
        :: arrived && phase[B] == WAIT && outcome[A] == SUCCESS ->
           phase[B] = READY;
           owner[B] = NOBODY;
           fresh = true
        :: arrived && phase[B] == WAIT && outcome[A] != SUCCESS ->
           phase[B] = SETTLING;
           owner[B] = SETTLER(me);
           outcome[B] = FORWARD
        :: else
        fi
    };
    WHEN(fresh, atomic { fresh = false; hint[B] = me })
}

/* What follows COMPLETE. */
inline finish(i, me)
{
    do
    :: e = edge[i];
       if
       :: e == CLOSED -> break
       :: e == TO_B -> arrived = true; proceed(me)
       :: e == TO_HOST -> told = true
       :: else
       fi;
       atomic { WHEN(edge[i] == e, edge[i] = CLOSED; break) }
    od;
    e = 0;
    atomic {
        assert(phase[i] == COMPLETE);
        phase[i] = (orphan[i] -> RELEASING : DONE);
        owner[i] = (orphan[i] -> me : NOBODY)
    }
}

/* What a run that has not ended left behind. order: where input leads to the
 * run, it comes back from there, when all else of the run was given back. */
inline give_run(i, me)
{
    WHEN(i == C && ledger[A], give(A, false, me));
    WHEN(i == C && ledger[B], give(B, false, me));
    input[i] = (i == B -> LENT_A : NOTHING)
}

/* From SETTLING to the commit, and what follows. */
inline conclude(i, me)
{
    WHEN(input[i] == RUN, give_run(i, me));
    /* order: given back first, cleared afterwards */
    if
    :: outcome[i] != FORWARD && input[i] == LENT_A ->
#ifdef MUTANT_CLEAR_FIRST
       input[i] = NOTHING;
       give(A, true, me)
#else
       give(A, true, me);
       input[i] = NOTHING
#endif
    :: else
    fi;
    atomic {
        phase[i] = COMPLETE;
        owner[i] = TELLER(me);
        SETTLES(i, outcome[i])
    };
    finish(i, me)
}

inline dispose(i, me)
{
    WHEN(input[i] == LENT_A, give(A, true, me));
    /* order: unlinked first; then it is lost rather than given twice */
    if
    :: list[i] ->
#ifdef MUTANT_GIVE_FIRST
       atomic { given[i]++; assert(given[i] == 1) };
       list[i] = false
#else
       list[i] = false;
       atomic { given[i]++; assert(given[i] == 1) }
#endif
    :: else
    fi;
    atomic {
        assert(phase[i] == RELEASING);
        phase[i] = FREE;
        owner[i] = NOBODY;
        later[i] = true;
        freed[i]++
    }
}

/* The code of C. */
inline code_of_c(me)
{
    /* order: a handle is noted before its record is accepted, by the name that
     * it will have; if the record is never accepted, the name is stale. */
#ifndef MUTANT_LEDGER_LATE
    ledger[A] = true;
#endif
    atomic { phase[A] = INIT; owner[A] = BUILDER(me) };
    atomic { phase[A] = READY; owner[A] = NOBODY; accepted[A] = true };
#ifdef MUTANT_LEDGER_LATE
    ledger[A] = true;
#endif
    hint[A] = me;
    atomic { phase[B] = INIT; owner[B] = BUILDER(me) };
#ifndef MUTANT_LEDGER_LATE
    ledger[B] = true;
#endif
    /* order: B names the handle before it is lent, so whoever finds B in INIT
     * knows what to give back, if it was lent. */
#ifdef MUTANT_LEND_FIRST
    lent[A] = true;
    input[B] = LENT_A;
#else
    input[B] = LENT_A;
    lent[A] = true;
#endif
    atomic {
        fresh = !IS_SETTLED(phase[A]);
        watched[A] = watched[A] || fresh
    };
    if
    :: fresh ->
       atomic {
           fresh = (edge[A] == EMPTY);
           edge[A] = (fresh -> TO_B : edge[A])
       }
    :: else
    fi;
    /* order: that A has settled is noted before WAIT, so it is seen there. */
#ifndef MUTANT_SELF_LATE
    WHEN(!fresh, arrived = true);
#endif
    atomic { phase[B] = WAIT; owner[B] = NOBODY; accepted[B] = true };
#ifdef MUTANT_SELF_LATE
    WHEN(!fresh, arrived = true);
#elif defined(MUTANT_LEDGER_LATE)
    ledger[B] = true;
#endif
    fresh = false;
    proceed(me)
}

inline execute(i, me)
{
    /* order: both as late as can be; from either on, it counts as begun. */
#ifdef MUTANT_BEGUN_LATE
    atomic { started[i]++; assert(started[i] == 1) };
#endif
    atomic { running[me] = i + 1; begun[i] = true };
#ifdef MUTANT_BEGUN_LATE
    input[i] = RUN;
#else
    atomic { input[i] = RUN; started[i]++; assert(started[i] == 1) };
#endif
    if
    :: i == C ->
       code_of_c(me);
       give(A, false, me);
       give(B, false, me)
    :: else
    fi;
    work(me);
    /* order: the worker has in hand what the record names no more. */
    WHEN(i == B, hand[me] = NOTED);
    input[i] = NOTHING;
    atomic {
        assert(phase[i] == RUNNING && owner[i] == me);
        fresh = watched[i] || orphan[i];
        phase[i] = (fresh -> COMPLETE : DONE);
        owner[i] = (fresh -> TELLER(me) : NOBODY);
        SETTLES(i, SUCCESS)
    };
    WHEN(fresh, fresh = false; finish(i, me));
    WHEN(i == B, give(A, true, me); hand[me] = false);
    work(me)
}

inline run_claimed(i, me)
{
    if
    :: fresh ->
#ifdef MUTANT_OWNER_LATE
       owner[i] = me;
#endif
       fresh = false;
       execute(i, me)
    :: else
    fi;
    i = 0
}

proctype worker(byte me; bool mortal)
{
    byte i, e, x;
    bool fresh;

    {
        if
        :: mortal && me == V -> execute(C, V)
        :: me == L -> BEGIN_L
        :: else
        fi;
        do
        :: atomic { hint[A] != 0 -> i = A; claim(A, me) };
           run_claimed(i, me)
        :: atomic { hint[B] != 0 -> i = B; claim(B, me) };
           run_claimed(i, me)
        :: atomic { hint[C] != 0 -> i = C; claim(C, me) };
           run_claimed(i, me)
        :: atomic {
               scan[me] ->
               scan[me] = false;
               FIND(A);
               FIND(B);
               FIND(C)
           }
        od
    } unless {
        atomic { mortal && dead[me] -> i = 0; e = 0; x = 0; fresh = false }
    }
}

/* A death: no store of the dead comes later. No hint outlives it; whoever was
 * to follow one may have done so just before. */
proctype death(byte w)
{
    atomic { dead[w] = true; lose_hints() }
}

/* One record of the dead d becomes the warden's, or READY: one CAS each, so
 * that it matters little where this is cut. */
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
        :: owner[i] == d && phase[i] == RUNNING && IS_BEGUN(i) ->
           phase[i] = SETTLING;
           owner[i] = SETTLER(WARDEN);
           outcome[i] = CRASHED
        :: owner[i] == d && (phase[i] == SETTLING || phase[i] == RELEASING) ->
           owner[i] = WARDEN
#ifndef MUTANT_NO_COMPLETE
        :: owner[i] == d && phase[i] == COMPLETE -> owner[i] = WARDEN
#endif
#ifdef MUTANT_RELEASING_ANY
        :: owner[i] != d && phase[i] == RELEASING -> owner[i] = WARDEN
#endif
        :: else
        fi
    }
}

/* What the dead was about to give back: to the record, if that has not
 * settled, so that it is settled as one that still has it. */
inline open_hand()
{
    if
    :: hand[d] && phase[B] == RUNNING && owner[B] == d && input[B] == NOTHING ->
       input[B] = LENT_A
    :: hand[d] && !(phase[B] == RUNNING && owner[B] == d) ->
       give(A, true, WARDEN)
    :: else
    fi;
    hand[d] = false
}

#ifdef MUTANT_NO_OWN
#define REPEATS (cut < 2)
#else
#define REPEATS true
#endif

inline repair()
{
#ifdef MUTANT_POST_FIRST
    running[d] = 0;
#endif
    open_hand();
    adopt(A);
    adopt(B);
    adopt(C);
    running[d] = 0;
#if defined(TWO) && !defined(MUTANT_SLOT_FIRST)
    WHEN(d == V && !replaced, atomic { replaced = true; run worker(V, false) });
#endif
    WHEN(REPEATS, close_complete(); work(WARDEN));
#ifndef MUTANT_NO_RECHECK
    proceed(WARDEN);
    work(WARDEN);
#endif
#ifndef MUTANT_NO_RESCAN
    scan[V] = true;
    scan[L] = true;
#endif
    adopted[d] = true
}

proctype warden()
{
    byte d, e, x;
    bool fresh, replaced;

again:
    {
        do
        :: dead[V] && !adopted[V] ->
           d = V;
#ifdef MUTANT_SLOT_FIRST
           WHEN(!replaced, atomic { replaced = true; run worker(V, false) });
#endif
           repair()
        :: dead[L] && !adopted[L] -> d = L; repair()
        od
    } unless {
        atomic { cut == 1 -> cut = 2; d = 0; e = 0; x = 0; fresh = false }
    };
    goto again
}

#ifdef CUT
proctype cutter()
{
    atomic { dead[V] -> cut = 1 }
}
#endif

/* The host, which hangs on C from the start, gives it back when it was told. */
proctype host()
{
    byte e, x;
    bool fresh;

    told;
    assert(IS_SETTLED(phase[C]));
    give(C, false, HOST);
    work(HOST)
}

inline v_died_in_c()
{
    dead[V] = true;
    running[V] = C + 1;
    begun[C] = true;
    input[C] = RUN;
    started[C] = 1;
    ledger[A] = true;
    ledger[B] = true;
    phase[A] = READY;
    accepted[A] = true;
    lent[A] = true;
    watched[A] = true;
    edge[A] = TO_B;
    phase[B] = WAIT;
    accepted[B] = true;
    input[B] = LENT_A
}

init
{
    byte i;

    atomic {
        phase[C] = RUNNING;
        owner[C] = V;
        accepted[C] = true;
        watched[C] = true;
        edge[C] = TO_HOST;
        list[A] = true;
        list[C] = true;
#ifdef TWO
        v_died_in_c();
        run worker(L, true);
        run death(L);
#else
        run worker(V, true);
        run worker(L, false);
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
           assert(freed[i] == 1 || (freed[i] == 0 && !accepted[i]));
           i++
        :: else -> break
        od;
        assert(!hand[V] && !hand[L])
    }
}
