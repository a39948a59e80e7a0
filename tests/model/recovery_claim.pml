/* SPDX-License-Identifier: MIT */
/*
 * recovery_claim.pml - one record, claimed, run, settled, freed and used again,
 * while whoever is at it dies at any step, and so may who repairs that.
 *
 * The host submits a task and waits for it, or lets go of it at once; when the
 * record is free again, it is used for another task. Two workers, V and L, look
 * for hints, claim and run; the warden repairs after a death, in the order of
 * process/recover.c, and then another process takes the place. Each task may
 * be idempotent, and then runs again after a death, once. Settings:
 *
 *   (none)   V dies before any of its steps
 *   -DTWO    so do V and L, also while the warden is at work
 *   -DCUT    V dies, and the warden stops before any of its steps, once, and
 *            another begins anew. The library does not need that: a thread of the host
 *            repairs, whose death ends the pool, and which writes HOST. Its
 *            steps can be repeated if it has a name of its own (MUTANT_NO_OWN)
 *
 * A state is phase, owner, use (the generation), outcome and flags, which move
 * in one step, as the CAS of one word does. What is written beside it is a step
 * of its own. A hint that a dead worker had in its hands is lost. What tasks
 * submit themselves, and hand to each other, is in recovery.pml; parking and
 * deadlines are in recovery_retry.pml; free lists in recovery_free.pml.
 *
 * Claims, when nothing moves any more:
 *   what was accepted has settled, once, and its outcome was there as long as
 *   somebody could ask: a value is the one that was written; a task was begun
 *   once at most, an idempotent one once more for a death; it has crashed only
 *   if it was begun, and may not be begun once more; nobody sleeps; the record
 *   is free and nobody's, in each use once, and what belonged to it was given
 *   back once.
 *
 * Mutants, each must fail, those marked 2 with -DTWO, those marked c with
 * -DCUT, and those marked b with both:
 *   MUTANT_OWNER_LATE     a claim writes RUNNING, and then its owner
 *   MUTANT_BEGUN_LATE     the code begins before it is noted
 *   MUTANT_BY_INPUT       a task that has left its run counts as not begun
 *   MUTANT_AS_CLAIM       what is claimed counts as begun
 *   MUTANT_ANY_AGAIN      what is not idempotent runs again
 *   MUTANT_NO_RESCAN      what is READY is not queued once more
 *   MUTANT_NO_PUT_BACK    a claim that was not begun is left alone
 *   MUTANT_NO_COMPLETE    COMPLETE is not done again
 *   MUTANT_NO_RELEASING   RELEASING is not done again
 *   MUTANT_RELEASING_ANY  that of others is, too
 *   MUTANT_RESULT_LOST    what is COMPLETE has crashed
 *   MUTANT_CLOSE_FIRST    an edge is closed, and then the waiter told
 *   MUTANT_NEW_ONLY       a waiter that was told before is not woken
 *   MUTANT_WAKE_FIRST     a waiter is woken, and then told
 *   MUTANT_NO_LOOK        a waiter falls asleep without looking again
 *   MUTANT_GIVE_FIRST     a block is given back, and then unlinked
 *   MUTANT_SLOT_FIRST     a replacement begins before all is repaired
 *   MUTANT_USE_BLIND    2 a claim does not look at the generation
 *   MUTANT_NO_OWN       c what the warden was at is not repeated
 *   MUTANT_POST_FIRST   c the post is cleared before the record is looked at
 *   MUTANT_COUNT_LATE   b READY, and then the death is counted
 */
#ifndef USES
#define USES 2 /* of the record; 1: it is not used again */
#endif
#define RETRIES 1

#include "recovery.h"

#define NOTHING 0 /* input */
#define RUN 1

#define EMPTY 0 /* edge */
#define TO_HOST 1
#define CLOSED 2

/* The state word. */
byte phase = FREE, owner, outcome, use;
bool watched, orphan;

/* Beside it. */
byte input, edge, value, crashes;
bool idempotent, block;

/* The word that the host sleeps on, and whether it does. */
bool told, sleeps, asleep;

bool queued[USES]; /* a hint, in any queue */
byte running[3];   /* in the posts of V and L: a hint, which is a use, + 1 */
bool dead[3], buried[3];
byte cut;
bool host_is_through;

/* Ghosts. */
bool accepted[USES], begun[USES];
byte settled[USES], started[USES], freed[USES], given[USES];

#define SETTLES(how)                                                     \
    outcome = (how);                                                     \
    settled[use]++;                                                      \
    assert(settled[use] == 1);                                           \
    assert(outcome != SUCCESS || value == use + 1);                      \
    assert(outcome != CRASHED ||                                         \
           (begun[use] && (!idempotent || crashes == RETRIES)))

/* -- what anybody does who moves the record on -- */

inline deliver()
{
#ifdef MUTANT_WAKE_FIRST
    WHEN(sleeps, asleep = false);
    told = true
#else
    atomic {
#ifdef MUTANT_NEW_ONLY
        wakes = sleeps && !told;
#else
        wakes = sleeps;
#endif
        told = true
    };
    WHEN(wakes, asleep = false);
    wakes = false
#endif
}

inline dispose(me)
{
    if
    :: block ->
#ifdef MUTANT_GIVE_FIRST
       atomic { given[use]++; assert(given[use] == 1) };
       block = false
#else
       block = false;
       atomic { given[use]++; assert(given[use] == 1) }
#endif
    :: else
    fi;
    atomic {
        assert(phase == RELEASING);
        freed[use]++;
        phase = FREE;
        owner = NOBODY;
        outcome = NONE;
        watched = false;
        orphan = false;
        use++
    }
}

/* What follows COMPLETE. */
inline finish(me)
{
    do
    :: e = edge;
       if
       :: e == CLOSED -> break
#ifndef MUTANT_CLOSE_FIRST
       :: e == TO_HOST -> deliver()
#endif
       :: else
       fi;
       atomic { WHEN(edge == e, edge = CLOSED; break) }
    od;
#ifdef MUTANT_CLOSE_FIRST
    WHEN(e == TO_HOST, deliver());
#endif
    e = 0;
    atomic {
        assert(phase == COMPLETE);
        fresh = orphan;
        phase = (fresh -> RELEASING : DONE);
        owner = (fresh -> me : NOBODY)
    };
    WHEN(fresh, fresh = false; dispose(me))
}

inline settle_running(how, me)
{
    atomic {
        assert(phase == RUNNING);
        fresh = watched || orphan;
        phase = (fresh -> COMPLETE : DONE);
        owner = (fresh -> me : NOBODY);
        SETTLES(how)
    };
    WHEN(fresh, fresh = false; finish(me))
}

/* -- workers -- */

inline note(me)
{
    atomic { running[me] = hint; begun[use] = true }
}

inline execute(me)
{
#ifndef MUTANT_BEGUN_LATE
    note(me);
    input = RUN;
#endif
    value = 0;
    atomic {
        started[use]++;
        assert(started[use] <= 1 + (idempotent -> RETRIES : 0))
    };
#ifdef MUTANT_BEGUN_LATE
    note(me);
    input = RUN;
#endif
    value = use + 1;
    input = NOTHING;
    settle_running(SUCCESS, me)
}

#ifdef MUTANT_USE_BLIND
#define IS_OF(u) true
#else
#define IS_OF(u) (use == (u))
#endif

inline follow(me)
{
    atomic {
        fresh = (phase == READY && IS_OF(hint - 1));
        phase = (fresh -> RUNNING : phase)
#ifndef MUTANT_OWNER_LATE
        ;
        owner = (fresh -> me : owner)
#endif
    };
    if
    :: fresh ->
#ifdef MUTANT_OWNER_LATE
       owner = me;
#endif
       fresh = false;
       execute(me)
    :: else
    fi;
    hint = 0
}

proctype worker(byte me; bool mortal)
{
    byte e, hint;
    bool fresh, wakes;

    {
        do
        :: atomic { queued[0] -> queued[0] = false; hint = 1 }; follow(me)
#if USES > 1
        :: atomic { queued[1] -> queued[1] = false; hint = 2 }; follow(me)
#endif
        od
    } unless {
        atomic {
            mortal && dead[me] -> e = 0; hint = 0; fresh = false; wakes = false
        }
    }
}

/* No store of the dead comes later. */
proctype death(byte w)
{
    dead[w] = true
}

/* -- the warden -- */

#ifdef MUTANT_ANY_AGAIN
#define MAY_RUN_AGAIN (crashes < RETRIES)
#else
#define MAY_RUN_AGAIN (idempotent && crashes < RETRIES)
#endif

inline fail()
{
    if
    :: MAY_RUN_AGAIN ->
#ifndef MUTANT_COUNT_LATE
       crashes++;
#endif
       input = NOTHING;
       atomic { phase = READY; owner = NOBODY };
#ifdef MUTANT_COUNT_LATE
       crashes++
#endif
    :: else ->
       input = NOTHING;
       settle_running(CRASHED, WARDEN)
    fi
}

#if defined(MUTANT_BY_INPUT)
#define IS_BEGUN(culprit) (input == RUN)
#elif defined(MUTANT_AS_CLAIM)
#define IS_BEGUN(culprit) true
#else
#define IS_BEGUN(culprit) (input == RUN || (culprit))
#endif

#ifdef MUTANT_RELEASING_ANY
#define IS_TO_BE_FREED (phase == RELEASING)
#else
#define IS_TO_BE_FREED (phase == RELEASING && owner == d)
#endif

inline look_at(culprit)
{
    if
    :: phase == RUNNING && owner == d && IS_BEGUN(culprit) -> fail()
#ifndef MUTANT_NO_PUT_BACK
    :: phase == RUNNING && owner == d && !IS_BEGUN(culprit) ->
       atomic { phase = READY; owner = NOBODY }
#endif
#if defined(MUTANT_RESULT_LOST)
    :: phase == COMPLETE && owner == d ->
       atomic { SETTLES(CRASHED) };
       finish(WARDEN)
#elif !defined(MUTANT_NO_COMPLETE)
    :: phase == COMPLETE && owner == d -> finish(WARDEN)
#endif
#ifndef MUTANT_NO_RELEASING
    :: IS_TO_BE_FREED -> dispose(WARDEN)
#endif
    :: else
    fi
}

/* What a warden was at that stopped. */
inline look_at_own()
{
#ifdef MUTANT_NO_OWN
    skip
#else
    if
    :: phase == COMPLETE && owner == WARDEN -> finish(WARDEN)
    :: phase == RELEASING && owner == WARDEN -> dispose(WARDEN)
    :: else
    fi
#endif
}

inline replace()
{
    atomic { WHEN(!replaced[d], replaced[d] = true; run worker(d, false)) }
}

inline repair()
{
#ifdef MUTANT_SLOT_FIRST
    replace();
#endif
    look_at_own();
    was = running[d];
#ifdef MUTANT_POST_FIRST
    running[d] = 0;
#endif
    /* First the task that it was at, and then the table. */
    WHEN(was == use + 1, look_at(true));
    was = 0;
    look_at(false);
#ifndef MUTANT_NO_RESCAN
    atomic { WHEN(phase == READY, queued[use] = true) };
#endif
    running[d] = 0;
    atomic { buried[d] = true; replace() }
}

bool replaced[3];

proctype warden()
{
    byte d, e, was;
    bool fresh, wakes;

again:
    {
        do
        :: dead[V] && !buried[V] -> d = V; repair()
        :: dead[L] && !buried[L] -> d = L; repair()
        od
    } unless {
        atomic {
            cut == 1 -> cut = 2; d = 0; e = 0; was = 0; fresh = false;
            wakes = false
        }
    };
    goto again
}

#ifdef CUT
proctype cutter()
{
    atomic { dead[V] || dead[L] -> cut = 1 }
}
#endif

/* -- the host -- */

inline submit(u)
{
    atomic { phase == FREE && use == u -> phase = INIT; owner = HOST };
    atomic {
        input = NOTHING;
        edge = EMPTY;
        value = 0;
        crashes = 0;
        block = true;
        told = false;
        sleeps = false;
        if
        :: idempotent = true
        :: idempotent = false
        fi
    };
    atomic { phase = READY; owner = NOBODY; accepted[u] = true };
    queued[u] = true
}

inline await(u)
{
    atomic {
        fresh = !IS_SETTLED(phase);
        watched = watched || fresh
    };
    if
    :: fresh ->
       atomic {
           fresh = (edge == EMPTY);
           edge = (fresh -> TO_HOST : edge)
       }
    :: else
    fi;
    do
    :: !fresh || told -> break
    :: fresh && !told ->
       atomic { sleeps = (told -> sleeps : true) };
       /* The kernel compares, and puts to sleep, in one step. */
#ifdef MUTANT_NO_LOOK
       asleep = true;
#else
       atomic { asleep = !told };
#endif
       !asleep
    od;
    fresh = false;
    atomic {
        assert(use == u && IS_SETTLED(phase) && settled[u] == 1);
        assert(outcome == SUCCESS || outcome == CRASHED);
        assert(outcome != SUCCESS || value == u + 1)
    }
}

inline give()
{
    atomic {
        fresh = (phase == DONE);
        phase = (fresh -> RELEASING : phase);
        owner = (fresh -> HOST : owner);
        orphan = (fresh -> orphan : true)
    };
    WHEN(fresh, fresh = false; dispose(HOST))
}

proctype host()
{
    byte e, u;
    bool fresh, wakes;

    do
    :: u < USES ->
       submit(u);
       if
       :: await(u)
       :: true
       fi;
       give();
       u++
    :: else -> break
    od;
    host_is_through = true
}

init
{
    byte u;

    atomic {
        run worker(V, true);
        run death(V);
#ifdef TWO
        run worker(L, true);
        run death(L);
#else
        run worker(L, false);
#endif
#ifdef CUT
        run cutter();
#endif
        run warden();
        run host()
    };
    timeout;
    d_step {
        assert(host_is_through && !asleep);
        assert(phase == FREE && owner == NOBODY && use == USES);
        do
        :: u < USES ->
           assert(accepted[u] && settled[u] == 1);
           assert(started[u] > 0 || begun[u]);
           assert(freed[u] == 1 && given[u] <= 1);
           u++
        :: else -> break
        od
    }
}
