package rpc

import (
	"slices"
	"time"
)

const (
	// maxEnded bounds the memory of subscriptions that were ended here, and of what is to be told to the node about them.
	maxEnded = 1024
	// maxLate is how many notifications of an ended subscription are taken for ones that were on their way.
	maxLate = 1024
	// strays is how many messages that nobody waits for a node may send at once; one more is forgiven with each strayEvery.
	strays     = 16
	strayEvery = time.Second
)

// endings remembers the newest subscriptions that were ended here. A node goes on notifying until it has seen the end, and what
// it sent before is still on its way then: that is no fault of it.
type endings struct {
	late  map[string]int // notifications since the end, by the subscription's id
	order []string       // oldest first
}

func (e *endings) add(id string) {
	if e.late == nil {
		e.late = map[string]int{}
	}
	if _, ok := e.late[id]; !ok {
		e.order = append(e.order, id)
	}
	e.late[id] = 0
	if len(e.order) > maxEnded {
		delete(e.late, e.order[0])
		e.order = slices.Delete(e.order, 0, 1)
	}
}

// forget makes room for a subscription to which the node gave the id of an ended one.
func (e *endings) forget(id string) {
	if _, ok := e.late[id]; ok {
		delete(e.late, id)
		e.order = slices.DeleteFunc(e.order, func(x string) bool { return x == id })
	}
}

// excuse counts a notification of a subscription, and reports whether its end excuses it.
func (e *endings) excuse(id string) bool {
	n, ok := e.late[id]
	if !ok || n >= maxLate {
		return false
	}
	e.late[id] = n + 1
	return true
}

// allowance bounds the rate of stray messages. The zero value is full.
type allowance struct {
	used int
	full time.Time // since when used counts
}

// take uses one up; false when there is none left.
func (a *allowance) take(now time.Time) bool {
	if back := int(now.Sub(a.full) / strayEvery); back >= a.used {
		a.used, a.full = 0, now
	} else if back > 0 {
		a.used -= back
		a.full = a.full.Add(time.Duration(back) * strayEvery)
	}
	if a.used >= strays {
		return false
	}
	a.used++
	return true
}
