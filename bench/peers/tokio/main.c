/* SPDX-License-Identifier: MIT */
/*
 * peers/tokio/main.c - Tokio, of Rust: the program.
 */
#include "workload.h"

/* tasks.rs */
int tokio_open(int workers, int cpu);
void tokio_close(void);
int tokio_prepare(size_t n);
int tokio_window(uint64_t first, size_t n, uint64_t *sum_out);
int tokio_ping(void);
int tokio_tree(uint64_t first, uint64_t leaves, uint64_t *sum_out);
int tokio_chain_build(size_t n);
int tokio_chain_run(uint64_t *out);
int tokio_pingpong(uint64_t n, uint64_t *out);
int tokio_pending_new(size_t n);
void tokio_pending_free(void);

/* Nothing is made for who submits. */
static int peer_enter(size_t n)
{
    (void)n;
    return 0;
}

static void peer_leave(void)
{
}

int main(int argc, char **argv)
{
    static const struct bench_system peer = {
        .open = tokio_open,
        .close = tokio_close,
        .prepare = tokio_prepare,
        .enter = peer_enter,
        .leave = peer_leave,
        .window = tokio_window,
        .ping = tokio_ping,
        .tree = tokio_tree,
        .chain_build = tokio_chain_build,
        .chain_run = tokio_chain_run,
        .all = tokio_window,
        .pingpong = tokio_pingpong,
        .pending_new = tokio_pending_new,
        .pending_free = tokio_pending_free,
    };

    return bench_main(argc, argv, &peer, NULL);
}
