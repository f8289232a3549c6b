package provision

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"iod/access"
	"iod/chain"
	"iod/document"
	"iod/key"
	"iod/metadata"
	"iod/pallet/did"
)

// Observe reads at a block what a plan depends on.
func Observe(ctx context.Context, b *chain.Block, m *Manifest, account key.AccountID) (Actual, error) {
	a := Actual{Number: b.Number}
	var err error
	if a.Time, err = b.Time(ctx); err != nil {
		return a, fmt.Errorf("read the time of block %d: %w", b.Number, err)
	}
	if a.Attribute, err = did.Read(ctx, b, account, document.DeviceAttribute); err != nil {
		return a, fmt.Errorf("read the device's document: %w", err)
	}
	if a.Writer, err = did.IsWriter(ctx, b, account, account); err != nil {
		return a, fmt.Errorf("read who wrote the device's document: %w", err)
	}
	if m.Owner != nil && *m.Owner != account {
		if a.Vouch, err = access.ReadVouch(ctx, b, *m.Owner, account); err != nil {
			return a, fmt.Errorf("read the owner's vouch: %w", err)
		}
		return a, nil
	}
	if a.Access, err = access.Read(ctx, b, account, account, streamNames(m)); err != nil {
		return a, fmt.Errorf("read the streams' roles: %w", err)
	}
	return a, nil
}

func streamNames(m *Manifest) []string {
	names := make([]string, len(m.Streams))
	for i, s := range m.Streams {
		names[i] = s.Name
	}
	return names
}

// nonce returns how many transactions of an account are in the chain up to a block.
func nonce(ctx context.Context, b *chain.Block, account key.AccountID) (uint32, error) {
	raw, err := b.Call(ctx, "AccountNonceApi_account_nonce", account[:])
	if err != nil {
		return 0, fmt.Errorf("read the nonce of %s: %w", account, err)
	}
	if len(raw) != 4 {
		return 0, fmt.Errorf("read the nonce of %s: %d bytes are none", account, len(raw))
	}
	return binary.LittleEndian.Uint32(raw), nil
}

// calls signs the document and returns what is to be sent.
func (p *Plan) calls(self *key.Pair) (calls []metadata.Call, raw []byte, err error) {
	if p.Publish {
		if raw, err = p.device.Sign(self); err != nil {
			return nil, nil, fmt.Errorf("sign the device's document: %w", err)
		}
		calls = did.Put(p.standing, self.Account(), document.DeviceAttribute, raw, p.validFor)
	}
	return append(calls, p.Setup...), raw, nil
}

// Applied is what came of a plan.
type Applied struct {
	Outcome *chain.Outcome // nil when there was nothing to do
	Raw     []byte         // the document as published; nil when the plan did not publish
	Took    time.Duration
}

// submit sends the transaction that carries a plan out; raw is the document in it, nil when the plan publishes none.
func submit(ctx context.Context, client *chain.Client, self *key.Pair, p *Plan) (tx *chain.Tx, raw []byte, err error) {
	calls, raw, err := p.calls(self)
	if err != nil {
		return nil, nil, err
	}
	call := calls[0]
	if len(calls) > 1 {
		call = chain.BatchAll(calls...)
	}
	if tx, err = client.Submit(ctx, self, call, chain.TxOptions{}); err != nil {
		return nil, nil, fmt.Errorf("publish the device's document: %w", err)
	}
	return tx, raw, nil
}

// Apply carries a plan out in one transaction and waits until it is final. An empty plan costs nothing.
func Apply(ctx context.Context, client *chain.Client, self *key.Pair, p *Plan) (*Applied, error) {
	if p.Empty() {
		return &Applied{}, nil
	}
	began := time.Now()
	tx, raw, err := submit(ctx, client, self, p)
	if err != nil {
		return nil, err
	}
	out, err := tx.Finalised(ctx)
	if err != nil {
		return nil, fmt.Errorf("publish the device's document: %w", err)
	}
	return &Applied{Outcome: out, Raw: raw, Took: time.Since(began)}, nil
}

// ErrNothing says that there is nothing to remove.
var ErrNothing = errors.New("the device has no document on the chain")

// Remove takes the device's document off the chain.
func Remove(ctx context.Context, client *chain.Client, self *key.Pair) (*Applied, error) {
	b, err := client.Finalised(ctx)
	if err != nil {
		return nil, err
	}
	attr, err := did.Read(ctx, b, self.Account(), document.DeviceAttribute)
	if err != nil {
		return nil, fmt.Errorf("read the device's document: %w", err)
	}
	if attr == nil {
		return nil, ErrNothing
	}
	writer, err := did.IsWriter(ctx, b, self.Account(), self.Account())
	if err != nil {
		return nil, fmt.Errorf("read who wrote the device's document: %w", err)
	}
	var calls []metadata.Call
	if !writer {
		// The pallet lets only those remove who have added something to the DID.
		calls = did.Put(did.Standing{Exists: true}, self.Account(), document.DeviceAttribute, nil, nil)
	}
	calls = append(calls, did.RemoveAttribute(self.Account(), document.DeviceAttribute))
	began := time.Now()
	tx, err := client.Submit(ctx, self, chain.BatchAll(calls...), chain.TxOptions{})
	if err != nil {
		return nil, fmt.Errorf("remove the device's document: %w", err)
	}
	out, err := tx.Finalised(ctx)
	if err != nil {
		return nil, fmt.Errorf("remove the device's document: %w", err)
	}
	return &Applied{Outcome: out, Took: time.Since(began)}, nil
}
