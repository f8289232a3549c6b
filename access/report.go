package access

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"iod/key"
)

// EventKind says what a judge decided.
type EventKind string

// The kinds of event.
const (
	Granted   EventKind = "granted"   // a request got its pass
	Refused   EventKind = "refused"   // a request waits, since the answer is no; told once for each
	Withdrawn EventKind = "withdrawn" // a pass ended
)

// Event is a decision of a judge.
type Event struct {
	Kind    EventKind
	Account key.AccountID
	Stream  string
	Reason  string
	Block   uint32 // by which it was decided; 0: not known
}

func (j *Judge) tell(e Event) {
	if j.o.OnEvent != nil {
		j.o.OnEvent(e)
	}
}

// refuse tells of the requests that wait in vain as things stand.
func (p *party) refuse() {
	p.j.mu.Lock()
	defer p.j.mu.Unlock()
	for _, w := range p.waiters {
		if w.told {
			continue
		}
		if ok, why := Decide(p.best, p.account, w.permission); !ok {
			p.refused(w, why, p.number)
		}
	}
}

// refused tells of a request, once. The caller holds j.mu.
func (p *party) refused(w *waiter, why string, block uint32) {
	if !w.told {
		w.told = true
		w.refused(Event{Kind: Refused, Account: p.account, Stream: w.stream, Reason: why, Block: block})
	}
}

// Lease is an answer that a judge gave, and how long it lasts if the chain says nothing more.
type Lease struct {
	Scope   key.AccountID // whose entities it follows from: the device's, or its fleet's
	Account key.AccountID
	Stream  string
	Block   uint32        // the finalised block by which it was given
	Left    time.Duration // at least 0
	Used    bool          // a pass is out; otherwise it is remembered for an outage of the chain
}

// JudgeStatus is a judge at a moment.
type JudgeStatus struct {
	Lease   time.Duration
	Leases  []Lease // the first to end first
	Waiting int     // requests
}

// Status joins what the judges hold.
func (js Judges) Status() JudgeStatus {
	s := JudgeStatus{Leases: []Lease{}}
	for _, j := range js {
		one := j.Status()
		s.Lease, s.Leases, s.Waiting = one.Lease, append(s.Leases, one.Leases...), max(s.Waiting, one.Waiting)
	}
	slices.SortStableFunc(s.Leases, byTime)
	return s
}

// SetLease is Judge.SetLease for all.
func (js Judges) SetLease(d time.Duration) {
	for _, j := range js {
		j.SetLease(d)
	}
}

// Nudge is Judge.Nudge for all.
func (js Judges) Nudge() {
	for _, j := range js {
		j.Nudge()
	}
}

// byTime orders leases by their ends.
func byTime(a, b Lease) int {
	return cmp.Or(cmp.Compare(a.Left, b.Left), cmp.Compare(a.Account.String(), b.Account.String()), cmp.Compare(a.Stream, b.Stream))
}

// unanimous returns what tells f of a refusal once all of n judges have refused a request, with the last one's reason.
func unanimous(n int, f func(Event)) func(Event) {
	var mu sync.Mutex
	return func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		if n--; n == 0 {
			f(e)
		}
	}
}

// Status returns what the judge holds.
func (j *Judge) Status() JudgeStatus {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := JudgeStatus{Lease: j.leaseTime(), Leases: []Lease{}, Waiting: j.pending}
	now := j.o.Now()
	left := func(known time.Time) time.Duration { return max(known.Add(s.Lease).Sub(now), 0) }
	for _, p := range j.parties {
		for pass := range p.passes {
			s.Leases = append(s.Leases, Lease{j.o.Device, pass.Account, pass.Stream, pass.Block, left(pass.known()), true})
		}
	}
	for account, all := range j.memory.of {
		for _, y := range all {
			s.Leases = append(s.Leases, Lease{j.o.Device, account, y.stream, y.block, left(y.known), false})
		}
	}
	slices.SortFunc(s.Leases, byTime)
	return s
}
