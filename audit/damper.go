package audit

import (
	"cmp"
	"slices"
	"time"
)

const (
	quietFor   = time.Hour // in which the same refusal is written once
	maxKnown   = 256       // refusals that are told apart
	perHour    = 120       // refusals that are written, whoever is refused
	maxLatest  = 20        // that Refusals returns
	burstOfAll = 60
)

// subject is what makes two refusals the same.
type subject struct{ account, stream, reason string }

// Refused is a refusal, and how often it happened.
type Refused struct {
	Entry Entry // as it happened last
	Times int
}

// damper bounds what strangers can make the record write: an attempt costs them nothing, a write costs the device's flash.
type damper struct {
	known map[subject]*known
	level float64
	at    time.Time
	over  int // refusals that were not written because there were too many
}

type known struct {
	last    Refused
	seen    time.Time
	written time.Time
	count   int // since it was written
}

func newDamper() damper { return damper{known: map[subject]*known{}, level: burstOfAll} }

// take returns the entry to write, if any.
func (d *damper) take(e Entry, now time.Time) (Entry, bool) {
	if e.Kind != Refusal {
		return e, true
	}
	k := subject{e.Account, e.Stream, e.Reason}
	s := d.known[k]
	if s == nil {
		d.forget()
		s = &known{}
		d.known[k] = s
	}
	s.last, s.seen = Refused{e, s.last.Times + 1}, now
	if !s.written.IsZero() && now.Sub(s.written) < quietFor {
		s.count++
		return e, false
	}
	if !d.at.IsZero() {
		d.level = min(burstOfAll, d.level+now.Sub(d.at).Hours()*perHour)
	}
	d.at = now
	if d.level < 1 {
		d.over++
		return e, false
	}
	d.level--
	e.Count = s.count + d.over // the ones of others are counted with it
	s.written, s.count, d.over = now, 0, 0
	return e, true
}

// forget makes room for one more.
func (d *damper) forget() {
	if len(d.known) < maxKnown {
		return
	}
	var oldest subject
	var at time.Time
	for k, s := range d.known {
		if at.IsZero() || s.seen.Before(at) {
			oldest, at = k, s.seen
		}
	}
	delete(d.known, oldest)
}

// latest returns the latest refusals.
func (d *damper) latest() []Refused {
	all := make([]*known, 0, len(d.known))
	for _, s := range d.known {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *known) int {
		return cmp.Or(b.seen.Compare(a.seen), cmp.Compare(a.last.Entry.Account, b.last.Entry.Account))
	})
	out := make([]Refused, 0, maxLatest)
	for _, s := range all[:min(len(all), maxLatest)] {
		out = append(out, s.last)
	}
	return out
}
