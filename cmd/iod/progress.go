//go:build !device

package main

import (
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"iod/index"
	"iod/index/postgres"
)

const (
	// heapOfIndex bounds the memory that the Go runtime of an index holds: what a start reads and drops would else stay resident. The
	// database's own caches come on top.
	heapOfIndex = 206 << 20
	// heapBesideServer is the same where a server keeps the database's pages.
	heapBesideServer = 250 << 20
	// growthOfHeap is by how much it may grow beyond what is in use before it is collected, in percent: there is more to win from memory
	// than from the little that collecting takes.
	growthOfHeap = 50
	// logProgressEvery is how often a log is told how far an index is that is long behind.
	logProgressEvery = 30 * time.Second
)

// boundMemory keeps what an index holds in bounds, unless whoever started it did.
func boundMemory(database string) {
	if os.Getenv("GOMEMLIMIT") == "" {
		limit := int64(heapOfIndex)
		if postgres.Is(database) {
			limit = heapBesideServer
		}
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(growthOfHeap)
	}
}

// progressView is one line of `iod index -o json` while it is behind, and the one with which it is not any more.
type progressView struct {
	Phase     index.Phase `json:"phase"`
	Block     uint32      `json:"block"`
	Head      uint32      `json:"head"`
	Done      uint64      `json:"done"`            // blocks, or entries of the state
	Total     uint64      `json:"total,omitempty"` // about
	Rate      float64     `json:"rate"`            // of done, a second
	Remaining float64     `json:"remaining_seconds,omitempty"`
}

// progress tells how far an index is that is behind: on one line of a terminal, by a line a second to machines, and otherwise now and then
// to the log. Run calls it at most once a second while it is behind; once it is not, nothing more is said.
func (a *app) progress() func(index.Progress) {
	p := &progress{a: a, log: a.serviceLog(), terminal: isTerminal(a.err), now: time.Now}
	p.logged = p.now()
	return p.tell
}

type progress struct {
	a        *app
	log      *slog.Logger
	terminal bool
	now      func() time.Time
	behind   bool // something was told of being behind
	logged   time.Time
}

func (p *progress) tell(x index.Progress) {
	if x.Phase == index.Following && !p.behind {
		return
	}
	p.behind = x.Phase != index.Following
	text := progressText(x)
	switch {
	case p.a.json():
		_ = p.a.print(progressView{x.Phase, x.Block, x.Head, x.Done, x.Total, x.Rate, x.Remaining.Seconds()}, "") // who reads no more misses nothing
	case p.terminal && p.behind:
		fmt.Fprintf(p.a.err, "\r\x1b[K%s", text)
	case p.terminal:
		fmt.Fprintf(p.a.err, "\r\x1b[K%s\n", text)
	case !p.behind:
		p.log.Info(text)
	case p.now().Sub(p.logged) >= logProgressEvery:
		p.logged = p.now()
		p.log.Info(text)
	}
}

// progressText is how far an index is, for people.
func progressText(x index.Progress) string {
	var text string
	switch x.Phase {
	case index.ReadingState:
		text = fmt.Sprintf("reads the chain's state at block %d: %d of about %d entries", x.Block, x.Done, x.Total)
		if x.Done == 0 {
			return text
		}
	case index.CatchingUp:
		text = fmt.Sprintf("catches up: block %d of %d", x.Block, x.Head)
	default:
		return fmt.Sprintf("up to date with block %d", x.Block)
	}
	if x.Rate > 0 {
		text += fmt.Sprintf(", %.0f a second", x.Rate)
	}
	if x.Remaining > 0 {
		text += fmt.Sprintf(", %v left", x.Remaining.Round(time.Second))
	}
	return text
}
