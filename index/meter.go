package index

import "time"

const (
	// notifyEvery is the least time between two notes of progress while the index is behind.
	notifyEvery = time.Second
	// span is the time over which a rate is measured: parts of the work go at different speeds.
	span = 20 * time.Second
	// leastSpan is the least time that tells a rate.
	leastSpan = 500 * time.Millisecond
)

// meter measures how fast a phase goes.
type meter struct {
	phase  Phase
	began  time.Time
	told   time.Time
	done   uint64
	total  uint64   // 0: not known
	first  uint64   // how many of total are documents, which come first; in state only
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
func (m *meter) add(now time.Time, n uint64, total entries) {
	m.total, m.first = max(m.total, total.documents+total.others), max(m.first, total.documents)
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

// rate is how much was done a second of late; 0: not known, as in the first moments, of which a batch may be all.
func (m *meter) rate(now time.Time) float64 {
	if passed := now.Sub(m.recent[0].at); passed >= leastSpan {
		return float64(m.done-m.recent[0].done) / passed.Seconds()
	}
	return 0
}

// perDocument is about how many other entries of the state take as long as a document, which is verified and made findable.
const perDocument = 10

// work is what it takes to do so many, in other entries than documents.
func (m *meter) work(done uint64) float64 {
	documents := min(done, m.first)
	return float64(perDocument*documents + done - documents)
}

// remaining is about how long the rest takes at the pace of late; 0: not known.
func (m *meter) remaining(now time.Time, total uint64) time.Duration {
	passed, worked := now.Sub(m.recent[0].at), m.work(m.done)-m.work(m.recent[0].done)
	if passed < leastSpan || worked <= 0 || total <= m.done {
		return 0
	}
	return time.Duration((m.work(total) - m.work(m.done)) / worked * float64(passed))
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
	p.Remaining = m.remaining(now, p.Total)
	return p
}
