/* SPDX-License-Identifier: MIT */
/*
 * standin_fork.pml - a process is forked at a spare post, runs something, dies,
 * and another comes, while zygotes die as well.
 *
 * Posts 1 and 2 are for those that stand in. The warden is asked for one ASKED
 * times; it takes the first post that is closed, or never was opened, and has a
 * zygote fork a process, unless the system refuses. Who was forked runs what is
 * queued, and has a listener, for whose sake the host hands a record to it,
 * whether it is there by then or not. The worker, at post 0, does so as well,
 * and is forked again when it has died. Why the warden is asked, who rests, and
 * who is woken is in standin.pml. The steps are those of process/warden.c,
 * cull.c and recover.c, and of future/hand.c.
 *
 * A zygote may die before it has said whether it has forked, and so may the
 * next. What it has forked is killed a step later, and may go on until then.
 * Settings:
 *
 *   DEATHS   processes that are killed before any of their steps, or fewer
 *   ENDS     the same of zygotes
 *   REFUSED  forks that the system refuses, or for which it has no descriptor:
 *            the zygote kills what it has forked then
 *
 * Claims:
 *   at a post there is one process at most, it is open as long as it is there,
 *   and what was there before was repaired; a task is begun once, settles once,
 *   and has crashed only if it was begun; who repairs, and who does what was
 *   left to a dead process, is alone with that. When nothing moves any more:
 *   all has settled, what was handed over is done, who is there is watched, and
 *   the posts of all others are closed.
 *
 * Mutants, each must fail:
 *   MUTANT_OPEN_ANY       the warden takes a post whatever it says
 *   MUTANT_OPEN_LATE      it forks, and then opens the post
 *   MUTANT_NO_REPAIR      who was forked, and killed at once, is not repaired
 *   MUTANT_UNSURE_LEFT    nor is who has died with the zygote, unseen
 *   MUTANT_UNSURE_EARLY   he is, before he has ended
 *   MUTANT_UNSURE_LATE    who has died with the second zygote is when there is
 *                         a third, and his post is closed before
 *   MUTANT_STAYS_CLOSED   the post is not opened again for the second fork
 *   MUTANT_NOT_CLOSED     recovery leaves the post of a stand-in open
 *   MUTANT_AS_CLAIM       what was claimed has crashed, begun or not
 *   MUTANT_NO_PUT_BACK    what was claimed is left alone
 *   MUTANT_ANY_AGAIN      what was begun is put back
 *   MUTANT_RUNNING_STAYS  what it was at stays in the post
 *   MUTANT_HANDS_BLIND    who hands over does not look whether it is closed
 *   MUTANT_LEFT_ALONE     what is left at a closed post, nobody does
 *   MUTANT_LEFT_ALIVE     the warden does it, closed or not
 */
#ifndef TASKS
#define TASKS 1
#endif
#ifndef ASKED
#define ASKED 2
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef ENDS
#define ENDS 0
#endif
#ifndef REFUSED
#define REFUSED 1
#endif
#define POSTS 3

#define WHEN(condition, statement) \
    if                             \
    :: condition -> statement      \
    :: else                        \
    fi
#define ANY(what) (what(0) || what(1) || what(2))

/* Of a task; queued: a hint, in any queue. */
#define NONE 0
#define READY 1
#define RUNNING 2
#define DONE 3
byte state[TASKS], owner[TASKS];
bool queued[TASKS];
#define WARDEN POSTS
#define HOST (POSTS + 1)

/* Of a post. */
#define WORKS 0
#define UNFIT 2
byte rests[POSTS];
byte running[POSTS]; /* a task + 1 */
byte opened = 1;     /* posts from there on have never been */

/* What is handed over to the process at a place, which has a listener. */
byte place = POSTS;
bool handed[POSTS];
byte its_owner = HOST;
bool its_done, taking;

/* The warden's: pidfds, who is to be forked again, whom it is asked for. */
bool watched[POSTS], due, bell;
byte asked = ASKED;

/* The system's. */
#define ALIVE 1
#define KILLED 2
byte process[POSTS];
bool zygote = true, zygote_ended;
byte deaths, ends, refused = REFUSED;

/* Ghosts. */
bool begun[TASKS], host_is_through;

#define IS_GONE(i) (process[i] == NONE)
#define IS_HANDED(i) handed[i]

inline settle(i)
{
    assert(state[i] == RUNNING && begun[i]);
    state[i] = DONE;
    owner[i] = HOST
}

/* Each step can be done again by who repairs. */
inline do_handed(whose, who)
{
    atomic {
        handed[whose] ->
        assert(!taking);
        taking = who == WARDEN;
        its_owner = who
    };
    handed[whose] = false;
    atomic { its_done = true; its_owner = HOST; taking = false }
}

/* -- a process -- */

inline claim(i)
{
    atomic { task == TASKS && queued[i] -> queued[i] = false; task = i };
    atomic {
        if
        :: state[task] == READY -> state[task] = RUNNING; owner[task] = me
        :: else -> task = TASKS
        fi
    }
}

proctype worker(byte me)
{
    byte task = TASKS;

next:
    {
        atomic { process[me] == ALIVE -> rests[me] = WORKS };
        do
        :: atomic {
               task < TASKS ->
               running[me] = task + 1;
               assert(!begun[task]);
               begun[task] = true
           };
           atomic { place = (place == POSTS && me > 0 -> me : place) };
           atomic { settle(task); task = TASKS };
           running[me] = 0
        :: claim(0)
#if TASKS > 1
        :: claim(1)
#endif
        :: task == TASKS && handed[me] -> do_handed(me, me)
        od
    } unless {
        atomic { process[me] == KILLED -> task = TASKS; process[me] = NONE }
    };
    goto next
}

/* -- what the system does -- */

inline kill(i)
{
    process[i] = (process[i] == ALIVE -> KILLED : process[i])
}

#define KILLS(i) deaths > 0 && process[i] == ALIVE -> kill(i); deaths--

proctype kernel()
{
    do
    :: atomic { KILLS(0) }
    :: atomic { KILLS(1) }
    :: atomic { KILLS(2) }
    :: atomic { ends > 0 && zygote -> zygote = false; ends-- }
    :: atomic {
           !zygote && !zygote_ended ->
           kill(0);
           kill(1);
           kill(2);
           zygote_ended = true
       }
    od
}

/* A letter to the zygote, and what comes back: rc. */
#define OK 0
#define EAGAIN 1
#define EBROKEN 2
inline ask_to_fork(i)
{
    if
    :: atomic { zygote && refused > 0 -> refused--; rc = EAGAIN }
    :: atomic {
           zygote ->
           assert(IS_GONE(i) && running[i] == 0);
           assert(rests[i] == WORKS && i < opened);
           process[i] = ALIVE
       };
       if
       :: atomic { zygote -> watched[i] = true; rc = OK }
       :: atomic { zygote && refused > 0 -> refused--; kill(i) };
          atomic { IS_GONE(i) -> rc = EAGAIN }
       :: atomic { !zygote -> rc = EBROKEN }
       fi
    :: atomic { !zygote -> rc = EBROKEN }
    fi
}

/* -- the warden -- */

inline close(i)
{
    assert(IS_GONE(i));
    rests[i] = UNFIT
}

inline open(i)
{
    rests[i] = WORKS;
    opened = (opened <= i -> i + 1 : opened)
}

#if defined(MUTANT_AS_CLAIM)
#define WAS_BEGUN(i) true
#elif defined(MUTANT_ANY_AGAIN)
#define WAS_BEGUN(i) false
#else
#define WAS_BEGUN(i) (running[i] == at + 1)
#endif

inline look_through(i)
{
    do
    :: at < TASKS && state[at] == RUNNING && owner[at] == i && WAS_BEGUN(i) ->
       settle(at)
    :: at < TASKS && state[at] == RUNNING && owner[at] == i && !WAS_BEGUN(i) ->
#ifdef MUTANT_NO_PUT_BACK
       at++
#else
       state[at] = READY;
       owner[at] = HOST
#endif
    :: at < TASKS && !(state[at] == RUNNING && owner[at] == i) ->
       queued[at] = queued[at] || state[at] == READY;
       at++
    :: else -> at = 0; break
    od
}

/* What it was handed, and was at; and its post. */
inline repair(i)
{
    do
    :: place == i && handed[i] -> do_handed(i, WARDEN)
    :: else -> break
    od;
    atomic {
        assert(IS_GONE(i));
        WHEN(its_owner == i && !(ANY(IS_HANDED)),
             its_done = true; its_owner = HOST);
        look_through(i)
    };
    atomic {
#ifndef MUTANT_RUNNING_STAYS
        running[i] = 0;
#endif
#ifndef MUTANT_NOT_CLOSED
        WHEN(i > 0, close(i))
#endif
    }
}

/* A zygote has ended, and what it had forked takes no step any more. */
#ifdef MUTANT_UNSURE_EARLY
#define HAS_ENDED(i) true
#else
#define HAS_ENDED(i) (zygote_ended && IS_GONE(i))
#endif

inline start_again(i)
{
    ask_to_fork(i);
    if
    :: rc == EBROKEN ->
       HAS_ENDED(i);
#ifdef MUTANT_UNSURE_LATE
       if
       :: unsure < POSTS -> repair(unsure); unsure = POSTS
       :: else
       fi;
#endif
#ifndef MUTANT_UNSURE_LEFT
       repair(i);
#endif
       atomic { zygote_ended -> zygote = true; zygote_ended = false };
#ifndef MUTANT_STAYS_CLOSED
       atomic { WHEN(i > 0, open(i)) };
#endif
       ask_to_fork(i);
       if
#ifdef MUTANT_UNSURE_LATE
       :: atomic { rc == EBROKEN -> unsure = i }
#else
       :: rc == EBROKEN -> atomic { HAS_ENDED(i) -> rc = EAGAIN }
#endif
       :: else
       fi
    :: else
    fi;
#ifndef MUTANT_NO_REPAIR
    if
    :: rc == EAGAIN -> repair(i)
    :: else
    fi
#endif
}

#ifdef MUTANT_OPEN_ANY
#define IS_FREE(i) true
#else
#define IS_FREE(i) (i >= opened || rests[i] == UNFIT)
#endif

#ifdef MUTANT_LEFT_ALIVE
#define IS_LEFT(i) handed[i]
#else
#define IS_LEFT(i) (handed[i] && !watched[i] && rests[i] == UNFIT)
#endif

#define HAS_DIED(i) (watched[i] && IS_GONE(i))
#define BURIES(i) atomic { HAS_DIED(i) -> watched[i] = false; p = i }

/* After each turn. */
inline mend_left()
{
#ifndef MUTANT_LEFT_ALONE
    if
    :: IS_LEFT(1) -> do_handed(1, WARDEN)
    :: !IS_LEFT(1) && IS_LEFT(2) -> do_handed(2, WARDEN)
    :: else
    fi
#else
    skip
#endif
}

proctype warden()
{
    byte p, at, rc;
#ifdef MUTANT_UNSURE_LATE
    byte unsure = POSTS;
#endif

    do
    :: if
       :: BURIES(0)
       :: BURIES(1)
       :: BURIES(2)
       fi;
       repair(p);
       atomic { due = due || p == 0; p = 0 };
       mend_left()
    :: bell -> bell = false; mend_left()
    :: if
       :: due -> p = 0
       :: atomic { asked > 0 && IS_FREE(1) -> asked--; p = 1 }
       :: atomic { asked > 0 && !IS_FREE(1) && IS_FREE(2) -> asked--; p = 2 }
       fi;
#ifndef MUTANT_OPEN_LATE
       open(p);
#endif
       start_again(p);
#ifdef MUTANT_OPEN_LATE
       open(p);
#endif
       atomic {
           WHEN(p > 0 && rc != OK, close(p));
           due = (p == 0 -> rc != OK : due);
           p = 0;
           rc = OK
       };
       mend_left()
    od
}

/* -- the host -- */

proctype host()
{
    byte i;

    do
    :: atomic {
           i < TASKS ->
           state[i] = READY;
           owner[i] = HOST;
           queued[i] = true;
           i++
       }
    :: else -> i = 0; break
    od;
    if
    :: place < POSTS ->
       handed[place] = true;
#ifndef MUTANT_HANDS_BLIND
       WHEN(rests[place] == UNFIT, bell = true)
#endif
    :: true
    fi;
    host_is_through = true
}

init
{
    byte i;

    atomic {
        select(deaths : 0 .. DEATHS);
        select(ends : 0 .. ENDS);
        process[0] = ALIVE;
        watched[0] = true;
        run worker(0);
        run worker(1);
        run worker(2);
        run kernel();
        run warden();
        run host()
    };
    timeout;
    d_step {
        assert(host_is_through);
        do
        :: i < TASKS -> assert(state[i] == DONE); i++
        :: else -> i = 0; break
        od;
        do
        :: i < POSTS ->
           assert(watched[i] == !IS_GONE(i) && !handed[i]);
           assert(i >= opened || watched[i] == (rests[i] == WORKS));
           i++
        :: else -> break
        od
    }
}
