package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"regexp"
	"slices"
	"sync"
	"time"
)

// instance is a program and what became of it. Its fields are guarded by the Supervisor's mu, but those that never change.
type instance struct {
	spec   Program // with defaults
	status ProgramStatus
	exits  []Past
	pulse  Pulse
	ready  time.Time // when this run became ready; zero before
	works  time.Time // when it last answered that it is alive; zero before
	tail   []Line
	flow   flow
	log    *logWriter // nil: nothing is kept on disk

	line    *regexp.Regexp // that is waited for
	came    chan struct{}  // closed when it came
	altered chan struct{}  // closed and replaced when spec changes under a running process

	trial   bool       // its first exit is its end
	over    bool       // a trial's life is over
	verdict chan error // of a trial: nil when it became ready

	cancel context.CancelFunc
	done   chan struct{} // closed at the end of its life
}

func (s *Supervisor) newInstance(p Program, old *instance) *instance {
	now := time.Now()
	i := &instance{spec: p.withDefaults(s.o.Grace), flow: newFlow(now), altered: make(chan struct{}), done: make(chan struct{}),
		verdict: make(chan error, 2), status: ProgramStatus{Name: p.Name, Version: p.Version, State: Waiting, Since: now}}
	if s.o.Dir != "" {
		if s.logs[p.Name] == nil {
			s.logs[p.Name] = newLogWriter(s.o.Dir, p.Name, i.spec.Log)
		}
		i.log = s.logs[p.Name]
		i.log.setLimits(i.spec.Log)
	}
	if old == nil {
		i.exits = pastExits(s.o.Dir, p.Name)
		return i
	}
	i.exits, i.tail, i.flow = slices.Clone(old.exits), slices.Clone(old.tail), old.flow
	i.status.LastExit, i.status.Restarts = old.status.LastExit, old.status.Restarts
	return i
}

// change takes in what does not need another process. The caller holds mu.
func (i *instance) change(p Program) {
	i.spec = p
	if i.log != nil {
		i.log.setLimits(p.Log)
	}
	close(i.altered)
	i.altered = make(chan struct{})
}

// program copies what an instance is to be now.
func (s *Supervisor) program(i *instance) (Program, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return i.spec, i.altered
}

// keep is the life of an instance.
func (s *Supervisor) keep(ctx context.Context, i *instance) {
	defer s.enter(i, func(st *ProgramStatus) { st.State, st.Why = Stopped, "" })
	timer := time.NewTimer(0)
	defer timer.Stop()
	h := History{}
	for first := true; ; first = false {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if !s.await(ctx, i) {
			return
		}
		exit := s.once(ctx, i, first)
		if ctx.Err() != nil || s.failedTrial(i, exit) {
			return
		}
		now := time.Now()
		s.mu.Lock()
		h.Ready, h.Until = i.ready, now
		if i.pulse.Failures > 0 {
			h.Until = i.works
		}
		d := Next(i.spec.Policy, h, mathrand.Float64())
		s.mu.Unlock()
		h.Crashes = d.Crashes
		s.enter(i, func(st *ProgramStatus) { st.NextTry, st.Looping = now.Add(d.Wait), d.Looping })
		s.tell(i, Event{Kind: Restarting, Time: now, Exit: exit, Wait: d.Wait, Looping: d.Looping})
		timer.Reset(d.Wait)
	}
}

// failedTrial ends a trial that has not become ready.
func (s *Supervisor) failedTrial(i *instance, e Exit) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !i.trial {
		return false
	}
	i.over = true
	i.verdict <- errors.New(e.String())
	return true
}

// await waits until the programs that come before are ready.
func (s *Supervisor) await(ctx context.Context, i *instance) bool {
	for {
		s.mu.Lock()
		missing, changed := s.missing(&i.spec), s.changed
		i.status.Why = ""
		if missing != "" {
			i.status.Why = "for " + missing
		}
		s.mu.Unlock()
		if missing == "" {
			return ctx.Err() == nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// once runs a program until it and all it started are gone.
func (s *Supervisor) once(ctx context.Context, i *instance, first bool) (exit Exit) {
	var started time.Time
	p, _ := s.program(i)
	s.mu.Lock()
	i.line, i.came, i.pulse = nil, make(chan struct{}), Pulse{}
	i.ready, i.works = time.Time{}, time.Time{}
	if p.Ready != nil && p.Ready.Line != "" {
		i.line, _ = regexp.Compile(p.Ready.Line) // Check has tried
	}
	group, err := s.groups.add(p.Name, p.Limits)
	s.mu.Unlock()
	var c launched
	if err == nil {
		c, err = s.launch(ctx, &p, group)
	}
	if err != nil {
		exit = Exit{Code: -1, Err: err.Error()}
	} else {
		started = time.Now()
		s.enter(i, func(st *ProgramStatus) {
			st.State, st.PID, st.NextTry = Starting, c.pid(), time.Time{}
			if !first {
				st.Restarts++
			}
		})
		s.tell(i, Event{Kind: Started, Time: started, PID: c.pid()})
		c.read(func(stream, text string) { s.line(i, stream, text) })
		exit = s.attend(ctx, i, c)
		exit.OOM = exit.OOM || starved(group)
	}
	s.groups.remove(group)
	s.ended(ctx, i, started, exit)
	return exit
}

// ended notes an exit. One that was asked for from outside is no crash.
func (s *Supervisor) ended(ctx context.Context, i *instance, started time.Time, exit Exit) {
	past := Past{Exit: exit, Started: started, Ended: time.Now()}
	s.enter(i, func(st *ProgramStatus) {
		past.PID, past.Version = st.PID, st.Version
		st.State, st.Why, st.PID, st.LastExit = Waiting, "", 0, exit
		i.exits = append(i.exits, past)
		if len(i.exits) > keptExits {
			i.exits = slices.Delete(i.exits, 0, 1)
		}
	})
	if i.log != nil {
		if b, err := json.Marshal(past); err == nil {
			i.log.write(Line{Stream: streamSelf, Text: string(b), Time: past.Ended})
		}
	}
	s.tell(i, Event{Kind: Exited, Time: past.Ended, PID: past.PID, Exit: exit})
}

// attend waits for the end of a program, and makes it come when ctx ends or a check says so.
func (s *Supervisor) attend(ctx context.Context, i *instance, c launched) Exit {
	watchCtx, unwatch := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer unwatch()
	reasons := make(chan string, 1)
	if p, _ := s.program(i); p.Ready == nil {
		s.ready(i)
	}
	watching.Go(func() {
		if why := s.watch(watchCtx, i); why != "" {
			reasons <- why
		}
	})
	stop := func(why string) {
		s.enter(i, func(st *ProgramStatus) { st.State, st.Why = Stopping, why })
		p, _ := s.program(i)
		c.stop(p.Stop)
	}
	reason, exited, done := "", c.exited(), ctx.Done()
	for {
		select {
		case <-c.gone():
			exit := c.exit()
			if reason != "" {
				exit.Reason = reason
			}
			return exit
		case <-exited:
			exited = nil
			unwatch()
			s.enter(i, func(st *ProgramStatus) { st.State = Stopping })
		case why := <-reasons:
			reason = why
			stop(why)
		case <-done:
			done = nil
			stop("")
		}
	}
}

// watch asks the program until ctx ends. It returns why the program must end.
func (s *Supervisor) watch(ctx context.Context, i *instance) (why string) {
	p, _ := s.program(i)
	if r := p.Ready; r != nil {
		readyCtx, cancel := context.WithTimeout(ctx, r.Within)
		err := r.untilReady(readyCtx, s.ask, i.came)
		cancel()
		if ctx.Err() != nil {
			return ""
		}
		if err != nil {
			return fmt.Sprintf("not ready within %v: %s: %v", r.Within, r.Probe, err)
		}
		s.ready(i)
	}
	for ctx.Err() == nil {
		p, altered := s.program(i)
		if p.Alive == nil {
			select {
			case <-altered:
			case <-ctx.Done():
			}
			continue
		}
		timer := time.NewTimer(p.Alive.Every)
		select {
		case <-ctx.Done():
		case <-altered:
		case <-timer.C:
			if why := s.feel(ctx, i, p.Alive); why != "" {
				return why
			}
		}
		timer.Stop()
	}
	return ""
}

// feel asks once whether a program is alive, and returns why it counts as dead.
func (s *Supervisor) feel(ctx context.Context, i *instance, a *Alive) (why string) {
	askCtx, cancel := context.WithTimeout(ctx, a.Timeout)
	err := s.ask(askCtx, a.Probe)
	cancel()
	if ctx.Err() != nil {
		return ""
	}
	s.mu.Lock()
	pulse, dead := i.pulse.Beat(time.Now(), err, a.Failures)
	if i.pulse = pulse; err == nil {
		i.works = pulse.Asked
	}
	s.mu.Unlock()
	if dead {
		return fmt.Sprintf("not alive: %s failed %d times: %s", a.Probe, pulse.Failures, pulse.Err)
	}
	return ""
}

// ready notes that a program became ready.
func (s *Supervisor) ready(i *instance) {
	pid := 0
	s.enter(i, func(st *ProgramStatus) {
		if pid = st.PID; st.State == Starting {
			st.State = Running
		}
		i.ready = time.Now()
		if i.trial && i.spec.Ready != nil {
			select {
			case i.verdict <- nil:
			default:
			}
		}
	})
	s.tell(i, Event{Kind: BecameOK, Time: time.Now(), PID: pid})
}

// enter changes an instance's status.
func (s *Supervisor) enter(i *instance, change func(*ProgramStatus)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := i.status.State
	change(&i.status)
	if i.status.State != before {
		i.status.Since = time.Now()
		s.broadcast()
	}
}

// tell logs an event and hands it on.
func (s *Supervisor) tell(i *instance, e Event) {
	p, _ := s.program(i)
	e.Program, e.Version = p.Name, p.Version
	switch e.Kind {
	case Started:
		s.o.Log.Info("program started", "program", e.Program, "pid", e.PID)
		s.note(i, e.Time, fmt.Sprintf("started: process %d", e.PID))
	case BecameOK:
		s.o.Log.Debug("program ready", "program", e.Program, "pid", e.PID)
	case Exited:
		s.o.Log.Warn("program ended", "program", e.Program, "pid", e.PID, "exit", e.Exit.String())
	case Restarting:
		s.o.Log.Warn("program starts again", "program", e.Program, "in", e.Wait, "looping", e.Looping)
	}
	if s.o.OnEvent != nil {
		s.o.OnEvent(e)
	}
}

// note writes a line of the supervisor's own beside the program's.
func (s *Supervisor) note(i *instance, at time.Time, text string) {
	if i.log == nil {
		return
	}
	if p, _ := s.program(i); p.Version != "" {
		text += ", version " + p.Version
	}
	i.log.write(Line{Stream: streamSelf, Text: text, Time: at})
}

// line takes what a program wrote.
func (s *Supervisor) line(i *instance, stream, text string) {
	now := time.Now()
	s.mu.Lock()
	l := Line{Program: i.spec.Name, Stream: stream, Text: text, Time: now}
	if i.line != nil && i.line.MatchString(text) {
		i.line = nil
		close(i.came)
	}
	dropped, ok := i.flow.take(now)
	if ok {
		if len(i.tail) == tailLines {
			i.tail = slices.Delete(i.tail, 0, 1)
		}
		i.tail = append(i.tail, l)
	}
	s.mu.Unlock()
	if dropped > 0 {
		s.o.Log.Warn("program wrote too much", "program", l.Program, "dropped_lines", dropped)
		s.note(i, now, fmt.Sprintf("%d lines came too fast and were dropped", dropped))
	}
	if !ok {
		return
	}
	if i.log != nil {
		i.log.write(l)
	}
	switch {
	case s.o.Output != nil:
		s.o.Output(l)
	case i.log == nil:
		s.o.Log.Info(text, "program", l.Program, "stream", stream)
	}
}
