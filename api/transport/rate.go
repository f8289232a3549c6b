package transport

import (
	"net/netip"
	"sync"
	"time"
)

// Rate limits how often each client asks: a bucket of Burst requests that fills at Each a second. It remembers a bounded number of
// clients; those who have not asked for longest are forgotten, with full buckets.
type Rate struct {
	burst    int
	interval time.Duration // in which one request is earned
	most     int           // of clients in one generation

	mu         sync.Mutex
	young, old map[netip.Addr]int64 // when the bucket is full again, Unix nanoseconds
}

// clients is how many clients a Rate remembers at least; it remembers at most twice as many.
const clients = 1 << 15

// NewRate returns a limit of each requests a second and client, burst of them at once. Both are at least one.
func NewRate(each float64, burst int) *Rate {
	interval := time.Duration(float64(time.Second) / max(each, 1e-3))
	return &Rate{burst: max(burst, 1), interval: max(interval, 1), most: clients, young: map[netip.Addr]int64{}}
}

// Take takes one request from the client's bucket. left is how many more there are at once; wait is how long until there is one
// again when ok is false, and until the bucket is full otherwise.
func (l *Rate) Take(client netip.Addr, now time.Time) (ok bool, left int, wait time.Duration) {
	client = network(client)
	t := now.UnixNano()
	l.mu.Lock()
	defer l.mu.Unlock()
	full, known := l.young[client]
	if !known {
		full = l.old[client]
	}
	full = max(full, t)
	if ok = time.Duration(full-t)+l.interval <= l.interval*time.Duration(l.burst); ok {
		full += int64(l.interval)
	}
	if !known && len(l.young) >= l.most {
		l.young, l.old = make(map[netip.Addr]int64, l.most/4), l.young
	}
	l.young[client] = full // who is refused is remembered, too
	wait = time.Duration(full - t)
	if !ok {
		return false, 0, wait + l.interval - l.interval*time.Duration(l.burst)
	}
	return true, l.burst - int((wait+l.interval-1)/l.interval), wait
}
