package did

import (
	"fmt"
	"strings"

	"iod/key"
	"iod/metadata"
)

// Kind is what an event tells of an attribute.
type Kind uint8

// The kinds of events. AttributeRead, which changes nothing, is left out.
const (
	Added Kind = iota + 1
	Updated
	Removed
)

// String returns "added", "updated" or "removed".
func (k Kind) String() string {
	for name, kind := range kinds {
		if kind == k {
			return strings.ToLower(strings.TrimPrefix(name, "Attribute"))
		}
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

var kinds = map[string]Kind{"AttributeAdded": Added, "AttributeUpdated": Updated, "AttributeRemoved": Removed}

// Event is a change of an attribute.
type Event struct {
	Kind      Kind
	Who       key.AccountID // the account on whose authority it happened: the signer, also within a batch
	Account   key.AccountID // whose DID
	Name      string        // as written: not necessarily UTF-8
	Value     []byte        // nil when removed
	ValidFor  *uint32       // blocks from the event's block on; nil: no end, or removed
	Extrinsic uint32        // index in the block; only when Phase is metadata.ApplyExtrinsic
	Phase     metadata.PhaseKind
	Index     int // position among the block's events
}

// Validity returns the last block number at which the written value is valid, given the number of the event's block.
func (e *Event) Validity(number uint32) uint32 {
	if e.ValidFor == nil || *e.ValidFor > Forever-number {
		return Forever
	}
	return number + *e.ValidFor
}

// Events returns the pallet's changes among a block's events, in order. It stops at an event of a form unknown to it.
func Events(events []metadata.Event) ([]Event, error) {
	var out []Event
	for i := range events {
		e, ok, err := Decode(&events[i])
		if err != nil {
			return out, err
		}
		if ok {
			e.Index = i
			out = append(out, e)
		}
	}
	return out, nil
}

// Decode reads one event; ok is false for what is no change of an attribute. Fields are taken by name where the
// metadata names them, by position otherwise.
func Decode(e *metadata.Event) (out Event, ok bool, err error) {
	kind, ok := kinds[e.Name]
	if !ok || e.Pallet != Pallet {
		return Event{}, false, nil
	}
	out = Event{Kind: kind, Extrinsic: e.Phase.Extrinsic, Phase: e.Phase.Kind}
	var name []byte
	targets := []target{{"who", &out.Who}, {"did_account", &out.Account}, {"name", &name}}
	if kind != Removed {
		targets = append(targets, target{"value", &out.Value}, target{"validity", &out.ValidFor})
	}
	for i, t := range targets {
		v, found := e.Fields.Get(t.name)
		if !found {
			if i >= len(e.Fields) || e.Fields[i].Name != "" {
				return Event{}, false, fmt.Errorf("decode event %s.%s: no field %s", e.Pallet, e.Name, t.name)
			}
			v = e.Fields[i].Value
		}
		if err := metadata.Assign(t.dst, v); err != nil {
			return Event{}, false, fmt.Errorf("decode event %s.%s: field %s: %w", e.Pallet, e.Name, t.name, err)
		}
	}
	out.Name = string(name)
	return out, true, nil
}

type target struct {
	name string
	dst  any
}
