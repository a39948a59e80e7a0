/* SPDX-License-Identifier: MIT */
/*
 * deque.pml - the work-stealing deque, every interleaving under SC.
 *
 * One owner pushes TASKS tasks and pops whenever it likes; two thieves steal
 * STEALS times each. Then the owner pops until the deque says that it is
 * empty. Every load and store of a shared word is one step. The client
 * deque_*.c checks the C source and its memory orders; this model checks the
 * algorithm on longer scripts than the client can afford, and is the place to
 * try a change first.
 *
 * Claims:  a task is taken at most once, and never before it was pushed;
 *          once the owner was told "empty" after its last push, and the thieves
 *          have finished, every task was taken: none is left behind.
 *
 * Mutants, each must fail:
 *   MUTANT_POP_LOOKS_FIRST       pop reads top before it lowers bottom
 *   MUTANT_POP_NO_CAS            pop takes the last task without the CAS
 *   MUTANT_POP_NO_RESTORE        an empty-handed pop leaves bottom lowered
 *   MUTANT_STEAL_BOTTOM_FIRST    steal reads bottom before top
 *   MUTANT_STEAL_SLOT_LAST       steal reads the slot after its CAS
 *   MUTANT_PUSH_NEVER_FULL       push does not look at top
 *   MUTANT_PUSH_PUBLISH_FIRST    push raises bottom before it fills the slot
 */
#ifndef SLOTS
#define SLOTS 2
#endif
#ifndef TASKS
#define TASKS 4
#endif
#ifndef STEALS
#define STEALS 2
#endif

byte top, bottom = 0;
byte slots[SLOTS];
byte taken[TASKS + 1]; /* by task number, which starts at 1 */
byte pushed;           /* tasks 1 .. pushed have been offered */
byte thieves = 2;

/* Ghost step: the caller now runs task t. */
inline take(t)
{
    d_step {
        assert(t >= 1 && t <= pushed);
        taken[t]++;
        assert(taken[t] == 1)
    }
}

/*
 * One pop. It lowers bottom below top when the deque is empty, and a byte
 * knows no -1: so both indices start at 1.
 */
inline pop()
{
#ifdef MUTANT_POP_LOOKS_FIRST
    t = top;
#endif
    b = bottom - 1;
    bottom = b;
#ifndef MUTANT_POP_LOOKS_FIRST
    t = top;
#endif
    got = (t < b);
    if
    :: got -> skip
    :: else ->
       if
       :: t == b ->
#ifdef MUTANT_POP_NO_CAS
          top = t + 1;
          got = true
#else
          atomic {
              if
              :: top == t -> top = t + 1; got = true
              :: else
              fi
          }
#endif
       :: else
       fi;
#ifdef MUTANT_POP_NO_RESTORE
       if
       :: got -> bottom = b + 1
       :: else
       fi
#else
       bottom = b + 1
#endif
    fi;
    if
    :: got -> task = slots[b % SLOTS]; take(task)
    :: else
    fi
}

proctype owner()
{
    byte b, t, task;
    bool got;

    do
    :: pushed < TASKS ->
       b = bottom;
       t = top;
       if
#ifndef MUTANT_PUSH_NEVER_FULL
       :: b - t == SLOTS -> pop()
#endif
       :: else ->
          d_step { pushed++; task = pushed };
#ifdef MUTANT_PUSH_PUBLISH_FIRST
          bottom = b + 1;
          slots[b % SLOTS] = task
#else
          slots[b % SLOTS] = task;
          bottom = b + 1
#endif
       fi
    :: pop()
    :: pushed == TASKS -> break
    od;

    do
    :: pop();
       if
       :: got -> skip
       :: else -> break
       fi
    od;

    (thieves == 0);
    d_step {
        b = 1;
        do
        :: b <= TASKS -> assert(taken[b] == 1); b++
        :: else -> break
        od
    }
}

proctype thief()
{
    byte b, t, task, tries;
    bool got;

    do
    :: tries < STEALS ->
       tries++;
       got = false;
#ifdef MUTANT_STEAL_BOTTOM_FIRST
       b = bottom;
       t = top;
#else
       t = top;
       b = bottom;
#endif
       if
       :: t < b ->
#ifndef MUTANT_STEAL_SLOT_LAST
          task = slots[t % SLOTS];
#endif
          atomic {
              if
              :: top == t -> top = t + 1; got = true
              :: else
              fi
          };
#ifdef MUTANT_STEAL_SLOT_LAST
          if
          :: got -> task = slots[t % SLOTS]
          :: else
          fi;
#endif
          if
          :: got -> take(task)
          :: else
          fi
       :: else
       fi
    :: else -> break
    od;
    thieves--
}

init
{
    atomic {
        top = 1;
        bottom = 1;
        run owner();
        run thief();
        run thief()
    }
}
