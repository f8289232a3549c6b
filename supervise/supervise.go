// Package supervise keeps child processes alive: policy, a pure function, apart from effects.
package supervise

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Program is one child process to keep alive.
type Program struct {
	Name    string   // unique; appears in logs, events and the child's IOD_PROGRAM
	Command []string // argv; the first is a path or is looked up in PATH
	Dir     string   // working directory; empty: that of this process
	Env     []string // KEY=VALUE on top of this process's environment, from which IOD_* is removed
	Policy  Policy   // zero values mean the defaults
}

// State is where a program is in its life: Waiting → Running → (Waiting …) → Stopped.
type State string

// The states of a program.
const (
	Waiting  State = "waiting"  // not started yet, or between an exit and the next start
	Running  State = "running"  // alive
	Stopping State = "stopping" // told to end
	Stopped  State = "stopped"  // ended for good
)

// ProgramStatus is a program at a moment.
type ProgramStatus struct {
	Name     string
	PID      int // 0 unless running or stopping
	State    State
	Restarts int       // starts after the first
	Looping  bool      // it keeps exiting soon after its starts
	LastExit Exit      // zero before the first exit
	Since    time.Time // when State began
	NextTry  time.Time // when waiting: the next start
}

// EventKind says what happened to a program.
type EventKind string

// The kinds of event.
const (
	Started    EventKind = "started"
	Exited     EventKind = "exited"
	Restarting EventKind = "restarting" // after Event.Wait
)

// Event is a step in a program's life.
type Event struct {
	Kind    EventKind
	Program string
	Time    time.Time
	PID     int
	Exit    Exit          // of Exited and Restarting
	Wait    time.Duration // of Restarting: until the next start
	Looping bool          // of Restarting
}

// Line is one line that a program wrote, without its line end.
type Line struct {
	Program string
	Stream  string // stdout or stderr
	Text    string // at most 4 KiB; what was longer is cut
	Time    time.Time
}

// Options of a Supervisor. Only Programs is needed.
type Options struct {
	Programs []Program
	Log      *slog.Logger  // nil: slog.Default()
	OnEvent  func(Event)   // called in order for each program, by its goroutine; must not block for long
	Output   func(Line)    // takes the programs' lines; nil: they go to Log at level info
	Grace    time.Duration // between SIGTERM and SIGKILL; default 5 s
}

// Supervisor runs programs and starts them again when they end.
type Supervisor struct{ o Options }

// New returns a supervisor. Run reports programs that cannot be supervised.
func New(o Options) *Supervisor { return &Supervisor{o: o} }

// Run starts all programs and keeps them alive until ctx ends; then it stops them, waits for all of them, and returns nil.
// It may be called once.
func (s *Supervisor) Run(ctx context.Context) error { return errors.ErrUnsupported }

// Status returns the programs in the order of Options.
func (s *Supervisor) Status() []ProgramStatus { return nil }

// Tail returns the last lines of a program, oldest first, at most 64.
func (s *Supervisor) Tail(program string) []Line { return nil }
