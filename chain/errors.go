package chain

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"iod/key"
)

// Errors of the client; test for them with errors.Is.
var (
	ErrClosed       = errors.New("client is closed")
	ErrWrongNetwork = errors.New("node is on another network")
	// ErrStaleMetadata: the runtime was upgraded and what was to be signed was encoded for the version before.
	ErrStaleMetadata = errors.New("metadata is of another runtime version than the chain runs")
	// ErrNonceTaken: another client uses the same account's key at the same time.
	ErrNonceTaken = errors.New("nonce was used by another transaction of the account: is its key in use elsewhere?")
	ErrBadProof   = errors.New("node finds the signature wrong")
	ErrExpired    = errors.New("transaction was in no finalised block while it was valid")
	ErrBanned     = errors.New("node refuses the transaction for some minutes after having dropped it")
	ErrPoolFull   = errors.New("transaction pool of the node is full")
	ErrRefused    = errors.New("node refuses the transaction as invalid")
	ErrNotFound   = errors.New("no such block")
)

// ErrCannotPay says that an account cannot pay the fee of a transaction: fund it and try again.
type ErrCannotPay struct{ Account key.AccountID }

func (e *ErrCannotPay) Error() string {
	return fmt.Sprintf("account %s cannot pay the fee: send some tokens to it first", e.Account)
}

// WrongNetworkError says which network an endpoint is on. It is an ErrWrongNetwork.
type WrongNetworkError struct{ Want, Have Hash }

func (e *WrongNetworkError) Error() string {
	return fmt.Sprintf("%v: genesis %v, want %v", ErrWrongNetwork, e.Have, e.Want)
}

// Unwrap returns ErrWrongNetwork.
func (e *WrongNetworkError) Unwrap() error { return ErrWrongNetwork }

// FinalityError says that a node calls a block final that contradicts one called final before.
type FinalityError struct {
	Number uint32
	Had    Hash // the block seen as final before at that number
	Got    Hash // what the node says now
}

func (e *FinalityError) Error() string {
	return fmt.Sprintf("finalised block %d was %v and is now said to be %v", e.Number, e.Had, e.Got)
}

// EventsError says that the events which a node tells of a block cannot be decoded: they are garbage, or of a runtime whose
// metadata this client reads wrongly.
type EventsError struct {
	Block  Hash
	Number uint32
	Err    error
}

func (e *EventsError) Error() string {
	return fmt.Sprintf("events of block %d (%v): %v", e.Number, e.Block, e.Err)
}

// Unwrap returns the cause.
func (e *EventsError) Unwrap() error { return e.Err }

// EndpointError is why one endpoint cannot be used. Endpoint has no credentials.
type EndpointError struct {
	Endpoint string
	Err      error
	Retry    time.Time // not before
}

func (e *EndpointError) Error() string { return e.Endpoint + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *EndpointError) Unwrap() error { return e.Err }

// UnreachableError says that no endpoint can be used, and why each cannot.
type UnreachableError struct{ Endpoints []*EndpointError }

func (e *UnreachableError) Error() string {
	var s strings.Builder
	s.WriteString("no endpoint of the chain can be used")
	for i, x := range e.Endpoints {
		s.WriteString([]string{": ", "; "}[min(i, 1)])
		s.WriteString(x.Error())
	}
	return s.String()
}

// Unwrap returns the reasons.
func (e *UnreachableError) Unwrap() []error {
	all := make([]error, len(e.Endpoints))
	for i, x := range e.Endpoints {
		all[i] = x
	}
	return all
}
