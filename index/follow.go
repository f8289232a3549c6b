package index

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"iod/key"
)

// headEvery is how often the newest finalised block is asked for while the index is behind.
const headEvery = 5 * time.Second

// follow takes in every finalised block from number from on, until ctx ends.
func (r *runner) follow(ctx context.Context, from uint32) error {
	r.meter = newMeter(CatchingUp, r.now())
	if r.cursor != nil {
		r.notify(false)
	}
	last, head, asked := r.cursor, r.head, r.now()
	return r.stream(ctx, func(ctx context.Context, send func(parcel) bool) error {
		for b, err := range r.Source.Follow(ctx, from) {
			if err != nil {
				return err
			}
			if err := joins(last, b, from); err != nil {
				return err
			}
			last = &Cursor{b.Number, b.Hash}
			if now := r.now(); now.Sub(asked) > headEvery && b.Number < head {
				asked = now
				if h, err := r.Source.Finalised(ctx); err == nil { // it is only told, never relied on
					head = max(head, h.Number)
				}
			}
			head = max(head, b.Number)
			if !send(parcel{block: b, moves: true, head: head, read: 1}) {
				return ctx.Err()
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return errors.New("follow finalised blocks: the source ended")
	})
}

// joins makes sure that b is the block after last, or number from when there is none.
func joins(last *Cursor, b Block, from uint32) error {
	if last == nil {
		if b.Number != from {
			return fmt.Errorf("follow finalised blocks: block %d came in place of %d", b.Number, from)
		}
		return nil
	}
	if b.Number != last.Number+1 {
		return fmt.Errorf("follow finalised blocks: block %d came after %d", b.Number, last.Number)
	}
	if b.Parent != last.Hash {
		return resetError(last.Number, last.Hash, b.Parent)
	}
	return nil
}

// readState takes in what the registry holds as of a block. The cursor is set with the last part only: a run that ends
// before begins anew.
func (r *runner) readState(ctx context.Context, at Cursor) error {
	r.meter = newMeter(ReadingState, r.now())
	return r.stream(ctx, func(ctx context.Context, send func(parcel) bool) error {
		whole := parcel{block: Block{Cursor: at, FromState: true}, head: at.Number}
		var read uint64
		for part, err := range r.Source.State(ctx, at, func(documents, others uint64) { whole.total = entries{documents, others}; send(whole) }) {
			if err != nil {
				return err
			}
			p := whole
			p.block.Events, p.entities, p.links, p.read = valid(part.Events, at.Number), part.Entities, part.Links, part.Entries
			if read += part.Entries; !send(p) {
				return ctx.Err()
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.Log.Info("index has read the state", "block", at.Number, "entries", read)
		whole.moves = true
		send(whole)
		return ctx.Err()
	})
}

// valid leaves out what ended before the block.
func valid(events []Event, block uint32) []Event {
	return slices.DeleteFunc(events, func(e Event) bool { return e.Kind != Undecodable && e.Expires < block })
}

// commit writes a batch and the cursor in one transaction. A store that is not available is tried again without end; one that fails
// otherwise for r.Patience, and then once more block by block: so what can be written is, and the error names the block that cannot.
func (r *runner) commit(ctx context.Context, batch []*parcel) error {
	began := r.now()
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := r.attempt(ctx, batch)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || errors.Is(err, ErrOtherWriter) {
			return fmt.Errorf("write block %d to the index: %w", batch[0].block.Number, err)
		}
		if r.now().Sub(began) > r.Patience && !errors.Is(err, ErrUnavailable) {
			return r.single(ctx, batch)
		}
		r.Log.Warn("index cannot be written; trying again", "from", batch[0].block.Number, "to", batch[len(batch)-1].block.Number,
			"error", err, "wait", wait)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// single writes a batch that failed as a whole part by part, each once.
func (r *runner) single(ctx context.Context, batch []*parcel) error {
	for i := range batch {
		if err := r.attempt(ctx, batch[i:i+1]); err != nil {
			return fmt.Errorf("write block %d to the index: %w", batch[i].block.Number, err)
		}
	}
	return nil
}

func (r *runner) attempt(ctx context.Context, batch []*parcel) error {
	w := writer{due: r.due, cursor: r.cursor}
	err := r.Store.Update(ctx, func(tx Tx) error {
		w = writer{tx: tx, due: r.due, cursor: r.cursor}
		return w.write(ctx, batch)
	})
	if err != nil {
		return err
	}
	r.due, r.cursor, r.head = w.due, w.cursor, batch[len(batch)-1].head
	for _, p := range batch {
		r.meter.add(r.now(), p.read, p.total)
		r.mourn(p)
	}
	return nil
}

// mourned is how many undecodable events a run logs one by one.
const mourned = 100

// mourn logs what could not be decoded: unlike a bad document it may have been a good one.
func (r *runner) mourn(p *parcel) {
	for _, c := range p.claims {
		if c.Kind != Undecodable {
			continue
		}
		switch r.lost++; {
		case r.lost <= mourned:
			r.Log.Error("index sets aside what cannot be decoded, and goes on; once it can be, --rebuild takes it in",
				"block", c.At.Block, "hash", c.At.Hash, "event", c.At.Event, "bytes", len(c.Value), "reason", c.Doubt)
		case r.lost == mourned+1:
			r.Log.Error("index sets aside more of what cannot be decoded: see /api/v1/set-aside")
		}
	}
}

// writer applies parcels within one transaction.
type writer struct {
	tx     Tx
	due    uint32
	cursor *Cursor
}

func (w *writer) write(ctx context.Context, batch []*parcel) error {
	was := w.cursor
	w.foresee(batch)
	var passed []Cursor
	for _, p := range batch {
		if p.moves && !p.block.FromState && p.block.Number > w.due {
			if err := w.expire(ctx, p.block.point()); err != nil {
				return err
			}
		}
		for _, c := range p.claims {
			if err := w.claim(ctx, c); err != nil {
				return err
			}
		}
		if err := w.rights(ctx, p); err != nil {
			return err
		}
		if p.moves {
			passed = append(passed, p.block.Cursor)
		}
	}
	if len(passed) == 0 {
		return nil
	}
	w.cursor = &passed[len(passed)-1]
	return w.tx.Advance(ctx, was, anchorsOf(passed), batch[len(batch)-1].head)
}

// foresee tells the store which documents may be believed.
func (w *writer) foresee(batch []*parcel) {
	tx, ok := w.tx.(Foreseeing)
	if !ok {
		return
	}
	var documents [][]byte
	for _, p := range batch {
		for i := range p.claims {
			if c := &p.claims[i]; c.Kind == Written && c.Reject == "" {
				documents = append(documents, c.Value)
			}
		}
	}
	if len(documents) > 1 {
		tx.Foresee(documents)
	}
}

// expire ends the listings that are not valid any more in the block.
func (w *writer) expire(ctx context.Context, at Point) error {
	ended, next, err := w.tx.Due(ctx, at.Block)
	if err != nil {
		return err
	}
	for _, a := range ended {
		cur, err := w.tx.Listing(ctx, a)
		if err != nil {
			return err
		}
		if err := w.keep(ctx, expire(cur, at), at, nil); err != nil {
			return err
		}
	}
	w.due = next
	return nil
}

func (w *writer) claim(ctx context.Context, c Claim) error {
	var cur *Listing
	if c.Account != nil {
		var err error
		if cur, err = w.tx.Listing(ctx, *c.Account); err != nil {
			return err
		}
	}
	out := Believe(cur, c)
	if out.Aside != "" {
		if err := w.tx.SetAside(ctx, out.aside(c)); err != nil {
			return err
		}
	}
	return w.keep(ctx, out, c.At, c.Who)
}

// rights takes in what happened to RBAC, or what the state holds of it.
func (w *writer) rights(ctx context.Context, p *parcel) error {
	for _, d := range p.block.deeds() {
		if err := arrange(ctx, w.tx, d); err != nil {
			return err
		}
	}
	for _, e := range p.entities {
		if err := w.tx.PutEntity(ctx, e); err != nil {
			return err
		}
	}
	for _, l := range p.links {
		if err := w.tx.PutLink(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) keep(ctx context.Context, out Outcome, at Point, who *key.AccountID) error {
	if out.Listing == nil {
		return nil
	}
	if out.Listing.Status == Live {
		w.due = min(w.due, out.Listing.Expires)
	}
	if err := w.tx.Put(ctx, out.Listing); err != nil {
		return err
	}
	return w.tx.Record(ctx, out.entry(at, who))
}
