// SPDX-License-Identifier: MIT

// rows.go - goroutines that answer on a channel.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

func rows() []row {
	var all []row
	add := func(name string, workers int, measure func() (figures, error)) {
		all = append(all, row{name, workers, measure})
	}
	for w := 1; w <= 2; w++ {
		of := func(format string) string { return fmt.Sprintf(format, w) }
		add(of("submit/%dw/window:1024"), w,
			func() (figures, error) { return submit(1024) })
		add(of("submit/%dw/window:all"), w,
			func() (figures, error) { return submit(scaled(1000000)) })
		add(of("tree/%dw"), w, tree)
		add(of("when_all/tasks/%dw"), w, whenAll)
		add(of("pingpong/%dw"), w, pingpong)
		add(of("fork/fib/%dw"), w, forkFib)
		add(of("fork/nqueens/%dw"), w, forkQueens)
		add(of("fork/skynet/%dw"), w, forkSkynet)
	}
	add("roundtrip/one-cpu", 2, func() (figures, error) {
		if err := pin(); err != nil {
			return nil, err
		}
		return trips()
	})
	add("roundtrip/free", 2, trips)
	add("idle/2w", 2, idle)
	add("then/chain", 1, chain)
	return all
}

// future is a task that runs, and answers once.
func future(in uint64) chan uint64 {
	out := make(chan uint64, 1)
	go func() { out <- in + 1 }()
	return out
}

func submit(window int) (figures, error) {
	n := scaled(1000000)
	handles := make([]chan uint64, window)
	return twice(n, func() error {
		sum := uint64(0)
		for first := 0; first < n; first += window {
			some := handles
			if n-first < window {
				some = handles[:n-first]
			}
			for i := range some {
				some[i] = future(uint64(first + i))
			}
			for _, out := range some {
				sum += <-out
			}
		}
		return expect(sum, uint64(n)*uint64(n+1)/2)
	})
}

func addLeaves(first, leaves uint64) uint64 {
	if leaves == 1 {
		return first
	}
	var children [10]chan uint64
	for i := range children {
		out := make(chan uint64, 1)
		at, part := first+uint64(i)*(leaves/10), leaves/10
		go func() { out <- addLeaves(at, part) }()
		children[i] = out
	}
	sum := uint64(0)
	for _, out := range children {
		sum += <-out
	}
	return sum
}

// sizes is how many leaves a tree of tens has, and how many tasks.
func sizes(most int) (leaves, tasks int) {
	for leaves, tasks = 10, 11; leaves*10 <= scaled(most); tasks += leaves {
		leaves *= 10
	}
	return leaves, tasks
}

func tree() (figures, error) {
	leaves, tasks := sizes(100000)
	n := uint64(leaves)
	return twice(tasks, func() error {
		return expect(addLeaves(0, n), n*(n-1)/2)
	})
}

func whenAll() (figures, error) {
	n := scaled(1000000)
	outs := make([]uint64, n)
	return twice(n, func() error {
		var all sync.WaitGroup
		all.Add(n)
		for i := range outs {
			i := i
			go func() {
				outs[i] = uint64(i) + 1
				all.Done()
			}()
		}
		all.Wait()
		sum := uint64(0)
		for _, out := range outs {
			sum += out
		}
		return expect(sum, uint64(n)*uint64(n+1)/2)
	})
}

func pingpong() (figures, error) {
	n := scaled(200000) / 2 * 2
	return twice(n, func() error {
		there, back := make(chan uint64), make(chan uint64)
		last := make(chan uint64)
		go func() {
			number := uint64(0)
			for i := 0; i < n/2; i++ {
				there <- number + 1
				number = <-back
			}
			close(there)
			last <- number
		}()
		go func() {
			for number := range there {
				back <- number + 1
			}
		}()
		return expect(<-last, uint64(n))
	})
}

// pin the whole process to one CPU that it may use.
func pin() error {
	var may, one [128]uintptr
	size := unsafe.Sizeof(may)
	if _, _, e := syscall.RawSyscall(syscall.SYS_SCHED_GETAFFINITY, 0, size,
		uintptr(unsafe.Pointer(&may))); e != 0 {
		return e
	}
	for i, word := range may {
		if word != 0 {
			one[i] = word & -word
			break
		}
	}
	tasks, err := os.ReadDir("/proc/self/task")
	for _, task := range tasks {
		var id uintptr
		fmt.Sscan(task.Name(), &id)
		if _, _, e := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, id,
			size, uintptr(unsafe.Pointer(&one))); e != 0 {
			return e
		}
	}
	return err
}

func trips() (figures, error) {
	n, before := scaled(1500), 50
	there, back := make(chan uint64), make(chan uint64)
	go func() {
		for in := range there {
			back <- in + 1
		}
	}()
	var us []float64
	for i := 0; i < before+n; i++ {
		time.Sleep(200 * time.Microsecond)
		begin := time.Now()
		there <- 1
		if out := <-back; out != 2 {
			return nil, errors.New("a trip failed")
		}
		if i >= before {
			us = append(us, float64(time.Since(begin).Nanoseconds())/1000)
		}
	}
	close(there)
	return figures{"p50_us": quantile(us, 0.5), "p99_us": quantile(us, 0.99)},
		nil
}

func idle() (figures, error) {
	var before, after syscall.Rusage
	for i := uint64(0); i < 10000; i++ {
		<-future(i)
	}
	time.Sleep(500 * time.Millisecond)
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	begin := time.Now()
	time.Sleep(time.Duration(5e9 * scale))
	took := time.Since(begin)
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	cpu := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() -
		before.Stime.Nano()
	return figures{
		"cpu_percent": 100 * float64(cpu) / float64(took.Nanoseconds()),
		// The sleep of the goroutine that measures is one.
		"switches": float64(after.Nvcsw+after.Nivcsw-before.Nvcsw-
			before.Nivcsw) - 1,
	}, nil
}

func present() float64 {
	var size, pages int
	file, err := os.Open("/proc/self/statm")
	if err != nil {
		return 0
	}
	defer file.Close()
	fmt.Fscan(file, &size, &pages)
	return float64(pages * os.Getpagesize())
}

// chain is of goroutines of which each waits for the one before.
func chain() (figures, error) {
	n := scaled(1000000)
	links, found := float64(n), figures{}
	for _, name := range []string{"cold_ns", "ns"} {
		before := present()
		begin := time.Now()
		first := make(chan uint64, 1)
		last := first
		for i := 0; i < n; i++ {
			in, out := last, make(chan uint64, 1)
			go func() { out <- <-in + 1 }()
			last = out
		}
		for i := 0; i < 3; i++ {
			runtime.Gosched() // until all of them wait
		}
		built := time.Since(begin)
		if name == "cold_ns" {
			found["bytes"] = (present() - before) / links
		}
		resumed := time.Now()
		first <- 0
		if err := expect(<-last, uint64(n)); err != nil {
			return nil, err
		}
		ran := time.Since(resumed)
		found["build_ns"] = float64(built.Nanoseconds()) / links
		found["run_ns"] = float64(ran.Nanoseconds()) / links
		found[name] = found["build_ns"] + found["run_ns"]
	}
	return found, nil
}
