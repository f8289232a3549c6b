package feed

import (
	"context"
	"fmt"

	"iod/index"
)

// Feed is one follower's place among the changes. It is for one goroutine.
type Feed struct {
	hub   *Hub
	query index.Query
	words []string
	every bool // nothing is filtered out

	after int64
	epoch int
}

// Follow begins a feed at a place, nil: the newest change. What passes is what meets the query's conditions, by what the index holds of
// the device now, be it ended. It waits until the hub has started. A place that this build of the index does not know is told as
// ErrReset by the first Next.
func (h *Hub) Follow(ctx context.Context, q index.Query, from *Place) (*Feed, error) {
	if err := q.Check(); err != nil {
		return nil, err
	}
	if err := h.wait(ctx); err != nil {
		return nil, err
	}
	f := &Feed{hub: h, query: q, every: plain(&q)}
	if q.Text != "" {
		f.words = index.Terms(q.Text)
		f.words = f.words[:min(len(f.words), index.MaxTerms)]
	}
	h.mu.Lock()
	f.after, f.epoch = h.last, h.epoch
	tag, last := h.tag, h.last
	h.mu.Unlock()
	if from == nil {
		return f, nil
	}
	f.after = from.ID
	unknown := from.tagged && from.tag != tag
	if !unknown && from.ID > last { // another process may have told it, from the same store
		st, err := h.store.State(ctx)
		if err != nil {
			return nil, fmt.Errorf("follow the changes: %w", err)
		}
		unknown = from.ID > st.Change
	}
	if unknown {
		f.epoch-- // never that of the hub
	}
	return f, nil
}

// plain says whether a query lets everything through.
func plain(q *index.Query) bool {
	return q.Text == "" && len(q.DataTypes)+len(q.Kinds)+len(q.Units) == 0 && q.MinPrice == nil && q.MaxPrice == nil && q.Owner == nil &&
		q.State == "" && q.Since.IsZero() && q.Box == nil && q.Near == nil
}

// After is the ID up to which all was told.
func (f *Feed) After() int64 { return f.after }

// Behind is about how many changes are to be told yet.
func (f *Feed) Behind() int64 { return max(0, f.hub.Position()-f.after) }

// Next returns the next changes that pass, waiting for some until ctx ends. After ErrReset the feed goes on with what changes from
// then on. The slice must not be changed.
func (f *Feed) Next(ctx context.Context) ([]Event, error) {
	for {
		b, i, more, err := f.take(ctx)
		if err != nil {
			return nil, err
		}
		if b == nil {
			select {
			case <-more:
				continue
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		passes, err := f.passes(ctx, b)
		if err != nil {
			return nil, err
		}
		f.after = b.last()
		if f.every {
			return b.events[i:], nil
		}
		var chosen []Event
		for ; i < len(b.events); i++ {
			if passes(i) {
				chosen = append(chosen, b.events[i])
			}
		}
		if len(chosen) > 0 {
			return chosen, nil
		}
	}
}

// take returns the batch that holds what comes next, from its i-th event on. Without one, more is closed when there may be one.
func (f *Feed) take(ctx context.Context) (b *batch, i int, more <-chan struct{}, err error) {
	h := f.hub
	h.mu.Lock()
	if h.epoch != f.epoch {
		f.epoch, f.after = h.epoch, h.last
		h.mu.Unlock()
		return nil, 0, nil, ErrReset
	}
	first, tag, closed := h.first, h.tag, h.closed
	more = h.more
	if f.after >= first {
		b = h.find(f.after)
	}
	h.mu.Unlock()
	switch {
	case closed:
		return nil, 0, nil, ErrClosed
	case b != nil:
	case f.after >= first:
		return nil, 0, more, nil
	default:
		if b, err = f.read(ctx, tag); err != nil || b == nil {
			return nil, 0, more, err
		}
	}
	return b, b.after(f.after), nil, nil
}

// find is the batch of the ring with the first change above an ID; nil when there is none yet. h.mu is held.
func (h *Hub) find(after int64) *batch {
	lo, hi := 0, len(h.ring)
	for lo < hi {
		if mid := (lo + hi) / 2; h.ring[mid].last() <= after {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == len(h.ring) {
		return nil
	}
	return h.ring[lo]
}

// read takes a page out of the store. Few feeds do so at a time: who is far behind waits rather than others.
func (f *Feed) read(ctx context.Context, tag uint32) (*batch, error) {
	select {
	case f.hub.readers <- struct{}{}:
		defer func() { <-f.hub.readers }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	entries, err := f.hub.store.Changes(ctx, f.after, index.MaxLimit)
	if err != nil {
		return nil, fmt.Errorf("read the changes after %d: %w", f.after, err)
	}
	if len(entries) == 0 {
		return nil, nil // the store was reset, which the hub is about to notice
	}
	return f.hub.encode(ctx, entries, tag)
}

// passes says which events of a batch pass the filters.
func (f *Feed) passes(ctx context.Context, b *batch) (func(i int) bool, error) {
	if f.query.Text == "" {
		return func(i int) bool { return f.query.Matches(&b.events[i].Row) }, nil
	}
	says, err := f.hub.says(ctx, b, f.words)
	if err != nil {
		return nil, err
	}
	return func(i int) bool { return f.query.Matches(&b.events[i].Row) && says(i) }, nil
}
