package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"iod/chain"
	"iod/key"
	"iod/metadata"
	"iod/pallet/rbac"
)

// ErrStillHas says that an account still has access after what could be done.
var ErrStillHas = errors.New("still has access")

// attempts bounds the transactions of one revocation.
const attempts = 4

// Revocation says who is to lose what.
type Revocation struct {
	Owner, Device key.AccountID
	Streams       []string // all of the device
	Stream        string   // empty: all
	Account       key.AccountID
}

// Blocks tells how the chain stands; a Chain does.
type Blocks interface {
	Best(ctx context.Context) (View, error)
	WaitFinalised(ctx context.Context, number uint32) (View, error)
}

// Send signs the owner's calls as one transaction and returns the number of the finalised block that holds it. When a call failed
// there, its error is a *chain.DispatchError, wrapped or not.
type Send func(ctx context.Context, calls []metadata.Call) (number uint32, err error)

// Do revokes, reads back what came of it, and plans anew when the pallet missed an assignment that is there, or when the owner changed
// something at the same time. It returns nil when the account has no access as of a finalised block, and else an error: an
// ErrStillHas with the ways that remain, or why a transaction could not be sent.
func (r Revocation) Do(ctx context.Context, c Blocks, send Send) error {
	padded := false
	var missed error
	for range attempts {
		view, err := c.Best(ctx)
		if err != nil {
			return r.failed(err)
		}
		plan, err := r.planAt(ctx, view, padded)
		if err != nil {
			return r.failed(err)
		}
		number := view.Number()
		if len(plan.Calls) > 0 {
			if number, err = send(ctx, plan.Calls); err != nil {
				var d *chain.DispatchError
				if !errors.As(err, &d) || d.Pallet != rbac.Pallet {
					return err
				}
				missed, padded = err, true
				continue
			}
		}
		if view, err = c.WaitFinalised(ctx, number); err != nil {
			return r.failed(err)
		}
		if plan, err = r.planAt(ctx, view, padded); err != nil {
			return r.failed(err)
		}
		if len(plan.Calls) == 0 {
			return r.verdict(plan.Remaining)
		}
	}
	return r.failed(errors.Join(fmt.Errorf("after %d attempts the account %w", attempts, ErrStillHas), missed))
}

func (r Revocation) failed(err error) error { return fmt.Errorf("revoke %s: %w", r.Account, err) }

// verdict is nil when nothing remains.
func (r Revocation) verdict(remaining []Path) error {
	if len(remaining) == 0 {
		return nil
	}
	ways := make([]string, len(remaining))
	for i, p := range remaining {
		ways[i] = p.String()
	}
	return r.failed(fmt.Errorf("the account %w, by arrangements that iod did not make: %s", ErrStillHas, strings.Join(ways, "; ")))
}

func (r Revocation) planAt(ctx context.Context, b rbac.Block, padded bool) (Plan, error) {
	streams := r.Streams
	if r.Stream != "" && !slices.Contains(streams, r.Stream) {
		streams = append(slices.Clone(streams), r.Stream) // which the device has no more
	}
	s, err := Read(ctx, b, r.Owner, r.Device, streams, r.Account)
	if err != nil {
		return Plan{}, err
	}
	if padded {
		if err := s.fill(ctx, b, r.padFacts(s)); err != nil {
			return Plan{}, err
		}
	}
	return r.plan(s, padded)
}

// padFacts are the entities by which padded plans go.
func (r Revocation) padFacts(s State) (facts []fact) {
	user := rbac.UserID(r.Account)
	for _, relation := range []rbac.Relation{rbac.UserGroup, rbac.UserRole} {
		g := regrouping{relation: relation, list: s.Held[Holding{relation, user}]}
		for _, id := range g.pads() {
			facts = append(facts, entityFact(g.kind(), id))
		}
	}
	return slices.DeleteFunc(facts, s.knows)
}
