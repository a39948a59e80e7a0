/* SPDX-License-Identifier: MIT */
/*
 * fuzz/troop.h - a scope, and what is known of its members.
 *
 *     opener:  troop_new -> open, submit members -> close, or leave it
 *     member:  runs, ends ---> noted here
 *     closer:  troop_check: what close says against what was noted
 *
 * A troop is there until its opener, its closers and all its members are done
 * with it; code that was given up may be the last.
 */
#ifndef SHUNT_TESTS_FUZZ_TROOP_H
#define SHUNT_TESTS_FUZZ_TROOP_H

#include "graph.h"

enum {
    TROOP_MAX = 24,        /* members, */
    TROOP_CHILDREN = 10,   /* and how many of them the opener submits */
    TROOP_DEPTH = 2,       /* scopes in scopes */
    TROOP_FAILURES = 20000 /* failure codes of members begin here */
};

/* What a member does. */
enum deed {
    DEED_SUCCEEDS,
    DEED_FAILS,
    DEED_HEEDS,    /* runs for a while, unless it is asked to cancel */
    DEED_SLEEPS,   /* until it is asked; only where it will be */
    DEED_COMMITS,  /* and then ends as it likes */
    DEED_RECRUITS, /* submits another member */
    DEED_OPENS,    /* a scope of its own */
    DEED_ASKS,     /* cancels the scope */
    DEEDS
};

/* How a scope comes to its end. */
enum finish {
    FINISH_CLOSE,
    FINISH_LEAVE, /* its opener ends without closing it */
    FINISH_TASK,  /* another task closes it, */
    FINISH_BOTH,  /* or tries to */
    FINISHES
};

enum ended {
    ENDED_NOT,
    ENDED_WELL,
    ENDED_BADLY,
    ENDED_ASKED /* as one that was asked to cancel */
};

struct member {
    atomic_uint runs, drops, ended; /* enum ended */
    atomic_bool accepted, turned_away, asked, committed;
    _Atomic(shunt_future *) ignored; /* what its submit returned */
};

struct troop {
    struct graph *graph;
    struct troop *outer; /* of a scope that a member opened in the same pool */
    unsigned node;       /* whose function opened it, or NODES_MAX and more */
    unsigned pool, depth;
    uint64_t seed;
    /* How it is opened, and ended. */
    unsigned children, asks_at; /* it is cancelled before that child */
    bool keeps_going, forgets, tame, wants_all;
    bool stirs; /* whoever sleeps is woken */
    bool bound; /* its deadline may come */
    enum span span;
    int64_t span_ns;
    enum finish finish;
    /* Its opener may be asked to cancel; may be given up; is of another pool;
     * submits members while it is being closed. */
    bool may_be_asked, shaky, abroad, races;
    shunt_scope *scope;
    int64_t opened_ns, left_ns; /* of the opener's time, at most */
    atomic_uint users, count, closers;
    atomic_bool asked, shut, closed; /* shut: that it was asked is over */
    atomic_bool left; /* its opener, asked, did not wait for its closer */
    struct member members[TROOP_MAX];
};

/* A scope of a node's function, or of a thread; seed decides what it is. */
struct troop *troop_new(struct graph *g, unsigned node, unsigned pool,
                        uint64_t seed);
void troop_retain(struct troop *t);
void troop_release(struct troop *t);
enum deed troop_deed(const struct troop *t, unsigned number);
unsigned troop_draw(const struct troop *t, unsigned what, unsigned number);

/* The caller is code that may have been given up: then nothing is sure. */
bool troop_is_lost(const struct troop *t);
/* Whether there is a reason that somebody is asked to cancel, or turned away:
 * member number, or any if that is TROOP_MAX. */
bool troop_was_asked(struct troop *t, unsigned number);
/* Member number has settled with status, and this error. */
void troop_check_member(struct troop *t, unsigned number, int status,
                        const shunt_error *e);
/* A close has returned rc, and this; all is NULL if it was not wanted. */
void troop_check(struct troop *t, int rc, const shunt_results *all);

#endif /* SHUNT_TESTS_FUZZ_TROOP_H */
