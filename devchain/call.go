package devchain

import (
	"errors"
	"fmt"

	"iod/key"
	"iod/metadata"
	"iod/scale"
)

// dispatchError is the SCALE form of sp_runtime::DispatchError.
type dispatchError string

func (e dispatchError) Error() string { return fmt.Sprintf("dispatch error 0x%x", string(e)) }

func moduleError(pallet, index uint8) dispatchError {
	return dispatchError([]byte{3, pallet, index, 0, 0, 0})
}

// Errors of no pallet.
const (
	errOther       = dispatchError("\x00")
	errBadOrigin   = dispatchError("\x02")
	errUnderflow   = dispatchError("\x08\x00")
	errOverflow    = dispatchError("\x08\x01")
	errCannotFind  = dispatchError("\x01") // CannotLookup
	errDispatchMax = 256                   // nesting of calls, as in the real runtime
)

// call is a decoded call: what it costs and does.
type call struct {
	weight uint64
	run    func(x *exec, who key.AccountID) error // nil or a dispatchError
}

var errNesting = errors.New("devchain: calls are nested too deeply")

// readCall decodes a call and leaves r behind it; errors stick to r.
func readCall(r *scale.Reader, depth int) call {
	if depth >= errDispatchMax {
		r.Fail(errNesting)
		return call{}
	}
	pallet, index := r.U8(), r.U8()
	var c call
	switch pallet {
	case systemIndex:
		c = readSystemCall(r, index)
	case timestampIndex:
		c = readTimestampCall(r, index)
	case balancesIndex:
		c = readBalancesCall(r, index)
	case utilityIndex:
		c = readUtilityCall(r, index, depth)
	case didIndex:
		c = readDidCall(r, index)
	case rbacIndex:
		c = readRbacCall(r, index)
	}
	if c.run == nil {
		r.Fail(fmt.Errorf("devchain: call %d of pallet %d is unknown", index, pallet))
	}
	return c
}

// dispatch runs a call; when it fails, nothing of it stays.
func (x *exec) dispatch(c call, who key.AccountID) error {
	mark, events := x.mark(), len(x.events)
	err := c.run(x, who)
	if err != nil {
		x.rollback(mark)
		x.events = x.events[:events]
	}
	return err
}

func refuse(x *exec, who key.AccountID) error { return errBadOrigin }

func succeed(x *exec, who key.AccountID) error { return nil }

// The indices of the pallets.
const (
	systemIndex    = 0
	timestampIndex = 2
	balancesIndex  = 4
	paymentIndex   = 5
	utilityIndex   = 8
	didIndex       = 100
	rbacIndex      = 103
)

func readSystemCall(r *scale.Reader, index uint8) call {
	switch index {
	case 0: // fill_block
		r.U32()
	case 1: // remark
		r.Vec()
		return call{1_000_000, succeed}
	case 2: // set_heap_pages
		r.U64()
	case 3, 4: // set_code, set_code_without_checks: as heavy as a whole block
		r.Vec()
		return call{500_000_000_000, refuse}
	case 5: // set_storage
		for range r.Count(2) {
			r.Vec()
			r.Vec()
		}
	case 6: // kill_storage
		for range r.Count(1) {
			r.Vec()
		}
	case 7: // kill_prefix
		r.Vec()
		r.U32()
	case 8:
		remark := r.Vec()
		return call{1_000 * uint64(len(remark)), func(x *exec, who key.AccountID) error {
			hash := metadata.Blake2_256(remark)
			x.deposit(systemIndex, 5, who[:], hash[:])
			return nil
		}}
	default:
		return call{}
	}
	return call{500_000_000, refuse} // the rest is for root
}

// readTimestampCall reads what only the block's author may send, as an inherent.
func readTimestampCall(r *scale.Reader, index uint8) call {
	if index != 0 {
		return call{}
	}
	r.Compact()
	return call{timestampWeight, refuse}
}

// readAddress reads a MultiAddress; only its Id form can be looked up.
func readAddress(r *scale.Reader) (id key.AccountID, ok bool) {
	switch r.U8() {
	case 0:
		copy(id[:], r.Bytes(32))
		return id, r.Err() == nil
	case 1:
		r.Compact()
	case 2:
		r.Vec()
	case 3:
		r.Bytes(32)
	case 4:
		r.Bytes(20)
	default:
		r.Fail(errors.New("devchain: address is of an unknown kind"))
	}
	return id, false
}

func readAccount(r *scale.Reader) (id key.AccountID) {
	copy(id[:], r.Bytes(32))
	return id
}

func readEntity(r *scale.Reader) (id [32]byte) {
	copy(id[:], r.Bytes(32))
	return id
}
