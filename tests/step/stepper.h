/* SPDX-License-Identifier: MIT */
/*
 * step/stepper.h - what the parts of the stepper share.
 *
 *     step.c     which scenes, which instructions, in which child processes
 *     board.c    what tasks say
 *     play.c     one death: begin, step, kill, recover, drain, check
 *     tracer.c   a worker process, one instruction at a time
 *     audit.c    what is in use of the pool's tables and memory
 *     scenes*.c  what the workers do meanwhile
 *
 * A scene is some tasks of a small pool. It begins when the workers sleep, and
 * has ended when they sleep again and everything has settled. A play of it ends
 * with a death: after its nth instruction the victim is killed. Then the
 * library recovers, the scene is brought to its end, and everything is looked
 * at.
 *
 * Tasks note when they begin and end in a board, which lies in memory of the
 * stepper's own that workers share.
 */
#ifndef SHUNT_TESTS_STEPPER_H
#define SHUNT_TESTS_STEPPER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <shunt/shunt.h>

#include "worker/worker.h"

enum {
    VICTIMS_MAX = 2,
    IDS = 16, /* of tasks of a scene; 0 is the first */
    ROOTS_MAX = 8,
    TEXT_MAX = 4096
};

/* Where workers can write, and what a child process tells its parent. */
struct board {
    _Atomic int pid[VICTIMS_MAX]; /* of worker processes, by index */
    _Atomic unsigned births;      /* of worker processes */
    _Atomic unsigned sent[IDS], begun[IDS], ended[IDS];
    _Atomic unsigned on[IDS]; /* the worker where it began last, */
    _Atomic int last; /* and who was at work last, as far as that said */
    _Atomic long values[IDS]; /* for what scenes want to remember */
    /* Of the child process. */
    _Atomic long at;           /* the instruction */
    _Atomic long steps, kills; /* that it has done */
};
extern struct board *board;

/* What is wrong; "" if nothing is. An image writes here, too. */
struct report {
    char text[TEXT_MAX];
    _Atomic long images, wrong; /* of those that were wrong, all but the last */
};
extern struct report *report;

/* -- tasks say -- */

void now_begins(int id);
void now_ends(int id);
/* It goes on after a wait. */
void now_at(int id);
void now_sent(int id);
void board_clear(void);

/* -- a play -- */

struct root {
    shunt_future *future;
    long value;       /* of its long, if it succeeds */
    unsigned may_die; /* bits of tasks: it fails if one of them is killed */
    bool immune;      /* it succeeds whoever dies */
    int also;         /* another status that is allowed, or 0 */
    int code;         /* that a task may fail it with, or 0 */
};

struct play {
    shunt_pool *name;
    struct sh_pool *pool;
    struct root roots[ROOTS_MAX];
    unsigned count;
    shunt_promise *promise; /* of the host, or NULL */
    unsigned dead; /* bits: tasks that had begun and not ended, in who died */
    int last;      /* and who was at work last there, or -1 */
    int gaps; /* workers that had claimed a task, whose code may have been about
               * to begin, */
    unsigned about; /* and the tasks that seem to be those */
    bool killed;
};

struct scene {
    const char *name;
    void (*begin)(struct play *p);
    /* The nth time that the workers have nothing to do. False: there is no
     * more. May be NULL. */
    bool (*poke)(struct play *p, unsigned n);
    /* Bits of tasks that may be cancelled, and need not run; that may run
     * again. */
    unsigned may_not_run, may_run_again;
};

/* Lists that end with a scene without a name. */
extern const struct scene scenes_of_futures[], scenes_of_memory[],
    scenes_of_calls[];
/* Of an auto pool. There are no images of these: its threads are none of the
 * workers that a fork of the host has. */
extern const struct scene scenes_of_auto[];

/* The host awaits this long, at the end; may_die are bits of tasks. */
struct root *expect(struct play *p, shunt_future *f, long value,
                    unsigned may_die);
#define BIT(id) (1u << (id))

/* -- failing: says so on the board, and ends the process -- */
_Noreturn void wrong(const char *format, ...) SHUNT_PRINTF_(1, 2);

/* -- tracer -- */

struct victim {
    unsigned index;
    pid_t pid;
    uintptr_t at; /* its next instruction */
    bool attached;
    bool restarts; /* the call that it was in begins anew */
    bool waits;    /* it has been told to step, and sleeps in the kernel */
};

void victim_attach(struct victim *v, unsigned index);
/* One instruction. False: it sleeps in the kernel, and has not done it yet. */
bool victim_step(struct victim *v);
/* It is at code that the kernel lends for reading the clock. That begins anew
 * when the kernel's clock has ticked meanwhile. */
bool victim_reads_clock(const struct victim *v);
void victim_kill(struct victim *v);
void victim_let(struct victim *v, struct sh_pool *pool);
/* The name of what is at an address of code. */
void name_code(uintptr_t address, char *to, size_t size);
/* Where a function of this program is. False: there is none of that name, or
 * there is no nm. */
bool find_code(const char *name, uintptr_t *from_out, uintptr_t *to_out);

/* -- audit -- */

struct holding {
    size_t lost[4]; /* items of tables that are in no free list */
    size_t bytes;   /* of blocks */
    long pages;     /* of memory, in blocks of 512 bytes */
};

bool pool_is_idle(struct sh_pool *pool);
/* The threads of an auto pool, as far as there are any. */
bool guests_are_idle(struct sh_pool *pool);
/* The first record that is in use, or 0; and what it is at. */
uint32_t record_in_use(struct sh_pool *pool);
/* What is in use of spawned calls, or NULL. */
const char *call_in_use(struct sh_pool *pool);
void tell_record(struct sh_pool *pool, uint32_t index, char *to, size_t size);
long count_descriptors(void);
/* Only while the pool is idle and no record is in use. */
void holding_take(struct sh_pool *pool, struct holding *out);
void holding_compare(const struct holding *before, const struct holding *now);

/* -- plays -- */

struct schedule {
    unsigned workers;
    unsigned victims; /* that are stepped; of two, by turns that are drawn */
    uint64_t seed;
    long wrong_max;
    uintptr_t in_from, in_to; /* images only of code that is there; 0: of all */
};

/* How far a play has come. */
struct course {
    struct schedule how;
    struct victim victims[VICTIMS_MAX];
    struct holding before;
    uint64_t seed;
    unsigned who, turn; /* is stepped, so often yet */
    unsigned pokes;
    long steps;
};

void pool_open(struct play *p, unsigned workers, bool mixed);

/* Play a scene; after so many steps victims are killed. False if it was over
 * before. */
bool play_once(struct play *p, const struct scene *s,
               const struct schedule *how, long at);

/* Play a scene once, with an image at every stride-th step. */
void play_images(struct play *p, const struct scene *s,
                 const struct schedule *how, long from, long to, long stride);

/* For both: note what is at work when these victims die, as bits; and bring the
 * scene to its end, and look at everything. */
void play_dies(struct play *p, struct course *c, unsigned who);
void play_ends(struct play *p, const struct scene *s, struct course *c);

/* Have a death looked at in an image. False: something was wrong, see report.
 */
extern bool is_image; /* this process is one */
bool image_take(struct play *p, const struct scene *s, struct course *c);

/* What the warden does from time to time. */
void image_tend(struct sh_pool *pool);

/* Say what is wrong of a death. */
void tell_wrong(const struct scene *s, const struct schedule *how, bool image,
                long at);

#endif /* SHUNT_TESTS_STEPPER_H */
