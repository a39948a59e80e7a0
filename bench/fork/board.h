/* SPDX-License-Identifier: MIT */
/*
 * fork/board.h - a chessboard of which some rows hold a queen each.
 *
 * It is copied into every call that tries another queen, as in Cilk's nqueens.
 */
#ifndef BENCH_FORK_BOARD_H
#define BENCH_FORK_BOARD_H

#include <stdbool.h>
#include <stdint.h>

enum {
    BENCH_QUEENS_MAX = 14
};

struct bench_board {
    int8_t size, rows;                /* how many of them are filled */
    int8_t columns[BENCH_QUEENS_MAX]; /* where the queen of each row is */
};

/* Put a queen into the next row of *to, which is then from with that queen;
 * false if another one would take it. */
static inline bool bench_board_put(const struct bench_board *from, int column,
                                   struct bench_board *to)
{
    for (int row = 0; row < from->rows; row++) {
        int apart = from->rows - row, aside = from->columns[row] - column;

        if (aside == 0 || aside == apart || aside == -apart)
            return false;
    }
    *to = *from;
    to->columns[to->rows++] = (int8_t)column;
    return true;
}

#endif /* BENCH_FORK_BOARD_H */
