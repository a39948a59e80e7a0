/* SPDX-License-Identifier: MIT */
/*
 * unit/slices_kill_test.c - processes that die inside of the shared heap.
 *
 * Goal: wherever a process dies, in getting, publishing, freeing or retiring,
 * what is left can be retired: no block that others have is lost or changed,
 * none is left that nobody has, the bytes are exact, and once all is freed the
 * heap takes as much memory as before.
 *
 * Method. Images: a traced process does one instruction at a time, and at each
 * stop (at each 31st, unless $SHUNT_TEST_STRIDE is 1) another has a look at a
 * copy of the arena, retires the traced process there and checks everything; as
 * a death leaves all that was stored before it and nothing else, that is each
 * death there is. Storm: processes exchange
 * blocks through slots while one after the other is killed, with a seed that
 * is printed and can be given again ($SHUNT_TEST_SEED).
 *
 * A block is reachable if its address is in a slot. Each begins with its size.
 */
#include "slices_stage.h"

#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/ptrace.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLOW 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SLOW 1
#endif
#endif
#ifndef SLOW
#define SLOW 0
#endif

enum {
    SLOTS = 24,
    WORKERS = 3,
    KILLS = SLOW ? 60 : 300,
    STEPS_MAX = 10000000
};

static struct shared {
    _Atomic(char *) slot[SLOTS];
    _Atomic unsigned ops[WORKERS];
    _Atomic unsigned pause; /* the round of one, or 0 */
} * shared;

static int told[2], go[2]; /* pipes: a worker waits; it may go on */

static void begin(void)
{
    stage_begin();
    shared = sh_arena_map(arena, sizeof *shared, SH_PAGES_RW);
    assert_non_null(shared);
    memset(shared, 0, sizeof *shared);
    assert_int_equal(pipe(told) | pipe(go), 0);
}

static void end(void)
{
    for (unsigned i = 0; i < 2; i++) {
        close(told[i]);
        close(go[i]);
    }
    stage_end();
}

/* How a block begins; what follows is filled, and the rest is not written. */
struct head {
    uint32_t size, filled;
};

static char *make(uint32_t size, uint32_t filled)
{
    struct head head = { size, filled };
    char *p = sh_slices_get(slices, size);

    if (p == NULL)
        return NULL;
    memcpy(p, &head, sizeof head);
    fill(p + sizeof head, filled, size);
    return p;
}

static bool is_whole(const char *p)
{
    struct head head;

    memcpy(&head, p, sizeof head);
    return is_filled(p + sizeof head, head.filled, head.size);
}

static void place(unsigned i, char *p)
{
    char *old;

    if (p != NULL)
        sh_slices_publish(slices, p, RECORD(i + 1));
    old = atomic_exchange(&shared->slot[i], p);
    if (old == NULL)
        return;
    need(is_whole(old));
    need(sh_slices_put(slices, old));
}

static bool is_in_slot(void *arg, void *p, size_t size, uint64_t name)
{
    (void)arg;
    (void)size;
    (void)name;
    for (unsigned i = 0; i < SLOTS; i++) {
        if (atomic_load(&shared->slot[i]) == p)
            return true;
    }
    return false;
}

/* While nobody else does anything, and after the dead were retired: what is in
 * slots is all there is, and whole. False with a line on stderr. */
static bool is_sound(void)
{
    size_t bytes = 0;

    sh_slices_filter(slices, is_in_slot, NULL);
    for (unsigned i = 0; i < SLOTS; i++) {
        char *p = atomic_load(&shared->slot[i]);
        uint32_t size;

        if (p == NULL)
            continue;
        if (sh_slices_find(slices, p) != p || !is_whole(p)) {
            fprintf(stderr, "slot %u has no whole block\n", i);
            return false;
        }
        memcpy(&size, p, sizeof size);
        bytes += size;
    }
    if (sh_slices_bytes(slices) == bytes)
        return true;
    fprintf(stderr, "%zu bytes in slots, %zu in the heap\n", bytes,
            sh_slices_bytes(slices));
    return false;
}

/* What is FREED in a slice that somebody owns, he will get to know. */
static bool is_told(void *arg, struct sh_slices *s, struct sh_row *r,
                    uint64_t name)
{
    unsigned i = *(unsigned *)arg;
    size_t chunk = sh_chunk_of(s, r);
    uint32_t word = atomic_load(&s->slice[i].word);

    if (name != SH_NAME_FREED || sh_slice_state(word) != SH_SLICE_OWNED)
        return true;
    return (atomic_load(&s->mail[chunk / 64]) >> chunk % 64 & 1) != 0 &&
           atomic_load(&s->slice[i].mail) != 0 &&
           atomic_load(&s->post[sh_slice_who(word)]) != 0;
}

/* No slice is left of the dead, and what they freed is not forgotten. Others
 * are between two operations. */
static bool is_retired(unsigned owner)
{
    if (owns_some(owner) || slices_that_are(SH_SLICE_SWEPT) > 0) {
        fprintf(stderr, "slices are left of %u\n", owner);
        return false;
    }
    for (unsigned i = 0; i < slices->count; i++) {
        if (!sh_slice_walk(slices, i, is_told, &i)) {
            fprintf(stderr, "what was freed in slice %u is forgotten\n", i);
            return false;
        }
    }
    return true;
}

/* -- images -- */

static long errors, images;
static long stride; /* instructions from one image to the next */

/* In a process of its own that has a copy of the arena: everything is there,
 * others can go on with it, and in the end it is empty. */
static bool survives(const unsigned *dead)
{
    char *more[20];

    for (; *dead != 0; dead++) {
        sh_slices_retire(slices, *dead);
        if (!is_retired(*dead))
            return false;
    }
    if (!is_sound())
        return false;
    for (unsigned i = 0; i < 20; i++) {
        more[i] = make(i == 0 ? 5 * MIB : 100 + i * 100, 50);
        if (more[i] == NULL)
            return false;
    }
    for (unsigned i = 0; i < 20; i++) {
        if (!is_whole(more[i]) || !sh_slices_put(slices, more[i]))
            return false;
    }
    if (!is_sound())
        return false;
    for (unsigned i = 0; i < SLOTS; i++) {
        char *p = atomic_exchange(&shared->slot[i], NULL);

        if (p != NULL && !sh_slices_put(slices, p))
            return false;
    }
    /* The host has slices of its own, and this process. */
    return sh_slices_bytes(slices) == 0 &&
           slices_that_are(SH_SLICE_ORPHAN) == 0 &&
           slices_that_are(SH_SLICE_TAIL) == 0;
}

/* The arena as it is now, in which the dead have just died. A copy of its own
 * has no MADV_REMOVE: what is discarded keeps its content, which must do. */
static void look(const unsigned *dead, long step)
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        if (mmap(arena, arena->bytes, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, arena->fd,
                 0) == MAP_FAILED)
            _exit(3);
        need(join(9));
        _exit(survives(dead) ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    images++;
    if (status != 0 && errors++ < 5)
        print_message("instruction %ld: status %x\n", step, status);
}

static int step(pid_t pid)
{
    int status;

    assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFSTOPPED(status))
        print_message("status %x\n", status);
    assert_true(WIFSTOPPED(status));
    return WSTOPSIG(status);
}

/* A process that stops before and after what it does. */
static void each_death(unsigned owner, void (*body)(void *),
                       const unsigned *dead)
{
    long steps = 0;
    int status;
    pid_t pid = begin_process(owner, body, NULL);

    errors = images = 0;
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    assert_int_equal(ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_EXITKILL),
                     0);
    while (step(pid) == SIGTRAP) {
        if (steps++ % stride == 0)
            look(dead, steps);
        assert_true(steps < STEPS_MAX);
    }
    look(dead, steps);
    kill_process(pid);
    print_message("%ld instructions, %ld images, %ld errors\n", steps, images,
                  errors);
    assert_true(steps > 1000);
    assert_int_equal(errors, 0);
}

static void make_some(void *arg)
{
    unsigned first = *(unsigned *)arg;

    place(first, make(300, 100));
    place(first + 1, make(20000, 100));
    need(make(5000, 100) != NULL);
}

static void make_large(void *arg)
{
    place(*(unsigned *)arg, make(5 * MIB, 100));
}

static void leave_orphans(void)
{
    unsigned small = 0, single = 4, large = 6;

    run_process(3, make_some, &small);
    sh_slices_retire(slices, 3);
    run_process(3, make_some, &single);
    sh_slices_retire(slices, 3);
    run_process(3, make_large, &large);
    sh_slices_retire(slices, 3);
    place(5, NULL);
    assert_int_equal(slices_that_are(SH_SLICE_ORPHAN), 3);
    for (unsigned i = 8; i < 12; i++)
        place(i, make(100 + i, 100));
}

/* Everything once. What is freed of 12 and 13 others have seen to. */
static void do_everything(void *arg)
{
    (void)arg;
    place(12, make(400, 100));
    place(13, make(400, 100));
    need(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
    raise(SIGSTOP);
    place(14, make(200, 30));  /* ours; takes back what others freed */
    place(8, make(70000, 30)); /* the host's goes */
    place(14, NULL);           /* our own */
    place(15, make(5 * MIB, 30));
    place(0, NULL); /* of an orphan that stays */
    place(4, NULL); /* the last of one */
    place(6, NULL); /* one with tails */
    place(15, NULL);
    need(make(1000, 30) != NULL);
    need(make(3 * MIB, 30) != NULL);
    sh_slices_trim(slices);
    raise(SIGSTOP);
}

static void a_worker_may_die_at_any_instruction(void **state)
{
    const unsigned dead[] = { 2, 0 };

    (void)state;
    begin();
    leave_orphans();
    each_death(2, do_everything, dead);
    end();
}

static void retire_second(void *arg)
{
    (void)arg;
    need(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
    raise(SIGSTOP);
    sh_slices_retire(slices, 2);
    raise(SIGSTOP);
}

static void leave_all_kinds(void *arg)
{
    unsigned some = 16, large = 18;

    (void)arg;
    make_some(&some);
    make_large(&large);
    need(make(3 * MIB, 30) != NULL);
    need(sh_slices_rename(slices, shared->slot[8], RECORD(9),
                          sh_slices_scratch(slices)));
    atomic_store(&shared->slot[8], NULL);
}

static void retiring_may_end_at_any_instruction(void **state)
{
    const unsigned dead[] = { 4, 2, 0 };

    (void)state;
    begin();
    leave_orphans();
    run_process(2, leave_all_kinds, NULL);
    each_death(4, retire_second, dead);
    end();
}

/* -- two at once -- */

/* Free the block in a slot, stopped before and after. */
static void free_slot(void *arg)
{
    char *p = atomic_load(&shared->slot[*(unsigned *)arg]);
    bool freed_it;

    need(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
    raise(SIGSTOP);
    freed_it = sh_slices_put(slices, p);
    raise(SIGSTOP);
    _exit(freed_it ? 1 : 0);
}

/* A process frees what is in a slot, up to its nth instruction; then the host
 * frees that of another; then the process goes on. How many of them could;
 * *ended_out says that it was through before. */
static unsigned free_two(unsigned one, unsigned other, long n, bool *ended_out)
{
    pid_t pid = begin_process(5, free_slot, &one);
    unsigned could = 0;
    int status;

    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    *ended_out = false;
    while (n-- > 0 && !*ended_out)
        *ended_out = step(pid) == SIGSTOP;
    could += sh_slices_put(slices, atomic_load(&shared->slot[other]));
    do {
        assert_int_equal(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
    } while (WIFSTOPPED(status));
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
    could += (unsigned)WEXITSTATUS(status);
    atomic_store(&shared->slot[one], NULL);
    atomic_store(&shared->slot[other], NULL);
    return could;
}

static void of_two_who_free_a_block_one_does(void **state)
{
    bool ended = false;
    long n = 1;

    (void)state;
    begin();
    for (; !ended; n += SLOW ? 41 : 1) {
        place(0, make(100, 50));
        assert_int_equal(free_two(0, 0, n, &ended), 1);
        assert_int_equal(sh_slices_retire(slices, 5), 0);
        assert_int_equal(sh_slices_bytes(slices), 0);
    }
    assert_true(n > 50);
    end();
}

static void of_two_who_empty_an_orphan_one_sees_it(void **state)
{
    unsigned first = 0;
    bool ended = false;
    long n = 1;

    (void)state;
    begin();
    for (; !ended; n += stride) {
        run_process(3, make_some, &first);
        sh_slices_retire(slices, 3);
        assert_int_equal(slices_that_are(SH_SLICE_ORPHAN), 1);
        assert_int_equal(free_two(0, 1, n, &ended), 2);
        assert_int_equal(slices_that_are(SH_SLICE_FREE), SLICES);
        sh_slices_retire(slices, 5);
    }
    assert_true(n > 500);
    end();
}

/* -- storm -- */

static uint64_t seed;

static uint64_t next_random(uint64_t *from)
{
    *from ^= *from << 13;
    *from ^= *from >> 7;
    *from ^= *from << 17;
    return *from;
}

static uint32_t size_at_random(uint64_t *from)
{
    uint64_t kind = next_random(from) % 200;

    if (kind == 0)
        return (uint32_t)(2 * MIB + next_random(from) % (2 * MIB));
    return (uint32_t)(16 + next_random(from) % (kind < 20 ? 60000 : 600));
}

/* Until it is killed. Between two operations it waits if the host wants to
 * look. */
static void work(void *arg)
{
    uint64_t *own = arg;
    unsigned me = (unsigned)(*own & 15), seen = 0;
    uint64_t random = *own;

    for (;;) {
        unsigned round = atomic_load(&shared->pause), n;
        char *kept[8] = { NULL };
        char c = 0;

        if (round != 0 && round != seen) {
            seen = round;
            need(write(told[1], &c, 1) == 1);
            need(read(go[0], &c, 1) == 1);
            need(write(told[1], &c, 1) == 1);
        }
        n = (unsigned)(next_random(&random) % 8);
        for (unsigned i = 0; i < n; i++)
            kept[i] = make(size_at_random(&random), 8);
        for (unsigned i = 0; i < n; i++) {
            uint32_t size = size_at_random(&random);
            uint32_t filled = size > MIB ? 5000 : size - 8;
            char *p = i % 2 == 0 ? NULL : make(size, filled);

            place((unsigned)(next_random(&random) % SLOTS), p);
            need(kept[i] == NULL || sh_slices_put(slices, kept[i]));
        }
        atomic_fetch_add(&shared->ops[me], 1);
    }
}

static pid_t worker[WORKERS];

static void start_worker(unsigned i)
{
    static uint64_t own;

    do
        own = (next_random(&seed) & ~(uint64_t)15) | i;
    while (own < 16);
    worker[i] = begin_process(SH_OWNER_WORKER + i, work, &own);
}

/* Some operations later, and then at any point of one. */
static void wait_a_little(unsigned i)
{
    unsigned from = atomic_load(&shared->ops[i]);
    unsigned ops = (unsigned)(next_random(&seed) % 4);
    unsigned spins = (unsigned)(next_random(&seed) % 20000);

    while (atomic_load(&shared->ops[i]) - from < ops) {
        assert_false(has_ended(worker[i]));
        sched_yield();
    }
    for (unsigned k = 0; k < spins; k++)
        sh_relax();
}

/* From all but one, which is dead. */
static void hear_others(unsigned but)
{
    struct pollfd waits = { .fd = told[0], .events = POLLIN };
    char c;

    for (unsigned n = 1; n < WORKERS; n++) {
        while (poll(&waits, 1, 100) == 0) {
            for (unsigned i = 0; i < WORKERS; i++)
                assert_true(i == but || !has_ended(worker[i]));
        }
        assert_int_equal(read(told[0], &c, 1), 1);
    }
}

static void stop_others(unsigned round, unsigned but)
{
    atomic_store(&shared->pause, round);
    hear_others(but);
}

/* None is killed before it has heard that. */
static void let_go_on(unsigned but)
{
    atomic_store(&shared->pause, 0);
    for (unsigned n = 1; n < WORKERS; n++)
        assert_int_equal(write(go[1], "x", 1), 1);
    hear_others(but);
}

static long settled_use(void)
{
    sh_slices_trim(slices);
    assert_int_equal(sh_slices_bytes(slices), 0);
    assert_int_equal(slices_that_are(SH_SLICE_FREE), SLICES);
    return blocks_in_use();
}

/* All kinds of memory of the heap that stay in use once they were used. */
static long use_when_empty(void)
{
    unsigned some = 0, large = 2;

    for (unsigned i = 0; i < WORKERS; i++) {
        run_process(SH_OWNER_WORKER + i, make_some, &some);
        run_process(SH_OWNER_WORKER + WORKERS + i, make_large, &large);
        sh_slices_retire(slices, SH_OWNER_WORKER + i);
        sh_slices_retire(slices, SH_OWNER_WORKER + WORKERS + i);
        empty_slots(shared->slot, SLOTS);
    }
    return settled_use();
}

static void workers_may_be_killed_at_any_moment(void **state)
{
    size_t died = 0, left = 0;
    long before;

    (void)state;
    begin();
    before = use_when_empty();
    for (unsigned i = 0; i < WORKERS; i++)
        start_worker(i);
    for (unsigned n = 1; n <= KILLS; n++) {
        unsigned i = (unsigned)(next_random(&seed) % WORKERS);

        wait_a_little(i);
        kill_process(worker[i]);
        died += sh_slices_retire(slices, SH_OWNER_WORKER + i) > 0;
        sh_slices_retire(slices, SH_OWNER_WORKER + i);
        stop_others(n, i);
        assert_true(is_retired(SH_OWNER_WORKER + i));
        left += sh_slices_filter(slices, is_in_slot, NULL) > 0;
        assert_true(is_sound());
        let_go_on(i);
        start_worker(i);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        kill_process(worker[i]);
        sh_slices_retire(slices, SH_OWNER_WORKER + i);
    }
    assert_true(is_sound());
    assert_true(blocks_in_use() > before);
    empty_slots(shared->slot, SLOTS);
    assert_int_equal(settled_use(), before);
    print_message("%d kills, %zu with scratch, %zu with what was in no slot\n",
                  KILLS, died, left);
    assert_true(died > KILLS / 10);
    end();
}

int main(void)
{
    const char *text = getenv("SHUNT_TEST_SEED");
    const char *each = getenv("SHUNT_TEST_STRIDE");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_may_die_at_any_instruction),
        cmocka_unit_test(retiring_may_end_at_any_instruction),
        cmocka_unit_test(of_two_who_free_a_block_one_does),
        cmocka_unit_test(of_two_who_empty_an_orphan_one_sees_it),
        cmocka_unit_test(workers_may_be_killed_at_any_moment),
    };
    seed = text != NULL ? strtoull(text, NULL, 0) : 20261128;
    stride = each != NULL ? strtol(each, NULL, 0) : SLOW ? 397 : 31;
    print_message("seed %llu, stride %ld\n", (unsigned long long)seed, stride);
    return run_with_each_allocator(tests);
}
