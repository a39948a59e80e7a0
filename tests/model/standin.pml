/* SPDX-License-Identifier: MIT */
/*
 * standin.pml - a process stands in for one that blocks, while each may die.
 *
 * A pool of one worker process, at post 0, and post 1 for one that stands in.
 * The host submits task 0, which sleeps in the kernel until task 1 has settled.
 * Task 1 is submitted by it, or by the host at any time, so the worker itself
 * cannot run it: somebody has to stand in. The task says that it blocks, or
 * does not, and the timekeeper notices. The steps are those of
 * worker/standin.c, blocking.c and watch.c, of process/warden.c, recover.c and
 * mend.c.
 *
 * Who counts reads all posts in one step, and has the one who rests get up in
 * the same. The word of sleepers is without bells, as sleep.pml has them; a
 * claim is one step, as recovery_claim.pml does not have it. What may happen
 * when a process is forked is in standin_fork.pml. Settings:
 *
 *   DEATHS   processes that are killed before any of their steps, or fewer
 *   REFUSED  stand-ins that the system refuses, or fewer
 *   -DTHERE  one that stands in is there at first, and about to rest
 *
 * Claims:
 *   at a post there is one process at most, it is open, and what was there
 *   before was repaired; a task is begun once, settles once, and has crashed
 *   only if it was begun. When nothing moves any more: all that was accepted
 *   has settled, nobody sleeps who was roused, who is there is watched, and the
 *   post of who is not is closed.
 *
 * That who goes to rest counts again, and who stands by looks again, spares
 * time, and no more: the timekeeper comes by as long as something is queued.
 * These are in rest_needed.c and blocking_begin.c.
 *
 * Mutants, each must fail, that marked t with -DTHERE:
 *   MUTANT_NO_COMPARE    who rests falls asleep whatever the word says by then
 *   MUTANT_WAKE_FIRST    he is woken, and then told
 *   MUTANT_IDLE_ONLY     a searcher that has found one task looks for more only
 *                        if somebody is idle, and not for who stands by
 *   MUTANT_WATCH_BLIND   the timekeeper watches no more, and does not look
 *   MUTANT_OPEN_LATE     it forks, and then opens the post
 *   MUTANT_NOT_CLOSED    recovery leaves the post of a stand-in open
 *   MUTANT_NO_CALL       it does not call the timekeeper
 *   MUTANT_NO_REWAKE   t nor wakes who was roused by the dead, and not woken
 */
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef REFUSED
#define REFUSED 1
#endif

#define TASKS 2
#define POSTS 2 /* the worker's, and one for who stands in */
#define BIT(i) (1 << (i))

#define WHEN(condition, statement) \
    if                             \
    :: condition -> statement      \
    :: else                        \
    fi

/* Of a task. */
#define NONE 0
#define READY 1
#define RUNNING 2
#define DONE 3
byte state[TASKS], owner[TASKS]; /* its state word */
bool queued[TASKS];              /* a hint, in any queue */
#define HOST POSTS
#define NOTHING 255

/* Of a post. */
#define WORKS 0
#define RESTS 1
#define UNFIT 2
byte rests[POSTS];
byte running[POSTS]; /* a hint: a task + 1 */
#define SAYS_SO 255
byte blocked[POSTS]; /* that, or a hint */
byte opened = 1;     /* posts from there on have never been */

/* The word of sleepers. */
byte idle, searching;
bool stands_by = true;

/* The timekeeper's and the warden's. */
bool called, watches, recruited, bell;
bool watched[POSTS]; /* the warden has its pidfd */
bool due;            /* the worker is to be forked */

/* The system's. */
#define ALIVE 1
#define KILLED 2
byte process[POSTS];
bool sleeps[POSTS]; /* in a call of its task's */
bool asleep[POSTS]; /* in the futex of rests */
byte deaths, refused;

/* Ghosts. */
bool begun[TASKS], by_host, host_is_through;

#define SEES (queued[0] || queued[1])

/* -- who is at work -- */

#define BLOCKS(i) \
    (blocked[i] == SAYS_SO || (blocked[i] != 0 && blocked[i] == running[i]))
#define IS_UP(i) ((i) < opened && rests[i] == WORKS)
#define IS_AT_WORK(i) (IS_UP(i) && !BLOCKS(i))
#define ALL(what) (what(0) + what(1))
#define ANY(what) (what(0) || what(1))
#define ONE_LACKS (ALL(IS_AT_WORK) < 1 && !IS_UP(1))

/* -- who is called -- */

#ifdef MUTANT_WAKE_FIRST
#define ROUSE(i, when)                                \
    (when) && rests[i] == RESTS -> asleep[i] = false; \
    atomic { WHEN(rests[i] == RESTS, rests[i] = WORKS) }
#else
#define ROUSE(i, when)                                          \
    atomic { (when) && rests[i] == RESTS -> rests[i] = WORKS }; \
    asleep[i] = false
#endif

#define NOBODY_RESTS (rests[1] != RESTS)

/* Who stood by is called. */
inline be_called()
{
    if
    :: ROUSE(1, ONE_LACKS); WHEN(!watches, called = true)
    :: atomic { ONE_LACKS && NOBODY_RESTS -> called = true }
    :: atomic { !(ONE_LACKS) -> called = called || !watches }
    fi
}

/* IDLE -> SEARCHING. */
#define WAKE(i) idle = idle & ~BIT(i); searching = searching | BIT(i)

inline notify()
{
    if
    :: atomic { searching == 0 && (idle & 1) != 0 -> WAKE(0) }
    :: atomic { searching == 0 && idle == 2 -> WAKE(1) }
    :: atomic { searching == 0 && idle == 0 && stands_by -> stands_by = false };
       be_called()
    :: else
    fi
}

inline stand_by()
{
    stands_by = true;
    WHEN(SEES, notify())
}

#define ARRIVED                \
    if                         \
    :: ONE_LACKS -> stand_by() \
    :: else                    \
    fi

inline push(i)
{
    atomic { state[i] = READY; owner[i] = HOST; queued[i] = true };
    notify()
}

/* -- a worker -- */

inline settle(i)
{
    assert(state[i] == RUNNING && begun[i]);
    state[i] = DONE;
    owner[i] = HOST
}

/* A hint, and the claim of what it names. */
inline claim()
{
    if
    :: queued[0] -> task = 0
    :: !queued[0] && queued[1] -> task = 1
    fi;
    queued[task] = false;
    if
    :: state[task] == READY -> state[task] = RUNNING; owner[task] = me
    :: else -> task = NOTHING
    fi
}

inline execute()
{
    atomic {
        running[me] = task + 1;
        assert(!begun[task]);
        begun[task] = true
    };
    if
    :: task == 0 ->
       WHEN(!by_host, push(1));
       if
       :: blocked[me] = SAYS_SO;
          WHEN(!stands_by && ONE_LACKS, stand_by())
       :: true
       fi;
       sleeps[me] = true;
       state[1] == DONE
    :: else
    fi;
    atomic {
        sleeps[me] = false;
        blocked[me] = 0;
        settle(task);
        running[me] = 0;
        task = NOTHING
    }
}

inline rest()
{
    rests[me] = RESTS;
    atomic { WHEN(ALL(IS_AT_WORK) < 1, rests[me] = WORKS) };
    notify();
    do
    :: rests[me] != RESTS -> break
#ifdef MUTANT_NO_COMPARE
    :: rests[me] == RESTS -> asleep[me] = true; !asleep[me]
#else
    /* The kernel compares, and puts to sleep, in one step. */
    :: atomic { rests[me] == RESTS -> asleep[me] = true }; !asleep[me]
#endif
    od;
    ARRIVED
}

/* Look for something, or sleep. */
inline be_idle()
{
    do
    :: atomic { SEES -> claim(); searching = searching & ~BIT(me) };
#ifdef MUTANT_IDLE_ONLY
       WHEN(searching == 0 && idle != 0 && SEES, notify());
#else
       WHEN(searching == 0 && (idle != 0 || stands_by) && SEES, notify());
#endif
       break
    :: atomic {
           !(SEES) ->
           searching = searching & ~BIT(me);
           idle = idle | BIT(me)
       };
       (idle & BIT(me)) == 0
    od
}

proctype worker(byte me)
{
    byte task = NOTHING;

next:
    {
        atomic {
            process[me] == ALIVE ->
            rests[me] = WORKS;
            blocked[me] = 0;
            if
            :: me == 0 -> goto loop
            :: else
            fi
        };
        ARRIVED;
loop:
        do
        :: task != NOTHING -> execute()
        :: atomic { task == NOTHING && SEES -> claim() }
        :: task == NOTHING && !(SEES) ->
           WHEN(me > 0 && ALL(IS_AT_WORK) > 1, rest());
           be_idle()
        od
    } unless {
        atomic {
            process[me] == KILLED ->
            task = NOTHING;
            sleeps[me] = false;
            asleep[me] = false;
            process[me] = NONE
        }
    };
    goto next
}

/* -- what the system does -- */

#define IS_GONE(i) (process[i] == NONE)

inline kill(i)
{
    process[i] = (process[i] == ALIVE -> KILLED : process[i])
}

proctype kernel()
{
    do
    :: atomic { deaths > 0 && process[0] == ALIVE -> kill(0); deaths-- }
    :: atomic { deaths > 0 && process[1] == ALIVE -> kill(1); deaths-- }
    od
}

inline bear(i)
{
    atomic {
        assert(IS_GONE(i) && rests[i] == WORKS && running[i] == 0);
        process[i] = ALIVE;
        watched[i] = true
    }
}

/* -- the warden -- */

inline close(i)
{
    atomic { assert(IS_GONE(i)); rests[i] = UNFIT }
}

inline open(i)
{
    rests[i] = WORKS;
    opened = (opened <= i -> i + 1 : opened)
}

inline look_through(i)
{
    do
    :: at < TASKS && state[at] == RUNNING && owner[at] == i ->
       if
       :: running[i] == at + 1 -> settle(at)
       :: else -> state[at] = READY; owner[at] = HOST
       fi
    :: at < TASKS && !(state[at] == RUNNING && owner[at] == i) ->
       queued[at] = queued[at] || state[at] == READY;
       at++
    :: else -> at = 0; break
    od
}

/* Another is told what the dead one may have been about to tell. */
inline tell(j, i)
{
    if
    :: atomic {
           j < opened && j != i && rests[j] != UNFIT ->
           WHEN((idle & BIT(j)) != 0, WAKE(j))
       };
       if
       :: ROUSE(j, true)
#ifndef MUTANT_NO_REWAKE
       :: atomic { rests[j] != RESTS -> asleep[j] = false }
#else
       :: rests[j] != RESTS
#endif
       fi
    :: else
    fi
}

/* What it was at; its post; and who was to be told. */
inline repair(i)
{
    atomic {
        assert(IS_GONE(i));
        look_through(i);
        running[i] = 0;
        blocked[i] = 0;
#ifndef MUTANT_NOT_CLOSED
        WHEN(i > 0, close(i));
#endif
        idle = idle & ~BIT(i);
        searching = searching & ~BIT(i)
    };
    notify();
    tell(0, i);
    tell(1, i);
#ifndef MUTANT_NO_CALL
    called = true
#endif
}

#define IS_FREE(i) (i == opened || rests[i] == UNFIT)

/* Whether one is to be forked, at which post. */
inline look_who_lacks()
{
    if
    :: ROUSE(1, ONE_LACKS)
    :: atomic { ONE_LACKS && NOBODY_RESTS && IS_FREE(1) -> p = 1 }
    :: else
    fi
}

#define HAS_DIED(i) (watched[i] && IS_GONE(i))
#define BURIES(i)                \
    atomic {                     \
        HAS_DIED(i) ->           \
        watched[i] = false;      \
        p = i;                   \
        due = due || p == 0      \
    }

proctype warden()
{
    byte p, at;

    do
    :: if
       :: BURIES(0)
       :: BURIES(1)
       fi;
       repair(p);
       p = 0
    :: due -> atomic { due = false; bear(0) }
    :: atomic { bell -> bell = false };
       if
       :: atomic { recruited -> recruited = false }; look_who_lacks()
       :: else
       fi;
       if
       :: p > 0 ->
#ifndef MUTANT_OPEN_LATE
          open(p);
#endif
          if
          :: bear(p)
          :: atomic { refused > 0 -> refused--; close(p) }
          fi;
#ifdef MUTANT_OPEN_LATE
          open(p);
#endif
          p = 0
       :: else
       fi
    od
}

/* -- the timekeeper -- */

/* Who sleeps, and does not say so. */
#define IS_NEWS(i) (sleeps[i] && blocked[i] == 0)
inline look_at(i)
{
    blocked[i] = (IS_NEWS(i) -> running[i] : blocked[i])
}

/* What is queued has somebody come. */
inline fill_up()
{
    if
    :: ROUSE(1, ONE_LACKS)
    :: atomic { ONE_LACKS && NOBODY_RESTS -> recruited = true; bell = true }
    :: !(ONE_LACKS)
    fi
}

/* It comes by every while. Where that changes nothing it is left out, or
 * nothing would ever come to rest. */
#define FINDS_SOME              \
    (!(SEES) || ANY(IS_NEWS) || \
     (ONE_LACKS && !(NOBODY_RESTS && recruited)))

proctype timekeeper()
{
    bool watched_before;

    do
    :: atomic {
           called || (watches && FINDS_SOME) ->
           called = false;
           watched_before = watches;
           watches = true;
           look_at(0);
           look_at(1);
           stands_by = stands_by || (watched_before && !(SEES))
       };
       if
       :: SEES -> fill_up()
       :: !(SEES) && !watched_before && ONE_LACKS -> stand_by()
       :: !(SEES) && !watched_before && !(ONE_LACKS)
       :: atomic { !(SEES) && watched_before -> watches = false };
          stands_by = true;
#ifndef MUTANT_WATCH_BLIND
          if
          :: atomic { SEES -> watches = true }; fill_up()
          :: else
          fi
#endif
       fi;
       watched_before = false
    od
}

/* -- the host -- */

proctype host()
{
    push(0);
    WHEN(by_host, push(1));
    host_is_through = true
}

init
{
    byte i;

    atomic {
        select(deaths : 0 .. DEATHS);
        select(refused : 0 .. REFUSED);
        if
        :: by_host = true
        :: true
        fi;
        bear(0);
#ifdef THERE
        opened = 2;
        bear(1);
#endif
        run worker(0);
        run worker(1);
        run kernel();
        run warden();
        run timekeeper();
        run host()
    };
    timeout;
    d_step {
        assert(host_is_through);
        assert(state[0] == DONE);
        assert(state[1] == DONE || (state[1] == NONE && !by_host));
        do
        :: i < POSTS ->
           assert(watched[i] == !IS_GONE(i));
           assert(watched[i] == (rests[i] != UNFIT) || i >= opened);
           assert(!asleep[i] || rests[i] == RESTS);
           i++
        :: else -> break
        od
    }
}
