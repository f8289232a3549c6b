package keepalive

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// path forgets connections that are silent for longer than its limit.
type path struct {
	limit  time.Duration
	closes bool // it closes them, rather than swallow what comes later
	now    time.Duration
	lost   int
}

// step lets one interval pass.
func (p *path) step(k *Search) {
	silence := k.Interval()
	if silence <= p.limit {
		p.now += silence
		k.Survived(silence)
		return
	}
	if p.closes {
		silence = p.limit
	}
	p.now += silence
	p.lost++
	k.Died(silence)
}

func TestFindsWhatThePathBears(t *testing.T) {
	const lo, hi = 90 * time.Second, 10 * time.Minute
	for _, limit := range []time.Duration{25 * time.Second, time.Minute, 100 * time.Second, 3 * time.Minute, 5 * time.Minute, 9 * time.Minute, time.Hour} {
		for _, closes := range []bool{false, true} {
			k, p := New(lo, hi), &path{limit: limit, closes: closes}
			for range 20 {
				p.step(k)
			}
			if p.lost > 5 {
				t.Errorf("limit %v: %d connections were lost to find it", limit, p.lost)
			}
			best := min(limit, hi)
			if got := k.Interval(); got > best || got < best/2 || best > lo && got < best-best/4-leastStep {
				t.Errorf("limit %v, closes %v: the interval is %v", limit, closes, got)
			}
			lost := p.lost
			for p.now < 30*24*time.Hour {
				p.step(k)
			}
			if n := p.lost - lost; n > 80 {
				t.Errorf("limit %v, closes %v: %d more were lost in a month", limit, closes, n)
			}
		}
	}
}

// A server that ends, or a link that flickers, costs little of what was learned; a path that has changed is learned anew.
func TestOneDeathIsNotTheEnd(t *testing.T) {
	k, p := New(90*time.Second, 10*time.Minute), &path{limit: time.Hour}
	for range 20 {
		p.step(k)
	}
	k.Died(4 * time.Minute) // a relay that was restarted
	p.step(k)
	if k.Interval() != 10*time.Minute {
		t.Errorf("after one death and one ping the interval is %v", k.Interval())
	}
	p.limit, p.lost = 2*time.Minute, 0
	for range 12 {
		p.step(k)
	}
	if got := k.Interval(); got > p.limit || got < time.Minute || p.lost > 4 {
		t.Errorf("on another path: %v, %d lost", got, p.lost)
	}
	p.limit = time.Hour // and back
	for p.now = 0; p.now < 24*time.Hour; {
		p.step(k)
	}
	if k.Interval() != 10*time.Minute {
		t.Errorf("a day later: %v", k.Interval())
	}
}

func TestIntervalStaysInBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lo := time.Duration(rapid.IntRange(1, 600).Draw(t, "min")) * time.Second
		hi := lo + time.Duration(rapid.IntRange(0, 1200).Draw(t, "more"))*time.Second
		k := New(lo, hi)
		for range rapid.IntRange(1, 200).Draw(t, "n") {
			silence := time.Duration(rapid.IntRange(0, 2000).Draw(t, "silence")) * time.Second
			if rapid.Bool().Draw(t, "survived") {
				k.Survived(silence)
			} else {
				k.Died(silence)
			}
			if got := k.Interval(); got > max(hi, floor) || got < min(lo, floor) {
				t.Fatalf("interval %v between %v and %v", got, lo, hi)
			}
		}
	})
}
