package atlas

import (
	"context"
	"errors"
	"fmt"
	"time"

	"iod/index"
	"iod/key"
)

// errReset is that the store is not the one whose changes were followed.
var errReset = errors.New("the store was emptied or exchanged")

// Run reads the listings and keeps the atlas in step with the store until ctx ends; then it returns nil. While the store fails it
// tries again, and the atlas answers by what it has.
func (a *Atlas) Run(ctx context.Context) error {
	const patience = time.Second
	for {
		err := a.load(ctx)
		for err == nil {
			err = a.follow(ctx)
		}
		if ctx.Err() != nil {
			return nil
		}
		a.Log.Warn("atlas: reading the listings anew", "reason", err)
		if !errors.Is(err, errReset) {
			if err := pause(ctx, patience); err != nil {
				return nil
			}
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// batch is how many rows are taken in at once.
const batch = 512

// load reads all listings. What the atlas holds already stays where it is, and goes when it is not there any more.
func (a *Atlas) load(ctx context.Context) error {
	begin := time.Now()
	st, err := a.store.State(ctx)
	if err != nil {
		return err
	}
	last, err := a.lastEntry(ctx, st.Change)
	if err != nil {
		return err
	}
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
			a.apply(rows, last)
			rows = rows[:0]
		}
		n++
	}
	a.apply(rows, last)
	a.mu.Lock()
	a.columns.sweep()
	a.mu.Unlock()
	a.loaded.Store(true)
	a.partial.Store(false)
	a.Log.Info("atlas: the listings are in memory", "listings", n, "took", time.Since(begin).Round(time.Millisecond))
	return ctx.Err()
}

// lastEntry reads the change with the ID; nil when there is none.
func (a *Atlas) lastEntry(ctx context.Context, id int64) (*index.Entry, error) {
	if id == 0 {
		return nil, nil
	}
	entries, err := a.store.Changes(ctx, id-1, 1)
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 || entries[0].ID != id {
		return nil, errReset
	}
	return &entries[0], nil
}

// apply takes in rows as of a change.
func (a *Atlas) apply(rows []index.Row, last *index.Entry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range rows {
		a.columns.put(&rows[i])
	}
	a.last = last
}

// follow takes in the changes since the last one, and then waits a little. To see that the store is still the same, it asks
// for the last one again.
func (a *Atlas) follow(ctx context.Context) error {
	if a.last == nil {
		return a.continueWith(ctx, 0, nil)
	}
	return a.continueWith(ctx, a.last.ID-1, a.last)
}

func (a *Atlas) continueWith(ctx context.Context, after int64, last *index.Entry) error {
	entries, err := a.store.Changes(ctx, after, index.MaxLimit)
	if err != nil {
		return err
	}
	full := len(entries) == index.MaxLimit
	if last != nil {
		if len(entries) == 0 || !same(&entries[0], last) {
			return errReset
		}
		entries = entries[1:]
	}
	if len(entries) == 0 {
		return pause(ctx, a.Poll)
	}
	accounts := make([]key.AccountID, 0, len(entries))
	seen := make(map[key.AccountID]struct{}, len(entries))
	for i := range entries {
		if _, ok := seen[entries[i].Account]; !ok {
			seen[entries[i].Account] = struct{}{}
			accounts = append(accounts, entries[i].Account)
		}
	}
	rows, err := a.store.Rows(ctx, accounts)
	if err != nil {
		return fmt.Errorf("follow the changes: %w", err)
	}
	a.apply(rows, new(entries[len(entries)-1]))
	if full {
		return nil
	}
	return pause(ctx, a.Poll)
}

// same says whether two lines of history are one.
func same(a, b *index.Entry) bool {
	return a.ID == b.ID && a.Account == b.Account && a.Action == b.Action && a.Sequence == b.Sequence && a.At.Block == b.At.Block &&
		a.At.Hash == b.At.Hash && a.At.Event == b.At.Event
}
