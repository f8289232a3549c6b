package demo

import (
	"os"
	"syscall"
)

// ownGroup puts a child into a process group of its own and has the kernel end it should the demo be killed.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// killGroup kills a child and all that it started in its group.
func killGroup(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }
