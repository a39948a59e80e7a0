/* SPDX-License-Identifier: MIT */
/*
 * promise_hook.c - a promise gets a listener while its future is cancelled.
 *
 * Edge: hook (future/promise.c, future/cancel.c). Either the listener is
 * called, and knows what it was given, or on_cancel says that it comes too
 * late; never neither.
 */
#include <stdarg.h>
#include <string.h>

#include "settle_client.h"
#include "task/data.h"

/* The checker's stdio.h has it not; nobody calls it here. */
int vsnprintf(char *to, size_t size, const char *format, va_list arguments);

#include "../../runtime/future/cancel.c"
#define find find_promise /* promise.c has names of its own for these */
#define begin begin_promise
#define settle settle_promise
#define sh_promise_dispose dispose_promise
/* The checker cannot copy what these copy. The first, unused now, is left out;
 * nobody calls the others here. */
#define shunt_promise_new_typed static unused_new
#define memcpy copy_nothing
void copy_nothing(void *to, const void *from, size_t size);
#include "../../runtime/future/promise.c"

static struct listener listener;
static int heard, user_data;
static int rc;

void *sh_heap_get(struct sh_heap *h, size_t size)
{
    (void)h;
    assert(size == sizeof listener);
    return &listener;
}

void sh_heap_put(struct sh_heap *h, void *p, size_t size)
{
    (void)h;
    (void)size;
    assert(p == &listener);
    listener.fn = NULL; /* plain, as free(3) is */
}

void sh_error_attach(struct sh_pool *p, struct sh_record *r,
                     const struct sh_failure *f)
{
    (void)p;
    (void)r;
    (void)f;
}

static void listen_to(void *user)
{
    assert(*(int *)user == 42);
    heard++;
}

static void *writer(void *unused)
{
    (void)unused;
    user_data = 42;
    rc = shunt_promise_on_cancel(promise_of(handle_of(1)), listen_to, &user_data);
    return NULL;
}

static void *canceller(void *unused)
{
    struct sh_work work = { 0 };

    (void)unused;
    (void)sh_cancel_ask(&work, &pool, &records[1], GENERATION);
    sh_work_do(&work);
    return NULL;
}

int main(void)
{
    pthread_t one, two;

    make_pool_with_queues();
    make_record(1, SH_PROMISE | SH_KEPT, SH_KIND_PROMISE);
    one = thread_start(writer, NULL);
    two = thread_start(canceller, NULL);
    thread_join(one);
    thread_join(two);
    assert(rc == 0 || rc == SHUNT_ECANCELED);
    assert(heard == (rc == 0));
    return 0;
}
