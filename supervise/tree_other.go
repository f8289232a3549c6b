//go:build unix && !linux

package supervise

import (
	"log/slog"
	"syscall"
)

func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// Without subreapers a daemon that leaves its program's group goes to init.
func adopt(*slog.Logger) (stop func()) { return func() {} }

func reap() {}

func daemons([]string) []int { return nil }
