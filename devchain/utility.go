package devchain

import (
	"iod/key"
	"iod/metadata"
	"iod/scale"
)

const (
	maxBatch        = 10_922    // the constant batched_calls_limit
	batchItemWeight = 5_000_000 // an estimate; with two items the weights are the recorded ones
)

// batchWeight is what batch, batch_all and force_batch weigh without their items.
var batchWeight = map[uint8]uint64{0: 18_515_000, 2: 14_270_000, 4: 14_530_000}

func readUtilityCall(r *scale.Reader, index uint8, depth int) call {
	switch index {
	case 0, 2, 4:
		return readBatch(r, index, depth)
	case 1: // as_derivative
		n := r.U16()
		inner := readCall(r, depth+1)
		return call{inner.weight + 4_000_000, func(x *exec, who key.AccountID) error {
			return x.dispatch(inner, derivative(who, n))
		}}
	case 3: // dispatch_as, for root
		readOrigin(r)
		inner := readCall(r, depth+1)
		return call{inner.weight + 8_000_000, refuse}
	}
	return call{}
}

func readOrigin(r *scale.Reader) {
	if r.U8() != 0 {
		r.Fail(errUnknownOrigin)
		return
	}
	switch r.U8() {
	case 0, 2:
	case 1:
		r.Bytes(32)
	default:
		r.Fail(errUnknownOrigin)
	}
}

// derivative is the account that an account controls under an index.
func derivative(who key.AccountID, index uint16) key.AccountID {
	b := append([]byte("modlpy/utilisuba"), who[:]...)
	return key.AccountID(metadata.Blake2_256(scale.AppendU16(b, index)))
}

func readBatch(r *scale.Reader, index uint8, depth int) call {
	n := r.Count(2)
	calls := make([]call, 0, min(n, 1024))
	weight := batchWeight[index]
	for range n {
		c := readCall(r, depth+1)
		if r.Err() != nil {
			return call{run: refuse}
		}
		calls = append(calls, c)
		weight += c.weight + batchItemWeight
	}
	run := batch(calls, index)
	return call{weight, func(x *exec, who key.AccountID) error {
		if len(calls) > maxBatch {
			return moduleError(utilityIndex, 0) // TooManyCalls
		}
		return run(x, who)
	}}
}

var errCallFiltered = moduleError(systemIndex, 5)

// The events of Utility.
const (
	batchInterrupted = iota
	batchCompleted
	batchCompletedWithErrors
	itemCompleted
	itemFailed
)

// batch runs calls one after the other. batch (0) stops at the first that fails and keeps what was done before;
// batch_all (2) fails as a whole and lets no other batch_all in, however deep; force_batch (4) goes on.
func batch(calls []call, index uint8) func(*exec, key.AccountID) error {
	return func(x *exec, who key.AccountID) error {
		if index == 2 {
			if x.inBatchAll {
				return errCallFiltered
			}
			x.inBatchAll = true
			defer func() { x.inBatchAll = false }()
		}
		failed := false
		for i, c := range calls {
			err := x.dispatch(c, who)
			if err == nil {
				x.deposit(utilityIndex, itemCompleted)
				continue
			}
			failed = true
			reason := []byte(asDispatchError(err))
			switch index {
			case 0:
				x.deposit(utilityIndex, batchInterrupted, scale.AppendU32(nil, uint32(i)), reason)
				return nil
			case 2:
				return err
			default:
				x.deposit(utilityIndex, itemFailed, reason)
			}
		}
		if failed {
			x.deposit(utilityIndex, batchCompletedWithErrors)
		} else {
			x.deposit(utilityIndex, batchCompleted)
		}
		return nil
	}
}

// asDispatchError returns the error of a call, which is always a dispatchError.
func asDispatchError(err error) dispatchError {
	if e, ok := err.(dispatchError); ok {
		return e
	}
	return errOther
}
