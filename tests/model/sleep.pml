/* SPDX-License-Identifier: MIT */
/*
 * sleep.pml - idle workers sleep, and no task is left lying meanwhile.
 *
 * WORKERS workers with a deque each, an injector, SUBMITTERS threads outside
 * that submit a task each, SPAWNS tasks that running tasks push on their own
 * worker's deque, and RESUMES things that only worker 0 can do. Queues are
 * numbers here: what they do between their own steps is checked elsewhere. A
 * task ends or never ends; one that never ends is how the model asks for work
 * conservation: nobody may count on a busy worker.
 *
 * Each worker has two bits, IDLE and SEARCHING, of one word, and a bell. The
 * calls of sync/sleep.h are inlines here, with the same names; the worker's
 * loop is that of worker/loop.c and find.c.
 *
 * Claims, at every moment where nothing can move any more (timeout):
 *   no task is queued, and nothing resumed for a worker, while a worker that
 *   could do it sleeps; the idle bits are exactly the sleepers; no searching
 *   bit is left.
 *
 * With -DCRASH the last worker dies before any of its steps, and the host takes
 * its bits away, rings all bells, since one may be that of a worker which the
 * dead one had marked and not rung, and notifies.
 *
 * Mutants, each must fail, those marked * with -DCRASH:
 *   MUTANT_NO_LOOK            sleeps without looking after announce
 *   MUTANT_LOOK_FIRST         looks before announce
 *   MUTANT_NOTIFY_FIRST       notifies before it pushes
 *   MUTANT_NO_MORE            does not look again when it has found something
 *   MUTANT_MORE_FIRST         looks for more before it clears SEARCHING
 *   MUTANT_KEEP_SEARCHING     keeps the bit when it goes to work
 *   MUTANT_KEEP_IDLE          wait returns early, and leaves the bit
 *   MUTANT_TWO_STEPS          notify takes IDLE away, then sets SEARCHING
 *   MUTANT_BELL_ONLY          wait trusts the bell, which may be stale
 *   MUTANT_BELL_LATE          wait clears the bell after looking at the bit
 *   MUTANT_STEAL_SILENT       a busy worker steals a batch and tells nobody
 *   MUTANT_NO_WAKE            what is resumed is pushed, and nobody woken
 *   MUTANT_WAKE_FIRST         the worker is woken before the push
 *   MUTANT_BITS_STAY        * the bits of the dead stay
 *   MUTANT_NO_RING          * the wake-up that died is not rung again
 *   MUTANT_NO_NOTIFY        * nobody is notified after a death
 *   MUTANT_RESCAN_LAST      * what was recovered is made READY after that
 */
#ifndef WORKERS
#define WORKERS 3
#endif
#ifndef SUBMITTERS
#define SUBMITTERS 1
#endif
#ifndef SPAWNS
#define SPAWNS 1
#endif
#ifndef RESUMES
#define RESUMES 0
#endif
#ifndef BEFORE
#define BEFORE 0
#endif
#define BIT(w) (1 << (w))

byte injector = BEFORE, deque[WORKERS];
byte resumed; /* for worker 0 */
byte idle, searching; /* one word: bit w for worker w */
bool rung[WORKERS];
byte spawns = SPAWNS;

bool asleep[WORKERS]; /* ghost: in the futex */
bool dead;            /* ghost: the last worker */

/* The CAS of a whole word, from what was read to what is next. */
inline cas_word(next_idle, next_searching)
{
    atomic {
        won = (idle == v_idle && searching == v_searching);
        if
        :: won -> idle = next_idle; searching = next_searching
        :: else -> v_idle = idle; v_searching = searching
        fi
    }
}

inline load_word()
{
    atomic {
        v_idle = idle;
        v_searching = searching
    }
}

inline forget()
{
    d_step {
        v_idle = 0;
        v_searching = 0;
        won = false;
        who = 0
    }
}

inline notify()
{
    load_word();
    do
    :: v_searching != 0 || v_idle == 0 -> break
    :: else ->
       d_step {
           who = 0;
           do
           :: (v_idle & BIT(who)) != 0 -> break
           :: else -> who++
           od
       };
#ifdef MUTANT_TWO_STEPS
       cas_word(v_idle & ~BIT(who), v_searching);
#else
       cas_word(v_idle & ~BIT(who), v_searching | BIT(who));
#endif
       if
       :: won ->
#ifdef MUTANT_TWO_STEPS
          searching = searching | BIT(who);
#endif
          rung[who] = true;
          break
       :: else
       fi
    od;
    forget()
}

inline wake(w)
{
    load_word();
    do
    :: (v_idle & BIT(w)) == 0 -> break
    :: else ->
       cas_word(v_idle & ~BIT(w), v_searching | BIT(w));
       if
       :: won -> rung[w] = true; break
       :: else
       fi
    od;
    forget()
}

inline withdraw()
{
    atomic {
        if
        :: (idle & BIT(me)) != 0 ->
           idle = idle & ~BIT(me);
           searching = searching | BIT(me)
        :: else
        fi
    }
}

inline announce()
{
    atomic {
        assert((searching & BIT(me)) != 0);
        searching = searching & ~BIT(me);
        idle = idle | BIT(me)
    }
}

inline wait()
{
    do
#ifdef MUTANT_BELL_ONLY
    :: asleep[me] = true;
end_futex:
       atomic {
           rung[me] -> rung[me] = false;
           asleep[me] = false;
           break
       }
#else
    :: true ->
#ifndef MUTANT_BELL_LATE
       rung[me] = false;
#endif
       if
       :: (idle & BIT(me)) == 0 -> break
       :: else
       fi;
#ifdef MUTANT_KEEP_IDLE
       if
       :: true -> break
       :: true
       fi;
#endif
#ifdef MUTANT_BELL_LATE
       rung[me] = false;
#endif
       asleep[me] = true;
end_futex:
       atomic {
           rung[me] -> asleep[me] = false
       }
#endif
    od
}

/* A look at everything, queue after queue. */
inline look()
{
    sees = false;
    if
    :: me == 0 && resumed > 0 -> sees = true
    :: else
    fi;
    if
    :: !sees && injector > 0 -> sees = true
    :: else
    fi;
    i = 0;
    do
    :: !sees && i < WORKERS ->
       atomic {
           sees = (deque[i] > 0);
           i++
       }
    :: else -> break
    od;
    i = 0
}

/*
 * Take one task from anywhere, in one step; or miss it, as a search does that
 * has passed a queue before something came in. Of another's deque a second
 * one may come along, to be pushed on the own: batch says so.
 */
#define FROM(v)                                                     \
    me != v && deque[v] > 0 -> deque[v]--;                          \
    if                                                              \
    :: deque[v] > 0 -> deque[v]--; batch = true                     \
    :: true                                                         \
    fi

inline find()
{
    atomic {
        got = true;
        batch = false;
        if
        :: deque[me] > 0 -> deque[me]--
        :: injector > 0 -> injector--
        :: true -> got = false
        :: FROM(0)
        :: FROM(1)
#if WORKERS > 2
        :: FROM(2)
#endif
        fi
    };
    if
    :: batch -> deque[me]++
    :: else
    fi
}

/* Take over what was resumed; running it is not modelled. */
inline collect()
{
    atomic {
        came = (me == 0 && resumed > 0);
        resumed = (me == 0 -> 0 : resumed)
    }
}

#ifdef CRASH
#define BEGIN_MORTAL \
    {                \
        skip;
#define END_MORTAL                         \
    }                                      \
    unless                                 \
    {                                      \
        atomic {                           \
            dead && me == WORKERS - 1 ->   \
            i = 0;                         \
            got = false;                   \
            sees = false;                  \
            batch = false;                 \
            came = false;                  \
            asleep[me] = false;            \
            forget()                       \
        }                                  \
    }
#else
#define BEGIN_MORTAL
#define END_MORTAL
#endif

proctype worker(byte me)
{
    byte i, who, v_idle, v_searching;
    bool got, won, sees, batch, came;

    BEGIN_MORTAL
busy:
    collect();
    find();
    if
    :: got ->
#ifndef MUTANT_STEAL_SILENT
       if
       :: batch -> notify()
       :: else
       fi;
#endif
       goto run_task
    :: else
    fi;
    searching = searching | BIT(me);

search:
    find();
    collect();
    if
    :: got || came -> goto found
    :: else
    fi;
#ifdef MUTANT_LOOK_FIRST
    look();
    announce();
#else
    announce();
#ifdef MUTANT_NO_LOOK
    sees = false;
#else
    look();
#endif
#endif
    if
    :: sees -> sees = false; withdraw(); goto search
    :: else
    fi;
    wait();
    goto search;

found:
#ifdef MUTANT_MORE_FIRST
    look();
    searching = searching & ~BIT(me);
#else
    atomic {
#ifndef MUTANT_KEEP_SEARCHING
        searching = searching & ~BIT(me);
#endif
        sees = (searching == 0 && idle != 0)
    };
    if
    :: sees -> look()
    :: else
    fi;
#endif
#ifndef MUTANT_NO_MORE
    if
    :: sees -> notify()
    :: else
    fi;
#endif

run_task:
    atomic {
        sees = false;
        batch = false;
        came = false
    };
    if
    :: !got -> goto busy
    :: got -> got = false; goto busy
    :: got -> got = false; goto end_never
    :: atomic { got && spawns > 0 -> spawns-- };
#ifdef MUTANT_NOTIFY_FIRST
       notify();
       deque[me]++;
#else
       deque[me]++;
       notify();
#endif
       goto run_task
    fi;
end_never:
    false
    END_MORTAL
}

proctype submitter()
{
    byte who, v_idle, v_searching;
    bool won;

#ifdef MUTANT_NOTIFY_FIRST
    notify();
    injector++
#else
    injector++;
    notify()
#endif
}

proctype resumer()
{
    byte who, v_idle, v_searching;
    bool won;

#ifdef MUTANT_WAKE_FIRST
    wake(0);
    resumed++
#else
    resumed++;
#ifndef MUTANT_NO_WAKE
    wake(0)
#endif
#endif
}

#ifdef CRASH
/* The last worker dies, and is recovered. What it had found, or moved, is READY
 * in the table: one task more. */
active proctype warden()
{
    byte who, v_idle, v_searching;
    bool won;

    dead = true;
#ifndef MUTANT_BITS_STAY
    atomic {
        idle = idle & ~BIT(WORKERS - 1);
        searching = searching & ~BIT(WORKERS - 1)
    };
#endif
#ifdef MUTANT_RESCAN_LAST
    skip;
#else
    injector++;
#endif
#ifndef MUTANT_NO_RING
    do
    :: who < WORKERS - 1 -> rung[who] = true; who++
    :: else -> who = 0; break
    od;
#endif
#ifndef MUTANT_NO_NOTIFY
    notify();
#endif
#ifdef MUTANT_RESCAN_LAST
    injector++
#endif
}
#endif

init
{
    byte w, who_has;

    atomic {
        do
        :: w < WORKERS -> run worker(w); w++
        :: else -> break
        od;
        w = 0;
        do
        :: w < SUBMITTERS -> run submitter(); w++
        :: else -> break
        od;
        w = 0;
        do
        :: w < RESUMES -> run resumer(); w++
        :: else -> break
        od;
        w = 0
    };
    timeout;
    d_step {
        assert(!(asleep[0] && resumed > 0));
        do
        :: w < WORKERS ->
           assert(!(asleep[w] && injector > 0));
           assert(asleep[w] == ((idle >> w) & 1));
           who_has = 0;
           do
           :: who_has < WORKERS ->
              assert(!(asleep[w] && deque[who_has] > 0));
              who_has++
           :: else -> break
           od;
           w++
        :: else -> break
        od;
        assert(searching == 0)
    }
}
