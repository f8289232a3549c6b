package update

import (
	"fmt"
	"slices"
	"time"
)

// Ref names a version that was stored.
type Ref struct {
	Name string `json:"version"`
	Sum  Sum    `json:"sha256"`
}

// Trial is a version that is being tried. It is on disk before the version is started.
type Trial struct {
	Ref
	Starts int `json:"starts"` // trials that were begun, and of which nobody lived to see the end
}

// Failure is a version that did not stand its trial.
type Failure struct {
	Ref
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// State is what is remembered of a program on disk.
type State struct {
	Current  *Ref      `json:"current,omitempty"`  // nil: the command of the manifest
	Previous *Ref      `json:"previous,omitempty"` // to return to when Current cannot be read
	Trying   *Trial    `json:"trying,omitempty"`
	Failed   []Failure `json:"failed,omitempty"`
}

// Bounds of what is remembered.
const (
	mostStarts = 3 // of a trial whose end nobody saw: it may be what takes the device down
	keptFailed = 8
)

// Runs returns the version to run when nothing is known to be better; nil is the command of the manifest.
func (s State) Runs(have func(Sum) bool) *Ref {
	for _, r := range []*Ref{s.Current, s.Previous} {
		if r != nil && have(r.Sum) {
			return r
		}
	}
	return nil
}

// Step is what to do next for a program.
type Step string

// The steps.
const (
	Nothing Step = "nothing" // it runs what it is to run
	Fetch   Step = "fetch"
	Try     Step = "try"
	Condemn Step = "condemn" // trials of it ended with the device too often: note it as failed
	Refuse  Step = "refuse"  // it has failed before

	record Step = "record" // the state is to be written, which failed before
)

// Next decides what to do next, given what is remembered, what is whole on disk, and what runs now (nil: the command of the manifest).
func Next(want *Version, s State, have func(Sum) bool, runs *Ref) Step {
	if want == nil {
		return Nothing
	}
	if s.failure(want.Sum) != nil {
		return Refuse
	}
	if !have(want.Sum) {
		return Fetch
	}
	if runs != nil && runs.Sum == want.Sum {
		return Nothing
	}
	if s.Trying != nil && s.Trying.Sum == want.Sum && s.Trying.Starts >= mostStarts {
		return Condemn
	}
	return Try
}

func (s State) failure(sum Sum) *Failure {
	for i := range s.Failed {
		if s.Failed[i].Sum == sum {
			return &s.Failed[i]
		}
	}
	return nil
}

// Begin notes that a version is about to be tried.
func (s State) Begin(r Ref) State {
	t := &Trial{Ref: r, Starts: 1}
	if s.Trying != nil && s.Trying.Sum == r.Sum {
		t.Starts = s.Trying.Starts + 1
	}
	s.Trying = t
	return s
}

// GiveUp takes Begin back: nothing was found out.
func (s State) GiveUp() State {
	if s.Trying == nil {
		return s
	}
	t := *s.Trying
	t.Starts--
	s.Trying = &t
	if t.Starts <= 0 {
		s.Trying = nil
	}
	return s
}

// Keep notes that the version that was tried is the current one.
func (s State) Keep(r Ref) State {
	if s.Current == nil || s.Current.Sum != r.Sum {
		s.Previous = s.Current
	}
	s.Current, s.Trying = &r, nil
	return s
}

// Fail notes that a version did not stand its trial.
func (s State) Fail(r Ref, reason string, at time.Time) State {
	s.Trying = nil
	if len(reason) > 512 {
		reason = reason[:512]
	}
	s.Failed = append(slices.DeleteFunc(slices.Clone(s.Failed), func(f Failure) bool { return f.Sum == r.Sum }),
		Failure{Ref: r, Reason: reason, At: at})
	if n := len(s.Failed) - keptFailed; n > 0 {
		s.Failed = s.Failed[n:]
	}
	return s
}

// Needs returns the files to keep: others are pruned.
func (s State) Needs(want *Version) (sums []Sum) {
	for _, r := range []*Ref{s.Current, s.Previous} {
		if r != nil {
			sums = append(sums, r.Sum)
		}
	}
	if want != nil && s.failure(want.Sum) == nil {
		sums = append(sums, want.Sum)
	}
	return sums
}

// vanished is why a version is condemned.
var vanished = fmt.Sprintf("the device or iod went down %d times while it was tried", mostStarts)
