package supervise

import (
	"fmt"
	"math"
	"time"
)

// Policy says when a program that ended is started again. Each exit that came sooner than Healthy after it was ready counts as
// a crash: the first restart waits First, and the n-th crash after it Min·Factor^(n−1), at most Max, ± the share Jitter.
type Policy struct {
	First   time.Duration // default 20 ms
	Min     time.Duration // default 500 ms
	Max     time.Duration // default 1 min
	Factor  float64       // default 2
	Jitter  float64       // 0…1, default 0.2
	Healthy time.Duration // default 30 s
	Looping int           // crashes in a row from which on the program counts as crash-looping; default 5
}

// Exit says how a process ended.
type Exit struct {
	Code   int    `json:"code"`             // exit status; −1 when a signal ended it or it never started
	Signal string `json:"signal,omitempty"` // the signal's name, when one ended it
	Err    string `json:"error,omitempty"`  // why it could not be started
	Reason string `json:"reason,omitempty"` // why the supervisor ended it
	OOM    bool   `json:"oom,omitempty"`    // it had more memory than it may
}

// String describes the exit in a few words.
func (e Exit) String() string {
	if e.Err != "" {
		return e.Err
	}
	text := fmt.Sprintf("exited with status %d", e.Code)
	if e.Signal != "" {
		text = "ended by signal: " + e.Signal
	}
	if e.OOM {
		text += " (out of memory)"
	}
	if e.Reason != "" {
		text = e.Reason + "; " + text
	}
	return text
}

// History is what the policy remembers of a program.
type History struct {
	Ready   time.Time // when the run that ended became ready; zero when it did not
	Until   time.Time // the last time at which that run was known to work
	Crashes int       // in a row
}

// Decision is what to do after an exit.
type Decision struct {
	Wait    time.Duration // until the next start
	Crashes int           // in a row, this exit included; the History of the next decision
	Looping bool
}

// Next decides when to start a program again after an exit. dice in [0, 1) places the wait within its jitter.
func Next(p Policy, h History, dice float64) Decision {
	p = p.withDefaults()
	crashes := h.Crashes + 1
	if !h.Ready.IsZero() && h.Until.Sub(h.Ready) >= p.Healthy {
		crashes = 1
	}
	d := Decision{Crashes: crashes, Looping: crashes >= p.Looping, Wait: p.First}
	if crashes > 1 {
		base := min(float64(p.Min)*math.Pow(p.Factor, float64(crashes-2)), float64(p.Max))
		d.Wait = time.Duration(base * (1 + p.Jitter*(2*dice-1)))
	}
	return d
}

func (p Policy) withDefaults() Policy {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&p.First, 20*time.Millisecond)
	set(&p.Min, 500*time.Millisecond)
	set(&p.Max, time.Minute)
	set(&p.Healthy, 30*time.Second)
	p.Max = max(p.Max, p.Min)
	if !(p.Factor >= 1) || math.IsInf(p.Factor, 0) {
		p.Factor = 2
	}
	if !(p.Jitter > 0 && p.Jitter <= 1) {
		p.Jitter = 0.2
	}
	if p.Looping <= 0 {
		p.Looping = 5
	}
	return p
}
