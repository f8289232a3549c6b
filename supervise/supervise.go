// Package supervise keeps child processes alive. What to do after an exit is a pure function, Next; this file and its
// neighbours do it.
//
//	          start               exit
//	Waiting ────────▶ Running ────────────▶ Waiting, for as long as Next says
//	   │                 │ ctx ends
//	   │                 ▼
//	   │             Stopping: SIGTERM to the whole tree, after Grace SIGKILL
//	   │ ctx ends        │
//	   └────▶ Stopped ◀──┘
//
// A program leads a session and process group of its own, so that all it started is stopped with it. On Linux the kernel
// kills it when this process dies, even by SIGKILL, and processes that left the group (daemons) come to this process,
// which ends and reaps them. For that Run makes the process a child subreaper and takes every child in a foreign session
// that is no program's for such a daemon: other code of the process must not start children with Setsid.
package supervise

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// Program is one child process to keep alive.
type Program struct {
	Name    string   // unique; appears in logs, events and the child's IOD_PROGRAM
	Command []string // argv; the first is a path (a relative one starts at Dir) or is looked up in PATH
	Dir     string   // working directory; empty: that of this process
	Env     []string // KEY=VALUE on top of this process's environment, from which IOD_* is removed
	Policy  Policy   // zero values mean the defaults
}

// State is where a program is in its life.
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
	Looping  bool      // it keeps ending soon after its starts; false again after a healthy run
	LastExit Exit      // zero before the first exit
	Since    time.Time // when State began
	NextTry  time.Time // when waiting: the next start
}

// EventKind says what happened to a program.
type EventKind string

// The kinds of event.
const (
	Started    EventKind = "started"
	Exited     EventKind = "exited"     // or could not be started
	Restarting EventKind = "restarting" // after Event.Wait
)

// Event is a step in a program's life.
type Event struct {
	Kind    EventKind
	Program string
	Time    time.Time
	PID     int           // of Started and Exited; 0 when it could not be started
	Exit    Exit          // of Exited and Restarting
	Wait    time.Duration // of Restarting: until the next start
	Looping bool          // of Restarting
}

// Line is one line that a program wrote, without its line end.
type Line struct {
	Program string
	Stream  string // stdout or stderr
	Text    string // at most 4 KiB; what was longer is cut and ends in …
	Time    time.Time
}

// Options of a Supervisor. Only Programs is needed.
type Options struct {
	Programs []Program
	Log      *slog.Logger  // nil: slog.Default()
	OnEvent  func(Event)   // called in order for each program, by its goroutine; must not block for long
	Output   func(Line)    // takes the programs' lines, from several goroutines; nil: they go to Log at level info
	Grace    time.Duration // between SIGTERM and SIGKILL; default 5 s
}

// tailLines is how many lines Tail remembers of a program.
const tailLines = 64

// Supervisor runs programs and starts them again when they end.
type Supervisor struct {
	o     Options
	token string // in the environment of its programs: tells theirs from other processes

	mu       sync.Mutex
	ran      bool
	programs []*program
}

// program is a Program and what became of it. Its fields but spec are guarded by the Supervisor's mu.
type program struct {
	spec   Program
	status ProgramStatus
	tail   []Line
	flow   flow
}

// New returns a supervisor. Run reports programs that cannot be supervised.
func New(o Options) *Supervisor {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Grace <= 0 {
		o.Grace = 5 * time.Second
	}
	s := &Supervisor{o: o, token: rand.Text()}
	now := time.Now()
	for _, p := range o.Programs {
		s.programs = append(s.programs, &program{
			spec: p, flow: newFlow(now), status: ProgramStatus{Name: p.Name, State: Waiting, Since: now},
		})
	}
	return s
}

// Check returns what makes programs impossible to supervise, all of it: a missing or repeated name, no command, an
// environment entry without "=", NUL anywhere. Whether the command exists shows when it is started.
func Check(programs []Program) error {
	var errs []error
	seen := map[string]bool{}
	for i, p := range programs {
		switch {
		case p.Name == "":
			errs = append(errs, fmt.Errorf("program %d has no name", i+1))
		case seen[p.Name]:
			errs = append(errs, fmt.Errorf("program %q is there twice", p.Name))
		}
		seen[p.Name] = true
		if len(p.Command) == 0 || p.Command[0] == "" {
			errs = append(errs, fmt.Errorf("program %q has no command", p.Name))
		}
		for _, e := range p.Env {
			if key, _, ok := strings.Cut(e, "="); !ok || key == "" {
				errs = append(errs, fmt.Errorf("program %q has the environment entry %q that is not KEY=VALUE", p.Name, key))
			}
		}
		for _, text := range slices.Concat([]string{p.Name, p.Dir}, p.Command, p.Env) {
			if strings.IndexByte(text, 0) >= 0 {
				errs = append(errs, fmt.Errorf("program %q has a NUL byte in its description", p.Name))
				break
			}
		}
	}
	return errors.Join(errs...)
}

// Run starts all programs and keeps them alive until ctx ends; then it stops them, waits for all of them, and returns nil.
// It may be called once.
func (s *Supervisor) Run(ctx context.Context) error {
	if err := Check(s.o.Programs); err != nil {
		return fmt.Errorf("supervise: %w", err)
	}
	s.mu.Lock()
	ran := s.ran
	s.ran = true
	s.mu.Unlock()
	if ran {
		return errors.New("supervise: run twice")
	}
	stopAdopting := adopt(s.o.Log)
	defer stopAdopting()
	var all sync.WaitGroup
	for _, p := range s.programs {
		all.Go(func() { s.keep(ctx, p) })
	}
	all.Wait()
	<-ctx.Done()
	return nil
}

// keep is the life of one program.
func (s *Supervisor) keep(ctx context.Context, p *program) {
	defer s.enter(p, func(st *ProgramStatus) { st.State = Stopped })
	timer := time.NewTimer(0)
	defer timer.Stop()
	h := History{}
	for first := true; ; first = false {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if ctx.Err() != nil {
			return
		}
		started, exit := s.once(ctx, p, first)
		if ctx.Err() != nil {
			return
		}
		h.Started = started
		now := time.Now()
		d := Next(p.spec.Policy, h, now, exit, mathrand.Float64())
		h.Crashes = d.Crashes
		s.enter(p, func(st *ProgramStatus) { st.NextTry, st.Looping = now.Add(d.Wait), d.Looping })
		s.tell(Event{Kind: Restarting, Program: p.spec.Name, Time: now, Exit: exit, Wait: d.Wait, Looping: d.Looping})
		timer.Reset(d.Wait)
	}
}

// once runs a program until it and all it started are gone. started is zero when it could not be started.
func (s *Supervisor) once(ctx context.Context, p *program, first bool) (started time.Time, exit Exit) {
	c, err := s.start(p)
	if err != nil {
		exit = Exit{Code: -1, Err: err.Error()}
	} else {
		started = time.Now()
		s.enter(p, func(st *ProgramStatus) {
			st.State, st.PID, st.NextTry = Running, c.pid(), time.Time{}
			if !first {
				st.Restarts++
			}
		})
		s.tell(Event{Kind: Started, Program: p.spec.Name, Time: started, PID: c.pid()})
		exit = s.attend(ctx, p, c)
	}
	now := time.Now()
	pid := 0
	s.enter(p, func(st *ProgramStatus) {
		pid = st.PID
		st.State, st.PID, st.LastExit = Waiting, 0, exit
	})
	s.tell(Event{Kind: Exited, Program: p.spec.Name, Time: now, PID: pid, Exit: exit})
	return started, exit
}

// attend waits for the end of a child, and makes it come when ctx ends.
func (s *Supervisor) attend(ctx context.Context, p *program, c *child) Exit {
	exited := make(chan struct{})
	var stopping sync.WaitGroup
	stopping.Add(1)
	cancel := context.AfterFunc(ctx, func() {
		defer stopping.Done()
		s.enter(p, func(st *ProgramStatus) { st.State = Stopping })
		c.stop(exited, s.o.Grace)
	})
	exit := c.wait()
	close(exited)
	if !cancel() {
		stopping.Wait()
	}
	c.sweep(s.o.Grace)
	c.drain()
	return exit
}

// enter changes a program's status.
func (s *Supervisor) enter(p *program, change func(*ProgramStatus)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := p.status.State
	change(&p.status)
	if p.status.State != before {
		p.status.Since = time.Now()
	}
}

// tell logs an event and hands it on.
func (s *Supervisor) tell(e Event) {
	switch e.Kind {
	case Started:
		s.o.Log.Info("program started", "program", e.Program, "pid", e.PID)
	case Exited:
		s.o.Log.Warn("program ended", "program", e.Program, "pid", e.PID, "exit", e.Exit.String())
	case Restarting:
		s.o.Log.Warn("program starts again", "program", e.Program, "in", e.Wait, "looping", e.Looping)
	}
	if s.o.OnEvent != nil {
		s.o.OnEvent(e)
	}
}

// line takes what a program wrote.
func (s *Supervisor) line(p *program, stream, text string) {
	now := time.Now()
	l := Line{Program: p.spec.Name, Stream: stream, Text: text, Time: now}
	s.mu.Lock()
	dropped, ok := p.flow.take(now)
	if ok {
		if len(p.tail) == tailLines {
			p.tail = slices.Delete(p.tail, 0, 1)
		}
		p.tail = append(p.tail, l)
	}
	s.mu.Unlock()
	if dropped > 0 {
		s.o.Log.Warn("program wrote too much", "program", p.spec.Name, "dropped_lines", dropped)
	}
	switch {
	case !ok:
	case s.o.Output != nil:
		s.o.Output(l)
	default:
		s.o.Log.Info(text, "program", p.spec.Name, "stream", stream)
	}
}

// Status returns the programs in the order of Options.
func (s *Supervisor) Status() []ProgramStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]ProgramStatus, len(s.programs))
	for i, p := range s.programs {
		all[i] = p.status
	}
	return all
}

// Tail returns the last lines of a program, oldest first, at most 64.
func (s *Supervisor) Tail(name string) []Line {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.programs {
		if p.spec.Name == name {
			return slices.Clone(p.tail)
		}
	}
	return nil
}
