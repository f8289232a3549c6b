package devchain

import (
	"errors"
	"fmt"
	"math/big"

	"iod/scale"
)

var errNoAPI = errors.New("devchain: runtime API has no such method")

// stateCall answers a runtime API call: method, SCALE parameters, block.
func stateCall(r *request) (any, error) {
	var name string
	if ok, err := r.arg(0, &name); !ok || err != nil {
		return nil, orMissing(err, 0)
	}
	params, err := r.bytes(1)
	if err != nil {
		return nil, err
	}
	return r.at(2, func(b *block) (any, error) {
		out, err := callRuntime(r.chain.runtimeAt(b), r.chain.led.getter(b), name, params)
		if err != nil {
			return nil, &rpcError{4003, fmt.Sprintf("Client error: Execution failed: %s: %v", name, err), nil}
		}
		return hexBytes(out), nil
	})
}

// runtimeMethod reads its parameters and returns its result.
type runtimeMethod func(rt runtime, state getter, r *scale.Reader) ([]byte, error)

var runtimeMethods = map[string]runtimeMethod{
	"Core_version": func(rt runtime, _ getter, _ *scale.Reader) ([]byte, error) { return rt.version(), nil },
	"Metadata_metadata": func(rt runtime, _ getter, _ *scale.Reader) ([]byte, error) {
		return scale.AppendVec(nil, rt.metadata(14)), nil
	},
	"Metadata_metadata_at_version": func(rt runtime, _ getter, r *scale.Reader) ([]byte, error) {
		if v := r.U32(); v == 14 || v == 15 {
			return scale.AppendVec([]byte{1}, rt.metadata(uint8(v))), nil
		}
		return []byte{0}, nil
	},
	"Metadata_metadata_versions": func(runtime, getter, *scale.Reader) ([]byte, error) {
		return scale.AppendU32(scale.AppendU32([]byte{2 << 2}, 14), 15), nil
	},
	"AccountNonceApi_account_nonce": func(_ runtime, state getter, r *scale.Reader) ([]byte, error) {
		id := readAccount(r)
		return scale.AppendU32(nil, decodeAccount(state(accounts.key(id[:]))).nonce), nil
	},
	"TransactionPaymentApi_query_info": func(rt runtime, state getter, r *scale.Reader) ([]byte, error) {
		t, f, err := readFee(rt, state, r)
		if err != nil {
			return nil, err
		}
		return appendU128(append(scale.AppendU64(nil, t.call.weight), 0), f.total()), nil
	},
	"TransactionPaymentApi_query_fee_details": func(rt runtime, state getter, r *scale.Reader) ([]byte, error) {
		_, f, err := readFee(rt, state, r)
		if err != nil {
			return nil, err
		}
		return appendU128(appendU128(appendU128(appendU128([]byte{1}, f.base), f.length), f.weight), f.tip), nil
	},
	"PeaqDIDApi_read": func(_ runtime, state getter, r *scale.Reader) ([]byte, error) {
		c := didCall{did: readAccount(r), name: r.Vec()}
		if a := state(c.key()); a != nil {
			return append([]byte{1}, a...), nil
		}
		return []byte{0}, nil
	},
}

func init() {
	for _, f := range rbacFetches {
		runtimeMethods["PeaqRBACRuntimeApi_"+f.api] = func(_ runtime, state getter, r *scale.Reader) ([]byte, error) {
			owner := readAccount(r)
			var id [32]byte
			if !f.whole {
				id = readEntity(r)
			}
			found, err := f.query(state, owner, id)
			if err != nil {
				return append([]byte{1}, err.encode()...), nil
			}
			return append([]byte{0}, found...), nil
		}
	}
}

// readFee reads an extrinsic and its length, and returns its fee without tip.
func readFee(rt runtime, state getter, r *scale.Reader) (*extrinsic, feeParts, error) {
	body := r.Vec()
	n := r.U32()
	if r.Err() != nil {
		return nil, feeParts{}, r.Err()
	}
	t, err := decodeExtrinsic(rt, scale.AppendVec(nil, body))
	if err != nil {
		return nil, feeParts{}, err
	}
	return t, feeOf(multiplierOf(state), t.call.weight, int(n), new(big.Int)), nil
}

func callRuntime(rt runtime, state getter, name string, params []byte) ([]byte, error) {
	m := runtimeMethods[name]
	if m == nil {
		return nil, errNoAPI
	}
	r := scale.NewReader(params)
	out, err := m(rt, state, r)
	if err != nil {
		return nil, err
	}
	return out, r.End()
}
