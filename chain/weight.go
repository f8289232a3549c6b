package chain

import (
	"context"
	"errors"
	"fmt"
	"math"

	"iod/chain/rpc"
	"iod/key"
	"iod/metadata"
	"iod/scale"
)

// ErrTooHeavy says that a single call is more than a block has room for.
var ErrTooHeavy = errors.New("more than a block has room for")

// Weight is what a transaction costs a block.
type Weight struct {
	RefTime   uint64 // picoseconds
	ProofSize uint64 // bytes; 0 on runtimes that weigh time only
	Length    uint64 // of the extrinsic, bytes
}

// Weigh returns what a transaction with the call costs a block, as the node computes it.
func (c *Client) Weigh(ctx context.Context, from key.Public, call metadata.Call) (Weight, error) {
	info, err := c.dispatchInfo(ctx, from, call)
	if err != nil {
		return Weight{}, err
	}
	l, err := limitsOf(info.meta)
	if err != nil {
		return Weight{}, err
	}
	return parseWeight(info, l.timeOnly)
}

func parseWeight(info dispatchInfo, timeOnly bool) (Weight, error) {
	w := Weight{Length: uint64(info.length)}
	if len(info.raw) < leastInfo || len(info.raw) > mostInfo {
		return w, fmt.Errorf("%w: dispatch information of %d bytes", rpc.ErrProtocol, len(info.raw))
	}
	r := scale.NewReader(info.raw[:len(info.raw)-feeSize-1])
	if timeOnly {
		w.RefTime = r.U64()
	} else {
		w.RefTime, w.ProofSize = r.Compact(), r.Compact()
	}
	if err := r.End(); err != nil {
		return w, fmt.Errorf("%w: weight: %w", rpc.ErrProtocol, err)
	}
	return w, nil
}

// limits are what one transaction of the normal class may cost.
type limits struct {
	weight   Weight
	calls    int  // of a batch
	timeOnly bool // weights are one number of 8 bytes, not two compact ones
}

// fill is the share of the limits that Batches uses: what a node computes before a transaction is included is near the truth only.
const fill = 0.9

// limitsOf reads a runtime's constants. Those that it does not declare are no limits.
func limitsOf(m *metadata.Metadata) (limits, error) {
	const none = math.MaxUint64
	l := limits{weight: Weight{none, none, none}, calls: math.MaxInt}
	weights, err := constant(m, "System", "BlockWeights")
	if err != nil {
		return l, err
	}
	normal := path(weights, "per_class", "normal")
	for _, name := range []string{"max_extrinsic", "max_total"} {
		v, ok := path(normal, name).(metadata.Fields)
		if n, plain := path(normal, name).(uint64); plain {
			l.weight.RefTime = min(l.weight.RefTime, n)
		} else if ok {
			l.weight.RefTime = min(l.weight.RefTime, number(path(v, "ref_time"), none))
			l.weight.ProofSize = min(l.weight.ProofSize, number(path(v, "proof_size"), none))
		}
	}
	l.timeOnly = path(weights, "max_block", "proof_size") == nil
	length, err := constant(m, "System", "BlockLength")
	if err != nil {
		return l, err
	}
	l.weight.Length = number(path(length, "max", "normal"), none)
	if calls, err := constant(m, "Utility", "batched_calls_limit"); err == nil {
		l.calls = int(min(number(calls, math.MaxInt32), math.MaxInt32))
	}
	return l, nil
}

// constant decodes a constant of a pallet.
func constant(m *metadata.Metadata, pallet, name string) (any, error) {
	p, err := m.Pallet(pallet)
	if err != nil {
		return nil, fmt.Errorf("constant %s.%s: %w", pallet, name, err)
	}
	for _, c := range p.Constants {
		if c.Name == name {
			v, err := m.Decode(c.Type, c.Value)
			if err != nil {
				return nil, fmt.Errorf("constant %s.%s: %w", pallet, name, err)
			}
			return v, nil
		}
	}
	return nil, fmt.Errorf("constant %s.%s: %w", pallet, name, metadata.ErrNotFound)
}

// path follows the names of fields; options that are there stand for what is in them, and nil for what is not there.
func path(v any, names ...string) any {
	for _, name := range names {
		f, ok := v.(metadata.Fields)
		if !ok {
			return nil
		}
		v, _ = f.Get(name)
		if o, ok := v.(*metadata.Variant); ok {
			if v = nil; len(o.Fields) == 1 {
				v = o.Fields[0].Value
			}
		}
	}
	return v
}

func number(v any, otherwise uint64) uint64 {
	switch n := v.(type) {
	case uint64:
		return n
	case uint32:
		return uint64(n)
	}
	return otherwise
}

// share is how much of the limits a weight is; above 1 it does not fit.
func (l limits) share(w Weight) float64 {
	part := func(n, most uint64) float64 { return float64(n) / (fill * float64(most)) }
	return max(part(w.RefTime, l.weight.RefTime), part(w.ProofSize, l.weight.ProofSize), part(w.Length, l.weight.Length))
}

// Batches divides calls, in their order, into the fewest transactions that blocks have room for, about, by asking the node what they weigh.
// Each part is meant for BatchAll. A call that fits into no block is ErrTooHeavy.
func (c *Client) Batches(ctx context.Context, from key.Public, calls []metadata.Call) ([][]metadata.Call, error) {
	if len(calls) == 0 {
		return nil, nil
	}
	sg, err := c.signing(ctx, false)
	if err != nil {
		return nil, err
	}
	l, err := limitsOf(sg.offline.meta)
	if err != nil {
		return nil, err
	}
	return l.divide(calls, func(part []metadata.Call) (Weight, error) { return c.Weigh(ctx, from, BatchAll(part...)) })
}

// perWeighing bounds what one request asks of a node, in calls.
const perWeighing = 2000

func (l limits) divide(calls []metadata.Call, weigh func([]metadata.Call) (Weight, error)) ([][]metadata.Call, error) {
	parts := (len(calls) + min(l.calls, perWeighing) - 1) / min(l.calls, perWeighing)
	if parts <= 1 {
		w, err := weigh(calls)
		if err != nil {
			return nil, err
		}
		share := l.share(w)
		switch {
		case share <= 1:
			return [][]metadata.Call{calls}, nil
		case len(calls) == 1:
			return nil, fmt.Errorf("call %s.%s of %d bytes: %w", calls[0].Pallet, calls[0].Name, w.Length, ErrTooHeavy)
		}
		parts = min(max(int(math.Ceil(share)), 2), len(calls))
	}
	var all [][]metadata.Call
	for i := range parts {
		part, err := l.divide(calls[i*len(calls)/parts:(i+1)*len(calls)/parts], weigh)
		if err != nil {
			return nil, err
		}
		all = append(all, part...)
	}
	return all, nil
}
