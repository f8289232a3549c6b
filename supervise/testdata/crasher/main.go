// Command crasher lets four programs crash in turn, so many times in all, and prints what the supervisor had before and after as JSON.
// Before that it kills a program and measures how soon it is back.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"iod/supervise"
)

type counts struct{ Files, Threads, Goroutines, Children, Heap int }

func count() (c counts) {
	entries := func(dir string) int {
		list, _ := os.ReadDir(dir)
		return len(list)
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	c = counts{Files: entries("/proc/self/fd"), Threads: entries("/proc/self/task"), Goroutines: runtime.NumGoroutine(), Heap: int(m.HeapAlloc)}
	files, _ := filepath.Glob("/proc/self/task/*/children")
	for _, f := range files {
		b, _ := os.ReadFile(f)
		c.Children += len(strings.Fields(string(b)))
	}
	return c
}

// supervisor runs until stop is called.
func supervisor(dir string, programs ...supervise.Program) (s *supervise.Supervisor, events chan supervise.Event, stop func()) {
	events = make(chan supervise.Event, 10_000)
	s = supervise.New(supervise.Options{Programs: programs, Dir: dir, Log: slog.New(slog.DiscardHandler), Output: func(supervise.Line) {},
		OnEvent: func(e supervise.Event) { events <- e }})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	return s, events, func() {
		cancel()
		<-done
	}
}

// firstBack measures the time from the death of a program to its next start, the median of five.
func firstBack(dir string) time.Duration {
	var all []time.Duration
	for range 5 {
		_, events, stop := supervisor(dir, supervise.Program{Name: "p", Command: []string{"sleep", "1000"}})
		e := <-events
		for e.Kind != supervise.Started {
			e = <-events
		}
		begin := time.Now()
		syscall.Kill(e.PID, syscall.SIGKILL)
		for e = <-events; e.Kind != supervise.Started; e = <-events {
		}
		all = append(all, time.Since(begin))
		stop()
	}
	for i := range all {
		for k := range i {
			if all[i] < all[k] {
				all[i], all[k] = all[k], all[i]
			}
		}
	}
	return all[len(all)/2]
}

func main() {
	dir := os.Args[1]
	n, err := strconv.Atoi(os.Args[2])
	if err != nil {
		fmt.Println(err)
		os.Exit(2)
	}
	back := firstBack(filepath.Join(dir, "back"))
	before := count()
	var programs []supervise.Program
	for i := range 4 {
		p := supervise.Program{Name: fmt.Sprintf("p%d", i), Command: []string{"sh", "-c", "echo crash; exit 7"}}
		p.Policy = supervise.Policy{First: time.Microsecond, Min: time.Microsecond, Max: time.Microsecond}
		programs = append(programs, p)
	}
	start := time.Now()
	s, events, stop := supervisor(dir, programs...)
	crashes := 0
	for crashes < n {
		if e := <-events; e.Kind == supervise.Exited && e.Exit.Code == 7 {
			crashes++
		}
	}
	took := time.Since(start)
	looping, exits := 0, 0
	for _, st := range s.Status() {
		if exits += len(st.Exits); st.Looping {
			looping++
		}
	}
	stop()
	json.NewEncoder(os.Stdout).Encode(map[string]any{"Crashes": crashes, "Exits": exits, "Looping": looping, "Before": before, "After": count(),
		"FirstBack": back, "Took": took})
}
