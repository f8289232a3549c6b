package overlay

import (
	"sync"
	"time"
)

// watch decides when a session's path deserves a probe. Data that keeps coming proves the path, so a steady stream is never probed:
// only a silence that is out of proportion to the rhythm before it, or an unanswered request. After that probes become rarer
// and rarer, since an idle session must cost next to nothing.
//
// A nil watch watches nothing.
type watch struct {
	min  time.Duration // least silence before a probe
	now  func() time.Time
	soon func(time.Time) // told when a probe may be due earlier than it was; may be nil

	mu      sync.Mutex
	came    time.Time     // when data came last
	last    time.Time     // latest proof of life: data, or the answer to a probe
	rhythm  time.Duration // smoothed gap between arrivals
	asked   time.Time     // first write since the last proof of life; zero if none
	silence time.Duration // pause before the next probe of a silence that was probed already
	unheard time.Duration // pause after a write, once writes turned out to be never answered
}

// The longest pauses between the probes of a session that is silent, and of one that only sends.
const (
	maxSilence = 15 * time.Minute
	maxUnheard = time.Minute
)

func newWatch(least time.Duration, now func() time.Time) *watch {
	return &watch{min: least, now: now, came: now(), last: now()}
}

// heard notes that data came.
func (w *watch) heard() {
	if w == nil {
		return
	}
	now := w.now()
	w.mu.Lock()
	resumed := w.silence > 0
	w.rhythm += (now.Sub(w.came) - w.rhythm) / 4
	w.came, w.last, w.asked, w.silence, w.unheard = now, now, time.Time{}, 0, 0
	w.mu.Unlock()
	if resumed && w.soon != nil {
		w.soon(w.due())
	}
}

// said notes that data was sent.
func (w *watch) said() {
	if w == nil {
		return
	}
	w.mu.Lock()
	first := w.asked.IsZero()
	if first {
		w.asked = w.now()
	}
	w.mu.Unlock()
	if first && w.soon != nil {
		w.soon(w.due())
	}
}

// answered notes that a probe was answered: silence is what the other end means.
func (w *watch) answered() {
	now := w.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.asked.IsZero() {
		w.silence = min(2*max(w.silence, w.quiet()), maxSilence)
	} else {
		w.unheard = min(2*max(w.unheard, w.min), maxUnheard)
	}
	w.last, w.asked = now, time.Time{}
}

// quiet is the silence that is not suspicious. w.mu is held.
func (w *watch) quiet() time.Duration { return min(w.min+2*w.rhythm, maxSilence) }

// due returns when the next probe should be sent if nothing is heard until then.
func (w *watch) due() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := w.last.Add(max(w.quiet(), w.silence))
	if !w.asked.IsZero() {
		if a := w.asked.Add(max(w.min, w.unheard)); a.Before(at) {
			at = a
		}
	}
	return at
}
