package index

import "time"

const (
	// notifyEvery is the least time between two notes of progress while the index is behind.
	notifyEvery = time.Second
	// span is the time over which a rate is measured: parts of the work go at different speeds.
	span = 20 * time.Second
)

// meter measures how fast a phase goes.
type meter struct {
	phase  Phase
	began  time.Time
	told   time.Time
	done   uint64
	total  uint64   // 0: not known
	recent []sample // of the last span, oldest first, a second apart at the least
}

// sample is how much was done at a time.
type sample struct {
	at   time.Time
	done uint64
}

func newMeter(p Phase, now time.Time) meter {
	return meter{phase: p, began: now, recent: []sample{{now, 0}}}
}

// add counts what was done. What comes before the first entry of the state, reading owners, is no part of the rate.
func (m *meter) add(now time.Time, n, total uint64) {
	m.total = max(m.total, total)
	if m.done == 0 && m.phase == ReadingState {
		m.recent[0].at = now
	}
	m.done += n
	if now.Sub(m.recent[len(m.recent)-1].at) < time.Second {
		return
	}
	m.recent = append(m.recent, sample{now, m.done})
	for len(m.recent) > 2 && now.Sub(m.recent[1].at) > span {
		m.recent = m.recent[1:]
	}
}

// rate is how much was done a second of late; 0: not known.
func (m *meter) rate(now time.Time) float64 {
	if passed := now.Sub(m.recent[0].at).Seconds(); passed > 0 {
		return float64(m.done-m.recent[0].done) / passed
	}
	return 0
}

// notify tells the progress: at most once a second while more waits, and when the head is reached.
func (r *runner) notify(more bool) {
	if r.Notify == nil {
		return
	}
	now := r.now()
	if (more || r.cursor == nil || r.cursor.Number < r.head) && now.Sub(r.meter.told) < notifyEvery {
		return
	}
	r.meter.told = now
	r.Notify(r.meter.progress(now, r.cursor, r.head))
}

func (m *meter) progress(now time.Time, cursor *Cursor, head uint32) Progress {
	p := Progress{Phase: m.phase, Head: head, Done: m.done, Total: m.total, Rate: m.rate(now)}
	if m.phase == ReadingState {
		p.Block = head
	}
	if cursor != nil {
		p.Block = cursor.Number
	}
	if m.phase == CatchingUp {
		p.Total = m.done + uint64(head-min(head, p.Block))
		if p.Block >= head {
			p.Phase = Following
		}
	}
	if p.Total > m.done && p.Rate > 0 {
		p.Remaining = time.Duration(float64(p.Total-m.done) / p.Rate * float64(time.Second))
	}
	return p
}
