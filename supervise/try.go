package supervise

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// TryOptions say how another version of a program is tried.
type TryOptions struct {
	Beside bool          // it is started beside the old one, which is stopped when it is ready; otherwise in its place
	Within time.Duration // it must become ready in that time; a program without Ready must not end in it. Default 1 min
}

// ErrChanged says that a try was given up since other programs were applied, or the supervisor stops: nothing was found out.
var ErrChanged = errors.New("the programs were changed meanwhile")

// TrialError says why a version was not kept.
type TrialError struct{ Reason string }

// Error has the reason.
func (e *TrialError) Error() string { return "the new version was not kept: " + e.Reason }

// Try starts next in place of the program of that name, or beside it, and keeps it when it becomes ready; otherwise the old one
// goes on, or is started again. An exit before it is ready ends the trial at once. The error is a *TrialError when next
// did not stand the trial; with any other nothing was found out. It waits for Run to begin.
func (s *Supervisor) Try(ctx context.Context, next Program, o TryOptions) error {
	select {
	case <-s.begun:
	case <-ctx.Done():
		return fmt.Errorf("try %s: %w", next.Name, ctx.Err())
	}
	s.applying.RLock()
	defer s.applying.RUnlock()
	o.Within = orElse(o.Within, defaultWithin)
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	old, trial, err := s.beginTrial(next, o, abort)
	if err != nil {
		return fmt.Errorf("try %s: %w", next.Name, err)
	}
	if !o.Beside {
		s.stop([]*instance{old})
	}
	s.mu.Lock()
	s.trials[next.Name] = trial
	s.live(trial)
	s.mu.Unlock()
	err = trial.judge(ctx, o.Within)
	if err == nil && o.Beside {
		s.stop([]*instance{old})
	}
	return s.endTrial(old, trial, next, o, err)
}

// beginTrial prepares a trial.
func (s *Supervisor) beginTrial(next Program, o TryOptions, abort context.CancelCauseFunc) (old, trial *instance, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch old = s.instances[next.Name]; {
	case s.phase != running:
		return nil, nil, ErrChanged
	case old == nil:
		return nil, nil, errors.New("there is no such program")
	case s.trials[next.Name] != nil:
		return nil, nil, errors.New("a version of it is tried already")
	}
	alone := next
	alone.After = nil
	if err := Check([]Program{alone}); err != nil {
		return nil, nil, err
	}
	trial = s.newInstance(next, old)
	trial.trial = true
	if trial.spec.Ready != nil {
		r := *trial.spec.Ready
		r.Within = o.Within
		trial.spec.Ready = &r
	}
	s.aborts[trial] = abort
	return old, trial, nil
}

// judge waits for the outcome of a trial.
func (i *instance) judge(ctx context.Context, within time.Duration) error {
	var stood <-chan time.Time
	if i.spec.Ready == nil {
		timer := time.NewTimer(within)
		defer timer.Stop()
		stood = timer.C
	}
	select {
	case err := <-i.verdict:
		if err != nil {
			return &TrialError{err.Error()}
		}
		return nil
	case <-stood:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// endTrial keeps the new version or returns to the old one.
func (s *Supervisor) endTrial(old, trial *instance, next Program, o TryOptions, err error) error {
	s.mu.Lock()
	delete(s.aborts, trial)
	if err == nil && trial.over {
		err = &TrialError{(<-trial.verdict).Error()}
	}
	if err == nil {
		delete(s.trials, next.Name)
		trial.trial = false
		trial.change(next.withDefaults(s.o.Grace))
		s.instances[next.Name] = trial
		for n := range s.wanted {
			if s.wanted[n].Name == next.Name {
				s.wanted[n] = next
			}
		}
		s.broadcast()
		s.mu.Unlock()
		return nil
	}
	s.mu.Unlock()
	s.stop([]*instance{trial})
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.trials, next.Name)
	select {
	case <-old.done: // replaced, or the old one was stopped when the new one seemed ready
		if s.phase == running {
			s.add(old.spec, trial)
		}
	default:
		old.exits = trial.exits
	}
	return fmt.Errorf("try %s: %w", next.Name, err)
}
