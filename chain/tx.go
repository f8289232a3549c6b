package chain

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"iod/key"
	"iod/metadata"
)

// Outcome is what a transaction did in a block.
type Outcome struct {
	Block  Hash
	Number uint32
	Index  uint32           // of the extrinsic in the block
	Events []metadata.Event // of this extrinsic only
	Fee    Planck           // what was withdrawn for it, tip included
	// Failed are the calls of a Batch or ForceBatch that failed although the transaction did not, in their order.
	Failed []*DispatchError
}

// DispatchError is a call's failure by the names in metadata.
type DispatchError struct {
	Pallet string // empty for errors that no pallet declares (BadOrigin, Token.FundsUnavailable, …)
	Name   string
	Docs   string
}

func (e *DispatchError) Error() string {
	s := "call failed: " + e.Name
	if e.Pallet != "" {
		s = "call failed: " + e.Pallet + "." + e.Name
	}
	if e.Docs != "" {
		s += ": " + e.Docs
	}
	return s
}

// InBest waits until the transaction is in a best block. A failed dispatch is a *DispatchError along with its Outcome.
func (t *Tx) InBest(ctx context.Context) (*Outcome, error) {
	return t.wait(ctx, func() *place {
		if t.final != nil {
			return t.final
		}
		return t.best
	})
}

// Finalised waits until the transaction is in a finalised block; it is sent again when a reorganisation drops it. Besides a
// *DispatchError it ends with ErrExpired, ErrNonceTaken, *ErrCannotPay or another reason why it can never be in a block.
func (t *Tx) Finalised(ctx context.Context) (*Outcome, error) {
	return t.wait(ctx, func() *place { return t.final })
}

func (t *Tx) wait(ctx context.Context, where func() *place) (*Outcome, error) {
	for {
		t.mu.Lock()
		p, err, changed := where(), t.err, t.changed
		t.mu.Unlock()
		if p != nil {
			return t.outcome(ctx, p)
		}
		if err != nil {
			return nil, fmt.Errorf("transaction %v: %w", t.Hash, err)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("transaction %v: %w", t.Hash, context.Cause(ctx))
		case <-t.c.ctx.Done():
			return nil, fmt.Errorf("transaction %v: %w", t.Hash, ErrClosed)
		}
	}
}

// outcome reads what the transaction did where it stands.
func (t *Tx) outcome(ctx context.Context, p *place) (*Outcome, error) {
	all, err := p.block.Events(ctx)
	if err != nil {
		return nil, fmt.Errorf("transaction %v: %w", t.Hash, err)
	}
	m, err := p.block.Metadata(ctx)
	if err != nil {
		return nil, fmt.Errorf("transaction %v: %w", t.Hash, err)
	}
	o := &Outcome{Block: p.block.Hash, Number: p.block.Number, Index: p.index}
	for _, e := range all {
		if e.Phase.Kind == metadata.ApplyExtrinsic && e.Phase.Extrinsic == p.index {
			o.Events = append(o.Events, e)
		}
	}
	return o, o.read(m, t.from)
}

// read finds the fee and the failures in the events.
func (o *Outcome) read(m *metadata.Metadata, from key.AccountID) error {
	var failed error
	decided, paid := false, false
	for _, e := range o.Events {
		switch e.Pallet + "." + e.Name {
		case "System.ExtrinsicSuccess":
			decided = true
		case "System.ExtrinsicFailed":
			decided = true
			failed = dispatchError(m, e, "dispatch_error")
		case "Utility.BatchInterrupted", "Utility.ItemFailed":
			var d *DispatchError
			if errors.As(dispatchError(m, e, "error"), &d) {
				o.Failed = append(o.Failed, d)
			}
		case "TransactionPayment.TransactionFeePaid":
			paid = o.fee(e, "actual_fee") || paid
		case "Balances.Withdraw":
			who, _ := e.Fields.Get("who")
			if b, ok := who.([]byte); ok && !paid && string(b) == string(from[:]) {
				paid = o.fee(e, "amount") // runtimes that do not tell the fee; the first one is it
			}
		}
	}
	if !decided {
		return errors.New("block does not say whether the transaction succeeded")
	}
	return failed
}

func (o *Outcome) fee(e metadata.Event, field string) bool {
	v, _ := e.Fields.Get(field)
	n, ok := v.(*big.Int)
	if !ok {
		return false
	}
	fee, err := PlanckFromBig(n)
	if err == nil {
		o.Fee = fee
	}
	return err == nil
}

// dispatchError decodes the error in a field of an event, or in the only field that can hold one where fields have no names.
func dispatchError(m *metadata.Metadata, e metadata.Event, field string) error {
	v, ok := e.Fields.Get(field)
	for i := 0; !ok && i < len(e.Fields); i++ {
		_, ok = e.Fields[i].Value.(*metadata.Variant)
		v = e.Fields[i].Value
	}
	info, err := m.DispatchError(v)
	if err != nil {
		return fmt.Errorf("call failed, for a reason that cannot be read from %s.%s: %w", e.Pallet, e.Name, err)
	}
	return &DispatchError{Pallet: info.Pallet, Name: info.Name, Docs: info.Docs}
}

// The tracker's side.

func (t *Tx) change(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f()
	close(t.changed)
	t.changed = make(chan struct{})
}

func (t *Tx) place(p *place) {
	t.change(func() { t.best, t.unseen, t.stale = p, 0, false })
}

// retract forgets where the transaction stood, if that was in the block.
func (t *Tx) retract(b *Block) {
	t.change(func() {
		if t.best != nil && t.best.block == b {
			t.best, t.unseen = nil, resendAfter
		}
	})
}

func (t *Tx) finish(p *place) { t.change(func() { t.final, t.best = p, p }) }

func (t *Tx) fail(err error) {
	t.change(func() {
		if t.final == nil && t.err == nil {
			t.err = err
		}
	})
}

func (t *Tx) placed() bool { p, _ := t.state(); return p != nil }

func (t *Tx) state() (*place, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.best, t.stale
}

func (t *Tx) markStale() { t.change(func() { t.stale = true }) }

// hurry lets it be sent again with the next best block.
func (t *Tx) hurry() { t.change(func() { t.unseen = resendAfter }) }

// due counts a best block without the transaction, and reports whether it is time to send it again.
func (t *Tx) due() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.best != nil {
		return false
	}
	if t.unseen++; t.unseen <= resendAfter {
		return false
	}
	t.unseen = 0
	return true
}
