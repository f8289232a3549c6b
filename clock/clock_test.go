package clock

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// machine is a machine with a wall clock that is off.
type machine struct {
	real time.Time
	up   time.Duration
	off  time.Duration
}

func (m *machine) pass(d time.Duration) { m.real, m.up = m.real.Add(d), m.up+d }

func (m *machine) clock(floor time.Time) *Clock {
	return Of(func() time.Time { return m.real.Add(m.off) }, func() time.Duration { return m.up }, floor)
}

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestWallClock(t *testing.T) {
	since1970 := t0.Sub(time.Unix(0, 0))
	for _, c := range []struct {
		name  string
		off   time.Duration
		paced bool
		lag   time.Duration // how old the newest block is
		wrong bool          // the wall clock is overruled
	}{
		{"right", 0, true, 12 * time.Second, false},
		{"a little off", time.Minute, true, 6 * time.Second, false},
		{"1970", -since1970, true, 6 * time.Second, true},
		{"1970 on a chain without pace", -since1970, false, time.Hour, true},
		{"next year", 365 * 24 * time.Hour, true, 6 * time.Second, true},
		{"next year on a chain without pace", 365 * 24 * time.Hour, false, 0, false},
		{"right, and no block for hours on a chain without pace", 0, false, 9 * time.Hour, false},
		{"ten minutes behind", -10 * time.Minute, true, 6 * time.Second, true},
	} {
		m := &machine{real: t0, up: time.Hour, off: c.off}
		k := m.clock(t0.Add(-30 * 24 * time.Hour))
		k.Observe(m.real.Add(-c.lag), c.paced)
		m.pass(17 * time.Minute)
		r := k.Read()
		if wrong := r.Offset != 0; wrong != c.wrong {
			t.Errorf("%s: offset %v", c.name, r.Offset)
		}
		if err := m.real.Sub(r.Now); c.wrong && (err < 0 || err > c.lag) {
			t.Errorf("%s: estimate is wrong by %v", c.name, err)
		}
		m.off += 1000 * time.Hour // somebody sets it
		if after := k.Now(); c.wrong && c.paced && !after.Equal(r.Now) {
			t.Errorf("%s: a jump moved the estimate by %v", c.name, after.Sub(r.Now))
		}
	}
}

func TestBeforeTheChainIsReached(t *testing.T) {
	m := &machine{real: t0, off: -t0.Sub(time.Unix(0, 0))}
	floor := t0.Add(-24 * time.Hour)
	k := m.clock(floor)
	m.pass(time.Hour)
	if got := k.Now(); !got.Equal(floor.Add(time.Hour)) {
		t.Errorf("in 1970 it is taken for %v", got)
	}
	m.off = 0 // the network tells the time
	if got := k.Now(); !got.Equal(m.real) {
		t.Errorf("once set it is taken for %v", got)
	}
}

func TestSteadyIgnoresTheWallClock(t *testing.T) {
	m := &machine{real: t0, up: time.Minute}
	k := m.clock(time.Time{})
	a := k.Steady()
	m.off = -50 * 365 * 24 * time.Hour
	m.pass(42 * time.Second)
	if d := k.Steady().Sub(a); d != 42*time.Second {
		t.Errorf("%v passed", d)
	}
	if New(time.Time{}).Steady().After(time.Now().Add(time.Minute)) {
		t.Error("the machine's steady clock is off")
	}
}

// TestALyingNodeIsOutlived: the estimate is never before what honest nodes proved, and a lie about the future ends.
func TestALyingNodeIsOutlived(t *testing.T) {
	m := &machine{real: t0}
	k := m.clock(time.Time{})
	k.Observe(t0.Add(10000*time.Hour), true)
	for range kept {
		m.pass(6 * time.Hour)
		k.Observe(m.real, true)
	}
	if got := k.Now(); !got.Equal(m.real) {
		t.Errorf("off by %v", got.Sub(m.real))
	}
	k.Observe(time.Unix(0, 0), true)
	if got := k.Now(); !got.Equal(m.real) {
		t.Error("block 0 counts")
	}
}

func TestMoment(t *testing.T) {
	day := 24 * time.Hour
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{real: t0, off: time.Duration(rapid.IntRange(-20000, 20000).Draw(t, "off")) * day}
		floor := t0.Add(-time.Duration(rapid.IntRange(0, 1000).Draw(t, "floor")) * day)
		k := m.clock(floor)
		notBefore := t0.Add(time.Duration(rapid.IntRange(-500, 300).Draw(t, "from")) * day)
		notAfter := notBefore.Add(time.Duration(rapid.IntRange(1, 400).Draw(t, "days")) * day)
		known := rapid.Bool().Draw(t, "known")
		if known {
			k.Observe(t0, true)
		}
		at := k.Moment(notBefore, notAfter)
		accepted := !at.Before(notBefore) && !at.After(notAfter)
		valid := !t0.Before(notBefore) && !t0.After(notAfter)
		switch {
		case known && accepted != valid && m.off.Abs() > slack:
			t.Fatalf("by the chain's time it is valid: %v; accepted: %v", valid, accepted)
		case valid && !accepted:
			t.Fatal("a valid certificate is refused because of the machine's clock")
		case accepted && notAfter.Before(floor):
			t.Fatal("a certificate is accepted that ran out before the floor")
		}
	})
}
