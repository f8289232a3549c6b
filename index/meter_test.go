package index

import (
	"testing"
	"time"
)

// TestMeter: in the state documents come first, and take longer than the rest; what is left is told by that. A first batch tells no rate.
func TestMeter(t *testing.T) {
	now := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)
	m := newMeter(ReadingState, now)
	total := entries{documents: 1000, others: 5000}
	now = now.Add(time.Minute) // of reading owners
	m.add(now, 100, total)
	if p := m.progress(now, nil, 9); p.Rate != 0 || p.Remaining != 0 || p.Total != 6000 || p.Done != 100 || p.Block != 9 || p.Phase != ReadingState {
		t.Errorf("after a first batch: %+v", p)
	}
	for range 4 { // a hundred documents a second
		now = now.Add(time.Second)
		m.add(now, 100, total)
	}
	// 500 documents are left, and 5000 others, as long as 500: at 100 documents a second ten seconds.
	if p := m.progress(now, nil, 9); p.Rate < 100 || p.Rate > 130 || p.Remaining < 7*time.Second || p.Remaining > 11*time.Second {
		t.Errorf("half of the documents: %+v", p)
	}
	for range 5 {
		now = now.Add(time.Second)
		m.add(now, 100, total)
	}
	now = now.Add(30 * time.Second) // all of the window is of others
	for range 25 {
		m.add(now, 100, total)
		now = now.Add(time.Second)
	}
	if p := m.progress(now, nil, 9); p.Rate < 40 || p.Rate > 130 || p.Remaining < 15*time.Second || p.Remaining > 60*time.Second {
		t.Errorf("half of the others: %+v", p)
	}
	m = newMeter(CatchingUp, now)
	for range 3 {
		now = now.Add(time.Second)
		m.add(now, 10, entries{})
	}
	if p := m.progress(now, &Cursor{Number: 30}, 60); p.Rate != 10 || p.Remaining != 3*time.Second || p.Total != 60 {
		t.Errorf("the history: %+v", p)
	}
}
