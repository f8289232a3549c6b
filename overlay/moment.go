package overlay

import (
	"sync/atomic"
	"time"
)

// moment is a time that is set again and again. It keeps the monotonic reading: the machine's clock may jump.
type moment struct{ at atomic.Pointer[time.Time] }

func (m *moment) now() {
	t := time.Now()
	m.at.Store(&t)
}

// ago is the time since the moment; it was set before.
func (m *moment) ago() time.Duration { return time.Since(*m.at.Load()) }
