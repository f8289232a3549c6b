package supervise

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Names that a program finds in its environment.
const (
	envProgram    = "IOD_PROGRAM"    // its name
	envSupervisor = "IOD_SUPERVISOR" // a random token of the Supervisor
)

// drainTime is how long output is awaited after the last process of a program's group is gone. Only a daemon that left the
// group can hold its pipes open then.
const drainTime = 250 * time.Millisecond

// owned holds the children that this package waits for by their id. Children belong to the process, so this does too.
var owned = struct {
	sync.Mutex
	pids map[int]bool
}{pids: map[int]bool{}}

// child is a running program.
type child struct {
	cmd     *exec.Cmd
	marks   []string // of its environment, by which its daemons are known
	pipes   []*os.File
	readers sync.WaitGroup
}

// start starts a program. The caller's goroutine stays on its thread from here to the child's end: the kernel kills the
// child when the thread that started it is gone.
func (s *Supervisor) start(p *program) (*child, error) {
	c := &child{marks: []string{envProgram + "=" + p.spec.Name, envSupervisor + "=" + s.token}}
	c.cmd = exec.Command(p.spec.Command[0], p.spec.Command[1:]...)
	c.cmd.Dir = p.spec.Dir
	c.cmd.Env = append(append(environment(os.Environ()), p.spec.Env...), c.marks...)
	c.cmd.SysProcAttr = attributes()
	var theirs []*os.File
	defer func() {
		for _, f := range theirs {
			f.Close()
		}
	}()
	for _, to := range []*io.Writer{&c.cmd.Stdout, &c.cmd.Stderr} {
		r, w, err := os.Pipe()
		if err != nil {
			c.closePipes()
			return nil, fmt.Errorf("make pipe: %w", err)
		}
		c.pipes, theirs = append(c.pipes, r), append(theirs, w)
		*to = w
	}
	runtime.LockOSThread()
	owned.Lock()
	err := c.cmd.Start()
	if err == nil {
		owned.pids[c.pid()] = true
	}
	owned.Unlock()
	if err != nil {
		runtime.UnlockOSThread()
		c.closePipes()
		return nil, fmt.Errorf("start %s: %w", p.spec.Command[0], err)
	}
	for i, stream := range []string{"stdout", "stderr"} {
		c.readers.Go(func() {
			l := lines{emit: func(text string) { s.line(p, stream, text) }}
			io.CopyBuffer(struct{ io.Writer }{&l}, struct{ io.Reader }{c.pipes[i]}, make([]byte, 2048)) // ends by EOF or drain
			l.end()
		})
	}
	return c, nil
}

// environment returns env without iod's own variables, which hold secrets.
func environment(env []string) []string {
	var kept []string
	for _, e := range env {
		if !strings.HasPrefix(e, "IOD_") {
			kept = append(kept, e)
		}
	}
	return kept
}

func (c *child) pid() int { return c.cmd.Process.Pid }

func (c *child) closePipes() {
	for _, r := range c.pipes {
		r.Close()
	}
}

// wait waits for the process itself.
func (c *child) wait() Exit {
	err := c.cmd.Wait()
	owned.Lock()
	delete(owned.pids, c.pid())
	owned.Unlock()
	runtime.UnlockOSThread()
	if state, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && state.Signaled() {
		return Exit{Code: -1, Signal: state.Signal().String()}
	}
	var status *exec.ExitError
	if err != nil && !errors.As(err, &status) {
		return Exit{Code: -1, Err: fmt.Sprintf("wait for process: %v", err)}
	}
	return Exit{Code: c.cmd.ProcessState.ExitCode()}
}

// stop asks the group to end, and kills it when the process is not gone after a grace.
func (c *child) stop(exited <-chan struct{}, grace time.Duration) {
	syscall.Kill(-c.pid(), syscall.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-exited:
	case <-timer.C:
		syscall.Kill(-c.pid(), syscall.SIGKILL)
	}
}

// sweepInterval is how often a group that was told to end is looked at.
const sweepInterval = 10 * time.Millisecond

// sweep ends what a program left behind: the rest of its group, and its daemons. It returns when they are gone.
// The group's id cannot have been given to a stranger while one of its members lives; when none does, there is nothing
// that the signal could reach unless the system's process ids went round since wait.
func (c *child) sweep(grace time.Duration) {
	if !c.signal(syscall.SIGTERM) {
		return
	}
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for start := time.Now(); ; <-ticker.C {
		reap()
		signal := syscall.Signal(0)
		if time.Since(start) > grace {
			signal = syscall.SIGKILL
		}
		if !c.signal(signal) || time.Since(start) > 2*grace+time.Second {
			return
		}
	}
}

// signal signals the group and the daemons, and reports whether there was any.
func (c *child) signal(sig syscall.Signal) bool {
	found := syscall.Kill(-c.pid(), sig) == nil
	for _, pid := range daemons(c.marks) {
		found = true
		syscall.Kill(pid, sig)
	}
	return found
}

// drain reads what is left of the output and lets the pipes go.
func (c *child) drain() {
	for _, r := range c.pipes {
		r.SetReadDeadline(time.Now().Add(drainTime))
	}
	c.readers.Wait()
	c.closePipes()
}
