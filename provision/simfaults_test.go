package provision_test

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"
)

// ending is something that ends a fault.
type ending struct {
	at time.Time
	do func()
}

// live lets time pass: faults begin and end, and each second everything is compared with the truth.
func (s *sim) live(span time.Duration) {
	end := time.Now().Add(span)
	next := time.Now().Add(5 * time.Minute)
	var ends []ending
	busy := map[string]bool{}
	for now := time.Now(); now.Before(end) && !s.t.Failed(); now = time.Now() {
		if !now.Before(next) {
			next = now.Add(time.Duration(s.dice.ExpFloat64() * float64(12*time.Minute)))
			if what, lasts, undo := s.fault(busy); what != "" {
				s.faults[what]++
				busy[what] = true
				ends = append(ends, ending{now.Add(lasts), func() { undo(); busy[what] = false }})
				s.happened()
			}
		}
		for i := 0; i < len(ends); i++ {
			if !ends[i].at.After(now) {
				ends[i].do()
				s.happened()
				ends = slices.Delete(ends, i, i+1)
				i--
			}
		}
		s.check()
		time.Sleep(time.Second)
	}
	for _, e := range ends {
		e.do()
	}
}

// between draws a duration, of each order of magnitude as often as of any other.
func (s *sim) between(lo, hi time.Duration) time.Duration {
	return time.Duration(float64(lo) * math.Pow(float64(hi)/float64(lo), s.dice.Float64()))
}

// fault does something bad, and tells for how long and how it ends. What is bad already is left alone.
func (s *sim) fault(busy map[string]bool) (what string, lasts time.Duration, undo func()) {
	switch roll := s.dice.IntN(100); {
	case roll < 45 && !busy["link"]:
		path := s.net.path("device")
		path.cut()
		s.linkUp.set(false)
		forget := s.dice.IntN(10) < 6
		return "link", s.between(time.Second, 2*time.Hour), func() {
			path.mend(forget)
			s.linkUp.set(true)
			time.Sleep(250 * time.Millisecond) // as package link does
			s.device.Nudge()
		}
	case roll < 60 && !busy["chain"]:
		path := s.net.path("chain:1")
		path.cut()
		s.chainUp.set(false)
		forget := s.dice.IntN(2) == 0
		lasts, undo := s.between(2*time.Second, 4*time.Hour), func() {
			path.mend(forget)
			s.chainUp.set(true)
		}
		if p := s.people[s.dice.IntN(len(s.people)-1)]; p.granted.up { // of which the device cannot know
			s.faults["hidden revocation"]++
			s.revoke(p)
		}
		return "chain", lasts, undo
	case roll < 75:
		i := s.dice.IntN(len(s.relays))
		r, name := s.relays[i], fmt.Sprint("relay ", i)
		if busy[name] {
			return "", 0, nil
		}
		r.stop()
		r.set(false)
		return name, s.between(time.Second, time.Hour), func() { s.startRelay(r) }
	case roll < 85:
		jumps := []time.Duration{0, time.Until(time.Unix(0, 0)), time.Hour, -time.Hour, 40 * 24 * time.Hour, 10 * 365 * 24 * time.Hour, -3 * time.Minute}
		s.offset.Store(int64(jumps[s.dice.IntN(len(jumps))]))
		return "clock", time.Second, func() {}
	}
	for _, p := range s.people[:len(s.people)-1] {
		if !p.granted.up {
			s.grant(p)
			return "grant", 0, func() {}
		}
	}
	s.revoke(s.people[s.dice.IntN(len(s.people)-1)])
	return "revocation", 0, func() {}
}

// reachable reports whether the device reaches the chain, and for how long it has.
func (s *sim) reachable() time.Duration { return min(s.linkUp.lasting(), s.chainUp.lasting()) }

// ready reports whether a relay is one that the device must be registered at by now.
func (s *sim) ready() bool {
	return slices.ContainsFunc(s.relays, func(r *simRelayHost) bool {
		up := r.lasting()
		return up >= 0 && (up >= s.linkUp.lasting() || up > simRelay)
	})
}

// check compares what consumers get with what they may.
func (s *sim) check() {
	for _, p := range s.people {
		if p.changing {
			continue
		}
		p.mu.Lock()
		sent, got := p.sent, p.got
		p.mu.Unlock()
		s.checkSecret(p, sent, got)
		s.checkService(p, sent, got)
	}
}

// checkSecret: nobody is answered who may not be.
func (s *sim) checkSecret(p *person, sent, got time.Time) {
	if p.granted.up || got.IsZero() {
		return
	}
	if p.granted.since.IsZero() { // never granted
		s.t.Errorf("%s was let in, and never granted access", p.name)
		return
	}
	late := sent.Sub(p.granted.since)
	s.worst["lease"] = max(s.worst["lease"], late)
	if late > simLease+simNap {
		s.t.Errorf("%s was answered %v after the revocation", p.name, late)
	}
	told := s.reachable()
	if told < 0 {
		return
	}
	since, what, most := p.granted.since, "cut", simCut
	if back := time.Now().Add(-told); back.After(since.Add(-simFound)) {
		since, what, most = later(since, back), "found", simFound
	}
	if late = sent.Sub(since); late > most {
		s.t.Errorf("%s was answered %v after the chain could tell of the revocation", p.name, late)
	}
	s.worst[what] = max(s.worst[what], late)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// checkService: who may be answered is, soon after nothing stands in the way any more.
func (s *sim) checkService(p *person, sent, got time.Time) {
	now := time.Now()
	if !p.granted.up || s.linkUp.lasting() < 0 || s.chainUp.lasting() < 0 || !s.ready() {
		p.due = time.Time{}
		return
	}
	if p.due.IsZero() {
		p.expect(now, s.linkUp, s.chainUp)
	}
	waited, silent, was := now.Sub(p.due), now.Sub(sent), p.done
	if !was && !sent.Before(p.due) {
		p.done, waited = true, got.Sub(p.due)
		s.worst[p.cause] = max(s.worst[p.cause], waited)
		s.restored[p.cause]++
	}
	switch {
	case !was && waited > p.within:
		s.t.Errorf("%s is not answered %v after nothing stands in the way (%s)", p.name, waited, p.cause)
	case waited > p.within && silent > simCalm+simRestored+time.Second:
		s.t.Errorf("%s is not answered for %v although nothing has happened for %v", p.name, silent, waited)
	default:
		return
	}
	s.t.Logf("link up for %v, chain for %v, granted for %v; status: %s", s.linkUp.lasting(), s.chainUp.lasting(), p.granted.lasting(), s.status())
}

// expect notes from when on and within what time the stream has to work again.
func (p *person) expect(now time.Time, link, chain service) {
	p.due, p.done = now, false
	switch up := link.lasting(); {
	case up > chain.lasting():
		p.cause, p.within = "chain", simChain
	case up < 2*time.Second:
		p.due, p.cause, p.within = link.since, "link", simRestored
	default: // a relay or a grant, of which nothing tells those who ask each simEcho
		p.cause, p.within = "rest", simRestored+simEcho
	}
}

func (s *sim) status() string {
	b, err := json.Marshal(s.device.Status())
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func (s *sim) report(span time.Duration) {
	answers := 0
	for _, p := range s.people {
		p.mu.Lock()
		answers += p.n
		p.mu.Unlock()
	}
	s.t.Logf("%v: faults %v; %d answers; restored %v; worst: %v", span, s.faults, answers, s.restored, s.worst)
	if span >= 24*time.Hour && (answers < 1000 || s.restored["link"] < 10 || s.worst["lease"] <= simLease/4) {
		s.t.Error("too little has happened: the simulation shows nothing")
	}
}
