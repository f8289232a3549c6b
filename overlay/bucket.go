package overlay

import "time"

// bucket is a token bucket: rate events a second, with a burst. The zero value is full at its first use.
type bucket struct {
	level float64
	at    time.Time
}

// take reports whether one more event is within the rate.
func (b *bucket) take(now time.Time, rate, burst float64) bool {
	b.fill(now, rate, burst)
	if b.level < 1 {
		return false
	}
	b.level--
	return true
}

// full reports whether the bucket holds nothing worth remembering.
func (b *bucket) full(now time.Time, rate, burst float64) bool {
	b.fill(now, rate, burst)
	return b.level >= burst
}

func (b *bucket) fill(now time.Time, rate, burst float64) {
	if b.at.IsZero() {
		b.level = burst
	} else if d := now.Sub(b.at); d > 0 {
		b.level = min(burst, b.level+d.Seconds()*rate)
	}
	b.at = now
}
