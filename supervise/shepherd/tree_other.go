//go:build unix && !linux

package shepherd

import (
	"errors"
	"syscall"
)

func self(exe string) string { return exe }

func dup(from, to int) error { return syscall.Dup2(from, to) }

// Without subreapers a daemon that leaves its program's group goes to init: only the group is looked after.
func adopt() {}

func starterAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

func dieWithParent() error { return nil }

func setLimits(s *Spec) error {
	if s.Files > 0 {
		return limit(syscall.RLIMIT_NOFILE, "open files", s.Files)
	}
	return nil
}

func living(group int) int {
	if err := syscall.Kill(-group, 0); errors.Is(err, syscall.ESRCH) {
		return 0
	}
	return 1
}

func terminate(group int) { syscall.Kill(-group, syscall.SIGTERM) }

func kill(group int, _ string) int {
	syscall.Kill(-group, syscall.SIGKILL)
	return living(group)
}

func resident() uint64 { return 0 }

func removeGroup(string) {}
