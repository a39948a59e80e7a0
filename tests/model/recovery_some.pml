/* SPDX-License-Identifier: MIT */
/*
 * recovery_some.pml - when_some counts, though who counts may die in between.
 *
 * A when_some of three inputs, of which QUORUM must succeed. V brings inputs 0
 * and 1, L brings input 2; each succeeds or fails. An arrival sets a bit among
 * the successes or the failures, and whoever set it counts down, a step later.
 * V dies before any of its steps; the warden brings again what V had not
 * finished.
 *
 * The bits are the truth, as of every combinator. What is still to come is a
 * hint: it is too high by one for each death in between, never too low. So
 * whoever has counted down to what deaths could hide counts the bits, and so
 * does who finds his bit set; a verdict comes from the bits alone.
 *
 * Claims, when nothing moves any more: there is a verdict, and it is right.
 *
 * Mutants, each must fail:
 *   MUTANT_HINT_DECIDES  who counts down to 0 decides, and nobody else
 *   MUTANT_AGAIN_SILENT  who finds his bit set does not count the bits
 *   MUTANT_ZERO_ONLY     the bits are counted when nothing is to come, whatever
 *                        has died
 *   MUTANT_DEATHS_LAST   deaths moves when the warden has counted
 *   MUTANT_AGAIN         who finds the bit set counts down as well
 */
#ifndef QUORUM
#define QUORUM 2
#endif
#define INPUTS 3

#define NONE 0
#define WIN 1
#define SHORT 2

byte good, bad;                /* bits of inputs */
byte good_left = QUORUM;       /* hints */
byte bad_left = INPUTS - QUORUM + 1;
byte verdict;
byte deaths;                   /* of the pool */
bool closed[INPUTS];           /* the edges */
bool succeeds[INPUTS];
bool dead, done_v, done_l, done_warden;

#define BITS(w) (((w) & 1) + (((w) >> 1) & 1) + (((w) >> 2) & 1))

/* By the bits: two words, read one after the other. */
inline count()
{
    n = BITS(good);
    if
    :: n >= QUORUM -> atomic { verdict = (verdict == NONE -> WIN : verdict) }
    :: else ->
       n = BITS(bad);
       if
       :: n > INPUTS - QUORUM ->
          atomic { verdict = (verdict == NONE -> SHORT : verdict) }
       :: else
       fi
    fi;
    n = 0
}

inline arrive(i)
{
    atomic {
        if
        :: succeeds[i] ->
           fresh = ((good >> i) & 1) == 0;
           good = good | (1 << i)
        :: else ->
           fresh = ((bad >> i) & 1) == 0;
           bad = bad | (1 << i)
        fi
#ifdef MUTANT_AGAIN
        ;
        fresh = true
#endif
    };
    if
    :: fresh ->
       atomic {
           if
           :: succeeds[i] && good_left > 0 -> good_left--; n = good_left
           :: !succeeds[i] && bad_left > 0 -> bad_left--; n = bad_left
           :: else -> n = INPUTS + 1
           fi
       };
#ifdef MUTANT_HINT_DECIDES
       if
       :: n == 0 ->
          atomic {
              verdict = (verdict != NONE -> verdict
                                         : (succeeds[i] -> WIN : SHORT))
          }
       :: else
       fi;
#elif defined(MUTANT_ZERO_ONLY)
       if
       :: n == 0 -> count()
       :: else
       fi;
#else
       if
       :: n <= deaths -> count()
       :: else
       fi;
#endif
       n = 0
    :: else ->
#if defined(MUTANT_AGAIN_SILENT) || defined(MUTANT_HINT_DECIDES)
       skip
#else
       count()
#endif
    fi;
    fresh = false;
    closed[i] = true
}

proctype v()
{
    byte n;
    bool fresh;

    {
        arrive(0);
        arrive(1);
        done_v = true
    } unless {
        atomic { dead -> n = 0; fresh = false; done_v = true }
    }
}

proctype l()
{
    byte n;
    bool fresh;

    arrive(2);
    done_l = true
}

proctype warden()
{
    byte n;
    bool fresh;

    dead = true;
#ifndef MUTANT_DEATHS_LAST
    deaths++;
#endif
    if
    :: !closed[0] -> arrive(0)
    :: else
    fi;
    if
    :: !closed[1] -> arrive(1)
    :: else
    fi;
#ifdef MUTANT_DEATHS_LAST
    deaths++;
#endif
    done_warden = true
}

init
{
    atomic {
        if
        :: succeeds[0] = true
        :: true
        fi;
        if
        :: succeeds[1] = true
        :: true
        fi;
        if
        :: succeeds[2] = true
        :: true
        fi;
        run v();
        run l();
        run warden()
    };
    timeout;
    d_step {
        assert(done_v && done_l && done_warden);
        assert(verdict != NONE);
        assert((verdict == WIN) ==
               (succeeds[0] + succeeds[1] + succeeds[2] >= QUORUM))
    }
}
