/* SPDX-License-Identifier: MIT */
/*
 * unit/slices_kill_test.c - processes that die, or stop, inside of the shared
 * heap, at each instruction.
 *
 * Goal: wherever a process dies, in getting, publishing, freeing or retiring,
 * what is left can be retired: no block that others have is lost or changed,
 * none is left that nobody has, and the bytes are exact. Of two who free at
 * once, both are seen.
 *
 * Method. A traced process does one instruction at a time. At each stop (at
 * each 997th, or what $SHUNT_TEST_STRIDE says) another has a look at a copy of
 * the arena, retires the traced process there and checks everything; as a death
 * leaves all that was stored before it and nothing else, that is each death
 * there is. Or the host frees something meanwhile, and it goes on.
 */
#include "slices_slots.h"

#include <sys/mman.h>
#include <sys/ptrace.h>

enum {
    STEPS_MAX = 10000000,
    UNUSED_MAX = 4 /* pages: two blocks of more than one are freed */
};

static long errors, images;
static long stride; /* instructions from one image to the next */

/* Whether a block touches the page of a slice. */
static bool is_page_used(const char *page)
{
    for (unsigned i = 0; i < 4096; i += SH_GRANULE) {
        if (sh_slices_knows(slices, page + i))
            return true;
    }
    return false;
}

/* The memory that slices of the dead take has blocks in it, and free ones take
 * none. Where something was freed since, pages at its ends may stay. */
static bool is_tight(int fd)
{
    off_t first = slices->data - (char *)arena;
    off_t end = first + (off_t)(slices->slice_bytes * slices->count);
    unsigned unused = 0;

    for (off_t at = first; (at = lseek(fd, at, SEEK_DATA)) >= 0 && at < end;
         at += 4096) {
        const char *page = (const char *)arena + at;
        uint32_t word =
            atomic_load(&slices->slice[sh_slice_of(slices, page)].word);

        if (sh_slice_state(word) == SH_SLICE_FREE)
            return false;
        unused += sh_slice_state(word) != SH_SLICE_OWNED && !is_page_used(page);
    }
    return unused <= UNUSED_MAX;
}

/* In a process of its own that has a copy of the arena: everything is there,
 * others can go on with it, and in the end it is empty. */
static bool survives(const unsigned *dead, int fd)
{
    char *more[20];

    for (; *dead != 0; dead++) {
        sh_slices_retire(slices, *dead);
        if (!is_retired(*dead))
            return false;
    }
    if (!is_sound() || !is_tight(fd))
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

/* The file of the arena, and what is in it, once more. */
static int copy_arena(void)
{
    int fd = memfd_create("copy", MFD_CLOEXEC);
    off_t at = 0, hole;

    need(fd >= 0 && ftruncate(fd, (off_t)arena->bytes) == 0);
    while ((at = lseek(arena->fd, at, SEEK_DATA)) >= 0) {
        hole = lseek(arena->fd, at, SEEK_HOLE);
        for (ssize_t n; at < hole; at += n) {
            n = pwrite(fd, (char *)arena + at, (size_t)(hole - at), at);
            need(n > 0);
        }
    }
    return fd;
}

/* The arena as it is now, in which the dead have just died. */
static void look(const unsigned *dead, long steps)
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        int fd = copy_arena();

        need(mmap(arena, arena->bytes, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd, 0) != MAP_FAILED);
        need(join(9));
        _exit(survives(dead, fd) ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    images++;
    if (status != 0 && errors++ < 5)
        print_message("instruction %ld: status %x\n", steps, status);
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
    for (; !ended; n += SLOW ? 41 : is_thorough() ? 1 : 7) {
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

int main(void)
{
    const char *each = getenv("SHUNT_TEST_STRIDE");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_may_die_at_any_instruction),
        cmocka_unit_test(retiring_may_end_at_any_instruction),
        cmocka_unit_test(of_two_who_free_a_block_one_does),
        cmocka_unit_test(of_two_who_empty_an_orphan_one_sees_it),
    };

    stride = each != NULL    ? strtol(each, NULL, 0)
             : SLOW          ? 1999
             : is_thorough() ? 211
                             : 997;
    return run_with_each_allocator(tests);
}
