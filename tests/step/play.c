/* SPDX-License-Identifier: MIT */
/*
 * step/play.c - one death: a scene is begun, and goes on instruction by
 * instruction; a worker is killed; the library recovers; the scene is brought
 * to its end, and everything is looked at.
 *
 * Rules. Whatever instruction it was:
 *   lost     what was accepted has an outcome, and what was submitted runs
 *   doubled  nothing runs twice that may not
 *   wrong    a value is what it should be; only a task that was at work, or
 *            waited, in the process that died fails with it, and one of them
 *            is to blame
 *   leaked   records, aliases, edges, cells, blocks, pages and descriptors are
 *            what they were before
 *
 * Hangs. The clock of the pool stands still, so when every worker and every
 * thread of the host sleeps, nothing will happen any more.
 */
#include <dirent.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "stepper.h"

#define LATE_NS SHUNT_S(60) /* what is awaited does not come any more */

enum {
    LOOKS_ASLEEP = 20,
    LOOKS_QUICK = 200 /* before it is looked at who sleeps, which takes long */
};

struct report *report;

/* What is played, for who says that it is wrong. */
static struct play *played;
static char place[64];
static struct {
    char what[16];
    uintptr_t at;
} places[VICTIMS_MAX];
static unsigned place_count;

void wrong(const char *format, ...)
{
    size_t n = 0;
    va_list list;

    for (unsigned i = 0; i < place_count; i++) {
        char name[200];

        name_code(places[i].at, name, sizeof name);
        n += (size_t)snprintf(report->text + n, TEXT_MAX - n, "%s%s %s",
                              i > 0 ? " " : "", places[i].what, name);
    }
    n += (size_t)snprintf(report->text + n, TEXT_MAX - n, "%s: ", place);
    va_start(list, format);
    vsnprintf(report->text + n, TEXT_MAX - n, format, list);
    va_end(list);
    if (getenv("STEP_DUMP") != NULL && played != NULL)
        (void)shunt_dump(played->name, 2);
    _exit(1);
}

/* -- waiting -- */

/* Whether a process or thread sleeps, as the kernel has it. */
static bool sleeps(const char *path)
{
    char text[512];
    const char *end = NULL;
    FILE *f = fopen(path, "r");

    if (f == NULL)
        return true; /* it has ended */
    if (fgets(text, sizeof text, f) != NULL)
        end = strrchr(text, ')');
    fclose(f);
    return end != NULL && strncmp(end, ") S", 3) == 0;
}

/* All threads of this process but the calling one, and all workers. */
static bool all_sleep(struct play *p)
{
    DIR *tasks = opendir("/proc/self/task");
    const struct dirent *entry;
    char path[64], self[16];
    bool asleep = true;

    if (tasks == NULL)
        return false;
    snprintf(self, sizeof self, "%ld", syscall(SYS_gettid));
    while (asleep && (entry = readdir(tasks)) != NULL) {
        if (entry->d_name[0] == '.' || strcmp(entry->d_name, self) == 0)
            continue;
        snprintf(path, sizeof path, "/proc/self/task/%.16s/stat",
                 entry->d_name);
        asleep = sleeps(path);
    }
    closedir(tasks);
    for (unsigned i = 0; asleep && !is_image && i < p->pool->workers; i++) {
        snprintf(path, sizeof path, "/proc/%d/stat",
                 atomic_load(&board->pid[i]));
        asleep = sleeps(path);
    }
    return asleep;
}

/* Wait until something is so. False: nothing happens any more, and it is not.
 */
static bool becomes(struct play *p, bool (*is_so)(struct play *))
{
    const struct timespec moment = { .tv_nsec = 50000 };
    int64_t begin = sh_clock_ns();
    int asleep = 0; /* looks in a row that saw them all asleep */

    for (int looks = 0; !is_so(p); looks++) {
        if (is_image)
            image_tend(p->pool);
        if (looks < LOOKS_QUICK) {
            sched_yield();
            continue;
        }
        asleep = pool_is_idle(p->pool) && all_sleep(p) ? asleep + 1 : 0;
        if (asleep >= LOOKS_ASLEEP || sh_clock_ns() - begin > LATE_NS)
            return is_so(p);
        nanosleep(&moment, NULL);
    }
    return true;
}

static bool is_idle(struct play *p)
{
    return pool_is_idle(p->pool);
}

static bool is_empty(struct play *p)
{
    return pool_is_idle(p->pool) && guests_are_idle(p->pool) &&
           record_in_use(p->pool) == 0 && call_in_use(p->pool) == NULL &&
           pool_is_idle(p->pool) && guests_are_idle(p->pool);
}

static long descriptors; /* that the host has while nothing happens */

/* The warden has a few more while it has a process forked. */
static bool has_closed(struct play *p)
{
    (void)p;
    return count_descriptors() == descriptors;
}

static bool have_settled(struct play *p)
{
    for (unsigned i = 0; i < p->count; i++)
        if (shunt_status(p->roots[i].future) == SHUNT_PENDING)
            return false;
    return true;
}

/* Up to three of the records that are in use. */
static void tell_records(struct sh_pool *pool, char *to, size_t size)
{
    uint32_t used = sh_table_used(&pool->records);
    size_t n = 0;
    int told = 0;

    to[0] = '\0';
    for (uint32_t i = 1; i < used && told < 3; i++) {
        if (sh_phase_of(atomic_load(&sh_record_at(pool, i)->state)) == SH_FREE)
            continue;
        n += (size_t)snprintf(to + n, size - n, "\n    ");
        tell_record(pool, i, to + n, size - n);
        n += strlen(to + n);
        told++;
    }
}

/* -- the pool -- */

static unsigned births_wanted;

static int note_birth(void *arg)
{
    (void)arg;
    if (sh_self()->served == NULL)
        return 0; /* a thread of the host */
    atomic_store(&board->pid[sh_self()->served_as - 1], getpid());
    atomic_fetch_add(&board->births, 1);
    return 0;
}

static bool are_born(struct play *p)
{
    (void)p;
    return atomic_load(&board->births) >= births_wanted;
}

/* Whoever is to take a place has; the dead are still said to be idle before. */
static void await_births(struct play *p)
{
    int64_t begin = sh_clock_ns();

    while (!are_born(p)) {
        if (sh_clock_ns() - begin > LATE_NS)
            wrong("no process takes the place of the dead one");
        sched_yield();
    }
}

void pool_open(struct play *p, unsigned workers, bool mixed)
{
    int rc = shunt_pool_new(
        &p->name,
        &(shunt_options){ .mode = mixed ? SHUNT_AUTO : SHUNT_PROCESSES,
                          .workers = (int)workers,
                          .init = note_birth,
                          .name = "step",
                          .manual_clock = true,
                          /* Nobody stands in for whom a scene keeps. */
                          .blocking_max = -1,
                          .unobserved = shunt_unobserved_ignore });

    played = p;
    if (rc != 0 || sh_pool_find(p->name, &p->pool) != 0)
        wrong("no pool: %s", shunt_code_name(rc));
    births_wanted = workers;
    await_births(p);
    if (!becomes(p, is_empty))
        wrong("the workers of a new pool do not come to rest");
}

/* -- what is expected -- */

struct root *expect(struct play *p, shunt_future *f, long value,
                    unsigned may_die)
{
    struct root *r = &p->roots[p->count++];

    if (p->count > ROOTS_MAX)
        wrong("too many roots");
    *r = (struct root){ .future = f, .value = value, .may_die = may_die };
    return r;
}

/* Which task, by its name, is to blame for a failure: all say the same. */
static void check_blame(const shunt_error *e, char *blamed, size_t size)
{
    const char *name = e->collateral ? e->culprit : e->task;

    if (name[0] == '\0')
        return;
    if (blamed[0] != '\0' && strcmp(blamed, name) != 0)
        wrong("wrong: both %s and %s are to blame", blamed, name);
    snprintf(blamed, size, "%s", name);
}

/* It had not begun, as far as it said, but may have been about to. */
static bool was_about_to(struct play *p, unsigned tasks)
{
    for (int i = 0; i < IDS; i++)
        if ((tasks & BIT(i)) != 0 && atomic_load(&board->begun[i]) == 0) {
            if ((p->about & BIT(i)) == 0 && p->gaps-- > 0)
                p->about |= BIT(i);
            return (p->about & BIT(i)) != 0;
        }
    return false;
}

static void check_root(struct play *p, const struct root *r, char *blamed,
                       size_t size)
{
    int status = shunt_status(r->future);
    const shunt_error *e = shunt_error_of(r->future);
    const long *value = shunt_peek(r->future, long);
    unsigned hit = p->dead | (p->last >= 0 ? BIT(p->last) : 0);

    if (r->immune && (r->may_die & hit) != 0)
        p->dead |= r->may_die; /* it has run again as a whole */
    if (status == 0 && (value == NULL || *value != r->value))
        wrong("wrong: root %zu is %ld, not %ld", (size_t)(r - p->roots),
              value != NULL ? *value : -1, r->value);
    if (status == 0 || (r->also != 0 && status == r->also) ||
        (r->code != 0 && e->task_code == r->code))
        return;
    if (status != SHUNT_ECRASHED || r->immune || !p->killed)
        wrong("wrong: root %zu: %s: %s", (size_t)(r - p->roots),
              shunt_code_name(status), e->message);
    if ((r->may_die & hit) == 0 && !was_about_to(p, r->may_die))
        wrong("wrong: root %zu failed, but its tasks %x were neither at work "
              "nor waiting (%x, last %d): %s",
              (size_t)(r - p->roots), r->may_die, p->dead, p->last, e->message);
    check_blame(e, blamed, size);
    p->dead |= r->may_die; /* what works for it comes to nothing as well */
}

/* What tasks have noted. */
static void check_board(struct play *p, const struct scene *s)
{
    for (int i = 0; i < IDS; i++) {
        unsigned sent = atomic_load(&board->sent[i]);
        unsigned begun = atomic_load(&board->begun[i]);
        unsigned ended = atomic_load(&board->ended[i]);
        unsigned most = (s->may_run_again & BIT(i)) != 0 ? 2 : 1;

        if (sent > 0 && begun == 0 && (s->may_not_run & BIT(i)) == 0 &&
            !was_about_to(p, BIT(i)))
            wrong("lost: task %d was submitted, and never ran", i);
        if (begun > most || ended > most)
            wrong("doubled: task %d ran %u times", i, begun);
        if (begun > ended && (p->dead & BIT(i)) == 0)
            wrong("lost: task %d was begun, nobody killed it, and it has not "
                  "ended",
                  i);
    }
}

/* -- stepping -- */

static uint64_t draw(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static bool all_wait(const struct victim *v, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (!v[i].waits)
            return false;
    return true;
}

static bool any_is_back(struct victim *v, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (victim_step(&v[i]))
            return true;
    return false;
}

/* All that are stepped sleep: have the host do the next thing. False if the
 * scene is over, or nothing happens any more. */
static bool go_on(struct play *p, const struct scene *s, struct course *c)
{
    int64_t begin = sh_clock_ns();
    int asleep = 0; /* looks in a row that saw them all asleep */

    for (int looks = 0; !any_is_back(c->victims, c->how.victims); looks++) {
        if (pool_is_idle(p->pool)) {
            if (s->poke != NULL && s->poke(p, c->pokes))
                c->pokes++;
            else if (have_settled(p))
                return false;
        }
        if (looks >= LOOKS_QUICK)
            asleep = pool_is_idle(p->pool) && all_sleep(p) ? asleep + 1 : 0;
        if (asleep >= LOOKS_ASLEEP || sh_clock_ns() - begin > LATE_NS)
            return false;
        sched_yield();
    }
    return true;
}

/* One step, of whoever's turn it is. False: the scene is over. */
static bool advance(struct play *p, const struct scene *s, struct course *c)
{
    unsigned n = c->how.victims;

    if (all_wait(c->victims, n) && !go_on(p, s, c))
        return false;
    if (c->turn == 0 || c->victims[c->who].waits) {
        c->who = n > 1 ? (unsigned)(draw(&c->seed) % n) : 0;
        c->turn = 1 + (unsigned)(draw(&c->seed) % 60);
    }
    c->turn--;
    (void)victim_step(&c->victims[c->who]);
    c->steps++;
    atomic_fetch_add_explicit(&board->steps, 1, memory_order_relaxed);
    return true;
}

/* Whether a worker has a task for itself. The library knows when; that its code
 * has begun, nobody can know but the code. */
static bool is_at_task(struct sh_pool *pool, unsigned worker)
{
    uint64_t running = atomic_load(&pool->posts[worker].running);
    struct sh_record *r = sh_record_at(pool, sh_hint_index(running));
    uint64_t w = atomic_load(&r->state);

    return running != 0 && sh_phase_of(w) == SH_RUNNING &&
           sh_generation_of(w) == sh_hint_generation(running) &&
           sh_owner_of(w) == SH_OWNER_WORKER(worker);
}

void play_dies(struct play *p, struct course *c, unsigned who)
{
    place[0] = '\0';
    for (unsigned i = 0; i < c->how.victims; i++) {
        snprintf(places[i].what, sizeof places[i].what, "%s%s",
                 i > 0 ? "and " : "",
                 (who & BIT(i)) != 0 ? "killed" : "stopped");
        places[i].at = c->victims[i].at;
        p->gaps += (who & BIT(i)) != 0 && is_at_task(p->pool, i);
    }
    place_count = c->how.victims;
    p->last = atomic_load(&board->last);
    if (p->last >= 0 && (who & BIT(atomic_load(&board->on[p->last]))) == 0)
        p->last = -1;
    for (int i = 0; i < IDS; i++)
        if (atomic_load(&board->begun[i]) > atomic_load(&board->ended[i]) &&
            (who & BIT(atomic_load(&board->on[i]))) != 0)
            p->dead |= BIT(i);
    p->killed = true;
}

/* Of two, by the seed, one or both. */
static void kill_some(struct play *p, struct course *c)
{
    unsigned who = c->how.victims < 2 ? 1 : 1 + (unsigned)(c->how.seed % 3);

    play_dies(p, c, who);
    for (unsigned i = 0; i < c->how.victims; i++) {
        if ((who & BIT(i)) == 0) {
            victim_let(&c->victims[i], p->pool);
            continue;
        }
        births_wanted++;
        victim_kill(&c->victims[i]);
        atomic_fetch_add(&board->kills, 1);
    }
    await_births(p);
}

/* -- afterwards -- */

static void bring_to_end(struct play *p, const struct scene *s, unsigned pokes)
{
    char told[2000];

    do {
        if (!becomes(p, is_idle))
            wrong("hangs: the workers do not come to rest");
    } while (s->poke != NULL && s->poke(p, pokes++));
    if (!becomes(p, have_settled)) {
        tell_records(p->pool, told, sizeof told);
        wrong("lost: pending for ever:%s", told);
    }
}

void play_ends(struct play *p, const struct scene *s, struct course *c)
{
    char blamed[128] = "", told[2000];
    struct holding now;

    bring_to_end(p, s, c->pokes);
    for (unsigned i = 0; i < p->count; i++)
        check_root(p, &p->roots[i], blamed, sizeof blamed);
    for (unsigned i = 0; i < p->count; i++)
        if (shunt_release(p->roots[i].future) != 0)
            wrong("wrong: root %u cannot be released", i);
    if (!becomes(p, is_empty)) {
        tell_records(p->pool, told, sizeof told);
        wrong("leaked: in use for ever: %s%s",
              call_in_use(p->pool) != NULL ? call_in_use(p->pool) : "", told);
    }
    check_board(p, s);
    holding_take(p->pool, &now);
    holding_compare(&c->before, &now);
}

/* What an image has not of its own. */
static void check_host(struct play *p)
{
    if (descriptors == 0)
        descriptors = count_descriptors();
    if (!becomes(p, has_closed))
        wrong("leaked: descriptors, %ld before, %ld now", descriptors,
              count_descriptors());
}

/* -- plays -- */

static void begin(struct play *p, const struct scene *s,
                  const struct schedule *how, struct course *c)
{
    *c = (struct course){ .how = *how,
                          .seed = how->seed * 0x9e3779b97f4a7c15u + 1 };
    place_count = 0;
    snprintf(place, sizeof place, "before");
    p->count = 0;
    p->dead = 0;
    p->last = -1;
    p->gaps = 0;
    p->about = 0;
    p->killed = false;
    p->promise = NULL;
    board_clear();
    holding_take(p->pool, &c->before);
    for (unsigned i = 0; i < how->victims; i++)
        victim_attach(&c->victims[i], i);
    s->begin(p);
    snprintf(place, sizeof place, "nobody killed");
}

/* The scene is over, or goes on without us. Who is let go is woken for that, so
 * look before. */
static void let_all(struct play *p, struct course *c, bool over)
{
    if (over && !becomes(p, have_settled))
        wrong("lost: something is pending, and nobody is awake");
    for (unsigned i = 0; i < c->how.victims; i++)
        victim_let(&c->victims[i], p->pool);
}

bool play_once(struct play *p, const struct scene *s,
               const struct schedule *how, long at)
{
    struct course c;
    bool over = false;

    begin(p, s, how, &c);
    while (c.steps < at && !over)
        over = !advance(p, s, &c);
    if (over)
        let_all(p, &c, true);
    else
        kill_some(p, &c);
    play_ends(p, s, &c);
    check_host(p);
    return !over;
}

/* Whether whoever is stepped is at code that is of interest. Reading the clock
 * is not: nothing of the pool is touched, and with an image for each of its
 * instructions it takes longer than a tick, and so never ends. */
static bool is_in(const struct course *c)
{
    const struct victim *v = &c->victims[c->who];

    if (victim_reads_clock(v))
        return false;
    return c->how.in_to == 0 ||
           (v->at >= c->how.in_from && v->at < c->how.in_to);
}

void play_images(struct play *p, const struct scene *s,
                 const struct schedule *how, long from, long to, long stride)
{
    struct course c;
    bool over = false;

    begin(p, s, how, &c);
    while (c.steps < to && atomic_load(&report->wrong) < how->wrong_max) {
        over = !advance(p, s, &c);
        if (over)
            break;
        atomic_store(&board->at, c.steps);
        if (c.steps < from || (c.steps - from) % stride != 0 || !is_in(&c) ||
            image_take(p, s, &c))
            continue;
        tell_wrong(s, how, true, c.steps);
        atomic_fetch_add(&report->wrong, 1);
    }
    report->text[0] = '\0';
    let_all(p, &c, over);
    play_ends(p, s, &c);
    check_host(p);
}
