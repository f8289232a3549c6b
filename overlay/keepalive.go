package overlay

import "time"

// keepAlive finds out how rarely an idle connection may be pinged. A path's middleboxes forget idle connections after a
// time that only trying can tell: the interval grows while pings are answered, and stays below one that failed.
type keepAlive struct {
	min, max  time.Duration
	good, bad time.Duration // longest interval that a ping survived; shortest that it did not, 0 if none
	cur       time.Duration
}

// close to this, searching on is not worth a lost connection.
const keepAliveStep = 30 * time.Second

func newKeepAlive(lo, hi time.Duration) *keepAlive {
	return &keepAlive{min: lo, max: hi, cur: lo}
}

// answered records that a ping after the current interval of silence was answered.
func (k *keepAlive) answered() {
	k.good = max(k.good, k.cur)
	if k.bad == 0 {
		k.cur = min(k.cur*3/2, k.max)
		return
	}
	if k.bad-k.good > 2*keepAliveStep {
		k.cur = (k.good + k.bad) / 2
	} else {
		k.cur = k.good
	}
}

// lost records that the connection was dead after the current interval of silence. A dead relay looks the same, so one loss at an
// interval that worked before changes little: the next answers raise it again.
func (k *keepAlive) lost() {
	if k.cur <= k.good { // it used to work: the path may have changed
		k.good = k.min
		k.bad = 0
		k.cur = max(k.min, k.cur/2)
		return
	}
	k.bad = k.cur
	k.cur = max(k.min, k.good)
}
