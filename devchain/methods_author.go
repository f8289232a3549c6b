package devchain

import (
	"errors"
	"fmt"
	"math/big"
	"time"

	"iod/key"
)

var authorMethods = map[string]handler{
	"author_submitExtrinsic": func(r *request) (any, error) {
		raw, err := r.bytes(0)
		if err != nil {
			return nil, err
		}
		hash, err := r.chain.submit(raw, nil)
		if err != nil {
			return nil, submitError(err)
		}
		return hexHash(hash), nil
	},
	"author_submitAndWatchExtrinsic": submitAndWatch,
	"author_unwatchExtrinsic":        unsubscribe,
	"author_pendingExtrinsics": func(r *request) (any, error) {
		r.chain.mu.RLock()
		defer r.chain.mu.RUnlock()
		all := []string{}
		for _, raw := range r.chain.pool.pending() {
			all = append(all, hexBytes(raw))
		}
		return all, nil
	},
	"author_hasKey":           fixed(false),
	"author_hasSessionKeys":   fixed(false),
	"payment_queryInfo":       queryInfo,
	"payment_queryFeeDetails": queryFeeDetails,
	"system_dryRun":           dryRun,
	"system_dryRunAt":         dryRun,
}

// submitError gives a refusal the code and words of a Substrate node.
func submitError(err error) error {
	var bad invalid
	switch {
	case errors.As(err, &bad):
		return &rpcError{1010, "Invalid Transaction", string(bad)}
	case errors.Is(err, errImported):
		return &rpcError{1013, "Transaction Already Imported", nil}
	case errors.Is(err, errPriority):
		return &rpcError{1014, "Priority is too low", "The transaction has too low priority to replace another transaction already in the pool."}
	case errors.Is(err, errPoolFull):
		return &rpcError{1016, "Immediately Dropped", "The transaction couldn't enter the pool because of the limit"}
	case errors.Is(err, ErrClosed):
		return &rpcError{-32603, "Internal error", err.Error()}
	case errors.Is(err, errNotSigned):
		return &rpcError{1010, "Invalid Transaction", string(errCall)}
	}
	return &rpcError{1002, "Verification Error: extrinsic has an invalid format", err.Error()}
}

func submitAndWatch(r *request) (any, error) {
	raw, err := r.bytes(0)
	if err != nil {
		return nil, err
	}
	sub, err := r.subscribe("author_extrinsicUpdate")
	if err != nil {
		return nil, err
	}
	k := r.conn
	drop := func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.subs, sub.id)
	}
	_, err = r.chain.submit(raw, func(status any, last bool) {
		sub.send(status)
		if last {
			drop()
		}
	})
	if err != nil {
		drop()
		return nil, submitError(err)
	}
	return sub.id, nil
}

// fee decodes the transaction in parameter 0 and returns what it costs at the block in parameter 1.
func (r *request) fee(use func(t *extrinsic, f feeParts) any) (any, error) {
	raw, err := r.bytes(0)
	if err != nil {
		return nil, err
	}
	return r.at(1, func(b *block) (any, error) {
		state := r.chain.led.getter(b)
		t, err := decodeExtrinsic(r.chain.runtimeAt(b), raw)
		if err != nil {
			return nil, &rpcError{1002, "Unable to query fee details: extrinsic has an invalid format", err.Error()}
		}
		return use(t, feeOf(multiplierOf(state), t.call.weight, len(raw), new(big.Int))), nil
	})
}

func queryInfo(r *request) (any, error) {
	return r.fee(func(t *extrinsic, f feeParts) any {
		return map[string]any{"weight": t.call.weight, "class": "normal", "partialFee": f.total().String()}
	})
}

func queryFeeDetails(r *request) (any, error) {
	return r.fee(func(t *extrinsic, f feeParts) any {
		return map[string]any{"inclusionFee": map[string]any{"baseFee": hexBig(f.base), "lenFee": hexBig(f.length),
			"adjustedWeightFee": hexBig(f.weight)}}
	})
}

func hexBig(v *big.Int) string { return fmt.Sprintf("0x%x", v) }

// dryRun answers with an ApplyExtrinsicResult and changes nothing.
func dryRun(r *request) (any, error) {
	raw, err := r.bytes(0)
	if err != nil {
		return nil, err
	}
	t, err := r.chain.verified(raw)
	if err != nil {
		return nil, submitError(err)
	}
	c := r.chain
	c.mu.RLock()
	defer c.mu.RUnlock()
	x := c.trial()
	if err := x.check(t.extrinsic, t.birth); err != nil {
		return nil, submitError(err)
	}
	if err := x.dispatch(t.call, t.who); err != nil {
		return hexBytes(append([]byte{0, 1}, asDispatchError(err)...)), nil
	}
	return "0x0000", nil
}

// devMethods steer the chain, for tests. Each takes one object, or nothing:
//
//	dev_newBlock        {count}                               → hash of the last block
//	dev_setBalance      {account, free}  (decimal string)     → hash of the block that does it
//	dev_setStorage      {values: {hex key: hex value | null}} → hash
//	dev_reorg           {depth, length, drop}                 → hash of the new head
//	dev_setFinalityLag  {blocks}                              → null
//	dev_stall           {ms}: nothing is answered meanwhile   → null
//	dev_upgrade         {specVersion, transactionVersion, metadataHash} → hash
var devMethods = map[string]handler{
	"dev_newBlock": dev(func(c *Chain, o struct{ Count int }) (any, error) {
		if o.Count > 100_000 {
			return nil, badParams("count %d is too large", o.Count)
		}
		return hashOr(c.NewBlock(o.Count))
	}),
	"dev_setBalance": dev(func(c *Chain, o struct{ Account, Free string }) (any, error) {
		id, err := key.ParseAccount(o.Account)
		free, ok := new(big.Int).SetString(o.Free, 10)
		if err != nil || !ok {
			return nil, badParams("account or free balance cannot be read")
		}
		return hashOr(c.SetBalance(id, free))
	}),
	"dev_setStorage": dev(func(c *Chain, o struct{ Values map[string]*string }) (any, error) {
		values := map[string][]byte{}
		for k, v := range o.Values {
			raw, err := parseHex(k)
			if err != nil {
				return nil, err
			}
			values[string(raw)] = nil
			if v != nil {
				if values[string(raw)], err = parseHex(*v); err != nil {
					return nil, err
				}
			}
		}
		return hashOr(c.SetStorage(values))
	}),
	"dev_reorg": dev(func(c *Chain, o Reorg) (any, error) {
		if o.Length > 1000 {
			return nil, badParams("length %d is too large", o.Length)
		}
		return hashOr(c.Reorganise(o))
	}),
	"dev_setFinalityLag": dev(func(c *Chain, o struct{ Blocks uint32 }) (any, error) {
		c.SetFinalityLag(o.Blocks)
		return nil, nil
	}),
	"dev_upgrade": dev(func(c *Chain, o struct {
		SpecVersion, TransactionVersion uint32
		MetadataHash                    bool
	}) (any, error) {
		return hashOr(c.Upgrade(Upgrade{o.SpecVersion, o.TransactionVersion, o.MetadataHash}))
	}),
	"dev_stall": func(r *request) (any, error) {
		var o struct{ Ms uint32 }
		if _, err := r.arg(0, &o); err != nil {
			return nil, err
		}
		r.after = append(r.after, func() { r.chain.StallFor(time.Duration(o.Ms) * time.Millisecond) })
		return nil, nil
	},
}

func dev[T any](f func(*Chain, T) (any, error)) handler {
	return func(r *request) (any, error) {
		var o T
		if _, err := r.arg(0, &o); err != nil {
			return nil, err
		}
		return f(r.chain, o)
	}
}

func hashOr(hash [32]byte, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return hexHash(hash), nil
}
