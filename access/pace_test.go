package access

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestPace(t *testing.T) {
	const w = 200 * time.Second
	type look struct {
		after  time.Duration
		number uint32
		want   bool
	}
	for name, looks := range map[string][]look{
		"by the clock":              {{0, 100, false}, {w, 130, false}, {w, 160, false}, {w, 190, false}},
		"stands still":              {{0, 100, false}, {w, 130, false}, {w, 130, true}, {w / 10, 130, true}, {w / 10, 131, false}, {w, 160, false}},
		"goes back":                 {{0, 100, false}, {w, 130, false}, {w, 90, true}, {w, 120, true}, {w, 150, false}},
		"still from the beginning":  {{0, 100, false}, {w, 100, false}, {w, 100, false}},
		"blocks for transactions":   {{0, 5, false}, {w, 9, false}, {w, 9, false}, {5 * w, 20, false}, {w, 20, false}},
		"slow by the clock":         {{0, 5, false}, {w, 14, false}, {w, 23, false}, {w, 23, false}},
		"looked at after a day":     {{0, 5, false}, {400 * w, 400, false}, {w, 400, false}},
		"still while not looked at": {{0, 100, false}, {w, 130, false}, {400 * w, 130, true}},
		"often looked at":           {{0, 100, false}, {w / 2, 120, false}, {w / 2, 140, false}, {w / 2, 140, false}, {w / 2, 140, true}},
	} {
		p, now := pace{window: w}, time.Unix(1e9, 0)
		for i, l := range looks {
			now = now.Add(l.after)
			if got := p.note(now, l.number); got != l.want {
				t.Errorf("%s: look %d at block %d: standing %v", name, i, l.number, got)
			}
		}
	}
}

func TestClocked(t *testing.T) {
	if !Clocked(meta(t)) {
		t.Error("peaq's runtime makes blocks by the clock")
	}
}

// A node that answers but has stood still, after it had gone on, is no chain to judge by: the lease runs out.
func TestNodeStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, nil)
		defer s.stop()
		s.grants(true, "a", alice)
		pass := s.admitted(s.knocks(t.Context(), alice, "a"))
		goOn := func(d time.Duration) {
			for range d / (6 * time.Second) {
				time.Sleep(6 * time.Second)
				s.c.push(s.p.storage(t), true)
			}
		}
		goOn(20 * time.Minute)
		s.holds(pass)
		still := time.Now()
		<-pass.Done()
		s.ends(pass, ErrLease)
		if d := time.Since(still); d < DefaultLease/2 || d > DefaultLease*3/2 {
			t.Errorf("ended after %v", d)
		}
		c := s.knocks(t.Context(), alice, "a")
		goOn(time.Minute)
		s.admitted(c)
	})
}
