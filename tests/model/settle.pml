/* SPDX-License-Identifier: MIT */
/*
 * settle.pml - futures settle while dependants hang on, let go, and free.
 *
 * Two futures, 0 and 1, are settled by a process each. Dependants:
 *   the target  waits for both, as a combinator does, until it is READY or
 *               somebody cancels it; gives both futures back; is then used
 *               again, for something that nobody settles
 *   the waiter  waits for future 0 alone, or gives up; gives it back
 * so that future 0 has two holders, who race for its edges and for the last
 * handle. With -DCRASH the settler of future 0 dies before any of its steps,
 * and when it is dead, a recovery does again what it was at.
 *
 * Every word is changed by CAS, one step each, as in future/edge.c and
 * settle.c; a future has two edges here, the first for edge0, the second for
 * the list. The count of handles is one word (task/handle.c has its own
 * clients).
 *
 * Claims, when nothing moves any more:
 *   the target was READY at most once in a use, and then both its inputs had
 *   settled; it was READY or cancelled, and nothing of its first use has
 *   reached its second; the waiter has not been left waiting; each future was
 *   freed exactly once, and not while its edges were walked.
 *
 * Mutants, each must fail, those marked * with -DCRASH:
 *   MUTANT_SETTLE_BLIND    settle does not look at WATCHED
 *   MUTANT_WATCH_LAST      attach hangs the edge, then sets WATCHED
 *   MUTANT_NO_SELF         attach that comes too late does not deliver
 *   MUTANT_NO_CLOSE        settle leaves empty edges open
 *   MUTANT_CLOSE_BLIND     settle writes CLOSED without CAS
 *   MUTANT_CLOSE_FIRST   * settle closes an edge, then delivers
 *   MUTANT_DETACH_BLIND    detach writes DEAD without CAS
 *   MUTANT_NEW_ONLY      * an arrival that was set before is not acted on
 *   MUTANT_COUNT         * arrivals are counted
 *   MUTANT_UNTAGGED        arrivals are set without looking at the generation
 *   MUTANT_NO_RECHECK      READY without looking at the generation again
 *   MUTANT_NO_ACCEPT       the builder does not look after it wrote WAIT
 *   MUTANT_ORPHAN_FREES    the last holder frees whatever the settler does
 *   MUTANT_ORPHAN_STORES   the last holder writes ORPHAN without CAS
 *   MUTANT_ORPHAN_LOST     the settler does not look at ORPHAN
 *   MUTANT_NO_OWNER      * RELEASING does not say who frees
 */

#ifndef WAITERS
#define WAITERS 1
#endif
#ifndef SETTLED_1
#define SETTLED_1 0 /* 1: future 1 has settled when all begins */
#endif

/* A future's state: phase, flags, owner. */
#define RUNNING 0
#define COMPLETE 1
#define DONE 2
#define RELEASING 3
#define FREED 4
#define PHASE(w) ((w) & 7)
#define WATCHED 8
#define ORPHAN 16
#define FLAGS(w) ((w) & (WATCHED | ORPHAN))
#define BY(who) ((who) << 5)
#define OWNER(w) ((w) >> 5)
#define SETTLED(w) (PHASE(w) == COMPLETE || PHASE(w) == DONE)

/* Who moves a state. */
#define NOBODY 0
#define SETTLER0 1
#define OTHERS 2

/* An edge: nothing, or a target: its generation, and 0, 1 an arrival of the
 * target, 2 the waiter's. */
#define EMPTY 0
#define DEAD 1
#define CLOSED 2
#define TO(bit, generation) (8 + (bit) + 4 * (generation))
#define BIT_OF(x) (((x) - 8) % 4)
#define GENERATION_OF(x) (((x) - 8) / 4)

/* The target's state: phase and generation. Its arrivals: bits and generation. */
#define INIT 0
#define WAIT 1
#define READY 2
#define OVER 3
#define FULL 3
#define WORD(low, generation) ((low) + 4 * (generation))
#define LOW(w) ((w) % 4)
#define GENERATION(w) ((w) / 4)

byte state[2]; /* RUNNING */
byte edge[4];  /* future f: 2f and 2f + 1 */
byte holders[2];
byte target = WORD(INIT, 0), arrivals = WORD(0, 0);
byte waiter = WORD(0, 0); /* the waiter's arrivals */

/* Ghosts. */
bool dead;
byte freed[2], walkers[2];
byte readied;
bool built, waited;

inline free(f)
{
    atomic {
        if
        :: PHASE(state[f]) == RELEASING ->
           assert(walkers[f] == 0);
           freed[f]++;
           state[f] = FREED
        :: else -> assert(false)
        fi
    }
}

/* The arrivals are in: the target is READY, if it waits. */
inline proceed(generation)
{
    do
    :: true ->
       w = target;
       word = arrivals;
#ifndef MUTANT_NO_RECHECK
       if
       :: GENERATION(word) != generation || LOW(word) != FULL -> break
       :: else
       fi;
#endif
       if
       :: LOW(w) != WAIT -> break
       :: else
       fi;
       atomic {
           if
           :: target == w ->
              target = WORD(READY, GENERATION(w));
              readied++;
              assert(readied == 1);
              assert(GENERATION(w) == 0);
              assert(SETTLED(state[0]) && SETTLED(state[1]));
              break
           :: else
           fi
       }
    od
}

inline deliver(x)
{
    if
    :: BIT_OF(x) == 2 ->
       atomic {
           if
#ifdef MUTANT_UNTAGGED
           :: true
#else
           :: GENERATION(waiter) == GENERATION_OF(x)
#endif
              -> waiter = WORD(1, GENERATION(waiter))
           :: else
           fi
       }
    :: else ->
       fresh = false;
       old = arrivals;
       do
#ifndef MUTANT_UNTAGGED
       :: GENERATION(old) != GENERATION_OF(x) -> break
#endif
       :: else ->
#ifdef MUTANT_COUNT
          word = (LOW(old) < FULL -> old + 1 + (LOW(old) == 1) : old);
#else
          word = old | (1 << BIT_OF(x));
#endif
          atomic {
              if
              :: arrivals == old -> fresh = (word != old); arrivals = word; break
              :: else -> old = arrivals
              fi
          }
       od;
       if
#ifdef MUTANT_NEW_ONLY
       :: fresh && LOW(word) == FULL -> proceed(GENERATION_OF(x))
#else
       :: LOW(word) == FULL -> proceed(GENERATION_OF(x))
#endif
       :: else
       fi
    fi;
    word = 0;
    old = 0;
    w = 0;
    fresh = false
}

inline close(at)
{
    x = edge[at];
    do
    :: x == CLOSED -> break
    :: else ->
#ifndef MUTANT_CLOSE_FIRST
       if
       :: x >= TO(0, 0) -> deliver(x)
       :: else
       fi;
#endif
#ifdef MUTANT_NO_CLOSE
       if
       :: x < TO(0, 0) -> break
       :: else
       fi;
#endif
       atomic {
#ifdef MUTANT_CLOSE_BLIND
           edge[at] = CLOSED;
           break
#else
           if
           :: edge[at] == x -> edge[at] = CLOSED; done = true
           :: else -> x = edge[at]
           fi
#endif
       };
       if
       :: done ->
          done = false;
#ifdef MUTANT_CLOSE_FIRST
          if
          :: x >= TO(0, 0) -> deliver(x)
          :: else
          fi;
#endif
          break
       :: else
       fi
    od;
    x = 0
}

/* After COMPLETE: tell the dependants, then let go. */
inline finish(f, me)
{
    walkers[f]++;
    close(2 * f);
    close(2 * f + 1);
    walkers[f]--;
    atomic {
        assert(PHASE(state[f]) == COMPLETE);
#ifndef MUTANT_ORPHAN_LOST
        if
        :: (state[f] & ORPHAN) != 0 ->
           state[f] = RELEASING | FLAGS(state[f]) | BY(me);
           done = true
        :: else ->
#endif
           state[f] = DONE | FLAGS(state[f]);
#ifndef MUTANT_ORPHAN_LOST
        fi
#endif
    };
    if
    :: done -> done = false; free(f)
    :: else
    fi
}

inline settle(f, me)
{
    atomic {
        assert(PHASE(state[f]) == RUNNING);
        if
#ifdef MUTANT_SETTLE_BLIND
        :: (state[f] & ORPHAN) == 0
#else
        :: FLAGS(state[f]) == 0
#endif
           -> state[f] = DONE | FLAGS(state[f])
        :: else -> state[f] = COMPLETE | FLAGS(state[f]) | BY(me)
        fi;
        done = (PHASE(state[f]) == COMPLETE)
    };
    if
    :: done -> done = false; finish(f, me)
    :: else
    fi
}

/* Hang on future f. hook: the edge, or NONE if the future has settled. */
#define NONE 9
inline attach(f, to)
{
    hook = NONE;
#ifndef MUTANT_WATCH_LAST
    atomic {
        if
        :: SETTLED(state[f])
        :: else -> state[f] = state[f] | WATCHED; hook = 2 * f
        fi
    };
#else
    hook = 2 * f;
#endif
    do
    :: hook == NONE || hook > 2 * f + 1 -> assert(hook == NONE); break
    :: else ->
       atomic {
           if
           :: edge[hook] == EMPTY || edge[hook] == DEAD ->
              edge[hook] = to;
              break
           :: edge[hook] == CLOSED -> hook = NONE
           :: else -> hook++
           fi
       }
    od;
#ifdef MUTANT_WATCH_LAST
    state[f] = state[f] | WATCHED;
#endif
}

inline detach(at, to)
{
#ifdef MUTANT_DETACH_BLIND
    edge[at] = DEAD
#else
    atomic {
        if
        :: edge[at] == to -> edge[at] = DEAD
        :: else
        fi
    }
#endif
}

/* Give a handle of future f back. */
inline give(f)
{
    atomic {
        holders[f]--;
        done = (holders[f] == 0)
    };
    if
    :: done ->
       w = state[f];
       do
       :: true ->
          old = (PHASE(w) == DONE -> RELEASING | FLAGS(w) | BY(OTHERS)
                                  : w | ORPHAN);
#ifdef MUTANT_ORPHAN_FREES
          old = RELEASING | FLAGS(w) | BY(OTHERS);
#endif
          atomic {
#ifdef MUTANT_ORPHAN_STORES
              state[f] = old;
              break
#else
              if
              :: state[f] == w -> state[f] = old; break
              :: else -> w = state[f]
              fi
#endif
          }
       od;
       if
       :: PHASE(old) == RELEASING -> free(f)
       :: else
       fi
    :: else
    fi;
    done = false;
    w = 0;
    old = 0
}

proctype settler_of_0()
{
    byte w, word, old, x;
    bool done, fresh;

    {
        settle(0, SETTLER0)
    } unless {
        atomic {
            dead -> w = 0; word = 0; old = 0; x = 0; done = 0; fresh = 0
        }
    }
}

proctype settler_of_1()
{
    byte w, word, old, x;
    bool done, fresh;

    settle(1, OTHERS)
}

/* What the dead settler of future 0 was at is done again. */
proctype recovery()
{
    byte w, word, old, x;
    bool done, fresh;

    (dead);
    walkers[0] = 0; /* death is the fence: it walks no more */
    if
    :: PHASE(state[0]) == RUNNING -> settle(0, OTHERS)
    :: PHASE(state[0]) == COMPLETE -> finish(0, OTHERS)
#ifdef MUTANT_NO_OWNER
    :: PHASE(state[0]) == RELEASING -> free(0)
#else
    :: PHASE(state[0]) == RELEASING && OWNER(state[0]) == SETTLER0 -> free(0)
#endif
    :: else
    fi
}

proctype builder()
{
    byte w, word, old, x, hook;
    byte hooks[2];
    bool done, fresh;

    attach(0, TO(0, 0));
    hooks[0] = hook;
    if
    :: hook == NONE -> 
#ifndef MUTANT_NO_SELF
       deliver(TO(0, 0))
#endif
    :: else
    fi;
    attach(1, TO(1, 0));
    hooks[1] = hook;
    if
    :: hook == NONE ->
#ifndef MUTANT_NO_SELF
       deliver(TO(1, 0))
#endif
    :: else
    fi;
    hook = 0;
    target = WORD(WAIT, 0);
#ifndef MUTANT_NO_ACCEPT
    proceed(0);
#endif
    /* It runs, when it can; or it is cancelled, unless that comes too late. */
    if
    :: true -> target == WORD(READY, 0); target = WORD(OVER, 0)
    :: true ->
       atomic {
           done = (target == WORD(WAIT, 0));
           target = WORD(OVER, 0)
       };
       if
       :: done && hooks[0] != NONE -> detach(hooks[0], TO(0, 0))
       :: else
       fi;
       if
       :: done && hooks[1] != NONE -> detach(hooks[1], TO(1, 0))
       :: else
       fi;
       done = false
    fi;
    give(0);
    give(1);
    /* Another use of the record. */
    target = WORD(INIT, 1);
    arrivals = WORD(0, 1);
    target = WORD(WAIT, 1);
    built = true
}

proctype wait_for_0()
{
    byte w, old, hook;
    bool done;

    attach(0, TO(2, 0));
    if
    :: hook == NONE
    :: hook != NONE -> waiter == WORD(1, 0)
    :: hook != NONE -> detach(hook, TO(2, 0)) /* it gives up */
    fi;
    waiter = WORD(0, 1);
    give(0);
    waited = true
}

#ifdef CRASH
active proctype killer()
{
    dead = true
}
#endif

init
{
    atomic {
        holders[0] = 1 + WAITERS;
        holders[1] = 1;
        state[0] = RUNNING | BY(SETTLER0);
        run settler_of_0();
        if
        :: SETTLED_1 == 1 -> state[1] = DONE
        :: else -> state[1] = RUNNING | BY(OTHERS); run settler_of_1()
        fi;
        run recovery();
        run builder();
        if
        :: WAITERS == 1 -> run wait_for_0()
        :: else -> waited = true; waiter = WORD(0, 1)
        fi
    };
    timeout;
    atomic {
        assert(built && waited);
        assert(target == WORD(WAIT, 1) && arrivals == WORD(0, 1));
        assert(waiter == WORD(0, 1));
        assert(freed[0] == 1 && freed[1] == 1)
    }
}
