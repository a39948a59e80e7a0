// SPDX-License-Identifier: MIT

// forks.go - the fork-join rows: a fork is a goroutine that answers on a
// channel.
package main

func fib(n int) uint64 {
	if n < 2 {
		return uint64(n)
	}
	left := make(chan uint64, 1)
	go func() { left <- fib(n - 1) }()
	right := fib(n - 2)
	return <-left + right
}

func forkFib() (figures, error) {
	n, right, next := 1, uint64(1), uint64(1)
	for right+next <= uint64(scaled(63245985))+1 {
		right, next = next, right+next
		n++
	}
	return repeated(int(next-1), func() error { return expect(fib(n), right) })
}

type board struct {
	size, rows int8
	columns    [14]int8
}

// put a queen into the next row; false if another one would take it.
func (b board) put(column int8) (board, bool) {
	for row := int8(0); row < b.rows; row++ {
		apart, aside := b.rows-row, b.columns[row]-column
		if aside == 0 || aside == apart || aside == -apart {
			return b, false
		}
	}
	b.columns[b.rows] = column
	b.rows++
	return b, true
}

func place(b board) uint64 {
	if b.rows == b.size {
		return 1
	}
	parts, n := make(chan uint64, b.size), 0
	for column := int8(0); column < b.size; column++ {
		if next, ok := b.put(column); ok {
			n++
			go func() { parts <- place(next) }()
		}
	}
	solutions := uint64(0)
	for ; n > 0; n-- {
		solutions += <-parts
	}
	return solutions
}

func forkQueens() (figures, error) {
	queens := []struct {
		size      int8
		solutions uint64
		puts      int
	}{
		{6, 4, 152}, {7, 40, 551}, {8, 92, 2056}, {9, 352, 8393},
		{10, 724, 35538}, {11, 2680, 166925}, {12, 14200, 856188},
	}
	last := len(queens) - 1
	at := 0
	for at < last && queens[at+1].puts <= scaled(queens[last].puts) {
		at++
	}
	q := queens[at]
	return repeated(q.puts, func() error {
		return expect(place(board{size: q.size}), q.solutions)
	})
}

func skynet(first, leaves uint64) uint64 {
	if leaves == 1 {
		return first
	}
	parts := make(chan uint64, 10)
	for i := uint64(0); i < 10; i++ {
		at := first + i*(leaves/10)
		go func() { parts <- skynet(at, leaves/10) }()
	}
	sum := uint64(0)
	for i := 0; i < 10; i++ {
		sum += <-parts
	}
	return sum
}

func forkSkynet() (figures, error) {
	leaves, tasks := sizes(1000000)
	n := uint64(leaves)
	return repeated(tasks, func() error {
		return expect(skynet(0, n), n*(n-1)/2)
	})
}
