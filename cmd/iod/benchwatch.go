//go:build !device

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// used is what a process used while it was watched.
type used struct {
	resident int64         // memory, in bytes, at most
	cpu      time.Duration // of all processors
}

// watch follows a process until ctx ends. Nobody is watched by pid 0.
func watch(ctx context.Context, pid int) (u used, err error) {
	if pid == 0 {
		return u, nil
	}
	first, err := processorTime(pid)
	if err != nil {
		return u, err
	}
	often := time.NewTicker(200 * time.Millisecond)
	defer often.Stop()
	for {
		n, err := resident(pid)
		if err != nil {
			return u, err
		}
		u.resident = max(u.resident, n)
		select {
		case <-often.C:
		case <-ctx.Done():
			last, err := processorTime(pid)
			u.cpu = last - first
			return u, err
		}
	}
}

var errProc = errors.New("/proc has another form than is known")

// resident is how much memory a process has resident now, in bytes.
func resident(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("memory of process %d: %w", pid, err)
	}
	for line := range strings.Lines(string(status)) {
		rest, ok := strings.CutPrefix(line, "VmRSS:")
		if !ok {
			continue
		}
		kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("memory of process %d: %w", pid, err)
		}
		return kb << 10, nil
	}
	return 0, fmt.Errorf("memory of process %d: %w", pid, errProc)
}

// tick is the unit of times in /proc on all of Linux's own architectures.
const tick = time.Second / 100

// processorTime is how long a process has used processors.
func processorTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("processor time of process %d: %w", pid, err)
	}
	// Its name, in brackets, may hold anything; fields 14 and 15 are times in user and system mode, and the one after the name is 3.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("processor time of process %d: %w", pid, errProc)
	}
	user, errUser := strconv.ParseInt(fields[11], 10, 64)
	system, errSystem := strconv.ParseInt(fields[12], 10, 64)
	if err := errors.Join(errUser, errSystem); err != nil {
		return 0, fmt.Errorf("processor time of process %d: %w", pid, err)
	}
	return time.Duration(user+system) * tick, nil
}
