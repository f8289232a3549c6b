package chain

import (
	"encoding/json"
	"errors"
	"fmt"

	"iod/chain/rpc"
	"iod/key"
)

// Codes of errors of a node's transaction pool.
const (
	poolInvalid  = 1010
	poolUnknown  = 1011
	poolBanned   = 1012
	poolImported = 1013
	poolLowPrio  = 1014
	poolFull     = 1016
)

// Errors that say that a transaction must be made anew; Submit does so itself.
var (
	errStaleNonce = errors.New("nonce is used already")
	errAncient    = errors.New("transaction is of a time that the chain no longer accepts")
	errImported   = errors.New("node has the transaction already")
	errFuture     = errors.New("nonce is ahead of the account's")
)

// verdicts are the texts that sp_runtime gives the reasons for which a transaction is invalid.
var verdicts = map[string]error{
	"Transaction is outdated":                                   errStaleNonce,
	"Transaction has a bad signature":                           ErrBadProof,
	"Transaction has an ancient birth block":                    errAncient,
	"Transaction will be valid in the future":                   errFuture,
	"Transaction would exhaust the block limits":                ErrPoolFull,
	"Inability to pay some fees (e.g. account balance too low)": errPayment,
}

// variants are the same by the names of the variants of InvalidTransaction.
var variants = map[string]error{
	"stale": errStaleNonce, "badProof": ErrBadProof, "ancientBirthBlock": errAncient, "future": errFuture,
	"exhaustsResources": ErrPoolFull, "payment": errPayment,
}

// errPayment: the account cannot pay the fee.
var errPayment = errors.New("account cannot pay")

// verdictOf finds the reason for which a transaction is invalid: in the text that nodes send as data, or in the runtime's own
// error as JSON, {"invalid":{"payment":null}}, which chopsticks sends as message.
func verdictOf(e *rpc.Error) error {
	if v, ok := verdicts[e.Text()]; ok {
		return v
	}
	var form struct {
		Invalid map[string]json.RawMessage `json:"invalid"`
	}
	if json.Unmarshal([]byte(e.Message), &form) == nil {
		for name := range form.Invalid {
			if v, ok := variants[name]; ok {
				return v
			}
		}
	}
	return ErrRefused
}

// refusal gives a pool's error its type; other errors stay as they are.
func refusal(err error, from key.AccountID) error {
	var e *rpc.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case poolInvalid:
		v := verdictOf(e)
		if errors.Is(v, errPayment) {
			return &ErrCannotPay{Account: from}
		}
		return fmt.Errorf("%w: %w", v, e)
	case poolUnknown:
		return fmt.Errorf("%w: %w", ErrRefused, e)
	case poolBanned:
		return fmt.Errorf("%w: %w", ErrBanned, e)
	case poolImported:
		return errImported
	case poolLowPrio:
		return fmt.Errorf("%w: %w", errStaleNonce, e)
	case poolFull:
		return fmt.Errorf("%w: %w", ErrPoolFull, e)
	}
	return err
}
