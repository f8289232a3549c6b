// Package feed tells any number of followers what changes in an index, each from where it wants, in order, nothing lost and
// nothing twice.
//
//	store ──Changes, Rows──▶ Hub ──▶ ring of the last changes ──▶ Feed ──▶ Server: one HTTP client's server-sent events
//	  ▲     one reader a process      each encoded once              ╷  ──▶ package atlas
//	  └──────── pages, for who is further behind ────────────────────┘
//
// A Feed is no more than a place: the ID of the last change that it has had. While the ring holds what comes next it takes that,
// bytes and all, else it reads the store; so a slow follower costs nothing but its place, and holds up nobody.
//
// # Server-sent events
//
//	retry: 2400                     milliseconds, different for every client
//
//	id: 1234-5f3a09c1               the change, and which build of the index numbers it
//	event: change
//	data: {"id":1234,"did":"did:peaq:5…","action":"published", …}       a Change
//
//	id: 1240-5f3a09c1               all up to here was told, though nothing of it passed the filters; after a while of silence
//
//	event: reset                    the index was built anew and numbers changes differently: read again what you hold.
//	id: 17-90ab21ff                 What follows is what changed since.
//	data: {"id":17}
//
// A client resumes with the header Last-Event-ID, or the parameter after: an id as above, or a change's number. Without either it
// is told what changes from now on; 0 is the beginning.
package feed

import (
	"context"
	"errors"
	"hash/crc32"
	"log/slog"
	"sync"
	"time"

	"iod/index"
	"iod/key"
)

var (
	// ErrReset is that the store was emptied, or is another one: what was told before need not be true any more.
	ErrReset = errors.New("the index was built anew")
	// ErrClosed is that the hub does not run any more.
	ErrClosed = errors.New("the index stops telling of changes")
)

// Options tune a Hub. The zero value is right for most.
type Options struct {
	Log *slog.Logger // nil: silent
	// Pace is the time between looks at the store, or between two of them when the store announces changes. 0: 100 ms.
	Pace time.Duration
	// Keep is how many changes are kept in memory, at about a kilobyte each. 0: 16,384.
	Keep int
}

// Hub reads the changes of a store for all who follow them.
type Hub struct {
	store index.Reader
	Options

	mu      sync.Mutex
	ring    []*batch // the oldest first
	kept    int      // changes in the ring
	first   int64    // all changes with an ID above it, up to last, are in the ring
	last    int64
	epoch   int           // grows when the store was reset
	tag     uint32        // of the build that numbers changes
	more    chan struct{} // closed when any of the above changes
	started bool
	closed  bool

	seen    *index.Entry  // the change with the ID last; used by Run only
	readers chan struct{} // slots for feeds that read the store
}

// New returns a hub of a store. It tells of nothing until Run.
func New(store index.Reader, o Options) *Hub {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Pace == 0 {
		o.Pace = 100 * time.Millisecond
	}
	if o.Keep == 0 {
		o.Keep = 16_384
	}
	return &Hub{store: store, Options: o, more: make(chan struct{}), readers: make(chan struct{}, 2)}
}

// Run reads the store's changes until ctx ends; then it returns nil, and all feeds end. While the store fails it tries again.
func (h *Hub) Run(ctx context.Context) error {
	defer h.change(func() { h.closed = true })
	news := h.announcements(ctx)
	failing := false
	for ctx.Err() == nil {
		full, err := h.look(ctx)
		switch {
		case err != nil && !failing && ctx.Err() == nil:
			h.Log.Warn("feed: the changes of the index cannot be read; trying on", "error", err)
		case err == nil && failing:
			h.Log.Info("feed: the changes of the index are read again")
		}
		failing = err != nil
		if !full {
			h.rest(ctx, news)
		}
	}
	return nil
}

// announcements asks the store to tell of changes; nil when it does not.
func (h *Hub) announcements(ctx context.Context) <-chan struct{} {
	a, ok := h.store.(index.Announcer)
	if !ok {
		return nil
	}
	news, err := a.Announcements(ctx)
	if err != nil {
		h.Log.Warn("feed: the index does not announce changes; looking often instead", "error", err)
		return nil
	}
	return news
}

// unannounced is how often a store is looked at that announces its changes, in case one got lost.
const unannounced = 2 * time.Second

// rest waits until the store is to be looked at again.
func (h *Hub) rest(ctx context.Context, news <-chan struct{}) {
	t := time.NewTimer(h.Pace)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return
	}
	if news == nil {
		return
	}
	t.Reset(unannounced)
	select {
	case <-news:
	case <-t.C:
	case <-ctx.Done():
	}
}

// change changes what feeds wait for, and wakes them.
func (h *Hub) change(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
	close(h.more)
	h.more = make(chan struct{})
}

// look takes in a page of changes, and says whether there are more. To notice that the store was reset it reads the last one again.
func (h *Hub) look(ctx context.Context) (full bool, err error) {
	if !h.started || h.seen == nil && h.last == 0 {
		return false, h.start(ctx)
	}
	entries, err := h.store.Changes(ctx, h.last-1, index.MaxLimit)
	if err != nil {
		return false, err
	}
	if len(entries) == 0 || !same(&entries[0], h.seen) {
		h.Log.Warn("feed: the index was built anew")
		return false, h.start(ctx)
	}
	full = len(entries) == index.MaxLimit
	if entries = entries[1:]; len(entries) == 0 {
		return false, nil
	}
	b, err := h.encode(ctx, entries, h.tag)
	if err != nil {
		return false, err
	}
	h.seen = new(entries[len(entries)-1])
	h.change(func() { h.keep(b) })
	return full, nil
}

// start takes the end of what the store holds as the place from which on it is followed. While there is nothing in it, it is
// started again and again; the first changes are told from the store.
func (h *Hub) start(ctx context.Context) error {
	st, err := h.store.State(ctx)
	if err != nil {
		return err
	}
	var seen *index.Entry
	if st.Change > 0 {
		entries, err := h.store.Changes(ctx, st.Change-1, 1)
		if err != nil {
			return err
		}
		if len(entries) == 0 || entries[0].ID != st.Change {
			return nil // reset between the two questions: the next look tells
		}
		seen = &entries[0]
	}
	tag := tagOf(st.Origin)
	if h.started && seen == nil && h.last == 0 && tag == h.tag {
		return nil
	}
	h.change(func() {
		// An empty store that fills is no reset.
		if h.started && h.last != 0 {
			h.epoch++
		}
		h.ring, h.kept, h.first, h.last, h.tag, h.started = nil, 0, st.Change, st.Change, tag, true
	})
	h.seen = seen
	return nil
}

// tagOf tells the builds of an index apart. One from the same block of the same chain numbers changes alike.
func tagOf(o *index.Origin) uint32 {
	if o == nil {
		return 0
	}
	b := append(o.Genesis[:len(o.Genesis):len(o.Genesis)], byte(o.Start>>24), byte(o.Start>>16), byte(o.Start>>8), byte(o.Start))
	if o.FromState {
		b = append(b, 1)
	}
	return crc32.ChecksumIEEE(b)
}

// same says whether two lines of history are one.
func same(a, b *index.Entry) bool {
	return a.ID == b.ID && a.Account == b.Account && a.Action == b.Action && a.Sequence == b.Sequence && a.At.Block == b.At.Block &&
		a.At.Hash == b.At.Hash && a.At.Event == b.At.Event
}

// keep adds a batch to the ring.
func (h *Hub) keep(b *batch) {
	h.ring = append(h.ring, b)
	h.kept += len(b.events)
	h.last = b.last()
	drop := 0
	for h.kept > h.Keep && drop < len(h.ring)-1 {
		h.kept -= len(h.ring[drop].events)
		h.first = h.ring[drop].last()
		drop++
	}
	if drop > 0 {
		h.ring = append([]*batch(nil), h.ring[drop:]...) // so that what is dropped is let go
	}
}

// Position is the ID of the last change that the hub has read; 0 when there is none, or the hub has not started.
func (h *Hub) Position() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// started waits until the hub has looked at the store for the first time.
func (h *Hub) wait(ctx context.Context) error {
	for {
		h.mu.Lock()
		started, closed, more := h.started, h.closed, h.more
		h.mu.Unlock()
		switch {
		case closed:
			return ErrClosed
		case started:
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// accountsOf lists the accounts of changes, each once.
func accountsOf(entries []index.Entry) []key.AccountID {
	all := make([]key.AccountID, 0, len(entries))
	seen := make(map[key.AccountID]struct{}, len(entries))
	for i := range entries {
		if _, ok := seen[entries[i].Account]; !ok {
			seen[entries[i].Account] = struct{}{}
			all = append(all, entries[i].Account)
		}
	}
	return all
}
