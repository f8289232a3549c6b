// Package audit is the record of who was let in and who was not: JSON, one entry a line, in files that are only ever appended to.
//
//	<directory>/audit.jsonl      the newest
//	<directory>/audit.1.jsonl …  older ones; the oldest is removed when a new one begins
//
// It is bounded on disk by rotation and in what strangers can make it write: what repeats itself is counted, not written again.
// Nothing waits for the disk. Entries that cannot be written wait in memory until they can, the oldest go first when there are too many, and
// then an entry says how many are missing. A line torn by a loss of power is taken out when the record is opened again.
package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Kind says what an entry is about.
type Kind string

// The kinds of entry.
const (
	Start     Kind = "start"     // the device runs from here on
	Stop      Kind = "stop"      // it ended in order
	Grant     Kind = "grant"     // the judge said yes to a request
	Refusal   Kind = "refusal"   // a request waits in vain, or was dropped
	Withdrawn Kind = "withdrawn" // the judge took a yes back
	Session   Kind = "session"   // a session began
	End       Kind = "end"       // a session ended
	Cut       Kind = "cut"       // a session was ended by the device
	Published Kind = "published" // the document
	Disturbed Kind = "disturbed" // a stranger changed the document
	Conflict  Kind = "conflict"  // another device has the same key
	Reload    Kind = "reload"    // of the manifest
	Lost      Kind = "lost"      // entries that could not be kept: Count of them
)

// Entry is a line. What does not apply is left out.
type Entry struct {
	Time    time.Time `json:"time"`
	Kind    Kind      `json:"kind"`
	Account string    `json:"account,omitempty"`
	Claimed bool      `json:"claimed,omitempty"` // Account is what a request said, and was not proved
	Node    string    `json:"node,omitempty"`
	Stream  string    `json:"stream,omitempty"`
	Relay   string    `json:"relay,omitempty"`
	Block   uint32    `json:"block,omitempty"` // of the chain, by which it was decided
	Reason  string    `json:"reason,omitempty"`
	In      uint64    `json:"in,omitempty"`      // bytes from the consumer
	Out     uint64    `json:"out,omitempty"`     // bytes to the consumer
	Seconds float64   `json:"seconds,omitempty"` // that a session lasted
	Count   int       `json:"count,omitempty"`   // how often it happened since it was written before, this time left out
}

// Limits of the record.
const (
	fileSize  = 1 << 20 // bytes, after which a new file begins
	files     = 4
	maxQueue  = 1024 // entries that wait to be written
	maxReason = 300  // bytes
	gather    = time.Second
	retry     = time.Minute // after a failed write
)

// Log is the record of a device that runs. It is safe for concurrent use.
type Log struct {
	log   *slog.Logger
	disk  *disk // nil: in memory only
	wake  chan struct{}
	retry time.Duration

	mu      sync.Mutex
	queue   []Entry
	lost    int
	damper  damper
	failing error // the last write's
}

// Open opens the record of a directory, or one in memory when dir is empty. It never fails: what is wrong with the directory shows in
// Err, and is tried again.
func Open(dir string, log *slog.Logger) *Log {
	l := &Log{log: log, wake: make(chan struct{}, 1), retry: retry, damper: newDamper()}
	if dir != "" {
		l.disk = &disk{dir: dir, size: fileSize, open: openFile}
	}
	return l
}

// Add records an entry, at once and without waiting. now is a clock that never jumps; it bounds how often the same is written.
func (l *Log) Add(e Entry, now time.Time) {
	if len(e.Reason) > maxReason {
		e.Reason = e.Reason[:maxReason] + "…"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	e, write := l.damper.take(e, now)
	if !write || l.disk == nil {
		return
	}
	if len(l.queue) == maxQueue {
		l.queue = l.queue[1:]
		l.lost++
	}
	l.queue = append(l.queue, e)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Refusals returns what was refused of late, the latest first.
func (l *Log) Refusals() []Refused {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.damper.latest()
}

// Err returns why entries wait in memory instead of being on disk; nil: they do not.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failing
}

// Run writes until ctx ends, and then what is left. It touches the disk only when there is something to write.
func (l *Log) Run(ctx context.Context) error {
	defer l.close()
	for {
		select {
		case <-ctx.Done():
			l.flush()
			return nil
		case <-l.wake:
		}
		for wait := gather; ; wait = l.retry {
			timer := time.NewTimer(wait) // what comes together is written together
			select {
			case <-ctx.Done():
			case <-timer.C:
			}
			timer.Stop()
			if ctx.Err() != nil || l.flush() {
				break
			}
		}
	}
}

func (l *Log) close() {
	if l.disk != nil {
		l.disk.close()
	}
}

// flush writes what waits, and reports whether nothing is left.
func (l *Log) flush() bool {
	l.mu.Lock()
	entries, lost := l.queue, l.lost
	l.queue, l.lost = nil, 0
	l.mu.Unlock()
	if len(entries) == 0 && lost == 0 {
		return true
	}
	if lost > 0 {
		entries = append([]Entry{{Time: entries[0].Time, Kind: Lost, Count: lost, Reason: "they could not be written in time"}}, entries...)
	}
	done, err := l.disk.write(entries)
	l.mu.Lock()
	defer l.mu.Unlock()
	if was := l.failing; err != nil && was == nil {
		l.log.Warn("the audit record cannot be written; it waits in memory", "err", err)
	} else if err == nil && was != nil {
		l.log.Info("the audit record can be written again")
	}
	if l.failing = err; err == nil {
		return len(l.queue) == 0
	}
	rest := entries[done:]
	if len(rest) > 0 && rest[0].Kind == Lost {
		l.lost, rest = l.lost+rest[0].Count, rest[1:]
	}
	l.queue = append(rest, l.queue...)
	if over := len(l.queue) - maxQueue; over > 0 {
		l.queue, l.lost = l.queue[over:], l.lost+over
	}
	return false
}

// line is an entry as it stands in a file.
func (e Entry) line() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return fmt.Appendf(nil, "{\"kind\":%q}\n", e.Kind) // cannot happen: it holds nothing that JSON does not know
	}
	return b.Bytes()
}
