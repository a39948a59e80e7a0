/* SPDX-License-Identifier: MIT */
/*
 * completion_fd_test.c - a queue's descriptor is readable exactly while
 * something is ready, and wakes nobody for nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "completion.h"

static int fd_of(shunt_queue *queue)
{
    int fd = shunt_queue_fd(queue);

    assert_true(fd >= 0);
    return fd;
}

static bool is_readable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    return poll(&p, 1, 0) == 1 && (p.revents & POLLIN) != 0;
}

/* Whether it becomes readable; bounded by patience. */
static bool becomes_readable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    return poll(&p, 1, (int)(harness_patience() / SHUNT_MS(1))) == 1;
}

static void it_is_one_descriptor_that_no_child_program_gets(void)
{
    shunt_queue *queue = new_queue();
    int fd = fd_of(queue);

    assert_int_equal(fd_of(queue), fd);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    free_queue(queue);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    assert_int_equal(errno, EBADF);
}

static void it_is_readable_while_something_is_ready(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = new_queue();
    int fd = fd_of(queue);
    struct stage_promise made[3];

    assert_false(is_readable(fd));
    for (int i = 0; i < 3; i++) {
        made[i] = stage_promise(pool);
        add(queue, made[i].future, i);
        assert_false(is_readable(fd));
    }
    for (int i = 0; i < 3; i++) {
        stage_give(made[i].promise, i);
        assert_true(is_readable(fd));
    }
    for (int i = 0; i < 3; i++) {
        assert_true(is_readable(fd));
        assert_event(queue, made[i].future, i);
        assert_takes(made[i].future, i);
    }
    assert_false(is_readable(fd));
    add(queue, stage_given(pool, 1), 1);
    assert_true(is_readable(fd));
    free_queue(queue);
    harness_free(pool);
}

static void it_may_be_asked_for_when_something_is_ready(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = new_queue();
    shunt_future *f = stage_given(pool, 1);

    add(queue, f, 1);
    assert_true(is_readable(fd_of(queue)));
    assert_event(queue, f, 1);
    assert_false(is_readable(fd_of(queue)));
    assert_takes(f, 1);
    free_queue(queue);
    harness_free(pool);
}

static void removing_the_last_that_is_ready_makes_it_unreadable(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = new_queue();
    int fd = fd_of(queue);
    shunt_future *fs[2] = { stage_given(pool, 0), stage_given(pool, 1) };

    add(queue, fs[0], 0);
    add(queue, fs[1], 1);
    assert_true(shunt_queue_remove(queue, fs[0]));
    assert_true(is_readable(fd));
    assert_true(shunt_queue_remove(queue, fs[1]));
    assert_false(is_readable(fd));
    assert_takes(fs[0], 0);
    assert_takes(fs[1], 1);
    free_queue(queue);
    harness_free(pool);
}

static void many_that_are_added_together_make_it_readable(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = new_queue();
    int fd = fd_of(queue);
    shunt_future *fs[200];
    shunt_event events[200];

    for (long i = 0; i < 200; i++)
        fs[i] = stage_given(pool, i);
    assert_ok(shunt_queue_add_all(queue, fs, 200));
    assert_true(is_readable(fd));
    assert_long(shunt_queue_take(queue, events, 199), 199);
    assert_true(is_readable(fd));
    assert_long(shunt_queue_take(queue, events, 200), 1);
    assert_false(is_readable(fd));
    free_queue(queue);
    for (long i = 0; i < 200; i++)
        assert_takes(fs[i], i);
    harness_free(pool);
}

/* Goal: a loop that takes whenever poll says so takes everything, and is
 * never called in vain. Method: it is the only one that takes. */
static void a_loop_is_called_for_every_event_and_never_in_vain(void)
{
    enum {
        N = 20000
    };
    shunt_pool *pool = harness_pool(2);
    shunt_queue *queue = new_queue();
    int fd = fd_of(queue);
    long all = N / (long)harness_slowness(), sent = 0, taken = 0, sum = 0;

    while (taken < all) {
        shunt_event events[5];
        int n;

        for (; sent < all && sent - taken < 50; sent++)
            add(queue, shunt_submit(pool, stage_same, &sent), sent);
        harness_note("%ld sent, %ld taken", sent, taken);
        assert_true(becomes_readable(fd));
        n = shunt_queue_take(queue, events, 1 + (size_t)(taken % 5));
        assert_true(n > 0);
        for (int i = 0; i < n; i++) {
            long value;

            assert_ok(shunt_take(events[i].future, &value));
            assert_ptr_equal(events[i].tag, tag(value));
            sum += value;
        }
        taken += n;
        if (taken == sent)
            assert_false(is_readable(fd));
    }
    assert_long(sum, all * (all - 1) / 2);
    free_queue(queue);
    harness_free(pool);
}

/* Method: edge-triggered, as some loops are, whose thread takes until there is
 * nothing. */
static void an_edge_comes_each_time_that_it_becomes_readable(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = new_queue();
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event edge = { .events = EPOLLIN | EPOLLET };

    assert_true(epoll >= 0);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, fd_of(queue), &edge), 0);
    for (long i = 0; i < 200; i++) {
        shunt_future *fs[2] = { shunt_submit(pool, stage_same, &i),
                                shunt_submit(pool, stage_same, &i) };
        int left = 2;

        add(queue, fs[0], i);
        add(queue, fs[1], i);
        while (left > 0) {
            shunt_event event;

            assert_int_equal(epoll_wait(epoll, &edge, 1, 60000), 1);
            while (shunt_queue_take(queue, &event, 1) == 1) {
                assert_takes(event.future, i);
                left--;
            }
        }
        assert_int_equal(epoll_wait(epoll, &edge, 1, 0), 0);
    }
    close(epoll);
    free_queue(queue);
    harness_free(pool);
}

static void one_of_several_queues_is_readable(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queues[3] = { new_queue(), new_queue(), new_queue() };
    struct stage_promise made = stage_promise(pool);

    for (int i = 0; i < 3; i++)
        (void)fd_of(queues[i]);
    add(queues[1], made.future, 1);
    stage_give(made.promise, 1);
    for (int i = 0; i < 3; i++)
        assert_true(is_readable(fd_of(queues[i])) == (i == 1));
    for (int i = 0; i < 3; i++)
        free_queue(queues[i]);
    harness_free(pool);
}

static void without_descriptors_the_queue_works_and_says_why(void)
{
    shunt_pool *pool = harness_pool(1);
    shunt_queue *queue = new_queue();
    shunt_future *f = stage_given(pool, 1);
    struct rlimit old, none;
    int rc;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = old;
    none.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    errno = 4711;
    rc = shunt_queue_fd(queue);
    assert_int_equal(errno, 4711);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_status(rc, -EMFILE);
    add(queue, f, 1);
    assert_true(is_readable(fd_of(queue)));
    assert_event(queue, f, 1);
    assert_takes(f, 1);
    free_queue(queue);
    harness_free(pool);
}

static const struct CMUnitTest claims[] = {
    CLAIM(it_is_one_descriptor_that_no_child_program_gets),
    CLAIM(it_is_readable_while_something_is_ready),
    CLAIM(it_may_be_asked_for_when_something_is_ready),
    CLAIM(removing_the_last_that_is_ready_makes_it_unreadable),
    CLAIM(many_that_are_added_together_make_it_readable),
    CLAIM(a_loop_is_called_for_every_event_and_never_in_vain),
    CLAIM(an_edge_comes_each_time_that_it_becomes_readable),
    CLAIM(one_of_several_queues_is_readable),
    CLAIM(without_descriptors_the_queue_works_and_says_why),
};

HARNESS_MAIN(claims)
