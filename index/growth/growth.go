// Package growth counts by days of the chain what came, changed and went: the history of an index, added up in memory.
//
// It reads the history once from its beginning and then follows it. For a million devices that takes seconds and 10 MB: of every account it
// keeps a hash of eight bytes, one bit of which is whether it is offered.
package growth

import (
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"slices"
	"sync"
	"time"

	"iod/index"
	"iod/key"
)

// Day is what happened on one day, by the time of the blocks in UTC. What an index read from the state stands on the day on which the
// attribute was made.
type Day struct {
	Date    time.Time // midnight
	New     int       // devices seen for the first time
	Updated int       // documents that took the place of another one of a device that was offered
	Back    int       // devices offered again after they had ended
	Ended   int       // removed by their own account, or expired
	Live    int       // offered at the end of the day
}

// Options tune a Growth. The zero value is right for most.
type Options struct {
	Log  *slog.Logger  // nil: silent
	Poll time.Duration // between looks at the store's history; 0: a second
}

// Growth adds a store's history up. It may be used by any number of goroutines.
type Growth struct {
	store index.Reader
	Options

	mu    sync.Mutex
	days  map[int64]*Day // by Unix days
	ready bool

	// Of Run alone:
	seed maphash.Seed
	live accounts
	last *index.Entry
	date int64 // of the last entry that has a time
}

// New returns a Growth of a store. It knows nothing until Run has read the history.
func New(store index.Reader, o Options) *Growth {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Poll == 0 {
		o.Poll = time.Second
	}
	return &Growth{store: store, Options: o, seed: maphash.MakeSeed()}
}

var errReset = errors.New("the store was emptied or exchanged")

// Run keeps the counts in step with the store until ctx ends; then it returns nil. While the store fails it tries again.
func (g *Growth) Run(ctx context.Context) error {
	g.reset()
	for {
		full, err := g.step(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errReset):
			g.Log.Warn("growth: counting anew", "reason", err)
			g.reset()
			continue
		case err != nil:
			g.Log.Warn("growth: cannot read the history; trying again", "error", err)
		case full:
			continue
		default:
			g.mu.Lock()
			g.ready = true
			g.mu.Unlock()
		}
		t := time.NewTimer(g.Poll)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil
		}
	}
}

func (g *Growth) reset() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.days, g.ready, g.live, g.last, g.date = map[int64]*Day{}, false, newAccounts(), nil, 0
}

// step takes in a page of the history. That the store is still the same it sees by the last entry, which it asks for again.
func (g *Growth) step(ctx context.Context) (full bool, err error) {
	after := int64(0)
	if g.last != nil {
		after = g.last.ID - 1
	}
	entries, err := g.store.Changes(ctx, after, index.MaxLimit)
	if err != nil {
		return false, err
	}
	full = len(entries) == index.MaxLimit
	if g.last != nil {
		if len(entries) == 0 || !same(&entries[0], g.last) {
			return false, errReset
		}
		entries = entries[1:]
	}
	if len(entries) == 0 {
		return false, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range entries {
		g.take(&entries[i])
	}
	g.last = &entries[len(entries)-1]
	return full, nil
}

func same(a, b *index.Entry) bool {
	return a.ID == b.ID && a.Account == b.Account && a.Action == b.Action && a.At.Block == b.At.Block && a.At.Hash == b.At.Hash && a.At.Event == b.At.Event
}

// take counts one line of history. g.mu is held.
func (g *Growth) take(e *index.Entry) {
	if !e.At.Time.IsZero() { // a block in which nothing but an expiry happened has none: it is of the day of the one before
		g.date = e.At.Time.Unix() / 86400
	}
	d := g.days[g.date]
	if d == nil {
		d = &Day{Date: time.Unix(g.date*86400, 0).UTC()}
		g.days[g.date] = d
	}
	a := g.live.find(g.hash(e.Account))
	live, known := g.live.at(a)
	switch e.Action {
	case index.Published, index.Republished:
		switch {
		case !known:
			d.New++
		case !live:
			d.Back++
		case e.Action == index.Published:
			d.Updated++
		}
		g.live.set(a, g.hash(e.Account), true)
	case index.RemovedOwn, index.ActionExpired:
		if live {
			d.Ended++
			g.live.set(a, g.hash(e.Account), false)
		}
	}
}

func (g *Growth) hash(a key.AccountID) uint64 { return maphash.Bytes(g.seed, a[:]) }

// Ready says whether the whole history was read.
func (g *Growth) Ready() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ready
}

// Days returns the days on which something happened, the newest first, at most most.
func (g *Growth) Days(most int) []Day {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make([]Day, 0, len(g.days))
	for _, d := range g.days {
		all = append(all, *d)
	}
	slices.SortFunc(all, func(a, b Day) int { return a.Date.Compare(b.Date) })
	live := 0
	for i := range all {
		live += all[i].New + all[i].Back - all[i].Ended
		all[i].Live = live
	}
	slices.Reverse(all)
	return all[:min(most, len(all))]
}
