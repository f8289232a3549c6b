package index

import "time"

// notifyEvery is the least time between two notes of progress while the index is behind.
const notifyEvery = time.Second

// meter measures how fast a phase goes.
type meter struct {
	phase Phase
	began time.Time
	told  time.Time
	done  uint64
	total uint64 // 0: not known
}

func newMeter(p Phase, now time.Time) meter { return meter{phase: p, began: now} }

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

func (m meter) progress(now time.Time, cursor *Cursor, head uint32) Progress {
	p := Progress{Phase: m.phase, Head: head, Done: m.done, Total: m.total}
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
	if passed := now.Sub(m.began).Seconds(); passed > 0 {
		p.Rate = float64(m.done) / passed
	}
	if p.Total > m.done && p.Rate > 0 {
		p.Remaining = time.Duration(float64(p.Total-m.done) / p.Rate * float64(time.Second))
	}
	return p
}
