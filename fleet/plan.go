package fleet

import (
	"fmt"

	"iod/access"
	"iod/chain"
	"iod/key"
	"iod/metadata"
)

// Plan is what an owner has to send so that a fleet is set up. Its calls stand by themselves: they may be sent in any number of transactions,
// and what was sent before is not planned again.
type Plan struct {
	Calls    []metadata.Call
	Entities int // calls for the fleet's entities
	Vouched  int // devices vouched for
	Funded   int // devices given funds
	Funds    chain.Planck
}

// MakePlan plans what is missing of a fleet as it was observed: its entities, vouches, and with fund above zero that much for every device that
// has less. owner's key signs the vouches.
func MakePlan(f *Fleet, owner *key.Pair, o *Observed, fund chain.Planck) (*Plan, error) {
	if owner.Account() != f.Owner {
		return nil, fmt.Errorf("fleet %s belongs to %s, and the key is that of %s", f.Name, f.Owner, owner.Account())
	}
	for _, r := range access.Disabled(f.Owner, f.Account(), f.Streams, o.State) {
		return nil, fmt.Errorf("set up fleet %s: %s %s %w", f.Name, r.Kind, r.ID, access.ErrDisabled)
	}
	p := &Plan{Calls: access.Setup(f.Owner, f.Account(), f.Streams, o.State)}
	p.Entities = len(p.Calls)
	for i := range o.Members {
		s := &o.Members[i]
		if short, err := fund.Sub(s.Balance); err == nil && !short.IsZero() {
			p.Calls = append(p.Calls, chain.Transfer(s.Account, short))
			p.Funds = p.Funds.Add(short)
			p.Funded++
		}
		calls, err := access.VouchCalls(owner, s.Account, s.Vouch, o.Writer)
		if err != nil {
			return nil, fmt.Errorf("set up fleet %s: %w", f.Name, err)
		}
		if len(calls) > 0 {
			p.Vouched++
		}
		p.Calls = append(p.Calls, calls...)
	}
	return p, nil
}
