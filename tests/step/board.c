/* SPDX-License-Identifier: MIT */
/*
 * step/board.c - what tasks say of themselves.
 */
#include "stepper.h"

struct board *board;

void now_begins(int id)
{
    atomic_store(&board->on[id], sh_worker_here()->index);
    atomic_fetch_add(&board->begun[id], 1);
    atomic_store(&board->last, id);
}

void now_ends(int id)
{
    atomic_store(&board->last, id);
    atomic_fetch_add(&board->ended[id], 1);
}

void now_at(int id)
{
    atomic_store(&board->last, id);
}

void now_sent(int id)
{
    atomic_fetch_add(&board->sent[id], 1);
}

void board_clear(void)
{
    for (int i = 0; i < IDS; i++) {
        atomic_store(&board->sent[i], 0);
        atomic_store(&board->on[i], 0);
        atomic_store(&board->begun[i], 0);
        atomic_store(&board->ended[i], 0);
        atomic_store(&board->values[i], 0);
    }
    atomic_store(&board->last, -1);
}
