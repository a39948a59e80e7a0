// SPDX-License-Identifier: MIT

// main.go - the rows on Go's goroutines and channels: the program.
//
// It understands those flags of Google Benchmark that bench/run uses, and
// answers as that does. GOMAXPROCS is the row's number of workers; Go has no
// thread outside of them, so the goroutine that submits shares them.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"time"
)

type figures map[string]float64

type row struct {
	name    string
	workers int
	measure func() (figures, error)
}

var scale = 1.0

// scaled is n times the scale, at least 1.
func scaled(n int) int {
	if m := int(float64(n) * scale); m > 1 {
		return m
	}
	return 1
}

func quantile(values []float64, q float64) float64 {
	sort.Float64s(values)
	return values[int(q*float64(len(values)))]
}

// twice calls round, which is n units, and says what one takes: cold and warm.
func twice(n int, round func() error) (figures, error) {
	var ns [2]float64
	for i := range ns {
		begin := time.Now()
		if err := round(); err != nil {
			return nil, err
		}
		ns[i] = float64(time.Since(begin).Nanoseconds()) / float64(n)
	}
	return figures{"cold_ns": ns[0], "ns": ns[1]}, nil
}

// repeated is how fork/rows.c measures.
func repeated(units int, round func() error) (figures, error) {
	var ns []float64
	spent, enough := 0.0, 2e8*scale
	for i := 0; i < 16 && (i < 2 || spent < enough); i++ {
		begin := time.Now()
		if err := round(); err != nil {
			return nil, err
		}
		took := float64(time.Since(begin).Nanoseconds())
		if i > 0 || took > 2e9 {
			ns = append(ns, took)
			spent += took
		}
		if took > 2e9 {
			break
		}
	}
	return figures{"ns": quantile(ns, 0.5) / float64(units)}, nil
}

// expect is an error unless both are the same.
func expect(got, right uint64) error {
	if got != right {
		return fmt.Errorf("%d, and not %d", got, right)
	}
	return nil
}

func run(r row) map[string]interface{} {
	answer := map[string]interface{}{"name": r.name}
	runtime.GOMAXPROCS(r.workers)
	found, err := r.measure()
	if err != nil {
		answer["error_occurred"] = true
		answer["error_message"] = err.Error()
	}
	for name, value := range found {
		answer[name] = value
	}
	return answer
}

func main() {
	list, filter := false, ""
	for _, arg := range os.Args[1:] {
		name, value, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		switch name {
		case "benchmark_list_tests":
			list = true
		case "benchmark_filter":
			filter = value
		case "scale":
			scale, _ = strconv.ParseFloat(value, 64)
		}
	}
	wanted, err := regexp.Compile(filter)
	if err != nil || !(scale > 0 && scale <= 10) {
		fmt.Fprintln(os.Stderr, "--benchmark_filter: a regular expression; "+
			"--scale: a number above 0, at most 10")
		os.Exit(2)
	}
	answers := []map[string]interface{}{}
	for _, r := range rows() {
		if list {
			fmt.Println(r.name)
		} else if wanted.MatchString(r.name + "/iterations:1") {
			answers = append(answers, run(r))
		}
	}
	if !list {
		text, _ := json.MarshalIndent(
			map[string]interface{}{"benchmarks": answers}, "", " ")
		fmt.Println(string(text))
	}
}
