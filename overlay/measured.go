package overlay

import (
	"net"
	"sync/atomic"
	"time"

	"iod/overlay/wire"
)

// measured is a data connection that knows how many bytes have passed, TLS and all, so that both ends can compare.
type measured struct {
	net.Conn
	in, out atomic.Uint64
	reading atomic.Int32 // reads that wait
}

// Read implements net.Conn.
func (c *measured) Read(p []byte) (int, error) {
	c.reading.Add(1)
	n, err := c.Conn.Read(p)
	c.reading.Add(-1)
	c.in.Add(uint64(n))
	return n, err
}

// Write implements net.Conn.
func (c *measured) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.out.Add(uint64(n))
	return n, err
}

// lag is one direction in which something is missing at the end that waits for it. The zero value is none.
type lag struct {
	since time.Time
	at    uint64 // bytes that had arrived
}

func (l *lag) lags() bool { return !l.since.IsZero() }

// look takes in that something is missing or not, and how much has arrived; it reports whether for patience nothing has moved.
func (l *lag) look(missing bool, arrived uint64, now time.Time, patience time.Duration) bool {
	switch {
	case !missing:
		*l = lag{}
	case !l.lags() || l.at != arrived:
		*l = lag{now, arrived}
	default:
		return now.Sub(l.since) >= patience
	}
	return false
}

// stalled compares what the device says with what this end knows. A path that has forgotten a connection tells nobody, and one that
// was away for long may take as long again until it is tried once more: the session is better begun anew. An end that does not want
// more is not waited for.
func (s *probed) stalled(f wire.Probed, now time.Time, patience time.Duration) bool {
	in, out := s.data.in.Load(), s.data.out.Load()
	there := s.there.look(f.Waits && f.In < out, f.In, now, patience)
	here := s.here.look(s.data.reading.Load() > 0 && in < f.Out, in, now, patience)
	return there || here
}
