package atlas

import (
	"context"
	"errors"
	"time"

	"iod/index"
	"iod/index/feed"
)

// Run reads the listings and keeps the atlas in step with the store until ctx ends; then it returns nil. While the store fails it
// tries again, and the atlas answers by what it has.
func (a *Atlas) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	hub, own := a.Hub, make(chan struct{})
	if hub != nil {
		close(own)
	} else {
		hub = feed.New(a.store, feed.Options{Log: a.Log})
		go func() {
			defer close(own)
			_ = hub.Run(ctx) // it ends with ctx only
		}()
	}
	defer func() { stop(); <-own }()
	for {
		err := a.keep(ctx, hub)
		if ctx.Err() != nil || errors.Is(err, feed.ErrClosed) {
			return nil
		}
		a.Log.Warn("atlas: the listings must be read anew", "reason", err)
		if errors.Is(err, feed.ErrReset) || errors.Is(err, errBehind) {
			continue
		}
		pause(ctx, time.Second)
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// errBehind is that there are so many changes that reading all listings is quicker.
var errBehind = errors.New("too far behind the store's changes")

// keep reads all listings and then follows the changes until that fails.
func (a *Atlas) keep(ctx context.Context, hub *feed.Hub) error {
	changes, err := hub.Follow(ctx, index.Query{}, nil)
	if err != nil {
		return err
	}
	if err := a.load(ctx, changes.After()); err != nil {
		return err
	}
	var rows []index.Row
	for {
		if changes.Behind() > 50_000+int64(a.Len())/4 {
			return errBehind
		}
		events, err := changes.Next(ctx)
		if err != nil {
			return err
		}
		rows = rows[:0]
		for i := range events {
			rows = append(rows, events[i].Row)
		}
		a.apply(rows, changes.After())
	}
}

// batch is how many rows are taken in at once.
const batch = 512

// load reads all listings, as of a change or a later one. What the atlas holds already stays where it is, and goes when it is not there any
// more.
func (a *Atlas) load(ctx context.Context, change int64) error {
	begin := time.Now()
	a.partial.Store(true)
	a.mu.Lock()
	a.columns.mark()
	a.mu.Unlock()
	rows := make([]index.Row, 0, batch)
	n := 0
	for r, err := range a.store.Columns(ctx, -1) {
		if err != nil {
			return err
		}
		if rows = append(rows, r); len(rows) == batch {
			a.apply(rows, 0)
			rows = rows[:0]
		}
		n++
	}
	a.apply(rows, 0)
	a.mu.Lock()
	a.version++
	a.columns.sweep()
	a.change = change
	a.mu.Unlock()
	a.loaded.Store(true)
	a.partial.Store(false)
	a.Log.Info("atlas: the listings are in memory", "listings", n, "took", time.Since(begin).Round(time.Millisecond))
	return ctx.Err()
}

// apply takes in what listings are since a change; 0: those that they were read with are not all applied.
func (a *Atlas) apply(rows []index.Row, change int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.version++
	a.change = change
	for i := range rows {
		a.columns.put(&rows[i])
	}
}
